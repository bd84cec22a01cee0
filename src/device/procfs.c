/* SPDX-License-Identifier: MIT */
/*
 * Whether /proc tells of all processes
 */
#include "device/procfs.h"

#include <errno.h>
#include <libmount/libmount.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

static void table_unrefp(struct libmnt_table **t)
{
	mnt_unref_table(*t);
}

static bool may_see_all(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	return data[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective & CAP_TO_MASK(CAP_SYS_PTRACE);
}

/* That of another PID namespace calls us by another number, or does not know us. */
static int check_self(void)
{
	char name[32];
	const ssize_t n = readlink("/proc/self", name, sizeof(name) - 1);

	if (n < 0)
		return errno == ENOENT ? -ENOTSUP : -errno;
	name[n] = '\0';
	return strtol(name, NULL, 10) == getpid() ? 0 : -ENOTSUP;
}

static bool is_set(const char *options, const char *name)
{
	char *value = NULL;
	size_t n = 0;

	if (!options || mnt_optstr_get_option(options, name, &value, &n) != 0)
		return false;
	return !(n == 1 && *value == '0') && !(n == 3 && strncmp(value, "off", n) == 0);
}

/* The options are the file system's own: any of its mounts shows them. */
static int check_options(bool *ret_hides)
{
	CLEANUP(table_unrefp) struct libmnt_table *table = mnt_new_table();
	struct libmnt_fs *fs;
	const char *options;
	struct stat st;

	if (!table)
		return -ENOMEM;
	if (stat("/proc", &st) < 0)
		return -errno;
	errno = 0;
	if (mnt_table_parse_file(table, "/proc/self/mountinfo") != 0)
		return errno ? -errno : -EIO;
	fs = mnt_table_find_devno(table, st.st_dev, MNT_ITER_BACKWARD);
	if (!fs)
		return -ENOTSUP;
	options = mnt_fs_get_fs_options(fs);
	if (is_set(options, "subset"))
		return -ENOTSUP;
	*ret_hides = is_set(options, "hidepid") && !may_see_all();
	return 0;
}

int procfs_check(bool *ret_hides)
{
	struct statfs fs;
	int r;

	if (statfs("/proc", &fs) < 0)
		return -errno;
	if (fs.f_type != PROC_SUPER_MAGIC)
		return -ENOTSUP;
	r = check_self();
	return r ? r : check_options(ret_hides);
}
