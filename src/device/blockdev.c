/* SPDX-License-Identifier: MIT */
#include "device/blockdev.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/apart.h"
#include "device/holders.h"
#include "device/privilege.h"
#include "device/sysblock.h"
#include "io/loop.h"

void blockdev_nap(void)
{
	const struct timespec ts = {.tv_nsec = (long)BLOCKDEV_STEP_NS};

	nanosleep(&ts, NULL);
}

void blockdev_init(struct blockdev *b)
{
	*b = (struct blockdev){.gate_fd = -1};
	pthread_mutex_init(&b->lock, NULL);
}

void blockdev_destroy(struct blockdev *b)
{
	blockdev_open_gate(b);
	pthread_mutex_destroy(&b->lock);
}

void blockdev_set(struct blockdev *b, const char *name, dev_t devno)
{
	snprintf(b->name, sizeof(b->name), "%s", name);
	snprintf(b->path, sizeof(b->path), "/dev/%s", b->name);
	b->devno = devno;
}

void blockdev_make_nodes(const struct blockdev *b)
{
	CLEANUP(sys_blocks_clear) struct sys_blocks all = {0};

	if (sys_blocks_load(&all, b->devno) < 0)
		return;
	for (size_t k = 1; k < all.n; k++)
		(void)priv_block_node(all.v[k].name, all.v[k].devno);
}

/* ---- gate ------------------------------------------------------------------------ */

int blockdev_gate_fd(struct blockdev *b)
{
	int fd;

	pthread_mutex_lock(&b->lock);
	fd = b->gate_fd;
	pthread_mutex_unlock(&b->lock);
	return fd;
}

int blockdev_take_gate(struct blockdev *b)
{
	int fd;

	pthread_mutex_lock(&b->lock);
	fd = TAKE_FD(b->gate_fd);
	pthread_mutex_unlock(&b->lock);
	return fd;
}

/* What it was before. */
static bool set_claimed(struct blockdev *b, bool claimed)
{
	bool before;

	pthread_mutex_lock(&b->lock);
	before = b->was_claimed;
	b->was_claimed = claimed;
	pthread_mutex_unlock(&b->lock);
	return before;
}

int blockdev_close_gate(struct blockdev *b)
{
	const uint64_t until_ns = clock_now_ns() + BLOCKDEV_PROBER_NS;
	int fd;

	if (blockdev_gate_fd(b) >= 0)
		return 0;
	/* For reading: closing it does not look like a change to those who watch. */
	fd = priv_block_open(b->name, b->devno, O_RDONLY | O_EXCL);
	(void)set_claimed(b, fd == -EBUSY);
	if (fd < 0)
		return fd;
	/*
	 * Whoever looks at every new disk takes this lock first, and stays away while we
	 * have it. Others need not care, so it is no reason to refuse.
	 */
	while (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK &&
	       clock_now_ns() < until_ns)
		blockdev_nap();
	pthread_mutex_lock(&b->lock);
	b->gate_fd = fd;
	pthread_mutex_unlock(&b->lock);
	return 0;
}

static int nothing_apart(void *arg)
{
	return 0;
}

/* Apart, as the last close of a device writes its cache back. */
void blockdev_open_gate(struct blockdev *b)
{
	char none = 0;
	const struct apart a = {.run = nothing_apart,
				.arg = &none,
				.n_arg = sizeof(none),
				.fd = blockdev_take_gate(b),
				.give = true};

	if (a.fd >= 0)
		(void)apart_run(&a, clock_now_ns() + BLOCKDEV_CLOSE_NS);
}

int blockdev_holders(struct blockdev *b, struct holders *h)
{
	const bool was_claimed = set_claimed(b, false);
	const size_t n_before = h->n;
	struct holder one = {.kind = HOLDER_EXCLUSIVE};
	int r = holders_scan_block(h, b->devno, getpid());

	if (r || h->n > n_before || !was_claimed)
		return r;
	snprintf(one.device, sizeof(one.device), "%s", b->path);
	return holders_add(h, &one);
}

/* ---- steps apart ------------------------------------------------------------------ */

int blockdev_step_fd(const struct blockdev *b, bool force)
{
	if (b->gate_fd >= 0)
		return APART_FD;
	return priv_block_open(b->name, b->devno, O_RDONLY | (force ? 0 : O_EXCL));
}

static int flush_block(const struct sys_block *b, bool may_be_gone)
{
	CLEANUP(closep) int fd = priv_block_open(b->name, b->devno, O_RDONLY);

	if (fd < 0)
		return may_be_gone && (fd == -ENOENT || fd == -ENXIO) ? 0 : fd;
	return fsync(fd) < 0 ? -errno : 0;
}

static int flush_partition(void *arg, const struct sys_block *b)
{
	const struct sys_block *disk = arg;

	return b->devno == disk->devno ? 0 : flush_block(b, true);
}

/* Disk and partitions have a cache each. Partitions first: the disk's flush covers what they wrote.
 */
static int flush_apart(void *arg)
{
	struct sys_block *disk = arg;
	int r = sys_blocks_each(disk->devno, flush_partition, disk);

	return r ? r : flush_block(disk, false);
}

int blockdev_flush(struct blockdev *b, uint64_t deadline_ns)
{
	struct sys_block disk = {.devno = b->devno};
	const struct apart a = {.run = flush_apart, .arg = &disk, .n_arg = sizeof(disk), .fd = -1};

	memcpy(disk.name, b->name, sizeof(disk.name));
	return apart_run(&a, deadline_ns);
}
