/* SPDX-License-Identifier: MIT */
/*
 * Negotiation, key by key: our offers, the target's answers, the
 * target's own offers, and what holds in the end.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "iscsi/keys.h"

static int count_pairs(const struct text *t)
{
	int n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->bytes[i] == '\0';
	return n;
}

/* ---- one negotiation --------------------------------------------------- */

struct talk {
	struct iscsi_params offer, result;
	struct negotiation g;
	struct text offered, reply;
};

static void talk_begin(struct talk *t, bool discovery, bool leading)
{
	memset(&t->result, 0, sizeof(t->result));
	negotiation_init(&t->g, &t->offer, &t->result, discovery, leading);
	t->offered = (struct text){0};
	t->reply = (struct text){0};
}

static void talk_end(struct talk *t)
{
	text_clear(&t->offered);
	text_clear(&t->reply);
}

/* Our offer's value of a key, or NULL. */
static const char *value_in(const struct text *t, const char *key)
{
	size_t n = strlen(key);

	for (const char *at = t->bytes; at && at < t->bytes + t->n; at += strlen(at) + 1)
		if (strncmp(at, key, n) == 0 && at[n] == '=')
			return at + n + 1;
	return NULL;
}

/* Offers, takes one answer, finishes. *ret is the result of all keys. */
static int answered(const struct iscsi_params *offer, const char *key, const char *value,
		    struct iscsi_params *ret)
{
	struct talk t = {.offer = *offer};
	int r;

	talk_begin(&t, false, true);
	negotiation_offer(&t.g, &t.offered);
	assert_non_null(value_in(&t.offered, key));
	r = negotiation_take(&t.g, key, value, &t.reply);
	assert_int_equal(t.reply.n, 0); /* an answer is not answered */
	if (r)
		assert_non_null(strstr(t.g.why, key));
	else
		r = negotiation_finish(&t.g);
	*ret = t.result;
	talk_end(&t);
	return r;
}

/* The target offers before we do. What we reply goes to @reply. */
static int offered(const struct iscsi_params *offer, const char *key, const char *value,
		   char reply[64], struct iscsi_params *ret)
{
	struct talk t = {.offer = *offer};
	const char *said;
	int r;

	talk_begin(&t, false, true);
	r = negotiation_take(&t.g, key, value, &t.reply);
	said = value_in(&t.reply, key);
	snprintf(reply, 64, "%s", said ? said : "");
	negotiation_offer(&t.g, &t.offered);
	assert_null(value_in(&t.offered, key)); /* settled: not offered again */
	*ret = t.result;
	talk_end(&t);
	return r;
}

/* ---- numbers ----------------------------------------------------------- */

struct number {
	const char *key;
	size_t member;
	uint32_t min, max, dflt;
	bool larger; /* the larger one holds */
};

#define NUMBER(key_, lo, hi, d, larger_)                                                           \
	{                                                                                          \
		.key = #key_, .member = offsetof(struct iscsi_params, key_), .min = lo, .max = hi, \
		.dflt = d, .larger = larger_                                                       \
	}

static const struct number numbers[] = {
	NUMBER(MaxConnections, 1, 65535, 1, false),
	NUMBER(MaxBurstLength, 512, 16777215, 262144, false),
	NUMBER(FirstBurstLength, 512, 16777215, 65536, false),
	NUMBER(DefaultTime2Wait, 0, 3600, 2, true),
	NUMBER(DefaultTime2Retain, 0, 3600, 20, false),
	NUMBER(MaxOutstandingR2T, 1, 65535, 1, false),
	NUMBER(ErrorRecoveryLevel, 0, 2, 0, false),
};

static uint32_t *at(struct iscsi_params *p, size_t member)
{
	return (uint32_t *)(void *)((char *)p + member);
}

/* An offer where the key has @v, and every other key makes it legal. */
static struct iscsi_params offer_with(const struct number *n, uint32_t v)
{
	struct iscsi_params o;

