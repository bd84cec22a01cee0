/* SPDX-License-Identifier: MIT */
/*
 * The service is found as the library finds it: ISCSIDSC_SOCKET, else the socket of
 * the system, else, without root, the user's own.
 */
#include "cli/service.h"

#include <errno.h>
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

ISDSC_STATUS service_call(const char *method, json_t *params, json_t **ret_reply, char *why,
			  size_t n_why)
{
	CLEANUP(connp) struct varlink_conn *c = NULL;
	CLEANUP(json_dropp) json_t *reply = NULL;
	CLEANUP(freep) char *error = NULL;
	char path[4096];
	char name[128];
	int r;

	snprintf(why, n_why, "%s", "");
	snprintf(name, sizeof(name), "%s.%s", VARLINK_INTERFACE, method);
	r = socket_path(path, sizeof(path));
	if (!r)
		r = varlink_connect(&c, path, TIMEOUT_MS);
	if (r)
		json_decref(params);
	else
		r = varlink_call(c, name, params, &reply, &error, TIMEOUT_MS);
	if (r) {
		snprintf(why, n_why, "No answer from the service at %s: %s", path, strerror(-r));
		return status_of_errno(r);
	}
	if (error) {
		const char *text = json_text(reply, "text");

		snprintf(why, n_why, "%s", *text ? text : error);
		return status_of_error(error, reply);
	}
	*ret_reply = TAKE(reply);
	return ERROR_SUCCESS;
}
