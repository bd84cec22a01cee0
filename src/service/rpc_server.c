/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "service/events.h"
#include "service/log.h"
#include "service/memory.h"
#include "service/rpc.h"

#define BACKLOG           64
#define MSG_MAX_BYTES     (256u << 10) /* no call of ours comes near this */
#define CLIENT_STACK      (512u << 10)
#define PROBE_TIMEOUT_MS  2000
#define REJECT_TIMEOUT_MS 1000
#define ACCEPT_PAUSE_MS   100
#define KEPT_PLACES       8 /* beyond max_clients, for root and the service's user */

/* From the first byte of a message to its last. A test shortens it. */
#ifndef MESSAGE_MS
#define MESSAGE_MS 30000
#endif

struct rpc_server {
	struct manager *m;
	int listen_fd, wake_fd;
	char *path;
	dev_t dev; /* of the socket file, so that only ours is removed */
	ino_t ino;
	bool has_group;
	gid_t group;
	unsigned max_clients;
	bool others_may_read;
	int idle_ms; /* -1: no bound */
	pthread_t thread;
	struct log_limit log;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list clients; /* struct client */
	unsigned n_clients;  /* threads */
	unsigned n_places;   /* of them, those that count: not on their way out, and no listeners */
	unsigned n_listeners;
	bool stopping;
};

struct client {
	struct list node;
	struct rpc_server *s;
	struct varlink_conn *conn;
	uid_t uid;
	enum rpc_rights rights;
	/* server->lock */
	bool out;     /* told to go */
	bool busy;    /* a call is under way */
	bool listens; /* for events: it has a place among the listeners instead */
	uint64_t since_ns;
};

/* ---- rights ------------------------------------------------------------------ */

static bool in_groups(int fd, gid_t wanted)
{
	gid_t few[64];
	CLEANUP(freep) gid_t *many = NULL;
	gid_t *v = few;
	socklen_t n = sizeof(few);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, v, &n) < 0) {
		if (errno != ERANGE)
			return false;
		v = many = malloc(n);
		if (!many || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, v, &n) < 0)
			return false;
	}
	for (size_t i = 0; i < n / sizeof(*v); i++) {
		if (v[i] == wanted)
			return true;
	}
	return false;
}

