/* SPDX-License-Identifier: MIT */
/*
 * ErrorRecoveryLevel 2: the tasks of a lost connection go on over another one
 */
#include "iscsi/test-peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void init(struct peer *p)
{
	peer_init(p);
	p->cfg.policy = ISCSI_POLICY_FAILOVER;
	p->cfg.offer.ErrorRecoveryLevel = 2;
	p->cfg.offer.MaxConnections = 4;
	p->cfg.offer.DefaultTime2Wait = 0;
	p->answers[2] = "DefaultTime2Wait=1";
	p->answers[3] = "DefaultTime2Retain=10";
}

/* The only connection goes, with @io on the wire. */
static void lose_the_only(struct peer *p)
{
	conn_lost(p->c, "gone", p->now_ns);
	peer_expect_event(p, ISCSI_EV_CONN_DOWN);
	assert_true(p->event.ev.last);
	assert_int_equal(p->event.ev.time2wait_s, 1);
	assert_int_equal(p->event.ev.recover_s, 11);
	assert_false(session_is_held(p->s));
	p->several = true;
}

static uint32_t expect_reassign(struct peer *p, uint32_t itt, uint32_t expdatasn)
{
	const struct seen *u = peer_expect(p, PDU_TMF_REQ);

	assert_true(u->pdu.immediate);
	assert_int_equal(u->pdu.u.tmf_req.function, TMF_TASK_REASSIGN);
	assert_int_equal(u->pdu.ttt, itt);
	assert_int_equal(u->pdu.lun, 0);
	assert_int_equal(u->pdu.u.tmf_req.refcmdsn, 0);
	assert_int_equal(u->pdu.u.tmf_req.expdatasn, expdatasn);
	return u->pdu.itt;
}

static void answer_tmf(struct peer *p, uint32_t itt, uint8_t response)
{
	peer_send(p,
		  (struct pdu){.opcode = PDU_TMF_RSP,
			       .final = true,
			       .itt = itt,
			       .u.tmf_rsp = {.response = response}},
		  NULL, 0);
}

/* A new connection, and the old one removed for recovery. */
static void come_back(struct peer *b, struct peer *a)
{
	a->now_ns += PEER_S;
	session_tick(a->s, a->now_ns);
	peer_join(b, a, 2);
	peer_answer_logout(b, peer_expect_logout(b, LOGOUT_FOR_RECOVERY, 1), 0);
}

static void end(struct peer *a, struct peer *b)
{
	peer_expect_no_event(a);
	peer_leave(b);
	peer_close(a);
}

/* ---- reads and writes go on --------------------------------------------- */

/* Lost after each segment: what was there is not sent again. */
static void unh_ffp_7_1_read_goes_on(void **state)
{
	for (uint32_t lost = 0; lost <= 4; lost++) {
		struct peer a, b;
		struct io io;
		uint8_t bytes[1000];
		uint32_t itt;

		init(&a);
		peer_up(&a);
		io_read(&io, 4000);
		io_submit(&a, &io);
		itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
		for (uint32_t i = 0; i < lost; i++) {
			io_fill(bytes, i * 1000, 1000);
			peer_data_in(&a, itt, i, i * 1000, bytes, 1000, false);
		}
		lose_the_only(&a);
		come_back(&b, &a);
		answer_tmf(&b, expect_reassign(&b, itt, lost), TMF_RSP_COMPLETE);
		for (uint32_t i = lost; i < 4; i++) {
			io_fill(bytes, i * 1000, 1000);
			peer_data_in(&b, itt, i, i * 1000, bytes, 1000, false);
		}
		peer_status(&b, itt, 0);
		io_expect(&b, &io, ISCSI_TASK_OK);
		assert_int_equal(io.task.n_transferred, 4000);
		assert_int_equal(session_stats(a.s)->n_reassigned, 1);
		assert_int_equal(session_tsih(a.s), a.tsih);
		peer_expect_nothing(&b);
		end(&a, &b);
		io_free(&io, io.n);
	}
}

/* The target sends all of it again: it may. */
static void all_of_a_read_again(void **state)
{
	struct peer a, b;
	struct io io;
	uint8_t bytes[1000];
	uint32_t itt;

	init(&a);
	peer_up(&a);
	io_read(&io, 3000);
	io_submit(&a, &io);
	itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	io_fill(bytes, 0, 1000);
	peer_data_in(&a, itt, 0, 0, bytes, 1000, false);
	lose_the_only(&a);
	come_back(&b, &a);
	answer_tmf(&b, expect_reassign(&b, itt, 1), TMF_RSP_COMPLETE);
	for (uint32_t i = 0; i < 3; i++) {
		io_fill(bytes, i * 1000, 1000);
		peer_data_in(&b, itt, i, i * 1000, bytes, 1000, i == 2);
	}
	io_expect(&b, &io, ISCSI_TASK_OK);
	end(&a, &b);
	io_free(&io, io.n);
}

