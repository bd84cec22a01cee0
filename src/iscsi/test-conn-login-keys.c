/* SPDX-License-Identifier: MIT */
/*
 * Conversations of the login phase: what the keys make. Numbers in the names are rows of
 * test/conformance.csv.
 */
#include "iscsi/test-login.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

/* When we say Yes, Yes is the only answer there is; to a No both are, and Yes is the default. */
static void unh_login_13_3_order(void **state)
{
	static const char *const keys[] = {"DataPDUInOrder", "DataSequenceInOrder"};
	static const char *const answers[][3] = {
		{"DataPDUInOrder=No", "DataPDUInOrder=Yes", "-DataPDUInOrder"},
		{"DataSequenceInOrder=No", "DataSequenceInOrder=Yes", "-DataSequenceInOrder"}};

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
		for (uint32_t k = 0; k < 3; k++) {
			uint32_t *mine;

			peer_init(&p);
			mine = i ? &p.cfg.offer.DataSequenceInOrder : &p.cfg.offer.DataPDUInOrder;
			*mine = 0;
			p.answers[2] = answers[i][k];
			peer_up(&p);
			assert_int_equal(i ? session_params(p.s)->DataSequenceInOrder
					   : session_params(p.s)->DataPDUInOrder,
					 k > 0);
			peer_close(&p);
		}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_login_9_1_9_2_9_3_digests_from_the_first_full_feature_pdu),
		cmocka_unit_test(unh_login_9_2_9_3_digests_begin_at_the_border),
		cmocka_unit_test(unh_login_10_1_max_connections),
		cmocka_unit_test(unh_login_13_1_13_2_booleans),
		cmocka_unit_test(unh_login_13_3_order),
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
	};

	return PEER_RUN("login keys", tests);
}
