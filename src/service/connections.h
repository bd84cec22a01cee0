/* SPDX-License-Identifier: MIT */
/*
 * The connections of a session
 *
 * A session has one, the leading one, and as many more as were added and as both
 * sides have agreed on. Each keeps its id when it is lost and comes back. Control
 * threads.
 */
#ifndef SERVICE_CONNECTIONS_H
#define SERVICE_CONNECTIONS_H

#include "service/session.h"

struct new_connection {
	uint32_t port;
	bool has_portal;
	struct portal portal;
	uint64_t security_flags;
	bool has_options;
	struct login_options options; /* without: as the session's */
	struct blob key;
};

struct connection {
	struct list node; /* session->connections */
	unsigned number;  /* the initiator's */
	struct unique_id id;
	struct portal portal; /* as asked for; "": any */
};

/*
 * The id of the connection with the initiator's @number, and the portal that was asked for.
 * False: it is gone. Any thread, session->lock not held.
 */
bool sess_connection(struct session *s, unsigned number, struct unique_id *ret_id,
		     struct portal *ret_portal);
void sess_forget_connections(struct session *s);

/* Returns when the connection is in full feature phase; *ret is its id. 0 or a code with @why. */
uint32_t sess_add_connection(struct session *s, const struct new_connection *how,
			     struct unique_id *ret, struct refusal *why);
/* Logs the connection out and waits for the target's answer, or the end of its time. */
uint32_t sess_remove_connection(struct session *s, const struct unique_id *id, struct refusal *why);

#endif
