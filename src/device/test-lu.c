/* SPDX-License-Identifier: MIT */
/* What commands reads, writes and flushes become: checks, cutting, FUA. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "device/test-lu-bench.h"
#include "scsi/cdb.h"

/* ---- reads and writes -------------------------------------------------- */

static void read_and_write_one_command(void **state)
{
	struct req q;
	struct lu_stats st;

	bench_open(0);
	submit(&q, BLK_READ, 10, 8);
	assert_int_equal(path.n, 1);
	assert_cdb(&path, 0, SCSI_READ_10, 10, 8);
	assert_int_equal(path.q[0]->dir, SCSI_DIR_READ);
	assert_int_equal(path.q[0]->n_data, 8 * BB);
	assert_ptr_equal(path.q[0]->iov[0].iov_base, data);
	assert_int_equal(lu_n_inflight(lu), 1);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);

	submit(&q, BLK_WRITE, N_BLOCKS - 1, 1);
	assert_cdb(&path, 0, SCSI_WRITE_10, N_BLOCKS - 1, 1);
	assert_int_equal(path.q[0]->dir, SCSI_DIR_WRITE);
	assert_false(fake_cdb_of(path.q[0]).fua);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);

	lu_get_stats(lu, &st);
	assert_int_equal(st.n_reads, 1);
	assert_int_equal(st.read_bytes, 8 * BB);
	assert_int_equal(st.n_writes, 1);
	assert_int_equal(st.write_bytes, BB);
	assert_int_equal(st.n_errors, 0);
	assert_int_equal(st.n_retries, 0);
}

static void bad_requests(void **state)
{
	static const struct {
		enum blk_op op;
		uint64_t off, n;
		int result;
	} row[] = {
		{BLK_READ, 1, BB, -EINVAL},
		{BLK_READ, 0, BB - 1, -EINVAL},
		{BLK_WRITE, BB / 2, BB, -EINVAL},
		{BLK_WRITE_ZEROES, 1, BB, -EINVAL},
		{BLK_READ, (uint64_t)N_BLOCKS * BB, BB, -EIO},
		{BLK_WRITE, (uint64_t)(N_BLOCKS - 1) * BB, 2 * BB, -EIO},
		{BLK_DISCARD, (uint64_t)(N_BLOCKS - 1) * BB, 2 * BB, -EIO},
		{BLK_READ, UINT64_MAX - BB + 1, BB, -EIO},
		{BLK_READ, BB, UINT64_MAX - BB + 1, -EIO},
		{BLK_READ, 0, 0, 0},
		{BLK_WRITE, (uint64_t)N_BLOCKS * BB, 0, 0},
		{BLK_DISCARD, 100, 50, 0}, /* less than a block: nothing to say */
		{BLK_DISCARD, 100, 500, 0},
	};
	struct req q;

	bench_open(0);
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		submit_flags(&q, row[i].op, 0, row[i].off, row[i].n);
		assert_int_equal(q.r.result, row[i].result);
		assert_int_equal(path.n, 0);
	}
	/* an iovec that is shorter than the request */
	memset(&q, 0, sizeof(q));
	q.iov[0] = (struct iovec){data, BB};
	q.r = (struct blk_req){.op = BLK_READ,
			       .n_bytes = 2 * BB,
			       .iov = q.iov,
			       .n_iov = 1,
			       .result = PENDING,
			       .done = req_done};
	blk_submit(lu, &q.r);
	assert_int_equal(q.r.result, -EINVAL);
}

static void read_only_unit(void **state)
{
	static const enum blk_op ops[] = {BLK_WRITE, BLK_DISCARD, BLK_WRITE_ZEROES};
	struct req q;

	info.limits.read_only = true;
	bench_open(0);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		submit(&q, ops[i], 0, 1);
		assert_int_equal(q.r.result, -EROFS);
	}
	submit(&q, BLK_READ, 0, 1);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
}

static void unit_without_blocks(void **state)
{
	struct req q;

	info.limits = (struct blk_limits){0};
	bench_open(0);
	submit_flags(&q, BLK_READ, 0, 0, 0);
	assert_int_equal(q.r.result, -EIO);
	submit_flags(&q, BLK_WRITE, 0, 0, 512);
	assert_int_equal(q.r.result, -EIO);
}

