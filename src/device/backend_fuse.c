/* SPDX-License-Identifier: MIT */
/*
 * Backend fuse: the unit as a file
 *
 * For users without root, and where there are no loop devices. Its users are those
 * who have the file open; the kernel counts them for us.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/backend_private.h"
#include "io/loop.h"

#define RELEASE_NS (250 * NS_PER_MS) /* from the last close() until we are told */
#define LET_GO_NS  (2 * NS_PER_S)    /* for the kernel, once there is no way back */
#define OPENERS    64

struct blk_dev {
	struct fuse_file *file;
	char *dir;
};

static int fuse_probe(bool user_mode, char *why, size_t n)
{
	return backend_probe_fuse(user_mode, why, n);
}

static int fuse_start(struct blk_dev **ret_dev, const struct blk_dev_cfg *cfg)
{
	CLEANUP(freep) struct blk_dev *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	r = backend_serve(&d->file, &d->dir, cfg, false);
	if (r)
		return r;
	*ret_dev = TAKE(d);
	return 0;
}

static const char *fuse_path(const struct blk_dev *d)
{
	return fuse_file_path(d->file);
}

static dev_t fuse_devno(const struct blk_dev *d)
{
	return 0;
}

static int fuse_close_gate(struct blk_dev *d)
{
	fuse_file_gate(d->file, true);
	return 0;
}

static void fuse_open_gate(struct blk_dev *d)
{
	fuse_file_gate(d->file, false);
}

/* The process of a thread; the thread itself where that is gone. */
static pid_t process_of(pid_t tid)
{
	char path[64], line[64];
	FILE *in;
	int pid = tid;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			break;
	if (in)
		fclose(in);
	return pid;
}

/* Whoever opened the file, where none of the processes that we can see has it. */
static int add_openers(struct blk_dev *d, struct holders *h)
{
	pid_t tids[OPENERS];
	const size_t n = fuse_file_openers(d->file, tids, OPENERS);
	int r = 0;

	for (size_t k = 0; k < n && r == 0; k++)
		r = backend_add_user(h, HOLDER_FUSE_OPEN, process_of(tids[k]), fuse_path(d));
	return r;
}

static int fuse_holders(struct blk_dev *d, struct holders *h)
{
	const size_t n_before = h->n;
	int r;

	(void)fuse_file_wait_closed(d->file, clock_now_ns() + RELEASE_NS);
	r = holders_scan_file(h, fuse_path(d), fuse_file_devno(d->file), fuse_file_ino(d->file),
			      getpid());
	if (r || h->n > n_before || fuse_file_failed(d->file))
		return r;
	return add_openers(d, h);
}

static int fuse_flush(struct blk_dev *d)
{
	return fuse_file_flush(d->file, clock_now_ns() + BACKEND_FLUSH_NS);
}

static int fuse_stop(struct blk_dev *d, bool force, int timeout_ms)
{
	const uint64_t least_ns = clock_now_ns() + LET_GO_NS;
	uint64_t deadline_ns = backend_deadline_ns(timeout_ms);
	int r;

	if (!force) {
		const uint64_t soon_ns = clock_now_ns() + RELEASE_NS;

		(void)fuse_file_wait_closed(d->file, soon_ns < deadline_ns ? soon_ns : deadline_ns);
		if (fuse_file_n_opens(d->file) > 0 && !fuse_file_failed(d->file))
			return -EBUSY;
	}
	fuse_file_gate(d->file, true);
	if (deadline_ns < least_ns)
		deadline_ns = least_ns;
	r = fuse_file_stop(d->file, deadline_ns);
	if (r == 0)
		backend_remove_dir(d->dir);
	return r;
}

static struct blk_dev *fuse_free(struct blk_dev *d)
{
	if (!d)
		return NULL;
	fuse_file_free(d->file);
	free(d->dir);
	free(d);
	return NULL;
}

static int fuse_changed(struct blk_dev *d, const struct blk_limits *limits)
{
	return fuse_file_changed(d->file, limits, clock_now_ns() + BACKEND_FLUSH_NS);
}

static bool fuse_failed(const struct blk_dev *d)
{
	return fuse_file_failed(d->file);
}

const struct blk_backend blk_backend_fuse = {
	.name = "fuse",
	.probe = fuse_probe,
	.start = fuse_start,
	.path = fuse_path,
	.devno = fuse_devno,
	.close_gate = fuse_close_gate,
	.open_gate = fuse_open_gate,
	.holders = fuse_holders,
	.flush = fuse_flush,
	.stop = fuse_stop,
	.free = fuse_free,
	.changed = fuse_changed,
	.failed = fuse_failed,
	.sweep = backend_sweep,
};
