/* SPDX-License-Identifier: MIT */
/*
 * The life of a session, against a target that does what the test wants
 *
 * Initiator and target share one loop, so everything here is one thread; only the
 * last test has a reactor of its own.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "initiator/test-world.h"
#include "iscsi/pdu.h"

/* ---- from login to logout ---------------------------------------------- */

static void login_and_logout(void **state)
{
	struct world *w = *state;
	struct initiator_status s;

	world_up(w);
	initiator_get_status(w->client.initiator, &s);
	assert_int_equal(s.n_connections, 1);
	assert_int_equal(s.tsih, 7);
	assert_int_equal(s.n_up, 1);
	assert_int_equal(s.connection[0].number, 1);
	assert_int_equal(s.connection[0].state, INITIATOR_CONN_UP);
	assert_int_equal(s.connection[0].cid, 1);
	assert_true(tcp_addr_equal(&s.connection[0].peer, &w->fake.addr));
	assert_false(tcp_addr_equal(&s.connection[0].local, &w->fake.addr));
	assert_int_equal(s.connection[0].max_recv_segment,
			 w->client.cfg.session.offer.MaxRecvDataSegmentLength);
	assert_int_equal(s.connection[0].max_send_segment, 8192); /* the default of RFC 7143 */
	assert_true(s.connection[0].mss > 0);
	assert_int_equal(s.n_reconnects, 0);
	assert_int_equal(w->fake.n_logins, 1);
	world_logout(w);
	assert_int_equal(w->fake.n_logouts, 1);
	assert_int_equal(w->client.n_down, 0);
	WAIT_FOR(w->loop, fake_n_conns(&w->fake) == 0);
}

static void results_of_commands(void **state)
{
	struct world *w = *state;
	struct command c;

	world_up(w);
	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(c.cmd.status, SCSI_GOOD);

	command_submit(&c, &w->client, INQUIRY, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(c.cmd.n_transferred, 0);

	w->fake.scsi_status = SCSI_BUSY;
	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(c.cmd.status, SCSI_BUSY);

	w->fake.scsi_response = 1; /* target failure */
	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, -EREMOTEIO);

	w->fake.reject_scsi = true;
	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, -EREMOTEIO);
	assert_true(initiator_path_ops.max_transfer_bytes(w->client.initiator) >= 4096);
	world_logout(w);
}

static void more_commands_than_tasks(void **state)
{
	static struct command c[500];
	struct world *w = *state;
	unsigned n = 0;

	w->client.cfg.n_commands = 4;
	world_up(w);
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++)
		command_submit(&c[k], &w->client, (uint8_t)k, k % 50 == 0);
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) {
		command_wait(&c[k]);
		assert_int_equal(c[k].cmd.error, 0);
		n += c[k].n_done;
	}
	assert_int_equal(n, ARRAY_SIZE(c));
	assert_int_equal(w->fake.n_scsi, ARRAY_SIZE(c));
	world_logout(w);
}

static void commands_before_the_login_wait_for_it(void **state)
{
	struct world *w = *state;
	struct command c;

	client_start(&w->client);
	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(w->client.n_up, 1);
	world_logout(w);
}

static void text_request(void **state)
{
	static const char answer[] =
		"TargetName=iqn.2026-01.test:a\0TargetAddress=192.0.2.1:3260,1";
	struct world *w = *state;

	w->fake.text = answer;
	w->fake.n_text = sizeof(answer);
	world_up(w);
	client_text(&w->client, "SendTargets=All");
	assert_int_equal(initiator_text(w->client.initiator, "x=y", 4, NULL), -EBUSY);
	WAIT_FOR(w->loop, w->client.text_done);
	assert_int_equal(w->client.text_error, 0);
	assert_int_equal(w->client.n_text, sizeof(answer));
	assert_memory_equal(w->client.text, answer, sizeof(answer));
	assert_string_equal(w->fake.asked, "SendTargets=All");

	/* Not answered: whoever asks is told when the connection goes, and at the end. */
	w->fake.text = NULL;
	client_text(&w->client, "SendTargets=All");
	pause_ns(w->loop, 5 * NS_PER_MS);
	fake_drop(&w->fake, true);
	WAIT_FOR(w->loop, w->client.text_done);
	assert_int_equal(w->client.text_error, -ECONNRESET);
	WAIT_FOR(w->loop, client_state(&w->client) == INITIATOR_UP);
	client_text(&w->client, "SendTargets=All");
	initiator_close(w->client.initiator);
	client_end(&w->client);
	assert_true(w->client.text_done);
	assert_int_equal(w->client.text_error, -ECANCELED);
}

