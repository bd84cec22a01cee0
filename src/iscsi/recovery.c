/* SPDX-License-Identifier: MIT */
/*
 * Connections come and go: what becomes of their tasks
 *
 * A task's connection is gone, the task is an orphan: it keeps ITT and CmdSN, and the
 * target may or may not have it. While the session has another connection (or, at
 * ErrorRecoveryLevel 2, is to get one) the lost CID is logged out there. The answer's
 * ExpCmdSN divides the orphans (RFC 7143 §7.2.1, §11.14):
 *
 *	from ExpCmdSN on   the target has thrown the command away, or never had it. It is
 *	                   sent again as it was, with its CmdSN, because a hole in the
 *	                   numbers would stop the session; or a NOP-Out takes the number.
 *	before, level 2    the target keeps the task for whoever asks: TASK REASSIGN.
 *	before, else       the target has ended the task: it is queued again as a new
 *	                   command, or is lost when it may be sent only once.
 *
 * Whatever goes wrong on the way ends in session recovery: every connection is dropped,
 * what may be repeated goes back to the queue in CmdSN order, and the next login
 * reinstates the session (same ISID, TSIH 0, §6.3.5).
 */
#include "iscsi/internal.h"

#include <stdarg.h>
#include <stdio.h>

#define S_NS UINT64_C(1000000000)

/* ---- back to the queue ------------------------------------------------- */

void session_requeue(struct iscsi_session *s, struct list *back, struct iscsi_task *t)
{
	struct list *at = back->prev;

	task_unsend(t);
	/* Nearly sorted already: look from the end. */
	while (at != back && serial_lt(t->cmdsn, CONTAINER_OF(at, struct iscsi_task, node)->cmdsn))
		at = at->prev;
	list_insert_before(at->next, &t->node);
	s->n_pending++;
}

void session_queue_first(struct iscsi_session *s, struct list *back)
{
	list_splice(back, &s->pending);
	list_splice(&s->pending, back);
}

/* Ends the task, or queues it as a new command. */
static void give_back(struct iscsi_session *s, struct list *back, struct iscsi_task *t)
{
	/* A command that ends every connection it is sent on must not do so for ever. */
	if (task_ends(t) || t->once || ++t->n_losses >= ISCSI_MAX_LOSSES)
		task_finish(t, t->gives_up ? t->ends_as : ISCSI_TASK_LOST);
	else
		session_requeue(s, back, t);
}

/* ---- the end of a session ---------------------------------------------- */

static void drop_logins(struct iscsi_session *s)
{
	struct iscsi_conn *c;

	list_for_each (c, &s->conns, node)
		if (c->state != CONN_DEAD)
			conn_drop(c, "the session is gone");
}

/* The last connection is gone, and nothing is to be recovered. */
static void session_down(struct iscsi_session *s)
{
	struct list back = LIST_INIT(back);
	bool was_up = s->up;

	policy_recall(s, NULL);
	for (unsigned i = 0; i < s->cfg.n_tasks; i++)
		if (s->table[i])
			give_back(s, &back, s->table[i]);
	session_queue_first(s, &back);
	memset(s->loss, 0, sizeof(s->loss));
	s->held |= s->up;
	s->up = false;
	s->tsih = 0;
	s->logging_out = false;
	s->ending = false;
	s->forgiving = false;
	s->doomed = NULL;
	if (was_up)
		drop_logins(s);
}

void session_give_up(struct iscsi_session *s, uint64_t now_ns, const char *fmt, ...)
{
	char why[EVENT_TEXT];
	struct queued_event *q;
	struct iscsi_conn *c;
	va_list ap;

	if (!s->up || s->ending)
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	if (!s->n_up) {
		q = session_event(s, ISCSI_EV_CONN_DOWN, NULL);
		q->ev.last = true;
		snprintf(q->text, sizeof(q->text), "%s", why);
		session_down(s);
		return;
	}
	s->ending = true;
	list_for_each (c, &s->conns, node) {
		if (c->state == CONN_DEAD)
			continue;
		c->now_ns = now_ns;
		conn_drop(c, "%s", why);
	}
}

void session_logged_out(struct iscsi_session *s)
{
	struct iscsi_conn *c;

	list_for_each (c, &s->conns, node) {
		if (c->state == CONN_DEAD)
			continue;
		c->state = CONN_DEAD;
		conn_bury(c);
	}
}

