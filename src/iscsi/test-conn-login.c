/* SPDX-License-Identifier: MIT */
/*
 * Conversations of the login phase. Numbers in the names are rows of
 * test/conformance.csv.
 */
#include "iscsi/test-login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- 1 to 5: stages and numbers ---------------------------------------- */

static void unh_login_1_1_standard_login(void **state)
{
	struct peer p;

	peer_init(&p);
	peer_up(&p);
	peer_expect_nothing(&p);
	assert_int_equal(session_params(p.s)->MaxBurstLength, 1048576);
	assert_int_equal(session_n_tasks(p.s), 0);
	peer_close(&p);
}

static void unh_login_2_1_leading_login_has_tsih_zero(void **state)
{
	struct peer p;
	const struct seen *u = login_begin_peer(&p);

	assert_int_equal(u->pdu.u.login.tsih, 0);
	/* A TSIH in a response that is not the last is nobody's business. */
	struct pdu r = login_grant(&p, u);

	peer_send(&p, r, NULL, 0);
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_int_equal(u->pdu.u.login.tsih, 0);
	peer_close(&p);
}

static void unh_login_2_2_tsih_of_the_final_response_holds(void **state)
{
	struct peer p;

	peer_init(&p);
	p.tsih = 0xfffe;
	peer_up(&p);
	assert_int_equal(session_tsih(p.s), 0xfffe);
	peer_close(&p);
}

static void unh_login_2_3_zero_tsih_in_final_response(void **state)
{
	struct peer p;
	const struct seen *u;

	peer_init(&p);
	p.tsih = 0;
	u = login_begin_operational(&p);
	peer_send(&p, login_grant(&p, u), TEXT(OPERATIONAL_END));
	peer_expect_login_violation(&p, "TSIH");
	login_expect_over(&p);
}

