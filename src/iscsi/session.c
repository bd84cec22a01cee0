/* SPDX-License-Identifier: MIT */
/*
 * Session: the command queue and what outlives a connection
 *
 * Tasks wait in one queue and get CmdSN and ITT when they are put on the wire, so
 * that the order on the wire is the order of the queue. A connection that goes
 * gives its unfinished tasks back to the front of the queue in CmdSN order; the
 * re-login then is session reinstatement (same ISID, TSIH 0, RFC 7143 §6.3.5) and
 * they go out again, as new commands, in the old order.
 *
 * An ITT is a table index with a generation above it, so that a late PDU for a
 * finished task finds nothing rather than its successor.
 */
#include "iscsi/internal.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>

#define DEFAULT_NS(v, s) ((v) ? (v) : (uint64_t)(s)*UINT64_C(1000000000))
#define SWEEP_NS         UINT64_C(250000000)
#define AUTH_MAX         255 /* bytes of a CHAP name or secret */

#define ITT_INDEX_BITS   12
#define ITT_INDEX        (UINT32_C(1) << ITT_INDEX_BITS) /* most tasks on the wire */
#define ITT_TASK_MASK    UINT32_C(0x7fffffff) /* others have the top bit: never the reserved value */
#define ITT_OTHER        UINT32_C(0x80000000)
#define ITT_OTHER_MASK   UINT32_C(0x3fffffff)

static void cfg_clear(struct iscsi_session_cfg *cfg)
{
	free((char *)(uintptr_t)cfg->initiator_name);
	free((char *)(uintptr_t)cfg->initiator_alias);
	free((char *)(uintptr_t)cfg->target_name);
	wipe_free((void *)(uintptr_t)cfg->auth.name, cfg->auth.n_name);
	wipe_free((void *)(uintptr_t)cfg->auth.secret, cfg->auth.n_secret);
	wipe_free((void *)(uintptr_t)cfg->auth.peer_secret, cfg->auth.n_peer_secret);
}

/* Half a configuration must not become a login without authentication. */
static bool auth_is_valid(const struct iscsi_auth *a)
{
	if (!a->n_name && !a->n_secret)
		return !a->required && !a->mutual && !a->n_peer_secret;
	if (!a->n_name || a->n_name > AUTH_MAX || memchr(a->name, 0, a->n_name))
		return false;
	if (!a->n_secret || a->n_secret > AUTH_MAX || a->n_peer_secret > AUTH_MAX)
		return false;
	if (!a->mutual)
		return true;
	/* Who knows one secret must not know the other (RFC 7143 §9.2.1). */
	return a->random && a->n_peer_secret &&
	       (a->n_secret != a->n_peer_secret ||
		memcmp(a->secret, a->peer_secret, a->n_secret) != 0);
}

static int copy_bytes(const uint8_t **bytes, size_t n)
{
	uint8_t *copy = n ? malloc(n) : NULL;

	if (n && !copy) {
		*bytes = NULL; /* the caller's, not ours to wipe */
		return -ENOMEM;
	}
	if (n)
		memcpy(copy, *bytes, n);
	*bytes = copy;
	return 0;
}

/* Each of them is tried, so that none of the caller's is left among ours. */
static int auth_copy(struct iscsi_auth *a)
{
	int r = copy_bytes(&a->name, a->n_name);

	r = copy_bytes(&a->secret, a->n_secret) ? -ENOMEM : r;
	r = copy_bytes(&a->peer_secret, a->n_peer_secret) ? -ENOMEM : r;
	return r;
}

static int cfg_copy(struct iscsi_session_cfg *to, const struct iscsi_session_cfg *from)
{
	*to = *from;
	to->initiator_name = strdup(from->initiator_name);
	to->initiator_alias = from->initiator_alias ? strdup(from->initiator_alias) : NULL;
	to->target_name = from->target_name ? strdup(from->target_name) : NULL;
	to->n_tasks = from->n_tasks ? from->n_tasks : 128;
	/* A target may use all that was negotiated; so no more than we have room for. */
	if (to->offer.MaxOutstandingR2T > ISCSI_MAX_R2T)
		to->offer.MaxOutstandingR2T = ISCSI_MAX_R2T;
	to->login_timeout_ns = DEFAULT_NS(from->login_timeout_ns, 15);
	to->nop_interval_ns = DEFAULT_NS(from->nop_interval_ns, 5);
	to->nop_timeout_ns = DEFAULT_NS(from->nop_timeout_ns, 5);
	to->task_timeout_ns = DEFAULT_NS(from->task_timeout_ns, 30);
	to->tmf_timeout_ns = DEFAULT_NS(from->tmf_timeout_ns, 15);
	to->logout_timeout_ns = DEFAULT_NS(from->logout_timeout_ns, 10);
	if (auth_copy(&to->auth))
		return -ENOMEM;
	if (!to->initiator_name || (from->initiator_alias && !to->initiator_alias) ||
	    (from->target_name && !to->target_name))
		return -ENOMEM;
	return 0;
}