/* ---- losses ------------------------------------------------------------ */

static unsigned n_losses(const struct iscsi_session *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < LOSSES_MAX; i++)
		n += s->loss[i].state != LOSS_NONE;
	return n;
}

static struct loss *free_loss(struct iscsi_session *s)
{
	for (unsigned i = 0; i < LOSSES_MAX; i++)
		if (s->loss[i].state == LOSS_NONE)
			return &s->loss[i];
	return NULL;
}

static bool can_reassign(const struct iscsi_session *s, const struct iscsi_conn *c)
{
	return s->active.ErrorRecoveryLevel == 2 && c->params.DefaultTime2Retain > 0;
}

/* Returns how many there are. */
static unsigned make_orphans(struct iscsi_session *s, struct iscsi_conn *c, uint8_t loss)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->cfg.n_tasks; i++) {
		struct iscsi_task *t = s->table[i];

		if (!t || t->conn != c)
			continue;
		task_orphan(t);
		if (c->garbled)
			snack_distrust(t);
		t->loss = loss;
		n++;
	}
	return n;
}

static bool has_orphans(const struct iscsi_session *s, const struct loss *l)
{
	for (unsigned i = 0; i < s->cfg.n_tasks; i++)
		if (s->table[i] && s->table[i]->state == TASK_ORPHAN &&
		    &s->loss[s->table[i]->loss] == l)
			return true;
	return false;
}

/* Somebody was to tell us about a loss there: ask again elsewhere. */
static void forget_via(struct iscsi_session *s, const struct iscsi_conn *c)
{
	for (unsigned i = 0; i < LOSSES_MAX; i++) {
		struct loss *l = &s->loss[i];

		if (l->state == LOSS_NONE || l->via != c)
			continue;
		l->via = NULL;
		l->task = NULL;
		l->until_ns = c->now_ns + c->params.DefaultTime2Retain * S_NS;
		if (l->state == LOSS_LOGOUT)
			l->state = LOSS_WAITS;
	}
}

/* The target has the commands before ExpCmdSN: what becomes of each orphan? */
static void sort_orphans(struct iscsi_session *s, struct loss *l, bool reassign);

static void note_loss(struct iscsi_session *s, struct iscsi_conn *c, bool clean)
{
	struct loss *l = free_loss(s);

	if (!make_orphans(s, c, l ? (uint8_t)(l - s->loss) : LOSS_OF_ALL))
		return;
	if (!l) {
		s->doomed = "too many lost connections at once";
		return;
	}
	*l = (struct loss){
		.state = LOSS_WAITS,
		.cid = c->cid,
		.reason = can_reassign(s, c) ? LOGOUT_FOR_RECOVERY : LOGOUT_CLOSE_CONNECTION,
		.at_ns = c->now_ns + c->params.DefaultTime2Wait * S_NS,
	};
	l->until_ns = l->at_ns + (can_reassign(s, c) ? c->params.DefaultTime2Retain * S_NS
						     : s->cfg.logout_timeout_ns);
	if (clean)
		sort_orphans(s, l, false);
}

static void doom(struct iscsi_session *s, struct iscsi_conn *c, const char *why)
{
	make_orphans(s, c, LOSS_OF_ALL);
	s->doomed = why;
}

void session_conn_gone(struct iscsi_session *s, struct iscsi_conn *c, bool clean)
{
	tmf_conn_gone(s, c);
	text_conn_gone(s, c);
	policy_recall(s, c);
	if (s->turn == c)
		s->turn = NULL;
	forget_via(s, c);
	if (!c->was_up) {
		if (!s->up)
			session_down(s);
		else if (!s->n_up && c->rx.opcode == PDU_LOGIN_RSP && c->rx.u.login.status_class)
			session_give_up(s, c->now_ns,
					"the target does not take connections any more");
		return;
	}
	c->was_up = false;
	s->n_up--;
	if (s->ending || s->logging_out)
		make_orphans(s, c, LOSS_OF_ALL);
	else if (s->n_up && c->n_plugs && !clean)
		doom(s, c, "a connection went with command numbers that nobody has");
	else if (s->n_up || can_reassign(s, c))
		note_loss(s, c, clean);
	/* A session whose last connection the owner has sent away is over, whatever is left of it.
	 */
	if (!s->n_up &&
	    (!n_losses(s) || s->ending || s->logging_out || c->leaving || !can_reassign(s, c)))
		session_down(s);
}

