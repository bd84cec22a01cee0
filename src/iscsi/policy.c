/* SPDX-License-Identifier: MIT */
/*
 * Which connection takes the next command
 *
 * One connection takes from the session's queue when it has room. With several, the
 * queue is dealt out first: each command gets its connection by cfg.policy and waits
 * there for the room to be made ready in, without ITT and CmdSN. It gets those when it
 * goes to the wire, so that a connection that is stuck holds up nothing but what was
 * dealt to it, and CmdSN rises on every connection (RFC 7143 §4.2.2.1).
 *
 * Not more is dealt than window and ring can take, so that the policy decides late, by
 * what it knows then.
 */
#include "iscsi/internal.h"

static bool may_take(const struct iscsi_conn *c)
{
	return c->state == CONN_LOGGED_IN && !c->leaving;
}

static bool has_room(const struct iscsi_conn *c)
{
	return c->n_ready + c->n_slots < TX_SLOTS;
}

/* The connections that the policy may choose from: active ones, if there are any. */
static bool is_chosen(const struct iscsi_session *s, const struct iscsi_conn *c, bool any_active)
{
	if (!may_take(c))
		return false;
	return c->active || !any_active || s->cfg.policy == ISCSI_POLICY_ROUND_ROBIN ||
	       s->cfg.policy == ISCSI_POLICY_LEAST_QUEUE || s->cfg.policy == ISCSI_POLICY_WEIGHTED;
}

static bool any_active(struct iscsi_session *s)
{
	const struct iscsi_conn *c;

	list_for_each (c, &s->conns, node)
		if (may_take(c) && c->active)
			return true;
	return false;
}

/* Is @c better than @best? In the order of the list, the first of equals stays. */
static bool is_better(const struct iscsi_session *s, const struct iscsi_conn *c,
		      const struct iscsi_conn *best)
{
	if (s->cfg.policy == ISCSI_POLICY_WEIGHTED)
		return c->weight < best->weight;
	return s->cfg.policy == ISCSI_POLICY_LEAST_QUEUE && c->n_tasks < best->n_tasks;
}

/* The next one with room behind the last that had a turn; it comes last itself. */
static struct iscsi_conn *next_in_turn(struct iscsi_session *s, bool active)
{
	struct iscsi_conn *c, *first = NULL;
	bool passed = !s->turn;

	list_for_each (c, &s->conns, node) {
		if (is_chosen(s, c, active) && has_room(c)) {
			if (passed)
				return c;
			if (!first)
				first = c;
		}
		passed |= c == s->turn;
	}
	return first;
}

static struct iscsi_conn *choose(struct iscsi_session *s)
{
	bool active = any_active(s);
	struct iscsi_conn *c, *best = NULL;

	if (s->cfg.policy == ISCSI_POLICY_ROUND_ROBIN ||
	    s->cfg.policy == ISCSI_POLICY_ROUND_ROBIN_SUBSET)
		return next_in_turn(s, active);
	/* Failover stays with the one it has, also when a better one comes back. */
	if (s->cfg.policy == ISCSI_POLICY_FAILOVER && s->turn && is_chosen(s, s->turn, active))
		return has_room(s->turn) ? s->turn : NULL;
	list_for_each (c, &s->conns, node)
		if (is_chosen(s, c, active) && (!best || is_better(s, c, best)))
			best = c;
	return best && has_room(best) ? best : NULL;
}

static void deal(struct iscsi_session *s)
{
	uint32_t room = s->maxcmdsn - s->cmdsn + 1;
	struct iscsi_conn *c;
	struct iscsi_task *t;

	if (room > s->n_free_itt)
		room = s->n_free_itt;
	list_for_each (c, &s->conns, node)
		room -= c->n_ready < room ? c->n_ready : room;
	for (; room > 0 && (t = session_first(s)) && (c = choose(s)); room--) {
		list_remove(&t->node);
		list_append(&c->ready, &t->node);
		t->state = TASK_READY;
		t->conn = c;
		c->n_ready++;
		c->n_tasks++;
		s->turn = c;
	}
}

struct iscsi_task *policy_next(struct iscsi_session *s, struct iscsi_conn *c)
{
	struct iscsi_task *t = session_first(s);

	if (s->n_up <= 1 && list_empty(&c->ready))
		return c->leaving ? NULL : t;
	if (t && list_empty(&c->ready))
		deal(s);
	if (!s->n_free_itt || !serial_le(s->cmdsn, s->maxcmdsn) || s->logging_out)
		return NULL;
	return list_first(&c->ready, struct iscsi_task, node);
}

/* Back to its place among those that wait: by order of submission. */
static void take_back(struct iscsi_session *s, struct iscsi_task *t)
{
	struct list *at = s->pending.next;

	list_remove(&t->node);
	t->conn->n_ready--;
	t->conn->n_tasks--;
	t->conn = NULL;
	t->state = TASK_PENDING;
	while (at != &s->pending &&
	       serial_lt(CONTAINER_OF(at, struct iscsi_task, node)->seq, t->seq))
		at = at->next;
	list_insert_before(at, &t->node);
}

void policy_recall(struct iscsi_session *s, struct iscsi_conn *c)
{
	struct iscsi_conn *one;
	struct iscsi_task *t;

	list_for_each (one, &s->conns, node)
		while ((!c || c == one) && (t = list_first(&one->ready, struct iscsi_task, node)))
			take_back(s, t);
}
