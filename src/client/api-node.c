/* SPDX-License-Identifier: MIT */
/*
 * Node name, version and initiators
 */
#include "client/client.h"

#include <string.h>

EXPORT ISDSC_STATUS WINAPI GetIScsiVersionInformation(PISCSI_VERSION_INFO info)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	ISCSI_VERSION_INFO version;
	ISDSC_STATUS status;

	args_want(&a, info, "VersionInfo");
	status = args_call(&a, "GetVersion", QUERY_MS, &reply);
	if (!status)
		status = record_write(FORM_A, &record_version, reply, &version, NULL);
	if (!status)
		memcpy((void *)info, &version, sizeof(version));
	return status;
}

static ISDSC_STATUS node_name_get(enum form form, void *name)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	const char *text;
	ISDSC_STATUS status;

	args_want(&a, name, "InitiatorNodeName");
	status = args_call(&a, "GetNodeName", QUERY_MS, &reply);
	if (status)
		return status;
	text = json_string_value(json_object_get(reply, "name"));
	if (!text)
		return detail_fail_reply("GetNodeName", "name");
	if (text_write(form, name, MAX_ISCSI_NAME_LEN + 1, text) < 0)
		return detail_fail(ERROR_INVALID_PARAMETER, "The node name does not fit");
	return ERROR_SUCCESS;
}

EXPORT ISDSC_STATUS WINAPI GetIScsiInitiatorNodeNameA(PCHAR name)
{
	return node_name_get(FORM_A, name);
}

EXPORT ISDSC_STATUS WINAPI GetIScsiInitiatorNodeNameW(PWCHAR name)
{
	return node_name_get(FORM_W, name);
}

static ISDSC_STATUS node_name_set(enum form form, const void *name)
{
	struct args a = args_begin();

	args_text_or_null(&a, "name", form, name, MAX_ISCSI_NAME_LEN, false);
	if (!a.status && name && json_string_length(json_object_get(a.params, "name")) == 0)
		a.status = detail_fail(ERROR_INVALID_PARAMETER, "name: empty");
	return args_call(&a, "SetNodeName", QUERY_MS, NULL);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiInitiatorNodeNameA(PSTR name)
{
	return node_name_set(FORM_A, name);
}

EXPORT ISDSC_STATUS WINAPI SetIScsiInitiatorNodeNameW(PWSTR name)
{
	return node_name_set(FORM_W, name);
}

static ISDSC_STATUS initiators_report(enum form form, void *size, void *buffer)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	struct args a = args_begin();
	struct list l;
	ISDSC_STATUS status;

	args_list(&a, &l, form, buffer, size);
	status = args_call(&a, "ListInitiators", QUERY_MS, &reply);
	return status ? status : list_names(&l, reply, "initiators", MAX_ISCSI_HBANAME_LEN);
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiInitiatorListA(PULONG size, PCHAR buffer)
{
	return initiators_report(FORM_A, size, buffer);
}

EXPORT ISDSC_STATUS WINAPI ReportIScsiInitiatorListW(ULONG *size, PWCHAR buffer)
{
	return initiators_report(FORM_W, size, buffer);
}
