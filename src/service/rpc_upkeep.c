/* SPDX-License-Identifier: MIT */
/*
 * Methods that look after sessions: what the target has now, and what was counted
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/connections.h"
#include "service/rpc.h"
#include "service/session.h"
#include "service/unit.h"

#define RESCAN_WAIT_NS (60 * NS_PER_S)
#define RESCAN_LOOK_NS (NS_PER_S / 2) /* is it still connected? */

/* The session of the argument, or all of them, as references. */
static uint32_t sessions_arg(struct rpc *c, struct session ***ret, size_t *ret_n)
{
	CLEANUP(sess_putp) struct session *s = NULL;
	uint32_t code = rpc_session_arg(c, &s, true);
	int r;

	if (code)
		return code;
	if (!s) {
		r = sess_list_all(c->m, ret, ret_n);
		return r ? refuse_errno(&c->why, r, "the sessions could not be listed") : 0;
	}
	*ret = malloc(sizeof(**ret));
	if (!*ret)
		return refuse_errno(&c->why, -ENOMEM, "no room for the session");
	(*ret)[0] = TAKE(s);
	*ret_n = 1;
	return 0;
}

/* ---- RescanSession ---------------------------------------------------------------------- */

static bool has_connection(struct session *s)
{
	struct initiator_status st;

	sess_status(s, &st);
	return st.state == INITIATOR_UP || st.state == INITIATOR_VERIFYING;
}

static uint32_t rescan_refuse(struct rpc *c, const struct session *s, int r)
{
	if (r == -ENOTCONN)
		return refuse(&c->why, ISDSC_OPERATION_NOT_ALL_SUCCESS,
			      "session %s has no connection at the moment; its units are looked "
			      "at when it is back",
			      s->target);
	if (r == -ETIMEDOUT)
		return refuse(&c->why, ISDSC_OPERATION_NOT_ALL_SUCCESS,
			      "session %s: its units were not all asked within %llu s", s->target,
			      (unsigned long long)(RESCAN_WAIT_NS / NS_PER_S));
	return refuse(&c->why, ISDSC_OPERATION_NOT_ALL_SUCCESS,
		      "session %s: some units could not be asked; the log says which", s->target);
}

struct rescan {
	bool asked;
	unsigned number;
};

/* As sess_rescan_wait(); -ENOTCONN when the connection is lost meanwhile. */
static int rescan_wait(struct session *s, unsigned number, uint64_t deadline_ns)
{
	uint64_t until_ns;
	int r;

	do {
		until_ns = clock_now_ns() + RESCAN_LOOK_NS;
		if (until_ns > deadline_ns)
			until_ns = deadline_ns;
		r = sess_rescan_wait(s, number, until_ns);
		if (r == -ETIMEDOUT && !has_connection(s))
			return -ENOTCONN;
	} while (r == -ETIMEDOUT && until_ns < deadline_ns);
	return r;
}

/* All at once, then each is waited for. A session that ends meanwhile has nothing to tell. */
static uint32_t rescan_all(struct rpc *c, struct session **v, struct rescan *rescans, size_t n)
{
	uint64_t deadline_ns = clock_now_ns() + RESCAN_WAIT_NS;
	uint32_t code = 0;

	for (size_t i = 0; i < n; i++) {
		rescans[i].asked = !v[i]->informational && has_connection(v[i]);
		if (rescans[i].asked)
			rescans[i].number = sess_rescan(v[i]);
	}
	for (size_t i = 0; i < n; i++) {
		int r = v[i]->informational ? 0 : -ENOTCONN;

		if (rescans[i].asked)
			r = rescan_wait(v[i], rescans[i].number, deadline_ns);
		if (r && r != -ENODEV)
			code = rescan_refuse(c, v[i], r);
	}
	return code;
}

static uint32_t rescan_session(struct rpc *c)
{
	CLEANUP(freep) struct rescan *rescans = NULL;
	struct session **v;
	size_t n;
	uint32_t code = sessions_arg(c, &v, &n);

	if (code)
		return code;
	rescans = calloc(n + 1, sizeof(*rescans));
	code = rescans ? rescan_all(c, v, rescans, n)
		       : refuse_errno(&c->why, -ENOMEM, "no room for the sessions");
	sess_put_all(v, n);
	return code;
}

/* ---- GetStatistics ---------------------------------------------------------------------- */

struct unit_counts {
	uint64_t lun;
	struct lu_stats stats;
};

/* What the reactor has counted; it fills room that is there and makes none. */
struct counts {
	struct session *s;
	struct iscsi_stats session;
	struct initiator_status status;
	size_t n_units, n_room;
	struct unit_counts *units;
};

static void count_on_loop(void *arg)
{
	struct counts *c = arg;
	struct session *s = c->s;
	const struct unit_path *p;

	c->session = *initiator_stats(s->initiator);
	initiator_get_status(s->initiator, &c->status);
	pthread_mutex_lock(&s->m->lock);
	list_for_each (p, &s->paths, in_session) {
		if (!p->unit->lu || p->unit->loop != s->loop || c->n_units == c->n_room)
			continue;
		c->units[c->n_units].lun = p->lun;
		lu_get_stats(p->unit->lu, &c->units[c->n_units++].stats);
	}
	pthread_mutex_unlock(&s->m->lock);
}

