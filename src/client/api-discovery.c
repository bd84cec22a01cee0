/* SPDX-License-Identifier: MIT */
/*
 * Portals, discovery and targets
 */
#include "client/client.h"

#include <string.h>

static ISDSC_STATUS portal_add(enum form form, const void *instance, ULONG port,
			       const void *options, ISCSI_SECURITY_FLAGS flags, const void *portal)
{
	struct args a = args_begin();

	args_initiator(&a, form, instance, port);
	args_options(&a, options);
	args_number(&a, "securityFlags", (int64_t)flags);
	args_portal(&a, "portal", form, &record_portal, portal, false);
	return args_call(&a, "AddSendTargetPortal", DISCOVER_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI AddIScsiSendTargetPortalA(PSTR instance, ULONG port,
						     PISCSI_LOGIN_OPTIONS options,
						     ISCSI_SECURITY_FLAGS flags,
						     PISCSI_TARGET_PORTALA portal)
{
	return portal_add(FORM_A, instance, port, options, flags, portal);
}

EXPORT ISDSC_STATUS WINAPI AddIScsiSendTargetPortalW(PWSTR instance, ULONG port,
						     PISCSI_LOGIN_OPTIONS options,
						     ISCSI_SECURITY_FLAGS flags,
						     PISCSI_TARGET_PORTALW portal)
{
	return portal_add(FORM_W, instance, port, options, flags, portal);
}

/* Removing and refreshing: both name a portal. */
static ISDSC_STATUS portal_call(enum form form, const char *method, int timeout_ms,
				const void *instance, ULONG port, const void *portal)
{
	struct args a = args_begin();

	args_initiator(&a, form, instance, port);
	args_portal(&a, "portal", form, &record_portal_key, portal, false);
	return args_call(&a, method, timeout_ms, NULL);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiSendTargetPortalA(PSTR instance, ULONG port,
							PISCSI_TARGET_PORTALA portal)
{
	return portal_call(FORM_A, "RemoveSendTargetPortal", QUERY_MS, instance, port, portal);
}

EXPORT ISDSC_STATUS WINAPI RemoveIScsiSendTargetPortalW(PWSTR instance, ULONG port,
							PISCSI_TARGET_PORTALW portal)
{
	return portal_call(FORM_W, "RemoveSendTargetPortal", QUERY_MS, instance, port, portal);
}

EXPORT ISDSC_STATUS WINAPI RefreshIScsiSendTargetPortalA(PSTR instance, ULONG port,
							 PISCSI_TARGET_PORTALA portal)
{
	return portal_call(FORM_A, "RefreshSendTargetPortal", DISCOVER_MS, instance, port, portal);
}

EXPORT ISDSC_STATUS WINAPI RefreshIScsiSendTargetPortalW(PWSTR instance, ULONG port,
							 PISCSI_TARGET_PORTALW portal)
{
	return portal_call(FORM_W, "RefreshSendTargetPortal", DISCOVER_MS, instance, port, portal);
}

static ISDSC_STATUS portals_report(enum form form, void *count, void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list(&a, &l, form, buffer, count);
	status = args_call(&a, "ListSendTargetPortals", QUERY_MS, &reply);
	return status ? status : list_elements(&l, &record_send_target_portal, reply, "portals");
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiSendTargetPortalsA(PULONG count,
							 PISCSI_TARGET_PORTAL_INFOA info)
{
	return portals_report(FORM_A, count, info);
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiSendTargetPortalsW(PULONG count,
							 PISCSI_TARGET_PORTAL_INFOW info)
{
	return portals_report(FORM_W, count, info);
}

static ISDSC_STATUS portals_report_ex(enum form form, void *count, void *size, void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list_counted(&a, &l, form, buffer, size, count);
	status = args_call(&a, "ListSendTargetPortals", QUERY_MS, &reply);
	return status ? status : list_bytes(&l, &record_send_target_portal_ex, reply, "portals");
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiSendTargetPortalsExA(PULONG count, PULONG size,
							   PISCSI_TARGET_PORTAL_INFO_EXA info)
{
	return portals_report_ex(FORM_A, count, size, info);
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiSendTargetPortalsExW(PULONG count, PULONG size,
							   PISCSI_TARGET_PORTAL_INFO_EXW info)
{
	return portals_report_ex(FORM_W, count, size, info);
}

static ISDSC_STATUS target_portals_report(enum form form, const void *instance, const void *target,
					  const void *tag, void *count, void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	uint16_t group;
	struct list l;
	ISDSC_STATUS status;

	args_list(&a, &l, form, buffer, count);
	args_text_or_null(&a, "initiatorInstance", form, instance, MAX_ISCSI_HBANAME_LEN - 1, true);
	args_text(&a, "targetName", form, target, MAX_ISCSI_NAME_LEN);
	if (tag) {
		memcpy(&group, tag, sizeof(group));
		args_number(&a, "portalGroup", group);
	} else {
		args_null(&a, "portalGroup");
	}
	status = args_call(&a, "ListTargetPortals", QUERY_MS, &reply);
	return status ? status : list_elements(&l, &record_target_portal, reply, "portals");
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiTargetPortalsA(PSTR instance, PSTR target, PUSHORT tag,
						     PULONG count, PISCSI_TARGET_PORTALA portals)
{
	return target_portals_report(FORM_A, instance, target, tag, count, portals);
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiTargetPortalsW(PWSTR instance, PWSTR target, PUSHORT tag,
						     PULONG count, PISCSI_TARGET_PORTALW portals)
{
	return target_portals_report(FORM_W, instance, target, tag, count, portals);
}

static bool is_warning(json_int_t status)
{
	return status >= 0 && status >> 16 == 0xafff;
}

/* The list is given even when some portal did not answer; a warning is then the status. */
static ISDSC_STATUS targets_report(enum form form, BOOLEAN force, void *size, void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;
	json_t *warning;

	args_list(&a, &l, form, buffer, size);
	args_bool(&a, "forceUpdate", force);
	status = args_call(&a, "ListTargets", force ? DISCOVER_MS : QUERY_MS, &reply);
	if (status)
		return status;
	warning = json_object_get(reply, "status");
	if (!json_is_integer(warning) ||
	    (json_integer_value(warning) != 0 && !is_warning(json_integer_value(warning))))
		return detail_fail_reply("ListTargets", "status");
	status = list_names(&l, reply, "targets", MAX_ISCSI_NAME_LEN + 1);
	return status ? status : (ISDSC_STATUS)json_integer_value(warning);
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiTargetsA(BOOLEAN force, PULONG size, PCHAR buffer)
{
	return targets_report(FORM_A, force, size, buffer);
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiTargetsW(BOOLEAN force, PULONG size, PWCHAR buffer)
{
	return targets_report(FORM_W, force, size, buffer);
}
