/* SPDX-License-Identifier: MIT */
/*
 * Removal by force
 *
 * For a session that has to go although its devices are in use: at the end of the service,
 * whose devices cannot outlive it, and when somebody asks for it by name. What there is
 * still to flush gets a bounded time to arrive. Then the devices are fenced, so that nobody goes
 * on writing to what will be gone in a moment, and taken away from whoever has them.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "service/log.h"
#include "service/removal_private.h"
#include "service/volumes.h"

#define FAMILY_WAIT_NS \
	(60 * NS_PER_S) /* sessions to one target are forced out one after the other */
#define FLUSH_S  15
#define FENCED_S 3 /* for commands to come back from a target that lives */
#define CLOSED_S 30
#define FLUSHERS 32u

/* ---- the last flush ---------------------------------------------------------------- */

/* Units of one session, flushed by a few threads; whoever comes last frees it. */
struct flushes {
	struct removal *rm;
	bool up;
	atomic_uint next; /* unit that nobody has begun with */
	atomic_uint n_refs;
	atomic_bool *over; /* of each unit */
	sem_t done;        /* posted by each thread at its end */
};

static void flushes_put(struct flushes *f)
{
	if (atomic_fetch_sub(&f->n_refs, 1) > 1)
		return;
	sem_destroy(&f->done);
	free(f->over);
	free(f);
}

static void flush_last(struct leaving *l, bool up)
{
	CLEANUP(refusal_clear) struct refusal why = {0};
	struct unit *u = l->u;
	char text[400];

	if (!u->dev)
		return;
	u->backend->holders(u->dev, &why.holders);
	for (size_t i = 0; i < why.holders.n; i++) {
		holder_text(&why.holders.v[i], text, sizeof(text));
		log_error("unit %s: cut off although in use: %s", u->describe, text);
	}
	/* the file systems first: their data has not even come to the device yet */
	if (up && removal_can_flush(u))
		volumes_sync(&why.holders);
	if (removal_flush(l, up, &why))
		log_error("unit %s: %s", u->describe, why.text);
}

static void flusher(void *arg)
{
	struct flushes *f = arg;
	unsigned i;

	while ((i = atomic_fetch_add(&f->next, 1)) < f->rm->n) {
		flush_last(&f->rm->v[i], f->up);
		atomic_store(&f->over[i], true);
	}
	sem_post(&f->done);
	flushes_put(f);
}

static bool wait_for(struct flushes *f, unsigned *n_running, time_t seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	while (*n_running > 0) {
		if (sem_clockwait(&f->done, CLOCK_MONOTONIC, &until) == 0)
			(*n_running)--;
		else if (errno == ETIMEDOUT)
			return false;
	}
	return true;
}

static struct flushes *flushes_new(struct removal *rm, bool up)
{
	struct flushes *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->over = calloc(rm->n ? rm->n : 1, sizeof(*f->over));
	if (!f->over) {
		free(f);
		return NULL;
	}
	f->rm = rm;
	f->up = up;
	atomic_init(&f->n_refs, 1);
	sem_init(&f->done, 0, 0);
	return f;
}

static void fence_what_is_not_over(struct flushes *f)
{
	for (size_t i = 0; i < f->rm->n; i++) {
		struct unit *u = f->rm->v[i].u;

		if (u->lu && !atomic_load(&f->over[i]))
			unit_fence(u, "it could not be flushed in time before it was taken away by "
				      "force");
	}
}

static void close_on_loop(void *arg)
{
	struct session *s = arg;

	initiator_close(s->initiator);
}

/* A target that does not answer is not asked to give commands back one by one. */
static void abandon(struct session *s)
{
	log_error("session %s: the target does not answer; its connections are closed", s->target);
	loop_call(s->loop, close_on_loop, s);
}

/*
 * What has not come to an end by its bound fails, and comes to one. False: it does not,
 * and @rm has to stay for it.
 */
static bool flush_in_time(struct removal *rm, bool up)
{
	struct flushes *f = flushes_new(rm, up);
	unsigned n = 0;
	bool over;

	while (f && n < FLUSHERS && n < rm->n) {
		atomic_fetch_add(&f->n_refs, 1);
		if (manager_helper(rm->s->m, flusher, f)) {
			atomic_fetch_sub(&f->n_refs, 1);
			break;
		}
		n++;
	}
	if (!f || (n == 0 && rm->n > 0)) {
		log_error("session %s: not flushed: no thread for it", rm->s->target);
		if (f)
			flushes_put(f);
		return true;
	}
	over = wait_for(f, &n, FLUSH_S);
	if (!over) {
		fence_what_is_not_over(f);
		over = wait_for(f, &n, FENCED_S);
	}
	if (!over) {
		abandon(rm->s);
		over = wait_for(f, &n, CLOSED_S);
	}
	flushes_put(f);
	return over;
}

/* ---- taking away ------------------------------------------------------------------------ */