static size_t n_paths(struct session *s)
{
	const struct unit_path *p;
	size_t n = 0;

	pthread_mutex_lock(&s->m->lock);
	list_for_each (p, &s->paths, in_session)
		n++;
	pthread_mutex_unlock(&s->m->lock);
	return n;
}

static json_t *json_of_count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *json_of_unit_counts(const struct unit_path *p, const struct lu_stats *n)
{
	const struct unit *u = p->unit;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "lun",
			 json_sprintf("%016llx", (unsigned long long)p->lun), "legacyName",
			 json_of_foreign(u->dev ? unit_name_for_open(u) : ""), "reads",
			 json_of_count(n->n_reads), "writes", json_of_count(n->n_writes), "flushes",
			 json_of_count(n->n_flushes), "discards", json_of_count(n->n_discards),
			 "readBytes", json_of_count(n->read_bytes), "writeBytes",
			 json_of_count(n->write_bytes), "errors", json_of_count(n->n_errors),
			 "retries", json_of_count(n->n_retries));
}

/* A unit that went or came since it was counted is left out. */
static json_t *json_of_units(struct counts *c)
{
	json_t *array = json_array();
	const struct unit_path *p;
	size_t i = 0;

	pthread_mutex_lock(&c->s->m->lock);
	list_for_each (p, &c->s->paths, in_session) {
		while (i < c->n_units && c->units[i].lun < p->lun)
			i++;
		if (i < c->n_units && c->units[i].lun == p->lun)
			json_array_append_new(array, json_of_unit_counts(p, &c->units[i].stats));
	}
	pthread_mutex_unlock(&c->s->m->lock);
	return array;
}

static json_t *json_of_connections(struct counts *c)
{
	const struct initiator_status *st = &c->status;
	json_t *array = json_array();
	char id[ID_TEXT_BYTES];
	struct portal asked;
	struct unique_id u;

	for (unsigned k = 0; k < st->n_connections; k++) {
		const struct initiator_connection *conn = &st->connection[k];

		if (conn->state == INITIATOR_CONN_DOWN ||
		    !sess_connection(c->s, conn->number, &u, &asked))
			continue;
		id_text(&u, id);
		json_array_append_new(array, json_pack("{s:s, s:o}", "id", id, "bytesPerSecond",
						       json_of_count(conn->bytes_per_second)));
	}
	return array;
}

static json_t *json_of_counts(struct counts *c)
{
	const struct iscsi_stats *n = &c->session;
	char id[ID_TEXT_BYTES];
	json_t *j;

	id_text(&c->s->id, id);
	j = json_pack("{s:s, s:s, s:s, s:o, s:i}", "id", id, "targetName", c->s->target, "state",
		      rpc_state_name(c->status.state), "reconnects",
		      json_of_count(c->status.n_reconnects), "commandsNow",
		      (int)c->status.n_commands);
	json_object_set_new(j, "commands", json_of_count(n->n_tasks));
	json_object_set_new(j, "receivedBytes", json_of_count(n->rx_bytes));
	json_object_set_new(j, "sentBytes", json_of_count(n->tx_bytes));
	json_object_set_new(j, "receivedPdus", json_of_count(n->n_rx_pdus));
	json_object_set_new(j, "sentPdus", json_of_count(n->n_tx_pdus));
	json_object_set_new(j, "connectionsLost", json_of_count(n->n_conn_lost));
	json_object_set_new(j, "digestErrors", json_of_count(n->n_digest_errors));
	json_object_set_new(j, "protocolErrors", json_of_count(n->n_protocol_errors));
	json_object_set_new(j, "timeouts", json_of_count(n->n_timeouts));
	json_object_set_new(j, "snacks", json_of_count(n->n_snacks));
	json_object_set_new(j, "retries", json_of_count(n->n_retries));
	json_object_set_new(j, "reassigned", json_of_count(n->n_reassigned));
	json_object_set_new(j, "connections", json_of_connections(c));
	json_object_set_new(j, "devices", json_of_units(c));
	return j;
}

static json_t *json_of_statistics(struct session *s)
{
	CLEANUP(freep) struct unit_counts *units = NULL;
	struct counts c = {.s = s, .n_room = n_paths(s)};

	units = calloc(c.n_room + 1, sizeof(*units));
	if (!units)
		return NULL;
	c.units = units;
	loop_call(s->loop, count_on_loop, &c);
	return json_of_counts(&c);
}

static uint32_t get_statistics(struct rpc *c)
{
	struct session **v;
	json_t *array;
	size_t n;
	uint32_t code = sessions_arg(c, &v, &n);

	if (code)
		return code;
	array = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_of_statistics(v[i]));
	sess_put_all(v, n);
	return rpc_reply(c, json_pack("{s:o}", "sessions", array));
}

const struct rpc_method rpc_upkeep_methods[] = {
	{"RescanSession", true, "sessionId", rescan_session},
	{"GetStatistics", false, "sessionId", get_statistics},
	{0},
};
