/* SPDX-License-Identifier: MIT */
/*
 * A session of several connections: one order of commands, tasks that belong to their
 * connection, and what becomes of them when it goes
 */
#include "iscsi/test-peer.h"

#include <errno.h>
#include <string.h>

static void start_waiting(struct peer *a, struct peer *b, const char *time2wait)
{
	peer_init(a);
	a->cfg.policy = ISCSI_POLICY_ROUND_ROBIN;
	a->cfg.offer.MaxConnections = 4;
	a->cfg.offer.DefaultTime2Wait = 0;
	a->answers[2] = time2wait;
	peer_up(a);
	peer_join(b, a, 2);
}

static void start(struct peer *a, struct peer *b)
{
	start_waiting(a, b, "DefaultTime2Wait=0");
}

static void end(struct peer *a, struct peer *b)
{
	peer_leave(b);
	peer_close(a);
}

/* Submits one and takes it off the wire of @p; the other has nothing. */
static uint32_t send_none(struct peer *p, struct io *io)
{
	io_none(io);
	io_submit(p, io);
	return peer_expect(p, PDU_SCSI_CMD)->pdu.itt;
}

static void lose(struct peer *p, bool last)
{
	conn_lost(p->c, "gone", p->now_ns);
	peer_expect_event(p, ISCSI_EV_CONN_DOWN);
	assert_ptr_equal(p->event.ev.conn, p->c);
	assert_int_equal(p->event.ev.last, last);
	assert_int_equal(p->event.ev.recover_s, 0);
	assert_int_equal(session_is_held(p->s), last);
}

static bool has_text(const struct seen *u, const char *what)
{
	return u->pdu.n_data && memmem(u->data, u->pdu.n_data, what, strlen(what));
}

/* The TSIH is the session's, and what the whole session has negotiated is not offered again. */
static void further_connection_logs_in_to_the_session(void **state)
{
	struct peer a, b;
	bool digest = false;

	peer_init(&a);
	a.cfg.offer.MaxConnections = 2;
	peer_up(&a);
	peer_join_start(&b, &a, 2);
	while (!b.in_full_feature) {
		assert_true(peer_serve_one(&b));
		assert_false(has_text(&b.seen, "MaxConnections="));
		assert_false(has_text(&b.seen, "ErrorRecoveryLevel="));
		assert_false(has_text(&b.seen, "InitialR2T="));
		digest |= has_text(&b.seen, "HeaderDigest=");
	}
	assert_true(digest);
	peer_expect_event(&b, ISCSI_EV_UP);
	end(&a, &b);
}

static void as_many_connections_as_negotiated(void **state)
{
	struct peer a, b;
	struct iscsi_conn *c = NULL;

	peer_init(&a);
	a.cfg.offer.MaxConnections = 2;
	peer_open(&a);
	peer_connect(&a);
	assert_int_equal(conn_new(&c, a.s, 2), -EBUSY); /* the first has to be up */
	peer_login(&a);
	peer_expect_event(&a, ISCSI_EV_UP);
	assert_int_equal(conn_new(&c, a.s, 1), -EBUSY); /* that CID is in use */
	peer_join(&b, &a, 2);
	assert_int_equal(conn_new(&c, a.s, 3), -EBUSY);
	lose(&b, false);
	assert_int_equal(conn_new(&c, a.s, 3), 0); /* the dead one does not count */
	assert_null(conn_free(c));
	assert_true(conn_alive(a.c));
	peer_expect_no_event(&a);
	end(&a, &b);
}

/* One CmdSN order over all (the peers check it), each connection with its own StatSN. */
static void unh_ffp_1_1_one_order_over_all_connections(void **state)
{
	struct peer a, b;
	struct io io[8];
	uint32_t itt[8];

	start(&a, &b);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 8; i++) {
			io_none(&io[i]);
			io_submit(&a, &io[i]);
		}
		for (int i = 0; i < 8; i++)
			itt[i] = peer_expect(i & 1 ? &b : &a, PDU_SCSI_CMD)->pdu.itt;
		assert_int_equal(a.expcmdsn, a.cfg.first_cmdsn + 8u * (unsigned)(round + 1));
		for (int i = 7; i >= 0; i--)
			peer_status(i & 1 ? &b : &a, itt[i], 0);
		for (int i = 0; i < 8; i++) {
			peer_expect_event(&a, ISCSI_EV_TASK_DONE);
			assert_int_equal(a.event.ev.task->result, ISCSI_TASK_OK);
		}
		peer_ping(&a, 5, NULL, 0);
		assert_int_equal(peer_expect(&a, PDU_NOP_OUT)->pdu.expstatsn, a.statsn);
		peer_ping(&b, 6, NULL, 0);
		assert_int_equal(peer_expect(&b, PDU_NOP_OUT)->pdu.expstatsn, b.statsn);
		for (int i = 0; i < 8; i++)
			io_free(&io[i], 0);
	}
	end(&a, &b);
}

