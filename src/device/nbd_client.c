/* SPDX-License-Identifier: MIT */
/*
 * NBD server: one client's bytes
 *
 * Headers are read in gulps into a stage and taken from there; the data of a write
 * goes straight to its slot, but for what the stage has of it already. Answers go out
 * at the end of the loop's turn, as many as are ready with one call.
 *
 * A client is read no more while it has no free slot, while there is no memory for its
 * next request, or while the answers to its options wait to be sent; so it holds a
 * bounded amount of memory, whatever it does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "device/nbd_private.h"

#define HANDSHAKE_NS (30 * NS_PER_S)
#define READ_BATCH   16
#define SEND_IOV     64

static void client_parse(struct nbd_client *c);

static size_t staged(const struct nbd_client *c)
{
	return c->stage_end - c->stage_at;
}

/* ---- slots ----------------------------------------------------------------- */

static bool has_slot(const struct nbd_client *c)
{
	return !c->alone && !list_empty(&c->free_slots);
}

static struct nbd_slot *slot_get(struct nbd_client *c)
{
	struct nbd_slot *slot;

	if (!has_slot(c))
		return NULL;
	slot = list_first(&c->free_slots, struct nbd_slot, node);
	list_remove(&slot->node);
	atomic_fetch_add_explicit(&c->n_busy, 1, memory_order_relaxed);
	io_pool_use(&c->pool);
	return slot;
}

void nbd_slot_put(struct nbd_slot *slot)
{
	struct nbd_client *c = slot->client;

	nbd_memory_put(slot);
	/* The one used last is the one whose memory is warm. */
	list_prepend(&c->free_slots, &slot->node);
	atomic_fetch_sub_explicit(&c->n_busy, 1, memory_order_relaxed);
	if (atomic_load(&c->n_busy) > 0)
		return;
	if (c->is_dead)
		loop_defer(c->server->loop, &c->reap);
	else if (c->is_ending)
		nbd_client_die(c);
}

/* ---- out --------------------------------------------------------------------- */

/* Entries for [skip, …) of head and data. */
static size_t answer_iov(const struct nbd_slot *slot, size_t skip, struct iovec iov[2])
{
	size_t n = 0;

	if (skip < slot->n_head) {
		iov[n++] =
			(struct iovec){(void *)(uintptr_t)(slot->head + skip), slot->n_head - skip};
		skip = 0;
	} else {
		skip -= slot->n_head;
	}
	if (skip < slot->n_data)
		iov[n++] =
			(struct iovec){(void *)(uintptr_t)(slot->data + skip), slot->n_data - skip};
	return n;
}

static size_t gather(struct nbd_client *c, struct iovec iov[SEND_IOV])
{
	size_t n = 0, skip = c->tx_off;
	struct nbd_slot *slot;

	if (c->handshake.n_out) {
		iov[n++] = (struct iovec){c->handshake.out + skip, c->handshake.n_out - skip};
		skip = 0;
	}
	list_for_each (slot, &c->answers, node) {
		if (n + 2 > SEND_IOV)
			break;
		n += answer_iov(slot, skip, iov + n);
		skip = 0;
	}
	return n;
}

static void sent(struct nbd_client *c, size_t n)
{
	struct nbd_slot *slot;

	c->tx_off += n;
	if (c->handshake.n_out) {
		if (c->tx_off < c->handshake.n_out)
			return;
		c->tx_off -= c->handshake.n_out;
		c->handshake.n_out = 0;
	}
	while ((slot = list_first(&c->answers, struct nbd_slot, node))) {
		const size_t n_all = slot->n_head + slot->n_data;

		if (c->tx_off < n_all)
			return;
		c->tx_off -= n_all;
		list_remove(&slot->node);
		nbd_slot_put(slot);
		if (c->is_dead)
			return;
	}
}

/* False: the socket takes no more now. */
static bool send_some(struct nbd_client *c)
{
	struct iovec iov[SEND_IOV];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = gather(c, iov)};
	ssize_t n;

	if (!msg.msg_iovlen)
		return false;
	n = sendmsg(c->fd.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0) {
		if (errno != EAGAIN)
			nbd_client_die(c);
		return false;
	}
	sent(c, (size_t)n);
	return !c->is_dead;
}

static bool may_read(const struct nbd_client *c)
{
	if (c->is_ending || c->handshake.stage == NBD_STAGE_END)
		return false;
	if (!c->is_user)
		return c->handshake.n_out == 0;
	return c->rx || (!list_linked(&c->hungry) && has_slot(c));
}

