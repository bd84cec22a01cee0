/* SPDX-License-Identifier: MIT */
/*
 * Text in full feature phase (RFC 7143 §6.4, §11.10, §11.11)
 *
 * One exchange at a time, on one connection: the owner's question, or ours, which
 * gives the target a place for offers of its own after it has asked for one. Text that
 * is longer than a PDU is split with the C bit, both ways; each part is asked for by
 * the other side with the Target Transfer Tag. All parts of an exchange have one ITT.
 *
 * What a target may change in this phase is its MaxRecvDataSegmentLength, which holds
 * from the end of the exchange on, and what it says of itself.
 */
#include "iscsi/internal.h"

#include <errno.h>

#define TEXT_IN_MAX (1u << 20)

static void send_request(struct iscsi_conn *c, uint32_t ttt, uint64_t lun)
{
	struct exchange *x = &c->session->exchange;
	size_t n = x->out.n - x->out_off;
	struct pdu p = {
		.opcode = PDU_TEXT_REQ, .immediate = true, .lun = lun, .itt = x->itt, .ttt = ttt};

	if (x->out.failed) {
		conn_drop(c, "out of memory");
		return;
	}
	if (n > c->params.TargetMaxRecvDataSegmentLength)
		n = c->params.TargetMaxRecvDataSegmentLength;
	x->sent_more = x->out_off + n < x->out.n;
	p.final = !x->sent_more;
	p.u.text.more = x->sent_more;
	conn_send(c, &p, n ? x->out.bytes + x->out_off : NULL, n);
	x->out_off += n;
}

static void begin(struct iscsi_session *s, struct iscsi_conn *c, uint64_t now_ns)
{
	struct exchange *x = &s->exchange;

	x->busy = true;
	x->conn = c;
	x->itt = session_next_itt(s);
	x->deadline_ns = now_ns + s->cfg.task_timeout_ns;
	x->out_off = 0;
	x->in_at = 0;
	x->his_mrdsl = 0;
	text_clear(&x->in);
	send_request(c, PDU_TAG_NONE, 0);
}

int session_text(struct iscsi_session *s, const char *text, size_t n, uint64_t now_ns)
{
	struct exchange *x = &s->exchange;
	struct iscsi_conn *c = session_working_conn(s);

	if (x->busy || x->waits)
		return -EBUSY;
	if (!c)
		return -ENOTCONN;
	if (n > TEXT_IN_MAX)
		return -EMSGSIZE;
	text_clear(&x->out);
	text_add_bytes(&x->out, text, n);
	if (x->out.failed) {
		text_clear(&x->out);
		return -ENOMEM;
	}
	x->quiet = false;
	x->resets = 0;
	begin(s, c, now_ns);
	return 0;
}

void text_negotiate(struct iscsi_conn *c)
{
	struct exchange *x = &c->session->exchange;

	/* One that is under way gives the target the place that it wants. */
	if (x->busy || x->waits || !conn_in_full_feature(c))
		return;
	text_clear(&x->out);
	x->quiet = true;
	x->resets = 0;
	begin(c->session, c, c->now_ns);
}

void text_fail(struct iscsi_session *s)
{
	struct exchange *x = &s->exchange;

	x->busy = false;
	x->conn = NULL;
	text_clear(&x->out);
	text_clear(&x->in);
}

void text_conn_gone(struct iscsi_session *s, const struct iscsi_conn *c)
{
	if (s->exchange.busy && s->exchange.conn == c)
		text_fail(s);
}

void text_tick(struct iscsi_session *s, uint64_t now_ns)
{
	struct exchange *x = &s->exchange;
	struct iscsi_conn *c = x->conn;

	if (!x->busy || now_ns < x->deadline_ns)
		return;
	text_fail(s);
	c->now_ns = now_ns;
	conn_drop(c, "no answer to a Text Request");
}

/* ---- what the target says ---------------------------------------------- */

/*
 * The keys of what has come since the last whole part. What the owner has asked for is
 * the owner's to judge; it is looked at for the one key that concerns us all the same.
 */