void session_forget_conn(struct iscsi_session *s, const struct iscsi_conn *c)
{
	for (unsigned i = 0; i < s->n_ring; i++) {
		struct queued_event *q = &s->ring[(s->ring_head + i) % s->n_ring_room];

		if (q->ev.conn == c)
			q->ev.conn = NULL;
	}
}

/* ---- asking the target ------------------------------------------------- */

bool recovery_logs_out(const struct iscsi_session *s, uint16_t cid)
{
	for (unsigned i = 0; i < LOSSES_MAX; i++)
		if (s->loss[i].state == LOSS_LOGOUT && s->loss[i].cid == cid)
			return true;
	return false;
}

/* The CID has a successor already, whose login has ended the lost connection, or will. */
static bool is_replaced(const struct iscsi_session *s, const struct loss *l)
{
	const struct iscsi_conn *c;

	list_for_each (c, &s->conns, node)
		if (c->state != CONN_DEAD && c->cid == l->cid)
			return true;
	return false;
}

/* Where and whether to ask now; NULL: not yet. */
static struct iscsi_conn *asks_over(const struct iscsi_session *s, const struct loss *l)
{
	return l->state == LOSS_WAITS && is_replaced(s, l) ? NULL : session_working_conn(s);
}

static void log_out_lost(struct iscsi_session *s, struct loss *l, struct iscsi_conn *via,
			 uint64_t now_ns)
{
	struct pdu p = {.opcode = PDU_LOGOUT_REQ,
			.immediate = true,
			.final = true,
			.itt = session_next_itt(s),
			.u.logout_req = {.reason = l->reason, .cid = l->cid}};

	l->state = LOSS_LOGOUT;
	l->via = via;
	l->itt = p.itt;
	l->until_ns = now_ns + s->cfg.logout_timeout_ns;
	via->now_ns = now_ns;
	conn_send(via, &p, NULL, 0);
}

/* The number must reach the target, but the command need not. */
static void plug(struct iscsi_session *s, struct iscsi_conn *via, uint32_t cmdsn)
{
	struct pdu p = {.opcode = PDU_NOP_OUT,
			.final = true,
			.itt = session_next_itt(s),
			.ttt = PDU_TAG_NONE,
			.cmdsn = cmdsn};

	via->n_plugs++;
	conn_send(via, &p, NULL, 0);
}

void recovery_retry(struct iscsi_task *t, struct iscsi_conn *via)
{
	struct list *at = via->retries.prev;

	while (at != &via->retries &&
	       serial_lt(t->cmdsn, CONTAINER_OF(at, struct iscsi_task, node)->cmdsn))
		at = at->prev;
	list_insert_before(at->next, &t->node);
	t->gives_up = false;
	t->again = false;
	t->state = TASK_SENT;
	if (t->conn)
		return;
	t->conn = via;
	via->n_tasks++;
}

/* A command that the target does not have. */
static void sort_unknown(struct iscsi_session *s, struct iscsi_task *t, struct iscsi_conn *via)
{
	if (!task_ends(t) && !t->once && ++t->n_losses < ISCSI_MAX_LOSSES) {
		recovery_retry(t, via);
		return;
	}
	plug(s, via, t->cmdsn);
	task_finish(t, t->gives_up ? t->ends_as : ISCSI_TASK_LOST);
}

/* ---- TASK REASSIGN (ErrorRecoveryLevel 2, RFC 7143 §7.2.2, §11.5.6) ------ */

/* The orphan with the lowest CmdSN. */
static struct iscsi_task *next_orphan(struct iscsi_session *s, const struct loss *l)
{
	struct iscsi_task *next = NULL;

	for (unsigned i = 0; i < s->cfg.n_tasks; i++) {
		struct iscsi_task *t = s->table[i];

		if (t && t->state == TASK_ORPHAN && &s->loss[t->loss] == l &&
		    (!next || serial_lt(t->cmdsn, next->cmdsn)))
			next = t;
	}
	return next;
}

/*
 * A read says how far its data is here: what lies behind is discarded. A write says
 * nothing: the target asks for what it lacks by R2T.
 */