static void watch(struct nbd_client *c)
{
	const bool has_out = c->handshake.n_out || !list_empty(&c->answers);

	if (!c->is_dead)
		(void)loop_fd_events(c->server->loop, &c->fd,
				     (may_read(c) ? EPOLLIN : 0) | (has_out ? EPOLLOUT : 0));
}

void nbd_client_resume(struct nbd_client *c)
{
	client_parse(c);
	watch(c);
}

static void send_run(struct loop_defer *d)
{
	struct nbd_client *c = CONTAINER_OF(d, struct nbd_client, send);

	while (send_some(c))
		;
	if (c->is_dead)
		return;
	if (c->handshake.stage == NBD_STAGE_END && c->handshake.n_out == 0) {
		nbd_client_die(c);
		return;
	}
	/* What was held back for want of room may be taken now. */
	nbd_client_resume(c);
}

void nbd_client_answer(struct nbd_slot *slot)
{
	struct nbd_client *c = slot->client;

	if (c->is_dead) {
		nbd_slot_put(slot);
		return;
	}
	list_append(&c->answers, &slot->node);
	loop_defer(c->server->loop, &c->send);
}

/* ---- in ------------------------------------------------------------------------ */

static void become_user(struct nbd_client *c)
{
	struct nbd_server *s = c->server;

	c->is_user = true;
	loop_timer_cancel(s->loop, &c->patience);
	atomic_fetch_add(&s->n_users, 1);
}

/* Each returns false when it can do no more now. */
static bool parse_handshake(struct nbd_client *c)
{
	const struct nbd_export e = nbd_server_export(c->server);
	const size_t n = nbd_handshake_feed(&c->handshake, &e, c->stage + c->stage_at, staged(c));

	c->stage_at += n;
	if (c->handshake.n_out || c->handshake.stage == NBD_STAGE_END)
		loop_defer(c->server->loop, &c->send);
	if (c->handshake.stage != NBD_STAGE_REQUESTS)
		return false;
	become_user(c);
	return true;
}

static bool parse_data(struct nbd_client *c)
{
	struct nbd_slot *slot = c->rx;
	size_t n = slot->n_bytes - c->n_rx;

	if (n > staged(c))
		n = staged(c);
	memcpy(nbd_slot_data(slot) + c->n_rx, c->stage + c->stage_at, n);
	c->n_rx += n;
	c->stage_at += n;
	if (c->n_rx < slot->n_bytes)
		return false;
	c->rx = NULL;
	nbd_request_write(slot);
	return true;
}

static bool parse_skip(struct nbd_client *c)
{
	const size_t n = c->n_skip < staged(c) ? (size_t)c->n_skip : staged(c);

	c->stage_at += n;
	c->n_skip -= n;
	return c->n_skip == 0;
}

static bool parse_request(struct nbd_client *c)
{
	struct nbd_slot *slot;
	const uint8_t *header;
	int r;

	if (staged(c) < NBD_REQUEST_BYTES)
		return false;
	slot = slot_get(c);
	if (!slot)
		return false;
	header = c->stage + c->stage_at;
	/* The end is answered by nothing but the end. */
	if (get_be16(header + 6) == NBD_CMD_DISC) {
		c->is_ending = true;
		nbd_slot_put(slot);
		return false;
	}
	r = nbd_request_begin(slot, header, &c->n_skip);
	/* It stays in the stage, and is begun anew. */
	if (r == -EAGAIN) {
		nbd_slot_put(slot);
		return false;
	}
	c->stage_at += NBD_REQUEST_BYTES;
	/* It may have waited for memory that is not needed after all. */
	nbd_memory_leave(c);
	if (r < 0) {
		nbd_slot_put(slot);
		nbd_client_die(c);
	}
	if (r > 0) {
		c->rx = slot;
		c->n_rx = 0;
	}
	return r >= 0;
}

static void client_parse(struct nbd_client *c)
{
	bool more = true;

	while (more && !c->is_dead && !c->is_ending) {
		if (!c->is_user)
			more = c->handshake.stage < NBD_STAGE_REQUESTS && parse_handshake(c);
		else if (c->rx)
			more = parse_data(c);
		else if (c->n_skip)
			more = parse_skip(c);
		else
			more = parse_request(c);
	}
}

