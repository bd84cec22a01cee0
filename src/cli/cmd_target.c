/* SPDX-License-Identifier: MIT */
/*
 * Targets that were added by hand, and what is known about a target
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/list.h"
#include "cli/print.h"

ISDSC_STATUS cmd_add_target(struct cli *cli, int argc, char **argv)
{
	CLEANUP(login_options_clear) struct login_options options = {0};
	CLEANUP(freep) ISCSI_TARGET_MAPPINGA *mapping = NULL;
	ISCSI_TARGET_PORTAL_GROUPA group = {.Count = 1};
	bool has_portal = !value_is_any(argv[2]) && !value_is_any(argv[3]);
	ISDSC_STATUS status = ERROR_SUCCESS;

	if (has_portal)
		status = portal_take(cli, argv[2], argv[3], &group.Portals[0]);
	if (!status)
		status = login_options_take(cli, argv + 6, &options);
	if (!status)
		status = mapping_take(cli, argv + 15, &mapping);
	if (status)
		return status;
	return AddIScsiStaticTargetA(argv[0], value_text(argv[1]), value_number(argv[4]),
				     value_bool(argv[5], true), mapping, &options.options,
				     has_portal ? &group : NULL);
}

ISDSC_STATUS cmd_q_add_target(struct cli *cli, int argc, char **argv)
{
	ISCSI_TARGET_PORTAL_GROUPA group = {.Count = 1};
	bool has_portal = !value_is_any(argv[1]);
	ISDSC_STATUS status = ERROR_SUCCESS;

	if (has_portal)
		status = portal_take(cli, argv[1], NULL, &group.Portals[0]);
	if (status)
		return status;
	return AddIScsiStaticTargetA(argv[0], NULL, 0, TRUE, NULL, NULL,
				     has_portal ? &group : NULL);
}

ISDSC_STATUS cmd_remove_target(struct cli *cli, int argc, char **argv)
{
	return RemoveIScsiStaticTargetA(argv[0]);
}

struct info_call {
	char *target, *mechanism;
	TARGET_INFORMATION_CLASS class;
};

static ISDSC_STATUS info_get(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	const struct info_call *call = arg;
	ISDSC_STATUS status;

	status = GetIScsiTargetInformationA(call->target, call->mechanism, call->class, size,
					    buffer);
	*count = *size;
	return status;
}

/* One item of the listing: its class, and what to do with the bytes of it. */
struct info_item {
	TARGET_INFORMATION_CLASS class;
	const char *name, *key;
	void (*show)(struct cli *cli, const struct info_item *item, const void *p, ULONG n);
};

static void show_protocol(struct cli *cli, const struct info_item *item, const void *p, ULONG n)
{
	ULONG type = UINT32_MAX;

	if (n >= sizeof(type))
		memcpy(&type, p, sizeof(type));
	out(cli, "    %-21s: %s\n", item->name,
	    type == ISCSI_TCP_PROTOCOL_TYPE ? "iSCSI TCP Protocol" : "Unknown");
	out_json(cli, item->key, json_integer(type));
}

static void show_text(struct cli *cli, const struct info_item *item, const void *p, ULONG n)
{
	const char *text = n ? p : "";

	out(cli, "    %-21s: %s\n", item->name, text);
	out_json(cli, item->key, json_string(text));
}

static void show_flags(struct cli *cli, const struct info_item *item, const void *p, ULONG n)
{
	ULONG flags = 0;

	if (n >= sizeof(flags))
		memcpy(&flags, p, sizeof(flags));
	out(cli, "    %-21s: 0x%x\n", item->name, flags);
	out_json(cli, item->key, json_integer(flags));
}

static json_t *show_portal(struct cli *cli, const UCHAR *p)
{
	ISCSI_TARGET_PORTALA portal;

	memcpy(&portal, p, sizeof(portal));
	out(cli, "            %-22s: %s %u\n", "Address and Socket", portal.Address, portal.Socket);
	out(cli, "            %-22s: %s\n", "Symbolic Name", portal.SymbolicName);
	return json_pack("{s:s, s:s, s:i}", "SymbolicName", portal.SymbolicName, "Address",
			 portal.Address, "Port", (int)portal.Socket);
}

/* A group and its padding: 4 bytes when it is empty, as the structure's size says otherwise. */
static size_t group_bytes(ULONG n_portals)
{
	size_t n = sizeof(ULONG);

	if (n_portals > 0)
		n = sizeof(ISCSI_TARGET_PORTAL_GROUPA) +
		    (n_portals - 1) * sizeof(ISCSI_TARGET_PORTALA);
	return (n + 3) & ~(size_t)3;
}

static void show_groups(struct cli *cli, const struct info_item *item, const void *p, ULONG n)
{
	const UCHAR *at = p, *end = at + n;
	json_t *groups = json_array();
	ULONG n_groups = 0, n_portals;

	if (n >= sizeof(n_groups))
		memcpy(&n_groups, at, sizeof(n_groups));
	out(cli, "    %-21s: %u portal groups\n", item->name, n_groups);
	at += sizeof(n_groups);
	for (ULONG i = 0; i < n_groups && end - at >= (long)sizeof(n_portals); i++) {
		json_t *portals;

		memcpy(&n_portals, at, sizeof(n_portals));
		if (n_portals > (size_t)(end - at) / sizeof(ISCSI_TARGET_PORTALA))
			break;
		portals = json_array();
		out(cli, "        Group %u has %u portals\n", i, n_portals);
		for (ULONG k = 0; k < n_portals; k++)
			json_array_append_new(
				portals,
				show_portal(cli,
					    at + offsetof(ISCSI_TARGET_PORTAL_GROUPA, Portals) +
						    k * sizeof(ISCSI_TARGET_PORTALA)));
		json_array_append_new(groups, json_pack("{s:o}", "Portals", portals));
		at += group_bytes(n_portals);
	}
	out_json(cli, item->key, groups);
}

