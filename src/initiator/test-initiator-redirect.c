/* SPDX-License-Identifier: MIT */
/*
 * Where a session logs in: redirects, to numbers and to names, and addresses that change
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "initiator/test-world.h"

static const char *redirect_text(char *buf, size_t n, const struct tcp_addr *to)
{
	char addr[TCP_ADDR_TEXT];

	tcp_addr_text_port(to, addr, sizeof(addr));
	snprintf(buf, n, "TargetAddress=%s,1", addr);
	return buf;
}

static void redirected(struct world *w, uint16_t status)
{
	struct fake other = {.mode = FAKE_GOOD};
	char text[128];

	fake_start(&other, w->loop);
	w->fake.mode = FAKE_STATUS;
	w->fake.status = status;
	w->fake.status_text = redirect_text(text, sizeof(text), &other.addr);
	world_up(w);
	assert_int_equal(w->fake.n_accepts, 1);
	assert_int_equal(other.n_logins, 1);
	fake_drop(&other, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	/* Moved for now: ask at the old place again. Moved for good: do not. */
	assert_int_equal(w->fake.n_accepts, status == 0x0101 ? 2 : 1);
	assert_int_equal(other.n_logins, 2);
	world_logout(w);
	fake_stop(&other);
}

static void redirected_temporarily(void **state)
{
	redirected(*state, 0x0101);
}

static void redirected_permanently(void **state)
{
	redirected(*state, 0x0102);
}

