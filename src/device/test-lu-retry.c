/* SPDX-License-Identifier: MIT */
/* What becomes of commands that are not simply good: errors, retries, unit attentions. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "device/test-lu-bench.h"
#include "scsi/cdb.h"

/* ---- errors and retries ------------------------------------------------ */

static void every_error(void **state)
{
	static const struct {
		uint8_t key, asc, ascq;
		int result;
		unsigned n_tries;
	} row[] = {
		{0x2, 0x04, 0x03, -EIO, 1},       {0x2, 0x3a, 0x00, -ENOMEDIUM, 1},
		{0x3, 0x11, 0x00, -ENODATA, 1},   {0x3, 0x0c, 0x00, -EIO, 6},
		{0x4, 0x44, 0x00, -EREMOTEIO, 6}, {0x5, 0x20, 0x00, -EREMOTEIO, 1},
		{0x5, 0x21, 0x00, -EIO, 1},       {0x5, 0x24, 0x00, -EREMOTEIO, 1},
		{0x5, 0x25, 0x00, -ENODEV, 1},    {0x5, 0x10, 0x01, -EILSEQ, 1},
		{0x6, 0x2f, 0x00, -EIO, 17},      {0x7, 0x27, 0x00, -EROFS, 1},
		{0x7, 0x27, 0x07, -ENOSPC, 1},    {0x7, 0x74, 0x71, -EACCES, 1},
		{0x8, 0x00, 0x00, -EREMOTEIO, 1}, {0x9, 0x00, 0x00, -EIO, 1},
		{0xa, 0x00, 0x00, -EREMOTEIO, 1}, {0xb, 0x47, 0x05, -EREMOTEIO, 6},
		{0xb, 0x10, 0x02, -EILSEQ, 1},    {0xd, 0x00, 0x00, -ENOSPC, 1},
		{0xe, 0x1d, 0x00, -EILSEQ, 1},
	};

	bench_open(0);
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		unsigned before = path.n_submitted;
		struct req q;

		submit(&q, BLK_WRITE, 0, 1);
		while (path.n)
			fake_sense(&path, 0, row[i].key, row[i].asc, row[i].ascq);
		if (q.r.result != row[i].result)
			print_error("%x/%02x/%02x\n", row[i].key, row[i].asc, row[i].ascq);
		assert_int_equal(q.r.result, row[i].result);
		assert_int_equal(path.n_submitted - before, row[i].n_tries);
	}
}

static void status_errors(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_WRITE, 0, 1);
	fake_status(&path, 0, SCSI_RESERVATION_CONFLICT);
	assert_int_equal(q.r.result, -EBADE);
	submit(&q, BLK_WRITE, 0, 1);
	while (path.n)
		fake_status(&path, 0, SCSI_TASK_ABORTED);
	assert_int_equal(q.r.result, -EREMOTEIO);
	submit(&q, BLK_WRITE, 0, 1);
	while (path.n)
		fake_status(&path, 0, SCSI_CHECK_CONDITION); /* without sense */
	assert_int_equal(q.r.result, -EIO);
}

static void transport_errors(void **state)
{
	static const struct {
		int error, result;
		unsigned n_tries;
	} row[] = {
		{-EIO, -EIO, 1},         {-ETIMEDOUT, -ETIMEDOUT, 3},
		{-ECANCELED, -EIO, 6},   {-EREMOTEIO, -EREMOTEIO, 6},
		{-ENOBUFS, -ENOBUFS, 1},
	};

	bench_open(0);
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		unsigned before = path.n_submitted;
		struct req q;

		submit(&q, BLK_WRITE, 0, 1);
		while (path.n)
			fake_error(&path, 0, row[i].error);
		assert_int_equal(q.r.result, row[i].result);
		assert_int_equal(path.n_submitted - before, row[i].n_tries);
	}
}

