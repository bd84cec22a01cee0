/* SPDX-License-Identifier: MIT */
/*
 * Conversations about what the target proves, about challenges of ours that come
 * back, about every connection of a session, and about what is left in memory.
 */
#include "iscsi/test-chap-peer.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is left in memory --------------------------------------------- */

/* While set, nothing that is freed may have one of these in it. */
static bool watching;
static char needle[3][80];
static unsigned n_found, n_looked;

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
	if (p && watching) {
		n_looked++;
		for (size_t i = 0; i < ARRAY_SIZE(needle); i++)
			if (*needle[i] &&
			    memmem(p, malloc_usable_size(p), needle[i], strlen(needle[i])))
				n_found++;
	}
	__real_free(p);
}

static void watch(const char *response)
{
	strcpy(needle[0], CHAP_SECRET);
	strcpy(needle[1], CHAP_PEER_SECRET);
	snprintf(needle[2], sizeof(needle[2]), "%s", response);
	n_found = n_looked = 0;
	watching = true;
}

static void login_leaves_no_secret_in_memory(void **state)
{
	/* The end comes: when all is well, with the answer half sent, unsent, refused. */
	for (int end = 0; end < 4; end++) {
		struct peer p;
		const struct seen *u;
		char text[512], response[80];
		size_t n;

		chap_peer(&p, true);
		chap_random_next = 0x40;
		u = chap_begin_answer(&p, "8");
		snprintf(response, sizeof(response), "%s", login_said(u, "CHAP_R"));
		n = chap_prove(u, 8, &(struct chap_proof){.flip = -1}, text);
		watch(response);
		if (end == 0) {
			chap_say(&p, u, true, text, n);
			chap_finish(&p);
		} else if (end == 1) {
			CHAP_SAY(&p, u, true, "CHAP_N=x\0CHAP_R=0x00\0");
			peer_event(&p);
		} else {
			/* The same login again, whose answer does not get out whole. */
			conn_lost(p.c, "gone", p.now_ns);
			peer_event(&p);
			p.c = conn_free(p.c);
			peer_connect(&p);
			u = chap_to_hashes(&p);
			CHAP_SAY(&p, u, false, "CHAP_A=8\0CHAP_I=39\0CHAP_C=" CHAP_HIS_HEX "\0");
			if (end == 2)
				peer_pull(&p, 70);
		}
		p.s = session_free(p.s);
		watching = false;
		assert_true(n_looked > 5);
		assert_int_equal(n_found, 0);
		peer_close(&p);
	}
}

static void text_leaves_no_secret_in_memory(void **state)
{
	struct text t = {0};

	watch("0x00");
	text_add(&t, "CHAP_R", CHAP_SECRET);
	for (int i = 0; i < 12; i++)
		text_add(&t, "Key", "a value that makes the text grow, again and again");
	text_clear(&t);
	watching = false;
	assert_true(n_looked > 2);
	assert_int_equal(n_found, 0);
}

/* ---- 5: the target's CHAP_R ---------------------------------------------- */

static void unh_chap_5_20_target_proves_itself(void **state)
{
	static const char *const hash[] = {"5", "6", "7", "8"};

	for (uint8_t i = 0; i < 4; i++) {
		struct peer p;
		const struct seen *u;
		char text[512];
		size_t n;

		chap_peer(&p, true);
		p.cfg.auth.allow_md5 = true;
		u = chap_begin_answer(&p, hash[i]);
		n = chap_prove(u, (uint8_t)(5 + i), &(struct chap_proof){.flip = -1}, text);
		chap_say(&p, u, true, text, n);
		chap_finish(&p);
		peer_close(&p);
	}
}

/* Proof first, and only then it moves on. */
static void unh_chap_5_21_proof_and_move_apart(void **state)
{
	struct peer p;
	const struct seen *u;
	char text[512];
	size_t n;

	chap_peer(&p, true);
	u = chap_begin_answer(&p, "8");
	n = chap_prove(u, 8, &(struct chap_proof){.flip = -1}, text);
	chap_say(&p, u, false, text, n);
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_int_equal(u->pdu.n_data, 0);
	assert_true(u->pdu.final);
	CHAP_SAY(&p, u, true, "");
	chap_finish(&p);
	peer_close(&p);
}

static void wrong_proof(const struct chap_proof *how, const char *why)
{
	for (int moves = 0; moves < 2; moves++) {
		struct peer p;
		const struct seen *u;
		char text[1024];
		size_t n;

		chap_peer(&p, true);
		u = chap_begin_answer(&p, "8");
		n = chap_prove(u, 8, how, text);
		chap_say(&p, u, moves, text, n);
		chap_expect_refused(&p, why);
	}
}

static void unh_chap_5_22_wrong_proof(void **state)
{
	for (int bit = 0; bit < 256; bit += peer_split ? 85 : 1)
		wrong_proof(&(struct chap_proof){.flip = bit}, "does not know the secret");
	wrong_proof(&(struct chap_proof){.flip = -1, .secret = CHAP_SECRET}, "does not know");
	wrong_proof(&(struct chap_proof){.flip = -1, .secret = ""}, "does not know");
}

