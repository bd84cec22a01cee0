/* SPDX-License-Identifier: MIT */
/*
 * What needs privilege
 *
 * LOOP_CLR_FD has two meanings. With no other opener the device is in the state
 * "going down" when it returns, and nobody can open it any more. Otherwise the
 * kernel only notes that the device is to be detached on its last close, and
 * returns 0 all the same. A caller that must not lose the device to that note
 * looks at the state afterwards and takes the note back while it still has the
 * device open itself.
 */
#include "device/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ATTACH_TRIES 64

int priv_fuse_mount(const char *dir, const char *source, unsigned max_read)
{
	CLEANUP(closep) int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	char opts[160];

	if (fd < 0)
		return -errno;
	snprintf(opts, sizeof(opts),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,max_read=%u", fd,
		 (unsigned)geteuid(), (unsigned)getegid(), max_read);
	if (mount(source, dir, PRIV_FUSE_TYPE, MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME,
		  opts) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int priv_umount(const char *dir, bool lazy)
{
	return umount2(dir, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) < 0 ? -errno : 0;
}

int priv_umount_force(const char *dir)
{
	return umount2(dir, UMOUNT_NOFOLLOW | MNT_FORCE) < 0 ? -errno : 0;
}

static int write_text(const char *path, const char *text)
{
	CLEANUP(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int priv_fuse_abort(dev_t devno)
{
	static const char dir[] = "/sys/fs/fuse/connections";
	char path[64];
	int r;

	snprintf(path, sizeof(path), "%s/%u/abort", dir, minor(devno));
	r = write_text(path, "1");
	if (r != -ENOENT || mount("none", dir, "fusectl", 0, NULL) < 0)
		return r;
	r = write_text(path, "1");
	(void)umount2(dir, MNT_DETACH);
	return r;
}

int priv_block_node(const char *name, dev_t devno)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/dev/%s", name);
	if (mknod(path, S_IFBLK | 0600, devno) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (lstat(path, &st) < 0)
		return -errno;
	return S_ISBLK(st.st_mode) && st.st_rdev == devno ? 0 : -EEXIST;
}

int priv_block_open(const char *name, dev_t devno, int flags)
{
	CLEANUP(closep) int fd = -1;
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/dev/%s", name);
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode) || st.st_rdev != devno)
		return -ENXIO;
	fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode) || st.st_rdev != devno)
		return -ENXIO;
	return TAKE_FD(fd);
}

int priv_block_set_read_only(int fd, bool read_only)
{
	int value = read_only;

	return ioctl(fd, BLKROSET, &value) < 0 ? -errno : 0;
}

int priv_loop_probe(void)
{
	CLEANUP(closep) int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : 0;
}

/* Return: 0; -EBUSY when another process was quicker; or -errno. */
static int attach_to(int number, int backing_fd, const char *label, uint32_t block_bytes,
		     char ret_name[32], dev_t *ret_devno)
{
	CLEANUP(closep) int fd = -1;
	const dev_t devno = makedev(7, (unsigned)number);
	struct loop_config cfg = {
		.fd = (uint32_t)backing_fd,
		.block_size = block_bytes,
		.info.lo_flags = LO_FLAGS_DIRECT_IO | LO_FLAGS_PARTSCAN,
	};
	char name[32];
	int r;

	snprintf(name, sizeof(name), "loop%d", number);
	r = priv_block_node(name, devno);
	if (r)
		return r;
	fd = priv_block_open(name, devno, O_RDWR);
	if (fd < 0)
		return fd;
	snprintf((char *)cfg.info.lo_file_name, sizeof(cfg.info.lo_file_name), "%s", label);
	if (ioctl(fd, LOOP_CONFIGURE, &cfg) < 0)
		return -errno;
	strcpy(ret_name, name);
	*ret_devno = devno;
	return 0;
}

int priv_loop_attach(int backing_fd, const char *label, uint32_t block_bytes, char ret_name[32],
		     dev_t *ret_devno)
{
	CLEANUP(closep) int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int r = -EBUSY;

	if (control < 0)
		return -errno;
	for (int n = 0; n < ATTACH_TRIES && r == -EBUSY; n++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		if (number < 0)
			return -errno;
		r = attach_to(number, backing_fd, label, block_bytes, ret_name, ret_devno);
		/* Removed again between the two steps. */
		if (r == -ENXIO || r == -ENOENT)
			r = -EBUSY;
	}
	return r;
}

int priv_loop_detach(int fd)
{
	struct loop_info64 info;

	if (ioctl(fd, LOOP_CLR_FD) < 0)
		return -errno;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return errno == ENXIO ? 0 : -errno;
	info.lo_flags &= ~(uint32_t)LO_FLAGS_AUTOCLEAR;
	if (ioctl(fd, LOOP_SET_STATUS64, &info) < 0)
		return -errno;
	return -EBUSY;
}

int priv_loop_detach_later(int fd)
{
	return ioctl(fd, LOOP_CLR_FD) < 0 ? -errno : 0;
}

int priv_loop_label(int fd, char label[64], dev_t *ret_file_devno)
{
	struct loop_info64 info;

	if (ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return -errno;
	snprintf(label, 64, "%.63s", (const char *)info.lo_file_name);
	/* The kernel's long form: 12 bits of major number between the minor's two parts. */
	*ret_file_devno =
		makedev((unsigned)(info.lo_device >> 8 & 0xfff),
			(unsigned)((info.lo_device & 0xff) | (info.lo_device >> 12 & 0xfff00)));
	return 0;
}

int priv_loop_resize(int fd)
{
	return ioctl(fd, LOOP_SET_CAPACITY) < 0 ? -errno : 0;
}

int priv_queue_limit(const char *name, const char *limit, uint64_t value)
{
	char path[128], text[24];

	snprintf(path, sizeof(path), "/sys/block/%s/queue/%s", name, limit);
	snprintf(text, sizeof(text), "%" PRIu64, value);
	return write_text(path, text);
}
