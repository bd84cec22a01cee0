/* SPDX-License-Identifier: MIT */
/*
 * Portals, targets that they tell, and iSNS servers
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/name.h"
#include "cli/arguments.h"
#include "cli/list.h"
#include "cli/print.h"

/* Characters to begin with when every portal is asked: asking twice would take twice the time. */
#define TARGETS_FIRST (1u << 20)

static ISDSC_STATUS portal_add(struct cli *cli, char *instance, ULONG port_number,
			       ISCSI_SECURITY_FLAGS flags, struct login_options *options,
			       const char *address, const char *socket)
{
	ISCSI_TARGET_PORTALA portal;
	ISDSC_STATUS status;

	status = portal_take(cli, address, socket, &portal);
	if (status)
		return status;
	return AddIScsiSendTargetPortalA(instance, port_number, options ? &options->options : NULL,
					 flags, &portal);
}

ISDSC_STATUS cmd_add_target_portal(struct cli *cli, int argc, char **argv)
{
	CLEANUP(login_options_clear) struct login_options options = {0};
	ISDSC_STATUS status;

	if (argc == 2)
		return portal_add(cli, NULL, ISCSI_ALL_INITIATOR_PORTS, 0, NULL, argv[0], argv[1]);
	status = login_options_take(cli, argv + 5, &options);
	if (status)
		return status;
	return portal_add(cli, value_text(argv[2]),
			  value_number_or(argv[3], ISCSI_ALL_INITIATOR_PORTS),
			  value_number(argv[4]), &options, argv[0], argv[1]);
}

ISDSC_STATUS cmd_q_add_target_portal(struct cli *cli, int argc, char **argv)
{
	CLEANUP(login_options_clear) struct login_options options = {0};
	ISDSC_STATUS status;

	if (argc == 1)
		return portal_add(cli, NULL, ISCSI_ALL_INITIATOR_PORTS, 0, NULL, argv[0], NULL);
	status = login_options_quick(cli, argv[1], argv[2], &options);
	if (status)
		return status;
	return portal_add(cli, NULL, ISCSI_ALL_INITIATOR_PORTS, 0, &options, argv[0], NULL);
}

/* The arguments of RemoveTargetPortal and RefreshTargetPortal. */
struct portal_key {
	char *instance;
	ULONG port_number;
	ISCSI_TARGET_PORTALA portal;
};

static ISDSC_STATUS portal_key_take(struct cli *cli, int argc, char **argv, struct portal_key *ret)
{
	ret->instance = argc > 2 ? value_text(argv[2]) : NULL;
	ret->port_number = ISCSI_ALL_INITIATOR_PORTS;
	if (argc > 3)
		ret->port_number = value_number_or(argv[3], ISCSI_ALL_INITIATOR_PORTS);
	return portal_take(cli, argv[0], argv[1], &ret->portal);
}

ISDSC_STATUS cmd_remove_target_portal(struct cli *cli, int argc, char **argv)
{
	struct portal_key key;
	ISDSC_STATUS status = portal_key_take(cli, argc, argv, &key);

	if (status)
		return status;
	return RemoveIScsiSendTargetPortalA(key.instance, key.port_number, &key.portal);
}

ISDSC_STATUS cmd_refresh_target_portal(struct cli *cli, int argc, char **argv)
{
	struct portal_key key;
	ISDSC_STATUS status = portal_key_take(cli, argc, argv, &key);

	if (status)
		return status;
	return RefreshIScsiSendTargetPortalA(key.instance, key.port_number, &key.portal);
}

static ISDSC_STATUS portals_call(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	(void)arg;
	return ReportIScsiSendTargetPortalsExA(count, size, buffer);
}

static void print_portal(const struct cli *cli, const ISCSI_TARGET_PORTAL_INFO_EXA *p)
{
	out(cli, "    %-21s: %s %u\n", "Address and Socket", p->Address, p->Socket);
	out(cli, "    %-21s: %s\n", "Symbolic Name", p->SymbolicName);
	out(cli, "    %-21s: %s\n", "Initiator Name", p->InitiatorName);
	print_port_number(cli, 21, p->InitiatorPortNumber);
	print_security_flags(cli, 4, p->SecurityFlags);
	print_login_options(cli, &p->LoginOptions);
	out(cli, "\n");
}

