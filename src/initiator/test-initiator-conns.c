/* SPDX-License-Identifier: MIT */
/*
 * Several connections in a session
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "initiator/test-world.h"
#include "iscsi/pdu.h"

struct change {
	struct initiator_change c;
	unsigned n_done;
};

static void change_done(struct initiator_change *c)
{
	((struct change *)c)->n_done++;
}

static int set_up(void **state)
{
	int r = world_set_up(state);
	struct world *w = *state;

	w->fake.max_connections = 4;
	w->client.cfg.session.offer.MaxConnections = 8;
	return r;
}

static int begin_add_at(struct world *w, struct change *x, const struct tcp_addr *to)
{
	struct initiator_connection_cfg cfg = {.n_addrs = 1, .addr[0] = *to};

	*x = (struct change){.c.done = change_done};
	return initiator_add_connection(w->client.initiator, &cfg, &x->c);
}

static int begin_add(struct world *w, struct change *x)
{
	return begin_add_at(w, x, &w->fake.addr);
}

/* Return: the connection's number. */
static unsigned add(struct world *w)
{
	struct change x;

	assert_int_equal(begin_add(w, &x), 0);
	assert_int_equal(x.n_done, 0);
	WAIT_FOR(w->loop, x.n_done);
	assert_int_equal(x.c.error, 0);
	assert_int_equal(client_conn(&w->client, x.c.number).state, INITIATOR_CONN_UP);
	return x.c.number;
}

static int remove_conn(struct world *w, unsigned number)
{
	struct change x = {.c.done = change_done};
	int r = initiator_remove_connection(w->client.initiator, number, &x.c);

	if (r)
		return r;
	assert_int_equal(x.n_done, 0);
	WAIT_FOR(w->loop, x.n_done);
	return x.c.error;
}

static uint16_t cid_of(struct world *w, unsigned number)
{
	struct initiator_connection c = client_conn(&w->client, number);

	assert_int_equal(c.state, INITIATOR_CONN_UP);
	return c.cid;
}

static void run_ok(struct world *w)
{
	struct command c;

	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
}

/* ---- coming and going --------------------------------------------------- */

static void added_and_listed_in_order(void **state)
{
	struct world *w = *state;
	struct initiator_status s;

	world_up(w);
	assert_int_equal(add(w), 2);
	assert_int_equal(w->fake.last_tsih, 7);
	assert_int_equal(w->fake.last_cid, 2);
	assert_int_equal(add(w), 3);
	initiator_get_status(w->client.initiator, &s);
	assert_int_equal(s.n_connections, 3);
	assert_int_equal(s.n_up, 3);
	assert_int_equal(s.params.MaxConnections, 4);
	for (unsigned k = 0; k < 3; k++) {
		assert_int_equal(s.connection[k].number, k + 1);
		assert_int_equal(s.connection[k].state, INITIATOR_CONN_UP);
		assert_true(tcp_addr_equal(&s.connection[k].peer, &w->fake.addr));
	}
	assert_false(tcp_addr_equal(&s.connection[0].local, &s.connection[1].local));
	assert_int_equal(w->client.n_conn_up, 3);
	run_ok(w);
	world_logout(w);
	/* One Logout, of the session. */
	assert_int_equal(w->fake.n_logouts, 1);
	assert_int_equal(w->fake.last_logout_reason, LOGOUT_CLOSE_SESSION);
	WAIT_FOR(w->loop, fake_n_conns(&w->fake) == 0);
	assert_int_equal(w->client.n_down, 0);
}

static void no_more_than_agreed_on(void **state)
{
	struct world *w = *state;
	struct change x, y;

	w->fake.max_connections = 2;
	world_up(w);
	assert_int_equal(begin_add(w, &x), 0);
	assert_int_equal(begin_add(w, &y), -EBUSY); /* also while the first is on its way */
	WAIT_FOR(w->loop, x.n_done);
	assert_int_equal(x.c.error, 0);
	assert_int_equal(begin_add(w, &y), -EBUSY);
	assert_int_equal(remove_conn(w, x.c.number), 0);
	add(w);
	world_logout(w);
}

