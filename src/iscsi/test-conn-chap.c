/* SPDX-License-Identifier: MIT */
/*
 * Conversations about CHAP's keys, in the order of test/conformance.csv. What a
 * target must prove is in test-conn-chap-mutual.c.
 */
#include "iscsi/test-chap-peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t his_challenge[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* ---- 1: CHAP_A --------------------------------------------------------- */

static void unh_chap_1_1_strongest_first_md5_last(void **state)
{
	for (int md5 = 0; md5 < 2; md5++) {
		struct peer p;
		const struct seen *u;

		chap_peer(&p, false);
		p.cfg.auth.allow_md5 = md5;
		u = chap_begin(&p);
		assert_string_equal(login_said(u, "CHAP_A"), md5 ? "8,7,6,5" : "8,7,6");
		assert_int_equal(u->pdu.n_data, md5 ? 15 : 13);
		peer_close(&p);
	}
}

static void unh_chap_1_2_5_1_every_hash(void **state)
{
	static const char *const hash[] = {"5", "6", "7", "8", "0x8", "0X5"};
	static const uint8_t number[] = {5, 6, 7, 8, 8, 5};

	for (size_t i = 0; i < ARRAY_SIZE(hash); i++) {
		struct peer p;
		const struct seen *u;

		chap_peer(&p, false);
		p.cfg.auth.allow_md5 = true;
		u = chap_begin_answer(&p, hash[i]);
		assert_string_equal(login_said(u, "CHAP_N"), CHAP_NAME);
		assert_null(login_said(u, "CHAP_C")); /* one way */
		assert_null(login_said(u, "CHAP_I"));
		chap_check(u, number[i], CHAP_HIS_ID, his_challenge, sizeof(his_challenge));
		CHAP_SAY(&p, u, true, "");
		chap_finish(&p);
		peer_close(&p);
	}
}

static void unh_chap_1_3_hash_that_was_not_offered(void **state)
{
	static const char *const bad[] = {"5",       "4",          "9",   "0",  "262",
					  "8,7",     "",           "7 ",  "-7", "0x107",
					  "SHA-256", "4294967303", "06.", "128"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u;
		char text[64];
		int n = snprintf(text, sizeof(text), "CHAP_A=%s%cCHAP_I=1%cCHAP_C=0x01", bad[i], 0,
				 0);

		chap_peer(&p, false);
		u = chap_begin(&p);
		chap_say(&p, u, false, text, (size_t)n + 1);
		chap_expect_violation(&p, "CHAP_A");
	}
}

static void unh_chap_1_4_no_hash_for_the_target(void **state)
{
	for (int md5 = 0; md5 < 2; md5++) {
		struct peer p;
		const struct seen *u;

		chap_peer(&p, false);
		p.cfg.auth.allow_md5 = md5;
		u = chap_begin(&p);
		CHAP_SAY(&p, u, false, "CHAP_A=Reject\0");
		chap_expect_refused(&p,
				    md5 ? "none of our CHAP hashes" : "MD5, which is not allowed");
	}
}

/* ---- 2: CHAP_I --------------------------------------------------------- */

static void unh_chap_2_1_every_identifier(void **state)
{
	for (unsigned id = 0; id < 256; id += peer_split ? 51 : 1) {
		struct peer p;
		const struct seen *u;
		char text[64];
		int n = snprintf(text, sizeof(text),
				 id & 1 ? "CHAP_A=7%cCHAP_I=0x%x%cCHAP_C=0xaa"
					: "CHAP_A=7%cCHAP_I=%u%cCHAP_C=0xaa",
				 0, id, 0);

		chap_peer(&p, false);
		u = chap_begin(&p);
		chap_say(&p, u, false, text, (size_t)n + 1);
		u = peer_expect(&p, PDU_LOGIN_REQ);
		chap_check(u, 7, (uint8_t)id, "\xaa", 1);
		peer_close(&p);
	}
}

static void unh_chap_2_2_what_is_no_identifier(void **state)
{
	static const char *const bad[] = {"256",   "-1", "",    "0x",
					  "0x100", "1 ", "abc", "4294967297"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u;
		char text[64];
		int n = snprintf(text, sizeof(text), "CHAP_A=7%cCHAP_I=%s%cCHAP_C=0xaa", 0, bad[i],
				 0);

		chap_peer(&p, false);
		u = chap_begin(&p);
		chap_say(&p, u, false, text, (size_t)n + 1);
		chap_expect_violation(&p, "CHAP_I");
	}
}

