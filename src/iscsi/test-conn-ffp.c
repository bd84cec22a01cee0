/* SPDX-License-Identifier: MIT */
/*
 * Conversations of the full feature phase that are not about data: numbers and the
 * command window, pings, text, logout, asynchronous messages, rejects. Numbers in
 * the names are those of the UNH-IOL full feature phase procedures for initiators.
 */
#include "iscsi/test-peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (s), sizeof(s) - 1

static void start(struct peer *p)
{
	peer_init(p);
	peer_up(p);
}

static void many(struct peer *p, struct io *io, int n)
{
	for (int i = 0; i < n; i++) {
		io_none(&io[i]);
		io_submit(p, &io[i]);
	}
}

static void many_free(struct io *io, int n)
{
	for (int i = 0; i < n; i++)
		io_free(&io[i], 0);
}

/* ---- numbers ----------------------------------------------------------- */

static void unh_ffp_1_1_cmdsn_goes_up_by_one(void **state)
{
	struct peer p;
	struct io io[20];

	start(&p);
	many(&p, io, 20);
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(peer_expect(&p, PDU_SCSI_CMD)->pdu.cmdsn, 0x100 + i);
	peer_expect_nothing(&p);
	peer_close(&p);
	many_free(io, 20);
}

static void unh_ffp_2_1_2_2_immediate_pdus_carry_cmdsn_but_do_not_take_it(void **state)
{
	struct peer p;
	struct io io[2];
	const struct seen *u;

	start(&p);
	peer_ping(&p, 5, NULL, 0);
	u = peer_expect(&p, PDU_NOP_OUT);
	assert_true(u->pdu.immediate);
	assert_int_equal(u->pdu.cmdsn, 0x100);
	many(&p, io, 1);
	assert_int_equal(peer_expect(&p, PDU_SCSI_CMD)->pdu.cmdsn, 0x100);
	peer_ping(&p, 6, NULL, 0);
	assert_int_equal(peer_expect(&p, PDU_NOP_OUT)->pdu.cmdsn, 0x101);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=\0"), p.now_ns), 0);
	assert_int_equal(peer_expect(&p, PDU_TEXT_REQ)->pdu.cmdsn, 0x101);
	many(&p, io + 1, 1);
	assert_int_equal(peer_expect(&p, PDU_SCSI_CMD)->pdu.cmdsn, 0x101);
	assert_int_equal(session_logout(p.s, p.now_ns), 0);
	assert_int_equal(peer_expect(&p, PDU_LOGOUT_REQ)->pdu.cmdsn, 0x102);
	peer_close(&p);
	many_free(io, 2);
}

static void unh_ffp_3_1_window_of_zero(void **state)
{
	struct peer p;
	struct io io[3];

	peer_init(&p);
	p.window = 0;
	peer_up(&p);
	many(&p, io, 3);
	peer_expect_nothing(&p);
	peer_ping(&p, 5, NULL, 0); /* immediate ones go all the same */
	peer_expect(&p, PDU_NOP_OUT);
	peer_expect_nothing(&p);
	p.window = 2;
	peer_ping(&p, PDU_TAG_NONE, NULL, 0);
	peer_expect(&p, PDU_SCSI_CMD);
	peer_expect(&p, PDU_SCSI_CMD);
	peer_expect_nothing(&p);
	peer_close(&p);
	many_free(io, 3);
}

static void unh_ffp_3_2_window_of_one(void **state)
{
	struct peer p;
	struct io io[5];

	peer_init(&p);
	p.window = 1;
	peer_up(&p);
	many(&p, io, 5);
	for (int i = 0; i < 5; i++) {
		uint32_t itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;

		peer_expect_nothing(&p);
		peer_status(&p, itt, 0);
		io_expect(&p, &io[i], ISCSI_TASK_OK);
	}
	peer_close(&p);
	many_free(io, 5);
}

