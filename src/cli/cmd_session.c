/* SPDX-License-Identifier: MIT */
/*
 * Sessions with their connections and devices
 *
 * The layout is read by many scripts: a session begins at the line that starts with
 * "Session Id", and nothing else may start with that word.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/list.h"
#include "cli/own.h"
#include "cli/print.h"
#include "cli/service.h"

#define FRIENDLY_BYTES 128

void id_format(const ISCSI_UNIQUE_SESSION_ID *id, char buf[ID_TEXT_BYTES])
{
	snprintf(buf, ID_TEXT_BYTES, "%llx-%llx", (unsigned long long)id->AdapterUnique,
		 (unsigned long long)id->AdapterSpecific);
}

static const char *device_type_word(const ISCSI_DEVICE_ON_SESSIONA *d)
{
	static const struct {
		const GUID *guid;
		const char *word;
	} rows[] = {
		{&GUID_DEVINTERFACE_DISK, "Disk"},
		{&GUID_DEVINTERFACE_TAPE, "Tape"},
		{&GUID_DEVINTERFACE_CDROM, "CDRom"},
		{&GUID_DEVINTERFACE_WRITEONCEDISK, "Write Once Disk"},
		{&GUID_DEVINTERFACE_CDCHANGER, "CD Changer"},
		{&GUID_DEVINTERFACE_MEDIUMCHANGER, "Medium Changer"},
		{&GUID_DEVINTERFACE_FLOPPY, "Floppy"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (memcmp(&d->DeviceInterfaceType, rows[i].guid, sizeof(GUID)) == 0)
			return rows[i].word;
	}
	return "Unknown";
}

static void friendly_name(const ISCSI_DEVICE_ON_SESSIONA *d, const json_t *more,
			  char buf[FRIENDLY_BYTES])
{
	const char *vendor = json_text(more, "vendor");
	const char *product = json_text(more, "product");

	snprintf(buf, FRIENDLY_BYTES, "%s%s%s%sSCSI %s Device", vendor, *vendor ? " " : "", product,
		 *product ? " " : "", device_type_word(d));
	text_clean(buf);
}

static const char *device_description(const ISCSI_DEVICE_ON_SESSIONA *d)
{
	switch (d->StorageDeviceNumber.DeviceType) {
	case FILE_DEVICE_DISK: return "Disk drive";
	case FILE_DEVICE_TAPE: return "Tape drive";
	case FILE_DEVICE_CD_ROM:
	case FILE_DEVICE_DVD: return "CD-ROM drive";
	case FILE_DEVICE_CHANGER: return "Medium changer";
	default: return "SCSI device";
	}
}

static void print_volumes(const struct cli *cli, const json_t *more)
{
	const json_t *volumes = json_object_get(more, "volumePaths");
	const json_t *volume;
	size_t i;

	if (json_array_size(volumes) > 0)
		out(cli, "        %-23s: \n", "Volume Path Names");
	json_array_foreach(volumes, i, volume)
	{
		CLEANUP(freep) char *path = strdup(json_string_value(volume) ?: "");

		if (!path)
			continue;
		text_clean(path);
		out(cli, "%33s%s\n", "", path);
	}
}

static void print_device(const struct cli *cli, const ISCSI_DEVICE_ON_SESSIONA *d,
			 const json_t *more)
{
	const SCSI_ADDRESS *a = &d->ScsiAddress;
	char friendly[FRIENDLY_BYTES];

	friendly_name(d, more, friendly);
	out(cli, "        %-23s: %s\n", "Device Type", device_type_word(d));
	out(cli, "        %-23s: %d\n", "Device Number", (int)d->StorageDeviceNumber.DeviceNumber);
	out(cli, "        %-23s: %u\n", "Storage Device Type", d->StorageDeviceNumber.DeviceType);
	out(cli, "        %-23s: %d\n", "Partition Number",
	    (int)d->StorageDeviceNumber.PartitionNumber);
	out(cli, "        %-23s: %s\n", "Friendly Name", friendly);
	out(cli, "        %-23s: %s\n", "Device Description", device_description(d));
	out(cli, "        %-23s: Port %u, Bus %u, Target Id %u, LUN %u\n", "Reported Mappings",
	    a->PortNumber, a->PathId, a->TargetId, a->Lun);
	out(cli, "        %-23s: Bus Number %u, Target Id %u, LUN %u\n", "Location", a->PathId,
	    a->TargetId, a->Lun);
	out(cli, "        %-23s: %s\n", "Initiator Name", d->InitiatorName);
	out(cli, "        %-23s: %s\n", "Target Name", d->TargetName);
	out(cli, "        %-23s: %s\n", "Device Interface Name", d->DeviceInterfaceName);
	out(cli, "        %-23s: %s\n", "Legacy Device Name", d->LegacyName);
	out(cli, "        %-23s: 0x%x\n", "Device Instance", d->DeviceInstance);
	print_volumes(cli, more);
	out(cli, "\n");
}

static json_t *json_guid(const GUID *g)
{
	return json_sprintf("{%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x}", g->Data1,
			    g->Data2, g->Data3, g->Data4[0], g->Data4[1], g->Data4[2], g->Data4[3],
			    g->Data4[4], g->Data4[5], g->Data4[6], g->Data4[7]);
}

static json_t *json_device(const ISCSI_DEVICE_ON_SESSIONA *d, const json_t *more)
{
	json_t *volumes = json_object_get(more, "volumePaths");
	char friendly[FRIENDLY_BYTES];

	friendly_name(d, more, friendly);
	return json_pack(
		"{s:s, s:s, s:i, s:i, s:i, s:i, s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s, "
		"s:o}",
		"InitiatorName", d->InitiatorName, "TargetName", d->TargetName, "ScsiPortNumber",
		(int)d->ScsiAddress.PortNumber, "ScsiPathId", (int)d->ScsiAddress.PathId,
		"ScsiTargetId", (int)d->ScsiAddress.TargetId, "ScsiLun", (int)d->ScsiAddress.Lun,
		"DeviceInterfaceGuid", json_guid(&d->DeviceInterfaceType), "DeviceInterfaceName",
		d->DeviceInterfaceName, "LegacyName", d->LegacyName, "DeviceTypeName",
		device_type_word(d), "DeviceType", (json_int_t)d->StorageDeviceNumber.DeviceType,
		"DeviceNumber", (json_int_t)d->StorageDeviceNumber.DeviceNumber, "PartitionNumber",
		(json_int_t)d->StorageDeviceNumber.PartitionNumber, "DeviceInstance",
		(json_int_t)d->DeviceInstance, "DeviceDescription", device_description(d),
		"FriendlyName", friendly, "VolumePathNames",
		volumes ? json_incref(volumes) : json_array());
}

static ISDSC_STATUS devices_call(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	ISCSI_UNIQUE_SESSION_ID id = *(const ISCSI_UNIQUE_SESSION_ID *)arg;
	ISDSC_STATUS status = GetDevicesForIScsiSessionA(&id, size, buffer);

	*count = *size;
	return status;
}

/* @ret_list: taken over by the caller, an array in any case. */
static ISDSC_STATUS devices_show(struct cli *cli, const ISCSI_UNIQUE_SESSION_ID *id,
				 json_t **ret_list)
{
	CLEANUP(json_dropp) json_t *more = NULL;
	CLEANUP(freep) void *buffer = NULL;
	const ISCSI_DEVICE_ON_SESSIONA *devices;
	char text[ID_TEXT_BYTES];
	ISDSC_STATUS status;
	ULONG n;

	*ret_list = json_array();
	status = list_get(devices_call, id, sizeof(*devices), 0, &buffer, &n);
	/* The session may have ended since it was listed. */
	if (status == ISDSC_INVALID_SESSION_ID)
		return ERROR_SUCCESS;
	if (status || n == 0)
		return status;
	devices = buffer;
	id_format(id, text);
	more = devices_get(text);
	out(cli, "    Devices:\n");
	for (ULONG i = 0; i < n; i++) {
		const json_t *extra =
			devices_find(more, devices[i].LegacyName, devices[i].DeviceInterfaceName);

		print_device(cli, &devices[i], extra);
		json_array_append_new(*ret_list, json_device(&devices[i], extra));
	}
	return ERROR_SUCCESS;
}