static bool take(struct leaving *l, const char *reason)
{
	struct unit *u = l->u;
	int r;

	if (!u->dev || l->shared) /* the other sessions have it still */
		return true;
	r = u->backend->close_gate(u->dev);
	if (r && r != -EBUSY)
		log_warning("unit %s: gate: %s", u->describe, strerror(-r));
	/* nobody may go on writing to what will be gone in a moment */
	if (u->state != UNIT_FENCED)
		unit_fence(u, reason);
	r = u->backend->stop(u->dev, true, STOP_MS);
	if (r) {
		log_error("unit %s: %s could not be taken away: %s", u->describe,
			  u->backend->path(u->dev), strerror(-r));
		return false;
	}
	l->stopped = true;
	l->unflushed = false;
	return true;
}

/* What was taken away is not there any more, though its session stays. */
static void forget_stopped(struct removal *rm, const char *reason)
{
	for (size_t i = 0; i < rm->n; i++) {
		if (!rm->v[i].stopped)
			continue;
		unit_dev_gone(rm->v[i].u);
		unit_set_state(rm->v[i].u, UNIT_FENCED, reason);
	}
}

enum taken {
	TAKEN_ALL,
	TAKEN_NOT_ALL,
	TAKEN_STUCK, /* a flush has no end: nobody may touch the session's units again */
};

/* Claimed, paused, family locked. */
static enum taken take_all(struct session *s, const char *reason)
{
	struct removal *rm = calloc(1, sizeof(*rm));
	bool up = sess_is_up(s), ok = true;

	if (!rm || removal_list(rm, s)) {
		free(rm);
		return TAKEN_NOT_ALL;
	}
	if (!flush_in_time(rm, up)) {
		log_error("session %s: a flush does not come to its end", s->target);
		return TAKEN_STUCK; /* and uses @rm */
	}
	for (size_t i = 0; i < rm->n; i++)
		ok = take(&rm->v[i], reason) && ok;
	if (ok)
		removal_drop(rm);
	else
		forget_stopped(rm, reason);
	free(rm->v);
	free(rm);
	return ok ? TAKEN_ALL : TAKEN_NOT_ALL;
}

bool sess_force_out(struct session *s)
{
	bool ok;

	/* nobody else is left who could have it; and if so, the process ends anyway */
	if (!sess_claim(s) || sess_pause(s, PAUSE_NS) || family_lock(s->family, FAMILY_WAIT_NS))
		return false;
	ok = take_all(s, "the service ended") == TAKEN_ALL;
	family_unlock(s->family);
	if (ok)
		sess_end(s);
	return ok;
}

/* ---- by name ------------------------------------------------------------------------------ */

static bool can_be_forced(uint32_t code)
{
	return code == ISDSC_DEVICE_BUSY_ON_SESSION || code == ISDSC_SCSI_REQUEST_FAILED ||
	       code == ISDSC_NO_CONNECTION_AVAILABLE;
}

/* Pages of any process may be in it, and without them the machine goes down. */
static const struct holder *find_swap(const struct holders *h)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->v[i].kind == HOLDER_SWAP)
			return &h->v[i];
	}
	return NULL;
}

static uint32_t force_claimed(struct session *s, struct refusal *why)
{
	enum taken taken;

	if (sess_pause(s, PAUSE_NS)) {
		sess_release(s);
		return refuse(why, ISDSC_SESSION_BUSY, "the session's units are being looked at");
	}
	if (family_lock(s->family, FAMILY_WAIT_NS)) {
		sess_resume(s);
		sess_release(s);
		return refuse(why, ISDSC_SESSION_BUSY, "another session to %s is being changed",
			      s->target);
	}
	taken = take_all(s, "it was taken away by force");
	family_unlock(s->family);
	if (taken == TAKEN_ALL) {
		sess_end(s);
		return 0;
	}
	if (taken == TAKEN_NOT_ALL) {
		sess_resume(s);
		sess_release(s);
	}
	return refuse(why, ISDSC_DEVICE_BUSY_ON_SESSION,
		      "a device could not be taken away even by force; its I/O fails now, and the "
		      "log says more");
}

uint32_t sess_force_logout(struct session *s, struct refusal *why)
{
	uint32_t code = sess_logout(s, why);

	if (!can_be_forced(code))
		return code;
	if (find_swap(&why->holders))
		return refuse(why, code, "%s: swap is not taken away even by force; use swapoff",
			      find_swap(&why->holders)->device);
	if (!sess_claim(s))
		return refuse(why, ISDSC_SESSION_BUSY,
			      "the session is being logged out by another call");
	log_warning("session %s: logged out by force, although: %s", s->target, why->text);
	holders_clear(&why->holders);
	return force_claimed(s, why);
}

/* ---- in the end ----------------------------------------------------------------------------- */

void sess_hasten(struct session *s)
{
	struct unit_path *p;

	/* who has it is past flushing, and bounded by himself */
	if (family_lock(s->family, NS_PER_S))
		return;
	list_for_each (p, &s->paths, in_session) {
		if (p->unit->lu && p->unit->state != UNIT_FENCED)
			unit_fence(p->unit,
				   "it could not be flushed before the service had to end");
	}
	family_unlock(s->family);
	abandon(s);
}