static void unh_ffp_3_3_large_window_is_bounded_by_us(void **state)
{
	struct peer p;
	struct io *io = calloc(200, sizeof(*io));

	assert_non_null(io);
	peer_init(&p);
	p.window = 0x7fffffff;
	p.cfg.n_tasks = 150;
	peer_up(&p);
	many(&p, io, 200);
	for (int i = 0; i < 150; i++)
		peer_expect(&p, PDU_SCSI_CMD);
	peer_expect_nothing(&p);
	assert_int_equal(session_n_tasks(p.s), 200);
	peer_close(&p);
	many_free(io, 200);
	free(io);
}

static void ffp_3_maxcmdsn_does_not_go_back(void **state)
{
	struct peer p;
	struct io io[8];
	struct pdu u = {
		.opcode = PDU_NOP_IN, .final = true, .itt = PDU_TAG_NONE, .ttt = PDU_TAG_NONE};

	peer_init(&p);
	p.window = 4;
	peer_up(&p);
	/* An older number, a void pair (MaxCmdSN before ExpCmdSN - 1), and nonsense far ahead. */
	peer_number(&p, &u);
	u.maxcmdsn = p.expcmdsn;
	peer_put(&p, &u, NULL, 0);
	peer_number(&p, &u);
	u.expcmdsn = p.expcmdsn + 1000;
	u.maxcmdsn = p.expcmdsn + 900;
	peer_put(&p, &u, NULL, 0);
	many(&p, io, 8);
	for (int i = 0; i < 4; i++)
		peer_expect(&p, PDU_SCSI_CMD);
	peer_expect_nothing(&p);
	/* MaxCmdSN = ExpCmdSN - 1 is a closed window, and legal. */
	peer_number(&p, &u);
	u.maxcmdsn = u.expcmdsn - 1;
	peer_put(&p, &u, NULL, 0);
	peer_expect_nothing(&p);
	peer_ping(&p, PDU_TAG_NONE, NULL, 0);
	for (int i = 0; i < 4; i++)
		peer_expect(&p, PDU_SCSI_CMD);
	peer_close(&p);
	many_free(io, 8);
}

static void ffp_numbers_wrap(void **state)
{
	struct peer p;
	struct io io[3];

	peer_init(&p);
	p.cfg.first_cmdsn = 0xfffffff0;
	p.statsn = 0xfffffffa;
	p.window = 3;
	peer_up(&p);
	for (int round = 0; round < 20; round++) {
		uint32_t itt[3];

		many(&p, io, 3);
		for (int i = 0; i < 3; i++)
			itt[i] = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
		peer_expect_nothing(&p);
		for (int i = 0; i < 3; i++) {
			peer_status(&p, itt[i], 0);
			io_expect(&p, &io[i], ISCSI_TASK_OK);
		}
		many_free(io, 3);
	}
	assert_int_equal(p.expcmdsn, 0xfffffff0 + 60);
	peer_ping(&p, 1, NULL, 0);
	assert_int_equal(peer_expect(&p, PDU_NOP_OUT)->pdu.expstatsn, p.statsn);
	peer_close(&p);
}

/* What counts: status in Data-In, responses, answers. What does not: R2T, Data-In, questions. */
static void unh_ffp_5_1_expstatsn_counts_exactly(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt, before;
	uint8_t bytes[64] = {0};

	peer_init(&p);
	p.answers[2] = "InitialR2T=Yes";
	p.answers[3] = "ImmediateData=No";
	peer_up(&p);
	before = p.statsn;
	io_write(&io, 64);
	io_submit(&p, &io);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	peer_r2t(&p, itt, 1, 0, 0, 64);
	assert_int_equal(peer_expect(&p, PDU_DATA_OUT)->pdu.expstatsn, before);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	io_free(&io, 64);
	io_read(&io, 64);
	io_submit(&p, &io);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	assert_int_equal(p.seen.pdu.expstatsn, before + 1);
	peer_data_in(&p, itt, 0, 0, bytes, 32, false);
	peer_ping(&p, 9, NULL, 0);
	assert_int_equal(peer_expect(&p, PDU_NOP_OUT)->pdu.expstatsn, before + 1);
	peer_data_in(&p, itt, 1, 32, bytes, 32, true);
	io_expect(&p, &io, ISCSI_TASK_OK);
	peer_ping(&p, 9, NULL, 0);
	assert_int_equal(peer_expect(&p, PDU_NOP_OUT)->pdu.expstatsn, before + 2);
	peer_close(&p);
	free(io.mem);
}

