/* SPDX-License-Identifier: MIT */
/*
 * The leading connection is the session's own (session->connection_id); the list has
 * the further ones. A connection enters it on the reactor, in the same moment in which
 * the initiator begins to bring it up, so that whatever is told of it finds it there.
 */
#include "service/connections.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "service/addresses.h"
#include "service/log.h"
#include "service/portal.h"

#define LEADING      1
#define CHANGE_GUARD (30 * NS_PER_S) /* beyond what the initiator promises */

/* ---- which there are -------------------------------------------------------------- */

/* session->lock */
static struct connection *connection_numbered(struct session *s, unsigned number)
{
	struct connection *c;

	list_for_each (c, &s->connections, node) {
		if (c->number == number)
			return c;
	}
	return NULL;
}

bool sess_connection(struct session *s, unsigned number, struct unique_id *ret_id,
		     struct portal *ret_portal)
{
	const struct connection *c;

	if (number == LEADING) {
		*ret_id = s->connection_id;
		*ret_portal = s->portal;
		return true;
	}
	pthread_mutex_lock(&s->lock);
	c = connection_numbered(s, number);
	if (c) {
		*ret_id = c->id;
		*ret_portal = c->portal;
	}
	pthread_mutex_unlock(&s->lock);
	return c != NULL;
}

static bool is_id(const struct unique_id *a, const struct unique_id *b)
{
	return a->adapter == b->adapter && a->specific == b->specific;
}

/* 0: there is none. */
static unsigned number_of_id(struct session *s, const struct unique_id *id)
{
	struct connection *c;
	unsigned number = 0;

	if (is_id(id, &s->connection_id))
		return LEADING;
	pthread_mutex_lock(&s->lock);
	list_for_each (c, &s->connections, node) {
		if (is_id(id, &c->id))
			number = c->number;
	}
	pthread_mutex_unlock(&s->lock);
	return number;
}

static void connection_drop(struct session *s, unsigned number)
{
	struct connection *c;

	pthread_mutex_lock(&s->lock);
	c = connection_numbered(s, number);
	if (c)
		list_remove(&c->node);
	pthread_mutex_unlock(&s->lock);
	free(c);
}

void sess_forget_connections(struct session *s)
{
	struct connection *c, *tmp;

	list_for_each_safe (c, tmp, &s->connections, node) {
		list_remove(&c->node);
		free(c);
	}
}

/* ---- a change, and the wait for its end --------------------------------------------- */

struct change {
	struct initiator_change c;
	struct session *s;
	struct initiator_connection_cfg cfg;
	struct connection *connection; /* to be added: the list's when it began */
	unsigned number;               /* to be removed */
	int r;                         /* what the initiator said to the wish */
	bool done;                     /* session->lock */
};

static void change_done(struct initiator_change *c)
{
	struct change *x = CONTAINER_OF(c, struct change, c);

	pthread_mutex_lock(&x->s->lock);
	x->done = true;
	pthread_cond_broadcast(&x->s->changed);
	pthread_mutex_unlock(&x->s->lock);
}

static void add_on_loop(void *arg)
{
	struct change *x = arg;
	struct session *s = x->s;

	x->r = s->gone ? -ENOTCONN : initiator_add_connection(s->initiator, &x->cfg, &x->c);
	if (x->r)
		return;
	x->connection->number = x->c.number;
	pthread_mutex_lock(&s->lock);
	list_append(&s->connections, &x->connection->node);
	pthread_mutex_unlock(&s->lock);
}

static void remove_on_loop(void *arg)
{
	struct change *x = arg;
	struct session *s = x->s;

	x->r = s->gone ? -ENOTCONN : initiator_remove_connection(s->initiator, x->number, &x->c);
}