static int take_keys(struct iscsi_conn *c, struct text *reply)
{
	struct exchange *x = &c->session->exchange;
	struct text copy = {0};
	const char *key, *value;
	char *at;
	size_t n;
	int r;

	if (x->in.n > x->in_at)
		text_add_bytes(&copy, x->in.bytes + x->in_at, x->in.n - x->in_at);
	if (copy.failed)
		return -ENOMEM;
	at = copy.bytes;
	n = copy.n;
	while ((r = text_next(&at, &n, &key, &value)) > 0) {
		if (!x->quiet && strcmp(key, "MaxRecvDataSegmentLength") != 0)
			continue;
		r = params_take_change(&c->session->active, key, value, &x->his_mrdsl, reply);
		if (r)
			break;
	}
	if (r < 0 && x->quiet)
		r = conn_violation(c, "text in a negotiation that the target asked for makes no "
				      "sense");
	text_clear(&copy);
	x->in_at = x->in.n;
	return r < 0 && x->quiet ? r : 0;
}

static int check_response(struct iscsi_conn *c)
{
	const struct exchange *x = &c->session->exchange;
	const struct pdu *p = &c->rx;

	if (!x->busy || x->conn != c || p->itt != x->itt)
		return conn_violation(c, "Text Response to nothing we asked");
	if (p->final && (p->ttt != PDU_TAG_NONE || p->u.text.more))
		return conn_violation(c, "final Text Response that is to be continued");
	if (!p->final && p->ttt == PDU_TAG_NONE)
		return conn_violation(
			c, "Text Response to be continued, without a Target Transfer Tag");
	if (x->sent_more && (p->final || p->n_data || p->u.text.more))
		return conn_violation(c, "Text Response in the middle of our text");
	if (x->in.n + p->n_data > TEXT_IN_MAX)
		return conn_violation(c, "more than 1 MiB of text");
	return 0;
}

static void tell(struct iscsi_conn *c, bool rejected)
{
	struct iscsi_session *s = c->session;
	struct exchange *x = &s->exchange;

	/* Kept apart: the owner asks for it later, when the connection may be gone. */
	text_clear(&x->told);
	if (!rejected) {
		x->told = x->in;
		x->in = (struct text){0};
	}
	x->waits = true;
	session_event(s, ISCSI_EV_TEXT_DONE, c)->ev.rejected = rejected;
}

static void finish(struct iscsi_conn *c)
{
	struct exchange *x = &c->session->exchange;

	if (x->his_mrdsl)
		c->params.TargetMaxRecvDataSegmentLength = x->his_mrdsl;
	if (!x->quiet)
		tell(c, false);
	text_fail(c->session);
}

void text_on_response(struct iscsi_conn *c)
{
	struct exchange *x = &c->session->exchange;
	const struct pdu *p = &c->rx;
	struct text reply = {0};

	if (check_response(c))
		return;
	text_add_bytes(&x->in, c->rx_data, p->n_data);
	if (x->in.failed) {
		conn_drop(c, "out of memory");
		return;
	}
	if (!p->u.text.more && !x->sent_more) {
		int r = take_keys(c, &reply);

		if (r) {
			text_clear(&reply);
			if (r == -ENOMEM)
				conn_drop(c, "out of memory");
			return;
		}
	}
	if (p->final) {
		text_clear(&reply);
		finish(c);
		return;
	}
	if (!x->sent_more && x->quiet) {
		text_clear(&x->out);
		x->out = reply;
		x->out_off = 0;
	} else {
		text_clear(&reply);
	}
	send_request(c, p->ttt, p->lun);
}

bool text_on_reject(struct iscsi_conn *c, uint32_t itt, uint8_t reason)
{
	struct iscsi_session *s = c->session;
	struct exchange *x = &s->exchange;

	if (!x->busy || x->conn != c || x->itt != itt)
		return false;
	if (reason == REJECT_NEGOTIATION_RESET && !x->quiet && !x->resets++) {
		begin(s, c, c->now_ns);
		return true;
	}
	if (!x->quiet)
		tell(c, true);
	text_fail(s);
	return true;
}
