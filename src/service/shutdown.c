/* SPDX-License-Identifier: MIT */
#include "service/shutdown.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/log.h"
#include "service/removal.h"

#define LOOK_NS      (20 * NS_PER_MS)
#define AGAIN_NS     (NS_PER_S / 2)
#define LAST_WAIT_NS (15 * NS_PER_S) /* for flushes under way when the time is over … */
#define HASTEN_NS    (15 * NS_PER_S) /* … and for what is left of them when they were told */
#define FORCE_NS     (90 * NS_PER_S)
#define AT_ONCE_MAX  256u

/* One session on its way out. Those of a thread that does not end stay with it. */
struct exit {
	struct list node; /* exits->list */
	struct exits *of;
	struct session *s; /* a reference */
	uint64_t again_ns;
	bool busy, done; /* manager->lock */
	bool stays;      /* manager->lock: done, since the next service will have it */
	bool seen;       /* in this round's list of sessions */
	char why[600];   /* manager->lock: it is still there, because … */
};

struct exits {
	struct manager *m;
	struct list list;
	unsigned n_busy; /* manager->lock */
	bool (*leave)(struct session *s, char *why, size_t n);
	bool (*may_stay)(struct session *s); /* NULL: none may */
};

static bool leave_safely(struct session *s, char *why, size_t n)
{
	CLEANUP(refusal_clear) struct refusal refusal = {0};
	uint32_t code = sess_logout(s, &refusal);

	if (code == 0 || code == ISDSC_INVALID_SESSION_ID)
		return true;
	snprintf(why, n, "%s", refusal.text);
	return false;
}

static bool leave_by_force(struct session *s, char *why, size_t n)
{
	bool ok = sess_force_out(s);

	snprintf(why, n, "%s", ok ? "" : "it could not be taken away");
	return ok;
}

/* ---- threads ---------------------------------------------------------------------- */

static void exit_run(void *arg)
{
	struct exit *x = arg;
	struct manager *m = x->of->m;
	char why[sizeof(x->why)] = "";
	bool done = x->of->leave(x->s, why, sizeof(why));
	bool stays = !done && x->of->may_stay && x->of->may_stay(x->s);

	if (stays)
		log_info("session %s: left to the next service: %s", x->s->target, why);
	pthread_mutex_lock(&m->lock);
	memcpy(x->why, why, sizeof(x->why));
	x->done = done || stays;
	x->stays = stays;
	x->again_ns = clock_now_ns() + AGAIN_NS;
	x->busy = false;
	x->of->n_busy--;
	pthread_mutex_unlock(&m->lock);
}

static void exit_begin(struct exit *x)
{
	struct exits *e = x->of;
	int r;

	pthread_mutex_lock(&e->m->lock);
	x->busy = true;
	e->n_busy++;
	pthread_mutex_unlock(&e->m->lock);
	r = manager_helper(e->m, exit_run, x);
	if (r == 0)
		return;
	pthread_mutex_lock(&e->m->lock);
	x->busy = false;
	e->n_busy--;
	x->again_ns = clock_now_ns() + AGAIN_NS;
	snprintf(x->why, sizeof(x->why), "no thread for it: %s", strerror(-r));
	pthread_mutex_unlock(&e->m->lock);
}

static bool exit_may_begin(struct exit *x)
{
	struct manager *m = x->of->m;
	bool may;

	pthread_mutex_lock(&m->lock);
	may = !x->busy && !x->done && x->of->n_busy < AT_ONCE_MAX && clock_now_ns() >= x->again_ns;
	pthread_mutex_unlock(&m->lock);
	return may;
}

static unsigned exits_busy(struct exits *e)
{
	unsigned n;

	pthread_mutex_lock(&e->m->lock);
	n = e->n_busy;
	pthread_mutex_unlock(&e->m->lock);
	return n;
}

/* ---- sessions ---------------------------------------------------------------------- */

static struct exit *exit_of(struct exits *e, struct session *s)
{
	struct exit *x;

	list_for_each (x, &e->list, node) {
		if (x->s == s)
			return x;
	}
	return NULL;
}

/* Takes the reference. */
static void exit_add(struct exits *e, struct session *s)
{
	struct exit *x = exit_of(e, s);

	if (!x)
		x = calloc(1, sizeof(*x));
	if (!x) {
		sess_put(s);
		return;
	}
	if (x->s) {
		sess_put(s);
	} else {
		x->of = e;
		x->s = s;
		list_append(&e->list, &x->node);
	}
	x->seen = true;
}

static size_t exits_staying(struct exits *e)
{
	struct exit *x;
	size_t n = 0;

	pthread_mutex_lock(&e->m->lock);
	list_for_each (x, &e->list, node)
		n += x->seen && x->stays;
	pthread_mutex_unlock(&e->m->lock);
	return n;
}

/* Looks which sessions there are. Return: how many must go; those without memory count. */
static size_t exits_look(struct exits *e)
{
	struct session **v;
	struct exit *x;
	size_t n;

	list_for_each (x, &e->list, node)
		x->seen = false;
	if (sess_list_all(e->m, &v, &n))
		return 1;
	for (size_t i = 0; i < n; i++)
		exit_add(e, v[i]);
	free(v);
	return n - exits_staying(e);
}

