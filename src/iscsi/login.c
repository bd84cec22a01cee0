/* SPDX-License-Identifier: MIT */
/*
 * Login phase (RFC 7143 §6.3, §11.12, §11.13)
 *
 * A login goes through the security stage (CHAP, or the method None) and the
 * operational stage. Each request asks to move on;
 * the target moves when it has answered. Text longer than a PDU is split with the
 * C bit in both directions. The number of rounds is bounded, as is the time.
 *
 * The same code logs in again after a loss: same ISID, TSIH 0, which makes the
 * target drop what it still holds of the old session (reinstatement).
 */
#include "iscsi/internal.h"

#include <errno.h>
#include <stdio.h>

#define LOGIN_SEGMENT  8192 /* MaxRecvDataSegmentLength before it is negotiated */
#define LOGIN_TEXT_MAX 65536
#define LOGIN_ROUNDS   64
#define MISTAKE        0x0200
#define AUTH_FAILED    0x0201

void login_clear(struct login *l)
{
	text_clear(&l->out);
	text_clear(&l->in);
	chap_clear(&l->chap);
}

static uint8_t next_stage(uint8_t csg)
{
	return csg == STAGE_SECURITY ? STAGE_OPERATIONAL : STAGE_FULL_FEATURE;
}

/* The next request: as much of the text as fits, and the wish to move on when it is all of it. */
static void send_request(struct iscsi_conn *c)
{
	struct login *l = &c->login;
	struct iscsi_session *s = c->session;
	size_t n = l->out.n - l->out_off;
	struct pdu p = {.opcode = PDU_LOGIN_REQ, .immediate = true, .itt = l->itt};

	if (l->out.failed) {
		conn_drop(c, "out of memory");
		return;
	}
	if (n > LOGIN_SEGMENT)
		n = LOGIN_SEGMENT;
	l->sent_more = l->out_off + n < l->out.n;
	l->sent_transit = !l->sent_more && (l->csg != STAGE_SECURITY || chap_may_move(&l->chap));
	p.final = l->sent_transit;
	p.u.login.more = l->sent_more;
	p.u.login.csg = l->csg;
	p.u.login.nsg = l->sent_transit ? next_stage(l->csg) : 0;
	memcpy(p.u.login.isid, s->cfg.isid, sizeof(p.u.login.isid));
	p.u.login.tsih = c->leading ? 0 : s->tsih;
	p.u.login.cid = c->cid;
	conn_send(c, &p, n ? l->out.bytes + l->out_off : NULL, n);
	l->out_off += n;
	if (!l->sent_more) {
		text_clear(&l->out);
		l->out_off = 0;
		l->negotiation.owes = false;
	}
}

void login_start(struct iscsi_conn *c)
{
	struct login *l = &c->login;
	const struct iscsi_session_cfg *cfg = &c->session->cfg;

	if (c->leading) {
		/* The window of an earlier session is gone; the target will tell the new one. */
		c->session->expcmdsn = c->session->cmdsn;
		c->session->maxcmdsn = c->session->cmdsn - 1;
	} else {
		c->negotiated = c->session->active;
	}
	c->negotiated.TargetMaxRecvDataSegmentLength = 0;
	negotiation_init(&l->negotiation, &c->offer, &c->negotiated, cfg->discovery, c->leading);
	chap_init(&l->chap, &cfg->auth, &c->session->challenges);
	l->csg = STAGE_SECURITY;
	l->itt = session_next_itt(c->session);
	l->deadline_ns = c->now_ns + cfg->login_timeout_ns;
	text_add(&l->out, "InitiatorName", cfg->initiator_name);
	if (cfg->initiator_alias)
		text_add(&l->out, "InitiatorAlias", cfg->initiator_alias);
	if (cfg->target_name)
		text_add(&l->out, "TargetName", cfg->target_name);
	text_add(&l->out, "SessionType", cfg->discovery ? "Discovery" : "Normal");
	text_add(&l->out, "AuthMethod", cfg->auth.n_secret ? "CHAP" : "None");
	send_request(c);
}

/* Class and detail of §11.13.5 in words. */
static const char *status_text(uint16_t status)
{
	switch (status) {
	case 0x0101: return "target moved temporarily";
	case 0x0102: return "target moved permanently";
	case 0x0200: return "initiator error";
	case 0x0202: return "not authorized for this target";
	case 0x0203: return "no such target";
	case 0x0204: return "target removed";
	case 0x0205: return "protocol version not supported";
	case 0x0206: return "too many connections";
	case 0x0207: return "missing parameter";
	case 0x0208: return "connection cannot be part of the session";
	case 0x0209: return "session type not supported";
	case 0x020a: return "session does not exist";
	case 0x020b: return "invalid request during login";
	case 0x0300: return "target error";
	case 0x0301: return "service unavailable";
	case 0x0302: return "target out of resources";
	default: return "unknown login status";
	}
}

