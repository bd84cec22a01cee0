/* SPDX-License-Identifier: MIT */
/*
 * Status codes of the iSCSI Discovery Library
 *
 * Every function of iscsidsc.h returns an ISDSC_STATUS: 0, a Win32 code, or one
 * of the codes below. Three of them are warnings (0xAFFF....): something was
 * done, though not all. iscsidsc_strerror() has a sentence for each.
 *
 * Two names are misspelt (TARGET_OUT_OF_RESORCES, EVALUATION_PEROID_EXPIRED);
 * programs know them so.
 */
#ifndef ISCSIERR_H
#define ISCSIERR_H

#include "iscsidsc_types.h"

typedef ULONG ISDSC_STATUS;

/* Catch-all failure that fits no other code. */
#define ISDSC_NON_SPECIFIC_ERROR 0xEFFF0001U
/* The iSCSI login did not succeed and no more precise reason is known. */
#define ISDSC_LOGIN_FAILED 0xEFFF0002U
/* The TCP (transport) connection to the target portal could not be set up. */
#define ISDSC_CONNECTION_FAILED 0xEFFF0003U
/* An initiator node of that name is already present. */
#define ISDSC_INITIATOR_NODE_ALREADY_EXISTS 0xEFFF0004U
/* The initiator node referred to is not present. */
#define ISDSC_INITIATOR_NODE_NOT_FOUND 0xEFFF0005U
/* Target answered the login with a temporary redirect. */
#define ISDSC_TARGET_MOVED_TEMPORARILY 0xEFFF0006U
/* Target answered the login with a permanent redirect. */
#define ISDSC_TARGET_MOVED_PERMANENTLY 0xEFFF0007U
/* Target rejected the login because of an unspecified fault of the initiator. */
#define ISDSC_INITIATOR_ERROR 0xEFFF0008U
/* Authentication between initiator and target did not succeed. */
#define ISDSC_AUTHENTICATION_FAILURE 0xEFFF0009U
/* Initiator was identified but is not allowed to use the target. */
#define ISDSC_AUTHORIZATION_FAILURE 0xEFFF000AU
/* Target name is unknown at the portal contacted. */
#define ISDSC_NOT_FOUND 0xEFFF000BU
/* The target once existed at this address but is gone and no forwarding address is given. */
#define ISDSC_TARGET_REMOVED 0xEFFF000CU
/* The target supports none of the iSCSI versions offered. */
#define ISDSC_UNSUPPORTED_VERSION 0xEFFF000DU
/* The session may not have any further connection. */
#define ISDSC_TOO_MANY_CONNECTIONS 0xEFFF000EU
/* Target found a required login key absent. */
#define ISDSC_MISSING_PARAMETER 0xEFFF000FU
/* Target cannot make this connection part of the session named. */
#define ISDSC_CANT_INCLUDE_IN_SESSION 0xEFFF0010U
/* Target does not offer the session type asked for. */
#define ISDSC_SESSION_TYPE_NOT_SUPPORTED 0xEFFF0011U
/* Target had an internal hardware or software fault during login. */
#define ISDSC_TARGET_ERROR 0xEFFF0012U
/* The iSCSI service or the target is not operating at the moment. */
#define ISDSC_SERVICE_UNAVAILABLE 0xEFFF0013U
/* Target lacks session, connection or other resources. */
#define ISDSC_OUT_OF_RESOURCES 0xEFFF0014U
/* A connection is already open on the initiator node. */
#define ISDSC_CONNECTION_ALREADY_EXISTS 0xEFFF0015U
/* A session matching the request is already open. */
#define ISDSC_SESSION_ALREADY_EXISTS 0xEFFF0016U
/* No initiator (HBA instance) of the given name exists. */
#define ISDSC_INITIATOR_INSTANCE_NOT_FOUND 0xEFFF0017U
/* The target is already present in the target list. */
#define ISDSC_TARGET_ALREADY_EXISTS 0xEFFF0018U
/* The kernel driver did not finish an operation the way it must. */
#define ISDSC_DRIVER_BUG 0xEFFF0019U
/* A text key received or given is malformed or unknown. */
#define ISDSC_INVALID_TEXT_KEY 0xEFFF001AU
/* The text response to SendTargets could not be parsed. */
#define ISDSC_INVALID_SENDTARGETS_TEXT 0xEFFF001BU
/* No session has the identifier given. */
#define ISDSC_INVALID_SESSION_ID 0xEFFF001CU
/* The SCSI command was delivered but did not end with GOOD status. */
#define ISDSC_SCSI_REQUEST_FAILED 0xEFFF001DU
/* This initiator already has as many sessions as it can hold. */
#define ISDSC_TOO_MANY_SESSIONS 0xEFFF001EU
/* Another request is in progress on the session. */
#define ISDSC_SESSION_BUSY 0xEFFF001FU
/* The bus/target/LUN mapping asked for cannot be had. */
#define ISDSC_TARGET_MAPPING_UNAVAILABLE 0xEFFF0020U
/* The kind of target address given cannot be used. */
#define ISDSC_ADDRESS_TYPE_NOT_SUPPORTED 0xEFFF0021U
/* Logon did not succeed (driver wording, as opposed to LOGIN_FAILED). */
#define ISDSC_LOGON_FAILED 0xEFFF0022U
/* Sending data on the TCP connection failed. */
#define ISDSC_SEND_FAILED 0xEFFF0023U
/* The TCP transport reported an error. */
#define ISDSC_TRANSPORT_ERROR 0xEFFF0024U
/* iSCSI protocol versions of the two sides do not match. */
#define ISDSC_VERSION_MISMATCH 0xEFFF0025U
/* The mapping address lies outside what the adapter can express. */
#define ISDSC_TARGET_MAPPING_OUT_OF_RANGE 0xEFFF0026U
/* No preshared key is stored for the target or for the IKE identification given. */
#define ISDSC_TARGET_PRESHAREDKEY_UNAVAILABLE 0xEFFF0027U
/* No authentication data is stored for the target. */
#define ISDSC_TARGET_AUTHINFO_UNAVAILABLE 0xEFFF0028U
/* The target is not in the target list, or it is hidden from login. */
#define ISDSC_TARGET_NOT_FOUND 0xEFFF0029U
/* One of the values handed to the driver for login is not acceptable. */
#define ISDSC_LOGIN_USER_INFO_BAD 0xEFFF002AU
/* The mapping asked for is already in use. */
#define ISDSC_TARGET_MAPPING_EXISTS 0xEFFF002BU
/* The HBA has no room for more security entries. */
#define ISDSC_HBA_SECURITY_CACHE_FULL 0xEFFF002CU
/* The initiator port number is not valid for the HBA. */
#define ISDSC_INVALID_PORT_NUMBER 0xEFFF002DU
/* Warning: the operation worked for some initiators or discovery mechanisms but not for all. */
#define ISDSC_OPERATION_NOT_ALL_SUCCESS 0xAFFF002EU
/* The adapter has no security cache. */
#define ISDSC_HBA_SECURITY_CACHE_NOT_SUPPORTED 0xEFFF002FU
/* The IKE identification type is not supported. */
#define ISDSC_IKE_ID_PAYLOAD_TYPE_NOT_SUPPORTED 0xEFFF0030U
/* The IKE identification length does not fit its type. */
#define ISDSC_IKE_ID_PAYLOAD_INCORRECT_SIZE 0xEFFF0031U
/* A structure for that target portal is already present. */
#define ISDSC_TARGET_PORTAL_ALREADY_EXISTS 0xEFFF0032U
/* A structure for that target address is already present. */
#define ISDSC_TARGET_ADDRESS_ALREADY_EXISTS 0xEFFF0033U
/* No IKE authentication data is stored. */
#define ISDSC_NO_AUTH_INFO_AVAILABLE 0xEFFF0034U
/* No tunnel-mode outer address is configured. */
#define ISDSC_NO_TUNNEL_OUTER_MODE_ADDRESS 0xEFFF0035U
/* The cache of authentication data or tunnel addresses is damaged. */
#define ISDSC_CACHE_CORRUPTED 0xEFFF0036U
/* The operation is not supported. */
#define ISDSC_REQUEST_NOT_SUPPORTED 0xEFFF0037U
/* Target does not have enough resources for the request. */
#define ISDSC_TARGET_OUT_OF_RESORCES 0xEFFF0038U
/* The initiator service did not answer a request the driver sent to it. */
#define ISDSC_SERVICE_DID_NOT_RESPOND 0xEFFF0039U
/* The iSNS server is unknown or cannot be reached. */
#define ISDSC_ISNS_SERVER_NOT_FOUND 0xEFFF003AU
/*
 * Warning: done, but takes effect only after the driver is reloaded or the machine
 * restarted.
 */
