/* SPDX-License-Identifier: MIT */
/*
 * Conversations about text in full feature phase: long requests, what the target may
 * change, and how an exchange ends other than well.
 */
#include "iscsi/test-login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TTT 0x99

static void start(struct peer *p)
{
	peer_init(p);
	peer_up(p);
}

static struct pdu answer(const struct seen *u, bool final)
{
	return (struct pdu){.opcode = PDU_TEXT_RSP,
			    .final = final,
			    .itt = u->pdu.itt,
			    .ttt = final ? PDU_TAG_NONE : TTT,
			    .lun = 7};
}

static struct pdu negotiate(void)
{
	return (struct pdu){
		.opcode = PDU_ASYNC,
		.final = true,
		.itt = PDU_TAG_NONE,
		.u.async = {.event = ASYNC_NEGOTIATE, .param3 = 3},
	};
}

/* The target asks to negotiate; our empty request. */
static const struct seen *start_negotiation(struct peer *p)
{
	const struct seen *u;

	peer_send(p, negotiate(), NULL, 0);
	u = peer_expect(p, PDU_TEXT_REQ);
	assert_int_equal(u->pdu.n_data, 0);
	assert_true(u->pdu.final);
	assert_int_equal(u->pdu.ttt, PDU_TAG_NONE);
	return u;
}

/* ---- questions --------------------------------------------------------- */

static void asks(const char *text, size_t n)
{
	struct peer p;
	const struct seen *u;

	start(&p);
	assert_int_equal(session_text(p.s, text, n, p.now_ns), 0);
	u = peer_expect(&p, PDU_TEXT_REQ);
	assert_int_equal(u->pdu.n_data, n);
	assert_memory_equal(u->data, text, n);
	peer_send(&p, answer(u, true), TEXT("TargetName=iqn.x\0TargetAddress=[fe80::1]:3260,1\0"));
	peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
	assert_false(p.event.ev.rejected);
	assert_int_equal(p.event.n_text, 48);
	assert_memory_equal(p.event.text, "TargetName=iqn.x\0TargetAddress=[fe80::1]:3260,1", 48);
	peer_close(&p);
}

static void unh_ffp_18_3_send_targets_name(void **state)
{
	asks(TEXT("SendTargets=iqn.2026-11.test:target\0"));
}

/* In a normal session: what else leads to the target of this one? */
static void unh_ffp_18_4_send_targets_empty(void **state)
{
	asks(TEXT("SendTargets=\0"));
}

/* Longer than what the target takes, by every number of bytes around the border. */
static void unh_ffp_18_2_long_request_is_split(void **state)
{
	char text[2100];

	memset(text, 'x', sizeof(text));
	memcpy(text, "X-a=", 4);
	for (size_t n = 510; n < sizeof(text); n = n == 515 ? 1535 : n == 1538 ? 2099 : n + 1) {
		struct peer p;
		const struct seen *u;
		uint32_t itt = 0;
		size_t at = 0;

		peer_init(&p);
		p.answers[2] = "MaxRecvDataSegmentLength=512";
		peer_up(&p);
		assert_int_equal(session_text(p.s, text, n, p.now_ns), 0);
		for (;;) {
			u = peer_expect(&p, PDU_TEXT_REQ);
			assert_int_equal(u->pdu.ttt, at ? TTT : PDU_TAG_NONE);
			assert_int_equal(u->pdu.lun, at ? 7 : 0);
			assert_true(u->pdu.immediate);
			assert_true(!at || u->pdu.itt == itt);
			itt = u->pdu.itt;
			assert_memory_equal(u->data, text + at, u->pdu.n_data);
			at += u->pdu.n_data;
			assert_int_equal(u->pdu.u.text.more, at < n);
			assert_int_equal(u->pdu.final, at == n); /* C and F exclude each other */
			if (at == n)
				break;
			assert_int_equal(u->pdu.n_data, 512);
			peer_expect_nothing(&p); /* not before it is asked for */
			peer_send(&p, answer(u, false), NULL, 0);
		}
		peer_send(&p, answer(u, true), TEXT("X-a=Reject\0"));
		peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
		assert_memory_equal(p.event.text, "X-a=Reject", 11);
		peer_close(&p);
	}
}

