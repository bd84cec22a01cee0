/* SPDX-License-Identifier: MIT */
/*
 * What a target may do with several connections, resets and recovery so that data is
 * wrong, memory is touched that is the owner's again, or a session is lost without need
 */
#include "iscsi/test-peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void start(struct peer *a, uint32_t level)
{
	peer_init(a);
	a->cfg.policy = ISCSI_POLICY_FAILOVER;
	a->cfg.offer.MaxConnections = 4;
	a->cfg.offer.ErrorRecoveryLevel = level;
	a->cfg.offer.DefaultTime2Wait = 0;
	a->answers[2] = "DefaultTime2Wait=1";
	a->answers[3] = "DefaultTime2Retain=10";
	peer_up(a);
}

static void end(struct peer *a, struct peer *b)
{
	peer_leave(b);
	peer_close(a);
}

static void lose(struct peer *p)
{
	conn_lost(p->c, "gone", p->now_ns);
	peer_expect_event(p, ISCSI_EV_CONN_DOWN);
}

static uint32_t send_read(struct peer *p, struct io *io, uint32_t n)
{
	io_read(io, n);
	io_submit(p, io);
	return peer_expect(p, PDU_SCSI_CMD)->pdu.itt;
}

static uint32_t expect_tmf(struct peer *p, uint8_t function)
{
	const struct seen *u = peer_expect(p, PDU_TMF_REQ);

	assert_int_equal(u->pdu.u.tmf_req.function, function);
	return u->pdu.itt;
}

/*
 * A reset takes a task that is just being reassigned; its owner calls it back and has its
 * memory again. Then the target says that the reassignment went well.
 */
static void reassigned_after_a_reset(void **state)
{
	struct peer a, b;
	struct io io, other;
	uint32_t reassign;

	start(&a, 2);
	peer_join(&b, &a, 2);
	send_read(&a, &io, 1000);
	conn_set_path(a.c, false, 0);
	session_hold(a.s, false, a.now_ns);
	send_read(&b, &other, 8);
	lose(&a);
	peer_tick(&b, PEER_S);
	peer_logout_response(&b, peer_expect(&b, PDU_LOGOUT_REQ)->pdu.itt, 0);
	reassign = expect_tmf(&b, TMF_TASK_REASSIGN);
	session_hold(b.s, true, b.now_ns); /* it is not to go out again at once */
	session_cancel(b.s, &other.task, b.now_ns);
	peer_tmf_response(&b, expect_tmf(&b, TMF_ABORT_TASK), TMF_RSP_NOT_SUPPORTED);
	peer_tmf_response(&b, expect_tmf(&b, TMF_LOGICAL_UNIT_RESET), TMF_RSP_COMPLETE);
	io_expect(&b, &other, ISCSI_TASK_CANCELLED);
	session_recall(b.s, &io.task);
	io_expect(&b, &io, ISCSI_TASK_CANCELLED);
	io_free(&io, 0);
	io_free(&other, 0);
	memset(&io.task, 0xee, sizeof(io.task));
	peer_tmf_response(&b, reassign, TMF_RSP_COMPLETE);
	assert_int_equal(session_stats(b.s)->n_reassigned, 0);
	assert_int_equal(session_n_tasks(b.s), 0);
	peer_tick(&b, PEER_S);
	assert_true(conn_alive(b.c));
	end(&a, &b);
}

/* An abort is asked for on one connection and answered on another: that is no answer. */
static void tmf_answered_elsewhere(void **state)
{
	struct peer a, b;
	struct io io;
	uint32_t itt, tmf;

	start(&a, 0);
	peer_join(&b, &a, 2);
	itt = send_read(&a, &io, 1000);
	session_cancel(a.s, &io.task, a.now_ns);
	tmf = expect_tmf(&a, TMF_ABORT_TASK);
	peer_tmf_response(&b, tmf, TMF_RSP_COMPLETE);
	peer_expect_no_event(&a);
	peer_tmf_response(&a, tmf, TMF_RSP_COMPLETE);
	io_expect(&a, &io, ISCSI_TASK_CANCELLED);
	(void)itt;
	end(&a, &b);
	io_free(&io, 0);
}