static bool is_master(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static enum rpc_rights rights_of(const struct rpc_server *s, int fd, uid_t uid, gid_t gid)
{
	if (is_master(uid) || (s->has_group && (gid == s->group || in_groups(fd, s->group))))
		return RPC_MAY_CHANGE;
	return s->others_may_read ? RPC_MAY_READ : RPC_MAY_NOTHING;
}

/* ---- one client ----------------------------------------------------------------- */

/* It was a message, but not one of varlink: the last words before the connection is closed. */
static void client_reject(struct client *c)
{
	varlink_error(c->conn, "org.varlink.service.InvalidParameter",
		      json_pack("{s:s}", "parameter", "message"), REJECT_TIMEOUT_MS);
}

static void client_is(struct client *c, bool busy)
{
	pthread_mutex_lock(&c->s->lock);
	c->busy = busy;
	c->since_ns = clock_now_ns();
	pthread_mutex_unlock(&c->s->lock);
}

static bool has_place(const struct client *c)
{
	return !c->out && !c->listens;
}

/*
 * Who listens does so for long: these have places of their own, so that they keep nobody
 * out who has something to ask. A user other than root and the service's may have half, and
 * for these two there are some more.
 */
static bool listener_enter(struct client *c)
{
	struct rpc_server *s = c->s;
	const struct client *other;
	unsigned n = 0, max, max_all;
	bool ok;

	pthread_mutex_lock(&s->lock);
	list_for_each (other, &s->clients, node)
		n += other->listens && other->uid == c->uid;
	max_all = s->max_clients + (is_master(c->uid) ? KEPT_PLACES : 0);
	max = is_master(c->uid) ? max_all : (s->max_clients + 1) / 2;
	ok = n < max && s->n_listeners < max_all && !s->stopping && !c->out;
	if (ok) {
		s->n_listeners++;
		s->n_places--;
		c->listens = true;
	}
	pthread_mutex_unlock(&s->lock);
	return ok;
}

static int client_listen(struct client *c)
{
	if (listener_enter(c)) {
		int r = events_serve(c->s->m, c->conn);

		if (r != -ETIMEDOUT)
			return r;
		log_limited(&c->s->log, LOG_LEVEL_INFO,
			    "client of uid %u: listens for events and takes none: closed",
			    (unsigned)c->uid);
		return -EPIPE;
	}
	return rpc_refuse(c->conn, ISDSC_OUT_OF_RESOURCES,
			  "as many clients as may listen for events do so already");
}

static void client_serve(struct client *c)
{
	for (;;) {
		struct varlink_request req;
		json_t *msg = NULL;
		/* A client may be idle for long, but not in the middle of a message. */
		int r = varlink_wait(c->conn, c->s->idle_ms);

		if (r == -ETIMEDOUT) {
			log_debug("client of uid %u: idle, closed", (unsigned)c->uid);
			return;
		}
		client_is(c, true);
		if (r == 0) {
			r = varlink_recv(c->conn, &msg, MESSAGE_MS);
			if (r == -ETIMEDOUT) {
				log_limited(&c->s->log, LOG_LEVEL_WARNING,
					    "client of uid %u: began a message and did not end it",
					    (unsigned)c->uid);
				return;
			}
		}
		if (r == 0)
			r = varlink_request_of(&req, msg);
		if (r == 0 && c->rights >= RPC_MAY_READ && rpc_wants_events(&req))
			r = client_listen(c);
		else if (r == 0)
			r = rpc_answer(c->s->m, c->conn, c->rights, &req);
		else if (r == -EBADMSG)
			client_reject(c);
		if (r && r != -EPIPE)
			log_limited(&c->s->log, LOG_LEVEL_WARNING,
				    "client of uid %u: not understood: %s", (unsigned)c->uid,
				    strerror(-r));
		varlink_wipe(msg); /* it may have carried a secret */
		memory_wipe_stack();
		client_is(c, false);
		if (r)
			return;
	}
}

static void *client_main(void *arg)
{
	struct client *c = arg;
	struct rpc_server *s = c->s;
	struct varlink_conn *conn;

	pthread_setname_np(pthread_self(), "client");
	client_serve(c);
	pthread_mutex_lock(&s->lock);
	list_remove(&c->node); /* from now on nobody shuts its socket down */
	s->n_places -= has_place(c);
	s->n_listeners -= c->listens;
	conn = c->conn;
	pthread_mutex_unlock(&s->lock);
	varlink_conn_free(conn);
	free(c);
	pthread_mutex_lock(&s->lock);
	s->n_clients--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static int client_thread(struct client *c)
{
	pthread_attr_t attr;
	pthread_t t;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, CLIENT_STACK);
	r = -pthread_create(&t, &attr, client_main, c);
	pthread_attr_destroy(&attr);
	return r;
}

/* ---- places -------------------------------------------------------------------------- */

static unsigned places_of(const struct rpc_server *s, uid_t uid)
{
	const struct client *c;
	unsigned n = 0;

	list_for_each (c, &s->clients, node)
		n += c->uid == uid && has_place(c);
	return n;
}

/* Of the user with the most places, who has to be one that can be told to go. */
static uid_t greediest(const struct rpc_server *s, unsigned *ret_n)
{
	const struct client *c;
	uid_t found = 0;
	unsigned most = 0;

	list_for_each (c, &s->clients, node) {
		unsigned n = is_master(c->uid) || !has_place(c) ? 0 : places_of(s, c->uid);

		if (n > most) {
			most = n;
			found = c->uid;
		}
	}
	*ret_n = most;
	return found;
}

/* The one that has been idle for longest; when none is, the one that has been at it for longest. */
static struct client *longest(struct rpc_server *s, uid_t uid)
{
	struct client *c, *found = NULL;

	list_for_each (c, &s->clients, node) {
		if (c->uid != uid || !has_place(c))
			continue;
		if (!found || c->busy < found->busy ||
		    (c->busy == found->busy && c->since_ns < found->since_ns))
			found = c;
	}
	return found;
}

/* Who has much makes room for who has less. What is under way is still answered. */
static bool make_room(struct rpc_server *s, uid_t uid, unsigned n_mine)
{
	struct client *c;
	unsigned most;
	uid_t from = greediest(s, &most);

	if (most <= n_mine + 1)
		return false;
	c = longest(s, from);
	c->out = true;
	s->n_places--;
	shutdown(varlink_conn_fd(c->conn), SHUT_RD);
	log_limited(&s->log, LOG_LEVEL_INFO,
		    "client of uid %u: closed, to make room for one of uid %u", (unsigned)from,
		    (unsigned)uid);
	return true;
}

/*
 * A user other than root and the service's may have half of the places, and when all are
 * taken those who have most give some away. Whoever has to put things right gets in
 * always. server->lock.
 */
static bool has_room(struct rpc_server *s, uid_t uid)
{
	unsigned n_mine;

	/* those on their way out still have a thread */
	if (s->n_clients >= 3 * s->max_clients + 2 * KEPT_PLACES)
		return false;
	if (is_master(uid))
		return s->n_places < s->max_clients + KEPT_PLACES;
	n_mine = places_of(s, uid);
	if (n_mine >= (s->max_clients + 1) / 2)
		return false;
	return s->n_places < s->max_clients || make_room(s, uid, n_mine);
}

static void client_accept(struct rpc_server *s, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	pid_t pid;
	gid_t gid;
	int r = -ENOMEM;

	if (!c) {
		close(fd);
		return;
	}
	list_init(&c->node);
	c->s = s;
	r = varlink_conn_new(&c->conn, fd);
	if (r == 0)
		r = varlink_conn_peer(c->conn, &pid, &c->uid, &gid);
	if (r == 0) {
		varlink_conn_limit(c->conn, MSG_MAX_BYTES);
		c->rights = rights_of(s, fd, c->uid, gid);
		c->since_ns = clock_now_ns();
		pthread_mutex_lock(&s->lock);
		if (s->stopping || !has_room(s, c->uid)) {
			r = -EUSERS;
		} else {
			s->n_clients++;
			s->n_places++;
			list_append(&s->clients, &c->node);
		}
		pthread_mutex_unlock(&s->lock);
		if (r == 0) {
			r = client_thread(c);
			if (r) {
				pthread_mutex_lock(&s->lock);
				s->n_clients--;
				s->n_places -= !c->out;
				list_remove(&c->node);
				pthread_mutex_unlock(&s->lock);
			}
		}
	}
	if (r) {
		log_limited(&s->log, LOG_LEVEL_WARNING, "a client was turned away: %s",
			    r == -EUSERS ? "too many" : strerror(-r));
		varlink_conn_free(c->conn);
		free(c);
	}
}

static void *server_main(void *arg)
{
	struct rpc_server *s = arg;
	struct pollfd v[2] = {{.fd = s->listen_fd, .events = POLLIN},
			      {.fd = s->wake_fd, .events = POLLIN}};

	for (;;) {
		int fd;

		if (poll(v, 2, -1) < 0)
			continue;
		if (v[1].revents)
			return NULL;
		fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			client_accept(s, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
			log_limited(&s->log, LOG_LEVEL_WARNING, "no client can be taken: %s",
				    strerror(errno));
			poll(v + 1, 1,
			     ACCEPT_PAUSE_MS); /* the client stays in the queue meanwhile */
		}
	}
}

/* ---- the socket ----------------------------------------------------------------------- */

static int group_of(const char *name, gid_t *ret)
{
	char buf[16384];
	struct group g, *found;
	int r = getgrnam_r(name, &g, buf, sizeof(buf), &found);

	if (r || !found)
		return r ? -r : -ENOENT;
	*ret = g.gr_gid;
	return 0;
}

/* Does somebody listen there? What a dead service left refuses at once. */
static bool socket_lives(const char *path)
{
	struct varlink_conn *conn = NULL;

	if (varlink_connect(&conn, path, PROBE_TIMEOUT_MS))
		return false;
	varlink_conn_free(conn);
	return true;
}

/* Binds below a name of its own and renames, so that the path never leads to a socket nobody
 * listens on. */
static int socket_bind(struct rpc_server *s, mode_t mode)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s.new", s->path);

	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	if (lstat(s->path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (socket_lives(s->path))
		return -EADDRINUSE;
	unlink(addr.sun_path);
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listen_fd < 0)
		return -errno;
	/* nobody gets in before owner and mode are what they shall be */
	if (fchmod(s->listen_fd, 0600) < 0 ||
	    bind(s->listen_fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	if ((s->has_group && chown(addr.sun_path, (uid_t)-1, s->group) < 0) ||
	    chmod(addr.sun_path, mode) < 0 || listen(s->listen_fd, BACKLOG) < 0 ||
	    lstat(addr.sun_path, &st) < 0 || rename(addr.sun_path, s->path) < 0) {
		int r = -errno;

		unlink(addr.sun_path);
		return r;
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

static void server_free(struct rpc_server *s)
{
	closep(&s->listen_fd);
	closep(&s->wake_fd);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}

int rpc_start(struct rpc_server **ret, const struct rpc_cfg *cfg, char *why, size_t n_why)
{
	struct rpc_server *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	s->m = cfg->m;
	s->max_clients = cfg->max_clients;
	s->others_may_read = cfg->others_may_read;
	s->idle_ms = cfg->idle_timeout_ns ? (int)(cfg->idle_timeout_ns / NS_PER_MS) : -1;
	s->listen_fd = -1;
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->path = strdup(cfg->socket_path);
	s->log = (struct log_limit)LOG_LIMIT_INIT;
	list_init(&s->clients);
	pthread_mutex_init(&s->lock, NULL);
	cond_init(&s->changed);
	if (s->wake_fd < 0 || !s->path)
		r = -ENOMEM;
	if (r == 0 && cfg->group[0]) {
		r = group_of(cfg->group, &s->group);
		s->has_group = r == 0;
		if (r) {
			snprintf(why, n_why, "group \"%s\": %s", cfg->group,
				 r == -ENOENT ? "there is none" : strerror(-r));
			server_free(s);
			return r;
		}
	}
	if (r == 0)
		r = socket_bind(s, cfg->mode);
	if (r == 0)
		r = -pthread_create(&s->thread, NULL, server_main, s);
	if (r) {
		snprintf(why, n_why, "%s: %s", cfg->socket_path, strerror(-r));
		server_free(s);
		return r;
	}
	pthread_setname_np(s->thread, "server");
	*ret = s;
	return 0;
}

unsigned rpc_n_busy(struct rpc_server *s)
{
	const struct client *c;
	unsigned n = 0;

	pthread_mutex_lock(&s->lock);
	list_for_each (c, &s->clients, node)
		n += c->busy;
	pthread_mutex_unlock(&s->lock);
	return n;
}

bool rpc_stop(struct rpc_server *s, uint64_t timeout_ns)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;
	struct client *c;
	struct stat st;
	bool done;

	if (lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	eventfd_write(s->wake_fd, 1);
	pthread_join(s->thread, NULL);
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	list_for_each (c, &s->clients, node)
		shutdown(varlink_conn_fd(c->conn),
			 SHUT_RD); /* an answer under way still gets out */
	while (s->n_clients > 0 &&
	       cond_wait_until(&s->changed, &s->lock, deadline_ns) != -ETIMEDOUT)
		;
	done = s->n_clients == 0;
	pthread_mutex_unlock(&s->lock);
	if (done)
		server_free(s);
	return done;
}
