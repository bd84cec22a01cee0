/* SPDX-License-Identifier: MIT */
/*
 * TCP streams, non-blocking
 *
 * A dead peer is noticed in three ways: the protocol above pings it, the kernel
 * gives up on data that is not acknowledged (TCP_USER_TIMEOUT), and keepalive
 * probes watch a connection that has nothing to send.
 */
#include "io/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define USER_TIMEOUT_MS  20000
#define KEEPALIVE_IDLE_S 10
#define KEEPALIVE_GAP_S  5
#define KEEPALIVE_COUNT  3
#define HOST_MAX         255

static int set_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_options(int fd)
{
	int r = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);

	if (!r)
		r = set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (!r)
		r = set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	if (!r)
		r = set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_GAP_S);
	if (!r)
		r = set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
	if (!r)
		r = set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS);
	return r;
}

int tcp_connect(const struct tcp_addr *to, int *ret_fd)
{
	CLEANUP(closep) int fd = -1;
	int r;

	fd = socket(to->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -errno;
	r = set_options(fd);
	if (r)
		return r;
	/* An interrupted connect() goes on by itself, like one in progress. */
	if (connect(fd, (const struct sockaddr *)&to->ss, to->n_ss) < 0 && errno != EINPROGRESS &&
	    errno != EINTR)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

bool tcp_addr_equal(const struct tcp_addr *a, const struct tcp_addr *b)
{
	char text_a[64], text_b[64];

	if (a->ss.ss_family != b->ss.ss_family || tcp_addr_port(a) != tcp_addr_port(b))
		return false;
	tcp_addr_text(a, text_a, sizeof(text_a));
	tcp_addr_text(b, text_b, sizeof(text_b));
	return strcmp(text_a, text_b) == 0;
}

int tcp_connect_result(int fd)
{
	struct tcp_addr local, peer;
	int error = 0;
	socklen_t n = sizeof(error);
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		return -errno;
	if (error)
		return -error;
	r = tcp_peer_addr(fd, &peer);
	if (!r)
		r = tcp_local_addr(fd, &local);
	if (r)
		return r;
	/* Where nobody listens on a local port, TCP can connect a socket to itself. */
	return tcp_addr_equal(&local, &peer) ? -ECONNREFUSED : 0;
}

static size_t clamp_iov(size_t n_iov)
{
	return n_iov > IOV_MAX ? IOV_MAX : n_iov;
}

static long io_result(ssize_t n)
{
	if (n >= 0)
		return (long)n;
	return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

long tcp_readv(int fd, const struct iovec *iov, size_t n_iov)
{
	ssize_t n;

	do {
		n = readv(fd, iov, (int)clamp_iov(n_iov));
	} while (n < 0 && errno == EINTR);
	return io_result(n);
}

long tcp_writev(int fd, const struct iovec *iov, size_t n_iov)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = clamp_iov(n_iov)};
	ssize_t n;

	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return io_result(n);
}

static int gai_errno(int gai)
{
	switch (gai) {
	case EAI_MEMORY: return -ENOMEM;
	case EAI_SYSTEM: return errno ? -errno : -EIO;
	default: return -ENOENT;
	}
}

/* @host without brackets. Return: number of addresses or -errno. */
static int lookup(const char *host, uint16_t port, int family, int flags, struct tcp_addr *ret,
		  size_t n_max)
{
	const struct addrinfo hints = {
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP,
		.ai_flags = flags | AI_NUMERICSERV,
	};
	struct addrinfo *found = NULL;
	char service[8];
	size_t n = 0;
	int r;

	snprintf(service, sizeof(service), "%u", (unsigned)port);
	r = getaddrinfo(host, service, &hints, &found);
	if (r)
		return gai_errno(r);
	for (const struct addrinfo *a = found; a && n < n_max; a = a->ai_next) {
		if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
			continue;
		memset(&ret[n], 0, sizeof(ret[n]));
		memcpy(&ret[n].ss, a->ai_addr, a->ai_addrlen);
		ret[n].n_ss = a->ai_addrlen;
		n++;
	}
	freeaddrinfo(found);
	return n > 0 ? (int)n : -ENOENT;
}

/* Takes the brackets off. Return: the family the brackets promise, or -EINVAL. */
static int unbracket(const char *host, char *buf, size_t n_buf)
{
	size_t n = strnlen(host, n_buf);

	if (n == 0 || n >= n_buf)
		return -EINVAL;
	if (host[0] != '[') {
		memcpy(buf, host, n + 1);
		return AF_UNSPEC;
	}
	if (n < 4 || host[n - 1] != ']')
		return -EINVAL;
	memcpy(buf, host + 1, n - 2);
	buf[n - 2] = '\0';
	return AF_INET6;
}

int tcp_literal(const char *host, uint16_t port, struct tcp_addr *ret)
{
	char buf[HOST_MAX + 3];
	int family = unbracket(host, buf, sizeof(buf));
	int r;

	if (family < 0)
		return family;
	r = lookup(buf, port, family, AI_NUMERICHOST, ret, 1);
	return r < 0 ? r : 0;
}

int tcp_resolve(const char *host, uint16_t port, struct tcp_addr *ret, size_t n_max)
{
	char buf[HOST_MAX + 3];
	int family = unbracket(host, buf, sizeof(buf));
	int r;

	if (family < 0)
		return family;
	if (n_max == 0)
		return -EINVAL;
	/* A literal never goes to a name server, and brackets hold nothing else. */
	r = lookup(buf, port, family, AI_NUMERICHOST, ret, n_max);
	if (r == -ENOENT && family == AF_UNSPEC)
		r = lookup(buf, port, family, 0, ret, n_max);
	return r;
}

void tcp_addr_text(const struct tcp_addr *a, char *buf, size_t n)
{
	if (getnameinfo((const struct sockaddr *)&a->ss, a->n_ss, buf, (socklen_t)n, NULL, 0,
			NI_NUMERICHOST) != 0)
		snprintf(buf, n, "?");
}

void tcp_addr_text_port(const struct tcp_addr *a, char *buf, size_t n)
{
	char host[64];

	tcp_addr_text(a, host, sizeof(host));
	snprintf(buf, n, a->ss.ss_family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
		 (unsigned)tcp_addr_port(a));
}

uint16_t tcp_addr_port(const struct tcp_addr *a)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	switch (a->ss.ss_family) {
	case AF_INET: memcpy(&in, &a->ss, sizeof(in)); return ntohs(in.sin_port);
	case AF_INET6: memcpy(&in6, &a->ss, sizeof(in6)); return ntohs(in6.sin6_port);
	default: return 0;
	}
}

int tcp_local_addr(int fd, struct tcp_addr *ret)
{
	struct tcp_addr a = {.n_ss = sizeof(a.ss)};

	if (getsockname(fd, (struct sockaddr *)&a.ss, &a.n_ss) < 0)
		return -errno;
	*ret = a;
	return 0;
}

int tcp_peer_addr(int fd, struct tcp_addr *ret)
{
	struct tcp_addr a = {.n_ss = sizeof(a.ss)};

	if (getpeername(fd, (struct sockaddr *)&a.ss, &a.n_ss) < 0)
		return -errno;
	*ret = a;
	return 0;
}

uint32_t tcp_mss(int fd)
{
	int mss = 0;
	socklen_t n = sizeof(mss);

	if (getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &n) < 0 || mss < 0)
		return 0;
	return (uint32_t)mss;
}
