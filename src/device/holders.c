/* SPDX-License-Identifier: MIT */
/*
 * Holders: the list and its words
 */
#include "device/holders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void holders_clear(struct holders *h)
{
	free(h->v);
	h->v = NULL;
	h->n = 0;
}

static bool holder_equal(const struct holder *a, const struct holder *b)
{
	return a->kind == b->kind && a->pid == b->pid && a->other_namespace == b->other_namespace &&
	       strcmp(a->comm, b->comm) == 0 && strcmp(a->device, b->device) == 0 &&
	       strcmp(a->where, b->where) == 0;
}

int holders_add(struct holders *h, const struct holder *one)
{
	struct holder *more;

	for (size_t k = 0; k < h->n; k++)
		if (holder_equal(&h->v[k], one))
			return 0;
	more = reallocarray(h->v, h->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	h->v = more;
	more[h->n++] = *one;
	return 0;
}

static const char *const kind_names[] = {
	[HOLDER_MOUNT] = "mount",         [HOLDER_SWAP] = "swap", [HOLDER_DM] = "dm",
	[HOLDER_LOOP] = "loop",           [HOLDER_OPEN] = "open", [HOLDER_EXCLUSIVE] = "exclusive",
	[HOLDER_FUSE_OPEN] = "fuse-open", [HOLDER_NBD] = "nbd",
};

const char *holder_kind_name(enum holder_kind kind)
{
	return (size_t)kind < ARRAY_SIZE(kind_names) ? kind_names[kind] : "unknown";
}

/* " by process 123 (fio)", or nothing. */
static void process_text(const struct holder *h, char *buf, size_t n)
{
	if (h->pid <= 0)
		*buf = '\0';
	else if (*h->comm)
		snprintf(buf, n, " by process %d (%s)", (int)h->pid, h->comm);
	else
		snprintf(buf, n, " by process %d", (int)h->pid);
}

void holder_text(const struct holder *h, char *buf, size_t n)
{
	char by[80];
	const char *device = *h->device ? h->device : "the device";

	process_text(h, by, sizeof(by));
	switch (h->kind) {
	case HOLDER_MOUNT:
		if (h->other_namespace)
			snprintf(buf, n,
				 "%s is mounted on %s in the mount namespace of process %d (%s)",
				 device, h->where, (int)h->pid, h->comm);
		else if (h->where[0] == '/')
			snprintf(buf, n, "%s is mounted on %s", device, h->where);
		else
			snprintf(buf, n, "a file system on %s is open%s %s", device, by, h->where);
		return;
	case HOLDER_SWAP: snprintf(buf, n, "%s is used as swap", device); return;
	case HOLDER_DM: snprintf(buf, n, "%s is a part of %s", device, h->where); return;
	case HOLDER_LOOP: snprintf(buf, n, "%s is the file of %s", device, h->where); return;
	case HOLDER_OPEN: snprintf(buf, n, "%s is open%s", device, by); return;
	case HOLDER_EXCLUSIVE:
		snprintf(buf, n, "%s is claimed exclusively by a user that could not be found",
			 device);
		return;
	case HOLDER_FUSE_OPEN:
		snprintf(buf, n, "%s was opened%s, and is open still", device, by);
		return;
	case HOLDER_NBD: snprintf(buf, n, "%s is in use%s over NBD", device, by); return;
	}
	snprintf(buf, n, "%s is in use", device);
}