static void reassign_next(struct iscsi_session *s, struct loss *l, struct iscsi_conn *via)
{
	struct iscsi_task *t = next_orphan(s, l);
	struct pdu p = {.opcode = PDU_TMF_REQ,
			.immediate = true,
			.final = true,
			.u.tmf_req = {.function = TMF_TASK_REASSIGN}};

	l->state = t ? LOSS_REASSIGN : LOSS_NONE;
	if (!t)
		return;
	/* One that ends every connection it comes to must not do so for ever. */
	if (++t->n_losses >= ISCSI_MAX_LOSSES) {
		session_give_up(s, via->now_ns, "a command has gone with %u connections",
				t->n_losses);
		return;
	}
	snack_cut(t);
	l->via = via;
	l->task = t;
	l->itt = p.itt = session_next_itt(s);
	l->until_ns = via->now_ns + s->cfg.tmf_timeout_ns;
	p.ttt = t->itt;
	if (t->dir == ISCSI_DIR_READ)
		p.u.tmf_req.expdatasn = t->datasn;
	conn_send(via, &p, NULL, 0);
}

static void adopt(struct iscsi_session *s, struct iscsi_task *t, struct iscsi_conn *c)
{
	t->conn = c;
	t->state = TASK_SENT;
	t->reassigned = true;
	c->n_tasks++;
	s->stats.n_reassigned++;
	session_start_clock(s, t, c->now_ns);
}

/* The target does not know it any more. */
static void adopt_not(struct iscsi_session *s, struct iscsi_task *t)
{
	struct list back = LIST_INIT(back);

	give_back(s, &back, t);
	session_queue_first(s, &back);
}

bool recovery_on_tmf(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;
	uint8_t response = c->rx.u.tmf_rsp.response;
	struct iscsi_task *t;
	struct loss *l = NULL;

	for (unsigned i = 0; i < LOSSES_MAX; i++)
		if (s->loss[i].state == LOSS_REASSIGN && s->loss[i].via == c &&
		    s->loss[i].itt == c->rx.itt)
			l = &s->loss[i];
	if (!l)
		return false;
	t = l->task;
	if (response != TMF_RSP_COMPLETE && response != TMF_RSP_NO_TASK &&
	    response != TMF_RSP_NO_LUN) {
		session_give_up(s, c->now_ns, "the target answered TASK REASSIGN with %u",
				response);
		return true;
	}
	if (t && response == TMF_RSP_COMPLETE)
		adopt(s, t, c);
	else if (t)
		adopt_not(s, t);
	reassign_next(s, l, c);
	return true;
}

void recovery_forget_task(struct iscsi_session *s, const struct iscsi_task *t)
{
	for (unsigned i = 0; i < LOSSES_MAX; i++)
		if (s->loss[i].task == t)
			s->loss[i].task = NULL;
}

/* ---- what the Logout Response makes clear ------------------------------- */

static void sort_orphans(struct iscsi_session *s, struct loss *l, bool reassign)
{
	struct iscsi_conn *via = session_working_conn(s);
	struct list back = LIST_INIT(back);
	uint8_t self = (uint8_t)(l - s->loss);

	if (!via)
		return;
	for (unsigned i = 0; i < s->cfg.n_tasks; i++) {
		struct iscsi_task *t = s->table[i];

		if (!t || t->state != TASK_ORPHAN || t->loss != self)
			continue;
		if (!serial_lt(t->cmdsn, s->expcmdsn))
			sort_unknown(s, t, via);
		else if (!reassign)
			give_back(s, &back, t);
	}
	session_queue_first(s, &back);
	if (reassign)
		reassign_next(s, l, via);
	else
		l->state = LOSS_NONE;
}

bool recovery_on_logout(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;
	uint8_t response = c->rx.u.logout_rsp.response;
	struct loss *l = NULL;

	for (unsigned i = 0; i < LOSSES_MAX; i++)
		if (s->loss[i].state == LOSS_LOGOUT && s->loss[i].via == c &&
		    s->loss[i].itt == c->rx.itt)
			l = &s->loss[i];
	if (!l)
		return false;
	if (response == LOGOUT_RSP_NO_RECOVERY && l->reason == LOGOUT_FOR_RECOVERY) {
		l->reason = LOGOUT_CLOSE_CONNECTION;
		log_out_lost(s, l, c, c->now_ns);
	} else if (response > LOGOUT_RSP_NO_CID) {
		session_give_up(s, c->now_ns,
				"the target answered the Logout of a lost connection "
				"with %u",
				response);
	} else {
		sort_orphans(s, l,
			     response == LOGOUT_RSP_CLOSED && l->reason == LOGOUT_FOR_RECOVERY);
	}
	return true;
}

