/* SPDX-License-Identifier: MIT */
#include "service/manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "service/events.h"
#include "service/log.h"
#include "service/nodename.h"
#include "service/security.h"
#include "service/static_target.h"

#define IDS_AT_ONCE  1024
#define HELPER_STACK (512u << 10)

void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
}

int cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t deadline_ns)
{
	struct timespec ts = timespec_of(deadline_ns);

	if (deadline_ns == LOOP_NEVER)
		return -pthread_cond_wait(c, lock);
	return -pthread_cond_timedwait(c, lock, &ts);
}

/* ---- node name ------------------------------------------------------------ */

static int default_name(struct manager *m)
{
	char fresh[ISCSI_NAME_MAX + 1];
	int r = nodename_from_file(NODENAME_FILE, m->default_node_name,
				   sizeof(m->default_node_name));

	if (r == 0)
		return 0;
	if (r != -ENOENT)
		log_warning("%s: no iSCSI name can be taken from it: %s", NODENAME_FILE,
			    strerror(-r));
	nodename_of_machine(fresh, sizeof(fresh));
	return store_default_node_name(m->store, fresh, m->default_node_name);
}

static int names_load(struct manager *m)
{
	int r = default_name(m);

	if (r)
		return r;
	r = store_get_node_name(m->store, m->node_name);
	if (r == -ENOENT) {
		memcpy(m->node_name, m->default_node_name, sizeof(m->node_name));
		r = 0;
	}
	return r;
}

void manager_get_node_name(struct manager *m, char ret[ISCSI_NAME_MAX + 1])
{
	pthread_mutex_lock(&m->lock);
	memcpy(ret, m->node_name, ISCSI_NAME_MAX + 1);
	pthread_mutex_unlock(&m->lock);
}

uint32_t manager_set_node_name(struct manager *m, const char *name, struct refusal *why)
{
	int r;

	if (name && !iscsi_name_valid(name))
		return refuse(
			why, ISDSC_INVALID_ISCSI_NAME,
			"the node name must be an iqn., eui. or naa. name of at most %d bytes",
			ISCSI_NAME_MAX);
	pthread_mutex_lock(&m->kept_lock);
	r = store_set_node_name(m->store, name);
	if (r == 0) {
		pthread_mutex_lock(&m->lock);
		snprintf(m->node_name, sizeof(m->node_name), "%s",
			 name ? name : m->default_node_name);
		pthread_mutex_unlock(&m->lock);
	}
	pthread_mutex_unlock(&m->kept_lock);
	if (r)
		return refuse_errno(why, r, "the node name could not be stored");
	log_info("node name: %s", name ? name : m->default_node_name);
	return 0;
}

/* ---- life -------------------------------------------------------------------- */

static int portals_load(struct manager *m)
{
	struct send_target_portal *v = NULL;
	size_t n = 0;
	int r = store_load_portals(m->store, &v, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct known_portal *k = calloc(1, sizeof(*k));

		if (!k) {
			r = -ENOMEM;
			break;
		}
		k->p = v[i];
		list_append(&m->portals, &k->node);
	}
	if (v)
		explicit_bzero(v, n * sizeof(*v));
	free(v);
	return r;
}

static void target_changed(void *arg, const char *name, bool added)
{
	struct manager *m = arg;

	events_target(m->events, added ? EVENT_TARGET_ADDED : EVENT_TARGET_REMOVED, name);
}

int manager_init(struct manager *m)
{
	int r;

	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->kept_lock, NULL);
	cond_init(&m->changed);
	list_init(&m->portals);
	list_init(&m->sessions);
	list_init(&m->families);
	list_init(&m->units);
	target_table_init(&m->targets);
	m->targets.changed = target_changed;
	m->targets.changed_arg = m;
	m->lock_made = true;
	r = events_new(&m->events);
	if (r == 0)
		r = names_load(m);
	if (r == 0)
		r = security_new(&m->security, m->store);
	if (r == 0)
		r = static_targets_load(m);
	return r ? r : portals_load(m);
}

void manager_clear(struct manager *m)
{
	struct known_portal *k, *tmp;

	list_for_each_safe (k, tmp, &m->portals, node) {
		list_remove(&k->node);
		explicit_bzero(&k->p, sizeof(k->p));
		free(k);
	}
	target_table_clear(&m->targets);
	m->events = events_free(m->events);
	m->security = security_free(m->security);
	pthread_cond_destroy(&m->changed);
	pthread_mutex_destroy(&m->kept_lock);
	pthread_mutex_destroy(&m->lock);
}

