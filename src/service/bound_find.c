/* SPDX-License-Identifier: MIT */
/*
 * Which units a path leads to
 *
 * Looking at a path may do I/O on a device of ours (the file system that is mounted on it),
 * so that is done apart. From the device number on there are sysfs and our own tables.
 */
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/apart.h"
#include "device/sysblock.h"
#include "scsi/lun.h"
#include "service/bound.h"
#include "service/log.h"
#include "service/unit.h"

#define LOOK_NS   (10 * NS_PER_S)
#define DEPTH_MAX 16 /* of devices on devices */

/* What counts of a stored login. */
struct login_key {
	char target[ISCSI_NAME_MAX + 1];
	bool has_portal;
	char address[ADDRESS_MAX + 1];
	uint16_t socket;
};

struct bound_finder {
	struct manager *m;
	struct login_key *logins;
	size_t n_logins;
	struct libmnt_table *mounts;
};

/* ---- paths --------------------------------------------------------------------------- */

struct look {
	char path[PATH_MAX];
	char real[PATH_MAX]; /* without symbolic links */
	mode_t mode;
	dev_t rdev;
};

static int look_run(void *arg)
{
	struct look *l = arg;
	char link[40];
	struct stat st;
	ssize_t n;
	int fd = open(l->path, O_PATH | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, l->real, sizeof(l->real) - 1);
	if (n < 0)
		return -errno;
	l->real[n] = '\0';
	l->mode = st.st_mode;
	l->rdev = st.st_rdev;
	return 0;
}

/* *ret is big: the caller has it from the heap. */
static int look_at(const char *path, struct look **ret)
{
	CLEANUP(freep) struct look *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	if (strlen(path) >= sizeof(l->path))
		return -ENAMETOOLONG;
	strcpy(l->path, path);
	r = apart_run(&(struct apart){.run = look_run, .arg = l, .n_arg = sizeof(*l), .fd = -1},
		      clock_now_ns() + LOOK_NS);
	if (r == 0)
		*ret = TAKE(l);
	return r;
}

/* ---- the finder -------------------------------------------------------------------------- */