/* What lies behind a hole is discarded. */
static void read_with_a_hole_is_cut(void **state)
{
	struct peer a, b;
	struct io io;
	uint8_t bytes[1000];
	uint32_t itt;

	init(&a);
	peer_up(&a);
	io_read(&io, 3000);
	io_submit(&a, &io);
	itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	for (uint32_t i = 0; i < 3; i += 2) {
		io_fill(bytes, i * 1000, 1000);
		peer_data_in(&a, itt, i, i * 1000, bytes, 1000, i == 2);
	}
	lose_the_only(&a);
	come_back(&b, &a);
	answer_tmf(&b, expect_reassign(&b, itt, 1), TMF_RSP_COMPLETE);
	for (uint32_t i = 1; i < 3; i++) {
		io_fill(bytes, i * 1000, 1000);
		peer_data_in(&b, itt, i, i * 1000, bytes, 1000, i == 2);
	}
	io_expect(&b, &io, ISCSI_TASK_OK);
	end(&a, &b);
	io_free(&io, io.n);
}

static void take_write(struct peer *p, const struct io *io, uint32_t ttt, uint32_t off, uint32_t n)
{
	const struct seen *u = peer_expect(p, PDU_DATA_OUT);

	assert_int_equal(u->pdu.ttt, ttt);
	assert_int_equal(u->pdu.u.data_out.off, off);
	assert_int_equal(u->pdu.n_data, n);
	assert_memory_equal(u->data, io->bytes + off, n);
}

/* The target asks for what it lacks, by an R2T it has sent before or by a new one. */
static void unh_ffp_7_1_write_goes_on(void **state)
{
	for (int old = 0; old <= 1; old++) {
		struct peer a, b;
		struct io io;
		uint32_t itt;

		init(&a);
		a.answers[4] = "InitialR2T=Yes";
		a.answers[5] = "ImmediateData=No";
		peer_up(&a);
		io_write(&io, 3000);
		io_submit(&a, &io);
		itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
		peer_r2t(&a, itt, 1, 0, 0, 1000);
		take_write(&a, &io, 1, 0, 1000);
		peer_r2t(&a, itt, 2, 1, 1000, 1000);
		peer_pull(&a, 20); /* half a header */
		lose_the_only(&a);
		come_back(&b, &a);
		answer_tmf(&b, expect_reassign(&b, itt, 0), TMF_RSP_COMPLETE);
		peer_expect_nothing(&b); /* not before it is asked for */
		peer_r2t(&b, itt, 3, old ? 1 : 2, 1000, 1000);
		take_write(&b, &io, 3, 1000, 1000);
		peer_r2t(&b, itt, 4, old ? 2 : 3, 2000, 1000);
		take_write(&b, &io, 4, 2000, 1000);
		peer_status(&b, itt, 0);
		io_expect(&b, &io, ISCSI_TASK_OK);
		assert_int_equal(io.task.n_transferred, 3000);
		end(&a, &b);
		io_free(&io, io.n);
	}
}

/* It need not keep to the borders of what it had asked for before. */
static void write_goes_on_in_other_pieces(void **state)
{
	struct peer a, b;
	struct io io;
	uint32_t itt;

	init(&a);
	a.answers[4] = "InitialR2T=Yes";
	a.answers[5] = "ImmediateData=No";
	peer_up(&a);
	io_write(&io, 3000);
	io_submit(&a, &io);
	itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	peer_r2t(&a, itt, 1, 0, 0, 2000);
	take_write(&a, &io, 1, 0, 2000);
	lose_the_only(&a);
	come_back(&b, &a);
	answer_tmf(&b, expect_reassign(&b, itt, 0), TMF_RSP_COMPLETE);
	peer_r2t(&b, itt, 2, 1, 1500, 1000);
	take_write(&b, &io, 2, 1500, 1000);
	peer_r2t(&b, itt, 3, 2, 2500, 500);
	take_write(&b, &io, 3, 2500, 500);
	peer_status(&b, itt, 0);
	io_expect(&b, &io, ISCSI_TASK_OK);
	assert_int_equal(io.task.n_transferred, 3000);
	end(&a, &b);
	io_free(&io, io.n);
}

