/* SPDX-License-Identifier: MIT */
/*
 * Conversations about commands that are not answered, cancelled, or reset away.
 * Numbers in the names are those of the UNH-IOL full feature phase procedures.
 */
#include "iscsi/test-peer.h"

#include <stdlib.h>
#include <string.h>

static void start(struct peer *p)
{
	peer_init(p);
	/* The tests wait longer than a silent connection is left alone. */
	p->cfg.nop_interval_ns = 10000 * PEER_S;
	peer_up(p);
}

static uint32_t send_none(struct peer *p, struct io *io, uint64_t lun)
{
	io_none(io);
	io->task.lun = lun;
	io_submit(p, io);
	return peer_expect(p, PDU_SCSI_CMD)->pdu.itt;
}

static void tmf_answer(struct peer *p, uint32_t itt, uint8_t response)
{
	peer_send(p,
		  (struct pdu){.opcode = PDU_TMF_RSP,
			       .final = true,
			       .itt = itt,
			       .u.tmf_rsp = {.response = response}},
		  NULL, 0);
}

/* The next PDU is this function; returns its ITT. */
static uint32_t expect_tmf(struct peer *p, uint8_t function, uint64_t lun, uint32_t rtt)
{
	const struct seen *u = peer_expect(p, PDU_TMF_REQ);

	assert_true(u->pdu.immediate && u->pdu.final);
	assert_int_equal(u->pdu.u.tmf_req.function, function);
	assert_true(u->pdu.lun == lun);
	assert_int_equal(u->pdu.ttt, rtt);
	assert_int_equal(u->pdu.u.tmf_req.expdatasn, 0);
	return u->pdu.itt;
}

#define LUN1 UINT64_C(0x0001000000000000)
#define LUN2 UINT64_C(0x0002000000000000)

static void unh_ffp_19_1_timeout_aborts_the_task(void **state)
{
	static const uint8_t fine[] = {TMF_RSP_COMPLETE, TMF_RSP_NO_TASK};

	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		struct peer p;
		struct io io, other;
		uint32_t itt, tmf;

		start(&p);
		send_none(&p, &other, LUN1);
		other.task.deadline_ns = ISCSI_NEVER;
		itt = send_none(&p, &io, LUN1);
		assert_true(session_deadline_ns(p.s) <= p.now_ns + 30 * PEER_S);
		peer_tick(&p, 30 * PEER_S - 1);
		peer_expect_nothing(&p);
		peer_tick(&p, PEER_S / 4 + 1);
		tmf = expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
		assert_int_equal(p.seen.pdu.u.tmf_req.refcmdsn, 0x101);
		peer_expect_no_event(&p); /* not before the target says so */
		tmf_answer(&p, tmf, fine[i]);
		io_expect(&p, &io, ISCSI_TASK_TIMEOUT);
		peer_expect_no_event(&p);
		peer_expect_nothing(&p);
		assert_int_equal(session_n_tasks(p.s), 1);
		assert_int_equal(session_stats(p.s)->n_timeouts, 1);
		peer_close(&p);
		io_free(&io, 0);
		io_free(&other, 0);
	}
}

static void timeout_of_one_task(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start(&p);
	io_none(&io);
	io.task.timeout_ns = 2 * PEER_S;
	io_submit(&p, &io);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	peer_tick(&p, 2 * PEER_S);
	expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
	peer_close(&p);
	io_free(&io, 0);
}

