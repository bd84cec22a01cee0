/* SPDX-License-Identifier: MIT */
#include "service/udev.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/sysblock.h"
#include "scsi/lun.h"
#include "service/log.h"
#include "service/unit.h"

#define DIRECTORY ".udev"
#define WWN_HEAD  18           /* 0x and eight bytes; what follows is the extension */
#define PATHS_MAX LU_MAX_PATHS /* as many as the rules know */

static bool udev_is_for_us(const struct unit *u)
{
	return !u->m->user_mode && u->dev && u->backend->devno(u->dev);
}

void udev_prepare(struct manager *m)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" DIRECTORY, m->devices_dir);
	if (!m->user_mode && mkdir(path, 0755) < 0 && errno != EEXIST)
		log_warning("%s: %s", path, strerror(errno));
}

/* Kernels before 5.15 have no such number: "". */
static void sequence_of(const char *kernel_name, char *buf, size_t n)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/block/%s/diskseq", kernel_name);
	if (sys_read_line(path, buf, n) < 0)
		buf[0] = '\0';
}

/* The disk it tells of is there. Without a number only a ublk device can be nobody else's. */
static bool file_is_true(const char *file)
{
	const char *dash = strrchr(file, '-');
	char name[64], now[32];

	if (!dash || dash - file >= (int)sizeof(name))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)(dash - file), file);
	sequence_of(name, now, sizeof(now));
	return strcmp(dash + 1, now) == 0 && sys_block_devno(name) &&
	       (now[0] || strncmp(name, "ublkb", 5) == 0);
}

void udev_sweep(const char *devices_dir)
{
	char path[PATH_MAX];
	const struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/" DIRECTORY, devices_dir);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (!file_is_true(e->d_name))
			unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
}

/* ---- properties ------------------------------------------------------------------ */

/* One word of what udev takes; what was in the way becomes one underscore. */
static void property(FILE *f, const char *key, const char *value)
{
	bool gap = false;

	if (!value[0])
		return;
	fprintf(f, "%s=", key);
	for (const char *p = value; *p; p++) {
		unsigned char c = (unsigned char)*p;
		bool plain = !isascii(c) || isalnum(c) || strchr("#+-.:=@_,/", c);

		if (plain && gap)
			fputc('_', f);
		if (plain)
			fputc(c, f);
		gap = !plain;
	}
	fputc('\n', f);
}

static void write_names(FILE *f, const struct unit *u)
{
	char serial[LU_NAME_MAX], wwn[LU_NAME_MAX], head[WWN_HEAD + 1];

	lu_info_scsi_id(&u->info, serial, sizeof(serial));
	property(f, "ID_SERIAL", serial);
	property(f, "ID_SERIAL_SHORT", serial[0] ? serial + 1 : "");
	property(f, "ID_SCSI_SERIAL", u->info.serial);
	lu_info_wwn(&u->info, wwn, sizeof(wwn));
	snprintf(head, sizeof(head), "%.*s", WWN_HEAD, wwn);
	property(f, "ID_WWN", head);
	property(f, "ID_WWN_WITH_EXTENSION", wwn);
	if (strlen(wwn) > WWN_HEAD)
		fprintf(f, "ID_WWN_VENDOR_EXTENSION=0x%s\n", wwn + WWN_HEAD);
	property(f, "ID_ISCSIDSC_ID_0", u->id_link);
	property(f, "ID_ISCSIDSC_ID_1", u->wwn_link);
}

static void write_path_tag(FILE *f, const char *link)
{
	fprintf(f, "ID_PATH_TAG=");
	for (const char *p = link; *p; p++)
		fputc(isascii((unsigned char)*p) && isalnum((unsigned char)*p) ? *p : '_', f);
	fputc('\n', f);
}

static void write_paths(FILE *f, const struct unit *u)
{
	const struct unit_path *p;
	unsigned n = 0;

	list_for_each (p, &u->paths, in_unit) {
		char key[32];

		if (!p->link[0] || n == PATHS_MAX)
			continue;
		if (n == 0) {
			property(f, "ID_PATH", p->link);
			write_path_tag(f, p->link);
		}
		snprintf(key, sizeof(key), "ID_ISCSIDSC_PATH_%u", n++);
		property(f, key, p->link);
	}
}

static void write_all(FILE *f, const struct unit *u)
{
	const struct unit_path *p = list_first(&u->paths, struct unit_path, in_unit);
	char id[ID_TEXT_BYTES], lun[LUN_TEXT_BYTES];

	fputs("ID_ISCSIDSC=1\nID_BUS=scsi\nID_SCSI=1\nID_TYPE=disk\n", f);
	property(f, "ID_ISCSIDSC_BACKEND", u->backend->name);
	property(f, "ID_VENDOR", u->info.vendor);
	property(f, "ID_MODEL", u->info.product);
	property(f, "ID_REVISION", u->info.revision);
	write_names(f, u);
	if (!p)
		return;
	id_text(&p->session->id, id);
	lun_name(p->lun, lun);
	property(f, "ID_ISCSIDSC_SESSION", id);
	property(f, "ID_ISCSIDSC_TARGET", p->session->target);
	property(f, "ID_ISCSIDSC_LUN", lun);
	write_paths(f, u);
}

/* A reader sees all of it or what was there before. */
static int file_write(const struct unit *u, const char *path)
{
	char fresh[PATH_MAX];
	FILE *f;
	int r;

	if (snprintf(fresh, sizeof(fresh), "%s~", path) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	f = fopen(fresh, "we");
	if (!f)
		return -errno;
	write_all(f, u);
	r = ferror(f) ? -EIO : 0;
	if (fclose(f) != 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(fresh, path) < 0)
		r = -errno;
	if (r)
		unlink(fresh);
	return r;
}

/* ---- events ---------------------------------------------------------------------- */

/* In a container sysfs cannot be written, and udev is not for us. */
static void trigger(const struct sys_block *b)
{
	CLEANUP(closep) int fd = -1;
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/block/%s/uevent", b->name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "change", 6) != 6)
		log_debug("%s: %s", path, strerror(errno));
}

/* The disk first: what a partition is called it takes from there. */
static void trigger_all(dev_t disk)
{
	struct sys_blocks b = {0};

	if (sys_blocks_load(&b, disk))
		return;
	for (size_t i = 0; i < b.n; i++)
		trigger(&b.v[i]);
	sys_blocks_clear(&b);
}

static void file_drop(const struct unit *u)
{
	char path[PATH_MAX];

	if (!u->udev_file[0])
		return;
	snprintf(path, sizeof(path), "%s/" DIRECTORY "/%s", u->m->devices_dir, u->udev_file);
	unlink(path);
}

void udev_tell(struct unit *u)
{
	char name[32], sequence[32], file[sizeof(u->udev_file)], path[PATH_MAX];
	int r;

	if (!udev_is_for_us(u) || sys_block_name(u->backend->devno(u->dev), name))
		return;
	sequence_of(name, sequence, sizeof(sequence));
	snprintf(file, sizeof(file), "%s-%s", name, sequence);
	if (strcmp(file, u->udev_file) != 0)
		file_drop(u);
	memcpy(u->udev_file, file, sizeof(file));
	snprintf(path, sizeof(path), "%s/" DIRECTORY "/%s", u->m->devices_dir, file);
	r = file_write(u, path);
	if (r)
		log_warning("%s: %s", path, strerror(-r));
	else
		trigger_all(u->backend->devno(u->dev));
}

void udev_forget(struct unit *u)
{
	file_drop(u);
	u->udev_file[0] = '\0';
}