#define ISDSC_OPERATION_REQUIRES_REBOOT 0xAFFF003BU
/* There is no portal to log in through. */
#define ISDSC_NO_PORTAL_SPECIFIED 0xEFFF003CU
/* The only connection of a session cannot be removed; log the session out instead. */
#define ISDSC_CANT_REMOVE_LAST_CONNECTION 0xEFFF003DU
/* The initiator service is not running. */
#define ISDSC_SERVICE_NOT_RUNNING 0xEFFF003EU
/* A session to the target exists and multipathing was not asked for. */
#define ISDSC_TARGET_ALREADY_LOGGED_IN 0xEFFF003FU
/* A device of the session is in use, so the session cannot be logged out. */
#define ISDSC_DEVICE_BUSY_ON_SESSION 0xEFFF0040U
/* Storing the persistent login failed. */
#define ISDSC_COULD_NOT_SAVE_PERSISTENT_LOGIN_DATA 0xEFFF0041U
/* Deleting the stored persistent login failed. */
#define ISDSC_COULD_NOT_REMOVE_PERSISTENT_LOGIN_DATA 0xEFFF0042U
/* The portal named is not known. */
#define ISDSC_PORTAL_NOT_FOUND 0xEFFF0043U
/* The initiator name given is not known. */
#define ISDSC_INITIATOR_NOT_FOUND 0xEFFF0044U
/* The discovery mechanism named does not list the target. */
#define ISDSC_DISCOVERY_MECHANISM_NOT_FOUND 0xEFFF0045U
/* iSCSI cannot use IPsec on this operating system. */
#define ISDSC_IPSEC_NOT_SUPPORTED_ON_OS 0xEFFF0046U
/* Not all persistent logins were completed within the time allowed. */
#define ISDSC_PERSISTENT_LOGIN_TIMEOUT 0xEFFF0047U
/* Warning: the CHAP secret is shorter than 96 bits and is not usable without IPsec. */
#define ISDSC_SHORT_CHAP_SECRET 0xAFFF0048U
/* An evaluation build of the service has passed its time limit. */
#define ISDSC_EVALUATION_PEROID_EXPIRED 0xEFFF0049U
/* The CHAP secret breaks the rules of the standard. */
#define ISDSC_INVALID_CHAP_SECRET 0xEFFF004AU
/*
 * The target CHAP secret has a bad length: at most 16 bytes, and at least 12 when IPsec is
 * not used.
 */
