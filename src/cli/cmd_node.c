/* SPDX-License-Identifier: MIT */
/*
 * This machine as an initiator: name, instances, secrets, IPsec, devices that are
 * waited for
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/list.h"
#include "cli/print.h"

static ISDSC_STATUS initiators_call(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	ISDSC_STATUS status = ReportIScsiInitiatorListA(size, buffer);

	(void)arg;
	*count = *size;
	return status;
}

ISDSC_STATUS cmd_list_initiators(struct cli *cli, int argc, char **argv)
{
	CLEANUP(freep) void *names = NULL;
	char node[MAX_ISCSI_NAME_LEN + 1] = "";
	json_t *list;
	ISDSC_STATUS status;
	ULONG n;

	status = list_get(initiators_call, NULL, 1, 0, &names, &n);
	if (status)
		return status;
	if (cli->json)
		status = GetIScsiInitiatorNodeNameA(node);
	list = json_array();
	out(cli, "Initiators List:\n");
	for (const char *name = name_next(names, NULL); name; name = name_next(names, name)) {
		out(cli, "    %s\n", name);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "InstanceName", name,
						      "NodeAddress", node, "PortAddress",
						      "ISCSI ANY PORT", "ConnectionType", "iSCSI"));
	}
	out_json(cli, "Initiators", list);
	return status;
}

ISDSC_STATUS cmd_node_name(struct cli *cli, int argc, char **argv)
{
	return SetIScsiInitiatorNodeNameA(value_text(argv[0]));
}

ISDSC_STATUS cmd_chap_secret(struct cli *cli, int argc, char **argv)
{
	CLEANUP(secret_clear) struct secret secret = {0};
	ISDSC_STATUS status;

	if (value_is_any(argv[0]))
		return SetIScsiInitiatorCHAPSharedSecret(0, NULL);
	status = secret_take(cli, argv[0], &secret);
	if (status)
		return status;
	if (secret.n == 0)
		return out_refuse(cli, "The secret is empty; * clears it");
	return SetIScsiInitiatorCHAPSharedSecret(secret.n, secret.p);
}

ISDSC_STATUS cmd_tunnel_addr(struct cli *cli, int argc, char **argv)
{
	return SetIScsiTunnelModeOuterAddressA(
		value_text(argv[0]), value_number_or(argv[1], ISCSI_ALL_INITIATOR_PORTS),
		value_text(argv[2]), value_text(argv[3]), value_bool(argv[4], true));
}

ISDSC_STATUS cmd_group_key(struct cli *cli, int argc, char **argv)
{
	CLEANUP(secret_clear) struct secret key = {0};
	bool persist = value_bool(argv[1], true);
	ISDSC_STATUS status = ERROR_SUCCESS;

	if (!value_is_any(argv[0]))
		status = secret_take(cli, argv[0], &key);
	return status ? status : SetIScsiGroupPresharedKey(key.n, key.n ? key.p : NULL, persist);
}

/* An identity as IKE has it: addresses are their bytes, names are text. */
struct identity {
	UCHAR type;
	ULONG n;
	UCHAR *p;
	UCHAR address[16];
};

/* *ret_known is false, after a line that names those that are, when the type is not. */
static ISDSC_STATUS identity_take(struct cli *cli, const char *type, char *id, struct identity *ret,
				  bool *ret_known)
{
	ULONG v = value_number(type);
	bool is_v4 = v == ID_IPV4_ADDR;

	*ret_known = is_v4 || v == ID_FQDN || v == ID_USER_FQDN || v == ID_IPV6_ADDR;
	if (!*ret_known) {
		out(cli, "Id Type must be 1 (IPv4 address), 2 (FQDN), 3 (user FQDN) or 5 (IPv6 "
			 "address)\n");
		return ERROR_SUCCESS;
	}
	ret->type = (UCHAR)v;
	if (v == ID_FQDN || v == ID_USER_FQDN) {
		ret->p = (UCHAR *)id;
		ret->n = (ULONG)strlen(id);
		return ERROR_SUCCESS;
	}
	ret->p = ret->address;
	ret->n = is_v4 ? 4 : 16;
	if (inet_pton(is_v4 ? AF_INET : AF_INET6, id, ret->address) != 1)
		return out_refuse(cli, "Not an address of the type given: %s", id);
	return ERROR_SUCCESS;
}

