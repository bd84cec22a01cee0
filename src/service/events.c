/* SPDX-License-Identifier: MIT */
#include "service/events.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "service/connections.h"
#include "service/rpc.h"

#define RING            1024u
#define SEND_TIMEOUT_MS 10000

struct subscriber {
	struct list node;
	int wake_fd;
	int patience_ms; /* with one that takes nothing; -1: no bound */
	uint64_t at;     /* the event that comes next for it */
};

struct events {
	pthread_mutex_t lock;
	uint64_t next; /* number of the next event */
	uint64_t oldest;
	json_t *ring[RING]; /* [oldest, next) */
	struct list subscribers;
};

static const char *kind_name(enum event_kind kind)
{
	switch (kind) {
	case EVENT_SESSION_UP: return "session-up";
	case EVENT_SESSION_DOWN: return "session-down";
	case EVENT_SESSION_CLOSED: return "session-closed";
	case EVENT_CONNECTION_UP: return "connection-up";
	case EVENT_CONNECTION_DOWN: return "connection-down";
	case EVENT_DEVICE_ADDED: return "device-added";
	case EVENT_DEVICE_CHANGED: return "device-changed";
	case EVENT_DEVICE_REMOVED: return "device-removed";
	case EVENT_TARGET_ADDED: return "target-added";
	case EVENT_TARGET_REMOVED: return "target-removed";
	}
	return "";
}

int events_new(struct events **ret)
{
	struct events *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	list_init(&e->subscribers);
	e->next = e->oldest = 1;
	*ret = e;
	return 0;
}

/* lock, or alone. Forgets what comes before @first. */
static void forget(struct events *e, uint64_t first)
{
	for (; e->oldest < first; e->oldest++) {
		json_decref(e->ring[e->oldest % RING]);
		e->ring[e->oldest % RING] = NULL;
	}
}

struct events *events_free(struct events *e)
{
	if (!e)
		return NULL;
	forget(e, e->next);
	pthread_mutex_destroy(&e->lock);
	free(e);
	return NULL;
}

/* ---- what is told ------------------------------------------------------------------ */

static json_t *event_json(const char *kind, const struct session *s,
			  const struct unique_id *connection, const char *target, json_t *device,
			  const char *text)
{
	char id[ID_TEXT_BYTES], conn[ID_TEXT_BYTES];

	if (s)
		id_text(&s->id, id);
	if (connection)
		id_text(connection, conn);
	return json_pack("{s:s, s:I, s:s?, s:s?, s:s?, s:o?, s:o, s:n}", "kind", kind, "sequence",
			 (json_int_t)0, "sessionId", s ? id : NULL, "connectionId",
			 connection ? conn : NULL, "targetName", s ? s->target : target, "device",
			 device, "text", text ? json_of_foreign(text) : json_null(), "count");
}

static bool has_subscribers(struct events *e)
{
	bool some;

	if (!e)
		return false;
	pthread_mutex_lock(&e->lock);
	some = !list_empty(&e->subscribers);
	/* it counts, whether or not somebody listens */
	if (!some)
		e->oldest = ++e->next;
	pthread_mutex_unlock(&e->lock);
	return some;
}

/* Takes over @j; NULL, for want of memory, is a gap that everybody is told of. */
static void publish(struct events *e, json_t *j)
{
	struct subscriber *s;

	pthread_mutex_lock(&e->lock);
	if (e->next - e->oldest == RING)
		forget(e, e->oldest + 1);
	if (j)
		json_object_set_new(j, "sequence", json_integer((json_int_t)e->next));
	e->ring[e->next++ % RING] = j;
	list_for_each (s, &e->subscribers, node)
		eventfd_write(s->wake_fd, 1);
	if (list_empty(&e->subscribers))
		forget(e, e->next);
	pthread_mutex_unlock(&e->lock);
}

void events_session(struct events *e, enum event_kind kind, const struct session *s,
		    const struct unique_id *connection, const char *text)
{
	if (has_subscribers(e))
		publish(e, event_json(kind_name(kind), s, connection, NULL, NULL, text));
}

void events_target(struct events *e, enum event_kind kind, const char *name)
{
	if (has_subscribers(e))
		publish(e, event_json(kind_name(kind), NULL, NULL, name, NULL, NULL));
}

static json_t *device_json(enum event_kind kind, const struct unit_path *p)
{
	json_t *device = json_of_path(p);

	/* the file systems on it are asked for by ListDevices: that takes its time */
	json_object_set_new(device, "volumePaths", json_array());
	return event_json(kind_name(kind), p->session, NULL, NULL, device, NULL);
}

void events_path(struct events *e, enum event_kind kind, const struct unit_path *p)
{
	if (has_subscribers(e))
		publish(e, device_json(kind, p));
}

void events_unit(struct events *e, enum event_kind kind, struct unit *u)
{
	struct unit_path *p;

	list_for_each (p, &u->paths, in_unit) {
		if (p->told)
			events_path(e, kind, p);
	}
}

/* ---- one subscriber ----------------------------------------------------------------- */

