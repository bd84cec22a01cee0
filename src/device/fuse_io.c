/* SPDX-License-Identifier: MIT */
/*
 * FUSE server: what becomes of a request
 *
 * It is received into a slot's memory, whose pages are given back when nothing was
 * asked for a while, and goes to the unit as a range of bytes.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "device/fuse_private.h"

int fuse_errno(int result)
{
	if (result >= 0)
		return 0;
	switch (-result) {
	case ENOSYS: /* would switch the operation off for good */
	case EINTR:
	case EAGAIN: return EIO;
	}
	return result < -133 ? EIO : -result;
}

/* ---- the pool ---------------------------------------------------------- */

struct fuse_slot *fuse_slot_get(struct fuse_file *f)
{
	struct fuse_slot *s = list_first(&f->free_slots, struct fuse_slot, node);

	if (!s)
		return NULL;
	list_remove(&s->node);
	atomic_store_explicit(&f->n_busy,
			      atomic_load_explicit(&f->n_busy, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	io_pool_use(&f->pool);
	return s;
}

void fuse_slot_put(struct fuse_slot *s)
{
	struct fuse_file *f = s->f;
	unsigned n_busy = atomic_load_explicit(&f->n_busy, memory_order_relaxed) - 1;

	/* The one used last is the one whose memory is warm. */
	list_prepend(&f->free_slots, &s->node);
	/* in order with the look at n_waiters: one of the two sees the other */
	atomic_store(&f->n_busy, n_busy);
	if (f->is_watched)
		(void)loop_fd_events(f->loop, &f->fd, EPOLLIN);
	if (n_busy > 0)
		return;
	idle_changed(&f->idle);
	if (f->is_orphan)
		loop_defer(f->loop, &f->reap);
}

/* ---- one request --------------------------------------------------------- */

static void slot_done(struct range_req *q)
{
	struct fuse_slot *s = q->user;
	fuse_req_t req = s->req;

	s->req = NULL;
	/* An answer that nobody waits for any more fails; there is nobody to tell. */
	if (q->result)
		(void)fuse_reply_err(req, fuse_errno(q->result));
	else if (q->op == BLK_READ)
		(void)fuse_reply_buf(
			req, (const char *)q->data + range_lead(&s->f->ranges, q->off_bytes),
			q->n_bytes);
	else if (q->op == BLK_WRITE)
		(void)fuse_reply_write(req, q->n_bytes);
	else
		(void)fuse_reply_err(req, 0);
	fuse_slot_put(s);
}

/* The slot that the current request was received into asks the unit. */
static void slot_submit(struct fuse_file *f, fuse_req_t req, const struct range_req *range)
{
	struct fuse_slot *s = f->rx;

	f->rx = NULL;
	s->req = req;
	s->range = *range;
	s->range.edge = s->mem + SLOT_EDGE;
	s->range.done = slot_done;
	s->range.user = s;
	range_submit(&f->ranges, &s->range);
}

void fuse_io_read(struct fuse_file *f, fuse_req_t req, uint64_t off_bytes, uint64_t n_bytes)
{
	const struct range_req range = {.op = BLK_READ,
					.off_bytes = off_bytes,
					.n_bytes = n_bytes,
					.data = f->rx->mem + SLOT_DATA};

	slot_submit(f, req, &range);
}

void fuse_io_write(struct fuse_file *f, fuse_req_t req, const void *payload, uint64_t off_bytes,
		   uint64_t n_bytes, unsigned blk_flags)
{
	const struct range_req range = {.op = BLK_WRITE,
					.flags = blk_flags,
					.off_bytes = off_bytes,
					.n_bytes = n_bytes,
					.data = (uint8_t *)(uintptr_t)payload};

	slot_submit(f, req, &range);
}

void fuse_io_zero(struct fuse_file *f, fuse_req_t req, uint64_t off_bytes, uint64_t n_bytes,
		  unsigned blk_flags)
{
	const struct range_req range = {.op = BLK_WRITE_ZEROES,
					.flags = blk_flags,
					.off_bytes = off_bytes,
					.n_bytes = n_bytes};

	slot_submit(f, req, &range);
}

void fuse_io_flush(struct fuse_file *f, fuse_req_t req)
{
	const struct range_req range = {.op = BLK_FLUSH};

	slot_submit(f, req, &range);
}

int fuse_pool_new(struct fuse_file *f)
{
	int r;

	list_init(&f->free_slots);
	ranges_init(&f->ranges, f->loop, f->lu, f->limits.block_bytes);
	f->slots = calloc(FUSE_N_SLOTS, sizeof(*f->slots));
	if (!f->slots)
		return -ENOMEM;
	r = io_pool_new(&f->pool, f->loop, (size_t)FUSE_N_SLOTS * SLOT_BYTES, &f->n_busy);
	if (r)
		return r;
	for (unsigned k = 0; k < FUSE_N_SLOTS; k++) {
		struct fuse_slot *s = &f->slots[k];

		s->f = f;
		s->mem = f->pool.mem + (size_t)k * SLOT_BYTES;
		list_append(&f->free_slots, &s->node);
	}
	return 0;
}

void fuse_pool_free(struct fuse_file *f)
{
	io_pool_free(&f->pool);
	free(f->slots);
	f->slots = NULL;
}