static void fail_with(struct iscsi_conn *c, enum iscsi_event_kind kind, uint16_t status, bool again,
		      const char *text)
{
	struct queued_event *q = session_event(c->session, kind, c);

	q->ev.login_status = status;
	q->ev.again = again;
	snprintf(q->text, sizeof(q->text), "%s", text);
	conn_move(c, CONN_LOGIN_FAILED);
	conn_bury(c);
}

static void fail_with_status(struct iscsi_conn *c, uint16_t status, const char *text)
{
	fail_with(c, ISCSI_EV_LOGIN_FAILED, status, false, text);
}

const char *login_lost_hint(const struct iscsi_conn *c)
{
	bool asked = c->state == CONN_IN_LOGIN && list_empty(&c->control) && !c->n_slots;

	/* LIO closes without a word when it wants CHAP and is offered None. */
	if (asked && c->login.csg == STAGE_SECURITY && c->login.chap.state == CHAP_NONE)
		return "; the target may require CHAP";
	return "";
}

/* TargetAddress out of a redirect's text; the text is spoilt. */
static const char *find_address(char *text, size_t n)
{
	const char *key, *value;

	while (text_next(&text, &n, &key, &value) > 0)
		if (strcmp(key, "TargetAddress") == 0)
			return value;
	return NULL;
}

static void on_failure(struct iscsi_conn *c, uint16_t status)
{
	struct chap *chap = &c->login.chap;
	const char *to = NULL, *text = status_text(status);

	/* Some call it a mistake of ours when they know none of the hashes. */
	if (status == AUTH_FAILED || (status == MISTAKE && chap->state == CHAP_HASHES))
		text = chap_refused_text(chap);
	if (status >> 8 == 1 && c->rx.n_data)
		to = find_address((char *)c->rx_data, c->rx.n_data);
	if (to && strlen(to) < EVENT_TEXT)
		fail_with(c, ISCSI_EV_REDIRECT, status, false, to);
	else if (status == MISTAKE && chap_misread(chap))
		fail_with(c, ISCSI_EV_LOGIN_FAILED, status, true,
			  "the target does not know SHA-256 by its number: once more without it");
	else
		fail_with_status(c, status, text);
}

/* What chap.c has to say. 0 or -EPROTO after ending the connection. */
static int judge(struct iscsi_conn *c, int r)
{
	struct login *l = &c->login;

	if (r == 0)
		return 0;
	if (r == -EPROTO)
		return conn_violation(c, "%s", l->chap.why);
	/* To the owner it is the same whether the target refuses us or we refuse the target. */
	if (r == -EACCES)
		fail_with_status(c, AUTH_FAILED, l->chap.why);
	else
		conn_drop(c, "out of memory");
	return -EPROTO;
}

/* One key of a response; what is not about authentication belongs to the negotiation. 0 or
 * -EPROTO. */
static int take_key(struct iscsi_conn *c, const char *key, const char *value)
{
	struct login *l = &c->login;

	if (strcmp(key, "AuthMethod") == 0)
		return judge(c, chap_on_method(&l->chap, value));
	if (chap_is_key(key))
		return judge(c, chap_on_key(&l->chap, key, value));
	if (strcmp(key, "TargetAddress") == 0 || strcmp(key, "TargetName") == 0)
		return 0; /* said for information */
	if (negotiation_take(&l->negotiation, key, value, &l->out))
		return conn_violation(c, "%s", l->negotiation.why);
	return 0;
}

static int take_text(struct iscsi_conn *c)
{
	struct login *l = &c->login;
	char *at = l->in.bytes;
	size_t n = l->in.n;
	const char *key, *value;
	int r;

	while ((r = text_next(&at, &n, &key, &value)) > 0)
		if (take_key(c, key, value))
			return -EPROTO;
	text_clear(&l->in);
	if (r < 0)
		return conn_violation(c, "login text that is not key=value pairs");
	return 0;
}