/* The window is the session's. */
static void unh_ffp_3_2_window_of_one_over_two_connections(void **state)
{
	struct peer a, b;
	struct io io[2];
	uint32_t itt;

	peer_init(&a);
	a.cfg.policy = ISCSI_POLICY_ROUND_ROBIN;
	a.cfg.offer.MaxConnections = 2;
	a.window = 1;
	peer_up(&a);
	peer_join(&b, &a, 2);
	io_none(&io[1]);
	itt = send_none(&a, &io[0]);
	io_submit(&a, &io[1]);
	peer_expect_nothing(&a);
	peer_expect_nothing(&b);
	peer_status(&a, itt, 0);
	io_expect(&a, &io[0], ISCSI_TASK_OK);
	peer_expect(&b, PDU_SCSI_CMD);
	end(&a, &b);
	io_free(&io[0], 0);
	io_free(&io[1], 0);
}

/* Data goes where the command went. */
static void reads_and_writes_stay_on_their_connection(void **state)
{
	struct peer a, b;
	struct io out, in;

	start(&a, &b);
	io_write(&out, 200000);
	io_submit(&a, &out);
	io_read(&in, 50000);
	io_submit(&a, &in);
	peer_serve_write(&a, &out);
	peer_serve_read(&b, &in, 3000);
	peer_expect_nothing(&a);
	peer_expect_nothing(&b);
	end(&a, &b);
	io_free(&out, out.n);
	io_free(&in, in.n);
}

/* A PDU for a task of another connection ends the one it came over, and not the task. */
static void own_ffp_allegiance_on_another_connection(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct peer a, b;
		struct io io;
		uint32_t itt;
		uint8_t data[10] = {0};

		start(&a, &b);
		if (how == 2)
			io_write(&io, 300000);
		else
			io_read(&io, 10);
		io_submit(&a, &io);
		itt = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
		if (how == 0)
			peer_status(&b, itt, 0);
		else if (how == 1)
			peer_data_in(&b, itt, 0, 0, data, 10, true);
		else
			peer_r2t(&b, itt, 7, 0, io.task.n_granted, 100);
		peer_expect_violation(&b, "for no command of this connection");
		assert_true(conn_alive(a.c));
		assert_false(session_is_held(a.s));
		assert_int_equal(session_n_sent(a.s), 1);
		peer_expect_no_event(&a);
		end(&a, &b);
		io_free(&io, 0);
	}
}

/* ---- a connection is lost, another is there ----------------------------- */

/* The target had it: it has ended it with the Logout, and it goes as a new command. */
static void loss_of_one_of_two(void **state)
{
	for (uint8_t response = 0; response <= 1; response++) {
		struct peer a, b;
		struct io x, y;
		uint32_t itt, cmdsn;

		start(&a, &b);
		send_none(&a, &x);
		cmdsn = a.seen.pdu.cmdsn;
		itt = send_none(&b, &y);
		lose(&a, false);
		peer_expect_nothing(&b); /* until time moves: nothing is sent by itself */
		peer_tick(&b, 1);
		itt = peer_expect_logout(&b, LOGOUT_CLOSE_CONNECTION, 1);
		peer_expect_nothing(&b);
		peer_status(&b, y.task.itt, 0);
		io_expect(&b, &y, ISCSI_TASK_OK); /* the others go on */
		peer_answer_logout(&b, itt, response);
		peer_expect(&b, PDU_SCSI_CMD);
		assert_int_not_equal(b.seen.pdu.cmdsn, cmdsn);
		peer_status(&b, b.seen.pdu.itt, 0);
		io_expect(&b, &x, ISCSI_TASK_OK);
		peer_expect_no_event(&b);
		end(&a, &b);
		io_free(&x, 0);
		io_free(&y, 0);
	}
}