/*
 * A Data-In is half there when a reset over another connection takes its command along.
 * That is not sent again while the rest, good or bad, can still land in the buffers.
 */
static void reset_while_data_lands(void **state)
{
	struct peer a, b;
	struct io io;
	uint8_t bytes[1000], wire[BHS_LEN + 1000];
	struct pdu u = {.opcode = PDU_DATA_IN, .ttt = PDU_TAG_NONE};

	start(&a, 0);
	peer_join(&b, &a, 2);
	u.itt = send_read(&a, &io, 1000);
	memset(bytes, 0xbd, sizeof(bytes));
	peer_number(&a, &u);
	peer_encode(&a, &u, bytes, sizeof(bytes), wire);
	peer_feed(&a, wire, BHS_LEN + 100);
	conn_set_path(a.c, false, 0);
	/* The reset goes over the first connection; it is answered there only when over the other.
	 */
	session_remove_conn(a.s, a.c, a.now_ns);
	assert_int_equal(session_tmf(a.s, TMF_TARGET_WARM_RESET, 0, a.now_ns), 0);
	peer_tmf_response(&b, expect_tmf(&b, TMF_TARGET_WARM_RESET), TMF_RSP_COMPLETE);
	/* What the owner asked for ends as cancelled; nothing is told before the data has gone. */
	peer_expect_event(&b, ISCSI_EV_TMF_DONE);
	peer_expect_no_event(&a);
	conn_lost(a.c, "gone", a.now_ns);
	peer_expect_event(&a, ISCSI_EV_LOGGED_OUT);
	io_expect(&a, &io, ISCSI_TASK_CANCELLED);
	end(&a, &b);
	free(io.mem);
}

static void reset_by_timeout_while_data_lands(void **state)
{
	struct peer a, b;
	struct io io[2];
	uint8_t bytes[1000], wire[BHS_LEN + 1000];
	struct pdu u = {.opcode = PDU_DATA_IN, .ttt = PDU_TAG_NONE};
	uint32_t itt;

	start(&a, 0);
	peer_join(&b, &a, 2);
	u.itt = send_read(&a, &io[0], 1000);
	memset(bytes, 0xbd, sizeof(bytes));
	peer_number(&a, &u);
	peer_encode(&a, &u, bytes, sizeof(bytes), wire);
	peer_feed(&a, wire, BHS_LEN + 100);
	conn_set_path(a.c, false, 0);
	session_hold(a.s, false, a.now_ns);
	io_read(&io[1], 8);
	io_submit(&b, &io[1]);
	itt = peer_expect(&b, PDU_SCSI_CMD)->pdu.itt;
	session_cancel(a.s, &io[1].task, a.now_ns);
	peer_tmf_response(&b, expect_tmf(&b, TMF_ABORT_TASK), TMF_RSP_NOT_SUPPORTED);
	peer_tmf_response(&b, expect_tmf(&b, TMF_LOGICAL_UNIT_RESET), TMF_RSP_COMPLETE);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_ptr_equal(a.event.ev.conn, a.c);
	assert_false(a.event.ev.last);
	io_expect(&b, &io[1], ISCSI_TASK_CANCELLED);
	peer_expect_nothing(&b);
	peer_tick(&b, PEER_S);
	peer_logout_response(&b, peer_expect(&b, PDU_LOGOUT_REQ)->pdu.itt, 0);
	peer_serve_read(&b, &io[0], 1000);
	(void)itt;
	end(&a, &b);
	io_free(&io[0], 1000);
	io_free(&io[1], 0);
}

