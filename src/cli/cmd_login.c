/* SPDX-License-Identifier: MIT */
/*
 * Login, logout, stored logins, connections
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/list.h"
#include "cli/own.h"
#include "cli/print.h"
#include "cli/service.h"

#define FORCE_TIMEOUT_MS 300000 /* it has bounds of its own, one after the other */

static void id_show(struct cli *cli, const char *words, const char *key,
		    const ISCSI_UNIQUE_SESSION_ID *id)
{
	out(cli, "%s is 0x%llx-0x%llx\n", words, (unsigned long long)id->AdapterUnique,
	    (unsigned long long)id->AdapterSpecific);
	out_json(cli, key, json_id(id));
}

static void login_show(struct cli *cli, const ISCSI_UNIQUE_SESSION_ID *session,
		       const ISCSI_UNIQUE_CONNECTION_ID *connection)
{
	id_show(cli, "Session Id", "SessionIdentifier", session);
	id_show(cli, "Connection Id", "ConnectionIdentifier", connection);
}

/* The 18 arguments and more of both login commands. */
static ISDSC_STATUS login(struct cli *cli, char **argv, bool persistent)
{
	CLEANUP(login_options_clear) struct login_options options = {0};
	CLEANUP(freep) ISCSI_TARGET_MAPPINGA *mapping = NULL;
	CLEANUP(secret_clear) struct secret key = {0};
	ISCSI_UNIQUE_SESSION_ID session;
	ISCSI_UNIQUE_CONNECTION_ID connection;
	ISCSI_TARGET_PORTALA portal;
	char *instance = value_text(argv[4]);
	bool has_portal;
	ISDSC_STATUS status;

	status = portal_take_or_any(cli, argv[2], argv[3], &portal, &has_portal);
	if (!status)
		status = login_options_take(cli, argv + 7, &options);
	if (!status && !value_is_any(argv[16]))
		status = secret_take(cli, argv[16], &key);
	if (!status)
		status = mapping_take(cli, argv + 17, &mapping);
	if (status)
		return status;
	out(cli, "LoginTarget to %s on %s to %s/%u\n", argv[0],
	    instance ? instance : "<no init instance>", has_portal ? portal.Address : "<no portal>",
	    has_portal ? portal.Socket : 0);
	out_json(cli, "TargetName", json_string(argv[0]));
	status = LoginIScsiTargetA(argv[0], !value_bool(argv[1], true), instance,
				   value_number_or(argv[5], ISCSI_ANY_INITIATOR_PORT),
				   has_portal ? &portal : NULL, value_number(argv[6]), mapping,
				   &options.options, key.n, (PCHAR)key.p, persistent, &session,
				   &connection);
	if (status || persistent)
		return status;
	login_show(cli, &session, &connection);
	/* a session for SCSI queries has no devices to wait for */
	return cli->wait_s && value_bool(argv[1], true) ? devices_wait(cli, &session) : status;
}

ISDSC_STATUS cmd_login_target(struct cli *cli, int argc, char **argv)
{
	return login(cli, argv, false);
}

ISDSC_STATUS cmd_persistent_login_target(struct cli *cli, int argc, char **argv)
{
	return login(cli, argv, true);
}

ISDSC_STATUS cmd_q_login_target(struct cli *cli, int argc, char **argv)
{
	CLEANUP(login_options_clear) struct login_options options = {0};
	ISCSI_UNIQUE_SESSION_ID session;
	ISCSI_UNIQUE_CONNECTION_ID connection;
	ISDSC_STATUS status = ERROR_SUCCESS;

	if (argc == 3)
		status = login_options_quick(cli, argv[1], argv[2], &options);
	if (status)
		return status;
	out_json(cli, "TargetName", json_string(argv[0]));
	status = LoginIScsiTargetA(argv[0], FALSE, NULL, ISCSI_ANY_INITIATOR_PORT, NULL, 0, NULL,
				   &options.options, 0, NULL, FALSE, &session, &connection);
	if (status)
		return status;
	login_show(cli, &session, &connection);
	return cli->wait_s ? devices_wait(cli, &session) : status;
}

