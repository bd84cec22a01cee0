/* SPDX-License-Identifier: MIT */
#include "service/test-vfs.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNDO_MAX 4096

/* How to take back one step: the file was @size long, or was not there (-1). */
struct undo {
	char path[200];
	sqlite3_int64 size, at;
	void *bytes; /* what was at @at */
	int n;
};

struct file {
	sqlite3_file base;
	char path[200];
	sqlite3_file *real; /* behind us */
};

static sqlite3_vfs shim, *real_vfs;
static sqlite3_io_methods methods;
static struct undo undos[UNDO_MAX];
static unsigned n_undos, n_steps, fault_at;
static enum vfs_fault fault;

static sqlite3_file *real(sqlite3_file *f)
{
	return ((struct file *)f)->real;
}

/* ---- taking back --------------------------------------------------------------- */

static struct undo *undo_new(const char *path)
{
	struct undo *u;
	struct stat st;

	if (n_undos == UNDO_MAX)
		abort();
	u = &undos[n_undos++];
	*u = (struct undo){.size = stat(path, &st) == 0 ? st.st_size : -1};
	snprintf(u->path, sizeof(u->path), "%s", path);
	return u;
}

static void undo_bytes(struct undo *u, sqlite3_int64 at, sqlite3_int64 n)
{
	int fd = open(u->path, O_RDONLY);
	ssize_t got;

	u->at = at;
	u->bytes = malloc(n > 0 ? (size_t)n : 1);
	got = fd < 0 ? 0 : pread(fd, u->bytes, (size_t)n, at);
	u->n = got > 0 ? (int)got : 0;
	if (fd >= 0)
		close(fd);
}

static void synced(const char *path)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n_undos; i++) {
		if (strcmp(undos[i].path, path) == 0)
			free(undos[i].bytes);
		else
			undos[kept++] = undos[i];
	}
	n_undos = kept;
}

static void take_back(const struct undo *u)
{
	int fd;

	if (u->size < 0) {
		unlink(u->path);
		return;
	}
	fd = open(u->path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || pwrite(fd, u->bytes, (size_t)u->n, u->at) != u->n ||
	    ftruncate(fd, u->size) < 0)
		abort();
	close(fd);
}

void vfs_lose_power(int status)
{
	for (unsigned i = n_undos; i > 0; i--) {
		/* any choice will do, as long as it is another one for each step */
		if (fault == VFS_POWER_ANY && (i * 2654435761u + fault_at * 40503u) >> 16 & 1)
			continue;
		take_back(&undos[i - 1]);
	}
	_exit(status);
}

/* ---- steps ----------------------------------------------------------------------- */

/* True: this one fails with an error. It may not return. */
static bool step_fails(void)
{
	n_steps++;
	if (fault == VFS_NONE || n_steps < fault_at)
		return false;
	if (fault == VFS_POWER || fault == VFS_POWER_ANY)
		vfs_lose_power(VFS_KILLED_STATUS);
	if (fault == VFS_KILL)
		_exit(VFS_KILLED_STATUS);
	return fault != VFS_TORN;
}

static int code_of(int broken)
{
	return fault == VFS_FULL ? SQLITE_FULL : broken;
}

static int x_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	const char *path = ((struct file *)f)->path;

	if (step_fails())
		return code_of(SQLITE_IOERR_WRITE);
	if (fault == VFS_TORN && n_steps == fault_at) {
		real(f)->pMethods->xWrite(real(f), p, n / 2, at);
		_exit(VFS_KILLED_STATUS);
	}
	undo_bytes(undo_new(path), at, n);
	return real(f)->pMethods->xWrite(real(f), p, n, at);
}

static int x_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	struct undo *u;

	if (step_fails())
		return code_of(SQLITE_IOERR_TRUNCATE);
	u = undo_new(((struct file *)f)->path);
	undo_bytes(u, size, u->size > size ? u->size - size : 0);
	return real(f)->pMethods->xTruncate(real(f), size);
}

static int x_sync(sqlite3_file *f, int flags)
{
	(void)flags;
	if (step_fails())
		return fault == VFS_BROKEN ? SQLITE_IOERR_FSYNC : SQLITE_OK;
	synced(((struct file *)f)->path);
	return SQLITE_OK;
}

static int x_delete(sqlite3_vfs *v, const char *path, int sync_dir)
{
	struct stat st;

	(void)v;
	if (step_fails() && fault == VFS_BROKEN)
		return SQLITE_IOERR_DELETE;
	if (stat(path, &st) == 0 && !sync_dir)
		undo_bytes(undo_new(path), 0, st.st_size);
	else
		synced(path);
	return real_vfs->xDelete(real_vfs, path, 0);
}

static int x_open(sqlite3_vfs *v, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
	struct file *f = (struct file *)file;
	struct stat st;
	int r;

	(void)v;
	memset(f, 0, sizeof(*f));
	f->real = (sqlite3_file *)(f + 1);
	if (path) {
		snprintf(f->path, sizeof(f->path), "%s", path);
		if ((flags & SQLITE_OPEN_CREATE) && stat(path, &st) < 0) {
			if (step_fails())
				return code_of(SQLITE_CANTOPEN);
			undo_new(path);
		}
	}
	r = real_vfs->xOpen(real_vfs, path, f->real, flags, ret_flags);
	if (r == SQLITE_OK)
		f->base.pMethods = &methods;
	return r;
}

/* ---- what is only passed on -------------------------------------------------------- */

static int x_close(sqlite3_file *f)
{
	return real(f)->pMethods->xClose(real(f));
}

static int x_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return real(f)->pMethods->xRead(real(f), p, n, at);
}

static int x_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return real(f)->pMethods->xFileSize(real(f), ret);
}

static int x_lock(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xLock(real(f), level);
}

static int x_unlock(sqlite3_file *f, int level)
{
	return real(f)->pMethods->xUnlock(real(f), level);
}

static int x_check_lock(sqlite3_file *f, int *ret)
{
	return real(f)->pMethods->xCheckReservedLock(real(f), ret);
}

static int x_control(sqlite3_file *f, int op, void *arg)
{
	return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int x_sector(sqlite3_file *f)
{
	return real(f)->pMethods->xSectorSize(real(f));
}

static int x_traits(sqlite3_file *f)
{
	return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

void vfs_install(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	methods = (sqlite3_io_methods){
		.iVersion = 1,
		.xClose = x_close,
		.xRead = x_read,
		.xWrite = x_write,
		.xTruncate = x_truncate,
		.xSync = x_sync,
		.xFileSize = x_size,
		.xLock = x_lock,
		.xUnlock = x_unlock,
		.xCheckReservedLock = x_check_lock,
		.xFileControl = x_control,
		.xSectorSize = x_sector,
		.xDeviceCharacteristics = x_traits,
	};
	shim = *real_vfs;
	shim.zName = "failing";
	shim.pNext = NULL;
	shim.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
	shim.xOpen = x_open;
	shim.xDelete = x_delete;
	if (sqlite3_vfs_register(&shim, 1))
		abort();
}

void vfs_arm(enum vfs_fault f, unsigned n)
{
	fault = f;
	fault_at = n;
	n_steps = 0;
	/* what was done before is on the disk */
	while (n_undos > 0)
		free(undos[--n_undos].bytes);
}

unsigned vfs_steps(void)
{
	return n_steps;
}

void vfs_disarm(void)
{
	fault = VFS_NONE;
}
