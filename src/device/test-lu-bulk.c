/* SPDX-License-Identifier: MIT */
/* Discard and zeroes; and any mixture of requests against a model of the disk. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "device/test-lu-bench.h"
#include "scsi/cdb.h"

/* ---- discard and zeroes ------------------------------------------------ */

static void discard_by_unmap(void **state)
{
	struct req q;

	info.unmap_granularity_blocks = 16;
	bench_open(0);
	submit(&q, BLK_DISCARD, 8, 3000);
	/* largest 1000; each but the first starts on a multiple of 16 */
	assert_int_equal(path.n, 4);
	assert_cdb(&path, 0, SCSI_UNMAP, 8, 1000);
	assert_int_equal(path.q[0]->n_data, 24);
	assert_int_equal(path.q[0]->dir, SCSI_DIR_WRITE);
	assert_cdb(&path, 1, SCSI_UNMAP, 1008, 992);
	assert_cdb(&path, 2, SCSI_UNMAP, 2000, 992);
	assert_cdb(&path, 3, SCSI_UNMAP, 2992, 16);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);

	/* parts of blocks stay as they are */
	submit_flags(&q, BLK_DISCARD, 0, 100, 3 * BB);
	assert_cdb(&path, 0, SCSI_UNMAP, 1, 2);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
}

static void discard_whose_list_is_said_not_to_be_taken(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_DISCARD, 8, 10);
	fake_short(&path, 0, 0);
	assert_int_equal(q.r.result, 0);
}

static void discard_with_granularity_beyond_the_limit(void **state)
{
	struct req q;

	info.unmap_granularity_blocks = 5000;
	bench_open(0);
	submit(&q, BLK_DISCARD, 4500, 2100);
	assert_cdb(&path, 0, SCSI_UNMAP, 4500, 500); /* up to a multiple, where there is one */
	assert_cdb(&path, 1, SCSI_UNMAP, 5000, 1000);
	assert_cdb(&path, 2, SCSI_UNMAP, 6000, 600);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
}

static void bulk_work_leaves_room_for_others(void **state)
{
	struct req q, r;

	bench_open(0);
	submit(&q, BLK_DISCARD, 0, 50000);
	assert_int_equal(path.n, 4);
	submit(&r, BLK_READ, 0, 1);
	assert_int_equal(path.n, 5);
	fake_good(&path, 4);
	assert_int_equal(r.r.result, 0);
	for (unsigned i = 0; i < 50; i++)
		fake_good(&path, 0);
	assert_int_equal(path.n, 0);
	assert_int_equal(q.r.result, 0);
}

static void discard_by_write_same(void **state)
{
	struct req q;

	info.can_unmap = false;
	bench_open(0);
	submit(&q, BLK_DISCARD, 0, 600);
	assert_int_equal(path.n, 2);
	assert_cdb(&path, 0, SCSI_WRITE_SAME_16, 0, 500);
	assert_true(fake_cdb_of(path.q[0]).unmap);
	assert_int_equal(path.q[0]->n_data, BB);
	assert_cdb(&path, 1, SCSI_WRITE_SAME_16, 500, 100);
	fake_good(&path, 0);
	fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
}

static void no_discard(void **state)
{
	struct req q;

	info.can_unmap = info.can_write_same16_unmap = false;
	bench_open(0);
	submit(&q, BLK_DISCARD, 0, 600);
	assert_int_equal(q.r.result, -EOPNOTSUPP);
	assert_int_equal(path.n_submitted, 0);
}

