/* SPDX-License-Identifier: MIT */
/*
 * What a dead service left behind
 *
 * With the service its FUSE connections died, so all I/O on what is left fails at
 * once; nothing here has to wait for an answer. From the top down: file systems on
 * loop devices on our files, the loop devices, our mounts, their directories. A
 * file system that was mounted on a device when the service died may have lost
 * writes, and that is said.
 */
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/backend_private.h"
#include "device/fusermount.h"
#include "device/privilege.h"
#include "device/sysblock.h"
#include "io/loop.h"

#define UMOUNT_NS (10 * NS_PER_S)
#define DISK_INO  2

struct sweep {
	const char *dir; /* canonical */
	void (*said)(void *arg, const char *what);
	void *arg;
	int result; /* the first failure */
};

__attribute__((format(printf, 2, 3))) static void say(struct sweep *s, const char *format, ...)
{
	char text[PATH_MAX + 512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	s->said(s->arg, text);
}

static void note_failure(struct sweep *s, int r)
{
	if (r && !s->result)
		s->result = r;
}

static bool is_below(const struct sweep *s, const char *path)
{
	const size_t n = strlen(s->dir);

	return strncmp(path, s->dir, n) == 0 && path[n] == '/';
}

/* ---- loop devices ------------------------------------------------------------- */

/* Users of a dead device: unmount what is in our namespace, name the others. */
static void sweep_holders(struct sweep *s, struct holders *h)
{
	/* The last mounted lies on top. */
	for (size_t k = h->n; k-- > 0;) {
		const struct holder *one = &h->v[k];
		char text[512];

		holder_text(one, text, sizeof(text));
		if (one->kind == HOLDER_MOUNT && !one->other_namespace && one->where[0] == '/') {
			int r = priv_umount(one->where, true);

			say(s,
			    "data at risk: %s, and the service behind it died: what was not "
			    "written yet is "
			    "lost%s%s",
			    text, r ? "; it cannot be unmounted: " : "; unmounted",
			    r ? strerror(-r) : "");
			note_failure(s, r);
		} else {
			say(s, "data at risk: %s, and the service behind it died", text);
		}
	}
}

static int sweep_loop(void *arg, const char *name, const char *backing)
{
	struct sweep *s = arg;
	CLEANUP(holders_clear) struct holders h = {0};
	char now[PATH_MAX];
	dev_t devno;
	int fd, r;

	if (!is_below(s, backing))
		return 0;
	devno = sys_block_devno(name);
	if (!devno)
		return 0;
	r = holders_scan_block(&h, devno, getpid());
	note_failure(s, r);
	sweep_holders(s, &h);
	fd = priv_block_open(name, devno, O_RDONLY);
	r = fd;
	if (fd >= 0) {
		(void)priv_block_set_read_only(fd, false);
		backend_reset_queue(name);
		r = priv_loop_detach_later(fd);
		close(fd);
	}
	if (r == -ENXIO)
		return 0;
	note_failure(s, r);
	if (r)
		say(s, "/dev/%s on %s cannot be detached: %s", name, backing, strerror(-r));
	else if (sys_loop_backing(name, now, sizeof(now)) == 0 && strcmp(now, backing) == 0)
		say(s, "/dev/%s on %s goes with its last user", name, backing);
	else
		say(s, "/dev/%s on %s detached", name, backing);
	return 0;
}

/* ---- mounts --------------------------------------------------------------------- */

static void sweep_mount(struct sweep *s, const char *dir, dev_t devno)
{
	CLEANUP(holders_clear) struct holders h = {0};
	char path[PATH_MAX + 8], text[512];
	int r;

	snprintf(path, sizeof(path), "%s/disk", dir);
	note_failure(s, holders_scan_file(&h, path, devno, DISK_INO, getpid()));
	for (size_t k = 0; k < h.n; k++) {
		/* Loop devices of ours have been dealt with. */
		if (h.v[k].kind == HOLDER_LOOP)
			continue;
		holder_text(&h.v[k], text, sizeof(text));
		say(s, "data at risk: %s, and the service behind it died", text);
	}
	/* Should anything still answer, or not answer, for it: no longer. */
	(void)priv_fuse_abort(devno);
	r = priv_umount(dir, true);
	if (r == -EPERM)
		r = fusermount_umount(dir, true, clock_now_ns() + UMOUNT_NS);
	note_failure(s, r);
	if (r) {
		say(s, "%s cannot be unmounted: %s", dir, strerror(-r));
		return;
	}
	backend_remove_dir(dir);
	say(s, "%s unmounted", dir);
}

static void table_unrefp(struct libmnt_table **t)
{
	mnt_unref_table(*t);
}

static void iter_freep(struct libmnt_iter **i)
{
	mnt_free_iter(*i);
}

static int sweep_mounts(struct sweep *s)
{
	CLEANUP(table_unrefp) struct libmnt_table *table = mnt_new_table();
	CLEANUP(iter_freep) struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_BACKWARD);
	struct libmnt_fs *fs;
	int r;

	if (!table || !iter)
		return -ENOMEM;
	r = mnt_table_parse_file(table, "/proc/self/mountinfo");
	if (r < 0)
		return r;
	while (mnt_table_next_fs(table, iter, &fs) == 0) {
		const char *type = mnt_fs_get_fstype(fs);
		const char *dir = mnt_fs_get_target(fs);

		if (type && dir && strcmp(type, PRIV_FUSE_TYPE) == 0 && is_below(s, dir))
			sweep_mount(s, dir, mnt_fs_get_devno(fs));
	}
	return 0;
}

int backend_sweep(const char *devices_dir, void (*said)(void *arg, const char *what), void *arg)
{
	CLEANUP(freep) char *dir = realpath(devices_dir, NULL);
	struct sweep s = {.dir = dir, .said = said, .arg = arg};

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	note_failure(&s, sys_loop_each(sweep_loop, &s));
	note_failure(&s, sweep_mounts(&s));
	return s.result;
}
