/* SPDX-License-Identifier: MIT */
#include "service/unit.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scsi/lun.h"
#include "service/events.h"
#include "service/log.h"
#include "service/udev.h"

#define SYNC_S 180 /* a large cache on a slow target takes its time */

const char *unit_state_name(enum unit_state state)
{
	switch (state) {
	case UNIT_STARTING: return "starting";
	case UNIT_READY: return "ready";
	case UNIT_FENCED: return "fenced";
	case UNIT_GONE:
	case UNIT_FAILED: return "failed";
	}
	return "failed";
}

void unit_set_state(struct unit *u, enum unit_state state, const char *why)
{
	pthread_mutex_lock(&u->m->lock);
	u->state = state;
	snprintf(u->why, sizeof(u->why), "%s", why);
	events_unit(u->m->events, EVENT_DEVICE_CHANGED, u);
	pthread_mutex_unlock(&u->m->lock);
}

static void tell_changed(struct unit *u)
{
	pthread_mutex_lock(&u->m->lock);
	events_unit(u->m->events, EVENT_DEVICE_CHANGED, u);
	pthread_mutex_unlock(&u->m->lock);
}

/* Once it can be told what became of it. */
static void tell_added(struct unit_path *p)
{
	struct manager *m = p->unit->m;

	pthread_mutex_lock(&m->lock);
	p->told = true;
	events_path(m->events, EVENT_DEVICE_ADDED, p);
	pthread_mutex_unlock(&m->lock);
}

/* ---- what runs on the unit's reactor ------------------------------------------ */

struct lu_call {
	struct unit *u;
	struct unit_path *p;
	const struct lu_info *info;
	const char *why;
	bool hold;
	unsigned n;
	int result;
	sem_t done;
};

static void call_path_add(void *arg)
{
	struct lu_call *c = arg;

	c->result = lu_path_add(c->u->lu, &initiator_path_ops, c->p->session->initiator, c->p->lun);
}

static void call_path_remove(void *arg)
{
	struct lu_call *c = arg;

	lu_path_remove(c->u->lu, c->p->session->initiator);
}

static void call_path_disown(void *arg)
{
	struct lu_call *c = arg;

	lu_path_disown(c->u->lu, c->p->session->initiator);
}

static void call_absent(void *arg)
{
	struct lu_call *c = arg;

	lu_set_absent(c->u->lu, c->hold);
}

static void call_fence(void *arg)
{
	struct lu_call *c = arg;

	lu_fence(c->u->lu, c->why);
}

static void call_hold(void *arg)
{
	struct lu_call *c = arg;

	lu_hold(c->u->lu, c->hold);
}

static void call_update(void *arg)
{
	struct lu_call *c = arg;

	lu_update(c->u->lu, c->info);
}

static void call_inflight(void *arg)
{
	struct lu_call *c = arg;

	c->n = lu_n_inflight(c->u->lu);
}

static void drained(void *arg)
{
	struct lu_call *c = arg;

	c->u->lu = lu_free(c->u->lu);
	sem_post(&c->done);
}

/* All paths away, then free once nothing is in flight. */
static void call_end(void *arg)
{
	struct lu_call *c = arg;
	struct unit_path *p;

	list_for_each (p, &c->u->paths, in_unit) {
		if (p->active)
			lu_path_remove(c->u->lu, p->session->initiator);
		p->active = false;
	}
	lu_drain(c->u->lu, drained, c);
}

/* A flush that may be given up: who comes last of the two frees it. */
struct sync_call {
	struct unit *u;
	struct blk_req req;
	sem_t done;
	bool over, given_up; /* reactor */
};

static void sync_free(struct sync_call *c)
{
	sem_destroy(&c->done);
	free(c);
}

static void sync_done(struct blk_req *r)
{
	struct sync_call *c = r->user;

	c->over = true;
	if (c->given_up)
		sync_free(c);
	else
		sem_post(&c->done);
}

static void call_sync(void *arg)
{
	struct sync_call *c = arg;

	blk_submit(c->u->lu, &c->req);
}

static void call_sync_give_up(void *arg)
{
	struct sync_call *c = arg;

	c->given_up = !c->over;
}

static void wait_for(struct lu_call *c, void (*fn)(void *arg))
{
	sem_init(&c->done, 0, 0);
	loop_call(c->u->loop, fn, c);
	while (sem_wait(&c->done) < 0)
		; /* EINTR */
	sem_destroy(&c->done);
}

