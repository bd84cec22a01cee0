/* SPDX-License-Identifier: MIT */
/*
 * Backend loop: /dev/loopN on a hidden FUSE file
 *
 * Nobody but the kernel's loop driver ever has the file open: its gate is closed
 * for good once the device is attached. The gate of the block device is blockdev.h's;
 * who opens it without O_EXCL all the same is noticed when the device is detached.
 *
 * What may do I/O on the device is done apart (apart.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/apart.h"
#include "device/backend_private.h"
#include "device/blockdev.h"
#include "device/privilege.h"
#include "device/sysblock.h"
#include "io/loop.h"

#define MAX_SECTORS_KB 1024 /* of one FUSE request */
#define START_NS       (60 * NS_PER_S)
#define LET_GO_NS      (2 * NS_PER_S) /* for the kernel, once there is no way back */

struct blk_dev {
	struct fuse_file *file;
	char *dir;
	struct blockdev block;
	uint64_t max_sectors_kb; /* as it was before us; 0: not known */
	bool read_only;
	bool is_detached; /* stop() has got that far */
};

static int loop_probe(bool user_mode, char *why, size_t n)
{
	int r;

	if (user_mode)
		return backend_why(why, n, "loop devices need root", -EPERM);
	r = backend_probe_fuse(false, why, n);
	if (r)
		return r;
	r = priv_loop_probe();
	return r ? backend_why(why, n, "/dev/loop-control", r) : 0;
}

/* Is the loop device still on our file, or did somebody detach it? */
static bool is_attached(const struct blk_dev *d)
{
	char backing[PATH_MAX];

	if (d->is_detached || sys_loop_backing(d->block.name, backing, sizeof(backing)) < 0)
		return false;
	/* The path is short when somebody unmounted our file system lazily. */
	return strcmp(backing, fuse_file_path(d->file)) == 0 ||
	       (strcmp(backing, "/disk") == 0 && fuse_file_n_opens(d->file) > 0);
}

/* ---- start ------------------------------------------------------------------- */

/* Apart: sysfs waits for I/O under way. */
static void set_queue_limits(const char *name, const struct blk_limits *l)
{
	uint64_t kb = l->max_transfer_bytes / 1024;

	/*
	 * Not needed for correctness; a kernel that refuses has its own. Discarding is not
	 * limited here: a limit of 0 cannot be lifted again while the number exists.
	 */
	if (kb == 0 || kb > MAX_SECTORS_KB)
		kb = MAX_SECTORS_KB;
	if (kb >= 4)
		(void)priv_queue_limit(name, "max_sectors_kb", kb);
}

/* Apart. The settings belong to the number, not to what is attached: leave it as it was. */
static void reset_number(const struct blk_dev *d, int fd)
{
	(void)priv_block_set_read_only(fd, false);
	if (d->max_sectors_kb > 0)
		(void)priv_queue_limit(d->block.name, "max_sectors_kb", d->max_sectors_kb);
}

struct attach_step {
	const struct fuse_file *file;
	struct blk_limits limits;
	char name[32];
	dev_t devno;
	uint64_t max_sectors_kb;
};

static int attach_apart(void *arg)
{
	struct attach_step *s = arg;
	CLEANUP(closep) int file_fd = fuse_file_open(s->file, O_RDWR);
	CLEANUP(closep) int fd = -1;
	int r;

	if (file_fd < 0)
		return file_fd;
	/* The partition table is read by the way, which takes as long as the unit takes. */
	r = priv_loop_attach(file_fd, fuse_file_path(s->file), s->limits.block_bytes, s->name,
			     &s->devno);
	if (r)
		return r;
	fd = priv_block_open(s->name, s->devno, O_RDONLY);
	if (fd < 0)
		return fd;
	r = priv_block_set_read_only(fd, s->limits.read_only);
	if (r == 0 && !apart_commit())
		r = -ECANCELED;
	if (r) {
		(void)priv_block_set_read_only(fd, false);
		(void)priv_loop_detach_later(fd);
		return r;
	}
	s->max_sectors_kb = sys_queue_limit(s->name, "max_sectors_kb");
	set_queue_limits(s->name, &s->limits);
	return 0;
}

