/* SPDX-License-Identifier: MIT */
/*
 * Stable names: links to the devices
 *
 * by-path/ip-ADDRESS:PORT-iscsi-NAME-lun-N for each path, by-id/scsi-SERIAL and
 * by-id/wwn-0xNUMBER for each unit that has them: the names that udev gives to disks of
 * the kernel's initiator. udev makes the same below /dev/disk (udev.c). A link that is there
 * already is another unit's (a copy with the same designator) and stays; we remove only what points
 * at our device. What could not be made has no name: nobody is told of a link that is not there, or
 * leads elsewhere.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/name.h"
#include "scsi/lun.h"
#include "service/log.h"
#include "service/udev.h"
#include "service/unit.h"

static const char *const dirs[] = {"by-path", "by-id"};

void links_prepare(struct manager *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", m->devices_dir, dirs[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			log_warning("%s: %s", path, strerror(errno));
	}
	udev_prepare(m);
}

unsigned links_sweep(const char *devices_dir)
{
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		char path[PATH_MAX];
		struct dirent *e;
		DIR *d;

		snprintf(path, sizeof(path), "%s/%s", devices_dir, dirs[i]);
		d = opendir(path);
		if (!d)
			continue;
		while ((e = readdir(d))) {
			struct stat st;

			if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			    S_ISLNK(st.st_mode) && unlinkat(dirfd(d), e->d_name, 0) == 0)
				n++;
		}
		closedir(d);
	}
	return n;
}

/*
 * What a target says may not leave the directory or confuse who lists it; what udev would
 * not have in a name becomes the same as there.
 */
static void name_fit(char *name)
{
	bool text = utf8_valid(name, strlen(name));

	for (char *p = name; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (!(isascii(c) ? isalnum(c) || strchr("#+-.:=@_", c) : text))
			*p = '_';
	}
	if (name[0] == '.')
		name[0] = '_';
}

static void name_of_path(const struct unit_path *p, char *ret, size_t n)
{
	char lun[LUN_TEXT_BYTES];

	lun_name(p->lun, lun);
	snprintf(ret, n, "ip-%s:%u-iscsi-%s-lun-%s", p->session->portal.address,
		 p->session->portal.socket, p->session->target, lun);
	name_fit(ret);
}

void links_name_path(struct unit_path *p)
{
	name_of_path(p, p->link, sizeof(p->link));
}

static bool is_ours(const struct unit *u, const char *path)
{
	char to[PATH_MAX];
	ssize_t n = readlink(path, to, sizeof(to) - 1);

	if (n < 0)
		return false;
	to[n] = '\0';
	return strcmp(to, u->backend->path(u->dev)) == 0;
}

/* True: the link is there and leads to the unit's device. */
static bool link_make(const struct unit *u, const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (!name[0])
		return false;
	snprintf(path, sizeof(path), "%s/%s/%s", u->m->devices_dir, dir, name);
	if (symlink(u->backend->path(u->dev), path) == 0)
		return true;
	if (errno != EEXIST) {
		log_warning("%s: %s", path, strerror(errno));
		return false;
	}
	log_debug("%s: is there already", path);
	return is_ours(u, path);
}

static void link_drop(struct unit *u, const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (!u->dev || !name[0])
		return;
	snprintf(path, sizeof(path), "%s/%s/%s", u->m->devices_dir, dir, name);
	if (is_ours(u, path))
		unlink(path);
}

/* Somebody may be reading it. */
static void name_set(struct unit *u, char *at, const char *name, bool there)
{
	pthread_mutex_lock(&u->m->lock);
	strcpy(at, there ? name : "");
	pthread_mutex_unlock(&u->m->lock);
}

/* "PREFIX-NAME" below by-id. */
static void id_link_make(struct unit *u, char *at, const char *prefix,
			 void (*name_of)(const struct lu_info *i, char *buf, size_t n))
{
	char name[LU_NAME_MAX], link[sizeof(u->id_link)] = "";

	name_of(&u->info, name, sizeof(name));
	if (!name[0] || snprintf(link, sizeof(link), "%s%s", prefix, name) >= (int)sizeof(link))
		link[0] = '\0';
	name_fit(link);
	name_set(u, at, link, link_make(u, "by-id", link));
}

void links_make(struct unit *u)
{
	char name[sizeof(((struct unit_path *)NULL)->link)];
	struct unit_path *p;

	id_link_make(u, u->id_link, "scsi-", lu_info_scsi_id);
	id_link_make(u, u->wwn_link, "wwn-", lu_info_wwn);
	list_for_each (p, &u->paths, in_unit) {
		name_of_path(p, name, sizeof(name));
		name_set(u, p->link, name, link_make(u, "by-path", name));
	}
	udev_tell(u);
}

void links_drop_path(struct unit_path *p)
{
	const struct unit_path *other;

	/* two sessions through one portal share the name */
	list_for_each (other, &p->unit->paths, in_unit) {
		if (other != p && strcmp(other->link, p->link) == 0)
			return;
	}
	link_drop(p->unit, "by-path", p->link);
}

void links_drop_unit(struct unit *u)
{
	struct unit_path *p;

	udev_forget(u);
	list_for_each (p, &u->paths, in_unit)
		link_drop(u, "by-path", p->link);
	link_drop(u, "by-id", u->id_link);
	link_drop(u, "by-id", u->wwn_link);
}
