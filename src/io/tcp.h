/* SPDX-License-Identifier: MIT */
/*
 * TCP streams, non-blocking
 *
 * Only what differs from plain system calls: connecting with the options we
 * want, and reading and writing vectors with one convention for results.
 */
#ifndef IO_TCP_H
#define IO_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct tcp_addr {
	struct sockaddr_storage ss;
	socklen_t n_ss;
};

/**
 * tcp_connect() - start a connection
 * @to:        address and port
 * @ret_fd:    a non-blocking CLOEXEC socket with TCP_NODELAY, keepalive and a
 *             TCP_USER_TIMEOUT, connecting
 *
 * Writable means done; then ask tcp_connect_result().
 * Return: 0 or -errno (an immediate refusal counts as one).
 */
int tcp_connect(const struct tcp_addr *to, int *ret_fd);
/* 0, or the -errno that the connection attempt ended with. */
int tcp_connect_result(int fd);

/* Return: bytes moved (> 0), -EAGAIN when it would block, 0 from tcp_readv() at end of stream, else
 * -errno. */
long tcp_readv(int fd, const struct iovec *iov, size_t n_iov);
long tcp_writev(int fd, const struct iovec *iov, size_t n_iov); /* no SIGPIPE */

/**
 * tcp_resolve() - name or literal to addresses; blocks, for control threads only
 * @host:   IPv4 or IPv6 literal (with or without brackets, with %scope) or DNS name
 *
 * Return: number of addresses written (at least 1), -ENOENT when the name does
 * not resolve, else -errno.
 */
int tcp_resolve(const char *host, uint16_t port, struct tcp_addr *ret, size_t n_max);

/*
 * The same for literals only: asks nobody, so a loop thread may call it.
 * Return: 0; -ENOENT when @host is a name; -EINVAL when it is neither.
 */
int tcp_literal(const char *host, uint16_t port, struct tcp_addr *ret);

/* The address as text without port, IPv6 without brackets; @n at least 64. */
void tcp_addr_text(const struct tcp_addr *a, char *buf, size_t n);
/* The same with the port: "192.0.2.1:3260", "[2001:db8::1]:3260"; @n at least TCP_ADDR_TEXT. */
#define TCP_ADDR_TEXT 76
void tcp_addr_text_port(const struct tcp_addr *a, char *buf, size_t n);
uint16_t tcp_addr_port(const struct tcp_addr *a);
bool tcp_addr_equal(const struct tcp_addr *a,
		    const struct tcp_addr *b); /* address, scope and port */
/* Addresses of the two ends of a connected socket. Return: 0 or -errno. */
int tcp_local_addr(int fd, struct tcp_addr *ret);
int tcp_peer_addr(int fd, struct tcp_addr *ret);
/* Bytes of payload that TCP puts into a segment at most; 0: not known. */
uint32_t tcp_mss(int fd);

#endif