/* A task that goes with every connection is not taken to new ones for ever. */
static void not_for_ever(void **state)
{
	struct peer a, b[ISCSI_MAX_LOSSES];
	struct io io;
	uint32_t itt;
	uint16_t n = 0;

	init(&a);
	peer_up(&a);
	io_none(&io);
	io_submit(&a, &io);
	itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	lose_the_only(&a);
	for (;;) {
		assert_true(n < ISCSI_MAX_LOSSES);
		a.now_ns += PEER_S;
		session_tick(a.s, a.now_ns);
		peer_join(&b[n], &a, (uint16_t)(n + 2));
		peer_answer_logout(
			&b[n], peer_expect_logout(&b[n], LOGOUT_FOR_RECOVERY, (uint16_t)(n + 1)),
			0);
		if (++n == ISCSI_MAX_LOSSES)
			break;
		answer_tmf(&b[n - 1], expect_reassign(&b[n - 1], itt, 0), TMF_RSP_COMPLETE);
		lose_the_only(&b[n - 1]);
	}
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_true(a.event.ev.last);
	assert_int_equal(a.event.ev.recover_s, 0);
	io_expect(&a, &io, ISCSI_TASK_LOST);
	while (n > 1)
		peer_leave(&b[--n]);
	end(&a, &b[0]);
	io_free(&io, 0);
}

/* The last connection had no tasks, one before it had: the session is to be recovered all the same.
 */
static void the_last_to_go_had_nothing(void **state)
{
	struct peer a, b;
	struct io io;

	init(&a);
	peer_up(&a);
	peer_join(&b, &a, 2);
	io_none(&io);
	io_submit(&a, &io);
	peer_expect(&a, PDU_SCSI_CMD);
	conn_lost(a.c, "gone", a.now_ns);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_false(a.event.ev.last);
	assert_int_equal(a.event.ev.recover_s, 11);
	conn_lost(b.c, "gone", a.now_ns);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_true(a.event.ev.last);
	assert_int_equal(a.event.ev.recover_s, 11);
	assert_false(session_is_held(a.s));
	end(&a, &b);
	io_free(&io, 0);
}

/* All was done but the answer; `once` is no matter, since nothing is sent twice. */
static void unh_ffp_19_5_only_the_status_is_missing(void **state)
{
	struct peer a, b;
	struct io io;
	uint32_t itt;

	init(&a);
	peer_up(&a);
	io_write(&io, 100);
	io.task.once = true;
	io_submit(&a, &io);
	itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	lose_the_only(&a);
	come_back(&b, &a);
	answer_tmf(&b, expect_reassign(&b, itt, 0), TMF_RSP_COMPLETE);
	peer_status(&b, itt, 0);
	io_expect(&b, &io, ISCSI_TASK_OK);
	end(&a, &b);
	io_free(&io, io.n);
}

/* In CmdSN order, one after the other; commands that never arrived are retried. */
static void several_tasks_in_order(void **state)
{
	struct peer a, b;
	struct io io[5];
	uint32_t itt[5], cmdsn[5], tmf;

	init(&a);
	peer_up(&a);
	for (int i = 0; i < 5; i++) {
		io_none(&io[i]);
		io_submit(&a, &io[i]);
		itt[i] = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
		cmdsn[i] = a.seen.pdu.cmdsn;
	}
	a.expcmdsn = cmdsn[3]; /* the last two never came */
	lose_the_only(&a);
	come_back(&b, &a);
	for (int i = 0; i < 3; i++) {
		/* The retries go with the first of them: both are queued at once. */
		tmf = expect_reassign(&b, itt[i], 0);
		for (int k = 3; i == 0 && k < 5; k++) {
			peer_expect(&b, PDU_SCSI_CMD);
			assert_int_equal(b.seen.pdu.itt, itt[k]);
			assert_int_equal(b.seen.pdu.cmdsn, cmdsn[k]);
		}
		peer_expect_nothing(&b);
		answer_tmf(&b, tmf, TMF_RSP_COMPLETE);
	}
	for (int i = 0; i < 5; i++) {
		peer_status(&b, itt[i], 0);
		io_expect(&b, &io[i], ISCSI_TASK_OK);
	}
	end(&a, &b);
	for (int i = 0; i < 5; i++)
		io_free(&io[i], 0);
}