/* The target never had it: the same ITT, CmdSN and CDB again, so that no number is missing. */
static void unh_ffp_4_1_retry_keeps_itt_and_cmdsn(void **state)
{
	struct peer a, b;
	struct io x[3], y;
	uint32_t itt[3], cmdsn[3], logout;

	start(&a, &b);
	send_none(&a, &y);
	peer_status(&a, y.task.itt, 0);
	io_expect(&a, &y, ISCSI_TASK_OK);
	/* The next goes to b, but b's target never sees what b sends. */
	a.several = true;
	b.loose = true;
	conn_set_path(a.c, true, 0);
	for (int i = 0; i < 3; i++) {
		io_write(&x[i], 100);
		x[i].task.cdb[15] = (uint8_t)i;
		io_submit(&a, &x[i]);
	}
	itt[0] = peer_expect(&b, PDU_SCSI_CMD)->pdu.itt;
	cmdsn[0] = b.seen.pdu.cmdsn;
	itt[1] = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	cmdsn[1] = a.seen.pdu.cmdsn;
	itt[2] = peer_expect(&b, PDU_SCSI_CMD)->pdu.itt;
	cmdsn[2] = b.seen.pdu.cmdsn;
	lose(&b, false);
	peer_tick(&a, 1);
	logout = peer_expect_logout(&a, LOGOUT_CLOSE_CONNECTION, 2);
	assert_int_equal(a.expcmdsn, cmdsn[0]); /* a hole at the target */
	peer_answer_logout(&a, logout, 0);
	for (int i = 0; i < 3; i += 2) {
		peer_expect(&a, PDU_SCSI_CMD);
		assert_int_equal(a.seen.pdu.itt, itt[i]);
		assert_int_equal(a.seen.pdu.cmdsn, cmdsn[i]);
		assert_int_equal(a.seen.pdu.n_data, 100);
		assert_int_equal(a.seen.pdu.u.scsi_cmd.cdb[15], i);
	}
	peer_expect_nothing(&a);
	for (int i = 0; i < 3; i++) {
		peer_status(&a, itt[i], 0);
		io_expect(&a, &x[i], ISCSI_TASK_OK);
	}
	end(&a, &b);
	io_free(&y, 0);
	for (int i = 0; i < 3; i++)
		io_free(&x[i], 100);
}

/* Once, or given up, and the target never had it: a NOP-Out takes the number. */
static void hole_of_a_task_that_ends_is_filled(void **state)
{
	for (int cancel = 0; cancel <= 1; cancel++) {
		struct peer a, b;
		struct io x, y;
		uint32_t cmdsn, logout;

		start(&a, &b);
		a.loose = true; /* its target never sees it */
		io_none(&x);
		x.task.once = !cancel;
		io_submit(&a, &x);
		peer_expect(&a, PDU_SCSI_CMD);
		cmdsn = a.seen.pdu.cmdsn;
		lose(&a, false);
		if (cancel)
			session_cancel(a.s, &x.task, a.now_ns);
		peer_expect_no_event(&b);
		peer_tick(&b, 1);
		logout = peer_expect_logout(&b, LOGOUT_CLOSE_CONNECTION, 1);
		peer_answer_logout(&b, logout, 0);
		io_expect(&b, &x, cancel ? ISCSI_TASK_CANCELLED : ISCSI_TASK_LOST);
		peer_expect(&b, PDU_NOP_OUT);
		assert_false(b.seen.pdu.immediate);
		assert_int_equal(b.seen.pdu.cmdsn, cmdsn);
		peer_send(&b,
			  (struct pdu){.opcode = PDU_NOP_IN,
				       .final = true,
				       .itt = b.seen.pdu.itt,
				       .ttt = PDU_TAG_NONE},
			  NULL, 0);
		send_none(&b, &y);
		assert_int_equal(b.seen.pdu.cmdsn, cmdsn + 1);
		assert_true(conn_alive(b.c));
		end(&a, &b);
		io_free(&x, 0);
		io_free(&y, 0);
	}
}