/* ---- 3: CHAP_C --------------------------------------------------------- */

static size_t hex_encode(char *to, const uint8_t *bytes, size_t n, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

	memcpy(to, upper ? "0X" : "0x", 2);
	for (size_t i = 0; i < n; i++) {
		to[2 + 2 * i] = digits[bytes[i] >> 4];
		to[3 + 2 * i] = digits[bytes[i] & 15];
	}
	to[2 + 2 * n] = '\0';
	return 2 + 2 * n;
}

static size_t base64_encode(char *to, const uint8_t *bytes, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t at = 2;

	memcpy(to, "0b", 2);
	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)bytes[i] << 16 |
			     (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) |
			     (i + 2 < n ? bytes[i + 2] : 0);

		to[at++] = digits[v >> 18];
		to[at++] = digits[v >> 12 & 63];
		to[at++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
		to[at++] = i + 2 < n ? digits[v & 63] : '=';
	}
	to[at] = '\0';
	return at;
}

/* A challenge of @n bytes; @how 0: hex, 1: upper case, 2: base64. Returns its bytes on the wire. */
static size_t challenge_text(char *text, uint8_t *bytes, size_t n, int how)
{
	size_t at = (size_t)sprintf(text, "CHAP_A=8%cCHAP_I=7%cCHAP_C=", 0, 0);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(i * 37 + n);
	at += how == 2 ? base64_encode(text + at, bytes, n) : hex_encode(text + at, bytes, n, how);
	return at + 1;
}

static void challenges(int how)
{
	for (size_t n = 1; n <= CHAP_CHALLENGE_MAX; n += n < 70 && !peer_split ? 1 : 159) {
		struct peer p;
		const struct seen *u;
		uint8_t bytes[CHAP_CHALLENGE_MAX];
		char text[4096];
		size_t n_text = challenge_text(text, bytes, n, how);

		chap_peer(&p, false);
		u = chap_begin(&p);
		chap_say(&p, u, false, text, n_text);
		u = peer_expect(&p, PDU_LOGIN_REQ);
		chap_check(u, 8, 7, bytes, n);
		peer_close(&p);
	}
}

static void unh_chap_3_1_hex_of_every_length(void **state)
{
	challenges(0);
	challenges(1);
}

static void unh_chap_3_2_base64_of_every_length(void **state)
{
	challenges(2);
}

static void unh_chap_3_3_longest_and_too_long(void **state)
{
	for (int how = 0; how < 3; how++) {
		for (size_t n = CHAP_CHALLENGE_MAX; n <= CHAP_CHALLENGE_MAX + 1; n++) {
			struct peer p;
			const struct seen *u;
			uint8_t bytes[CHAP_CHALLENGE_MAX + 1];
			char text[4096];
			size_t n_text = challenge_text(text, bytes, n, how);

			chap_peer(&p, false);
			u = chap_begin(&p);
			chap_say(&p, u, false, text, n_text);
			if (n > CHAP_CHALLENGE_MAX) {
				chap_expect_violation(&p, "longer than 1024 bytes");
				continue;
			}
			u = peer_expect(&p, PDU_LOGIN_REQ);
			chap_check(u, 8, 7, bytes, n);
			peer_close(&p);
		}
	}
}

static void unh_chap_3_4_what_is_no_challenge(void **state)
{
	static const char *const bad[] = {"",       "0x", "0b",   "0x123", "0x12345", "0bAAA",
					  "0bAB==", "17", "abcd", "0xzz",  "0x12 ",   "Reject"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u;
		char text[64];
		int n = snprintf(text, sizeof(text), "CHAP_A=7%cCHAP_I=1%cCHAP_C=%s", 0, 0, bad[i]);

		chap_peer(&p, false);
		u = chap_begin(&p);
		chap_say(&p, u, false, text, (size_t)n + 1);
		chap_expect_violation(&p, "CHAP_C is not a binary value");
	}
}

