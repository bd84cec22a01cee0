/* SPDX-License-Identifier: MIT */
/*
 * iSCSI Discovery Library
 *
 * Names, layouts and values are those of the Windows library of this name, so
 * that a program written for it is compiled unchanged. A forms carry UTF-8, W
 * forms UTF-16 of 16-bit units; names without A or W are macros that UNICODE
 * chooses. iscsidsc(3) tells what is different here.
 *
 * Calls. Every function may be called from any thread, blocks until the service
 * has answered, and is bounded in time: 30 s for queries, 120 s for discovery and
 * login, 600 s for logout. The return value is 0 or a code of iscsierr.h. Strings
 * that come in are not changed. Text that is not well-formed or does not fit is
 * refused with ERROR_INVALID_PARAMETER and never cut.
 *
 * Lists. The size goes in and out by the same pointer, which may not be NULL;
 * with a NULL buffer the size that comes in counts as 0. When the list does not
 * fit, ERROR_INSUFFICIENT_BUFFER is returned with the size it needs and the
 * buffer is not touched. Sizes count characters with every NUL (lists of names:
 * strings one after the other, one more NUL at the end), elements, or bytes, as
 * each function says. An empty list is 0 elements and success, but a list of
 * names needs 2 characters, except of servers. After any other error the sizes are 0. Lists may
 * grow between two calls.
 *
 * SCSI. @Lun is the 8 bytes of REPORT LUNS read as a little-endian number, as
 * SCSI_LUN_LIST.TargetLUN; below 256 it is simply the number of the unit. With a
 * response buffer that is NULL or of no size the answer is
 * ERROR_INSUFFICIENT_BUFFER and the size that the response needs. Else the sizes
 * become the bytes stored, which may be fewer than the unit has to say.
 * @ScsiStatus is always written; ISDSC_SCSI_REQUEST_FAILED says that it is not
 * GOOD, and @SenseBuffer then has the sense data.
 */
#ifndef ISCSIDSC_H
#define ISCSIDSC_H

#include "iscsidsc_types.h"
#include "iscsierr.h"

/* Keeps compilers quiet about the unnamed union in C99. */
#if defined(__GNUC__)
#define ISCSIDSC_EXTENSION __extension__
#else
#define ISCSIDSC_EXTENSION
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Lengths in characters; those of names and aliases do not count the terminator. */
#define MAX_ISCSI_HBANAME_LEN          256
#define MAX_ISCSI_NAME_LEN             223
#define MAX_ISCSI_ALIAS_LEN            255
#define MAX_ISCSI_PORTAL_NAME_LEN      256
#define MAX_ISCSI_PORTAL_ALIAS_LEN     256
#define MAX_ISCSI_TEXT_ADDRESS_LEN     256
#define MAX_ISCSI_PORTAL_ADDRESS_LEN   MAX_ISCSI_TEXT_ADDRESS_LEN
#define MAX_ISCSI_DISCOVERY_DOMAIN_LEN 256
#define MAX_RADIUS_ADDRESS_LEN         41

/* No particular port of the initiator (logins), every port (all else). */
#define ISCSI_ANY_INITIATOR_PORT  ((ULONG)0xFFFFFFFF)
#define ISCSI_ALL_INITIATOR_PORTS ((ULONG)0xFFFFFFFF)

typedef ULONGLONG ISCSI_SECURITY_FLAGS, *PISCSI_SECURITY_FLAGS;

/* IPsec wishes. Without VALID the other bits are only stored. */
#define ISCSI_SECURITY_FLAG_TUNNEL_MODE_PREFERRED    0x00000040
#define ISCSI_SECURITY_FLAG_TRANSPORT_MODE_PREFERRED 0x00000020
#define ISCSI_SECURITY_FLAG_PFS_ENABLED              0x00000010
#define ISCSI_SECURITY_FLAG_AGGRESSIVE_MODE_ENABLED  0x00000008
#define ISCSI_SECURITY_FLAG_MAIN_MODE_ENABLED        0x00000004
#define ISCSI_SECURITY_FLAG_IKE_IPSEC_ENABLED        0x00000002
#define ISCSI_SECURITY_FLAG_VALID                    0x00000001

typedef ULONG ISCSI_LOGIN_FLAGS, *PISCSI_LOGIN_FLAGS;

#define ISCSI_LOGIN_FLAG_REQUIRE_IPSEC           0x00000001
#define ISCSI_LOGIN_FLAG_MULTIPATH_ENABLED       0x00000002
#define ISCSI_LOGIN_FLAG_RESERVED1               0x00000004
#define ISCSI_LOGIN_FLAG_ALLOW_PORTAL_HOPPING    0x00000008
#define ISCSI_LOGIN_FLAG_USE_RADIUS_RESPONSE     0x00000010
#define ISCSI_LOGIN_FLAG_USE_RADIUS_VERIFICATION 0x00000020

/* Which members of ISCSI_LOGIN_OPTIONS count. LoginFlags always do. */
typedef ULONG ISCSI_LOGIN_OPTIONS_INFO_SPECIFIED, *PISCSI_LOGIN_OPTIONS_INFO_SPECIFIED;

#define ISCSI_LOGIN_OPTIONS_HEADER_DIGEST         0x00000001
#define ISCSI_LOGIN_OPTIONS_DATA_DIGEST           0x00000002
#define ISCSI_LOGIN_OPTIONS_MAXIMUM_CONNECTIONS   0x00000004
#define ISCSI_LOGIN_OPTIONS_DEFAULT_TIME_2_WAIT   0x00000008
#define ISCSI_LOGIN_OPTIONS_DEFAULT_TIME_2_RETAIN 0x00000010
#define ISCSI_LOGIN_OPTIONS_USERNAME              0x00000020
#define ISCSI_LOGIN_OPTIONS_PASSWORD              0x00000040
#define ISCSI_LOGIN_OPTIONS_AUTH_TYPE             0x00000080

#define ISCSI_LOGIN_OPTIONS_VERSION               0x00000000

typedef ULONG ISCSI_TARGET_FLAGS, *PISCSI_TARGET_FLAGS;

#define ISCSI_TARGET_FLAG_HIDE_STATIC_TARGET       0x00000002
#define ISCSI_TARGET_FLAG_MERGE_TARGET_INFORMATION 0x00000004

/* Values of RFC 2407. */
typedef UCHAR IKE_IDENTIFICATION_PAYLOAD_TYPE, *PIKE_IDENTIFICATION_PAYLOAD_TYPE;

#define ID_IPV4_ADDR 0x00000001
#define ID_FQDN      0x00000002
#define ID_USER_FQDN 0x00000003
#define ID_IPV6_ADDR 0x00000005

