/* SPDX-License-Identifier: MIT */
/*
 * Conversations about the text of a login: offers that the target makes, and text
 * that is longer than a PDU, in both directions.
 */
#include "iscsi/test-peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (s), sizeof(s) - 1
#define OPERATIONAL_END                                                                        \
	"HeaderDigest=None\0DataDigest=None\0MaxConnections=1\0InitialR2T=Yes\0ImmediateData=" \
	"Yes\0"                                                                                \
	"MaxRecvDataSegmentLength=8192\0MaxBurstLength=262144\0FirstBurstLength=65536\0"       \
	"DefaultTime2Wait=2\0DefaultTime2Retain=20\0MaxOutstandingR2T=1\0DataPDUInOrder=Yes\0" \
	"DataSequenceInOrder=Yes\0ErrorRecoveryLevel=0\0"

/* The value of a key in what the engine sent; NULL: not there. */
static const char *said(const struct seen *u, const char *key)
{
	size_t n = strlen(key);
	const char *at = (const char *)u->data, *end = at + u->pdu.n_data;

	for (; at < end; at += strlen(at) + 1)
		if (strncmp(at, key, n) == 0 && at[n] == '=')
			return at + n + 1;
	return NULL;
}

/* A response that grants what the request asks. */
static struct pdu grant(const struct peer *p, const struct seen *u)
{
	struct pdu r = {.opcode = PDU_LOGIN_RSP,
			.final = u->pdu.final,
			.itt = u->pdu.itt,
			.u.login = {.csg = u->pdu.u.login.csg, .nsg = u->pdu.u.login.nsg}};

	memcpy(r.u.login.isid, p->cfg.isid, 6);
	if (r.final && r.u.login.nsg == STAGE_FULL_FEATURE)
		r.u.login.tsih = p->tsih;
	return r;
}

/* Up to the first request. */
static const struct seen *begin(struct peer *p)
{
	peer_open(p);
	peer_connect(p);
	return peer_expect(p, PDU_LOGIN_REQ);
}

/* Up to the operational request. */
static const struct seen *begin_operational(struct peer *p)
{
	const struct seen *u = begin(p);

	peer_send(p, grant(p, u), TEXT("AuthMethod=None\0"));
	u = peer_expect(p, PDU_LOGIN_REQ);
	assert_int_equal(u->pdu.u.login.csg, STAGE_OPERATIONAL);
	return u;
}

static void expect_up(struct peer *p)
{
	p->in_full_feature = true;
	peer_expect_event(p, ISCSI_EV_UP);
	assert_true(conn_alive(p->c));
}

/* After the engine has given up: one event, nothing more to send, nothing more taken. */
static void expect_over(struct peer *p)
{
	struct iovec iov[4];

	peer_expect_no_event(p);
	assert_int_equal(conn_tx_peek(p->c, iov, 4, p->now_ns), 0);
	assert_int_equal(conn_rx_want(p->c, iov, 4), 0);
	peer_close(p);
}

static const struct seen *start(struct peer *p)
{
	peer_init(p);
	return begin(p);
}

/* ---- the target's own offers ------------------------------------------- */

static void login_offer_of_the_target_is_answered(void **state)
{
	struct peer p;
	const struct seen *u = start(&p);
	struct pdu r = grant(&p, u);

	/* In the security stage already, before we have offered anything. */
	r.final = false;
	peer_send(&p, r, TEXT("AuthMethod=None\0MaxBurstLength=4096\0InitialR2T=Yes\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_string_equal(said(u, "MaxBurstLength"), "4096");
	assert_string_equal(said(u, "InitialR2T"), "Yes");
	peer_send(&p, grant(&p, u), NULL, 0);
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_null(said(u, "MaxBurstLength"));
	assert_null(said(u, "InitialR2T"));
	assert_non_null(said(u, "FirstBurstLength"));
	peer_send(&p, grant(&p, u), TEXT("FirstBurstLength=4096\0"));
	expect_up(&p);
	assert_int_equal(session_params(p.s)->MaxBurstLength, 4096);
	assert_int_equal(session_params(p.s)->InitialR2T, 1);
	peer_close(&p);
}

/* It moves on at once: the answer goes with our first operational request. */
static void login_offer_with_the_transition(void **state)
{
	struct peer p;
	const struct seen *u = start(&p);

	peer_send(&p, grant(&p, u), TEXT("AuthMethod=None\0MaxBurstLength=4096\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_int_equal(u->pdu.u.login.csg, STAGE_OPERATIONAL);
	assert_string_equal(said(u, "MaxBurstLength"), "4096");
	assert_non_null(said(u, "FirstBurstLength"));
	peer_close(&p);
}

/* ---- C bit ------------------------------------------------------------- */

static void login_c_bit_of_ours(void **state)
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
		r = grant(&p, u);
		peer_send(&p, r, NULL, 0);
	}
	assert_int_equal(n_parts, 3);
	assert_true(u->pdu.final);
	assert_non_null(memmem(all, n, "AuthMethod=None", 16));
	assert_non_null(memmem(all, n, alias, 20000));
	peer_send(&p, grant(&p, u), TEXT("AuthMethod=None\0"));
	peer_login(&p);
	peer_expect_event(&p, ISCSI_EV_UP);
	peer_close(&p);
	free(alias);
	free(all);
}

static void login_c_bit_of_ours_answered_with_text_or_t(void **state)
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
		u = begin(&p);
		assert_true(u->pdu.u.login.more);
		r = grant(&p, u);
		if (i == 1)
			r.u.login.more = true;
		if (i == 2) {
			r.final = true;
			r.u.login.nsg = STAGE_OPERATIONAL;
		}
		peer_send(&p, r, i ? NULL : "TargetAlias=x", i ? 0 : 14);
		peer_expect_login_violation(&p, "Login Response");
		expect_over(&p);
	}
}

/* The target's text cut at every place, also in the middle of a key. */
static void login_c_bit_of_the_target(void **state)
{
	static const char text[] = OPERATIONAL_END "TargetPortalGroupTag=3\0TargetAlias=q";
	size_t step = peer_split == 1 ? 29 : 1;

	for (size_t cut = 1; cut < sizeof(text); cut += step) {
		struct peer p;
		const struct seen *u;
		struct pdu r;

		peer_init(&p);
		u = begin_operational(&p);
		r = grant(&p, u);
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
		peer_send(&p, grant(&p, u), NULL, 0);
		expect_up(&p);
		assert_int_equal(session_params(p.s)->TargetPortalGroupTag, 3);
		assert_int_equal(session_params(p.s)->MaxBurstLength, 262144);
		peer_close(&p);
	}
}

static void login_c_bit_with_t_bit(void **state)
{
	struct peer p;
	const struct seen *u = start(&p);
	struct pdu r = grant(&p, u);

	r.u.login.more = true;
	peer_send(&p, r, TEXT("AuthMethod=None\0"));
	peer_expect_login_violation(&p, "before both sides are ready");
	expect_over(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(login_offer_of_the_target_is_answered),
		cmocka_unit_test(login_offer_with_the_transition),
		cmocka_unit_test(login_c_bit_of_ours),
		cmocka_unit_test(login_c_bit_of_ours_answered_with_text_or_t),
		cmocka_unit_test(login_c_bit_of_the_target),
		cmocka_unit_test(login_c_bit_with_t_bit),
	};

	return PEER_RUN("login text", tests);
}