static void unh_chap_3_5_1_5_2_3_keys_missing_or_twice(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		const char *why;
	} bad[] = {
		{TEXT("CHAP_I=1\0CHAP_C=0x01\0"), "lacks CHAP_A"},
		{TEXT("CHAP_A=7\0CHAP_C=0x01\0"), "lacks CHAP_I"},
		{TEXT("CHAP_A=7\0CHAP_I=1\0"), "lacks CHAP_C"},
		{TEXT("TargetAlias=x\0"), "lacks CHAP_A"},
		{TEXT(""), "lacks CHAP_A"},
		{TEXT("CHAP_A=7\0CHAP_A=7\0CHAP_I=1\0CHAP_C=0x01\0"), "CHAP_A twice"},
		{TEXT("CHAP_A=7\0CHAP_I=1\0CHAP_I=1\0CHAP_C=0x01\0"), "CHAP_I twice"},
		{TEXT("CHAP_A=7\0CHAP_I=1\0CHAP_C=0x01\0CHAP_C=0x01\0"), "CHAP_C twice"},
		{TEXT("CHAP_A=7\0CHAP_I=1\0CHAP_C=0x01\0CHAP_N=x\0"), "CHAP_N at a time"},
		{TEXT("CHAP_A=7\0CHAP_I=1\0CHAP_C=0x01\0CHAP_R=0x01\0"), "CHAP_R at a time"},
		{TEXT("CHAP_A=7\0CHAP_I=1\0CHAP_C=0x01\0AuthMethod=CHAP\0"), "second time"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u;

		chap_peer(&p, false);
		u = chap_begin(&p);
		chap_say(&p, u, false, bad[i].text, bad[i].n);
		chap_expect_violation(&p, bad[i].why);
	}
}

/* The challenge in pieces: nothing is answered before the whole is there. */
static void unh_chap_3_6_challenge_with_c_bit(void **state)
{
	static const char text[] = "CHAP_A=8\0CHAP_I=39\0CHAP_C=" CHAP_HIS_HEX;

	for (size_t cut = 1; cut < sizeof(text); cut += peer_split ? 7 : 1) {
		struct peer p;
		const struct seen *u;
		struct pdu r;

		chap_peer(&p, false);
		u = chap_begin(&p);
		r = login_grant(&p, u);
		r.u.login.more = true;
		peer_send(&p, r, text, cut);
		u = peer_expect(&p, PDU_LOGIN_REQ);
		assert_int_equal(u->pdu.n_data, 0);
		assert_false(u->pdu.final);
		r.u.login.more = false;
		peer_send(&p, r, text + cut, sizeof(text) - cut);
		u = peer_expect(&p, PDU_LOGIN_REQ);
		chap_check(u, 8, CHAP_HIS_ID, his_challenge, sizeof(his_challenge));
		CHAP_SAY(&p, u, true, "");
		chap_finish(&p);
		peer_close(&p);
	}
}

/* ---- 4: CHAP_N --------------------------------------------------------- */

static void name_arrives(const uint8_t *name, size_t n)
{
	struct peer p;
	const struct seen *u;

	chap_peer(&p, false);
	p.cfg.auth.name = name;
	p.cfg.auth.n_name = n;
	u = chap_begin_answer(&p, "8");
	assert_int_equal(strlen(login_said(u, "CHAP_N")), n);
	assert_memory_equal(login_said(u, "CHAP_N"), name, n);
	chap_check(u, 8, CHAP_HIS_ID, his_challenge, sizeof(his_challenge));
	CHAP_SAY(&p, u, true, "");
	chap_finish(&p);
	peer_close(&p);
}

static void unh_chap_4_1_names_of_every_length(void **state)
{
	uint8_t name[255];

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = (uint8_t)('a' + i % 26);
	for (size_t n = 1; n <= sizeof(name); n += peer_split ? 127 : 1)
		name_arrives(name, n);
}

/* Bytes that mean something elsewhere: there is no escape in text, so they go as they are. */
static void unh_chap_4_2_names_with_any_byte(void **state)
{
	static const char *const names[] = {
		"=",
		"==a",
		"a=b,c",
		" lead and trail ",
		"CHAP_R=0x00",
		"0x41",
		"\"quoted\"",
		"\\0",
		"%00",
		"None",
		"Reject",
		"j\xc3\xb6rg",
		"\n",
		"\x7f\xff\x80",
		"iqn.2026-11.test:with:colons",
	};
	uint8_t all[255];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		name_arrives((const uint8_t *)names[i], strlen(names[i]));
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i + 1);
	name_arrives(all, sizeof(all));
}