typedef enum {
	ISCSI_DIGEST_TYPE_NONE = 0,
	ISCSI_DIGEST_TYPE_CRC32C = 1
} ISCSI_DIGEST_TYPES, *PISCSI_DIGEST_TYPES;

typedef enum {
	ISCSI_NO_AUTH_TYPE = 0,
	ISCSI_CHAP_AUTH_TYPE = 1,
	ISCSI_MUTUAL_CHAP_AUTH_TYPE = 2
} ISCSI_AUTH_TYPES, *PISCSI_AUTH_TYPES;

typedef enum {
	IKE_AUTHENTICATION_PRESHARED_KEY_METHOD = 1
} IKE_AUTHENTICATION_METHOD, *PIKE_AUTHENTICATION_METHOD;

typedef enum {
	ISCSI_TCP_PROTOCOL_TYPE = 0
} TARGETPROTOCOLTYPE, *PTARGETPROTOCOLTYPE;

typedef enum {
	ProtocolType = 0,
	TargetAlias = 1,
	DiscoveryMechanisms = 2,
	PortalGroups = 3,
	PersistentTargetMappings = 4,
	InitiatorName = 5,
	TargetFlags = 6,
	LoginOptions = 7
} TARGET_INFORMATION_CLASS, *PTARGET_INFORMATION_CLASS;

/*
 * A member whose bit in InformationSpecified is clear is ignored. Username and
 * Password are counted bytes without terminator. Version 0.
 */
typedef struct {
	ULONG Version;
	ISCSI_LOGIN_OPTIONS_INFO_SPECIFIED InformationSpecified;
	ISCSI_LOGIN_FLAGS LoginFlags;
	ISCSI_AUTH_TYPES AuthType;
	ISCSI_DIGEST_TYPES HeaderDigest;
	ISCSI_DIGEST_TYPES DataDigest;
	ULONG MaximumConnections;
	ULONG DefaultTime2Wait;
	ULONG DefaultTime2Retain;
	ULONG UsernameLength;
	ULONG PasswordLength;
	PUCHAR Username;
	PUCHAR Password;
} ISCSI_LOGIN_OPTIONS, *PISCSI_LOGIN_OPTIONS;

typedef struct {
	ISCSI_SECURITY_FLAGS SecurityFlags;
	IKE_IDENTIFICATION_PAYLOAD_TYPE IdType;
	ULONG IdLengthInBytes;
	PUCHAR Id;
	ULONG KeyLengthInBytes;
	PUCHAR Key;
} IKE_AUTHENTICATION_PRESHARED_KEY, *PIKE_AUTHENTICATION_PRESHARED_KEY;

typedef struct {
	IKE_AUTHENTICATION_METHOD AuthMethod;
	ISCSIDSC_EXTENSION union {
		IKE_AUTHENTICATION_PRESHARED_KEY PsKey;
	};
} IKE_AUTHENTICATION_INFORMATION, *PIKE_AUTHENTICATION_INFORMATION;

/* Opaque; not the ISID. Written as two hexadecimal numbers joined by "-". */
typedef struct _ISCSI_UNIQUE_SESSION_ID {
	ULONGLONG AdapterUnique;
	ULONGLONG AdapterSpecific;
} ISCSI_UNIQUE_SESSION_ID, *PISCSI_UNIQUE_SESSION_ID, ISCSI_UNIQUE_CONNECTION_ID,
	*PISCSI_UNIQUE_CONNECTION_ID;

/* TargetLUN: the 8 bytes of REPORT LUNS as a little-endian number. */
typedef struct {
	ULONG OSLUN;
	ULONGLONG TargetLUN;
} SCSI_LUN_LIST, *PSCSI_LUN_LIST;

/* LUNCount elements at LUNList. */
typedef struct {
	WCHAR InitiatorName[MAX_ISCSI_HBANAME_LEN];
	WCHAR TargetName[MAX_ISCSI_NAME_LEN + 1];
	WCHAR OSDeviceName[MAX_PATH];
	ISCSI_UNIQUE_SESSION_ID SessionId;
	ULONG OSBusNumber;
	ULONG OSTargetNumber;
	ULONG LUNCount;
	PSCSI_LUN_LIST LUNList;
} ISCSI_TARGET_MAPPINGW, *PISCSI_TARGET_MAPPINGW;

typedef struct {
	CHAR InitiatorName[MAX_ISCSI_HBANAME_LEN];
	CHAR TargetName[MAX_ISCSI_NAME_LEN + 1];
	CHAR OSDeviceName[MAX_PATH];
	ISCSI_UNIQUE_SESSION_ID SessionId;
	ULONG OSBusNumber;
	ULONG OSTargetNumber;
	ULONG LUNCount;
	PSCSI_LUN_LIST LUNList;
} ISCSI_TARGET_MAPPINGA, *PISCSI_TARGET_MAPPINGA;

/*
 * Address: IP literal or host name. Socket: TCP port in host byte order.
 * SymbolicName is a label and never tells portals apart.
 */
typedef struct {
	WCHAR SymbolicName[MAX_ISCSI_PORTAL_NAME_LEN];
	WCHAR Address[MAX_ISCSI_PORTAL_ADDRESS_LEN];
	USHORT Socket;
} ISCSI_TARGET_PORTALW, *PISCSI_TARGET_PORTALW;

typedef struct {
	CHAR SymbolicName[MAX_ISCSI_PORTAL_NAME_LEN];
	CHAR Address[MAX_ISCSI_PORTAL_ADDRESS_LEN];
	USHORT Socket;
} ISCSI_TARGET_PORTALA, *PISCSI_TARGET_PORTALA;

/* InitiatorName: initiator instance, not the iSCSI name. */
typedef struct {
	WCHAR InitiatorName[MAX_ISCSI_HBANAME_LEN];
	ULONG InitiatorPortNumber;
	WCHAR SymbolicName[MAX_ISCSI_PORTAL_NAME_LEN];
	WCHAR Address[MAX_ISCSI_PORTAL_ADDRESS_LEN];
	USHORT Socket;
} ISCSI_TARGET_PORTAL_INFOW, *PISCSI_TARGET_PORTAL_INFOW;

typedef struct {
	CHAR InitiatorName[MAX_ISCSI_HBANAME_LEN];
	ULONG InitiatorPortNumber;
	CHAR SymbolicName[MAX_ISCSI_PORTAL_NAME_LEN];
	CHAR Address[MAX_ISCSI_PORTAL_ADDRESS_LEN];
	USHORT Socket;
} ISCSI_TARGET_PORTAL_INFOA, *PISCSI_TARGET_PORTAL_INFOA;

