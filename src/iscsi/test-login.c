/* SPDX-License-Identifier: MIT */
#include "iscsi/test-login.h"

#include <string.h>

/* The value of a key in what the engine sent; NULL: not there. */
const char *login_said(const struct seen *u, const char *key)
{
	size_t n = strlen(key);
	const char *at = (const char *)u->data, *end = at + u->pdu.n_data;

	for (; at < end; at += strlen(at) + 1)
		if (strncmp(at, key, n) == 0 && at[n] == '=')
			return at + n + 1;
	return NULL;
}

/* A response that grants what the request asks. */
struct pdu login_grant(const struct peer *p, const struct seen *u)
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
const struct seen *login_begin(struct peer *p)
{
	peer_open(p);
	peer_connect(p);
	return peer_expect(p, PDU_LOGIN_REQ);
}

/* Up to the operational request. */
const struct seen *login_begin_operational(struct peer *p)
{
	const struct seen *u = login_begin(p);

	peer_send(p, login_grant(p, u), TEXT("AuthMethod=None\0"));
	u = peer_expect(p, PDU_LOGIN_REQ);
	assert_int_equal(u->pdu.u.login.csg, STAGE_OPERATIONAL);
	return u;
}

void login_expect_up(struct peer *p)
{
	p->in_full_feature = true;
	peer_expect_event(p, ISCSI_EV_UP);
	assert_true(conn_alive(p->c));
}

/* After the engine has given up: one event, nothing more to send, nothing more taken. */
void login_expect_over(struct peer *p)
{
	struct iovec iov[4];

	peer_expect_no_event(p);
	assert_int_equal(conn_tx_peek(p->c, iov, 4, p->now_ns), 0);
	assert_int_equal(conn_rx_want(p->c, iov, 4), 0);
	peer_close(p);
}

const struct seen *login_begin_peer(struct peer *p)
{
	peer_init(p);
	return login_begin(p);
}