	iscsi_params_default_offer(&o);
	o.MaxBurstLength = 16777215;
	o.FirstBurstLength = 512;
	/* FirstBurstLength may be anything then: */
	o.InitialR2T = 1;
	o.ImmediateData = 0;
	*at(&o, n->member) = v;
	return o;
}

static int number_answered(const struct number *n, uint32_t mine, const char *his, uint32_t *ret)
{
	struct iscsi_params o = offer_with(n, mine), result;
	int r = answered(&o, n->key, his, &result);

	*ret = *at(&result, n->member);
	return r;
}

static void login_10_15_16_17_18_19_20_number_answered_at_bounds(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const struct number *n = &numbers[i];
		uint32_t mid = n->min + (n->max - n->min) / 2, v;
		char text[32];

		snprintf(text, sizeof(text), "%u", mid);
		assert_int_equal(number_answered(n, mid, text, &v), 0);
		assert_int_equal(v, mid);
		/* The bound on the allowed side, and one step on the other. */
		snprintf(text, sizeof(text), "%u", n->larger ? n->max : n->min);
		assert_int_equal(number_answered(n, mid, text, &v), 0);
		assert_int_equal(v, n->larger ? n->max : n->min);
		snprintf(text, sizeof(text), "%u", n->larger ? mid - 1 : mid + 1);
		assert_int_equal(number_answered(n, mid, text, &v), -EPROTO);
	}
}

static void keys_number_out_of_range(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const struct number *n = &numbers[i];
		uint32_t mine = n->larger ? n->min : n->max, v;
		char text[32];

		snprintf(text, sizeof(text), "%llu", (unsigned long long)n->max + 1);
		assert_int_equal(number_answered(n, mine, text, &v), -EPROTO);
		if (n->min) {
			snprintf(text, sizeof(text), "%u", n->min - 1);
			assert_int_equal(number_answered(n, mine, text, &v), -EPROTO);
		}
	}
}

static void keys_number_not_a_number(void **state)
{
	static const char *const bad[] = {"",
					  "-1",
					  "+1",
					  " 1",
					  "1 ",
					  "1k",
					  "0x",
					  "0xg",
					  "one",
					  "1,2",
					  "1~2",
					  "No",
					  "0b",
					  "0x1 ",
					  "99999999999999999999",
					  "0xffffffffffffffffffff",
					  "4294967297",
					  "0x100000001"};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
			uint32_t v;

			assert_int_equal(number_answered(&numbers[i], numbers[i].max, bad[k], &v),
					 -EPROTO);
		}
	}
}

static void keys_hexadecimal_numbers(void **state)
{
	static const char *const same[] = {"1024", "0x400", "0X400", "0x00000400"};
	uint32_t v;

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		assert_int_equal(number_answered(&numbers[1], 4096, same[i], &v), 0);
		assert_int_equal(v, 1024);
	}
	assert_int_equal(number_answered(&numbers[1], 0xabcdef, "0xABCdef", &v), 0);
	assert_int_equal(v, 0xabcdef);
}

/* Nothing, or a reserved word: the default, bent to our offer. */
static void keys_number_without_an_answer(void **state)
{
	static const char *const words[] = {"Irrelevant", "NotUnderstood"};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const struct number *n = &numbers[i];

		for (int low = 0; low <= 1; low++) {
			uint32_t mine = low ? n->min : n->max, v;
			uint32_t due =
				(n->larger ? mine > n->dflt : mine < n->dflt) ? mine : n->dflt;
			struct iscsi_params o = offer_with(n, mine);
			struct talk t = {.offer = o};

			for (size_t k = 0; k < ARRAY_SIZE(words); k++) {
				assert_int_equal(number_answered(n, mine, words[k], &v), 0);
				assert_int_equal(v, due);
			}
			talk_begin(&t, false, true);
			negotiation_offer(&t.g, &t.offered);
			assert_int_equal(negotiation_finish(&t.g), 0);
			assert_int_equal(*at(&t.result, n->member), due);
			talk_end(&t);
		}
	}
}

