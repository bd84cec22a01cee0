/* SPDX-License-Identifier: MIT */
/*
 * The structures of the API: options, portals, versions and identities
 *
 * Each is described once: member of the JSON object, kind, and the place in the A
 * and in the W structure.
 */
#include "client/fields.h"

typedef ISCSI_LOGIN_OPTIONS ISCSI_LOGIN_OPTIONSA, ISCSI_LOGIN_OPTIONSW;
typedef ISCSI_VERSION_INFO ISCSI_VERSION_INFOA, ISCSI_VERSION_INFOW;
typedef IKE_AUTHENTICATION_INFORMATION IKE_AUTHENTICATION_INFORMATIONA,
	IKE_AUTHENTICATION_INFORMATIONW;

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
	IGNORED_TEXT(ISCSI_TARGET_PORTAL, SymbolicName, "symbolicName", ""),
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

static const struct field version_fields[] = {
	NUMBER(ISCSI_VERSION_INFO, MajorVersion, "major"),
	NUMBER(ISCSI_VERSION_INFO, MinorVersion, "minor"),
	NUMBER(ISCSI_VERSION_INFO, BuildNumber, "build"),
};

const struct record record_version = RECORD(ISCSI_VERSION_INFO, version_fields);

/* Whom a key belongs to; the key itself is an argument of its own. */
static const struct field ike_identity_fields[] = {
	NUMBER(IKE_AUTHENTICATION_INFORMATION, PsKey.IdType, "idType"),
	BYTES(IKE_AUTHENTICATION_INFORMATION, PsKey.Id, PsKey.IdLengthInBytes, "id", 0,
	      FIELD_TAIL_BYTES),
};

const struct record record_ike_identity =
	RECORD(IKE_AUTHENTICATION_INFORMATION, ike_identity_fields);

_Static_assert(sizeof(ISCSI_TARGET_PORTAL_INFO_EXW) <= RECORD_BYTES_MAX,
	       "a record fits its scratch buffer");
