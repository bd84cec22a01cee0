/* SPDX-License-Identifier: MIT */
/*
 * Conversations that end a connection or warn of its end: logout, asynchronous
 * messages, rejects, digest errors, PDUs that are none. Numbers in the names are
 * those of the UNH-IOL full feature phase procedures for initiators.
 */
#include "iscsi/test-peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void start(struct peer *p)
{
	peer_init(p);
	peer_up(p);
}

/* ---- logout ------------------------------------------------------------ */

static void unh_ffp_17_1_logout_responses(void **state)
{
	for (uint8_t response = 0; response <= 4; response++) {
		struct peer p;
		const struct seen *u;
		struct iovec iov[4];
		struct pdu r = {
			.opcode = PDU_LOGOUT_RSP,
			.final = true,
			.u.logout_rsp = {.response = response, .time2wait = 3, .time2retain = 9}};

		start(&p);
		assert_int_equal(session_logout(p.s, p.now_ns), 0);
		assert_int_equal(session_logout(p.s, p.now_ns), -ENOTCONN);
		u = peer_expect(&p, PDU_LOGOUT_REQ);
		assert_true(u->pdu.final && u->pdu.immediate);
		assert_int_equal(u->pdu.u.logout_req.reason, LOGOUT_CLOSE_SESSION);
		r.itt = u->pdu.itt;
		peer_send(&p, r, NULL, 0);
		peer_expect_event(&p, ISCSI_EV_LOGGED_OUT);
		assert_int_equal(p.event.ev.time2wait_s, 3);
		assert_int_equal(p.event.ev.time2retain_s, 9);
		assert_false(p.event.ev.timed_out);
		peer_expect_no_event(&p);
		assert_false(conn_alive(p.c));
		assert_int_equal(conn_rx_want(p.c, iov, 4), 0);
		assert_int_equal(session_stats(p.s)->n_conn_lost, 0);
		peer_close(&p);
	}
}

static void ffp_17_no_command_after_logout(void **state)
{
	struct peer p;
	struct io io;

	start(&p);
	assert_int_equal(session_logout(p.s, p.now_ns), 0);
	io_none(&io);
	io_submit(&p, &io);
	peer_expect(&p, PDU_LOGOUT_REQ);
	peer_expect_nothing(&p);
	conn_lost(p.c, "closed", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_LOGGED_OUT);
	assert_int_equal(session_n_tasks(p.s), 1); /* the owner decides about it */
	session_fail_all(p.s, true, p.now_ns);
	io_expect(&p, &io, ISCSI_TASK_LOST);
	peer_close(&p);
	io_free(&io, 0);
}

static void ffp_17_logout_without_answer(void **state)
{
	struct peer p;

	start(&p);
	assert_int_equal(session_logout(p.s, p.now_ns), 0);
	peer_expect(&p, PDU_LOGOUT_REQ);
	assert_int_equal(session_deadline_ns(p.s), p.now_ns + 10 * PEER_S);
	peer_tick(&p, 10 * PEER_S - 1);
	peer_expect_no_event(&p);
	peer_tick(&p, 1);
	peer_expect_event(&p, ISCSI_EV_LOGGED_OUT);
	assert_true(p.event.ev.timed_out);
	assert_false(conn_alive(p.c));
	peer_expect_no_event(&p);
	peer_close(&p);
}

static void ffp_17_logout_answer_nobody_asked_for(void **state)
{
	struct peer p;
	struct pdu r = {.opcode = PDU_LOGOUT_RSP, .final = true, .itt = PDU_TAG_NONE};

	start(&p);
	peer_send(&p, r, NULL, 0);
	peer_expect_violation(&p, "nothing we asked");
	peer_close(&p);
	start(&p);
	assert_int_equal(session_logout(p.s, p.now_ns), 0);
	peer_expect(&p, PDU_LOGOUT_REQ);
	peer_send(&p, r, NULL, 0);
	peer_expect_event(&p, ISCSI_EV_LOGGED_OUT); /* gone, as was wanted */
	assert_false(conn_alive(p.c));
	peer_close(&p);
}

