/* SPDX-License-Identifier: MIT */
/*
 * FUSE server: what becomes of a request
 *
 * The kernel writes any range of bytes, a unit only whole blocks. A read is
 * widened. A write that covers parts of blocks reads the first and the last of
 * them, lays its bytes over, and writes all in one piece; the bytes between are
 * never copied. While it does so no other write may touch its blocks, or one of
 * the two would be lost: such writes wait for each other in the order of arrival.
 * Writes of whole blocks do not wait for each other, as on any disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "device/fuse_private.h"

#define TRIM_AFTER_NS (30 * NS_PER_S)

static void slot_next(struct fuse_slot *s);

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

static void trim_fire(struct loop_timer *t)
{
	struct fuse_file *f = CONTAINER_OF(t, struct fuse_file, trim);

	/* Fails for locked memory, which then simply stays. */
	if (atomic_load(&f->n_busy) == 0)
		(void)madvise(f->pool, (size_t)FUSE_N_SLOTS * SLOT_BYTES, MADV_DONTNEED);
	f->is_trimmed = true;
}

struct fuse_slot *fuse_slot_get(struct fuse_file *f)
{
	struct fuse_slot *s = list_first(&f->free_slots, struct fuse_slot, node);

	if (!s)
		return NULL;
	list_remove(&s->node);
	atomic_store_explicit(&f->n_busy,
			      atomic_load_explicit(&f->n_busy, memory_order_relaxed) + 1,
			      memory_order_relaxed);
	if (f->is_trimmed &&
	    loop_timer_set(f->loop, &f->trim, loop_now_ns(f->loop) + TRIM_AFTER_NS) == 0)
		f->is_trimmed = false;
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
	if (atomic_load(&f->n_waiters) > 0)
		fuse_file_signal(f);
	if (f->is_orphan)
		loop_defer(f->loop, &f->reap);
}

/* ---- writes that share a block ------------------------------------------ */

/* True when an earlier write that is not done yet must be done first. */
static bool must_wait(const struct fuse_slot *s)
{
	const struct list *head = &s->f->writes;

	for (const struct list *at = head->next; at != &s->write_node; at = at->next) {
		const struct fuse_slot *w = CONTAINER_OF(at, struct fuse_slot, write_node);

		if ((w->is_partial || s->is_partial) && w->first_bytes < s->end_bytes &&
		    s->first_bytes < w->end_bytes)
			return true;
	}
	return false;
}

static void kick_run(struct loop_defer *d)
{
	struct fuse_file *f = CONTAINER_OF(d, struct fuse_file, kick);
	struct fuse_slot *s;
	bool has_started;

	/* A start may end other requests at once: look at the list afresh each time. */
	do {
		has_started = false;
		list_for_each (s, &f->writes, write_node) {
			if (!s->is_waiting || must_wait(s))
				continue;
			s->is_waiting = false;
			f->n_waiting--;
			slot_next(s);
			has_started = true;
			break;
		}
	} while (has_started && f->n_waiting > 0);
}

static void write_begin(struct fuse_slot *s)
{
	struct fuse_file *f = s->f;

	list_append(&f->writes, &s->write_node);
	if (s->is_partial)
		f->n_partial++;
	if (f->n_partial > 0 && must_wait(s)) {
		s->is_waiting = true;
		f->n_waiting++;
		return;
	}
	slot_next(s);
}

static void write_end(struct fuse_slot *s)
{
	struct fuse_file *f = s->f;

	list_remove(&s->write_node);
	if (s->is_partial)
		f->n_partial--;
	if (f->n_waiting > 0)
		loop_defer(f->loop, &f->kick);
}

/* ---- one request --------------------------------------------------------- */

static void slot_finish(struct fuse_slot *s, int result)
{
	fuse_req_t req = s->req;

	if (s->kind == SLOT_WRITE || s->kind == SLOT_ZERO)
		write_end(s);
	s->req = NULL;
	/* An answer that nobody waits for any more fails; there is nobody to tell. */
	if (result)
		(void)fuse_reply_err(req, fuse_errno(result));
	else if (s->kind == SLOT_READ)
		(void)fuse_reply_buf(
			req, (const char *)s->mem + SLOT_DATA + (s->off_bytes - s->first_bytes),
			s->n_bytes);
	else if (s->kind == SLOT_WRITE)
		(void)fuse_reply_write(req, s->n_bytes);
	else
		(void)fuse_reply_err(req, 0);
	fuse_slot_put(s);
}