static void keys_reject_ends_the_login(void **state)
{
	uint32_t v;

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		assert_int_equal(number_answered(&numbers[i], numbers[i].max, "Reject", &v),
				 -EPROTO);
}

static void keys_number_offered_by_the_target(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const struct number *n = &numbers[i];
		uint32_t mid = n->min + (n->max - n->min) / 2;
		struct iscsi_params o = offer_with(n, mid), result;
		char text[32], reply[64];

		for (int which = 0; which < 3; which++) {
			uint32_t his = which == 0 ? n->min : which == 1 ? mid : n->max;
			uint32_t due = (n->larger ? his > mid : his < mid) ? his : mid;

			snprintf(text, sizeof(text), "%u", his);
			assert_int_equal(offered(&o, n->key, text, reply, &result), 0);
			assert_int_equal(*at(&result, n->member), due);
			assert_int_equal(strtoul(reply, NULL, 10), due);
		}
		snprintf(text, sizeof(text), "%llu", (unsigned long long)n->max + 1);
		assert_int_equal(offered(&o, n->key, text, reply, &result), -EPROTO);
	}
}

/* ---- Yes and No -------------------------------------------------------- */

struct boolean {
	const char *key;
	size_t member;
	bool is_or;
};

static const struct boolean booleans[] = {
	{"InitialR2T", offsetof(struct iscsi_params, InitialR2T), true},
	{"ImmediateData", offsetof(struct iscsi_params, ImmediateData), false},
	{"DataPDUInOrder", offsetof(struct iscsi_params, DataPDUInOrder), true},
	{"DataSequenceInOrder", offsetof(struct iscsi_params, DataSequenceInOrder), true},
};

static void login_13_boolean_functions(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(booleans); i++) {
		const struct boolean *b = &booleans[i];

		for (uint32_t mine = 0; mine <= 1; mine++) {
			struct iscsi_params o, result;

			iscsi_params_default_offer(&o);
			*at(&o, b->member) = mine;
			for (uint32_t his = 0; his <= 1; his++) {
				/* AND: a No cannot become Yes; OR: a Yes cannot become No. */
				bool legal = b->is_or ? his || !mine : mine || !his;
				uint32_t both = b->is_or ? his | mine : his & mine;
				char reply[64];

				assert_int_equal(answered(&o, b->key, his ? "Yes" : "No", &result),
						 legal ? 0 : -EPROTO);
				if (legal)
					assert_int_equal(*at(&result, b->member), his);
				assert_int_equal(
					offered(&o, b->key, his ? "Yes" : "No", reply, &result), 0);
				assert_int_equal(*at(&result, b->member), both);
				assert_string_equal(reply, both ? "Yes" : "No");
			}
		}
	}
}

static void login_7_4_invalid_boolean(void **state)
{
	static const char *const bad[] = {"",     "yes",    "NO",   "1",   "0",
					  "Yes ", "Yes,No", "True", "None"};
	struct iscsi_params o, result;
	char reply[64];

	iscsi_params_default_offer(&o);
	for (size_t i = 0; i < ARRAY_SIZE(booleans); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
			assert_int_equal(answered(&o, booleans[i].key, bad[k], &result), -EPROTO);
			assert_int_equal(offered(&o, booleans[i].key, bad[k], reply, &result),
					 -EPROTO);
		}
	}
}

/* A No of ours stays No when the target does not know the key; a Yes falls to the default. */
static void keys_boolean_without_an_answer(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(booleans); i++) {
		const struct boolean *b = &booleans[i];

		for (uint32_t mine = 0; mine <= 1; mine++) {
			struct iscsi_params o, result;
			uint32_t due = b->is_or ? 1 : mine;

			iscsi_params_default_offer(&o);
			*at(&o, b->member) = mine;
			assert_int_equal(answered(&o, b->key, "NotUnderstood", &result), 0);
			assert_int_equal(*at(&result, b->member), due);
			assert_int_equal(answered(&o, b->key, "Irrelevant", &result), 0);
			assert_int_equal(*at(&result, b->member), due);
			assert_int_equal(answered(&o, b->key, "Reject", &result), -EPROTO);
		}
	}
}

