/* SPDX-License-Identifier: MIT */
/*
 * Events: what changes, told to those who listen
 *
 * One ring for all, with the service's latest events; a subscriber is a place in it.
 * Who reads too slowly for the ring is told how many events it has missed. So what is
 * kept does not grow with the number of subscribers, and nobody can hold up the
 * service. Without subscribers nothing is kept at all.
 *
 * Publishing is for any thread, with any lock held: the lock of the ring is the last.
 */
#ifndef SERVICE_EVENTS_H
#define SERVICE_EVENTS_H

#include "service/session.h"
#include "service/unit.h"
#include "varlink/varlink.h"

enum event_kind {
	EVENT_SESSION_UP,
	EVENT_SESSION_DOWN,
	EVENT_SESSION_CLOSED,
	EVENT_CONNECTION_UP,
	EVENT_CONNECTION_DOWN,
	EVENT_DEVICE_ADDED,
	EVENT_DEVICE_CHANGED,
	EVENT_DEVICE_REMOVED,
	EVENT_TARGET_ADDED,
	EVENT_TARGET_REMOVED,
};

struct events;

int events_new(struct events **ret);
/* Nobody listens any more. NULL is fine; returns NULL. */
struct events *events_free(struct events *e);

/* @text, @connection: NULL for none. @e NULL: nobody is told. */
void events_session(struct events *e, enum event_kind kind, const struct session *s,
		    const struct unique_id *connection, const char *text);
void events_target(struct events *e, enum event_kind kind, const char *name);
/* manager->lock held. */
void events_path(struct events *e, enum event_kind kind, const struct unit_path *p);
/* The same for each path of the unit, which have been told as added. */
void events_unit(struct events *e, enum event_kind kind, struct unit *u);

/*
 * Tells what there is, and from then on what changes, until the client is gone or the
 * socket is shut down. An event may come that the present state had told already, but
 * none is missing. 0 or -errno; the connection is to be closed.
 */
int events_serve(struct manager *m, struct varlink_conn *conn);

#endif