static void unh_ffp_19_1_every_other_response_escalates(void **state)
{
	static const uint8_t bad[] = {TMF_RSP_NO_LUN,
				      TMF_RSP_STILL_ALLEGIANT,
				      TMF_RSP_NO_REASSIGN,
				      TMF_RSP_NOT_SUPPORTED,
				      TMF_RSP_NOT_AUTHORIZED,
				      TMF_RSP_REJECTED,
				      77};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		for (int then = 0; then < 2; then++) {
			struct peer p;
			struct io io, same, other;
			uint32_t itt, tmf;

			start(&p);
			itt = send_none(&p, &io, LUN1);
			send_none(&p, &same, LUN1);
			send_none(&p, &other, LUN2);
			session_cancel(p.s, &io.task, p.now_ns);
			tmf = expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
			tmf_answer(&p, tmf, bad[i]);
			tmf = expect_tmf(&p, TMF_LOGICAL_UNIT_RESET, LUN1, PDU_TAG_NONE);
			assert_int_equal(p.seen.pdu.u.tmf_req.refcmdsn, 0);
			peer_expect_no_event(&p);
			if (then == 0) {
				tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
				io_expect(&p, &io, ISCSI_TASK_CANCELLED);
				/* Who was swept away goes again, as a new command. */
				itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
				assert_true(p.seen.pdu.lun == LUN1);
				peer_expect_nothing(&p);
				peer_status(&p, itt, 0);
				io_expect(&p, &same, ISCSI_TASK_OK);
				assert_int_equal(session_n_tasks(p.s), 1);
			} else {
				tmf_answer(&p, tmf, bad[i]);
				peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
				assert_non_null(strstr(p.event.text, "LOGICAL UNIT RESET"));
				io_expect(&p, &io, ISCSI_TASK_CANCELLED);
				assert_int_equal(session_n_tasks(p.s), 2);
			}
			peer_close(&p);
			io_free(&io, 0);
			io_free(&same, 0);
			io_free(&other, 0);
		}
	}
}

static void tmf_without_answer_escalates(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;
	uint64_t t0;

	start(&p);
	itt = send_none(&p, &io, LUN1);
	t0 = p.now_ns;
	peer_tick(&p, 30 * PEER_S);
	expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
	assert_true(session_deadline_ns(p.s) <= p.now_ns + 15 * PEER_S);
	peer_tick(&p, 15 * PEER_S);
	expect_tmf(&p, TMF_LOGICAL_UNIT_RESET, LUN1, PDU_TAG_NONE);
	peer_expect_no_event(&p);
	peer_tick(&p, 15 * PEER_S);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	io_expect(&p, &io, ISCSI_TASK_TIMEOUT);
	assert_true(p.now_ns - t0 <= 61 * PEER_S);
	peer_close(&p);
	io_free(&io, 0);
}

/* The owner only looks at the clock when the engine said so: it must have said so in time. */
static void tmf_deadlines_are_told(void **state)
{
	struct peer p;
	struct io io;
	uint64_t t0;
	int turns = 0;

	start(&p);
	send_none(&p, &io, LUN1);
	t0 = p.now_ns;
	while (conn_alive(p.c)) {
		uint64_t d = session_deadline_ns(p.s);

		assert_true(d != ISCSI_NEVER);
		assert_true(++turns < 1000);
		p.now_ns = d > p.now_ns ? d : p.now_ns;
		session_tick(p.s, p.now_ns);
		while (peer_recv(&p))
			;
	}
	assert_true(p.now_ns - t0 <= 61 * PEER_S);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	io_expect(&p, &io, ISCSI_TASK_TIMEOUT);
	peer_close(&p);
	io_free(&io, 0);
}

/* The answer comes after all, before the abort's: it counts. */
static void response_crosses_the_abort(void **state)
{
	struct peer p;
	struct io io, second;
	uint32_t itt, tmf;

	start(&p);
	itt = send_none(&p, &io, LUN1);
	peer_tick(&p, 31 * PEER_S);
	tmf = expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	/* A second one waits for its turn. */
	itt = send_none(&p, &second, LUN1);
	session_cancel(p.s, &second.task, p.now_ns);
	peer_expect_nothing(&p);
	tmf_answer(&p, tmf, TMF_RSP_NO_TASK);
	tmf = expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
	tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
	io_expect(&p, &second, ISCSI_TASK_CANCELLED);
	peer_close(&p);
	io_free(&io, 0);
	io_free(&second, 0);
}

/* And if the abort of a task that has ended is never answered, nobody is harmed. */
static void abort_of_an_ended_task_without_answer(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start(&p);
	itt = send_none(&p, &io, LUN1);
	session_cancel(p.s, &io.task, p.now_ns);
	expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	peer_tick(&p, 16 * PEER_S);
	peer_expect_nothing(&p);
	peer_expect_no_event(&p);
	assert_true(conn_alive(p.c));
	peer_close(&p);
	io_free(&io, 0);
}