int session_new(struct iscsi_session **ret_session, const struct iscsi_session_cfg *cfg)
{
	struct iscsi_session *s;

	if (!cfg->initiator_name || (!cfg->target_name && !cfg->discovery) ||
	    cfg->n_tasks > ITT_INDEX || !iscsi_params_offer_valid(&cfg->offer) ||
	    !auth_is_valid(&cfg->auth))
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	list_init(&s->pending);
	list_init(&s->conns);
	list_init(&s->done);
	if (cfg_copy(&s->cfg, cfg)) {
		session_free(s);
		return -ENOMEM;
	}
	if (!cfg->offer.DataPDUInOrder || !cfg->offer.DataSequenceInOrder) {
		s->runs = calloc(s->cfg.n_tasks, sizeof(*s->runs));
		if (!s->runs) {
			session_free(s);
			return -ENOMEM;
		}
	}
	s->table = calloc(s->cfg.n_tasks, sizeof(*s->table));
	s->free_itt = calloc(s->cfg.n_tasks, sizeof(*s->free_itt));
	s->last_itt = calloc(s->cfg.n_tasks, sizeof(*s->last_itt));
	if (!s->table || !s->free_itt || !s->last_itt || session_ring_room(s)) {
		session_free(s);
		return -ENOMEM;
	}
	for (uint32_t i = s->cfg.n_tasks; i-- > 0;) {
		s->free_itt[s->n_free_itt++] = i;
		s->last_itt[i] = PDU_TAG_NONE;
	}
	s->cmdsn = cfg->first_cmdsn;
	s->expcmdsn = s->cmdsn;
	s->maxcmdsn = s->cmdsn;
	*ret_session = s;
	return 0;
}

struct iscsi_session *session_free(struct iscsi_session *s)
{
	struct iscsi_conn *c;

	if (!s)
		return NULL;
	while ((c = list_first(&s->conns, struct iscsi_conn, node)))
		conn_free(c);
	cfg_clear(&s->cfg);
	text_fail(s);
	text_clear(&s->exchange.told);
	free(s->table);
	free(s->runs);
	free(s->ring);
	free(s->free_itt);
	free(s->last_itt);
	explicit_bzero(&s->challenges, sizeof(s->challenges));
	free(s);
	return NULL;
}

/* ---- events ------------------------------------------------------------ */