/* A command that never arrived is no reset's victim: its CmdSN still has to get there. */
static void reset_leaves_what_never_arrived(void **state)
{
	struct peer a, b;
	struct io io;
	uint32_t itt, cmdsn, logout;

	start(&a, 0);
	peer_join(&b, &a, 2);
	itt = send_read(&a, &io, 100);
	cmdsn = a.seen.pdu.cmdsn;
	a.expcmdsn = cmdsn; /* it did not */
	lose(&a);
	peer_tick(&b, PEER_S);
	logout = peer_expect(&b, PDU_LOGOUT_REQ)->pdu.itt;
	session_lu_reset(b.s, io.task.lun, b.now_ns);
	peer_tmf_response(&b, expect_tmf(&b, TMF_LOGICAL_UNIT_RESET), TMF_RSP_COMPLETE);
	peer_expect_no_event(&b);
	peer_logout_response(&b, logout, 0);
	/* It ends, and something else takes its number there. */
	assert_int_equal(peer_expect(&b, PDU_NOP_OUT)->pdu.cmdsn, cmdsn);
	io_expect(&b, &io, ISCSI_TASK_CANCELLED);
	(void)itt;
	end(&a, &b);
	io_free(&io, 0);
}

/* ---- Logout of a lost connection ----------------------------------------- */

/* While it is on its way its CID must not be anybody's: the Logout would end that one. */
static void cid_that_is_being_logged_out(void **state)
{
	struct peer a, b;
	struct io io;
	struct iscsi_conn *c = NULL;
	uint32_t logout;

	start(&a, 0);
	peer_join(&b, &a, 2);
	send_read(&a, &io, 100);
	lose(&a);
	peer_tick(&b, PEER_S);
	logout = peer_expect(&b, PDU_LOGOUT_REQ)->pdu.itt;
	assert_int_equal(conn_new(&c, a.s, 1), -EBUSY);
	peer_logout_response(&b, logout, 0);
	assert_int_equal(conn_new(&c, a.s, 1), 0);
	assert_null(conn_free(c));
	peer_serve_read(&b, &io, 100);
	end(&a, &b);
	io_free(&io, 100);
}

/* And none is sent for a CID that logs in again: that ends the old connection by itself. */
static void no_logout_while_the_cid_logs_in(void **state)
{
	struct peer a, b, c;
	struct io io;

	start(&a, 0);
	peer_join(&b, &a, 2);
	send_read(&a, &io, 100);
	lose(&a);
	peer_join_start(&c, &a, 1);
	peer_tick(&b, PEER_S);
	peer_expect_nothing(&b);
	assert_true(session_deadline_ns(a.s) > b.now_ns);
	while (!c.in_full_feature)
		assert_true(peer_serve_one(&c));
	peer_expect_event(&c, ISCSI_EV_UP);
	conn_set_path(c.c, false, 0);
	peer_serve_read(&b, &io, 100);
	assert_true(conn_alive(b.c));
	peer_leave(&c);
	end(&a, &b);
	io_free(&io, 100);
}

/* What it was for has ended meanwhile; its answer is no mistake, early or late. */
static void logout_answered_when_nothing_depends_on_it(void **state)
{
	for (int late = 0; late <= 1; late++) {
		struct peer a, b;
		struct io io;
		uint32_t logout;

		start(&a, 0);
		peer_join(&b, &a, 2);
		send_read(&a, &io, 100);
		lose(&a);
		peer_tick(&b, PEER_S);
		logout = peer_expect(&b, PDU_LOGOUT_REQ)->pdu.itt;
		session_lu_reset(b.s, io.task.lun, b.now_ns);
		peer_tmf_response(&b, expect_tmf(&b, TMF_LOGICAL_UNIT_RESET), TMF_RSP_COMPLETE);
		io_expect(&b, &io, ISCSI_TASK_CANCELLED);
		for (int i = 0; late && i < 12; i++) {
			peer_ping(&b, PDU_TAG_NONE, NULL, 0);
			peer_tick(&b, PEER_S);
		}
		peer_logout_response(&b, logout, 0);
		peer_expect_no_event(&b);
		assert_true(conn_alive(b.c));
		assert_int_equal(session_stats(b.s)->n_protocol_errors, 0);
		end(&a, &b);
		io_free(&io, 0);
	}
}

/* ---- a connection that brought nonsense ----------------------------------- */

