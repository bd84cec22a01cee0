/* SPDX-License-Identifier: MIT */
/*
 * Is a unit still what it was?
 *
 * After a re-login every unit is asked again while all other I/O is held, and
 * compared. The same: it goes on. Another one, or none: the last path to it fences
 * the unit; one of several is only left unused. One that cannot be asked is held
 * by itself, so that the others go on, and is fenced when it stays silent for
 * longer than I/O may be held.
 *
 * A re-login that happens while this one's units are compared starts anew: the
 * initiator is released only if it is still the same login (session->login).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "service/events.h"
#include "service/keeper.h"
#include "service/log.h"

#define FAMILY_WAIT_NS (30 * NS_PER_S)
#define DOUBT_BITS     (1u << LU_EV_INQUIRY_CHANGED | 1u << LU_EV_LUNS_CHANGED | 1u << LU_EV_RESET)

enum probe_verdict probe_judge(const struct lu_info *before, int result, const struct lu_info *now)
{
	if (result == -ENODEV)
		return PROBE_ABSENT;
	if (result)
		return PROBE_UNSURE;
	return lu_info_same_unit(before, now) ? PROBE_SAME : PROBE_OTHER;
}

/* ---- doubt ---------------------------------------------------------------------- */

static void doubt_begin(struct unit *u)
{
	bool fresh;

	pthread_mutex_lock(&u->m->lock);
	fresh = !u->doubtful || u->doubtful_since_ns == 0;
	u->doubtful = true;
	if (fresh)
		u->doubtful_since_ns = clock_now_ns();
	pthread_mutex_unlock(&u->m->lock);
	unit_hold(u, true);
}

struct doubt_call {
	struct unit *u;
	bool ended;
};

static void doubt_end_on_loop(void *arg)
{
	struct doubt_call *c = arg;
	struct unit *u = c->u;

	if (atomic_load(&u->attention) & DOUBT_BITS)
		return;
	pthread_mutex_lock(&u->m->lock);
	u->doubtful = false;
	u->doubtful_since_ns = 0;
	pthread_mutex_unlock(&u->m->lock);
	lu_hold(u->lu, false);
	c->ended = true;
}

/* False when something has raised new doubt since the unit was asked. */
static bool doubt_end(struct unit *u)
{
	struct doubt_call c = {u, false};

	loop_call(u->loop, doubt_end_on_loop, &c);
	return c.ended;
}

static bool is_doubtful(struct unit *u, uint64_t *ret_since_ns)
{
	bool doubtful;

	pthread_mutex_lock(&u->m->lock);
	doubtful = u->doubtful;
	if (doubtful && u->doubtful_since_ns == 0)
		u->doubtful_since_ns = clock_now_ns();
	*ret_since_ns = u->doubtful_since_ns;
	pthread_mutex_unlock(&u->m->lock);
	return doubtful;
}

/* ---- what an answer means; family locked --------------------------------------------- */

static bool has_other_path(const struct unit_path *p)
{
	return unit_n_active(p->unit) > (p->active ? 1 : 0);
}

static void describe_other(const struct lu_info *before, const struct lu_info *now, char *why,
			   size_t n)
{
	char was[100], is[100];

	lu_info_name(before, was, sizeof(was));
	lu_info_name(now, is, sizeof(is));
	if (strcmp(was, is) == 0 && strcmp(before->serial, now->serial) == 0) {
		struct lu_info a = *before, b = *now;

		lu_info_drop_shared(&a, now);
		lu_info_drop_shared(&b, before);
		lu_info_name(&a, was, sizeof(was));
		lu_info_name(&b, is, sizeof(is));
	}
	snprintf(why, n,
		 "the LUN is another unit now: it was %s (serial %.32s), it is %s (serial %.32s)",
		 was[0] ? was : "unnamed", before->serial[0] ? before->serial : "none",
		 is[0] ? is : "unnamed", now->serial[0] ? now->serial : "none");
}

/* Return: as path_judged(). */
static bool path_lost(struct unit_path *p, bool for_good, const char *why)
{
	struct unit *u = p->unit;

	if (has_other_path(p)) {
		log_error("unit %s: the path through %s:%u is not used any more: %s", u->describe,
			  p->session->portal.address, p->session->portal.socket, why);
		unit_path_disown(p);
	} else if (for_good) {
		unit_fence(u, why);
	} else {
		log_error("unit %s: %s", u->describe, why);
		unit_set_state(u, UNIT_GONE, why);
		return doubt_end(u);
	}
	return true;
}

