/* SPDX-License-Identifier: MIT */
/*
 * Backend ublk: /dev/ublkbN, served from the unit's loop
 *
 * The queue (ublk_queue.h) is ours, all the rest is control commands. Those that may do
 * I/O on the device, or wait for it, are made apart: starting reads the partition table,
 * stopping writes the cache back.
 *
 * A device that is stopped is stopped for everybody, whoever uses it. So first its cache
 * is written back and it is write-protected; then it is looked whether somebody opened it
 * all the same; and then it goes. A driver that can do so (7.0) looks once more itself,
 * and leaves no gap. What the unit does not answer in time is answered by the queue.
 *
 * The device outlives a service that was killed, with its requests waiting. The service
 * that starts next finds it by a mark that both the device and a file of ours have, and
 * when the unit comes back the device goes on, and with it whatever uses it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/apart.h"
#include "device/backend_private.h"
#include "device/blockdev.h"
#include "device/idle.h"
#include "device/privilege.h"
#include "device/privilege_ublk.h"
#include "device/sysblock.h"
#include "device/ublk_queue.h"
#include "device/ublk_record.h"

#define QUEUE_DEPTH 128u
#define MAX_IO      (1u << 20) /* bytes of one request, at most */
#define MIN_IO      65536u     /* and what it is at least; the unit cuts it further */
#define START_NS    (60 * NS_PER_S)
#define ANSWER_NS   (20 * NS_PER_S)
#define LET_GO_NS   (2 * NS_PER_S)      /* for the kernel, once there is no way back */
#define CUT_NS      (10 * NS_PER_S)     /* the same, with all I/O failing at once */
#define BULK_BYTES  (UINT64_C(2) << 30) /* of one discard or zeroing */

struct blk_dev {
	struct blockdev block;
	struct ublk_queue *queue;
	struct loop *loop;
	struct lu *lu;
	struct blk_limits limits;
	uint64_t features;
	struct ublk_dev_info info;
	bool has_device; /* the kernel knows of it */
	bool is_stopped; /* stop() has got that far */
	bool was_born_read_only;
	char *dir;
};

static int ublk_probe(bool user_mode, char *why, size_t n)
{
	uint64_t features;
	int r;

	if (user_mode)
		return backend_why(why, n, "ublk devices need root", -EPERM);
	r = priv_ublk_features(&features);
	return r ? backend_why(why, n, "/dev/ublk-control", r) : 0;
}

/* ---- limits -------------------------------------------------------------------------- */

static bool is_servable(const struct blk_limits *l)
{
	return l->block_bytes >= UBLK_SECTOR && l->block_bytes <= 4096 &&
	       (l->block_bytes & (l->block_bytes - 1)) == 0 && l->n_bytes > 0 &&
	       l->n_bytes % l->block_bytes == 0 && l->n_bytes <= INT64_MAX;
}

static uint8_t shift_of(uint32_t bytes)
{
	return (uint8_t)__builtin_ctz(bytes);
}

static uint32_t physical_bytes(const struct blk_limits *l)
{
	const uint32_t p = l->phys_block_bytes;

	return p >= l->block_bytes && (p & (p - 1)) == 0 ? p : l->block_bytes;
}

/* Whole pages, of which the largest that Linux has are no less than MIN_IO. */
static uint32_t max_io_bytes(const struct blk_limits *l)
{
	uint32_t n = l->max_transfer_bytes;

	if (n == 0 || n > MAX_IO)
		n = MAX_IO;
	n -= n % MIN_IO;
	return n ? n : MIN_IO;
}

static struct ublk_params params_of(const struct blk_limits *l, uint32_t max_io)
{
	const uint32_t bulk = BULK_BYTES / UBLK_SECTOR, physical = physical_bytes(l);
	struct ublk_params p = {.n_bytes = sizeof(p), .types = UBLK_PARAM_BASIC};

