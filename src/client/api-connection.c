/* SPDX-License-Identifier: MIT */
/*
 * Connections of a session, and what they negotiated
 */
#include "client/client.h"

#include <string.h>

/* What both forms of the call are given, but for text. */
struct connection {
	const void *session_id;
	ULONG port;
	ISCSI_SECURITY_FLAGS flags;
	const void *options;
	const void *key;
	ULONG n_key;
	void *connection_id; /* may be NULL */
};

static ISDSC_STATUS connection_add(enum form form, const void *portal, const struct connection *c)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	ISCSI_UNIQUE_CONNECTION_ID id;
	const char *text;
	ISDSC_STATUS status;

	args_id(&a, "sessionId", c->session_id);
	args_number(&a, "initiatorPort", c->port);
	args_portal(&a, "portal", form, &record_portal_key, portal, true);
	args_number(&a, "securityFlags", (int64_t)c->flags);
	args_options(&a, c->options);
	args_bytes(&a, "key", c->key, c->n_key, BYTES_IN_MAX);
	status = args_call(&a, "AddConnection", LOGIN_MS, &reply);
	if (status)
		return status;
	text = json_string_value(json_object_get(reply, "connectionId"));
	if (!text || !id_parse(text, &id))
		return detail_fail_reply("AddConnection", "connectionId");
	if (c->connection_id)
		memcpy(c->connection_id, &id, sizeof(id));
	return ERROR_SUCCESS;
}

/* @reserved: programs pass the initiator's name there. */
EXPORT ISDSC_STATUS WINAPI AddIScsiConnectionA(PISCSI_UNIQUE_SESSION_ID session_id, PVOID reserved,
					       ULONG port, PISCSI_TARGET_PORTALA portal,
					       ISCSI_SECURITY_FLAGS flags,
					       PISCSI_LOGIN_OPTIONS options, ULONG n_key, PCHAR key,
					       PISCSI_UNIQUE_CONNECTION_ID connection_id)
{
	return connection_add(
		FORM_A, portal,
		&(struct connection){session_id, port, flags, options, key, n_key, connection_id});
}

EXPORT ISDSC_STATUS WINAPI AddIScsiConnectionW(PISCSI_UNIQUE_SESSION_ID session_id, PVOID reserved,
					       ULONG port, PISCSI_TARGET_PORTALW portal,
					       ISCSI_SECURITY_FLAGS flags,
					       PISCSI_LOGIN_OPTIONS options, ULONG n_key, PCHAR key,
					       PISCSI_UNIQUE_CONNECTION_ID connection_id)
{
	return connection_add(
		FORM_W, portal,
		&(struct connection){session_id, port, flags, options, key, n_key, connection_id});
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiConnection(PISCSI_UNIQUE_SESSION_ID session_id,
						 PISCSI_UNIQUE_CONNECTION_ID connection_id)
{
	struct args a = args_begin();

	args_id(&a, "sessionId", session_id);
	args_id(&a, "connectionId", connection_id);
	return args_call(&a, "RemoveConnection", LOGIN_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI GetIScsiSessionListEx(ULONG *size, ULONG *count,
						 PISCSI_SESSION_INFO_EX info)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list_counted(&a, &l, FORM_A, info, size, count);
	status = args_call(&a, "ListSessionParameters", QUERY_MS, &reply);
	return status ? status : list_bytes(&l, &record_session_ex, reply, "sessions");
}
