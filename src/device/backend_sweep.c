/* SPDX-License-Identifier: MIT */
/*
 * What a dead service left behind
 *
 * With the service its FUSE connections died, so all I/O on what is left fails at
 * once. Where one has not died, because a thread of the dead service waits for it in
 * the kernel, it is cut off first; nothing has to wait for an answer then. From the
 * top down: file systems on loop devices on our files, the loop devices, our mounts,
 * their directories. A file system that was mounted on a device when the service died
 * may have lost writes, and that is said.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/apart.h"
#include "device/backend_private.h"
#include "device/fusermount.h"
#include "device/privilege.h"
#include "device/sysblock.h"
#include "io/loop.h"

#define UMOUNT_NS (10 * NS_PER_S)
#define STEP_NS   (30 * NS_PER_S)
#define DISK_INO  2

void sweep_say(struct sweep *s, const char *format, ...)
{
	char text[PATH_MAX + 512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	s->said(s->arg, text);
}

void sweep_note(struct sweep *s, int r)
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

void sweep_holders(struct sweep *s, struct holders *h)
{
	/* The last mounted lies on top. */
	for (size_t k = h->n; k-- > 0;) {
		const struct holder *one = &h->v[k];
		char text[512];

		holder_text(one, text, sizeof(text));
		if (one->kind == HOLDER_MOUNT && !one->other_namespace && one->where[0] == '/') {
			int r = priv_umount(one->where, true);

			sweep_say(s,
				  "data at risk: %s, and the service behind it died: what was not "
				  "written yet is "
				  "lost%s%s",
				  text, r ? "; it cannot be unmounted: " : "; unmounted",
				  r ? strerror(-r) : "");
			sweep_note(s, r);
		} else {
			sweep_say(s, "data at risk: %s, and the service behind it died", text);
		}
	}
}

struct loop_step {
	char name[32];
	dev_t devno;
	char label[64];
	dev_t file_devno;
};

static int label_apart(void *arg)
{
	struct loop_step *s = arg;
	CLEANUP(closep) int fd = priv_block_open(s->name, s->devno, O_RDONLY);

	return fd < 0 ? fd : priv_loop_label(fd, s->label, &s->file_devno);
}

static int detach_apart(void *arg)
{
	const struct loop_step *s = arg;
	CLEANUP(closep) int fd = priv_block_open(s->name, s->devno, O_RDONLY);

	if (fd < 0)
		return fd;
	(void)priv_block_set_read_only(fd, false);
	return priv_loop_detach_later(fd);
}

static int run_step(struct loop_step *s, int (*run)(void *arg))
{
	const struct apart a = {.run = run, .arg = s, .n_arg = sizeof(*s), .fd = -1};

	return apart_run(&a, clock_now_ns() + STEP_NS);
}

/*
 * Where our file system was unmounted lazily its path is no more to be seen. The
 * label that the device was given remembers it, as far as there was room.
 */
static bool is_ours(struct sweep *s, struct loop_step *step, const char *backing)
{
	if (is_below(s, backing))
		return true;
	if (strcmp(backing, "/disk") != 0 || run_step(step, label_apart) != 0 ||
	    !is_below(s, step->label))
		return false;
	(void)priv_fuse_abort(step->file_devno);
	return true;
}

static int sweep_loop(void *arg, const char *name, const char *backing)
{
	struct sweep *s = arg;
	struct loop_step step = {.devno = sys_block_devno(name)};
	CLEANUP(holders_clear) struct holders h = {0};
	char now[PATH_MAX];
	int r;

	snprintf(step.name, sizeof(step.name), "%.31s", name);
	if (!step.devno || !is_ours(s, &step, backing))
		return 0;
	r = holders_scan_block(&h, step.devno, getpid());
	sweep_note(s, r);
	sweep_holders(s, &h);
	r = run_step(&step, detach_apart);
	if (r == -ENXIO)
		return 0;
	sweep_note(s, r);
	if (r)
		sweep_say(s, "/dev/%s on %s cannot be detached: %s", name, backing, strerror(-r));
	else if (sys_loop_backing(name, now, sizeof(now)) == 0 && strcmp(now, backing) == 0)
		sweep_say(s, "/dev/%s on %s goes with its last user", name, backing);
	else
		sweep_say(s, "/dev/%s on %s detached", name, backing);
	return 0;
}

