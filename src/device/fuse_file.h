/* SPDX-License-Identifier: MIT */
/*
 * A unit as a file: the FUSE server under both backends
 *
 * One mount for each device, with one file "disk" in it. The kernel's requests are
 * read by the unit's loop, turned into struct blk_req and answered when the unit
 * is done with them. Users of O_DIRECT reach the unit itself; others go through the
 * page cache, which never holds writes back (except those made through a memory
 * map). Requests that do not cover whole blocks are widened here, so the unit only
 * ever sees whole ones.
 *
 * Nothing here waits on the loop thread, and all memory that I/O needs is taken at
 * the start.
 *
 * Life: start -> (gate …)* -> stop -> free. When somebody else unmounts the file
 * system or aborts the connection the file fails: nothing arrives any more, and
 * the process goes on.
 */
#ifndef DEVICE_FUSE_FILE_H
#define DEVICE_FUSE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "device/backend.h"

struct fuse_file;

struct fuse_file_cfg {
	const char *dir;    /* mount point; an empty directory that exists */
	const char *source; /* what mountinfo shows as the source */
	struct loop *loop;
	struct lu *lu;
	struct blk_limits limits;
	bool user_mode; /* mounted by fusermount3 */
	bool for_loop;  /* hidden under a loop device: may be opened for writing when the
			   unit is read-only (writes are refused); holes are punched
			   only where the unit can discard, as the driver says nothing
			   else for a discard */
};

/* Control: mount and serve. On failure nothing is left behind. */
int fuse_file_start(struct fuse_file **ret_file, const struct fuse_file_cfg *cfg);

/* Any thread: the path of the file, and what stat() shows of it. */
const char *fuse_file_path(const struct fuse_file *f);
dev_t fuse_file_devno(const struct fuse_file *f);
ino_t fuse_file_ino(const struct fuse_file *f);

/* Any thread: while closed every open() fails with EBUSY. */
void fuse_file_gate(struct fuse_file *f, bool closed);

/* Any thread: open file descriptions in the kernel, also those that no process has. */
unsigned fuse_file_n_opens(const struct fuse_file *f);

/*
 * Control: up to @n threads that opened the file, which need not be those that have
 * it open; their number. 0 stands for those of other process namespaces.
 */
size_t fuse_file_openers(struct fuse_file *f, pid_t *tids, size_t n);

/*
 * Only in a step apart (apart.h): open the file whatever the gate says. The
 * descriptor or -errno.
 */
int fuse_file_open(const struct fuse_file *f, int flags);

/* Any thread: nothing arrives any more. */
bool fuse_file_failed(const struct fuse_file *f);

/* Control: wait until nobody has the file open. 0 or -ETIMEDOUT. */
int fuse_file_wait_closed(struct fuse_file *f, uint64_t deadline_ns);

/*
 * Control: write back what the kernel holds of it, and have the unit flush. 0, or
 * -errno; -ETIMEDOUT: the unit has not answered.
 */
int fuse_file_flush(struct fuse_file *f, uint64_t deadline_ns);

/* Control: size or write protection are others now; the kernel has been told on return. */
int fuse_file_changed(struct fuse_file *f, const struct blk_limits *limits, uint64_t deadline_ns);

/* Any thread: cut the kernel off. Whatever waits for an answer gets an error. */
void fuse_file_abort(struct fuse_file *f);

/*
 * Control, gate closed: unmount. Whoever still uses the file is cut off. What the
 * unit has not answered yet is waited for until @deadline_ns. 0, or -errno when the
 * mount could not be taken away.
 */
int fuse_file_stop(struct fuse_file *f, uint64_t deadline_ns);

/*
 * Control, after stop: returns NULL. Requests that the unit has not answered keep
 * their memory until it has; the loop must run until then.
 */
struct fuse_file *fuse_file_free(struct fuse_file *f);

#endif
