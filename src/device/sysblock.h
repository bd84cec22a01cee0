/* SPDX-License-Identifier: MIT */
/*
 * What sysfs says of block devices
 *
 * Nothing here opens a device. Control threads only.
 */
#ifndef DEVICE_SYSBLOCK_H
#define DEVICE_SYSBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct sys_block {
	char name[32]; /* the kernel's: "loop0", "loop0p1" */
	dev_t devno;
};

struct sys_blocks {
	struct sys_block *v;
	size_t n;
};

/* A disk, first, and its partitions. -ENOENT: no such disk. Freed by sys_blocks_clear(). */
int sys_blocks_load(struct sys_blocks *ret, dev_t disk);
void sys_blocks_clear(struct sys_blocks *b);

/*
 * The same without memory from the heap, for a child of a process with threads: calls
 * @each for the disk, then for every partition, until it returns other than 0, which is
 * returned.
 */
int sys_blocks_each(dev_t disk, int (*each)(void *arg, const struct sys_block *b), void *arg);

/* The number of the device that the kernel calls @name; 0: none. */
dev_t sys_block_devno(const char *name);

/* What the kernel calls it ("dm-0", "loop0p1"). 0 or -errno; -ENAMETOOLONG. */
int sys_block_name(dev_t devno, char ret[32]);
/* The disk that a partition is on, and its number; other devices are themselves, number 0. */
dev_t sys_block_disk(dev_t devno, unsigned *ret_partition);
/* The partition of that number; 0: the disk has none. */
dev_t sys_block_partition(dev_t disk, unsigned number);
/*
 * Calls @each for every device that @disk is made of (device mapper, md) until it returns
 * other than 0, which is returned.
 */
int sys_block_slaves(dev_t disk, int (*each)(void *arg, dev_t slave), void *arg);

/* First line of a file, without its end. 0 or -errno; -E2BIG when it does not fit. */
int sys_read_line(const char *path, char *buf, size_t n);

/* /sys/block/@name/queue/@limit; 0 when it cannot be read. */
uint64_t sys_queue_limit(const char *name, const char *limit);

/*
 * The path of the file under a loop device as the kernel shows it, without the
 * mark of a deleted file. -ENOENT: not attached.
 */
int sys_loop_backing(const char *name, char *buf, size_t n);

/* Calls @each for every attached loop device until it returns other than 0, which is returned. */
int sys_loop_each(int (*each)(void *arg, const char *name, const char *backing), void *arg);

#endif