/* The NOP-Out that fills the hole goes with its connection: nobody can fill it any more. */
static void loss_of_what_fills_a_hole(void **state)
{
	struct peer a, b, c;
	struct io x;

	start(&a, &b);
	peer_join(&c, &a, 3);
	a.loose = true; /* its target never sees it */
	io_none(&x);
	x.task.once = true;
	io_submit(&a, &x);
	peer_expect(&a, PDU_SCSI_CMD);
	lose(&a, false);
	peer_tick(&b, 1);
	peer_answer_logout(&b, peer_expect_logout(&b, LOGOUT_CLOSE_CONNECTION, 1), 0);
	io_expect(&b, &x, ISCSI_TASK_LOST);
	conn_lost(b.c, "gone", b.now_ns);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_ptr_equal(a.event.ev.conn, b.c);
	assert_false(a.event.ev.last);
	peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
	assert_ptr_equal(a.event.ev.conn, c.c);
	assert_true(a.event.ev.last);
	assert_false(conn_alive(c.c));
	assert_true(session_is_held(a.s));
	peer_leave(&c);
	end(&a, &b);
	io_free(&x, 0);
}

/* The target had it and has ended it: once means that it is lost. */
static void once_over_the_loss_of_one_of_two(void **state)
{
	struct peer a, b;
	struct io x;

	start(&a, &b);
	io_none(&x);
	x.task.once = true;
	io_submit(&a, &x);
	peer_expect(&a, PDU_SCSI_CMD);
	lose(&a, false);
	peer_tick(&b, 1);
	peer_answer_logout(&b, peer_expect_logout(&b, LOGOUT_CLOSE_CONNECTION, 1), 0);
	io_expect(&b, &x, ISCSI_TASK_LOST);
	peer_expect_nothing(&b);
	end(&a, &b);
	io_free(&x, 0);
}

static void time2wait_before_the_logout(void **state)
{
	struct peer a, b;
	struct io x;

	start_waiting(&a, &b, "DefaultTime2Wait=3");
	send_none(&a, &x);
	lose(&a, false);
	assert_int_equal(a.event.ev.time2wait_s, 3);
	peer_tick(&b, PEER_S);
	peer_expect_nothing(&b);
	assert_true(session_deadline_ns(b.s) <= b.now_ns + 2 * PEER_S);
	peer_tick(&b, 2 * PEER_S);
	peer_expect_logout(&b, LOGOUT_CLOSE_CONNECTION, 1);
	end(&a, &b);
	io_free(&x, 0);
}

/* A connection without tasks goes without a word. */
static void loss_without_tasks(void **state)
{
	struct peer a, b;

	start(&a, &b);
	lose(&a, false);
	peer_tick(&b, PEER_S);
	peer_expect_nothing(&b);
	lose(&b, true);
	end(&a, &b);
}

/* A loss waits for somebody to ask; who logs out is nobody, and the time must not stand still. */
static void loss_while_the_rest_logs_out(void **state)
{
	struct peer a, b;
	struct io io[2];

	start(&a, &b);
	send_none(&a, &io[0]);
	send_none(&b, &io[1]);
	lose(&b, false);
	assert_int_equal(session_logout(a.s, a.now_ns), 0);
	session_tick(a.s, a.now_ns);
	assert_true(session_deadline_ns(a.s) > a.now_ns);
	end(&a, &b);
	io_free(&io[0], 0);
	io_free(&io[1], 0);
}

/* The target cannot put the lost connection away, or does not answer: session recovery. */
static void logout_of_the_lost_fails(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct peer a, b;
		struct io x, y;
		uint32_t logout;

		start(&a, &b);
		send_none(&a, &x);
		send_none(&b, &y);
		lose(&a, false);
		peer_tick(&b, 1);
		logout = peer_expect_logout(&b, LOGOUT_CLOSE_CONNECTION, 1);
		if (how == 0) {
			peer_ping(&b, PDU_TAG_NONE, NULL, 0);
			for (int i = 0; i < 11 && conn_alive(b.c); i++) {
				peer_ping(&b, PDU_TAG_NONE, NULL, 0);
				peer_tick(&b, PEER_S);
			}
		} else {
			peer_answer_logout(&b, logout, how == 1 ? LOGOUT_RSP_FAILED : 77);
		}
		peer_expect_event(&b, ISCSI_EV_CONN_DOWN);
		assert_true(b.event.ev.last);
		assert_true(session_is_held(b.s));
		peer_expect_no_event(&b);
		assert_int_equal(session_n_tasks(b.s), 2);
		/* Both go again in the old order, in a new session. */
		a.c = conn_free(a.c);
		b.c = conn_free(b.c);
		a.several = false;
		a.statsn += 100;
		peer_connect(&a);
		peer_login(&a);
		peer_expect_event(&a, ISCSI_EV_UP);
		session_hold(a.s, false, a.now_ns);
		peer_expect(&a, PDU_SCSI_CMD);
		assert_int_equal(a.seen.pdu.itt, x.task.itt);
		peer_expect(&a, PDU_SCSI_CMD);
		assert_int_equal(a.seen.pdu.itt, y.task.itt);
		end(&a, &b);
		io_free(&x, 0);
		io_free(&y, 0);
	}
}

