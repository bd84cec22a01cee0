/* SPDX-License-Identifier: MIT */
/*
 * Varlink framing and message shapes, over socket pairs
 */
#include "varlink/varlink.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define SOON_MS 20    /* for what must not happen */
#define LONG_MS 20000 /* for what must happen */

struct pair {
	struct varlink_conn *c;
	int peer; /* the raw other end */
};

static struct pair pair_open(void)
{
	struct pair p;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(varlink_conn_new(&p.c, fd[0]), 0);
	p.peer = fd[1];
	return p;
}

static void pair_close(struct pair *p)
{
	varlink_conn_free(p->c);
	if (p->peer >= 0)
		close(p->peer);
}

static void peer_write(struct pair *p, const void *bytes, size_t n)
{
	assert_int_equal(write(p->peer, bytes, n), n);
}

static void peer_hang_up(struct pair *p)
{
	close(p->peer);
	p->peer = -1;
}

/* What the peer has received, up to and with the NUL. */
static char *peer_read(struct pair *p)
{
	static char text[4096];
	size_t n = 0;

	do {
		assert_true(n < sizeof(text));
		assert_int_equal(read(p->peer, text + n, 1), 1);
	} while (text[n++]);
	return text;
}

static void expect_method(struct varlink_conn *c, const char *method)
{
	json_t *msg;

	assert_int_equal(varlink_recv(c, &msg, LONG_MS), 0);
	assert_string_equal(json_string_value(json_object_get(msg, "method")), method);
	json_decref(msg);
}

static void expect_error(struct varlink_conn *c, int error)
{
	json_t *untouched = (json_t *)&error;
	json_t *msg = untouched;

	assert_int_equal(varlink_recv(c, &msg, SOON_MS), error);
	assert_ptr_equal(msg, untouched);
}

static void message_split_at_every_byte(void **state)
{
	static const char msg[] = "{\"method\":\"a.B.\xc3\xa9\",\"parameters\":{\"x\":[1,\"}\"]}}";

	for (size_t at = 1; at < sizeof(msg); at++) {
		struct pair p = pair_open();

		peer_write(&p, msg, at);
		expect_error(p.c, -ETIMEDOUT);
		peer_write(&p, msg + at, sizeof(msg) - at);
		expect_method(p.c, "a.B.\xc3\xa9");
		pair_close(&p);
	}
}

static void message_byte_by_byte(void **state)
{
	static const char msg[] = "{\"method\":\"a.B.C\"}";
	struct pair p = pair_open();

	for (size_t at = 0; at + 1 < sizeof(msg); at++) {
		json_t *none;

		peer_write(&p, msg + at, 1);
		assert_int_equal(varlink_recv(p.c, &none, 0), -ETIMEDOUT);
	}
	peer_write(&p, "", 1);
	expect_method(p.c, "a.B.C");
	pair_close(&p);
}

static void two_messages_in_one_read(void **state)
{
	static const char msgs[] =
		"{\"method\":\"a.B.One\"}\0{\"method\":\"a.B.Two\"}\0{\"method\":";
	static const char rest[] = "\"a.B.Three\"}";
	struct pair p = pair_open();

	peer_write(&p, msgs, sizeof(msgs) - 1);
	expect_method(p.c, "a.B.One");
	expect_method(p.c, "a.B.Two");
	expect_error(p.c, -ETIMEDOUT);
	peer_write(&p, rest, sizeof(rest));
	expect_method(p.c, "a.B.Three");
	pair_close(&p);
}

static void waiting_ends_when_a_message_begins(void **state)
{
	struct pair p = pair_open();

	assert_int_equal(varlink_wait(p.c, SOON_MS), -ETIMEDOUT);
	peer_write(&p, "{\"method\":", 10);
	assert_int_equal(varlink_wait(p.c, LONG_MS), 0);
	expect_error(p.c, -ETIMEDOUT);
	/* what was read already is a beginning too */
	assert_int_equal(varlink_wait(p.c, SOON_MS), 0);
	peer_write(&p, "\"a.B.C\"}", 9);
	expect_method(p.c, "a.B.C");
	assert_int_equal(varlink_wait(p.c, SOON_MS), -ETIMEDOUT);
	peer_hang_up(&p);
	assert_int_equal(varlink_wait(p.c, LONG_MS), 0);
	expect_error(p.c, -EPIPE);
	assert_int_equal(varlink_wait(p.c, LONG_MS), 0);
	pair_close(&p);
}

