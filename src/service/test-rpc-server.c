/* SPDX-License-Identifier: MIT */
/*
 * Clients of the socket: who gets in when it is crowded, and who may stay
 *
 * Built with the server's source and a short limit. Other users are threads' own
 * credentials, so that the server goes on being root.
 */
#include <errno.h>
#include <sched.h>
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

#include "base/cleanup.h"
#include "io/loop.h"
#include "service/rpc.h"

#define LONG_MS 20000
#define PLACES  4
#define KEPT    8

static char dir[64], path[96];
static struct rpc_server *server;

#define IDLE_MS 1000

static int server_start(bool others_may_read, unsigned idle_ms)
{
	struct rpc_cfg cfg = {
		.socket_path = path,
		.mode = 0666,
		.group = "",
		.max_clients = PLACES,
		.others_may_read = others_may_read,
		.idle_timeout_ns = idle_ms * NS_PER_MS,
	};
	char why[400];

	strcpy(dir, "/tmp/test-rpc-XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0711) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return rpc_start(&server, &cfg, why, sizeof(why));
}

static int setup(void **state)
{
	return server_start(true, 0);
}

static int setup_idle(void **state)
{
	return server_start(true, IDLE_MS);
}

static int setup_closed(void **state)
{
	return server_start(false, 0);
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

/* The server counts a call as over only some time after its answer is here. */
static void settle(void)
{
	uint64_t end_ns = clock_now_ns() + LONG_MS * NS_PER_MS;

	while (rpc_n_busy(server) > 0) {
		assert_true(clock_now_ns() < end_ns);
		sched_yield();
	}
}

/* For who is idle for how long to be certain. */
static void ask_alone(struct varlink_conn *c)
{
	assert_int_equal(ask(c), 0);
	settle();
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

static bool needs_root(void)
{
	if (geteuid() == 0)
		return true;
	print_message("skipped: needs root\n");
	skip();
	return false;
}

static void a_crowd_does_not_keep_root_out(void **state)
{
	struct varlink_conn *v[PLACES + KEPT], *late;
	size_t n = 0;

	if (!needs_root())
		return;
	for (uid_t uid = 60001; uid <= 60002; uid++) {
		for (size_t i = 0; i < PLACES / 2; i++) {
			v[n] = connect_as(uid);
			assert_int_equal(ask(v[n++]), 0);
		}
		late = connect_as(uid); /* it has its half */
		assert_int_equal(ask(late), -EPIPE);
		varlink_conn_free(late);
	}
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

static bool was_closed(struct varlink_conn *c)
{
	json_t *msg;

	return varlink_recv(c, &msg, LONG_MS) == -EPIPE;
}

static void who_has_much_makes_room(void **state)
{
	struct varlink_conn *a[2], *b[2], *third, *fourth, *late;

	if (!needs_root())
		return;
	for (size_t i = 0; i < 2; i++) {
		a[i] = connect_as(60001);
		ask_alone(a[i]);
	}
	for (size_t i = 0; i < 2; i++) {
		b[i] = connect_as(60002);
		ask_alone(b[i]);
	}
	/* the other one has now been idle for longer */
	ask_alone(a[0]);
	third = connect_as(60003);
	ask_alone(third);
	assert_true(was_closed(a[1]));
	ask_alone(a[0]);
	/* two for one, one for each of the others: a second one would be greedy */
	late = connect_as(60003);
	assert_int_equal(ask(late), -EPIPE);
	varlink_conn_free(late);
	fourth = connect_as(60004);
	assert_int_equal(ask(fourth), 0);
	assert_true(was_closed(b[0]));
	/* one for each: now it is full */
	late = connect_as(60005);
	assert_int_equal(ask(late), -EPIPE);
	varlink_conn_free(late);
	assert_int_equal(ask(a[0]), 0);
	assert_int_equal(ask(b[1]), 0);
	assert_int_equal(ask(third), 0);
	assert_int_equal(ask(fourth), 0);
	for (size_t i = 0; i < 2; i++) {
		varlink_conn_free(a[i]);
		varlink_conn_free(b[i]);
	}
	varlink_conn_free(third);
	varlink_conn_free(fourth);
}

/*
 * Asks again and again, for several times the bound. False: the machine itself let more time
 * pass than the bound between two of them.
 */
static bool keeps_asking(struct varlink_conn *c)
{
	uint64_t began_ns = clock_now_ns(), last_ns = began_ns;

	while (last_ns - began_ns < 2 * IDLE_MS * NS_PER_MS) {
		int r = ask(c);
		uint64_t now_ns = clock_now_ns();

		if (r && now_ns - last_ns >= IDLE_MS * NS_PER_MS)
			return false;
		assert_int_equal(r, 0);
		last_ns = now_ns;
		usleep(IDLE_MS * 1000 / 8);
	}
	return true;
}

static void who_is_idle_is_closed(void **state)
{
	struct varlink_conn *idle = connect_as(0), *asks = connect_as(0);
	uint64_t began_ns;
	unsigned n = 0;

	while (!keeps_asking(asks)) {
		assert_true(++n < 5);
		varlink_conn_free(asks);
		asks = connect_as(0);
	}
	assert_true(was_closed(idle));
	varlink_conn_free(asks);
	asks = connect_as(0);
	began_ns = clock_now_ns();
	assert_int_equal(ask(asks), 0);
	assert_true(was_closed(asks));
	assert_true(clock_now_ns() - began_ns >= IDLE_MS * NS_PER_MS);
	varlink_conn_free(idle);
	varlink_conn_free(asks);
}

#define NOT_THERE (-1) /* the method is only planned */

/* The code with which @method is refused, 0 for none. */
static json_int_t refusal_of(struct varlink_conn *c, const char *method)
{
	json_t *reply = NULL;
	char *error = NULL;
	json_int_t code = 0;

	assert_int_equal(varlink_call(c, method, NULL, &reply, &error, LONG_MS), 0);
	if (error && strcmp(error, "org.varlink.service.MethodNotFound") == 0)
		code = NOT_THERE;
	else if (error)
		code = json_integer_value(json_object_get(reply, "code"));
	free(error);
	json_decref(reply);
	return code;
}

static void others_read(void **state)
{
	struct varlink_conn *c;

	if (!needs_root())
		return;
	c = connect_as(60001);
	assert_int_equal(refusal_of(c, VARLINK_INTERFACE ".GetVersion"), 0);
	assert_int_equal(refusal_of(c, VARLINK_INTERFACE ".SetNodeName"), WIN_ACCESS_DENIED);
	varlink_conn_free(c);
}

static void others_do_not_even_read(void **state)
{
	struct varlink_conn *c, *root;

	if (!needs_root())
		return;
	c = connect_as(60001);
	root = connect_as(0);
	assert_int_equal(refusal_of(c, VARLINK_INTERFACE ".GetVersion"), WIN_ACCESS_DENIED);
	assert_int_equal(refusal_of(c, VARLINK_INTERFACE ".SetNodeName"), WIN_ACCESS_DENIED);
	assert_int_equal(refusal_of(c, "org.varlink.service.GetInfo"), 0);
	assert_int_equal(refusal_of(root, VARLINK_INTERFACE ".GetVersion"), 0);
	varlink_conn_free(c);
	varlink_conn_free(root);
}

/* Every method, not only those that somebody thought of: what is not for reading is refused. */
static void each_change_needs_rights(void **state)
{
	static const char *const reads[] = {"Get", "List", "Scsi", "Subscribe"};
	const char *at = interface_description;
	struct varlink_conn *c;
	unsigned n = 0;

	if (!needs_root())
		return;
	c = connect_as(60001);
	while ((at = strstr(at, "\nmethod "))) {
		char method[128];
		bool reading = false;
		json_int_t code;

		at += 8;
		snprintf(method, sizeof(method), "%s.%.*s", VARLINK_INTERFACE,
			 (int)strcspn(at, "("), at);
		for (size_t i = 0; i < ARRAY_SIZE(reads); i++)
			reading = reading || strncmp(at, reads[i], strlen(reads[i])) == 0;
		if (reading)
			continue;
		code = refusal_of(c, method);
		if (code != WIN_ACCESS_DENIED && code != NOT_THERE)
			fail_msg("%s is done for everybody", method);
		n++;
	}
	assert_true(n > 20);
	varlink_conn_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(half_a_message_is_not_waited_for),
		TEST(a_crowd_does_not_keep_root_out),
		TEST(who_has_much_makes_room),
		cmocka_unit_test_setup_teardown(who_is_idle_is_closed, setup_idle, teardown),
		TEST(others_read),
		cmocka_unit_test_setup_teardown(others_do_not_even_read, setup_closed, teardown),
		TEST(each_change_needs_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
