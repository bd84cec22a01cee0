/* SPDX-License-Identifier: MIT */
/*
 * Backends: the choice, and what they share
 */
#include "device/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/backend_private.h"
#include "device/fusermount.h"
#include "device/sysblock.h"
#include "io/loop.h"

static const struct blk_backend *const backends[] = {
#ifdef HAVE_UBLK
	&blk_backend_ublk,
#endif
	&blk_backend_loop,
	&blk_backend_fuse,
	&blk_backend_nbd,
};

const struct blk_backend *blk_backend_choose(const char *name, bool user_mode, char *why, size_t n)
{
	const bool any = strcmp(name, "auto") == 0;
	size_t at = 0;

	if (n > 0)
		*why = '\0';
	for (size_t k = 0; k < ARRAY_SIZE(backends); k++) {
		char one[200] = "";

		if (!any && strcmp(name, backends[k]->name) != 0)
			continue;
		if (backends[k]->probe(user_mode, one, sizeof(one)) == 0)
			return backends[k];
		if (at < n)
			at += (size_t)snprintf(why + at, n - at, "%s%s: %s", at ? "; " : "",
					       backends[k]->name, one);
	}
	if (at == 0)
		snprintf(why, n, "there is no backend \"%.100s\"", name);
	return NULL;
}

uint64_t backend_deadline_ns(int timeout_ms)
{
	return clock_now_ns() + (timeout_ms > 0 ? (uint64_t)timeout_ms : 0) * NS_PER_MS;
}

int backend_why(char *why, size_t n, const char *what, int r)
{
	snprintf(why, n, "%s: %s", what, strerror(-r));
	return r;
}

static bool may_mount(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &head, data) < 0)
		return geteuid() == 0;
	return data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

int backend_probe_fuse(bool user_mode, char *why, size_t n)
{
	CLEANUP(closep) int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return backend_why(why, n, "/dev/fuse", -errno);
	if (user_mode && !fusermount_exists())
		return backend_why(why, n, "fusermount3", -ENOENT);
	if (!user_mode && !may_mount())
		return backend_why(why, n, "mounting needs CAP_SYS_ADMIN", -EPERM);
	return 0;
}

static int make_dir(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	/* What is left of a mount that died answers with errors. */
	if (lstat(dir, &st) < 0)
		return -EBUSY;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	/* Fails for a mount and for a directory that holds something. */
	if (rmdir(dir) < 0)
		return errno == ENOTEMPTY ? -EBUSY : -errno;
	return mkdir(dir, 0700) < 0 ? -errno : 0;
}

void backend_remove_dir(const char *dir)
{
	(void)rmdir(dir);
}

int backend_add_user(struct holders *h, enum holder_kind kind, pid_t pid, const char *path)
{
	struct holder one = {.kind = kind, .pid = pid};
	char comm[64];

	snprintf(comm, sizeof(comm), "/proc/%d/comm", (int)pid);
	if (sys_read_line(comm, one.comm, sizeof(one.comm)) < 0)
		one.comm[0] = '\0';
	snprintf(one.device, sizeof(one.device), "%s", path);
	snprintf(one.where, sizeof(one.where), "%s", path);
	return holders_add(h, &one);
}

int backend_make_dir(char **ret_dir, const struct blk_dev_cfg *cfg)
{
	CLEANUP(freep) char *dir = NULL;
	int r;

	if (!*cfg->name || cfg->name[0] == '.' || strchr(cfg->name, '/') ||
	    cfg->devices_dir[0] != '/')
		return -EINVAL;
	if (asprintf(&dir, "%s/%s", cfg->devices_dir, cfg->name) < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	r = make_dir(dir);
	if (r)
		return r;
	*ret_dir = TAKE(dir);
	return 0;
}

int backend_serve(struct fuse_file **ret_file, char **ret_dir, const struct blk_dev_cfg *cfg,
		  bool for_loop)
{
	CLEANUP(freep) char *dir = NULL;
	struct fuse_file_cfg file = {
		.source = cfg->name,
		.loop = cfg->loop,
		.lu = cfg->lu,
		.limits = cfg->limits,
		.user_mode = cfg->user_mode,
		.for_loop = for_loop,
	};
	int r = backend_make_dir(&dir, cfg);

	if (r)
		return r;
	file.dir = dir;
	r = fuse_file_start(ret_file, &file);
	if (r) {
		backend_remove_dir(dir);
		return r;
	}
	*ret_dir = TAKE(dir);
	return 0;
}
