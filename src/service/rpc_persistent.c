/* SPDX-License-Identifier: MIT */
/*
 * Methods about what the service does and waits for at its start
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/bound.h"
#include "service/persistent.h"
#include "service/rpc.h"

static int login_append(void *arg, const struct kept_login *l)
{
	const struct portal *p = &l->portal;
	json_t *j = json_pack(
		"{s:s, s:b, s:s, s:I, s:o, s:I, s:o, s:o}", "targetName", l->target,
		"informational", l->informational, "initiatorInstance", l->instance,
		"initiatorPort", (json_int_t)l->port, "portal",
		l->has_portal ? json_of_portal(p->symbolic, p->address, p->socket) : json_null(),
		"securityFlags", (json_int_t)l->security_flags, "mapping",
		l->has_mapping ? json_of_mapping(&l->mapping) : json_null(), "loginOptions",
		l->has_options ? json_of_options(&l->options) : json_null());

	return json_array_append_new(arg, j) ? -ENOMEM : 0;
}

static uint32_t list_persistent_logins(struct rpc *c)
{
	json_t *v = json_array();
	int r = v ? store_each_login(c->m->store, login_append, v) : -ENOMEM;

	if (r) {
		json_decref(v);
		return refuse_errno(&c->why, r, "the stored logins could not be listed");
	}
	return rpc_reply(c, json_pack("{s:o}", "logins", v));
}

/* A portal without content means every portal, as none does. */
static bool match_portal(struct rpc *c, struct login_match *m)
{
	json_t *j = json_object_get(c->args.obj, "portal"), *address, *socket;

	if (json_is_object(j)) {
		address = json_object_get(j, "address");
		socket = json_object_get(j, "socket");
		if (json_is_string(address) && json_string_length(address) == 0 &&
		    json_integer_value(socket) == 0)
			return true;
	}
	return arg_portal(&c->args, "portal", &m->portal, &m->has_portal);
}

static uint32_t remove_persistent_login(struct rpc *c)
{
	struct login_match match = {0};

	if (!arg_target(&c->args, "targetName", match.target) ||
	    !arg_instance(&c->args, "initiatorInstance", match.instance) ||
	    !arg_port(&c->args, &match.port) || !match_portal(c, &match))
		return c->why.code;
	return persistent_remove(c->m, &match, &c->why);
}

/* ---- bound devices ----------------------------------------------------------------- */

static uint32_t bind_persistent_devices(struct rpc *c)
{
	return bound_scan(c->m, &c->why);
}

static uint32_t add_persistent_device(struct rpc *c)
{
	const char *path;

	if (!arg_text(&c->args, "path", false, PATH_MAX - 1, &path))
		return c->why.code;
	return bound_add(c->m, path, &c->why);
}

static uint32_t remove_persistent_device(struct rpc *c)
{
	const char *path;

	if (!arg_text(&c->args, "path", false, PATH_MAX - 1, &path))
		return c->why.code;
	return bound_remove(c->m, path, &c->why);
}

static uint32_t clear_persistent_devices(struct rpc *c)
{
	return bound_remove_all(c->m, &c->why);
}

static uint32_t list_persistent_devices(struct rpc *c)
{
	struct bound *v = NULL;
	size_t n = 0;
	json_t *array;
	int r = store_load_bound(c->m->store, &v, &n);

	if (r)
		return refuse_errno(&c->why, r, "the devices could not be listed");
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_string(v[i].path));
	bound_free_all(v, n);
	return rpc_reply(c, json_pack("{s:o}", "paths", array));
}

const struct rpc_method rpc_persistent_methods[] = {
	{"ListPersistentLogins", false, "", list_persistent_logins},
	{"RemovePersistentLogin", true, "initiatorInstance initiatorPort targetName portal",
	 remove_persistent_login},
	{"BindPersistentDevices", true, "", bind_persistent_devices},
	{"AddPersistentDevice", true, "path", add_persistent_device},
	{"RemovePersistentDevice", true, "path", remove_persistent_device},
	{"ClearPersistentDevices", true, "", clear_persistent_devices},
	{"ListPersistentDevices", false, "", list_persistent_devices},
	{0},
};