static void unh_chap_4_3_what_cannot_be_configured(void **state)
{
	static uint8_t bytes[256];
	struct iscsi_session *s;
	struct peer p;

	memset(bytes, 'b', sizeof(bytes));
	for (int i = 0; i < 12; i++) {
		struct iscsi_auth *a = &p.cfg.auth;

		chap_peer(&p, true);
		switch (i) {
		case 0: a->n_name = 0; break;
		case 1: a->name = bytes, a->n_name = 256; break;
		case 2: a->name = (const uint8_t *)"a\0b", a->n_name = 3; break;
		case 3: a->n_secret = 0; break;
		case 4: a->secret = bytes, a->n_secret = 256; break;
		case 5: a->peer_secret = bytes, a->n_peer_secret = 256; break;
		case 6: a->n_peer_secret = 0; break;
		case 7: a->peer_secret = a->secret, a->n_peer_secret = a->n_secret; break;
		case 8: a->random = NULL; break;
		case 9: *a = (struct iscsi_auth){.required = true}; break;
		case 10: *a = (struct iscsi_auth){.mutual = true}; break;
		default: *a = (struct iscsi_auth){.peer_secret = bytes, .n_peer_secret = 12}; break;
		}
		assert_int_equal(session_new(&s, &p.cfg), -EINVAL);
	}
}

/* ---- the method, and keys out of place ---------------------------------- */

static void unh_chap_5_2_target_that_skips_authentication(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		bool moves;
	} skip[] = {
		{TEXT("AuthMethod=None\0"), false},   {TEXT("AuthMethod=None\0"), true},
		{TEXT("AuthMethod=Reject\0"), false}, {TEXT("AuthMethod=NotUnderstood\0"), false},
		{TEXT("AuthMethod=CHAP\0"), true},    {TEXT(""), true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(skip); i++) {
		for (int mutual = 0; mutual < 2; mutual++) {
			struct peer p;
			const struct seen *u;

			chap_peer(&p, mutual);
			p.cfg.auth.required = !mutual; /* mutual alone is enough to require it */
			u = login_begin(&p);
			chap_say(&p, u, skip[i].moves, skip[i].text, skip[i].n);
			chap_expect_refused(&p, "authentication");
		}
	}
}

/* It moves on when it ought to challenge us, or in the middle of it. */
static void unh_chap_5_3_target_that_moves_on_too_early(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} early[] = {
		{TEXT("")},
		{TEXT("CHAP_A=8\0")},
		{TEXT("CHAP_A=8\0CHAP_I=39\0CHAP_C=" CHAP_HIS_HEX "\0")},
	};

	for (size_t i = 0; i < ARRAY_SIZE(early); i++) {
		for (uint8_t nsg = STAGE_OPERATIONAL; nsg <= STAGE_FULL_FEATURE; nsg += 2) {
			struct peer p;
			const struct seen *u;
			struct pdu r;

			chap_peer(&p, false);
			p.cfg.auth.required = false;
			u = chap_begin(&p);
			r = login_grant(&p, u);
			r.final = true;
			r.u.login.nsg = nsg;
			r.u.login.tsih = p.tsih;
			peer_send(&p, r, early[i].text, early[i].n);
			chap_expect_refused(&p, "moves on without");
		}
	}
}

/* Where we do not insist, a target that says None is let off. */
static void unh_chap_5_4_not_required(void **state)
{
	struct peer p;
	const struct seen *u;

	chap_peer(&p, false);
	p.cfg.auth.required = false;
	u = login_begin(&p);
	assert_string_equal(login_said(u, "AuthMethod"), "CHAP");
	CHAP_SAY(&p, u, false, "AuthMethod=None\0");
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_true(u->pdu.final);
	assert_int_equal(u->pdu.n_data, 0);
	CHAP_SAY(&p, u, true, "");
	chap_finish(&p);
	peer_close(&p);
}

static void unh_chap_5_5_other_methods(void **state)
{
	static const char *const bad[] = {"KRB5", "SRP", "CHAP,None", "chap", "", "None,CHAP"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u;
		char text[64];
		int n = snprintf(text, sizeof(text), "AuthMethod=%s", bad[i]);

		chap_peer(&p, false);
		u = login_begin(&p);
		chap_say(&p, u, false, text, (size_t)n + 1);
		chap_expect_violation(&p, "AuthMethod");
	}
}

/* A target that has not made up its mind is waited for. */
static void unh_chap_5_6_method_later(void **state)
{
	struct peer p;
	const struct seen *u;

	chap_peer(&p, false);
	u = login_begin(&p);
	CHAP_SAY(&p, u, false, "TargetPortalGroupTag=1\0");
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_int_equal(u->pdu.n_data, 0);
	assert_false(u->pdu.final);
	CHAP_SAY(&p, u, false, "AuthMethod=CHAP\0");
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_non_null(login_said(u, "CHAP_A"));
	peer_close(&p);
}