static void print_octets(const struct cli *cli, const char *label, int n_indent, int n_width,
			 const UCHAR *p, size_t n)
{
	char hex[64] = "";

	for (size_t i = 0; i < n; i++)
		snprintf(hex + 3 * i, sizeof(hex) - 3 * i, i + 1 < n ? "%02x " : "%02x", p[i]);
	out(cli, "%*s%-*s: %s\n", n_indent, "", n_width, label, hex);
}

static const char *text_or_null(const char *text)
{
	return text ? text : "(null)";
}

static void connection_show(struct cli *cli, const ISCSI_CONNECTION_INFOA *c, json_t *list)
{
	char id[ID_TEXT_BYTES];

	id_format(&c->ConnectionId, id);
	out(cli, "        %-18s: %s\n", "Connection Id", id);
	out(cli, "        %-18s: %s/%u\n", "Initiator Portal", text_or_null(c->InitiatorAddress),
	    c->InitiatorSocket);
	out(cli, "        %-18s: %s/%u\n", "Target Portal", text_or_null(c->TargetAddress),
	    c->TargetSocket);
	print_octets(cli, "CID", 8, 18, c->CID, sizeof(c->CID));
	out(cli, "\n");
	json_array_append_new(
		list, json_pack("{s:s, s:s, s:i, s:s, s:i, s:i}", "ConnectionIdentifier", id,
				"InitiatorAddress", text_or_null(c->InitiatorAddress),
				"InitiatorPortNumber", (int)c->InitiatorSocket, "TargetAddress",
				text_or_null(c->TargetAddress), "TargetPortNumber",
				(int)c->TargetSocket, "CID", c->CID[0] | c->CID[1] << 8));
}