static void split_in_order_and_at_once(void **state)
{
	struct req q;

	bench_open(0);
	/* 64 KiB is 128 blocks */
	submit(&q, BLK_WRITE, 5, 128 * 3 + 1);
	assert_int_equal(path.n, 4);
	assert_cdb(&path, 0, SCSI_WRITE_10, 5, 128);
	assert_cdb(&path, 1, SCSI_WRITE_10, 133, 128);
	assert_cdb(&path, 2, SCSI_WRITE_10, 261, 128);
	assert_cdb(&path, 3, SCSI_WRITE_10, 389, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_ptr_equal(path.q[i]->iov[0].iov_base, data + i * 128 * BB);
	/* answers in another order */
	fake_good(&path, 2);
	fake_good(&path, 2);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, PENDING);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);

	/* exactly the largest: one command */
	submit(&q, BLK_READ, 0, 128);
	assert_int_equal(path.n, 1);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
}

static void split_by_what_the_path_carries(void **state)
{
	struct req q;

	path.max_bytes = 4096 + 100; /* whole blocks of it: 8 */
	bench_open(0);
	submit(&q, BLK_READ, 0, 17);
	assert_int_equal(path.n, 3);
	assert_cdb(&path, 0, SCSI_READ_10, 0, 8);
	assert_cdb(&path, 1, SCSI_READ_10, 8, 8);
	assert_cdb(&path, 2, SCSI_READ_10, 16, 1);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);

	/* the smaller of all paths counts, the unit's own limit too */
	path2.max_bytes = 1024;
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path2, 7), 0);
	submit(&q, BLK_READ, 0, 4);
	assert_int_equal(path.n, 2);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
}

static void blocks_of_4096_beyond_2_tib(void **state)
{
	struct req q;

	info.limits.block_bytes = 4096;
	info.limits.n_bytes = UINT64_C(4096) << 33;
	bench_open(0);
	submit_flags(&q, BLK_READ, 0, UINT64_C(4096) * 0xffffffff, 4096);
	assert_cdb(&path, 0, SCSI_READ_10, 0xffffffff, 1);
	fake_good(&path, 0);
	submit_flags(&q, BLK_WRITE, 0, UINT64_C(4096) * 0xffffffff, 8192);
	assert_cdb(&path, 0, SCSI_WRITE_16, 0xffffffff, 2);
	fake_good(&path, 0);
	submit_flags(&q, BLK_WRITE, 0, UINT64_C(4096) * 0x1ffffffff, 4096);
	assert_cdb(&path, 0, SCSI_WRITE_16, 0x1ffffffff, 1);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	submit_flags(&q, BLK_WRITE, 0, UINT64_C(4096) * 0x200000000, 4096);
	assert_int_equal(q.r.result, -EIO);
	submit_flags(&q, BLK_WRITE, 0, 512, 4096);
	assert_int_equal(q.r.result, -EINVAL);
}

/* Each command's iovec must cover its part of the request's bytes, and no byte more. */
static void assert_slices(const struct req *q, size_t n_bytes)
{
	unsigned at = 0;
	size_t off = 0, total = 0;

	for (unsigned i = 0; i < path.n; i++) {
		const struct scsi_cmd *c = path.q[i];
		size_t n = 0;

		for (unsigned k = 0; k < c->n_iov; k++) {
			size_t left = c->iov[k].iov_len;
			const uint8_t *p = c->iov[k].iov_base;

			n += left;
			while (left > 0) {
				size_t here;

				while (q->iov[at].iov_len == off) {
					at++;
					off = 0;
				}
				here = q->iov[at].iov_len - off;
				if (here > left)
					here = left;
				assert_ptr_equal(p, (uint8_t *)q->iov[at].iov_base + off);
				p += here;
				off += here;
				left -= here;
			}
		}
		assert_int_equal(n, c->n_data);
		assert_int_equal(n % BB, 0);
		total += n;
	}
	assert_int_equal(total, n_bytes);
}

static void submit_iov(struct req *q, const size_t *len, unsigned n)
{
	size_t total = 0;

	memset(q, 0, sizeof(*q));
	for (unsigned i = 0; i < n; i++) {
		/* not adjacent, so that a wrong slice cannot look right */
		q->iov[i] = (struct iovec){data + total + 16 * i, len[i]};
		total += len[i];
	}
	q->r = (struct blk_req){.op = BLK_WRITE,
				.n_bytes = total,
				.iov = q->iov,
				.n_iov = n,
				.result = PENDING,
				.done = req_done};
	blk_submit(lu, &q->r);
	assert_slices(q, total);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(q->r.result, 0);
}

