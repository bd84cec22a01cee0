/* SPDX-License-Identifier: MIT */
#include "device/ublk_record.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/backend_private.h"
#include "device/privilege_ublk.h"

#define FILE_NAME "ublk"
#define WAITING   "waiting-" /* and the mark: the name of a directory whose device waits */

static int path_of(const char *dir, char *path, size_t n)
{
	return snprintf(path, n, "%s/" FILE_NAME, dir) < (int)n ? 0 : -ENAMETOOLONG;
}

int ublk_record_write(const char *dir, uint64_t mark, const char *identity)
{
	char path[4096], text[UBLK_IDENTITY_MAX + 32];
	CLEANUP(closep) int fd = -1;
	int r = path_of(dir, path, sizeof(path)), n;

	if (r)
		return r;
	if (strlen(identity) >= UBLK_IDENTITY_MAX || strchr(identity, '\n'))
		identity = "";
	n = snprintf(text, sizeof(text), "%016" PRIx64 "\n%s\n", mark, identity);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)n) != n) {
		(void)unlink(path);
		return -EIO;
	}
	return 0;
}

void ublk_record_remove(const char *dir)
{
	char path[4096];

	if (path_of(dir, path, sizeof(path)) == 0)
		(void)unlink(path);
	backend_remove_dir(dir);
}

int ublk_record_wait(const struct ublk_record *r, const char *devices_dir)
{
	char to[4096];

	if (r->is_waiting)
		return 0;
	if (snprintf(to, sizeof(to), "%s/" WAITING "%016" PRIx64, devices_dir, r->mark) >=
	    (int)sizeof(to))
		return -ENAMETOOLONG;
	return rename(r->dir, to) < 0 ? -errno : 0;
}

int ublk_record_take(const struct ublk_record *r, const char *dir)
{
	/* One of several who want it has it. */
	return rename(r->dir, dir) < 0 ? -errno : 0;
}

static bool record_read(struct ublk_record *r)
{
	CLEANUP(closep) int fd = -1;
	char path[4096 + 8], text[UBLK_IDENTITY_MAX + 32], *end;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/" FILE_NAME, r->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return false;
	text[n] = '\0';
	r->mark = strtoull(text, &end, 16);
	if (end - text != 16 || *end != '\n')
		return false;
	end[1 + strcspn(end + 1, "\n")] = '\0';
	snprintf(r->identity, sizeof(r->identity), "%s", end + 1);
	return true;
}

int ublk_record_each(const char *devices_dir, int (*each)(void *arg, const struct ublk_record *r),
		     void *arg)
{
	struct ublk_record *record = malloc(sizeof(*record));
	DIR *dir = opendir(devices_dir);
	const struct dirent *e;
	int r = record ? 0 : -ENOMEM;

	while (r == 0 && dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.' ||
		    snprintf(record->dir, sizeof(record->dir), "%s/%s", devices_dir, e->d_name) >=
			    (int)sizeof(record->dir))
			continue;
		record->is_waiting = strncmp(e->d_name, WAITING, strlen(WAITING)) == 0;
		if (record_read(record))
			r = each(arg, record);
	}
	if (dir)
		closedir(dir);
	free(record);
	return r;
}

/* ---- the kernel's side ---------------------------------------------------------- */

struct found {
	uint64_t mark;
	struct ublk_dev_info info;
};

static int mark_is(void *arg, uint32_t dev_id)
{
	struct found *f = arg;

	return priv_ublk_info(dev_id, &f->info) == 0 && f->info.mark == f->mark;
}

/* Calls @each for every ublk device until it returns other than 0, which is returned. */
static int each_device(int (*each)(void *arg, uint32_t dev_id), void *arg)
{
	DIR *dir = opendir("/sys/class/ublk-char");
	const struct dirent *e;
	int r = 0;

	while (r == 0 && dir && (e = readdir(dir)))
		if (strncmp(e->d_name, "ublkc", 5) == 0 && isdigit((unsigned char)e->d_name[5]))
			r = each(arg, (uint32_t)strtoul(e->d_name + 5, NULL, 10));
	if (dir)
		closedir(dir);
	return r;
}

bool ublk_record_device(uint64_t mark, struct ublk_dev_info *ret)
{
	struct found f = {.mark = mark};

	if (!each_device(mark_is, &f))
		return false;
	*ret = f.info;
	return true;
}