int session_ring_room(struct iscsi_session *s)
{
	struct queued_event *ring;
	const struct iscsi_conn *c;
	unsigned room = EVENT_RING;

	list_for_each (c, &s->conns, node)
		room += EVENTS_OF_CONN;
	if (room <= s->n_ring_room)
		return 0;
	ring = calloc(room, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	for (unsigned i = 0; i < s->n_ring; i++)
		ring[i] = s->ring[(s->ring_head + i) % s->n_ring_room];
	free(s->ring);
	s->ring = ring;
	s->ring_head = 0;
	s->n_ring_room = room;
	return 0;
}

struct queued_event *session_event(struct iscsi_session *s, enum iscsi_event_kind kind,
				   struct iscsi_conn *c)
{
	struct queued_event *q;

	if (s->n_ring == s->n_ring_room) {
		/*
		 * Only an owner that never drains gets here; what it misses then is the
		 * oldest.
		 */
		if (s->ring[s->ring_head].ev.kind == ISCSI_EV_TEXT_DONE)
			s->exchange.waits = false;
		s->ring_head = (s->ring_head + 1) % s->n_ring_room;
		s->n_ring--;
	}
	if (s->n_ring >= EVENT_NOTE_LIMIT && (kind == ISCSI_EV_NOTE || kind == ISCSI_EV_SCSI_ASYNC))
		q = &s->spare;
	else
		q = &s->ring[(s->ring_head + s->n_ring++) % s->n_ring_room];
	q->ev = (struct iscsi_event){.kind = kind, .conn = c};
	q->text[0] = '\0';
	return q;
}

void session_note(struct iscsi_session *s, struct iscsi_conn *c, const char *fmt, ...)
{
	struct queued_event *q = session_event(s, ISCSI_EV_NOTE, c);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(q->text, sizeof(q->text), fmt, ap);
	va_end(ap);
}

bool session_next_event(struct iscsi_session *s, struct iscsi_event *ret_event)
{
	struct iscsi_task *t;

	if (s->n_ring) {
		s->told = s->ring[s->ring_head];
		s->ring_head = (s->ring_head + 1) % s->n_ring_room;
		s->n_ring--;
		*ret_event = s->told.ev;
		if (ret_event->kind == ISCSI_EV_TEXT_DONE) {
			s->exchange.waits = false;
			ret_event->text = s->exchange.told.n ? s->exchange.told.bytes : "";
			ret_event->n_text = s->exchange.told.n;
			return true;
		}
		ret_event->text = s->told.text;
		ret_event->n_text = strlen(s->told.text);
		ret_event->sense = s->told.sense;
		return true;
	}
	t = list_first(&s->done, struct iscsi_task, node);
	if (!t)
		return false;
	list_remove(&t->node);
	t->state = TASK_IDLE;
	*ret_event = (struct iscsi_event){.kind = ISCSI_EV_TASK_DONE, .task = t, .text = ""};
	return true;
}

/* ---- tags and window --------------------------------------------------- */

uint32_t session_next_itt(struct iscsi_session *s)
{
	return ITT_OTHER | (s->other_itt++ & ITT_OTHER_MASK);
}

void session_take_itt(struct iscsi_session *s, struct iscsi_task *t)
{
	t->itt = s->free_itt[--s->n_free_itt];
	s->table[t->itt % ITT_INDEX] = t;
	s->last_itt[t->itt % ITT_INDEX] = t->itt;
	t->runs = s->runs ? &s->runs[t->itt % ITT_INDEX] : NULL;
	s->n_sent++;
}

void session_give_itt(struct iscsi_session *s, struct iscsi_task *t)
{
	s->table[t->itt % ITT_INDEX] = NULL;
	/* The next generation: a late PDU for this task will not match it. */
	s->free_itt[s->n_free_itt++] = (t->itt + ITT_INDEX) & ITT_TASK_MASK;
	t->itt = PDU_TAG_NONE;
	s->n_sent--;
	if (t->conn) {
		t->conn->n_tasks--;
		t->conn->n_answered -= t->answered;
	}
	t->answered = false;
	t->conn = NULL;
}

struct iscsi_task *session_find(struct iscsi_session *s, struct iscsi_conn *c, uint32_t itt)
{
	struct iscsi_task *t;

	if (itt & ITT_OTHER || itt % ITT_INDEX >= s->cfg.n_tasks)
		return NULL;
	t = s->table[itt % ITT_INDEX];
	return t && t->itt == itt && t->conn == c ? t : NULL;
}

/* RFC 7143 §4.2.2.1: a MaxCmdSN below ExpCmdSN - 1 makes both void; neither goes back. */
void session_window(struct iscsi_session *s, const struct pdu *p)
{
	if (serial_lt(p->maxcmdsn, p->expcmdsn - 1))
		return;
	if (serial_lt(s->maxcmdsn, p->maxcmdsn))
		s->maxcmdsn = p->maxcmdsn;
	/* Nobody can have had what was not sent. */
	if (serial_lt(s->expcmdsn, p->expcmdsn) && serial_le(p->expcmdsn, s->cmdsn))
		s->expcmdsn = p->expcmdsn;
}

struct iscsi_task *session_first(struct iscsi_session *s)
{
	struct iscsi_task *t;

	if (s->logging_out || !s->n_free_itt || !serial_le(s->cmdsn, s->maxcmdsn))
		return NULL;
	if (!s->held)
		return list_first(&s->pending, struct iscsi_task, node);
	list_for_each (t, &s->pending, node)
		if (t->probe)
			return t;
	return NULL;
}

bool session_is_stale(const struct iscsi_session *s, uint32_t itt)
{
	uint32_t at = itt % ITT_INDEX;

	if (itt & ITT_OTHER || at >= s->cfg.n_tasks || s->last_itt[at] == PDU_TAG_NONE)
		return false;
	if (s->table[at] && s->table[at]->itt == itt)
		return false;
	/* Generations count up, in 31 bits. */
	return ((s->last_itt[at] - itt) & ITT_TASK_MASK) < (ITT_TASK_MASK + 1) / 2;
}

bool session_is_other(const struct iscsi_session *s, uint32_t itt)
{
	/* They count up, in 30 bits. */
	return (itt & ~ITT_OTHER_MASK) == ITT_OTHER &&
	       ((s->other_itt - 1 - itt) & ITT_OTHER_MASK) < (ITT_OTHER_MASK + 1) / 2;
}

/* ---- what the owner asks for ------------------------------------------- */

void session_start_clock(struct iscsi_session *s, struct iscsi_task *t, uint64_t now_ns)
{
	t->deadline_ns = now_ns + (t->timeout_ns ? t->timeout_ns : s->cfg.task_timeout_ns);
}

static size_t iov_bytes(const struct iscsi_task *t)
{
	size_t n = 0;

	for (unsigned i = 0; i < t->n_iov; i++)
		n += t->iov[i].iov_len;
	return n;
}

void session_submit(struct iscsi_session *s, struct iscsi_task *t, uint64_t now_ns)
{
	bool is_whole = t->dir == ISCSI_DIR_NONE || iov_bytes(t) >= t->n_data;

	assert(is_whole);
	assert(t->n_cdb <= ISCSI_CDB_LONG);
	(void)is_whole; /* without assertions */
	task_init(t);
	t->session = s;
	t->seq = s->next_seq++;
	t->state = TASK_PENDING;
	session_start_clock(s, t, now_ns);
	list_append(&s->pending, &t->node);
	s->n_pending++;
	s->stats.n_tasks++;
}

/* Ends a task that is not on the wire. */
static void finish_pending(struct iscsi_session *s, struct iscsi_task *t,
			   enum iscsi_task_result result)
{
	list_remove(&t->node);
	s->n_pending--;
	if (t->state == TASK_READY) {
		t->conn->n_ready--;
		t->conn->n_tasks--;
	}
	t->result = result;
	/* It may have been on the wire before: then what is left of that may still be going out. */
	if (t->n_refs) {
		t->state = TASK_DRAINING;
	} else {
		t->state = TASK_DONE;
		list_append(&s->done, &t->node);
	}
}

static bool waits(const struct iscsi_task *t)
{
	return t->state == TASK_PENDING || t->state == TASK_READY;
}

bool task_was_sent(const struct iscsi_task *t)
{
	return !waits(t) || t->n_losses > 0;
}

void session_recall(struct iscsi_session *s, struct iscsi_task *t)
{
	if (waits(t))
		finish_pending(s, t, ISCSI_TASK_CANCELLED);
}

void session_cancel(struct iscsi_session *s, struct iscsi_task *t, uint64_t now_ns)
{
	if (waits(t)) {
		finish_pending(s, t, ISCSI_TASK_CANCELLED);
	} else if ((t->state == TASK_SENT || t->state == TASK_ORPHAN) && !task_ends(t)) {
		t->gives_up = true;
		t->again = false;
		t->ends_as = ISCSI_TASK_CANCELLED;
		tmf_sweep(s, now_ns);
	}
}

void session_lu_reset(struct iscsi_session *s, uint64_t lun, uint64_t now_ns)
{
	if (!tmf_want(s, TMF_LOGICAL_UNIT_RESET, lun, false))
		session_note(s, NULL, "too many units to reset at once, one is left out");
	tmf_sweep(s, now_ns);
}

int session_tmf(struct iscsi_session *s, uint8_t function, uint64_t lun, uint64_t now_ns)
{
	if (function < TMF_ABORT_TASK_SET || function > TMF_TARGET_COLD_RESET)
		return -EINVAL;
	if (!tmf_want(s, function, lun, true))
		return -EBUSY;
	tmf_sweep(s, now_ns);
	return 0;
}

void session_fail_all(struct iscsi_session *s, bool all, uint64_t now_ns)
{
	struct iscsi_task *t, *tmp;

	policy_recall(s, NULL);
	list_for_each_safe (t, tmp, &s->pending, node)
		if (all || !t->probe)
			finish_pending(s, t, ISCSI_TASK_LOST);
	if (!all)
		return;
	for (unsigned i = 0; i < s->cfg.n_tasks; i++) {
		t = s->table[i];
		if (!t)
			continue;
		if (t->conn && !serial_lt(t->cmdsn, s->expcmdsn))
			t->conn->n_plugs++; /* nobody will see to it that this CmdSN arrives */
		task_finish(t, ISCSI_TASK_LOST);
	}
}

void session_hold(struct iscsi_session *s, bool hold, uint64_t now_ns)
{
	struct iscsi_task *t;

	policy_recall(s, NULL);
	if (s->held && !hold)
		list_for_each (t, &s->pending, node)
			session_start_clock(s, t, now_ns);
	s->held = hold;
}

bool session_is_held(const struct iscsi_session *s)
{
	return s->held;
}

const struct iscsi_params *session_params(const struct iscsi_session *s)
{
	return &s->active;
}

bool session_auth_is(const struct iscsi_session *s, const void *name, size_t n_name,
		     const void *secret, size_t n_secret)
{
	const struct iscsi_auth *a = &s->cfg.auth;
	bool same = true;

	if (name)
		same &= n_name == a->n_name && memcmp(name, a->name, n_name) == 0;
	if (secret)
		same &= n_secret == a->n_secret && CRYPTO_memcmp(secret, a->secret, n_secret) == 0;
	return same;
}

const char *session_target_alias(const struct iscsi_session *s)
{
	return s->active.TargetAlias;
}

uint16_t session_tsih(const struct iscsi_session *s)
{
	return s->tsih;
}

unsigned session_n_tasks(const struct iscsi_session *s)
{
	return s->n_pending + s->n_sent;
}

unsigned session_n_sent(const struct iscsi_session *s)
{
	return s->n_sent;
}

const struct iscsi_stats *session_stats(const struct iscsi_session *s)
{
	return &s->stats;
}

struct iscsi_conn *session_working_conn(const struct iscsi_session *s)
{
	struct iscsi_conn *c, *poor = NULL;

	list_for_each (c, &s->conns, node) {
		if (c->state == CONN_LOGGED_IN && !c->leaving)
			return c;
		if (conn_in_full_feature(c))
			poor = c;
	}
	return poor;
}

static int send_logout(struct iscsi_conn *c, uint8_t reason, uint64_t now_ns)
{
	struct iscsi_session *s = c->session;
	struct pdu p = {.opcode = PDU_LOGOUT_REQ,
			.immediate = true,
			.final = true,
			.u.logout_req = {.reason = reason, .cid = c->cid}};

	if (!conn_move(c, CONN_LOGOUT_SENT))
		return -ENOTCONN;
	c->closes_all = reason == LOGOUT_CLOSE_SESSION;
	c->logout_itt = p.itt = session_next_itt(s);
	c->logout_deadline_ns = now_ns + s->cfg.logout_timeout_ns;
	conn_send(c, &p, NULL, 0);
	return 0;
}

int session_logout(struct iscsi_session *s, uint64_t now_ns)
{
	struct iscsi_conn *c = session_working_conn(s);

	if (!c || send_logout(c, LOGOUT_CLOSE_SESSION, now_ns))
		return -ENOTCONN;
	s->logging_out = true;
	return 0;
}

void conn_leave(struct iscsi_conn *c)
{
	if (c->leaving && conn_in_full_feature(c) && (!c->n_tasks || c->now_ns >= c->leave_ns))
		(void)send_logout(c, LOGOUT_CLOSE_CONNECTION, c->now_ns);
}

int session_remove_conn(struct iscsi_session *s, struct iscsi_conn *c, uint64_t now_ns)
{
	struct iscsi_conn *other;
	bool alone = true;

	if (!conn_in_full_feature(c))
		return -ENOTCONN;
	list_for_each (other, &s->conns, node)
		alone &= other == c || !conn_in_full_feature(other) || other->leaving;
	if (alone || s->logging_out)
		return -EBUSY;
	c->now_ns = now_ns;
	c->leaving = true;
	c->leave_ns = now_ns + s->cfg.logout_timeout_ns;
	policy_recall(s, c);
	conn_leave(c);
	return 0;
}

/* ---- time -------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* While bytes move, in or out, the answer to a ping may be behind them. */
static uint64_t nop_deadline_ns(const struct iscsi_conn *c)
{
	return later(c->nop_deadline_ns,
		     later(c->last_rx_ns, c->last_tx_ns) + c->session->cfg.nop_timeout_ns);
}

static uint64_t conn_deadline_ns(const struct iscsi_conn *c)
{
	switch (c->state) {
	case CONN_IN_LOGIN: return c->login.deadline_ns;
	case CONN_IN_LOGOUT: return c->logout_deadline_ns;
	case CONN_LOGGED_IN:
	case CONN_LOGOUT_REQUESTED:
		return earlier(c->leaving ? c->leave_ns : ISCSI_NEVER,
			       c->nop_itt != PDU_TAG_NONE
				       ? nop_deadline_ns(c)
				       : c->last_rx_ns + c->session->cfg.nop_interval_ns);
	case CONN_XPT_WAIT:
	case CONN_DEAD: break;
	}
	return ISCSI_NEVER;
}

uint64_t session_deadline_ns(const struct iscsi_session *s)
{
	uint64_t d = ISCSI_NEVER;
	const struct iscsi_conn *c;

	list_for_each (c, &s->conns, node)
		d = earlier(d, conn_deadline_ns(c));
	if (s->n_sent || s->n_pending || s->n_wanted)
		d = earlier(d, s->next_sweep_ns);
	if (s->tmf.active)
		d = earlier(d, s->tmf.deadline_ns);
	if (s->exchange.busy)
		d = earlier(d, s->exchange.deadline_ns);
	return earlier(d, earlier(recovery_deadline_ns(s), snack_deadline_ns(s)));
}

static void conn_tick(struct iscsi_conn *c, uint64_t now_ns)
{
	struct iscsi_session *s = c->session;

	c->now_ns = now_ns;
	if (now_ns < conn_deadline_ns(c))
		return;
	switch (c->state) {
	case CONN_IN_LOGIN:
		conn_drop(c, "no end of login within %u s",
			  (unsigned)(s->cfg.login_timeout_ns / 1000000000));
		break;
	case CONN_IN_LOGOUT: {
		struct queued_event *q = session_event(s, ISCSI_EV_LOGGED_OUT, c);

		q->ev.timed_out = true;
		conn_logged_out(c, false);
		q->ev.last = !s->n_up;
		break;
	}
	case CONN_LOGGED_IN:
	case CONN_LOGOUT_REQUESTED:
		if (c->leaving && now_ns >= c->leave_ns)
			conn_leave(c);
		else if (c->nop_itt == PDU_TAG_NONE)
			conn_send_nop(c);
		else
			conn_drop(c, "no answer to a NOP-Out within %u s",
				  (unsigned)(s->cfg.nop_timeout_ns / 1000000000));
		break;
	case CONN_XPT_WAIT:
	case CONN_DEAD: break;
	}
}

static void sweep_queue(struct iscsi_session *s, struct list *queue, uint64_t now_ns)
{
	struct iscsi_task *t, *tmp;

	list_for_each_safe (t, tmp, queue, node) {
		if (s->held && !t->probe)
			continue;
		if (now_ns >= t->deadline_ns) {
			s->stats.n_timeouts++;
			finish_pending(s, t, ISCSI_TASK_TIMEOUT);
		}
	}
}

void session_tick(struct iscsi_session *s, uint64_t now_ns)
{
	struct iscsi_conn *c, *tmp;

	list_for_each_safe (c, tmp, &s->conns, node)
		conn_tick(c, now_ns);
	text_tick(s, now_ns);
	recovery_tick(s, now_ns);
	if (now_ns < s->next_sweep_ns && !(s->tmf.active && now_ns >= s->tmf.deadline_ns))
		return;
	s->next_sweep_ns = now_ns + SWEEP_NS;
	sweep_queue(s, &s->pending, now_ns);
	list_for_each (c, &s->conns, node)
		sweep_queue(s, &c->ready, now_ns);
	snack_tick(s, now_ns);
	tmf_sweep(s, now_ns);
	recovery_tick(s, now_ns); /* of what has been lost just now */
}
