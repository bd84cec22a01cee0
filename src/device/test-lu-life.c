/* SPDX-License-Identifier: MIT */
/* Fences, drains, limits of what is under way, and paths that come and go. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "device/test-lu-bench.h"
#include "scsi/cdb.h"

/* ---- fence, drain, limits ---------------------------------------------- */

static void fence(void **state)
{
	struct req wire, later, waiting, after;
	char why[32];

	info.limits.max_transfer_bytes = BB;
	bench_open(2);
	submit(&later, BLK_READ, 0, 1);
	submit(&wire, BLK_WRITE, 0, 1);
	submit(&waiting, BLK_WRITE, 1, 4);
	fake_status(&path, 0, SCSI_BUSY);
	assert_false(lu_is_fenced(lu, why, sizeof(why)));
	lu_fence(lu, "it became another unit");
	assert_true(lu_is_fenced(lu, why, sizeof(why)));
	assert_string_equal(why, "it became another unit");
	assert_int_equal(later.r.result, -EIO);
	assert_int_equal(waiting.r.result, -EIO);
	assert_int_equal(wire.r.result, PENDING);
	assert_int_equal(path.n_cancelled, 1);
	/* nobody knows which unit has got it */
	fake_good(&path, 0);
	assert_int_equal(wire.r.result, -EIO);
	submit(&after, BLK_READ, 0, 1);
	assert_int_equal(after.r.result, -EIO);
	submit(&after, BLK_FLUSH, 0, 0);
	assert_int_equal(after.r.result, -EIO);
	assert_int_equal(path.n, 0);
	lu_fence(lu, "again");
	assert_true(lu_is_fenced(lu, why, sizeof(why)));
	assert_string_equal(why, "it became another unit");
}

static void fence_between_parts(void **state)
{
	struct req q;

	info.dpo_fua = false;
	info.limits.max_transfer_bytes = BB;
	bench_open(2);
	submit_flags(&q, BLK_WRITE, BLK_F_FUA, 0, 8 * BB);
	assert_int_equal(path.n, 2);
	lu_fence(lu, "x");
	assert_int_equal(q.r.result, PENDING);
	fake_good(&path, 0);
	fake_error(&path, 0, -ECANCELED);
	assert_int_equal(q.r.result, -EIO);
	assert_int_equal(path.n, 0); /* no further parts, no flush */
}

static void path_that_cannot_cancel(void **state)
{
	struct req q;

	bench_open(0);
	lu_path_remove(lu, &path);
	assert_int_equal(lu_path_add(lu, &fake_path_ops_no_cancel, &path, 0x0001000000000000), 0);
	submit(&q, BLK_READ, 0, 1);
	lu_fence(lu, "x");
	fake_good(&path, 0);
	assert_int_equal(q.r.result, -EIO);
}

static struct req again;
static unsigned n_drained;

static void drained(void *arg)
{
	n_drained++;
	assert_ptr_equal(arg, &n_drained);
}

static void drained_frees(void *arg)
{
	n_drained++;
	lu = lu_free(lu);
}

static void drain(void **state)
{
	struct req a, b;

	bench_open(0);
	n_drained = 0;
	lu_drain(lu, drained, &n_drained);
	assert_int_equal(n_drained, 1); /* at once */
	submit(&a, BLK_READ, 0, 1);
	submit(&b, BLK_READ, 1, 1);
	for (unsigned i = 0; i < LU_MAX_DRAINS - 1; i++)
		lu_drain(lu, drained, &n_drained);
	lu_drain(lu, drained_frees, NULL);
	fake_good(&path, 0);
	assert_int_equal(n_drained, 1);
	/* a retry that waits is in flight too */
	fake_status(&path, 0, SCSI_BUSY);
	assert_int_equal(n_drained, 1);
	assert_int_equal(lu_n_inflight(lu), 1);
	fake_advance(&loop, NS_PER_S);
	fake_good(&path, 0);
	assert_int_equal(n_drained, 1 + LU_MAX_DRAINS);
	assert_null(lu);
}

static void drain_again(void **state)
{
	struct req q;

	bench_open(0);
	n_drained = 0;
	for (unsigned i = 1; i <= 2; i++) {
		submit(&q, BLK_READ, 0, 1);
		lu_drain(lu, drained, &n_drained);
		fake_good(&path, 0);
		assert_int_equal(n_drained, i);
	}
}