static void retry_helps(void **state)
{
	struct req q;
	struct lu_stats st;

	bench_open(0);
	submit(&q, BLK_WRITE, 3, 4);
	fake_sense(&path, 0, 0xb, 0x47, 0x05);
	assert_cdb(&path, 0, SCSI_WRITE_10, 3, 4);
	assert_int_equal(path.q[0]->n_sense, 0); /* no result of the first try is left */
	assert_int_equal(path.q[0]->status, 0);
	assert_int_equal(path.q[0]->n_transferred, 0);
	fake_error(&path, 0, -ECANCELED);
	assert_int_equal(path.q[0]->error, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	lu_get_stats(lu, &st);
	assert_int_equal(st.n_retries, 2);
	assert_int_equal(st.n_writes, 1);
}

static void busy_backs_off_and_gives_up(void **state)
{
	struct req q;
	uint64_t start;
	unsigned n = 0;

	bench_open(0);
	start = loop.now_ns;
	submit(&q, BLK_READ, 0, 1);
	while (q.r.result == PENDING) {
		if (path.n) {
			n++;
			fake_status(&path, 0, SCSI_BUSY);
			/* never at once */
			assert_int_equal(path.n, 0);
		} else {
			assert_non_null(loop.timer);
			fake_advance(&loop, 10 * NS_PER_MS);
		}
		assert_true(loop.now_ns - start <= 31 * NS_PER_S);
	}
	assert_int_equal(q.r.result, -EIO);
	assert_true(loop.now_ns - start >= 29 * NS_PER_S);
	assert_in_range(n, 20, 60);
}

static void busy_then_good(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_READ, 0, 1);
	fake_sense(&path, 0, 0x2, 0x04, 0x01);
	fake_advance(&loop, 19 * NS_PER_MS);
	assert_int_equal(path.n, 0);
	fake_advance(&loop, NS_PER_MS);
	assert_int_equal(path.n, 1);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	assert_null(loop.timer);
}

static void busy_again_in_order_and_before_new_ones(void **state)
{
	struct req a, b, c;

	bench_open(0);
	submit(&a, BLK_READ, 1, 1);
	submit(&b, BLK_READ, 2, 1);
	fake_status(&path, 0, SCSI_TASK_SET_FULL);
	fake_status(&path, 0, SCSI_TASK_SET_FULL);
	submit(&c, BLK_READ, 3, 1);
	assert_int_equal(path.n, 0); /* a full unit is not given more */
	fake_advance(&loop, 20 * NS_PER_MS);
	assert_int_equal(path.n, 3);
	assert_cdb(&path, 0, SCSI_READ_10, 1, 1);
	assert_cdb(&path, 1, SCSI_READ_10, 2, 1);
	assert_cdb(&path, 2, SCSI_READ_10, 3, 1);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(a.r.result, 0);
	assert_int_equal(b.r.result, 0);
	assert_int_equal(c.r.result, 0);
}