static void unh_ffp_5_1_gap_or_repeat_in_statsn(void **state)
{
	static const int32_t step[] = {-1, 1, INT32_MIN};

	for (size_t i = 0; i < ARRAY_SIZE(step); i++) {
		for (int in_data = 0; in_data <= 1; in_data++) {
			struct peer p;
			struct io io;
			uint32_t itt;

			start(&p);
			io_read(&io, 4);
			io_submit(&p, &io);
			itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
			p.statsn += (uint32_t)step[i];
			if (in_data)
				peer_data_in(&p, itt, 0, 0, "abcd", 4, true);
			else
				peer_status(&p, itt, 2);
			peer_expect_violation(&p, "StatSN");
			assert_int_equal(io.task.n_refs, 0);
			peer_expect_no_event(&p); /* the task goes to the next connection */
			assert_int_equal(session_n_tasks(p.s), 1);
			peer_close(&p);
			free(io.mem);
		}
	}
}

/* ---- NOP --------------------------------------------------------------- */

static void unh_ffp_15_1_ping_of_the_target_is_answered(void **state)
{
	static const size_t n[] = {0, 1, 4, 511, 8192};
	uint8_t bytes[8192];

	io_fill(bytes, 0, sizeof(bytes));
	for (size_t i = 0; i < ARRAY_SIZE(n); i++) {
		struct peer p;
		const struct seen *u;
		struct pdu ping = {.opcode = PDU_NOP_IN,
				   .final = true,
				   .itt = PDU_TAG_NONE,
				   .ttt = 0xabcd0000 + (uint32_t)i,
				   .lun = UINT64_C(0x0005000000000000)};

		start(&p);
		peer_send(&p, ping, bytes, n[i]);
		u = peer_expect(&p, PDU_NOP_OUT);
		assert_int_equal(u->pdu.ttt, ping.ttt);
		assert_int_equal(u->pdu.lun, ping.lun);
		assert_int_equal(u->pdu.itt, PDU_TAG_NONE);
		assert_true(u->pdu.final && u->pdu.immediate);
		assert_int_equal(u->pdu.n_data, n[i]);
		if (n[i])
			assert_memory_equal(u->data, bytes, n[i]);
		peer_expect_nothing(&p);
		peer_close(&p);
	}
}

/* More than the target itself takes is cut to what it takes. */
static void unh_ffp_15_1_ping_with_more_than_the_target_takes(void **state)
{
	struct peer p;
	const struct seen *u;
	uint8_t bytes[2000];

	io_fill(bytes, 0, sizeof(bytes));
	peer_init(&p);
	p.answers[2] = "MaxRecvDataSegmentLength=512";
	peer_up(&p);
	peer_ping(&p, 1, bytes, sizeof(bytes));
	u = peer_expect(&p, PDU_NOP_OUT);
	assert_int_equal(u->pdu.n_data, 512);
	assert_memory_equal(u->data, bytes, 512);
	peer_close(&p);
}

static void unh_ffp_15_2_our_ping(void **state)
{
	struct peer p;
	const struct seen *u;
	struct pdu pong = {.opcode = PDU_NOP_IN, .final = true, .ttt = PDU_TAG_NONE};

	peer_init(&p);
	p.cfg.nop_interval_ns = 7 * PEER_S;
	p.cfg.nop_timeout_ns = 3 * PEER_S;
	peer_up(&p);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(session_deadline_ns(p.s), p.now_ns + 7 * PEER_S);
		peer_tick(&p, 7 * PEER_S - 1);
		peer_expect_nothing(&p);
		peer_tick(&p, 1);
		u = peer_expect(&p, PDU_NOP_OUT);
		assert_int_equal(u->pdu.ttt, PDU_TAG_NONE);
		assert_int_not_equal(u->pdu.itt, PDU_TAG_NONE);
		assert_true(u->pdu.immediate && u->pdu.final);
		peer_expect_nothing(&p);
		peer_tick(&p, 2 * PEER_S);
		pong.itt = u->pdu.itt;
		peer_send(&p, pong, NULL, 0);
	}
	/* Any byte of the target is a sign of life. */
	peer_tick(&p, 6 * PEER_S);
	peer_ping(&p, PDU_TAG_NONE, NULL, 0);
	peer_tick(&p, 6 * PEER_S);
	peer_expect_nothing(&p);
	peer_close(&p);
}