static void write_zeroes_forms(void **state)
{
	static const struct {
		bool same, same_unmap, zero;
		unsigned flags;
		int result; /* PENDING: sent */
		bool unmap;
	} row[] = {
		{true, true, true, 0, PENDING, true},
		{true, true, true, BLK_F_NO_UNMAP, PENDING, false},
		{true, true, false, 0, PENDING, false}, /* unmapped blocks may read as anything */
		{true, false, true, 0, PENDING, false},
		{false, true, true, 0, PENDING, true},
		{false, true, true, BLK_F_NO_UNMAP, -EOPNOTSUPP, false},
		{false, true, false, 0, -EOPNOTSUPP, false},
		{false, false, true, 0, -EOPNOTSUPP, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct req q;

		info.can_write_same16 = row[i].same;
		info.can_write_same16_unmap = row[i].same_unmap;
		info.reads_zero_after_unmap = row[i].zero;
		bench_open(0);
		submit_flags(&q, BLK_WRITE_ZEROES, row[i].flags, 0, BB);
		assert_int_equal(q.r.result, row[i].result);
		if (row[i].result == PENDING) {
			const uint8_t *block = path.q[0]->iov[0].iov_base;

			assert_cdb(&path, 0, SCSI_WRITE_SAME_16, 0, 1);
			assert_int_equal(fake_cdb_of(path.q[0]).unmap, row[i].unmap);
			assert_int_equal(path.q[0]->iov[0].iov_len, BB);
			for (unsigned k = 0; k < BB; k++)
				assert_int_equal(block[k], 0);
			fake_good(&path, 0);
			assert_int_equal(q.r.result, 0);
		}
		lu = lu_free(lu);
	}
}

static void write_zeroes_split(void **state)
{
	struct req q;

	bench_open(0);
	submit_flags(&q, BLK_WRITE_ZEROES, BLK_F_NO_UNMAP, 0, 1001 * BB);
	assert_int_equal(path.n, 3);
	assert_cdb(&path, 0, SCSI_WRITE_SAME_16, 0, 500);
	assert_cdb(&path, 1, SCSI_WRITE_SAME_16, 500, 500);
	assert_cdb(&path, 2, SCSI_WRITE_SAME_16, 1000, 1);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	lu = lu_free(lu);

	/* no limit told: not everything at once */
	info.max_write_same_blocks = 0;
	bench_open(0);
	submit_flags(&q, BLK_WRITE_ZEROES, 0, 0, 70000 * BB);
	assert_cdb(&path, 0, SCSI_WRITE_SAME_16, 0, 65535);
	while (path.n)
		fake_good(&path, 0);
	assert_int_equal(q.r.result, 0);
	lu = lu_free(lu);

	/* only the last command gets no data: an error all the same */
	bench_open(0);
	submit_flags(&q, BLK_WRITE_ZEROES, 0, 0, BB);
	fake_short(&path, 0, 0);
	assert_int_equal(q.r.result, -EIO);
}

static void refused_capabilities_are_turned_off(void **state)
{
	struct req q;

	bench_open(0);
	submit(&q, BLK_DISCARD, 0, 10);
	fake_sense(&path, 0, 0x5, 0x20, 0);
	assert_int_equal(q.r.result, -EOPNOTSUPP);
	assert_false(lu_get_info(lu)->can_unmap);
	assert_true(lu_get_info(lu)->limits.can_discard);
	/* by WRITE SAME then */
	submit(&q, BLK_DISCARD, 0, 10);
	assert_cdb(&path, 0, SCSI_WRITE_SAME_16, 0, 10);
	fake_sense(&path, 0, 0x5, 0x24, 0);
	assert_int_equal(q.r.result, -EOPNOTSUPP);
	assert_false(lu_get_info(lu)->limits.can_discard);
	assert_false(lu_get_info(lu)->limits.discard_zeroes);
	assert_true(lu_get_info(lu)->limits.can_write_zeroes);
	submit(&q, BLK_DISCARD, 0, 10);
	assert_int_equal(q.r.result, -EOPNOTSUPP);
	/* without the bit */
	submit(&q, BLK_WRITE_ZEROES, 0, 10);
	assert_false(fake_cdb_of(path.q[0]).unmap);
	fake_sense(&path, 0, 0x5, 0x20, 0);
	assert_int_equal(q.r.result, -EOPNOTSUPP);
	assert_false(lu_get_info(lu)->limits.can_write_zeroes);
	/* stays off although VPD keeps promising */
	lu_update(lu, &info);
	assert_false(lu_get_info(lu)->can_unmap);
	assert_false(lu_get_info(lu)->limits.can_discard);
	assert_false(lu_get_info(lu)->limits.can_write_zeroes);
}

/* ---- any requests against a model -------------------------------------- */

#define MODEL_BLOCKS 512u

static uint8_t disk[MODEL_BLOCKS * BB], model[MODEL_BLOCKS * BB];
static uint32_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

/* The unit: does what the command says, to its own bytes. */
static void disk_run(struct scsi_cmd *c)
{
	struct fake_cdb v = fake_cdb_of(c);
	uint8_t *p = disk + v.lba * BB;

	assert_true(v.lba + v.n_blocks <= MODEL_BLOCKS);
	switch (v.op) {
	case SCSI_READ_10:
	case SCSI_WRITE_10:
		for (unsigned k = 0; k < c->n_iov; k++) {
			if (v.op == SCSI_READ_10)
				memcpy(c->iov[k].iov_base, p, c->iov[k].iov_len);
			else
				memcpy(p, c->iov[k].iov_base, c->iov[k].iov_len);
			p += c->iov[k].iov_len;
		}
		assert_ptr_equal(p, disk + (v.lba + v.n_blocks) * BB);
		break;
	case SCSI_WRITE_SAME_16: memset(p, 0, v.n_blocks * BB); break;
	default: break;
	}
}

/* Answers a command of the queue somehow; not always well, but so that it gets well. */
static void disk_answer(void)
{
	unsigned i = rnd(path.n);

	switch (rnd(8)) {
	case 0: fake_status(&path, i, SCSI_BUSY); break;
	case 1: fake_status(&path, i, SCSI_TASK_SET_FULL); break;
	case 2: fake_sense(&path, i, 0x6, 0x29, 0); break;
	default:
		disk_run(path.q[i]);
		fake_good(&path, i);
		break;
	}
	if (rnd(4) == 0)
		fake_advance(&loop, 20 * NS_PER_MS);
}

static void random_request(struct req *q, uint8_t *buf)
{
	uint32_t block = rnd(MODEL_BLOCKS),
		 n = 1 + rnd(MODEL_BLOCKS - block > 60 ? 60 : MODEL_BLOCKS - block);
	size_t left = n * BB, at = 0;

	memset(q, 0, sizeof(*q));
	q->r = (struct blk_req){.op = rnd(3) == 0   ? BLK_WRITE_ZEROES
				      : rnd(2) == 0 ? BLK_READ
						    : BLK_WRITE,
				.flags = rnd(2) ? BLK_F_FUA : 0,
				.off_bytes = (uint64_t)block * BB,
				.n_bytes = left,
				.iov = q->iov,
				.result = PENDING,
				.done = req_done};
	while (left > 0 && q->r.n_iov < 63) {
		size_t len = rnd(3) ? (1 + rnd(8)) * BB : 64 + rnd(3000);

		if (len > left)
			len = left;
		q->iov[q->r.n_iov++] = (struct iovec){buf + at, len};
		at += len;
		left -= len;
	}
	if (left > 0)
		q->iov[q->r.n_iov++] = (struct iovec){buf + at, left};
	if (q->r.op == BLK_WRITE)
		for (uint64_t i = 0; i < q->r.n_bytes; i++)
			buf[i] = (uint8_t)rnd(256);
}

static void model_check(const struct req *q, const uint8_t *buf)
{
	uint8_t *p = model + q->r.off_bytes;

	switch (q->r.op) {
	case BLK_READ: assert_memory_equal(buf, p, q->r.n_bytes); break;
	case BLK_WRITE: memcpy(p, buf, q->r.n_bytes); break;
	case BLK_WRITE_ZEROES: memset(p, 0, q->r.n_bytes); break;
	default: break;
	}
}

static void any_request_does_what_it_says(void **state)
{
	static uint8_t buf[64 * BB];

	memset(disk, 0, sizeof(disk));
	memset(model, 0, sizeof(model));
	on_event = NULL;
	seed = 1;
	for (unsigned round = 0; round < 60; round++) {
		info.limits.n_bytes = sizeof(disk);
		info.limits.max_transfer_bytes = (1 + rnd(20)) * BB + rnd(BB);
		info.max_write_same_blocks = rnd(10);
		info.dpo_fua = rnd(2);
		info.limits.write_cache = rnd(2);
		bench_open(1 + rnd(6));
		for (unsigned i = 0; i < 20; i++) {
			struct req q;
			unsigned steps = 0;

			n_events = 0;
			random_request(&q, buf);
			blk_submit(lu, &q.r);
			while (q.r.result == PENDING) {
				if (path.n)
					disk_answer();
				else
					fake_advance(&loop, NS_PER_MS);
				assert_true(steps++ < 100000);
				n_events = 0;
			}
			assert_int_equal(q.r.result, 0);
			model_check(&q, buf);
			assert_memory_equal(disk, model, sizeof(disk));
		}
		lu = lu_free(lu);
		path = (struct fake_path){0};
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(discard_by_unmap),
		T(discard_whose_list_is_said_not_to_be_taken),
		T(discard_with_granularity_beyond_the_limit),
		T(bulk_work_leaves_room_for_others),
		T(discard_by_write_same),
		T(no_discard),
		T(write_zeroes_forms),
		T(write_zeroes_split),
		T(refused_capabilities_are_turned_off),
		T(any_request_does_what_it_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