static void full_queue_refilled_one_for_one(void **state)
{
	struct req q[4];

	bench_open(0);
	for (unsigned i = 0; i < 4; i++)
		submit(&q[i], BLK_READ, i, 1);
	fake_status(&path, 2, SCSI_TASK_SET_FULL);
	fake_status(&path, 2, SCSI_TASK_SET_FULL);
	assert_int_equal(path.n, 2);
	/* no time passes: one good answer makes room for one */
	fake_good(&path, 0);
	assert_int_equal(path.n, 2);
	assert_cdb(&path, 1, SCSI_READ_10, 2, 1);
	fake_good(&path, 0);
	assert_int_equal(path.n, 2);
	assert_cdb(&path, 1, SCSI_READ_10, 3, 1);
	fake_good(&path, 0);
	fake_good(&path, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(q[i].r.result, 0);
}

static void free_room_is_used_at_once(void **state)
{
	struct req a, b, c;

	bench_open(0);
	submit(&a, BLK_READ, 1, 1);
	submit(&b, BLK_READ, 2, 1);
	fake_status(&path, 0, SCSI_TASK_SET_FULL);
	fake_good(&path, 0); /* b; a takes its room */
	assert_cdb(&path, 0, SCSI_READ_10, 1, 1);
	submit(&c, BLK_READ, 3, 1);
	assert_int_equal(path.n, 1); /* was full a moment ago */
	fake_good(&path, 0);
	assert_int_equal(path.n, 1); /* … and is not any more */
	assert_cdb(&path, 0, SCSI_READ_10, 3, 1);

	/* or time passes */
	submit(&a, BLK_READ, 1, 1);
	fake_status(&path, 1, SCSI_TASK_SET_FULL);
	fake_good(&path, 0);
	submit(&b, BLK_READ, 2, 1);
	assert_int_equal(path.n, 1);
	fake_advance(&loop, 20 * NS_PER_MS);
	assert_int_equal(path.n, 2);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(a.r.result, 0);
	assert_int_equal(b.r.result, 0);
	assert_int_equal(c.r.result, 0);
}

static void not_ready_waits_its_time(void **state)
{
	struct req a, b;

	bench_open(0);
	submit(&a, BLK_READ, 1, 1);
	submit(&b, BLK_READ, 2, 1);
	fake_sense(&path, 0, 0x2, 0x04, 0x07);
	fake_good(&path, 0);
	assert_int_equal(path.n, 0);
	fake_advance(&loop, 20 * NS_PER_MS);
	fake_good(&path, 0);
	assert_int_equal(a.r.result, 0);
	assert_int_equal(b.r.result, 0);
}

static void who_waits_longer_goes_later(void **state)
{
	struct req a, b;

	bench_open(0);
	submit(&a, BLK_READ, 1, 1);
	fake_sense(&path, 0, 0x2, 0x04, 0x07);
	fake_advance(&loop, 20 * NS_PER_MS);
	fake_sense(&path, 0, 0x2, 0x04, 0x07);
	fake_advance(&loop, 40 * NS_PER_MS);
	/* a: for 80 ms; b: for 20 ms */
	submit(&b, BLK_READ, 2, 1);
	fake_sense(&path, 0, 0x2, 0x04, 0x07);
	fake_sense(&path, 0, 0x2, 0x04, 0x07);
	fake_advance(&loop, 20 * NS_PER_MS);
	assert_int_equal(path.n, 1);
	assert_cdb(&path, 0, SCSI_READ_10, 2, 1);
	fake_good(&path, 0);
	fake_advance(&loop, 60 * NS_PER_MS);
	assert_cdb(&path, 0, SCSI_READ_10, 1, 1);
	fake_good(&path, 0);
	assert_int_equal(a.r.result, 0);
}

static void no_timer_is_an_error_not_a_hang(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_READ, 0, 1);
	loop.timer_error = -ENOMEM;
	fake_status(&path, 0, SCSI_BUSY);
	assert_int_equal(q.r.result, -EIO);
	loop.timer_error = 0;
}

/* ---- unit attentions --------------------------------------------------- */

static void unit_attention_is_told_and_repeated(void **state)
{
	static const struct {
		uint8_t asc, ascq;
		int event; /* -1: none */
	} row[] = {
		{0x29, 0x00, LU_EV_RESET},
		{0x29, 0x07, LU_EV_RESET},
		{0x2a, 0x01, LU_EV_MODE_CHANGED},
		{0x2a, 0x09, LU_EV_CAPACITY_CHANGED},
		{0x3f, 0x03, LU_EV_INQUIRY_CHANGED},
		{0x28, 0x00, LU_EV_INQUIRY_CHANGED},
		{0x3f, 0x0e, LU_EV_LUNS_CHANGED},
		{0x27, 0x01, LU_EV_WRITE_PROTECTED},
		{0x2a, 0x03, -1},
		{0x38, 0x07, -1},
	};

	bench_open(0);
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct req q;

		n_events = 0;
		submit(&q, BLK_READ, 0, 1);
		fake_sense(&path, 0, 0x6, row[i].asc, row[i].ascq);
		assert_int_equal(n_events, row[i].event >= 0 ? 1 : 0);
		if (n_events)
			assert_int_equal(events[0], row[i].event);
		assert_int_equal(path.n, 1);
		fake_good(&path, 0);
		assert_int_equal(q.r.result, 0);
	}
}