/* What a read got over it is not believed, though its DataSNs were in order. */
static void data_of_a_garbled_connection(void **state)
{
	for (int acked = 0; acked <= 1; acked++) {
		struct peer a, b;
		struct io io;
		uint8_t bytes[500];
		uint32_t tmf;
		struct pdu u = {.opcode = PDU_DATA_IN,
				.ttt = acked ? 5 : PDU_TAG_NONE,
				.u.data_in = {.ack = acked}};

		start(&a, 2);
		peer_join(&b, &a, 2);
		u.itt = send_read(&a, &io, 1000);
		memset(bytes, 0xbd, sizeof(bytes));
		peer_send(&a, u, bytes, sizeof(bytes));
		if (acked)
			peer_expect(&a, PDU_SNACK);
		peer_data_in(&a, 0x12345, 0, 0, bytes, sizeof(bytes), false);
		peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
		peer_tick(&b, PEER_S);
		peer_logout_response(&b, peer_expect(&b, PDU_LOGOUT_REQ)->pdu.itt, 0);
		tmf = expect_tmf(&b, TMF_TASK_REASSIGN);
		/* The target need not have any more what was acknowledged. */
		assert_int_equal(b.seen.pdu.u.tmf_req.expdatasn, acked);
		peer_tmf_response(&b, tmf, TMF_RSP_COMPLETE);
		if (acked) {
			peer_tick(&b, PEER_S);
			tmf = expect_tmf(&b, TMF_ABORT_TASK);
			peer_tmf_response(&b, tmf, TMF_RSP_COMPLETE);
			peer_serve_read(&b, &io, 500);
		} else {
			for (uint32_t i = 0; i < 2; i++) {
				io_fill(bytes, i * 500, 500);
				peer_data_in(&b, u.itt, i, i * 500, bytes, 500, i == 1);
			}
			io_expect(&b, &io, ISCSI_TASK_OK);
		}
		end(&a, &b);
		io_free(&io, 1000);
	}
}

/* ---- writes --------------------------------------------------------------- */

/*
 * The target has waited long enough and asks anew for what is still to be sent: those take
 * the place of the old R2Ts, which are not open any more (RFC 7143 §13.17).
 */
static void r2t_that_replaces_another(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt, n = 3000;

	peer_init(&p);
	p.cfg.offer.ErrorRecoveryLevel = 1;
	p.answers[2] = "InitialR2T=Yes";
	p.answers[3] = "ImmediateData=No";
	p.answers[4] = "MaxOutstandingR2T=2";
	peer_up(&p);
	io_write(&io, 4 * n);
	io_submit(&p, &io);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	for (uint32_t i = 0; i < 2; i++)
		peer_r2t(&p, itt, i, i, i * n, n);
	for (uint32_t i = 0; i < 20; i++) /* far more than may be open */
		peer_r2t(&p, itt, 10 + i, 2 + i, (i & 1) * n, n);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(peer_expect(&p, PDU_DATA_OUT)->pdu.ttt, 28 + i);
		assert_int_equal(p.seen.pdu.u.data_out.off, i * n);
		assert_int_equal(p.seen.pdu.n_data, n);
	}
	for (uint32_t i = 2; i < 4; i++) {
		peer_r2t(&p, itt, 40 + i, 20 + i, i * n, n);
		assert_int_equal(peer_expect(&p, PDU_DATA_OUT)->pdu.ttt, 40 + i);
	}
	peer_expect_nothing(&p);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	peer_close(&p);
	io_free(&io, io.n);
}

static uint32_t start_write(struct peer *p, struct io *io)
{
	peer_init(p);
	p->cfg.offer.ErrorRecoveryLevel = 1;
	p->answers[2] = "InitialR2T=Yes";
	p->answers[3] = "ImmediateData=No";
	peer_up(p);
	io_write(io, 2000);
	io->task.timeout_ns = 12 * PEER_S;
	io_submit(p, io);
	return peer_expect(p, PDU_SCSI_CMD)->pdu.itt;
}

