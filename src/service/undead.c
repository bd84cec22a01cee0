/* SPDX-License-Identifier: MIT */
#include "service/undead.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/privilege.h"
#include "io/loop.h"
#include "service/log.h"

#define UNDEAD_WAIT_NS (15 * NS_PER_S)

struct owner {
	pid_t pid;
	char devices_dir[PATH_MAX];
};

/* The hexadecimal mask behind @name has SIGKILL. */
static bool has_sigkill(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at && (strtoull(at + strlen(name), NULL, 16) >> (SIGKILL - 1) & 1);
}

bool status_is_undead(const char *status)
{
	const char *state = strstr(status, "\nState:\t");

	if (state && (state[8] == 'Z' || state[8] == 'X'))
		return true;
	return has_sigkill(status, "\nSigPnd:\t") || has_sigkill(status, "\nShdPnd:\t");
}

static bool pid_is_undead(pid_t pid)
{
	char path[64], text[8192];
	CLEANUP(closep) int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return false;
	text[n] = '\0';
	return status_is_undead(text);
}

static bool owner_read(int fd, struct owner *ret)
{
	char text[PATH_MAX + 32], *end;
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	ret->pid = (pid_t)strtol(text, &end, 10);
	if (ret->pid <= 0 || *end != '\n')
		return false;
	snprintf(ret->devices_dir, sizeof(ret->devices_dir), "%s", end + 1);
	ret->devices_dir[strcspn(ret->devices_dir, "\n")] = '\0';
	return ret->devices_dir[0] == '/';
}

static void owner_write(int fd, const char *devices_dir)
{
	char text[PATH_MAX + 32];
	int n = snprintf(text, sizeof(text), "%d\n%s\n", (int)getpid(), devices_dir);

	/* without it only the recovery above does not work */
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		log_warning("the lock file cannot be written: %s", strerror(errno));
}

/* A forced unmount fails all requests of the mount, whether or not it then goes. */
static void cut_off(const char *devices_dir)
{
	CLEANUP(freep) char *dir = realpath(devices_dir, NULL);
	struct libmnt_table *table = mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_iter *it = mnt_new_iter(MNT_ITER_BACKWARD);
	struct libmnt_fs *fs;
	int r;

	while (dir && table && it && mnt_table_next_fs(table, it, &fs) == 0) {
		const char *type = mnt_fs_get_fstype(fs), *target = mnt_fs_get_target(fs);

		if (!type || !target || strcmp(type, PRIV_FUSE_TYPE) != 0 ||
		    strncmp(target, dir, strlen(dir)) != 0 || target[strlen(dir)] != '/')
			continue;
		log_warning("%s: cut off, so that the service that was killed can end", target);
		r = priv_umount_force(target);
		if (r && r != -EBUSY)
			log_warning("%s: %s", target, strerror(-r));
	}
	mnt_free_iter(it);
	mnt_unref_table(table);
}

static int lock_try(int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return errno == EWOULDBLOCK ? -EBUSY : -errno;
}

static int lock_after_undead(int fd)
{
	uint64_t until_ns = clock_now_ns() + UNDEAD_WAIT_NS;
	struct owner owner;
	int r;

	if (!owner_read(fd, &owner) || !pid_is_undead(owner.pid))
		return -EBUSY;
	cut_off(owner.devices_dir);
	while ((r = lock_try(fd)) == -EBUSY && clock_now_ns() < until_ns)
		usleep(50000);
	return r;
}

int dir_lock(const char *file, const char *devices_dir, int *ret_fd)
{
	CLEANUP(closep) int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = fd < 0 ? -errno : lock_try(fd);

	if (r == -EBUSY)
		r = lock_after_undead(fd);
	if (r == -EBUSY)
		log_error("%s: another service is running on this directory", file);
	else if (r)
		log_error("%s: %s", file, strerror(-r));
	if (r)
		return r;
	owner_write(fd, devices_dir);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
