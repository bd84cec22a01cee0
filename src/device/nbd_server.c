/* SPDX-License-Identifier: MIT */
#include "device/nbd_server.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/nbd_private.h"

#define REST_NS (1 * NS_PER_S)
#define BACKLOG 16

struct nbd_export nbd_server_export(const struct nbd_server *s)
{
	const struct blk_limits *l = &s->limits;

	return (struct nbd_export){
		.name = s->name,
		.description = s->description,
		.n_bytes = l->n_bytes,
		.flags = nbd_export_flags(l),
		/* Any range is taken, but a client does better with whole blocks. */
		.min_block_bytes = 1,
		.best_block_bytes = l->phys_block_bytes > 4096 ? l->phys_block_bytes : 4096,
		.max_bytes = NBD_MAX_IO,
		.is_closing = s->is_closed,
	};
}

/* ---- the loop's side ----------------------------------------------------- */

static void server_destroy(struct nbd_server *s)
{
	loop_timer_cancel(s->loop, &s->again);
	loop_defer_cancel(&s->ranges.kick);
	loop_defer_cancel(&s->feed);
	if (s->listener.fd >= 0)
		close(s->listener.fd);
	idle_destroy(&s->idle);
	free(s->name);
	free(s->description);
	free(s->path);
	free(s);
}

void nbd_server_reap(struct nbd_client *c)
{
	struct nbd_server *s = c->server;

	list_remove(&c->node);
	free(c);
	if (atomic_fetch_sub(&s->n_clients, 1) == 1 && s->is_orphan)
		server_destroy(s);
	else
		idle_changed(&s->idle);
}

static void again_fire(struct loop_timer *t)
{
	struct nbd_server *s = CONTAINER_OF(t, struct nbd_server, again);

	(void)loop_fd_events(s->loop, &s->listener, EPOLLIN);
}