static json_t *connections_show(struct cli *cli, const ISCSI_SESSION_INFOA *s)
{
	json_t *list = json_array();

	if (s->ConnectionCount > 0)
		out(cli, "    Connections:\n\n");
	for (ULONG i = 0; i < s->ConnectionCount; i++)
		connection_show(cli, &s->Connections[i], list);
	return list;
}

static ISDSC_STATUS session_show(struct cli *cli, const ISCSI_SESSION_INFOA *s, bool with_devices,
				 json_t *list)
{
	json_t *connections, *devices = NULL;
	ISDSC_STATUS status = ERROR_SUCCESS;
	char id[ID_TEXT_BYTES];

	id_format(&s->SessionId, id);
	out(cli, "%-23s: %s\n", "Session Id", id);
	out(cli, "%-23s: %s\n", "Initiator Node Name", text_or_null(s->InitiatorName));
	out(cli, "%-23s: %s\n", "Target Node Name", text_or_null(s->TargetNodeName));
	out(cli, "%-23s: %s\n", "Target Name", text_or_null(s->TargetName));
	print_octets(cli, "ISID", 0, 23, s->ISID, sizeof(s->ISID));
	print_octets(cli, "TSID", 0, 23, s->TSID, sizeof(s->TSID));
	out(cli, "%-23s: %u\n\n", "Number Connections", s->ConnectionCount);
	connections = connections_show(cli, s);
	if (with_devices)
		status = devices_show(cli, &s->SessionId, &devices);
	json_array_append_new(
		list,
		json_pack(
			"{s:s, s:o, s:o, s:I, s:s, s:s, s:s, s:b, s:o, s:o*}", "SessionIdentifier",
			id, "InitiatorSideIdentifier", json_bytes(s->ISID, sizeof(s->ISID)),
			"TargetSideIdentifier", json_bytes(s->TSID, sizeof(s->TSID)),
			"NumberOfConnections", (json_int_t)s->ConnectionCount, "TargetNodeAddress",
			text_or_null(s->TargetNodeName), "TargetName", text_or_null(s->TargetName),
			"InitiatorNodeAddress", text_or_null(s->InitiatorName), "IsConnected",
			s->ConnectionCount > 0, "Connections", connections, "Devices", devices));
	return status;
}