static void abort_one_after_the_other(void **state)
{
	enum {
		N = 5
	};
	struct peer p;
	struct io io[N];
	uint32_t itt[N];

	start(&p);
	for (int i = 0; i < N; i++)
		itt[i] = send_none(&p, &io[i], LUN1);
	peer_tick(&p, 31 * PEER_S);
	for (int i = 0; i < N; i++) {
		uint32_t tmf;

		peer_expect(&p, PDU_TMF_REQ);
		tmf = p.seen.pdu.itt;
		assert_int_equal(p.seen.pdu.ttt, itt[i]);
		assert_int_equal(p.seen.pdu.u.tmf_req.refcmdsn, 0x100 + i);
		peer_expect_nothing(&p);
		tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
		io_expect(&p, &io[i], ISCSI_TASK_TIMEOUT);
	}
	peer_expect_nothing(&p);
	peer_close(&p);
	for (int i = 0; i < N; i++)
		io_free(&io[i], 0);
}

/* The target may still ask for data until it has answered; it gets it. */
static void r2t_while_the_abort_is_out(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt, tmf;

	peer_init(&p);
	p.answers[2] = "InitialR2T=Yes";
	p.answers[3] = "ImmediateData=No";
	peer_up(&p);
	io_write(&io, 1000);
	io_submit(&p, &io);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	session_cancel(p.s, &io.task, p.now_ns);
	tmf = expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
	peer_r2t(&p, itt, 7, 0, 0, 1000);
	assert_int_equal(peer_expect(&p, PDU_DATA_OUT)->pdu.ttt, 7);
	tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
	io_expect(&p, &io, ISCSI_TASK_CANCELLED);
	peer_r2t(&p, itt, 8, 1, 0, 1000); /* but not for what it said is gone */
	peer_expect_violation(&p, "no command of ours");
	peer_close(&p);
	io_free(&io, 1000);
}

/* Confirmed while its data is half sent: the owner gets the buffer later. */
static void abort_with_data_half_sent(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	peer_init(&p);
	p.answers[2] = "InitialR2T=Yes";
	p.answers[3] = "ImmediateData=No";
	peer_up(&p);
	io_write(&io, 1000);
	io_submit(&p, &io);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	peer_r2t(&p, itt, 7, 0, 0, 1000);
	peer_pull(&p, 500);
	session_cancel(p.s, &io.task, p.now_ns);
	tmf_answer(&p, 0x80000001, TMF_RSP_COMPLETE); /* the login had the first of these tags */
	peer_expect_no_event(&p);
	peer_expect(&p, PDU_DATA_OUT);
	io_expect(&p, &io, ISCSI_TASK_CANCELLED);
	peer_expect(&p, PDU_TMF_REQ);
	peer_close(&p);
	io_free(&io, 1000);
}

/* ---- cancel ------------------------------------------------------------ */

static void cancel_at_every_stage(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt, tmf;

	peer_init(&p);
	p.window = 0;
	peer_up(&p);
	/* Not sent: at once. */
	io_none(&io);
	io_submit(&p, &io);
	peer_expect_nothing(&p);
	session_cancel(p.s, &io.task, p.now_ns);
	session_cancel(p.s, &io.task, p.now_ns);
	io_expect(&p, &io, ISCSI_TASK_CANCELLED);
	peer_expect_no_event(&p);
	assert_int_equal(session_n_tasks(p.s), 0);
	session_cancel(p.s, &io.task, p.now_ns); /* the owner's already: nothing happens */
	peer_expect_no_event(&p);
	io_free(&io, 0);
	/* Sent. */
	p.window = 10;
	peer_ping(&p, PDU_TAG_NONE, NULL, 0);
	itt = send_none(&p, &io, LUN1);
	session_cancel(p.s, &io.task, p.now_ns);
	session_cancel(p.s, &io.task, p.now_ns);
	tmf = expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
	peer_expect_nothing(&p);
	tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
	session_cancel(p.s, &io.task, p.now_ns);
	io_expect(&p, &io, ISCSI_TASK_CANCELLED);
	peer_expect_no_event(&p);
	peer_close(&p);
	io_free(&io, 0);
}