/* Says beforehand whom it takes the devices from. */
static ISDSC_STATUS logout_by_force(struct cli *cli, const ISCSI_UNIQUE_SESSION_ID *id)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	char text[ID_TEXT_BYTES], why[WHY_BYTES];
	ISDSC_STATUS status;

	id_format(id, text);
	holders_show(cli, text, "");
	out(cli, "    By force: what the users of a device have not written yet is lost, and their "
		 "I/O ends with errors\n");
	fflush(stdout);
	status = service_call_within("LogoutByForce", json_pack("{s:s}", "sessionId", text),
				     FORCE_TIMEOUT_MS, &reply, why, sizeof(why));
	if (status)
		own_why(cli, why);
	return status;
}

ISDSC_STATUS cmd_logout_target(struct cli *cli, int argc, char **argv)
{
	CLEANUP(freep) char *detail = NULL;
	ISCSI_UNIQUE_SESSION_ID id;
	char text[ID_TEXT_BYTES];
	ISDSC_STATUS status;

	status = session_id_take(cli, argv[0], &id);
	if (status)
		return status;
	out(cli, "Logout Target 0x%llx-0x%llx\n", (unsigned long long)id.AdapterUnique,
	    (unsigned long long)id.AdapterSpecific);
	out_json(cli, "SessionIdentifier", json_id(&id));
	if (cli->force)
		return logout_by_force(cli, &id);
	status = LogoutIScsiTarget(&id);
	if (status == ISDSC_DEVICE_BUSY_ON_SESSION) {
		detail = strdup(iscsidsc_last_detail());
		id_format(&id, text);
		holders_show(cli, text, detail ? detail : "");
	}
	return status;
}

static ISDSC_STATUS logins_call(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	(void)arg;
	return ReportIScsiPersistentLoginsA(count, buffer, size);
}

static void print_stored_login(const struct cli *cli, const PERSISTENT_ISCSI_LOGIN_INFOA *l)
{
	const ISCSI_TARGET_PORTALA *portal = &l->TargetPortal;

	out(cli, "    %-22s: %s\n", "Target Name", l->TargetName);
	out(cli, "    %-22s: %s %u\n", "Address and Socket",
	    portal->Address[0] ? portal->Address : "*", portal->Socket);
	out(cli, "    %-22s: %s\n", "Session Type",
	    l->IsInformationalSession ? "Informational" : "Data");
	out(cli, "    %-22s: %s\n", "Initiator Name", l->InitiatorInstance);
	print_port_number(cli, 22, l->InitiatorPortNumber);
	print_security_flags(cli, 4, l->SecurityFlags);
	print_login_options(cli, &l->LoginOptions);
	if (l->Mappings)
		print_mapping(cli, l->Mappings);
	out(cli, "\n");
}

static json_t *json_stored_login(const PERSISTENT_ISCSI_LOGIN_INFOA *l)
{
	const ISCSI_TARGET_PORTALA *portal = &l->TargetPortal;

	return json_pack("{s:s, s:b, s:s, s:I, s:{s:s, s:s, s:i}, s:I, s:o, s:o}", "TargetName",
			 l->TargetName, "IsInformationalSession", l->IsInformationalSession != 0,
			 "InitiatorInstance", l->InitiatorInstance, "InitiatorPortNumber",
			 (json_int_t)l->InitiatorPortNumber, "TargetPortal", "SymbolicName",
			 portal->SymbolicName, "Address", portal->Address, "Port",
			 (int)portal->Socket, "SecurityFlags", (json_int_t)l->SecurityFlags,
			 "LoginOptions", json_login_options(&l->LoginOptions), "Mappings",
			 l->Mappings ? json_mapping(l->Mappings) : json_null());
}