/* ---- the first login fails --------------------------------------------- */

static void nothing_listens(void **state)
{
	struct world *w = *state;

	fake_deaf(&w->fake, true);
	world_failing(w, -ECONNREFUSED);
	assert_false(w->client.failure.connected);
}

static void login_fails_at_each_step(void **state)
{
	static const struct {
		enum fake_mode mode;
		int error;
	} step[] = {
		{FAKE_SILENT, -ETIMEDOUT},
		{FAKE_CLOSE, -ECONNRESET},
		{FAKE_RESET, -ECONNRESET},
		{FAKE_GARBAGE, -EPROTO},
		{FAKE_HUGE, -EPROTO},
		{FAKE_HALF_LOGIN, -ETIMEDOUT},
		{FAKE_CLOSE_LOGIN, -ECONNRESET},
	};
	struct world *w = *state;

	for (size_t k = 0; k < ARRAY_SIZE(step); k++) {
		client_init(&w->client, w->loop, &w->fake.addr);
		w->client.cfg.session.login_timeout_ns = 100 * NS_PER_MS;
		w->fake.mode = step[k].mode;
		client_start(&w->client);
		WAIT_FOR(w->loop, w->client.closed);
		if (w->client.failure.error != step[k].error &&
		    !(step[k].error == -ECONNRESET && w->client.failure.error == -EPIPE))
			fail_msg("mode %d: error %d: %s", step[k].mode, w->client.failure.error,
				 w->client.failure.text);
		/* A reset may come before we know that we are connected. */
		assert_true(w->client.failure.connected || step[k].mode == FAKE_RESET);
		client_end(&w->client);
	}
}

static void login_status_is_told(void **state)
{
	struct world *w = *state;

	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0203;
	world_failing(w, -EREMOTEIO);
	assert_int_equal(w->client.failure.login_status, 0x0203);
	assert_true(w->client.failure.connected);
}

static void the_first_login_is_bounded_as_a_whole(void **state)
{
	struct world *w = *state;

	w->client.cfg.first_login_timeout_ns = 100 * NS_PER_MS;
	w->fake.mode = FAKE_SILENT;
	world_failing(w, -ETIMEDOUT);
	assert_true(w->client.failure.connected);
}

/* A port whose queue of connections is full answers no more. */
struct full_port {
	struct tcp_addr addr;
	int server, client[8];
};

static void full_port_open(struct full_port *p)
{
	p->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(tcp_literal("127.0.0.1", 0, &p->addr), 0);
	assert_int_equal(bind(p->server, (struct sockaddr *)&p->addr.ss, p->addr.n_ss), 0);
	assert_int_equal(listen(p->server, 0), 0);
	assert_int_equal(tcp_local_addr(p->server, &p->addr), 0);
	for (size_t k = 0; k < ARRAY_SIZE(p->client); k++)
		assert_int_equal(tcp_connect(&p->addr, &p->client[k]), 0);
}

static void full_port_close(struct full_port *p)
{
	for (size_t k = 0; k < ARRAY_SIZE(p->client); k++)
		close(p->client[k]);
	close(p->server);
}

static void connecting_is_bounded(void **state)
{
	struct world *w = *state;
	struct full_port full;

	full_port_open(&full);
	w->client.cfg.addr[0] = full.addr;
	w->client.cfg.connect_timeout_ns = 50 * NS_PER_MS;
	world_failing(w, -ETIMEDOUT);
	assert_false(w->client.failure.connected);
	full_port_close(&full);
}

