/* SPDX-License-Identifier: MIT */
#include "service/removal_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/log.h"

#define FAMILY_WAIT_NS    (20 * NS_PER_S)
#define UP_WAIT_NS        (3 * NS_PER_S)
#define STOP_UNFLUSHED_MS 3000 /* it can only wait for a target that does not answer */
#define DRAIN_WAIT_NS     (5 * NS_PER_S)
#define PASSER_BY_NS      (400 * NS_PER_MS)

/* ---- which units ----------------------------------------------------------------- */

bool sess_is_up(struct session *s)
{
	struct initiator_status st;

	sess_status(s, &st);
	return st.state == INITIATOR_UP;
}

enum others {
	OTHERS_NONE,
	OTHERS_USELESS, /* paths of other sessions, none of which works at the moment */
	OTHERS_SERVE,
};

static enum others other_paths(const struct unit *u, const struct session *s)
{
	enum others o = OTHERS_NONE;
	const struct unit_path *p;

	list_for_each (p, &u->paths, in_unit) {
		if (p->session == s)
			continue;
		if (p->active && sess_is_up(p->session))
			return OTHERS_SERVE;
		o = OTHERS_USELESS;
	}
	return o;
}

static bool is_listed(const struct removal *rm, const struct unit *u)
{
	for (size_t i = 0; i < rm->n; i++) {
		if (rm->v[i].u == u)
			return true;
	}
	return false;
}

int removal_list(struct removal *rm, struct session *s)
{
	struct unit_path *p;
	size_t n = 0;

	*rm = (struct removal){.s = s};
	list_for_each (p, &s->paths, in_session)
		n++;
	rm->v = calloc(n ? n : 1, sizeof(*rm->v));
	if (!rm->v)
		return -ENOMEM;
	list_for_each (p, &s->paths, in_session) {
		enum others o = other_paths(p->unit, s);

		if (o != OTHERS_SERVE && !is_listed(rm, p->unit))
			rm->v[rm->n++] = (struct leaving){.u = p->unit, .shared = o != OTHERS_NONE};
	}
	return 0;
}

/*
 * The family's lock was let go meanwhile: are these still the units to go, and those that stay
 * still served? The session that was to serve one may have been logged out at the same time.
 */
static bool list_holds(const struct removal *rm)
{
	const struct unit_path *p;

	list_for_each (p, &rm->s->paths, in_session) {
		if (!is_listed(rm, p->unit) && other_paths(p->unit, rm->s) != OTHERS_SERVE)
			return false;
	}
	for (size_t i = 0; i < rm->n; i++) {
		enum others o = other_paths(rm->v[i].u, rm->s);

		if (o == OTHERS_SERVE || (o == OTHERS_USELESS) != rm->v[i].shared)
			return false;
	}
	return true;
}

/* ---- the steps ---------------------------------------------------------------------- */

static uint32_t refuse_held(struct removal *rm, struct refusal *why)
{
	/* at the end of the service this is tried again and again, and told by the one who does */
	enum log_level level = manager_stopping(rm->s->m) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
	char text[400];

	if (why->holders.n == 0)
		return refuse(why, ISDSC_DEVICE_BUSY_ON_SESSION,
			      "a device of the session is in use; nothing was changed");
	for (size_t i = 0; i < why->holders.n; i++) {
		holder_text(&why->holders.v[i], text, sizeof(text));
		log_line(level, "session %s: not logged out: %s", rm->s->target, text);
	}
	holder_text(&why->holders.v[0], text, sizeof(text));
	if (why->holders.n == 1)
		return refuse(why, ISDSC_DEVICE_BUSY_ON_SESSION, "%s", text);
	return refuse(why, ISDSC_DEVICE_BUSY_ON_SESSION, "%s, and %zu more", text,
		      why->holders.n - 1);
}

static uint32_t close_gates(struct removal *rm, struct refusal *why)
{
	for (size_t i = 0; i < rm->n; i++) {
		struct unit *u = rm->v[i].u;
		int r;

		if (!u->dev)
			continue;
		r = u->backend->close_gate(u->dev);
		if (r) {
			if (r != -EBUSY)
				return refuse_errno(why, r,
						    "a device could not be closed to new users");
			u->backend->holders(u->dev, &why->holders);
			return refuse_held(rm, why);
		}
		rm->v[i].gate_closed = true;
	}
	return 0;
}

static uint32_t scan_holders(struct removal *rm, struct refusal *why)
{
	for (size_t i = 0; i < rm->n; i++) {
		struct unit *u = rm->v[i].u;
		int r = u->dev ? u->backend->holders(u->dev, &why->holders) : 0;

		if (r)
			return refuse(why, ISDSC_DEVICE_BUSY_ON_SESSION,
				      "it cannot be told whether %s is in use: %s",
				      u->backend->path(u->dev), strerror(-r));
	}
	return 0;
}

static bool only_open(const struct holders *h)
{
	for (size_t i = 0; i < h->n; i++) {
		if (h->v[i].kind != HOLDER_OPEN)
			return false;
	}
	return true;
}

