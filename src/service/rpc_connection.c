/* SPDX-License-Identifier: MIT */
/*
 * Methods about the connections of a session, and what was negotiated
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/connections.h"
#include "service/rpc.h"

/* Values of the Windows API (ISCSI_SESSION_INFO_EX, ISCSI_CONNECTION_INFO_EX). */
enum {
	SESSION_INFORMATIONAL = 1,
	SESSION_DATA = 2,
	CONNECTION_FULL_FEATURE = 1,
	CONNECTION_LOGOUT = 2,
	PROTOCOL_TCP = 6,
};

static json_t *json_of_connection_parameters(struct session *s,
					     const struct initiator_connection *c)
{
	char id[ID_TEXT_BYTES];
	struct portal asked;
	struct unique_id u;

	if (!sess_connection(s, c->number, &u, &asked))
		return NULL;
	id_text(&u, id);
	return json_pack(
		"{s:s, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "id", id, "state",
		c->state == INITIATOR_CONN_LOGOUT ? CONNECTION_LOGOUT : CONNECTION_FULL_FEATURE,
		"protocol", PROTOCOL_TCP, "headerDigest", c->header_digest == ISCSI_DIGEST_CRC32C,
		"dataDigest", c->data_digest == ISCSI_DIGEST_CRC32C, "maxRecvDataSegmentLength",
		(json_int_t)c->max_recv_segment, "authType", (json_int_t)s->auth_type,
		"estimatedThroughput", (json_int_t)c->bytes_per_second, "maxDatagramSize",
		(json_int_t)c->mss);
}

static json_t *json_of_parameters(struct session *s)
{
	char id[ID_TEXT_BYTES];
	struct initiator_status st;
	const struct iscsi_params *p = &st.params;
	json_t *j, *connections = json_array();

	sess_status(s, &st);
	id_text(&s->id, id);
	for (unsigned k = 0; k < st.n_connections; k++) {
		if (st.connection[k].state != INITIATOR_CONN_DOWN)
			json_array_append_new(connections,
					      json_of_connection_parameters(s, &st.connection[k]));
	}
	j = json_pack("{s:s, s:b, s:b, s:i, s:b, s:b, s:i, s:o}", "id", id, "initialR2T",
		      (int)p->InitialR2T, "immediateData", (int)p->ImmediateData, "type",
		      s->informational ? SESSION_INFORMATIONAL : SESSION_DATA,
		      "dataSequenceInOrder", (int)p->DataSequenceInOrder, "dataPduInOrder",
		      (int)p->DataPDUInOrder, "errorRecoveryLevel", (int)p->ErrorRecoveryLevel,
		      "connections", connections);
	json_object_set_new(j, "maxOutstandingR2T", json_integer(p->MaxOutstandingR2T));
	json_object_set_new(j, "firstBurstLength", json_integer(p->FirstBurstLength));
	json_object_set_new(j, "maxBurstLength", json_integer(p->MaxBurstLength));
	json_object_set_new(j, "maximumConnections", json_integer(p->MaxConnections));
	return j;
}

static uint32_t list_session_parameters(struct rpc *c)
{
	struct session **v;
	json_t *array;
	size_t n;
	int r = sess_list_all(c->m, &v, &n);

	if (r)
		return refuse_errno(&c->why, r, "the sessions could not be listed");
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_of_parameters(v[i]));
	sess_put_all(v, n);
	return rpc_reply(c, json_pack("{s:o}", "sessions", array));
}

/* ---- adding, removing -------------------------------------------------------------- */

static uint32_t add_connection(struct rpc *c)
{
	CLEANUP(sess_putp) struct session *s = NULL;
	struct new_connection how = {0};
	char text[ID_TEXT_BYTES];
	struct unique_id id;
	uint32_t code = 0;

	if (!arg_session(&c->args, "sessionId", &id, NULL) || !arg_port(&c->args, &how.port) ||
	    !arg_portal(&c->args, "portal", &how.portal, &how.has_portal) ||
	    !arg_flags(&c->args, "securityFlags", &how.security_flags) ||
	    !arg_options(&c->args, "loginOptions", &how.options, &how.has_options) ||
	    !arg_blob(&c->args, "key", &how.key))
		code = c->why.code;
	if (code == 0) {
		s = sess_find(c->m, &id);
		code = s ? sess_add_connection(s, &how, &id, &c->why)
			 : refuse(&c->why, ISDSC_INVALID_SESSION_ID, "there is no such session");
	}
	explicit_bzero(&how, sizeof(how));
	if (code)
		return code;
	id_text(&id, text);
	return rpc_reply(c, json_pack("{s:s}", "connectionId", text));
}

static uint32_t remove_connection(struct rpc *c)
{
	CLEANUP(sess_putp) struct session *s = NULL;
	struct unique_id id, connection;

	if (!arg_session(&c->args, "sessionId", &id, NULL) ||
	    !arg_connection(&c->args, "connectionId", &connection))
		return c->why.code;
	s = sess_find(c->m, &id);
	if (!s)
		return refuse(&c->why, ISDSC_INVALID_SESSION_ID, "there is no such session");
	return sess_remove_connection(s, &connection, &c->why);
}

const struct rpc_method rpc_connection_methods[] = {
	{"AddConnection", true, "sessionId initiatorPort portal securityFlags loginOptions key",
	 add_connection},
	{"RemoveConnection", true, "sessionId connectionId", remove_connection},
	{"ListSessionParameters", false, "", list_session_parameters},
	{0},
};