static void iovec_sliced_without_copying(void **state)
{
	static const size_t pages[] = {4096, 4096, 4096, 4096};
	static const size_t odd[] = {1, 511, 4095, 1, 0, 1000, 24, 3072 + 512};
	static const size_t one[] = {16384};
	struct req q;

	path.max_bytes = 4096;
	bench_open(0);
	submit_iov(&q, pages, 4);
	submit_iov(&q, odd, 8);
	submit_iov(&q, one, 1);
	path.max_bytes = 8192 + 512; /* cuts within pages */
	submit_iov(&q, pages, 4);
	submit_iov(&q, odd, 8);
}

static void iovec_of_crumbs(void **state)
{
	struct req q;
	size_t crumbs[64];

	for (unsigned i = 0; i < 64; i++)
		crumbs[i] = 8;
	bench_open(0);
	/* a block in 64 entries goes whole … */
	submit_iov(&q, crumbs, 64);
	/* … but cannot be cut where a slice is needed: more entries than a slot has room for */
	for (unsigned i = 0; i < 64; i++)
		crumbs[i] = i ? 8 : 12;
	path.max_bytes = BB;
	memset(&q, 0, sizeof(q));
	for (unsigned i = 0; i < 64; i++)
		q.iov[i] = (struct iovec){data, i == 63 ? 600 : i == 0 ? 12 : 8};
	q.r = (struct blk_req){.op = BLK_READ,
			       .n_bytes = 2 * BB,
			       .iov = q.iov,
			       .n_iov = 64,
			       .result = PENDING,
			       .done = req_done};
	blk_submit(lu, &q.r);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(q.r.result, -EINVAL);
	assert_int_equal(lu_n_inflight(lu), 0);
}

/* Slices that end where a slot has no more room for entries: in the middle of a block. */
static void iovec_of_many_small_entries(void **state)
{
	struct req q;
	size_t len[64];

	for (unsigned i = 0; i < 64; i++)
		len[i] = i < 63 ? 100 : 356;
	path.max_bytes = 8 * BB;
	bench_open(0);
	submit_iov(&q, len, 64);
}

static void one_failed_part_fails_the_request(void **state)
{
	struct req q;
	struct lu_stats st;

	bench_open(0);
	submit(&q, BLK_READ, 0, 128 * 3);
	fake_sense(&path, 1, 0x3, 0x11, 0);
	assert_int_equal(q.r.result, PENDING); /* the others have not come back */
	fake_good(&path, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, -ENODATA);
	lu_get_stats(lu, &st);
	assert_int_equal(st.n_errors, 1);
	assert_int_equal(st.read_bytes, 0);
}

static void good_but_short_is_an_error(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_READ, 0, 8);
	fake_short(&path, 0, 8 * BB - 1);
	assert_int_equal(q.r.result, -EIO);
	submit(&q, BLK_WRITE, 0, 8);
	fake_short(&path, 0, 0);
	assert_int_equal(q.r.result, -EIO);
	submit(&q, BLK_READ, 0, 8); /* recovered error: good, if all is there */
	fake_sense(&path, 0, 0x1, 0x17, 1);
	assert_int_equal(q.r.result, 0);
}

/* ---- flush and FUA ----------------------------------------------------- */

static void flush(void **state)
{
	struct req q, w;
	struct lu_stats st;

	bench_open(0);
	submit(&q, BLK_FLUSH, 0, 0);
	assert_cdb(&path, 0, SCSI_SYNC_CACHE_10, 0, 0);
	assert_int_equal(path.q[0]->dir, SCSI_DIR_NONE);
	assert_true(path.q[0]->timeout_ns > 30 * NS_PER_S);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);

	/* it does not wait for writes that are under way */
	submit(&w, BLK_WRITE, 0, 1);
	submit(&q, BLK_FLUSH, 0, 0);
	assert_int_equal(path.n, 2);
	fake_good(&path, 1);
	assert_int_equal(q.r.result, 0);
	fake_good(&path, 0);

	submit(&q, BLK_FLUSH, 0, 0);
	fake_sense(&path, 0, 0x3, 0x11, 0);
	assert_int_equal(q.r.result, -ENODATA);
	lu_get_stats(lu, &st);
	assert_int_equal(st.n_flushes, 3);
	assert_int_equal(st.n_errors, 1);
}

