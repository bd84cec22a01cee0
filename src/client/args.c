/* SPDX-License-Identifier: MIT */
/*
 * Arguments of a call
 *
 * The functions of the API name their arguments one after the other and then
 * call; the first that is wrong decides, and the service is not asked.
 */
#include "client/client.h"

#include <string.h>

#include "varlink/varlink.h"

struct args args_begin(void)
{
	struct args a = {.params = json_object()};

	detail_clear();
	if (!a.params)
		a.status = ERROR_NOT_ENOUGH_MEMORY;
	return a;
}

static void args_fail(struct args *a, ISDSC_STATUS status)
{
	if (!a->status)
		a->status = status;
}

/* Takes @value, NULL when there was no memory for it. */
static void args_set(struct args *a, const char *key, json_t *value)
{
	if (!a->status && json_object_set(a->params, key, value) == 0) {
		json_decref(value);
		return;
	}
	varlink_wipe(value);
	if (!a->status)
		a->status = detail_fail(ERROR_NOT_ENOUGH_MEMORY, "No memory for %s", key);
}

void args_text(struct args *a, const char *key, enum form form, const void *p, size_t n_max)
{
	json_t *text;

	args_want(a, p, key);
	if (a->status)
		return;
	args_fail(a, text_read(form, p, n_max, key, &text));
	if (!a->status)
		args_set(a, key, text);
}

void args_text_or_null(struct args *a, const char *key, enum form form, const void *p, size_t n_max,
		       bool empty_too)
{
	static const uint8_t nothing[sizeof(uint16_t)];

	if (!p || (empty_too && memcmp(p, nothing, form_unit(form)) == 0))
		args_null(a, key);
	else
		args_text(a, key, form, p, n_max);
}

void args_number(struct args *a, const char *key, int64_t value)
{
	args_set(a, key, json_integer(value));
}

void args_bool(struct args *a, const char *key, bool value)
{
	args_set(a, key, json_boolean(value));
}

void args_null(struct args *a, const char *key)
{
	args_set(a, key, json_null());
}

void args_record(struct args *a, const char *key, enum form form, const struct record *rec,
		 const void *src)
{
	json_t *object;

	args_want(a, src, key);
	if (a->status)
		return;
	args_fail(a, record_read(form, rec, src, &object));
	if (!a->status)
		args_set(a, key, object);
}

void args_id(struct args *a, const char *key, const void *id)
{
	char text[ID_TEXT_BYTES];

	args_want(a, id, key);
	if (a->status)
		return;
	id_text(id, text);
	args_set(a, key, json_string(text));
}

void args_bytes(struct args *a, const char *key, const void *p, size_t n, size_t n_max)
{
	if (n == 0) {
		args_null(a, key);
		return;
	}
	args_want(a, p, key);
	if (a->status)
		return;
	if (n > n_max)
		args_fail(a, detail_fail(ERROR_INVALID_PARAMETER, "%s: longer than %zu bytes", key,
					 n_max));
	else
		args_set(a, key, hex_text(p, n));
}

void args_options(struct args *a, const void *options)
{
	if (options)
		args_record(a, "loginOptions", FORM_A, &record_login_options, options);
	else
		args_null(a, "loginOptions");
}

void args_mapping(struct args *a, enum form form, const void *mapping)
{
	args_record(a, "mapping", form, &record_mapping, mapping);
}

void args_initiator(struct args *a, enum form form, const void *instance, ULONG port)
{
	args_text_or_null(a, "initiatorInstance", form, instance, MAX_ISCSI_HBANAME_LEN - 1, true);
	args_number(a, "initiatorPort", port);
	if (!a->status && port == 0 &&
	    json_is_null(json_object_get(a->params, "initiatorInstance")))
		args_fail(a, detail_fail(ERROR_INVALID_PARAMETER,
					 "initiatorPort: 0; any port is 0xFFFFFFFF"));
}

static bool portal_is_empty(json_t *portal)
{
	return json_string_length(json_object_get(portal, "address")) == 0 &&
	       json_integer_value(json_object_get(portal, "socket")) == 0;
}

static ISDSC_STATUS portal_check(json_t *portal, const char *key)
{
	const char *missing = NULL;

	if (json_string_length(json_object_get(portal, "address")) == 0)
		missing = "address";
	else if (json_integer_value(json_object_get(portal, "socket")) == 0)
		missing = "port";
	return missing ? detail_fail(ERROR_INVALID_PARAMETER, "%s: no %s", key, missing)
		       : ERROR_SUCCESS;
}

void args_portal(struct args *a, const char *key, enum form form, const struct record *rec,
		 const void *portal, bool or_null)
{
	json_t *object;

	if (!portal && or_null) {
		args_null(a, key);
		return;
	}
	args_record(a, key, form, rec, portal);
	if (a->status)
		return;
	object = json_object_get(a->params, key);
	if (or_null && portal_is_empty(object))
		args_null(a, key);
	else
		args_fail(a, portal_check(object, key));
}

/* The portals lie in line behind their number. */
static ISDSC_STATUS portals_read(json_t *list, const char *key, enum form form,
				 const uint8_t *group)
{
	static const uint16_t portals_at[] = {offsetof(ISCSI_TARGET_PORTAL_GROUPA, Portals),
					      offsetof(ISCSI_TARGET_PORTAL_GROUPW, Portals)};
	ULONG n = ulong_get(group);

	if (n > PORTALS_IN_MAX)
		return detail_fail(ERROR_INVALID_PARAMETER, "%s: more than %d", key,
				   PORTALS_IN_MAX);
	for (ULONG i = 0; i < n; i++) {
		const uint8_t *p = group + portals_at[form] + i * record_portal.size[form];
		json_t *portal;
		ISDSC_STATUS status = record_read(form, &record_portal, p, &portal);

		if (status)
			return status;
		if (json_array_append_new(list, portal) < 0)
			return detail_fail(ERROR_NOT_ENOUGH_MEMORY, "No memory for %s", key);
		status = portal_check(portal, key);
		if (status)
			return status;
	}
	return ERROR_SUCCESS;
}

void args_portal_group(struct args *a, const char *key, enum form form, const void *group)
{
	json_t *list;

	if (!group) {
		args_null(a, key);
		return;
	}
	list = json_array();
	args_set(a, key, list);
	if (!a->status)
		args_fail(a, portals_read(list, key, form, group));
}

void args_want(struct args *a, const void *p, const char *what)
{
	if (!a->status && !p)
		args_fail(a, detail_fail(ERROR_INVALID_PARAMETER, "%s: NULL", what));
}

ISDSC_STATUS args_call(struct args *a, const char *method, int timeout_ms, json_t **ret_reply)
{
	json_t *params = TAKE(a->params);

	if (a->status) {
		varlink_wipe(params);
		return a->status;
	}
	return service_call(method, params, timeout_ms, ret_reply);
}
