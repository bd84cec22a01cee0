/* SPDX-License-Identifier: MIT */
/*
 * Connection: its state, its life, and the PDUs that are about it
 *
 * Every PDU that carries status advances StatSN by one (RFC 7143 §4.2.2.2); an
 * R2T, a Data-In without status and a NOP-In that asks do not. Over TCP a number
 * that is not the expected one means that one side has lost count, which at
 * ErrorRecoveryLevel 0 ends the connection.
 */
#include "iscsi/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *conn_state_name(enum conn_state state)
{
	switch (state) {
	case CONN_XPT_WAIT: return "XPT_WAIT";
	case CONN_IN_LOGIN: return "IN_LOGIN";
	case CONN_LOGGED_IN: return "LOGGED_IN";
	case CONN_IN_LOGOUT: return "IN_LOGOUT";
	case CONN_LOGOUT_REQUESTED: return "LOGOUT_REQUESTED";
	case CONN_DEAD: return "FREE";
	}
	return "?";
}

bool conn_move(struct iscsi_conn *c, enum conn_input input)
{
#define R(label, from, in, to) {from, in, to},
	static const struct {
		enum conn_state from;
		enum conn_input input;
		enum conn_state to;
	} rule[] = {CONN_RULES(R)};
#undef R

	for (size_t i = 0; i < ARRAY_SIZE(rule); i++) {
		if (rule[i].from == c->state && rule[i].input == input) {
			c->state = rule[i].to;
			return true;
		}
	}
	return false;
}

bool conn_in_full_feature(const struct iscsi_conn *c)
{
	return c->state == CONN_LOGGED_IN || c->state == CONN_LOGOUT_REQUESTED;
}

/* ---- life -------------------------------------------------------------- */

int conn_new(struct iscsi_conn **ret_conn, struct iscsi_session *s, uint16_t cid)
{
	struct iscsi_conn *c;
	unsigned n_alive = 0;

	list_for_each (c, &s->conns, node) {
		if (c->state == CONN_DEAD)
			continue;
		n_alive++;
		if (c->cid == cid)
			return -EBUSY;
	}
	if (s->logging_out || n_alive >= (s->up ? s->active.MaxConnections : 1) ||
	    recovery_logs_out(s, cid))
		return -EBUSY;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->stage = malloc(STAGE_BYTES);
	if (!c->stage) {
		free(c);
		return -ENOMEM;
	}
	c->session = s;
	c->cid = cid;
	c->state = CONN_XPT_WAIT;
	c->offer = s->cfg.offer;
	c->leading = !s->up;
	c->active = true;
	c->nop_itt = PDU_TAG_NONE;
	c->logout_itt = PDU_TAG_NONE;
	list_init(&c->control);
	list_init(&c->control_free);
	for (unsigned i = 0; i < CONTROL_MAX; i++)
		list_append(&c->control_free, &c->control_pool[i].node);
	list_init(&c->retries);
	list_init(&c->bursts);
	list_init(&c->ready);
	list_append(&s->conns, &c->node);
	if (session_ring_room(s)) {
		list_remove(&c->node);
		free(c->stage);
		free(c);
		return -ENOMEM;
	}
	*ret_conn = c;
	return 0;
}

struct iscsi_conn *conn_free(struct iscsi_conn *c)
{
	if (!c)
		return NULL;
	if (c->state != CONN_DEAD) {
		c->state = CONN_DEAD;
		conn_bury(c);
	}
	session_forget_conn(c->session, c);
	list_remove(&c->node);
	login_clear(&c->login);
	wipe_free(c->rx_data, c->n_rx_data_room);
	wipe_free(c->stage, STAGE_BYTES);
	free(c);
	return NULL;
}

/* What every end has in common; the state is CONN_DEAD already. */
static void bury(struct iscsi_conn *c, bool clean)
{
	conn_tx_clear(c);
	if (c->rx_task) {
		task_release(c->rx_task);
		c->rx_task = NULL;
	}
	session_conn_gone(c->session, c, clean);
}

void conn_bury(struct iscsi_conn *c)
{
	bury(c, false);
}

/*
 * How long a connection may take to come back when its tasks are to be reassigned; or,
 * when it was the last one, those of any that went before it.
 */
