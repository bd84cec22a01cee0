/* SPDX-License-Identifier: MIT */
/*
 * Methods about static targets, about what each mechanism knows of a target, and about
 * the numbers that targets and units have for the system
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/mapping.h"
#include "service/rpc.h"
#include "service/static_target.h"
#include "service/unit.h"

/* ---- AddStaticTarget -------------------------------------------------------------- */

static bool mapping_arg(struct rpc *c, struct static_target *s)
{
	bool there;

	s->mapping = calloc(1, sizeof(*s->mapping));
	if (!s->mapping) {
		refuse_errno(&c->why, -ENOMEM, "the target could not be entered");
		return false;
	}
	if (!arg_mapping(&c->args, "mapping", s->mapping, &there))
		return false;
	if (!there) {
		free(s->mapping);
		s->mapping = NULL;
	}
	return true;
}

static bool group_arg(struct rpc *c, struct static_target *s)
{
	CLEANUP(freep) struct portal *v = NULL;
	size_t n = 0;
	int r;

	if (!arg_portals(&c->args, "portalGroup", &v, &n))
		return false;
	r = static_target_add_group(s, v, n);
	if (r)
		refuse_errno(&c->why, r, "the target could not be entered");
	return r == 0;
}

static uint32_t add_static_target(struct rpc *c)
{
	CLEANUP(static_target_freep) struct static_target *s = calloc(1, sizeof(*s));
	const char *alias;

	if (!s)
		return refuse_errno(&c->why, -ENOMEM, "the target could not be entered");
	if (!arg_target(&c->args, "targetName", s->name) ||
	    !arg_label(&c->args, "targetAlias", LABEL_UNITS, &alias) ||
	    !arg_u32(&c->args, "targetFlags", &s->flags) ||
	    !arg_bool(&c->args, "persist", &s->persist) || !mapping_arg(c, s) ||
	    !arg_options(&c->args, "loginOptions", &s->options, &s->has_options) ||
	    !group_arg(c, s))
		return c->why.code;
	if (s->flags & ~(TARGET_HIDE | TARGET_MERGE))
		return refuse(&c->why, WIN_INVALID_PARAMETER,
			      "target flags 0x%x: only 2 (hide) and 4 (merge) are known", s->flags);
	snprintf(s->alias, sizeof(s->alias), "%s", alias);
	return static_target_add(c->m, TAKE(s), &c->why);
}

static uint32_t remove_static_target(struct rpc *c)
{
	char name[ISCSI_NAME_MAX + 1];

	if (!arg_target(&c->args, "targetName", name))
		return c->why.code;
	return static_target_remove(c->m, name, &c->why);
}

/* ---- what is known ------------------------------------------------------------------ */

static uint32_t unknown_target(struct rpc *c, const char *name)
{
	return refuse(&c->why, ISDSC_TARGET_NOT_FOUND, "target %s is not known", name);
}

static int mechanism_append(void *arg, const char *mechanism)
{
	return json_array_append_new(arg, json_string(mechanism));
}

static uint32_t list_discovery_mechanisms(struct rpc *c)
{
	char name[ISCSI_NAME_MAX + 1];
	json_t *v;
	int r;

	if (!arg_target(&c->args, "targetName", name))
		return c->why.code;
	v = json_array();
	pthread_mutex_lock(&c->m->lock);
	r = target_table_mechanisms(&c->m->targets, name, mechanism_append, v);
	pthread_mutex_unlock(&c->m->lock);
	if (r == -ENOENT) {
		json_decref(v);
		return unknown_target(c, name);
	}
	return rpc_reply(c, json_pack("{s:o}", "mechanisms", v));
}

/* The group of that tag in @groups, made when it is the first of its portals. */
static json_t *group_of(json_t *groups, uint16_t tag)
{
	json_t *one;
	size_t i;

	json_array_foreach(groups, i, one)
	{
		if (json_integer_value(json_object_get(one, "tag")) == tag)
			return json_object_get(one, "portals");
	}
	one = json_pack("{s:i, s:[]}", "tag", (int)tag, "portals");
	return json_array_append_new(groups, one) ? NULL : json_object_get(one, "portals");
}