int manager_take_id(struct manager *m, uint32_t *ret)
{
	uint32_t first;
	int r;

	pthread_mutex_lock(&m->lock);
	if (m->n_ids > 0) {
		*ret = m->next_id++;
		m->n_ids--;
		pthread_mutex_unlock(&m->lock);
		return 0;
	}
	pthread_mutex_unlock(&m->lock);
	r = store_take_ids(m->store, IDS_AT_ONCE, &first);
	if (r)
		return r;
	pthread_mutex_lock(&m->lock);
	/* another thread may have done the same meanwhile: its numbers are then left unused */
	m->next_id = first + 1;
	m->n_ids = IDS_AT_ONCE - 1;
	pthread_mutex_unlock(&m->lock);
	*ret = first;
	return 0;
}

/* ---- families -------------------------------------------------------------- */

struct family *family_get(struct manager *m, const char *target)
{
	struct family *f, *found = NULL;

	pthread_mutex_lock(&m->lock);
	list_for_each (f, &m->families, node) {
		if (iscsi_name_equal(f->target, target))
			found = f;
	}
	if (!found) {
		found = calloc(1, sizeof(*found));
		if (found) {
			snprintf(found->target, sizeof(found->target), "%s", target);
			found->m = m;
			list_append(&m->families, &found->node);
		}
	}
	if (found)
		found->n_refs++;
	pthread_mutex_unlock(&m->lock);
	return found;
}

void family_put(struct manager *m, struct family *f)
{
	bool last;

	pthread_mutex_lock(&m->lock);
	last = --f->n_refs == 0;
	if (last)
		list_remove(&f->node);
	pthread_mutex_unlock(&m->lock);
	if (last)
		free(f);
}

int family_lock(struct family *f, uint64_t timeout_ns)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;
	struct manager *m = f->m;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	while (f->locked && r != -ETIMEDOUT)
		r = cond_wait_until(&m->changed, &m->lock, deadline_ns);
	r = f->locked ? -ETIMEDOUT : 0;
	if (r == 0)
		f->locked = true;
	pthread_mutex_unlock(&m->lock);
	return r;
}

void family_unlock(struct family *f)
{
	struct manager *m = f->m;

	pthread_mutex_lock(&m->lock);
	f->locked = false;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

/* ---- helpers ------------------------------------------------------------------ */

struct helper {
	struct manager *m;
	void (*fn)(void *arg);
	void *arg;
};

static void *helper_main(void *p)
{
	struct helper *h = p;
	struct manager *m = h->m;

	h->fn(h->arg);
	free(h);
	pthread_mutex_lock(&m->lock);
	m->n_helpers--;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

int manager_helper(struct manager *m, void (*fn)(void *arg), void *arg)
{
	struct helper *h = malloc(sizeof(*h));
	pthread_attr_t attr;
	pthread_t t;
	int r;

	if (!h)
		return -ENOMEM;
	*h = (struct helper){m, fn, arg};
	pthread_mutex_lock(&m->lock);
	m->n_helpers++;
	pthread_mutex_unlock(&m->lock);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, HELPER_STACK);
	r = -pthread_create(&t, &attr, helper_main, h);
	pthread_attr_destroy(&attr);
	if (r) {
		free(h);
		pthread_mutex_lock(&m->lock);
		m->n_helpers--;
		pthread_mutex_unlock(&m->lock);
	}
	return r;
}

bool manager_wait_helpers(struct manager *m, uint64_t timeout_ns)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;
	bool done;

	pthread_mutex_lock(&m->lock);
	while (m->n_helpers > 0 &&
	       cond_wait_until(&m->changed, &m->lock, deadline_ns) != -ETIMEDOUT)
		;
	done = m->n_helpers == 0;
	pthread_mutex_unlock(&m->lock);
	return done;
}

bool manager_stopping(struct manager *m)
{
	bool stopping;

	pthread_mutex_lock(&m->lock);
	stopping = m->stopping;
	pthread_mutex_unlock(&m->lock);
	return stopping;
}

void manager_begin_stop(struct manager *m)
{
	pthread_mutex_lock(&m->lock);
	m->stopping = true;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
}

bool manager_sleep(struct manager *m, uint64_t ns)
{
	uint64_t deadline_ns = clock_now_ns() + ns;
	bool stopping;

	pthread_mutex_lock(&m->lock);
	while (!m->stopping && cond_wait_until(&m->changed, &m->lock, deadline_ns) != -ETIMEDOUT)
		;
	stopping = m->stopping;
	pthread_mutex_unlock(&m->lock);
	return !stopping;
}
