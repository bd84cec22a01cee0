/* SPDX-License-Identifier: MIT */
/*
 * Methods about secrets, IKE and tunnels
 */
#include <stdio.h>
#include <string.h>

#include "service/rpc.h"
#include "service/security.h"

static uint32_t set_secret(struct rpc *c,
			   uint32_t (*set)(struct security *s, const struct blob *secret,
					   struct refusal *why))
{
	struct blob secret = {0};
	uint32_t code;

	if (arg_blob(&c->args, "secret", &secret))
		code = set(c->m->security, &secret, &c->why);
	else
		code = c->why.code;
	explicit_bzero(&secret, sizeof(secret));
	return code;
}

static uint32_t set_chap_secret(struct rpc *c)
{
	return set_secret(c, security_set_chap);
}

static uint32_t set_radius_secret(struct rpc *c)
{
	return set_secret(c, security_set_radius);
}

static uint32_t set_group_key(struct rpc *c)
{
	struct blob key = {0};
	uint32_t code;
	bool persist;

	if (arg_blob(&c->args, "key", &key) && arg_bool(&c->args, "persist", &persist))
		code = security_set_group_key(c->m->security, &key, persist, &c->why);
	else
		code = c->why.code;
	explicit_bzero(&key, sizeof(key));
	return code;
}

/* ---- IKE ---------------------------------------------------------------------- */

/* What both calls have: of whom they speak. */
static bool ike_args(struct rpc *c, struct ike_info *i)
{
	struct args in = {json_object_get(c->args.obj, "identity"), &c->why};
	char instance[INSTANCE_MAX + 1];
	uint32_t method;

	/* there is one initiator: named or not, it is the same */
	if (!arg_instance(&c->args, "initiatorInstance", instance) ||
	    !arg_port(&c->args, &i->port) || !arg_u32(&c->args, "authMethod", &method))
		return false;
	if (method != 1) {
		refuse(&c->why, ISDSC_REQUEST_NOT_SUPPORTED,
		       "IKE authentication method %u; the only one is 1, a preshared key", method);
		return false;
	}
	if (!json_is_object(in.obj)) {
		refuse(&c->why, WIN_INVALID_PARAMETER, "parameter \"identity\" %s",
		       in.obj ? "must be an object" : "is missing");
		return false;
	}
	return args_known(&in, "idType id") && arg_u32(&in, "idType", &i->id_type) &&
	       arg_blob(&in, "id", &i->id);
}

static uint32_t set_ike_info(struct rpc *c)
{
	struct ike_info i = {0};
	uint32_t code;
	bool persist;

	if (ike_args(c, &i) && arg_flags(&c->args, "securityFlags", &i.security_flags) &&
	    arg_blob(&c->args, "key", &i.key) && arg_bool(&c->args, "persist", &persist))
		code = security_set_ike(c->m->security, &i, persist, &c->why);
	else
		code = c->why.code;
	explicit_bzero(&i, sizeof(i));
	return code;
}

static uint32_t get_ike_info(struct rpc *c)
{
	struct ike_info i = {0};
	uint64_t flags = 0;
	uint32_t code;

	if (!ike_args(c, &i))
		return c->why.code;
	code = security_get_ike(c->m->security, &i, &flags, &c->why);
	return code ? code : rpc_reply(c, json_pack("{s:I}", "securityFlags", (json_int_t)flags));
}

/* ---- tunnels ---------------------------------------------------------------------- */

static uint32_t set_tunnel_address(struct rpc *c)
{
	char instance[INSTANCE_MAX + 1];
	struct tunnel_address t = {0};
	const char *destination, *outer;
	bool persist;

	if (!arg_instance(&c->args, "initiatorInstance", instance) ||
	    !arg_port(&c->args, &t.port) ||
	    !arg_address(&c->args, "destinationAddress", true, ADDRESS_MAX, &destination) ||
	    !arg_address(&c->args, "outerAddress", true, ADDRESS_MAX, &outer) ||
	    !arg_bool(&c->args, "persist", &persist))
		return c->why.code;
	snprintf(t.destination, sizeof(t.destination), "%s", destination ? destination : "");
	snprintf(t.outer, sizeof(t.outer), "%s", outer ? outer : "");
	return security_set_tunnel(c->m->security, &t, persist, &c->why);
}

const struct rpc_method rpc_security_methods[] = {
	{"SetChapSecret", true, "secret", set_chap_secret},
	{"SetRadiusSecret", true, "secret", set_radius_secret},
	{"SetGroupKey", true, "key persist", set_group_key},
	{"SetIkeInfo", true,
	 "initiatorInstance initiatorPort authMethod identity securityFlags key persist",
	 set_ike_info},
	{"GetIkeInfo", false, "initiatorInstance initiatorPort authMethod identity", get_ike_info},
	{"SetTunnelAddress", true,
	 "initiatorInstance initiatorPort destinationAddress outerAddress persist",
	 set_tunnel_address},
	{0},
};