static uint16_t recover_s(const struct iscsi_conn *c)
{
	const struct iscsi_session *s = c->session;
	uint64_t n = (uint64_t)c->params.DefaultTime2Wait + c->params.DefaultTime2Retain;

	for (unsigned i = 0; i < LOSSES_MAX; i++)
		if (s->loss[i].state != LOSS_NONE &&
		    (!s->n_up ||
		     (s->loss[i].cid == c->cid && s->loss[i].reason == LOGOUT_FOR_RECOVERY)))
			return n > UINT16_MAX ? UINT16_MAX : (uint16_t)n;
	return 0;
}

static void drop(struct iscsi_conn *c, const char *fmt, va_list ap)
{
	struct iscsi_session *s = c->session;
	bool login = c->state == CONN_IN_LOGIN, logout = c->state == CONN_IN_LOGOUT;
	struct queued_event *q;

	if (c->state == CONN_DEAD)
		return;
	conn_move(c, login ? CONN_LOGIN_FAILED : CONN_LOST);
	/* A connection that goes while logging out has gone the way it should. */
	q = session_event(s,
			  login    ? ISCSI_EV_LOGIN_FAILED
			  : logout ? ISCSI_EV_LOGGED_OUT
				   : ISCSI_EV_CONN_DOWN,
			  c);
	q->ev.timed_out = logout;
	q->ev.time2wait_s = (uint16_t)c->params.DefaultTime2Wait;
	q->ev.time2retain_s = (uint16_t)c->params.DefaultTime2Retain;
	vsnprintf(q->text, sizeof(q->text), fmt, ap);
	if (!login && !logout)
		s->stats.n_conn_lost++;
	if (logout && c->closes_all)
		s->ending = true;
	conn_bury(c);
	if (logout && c->closes_all)
		session_logged_out(s);
	q->ev.last = !s->n_up;
	q->ev.recover_s = recover_s(c);
	recovery_settle(s, c->now_ns);
}

void conn_drop(struct iscsi_conn *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	drop(c, fmt, ap);
	va_end(ap);
}

int conn_violation(struct iscsi_conn *c, const char *fmt, ...)
{
	va_list ap;

	if (c->state != CONN_DEAD)
		c->session->stats.n_protocol_errors++;
	c->garbled = true;
	va_start(ap, fmt);
	drop(c, fmt, ap);
	va_end(ap);
	return -EPROTO;
}

void conn_lost(struct iscsi_conn *c, const char *why, uint64_t now_ns)
{
	c->now_ns = now_ns;
	conn_drop(c, "%s%s", why, login_lost_hint(c));
}

void conn_set_digests(struct iscsi_conn *c, int header, int data)
{
	if (header >= 0)
		c->offer.HeaderDigest = (uint32_t)header;
	if (data >= 0)
		c->offer.DataDigest = (uint32_t)data;
}

void conn_start(struct iscsi_conn *c, uint64_t now_ns)
{
	c->now_ns = now_ns;
	c->last_rx_ns = now_ns;
	if (conn_move(c, CONN_TRANSPORT_UP))
		login_start(c);
}

uint16_t conn_cid(const struct iscsi_conn *c)
{
	return c->cid;
}

void conn_set_path(struct iscsi_conn *c, bool active, unsigned weight)
{
	c->active = active;
	c->weight = weight;
}

const struct iscsi_params *conn_params(const struct iscsi_conn *c)
{
	return &c->params;
}

bool conn_alive(const struct iscsi_conn *c)
{
	return c->state != CONN_DEAD;
}

void conn_send_nop(struct iscsi_conn *c)
{
	struct pdu p = {
		.opcode = PDU_NOP_OUT, .immediate = true, .final = true, .ttt = PDU_TAG_NONE};

	c->nop_itt = p.itt = session_next_itt(c->session);
	c->nop_deadline_ns = c->now_ns + c->session->cfg.nop_timeout_ns;
	conn_send(c, &p, NULL, 0);
}

/* ---- headers ----------------------------------------------------------- */

bool conn_needs_statsn(const struct pdu *p)
{
	switch (p->opcode) {
	case PDU_R2T: return false;
	case PDU_DATA_IN: return p->u.data_in.has_status;
	case PDU_NOP_IN: return p->itt != PDU_TAG_NONE;
	default: return true;
	}
}

static uint32_t declared_max(const struct iscsi_conn *c)
{
	/* Until login is over the default holds, whatever we have declared (§13.12). */
	return c->state == CONN_IN_LOGIN ? 8192 : c->params.MaxRecvDataSegmentLength;
}

