/* SPDX-License-Identifier: MIT */
/*
 * The socket, and the engine's connection on it
 *
 * Input is read where the engine wants it until the socket has no more, or until
 * others of the same loop should have their turn. Output is written once, at the
 * end of the turn, so that everything the turn has queued goes with one system
 * call; EPOLLOUT is asked for only while the socket is full.
 */
#include "initiator/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define RX_IOV    64
#define TX_IOV    256
#define RX_ROUNDS 32 /* system calls of one connection in one turn */
#define TX_ROUNDS 32
#define FIRST_CID 1

static size_t iov_bytes(const struct iovec *iov, size_t n_iov)
{
	size_t n = 0;

	for (size_t k = 0; k < n_iov; k++)
		n += iov[k].iov_len;
	return n;
}

static void transport_failed(struct link *l, int error)
{
	l->conn_error = error;
	conn_lost(l->conn,
		  error == -ECONNRESET ? "connection closed by the target" : strerror(-error),
		  loop_now_ns(l->i->loop));
}

static void sock_read(struct link *l)
{
	struct initiator *i = l->i;
	struct iovec iov[RX_IOV];

	for (int round = 0; round < RX_ROUNDS && l->conn; round++) {
		size_t n_iov = conn_rx_want(l->conn, iov, RX_IOV);
		long n;

		if (n_iov == 0)
			break;
		n = tcp_readv(l->sock.fd, iov, n_iov);
		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			transport_failed(l, n == 0 ? -ECONNRESET : (int)n);
			break;
		}
		l->n_bytes += (size_t)n;
		conn_rx_done(l->conn, (size_t)n, loop_now_ns(i->loop));
		events_drain(i);
		if ((size_t)n < iov_bytes(iov, n_iov))
			break; /* that was all */
	}
	events_drain(i);
}

bool sock_flush(struct link *l)
{
	struct initiator *i = l->i;
	struct iovec iov[TX_IOV];
	bool blocked = false, sent = false;

	if (!l->conn || l->sock_blocked)
		return false;
	for (int round = 0;; round++) {
		size_t n_iov = conn_tx_peek(l->conn, iov, TX_IOV, loop_now_ns(i->loop));
		long n;

		if (n_iov == 0)
			break;
		if (round == TX_ROUNDS) {
			blocked = true; /* as far as this turn is concerned */
			break;
		}
		n = tcp_writev(l->sock.fd, iov, n_iov);
		if (n == -EAGAIN) {
			blocked = true;
			break;
		}
		if (n < 0) {
			transport_failed(l, (int)n);
			break;
		}
		sent = true;
		l->n_bytes += (size_t)n;
		conn_tx_done(l->conn, (size_t)n, loop_now_ns(i->loop));
		if ((size_t)n < iov_bytes(iov, n_iov)) {
			blocked = true;
			break;
		}
	}
	l->sock_blocked = blocked;
	if (conn_alive(l->conn)) {
		int r = loop_fd_events(i->loop, &l->sock, EPOLLIN | (blocked ? EPOLLOUT : 0u));

		if (r)
			transport_failed(l, r);
	}
	events_drain(i);
	return sent;
}

/*
 * Targets tell connections of a session apart by CID, and some do not survive seeing that
 * of a connection again which they have not noticed to be dead.
 */
static uint16_t next_cid(const struct initiator *i)
{
	uint16_t cid = i->last_cid;
	bool taken;

	do {
		const struct link *l;

		cid = cid == UINT16_MAX ? FIRST_CID : cid + 1;
		taken = false;
		list_for_each (l, &i->links, node)
			taken |= l->conn && conn_cid(l->conn) == cid;
	} while (taken);
	return cid;
}

static const struct initiator_path *path_to(const struct initiator *i, const struct tcp_addr *addr)
{
	for (unsigned k = 0; k < i->paths.n; k++)
		if (tcp_addr_equal(&i->paths.v[k].addr, addr))
			return &i->paths.v[k];
	return &i->paths.others;
}

static int conn_make(struct link *l)
{
	struct initiator *i = l->i;
	const struct initiator_path *path = path_to(i, &l->peer);
	uint16_t cid = session_is_up(i) ? next_cid(i) : FIRST_CID;
	int r = conn_new(&l->conn, i->session, cid);

	if (r)
		return r;
	i->last_cid = cid;
	conn_set_path(l->conn, !path->inactive, path->weight);
	conn_set_digests(l->conn, l->has_header_digest ? (int)l->header_digest : -1,
			 l->has_data_digest ? (int)l->data_digest : -1);
	return 0;
}

static void begin_login(struct link *l)
{
	struct initiator *i = l->i;
	int r = tcp_connect_result(l->sock.fd);

	if (!r)
		r = tcp_local_addr(l->sock.fd, &l->local);
	if (!r)
		r = tcp_peer_addr(l->sock.fd, &l->peer);
	if (!r)
		r = loop_fd_events(i->loop, &l->sock, EPOLLIN);
	if (!r)
		r = conn_make(l);
	if (r) {
		sock_close(l);
		attempt_failed(l, r, 0, false,
			       r == -EBUSY ? "the session has as many connections as were agreed on"
					   : strerror(-r));
		return;
	}
	attempt_connected(l);
	conn_start(l->conn, loop_now_ns(i->loop));
}

static void sock_ready(struct loop_fd *f, uint32_t events)
{
	struct link *l = CONTAINER_OF(f, struct link, sock);

	if (!l->conn) {
		if (l->state == LINK_CONNECTING && l->i->state != INITIATOR_CLOSING)
			begin_login(l);
	} else {
		if (events & EPOLLOUT)
			l->sock_blocked = false;
		if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
			sock_read(l);
	}
	initiator_wake(l->i);
}

void sock_connect(struct link *l, const struct tcp_addr *to)
{
	int fd = -1;
	int r = tcp_connect(to, &fd);

	if (!r) {
		l->sock = (struct loop_fd){.fd = fd, .events = EPOLLOUT, .ready = sock_ready};
		l->sock_blocked = false;
		l->conn_error = 0;
		r = loop_fd_add(l->i->loop, &l->sock);
		if (r)
			close(fd);
		else
			l->sock_open = true;
	}
	if (r)
		attempt_failed(l, r, 0, false, strerror(-r));
}

void sock_close(struct link *l)
{
	l->conn = conn_free(l->conn);
	if (!l->sock_open)
		return;
	loop_fd_remove(l->i->loop, &l->sock);
	close(l->sock.fd);
	l->sock_open = false;
}

/*
 * A timer that is too early costs one idle turn; moving it for every PDU would cost
 * more. So here it is only ever made to fire earlier.
 */
void engine_rearm(struct initiator *i)
{
	uint64_t deadline_ns = session_deadline_ns(i->session);

	if (deadline_ns < i->engine_timer.deadline_ns)
		(void)loop_timer_set(i->loop, &i->engine_timer, deadline_ns);
}

void engine_fire(struct loop_timer *t)
{
	struct initiator *i = CONTAINER_OF(t, struct initiator, engine_timer);

	(void)loop_timer_set(i->loop, t, TIMER_PARKED);
	i->ticking = true;
	session_tick(i->session, loop_now_ns(i->loop));
	events_drain(i);
	i->ticking = false;
	initiator_wake(i); /* sends, and arms the timer again */
}
