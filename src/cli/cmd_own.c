/* SPDX-License-Identifier: MIT */
/*
 * Commands that only this initiator has: Devices and Holders
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/own.h"
#include "cli/print.h"
#include "cli/service.h"

void own_why(struct cli *cli, char *why)
{
	cli->refused = true;
	text_clean(why);
	if (cli->json && *why)
		out_json(cli, "Detail", json_string(why));
	else if (cli->show_detail && *why)
		out(cli, "    %s\n", why);
}

ISDSC_STATUS own_call(struct cli *cli, const char *method, json_t *params, const char *key,
		      json_t **ret_list)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	char why[WHY_BYTES];
	ISDSC_STATUS status;

	cli->refused = true;
	status = service_call(method, params, &reply, why, sizeof(why));
	if (status) {
		own_why(cli, why);
		return status;
	}
	if (!key)
		return ERROR_SUCCESS;
	*ret_list = json_incref(json_object_get(reply, key));
	return json_is_array(*ret_list) ? ERROR_SUCCESS : ISDSC_NON_SPECIFIC_ERROR;
}

/* "/dev/loop0 mounted on /mnt/data": the text may name the device itself. */
static void print_holder(const struct cli *cli, const json_t *holder)
{
	const char *device = json_text(holder, "device");
	const char *text = json_text(holder, "text");
	bool named = !*device || strncmp(text, device, strlen(device)) == 0;
	CLEANUP(freep) char *line = NULL;

	if (asprintf(&line, "%s%s%s", named ? "" : device, named ? "" : " ", text) < 0)
		line = NULL;
	if (line)
		text_clean(line);
	out(cli, "    In use: %s\n", line ? line : text);
}

static void print_detail_holders(const struct cli *cli, const char *detail)
{
	for (detail = strchr(detail, '\n'); detail; detail = strchr(detail, '\n')) {
		detail++;
		out(cli, "    In use: %.*s\n", (int)strcspn(detail, "\n"), detail);
	}
}

void holders_show(struct cli *cli, const char *session_id, const char *detail)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	char why[WHY_BYTES];
	json_t *list = NULL, *holder;
	size_t i;

	/* As the refusal said it; asked again when it could not, as its reasons may pass. */
	if (service_call("ListHolders", json_pack("{s:s, s:n}", "sessionId", session_id, "device"),
			 &reply, why, sizeof(why)) == ERROR_SUCCESS)
		list = json_object_get(reply, "holders");
	if (json_array_size(list) == 0) {
		print_detail_holders(cli, detail);
		return;
	}
	json_array_foreach(list, i, holder) print_holder(cli, holder);
	out_json(cli, "Holders", json_incref(list));
}

ISDSC_STATUS cmd_holders(struct cli *cli, int argc, char **argv)
{
	CLEANUP(json_dropp) json_t *list = NULL;
	ISCSI_UNIQUE_SESSION_ID id;
	char text[ID_TEXT_BYTES];
	json_t *params, *holder;
	ISDSC_STATUS status;
	size_t i;

	if (argc == 0 || value_is_any(argv[0])) {
		params = json_pack("{s:n, s:n}", "sessionId", "device");
	} else if (value_id(argv[0], &id)) {
		id_format(&id, text);
		params = json_pack("{s:s, s:n}", "sessionId", text, "device");
	} else if (strchr(argv[0], '/')) {
		params = json_pack("{s:n, s:s}", "sessionId", "device", argv[0]);
	} else {
		return out_refuse(cli, "Neither a sessionid nor the path of a device: %s", argv[0]);
	}
	if (!params)
		return out_refuse(cli, "The path of the device is not UTF-8");
	status = own_call(cli, "ListHolders", params, "holders", &list);
	if (status)
		return status;
	if (json_array_size(list) == 0)
		out(cli, "No holders\n");
	json_array_foreach(list, i, holder) print_holder(cli, holder);
	out_json(cli, "Holders", json_incref(list));
	return ERROR_SUCCESS;
}