static json_t *json_of_groups(const struct target_instance *i)
{
	json_t *groups = json_array();

	for (size_t k = 0; k < target_instance_n_portals(i); k++) {
		struct target_portal p;

		target_instance_portal(i, k, &p);
		json_array_append_new(group_of(groups, p.tpgt),
				      json_of_portal(p.symbolic, p.address, p.socket));
	}
	return groups;
}

static json_t *json_of_instance(const struct target_instance *i)
{
	const struct static_target *s = target_instance_static(i);

	return json_pack(
		"{s:i, s:o, s:o, s:s, s:I, s:o?, s:o?}", "protocolType", 0, "targetAlias",
		json_of_foreign(target_instance_alias(i)), "portalGroups", json_of_groups(i),
		"initiatorName", HBA_INSTANCE, "targetFlags", (json_int_t)(s ? s->flags : 0),
		"mapping", s && s->mapping ? json_of_mapping(s->mapping) : json_null(),
		"loginOptions", s && s->has_options ? json_of_options(&s->options) : json_null());
}

static uint32_t get_target_information(struct rpc *c)
{
	const struct target_instance *i = NULL;
	char name[ISCSI_NAME_MAX + 1];
	const char *mechanism;
	json_t *information = NULL;
	int r;

	if (!arg_target(&c->args, "targetName", name) ||
	    !arg_text(&c->args, "discoveryMechanism", false, 4096, &mechanism))
		return c->why.code;
	pthread_mutex_lock(&c->m->lock);
	r = target_table_instance(&c->m->targets, name, mechanism, &i);
	if (r == 0)
		information = json_of_instance(i);
	pthread_mutex_unlock(&c->m->lock);
	if (r == -ENOENT)
		return unknown_target(c, name);
	if (r)
		return refuse(&c->why, ISDSC_DISCOVERY_MECHANISM_NOT_FOUND,
			      "target %s is not known by \"%.300s\"", name, mechanism);
	return rpc_reply(c, json_pack("{s:o}", "information", information));
}

/* ---- ListMappings ---------------------------------------------------------------------- */

static json_t *json_of_numbers(struct session *s)
{
	const struct target_mapping head = {
		.initiator = HBA_INSTANCE,
		.device = PORT_DEVICE,
		.session = s->id,
		.bus = s->os_bus,
		.os_target = s->os_target,
	};
	const struct unit_path *p;
	json_t *j = json_of_mapping(&head), *luns = json_object_get(j, "luns");

	json_object_set_new(j, "targetName", json_string(s->target));
	pthread_mutex_lock(&s->m->lock);
	list_for_each (p, &s->paths, in_session) {
		const struct lun_mapping l = {p->lun, mapping_lun(s->mapping, p->lun)};

		if (p->unit->dev)
			json_array_append_new(luns, json_of_lun_mapping(&l));
	}
	pthread_mutex_unlock(&s->m->lock);
	return j;
}

static uint32_t list_mappings(struct rpc *c)
{
	struct session **v;
	json_t *array;
	size_t n;
	int r = sess_list_all(c->m, &v, &n);

	if (r)
		return refuse_errno(&c->why, r, "the sessions could not be listed");
	array = json_array();
	for (size_t i = 0; i < n; i++) {
		if (!v[i]->informational)
			json_array_append_new(array, json_of_numbers(v[i]));
	}
	sess_put_all(v, n);
	return rpc_reply(c, json_pack("{s:o}", "mappings", array));
}

const struct rpc_method rpc_target_methods[] = {
	{"AddStaticTarget", true,
	 "targetName targetAlias targetFlags persist mapping loginOptions portalGroup",
	 add_static_target},
	{"RemoveStaticTarget", true, "targetName", remove_static_target},
	{"ListDiscoveryMechanisms", false, "targetName", list_discovery_mechanisms},
	{"GetTargetInformation", false, "targetName discoveryMechanism", get_target_information},
	{"ListMappings", false, "", list_mappings},
	{0},
};