/* Commands that are on the wire may still end well before the Logout is answered. */
static void ffp_17_answers_before_the_logout_answer(void **state)
{
	struct peer p;
	struct io io[2];
	uint32_t itt;
	struct pdu r = {.opcode = PDU_LOGOUT_RSP, .final = true};

	start(&p);
	io_read(&io[0], 4);
	io_submit(&p, &io[0]);
	io_read(&io[1], 4);
	io_submit(&p, &io[1]);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	peer_expect(&p, PDU_SCSI_CMD);
	assert_int_equal(session_logout(p.s, p.now_ns), 0);
	r.itt = peer_expect(&p, PDU_LOGOUT_REQ)->pdu.itt;
	io_fill(io[0].bytes, 0, 4);
	peer_data_in(&p, itt, 0, 0, io[0].bytes, 4, true);
	io_expect(&p, &io[0], ISCSI_TASK_OK);
	peer_send(&p, r, NULL, 0);
	peer_expect_event(&p, ISCSI_EV_LOGGED_OUT);
	peer_expect_no_event(&p);
	assert_int_equal(session_n_tasks(p.s), 1);
	peer_close(&p);
	io_free(&io[0], 4);
	io_free(&io[1], 0);
}

/* ---- asynchronous messages --------------------------------------------- */

static struct pdu async(uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3)
{
	return (struct pdu){.opcode = PDU_ASYNC,
			    .final = true,
			    .itt = PDU_TAG_NONE,
			    .lun = UINT64_C(0x0003000000000000),
			    .u.async = {.event = event, .param1 = p1, .param2 = p2, .param3 = p3}};
}

static void unh_ffp_20_1_scsi_event(void **state)
{
	static const uint8_t sense[] = {0, 6, 0x70, 0, 6, 0, 0, 0, 0xee};
	static const struct {
		size_t n_sent, due;
	} cases[] = {{0, 0}, {1, 0}, {2, 0}, {5, 3}, {8, 6}, {9, 6}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer p;

		start(&p);
		peer_send(&p, async(ASYNC_SCSI, 0, 0, 0), sense, cases[i].n_sent);
		peer_expect_event(&p, ISCSI_EV_SCSI_ASYNC);
		assert_true(p.event.ev.lun == UINT64_C(0x0003000000000000));
		assert_int_equal(p.event.ev.n_sense, cases[i].due);
		if (cases[i].due)
			assert_memory_equal(p.event.sense, sense + 2, cases[i].due);
		assert_true(conn_alive(p.c));
		peer_close(&p);
	}
}

static void unh_ffp_14_1_20_2_logout_is_asked_for(void **state)
{
	struct peer p;
	struct io io[2];
	uint32_t itt;
	struct pdu r = {.opcode = PDU_LOGOUT_RSP, .final = true};

	start(&p);
	io_none(&io[0]);
	io_submit(&p, &io[0]);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	peer_send(&p, async(ASYNC_LOGOUT_REQUEST, 0, 0, 7), NULL, 0);
	peer_expect_event(&p, ISCSI_EV_LOGOUT_WANTED);
	assert_int_equal(p.event.ev.time2wait_s, 7);
	/* What runs may end; nothing new is begun. */
	io_none(&io[1]);
	io_submit(&p, &io[1]);
	peer_expect_nothing(&p);
	peer_ping(&p, 4, NULL, 0);
	peer_expect(&p, PDU_NOP_OUT);
	peer_status(&p, itt, 0);
	io_expect(&p, &io[0], ISCSI_TASK_OK);
	peer_send(&p, async(ASYNC_LOGOUT_REQUEST, 0, 0, 3), NULL, 0); /* again */
	assert_true(conn_alive(p.c));
	while (peer_event(&p))
		;
	assert_int_equal(session_logout(p.s, p.now_ns), 0);
	r.itt = peer_expect(&p, PDU_LOGOUT_REQ)->pdu.itt;
	peer_send(&p, async(ASYNC_LOGOUT_REQUEST, 0, 0, 1), NULL, 0); /* crossing ours */
	peer_send(&p, r, NULL, 0);
	while (peer_event(&p) && p.event.ev.kind == ISCSI_EV_LOGOUT_WANTED)
		;
	assert_int_equal(p.event.ev.kind, ISCSI_EV_LOGGED_OUT);
	peer_again(&p);
	session_hold(p.s, false, p.now_ns);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt; /* and is begun there */
	peer_status(&p, itt, 0);
	io_expect(&p, &io[1], ISCSI_TASK_OK);
	peer_close(&p);
	io_free(&io[0], 0);
	io_free(&io[1], 0);
}

