/* SPDX-License-Identifier: MIT */
/*
 * Secrets, keys and IPsec
 *
 * What goes in is wiped when the call has been sent; nothing of it ever comes back.
 */
#include "client/client.h"

#include <string.h>

static ISDSC_STATUS secret_set(const char *method, const void *secret, ULONG n)
{
	struct args a = args_begin();

	args_bytes(&a, "secret", secret, n, BYTES_IN_MAX);
	return args_call(&a, method, QUERY_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiInitiatorCHAPSharedSecret(ULONG n, PUCHAR secret)
{
	return secret_set("SetChapSecret", secret, n);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiInitiatorRADIUSSharedSecret(ULONG n, PUCHAR secret)
{
	return secret_set("SetRadiusSecret", secret, n);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiGroupPresharedKey(ULONG n, PUCHAR key, BOOLEAN persist)
{
	struct args a = args_begin();

	args_bytes(&a, "key", key, n, BYTES_IN_MAX);
	args_bool(&a, "persist", persist);
	return args_call(&a, "SetGroupKey", QUERY_MS, NULL);
}

/* Whom an IKE call is about. With another method the rest would be of another kind. */
static void args_identity(struct args *a, enum form form, const void *instance, ULONG port,
			  const void *auth_info)
{
	IKE_AUTHENTICATION_INFORMATION info;

	args_initiator(a, form, instance, port);
	args_want(a, auth_info, "AuthInfo");
	if (a->status)
		return;
	memcpy(&info, auth_info, sizeof(info));
	if (info.AuthMethod != IKE_AUTHENTICATION_PRESHARED_KEY_METHOD) {
		a->status = detail_fail(ISDSC_REQUEST_NOT_SUPPORTED, "AuthMethod: %u",
					(unsigned)info.AuthMethod);
		return;
	}
	args_number(a, "authMethod", info.AuthMethod);
	args_record(a, "identity", FORM_A, &record_ike_identity, auth_info);
}

static ISDSC_STATUS ike_set(enum form form, const void *instance, ULONG port, const void *auth_info,
			    BOOLEAN persist)
{
	struct args a = args_begin();
	IKE_AUTHENTICATION_INFORMATION info;

	args_identity(&a, form, instance, port, auth_info);
	if (!a.status) {
		memcpy(&info, auth_info, sizeof(info));
		args_number(&a, "securityFlags", (int64_t)info.PsKey.SecurityFlags);
		args_bytes(&a, "key", info.PsKey.Key, info.PsKey.KeyLengthInBytes, BYTES_IN_MAX);
		args_bool(&a, "persist", persist);
	}
	return args_call(&a, "SetIkeInfo", QUERY_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiIKEInfoA(PSTR instance, ULONG port,
					    PIKE_AUTHENTICATION_INFORMATION auth_info,
					    BOOLEAN persist)
{
	return ike_set(FORM_A, instance, port, auth_info, persist);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiIKEInfoW(PWSTR instance, ULONG port,
					    PIKE_AUTHENTICATION_INFORMATION auth_info,
					    BOOLEAN persist)
{
	return ike_set(FORM_W, instance, port, auth_info, persist);
}

/* The flags come back; the key does not, and its members are left as they are. */
static ISDSC_STATUS ike_get(enum form form, const void *instance, ULONG port, void *auth_info)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	ISCSI_SECURITY_FLAGS flags;
	json_t *number;
	ISDSC_STATUS status;

	args_identity(&a, form, instance, port, auth_info);
	status = args_call(&a, "GetIkeInfo", QUERY_MS, &reply);
	if (status)
		return status;
	number = json_object_get(reply, "securityFlags");
	if (!json_is_integer(number))
		return detail_fail_reply("GetIkeInfo", "securityFlags");
	flags = (ISCSI_SECURITY_FLAGS)json_integer_value(number);
	memcpy((uint8_t *)auth_info + offsetof(IKE_AUTHENTICATION_INFORMATION, PsKey.SecurityFlags),
	       &flags, sizeof(flags));
	return ERROR_SUCCESS;
}

EXPORT ISDSC_STATUS WINAPI GetIScsiIKEInfoA(PSTR instance, ULONG port, PULONG reserved,
					    PIKE_AUTHENTICATION_INFORMATION auth_info)
{
	return ike_get(FORM_A, instance, port, auth_info);
}

EXPORT ISDSC_STATUS WINAPI GetIScsiIKEInfoW(PWSTR instance, ULONG port, PULONG reserved,
					    PIKE_AUTHENTICATION_INFORMATION auth_info)
{
	return ike_get(FORM_W, instance, port, auth_info);
}

static ISDSC_STATUS tunnel_set(enum form form, const void *instance, ULONG port,
			       const void *destination, const void *outer, BOOLEAN persist)
{
	struct args a = args_begin();

	args_initiator(&a, form, instance, port);
	args_text_or_null(&a, "destinationAddress", form, destination,
			  MAX_ISCSI_TEXT_ADDRESS_LEN - 1, true);
	args_text_or_null(&a, "outerAddress", form, outer, MAX_ISCSI_TEXT_ADDRESS_LEN - 1, true);
	args_bool(&a, "persist", persist);
	return args_call(&a, "SetTunnelAddress", QUERY_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiTunnelModeOuterAddressA(PSTR instance, ULONG port,
							   PSTR destination, PSTR outer,
							   BOOLEAN persist)
{
	return tunnel_set(FORM_A, instance, port, destination, outer, persist);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiTunnelModeOuterAddressW(PWSTR instance, ULONG port,
							   PWSTR destination, PWSTR outer,
							   BOOLEAN persist)
{
	return tunnel_set(FORM_W, instance, port, destination, outer, persist);
}
