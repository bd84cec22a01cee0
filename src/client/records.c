/* SPDX-License-Identifier: MIT */
/*
 * The structures of the API
 *
 * Each is described once: member of the JSON object, kind, and the place in the A
 * and in the W structure. Structures that hold no text have one form; they get
 * both names here so that all are written alike.
 */
#include "client/client.h"

/* Here these are stems that A and W are added to. */
#undef ISCSI_TARGET_PORTAL
#undef ISCSI_TARGET_PORTAL_INFO
#undef ISCSI_TARGET_PORTAL_INFO_EX
#undef ISCSI_CONNECTION_INFO
#undef ISCSI_SESSION_INFO
#undef ISCSI_DEVICE_ON_SESSION

typedef ISCSI_LOGIN_OPTIONS ISCSI_LOGIN_OPTIONSA, ISCSI_LOGIN_OPTIONSW;
typedef ISCSI_VERSION_INFO ISCSI_VERSION_INFOA, ISCSI_VERSION_INFOW;

#define AT(type, member)                                             \
	{                                                            \
		offsetof(type##A, member), offsetof(type##W, member) \
	}
#define SIZE(type, member) sizeof(((type##A *)NULL)->member)

#define TEXT(type, member, k)                                                                   \
	{                                                                                       \
		.key = (k), .kind = FIELD_TEXT, .at = AT(type, member), .n = SIZE(type, member) \
	}
#define NUMBER(type, member, k)                                                                   \
	{                                                                                         \
		.key = (k), .kind = FIELD_NUMBER, .at = AT(type, member), .n = SIZE(type, member) \
	}
#define OPTION(type, member, k, b)                                                                 \
	{                                                                                          \
		.key = (k), .kind = FIELD_NUMBER, .at = AT(type, member), .n = SIZE(type, member), \
		.bit = (b)                                                                         \
	}
#define BYTES(type, member, count, k, b, kd)                                               \
	{                                                                                  \
		.key = (k), .kind = (kd), .at = AT(type, member), .n_at = AT(type, count), \
		.bit = (b)                                                                 \
	}
#define PART(type, member, k, rec)                                                     \
	{                                                                              \
		.key = (k), .kind = FIELD_PART, .at = AT(type, member), .part = &(rec) \
	}
#define OF_KIND(type, member, k, kd)                                                      \
	{                                                                                 \
		.key = (k), .kind = (kd), .at = AT(type, member), .n = SIZE(type, member) \
	}
#define LIST(type, member, count, k, rec)                                    \
	{                                                                    \
		.key = (k), .kind = FIELD_TAIL_LIST, .at = AT(type, member), \
		.n_at = AT(type, count), .part = &(rec)                      \
	}

#define RECORD(type, f)                                                                   \
	{                                                                                 \
		.name = #type, .size = {sizeof(type##A), sizeof(type##W)}, .fields = (f), \
		.n_fields = ARRAY_SIZE(f)                                                 \
	}

static const struct field login_options_fields[] = {
	NUMBER(ISCSI_LOGIN_OPTIONS, InformationSpecified, "informationSpecified"),
	NUMBER(ISCSI_LOGIN_OPTIONS, LoginFlags, "loginFlags"),
	OPTION(ISCSI_LOGIN_OPTIONS, AuthType, "authType", ISCSI_LOGIN_OPTIONS_AUTH_TYPE),
	OPTION(ISCSI_LOGIN_OPTIONS, HeaderDigest, "headerDigest",
	       ISCSI_LOGIN_OPTIONS_HEADER_DIGEST),
	OPTION(ISCSI_LOGIN_OPTIONS, DataDigest, "dataDigest", ISCSI_LOGIN_OPTIONS_DATA_DIGEST),
	OPTION(ISCSI_LOGIN_OPTIONS, MaximumConnections, "maximumConnections",
	       ISCSI_LOGIN_OPTIONS_MAXIMUM_CONNECTIONS),
	OPTION(ISCSI_LOGIN_OPTIONS, DefaultTime2Wait, "defaultTime2Wait",
	       ISCSI_LOGIN_OPTIONS_DEFAULT_TIME_2_WAIT),
	OPTION(ISCSI_LOGIN_OPTIONS, DefaultTime2Retain, "defaultTime2Retain",
	       ISCSI_LOGIN_OPTIONS_DEFAULT_TIME_2_RETAIN),
	BYTES(ISCSI_LOGIN_OPTIONS, Username, UsernameLength, "username",
	      ISCSI_LOGIN_OPTIONS_USERNAME, FIELD_TAIL_BYTES),
	BYTES(ISCSI_LOGIN_OPTIONS, Password, PasswordLength, "password",
	      ISCSI_LOGIN_OPTIONS_PASSWORD, FIELD_SECRET),
};

const struct record record_login_options = {
	.name = "ISCSI_LOGIN_OPTIONS",
	.size = {sizeof(ISCSI_LOGIN_OPTIONS), sizeof(ISCSI_LOGIN_OPTIONS)},
	.mask_at = offsetof(ISCSI_LOGIN_OPTIONS, InformationSpecified),
	.fields = login_options_fields,
	.n_fields = ARRAY_SIZE(login_options_fields),
};

static const struct field portal_fields[] = {
	TEXT(ISCSI_TARGET_PORTAL, SymbolicName, "symbolicName"),
	TEXT(ISCSI_TARGET_PORTAL, Address, "address"),
	NUMBER(ISCSI_TARGET_PORTAL, Socket, "socket"),
};

const struct record record_portal = RECORD(ISCSI_TARGET_PORTAL, portal_fields);

static const struct field portal_key_fields[] = {
	TEXT(ISCSI_TARGET_PORTAL, Address, "address"),
	NUMBER(ISCSI_TARGET_PORTAL, Socket, "socket"),
};

const struct record record_portal_key = RECORD(ISCSI_TARGET_PORTAL, portal_key_fields);

static const struct field target_portal_fields[] = {
	{.key = "portal", .kind = FIELD_PART, .part = &record_portal},
};

const struct record record_target_portal = RECORD(ISCSI_TARGET_PORTAL, target_portal_fields);

/* The portal's members lie in the structure itself, but are an object of their own. */
static const struct field info_portal_fields[] = {
	TEXT(ISCSI_TARGET_PORTAL_INFO, SymbolicName, "symbolicName"),
	TEXT(ISCSI_TARGET_PORTAL_INFO, Address, "address"),
	NUMBER(ISCSI_TARGET_PORTAL_INFO, Socket, "socket"),
};

static const struct record record_info_portal =
	RECORD(ISCSI_TARGET_PORTAL_INFO, info_portal_fields);

static const struct field info_fields[] = {
	{.key = "portal", .kind = FIELD_PART, .part = &record_info_portal},
	TEXT(ISCSI_TARGET_PORTAL_INFO, InitiatorName, "initiatorName"),
	NUMBER(ISCSI_TARGET_PORTAL_INFO, InitiatorPortNumber, "initiatorPort"),
};

const struct record record_send_target_portal = RECORD(ISCSI_TARGET_PORTAL_INFO, info_fields);

/* Begins as the structure without options does. */
static const struct field info_ex_fields[] = {
	{.kind = FIELD_PART, .part = &record_send_target_portal},
	NUMBER(ISCSI_TARGET_PORTAL_INFO_EX, SecurityFlags, "securityFlags"),
	PART(ISCSI_TARGET_PORTAL_INFO_EX, LoginOptions, "loginOptions", record_login_options),
};

_Static_assert(offsetof(ISCSI_TARGET_PORTAL_INFO_EXA, Socket) ==
			       offsetof(ISCSI_TARGET_PORTAL_INFOA, Socket) &&
		       offsetof(ISCSI_TARGET_PORTAL_INFO_EXW, Socket) ==
			       offsetof(ISCSI_TARGET_PORTAL_INFOW, Socket),
	       "INFO_EX begins as INFO");
_Static_assert(sizeof(ISCSI_TARGET_PORTAL_INFOA) <=
			       offsetof(ISCSI_TARGET_PORTAL_INFO_EXA, SecurityFlags) &&
		       sizeof(ISCSI_TARGET_PORTAL_INFOW) <=
			       offsetof(ISCSI_TARGET_PORTAL_INFO_EXW, SecurityFlags),
	       "writing INFO leaves the rest of INFO_EX alone");

const struct record record_send_target_portal_ex =
	RECORD(ISCSI_TARGET_PORTAL_INFO_EX, info_ex_fields);

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

static const struct field version_fields[] = {
	NUMBER(ISCSI_VERSION_INFO, MajorVersion, "major"),
	NUMBER(ISCSI_VERSION_INFO, MinorVersion, "minor"),
	NUMBER(ISCSI_VERSION_INFO, BuildNumber, "build"),
};

const struct record record_version = RECORD(ISCSI_VERSION_INFO, version_fields);

_Static_assert(sizeof(ISCSI_DEVICE_ON_SESSIONW) <= RECORD_BYTES_MAX &&
		       sizeof(ISCSI_TARGET_PORTAL_INFO_EXW) <= RECORD_BYTES_MAX &&
		       sizeof(ISCSI_SESSION_INFOW) <= RECORD_BYTES_MAX &&
		       sizeof(ISCSI_CONNECTION_INFOW) <= RECORD_BYTES_MAX,
	       "a record fits its scratch buffer");
