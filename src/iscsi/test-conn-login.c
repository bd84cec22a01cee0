/* SPDX-License-Identifier: MIT */
/*
 * Conversations of the login phase. Numbers in the names are rows of
 * test/conformance.csv.
 */
#include "iscsi/test-login.h"

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
		cmocka_unit_test(login_last_word_with_an_offer),
		cmocka_unit_test(login_command_window_of_the_last_response),
		cmocka_unit_test(login_command_window_that_is_void),
	};

	return PEER_RUN("login", tests);
}