static void several_unit_attentions(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_WRITE, 0, 1);
	fake_sense(&path, 0, 0x6, 0x29, 0x00);
	fake_sense(&path, 0, 0x6, 0x2a, 0x01);
	fake_sense(&path, 0, 0x6, 0x2a, 0x09);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	assert_int_equal(n_events, 3);
}

static void conclusions_are_told_once(void **state)
{
	struct req q;

	bench_open(0);
	for (unsigned i = 0; i < 3; i++) {
		submit(&q, BLK_WRITE, 0, 1);
		fake_sense(&path, 0, 0x7, 0x27, 0x00);
		assert_int_equal(q.r.result, -EROFS);
	}
	assert_int_equal(n_events, 1);
	assert_int_equal(events[0], LU_EV_WRITE_PROTECTED);
	submit(&q, BLK_WRITE, 0, 1);
	fake_sense(&path, 0, 0x5, 0x21, 0x00);
	assert_int_equal(n_events, 2);
	assert_int_equal(events[1], LU_EV_CAPACITY_CHANGED);
	/* looked at: from now on it would be news again */
	lu_update(lu, &info);
	submit(&q, BLK_WRITE, 0, 1);
	fake_sense(&path, 0, 0x7, 0x27, 0x00);
	assert_int_equal(n_events, 3);
}

static void fence_on_event(enum lu_event ev)
{
	lu_fence(lu, "another unit");
}

static void fenced_from_inside_the_event(void **state)
{
	struct req q, other;

	bench_open(0);
	on_event = fence_on_event;
	submit(&q, BLK_WRITE, 0, 1);
	submit(&other, BLK_WRITE, 1, 1);
	fake_sense(&path, 0, 0x6, 0x3f, 0x03);
	assert_int_equal(q.r.result, -EIO); /* not repeated */
	assert_int_equal(path.n, 1);
	assert_int_equal(path.n_cancelled, 1);
	fake_error(&path, 0, -ECANCELED);
	assert_int_equal(other.r.result, -EIO);
}

static void hold_on_event(enum lu_event ev)
{
	lu_hold(lu, true);
}

static void held_from_inside_the_event(void **state)
{
	struct req a, b;

	bench_open(0);
	on_event = hold_on_event;
	submit(&a, BLK_WRITE, 0, 1);
	fake_sense(&path, 0, 0x6, 0x3f, 0x05);
	submit(&b, BLK_WRITE, 1, 1);
	assert_int_equal(path.n, 0);
	fake_advance(&loop, 5 * NS_PER_S);
	assert_int_equal(path.n, 0);
	lu_update(lu, &info);
	lu_hold(lu, false);
	assert_int_equal(path.n, 2);
	assert_cdb(&path, 0, SCSI_WRITE_10, 0, 1);
	assert_cdb(&path, 1, SCSI_WRITE_10, 1, 1);
	fake_good(&path, 0);
	fake_good(&path, 0);
	assert_int_equal(a.r.result, 0);
	assert_int_equal(b.r.result, 0);

	/* or the answer is: another one */
	submit(&a, BLK_WRITE, 0, 1);
	fake_sense(&path, 0, 0x6, 0x3f, 0x05);
	submit(&b, BLK_WRITE, 1, 1);
	lu_fence(lu, "another unit");
	assert_int_equal(a.r.result, -EIO);
	assert_int_equal(b.r.result, -EIO);
	assert_int_equal(path.n, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_error),
		T(status_errors),
		T(transport_errors),
		T(retry_helps),
		T(busy_backs_off_and_gives_up),
		T(busy_then_good),
		T(busy_again_in_order_and_before_new_ones),
		T(full_queue_refilled_one_for_one),
		T(free_room_is_used_at_once),
		T(not_ready_waits_its_time),
		T(who_waits_longer_goes_later),
		T(no_timer_is_an_error_not_a_hang),
		T(unit_attention_is_told_and_repeated),
		T(several_unit_attentions),
		T(conclusions_are_told_once),
		T(fenced_from_inside_the_event),
		T(held_from_inside_the_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
