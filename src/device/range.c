/* SPDX-License-Identifier: MIT */
#include "device/range.h"

#include <string.h>

static void next(struct range_req *q);

static bool changes(const struct range_req *q)
{
	return q->op == BLK_WRITE || q->op == BLK_WRITE_ZEROES || q->op == BLK_DISCARD;
}

static uint8_t *head_block(const struct range_req *q)
{
	return q->edge;
}

static uint8_t *tail_block(const struct range_req *q)
{
	return q->edge + RANGE_BLOCK_MAX;
}

/* ---- writes that share a block ------------------------------------------ */

/* True when an earlier write that is not done yet must be done first. */
static bool must_wait(const struct range_req *q)
{
	const struct list *head = &q->r->writes;

	for (const struct list *at = head->next; at != &q->node; at = at->next) {
		const struct range_req *w = CONTAINER_OF(at, struct range_req, node);

		if ((w->is_partial || q->is_partial) && w->first_bytes < q->end_bytes &&
		    q->first_bytes < w->end_bytes)
			return true;
	}
	return false;
}

static void kick_run(struct loop_defer *d)
{
	struct ranges *r = CONTAINER_OF(d, struct ranges, kick);
	struct range_req *q;
	bool has_started;

	/* A start may end other requests at once: look at the list afresh each time. */
	do {
		has_started = false;
		list_for_each (q, &r->writes, node) {
			if (!q->is_waiting || must_wait(q))
				continue;
			q->is_waiting = false;
			r->n_waiting--;
			next(q);
			has_started = true;
			break;
		}
	} while (has_started && r->n_waiting > 0);
}

static void write_begin(struct range_req *q)
{
	struct ranges *r = q->r;

	list_append(&r->writes, &q->node);
	if (q->is_partial)
		r->n_partial++;
	if (r->n_partial > 0 && must_wait(q)) {
		q->is_waiting = true;
		r->n_waiting++;
		return;
	}
	next(q);
}

static void finish(struct range_req *q, int result)
{
	struct ranges *r = q->r;

	if (changes(q)) {
		list_remove(&q->node);
		if (q->is_partial)
			r->n_partial--;
		if (r->n_waiting > 0)
			loop_defer(r->loop, &r->kick);
	}
	q->result = result;
	q->done(q);
}

/* ---- one request --------------------------------------------------------- */

static void on_done(struct blk_req *b)
{
	struct range_req *q = b->user;

	if (b->result || q->step == RANGE_MAIN)
		finish(q, b->result);
	else
		next(q);
}

static void ask(struct range_req *q, enum blk_op op, uint64_t off_bytes, uint64_t n_bytes,
		unsigned n_iov, unsigned flags)
{
	q->blk = (struct blk_req){
		.op = op,
		.flags = flags,
		.off_bytes = off_bytes,
		.n_bytes = n_bytes,
		.iov = n_iov ? q->iov : NULL,
		.n_iov = n_iov,
		.done = on_done,
		.user = q,
	};
	list_init(&q->blk.node);
	blk_submit(q->r->lu, &q->blk);
}

/* One block of the edge memory. */
static void ask_block(struct range_req *q, enum blk_op op, uint64_t off_bytes, uint8_t *where)
{
	const uint32_t block = q->r->block_bytes;

	q->iov[0] = (struct iovec){.iov_base = where, .iov_len = block};
	ask(q, op, off_bytes, block, 1, 0);
}

/* Lays the new bytes over the block that was read to @where. */
static void patch(struct range_req *q, uint64_t block_off_bytes, uint8_t *where)
{
	const uint64_t block_end = block_off_bytes + q->r->block_bytes;
	const uint64_t end = q->off_bytes + q->n_bytes;
	const uint64_t from = q->off_bytes > block_off_bytes ? q->off_bytes : block_off_bytes;
	const uint64_t to = end < block_end ? end : block_end;
	uint8_t *at = where + (from - block_off_bytes);

	if (q->op == BLK_WRITE_ZEROES)
		memset(at, 0, to - from);
	else
		memcpy(at, q->data + (from - q->off_bytes), to - from);
}

