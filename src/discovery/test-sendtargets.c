/* SPDX-License-Identifier: MIT */
/*
 * Discovery against a target that does what the test wants, on a thread of its own
 *
 * With TGT_SH in the environment a real tgtd is asked too.
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
#include "discovery/sendtargets.h"
#include "initiator/test-fake.h"
#include "initiator/test-tgt.h"

struct world {
	struct loop *loop;
	pthread_t thread;
	struct fake fake;
	struct sendtargets_cfg cfg;
	struct discovered found;
	struct initiator_failure failure;
};

static void *runner(void *arg)
{
	return (void *)(intptr_t)loop_run(arg);
}

static void call_start(void *arg)
{
	struct world *w = arg;

	fake_start(&w->fake, w->loop);
}

static void call_stop(void *arg)
{
	struct world *w = arg;

	fake_stop(&w->fake);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(loop_new(&w->loop), 0);
	assert_int_equal(pthread_create(&w->thread, NULL, runner, w->loop), 0);
	loop_call(w->loop, call_start, w);
	w->cfg = (struct sendtargets_cfg){
		.initiator_name = "iqn.2026-01.test:initiator",
		.isid = {0x80, 1, 2, 3, 4, 5},
		.host = "127.0.0.1",
		.port = tcp_addr_port(&w->fake.addr),
		.ask = "All",
		.timeout_ns = 20 * NS_PER_S,
	};
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	loop_call(w->loop, call_stop, w);
	loop_stop(w->loop);
	pthread_join(w->thread, NULL);
	assert_null(loop_free(w->loop));
	free(w);
	return 0;
}

static void nothing(void *arg)
{
}

/* Between what a thread does to the target's fields and what the other sees of it. */
static void sync_fake(struct world *w)
{
	loop_call(w->loop, nothing, NULL);
}

static int run(struct world *w)
{
	int r;

	sync_fake(w);
	r = sendtargets_run(&w->found, &w->failure, &w->cfg);
	sync_fake(w);
	return r;
}

static void run_failing(struct world *w, int error)
{
	int r = run(w);

	if (r != error)
		fail_msg("%d instead of %d: %s", r, error, w->failure.text);
	assert_int_equal(w->failure.error, error);
	assert_true(w->failure.text[0]);
}

static void finds_what_is_there(void **state)
{
	static const char answer[] = "TargetName=iqn.2026-01.a:one\0"
				     "TargetAddress=192.0.2.1:3260,1\0"
				     "TargetName=iqn.2026-01.a:two";
	struct world *w = *state;

	w->fake.text = answer;
	w->fake.n_text = sizeof(answer);
	assert_int_equal(run(w), 0);
	assert_int_equal(w->found.n_targets, 2);
	assert_string_equal(w->found.targets[0].portals[0].address, "192.0.2.1");
	assert_string_equal(w->found.targets[1].portals[0].address, "127.0.0.1");
	assert_int_equal(w->found.targets[1].portals[0].port, w->cfg.port);
	discovered_clear(&w->found);
	assert_string_equal(w->fake.asked, "SendTargets=All");
	assert_int_equal(w->fake.n_logouts, 1);
}

static void a_logout_without_answer_does_not_spoil_it(void **state)
{
	static const char answer[] = "TargetName=iqn.2026-01.a:one";
	struct world *w = *state;

	w->fake.text = answer;
	w->fake.n_text = sizeof(answer);
	w->fake.no_logout_answer = true;
	w->cfg.timeout_ns = NS_PER_S;
	w->cfg.ask = "iqn.2026-01.a:one";
	assert_int_equal(run(w), 0);
	assert_int_equal(w->found.n_targets, 1);
	discovered_clear(&w->found);
	assert_string_equal(w->fake.asked, "SendTargets=iqn.2026-01.a:one");
}

static void an_answer_that_cannot_be_understood(void **state)
{
	struct world *w = *state;

	w->fake.text = "TargetAddress=192.0.2.1";
	w->fake.n_text = strlen(w->fake.text) + 1;
	run_failing(w, -EBADMSG);
	assert_int_equal(w->fake.n_logouts, 1);
}

static void no_answer(void **state)
{
	struct world *w = *state;
	uint64_t before = clock_now_ns();

	w->cfg.timeout_ns = 200 * NS_PER_MS;
	run_failing(w, -ETIMEDOUT);
	assert_true(clock_now_ns() - before < 10 * NS_PER_S);
	w->fake.mode = FAKE_SILENT;
	run_failing(w, -ETIMEDOUT);
	assert_true(w->failure.connected); /* says where it hung */
}

static void call_deaf(void *arg)
{
	struct world *w = arg;

	fake_deaf(&w->fake, true);
}

