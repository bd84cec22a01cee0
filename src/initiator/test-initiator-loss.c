/* SPDX-License-Identifier: MIT */
/*
 * A session that is lost and comes back
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "initiator/test-world.h"
#include "iscsi/pdu.h"

/* ---- loss and return --------------------------------------------------- */

static void commands_under_way_are_sent_again_in_order(void **state)
{
	struct world *w = *state;
	struct command c[5];
	struct initiator_status s;

	world_up(w);
	w->fake.no_scsi_answer = true;
	for (unsigned k = 0; k < 3; k++)
		command_submit(&c[k], &w->client, (uint8_t)(0xc0 + k), false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 3);
	w->fake.no_scsi_answer = false;
	w->fake.n_scsi = 0;
	fake_drop(&w->fake, true);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	assert_true(w->client.last_down[0]);
	assert_int_equal(client_state(&w->client), INITIATOR_DOWN);
	for (unsigned k = 3; k < 5; k++)
		command_submit(&c[k], &w->client, (uint8_t)(0xc0 + k), false);
	for (unsigned k = 0; k < 5; k++) {
		command_wait(&c[k]);
		assert_int_equal(c[k].cmd.error, 0);
		assert_int_equal(w->fake.last_opcode[k], 0xc0 + k);
	}
	assert_int_equal(w->fake.n_scsi, 5);
	assert_int_equal(w->client.n_verify, 1);
	initiator_get_status(w->client.initiator, &s);
	assert_int_equal(s.state, INITIATOR_UP);
	assert_int_equal(s.n_reconnects, 1);
	/* Reinstatement: the same ISID, and no TSIH. */
	assert_memory_equal(w->fake.last_isid, w->client.cfg.session.isid, 6);
	assert_int_equal(w->fake.last_tsih, 0);
	world_logout(w);
}

static void only_probes_pass_until_the_release(void **state)
{
	struct world *w = *state;
	struct command c, waiting, probe;

	w->client.hold_verify = true;
	world_up(w);
	w->fake.no_scsi_answer = true;
	command_submit(&c, &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	w->fake.no_scsi_answer = false;
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(client_state(&w->client), INITIATOR_VERIFYING);
	command_submit(&waiting, &w->client, TUR, false);
	command_submit(&probe, &w->client, INQUIRY, true);
	command_wait(&probe);
	assert_int_equal(probe.cmd.error, 0);
	assert_int_equal(c.n_done + waiting.n_done, 0);
	assert_int_equal(w->fake.n_scsi, 2);
	initiator_release(w->client.initiator);
	assert_int_equal(client_state(&w->client), INITIATOR_UP);
	command_wait(&c);
	command_wait(&waiting);
	assert_int_equal(c.cmd.error + waiting.cmd.error, 0);
	initiator_release(w->client.initiator); /* no effect */
	world_logout(w);
}

/*
 * The session is back, and the unit turned out to be another one: what was meant for
 * the old one must not be sent when the others go on, wherever it waits.
 */
static void cancelled_while_held_is_never_sent(void **state)
{
	struct world *w = *state;
	struct command c[12], kept;
	unsigned n_before;

	w->client.cfg.n_commands = 8;
	w->client.hold_verify = true;
	world_up(w);
	w->fake.no_scsi_answer = true;
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) /* 8 on the wire, 4 in the queue */
		command_submit(&c[k], &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 8);
	fake_drop(&w->fake, true);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	n_before = w->fake.n_scsi;
	w->fake.no_scsi_answer = false;
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++)
		initiator_path_ops.cancel(w->client.initiator, &c[k].cmd);
	assert_int_equal(c[0].n_done, 0); /* never from inside */
	command_submit(&kept, &w->client, TUR, false);
	initiator_release(w->client.initiator);
	command_wait(&kept);
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) {
		assert_int_equal(c[k].n_done, 1);
		assert_int_equal(c[k].cmd.error, -ECANCELED);
	}
	assert_int_equal(kept.cmd.error, 0);
	assert_int_equal(w->fake.n_scsi, n_before + 1);
	initiator_logout(w->client.initiator);
	client_end(&w->client);
}