static void unh_ffp_20_3_target_drops(void **state)
{
	static const struct {
		uint8_t event;
		uint16_t cid;
		bool down;
	} cases[] = {
		{ASYNC_CONN_DROP, 1, true},
		{ASYNC_CONN_DROP, 2, false}, /* another one than ours */
		{ASYNC_SESSION_DROP, 0, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer p;
		struct io io;

		start(&p);
		io_none(&io);
		io_submit(&p, &io);
		peer_expect(&p, PDU_SCSI_CMD);
		peer_send(&p, async(cases[i].event, cases[i].cid, 11, 22), NULL, 0);
		if (cases[i].down) {
			peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
			assert_int_equal(p.event.ev.time2wait_s, 11);
			assert_int_equal(p.event.ev.time2retain_s, 22);
			assert_int_equal(session_stats(p.s)->n_protocol_errors, 0);
			assert_true(session_is_held(p.s));
		} else {
			peer_expect_no_event(&p);
		}
		assert_int_equal(conn_alive(p.c), !cases[i].down);
		assert_int_equal(session_n_tasks(p.s), 1);
		peer_close(&p);
		io_free(&io, 0);
	}
}

static void unh_ffp_20_4_negotiate_again(void **state)
{
	struct peer p;
	const struct seen *u;
	struct pdu r = {.opcode = PDU_TEXT_RSP, .final = true, .ttt = PDU_TAG_NONE};

	start(&p);
	peer_send(&p, async(ASYNC_NEGOTIATE, 0, 0, 3), NULL, 0);
	peer_send(&p, async(ASYNC_NEGOTIATE, 0, 0, 3), NULL, 0);
	u = peer_expect(&p, PDU_TEXT_REQ);
	assert_int_equal(u->pdu.n_data, 0);
	r.itt = u->pdu.itt;
	peer_expect_nothing(&p);
	peer_send(&p, r, NULL, 0);
	peer_expect_no_event(&p); /* nobody asked for that text */
	assert_int_equal(session_text(p.s, "A=b", 4, p.now_ns), 0);
	peer_close(&p);
}

static void unh_ffp_20_4_others_are_only_told(void **state)
{
	static const uint8_t event[] = {ASYNC_TASKS_TERMINATED, 6, 100, ASYNC_VENDOR};

	for (size_t i = 0; i < ARRAY_SIZE(event); i++) {
		struct peer p;
		struct iscsi_event ev;

		start(&p);
		peer_send(&p, async(event[i], 1, 2, 3), "data", 4);
		assert_true(session_next_event(p.s, &ev));
		assert_int_equal(ev.kind, ISCSI_EV_NOTE);
		assert_true(ev.n_text > 0);
		assert_false(session_next_event(p.s, &ev));
		assert_true(conn_alive(p.c));
		peer_close(&p);
	}
}

/* However much a target has to say, what matters is not lost. */
static void events_flood(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct peer p;
		static const uint8_t event[] = {ASYNC_SCSI, ASYNC_VENDOR, ASYNC_LOGOUT_REQUEST};

		peer_init(&p);
		peer_open(&p);
		peer_connect(&p);
		peer_login(&p);
		for (int k = 0; k < 200; k++)
			peer_send(&p, async(event[i], 0, 0, 0), NULL, 0);
		conn_lost(p.c, "gone", p.now_ns);
		peer_expect_event(&p, ISCSI_EV_UP);
		while (peer_event(&p) && p.event.ev.kind != ISCSI_EV_CONN_DOWN)
			;
		assert_int_equal(p.event.ev.kind, ISCSI_EV_CONN_DOWN);
		assert_string_equal(p.event.text, "gone");
		peer_expect_no_event(&p);
		peer_close(&p);
	}
}

/* An owner that never looks misses the oldest, and no more. */
static void events_nobody_looks_at(void **state)
{
	struct peer p;
	unsigned n = 0;

	peer_init(&p);
	peer_open(&p);
	for (int i = 0; i < 100; i++) {
		peer_connect(&p);
		peer_login(&p);
		if (i % 50 == 0) { /* a text answer that is missed does not block the next */
			assert_int_equal(session_text(p.s, "A=b", 4, p.now_ns), 0);
			assert_true(peer_serve_one(&p));
		}
		conn_lost(p.c, i == 99 ? "last" : "gone", p.now_ns);
		if (i < 99)
			p.c = conn_free(p.c);
	}
	while (peer_event(&p))
		n++;
	assert_int_equal(n, EVENT_RING + EVENTS_OF_CONN);
	assert_int_equal(p.event.ev.kind, ISCSI_EV_CONN_DOWN);
	assert_ptr_equal(p.event.ev.conn, p.c);
	assert_string_equal(p.event.text, "last");
	peer_close(&p);
}

