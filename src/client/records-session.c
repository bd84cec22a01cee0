/* SPDX-License-Identifier: MIT */
/*
 * The structures of the API: sessions, devices, mappings and logins that are kept
 */
#include "client/fields.h"

typedef SCSI_LUN_LIST SCSI_LUN_LISTA, SCSI_LUN_LISTW;
typedef ISCSI_SESSION_INFO_EX ISCSI_SESSION_INFO_EXA, ISCSI_SESSION_INFO_EXW;
typedef ISCSI_CONNECTION_INFO_EX ISCSI_CONNECTION_INFO_EXA, ISCSI_CONNECTION_INFO_EXW;

static const struct field connection_fields[] = {
	OF_KIND(ISCSI_CONNECTION_INFO, ConnectionId, "id", FIELD_ID),
	OF_KIND(ISCSI_CONNECTION_INFO, InitiatorAddress, "initiatorAddress", FIELD_TAIL_TEXT),
	OF_KIND(ISCSI_CONNECTION_INFO, TargetAddress, "targetAddress", FIELD_TAIL_TEXT),
	NUMBER(ISCSI_CONNECTION_INFO, InitiatorSocket, "initiatorSocket"),
	NUMBER(ISCSI_CONNECTION_INFO, TargetSocket, "targetSocket"),
	OF_KIND(ISCSI_CONNECTION_INFO, CID, "cid", FIELD_LOW_FIRST),
};

static const struct record record_connection = RECORD(ISCSI_CONNECTION_INFO, connection_fields);

static const struct field session_fields[] = {
	OF_KIND(ISCSI_SESSION_INFO, SessionId, "id", FIELD_ID),
	LIST(ISCSI_SESSION_INFO, Connections, ConnectionCount, "connections", record_connection),
	OF_KIND(ISCSI_SESSION_INFO, InitiatorName, "initiatorNodeName", FIELD_TAIL_TEXT),
	OF_KIND(ISCSI_SESSION_INFO, TargetNodeName, "targetName", FIELD_TAIL_TEXT),
	OF_KIND(ISCSI_SESSION_INFO, TargetName, "targetName", FIELD_TAIL_TEXT),
	OF_KIND(ISCSI_SESSION_INFO, ISID, "isid", FIELD_HEX),
	OF_KIND(ISCSI_SESSION_INFO, TSID, "tsih", FIELD_LOW_FIRST),
};

const struct record record_session = RECORD(ISCSI_SESSION_INFO, session_fields);

static const struct field connection_ex_fields[] = {
	OF_KIND(ISCSI_CONNECTION_INFO_EX, ConnectionId, "id", FIELD_ID),
	NUMBER(ISCSI_CONNECTION_INFO_EX, State, "state"),
	NUMBER(ISCSI_CONNECTION_INFO_EX, Protocol, "protocol"),
	NUMBER(ISCSI_CONNECTION_INFO_EX, HeaderDigest, "headerDigest"),
	NUMBER(ISCSI_CONNECTION_INFO_EX, DataDigest, "dataDigest"),
	NUMBER(ISCSI_CONNECTION_INFO_EX, MaxRecvDataSegmentLength, "maxRecvDataSegmentLength"),
	NUMBER(ISCSI_CONNECTION_INFO_EX, AuthType, "authType"),
	NUMBER(ISCSI_CONNECTION_INFO_EX, EstimatedThroughput, "estimatedThroughput"),
	NUMBER(ISCSI_CONNECTION_INFO_EX, MaxDatagramSize, "maxDatagramSize"),
};

static const struct record record_connection_ex =
	RECORD(ISCSI_CONNECTION_INFO_EX, connection_ex_fields);