static void ffp_18_answer_in_the_middle_of_ours(void **state)
{
	for (int i = 0; i < 3; i++) {
		char text[600] = "X-a=b";
		struct peer p;
		const struct seen *u;
		struct pdu r;

		peer_init(&p);
		p.answers[2] = "MaxRecvDataSegmentLength=512";
		peer_up(&p);
		assert_int_equal(session_text(p.s, text, sizeof(text), p.now_ns), 0);
		u = peer_expect(&p, PDU_TEXT_REQ);
		r = answer(u, i == 0);
		r.u.text.more = i == 1;
		peer_send(&p, r, i == 2 ? "A=b" : NULL, i == 2 ? 4 : 0);
		peer_expect_violation(&p, "in the middle of our text");
		peer_close(&p);
	}
}

static void text_has_a_limit(void **state)
{
	static char text[(1 << 20) + 1] = "A=";
	struct peer p;

	start(&p);
	assert_int_equal(session_text(p.s, text, sizeof(text), p.now_ns), -EMSGSIZE);
	assert_int_equal(session_text(p.s, text, sizeof(text) - 1, p.now_ns), 0);
	assert_true(peer_expect(&p, PDU_TEXT_REQ)->pdu.u.text.more);
	peer_close(&p);
}

/* ---- the target's offers ------------------------------------------------- */

/* Writes 4096 bytes by R2T: how large is the first Data-Out? */
static void expect_segments(struct peer *p, uint32_t n)
{
	const struct seen *u;
	struct io io;
	uint32_t itt;

	p->mrdsl = n;
	assert_int_equal(conn_params(p->c)->TargetMaxRecvDataSegmentLength, n);
	io_write(&io, 4096);
	io_submit(p, &io);
	u = peer_expect(p, PDU_SCSI_CMD);
	itt = u->pdu.itt;
	assert_int_equal(u->pdu.n_data, 0);
	peer_r2t(p, itt, 5, 0, 0, 4096);
	for (uint32_t at = 0; at < 4096; at += n) {
		u = peer_expect(p, PDU_DATA_OUT);
		assert_int_equal(u->pdu.n_data, at + n < 4096 ? n : 4096 - at);
	}
	peer_status(p, itt, 0);
	io_expect(p, &io, ISCSI_TASK_OK);
	io_free(&io, 0);
}

static void start_slow(struct peer *p)
{
	peer_init(p);
	p->cfg.offer.ImmediateData = 0;
	p->answers[2] = "InitialR2T=Yes";
	p->answers[3] = "MaxRecvDataSegmentLength=2048";
	peer_up(p);
	expect_segments(p, 2048);
}

static void unh_ffp_20_4_segment_length_changes(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		uint32_t due;
	} cases[] = {
		{TEXT("MaxRecvDataSegmentLength=512\0"), 512},
		{TEXT("MaxRecvDataSegmentLength=0x1000\0"), 4096},
		{TEXT("X-b=c\0MaxRecvDataSegmentLength=1024\0TargetAlias=new\0"), 1024},
		{TEXT(""), 2048},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int last = 0; last < 2; last++) {
			struct peer p;
			const struct seen *u;

			start_slow(&p);
			u = start_negotiation(&p);
			peer_send(&p, answer(u, last), cases[i].text, cases[i].n);
			if (!last) {
				u = peer_expect(&p, PDU_TEXT_REQ);
				/* Not before the end of the exchange. */
				assert_int_equal(conn_params(p.c)->TargetMaxRecvDataSegmentLength,
						 2048);
				assert_null(login_said(u, "MaxRecvDataSegmentLength"));
				peer_send(&p, answer(u, true), NULL, 0);
			}
			peer_expect_no_event(&p);
			expect_segments(&p, cases[i].due);
			peer_close(&p);
		}
	}
}

/* The same in the middle of an exchange of the owner, whose text it stays part of. */
static void ffp_18_segment_length_changes_in_an_answer(void **state)
{
	struct peer p;
	const struct seen *u;

	start_slow(&p);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
	u = peer_expect(&p, PDU_TEXT_REQ);
	peer_send(&p, negotiate(), NULL, 0); /* it may do so in what is under way */
	peer_expect_nothing(&p);
	peer_send(&p, answer(u, true), TEXT("MaxRecvDataSegmentLength=512\0X=y\0"));
	peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
	assert_int_equal(p.event.n_text, 33);
	assert_memory_equal(p.event.text, "MaxRecvDataSegmentLength=512\0X=y", 33);
	expect_segments(&p, 512);
	peer_close(&p);
}