/* Another connection is there already. */
static void over_a_connection_that_is_there(void **state)
{
	struct peer a, b;
	struct io io;
	uint32_t itt;

	init(&a);
	peer_up(&a);
	peer_join(&b, &a, 2);
	io_none(&io);
	io_submit(&a, &io);
	itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	conn_lost(a.c, "gone", a.now_ns);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_false(a.event.ev.last);
	assert_int_equal(a.event.ev.recover_s, 11);
	peer_expect_nothing(&b);
	peer_tick(&b, PEER_S); /* Time2Wait */
	peer_answer_logout(&b, peer_expect_logout(&b, LOGOUT_FOR_RECOVERY, 1), 0);
	answer_tmf(&b, expect_reassign(&b, itt, 0), TMF_RSP_COMPLETE);
	peer_status(&b, itt, 0);
	io_expect(&b, &io, ISCSI_TASK_OK);
	end(&a, &b);
	io_free(&io, 0);
}

/* The same CID in the login: the target has put the old connection away by that. */
static void the_same_cid_needs_no_logout(void **state)
{
	struct peer a, b;
	struct io io;
	uint32_t itt;

	init(&a);
	peer_up(&a);
	io_none(&io);
	io_submit(&a, &io);
	itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	lose_the_only(&a);
	peer_tick(&a, PEER_S);
	peer_join(&b, &a, 1);
	answer_tmf(&b, expect_reassign(&b, itt, 0), TMF_RSP_COMPLETE);
	peer_status(&b, itt, 0);
	io_expect(&b, &io, ISCSI_TASK_OK);
	end(&a, &b);
	io_free(&io, 0);
}

/* ---- when it cannot be done --------------------------------------------- */

/* Every answer to TASK REASSIGN. */
static void unh_ffp_19_5_every_response(void **state)
{
	static const uint8_t responses[] = {0, 1, 2, 3, 4, 5, 6, 255};

	for (size_t k = 0; k < ARRAY_SIZE(responses); k++) {
		for (int once = 0; once <= 1; once++) {
			struct peer a, b;
			struct io io;
			uint32_t itt;

			init(&a);
			peer_up(&a);
			io_none(&io);
			io.task.once = once;
			io_submit(&a, &io);
			itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
			lose_the_only(&a);
			come_back(&b, &a);
			answer_tmf(&b, expect_reassign(&b, itt, 0), responses[k]);
			if (responses[k] == 0) {
				peer_status(&b, itt, 0);
				io_expect(&b, &io, ISCSI_TASK_OK);
			} else if (responses[k] <= 2 && !once) {
				peer_expect(&b, PDU_SCSI_CMD); /* as a new one */
				assert_int_not_equal(b.seen.pdu.itt, itt);
				peer_status(&b, b.seen.pdu.itt, 0);
				io_expect(&b, &io, ISCSI_TASK_OK);
			} else if (responses[k] <= 2) {
				io_expect(&b, &io, ISCSI_TASK_LOST);
				assert_true(conn_alive(b.c));
			} else {
				peer_expect_event(&b, ISCSI_EV_CONN_DOWN);
				assert_true(b.event.ev.last);
				assert_int_equal(b.event.ev.recover_s, 0);
				assert_true(session_is_held(b.s));
				if (once)
					io_expect(&b, &io, ISCSI_TASK_LOST);
				assert_int_equal(session_n_tasks(a.s), !once);
			}
			end(&a, &b);
			io_free(&io, 0);
		}
	}
}

/* The target does not do it: the connection is closed instead, and its tasks go anew. */
static void recovery_logout_not_supported(void **state)
{
	struct peer a, b;
	struct io io;
	uint32_t itt;

	init(&a);
	peer_up(&a);
	io_none(&io);
	io_submit(&a, &io);
	itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	lose_the_only(&a);
	peer_tick(&a, PEER_S);
	peer_join(&b, &a, 2);
	peer_answer_logout(&b, peer_expect_logout(&b, LOGOUT_FOR_RECOVERY, 1),
			   LOGOUT_RSP_NO_RECOVERY);
	peer_answer_logout(&b, peer_expect_logout(&b, LOGOUT_CLOSE_CONNECTION, 1), 0);
	peer_expect(&b, PDU_SCSI_CMD);
	assert_int_not_equal(b.seen.pdu.itt, itt);
	peer_status(&b, b.seen.pdu.itt, 0);
	io_expect(&b, &io, ISCSI_TASK_OK);
	end(&a, &b);
	io_free(&io, 0);
}