static void unh_chap_5_23_proof_of_wrong_length(void **state)
{
	for (size_t cut = 1; cut < 32; cut++)
		wrong_proof(&(struct chap_proof){.flip = -1, .n_cut = cut}, "bytes instead of 32");
	wrong_proof(&(struct chap_proof){.flip = -1, .n_cut = 32}, "not a hash's binary value");
}

static void unh_chap_5_24_what_is_no_proof(void **state)
{
	static const char *const bad[] = {"",   "0x",   "Reject", "0x123", "00",
					  "0b", "None", "0x0g",   "0bAAA"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		const struct seen *u;
		char text[64];
		int n = snprintf(text, sizeof(text), "CHAP_N=t%cCHAP_R=%s", 0, bad[i]);

		chap_peer(&p, true);
		u = chap_begin_answer(&p, "8");
		chap_say(&p, u, true, text, (size_t)n + 1);
		chap_expect_refused(&p, "CHAP_R");
	}
}

static void unh_chap_5_25_4_4_proof_missing_or_twice(void **state)
{
	for (int i = 0; i < 6; i++) {
		struct peer p;
		const struct seen *u;
		char text[1024];
		size_t n, n_name = sizeof("CHAP_N=target");

		chap_peer(&p, true);
		u = chap_begin_answer(&p, "8");
		n = chap_prove(u, 8, &(struct chap_proof){.flip = -1, .name = i == 4 ? "" : NULL},
			       text);
		if (i == 4)
			n_name = sizeof("CHAP_N=");
		switch (i) {
		case 0: chap_say(&p, u, true, NULL, 0); break;
		case 1: chap_say(&p, u, false, NULL, 0); break;
		case 2: chap_say(&p, u, true, text, n_name); break;
		case 3: chap_say(&p, u, true, text + n_name, n - n_name); break;
		case 4: chap_say(&p, u, true, text, n); break;
		default:
			memcpy(text + n, text + n_name, n - n_name);
			chap_say(&p, u, true, text, n + n - n_name);
			break;
		}
		if (i < 3)
			chap_expect_refused(&p, "does not prove itself");
		else
			chap_expect_violation(&p, i == 3   ? "lacks CHAP_N"
						  : i == 4 ? "CHAP_N of the target is empty"
							   : "CHAP_R twice");
	}
}

static void unh_chap_4_5_names_of_the_target(void **state)
{
	char name[513];

	for (size_t n = 1; n <= 512; n += peer_split ? 200 : 1) {
		struct peer p;
		const struct seen *u;
		char text[1024];
		size_t n_text;

		memset(name, "n=,x"[n % 4], n);
		name[n] = '\0';
		chap_peer(&p, true);
		u = chap_begin_answer(&p, "8");
		n_text = chap_prove(u, 8, &(struct chap_proof){.flip = -1, .name = name}, text);
		chap_say(&p, u, true, text, n_text);
		chap_finish(&p);
		peer_close(&p);
	}
}

/* Its proof of an earlier login does not do again: the challenge is new. */
static void unh_chap_5_26_proof_of_an_earlier_login(void **state)
{
	struct peer p;
	const struct seen *u;
	char text[512], mine[128];
	size_t n;

	chap_peer(&p, true);
	u = chap_begin_answer(&p, "8");
	snprintf(mine, sizeof(mine), "%s", login_said(u, "CHAP_C"));
	n = chap_prove(u, 8, &(struct chap_proof){.flip = -1}, text);
	chap_say(&p, u, true, text, n);
	chap_finish(&p);
	conn_lost(p.c, "gone", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	p.c = conn_free(p.c);
	peer_connect(&p);
	u = chap_to_answer(&p, "8");
	assert_string_not_equal(login_said(u, "CHAP_C"), mine);
	chap_say(&p, u, true, text, n);
	chap_expect_refused(&p, "does not know the secret");
}

/* ---- 3: a challenge of ours comes back ------------------------------------ */

#define N_REFLECTED (9 + 9 + 7 + 2 + 64 + 1)

/* A session with two connections at most, whose first is up; @mine gets our challenge. */
static void up_mutual(struct peer *p, char mine[128])
{
	const struct seen *u;
	char text[512];
	size_t n;

	chap_peer(p, true);
	p->cfg.offer.MaxConnections = 2;
	u = chap_begin_answer(p, "8");
	snprintf(mine, 128, "CHAP_A=8%cCHAP_I=5%cCHAP_C=%s", 0, 0, login_said(u, "CHAP_C"));
	n = chap_prove(u, 8, &(struct chap_proof){.flip = -1}, text);
	chap_say(p, u, true, text, n);
	u = peer_expect(p, PDU_LOGIN_REQ);
	peer_send(p, login_grant(p, u),
		  TEXT("HeaderDigest=None\0DataDigest=None\0MaxConnections=2\0InitialR2T=Yes\0"
		       "ImmediateData=Yes\0MaxBurstLength=262144\0FirstBurstLength=65536\0"));
	login_expect_up(p);
}

/* On the same connection it cannot be: ours is made after the target's. But it could be the same.
 */
static void same_random(void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)bytes)[i] = 0xaa;
}

