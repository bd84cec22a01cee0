/* SPDX-License-Identifier: MIT */
/*
 * Status codes: symbols and texts
 *
 * Sorted by code, searched by halves. Where scripts look for a text it is the
 * one they know; elsewhere the words are ours. A test compares codes and
 * symbols with test/data/errors.csv.
 */
#include "base/status.h"

#include <stdlib.h>

#include "base/cleanup.h"

struct status_row {
	uint32_t code;
	const char *name;
	const char *text;
};

/* clang-format off */
static const struct status_row status_rows[] = {
	{0x00000000, "ERROR_SUCCESS", "The operation completed successfully."},
	{0x00000005, "ERROR_ACCESS_DENIED", "Access is denied."},
	{0x00000008, "ERROR_NOT_ENOUGH_MEMORY", "Not enough memory is available for the operation."},
	{0x00000032, "ERROR_NOT_SUPPORTED", "The operation is not supported."},
	{0x00000057, "ERROR_INVALID_PARAMETER", "The parameter is incorrect."},
	{0x00000078, "ERROR_CALL_NOT_IMPLEMENTED", "The function is not implemented."},
	{0x0000007A, "ERROR_INSUFFICIENT_BUFFER", "The buffer is too small for the result."},
	{0x000000EA, "ERROR_MORE_DATA", "There is more data than was asked for."},
	{0x000003E6, "ERROR_NOACCESS", "A memory location may not be accessed."},
	{0x000005B4, "ERROR_TIMEOUT", "The operation ran out of time."},
	{0x000006BA, "RPC_S_SERVER_UNAVAILABLE", "The service cannot be reached."},
	{0x0000274C, "WSAETIMEDOUT", "The connection timed out."},
	{0x0000274D, "WSAECONNREFUSED", "The connection was refused."},
	{0x00002AF9, "WSAHOST_NOT_FOUND", "The host name was not found."},
	{0xAFFF002E, "ISDSC_OPERATION_NOT_ALL_SUCCESS", "The operation was not successful for all initiators or discovery methods."},
	{0xAFFF003B, "ISDSC_OPERATION_REQUIRES_REBOOT", "The operation was successful but requires a driver reload or reboot to become effective."},
	{0xAFFF0048, "ISDSC_SHORT_CHAP_SECRET", "The CHAP secret is shorter than 96 bits and works with IPsec only."},
	{0xEFFF0001, "ISDSC_NON_SPECIFIC_ERROR", "A non specific error occurred."},
	{0xEFFF0002, "ISDSC_LOGIN_FAILED", "Login Failed."},
	{0xEFFF0003, "ISDSC_CONNECTION_FAILED", "Connection Failed."},
	{0xEFFF0004, "ISDSC_INITIATOR_NODE_ALREADY_EXISTS", "An initiator node of this name is there already."},
	{0xEFFF0005, "ISDSC_INITIATOR_NODE_NOT_FOUND", "There is no initiator node of this name."},
	{0xEFFF0006, "ISDSC_TARGET_MOVED_TEMPORARILY", "The target has moved for the time being."},
	{0xEFFF0007, "ISDSC_TARGET_MOVED_PERMANENTLY", "The target has moved for good."},
	{0xEFFF0008, "ISDSC_INITIATOR_ERROR", "The target refused the login because of an error of the initiator."},
	{0xEFFF0009, "ISDSC_AUTHENTICATION_FAILURE", "Authentication Failure."},
	{0xEFFF000A, "ISDSC_AUTHORIZATION_FAILURE", "Authorization Failure."},
	{0xEFFF000B, "ISDSC_NOT_FOUND", "Not Found."},
	{0xEFFF000C, "ISDSC_TARGET_REMOVED", "The target is gone from this address and left no other."},
	{0xEFFF000D, "ISDSC_UNSUPPORTED_VERSION", "The target speaks none of the iSCSI versions offered."},
	{0xEFFF000E, "ISDSC_TOO_MANY_CONNECTIONS", "The session may not have more connections."},
	{0xEFFF000F, "ISDSC_MISSING_PARAMETER", "The target misses a parameter that a login must have."},
	{0xEFFF0010, "ISDSC_CANT_INCLUDE_IN_SESSION", "The target cannot take the connection into the session."},
	{0xEFFF0011, "ISDSC_SESSION_TYPE_NOT_SUPPORTED", "The target does not offer sessions of this type."},
	{0xEFFF0012, "ISDSC_TARGET_ERROR", "Target Error."},
	{0xEFFF0013, "ISDSC_SERVICE_UNAVAILABLE", "Service Unavailable."},
	{0xEFFF0014, "ISDSC_OUT_OF_RESOURCES", "The target has no resources left for the login."},
	{0xEFFF0015, "ISDSC_CONNECTION_ALREADY_EXISTS", "There is a connection already."},
	{0xEFFF0016, "ISDSC_SESSION_ALREADY_EXISTS", "There is a session already."},
	{0xEFFF0017, "ISDSC_INITIATOR_INSTANCE_NOT_FOUND", "Initiator Instance Does Not Exist."},
	{0xEFFF0018, "ISDSC_TARGET_ALREADY_EXISTS", "Target Already Exists."},
	{0xEFFF0019, "ISDSC_DRIVER_BUG", "A driver did not finish a request as it must."},
	{0xEFFF001A, "ISDSC_INVALID_TEXT_KEY", "A text key is malformed or not known."},
	{0xEFFF001B, "ISDSC_INVALID_SENDTARGETS_TEXT", "The answer to SendTargets cannot be understood."},
	{0xEFFF001C, "ISDSC_INVALID_SESSION_ID", "Invalid Session Id."},
	{0xEFFF001D, "ISDSC_SCSI_REQUEST_FAILED", "The scsi request failed."},
	{0xEFFF001E, "ISDSC_TOO_MANY_SESSIONS", "Exceeded max sessions for this initiator."},
	{0xEFFF001F, "ISDSC_SESSION_BUSY", "Session is busy since a request is already in progress."},
	{0xEFFF0020, "ISDSC_TARGET_MAPPING_UNAVAILABLE", "The target mapping asked for is not available."},
	{0xEFFF0021, "ISDSC_ADDRESS_TYPE_NOT_SUPPORTED", "Addresses of this type are not supported."},
	{0xEFFF0022, "ISDSC_LOGON_FAILED", "Logon Failed."},
	{0xEFFF0023, "ISDSC_SEND_FAILED", "Sending on the TCP connection failed."},
	{0xEFFF0024, "ISDSC_TRANSPORT_ERROR", "The TCP connection failed."},
	{0xEFFF0025, "ISDSC_VERSION_MISMATCH", "The iSCSI versions of initiator and target do not match."},
	{0xEFFF0026, "ISDSC_TARGET_MAPPING_OUT_OF_RANGE", "The target mapping is out of range."},
	{0xEFFF0027, "ISDSC_TARGET_PRESHAREDKEY_UNAVAILABLE", "There is no preshared key for the target or the IKE identification."},
	{0xEFFF0028, "ISDSC_TARGET_AUTHINFO_UNAVAILABLE", "There is no authentication information for the target."},
	{0xEFFF0029, "ISDSC_TARGET_NOT_FOUND", "The target name is not found or is marked as hidden from login."},
	{0xEFFF002A, "ISDSC_LOGIN_USER_INFO_BAD", "A parameter of the login is not acceptable."},
	{0xEFFF002B, "ISDSC_TARGET_MAPPING_EXISTS", "The target mapping is in use already."},
	{0xEFFF002C, "ISDSC_HBA_SECURITY_CACHE_FULL", "The security cache of the adapter is full."},
	{0xEFFF002D, "ISDSC_INVALID_PORT_NUMBER", "The port number passed is not valid for the initiator."},
	{0xEFFF002F, "ISDSC_HBA_SECURITY_CACHE_NOT_SUPPORTED", "The adapter has no security cache."},
	{0xEFFF0030, "ISDSC_IKE_ID_PAYLOAD_TYPE_NOT_SUPPORTED", "The type of the IKE identification is not supported."},
	{0xEFFF0031, "ISDSC_IKE_ID_PAYLOAD_INCORRECT_SIZE", "The IKE identification has the wrong size for its type."},
	{0xEFFF0032, "ISDSC_TARGET_PORTAL_ALREADY_EXISTS", "Target Portal Structure Already Exists."},
	{0xEFFF0033, "ISDSC_TARGET_ADDRESS_ALREADY_EXISTS", "This target address is known already."},
	{0xEFFF0034, "ISDSC_NO_AUTH_INFO_AVAILABLE", "There is no IKE authentication information."},
	{0xEFFF0035, "ISDSC_NO_TUNNEL_OUTER_MODE_ADDRESS", "There is no outer address for tunnel mode."},
	{0xEFFF0036, "ISDSC_CACHE_CORRUPTED", "The cache of authentication information or tunnel addresses is damaged."},
	{0xEFFF0037, "ISDSC_REQUEST_NOT_SUPPORTED", "The request or operation is not supported."},
	{0xEFFF0038, "ISDSC_TARGET_OUT_OF_RESORCES", "The target does not have enough resources for the request."},
	{0xEFFF0039, "ISDSC_SERVICE_DID_NOT_RESPOND", "The initiator service did not respond to a request of the driver."},
	{0xEFFF003A, "ISDSC_ISNS_SERVER_NOT_FOUND", "The Internet Storage Name Server (iSNS) server was not found or is unavailable."},
	{0xEFFF003C, "ISDSC_NO_PORTAL_SPECIFIED", "There is no target portal available to complete the login."},
	{0xEFFF003D, "ISDSC_CANT_REMOVE_LAST_CONNECTION", "Cannot remove the last connection for a session."},
	{0xEFFF003E, "ISDSC_SERVICE_NOT_RUNNING", "The Microsoft iSCSI Initiator Service is not running. Please start the service and retry."},
	{0xEFFF003F, "ISDSC_TARGET_ALREADY_LOGGED_IN", "The target has already been logged in via an iSCSI session."},
	{0xEFFF0040, "ISDSC_DEVICE_BUSY_ON_SESSION", "The session cannot be logged out since a device on that session is currently being used."},
	{0xEFFF0041, "ISDSC_COULD_NOT_SAVE_PERSISTENT_LOGIN_DATA", "Failed to save persistent login information."},
	{0xEFFF0042, "ISDSC_COULD_NOT_REMOVE_PERSISTENT_LOGIN_DATA", "Failed to remove persistent login information."},
	{0xEFFF0043, "ISDSC_PORTAL_NOT_FOUND", "The specified portal was not found."},
	{0xEFFF0044, "ISDSC_INITIATOR_NOT_FOUND", "The specified initiator name was not found."},
	{0xEFFF0045, "ISDSC_DISCOVERY_MECHANISM_NOT_FOUND", "The specified discovery mechanism was not found."},
	{0xEFFF0046, "ISDSC_IPSEC_NOT_SUPPORTED_ON_OS", "iSCSI does not support IPSEC for this version of the OS."},
	{0xEFFF0047, "ISDSC_PERSISTENT_LOGIN_TIMEOUT", "Not all persistent logins completed in time."},
	{0xEFFF0049, "ISDSC_EVALUATION_PEROID_EXPIRED", "The evaluation period of the initiator service is over."},
	{0xEFFF004A, "ISDSC_INVALID_CHAP_SECRET", "The CHAP secret does not conform to the standard."},
	{0xEFFF004B, "ISDSC_INVALID_TARGET_CHAP_SECRET", "Target CHAP secret given is invalid. Maximum size of CHAP secret is 16 bytes. Minimum size is 12 bytes if IPSec is not used."},
	{0xEFFF004C, "ISDSC_INVALID_INITIATOR_CHAP_SECRET", "Initiator CHAP secret given is invalid. Maximum size of CHAP secret is 16 bytes. Minimum size is 12 bytes if IPSec is not used."},
	{0xEFFF004D, "ISDSC_INVALID_CHAP_USER_NAME", "CHAP Username given is invalid."},
	{0xEFFF004E, "ISDSC_INVALID_LOGON_AUTH_TYPE", "The type of authentication is not valid."},
	{0xEFFF004F, "ISDSC_INVALID_TARGET_MAPPING", "The target mapping is not valid."},
	{0xEFFF0050, "ISDSC_INVALID_TARGET_ID", "The target id of the mapping is not valid."},
	{0xEFFF0051, "ISDSC_INVALID_ISCSI_NAME", "The iSCSI name specified contains invalid characters or is too long."},
	{0xEFFF0052, "ISDSC_INCOMPATIBLE_ISNS_VERSION", "The iSNS server speaks a version that the client does not."},
	{0xEFFF0053, "ISDSC_FAILED_TO_CONFIGURE_IPSEC", "IPsec could not be set up for the connection."},
	{0xEFFF0054, "ISDSC_BUFFER_TOO_SMALL", "The buffer is too small for the request."},
	{0xEFFF0055, "ISDSC_INVALID_LOAD_BALANCE_POLICY", "The load balance policy is not valid."},
	{0xEFFF0056, "ISDSC_INVALID_PARAMETER", "A parameter of the request is not valid."},
	{0xEFFF0057, "ISDSC_DUPLICATE_PATH_SPECIFIED", "A path is given more than once."},
	{0xEFFF0058, "ISDSC_PATH_COUNT_MISMATCH", "The number of paths differs from the number of connections."},
	{0xEFFF0059, "ISDSC_INVALID_PATH_ID", "A path id is not valid."},
	{0xEFFF005A, "ISDSC_MULTIPLE_PRIMARY_PATHS_SPECIFIED", "More than one primary path is given."},
	{0xEFFF005B, "ISDSC_NO_PRIMARY_PATH_SPECIFIED", "No primary path is given."},
	{0xEFFF005C, "ISDSC_DEVICE_ALREADY_PERSISTENTLY_BOUND", "Device is already a persistently bound device."},
	{0xEFFF005D, "ISDSC_DEVICE_NOT_FOUND", "Device was not found."},
	{0xEFFF005E, "ISDSC_DEVICE_NOT_ISCSI_OR_PERSISTENT", "The device specified does not originate from an iSCSI disk or a persistent iSCSI login."},
	{0xEFFF005F, "ISDSC_DNS_NAME_UNRESOLVED", "The DNS name specified was not resolved."},
	{0xEFFF0060, "ISDSC_NO_CONNECTION_AVAILABLE", "The session has no connection to carry the request."},
	{0xEFFF0061, "ISDSC_LB_POLICY_NOT_SUPPORTED", "The load balance policy is not supported."},
	{0xEFFF0062, "ISDSC_REMOVE_CONNECTION_IN_PROGRESS", "A connection of the session is being removed already."},
	{0xEFFF0063, "ISDSC_INVALID_CONNECTION_ID", "Given connection was not found in the session."},
	{0xEFFF0064, "ISDSC_CANNOT_REMOVE_LEADING_CONNECTION", "The leading connection in the session cannot be removed."},
	{0xEFFF0065, "ISDSC_RESTRICTED_BY_GROUP_POLICY", "The policy of the administrator does not allow the operation."},
	{0xEFFF0066, "ISDSC_ISNS_FIREWALL_BLOCKED", "The firewall blocks iSNS."},
	{0xEFFF0067, "ISDSC_FAILURE_TO_PERSIST_LB_POLICY", "The load balance policy could not be stored."},
	{0xEFFF0068, "ISDSC_INVALID_HOST", "The name could not be resolved to an IP Address."},
};
/* clang-format on */

static int code_compare(const void *key, const void *member)
{
	uint32_t code = *(const uint32_t *)key;
	const struct status_row *row = member;

	return (code > row->code) - (code < row->code);
}

static const struct status_row *row_find(uint32_t status)
{
	return bsearch(&status, status_rows, ARRAY_SIZE(status_rows), sizeof(status_rows[0]),
		       code_compare);
}

const char *status_name(uint32_t status)
{
	const struct status_row *row = row_find(status);

	return row ? row->name : NULL;
}

const char *status_text(uint32_t status)
{
	const struct status_row *row = row_find(status);

	return row ? row->text : "Unknown status.";
}