/* The session is given up: the next login is a new one, and the task goes as a new command. */
static void expect_reinstatement(struct peer *a, struct io *io)
{
	assert_true(session_is_held(a->s));
	assert_int_equal(session_tsih(a->s), 0);
	a->c = conn_free(a->c);
	a->several = false;
	a->statsn += 100;
	peer_connect(a);
	peer_login(a);
	peer_expect_event(a, ISCSI_EV_UP);
	session_hold(a->s, false, a->now_ns);
	peer_expect(a, PDU_SCSI_CMD);
	peer_status(a, a->seen.pdu.itt, 0);
	io_expect(a, io, ISCSI_TASK_OK);
	peer_expect_no_event(a);
	peer_close(a);
	io_free(io, 0);
}

static void no_connection_comes_in_time(void **state)
{
	struct peer a;
	struct io io;

	init(&a);
	peer_up(&a);
	io_none(&io);
	io_submit(&a, &io);
	peer_expect(&a, PDU_SCSI_CMD);
	lose_the_only(&a);
	assert_true(session_deadline_ns(a.s) <= a.now_ns + 11 * PEER_S);
	peer_tick(&a, 10 * PEER_S);
	peer_expect_no_event(&a);
	peer_tick(&a, PEER_S);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_null(a.event.ev.conn);
	assert_true(a.event.ev.last);
	assert_int_equal(a.event.ev.recover_s, 0);
	expect_reinstatement(&a, &io);
}

/* The target does not know the session any more; a transport that fails may be tried again. */
static void login_of_the_new_connection_fails(void **state)
{
	for (int status = 0; status <= 1; status++) {
		struct peer a, b;
		struct io io;

		init(&a);
		peer_up(&a);
		io_none(&io);
		io_submit(&a, &io);
		peer_expect(&a, PDU_SCSI_CMD);
		lose_the_only(&a);
		peer_tick(&a, PEER_S);
		peer_join_start(&b, &a, 2);
		peer_expect(&b, PDU_LOGIN_REQ);
		if (status) {
			struct pdu u = {.opcode = PDU_LOGIN_RSP,
					.itt = b.seen.pdu.itt,
					.u.login = {.status_class = 2, .status_detail = 10}};

			memcpy(u.u.login.isid, a.cfg.isid, 6);
			peer_send(&b, u, NULL, 0);
		} else {
			conn_lost(b.c, "gone", a.now_ns);
		}
		peer_expect_event(&a, ISCSI_EV_LOGIN_FAILED);
		if (status) {
			peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
			assert_null(a.event.ev.conn);
			assert_true(a.event.ev.last);
			b.c = conn_free(b.c);
			peer_leave(&b);
			expect_reinstatement(&a, &io);
			continue;
		}
		peer_expect_no_event(&a);
		b.c = conn_free(b.c);
		peer_leave(&b);
		peer_join(&b, &a, 3);
		peer_answer_logout(&b, peer_expect_logout(&b, LOGOUT_FOR_RECOVERY, 1), 0);
		peer_expect(&b, PDU_TMF_REQ);
		end(&a, &b);
		io_free(&io, 0);
	}
}

static void no_answer_to_task_reassign(void **state)
{
	struct peer a, b;
	struct io io;

	init(&a);
	peer_up(&a);
	io_none(&io);
	io_submit(&a, &io);
	peer_expect(&a, PDU_SCSI_CMD);
	lose_the_only(&a);
	come_back(&b, &a);
	peer_expect(&b, PDU_TMF_REQ);
	for (int i = 0; i < 16 && conn_alive(b.c); i++) {
		peer_ping(&b, PDU_TAG_NONE, NULL, 0);
		b.now_ns = a.now_ns += PEER_S;
		session_tick(a.s, a.now_ns);
	}
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_ptr_equal(a.event.ev.conn, b.c);
	assert_true(a.event.ev.last);
	assert_int_equal(a.event.ev.recover_s, 0);
	b.c = conn_free(b.c);
	peer_leave(&b);
	expect_reinstatement(&a, &io);
}