static void ike_fill(IKE_AUTHENTICATION_INFORMATION *ike, const struct identity *id)
{
	ike->AuthMethod = IKE_AUTHENTICATION_PRESHARED_KEY_METHOD;
	ike->PsKey.IdType = id->type;
	ike->PsKey.IdLengthInBytes = id->n;
	ike->PsKey.Id = id->p;
}

ISDSC_STATUS cmd_ps_key(struct cli *cli, int argc, char **argv)
{
	CLEANUP(secret_clear) struct secret key = {0};
	IKE_AUTHENTICATION_INFORMATION ike = {0};
	struct identity id = {0};
	ISDSC_STATUS status;
	bool known;

	status = identity_take(cli, argv[3], argv[4], &id, &known);
	if (!status && known && !value_is_any(argv[5]))
		status = secret_take(cli, argv[5], &key);
	if (status || !known)
		return status;
	ike_fill(&ike, &id);
	ike.PsKey.SecurityFlags = value_number(argv[2]);
	ike.PsKey.KeyLengthInBytes = key.n;
	ike.PsKey.Key = key.n ? key.p : NULL;
	return SetIScsiIKEInfoA(value_text(argv[0]),
				value_number_or(argv[1], ISCSI_ALL_INITIATOR_PORTS), &ike,
				value_bool(argv[6], true));
}

ISDSC_STATUS cmd_get_ps_key(struct cli *cli, int argc, char **argv)
{
	IKE_AUTHENTICATION_INFORMATION ike = {0};
	struct identity id = {0};
	ISDSC_STATUS status;
	ULONG reserved = 0;
	bool known;

	status = identity_take(cli, argv[2], argv[3], &id, &known);
	if (status || !known)
		return status;
	ike_fill(&ike, &id);
	status = GetIScsiIKEInfoA(value_text(argv[0]),
				  value_number_or(argv[1], ISCSI_ALL_INITIATOR_PORTS), &reserved,
				  &ike);
	if (status)
		return status;
	print_security_flags(cli, 4, ike.PsKey.SecurityFlags);
	out_json(cli, "SecurityFlags", json_integer((json_int_t)ike.PsKey.SecurityFlags));
	return ERROR_SUCCESS;
}

ISDSC_STATUS cmd_bind_persistent(struct cli *cli, int argc, char **argv)
{
	return SetupPersistentIScsiDevices();
}

static ISDSC_STATUS persistent_devices_call(const void *arg, ULONG *size, ULONG *count,
					    void *buffer)
{
	ISDSC_STATUS status = ReportPersistentIScsiDevicesA(size, buffer);

	(void)arg;
	*count = *size;
	return status;
}

ISDSC_STATUS cmd_report_persistent_devices(struct cli *cli, int argc, char **argv)
{
	CLEANUP(freep) void *names = NULL;
	json_t *list;
	ISDSC_STATUS status;
	ULONG n;

	status = list_get(persistent_devices_call, NULL, 1, 0, &names, &n);
	if (status)
		return status;
	list = json_array();
	out(cli, "Persistent Volumes\n");
	for (const char *name = name_next(names, NULL); name; name = name_next(names, name)) {
		out(cli, "\"%s\"\n", name);
		json_array_append_new(list, json_string(name));
	}
	out(cli, "\n");
	out_json(cli, "PersistentDevices", list);
	return ERROR_SUCCESS;
}

ISDSC_STATUS cmd_add_persistent_device(struct cli *cli, int argc, char **argv)
{
	return AddPersistentIScsiDeviceA(argv[0]);
}

ISDSC_STATUS cmd_remove_persistent_device(struct cli *cli, int argc, char **argv)
{
	return RemovePersistentIScsiDeviceA(argv[0]);
}

ISDSC_STATUS cmd_clear_persistent_devices(struct cli *cli, int argc, char **argv)
{
	return ClearPersistentIScsiDevices();
}

/* The software initiator has no ping of its own, and the library has no function for it. */
ISDSC_STATUS cmd_ping(struct cli *cli, int argc, char **argv)
{
	cli->refused = true;
	return ERROR_CALL_NOT_IMPLEMENTED;
}