/* What was said of a connection does not outlive it as a dangling pointer. */
static void events_of_a_freed_connection(void **state)
{
	struct peer p;
	struct iscsi_event ev;

	start(&p);
	peer_send(&p, async(ASYNC_SCSI, 0, 0, 0), NULL, 0);
	peer_send(&p, async(ASYNC_VENDOR, 0, 0, 0), NULL, 0);
	conn_lost(p.c, "gone", p.now_ns);
	p.c = conn_free(p.c);
	for (int i = 0; i < 3; i++) {
		assert_true(session_next_event(p.s, &ev));
		assert_null(ev.conn);
	}
	assert_false(session_next_event(p.s, &ev));
	peer_close(&p);
}

/* ---- reject ------------------------------------------------------------ */

static void reject(struct peer *p, const uint8_t *bhs, size_t n, uint8_t reason)
{
	peer_send(p,
		  (struct pdu){.opcode = PDU_REJECT,
			       .final = true,
			       .itt = PDU_TAG_NONE,
			       .u.reject = {.reason = reason}},
		  bhs, n);
}

static void own_ffp_reject_of_a_command(void **state)
{
	static const uint8_t reason[] = {REJECT_PROTOCOL,
					 REJECT_UNSUPPORTED,
					 REJECT_IMMEDIATE,
					 REJECT_TASK_IN_PROGRESS,
					 REJECT_INVALID_FIELD,
					 REJECT_LONG_OPERATION,
					 0x7f};

	for (size_t i = 0; i < ARRAY_SIZE(reason); i++) {
		struct peer p;
		struct io io;

		start(&p);
		io_write(&io, 100000);
		io_submit(&p, &io);
		peer_expect(&p, PDU_SCSI_CMD);
		reject(&p, p.seen.bhs, BHS_LEN, reason[i]);
		while (peer_recv(&p)) /* what was in the line */
			assert_int_equal(p.seen.pdu.opcode, PDU_DATA_OUT);
		io_expect(&p, &io, ISCSI_TASK_REJECTED);
		assert_int_equal(io.task.n_transferred, 0);
		assert_true(conn_alive(p.c));
		io_free(&io, io.n);
		peer_close(&p);
	}
}

/* A bit that fell over on the way is no error of the command: it is sent again. */
static void reject_for_a_data_digest(void **state)
{
	for (int of_data = 0; of_data <= 1; of_data++) {
		struct peer p;
		struct io io;

		peer_init(&p);
		p.answers[2] = "MaxRecvDataSegmentLength=8192";
		peer_up(&p);
		io_write(&io, 20000);
		io_submit(&p, &io);
		peer_expect(&p, PDU_SCSI_CMD);
		if (of_data)
			peer_expect(&p, PDU_DATA_OUT);
		reject(&p, p.seen.bhs, BHS_LEN, REJECT_DATA_DIGEST);
		peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
		peer_expect_no_event(&p);
		assert_int_equal(session_n_tasks(p.s), 1);
		peer_again(&p);
		session_hold(p.s, false, p.now_ns);
		peer_serve_write(&p, &io);
		io_free(&io, io.n);
		peer_close(&p);
	}
}

/* A command that crossed the request to log out waits for the next session. */
static void reject_while_the_target_waits_for_logout(void **state)
{
	for (int asked = 0; asked <= 1; asked++) {
		struct peer p;
		struct io io;
		struct pdu r = {.opcode = PDU_LOGOUT_RSP, .final = true};

		start(&p);
		io_write(&io, 100);
		io_submit(&p, &io);
		peer_expect(&p, PDU_SCSI_CMD);
		if (asked) {
			peer_send(&p, async(ASYNC_LOGOUT_REQUEST, 0, 0, 7), NULL, 0);
			peer_expect_event(&p, ISCSI_EV_LOGOUT_WANTED);
		}
		reject(&p, p.seen.bhs, BHS_LEN, REJECT_WAITING_LOGOUT);
		if (asked) {
			peer_expect_no_event(&p);
			peer_expect_nothing(&p);
			assert_int_equal(session_n_tasks(p.s), 1);
			assert_int_equal(session_logout(p.s, p.now_ns), 0);
			r.itt = peer_expect(&p, PDU_LOGOUT_REQ)->pdu.itt;
			peer_send(&p, r, NULL, 0);
			peer_expect_event(&p, ISCSI_EV_LOGGED_OUT);
		} else {
			peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
		}
		peer_again(&p);
		session_hold(p.s, false, p.now_ns);
		peer_serve_write(&p, &io);
		io_free(&io, io.n);
		peer_close(&p);
	}
}

