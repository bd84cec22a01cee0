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
	if (conn_new(&ic, w->s, (uint16_t)slot)) {
		p->connect_ns = w->now_ns + SEC;
		return;
	}
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
	say(w, "owner: connection %u is up", (unsigned)(p - w->place));
	if (w->state != OWNER_LOGIN)
		return;
	w->count.n_reconnects += w->was_up;
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

static void leave(struct world *w, unsigned within_s)
{
	if (w->state != OWNER_UP && w->state != OWNER_VERIFY)
		return;
	w->state = OWNER_LEAVING;
	w->leave_ns = w->now_ns + within_s * SEC / 2;
	session_hold(w->s, true, w->now_ns);
	if (w->hold_until_ns == TGT_NEVER)
		w->hold_until_ns = w->now_ns + w->hold_ns;
}

static void on_down(struct world *w, const struct iscsi_event *ev)
{
	struct place *p = place_of(w, ev->conn);

	say(w, "owner: connection down: %s", ev->text);
	if (!p)
		return;
	let_go(w, p);
	if (n_up(w)) {
		p->connect_ns = w->now_ns + ev->time2wait_s * SEC + 100 * MS;
		return;
	}
	all_down(w, ev->time2wait_s * SEC);
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
	case ISCSI_EV_REDIRECT:
		say(w, "owner: login failed: %04x %s", ev->login_status, ev->text);
		/* fall through */
	case ISCSI_EV_CONN_DOWN:
	case ISCSI_EV_LOGGED_OUT: on_down(w, ev); break;
	case ISCSI_EV_LOGOUT_WANTED: leave(w, ev->time2wait_s); break;
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
	for (unsigned i = 0; i < w->n_conns; i++) {
		struct place *p = &w->place[i];

		/* dead, and its event has gone with an older connection */
		if (p->link && p->link->ic && !conn_alive(p->link->ic)) {
			ev = (struct iscsi_event){
				.kind = ISCSI_EV_CONN_DOWN, .conn = p->link->ic, .text = "dead"};
			on_down(w, &ev);
			any = true;
		}
	}
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
	for (unsigned i = 0; i < MAX_CONNS; i++)
		w->place[i].connect_ns = TGT_NEVER;
	w->place[0].connect_ns = w->now_ns;
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