static void flush_without_cache_is_nothing(void **state)
{
	struct req q;

	info.limits.write_cache = false;
	bench_open(0);
	submit(&q, BLK_FLUSH, 0, 0);
	assert_int_equal(q.r.result, 0);
	assert_int_equal(path.n_submitted, 0);
	/* and FUA needs no bit */
	submit_flags(&q, BLK_WRITE, BLK_F_FUA, 0, BB);
	assert_false(fake_cdb_of(path.q[0]).fua);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	assert_int_equal(path.n_submitted, 1);
}

static void flush_by_the_long_command_or_not_at_all(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_FLUSH, 0, 0);
	fake_sense(&path, 0, 0x5, 0x20, 0);
	assert_cdb(&path, 0, SCSI_SYNC_CACHE_16, 0, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	/* remembered */
	submit(&q, BLK_FLUSH, 0, 0);
	assert_cdb(&path, 0, SCSI_SYNC_CACHE_16, 0, 0);
	/* a cache that cannot be emptied: never called good */
	fake_sense(&path, 0, 0x5, 0x20, 0);
	assert_int_equal(q.r.result, -EOPNOTSUPP);
}

static void fua_by_bit(void **state)
{
	struct req q;

	bench_open(0);
	submit_flags(&q, BLK_WRITE, BLK_F_FUA, 0, 256 * BB);
	assert_int_equal(path.n, 2);
	assert_true(fake_cdb_of(path.q[0]).fua);
	assert_true(fake_cdb_of(path.q[1]).fua);
	fake_good(&path, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	assert_int_equal(path.n_submitted, 2);
}

static void fua_by_flush(void **state)
{
	struct req q;

	info.dpo_fua = false;
	bench_open(0);
	submit_flags(&q, BLK_WRITE, BLK_F_FUA, 0, 256 * BB);
	assert_int_equal(path.n, 2);
	assert_false(fake_cdb_of(path.q[0]).fua);
	fake_good(&path, 0);
	assert_int_equal(path.n, 1); /* all of it first */
	fake_good(&path, 0);
	assert_cdb(&path, 0, SCSI_SYNC_CACHE_10, 0, 0);
	assert_int_equal(q.r.result, PENDING);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);

	/* the flush fails: so does the write */
	submit_flags(&q, BLK_WRITE, BLK_F_FUA, 0, BB);
	fake_good(&path, 0);
	fake_sense(&path, 0, 0x3, 0x11, 0);
	assert_int_equal(q.r.result, -ENODATA);
	/* the write fails: no flush */
	submit_flags(&q, BLK_WRITE, BLK_F_FUA, 0, BB);
	fake_sense(&path, 0, 0x3, 0x11, 0);
	assert_int_equal(q.r.result, -ENODATA);
	assert_int_equal(path.n, 0);
}