static void exits_begin(struct exits *e)
{
	struct exit *x;

	list_for_each (x, &e->list, node) {
		if (x->seen && exit_may_begin(x))
			exit_begin(x);
	}
}

static struct exits *exits_new(struct manager *m,
			       bool (*leave)(struct session *s, char *why, size_t n),
			       bool (*may_stay)(struct session *s))
{
	struct exits *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->m = m;
	e->leave = leave;
	e->may_stay = may_stay;
	list_init(&e->list);
	return e;
}

static void exits_free(struct exits *e)
{
	struct exit *x, *tmp;

	if (exits_busy(e))
		return; /* theirs until the process ends */
	list_for_each_safe (x, tmp, &e->list, node) {
		list_remove(&x->node);
		sess_put(x->s);
		free(x);
	}
	free(e);
}

static void pause_until(uint64_t deadline_ns, struct exits *e)
{
	while (exits_busy(e) && clock_now_ns() < deadline_ns)
		usleep(LOOK_NS / 1000);
}

/* ---- logging out ---------------------------------------------------------------------- */

/* Logins under way see that the service stops, and end by themselves. */
static size_t logins_under_way(struct manager *m)
{
	struct session *s;
	size_t n = 0;

	pthread_mutex_lock(&m->lock);
	list_for_each (s, &m->sessions, node)
		n += !s->open;
	pthread_mutex_unlock(&m->lock);
	return n;
}

/* Why the first of those that are still there is. False: nothing is known yet. */
static bool exits_why(struct exits *e, char *why, size_t n)
{
	struct exit *x;
	bool known = false;

	pthread_mutex_lock(&e->m->lock);
	list_for_each (x, &e->list, node) {
		if (x->seen && !x->done && x->why[0]) {
			snprintf(why, n, "%s", x->why);
			known = true;
			break;
		}
	}
	pthread_mutex_unlock(&e->m->lock);
	return known;
}

struct telling {
	char last[600];
	void (*said)(void *arg, const char *text);
	void *arg;
};

static void tell(struct telling *t, struct exits *e, size_t n_left)
{
	char why[sizeof(t->last)];

	if (!exits_why(e, why, sizeof(why)) || strcmp(why, t->last) == 0)
		return;
	memcpy(t->last, why, sizeof(t->last));
	log_warning("stopping: %zu sessions are held up: %s", n_left, why);
	t->said(t->arg, why);
}

static void hasten_all(struct exits *e)
{
	struct exit *x;
	bool busy;

	list_for_each (x, &e->list, node) {
		pthread_mutex_lock(&e->m->lock);
		busy = x->busy;
		pthread_mutex_unlock(&e->m->lock);
		if (!busy)
			continue;
		log_error("session %s: its logout takes too long", x->s->target);
		sess_hasten(x->s);
	}
}

size_t shutdown_sessions(struct manager *m, uint64_t timeout_ns,
			 bool (*may_stay)(struct session *s), bool (*hurry)(void *arg),
			 void (*said)(void *arg, const char *text), void *arg)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;
	struct exits *e = exits_new(m, leave_safely, may_stay);
	struct telling t = {.said = said, .arg = arg};
	size_t n_left;

	if (!e)
		return 1;
	for (;;) {
		n_left = exits_look(e) + logins_under_way(m);
		if (n_left == 0)
			break;
		tell(&t, e, n_left);
		if (hurry(arg) || clock_now_ns() >= deadline_ns)
			break;
		exits_begin(e);
		usleep(LOOK_NS / 1000);
	}
	if (n_left) {
		pause_until(clock_now_ns() + LAST_WAIT_NS, e);
		hasten_all(e);
		pause_until(clock_now_ns() + HASTEN_NS, e);
		n_left = exits_look(e) + logins_under_way(m);
	}
	exits_free(e);
	return n_left;
}

/* ---- by force ---------------------------------------------------------------------------- */

static void exits_let_stay(struct exits *e)
{
	struct exit *x;
	bool stays;

	list_for_each (x, &e->list, node) {
		stays = e->may_stay && e->may_stay(x->s);
		pthread_mutex_lock(&e->m->lock);
		x->stays = x->done = stays;
		pthread_mutex_unlock(&e->m->lock);
	}
}

bool shutdown_force(struct manager *m, bool (*may_stay)(struct session *s))
{
	uint64_t deadline_ns = clock_now_ns() + FORCE_NS;
	struct exits *e = exits_new(m, leave_by_force, may_stay);
	struct exit *x;
	bool begun = true;

	if (!e)
		return false;
	exits_look(e);
	exits_let_stay(e);
	/* each once */
	while (begun && clock_now_ns() < deadline_ns) {
		begun = false;
		list_for_each (x, &e->list, node) {
			if (x->again_ns != 0 || !exit_may_begin(x))
				continue;
			x->again_ns = UINT64_MAX;
			exit_begin(x);
			begun = true;
		}
		pause_until(deadline_ns, e);
	}
	begun = exits_look(e) > 0;
	exits_free(e);
	return !begun;
}
