/* SPDX-License-Identifier: MIT */
/*
 * Holders: the scans of /proc and /sys
 *
 * A scan looks for a target: a disk with its partitions, or one file. It must not
 * hang on somebody else's file system, so paths are looked up only where they lie
 * below /dev, and descriptors are looked at with the attributes that the kernel
 * has already. Processes come and go while it looks; what has gone does not count.
 * All else that cannot be seen is an error: what is not known to be free is not free.
 *
 * A process that may not be looked into (another user's, where we are not root; one
 * that a security module keeps even from root) is passed over only where whoever
 * stands behind the device counts its opens himself, and lets go of it only when
 * there are none: our FUSE server, which is all there is without root, and the
 * kernel's loop driver. A ublk device goes whoever has it open.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <linux/major.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/apart.h"
#include "device/holders.h"
#include "device/procfs.h"
#include "device/sysblock.h"

struct target {
	struct sys_blocks blocks; /* a disk and its partitions; or none, and a file: */
	const char *path;
	dev_t st_dev;
	ino_t st_ino;
};

struct scan {
	struct holders *h;
	struct target target;
	pid_t except_pid;
	bool is_counted;         /* opens are known without us: see above */
	struct sys_blocks btrfs; /* members of the btrfs file systems that use the target */
	ino_t own_ns;
	ino_t *seen_ns;
	size_t n_seen_ns;
};

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static void table_unrefp(struct libmnt_table **t)
{
	mnt_unref_table(*t);
}

static void iter_freep(struct libmnt_iter **i)
{
	mnt_free_iter(*i);
}

/* ---- what cannot be seen ----------------------------------------------------- */

/* Return: 0 when @err lets the scan pass over a thing of a process; else the error. */
static int passed_over(const struct scan *s, int err)
{
	if (err == ENOENT || err == ESRCH)
		return 0;
	if ((err == EACCES || err == EPERM) && s->is_counted)
		return 0;
	return -err;
}

/* What @err means for a directory of sysfs, which comes and goes with its device. */
static int unless_gone(int err)
{
	return err == ENOENT ? 0 : -err;
}

/* The next entry, or NULL at the end. 0 or -errno. */
static int next_entry(DIR *dir, const struct dirent **ret_e)
{
	const struct dirent *e;

	errno = 0;
	e = readdir(dir);
	if (!e && errno)
		return -errno;
	*ret_e = e;
	return 0;
}

static int refuse_line(struct libmnt_table *table, const char *path, int line)
{
	return -EBADMSG;
}

/* Reads a table of the kernel's whole or not at all. */
static int parse_table(struct libmnt_table *table, FILE *in, const char *path)
{
	mnt_table_set_parser_errcb(table, refuse_line);
	errno = 0;
	if (mnt_table_parse_stream(table, in, path) == 0 && !ferror(in))
		return 0;
	return errno ? -errno : -EBADMSG;
}

/* ---- one holder ------------------------------------------------------------ */

/* Cuts at a whole UTF-8 character and says so. */
static void copy_cut(char *dst, size_t n, const char *src)
{
	static const char more[] = "…";
	size_t at;

	if (strlen(src) < n) {
		strcpy(dst, src);
		return;
	}
	at = n - sizeof(more);
	while (at > 0 && ((unsigned char)src[at] & 0xc0) == 0x80)
		at--;
	memcpy(dst, src, at);
	memcpy(dst + at, more, sizeof(more));
}

static int add(struct scan *s, enum holder_kind kind, pid_t pid, const char *device,
	       const char *where, bool other_namespace)
{
	struct holder one = {.kind = kind, .pid = pid, .other_namespace = other_namespace};
	char path[64];

	copy_cut(one.device, sizeof(one.device), device);
	copy_cut(one.where, sizeof(one.where), where);
	if (pid > 0) {
		snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
		if (sys_read_line(path, one.comm, sizeof(one.comm)) < 0)
			one.comm[0] = '\0';
	}
	return holders_add(s->h, &one);
}

static int add_block(struct scan *s, enum holder_kind kind, pid_t pid, const struct sys_block *b,
		     const char *where, bool other_namespace)
{
	char device[64];

	snprintf(device, sizeof(device), "/dev/%s", b->name);
	return add(s, kind, pid, device, where, other_namespace);
}

