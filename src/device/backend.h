/* SPDX-License-Identifier: MIT */
/*
 * Backends: what shows a logical unit to the system
 *
 * A backend is a const table of functions. It is given a unit to serve and
 * turns what the system asks (a FUSE request, a block request) into struct
 * blk_req, which it hands to blk_submit(). Offsets and lengths are checked
 * there, once, before the unit sees them.
 *
 * Two kinds of thread call a backend, and each member says which: the *loop*
 * thread of the unit's reactor, which must never block, and a *control*
 * thread, which may.
 *
 *	start -> (close_gate -> holders -> flush -> open_gate)* -> stop -> free
 *
 * Life: after start() the device can be opened. stop() takes it away and
 * returns when the kernel has let go; free() gives the memory back.
 */
#ifndef DEVICE_BACKEND_H
#define DEVICE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/list.h"

struct loop;
struct lu;
struct blk_dev;
struct holders;

enum blk_op {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,       /* everything written before is on stable storage after */
	BLK_DISCARD,     /* a hint: contents undefined afterwards */
	BLK_WRITE_ZEROES /* reads as zero afterwards */
};

#define BLK_F_FUA      1u /* BLK_WRITE: on stable storage when done */
#define BLK_F_NO_UNMAP 2u /* BLK_WRITE_ZEROES: keep the blocks allocated */

/*
 * One request of the system. The backend owns it; between blk_submit() and
 * done() the unit does. At most n_bytes of iov are used.
 */
struct blk_req {
	enum blk_op op;
	unsigned flags;
	uint64_t off_bytes;
	uint64_t n_bytes;        /* READ, WRITE: the sum of the iov */
	const struct iovec *iov; /* READ, WRITE only */
	unsigned n_iov;
	int result; /* 0 or -errno: EIO, EREMOTEIO, ENOSPC, EROFS, EOPNOTSUPP, EILSEQ, EINVAL, … */
	void (*done)(struct blk_req *r); /* loop thread; may come from inside blk_submit() */
	void *user;

	struct list node; /* the unit's, while it owns the request */
	void *unit_private;
};

/* loop thread: hand one request to the unit (lu.c). */
void blk_submit(struct lu *lu, struct blk_req *r);

/* What a backend is told of the unit it shows. */
struct blk_limits {
	uint64_t n_bytes;     /* capacity */
	uint32_t block_bytes; /* logical block: 512 or 4096 */
	uint32_t phys_block_bytes;
	uint32_t max_transfer_bytes;
	bool read_only;
	bool can_discard;      /* BLK_DISCARD does something */
	bool can_write_zeroes; /* BLK_WRITE_ZEROES is better than writing them */
	bool discard_zeroes;   /* discarded blocks are sure to read as zero when discarded by
				  BLK_WRITE_ZEROES */
	bool write_cache;      /* BLK_FLUSH matters */
};

struct blk_dev_cfg {
	const char
		*name; /* file name component, unique on this machine's service: e.g. "s1-lun0" */
	const char *devices_dir; /* absolute; where files and mounts go; exists */
	const char *describe;    /* for logs: "iqn.… lun 0" */
	struct loop *loop;       /* the unit's reactor */
	struct lu *lu;
	struct blk_limits limits;
	bool user_mode;       /* without root: fusermount3 */
	const char *identity; /* optional: tells the unit from all others, over restarts */
};

struct blk_backend {
	const char *name; /* "ublk", "loop", "fuse", "nbd" */

	bool takes_over; /* start() takes a device over that sweep() has left waiting for the unit
			  */

	/* required, control: can it work here? 0, or -errno and a reason of at most @n bytes. */
	int (*probe)(bool user_mode, char *why, size_t n);

	/* required, control: present the unit. On failure nothing is left behind. */
	int (*start)(struct blk_dev **ret_dev, const struct blk_dev_cfg *cfg);

	/* required, any thread: the device's file: a node, a file or a socket; valid until free. */
	const char *(*path)(const struct blk_dev *d);

	/* optional, any thread: what programs are told where open() does not take the path. */
	const char *(*uri)(const struct blk_dev *d);

	/* required, any thread: kernel device number, or 0 where it is only a file. */
	dev_t (*devno)(const struct blk_dev *d);

	/*
	 * required, control: no new users from now on. -EBUSY when somebody has
	 * the device for himself already; the gate is then open as before.
	 */
	int (*close_gate)(struct blk_dev *d);
	void (*open_gate)(struct blk_dev *d);

	/*
	 * required, control: add who uses the device to @h; it only looks. After a
	 * close_gate() with -EBUSY the first call tells of the claim even when nobody
	 * is found. 0 or -errno.
	 */
	int (*holders)(struct blk_dev *d, struct holders *h);

	/* required, control: write back what the kernel caches for the device; 0 or -errno (data
	 * may be lost). */
	int (*flush)(struct blk_dev *d);

	/*
	 * required, control, gate closed: take the device away and wait, at most
	 * @timeout_ms, until the kernel has let go. -EBUSY when somebody slipped in:
	 * the device is then as before stop(), gate still closed.
	 * @force: cut off whoever is left (their I/O fails).
	 */
	int (*stop)(struct blk_dev *d, bool force, int timeout_ms);

	/* required, control, after stop(): returns NULL. */
	struct blk_dev *(*free)(struct blk_dev *d);

	/* optional, control: the unit has another size or write protection now. */
	int (*changed)(struct blk_dev *d, const struct blk_limits *limits);

	/*
	 * optional, any thread: somebody took the device away behind our back (unmounted,
	 * detached, aborted); its users get errors and it can only be stopped.
	 */
	bool (*failed)(const struct blk_dev *d);

	/*
	 * required, control, at service start: remove what a dead service left below
	 * @devices_dir, which must be the caller's alone: mounts, loop and ublk devices. Calls
	 * @said for each thing removed, or not; a text that begins with "data at risk: " says that
	 * somebody was using it.
	 */
	int (*sweep)(const char *devices_dir, void (*said)(void *arg, const char *what), void *arg);
};

extern const struct blk_backend blk_backend_ublk; /* only where it is built in (HAVE_UBLK) */
extern const struct blk_backend blk_backend_loop;
extern const struct blk_backend blk_backend_fuse;
extern const struct blk_backend blk_backend_nbd;

/*
 * Control: removes, as sweep() does, what sweep() has left to wait for a start() that will
 * not come, since the service ends or has another backend.
 */
int blk_backend_give_up(const char *devices_dir, void (*said)(void *arg, const char *what),
			void *arg);

/*
 * The first that works here, in the order ublk, loop, fuse, nbd, when @name is "auto"; else
 * the one named. @why gets the reason of a refusal.
 */
const struct blk_backend *blk_backend_choose(const char *name, bool user_mode, char *why, size_t n);

#endif