/* As ISCSI_TARGET_PORTAL_INFO, and the options of discovery logins. */
typedef struct {
	WCHAR InitiatorName[MAX_ISCSI_HBANAME_LEN];
	ULONG InitiatorPortNumber;
	WCHAR SymbolicName[MAX_ISCSI_PORTAL_NAME_LEN];
	WCHAR Address[MAX_ISCSI_PORTAL_ADDRESS_LEN];
	USHORT Socket;
	ISCSI_SECURITY_FLAGS SecurityFlags;
	ISCSI_LOGIN_OPTIONS LoginOptions;
} ISCSI_TARGET_PORTAL_INFO_EXW, *PISCSI_TARGET_PORTAL_INFO_EXW;

typedef struct {
	CHAR InitiatorName[MAX_ISCSI_HBANAME_LEN];
	ULONG InitiatorPortNumber;
	CHAR SymbolicName[MAX_ISCSI_PORTAL_NAME_LEN];
	CHAR Address[MAX_ISCSI_PORTAL_ADDRESS_LEN];
	USHORT Socket;
	ISCSI_SECURITY_FLAGS SecurityFlags;
	ISCSI_LOGIN_OPTIONS LoginOptions;
} ISCSI_TARGET_PORTAL_INFO_EXA, *PISCSI_TARGET_PORTAL_INFO_EXA;

/* Count portals lie one after the other from Portals on. */
typedef struct {
	ULONG Count;
	ISCSI_TARGET_PORTALW Portals[1];
} ISCSI_TARGET_PORTAL_GROUPW, *PISCSI_TARGET_PORTAL_GROUPW;

typedef struct {
	ULONG Count;
	ISCSI_TARGET_PORTALA Portals[1];
} ISCSI_TARGET_PORTAL_GROUPA, *PISCSI_TARGET_PORTAL_GROUPA;

/* Sockets in host byte order; CID with its low byte first. */
typedef struct {
	ISCSI_UNIQUE_CONNECTION_ID ConnectionId;
	PWCHAR InitiatorAddress;
	PWCHAR TargetAddress;
	USHORT InitiatorSocket;
	USHORT TargetSocket;
	UCHAR CID[2];
} ISCSI_CONNECTION_INFOW, *PISCSI_CONNECTION_INFOW;

/*
 * ISID in the order of the wire; TSID, which is the TSIH, with its low byte first.
 * While a session has lost its connection ConnectionCount is 0.
 */
typedef struct {
	ISCSI_UNIQUE_SESSION_ID SessionId;
	PWCHAR InitiatorName;
	PWCHAR TargetNodeName;
	PWCHAR TargetName;
	UCHAR ISID[6];
	UCHAR TSID[2];
	ULONG ConnectionCount;
	PISCSI_CONNECTION_INFOW Connections;
} ISCSI_SESSION_INFOW, *PISCSI_SESSION_INFOW;

typedef struct {
	ISCSI_UNIQUE_CONNECTION_ID ConnectionId;
	PCHAR InitiatorAddress;
	PCHAR TargetAddress;
	USHORT InitiatorSocket;
	USHORT TargetSocket;
	UCHAR CID[2];
} ISCSI_CONNECTION_INFOA, *PISCSI_CONNECTION_INFOA;

typedef struct {
	ISCSI_UNIQUE_SESSION_ID SessionId;
	PCHAR InitiatorName;
	PCHAR TargetNodeName;
	PCHAR TargetName;
	UCHAR ISID[6];
	UCHAR TSID[2];
	ULONG ConnectionCount;
	PISCSI_CONNECTION_INFOA Connections;
} ISCSI_SESSION_INFOA, *PISCSI_SESSION_INFOA;

/* State: 0 login, 1 full feature phase, 2 logout. Protocol 6 is TCP. */
typedef struct {
	ISCSI_UNIQUE_CONNECTION_ID ConnectionId;
	UCHAR State;
	UCHAR Protocol;
	UCHAR HeaderDigest;
	UCHAR DataDigest;
	ULONG MaxRecvDataSegmentLength;
	ISCSI_AUTH_TYPES AuthType;
	ULONGLONG EstimatedThroughput;
	ULONG MaxDatagramSize;
} ISCSI_CONNECTION_INFO_EX, *PISCSI_CONNECTION_INFO_EX;

/* Type: 1 informational, 2 data. */
typedef struct {
	ISCSI_UNIQUE_SESSION_ID SessionId;
	BOOLEAN InitialR2t;
	BOOLEAN ImmediateData;
	UCHAR Type;
	BOOLEAN DataSequenceInOrder;
	BOOLEAN DataPduInOrder;
	UCHAR ErrorRecoveryLevel;
	ULONG MaxOutstandingR2t;
	ULONG FirstBurstLength;
	ULONG MaxBurstLength;
	ULONG MaximumConnections;
	ULONG ConnectionCount;
	PISCSI_CONNECTION_INFO_EX Connections;
} ISCSI_SESSION_INFO_EX, *PISCSI_SESSION_INFO_EX;

/* LegacyName is empty and DeviceNumber 0xFFFFFFFF until the device can be used. */
typedef struct {
	WCHAR InitiatorName[MAX_ISCSI_HBANAME_LEN];
	WCHAR TargetName[MAX_ISCSI_NAME_LEN + 1];
	SCSI_ADDRESS ScsiAddress;
	GUID DeviceInterfaceType;
	WCHAR DeviceInterfaceName[MAX_PATH];
	WCHAR LegacyName[MAX_PATH];
	STORAGE_DEVICE_NUMBER StorageDeviceNumber;
	DWORD DeviceInstance;
} ISCSI_DEVICE_ON_SESSIONW, *PISCSI_DEVICE_ON_SESSIONW;

typedef struct {
	CHAR InitiatorName[MAX_ISCSI_HBANAME_LEN];
	CHAR TargetName[MAX_ISCSI_NAME_LEN + 1];
	SCSI_ADDRESS ScsiAddress;
	GUID DeviceInterfaceType;
	CHAR DeviceInterfaceName[MAX_PATH];
	CHAR LegacyName[MAX_PATH];
	STORAGE_DEVICE_NUMBER StorageDeviceNumber;
	DWORD DeviceInstance;
} ISCSI_DEVICE_ON_SESSIONA, *PISCSI_DEVICE_ON_SESSIONA;

/* An empty address: any portal. Mappings may be NULL. */
typedef struct {
	WCHAR TargetName[MAX_ISCSI_NAME_LEN + 1];
	BOOLEAN IsInformationalSession;
	WCHAR InitiatorInstance[MAX_ISCSI_HBANAME_LEN];
	ULONG InitiatorPortNumber;
	ISCSI_TARGET_PORTALW TargetPortal;
	ISCSI_SECURITY_FLAGS SecurityFlags;
	PISCSI_TARGET_MAPPINGW Mappings;
	ISCSI_LOGIN_OPTIONS LoginOptions;
} PERSISTENT_ISCSI_LOGIN_INFOW, *PPERSISTENT_ISCSI_LOGIN_INFOW;