static void cancel_while_logging_out(void **state)
{
	struct peer p;
	struct io io;

	start(&p);
	send_none(&p, &io, LUN1);
	assert_int_equal(session_logout(p.s, p.now_ns), 0);
	peer_expect(&p, PDU_LOGOUT_REQ);
	session_cancel(p.s, &io.task, p.now_ns);
	peer_expect_nothing(&p);
	conn_lost(p.c, "closed", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_LOGGED_OUT);
	io_expect(&p, &io, ISCSI_TASK_CANCELLED);
	peer_close(&p);
	io_free(&io, 0);
}

/* ---- logical unit reset ------------------------------------------------ */

static void unh_ffp_19_3_lu_reset_of_the_owner(void **state)
{
	struct peer p;
	struct io a, b, other, probe;
	uint32_t itt, tmf;

	start(&p);
	send_none(&p, &a, LUN1);
	send_none(&p, &b, LUN1);
	itt = send_none(&p, &other, LUN2);
	session_lu_reset(p.s, LUN1, p.now_ns);
	tmf = expect_tmf(&p, TMF_LOGICAL_UNIT_RESET, LUN1, PDU_TAG_NONE);
	peer_expect_no_event(&p);
	send_none(&p, &probe, LUN2);
	tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
	io_expect(&p, &a, ISCSI_TASK_CANCELLED);
	io_expect(&p, &b, ISCSI_TASK_CANCELLED);
	peer_expect_no_event(&p);
	peer_status(&p, itt, 0);
	io_expect(&p, &other, ISCSI_TASK_OK);
	peer_close(&p);
	io_free(&a, 0);
	io_free(&b, 0);
	io_free(&other, 0);
	io_free(&probe, 0);
}

/* What was sent behind the request is not the reset's: it lives on, and its answer is welcome. */
static void lu_reset_spares_what_came_after(void **state)
{
	for (int told = 0; told < 2; told++) {
		struct peer p;
		struct io before, after;
		uint32_t tmf, itt;

		start(&p);
		io_none(&before);
		before.task.lun = LUN1;
		before.task.timeout_ns = 2 * PEER_S;
		io_submit(&p, &before);
		peer_expect(&p, PDU_SCSI_CMD);
		if (told) {
			session_lu_reset(p.s, LUN1, p.now_ns);
		} else {
			peer_tick(&p, 2 * PEER_S);
			tmf = peer_expect(&p, PDU_TMF_REQ)->pdu.itt; /* ABORT TASK */
			tmf_answer(&p, tmf, TMF_RSP_NOT_SUPPORTED);
		}
		tmf = peer_expect(&p, PDU_TMF_REQ)->pdu.itt;
		io_none(&after);
		after.task.lun = LUN1;
		io_submit(&p, &after);
		itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
		tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
		io_expect(&p, &before, told ? ISCSI_TASK_CANCELLED : ISCSI_TASK_TIMEOUT);
		peer_expect_no_event(&p);
		peer_expect_nothing(&p); /* not sent a second time */
		peer_status(&p, itt, 0);
		io_expect(&p, &after, ISCSI_TASK_OK);
		peer_close(&p);
		io_free(&before, 0);
		io_free(&after, 0);
	}
}

static void lu_resets_wait_for_each_other(void **state)
{
	struct peer p;
	uint32_t tmf;

	start(&p);
	session_lu_reset(p.s, LUN1, p.now_ns);
	session_lu_reset(p.s, LUN2, p.now_ns);
	session_lu_reset(p.s, LUN2 + 1, p.now_ns);
	session_lu_reset(p.s, LUN2, p.now_ns); /* once is enough */
	for (int i = 0; i < 3; i++) {
		tmf = expect_tmf(&p, TMF_LOGICAL_UNIT_RESET,
				 i == 0   ? LUN1
				 : i == 1 ? LUN2
					  : LUN2 + 1,
				 PDU_TAG_NONE);
		peer_expect_nothing(&p);
		tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
	}
	peer_expect_nothing(&p);
	peer_close(&p);
}

