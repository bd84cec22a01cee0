/* SPDX-License-Identifier: MIT */
/*
 * The table of commands
 *
 * Names, arguments and their order are those of the Windows program; the words of
 * the help are ours. They keep clear of words that scripts take for a failure
 * ("failed", "cannot", "not found"), because help ends with success as well.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/cli.h"

#define ARGS_OPTIONS                                                     \
	"<Login Flags> <Header Digest> <Data Digest> <Max Connections> " \
	"<DefaultTime2Wait> <DefaultTime2Retain> <Username> <Password> <AuthType>"
#define ARGS_MAPPINGS "<Mapping Count> [<Target Lun> <OS Bus> <OS Target> <OS Lun>] ..."

#define HELP_INITIATOR                                                                            \
	"    Initiator: an instance that ListInitiators shows, such as Root\\ISCSIPRT\\0000_0;\n" \
	"        * is any\n"                                                                      \
	"    Port Number: of the initiator; * or -1 is any\n"
#define HELP_PORTAL                                                                             \
	"    Address: IPv4 or IPv6 address or host name of the target portal; Socket: its TCP " \
	"port\n"
#define HELP_SECURITY                                                                      \
	"    Security Flags: sum of 0x1 the others are valid, 0x2 IPsec, 0x4 main mode,\n" \
	"        0x8 aggressive mode, 0x10 PFS, 0x20 transport mode, 0x40 tunnel mode;\n"  \
	"        * is 0, the defaults of the service\n"
#define HELP_OPTIONS                                                                       \
	"    Login Flags: sum of 0x1 require IPsec, 0x2 more sessions to the target are\n" \
	"        wanted (multipath)\n"                                                     \
	"    Header Digest, Data Digest: 0 none, 1 CRC32C\n"                               \
	"    Max Connections: connections in one session\n"                                \
	"    DefaultTime2Wait, DefaultTime2Retain: seconds\n"                              \
	"    Username, Password: of the target, for CHAP; - is an empty one. A password\n" \
	"        that begins with 0x is given in hexadecimal\n"                            \
	"    AuthType: 0 none, 1 CHAP, 2 mutual CHAP\n"                                    \
	"    * for any of them leaves it to the service\n"
#define HELP_MAPPINGS                                                                       \
	"    Mapping Count: groups of four that follow; 0 and * are none\n"                 \
	"    Target Lun: 0x and 16 hexadecimal digits; OS Bus and OS Target: the same in\n" \
	"        every group\n"
#define HELP_SESSION "    SessionId: as SessionList shows it\n"
#define HELP_CHAP    "    CHAP Username, CHAP Password: both or neither; - or * is an empty one\n"
#define HELP_LOGIN                                                                            \
	"    ReportToPNP: T or *: the units of the target become devices; all else: the\n"    \
	"        session is for SCSI queries only\n" HELP_PORTAL                              \
	"        * for both: the service chooses\n" HELP_INITIATOR HELP_SECURITY HELP_OPTIONS \
	"    Key: preshared key for IPsec, * is none\n" HELP_MAPPINGS

static bool one_or_three(int argc, char **argv)
{
	(void)argv;
	return argc == 1 || argc == 3;
}

static bool three_or_five(int argc, char **argv)
{
	(void)argv;
	return argc == 3 || argc == 5;
}

static bool add_target_portal_fits(int argc, char **argv)
{
	(void)argv;
	return argc == 2 || argc >= 14;
}

static bool add_target_fits(int argc, char **argv)
{
	return mapping_fits(argc, argv, 16);
}

static bool login_target_fits(int argc, char **argv)
{
	return mapping_fits(argc, argv, 18);
}

/* clang-format off */
static const struct command commands[] = {
	{"AddTarget", 16, -1, "<TargetName> <TargetAlias> <TargetPortalAddress> <TargetPortalSocket> <Target flags> <Persist> " ARGS_OPTIONS " " ARGS_MAPPINGS,
	 "    Adds a target by hand.\n"
	 "    TargetAlias: * is none; portal: * for address or socket is none\n"
	 "    Target flags: 0x2 hidden until it is discovered too, 0x4 added to what is known\n"
	 "    Persist: T or * keeps it over a restart\n" HELP_OPTIONS HELP_MAPPINGS,
	 cmd_add_target, add_target_fits},
	{"RemoveTarget", 1, 1, "<TargetName>", "    Removes a target that was added by hand.\n", cmd_remove_target, NULL},
	{"AddTargetPortal", 2, -1, "<Address> <Socket> [HBA Name] [Port Number] <Security Flags> " ARGS_OPTIONS,
	 "    Stores a portal and asks it for its targets. Two arguments, or all of them.\n"
	 HELP_PORTAL HELP_INITIATOR HELP_SECURITY HELP_OPTIONS,
	 cmd_add_target_portal, add_target_portal_fits},
	{"RemoveTargetPortal", 2, 4, "<Address> <Socket> [HBA Name] [Port Number]",
	 "    Forgets a stored portal.\n" HELP_PORTAL HELP_INITIATOR, cmd_remove_target_portal, NULL},
	{"RefreshTargetPortal", 2, 4, "<Address> <Socket> [HBA Name] [Port Number]",
	 "    Asks a portal for its targets again.\n" HELP_PORTAL HELP_INITIATOR, cmd_refresh_target_portal, NULL},
	{"ListTargets", 0, 1, "[ForceUpdate]",
	 "    Shows the known targets. ForceUpdate: T asks every portal first.\n", cmd_list_targets, NULL},
	{"ListTargetPortals", 0, -1, "", "    Shows the stored portals.\n", cmd_list_target_portals, NULL},
	{"TargetInfo", 1, 2, "<TargetName> [Discovery Mechanism]",
	 "    Shows how a target became known, or with a mechanism what it told.\n", cmd_target_info, NULL},
	{"LoginTarget", 18, -1, "<TargetName> <ReportToPNP> <PortalAddress> <PortalSocket> <InitiatorInstance> <Port number> <Security Flags> " ARGS_OPTIONS " <Key> " ARGS_MAPPINGS,
	 "    Logs in to a target.\n" HELP_LOGIN, cmd_login_target, login_target_fits},
	{"LogoutTarget", 1, 1, "<SessionId>", "    Takes the devices of a session away and ends it. With --force behind it: those\n    that are in use as well. (--force: iscsidsc only)\n" HELP_SESSION, cmd_logout_target, NULL},
	{"PersistentLoginTarget", 18, -1, "<TargetName> <ReportToPNP> <PortalAddress> <PortalSocket> <InitiatorInstance> <Port number> <Security Flags> " ARGS_OPTIONS " <Key> " ARGS_MAPPINGS,
	 "    Stores a login for every start of the service. It does not log in now.\n" HELP_LOGIN, cmd_persistent_login_target, login_target_fits},
	{"ListPersistentTargets", 0, -1, "", "    Shows the stored logins.\n", cmd_list_persistent_targets, NULL},
	{"RemovePersistentTarget", 5, 5, "<Initiator Name> <TargetName> <Port Number> <Portal Address> <Portal Socket>",
	 "    Forgets a stored login; sessions stay.\n" HELP_INITIATOR "    Portal Address: * is any\n", cmd_remove_persistent_target, NULL},
	{"AddConnection", 16, 16, "<SessionId> <Initiator Instance> <Port Number> <Portal Address> <Portal Socket> <Security Flags> " ARGS_OPTIONS " <Key>",
	 "    Adds a connection to a session.\n" HELP_SESSION HELP_INITIATOR HELP_PORTAL HELP_SECURITY HELP_OPTIONS, cmd_add_connection, NULL},
	{"RemoveConnection", 2, 2, "<SessionId> <ConnectionId>", "    Removes a connection from a session.\n" HELP_SESSION, cmd_remove_connection, NULL},
	{"ScsiInquiry", 4, 4, "<SessionId> <LUN> <EvpdCmddt> <PageCode>",
	 "    Sends INQUIRY and shows the response.\n" HELP_SESSION
	 "    LUN: up to 16 hexadecimal digits; EvpdCmddt: sum of 1 EVPD, 2 CMDDT\n", cmd_scsi_inquiry, NULL},
	{"ReadCapacity", 2, 2, "<SessionId> <LUN>", "    Sends READ CAPACITY and shows the response.\n" HELP_SESSION, cmd_read_capacity, NULL},
	{"ReportLUNs", 1, 1, "<SessionId>", "    Sends REPORT LUNS and shows the response.\n" HELP_SESSION, cmd_report_luns, NULL},
	{"ReportTargetMappings", 0, -1, "", "    Shows which units of the sessions have which numbers here.\n", cmd_report_target_mappings, NULL},
	{"ListInitiators", 0, 0, "", "    Shows the initiator instances.\n", cmd_list_initiators, NULL},
	{"AddiSNSServer", 1, 1, "<iSNS Server Address>", "    Adds an iSNS server.\n", cmd_add_isns_server, NULL},
	{"RemoveiSNSServer", 1, 1, "<iSNS Server Address>", "    Removes an iSNS server.\n", cmd_remove_isns_server, NULL},
	{"RefreshiSNSServer", 1, 1, "<iSNS Server Address>", "    Asks an iSNS server again; * is all of them.\n", cmd_refresh_isns_server, NULL},
	{"ListiSNSServers", 0, -1, "", "    Shows the iSNS servers.\n", cmd_list_isns_servers, NULL},
	{"FirewallExemptiSNSServer", 0, 0, "", "    Does nothing: there is no firewall of ours.\n", cmd_firewall_isns, NULL},
	{"NodeName", 1, 1, "<node name>", "    Changes the iSCSI name of this machine; * restores the default.\n", cmd_node_name, NULL},
	{"SessionList", 0, 1, "[Show Session Info]", "    Shows the sessions; F leaves their devices out.\n", cmd_session_list, NULL},
	{"CHAPSecret", 1, 1, "<chap secret>", "    Sets the secret by which targets prove themselves; * clears it.\n", cmd_chap_secret, NULL},
	{"TunnelAddr", 5, 5, "<Initiator Name> <InitiatorPort> <Destination Address> <Tunnel Address> <Persist>",
	 "    Sets the outer address for IPsec in tunnel mode; * is all, all, none, none, T.\n", cmd_tunnel_addr, NULL},
	{"GroupKey", 2, 2, "<Key> <Persist>", "    Sets the IPsec key for targets without one of their own; * clears it.\n", cmd_group_key, NULL},
	{"BindPersistentVolumes", 0, -1, "", "    The service waits at its start for the devices of stored logins.\n", cmd_bind_persistent, NULL},
	{"BindPersistentDevices", 0, -1, "", "    The same as BindPersistentVolumes.\n", cmd_bind_persistent, NULL},
	{"ReportPersistentDevices", 0, -1, "", "    Shows the devices that the service waits for.\n", cmd_report_persistent_devices, NULL},
	{"AddPersistentDevice", 1, 1, "<Device Path>", "    Adds a device for the service to wait for.\n", cmd_add_persistent_device, NULL},
	{"RemovePersistentDevice", 1, 1, "<Device Path>", "    Removes such a device.\n", cmd_remove_persistent_device, NULL},
	{"ClearPersistentDevices", 0, -1, "", "    Removes every such device.\n", cmd_clear_persistent_devices, NULL},
	{"Ping", 2, 5, "<Initiator Name> <Address> [Request Count] [Request Size] [Request Timeout]", "    Pings an address from an adapter.\n", cmd_ping, NULL},
	{"GetPSKey", 4, 4, "<Initiator Name> <initiator Port> <Id Type> <Id>",
	 "    Shows the security flags of an IPsec identity.\n"
	 "    Id Type: 1 IPv4 address, 2 FQDN, 3 user FQDN, 5 IPv6 address\n", cmd_get_ps_key, NULL},
	{"PSKey", 7, 7, "<Initiator Name> <initiator Port> <Security Flags> <Id Type> <Id> <Key> <persist>",
	 "    Sets the key of an IPsec identity; * clears it.\n"
	 "    Id Type: 1 IPv4 address, 2 FQDN, 3 user FQDN, 5 IPv6 address\n" HELP_SECURITY, cmd_ps_key, NULL},
	{"QLoginTarget", 1, 3, "<TargetName> [CHAP Username] [CHAP Password]", "    Logs in to a target through any portal.\n" HELP_CHAP, cmd_q_login_target, one_or_three},
	{"QAddTarget", 2, 2, "<TargetName> <TargetPortalAddress>", "    Adds a target by hand, on port 3260; * for the address is none.\n", cmd_q_add_target, NULL},
	{"QAddTargetPortal", 1, 3, "<TargetPortalAddress> [CHAP Username] [CHAP Password]", "    Stores a portal, on port 3260, and asks it for its targets.\n" HELP_CHAP, cmd_q_add_target_portal, one_or_three},
	{"QAddConnection", 3, 5, "<SessionId> <Initiator Instance> <Target Portal Address> [CHAP Username] [CHAP Password]",
	 "    Adds a connection to a session, on port 3260; * for the address: the service chooses.\n" HELP_SESSION HELP_CHAP, cmd_q_add_connection, three_or_five},

	/* Ours. */
	{"Devices", 0, 0, "", "    Shows every device with its unit, size, state and mount points. (iscsidsc only)\n", cmd_devices, NULL},
	{"Holders", 0, 1, "[SessionId or device]", "    Shows who uses the devices: what LogoutTarget would be refused for. (iscsidsc only)\n", cmd_holders, NULL},
	{"Rescan", 0, 1, "[SessionId]", "    Asks the targets which units they have now, and how large they are. (iscsidsc only)\n", cmd_rescan, NULL},
	{"Stats", 0, 1, "[SessionId]", "    Shows what was counted for sessions, connections and devices. (iscsidsc only)\n", cmd_stats, NULL},
	{"Watch", 0, 0, "", "    Shows what happens, a line for each event, until it is interrupted. (iscsidsc only)\n", cmd_watch, NULL},
};
/* clang-format on */

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcasecmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