static void unh_chap_3_10_reflected_on_the_same_connection(void **state)
{
	struct peer p;
	const struct seen *u;
	char text[128];
	size_t at = (size_t)sprintf(text, "CHAP_A=8%cCHAP_I=1%cCHAP_C=0x", 0, 0);

	for (int i = 0; i < 32; i++)
		at += (size_t)sprintf(text + at, "aa");
	chap_peer(&p, true);
	p.cfg.auth.random = same_random;
	u = chap_begin(&p);
	chap_say(&p, u, false, text, at + 1);
	chap_expect_refused(&p, "the same as ours");
}

static void unh_chap_3_11_reflected_on_another_connection(void **state)
{
	struct peer p;
	struct iscsi_conn *first;
	const struct seen *u;
	char mine[128];
	struct iovec iov[4];

	up_mutual(&p, mine);
	first = p.c;
	p.cid = 2;
	p.statsn = 9;
	peer_connect(&p);
	u = chap_to_hashes(&p);
	chap_say(&p, u, false, mine, N_REFLECTED);
	peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
	assert_int_equal(p.event.ev.login_status, 0x0201);
	assert_non_null(strstr(p.event.text, "one that we have sent"));
	assert_int_equal(conn_tx_peek(p.c, iov, 4, p.now_ns), 0); /* no answer to it */
	assert_true(conn_alive(first));
	peer_close(&p);
}

/* Of a login that is going on at the same time, or that has been, up to some number of them. */
static void unh_chap_3_12_reflected_later(void **state)
{
	for (int later = 1; later <= CHAP_REMEMBERED; later++) {
		struct peer p;
		const struct seen *u;
		char mine[128];

		up_mutual(&p, mine);
		conn_lost(p.c, "gone", p.now_ns);
		peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
		for (int i = 0; i < later; i++) {
			p.c = conn_free(p.c);
			peer_connect(&p);
			if (i == later - 1)
				break;
			chap_to_answer(&p, "7");
			conn_lost(p.c, "gone", p.now_ns);
			peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
		}
		u = chap_to_hashes(&p);
		chap_say(&p, u, false, mine, N_REFLECTED);
		chap_expect_refused(&p, "one that we have sent");
	}
}

/* ---- every connection ------------------------------------------------------ */

static void unh_chap_5_27_every_connection_and_login(void **state)
{
	struct peer p;
	const struct seen *u;
	char mine[128], text[512];
	size_t n;

	up_mutual(&p, mine);
	for (int i = 0; i < 2; i++) {
		p.cid = (uint16_t)(2 + i);
		p.statsn = 9;
		peer_connect(&p);
		u = chap_to_answer(&p, "8");
		assert_int_equal(u->pdu.u.login.tsih, i == 0 ? p.tsih : 0);
		n = chap_prove(u, 8, &(struct chap_proof){.flip = -1}, text);
		chap_say(&p, u, true, text, n);
		chap_finish(&p);
		if (i == 0) {
			/* All of them go; what comes then is a reinstatement. */
			struct iscsi_conn *c, *tmp;

			list_for_each_safe (c, tmp, &p.s->conns, node) {
				conn_lost(c, "gone", p.now_ns);
				conn_free(c);
			}
			while (peer_event(&p))
				;
		}
	}
	peer_close(&p);
}

/* One that skips it is no more trusted for being the second. */
static void unh_chap_5_28_second_connection_without_proof(void **state)
{
	struct peer p;
	const struct seen *u;
	char mine[128];

	up_mutual(&p, mine);
	p.cid = 2;
	p.statsn = 9;
	peer_connect(&p);
	u = chap_to_answer(&p, "8");
	CHAP_SAY(&p, u, true, "");
	peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
	assert_int_equal(p.event.ev.login_status, 0x0201);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(login_leaves_no_secret_in_memory),
		cmocka_unit_test(text_leaves_no_secret_in_memory),
		cmocka_unit_test(unh_chap_5_20_target_proves_itself),
		cmocka_unit_test(unh_chap_5_21_proof_and_move_apart),
		cmocka_unit_test(unh_chap_5_22_wrong_proof),
		cmocka_unit_test(unh_chap_5_23_proof_of_wrong_length),
		cmocka_unit_test(unh_chap_5_24_what_is_no_proof),
		cmocka_unit_test(unh_chap_5_25_4_4_proof_missing_or_twice),
		cmocka_unit_test(unh_chap_4_5_names_of_the_target),
		cmocka_unit_test(unh_chap_5_26_proof_of_an_earlier_login),
		cmocka_unit_test(unh_chap_3_10_reflected_on_the_same_connection),
		cmocka_unit_test(unh_chap_3_11_reflected_on_another_connection),
		cmocka_unit_test(unh_chap_3_12_reflected_later),
		cmocka_unit_test(unh_chap_5_27_every_connection_and_login),
		cmocka_unit_test(unh_chap_5_28_second_connection_without_proof),
	};

	return PEER_RUN("mutual chap", tests);
}
