/* SPDX-License-Identifier: MIT */
/*
 * CHAP with a real target: tgtd, one-way and mutual, at the first login and at those
 * after a loss
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "initiator/test-client.h"
#include "initiator/test-tgt.h"

#define LLD           "--lld iscsi "
#define SECRET        "alicesecret12"
#define TARGET_SECRET "targetsecret9"

static struct tgt tgt;

struct world {
	struct loop *loop;
	struct client client;
};

static void random_bytes(void *bytes, size_t n)
{
	assert_int_equal(getrandom(bytes, n, 0), n);
}

static void accounts(bool mutual)
{
	tgt_adm(&tgt, LLD "--op new --mode account --user alice --password " SECRET);
	tgt_adm(&tgt, LLD "--op bind --mode account --tid 1 --user alice");
	if (!mutual)
		return;
	tgt_adm(&tgt, LLD "--op new --mode account --user target --password " TARGET_SECRET);
	tgt_adm(&tgt, LLD "--op bind --mode account --tid 1 --user target --outgoing");
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(tgt_run(&tgt, "restart", ""), 0);
	assert_int_equal(loop_new(&w->loop), 0);
	client_init(&w->client, w->loop, &tgt.addr);
	w->client.cfg.session.target_name = tgt.target;
	w->client.cfg.session.auth = (struct iscsi_auth){
		.name = (const uint8_t *)"alice",
		.n_name = strlen("alice"),
		.secret = (const uint8_t *)SECRET,
		.n_secret = strlen(SECRET),
		.peer_secret = (const uint8_t *)TARGET_SECRET,
		.n_peer_secret = strlen(TARGET_SECRET),
		.required = true,
		.allow_md5 = true,
		.random = random_bytes,
	};
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
	assert_null(loop_free(w->loop));
	free(w);
	return 0;
}

static void works(struct world *w)
{
	struct command c;

	client_start(&w->client);
	WAIT_FOR(w->loop, w->client.n_up || w->client.n_failed);
	if (w->client.n_failed)
		fail_msg("%s", w->client.failure.text);
	command_submit(&c, &w->client, 0x12, false);
	c.cmd.lun = UINT64_C(1) << 48;
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(c.cmd.status, SCSI_GOOD);
	initiator_logout(w->client.initiator);
	client_end(&w->client);
	assert_int_equal(w->client.n_failed, 0);
}

static void is_refused(struct world *w, const char *why)
{
	client_start(&w->client);
	client_end(&w->client);
	assert_int_equal(w->client.n_failed, 1);
	assert_int_equal(w->client.failure.error, -EREMOTEIO);
	assert_int_equal(w->client.failure.login_status, 0x0201);
	if (!strstr(w->client.failure.text, why))
		fail_msg("%s", w->client.failure.text);
}

static void one_way(void **state)
{
	accounts(false);
	works(*state);
}

static void mutual(void **state)
{
	struct world *w = *state;

	accounts(true);
	w->client.cfg.session.auth.mutual = true;
	works(w);
}

/* tgtd knows MD5 and nothing else that has a number. */
static void md5_is_not_allowed(void **state)
{
	struct world *w = *state;

	accounts(false);
	w->client.cfg.session.auth.allow_md5 = false;
	client_start(&w->client);
	client_end(&w->client);
	assert_int_equal(w->client.n_failed, 1);
	assert_int_equal(w->client.failure.error, -EREMOTEIO);
	assert_non_null(strstr(w->client.failure.text, "MD5, which is not allowed"));
}

/* A target that wants to be asked is content when nobody does. */
static void one_way_with_a_mutual_target(void **state)
{
	accounts(true);
	works(*state);
}

static void wrong_secret(void **state)
{
	struct world *w = *state;

	accounts(false);
	w->client.cfg.session.auth.secret = (const uint8_t *)"alicesecret13";
	is_refused(w, "CHAP");
}

static void wrong_name(void **state)
{
	struct world *w = *state;

	accounts(false);
	w->client.cfg.session.auth.n_name--;
	is_refused(w, "CHAP");
}

static void no_secret(void **state)
{
	struct world *w = *state;

	accounts(false);
	w->client.cfg.session.auth = (struct iscsi_auth){0};
	is_refused(w, "authentication is required");
}

static void wrong_secret_of_the_target(void **state)
{
	struct world *w = *state;

	accounts(true);
	w->client.cfg.session.auth.mutual = true;
	w->client.cfg.session.auth.peer_secret = (const uint8_t *)"targetsecret8";
	is_refused(w, "does not know the secret");
}

static void target_that_proves_nothing(void **state)
{
	struct world *w = *state;

	accounts(false);
	w->client.cfg.session.auth.mutual = true;
	is_refused(w, "not set up for mutual CHAP");
}

static void target_without_authentication(void **state)
{
	is_refused(*state, "");
}

/* The target comes back and knows nobody at first: that is no reason to do without. */
static void again_after_a_loss(void **state)
{
	struct world *w = *state;
	struct command c;

	accounts(true);
	w->client.cfg.session.auth.mutual = true;
	client_start(&w->client);
	WAIT_FOR(w->loop, w->client.n_up || w->client.n_failed);
	assert_int_equal(w->client.n_failed, 0);
	assert_int_equal(tgt_run(&tgt, "kill", ""), 0);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	assert_int_equal(tgt_run(&tgt, "restart", ""), 0);
	WAIT_FOR(w->loop, strstr(w->client.last_note, "authentication"));
	assert_int_equal(w->client.n_verify, 0);
	accounts(true);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	command_submit(&c, &w->client, 0x12, false);
	c.cmd.lun = UINT64_C(1) << 48;
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	initiator_logout(w->client.initiator);
	client_end(&w->client);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_way),
		T(mutual),
		T(md5_is_not_allowed),
		T(one_way_with_a_mutual_target),
		T(wrong_secret),
		T(wrong_name),
		T(no_secret),
		T(wrong_secret_of_the_target),
		T(target_that_proves_nothing),
		T(target_without_authentication),
		T(again_after_a_loss),
	};
	int r;

	snprintf(tgt.dir, sizeof(tgt.dir), "/tmp/test-chap-XXXXXX");
	if (!mkdtemp(tgt.dir))
		return 1;
	r = tgt_run(&tgt, "start", "");
	if (r) {
		tgt_run(&tgt, "stop", "");
		return r == TGT_SKIPPED ? TGT_SKIPPED : 1;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	tgt_run(&tgt, "stop", "");
	return r;
}