	if (l->read_only)
		p.basic.attrs |= UBLK_ATTR_READ_ONLY;
	if (l->write_cache)
		p.basic.attrs |= UBLK_ATTR_WRITE_CACHE | UBLK_ATTR_FUA;
	p.basic.logical_shift = shift_of(l->block_bytes);
	p.basic.physical_shift = shift_of(physical);
	p.basic.io_min_shift = shift_of(physical);
	p.basic.io_opt_shift = shift_of(physical);
	p.basic.max_sectors = max_io / UBLK_SECTOR;
	p.basic.dev_sectors = l->n_bytes / UBLK_SECTOR;
	if (l->read_only || (!l->can_discard && !l->can_write_zeroes))
		return p;
	p.types |= UBLK_PARAM_DISCARD;
	p.discard.granularity = physical;
	p.discard.max_segments = 1;
	p.discard.max_sectors = l->can_discard ? bulk : 0;
	p.discard.max_write_zeroes_sectors = l->can_write_zeroes ? bulk : 0;
	return p;
}

/* ---- steps apart ------------------------------------------------------------------------ */

struct dev_step {
	const struct blk_dev *d;
	struct blk_limits limits;
	pid_t pid;
	dev_t devno;
	bool flag;
};

static int run_step(const struct blk_dev *d, int (*run)(void *arg), int fd, bool flag,
		    uint64_t deadline_ns)
{
	struct dev_step s = {.d = d, .flag = flag};
	const struct apart a = {.run = run, .arg = &s, .n_arg = sizeof(s), .fd = fd};

	return apart_run(&a, deadline_ns);
}

static int start_apart(void *arg)
{
	const struct dev_step *s = arg;
	const struct blk_dev *d = s->d;
	const int r = priv_ublk_start(d->info.dev_id, s->pid);

	/*
	 * One tag is kept from being used: with a command of it always in the kernel, a
	 * driver of before 6.15 notices our death even when all others are with the unit.
	 */
	if (r == 0)
		(void)priv_queue_limit(d->block.name, "nr_requests", QUEUE_DEPTH - 1);
	return r;
}

static int protect_one(void *arg, const struct sys_block *b)
{
	const struct dev_step *s = arg;
	CLEANUP(closep) int fd = priv_block_open(b->name, b->devno, O_RDONLY);

	/* A partition may go at any time. */
	if (fd < 0)
		return b->devno == s->d->block.devno ? fd : 0;
	return priv_block_set_read_only(fd, s->flag);
}

/* Disk and partitions; @flag: protect. */
static int protect_apart(void *arg)
{
	const struct dev_step *s = arg;

	return sys_blocks_each(s->d->block.devno, protect_one, arg);
}

/* Nothing is left to write, and nobody can begin to. */
static int quiet_apart(void *arg)
{
	struct dev_step *s = arg;
	const int fd = blockdev_step_fd(&s->d->block, s->flag);

	if (fd < 0)
		return fd;
	if (fsync(fd) < 0)
		return -errno;
	if (!apart_commit())
		return -ECANCELED;
	s->flag = true;
	return protect_apart(s);
}

/* The claim is given to it; @flag: leave it when somebody has it open. */
static int stop_apart(void *arg)
{
	const struct dev_step *s = arg;

	if (s->flag)
		close(APART_FD);
	return priv_ublk_stop(s->d->info.dev_id, s->flag);
}

static int delete_apart(void *arg)
{
	const struct dev_step *s = arg;

	return priv_ublk_delete(s->d->info.dev_id);
}

static int resize_apart(void *arg)
{
	const struct dev_step *s = arg;

	return priv_ublk_resize(s->d->info.dev_id, s->limits.n_bytes / UBLK_SECTOR);
}

/* ---- the end ------------------------------------------------------------------------------ */

static int look(struct blk_dev *d)
{
	CLEANUP(holders_clear) struct holders h = {0};
	const int r = holders_scan_block(&h, d->block.devno, getpid());

	return r == 0 && h.n > 0 ? -EBUSY : r;
}

static void unprotect(struct blk_dev *d)
{
	if (!d->limits.read_only)
		(void)run_step(d, protect_apart, -1, false, clock_now_ns() + LET_GO_NS);
}