static void nul_missing_before_the_end(void **state)
{
	struct pair p = pair_open();

	peer_write(&p, "{\"method\":\"a.B.C\"}", 18);
	peer_hang_up(&p);
	expect_error(p.c, -EPIPE);
	expect_error(p.c, -EPIPE);
	pair_close(&p);
}

static void peer_gone(void **state)
{
	struct pair p = pair_open();
	json_t *msg = json_pack("{s:s}", "method", "a.B.C");

	peer_hang_up(&p);
	expect_error(p.c, -EPIPE);
	/* and no signal ends the process */
	assert_int_equal(varlink_send(p.c, msg, SOON_MS), -EPIPE);
	json_decref(msg);
	pair_close(&p);
}

static void message_before_the_peer_went_is_still_read(void **state)
{
	struct pair p = pair_open();

	peer_write(&p, "{\"method\":\"a.B.Last\"}", 22);
	peer_hang_up(&p);
	expect_method(p.c, "a.B.Last");
	expect_error(p.c, -EPIPE);
	pair_close(&p);
}

static void not_json_and_not_an_object(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"1",
		"\"x\"",
		"null",
		"nonsense",
		"{\"a\":1,\"a\":2}",
		"{}{}",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":99999999999999999999}",
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\xed\xa0\x80\"}",
	};
	struct pair p = pair_open();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		peer_write(&p, bad[i], strlen(bad[i]) + 1);
		expect_error(p.c, -EBADMSG);
	}
	/* the frame was sound each time, so the next message is found */
	peer_write(&p, "{\"method\":\"a.B.C\"}", 19);
	expect_method(p.c, "a.B.C");
	pair_close(&p);
}