static void each_address_is_tried(void **state)
{
	struct world *w = *state;
	struct fake dead = {.mode = FAKE_GOOD};

	fake_start(&dead, w->loop);
	fake_deaf(&dead, true);
	w->client.cfg.addr[0] = dead.addr;
	w->client.cfg.addr[1] = dead.addr;
	w->client.cfg.addr[2] = w->fake.addr;
	w->client.cfg.n_addrs = 3;
	world_up(w);
	world_logout(w);
	fake_stop(&dead);
}

static void of_several_failures_the_furthest_is_told(void **state)
{
	struct world *w = *state;
	struct fake dead = {.mode = FAKE_GOOD};

	fake_start(&dead, w->loop);
	fake_deaf(&dead, true);
	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0202;
	w->client.cfg.addr[0] = dead.addr;
	w->client.cfg.addr[1] = w->fake.addr;
	w->client.cfg.addr[2] = dead.addr;
	w->client.cfg.n_addrs = 3;
	world_failing(w, -EREMOTEIO);
	assert_int_equal(w->client.failure.login_status, 0x0202);
	assert_int_equal(w->fake.n_accepts, 1);
	fake_stop(&dead);
}

/* ---- the end ----------------------------------------------------------- */

static void a_logout_without_answer_ends(void **state)
{
	struct world *w = *state;

	w->client.cfg.session.logout_timeout_ns = 100 * NS_PER_MS;
	world_up(w);
	w->fake.no_logout_answer = true;
	world_logout(w);
	assert_int_equal(w->fake.n_logouts, 1);
}

static void after_a_logout_time2wait_is_kept(void **state)
{
	struct world *w = *state;
	uint64_t before;

	world_up(w);
	w->fake.logout_time2wait = 1;
	before = clock_now_ns();
	world_logout(w);
	assert_true(clock_now_ns() - before >= NS_PER_S);
}

static void logout_cancels_what_is_left(void **state)
{
	struct world *w = *state;
	struct command c[40];

	w->client.cfg.n_commands = 8;
	world_up(w);
	w->fake.no_scsi_answer = true;
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++)
		command_submit(&c[k], &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 8);
	initiator_logout(w->client.initiator);
	client_end(&w->client);
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) {
		assert_int_equal(c[k].n_done, 1);
		assert_int_equal(c[k].cmd.error, -ECANCELED);
	}
	assert_int_equal(w->fake.n_logouts, 1);
}

enum end_state {
	END_NEW,
	END_CONNECTING,
	END_LOGGING_IN,
	END_UP,
	END_LOGGING_OUT,
	END_DOWN,
	END_RECONNECTING,
	END_VERIFYING,
	END_N,
};

static void reach(struct world *w, enum end_state s, struct full_port *full)
{
	struct client *c = &w->client;

	c->hold_verify = true;
	if (s == END_CONNECTING)
		c->cfg.addr[0] = full->addr;
	if (s == END_LOGGING_IN)
		w->fake.mode = FAKE_SILENT;
	switch (s) {
	case END_NEW: assert_int_equal(initiator_new(&c->initiator, &c->cfg), 0); break;
	case END_CONNECTING:
		client_start(c);
		pause_ns(w->loop, 10 * NS_PER_MS);
		assert_int_equal(client_state(c), INITIATOR_CONNECTING);
		break;
	case END_LOGGING_IN:
		client_start(c);
		WAIT_FOR(w->loop, client_state(c) == INITIATOR_LOGGING_IN);
		break;
	case END_UP: world_up(w); break;
	case END_LOGGING_OUT:
		world_up(w);
		w->fake.no_logout_answer = true;
		break;
	case END_DOWN:
		world_up(w);
		fake_deaf(&w->fake, true);
		fake_drop(&w->fake, false);
		WAIT_FOR(w->loop, client_state(c) == INITIATOR_DOWN);
		break;
	case END_RECONNECTING:
		world_up(w);
		w->fake.mode = FAKE_SILENT;
		fake_drop(&w->fake, false);
		WAIT_FOR(w->loop, client_state(c) == INITIATOR_LOGGING_IN);
		break;
	case END_VERIFYING:
		world_up(w);
		fake_drop(&w->fake, false);
		WAIT_FOR(w->loop, client_state(c) == INITIATOR_VERIFYING);
		break;
	case END_N: break;
	}
}

