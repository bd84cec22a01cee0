/* SPDX-License-Identifier: MIT */
/*
 * Commands that only this initiator has: Rescan and Stats
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/own.h"
#include "cli/print.h"
#include "cli/service.h"

/* The parameters of both: a session, or null for all. */
static ISDSC_STATUS session_params(struct cli *cli, int argc, char **argv, char text[ID_TEXT_BYTES],
				   bool *ret_all)
{
	ISCSI_UNIQUE_SESSION_ID id;
	ISDSC_STATUS status;

	*ret_all = argc == 0 || value_is_any(argv[0]);
	if (*ret_all)
		return ERROR_SUCCESS;
	status = session_id_take(cli, argv[0], &id);
	if (!status)
		id_format(&id, text);
	return status;
}

static json_t *params_of(const char *text, bool all)
{
	return json_pack("{s:s?}", "sessionId", all ? NULL : text);
}

/* ---- Rescan ------------------------------------------------------------------------------ */

/* That of them that is the same unit of the same session; borrowed. */
static const json_t *device_like(const json_t *list, const json_t *device)
{
	const json_t *d;
	size_t i;

	json_array_foreach(list, i, d)
	{
		if (strcmp(json_text(d, "sessionId"), json_text(device, "sessionId")) == 0 &&
		    strcmp(json_text(d, "lun"), json_text(device, "lun")) == 0)
			return d;
	}
	return NULL;
}

static void change_add(struct cli *cli, json_t *changes, const char *kind, const json_t *device,
		       const char *text)
{
	const char *name = json_text(device, "legacyName");
	char lun[LUN_TEXT_BYTES], line[WHY_BYTES];

	lun_text(json_text(device, "lun"), lun);
	snprintf(line, sizeof(line), "%s: %s, LUN %s of %s%s%s", kind, *name ? name : "(no device)",
		 lun, json_text(device, "targetName"), *text ? ", " : "", text);
	text_clean(line);
	out(cli, "    %s\n", line);
	json_array_append_new(changes, json_pack("{s:s, s:s, s:O}", "Kind", kind, "Text", text,
						 "Device", device));
}

static void change_find(struct cli *cli, json_t *changes, const json_t *was, const json_t *is)
{
	json_int_t from = json_integer_value(json_object_get(was, "sizeBytes"));
	json_int_t to = json_integer_value(json_object_get(is, "sizeBytes"));
	const char *state_was = json_text(was, "state"), *state = json_text(is, "state");
	char text[WHY_BYTES];

	if (!was) {
		change_add(cli, changes, "New", is, state);
		return;
	}
	if (from != to) {
		snprintf(text, sizeof(text), "%lld bytes, it had %lld", (long long)to,
			 (long long)from);
		change_add(cli, changes, "Resized", is, text);
	}
	if (strcmp(state, state_was) != 0) {
		const char *why = json_text(is, "why");

		snprintf(text, sizeof(text), "%s, it was %s%s%s", state, state_was,
			 *why ? ": " : "", why);
		change_add(cli, changes, "State", is, text);
	}
}

static void changes_show(struct cli *cli, const json_t *before, json_t *after)
{
	json_t *changes = json_array();
	const json_t *d;
	size_t i;

	json_array_foreach(after, i, d) change_find(cli, changes, device_like(before, d), d);
	json_array_foreach(before, i, d)
	{
		if (!device_like(after, d))
			change_add(cli, changes, "Gone", d, "");
	}
	if (json_array_size(changes) == 0)
		out(cli, "No changes\n");
	out_json(cli, "Changes", changes);
	out_json(cli, "Devices", json_incref(after));
}

