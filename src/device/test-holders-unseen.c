/* SPDX-License-Identifier: MIT */
/*
 * Holders: what the scans cannot see is not free
 *
 * The calls that look are wrapped, and fail where a test wants them to; and /proc is
 * made to tell less than all, in a mount namespace of a child.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "device/backend.h"
#include "device/holders.h"
#include "device/sysblock.h"

#define NOBODY 65534

/* Nobody is served here. */
void blk_submit(struct lu *lu, struct blk_req *r)
{
	fail();
}

/* ---- calls that fail ---------------------------------------------------------- */

struct fault {
	const char *call, *path; /* what it is called for contains this */
	int err;
};

static struct fault fault;

static bool fails(const char *call, const char *path)
{
	if (!fault.call || strcmp(fault.call, call) != 0 || !strstr(path, fault.path))
		return false;
	errno = fault.err;
	return true;
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
	return fails("opendir", path) ? NULL : __real_opendir(path);
}

struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir)
{
	char link[64], path[512] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd(dir));
	if (fault.call && readlink(link, path, sizeof(path) - 1) > 0 && fails("readdir", path))
		return NULL;
	return __real_readdir64(dir);
}

FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode)
{
	static char garbage[] = "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition\n";

	if (fails("garbage", path))
		return fmemopen(garbage, strlen(garbage), "r");
	return fails("fopen", path) ? NULL : __real_fopen64(path, mode);
}

int __real_stat64(const char *path, struct stat *st);
int __wrap_stat64(const char *path, struct stat *st);
int __wrap_stat64(const char *path, struct stat *st)
{
	return fails("stat", path) ? -1 : __real_stat64(path, st);
}

ssize_t __real_readlinkat(int dir_fd, const char *path, char *buf, size_t n);
ssize_t __wrap_readlinkat(int dir_fd, const char *path, char *buf, size_t n);
ssize_t __wrap_readlinkat(int dir_fd, const char *path, char *buf, size_t n)
{
	return fails("readlinkat", path) ? -1 : __real_readlinkat(dir_fd, path, buf, n);
}

int __real_statx(int dir_fd, const char *path, int flags, unsigned mask, struct statx *stx);
int __wrap_statx(int dir_fd, const char *path, int flags, unsigned mask, struct statx *stx);
int __wrap_statx(int dir_fd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	if (dir_fd != AT_FDCWD && mask && fails("statx", path))
		return -1;
	return __real_statx(dir_fd, path, flags, mask, stx);
}

/* ---- scans --------------------------------------------------------------------- */

/* Of a file that nobody has; opens of such files are counted elsewhere. */
static int scan_file(void)
{
	CLEANUP(holders_clear) struct holders h = {0};

	return holders_scan_file(&h, "/nowhere/disk", ~(dev_t)0, 1, 0);
}

/* A disk that is none of the loop driver; 0: there is none. */
static dev_t some_disk(void)
{
	DIR *dir = opendir("/sys/block");
	const struct dirent *e;
	dev_t found = 0;

	while (dir && !found && (e = readdir(dir)))
		if (e->d_name[0] != '.' && strncmp(e->d_name, "loop", 4) != 0)
			found = sys_block_devno(e->d_name);
	if (dir)
		closedir(dir);
	return found;
}

static int scan_disk(void)
{
	CLEANUP(holders_clear) struct holders h = {0};

	return holders_scan_block(&h, some_disk(), 0);
}

static int with_fault(const struct fault *f, int (*scan)(void))
{
	int r;

	fault = *f;
	r = scan();
	fault = (struct fault){0};
	return r;
}

static void what_cannot_be_seen_is_an_error(void **state)
{
	static const struct fault faults[] = {
		{"opendir", "/proc", EMFILE},     {"readdir", "/proc", EIO},
		{"opendir", "/fd", EMFILE},       {"opendir", "/fd", ENOMEM},
		{"readdir", "/fd", EIO},          {"fopen", "/maps", EMFILE},
		{"fopen", "/mountinfo", ENOMEM},  {"stat", "/ns/mnt", ENOMEM},
		{"readlinkat", "", EIO},          {"statx", "", EIO},
		{"fopen", "/proc/swaps", EMFILE}, {"readdir", "/sys/block", EIO},
	};

	assert_int_equal(scan_file(), 0);
	for (size_t k = 0; k < ARRAY_SIZE(faults); k++)
		assert_int_equal(with_fault(&faults[k], scan_file), -faults[k].err);
}

static void what_cannot_be_understood_is_an_error(void **state)
{
	static const struct fault faults[] = {
		{"garbage", "/proc/swaps", 0},
		{"garbage", "/mountinfo", 0},
		{"garbage", "/maps", 0},
	};

	for (size_t k = 0; k < ARRAY_SIZE(faults); k++)
		assert_true(with_fault(&faults[k], scan_file) < 0);
}