/* What moved for good is one address of several: the others are still tried. */
static void other_addresses_stay_after_a_move(void **state)
{
	struct world *w = *state;
	struct fake other = {.mode = FAKE_GOOD}, third = {.mode = FAKE_GOOD};
	char text[128];

	fake_start(&other, w->loop);
	fake_start(&third, w->loop);
	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0102;
	w->fake.status_text = redirect_text(text, sizeof(text), &other.addr);
	w->client.cfg.addr[0] = w->fake.addr;
	w->client.cfg.addr[1] = third.addr;
	w->client.cfg.n_addrs = 2;
	world_up(w);
	assert_int_equal(other.n_logins, 1);
	fake_deaf(&other, true);
	fake_drop(&other, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(third.n_logins, 1);
	assert_int_equal(w->fake.n_accepts, 1);
	world_logout(w);
	fake_stop(&other);
	fake_stop(&third);
}

static void addresses_change_while_it_is_up(void **state)
{
	struct world *w = *state;
	struct fake other = {.mode = FAKE_GOOD};
	struct tcp_addr v[2];

	fake_start(&other, w->loop);
	world_up(w);
	v[0] = w->fake.addr;
	v[1] = other.addr;
	initiator_set_addrs(w->client.initiator, v, 2);
	assert_int_equal(w->client.n_down, 0);
	fake_deaf(&w->fake, true);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(other.n_logins, 1);
	/* none at all is no list to go by */
	initiator_set_addrs(w->client.initiator, v, 0);
	fake_drop(&other, false);
	WAIT_FOR(w->loop, w->client.n_verify == 2);
	world_logout(w);
	fake_stop(&other);
}

/* The last address of a long list fails when the list has become short. */
static void addresses_change_during_an_attempt(void **state)
{
	struct world *w = *state;
	struct fake other = {.mode = FAKE_GOOD}, silent = {.mode = FAKE_SILENT};

	fake_start(&other, w->loop);
	fake_start(&silent, w->loop);
	fake_deaf(&other, true);
	w->client.cfg.addr[0] = w->fake.addr;
	w->client.cfg.addr[1] = other.addr;
	w->client.cfg.addr[2] = silent.addr;
	w->client.cfg.n_addrs = 3;
	world_up(w);
	fake_deaf(&w->fake, true);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, silent.n_accepts == 1);
	fake_deaf(&w->fake, false);
	initiator_set_addrs(w->client.initiator, &w->fake.addr, 1);
	fake_drop(&silent, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(silent.n_accepts, 1);
	world_logout(w);
	fake_stop(&other);
	fake_stop(&silent);
}

/* For good to the second, from there for now and so on: the second is its home. */
static void redirected_permanently_then_temporarily(void **state)
{
	struct world *w = *state;
	struct fake home = {.mode = FAKE_STATUS, .status = 0x0101};
	struct fake inn = {.mode = FAKE_STATUS, .status = 0x0102};
	struct fake guest = {.mode = FAKE_GOOD};
	char to_home[128], to_inn[128], to_guest[128];

	fake_start(&home, w->loop);
	fake_start(&inn, w->loop);
	fake_start(&guest, w->loop);
	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0102;
	w->fake.status_text = redirect_text(to_home, sizeof(to_home), &home.addr);
	home.status_text = redirect_text(to_inn, sizeof(to_inn), &inn.addr);
	inn.status_text = redirect_text(to_guest, sizeof(to_guest), &guest.addr);
	world_up(w);
	fake_drop(&guest, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(w->fake.n_accepts, 1);
	assert_int_equal(home.n_accepts, 2);
	assert_int_equal(guest.n_logins, 2);
	world_logout(w);
	fake_stop(&home);
	fake_stop(&inn);
	fake_stop(&guest);
}

static void redirects_in_a_circle(void **state)
{
	struct world *w = *state;
	struct fake other = {.mode = FAKE_STATUS, .status = 0x0101};
	char there[128], back[128];

	fake_start(&other, w->loop);
	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0102;
	w->fake.status_text = redirect_text(there, sizeof(there), &other.addr);
	other.status_text = redirect_text(back, sizeof(back), &w->fake.addr);
	world_failing(w, -EREMOTEIO);
	assert_int_equal(w->client.failure.login_status, 0x0101);
	assert_non_null(strstr(w->client.failure.text, "circle"));
	assert_int_equal(w->fake.n_accepts, 1);
	assert_int_equal(other.n_accepts, 1);
	fake_stop(&other);
}

static void too_many_redirects(void **state)
{
	struct world *w = *state;
	struct fake hop[6];
	char text[6][128];

	memset(hop, 0, sizeof(hop));
	for (size_t k = 0; k < ARRAY_SIZE(hop); k++)
		fake_start(&hop[k], w->loop);
	for (size_t k = 0; k + 1 < ARRAY_SIZE(hop); k++) {
		hop[k].mode = FAKE_STATUS;
		hop[k].status = 0x0101;
		hop[k].status_text = redirect_text(text[k], sizeof(text[k]), &hop[k + 1].addr);
	}
	/* Four are followed, five are not. */
	w->client.cfg.addr[0] = hop[1].addr;
	world_up(w);
	world_logout(w);
	client_init(&w->client, w->loop, &hop[0].addr);
	world_failing(w, -EREMOTEIO);
	assert_int_equal(hop[5].n_accepts, 1);
	for (size_t k = 0; k < ARRAY_SIZE(hop); k++)
		fake_stop(&hop[k]);
}

static void redirects_that_cannot_be_followed(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"TargetAddress=storage.example.org:3260,1", "name"},
		{"TargetAddress=[::1:3260,1", "understood"},
		{"TargetAddress=127.0.0.1:0", "understood"},
		{"TargetAddress=\x1b[2J\xff", "understood"},
		{"TargetAlias=x", ""},
		{NULL, ""},
	};
	struct world *w = *state;

	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0101;
	for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
		client_init(&w->client, w->loop, &w->fake.addr);
		w->fake.status_text = bad[k].text;
		world_failing(w, -EREMOTEIO);
		assert_int_equal(w->client.failure.login_status, 0x0101);
		assert_non_null(strstr(w->client.failure.text, bad[k].says));
		assert_null(strchr(w->client.failure.text, '\x1b'));
		assert_null(strchr(w->client.failure.text, '\xff'));
	}
}

/* ---- to names ---------------------------------------------------------- */

/* The first login is redirected to that name. */
static void to_a_name(struct world *w, uint16_t status, const char *address)
{
	static char text[128];

	snprintf(text, sizeof(text), "TargetAddress=%s", address);
	w->client.names = true;
	w->fake.mode = FAKE_STATUS;
	w->fake.status = status;
	w->fake.status_text = text;
	client_start(&w->client);
	WAIT_FOR(w->loop, w->client.n_asked == 1);
	assert_int_equal(w->client.asked_number, 1);
}

static void answer(struct world *w, int error, const struct tcp_addr *v, unsigned n)
{
	initiator_resolved(w->client.initiator, w->client.asked_number, error, v, n);
}

static void name_temporarily(void **state)
{
	struct world *w = *state;
	struct fake other = {.mode = FAKE_GOOD};

	fake_start(&other, w->loop);
	to_a_name(w, 0x0101, "storage.example.org:4711,1");
	assert_string_equal(w->client.asked_name, "storage.example.org");
	assert_int_equal(w->client.asked_port, 4711);
	answer(w, 0, &other.addr, 1);
	WAIT_FOR(w->loop, w->client.n_up);
	fake_drop(&other, false);
	WAIT_FOR(w->loop, w->client.n_asked == 2);
	answer(w, 0, &other.addr, 1);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(other.n_logins, 2);
	world_logout(w);
	fake_stop(&other);
}