/* Cut at every place. */
static void unh_ffp_18_2_segment_length_in_several_pdus(void **state)
{
	static const char text[] = "X-b=c\0MaxRecvDataSegmentLength=1024\0TargetAlias=new";

	for (size_t cut = 1; cut < sizeof(text); cut += peer_split ? 13 : 1) {
		struct peer p;
		const struct seen *u;
		struct pdu r;

		start_slow(&p);
		u = start_negotiation(&p);
		r = answer(u, false);
		r.u.text.more = true;
		peer_send(&p, r, text, cut);
		u = peer_expect(&p, PDU_TEXT_REQ);
		assert_int_equal(u->pdu.n_data, 0);
		assert_true(u->pdu.final);
		assert_int_equal(u->pdu.ttt, TTT);
		peer_send(&p, answer(u, false), text + cut, sizeof(text) - cut);
		u = peer_expect(&p, PDU_TEXT_REQ);
		assert_string_equal(login_said(u, "X-b"), "NotUnderstood");
		peer_send(&p, answer(u, true), NULL, 0);
		expect_segments(&p, 1024);
		assert_string_equal(session_target_alias(p.s), "new");
		peer_close(&p);
	}
}

static void unh_ffp_20_4_offers_are_answered(void **state)
{
	struct peer p;
	const struct seen *u;

	start(&p);
	u = start_negotiation(&p);
	peer_send(&p, answer(u, false),
		  TEXT("X-org.example.colour=blue\0MaxBurstLength=4096\0HeaderDigest=CRC32C\0"
		       "TargetAlias=t2\0TargetAddress=1.2.3.4:5,6\0TargetPortalGroupTag=2\0"
		       "A=NotUnderstood\0B=Reject\0C=Irrelevant\0"));
	u = peer_expect(&p, PDU_TEXT_REQ);
	assert_int_equal(u->pdu.ttt, TTT);
	assert_string_equal(login_said(u, "X-org.example.colour"), "NotUnderstood");
	assert_string_equal(login_said(u, "MaxBurstLength"), "Reject");
	assert_string_equal(login_said(u, "HeaderDigest"), "Reject");
	assert_int_equal(u->pdu.n_data, sizeof("X-org.example.colour=NotUnderstood\0"
					       "MaxBurstLength=Reject\0HeaderDigest=Reject"));
	peer_send(&p, answer(u, true), NULL, 0);
	peer_expect_no_event(&p);
	assert_string_equal(session_target_alias(p.s), "t2");
	assert_int_equal(session_params(p.s)->MaxBurstLength, 1048576);
	assert_int_equal(session_params(p.s)->TargetPortalGroupTag, 0);
	/* And again. */
	u = start_negotiation(&p);
	peer_send(&p, answer(u, true), NULL, 0);
	assert_int_equal(session_text(p.s, TEXT("A=b\0"), p.now_ns), 0);
	peer_close(&p);
}

static void ffp_20_offers_that_make_no_sense(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} bad[] = {
		{TEXT("MaxRecvDataSegmentLength=511\0")},
		{TEXT("MaxRecvDataSegmentLength=16777216\0")},
		{TEXT("MaxRecvDataSegmentLength=many\0")},
		{TEXT("MaxRecvDataSegmentLength=512\0MaxRecvDataSegmentLength=512\0")},
		{TEXT("what is this")},
		{TEXT("=\0")},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;

		start(&p);
		peer_send(&p, answer(start_negotiation(&p), true), bad[i].text, bad[i].n);
		peer_expect_violation(&p, "makes no sense");
		peer_close(&p);
	}
}

/* ---- reset and refusal ----------------------------------------------------- */

static void reject(struct peer *p, const struct seen *u, uint8_t reason)
{
	struct pdu r = {.opcode = PDU_REJECT,
			.final = true,
			.itt = PDU_TAG_NONE,
			.ttt = PDU_TAG_NONE,
			.u.reject = {.reason = reason}};
	uint8_t bhs[BHS_LEN];

	memcpy(bhs, u->bhs, BHS_LEN);
	peer_send(p, r, bhs, BHS_LEN);
}

