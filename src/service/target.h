/* SPDX-License-Identifier: MIT */
/*
 * Known targets
 *
 * What discovery has told: for each target one instance for each mechanism that
 * told of it, each with its portals in the order learnt. Asking a mechanism again
 * replaces what that mechanism had told; a target that no mechanism tells of any
 * more is forgotten. Names are compared without regard to letter case and keep
 * the spelling they were first told in.
 *
 * A plain table: the owner locks it.
 */
#ifndef SERVICE_TARGET_H
#define SERVICE_TARGET_H

#include <stddef.h>

#include "base/list.h"
#include "discovery/sendtargets.h"
#include "service/types.h"

struct target_portal {
	char address[ADDRESS_MAX + 1];
	uint16_t socket;
	uint16_t tpgt;
};

struct target_table {
	struct list targets; /* struct target, in the order learnt */
};

void target_table_init(struct target_table *t);
void target_table_clear(struct target_table *t);

/**
 * target_table_learn() - take over what a mechanism told just now
 * @mechanism:  "SendTargets:…"; what it had told before is forgotten
 *
 * Records with a malformed name are left out and counted in *ret_n_bad. Return: 0, or
 * -ENOMEM (the table is then as before).
 */
int target_table_learn(struct target_table *t, const char *mechanism, const struct discovered *d,
		       size_t *ret_n_bad);

/* Forgets what every mechanism told for which @keep(arg, mechanism) is false. */
void target_table_prune(struct target_table *t, bool (*keep)(void *arg, const char *mechanism),
			void *arg);

/* The name as spelt in the table, valid until the table changes; NULL when it is not known. */
const char *target_table_find(const struct target_table *t, const char *name);
size_t target_table_count(const struct target_table *t);
/* Calls @fn for each name in order; a return other than 0 ends it and is returned. */
int target_table_each(const struct target_table *t, int (*fn)(void *arg, const char *name),
		      void *arg);

/**
 * target_table_portals() - all portals of a target, in the order learnt, each once
 * @tpgt: of this group only; -1: all
 *
 * Return: 0; -ENOENT; -ENOMEM. free() *ret.
 */
int target_table_portals(const struct target_table *t, const char *name, int tpgt,
			 struct target_portal **ret, size_t *ret_n);

#endif
