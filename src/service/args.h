/* SPDX-License-Identifier: MIT */
/*
 * Parameters of a call, out of JSON
 *
 * Each function checks one member: there, of the right type, in range. What is
 * wrong becomes the call's refusal (ERROR_INVALID_PARAMETER or the code that the
 * Windows API has for it) with the member's name, and the function returns false.
 */
#ifndef SERVICE_ARGS_H
#define SERVICE_ARGS_H

#include <jansson.h>

#include "service/ids.h"
#include "service/refusal.h"
#include "service/types.h"

struct args {
	json_t *obj;
	struct refusal *why;
};

/* Every member of @obj is one of the names in @known (separated by blanks). */
bool args_known(const struct args *a, const char *known);

bool arg_bool(const struct args *a, const char *name, bool *ret);
bool arg_int(const struct args *a, const char *name, uint64_t min, uint64_t max, uint64_t *ret);
/* 64 bits, of which JSON makes a number with a sign. */
bool arg_flags(const struct args *a, const char *name, uint64_t *ret);
bool arg_u32(const struct args *a, const char *name, uint32_t *ret);
/* At most @max bytes. Where it may be left out or null, *ret is then NULL. */
bool arg_text(const struct args *a, const char *name, bool optional, size_t max, const char **ret);
/* At most @max_units of UTF-16. Where it is left out or null, *ret is "". */
bool arg_label(const struct args *a, const char *name, unsigned max_units, const char **ret);
bool arg_blob(const struct args *a, const char *name, struct blob *ret); /* optional */

/* An IP address or a host name. Where it may be left out or null, *ret is then NULL. */
bool arg_address(const struct args *a, const char *name, bool optional, size_t max,
		 const char **ret);

/* initiatorInstance: "" for null, "" or absent. */
bool arg_instance(const struct args *a, const char *name, char ret[INSTANCE_MAX + 1]);
bool arg_port(const struct args *a, uint32_t *ret);
/* *ret_there NULL: it must be there. */
bool arg_portal(const struct args *a, const char *name, struct portal *ret, bool *ret_there);
/* None where it may be left out or null. free() *ret. */
bool arg_portals(const struct args *a, const char *name, struct portal **ret, size_t *ret_n);
bool arg_options(const struct args *a, const char *name, struct login_options *ret,
		 bool *ret_there);
/* Untouched when it is not there. No unit and no number of the system may be named twice. */
bool arg_mapping(const struct args *a, const char *name, struct target_mapping *ret,
		 bool *ret_there);
bool arg_target(const struct args *a, const char *name, char ret[ISCSI_NAME_MAX + 1]);
bool arg_lun(const struct args *a, const char *name, uint64_t *ret);
/* A session's id; what is not one names no session. */
bool arg_session(const struct args *a, const char *name, struct unique_id *ret, bool *ret_there);
bool arg_connection(const struct args *a, const char *name, struct unique_id *ret);

/* ---- the other direction: new references, NULL without memory ---- */

json_t *json_of_portal(const char *symbolic, const char *address, unsigned socket);
json_t *json_of_options(const struct login_options *o); /* without the password */
json_t *json_of_lun_mapping(const struct lun_mapping *l);
json_t *json_of_mapping(const struct target_mapping *m);
json_t *json_of_bytes(const uint8_t *p, size_t n);
/* Text of others (processes, paths, targets): what is not UTF-8 becomes '?'. */
json_t *json_of_foreign(const char *text);
json_t *json_of_holders(const struct holders *h);

#endif
