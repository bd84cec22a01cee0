/* SPDX-License-Identifier: MIT */
/*
 * FUSE server: the kernel's requests
 *
 * The tree is a directory with one file, neither of which ever changes: names and
 * attributes are cached by the kernel as long as it likes. Only the size may become
 * another, and then the kernel is told.
 *
 * Loop thread only.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "device/fuse_private.h"

#define CACHE_S        86400.0
#define DISK_NAME      "disk"
#define MAX_BACKGROUND 128
#define CONGESTION     96
#define OPENS_MAX      65536u

static struct fuse_file *file_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static void fill_stat(const struct fuse_file *f, fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_uid = f->uid;
	st->st_gid = f->gid;
	st->st_atim = st->st_mtim = st->st_ctim = f->born;
	st->st_blksize = 4096;
	if (ino == FUSE_INO_ROOT) {
		st->st_mode = S_IFDIR | 0500;
		st->st_nlink = 2;
		return;
	}
	st->st_mode = S_IFREG | (f->limits.read_only && !f->for_loop ? 0400 : 0600);
	st->st_nlink = 1;
	st->st_size = (off_t)f->limits.n_bytes;
	st->st_blocks = (blkcnt_t)(f->limits.n_bytes / 512);
}

static void op_init(void *user, struct fuse_conn_info *conn)
{
	const unsigned want = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS;

	/* Nothing else of what the library likes to switch on: no splicing, as data goes to
	 * and from buffers; no write-back cache, as a write that has returned is at the unit. */
	conn->want = conn->capable & want;
	conn->max_write = FUSE_MAX_IO;
	conn->max_read = FUSE_MAX_IO;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = CONGESTION;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {
		.ino = FUSE_INO_DISK, .attr_timeout = CACHE_S, .entry_timeout = CACHE_S};

	if (parent != FUSE_INO_ROOT || strcmp(name, DISK_NAME) != 0) {
		(void)fuse_reply_err(req, ENOENT);
		return;
	}
	fill_stat(file_of(req), FUSE_INO_DISK, &e.attr);
	(void)fuse_reply_entry(req, &e);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	fill_stat(file_of(req), ino, &st);
	(void)fuse_reply_attr(req, &st, CACHE_S);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	struct fuse_file *f = file_of(req);

	/* A program that sets the size it found changes nothing. */
	if ((to_set & FUSE_SET_ATTR_SIZE) && ino == FUSE_INO_DISK &&
	    (uint64_t)attr->st_size != f->limits.n_bytes) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	if (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
		(void)fuse_reply_err(req, EPERM);
		return;
	}
	op_getattr(req, ino, fi);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct blk_limits *l = &file_of(req)->limits;
	/* A loop device takes its discard granularity from here. */
	const unsigned long unit = l->phys_block_bytes > 4096 && l->phys_block_bytes <= 65536 &&
						   l->phys_block_bytes % 4096 == 0
					   ? l->phys_block_bytes
					   : 4096;
	struct statvfs v = {
		.f_bsize = unit,
		.f_frsize = unit,
		.f_blocks = l->n_bytes / unit,
		.f_files = 1,
		.f_namemax = 255,
	};

	(void)fuse_reply_statfs(req, &v);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_file *f = file_of(req);
	const pid_t tid = fuse_req_ctx(req)->pid;
	struct fuse_open *o;

	if (ino != FUSE_INO_DISK) {
		(void)fuse_reply_err(req, EISDIR);
		return;
	}
	if (atomic_load(&f->is_closed) && (tid == 0 || tid != atomic_load(f->own_tid))) {
		(void)fuse_reply_err(req, EBUSY);
		return;
	}
	if (f->limits.read_only && !f->for_loop && (fi->flags & O_ACCMODE) != O_RDONLY) {
		(void)fuse_reply_err(req, EROFS);
		return;
	}
	o = atomic_load(&f->n_opens) < OPENS_MAX ? calloc(1, sizeof(*o)) : NULL;
	if (!o) {
		(void)fuse_reply_err(req, ENFILE);
		return;
	}
	o->tid = tid;
	list_append(&f->opens, &o->node);
	atomic_fetch_add(&f->n_opens, 1);
	fi->fh = (uint64_t)(uintptr_t)o;
	/* Nothing is done on close, so nobody shall wait for it. */
	fi->noflush = 1;
	/* Ours comes to have the cache written back, not to see fresh data. */
	fi->keep_cache = tid == atomic_load(f->own_tid);
	if (fuse_reply_open(req, fi) == 0)
		return;
	/* The opener was killed meanwhile: the kernel will not release it. */
	list_remove(&o->node);
	free(o);
	atomic_fetch_sub(&f->n_opens, 1);
	idle_signal(&f->idle);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_file *f = file_of(req);
	struct fuse_open *o = (struct fuse_open *)(uintptr_t)fi->fh;

	list_remove(&o->node);
	free(o);
	atomic_fetch_sub(&f->n_opens, 1);
	idle_signal(&f->idle);
	(void)fuse_reply_err(req, 0);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fuse_reply_open(req, fi);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	static const struct {
		const char *name;
		fuse_ino_t ino;
	} entries[] = {{".", FUSE_INO_ROOT}, {"..", FUSE_INO_ROOT}, {DISK_NAME, FUSE_INO_DISK}};
	char buf[256];
	size_t n = 0;

	if (size > sizeof(buf))
		size = sizeof(buf);
	for (size_t k = off < 0 ? 0 : (size_t)off; k < ARRAY_SIZE(entries); k++) {
		struct stat st;
		size_t need;

		fill_stat(file_of(req), entries[k].ino, &st);
		need = fuse_add_direntry(req, buf + n, size - n, entries[k].name, &st,
					 (off_t)k + 1);
		if (need > size - n)
			break;
		n += need;
	}
	(void)fuse_reply_buf(req, buf, n);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct fuse_file *f = file_of(req);

	if (off < 0 || size > FUSE_MAX_IO) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	if ((uint64_t)off >= f->limits.n_bytes || size == 0) {
		(void)fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (size > f->limits.n_bytes - (uint64_t)off)
		size = f->limits.n_bytes - (uint64_t)off;
	fuse_io_read(f, req, (uint64_t)off, size);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct fuse_file *f = file_of(req);
	unsigned flags = 0;

	if (f->limits.read_only || off < 0 || size > FUSE_MAX_IO) {
		(void)fuse_reply_err(req, f->limits.read_only ? EROFS : EINVAL);
		return;
	}
	if (size == 0) {
		(void)fuse_reply_write(req, 0);
		return;
	}
	if ((uint64_t)off >= f->limits.n_bytes) {
		(void)fuse_reply_err(req, ENOSPC);
		return;
	}
	if (size > f->limits.n_bytes - (uint64_t)off)
		size = f->limits.n_bytes - (uint64_t)off;
	/* The kernel does not follow up asynchronous O_DSYNC writes with an fsync. */
	if (!fi->writepage && (fi->flags & O_DSYNC))
		flags = BLK_F_FUA;
	fuse_io_write(f, req, buf, (uint64_t)off, size, flags);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_io_flush(file_of(req), req);
}