typedef struct {
	CHAR TargetName[MAX_ISCSI_NAME_LEN + 1];
	BOOLEAN IsInformationalSession;
	CHAR InitiatorInstance[MAX_ISCSI_HBANAME_LEN];
	ULONG InitiatorPortNumber;
	ISCSI_TARGET_PORTALA TargetPortal;
	ISCSI_SECURITY_FLAGS SecurityFlags;
	PISCSI_TARGET_MAPPINGA Mappings;
	ISCSI_LOGIN_OPTIONS LoginOptions;
} PERSISTENT_ISCSI_LOGIN_INFOA, *PPERSISTENT_ISCSI_LOGIN_INFOA;

typedef struct {
	ULONG MajorVersion;
	ULONG MinorVersion;
	ULONG BuildNumber;
} ISCSI_VERSION_INFO, *PISCSI_VERSION_INFO;

#ifdef UNICODE
#define ISCSI_TARGET_MAPPING         ISCSI_TARGET_MAPPINGW
#define PISCSI_TARGET_MAPPING        PISCSI_TARGET_MAPPINGW
#define ISCSI_TARGET_PORTAL          ISCSI_TARGET_PORTALW
#define PISCSI_TARGET_PORTAL         PISCSI_TARGET_PORTALW
#define ISCSI_TARGET_PORTAL_INFO     ISCSI_TARGET_PORTAL_INFOW
#define PISCSI_TARGET_PORTAL_INFO    PISCSI_TARGET_PORTAL_INFOW
#define ISCSI_TARGET_PORTAL_INFO_EX  ISCSI_TARGET_PORTAL_INFO_EXW
#define PISCSI_TARGET_PORTAL_INFO_EX PISCSI_TARGET_PORTAL_INFO_EXW
#define ISCSI_TARGET_PORTAL_GROUP    ISCSI_TARGET_PORTAL_GROUPW
#define PISCSI_TARGET_PORTAL_GROUP   PISCSI_TARGET_PORTAL_GROUPW
#define ISCSI_SESSION_INFO           ISCSI_SESSION_INFOW
#define PISCSI_SESSION_INFO          PISCSI_SESSION_INFOW
#define ISCSI_CONNECTION_INFO        ISCSI_CONNECTION_INFOW
#define PISCSI_CONNECTION_INFO       PISCSI_CONNECTION_INFOW
#define ISCSI_DEVICE_ON_SESSION      ISCSI_DEVICE_ON_SESSIONW
#define PISCSI_DEVICE_ON_SESSION     PISCSI_DEVICE_ON_SESSIONW
#define PERSISTENT_ISCSI_LOGIN_INFO  PERSISTENT_ISCSI_LOGIN_INFOW
#define PPERSISTENT_ISCSI_LOGIN_INFO PPERSISTENT_ISCSI_LOGIN_INFOW
#else
#define ISCSI_TARGET_MAPPING         ISCSI_TARGET_MAPPINGA
#define PISCSI_TARGET_MAPPING        PISCSI_TARGET_MAPPINGA
#define ISCSI_TARGET_PORTAL          ISCSI_TARGET_PORTALA
#define PISCSI_TARGET_PORTAL         PISCSI_TARGET_PORTALA
#define ISCSI_TARGET_PORTAL_INFO     ISCSI_TARGET_PORTAL_INFOA
#define PISCSI_TARGET_PORTAL_INFO    PISCSI_TARGET_PORTAL_INFOA
#define ISCSI_TARGET_PORTAL_INFO_EX  ISCSI_TARGET_PORTAL_INFO_EXA
#define PISCSI_TARGET_PORTAL_INFO_EX PISCSI_TARGET_PORTAL_INFO_EXA
#define ISCSI_TARGET_PORTAL_GROUP    ISCSI_TARGET_PORTAL_GROUPA
#define PISCSI_TARGET_PORTAL_GROUP   PISCSI_TARGET_PORTAL_GROUPA
#define ISCSI_SESSION_INFO           ISCSI_SESSION_INFOA
#define PISCSI_SESSION_INFO          PISCSI_SESSION_INFOA
#define ISCSI_CONNECTION_INFO        ISCSI_CONNECTION_INFOA
#define PISCSI_CONNECTION_INFO       PISCSI_CONNECTION_INFOA
#define ISCSI_DEVICE_ON_SESSION      ISCSI_DEVICE_ON_SESSIONA
#define PISCSI_DEVICE_ON_SESSION     PISCSI_DEVICE_ON_SESSIONA
#define PERSISTENT_ISCSI_LOGIN_INFO  PERSISTENT_ISCSI_LOGIN_INFOA
#define PPERSISTENT_ISCSI_LOGIN_INFO PPERSISTENT_ISCSI_LOGIN_INFOA
#endif

/* Node name, version and initiators */

/* Version of the initiator: 10.0 and the build number of this software. */
ISDSC_STATUS WINAPI GetIScsiVersionInformation(PISCSI_VERSION_INFO VersionInfo);

/*
 * The iSCSI name of this machine. @InitiatorNodeName has room for
 * MAX_ISCSI_NAME_LEN + 1 characters: 224 bytes in the A form, 448 in the W form.
 */
ISDSC_STATUS WINAPI GetIScsiInitiatorNodeNameA(PCHAR InitiatorNodeName);
ISDSC_STATUS WINAPI GetIScsiInitiatorNodeNameW(PWCHAR InitiatorNodeName);

/*
 * Changes the iSCSI name of this machine for logins from now on, and keeps it.
 * NULL goes back to the default name.
 */
ISDSC_STATUS WINAPI SetIScsiInitiatorNodeNameA(PSTR InitiatorNodeName);
ISDSC_STATUS WINAPI SetIScsiInitiatorNodeNameW(PWSTR InitiatorNodeName);

/*
 * Names of the initiator instances (HBAs), as @InitiatorInstance takes them.
 * @BufferSize counts characters; see "Lists".
 */
ISDSC_STATUS WINAPI ReportIScsiInitiatorListA(PULONG BufferSize, PCHAR Buffer);
ISDSC_STATUS WINAPI ReportIScsiInitiatorListW(ULONG *BufferSize, PWCHAR Buffer);

/* Portals and discovery */

/*
 * Stores a portal for discovery and asks it for its targets at once. When asking
 * fails the error is returned and the portal stays stored. @InitiatorInstance NULL
 * or empty: any. @LoginOptions NULL: defaults.
 */
ISDSC_STATUS WINAPI AddIScsiSendTargetPortalA(PSTR InitiatorInstance, ULONG InitiatorPortNumber,
					      PISCSI_LOGIN_OPTIONS LoginOptions,
					      ISCSI_SECURITY_FLAGS SecurityFlags,
					      PISCSI_TARGET_PORTALA Portal);
