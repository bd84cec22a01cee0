/* SPDX-License-Identifier: MIT */
/*
 * Bound devices: what must be there before the service says that it is ready
 *
 * An entry is a path as somebody gave it: a device, a partition, one of our links, a volume
 * on top (device mapper, md), or a mount point. What it stands for is found out when it is
 * added, because names such as /dev/loop3 mean another disk after a restart: the units below
 * it by target and LUN, and the name under which what is on top of them will be again.
 */
#ifndef SERVICE_BOUND_H
#define SERVICE_BOUND_H

#include "service/manager.h"

struct bound_unit {
	char target[ISCSI_NAME_MAX + 1];
	uint64_t lun;
	uint32_t partition; /* 0: the whole unit */
};

struct bound {
	char *path; /* as given */
	char *key;  /* what it is, the same for every name of it */
	char *node; /* device on top of the units, or "" when it is a unit or its partition */
	struct bound_unit *units;
	size_t n_units;
};

/* Zero-initialise; safe for CLEANUP. */
void bound_clear(struct bound *b);
/* NULL is fine. */
void bound_free_all(struct bound *v, size_t n);

uint32_t bound_add(struct manager *m, const char *path, struct refusal *why);
uint32_t bound_remove(struct manager *m, const char *path, struct refusal *why);
uint32_t bound_remove_all(struct manager *m, struct refusal *why);
/* Replaces the list by what is there now of stored logins. */
uint32_t bound_scan(struct manager *m, struct refusal *why);

/* ---- bound_find.c ---- */

struct bound_finder;

/* What is stored and mounted now. NULL: -errno is in *ret_r. */
struct bound_finder *bound_finder_new(struct manager *m, int *ret_r);
struct bound_finder *bound_finder_free(struct bound_finder *f);
/* What @path is; it must lead to units of stored logins. */
uint32_t bound_find(struct bound_finder *f, const char *path, struct bound *ret,
		    struct refusal *why);
/* The names by which @path might be in the list although it leads nowhere now: NULL-ended. */
struct bound_keys {
	char *v[3];
};
void bound_keys_clear(struct bound_keys *k);
int bound_keys_of(const char *path, struct bound_keys *ret);
/* Every device of stored logins, and where file systems on them are mounted. 0 or -errno. */
int bound_find_all(struct bound_finder *f, struct bound **ret, size_t *ret_n);

/* ---- bound_wait.c ---- */

struct bound_wait_ops {
	/* Waits a moment; true: the waiting is to end. */
	bool (*pause)(void *arg);
	/* What is still missing, when that changes. */
	void (*say)(void *arg, const char *text);
	void *arg;
};

/*
 * Waits until every entry can be opened, at most @timeout_ns; entries may come and go.
 * True: all of them. @missing gets what is not there.
 */
bool bound_wait(struct manager *m, uint64_t timeout_ns, const struct bound_wait_ops *ops,
		char *missing, size_t n_missing);

#endif
