/* SPDX-License-Identifier: MIT */
/*
 * NBD: the numbers of the protocol, and its first phase
 *
 * In the handshake a client asks for options and gets answers, until it asks to
 * begin. That part is pure: bytes in, bytes out; a test and a fuzzer drive it too.
 * All of "fixed newstyle" is there but TLS: the socket is a file that only its owner
 * may use. Source: the protocol document of the NBD project (doc/proto.md there).
 */
#ifndef DEVICE_NBD_PROTO_H
#define DEVICE_NBD_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NBD_MAGIC            UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC     UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_REPLY_MAGIC      UINT64_C(0x0003e889045565a9)
#define NBD_REQUEST_MAGIC    UINT32_C(0x25609513)
#define NBD_SIMPLE_MAGIC     UINT32_C(0x67446698)
#define NBD_STRUCTURED_MAGIC UINT32_C(0x668e33ef)

#define NBD_REQUEST_BYTES    28u
#define NBD_SIMPLE_BYTES     16u
#define NBD_CHUNK_BYTES      20u

enum nbd_handshake_flag {
	NBD_FIXED_NEWSTYLE = 1,
	NBD_NO_ZEROES = 2,
};

enum nbd_export_flag {
	NBD_HAS_FLAGS = 1 << 0,
	NBD_READ_ONLY = 1 << 1,
	NBD_SEND_FLUSH = 1 << 2,
	NBD_SEND_FUA = 1 << 3,
	NBD_SEND_TRIM = 1 << 5,
	NBD_SEND_WRITE_ZEROES = 1 << 6,
	NBD_SEND_DF = 1 << 7,
	NBD_CAN_MULTI_CONN = 1 << 8,
	NBD_SEND_CACHE = 1 << 10,
};

enum nbd_command {
	NBD_CMD_READ,
	NBD_CMD_WRITE,
	NBD_CMD_DISC,
	NBD_CMD_FLUSH,
	NBD_CMD_TRIM,
	NBD_CMD_CACHE,
	NBD_CMD_WRITE_ZEROES,
	NBD_CMD_BLOCK_STATUS,
};

enum nbd_command_flag {
	NBD_CMD_FLAG_FUA = 1 << 0,
	NBD_CMD_FLAG_NO_HOLE = 1 << 1,
	NBD_CMD_FLAG_DF = 1 << 2,
	NBD_CMD_FLAG_REQ_ONE = 1 << 3,
};

enum nbd_chunk_type {
	NBD_CHUNK_NONE = 0,
	NBD_CHUNK_OFFSET_DATA = 1,
	NBD_CHUNK_BLOCK_STATUS = 5,
	NBD_CHUNK_ERROR = 0x8001,
};

#define NBD_CHUNK_DONE 1u

enum nbd_error {
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

/* The number of the only metadata context there is, "base:allocation". */
#define NBD_ALLOCATION_ID 1u

/* What a client is told of the unit. Texts of at most 255 bytes. */
struct nbd_export {
	const char *name; /* also reached by the empty name */
	const char *description;
	uint64_t n_bytes;
	uint16_t flags; /* enum nbd_export_flag */
	uint32_t min_block_bytes, best_block_bytes, max_bytes;
	bool is_closing; /* no new users */
};

enum nbd_stage {
	NBD_STAGE_FLAGS,
	NBD_STAGE_OPTIONS,
	NBD_STAGE_REQUESTS, /* over, and well: requests come now */
	NBD_STAGE_END,      /* over: send what is in out, and close */
};

#define NBD_OPTION_DATA_MAX 8192u
#define NBD_FEED_MAX        (16u + NBD_OPTION_DATA_MAX) /* bytes that feeding may need at once */
#define NBD_OUT_ROOM        4096u
#define NBD_OUT_ONE         1536u /* all answers to one option fit */

struct nbd_handshake {
	enum nbd_stage stage;
	bool no_zeroes;
	bool structured; /* replies are chunks */
	bool allocation; /* "base:allocation" was chosen */
	uint32_t n_skip; /* of an option that was too long */
	unsigned n_options;
	size_t n_out;
	uint8_t out[NBD_OUT_ROOM];
};

/* Puts the greeting into out. */
void nbd_handshake_init(struct nbd_handshake *h);

/**
 * nbd_handshake_feed() - take what a client sent
 * @in, @n: all bytes that were not taken yet
 *
 * Whole messages are taken while there is room for their answers in out; the caller
 * empties it (n_out = 0) and feeds again.
 *
 * Return: bytes taken.
 */
size_t nbd_handshake_feed(struct nbd_handshake *h, const struct nbd_export *e, const uint8_t *in,
			  size_t n);

#endif