static void ended_in_every_state(struct world *w, bool logout_first)
{
	struct full_port full;
	struct command c, probe, late;

	full_port_open(&full);
	for (enum end_state s = END_NEW; s < END_N; s++) {
		w->fake.mode = FAKE_GOOD;
		w->fake.no_scsi_answer = true;
		w->fake.no_logout_answer = false;
		fake_deaf(&w->fake, false);
		client_init(&w->client, w->loop, &w->fake.addr);
		reach(w, s, &full);
		command_submit(&c, &w->client, TUR, false);
		command_submit(&probe, &w->client, TUR, true);
		if (s == END_LOGGING_OUT) {
			initiator_logout(w->client.initiator);
			pause_ns(w->loop, 10 * NS_PER_MS);
			assert_false(w->client.closed);
		}
		if (logout_first && s != END_LOGGING_OUT)
			initiator_logout(w->client.initiator);
		else
			initiator_close(w->client.initiator);
		assert_false(w->client.closed);
		assert_int_equal(client_state(&w->client), INITIATOR_CLOSING);
		command_submit(&late, &w->client, TUR, false);
		client_end(&w->client);
		assert_int_equal(c.cmd.error, -ECANCELED);
		assert_int_equal(probe.cmd.error, -ECANCELED);
		assert_int_equal(late.cmd.error, -ECANCELED);
		assert_int_equal(c.n_done + probe.n_done + late.n_done, 3);
		assert_int_equal(w->client.n_failed, 0);
		fake_drop(&w->fake, false);
	}
	full_port_close(&full);
}

static void closed_in_every_state(void **state)
{
	ended_in_every_state(*state, false);
}

static void logged_out_in_every_state(void **state)
{
	ended_in_every_state(*state, true);
}

/* The close comes when the socket is ready already, and the loop has not told us yet. */
static void closed_at_the_moment_of_connecting(void **state)
{
	struct world *w = *state;

	client_start(&w->client);
	assert_int_equal(loop_turn(w->loop, 0), 0);
	assert_int_equal(client_state(&w->client), INITIATOR_CONNECTING);
	initiator_close(w->client.initiator);
	client_end(&w->client);
	assert_int_equal(w->client.n_up + w->client.n_failed, 0);
	WAIT_FOR(w->loop, w->fake.n_ends == 1);
	assert_int_equal(w->fake.n_logins, 0);
}

/* An owner that answers each failed command with a new one does not keep the session. */
static unsigned n_stubborn;

static void stubborn_done(struct scsi_cmd *cmd)
{
	struct command *c = cmd->user;

	assert_int_equal(cmd->error, n_stubborn < 3 && cmd->error == 0 ? 0 : -ECANCELED);
	if (n_stubborn++ < 10)
		initiator_path_ops.submit(c->client->initiator, cmd);
	else
		c->n_done = 1;
	if (n_stubborn == 3)
		initiator_close(c->client->initiator);
}

static void commands_submitted_by_done_during_the_end(void **state)
{
	struct world *w = *state;
	struct command c;

	n_stubborn = 0;
	world_up(w);
	command_submit(&c, &w->client, TUR, false);
	c.cmd.done = stubborn_done;
	client_end(&w->client);
	assert_int_equal(c.n_done, 1);
	assert_int_equal(n_stubborn, 11);
}

