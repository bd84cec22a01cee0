/* SPDX-License-Identifier: MIT */
/*
 * Methods about sessions
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/connections.h"
#include "service/log.h"
#include "service/removal.h"
#include "service/rpc.h"
#include "service/session.h"

static uint32_t keep_login(struct rpc *c, const struct kept_login *l)
{
	bool known;
	int r;

	pthread_mutex_lock(&c->m->lock);
	known = target_table_find(&c->m->targets, l->target) != NULL;
	pthread_mutex_unlock(&c->m->lock);
	if (!known)
		return refuse(&c->why, ISDSC_TARGET_NOT_FOUND,
			      "target %s is not known; add a portal that tells of it", l->target);
	r = store_put_login(c->m->store, l);
	if (r)
		return refuse(&c->why, ISDSC_COULD_NOT_SAVE_PERSISTENT_LOGIN_DATA,
			      "the login could not be stored: %s", strerror(-r));
	log_info("login to %s stored for the next start", l->target);
	return rpc_reply(c, json_pack("{s:s, s:s}", "sessionId", "0-0", "connectionId", "0-0"));
}

static uint32_t login_now(struct rpc *c, const struct kept_login *l)
{
	char session[ID_TEXT_BYTES], connection[ID_TEXT_BYTES];
	CLEANUP(sess_putp) struct session *s = NULL;
	uint32_t code = sess_open(&s, c->m, l, false, &c->why);
	if (code) {
		log_info("login to %s refused: %s", l->target, c->why.text);
		return code;
	}
	id_text(&s->id, session);
	id_text(&s->connection_id, connection);
	return rpc_reply(c,
			 json_pack("{s:s, s:s}", "sessionId", session, "connectionId", connection));
}

static uint32_t login(struct rpc *c)
{
	struct kept_login l = {0};
	bool persistent;
	uint32_t code;

	if (!arg_target(&c->args, "targetName", l.target) ||
	    !arg_bool(&c->args, "informational", &l.informational) ||
	    !arg_instance(&c->args, "initiatorInstance", l.instance) ||
	    !arg_port(&c->args, &l.port) ||
	    !arg_portal(&c->args, "portal", &l.portal, &l.has_portal) ||
	    !arg_flags(&c->args, "securityFlags", &l.security_flags) ||
	    !arg_options(&c->args, "loginOptions", &l.options, &l.has_options) ||
	    !arg_mapping(&c->args, "mapping", &l.mapping, &l.has_mapping) ||
	    !arg_blob(&c->args, "key", &l.key) || !arg_bool(&c->args, "persistent", &persistent))
		code = c->why.code;
	else
		code = persistent ? keep_login(c, &l) : login_now(c, &l);
	explicit_bzero(&l, sizeof(l));
	return code;
}

static uint32_t end_session(struct rpc *c, uint32_t (*end)(struct session *s, struct refusal *why))
{
	CLEANUP(sess_putp) struct session *s = NULL;
	struct unique_id id;

	if (!arg_session(&c->args, "sessionId", &id, NULL))
		return c->why.code;
	s = sess_find(c->m, &id);
	if (!s)
		return refuse(&c->why, ISDSC_INVALID_SESSION_ID, "there is no such session");
	return end(s, &c->why);
}

static uint32_t logout(struct rpc *c)
{
	return end_session(c, sess_logout);
}

static uint32_t logout_by_force(struct rpc *c)
{
	return end_session(c, sess_force_logout);
}

/* ---- ListSessions ---------------------------------------------------------------- */

const char *rpc_state_name(enum initiator_state state)
{
	switch (state) {
	case INITIATOR_UP: return "up";
	case INITIATOR_VERIFYING: return "verifying";
	default: return "down";
	}
}

/* Clients look for the address they gave: where it means the peer, it is told as it was given. */
static void target_address(const struct portal *asked, const struct tcp_addr *peer, char *buf,
			   size_t n)
{
	struct tcp_addr given;

	if (tcp_literal(asked->address, asked->socket, &given) == 0 && tcp_addr_equal(&given, peer))
		snprintf(buf, n, "%s", asked->address);
	else
		tcp_addr_text(peer, buf, n);
}

static json_t *json_of_connection(struct session *s, const struct initiator_connection *c)
{
	char id[ID_TEXT_BYTES], local[TCP_ADDR_TEXT], peer[ADDRESS_MAX + 1];
	struct portal asked;
	struct unique_id u;

	if (!sess_connection(s, c->number, &u, &asked))
		return NULL;
	id_text(&u, id);
	tcp_addr_text(&c->local, local, sizeof(local));
	target_address(&asked, &c->peer, peer, sizeof(peer));
	return json_pack("{s:s, s:s, s:i, s:s, s:i, s:i}", "id", id, "initiatorAddress", local,
			 "initiatorSocket", tcp_addr_port(&c->local), "targetAddress", peer,
			 "targetSocket", tcp_addr_port(&c->peer), "cid", c->cid);
}

static json_t *json_of_session(struct session *s)
{
	char id[ID_TEXT_BYTES], isid[ISID_TEXT_BYTES];
	struct initiator_status st;
	json_t *connections = json_array();

	sess_status(s, &st);
	id_text(&s->id, id);
	isid_text(s->isid, isid);
	for (unsigned k = 0; k < st.n_connections; k++) {
		if (st.connection[k].state != INITIATOR_CONN_DOWN)
			json_array_append_new(connections,
					      json_of_connection(s, &st.connection[k]));
	}
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:s, s:o, s:o}", "id", id,
			 "initiatorNodeName", s->node_name, "initiatorInstance", HBA_INSTANCE,
			 "targetName", s->target, "isid", isid, "tsih", st.tsih, "informational",
			 s->informational, "state", rpc_state_name(st.state), "portal",
			 json_of_portal(s->portal.symbolic, s->portal.address, s->portal.socket),
			 "connections", connections);
}

static uint32_t list_sessions(struct rpc *c)
{
	struct session **v;
	json_t *array;
	size_t n;
	int r = sess_list_all(c->m, &v, &n);

	if (r)
		return refuse_errno(&c->why, r, "the sessions could not be listed");
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_of_session(v[i]));
	sess_put_all(v, n);
	return rpc_reply(c, json_pack("{s:o}", "sessions", array));
}

const struct rpc_method rpc_session_methods[] = {
	{"Login", true,
	 "targetName informational initiatorInstance initiatorPort portal securityFlags "
	 "loginOptions key persistent mapping",
	 login},
	{"Logout", true, "sessionId", logout},
	{"LogoutByForce", true, "sessionId", logout_by_force},
	{"ListSessions", false, "", list_sessions},
	{0},
};
