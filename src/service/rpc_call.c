/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "service/log.h"
#include "service/rpc.h"

#define SEND_TIMEOUT_MS 10000
#define SERVICE         "org.varlink.service"

uint32_t rpc_reply(struct rpc *c, json_t *reply)
{
	if (!reply)
		return refuse(&c->why, WIN_NOT_ENOUGH_MEMORY, "out of memory");
	c->reply = reply;
	return 0;
}

/* Served elsewhere when all is as it must be. */
static uint32_t subscribe(struct rpc *c)
{
	return refuse(&c->why, ISDSC_REQUEST_NOT_SUPPORTED, "Subscribe is a call with \"more\"");
}

static const struct rpc_method rpc_event_methods[] = {{"Subscribe", false, "", subscribe}, {0}};

static const struct rpc_method *method_find(const char *name)
{
	const struct rpc_method *const tables[] = {
		rpc_node_methods,   rpc_session_methods,    rpc_connection_methods,
		rpc_device_methods, rpc_security_methods,   rpc_server_methods,
		rpc_target_methods, rpc_persistent_methods, rpc_event_methods,
		rpc_upkeep_methods,
	};

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (const struct rpc_method *m = tables[t]; m->name; m++) {
			if (strcmp(m->name, name) == 0)
				return m;
		}
	}
	return NULL;
}

static uint32_t method_run(struct rpc *c, const struct rpc_method *m, enum rpc_rights rights)
{
	if (rights < (m->changes ? RPC_MAY_CHANGE : RPC_MAY_READ))
		return refuse(&c->why, WIN_ACCESS_DENIED,
			      "only root, the service's user and the socket's group may do this");
	if (!args_known(&c->args, m->params))
		return c->why.code;
	return m->run(c);
}

static json_t *status_of_refusal(const struct refusal *why)
{
	char number[16];
	const char *name = status_name(why->code);

	snprintf(number, sizeof(number), "0x%08X", why->code);
	return json_pack("{s:I, s:s, s:o, s:o}", "code", (json_int_t)why->code, "name",
			 name ? name : number, "text",
			 json_of_foreign(why->text[0] ? why->text : status_text(why->code)),
			 "holders", json_of_holders(&why->holders));
}

int rpc_refuse(struct varlink_conn *conn, uint32_t code, const char *text)
{
	struct refusal why = {0};

	refuse(&why, code, "%s", text);
	return varlink_error(conn, VARLINK_INTERFACE ".Status", status_of_refusal(&why),
			     SEND_TIMEOUT_MS);
}

bool rpc_wants_events(const struct varlink_request *req)
{
	return req->more && !req->oneway && json_object_size(req->params) == 0 &&
	       strcmp(req->method, VARLINK_INTERFACE ".Subscribe") == 0;
}

static int answer_ours(struct manager *m, struct varlink_conn *conn, enum rpc_rights rights,
		       const struct varlink_request *req, const char *name)
{
	const struct rpc_method *method = method_find(name);
	struct rpc c = {.m = m, .may_change = rights == RPC_MAY_CHANGE};
	uint32_t code;
	int r = 0;

	if (!method)
		return varlink_error(conn, SERVICE ".MethodNotFound",
				     json_pack("{s:s}", "method", req->method), SEND_TIMEOUT_MS);
	if (method == rpc_event_methods && !req->more)
		return varlink_error(conn, SERVICE ".ExpectedMore", NULL, SEND_TIMEOUT_MS);
	c.args = (struct args){req->params, &c.why};
	code = method_run(&c, method, rights);
	if (code) {
		json_decref(c.reply);
		c.why.code = code;
		log_debug("%s: 0x%08X %s", name, code, c.why.text);
		if (!req->oneway)
			r = varlink_error(conn, VARLINK_INTERFACE ".Status",
					  status_of_refusal(&c.why), SEND_TIMEOUT_MS);
	} else if (req->oneway) {
		json_decref(c.reply);
	} else {
		r = varlink_reply(conn, c.reply, false, SEND_TIMEOUT_MS);
	}
	refusal_clear(&c.why);
	return r;
}

static int answer_description(struct varlink_conn *conn, const struct varlink_request *req)
{
	json_t *j = json_object_get(req->params, "interface");

	if (!json_is_string(j))
		return varlink_error(conn, SERVICE ".InvalidParameter",
				     json_pack("{s:s}", "parameter", "interface"), SEND_TIMEOUT_MS);
	if (strcmp(json_string_value(j), VARLINK_INTERFACE) != 0)
		return varlink_error(conn, SERVICE ".InterfaceNotFound",
				     json_pack("{s:O}", "interface", j), SEND_TIMEOUT_MS);
	return varlink_reply(conn, json_pack("{s:s}", "description", interface_description), false,
			     SEND_TIMEOUT_MS);
}

/* What every varlink service has. */
static int answer_service(struct varlink_conn *conn, const struct varlink_request *req,
			  const char *name)
{
	if (strcmp(name, "GetInfo") == 0)
		return varlink_reply(conn,
				     json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor",
					       "iscsidsc", "product", "iscsidscd", "version",
					       ISCSIDSC_VERSION, "url", "", "interfaces", SERVICE,
					       VARLINK_INTERFACE),
				     false, SEND_TIMEOUT_MS);
	if (strcmp(name, "GetInterfaceDescription") == 0)
		return answer_description(conn, req);
	return varlink_error(conn, SERVICE ".MethodNotFound",
			     json_pack("{s:s}", "method", req->method), SEND_TIMEOUT_MS);
}

int rpc_answer(struct manager *m, struct varlink_conn *conn, enum rpc_rights rights,
	       const struct varlink_request *req)
{
	static const char ours[] = VARLINK_INTERFACE ".", service[] = SERVICE ".";
	const char *dot = strrchr(req->method, '.');

	if (strncmp(req->method, ours, sizeof(ours) - 1) == 0)
		return answer_ours(m, conn, rights, req, req->method + sizeof(ours) - 1);
	if (strncmp(req->method, service, sizeof(service) - 1) == 0)
		return answer_service(conn, req, req->method + sizeof(service) - 1);
	return varlink_error(conn, SERVICE ".InterfaceNotFound",
			     json_pack("{s:s%}", "interface", req->method,
				       dot ? (size_t)(dot - req->method) : strlen(req->method)),
			     SEND_TIMEOUT_MS);
}