/* Lets time pass, with signs of life, until something is sent or @max_s are over. */
static const struct seen *wait_for_pdu(struct peer *p, unsigned max_s)
{
	for (unsigned i = 0; i < 4 * max_s; i++) {
		peer_ping(p, PDU_TAG_NONE, NULL, 0);
		peer_tick(p, PEER_S / 4);
		if (peer_recv(p))
			return &p->seen;
	}
	return NULL;
}

static void expect_quiet_snack(struct peer *p, uint32_t itt, uint32_t r2tsn)
{
	assert_non_null(wait_for_pdu(p, 4));
	assert_int_equal(p->seen.pdu.opcode, PDU_SNACK);
	assert_int_equal(p->seen.pdu.u.snack.type, SNACK_DATA);
	assert_int_equal(p->seen.pdu.itt, itt);
	assert_int_equal(p->seen.pdu.u.snack.begrun, r2tsn);
	assert_int_equal(p->seen.pdu.u.snack.runlength, 0);
}

/* The last R2T is lost and nothing comes behind it: it is asked for long before the time is over.
 */
static void unh_ffp_13_1_last_r2t_is_lost(void **state)
{
	for (uint32_t lost = 0; lost < 2; lost++) {
		struct peer p;
		struct io io;
		uint32_t itt = start_write(&p, &io);

		for (uint32_t i = 0; i < lost; i++) {
			peer_r2t(&p, itt, i, i, 0, 1000);
			peer_expect(&p, PDU_DATA_OUT);
		}
		expect_quiet_snack(&p, itt, lost);
		for (uint32_t i = lost; i < 2; i++) {
			peer_r2t(&p, itt, i, i, i * 1000, 1000);
			peer_expect(&p, PDU_DATA_OUT);
		}
		assert_null(wait_for_pdu(&p, 5)); /* nothing more to ask for */
		peer_status(&p, itt, 0);
		io_expect(&p, &io, ISCSI_TASK_OK);
		peer_close(&p);
		io_free(&io, io.n);
	}
}

/* It was not lost, the target is slow, and says that it has not sent it. */
static void slow_target_rejects_the_snack(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = start_write(&p, &io);
	uint8_t bhs[BHS_LEN];

	for (int i = 0; i < 3; i++) {
		expect_quiet_snack(&p, itt, 0);
		memcpy(bhs, p.seen.bhs, BHS_LEN);
		peer_send(&p,
			  (struct pdu){.opcode = PDU_REJECT,
				       .final = true,
				       .itt = PDU_TAG_NONE,
				       .u.reject = {.reason = REJECT_PROTOCOL}},
			  bhs, BHS_LEN);
		assert_true(conn_alive(p.c));
	}
	assert_non_null(wait_for_pdu(&p, 6)); /* that was enough; now its time is over */
	assert_int_equal(p.seen.pdu.opcode, PDU_TMF_REQ);
	peer_close(&p);
	free(io.mem);
}

/* ---- numbers -------------------------------------------------------------- */

/* A command is not sent again that is to be aborted, whatever the target says of it. */
static void rejected_while_it_is_aborted(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = start_write(&p, &io), tmf;
	uint8_t bhs[BHS_LEN];

	memcpy(bhs, p.seen.bhs, BHS_LEN);
	session_cancel(p.s, &io.task, p.now_ns);
	tmf = expect_tmf(&p, TMF_ABORT_TASK);
	p.expcmdsn--; /* it was not taken */
	peer_send(&p,
		  (struct pdu){.opcode = PDU_REJECT,
			       .final = true,
			       .itt = PDU_TAG_NONE,
			       .u.reject = {.reason = REJECT_DATA_DIGEST}},
		  bhs, BHS_LEN);
	peer_expect_nothing(&p);
	p.expcmdsn++;
	peer_tmf_response(&p, tmf, TMF_RSP_COMPLETE);
	io_expect(&p, &io, ISCSI_TASK_CANCELLED);
	(void)itt;
	peer_close(&p);
	io_free(&io, io.n);
}