ISDSC_STATUS cmd_rescan(struct cli *cli, int argc, char **argv)
{
	CLEANUP(json_dropp) json_t *before = NULL;
	CLEANUP(json_dropp) json_t *after = NULL;
	ISDSC_STATUS status, listed;
	char id[ID_TEXT_BYTES];
	bool all;

	status = session_params(cli, argc, argv, id, &all);
	if (!status)
		status = own_call(cli, "ListDevices", params_of(id, all), "devices", &before);
	if (status)
		return status;
	status = own_call(cli, "RescanSession", params_of(id, all), NULL, NULL);
	/* what was found is shown also when not everything could be asked */
	if (status && status != ISDSC_OPERATION_NOT_ALL_SUCCESS)
		return status;
	listed = own_call(cli, "ListDevices", params_of(id, all), "devices", &after);
	if (listed)
		return listed;
	changes_show(cli, before, after);
	return status;
}

/* ---- Stats ------------------------------------------------------------------------------- */

static long long number(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static void print_number(const struct cli *cli, const char *label, const json_t *o, const char *key)
{
	out(cli, "    %-19s: %lld\n", label, number(o, key));
}

static void print_connection(const struct cli *cli, const json_t *c)
{
	out(cli, "    %-19s: %s, %lld bytes a second\n", "Connection", json_text(c, "id"),
	    number(c, "bytesPerSecond"));
}

static void print_device(const struct cli *cli, const json_t *d)
{
	const char *name = json_text(d, "legacyName");
	char lun[LUN_TEXT_BYTES];

	lun_text(json_text(d, "lun"), lun);
	out(cli, "    %-19s: %s, LUN %s\n", "Device", *name ? name : "(no device)", lun);
	out(cli, "        %-15s: %lld, %lld bytes\n", "Reads", number(d, "reads"),
	    number(d, "readBytes"));
	out(cli, "        %-15s: %lld, %lld bytes\n", "Writes", number(d, "writes"),
	    number(d, "writeBytes"));
	out(cli, "        %-15s: %lld\n", "Flushes", number(d, "flushes"));
	out(cli, "        %-15s: %lld\n", "Discards", number(d, "discards"));
	out(cli, "        %-15s: %lld\n", "Errors", number(d, "errors"));
	out(cli, "        %-15s: %lld\n", "Retries", number(d, "retries"));
}

static void print_statistics(const struct cli *cli, const json_t *s)
{
	static const struct {
		const char *label, *key;
	} rows[] = {
		{"Commands", "commands"},          {"Commands now", "commandsNow"},
		{"Reconnects", "reconnects"},      {"Connections lost", "connectionsLost"},
		{"Digest errors", "digestErrors"}, {"Protocol errors", "protocolErrors"},
		{"Timeouts", "timeouts"},          {"SNACKs", "snacks"},
		{"Commands repeated", "retries"},  {"Commands reassigned", "reassigned"},
	};
	json_t *part;
	size_t i;

	out(cli, "%s\n", json_text(s, "id"));
	out(cli, "    %-19s: %s\n", "Target", json_text(s, "targetName"));
	out(cli, "    %-19s: %s\n", "State", json_text(s, "state"));
	out(cli, "    %-19s: %lld bytes, %lld PDUs\n", "Received", number(s, "receivedBytes"),
	    number(s, "receivedPdus"));
	out(cli, "    %-19s: %lld bytes, %lld PDUs\n", "Sent", number(s, "sentBytes"),
	    number(s, "sentPdus"));
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		print_number(cli, rows[i].label, s, rows[i].key);
	json_array_foreach(json_object_get(s, "connections"), i, part) print_connection(cli, part);
	json_array_foreach(json_object_get(s, "devices"), i, part) print_device(cli, part);
}

ISDSC_STATUS cmd_stats(struct cli *cli, int argc, char **argv)
{
	CLEANUP(json_dropp) json_t *list = NULL;
	char id[ID_TEXT_BYTES];
	ISDSC_STATUS status;
	json_t *session;
	bool all;
	size_t i;

	status = session_params(cli, argc, argv, id, &all);
	if (!status)
		status = own_call(cli, "GetStatistics", params_of(id, all), "sessions", &list);
	if (status)
		return status;
	if (json_array_size(list) == 0)
		out(cli, "No sessions\n");
	json_array_foreach(list, i, session) print_statistics(cli, session);
	out_json(cli, "Statistics", json_incref(list));
	return ERROR_SUCCESS;
}
