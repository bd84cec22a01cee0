/* SPDX-License-Identifier: MIT */
/*
 * Methods about RADIUS and iSNS servers
 *
 * Both lists are kept; neither protocol is spoken. An iSNS server would be asked when
 * it is added and when it is to be asked again, so those two calls say that it was not.
 */
#include <errno.h>

#include "service/rpc.h"
#include "service/security.h"

#define RADIUS_ADDRESS_MAX 39 /* bytes: MAX_RADIUS_ADDRESS_LEN has room for two terminators */

static uint32_t add_radius_server(struct rpc *c)
{
	const char *address;

	if (!arg_address(&c->args, "address", false, RADIUS_ADDRESS_MAX, &address))
		return c->why.code;
	return security_add_server(c->m->security, SERVER_RADIUS, address, &c->why);
}

static uint32_t remove_radius_server(struct rpc *c)
{
	const char *address;

	if (!arg_address(&c->args, "address", false, RADIUS_ADDRESS_MAX, &address))
		return c->why.code;
	return security_remove_server(c->m->security, SERVER_RADIUS, address, &c->why);
}

static int append(void *arg, const char *address)
{
	return json_array_append_new(arg, json_string(address)) ? -ENOMEM : 0;
}

static uint32_t list_servers(struct rpc *c, enum server_kind kind)
{
	json_t *v = json_array();
	int r = store_each_server(c->m->store, kind, append, v);

	if (r) {
		json_decref(v);
		return refuse_errno(&c->why, r, "the servers could not be listed");
	}
	return rpc_reply(c, json_pack("{s:o}", "servers", v));
}

static uint32_t list_radius_servers(struct rpc *c)
{
	return list_servers(c, SERVER_RADIUS);
}

/* ---- iSNS ---------------------------------------------------------------------- */

static uint32_t isns_not_asked(struct rpc *c, const char *what)
{
	return refuse(&c->why, WIN_NOT_SUPPORTED,
		      "%s, but this version does not speak iSNS and has not asked it; add the "
		      "targets' portals instead",
		      what);
}

static uint32_t add_isns_server(struct rpc *c)
{
	const char *address;
	uint32_t code;

	if (!arg_address(&c->args, "address", false, ADDRESS_MAX, &address))
		return c->why.code;
	code = security_add_server(c->m->security, SERVER_ISNS, address, &c->why);
	return code ? code : isns_not_asked(c, "the iSNS server is in the list now");
}

static uint32_t remove_isns_server(struct rpc *c)
{
	const char *address;

	if (!arg_address(&c->args, "address", false, ADDRESS_MAX, &address))
		return c->why.code;
	return security_remove_server(c->m->security, SERVER_ISNS, address, &c->why);
}

static uint32_t refresh_isns_server(struct rpc *c)
{
	const char *address;

	if (!arg_address(&c->args, "address", true, ADDRESS_MAX, &address))
		return c->why.code;
	if (address && !security_has_server(c->m->security, SERVER_ISNS, address))
		return refuse(&c->why, ISDSC_ISNS_SERVER_NOT_FOUND,
			      "iSNS server %s is not in the list", address);
	if (!address && security_n_servers(c->m->security, SERVER_ISNS) == 0)
		return 0; /* all of none */
	return isns_not_asked(c, "the iSNS server is in the list");
}

static uint32_t list_isns_servers(struct rpc *c)
{
	return list_servers(c, SERVER_ISNS);
}

const struct rpc_method rpc_server_methods[] = {
	{"AddRadiusServer", true, "address", add_radius_server},
	{"RemoveRadiusServer", true, "address", remove_radius_server},
	{"ListRadiusServers", false, "", list_radius_servers},
	{"AddIsnsServer", true, "address", add_isns_server},
	{"RemoveIsnsServer", true, "address", remove_isns_server},
	{"RefreshIsnsServer", true, "address", refresh_isns_server},
	{"ListIsnsServers", false, "", list_isns_servers},
	{0},
};