static const struct field session_ex_fields[] = {
	OF_KIND(ISCSI_SESSION_INFO_EX, SessionId, "id", FIELD_ID),
	NUMBER(ISCSI_SESSION_INFO_EX, InitialR2t, "initialR2T"),
	NUMBER(ISCSI_SESSION_INFO_EX, ImmediateData, "immediateData"),
	NUMBER(ISCSI_SESSION_INFO_EX, Type, "type"),
	NUMBER(ISCSI_SESSION_INFO_EX, DataSequenceInOrder, "dataSequenceInOrder"),
	NUMBER(ISCSI_SESSION_INFO_EX, DataPduInOrder, "dataPduInOrder"),
	NUMBER(ISCSI_SESSION_INFO_EX, ErrorRecoveryLevel, "errorRecoveryLevel"),
	NUMBER(ISCSI_SESSION_INFO_EX, MaxOutstandingR2t, "maxOutstandingR2T"),
	NUMBER(ISCSI_SESSION_INFO_EX, FirstBurstLength, "firstBurstLength"),
	NUMBER(ISCSI_SESSION_INFO_EX, MaxBurstLength, "maxBurstLength"),
	NUMBER(ISCSI_SESSION_INFO_EX, MaximumConnections, "maximumConnections"),
	LIST(ISCSI_SESSION_INFO_EX, Connections, ConnectionCount, "connections",
	     record_connection_ex),
};

const struct record record_session_ex = RECORD(ISCSI_SESSION_INFO_EX, session_ex_fields);

static const struct field device_fields[] = {
	TEXT(ISCSI_DEVICE_ON_SESSION, InitiatorName, "initiatorInstance"),
	TEXT(ISCSI_DEVICE_ON_SESSION, TargetName, "targetName"),
	OF_KIND(ISCSI_DEVICE_ON_SESSION, ScsiAddress.PortNumber, "scsiPort", FIELD_LOW_BYTE),
	OF_KIND(ISCSI_DEVICE_ON_SESSION, ScsiAddress.PathId, "scsiBus", FIELD_LOW_BYTE),
	OF_KIND(ISCSI_DEVICE_ON_SESSION, ScsiAddress.TargetId, "scsiTarget", FIELD_LOW_BYTE),
	OF_KIND(ISCSI_DEVICE_ON_SESSION, ScsiAddress.Lun, "scsiLun", FIELD_LOW_BYTE),
	TEXT(ISCSI_DEVICE_ON_SESSION, DeviceInterfaceName, "interfaceName"),
	TEXT(ISCSI_DEVICE_ON_SESSION, LegacyName, "legacyName"),
	NUMBER(ISCSI_DEVICE_ON_SESSION, StorageDeviceNumber.DeviceNumber, "deviceNumber"),
	NUMBER(ISCSI_DEVICE_ON_SESSION, DeviceInstance, "deviceNumber"),
};

/* What the peripheral device type is called here. */
static const struct device_class {
	int type;
	DWORD device_type;
	const GUID *guid;
} device_classes[] = {
	{0x00, FILE_DEVICE_DISK, &GUID_DEVINTERFACE_DISK},
	{0x01, FILE_DEVICE_TAPE, &GUID_DEVINTERFACE_TAPE},
	{0x04, FILE_DEVICE_DISK, &GUID_DEVINTERFACE_WRITEONCEDISK},
	{0x05, FILE_DEVICE_CD_ROM, &GUID_DEVINTERFACE_CDROM},
	{0x07, FILE_DEVICE_DISK, &GUID_DEVINTERFACE_DISK},
	{0x08, FILE_DEVICE_CHANGER, &GUID_DEVINTERFACE_MEDIUMCHANGER},
	{0x0e, FILE_DEVICE_DISK, &GUID_DEVINTERFACE_DISK},
};

#define FILE_DEVICE_UNKNOWN_TYPE 0x22 /* FILE_DEVICE_UNKNOWN of winioctl.h */

static ISDSC_STATUS device_finish(enum form form, json_t *object, uint8_t *base)
{
	static const uint16_t address_at[] = AT(ISCSI_DEVICE_ON_SESSION, ScsiAddress.Length);
	static const uint16_t guid_at[] = AT(ISCSI_DEVICE_ON_SESSION, DeviceInterfaceType);
	static const uint16_t number_at[] = AT(ISCSI_DEVICE_ON_SESSION, StorageDeviceNumber);
	json_t *type = json_object_get(object, "deviceType");
	STORAGE_DEVICE_NUMBER number;
	ULONG length = sizeof(SCSI_ADDRESS);

	if (!json_is_integer(type))
		return detail_fail_reply("ISCSI_DEVICE_ON_SESSION", "deviceType");
	memcpy(base + address_at[form], &length, sizeof(length));
	memcpy(&number, base + number_at[form], sizeof(number));
	number.DeviceType = FILE_DEVICE_UNKNOWN_TYPE;
	for (size_t i = 0; i < ARRAY_SIZE(device_classes); i++) {
		if (device_classes[i].type != json_integer_value(type))
			continue;
		number.DeviceType = device_classes[i].device_type;
		memcpy(base + guid_at[form], device_classes[i].guid, sizeof(GUID));
	}
	/* the whole disk, or nothing that could have partitions */
	number.PartitionNumber = number.DeviceType == FILE_DEVICE_DISK ? 0 : UINT32_MAX;
	memcpy(base + number_at[form], &number, sizeof(number));
	return ERROR_SUCCESS;
}

