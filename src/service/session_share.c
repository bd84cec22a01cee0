/* SPDX-License-Identifier: MIT */
/*
 * A session in several hands
 *
 * Who holds a reference, who may work on it as a whole, and what its keeper is told by
 * others.
 */
#include "service/session.h"

#include <errno.h>
#include <stdlib.h>

#include "service/connections.h"

/* ---- references ---------------------------------------------------------------------- */

static void free_initiator(void *arg)
{
	struct session *s = arg;

	s->initiator = initiator_free(s->initiator);
}

static void sess_free(struct session *s)
{
	/* on its own thread, because the call that told us of the end may not have returned yet */
	if (s->initiator)
		loop_call(s->loop, free_initiator, s);
	if (s->family)
		family_put(s->m, s->family);
	sess_forget_connections(s);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s->mapping);
	free(s);
}

void sess_put(struct session *s)
{
	bool last;

	if (!s)
		return;
	pthread_mutex_lock(&s->m->lock);
	last = --s->n_refs == 0;
	pthread_mutex_unlock(&s->m->lock);
	if (last)
		sess_free(s);
}

void sess_putp(struct session **s)
{
	sess_put(*s);
}

struct session *sess_find(struct manager *m, const struct unique_id *id)
{
	struct session *s, *found = NULL;

	pthread_mutex_lock(&m->lock);
	list_for_each (s, &m->sessions, node) {
		if (s->open && s->id.adapter == id->adapter && s->id.specific == id->specific) {
			found = s;
			found->n_refs++;
			break;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return found;
}

int sess_list_all(struct manager *m, struct session ***ret, size_t *ret_n)
{
	struct session **v, *s;
	size_t n = 0;

	pthread_mutex_lock(&m->lock);
	list_for_each (s, &m->sessions, node)
		n++;
	v = calloc(n ? n : 1, sizeof(struct session *));
	n = 0;
	if (v) {
		list_for_each (s, &m->sessions, node) {
			if (!s->open)
				continue;
			s->n_refs++;
			v[n++] = s;
		}
	}
	pthread_mutex_unlock(&m->lock);
	if (!v)
		return -ENOMEM;
	*ret = v;
	*ret_n = n;
	return 0;
}

void sess_put_all(struct session **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sess_put(v[i]);
	free(v);
}

/* ---- claim, pause ------------------------------------------------------------------------ */

bool sess_claim(struct session *s)
{
	bool got;

	pthread_mutex_lock(&s->m->lock);
	/* one that was ended meanwhile is only still here because of our reference */
	got = s->open && !s->claimed;
	if (got)
		s->claimed = true;
	pthread_mutex_unlock(&s->m->lock);
	return got;
}

void sess_release(struct session *s)
{
	pthread_mutex_lock(&s->m->lock);
	s->claimed = false;
	pthread_mutex_unlock(&s->m->lock);
}

int sess_pause(struct session *s, uint64_t timeout_ns)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	s->paused = true;
	while (s->working && r != -ETIMEDOUT)
		r = cond_wait_until(&s->changed, &s->lock, deadline_ns);
	r = s->working ? -ETIMEDOUT : 0;
	if (r)
		s->paused = false;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return r;
}

void sess_pause_scans(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	s->no_scan = true;
	s->paused = false;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void sess_resume(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	s->paused = false;
	s->no_scan = false;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

bool sess_interrupted(struct session *s)
{
	bool stop;

	pthread_mutex_lock(&s->lock);
	stop = s->paused || s->quit;
	pthread_mutex_unlock(&s->lock);
	return stop;
}

void sess_want(struct session *s, unsigned wants)
{
	pthread_mutex_lock(&s->lock);
	s->wants |= wants;
	s->again_ns = LOOP_NEVER;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

unsigned sess_rescan(struct session *s)
{
	unsigned number;

	pthread_mutex_lock(&s->lock);
	number = ++s->rescans_wanted;
	pthread_mutex_unlock(&s->lock);
	sess_want(s, WANT_RESCAN);
	return number;
}

int sess_rescan_wait(struct session *s, unsigned number, uint64_t deadline_ns)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	while ((int)(s->rescans_done - number) < 0 && !s->quit && !s->closed && r != -ETIMEDOUT)
		r = cond_wait_until(&s->changed, &s->lock, deadline_ns);
	if ((int)(s->rescans_done - number) >= 0)
		r = s->rescan_ok ? 0 : -EIO;
	else if (s->quit || s->closed)
		r = -ENODEV;
	pthread_mutex_unlock(&s->lock);
	return r;
}

struct status_call {
	struct session *s;
	struct initiator_status *ret;
};

static void status_on_loop(void *arg)
{
	struct status_call *c = arg;

	initiator_get_status(c->s->initiator, c->ret);
}

void sess_status(struct session *s, struct initiator_status *ret)
{
	loop_call(s->loop, status_on_loop, &(struct status_call){s, ret});
}