static bool may_zero(const struct fuse_file *f, int what)
{
	const struct blk_limits *l = &f->limits;

	if (what == FALLOC_FL_ZERO_RANGE)
		return l->can_write_zeroes;
	if (f->for_loop)
		return l->can_discard && l->discard_zeroes;
	return l->can_write_zeroes || l->discard_zeroes;
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t length,
			 struct fuse_file_info *fi)
{
	struct fuse_file *f = file_of(req);
	const struct blk_limits *l = &f->limits;
	const int what = mode & ~FALLOC_FL_KEEP_SIZE;
	uint64_t end;

	if (off < 0 || length <= 0) {
		(void)fuse_reply_err(req, EINVAL);
		return;
	}
	end = (uint64_t)off + (uint64_t)length;
	if (l->read_only) {
		(void)fuse_reply_err(req, EROFS);
	} else if (what == 0) {
		/* All blocks are there; there cannot be more. */
		(void)fuse_reply_err(req, end <= l->n_bytes ? 0 : ENOSPC);
	} else if (what != FALLOC_FL_PUNCH_HOLE && what != FALLOC_FL_ZERO_RANGE) {
		(void)fuse_reply_err(req, EOPNOTSUPP);
	} else if (!may_zero(f, what)) {
		(void)fuse_reply_err(req, EOPNOTSUPP);
	} else if (what == FALLOC_FL_ZERO_RANGE && !(mode & FALLOC_FL_KEEP_SIZE) &&
		   end > l->n_bytes) {
		(void)fuse_reply_err(req, ENOSPC);
	} else if ((uint64_t)off >= l->n_bytes) {
		(void)fuse_reply_err(req, 0);
	} else {
		if (end > l->n_bytes)
			end = l->n_bytes;
		fuse_io_zero(f, req, (uint64_t)off, end - (uint64_t)off,
			     what == FALLOC_FL_ZERO_RANGE ? BLK_F_NO_UNMAP : 0);
	}
}

/* Nothing can be made, renamed or removed here. */
static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)fuse_reply_err(req, EPERM);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)fuse_reply_err(req, EPERM);
}

static void op_remove(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)fuse_reply_err(req, EPERM);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)fuse_reply_err(req, EPERM);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned flags)
{
	(void)fuse_reply_err(req, EPERM);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	(void)fuse_reply_err(req, EPERM);
}

const struct fuse_lowlevel_ops fuse_file_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.statfs = op_statfs,
	.open = op_open,
	.release = op_release,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.read = op_read,
	.write = op_write,
	.fsync = op_fsync,
	.fallocate = op_fallocate,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_remove,
	.rmdir = op_remove,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
};
