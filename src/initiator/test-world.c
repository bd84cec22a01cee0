/* SPDX-License-Identifier: MIT */
#include "initiator/test-world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

int world_set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(loop_new(&w->loop), 0);
	fake_start(&w->fake, w->loop);
	client_init(&w->client, w->loop, &w->fake.addr);
	*state = w;
	return 0;
}

int world_tear_down(void **state)
{
	struct world *w = *state;

	if (w->client.initiator) {
		initiator_close(w->client.initiator);
		client_end(&w->client);
	}
	fake_stop(&w->fake);
	assert_null(loop_free(w->loop));
	free(w);
	return 0;
}

void world_up(struct world *w)
{
	client_start(&w->client);
	WAIT_FOR(w->loop, w->client.n_up || w->client.n_failed);
	assert_int_equal(w->client.n_failed, 0);
	assert_int_equal(client_state(&w->client), INITIATOR_UP);
}

void world_logout(struct world *w)
{
	initiator_logout(w->client.initiator);
	assert_false(w->client.closed);
	client_end(&w->client);
}

void world_failing(struct world *w, int error)
{
	client_start(&w->client);
	WAIT_FOR(w->loop, w->client.n_up || w->client.n_failed);
	assert_int_equal(w->client.n_up, 0);
	assert_int_equal(w->client.failure.error, error);
	assert_true(w->client.failure.text[0]);
	client_end(&w->client);
	assert_int_equal(w->client.n_failed, 1);
}

void pause_ns(struct loop *l, uint64_t ns)
{
	uint64_t end = clock_now_ns() + ns;

	while (clock_now_ns() < end)
		assert_int_equal(loop_turn(l, end), 0);
}