static void refused_and_drained_inside_done(struct blk_req *r)
{
	req_done(r);
	/* a request that ends at once, in the middle of the end of another */
	submit_flags(&again, BLK_READ, 0, 1, BB);
	assert_int_equal(again.r.result, -EINVAL);
	lu_drain(lu, drained_frees, NULL);
	/* the unit is still at work: whoever called us needs it */
	assert_int_equal(n_drained, 0);
}

static void drained_only_when_done_has_returned(void **state)
{
	struct req q, first;

	bench_open(0);
	n_drained = 0;
	memset(&q, 0, sizeof(q));
	q.iov[0] = (struct iovec){data, BB};
	q.r = (struct blk_req){.op = BLK_READ,
			       .n_bytes = BB,
			       .iov = q.iov,
			       .n_iov = 1,
			       .result = PENDING,
			       .done = refused_and_drained_inside_done};
	submit(&first, BLK_READ, 3, 1);
	lu_drain(lu, drained, &n_drained);
	blk_submit(lu, &q.r);
	fake_good(&path, 0);
	assert_int_equal(n_drained, 0);
	fake_good(&path, 0);
	assert_int_equal(n_drained, 2);
	assert_null(lu);
}

static void more_requests_than_commands(void **state)
{
	struct req q[10];

	bench_open(3);
	for (unsigned i = 0; i < 10; i++)
		submit(&q[i], BLK_READ, i, 1);
	assert_int_equal(path.n, 3);
	assert_int_equal(lu_n_inflight(lu), 10);
	for (unsigned i = 0; i < 10; i++) {
		assert_true(path.n <= 3);
		assert_cdb(&path, 0, SCSI_READ_10, i, 1); /* in the order they came */
		fake_good(&path, 0);
		assert_int_equal(q[i].r.result, 0);
	}
	assert_int_equal(lu_n_inflight(lu), 0);
}

static void large_request_through_few_commands(void **state)
{
	struct req big, small;

	info.limits.max_transfer_bytes = BB;
	bench_open(2);
	submit(&big, BLK_WRITE, 0, 7);
	submit(&small, BLK_READ, 50, 1);
	for (unsigned i = 0; i < 7; i++) {
		assert_cdb(&path, 0, SCSI_WRITE_10, i, 1);
		fake_good(&path, 0);
	}
	assert_int_equal(big.r.result, 0);
	assert_cdb(&path, 0, SCSI_READ_10, 50, 1);
	fake_good(&path, 0);
	assert_int_equal(small.r.result, 0);
}

static void flush_of_fua_goes_before_newer_requests(void **state)
{
	struct req a, b;

	info.dpo_fua = false;
	bench_open(1);
	submit_flags(&a, BLK_WRITE, BLK_F_FUA, 0, BB);
	submit(&b, BLK_READ, 9, 1);
	fake_good(&path, 0);
	assert_cdb(&path, 0, SCSI_SYNC_CACHE_10, 0, 0);
	fake_good(&path, 0);
	assert_int_equal(a.r.result, 0);
	fake_good(&path, 0);
	assert_int_equal(b.r.result, 0);
	lu = lu_free(lu);

	/* also where the newer one has begun already */
	info.limits.max_transfer_bytes = BB;
	bench_open(2);
	submit_flags(&a, BLK_WRITE, BLK_F_FUA, 0, BB);
	submit(&b, BLK_READ, 9, 4);
	fake_good(&path, 0);
	assert_int_equal(path.n, 2);
	assert_cdb(&path, 1, SCSI_SYNC_CACHE_10, 0, 0);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(a.r.result, 0);
	assert_int_equal(b.r.result, 0);
}

static void resubmit(struct blk_req *r)
{
	req_done(r);
	submit(&again, BLK_WRITE, 7, 1);
}

static void submit_from_inside_done(void **state)
{
	struct req q;

	bench_open(1);
	memset(&q, 0, sizeof(q));
	q.iov[0] = (struct iovec){data, BB};
	q.r = (struct blk_req){.op = BLK_READ,
			       .n_bytes = BB,
			       .iov = q.iov,
			       .n_iov = 1,
			       .result = PENDING,
			       .done = resubmit};
	blk_submit(lu, &q.r);
	fake_good(&path, 0);
	assert_cdb(&path, 0, SCSI_WRITE_10, 7, 1);
	fake_good(&path, 0);
	assert_int_equal(again.r.result, 0);
}

