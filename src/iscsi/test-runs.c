/* SPDX-License-Identifier: MIT */
/*
 * Runs of bytes, held against a plain array of flags
 */
#include "iscsi/runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum {
	N = 200
};

static uint32_t seed = 7;

static uint32_t below(uint32_t n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

static void check(const struct runs *r, const bool *there)
{
	uint32_t first = 0, bytes = 0;

	while (first < N && there[first])
		first++;
	for (uint32_t i = 0; i < N; i++)
		bytes += there[i];
	assert_int_equal(runs_first(r), first);
	assert_int_equal(runs_bytes(r), bytes);
	for (unsigned i = 0; i + 1 < r->n; i++) /* apart, and in order */
		assert_true(r->run[i].off + r->run[i].n < r->run[i + 1].off);
}

static void any_order(void **state)
{
	(void)state;
	for (int round = 0; round < 300; round++) {
		struct runs r = {0};
		bool there[N] = {false};

		for (int i = 0; i < 40; i++) {
			uint32_t off = below(N), n = below(below(4) ? 6 : N - off + 1);
			bool overlaps = false;

			n = n > N - off ? N - off : n;
			for (uint32_t k = off; k < off + n; k++)
				overlaps |= there[k];
			assert_int_equal(runs_overlap(&r, off, n), overlaps);
			assert_true(runs_add(&r, off, n));
			memset(there + off, true, n);
			check(&r, there);
		}
	}
}

/* A transfer of 2^32 - 1 bytes ends where 32 bits do. */
static void up_to_the_last_byte(void **state)
{
	struct runs r = {0};

	(void)state;
	assert_true(runs_add(&r, UINT32_MAX - 10, 10));
	assert_true(runs_overlap(&r, UINT32_MAX - 1, 1));
	assert_false(runs_overlap(&r, UINT32_MAX - 11, 1));
	assert_true(runs_add(&r, 0, UINT32_MAX - 11));
	assert_int_equal(r.n, 2);
	assert_true(runs_add(&r, UINT32_MAX - 11, 1));
	assert_int_equal(r.n, 1);
	assert_int_equal(runs_first(&r), UINT32_MAX);
}

static void no_more_than_there_is_room_for(void **state)
{
	struct runs r = {0};

	(void)state;
	for (uint32_t i = 0; i < RUNS_MAX; i++)
		assert_true(runs_add(&r, 10 * i, 5));
	assert_false(runs_add(&r, 10 * RUNS_MAX, 5));
	assert_false(runs_add(&r, 7, 1));
	assert_int_equal(runs_bytes(&r), 5 * RUNS_MAX);
	assert_true(runs_add(&r, 5, 5)); /* closes a gap */
	assert_true(runs_add(&r, 10 * RUNS_MAX, 5));
	assert_true(runs_add(&r, 0, 10 * RUNS_MAX + 5));
	assert_int_equal(r.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order),
		cmocka_unit_test(up_to_the_last_byte),
		cmocka_unit_test(no_more_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