/* False: nothing more to read now. */
static bool receive(struct nbd_client *c)
{
	struct iovec iov[2];
	size_t n_iov = 0, direct = 0;
	ssize_t n;

	if (c->rx) {
		direct = c->rx->n_bytes - c->n_rx;
		iov[n_iov++] = (struct iovec){nbd_slot_data(c->rx) + c->n_rx, direct};
	}
	memmove(c->stage, c->stage + c->stage_at, staged(c));
	c->stage_end -= c->stage_at;
	c->stage_at = 0;
	iov[n_iov++] = (struct iovec){c->stage + c->stage_end, NBD_STAGE_BYTES - c->stage_end};
	n = readv(c->fd.fd, iov, (int)n_iov);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		nbd_client_die(c);
		return false;
	}
	if ((size_t)n < direct)
		direct = (size_t)n;
	c->n_rx += direct;
	c->stage_end += (size_t)n - direct;
	client_parse(c);
	return !c->is_dead;
}

static void client_ready(struct loop_fd *fd, uint32_t events)
{
	struct nbd_client *c = CONTAINER_OF(fd, struct nbd_client, fd);

	if (events & EPOLLOUT)
		loop_defer(c->server->loop, &c->send);
	if (!may_read(c)) {
		/* Gone while it was not to be read. */
		if (events & (EPOLLERR | EPOLLHUP))
			nbd_client_die(c);
		return;
	}
	for (int i = 0; i < READ_BATCH && may_read(c) && receive(c); i++)
		;
	watch(c);
}

/* ---- life ----------------------------------------------------------------------- */

static void patience_fire(struct loop_timer *t)
{
	nbd_client_die(CONTAINER_OF(t, struct nbd_client, patience));
}

static void reap_run(struct loop_defer *d)
{
	struct nbd_client *c = CONTAINER_OF(d, struct nbd_client, reap);
	struct nbd_server *s = c->server;

	io_pool_free(&c->pool);
	loop_timer_cancel(s->loop, &c->patience);
	loop_defer_cancel(&c->send);
	nbd_server_reap(c);
}

void nbd_client_die(struct nbd_client *c)
{
	struct nbd_server *s = c->server;
	struct nbd_slot *slot;

	if (c->is_dead)
		return;
	c->is_dead = true;
	nbd_memory_leave(c);
	loop_fd_remove(s->loop, &c->fd);
	close(c->fd.fd);
	loop_timer_cancel(s->loop, &c->patience);
	loop_defer(s->loop, &c->reap);
	if (c->rx)
		nbd_slot_put(TAKE(c->rx));
	while ((slot = list_first(&c->answers, struct nbd_slot, node))) {
		list_remove(&slot->node);
		nbd_slot_put(slot);
	}
	if (atomic_load(&c->n_busy) > 0)
		loop_defer_cancel(&c->reap);
	if (c->is_user) {
		atomic_fetch_sub(&s->n_users, 1);
		idle_changed(&s->idle);
	}
}

static pid_t peer_of(int fd)
{
	struct ucred cred = {0};
	socklen_t n = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) == 0 ? cred.pid : 0;
}

static void client_init(struct nbd_client *c, struct nbd_server *s, int fd)
{
	c->server = s;
	c->fd = (struct loop_fd){.fd = fd, .events = EPOLLIN, .ready = client_ready};
	c->patience.fire = patience_fire;
	c->pid = peer_of(fd);
	list_init(&c->send.node);
	c->send.run = send_run;
	list_init(&c->reap.node);
	c->reap.run = reap_run;
	list_init(&c->answers);
	list_init(&c->free_slots);
	list_init(&c->hungry);
	nbd_handshake_init(&c->handshake);
	for (unsigned k = 0; k < NBD_N_SLOTS; k++) {
		struct nbd_slot *slot = &c->slots[k];

		slot->client = c;
		slot->mem = c->pool.mem + (size_t)k * NBD_SLOT_BYTES;
		list_append(&c->free_slots, &slot->node);
	}
}

void nbd_client_new(struct nbd_server *s, int fd)
{
	struct nbd_client *c = calloc(1, sizeof(*c));

	if (!c ||
	    io_pool_new(&c->pool, s->loop, (size_t)NBD_N_SLOTS * NBD_SLOT_BYTES, &c->n_busy)) {
		close(fd);
		free(c);
		return;
	}
	client_init(c, s, fd);
	if (loop_timer_set(s->loop, &c->patience, loop_now_ns(s->loop) + HANDSHAKE_NS) ||
	    loop_fd_add(s->loop, &c->fd)) {
		loop_timer_cancel(s->loop, &c->patience);
		io_pool_free(&c->pool);
		close(fd);
		free(c);
		return;
	}
	list_append(&s->clients, &c->node);
	atomic_fetch_add(&s->n_clients, 1);
	loop_defer(s->loop, &c->send);
}
