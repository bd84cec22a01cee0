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

static size_t iov_bytes(const struct iovec *iov, size_t n_iov)
{
	size_t n = 0;

	for (size_t k = 0; k < n_iov; k++)
		n += iov[k].iov_len;
	return n;
}

static void transport_failed(struct initiator *i, int error)
{
	i->conn_error = error;
	conn_lost(i->conn,
		  error == -ECONNRESET ? "connection closed by the target" : strerror(-error),
		  loop_now_ns(i->loop));
}

static void sock_read(struct initiator *i)
{
	struct iovec iov[RX_IOV];

	for (int round = 0; round < RX_ROUNDS && i->conn; round++) {
		size_t n_iov = conn_rx_want(i->conn, iov, RX_IOV);
		long n;

		if (n_iov == 0)
			break;
		n = tcp_readv(i->sock.fd, iov, n_iov);
		if (n == -EAGAIN)
			break;
		if (n <= 0) {
			transport_failed(i, n == 0 ? -ECONNRESET : (int)n);
			break;
		}
		conn_rx_done(i->conn, (size_t)n, loop_now_ns(i->loop));
		events_drain(i);
		if ((size_t)n < iov_bytes(iov, n_iov))
			break; /* that was all */
	}
	events_drain(i);
}

void sock_flush(struct initiator *i)
{
	struct iovec iov[TX_IOV];
	bool blocked = false;

	if (!i->conn || i->sock_blocked)
		return;
	for (int round = 0;; round++) {
		size_t n_iov = conn_tx_peek(i->conn, iov, TX_IOV, loop_now_ns(i->loop));
		long n;

		if (n_iov == 0)
			break;
		if (round == TX_ROUNDS) {
			blocked = true; /* as far as this turn is concerned */
			break;
		}
		n = tcp_writev(i->sock.fd, iov, n_iov);
		if (n == -EAGAIN) {
			blocked = true;
			break;
		}
		if (n < 0) {
			transport_failed(i, (int)n);
			break;
		}
		conn_tx_done(i->conn, (size_t)n, loop_now_ns(i->loop));
		if ((size_t)n < iov_bytes(iov, n_iov)) {
			blocked = true;
			break;
		}
	}
	i->sock_blocked = blocked;
	if (conn_alive(i->conn)) {
		int r = loop_fd_events(i->loop, &i->sock, EPOLLIN | (blocked ? EPOLLOUT : 0u));

		if (r)
			transport_failed(i, r);
	}
	events_drain(i);
}

static void begin_login(struct initiator *i)
{
	uint64_t now_ns = loop_now_ns(i->loop);
	int r = tcp_connect_result(i->sock.fd);

	if (!r)
		r = tcp_local_addr(i->sock.fd, &i->local);
	if (!r)
		r = tcp_peer_addr(i->sock.fd, &i->peer);
	if (!r)
		r = loop_fd_events(i->loop, &i->sock, EPOLLIN);
	if (!r)
		r = conn_new(&i->conn, i->session, 1);
	if (r) {
		sock_close(i);
		attempt_failed(i, r, 0, false, strerror(-r));
		return;
	}
	attempt_connected(i);
	conn_start(i->conn, now_ns);
}

static void sock_ready(struct loop_fd *f, uint32_t events)
{
	struct initiator *i = CONTAINER_OF(f, struct initiator, sock);

	if (!i->conn) {
		if (i->state == INITIATOR_CONNECTING)
			begin_login(i);
	} else {
		if (events & EPOLLOUT)
			i->sock_blocked = false;
		if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
			sock_read(i);
	}
	initiator_wake(i);
}

void sock_connect(struct initiator *i, const struct tcp_addr *to)
{
	int fd = -1;
	int r = tcp_connect(to, &fd);

	if (!r) {
		i->sock = (struct loop_fd){.fd = fd, .events = EPOLLOUT, .ready = sock_ready};
		i->sock_blocked = false;
		i->conn_error = 0;
		r = loop_fd_add(i->loop, &i->sock);
		if (r)
			close(fd);
		else
			i->sock_open = true;
	}
	if (r)
		attempt_failed(i, r, 0, false, strerror(-r));
}

void sock_close(struct initiator *i)
{
	i->conn = conn_free(i->conn);
	i->logged_in = false;
	if (!i->sock_open)
		return;
	loop_fd_remove(i->loop, &i->sock);
	close(i->sock.fd);
	i->sock_open = false;
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
