/* SPDX-License-Identifier: MIT */
/*
 * What sysfs says of block devices
 */
#include "device/sysblock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DELETED " (deleted)"

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

int sys_read_line(const char *path, char *buf, size_t n)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;

	if (fd < 0)
		return -errno;
	while (at < n) {
		ssize_t got = read(fd, buf + at, n - at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		at += (size_t)got;
	}
	for (size_t k = 0; k < at; k++)
		if (buf[k] == '\n')
			at = k;
	if (at == n)
		return -E2BIG;
	buf[at] = '\0';
	return 0;
}

static dev_t read_devno(const char *path)
{
	char line[32];
	unsigned maj, min;

	if (sys_read_line(path, line, sizeof(line)) < 0 || sscanf(line, "%u:%u", &maj, &min) != 2)
		return 0;
	return makedev(maj, min);
}

dev_t sys_block_devno(const char *name)
{
	char path[PATH_MAX];

	if (!*name || strchr(name, '/') || strlen(name) > NAME_MAX)
		return 0;
	snprintf(path, sizeof(path), "/sys/class/block/%s/dev", name);
	return read_devno(path);
}

static int blocks_add(struct sys_blocks *b, const char *name, dev_t devno)
{
	struct sys_block *more;

	if (strlen(name) >= sizeof(more->name))
		return -ENAMETOOLONG;
	more = reallocarray(b->v, b->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	b->v = more;
	strcpy(more[b->n].name, name);
	more[b->n++].devno = devno;
	return 0;
}

void sys_blocks_clear(struct sys_blocks *b)
{
	free(b->v);
	b->v = NULL;
	b->n = 0;
}

struct dirent64_head {
	uint64_t ino;
	int64_t off;
	uint16_t n_bytes;
	uint8_t type;
	char name[];
};

/* Calls @each for the entry if it is a partition of the disk @link, called @disk. */
static int partition_each(const char *link, const char *disk, const char *name,
			  int (*each)(void *arg, const struct sys_block *b), void *arg)
{
	char path[64 + NAME_MAX + 16];
	struct sys_block b;

	if (strncmp(name, disk, strlen(disk)) != 0 || strlen(name) > NAME_MAX)
		return 0;
	snprintf(path, sizeof(path), "%s/%s/partition", link, name);
	if (access(path, F_OK) < 0)
		return 0;
	snprintf(path, sizeof(path), "%s/%s/dev", link, name);
	b.devno = read_devno(path);
	if (!b.devno)
		return 0;
	if (strlen(name) >= sizeof(b.name))
		return -ENAMETOOLONG;
	strcpy(b.name, name);
	return each(arg, &b);
}

int sys_blocks_each(dev_t disk, int (*each)(void *arg, const struct sys_block *b), void *arg)
{
	_Alignas(struct dirent64_head) char entries[4096];
	CLEANUP(closep) int dir = -1;
	struct sys_block b = {.devno = disk};
	char link[64], dest[PATH_MAX];
	const char *name;
	long n;
	int r;

	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(disk), minor(disk));
	n = readlink(link, dest, sizeof(dest) - 1);
	if (n < 0)
		return -errno;
	dest[n] = '\0';
	name = strrchr(dest, '/') ? strrchr(dest, '/') + 1 : dest;
	if (strlen(name) >= sizeof(b.name))
		return -ENAMETOOLONG;
	strcpy(b.name, name);
	r = each(arg, &b);
	if (r)
		return r;
	dir = open(link, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	while ((n = syscall(SYS_getdents64, dir, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64_head *e = (const void *)(entries + at);

			r = partition_each(link, b.name, e->name, each, arg);
			if (r)
				return r;
			at += e->n_bytes;
		}
	}
	return n < 0 ? -errno : 0;
}

static int block_collect(void *arg, const struct sys_block *b)
{
	return blocks_add(arg, b->name, b->devno);
}

int sys_blocks_load(struct sys_blocks *ret, dev_t disk)
{
	CLEANUP(sys_blocks_clear) struct sys_blocks b = {0};
	int r = sys_blocks_each(disk, block_collect, &b);

	if (r)
		return r;
	*ret = b;
	b = (struct sys_blocks){0};
	return 0;
}

/* ---- what is on what -------------------------------------------------------------- */

int sys_block_name(dev_t devno, char ret[32])
{
	char link[64], dest[PATH_MAX];
	const char *name;
	ssize_t n;

	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(devno), minor(devno));
	n = readlink(link, dest, sizeof(dest) - 1);
	if (n < 0)
		return -errno;
	dest[n] = '\0';
	name = strrchr(dest, '/') ? strrchr(dest, '/') + 1 : dest;
	if (strlen(name) >= 32)
		return -ENAMETOOLONG;
	strcpy(ret, name);
	return 0;
}

static unsigned partition_number(dev_t devno)
{
	char path[96], line[16];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(devno), minor(devno));
	return sys_read_line(path, line, sizeof(line)) < 0 ? 0 : (unsigned)strtoul(line, NULL, 10);
}

