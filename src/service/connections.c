/* SPDX-License-Identifier: MIT */
#include "service/connections.h"

#include "service/portal.h"

uint32_t sess_add_connection(struct session *s, const struct new_connection *how,
			     struct unique_id *ret, struct refusal *why)
{
	struct initiator_status st;
	uint32_t code = demands_check(how->security_flags, &how->options, why);

	(void)ret;
	if (code)
		return code;
	sess_status(s, &st);
	if (st.n_up == 0)
		return refuse(why, ISDSC_NO_CONNECTION_AVAILABLE,
			      "the session has no connection at the moment");
	if (st.n_connections >= st.params.MaxConnections)
		return refuse(why, ISDSC_TOO_MANY_CONNECTIONS,
			      "the session has %u connections, and %u is all that was agreed on at "
			      "login (maximumConnections)",
			      st.n_connections, st.params.MaxConnections);
	return refuse(why, ISDSC_REQUEST_NOT_SUPPORTED,
		      "this version works with one connection in a session");
}

uint32_t sess_remove_connection(struct session *s, const struct unique_id *id, struct refusal *why)
{
	if (id->adapter != s->connection_id.adapter || id->specific != s->connection_id.specific)
		return refuse(why, ISDSC_INVALID_CONNECTION_ID,
			      "the session has no such connection");
	return refuse(why, ISDSC_CANT_REMOVE_LAST_CONNECTION,
		      "it is the only connection of the session; log the session out instead");
}
