/* SPDX-License-Identifier: MIT */
/*
 * NBD server: what becomes of a request
 */
#include <errno.h>

#include "base/cursor.h"
#include "device/nbd_private.h"

uint16_t nbd_export_flags(const struct blk_limits *l)
{
	uint16_t flags =
		NBD_HAS_FLAGS | NBD_SEND_FLUSH | NBD_SEND_DF | NBD_CAN_MULTI_CONN | NBD_SEND_CACHE;

	if (l->read_only)
		return flags | NBD_READ_ONLY;
	flags |= NBD_SEND_FUA;
	if (l->can_discard)
		flags |= NBD_SEND_TRIM;
	if (l->can_write_zeroes)
		flags |= NBD_SEND_WRITE_ZEROES;
	return flags;
}

uint8_t *nbd_slot_data(struct nbd_slot *slot)
{
	return slot->big ? slot->big : slot->mem;
}

static uint32_t error_of(int result)
{
	switch (-result) {
	case 0: return 0;
	case EPERM:
	case EACCES:
	case EROFS: return NBD_EPERM;
	case ENOMEM: return NBD_ENOMEM;
	case EINVAL: return NBD_EINVAL;
	case ENOSPC: return NBD_ENOSPC;
	case EOPNOTSUPP: return NBD_ENOTSUP;
	case ESHUTDOWN: return NBD_ESHUTDOWN;
	default: return NBD_EIO;
	}
}

/* ---- answers --------------------------------------------------------------- */

static void head_simple(struct nbd_slot *slot, uint32_t error)
{
	put_be32(slot->head, NBD_SIMPLE_MAGIC);
	put_be32(slot->head + 4, error);
	put_be64(slot->head + 8, slot->cookie);
	slot->n_head = NBD_SIMPLE_BYTES;
}

/* @n_own: bytes of the chunk's payload that are in the head. */
static uint8_t *head_chunk(struct nbd_slot *slot, uint16_t type, size_t n_own)
{
	put_be32(slot->head, NBD_STRUCTURED_MAGIC);
	put_be16(slot->head + 4, NBD_CHUNK_DONE);
	put_be16(slot->head + 6, type);
	put_be64(slot->head + 8, slot->cookie);
	put_be32(slot->head + 16, (uint32_t)(n_own + slot->n_data));
	slot->n_head = NBD_CHUNK_BYTES + n_own;
	return slot->head + NBD_CHUNK_BYTES;
}

static void answer_chunk(struct nbd_slot *slot, uint32_t error)
{
	uint8_t *own;

	if (error) {
		own = head_chunk(slot, NBD_CHUNK_ERROR, 6);
		put_be32(own, error);
		put_be16(own + 4, 0);
	} else if (slot->command == NBD_CMD_READ) {
		own = head_chunk(slot, NBD_CHUNK_OFFSET_DATA, 8);
		put_be64(own, slot->off_bytes);
	} else if (slot->command == NBD_CMD_BLOCK_STATUS) {
		/* One extent of unknown state, which counts as allocated. */
		own = head_chunk(slot, NBD_CHUNK_BLOCK_STATUS, 12);
		put_be32(own, NBD_ALLOCATION_ID);
		put_be32(own + 4, slot->n_bytes);
		put_be32(own + 8, 0);
	} else {
		head_chunk(slot, NBD_CHUNK_NONE, 0);
	}
}

static void answer(struct nbd_slot *slot, int result)
{
	const uint32_t error = error_of(result);

	slot->n_data = 0;
	if (!error && slot->command == NBD_CMD_READ) {
		slot->data = nbd_slot_data(slot) +
			     range_lead(&slot->client->server->ranges, slot->off_bytes);
		slot->n_data = slot->n_bytes;
	}
	if (slot->client->handshake.structured)
		answer_chunk(slot, error);
	else
		head_simple(slot, error);
	nbd_client_answer(slot);
}

/* ---- the unit ---------------------------------------------------------------- */

static void submit(struct nbd_slot *slot, enum blk_op op, unsigned flags);

static uint64_t cache_part(const struct nbd_slot *slot)
{
	const uint64_t n_left = slot->n_bytes - slot->n_cached;

	return n_left < NBD_SLOT_IO ? n_left : NBD_SLOT_IO;
}

static void on_done(struct range_req *q)
{
	struct nbd_slot *slot = q->user;

	if (q->result == 0 && slot->command == NBD_CMD_CACHE) {
		slot->n_cached += q->n_bytes;
		if (slot->n_cached < slot->n_bytes) {
			submit(slot, BLK_READ, 0);
			return;
		}
	}
	if (q->result == 0 && slot->flags & NBD_CMD_FLAG_FUA &&
	    (q->op == BLK_DISCARD || q->op == BLK_WRITE_ZEROES)) {
		submit(slot, BLK_FLUSH, 0);
		return;
	}
	answer(slot, q->result);
}