static void one_is_all_when_nothing_was_agreed_on(void **state)
{
	struct world *w = *state;
	struct change x;

	w->fake.max_connections = 1;
	world_up(w);
	assert_int_equal(begin_add(w, &x), -EBUSY);
	world_logout(w);
}

static void removed_by_a_logout_of_its_own(void **state)
{
	struct world *w = *state;
	unsigned second;
	uint16_t cid;

	world_up(w);
	second = add(w);
	add(w);
	cid = cid_of(w, second);
	assert_int_equal(remove_conn(w, second), 0);
	assert_int_equal(w->fake.n_logouts, 1);
	assert_int_equal(w->fake.last_logout_reason, LOGOUT_CLOSE_CONNECTION);
	assert_int_equal(w->fake.last_logout_cid, cid);
	WAIT_FOR(w->loop, fake_n_conns(&w->fake) == 2);
	assert_int_equal(client_n_up(&w->client), 2);
	assert_int_equal(client_state(&w->client), INITIATOR_UP);
	assert_int_equal(remove_conn(w, second), -ENOENT);
	assert_int_equal(remove_conn(w, 1), -EPERM);
	run_ok(w);
	assert_int_equal(w->client.n_down, 0);
	/* It does not come back. */
	pause_ns(w->loop, 100 * NS_PER_MS);
	assert_int_equal(fake_n_conns(&w->fake), 2);
	world_logout(w);
}

static void removed_without_an_answer(void **state)
{
	struct world *w = *state;
	unsigned second;

	w->client.cfg.session.logout_timeout_ns = 100 * NS_PER_MS;
	world_up(w);
	second = add(w);
	w->fake.no_logout_answer = true;
	assert_int_equal(remove_conn(w, second), 0);
	assert_int_equal(w->fake.n_logouts, 1);
	assert_int_equal(client_n_up(&w->client), 1);
	w->fake.no_logout_answer = false;
	run_ok(w);
	world_logout(w);
}

static void removed_while_it_is_lost(void **state)
{
	struct world *w = *state;
	unsigned second;

	world_up(w);
	second = add(w);
	fake_deaf(&w->fake, true);
	fake_drop_cid(&w->fake, cid_of(w, second), false);
	WAIT_FOR(w->loop, client_n_up(&w->client) == 1);
	assert_int_equal(remove_conn(w, second), 0);
	assert_int_equal(w->fake.n_logouts, 0);
	fake_deaf(&w->fake, false);
	pause_ns(w->loop, 200 * NS_PER_MS);
	assert_int_equal(fake_n_conns(&w->fake), 1);
	world_logout(w);
}

static void an_own_digest(void **state)
{
	struct initiator_connection_cfg cfg = {
		.n_addrs = 1, .has_header_digest = true, .header_digest = ISCSI_OFFER_CRC32C};
	struct world *w = *state;
	struct change x = {.c.done = change_done};

	w->client.cfg.session.offer.HeaderDigest = ISCSI_OFFER_NONE;
	world_up(w);
	cfg.addr[0] = w->fake.addr;
	assert_int_equal(initiator_add_connection(w->client.initiator, &cfg, &x.c), 0);
	WAIT_FOR(w->loop, x.n_done);
	assert_int_equal(x.c.error, 0);
	assert_int_equal(client_conn(&w->client, 1).header_digest, ISCSI_DIGEST_NONE);
	assert_int_equal(client_conn(&w->client, 2).header_digest, ISCSI_DIGEST_CRC32C);
	initiator_close(w->client.initiator);
	client_end(&w->client);
}

/* ---- adding fails ------------------------------------------------------- */