/* The initiator bounds both; until it is done it has our memory. */
static void change_wait(struct change *x, uint64_t bound_ns)
{
	uint64_t deadline_ns = clock_now_ns() + bound_ns + CHANGE_GUARD;
	struct session *s = x->s;

	pthread_mutex_lock(&s->lock);
	while (!x->done) {
		if (cond_wait_until(&s->changed, &s->lock, deadline_ns) != -ETIMEDOUT || x->done)
			continue;
		log_error("session %s: waiting for a connection for longer than it can take",
			  s->target);
		deadline_ns = clock_now_ns() + CHANGE_GUARD;
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- adding -------------------------------------------------------------------------- */

static void offer_digests(struct initiator_connection_cfg *cfg, const struct new_connection *how)
{
	const struct login_options *o = &how->options;

	cfg->has_header_digest = o->specified & OPT_HEADER_DIGEST;
	cfg->has_data_digest = o->specified & OPT_DATA_DIGEST;
	cfg->header_digest = o->header_digest ? ISCSI_OFFER_CRC32C : ISCSI_OFFER_NONE;
	cfg->data_digest = o->data_digest ? ISCSI_OFFER_CRC32C : ISCSI_OFFER_NONE;
}

struct auth_call {
	const struct session *s;
	const struct blob *name, *secret; /* NULL: the session's */
	bool same;
};

static void auth_on_loop(void *arg)
{
	struct auth_call *c = arg;

	c->same = initiator_auth_is(c->s->initiator, c->name ? c->name->bytes : NULL,
				    c->name ? c->name->n : 0, c->secret ? c->secret->bytes : NULL,
				    c->secret ? c->secret->n : 0);
}

static uint32_t check_secret(const struct session *s, const struct login_options *o,
			     struct refusal *why)
{
	struct auth_call name = {.s = s, .name = &o->username};
	struct auth_call secret = {.s = s, .secret = &o->password};

	if (s->auth_type == AUTH_NONE)
		return 0; /* nobody asks for them, as at a login */
	if ((o->specified & OPT_USERNAME) && o->username.n) {
		loop_call(s->loop, auth_on_loop, &name);
		if (!name.same)
			return refuse(why, ISDSC_INVALID_CHAP_USER_NAME,
				      "the session was logged in with another CHAP user name, and "
				      "its connections can only be so, too");
	}
	if ((o->specified & OPT_PASSWORD) && o->password.n) {
		loop_call(s->loop, auth_on_loop, &secret);
		if (!secret.same)
			return refuse(why, ISDSC_INVALID_TARGET_CHAP_SECRET,
				      "the session was logged in with another CHAP secret, and its "
				      "connections can only be so, too");
	}
	return 0;
}

/* A connection of a session proves itself as the session did; anything else would be less, or more.
 */
static uint32_t check_auth(const struct session *s, const struct login_options *o,
			   struct refusal *why)
{
	if (!(o->specified & OPT_AUTH_TYPE) || o->auth_type == s->auth_type)
		return check_secret(s, o, why);
	return refuse(why, ISDSC_INVALID_LOGON_AUTH_TYPE,
		      "the session was logged in with authentication type %u, and its connections "
		      "can only be, too",
		      s->auth_type);
}

static uint32_t check_room(const struct initiator_status *st, struct refusal *why)
{
	if (st->state != INITIATOR_UP && st->state != INITIATOR_VERIFYING)
		return refuse(why, ISDSC_NO_CONNECTION_AVAILABLE,
			      "the session has no connection at the moment");
	if (st->n_connections >= st->params.MaxConnections)
		return refuse(why, ISDSC_TOO_MANY_CONNECTIONS,
			      "the session has %u connections, and %u is all that was agreed on at "
			      "login (maximumConnections)",
			      st->n_connections, st->params.MaxConnections);
	if (st->n_connections >= INITIATOR_MAX_CONNECTIONS)
		return refuse(why, ISDSC_TOO_MANY_CONNECTIONS,
			      "a session has at most %u connections", INITIATOR_MAX_CONNECTIONS);
	return 0;
}

static uint32_t refused(const struct change *x, struct refusal *why)
{
	switch (-x->r) {
	case EBUSY:
		return refuse(why, ISDSC_TOO_MANY_CONNECTIONS,
			      "the session has as many connections as were agreed on");
	case ENOTCONN:
		return refuse(why, ISDSC_NO_CONNECTION_AVAILABLE,
			      "the session has no connection at the moment");
	default: return refuse_errno(why, x->r, "the connection could not be made");
	}
}

static uint32_t failed(const struct change *x, struct refusal *why)
{
	const struct initiator_failure *f = &x->c.failure;

	if (x->c.error == -ECANCELED)
		return refuse(why, ISDSC_INVALID_SESSION_ID, "the session has ended meanwhile");
	if (x->c.error == -ENOTCONN || f->error == 0)
		return refuse(why, ISDSC_NO_CONNECTION_AVAILABLE, "the session was lost meanwhile");
	return refuse(why, status_of_failure(f), "the connection to %s failed: %s", x->s->target,
		      f->text);
}

static uint32_t add_now(struct change *x, struct unique_id *ret, struct refusal *why)
{
	struct session *s = x->s;
	uint32_t number;
	int r = manager_take_id(s->m, &number);

	if (r)
		return refuse_errno(why, r, "the connection could not be given an id");
	x->connection->id = id_of_connection(number);
	*ret = x->connection->id;
	loop_call(s->loop, add_on_loop, x);
	if (x->r)
		return refused(x, why);
	x->connection = NULL; /* the list's */
	change_wait(x, s->tuning.login_timeout_ns);
	if (x->c.error) {
		connection_drop(s, x->c.number);
		return failed(x, why);
	}
	return 0;
}

uint32_t sess_add_connection(struct session *s, const struct new_connection *how,
			     struct unique_id *ret, struct refusal *why)
{
	struct change x = {.c.done = change_done, .s = s};
	struct initiator_status st;
	struct login_addrs addrs;
	uint32_t code = demands_check(how->security_flags, &how->options, why);

	if (code == 0)
		code = check_auth(s, &how->options, why);
	if (code)
		return code;
	sess_status(s, &st);
	code = check_room(&st, why);
	if (code == 0)
		code = addrs_for_connection(&addrs, s->m, s->target, &st,
					    how->has_portal ? &how->portal : NULL, why);
	if (code)
		return code;
	memcpy(x.cfg.addr, addrs.v, sizeof(x.cfg.addr));
	x.cfg.n_addrs = addrs.n;
	offer_digests(&x.cfg, how);
	x.connection = calloc(1, sizeof(*x.connection));
	if (!x.connection)
		return refuse_errno(why, -ENOMEM, "the connection could not be made");
	x.connection->portal = addrs.first;
	code = add_now(&x, ret, why);
	free(x.connection);
	return code;
}

/* ---- removing ------------------------------------------------------------------------- */

static uint32_t is_leading(struct session *s, struct refusal *why)
{
	struct initiator_status st;

	sess_status(s, &st);
	if (st.n_connections == 1)
		return refuse(why, ISDSC_CANT_REMOVE_LAST_CONNECTION,
			      "it is the only connection of the session; log the session out "
			      "instead");
	return refuse(why, ISDSC_CANNOT_REMOVE_LEADING_CONNECTION,
		      "it is the leading connection of the session; log the session out instead");
}

uint32_t sess_remove_connection(struct session *s, const struct unique_id *id, struct refusal *why)
{
	struct change x = {.c.done = change_done, .s = s, .number = number_of_id(s, id)};

	if (x.number == LEADING)
		return is_leading(s, why);
	if (x.number == 0)
		return refuse(why, ISDSC_INVALID_CONNECTION_ID,
			      "the session has no such connection");
	loop_call(s->loop, remove_on_loop, &x);
	if (x.r == 0) {
		change_wait(&x, s->tuning.login_timeout_ns);
		x.r = x.c.error;
	}
	switch (-x.r) {
	case 0: connection_drop(s, x.number); return 0;
	case EBUSY:
		return refuse(why, ISDSC_REMOVE_CONNECTION_IN_PROGRESS,
			      "the connection is being added or removed already");
	case EPERM:
		return refuse(why, ISDSC_CANT_REMOVE_LAST_CONNECTION,
			      "it is the only connection of the session that works");
	case ENOTCONN:
	case ECANCELED: return refuse(why, ISDSC_INVALID_SESSION_ID, "the session ends");
	default:
		return refuse(why, ISDSC_INVALID_CONNECTION_ID,
			      "the session has no such connection");
	}
}