void unit_hold(struct unit *u, bool hold)
{
	loop_call(u->loop, call_hold, &(struct lu_call){.u = u, .hold = hold});
}

void unit_set_absent(struct unit *u, bool absent)
{
	loop_call(u->loop, call_absent, &(struct lu_call){.u = u, .hold = absent});
}

unsigned unit_n_inflight(struct unit *u)
{
	struct lu_call c = {.u = u};

	loop_call(u->loop, call_inflight, &c);
	return c.n;
}

int unit_sync(struct unit *u)
{
	struct sync_call *c = calloc(1, sizeof(*c));
	struct timespec until;
	int r;

	if (!c)
		return -ENOMEM;
	c->u = u;
	c->req = (struct blk_req){.op = BLK_FLUSH, .done = sync_done, .user = c};
	sem_init(&c->done, 0, 0);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += SYNC_S;
	loop_call(u->loop, call_sync, c);
	while ((r = sem_clockwait(&c->done, CLOCK_MONOTONIC, &until)) < 0 && errno == EINTR)
		;
	if (r < 0) {
		loop_call(u->loop, call_sync_give_up, c);
		if (c->given_up)
			return -ETIMEDOUT; /* freed when it ends */
	}
	r = c->req.result;
	sync_free(c);
	return r;
}

void unit_cancel(struct unit *u)
{
	loop_call(u->loop, call_fence, &(struct lu_call){.u = u, .why = "it was taken away"});
}

void unit_fence(struct unit *u, const char *why)
{
	loop_call(u->loop, call_fence, &(struct lu_call){.u = u, .why = why});
	unit_set_state(u, UNIT_FENCED, why);
	log_error("unit %s (%s): fenced, its I/O fails: %s", u->describe, u->name, why);
}

void unit_want(struct unit *u, unsigned wants)
{
	struct unit_path *p;

	list_for_each (p, &u->paths, in_unit)
		sess_want(p->session, wants);
}

/* Reactor, manager->lock: no command until a keeper has looked at it, of whichever session comes
 * first. */
static void unit_doubt(struct unit *u)
{
	u->doubtful = true;
	lu_hold(u->lu, true);
	unit_want(u, WANT_UNITS);
}

/* Reactor, manager->lock: any LUN of the target may have become another unit. */
static void luns_doubt(struct session *s)
{
	struct unit_path *p;

	list_for_each (p, &s->paths, in_session) {
		if (p->unit->lu)
			unit_doubt(p->unit);
	}
	sess_want(s, s->informational ? WANT_UNITS : WANT_SCAN | WANT_UNITS);
}

/* Reactor, manager->lock. */
static void unit_event(struct unit *u, enum lu_event ev)
{
	struct unit_path *p;

	atomic_fetch_or(&u->attention, 1u << ev);
	/* a power-on or reset may hide that the LUN was given to another unit meanwhile */
	if (ev == LU_EV_INQUIRY_CHANGED || ev == LU_EV_LUNS_CHANGED || ev == LU_EV_RESET)
		unit_doubt(u);
	unit_want(u, WANT_UNITS);
	if (ev == LU_EV_LUNS_CHANGED) {
		list_for_each (p, &u->paths, in_unit)
			luns_doubt(p->session);
	}
}

/* Reactor: the unit has something to tell. */
static void on_event(void *user, struct lu *lu, enum lu_event ev)
{
	struct unit *u = user;

	(void)lu;
	pthread_mutex_lock(&u->m->lock);
	unit_event(u, ev);
	pthread_mutex_unlock(&u->m->lock);
}

void unit_notice(struct session *s, const struct scsi_cmd *cmd)
{
	struct unit_path *p;
	enum lu_event ev;

	if (!lu_event_of_answer(cmd, &ev))
		return;
	pthread_mutex_lock(&s->m->lock);
	p = unit_path_find(s, cmd->lun);
	if (p && p->unit->lu)
		unit_event(p->unit, ev);
	else if (ev == LU_EV_LUNS_CHANGED)
		luns_doubt(s);
	pthread_mutex_unlock(&s->m->lock);
}

void units_path_lost(struct session *s)
{
	struct unit_path *p;

	pthread_mutex_lock(&s->m->lock);
	list_for_each (p, &s->paths, in_session) {
		if (p->unit->lu && p->active)
			lu_path_lost(p->unit->lu, s->initiator);
	}
	pthread_mutex_unlock(&s->m->lock);
}