/* The connection that asked goes, too: a third asks for both. */
static void loss_of_the_connection_that_asked(void **state)
{
	struct peer a, b, c;
	struct io x;

	start(&a, &b);
	peer_join(&c, &a, 3);
	send_none(&a, &x);
	lose(&a, false);
	peer_tick(&b, 1);
	peer_expect_logout(&b, LOGOUT_CLOSE_CONNECTION, 1);
	lose(&b, false);
	peer_tick(&c, 2);
	peer_answer_logout(&c, peer_expect_logout(&c, LOGOUT_CLOSE_CONNECTION, 1), 0);
	peer_expect(&c, PDU_SCSI_CMD);
	peer_status(&c, c.seen.pdu.itt, 0);
	io_expect(&c, &x, ISCSI_TASK_OK);
	peer_leave(&c);
	end(&a, &b);
	io_free(&x, 0);
}

/* ---- what the target says of connections -------------------------------- */

static void async(struct peer *p, uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3)
{
	peer_send(
		p,
		(struct pdu){.opcode = PDU_ASYNC,
			     .final = true,
			     .itt = PDU_TAG_NONE,
			     .u.async = {.event = event, .param1 = p1, .param2 = p2, .param3 = p3}},
		NULL, 0);
}

static void unh_ffp_20_3_drop_of_another_connection(void **state)
{
	struct peer a, b;

	start(&a, &b);
	async(&b, ASYNC_CONN_DROP, 1, 4, 5);
	peer_expect_event(&b, ISCSI_EV_CONN_DOWN);
	assert_ptr_equal(b.event.ev.conn, a.c);
	assert_false(b.event.ev.last);
	assert_int_equal(b.event.ev.time2wait_s, 4);
	assert_int_equal(b.event.ev.time2retain_s, 5);
	assert_false(conn_alive(a.c));
	assert_true(conn_alive(b.c));
	async(&b, ASYNC_CONN_DROP, 99, 0, 0); /* none that we know */
	peer_expect_no_event(&b);
	assert_true(conn_alive(b.c));
	end(&a, &b);
}

static void unh_ffp_20_3_drop_of_all_connections(void **state)
{
	struct peer a, b;
	struct io x, y;

	start(&a, &b);
	send_none(&a, &x);
	send_none(&b, &y);
	async(&a, ASYNC_SESSION_DROP, 0, 4, 5);
	for (int i = 0; i < 2; i++) {
		peer_expect_event(&a, ISCSI_EV_CONN_DOWN);
		assert_int_equal(a.event.ev.last, i == 1);
		assert_int_equal(a.event.ev.time2wait_s, 4);
		assert_int_equal(a.event.ev.recover_s, 0);
	}
	peer_expect_no_event(&a);
	assert_false(conn_alive(a.c) || conn_alive(b.c));
	assert_true(session_is_held(a.s));
	assert_int_equal(session_n_tasks(a.s), 2);
	assert_int_equal(session_n_sent(a.s), 0);
	end(&a, &b);
	io_free(&x, 0);
	io_free(&y, 0);
}

