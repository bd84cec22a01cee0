/* SPDX-License-Identifier: MIT */
/*
 * Clients of the socket: who gets in when it is crowded, and who may stay
 *
 * Built with the server's source and a short limit. Other users are threads' own
 * credentials, so that the server goes on being root.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/loop.h"
#include "service/rpc.h"

#define LONG_MS 20000
#define PLACES  4
#define KEPT    8

static char dir[64], path[96];
static struct rpc_server *server;

static int setup(void **state)
{
	struct rpc_cfg cfg = {
		.socket_path = path, .mode = 0666, .group = "", .max_clients = PLACES};
	char why[400];

	strcpy(dir, "/tmp/test-rpc-XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0711) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return rpc_start(&server, &cfg, why, sizeof(why));
}

static int teardown(void **state)
{
	bool stopped = rpc_stop(server, 10 * NS_PER_S);

	rmdir(dir);
	return stopped ? 0 : -1;
}

/* The system call alone: of this thread only. */
static void become(uid_t uid)
{
	assert_return_code(syscall(SYS_setresuid, -1, uid, -1), errno);
}

static struct varlink_conn *connect_as(uid_t uid)
{
	struct varlink_conn *c = NULL;
	int r;

	if (uid)
		become(uid);
	r = varlink_connect(&c, path, LONG_MS);
	if (uid)
		become(0);
	assert_int_equal(r, 0);
	return c;
}

static int ask(struct varlink_conn *c)
{
	json_t *reply = NULL;
	char *error = NULL;
	int r = varlink_call(c, "org.varlink.service.GetInfo", NULL, &reply, &error, LONG_MS);

	if (r == 0)
		assert_null(error);
	json_decref(reply);
	return r;
}

static void half_a_message_is_not_waited_for(void **state)
{
	struct varlink_conn *idle = connect_as(0), *half = connect_as(0), *next = connect_as(0);
	static const char two[] = "{\"method\":\"org.varlink.service.GetInfo\"}\0{";
	json_t *msg;
	uint64_t began_ns;

	assert_int_equal(ask(idle), 0);
	began_ns = clock_now_ns();
	assert_int_equal(send(varlink_conn_fd(half), "{\"method\":", 10, 0), 10);
	/* whole, and half of another in one piece */
	assert_return_code(send(varlink_conn_fd(next), two, sizeof(two) - 1, 0), errno);
	assert_int_equal(varlink_recv(half, &msg, LONG_MS), -EPIPE);
	assert_true(clock_now_ns() - began_ns >= MESSAGE_MS * NS_PER_MS);
	assert_int_equal(varlink_recv(next, &msg, LONG_MS), 0);
	json_decref(msg);
	assert_int_equal(varlink_recv(next, &msg, LONG_MS), -EPIPE);
	/* who says nothing at all, may stay */
	assert_int_equal(ask(idle), 0);
	varlink_conn_free(idle);
	varlink_conn_free(half);
	varlink_conn_free(next);
}

static void a_crowd_does_not_keep_root_out(void **state)
{
	struct varlink_conn *v[PLACES + KEPT], *late;
	size_t n = 0;

	if (geteuid() != 0) {
		print_message("skipped: needs root\n");
		skip();
	}
	for (uid_t uid = 60001; uid <= 60002; uid++) {
		for (size_t i = 0; i < PLACES / 2; i++) {
			v[n] = connect_as(uid);
			assert_int_equal(ask(v[n++]), 0);
		}
		late = connect_as(uid); /* it has its half */
		assert_int_equal(ask(late), -EPIPE);
		varlink_conn_free(late);
	}
	late = connect_as(60003);
	assert_int_equal(ask(late), -EPIPE);
	varlink_conn_free(late);
	while (n < PLACES + KEPT) {
		v[n] = connect_as(0);
		assert_int_equal(ask(v[n++]), 0);
	}
	/* it has a bound for root, too */
	late = connect_as(0);
	assert_int_equal(ask(late), -EPIPE);
	varlink_conn_free(late);
	for (size_t i = 0; i < n; i++)
		varlink_conn_free(v[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(half_a_message_is_not_waited_for),
		TEST(a_crowd_does_not_keep_root_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