static ISDSC_STATUS parameters_call(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	(void)arg;
	return GetIScsiSessionListEx(size, count, buffer);
}

/* Those of its leading connection, as the PowerShell module has them for a session. */
static void parameters_set(json_t *session, const ISCSI_SESSION_INFO_EX *s)
{
	const ISCSI_CONNECTION_INFO_EX *c = s->Connections;

	if (s->ConnectionCount == 0)
		return;
	json_object_set_new(session, "AuthenticationType", json_string(auth_word(c->AuthType)));
	json_object_set_new(session, "IsHeaderDigest", json_boolean(c->HeaderDigest));
	json_object_set_new(session, "IsDataDigest", json_boolean(c->DataDigest));
}

/* What only JSON has: a session that is gone by now, or has no connection, is left as it is. */
static void parameters_to_json(const json_t *list)
{
	CLEANUP(freep) void *buffer = NULL;
	const ISCSI_SESSION_INFO_EX *all;
	char id[ID_TEXT_BYTES];
	json_t *session;
	size_t i;
	ULONG n;

	(void)list_get(parameters_call, NULL, 1, 0, &buffer, &n);
	all = buffer;
	for (ULONG k = 0; k < n; k++) {
		id_format(&all[k].SessionId, id);
		json_array_foreach(list, i, session)
		{
			if (strcmp(json_text(session, "SessionIdentifier"), id) == 0)
				parameters_set(session, &all[k]);
		}
	}
}

ISDSC_STATUS cmd_session_list(struct cli *cli, int argc, char **argv)
{
	CLEANUP(freep) ISCSI_SESSION_INFOA *sessions = NULL;
	bool with_devices = argc == 0 || value_bool(argv[0], true);
	ISDSC_STATUS status, worst = ERROR_SUCCESS;
	json_t *list;
	ULONG n;

	status = session_list_get(&sessions, &n);
	if (status)
		return status;
	list = json_array();
	out(cli, "Total of %u sessions\n\n", n);
	for (ULONG i = 0; i < n; i++) {
		status = session_show(cli, &sessions[i], with_devices, list);
		if (status)
			worst = status;
	}
	if (cli->json)
		parameters_to_json(list);
	out_json(cli, "Sessions", list);
	return worst;
}

static ISDSC_STATUS mappings_call(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	(void)arg;
	return ReportActiveIScsiTargetMappingsA(size, count, buffer);
}

ISDSC_STATUS cmd_report_target_mappings(struct cli *cli, int argc, char **argv)
{
	CLEANUP(freep) void *buffer = NULL;
	const ISCSI_TARGET_MAPPINGA *mappings;
	json_t *list;
	ISDSC_STATUS status;
	ULONG n;

	status = list_get(mappings_call, NULL, 1, 0, &buffer, &n);
	if (status)
		return status;
	mappings = buffer;
	list = json_array();
	if (n > 0)
		out(cli, "Total of %u mappings returned\n", n);
	else
		out(cli, "No mappings\n");
	for (ULONG i = 0; i < n; i++) {
		print_mapping(cli, &mappings[i]);
		json_array_append_new(list, json_mapping(&mappings[i]));
	}
	out_json(cli, "Mappings", list);
	return ERROR_SUCCESS;
}