/* The target asks for the logout of one: it gets no new tasks, and leaves when it has none. */
static void unh_ffp_14_2_logout_of_one_of_several(void **state)
{
	struct peer a, b;
	struct io x, y, z;
	uint32_t itt;

	start(&a, &b);
	itt = send_none(&a, &x);
	async(&a, ASYNC_LOGOUT_REQUEST, 0, 0, 7);
	peer_expect_event(&a, ISCSI_EV_LOGOUT_WANTED);
	assert_ptr_equal(a.event.ev.conn, a.c);
	assert_int_equal(session_remove_conn(a.s, a.c, a.now_ns), 0);
	peer_expect_nothing(&a);
	send_none(&b, &y);
	send_none(&b, &z); /* in turn it would be the other's */
	peer_expect_nothing(&a);
	peer_status(&a, itt, 0);
	io_expect(&a, &x, ISCSI_TASK_OK);
	peer_answer_logout(&a, peer_expect_logout(&a, LOGOUT_CLOSE_CONNECTION, 1), 0);
	peer_expect_event(&a, ISCSI_EV_LOGGED_OUT);
	assert_ptr_equal(a.event.ev.conn, a.c);
	assert_false(a.event.ev.last);
	assert_false(a.event.ev.timed_out);
	assert_false(conn_alive(a.c));
	assert_true(conn_alive(b.c));
	assert_false(session_is_held(a.s));
	peer_status(&b, y.task.itt, 0);
	io_expect(&b, &y, ISCSI_TASK_OK);
	assert_int_equal(session_remove_conn(b.s, b.c, b.now_ns), -EBUSY); /* the only one */
	end(&a, &b);
	io_free(&x, 0);
	io_free(&y, 0);
	io_free(&z, 0);
}

/* What is still there after the bound goes over the other connection. */
static void removal_with_tasks_that_do_not_end(void **state)
{
	struct peer a, b;
	struct io x;

	start(&a, &b);
	send_none(&a, &x);
	assert_int_equal(session_remove_conn(a.s, a.c, a.now_ns), 0);
	peer_expect_nothing(&a);
	for (int i = 0; i < 10; i++) {
		peer_ping(&a, PDU_TAG_NONE, NULL, 0);
		peer_ping(&b, PDU_TAG_NONE, NULL, 0);
		b.now_ns += PEER_S;
		peer_tick(&a, PEER_S);
	}
	peer_answer_logout(&a, peer_expect_logout(&a, LOGOUT_CLOSE_CONNECTION, 1), 0);
	peer_expect_event(&a, ISCSI_EV_LOGGED_OUT);
	peer_expect(&b, PDU_SCSI_CMD);
	peer_status(&b, b.seen.pdu.itt, 0);
	io_expect(&b, &x, ISCSI_TASK_OK);
	end(&a, &b);
	io_free(&x, 0);
}

/* The session's end is the end of all its connections. */
static void session_logout_ends_all(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct peer a, b;
		struct io x;
		uint32_t itt;

		start(&a, &b);
		send_none(&a, &x);
		assert_int_equal(session_logout(a.s, a.now_ns), 0);
		itt = peer_expect_logout(&a, LOGOUT_CLOSE_SESSION, 1);
		if (how == 0)
			peer_answer_logout(&a, itt, 0);
		else if (how == 1)
			conn_lost(a.c, "gone", a.now_ns);
		else
			peer_tick(&a, 11 * PEER_S);
		if (how == 2 && peer_event(&a)->ev.kind == ISCSI_EV_CONN_DOWN)
			assert_false(a.event.ev.last);
		else if (how != 2)
			peer_expect_event(&a, ISCSI_EV_LOGGED_OUT);
		assert_ptr_equal(a.event.ev.conn, a.c);
		assert_true(a.event.ev.last);
		assert_int_equal(a.event.ev.timed_out, how > 0);
		peer_expect_no_event(&a);
		assert_false(conn_alive(a.c) || conn_alive(b.c));
		assert_int_equal(session_n_tasks(a.s), 1);
		end(&a, &b);
		io_free(&x, 0);
	}
}

/* A text goes with its own connection and with no other. */
static void text_and_the_other_connection(void **state)
{
	struct peer a, b;
	uint32_t itt;

	start(&a, &b);
	assert_int_equal(session_text(a.s, "A=b", 4, a.now_ns), 0);
	itt = peer_expect(&a, PDU_TEXT_REQ)->pdu.itt;
	lose(&b, false);
	peer_send(&a,
		  (struct pdu){
			  .opcode = PDU_TEXT_RSP, .final = true, .itt = itt, .ttt = PDU_TAG_NONE},
		  "C=d", 4);
	peer_expect_event(&a, ISCSI_EV_TEXT_DONE);
	end(&a, &b);
}

