/* SPDX-License-Identifier: MIT */
/*
 * What needs privilege
 *
 * The only calls of this room that an ordinary user may not make: mounting a FUSE
 * file system, taking a mount away, opening block devices, and control of loop
 * devices. They take and give plain values and descriptors, so that they can move
 * to a small helper process.
 *
 * All functions are for control threads. 0 or a descriptor when it went well,
 * -errno else.
 */
#ifndef DEVICE_PRIVILEGE_H
#define DEVICE_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PRIV_FUSE_TYPE "fuse.iscsidsc" /* the type of our mounts in mountinfo */

/*
 * Mounts a FUSE file system that this user owns on the directory @dir. @source is
 * what mountinfo shows, @max_read the longest read in bytes.
 *
 * Return: the descriptor of the connection (close-on-exec), or -errno.
 */
int priv_fuse_mount(const char *dir, const char *source, unsigned max_read);

/* @lazy: out of sight now, gone when the last user is. -EINVAL: nothing is mounted there. */
int priv_umount(const char *dir, bool lazy);

/* Every request of the mount at @dir fails from now on, whether or not it can then go. */
int priv_umount_force(const char *dir);

/*
 * Cuts a FUSE connection off through fusectl, which is mounted for the moment where it
 * is not; @devno is that of its mount. -ENOENT: there is no such connection.
 */
int priv_fuse_abort(dev_t devno);

/* Makes /dev/@name where the system did not. -EEXIST: something else has the name. */
int priv_block_node(const char *name, dev_t devno);

/*
 * Opens the block device /dev/@name, which must have the number @devno, with
 * open(2)'s @flags; close-on-exec and not waiting for a medium are added.
 * -ENXIO: the name is now another device.
 */
int priv_block_open(const char *name, dev_t devno, int flags);

/* Write protection as the kernel sees it; @fd of a block device. */
int priv_block_set_read_only(int fd, bool read_only);

/* 0, or why loop devices cannot be had here: -EPERM, -ENOENT, … */
int priv_loop_probe(void);

/*
 * Attaches the file of @backing_fd, opened for reading and writing, to a free loop
 * device, with direct I/O and partitions. @label is what losetup shows, cut at 63
 * bytes. @ret_name gets "loopN".
 */
int priv_loop_attach(int backing_fd, const char *label, uint32_t block_bytes, char ret_name[32],
		     dev_t *ret_devno);

/*
 * Detaches a loop device. @fd is its only descriptor when this can be done at
 * once; the caller closes it, and then the device is free.
 *
 * Return: 0; -EBUSY when somebody else has it open: it stays attached; -ENXIO when
 * it was not attached any more; or -errno.
 */
int priv_loop_detach(int fd);

/* Detaches it as soon as its last user has closed it. */
int priv_loop_detach_later(int fd);

/* The label given when it was attached, and the device number that its file is on. */
int priv_loop_label(int fd, char label[64], dev_t *ret_file_devno);

/* Takes over the size of the backing file. */
int priv_loop_resize(int fd);

/* Writes @value to /sys/block/@name/queue/@limit. */
int priv_queue_limit(const char *name, const char *limit, uint64_t value);

#endif