static void unh_ffp_15_3_unanswered_ping_ends_the_connection(void **state)
{
	struct peer p;

	start(&p);
	peer_tick(&p, 5 * PEER_S);
	peer_expect(&p, PDU_NOP_OUT);
	assert_int_equal(session_deadline_ns(p.s), p.now_ns + 5 * PEER_S);
	peer_tick(&p, 5 * PEER_S - 1);
	peer_expect_no_event(&p);
	peer_tick(&p, 1);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	assert_non_null(strstr(p.event.text, "NOP-Out"));
	assert_false(conn_alive(p.c));
	peer_close(&p);
}

/* A slow line is not a dead one: bytes of other things come while the answer is due. */
static void unh_ffp_15_3_slow_is_not_dead(void **state)
{
	struct peer p;
	struct io io;
	uint8_t byte = 0;
	uint32_t itt;
	struct pdu head = {.opcode = PDU_DATA_IN, .final = true, .u.data_in = {.has_status = true}};
	struct pdu pong = {.opcode = PDU_NOP_IN, .final = true, .ttt = PDU_TAG_NONE};
	uint8_t bhs[BHS_LEN];

	start(&p);
	io_read(&io, 40);
	io_submit(&p, &io);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	peer_tick(&p, 5 * PEER_S);
	pong.itt = peer_expect(&p, PDU_NOP_OUT)->pdu.itt;
	head.itt = itt;
	head.n_data = 40;
	peer_number(&p, &head);
	pdu_encode(bhs, &head);
	peer_feed(&p, bhs, sizeof(bhs));
	for (int i = 0; i < 40; i++) { /* 20 s for the data, then the answer */
		peer_tick(&p, PEER_S / 2);
		peer_feed(&p, &byte, 1);
	}
	io_expect(&p, &io, ISCSI_TASK_OK);
	peer_send(&p, pong, NULL, 0);
	peer_expect_no_event(&p);
	assert_true(conn_alive(p.c));
	free(io.mem);

	/* The other way: the ping waits behind data that goes out slowly. */
	io_write(&io, 200000);
	io_submit(&p, &io);
	peer_pull(&p, 1);
	peer_tick(&p, 5 * PEER_S);
	for (int i = 0; i < 40; i++) {
		peer_tick(&p, PEER_S / 2);
		assert_true(peer_pull(&p, 1000) > 0);
		peer_expect_no_event(&p);
	}
	peer_tick(&p, 5 * PEER_S); /* no byte moves any more */
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	p.n_wire = p.wire_at = 0;
	peer_close(&p);
	free(io.mem);
}

static void ffp_15_answer_to_a_ping_not_sent(void **state)
{
	struct peer p;
	struct pdu pong = {.opcode = PDU_NOP_IN, .final = true, .ttt = PDU_TAG_NONE, .itt = 5};

	start(&p);
	peer_send(&p, pong, NULL, 0);
	peer_expect_violation(&p, "ping that was not sent");
	peer_close(&p);
}

static void nop_flood_of_a_target_that_does_not_read(void **state)
{
	struct peer p;
	int n = 0;

	start(&p);
	while (conn_alive(p.c)) {
		peer_ping(&p, 1, "0123456789", 10);
		assert_true(++n < 10000);
	}
	peer_expect_violation(&p, "more than it reads");
	peer_close(&p);
}

/* ---- text -------------------------------------------------------------- */