static void deep_nesting_is_refused(void **state)
{
	enum {
		DEPTH = 100000
	};
	char *text = malloc(DEPTH + 1);
	struct pair p = pair_open();
	int room = 4 * DEPTH;

	assert_non_null(text);
	memset(text, '[', DEPTH);
	text[DEPTH] = '\0';
	assert_int_equal(setsockopt(p.peer, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	peer_write(&p, text, DEPTH + 1);
	expect_error(p.c, -EBADMSG);
	free(text);
	pair_close(&p);
}

struct flood {
	int fd;
	size_t n;
};

/* Writes n spaces and no NUL, then a message; gives up when nobody reads. */
static void *flood_run(void *arg)
{
	struct flood *f = arg;
	char blank[4096];

	memset(blank, ' ', sizeof(blank));
	while (f->n > 0) {
		ssize_t k = send(f->fd, blank, f->n < sizeof(blank) ? f->n : sizeof(blank),
				 MSG_NOSIGNAL);

		if (k <= 0)
			return NULL;
		f->n -= (size_t)k;
	}
	send(f->fd, "{\"method\":\"a.B.C\"}", 19, MSG_NOSIGNAL);
	return NULL;
}

static void flood_against(size_t limit, size_t n_blank, int expected)
{
	struct pair p = pair_open();
	struct flood f = {.fd = p.peer, .n = n_blank};
	pthread_t thread;
	json_t *msg;
	int r;

	if (limit)
		varlink_conn_limit(p.c, limit);
	assert_int_equal(pthread_create(&thread, NULL, flood_run, &f), 0);
	r = varlink_recv(p.c, &msg, LONG_MS);
	assert_int_equal(r, expected);
	if (r == 0)
		json_decref(msg);
	else /* there is no place to go on from */
		assert_int_equal(varlink_recv(p.c, &msg, SOON_MS), expected);
	varlink_conn_free(p.c);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(p.peer);
}

static void largest_message(void **state)
{
	flood_against(0, VARLINK_MSG_MAX - 18, 0);
	flood_against(0, VARLINK_MSG_MAX - 17, -EMSGSIZE);
	flood_against(0, VARLINK_MSG_MAX * 2, -EMSGSIZE);
}

static void own_limit(void **state)
{
	flood_against(5000, 5000 - 18, 0);
	flood_against(5000, 5000 - 17, -EMSGSIZE);
	flood_against(10, 0, -EMSGSIZE);
}

static void too_long_to_send(void **state)
{
	struct pair p = pair_open();
	char *text = malloc(VARLINK_MSG_MAX + 1);
	json_t *msg;

	assert_non_null(text);
	memset(text, 'x', VARLINK_MSG_MAX);
	text[VARLINK_MSG_MAX] = '\0';
	msg = json_pack("{s:s}", "a", text);
	assert_int_equal(varlink_send(p.c, msg, LONG_MS), -EMSGSIZE);
	/* nothing of it has been sent */
	json_object_set_new(msg, "a", json_integer(1));
	assert_int_equal(varlink_send(p.c, msg, LONG_MS), 0);
	assert_string_equal(peer_read(&p), "{\"a\":1}");
	json_decref(msg);
	free(text);
	pair_close(&p);
}

static void send_to_a_peer_that_does_not_read(void **state)
{
	struct pair p = pair_open();
	char *text = malloc((4u << 20) + 1);
	json_t *msg;

	assert_non_null(text);
	memset(text, 'x', 4u << 20);
	text[4u << 20] = '\0';
	msg = json_pack("{s:s}", "a", text);
	assert_int_equal(varlink_send(p.c, msg, SOON_MS), -ETIMEDOUT);
	/* half a message is out: nothing more may follow it */
	assert_int_equal(varlink_send(p.c, msg, SOON_MS), -EPIPE);
	json_decref(msg);
	free(text);
	pair_close(&p);
}

static void only_objects_are_sent(void **state)
{
	struct pair p = pair_open();
	json_t *array = json_array();

	assert_int_equal(varlink_send(p.c, array, SOON_MS), -EBADMSG);
	json_decref(array);
	pair_close(&p);
}

static void call_and_reply(void **state)
{
	struct pair p = pair_open();
	json_t *params;
	char *error;

	peer_write(&p, "{\"parameters\":{\"y\":2}}", 23);
	assert_int_equal(
		varlink_call(p.c, "a.B.C", json_pack("{s:i}", "x", 1), &params, &error, LONG_MS),
		0);
	assert_string_equal(peer_read(&p), "{\"method\":\"a.B.C\",\"parameters\":{\"x\":1}}");
	assert_int_equal(json_integer_value(json_object_get(params, "y")), 2);
	assert_null(error);
	json_decref(params);

	peer_write(&p, "{}", 3); /* no parameters: {} */
	assert_int_equal(varlink_call(p.c, "a.B.C", NULL, &params, &error, LONG_MS), 0);
	assert_string_equal(peer_read(&p), "{\"method\":\"a.B.C\",\"parameters\":{}}");
	assert_int_equal(json_object_size(params), 0);
	assert_null(error);
	json_decref(params);
	pair_close(&p);
}

static void call_and_error(void **state)
{
	struct pair p = pair_open();
	json_t *params;
	char *error;

	peer_write(&p, "{\"error\":\"a.B.Bad\",\"parameters\":{\"code\":3}}", 44);
	assert_int_equal(varlink_call(p.c, "a.B.C", NULL, &params, &error, LONG_MS), 0);
	assert_string_equal(error, "a.B.Bad");
	assert_int_equal(json_integer_value(json_object_get(params, "code")), 3);
	json_decref(params);
	free(error);

	peer_write(&p, "{\"error\":\"a.B.Bad\"}", 20);
	assert_int_equal(varlink_call(p.c, "a.B.C", NULL, &params, &error, LONG_MS), 0);
	assert_string_equal(error, "a.B.Bad");
	assert_int_equal(json_object_size(params), 0);
	json_decref(params);
	free(error);
	pair_close(&p);
}

static void call_and_a_reply_of_a_wrong_shape(void **state)
{
	static const char *const bad[] = {
		"{\"error\":1}",
		"{\"parameters\":[]}",
		"{\"error\":\"a.B.Bad\",\"parameters\":7}",
		"{\"parameters\":{},\"continues\":true}",
	};
	struct pair p = pair_open();
	json_t *params;
	char *error;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		peer_write(&p, bad[i], strlen(bad[i]) + 1);
		assert_int_equal(varlink_call(p.c, "a.B.C", NULL, &params, &error, LONG_MS),
				 -EBADMSG);
	}
	pair_close(&p);
}

static void call_without_an_answer(void **state)
{
	struct pair p = pair_open();
	json_t *params;
	char *error;

	assert_int_equal(varlink_call(p.c, "a.B.C", NULL, &params, &error, SOON_MS), -ETIMEDOUT);
	peer_hang_up(&p);
	assert_int_equal(varlink_call(p.c, "a.B.C", NULL, &params, &error, SOON_MS), -EPIPE);
	pair_close(&p);
}

static void sent_parameters_are_wiped(void **state)
{
	struct pair p = pair_open();
	json_t *kept = json_string("secret");
	json_t *lost = json_pack("{s:[O]}", "deep", kept);
	json_t *params;
	char *error;

	peer_write(&p, "{}", 3);
	assert_int_equal(varlink_call(p.c, "a.B.C", lost, &params, &error, LONG_MS), 0);
	assert_non_null(strstr(peer_read(&p), "secret"));
	assert_string_equal(json_string_value(kept), "");
	json_decref(kept);
	json_decref(params);

	/* parameters that the caller keeps stay whole */
	lost = json_pack("{s:s}", "a", "mine");
	json_incref(lost);
	peer_write(&p, "{}", 3);
	assert_int_equal(varlink_call(p.c, "a.B.C", lost, &params, &error, LONG_MS), 0);
	assert_string_equal(json_string_value(json_object_get(lost, "a")), "mine");
	json_decref(lost);
	json_decref(params);
	pair_close(&p);
}

static int request_parse(struct varlink_request *ret, const char *text)
{
	json_t *msg = json_loads(text, 0, NULL);
	int r;

	assert_non_null(msg);
	r = varlink_request_of(ret, msg);
	if (r)
		json_decref(msg);
	return r;
}

static void requests(void **state)
{
	struct varlink_request req;

	assert_int_equal(request_parse(&req, "{\"method\":\"a.B.C\"}"), 0);
	assert_string_equal(req.method, "a.B.C");
	assert_true(json_is_object(req.params));
	assert_false(req.more || req.oneway || req.upgrade);
	json_decref(req.msg);

	assert_int_equal(request_parse(&req, "{\"method\":\"a.B.C\",\"parameters\":null,"
					     "\"more\":true,\"oneway\":false,\"upgrade\":null}"),
			 0);
	assert_true(json_is_object(req.params));
	assert_true(req.more);
	assert_false(req.oneway || req.upgrade);
	json_decref(req.msg);

	assert_int_equal(request_parse(&req, "{}"), -EBADMSG);
	assert_int_equal(request_parse(&req, "{\"method\":1}"), -EBADMSG);
	assert_int_equal(request_parse(&req, "{\"method\":\"a\",\"parameters\":[]}"), -EBADMSG);
	assert_int_equal(request_parse(&req, "{\"method\":\"a\",\"more\":1}"), -EBADMSG);
	assert_int_equal(request_parse(&req, "{\"method\":\"a\",\"oneway\":\"\"}"), -EBADMSG);
	assert_int_equal(request_parse(&req, "{\"method\":\"a\",\"upgrade\":{}}"), -EBADMSG);
}

static void replies(void **state)
{
	struct pair p = pair_open();

	assert_int_equal(varlink_reply(p.c, NULL, false, LONG_MS), 0);
	assert_string_equal(peer_read(&p), "{\"parameters\":{}}");
	assert_int_equal(varlink_reply(p.c, json_pack("{s:i}", "n", 1), true, LONG_MS), 0);
	assert_string_equal(peer_read(&p), "{\"parameters\":{\"n\":1},\"continues\":true}");
	assert_int_equal(varlink_error(p.c, "a.B.Bad", json_pack("{s:i}", "n", 2), LONG_MS), 0);
	assert_string_equal(peer_read(&p), "{\"error\":\"a.B.Bad\",\"parameters\":{\"n\":2}}");
	assert_int_equal(varlink_error(p.c, "a.B.Bad", NULL, LONG_MS), 0);
	assert_string_equal(peer_read(&p), "{\"error\":\"a.B.Bad\",\"parameters\":{}}");
	pair_close(&p);
}

static void peer_is_known(void **state)
{
	struct pair p = pair_open();
	pid_t pid;
	uid_t uid;
	gid_t gid;

	assert_int_equal(varlink_conn_peer(p.c, &pid, &uid, &gid), 0);
	assert_int_equal(pid, getpid());
	assert_int_equal(uid, geteuid());
	assert_int_equal(gid, getegid());
	pair_close(&p);
}

static void connect_to_a_path(void **state)
{
	char dir[] = "/tmp/varlink-XXXXXX";
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct varlink_conn *c, *held[64];
	char too_long[200];
	size_t n_held = 0;
	int fd, r;

	assert_non_null(mkdtemp(dir));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
	assert_int_equal(varlink_connect(&c, addr.sun_path, SOON_MS), -ENOENT);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(varlink_connect(&c, addr.sun_path, SOON_MS), -ECONNREFUSED);

	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(varlink_connect(&held[0], addr.sun_path, -1), 0);
	assert_true(varlink_conn_fd(held[0]) >= 0);
	varlink_conn_free(held[0]);
	/* a listener that never accepts: the wait in its queue is bounded */
	while ((r = varlink_connect(&held[n_held], addr.sun_path, SOON_MS)) == 0)
		assert_true(++n_held < 64);
	assert_int_equal(r, -ETIMEDOUT);
	assert_true(n_held > 0);
	while (n_held > 0)
		varlink_conn_free(held[--n_held]);

	memset(too_long, 'x', sizeof(too_long) - 1);
	too_long[sizeof(too_long) - 1] = '\0';
	assert_int_equal(varlink_connect(&c, too_long, SOON_MS), -ENAMETOOLONG);

	close(fd);
	unlink(addr.sun_path);
	rmdir(dir);
}

static void on_signal(int signo)
{
}

static void *signal_run(void *arg)
{
	pthread_t *waiting = arg;

	for (int i = 0; i < 5; i++) {
		usleep(2000);
		pthread_kill(*waiting, SIGUSR1);
	}
	return NULL;
}

static void signals_do_not_end_a_wait(void **state)
{
	struct sigaction act = {.sa_handler = on_signal};
	struct pair p = pair_open();
	pthread_t thread, self = pthread_self();

	assert_int_equal(sigaction(SIGUSR1, &act, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, signal_run, &self), 0);
	expect_error(p.c, -ETIMEDOUT);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pair_close(&p);
}

static void free_of_nothing(void **state)
{
	assert_null(varlink_conn_free(NULL));
	varlink_wipe(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_split_at_every_byte),
		cmocka_unit_test(message_byte_by_byte),
		cmocka_unit_test(two_messages_in_one_read),
		cmocka_unit_test(waiting_ends_when_a_message_begins),
		cmocka_unit_test(nul_missing_before_the_end),
		cmocka_unit_test(peer_gone),
		cmocka_unit_test(message_before_the_peer_went_is_still_read),
		cmocka_unit_test(not_json_and_not_an_object),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(largest_message),
		cmocka_unit_test(own_limit),
		cmocka_unit_test(too_long_to_send),
		cmocka_unit_test(send_to_a_peer_that_does_not_read),
		cmocka_unit_test(only_objects_are_sent),
		cmocka_unit_test(call_and_reply),
		cmocka_unit_test(call_and_error),
		cmocka_unit_test(call_and_a_reply_of_a_wrong_shape),
		cmocka_unit_test(call_without_an_answer),
		cmocka_unit_test(sent_parameters_are_wiped),
		cmocka_unit_test(requests),
		cmocka_unit_test(replies),
		cmocka_unit_test(peer_is_known),
		cmocka_unit_test(connect_to_a_path),
		cmocka_unit_test(signals_do_not_end_a_wait),
		cmocka_unit_test(free_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
