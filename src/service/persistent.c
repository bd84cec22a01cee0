/* SPDX-License-Identifier: MIT */
/*
 * Persistent logins
 *
 * One thread keeps the time and hands what is due to at most WORKERS_MAX others, which end
 * when nothing is due. Only the number of the row is kept in memory: the login is read from
 * the store for each attempt, so secrets do not lie about for hours, and what was stored
 * anew meanwhile is what is tried.
 */
#include "service/persistent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "service/log.h"
#include "service/session.h"

#define WORKERS_MAX    32
#define NO_THREAD_NS   NS_PER_S
#define DISCOVERING_NS (2 * NS_PER_S)

struct entry {
	struct list node;
	struct persistent *p;
	int64_t row;
	char target[ISCSI_NAME_MAX + 1];
	bool running, removed;
	unsigned n_failures;
	uint32_t code; /* of the last attempt */
	uint64_t due_ns;
};

struct persistent {
	struct manager *m;
	/* manager->lock */
	struct list entries; /* struct entry: what is still to be carried out */
	unsigned n_workers;
	bool discovered;
};

uint64_t persistent_delay_ns(const struct tuning *t, unsigned n)
{
	uint64_t delay = t->retry_min_ns;

	while (--n > 0 && delay < t->retry_max_ns)
		delay *= 2;
	return delay < t->retry_max_ns ? delay : t->retry_max_ns;
}

/* Many that failed together shall not come back together: up to a quarter sooner. */
static uint64_t jittered(uint64_t delay_ns)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		return delay_ns;
	return delay_ns - delay_ns / 4 / UINT16_MAX * (random & UINT16_MAX);
}

/* ---- one attempt ------------------------------------------------------------------ */

/* What a person has to do, where trying again will not help. */
static const char *advice(uint32_t code)
{
	switch (code) {
	case ISDSC_AUTHENTICATION_FAILURE:
	case ISDSC_AUTHORIZATION_FAILURE:
	case ISDSC_INVALID_TARGET_CHAP_SECRET:
	case ISDSC_SHORT_CHAP_SECRET:
		return "; store the login again with the CHAP name and secret that the target "
		       "asks for";
	case ISDSC_INVALID_INITIATOR_CHAP_SECRET:
		return "; set the initiator's CHAP secret to what the target has for us";
	case ISDSC_NOT_FOUND:
	case ISDSC_TARGET_REMOVED: return "; remove the login if the target is gone for good";
	default: return "";
	}
}

static bool is_final(uint32_t code)
{
	return code == ISDSC_REQUEST_NOT_SUPPORTED || code == ISDSC_IPSEC_NOT_SUPPORTED_ON_OS;
}

static void say_failure(const struct entry *e, const struct refusal *why)
{
	if (is_final(why->code))
		log_error("stored login to %s: %s; it is not tried again", e->target, why->text);
	else
		log_warning("stored login to %s: %s; it is tried again%s", e->target, why->text,
			    advice(why->code));
}

/* A target that a portal has still to tell of is nothing to worry anybody with. */
static bool is_early(const struct persistent *p, uint32_t code)
{
	return code == ISDSC_NO_PORTAL_SPECIFIED && !p->discovered;
}

/* manager->lock. Return: it is to be tried again. */
static bool entry_goes_on(struct entry *e, uint32_t code)
{
	struct persistent *p = e->p;
	struct tuning t;

	if (code == 0 || code == ISDSC_TARGET_ALREADY_LOGGED_IN || e->removed || is_final(code))
		return false;
	if (is_early(p, code)) {
		e->due_ns = clock_now_ns() + DISCOVERING_NS;
		return true;
	}
	config_tuning(p->m->config, e->target, &t);
	e->code = code;
	e->n_failures++;
	e->due_ns = clock_now_ns() + jittered(persistent_delay_ns(&t, e->n_failures));
	return true;
}

static void entry_say(const struct entry *e, const struct refusal *why, bool was_tried,
		      uint32_t last)
{
	if (why->code == 0 && was_tried)
		log_info("stored login to %s: carried out after all", e->target);
	else if (why->code == ISDSC_TARGET_ALREADY_LOGGED_IN)
		log_info("stored login to %s: there is a session already", e->target);
	else if (why->code && why->code != last)
		say_failure(e, why);
}