static struct pdu text_response(const struct seen *u, bool final)
{
	return (struct pdu){.opcode = PDU_TEXT_RSP,
			    .final = final,
			    .itt = u->pdu.itt,
			    .ttt = final ? PDU_TAG_NONE : 0x99,
			    .lun = 7};
}

static void unh_ffp_18_1_text_request(void **state)
{
	struct peer p;
	const struct seen *u;

	start(&p);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), -EBUSY);
	u = peer_expect(&p, PDU_TEXT_REQ);
	assert_true(u->pdu.final && u->pdu.immediate && !u->pdu.u.text.more);
	assert_int_equal(u->pdu.ttt, PDU_TAG_NONE);
	assert_int_equal(u->pdu.n_data, 16);
	assert_memory_equal(u->data, "SendTargets=All", 16);
	peer_send(&p, text_response(u, true), TEXT("TargetName=a\0"));
	peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
	assert_int_equal(p.event.n_text, 13);
	assert_memory_equal(p.event.text, "TargetName=a", 13);
	peer_close(&p);
}

static void unh_ffp_18_2_text_answer_in_several_pdus(void **state)
{
	for (int more = 0; more <= 1; more++) {
		struct peer p;
		const struct seen *u;
		struct pdu r;
		uint32_t itt;

		start(&p);
		assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
		u = peer_expect(&p, PDU_TEXT_REQ);
		itt = u->pdu.itt;
		for (int i = 0; i < 5; i++) {
			r = text_response(u, false);
			r.u.text.more = more;
			peer_send(&p, r, "abc", 3);
			peer_expect_no_event(&p);
			u = peer_expect(&p, PDU_TEXT_REQ);
			assert_int_equal(u->pdu.itt, itt);
			assert_int_equal(u->pdu.ttt, 0x99);
			assert_int_equal(u->pdu.lun, 7);
			assert_int_equal(u->pdu.n_data, 0);
			assert_true(u->pdu.final);
		}
		peer_send(&p, text_response(u, true), "x", 1);
		peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
		assert_int_equal(p.event.n_text, 16);
		assert_memory_equal(p.event.text, "abcabcabcabcabcx", 16);
		/* The next one begins anew. */
		assert_int_equal(session_text(p.s, TEXT("SendTargets=\0"), p.now_ns), 0);
		u = peer_expect(&p, PDU_TEXT_REQ);
		assert_int_not_equal(u->pdu.itt, itt);
		peer_send(&p, text_response(u, true), NULL, 0);
		peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
		assert_int_equal(p.event.n_text, 0);
		peer_close(&p);
	}
}

static void ffp_18_text_that_is_wrong(void **state)
{
	for (int i = 0; i < 5; i++) {
		struct peer p;
		const struct seen *u;
		struct pdu r;

		start(&p);
		assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
		u = peer_expect(&p, PDU_TEXT_REQ);
		r = text_response(u, true);
		if (i == 0)
			r.itt++;
		else if (i == 1)
			r.ttt = 5; /* final, and to be continued */
		else if (i == 2)
			r.final = false; /* to be continued, without a tag */
		else if (i == 3)
			r.u.text.more = true; /* C and F */
		if (i < 4)
			peer_send(&p, r, TEXT("TargetName=a\0"));
		else
			for (int k = 0; k < 20 && conn_alive(p.c); k++) {
				uint8_t *big = calloc(1, 100000);

				assert_non_null(big);
				peer_send(&p, text_response(u, false), big, 100000);
				free(big);
				if (conn_alive(p.c))
					u = peer_expect(&p, PDU_TEXT_REQ);
			}
		peer_expect_violation(&p, i == 4 ? "1 MiB" : "ext Response");
		peer_expect_no_event(&p);
		peer_close(&p);
	}
}

static void ffp_18_text_nobody_asked_for(void **state)
{
	struct peer p;
	struct pdu r = {
		.opcode = PDU_TEXT_RSP, .final = true, .itt = 0x80000001, .ttt = PDU_TAG_NONE};

	start(&p);
	peer_send(&p, r, TEXT("A=b\0"));
	peer_expect_violation(&p, "nothing we asked");
	peer_close(&p);
}