/* Nobody wants it any more: it does not wait. */
static void reject_while_waiting_of_a_cancelled_command(void **state)
{
	struct peer p;
	struct io io;
	uint8_t bhs[BHS_LEN];

	start(&p);
	io_none(&io);
	io_submit(&p, &io);
	memcpy(bhs, peer_expect(&p, PDU_SCSI_CMD)->bhs, BHS_LEN);
	session_cancel(p.s, &io.task, p.now_ns);
	peer_expect(&p, PDU_TMF_REQ);
	peer_send(&p, async(ASYNC_LOGOUT_REQUEST, 0, 0, 7), NULL, 0);
	peer_expect_event(&p, ISCSI_EV_LOGOUT_WANTED);
	reject(&p, bhs, BHS_LEN, REJECT_WAITING_LOGOUT);
	io_expect(&p, &io, ISCSI_TASK_CANCELLED);
	assert_int_equal(session_n_tasks(p.s), 0);
	peer_close(&p);
	io_free(&io, 0);
}

static void own_ffp_reject_of_others(void **state)
{
	static const struct {
		uint8_t opcode;
		bool alive;
	} cases[] = {
		{PDU_NOP_OUT, true},     {PDU_TMF_REQ, true},    {PDU_DATA_OUT, false},
		{PDU_TEXT_REQ, false},   {PDU_LOGIN_REQ, false}, {PDU_SNACK, false},
		{PDU_LOGOUT_REQ, false}, {PDU_R2T, false},       {PDU_SCSI_CMD, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer p;
		uint8_t bhs[BHS_LEN] = {cases[i].opcode, 0x80};

		start(&p);
		put_be32(bhs + 16, 0x1234);
		reject(&p, bhs, sizeof(bhs), REJECT_PROTOCOL);
		assert_int_equal(conn_alive(p.c), cases[i].alive);
		if (!cases[i].alive)
			peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
		peer_expect_no_event(&p);
		peer_close(&p);
	}
}

/* Our ping was refused: somebody is there. */
static void reject_of_our_ping(void **state)
{
	struct peer p;

	start(&p);
	peer_tick(&p, 5 * PEER_S);
	peer_expect(&p, PDU_NOP_OUT);
	reject(&p, p.seen.bhs, BHS_LEN, REJECT_IMMEDIATE);
	peer_tick(&p, 5 * PEER_S);
	assert_true(conn_alive(p.c));
	peer_expect(&p, PDU_NOP_OUT);
	peer_close(&p);
}

static void reject_of_our_logout(void **state)
{
	struct peer p;

	start(&p);
	assert_int_equal(session_logout(p.s, p.now_ns), 0);
	peer_expect(&p, PDU_LOGOUT_REQ);
	reject(&p, p.seen.bhs, BHS_LEN, REJECT_IMMEDIATE);
	peer_expect_event(&p, ISCSI_EV_LOGGED_OUT);
	assert_false(conn_alive(p.c));
	peer_close(&p);
}

static void reject_that_does_not_say_of_what(void **state)
{
	static const uint8_t bhs[BHS_LEN] = {0x3e};

	for (size_t n = 0; n <= BHS_LEN; n += 12) {
		struct peer p;

		start(&p);
		reject(&p, bhs, n, REJECT_PROTOCOL);
		peer_expect_violation(&p, "does not say of what");
		peer_close(&p);
	}
}

/* ---- the state machine -------------------------------------------------- */

/* Every state and every input, against RFC 7143 §8.1.3 written down once more. */
static void conn_every_state_and_input(void **state)
{
	enum {
		NO = -1
	};
	static const int due[6][7] = {
		/*                         UP             LOGIN_DONE      LOGIN_FAILED LOST
		 *                         LOGOUT_SENT    LOGOUT_WANTED   LOGOUT_DONE */
		[CONN_XPT_WAIT] = {CONN_IN_LOGIN, NO, NO, CONN_DEAD, NO, NO, NO},
		[CONN_IN_LOGIN] = {NO, CONN_LOGGED_IN, CONN_DEAD, CONN_DEAD, NO, NO, NO},
		[CONN_LOGGED_IN] = {NO, NO, NO, CONN_DEAD, CONN_IN_LOGOUT, CONN_LOGOUT_REQUESTED,
				    CONN_DEAD},
		[CONN_IN_LOGOUT] = {NO, NO, NO, CONN_DEAD, NO, CONN_IN_LOGOUT, CONN_DEAD},
		[CONN_LOGOUT_REQUESTED] = {NO, NO, NO, CONN_DEAD, CONN_IN_LOGOUT,
					   CONN_LOGOUT_REQUESTED, CONN_DEAD},
		[CONN_DEAD] = {NO, NO, NO, NO, NO, NO, NO},
	};

	for (int from = 0; from < 6; from++) {
		assert_string_not_equal(conn_state_name((enum conn_state)from), "?");
		for (int input = 0; input < 7; input++) {
			struct iscsi_conn c = {.state = (enum conn_state)from};
			bool moved = conn_move(&c, (enum conn_input)input);

			assert_int_equal(moved, due[from][input] != NO);
			assert_int_equal(c.state, moved ? due[from][input] : from);
		}
	}
}

/* ---- bytes that are wrong ----------------------------------------------- */

static void ffp_pdus_a_target_must_not_send(void **state)
{
	for (unsigned opcode = 0; opcode < 0x40; opcode++) {
		struct peer p;
		struct pdu any;
		uint8_t bhs[BHS_LEN] = {(uint8_t)opcode, 0x80};

		if (opcode >= PDU_NOP_IN && opcode != PDU_LOGIN_RSP && !pdu_decode(&any, bhs))
			continue;
		start(&p);
		peer_feed(&p, bhs, sizeof(bhs));
		peer_expect_violation(&p, "");
		peer_close(&p);
	}
}

static void own_ffp_segment_above_what_we_declared(void **state)
{
	uint8_t *bytes = calloc(1, 262145);

	assert_non_null(bytes);
	for (uint32_t n = 262144; n <= 262145; n++) {
		struct peer p;

		start(&p);
		peer_ping(&p, PDU_TAG_NONE, bytes, n);
		if (n == 262144)
			assert_true(conn_alive(p.c));
		else
			peer_expect_violation(&p, "more than we declared");
		peer_close(&p);
	}
	free(bytes);
}

/* Only commands have additional header segments; they are under the header digest. */
static void own_ffp_ahs_in_what_a_target_sends(void **state)
{
	static const unsigned words[] = {1, 2, 100, 255};

	for (int digest = 0; digest <= 2; digest++) {
		for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
			struct peer p;
			struct pdu u = {.opcode = PDU_NOP_IN,
					.final = true,
					.itt = PDU_TAG_NONE,
					.ttt = 3,
					.n_ahs = (uint8_t)words[i]};
			uint8_t bytes[BHS_LEN + 4 * 255 + 4];
			size_t n = BHS_LEN + 4 * words[i];
			uint32_t crc;

			peer_init(&p);
			if (digest)
				p.answers[0] = "HeaderDigest=CRC32C";
			peer_up(&p);
			peer_number(&p, &u);
			pdu_encode(bytes, &u);
			io_fill(bytes + BHS_LEN, 0, 4 * words[i]);
			crc = digest_crc32c(0, bytes, n);
			for (int k = 0; k < 4 && digest; k++)
				bytes[n++] = (uint8_t)(crc >> 8 * k);
			if (digest == 2)
				bytes[BHS_LEN + 1] ^= 1;
			peer_feed(&p, bytes, n);
			if (digest < 2) {
				peer_expect_violation(&p, "additional header segments");
			} else {
				peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
				assert_non_null(strstr(p.event.text, "header digest"));
			}
			peer_close(&p);
		}
	}
}