/* ---- paths ---------------------------------------------------------------------------- */

struct unit_path *unit_path_find(struct session *s, uint64_t lun)
{
	struct unit_path *p;

	list_for_each (p, &s->paths, in_session) {
		if (p->lun == lun)
			return p;
	}
	return NULL;
}

static struct unit_path *path_new(struct unit *u, struct session *s, uint64_t lun)
{
	struct unit_path *p = calloc(1, sizeof(*p)), *at;

	if (!p)
		return NULL;
	p->unit = u;
	p->session = s;
	p->lun = lun;
	links_name_path(p);
	pthread_mutex_lock(&s->m->lock);
	list_append(&u->paths, &p->in_unit);
	list_for_each (at, &s->paths, in_session) {
		if (at->lun > lun)
			break;
	}
	list_insert_before(&at->in_session, &p->in_session);
	pthread_mutex_unlock(&s->m->lock);
	return p;
}

static void path_free(struct unit_path *p)
{
	pthread_mutex_lock(&p->session->m->lock);
	if (p->told)
		events_path(p->session->m->events, EVENT_DEVICE_REMOVED, p);
	list_remove(&p->in_unit);
	list_remove(&p->in_session);
	pthread_mutex_unlock(&p->session->m->lock);
	free(p);
}

/* Family locked. */
static void path_set_active(struct unit_path *p, bool active)
{
	pthread_mutex_lock(&p->unit->m->lock);
	p->active = active;
	pthread_mutex_unlock(&p->unit->m->lock);
}

int unit_path_activate(struct unit_path *p)
{
	struct lu_call c = {.u = p->unit, .p = p};

	if (p->active)
		return 0;
	loop_call(p->unit->loop, call_path_add, &c);
	path_set_active(p, c.result == 0);
	return c.result;
}

void unit_path_deactivate(struct unit_path *p)
{
	if (!p->active)
		return;
	loop_call(p->unit->loop, call_path_remove, &(struct lu_call){.u = p->unit, .p = p});
	path_set_active(p, false);
}

void unit_path_disown(struct unit_path *p)
{
	if (!p->active)
		return;
	loop_call(p->unit->loop, call_path_disown, &(struct lu_call){.u = p->unit, .p = p});
	path_set_active(p, false);
}

void unit_path_detach(struct unit_path *p)
{
	struct unit *u;

	log_info("unit %s: path through %s:%u taken away", p->unit->describe,
		 p->session->portal.address, p->session->portal.socket);
	unit_path_deactivate(p);
	links_drop_path(p);
	u = p->unit;
	path_free(p);
	udev_tell(u);
	/* what its keeper had not looked at yet is left to the others */
	pthread_mutex_lock(&u->m->lock);
	unit_want(u, WANT_UNITS);
	pthread_mutex_unlock(&u->m->lock);
}

unsigned unit_n_active(const struct unit *u)
{
	const struct unit_path *p;
	unsigned n = 0;

	list_for_each (p, &u->paths, in_unit)
		n += p->active;
	return n;
}

const char *unit_name_for_open(const struct unit *u)
{
	return u->backend->uri ? u->backend->uri(u->dev) : u->backend->path(u->dev);
}

/* @name: "" when there is no such link */
static bool is_link(const char *device, const char *dir, const char *name)
{
	size_t n = strlen(dir);

	return name[0] && strncmp(device, dir, n) == 0 && strcmp(device + n, name) == 0;
}

bool unit_path_is_device(const struct unit_path *p, const char *device)
{
	const struct unit *u = p->unit;
	size_t n = strlen(u->m->devices_dir);

	if (!u->dev)
		return false;
	if (strcmp(device, u->backend->path(u->dev)) == 0 ||
	    strcmp(device, unit_name_for_open(u)) == 0)
		return true;
	if (strncmp(device, u->m->devices_dir, n) != 0)
		return false;
	device += n;
	return is_link(device, "/by-path/", p->link) || is_link(device, "/by-id/", u->id_link) ||
	       is_link(device, "/by-id/", u->wwn_link);
}

/* ---- life of a unit ---------------------------------------------------------------------- */