#define ISDSC_INVALID_TARGET_CHAP_SECRET 0xEFFF004BU
/*
 * The initiator CHAP secret has a bad length: at most 16 bytes, and at least 12 when IPsec
 * is not used.
 */
#define ISDSC_INVALID_INITIATOR_CHAP_SECRET 0xEFFF004CU
/* The CHAP user name is not acceptable. */
#define ISDSC_INVALID_CHAP_USER_NAME 0xEFFF004DU
/* The authentication type is not one of those defined. */
#define ISDSC_INVALID_LOGON_AUTH_TYPE 0xEFFF004EU
/* The mapping information is not acceptable. */
#define ISDSC_INVALID_TARGET_MAPPING 0xEFFF004FU
/* The target id inside the mapping is not acceptable. */
#define ISDSC_INVALID_TARGET_ID 0xEFFF0050U
/* An iSCSI name has characters that are not allowed or is longer than 223. */
#define ISDSC_INVALID_ISCSI_NAME 0xEFFF0051U
/* The iSNS server speaks a protocol version the client does not. */
#define ISDSC_INCOMPATIBLE_ISNS_VERSION 0xEFFF0052U
/* IPsec could not be set up for the connection. */
#define ISDSC_FAILED_TO_CONFIGURE_IPSEC 0xEFFF0053U
/* The buffer handed to the driver is too small for the request. */
#define ISDSC_BUFFER_TOO_SMALL 0xEFFF0054U
/* The load-balance policy is not known. */
#define ISDSC_INVALID_LOAD_BALANCE_POLICY 0xEFFF0055U
/* One or more parameters are not valid (service or driver check). */
#define ISDSC_INVALID_PARAMETER 0xEFFF0056U
/* A path id occurs more than once in a load-balance request. */
#define ISDSC_DUPLICATE_PATH_SPECIFIED 0xEFFF0057U
/* The number of paths given differs from the number of connections. */
#define ISDSC_PATH_COUNT_MISMATCH 0xEFFF0058U
/* A path id in a load-balance request is not valid. */
#define ISDSC_INVALID_PATH_ID 0xEFFF0059U
/* More than one primary path given where one is allowed. */
#define ISDSC_MULTIPLE_PRIMARY_PATHS_SPECIFIED 0xEFFF005AU
/* No primary path given where at least one is needed. */
#define ISDSC_NO_PRIMARY_PATH_SPECIFIED 0xEFFF005BU
/* An entry for this volume or device exists in the binding list. */
#define ISDSC_DEVICE_ALREADY_PERSISTENTLY_BOUND 0xEFFF005CU
/* The volume or device is not there, or not in the persistent device list. */
#define ISDSC_DEVICE_NOT_FOUND 0xEFFF005DU
/* The device does not sit on an iSCSI disk, or its target is not a persistent login. */
#define ISDSC_DEVICE_NOT_ISCSI_OR_PERSISTENT 0xEFFF005EU
/* A DNS name could not be resolved. */
#define ISDSC_DNS_NAME_UNRESOLVED 0xEFFF005FU
/* The session has no working connection to carry the request. */
#define ISDSC_NO_CONNECTION_AVAILABLE 0xEFFF0060U
/* The load-balance policy is known but not supported here. */
#define ISDSC_LB_POLICY_NOT_SUPPORTED 0xEFFF0061U
/* Another connection removal is already running on the session. */
#define ISDSC_REMOVE_CONNECTION_IN_PROGRESS 0xEFFF0062U
/* The session has no connection with that identifier. */
#define ISDSC_INVALID_CONNECTION_ID 0xEFFF0063U
/* The first (leading) connection of a session cannot be removed. */
#define ISDSC_CANNOT_REMOVE_LEADING_CONNECTION 0xEFFF0064U
/* Administrative policy forbids the operation. */
#define ISDSC_RESTRICTED_BY_GROUP_POLICY 0xEFFF0065U
/* The firewall exception for iSNS is not enabled. */
#define ISDSC_ISNS_FIREWALL_BLOCKED 0xEFFF0066U
/* The load-balance policy could not be stored. */
#define ISDSC_FAILURE_TO_PERSIST_LB_POLICY 0xEFFF0067U
/* The name given does not resolve to an IP address. */
#define ISDSC_INVALID_HOST 0xEFFF0068U