/* A retry crosses with what the target had to say: it had the command all the time. */
static void retry_of_a_command_that_is_there(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = start_write(&p, &io);
	uint8_t bhs[BHS_LEN];

	p.expcmdsn--; /* as if it did not know it */
	assert_non_null(wait_for_pdu(&p, 6));
	assert_int_equal(p.seen.pdu.opcode, PDU_SCSI_CMD);
	assert_int_equal(p.seen.pdu.itt, itt);
	memcpy(bhs, p.seen.bhs, BHS_LEN);
	peer_send(&p,
		  (struct pdu){.opcode = PDU_REJECT,
			       .final = true,
			       .itt = PDU_TAG_NONE,
			       .u.reject = {.reason = REJECT_TASK_IN_PROGRESS}},
		  bhs, BHS_LEN);
	peer_expect_no_event(&p);
	peer_r2t(&p, itt, 1, 0, 0, 2000);
	peer_expect(&p, PDU_DATA_OUT);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	peer_close(&p);
	io_free(&io, io.n);
}

/* ExpCmdSN ahead of what was sent: nobody can have had that. */
static void expcmdsn_of_the_future(void **state)
{
	struct peer a, b;
	struct io io;
	struct pdu ping = {.opcode = PDU_NOP_IN, .final = true, .itt = PDU_TAG_NONE, .ttt = 9};
	uint32_t itt, cmdsn;

	start(&a, 0);
	peer_join(&b, &a, 2);
	itt = send_read(&a, &io, 100);
	cmdsn = a.seen.pdu.cmdsn;
	a.expcmdsn = cmdsn; /* it never arrived */
	peer_number(&b, &ping);
	ping.expcmdsn += 1000;
	ping.maxcmdsn += 1000;
	peer_put(&b, &ping, NULL, 0);
	peer_expect(&b, PDU_NOP_OUT);
	lose(&a);
	peer_tick(&b, PEER_S);
	peer_logout_response(&b, peer_expect(&b, PDU_LOGOUT_REQ)->pdu.itt, 0);
	/* Taken for received it would be sent with a new number, and the old one be missed for
	 * ever. */
	peer_expect(&b, PDU_SCSI_CMD);
	assert_int_equal(b.seen.pdu.itt, itt);
	assert_int_equal(b.seen.pdu.cmdsn, cmdsn);
	end(&a, &b);
	free(io.mem);
}

/* ---- the end of connections ----------------------------------------------- */

/* As many as there may be go at once, and the owner hears of each. */
static void every_end_is_told(void **state)
{
	enum {
		N = 60
	};
	struct peer *p = calloc(N, sizeof(*p));
	unsigned n = 0;

	assert_non_null(p);
	peer_init(&p[0]);
	p[0].cfg.offer.MaxConnections = N;
	peer_up(&p[0]);
	for (uint16_t i = 1; i < N; i++)
		peer_join(&p[i], &p[0], i + 1);
	for (int i = 0; i < 100; i++) /* what it can say in any number does not push that out */
		peer_send(&p[0],
			  (struct pdu){.opcode = PDU_ASYNC,
				       .final = true,
				       .itt = PDU_TAG_NONE,
				       .u.async = {.event = ASYNC_VENDOR}},
			  NULL, 0);
	peer_send(&p[0],
		  (struct pdu){.opcode = PDU_ASYNC,
			       .final = true,
			       .itt = PDU_TAG_NONE,
			       .u.async = {.event = ASYNC_SESSION_DROP}},
		  NULL, 0);
	while (peer_event(&p[0])) {
		assert_int_equal(p[0].event.ev.kind, ISCSI_EV_CONN_DOWN);
		assert_int_equal(p[0].event.ev.last, n == N - 1);
		n++;
	}
	assert_int_equal(n, N);
	for (int i = 1; i < N; i++)
		peer_leave(&p[i]);
	peer_close(&p[0]);
	free(p);
}

/*
 * The owner sends one of two connections away, and the other is lost meanwhile: with the
 * Logout the session is over, and what waited to be reassigned goes to the next one.
 */