static void entry_finish(struct entry *e, const struct refusal *why)
{
	struct manager *m = e->p->m;
	bool was_tried = e->n_failures > 0, goes_on, quiet;
	uint32_t last = e->code;

	pthread_mutex_lock(&m->lock);
	quiet = m->stopping || e->removed || is_early(e->p, why->code);
	goes_on = entry_goes_on(e, why->code);
	pthread_mutex_unlock(&m->lock);
	if (!quiet)
		entry_say(e, why, was_tried, last);
	pthread_mutex_lock(&m->lock);
	e->running = false;
	if (!goes_on || e->removed) {
		list_remove(&e->node);
		free(e);
	}
	/* it may be due before what the timekeeper waits for */
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

static void entry_try(struct entry *e)
{
	struct manager *m = e->p->m;
	CLEANUP(refusal_clear) struct refusal why = {0};
	struct kept_login *l = calloc(1, sizeof(*l));
	struct session *s = NULL;
	int r = l ? store_load_login(m->store, e->row, l) : -ENOMEM;

	if (r == -ENOENT) {
		pthread_mutex_lock(&m->lock);
		e->removed = true;
		pthread_mutex_unlock(&m->lock);
		why.code = ISDSC_TARGET_NOT_FOUND;
	} else if (r) {
		refuse_errno(&why, r, "it cannot be read");
	} else {
		why.code = sess_open(&s, m, l, true, &why);
	}
	sess_put(s);
	if (l)
		explicit_bzero(l, sizeof(*l));
	free(l);
	entry_finish(e, &why);
}

/* ---- who does it when ---------------------------------------------------------------- */

/* manager->lock. The one that is due first, or NULL. */
static struct entry *entry_next(struct persistent *p)
{
	struct entry *e, *next = NULL;

	list_for_each (e, &p->entries, node) {
		if (!e->running && (!next || e->due_ns < next->due_ns))
			next = e;
	}
	return next;
}

/* manager->lock. One that is due now, taken; or NULL. */
static struct entry *entry_take(struct persistent *p)
{
	struct entry *e = entry_next(p);

	if (!e || p->m->stopping || e->due_ns > clock_now_ns())
		return NULL;
	e->running = true;
	return e;
}

static void worker(void *arg)
{
	struct entry *e = arg;
	struct persistent *p = e->p;
	struct manager *m = p->m;

	while (e) {
		entry_try(e);
		pthread_mutex_lock(&m->lock);
		e = entry_take(p);
		if (!e) {
			p->n_workers--;
			pthread_cond_broadcast(&m->changed);
		}
		pthread_mutex_unlock(&m->lock);
	}
}

/* manager->lock, which is let go of. */
static void worker_start(struct persistent *p, struct entry *e)
{
	struct manager *m = p->m;
	int r;

	p->n_workers++;
	pthread_mutex_unlock(&m->lock);
	r = manager_helper(m, worker, e);
	pthread_mutex_lock(&m->lock);
	if (r == 0)
		return;
	p->n_workers--;
	e->running = false;
	e->due_ns = clock_now_ns() + NO_THREAD_NS;
}

static void timekeeper(void *arg)
{
	struct persistent *p = arg;
	struct manager *m = p->m;
	struct entry *e;

	pthread_mutex_lock(&m->lock);
	while (!m->stopping && !list_empty(&p->entries)) {
		e = p->n_workers < WORKERS_MAX ? entry_take(p) : NULL;
		if (e) {
			worker_start(p, e);
			continue;
		}
		e = p->n_workers < WORKERS_MAX ? entry_next(p) : NULL;
		cond_wait_until(&m->changed, &m->lock, e ? e->due_ns : LOOP_NEVER);
	}
	pthread_mutex_unlock(&m->lock);
}

/* ---- the whole ---------------------------------------------------------------------------- */

static int entry_add(void *arg, const struct kept_login *l)
{
	struct persistent *p = arg;
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	*e = (struct entry){.p = p, .row = l->row};
	memcpy(e->target, l->target, sizeof(e->target));
	list_append(&p->entries, &e->node);
	return 0;
}

struct persistent *persistent_free(struct persistent *p)
{
	struct entry *e, *tmp;

	if (!p)
		return NULL;
	list_for_each_safe (e, tmp, &p->entries, node)
		free(e);
	free(p);
	return NULL;
}

int persistent_start(struct manager *m)
{
	struct persistent *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->m = m;
	list_init(&p->entries);
	r = store_each_login(m->store, entry_add, p);
	if (r) {
		persistent_free(p);
		return r;
	}
	pthread_mutex_lock(&m->lock);
	m->persistent = p;
	pthread_mutex_unlock(&m->lock);
	return manager_helper(m, timekeeper, p);
}

void persistent_discovered(struct manager *m)
{
	struct entry *e;

	pthread_mutex_lock(&m->lock);
	if (m->persistent) {
		m->persistent->discovered = true;
		list_for_each (e, &m->persistent->entries, node) {
			if (e->n_failures == 0)
				e->due_ns = 0;
		}
		pthread_cond_broadcast(&m->changed);
	}
	pthread_mutex_unlock(&m->lock);
}

/* One that is being tried ends after the attempt, the others here. */
static void entries_forget(struct manager *m, const int64_t *rows, size_t n)
{
	struct entry *e, *tmp;

	pthread_mutex_lock(&m->lock);
	if (!m->persistent) {
		pthread_mutex_unlock(&m->lock);
		return;
	}
	list_for_each_safe (e, tmp, &m->persistent->entries, node) {
		for (size_t i = 0; i < n && !e->removed; i++)
			e->removed = e->row == rows[i];
		if (!e->removed || e->running)
			continue;
		list_remove(&e->node);
		free(e);
	}
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

uint32_t persistent_remove(struct manager *m, const struct login_match *match, struct refusal *why)
{
	CLEANUP(freep) int64_t *rows = NULL;
	size_t n = 0;
	int r = store_delete_logins(m->store, match, &rows, &n);

	if (r == -ENOENT)
		return refuse(why, ISDSC_TARGET_NOT_FOUND, "no login to %s%s is stored",
			      match->target,
			      match->has_portal || match->instance[0] || match->port != ANY_PORT
				      ? " as described"
				      : "");
	if (r)
		return refuse(why, ISDSC_COULD_NOT_REMOVE_PERSISTENT_LOGIN_DATA,
			      "the login could not be removed: %s", strerror(-r));
	entries_forget(m, rows, n);
	log_info("login to %s: no longer stored%s", match->target, n > 1 ? " (several)" : "");
	return 0;
}