static void lu_resets_have_a_limit(void **state)
{
	struct peer p;
	unsigned n = 0;

	start(&p);
	for (uint64_t lun = 0; lun < 100; lun++)
		session_lu_reset(p.s, lun, p.now_ns);
	while (peer_recv(&p)) {
		assert_true(p.seen.pdu.lun == n);
		tmf_answer(&p, p.seen.pdu.itt, TMF_RSP_COMPLETE);
		n++;
	}
	assert_int_equal(n, 1 + RESETS_MAX);
	peer_close(&p);
}

static void lu_reset_without_a_connection_waits(void **state)
{
	struct peer p;

	peer_init(&p);
	peer_open(&p);
	session_lu_reset(p.s, LUN1, p.now_ns);
	peer_connect(&p);
	peer_login(&p);
	peer_tick(&p, PEER_S);
	expect_tmf(&p, TMF_LOGICAL_UNIT_RESET, LUN1, PDU_TAG_NONE);
	peer_close(&p);
}

/* The function goes with its connection; the next one does not wait for it. */
static void lu_reset_and_the_connection_goes(void **state)
{
	struct peer p;

	start(&p);
	session_lu_reset(p.s, LUN1, p.now_ns);
	expect_tmf(&p, TMF_LOGICAL_UNIT_RESET, LUN1, PDU_TAG_NONE);
	conn_lost(p.c, "gone", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	peer_again(&p);
	session_lu_reset(p.s, LUN2, p.now_ns);
	tmf_answer(&p, expect_tmf(&p, TMF_LOGICAL_UNIT_RESET, LUN2, PDU_TAG_NONE),
		   TMF_RSP_COMPLETE);
	peer_tick(&p, 20 * PEER_S); /* the first one's time is over, and nobody minds */
	peer_expect_no_event(&p);
	assert_true(conn_alive(p.c));
	peer_close(&p);
}

/*
 * Swept away with a Data-Out half sent, and cancelled before it can go again: it
 * is not the owner's before the last byte of the old PDU is.
 */
static void lu_reset_with_data_half_sent(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct peer p;
		struct io io, bad;
		uint32_t itt, tmf;

		peer_init(&p);
		p.answers[2] = "InitialR2T=Yes";
		p.answers[3] = "ImmediateData=No";
		peer_up(&p);
		itt = send_none(&p, &bad, LUN1);
		io_write(&io, 1000);
		io_submit(&p, &io);
		peer_expect(&p, PDU_SCSI_CMD);
		session_cancel(p.s, &bad.task, p.now_ns);
		tmf = expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
		itt = io.task.itt;
		tmf_answer(&p, tmf, TMF_RSP_REJECTED);
		tmf = expect_tmf(&p, TMF_LOGICAL_UNIT_RESET, LUN1, PDU_TAG_NONE);
		peer_r2t(&p, itt, 7, 0, 0, 1000);
		peer_pull(&p, 500);
		p.window = 0;
		p.expcmdsn -= 2; /* nothing new may go */
		tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
		p.expcmdsn += 2;
		io_expect(&p, &bad, ISCSI_TASK_CANCELLED);
		assert_int_equal(session_n_tasks(p.s), 1);
		if (how == 0)
			session_cancel(p.s, &io.task, p.now_ns);
		else if (how == 1)
			session_fail_all(p.s, true, p.now_ns);
		else
			peer_tick(&p, 31 * PEER_S);
		peer_expect_no_event(&p);
		peer_expect(&p, PDU_DATA_OUT);
		io_expect(&p, &io,
			  how == 0   ? ISCSI_TASK_CANCELLED
			  : how == 1 ? ISCSI_TASK_LOST
				     : ISCSI_TASK_TIMEOUT);
		assert_int_equal(session_n_tasks(p.s), 0);
		peer_close(&p);
		io_free(&io, 1000);
		io_free(&bad, 0);
	}
}