static int attach(struct blk_dev *d, const struct blk_dev_cfg *cfg)
{
	struct attach_step s = {.file = d->file, .limits = cfg->limits};
	const struct apart a = {.run = attach_apart, .arg = &s, .n_arg = sizeof(s), .fd = -1};
	int r;

	fuse_file_gate(d->file, true);
	r = apart_run(&a, clock_now_ns() + START_NS);
	if (r)
		return r;
	blockdev_set(&d->block, s.name, s.devno);
	d->max_sectors_kb = s.max_sectors_kb;
	d->read_only = cfg->limits.read_only;
	blockdev_make_nodes(&d->block);
	return 0;
}

static int loop_stop_dev(struct blk_dev *d, bool force, int timeout_ms);

static struct blk_dev *loop_free_dev(struct blk_dev *d)
{
	if (!d)
		return NULL;
	blockdev_destroy(&d->block);
	fuse_file_free(d->file);
	free(d->dir);
	free(d);
	return NULL;
}

static int loop_start(struct blk_dev **ret_dev, const struct blk_dev_cfg *cfg)
{
	struct blk_dev *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	blockdev_init(&d->block);
	r = cfg->user_mode ? -EPERM : backend_serve(&d->file, &d->dir, cfg, true);
	if (r == 0) {
		r = attach(d, cfg);
		if (r)
			(void)loop_stop_dev(d, true, 5000);
	}
	if (r) {
		loop_free_dev(d);
		return r;
	}
	*ret_dev = d;
	return 0;
}

static const char *loop_path(const struct blk_dev *d)
{
	return d->block.path;
}

static dev_t loop_devno(const struct blk_dev *d)
{
	return d->block.devno;
}

static int loop_close_gate(struct blk_dev *d)
{
	int r;

	if (!is_attached(d))
		return 0;
	r = blockdev_close_gate(&d->block);
	return r == -ENXIO && !is_attached(d) ? 0 : r;
}

static void loop_open_gate(struct blk_dev *d)
{
	blockdev_open_gate(&d->block);
}

/* A step on the device that its argument names. */
struct dev_step {
	const struct blk_dev *d;
	struct blk_limits limits;
	bool force;
};

static int run_step(const struct blk_dev *d, int (*run)(void *arg), int fd, bool force,
		    uint64_t deadline_ns)
{
	struct dev_step s = {.d = d, .force = force};
	const struct apart a = {.run = run, .arg = &s, .n_arg = sizeof(s), .fd = fd};

	return apart_run(&a, deadline_ns);
}

static int loop_holders(struct blk_dev *d, struct holders *h)
{
	return is_attached(d) ? blockdev_holders(&d->block, h) : 0;
}

static int loop_flush(struct blk_dev *d)
{
	const uint64_t deadline_ns = clock_now_ns() + BACKEND_FLUSH_NS;
	int r = 0;

	if (is_attached(d))
		r = blockdev_flush(&d->block, deadline_ns);
	/* A write-protected device has no flush of its own. */
	return r ? r : fuse_file_flush(d->file, deadline_ns);
}

/* ---- stop ------------------------------------------------------------------------- */

/*
 * Nothing may be written between the last flush and the detaching, by someone who
 * opens and closes the device in that moment: write protection shuts even those out
 * who have it open already, without touching what they did before.
 */
static int detach_apart(void *arg)
{
	const struct dev_step *s = arg;
	const int fd = blockdev_step_fd(&s->d->block, s->force);
	int r;

	if (fd < 0)
		return fd;
	r = priv_block_set_read_only(fd, true);
	if (r)
		return r;
	if (fsync(fd) < 0)
		r = -errno;
	if (r == 0 && !apart_commit())
		r = -ECANCELED;
	if (r == 0)
		r = priv_loop_detach(fd);
	if (r == 0)
		reset_number(s->d, fd);
	else if (r != -ENXIO)
		(void)priv_block_set_read_only(fd, s->d->read_only);
	return r;
}

static int detach_later_apart(void *arg)
{
	const struct dev_step *s = arg;
	const int fd = blockdev_step_fd(&s->d->block, s->force);

	if (fd < 0)
		return fd;
	reset_number(s->d, fd);
	return priv_loop_detach_later(fd);
}

