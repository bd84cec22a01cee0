/* SPDX-License-Identifier: MIT */
#include "service/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/sysblock.h"
#include "service/args.h"
#include "service/log.h"

/* Each mount with the disk below it, found out once however many disks are asked for. */
struct volume {
	dev_t dev, disk;
	const char *target; /* the table's */
};

struct volumes {
	struct libmnt_table *table;
	struct volume *v;
	size_t n;
};

static int volumes_fill(struct volumes *v)
{
	struct libmnt_iter *it = mnt_new_iter(MNT_ITER_FORWARD);
	int n = mnt_table_get_nents(v->table);
	struct libmnt_fs *fs;
	unsigned partition;

	v->v = calloc(n > 0 ? (size_t)n : 1, sizeof(*v->v));
	while (it && v->v && v->n < (size_t)n && mnt_table_next_fs(v->table, it, &fs) == 0) {
		struct volume *one = &v->v[v->n];

		one->dev = mnt_fs_get_devno(fs);
		one->disk = sys_block_disk(one->dev, &partition);
		one->target = mnt_fs_get_target(fs);
		v->n += one->target != NULL;
	}
	mnt_free_iter(it);
	return it && v->v ? 0 : -ENOMEM;
}

struct volumes *volumes_read(void)
{
	struct volumes *v = calloc(1, sizeof(*v));

	if (v) {
		v->table = mnt_new_table_from_file("/proc/self/mountinfo");
		if (!v->table || volumes_fill(v))
			return volumes_free(v);
	}
	return v;
}

struct volumes *volumes_free(struct volumes *v)
{
	if (v) {
		mnt_unref_table(v->table);
		free(v->v);
		free(v);
	}
	return NULL;
}

json_t *volumes_of(struct volumes *v, dev_t disk)
{
	json_t *array = json_array();

	for (size_t i = 0; v && disk && i < v->n; i++) {
		if (v->v[i].dev == disk || v->v[i].disk == disk)
			json_array_append_new(array, json_of_foreign(v->v[i].target));
	}
	return array;
}

static void mount_sync(const struct holder *h)
{
	char path[PATH_MAX];
	CLEANUP(closep) int fd = -1;

	if (h->other_namespace && h->pid > 0)
		snprintf(path, sizeof(path), "/proc/%d/root%s", (int)h->pid, h->where);
	else
		snprintf(path, sizeof(path), "%s", h->where);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = open(path,
			  O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a file can be mounted on too */
	if (fd < 0 || syncfs(fd) < 0)
		log_error("%s: cannot be written back: %s", path, strerror(errno));
}

void volumes_sync(const struct holders *h)
{
	bool hidden = false;

	for (size_t i = 0; i < h->n; i++) {
		if (h->v[i].kind == HOLDER_MOUNT)
			mount_sync(&h->v[i]);
		hidden |= h->v[i].kind == HOLDER_DM || h->v[i].kind == HOLDER_LOOP;
	}
	if (hidden)
		sync();
}
