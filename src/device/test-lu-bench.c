/* SPDX-License-Identifier: MIT */
/* The bench checks on its own that a request is done once and that nothing is left over. */
#include "device/test-lu-bench.h"

#include <string.h>

#include "base/cleanup.h"
#include "scsi/cdb.h"

struct loop loop;
struct fake_path path, path2;
struct lu_info info;
struct lu *lu;
enum lu_event events[64];
unsigned n_events;
void (*on_event)(enum lu_event ev);
uint8_t data[4u << 20];

static void event(void *user, struct lu *l, enum lu_event ev)
{
	assert_ptr_equal(l, lu);
	assert_ptr_equal(user, &events);
	events[n_events++] = ev;
	if (on_event)
		on_event(ev);
}

void bench_open(unsigned n_commands)
{
	struct lu_cfg cfg = {
		.loop = &loop,
		.info = &info,
		.event = event,
		.user = &events,
		.n_commands = n_commands,
	};

	assert_int_equal(lu_new(&lu, &cfg), 0);
	assert_int_equal(lu_path_add(lu, &fake_path_ops, &path, 0x0001000000000000), 0);
}

int bench_setup(void **state)
{
	memset(&loop, 0, sizeof(loop));
	memset(&path, 0, sizeof(path));
	memset(&path2, 0, sizeof(path2));
	memset(&info, 0, sizeof(info));
	loop.now_ns = 1000 * NS_PER_S;
	n_events = 0;
	on_event = NULL;
	info.limits = (struct blk_limits){
		.n_bytes = (uint64_t)N_BLOCKS * BB,
		.block_bytes = BB,
		.phys_block_bytes = BB,
		.max_transfer_bytes = 64 * 1024,
		.write_cache = true,
	};
	info.can_unmap = info.can_write_same16 = info.can_write_same16_unmap = true;
	info.reads_zero_after_unmap = true;
	info.dpo_fua = true;
	info.max_unmap_blocks = 1000;
	info.max_unmap_descriptors = 1;
	info.max_write_same_blocks = 500;
	info.limits.can_discard = info.limits.can_write_zeroes = info.limits.discard_zeroes = true;
	lu = NULL;
	return 0;
}

int bench_teardown(void **state)
{
	if (lu) {
		assert_int_equal(lu_n_inflight(lu), 0);
		lu = lu_free(lu);
	}
	assert_null(loop.timer);
	return 0;
}

static unsigned n_done;

void req_done(struct blk_req *r)
{
	struct req *q = CONTAINER_OF(r, struct req, r);

	assert_int_equal(q->order, 0);
	q->order = ++n_done;
}

void submit_flags(struct req *q, enum blk_op op, unsigned flags, uint64_t off, uint64_t n)
{
	memset(q, 0, sizeof(*q));
	q->r = (struct blk_req){
		.op = op,
		.flags = flags,
		.off_bytes = off,
		.n_bytes = n,
		.iov = q->iov,
		.n_iov = 1,
		.result = PENDING,
		.done = req_done,
	};
	q->iov[0] = (struct iovec){data, n};
	blk_submit(lu, &q->r);
}

void submit(struct req *q, enum blk_op op, uint64_t block, uint64_t n_blocks)
{
	submit_flags(q, op, 0, block * BB, n_blocks * BB);
}

void assert_cdb(const struct fake_path *p, unsigned i, uint8_t op, uint64_t lba, uint32_t n)
{
	struct fake_cdb v;

	assert_true(i < p->n);
	v = fake_cdb_of(p->q[i]);
	assert_int_equal(v.op, op);
	assert_int_equal(v.lba, lba);
	assert_int_equal(v.n_blocks, n);
	assert_int_equal(p->q[i]->lun, 0x0001000000000000);
	assert_int_equal(p->q[i]->n_cdb, cdb_length(op));
	assert_false(p->q[i]->probe);
}