static void once_and_probe_under_a_reset(void **state)
{
	struct peer p;
	struct io io, once;
	uint32_t itt, tmf;

	start(&p);
	itt = send_none(&p, &io, LUN1);
	io_none(&once);
	once.task.once = true;
	io_submit(&p, &once);
	peer_expect(&p, PDU_SCSI_CMD);
	session_cancel(p.s, &io.task, p.now_ns);
	tmf = expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
	tmf_answer(&p, tmf, TMF_RSP_NOT_SUPPORTED);
	tmf = expect_tmf(&p, TMF_LOGICAL_UNIT_RESET, LUN1, PDU_TAG_NONE);
	tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
	io_expect(&p, &io, ISCSI_TASK_CANCELLED);
	io_expect(&p, &once, ISCSI_TASK_CANCELLED); /* not sent a second time */
	peer_expect_nothing(&p);
	peer_close(&p);
	io_free(&io, 0);
	io_free(&once, 0);
}

/* ---- strays ------------------------------------------------------------ */

static void tmf_answers_nobody_waits_for(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt, tmf;

	start(&p);
	tmf_answer(&p, 5, TMF_RSP_COMPLETE);
	itt = send_none(&p, &io, LUN1);
	session_cancel(p.s, &io.task, p.now_ns);
	tmf = expect_tmf(&p, TMF_ABORT_TASK, LUN1, itt);
	tmf_answer(&p, tmf + 1, TMF_RSP_COMPLETE);
	tmf_answer(&p, itt, TMF_RSP_COMPLETE);
	peer_expect_no_event(&p);
	tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
	io_expect(&p, &io, ISCSI_TASK_CANCELLED);
	tmf_answer(&p, tmf, TMF_RSP_COMPLETE);
	peer_expect_no_event(&p);
	assert_true(conn_alive(p.c));
	peer_close(&p);
	io_free(&io, 0);
}

static void tmf_rejected_is_refused(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start(&p);
	itt = send_none(&p, &io, LUN1);
	session_cancel(p.s, &io.task, p.now_ns);
	for (int i = 0; i < 2; i++) {
		expect_tmf(&p, i ? TMF_LOGICAL_UNIT_RESET : TMF_ABORT_TASK, LUN1,
			   i ? PDU_TAG_NONE : itt);
		peer_send(&p,
			  (struct pdu){.opcode = PDU_REJECT,
				       .final = true,
				       .itt = PDU_TAG_NONE,
				       .u.reject = {.reason = REJECT_IMMEDIATE}},
			  p.seen.bhs, BHS_LEN);
	}
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	io_expect(&p, &io, ISCSI_TASK_CANCELLED);
	peer_close(&p);
	io_free(&io, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_ffp_19_1_timeout_aborts_the_task),
		cmocka_unit_test(timeout_of_one_task),
		cmocka_unit_test(unh_ffp_19_1_every_other_response_escalates),
		cmocka_unit_test(tmf_without_answer_escalates),
		cmocka_unit_test(tmf_deadlines_are_told),
		cmocka_unit_test(response_crosses_the_abort),
		cmocka_unit_test(abort_of_an_ended_task_without_answer),
		cmocka_unit_test(abort_one_after_the_other),
		cmocka_unit_test(r2t_while_the_abort_is_out),
		cmocka_unit_test(abort_with_data_half_sent),
		cmocka_unit_test(cancel_at_every_stage),
		cmocka_unit_test(cancel_while_logging_out),
		cmocka_unit_test(unh_ffp_19_3_lu_reset_of_the_owner),
		cmocka_unit_test(lu_reset_spares_what_came_after),
		cmocka_unit_test(lu_resets_wait_for_each_other),
		cmocka_unit_test(lu_resets_have_a_limit),
		cmocka_unit_test(lu_reset_without_a_connection_waits),
		cmocka_unit_test(lu_reset_and_the_connection_goes),
		cmocka_unit_test(lu_reset_with_data_half_sent),
		cmocka_unit_test(once_and_probe_under_a_reset),
		cmocka_unit_test(tmf_answers_nobody_waits_for),
		cmocka_unit_test(tmf_rejected_is_refused),
	};

	return PEER_RUN("task management", tests);
}