ISDSC_STATUS WINAPI AddIScsiSendTargetPortalW(PWSTR InitiatorInstance, ULONG InitiatorPortNumber,
					      PISCSI_LOGIN_OPTIONS LoginOptions,
					      ISCSI_SECURITY_FLAGS SecurityFlags,
					      PISCSI_TARGET_PORTALW Portal);

/*
 * Forgets a discovery portal; the targets it told stay known. SymbolicName is not
 * looked at. ISDSC_PORTAL_NOT_FOUND when it is not stored.
 */
ISDSC_STATUS WINAPI RemoveIScsiSendTargetPortalA(PSTR InitiatorInstance, ULONG InitiatorPortNumber,
						 PISCSI_TARGET_PORTALA Portal);
ISDSC_STATUS WINAPI RemoveIScsiSendTargetPortalW(PWSTR InitiatorInstance, ULONG InitiatorPortNumber,
						 PISCSI_TARGET_PORTALW Portal);

/*
 * Asks a portal for its targets again, with the options stored for it.
 * SymbolicName is not looked at.
 */
ISDSC_STATUS WINAPI RefreshIScsiSendTargetPortalA(PSTR InitiatorInstance, ULONG InitiatorPortNumber,
						  PISCSI_TARGET_PORTALA Portal);
ISDSC_STATUS WINAPI RefreshIScsiSendTargetPortalW(PWSTR InitiatorInstance,
						  ULONG InitiatorPortNumber,
						  PISCSI_TARGET_PORTALW Portal);

/* The stored discovery portals. @PortalCount counts elements; see "Lists". */
ISDSC_STATUS WINAPI ReportIScsiSendTargetPortalsA(PULONG PortalCount,
						  PISCSI_TARGET_PORTAL_INFOA PortalInfo);
ISDSC_STATUS WINAPI ReportIScsiSendTargetPortalsW(PULONG PortalCount,
						  PISCSI_TARGET_PORTAL_INFOW PortalInfo);

/*
 * The stored discovery portals with their login options. User names lie behind the
 * elements in the same buffer; passwords never come back. @PortalInfoSize counts
 * bytes and is exact; see "Lists".
 */
ISDSC_STATUS WINAPI ReportIScsiSendTargetPortalsExA(PULONG PortalCount, PULONG PortalInfoSize,
						    PISCSI_TARGET_PORTAL_INFO_EXA PortalInfo);
ISDSC_STATUS WINAPI ReportIScsiSendTargetPortalsExW(PULONG PortalCount, PULONG PortalInfoSize,
						    PISCSI_TARGET_PORTAL_INFO_EXW PortalInfo);

/*
 * Portals through which a target can be reached. @TargetPortalTag NULL: of every
 * portal group. @ElementCount counts elements; see "Lists".
 */
ISDSC_STATUS WINAPI ReportIScsiTargetPortalsA(PSTR InitiatorName, PSTR TargetName,
					      PUSHORT TargetPortalTag, PULONG ElementCount,
					      PISCSI_TARGET_PORTALA Portals);
ISDSC_STATUS WINAPI ReportIScsiTargetPortalsW(PWSTR InitiatorName, PWSTR TargetName,
					      PUSHORT TargetPortalTag, PULONG ElementCount,
					      PISCSI_TARGET_PORTALW Portals);

/* Targets */

/*
 * Names of the known targets. @ForceUpdate: ask every portal first, which takes a
 * while; ISDSC_OPERATION_NOT_ALL_SUCCESS says that some did not answer, and the
 * list is there all the same. @BufferSize counts characters; see "Lists".
 */
ISDSC_STATUS WINAPI ReportIScsiTargetsA(BOOLEAN ForceUpdate, PULONG BufferSize, PCHAR Buffer);
ISDSC_STATUS WINAPI ReportIScsiTargetsW(BOOLEAN ForceUpdate, PULONG BufferSize, PWCHAR Buffer);

/*
 * Adds a target by hand, with the portals it can be reached through. A target of this
 * name that was added before is replaced, unless
 * ISCSI_TARGET_FLAG_MERGE_TARGET_INFORMATION adds to it. @Persist FALSE: until the
 * service stops. @PortalGroup NULL: logins have to name a portal.
 */
ISDSC_STATUS WINAPI AddIScsiStaticTargetA(PSTR TargetName, PSTR TargetAlias,
					  ISCSI_TARGET_FLAGS TargetFlags, BOOLEAN Persist,
					  PISCSI_TARGET_MAPPINGA Mappings,
					  PISCSI_LOGIN_OPTIONS LoginOptions,
					  PISCSI_TARGET_PORTAL_GROUPA PortalGroup);
ISDSC_STATUS WINAPI AddIScsiStaticTargetW(PWSTR TargetName, PWSTR TargetAlias,
					  ISCSI_TARGET_FLAGS TargetFlags, BOOLEAN Persist,
					  PISCSI_TARGET_MAPPINGW Mappings,
					  PISCSI_LOGIN_OPTIONS LoginOptions,
					  PISCSI_TARGET_PORTAL_GROUPW PortalGroup);

/* Removes a target that was added by hand. ISDSC_TARGET_NOT_FOUND when none was. */
ISDSC_STATUS WINAPI RemoveIScsiStaticTargetA(PSTR TargetName);
ISDSC_STATUS WINAPI RemoveIScsiStaticTargetW(PWSTR TargetName);

/*
 * One kind of knowledge about a target, as @InfoClass says. @DiscoveryMechanism is one
 * of the names that the class DiscoveryMechanisms gives, and needed by all the others.
 * @BufferSize counts bytes in both forms, of text as well. What the target does not
 * have has a size of 0, and success.
 */
ISDSC_STATUS WINAPI GetIScsiTargetInformationA(PSTR TargetName, PSTR DiscoveryMechanism,
					       TARGET_INFORMATION_CLASS InfoClass,
					       PULONG BufferSize, PVOID Buffer);
ISDSC_STATUS WINAPI GetIScsiTargetInformationW(PWSTR TargetName, PWSTR DiscoveryMechanism,
					       TARGET_INFORMATION_CLASS InfoClass,
					       PULONG BufferSize, PVOID Buffer);

/* Sessions and connections */

/*
 * Logs in to a target. Returns when its devices are there, or 5 s after the session
 * is up, whichever is first. @TargetPortal NULL: any portal the target is known by;
 * its SymbolicName is not looked at. @Mappings NULL: the system chooses numbers and
 * presents every unit; of a mapping only the numbers and LUNList are looked at.
 * @IsPersistent: only store the login for every start of the service; no session is
 * opened then and both ids are left as they are.
 * ISDSC_TARGET_ALREADY_LOGGED_IN: there is a session, and @LoginOptions do not have
 * ISCSI_LOGIN_FLAG_MULTIPATH_ENABLED.
 */