static int room_for_data(struct iscsi_conn *c)
{
	uint8_t *grown;

	if (c->rx.n_data <= c->n_rx_data_room)
		return 0;
	grown = realloc(c->rx_data, c->rx.n_data);
	if (!grown) {
		conn_drop(c, "out of memory");
		return -ENOMEM;
	}
	c->rx_data = grown;
	c->n_rx_data_room = c->rx.n_data;
	return 0;
}

/* What names no task of this connection: late, or wrong. 0 or -EPROTO. */
static int nobodys(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;

	if (s->forgiving && session_is_stale(s, c->rx.itt))
		return 0;
	return conn_violation(c, "%s for no command of %s (ITT 0x%08x)", pdu_name(c->rx.opcode),
			      s->n_up > 1 ? "this connection" : "ours", c->rx.itt);
}

int conn_on_header(struct iscsi_conn *c)
{
	const struct pdu *p = &c->rx;
	const char *why;
	struct iscsi_task *t;

	if (p->opcode < PDU_NOP_IN)
		return conn_violation(c, "a target must not send a %s", pdu_name(p->opcode));
	if (p->n_ahs) /* §11.2.1.5: a format error (§7.7) */
		return conn_violation(c,
				      "%s with additional header segments, which only commands "
				      "have",
				      pdu_name(p->opcode));
	if ((c->state == CONN_IN_LOGIN) != (p->opcode == PDU_LOGIN_RSP))
		return conn_violation(c, "%s in state %s", pdu_name(p->opcode),
				      conn_state_name(c->state));
	if (p->n_data > declared_max(c))
		return conn_violation(c, "%s with %u bytes of data, more than we declared to take",
				      pdu_name(p->opcode), p->n_data);
	if (p->opcode != PDU_DATA_IN)
		return room_for_data(c);

	t = session_find(c->session, c, p->itt);
	if (!t)
		return nobodys(c) ? -EPROTO : room_for_data(c);
	if (conn_recovers(c)) {
		int place = snack_place(t, p, &why);

		if (place < 0)
			return conn_violation(c, "%s", why);
		if (c->state == CONN_DEAD)
			return -EPROTO;
		if (place == SNACK_TWICE)
			return room_for_data(c);
	}
	if (task_check_data_in(t, p, &why))
		return conn_violation(c, "%s", why);
	c->rx_task = t;
	task_hold(t);
	return 0;
}

int conn_take_statsn(struct iscsi_conn *c)
{
	const struct pdu *p = &c->rx;

	if (!conn_needs_statsn(p)) {
		if (p->opcode == PDU_NOP_IN && conn_recovers(c))
			snack_hint(c);
		return 0;
	}
	if (!c->statsn_known) {
		c->statsn_known = true;
		c->expstatsn = p->statsn;
	}
	if (conn_recovers(c))
		return snack_take_statsn(c);
	if (p->statsn != c->expstatsn)
		return conn_violation(c, "StatSN %u in a %s where %u was due", p->statsn,
				      pdu_name(p->opcode), c->expstatsn);
	c->expstatsn++;
	return 0;
}

void conn_on_data_in(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;
	struct iscsi_task *t = c->rx_task, *owner;
	const struct pdu *p = &c->rx;
	const char *why = NULL;
	int r;

	c->rx_task = NULL; /* whatever ends the connection now does not release it as well */
	r = conn_take_statsn(c);
	if (r > 0)
		c->rx.u.data_in.has_status = false; /* only its data counts */
	if (r >= 0) {
		session_window(s, p);
		/* A reset or the owner may have ended the task while its data was landing. */
		owner = session_find(s, c, p->itt);
		if (owner && owner == t)
			r = task_on_data_in(t, p, &why);
		else if (owner && p->u.data_in.has_status)
			r = task_on_data_status(owner, p, &why);
	}
	if (t)
		task_release(t);
	if (why)
		conn_violation(c, "%s", why);
}

/* ---- the PDUs ---------------------------------------------------------- */

static void on_scsi_response(struct iscsi_conn *c)
{
	struct iscsi_task *t = session_find(c->session, c, c->rx.itt);
	const char *why;

	if (!t)
		nobodys(c);
	else if (task_on_response(t, &c->rx, c->rx_data, c->rx.n_data, &why))
		conn_violation(c, "%s", why);
}

static void on_r2t(struct iscsi_conn *c)
{
	struct iscsi_task *t = session_find(c->session, c, c->rx.itt);
	const char *why;

	if (!t)
		nobodys(c);
	else if (task_on_r2t(t, &c->rx, &why))
		conn_violation(c, "%s", why);
}