const struct record record_device = {
	.name = "ISCSI_DEVICE_ON_SESSION",
	.size = {sizeof(ISCSI_DEVICE_ON_SESSIONA), sizeof(ISCSI_DEVICE_ON_SESSIONW)},
	.fields = device_fields,
	.n_fields = ARRAY_SIZE(device_fields),
	.finish = device_finish,
};

static const struct field lun_fields[] = {
	NUMBER(SCSI_LUN_LIST, OSLUN, "osLun"),
	OF_KIND(SCSI_LUN_LIST, TargetLUN, "targetLun", FIELD_LUN),
};

static const struct record record_lun = RECORD(SCSI_LUN_LIST, lun_fields);

static const struct field mapping_fields[] = {
	IGNORED_TEXT(ISCSI_TARGET_MAPPING, InitiatorName, "initiatorName", ""),
	IGNORED_TEXT(ISCSI_TARGET_MAPPING, TargetName, "targetName", ""),
	IGNORED_TEXT(ISCSI_TARGET_MAPPING, OSDeviceName, "osDeviceName", ""),
	{.key = "sessionId",
	 .kind = FIELD_ID,
	 .at = AT(ISCSI_TARGET_MAPPING, SessionId),
	 .in_as = "0-0"},
	NUMBER(ISCSI_TARGET_MAPPING, OSBusNumber, "osBusNumber"),
	NUMBER(ISCSI_TARGET_MAPPING, OSTargetNumber, "osTargetNumber"),
	LIST(ISCSI_TARGET_MAPPING, LUNList, LUNCount, "luns", record_lun),
};

const struct record record_mapping = RECORD(ISCSI_TARGET_MAPPING, mapping_fields);

static const struct field persistent_login_fields[] = {
	TEXT(PERSISTENT_ISCSI_LOGIN_INFO, TargetName, "targetName"),
	NUMBER(PERSISTENT_ISCSI_LOGIN_INFO, IsInformationalSession, "informational"),
	TEXT(PERSISTENT_ISCSI_LOGIN_INFO, InitiatorInstance, "initiatorInstance"),
	NUMBER(PERSISTENT_ISCSI_LOGIN_INFO, InitiatorPortNumber, "initiatorPort"),
	PART_OR_NULL(PERSISTENT_ISCSI_LOGIN_INFO, TargetPortal, "portal", record_portal,
		     FIELD_PART),
	NUMBER(PERSISTENT_ISCSI_LOGIN_INFO, SecurityFlags, "securityFlags"),
	PART_OR_NULL(PERSISTENT_ISCSI_LOGIN_INFO, Mappings, "mapping", record_mapping,
		     FIELD_TAIL_PART),
	PART_OR_NULL(PERSISTENT_ISCSI_LOGIN_INFO, LoginOptions, "loginOptions",
		     record_login_options, FIELD_PART),
};

const struct record record_persistent_login =
	RECORD(PERSISTENT_ISCSI_LOGIN_INFO, persistent_login_fields);

_Static_assert(sizeof(ISCSI_DEVICE_ON_SESSIONW) <= RECORD_BYTES_MAX &&
		       sizeof(PERSISTENT_ISCSI_LOGIN_INFOW) <= RECORD_BYTES_MAX &&
		       sizeof(ISCSI_TARGET_MAPPINGW) <= RECORD_BYTES_MAX &&
		       sizeof(ISCSI_SESSION_INFOW) <= RECORD_BYTES_MAX &&
		       sizeof(ISCSI_CONNECTION_INFOW) <= RECORD_BYTES_MAX,
	       "a record fits its scratch buffer");
