/* SPDX-License-Identifier: MIT */
/*
 * Backend loop: /dev/loopN on a hidden FUSE file
 *
 * Nobody but the kernel's loop driver ever has the file open: its gate is closed
 * for good once the device is attached. The users of the block device are kept
 * out by an exclusive claim of the whole disk, which also keeps others from
 * claiming a partition; opens without O_EXCL cannot be kept out, and are noticed
 * when the device is detached.
 *
 * Between gate and stop the process has no descriptor of the device: then the last
 * close by its users has the meaning it has for any disk, which is that the kernel
 * writes its cache back and forgets it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/backend_private.h"
#include "device/privilege.h"
#include "device/sysblock.h"
#include "io/loop.h"

#define MAX_SECTORS_KB 1024 /* of one FUSE request */
#define START_NS       (60 * NS_PER_S)
#define PROBER_NS      (500 * NS_PER_MS) /* patience with those who only look, like udev */
#define STEP_NS        (10 * NS_PER_MS)

struct blk_dev {
	struct fuse_file *file;
	char *dir;
	char name[32]; /* "loop0" */
	char path[40];
	dev_t devno;
	uint64_t max_sectors_kb; /* as it was before us; 0: not known */
	bool read_only;
	bool is_detached;     /* stop() has got that far */
	pthread_mutex_t lock; /* gate_fd */
	int gate_fd;          /* the exclusive claim; -1: gate open */
};

static void nap(void)
{
	const struct timespec ts = {.tv_nsec = (long)STEP_NS};

	nanosleep(&ts, NULL);
}

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

	if (d->is_detached || sys_loop_backing(d->name, backing, sizeof(backing)) < 0)
		return false;
	/* The path is short when somebody unmounted our file system lazily. */
	return strcmp(backing, fuse_file_path(d->file)) == 0 ||
	       (strcmp(backing, "/disk") == 0 && fuse_file_n_opens(d->file) > 0);
}

/* ---- start ------------------------------------------------------------------- */

static void set_queue_limits(const struct blk_dev *d, const struct blk_limits *l)
{
	uint64_t kb = l->max_transfer_bytes / 1024;

	/* None of this is needed for correctness; a kernel that refuses has its own. */
	if (kb == 0 || kb > MAX_SECTORS_KB)
		kb = MAX_SECTORS_KB;
	if (kb >= 4)
		(void)priv_queue_limit(d->name, "max_sectors_kb", kb);
	/*
	 * The driver asks for discarding and for zeroes in the same words. Where
	 * discarded blocks need not read as zero the words mean zeroes, and a discard
	 * would write a whole disk. What is set here outlives whom it was set for.
	 */
	(void)priv_queue_limit(d->name, "discard_max_bytes",
			       l->discard_zeroes && l->can_discard
				       ? sys_queue_limit(d->name, "discard_max_hw_bytes")
				       : 0);
}

/* The settings belong to the number, not to what is attached: leave it as it was. */
static void reset_number(const struct blk_dev *d, int fd)
{
	(void)priv_block_set_read_only(fd, false);
	backend_reset_queue(d->name);
	if (d->max_sectors_kb > 0)
		(void)priv_queue_limit(d->name, "max_sectors_kb", d->max_sectors_kb);
}

static int set_read_only(const struct blk_dev *d, bool read_only)
{
	CLEANUP(closep) int fd = priv_block_open(d->name, d->devno, O_RDONLY);

	return fd < 0 ? fd : priv_block_set_read_only(fd, read_only);
}

/* Where /dev is not kept by the kernel somebody has to make the nodes. */
static void make_partition_nodes(const struct blk_dev *d)
{
	CLEANUP(sys_blocks_clear) struct sys_blocks b = {0};

	if (sys_blocks_load(&b, d->devno) < 0)
		return;
	for (size_t k = 1; k < b.n; k++)
		(void)priv_block_node(b.v[k].name, b.v[k].devno);
}

