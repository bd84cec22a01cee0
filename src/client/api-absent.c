/* SPDX-License-Identifier: MIT */
/*
 * Functions that this version does not have
 *
 * They are there, so that every program finds the names it was built with, and
 * say ERROR_CALL_NOT_IMPLEMENTED. One that gets a body moves to another file.
 */
#include "client/client.h"

static ISDSC_STATUS absent(const char *name)
{
	return detail_fail(ERROR_CALL_NOT_IMPLEMENTED, "%s is not implemented", name);
}

EXPORT ISDSC_STATUS WINAPI AddISNSServerA(PSTR address)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI AddISNSServerW(PWSTR address)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI AddIScsiConnectionA(PISCSI_UNIQUE_SESSION_ID unique_session_id,
					       PVOID reserved, ULONG initiator_port_number,
					       PISCSI_TARGET_PORTALA target_portal,
					       ISCSI_SECURITY_FLAGS security_flags,
					       PISCSI_LOGIN_OPTIONS login_options, ULONG key_size,
					       PCHAR key, PISCSI_UNIQUE_CONNECTION_ID connection_id)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI AddIScsiConnectionW(PISCSI_UNIQUE_SESSION_ID unique_session_id,
					       PVOID reserved, ULONG initiator_port_number,
					       PISCSI_TARGET_PORTALW target_portal,
					       ISCSI_SECURITY_FLAGS security_flags,
					       PISCSI_LOGIN_OPTIONS login_options, ULONG key_size,
					       PCHAR key, PISCSI_UNIQUE_CONNECTION_ID connection_id)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI AddIScsiStaticTargetA(PSTR target_name, PSTR target_alias,
						 ISCSI_TARGET_FLAGS target_flags, BOOLEAN persist,
						 PISCSI_TARGET_MAPPINGA mappings,
						 PISCSI_LOGIN_OPTIONS login_options,
						 PISCSI_TARGET_PORTAL_GROUPA portal_group)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI AddIScsiStaticTargetW(PWSTR target_name, PWSTR target_alias,
						 ISCSI_TARGET_FLAGS target_flags, BOOLEAN persist,
						 PISCSI_TARGET_MAPPINGW mappings,
						 PISCSI_LOGIN_OPTIONS login_options,
						 PISCSI_TARGET_PORTAL_GROUPW portal_group)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI AddPersistentIScsiDeviceA(PSTR device_path)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI AddPersistentIScsiDeviceW(PWSTR device_path)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI AddRadiusServerA(PSTR address)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI AddRadiusServerW(PWSTR address)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI ClearPersistentIScsiDevices(void)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI GetIScsiIKEInfoA(PSTR initiator_name, ULONG initiator_port_number,
					    PULONG reserved,
					    PIKE_AUTHENTICATION_INFORMATION auth_info)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI GetIScsiIKEInfoW(PWSTR initiator_name, ULONG initiator_port_number,
					    PULONG reserved,
					    PIKE_AUTHENTICATION_INFORMATION auth_info)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI GetIScsiSessionListEx(ULONG *buffer_size, ULONG *session_count_ptr,
						 PISCSI_SESSION_INFO_EX session_info)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI GetIScsiTargetInformationA(PSTR target_name, PSTR discovery_mechanism,
						      TARGET_INFORMATION_CLASS info_class,
						      PULONG buffer_size, PVOID buffer)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI GetIScsiTargetInformationW(PWSTR target_name, PWSTR discovery_mechanism,
						      TARGET_INFORMATION_CLASS info_class,
						      PULONG buffer_size, PVOID buffer)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RefreshISNSServerA(PSTR address)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RefreshISNSServerW(PWSTR address)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemoveISNSServerA(PSTR address)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemoveISNSServerW(PWSTR address)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiConnection(PISCSI_UNIQUE_SESSION_ID unique_session_id,
						 PISCSI_UNIQUE_CONNECTION_ID connection_id)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiPersistentTargetA(PSTR initiator_instance,
							ULONG initiator_port_number,
							PSTR target_name,
							PISCSI_TARGET_PORTALA portal)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiPersistentTargetW(PWSTR initiator_instance,
							ULONG initiator_port_number,
							PWSTR target_name,
							PISCSI_TARGET_PORTALW portal)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiStaticTargetA(PSTR target_name)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiStaticTargetW(PWSTR target_name)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemovePersistentIScsiDeviceA(PSTR device_path)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemovePersistentIScsiDeviceW(PWSTR device_path)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemoveRadiusServerA(PSTR address)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI RemoveRadiusServerW(PWSTR address)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI ReportActiveIScsiTargetMappingsA(PULONG buffer_size,
							    PULONG mapping_count,
							    PISCSI_TARGET_MAPPINGA mappings)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI ReportActiveIScsiTargetMappingsW(PULONG buffer_size,
							    PULONG mapping_count,
							    PISCSI_TARGET_MAPPINGW mappings)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI ReportISNSServerListA(PULONG buffer_size_in_char, PCHAR buffer)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI ReportISNSServerListW(PULONG buffer_size_in_char, PWCHAR buffer)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI
ReportIScsiPersistentLoginsA(ULONG *count, PPERSISTENT_ISCSI_LOGIN_INFOA persistent_login_info,
			     PULONG buffer_size_in_bytes)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI
ReportIScsiPersistentLoginsW(ULONG *count, PPERSISTENT_ISCSI_LOGIN_INFOW persistent_login_info,
			     PULONG buffer_size_in_bytes)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI ReportPersistentIScsiDevicesA(PULONG buffer_size_in_char, PCHAR buffer)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI ReportPersistentIScsiDevicesW(PULONG buffer_size_in_char, PWCHAR buffer)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI ReportRadiusServerListA(PULONG buffer_size_in_char, PCHAR buffer)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI ReportRadiusServerListW(PULONG buffer_size_in_char, PWCHAR buffer)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiGroupPresharedKey(ULONG key_length, PUCHAR key, BOOLEAN persist)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiIKEInfoA(PSTR initiator_name, ULONG initiator_port_number,
					    PIKE_AUTHENTICATION_INFORMATION auth_info,
					    BOOLEAN persist)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiIKEInfoW(PWSTR initiator_name, ULONG initiator_port_number,
					    PIKE_AUTHENTICATION_INFORMATION auth_info,
					    BOOLEAN persist)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiInitiatorCHAPSharedSecret(ULONG shared_secret_length,
							     PUCHAR shared_secret)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiInitiatorRADIUSSharedSecret(ULONG shared_secret_length,
							       PUCHAR shared_secret)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiTunnelModeOuterAddressA(PSTR initiator_name,
							   ULONG initiator_port_number,
							   PSTR destination_address,
							   PSTR outer_mode_address, BOOLEAN persist)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiTunnelModeOuterAddressW(PWSTR initiator_name,
							   ULONG initiator_port_number,
							   PWSTR destination_address,
							   PWSTR outer_mode_address,
							   BOOLEAN persist)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI SetupPersistentIScsiDevices(void)
{
	return absent(__func__);
}

EXPORT ISDSC_STATUS WINAPI SetupPersistentIScsiVolumes(void)
{
	return absent(__func__);
}