/* Enters the unit with the smallest free number. */
static void unit_enter(struct unit *u)
{
	struct manager *m = u->m;
	struct unit *other;
	bool taken;

	pthread_mutex_lock(&m->lock);
	do {
		taken = false;
		list_for_each (other, &m->units, node)
			taken |= other->number == u->number;
		if (taken)
			u->number++;
	} while (taken);
	list_append(&m->units, &u->node);
	pthread_mutex_unlock(&m->lock);
	snprintf(u->name, sizeof(u->name), "disk%u", u->number);
}

static struct unit *unit_new(struct session *s, const struct lu_info *info)
{
	struct unit *u = calloc(1, sizeof(*u));
	char lun[LUN_TEXT_BYTES];

	if (!u)
		return NULL;
	u->m = s->m;
	u->family = s->family;
	u->loop = s->loop;
	u->backend = s->m->backend;
	u->info = *info;
	list_init(&u->node);
	list_init(&u->paths);
	lun_name(info->lun, lun);
	snprintf(u->describe, sizeof(u->describe), "%s lun %s", s->target, lun);
	unit_enter(u);
	return u;
}

static void unit_failed(struct unit *u, const char *why)
{
	unit_set_state(u, UNIT_FAILED, why);
	log_error("unit %s: cannot be presented: %s", u->describe, why);
}

/* Why a disk cannot be a block device here, or NULL. */
static const char *unfit(const struct lu_info *info)
{
	const struct blk_limits *l = &info->limits;

	if (l->n_bytes == 0)
		return "it has no medium";
	if (l->block_bytes != 512 && l->block_bytes != 1024 && l->block_bytes != 2048 &&
	    l->block_bytes != 4096)
		return "its block size is not 512, 1024, 2048 or 4096 bytes";
	return NULL;
}

static int unit_make_lu(struct unit *u, struct unit_path *p)
{
	struct lu_cfg cfg = {
		.loop = u->loop,
		.info = &u->info,
		.event = on_event,
		.user = u,
		.n_commands = (unsigned)p->session->tuning.queue_depth,
		.policy = (enum lu_policy)p->session->tuning.path_policy,
	};
	struct lu *lu = NULL;
	int r = lu_new(&lu, &cfg);

	if (r)
		return r;
	pthread_mutex_lock(&u->m->lock);
	u->lu = lu;
	pthread_mutex_unlock(&u->m->lock);
	r = unit_path_activate(p);
	if (r)
		wait_for(&(struct lu_call){.u = u}, call_end);
	return r;
}

/* What tells it from all others, in the next service too; "": nothing does. */
static void unit_identity(const struct unit *u, char *buf, size_t n)
{
	const struct unit_path *p = list_first(&u->paths, struct unit_path, in_unit);
	char name[LU_NAME_MAX];

	lu_info_name(&u->info, name, sizeof(name));
	buf[0] = '\0';
	if (p && name[0])
		snprintf(buf, n, "%s %s %s", p->session->target, name, u->info.serial);
}

int unit_present(struct unit *u)
{
	char identity[ISCSI_NAME_MAX + LU_NAME_MAX + sizeof(u->info.serial) + 3];
	struct blk_dev_cfg cfg = {
		.name = u->name,
		.devices_dir = u->m->devices_dir,
		.describe = u->describe,
		.loop = u->loop,
		.lu = u->lu,
		.limits = u->info.limits,
		.user_mode = u->m->user_mode,
		.identity = identity,
	};
	struct blk_dev *dev = NULL;
	int r;

	unit_identity(u, identity, sizeof(identity));
	r = u->backend->start(&dev, &cfg);
	if (r) {
		char why[160];

		snprintf(why, sizeof(why), "the %s backend could not start: %s", u->backend->name,
			 strerror(-r));
		unit_failed(u, why);
		return r;
	}
	pthread_mutex_lock(&u->m->lock);
	u->dev = dev;
	u->state = UNIT_READY;
	u->why[0] = '\0';
	pthread_mutex_unlock(&u->m->lock);
	links_make(u);
	tell_changed(u);
	return 0;
}

void unit_dev_gone(struct unit *u)
{
	struct blk_dev *dev = u->dev;

	links_drop_unit(u);
	pthread_mutex_lock(&u->m->lock);
	u->dev = NULL;
	u->state = UNIT_STARTING;
	pthread_mutex_unlock(&u->m->lock);
	u->backend->free(dev);
}

