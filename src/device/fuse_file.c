/* SPDX-License-Identifier: MIT */
/*
 * FUSE server: the life of the file
 *
 * The library is used for the protocol only: it is given a descriptor that was
 * mounted by us (or by fusermount3) and buffers that we have read ourselves.
 *
 * A connection ends with its last descriptor. To cut the kernel off, from any
 * thread and at any time, /dev/null is put in the place of ours: there is no
 * moment in which the number could belong to something else.
 */
#include "device/fuse_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/apart.h"
#include "device/fuse_private.h"
#include "device/fusermount.h"
#include "device/privilege.h"

#define READ_BATCH     32
#define START_NS       (30 * NS_PER_S)
#define UMOUNT_TRY_NS  (1 * NS_PER_S)
#define UMOUNT_STEP_NS (5 * NS_PER_MS)

/* ---- the loop's side ----------------------------------------------------- */

static void file_fail(struct fuse_file *f)
{
	atomic_store(&f->has_failed, true);
	if (f->is_watched)
		loop_fd_remove(f->loop, &f->fd);
	f->is_watched = false;
	idle_signal(&f->idle);
}

/* Return: 0; 1 nothing to read now; or -errno, the connection is over. */
static int file_receive(struct fuse_file *f, struct fuse_slot *s)
{
	/* in front of a write's data: fuse_in_header and fuse_write_in, 40 bytes each */
	uint8_t *at = s->mem + SLOT_DATA - 80;
	struct fuse_buf buf = {.mem = at};
	const ssize_t n = read(f->fd.fd, at, SLOT_DATA_BYTES + 80);

	if (n < 0) {
		if (errno == EAGAIN)
			return 1;
		/* The request was withdrawn while it was read. */
		if (errno == EINTR || errno == ENOENT)
			return 0;
		return -errno;
	}
	if (n < 40)
		return -ENODEV;
	buf.size = (size_t)n;
	f->rx = s;
	fuse_session_process_buf(f->session, &buf);
	/* It gives up when it cannot agree with the kernel. */
	return fuse_session_exited(f->session) ? -ENODEV : 0;
}

static void file_ready(struct loop_fd *lfd, uint32_t events)
{
	struct fuse_file *f = CONTAINER_OF(lfd, struct fuse_file, fd);

	for (int n = 0; n < READ_BATCH && f->is_watched; n++) {
		struct fuse_slot *s = fuse_slot_get(f);
		int r;

		if (!s) {
			if (events & (EPOLLERR | EPOLLHUP))
				file_fail(f);
			else
				(void)loop_fd_events(f->loop, lfd, 0);
			return;
		}
		f->rx = s;
		r = file_receive(f, s);
		if (f->rx)
			fuse_slot_put(TAKE(f->rx));
		if (r < 0)
			file_fail(f);
		if (r)
			return;
	}
}

static void file_destroy(struct fuse_file *f)
{
	struct fuse_open *o, *tmp;

	loop_defer_cancel(&f->ranges.kick);
	loop_defer_cancel(&f->reap);
	list_for_each_safe (o, tmp, &f->opens, node)
		free(o);
	if (f->session)
		fuse_session_destroy(f->session); /* closes the descriptor */
	if (f->null_fd >= 0)
		close(f->null_fd);
	fuse_pool_free(f);
	if (f->own_tid)
		munmap(f->own_tid, sizeof(*f->own_tid));
	idle_destroy(&f->idle);
	free(f->dir);
	free(f->path);
	free(f);
}

static void reap_run(struct loop_defer *d)
{
	file_destroy(CONTAINER_OF(d, struct fuse_file, reap));
}

static void on_loop_watch(void *arg)
{
	struct fuse_file *f = arg;

	if (loop_fd_add(f->loop, &f->fd) == 0)
		f->is_watched = true;
	else
		file_fail(f);
}

static void on_loop_unwatch(void *arg)
{
	file_fail(arg);
}

static void on_loop_free(void *arg)
{
	struct fuse_file *f = arg;

	if (atomic_load(&f->n_busy) == 0)
		file_destroy(f);
	else
		f->is_orphan = true;
}

