/* SPDX-License-Identifier: MIT */
/*
 * Sessions and their devices
 */
#include "client/client.h"

#include <string.h>

static ISDSC_STATUS id_take(json_t *reply, const char *key, ISCSI_UNIQUE_SESSION_ID *ret_id)
{
	const char *text = json_string_value(json_object_get(reply, key));

	return text && id_parse(text, ret_id) ? ERROR_SUCCESS : detail_fail_reply("Login", key);
}

/* What both forms of the call are given, but for text. */
struct login {
	bool informational, persistent;
	ULONG port;
	ISCSI_SECURITY_FLAGS flags;
	const void *options;
	const void *key;
	ULONG n_key;
	void *session_id, *connection_id;
};

static ISDSC_STATUS target_login(enum form form, const void *target, const void *instance,
				 const void *portal, const void *mapping, const struct login *login)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	ISCSI_UNIQUE_SESSION_ID session, connection;
	ISDSC_STATUS status;

	args_want(&a, login->session_id, "UniqueSessionId");
	args_want(&a, login->connection_id, "UniqueConnectionId");
	args_text(&a, "targetName", form, target, MAX_ISCSI_NAME_LEN);
	args_bool(&a, "informational", login->informational);
	args_initiator(&a, form, instance, login->port);
	args_portal(&a, "portal", form, &record_portal_key, portal, true);
	args_number(&a, "securityFlags", (int64_t)login->flags);
	args_options(&a, login->options);
	args_bytes(&a, "key", login->key, login->n_key, BYTES_IN_MAX);
	args_bool(&a, "persistent", login->persistent);
	if (mapping)
		args_mapping(&a, form, mapping);
	status = args_call(&a, "Login", LOGIN_MS, &reply);
	if (!status)
		status = id_take(reply, "sessionId", &session);
	if (!status)
		status = id_take(reply, "connectionId", &connection);
	if (!status && !login->persistent) {
		memcpy(login->session_id, &session, sizeof(session));
		memcpy(login->connection_id, &connection, sizeof(connection));
	}
	return status;
}

EXPORT ISDSC_STATUS WINAPI LoginIScsiTargetA(
	PSTR target, BOOLEAN informational, PSTR instance, ULONG port, PISCSI_TARGET_PORTALA portal,
	ISCSI_SECURITY_FLAGS flags, PISCSI_TARGET_MAPPINGA mapping, PISCSI_LOGIN_OPTIONS options,
	ULONG n_key, PCHAR key, BOOLEAN persistent, PISCSI_UNIQUE_SESSION_ID session_id,
	PISCSI_UNIQUE_CONNECTION_ID connection_id)
{
	return target_login(FORM_A, target, instance, portal, mapping,
			    &(struct login){informational, persistent, port, flags, options, key,
					    n_key, session_id, connection_id});
}

EXPORT ISDSC_STATUS WINAPI LoginIScsiTargetW(
	PWSTR target, BOOLEAN informational, PWSTR instance, ULONG port,
	PISCSI_TARGET_PORTALW portal, ISCSI_SECURITY_FLAGS flags, PISCSI_TARGET_MAPPINGW mapping,
	PISCSI_LOGIN_OPTIONS options, ULONG n_key, PCHAR key, BOOLEAN persistent,
	PISCSI_UNIQUE_SESSION_ID session_id, PISCSI_UNIQUE_CONNECTION_ID connection_id)
{
	return target_login(FORM_W, target, instance, portal, mapping,
			    &(struct login){informational, persistent, port, flags, options, key,
					    n_key, session_id, connection_id});
}

EXPORT ISDSC_STATUS WINAPI LogoutIScsiTarget(PISCSI_UNIQUE_SESSION_ID session_id)
{
	struct args a = args_begin();

	args_id(&a, "sessionId", session_id);
	return args_call(&a, "Logout", LOGOUT_MS, NULL);
}

static ISDSC_STATUS sessions_report(enum form form, void *size, void *count, void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list_counted(&a, &l, form, buffer, size, count);
	status = args_call(&a, "ListSessions", QUERY_MS, &reply);
	return status ? status : list_bytes(&l, &record_session, reply, "sessions");
}

EXPORT ISDSC_STATUS WINAPI GetIScsiSessionListA(ULONG *size, ULONG *count,
						PISCSI_SESSION_INFOA info)
{
	return sessions_report(FORM_A, size, count, info);
}

EXPORT ISDSC_STATUS WINAPI GetIScsiSessionListW(ULONG *size, ULONG *count,
						PISCSI_SESSION_INFOW info)
{
	return sessions_report(FORM_W, size, count, info);
}

static ISDSC_STATUS devices_report(enum form form, const void *session_id, void *count,
				   void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list(&a, &l, form, buffer, count);
	args_id(&a, "sessionId", session_id);
	status = args_call(&a, "ListDevices", QUERY_MS, &reply);
	return status ? status : list_elements(&l, &record_device, reply, "devices");
}

EXPORT ISDSC_STATUS WINAPI GetDevicesForIScsiSessionA(PISCSI_UNIQUE_SESSION_ID session_id,
						      ULONG *count,
						      PISCSI_DEVICE_ON_SESSIONA devices)
{
	return devices_report(FORM_A, session_id, count, devices);
}

EXPORT ISDSC_STATUS WINAPI GetDevicesForIScsiSessionW(PISCSI_UNIQUE_SESSION_ID session_id,
						      ULONG *count,
						      PISCSI_DEVICE_ON_SESSIONW devices)
{
	return devices_report(FORM_W, session_id, count, devices);
}

static ISDSC_STATUS mappings_report(enum form form, void *size, void *count, void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list_counted(&a, &l, form, buffer, size, count);
	status = args_call(&a, "ListMappings", QUERY_MS, &reply);
	return status ? status : list_bytes(&l, &record_mapping, reply, "mappings");
}

EXPORT ISDSC_STATUS WINAPI ReportActiveIScsiTargetMappingsA(PULONG size, PULONG count,
							    PISCSI_TARGET_MAPPINGA mappings)
{
	return mappings_report(FORM_A, size, count, mappings);
}

EXPORT ISDSC_STATUS WINAPI ReportActiveIScsiTargetMappingsW(PULONG size, PULONG count,
							    PISCSI_TARGET_MAPPINGW mappings)
{
	return mappings_report(FORM_W, size, count, mappings);
}