static void ask_write(struct range_req *q, uint64_t mid, uint64_t mid_end)
{
	const uint32_t block = q->r->block_bytes;
	unsigned n = 0;

	if (q->has_head)
		q->iov[n++] = (struct iovec){.iov_base = head_block(q), .iov_len = block};
	if (mid_end > mid)
		q->iov[n++] = (struct iovec){.iov_base = q->data + (mid - q->off_bytes),
					     .iov_len = mid_end - mid};
	if (q->has_tail)
		q->iov[n++] = (struct iovec){.iov_base = tail_block(q), .iov_len = block};
	ask(q, BLK_WRITE, q->first_bytes, q->end_bytes - q->first_bytes, n, q->flags);
}

/* The next step of a write, zeroing or discard, the first one included. */
static void next(struct range_req *q)
{
	const uint32_t block = q->r->block_bytes;
	const uint64_t tail = q->end_bytes - block;
	const uint64_t mid = q->first_bytes + (q->has_head ? block : 0);
	const uint64_t mid_end = q->end_bytes - (q->has_tail ? block : 0);

	switch (q->step) {
	case RANGE_START:
		if (q->has_head) {
			q->step = RANGE_READ_HEAD;
			ask_block(q, BLK_READ, q->first_bytes, head_block(q));
			return;
		}
		__attribute__((fallthrough));
	case RANGE_READ_HEAD:
		if (q->has_head)
			patch(q, q->first_bytes, head_block(q));
		if (q->has_tail) {
			q->step = RANGE_READ_TAIL;
			ask_block(q, BLK_READ, tail, tail_block(q));
			return;
		}
		__attribute__((fallthrough));
	case RANGE_READ_TAIL:
		if (q->has_tail)
			patch(q, tail, tail_block(q));
		if (q->op == BLK_WRITE) {
			q->step = RANGE_MAIN;
			ask_write(q, mid, mid_end);
			return;
		}
		if (q->has_head) {
			q->step = RANGE_WRITE_HEAD;
			ask_block(q, BLK_WRITE, q->first_bytes, head_block(q));
			return;
		}
		__attribute__((fallthrough));
	case RANGE_WRITE_HEAD:
		if (q->has_tail) {
			q->step = RANGE_WRITE_TAIL;
			ask_block(q, BLK_WRITE, tail, tail_block(q));
			return;
		}
		__attribute__((fallthrough));
	case RANGE_WRITE_TAIL:
	case RANGE_MAIN: break;
	}
	q->step = RANGE_MAIN;
	if (mid < mid_end)
		ask(q, q->op, mid, mid_end - mid, 0, q->flags);
	else
		finish(q, 0);
}

static void widen(struct range_req *q)
{
	const uint64_t block = q->r->block_bytes, end = q->off_bytes + q->n_bytes;

	q->first_bytes = q->off_bytes / block * block;
	q->end_bytes = (end + block - 1) / block * block;
	/* A single block that is covered in part counts as the first. */
	q->has_tail = end != q->end_bytes && q->end_bytes - q->first_bytes > block;
	q->has_head = q->off_bytes != q->first_bytes || (end != q->end_bytes && !q->has_tail);
	q->is_partial = q->has_head || q->has_tail;
}

/* False: no block is covered whole. */
static bool narrow(struct range_req *q)
{
	const uint64_t block = q->r->block_bytes;

	q->first_bytes = (q->off_bytes + block - 1) / block * block;
	q->end_bytes = (q->off_bytes + q->n_bytes) / block * block;
	q->has_head = q->has_tail = q->is_partial = false;
	return q->first_bytes < q->end_bytes;
}

void ranges_init(struct ranges *r, struct loop *loop, struct lu *lu, uint32_t block_bytes)
{
	*r = (struct ranges){.loop = loop, .lu = lu, .block_bytes = block_bytes};
	list_init(&r->writes);
	list_init(&r->kick.node);
	r->kick.run = kick_run;
}

void range_submit(struct ranges *r, struct range_req *q)
{
	q->r = r;
	q->step = RANGE_START;
	q->is_waiting = false;
	list_init(&q->node);
	if (q->op == BLK_DISCARD) {
		if (narrow(q)) {
			write_begin(q);
		} else {
			q->result = 0;
			q->done(q);
		}
		return;
	}
	widen(q);
	if (changes(q)) {
		write_begin(q);
		return;
	}
	q->step = RANGE_MAIN;
	if (q->op == BLK_FLUSH) {
		ask(q, BLK_FLUSH, 0, 0, 0, 0);
		return;
	}
	q->iov[0] = (struct iovec){.iov_base = q->data, .iov_len = q->end_bytes - q->first_bytes};
	ask(q, BLK_READ, q->first_bytes, q->end_bytes - q->first_bytes, 1, q->flags);
}
