/* SPDX-License-Identifier: MIT */
/*
 * What the service tells as it happens: Watch, and the wait for the devices of a login
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/own.h"
#include "cli/print.h"
#include "cli/service.h"
#include "varlink/varlink.h"

static void connp(struct varlink_conn **c)
{
	varlink_conn_free(*c);
}

/* ---- Watch ------------------------------------------------------------------------------- */

static size_t append(char *line, size_t n, size_t n_line, const char *before, const char *text)
{
	if (*text && n < n_line)
		n += (size_t)snprintf(line + n, n_line - n, "%s%s", before, text);
	return n < n_line ? n : n_line - 1;
}

static void print_event(const json_t *event)
{
	const json_t *device = json_object_get(event, "device");
	char line[4096], lun[LUN_TEXT_BYTES];
	size_t n = 0;

	n = append(line, n, sizeof(line), "", json_text(event, "kind"));
	n = append(line, n, sizeof(line), " ", json_text(event, "targetName"));
	n = append(line, n, sizeof(line), " session ", json_text(event, "sessionId"));
	n = append(line, n, sizeof(line), " connection ", json_text(event, "connectionId"));
	if (json_is_object(device)) {
		lun_text(json_text(device, "lun"), lun);
		n = append(line, n, sizeof(line), " lun ", lun);
		n = append(line, n, sizeof(line), " device ", json_text(device, "legacyName"));
		/* one that is taken away is nothing any more */
		if (strcmp(json_text(event, "kind"), "device-removed") != 0)
			n = append(line, n, sizeof(line), " ", json_text(device, "state"));
		n = append(line, n, sizeof(line), ": ", json_text(device, "why"));
	}
	if (json_is_integer(json_object_get(event, "count"))) {
		snprintf(lun, sizeof(lun), "%lld",
			 (long long)json_integer_value(json_object_get(event, "count")));
		n = append(line, n, sizeof(line), " ", lun);
	}
	append(line, n, sizeof(line), ": ", json_text(event, "text"));
	text_clean(line);
	printf("%s\n", line);
}

static bool show_event(const struct cli *cli, const json_t *event)
{
	if (cli->json) {
		json_dumpf(event, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
		printf("\n");
	} else {
		print_event(event);
	}
	/* whoever reads it wants to know now */
	return fflush(stdout) == 0;
}

static ISDSC_STATUS watch(struct cli *cli, int stop_fd)
{
	CLEANUP(connp) struct varlink_conn *c = NULL;
	char why[WHY_BYTES];
	ISDSC_STATUS status = service_follow("Subscribe", &c, why, sizeof(why));
	bool going = true;

	while (!status && going) {
		CLEANUP(json_dropp) json_t *event = NULL;

		status = service_next(c, stop_fd, -1, &event, why, sizeof(why));
		going = event && show_event(cli, event);
		if (status == ISDSC_SERVICE_NOT_RUNNING)
			snprintf(why, sizeof(why),
				 "The service has ended, or it has cut this listener off");
	}
	if (status)
		own_why(cli, why);
	return status;
}

ISDSC_STATUS cmd_watch(struct cli *cli, int argc, char **argv)
{
	ISDSC_STATUS status;
	sigset_t stop, old;
	int fd;

	(void)argc;
	(void)argv;
	cli->refused = true;
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, &old);
	fd = signalfd(-1, &stop, SFD_CLOEXEC);
	status = fd < 0 ? ERROR_NOT_ENOUGH_MEMORY : watch(cli, fd);
	if (fd >= 0) {
		struct timespec none = {0};

		/* it has done what it was for */
		while (sigtimedwait(&stop, NULL, &none) > 0)
			;
		close(fd);
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	return status;
}

/* ---- the devices of a login ------------------------------------------------------------------ */

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* There is a device that can be used, and none that is still to come. */
static bool are_ready(const json_t *devices)
{
	size_t n_ready = 0, i;
	const json_t *d;

	json_array_foreach(devices, i, d)
	{
		if (strcmp(json_text(d, "state"), "starting") == 0)
			return false;
		n_ready += strcmp(json_text(d, "state"), "ready") == 0 &&
			   *json_text(d, "legacyName") != '\0';
	}
	return n_ready > 0;
}

/* Waits for an event, and takes those that are there already with it. */
static ISDSC_STATUS events_skip(struct varlink_conn *c, long long left_ms, char *why, size_t n_why)
{
	ISDSC_STATUS status;
	bool some;

	do {
		CLEANUP(json_dropp) json_t *event = NULL;

		status = service_next(c, -1, (int)left_ms, &event, why, n_why);
		some = event != NULL;
		left_ms = 0;
	} while (!status && some);
	return status;
}

/* One look, and, when they are not there, a wait until something has happened. */
static ISDSC_STATUS devices_look(struct varlink_conn *c, const char *session_id, long long left_ms,
				 bool *ret_ready, char *why, size_t n_why)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	ISDSC_STATUS status = service_call(
		"ListDevices", json_pack("{s:s}", "sessionId", session_id), &reply, why, n_why);

	if (status)
		return status;
	*ret_ready = are_ready(json_object_get(reply, "devices"));
	return *ret_ready ? ERROR_SUCCESS : events_skip(c, left_ms, why, n_why);
}

static ISDSC_STATUS devices_await(struct cli *cli, const char *session_id, char *why, size_t n_why)
{
	long long end_ms = now_ms() + cli->wait_s * 1000LL;
	CLEANUP(connp) struct varlink_conn *c = NULL;
	CLEANUP(json_dropp) json_t *reply = NULL;
	ISDSC_STATUS status = service_follow("Subscribe", &c, why, n_why);
	bool ready = false;

	/* until all units have been looked for; one that does not answer is no reason to give up */
	if (!status)
		(void)service_call_within("RescanSession",
					  json_pack("{s:s}", "sessionId", session_id),
					  (int)(cli->wait_s * 1000), &reply, why, n_why);
	while (!status && !ready) {
		long long left_ms = end_ms - now_ms();

		if (left_ms <= 0) {
			snprintf(why, n_why, "The session is there, its devices are not after %u s",
				 cli->wait_s);
			return ISDSC_DEVICE_NOT_FOUND;
		}
		status = devices_look(c, session_id, left_ms, &ready, why, n_why);
	}
	return status;
}

ISDSC_STATUS devices_wait(struct cli *cli, const ISCSI_UNIQUE_SESSION_ID *id)
{
	char text[ID_TEXT_BYTES], why[WHY_BYTES];
	ISDSC_STATUS status;

	fflush(stdout);
	id_format(id, text);
	status = devices_await(cli, text, why, sizeof(why));
	if (status)
		own_why(cli, why);
	return status;
}