/* Only this client waits, but not for ever: it has a thread and a place. */
static int wait_room(const struct subscriber *s, struct varlink_conn *conn)
{
	struct pollfd p = {.fd = varlink_conn_fd(conn), .events = POLLOUT | POLLRDHUP};
	int n;

	while ((n = poll(&p, 1, s->patience_ms)) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	if (n == 0)
		return -ETIMEDOUT;
	return p.revents & (POLLRDHUP | POLLHUP | POLLERR) ? -EPIPE : 0;
}

/* Takes over @j. */
static int tell(const struct subscriber *s, struct varlink_conn *conn, json_t *j)
{
	int r = j ? wait_room(s, conn) : -ENOMEM;

	if (r) {
		json_decref(j);
		return r;
	}
	return varlink_reply(conn, j, true, SEND_TIMEOUT_MS);
}

/* With the number of the last event before it. */
static int tell_state(const struct subscriber *to, struct varlink_conn *conn, json_t *j)
{
	if (j)
		json_object_set_new(j, "sequence", json_integer((json_int_t)to->at - 1));
	return tell(to, conn, j);
}

static int tell_connections(const struct subscriber *to, struct varlink_conn *conn,
			    struct session *s, const struct initiator_status *st)
{
	struct unique_id id;
	struct portal portal;
	int r = 0;

	for (unsigned k = 0; r == 0 && k < st->n_connections; k++) {
		if (st->connection[k].state != INITIATOR_CONN_UP ||
		    !sess_connection(s, st->connection[k].number, &id, &portal))
			continue;
		r = tell_state(to, conn, event_json("connection-up", s, &id, NULL, NULL, NULL));
	}
	return r;
}

static int tell_devices(const struct subscriber *to, struct varlink_conn *conn, struct session *s)
{
	json_t *all = json_array(), *one;
	struct unit_path *p;
	size_t i;
	int r = all ? 0 : -ENOMEM;

	pthread_mutex_lock(&s->m->lock);
	list_for_each (p, &s->paths, in_session)
		json_array_append_new(all, device_json(EVENT_DEVICE_ADDED, p));
	pthread_mutex_unlock(&s->m->lock);
	json_array_foreach(all, i, one)
	{
		if (r == 0)
			r = tell_state(to, conn, json_incref(one));
	}
	json_decref(all);
	return r;
}

static int tell_session(const struct subscriber *to, struct varlink_conn *conn, struct session *s)
{
	struct initiator_status st;
	bool up;
	int r;

	sess_status(s, &st);
	up = st.state == INITIATOR_UP;
	r = tell_state(to, conn,
		       event_json(up ? "session-up" : "session-down", s, NULL, NULL, NULL, NULL));
	if (r == 0)
		r = tell_connections(to, conn, s, &st);
	return r ? r : tell_devices(to, conn, s);
}

static int tell_present(struct manager *m, const struct subscriber *to, struct varlink_conn *conn)
{
	struct session **v;
	size_t n;
	int r = sess_list_all(m, &v, &n);

	if (r)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = tell_session(to, conn, v[i]);
	sess_put_all(v, n);
	if (r == 0)
		r = tell_state(to, conn, event_json("current", NULL, NULL, NULL, NULL, NULL));
	return r;
}

/*
 * The next event, or *ret_lost > 0; NULL and 0: there is none yet. A copy: jansson's references
 * do not order what one thread read before what another one frees.
 */
static json_t *take(struct events *e, struct subscriber *s, uint64_t *ret_lost)
{
	json_t *j = NULL;
	uint64_t wanted = s->at;

	pthread_mutex_lock(&e->lock);
	if (s->at < e->oldest)
		s->at = e->oldest;
	/* what there was no memory for is lost as well */
	while (s->at < e->next && !e->ring[s->at % RING])
		s->at++;
	*ret_lost = s->at - wanted;
	if (*ret_lost == 0 && s->at < e->next) {
		j = json_deep_copy(e->ring[s->at++ % RING]);
		*ret_lost = !j;
	}
	pthread_mutex_unlock(&e->lock);
	return j;
}

static json_t *lost_json(const struct subscriber *s, uint64_t n)
{
	json_t *j = event_json("lost", NULL, NULL, NULL, NULL, NULL);

	json_object_set_new(j, "count", json_integer((json_int_t)n));
	json_object_set_new(j, "sequence", json_integer((json_int_t)(s->at - 1)));
	return j;
}

static int wait_event(struct subscriber *s, struct varlink_conn *conn)
{
	/* no more calls are read here: only its end is waited for */
	struct pollfd p[2] = {{.fd = varlink_conn_fd(conn), .events = POLLRDHUP},
			      {.fd = s->wake_fd, .events = POLLIN}};
	eventfd_t n;

	if (poll(p, 2, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (p[0].revents)
		return -EPIPE;
	eventfd_read(s->wake_fd, &n);
	return 0;
}

static int follow(struct events *e, struct subscriber *s, struct varlink_conn *conn)
{
	for (;;) {
		uint64_t lost;
		json_t *j = take(e, s, &lost);
		int r;

		if (lost)
			r = tell(s, conn, lost_json(s, lost));
		else if (j)
			r = tell(s, conn, j);
		else
			r = wait_event(s, conn);
		if (r)
			return r;
	}
}

int events_serve(struct manager *m, struct varlink_conn *conn)
{
	uint64_t patience_ns = m->config->listener_timeout_ns;
	struct events *e = m->events;
	struct subscriber s = {
		.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.patience_ms = patience_ns ? (int)(patience_ns / NS_PER_MS) : -1,
	};
	int r;

	if (s.wake_fd < 0)
		return -errno;
	pthread_mutex_lock(&e->lock);
	s.at = e->next;
	list_append(&e->subscribers, &s.node);
	pthread_mutex_unlock(&e->lock);
	r = tell_present(m, &s, conn);
	if (r == 0)
		r = follow(e, &s, conn);
	pthread_mutex_lock(&e->lock);
	list_remove(&s.node);
	if (list_empty(&e->subscribers))
		forget(e, e->next);
	pthread_mutex_unlock(&e->lock);
	close(s.wake_fd);
	return r;
}