static void fua_bit_refused(void **state)
{
	struct req q;

	bench_open(0);
	submit_flags(&q, BLK_WRITE, BLK_F_FUA, 0, BB);
	fake_sense(&path, 0, 0x5, 0x24, 0);
	assert_cdb(&path, 0, SCSI_WRITE_10, 0, 1);
	assert_false(fake_cdb_of(path.q[0]).fua);
	fake_good(&path, 0);
	assert_cdb(&path, 0, SCSI_SYNC_CACHE_10, 0, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	assert_false(lu_get_info(lu)->dpo_fua);
	/* remembered, also after the unit was probed again */
	lu_update(lu, &info);
	submit_flags(&q, BLK_WRITE, BLK_F_FUA, 0, BB);
	assert_false(fake_cdb_of(path.q[0]).fua);
	fake_good(&path, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	/* a plain write that is refused is an error */
	submit(&q, BLK_WRITE, 0, 1);
	fake_sense(&path, 0, 0x5, 0x24, 0);
	assert_int_equal(q.r.result, -EREMOTEIO);
}

static void fua_bit_refused_in_the_middle(void **state)
{
	struct req a, b;

	info.limits.max_transfer_bytes = BB;
	bench_open(1);
	submit_flags(&a, BLK_WRITE, BLK_F_FUA, 0, 2 * BB);
	assert_true(fake_cdb_of(path.q[0]).fua);
	fake_sense(&path, 0, 0x5, 0x24, 0);
	fake_good(&path, 0);
	assert_cdb(&path, 0, SCSI_WRITE_10, 1, 1);
	assert_false(fake_cdb_of(path.q[0]).fua);
	fake_good(&path, 0);
	assert_cdb(&path, 0, SCSI_SYNC_CACHE_10, 0, 0);
	fake_good(&path, 0);
	assert_int_equal(a.r.result, 0);
	lu = lu_free(lu);

	/* refused to another request, while this one has parts with the bit on their way */
	bench_open(2);
	submit_flags(&a, BLK_WRITE, BLK_F_FUA, 0, BB);
	submit_flags(&b, BLK_WRITE, BLK_F_FUA, 8 * BB, 2 * BB);
	assert_int_equal(path.n, 2);
	fake_sense(&path, 0, 0x5, 0x24, 0);
	assert_cdb(&path, 0, SCSI_WRITE_10, 8, 1);
	fake_good(&path, 0);
	assert_cdb(&path, 1, SCSI_WRITE_10, 9, 1);
	assert_false(fake_cdb_of(path.q[1]).fua);
	fake_good(&path, 1);
	assert_cdb(&path, 1, SCSI_SYNC_CACHE_10, 0, 0);
	assert_int_equal(b.r.result, PENDING);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(a.r.result, 0);
	assert_int_equal(b.r.result, 0);
}

static void lost_writes_are_heard_at_the_next_flush(void **state)
{
	struct req q;

	bench_open(0);
	/* the read has nothing to do with it and is done again */
	submit(&q, BLK_READ, 0, 1);
	fake_deferred(&path, 0, 0x3, 0x0c, 0x02);
	assert_int_equal(path.n, 1);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	submit(&q, BLK_FLUSH, 0, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, -EIO);
	/* once */
	submit(&q, BLK_FLUSH, 0, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	/* the flush itself is told */
	submit(&q, BLK_FLUSH, 0, 0);
	fake_deferred(&path, 0, 0x7, 0x27, 0x07);
	assert_int_equal(q.r.result, -ENOSPC);
	submit(&q, BLK_FLUSH, 0, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
}

static void lost_writes_are_heard_without_a_cache_too(void **state)
{
	struct req q;

	info.limits.write_cache = false;
	bench_open(0);
	submit(&q, BLK_READ, 0, 1);
	fake_deferred(&path, 0, 0x3, 0x0c, 0x02);
	fake_good(&path, 0);
	submit(&q, BLK_FLUSH, 0, 0);
	assert_int_equal(q.r.result, -EIO);
	submit(&q, BLK_FLUSH, 0, 0);
	assert_int_equal(q.r.result, 0);
}

static void lost_writes_are_not_used_up_by_a_flush_of_our_own(void **state)
{
	struct req q;

	info.dpo_fua = false;
	bench_open(0);
	submit_flags(&q, BLK_WRITE, BLK_F_FUA, 0, BB);
	fake_deferred(&path, 0, 0x3, 0x0c, 0x02);
	fake_good(&path, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, -EIO);
	submit(&q, BLK_FLUSH, 0, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, -EIO);
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(read_and_write_one_command),
		T(bad_requests),
		T(read_only_unit),
		T(unit_without_blocks),
		T(split_in_order_and_at_once),
		T(split_by_what_the_path_carries),
		T(blocks_of_4096_beyond_2_tib),
		T(iovec_sliced_without_copying),
		T(iovec_of_crumbs),
		T(iovec_of_many_small_entries),
		T(one_failed_part_fails_the_request),
		T(good_but_short_is_an_error),
		T(flush),
		T(flush_without_cache_is_nothing),
		T(flush_by_the_long_command_or_not_at_all),
		T(fua_by_bit),
		T(fua_by_flush),
		T(fua_bit_refused),
		T(fua_bit_refused_in_the_middle),
		T(lost_writes_are_heard_without_a_cache_too),
		T(lost_writes_are_heard_at_the_next_flush),
		T(lost_writes_are_not_used_up_by_a_flush_of_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
