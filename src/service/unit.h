/* SPDX-License-Identifier: MIT */
/*
 * Units: what the service keeps about a logical unit and its device
 *
 * A unit has one device, however many paths lead to it. Paths are added and
 * removed, devices started and taken away by control threads under the family's
 * lock; states, texts and lists are read under the manager's.
 */
#ifndef SERVICE_UNIT_H
#define SERVICE_UNIT_H

#include <stdatomic.h>

#include "device/lu.h"
#include "service/session.h"

enum unit_state {
	UNIT_STARTING,
	UNIT_READY,
	UNIT_GONE,   /* the target does not list it any more; it may come back */
	UNIT_FENCED, /* the LUN became another unit: for good */
	UNIT_FAILED, /* it could not be presented; there is no device */
};

struct unit {
	struct list node; /* manager->units */
	struct manager *m;
	struct family *family;
	struct loop *loop;
	unsigned number; /* of the device: the smallest that was free */
	char name[32];
	char describe[ISCSI_NAME_MAX + 48];
	const struct blk_backend *backend;
	struct lu *lu;         /* NULL with UNIT_FAILED */
	struct blk_dev *dev;   /* manager->lock to set; NULL until UNIT_READY */
	struct list paths;     /* struct unit_path, at least one; changed under both locks */
	atomic_uint attention; /* a bit for each enum lu_event that was not dealt with */

	/* manager->lock */
	struct lu_info info;
	enum unit_state state;
	char why[400];
	bool doubtful; /* held until its identity is known */
	uint64_t doubtful_since_ns;
	char id_link[320], wwn_link[320]; /* names below by-id, or "" */
	char udev_file[64];               /* family's lock: what udev reads of it (udev.c), or "" */
};

struct unit_path {
	struct list in_unit;    /* unit->paths */
	struct list in_session; /* session->paths, by LUN */
	struct unit *unit;
	struct session *session;
	uint64_t lun;
	bool told;   /* as an event; manager->lock */
	bool active; /* the unit sends commands there; changed under both locks */
	char link[ADDRESS_MAX + ISCSI_NAME_MAX + 64]; /* name below by-path */
};

const char *unit_state_name(enum unit_state state);

/**
 * unit_attach() - a LUN of a session that has no path yet
 *
 * Adds a path to the unit of the family that it is (multipath sessions), else
 * makes a unit and presents it. A unit that cannot be presented is entered with
 * its reason. Family locked. 0 or -errno when it could not even be entered.
 */
int unit_attach(struct session *s, const struct lu_info *info);

/* Family's or manager->lock: the path of session and LUN, or NULL. */
struct unit_path *unit_path_find(struct session *s, uint64_t lun);
/* Family locked: takes away one of several paths. */
void unit_path_detach(struct unit_path *p);
/* Family locked: the path leads to the unit again. 0 or -ENOSPC. */
int unit_path_activate(struct unit_path *p);
void unit_path_deactivate(struct unit_path *p);
/* The same, for a path that leads to another unit now: what is under way there is given up. */
void unit_path_disown(struct unit_path *p);
/* What a program is told to open; only with a device. */
const char *unit_name_for_open(const struct unit *u);
/* manager->lock or family's: is @device a name of the path's device (its own, or one of our links)?
 */
bool unit_path_is_device(const struct unit_path *p, const char *device);
/* manager->lock or family's. */
unsigned unit_n_active(const struct unit *u);

/* Family locked, device stopped and freed (dev NULL): the end of unit and paths. */
void unit_destroy(struct unit *u);
/* Presents the unit again after its device was stopped; the state tells what came of it. */
int unit_present(struct unit *u);
/* The device was stopped: forget it. */
void unit_dev_gone(struct unit *u);

/* Any control thread. */
void unit_set_state(struct unit *u, enum unit_state state, const char *why);
void unit_fence(struct unit *u, const char *why);
/* Before its end: what still waits fails now. */
void unit_cancel(struct unit *u);
void unit_hold(struct unit *u, bool hold);
/* No unit answers there: I/O fails until unit_update(). */
void unit_set_absent(struct unit *u, bool absent);
/* The unit is the same as before; takes over size, protection, limits. */
void unit_update(struct unit *u, const struct lu_info *info);
/* manager->lock: work for the keepers of all its sessions. */
void unit_want(struct unit *u, unsigned wants);
unsigned unit_n_inflight(struct unit *u);
/*
 * Reactor: a command that went past the units was answered. What its unit attention tells
 * is told once only, so the unit must hear of it here.
 */
void unit_notice(struct session *s, const struct scsi_cmd *cmd);
/* Reactor: the session is lost; its units go on on the paths of others. */
void units_path_lost(struct session *s);
/* SYNCHRONIZE CACHE, waited for. 0 or -errno. */
int unit_sync(struct unit *u);

/* links.c; families locked */
void links_prepare(struct manager *m);
/* Removes what a dead service left below by-path and by-id. Counts. */
unsigned links_sweep(const char *devices_dir);
void links_make(struct unit *u);
void links_drop_path(struct unit_path *p);
void links_drop_unit(struct unit *u);
void links_name_path(struct unit_path *p);

#endif