static json_t *json_portal(const ISCSI_TARGET_PORTAL_INFO_EXA *p)
{
	const ISCSI_LOGIN_OPTIONS *o = &p->LoginOptions;

	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:I, s:b, s:b, s:I, s:o}",
			 "TargetPortalAddress", p->Address, "TargetPortalPortNumber",
			 (int)p->Socket, "PortalSymbolicName", p->SymbolicName,
			 "InitiatorInstanceName", p->InitiatorName, "InitiatorPortalAddress", "",
			 "InititorIPAdressListNumber", (json_int_t)p->InitiatorPortNumber,
			 "IsHeaderDigest", o->HeaderDigest == ISCSI_DIGEST_TYPE_CRC32C,
			 "IsDataDigest", o->DataDigest == ISCSI_DIGEST_TYPE_CRC32C, "SecurityFlags",
			 (json_int_t)p->SecurityFlags, "LoginOptions", json_login_options(o));
}

ISDSC_STATUS cmd_list_target_portals(struct cli *cli, int argc, char **argv)
{
	CLEANUP(freep) void *buffer = NULL;
	const ISCSI_TARGET_PORTAL_INFO_EXA *portals;
	json_t *list = json_array();
	ISDSC_STATUS status;
	ULONG n;

	status = list_get(portals_call, NULL, 1, 0, &buffer, &n);
	portals = buffer;
	if (n > 0)
		out(cli, "Total of %u portals are persisted:\n\n", n);
	for (ULONG i = 0; i < n; i++) {
		print_portal(cli, &portals[i]);
		json_array_append_new(list, json_portal(&portals[i]));
	}
	out_json(cli, "TargetPortals", list);
	return status;
}

static ISDSC_STATUS targets_call(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	const bool *force = arg;
	ISDSC_STATUS status = ReportIScsiTargetsA(*force, size, buffer);

	*count = *size;
	return status;
}

static json_t *json_target(const char *name, const ISCSI_SESSION_INFOA *sessions, ULONG n)
{
	bool connected = false;

	for (ULONG i = 0; i < n; i++) {
		if (iscsi_name_equal(sessions[i].TargetName, name))
			connected = true;
	}
	return json_pack("{s:s, s:b}", "NodeAddress", name, "IsConnected", connected);
}

static void targets_to_json(struct cli *cli, const char *names)
{
	CLEANUP(freep) ISCSI_SESSION_INFOA *sessions = NULL;
	json_t *list = json_array();
	ULONG n;

	(void)session_list_get(&sessions, &n);
	for (const char *name = name_next(names, NULL); name; name = name_next(names, name))
		json_array_append_new(list, json_target(name, sessions, n));
	out_json(cli, "Targets", list);
}

ISDSC_STATUS cmd_list_targets(struct cli *cli, int argc, char **argv)
{
	CLEANUP(freep) void *names = NULL;
	bool force = argc > 0 && value_bool(argv[0], false);
	ISDSC_STATUS status;
	ULONG n;

	status = list_get(targets_call, &force, 1, force ? TARGETS_FIRST : 0, &names, &n);
	if (status && status != ISDSC_OPERATION_NOT_ALL_SUCCESS)
		return status;
	out(cli, "Targets List:\n");
	for (const char *name = name_next(names, NULL); name; name = name_next(names, name))
		out(cli, "    %s\n", name);
	if (cli->json)
		targets_to_json(cli, names);
	return status;
}

ISDSC_STATUS cmd_add_isns_server(struct cli *cli, int argc, char **argv)
{
	return AddISNSServerA(argv[0]);
}

ISDSC_STATUS cmd_remove_isns_server(struct cli *cli, int argc, char **argv)
{
	return RemoveISNSServerA(argv[0]);
}

ISDSC_STATUS cmd_refresh_isns_server(struct cli *cli, int argc, char **argv)
{
	return RefreshISNSServerA(value_text(argv[0]));
}

static ISDSC_STATUS isns_call(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	ISDSC_STATUS status = ReportISNSServerListA(size, buffer);

	(void)arg;
	*count = *size;
	return status;
}

ISDSC_STATUS cmd_list_isns_servers(struct cli *cli, int argc, char **argv)
{
	CLEANUP(freep) void *names = NULL;
	json_t *list;
	ISDSC_STATUS status;
	ULONG n;

	status = list_get(isns_call, NULL, 1, 0, &names, &n);
	if (status)
		return status;
	list = json_array();
	if (!name_next(names, NULL))
		out(cli, "No SNS Servers\n");
	for (const char *name = name_next(names, NULL); name; name = name_next(names, name)) {
		out(cli, "    %s\n", name);
		json_array_append_new(list, json_string(name));
	}
	out_json(cli, "iSNSServers", list);
	return ERROR_SUCCESS;
}

ISDSC_STATUS cmd_firewall_isns(struct cli *cli, int argc, char **argv)
{
	return ERROR_SUCCESS;
}
