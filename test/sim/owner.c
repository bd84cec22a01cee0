/* SPDX-License-Identifier: MIT */
/*
 * The engine's owner, in small: what src/initiator does
 *
 * It connects, waits out Time2Wait after a loss and logs in again, asks every unit
 * whether it is there before it lets held commands go, fails them when that takes
 * too long, and leaves when the target asks for it. The first connection leads; when
 * the session takes more of them, the others follow.
 */
#include <string.h>

#include "world.h"

static struct place *place_of(struct world *w, const struct iscsi_conn *ic)
{
	for (unsigned i = 0; i < w->n_conns; i++)
		if (w->place[i].link && ic && w->place[i].link->ic == ic)
			return &w->place[i];
	return NULL;
}

static unsigned n_up(const struct world *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->n_conns; i++)
		n += w->place[i].up;
	return n;
}

static void let_go(struct world *w, struct place *p)
{
	struct link *l = p->link;

	p->link = NULL;
	p->up = false;
	if (!l)
		return;
	conn_free(l->ic);
	link_close(w, l);
}

/* ---- down -------------------------------------------------------------- */

static void all_down(struct world *w, uint64_t wait_ns)
{
	for (unsigned i = 0; i < w->n_conns; i++) {
		let_go(w, &w->place[i]);
		w->place[i].connect_ns = TGT_NEVER;
	}
	if (w->state >= OWNER_CLOSING) {
		w->state = OWNER_CLOSED;
		return;
	}
	for (unsigned i = 0; i < w->n_units; i++)
		if (w->probing[i])
			session_cancel(w->s, &w->probe[i], w->now_ns);
	w->state = OWNER_DOWN;
	w->n_failures = w->n_failures < 6 ? w->n_failures + 1 : 6;
	w->retry_ns = w->now_ns + wait_ns + (100 * MS << w->n_failures);
	w->place[0].connect_ns = w->retry_ns;
	if (w->was_up && w->hold_until_ns == TGT_NEVER)
		w->hold_until_ns = w->now_ns + w->hold_ns;
}

static void hold_over(struct world *w)
{
	w->hold_until_ns = TGT_NEVER;
	say(w, "owner: held too long");
	session_fail_all(w->s, false, w->now_ns);
}

/* ---- up ---------------------------------------------------------------- */

static void connect_one(struct world *w, struct place *p)
{
	struct iscsi_conn *ic;
	unsigned slot = (unsigned)(p - w->place);

	p->connect_ns = TGT_NEVER;
	if (w->now_ns < w->refuse_until_ns) {
		say(w, "owner: connection %u is refused", slot);
		p->connect_ns = w->now_ns + 300 * MS + rng_below(&w->rng, 1000) * MS;
		return;
	}
	/* where there are others, a Logout of the old number may be on its way */
	if (n_up(w) || (w->n_conns > 1 && w->state == OWNER_RECOVER) ||
	    (w->new_cids && rng_below(&w->rng, 4)))
		p->cid = w->next_cid++;
	if (conn_new(&ic, w->s, p->cid)) {
		p->connect_ns = w->now_ns + SEC;
		return;
	}
	conn_set_path(ic, rng_below(&w->rng, 2), rng_below(&w->rng, 3));
	p->link = link_open(w, ic, slot);
	if (!p->link) {
		conn_free(ic);
		return;
	}
	if (slot == 0 && w->state == OWNER_DOWN)
		w->state = OWNER_LOGIN;
	say(w, "owner: connection %u begins", slot);
	conn_start(ic, w->now_ns);
}

static void probe(struct world *w, unsigned i)
{
	struct iscsi_task *t = &w->probe[i];

	memset(t, 0, sizeof(*t)); /* TEST UNIT READY */
	t->lun = (uint64_t)i << 48;
	t->probe = true;
	t->user = NULL;
	w->probing[i] = true;
	w->n_probes++;
	session_submit(w->s, t, w->now_ns);
}

static void others_follow(struct world *w)
{
	unsigned n = session_params(w->s)->MaxConnections;

	for (unsigned i = 1; i < w->n_conns && i < n; i++)
		if (!w->place[i].link)
			w->place[i].connect_ns = w->now_ns + rng_below(&w->rng, 200) * MS;
}

static void released(struct world *w)
{
	w->state = OWNER_UP;
	w->was_up = true;
	w->hold_until_ns = TGT_NEVER;
	w->n_failures = 0;
	session_hold(w->s, false, w->now_ns);
	others_follow(w);
	say(w, "owner: up");
}