/* Nobody uses the device, nothing is left to write, and it is write-protected; or as before. */
static int quiet(struct blk_dev *d, bool force, uint64_t deadline_ns)
{
	int r = look(d);

	if (r)
		return r;
	r = run_step(d, quiet_apart, blockdev_gate_fd(&d->block), force, deadline_ns);
	if (r == 0)
		r = look(d);
	if (r)
		unprotect(d);
	return r;
}

/* The disk is gone from the system on return, or -EBUSY. */
static int stop_disk(struct blk_dev *d, bool safely, uint64_t deadline_ns)
{
	struct dev_step s = {.d = d, .flag = safely};
	const struct apart a = {.run = stop_apart,
				.arg = &s,
				.n_arg = sizeof(s),
				.fd = safely ? blockdev_take_gate(&d->block) : -1,
				.give = safely};
	int r = apart_run(&a, deadline_ns);

	if (r == -EBUSY && safely)
		(void)blockdev_close_gate(&d->block);
	if (r != -ETIMEDOUT)
		return r;
	/* It is on its way, and waits for the unit. */
	ublk_queue_cut(d->queue);
	return run_step(d, stop_apart, -1, false, clock_now_ns() + CUT_NS);
}

static int take_away_once(struct blk_dev *d, uint64_t deadline_ns)
{
	const bool safely = (d->features & UBLK_F_SAFE_STOP) && blockdev_gate_fd(&d->block) >= 0;
	int r = quiet(d, false, deadline_ns);

	if (r)
		return r;
	r = stop_disk(d, safely, deadline_ns);
	if (r)
		unprotect(d);
	return r;
}

static int take_away(struct blk_dev *d, uint64_t deadline_ns)
{
	const uint64_t until_ns = clock_now_ns() + BLOCKDEV_PROBER_NS;
	int r;

	while ((r = take_away_once(d, deadline_ns)) == -EBUSY && clock_now_ns() < until_ns &&
	       clock_now_ns() < deadline_ns)
		blockdev_nap();
	return r;
}

static int force_away(struct blk_dev *d, uint64_t deadline_ns)
{
	/* Nobody is there, as far as that can be told: what they wrote arrives all the same. */
	if (quiet(d, true, deadline_ns))
		ublk_queue_cut(d->queue);
	return stop_disk(d, false, deadline_ns);
}

/* The kernel forgets the number when its last user does. */
static bool is_forgotten(const struct blk_dev *d)
{
	struct ublk_dev_info info;
	const int r = priv_ublk_info(d->info.dev_id, &info);

	return r == -ENODEV || (r == 0 && info.mark != d->info.mark);
}

static int let_go(struct blk_dev *d, bool force, uint64_t deadline_ns)
{
	const uint64_t least_ns = clock_now_ns() + LET_GO_NS;
	int r;

	if (deadline_ns < least_ns)
		deadline_ns = least_ns;
	if (d->queue) {
		(void)ublk_queue_wait_ended(d->queue, deadline_ns);
		ublk_queue_stop(d->queue);
	}
	blockdev_open_gate(&d->block);
	r = run_step(d, delete_apart, -1, false, deadline_ns);
	while (!is_forgotten(d) && !force && clock_now_ns() < deadline_ns)
		blockdev_nap();
	if (!force && !is_forgotten(d))
		return r ? r : -ETIMEDOUT;
	d->has_device = false;
	ublk_record_remove(d->dir);
	return 0;
}

static bool ublk_failed(const struct blk_dev *d)
{
	return ublk_queue_has_ended(d->queue);
}

static int ublk_stop(struct blk_dev *d, bool force, int timeout_ms)
{
	const uint64_t deadline_ns = backend_deadline_ns(timeout_ms);
	int r = 0;

	if (!d->has_device)
		return 0;
	if (d->is_stopped || ublk_failed(d))
		r = 0;
	else
		r = force ? force_away(d, deadline_ns) : take_away(d, deadline_ns);
	if (r && r != -ENODEV)
		return r;
	d->is_stopped = true;
	return let_go(d, force, deadline_ns);
}

static struct blk_dev *ublk_free(struct blk_dev *d)
{
	if (!d)
		return NULL;
	blockdev_destroy(&d->block);
	ublk_queue_free(d->queue);
	free(d->dir);
	free(d);
	return NULL;
}