bool command_fits(const struct command *c, int argc, char **argv)
{
	if (argc < c->n_min || (c->n_max >= 0 && argc > c->n_max))
		return false;
	return !c->fits || c->fits(argc, argv);
}

static void print_synopsis(const struct command *c)
{
	printf("iscsicli %s%s%s\n", c->name, *c->args ? " " : "", c->args);
}

static void print_numbers(void)
{
	printf("Numbers are decimal unless they begin with 0x.\n\n");
}

bool command_waits(const struct command *c)
{
	return c->run == cmd_login_target || c->run == cmd_q_login_target;
}

/* A number too many before the count of mappings makes another argument that count. */
void command_given(const struct command *c, int argc, char **argv, char *buf, size_t n_buf)
{
	int n_before = c->fits == add_target_fits ? 16 : c->fits == login_target_fits ? 18 : 0;
	int n;

	snprintf(buf, n_buf, "%s", "");
	if (command_fits(c, argc, argv))
		return;
	n = snprintf(buf, n_buf, "Given: %d argument%s", argc, argc == 1 ? "" : "s");
	/* not what it says: in a wrong place it may be a secret */
	if (n_before && argc >= n_before)
		snprintf(buf + n, n_buf - (size_t)n,
			 "; number %d is the Mapping Count, and four belong to each mapping",
			 n_before);
}

void command_print_usage(const struct command *c, const char *given)
{
	print_synopsis(c);
	printf("\n%s", c->help);
	if (*given)
		printf("    %s\n", given);
	printf("\n");
	print_numbers();
}

void command_print_help(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		print_synopsis(&commands[i]);
		printf("\n");
	}
	printf("A command alone, with a wrong number of arguments, explains them.\n"
	       "iscsicli --json ... prints the result as JSON, --status the number of the "
	       "status.\n"
	       "iscsicli --wait LoginTarget ... waits for the devices, --secret-file <file> reads "
	       "a secret\n"
	       "that is given as -.\n\n");
	print_numbers();
}