static void a_refusal_is_told_and_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct fake dead = {.mode = FAKE_GOOD};
	struct change x;

	world_up(w);
	w->fake.join_status = 0x0206;
	assert_int_equal(begin_add(w, &x), 0);
	WAIT_FOR(w->loop, x.n_done);
	assert_int_equal(x.c.error, -EREMOTEIO);
	assert_int_equal(x.c.failure.login_status, 0x0206);
	assert_true(x.c.failure.connected);

	fake_start(&dead, w->loop);
	fake_deaf(&dead, true);
	assert_int_equal(begin_add_at(w, &x, &dead.addr), 0);
	WAIT_FOR(w->loop, x.n_done);
	assert_int_equal(x.c.error, -ECONNREFUSED);
	assert_true(x.c.failure.text[0]);

	pause_ns(w->loop, 100 * NS_PER_MS);
	assert_int_equal(x.n_done, 1);
	assert_int_equal(client_n_up(&w->client), 1);
	assert_int_equal(w->client.n_conn_up, 1);
	assert_int_equal(w->client.n_conn_down, 0);
	run_ok(w);
	w->fake.join_status = 0;
	add(w);
	world_logout(w);
	fake_stop(&dead);
}

static void adding_is_bounded(void **state)
{
	struct world *w = *state;
	struct change x;

	w->client.cfg.first_login_timeout_ns = 150 * NS_PER_MS;
	world_up(w);
	w->fake.no_join_answer = true;
	assert_int_equal(begin_add(w, &x), 0);
	WAIT_FOR(w->loop, x.n_done);
	assert_int_equal(x.c.error, -ETIMEDOUT);
	assert_int_equal(client_state(&w->client), INITIATOR_UP);
	world_logout(w);
}

static void the_session_goes_while_one_is_added(void **state)
{
	struct world *w = *state;
	struct change x;

	world_up(w);
	w->fake.no_join_answer = true;
	assert_int_equal(begin_add(w, &x), 0);
	pause_ns(w->loop, 20 * NS_PER_MS);
	assert_int_equal(remove_conn(w, 2), -EBUSY);
	fake_drop(&w->fake, true);
	WAIT_FOR(w->loop, x.n_done);
	assert_int_not_equal(x.c.error, 0);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(begin_add(w, &x), 0);
	initiator_close(w->client.initiator);
	assert_int_equal(x.n_done, 0);
	client_end(&w->client);
	assert_int_equal(x.n_done, 1);
	assert_int_equal(x.c.error, -ECANCELED);
}

static void only_while_the_session_is_up(void **state)
{
	struct world *w = *state;
	struct initiator_connection_cfg none = {.n_addrs = 0};
	struct change x = {.c.done = change_done};

	client_start(&w->client);
	assert_int_equal(begin_add(w, &x), -ENOTCONN);
	WAIT_FOR(w->loop, w->client.n_up);
	assert_int_equal(initiator_add_connection(w->client.initiator, &none, &x.c), -EINVAL);
	fake_deaf(&w->fake, true);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	assert_int_equal(begin_add(w, &x), -ENOTCONN);
	initiator_logout(w->client.initiator);
	assert_int_equal(initiator_remove_connection(w->client.initiator, 2, &x.c), -ENOTCONN);
	client_end(&w->client);
}

/* ---- loss --------------------------------------------------------------- */

static void one_of_two_is_lost(struct world *w, unsigned lost)
{
	struct command c[6];
	uint16_t old;

	w->client.hold_verify = true; /* would be noticed: nothing is to be verified */
	world_up(w);
	add(w);
	old = cid_of(w, lost);
	w->fake.no_scsi_answer = true;
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++)
		command_submit(&c[k], &w->client, (uint8_t)(0xc0 + k), false);
	WAIT_FOR(w->loop, w->fake.n_scsi == ARRAY_SIZE(c));
	w->fake.no_scsi_answer = false;
	fake_drop_cid(&w->fake, old, true);
	WAIT_FOR(w->loop, w->client.n_conn_down == 1);
	assert_int_equal(client_state(&w->client), INITIATOR_UP);
	assert_int_equal(client_n_up(&w->client), 1);
	fake_answer(&w->fake, ARRAY_SIZE(c));
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) {
		command_wait(&c[k]);
		assert_int_equal(c[k].cmd.error, 0);
	}
	run_ok(w);
	WAIT_FOR(w->loop, client_n_up(&w->client) == 2);
	assert_int_not_equal(cid_of(w, lost), old);
	assert_int_equal(w->fake.last_tsih, 7);
	assert_int_equal(w->client.n_conn_up, 3);
	run_ok(w);
	assert_int_equal(w->client.n_down + w->client.n_verify, 0);
	world_logout(w);
}