static void on_up(struct world *w, struct place *p)
{
	p->up = true;
	say(w, "owner: connection %u is up, cid %u", (unsigned)(p - w->place), p->cid);
	w->fresh = w->state == OWNER_LOGIN;
	if (w->state == OWNER_RECOVER) {
		w->count.n_recoveries++;
		if (w->was_up && !session_is_held(w->s)) {
			w->state = OWNER_UP;
			others_follow(w);
			return;
		}
	} else if (w->state == OWNER_LOGIN) {
		w->count.n_reconnects += w->was_up;
	} else {
		return;
	}
	w->state = OWNER_VERIFY;
	w->n_probe_tries = 0;
	for (unsigned i = 0; i < w->n_units; i++)
		if (!w->probing[i])
			probe(w, i);
}

static void give_up_all(struct world *w)
{
	for (unsigned i = 0; i < w->n_conns; i++)
		if (w->place[i].link && w->place[i].link->ic)
			conn_lost(w->place[i].link->ic, "the units cannot be asked", w->now_ns);
	all_down(w, 0);
}

static void probe_done(struct world *w, struct iscsi_task *t)
{
	unsigned i = (unsigned)(t - w->probe);
	bool good = t->result == ISCSI_TASK_OK && t->status == 0;

	w->probing[i] = false;
	w->n_probes--;
	if (t->result == ISCSI_TASK_OK && t->status == 2 && t->n_sense >= 14 &&
	    t->sense[12] == 0x29 && t->sense[13] == 0)
		w->doubt = true;
	if (w->state != OWNER_VERIFY)
		return;
	if (!good && ++w->n_probe_tries > 20) {
		give_up_all(w);
		return;
	}
	if (!good) {
		probe(w, i);
		return;
	}
	for (unsigned k = 0; k < w->n_units; k++)
		if (w->probing[k])
			return;
	released(w);
}

/* ---- events ------------------------------------------------------------ */

static void leave(struct world *w, struct iscsi_conn *ic, unsigned within_s)
{
	if (n_up(w) > 1 && session_remove_conn(w->s, ic, w->now_ns) == 0) {
		say(w, "owner: takes one connection away, as the target asked");
		return;
	}
	if (w->state != OWNER_UP && w->state != OWNER_VERIFY)
		return;
	w->state = OWNER_LEAVING;
	w->leave_ns = w->now_ns + within_s * SEC / 2;
	session_hold(w->s, true, w->now_ns);
	if (w->hold_until_ns == TGT_NEVER)
		w->hold_until_ns = w->now_ns + w->hold_ns;
}

static uint64_t a_while(struct world *w)
{
	return (50 + rng_below(&w->rng, 400)) * MS;
}

/* The session waits for a connection, not before Time2Wait. */
static void recover(struct world *w, struct place *p, uint64_t wait_ns)
{
	say(w, "owner: the session is to be recovered%s", session_is_held(w->s) ? ", held" : "");
	if (w->state < OWNER_CLOSING)
		w->state = OWNER_RECOVER;
	w->recover_ns = w->now_ns + wait_ns;
	p->connect_ns = w->recover_ns + rng_below(&w->rng, 2) * a_while(w);
}

static void on_down(struct world *w, const struct iscsi_event *ev)
{
	struct place *p = place_of(w, ev->conn);
	uint64_t wait_ns = ev->time2wait_s * SEC;

	say(w, "owner: connection down: %s%s", ev->text, ev->last ? " (last)" : "");
	if (p)
		let_go(w, p);
	if (ev->last && !ev->recover_s) {
		all_down(w, wait_ns);
		return;
	}
	if (!p)
		return;
	if (ev->last)
		recover(w, p, wait_ns);
	else
		p->connect_ns = w->now_ns + rng_below(&w->rng, 2) * wait_ns + a_while(w);
}

static void on_login_failed(struct world *w, const struct iscsi_event *ev)
{
	struct place *p = place_of(w, ev->conn);

	say(w, "owner: login failed: %04x %s", ev->login_status, ev->text);
	if (!p)
		return;
	let_go(w, p);
	if (w->state == OWNER_LOGIN)
		all_down(w, 0);
	else if (w->state >= OWNER_VERIFY)
		p->connect_ns = w->now_ns + a_while(w);
}

static void on_logged_out(struct world *w, const struct iscsi_event *ev)
{
	struct place *p = place_of(w, ev->conn);

	say(w, "owner: logged out%s%s", ev->last ? " (last)" : "",
	    ev->timed_out ? ", in vain" : "");
	if (ev->last) {
		all_down(w, ev->time2wait_s * SEC);
		return;
	}
	if (!p)
		return;
	let_go(w, p);
	p->connect_ns = w->now_ns + a_while(w);
}