/* What the owner's system call brings after the end counts no more. */
static void ffp_late_completions(void **state)
{
	struct peer p;
	struct io io;
	struct iovec iov[4];
	uint8_t bytes[BHS_LEN] = {PDU_NOP_IN, 0x80};
	uint64_t n_rx;

	start(&p);
	io_none(&io);
	io_submit(&p, &io);
	assert_true(conn_tx_peek(p.c, iov, 4, p.now_ns) > 0);
	assert_true(conn_rx_want(p.c, iov, 4) > 0);
	memcpy(iov[0].iov_base, bytes, sizeof(bytes));
	conn_lost(p.c, "gone", p.now_ns);
	n_rx = session_stats(p.s)->n_rx_pdus;
	conn_rx_done(p.c, sizeof(bytes), p.now_ns);
	conn_tx_done(p.c, BHS_LEN, p.now_ns);
	session_tick(p.s, p.now_ns);
	assert_int_equal(session_stats(p.s)->n_rx_pdus, n_rx);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	peer_expect_no_event(&p);
	assert_int_equal(session_n_tasks(p.s), 1);
	peer_close(&p);
	io_free(&io, 0);
}

/* One bit wrong anywhere in a Data-In: noticed, and the command is sent again. */
static void unh_ffp_16_2_digest_errors(void **state)
{
	enum {
		N = 13
	};
	struct peer p;
	size_t n_all = BHS_LEN + 4 + N + 3 + 4;

	for (size_t bit = 0; bit < 8 * n_all; bit += 5) {
		struct io io;
		struct pdu u = {
			.opcode = PDU_DATA_IN, .final = true, .u.data_in = {.has_status = true}};
		uint8_t bytes[BHS_LEN + 4 + N + 3 + 4], data[N];

		peer_init(&p);
		p.answers[0] = "HeaderDigest=CRC32C";
		p.answers[1] = "DataDigest=CRC32C";
		peer_up(&p);
		io_read(&io, N);
		io_submit(&p, &io);
		u.itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
		io_fill(data, 0, N);
		peer_number(&p, &u);
		assert_int_equal(peer_encode(&p, &u, data, N, bytes), n_all);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		peer_feed(&p, bytes, n_all);
		/* A longer length only waits for more. */
		if (conn_alive(p.c)) {
			uint8_t rest[2000] = {0};

			peer_feed(&p, rest, sizeof(rest));
		}
		peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
		assert_non_null(strstr(p.event.text, "digest error"));
		assert_int_equal(session_stats(p.s)->n_digest_errors, 1);
		peer_expect_no_event(&p);
		peer_again(&p);
		session_hold(p.s, false, p.now_ns);
		peer_serve_read(&p, &io, N);
		io_free(&io, N);
		peer_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_ffp_17_1_logout_responses),
		cmocka_unit_test(ffp_17_no_command_after_logout),
		cmocka_unit_test(ffp_17_logout_without_answer),
		cmocka_unit_test(ffp_17_logout_answer_nobody_asked_for),
		cmocka_unit_test(ffp_17_answers_before_the_logout_answer),
		cmocka_unit_test(unh_ffp_20_1_scsi_event),
		cmocka_unit_test(unh_ffp_14_1_20_2_logout_is_asked_for),
		cmocka_unit_test(unh_ffp_20_3_target_drops),
		cmocka_unit_test(unh_ffp_20_4_negotiate_again),
		cmocka_unit_test(unh_ffp_20_4_others_are_only_told),
		cmocka_unit_test(events_flood),
		cmocka_unit_test(events_nobody_looks_at),
		cmocka_unit_test(events_of_a_freed_connection),
		cmocka_unit_test(own_ffp_reject_of_a_command),
		cmocka_unit_test(reject_for_a_data_digest),
		cmocka_unit_test(reject_while_the_target_waits_for_logout),
		cmocka_unit_test(reject_while_waiting_of_a_cancelled_command),
		cmocka_unit_test(own_ffp_reject_of_others),
		cmocka_unit_test(reject_of_our_ping),
		cmocka_unit_test(reject_of_our_logout),
		cmocka_unit_test(reject_that_does_not_say_of_what),
		cmocka_unit_test(conn_every_state_and_input),
		cmocka_unit_test(ffp_pdus_a_target_must_not_send),
		cmocka_unit_test(own_ffp_segment_above_what_we_declared),
		cmocka_unit_test(own_ffp_ahs_in_what_a_target_sends),
		cmocka_unit_test(ffp_late_completions),
		cmocka_unit_test(unh_ffp_16_2_digest_errors),
	};

	return PEER_RUN("end of a connection", tests);
}