static void on_nop_in(struct iscsi_conn *c)
{
	struct pdu p = {.opcode = PDU_NOP_OUT,
			.immediate = true,
			.final = true,
			.lun = c->rx.lun,
			.itt = PDU_TAG_NONE,
			.ttt = c->rx.ttt};
	uint32_t n = c->rx.n_data;

	if (c->rx.itt != PDU_TAG_NONE) {
		if (c->rx.itt == c->nop_itt)
			c->nop_itt = PDU_TAG_NONE;
		else if (c->n_plugs)
			c->n_plugs--;
		else
			conn_violation(c, "answer to a ping that was not sent");
		return;
	}
	if (c->rx.ttt == PDU_TAG_NONE)
		return; /* only tells its numbers */
	/* Echo what he will take of his own data (§11.18.4). */
	if (n > c->params.TargetMaxRecvDataSegmentLength)
		n = c->params.TargetMaxRecvDataSegmentLength;
	conn_send(c, &p, c->rx_data, n);
}

/* The end of a Logout; not @clean: the target has not said that it has put all away. */
void conn_logged_out(struct iscsi_conn *c, bool clean)
{
	struct iscsi_session *s = c->session;
	bool all = c->closes_all;

	s->ending |= all;
	conn_move(c, CONN_LOGOUT_DONE);
	bury(c, clean);
	if (all)
		session_logged_out(s);
}

static void on_logout(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;
	struct queued_event *q;
	uint8_t response = c->rx.u.logout_rsp.response;

	if (recovery_on_logout(c))
		return;
	if (c->state != CONN_IN_LOGOUT || c->rx.itt != c->logout_itt) {
		if (s->forgiving && c->rx.itt != c->logout_itt && session_is_other(s, c->rx.itt))
			return; /* of a lost connection, later than we waited for it */
		conn_violation(c, "Logout Response to nothing we asked");
		return;
	}
	if (response)
		session_note(s, c, "the target answered our Logout with %u", response);
	q = session_event(s, ISCSI_EV_LOGGED_OUT, c);
	q->ev.time2wait_s = c->rx.u.logout_rsp.time2wait;
	q->ev.time2retain_s = c->rx.u.logout_rsp.time2retain;
	conn_logged_out(c, response <= LOGOUT_RSP_NO_CID);
	q->ev.last = !s->n_up;
}

/* The target has not begun the command, because it waits for our Logout: the next session's. */
static void put_off(struct iscsi_session *s, struct iscsi_task *t)
{
	struct list back = LIST_INIT(back);

	if (task_ends(t)) {
		task_finish(t, t->ends_as);
		return;
	}
	session_requeue(s, &back, t);
	session_queue_first(s, &back);
}

static bool is_leaving(const struct iscsi_conn *c)
{
	return c->state == CONN_LOGOUT_REQUESTED || c->state == CONN_IN_LOGOUT;
}

static void on_reject(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;
	struct iscsi_task *t = NULL;
	uint8_t reason = c->rx.u.reject.reason;
	struct pdu mine;

	if (c->rx.n_data < BHS_LEN || pdu_decode(&mine, c->rx_data)) {
		conn_violation(c, "Reject (reason 0x%02x) that does not say of what",
			       c->rx.u.reject.reason);
		return;
	}
	session_note(s, c, "the target rejected our %s, reason 0x%02x", pdu_name(mine.opcode),
		     reason);
	if (snack_on_reject(c, &mine))
		return;
	if (mine.opcode == PDU_SCSI_CMD)
		t = session_find(s, c, mine.itt);
	if (reason == REJECT_DATA_DIGEST) {
		/* No fault of the command: a new connection, and again. */
		conn_drop(c, "the target found a data digest error in our %s",
			  pdu_name(mine.opcode));
	} else if (t && reason == REJECT_WAITING_LOGOUT && is_leaving(c)) {
		put_off(s, t);
	} else if (t && reason != REJECT_WAITING_LOGOUT) {
		task_finish(t, ISCSI_TASK_REJECTED);
	} else if (mine.opcode == PDU_NOP_OUT) {
		if (mine.itt == c->nop_itt)
			c->nop_itt = PDU_TAG_NONE; /* alive, if unwilling */
	} else if (mine.opcode == PDU_TMF_REQ) {
		struct pdu p = {.opcode = PDU_TMF_RSP,
				.itt = mine.itt,
				.u.tmf_rsp = {.response = TMF_RSP_REJECTED}};

		tmf_on_response(c, &p);
	} else if (mine.opcode != PDU_TEXT_REQ || !text_on_reject(c, mine.itt, reason)) {
		conn_drop(c, "the target rejected our %s, reason 0x%02x", pdu_name(mine.opcode),
			  reason);
	}
}