static void lost_again_while_verifying(void **state)
{
	struct world *w = *state;
	struct command held, probe, queued;

	w->client.hold_verify = true;
	world_up(w);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	command_submit(&held, &w->client, TUR, false);
	w->fake.no_scsi_answer = true;
	command_submit(&probe, &w->client, INQUIRY, true);
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_down == 2);
	command_wait(&probe);
	assert_int_equal(probe.cmd.error, -EIO);
	assert_int_equal(held.n_done, 0);
	initiator_release(w->client.initiator); /* too late: that login is gone */
	assert_int_equal(client_state(&w->client), INITIATOR_DOWN);
	command_submit(&queued, &w->client, INQUIRY, true); /* for the next login */
	w->fake.no_scsi_answer = false;
	WAIT_FOR(w->loop, w->client.n_verify == 2);
	command_wait(&queued);
	assert_int_equal(queued.cmd.error, 0);
	initiator_release(w->client.initiator);
	command_wait(&held);
	assert_int_equal(held.cmd.error, 0);
	world_logout(w);
}

static void commands_fail_when_the_hold_is_over(void **state)
{
	struct world *w = *state;
	struct command under_way, waiting, late, probe, after;

	w->client.hold_verify = true;
	w->client.cfg.hold_ns = 200 * NS_PER_MS;
	world_up(w);
	w->fake.no_scsi_answer = true;
	command_submit(&under_way, &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	fake_deaf(&w->fake, true);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	command_submit(&waiting, &w->client, TUR, false);
	command_submit(&probe, &w->client, INQUIRY, true);
	pause_ns(w->loop, 20 * NS_PER_MS);
	assert_int_equal(under_way.n_done + waiting.n_done + probe.n_done, 0);
	WAIT_FOR(w->loop, w->client.n_expired == 1);
	command_wait(&under_way);
	command_wait(&waiting);
	command_wait(&probe);
	assert_int_equal(under_way.cmd.error, -EIO);
	assert_int_equal(waiting.cmd.error, -EIO);
	assert_int_equal(probe.cmd.error, -EIO);
	command_submit(&late, &w->client, TUR, false);
	assert_int_equal(loop_turn(w->loop, 0), 0);
	assert_int_equal(late.n_done, 1);
	assert_int_equal(late.cmd.error, -EIO);

	/* Back: probes pass, the rest fails until the release. */
	w->fake.no_scsi_answer = false;
	fake_deaf(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	command_submit(&probe, &w->client, INQUIRY, true);
	command_submit(&late, &w->client, TUR, false);
	command_wait(&probe);
	command_wait(&late);
	assert_int_equal(probe.cmd.error, 0);
	assert_int_equal(late.cmd.error, -EIO);
	initiator_release(w->client.initiator);
	command_submit(&after, &w->client, TUR, false);
	command_wait(&after);
	assert_int_equal(after.cmd.error, 0);
	assert_int_equal(w->client.n_expired, 1);
	world_logout(w);
}

static void the_hold_ends_during_verification_too(void **state)
{
	struct world *w = *state;
	struct command waiting, probe;

	w->client.hold_verify = true;
	w->client.cfg.hold_ns = 150 * NS_PER_MS;
	world_up(w);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	command_submit(&waiting, &w->client, TUR, false);
	w->fake.no_scsi_answer = true;
	command_submit(&probe, &w->client, INQUIRY, true);
	command_wait(&waiting);
	assert_int_equal(waiting.cmd.error, -EIO);
	assert_int_equal(probe.n_done, 0);
	initiator_close(w->client.initiator);
	client_end(&w->client);
	assert_int_equal(probe.cmd.error, -ECANCELED);
}

static void time_stands_still_while_commands_are_held(void **state)
{
	struct world *w = *state;
	struct command under_way, waiting, lazy;

	world_up(w);
	fake_deaf(&w->fake, true);
	w->fake.no_scsi_answer = true;
	command_submit(&under_way, &w->client, TUR, false);
	under_way.cmd.timeout_ns = 150 * NS_PER_MS;
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	command_submit(&waiting, &w->client, TUR, false);
	waiting.cmd.timeout_ns = 150 * NS_PER_MS;
	pause_ns(w->loop, 500 * NS_PER_MS);
	assert_int_equal(under_way.n_done + waiting.n_done, 0);
	w->fake.no_scsi_answer = false;
	fake_deaf(&w->fake, false);
	command_wait(&under_way);
	command_wait(&waiting);
	assert_int_equal(under_way.cmd.error, 0);
	assert_int_equal(waiting.cmd.error, 0);

	/* And it goes on afterwards. */
	w->fake.no_scsi_answer = true;
	command_submit(&lazy, &w->client, TUR, false);
	lazy.cmd.timeout_ns = 50 * NS_PER_MS;
	command_wait(&lazy);
	assert_int_equal(lazy.cmd.error, -ETIMEDOUT);
	assert_int_equal(w->client.n_down, 1); /* ABORT TASK was enough */
	world_logout(w);
}

/* What waits for a free task is not sent when its time is over. */
static void a_command_that_waited_too_long_is_not_sent(void **state)
{
	struct world *w = *state;
	struct command first, second;

	w->client.cfg.n_commands = 1;
	world_up(w);
	w->fake.no_scsi_answer = true;
	command_submit(&first, &w->client, 0xc0, false);
	first.cmd.timeout_ns = 100 * NS_PER_MS;
	command_submit(&second, &w->client, 0xc1, false);
	second.cmd.timeout_ns = 50 * NS_PER_MS;
	command_wait(&first);
	command_wait(&second);
	assert_int_equal(first.cmd.error, -ETIMEDOUT);
	assert_int_equal(second.cmd.error, -ETIMEDOUT);
	assert_int_equal(w->fake.n_scsi, 1);
	world_logout(w);
}

static void once_means_once(void **state)
{
	struct world *w = *state;
	struct command c;

	world_up(w);
	w->fake.no_scsi_answer = true;
	command_submit(&c, &w->client, TUR, false);
	c.cmd.once = true;
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	fake_drop(&w->fake, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, -EIO);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	pause_ns(w->loop, 20 * NS_PER_MS);
	assert_int_equal(w->fake.n_scsi, 1);
	world_logout(w);
}

static void silence_is_noticed(void **state)
{
	struct world *w = *state;

	w->client.cfg.session.nop_interval_ns = 50 * NS_PER_MS;
	w->client.cfg.session.nop_timeout_ns = 50 * NS_PER_MS;
	world_up(w);
	pause_ns(w->loop, 250 * NS_PER_MS);
	assert_int_equal(w->client.n_down, 0);
	w->fake.no_nop_answer = true;
	WAIT_FOR(w->loop, w->client.n_down == 1);
	w->fake.no_nop_answer = false;
	WAIT_FOR(w->loop, client_state(&w->client) == INITIATOR_UP);
	world_logout(w);
}

static void attempts_are_told_once_per_change(void **state)
{
	struct world *w = *state;
	unsigned n_accepts;

	world_up(w);
	/* Refused by TCP, many times. */
	fake_deaf(&w->fake, true);
	fake_drop(&w->fake, false);
	pause_ns(w->loop, 1200 * NS_PER_MS);
	assert_int_equal(w->client.n_down, 1);
	assert_int_equal(w->client.n_notes, 1);
	/* Another reason is news, once. */
	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0301;
	fake_deaf(&w->fake, false);
	n_accepts = w->fake.n_accepts;
	WAIT_FOR(w->loop, w->fake.n_accepts == n_accepts + 13);
	assert_int_equal(w->client.n_notes, 2);
	assert_int_equal(w->client.n_down, 1);
	w->fake.mode = FAKE_GOOD;
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	world_logout(w);
}

static void pauses_grow_up_to_a_bound(void **state)
{
	struct world *w = *state;
	unsigned n_accepts;

	world_up(w);
	w->fake.mode = FAKE_CLOSE;
	n_accepts = w->fake.n_accepts;
	fake_drop(&w->fake, false);
	pause_ns(w->loop, 1000 * NS_PER_MS);
	/* 20, 40, 80, 100, 100, … ms, each a quarter more or less: 11 of them, not 50. */
	assert_in_range(w->fake.n_accepts - n_accepts, 4, 16);
	w->fake.mode = FAKE_GOOD;
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	world_logout(w);
}

static void time2wait_is_kept(void **state)
{
	struct world *w = *state;

	world_up(w);
	fake_async(&w->fake, ASYNC_SESSION_DROP, 0, 1, 0);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_true(w->client.verify_ns - w->client.down_ns >= NS_PER_S);
	world_logout(w);
}

/* ---- the target wants us to leave -------------------------------------- */

static void logout_on_request_lets_commands_end(void **state)
{
	struct world *w = *state;
	struct command first, second, queued, later;

	w->fake.window = 2;
	world_up(w);
	w->client.hold_verify = true;
	w->fake.no_scsi_answer = true;
	command_submit(&first, &w->client, 0xc0, false);
	command_submit(&second, &w->client, 0xc1, false);
	second.cmd.once = true;                           /* would fail if it were cut off */
	command_submit(&queued, &w->client, 0xc2, false); /* with the engine, for want of window */
	WAIT_FOR(w->loop, w->fake.n_scsi == 2);
	fake_async(&w->fake, ASYNC_LOGOUT_REQUEST, 0, 0, 10);
	pause_ns(w->loop, 50 * NS_PER_MS);
	command_submit(&later, &w->client, 0xc3, false);
	fake_answer(&w->fake, 1); /* opens the window, but nothing new may go */
	command_wait(&first);
	pause_ns(w->loop, 50 * NS_PER_MS);
	assert_int_equal(w->fake.n_logouts, 0);
	assert_int_equal(w->fake.n_scsi, 2);
	w->fake.no_scsi_answer = false;
	fake_answer(&w->fake, 1);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	assert_int_equal(w->fake.n_logouts, 1);
	assert_int_equal(second.n_done, 1);
	assert_int_equal(second.cmd.error, 0);
	assert_int_equal(w->fake.n_scsi, 2);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(queued.n_done + later.n_done, 0);
	initiator_release(w->client.initiator);
	command_wait(&queued);
	command_wait(&later);
	assert_int_equal(queued.cmd.error, 0);
	assert_int_equal(later.cmd.error, 0);
	world_logout(w);
	assert_int_equal(w->fake.n_logouts, 2);
}

static void logout_on_request_does_not_wait_for_ever(void **state)
{
	struct world *w = *state;
	struct command stuck;

	world_up(w);
	w->fake.no_scsi_answer = true;
	w->fake.no_logout_answer = true;
	w->client.cfg.session.logout_timeout_ns = NS_PER_S;
	command_submit(&stuck, &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	fake_async(&w->fake, ASYNC_LOGOUT_REQUEST, 0, 0, 1);
	WAIT_FOR(w->loop, w->fake.n_logouts == 1);
	assert_int_equal(stuck.n_done, 0);
	/* The target goes without an answer; we come back, and the command with us. */
	w->fake.no_scsi_answer = false;
	fake_drop(&w->fake, false);
	command_wait(&stuck);
	assert_int_equal(stuck.cmd.error, 0);
	w->fake.no_logout_answer = false;
	world_logout(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(commands_under_way_are_sent_again_in_order),
		T(only_probes_pass_until_the_release),
		T(cancelled_while_held_is_never_sent),
		T(lost_again_while_verifying),
		T(commands_fail_when_the_hold_is_over),
		T(the_hold_ends_during_verification_too),
		T(time_stands_still_while_commands_are_held),
		T(a_command_that_waited_too_long_is_not_sent),
		T(once_means_once),
		T(silence_is_noticed),
		T(attempts_are_told_once_per_change),
		T(pauses_grow_up_to_a_bound),
		T(time2wait_is_kept),
		T(logout_on_request_lets_commands_end),
		T(logout_on_request_does_not_wait_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
