/* SPDX-License-Identifier: MIT */
/*
 * Service sessions
 *
 * A login that a client asked for, from its first attempt to its logout: an
 * initiator on a reactor, a keeper thread that does what must not block the
 * reactor (finding units, comparing them after a reconnect), and the units'
 * paths.
 *
 *	sess_open -> (keeper: scan, verify, …) -> sess_logout (removal.c)
 *
 * (Functions are sess_…: the names session_… are the protocol engine's.)
 *
 * Somebody who works on a session as a whole claims it; a second one is told that
 * it is busy.
 */
#ifndef SERVICE_SESSION_H
#define SERVICE_SESSION_H

#include <stdatomic.h>

#include "initiator/initiator.h"
#include "service/ids.h"
#include "service/manager.h"

/* How long a login waits for devices once the session is up. */
#define DEVICES_WAIT_NS (5 * NS_PER_S)

#define WANT_SCAN       1u /* look which units there are */
#define WANT_VERIFY     2u /* logged in again: are the units what they were? */
#define WANT_UNITS      4u /* a unit has something to tell (unit->attention) */
#define WANT_RESCAN     8u /* all of that, and somebody waits for it */

struct session {
	struct list node; /* manager->sessions */
	unsigned n_refs;  /* manager->lock */
	struct manager *m;
	struct family *family;
	struct loop *loop;
	struct initiator *initiator;
	struct tuning tuning;

	/* fixed once it is listed */
	struct unique_id id, connection_id;
	uint8_t isid[6];
	char isid_portal[ADDRESS_MAX + 16];
	unsigned ordinal;
	char target[ISCSI_NAME_MAX + 1];
	char node_name[ISCSI_NAME_MAX + 1];
	bool informational, multipath;
	uint32_t auth_type;   /* of the login: 0 none, 1 CHAP, 2 mutual CHAP */
	struct portal portal; /* as asked for; where any would do, that of the first login */
	struct target_mapping *mapping; /* what was asked for; NULL: nothing */
	uint32_t os_bus, os_target;     /* with devices: what it has for the system */

	bool hops; /* it may connect to other portals than s->portal */

	/* manager->lock */
	uint64_t portals_seen; /* target_table_version() that its addresses are of */
	bool open;             /* the first login has succeeded: it can be seen */
	bool claimed;
	struct list paths; /* struct unit_path by LUN; changed under the family's lock too */

	/* reactor thread */
	uint64_t addrs_version; /* of what initiator_set_addrs() was last told */
	bool gone;              /* the initiator takes no more commands */
	unsigned login;         /* counts re-logins */

	atomic_bool shown; /* open, for the reactor */

	/* lock */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool up, closed, failed;
	struct list connections; /* struct connection: those after the leading one, in order */
	struct initiator_failure failure;
	unsigned wants;
	bool paused, no_scan, quit, working, scanned;
	unsigned rescans_wanted, rescans_done; /* their numbers; the last one */
	bool rescan_ok;                        /* that one has asked every unit */
	uint64_t again_ns; /* when the keeper tries again what it could not finish; LOOP_NEVER */
	uint64_t again_after_ns; /* how long it waits before that; 0: all is well */
	bool has_keeper;
	pthread_t keeper;
	struct log_limit log;
};

/**
 * sess_open() - log in
 * @login: what was asked for
 * @from_store: a kept login, whose target need not be known from discovery
 *
 * Waits for the login, and then up to DEVICES_WAIT_NS for the devices.
 * *ret is a reference. Return: 0 or a code with @why.
 */
uint32_t sess_open(struct session **ret, struct manager *m, const struct kept_login *login,
		   bool from_store, struct refusal *why);

/* The open session with that id, as a reference, or NULL. */
struct session *sess_find(struct manager *m, const struct unique_id *id);
/* Ends a reference; the last one frees. NULL is fine. */
void sess_put(struct session *s);
void sess_putp(struct session **s);
/* References to all open sessions, oldest first; sess_put_all() them. 0 or -ENOMEM. */
int sess_list_all(struct manager *m, struct session ***ret, size_t *ret_n);
void sess_put_all(struct session **v, size_t n);

void sess_status(struct session *s, struct initiator_status *ret);

/* One worker at a time. False: somebody else is at it. */
bool sess_claim(struct session *s);
void sess_release(struct session *s);
/* The keeper stops what it does, within @timeout_ns, and does nothing until sess_resume(). */
int sess_pause(struct session *s, uint64_t timeout_ns);
/*
 * From a pause: the keeper looks after the units there are, so that what is held for
 * it goes on, but adds none until sess_resume().
 */
void sess_pause_scans(struct session *s);
void sess_resume(struct session *s);
/* Keeper: should it stop early? */
bool sess_interrupted(struct session *s);
/* Any thread: work for the keeper. */
void sess_want(struct session *s, unsigned wants);

/*
 * Every unit is asked anew, and looked which there are. The second waits for it: 0; -EIO
 * something could not be asked, and is tried again; -ENODEV the session has ended;
 * -ETIMEDOUT. Control threads.
 */
unsigned sess_rescan(struct session *s);
int sess_rescan_wait(struct session *s, unsigned number, uint64_t deadline_ns);

/* Claimed, without units: logs out, ends the keeper, takes the session off the list. */
void sess_end(struct session *s);

/* Runs a command and waits; control threads. */
int sess_run(void *session, struct scsi_cmd *cmd);
struct scsi_exec sess_exec(struct session *s);

/* keeper.c: the keeper's thread. */
void *sess_keeper(void *session);

#endif
