/* SPDX-License-Identifier: MIT */
/*
 * Methods about the node, its portals and the targets they tell of
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/portal.h"
#include "service/rpc.h"
#include "service/security.h"

#define VERSION_MAJOR 10 /* of the API, as clients expect it */
#define VERSION_MINOR 0

static uint32_t get_version(struct rpc *c)
{
	return rpc_reply(c, json_pack("{s:i, s:i, s:i, s:s}", "major", VERSION_MAJOR, "minor",
				      VERSION_MINOR, "build", ISCSIDSC_BUILD, "product",
				      "iscsidsc " ISCSIDSC_VERSION));
}

static uint32_t get_node_name(struct rpc *c)
{
	char name[ISCSI_NAME_MAX + 1];

	manager_get_node_name(c->m, name);
	return rpc_reply(c, json_pack("{s:s}", "name", name));
}

static uint32_t set_node_name(struct rpc *c)
{
	const char *name;

	if (!arg_text(&c->args, "name", true, 4096, &name))
		return c->why.code;
	return manager_set_node_name(c->m, name, &c->why);
}

static uint32_t list_initiators(struct rpc *c)
{
	return rpc_reply(c, json_pack("{s:[s]}", "initiators", HBA_INSTANCE));
}

static bool portal_args(struct rpc *c, struct send_target_portal *p)
{
	*p = (struct send_target_portal){0};
	return arg_instance(&c->args, "initiatorInstance", p->instance) &&
	       arg_port(&c->args, &p->port) && arg_portal(&c->args, "portal", &p->portal, NULL);
}

static uint32_t add_send_target_portal(struct rpc *c)
{
	struct send_target_portal p;
	uint32_t code;

	if (!portal_args(c, &p) || !arg_flags(&c->args, "securityFlags", &p.security_flags) ||
	    !arg_options(&c->args, "loginOptions", &p.options, NULL))
		return c->why.code;
	code = portal_add(c->m, &p, &c->why);
	explicit_bzero(&p, sizeof(p));
	return code;
}

static uint32_t remove_send_target_portal(struct rpc *c)
{
	struct send_target_portal p;

	return portal_args(c, &p) ? portal_remove(c->m, &p, &c->why) : c->why.code;
}

static uint32_t refresh_send_target_portal(struct rpc *c)
{
	struct send_target_portal p;

	return portal_args(c, &p) ? portal_refresh(c->m, &p, &c->why) : c->why.code;
}

static uint32_t list_send_target_portals(struct rpc *c)
{
	json_t *v = json_array();
	struct known_portal *k;

	pthread_mutex_lock(&c->m->lock);
	list_for_each (k, &c->m->portals, node)
		json_array_append_new(
			v, json_pack("{s:s, s:I, s:o, s:I, s:o}", "initiatorName", k->p.instance,
				     "initiatorPort", (json_int_t)k->p.port, "portal",
				     json_of_portal(k->p.portal.symbolic, k->p.portal.address,
						    k->p.portal.socket),
				     "securityFlags", (json_int_t)k->p.security_flags,
				     "loginOptions", json_of_options(&k->p.options)));
	pthread_mutex_unlock(&c->m->lock);
	return rpc_reply(c, json_pack("{s:o}", "portals", v));
}

static int name_append(void *arg, const char *name)
{
	return json_array_append_new(arg, json_string(name));
}

static uint32_t list_targets(struct rpc *c)
{
	uint32_t status = 0;
	json_t *v;
	bool force;

	if (!arg_bool(&c->args, "forceUpdate", &force))
		return c->why.code;
	if (force && !c->may_change)
		return refuse(&c->why, WIN_ACCESS_DENIED,
			      "only root, the service's user and the socket's group may ask the "
			      "portals again");
	if (force)
		status = portal_refresh_all(c->m, c->m->config->refresh_timeout_ns);
	/* they would be asked, too */
	if (force && status == 0 && security_n_servers(c->m->security, SERVER_ISNS) > 0)
		status = ISDSC_OPERATION_NOT_ALL_SUCCESS;
	v = json_array();
	pthread_mutex_lock(&c->m->lock);
	target_table_each(&c->m->targets, name_append, v);
	pthread_mutex_unlock(&c->m->lock);
	return rpc_reply(c, json_pack("{s:o, s:I}", "targets", v, "status", (json_int_t)status));
}

static uint32_t list_target_portals(struct rpc *c)
{
	char instance[INSTANCE_MAX + 1], target[ISCSI_NAME_MAX + 1];
	CLEANUP(freep) struct target_portal *v = NULL;
	uint64_t group = 0;
	size_t n = 0;
	json_t *array;
	int r;
	bool all = json_is_null(json_object_get(c->args.obj, "portalGroup")) ||
		   !json_object_get(c->args.obj, "portalGroup");

	if (!arg_instance(&c->args, "initiatorInstance", instance) ||
	    !arg_target(&c->args, "targetName", target) ||
	    (!all && !arg_int(&c->args, "portalGroup", 0, UINT16_MAX, &group)))
		return c->why.code;
	pthread_mutex_lock(&c->m->lock);
	r = target_table_portals(&c->m->targets, target, all ? -1 : (int)group, &v, &n);
	pthread_mutex_unlock(&c->m->lock);
	if (r == -ENOENT)
		return refuse(&c->why, ISDSC_TARGET_NOT_FOUND, "target %s is not known", target);
	if (r)
		return refuse_errno(&c->why, r, "the portals could not be listed");
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			array, json_pack("{s:o, s:i}", "portal",
					 json_of_portal(v[i].symbolic, v[i].address, v[i].socket),
					 "portalGroup", v[i].tpgt));
	return rpc_reply(c, json_pack("{s:o}", "portals", array));
}

const struct rpc_method rpc_node_methods[] = {
	{"GetVersion", false, "", get_version},
	{"GetNodeName", false, "", get_node_name},
	{"SetNodeName", true, "name", set_node_name},
	{"ListInitiators", false, "", list_initiators},
	{"AddSendTargetPortal", true,
	 "initiatorInstance initiatorPort loginOptions securityFlags portal",
	 add_send_target_portal},
	{"RemoveSendTargetPortal", true, "initiatorInstance initiatorPort portal",
	 remove_send_target_portal},
	{"RefreshSendTargetPortal", true, "initiatorInstance initiatorPort portal",
	 refresh_send_target_portal},
	{"ListSendTargetPortals", false, "", list_send_target_portals},
	{"ListTargets", false, "forceUpdate", list_targets},
	{"ListTargetPortals", false, "initiatorInstance targetName portalGroup",
	 list_target_portals},
	{0},
};