/* ---- mounts --------------------------------------------------------------------- */

static void sweep_mount(struct sweep *s, const char *dir, dev_t devno)
{
	CLEANUP(holders_clear) struct holders h = {0};
	char path[PATH_MAX + 8], text[512];
	int r;

	snprintf(path, sizeof(path), "%s/disk", dir);
	sweep_note(s, holders_scan_file(&h, path, devno, DISK_INO, getpid()));
	for (size_t k = 0; k < h.n; k++) {
		/* Loop devices of ours have been dealt with. */
		if (h.v[k].kind == HOLDER_LOOP)
			continue;
		holder_text(&h.v[k], text, sizeof(text));
		sweep_say(s, "data at risk: %s, and the service behind it died", text);
	}
	r = priv_umount(dir, true);
	if (r == -EPERM)
		r = fusermount_umount(dir, true, clock_now_ns() + UMOUNT_NS);
	sweep_note(s, r);
	if (r) {
		sweep_say(s, "%s cannot be unmounted: %s", dir, strerror(-r));
		return;
	}
	backend_remove_dir(dir);
	sweep_say(s, "%s unmounted", dir);
}

static void table_unrefp(struct libmnt_table **t)
{
	mnt_unref_table(*t);
}

static void iter_freep(struct libmnt_iter **i)
{
	mnt_free_iter(*i);
}

static void abort_mount(struct sweep *s, const char *dir, dev_t devno)
{
	(void)priv_fuse_abort(devno);
}

static int each_mount(struct sweep *s, void (*each)(struct sweep *s, const char *dir, dev_t devno))
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
			each(s, dir, mnt_fs_get_devno(fs));
	}
	return 0;
}

/* ---- sockets -------------------------------------------------------------------- */

/* Clients have seen the end of the service; the name is all that is left. */
static int sweep_sockets(struct sweep *s)
{
	struct dirent *e;
	DIR *d = opendir(s->dir);

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		char path[PATH_MAX];
		struct stat st;

		if (e->d_name[0] == '.' || e->d_type != DT_DIR ||
		    snprintf(path, sizeof(path), "%s/%s/" BACKEND_NBD_SOCKET, s->dir, e->d_name) >=
			    (int)sizeof(path) ||
		    lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
			continue;
		if (unlink(path) < 0) {
			sweep_note(s, -errno);
			continue;
		}
		sweep_say(s, "%s removed", path);
		path[strlen(path) - strlen("/" BACKEND_NBD_SOCKET)] = '\0';
		backend_remove_dir(path);
	}
	closedir(d);
	return 0;
}

int backend_sweep(const char *devices_dir, void (*said)(void *arg, const char *what), void *arg)
{
	CLEANUP(freep) char *dir = realpath(devices_dir, NULL);
	struct sweep s = {.dir = dir, .said = said, .arg = arg};

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
#ifdef HAVE_UBLK
	sweep_ublk(&s);
#endif
	sweep_note(&s, each_mount(&s, abort_mount));
	sweep_note(&s, sys_loop_each(sweep_loop, &s));
	sweep_note(&s, each_mount(&s, sweep_mount));
	sweep_note(&s, sweep_sockets(&s));
	return s.result;
}

int blk_backend_give_up(const char *devices_dir, void (*said)(void *arg, const char *what),
			void *arg)
{
	CLEANUP(freep) char *dir = realpath(devices_dir, NULL);
	struct sweep s = {.dir = dir, .said = said, .arg = arg};

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
#ifdef HAVE_UBLK
	sweep_ublk_waiting(&s);
#endif
	return s.result;
}