static void show_options(struct cli *cli, const struct info_item *item, const void *p, ULONG n)
{
	const ISCSI_LOGIN_OPTIONS *o = p;

	if (n < sizeof(*o)) {
		out_json(cli, item->key, json_null());
		return;
	}
	print_login_options(cli, o);
	out_json(cli, item->key, json_login_options(o));
}

static void show_mapping(struct cli *cli, const struct info_item *item, const void *p, ULONG n)
{
	const ISCSI_TARGET_MAPPINGA *m = p;

	if (n < sizeof(*m)) {
		out_json(cli, item->key, json_null());
		return;
	}
	print_mapping(cli, m);
	out_json(cli, item->key, json_mapping(m));
}

static const struct info_item items[] = {
	{ProtocolType, "Protocol Type", "ProtocolType", show_protocol},
	{TargetAlias, "Target Alias", "TargetAlias", show_text},
	{PortalGroups, "PortalGroups", "PortalGroups", show_groups},
	{InitiatorName, "Initiator Name", "InitiatorName", show_text},
	{TargetFlags, "Target Flags", "TargetFlags", show_flags},
	{LoginOptions, "Login Options", "LoginOptions", show_options},
	{PersistentTargetMappings, "Target Mappings", "Mappings", show_mapping},
};

static void item_failed(struct cli *cli, const struct info_item *item, ISDSC_STATUS status)
{
	out(cli, "    %s Failed : %s\n", item->name, iscsidsc_strerror(status));
	out_json(cli, item->key,
		 json_pack("{s:I, s:s}", "Status", (json_int_t)status, "Message",
			   iscsidsc_strerror(status)));
}

/* What one mechanism told; an item that cannot be had is said in its place. */
static ISDSC_STATUS mechanism_show(struct cli *cli, char *target, char *mechanism)
{
	ISDSC_STATUS status;

	for (size_t i = 0; i < ARRAY_SIZE(items); i++) {
		struct info_call call = {target, mechanism, items[i].class};
		CLEANUP(freep) void *buffer = NULL;
		ULONG n;

		status = list_get(info_get, &call, 1, 0, &buffer, &n);
		if (status == ERROR_CALL_NOT_IMPLEMENTED || status == ISDSC_SERVICE_NOT_RUNNING)
			return status;
		if (status)
			item_failed(cli, &items[i], status);
		else
			items[i].show(cli, &items[i], buffer, n);
	}
	return ERROR_SUCCESS;
}

static ISDSC_STATUS mechanisms_show(struct cli *cli, char *target)
{
	struct info_call call = {target, NULL, DiscoveryMechanisms};
	CLEANUP(freep) void *names = NULL;
	json_t *list;
	ISDSC_STATUS status;
	ULONG n;

	status = list_get(info_get, &call, 1, 0, &names, &n);
	if (status)
		return status;
	list = json_array();
	out_json(cli, "TargetName", json_string(target));
	out(cli, "Get Target information for %s discovered by <all mechanisms>\n", target);
	if (name_next(names, NULL))
		out(cli, "    Discovery Mechanisms :\n");
	else
		out(cli, "    Discovery Mechanisms: <This List is Empty>\n");
	for (const char *name = name_next(names, NULL); name; name = name_next(names, name)) {
		out(cli, "         \"%s\"\n", name);
		json_array_append_new(list, json_string(name));
	}
	out(cli, "\n");
	out_json(cli, "DiscoveryMechanisms", list);
	return ERROR_SUCCESS;
}

static size_t trimmed(const char *text)
{
	size_t n = strlen(text);

	while (n > 0 && text[n - 1] == ' ')
		n--;
	return n;
}

/* As the listing has it: what a script cuts out of a line often lacks the blank at its end. */
static char *mechanism_known(char *target, char *given)
{
	struct info_call call = {target, NULL, DiscoveryMechanisms};
	CLEANUP(freep) void *names = NULL;
	size_t n = trimmed(given);
	ULONG count;

	(void)list_get(info_get, &call, 1, 0, &names, &count);
	for (const char *name = name_next(names, NULL); name; name = name_next(names, name)) {
		if (trimmed(name) == n && memcmp(name, given, n) == 0)
			return strdup(name);
	}
	return strdup(given);
}

ISDSC_STATUS cmd_target_info(struct cli *cli, int argc, char **argv)
{
	CLEANUP(freep) char *mechanism = NULL;
	ISDSC_STATUS status;

	if (argc == 1 || value_is_any(argv[1]))
		return mechanisms_show(cli, argv[0]);
	mechanism = mechanism_known(argv[0], argv[1]);
	if (!mechanism)
		return ERROR_NOT_ENOUGH_MEMORY;
	out_json(cli, "TargetName", json_string(argv[0]));
	out(cli, "Get Target information for %s discovered by \"%s\"\n", argv[0], argv[1]);
	out_json(cli, "DiscoveryMechanism", json_string(mechanism));
	status = mechanism_show(cli, argv[0], mechanism);
	out(cli, "\n");
	return status;
}