/* False: to be asked again. */
static bool path_unsure(struct unit_path *p, int error, bool relogin)
{
	struct unit *u = p->unit;
	uint64_t since_ns;
	char why[160];

	snprintf(why, sizeof(why), "it cannot be asked who it is: %s", strerror(-error));
	if (has_other_path(p)) {
		path_lost(p, true, why);
		return false;
	}
	if (relogin)
		doubt_begin(u);
	if (!is_doubtful(u, &since_ns))
		return false;
	if (clock_now_ns() - since_ns < p->session->tuning.hold_ns)
		return false;
	unit_fence(u, why);
	return true;
}

static bool path_judged(struct unit_path *p, enum probe_verdict verdict, int error,
			const struct lu_info *now, bool relogin)
{
	struct unit *u = p->unit;
	char why[400];

	switch (verdict) {
	case PROBE_SAME:
		unit_path_activate(p);
		unit_update(u, now);
		return doubt_end(u);
	case PROBE_OTHER:
		describe_other(&u->info, now, why, sizeof(why));
		return path_lost(p, true, why);
	case PROBE_ABSENT: return path_lost(p, relogin, "the target has no such unit any more");
	case PROBE_UNSURE: return path_unsure(p, error, relogin);
	}
	return true;
}

/* ---- the round ----------------------------------------------------------------------------- */

struct login_check {
	struct session *s;
	unsigned login;
	bool same;
};

static void login_get(void *arg)
{
	struct login_check *c = arg;

	c->login = c->s->login;
}

static void login_is(void *arg)
{
	struct login_check *c = arg;

	c->same = !c->s->gone && c->s->login == c->login;
}

static void login_release(void *arg)
{
	struct login_check *c = arg;

	login_is(c);
	if (c->same)
		initiator_release(c->s->initiator);
}

static bool path_asks(struct unit_path *p, bool relogin, unsigned *ret_attention)
{
	struct unit *u = p->unit;
	uint64_t since_ns;

	*ret_attention = 0;
	if (!u->lu || u->state == UNIT_FENCED)
		return false;
	*ret_attention = atomic_exchange(&u->attention, 0);
	return relogin || *ret_attention || is_doubtful(u, &since_ns) || !p->active;
}

enum verified {
	VERIFIED_DONE,
	VERIFIED_UNSURE, /* held by itself, to be asked again */
	VERIFIED_NOT,    /* nothing was decided: nothing may go on */
};

static enum verified path_verify(struct unit_path *p, struct login_check *login, bool relogin)
{
	struct session *s = p->session;
	struct scsi_exec exec = sess_exec(s);
	struct lu_info now;
	unsigned attention;
	bool done;
	int r;

	if (!path_asks(p, relogin, &attention))
		return VERIFIED_DONE;
	r = lu_probe(&now, &exec, p->lun);
	/* what was answered across a re-login is worth nothing; the next round asks again */
	loop_call(s->loop, login_is, login);
	if (!login->same || sess_interrupted(s) || family_lock(s->family, FAMILY_WAIT_NS)) {
		atomic_fetch_or(&p->unit->attention, attention);
		return VERIFIED_NOT;
	}
	done = path_judged(p, probe_judge(&p->unit->info, r, &now), r, &now, relogin);
	family_unlock(s->family);
	if (!done)
		atomic_fetch_or(&p->unit->attention, attention);
	return done ? VERIFIED_DONE : VERIFIED_UNSURE;
}

bool sess_verify(struct session *s, bool relogin)
{
	struct login_check login = {.s = s};
	struct unit_path *p, *tmp;
	enum verified v;
	bool done = true, all = true;

	loop_call(s->loop, login_get, &login);
	list_for_each_safe (p, tmp, &s->paths, in_session) {
		if (sess_interrupted(s))
			return false;
		v = path_verify(p, &login, relogin);
		done = done && v == VERIFIED_DONE;
		all = all && v != VERIFIED_NOT;
	}
	if (!relogin)
		return done;
	if (!all || sess_interrupted(s))
		return false;
	loop_call(s->loop, login_release, &login);
	if (!login.same)
		return true; /* the new login has asked for its own round */
	events_session(s->m->events, EVENT_SESSION_UP, s, NULL, NULL);
	log_info("session %s: is back%s", s->target,
		 done ? "" : "; some units could not be asked yet");
	if (!done)
		sess_want(s, WANT_UNITS);
	return true;
}
