/* SPDX-License-Identifier: MIT */
/*
 * Servers that tell of targets (iSNS) and that know secrets (RADIUS)
 */
#include "client/client.h"

#define RADIUS_ADDRESS_MAX (MAX_RADIUS_ADDRESS_LEN - 2) /* that length has two terminators */
#define ISNS_ADDRESS_MAX   (MAX_ISCSI_TEXT_ADDRESS_LEN - 1)

static ISDSC_STATUS server_call(enum form form, const char *method, int timeout_ms,
				const void *address, size_t n_max)
{
	struct args a = args_begin();

	args_text(&a, "address", form, address, n_max);
	return args_call(&a, method, timeout_ms, NULL);
}

static ISDSC_STATUS servers_report(enum form form, const char *method, void *size, void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list(&a, &l, form, buffer, size);
	status = args_call(&a, method, QUERY_MS, &reply);
	return status ? status : list_names_if_any(&l, reply, "servers", TAIL_TEXT_MAX);
}

EXPORT ISDSC_STATUS WINAPI AddISNSServerA(PSTR address)
{
	return server_call(FORM_A, "AddIsnsServer", DISCOVER_MS, address, ISNS_ADDRESS_MAX);
}

EXPORT ISDSC_STATUS WINAPI AddISNSServerW(PWSTR address)
{
	return server_call(FORM_W, "AddIsnsServer", DISCOVER_MS, address, ISNS_ADDRESS_MAX);
}

EXPORT ISDSC_STATUS WINAPI RemoveISNSServerA(PSTR address)
{
	return server_call(FORM_A, "RemoveIsnsServer", QUERY_MS, address, ISNS_ADDRESS_MAX);
}

EXPORT ISDSC_STATUS WINAPI RemoveISNSServerW(PWSTR address)
{
	return server_call(FORM_W, "RemoveIsnsServer", QUERY_MS, address, ISNS_ADDRESS_MAX);
}

static ISDSC_STATUS isns_refresh(enum form form, const void *address)
{
	struct args a = args_begin();

	args_text_or_null(&a, "address", form, address, ISNS_ADDRESS_MAX, false);
	return args_call(&a, "RefreshIsnsServer", DISCOVER_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI RefreshISNSServerA(PSTR address)
{
	return isns_refresh(FORM_A, address);
}

EXPORT ISDSC_STATUS WINAPI RefreshISNSServerW(PWSTR address)
{
	return isns_refresh(FORM_W, address);
}

EXPORT ISDSC_STATUS WINAPI ReportISNSServerListA(PULONG size, PCHAR buffer)
{
	return servers_report(FORM_A, "ListIsnsServers", size, buffer);
}

EXPORT ISDSC_STATUS WINAPI ReportISNSServerListW(PULONG size, PWCHAR buffer)
{
	return servers_report(FORM_W, "ListIsnsServers", size, buffer);
}

EXPORT ISDSC_STATUS WINAPI AddRadiusServerA(PSTR address)
{
	return server_call(FORM_A, "AddRadiusServer", QUERY_MS, address, RADIUS_ADDRESS_MAX);
}

EXPORT ISDSC_STATUS WINAPI AddRadiusServerW(PWSTR address)
{
	return server_call(FORM_W, "AddRadiusServer", QUERY_MS, address, RADIUS_ADDRESS_MAX);
}

EXPORT ISDSC_STATUS WINAPI RemoveRadiusServerA(PSTR address)
{
	return server_call(FORM_A, "RemoveRadiusServer", QUERY_MS, address, RADIUS_ADDRESS_MAX);
}

EXPORT ISDSC_STATUS WINAPI RemoveRadiusServerW(PWSTR address)
{
	return server_call(FORM_W, "RemoveRadiusServer", QUERY_MS, address, RADIUS_ADDRESS_MAX);
}

EXPORT ISDSC_STATUS WINAPI ReportRadiusServerListA(PULONG size, PCHAR buffer)
{
	return servers_report(FORM_A, "ListRadiusServers", size, buffer);
}

EXPORT ISDSC_STATUS WINAPI ReportRadiusServerListW(PULONG size, PWCHAR buffer)
{
	return servers_report(FORM_W, "ListRadiusServers", size, buffer);
}
