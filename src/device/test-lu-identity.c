/* SPDX-License-Identifier: MIT */
/*
 * A unit whose identity is in doubt, or whose LUN has become something else: nothing
 * that was meant for it may reach another one, and nothing another one says is believed.
 */
#include <errno.h>

#include "device/test-lu-bench.h"
#include "scsi/cdb.h"

/* A hold takes back what is not on the wire; the test plays both kinds. */
static void hold_takes_back_what_waits(void **state)
{
	struct req sent, queued;

	bench_open(0);
	submit(&sent, BLK_WRITE, 0, 1);
	submit(&queued, BLK_WRITE, 8, 1);
	lu_hold(lu, true);
	assert_int_equal(path.n_recalled, 2);
	fake_error(&path, 1, -ECANCELED); /* was not on the wire */
	fake_good(&path, 0);              /* was */
	assert_int_equal(sent.r.result, 0);
	assert_int_equal(queued.r.result, PENDING);
	assert_int_equal(path.n, 0); /* not sent again while held */
	lu_hold(lu, false);
	assert_cdb(&path, 0, SCSI_WRITE_10, 8, 1);
	fake_good(&path, 0);
	assert_int_equal(queued.r.result, 0);
}

/* Taken back again and again costs none of the retries that real trouble is allowed. */
static void taking_back_does_not_count(void **state)
{
	struct req r;

	bench_open(0);
	submit(&r, BLK_WRITE, 0, 1);
	for (int i = 0; i < 50; i++) {
		lu_hold(lu, true);
		fake_error(&path, 0, -ECANCELED);
		assert_int_equal(path.n, 0);
		lu_hold(lu, false);
		assert_int_equal(path.n, 1);
	}
	fake_good(&path, 0);
	assert_int_equal(r.r.result, 0);
}

static void disowned_path_is_given_up_and_not_believed(void **state)
{
	struct req cancelled, answered;

	bench_open(0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 0), 0);
	submit(&cancelled, BLK_WRITE, 0, 1);
	submit(&answered, BLK_WRITE, 8, 1);
	lu_path_disown(lu, &path);
	assert_int_equal(path.n_cancelled, 2);
	fake_error(&path, 0, -ECANCELED);
	fake_good(&path, 0); /* the other unit took it: ours did not */
	assert_int_equal(cancelled.r.result, PENDING);
	assert_int_equal(answered.r.result, PENDING);
	assert_int_equal(path2.n, 2);
	fake_good(&path2, 0);
	fake_good(&path2, 0);
	assert_int_equal(cancelled.r.result, 0);
	assert_int_equal(answered.r.result, 0);
}

static void absent_unit_fails_everything_until_it_is_back(void **state)
{
	struct req under_way, later, during, after;

	bench_open(0);
	submit(&later, BLK_WRITE, 0, 1);
	fake_status(&path, 0, SCSI_BUSY); /* waits for its next try */
	submit(&under_way, BLK_WRITE, 8, 1);
	fake_advance(&loop, NS_PER_S);
	lu_set_absent(lu, true);
	assert_int_equal(path.n_cancelled, path.n);
	while (path.n)
		fake_sense(&path, 0, 6, 0x29, 0); /* a new unit's word: must not be sent again */
	assert_int_equal(later.r.result, -EIO);
	assert_int_equal(under_way.r.result, -EIO);
	submit(&during, BLK_READ, 0, 1);
	assert_int_equal(during.r.result, -EIO);
	assert_int_equal(path.n, 0);
	lu_set_absent(lu, false);
	submit(&after, BLK_READ, 0, 1);
	fake_good(&path, 0);
	assert_int_equal(after.r.result, 0);
}

/* The unit's blocks have become larger: good status, the wrong place. */
static void overflow_is_never_success(void **state)
{
	struct req read, write;

	bench_open(0);
	submit(&read, BLK_READ, 0, 8);
	submit(&write, BLK_WRITE, 0, 8);
	fake_overflow(&path, 0);
	fake_overflow(&path, 0);
	assert_int_equal(read.r.result, -EIO);
	assert_int_equal(write.r.result, -EIO);
	assert_int_equal(n_events, 1);
	assert_int_equal(events[0], LU_EV_CAPACITY_CHANGED);
}

/* Busy once, then the session is away for a minute, then "becoming ready": still patient. */
static void time_away_is_not_time_tried(void **state)
{
	struct req r;

	bench_open(0);
	submit(&r, BLK_WRITE, 0, 1);
	fake_status(&path, 0, SCSI_BUSY);
	fake_advance(&loop, NS_PER_S);
	assert_int_equal(path.n, 1); /* on its way, and stays there */
	fake_advance(&loop, 50 * NS_PER_S);
	fake_sense(&path, 0, 2, 0x04, 0x01);
	assert_int_equal(r.r.result, PENDING);
	fake_advance(&loop, 2 * NS_PER_S);
	fake_good(&path, 0);
	assert_int_equal(r.r.result, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(hold_takes_back_what_waits),
		T(taking_back_does_not_count),
		T(disowned_path_is_given_up_and_not_believed),
		T(absent_unit_fails_everything_until_it_is_back),
		T(overflow_is_never_success),
		T(time_away_is_not_time_tried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