/* ---- changes ------------------------------------------------------------------------------ */

static int change_size(struct blk_dev *d, const struct blk_limits *limits, uint64_t deadline_ns)
{
	struct dev_step s = {.d = d, .limits = *limits};
	const struct apart a = {.run = resize_apart, .arg = &s, .n_arg = sizeof(s), .fd = -1};

	if (limits->n_bytes == d->limits.n_bytes)
		return 0;
	if (!(d->info.flags & UBLK_F_UPDATE_SIZE))
		return -EOPNOTSUPP;
	return apart_run(&a, deadline_ns);
}

static int change_protection(struct blk_dev *d, const struct blk_limits *limits,
			     uint64_t deadline_ns)
{
	if (limits->read_only == d->limits.read_only)
		return 0;
	/* What a disk was made with cannot be taken back. */
	if (d->was_born_read_only)
		return -EOPNOTSUPP;
	return run_step(d, protect_apart, -1, limits->read_only, deadline_ns);
}

/* ---- start ------------------------------------------------------------------------------- */

static int add_device(struct blk_dev *d, const struct blk_dev_cfg *cfg)
{
	const uint64_t wanted = UBLK_F_COMP_IN_TASK | UBLK_F_IOCTL_ENCODE | UBLK_F_USER_RECOVERY |
				UBLK_F_RECOVERY_REISSUE | UBLK_F_UPDATE_SIZE | UBLK_F_SAFE_STOP;
	struct ublk_params params;
	char name[32];
	int r;

	d->info = (struct ublk_dev_info){
		.n_queues = 1,
		.queue_depth = QUEUE_DEPTH,
		.max_io_bytes = max_io_bytes(&cfg->limits),
		.server_pid = getpid(),
		.flags = wanted & d->features,
	};
	if (getrandom(&d->info.mark, sizeof(d->info.mark), 0) != sizeof(d->info.mark))
		return -EIO;
	/* First the file: a device that nobody knows of would stay for ever. */
	r = ublk_record_write(d->dir, d->info.mark, cfg->identity ? cfg->identity : "");
	if (r)
		return r;
	r = priv_ublk_add(&d->info);
	if (r)
		return r;
	d->has_device = true;
	params = params_of(&cfg->limits, d->info.max_io_bytes);
	snprintf(name, sizeof(name), "ublkb%u", d->info.dev_id);
	blockdev_set(&d->block, name, 0);
	return priv_ublk_set_params(d->info.dev_id, &params);
}

static int start_queue(struct blk_dev *d)
{
	struct ublk_queue_cfg cfg = {
		.plain = !(d->info.flags & UBLK_F_IOCTL_ENCODE),
		.depth = d->info.queue_depth,
		.max_io_bytes = d->info.max_io_bytes,
		.loop = d->loop,
		.lu = d->lu,
		.limits = d->limits,
	};

	cfg.fd = priv_ublk_open(d->info.dev_id);
	return cfg.fd < 0 ? cfg.fd : ublk_queue_start(&d->queue, &cfg);
}

/* The disk is there: its number, its nodes. */
static int find_disk(struct blk_dev *d)
{
	const dev_t devno = sys_block_devno(d->block.name);
	int r;

	if (!devno)
		return -ENODEV;
	r = priv_block_node(d->block.name, devno);
	if (r)
		return r;
	d->block.devno = devno;
	blockdev_make_nodes(&d->block);
	return 0;
}

static int start_disk(struct blk_dev *d)
{
	struct dev_step s = {.d = d, .pid = getpid()};
	const struct apart a = {.run = start_apart, .arg = &s, .n_arg = sizeof(s), .fd = -1};
	/*
	 * Before 7.0 a device whose server dies while its partition table is read can never
	 * be removed. So that is not begun before the unit answers.
	 */
	int r = idle_ask_unit(d->loop, d->lu, d->limits.block_bytes, clock_now_ns() + ANSWER_NS);

	if (r == -ETIMEDOUT)
		return r;
	r = apart_run(&a, clock_now_ns() + START_NS);
	return r ? r : find_disk(d);
}