/* One looks for users first, so that none of them gets an error from the write protection. */
static int detach_once(struct blk_dev *d, bool force, uint64_t deadline_ns)
{
	CLEANUP(holders_clear) struct holders h = {0};
	int r = holders_scan_block(&h, d->block.devno, getpid());

	if (r == 0 && h.n > 0)
		r = -EBUSY;
	return r ? r : run_step(d, detach_apart, blockdev_gate_fd(&d->block), force, deadline_ns);
}

static int detach(struct blk_dev *d, bool force, uint64_t deadline_ns)
{
	const uint64_t now_ns = clock_now_ns();
	const uint64_t patience_ns = deadline_ns < now_ns + BLOCKDEV_PROBER_NS
					     ? deadline_ns
					     : now_ns + BLOCKDEV_PROBER_NS;
	int r;

	if (!d->block.devno || !is_attached(d))
		return 0;
	while ((r = detach_once(d, force, deadline_ns)) == -EBUSY && clock_now_ns() < patience_ns)
		blockdev_nap();
	if (r && r != -ENXIO && force) {
		/* From here their I/O fails, and the device goes with its last user. */
		fuse_file_abort(d->file);
		r = run_step(d, detach_later_apart, blockdev_gate_fd(&d->block), true,
			     clock_now_ns() + BLOCKDEV_CLOSE_NS);
	}
	return r == -ENXIO ? 0 : r;
}

/* The device is no more, or cut off: the file under it goes too. */
static int stop_file(struct blk_dev *d, bool force, uint64_t deadline_ns)
{
	const uint64_t least_ns = clock_now_ns() + LET_GO_NS;
	int r;

	if (deadline_ns < least_ns)
		deadline_ns = least_ns;
	blockdev_open_gate(&d->block); /* the close that ends the device */
	/* The driver lets go of the file when that is done. */
	if (!fuse_file_failed(d->file) && fuse_file_wait_closed(d->file, deadline_ns) < 0 && !force)
		return -ETIMEDOUT;
	r = fuse_file_stop(d->file, deadline_ns);
	if (r == 0)
		backend_remove_dir(d->dir);
	return r;
}

static int loop_stop_dev(struct blk_dev *d, bool force, int timeout_ms)
{
	const uint64_t deadline_ns = backend_deadline_ns(timeout_ms);
	int r = d->is_detached ? 0 : detach(d, force, deadline_ns);

	if (r)
		return r;
	d->is_detached = true;
	return stop_file(d, force, deadline_ns);
}

/* ---- changes ---------------------------------------------------------------------- */

static int change_apart(void *arg)
{
	const struct dev_step *s = arg;
	CLEANUP(closep) int fd = priv_block_open(s->d->block.name, s->d->block.devno, O_RDONLY);
	int r;

	if (fd < 0)
		return fd;
	r = priv_loop_resize(fd);
	if (r == 0)
		r = priv_block_set_read_only(fd, s->limits.read_only);
	if (r == 0)
		set_queue_limits(s->d->block.name, &s->limits);
	return r;
}

static int loop_changed(struct blk_dev *d, const struct blk_limits *limits)
{
	const uint64_t deadline_ns = clock_now_ns() + BACKEND_FLUSH_NS;
	struct dev_step s = {.d = d, .limits = *limits};
	const struct apart a = {.run = change_apart, .arg = &s, .n_arg = sizeof(s), .fd = -1};
	int r = fuse_file_changed(d->file, limits, deadline_ns);

	if (r)
		return r;
	if (!is_attached(d))
		return -ENODEV;
	r = apart_run(&a, deadline_ns);
	if (r)
		return r;
	d->read_only = limits->read_only;
	blockdev_make_nodes(&d->block);
	return 0;
}

static bool loop_failed(const struct blk_dev *d)
{
	return fuse_file_failed(d->file) || !is_attached(d);
}

const struct blk_backend blk_backend_loop = {
	.name = "loop",
	.probe = loop_probe,
	.start = loop_start,
	.path = loop_path,
	.devno = loop_devno,
	.close_gate = loop_close_gate,
	.open_gate = loop_open_gate,
	.holders = loop_holders,
	.flush = loop_flush,
	.stop = loop_stop_dev,
	.free = loop_free_dev,
	.changed = loop_changed,
	.failed = loop_failed,
	.sweep = backend_sweep,
};