/*
 * Whoever looks at every disk of the machine (udev, lsblk, losetup) has ours open for a
 * moment; with the gate closed a moment later it is not open any more.
 */
static uint32_t look_for_holders(struct removal *rm, struct refusal *why)
{
	uint64_t deadline_ns = clock_now_ns() + PASSER_BY_NS;
	uint32_t code;

	for (;;) {
		code = scan_holders(rm, why);
		if (code || why->holders.n == 0)
			return code;
		if (!only_open(&why->holders) || clock_now_ns() >= deadline_ns)
			return refuse_held(rm, why);
		holders_clear(&why->holders);
		usleep(20000);
	}
}

/* Without the family's lock: paths of other sessions come and go meanwhile. */
bool removal_can_flush(const struct unit *u)
{
	bool ready;

	pthread_mutex_lock(&u->m->lock);
	ready = u->lu && u->state == UNIT_READY && unit_n_active(u) > 0;
	pthread_mutex_unlock(&u->m->lock);
	return ready && !lu_is_fenced(u->lu, NULL, 0);
}

uint32_t removal_flush(struct leaving *l, bool up, struct refusal *why)
{
	struct unit *u = l->u;
	int r;

	l->unflushed = !up || !removal_can_flush(u);
	if (!removal_can_flush(u))
		return 0;
	if (!up) {
		unsigned n = unit_n_inflight(u);

		if (n)
			return refuse(why, ISDSC_NO_CONNECTION_AVAILABLE,
				      "the target cannot be reached, and %u requests for %s wait "
				      "for it; nothing was changed",
				      n, u->backend->path(u->dev));
		return 0;
	}
	r = u->backend->flush(u->dev);
	if (r == 0 && u->info.limits.write_cache)
		r = unit_sync(u);
	if (r)
		return refuse(why, ISDSC_SCSI_REQUEST_FAILED,
			      "%s could not be flushed: %s; nothing was changed",
			      u->backend->path(u->dev), strerror(-r));
	return 0;
}

static uint32_t flush_all(struct removal *rm, struct refusal *why)
{
	bool up = sess_is_up(rm->s);
	uint32_t code = 0;

	for (size_t i = 0; code == 0 && i < rm->n; i++) {
		if (rm->v[i].u->dev)
			code = removal_flush(&rm->v[i], up, why);
	}
	return code;
}

static uint32_t stop_all(struct removal *rm, struct refusal *why)
{
	for (size_t i = 0; i < rm->n; i++) {
		struct unit *u = rm->v[i].u;
		int r;

		if (!u->dev || rm->v[i].shared)
			continue;
		r = u->backend->stop(u->dev, rm->v[i].unflushed,
				     rm->v[i].unflushed ? STOP_UNFLUSHED_MS : STOP_MS);
		rm->v[i].stopped = r == 0;
		if (r == 0)
			continue;
		u->backend->holders(u->dev, &why->holders);
		if (r == -EBUSY || why->holders.n)
			return refuse_held(rm, why);
		return refuse(why, ISDSC_DEVICE_BUSY_ON_SESSION, "%s could not be taken away: %s",
			      u->backend->path(u->dev), strerror(-r));
	}
	return 0;
}

/* A device that is gone from the system, is shown again. */
static void present_again(struct unit *u)
{
	enum unit_state state = u->state;
	char why[sizeof(u->why)];

	memcpy(why, u->why, sizeof(why));
	unit_dev_gone(u);
	if (unit_present(u) == 0 && state != UNIT_READY)
		unit_set_state(u, state, why);
}

/* After a refusal: as before. */
static void put_back(struct removal *rm)
{
	for (size_t i = 0; i < rm->n; i++) {
		struct unit *u = rm->v[i].u;

		/* One that could not be taken away may have been broken by the attempt. */
		if (!rm->v[i].stopped && rm->v[i].gate_closed && u->backend->failed &&
		    u->backend->failed(u->dev) && u->backend->stop(u->dev, true, STOP_MS) == 0)
			rm->v[i].stopped = true;
		if (rm->v[i].stopped)
			present_again(u);
		else if (rm->v[i].gate_closed)
			u->backend->open_gate(u->dev);
	}
}

void removal_drop(struct removal *rm)
{
	struct unit_path *p, *tmp;

	for (size_t i = 0; i < rm->n; i++) {
		struct unit *u = rm->v[i].u;

		if (rm->v[i].shared) {
			if (rm->v[i].gate_closed)
				u->backend->open_gate(u->dev);
			continue;
		}
		if (u->dev && rm->v[i].unflushed)
			log_warning("unit %s: not flushed: %s", u->describe,
				    u->why[0] ? u->why : "the target could not be reached");
		log_info("unit %s: %s taken away", u->describe,
			 rm->v[i].stopped ? u->backend->path(u->dev) : u->name);
		if (rm->v[i].stopped)
			unit_dev_gone(u);
		/* requests of the device's last moments may wait for a target that is away */
		if (u->lu && rm->v[i].unflushed)
			unit_cancel(u);
		unit_destroy(u);
	}
	list_for_each_safe (p, tmp, &rm->s->paths, in_session)
		unit_path_detach(p);
}