static void update(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_READ, N_BLOCKS, 1);
	assert_int_equal(q.r.result, -EIO);
	info.limits.n_bytes += BB;
	lu_update(lu, &info);
	submit(&q, BLK_READ, N_BLOCKS, 1);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	info.limits.read_only = true;
	lu_update(lu, &info);
	assert_false(lu_get_info(lu)->limits.can_discard);
	submit(&q, BLK_WRITE, 0, 1);
	assert_int_equal(q.r.result, -EROFS);
	/* a disk cannot change its blocks under its users */
	info.limits.block_bytes = 4096;
	lu_update(lu, &info);
	assert_true(lu_is_fenced(lu, NULL, 0));
}

/* ---- paths ------------------------------------------------------------- */

static void paths_come_and_go(void **state)
{
	static struct fake_path many[LU_MAX_PATHS];
	struct req q;

	bench_open(0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path, 5), -EEXIST);
	for (unsigned i = 0; i < LU_MAX_PATHS - 1; i++)
		assert_int_equal(lu_path_add(lu, &fake_path_ops, &many[i], i), 0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &many[LU_MAX_PATHS - 1], 9), -ENOSPC);
	assert_int_equal(lu_n_paths(lu), LU_MAX_PATHS);
	lu_path_remove(lu, &many[LU_MAX_PATHS - 1]); /* not there: nothing */
	assert_int_equal(lu_n_paths(lu), LU_MAX_PATHS);
	for (unsigned i = 0; i < LU_MAX_PATHS - 1; i++)
		lu_path_remove(lu, &many[i]);
	assert_int_equal(lu_n_paths(lu), 1);
	lu_path_remove(lu, &path);
	assert_int_equal(lu_n_paths(lu), 0);
	submit(&q, BLK_READ, 0, 1);
	assert_int_equal(q.r.result, -EIO);
}

static void second_path_takes_over(void **state)
{
	struct req q, r;

	bench_open(0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 0x0007000000000000), 0);
	submit(&q, BLK_WRITE, 4, 1);
	assert_int_equal(path.n, 1);
	assert_int_equal(path2.n, 0);
	fake_error(&path, 0, -EIO);
	assert_int_equal(path.n, 0);
	assert_int_equal(path2.n, 1);
	assert_int_equal(path2.q[0]->lun, 0x0007000000000000); /* as that path calls it */
	fake_good(&path2, 0);
	assert_int_equal(q.r.result, 0);
	/* new ones do not try the dead path first */
	submit(&q, BLK_WRITE, 4, 1);
	assert_int_equal(path2.n, 1);
	/* both gone: each tried once */
	fake_error(&path2, 0, -EIO);
	assert_int_equal(path.n, 1);
	fake_error(&path, 0, -EIO);
	assert_int_equal(q.r.result, -EIO);

	/* a path that answers "not through me" */
	submit(&q, BLK_READ, 4, 1);
	assert_int_equal(path.n + path2.n, 1);
	if (path.n) {
		fake_sense(&path, 0, 0x2, 0x04, 0x0b);
		fake_good(&path2, 0);
	} else {
		fake_sense(&path2, 0, 0x2, 0x04, 0x0b);
		fake_good(&path, 0);
	}
	assert_int_equal(q.r.result, 0);
	submit(&q, BLK_READ, 4, 1);
	submit(&r, BLK_READ, 5, 1);
	while (path.n || path2.n)
		fake_sense(path.n ? &path : &path2, 0, 0x2, 0x04, 0x0c);
	assert_int_equal(q.r.result, -EIO);
	assert_int_equal(r.r.result, -EIO);
}

static void open_two_paths(enum lu_policy policy)
{
	struct lu_cfg cfg = {.loop = &loop, .info = &info, .policy = policy};

	assert_int_equal(lu_new(&lu, &cfg), 0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path, 0x0001000000000000), 0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 0x0002000000000000), 0);
}

static void path_that_is_down_is_passed_over(void **state)
{
	struct req q;

	open_two_paths(LU_POLICY_FAILOVER);
	path.down = true;
	submit(&q, BLK_WRITE, 4, 1);
	assert_int_equal(path.n, 0);
	fake_good(&path2, 0);
	assert_int_equal(q.r.result, 0);
	/* it is the unit's path all the same, once it is back */
	path.down = false;
	submit(&q, BLK_WRITE, 4, 1);
	fake_good(&path, 0);
	/* none works: there it waits */
	path.down = path2.down = true;
	submit(&q, BLK_WRITE, 4, 1);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	/* and one that answers for itself leads back as well */
	path2.down = false;
	submit(&q, BLK_READ, 4, 1);
	fake_good(&path2, 0);
	assert_int_equal(q.r.result, 0);
}