/* ---- digests ----------------------------------------------------------- */

static void login_9_digest_lists(void **state)
{
	static const struct {
		uint32_t offer;
		const char *answer;
		int r;
		uint32_t digest;
	} cases[] = {
		{ISCSI_OFFER_NONE, "None", 0, ISCSI_DIGEST_NONE},
		{ISCSI_OFFER_NONE, "CRC32C", -EPROTO, 0},
		{ISCSI_OFFER_CRC32C, "CRC32C", 0, ISCSI_DIGEST_CRC32C},
		{ISCSI_OFFER_CRC32C, "None", -EPROTO, 0},
		{ISCSI_OFFER_CRC32C, "NotUnderstood", -EPROTO, 0},
		{ISCSI_OFFER_CRC32C, "Irrelevant", -EPROTO, 0},
		{ISCSI_OFFER_NONE_CRC32C, "None", 0, ISCSI_DIGEST_NONE},
		{ISCSI_OFFER_NONE_CRC32C, "CRC32C", 0, ISCSI_DIGEST_CRC32C},
		{ISCSI_OFFER_NONE_CRC32C, "NotUnderstood", 0, ISCSI_DIGEST_NONE},
		{ISCSI_OFFER_CRC32C_NONE, "None", 0, ISCSI_DIGEST_NONE},
		{ISCSI_OFFER_CRC32C_NONE, "CRC32C", 0, ISCSI_DIGEST_CRC32C},
		/* 7.1: a list where one value is due, and values never offered */
		{ISCSI_OFFER_NONE_CRC32C, "None,CRC32C", -EPROTO, 0},
		{ISCSI_OFFER_NONE_CRC32C, "CRC32C,None", -EPROTO, 0},
		{ISCSI_OFFER_NONE_CRC32C, "", -EPROTO, 0},
		{ISCSI_OFFER_NONE_CRC32C, "crc32c", -EPROTO, 0},
		{ISCSI_OFFER_NONE_CRC32C, "CRC32", -EPROTO, 0},
		{ISCSI_OFFER_NONE_CRC32C, "CRC32C,", -EPROTO, 0},
		{ISCSI_OFFER_NONE_CRC32C, ",", -EPROTO, 0},
		{ISCSI_OFFER_NONE_CRC32C, "MD5", -EPROTO, 0},
		{ISCSI_OFFER_NONE_CRC32C, "Reject", -EPROTO, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct iscsi_params o, result;

		iscsi_params_default_offer(&o);
		o.HeaderDigest = cases[i].offer;
		o.DataDigest = ISCSI_OFFER_NONE;
		assert_int_equal(answered(&o, "HeaderDigest", cases[i].answer, &result),
				 cases[i].r);
		if (!cases[i].r)
			assert_int_equal(result.HeaderDigest, cases[i].digest);
		assert_int_equal(result.DataDigest, ISCSI_DIGEST_NONE);
		o.DataDigest = cases[i].offer;
		o.HeaderDigest = ISCSI_OFFER_NONE;
		assert_int_equal(answered(&o, "DataDigest", cases[i].answer, &result), cases[i].r);
		if (!cases[i].r)
			assert_int_equal(result.DataDigest, cases[i].digest);
	}
}

static void login_9_digest_required_but_not_answered(void **state)
{
	struct talk t = {0};

	iscsi_params_default_offer(&t.offer);
	t.offer.DataDigest = ISCSI_OFFER_CRC32C;
	talk_begin(&t, false, true);
	negotiation_offer(&t.g, &t.offered);
	assert_string_equal(value_in(&t.offered, "DataDigest"), "CRC32C");
	assert_int_equal(negotiation_finish(&t.g), -EPROTO);
	assert_non_null(strstr(t.g.why, "DataDigest"));
	talk_end(&t);
}

static void login_9_digest_offered_by_the_target(void **state)
{
	static const struct {
		uint32_t mine;
		const char *his, *reply;
		int r;
		uint32_t digest;
	} cases[] = {
		{ISCSI_OFFER_NONE_CRC32C, "CRC32C,None", "None", 0, ISCSI_DIGEST_NONE},
		{ISCSI_OFFER_CRC32C_NONE, "None,CRC32C", "CRC32C", 0, ISCSI_DIGEST_CRC32C},
		{ISCSI_OFFER_NONE_CRC32C, "CRC32C", "CRC32C", 0, ISCSI_DIGEST_CRC32C},
		{ISCSI_OFFER_NONE, "X-com.v,None", "None", 0, ISCSI_DIGEST_NONE},
		{ISCSI_OFFER_CRC32C, "None", "Reject", -EPROTO, 0},
		{ISCSI_OFFER_NONE, "CRC32C", "Reject", -EPROTO, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct iscsi_params o, result;
		char reply[64];

		iscsi_params_default_offer(&o);
		o.HeaderDigest = cases[i].mine;
		assert_int_equal(offered(&o, "HeaderDigest", cases[i].his, reply, &result),
				 cases[i].r);
		assert_string_equal(reply, cases[i].reply);
		if (!cases[i].r)
			assert_int_equal(result.HeaderDigest, cases[i].digest);
	}
}

/* ---- declarations and the rest ----------------------------------------- */

static int declared(const char *key, const char *value, struct iscsi_params *ret)
{
	struct talk t = {0};
	int r;

	iscsi_params_default_offer(&t.offer);
	talk_begin(&t, false, true);
	negotiation_offer(&t.g, &t.offered);
	r = negotiation_take(&t.g, key, value, &t.reply);
	assert_int_equal(t.reply.n, 0);
	if (!r)
		r = negotiation_finish(&t.g);
	*ret = t.result;
	talk_end(&t);
	return r;
}

static void login_14_1_segment_length_is_declared_by_each(void **state)
{
	struct iscsi_params p;

	assert_int_equal(declared("MaxRecvDataSegmentLength", "512", &p), 0);
	assert_int_equal(p.TargetMaxRecvDataSegmentLength, 512);
	assert_int_equal(p.MaxRecvDataSegmentLength, 262144);
	assert_int_equal(declared("MaxRecvDataSegmentLength", "16777215", &p), 0);
	assert_int_equal(p.TargetMaxRecvDataSegmentLength, 16777215);
	assert_int_equal(declared("MaxRecvDataSegmentLength", "511", &p), -EPROTO);
	assert_int_equal(declared("MaxRecvDataSegmentLength", "16777216", &p), -EPROTO);
	assert_int_equal(declared("MaxRecvDataSegmentLength", "0", &p), -EPROTO);
	assert_int_equal(declared("MaxRecvDataSegmentLength", "Yes", &p), -EPROTO);
	/* Nothing said: 8192. */
	assert_int_equal(declared("TargetPortalGroupTag", "1", &p), 0);
	assert_int_equal(p.TargetMaxRecvDataSegmentLength, 8192);
}

static void login_23_1_the_targets_own_declarations(void **state)
{
	struct iscsi_params p;
	char alias[300];

	assert_int_equal(declared("TargetPortalGroupTag", "65535", &p), 0);
	assert_int_equal(p.TargetPortalGroupTag, 65535);
	assert_int_equal(declared("TargetPortalGroupTag", "65536", &p), -EPROTO);
	assert_int_equal(declared("TargetAlias", "disk of the lab", &p), 0);
	assert_string_equal(p.TargetAlias, "disk of the lab");
	memset(alias, 'a', sizeof(alias));
	alias[255] = '\0';
	assert_int_equal(declared("TargetAlias", alias, &p), 0);
	assert_int_equal(strlen(p.TargetAlias), 255);
	alias[255] = 'a';
	alias[256] = '\0';
	assert_int_equal(declared("TargetAlias", alias, &p), -EPROTO);
}

static void login_6_a_key_comes_once(void **state)
{
	static const struct {
		const char *key, *value;
	} twice[] = {
		{"HeaderDigest", "None"},
		{"MaxConnections", "1"},
		{"InitialR2T", "Yes"},
		{"ImmediateData", "Yes"},
		{"MaxRecvDataSegmentLength", "8192"},
		{"MaxBurstLength", "8192"},
		{"DefaultTime2Wait", "2"},
		{"TargetPortalGroupTag", "1"},
		{"IFMarker", "No"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(twice); i++) {
		struct talk t = {0};

		iscsi_params_default_offer(&t.offer);
		talk_begin(&t, false, true);
		negotiation_offer(&t.g, &t.offered);
		assert_int_equal(negotiation_take(&t.g, twice[i].key, twice[i].value, &t.reply), 0);
		assert_int_equal(negotiation_take(&t.g, twice[i].key, twice[i].value, &t.reply),
				 -EPROTO);
		assert_non_null(strstr(t.g.why, twice[i].key));
		talk_end(&t);
	}
}

static void login_7_6_unknown_keys(void **state)
{
	static const char *const words[] = {"NotUnderstood", "Irrelevant", "Reject"};
	struct talk t = {0};

	iscsi_params_default_offer(&t.offer);
	talk_begin(&t, false, true);
	assert_int_equal(negotiation_take(&t.g, "X-org.example.Key", "7", &t.reply), 0);
	assert_string_equal(value_in(&t.reply, "X-org.example.Key"), "NotUnderstood");
	/* Letter case counts. */
	assert_int_equal(negotiation_take(&t.g, "maxburstlength", "7", &t.reply), 0);
	assert_string_equal(value_in(&t.reply, "maxburstlength"), "NotUnderstood");
	text_clear(&t.reply);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		assert_int_equal(negotiation_take(&t.g, "Other", words[i], &t.reply), 0);
	assert_int_equal(t.reply.n, 0);
	talk_end(&t);
}

static void login_12_1_markers_are_refused(void **state)
{
	struct talk t = {0};

	iscsi_params_default_offer(&t.offer);
	talk_begin(&t, false, true);
	negotiation_offer(&t.g, &t.offered);
	assert_null(value_in(&t.offered, "IFMarker"));
	assert_null(value_in(&t.offered, "OFMarker"));
	assert_int_equal(negotiation_take(&t.g, "IFMarker", "Yes", &t.reply), 0);
	assert_string_equal(value_in(&t.reply, "IFMarker"), "No");
	assert_int_equal(negotiation_take(&t.g, "OFMarker", "Yes", &t.reply), 0);
	assert_string_equal(value_in(&t.reply, "OFMarker"), "No");
	assert_int_equal(negotiation_take(&t.g, "IFMarkInt", "2048", &t.reply), 0);
	assert_string_equal(value_in(&t.reply, "IFMarkInt"), "Reject");
	assert_int_equal(negotiation_take(&t.g, "OFMarkInt", "1~65535", &t.reply), 0);
	assert_string_equal(value_in(&t.reply, "OFMarkInt"), "Reject");
	talk_end(&t);
}

/* ---- keys against each other ------------------------------------------- */

static int bursts(const char *r2t, const char *immediate, const char *first, const char *max)
{
	struct talk t = {0};
	int r;

	iscsi_params_default_offer(&t.offer);
	talk_begin(&t, false, true);
	negotiation_offer(&t.g, &t.offered);
	assert_int_equal(negotiation_take(&t.g, "InitialR2T", r2t, &t.reply), 0);
	assert_int_equal(negotiation_take(&t.g, "ImmediateData", immediate, &t.reply), 0);
	if (first)
		assert_int_equal(negotiation_take(&t.g, "FirstBurstLength", first, &t.reply), 0);
	assert_int_equal(negotiation_take(&t.g, "MaxBurstLength", max, &t.reply), 0);
	r = negotiation_finish(&t.g);
	if (!r && !(t.result.InitialR2T && !t.result.ImmediateData))
		assert_true(t.result.FirstBurstLength <= t.result.MaxBurstLength);
	talk_end(&t);
	return r;
}

static void login_7_3_16_first_burst_above_max_burst(void **state)
{
	assert_int_equal(bursts("No", "Yes", "8192", "8192"), 0);
	assert_int_equal(bursts("No", "Yes", "8193", "8192"), -EPROTO);
	assert_int_equal(bursts("Yes", "Yes", "8193", "8192"), -EPROTO);
	assert_int_equal(bursts("No", "No", "8193", "8192"), -EPROTO);
	/* 16.3: irrelevant when nothing unsolicited may be sent */
	assert_int_equal(bursts("Yes", "No", "8193", "8192"), 0);
	assert_int_equal(bursts("Yes", "No", "Irrelevant", "512"), 0);
	/* Not answered: the default, but not above what was agreed. */
	assert_int_equal(bursts("No", "Yes", NULL, "512"), 0);
}

/* ---- which keys are asked when ----------------------------------------- */

static void keys_offer_has_every_key_once(void **state)
{
	static const char *const keys[] = {
		"HeaderDigest",        "DataDigest",        "MaxConnections",
		"InitialR2T",          "ImmediateData",     "MaxRecvDataSegmentLength",
		"MaxBurstLength",      "FirstBurstLength",  "DefaultTime2Wait",
		"DefaultTime2Retain",  "MaxOutstandingR2T", "DataPDUInOrder",
		"DataSequenceInOrder", "ErrorRecoveryLevel"};
	struct talk t = {0};
	size_t n;

	iscsi_params_default_offer(&t.offer);
	assert_true(iscsi_params_offer_valid(&t.offer));
	talk_begin(&t, false, true);
	negotiation_offer(&t.g, &t.offered);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_non_null(value_in(&t.offered, keys[i]));
	assert_int_equal(count_pairs(&t.offered), ARRAY_SIZE(keys));
	assert_string_equal(value_in(&t.offered, "HeaderDigest"), "None,CRC32C");
	assert_string_equal(value_in(&t.offered, "InitialR2T"), "No");
	assert_string_equal(value_in(&t.offered, "ImmediateData"), "Yes");
	assert_string_equal(value_in(&t.offered, "DataPDUInOrder"), "Yes");
	n = t.offered.n;
	negotiation_offer(&t.g, &t.offered);
	assert_int_equal(t.offered.n, n);
	talk_end(&t);
}

static void keys_discovery_has_no_keys_about_data(void **state)
{
	struct talk t = {0};

	iscsi_params_default_offer(&t.offer);
	talk_begin(&t, true, true);
	negotiation_offer(&t.g, &t.offered);
	assert_null(value_in(&t.offered, "MaxBurstLength"));
	assert_null(value_in(&t.offered, "ImmediateData"));
	assert_null(value_in(&t.offered, "MaxConnections"));
	assert_non_null(value_in(&t.offered, "HeaderDigest"));
	assert_non_null(value_in(&t.offered, "MaxRecvDataSegmentLength"));
	assert_int_equal(negotiation_take(&t.g, "MaxBurstLength", "8192", &t.reply), 0);
	assert_string_equal(value_in(&t.reply, "MaxBurstLength"), "Irrelevant");
	t.g.owes = false;
	assert_int_equal(negotiation_finish(&t.g), 0);
	assert_int_equal(t.result.MaxBurstLength, 262144); /* the default */
	talk_end(&t);
}

static void keys_second_connection_leaves_the_session_alone(void **state)
{
	struct talk t = {0};

	iscsi_params_default_offer(&t.offer);
	talk_begin(&t, false, false);
	t.result.MaxBurstLength = 777;
	negotiation_offer(&t.g, &t.offered);
	assert_non_null(value_in(&t.offered, "HeaderDigest"));
	assert_non_null(value_in(&t.offered, "DataDigest"));
	assert_non_null(value_in(&t.offered, "MaxRecvDataSegmentLength"));
	assert_int_equal(count_pairs(&t.offered), 3); /* the rest is the session's */
	assert_int_equal(negotiation_take(&t.g, "MaxBurstLength", "8192", &t.reply), 0);
	assert_string_equal(value_in(&t.reply, "MaxBurstLength"), "Reject");
	/* tgt answers that with the same; twice something else is too much */
	assert_int_equal(negotiation_take(&t.g, "MaxBurstLength", "Reject", &t.reply), 0);
	assert_int_equal(negotiation_take(&t.g, "MaxBurstLength", "8192", &t.reply), -EPROTO);
	assert_int_equal(count_pairs(&t.reply), 1);
	t.g.owes = false;
	assert_int_equal(negotiation_finish(&t.g), 0);
	assert_int_equal(t.result.MaxBurstLength, 777);
	talk_end(&t);
}

static void keys_offer_in_the_last_word_cannot_be_answered(void **state)
{
	struct talk t = {0};

	iscsi_params_default_offer(&t.offer);
	talk_begin(&t, false, true);
	assert_int_equal(negotiation_take(&t.g, "MaxBurstLength", "8192", &t.reply), 0);
	assert_int_equal(negotiation_finish(&t.g), -EPROTO);
	t.g.owes = false;
	assert_int_equal(negotiation_finish(&t.g), 0);
	talk_end(&t);
}

static void keys_offer_out_of_range_is_not_made(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct iscsi_params o = offer_with(&numbers[i], numbers[i].max + 1);

		assert_false(iscsi_params_offer_valid(&o));
		o = offer_with(&numbers[i], numbers[i].max);
		o.MaxBurstLength = 16777215;
		assert_true(iscsi_params_offer_valid(&o));
	}
	for (size_t i = 0; i < ARRAY_SIZE(booleans); i++) {
		struct iscsi_params o;

		iscsi_params_default_offer(&o);
		*at(&o, booleans[i].member) = 2;
		assert_false(iscsi_params_offer_valid(&o));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(login_10_15_16_17_18_19_20_number_answered_at_bounds),
		cmocka_unit_test(keys_number_out_of_range),
		cmocka_unit_test(keys_number_not_a_number),
		cmocka_unit_test(keys_hexadecimal_numbers),
		cmocka_unit_test(keys_number_without_an_answer),
		cmocka_unit_test(keys_reject_ends_the_login),
		cmocka_unit_test(keys_number_offered_by_the_target),
		cmocka_unit_test(login_13_boolean_functions),
		cmocka_unit_test(login_7_4_invalid_boolean),
		cmocka_unit_test(keys_boolean_without_an_answer),
		cmocka_unit_test(login_9_digest_lists),
		cmocka_unit_test(login_9_digest_required_but_not_answered),
		cmocka_unit_test(login_9_digest_offered_by_the_target),
		cmocka_unit_test(login_14_1_segment_length_is_declared_by_each),
		cmocka_unit_test(login_23_1_the_targets_own_declarations),
		cmocka_unit_test(login_6_a_key_comes_once),
		cmocka_unit_test(login_7_6_unknown_keys),
		cmocka_unit_test(login_12_1_markers_are_refused),
		cmocka_unit_test(login_7_3_16_first_burst_above_max_burst),
		cmocka_unit_test(keys_offer_has_every_key_once),
		cmocka_unit_test(keys_discovery_has_no_keys_about_data),
		cmocka_unit_test(keys_second_connection_leaves_the_session_alone),
		cmocka_unit_test(keys_offer_in_the_last_word_cannot_be_answered),
		cmocka_unit_test(keys_offer_out_of_range_is_not_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
