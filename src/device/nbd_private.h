/* SPDX-License-Identifier: MIT */
/*
 * Inside the NBD server: nbd_server.c is its life, nbd_client.c one client's bytes,
 * nbd_request.c what becomes of a request, nbd_memory.c where long ones are held
 *
 * Everything belongs to the loop thread unless it is atomic or says otherwise.
 */
#ifndef DEVICE_NBD_PRIVATE_H
#define DEVICE_NBD_PRIVATE_H

#include <stdatomic.h>

#include "base/list.h"
#include "device/idle.h"
#include "device/io_pool.h"
#include "device/nbd_proto.h"
#include "device/nbd_server.h"
#include "device/range.h"
#include "io/loop.h"

#define NBD_N_SLOTS 64u         /* requests of one client at once */
#define NBD_SLOT_IO (1u << 20)  /* longest request that a slot has room for */
#define NBD_MAX_IO  (32u << 20) /* longest that a client may send unasked, by the protocol */

/* The memory of a slot: data, widened at both ends, then the edges of an unaligned write. */
#define NBD_SLOT_EDGE   (NBD_SLOT_IO + 2 * RANGE_BLOCK_MAX)
#define NBD_SLOT_BYTES  (NBD_SLOT_EDGE + 2 * RANGE_BLOCK_MAX)

#define NBD_STAGE_BYTES 16384u

_Static_assert(NBD_STAGE_BYTES >= NBD_FEED_MAX, "the handshake gets its messages whole");

/* One request, from its header to the end of its answer. */
struct nbd_slot {
	struct list node; /* free, or in the client's line of answers */
	struct nbd_client *client;
	uint8_t *mem;
	uint8_t *big; /* instead of mem for a longer request: nbd_memory.c's */
	size_t n_big; /* bytes of it that are of the server's budget */
	uint16_t command, flags;
	uint64_t cookie, off_bytes;
	uint32_t n_bytes;
	uint64_t n_cached; /* CACHE: bytes read so far */
	struct range_req range;

	/* the answer: head, then data */
	uint8_t head[NBD_CHUNK_BYTES + 12];
	size_t n_head, n_data;
	const uint8_t *data;
};

struct nbd_client {
	struct list node; /* server's */
	struct nbd_server *server;
	struct loop_fd fd;
	struct loop_timer patience; /* for the handshake */
	struct loop_defer send, reap;
	pid_t pid;
	bool is_user;   /* the handshake is over */
	bool is_ending; /* no more requests; closed when the last is done */
	bool is_dead;   /* the socket is closed */
	struct nbd_handshake handshake;

	/* in */
	uint8_t stage[NBD_STAGE_BYTES];
	size_t stage_at, stage_end;
	struct nbd_slot *rx; /* a write whose data is coming */
	size_t n_rx;
	uint64_t n_skip; /* data of a write that was refused */

	/* out */
	struct list answers;
	size_t tx_off; /* bytes of the handshake's out, or of the first answer, that are gone */

	struct io_pool pool;
	struct nbd_slot slots[NBD_N_SLOTS];
	struct list free_slots;
	atomic_uint n_busy;
	struct nbd_slot *alone; /* uses the memory of other slots: no request beside it */
	struct list hungry;     /* the server's line, while the next request wants memory */
};

struct nbd_server {
	struct loop *loop;
	struct lu *lu;
	struct blk_limits limits;
	struct ranges ranges;
	char *name, *description, *path;
	struct loop_fd listener;
	struct loop_timer again; /* the listener rests while descriptors are short */
	bool is_closed;          /* the gate */
	bool is_orphan;          /* freed with its last client */
	struct list clients;
	size_t n_big; /* bytes of the budget that are taken */
	atomic_size_t n_big_max;
	struct list hungry;     /* clients that wait for some, in the order they came */
	struct loop_defer feed; /* there may be some for the first of them */
	atomic_uint n_clients, n_users;
	struct idle idle; /* for control threads that wait for these two */
};

/* nbd_client.c */
/* Takes over @fd; closes it when there is no memory. */
void nbd_client_new(struct nbd_server *s, int fd);
/* Closes the socket; the client goes when its requests are done. */
void nbd_client_die(struct nbd_client *c);
/* The slot's answer is made: send it. */
void nbd_client_answer(struct nbd_slot *slot);
void nbd_slot_put(struct nbd_slot *slot);
/* What waited for memory may go on. */
void nbd_client_resume(struct nbd_client *c);

/* nbd_request.c */
/* What the unit offers, for the handshake. */
uint16_t nbd_export_flags(const struct blk_limits *l);
/*
 * A request's header (NBD_REQUEST_BYTES) has come and @slot shall hold it. 1: its data
 * comes next, n_bytes of it to nbd_slot_data(); 0: it is under way or answered; with
 * *ret_skip bytes of data that are not wanted. -EAGAIN: there is no memory for it now,
 * and the client has been put in the line for it. -EPROTO: hang up.
 */
int nbd_request_begin(struct nbd_slot *slot, const uint8_t *header, uint64_t *ret_skip);
/* The data of a write is there. */
void nbd_request_write(struct nbd_slot *slot);
uint8_t *nbd_slot_data(struct nbd_slot *slot);

/* nbd_memory.c */
/* Memory of @n bytes at slot->big. False: not now; the client stands in the line. */
bool nbd_memory_get(struct nbd_slot *slot, size_t n);
void nbd_memory_put(struct nbd_slot *slot);
/* The client waits no more, because it was served or has gone. */
void nbd_memory_leave(struct nbd_client *c);
void nbd_memory_feed(struct loop_defer *d);

/* nbd_server.c */
/* All but the texts and the socket, which a test of the rest does without. */
void nbd_server_init(struct nbd_server *s, const struct nbd_server_cfg *cfg);
void nbd_server_reap(struct nbd_client *c);
struct nbd_export nbd_server_export(const struct nbd_server *s);

#endif