ISDSC_STATUS WINAPI LoginIScsiTargetA(
	PSTR TargetName, BOOLEAN IsInformationalSession, PSTR InitiatorInstance,
	ULONG InitiatorPortNumber, PISCSI_TARGET_PORTALA TargetPortal,
	ISCSI_SECURITY_FLAGS SecurityFlags, PISCSI_TARGET_MAPPINGA Mappings,
	PISCSI_LOGIN_OPTIONS LoginOptions, ULONG KeySize, PCHAR Key, BOOLEAN IsPersistent,
	PISCSI_UNIQUE_SESSION_ID UniqueSessionId, PISCSI_UNIQUE_CONNECTION_ID UniqueConnectionId);
ISDSC_STATUS WINAPI LoginIScsiTargetW(
	PWSTR TargetName, BOOLEAN IsInformationalSession, PWSTR InitiatorInstance,
	ULONG InitiatorPortNumber, PISCSI_TARGET_PORTALW TargetPortal,
	ISCSI_SECURITY_FLAGS SecurityFlags, PISCSI_TARGET_MAPPINGW Mappings,
	PISCSI_LOGIN_OPTIONS LoginOptions, ULONG KeySize, PCHAR Key, BOOLEAN IsPersistent,
	PISCSI_UNIQUE_SESSION_ID UniqueSessionId, PISCSI_UNIQUE_CONNECTION_ID UniqueConnectionId);

/*
 * Ends a session. Its devices are flushed and taken away first; while one is in use
 * nothing happens and ISDSC_DEVICE_BUSY_ON_SESSION is returned, and
 * iscsidsc_last_detail() tells who uses it. May take minutes.
 */
ISDSC_STATUS WINAPI LogoutIScsiTarget(PISCSI_UNIQUE_SESSION_ID UniqueSessionId);

/*
 * Adds a connection to a session. @Reserved is not looked at. @TargetPortal NULL: one
 * of the session's portal group. @LoginOptions NULL: the session's. @ConnectionId may
 * be NULL. ISDSC_TOO_MANY_CONNECTIONS when the session may not have more.
 */
ISDSC_STATUS WINAPI AddIScsiConnectionA(PISCSI_UNIQUE_SESSION_ID UniqueSessionId, PVOID Reserved,
					ULONG InitiatorPortNumber,
					PISCSI_TARGET_PORTALA TargetPortal,
					ISCSI_SECURITY_FLAGS SecurityFlags,
					PISCSI_LOGIN_OPTIONS LoginOptions, ULONG KeySize, PCHAR Key,
					PISCSI_UNIQUE_CONNECTION_ID ConnectionId);
ISDSC_STATUS WINAPI AddIScsiConnectionW(PISCSI_UNIQUE_SESSION_ID UniqueSessionId, PVOID Reserved,
					ULONG InitiatorPortNumber,
					PISCSI_TARGET_PORTALW TargetPortal,
					ISCSI_SECURITY_FLAGS SecurityFlags,
					PISCSI_LOGIN_OPTIONS LoginOptions, ULONG KeySize, PCHAR Key,
					PISCSI_UNIQUE_CONNECTION_ID ConnectionId);

/* Closes one connection of a session, but never the first or the only one. */
ISDSC_STATUS WINAPI RemoveIScsiConnection(PISCSI_UNIQUE_SESSION_ID UniqueSessionId,
					  PISCSI_UNIQUE_CONNECTION_ID ConnectionId);

/*
 * The sessions with their connections. Strings and connections lie behind the
 * elements in the same buffer. InitiatorName is the iSCSI name of this machine;
 * TargetNodeName and TargetName are the same. @BufferSize counts bytes; see
 * "Lists".
 */
ISDSC_STATUS WINAPI GetIScsiSessionListA(ULONG *BufferSize, ULONG *SessionCount,
					 PISCSI_SESSION_INFOA SessionInfo);
ISDSC_STATUS WINAPI GetIScsiSessionListW(ULONG *BufferSize, ULONG *SessionCount,
					 PISCSI_SESSION_INFOW SessionInfo);

/*
 * What the sessions and their connections negotiated. The connections lie behind the
 * elements in the same buffer. @BufferSize counts bytes; see "Lists".
 */
ISDSC_STATUS WINAPI GetIScsiSessionListEx(ULONG *BufferSize, ULONG *SessionCountPtr,
					  PISCSI_SESSION_INFO_EX SessionInfo);

/* Devices */

/*
 * The devices of a session. LegacyName is the path to open, and empty until the
 * device can be used; DeviceInterfaceName is its stable link, or empty when there is
 * none. @DeviceCount counts elements; see "Lists".
 */
ISDSC_STATUS WINAPI GetDevicesForIScsiSessionA(PISCSI_UNIQUE_SESSION_ID UniqueSessionId,
					       ULONG *DeviceCount,
					       PISCSI_DEVICE_ON_SESSIONA Devices);
ISDSC_STATUS WINAPI GetDevicesForIScsiSessionW(PISCSI_UNIQUE_SESSION_ID UniqueSessionId,
					       ULONG *DeviceCount,
					       PISCSI_DEVICE_ON_SESSIONW Devices);

/*
 * Bus, target and unit numbers of the sessions' devices. The units lie behind the
 * elements in the same buffer. @BufferSize counts bytes; see "Lists".
 */
ISDSC_STATUS WINAPI ReportActiveIScsiTargetMappingsA(PULONG BufferSize, PULONG MappingCount,
						     PISCSI_TARGET_MAPPINGA Mappings);
ISDSC_STATUS WINAPI ReportActiveIScsiTargetMappingsW(PULONG BufferSize, PULONG MappingCount,
						     PISCSI_TARGET_MAPPINGW Mappings);

/* Logins and devices that are kept */

/*
 * The logins that the service makes when it starts. Mappings and user names lie behind
 * the elements in the same buffer; passwords never come back. @BufferSizeInBytes is the
 * last parameter here; see "Lists".
 */
ISDSC_STATUS WINAPI ReportIScsiPersistentLoginsA(ULONG *Count,
						 PPERSISTENT_ISCSI_LOGIN_INFOA PersistentLoginInfo,
						 PULONG BufferSizeInBytes);
ISDSC_STATUS WINAPI ReportIScsiPersistentLoginsW(ULONG *Count,
						 PPERSISTENT_ISCSI_LOGIN_INFOW PersistentLoginInfo,
						 PULONG BufferSizeInBytes);

/*
 * Forgets stored logins; sessions that are open stay open. @InitiatorInstance NULL or
 * empty: of any. @InitiatorPortNumber ISCSI_ALL_INITIATOR_PORTS: of every port.
 * @Portal NULL or without content: of every portal. ISDSC_TARGET_NOT_FOUND when there
 * is none.
 */