static void unh_chap_5_7_keys_out_of_place(void **state)
{
	static const char *const keys[] = {"CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		for (int at = 0; at < 4; at++) {
			struct peer p;
			const struct seen *u;
			char text[64];
			int n = snprintf(text, sizeof(text), "%s=7", keys[i]);

			if (at == 2 && i >= 3)
				continue; /* their place */
			chap_peer(&p, false);
			if (at == 0) {
				p.cfg.auth = (struct iscsi_auth){0}; /* no CHAP at all */
				u = login_begin(&p);
			} else if (at == 1) {
				u = login_begin(&p);
			} else {
				u = chap_begin_answer(&p, "8");
			}
			if (at == 3) { /* in the operational stage */
				CHAP_SAY(&p, u, true, "");
				u = peer_expect(&p, PDU_LOGIN_REQ);
			}
			chap_say(&p, u, false, text, (size_t)n + 1);
			chap_expect_violation(&p, "at a time");
		}
	}
}

/* One way, the target may say who it is; it proves nothing. */
static void unh_chap_5_8_proof_that_nobody_asked_for(void **state)
{
	struct peer p;
	const struct seen *u;

	chap_peer(&p, false);
	u = chap_begin_answer(&p, "8");
	CHAP_SAY(&p, u, true, "CHAP_N=me\0CHAP_R=nonsense\0");
	chap_finish(&p);
	peer_close(&p);
}

/* It needs one round more; our wish to move on is said again. */
static void unh_chap_5_9_target_that_moves_on_later(void **state)
{
	struct peer p;
	const struct seen *u;

	chap_peer(&p, false);
	u = chap_begin_answer(&p, "8");
	for (int i = 0; i < 3; i++) {
		CHAP_SAY(&p, u, false, "");
		u = peer_expect(&p, PDU_LOGIN_REQ);
		assert_int_equal(u->pdu.n_data, 0);
		assert_true(u->pdu.final);
	}
	CHAP_SAY(&p, u, true, "");
	chap_finish(&p);
	peer_close(&p);
}

/* ---- what a refusal says ------------------------------------------------- */

static void refusal_says(int at, const char *why)
{
	struct peer p;
	const struct seen *u;
	struct pdu r;

	chap_peer(&p, false);
	if (at == 0)
		p.cfg.auth = (struct iscsi_auth){0};
	if (at < 2)
		u = login_begin(&p);
	else if (at == 2)
		u = chap_begin(&p);
	else
		u = chap_begin_answer(&p, "8");
	r = login_grant(&p, u);
	r.u.login.status_class = 2;
	r.u.login.status_detail = 1;
	peer_send(&p, r, NULL, 0);
	chap_expect_refused(&p, why);
}