void unit_destroy(struct unit *u)
{
	struct unit_path *p, *tmp;

	if (u->lu)
		wait_for(&(struct lu_call){.u = u}, call_end);
	list_for_each_safe (p, tmp, &u->paths, in_unit)
		path_free(p);
	pthread_mutex_lock(&u->m->lock);
	list_remove(&u->node);
	pthread_mutex_unlock(&u->m->lock);
	free(u);
}

/* The family's unit that @info speaks of too. */
static struct unit *unit_same(struct session *s, const struct lu_info *info)
{
	struct unit *u, *found = NULL;

	pthread_mutex_lock(&s->m->lock);
	list_for_each (u, &s->m->units, node) {
		if (u->family == s->family && u->lu && u->state != UNIT_FENCED &&
		    lu_info_same_unit(&u->info, info)) {
			found = u;
			break;
		}
	}
	pthread_mutex_unlock(&s->m->lock);
	return found;
}

static int unit_add_path(struct unit *u, struct session *s, uint64_t lun)
{
	struct unit_path *p = path_new(u, s, lun);
	int r;

	if (!p)
		return -ENOMEM;
	r = unit_path_activate(p);
	if (r) {
		log_warning("unit %s: a path through %s:%u cannot be added: %s", u->describe,
			    s->portal.address, s->portal.socket, strerror(-r));
		path_free(p);
		return r;
	}
	if (u->dev)
		links_make(u);
	log_info("unit %s: path through %s:%u added", u->describe, s->portal.address,
		 s->portal.socket);
	tell_added(p);
	return 0;
}

int unit_attach(struct session *s, const struct lu_info *info)
{
	struct unit *u = s->multipath ? unit_same(s, info) : NULL;
	struct unit_path *p;
	const char *why;

	if (u)
		return unit_add_path(u, s, info->lun);
	u = unit_new(s, info);
	if (!u)
		return -ENOMEM;
	p = path_new(u, s, info->lun);
	if (!p) {
		unit_destroy(u);
		return -ENOMEM;
	}
	why = unfit(info);
	if (why) {
		unit_failed(u, why);
	} else if (unit_make_lu(u, p)) {
		unit_failed(u, "out of memory");
	} else if (unit_present(u) == 0) {
		log_info("unit %s: %s, %llu bytes%s", u->describe, u->backend->path(u->dev),
			 (unsigned long long)info->limits.n_bytes,
			 info->limits.read_only ? ", read only" : "");
	} else {
		wait_for(&(struct lu_call){.u = u}, call_end);
	}
	tell_added(p);
	return 0;
}

static bool limits_equal(const struct blk_limits *a, const struct blk_limits *b)
{
	return a->n_bytes == b->n_bytes && a->block_bytes == b->block_bytes &&
	       a->phys_block_bytes == b->phys_block_bytes &&
	       a->max_transfer_bytes == b->max_transfer_bytes && a->read_only == b->read_only &&
	       a->can_discard == b->can_discard && a->can_write_zeroes == b->can_write_zeroes &&
	       a->discard_zeroes == b->discard_zeroes && a->write_cache == b->write_cache;
}

void unit_update(struct unit *u, const struct lu_info *info)
{
	struct blk_limits before, now = info->limits;
	char why[sizeof(u->why)];
	bool was_gone;
	int r;

	loop_call(u->loop, call_update, &(struct lu_call){.u = u, .info = info});
	if (lu_is_fenced(u->lu, why, sizeof(why))) {
		/* the same unit, but with blocks of another size */
		unit_fence(u, why);
		return;
	}
	pthread_mutex_lock(&u->m->lock);
	before = u->info.limits;
	u->info = *info;
	was_gone = u->state == UNIT_GONE;
	if (was_gone) {
		u->state = UNIT_READY;
		u->why[0] = '\0';
	}
	pthread_mutex_unlock(&u->m->lock);
	if (was_gone) {
		unit_set_absent(u, false);
		log_info("unit %s: is back", u->describe);
	}
	if (was_gone || !limits_equal(&before, &now))
		tell_changed(u);
	if (limits_equal(&before, &now))
		return;
	if (before.n_bytes != now.n_bytes || before.read_only != now.read_only)
		log_info("unit %s: now %llu bytes%s", u->describe, (unsigned long long)now.n_bytes,
			 now.read_only ? ", read only" : "");
	if (!u->dev || !u->backend->changed)
		return;
	r = u->backend->changed(u->dev, &now);
	if (r)
		log_warning("unit %s: the device could not take over the change: %s", u->describe,
			    strerror(-r));
}