static void the_last_one_is_sent_away(void **state)
{
	struct peer a, b;
	struct io io;
	uint32_t logout;

	start(&a, 2);
	peer_join(&b, &a, 2);
	send_read(&a, &io, 100);
	assert_int_equal(session_remove_conn(b.s, b.c, b.now_ns), 0);
	logout = peer_expect(&b, PDU_LOGOUT_REQ)->pdu.itt;
	conn_lost(a.c, "gone", a.now_ns);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_false(a.event.ev.last);
	peer_logout_response(&b, logout, 0);
	peer_expect_event(&b, ISCSI_EV_LOGGED_OUT);
	assert_true(b.event.ev.last);
	assert_int_equal(b.event.ev.recover_s, 0);
	assert_true(session_is_held(a.s));
	assert_int_equal(session_n_sent(a.s), 0);
	peer_leave(&b);
	peer_again(&a);
	session_hold(a.s, false, a.now_ns);
	peer_serve_read(&a, &io, 100);
	peer_close(&a);
	io_free(&io, 100);
}

/*
 * One is sent away with a command that does not end. "Closed", says the target: then that
 * is over, too. Anything else: it is asked again, over another connection, before the
 * command is sent a second time.
 */
static void unh_ffp_17_1_not_closed_for_sure(void **state)
{
	for (uint8_t response = 0; response <= 3; response++) {
		struct peer a, b;
		struct io io;

		start(&a, 0);
		peer_join(&b, &a, 2);
		io_read(&io, 100);
		io.task.timeout_ns = 100 * PEER_S;
		io_submit(&a, &io);
		peer_expect(&a, PDU_SCSI_CMD);
		assert_int_equal(session_remove_conn(a.s, a.c, a.now_ns), 0);
		for (int i = 0; i < 10; i++) {
			peer_ping(&a, PDU_TAG_NONE, NULL, 0);
			peer_ping(&b, PDU_TAG_NONE, NULL, 0);
			peer_tick(&b, PEER_S);
			a.now_ns = b.now_ns;
		}
		peer_expect(&a, PDU_LOGOUT_REQ);
		peer_logout_response(&a, a.seen.pdu.itt, response);
		peer_expect_event(&a, ISCSI_EV_LOGGED_OUT);
		assert_false(a.event.ev.last);
		if (response > LOGOUT_RSP_NO_CID) {
			peer_expect_nothing(&b);
			peer_tick(&b, PEER_S);
			peer_expect(&b, PDU_LOGOUT_REQ);
			assert_int_equal(b.seen.pdu.u.logout_req.cid, 1);
			peer_logout_response(&b, b.seen.pdu.itt, 0);
		}
		peer_serve_read(&b, &io, 100);
		end(&a, &b);
		io_free(&io, 100);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reassigned_after_a_reset),
		cmocka_unit_test(tmf_answered_elsewhere),
		cmocka_unit_test(reset_while_data_lands),
		cmocka_unit_test(reset_by_timeout_while_data_lands),
		cmocka_unit_test(reset_leaves_what_never_arrived),
		cmocka_unit_test(cid_that_is_being_logged_out),
		cmocka_unit_test(no_logout_while_the_cid_logs_in),
		cmocka_unit_test(logout_answered_when_nothing_depends_on_it),
		cmocka_unit_test(data_of_a_garbled_connection),
		cmocka_unit_test(r2t_that_replaces_another),
		cmocka_unit_test(unh_ffp_13_1_last_r2t_is_lost),
		cmocka_unit_test(slow_target_rejects_the_snack),
		cmocka_unit_test(rejected_while_it_is_aborted),
		cmocka_unit_test(retry_of_a_command_that_is_there),
		cmocka_unit_test(expcmdsn_of_the_future),
		cmocka_unit_test(every_end_is_told),
		cmocka_unit_test(the_last_one_is_sent_away),
		cmocka_unit_test(unh_ffp_17_1_not_closed_for_sure),
	};

	return PEER_RUN("hostile", tests);
}