static const struct sys_block *find_block(const struct sys_blocks *b, dev_t devno)
{
	for (size_t k = 0; devno && k < b->n; k++)
		if (b->v[k].devno == devno)
			return &b->v[k];
	return NULL;
}

/*
 * The device number behind a path below /dev as @pid sees it; 0: none. Looked up by
 * the kernel's name first, which works where that process has its own /dev.
 */
static dev_t node_devno(pid_t pid, const char *path)
{
	char there[PATH_MAX];
	struct statx stx;
	dev_t devno;

	if (strncmp(path, "/dev/", 5) != 0)
		return 0;
	devno = sys_block_devno(path + 5);
	if (devno)
		return devno;
	if (pid > 0)
		snprintf(there, sizeof(there), "/proc/%d/root%s", (int)pid, path);
	else
		snprintf(there, sizeof(there), "%s", path);
	if (statx(AT_FDCWD, there, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) < 0 ||
	    !S_ISBLK(stx.stx_mode))
		return 0;
	return makedev(stx.stx_rdev_major, stx.stx_rdev_minor);
}

/* ---- mounts ------------------------------------------------------------------ */

/*
 * A btrfs has an anonymous device number and many members, of which mountinfo names
 * one. sysfs lists the members of each.
 */
static int load_btrfs_one(struct scan *s, const char *uuid)
{
	CLEANUP(sys_blocks_clear) struct sys_blocks members = {0};
	CLEANUP(closedirp) DIR *dir = NULL;
	char path[NAME_MAX + 64];
	const struct dirent *e;
	bool is_ours = false;
	int r;

	snprintf(path, sizeof(path), "/sys/fs/btrfs/%s/devices", uuid);
	dir = opendir(path);
	if (!dir)
		return unless_gone(errno);
	while ((r = next_entry(dir, &e)) == 0 && e) {
		const dev_t devno = sys_block_devno(e->d_name);
		struct sys_block *more;

		if (!devno)
			continue;
		is_ours = is_ours || find_block(&s->target.blocks, devno);
		more = reallocarray(members.v, members.n + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		members.v = more;
		more[members.n++] = (struct sys_block){.devno = devno};
	}
	for (size_t k = 0; r == 0 && is_ours && k < members.n; k++) {
		struct sys_block *more = reallocarray(s->btrfs.v, s->btrfs.n + 1, sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->btrfs.v = more;
		more[s->btrfs.n++] = members.v[k];
	}
	return r;
}

static int load_btrfs(struct scan *s)
{
	CLEANUP(closedirp) DIR *dir = opendir("/sys/fs/btrfs");
	const struct dirent *e;
	int r = 0;

	if (!dir)
		return unless_gone(errno);
	while (r == 0 && (r = next_entry(dir, &e)) == 0 && e)
		if (e->d_name[0] != '.')
			r = load_btrfs_one(s, e->d_name);
	return r;
}

/* The block device of the target that @fs is on, or NULL. */
static const struct sys_block *mount_block(const struct scan *s, struct libmnt_fs *fs, pid_t pid)
{
	const struct sys_block *b = find_block(&s->target.blocks, mnt_fs_get_devno(fs));
	const char *source = mnt_fs_get_source(fs);
	const char *type = mnt_fs_get_fstype(fs);
	dev_t devno;

	/* Only an anonymous number says nothing of the device. */
	if (b || !source || major(mnt_fs_get_devno(fs)) != 0)
		return b;
	devno = node_devno(pid, source);
	b = find_block(&s->target.blocks, devno);
	if (!b && type && strcmp(type, "btrfs") == 0 && find_block(&s->btrfs, devno))
		b = &s->target.blocks.v[0];
	return b;
}

static int judge_mount(struct scan *s, struct libmnt_fs *fs, pid_t pid, bool is_other)
{
	const char *where = mnt_fs_get_target(fs);
	const char *root = mnt_fs_get_root(fs);
	const pid_t inside = is_other ? pid : 0;
	const struct sys_block *b;

	if (!where)
		return 0;
	if (s->target.blocks.n > 0) {
		b = mount_block(s, fs, pid);
		return b ? add_block(s, HOLDER_MOUNT, inside, b, where, is_other) : 0;
	}
	/* The file itself was bound to another place. */
	if (mnt_fs_get_devno(fs) == s->target.st_dev && root && strcmp(root, "/") != 0)
		return add(s, HOLDER_MOUNT, inside, s->target.path, where, is_other);
	return 0;
}

/* The kernel answers EINVAL for a process that has ended, but is not waited for yet. */
static int mounts_unseen(const struct scan *s, int err)
{
	return err == EINVAL ? 0 : passed_over(s, err);
}

static int scan_mounts_of(struct scan *s, pid_t pid, bool is_other)
{
	CLEANUP(table_unrefp) struct libmnt_table *table = mnt_new_table();
	CLEANUP(iter_freep) struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	CLEANUP(fclosep) FILE *in = NULL;
	struct libmnt_fs *fs;
	char path[64];
	int r;

	if (!table || !iter)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	in = fopen(path, "re");
	if (!in)
		return mounts_unseen(s, errno);
	r = parse_table(table, in, path);
	if (r)
		return passed_over(s, -r);
	while (r == 0 && mnt_table_next_fs(table, iter, &fs) == 0)
		r = judge_mount(s, fs, pid, is_other);
	return r;
}

/*
 * Return: 1 when this namespace was not looked at yet; 0; or -errno. Where it may not
 * be known, the list of its mounts may be: it is looked at as if it were our own, of
 * which equal mounts count once.
 */
static int namespace_is_new(struct scan *s, pid_t pid, bool *ret_is_other)
{
	char path[64];
	struct stat st;
	ino_t *more;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (stat(path, &st) < 0)
		return errno == EACCES || errno == EPERM ? 1 : passed_over(s, errno);
	for (size_t k = 0; k < s->n_seen_ns; k++)
		if (s->seen_ns[k] == st.st_ino)
			return 0;
	more = reallocarray(s->seen_ns, s->n_seen_ns + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	s->seen_ns = more;
	more[s->n_seen_ns++] = st.st_ino;
	*ret_is_other = st.st_ino != s->own_ns;
	return 1;
}

static int scan_mounts(struct scan *s, pid_t pid)
{
	bool is_other = false;
	int r = namespace_is_new(s, pid, &is_other);

	return r > 0 ? scan_mounts_of(s, pid, is_other) : r;
}

/* ---- swap, dm and md, loop ------------------------------------------------------ */

static bool is_target_file(const struct scan *s, const struct statx *stx)
{
	return s->target.blocks.n == 0 && stx->stx_ino == s->target.st_ino &&
	       makedev(stx->stx_dev_major, stx->stx_dev_minor) == s->target.st_dev;
}

static int scan_swaps(struct scan *s)
{
	CLEANUP(table_unrefp) struct libmnt_table *table = mnt_new_table();
	CLEANUP(iter_freep) struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	CLEANUP(fclosep) FILE *in = NULL;
	struct libmnt_fs *fs;
	int r;

	if (!table || !iter)
		return -ENOMEM;
	in = fopen("/proc/swaps", "re");
	if (!in)
		return errno == ENOENT ? 0 : -errno; /* a kernel without swap */
	r = parse_table(table, in, "/proc/swaps");
	while (r == 0 && mnt_table_next_fs(table, iter, &fs) == 0) {
		const char *source = mnt_fs_get_source(fs);
		const struct sys_block *b;

		if (!source)
			continue;
		b = find_block(&s->target.blocks, node_devno(0, source));
		if (b)
			r = add_block(s, HOLDER_SWAP, 0, b, source, false);
		else if (s->target.path && strcmp(source, s->target.path) == 0)
			r = add(s, HOLDER_SWAP, 0, s->target.path, source, false);
	}
	return r;
}

/* What a dm or md device is called by people. */
static void stacked_name(const char *name, char *buf, size_t n)
{
	char path[NAME_MAX + 32], line[160];

	snprintf(path, sizeof(path), "/sys/block/%s/dm/name", name);
	if (sys_read_line(path, line, sizeof(line)) == 0 && *line)
		snprintf(buf, n, "/dev/mapper/%s", line);
	else
		snprintf(buf, n, "/dev/%.200s", name);
}

static int scan_stacked_on(struct scan *s, const struct sys_block *b)
{
	CLEANUP(closedirp) DIR *dir = NULL;
	char path[64], where[256];
	const struct dirent *e;
	int r = 0;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(b->devno),
		 minor(b->devno));
	dir = opendir(path);
	if (!dir)
		return unless_gone(errno);
	while (r == 0 && (r = next_entry(dir, &e)) == 0 && e) {
		if (e->d_name[0] == '.')
			continue;
		stacked_name(e->d_name, where, sizeof(where));
		r = add_block(s, HOLDER_DM, 0, b, where, false);
	}
	return r;
}

static int scan_stacked(struct scan *s)
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < s->target.blocks.n; k++)
		r = scan_stacked_on(s, &s->target.blocks.v[k]);
	return r;
}

