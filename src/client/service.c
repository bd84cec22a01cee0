/* SPDX-License-Identifier: MIT */
/*
 * One call of the service
 *
 * Each call has a connection of its own: there is nothing to share between
 * threads, nothing that a fork could duplicate, and nothing that a restart of the
 * service could break.
 */
#include "client/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/status.h"
#include "varlink/varlink.h"

#define SOCKET_SYSTEM "/run/iscsidsc/iscsidsc.socket"
#define SOCKET_USER   "iscsidsc/iscsidsc.socket" /* below $XDG_RUNTIME_DIR */

#define DETAIL_BYTES  2048

static _Thread_local char detail[DETAIL_BYTES];

void detail_clear(void)
{
	detail[0] = '\0';
}

const char *detail_get(void)
{
	return detail;
}

/* A text that was cut may end in the middle of a character. */
static void detail_trim(void)
{
	size_t n = strlen(detail);

	if (n + 1 < sizeof(detail))
		return;
	while (n > 0 && ((unsigned char)detail[n - 1] & 0xc0) == 0x80)
		n--;
	if (n > 0 && ((unsigned char)detail[n - 1] & 0x80))
		n--;
	detail[n] = '\0';
}

ISDSC_STATUS detail_fail(ISDSC_STATUS status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	detail_trim();
	return status;
}

ISDSC_STATUS detail_fail_reply(const char *method, const char *member)
{
	return detail_fail(ISDSC_NON_SPECIFIC_ERROR,
			   "The service's answer is not as its interface says: %s, %s", method,
			   member);
}

/* One more line; what does not fit is left out as a whole. */
static void detail_add_line(const char *line)
{
	size_t n = strlen(detail);
	size_t n_line = strlen(line);

	if (n_line > 0 && n + 1 + n_line < sizeof(detail)) {
		detail[n] = '\n';
		memcpy(detail + n + 1, line, n_line + 1);
	}
}

/* A user's own service is looked for where there is none for the system. */
static int socket_path(char *buf, size_t n_buf)
{
	const char *path = secure_getenv("ISCSIDSC_SOCKET");
	const char *dir;
	struct stat st;
	int n;

	if (path && *path) {
		n = snprintf(buf, n_buf, "%s", path);
	} else {
		n = snprintf(buf, n_buf, "%s", SOCKET_SYSTEM);
		dir = secure_getenv("XDG_RUNTIME_DIR");
		if (geteuid() != 0 && dir && *dir && stat(SOCKET_SYSTEM, &st) < 0 &&
		    (errno == ENOENT || errno == ENOTDIR))
			n = snprintf(buf, n_buf, "%s/%s", dir, SOCKET_USER);
	}
	return (size_t)n < n_buf ? 0 : -ENAMETOOLONG;
}

static ISDSC_STATUS status_of_transport(int r, const char *path, const char *method, int timeout_ms)
{
	switch (-r) {
	case EACCES:
	case EPERM: return detail_fail(ERROR_ACCESS_DENIED, "%s may not be used", path);
	case ENOMEM: return detail_fail(ERROR_NOT_ENOUGH_MEMORY, "No memory for %s", method);
	case ETIMEDOUT:
		return detail_fail(ISDSC_SERVICE_NOT_RUNNING,
				   "The service at %s did not answer %s in %d s", path, method,
				   (timeout_ms + 999) / 1000);
	case EPIPE:
		return detail_fail(ISDSC_SERVICE_NOT_RUNNING,
				   "The service at %s went away without an answer to %s", path,
				   method);
	case EBADMSG:
	case EMSGSIZE:
		return detail_fail(ISDSC_SERVICE_NOT_RUNNING,
				   "What answers at %s does not speak as the service does", path);
	default: {
		char text[128];

		return detail_fail(ISDSC_SERVICE_NOT_RUNNING, "No service at %.200s: %s", path,
				   strerror_r(-r, text, sizeof(text)));
	}
	}
}

/* An error reply: its status, with text and holders as the detail. */
static ISDSC_STATUS status_of_error(const char *error, json_t *params, const char *method)
{
	const char *text = json_string_value(json_object_get(params, "text"));
	json_t *code = json_object_get(params, "code");
	json_t *holder;
	size_t i;

	if (strcmp(error, VARLINK_INTERFACE ".Status") == 0) {
		json_int_t value = json_integer_value(code);

		if (!json_is_integer(code) || value <= 0 || value > UINT32_MAX)
			return detail_fail_reply(method, "code");
		detail_fail(0, "%s", text ? text : "");
		json_array_foreach(json_object_get(params, "holders"), i, holder)
		{
			const char *line = json_string_value(json_object_get(holder, "text"));

			if (line)
				detail_add_line(line);
		}
		return (ISDSC_STATUS)value;
	}
	if (strcmp(error, "org.varlink.service.MethodNotFound") == 0 ||
	    strcmp(error, "org.varlink.service.MethodNotImplemented") == 0)
		return detail_fail(ERROR_CALL_NOT_IMPLEMENTED, "The service has no %s", method);
	if (strcmp(error, "org.varlink.service.InvalidParameter") == 0)
		return detail_fail(ERROR_INVALID_PARAMETER, "The service refused a parameter of %s",
				   method);
	if (strcmp(error, "org.varlink.service.PermissionDenied") == 0)
		return detail_fail(ERROR_ACCESS_DENIED, "The service does not allow %s", method);
	return detail_fail(ISDSC_NON_SPECIFIC_ERROR, "%s: %s", method, error);
}

static void connp(struct varlink_conn **c)
{
	varlink_conn_free(*c);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Takes @params. */
static int path_call(const char *path, const char *method, json_t *params, int timeout_ms,
		     json_t **ret_reply, char **ret_error)
{
	CLEANUP(connp) struct varlink_conn *c = NULL;
	int64_t deadline_ms = now_ms() + timeout_ms;
	int64_t left_ms;
	int r;

	r = varlink_connect(&c, path, timeout_ms);
	if (r) {
		varlink_wipe(params);
		return r;
	}
	left_ms = deadline_ms - now_ms();
	return varlink_call(c, method, params, ret_reply, ret_error,
			    left_ms > 0 ? (int)left_ms : 0);
}

ISDSC_STATUS service_call(const char *method, json_t *params, int timeout_ms, json_t **ret_reply)
{
	CLEANUP(json_dropp) json_t *reply = NULL;
	CLEANUP(freep) char *error = NULL;
	char path[4096];
	char name[128];
	int r;

	detail_clear();
	snprintf(name, sizeof(name), "%s.%s", VARLINK_INTERFACE, method);
	r = socket_path(path, sizeof(path));
	if (r)
		varlink_wipe(params);
	else
		r = path_call(path, name, params, timeout_ms, &reply, &error);
	if (r)
		return status_of_transport(r, path, method, timeout_ms);
	if (error)
		return status_of_error(error, reply, method);
	if (ret_reply)
		*ret_reply = TAKE(reply);
	return ERROR_SUCCESS;
}

EXPORT const char *iscsidsc_strerror(ISDSC_STATUS status)
{
	return status_text(status);
}

EXPORT const char *iscsidsc_last_detail(void)
{
	return detail_get();
}