static void what_a_lost_path_has_goes_on_elsewhere(void **state)
{
	struct req read, write, flush;

	open_two_paths(LU_POLICY_FAILOVER);
	submit(&read, BLK_READ, 0, 1);
	submit(&write, BLK_WRITE, 1, 1);
	submit(&flush, BLK_FLUSH, 0, 0);
	assert_int_equal(path.n, 3);
	path.down = true;
	lu_path_lost(lu, &path);
	assert_int_equal(path.n_cancelled, 2);
	assert_int_equal(path.n_taken_back, 1);
	while (path.n)
		fake_error(&path, 0, -ECANCELED);
	assert_int_equal(path2.n, 3);
	while (path2.n)
		fake_good(&path2, 0);
	assert_int_equal(read.r.result, 0);
	assert_int_equal(write.r.result, 0);
	assert_int_equal(flush.r.result, 0);
}

/* It could be executed after what is written there next. */
static void write_that_the_target_may_have_waits_for_its_path(void **state)
{
	struct req read, write;

	open_two_paths(LU_POLICY_FAILOVER);
	submit(&write, BLK_WRITE, 1, 1);
	submit(&read, BLK_READ, 0, 1);
	path.down = path.keeps = true;
	lu_path_lost(lu, &path);
	assert_int_equal(path.n_cancelled, 1);
	fake_error(&path, 1, -ECANCELED);
	fake_good(&path2, 0);
	assert_int_equal(read.r.result, 0);
	assert_int_equal(write.r.result, PENDING);
	path.down = false;
	fake_good(&path, 0);
	assert_int_equal(write.r.result, 0);
}

static void without_another_path_all_waits(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_READ, 0, 1);
	path.down = true;
	lu_path_lost(lu, &path);
	assert_int_equal(path.n_cancelled, 0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 0x0002000000000000), 0);
	path2.down = true;
	lu_path_lost(lu, &path);
	assert_int_equal(path.n_cancelled, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
}

static void round_robin_takes_paths_in_turn(void **state)
{
	struct req q[4];

	open_two_paths(LU_POLICY_ROUND_ROBIN);
	for (unsigned i = 0; i < 4; i++)
		submit(&q[i], BLK_READ, i, 1);
	assert_int_equal(path.n, 2);
	assert_int_equal(path2.n, 2);
	while (path.n || path2.n)
		fake_good(path.n ? &path : &path2, 0);
	path2.down = true;
	for (unsigned i = 0; i < 4; i++)
		submit(&q[i], BLK_READ, i, 1);
	assert_int_equal(path.n, 4);
	while (path.n)
		fake_good(&path, 0);
}

static void least_queue_takes_the_emptier_path(void **state)
{
	struct req q[4];

	open_two_paths(LU_POLICY_LEAST_QUEUE);
	submit(&q[0], BLK_READ, 0, 1);
	submit(&q[1], BLK_READ, 1, 1);
	assert_int_equal(path.n, 1);
	assert_int_equal(path2.n, 1);
	fake_good(&path2, 0);
	submit(&q[2], BLK_READ, 2, 1);
	assert_int_equal(path2.n, 1);
	/* what a removed path had does not count any more */
	lu_path_remove(lu, &path);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path, 0x0001000000000000), 0);
	submit(&q[3], BLK_READ, 3, 1);
	assert_int_equal(path.n, 2);
	while (path.n || path2.n)
		fake_good(path.n ? &path : &path2, 0);
}

static void path_in_transition(void **state)
{
	struct req q;

	bench_open(0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 0x0001000000000000), 0);
	submit(&q, BLK_READ, 4, 1);
	fake_sense(&path, 0, 0x2, 0x04, 0x0a);
	assert_int_equal(path2.n, 1); /* the other one at once */
	fake_sense(&path2, 0, 0x2, 0x04, 0x0a);
	assert_int_equal(path.n + path2.n, 0); /* both: wait */
	fake_advance(&loop, 20 * NS_PER_MS);
	/* and then both again */
	fake_sense(path.n ? &path : &path2, 0, 0x2, 0x04, 0x0a);
	assert_int_equal(path.n + path2.n, 1);
	fake_good(path.n ? &path : &path2, 0);
	assert_int_equal(q.r.result, 0);
}

static void path_too_narrow_for_the_command(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_READ, 0, 64);
	path2.max_bytes = 4096;
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 0x0001000000000000), 0);
	fake_error(&path, 0, -EIO);
	assert_int_equal(path2.n, 0);
	assert_int_equal(q.r.result, -EIO);
}