/* The target loses the thread: once more from the beginning, as a new exchange; but once only. */
static void unh_ffp_18_5_text_reset(void **state)
{
	char text[1400] = "X-a=b";

	for (int twice = 0; twice < 2; twice++) {
		struct peer p;
		const struct seen *u;
		uint32_t itt;

		peer_init(&p);
		p.answers[2] = "MaxRecvDataSegmentLength=512";
		peer_up(&p);
		assert_int_equal(session_text(p.s, text, sizeof(text), p.now_ns), 0);
		u = peer_expect(&p, PDU_TEXT_REQ);
		itt = u->pdu.itt;
		peer_send(&p, answer(u, false), NULL, 0);
		u = peer_expect(&p, PDU_TEXT_REQ);
		assert_int_equal(u->pdu.ttt, TTT);
		reject(&p, u, REJECT_NEGOTIATION_RESET);
		u = peer_expect(&p, PDU_TEXT_REQ);
		assert_int_not_equal(u->pdu.itt, itt);
		assert_int_equal(u->pdu.ttt, PDU_TAG_NONE); /* forget what has been */
		assert_memory_equal(u->data, text, 512);
		if (twice) {
			reject(&p, u, REJECT_NEGOTIATION_RESET);
			peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
			assert_true(p.event.ev.rejected);
			assert_int_equal(p.event.n_text, 0);
			peer_expect_nothing(&p);
		} else {
			for (int i = 0; i < 2; i++) {
				peer_send(&p, answer(u, false), NULL, 0);
				u = peer_expect(&p, PDU_TEXT_REQ);
			}
			assert_true(u->pdu.final);
			peer_send(&p, answer(u, true), TEXT("X-a=c\0"));
			peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
			assert_false(p.event.ev.rejected);
			assert_memory_equal(p.event.text, "X-a=c", 6);
		}
		assert_true(conn_alive(p.c));
		peer_close(&p);
	}
}

static void own_ffp_reject_of_a_text_request(void **state)
{
	static const uint8_t reasons[] = {0x03, 0x04, 0x05, 0x06, 0x09, 0x0a, 0x0c, 0xff};

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct peer p;
		const struct seen *u;

		start(&p);
		assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
		u = peer_expect(&p, PDU_TEXT_REQ);
		reject(&p, u, reasons[i]);
		peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
		assert_true(p.event.ev.rejected);
		assert_int_equal(p.event.n_text, 0);
		assert_true(conn_alive(p.c));
		/* Ours, which the target has asked for, is of no interest to the owner. */
		u = start_negotiation(&p);
		reject(&p, u, reasons[i]);
		peer_expect_no_event(&p);
		assert_true(conn_alive(p.c));
		assert_int_equal(session_text(p.s, TEXT("A=b\0"), p.now_ns), 0);
		peer_close(&p);
	}
}

/* Of one that is over: the target has lost count. */
static void ffp_18_reject_of_an_old_text_request(void **state)
{
	struct peer p;
	const struct seen *u;
	struct seen old;

	start(&p);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
	u = peer_expect(&p, PDU_TEXT_REQ);
	old = *u;
	peer_send(&p, answer(u, true), NULL, 0);
	peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
	reject(&p, &old, REJECT_PROTOCOL);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	assert_non_null(strstr(p.event.text, "rejected our Text Request"));
	peer_close(&p);
}

/* The exchange goes with its connection, and the next connection has its own. */
static void ffp_18_loss_in_the_middle(void **state)
{
	struct peer p;
	const struct seen *u;

	start(&p);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
	u = peer_expect(&p, PDU_TEXT_REQ);
	peer_send(&p, answer(u, false), TEXT("TargetName=a\0MaxRecvDataSegmentLength=512\0"));
	conn_lost(p.c, "gone", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), -ENOTCONN);
	peer_again(&p);
	assert_int_equal(session_text(p.s, TEXT("SendTargets=All\0"), p.now_ns), 0);
	u = peer_expect(&p, PDU_TEXT_REQ);
	peer_send(&p, answer(u, true), TEXT("TargetName=b\0"));
	peer_expect_event(&p, ISCSI_EV_TEXT_DONE);
	assert_int_equal(p.event.n_text, 13);
	assert_memory_equal(p.event.text, "TargetName=b", 13);
	assert_int_equal(conn_params(p.c)->TargetMaxRecvDataSegmentLength, 262144);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_ffp_18_3_send_targets_name),
		cmocka_unit_test(unh_ffp_18_4_send_targets_empty),
		cmocka_unit_test(unh_ffp_18_2_long_request_is_split),
		cmocka_unit_test(ffp_18_answer_in_the_middle_of_ours),
		cmocka_unit_test(text_has_a_limit),
		cmocka_unit_test(unh_ffp_20_4_segment_length_changes),
		cmocka_unit_test(ffp_18_segment_length_changes_in_an_answer),
		cmocka_unit_test(unh_ffp_18_2_segment_length_in_several_pdus),
		cmocka_unit_test(unh_ffp_20_4_offers_are_answered),
		cmocka_unit_test(ffp_20_offers_that_make_no_sense),
		cmocka_unit_test(unh_ffp_18_5_text_reset),
		cmocka_unit_test(own_ffp_reject_of_a_text_request),
		cmocka_unit_test(ffp_18_reject_of_an_old_text_request),
		cmocka_unit_test(ffp_18_loss_in_the_middle),
	};

	return PEER_RUN("text", tests);
}