/* Some say it with the key instead of a status, some by closing the connection. */
static void unh_chap_5_11_target_that_requires_what_we_have_not(void **state)
{
	struct peer p;
	const struct seen *u = login_begin_peer(&p);

	chap_say(&p, u, false, TEXT("AuthMethod=Reject\0"));
	chap_expect_refused(&p, "log in with the CHAP name and secret");

	login_begin_peer(&p);
	conn_lost(p.c, "closed", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
	assert_int_equal(p.event.ev.login_status, 0);
	assert_string_equal(p.event.text, "closed; the target may require CHAP");
	login_expect_over(&p);

	/* Not where that cannot be it. */
	peer_init(&p);
	login_begin_operational(&p);
	conn_lost(p.c, "closed", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
	assert_string_equal(p.event.text, "closed");
	login_expect_over(&p);
	chap_peer(&p, false);
	login_begin(&p);
	conn_lost(p.c, "closed", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
	assert_string_equal(p.event.text, "closed");
	login_expect_over(&p);
}

static void own_login_status_0201_says_what_to_do(void **state)
{
	refusal_says(0, "log in with the CHAP name and secret");
	refusal_says(1, "does not take CHAP");
	refusal_says(2, "MD5, which is not allowed");
	refusal_says(3, "does not accept this CHAP name and secret");
}

/* The status of a mistake where we have answered with @hash: is it worth another login? */
static void misread(struct peer *p, const struct seen *u, bool again)
{
	struct pdu r = login_grant(p, u);
	const struct peer_event *e;

	r.u.login.status_class = 2;
	r.final = false;
	peer_send(p, r, NULL, 0);
	e = peer_expect_event(p, ISCSI_EV_LOGIN_FAILED);
	assert_int_equal(e->ev.login_status, 0x0200);
	assert_int_equal(e->ev.again, again);
	p->c = conn_free(p->c);
	p->statsn = 77;
}

/* Targets that take 7 for SHA-1: one more login, without it, and no third. */
static void unh_chap_1_5_target_with_old_numbers(void **state)
{
	struct peer p;
	const struct seen *u;

	chap_peer(&p, false);
	p.cfg.auth.allow_md5 = true;
	u = chap_begin_answer(&p, "7");
	misread(&p, u, true);
	peer_connect(&p);
	u = chap_to_hashes(&p);
	assert_string_equal(login_said(u, "CHAP_A"), "8,6,5");
	CHAP_SAY(&p, u, false, "CHAP_A=5\0CHAP_I=39\0CHAP_C=" CHAP_HIS_HEX "\0");
	u = peer_expect(&p, PDU_LOGIN_REQ);
	chap_check(u, 5, CHAP_HIS_ID, his_challenge, sizeof(his_challenge));
	misread(&p, u, false);
	/* What we do not offer any more is not taken. */
	peer_connect(&p);
	u = chap_to_hashes(&p);
	CHAP_SAY(&p, u, false, "CHAP_A=7\0CHAP_I=39\0CHAP_C=" CHAP_HIS_HEX "\0");
	chap_expect_violation(&p, "CHAP_A");

	for (int hash = 5; hash <= 8; hash++) {
		char text[2] = {(char)('0' + hash)};

		chap_peer(&p, false);
		p.cfg.auth.allow_md5 = true;
		u = chap_begin_answer(&p, text);
		misread(&p, u, hash == 7);
		peer_close(&p);
	}
}

/* ---- sessions ------------------------------------------------------------ */

static void unh_chap_5_10_discovery_session(void **state)
{
	struct peer p;
	const struct seen *u;

	chap_peer(&p, false);
	p.cfg.discovery = true;
	p.cfg.target_name = NULL;
	u = chap_begin_answer(&p, "7");
	chap_check(u, 7, CHAP_HIS_ID, his_challenge, sizeof(his_challenge));
	CHAP_SAY(&p, u, true, "");
	u = peer_expect(&p, PDU_LOGIN_REQ);
	peer_send(&p, login_grant(&p, u), TEXT("HeaderDigest=None\0DataDigest=None\0"));
	login_expect_up(&p);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_chap_1_1_strongest_first_md5_last),
		cmocka_unit_test(unh_chap_1_2_5_1_every_hash),
		cmocka_unit_test(unh_chap_1_3_hash_that_was_not_offered),
		cmocka_unit_test(unh_chap_1_4_no_hash_for_the_target),
		cmocka_unit_test(unh_chap_2_1_every_identifier),
		cmocka_unit_test(unh_chap_2_2_what_is_no_identifier),
		cmocka_unit_test(unh_chap_3_1_hex_of_every_length),
		cmocka_unit_test(unh_chap_3_2_base64_of_every_length),
		cmocka_unit_test(unh_chap_3_3_longest_and_too_long),
		cmocka_unit_test(unh_chap_3_4_what_is_no_challenge),
		cmocka_unit_test(unh_chap_3_5_1_5_2_3_keys_missing_or_twice),
		cmocka_unit_test(unh_chap_3_6_challenge_with_c_bit),
		cmocka_unit_test(unh_chap_4_1_names_of_every_length),
		cmocka_unit_test(unh_chap_4_2_names_with_any_byte),
		cmocka_unit_test(unh_chap_4_3_what_cannot_be_configured),
		cmocka_unit_test(unh_chap_5_2_target_that_skips_authentication),
		cmocka_unit_test(unh_chap_5_3_target_that_moves_on_too_early),
		cmocka_unit_test(unh_chap_5_4_not_required),
		cmocka_unit_test(unh_chap_5_5_other_methods),
		cmocka_unit_test(unh_chap_5_6_method_later),
		cmocka_unit_test(unh_chap_5_7_keys_out_of_place),
		cmocka_unit_test(unh_chap_5_8_proof_that_nobody_asked_for),
		cmocka_unit_test(unh_chap_5_9_target_that_moves_on_later),
		cmocka_unit_test(unh_chap_5_11_target_that_requires_what_we_have_not),
		cmocka_unit_test(own_login_status_0201_says_what_to_do),
		cmocka_unit_test(unh_chap_1_5_target_with_old_numbers),
		cmocka_unit_test(unh_chap_5_10_discovery_session),
	};

	return PEER_RUN("chap", tests);
}