static void login_failures(void **state)
{
	struct world *w = *state;

	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0201;
	run_failing(w, -EREMOTEIO);
	assert_int_equal(w->failure.login_status, 0x0201);
	w->fake.mode = FAKE_GARBAGE;
	run_failing(w, -EPROTO);
	w->fake.mode = FAKE_CLOSE_LOGIN;
	run_failing(w, -ECONNRESET);
	loop_call(w->loop, call_deaf, w);
	run_failing(w, -ECONNREFUSED);
	assert_false(w->failure.connected);
}

static void questions_that_cannot_be_asked(void **state)
{
	struct world *w = *state;

	w->cfg.host = "no.such.host.invalid";
	run_failing(w, -ENOENT);
	w->cfg.host = "[::1";
	run_failing(w, -ENOENT);
	w->cfg.host = "127.0.0.1";
	w->cfg.ask = "";
	run_failing(w, -EINVAL);
	w->cfg.ask = "All";
	w->cfg.port = 0;
	run_failing(w, -EINVAL);
}

/* ---- tgtd -------------------------------------------------------------- */

/* A discovery target of its own for each test that wants one. */
static void tgt_begin(struct world *w, struct tgt *t)
{
	int r;

	*t = (struct tgt){.dir = "/tmp/test-sendtargets-XXXXXX"};
	if (!getenv("TGT_SH"))
		skip();
	assert_non_null(mkdtemp(t->dir));
	r = tgt_run(t, "start", "");
	if (r == TGT_SKIPPED)
		skip();
	assert_int_equal(r, 0);
	w->cfg.port = t->port;
}

static void asks_tgt(void **state)
{
	struct world *w = *state;
	struct tgt t;

	tgt_begin(w, &t);
	assert_int_equal(run(w), 0);
	assert_int_equal(w->found.n_targets, 1);
	assert_string_equal(w->found.targets[0].name, t.target);
	assert_int_equal(w->found.targets[0].n_portals, 1);
	assert_string_equal(w->found.targets[0].portals[0].address, "127.0.0.1");
	assert_int_equal(w->found.targets[0].portals[0].port, t.port);
	assert_int_equal(w->found.targets[0].portals[0].tpgt, 1);
	discovered_clear(&w->found);

	w->cfg.header_digest = w->cfg.data_digest = ISCSI_OFFER_CRC32C_NONE;
	w->cfg.host = "localhost";
	assert_int_equal(run(w), 0);
	assert_int_equal(w->found.n_targets, 1);
	discovered_clear(&w->found);

	assert_int_equal(tgt_run(&t, "stop", ""), 0);
}

static void count(void *bytes, size_t n)
{
	static uint8_t next;

	for (size_t i = 0; i < n; i++)
		((uint8_t *)bytes)[i] = next++;
}

/* tgtd challenges for discovery, too, when it has an account for it. */
static void asks_tgt_with_chap(void **state)
{
	struct world *w = *state;
	struct tgt t;

	tgt_begin(w, &t);
	tgt_adm(&t, "--lld iscsi --op new --mode account --user alice --password alicesecret12");
	tgt_adm(&t, "--lld iscsi --op new --mode account --user target --password targetsecret9");
	tgt_adm(&t, "--op bind --mode account --user alice");
	run_failing(w, -EREMOTEIO);
	assert_int_equal(w->failure.login_status, 0x0201);

	w->cfg.auth = (struct iscsi_auth){
		.name = (const uint8_t *)"alice",
		.n_name = 5,
		.secret = (const uint8_t *)"alicesecret12",
		.n_secret = 13,
		.peer_secret = (const uint8_t *)"targetsecret9",
		.n_peer_secret = 13,
		.required = true,
		.allow_md5 = true,
		.random = count,
	};
	assert_int_equal(run(w), 0);
	assert_int_equal(w->found.n_targets, 1);
	discovered_clear(&w->found);

	w->cfg.auth.mutual = true;
	run_failing(w, -EREMOTEIO);
	assert_int_equal(w->failure.login_status, 0x0201);
	assert_non_null(strstr(w->failure.text, "not set up for mutual CHAP"));
	tgt_adm(&t, "--op bind --mode account --user target --outgoing");
	assert_int_equal(run(w), 0);
	assert_int_equal(w->found.n_targets, 1);
	discovered_clear(&w->found);
	w->cfg.auth.mutual = false;

	w->cfg.auth.secret = (const uint8_t *)"alicesecret13";
	run_failing(w, -EREMOTEIO);
	assert_int_equal(w->failure.login_status, 0x0201);
	assert_int_equal(tgt_run(&t, "stop", ""), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(finds_what_is_there),
		T(a_logout_without_answer_does_not_spoil_it),
		T(an_answer_that_cannot_be_understood),
		T(no_answer),
		T(login_failures),
		T(questions_that_cannot_be_asked),
		T(asks_tgt),
		T(asks_tgt_with_chap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