static int scan_loop_one(void *arg, const char *name, const char *backing)
{
	struct scan *s = arg;
	const struct sys_block *b = find_block(&s->target.blocks, node_devno(0, backing));
	char where[64];

	snprintf(where, sizeof(where), "/dev/%.50s", name);
	if (b)
		return add_block(s, HOLDER_LOOP, 0, b, where, false);
	if (s->target.path && strcmp(backing, s->target.path) == 0)
		return add(s, HOLDER_LOOP, 0, s->target.path, where, false);
	return 0;
}

/* ---- processes -------------------------------------------------------------------- */

/*
 * A file on a file system that is in no namespace any more, but lives as long as
 * the file is open.
 */
static int add_detached(struct scan *s, pid_t pid, const struct sys_block *b)
{
	char device[64];

	snprintf(device, sizeof(device), "/dev/%s", b->name);
	for (size_t k = 0; k < s->h->n; k++)
		if (s->h->v[k].kind == HOLDER_MOUNT && strcmp(s->h->v[k].device, device) == 0 &&
		    s->h->v[k].where[0] == '/')
			return 0;
	return add(s, HOLDER_MOUNT, pid, device, "(unmounted lazily)", false);
}

static int judge(struct scan *s, pid_t pid, const struct statx *stx, const char *where)
{
	const struct sys_block *b = NULL;

	if (S_ISBLK(stx->stx_mode))
		b = find_block(&s->target.blocks,
			       makedev(stx->stx_rdev_major, stx->stx_rdev_minor));
	if (b)
		return add_block(s, HOLDER_OPEN, pid, b, where, false);
	if (is_target_file(s, stx))
		return add(s, HOLDER_OPEN, pid, s->target.path, where, false);
	b = find_block(&s->target.blocks, makedev(stx->stx_dev_major, stx->stx_dev_minor));
	return b ? add_detached(s, pid, b) : 0;
}