/* After a reset what another connection still carries of its tasks is no mistake. */
static void late_answers_after_a_reset(void **state)
{
	struct peer a, b;
	struct io x, y;
	uint32_t tmf, itt_x, itt_y;
	uint8_t data[10] = {0};

	start(&a, &b);
	io_none(&x);
	io_submit(&a, &x);
	itt_x = peer_expect(&a, PDU_SCSI_CMD)->pdu.itt;
	io_read(&y, 10);
	io_submit(&a, &y);
	itt_y = peer_expect(&b, PDU_SCSI_CMD)->pdu.itt;
	assert_int_equal(session_tmf(a.s, TMF_LOGICAL_UNIT_RESET, x.task.lun, a.now_ns), 0);
	tmf = peer_expect(&a, PDU_TMF_REQ)->pdu.itt;
	peer_send(&a, (struct pdu){.opcode = PDU_TMF_RSP, .final = true, .itt = tmf}, NULL, 0);
	peer_expect_event(&a, ISCSI_EV_TMF_DONE);
	assert_int_equal(a.event.ev.tmf_response, 0);
	io_expect(&a, &x, ISCSI_TASK_CANCELLED);
	io_expect(&a, &y, ISCSI_TASK_CANCELLED);
	peer_data_in(&b, itt_y, 0, 0, data, 10, true);
	peer_status(&b, itt_y, 0);
	peer_expect_no_event(&a);
	assert_true(conn_alive(b.c));
	/* One that never was is one. */
	peer_status(&b, itt_x + 0x1000, 0);
	peer_expect_violation(&b, "no command");
	end(&a, &b);
	io_free(&x, 0);
	io_free(&y, 0);
}

/* Each connection is asked by itself whether it lives. */
static void unh_ffp_15_3_ping_of_each_connection(void **state)
{
	struct peer a, b;
	uint32_t itt;

	start(&a, &b);
	a.now_ns += 5 * PEER_S;
	peer_tick(&b, 5 * PEER_S);
	itt = peer_expect(&a, PDU_NOP_OUT)->pdu.itt;
	peer_expect(&b, PDU_NOP_OUT);
	peer_send(
		&a,
		(struct pdu){.opcode = PDU_NOP_IN, .final = true, .itt = itt, .ttt = PDU_TAG_NONE},
		NULL, 0);
	peer_tick(&b, 5 * PEER_S);
	peer_expect_event(&b, ISCSI_EV_CONN_DOWN);
	assert_ptr_equal(b.event.ev.conn, b.c);
	assert_false(b.event.ev.last);
	assert_true(conn_alive(a.c));
	end(&a, &b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(further_connection_logs_in_to_the_session),
		cmocka_unit_test(as_many_connections_as_negotiated),
		cmocka_unit_test(unh_ffp_1_1_one_order_over_all_connections),
		cmocka_unit_test(unh_ffp_3_2_window_of_one_over_two_connections),
		cmocka_unit_test(reads_and_writes_stay_on_their_connection),
		cmocka_unit_test(own_ffp_allegiance_on_another_connection),
		cmocka_unit_test(loss_of_one_of_two),
		cmocka_unit_test(unh_ffp_4_1_retry_keeps_itt_and_cmdsn),
		cmocka_unit_test(hole_of_a_task_that_ends_is_filled),
		cmocka_unit_test(loss_of_what_fills_a_hole),
		cmocka_unit_test(once_over_the_loss_of_one_of_two),
		cmocka_unit_test(time2wait_before_the_logout),
		cmocka_unit_test(loss_without_tasks),
		cmocka_unit_test(loss_while_the_rest_logs_out),
		cmocka_unit_test(logout_of_the_lost_fails),
		cmocka_unit_test(loss_of_the_connection_that_asked),
		cmocka_unit_test(unh_ffp_20_3_drop_of_another_connection),
		cmocka_unit_test(unh_ffp_20_3_drop_of_all_connections),
		cmocka_unit_test(unh_ffp_14_2_logout_of_one_of_several),
		cmocka_unit_test(removal_with_tasks_that_do_not_end),
		cmocka_unit_test(session_logout_ends_all),
		cmocka_unit_test(text_and_the_other_connection),
		cmocka_unit_test(late_answers_after_a_reset),
		cmocka_unit_test(unh_ffp_15_3_ping_of_each_connection),
	};

	return PEER_RUN("several connections", tests);
}