static void bad_configurations(void **state)
{
	struct world *w = *state;
	struct initiator *i = NULL;
	struct initiator_cfg cfg = w->client.cfg;

	cfg.n_addrs = 0;
	assert_int_equal(initiator_new(&i, &cfg), -EINVAL);
	cfg.n_addrs = INITIATOR_MAX_ADDRS + 1;
	assert_int_equal(initiator_new(&i, &cfg), -EINVAL);
	cfg = w->client.cfg;
	cfg.n_commands = 4097;
	assert_int_equal(initiator_new(&i, &cfg), -EINVAL);
	cfg = w->client.cfg;
	cfg.session.target_name = NULL;
	assert_int_equal(initiator_new(&i, &cfg), -EINVAL);
	cfg = w->client.cfg;
	cfg.ops = NULL;
	assert_int_equal(initiator_new(&i, &cfg), -EINVAL);
	assert_null(i);
	assert_null(initiator_free(NULL));
}

/* ---- with a reactor ---------------------------------------------------- */

struct reactor {
	struct loop *loop;
	struct fake fake;
	struct initiator *initiator;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n_up;
	bool closed;
};

static void reactor_up(void *user)
{
	struct reactor *r = user;

	pthread_mutex_lock(&r->lock);
	r->n_up++;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void reactor_failed(void *user, const struct initiator_failure *f)
{
	fail_msg("%s", f->text);
}

static void reactor_closed(void *user)
{
	struct reactor *r = user;

	pthread_mutex_lock(&r->lock);
	r->closed = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static const struct initiator_ops reactor_ops = {
	.up = reactor_up,
	.failed = reactor_failed,
	.closed = reactor_closed,
};

static void *reactor_main(void *arg)
{
	struct reactor *r = arg;

	assert_int_equal(loop_run(r->loop), 0);
	return NULL;
}

static void call_start(void *arg)
{
	initiator_start(((struct reactor *)arg)->initiator);
}

static void call_logout(void *arg)
{
	initiator_logout(((struct reactor *)arg)->initiator);
}

static void call_fake_start(void *arg)
{
	struct reactor *r = arg;

	fake_start(&r->fake, r->loop);
}

static void call_fake_stop(void *arg)
{
	fake_stop(&((struct reactor *)arg)->fake);
}

/* Freed by another thread the moment closed() has come. */
static void freed_by_another_thread(void **state)
{
	struct world *w = *state;
	struct reactor r = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	struct initiator_cfg cfg = w->client.cfg;

	assert_int_equal(loop_new(&r.loop), 0);
	assert_int_equal(pthread_create(&r.thread, NULL, reactor_main, &r), 0);
	loop_call(r.loop, call_fake_start, &r);
	cfg.loop = r.loop;
	cfg.ops = &reactor_ops;
	cfg.user = &r;
	cfg.addr[0] = r.fake.addr;
	for (unsigned k = 1; k <= 20; k++) {
		r.closed = false;
		assert_int_equal(initiator_new(&r.initiator, &cfg), 0);
		loop_call(r.loop, call_start, &r);
		pthread_mutex_lock(&r.lock);
		while (r.n_up < k)
			pthread_cond_wait(&r.changed, &r.lock);
		pthread_mutex_unlock(&r.lock);
		loop_call(r.loop, call_logout, &r);
		pthread_mutex_lock(&r.lock);
		while (!r.closed)
			pthread_cond_wait(&r.changed, &r.lock);
		pthread_mutex_unlock(&r.lock);
		assert_null(initiator_free(r.initiator));
	}
	loop_call(r.loop, call_fake_stop, &r);
	loop_stop(r.loop);
	pthread_join(r.thread, NULL);
	assert_null(loop_free(r.loop));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(login_and_logout),
		T(results_of_commands),
		T(more_commands_than_tasks),
		T(commands_before_the_login_wait_for_it),
		T(text_request),
		T(nothing_listens),
		T(login_fails_at_each_step),
		T(login_status_is_told),
		T(the_first_login_is_bounded_as_a_whole),
		T(connecting_is_bounded),
		T(each_address_is_tried),
		T(of_several_failures_the_furthest_is_told),
		T(a_logout_without_answer_ends),
		T(after_a_logout_time2wait_is_kept),
		T(logout_cancels_what_is_left),
		T(closed_in_every_state),
		T(logged_out_in_every_state),
		T(closed_at_the_moment_of_connecting),
		T(commands_submitted_by_done_during_the_end),
		T(bad_configurations),
		T(freed_by_another_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
