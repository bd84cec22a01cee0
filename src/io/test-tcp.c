/* SPDX-License-Identifier: MIT */
/*
 * Tests of the TCP helpers, over loopback
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/tcp.h"

static int listen_any(struct tcp_addr *ret)
{
	struct tcp_addr a;
	int fd;

	assert_int_equal(tcp_resolve("127.0.0.1", 0, &a, 1), 1);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a.ss, a.n_ss), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(tcp_local_addr(fd, ret), 0);
	return fd;
}

static void wait_writable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	assert_int_equal(poll(&p, 1, 10000), 1);
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t n = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &n), 0);
	return value;
}

static void connects_with_its_options(void **state)
{
	struct tcp_addr to, local, peer;
	int server = listen_any(&to);
	int fd = -1, conn;

	assert_int_equal(tcp_connect(&to, &fd), 0);
	wait_writable(fd);
	assert_int_equal(tcp_connect_result(fd), 0);
	conn = accept(server, NULL, NULL);
	assert_true(conn >= 0);

	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_true(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT) > 0);
	assert_int_equal(tcp_peer_addr(fd, &peer), 0);
	assert_true(tcp_addr_equal(&peer, &to));
	assert_int_equal(tcp_local_addr(fd, &local), 0);
	assert_false(tcp_addr_equal(&local, &to));
	assert_in_range(tcp_mss(fd), 500, 65535);
	assert_int_equal(tcp_mss(-1), 0);
	close(fd);
	close(conn);
	close(server);
}

static void moves_vectors_with_one_convention(void **state)
{
	struct tcp_addr to;
	int server = listen_any(&to);
	int fd = -1, conn;
	char a[4] = "abc", b[4] = "def", in[16];
	const struct iovec out[2] = {{a, 3}, {b, 3}};
	struct iovec iov[2] = {{in, 2}, {in + 2, 14}};
	static char lots[1 << 20];
	const struct iovec big = {lots, sizeof(lots)};
	long n;

	assert_int_equal(tcp_connect(&to, &fd), 0);
	wait_writable(fd);
	conn = accept4(server, NULL, NULL, SOCK_NONBLOCK);
	assert_true(conn >= 0);

	assert_int_equal(tcp_readv(fd, iov, 2), -EAGAIN);
	assert_int_equal(tcp_writev(fd, out, 2), 6);
	assert_int_equal(poll(&(struct pollfd){.fd = conn, .events = POLLIN}, 1, 10000), 1);
	assert_int_equal(tcp_readv(conn, iov, 2), 6);
	assert_memory_equal(in, "abcdef", 6);

	do {
		n = tcp_writev(fd, &big, 1);
	} while (n > 0);
	assert_int_equal(n, -EAGAIN);

	/* Unread data makes this a reset; writing to it must not raise SIGPIPE. */
	close(conn);
	assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 10000), 1);
	assert_int_equal(tcp_readv(fd, iov, 2), -ECONNRESET);
	assert_int_equal(tcp_writev(fd, out, 2), -EPIPE);
	close(fd);

	assert_int_equal(tcp_connect(&to, &fd), 0);
	wait_writable(fd);
	conn = accept(server, NULL, NULL);
	close(conn);
	assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 10000), 1);
	assert_int_equal(tcp_readv(fd, iov, 2), 0);
	close(fd);
	close(server);
}

static void a_dead_port_refuses(void **state)
{
	struct tcp_addr to;
	int fd = -1, r;

	close(listen_any(&to));
	r = tcp_connect(&to, &fd);
	if (!r) {
		wait_writable(fd);
		r = tcp_connect_result(fd);
		close(fd);
	}
	assert_int_equal(r, -ECONNREFUSED);
}

/* Bind to a port and connect to it: TCP joins the two ends into one socket. */
static void a_socket_connected_to_itself_is_refused(void **state)
{
	struct tcp_addr a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(tcp_resolve("127.0.0.1", 0, &a, 1), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a.ss, a.n_ss), 0);
	assert_int_equal(tcp_local_addr(fd, &a), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a.ss, a.n_ss), 0);
	assert_int_equal(tcp_connect_result(fd), -ECONNREFUSED);
	close(fd);
}

static void literals(void **state)
{
	static const struct {
		const char *host, *text, *text_port;
	} good[] = {
		{"192.0.2.7", "192.0.2.7", "192.0.2.7:3260"},
		{"2001:db8::1", "2001:db8::1", "[2001:db8::1]:3260"},
		{"[2001:db8::1]", "2001:db8::1", "[2001:db8::1]:3260"},
		{"[fe80::1%lo]", "fe80::1%lo", "[fe80::1%lo]:3260"},
		{"fe80::1%1", "fe80::1%lo", "[fe80::1%lo]:3260"},
	};
	static const struct {
		const char *host;
		int error;
	} bad[] = {
		{"", -EINVAL},
		{"[]", -EINVAL},
		{"[::1", -EINVAL},
		{"[192.0.2.7]", -ENOENT},
		{"[example.org]", -ENOENT},
		{"no.such.name.invalid", -ENOENT},
		{"::1::", -ENOENT},
	};
	struct tcp_addr a;
	char text[TCP_ADDR_TEXT];

	for (size_t k = 0; k < sizeof(good) / sizeof(good[0]); k++) {
		assert_int_equal(tcp_resolve(good[k].host, 3260, &a, 1), 1);
		tcp_addr_text(&a, text, sizeof(text));
		assert_string_equal(text, good[k].text);
		tcp_addr_text_port(&a, text, sizeof(text));
		assert_string_equal(text, good[k].text_port);
		assert_int_equal(tcp_addr_port(&a), 3260);
		assert_int_equal(tcp_literal(good[k].host, 3260, &a), 0);
	}
	for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
		assert_int_equal(tcp_literal(bad[k].host, 3260, &a), bad[k].error);
		assert_int_equal(tcp_resolve(bad[k].host, 3260, &a, 1), bad[k].error);
	}
}

static void names(void **state)
{
	struct tcp_addr a[8];
	char too_long[400];
	int n = tcp_resolve("localhost", 3260, a, 8);

	assert_in_range(n, 1, 8);
	assert_int_equal(tcp_addr_port(&a[0]), 3260);
	assert_int_equal(tcp_literal("localhost", 3260, a), -ENOENT);
	assert_int_equal(tcp_resolve("localhost", 3260, a, 0), -EINVAL);
	memset(too_long, 'a', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	assert_int_equal(tcp_resolve(too_long, 3260, a, 8), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connects_with_its_options),
		cmocka_unit_test(moves_vectors_with_one_convention),
		cmocka_unit_test(a_dead_port_refuses),
		cmocka_unit_test(a_socket_connected_to_itself_is_refused),
		cmocka_unit_test(literals),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