int fuse_file_wait_closed(struct fuse_file *f, uint64_t deadline_ns)
{
	return idle_wait_zero(&f->idle, &f->n_opens, deadline_ns);
}

/* ---- start ------------------------------------------------------------------ */

/* What file_new() can fail with comes here. */
static int file_take_resources(struct fuse_file *f, const struct fuse_file_cfg *cfg)
{
	void *page;
	int r = fuse_pool_new(f);

	if (r)
		return r;
	page = mmap(NULL, sizeof(*f->own_tid), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
	if (page == MAP_FAILED)
		return -errno;
	f->own_tid = page;
	f->dir = strdup(cfg->dir);
	if (!f->dir)
		return -ENOMEM;
	if (asprintf(&f->path, "%s/disk", cfg->dir) < 0) {
		f->path = NULL;
		return -ENOMEM;
	}
	f->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return f->null_fd < 0 ? -errno : 0;
}

static int file_new(struct fuse_file **ret_file, const struct fuse_file_cfg *cfg)
{
	struct fuse_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->loop = cfg->loop;
	f->lu = cfg->lu;
	f->limits = cfg->limits;
	f->user_mode = cfg->user_mode;
	f->for_loop = cfg->for_loop;
	f->uid = geteuid();
	f->gid = getegid();
	f->null_fd = -1;
	f->fd.fd = -1;
	f->fd.events = EPOLLIN;
	f->fd.ready = file_ready;
	list_init(&f->opens);
	list_init(&f->reap.node);
	f->reap.run = reap_run;
	clock_gettime(CLOCK_REALTIME, &f->born);
	idle_init(&f->idle);
	r = file_take_resources(f, cfg);
	if (r) {
		file_destroy(f);
		return r;
	}
	*ret_file = f;
	return 0;
}

/* @source with what separates options taken out of the way. */
static int user_options(char *opts, size_t n, const char *source)
{
	size_t at = (size_t)snprintf(
		opts, n,
		"subtype=iscsidsc,default_permissions,nosuid,nodev,noexec,max_read=%u,fsname=",
		FUSE_MAX_IO);

	for (; *source; source++) {
		if (at + 3 > n)
			return -ENAMETOOLONG;
		if (*source == ',' || *source == '\\')
			opts[at++] = '\\';
		opts[at++] = *source;
	}
	opts[at] = '\0';
	return 0;
}

static int mount_for(const struct fuse_file *f, const char *source)
{
	char opts[1024];
	int r;

	if (!f->user_mode)
		return priv_fuse_mount(f->dir, source, FUSE_MAX_IO);
	r = user_options(opts, sizeof(opts), source);
	return r ? r : fusermount_mount(f->dir, opts, clock_now_ns() + START_NS);
}

static int file_mount(struct fuse_file *f, const char *source)
{
	char name[] = "iscsidsc", as_path[32], max_read[32];
	char *argv[] = {name, max_read, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	CLEANUP(closep) int fd = -1;

	/* The library insists on hearing what the mount was told. */
	snprintf(max_read, sizeof(max_read), "-omax_read=%u", FUSE_MAX_IO);
	f->session = fuse_session_new(&args, &fuse_file_ops, sizeof(fuse_file_ops), f);
	fuse_opt_free_args(&args);
	if (!f->session)
		return -ENOMEM;
	fd = mount_for(f, source);
	if (fd < 0)
		return fd;
	f->is_mounted = true;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	snprintf(as_path, sizeof(as_path), "/dev/fd/%d", fd);
	if (fuse_session_mount(f->session, as_path) < 0)
		return -EIO;
	f->fd.fd = TAKE_FD(fd);
	return 0;
}

struct stat_step {
	const struct fuse_file *f;
	dev_t st_dev;
	ino_t st_ino;
};

/* Asks the server itself, not what the kernel remembers, which then knows it too. */
static int stat_apart(void *arg)
{
	struct stat_step *s = arg;
	struct statx stx;

	if (statx(AT_FDCWD, s->f->path, AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS,
		  &stx) < 0)
		return -errno;
	s->st_dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	s->st_ino = stx.stx_ino;
	return 0;
}

static int file_stat(struct fuse_file *f, uint64_t deadline_ns)
{
	struct stat_step s = {.f = f};
	const struct apart a = {.run = stat_apart, .arg = &s, .n_arg = sizeof(s), .fd = -1};
	int r = apart_run(&a, deadline_ns);

	if (r)
		return r;
	f->st_dev = s.st_dev;
	f->st_ino = s.st_ino;
	return 0;
}

static int umount_once(const struct fuse_file *f, bool lazy, uint64_t deadline_ns)
{
	return f->user_mode ? fusermount_umount(f->dir, lazy, deadline_ns)
			    : priv_umount(f->dir, lazy);
}

int fuse_file_start(struct fuse_file **ret_file, const struct fuse_file_cfg *cfg)
{
	struct fuse_file *f;
	int r;

	if (cfg->limits.block_bytes < 512 || cfg->limits.block_bytes > RANGE_BLOCK_MAX ||
	    (cfg->limits.block_bytes & (cfg->limits.block_bytes - 1)) || cfg->limits.n_bytes == 0 ||
	    cfg->limits.n_bytes % cfg->limits.block_bytes || cfg->limits.n_bytes > INT64_MAX)
		return -EINVAL;
	r = file_new(&f, cfg);
	if (r)
		return r;
	r = file_mount(f, cfg->source);
	if (r == 0) {
		loop_call(f->loop, on_loop_watch, f);
		r = file_stat(f, clock_now_ns() + START_NS);
	}
	if (r == 0) {
		*ret_file = f;
		return 0;
	}
	fuse_file_gate(f, true);
	(void)fuse_file_stop(f, clock_now_ns() + START_NS);
	fuse_file_free(f);
	return r;
}

/* ---- questions ----------------------------------------------------------------- */

const char *fuse_file_path(const struct fuse_file *f)
{
	return f->path;
}

dev_t fuse_file_devno(const struct fuse_file *f)
{
	return f->st_dev;
}

ino_t fuse_file_ino(const struct fuse_file *f)
{
	return f->st_ino;
}

unsigned fuse_file_n_opens(const struct fuse_file *f)
{
	return atomic_load(&f->n_opens);
}

bool fuse_file_failed(const struct fuse_file *f)
{
	return atomic_load(&f->has_failed);
}

struct openers {
	struct fuse_file *f;
	pid_t *tids;
	size_t n_room, n;
};

static void on_loop_openers(void *arg)
{
	struct openers *q = arg;
	const struct fuse_open *o;

	list_for_each (o, &q->f->opens, node) {
		bool known = false;

		for (size_t k = 0; k < q->n; k++)
			known = known || q->tids[k] == o->tid;
		if (!known && q->n < q->n_room)
			q->tids[q->n++] = o->tid;
	}
}

size_t fuse_file_openers(struct fuse_file *f, pid_t *tids, size_t n)
{
	struct openers q = {.f = f, .tids = tids, .n_room = n};

	loop_call(f->loop, on_loop_openers, &q);
	return q.n;
}

/* ---- changes ------------------------------------------------------------------- */

void fuse_file_gate(struct fuse_file *f, bool closed)
{
	atomic_store(&f->is_closed, closed);
}

int fuse_file_open(const struct fuse_file *f, int flags)
{
	int fd;

	atomic_store(f->own_tid, (int)gettid());
	fd = open(f->path, flags | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	atomic_store(f->own_tid, 0);
	return fd;
}

struct flush_step {
	const struct fuse_file *f;
};

/* Also what was written through memory maps, and errors that nobody was told of yet. */
static int flush_apart(void *arg)
{
	const struct flush_step *s = arg;
	int fd = fuse_file_open(s->f, O_RDONLY);

	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? -errno : 0;
}

int fuse_file_flush(struct fuse_file *f, uint64_t deadline_ns)
{
	struct flush_step s = {.f = f};
	const struct apart a = {.run = flush_apart, .arg = &s, .n_arg = sizeof(s), .fd = -1};
	int r = 0;

	if (f->is_mounted && !fuse_file_failed(f) && !f->for_loop)
		r = apart_run(&a, deadline_ns);
	return r ? r : -fuse_errno(idle_flush_unit(f->loop, f->lu, deadline_ns));
}

struct limits_call {
	struct fuse_file *f;
	const struct blk_limits *limits;
};

static void on_loop_limits(void *arg)
{
	struct limits_call *c = arg;

	c->f->limits = *c->limits;
}

int fuse_file_changed(struct fuse_file *f, const struct blk_limits *limits, uint64_t deadline_ns)
{
	struct limits_call c = {.f = f, .limits = limits};

	if (limits->block_bytes != f->limits.block_bytes || limits->n_bytes == 0 ||
	    limits->n_bytes % limits->block_bytes || limits->n_bytes > INT64_MAX)
		return -EINVAL;
	loop_call(f->loop, on_loop_limits, &c);
	if (fuse_file_failed(f))
		return -ENODEV;
	/* Attributes only: to drop pages would wait for answers of ours. */
	(void)fuse_lowlevel_notify_inval_inode(f->session, FUSE_INO_DISK, -1, 0);
	return file_stat(f, deadline_ns);
}

/* ---- the end -------------------------------------------------------------------- */

void fuse_file_abort(struct fuse_file *f)
{
	atomic_store(&f->has_failed, true);
	/*
	 * A child that is just being made may still have a copy of the descriptor; then the
	 * loop would go on to be told of it, after our memory is gone.
	 */
	loop_call(f->loop, on_loop_unwatch, f);
	if (f->fd.fd >= 0)
		(void)dup3(f->null_fd, f->fd.fd, O_CLOEXEC);
}

static void nap(uint64_t ns)
{
	const struct timespec ts = {.tv_nsec = (long)ns};

	nanosleep(&ts, NULL);
}

/* Is it our mount that one finds in the directory? */
static bool is_still_there(const struct fuse_file *f)
{
	struct statx stx;

	if (statx(AT_FDCWD, f->dir, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &stx) < 0)
		return errno != ENOENT;
	return !f->st_dev || makedev(stx.stx_dev_major, stx.stx_dev_minor) == f->st_dev;
}

/* A file that was closed just now keeps the mount busy for a moment. */
static int umount_patiently(struct fuse_file *f, uint64_t deadline_ns)
{
	const uint64_t now_ns = clock_now_ns();
	int r;

	if (deadline_ns > now_ns + UMOUNT_TRY_NS)
		deadline_ns = now_ns + UMOUNT_TRY_NS;
	for (;;) {
		r = umount_once(f, false, deadline_ns);
		/* Somebody has done it already. */
		if (r && !is_still_there(f))
			return 0;
		if (r != -EBUSY || clock_now_ns() >= deadline_ns)
			return r;
		nap(UMOUNT_STEP_NS);
	}
}

int fuse_file_stop(struct fuse_file *f, uint64_t deadline_ns)
{
	int r = 0;

	if (f->is_mounted) {
		if (fuse_file_n_opens(f) == 0 || fuse_file_failed(f))
			r = umount_patiently(f, deadline_ns);
		else
			r = -EBUSY;
		/* Copies of the mount may live on in other namespaces: they end too. */
		fuse_file_abort(f);
		if (r)
			r = umount_once(f, true, clock_now_ns() + UMOUNT_TRY_NS);
		if (r && is_still_there(f))
			return r;
		f->is_mounted = false;
	}
	loop_call(f->loop, on_loop_unwatch, f);
	(void)idle_wait_zero(&f->idle, &f->n_busy, deadline_ns);
	return 0;
}

struct fuse_file *fuse_file_free(struct fuse_file *f)
{
	if (!f)
		return NULL;
	loop_call(f->loop, on_loop_free, f);
	return NULL;
}