static void what_is_gone_is_none(void **state)
{
	static const struct fault faults[] = {
		{"opendir", "/fd", ENOENT},      {"opendir", "/fd", ESRCH},
		{"readdir", "/fd", ENOENT},      {"fopen", "/maps", ESRCH},
		{"readlinkat", "", ENOENT},      {"statx", "", ENOENT},
		{"fopen", "/mountinfo", EINVAL},
	};

	for (size_t k = 0; k < ARRAY_SIZE(faults); k++)
		assert_int_equal(with_fault(&faults[k], scan_file), 0);
}

static void what_is_on_a_disk_must_be_seen(void **state)
{
	static const struct fault faults[] = {
		{"opendir", "/holders", EMFILE},
		{"readdir", "/holders", EIO},
		{"opendir", "/sys/fs/btrfs", EMFILE},
	};

	if (!some_disk()) {
		print_message("skipped: there is no disk but loop devices\n");
		skip();
	}
	for (size_t k = 0; k < ARRAY_SIZE(faults); k++)
		assert_int_equal(with_fault(&faults[k], scan_disk), -faults[k].err);
}

/* Processes that keep from us what they have open: only a count elsewhere makes up for it. */
static void only_a_count_makes_up_for_a_process_unseen(void **state)
{
	static const struct fault faults[] = {
		{"opendir", "/fd", EACCES},
		{"opendir", "/fd", EPERM},
		{"readlinkat", "", EACCES},
		{"fopen", "/maps", EACCES},
	};

	for (size_t k = 0; k < ARRAY_SIZE(faults); k++) {
		assert_int_equal(with_fault(&faults[k], scan_file), 0);
		if (some_disk())
			assert_true(with_fault(&faults[k], scan_disk) < 0);
	}
	/* the owner's own FUSE file systems tell root at least which they are */
	assert_int_equal(with_fault(&(struct fault){"statx", "", EACCES}, scan_file), 0);
}

/* ---- a /proc that tells less ---------------------------------------------------- */

/* What @look returns in a child with mounts of its own; 1: it could not be tried. */
static int in_child(int (*look)(void))
{
	int status;
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0) {
		if (unshare(CLONE_NEWNS | CLONE_NEWPID) < 0 ||
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			_exit(255);
		_exit(look() & 0xff);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 255) {
		print_message("skipped: no namespaces here: not root?\n");
		skip();
	}
	return WEXITSTATUS(status);
}

/* As the second process of its PID namespace, whose first is root's. */
static int in_grandchild(int (*look)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			_exit(look() & 0xff);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		_exit(254);
	if (getpid() == 1)
		_exit(WEXITSTATUS(status));
	return WEXITSTATUS(status);
}

static int look_without_proc(void)
{
	return mount("none", "/proc", "tmpfs", 0, NULL) < 0 ? 255 : -scan_file();
}

static int look(void)
{
	return -scan_file();
}

static int look_with_proc_of_others(void)
{
	return in_grandchild(look);
}

static int look_at_a_part(void)
{
	return mount("none", "/proc", "proc", 0, "subset=pid") < 0 ? 255 : -scan_file();
}

static int look_with_subset(void)
{
	return in_grandchild(look_at_a_part);
}

static bool become_nobody_who_sees_nobody(void)
{
	return mount("none", "/proc", "proc", 0, "hidepid=2") == 0 && setgid(NOBODY) == 0 &&
	       setuid(NOBODY) == 0;
}

static int look_at_disk_as_nobody(void)
{
	return become_nobody_who_sees_nobody() ? -scan_disk() : 255;
}

static int look_at_disk_with_hidepid(void)
{
	return in_grandchild(look_at_disk_as_nobody);
}

static int look_at_file_as_nobody(void)
{
	return become_nobody_who_sees_nobody() ? -scan_file() : 255;
}

static int look_at_file_with_hidepid(void)
{
	return in_grandchild(look_at_file_as_nobody);
}

static void something_else_at_proc_is_an_error(void **state)
{
	assert_int_equal(in_child(look_without_proc), ENOTSUP);
}

static void another_namespaces_proc_is_an_error(void **state)
{
	assert_int_equal(in_child(look_with_proc_of_others), ENOTSUP);
}

static void part_of_proc_is_an_error(void **state)
{
	assert_int_equal(in_child(look_with_subset), ENOTSUP);
}

static void hidden_processes_are_an_error(void **state)
{
	if (!some_disk()) {
		print_message("skipped: there is no disk but loop devices\n");
		skip();
	}
	assert_int_equal(in_child(look_at_disk_with_hidepid), EPERM);
	assert_int_equal(in_child(look_at_file_with_hidepid), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_seen_is_an_error),
		cmocka_unit_test(what_cannot_be_understood_is_an_error),
		cmocka_unit_test(what_is_gone_is_none),
		cmocka_unit_test(what_is_on_a_disk_must_be_seen),
		cmocka_unit_test(only_a_count_makes_up_for_a_process_unseen),
		cmocka_unit_test(something_else_at_proc_is_an_error),
		cmocka_unit_test(another_namespaces_proc_is_an_error),
		cmocka_unit_test(part_of_proc_is_an_error),
		cmocka_unit_test(hidden_processes_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