ISDSC_STATUS WINAPI RemoveIScsiPersistentTargetA(PSTR InitiatorInstance, ULONG InitiatorPortNumber,
						 PSTR TargetName, PISCSI_TARGET_PORTALA Portal);
ISDSC_STATUS WINAPI RemoveIScsiPersistentTargetW(PWSTR InitiatorInstance, ULONG InitiatorPortNumber,
						 PWSTR TargetName, PISCSI_TARGET_PORTALW Portal);

/*
 * Remembers every device of persistent logins: the service is ready, at its next
 * start, when these devices are.
 */
ISDSC_STATUS WINAPI SetupPersistentIScsiDevices(void);

/* Another name of SetupPersistentIScsiDevices. */
ISDSC_STATUS WINAPI SetupPersistentIScsiVolumes(void);

/*
 * Adds one device, by the path of a device or of a place where it is mounted, to those
 * that the service waits for.
 */
ISDSC_STATUS WINAPI AddPersistentIScsiDeviceA(PSTR DevicePath);
ISDSC_STATUS WINAPI AddPersistentIScsiDeviceW(PWSTR DevicePath);

/* Removes one device from those that the service waits for. */
ISDSC_STATUS WINAPI RemovePersistentIScsiDeviceA(PSTR DevicePath);
ISDSC_STATUS WINAPI RemovePersistentIScsiDeviceW(PWSTR DevicePath);

/* Forgets every device that the service waits for. */
ISDSC_STATUS WINAPI ClearPersistentIScsiDevices(void);

/* The devices that the service waits for. @BufferSizeInChar counts characters; see "Lists". */
ISDSC_STATUS WINAPI ReportPersistentIScsiDevicesA(PULONG BufferSizeInChar, PCHAR Buffer);
ISDSC_STATUS WINAPI ReportPersistentIScsiDevicesW(PULONG BufferSizeInChar, PWCHAR Buffer);

/* SCSI commands */

/* Sends INQUIRY; see "SCSI". Bits 0 and 1 of @EvpdCmddt are EVPD and CMDDT. */
ISDSC_STATUS WINAPI SendScsiInquiry(PISCSI_UNIQUE_SESSION_ID UniqueSessionId, ULONGLONG Lun,
				    UCHAR EvpdCmddt, UCHAR PageCode, PUCHAR ScsiStatus,
				    PULONG ResponseSize, PUCHAR ResponseBuffer, PULONG SenseSize,
				    PUCHAR SenseBuffer);

/*
 * Sends READ CAPACITY(10): 8 bytes. A unit of more than 2^32 blocks is asked with
 * READ CAPACITY(16) when @ResponseBuffer has room for its 32 bytes; see "SCSI".
 */
ISDSC_STATUS WINAPI SendScsiReadCapacity(PISCSI_UNIQUE_SESSION_ID UniqueSessionId, ULONGLONG Lun,
					 PUCHAR ScsiStatus, PULONG ResponseSize,
					 PUCHAR ResponseBuffer, PULONG SenseSize,
					 PUCHAR SenseBuffer);

/* Sends REPORT LUNS to LUN 0; see "SCSI". */
ISDSC_STATUS WINAPI SendScsiReportLuns(PISCSI_UNIQUE_SESSION_ID UniqueSessionId, PUCHAR ScsiStatus,
				       PULONG ResponseSize, PUCHAR ResponseBuffer, PULONG SenseSize,
				       PUCHAR SenseBuffer);

/* Security */

/*
 * The secret by which targets prove themselves in mutual CHAP: 12 to 16 bytes;
 * 0, NULL clears it.
 */
ISDSC_STATUS WINAPI SetIScsiInitiatorCHAPSharedSecret(ULONG SharedSecretLength,
						      PUCHAR SharedSecret);

/* The secret shared with the RADIUS servers: 22 to 26 bytes; 0, NULL clears it. */
ISDSC_STATUS WINAPI SetIScsiInitiatorRADIUSSharedSecret(ULONG SharedSecretLength,
							PUCHAR SharedSecret);

/* Adds a RADIUS server by address or name, of at most MAX_RADIUS_ADDRESS_LEN - 2 characters. */
ISDSC_STATUS WINAPI AddRadiusServerA(PSTR Address);
ISDSC_STATUS WINAPI AddRadiusServerW(PWSTR Address);

/* Removes a RADIUS server. */
ISDSC_STATUS WINAPI RemoveRadiusServerA(PSTR Address);
ISDSC_STATUS WINAPI RemoveRadiusServerW(PWSTR Address);

/* The RADIUS servers. @BufferSizeInChar counts characters; none at all is success and 0. */
ISDSC_STATUS WINAPI ReportRadiusServerListA(PULONG BufferSizeInChar, PCHAR Buffer);
ISDSC_STATUS WINAPI ReportRadiusServerListW(PULONG BufferSizeInChar, PWCHAR Buffer);

/* The IKE key for targets that have none of their own; 0, NULL clears it. */
ISDSC_STATUS WINAPI SetIScsiGroupPresharedKey(ULONG KeyLength, PUCHAR Key, BOOLEAN Persist);

/* IPsec policy and key of one IKE identity; no flags and no key remove it. */
ISDSC_STATUS WINAPI SetIScsiIKEInfoA(PSTR InitiatorName, ULONG InitiatorPortNumber,
				     PIKE_AUTHENTICATION_INFORMATION AuthInfo, BOOLEAN Persist);
ISDSC_STATUS WINAPI SetIScsiIKEInfoW(PWSTR InitiatorName, ULONG InitiatorPortNumber,
				     PIKE_AUTHENTICATION_INFORMATION AuthInfo, BOOLEAN Persist);

/*
 * Looks up the security flags of one IKE identity: @AuthInfo has method and identity, and
 * gets the flags. The key never comes back; its members are left as they are. @Reserved
 * is not looked at.
 */
ISDSC_STATUS WINAPI GetIScsiIKEInfoA(PSTR InitiatorName, ULONG InitiatorPortNumber, PULONG Reserved,
				     PIKE_AUTHENTICATION_INFORMATION AuthInfo);
ISDSC_STATUS WINAPI GetIScsiIKEInfoW(PWSTR InitiatorName, ULONG InitiatorPortNumber,
				     PULONG Reserved, PIKE_AUTHENTICATION_INFORMATION AuthInfo);

/*
 * Outer address for IPsec in tunnel mode. @DestinationAddress NULL: for every one.
 * @OuterModeAddress NULL: none any more.
 */
ISDSC_STATUS WINAPI SetIScsiTunnelModeOuterAddressA(PSTR InitiatorName, ULONG InitiatorPortNumber,
						    PSTR DestinationAddress, PSTR OuterModeAddress,
						    BOOLEAN Persist);