static void print_size(const struct cli *cli, json_int_t n_bytes, json_int_t block_bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double size = (double)n_bytes;
	int unit = -1;

	while (size >= 1024 && unit + 1 < (int)ARRAY_SIZE(units)) {
		size /= 1024;
		unit++;
	}
	out(cli, "    %-14s: %lld bytes", "Size", (long long)n_bytes);
	if (unit >= 0)
		out(cli, " (%.1f %s)", size, units[unit]);
	out(cli, ", blocks of %lld\n", (long long)block_bytes);
}

void lun_text(const char *lun, char buf[LUN_TEXT_BYTES])
{
	unsigned long long v = strtoull(lun, NULL, 16);

	if (strlen(lun) == 16 && (v >> 62 == 0 || v >> 62 == 1) && (v & 0xffffffffffff) == 0)
		snprintf(buf, LUN_TEXT_BYTES, "%llu", v >> 48 & 0x3fff);
	else
		snprintf(buf, LUN_TEXT_BYTES, "%s", lun);
}

static void print_line(const struct cli *cli, const char *label, const char *text)
{
	CLEANUP(freep) char *copy = strdup(text);

	if (!copy)
		return;
	text_clean(copy);
	out(cli, "    %-14s: %s\n", label, copy);
}

static void print_device(const struct cli *cli, const json_t *d)
{
	const char *name = json_text(d, "legacyName");
	json_t *volume;
	char unit[256], lun[LUN_TEXT_BYTES];
	size_t i;

	snprintf(unit, sizeof(unit), "%s %s, serial %s", json_text(d, "vendor"),
		 json_text(d, "product"), json_text(d, "serial"));
	out(cli, "%s\n", *name ? name : "(no device yet)");
	print_line(cli, "Target", json_text(d, "targetName"));
	lun_text(json_text(d, "lun"), lun);
	print_line(cli, "LUN", lun);
	print_line(cli, "Session", json_text(d, "sessionId"));
	print_line(cli, "Unit", unit);
	print_line(cli, "Identity", json_text(d, "unitName"));
	print_size(cli, json_integer_value(json_object_get(d, "sizeBytes")),
		   json_integer_value(json_object_get(d, "blockBytes")));
	print_line(cli, "Access",
		   json_is_true(json_object_get(d, "readOnly")) ? "read-only" : "read and write");
	print_line(cli, "Write cache",
		   json_is_true(json_object_get(d, "writeCache")) ? "yes" : "no");
	print_line(cli, "Backend", json_text(d, "backend"));
	print_line(cli, "Stable name", json_text(d, "interfaceName"));
	print_line(cli, "State", json_text(d, "state"));
	if (*json_text(d, "why"))
		print_line(cli, "Why", json_text(d, "why"));
	json_array_foreach(json_object_get(d, "volumePaths"), i, volume)
		print_line(cli, "Mounted on", json_string_value(volume) ?: "");
}

ISDSC_STATUS cmd_devices(struct cli *cli, int argc, char **argv)
{
	CLEANUP(json_dropp) json_t *list = NULL;
	ISDSC_STATUS status;
	json_t *device;
	size_t i;

	status = own_call(cli, "ListDevices", json_pack("{s:n}", "sessionId"), "devices", &list);
	if (status)
		return status;
	if (json_array_size(list) == 0)
		out(cli, "No devices\n");
	json_array_foreach(list, i, device) print_device(cli, device);
	out_json(cli, "Devices", json_incref(list));
	return ERROR_SUCCESS;
}

json_t *devices_get(const char *session_id)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	char why[WHY_BYTES];

	if (service_call("ListDevices", json_pack("{s:s}", "sessionId", session_id), &reply, why,
			 sizeof(why)) != ERROR_SUCCESS)
		return NULL;
	return json_incref(json_object_get(reply, "devices"));
}

const json_t *devices_find(const json_t *devices, const char *legacy_name,
			   const char *interface_name)
{
	const json_t *d;
	size_t i;

	json_array_foreach(devices, i, d)
	{
		if (*interface_name && strcmp(json_text(d, "interfaceName"), interface_name) == 0)
			return d;
		if (*legacy_name && strcmp(json_text(d, "legacyName"), legacy_name) == 0)
			return d;
	}
	return NULL;
}