/* The Win32 and Winsock codes that occur here, with the values of winerror.h. */
#ifndef ERROR_SUCCESS
#define ERROR_SUCCESS 0L
#endif
#ifndef ERROR_ACCESS_DENIED
#define ERROR_ACCESS_DENIED 5L
#endif
#ifndef ERROR_NOT_ENOUGH_MEMORY
#define ERROR_NOT_ENOUGH_MEMORY 8L
#endif
#ifndef ERROR_NOT_SUPPORTED
#define ERROR_NOT_SUPPORTED 50L
#endif
#ifndef ERROR_INVALID_PARAMETER
#define ERROR_INVALID_PARAMETER 87L
#endif
#ifndef ERROR_CALL_NOT_IMPLEMENTED
#define ERROR_CALL_NOT_IMPLEMENTED 120L
#endif
#ifndef ERROR_INSUFFICIENT_BUFFER
#define ERROR_INSUFFICIENT_BUFFER 122L
#endif
#ifndef ERROR_MORE_DATA
#define ERROR_MORE_DATA 234L
#endif
#ifndef ERROR_NOACCESS
#define ERROR_NOACCESS 998L
#endif
#ifndef ERROR_TIMEOUT
#define ERROR_TIMEOUT 1460L
#endif
#ifndef RPC_S_SERVER_UNAVAILABLE
#define RPC_S_SERVER_UNAVAILABLE 1722L
#endif
#ifndef WSAETIMEDOUT
#define WSAETIMEDOUT 10060L
#endif
#ifndef WSAECONNREFUSED
#define WSAECONNREFUSED 10061L
#endif
#ifndef WSAHOST_NOT_FOUND
#define WSAHOST_NOT_FOUND 11001L
#endif

#endif
