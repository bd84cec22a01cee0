/* SPDX-License-Identifier: MIT */
#include "iscsi/test-chap-peer.h"

#include <stdio.h>
#include <string.h>

uint8_t chap_random_next = 0x40;

static void counting(void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)bytes)[i] = chap_random_next++;
}

void chap_peer(struct peer *p, bool mutual)
{
	peer_init(p);
	p->cfg.auth = (struct iscsi_auth){
		.name = (const uint8_t *)CHAP_NAME,
		.n_name = strlen(CHAP_NAME),
		.secret = (const uint8_t *)CHAP_SECRET,
		.n_secret = strlen(CHAP_SECRET),
		.peer_secret = (const uint8_t *)CHAP_PEER_SECRET,
		.n_peer_secret = mutual ? strlen(CHAP_PEER_SECRET) : 0,
		.required = true,
		.mutual = mutual,
		.random = counting,
	};
}

void chap_say(struct peer *p, const struct seen *u, bool moves, const char *text, size_t n)
{
	struct pdu r = login_grant(p, u);

	r.final = moves;
	r.u.login.nsg = moves ? STAGE_OPERATIONAL : 0;
	r.u.login.tsih = u->pdu.u.login.tsih;
	peer_send(p, r, text, n);
}

const struct seen *chap_to_hashes(struct peer *p)
{
	const struct seen *u = peer_expect(p, PDU_LOGIN_REQ);

	assert_string_equal(login_said(u, "AuthMethod"), "CHAP");
	assert_null(login_said(u, "CHAP_A"));
	assert_false(u->pdu.final);
	assert_int_equal(u->pdu.u.login.csg, STAGE_SECURITY);
	CHAP_SAY(p, u, false, "AuthMethod=CHAP\0");
	u = peer_expect(p, PDU_LOGIN_REQ);
	assert_non_null(login_said(u, "CHAP_A"));
	assert_null(login_said(u, "CHAP_N"));
	assert_null(login_said(u, "AuthMethod"));
	assert_false(u->pdu.final);
	return u;
}

const struct seen *chap_to_answer(struct peer *p, const char *hash)
{
	const struct seen *u = chap_to_hashes(p);
	char text[128];
	int n = snprintf(text, sizeof(text), "CHAP_A=%s%cCHAP_I=%d%cCHAP_C=" CHAP_HIS_HEX, hash, 0,
			 CHAP_HIS_ID, 0);

	chap_say(p, u, false, text, (size_t)n + 1);
	u = peer_expect(p, PDU_LOGIN_REQ);
	assert_true(u->pdu.final);
	assert_int_equal(u->pdu.u.login.csg, STAGE_SECURITY);
	assert_int_equal(u->pdu.u.login.nsg, STAGE_OPERATIONAL);
	return u;
}

const struct seen *chap_begin(struct peer *p)
{
	peer_open(p);
	peer_connect(p);
	return chap_to_hashes(p);
}

const struct seen *chap_begin_answer(struct peer *p, const char *hash)
{
	peer_open(p);
	peer_connect(p);
	return chap_to_answer(p, hash);
}

void chap_check(const struct seen *u, uint8_t hash, uint8_t id, const void *challenge, size_t n)
{
	uint8_t due[CHAP_HASH_MAX], got[CHAP_HASH_MAX];
	size_t n_got;

	assert_non_null(login_said(u, "CHAP_R"));
	assert_int_equal(chap_decode(login_said(u, "CHAP_R"), got, sizeof(got), &n_got), 0);
	assert_int_equal(n_got, chap_hash_size(hash));
	assert_int_equal(chap_response(hash, id, (const uint8_t *)CHAP_SECRET, strlen(CHAP_SECRET),
				       challenge, n, due),
			 0);
	assert_memory_equal(got, due, n_got);
}

size_t chap_prove(const struct seen *u, uint8_t hash, const struct chap_proof *how, char *text)
{
	const char *secret = how->secret ? how->secret : CHAP_PEER_SECRET;
	uint8_t challenge[CHAP_CHALLENGE_MAX], r[CHAP_HASH_MAX];
	uint32_t id;
	size_t n, at;

	assert_non_null(login_said(u, "CHAP_I"));
	assert_non_null(login_said(u, "CHAP_C"));
	assert_true(text_number(login_said(u, "CHAP_I"), &id));
	assert_int_equal(chap_decode(login_said(u, "CHAP_C"), challenge, sizeof(challenge), &n), 0);
	assert_int_equal(n, chap_hash_size(hash));
	assert_int_equal(chap_response(hash, (uint8_t)id, (const uint8_t *)secret, strlen(secret),
				       challenge, n, r),
			 0);
	if (how->flip >= 0)
		r[how->flip / 8] ^= (uint8_t)(1 << how->flip % 8);
	at = (size_t)sprintf(text, "CHAP_N=%s", how->name ? how->name : "target") + 1;
	at += (size_t)sprintf(text + at, "CHAP_R=0x");
	for (size_t i = 0; i + how->n_cut < chap_hash_size(hash); i++)
		at += (size_t)sprintf(text + at, "%02X", r[i]);
	return at + 1;
}

void chap_finish(struct peer *p)
{
	const struct seen *u = peer_expect(p, PDU_LOGIN_REQ);

	assert_int_equal(u->pdu.u.login.csg, STAGE_OPERATIONAL);
	assert_null(login_said(u, "CHAP_R"));
	/* A further connection offers, and is answered, less. */
	if (u->pdu.u.login.tsih)
		peer_send(p, login_grant(p, u),
			  TEXT("HeaderDigest=None\0DataDigest=None\0"
			       "MaxRecvDataSegmentLength=8192\0"));
	else
		peer_send(p, login_grant(p, u), TEXT(OPERATIONAL_END));
	login_expect_up(p);
}

static void expect_failure(struct peer *p, uint16_t status, const char *why)
{
	const struct peer_event *e = peer_expect_event(p, ISCSI_EV_LOGIN_FAILED);

	assert_int_equal(e->ev.login_status, status);
	if (!strstr(e->text, why))
		fail_msg("\"%s\" does not say \"%s\"", e->text, why);
	assert_null(strstr(e->text, CHAP_SECRET));
	assert_null(strstr(e->text, CHAP_PEER_SECRET));
	login_expect_over(p);
}

void chap_expect_refused(struct peer *p, const char *why)
{
	assert_int_equal(session_stats(p->s)->n_protocol_errors, 0);
	expect_failure(p, 0x0201, why);
}

void chap_expect_violation(struct peer *p, const char *why)
{
	assert_int_equal(session_stats(p->s)->n_protocol_errors, 1);
	expect_failure(p, 0, why);
}
