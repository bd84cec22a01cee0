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

/* Returns when the connection is in full feature phase; *ret is its id. 0 or a code with @why. */
uint32_t sess_add_connection(struct session *s, const struct new_connection *how,
			     struct unique_id *ret, struct refusal *why);
/* Logs the connection out and waits for the target's answer, or the end of its time. */
uint32_t sess_remove_connection(struct session *s, const struct unique_id *id, struct refusal *why);

#endif