static void finish(struct iscsi_conn *c)
{
	struct login *l = &c->login;
	struct iscsi_session *s = c->session;
	struct queued_event *q;

	if (c->rx.u.login.tsih == 0 || (!c->leading && c->rx.u.login.tsih != s->tsih)) {
		conn_violation(c, "TSIH %u in the final Login Response", c->rx.u.login.tsih);
		return;
	}
	if (negotiation_finish(&l->negotiation)) {
		conn_violation(c, "%s", l->negotiation.why);
		return;
	}
	/* A session lives in one portal group (§4.4.3). Not all targets name it each time. */
	if (!c->leading && s->active.TargetPortalGroupTag &&
	    c->negotiated.TargetPortalGroupTag != s->active.TargetPortalGroupTag) {
		conn_violation(c, "a further connection in portal group %u, the session is in %u",
			       c->negotiated.TargetPortalGroupTag, s->active.TargetPortalGroupTag);
		return;
	}
	login_clear(l);
	/* What has been taken in lies there still. */
	if (c->rx_data)
		explicit_bzero(c->rx_data, c->n_rx_data_room);
	explicit_bzero(c->stage, c->stage_at);
	c->params = c->negotiated;
	c->header_digest = c->params.HeaderDigest == ISCSI_DIGEST_CRC32C;
	c->data_digest = c->params.DataDigest == ISCSI_DIGEST_CRC32C;
	if (!conn_move(c, CONN_LOGIN_DONE))
		return;
	session_conn_up(s, c);
	q = session_event(s, ISCSI_EV_UP, c);
	q->ev.time2wait_s = (uint16_t)c->params.DefaultTime2Wait;
	q->ev.time2retain_s = (uint16_t)c->params.DefaultTime2Retain;
}

/* Is this response the next step of the login that we are in? 0 or -EPROTO. */
static int check_response(struct iscsi_conn *c)
{
	struct login *l = &c->login;
	const struct pdu *p = &c->rx;

	if (p->itt != l->itt)
		return conn_violation(c, "Login Response with ITT 0x%08x", p->itt);
	if (memcmp(p->u.login.isid, c->session->cfg.isid, 6) != 0)
		return conn_violation(c, "Login Response for another ISID");
	if (p->u.login.version_min != 0)
		return conn_violation(c, "Login Response with protocol version %u",
				      p->u.login.version_min);
	if (p->u.login.csg != l->csg)
		return conn_violation(c, "Login Response in stage %u, we are in %u", p->u.login.csg,
				      l->csg);
	if (p->final && l->csg == STAGE_SECURITY && !chap_may_move(&l->chap)) {
		fail_with_status(c, AUTH_FAILED,
				 "the target moves on without the authentication that we require");
		return -EPROTO;
	}
	if (p->final && (p->u.login.more || !l->sent_transit))
		return conn_violation(c, "Login Response moves on before both sides are ready");
	if (p->final && p->u.login.nsg != next_stage(l->csg))
		return conn_violation(c, "Login Response moves to stage %u, we asked for %u",
				      p->u.login.nsg, next_stage(l->csg));
	if (l->sent_more && (p->n_data || p->u.login.more))
		return conn_violation(c, "Login Response with text in the middle of ours");
	if (++l->n_rounds > LOGIN_ROUNDS)
		return conn_violation(c, "login does not come to an end");
	if (l->in.n + p->n_data > LOGIN_TEXT_MAX)
		return conn_violation(c, "more than 64 KiB of login text");
	return 0;
}

void login_on_response(struct iscsi_conn *c)
{
	struct login *l = &c->login;
	struct iscsi_session *s = c->session;
	const struct pdu *p = &c->rx;
	uint16_t status = (uint16_t)(p->u.login.status_class << 8 | p->u.login.status_detail);

	if (p->u.login.status_class) {
		on_failure(c, status);
		return;
	}
	if (check_response(c) || conn_take_statsn(c))
		return;
	/* What makes no sense is void, as in session_window(); but here it may go back. */
	if (c->leading && !serial_lt(p->maxcmdsn, p->expcmdsn - 1)) {
		s->expcmdsn = p->expcmdsn;
		s->maxcmdsn = p->maxcmdsn;
	}
	text_add_bytes(&l->in, c->rx_data, p->n_data);
	if (l->in.failed) {
		conn_drop(c, "out of memory");
		return;
	}
	if (p->u.login.more) {
		/* "Go on": an empty request that does not ask to move. */
		struct pdu next = {.opcode = PDU_LOGIN_REQ, .immediate = true, .itt = l->itt};

		next.u.login.csg = l->csg;
		memcpy(next.u.login.isid, s->cfg.isid, 6);
		next.u.login.tsih = c->leading ? 0 : s->tsih;
		next.u.login.cid = c->cid;
		l->sent_transit = false;
		conn_send(c, &next, NULL, 0);
		return;
	}
	if (!l->sent_more) {
		if (take_text(c))
			return;
		if (l->csg == STAGE_SECURITY && judge(c, chap_step(&l->chap, &l->out)))
			return;
	}
	if (p->final) {
		if (p->u.login.nsg == STAGE_FULL_FEATURE) {
			finish(c);
			return;
		}
		l->csg = p->u.login.nsg;
		negotiation_offer(&l->negotiation, &l->out);
	}
	send_request(c);
}
