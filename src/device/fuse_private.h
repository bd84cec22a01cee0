/* SPDX-License-Identifier: MIT */
/*
 * Inside the FUSE server: its three parts share this
 *
 * fuse_file.c is the life of the file, fuse_ops.c the kernel's requests, fuse_io.c
 * what becomes of them. Everything here belongs to the loop thread unless it is
 * atomic or says otherwise.
 */
#ifndef DEVICE_FUSE_PRIVATE_H
#define DEVICE_FUSE_PRIVATE_H

#define FUSE_USE_VERSION 35
#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <time.h>

#include "base/list.h"
#include "device/fuse_file.h"
#include "device/idle.h"
#include "device/io_pool.h"
#include "device/range.h"
#include "io/loop.h"

#define FUSE_N_SLOTS  64u
#define FUSE_MAX_IO   (1u << 20) /* bytes of one read or write */

#define FUSE_INO_ROOT 1u
#define FUSE_INO_DISK 2u

/*
 * The memory of a slot: the request is read so that the data of a write begins at
 * SLOT_DATA, on a page; a read's answer is put there too. Behind it the first and
 * the last block of an unaligned write.
 */
#define SLOT_DATA       4096u
#define SLOT_DATA_BYTES (FUSE_MAX_IO + 2 * RANGE_BLOCK_MAX)
#define SLOT_EDGE       (SLOT_DATA + SLOT_DATA_BYTES)
#define SLOT_BYTES      (SLOT_EDGE + 2 * RANGE_BLOCK_MAX)

/* One request of the kernel, from its receipt to its answer. */
struct fuse_slot {
	struct list node; /* free list */
	struct fuse_file *f;
	uint8_t *mem;
	fuse_req_t req;
	struct range_req range;
};

struct fuse_open {
	struct list node;
	pid_t tid; /* the thread that opened it */
};

struct fuse_file {
	struct loop *loop;
	struct lu *lu;
	struct blk_limits limits;
	bool user_mode, for_loop;
	char *dir, *path;
	dev_t st_dev;
	ino_t st_ino;
	uid_t uid;
	gid_t gid;
	struct timespec born;

	struct fuse_session *session;
	struct loop_fd fd;
	int null_fd; /* takes the place of the connection when it is aborted */
	bool is_watched;
	bool is_mounted;       /* control */
	bool is_orphan;        /* freed with its last request */
	atomic_bool is_closed; /* the gate */
	atomic_int *own_tid;   /* who may pass it; shared with children */
	atomic_bool has_failed;

	struct list opens;
	atomic_uint n_opens;

	struct fuse_slot *slots;
	struct io_pool pool;
	struct list free_slots;
	struct fuse_slot *rx; /* received into, not yet taken by a request */
	atomic_uint n_busy;
	struct ranges ranges;
	struct loop_defer reap; /* the end of an orphan */

	struct idle idle; /* for control threads that wait for n_opens or n_busy */
};

extern const struct fuse_lowlevel_ops fuse_file_ops;

/* fuse_io.c */
int fuse_pool_new(struct fuse_file *f);
void fuse_pool_free(struct fuse_file *f);
/* Take the slot that the current request was received into. */
void fuse_io_read(struct fuse_file *f, fuse_req_t req, uint64_t off_bytes, uint64_t n_bytes);
void fuse_io_write(struct fuse_file *f, fuse_req_t req, const void *payload, uint64_t off_bytes,
		   uint64_t n_bytes, unsigned blk_flags);
void fuse_io_zero(struct fuse_file *f, fuse_req_t req, uint64_t off_bytes, uint64_t n_bytes,
		  unsigned blk_flags);
void fuse_io_flush(struct fuse_file *f, fuse_req_t req);
/* The slot for the next request, or NULL; and the way back of one that was not taken. */
struct fuse_slot *fuse_slot_get(struct fuse_file *f);
void fuse_slot_put(struct fuse_slot *s);
/* What a FUSE user may see of a result: 0 or a positive errno. */
int fuse_errno(int result);

#endif