static void an_added_connection_is_lost_and_comes_back(void **state)
{
	one_of_two_is_lost(*state, 2);
}

static void the_leading_connection_is_lost_and_comes_back(void **state)
{
	one_of_two_is_lost(*state, 1);
}

static void the_pauses_of_a_connection_grow(void **state)
{
	struct world *w = *state;
	unsigned n_accepts;

	world_up(w);
	add(w);
	w->fake.join_status = 0x0301;
	n_accepts = w->fake.n_accepts;
	fake_drop_cid(&w->fake, cid_of(w, 2), false);
	pause_ns(w->loop, 1000 * NS_PER_MS);
	assert_in_range(w->fake.n_accepts - n_accepts, 4, 16);
	assert_int_equal(w->client.n_notes, 1);
	assert_int_equal(w->client.n_conn_down, 1);
	run_ok(w);
	w->fake.join_status = 0;
	WAIT_FOR(w->loop, client_n_up(&w->client) == 2);
	world_logout(w);
}

static void all_are_lost_and_come_back(void **state)
{
	struct world *w = *state;
	struct command c;

	world_up(w);
	add(w);
	add(w);
	w->client.hold_verify = true;
	w->fake.no_scsi_answer = true;
	command_submit(&c, &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	w->fake.no_scsi_answer = false;
	fake_drop(&w->fake, true);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	assert_int_equal(w->client.n_conn_down, 3);
	assert_int_equal(client_n_up(&w->client), 0);
	WAIT_FOR(w->loop, client_n_up(&w->client) == 3);
	assert_int_equal(w->client.n_verify, 1);
	assert_int_equal(client_state(&w->client), INITIATOR_VERIFYING);
	assert_int_equal(c.n_done, 0);
	assert_int_equal(cid_of(w, 1), 1);
	initiator_release(w->client.initiator);
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(w->client.n_down, 1);
	world_logout(w);
}

/* The leading one is away; when the last other one goes too, the session logs in anew. */
static void the_last_that_is_lost_is_not_the_leading_one(void **state)
{
	struct world *w = *state;

	world_up(w);
	add(w);
	w->fake.join_status = 0x0301;
	fake_drop_cid(&w->fake, cid_of(w, 1), false);
	WAIT_FOR(w->loop, w->client.n_conn_down == 1);
	run_ok(w);
	fake_drop_cid(&w->fake, cid_of(w, 2), false);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	w->fake.join_status = 0;
	WAIT_FOR(w->loop, client_n_up(&w->client) == 2);
	assert_int_equal(w->client.n_verify, 1);
	run_ok(w);
	world_logout(w);
}

static void silence_of_one_is_noticed(void **state)
{
	struct world *w = *state;

	w->client.cfg.session.nop_interval_ns = 50 * NS_PER_MS;
	w->client.cfg.session.nop_timeout_ns = 50 * NS_PER_MS;
	world_up(w);
	add(w);
	pause_ns(w->loop, 200 * NS_PER_MS);
	assert_int_equal(w->client.n_conn_down, 0);
	w->fake.no_nop_cid = cid_of(w, 2);
	WAIT_FOR(w->loop, w->client.n_conn_down == 1);
	assert_int_equal(client_n_up(&w->client), 1);
	WAIT_FOR(w->loop, client_n_up(&w->client) == 2);
	world_logout(w);
}

/* ---- the target wants one to leave -------------------------------------- */

static void one_is_asked_to_leave(void **state)
{
	struct world *w = *state;
	uint16_t cid;

	world_up(w);
	add(w);
	cid = cid_of(w, 2);
	fake_async_cid(&w->fake, cid, ASYNC_LOGOUT_REQUEST, 5);
	WAIT_FOR(w->loop, w->client.n_conn_down == 1);
	assert_int_equal(w->fake.n_logouts, 1);
	assert_int_equal(w->fake.last_logout_reason, LOGOUT_CLOSE_CONNECTION);
	assert_int_equal(w->fake.last_logout_cid, cid);
	assert_int_equal(client_state(&w->client), INITIATOR_UP);
	run_ok(w);
	WAIT_FOR(w->loop, client_n_up(&w->client) == 2);
	assert_int_not_equal(cid_of(w, 2), cid);
	assert_int_equal(w->client.n_down, 0);
	world_logout(w);
}

static void all_are_asked_to_leave(void **state)
{
	struct world *w = *state;

	world_up(w);
	add(w);
	fake_async(&w->fake, ASYNC_LOGOUT_REQUEST, 0, 0, 5);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	assert_int_equal(w->fake.n_logouts, 2);
	WAIT_FOR(w->loop, client_n_up(&w->client) == 2);
	assert_int_equal(w->client.n_verify, 1);
	run_ok(w);
	world_logout(w);
}

/* ---- the end ------------------------------------------------------------ */

static void the_end_while_one_is_being_removed(void **state)
{
	struct world *w = *state;
	struct change x = {.c.done = change_done};

	world_up(w);
	add(w);
	w->fake.no_logout_answer = true;
	w->client.cfg.session.logout_timeout_ns = NS_PER_S;
	assert_int_equal(initiator_remove_connection(w->client.initiator, 2, &x.c), 0);
	assert_int_equal(initiator_remove_connection(w->client.initiator, 2, &x.c), -EBUSY);
	WAIT_FOR(w->loop, w->fake.n_logouts == 1);
	w->fake.no_logout_answer = false;
	initiator_logout(w->client.initiator);
	client_end(&w->client);
	assert_int_equal(x.n_done, 1);
	assert_int_equal(x.c.error, -ECANCELED);
	assert_int_equal(w->fake.n_logouts, 2);
}

static void the_end_while_one_is_away(void **state)
{
	struct world *w = *state;

	world_up(w);
	add(w);
	add(w);
	w->fake.join_status = 0x0301;
	fake_drop_cid(&w->fake, cid_of(w, 1), false);
	WAIT_FOR(w->loop, w->client.n_conn_down == 1);
	world_logout(w);
	assert_int_equal(w->fake.n_logouts, 1);
	assert_int_equal(w->client.n_down, 0);
	WAIT_FOR(w->loop, fake_n_conns(&w->fake) == 0);
}

#undef T
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, world_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(added_and_listed_in_order),
		T(no_more_than_agreed_on),
		T(one_is_all_when_nothing_was_agreed_on),
		T(removed_by_a_logout_of_its_own),
		T(removed_without_an_answer),
		T(removed_while_it_is_lost),
		T(an_own_digest),
		T(a_refusal_is_told_and_leaves_nothing),
		T(adding_is_bounded),
		T(the_session_goes_while_one_is_added),
		T(only_while_the_session_is_up),
		T(an_added_connection_is_lost_and_comes_back),
		T(the_leading_connection_is_lost_and_comes_back),
		T(the_pauses_of_a_connection_grow),
		T(all_are_lost_and_come_back),
		T(the_last_that_is_lost_is_not_the_leading_one),
		T(silence_of_one_is_noticed),
		T(one_is_asked_to_leave),
		T(all_are_asked_to_leave),
		T(the_end_while_one_is_being_removed),
		T(the_end_while_one_is_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