/* Of its addresses the first does not listen: the second is where it lives from then on. */
static void name_with_several_addresses(void **state)
{
	struct world *w = *state;
	struct fake deaf = {.mode = FAKE_GOOD}, other = {.mode = FAKE_GOOD};
	struct tcp_addr v[3];

	fake_start(&deaf, w->loop);
	fake_start(&other, w->loop);
	fake_deaf(&deaf, true);
	to_a_name(w, 0x0102, "storage");
	assert_int_equal(w->client.asked_port, 3260);
	v[0] = w->fake.addr; /* it has been there */
	v[1] = deaf.addr;
	v[2] = other.addr;
	answer(w, 0, v, 3);
	WAIT_FOR(w->loop, w->client.n_up);
	fake_drop(&other, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(w->client.n_asked, 1);
	assert_int_equal(w->fake.n_accepts, 1);
	assert_int_equal(other.n_logins, 2);
	world_logout(w);
	fake_stop(&deaf);
	fake_stop(&other);
}

static void fails_with(struct world *w, const char *words)
{
	WAIT_FOR(w->loop, w->client.n_failed);
	assert_int_equal(w->client.failure.error, -EREMOTEIO);
	assert_non_null(strstr(w->client.failure.text, words));
	client_end(&w->client);
}

static void name_that_there_is_not(void **state)
{
	struct world *w = *state;

	to_a_name(w, 0x0101, "storage");
	answer(w, -ENOENT, NULL, 0);
	fails_with(w, "\"storage\": there is no such name");
}

static void name_in_a_circle(void **state)
{
	struct world *w = *state;

	to_a_name(w, 0x0101, "storage");
	answer(w, 0, &w->fake.addr, 1);
	fails_with(w, "circle");
	assert_int_equal(w->fake.n_accepts, 1);
}

static void name_that_cannot_be_asked_for(void **state)
{
	struct world *w = *state;

	w->client.resolve_error = -EAGAIN;
	to_a_name(w, 0x0101, "storage");
	fails_with(w, "cannot be looked up now");
}

/* An answer that comes too late is none: neither at once nor for the next name. */
static void name_without_an_answer(void **state)
{
	struct world *w = *state;
	struct fake other = {.mode = FAKE_GOOD};

	fake_start(&other, w->loop);
	w->client.cfg.session.login_timeout_ns = 50 * NS_PER_MS;
	w->client.names = true;
	world_up(w);
	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0101;
	w->fake.status_text = "TargetAddress=storage";
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, strstr(w->client.last_note, "not looked up in time"));
	WAIT_FOR(w->loop, w->fake.n_accepts >= 4);
	assert_int_equal(w->client.n_asked, 1);
	answer(w, 0, &other.addr, 1);
	assert_int_equal(other.n_accepts, 0);
	WAIT_FOR(w->loop, w->client.n_asked == 2);
	answer(w, 0, &other.addr, 1);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(other.n_logins, 1);
	world_logout(w);
	fake_stop(&other);
}

static void name_asked_for_at_the_end(void **state)
{
	struct world *w = *state;

	to_a_name(w, 0x0101, "storage");
	initiator_logout(w->client.initiator);
	answer(w, 0, &w->fake.addr, 1);
	WAIT_FOR(w->loop, w->client.closed);
	answer(w, 0, &w->fake.addr, 1);
	assert_int_equal(w->fake.n_accepts, 1);
	client_end(&w->client);
}

static void name_of_nobody(void **state)
{
	struct world *w = *state;

	world_up(w);
	initiator_resolved(w->client.initiator, 1, 0, &w->fake.addr, 1);
	initiator_resolved(w->client.initiator, 7, -ENOENT, NULL, 0);
	pause_ns(w->loop, 10 * NS_PER_MS);
	assert_int_equal(w->fake.n_accepts, 1);
	world_logout(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(redirected_temporarily),
		T(redirected_permanently),
		T(other_addresses_stay_after_a_move),
		T(addresses_change_while_it_is_up),
		T(addresses_change_during_an_attempt),
		T(redirected_permanently_then_temporarily),
		T(redirects_in_a_circle),
		T(too_many_redirects),
		T(redirects_that_cannot_be_followed),
		T(name_temporarily),
		T(name_with_several_addresses),
		T(name_that_there_is_not),
		T(name_in_a_circle),
		T(name_that_cannot_be_asked_for),
		T(name_without_an_answer),
		T(name_asked_for_at_the_end),
		T(name_of_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