/* Lost again in the middle of it: what was not reassigned yet, and what was, go to a third. */
static void loss_in_the_middle_of_it(void **state)
{
	struct peer a, b, c;
	struct io io[2];
	uint32_t itt[2];

	init(&a);
	peer_up(&a);
	for (int i = 0; i < 2; i++) {
		io_none(&io[i]);
		io_submit(&a, &io[i]);
		itt[i] = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	}
	lose_the_only(&a);
	come_back(&b, &a);
	answer_tmf(&b, expect_reassign(&b, itt[0], 0), TMF_RSP_COMPLETE);
	expect_reassign(&b, itt[1], 0);
	conn_lost(b.c, "gone", a.now_ns);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_int_equal(a.event.ev.recover_s, 11);
	peer_tick(&a, PEER_S);
	peer_join(&c, &a, 3);
	for (int left = 3; left > 0; left--) {
		const struct seen *u = peer_recv(&c);

		assert_non_null(u);
		if (u->pdu.opcode == PDU_LOGOUT_REQ) {
			assert_int_equal(u->pdu.u.logout_req.cid, 2);
			peer_answer_logout(&c, u->pdu.itt, 0);
		} else {
			assert_int_equal(u->pdu.u.tmf_req.function, TMF_TASK_REASSIGN);
			answer_tmf(&c, u->pdu.itt, TMF_RSP_COMPLETE);
		}
	}
	peer_expect_nothing(&c);
	for (int i = 0; i < 2; i++) {
		peer_status(&c, itt[i], 0);
		io_expect(&c, &io[i], ISCSI_TASK_OK);
		io_free(&io[i], 0);
	}
	peer_leave(&b);
	end(&a, &c);
}

/* The owner cancels it meanwhile: it is reassigned, so that it can be aborted. */
static void cancelled_while_it_waits(void **state)
{
	struct peer a, b;
	struct io io;
	uint32_t itt, tmf;

	init(&a);
	peer_up(&a);
	io_none(&io);
	io_submit(&a, &io);
	itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	lose_the_only(&a);
	session_cancel(a.s, &io.task, a.now_ns);
	peer_expect_no_event(&a);
	come_back(&b, &a);
	answer_tmf(&b, expect_reassign(&b, itt, 0), TMF_RSP_COMPLETE);
	peer_tick(&a, PEER_S);
	tmf = peer_expect(&b, PDU_TMF_REQ)->pdu.itt;
	assert_int_equal(b.seen.pdu.u.tmf_req.function, TMF_ABORT_TASK);
	answer_tmf(&b, tmf, TMF_RSP_COMPLETE);
	io_expect(&a, &io, ISCSI_TASK_CANCELLED);
	end(&a, &b);
	io_free(&io, 0);
}

/* Nothing to reassign: nothing to wait for. */
static void loss_without_tasks_at_level_2(void **state)
{
	struct peer a;

	init(&a);
	peer_up(&a);
	conn_lost(a.c, "gone", a.now_ns);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_true(a.event.ev.last);
	assert_int_equal(a.event.ev.recover_s, 0);
	assert_true(session_is_held(a.s));
	peer_close(&a);
}

/* The owner gives all up while the session waits. */
static void fail_all_while_it_waits(void **state)
{
	struct peer a;
	struct io io;

	init(&a);
	peer_up(&a);
	io_none(&io);
	io_submit(&a, &io);
	peer_expect(&a, PDU_SCSI_CMD);
	lose_the_only(&a);
	session_fail_all(a.s, true, a.now_ns);
	io_expect(&a, &io, ISCSI_TASK_LOST);
	peer_tick(&a, PEER_S);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_null(a.event.ev.conn);
	peer_expect_no_event(&a);
	assert_int_equal(session_n_tasks(a.s), 0);
	peer_close(&a);
	io_free(&io, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_ffp_7_1_read_goes_on),
		cmocka_unit_test(all_of_a_read_again),
		cmocka_unit_test(read_with_a_hole_is_cut),
		cmocka_unit_test(unh_ffp_7_1_write_goes_on),
		cmocka_unit_test(write_goes_on_in_other_pieces),
		cmocka_unit_test(the_last_to_go_had_nothing),
		cmocka_unit_test(not_for_ever),
		cmocka_unit_test(unh_ffp_19_5_only_the_status_is_missing),
		cmocka_unit_test(several_tasks_in_order),
		cmocka_unit_test(over_a_connection_that_is_there),
		cmocka_unit_test(the_same_cid_needs_no_logout),
		cmocka_unit_test(unh_ffp_19_5_every_response),
		cmocka_unit_test(recovery_logout_not_supported),
		cmocka_unit_test(no_connection_comes_in_time),
		cmocka_unit_test(login_of_the_new_connection_fails),
		cmocka_unit_test(no_answer_to_task_reassign),
		cmocka_unit_test(loss_in_the_middle_of_it),
		cmocka_unit_test(cancelled_while_it_waits),
		cmocka_unit_test(loss_without_tasks_at_level_2),
		cmocka_unit_test(fail_all_while_it_waits),
	};

	return PEER_RUN("level 2", tests);
}