static void unh_login_3_1_asks_for_legal_transitions_only(void **state)
{
	struct peer p;
	const struct seen *u = login_begin_peer(&p);

	assert_true(u->pdu.final);
	assert_false(u->pdu.u.login.more);
	assert_int_equal(u->pdu.u.login.csg, STAGE_SECURITY);
	assert_int_equal(u->pdu.u.login.nsg, STAGE_OPERATIONAL);
	peer_send(&p, login_grant(&p, u), TEXT("AuthMethod=None\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_true(u->pdu.final);
	assert_int_equal(u->pdu.u.login.csg, STAGE_OPERATIONAL);
	assert_int_equal(u->pdu.u.login.nsg, STAGE_FULL_FEATURE);
	peer_expect_nothing(&p);
	peer_close(&p);
}

static void unh_login_3_2_target_not_ready_to_move(void **state)
{
	struct peer p;
	const struct seen *u = login_begin_peer(&p);

	for (int i = 0; i < 3; i++) {
		struct pdu r = login_grant(&p, u);

		r.final = false;
		r.u.login.nsg = 0;
		peer_send(&p, r, NULL, 0);
		u = peer_expect(&p, PDU_LOGIN_REQ);
		assert_true(u->pdu.final);
		assert_int_equal(u->pdu.u.login.csg, STAGE_SECURITY);
		assert_int_equal(u->pdu.n_data, 0); /* nothing is offered twice */
	}
	peer_send(&p, login_grant(&p, u), TEXT("AuthMethod=None\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	for (int i = 0; i < 3; i++) {
		struct pdu r = login_grant(&p, u);

		r.final = false;
		r.u.login.nsg = 0;
		peer_send(&p, r, i == 0 ? OPERATIONAL_END : NULL,
			  i == 0 ? sizeof(OPERATIONAL_END) - 1 : 0);
		u = peer_expect(&p, PDU_LOGIN_REQ);
		assert_int_equal(u->pdu.n_data, 0);
	}
	peer_send(&p, login_grant(&p, u), NULL, 0);
	login_expect_up(&p);
	peer_close(&p);
}

static void unh_login_3_2_illegal_transitions(void **state)
{
	static const struct {
		bool operational;
		uint8_t csg, nsg;
	} bad[] = {
		{false, STAGE_SECURITY, STAGE_FULL_FEATURE}, /* further than asked */
		{false, STAGE_SECURITY, STAGE_SECURITY},     /* nowhere */
		{false, STAGE_SECURITY, 2},                  /* a stage there is not */
		{false, STAGE_OPERATIONAL, STAGE_FULL_FEATURE},
		{true, STAGE_OPERATIONAL, STAGE_SECURITY}, /* back */
		{true, STAGE_OPERATIONAL, STAGE_OPERATIONAL},
		{true, STAGE_SECURITY, STAGE_OPERATIONAL},
		{true, STAGE_FULL_FEATURE, STAGE_FULL_FEATURE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u;
		struct pdu r;

		peer_init(&p);
		u = bad[i].operational ? login_begin_operational(&p) : login_begin(&p);
		r = login_grant(&p, u);
		r.u.login.csg = bad[i].csg;
		r.u.login.nsg = bad[i].nsg;
		r.u.login.tsih = p.tsih;
		peer_send(&p, r, NULL, 0);
		peer_expect_login_violation(&p, "stage");
		login_expect_over(&p);
	}
}

static void unh_login_4_1_5_1_statsn_of_the_first_response_is_adopted(void **state)
{
	static const uint32_t first[] = {0, 1, 0x7fffffff, 0xfffffffe, 0xffffffff};

	for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
		struct peer p;
		const struct seen *u;

		peer_init(&p);
		p.statsn = first[i];
		u = login_begin(&p);
		assert_int_equal(u->pdu.expstatsn, 0);
		peer_send(&p, login_grant(&p, u), TEXT("AuthMethod=None\0"));
		u = peer_expect(&p, PDU_LOGIN_REQ);
		assert_int_equal(u->pdu.expstatsn, (uint32_t)(first[i] + 1)); /* 5.1 */
		peer_send(&p, login_grant(&p, u), TEXT(OPERATIONAL_END));
		login_expect_up(&p);
		session_logout(p.s, p.now_ns);
		u = peer_expect(&p, PDU_LOGOUT_REQ);
		assert_int_equal(u->pdu.expstatsn, (uint32_t)(first[i] + 2));
		peer_close(&p);
	}
}

static void unh_login_4_2_wrong_statsn(void **state)
{
	static const int32_t step[] = {-1, 1, 1000, INT32_MIN};

	for (size_t i = 0; i < ARRAY_SIZE(step); i++) {
		struct peer p;
		const struct seen *u;

		peer_init(&p);
		u = login_begin_operational(&p);
		p.statsn += (uint32_t)step[i];
		peer_send(&p, login_grant(&p, u), TEXT(OPERATIONAL_END));
		peer_expect_login_violation(&p, "StatSN");
		login_expect_over(&p);
	}
}

static void login_cmdsn_and_itt_stay(void **state)
{
	struct peer p;
	const struct seen *u = login_begin_peer(&p);
	uint32_t itt = u->pdu.itt;

	assert_int_equal(u->pdu.cmdsn, p.cfg.first_cmdsn);
	peer_send(&p, login_grant(&p, u), TEXT("AuthMethod=None\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_int_equal(u->pdu.itt, itt);
	assert_int_equal(u->pdu.cmdsn, p.cfg.first_cmdsn);
	peer_close(&p);
}

/* ---- 6, 7: faulty negotiation ------------------------------------------ */

static void unh_login_6_1_6_3_a_key_negotiated_twice(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		const char *why;
	} bad[] = {
		{TEXT("MaxBurstLength=8192\0MaxBurstLength=8192\0"), "second time"},
		{TEXT("InitialR2T=Yes\0HeaderDigest=None\0InitialR2T=Yes\0"), "second time"},
		{TEXT("MaxRecvDataSegmentLength=512\0MaxRecvDataSegmentLength=513\0"),
		 "second time"},
		{TEXT("TargetPortalGroupTag=1\0TargetPortalGroupTag=1\0"), "second time"},
		{TEXT("AuthMethod=None\0"), "second time"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u;

		peer_init(&p);
		u = login_begin_operational(&p);
		peer_send(&p, login_grant(&p, u), bad[i].text, bad[i].n);
		peer_expect_login_violation(&p, bad[i].why);
		login_expect_over(&p);
	}
}

/* The same, an answer in one response and again in the next. */
static void unh_login_6_2_a_key_negotiated_again_later(void **state)
{
	struct peer p;
	const struct seen *u;
	struct pdu r;

	peer_init(&p);
	u = login_begin_operational(&p);
	r = login_grant(&p, u);
	r.final = false;
	peer_send(&p, r, TEXT("MaxBurstLength=8192\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_null(login_said(u, "MaxBurstLength"));
	peer_send(&p, login_grant(&p, u), TEXT("MaxBurstLength=4096\0"));
	peer_expect_login_violation(&p, "second time");
	login_expect_over(&p);
}

static void unh_login_7_1_7_3_7_4_7_5_faulty_answers(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		const char *why;
	} bad[] = {
		{TEXT("HeaderDigest=None,CRC32C\0"), "HeaderDigest"},
		{TEXT("HeaderDigest=MD5\0"), "HeaderDigest"},
		{TEXT("FirstBurstLength=65536\0MaxBurstLength=32768\0"), "FirstBurstLength"},
		{TEXT("ImmediateData=Maybe\0"), "ImmediateData"},
		{TEXT("MaxBurstLength=1048577\0"), "MaxBurstLength"},
		{TEXT("MaxBurstLength=511\0"), "MaxBurstLength"},
		{TEXT("DataPDUInOrder=No\0"), "DataPDUInOrder"},
		{TEXT("ErrorRecoveryLevel=3\0"), "ErrorRecoveryLevel"},
		{TEXT("MaxOutstandingR2T=Reject\0"), "MaxOutstandingR2T"},
		{TEXT("MaxRecvDataSegmentLength=16777216\0"), "MaxRecvDataSegmentLength"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u;

		peer_init(&p);
		u = login_begin_operational(&p);
		peer_send(&p, login_grant(&p, u), bad[i].text, bad[i].n);
		peer_expect_login_violation(&p, bad[i].why);
		login_expect_over(&p);
	}
}

static void unh_login_7_2_22_1_invalid_auth_method(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} bad[] = {
		{TEXT("AuthMethod=CHAP\0")}, {TEXT("AuthMethod=CHAP,None\0")},
		{TEXT("AuthMethod=\0")},     {TEXT("AuthMethod=NotUnderstood\0")},
		{TEXT("AuthMethod=none\0")}, {TEXT("AuthMethod=None\0AuthMethod=None\0")},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u = login_begin_peer(&p);

		assert_string_equal(login_said(u, "AuthMethod"), "None");
		peer_send(&p, login_grant(&p, u), bad[i].text, bad[i].n);
		peer_expect_login_violation(&p, "AuthMethod");
		login_expect_over(&p);
	}
}

static void unh_login_7_6_12_1_unknown_key_is_not_understood(void **state)
{
	struct peer p;
	const struct seen *u;
	struct pdu r;

	peer_init(&p);
	u = login_begin_operational(&p);
	r = login_grant(&p, u);
	r.final = false;
	peer_send(&p, r, TEXT(OPERATIONAL_END "X-org.example.Colour=blue\0IFMarker=Yes\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_string_equal(login_said(u, "X-org.example.Colour"), "NotUnderstood");
	assert_string_equal(login_said(u, "IFMarker"), "No"); /* 12.1 */
	assert_true(u->pdu.final);
	peer_send(&p, login_grant(&p, u), NULL, 0);
	login_expect_up(&p);
	peer_close(&p);
}

/* ---- 8: things that are no Login Response ------------------------------- */

static void unh_login_8_1_other_pdus(void **state)
{
	for (unsigned opcode = 0; opcode < 0x40; opcode++) {
		struct peer p;
		const struct seen *u;
		uint8_t bhs[BHS_LEN] = {(uint8_t)opcode, 0x80};

		if (opcode == PDU_LOGIN_RSP)
			continue;
		u = login_begin_peer(&p);
		put_be32(bhs + 16, u->pdu.itt);
		peer_feed(&p, bhs, sizeof(bhs));
		peer_expect_login_violation(&p, "");
		login_expect_over(&p);
	}
}

static void unh_login_8_1_not_this_login(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct peer p;
		const struct seen *u = login_begin_peer(&p);
		struct pdu r = login_grant(&p, u);

		if (i == 0)
			r.itt ^= 1;
		else if (i == 1)
			r.u.login.isid[5] ^= 1;
		else
			r.u.login.version_min = 1;
		peer_send(&p, r, TEXT("AuthMethod=None\0"));
		peer_expect_login_violation(&p, "Login Response");
		login_expect_over(&p);
	}
}

static void unh_login_8_1_text_that_is_none(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} bad[] = {
		{TEXT("AuthMethod=None")}, {TEXT("AuthMethod\0")}, {TEXT("=None\0")},
		{TEXT("\xff\xfe\xfd")},    {TEXT("A=b\0\0C=d\0")},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u = login_begin_peer(&p);

		peer_send(&p, login_grant(&p, u), bad[i].text, bad[i].n);
		peer_expect_login_violation(&p, "key=value");
		login_expect_over(&p);
	}
}

static void unh_login_8_1_segment_larger_than_8192(void **state)
{
	static uint8_t zeroes[8193];

	for (size_t n = 8192; n <= 8193; n++) {
		struct peer p;
		const struct seen *u = login_begin_peer(&p);

		/* Whatever we are going to declare, 8192 is what holds in login. */
		peer_send(&p, login_grant(&p, u), zeroes, n);
		if (n == 8192) {
			peer_expect(&p, PDU_LOGIN_REQ);
			peer_close(&p);
		} else {
			peer_expect_login_violation(&p, "more than we declared");
			login_expect_over(&p);
		}
	}
}

/* ---- 9 to 23: what the keys make --------------------------------------- */

static void unh_login_9_1_9_2_9_3_digests_from_the_first_full_feature_pdu(void **state)
{
	static const char *const header[] = {"HeaderDigest=None", "HeaderDigest=CRC32C"};
	static const char *const data[] = {"DataDigest=None", "DataDigest=CRC32C"};

	for (int which = 0; which < 4; which++) {
		struct peer p;
		const struct seen *u;
		struct io io;

		peer_init(&p);
		p.answers[0] = header[which & 1];
		p.answers[1] = data[which >> 1];
		peer_up(&p);
		assert_int_equal(conn_params(p.c)->HeaderDigest, which & 1);
		assert_int_equal(conn_params(p.c)->DataDigest, which >> 1);
		assert_int_equal(p.header_digest, which & 1);
		/* The peer holds every digest against its own. */
		peer_ping(&p, 0x77, "seven", 5);
		u = peer_expect(&p, PDU_NOP_OUT);
		assert_int_equal(u->pdu.n_data, 5);
		assert_memory_equal(u->data, "seven", 5);
		io_write(&io, 3001);
		io_submit(&p, &io);
		peer_serve_write(&p, &io);
		io_free(&io, io.n);
		io_read(&io, 3001);
		io_submit(&p, &io);
		peer_serve_read(&p, &io, 999);
		io_free(&io, io.n);
		peer_close(&p);
	}
}

/* The last response and the first PDU behind it, in one piece of bytes. */
static void unh_login_9_2_9_3_digests_begin_at_the_border(void **state)
{
	struct peer p;
	const struct seen *u;
	struct pdu r, ping = {.opcode = PDU_NOP_IN, .final = true, .itt = PDU_TAG_NONE, .ttt = 9};
	uint8_t bytes[1024];
	size_t n;
	static const char text[] = "HeaderDigest=CRC32C\0DataDigest=CRC32C";

	peer_init(&p);
	u = login_begin_operational(&p);
	r = login_grant(&p, u);
	peer_number(&p, &r);
	n = peer_encode(&p, &r, text, sizeof(text), bytes);
	p.header_digest = p.data_digest = true;
	peer_number(&p, &ping);
	n += peer_encode(&p, &ping, "xyz", 3, bytes + n);
	peer_feed(&p, bytes, n);
	login_expect_up(&p);
	u = peer_expect(&p, PDU_NOP_OUT);
	assert_int_equal(u->pdu.ttt, 9);
	peer_close(&p);
}

struct result {
	const char *answer;
	size_t member;
	uint32_t due;
};

#define RESULT(answer, key, due)                                \
	{                                                       \
		answer, offsetof(struct iscsi_params, key), due \
	}

/* What holds after each of the answers. */
static void expect_results(const struct result *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct peer p;
		const struct iscsi_params *k;

		peer_init(&p);
		p.answers[2] = cases[i].answer;
		peer_up(&p);
		k = session_params(p.s);
		assert_int_equal(
			*(const uint32_t *)(const void *)((const char *)k + cases[i].member),
			cases[i].due);
		peer_close(&p);
	}
}

#define EXPECT_RESULTS(...)                                          \
	do {                                                         \
		static const struct result cases_[] = {__VA_ARGS__}; \
		expect_results(cases_, ARRAY_SIZE(cases_));          \
	} while (0)

static void unh_login_10_1_max_connections(void **state)
{
	EXPECT_RESULTS(RESULT("MaxConnections=1", MaxConnections, 1),
		       RESULT("-MaxConnections", MaxConnections, 1));
	for (uint32_t his = 1; his <= 8; his++) {
		struct peer p;
		char answer[32];

		snprintf(answer, sizeof(answer), "MaxConnections=%u", his);
		peer_init(&p);
		p.cfg.offer.MaxConnections = 8;
		p.answers[2] = answer;
		peer_up(&p);
		assert_int_equal(session_params(p.s)->MaxConnections, his);
		peer_close(&p);
	}
}

static void unh_login_13_1_13_2_booleans(void **state)
{
	EXPECT_RESULTS(RESULT("InitialR2T=Yes", InitialR2T, 1),
		       RESULT("InitialR2T=No", InitialR2T, 0), RESULT("-InitialR2T", InitialR2T, 1),
		       RESULT("ImmediateData=No", ImmediateData, 0),
		       RESULT("ImmediateData=Yes", ImmediateData, 1),
		       RESULT("-ImmediateData", ImmediateData, 1));
}

/* We are the ones who say Yes, so Yes is the only answer there is. */
static void unh_login_13_3_order_is_kept(void **state)
{
	static const char *const keys[] = {"DataPDUInOrder", "DataSequenceInOrder"};

	EXPECT_RESULTS(RESULT("DataPDUInOrder=Yes", DataPDUInOrder, 1),
		       RESULT("-DataPDUInOrder", DataPDUInOrder, 1),
		       RESULT("DataSequenceInOrder=Yes", DataSequenceInOrder, 1),
		       RESULT("-DataSequenceInOrder", DataSequenceInOrder, 1));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct peer p;
		const struct seen *u;
		char answer[64];

		peer_init(&p);
		u = login_begin_operational(&p);
		assert_string_equal(login_said(u, keys[i]), "Yes");
		snprintf(answer, sizeof(answer), "%s=No", keys[i]);
		peer_send(&p, login_grant(&p, u), answer, strlen(answer) + 1);
		peer_expect_login_violation(&p, keys[i]);
		login_expect_over(&p);
	}
}

static void unh_login_14_1_max_recv_data_segment_length(void **state)
{
	struct peer p;
	const struct seen *u;

	EXPECT_RESULTS(RESULT("MaxRecvDataSegmentLength=512", TargetMaxRecvDataSegmentLength, 512),
		       RESULT("MaxRecvDataSegmentLength=16777215", TargetMaxRecvDataSegmentLength,
			      16777215),
		       RESULT("-MaxRecvDataSegmentLength", TargetMaxRecvDataSegmentLength, 8192));
	peer_init(&p);
	p.cfg.offer.MaxRecvDataSegmentLength = 65536;
	u = login_begin_operational(&p);
	assert_string_equal(login_said(u, "MaxRecvDataSegmentLength"), "65536");
	peer_close(&p);
}

static void unh_login_15_1_max_burst_length(void **state)
{
	EXPECT_RESULTS(RESULT("MaxBurstLength=0x40000", MaxBurstLength, 262144),
		       RESULT("MaxBurstLength=1048576", MaxBurstLength, 1048576),
		       RESULT("-MaxBurstLength", MaxBurstLength, 262144));
}

static void unh_login_16_1_first_burst_length(void **state)
{
	EXPECT_RESULTS(RESULT("FirstBurstLength=512", FirstBurstLength, 512),
		       RESULT("FirstBurstLength=262144", FirstBurstLength, 262144),
		       RESULT("-FirstBurstLength", FirstBurstLength, 65536));
}

/* Below MaxBurstLength in the offer and in the result, also where a default would be above. */
static void unh_login_16_2_first_burst_within_max_burst(void **state)
{
	struct iscsi_session *s;
	struct peer p;

	peer_init(&p);
	p.answers[2] = "-FirstBurstLength";
	p.answers[3] = "MaxBurstLength=4096";
	peer_up(&p);
	assert_int_equal(session_params(p.s)->FirstBurstLength, 4096);
	peer_close(&p);
	peer_init(&p);
	p.cfg.offer.FirstBurstLength = p.cfg.offer.MaxBurstLength + 1;
	assert_int_equal(session_new(&s, &p.cfg), -EINVAL);
}

/* Without unsolicited data there is no first burst: its length is nobody's business. */
static void unh_login_16_3_first_burst_is_irrelevant(void **state)
{
	static const char *const answers[] = {"FirstBurstLength=Irrelevant", "-FirstBurstLength",
					      "FirstBurstLength=65536"};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct peer p;
		const struct seen *u;
		struct io io;

		peer_init(&p);
		p.cfg.offer.MaxBurstLength = 262144;
		p.answers[2] = "InitialR2T=Yes";
		p.answers[3] = "ImmediateData=No";
		p.answers[4] = "MaxBurstLength=4096";
		p.answers[5] = answers[i];
		peer_up(&p);
		io_write(&io, 9000);
		io_submit(&p, &io);
		u = peer_expect(&p, PDU_SCSI_CMD);
		assert_int_equal(u->pdu.n_data, 0);
		assert_true(u->pdu.final);
		peer_expect_nothing(&p);
		peer_close(&p);
		io_free(&io, 0);
	}
}

static void unh_login_17_1_18_1_times(void **state)
{
	EXPECT_RESULTS(RESULT("DefaultTime2Retain=0", DefaultTime2Retain, 0),
		       RESULT("DefaultTime2Retain=20", DefaultTime2Retain, 20),
		       RESULT("-DefaultTime2Retain", DefaultTime2Retain, 20),
		       RESULT("DefaultTime2Wait=2", DefaultTime2Wait, 2),
		       RESULT("DefaultTime2Wait=3600", DefaultTime2Wait, 3600),
		       RESULT("-DefaultTime2Wait", DefaultTime2Wait, 2));
}

static void unh_login_19_1_max_outstanding_r2t(void **state)
{
	EXPECT_RESULTS(RESULT("MaxOutstandingR2T=1", MaxOutstandingR2T, 1),
		       RESULT("MaxOutstandingR2T=8", MaxOutstandingR2T, 8),
		       RESULT("-MaxOutstandingR2T", MaxOutstandingR2T, 1));
}

static void unh_login_20_1_error_recovery_level(void **state)
{
	EXPECT_RESULTS(RESULT("ErrorRecoveryLevel=0", ErrorRecoveryLevel, 0),
		       RESULT("-ErrorRecoveryLevel", ErrorRecoveryLevel, 0));
	for (uint32_t mine = 0; mine <= 2; mine++) {
		for (uint32_t his = 0; his <= mine; his++) {
			struct peer p;
			char answer[32];

			snprintf(answer, sizeof(answer), "ErrorRecoveryLevel=%u", his);
			peer_init(&p);
			p.cfg.offer.ErrorRecoveryLevel = mine;
			p.answers[2] = answer;
			peer_up(&p);
			assert_int_equal(session_params(p.s)->ErrorRecoveryLevel, his);
			peer_close(&p);
		}
	}
}

static void unh_login_11_1_21_1_names_and_session_type(void **state)
{
	struct peer p;
	const struct seen *u;

	peer_init(&p);
	p.cfg.initiator_alias = "rack 3";
	u = login_begin(&p);
	assert_string_equal(login_said(u, "InitiatorName"), p.cfg.initiator_name);
	assert_string_equal(login_said(u, "InitiatorAlias"), "rack 3");
	assert_string_equal(login_said(u, "TargetName"), p.cfg.target_name);
	assert_string_equal(login_said(u, "SessionType"), "Normal");
	assert_memory_equal(u->data, "InitiatorName=", 14);
	peer_close(&p);

	peer_init(&p);
	p.cfg.target_name = NULL;
	p.cfg.discovery = true;
	u = login_begin(&p);
	assert_string_equal(login_said(u, "InitiatorName"), p.cfg.initiator_name);
	assert_null(login_said(u, "InitiatorAlias"));
	assert_null(login_said(u, "TargetName"));
	assert_string_equal(login_said(u, "SessionType"), "Discovery");
	peer_send(&p, login_grant(&p, u), TEXT("AuthMethod=None\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_null(login_said(u, "MaxBurstLength"));
	peer_send(&p, login_grant(&p, u), TEXT("HeaderDigest=None\0DataDigest=None\0"));
	login_expect_up(&p);
	peer_close(&p);
}

static void unh_login_11_1_a_session_needs_names(void **state)
{
	struct peer p;
	struct iscsi_session *s;

	peer_init(&p);
	p.cfg.target_name = NULL;
	assert_int_equal(session_new(&s, &p.cfg), -EINVAL);
	peer_init(&p);
	p.cfg.initiator_name = NULL;
	assert_int_equal(session_new(&s, &p.cfg), -EINVAL);
	peer_init(&p);
	p.cfg.n_tasks = 4097;
	assert_int_equal(session_new(&s, &p.cfg), -EINVAL);
	peer_init(&p);
	p.cfg.offer.DataPDUInOrder = 2;
	assert_int_equal(session_new(&s, &p.cfg), -EINVAL);
}

static void unh_login_23_1_declarations_in_either_stage(void **state)
{
	struct peer p;
	const struct seen *u = login_begin_peer(&p);

	peer_send(&p, login_grant(&p, u),
		  TEXT("AuthMethod=None\0TargetPortalGroupTag=7\0TargetAlias=one\0"
		       "TargetAddress=10.0.0.1:3260,7\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_null(login_said(u, "TargetPortalGroupTag")); /* a declaration is not answered */
	assert_null(login_said(u, "TargetAlias"));
	peer_send(&p, login_grant(&p, u), TEXT("TargetAlias=two\0" OPERATIONAL_END));
	login_expect_up(&p);
	assert_int_equal(session_params(p.s)->TargetPortalGroupTag, 7);
	assert_string_equal(session_params(p.s)->TargetAlias, "two");
	peer_close(&p);
}

/* The first request of a second connection of a session in portal group 7. */
static const struct seen *second_connection(struct peer *p)
{
	peer_init(p);
	p->cfg.offer.MaxConnections = 2;
	p->extra = "TargetPortalGroupTag=7";
	peer_up(p);
	assert_int_equal(session_params(p->s)->TargetPortalGroupTag, 7);
	p->cid = 2;
	p->statsn = 99;
	peer_connect(p);
	return peer_expect(p, PDU_LOGIN_REQ);
}

static void unh_login_23_1_portal_group_of_a_further_connection(void **state)
{
	static const char *const tags[] = {"TargetAlias=none", "TargetPortalGroupTag=7",
					   "TargetPortalGroupTag=8", "TargetPortalGroupTag=0"};

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		struct peer p;
		const struct seen *u = second_connection(&p);

		peer_send(&p, login_grant(&p, u), TEXT("AuthMethod=None\0"));
		u = peer_expect(&p, PDU_LOGIN_REQ);
		peer_send(&p, login_grant(&p, u), tags[i], strlen(tags[i]) + 1);
		if (i < 2) {
			login_expect_up(&p);
		} else {
			peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
			assert_non_null(strstr(p.event.text, "portal group"));
			assert_int_equal(session_stats(p.s)->n_protocol_errors, 1);
		}
		peer_close(&p);
	}
}

/* What the whole session has settled is neither offered nor taken again. */
static void unh_login_6_3_session_keys_on_a_further_connection(void **state)
{
	static const char *const wide[] = {
		"MaxConnections",      "InitialR2T",         "ImmediateData",
		"MaxBurstLength",      "FirstBurstLength",   "DefaultTime2Wait",
		"DataPDUInOrder",      "DefaultTime2Retain", "MaxOutstandingR2T",
		"DataSequenceInOrder", "ErrorRecoveryLevel",
	};
	struct peer p;
	const struct seen *u = second_connection(&p);
	struct pdu r;

	assert_string_equal(login_said(u, "InitiatorName"), p.cfg.initiator_name);
	assert_string_equal(login_said(u, "TargetName"), p.cfg.target_name);
	assert_string_equal(login_said(u, "SessionType"), "Normal");
	peer_send(&p, login_grant(&p, u), TEXT("AuthMethod=None\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_non_null(login_said(u, "HeaderDigest"));
	assert_non_null(login_said(u, "DataDigest"));
	assert_non_null(login_said(u, "MaxRecvDataSegmentLength"));
	for (size_t i = 0; i < ARRAY_SIZE(wide); i++)
		assert_null(login_said(u, wide[i]));
	r = login_grant(&p, u);
	r.final = false;
	peer_send(&p, r, TEXT("MaxBurstLength=4096\0ErrorRecoveryLevel=0\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_string_equal(login_said(u, "MaxBurstLength"), "Reject");
	assert_string_equal(login_said(u, "ErrorRecoveryLevel"), "Reject");
	peer_send(&p, login_grant(&p, u), TEXT("HeaderDigest=None\0DataDigest=None\0"));
	login_expect_up(&p);
	assert_int_equal(session_params(p.s)->MaxBurstLength, 1048576);
	peer_close(&p);
}

/* ---- the end ------------------------------------------------------------ */

static void login_last_word_with_an_offer(void **state)
{
	struct peer p;
	const struct seen *u;
	struct pdu r;

	peer_init(&p);
	p.cfg.discovery = true;
	p.cfg.target_name = NULL;
	u = login_begin_operational(&p);
	r = login_grant(&p, u);
	/* A key we have not offered, in the response that ends the login. */
	peer_send(&p, r, TEXT("MaxBurstLength=4096\0"));
	peer_expect_login_violation(&p, "cannot be answered");
	login_expect_over(&p);
}

static void login_command_window_of_the_last_response(void **state)
{
	struct peer p;
	const struct seen *u;
	struct pdu r;
	struct io io[3];

	peer_init(&p);
	u = login_begin_operational(&p);
	r = login_grant(&p, u);
	p.window = 2;
	peer_send(&p, r, TEXT(OPERATIONAL_END));
	login_expect_up(&p);
	for (int i = 0; i < 3; i++) {
		io_none(&io[i]);
		io_submit(&p, &io[i]);
	}
	u = peer_expect(&p, PDU_SCSI_CMD);
	assert_int_equal(u->pdu.cmdsn, p.cfg.first_cmdsn); /* the login's number, not the next */
	peer_expect(&p, PDU_SCSI_CMD);
	peer_expect_nothing(&p);
	peer_close(&p);
	for (int i = 0; i < 3; i++)
		io_free(&io[i], 0);
}

/* A window that makes no sense is no window; one that comes later is taken. */
static void login_command_window_that_is_void(void **state)
{
	struct peer p;
	const struct seen *u;
	struct pdu r;
	struct io io;

	peer_init(&p);
	u = login_begin_operational(&p);
	r = login_grant(&p, u);
	peer_number(&p, &r);
	r.expcmdsn = p.expcmdsn;
	r.maxcmdsn = p.expcmdsn + 0x80000001;
	peer_put(&p, &r, TEXT(OPERATIONAL_END));
	login_expect_up(&p);
	io_none(&io);
	io_submit(&p, &io);
	peer_ping(&p, PDU_TAG_NONE, NULL, 0); /* tells the real window */
	u = peer_expect(&p, PDU_SCSI_CMD);
	peer_status(&p, u->pdu.itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	io_free(&io, 0);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_login_1_1_standard_login),
		cmocka_unit_test(unh_login_2_1_leading_login_has_tsih_zero),
		cmocka_unit_test(unh_login_2_2_tsih_of_the_final_response_holds),
		cmocka_unit_test(unh_login_2_3_zero_tsih_in_final_response),
		cmocka_unit_test(unh_login_3_1_asks_for_legal_transitions_only),
		cmocka_unit_test(unh_login_3_2_target_not_ready_to_move),
		cmocka_unit_test(unh_login_3_2_illegal_transitions),
		cmocka_unit_test(unh_login_4_1_5_1_statsn_of_the_first_response_is_adopted),
		cmocka_unit_test(unh_login_4_2_wrong_statsn),
		cmocka_unit_test(login_cmdsn_and_itt_stay),
		cmocka_unit_test(unh_login_6_1_6_3_a_key_negotiated_twice),
		cmocka_unit_test(unh_login_6_2_a_key_negotiated_again_later),
		cmocka_unit_test(unh_login_7_1_7_3_7_4_7_5_faulty_answers),
		cmocka_unit_test(unh_login_7_2_22_1_invalid_auth_method),
		cmocka_unit_test(unh_login_7_6_12_1_unknown_key_is_not_understood),
		cmocka_unit_test(unh_login_8_1_other_pdus),
		cmocka_unit_test(unh_login_8_1_not_this_login),
		cmocka_unit_test(unh_login_8_1_text_that_is_none),
		cmocka_unit_test(unh_login_8_1_segment_larger_than_8192),
		cmocka_unit_test(unh_login_9_1_9_2_9_3_digests_from_the_first_full_feature_pdu),
		cmocka_unit_test(unh_login_9_2_9_3_digests_begin_at_the_border),
		cmocka_unit_test(unh_login_10_1_max_connections),
		cmocka_unit_test(unh_login_13_1_13_2_booleans),
		cmocka_unit_test(unh_login_13_3_order_is_kept),
		cmocka_unit_test(unh_login_14_1_max_recv_data_segment_length),
		cmocka_unit_test(unh_login_15_1_max_burst_length),
		cmocka_unit_test(unh_login_16_1_first_burst_length),
		cmocka_unit_test(unh_login_16_2_first_burst_within_max_burst),
		cmocka_unit_test(unh_login_16_3_first_burst_is_irrelevant),
		cmocka_unit_test(unh_login_17_1_18_1_times),
		cmocka_unit_test(unh_login_19_1_max_outstanding_r2t),
		cmocka_unit_test(unh_login_20_1_error_recovery_level),
		cmocka_unit_test(unh_login_11_1_21_1_names_and_session_type),
		cmocka_unit_test(unh_login_11_1_a_session_needs_names),
		cmocka_unit_test(unh_login_23_1_declarations_in_either_stage),
		cmocka_unit_test(unh_login_23_1_portal_group_of_a_further_connection),
		cmocka_unit_test(unh_login_6_3_session_keys_on_a_further_connection),
		cmocka_unit_test(login_last_word_with_an_offer),
		cmocka_unit_test(login_command_window_of_the_last_response),
		cmocka_unit_test(login_command_window_that_is_void),
	};

	return PEER_RUN("login", tests);
}