static void slot_done(struct blk_req *r)
{
	struct fuse_slot *s = r->user;

	if (r->result || s->step == STEP_MAIN)
		slot_finish(s, r->result);
	else
		slot_next(s);
}

static void slot_ask(struct fuse_slot *s, enum blk_op op, uint64_t off_bytes, uint64_t n_bytes,
		     unsigned n_iov, unsigned flags)
{
	s->blk = (struct blk_req){
		.op = op,
		.flags = flags,
		.off_bytes = off_bytes,
		.n_bytes = n_bytes,
		.iov = n_iov ? s->iov : NULL,
		.n_iov = n_iov,
		.done = slot_done,
		.user = s,
	};
	list_init(&s->blk.node);
	blk_submit(s->f->lu, &s->blk);
}

/* One block of the slot's edge memory. */
static void slot_ask_block(struct fuse_slot *s, enum blk_op op, uint64_t off_bytes, unsigned where)
{
	const uint32_t block = s->f->limits.block_bytes;

	s->iov[0] = (struct iovec){.iov_base = s->mem + where, .iov_len = block};
	slot_ask(s, op, off_bytes, block, 1, 0);
}

/* Lays the new bytes over the block that was read to @where. */
static void slot_patch(struct fuse_slot *s, uint64_t block_off_bytes, unsigned where)
{
	const uint64_t block_end = block_off_bytes + s->f->limits.block_bytes;
	const uint64_t end = s->off_bytes + s->n_bytes;
	const uint64_t from = s->off_bytes > block_off_bytes ? s->off_bytes : block_off_bytes;
	const uint64_t to = end < block_end ? end : block_end;
	uint8_t *at = s->mem + where + (from - block_off_bytes);

	if (s->kind == SLOT_ZERO)
		memset(at, 0, to - from);
	else
		memcpy(at, s->payload + (from - s->off_bytes), to - from);
}

static void slot_ask_write(struct fuse_slot *s, uint64_t mid, uint64_t mid_end)
{
	const uint32_t block = s->f->limits.block_bytes;
	unsigned n = 0;

	if (s->has_head)
		s->iov[n++] = (struct iovec){.iov_base = s->mem + SLOT_HEAD, .iov_len = block};
	if (mid_end > mid)
		s->iov[n++] = (struct iovec){
			.iov_base = (void *)(uintptr_t)(s->payload + (mid - s->off_bytes)),
			.iov_len = mid_end - mid,
		};
	if (s->has_tail)
		s->iov[n++] = (struct iovec){.iov_base = s->mem + SLOT_TAIL, .iov_len = block};
	slot_ask(s, BLK_WRITE, s->first_bytes, s->end_bytes - s->first_bytes, n, s->blk_flags);
}

/* The next step of a write or zeroing, the first one included. */
static void slot_next(struct fuse_slot *s)
{
	const uint32_t block = s->f->limits.block_bytes;
	const uint64_t tail = s->end_bytes - block;
	const uint64_t mid = s->first_bytes + (s->has_head ? block : 0);
	const uint64_t mid_end = s->end_bytes - (s->has_tail ? block : 0);

	switch (s->step) {
	case STEP_START:
		if (s->has_head) {
			s->step = STEP_READ_HEAD;
			slot_ask_block(s, BLK_READ, s->first_bytes, SLOT_HEAD);
			return;
		}
		__attribute__((fallthrough));
	case STEP_READ_HEAD:
		if (s->has_head)
			slot_patch(s, s->first_bytes, SLOT_HEAD);
		if (s->has_tail) {
			s->step = STEP_READ_TAIL;
			slot_ask_block(s, BLK_READ, tail, SLOT_TAIL);
			return;
		}
		__attribute__((fallthrough));
	case STEP_READ_TAIL:
		if (s->has_tail)
			slot_patch(s, tail, SLOT_TAIL);
		if (s->kind == SLOT_WRITE) {
			s->step = STEP_MAIN;
			slot_ask_write(s, mid, mid_end);
			return;
		}
		if (s->has_head) {
			s->step = STEP_WRITE_HEAD;
			slot_ask_block(s, BLK_WRITE, s->first_bytes, SLOT_HEAD);
			return;
		}
		__attribute__((fallthrough));
	case STEP_WRITE_HEAD:
		if (s->has_tail) {
			s->step = STEP_WRITE_TAIL;
			slot_ask_block(s, BLK_WRITE, tail, SLOT_TAIL);
			return;
		}
		__attribute__((fallthrough));
	case STEP_WRITE_TAIL:
	case STEP_MAIN: break;
	}
	s->step = STEP_MAIN;
	if (mid < mid_end)
		slot_ask(s, BLK_WRITE_ZEROES, mid, mid_end - mid, 0, s->blk_flags);
	else
		slot_finish(s, 0);
}