/* Commands that went out on a path before it was taken away come back first. */
static void wait_commands(struct session *s)
{
	uint64_t deadline_ns = clock_now_ns() + DRAIN_WAIT_NS;
	struct initiator_status st;

	do {
		sess_status(s, &st);
		if (st.n_commands == 0 || st.state != INITIATOR_UP)
			return;
		usleep(5000);
	} while (clock_now_ns() < deadline_ns);
}

/* A session that has just come back, or is about to, gets a moment to do so. */
static void wait_up(struct session *s)
{
	uint64_t deadline_ns = clock_now_ns() + UP_WAIT_NS;
	struct initiator_status st;

	do {
		sess_status(s, &st);
		if (st.state != INITIATOR_VERIFYING && st.state != INITIATOR_LOGGING_IN)
			return;
		usleep(20000);
	} while (clock_now_ns() < deadline_ns);
}

/* For going back one cannot do without; whoever has it lets go in bounded time. */
static void family_lock_surely(struct session *s)
{
	while (family_lock(s->family, FAMILY_WAIT_NS))
		log_warning("session %s: waits for another session to be changed", s->target);
}

static uint32_t claim_units(struct removal *rm, struct refusal *why)
{
	uint32_t code;

	if (family_lock(rm->s->family, FAMILY_WAIT_NS))
		return refuse(why, ISDSC_SESSION_BUSY, "another session to %s is being changed",
			      rm->s->target);
	if (removal_list(rm, rm->s))
		code = refuse_errno(why, -ENOMEM, "the session could not be logged out");
	else
		code = close_gates(rm, why);
	if (code == 0)
		code = look_for_holders(rm, why);
	family_unlock(rm->s->family);
	return code;
}

static uint32_t take_away(struct removal *rm, struct refusal *why)
{
	uint32_t code;

	if (sess_pause(rm->s, PAUSE_NS))
		return refuse(why, ISDSC_SESSION_BUSY, "the session's units are being looked at");
	if (family_lock(rm->s->family, FAMILY_WAIT_NS))
		return refuse(why, ISDSC_SESSION_BUSY, "another session to %s is being changed",
			      rm->s->target);
	code = list_holds(rm) ? stop_all(rm, why)
			      : refuse(why, ISDSC_SESSION_BUSY,
				       "the paths to a device of the session have just changed");
	if (code == 0)
		removal_drop(rm);
	family_unlock(rm->s->family);
	return code;
}

/*
 * The flush is done with the family unlocked and the keeper at work: a unit may have
 * something to tell, or the session may be lost and come back, and what is held for
 * the keeper then would never be flushed.
 */
static uint32_t remove_units(struct session *s, struct refusal *why)
{
	struct removal rm = {.s = s};
	uint32_t code = claim_units(&rm, why);

	if (code == 0)
		code = flush_all(&rm, why);
	if (code == 0)
		code = take_away(&rm, why);
	if (code) {
		family_lock_surely(s);
		put_back(&rm);
		family_unlock(s->family);
	}
	free(rm.v);
	return code;
}

uint32_t sess_logout(struct session *s, struct refusal *why)
{
	uint32_t code;
	bool open;

	if (!sess_claim(s)) {
		pthread_mutex_lock(&s->m->lock);
		open = s->open;
		pthread_mutex_unlock(&s->m->lock);
		if (!open)
			return refuse(why, ISDSC_INVALID_SESSION_ID, "there is no such session");
		return refuse(why, ISDSC_SESSION_BUSY,
			      "the session is being logged out by another call");
	}
	wait_up(s);
	if (sess_pause(s, PAUSE_NS)) {
		sess_release(s);
		return refuse(why, ISDSC_SESSION_BUSY, "the session's units are being looked for");
	}
	sess_pause_scans(s);
	code = remove_units(s, why);
	if (code) {
		sess_resume(s);
		sess_release(s);
		return code;
	}
	wait_commands(s);
	sess_end(s);
	return 0;
}

/* ---- who? ------------------------------------------------------------------------------------ */

static int unit_holders(struct unit *u, struct holders *h)
{
	return u->dev ? u->backend->holders(u->dev, h) : 0;
}

static int holders_of_one(struct session *s, const char *device, struct holders *h)
{
	struct unit_path *p;
	int r;

	if (family_lock(s->family, FAMILY_WAIT_NS))
		return -EBUSY;
	r = 0;
	list_for_each (p, &s->paths, in_session) {
		if (r == 0 && (!device || unit_path_is_device(p, device)))
			r = unit_holders(p->unit, h);
	}
	family_unlock(s->family);
	return r;
}

int sess_holders(struct manager *m, struct session *s, const char *device, struct holders *h)
{
	struct session **v;
	size_t n;
	int r;

	if (s)
		return holders_of_one(s, device, h);
	r = sess_list_all(m, &v, &n);
	if (r)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = holders_of_one(v[i], NULL, h);
	sess_put_all(v, n);
	return r;
}