/* ---- taking over ---------------------------------------------------------------------------- */

struct wanted {
	const char *identity;
	struct ublk_record *found;
};

static int is_wanted(void *arg, const struct ublk_record *r)
{
	struct wanted *w = arg;

	if (!r->is_waiting || strcmp(r->identity, w->identity) != 0)
		return 0;
	*w->found = *r;
	return 1;
}

/* What its users rely on the unit still gives. */
static bool is_compatible(const struct ublk_params *p, const struct blk_limits *l)
{
	return p->basic.logical_shift == shift_of(l->block_bytes) &&
	       (!l->write_cache || p->basic.attrs & UBLK_ATTR_WRITE_CACHE);
}

static int recover_begin_apart(void *arg)
{
	const struct dev_step *s = arg;

	return priv_ublk_recover_begin(s->d->info.dev_id);
}

static int recover_end_apart(void *arg)
{
	const struct dev_step *s = arg;

	return priv_ublk_recover_end(s->d->info.dev_id, s->pid);
}

static int recover(struct blk_dev *d)
{
	const uint64_t deadline_ns = clock_now_ns() + START_NS;
	struct dev_step s = {.d = d, .pid = getpid()};
	const struct apart end = {
		.run = recover_end_apart, .arg = &s, .n_arg = sizeof(s), .fd = -1};
	int r;

	/* The kernel may still be clearing up after the dead service. */
	while ((r = run_step(d, recover_begin_apart, -1, false, deadline_ns)) == -EBUSY &&
	       clock_now_ns() < deadline_ns)
		blockdev_nap();
	if (r == 0)
		r = start_queue(d);
	/* From here the requests that waited come. */
	return r ? r : apart_run(&end, deadline_ns);
}

static int adopt(struct blk_dev *d, const struct blk_dev_cfg *cfg)
{
	const uint64_t deadline_ns = clock_now_ns() + START_NS;
	struct ublk_params params;
	struct blk_limits before;
	char name[32];
	int r = priv_ublk_params(d->info.dev_id, &params);

	if (r == 0 && !is_compatible(&params, &cfg->limits))
		r = -ESTALE;
	if (r)
		return r;
	snprintf(name, sizeof(name), "ublkb%u", d->info.dev_id);
	blockdev_set(&d->block, name, 0);
	d->was_born_read_only = params.basic.attrs & UBLK_ATTR_READ_ONLY;
	r = recover(d);
	if (r == 0)
		r = find_disk(d);
	if (r)
		return r;
	/* What has changed meanwhile, as far as this driver can take it over. */
	before = cfg->limits;
	before.n_bytes = params.basic.dev_sectors * UBLK_SECTOR;
	before.read_only = d->was_born_read_only;
	d->limits = before;
	(void)change_size(d, &cfg->limits, deadline_ns);
	(void)change_protection(d, &cfg->limits, deadline_ns);
	d->limits = cfg->limits;
	return 0;
}

static void undo(struct blk_dev *d);

/* True: the device that a dead service had for this unit goes on. */
static bool take_over(struct blk_dev *d, const struct blk_dev_cfg *cfg)
{
	CLEANUP(freep) struct ublk_record *found = malloc(sizeof(*found));
	struct wanted w = {.identity = cfg->identity, .found = found};

	if (!found || !cfg->identity || !cfg->identity[0] ||
	    ublk_record_each(cfg->devices_dir, is_wanted, &w) != 1 ||
	    ublk_record_take(found, d->dir) < 0)
		return false;
	if (ublk_record_device(found->mark, &d->info)) {
		d->has_device = true;
		if (adopt(d, cfg) == 0)
			return true;
	}
	undo(d);
	d->was_born_read_only = cfg->limits.read_only;
	d->limits = cfg->limits;
	d->is_stopped = false;
	d->queue = ublk_queue_free(d->queue);
	return false;
}

