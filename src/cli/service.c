/* SPDX-License-Identifier: MIT */
/*
 * The service is found as the library finds it: ISCSIDSC_SOCKET, else the socket of
 * the system, else, without root, the user's own.
 */
#include "cli/service.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "varlink/varlink.h"

#define SOCKET_SYSTEM "/run/iscsidsc/iscsidsc.socket"
#define SOCKET_USER   "iscsidsc/iscsidsc.socket" /* below $XDG_RUNTIME_DIR */
#define TIMEOUT_MS    120000 /* also the users of a device are a query that waits for a logout */

static int socket_path(char *buf, size_t n_buf)
{
	const char *path = secure_getenv("ISCSIDSC_SOCKET");
	const char *dir = secure_getenv("XDG_RUNTIME_DIR");
	struct stat st;
	int n;

	if (path && *path)
		n = snprintf(buf, n_buf, "%s", path);
	else if (geteuid() != 0 && dir && *dir && stat(SOCKET_SYSTEM, &st) < 0)
		n = snprintf(buf, n_buf, "%s/%s", dir, SOCKET_USER);
	else
		n = snprintf(buf, n_buf, "%s", SOCKET_SYSTEM);
	return (size_t)n < n_buf ? 0 : -ENAMETOOLONG;
}

const char *json_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static ISDSC_STATUS status_of_errno(int r)
{
	switch (-r) {
	case EACCES:
	case EPERM: return ERROR_ACCESS_DENIED;
	case ENOMEM: return ERROR_NOT_ENOUGH_MEMORY;
	default: return ISDSC_SERVICE_NOT_RUNNING;
	}
}

static ISDSC_STATUS status_of_error(const char *error, const json_t *params)
{
	json_int_t code = json_integer_value(json_object_get(params, "code"));

	if (strcmp(error, VARLINK_INTERFACE ".Status") == 0 && code > 0 && code <= UINT32_MAX)
		return (ISDSC_STATUS)code;
	if (strcmp(error, "org.varlink.service.MethodNotFound") == 0 ||
	    strcmp(error, "org.varlink.service.MethodNotImplemented") == 0)
		return ERROR_CALL_NOT_IMPLEMENTED;
	if (strcmp(error, "org.varlink.service.InvalidParameter") == 0)
		return ERROR_INVALID_PARAMETER;
	if (strcmp(error, "org.varlink.service.PermissionDenied") == 0)
		return ERROR_ACCESS_DENIED;
	return ISDSC_NON_SPECIFIC_ERROR;
}

static void connp(struct varlink_conn **c)
{
	varlink_conn_free(*c);
}

static ISDSC_STATUS no_answer(int r, char *why, size_t n_why)
{
	char path[4096];

	if (socket_path(path, sizeof(path)))
		snprintf(path, sizeof(path), "%s", "the socket's path");
	snprintf(why, n_why, "No answer from the service at %s: %s", path, strerror(-r));
	return status_of_errno(r);
}

static ISDSC_STATUS refused(const char *error, const json_t *params, char *why, size_t n_why)
{
	const char *text = json_text(params, "text");

	snprintf(why, n_why, "%s", *text ? text : error);
	return status_of_error(error, params);
}

static int service_connect(struct varlink_conn **ret, int timeout_ms)
{
	char path[4096];
	int r = socket_path(path, sizeof(path));

	return r ? r : varlink_connect(ret, path, timeout_ms);
}

ISDSC_STATUS service_call_within(const char *method, json_t *params, int timeout_ms,
				 json_t **ret_reply, char *why, size_t n_why)
{
	CLEANUP(connp) struct varlink_conn *c = NULL;
	CLEANUP(json_dropp) json_t *reply = NULL;
	CLEANUP(freep) char *error = NULL;
	char name[128];
	int r;

	snprintf(why, n_why, "%s", "");
	snprintf(name, sizeof(name), "%s.%s", VARLINK_INTERFACE, method);
	r = service_connect(&c, timeout_ms);
	if (r)
		json_decref(params);
	else
		r = varlink_call(c, name, params, &reply, &error, timeout_ms);
	if (r)
		return no_answer(r, why, n_why);
	if (error)
		return refused(error, reply, why, n_why);
	*ret_reply = TAKE(reply);
	return ERROR_SUCCESS;
}

ISDSC_STATUS service_call(const char *method, json_t *params, json_t **ret_reply, char *why,
			  size_t n_why)
{
	return service_call_within(method, params, TIMEOUT_MS, ret_reply, why, n_why);
}

/* ---- answers without end ---------------------------------------------------------------- */

ISDSC_STATUS service_follow(const char *method, struct varlink_conn **ret, char *why, size_t n_why)
{
	CLEANUP(connp) struct varlink_conn *c = NULL;
	CLEANUP(json_dropp) json_t *call = NULL;
	int r = service_connect(&c, TIMEOUT_MS);

	snprintf(why, n_why, "%s", "");
	if (r == 0) {
		call = json_pack("{s:o, s:b}", "method",
				 json_sprintf("%s.%s", VARLINK_INTERFACE, method), "more", true);
		r = call ? varlink_send(c, call, TIMEOUT_MS) : -ENOMEM;
	}
	if (r)
		return no_answer(r, why, n_why);
	*ret = TAKE(c);
	return ERROR_SUCCESS;
}

/* Is a message there, or has one begun? 0: no; -errno: the connection has ended, or @stop_fd. */
static int wait_message(struct varlink_conn *c, int stop_fd, int timeout_ms, bool *ret_stopped)
{
	struct pollfd p[2] = {{.fd = varlink_conn_fd(c), .events = POLLIN},
			      {.fd = stop_fd, .events = POLLIN}};
	int r = varlink_wait(c, 0);

	if (r != -ETIMEDOUT)
		return r ? r : 1;
	r = poll(p, 2, timeout_ms);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	*ret_stopped = p[1].revents != 0;
	return r > 0 && !*ret_stopped;
}

ISDSC_STATUS service_next(struct varlink_conn *c, int stop_fd, int timeout_ms, json_t **ret,
			  char *why, size_t n_why)
{
	CLEANUP(json_dropp) json_t *message = NULL;
	const char *error;
	bool stopped = false;
	int r = wait_message(c, stop_fd, timeout_ms, &stopped);

	*ret = NULL;
	snprintf(why, n_why, "%s", "");
	if (r > 0)
		r = varlink_recv(c, &message, TIMEOUT_MS);
	if (r < 0)
		return no_answer(r, why, n_why);
	if (!message)
		return ERROR_SUCCESS;
	error = json_string_value(json_object_get(message, "error"));
	if (error)
		return refused(error, json_object_get(message, "parameters"), why, n_why);
	*ret = json_incref(json_object_get(message, "parameters"));
	return ERROR_SUCCESS;
}