static void ffp_18_text_without_answer(void **state)
{
	struct peer p;

	peer_init(&p);
	p.cfg.task_timeout_ns = 4 * PEER_S;
	peer_up(&p);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
	assert_int_equal(session_deadline_ns(p.s), p.now_ns + 4 * PEER_S);
	peer_tick(&p, 4 * PEER_S - 1);
	peer_expect_no_event(&p);
	peer_tick(&p, 1);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	assert_non_null(strstr(p.event.text, "Text Request"));
	peer_close(&p);
}

/* The owner learns of the answer only after the connection is gone. */
static void ffp_18_text_answered_and_connection_lost_at_once(void **state)
{
	struct peer p;
	const struct seen *u;
	uint8_t garbage[BHS_LEN] = {0x3e};

	start(&p);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
	u = peer_expect(&p, PDU_TEXT_REQ);
	peer_send(&p, text_response(u, true), TEXT("TargetName=a\0"));
	peer_feed(&p, garbage, sizeof(garbage));
	peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
	assert_memory_equal(p.event.text, "TargetName=a", 13);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	peer_close(&p);
}

static void ffp_18_text_answer_is_kept_until_told(void **state)
{
	struct peer p;
	const struct seen *u;

	start(&p);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
	u = peer_expect(&p, PDU_TEXT_REQ);
	peer_send(&p, text_response(u, true), TEXT("TargetName=a\0"));
	assert_int_equal(session_text(p.s, TEXT("SendTargets=\0"), p.now_ns), -EBUSY);
	peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
	assert_memory_equal(p.event.text, "TargetName=a", 13);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=\0"), p.now_ns), 0);
	peer_close(&p);
}

static void text_needs_a_connection(void **state)
{
	struct peer p;

	peer_init(&p);
	peer_open(&p);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), -ENOTCONN);
	assert_int_equal(session_logout(p.s, p.now_ns), -ENOTCONN);
	peer_connect(&p);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), -ENOTCONN);
	assert_int_equal(session_logout(p.s, p.now_ns), -ENOTCONN);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_ffp_1_1_cmdsn_goes_up_by_one),
		cmocka_unit_test(unh_ffp_2_1_2_2_immediate_pdus_carry_cmdsn_but_do_not_take_it),
		cmocka_unit_test(unh_ffp_3_1_window_of_zero),
		cmocka_unit_test(unh_ffp_3_2_window_of_one),
		cmocka_unit_test(unh_ffp_3_3_large_window_is_bounded_by_us),
		cmocka_unit_test(ffp_3_maxcmdsn_does_not_go_back),
		cmocka_unit_test(ffp_numbers_wrap),
		cmocka_unit_test(unh_ffp_5_1_expstatsn_counts_exactly),
		cmocka_unit_test(unh_ffp_5_1_gap_or_repeat_in_statsn),
		cmocka_unit_test(unh_ffp_15_1_ping_of_the_target_is_answered),
		cmocka_unit_test(unh_ffp_15_1_ping_with_more_than_the_target_takes),
		cmocka_unit_test(unh_ffp_15_2_our_ping),
		cmocka_unit_test(unh_ffp_15_3_unanswered_ping_ends_the_connection),
		cmocka_unit_test(unh_ffp_15_3_slow_is_not_dead),
		cmocka_unit_test(ffp_15_answer_to_a_ping_not_sent),
		cmocka_unit_test(nop_flood_of_a_target_that_does_not_read),
		cmocka_unit_test(unh_ffp_18_1_text_request),
		cmocka_unit_test(unh_ffp_18_2_text_answer_in_several_pdus),
		cmocka_unit_test(ffp_18_text_that_is_wrong),
		cmocka_unit_test(ffp_18_text_nobody_asked_for),
		cmocka_unit_test(ffp_18_text_without_answer),
		cmocka_unit_test(ffp_18_text_answered_and_connection_lost_at_once),
		cmocka_unit_test(ffp_18_text_answer_is_kept_until_told),
		cmocka_unit_test(text_needs_a_connection),
	};

	return PEER_RUN("full feature phase", tests);
}