/* ---- a connection comes ------------------------------------------------ */

/* A login with a lost connection's CID has logged that out (§6.3.4). */
static void implicit_logout(struct iscsi_session *s, struct iscsi_conn *c)
{
	for (unsigned i = 0; i < LOSSES_MAX; i++) {
		struct loss *l = &s->loss[i];

		if (l->cid == c->cid && (l->state == LOSS_WAITS || l->state == LOSS_LOGOUT))
			sort_orphans(s, l, l->reason == LOGOUT_FOR_RECOVERY);
	}
}

void session_conn_up(struct iscsi_session *s, struct iscsi_conn *c)
{
	if (c->leading) {
		s->active = c->params;
		s->tsih = c->rx.u.login.tsih;
	}
	s->up = true;
	c->was_up = true;
	s->n_up++;
	if (s->n_up > 1 || s->active.ErrorRecoveryLevel > 0)
		s->forgiving = true;
	if (c->leading)
		return;
	session_window(s, &c->rx);
	implicit_logout(s, c);
	recovery_tick(s, c->now_ns);
}

/* ---- time -------------------------------------------------------------- */

static uint64_t due_ns(const struct iscsi_session *s, const struct loss *l)
{
	if (l->state == LOSS_NONE)
		return ISCSI_NEVER;
	if (l->state == LOSS_WAITS && l->at_ns < l->until_ns && asks_over(s, l))
		return l->at_ns;
	if (l->state == LOSS_REASSIGN && !l->via && session_working_conn(s))
		return 0;
	return l->until_ns;
}

uint64_t recovery_deadline_ns(const struct iscsi_session *s)
{
	uint64_t d = s->doomed ? 0 : ISCSI_NEVER;

	for (unsigned i = 0; i < LOSSES_MAX; i++)
		if (due_ns(s, &s->loss[i]) < d)
			d = due_ns(s, &s->loss[i]);
	return d;
}

static const char *give_up_text(const struct loss *l)
{
	if (!l->via)
		return "connection %u was lost, and no other came in time";
	return l->state == LOSS_LOGOUT ? "no answer to the Logout of lost connection %u"
				       : "no answer to TASK REASSIGN for lost connection %u";
}

static void reassign_again(struct iscsi_session *s, struct loss *l, struct iscsi_conn *via,
			   uint64_t now_ns)
{
	via->now_ns = now_ns;
	reassign_next(s, l, via);
}

static void tick(struct iscsi_session *s, struct loss *l, uint64_t now_ns)
{
	struct iscsi_conn *via = asks_over(s, l);

	if (l->state == LOSS_NONE)
		return;
	/* An answer that is due is waited for, also when nothing depends on it any more. */
	if (!has_orphans(s, l) && (l->state != LOSS_LOGOUT || now_ns >= l->until_ns)) {
		l->state = LOSS_NONE;
		if (!s->n_up && !n_losses(s))
			session_give_up(s, now_ns, "no connection, and nothing left to recover");
		return;
	}
	if (l->state == LOSS_WAITS && via && now_ns >= l->at_ns)
		log_out_lost(s, l, via, now_ns);
	else if (l->state == LOSS_REASSIGN && via && !l->via)
		reassign_again(s, l, via, now_ns);
	else if (now_ns >= l->until_ns)
		session_give_up(s, now_ns, give_up_text(l), l->cid);
}

void recovery_settle(struct iscsi_session *s, uint64_t now_ns)
{
	const char *why = s->doomed;

	s->doomed = NULL;
	if (why)
		session_give_up(s, now_ns, "%s", why);
}

void recovery_tick(struct iscsi_session *s, uint64_t now_ns)
{
	recovery_settle(s, now_ns);
	for (unsigned i = 0; i < LOSSES_MAX; i++)
		tick(s, &s->loss[i], now_ns);
}