static void on_scsi_event(struct iscsi_conn *c)
{
	struct queued_event *q = session_event(c->session, ISCSI_EV_SCSI_ASYNC, c);
	size_t n;

	q->ev.lun = c->rx.lun;
	if (c->rx.n_data < 2)
		return;
	n = get_be16(c->rx_data);
	if (n > c->rx.n_data - 2)
		n = c->rx.n_data - 2;
	if (n > ISCSI_SENSE_MAX)
		n = ISCSI_SENSE_MAX;
	memcpy(q->sense, c->rx_data + 2, n);
	q->ev.n_sense = n;
}

/* The target's times hold from now on. */
static void take_times(struct iscsi_conn *c, const struct pdu *p)
{
	c->params.DefaultTime2Wait = p->u.async.param2;
	c->params.DefaultTime2Retain = p->u.async.param3;
}

static void on_conn_drop(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;
	const struct pdu p = c->rx;
	struct iscsi_conn *gone;

	list_for_each (gone, &s->conns, node) {
		if (gone->state == CONN_DEAD || gone->cid != p.u.async.param1)
			continue;
		take_times(gone, &p);
		gone->now_ns = c->now_ns;
		conn_drop(gone, "the target drops this connection (Time2Wait %u s)",
			  p.u.async.param2);
		return;
	}
	session_note(s, c, "the target has dropped connection %u", p.u.async.param1);
}

static void on_session_drop(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;
	const struct pdu p = c->rx;
	struct iscsi_conn *one;

	list_for_each (one, &s->conns, node)
		take_times(one, &p);
	session_give_up(s, c->now_ns,
			"the target drops all connections of the session (Time2Wait %u s)",
			p.u.async.param2);
}

static void on_async(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;
	struct queued_event *q;

	switch (c->rx.u.async.event) {
	case ASYNC_SCSI: on_scsi_event(c); break;
	case ASYNC_LOGOUT_REQUEST:
		if (c->state == CONN_LOGGED_IN) { /* else it has been told, or we are at it */
			q = session_event(s, ISCSI_EV_LOGOUT_WANTED, c);
			q->ev.time2wait_s = c->rx.u.async.param3;
		}
		conn_move(c, CONN_LOGOUT_WANTED);
		break;
	case ASYNC_CONN_DROP: on_conn_drop(c); break;
	case ASYNC_SESSION_DROP: on_session_drop(c); break;
	case ASYNC_NEGOTIATE:
		/* An empty request opens the exchange, in which the target may offer (§11.9.1). */
		session_note(s, c, "the target asks to negotiate again");
		text_negotiate(c);
		break;
	case ASYNC_TASKS_TERMINATED:
		session_note(s, c, "the target has ended all tasks of a unit");
		break;
	default:
		session_note(s, c, "asynchronous message %u, vendor code %u", c->rx.u.async.event,
			     c->rx.u.async.vcode);
	}
}

void conn_on_pdu(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;

	if (c->rx.opcode == PDU_LOGIN_RSP) {
		login_on_response(c); /* counts StatSN itself: a failure carries none */
		return;
	}
	if (conn_take_statsn(c))
		return;
	session_window(s, &c->rx);
	switch ((enum pdu_opcode)c->rx.opcode) {
	case PDU_SCSI_RSP: on_scsi_response(c); break;
	case PDU_R2T: on_r2t(c); break;
	case PDU_NOP_IN: on_nop_in(c); break;
	case PDU_TEXT_RSP: text_on_response(c); break;
	case PDU_LOGOUT_RSP: on_logout(c); break;
	case PDU_TMF_RSP:
		if (!recovery_on_tmf(c))
			tmf_on_response(c, &c->rx);
		break;
	case PDU_REJECT: on_reject(c); break;
	case PDU_ASYNC: on_async(c); break;
	case PDU_DATA_IN:
	case PDU_LOGIN_RSP:
	case PDU_NOP_OUT:
	case PDU_SCSI_CMD:
	case PDU_TMF_REQ:
	case PDU_LOGIN_REQ:
	case PDU_TEXT_REQ:
	case PDU_DATA_OUT:
	case PDU_LOGOUT_REQ:
	case PDU_SNACK: break; /* not here: conn_on_header() */
	}
}