static int login_note(void *arg, const struct kept_login *l)
{
	struct bound_finder *f = arg;
	struct login_key *grown;

	if (l->informational)
		return 0;
	grown = reallocarray(f->logins, f->n_logins + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	f->logins = grown;
	grown += f->n_logins++;
	*grown = (struct login_key){.has_portal = l->has_portal, .socket = l->portal.socket};
	memcpy(grown->target, l->target, sizeof(grown->target));
	memcpy(grown->address, l->portal.address, sizeof(grown->address));
	return 0;
}

struct bound_finder *bound_finder_free(struct bound_finder *f)
{
	if (f) {
		mnt_unref_table(f->mounts);
		free(f->logins);
		free(f);
	}
	return NULL;
}

struct bound_finder *bound_finder_new(struct manager *m, int *ret_r)
{
	struct bound_finder *f = calloc(1, sizeof(*f));

	*ret_r = -ENOMEM;
	if (!f)
		return NULL;
	f->m = m;
	*ret_r = store_each_login(m->store, login_note, f);
	if (*ret_r == 0) {
		f->mounts = mnt_new_table_from_file("/proc/self/mountinfo");
		*ret_r = f->mounts ? 0 : -ENOMEM;
	}
	return *ret_r ? bound_finder_free(f) : f;
}

/* manager->lock: a path of the unit that a stored login will bring back, or NULL. */
static struct unit_path *path_kept(const struct bound_finder *f, const struct unit *u)
{
	struct unit_path *p;

	list_for_each (p, &u->paths, in_unit) {
		const struct session *s = p->session;

		for (size_t i = 0; i < f->n_logins; i++) {
			const struct login_key *k = &f->logins[i];

			if (!s->informational && iscsi_name_equal(k->target, s->target) &&
			    (!k->has_portal || (k->socket == s->portal.socket &&
						strcasecmp(k->address, s->portal.address) == 0)))
				return p;
		}
	}
	return NULL;
}

/* ---- from a device to units ------------------------------------------------------------------
 */

struct search {
	const struct bound_finder *f;
	struct bound *b;
	unsigned depth;
	bool direct; /* it is a unit or a partition of one, not something on top */
	bool unkept; /* it is on a unit that no stored login brings back */
};

static int unit_note(struct bound *b, const struct unit_path *p, unsigned partition)
{
	struct bound_unit *grown;

	for (size_t i = 0; i < b->n_units; i++) {
		if (b->units[i].lun == p->lun && b->units[i].partition == partition &&
		    iscsi_name_equal(b->units[i].target, p->session->target))
			return 0;
	}
	grown = reallocarray(b->units, b->n_units + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	b->units = grown;
	grown += b->n_units++;
	*grown = (struct bound_unit){.lun = p->lun, .partition = partition};
	memcpy(grown->target, p->session->target, sizeof(grown->target));
	return 0;
}

/* manager->lock */
static int unit_take(struct search *s, const struct unit *u, unsigned partition)
{
	struct unit_path *p = path_kept(s->f, u);

	s->direct = s->depth == 0;
	if (!p) {
		s->unkept = true;
		return 0;
	}
	return unit_note(s->b, p, partition);
}

/* 1: it is one of ours. */
static int search_ours(struct search *s, dev_t disk, unsigned partition)
{
	struct manager *m = s->f->m;
	struct unit *u;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	list_for_each (u, &m->units, node) {
		if (disk && u->dev && u->backend->devno(u->dev) == disk) {
			r = unit_take(s, u, partition) ?: 1;
			break;
		}
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int search_device(void *arg, dev_t dev)
{
	struct search *s = arg;
	unsigned partition;
	dev_t disk = sys_block_disk(dev, &partition);
	int r = search_ours(s, disk, partition);

	if (r || s->depth >= DEPTH_MAX)
		return r < 0 ? r : 0;
	s->depth++;
	r = sys_block_slaves(disk, search_device, s);
	s->depth--;
	return r;
}

/* A file of a backend that has no block devices. */
static int search_file(struct search *s, const char *path, const char *real)
{
	struct manager *m = s->f->m;
	struct unit_path *p;
	struct unit *u;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	list_for_each (u, &m->units, node) {
		bool is = false;

		list_for_each (p, &u->paths, in_unit)
			is |= unit_path_is_device(p, path) || unit_path_is_device(p, real);
		if (is && r == 0)
			r = unit_take(s, u, 0);
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* ---- names ------------------------------------------------------------------------------------
 */

/* The name that a device on top of others will have again; @fallback where none is known. */
static char *stable_node(dev_t dev, const char *fallback)
{
	char name[32], path[96], line[200], *node = NULL;

	if (sys_block_name(dev, name) == 0) {
		snprintf(path, sizeof(path), "/sys/block/%s/dm/name", name);
		if (sys_read_line(path, line, sizeof(line)) == 0)
			return asprintf(&node, "/dev/mapper/%s", line) < 0 ? NULL : node;
	}
	return strdup(fallback);
}

static char *key_of_unit(const struct bound_unit *u)
{
	char lun[LUN_TEXT_BYTES], *key = NULL;

	lun_text(u->lun, lun);
	if (asprintf(&key, "unit:%s/%s/%u", u->target, lun, u->partition) < 0)
		return NULL;
	for (char *p = key; *p; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	}
	return key;
}

static char *key_of(const char *kind, const char *path)
{
	char *key = NULL;

	return asprintf(&key, "%s:%s", kind, path) < 0 ? NULL : key;
}

void bound_keys_clear(struct bound_keys *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(k->v); i++)
		free(k->v[i]);
}

int bound_keys_of(const char *path, struct bound_keys *ret)
{
	CLEANUP(freep) struct look *l = NULL;
	CLEANUP(freep) char *node = NULL;

	/* what is not there has no other names than its own */
	if (look_at(path, &l))
		return 0;
	ret->v[0] = key_of("mount", l->real);
	node = S_ISBLK(l->mode) ? stable_node(l->rdev, l->real) : strdup(path);
	ret->v[1] = node ? key_of("node", node) : NULL;
	return ret->v[0] && ret->v[1] ? 0 : -ENOMEM;
}

/* ---- one path -----------------------------------------------------------------------------------
 */

/* @mount: where it is mounted, else NULL; @source: how the device is called there. */
static int bound_name(struct search *s, dev_t dev, const char *mount, const char *source)
{
	struct bound *b = s->b;

	if (b->n_units == 0)
		return 0;
	b->node = s->direct ? strdup("") : stable_node(dev, source);
	if (!b->node)
		return -ENOMEM;
	if (mount)
		b->key = key_of("mount", mount);
	else
		b->key = s->direct ? key_of_unit(&b->units[0]) : key_of("node", b->node);
	return b->key ? 0 : -ENOMEM;
}

/* The device below a file system; some have none of their own but name it. */
static dev_t device_of_mount(struct libmnt_fs *fs)
{
	const char *source = mnt_fs_get_srcpath(fs);
	CLEANUP(freep) struct look *l = NULL;
	dev_t dev = mnt_fs_get_devno(fs);

	if (major(dev) != 0 || !source || source[0] != '/')
		return dev;
	return look_at(source, &l) == 0 && S_ISBLK(l->mode) ? l->rdev : dev;
}

static int search_mount(struct search *s, struct libmnt_fs *fs)
{
	const char *source = mnt_fs_get_srcpath(fs);
	dev_t dev = device_of_mount(fs);
	int r = search_device(s, dev);

	return r ? r : bound_name(s, dev, mnt_fs_get_target(fs), source ? source : "");
}

static int search_path(struct search *s, const struct look *l)
{
	struct libmnt_fs *fs;
	int r;

	if (S_ISBLK(l->mode)) {
		r = search_device(s, l->rdev);
		return r ? r : bound_name(s, l->rdev, NULL, l->real);
	}
	r = search_file(s, l->path, l->real);
	if (r || s->b->n_units || s->unkept)
		return r ? r : bound_name(s, 0, NULL, "");
	fs = mnt_table_find_target(s->f->mounts, l->real, MNT_ITER_BACKWARD);
	return fs ? search_mount(s, fs) : 0;
}

static uint32_t not_there(const char *path, int r, struct refusal *why)
{
	return refuse(why, ISDSC_DEVICE_NOT_ISCSI_OR_PERSISTENT, "%s cannot be looked at: %s", path,
		      strerror(-r));
}

uint32_t bound_find(struct bound_finder *f, const char *path, struct bound *ret,
		    struct refusal *why)
{
	CLEANUP(bound_clear) struct bound b = {0};
	CLEANUP(freep) struct look *l = NULL;
	struct search s = {.f = f, .b = &b};
	int r;

	if (path[0] != '/') {
		/* what LegacyName is where there is only a socket */
		r = search_file(&s, path, path);
		if (r == 0 && b.n_units == 0 && !s.unkept)
			return refuse(why, WIN_INVALID_PARAMETER, "\"%s\" is not an absolute path",
				      path);
		r = r ? r : bound_name(&s, 0, NULL, "");
	} else {
		r = look_at(path, &l);
		if (r)
			return not_there(path, r, why);
		r = search_path(&s, l);
	}
	b.path = strdup(path);
	if (r || !b.path)
		return refuse_errno(why, r ? r : -ENOMEM, path);
	if (s.unkept)
		return refuse(why, ISDSC_DEVICE_NOT_ISCSI_OR_PERSISTENT,
			      "%s is on a target whose login is not stored; store it first", path);
	if (b.n_units == 0)
		return refuse(why, ISDSC_DEVICE_NOT_ISCSI_OR_PERSISTENT,
			      "%s is neither a device of a session, nor on one, nor the mount "
			      "point of a file system on one",
			      path);
	*ret = b;
	b = (struct bound){0};
	return 0;
}

/* ---- all there is
 * --------------------------------------------------------------------------------
 */

struct all {
	struct bound_finder *f;
	struct bound *v;
	size_t n;
};

static int all_add(struct all *a, struct bound *b, const char *path)
{
	struct bound *grown = reallocarray(a->v, a->n + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	a->v = grown;
	b->path = strdup(path);
	if (!b->path)
		return -ENOMEM;
	a->v[a->n++] = *b;
	*b = (struct bound){0};
	return 0;
}

/* manager->lock. The unit under its stable name. */
static int all_add_unit(struct all *a, const struct unit *u)
{
	CLEANUP(bound_clear) struct bound b = {0};
	char path[PATH_MAX];
	struct search s = {.f = a->f, .b = &b};
	struct unit_path *p = u->dev ? path_kept(a->f, u) : NULL;
	int r;

	if (!p)
		return 0;
	if (p->link[0])
		snprintf(path, sizeof(path), "%s/by-path/%s", a->f->m->devices_dir, p->link);
	else
		snprintf(path, sizeof(path), "%s", u->backend->path(u->dev));
	r = unit_take(&s, u, 0);
	if (r == 0)
		r = bound_name(&s, 0, NULL, "");
	if (r == 0 && !utf8_valid(path, strlen(path)))
		return 0;
	return r ? r : all_add(a, &b, path);
}

static int all_add_units(struct all *a)
{
	struct manager *m = a->f->m;
	struct unit *u;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	list_for_each (u, &m->units, node) {
		if (r == 0)
			r = all_add_unit(a, u);
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int all_add_mount(struct all *a, struct libmnt_fs *fs)
{
	CLEANUP(bound_clear) struct bound b = {0};
	const char *target = mnt_fs_get_target(fs), *root = mnt_fs_get_root(fs);
	struct search s = {.f = a->f, .b = &b};
	int r;

	/* a directory of it that is bound elsewhere is no volume */
	if (!target || !root || strcmp(root, "/") != 0 || !utf8_valid(target, strlen(target)))
		return 0;
	r = search_mount(&s, fs);
	if (r || s.unkept || b.n_units == 0)
		return r;
	return all_add(a, &b, target);
}

int bound_find_all(struct bound_finder *f, struct bound **ret, size_t *ret_n)
{
	struct libmnt_iter *it = mnt_new_iter(MNT_ITER_FORWARD);
	struct all a = {.f = f};
	struct libmnt_fs *fs;
	int r = it ? all_add_units(&a) : -ENOMEM;

	while (r == 0 && mnt_table_next_fs(f->mounts, it, &fs) == 0)
		r = all_add_mount(&a, fs);
	mnt_free_iter(it);
	if (r) {
		bound_free_all(a.v, a.n);
		return r;
	}
	*ret = a.v;
	*ret_n = a.n;
	return 0;
}
