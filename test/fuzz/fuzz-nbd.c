/* SPDX-License-Identifier: MIT */
/*
 * The NBD handshake with a hostile client
 *
 * The bytes arrive in pieces whose length the first byte chooses, and the answers are
 * taken away when there are any, as a socket does. What is answered must be whole
 * replies, never more than there is room for, and the end must come.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/cursor.h"
#include "device/nbd_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct nbd_export export = {
	.name = "unit",
	.description = "a unit",
	.n_bytes = 1 << 20,
	.flags = NBD_HAS_FLAGS,
	.min_block_bytes = 1,
	.best_block_bytes = 4096,
	.max_bytes = 32 << 20,
};

/* Replies are whole; what is behind the last one is the answer to EXPORT_NAME, or nothing. */
static void check_out(const struct nbd_handshake *h)
{
	struct cursor c = cursor_of(h->out, h->n_out);

	assert(h->n_out <= NBD_OUT_ROOM);
	while (c.n_left >= 20 && get_be64(c.p) == NBD_REPLY_MAGIC) {
		cursor_skip(&c, 16);
		cursor_skip(&c, cursor_be32(&c));
		assert(!cursor_short(&c));
	}
	assert(c.n_left == 0 ||
	       (h->stage == NBD_STAGE_REQUESTS && (c.n_left == 10 || c.n_left == 134)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nbd_handshake h;
	size_t n_piece, n_there = 0, at = 0;

	if (size == 0)
		return 0;
	n_piece = 1u + data[0];
	data++;
	size--;
	nbd_handshake_init(&h);
	h.n_out = 0;
	while (h.stage < NBD_STAGE_REQUESTS) {
		const size_t n = nbd_handshake_feed(&h, &export, data + at, n_there - at);

		check_out(&h);
		at += n;
		assert(at <= n_there);
		if (n == 0 && h.n_out == 0) {
			/* It wants more: never more than a stage has room for. */
			assert(n_there - at < NBD_FEED_MAX);
			if (n_there == size)
				break;
			n_there = size - n_there < n_piece ? size : n_there + n_piece;
		}
		h.n_out = 0;
	}
	return 0;
}