static void listener_ready(struct loop_fd *fd, uint32_t events)
{
	struct nbd_server *s = CONTAINER_OF(fd, struct nbd_server, listener);
	const int client = accept4(fd->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (client >= 0) {
		if (s->is_closed || atomic_load(&s->n_clients) >= NBD_CLIENTS_MAX)
			close(client);
		else
			nbd_client_new(s, client);
		return;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
		return;
	/* No descriptor for it: it would be reported without end. */
	if (loop_timer_set(s->loop, &s->again, loop_now_ns(s->loop) + REST_NS) == 0)
		(void)loop_fd_events(s->loop, &s->listener, 0);
}

struct watch_call {
	struct nbd_server *s;
	int result;
};

static void on_loop_watch(void *arg)
{
	struct watch_call *w = arg;

	w->result = loop_fd_add(w->s->loop, &w->s->listener);
}

static void on_loop_stop(void *arg)
{
	struct nbd_server *s = arg;
	struct nbd_client *c;

	if (s->listener.fd >= 0) {
		loop_fd_remove(s->loop, &s->listener);
		close(TAKE_FD(s->listener.fd));
	}
	s->is_closed = true;
	/* None goes before the end of the turn. */
	list_for_each (c, &s->clients, node)
		nbd_client_die(c);
}

static void on_loop_free(void *arg)
{
	struct nbd_server *s = arg;

	if (atomic_load(&s->n_clients) == 0)
		server_destroy(s);
	else
		s->is_orphan = true;
}

struct gate_call {
	struct nbd_server *s;
	bool closed;
};

static void on_loop_gate(void *arg)
{
	const struct gate_call *g = arg;

	g->s->is_closed = g->closed;
}

struct users_call {
	struct nbd_server *s;
	pid_t *pids;
	size_t n_room, n;
};

static void on_loop_users(void *arg)
{
	struct users_call *u = arg;
	const struct nbd_client *c;

	list_for_each (c, &u->s->clients, node) {
		bool known = !c->is_user || c->is_dead;

		for (size_t k = 0; k < u->n; k++)
			known = known || u->pids[k] == c->pid;
		if (!known && u->n < u->n_room)
			u->pids[u->n++] = c->pid;
	}
}

struct limits_call {
	struct nbd_server *s;
	const struct blk_limits *limits;
};

static void on_loop_limits(void *arg)
{
	const struct limits_call *c = arg;

	c->s->limits = *c->limits;
}

/* ---- start ------------------------------------------------------------------ */

/* Binds through the directory, whose path may be longer than an address has room for. */
static int bind_at(int fd, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	CLEANUP(freep) char *dir = strdup(path);
	CLEANUP(closep) int dir_fd = -1;
	const char *slash = strrchr(path, '/');
	int n;

	if (!dir)
		return -ENOMEM;
	if (!slash)
		return -EINVAL;
	dir_fd = open(dirname(dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	n = snprintf(sun.sun_path, sizeof(sun.sun_path), "/proc/self/fd/%d%s", dir_fd, slash);
	if (n >= (int)sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	return bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) < 0 ? -errno : 0;
}

static int server_listen(struct nbd_server *s)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return -errno;
	s->listener.fd = fd;
	if (unlink(s->path) < 0 && errno != ENOENT)
		return -errno;
	r = bind_at(fd, s->path);
	if (r)
		return r;
	if (chmod(s->path, 0600) < 0 || listen(fd, BACKLOG) < 0) {
		r = -errno;
		(void)unlink(s->path);
	}
	return r;
}

void nbd_server_init(struct nbd_server *s, const struct nbd_server_cfg *cfg)
{
	*s = (struct nbd_server){.loop = cfg->loop, .lu = cfg->lu, .limits = cfg->limits};
	ranges_init(&s->ranges, s->loop, s->lu, s->limits.block_bytes);
	s->listener = (struct loop_fd){.fd = -1, .events = EPOLLIN, .ready = listener_ready};
	s->again.fire = again_fire;
	list_init(&s->clients);
	list_init(&s->hungry);
	list_init(&s->feed.node);
	s->feed.run = nbd_memory_feed;
	idle_init(&s->idle);
}

static int server_new(struct nbd_server **ret_server, const struct nbd_server_cfg *cfg)
{
	struct nbd_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	nbd_server_init(s, cfg);
	s->name = strdup(cfg->name);
	s->description = strdup(cfg->description);
	s->path = strdup(cfg->path);
	if (!s->name || !s->description || !s->path) {
		server_destroy(s);
		return -ENOMEM;
	}
	*ret_server = s;
	return 0;
}

static bool is_servable(const struct blk_limits *l)
{
	return l->block_bytes >= 512 && l->block_bytes <= RANGE_BLOCK_MAX &&
	       (l->block_bytes & (l->block_bytes - 1)) == 0 && l->n_bytes > 0 &&
	       l->n_bytes % l->block_bytes == 0 && l->n_bytes <= INT64_MAX;
}

int nbd_server_start(struct nbd_server **ret_server, const struct nbd_server_cfg *cfg)
{
	struct watch_call w = {0};
	int r;

	if (!is_servable(&cfg->limits))
		return -EINVAL;
	r = server_new(&w.s, cfg);
	if (r)
		return r;
	r = server_listen(w.s);
	if (r == 0) {
		loop_call(w.s->loop, on_loop_watch, &w);
		r = w.result;
		if (r)
			(void)unlink(w.s->path);
	}
	if (r) {
		loop_call(w.s->loop, on_loop_free, w.s);
		return r;
	}
	*ret_server = w.s;
	return 0;
}

/* ---- control ------------------------------------------------------------------- */

void nbd_server_gate(struct nbd_server *s, bool closed)
{
	struct gate_call g = {.s = s, .closed = closed};

	loop_call(s->loop, on_loop_gate, &g);
}

unsigned nbd_server_n_users(const struct nbd_server *s)
{
	return atomic_load(&s->n_users);
}

size_t nbd_server_big_max(const struct nbd_server *s)
{
	return atomic_load(&s->n_big_max);
}

size_t nbd_server_users(struct nbd_server *s, pid_t *pids, size_t n)
{
	struct users_call u = {.s = s, .pids = pids, .n_room = n};

	loop_call(s->loop, on_loop_users, &u);
	return u.n;
}

int nbd_server_wait_unused(struct nbd_server *s, uint64_t deadline_ns)
{
	return idle_wait_zero(&s->idle, &s->n_users, deadline_ns);
}

int nbd_server_changed(struct nbd_server *s, const struct blk_limits *limits)
{
	struct limits_call c = {.s = s, .limits = limits};

	if (limits->block_bytes != s->limits.block_bytes || !is_servable(limits))
		return -EINVAL;
	loop_call(s->loop, on_loop_limits, &c);
	return 0;
}

void nbd_server_stop(struct nbd_server *s, uint64_t deadline_ns)
{
	(void)unlink(s->path);
	loop_call(s->loop, on_loop_stop, s);
	(void)idle_wait_zero(&s->idle, &s->n_clients, deadline_ns);
}

struct nbd_server *nbd_server_free(struct nbd_server *s)
{
	if (s)
		loop_call(s->loop, on_loop_free, s);
	return NULL;
}