ISDSC_STATUS WINAPI SetIScsiTunnelModeOuterAddressW(PWSTR InitiatorName, ULONG InitiatorPortNumber,
						    PWSTR DestinationAddress,
						    PWSTR OuterModeAddress, BOOLEAN Persist);

/* iSNS */

/* Adds an iSNS server by address or name and asks it at once. */
ISDSC_STATUS WINAPI AddISNSServerA(PSTR Address);
ISDSC_STATUS WINAPI AddISNSServerW(PWSTR Address);

/* Removes an iSNS server; the targets it told stay known. */
ISDSC_STATUS WINAPI RemoveISNSServerA(PSTR Address);
ISDSC_STATUS WINAPI RemoveISNSServerW(PWSTR Address);

/* Asks an iSNS server again; NULL: all of them. */
ISDSC_STATUS WINAPI RefreshISNSServerA(PSTR Address);
ISDSC_STATUS WINAPI RefreshISNSServerW(PWSTR Address);

/* The iSNS servers. @BufferSizeInChar counts characters; none at all is success and 0. */
ISDSC_STATUS WINAPI ReportISNSServerListA(PULONG BufferSizeInChar, PCHAR Buffer);
ISDSC_STATUS WINAPI ReportISNSServerListW(PULONG BufferSizeInChar, PWCHAR Buffer);

#ifdef UNICODE
#define AddISNSServer                   AddISNSServerW
#define AddIScsiConnection              AddIScsiConnectionW
#define AddIScsiSendTargetPortal        AddIScsiSendTargetPortalW
#define AddIScsiStaticTarget            AddIScsiStaticTargetW
#define AddPersistentIScsiDevice        AddPersistentIScsiDeviceW
#define AddRadiusServer                 AddRadiusServerW
#define GetDevicesForIScsiSession       GetDevicesForIScsiSessionW
#define GetIScsiIKEInfo                 GetIScsiIKEInfoW
#define GetIScsiInitiatorNodeName       GetIScsiInitiatorNodeNameW
#define GetIScsiSessionList             GetIScsiSessionListW
#define GetIScsiTargetInformation       GetIScsiTargetInformationW
#define LoginIScsiTarget                LoginIScsiTargetW
#define RefreshISNSServer               RefreshISNSServerW
#define RefreshIScsiSendTargetPortal    RefreshIScsiSendTargetPortalW
#define RemoveISNSServer                RemoveISNSServerW
#define RemoveIScsiPersistentTarget     RemoveIScsiPersistentTargetW
#define RemoveIScsiSendTargetPortal     RemoveIScsiSendTargetPortalW
#define RemoveIScsiStaticTarget         RemoveIScsiStaticTargetW
#define RemovePersistentIScsiDevice     RemovePersistentIScsiDeviceW
#define RemoveRadiusServer              RemoveRadiusServerW
#define ReportActiveIScsiTargetMappings ReportActiveIScsiTargetMappingsW
#define ReportISNSServerList            ReportISNSServerListW
#define ReportIScsiInitiatorList        ReportIScsiInitiatorListW
#define ReportIScsiPersistentLogins     ReportIScsiPersistentLoginsW
#define ReportIScsiSendTargetPortals    ReportIScsiSendTargetPortalsW
#define ReportIScsiSendTargetPortalsEx  ReportIScsiSendTargetPortalsExW
#define ReportIScsiTargetPortals        ReportIScsiTargetPortalsW
#define ReportIScsiTargets              ReportIScsiTargetsW
#define ReportPersistentIScsiDevices    ReportPersistentIScsiDevicesW
#define ReportRadiusServerList          ReportRadiusServerListW
#define SetIScsiIKEInfo                 SetIScsiIKEInfoW
#define SetIScsiInitiatorNodeName       SetIScsiInitiatorNodeNameW
#define SetIScsiTunnelModeOuterAddress  SetIScsiTunnelModeOuterAddressW
#else
#define AddISNSServer                   AddISNSServerA
#define AddIScsiConnection              AddIScsiConnectionA
#define AddIScsiSendTargetPortal        AddIScsiSendTargetPortalA
#define AddIScsiStaticTarget            AddIScsiStaticTargetA
#define AddPersistentIScsiDevice        AddPersistentIScsiDeviceA
#define AddRadiusServer                 AddRadiusServerA
#define GetDevicesForIScsiSession       GetDevicesForIScsiSessionA
#define GetIScsiIKEInfo                 GetIScsiIKEInfoA
#define GetIScsiInitiatorNodeName       GetIScsiInitiatorNodeNameA
#define GetIScsiSessionList             GetIScsiSessionListA
#define GetIScsiTargetInformation       GetIScsiTargetInformationA
#define LoginIScsiTarget                LoginIScsiTargetA
#define RefreshISNSServer               RefreshISNSServerA
#define RefreshIScsiSendTargetPortal    RefreshIScsiSendTargetPortalA
#define RemoveISNSServer                RemoveISNSServerA
#define RemoveIScsiPersistentTarget     RemoveIScsiPersistentTargetA
#define RemoveIScsiSendTargetPortal     RemoveIScsiSendTargetPortalA
#define RemoveIScsiStaticTarget         RemoveIScsiStaticTargetA
#define RemovePersistentIScsiDevice     RemovePersistentIScsiDeviceA
#define RemoveRadiusServer              RemoveRadiusServerA
#define ReportActiveIScsiTargetMappings ReportActiveIScsiTargetMappingsA
#define ReportISNSServerList            ReportISNSServerListA
#define ReportIScsiInitiatorList        ReportIScsiInitiatorListA
#define ReportIScsiPersistentLogins     ReportIScsiPersistentLoginsA
#define ReportIScsiSendTargetPortals    ReportIScsiSendTargetPortalsA
#define ReportIScsiSendTargetPortalsEx  ReportIScsiSendTargetPortalsExA
#define ReportIScsiTargetPortals        ReportIScsiTargetPortalsA
#define ReportIScsiTargets              ReportIScsiTargetsA
#define ReportPersistentIScsiDevices    ReportPersistentIScsiDevicesA
#define ReportRadiusServerList          ReportRadiusServerListA
#define SetIScsiIKEInfo                 SetIScsiIKEInfoA
#define SetIScsiInitiatorNodeName       SetIScsiInitiatorNodeNameA
#define SetIScsiTunnelModeOuterAddress  SetIScsiTunnelModeOuterAddressA
#endif

/*
 * Ours, not known on Windows
 */

/* One sentence in English for a status; never NULL, valid for ever, not to be freed. */
const char *iscsidsc_strerror(ISDSC_STATUS Status);

/*
 * What the last call of this thread that failed had to say beyond its code, UTF-8:
 * what was wrong and what to do, and on further lines who holds a device. Empty
 * when there is nothing. Valid until the next call of this thread.
 */
const char *iscsidsc_last_detail(void);

#ifdef __cplusplus
}
#endif

#endif