static void submit(struct nbd_slot *slot, enum blk_op op, unsigned flags)
{
	struct nbd_server *s = slot->client->server;

	slot->range = (struct range_req){
		.op = op,
		.flags = flags,
		.off_bytes = slot->off_bytes,
		.n_bytes = slot->n_bytes,
		.data = nbd_slot_data(slot),
		.edge = slot->mem + NBD_SLOT_EDGE,
		.done = on_done,
		.user = slot,
	};
	if (slot->command == NBD_CMD_CACHE) {
		slot->range.off_bytes += slot->n_cached;
		slot->range.n_bytes = cache_part(slot);
	}
	range_submit(&s->ranges, &slot->range);
}

void nbd_request_write(struct nbd_slot *slot)
{
	submit(slot, BLK_WRITE, slot->flags & NBD_CMD_FLAG_FUA ? BLK_F_FUA : 0);
}

/* ---- one request --------------------------------------------------------------- */

/* Memory for a request that is longer than a slot. */
static int get_big(struct nbd_slot *slot)
{
	const size_t n = range_wide(&slot->client->server->ranges, slot->off_bytes, slot->n_bytes);

	if (slot->n_bytes <= NBD_SLOT_IO)
		return 0;
	return nbd_memory_get(slot, n) ? 0 : -EAGAIN;
}

static uint16_t flags_of(uint16_t command)
{
	switch (command) {
	case NBD_CMD_READ: return NBD_CMD_FLAG_DF | NBD_CMD_FLAG_FUA;
	case NBD_CMD_WRITE_ZEROES: return NBD_CMD_FLAG_NO_HOLE | NBD_CMD_FLAG_FUA;
	case NBD_CMD_BLOCK_STATUS: return NBD_CMD_FLAG_REQ_ONE | NBD_CMD_FLAG_FUA;
	default: return NBD_CMD_FLAG_FUA; /* means nothing for most, and may be set */
	}
}

static bool has_range(uint16_t command)
{
	return command != NBD_CMD_FLUSH && command != NBD_CMD_DISC;
}

static bool has_changed(uint16_t command)
{
	return command == NBD_CMD_WRITE || command == NBD_CMD_TRIM ||
	       command == NBD_CMD_WRITE_ZEROES;
}

/* Beyond the end there is no space for what is written, and nothing else to speak of. */
static int beyond_end(uint16_t command)
{
	const bool has_written = command == NBD_CMD_WRITE || command == NBD_CMD_WRITE_ZEROES;

	return has_written ? -ENOSPC : -EINVAL;
}

/* 0, or the -errno that it is refused with. */
static int check(const struct nbd_slot *slot)
{
	const struct blk_limits *l = &slot->client->server->limits;
	const uint16_t command = slot->command;

	if (slot->flags & ~flags_of(command))
		return -EINVAL;
	if (has_changed(command) && l->read_only)
		return -EPERM;
	if (!has_range(command))
		return 0;
	if (slot->n_bytes == 0)
		return -EINVAL;
	if (slot->off_bytes > l->n_bytes || slot->n_bytes > l->n_bytes - slot->off_bytes)
		return beyond_end(command);
	if ((command == NBD_CMD_READ || command == NBD_CMD_WRITE) && slot->n_bytes > NBD_MAX_IO)
		return -EINVAL;
	if (command == NBD_CMD_TRIM && !l->can_discard)
		return -EINVAL;
	if (command == NBD_CMD_WRITE_ZEROES && !l->can_write_zeroes)
		return -EINVAL;
	if (command == NBD_CMD_BLOCK_STATUS && !slot->client->handshake.allocation)
		return -EINVAL;
	return 0;
}

static void start(struct nbd_slot *slot)
{
	switch (slot->command) {
	case NBD_CMD_READ:
	case NBD_CMD_CACHE: submit(slot, BLK_READ, 0); break;
	case NBD_CMD_FLUSH: submit(slot, BLK_FLUSH, 0); break;
	case NBD_CMD_TRIM: submit(slot, BLK_DISCARD, 0); break;
	case NBD_CMD_WRITE_ZEROES:
		submit(slot, BLK_WRITE_ZEROES,
		       slot->flags & NBD_CMD_FLAG_NO_HOLE ? BLK_F_NO_UNMAP : 0);
		break;
	case NBD_CMD_BLOCK_STATUS: answer(slot, 0); break;
	default: answer(slot, -EINVAL);
	}
}

int nbd_request_begin(struct nbd_slot *slot, const uint8_t *header, uint64_t *ret_skip)
{
	struct cursor c = cursor_of(header, NBD_REQUEST_BYTES);
	int r;

	*ret_skip = 0;
	if (cursor_be32(&c) != NBD_REQUEST_MAGIC)
		return -EPROTO;
	slot->flags = cursor_be16(&c);
	slot->command = cursor_be16(&c);
	slot->cookie = cursor_be64(&c);
	slot->off_bytes = cursor_be64(&c);
	slot->n_bytes = cursor_be32(&c);
	slot->n_cached = 0;
	slot->n_data = 0;
	r = check(slot);
	if (r == 0 && (slot->command == NBD_CMD_READ || slot->command == NBD_CMD_WRITE))
		r = get_big(slot);
	if (r == -EAGAIN)
		return r;
	if (r) {
		if (slot->command == NBD_CMD_WRITE)
			*ret_skip = slot->n_bytes;
		answer(slot, r);
		return 0;
	}
	if (slot->command == NBD_CMD_WRITE)
		return 1;
	start(slot);
	return 0;
}