/*
 * A FUSE file system tells others than its owner, root too, nothing but its number:
 * nothing else may be asked for.
 */
static int link_attributes(int dir_fd, const char *name, struct statx *ret_stx)
{
	const int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;

	if (statx(dir_fd, name, flags, STATX_TYPE | STATX_INO, ret_stx) == 0)
		return 0;
	if (errno != EACCES)
		return -errno;
	return statx(dir_fd, name, flags, 0, ret_stx) < 0 ? -errno : 0;
}

/* One symbolic link of /proc to an open or mapped file. */
static int judge_link(struct scan *s, pid_t pid, int dir_fd, const char *name)
{
	char where[PATH_MAX];
	struct statx stx;
	ssize_t n = readlinkat(dir_fd, name, where, sizeof(where) - 1);
	int r;

	/* The kernel has no name for what lies too deep. */
	if (n < 0 && errno == ENAMETOOLONG)
		n = snprintf(where, sizeof(where), "/…");
	if (n < 0)
		return passed_over(s, errno);
	/* Sockets, pipes and the like have names that are no paths. */
	if (n == 0 || where[0] != '/')
		return 0;
	where[n] = '\0';
	r = link_attributes(dir_fd, name, &stx);
	return r ? passed_over(s, -r) : judge(s, pid, &stx, where);
}

static int scan_fds(struct scan *s, pid_t pid)
{
	CLEANUP(closedirp) DIR *dir = NULL;
	const struct dirent *e;
	char path[64];
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return passed_over(s, errno);
	while (r == 0 && (r = next_entry(dir, &e)) == 0 && e)
		if (isdigit((unsigned char)e->d_name[0]))
			r = judge_link(s, pid, dirfd(dir), e->d_name);
	return passed_over(s, -r);
}