/* After a failure: nothing is left behind. */
static void undo(struct blk_dev *d)
{
	if (d->queue)
		ublk_queue_cut(d->queue);
	if (d->has_device) {
		(void)run_step(d, stop_apart, -1, false, clock_now_ns() + CUT_NS);
		(void)let_go(d, true, clock_now_ns() + LET_GO_NS);
	} else {
		ublk_record_remove(d->dir);
	}
}

static int start_new(struct blk_dev *d, const struct blk_dev_cfg *cfg)
{
	int r = add_device(d, cfg);

	if (r == 0)
		r = start_queue(d);
	if (r == 0)
		r = start_disk(d);
	if (r)
		undo(d);
	return r;
}

static int start(struct blk_dev *d, const struct blk_dev_cfg *cfg)
{
	int r = priv_ublk_features(&d->features);

	if (r == 0)
		r = backend_make_dir(&d->dir, cfg);
	if (r)
		return r;
	if (take_over(d, cfg))
		return 0;
	/* The directory may have gone with what was tried. */
	free(TAKE(d->dir));
	r = backend_make_dir(&d->dir, cfg);
	return r ? r : start_new(d, cfg);
}

static int ublk_start(struct blk_dev **ret_dev, const struct blk_dev_cfg *cfg)
{
	struct blk_dev *d;
	int r;

	if (cfg->user_mode)
		return -EPERM;
	if (!is_servable(&cfg->limits))
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	blockdev_init(&d->block);
	d->loop = cfg->loop;
	d->lu = cfg->lu;
	d->limits = cfg->limits;
	d->was_born_read_only = cfg->limits.read_only;
	r = start(d, cfg);
	if (r) {
		ublk_free(d);
		return r;
	}
	*ret_dev = d;
	return 0;
}

/* ---- the rest ------------------------------------------------------------------------------ */

static const char *ublk_path(const struct blk_dev *d)
{
	return d->block.path;
}

static dev_t ublk_devno(const struct blk_dev *d)
{
	return d->block.devno;
}

static bool is_there(const struct blk_dev *d)
{
	return !d->is_stopped && !ublk_failed(d);
}

static int ublk_close_gate(struct blk_dev *d)
{
	int r;

	if (!is_there(d))
		return 0;
	r = blockdev_close_gate(&d->block);
	return (r == -ENXIO || r == -ENOENT) && !is_there(d) ? 0 : r;
}

static void ublk_open_gate(struct blk_dev *d)
{
	blockdev_open_gate(&d->block);
}

static int ublk_holders(struct blk_dev *d, struct holders *h)
{
	return is_there(d) ? blockdev_holders(&d->block, h) : 0;
}

static int ublk_flush(struct blk_dev *d)
{
	const uint64_t deadline_ns = clock_now_ns() + BACKEND_FLUSH_NS;
	const int r = is_there(d) ? blockdev_flush(&d->block, deadline_ns) : 0;

	/* A write-protected device has no flush of its own. */
	return r ? r : idle_flush_unit(d->loop, d->lu, deadline_ns);
}

static int ublk_changed(struct blk_dev *d, const struct blk_limits *limits)
{
	const uint64_t deadline_ns = clock_now_ns() + BACKEND_FLUSH_NS;
	int r, r2;

	if (limits->block_bytes != d->limits.block_bytes || !is_servable(limits))
		return -EINVAL;
	if (!is_there(d))
		return -ENODEV;
	/* The queue goes by the new limits, whatever the kernel believes. */
	ublk_queue_changed(d->queue, limits);
	r = change_size(d, limits, deadline_ns);
	r2 = change_protection(d, limits, deadline_ns);
	d->limits = *limits;
	blockdev_make_nodes(&d->block);
	return r ? r : r2;
}

const struct blk_backend blk_backend_ublk = {
	.name = "ublk",
	.takes_over = true,
	.probe = ublk_probe,
	.start = ublk_start,
	.path = ublk_path,
	.devno = ublk_devno,
	.close_gate = ublk_close_gate,
	.open_gate = ublk_open_gate,
	.holders = ublk_holders,
	.flush = ublk_flush,
	.stop = ublk_stop,
	.free = ublk_free,
	.changed = ublk_changed,
	.failed = ublk_failed,
	.sweep = backend_sweep,
};
