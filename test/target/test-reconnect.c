/* SPDX-License-Identifier: MIT */
/*
 * The initiator against a target with ErrorRecoveryLevel 2: connections that are lost,
 * and what was under way on them. Usage: test-reconnect PATH-OF-ISCSI-TARGET.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "initiator/test-client.h"

#define TUR 0x00

static const char *program;

struct world {
	struct loop *loop;
	struct client client;
	pid_t pid;
	char directory[32], control[64];
};

struct change {
	struct initiator_change c;
	unsigned n_done;
};

static void change_done(struct initiator_change *c)
{
	((struct change *)c)->n_done++;
}

/* Return: its port. */
static uint16_t target_start(struct world *w)
{
	char line[64] = "";
	int fd[2], port = 0;
	FILE *f;

	assert_int_equal(pipe(fd), 0);
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (w->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a test that fails */
		dup2(fd[1], STDOUT_FILENO);
		close(fd[0]);
		close(fd[1]);
		execl(program, program, "--name", "iqn.2026-01.test.tgt:disk", "--port", "0",
		      "--erl", "2", "--maxconn", "4", "--mb", "1", "--time2wait", "0",
		      "--time2retain", "20", "--service-ms", "300", "--control", w->control,
		      (char *)NULL);
		_exit(127);
	}
	close(fd[1]);
	f = fdopen(fd[0], "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "ready %d", &port) != 1)
		;
	fclose(f);
	assert_in_range(port, 1, 65535);
	return (uint16_t)port;
}

static void tell_target(struct world *w, const char *line)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char answer[256];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(a.sun_path, w->control, strlen(w->control) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(write(fd, line, strlen(line)), strlen(line));
	assert_true(read(fd, answer, sizeof(answer)) > 0);
	close(fd);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct tcp_addr to;

	assert_non_null(w);
	strcpy(w->directory, "/tmp/isd-reconnect-XXXXXX");
	assert_non_null(mkdtemp(w->directory));
	snprintf(w->control, sizeof(w->control), "%s/c", w->directory);
	assert_int_equal(loop_new(&w->loop), 0);
	assert_int_equal(tcp_literal("127.0.0.1", target_start(w), &to), 0);
	client_init(&w->client, w->loop, &to);
	w->client.cfg.session.offer.ErrorRecoveryLevel = 2;
	w->client.cfg.session.offer.MaxConnections = 4;
	w->client.hold_verify = true; /* there is nothing to verify as long as the session lives */
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	if (w->client.initiator) {
		initiator_close(w->client.initiator);
		client_end(&w->client);
	}
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
	unlink(w->control);
	rmdir(w->directory);
	assert_null(loop_free(w->loop));
	free(w);
	return 0;
}

static void up(struct world *w)
{
	struct initiator_status s;

	client_start(&w->client);
	WAIT_FOR(w->loop, w->client.n_up || w->client.n_failed);
	assert_int_equal(w->client.n_failed, 0);
	initiator_get_status(w->client.initiator, &s);
	assert_int_equal(s.params.ErrorRecoveryLevel, 2);
}

static void add(struct world *w)
{
	struct initiator_connection_cfg cfg = {.n_addrs = 1, .addr[0] = w->client.cfg.addr[0]};
	struct change x = {.c.done = change_done};

	assert_int_equal(initiator_add_connection(w->client.initiator, &cfg, &x.c), 0);
	WAIT_FOR(w->loop, x.n_done);
	assert_int_equal(x.c.error, 0);
}

static void run_ok(struct world *w, unsigned n)
{
	struct command c[64];

	for (unsigned k = 0; k < n; k++)
		command_submit(&c[k], &w->client, TUR, false);
	for (unsigned k = 0; k < n; k++) {
		command_wait(&c[k]);
		assert_int_equal(c[k].cmd.error, 0);
	}
}

/* The target goes away with commands under way; they end well, and nothing was verified. */
static void cut_under_load(struct world *w)
{
	struct command c[32];

	for (unsigned k = 0; k < ARRAY_SIZE(c); k++)
		command_submit(&c[k], &w->client, TUR, false);
	WAIT_FOR(w->loop, c[0].n_done + c[1].n_done + c[2].n_done > 0);
	tell_target(w, "cut\n");
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) {
		command_wait(&c[k]);
		assert_int_equal(c[k].cmd.error, 0);
	}
	assert_int_equal(w->client.n_down + w->client.n_verify, 0);
}

static void the_only_connection_is_replaced(void **state)
{
	struct world *w = *state;

	up(w);
	cut_under_load(w);
	assert_int_equal(w->client.n_conn_down, 1);
	assert_int_equal(client_n_up(&w->client), 1);
	assert_int_not_equal(client_conn(&w->client, 1).cid, 1);
	run_ok(w, 8);
}

static void all_connections_are_replaced(void **state)
{
	struct world *w = *state;

	w->client.cfg.session.policy = ISCSI_POLICY_ROUND_ROBIN;
	up(w);
	add(w);
	add(w);
	cut_under_load(w);
	assert_int_equal(w->client.n_conn_down, 3);
	WAIT_FOR(w->loop, client_n_up(&w->client) == 3);
	run_ok(w, 8);
}

/* The target has forgotten the session: it is taken up anew, as at level 0. */
static void the_session_is_gone_at_the_target(void **state)
{
	struct world *w = *state;

	up(w);
	add(w);
	w->client.hold_verify = false;
	tell_target(w, "restart\n");
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	WAIT_FOR(w->loop, client_n_up(&w->client) == 2);
	run_ok(w, 32);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(the_only_connection_is_replaced),
		T(all_connections_are_replaced),
		T(the_session_is_gone_at_the_target),
	};

	if (argc != 2)
		return 2;
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