static void another_path_in_the_same_place(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_WRITE, 0, 1);
	lu_path_remove(lu, &path);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 0x0001000000000000), 0);
	fake_error(&path, 0, -EIO);
	assert_int_equal(path2.n, 1);
	fake_good(&path2, 0);
	assert_int_equal(q.r.result, 0);

	/* a path failed it; who comes to that place afterwards has not */
	lu_path_remove(lu, &path);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path, 0x0001000000000000), 0);
	submit(&q, BLK_WRITE, 0, 1);
	assert_int_equal(path2.n, 1);
	fake_error(&path2, 0, -EIO);
	assert_int_equal(path.n, 1);
	lu_path_remove(lu, &path2);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 0x0001000000000000), 0);
	fake_error(&path, 0, -EIO);
	assert_int_equal(path2.n, 1);
	fake_good(&path2, 0);
	assert_int_equal(q.r.result, 0);
	lu_path_remove(lu, &path);

	/* nobody is asked to cancel what an earlier path has */
	submit(&q, BLK_WRITE, 0, 1);
	lu_path_remove(lu, &path2);
	lu_fence(lu, "x");
	assert_int_equal(path2.n_cancelled, 0);
	fake_good(&path2, 0);
	assert_int_equal(q.r.result, -EIO);
}

static void timeout_tries_the_other_path(void **state)
{
	struct req q;
	unsigned n = 0;

	bench_open(0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 1), 0);
	submit(&q, BLK_READ, 0, 1);
	fake_error(&path, 0, -ETIMEDOUT);
	assert_int_equal(path2.n, 1);
	while (path.n || path2.n) {
		fake_error(path.n ? &path : &path2, 0, -ETIMEDOUT);
		assert_true(++n < 10);
	}
	assert_int_equal(q.r.result, -ETIMEDOUT);
}

static void removed_path(void **state)
{
	struct req wire, later, q;

	bench_open(0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 0x0001000000000000), 0);
	submit(&later, BLK_READ, 1, 1);
	submit(&wire, BLK_WRITE, 0, 1);
	fake_status(&path, 0, SCSI_BUSY);
	lu_path_remove(lu, &path);
	/* what waits goes the other way; what is under way ends where it is */
	fake_advance(&loop, 20 * NS_PER_MS);
	assert_int_equal(path2.n, 1);
	fake_good(&path2, 0);
	assert_int_equal(later.r.result, 0);
	/* the session went down with it: repeated on the path that is left */
	fake_error(&path, 0, -ECANCELED);
	assert_int_equal(path2.n, 1);
	assert_cdb(&path2, 0, SCSI_WRITE_10, 0, 1);
	/* the first is back, in the place it had; it has not been tried */
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path, 0x0001000000000000), 0);
	fake_error(&path2, 0, -EIO);
	assert_int_equal(path.n, 1);
	fake_good(&path, 0);
	assert_int_equal(wire.r.result, 0);

	/* the answer of a removed path still counts */
	submit(&q, BLK_WRITE, 0, 1);
	assert_int_equal(path.n, 1);
	lu_path_remove(lu, &path);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
}

static void last_path_removed(void **state)
{
	struct req wire, later, waiting;

	bench_open(2);
	submit(&later, BLK_READ, 1, 1);
	submit(&wire, BLK_WRITE, 0, 1);
	submit(&waiting, BLK_WRITE, 3, 1);
	fake_status(&path, 0, SCSI_BUSY);
	lu_path_remove(lu, &path);
	assert_int_equal(later.r.result, -EIO);
	assert_int_equal(waiting.r.result, -EIO);
	assert_int_equal(wire.r.result, PENDING);
	fake_error(&path, 0, -ECANCELED);
	assert_int_equal(wire.r.result, -EIO);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(fence),
		T(fence_between_parts),
		T(path_that_cannot_cancel),
		T(drain),
		T(drain_again),
		T(drained_only_when_done_has_returned),
		T(more_requests_than_commands),
		T(large_request_through_few_commands),
		T(flush_of_fua_goes_before_newer_requests),
		T(submit_from_inside_done),
		T(update),
		T(paths_come_and_go),
		T(second_path_takes_over),
		T(path_that_is_down_is_passed_over),
		T(what_a_lost_path_has_goes_on_elsewhere),
		T(write_that_the_target_may_have_waits_for_its_path),
		T(without_another_path_all_waits),
		T(round_robin_takes_paths_in_turn),
		T(least_queue_takes_the_emptier_path),
		T(path_in_transition),
		T(path_too_narrow_for_the_command),
		T(another_path_in_the_same_place),
		T(timeout_tries_the_other_path),
		T(removed_path),
		T(last_path_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
