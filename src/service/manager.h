/* SPDX-License-Identifier: MIT */
/*
 * The manager: everything the service knows, in one place
 *
 * Tables of portals, targets, sessions, families and units under one mutex. The
 * mutex is held for looking up and changing tables only: never over the network,
 * the store, a backend or a wait for a reactor. What is found there and used
 * afterwards is kept alive by a reference (sessions, families).
 *
 * Order of locks: kept_lock or a family's, then manager->lock, then session->lock. A reactor
 * thread may take the last two, for moments; so no thread waits for a reactor
 * while it holds one of them.
 */
#ifndef SERVICE_MANAGER_H
#define SERVICE_MANAGER_H

#include <pthread.h>
#include <stdbool.h>

#include "base/list.h"
#include "device/backend.h"
#include "service/config.h"
#include "service/reactor.h"
#include "service/refusal.h"
#include "service/store.h"
#include "service/target.h"
#include "service/types.h"

struct persistent;
struct events;
struct session;

/*
 * Sessions to one target. They may share units, so whatever changes which units
 * there are and which paths they have goes under its lock, one thread at a time.
 */
struct family {
	struct list node; /* manager->families */
	unsigned n_refs;  /* manager->lock */
	char target[ISCSI_NAME_MAX + 1];
	struct manager *m;
	bool locked;     /* manager->lock */
	bool logging_in; /* manager->lock: a plain login is under way */
};

struct known_portal {
	struct list node;
	struct send_target_portal p;
};

/*
 * Discovery sessions at one time must not take each other's place at the target, so each of
 * those has an ISID of its own. They are asked of the store once, not for each discovery.
 */
#define DISCOVERY_ORDINALS 16

struct discovery_isids {
	char node_name[ISCSI_NAME_MAX + 1]; /* that they belong to */
	unsigned next;
	bool there[DISCOVERY_ORDINALS];
	uint8_t isid[DISCOVERY_ORDINALS][6];
};

struct manager {
	const struct config *config;
	struct store *store;
	struct events *events;     /* NULL: nobody is told of changes */
	struct security *security; /* made by manager_init() */
	struct reactors *reactors;
	const struct blk_backend *backend;
	const char *devices_dir;
	bool user_mode;
	char default_node_name[ISCSI_NAME_MAX + 1];

	pthread_mutex_t lock;
	pthread_cond_t changed; /* a login, a session or a family lock has ended */
	struct list portals;    /* struct known_portal, in the order added */
	struct discovery_isids discovery;
	struct target_table targets;
	uint64_t portals_seen; /* targets.n_changes that sessions have heard of */
	/*
	 * Before lock. Portals, static targets and the node name are in the store, too: one
	 * change of both at a time, so that they do not tell different things.
	 */
	pthread_mutex_t kept_lock;
	struct list sessions; /* struct session, oldest first */
	struct list families;
	struct list units;             /* struct unit */
	unsigned n_bound_changes;      /* of the list of bound devices */
	struct persistent *persistent; /* the logins kept; NULL: they are not carried out */
	char node_name[ISCSI_NAME_MAX + 1];
	uint32_t next_id, n_ids;
	bool stopping;      /* no new sessions */
	unsigned n_helpers; /* detached threads of ours */
	unsigned n_lookups; /* of these, those that look up where a target redirects to */
	bool lock_made;     /* manager_init() got far enough for manager_clear() */
};

/* Loads portals, static targets and the node name from the store. 0 or -errno. */
int manager_init(struct manager *m);
/* No session, unit or helper may be left. */
void manager_clear(struct manager *m);

/* The next id of store_take_ids(), or -errno. */
int manager_take_id(struct manager *m, uint32_t *ret);

/* manager->lock must not be held. NULL without memory. */
struct family *family_get(struct manager *m, const char *target);
void family_put(struct manager *m, struct family *f);
/* Takes the family's lock; -ETIMEDOUT when it was not free within @timeout_ns. */
int family_lock(struct family *f, uint64_t timeout_ns);
void family_unlock(struct family *f);

/* Runs @fn in a thread of its own that manager_wait_helpers() waits for. 0 or -errno. */
int manager_helper(struct manager *m, void (*fn)(void *arg), void *arg);
/* False: some are still at it after @timeout_ns. */
bool manager_wait_helpers(struct manager *m, uint64_t timeout_ns);
/* True once the service stops. Any thread. */
bool manager_stopping(struct manager *m);
/* No new sessions from now on; sleeping helpers wake. */
void manager_begin_stop(struct manager *m);
/* Sleeps, but not beyond the begin of the stop. False when stopping. */
bool manager_sleep(struct manager *m, uint64_t ns);

/* pthread_cond_timedwait() for conditions made by cond_init(). */
void cond_init(pthread_cond_t *c);
int cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, uint64_t deadline_ns);

uint32_t manager_set_node_name(struct manager *m, const char *name, struct refusal *why);
void manager_get_node_name(struct manager *m, char ret[ISCSI_NAME_MAX + 1]);

#endif