static struct fuse_slot *slot_take(struct fuse_file *f, fuse_req_t req, enum slot_kind kind,
				   uint64_t off_bytes, uint64_t n_bytes)
{
	const uint64_t block = f->limits.block_bytes;
	const uint64_t end = off_bytes + n_bytes;
	struct fuse_slot *s = f->rx;

	f->rx = NULL;
	s->req = req;
	s->kind = kind;
	s->step = STEP_START;
	s->is_waiting = false;
	s->off_bytes = off_bytes;
	s->n_bytes = n_bytes;
	s->first_bytes = off_bytes / block * block;
	s->end_bytes = (end + block - 1) / block * block;
	/* A single block that is covered in part counts as the first. */
	s->has_tail = end != s->end_bytes && s->end_bytes - s->first_bytes > block;
	s->has_head = off_bytes != s->first_bytes || (end != s->end_bytes && !s->has_tail);
	s->is_partial = s->has_head || s->has_tail;
	return s;
}

void fuse_io_read(struct fuse_file *f, fuse_req_t req, uint64_t off_bytes, uint64_t n_bytes)
{
	struct fuse_slot *s = slot_take(f, req, SLOT_READ, off_bytes, n_bytes);
	const uint64_t n_wide = s->end_bytes - s->first_bytes;

	s->step = STEP_MAIN;
	s->iov[0] = (struct iovec){.iov_base = s->mem + SLOT_DATA, .iov_len = n_wide};
	slot_ask(s, BLK_READ, s->first_bytes, n_wide, 1, 0);
}

void fuse_io_write(struct fuse_file *f, fuse_req_t req, const void *payload, uint64_t off_bytes,
		   uint64_t n_bytes, unsigned blk_flags)
{
	struct fuse_slot *s = slot_take(f, req, SLOT_WRITE, off_bytes, n_bytes);

	s->payload = payload;
	s->blk_flags = blk_flags;
	write_begin(s);
}

void fuse_io_zero(struct fuse_file *f, fuse_req_t req, uint64_t off_bytes, uint64_t n_bytes,
		  unsigned blk_flags)
{
	struct fuse_slot *s = slot_take(f, req, SLOT_ZERO, off_bytes, n_bytes);

	s->payload = NULL;
	s->blk_flags = blk_flags;
	write_begin(s);
}

void fuse_io_flush(struct fuse_file *f, fuse_req_t req)
{
	struct fuse_slot *s = slot_take(f, req, SLOT_FLUSH, 0, 0);

	s->step = STEP_MAIN;
	slot_ask(s, BLK_FLUSH, 0, 0, 0, 0);
}

int fuse_pool_new(struct fuse_file *f)
{
	void *pool;

	list_init(&f->free_slots);
	list_init(&f->writes);
	list_init(&f->kick.node);
	f->kick.run = kick_run;
	f->trim.fire = trim_fire;
	f->is_trimmed = true;
	f->slots = calloc(FUSE_N_SLOTS, sizeof(*f->slots));
	if (!f->slots)
		return -ENOMEM;
	pool = mmap(NULL, (size_t)FUSE_N_SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool == MAP_FAILED)
		return -errno;
	f->pool = pool;
	/* Children have no use for it, and would make us copy it. */
	(void)madvise(pool, (size_t)FUSE_N_SLOTS * SLOT_BYTES, MADV_DONTFORK);
	for (unsigned k = 0; k < FUSE_N_SLOTS; k++) {
		struct fuse_slot *s = &f->slots[k];

		s->f = f;
		s->mem = f->pool + (size_t)k * SLOT_BYTES;
		list_init(&s->write_node);
		list_append(&f->free_slots, &s->node);
	}
	return 0;
}

void fuse_pool_free(struct fuse_file *f)
{
	if (f->pool)
		munmap(f->pool, (size_t)FUSE_N_SLOTS * SLOT_BYTES);
	free(f->slots);
	f->pool = NULL;
	f->slots = NULL;
}