static int attach(struct blk_dev *d, const struct blk_dev_cfg *cfg)
{
	CLEANUP(closep) int fd = open(fuse_file_path(d->file), O_RDWR | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	fuse_file_gate(d->file, true);
	r = priv_loop_attach(fd, cfg->name, cfg->limits.block_bytes, d->name, &d->devno);
	if (r)
		return r;
	snprintf(d->path, sizeof(d->path), "/dev/%s", d->name);
	d->read_only = cfg->limits.read_only;
	d->max_sectors_kb = sys_queue_limit(d->name, "max_sectors_kb");
	r = set_read_only(d, d->read_only);
	set_queue_limits(d, &cfg->limits);
	make_partition_nodes(d);
	return r;
}

static int loop_stop_dev(struct blk_dev *d, bool force, int timeout_ms);

static struct blk_dev *loop_free_dev(struct blk_dev *d)
{
	if (!d)
		return NULL;
	if (d->gate_fd >= 0)
		close(d->gate_fd);
	fuse_file_free(d->file);
	pthread_mutex_destroy(&d->lock);
	free(d->dir);
	free(d);
	return NULL;
}

static int loop_start(struct blk_dev **ret_dev, const struct blk_dev_cfg *cfg)
{
	struct blk_dev *d = calloc(1, sizeof(*d));
	struct fuse_guard *guard = NULL;
	int r;

	if (!d)
		return -ENOMEM;
	pthread_mutex_init(&d->lock, NULL);
	d->gate_fd = -1;
	r = cfg->user_mode ? -EPERM : backend_serve(&d->file, &d->dir, cfg, true);
	if (r) {
		loop_free_dev(d);
		return r;
	}
	/* The partition table is read by the way, which takes as long as the unit takes. */
	r = fuse_guard_begin(&guard, d->file, clock_now_ns() + START_NS);
	if (r == 0)
		r = attach(d, cfg);
	if (fuse_guard_end(guard))
		r = -ETIMEDOUT;
	if (r) {
		(void)loop_stop_dev(d, true, 5000);
		loop_free_dev(d);
		return r;
	}
	*ret_dev = d;
	return 0;
}

static const char *loop_path(const struct blk_dev *d)
{
	return d->path;
}

static dev_t loop_devno(const struct blk_dev *d)
{
	return d->devno;
}

/* ---- gate ------------------------------------------------------------------------ */

static int gate_fd(struct blk_dev *d)
{
	int fd;

	pthread_mutex_lock(&d->lock);
	fd = d->gate_fd;
	pthread_mutex_unlock(&d->lock);
	return fd;
}

static int loop_close_gate(struct blk_dev *d)
{
	const uint64_t until_ns = clock_now_ns() + PROBER_NS;
	int fd;

	if (gate_fd(d) >= 0 || !is_attached(d))
		return 0;
	/* For reading: closing it does not look like a change to those who watch. */
	fd = priv_block_open(d->name, d->devno, O_RDONLY | O_EXCL);
	if (fd < 0)
		return fd == -ENXIO && !is_attached(d) ? 0 : fd;
	/*
	 * Whoever looks at every new disk takes this lock first, and stays away while we
	 * have it. Others need not care, so it is no reason to refuse.
	 */
	while (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK &&
	       clock_now_ns() < until_ns)
		nap();
	pthread_mutex_lock(&d->lock);
	d->gate_fd = fd;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static void loop_open_gate(struct blk_dev *d)
{
	int fd;

	pthread_mutex_lock(&d->lock);
	fd = TAKE_FD(d->gate_fd);
	pthread_mutex_unlock(&d->lock);
	if (fd >= 0)
		close(fd);
}

static int loop_holders(struct blk_dev *d, struct holders *h)
{
	const size_t n_before = h->n;
	struct holder one = {.kind = HOLDER_EXCLUSIVE};
	int r, fd;

	if (!is_attached(d))
		return 0;
	r = holders_scan_block(h, d->devno, getpid());
	if (r || h->n > n_before || gate_fd(d) >= 0)
		return r;
	fd = priv_block_open(d->name, d->devno, O_RDONLY | O_EXCL);
	if (fd >= 0)
		close(fd);
	if (fd != -EBUSY)
		return 0;
	snprintf(one.device, sizeof(one.device), "%s", d->path);
	return holders_add(h, &one);
}

/* ---- flush ------------------------------------------------------------------------ */

/* Disk and partitions have a cache each. */
static int flush_caches(const struct blk_dev *d)
{
	CLEANUP(sys_blocks_clear) struct sys_blocks b = {0};
	int r = sys_blocks_load(&b, d->devno);

	/* Partitions first: the disk's flush then covers what they wrote. */
	for (size_t k = b.n; r == 0 && k-- > 0;) {
		CLEANUP(closep) int fd = priv_block_open(b.v[k].name, b.v[k].devno, O_RDONLY);

		if (fd < 0)
			r = k > 0 && (fd == -ENOENT || fd == -ENXIO) ? 0 : fd;
		else if (fsync(fd) < 0)
			r = -errno;
	}
	return r;
}

static int loop_flush(struct blk_dev *d)
{
	int r = is_attached(d) ? flush_caches(d) : 0;

	/* A write-protected device has no flush of its own. */
	return r ? r : fuse_file_flush(d->file);
}

/* ---- stop ------------------------------------------------------------------------- */

/*
 * Nothing may be written between the last flush and the detaching, by someone who
 * opens and closes the device in that moment: write protection shuts even those out
 * who have it open already, without touching what they did before. So that nobody
 * else gets an error from that, one looks first whether there is a user.
 */
static int detach_once(const struct blk_dev *d, int fd)
{
	CLEANUP(holders_clear) struct holders h = {0};
	int r = holders_scan_block(&h, d->devno, getpid());

	if (r == 0 && h.n > 0)
		r = -EBUSY;
	if (r == 0)
		r = priv_block_set_read_only(fd, true);
	if (r)
		return r;
	if (fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = priv_loop_detach(fd);
	if (r == 0)
		reset_number(d, fd);
	else if (r != -ENXIO)
		(void)priv_block_set_read_only(fd, d->read_only);
	return r;
}

static int detach_politely(const struct blk_dev *d, int fd, uint64_t deadline_ns)
{
	const uint64_t now_ns = clock_now_ns();
	int r;

	if (deadline_ns > now_ns + PROBER_NS)
		deadline_ns = now_ns + PROBER_NS;
	while ((r = detach_once(d, fd)) == -EBUSY && clock_now_ns() < deadline_ns)
		nap();
	return r == -ENXIO ? 0 : r;
}

static int detach(struct blk_dev *d, bool force, uint64_t deadline_ns)
{
	CLEANUP(closep) int fd = -1;
	int gate, r;

	if (!d->devno || !is_attached(d)) {
		loop_open_gate(d);
		return 0;
	}
	gate = gate_fd(d);
	if (gate < 0) {
		/* Not claimed: only force() may go on beside other users. */
		fd = priv_block_open(d->name, d->devno, O_RDONLY | (force ? 0 : O_EXCL));
		if (fd < 0)
			return fd;
	}
	r = detach_politely(d, gate < 0 ? fd : gate, deadline_ns);
	if (r && force) {
		/* From here their I/O fails, and the device goes with its last user. */
		fuse_file_abort(d->file);
		reset_number(d, gate < 0 ? fd : gate);
		r = priv_loop_detach_later(gate < 0 ? fd : gate);
		r = r == -ENXIO ? 0 : r;
	}
	if (r == 0) {
		d->is_detached = true;
		loop_open_gate(d); /* the close that ends it */
	}
	return r;
}

static int loop_stop_dev(struct blk_dev *d, bool force, int timeout_ms)
{
	const uint64_t deadline_ns = backend_deadline_ns(timeout_ms);
	struct fuse_guard *guard = NULL;
	int r;

	if (!d->file)
		return 0;
	r = fuse_guard_begin(&guard, d->file, deadline_ns);
	if (r)
		return r;
	r = d->is_detached ? 0 : detach(d, force, deadline_ns);
	/* The driver lets go of the file when the device is no more. */
	if (r == 0 && !fuse_file_failed(d->file) &&
	    fuse_file_wait_closed(d->file, deadline_ns) < 0 && !force)
		r = -ETIMEDOUT;
	if (r == 0)
		r = fuse_file_stop(d->file, deadline_ns);
	(void)fuse_guard_end(guard);
	if (r == 0)
		backend_remove_dir(d->dir);
	return r;
}

/* ---- changes ---------------------------------------------------------------------- */

static int loop_changed(struct blk_dev *d, const struct blk_limits *limits)
{
	CLEANUP(closep) int fd = -1;
	int r = fuse_file_changed(d->file, limits);

	if (r)
		return r;
	if (!is_attached(d))
		return -ENODEV;
	fd = priv_block_open(d->name, d->devno, O_RDONLY);
	if (fd < 0)
		return fd;
	r = priv_loop_resize(fd);
	if (r == 0)
		r = priv_block_set_read_only(fd, limits->read_only);
	if (r)
		return r;
	d->read_only = limits->read_only;
	set_queue_limits(d, limits);
	make_partition_nodes(d);
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