dev_t sys_block_disk(dev_t devno, unsigned *ret_partition)
{
	char path[96];
	dev_t disk;

	*ret_partition = partition_number(devno);
	if (*ret_partition == 0)
		return devno;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(devno), minor(devno));
	disk = read_devno(path);
	return disk ? disk : devno;
}

struct wanted {
	unsigned number;
	dev_t devno;
};

static int partition_is(void *arg, const struct sys_block *b)
{
	struct wanted *w = arg;

	if (partition_number(b->devno) != w->number)
		return 0;
	w->devno = b->devno;
	return 1;
}

dev_t sys_block_partition(dev_t disk, unsigned number)
{
	struct wanted w = {.number = number};

	return number && sys_blocks_each(disk, partition_is, &w) == 1 ? w.devno : 0;
}

int sys_block_slaves(dev_t disk, int (*each)(void *arg, dev_t slave), void *arg)
{
	CLEANUP(closedirp) DIR *dir = NULL;
	const struct dirent *e;
	char path[96];
	int r = 0;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves", major(disk), minor(disk));
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (e = readdir(dir))) {
		dev_t slave = e->d_name[0] == '.' ? 0 : sys_block_devno(e->d_name);

		if (slave)
			r = each(arg, slave);
	}
	return r;
}

uint64_t sys_queue_limit(const char *name, const char *limit)
{
	char path[NAME_MAX + 64], line[32];

	snprintf(path, sizeof(path), "/sys/block/%.64s/queue/%.64s", name, limit);
	return sys_read_line(path, line, sizeof(line)) < 0 ? 0 : strtoull(line, NULL, 10);
}

int sys_loop_backing(const char *name, char *buf, size_t n)
{
	char path[NAME_MAX + 64];
	size_t len;
	int r;

	snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", name);
	r = sys_read_line(path, buf, n);
	if (r)
		return r;
	len = strlen(buf);
	if (len > strlen(DELETED) && strcmp(buf + len - strlen(DELETED), DELETED) == 0)
		buf[len - strlen(DELETED)] = '\0';
	return 0;
}

int sys_loop_each(int (*each)(void *arg, const char *name, const char *backing), void *arg)
{
	CLEANUP(closedirp) DIR *dir = opendir("/sys/block");
	char backing[PATH_MAX];
	const struct dirent *e;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (errno = 0, e = readdir(dir))) {
		if (strncmp(e->d_name, "loop", 4) != 0)
			continue;
		r = sys_loop_backing(e->d_name, backing, sizeof(backing));
		if (r == 0)
			r = each(arg, e->d_name, backing);
		else if (r == -ENOENT || r == -ENODEV || r == -ENXIO) /* detached, or just now */
			r = 0;
	}
	return r ? r : -errno;
}