static void event(struct world *w, const struct iscsi_event *ev)
{
	struct place *p = place_of(w, ev->conn);

	switch (ev->kind) {
	case ISCSI_EV_TASK_DONE:
		if (ev->task->user)
			load_done(w, ev->task);
		else
			probe_done(w, ev->task);
		break;
	case ISCSI_EV_UP:
		if (p)
			on_up(w, p);
		break;
	case ISCSI_EV_LOGIN_FAILED:
	case ISCSI_EV_REDIRECT: on_login_failed(w, ev); break;
	case ISCSI_EV_CONN_DOWN: on_down(w, ev); break;
	case ISCSI_EV_LOGGED_OUT: on_logged_out(w, ev); break;
	case ISCSI_EV_LOGOUT_WANTED:
		if (p)
			leave(w, ev->conn, ev->time2wait_s);
		break;
	case ISCSI_EV_NOTE: say(w, "engine: %s", ev->text); break;
	case ISCSI_EV_TMF_DONE:
	case ISCSI_EV_TEXT_DONE:
	case ISCSI_EV_SCSI_ASYNC: break;
	}
}

bool owner_events(struct world *w)
{
	struct iscsi_event ev;
	bool any = false;

	while (!w->wrong[0] && session_next_event(w->s, &ev)) {
		any = true;
		event(w, &ev);
	}
	for (unsigned i = 0; i < w->n_conns && !w->wrong[0]; i++)
		if (w->place[i].link && !conn_alive(w->place[i].link->ic))
			wrong(w, "connection %u is dead and no event has said so", i);
	return any;
}

/* ---- time -------------------------------------------------------------- */

static bool leave_now(const struct world *w)
{
	return w->state == OWNER_LEAVING && w->leave_ns != TGT_NEVER &&
	       (w->now_ns >= w->leave_ns || !session_n_sent(w->s));
}

uint64_t owner_due_ns(const struct world *w)
{
	uint64_t due = w->hold_until_ns;

	for (unsigned i = 0; i < w->n_conns; i++)
		if (w->place[i].connect_ns < due)
			due = w->place[i].connect_ns;
	if (w->state == OWNER_LEAVING && w->leave_ns < due)
		due = leave_now(w) ? w->now_ns : w->leave_ns;
	if (w->state == OWNER_CLOSING && w->close_ns < due)
		due = w->close_ns;
	return due;
}

void owner_work(struct world *w)
{
	if (w->hold_until_ns <= w->now_ns)
		hold_over(w);
	if (leave_now(w)) {
		w->leave_ns = TGT_NEVER;
		say(w, "owner: logs out, as the target asked");
		if (session_logout(w->s, w->now_ns))
			all_down(w, 0);
	}
	if (w->state == OWNER_CLOSING && w->close_ns <= w->now_ns)
		all_down(w, 0);
	for (unsigned i = 0; i < w->n_conns; i++)
		if (w->place[i].connect_ns <= w->now_ns)
			connect_one(w, &w->place[i]);
}

void owner_start(struct world *w)
{
	w->state = OWNER_DOWN;
	w->hold_until_ns = TGT_NEVER;
	for (unsigned i = 0; i < MAX_CONNS; i++) {
		w->place[i].connect_ns = TGT_NEVER;
		w->place[i].cid = w->next_cid++;
	}
	w->place[0].connect_ns = w->now_ns;
}

void owner_whim(struct world *w)
{
	struct place *p = &w->place[rng_below(&w->rng, w->n_conns)];
	struct slot *s = &w->slot[rng_below(&w->rng, MAX_DEPTH)];

	if (w->state != OWNER_UP)
		return;
	switch (rng_below(&w->rng, 3)) {
	case 0:
		if (!p->link || session_remove_conn(w->s, p->link->ic, w->now_ns))
			break;
		say(w, "whim: connection %u is taken away", (unsigned)(p - w->place));
		break;
	case 1:
		say(w, "whim: a unit is reset");
		session_lu_reset(w->s, (uint64_t)rng_below(&w->rng, w->n_units) << 48, w->now_ns);
		break;
	case 2:
		if (!s->busy || s->again_ns != TGT_NEVER)
			break;
		say(w, "whim: %u is cancelled", s->op);
		w->op[s->op].cancelled = true;
		session_cancel(w->s, &s->task, w->now_ns);
		break;
	}
}

void owner_close(struct world *w)
{
	w->state = OWNER_CLOSING;
	w->close_ns = w->now_ns + 20 * SEC;
	for (unsigned i = 0; i < w->n_conns; i++)
		w->place[i].connect_ns = TGT_NEVER;
	if (session_logout(w->s, w->now_ns))
		all_down(w, 0);
}