/*
 * A line of maps. For a file it tells device and inode; for a block device only the
 * path can be a hint, and map_files, opened when it is first needed, has the answer.
 */
static int judge_map(struct scan *s, pid_t pid, char *line, int *dir_fd)
{
	char range[64], path[64];
	unsigned maj, min;
	uint64_t ino;
	int at = 0;

	if (sscanf(line, "%63s %*s %*s %x:%x %" SCNu64 " %n", range, &maj, &min, &ino, &at) != 4)
		return -EBADMSG;
	if (ino == 0 || line[at] != '/')
		return 0;
	line[strcspn(line, "\n")] = '\0';
	if (s->target.blocks.n == 0) {
		if (ino == s->target.st_ino && makedev(maj, min) == s->target.st_dev)
			return add(s, HOLDER_OPEN, pid, s->target.path, line + at, false);
		return 0;
	}
	if (strncmp(line + at, "/dev/", 5) != 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/map_files", (int)pid);
	if (*dir_fd < 0)
		*dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *dir_fd < 0 ? passed_over(s, errno) : judge_link(s, pid, *dir_fd, range);
}

/* A map outlives its descriptor. */
static int scan_maps(struct scan *s, pid_t pid)
{
	CLEANUP(closep) int dir_fd = -1;
	CLEANUP(freep) char *line = NULL;
	CLEANUP(fclosep) FILE *in = NULL;
	size_t n_line = 0;
	char path[64];
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	in = fopen(path, "re");
	if (!in)
		return passed_over(s, errno);
	while (r == 0) {
		errno = 0;
		if (getline(&line, &n_line, in) < 0)
			return passed_over(s, errno);
		r = judge_map(s, pid, line, &dir_fd);
	}
	return r;
}

static int each_process(struct scan *s, int (*look)(struct scan *s, pid_t pid), bool all)
{
	CLEANUP(closedirp) DIR *dir = opendir("/proc");
	const struct dirent *e;
	int r = 0;

	if (!dir)
		return -errno;
	while (r == 0 && (r = next_entry(dir, &e)) == 0 && e) {
		const pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 0 && (all || (pid != s->except_pid && !apart_is_child(pid))))
			r = look(s, pid);
	}
	return r;
}

/* Whether there is something to look at. */
static int scan_begin(struct scan *s)
{
	bool hides = false;
	struct stat st;
	int r = procfs_check(&hides);

	if (r)
		return r;
	if (hides && !s->is_counted)
		return -EPERM;
	if (stat("/proc/self/ns/mnt", &st) < 0)
		return -errno;
	s->own_ns = st.st_ino;
	return s->target.blocks.n > 0 ? load_btrfs(s) : 0;
}

static int scan_run(struct scan *s)
{
	int r = scan_begin(s);

	/* Our own namespace first, so that what is in it is not said of another. */
	if (r == 0)
		r = scan_mounts(s, getpid());
	if (r == 0)
		r = each_process(s, scan_mounts, true);
	if (r == 0)
		r = scan_swaps(s);
	if (r == 0)
		r = scan_stacked(s);
	if (r == 0)
		r = sys_loop_each(scan_loop_one, s);
	if (r == 0)
		r = each_process(s, scan_fds, false);
	if (r == 0)
		r = each_process(s, scan_maps, false);
	free(s->seen_ns);
	sys_blocks_clear(&s->btrfs);
	sys_blocks_clear(&s->target.blocks);
	return r;
}

int holders_scan_block(struct holders *h, dev_t devno, pid_t except_pid)
{
	struct scan s = {.h = h, .except_pid = except_pid};
	int r = sys_blocks_load(&s.target.blocks, devno);

	s.is_counted = major(devno) == LOOP_MAJOR;
	return r ? r : scan_run(&s);
}

int holders_scan_file(struct holders *h, const char *path, dev_t st_dev, ino_t st_ino,
		      pid_t except_pid)
{
	struct scan s = {
		.h = h,
		.target = {.path = path, .st_dev = st_dev, .st_ino = st_ino},
		.except_pid = except_pid,
		.is_counted = true,
	};

	return scan_run(&s);
}
