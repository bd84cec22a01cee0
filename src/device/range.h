/* SPDX-License-Identifier: MIT */
/*
 * Requests for any range of bytes, on a unit that takes whole blocks
 *
 * A read is widened. A write that covers parts of blocks reads the first and the
 * last of them, lays its bytes over, and writes all in one piece; the bytes between
 * are never copied. While it does so no other write may touch its blocks, or one of
 * the two would be lost: such writes wait for each other in the order of arrival.
 * Writes of whole blocks do not wait for each other, as on any disk.
 *
 * Everything belongs to the loop thread. Nothing takes memory.
 */
#ifndef DEVICE_RANGE_H
#define DEVICE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "device/backend.h"
#include "io/loop.h"

#define RANGE_BLOCK_MAX 4096u

/* One for each device: the writes under way or waiting, in the order of arrival. */
struct ranges {
	struct loop *loop;
	struct lu *lu;
	uint32_t block_bytes;
	struct list writes;
	unsigned n_partial, n_waiting;
	struct loop_defer kick; /* start what waits */
};

/* What the unit has been asked for last. */
enum range_step {
	RANGE_START,
	RANGE_READ_HEAD,
	RANGE_READ_TAIL,
	RANGE_WRITE_HEAD, /* zeroing only: a write goes out in one piece */
	RANGE_WRITE_TAIL,
	RANGE_MAIN
};

struct range_req {
	/* given */
	enum blk_op op;
	unsigned flags; /* BLK_F_… */
	uint64_t off_bytes, n_bytes;
	/*
	 * WRITE: the bytes. READ: room for the whole blocks around them, which
	 * range_lead() and range_wide() tell.
	 */
	uint8_t *data;
	uint8_t *edge; /* 2 * RANGE_BLOCK_MAX bytes; only for WRITE and WRITE_ZEROES */
	void (*done)(struct range_req *q); /* once; may come from inside range_submit() */
	void *user;
	int result; /* 0 or -errno */

	/* range.c's */
	struct list node;
	struct ranges *r;
	enum range_step step;
	bool is_waiting, is_partial, has_head, has_tail;
	uint64_t first_bytes, end_bytes; /* the whole blocks around it */
	struct iovec iov[3];
	struct blk_req blk;
};

void ranges_init(struct ranges *r, struct loop *loop, struct lu *lu, uint32_t block_bytes);

/* Bytes of the widened read that come before the first one asked for. */
static inline uint64_t range_lead(const struct ranges *r, uint64_t off_bytes)
{
	return off_bytes % r->block_bytes;
}

/* Bytes of the whole blocks around a range. */
static inline uint64_t range_wide(const struct ranges *r, uint64_t off_bytes, uint64_t n_bytes)
{
	const uint64_t block = r->block_bytes, n = range_lead(r, off_bytes) + n_bytes;

	return (n + block - 1) / block * block;
}

/*
 * The range must lie within the unit. DISCARD is narrowed to the blocks that it
 * covers whole, and done at once when there are none.
 */
void range_submit(struct ranges *r, struct range_req *q);

#endif
