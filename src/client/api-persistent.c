/* SPDX-License-Identifier: MIT */
/*
 * Logins and devices that are there again after a restart
 */
#include "client/client.h"

/* -- logins -- */

static ISDSC_STATUS logins_report(enum form form, void *count, void *buffer, void *size)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list_counted(&a, &l, form, buffer, size, count);
	status = args_call(&a, "ListPersistentLogins", QUERY_MS, &reply);
	return status ? status : list_bytes(&l, &record_persistent_login, reply, "logins");
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiPersistentLoginsA(ULONG *count,
							PPERSISTENT_ISCSI_LOGIN_INFOA info,
							PULONG size)
{
	return logins_report(FORM_A, count, info, size);
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiPersistentLoginsW(ULONG *count,
							PPERSISTENT_ISCSI_LOGIN_INFOW info,
							PULONG size)
{
	return logins_report(FORM_W, count, info, size);
}

static ISDSC_STATUS login_remove(enum form form, const void *instance, ULONG port,
				 const void *target, const void *portal)
{
	struct args a = args_begin();

	args_initiator(&a, form, instance, port);
	args_text(&a, "targetName", form, target, MAX_ISCSI_NAME_LEN);
	args_portal(&a, "portal", form, &record_portal_key, portal, true);
	return args_call(&a, "RemovePersistentLogin", QUERY_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiPersistentTargetA(PSTR instance, ULONG port, PSTR target,
							PISCSI_TARGET_PORTALA portal)
{
	return login_remove(FORM_A, instance, port, target, portal);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiPersistentTargetW(PWSTR instance, ULONG port, PWSTR target,
							PISCSI_TARGET_PORTALW portal)
{
	return login_remove(FORM_W, instance, port, target, portal);
}

/* -- devices -- */

static ISDSC_STATUS devices_call(const char *method)
{
	struct args a = args_begin();

	return args_call(&a, method, QUERY_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI SetupPersistentIScsiDevices(void)
{
	return devices_call("BindPersistentDevices");
}

EXPORT ISDSC_STATUS WINAPI SetupPersistentIScsiVolumes(void)
{
	return devices_call("BindPersistentDevices");
}

EXPORT ISDSC_STATUS WINAPI ClearPersistentIScsiDevices(void)
{
	return devices_call("ClearPersistentDevices");
}

static ISDSC_STATUS device_call(enum form form, const char *method, const void *device)
{
	struct args a = args_begin();

	args_text(&a, "path", form, device, TEXT_MAX - 1);
	return args_call(&a, method, QUERY_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI AddPersistentIScsiDeviceA(PSTR device)
{
	return device_call(FORM_A, "AddPersistentDevice", device);
}

EXPORT ISDSC_STATUS WINAPI AddPersistentIScsiDeviceW(PWSTR device)
{
	return device_call(FORM_W, "AddPersistentDevice", device);
}

EXPORT ISDSC_STATUS WINAPI RemovePersistentIScsiDeviceA(PSTR device)
{
	return device_call(FORM_A, "RemovePersistentDevice", device);
}

EXPORT ISDSC_STATUS WINAPI RemovePersistentIScsiDeviceW(PWSTR device)
{
	return device_call(FORM_W, "RemovePersistentDevice", device);
}

static ISDSC_STATUS devices_report(enum form form, void *size, void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list(&a, &l, form, buffer, size);
	status = args_call(&a, "ListPersistentDevices", QUERY_MS, &reply);
	return status ? status : list_names(&l, reply, "paths", TEXT_MAX);
}

EXPORT ISDSC_STATUS WINAPI ReportPersistentIScsiDevicesA(PULONG size, PCHAR buffer)
{
	return devices_report(FORM_A, size, buffer);
}

EXPORT ISDSC_STATUS WINAPI ReportPersistentIScsiDevicesW(PULONG size, PWCHAR buffer)
{
	return devices_report(FORM_W, size, buffer);
}
