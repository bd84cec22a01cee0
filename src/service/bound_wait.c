/* SPDX-License-Identifier: MIT */
/*
 * Waiting for bound devices
 *
 * An entry is there when each of its units is ready and what it stands for can be opened: the
 * unit's device, its partition, or the volume on top. A file system is not waited for: it is
 * mounted by those who wait for us. Opening is done apart, because it may do I/O on the device.
 */
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
#include "base/status.h"
#include "device/apart.h"
#include "device/sysblock.h"
#include "scsi/lun.h"
#include "service/bound.h"
#include "service/log.h"
#include "service/unit.h"

#define OPEN_NS     (5 * NS_PER_S)
#define MISSING_MAX 8 /* that are named */

struct open_step {
	char path[PATH_MAX];
};

/* A backend whose device is a socket: what is there is all that can be told without a client. */
static bool is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int open_run(void *arg)
{
	struct open_step *o = arg;
	int fd = open(o->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return errno == ENXIO && is_socket(o->path) ? 0 : -errno;
	close(fd);
	return 0;
}

static int can_open(const char *path)
{
	struct open_step o;

	if (strlen(path) >= sizeof(o.path))
		return -ENAMETOOLONG;
	strcpy(o.path, path);
	return apart_run(&(struct apart){.run = open_run, .arg = &o, .n_arg = sizeof(o), .fd = -1},
			 clock_now_ns() + OPEN_NS);
}

/* manager->lock. The ready unit that was bound, by whichever path it is reached. */
static struct unit *unit_bound(struct manager *m, const struct bound_unit *b)
{
	struct unit_path *p;
	struct unit *u;

	list_for_each (u, &m->units, node) {
		if (!u->dev || u->state != UNIT_READY)
			continue;
		list_for_each (p, &u->paths, in_unit) {
			if (p->lun == b->lun && iscsi_name_equal(p->session->target, b->target))
				return u;
		}
	}
	return NULL;
}

/* The device node of the unit or its partition. 0 or -errno. */
static int unit_node(struct manager *m, const struct bound_unit *b, char *ret, size_t n)
{
	char name[32];
	struct unit *u;
	dev_t dev = 0;

	pthread_mutex_lock(&m->lock);
	u = unit_bound(m, b);
	if (u) {
		dev = u->backend->devno(u->dev);
		snprintf(ret, n, "%s", u->backend->path(u->dev));
	}
	pthread_mutex_unlock(&m->lock);
	if (!u)
		return -ENODEV;
	if (b->partition == 0)
		return 0;
	dev = dev ? sys_block_partition(dev, b->partition) : 0;
	if (!dev || sys_block_name(dev, name))
		return -ENXIO;
	snprintf(ret, n, "/dev/%s", name);
	return 0;
}

static bool unit_missing(const struct bound_unit *u, int r, char *why, size_t n)
{
	char lun[LUN_TEXT_BYTES];

	lun_name(u->lun, lun);
	if (r == -ENXIO)
		snprintf(why, n, "%s lun %s has no partition %u", u->target, lun, u->partition);
	else
		snprintf(why, n, "%s lun %s is not there", u->target, lun);
	return false;
}

static bool is_there(struct manager *m, const struct bound *b, char *why, size_t n)
{
	char path[PATH_MAX] = "";
	int r;

	for (size_t i = 0; i < b->n_units; i++) {
		r = unit_node(m, &b->units[i], path, sizeof(path));
		if (r)
			return unit_missing(&b->units[i], r, why, n);
	}
	if (b->node[0])
		snprintf(path, sizeof(path), "%s", b->node);
	r = can_open(path);
	if (r)
		snprintf(why, n, "%s cannot be opened: %s", path, strerror(-r));
	return r == 0;
}

/* ---- all of them ------------------------------------------------------------------- */

struct wait {
	struct manager *m;
	struct bound *v;
	bool *there;
	size_t n;
	unsigned n_changes; /* manager->n_bound_changes when it was read */
	bool loaded;
};

static void wait_clear(struct wait *w)
{
	bound_free_all(w->v, w->n);
	free(w->there);
	w->v = NULL;
	w->there = NULL;
	w->n = 0;
}

/* Reads the list, when it is another one than before. */
static int wait_load(struct wait *w)
{
	unsigned n_changes;
	int r;

	pthread_mutex_lock(&w->m->lock);
	n_changes = w->m->n_bound_changes;
	pthread_mutex_unlock(&w->m->lock);
	if (w->loaded && n_changes == w->n_changes)
		return 0;
	wait_clear(w);
	r = store_load_bound(w->m->store, &w->v, &w->n);
	if (r)
		return r;
	w->there = calloc(w->n ? w->n : 1, sizeof(*w->there));
	if (!w->there)
		return -ENOMEM;
	w->n_changes = n_changes;
	w->loaded = true;
	return 0;
}

static void add_words(char *text, size_t n, const char *fmt, const char *a, const char *b)
{
	size_t at = strlen(text);

	snprintf(text + at, n - at, fmt, a, b);
}

/* Looks at those that were not there. Return: how many are still not; @text says which. */
static size_t wait_look(struct wait *w, char *text, size_t n)
{
	size_t n_missing = 0;
	char why[ISCSI_NAME_MAX + 160];

	text[0] = '\0';
	for (size_t i = 0; i < w->n; i++) {
		if (!w->there[i])
			w->there[i] = is_there(w->m, &w->v[i], why, sizeof(why));
		if (w->there[i])
			continue;
		if (n_missing == MISSING_MAX)
			add_words(text, n, "%s%s", ", and more", "");
		else if (n_missing < MISSING_MAX)
			add_words(text, n, n_missing ? ", %s (%s)" : "%s (%s)", w->v[i].path, why);
		n_missing++;
	}
	return n_missing;
}

bool bound_wait(struct manager *m, uint64_t timeout_ns, const struct bound_wait_ops *ops,
		char *missing, size_t n_missing)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;
	struct wait w = {.m = m};
	char said[2048] = "";
	size_t n = 0;
	int r;

	for (;;) {
		r = wait_load(&w);
		n = r ? 1 : wait_look(&w, missing, n_missing);
		if (r)
			snprintf(missing, n_missing, "the list cannot be read: %s", strerror(-r));
		if (n == 0 || clock_now_ns() >= deadline_ns)
			break;
		if (strcmp(said, missing) != 0) {
			snprintf(said, sizeof(said), "%s", missing);
			ops->say(ops->arg, missing);
		}
		if (ops->pause(ops->arg))
			break;
	}
	wait_clear(&w);
	return n == 0;
}
