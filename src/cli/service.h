/* SPDX-License-Identifier: MIT */
/*
 * Calls of the service that the library has no function for
 */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include <jansson.h>

#include "iscsidsc.h"

/**
 * service_call() - one call, on a connection of its own
 * @method:     without the interface
 * @params:     taken; NULL is none
 * @ret_reply:  its parameters; a new reference
 * @why:        what the service or the system said, at most @n_why bytes; "" without
 */
ISDSC_STATUS service_call(const char *method, json_t *params, json_t **ret_reply, char *why,
			  size_t n_why);

/* The same with a bound of the caller's. */
ISDSC_STATUS service_call_within(const char *method, json_t *params, int timeout_ms,
				 json_t **ret_reply, char *why, size_t n_why);

struct varlink_conn;

/* A call that is answered again and again; varlink_conn_free() ends it. */
ISDSC_STATUS service_follow(const char *method, struct varlink_conn **ret, char *why, size_t n_why);
/**
 * service_next() - its next answer
 * @stop_fd:     readable: it is over; negative: none
 * @timeout_ms:  negative: no bound
 * @ret:         a new reference; NULL with 0 when it is over or nothing came in time
 */
ISDSC_STATUS service_next(struct varlink_conn *c, int stop_fd, int timeout_ms, json_t **ret,
			  char *why, size_t n_why);

/* A member that is text, "" when it is not there or no text. */
const char *json_text(const json_t *object, const char *key);

#endif
