/* SPDX-License-Identifier: MIT */
/*
 * Conversations about the text of a login: offers that the target makes, and text
 * that is longer than a PDU, in both directions.
 */
#include "iscsi/test-login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the target's own offers ------------------------------------------- */

static void login_offer_of_the_target_is_answered(void **state)
{
	struct peer p;
	const struct seen *u = login_begin_peer(&p);
	struct pdu r = login_grant(&p, u);

	/* In the security stage already, before we have offered anything. */
	r.final = false;
	peer_send(&p, r, TEXT("AuthMethod=None\0MaxBurstLength=4096\0InitialR2T=Yes\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_string_equal(login_said(u, "MaxBurstLength"), "4096");
	assert_string_equal(login_said(u, "InitialR2T"), "Yes");
	peer_send(&p, login_grant(&p, u), NULL, 0);
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_null(login_said(u, "MaxBurstLength"));
	assert_null(login_said(u, "InitialR2T"));
	assert_non_null(login_said(u, "FirstBurstLength"));
	peer_send(&p, login_grant(&p, u), TEXT("FirstBurstLength=4096\0"));
	login_expect_up(&p);
	assert_int_equal(session_params(p.s)->MaxBurstLength, 4096);
	assert_int_equal(session_params(p.s)->InitialR2T, 1);
	peer_close(&p);
}

/* It moves on at once: the answer goes with our first operational request. */
static void login_offer_with_the_transition(void **state)
{
	struct peer p;
	const struct seen *u = login_begin_peer(&p);

	peer_send(&p, login_grant(&p, u), TEXT("AuthMethod=None\0MaxBurstLength=4096\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_int_equal(u->pdu.u.login.csg, STAGE_OPERATIONAL);
	assert_string_equal(login_said(u, "MaxBurstLength"), "4096");
	assert_non_null(login_said(u, "FirstBurstLength"));
	peer_close(&p);
}

/* ---- C bit ------------------------------------------------------------- */

static void own_login_c_bit_of_ours(void **state)
{
	struct peer p;
	const struct seen *u;
	char *alias = malloc(20001), *all;
	size_t n = 0;
	unsigned n_parts = 0;

	assert_non_null(alias);
	memset(alias, 'a', 20000);
	alias[20000] = '\0';
	peer_init(&p);
	p.cfg.initiator_alias = alias;
	peer_open(&p);
	peer_connect(&p);
	all = malloc(40000);
	assert_non_null(all);
	for (;;) {
		struct pdu r;

		u = peer_expect(&p, PDU_LOGIN_REQ);
		memcpy(all + n, u->data, u->pdu.n_data);
		n += u->pdu.n_data;
		n_parts++;
		if (!u->pdu.u.login.more)
			break;
		assert_false(u->pdu.final); /* C and T exclude each other */
		assert_int_equal(u->pdu.n_data, 8192);
		r = login_grant(&p, u);
		peer_send(&p, r, NULL, 0);
	}
	assert_int_equal(n_parts, 3);
	assert_true(u->pdu.final);
	assert_non_null(memmem(all, n, "AuthMethod=None", 16));
	assert_non_null(memmem(all, n, alias, 20000));
	peer_send(&p, login_grant(&p, u), TEXT("AuthMethod=None\0"));
	peer_login(&p);
	peer_expect_event(&p, ISCSI_EV_UP);
	peer_close(&p);
	free(alias);
	free(all);
}

static void own_login_c_bit_of_ours_answered_with_text_or_t(void **state)
{
	char alias[9001];

	memset(alias, 'a', 9000);
	alias[9000] = '\0';
	for (int i = 0; i < 3; i++) {
		struct peer p;
		const struct seen *u;
		struct pdu r;

		peer_init(&p);
		p.cfg.initiator_alias = alias;
		u = login_begin(&p);
		assert_true(u->pdu.u.login.more);
		r = login_grant(&p, u);
		if (i == 1)
			r.u.login.more = true;
		if (i == 2) {
			r.final = true;
			r.u.login.nsg = STAGE_OPERATIONAL;
		}
		peer_send(&p, r, i ? NULL : "TargetAlias=x", i ? 0 : 14);
		peer_expect_login_violation(&p, "Login Response");
		login_expect_over(&p);
	}
}

/* The target's text cut at every place, also in the middle of a key. */
static void own_login_c_bit_of_the_target(void **state)
{
	static const char text[] = OPERATIONAL_END "TargetPortalGroupTag=3\0TargetAlias=q";
	size_t step = peer_split == 1 ? 29 : 1;

	for (size_t cut = 1; cut < sizeof(text); cut += step) {
		struct peer p;
		const struct seen *u;
		struct pdu r;

		peer_init(&p);
		u = login_begin_operational(&p);
		r = login_grant(&p, u);
		r.final = false;
		r.u.login.nsg = 0;
		r.u.login.tsih = 0;
		r.u.login.more = true;
		peer_send(&p, r, text, cut);
		u = peer_expect(&p, PDU_LOGIN_REQ);
		assert_int_equal(u->pdu.n_data, 0);
		assert_false(u->pdu.final);
		assert_false(u->pdu.u.login.more);
		assert_int_equal(u->pdu.u.login.csg, STAGE_OPERATIONAL);
		r.u.login.more = false;
		peer_send(&p, r, text + cut, sizeof(text) - cut);
		u = peer_expect(&p, PDU_LOGIN_REQ);
		assert_true(u->pdu.final);
		assert_int_equal(u->pdu.n_data, 0);
		peer_send(&p, login_grant(&p, u), NULL, 0);
		login_expect_up(&p);
		assert_int_equal(session_params(p.s)->TargetPortalGroupTag, 3);
		assert_int_equal(session_params(p.s)->MaxBurstLength, 262144);
		peer_close(&p);
	}
}

static void own_login_c_bit_with_t_bit(void **state)
{
	struct peer p;
	const struct seen *u = login_begin_peer(&p);
	struct pdu r = login_grant(&p, u);

	r.u.login.more = true;
	peer_send(&p, r, TEXT("AuthMethod=None\0"));
	peer_expect_login_violation(&p, "before both sides are ready");
	login_expect_over(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(login_offer_of_the_target_is_answered),
		cmocka_unit_test(login_offer_with_the_transition),
		cmocka_unit_test(own_login_c_bit_of_ours),
		cmocka_unit_test(own_login_c_bit_of_ours_answered_with_text_or_t),
		cmocka_unit_test(own_login_c_bit_of_the_target),
		cmocka_unit_test(own_login_c_bit_with_t_bit),
	};

	return PEER_RUN("login text", tests);
}