ISDSC_STATUS cmd_list_persistent_targets(struct cli *cli, int argc, char **argv)
{
	CLEANUP(freep) void *buffer = NULL;
	const PERSISTENT_ISCSI_LOGIN_INFOA *logins;
	json_t *list;
	ISDSC_STATUS status;
	ULONG n;

	status = list_get(logins_call, NULL, 1, 0, &buffer, &n);
	if (status)
		return status;
	logins = buffer;
	list = json_array();
	out(cli, "Total of %u peristent targets\n", n);
	for (ULONG i = 0; i < n; i++) {
		print_stored_login(cli, &logins[i]);
		json_array_append_new(list, json_stored_login(&logins[i]));
	}
	out_json(cli, "PersistentLogins", list);
	return ERROR_SUCCESS;
}

ISDSC_STATUS cmd_remove_persistent_target(struct cli *cli, int argc, char **argv)
{
	ISCSI_TARGET_PORTALA portal;
	bool any = value_is_any(argv[3]);
	ISDSC_STATUS status = ERROR_SUCCESS;

	if (!any)
		status = portal_take(cli, argv[3], argv[4], &portal);
	if (status)
		return status;
	return RemoveIScsiPersistentTargetA(value_text(argv[0]),
					    value_number_or(argv[2], ISCSI_ALL_INITIATOR_PORTS),
					    argv[1], any ? NULL : &portal);
}

ISDSC_STATUS cmd_add_connection(struct cli *cli, int argc, char **argv)
{
	CLEANUP(login_options_clear) struct login_options options = {0};
	CLEANUP(secret_clear) struct secret key = {0};
	ISCSI_UNIQUE_SESSION_ID session;
	ISCSI_UNIQUE_CONNECTION_ID connection;
	ISCSI_TARGET_PORTALA portal;
	bool has_portal;
	ISDSC_STATUS status;

	if (!value_id(argv[0], &session)) {
		cli->usage = true;
		return ERROR_SUCCESS;
	}
	status = portal_take_or_any(cli, argv[3], argv[4], &portal, &has_portal);
	if (!status)
		status = login_options_take(cli, argv + 6, &options);
	if (!status && !value_is_any(argv[15]))
		status = secret_take(cli, argv[15], &key);
	if (status)
		return status;
	status = AddIScsiConnectionA(&session, NULL,
				     value_number_or(argv[2], ISCSI_ANY_INITIATOR_PORT),
				     has_portal ? &portal : NULL, value_number(argv[5]),
				     &options.options, key.n, (PCHAR)key.p, &connection);
	if (!status)
		id_show(cli, "Connection Id", "ConnectionIdentifier", &connection);
	return status;
}

ISDSC_STATUS cmd_q_add_connection(struct cli *cli, int argc, char **argv)
{
	CLEANUP(login_options_clear) struct login_options options = {0};
	ISCSI_UNIQUE_SESSION_ID session;
	ISCSI_UNIQUE_CONNECTION_ID connection;
	ISCSI_TARGET_PORTALA portal;
	bool any = value_is_any(argv[2]);
	ISDSC_STATUS status;

	status = session_id_take(cli, argv[0], &session);
	if (!status && !any)
		status = portal_take(cli, argv[2], NULL, &portal);
	if (!status && argc == 5)
		status = login_options_quick(cli, argv[3], argv[4], &options);
	if (status)
		return status;
	status = AddIScsiConnectionA(&session, NULL, ISCSI_ANY_INITIATOR_PORT, any ? NULL : &portal,
				     0, &options.options, 0, NULL, &connection);
	if (!status)
		id_show(cli, "Connection Id", "ConnectionIdentifier", &connection);
	return status;
}

ISDSC_STATUS cmd_remove_connection(struct cli *cli, int argc, char **argv)
{
	ISCSI_UNIQUE_SESSION_ID session;
	ISCSI_UNIQUE_CONNECTION_ID connection;
	ISDSC_STATUS status;

	status = session_id_take(cli, argv[0], &session);
	if (status)
		return status;
	if (!value_id(argv[1], &connection))
		return out_refuse(cli, "Invalid connectionid: %s", argv[1]);
	return RemoveIScsiConnection(&session, &connection);
}
