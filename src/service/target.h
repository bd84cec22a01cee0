/* SPDX-License-Identifier: MIT */
/*
 * Known targets
 *
 * For each target one instance for each mechanism that told of it, each with its
 * portals in the order learnt; what was entered by hand is one more mechanism, with
 * data of its own (struct static_target). Asking a mechanism again replaces what that
 * mechanism had told; a target that no mechanism tells of any more is forgotten.
 * Names are compared without regard to letter case and keep the spelling in which
 * they were first announced: that of a static entry gives way to a target's own.
 *
 * Targets and mechanisms are found in trees, so that thousands of each are no
 * trouble: what one answer changes costs as much as the answer is long.
 *
 * A plain table: the owner locks it.
 */
#ifndef SERVICE_TARGET_H
#define SERVICE_TARGET_H

#include <stddef.h>

#include "base/list.h"
#include "discovery/sendtargets.h"
#include "service/types.h"

#define MECHANISM_SENDTARGETS "SendTargets:"
#define MECHANISM_STATIC      "Static:*" /* the whole of it */

struct target_portal {
	char address[ADDRESS_MAX + 1];
	uint16_t socket;
	uint16_t tpgt;
	char symbolic[LABEL_MAX + 1]; /* of static ones, else "" */
};

struct target_table {
	struct list targets; /* struct target, in the order learnt */
	size_t n_targets;
	uint64_t n_changes;           /* of the portals of whatever target */
	void *by_name, *by_mechanism; /* tsearch() */
	struct list mechanisms;
	/* a target has come or goes; NULL: nobody is told */
	void (*changed)(void *arg, const char *name, bool added);
	void *changed_arg;
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

/* The next target_table_prune() spares what @mechanism told. */
void target_table_keep(struct target_table *t, const char *mechanism);
/* Forgets what all other mechanisms told that begin with @kind. */
void target_table_prune(struct target_table *t, const char *kind);

/* Of how many targets does that mechanism tell? */
size_t target_table_told(const struct target_table *t, const char *mechanism);

/* Enters or replaces the static instance. @s is the table's on success. 0 or -ENOMEM. */
int target_table_put_static(struct target_table *t, struct static_target *s);
/* 0; -ENOENT: there is no static instance. */
int target_table_drop_static(struct target_table *t, const char *name);
/* NULL when there is none; valid until the table changes. */
const struct static_target *target_table_static(const struct target_table *t, const char *name);
/* What the target called itself at a login; it shows in its discovered instances. */
void target_table_set_alias(struct target_table *t, const char *name, const char *alias);

/* The name as spelt in the table, valid until the table changes; NULL when it is not known. */
const char *target_table_find(const struct target_table *t, const char *name);
size_t target_table_count(const struct target_table *t);
/*
 * Calls @fn for each name in order, but for static ones that hide and were not discovered; a
 * return other than 0 ends it and is returned.
 */
int target_table_each(const struct target_table *t, int (*fn)(void *arg, const char *name),
		      void *arg);

/**
 * target_table_portals() - all portals of a target, each once
 * @tpgt: of this group only; -1: all
 *
 * Those of the static instance come first, then the others in the order learnt.
 * Return: 0; -ENOENT; -ENOMEM. free() *ret.
 */
int target_table_portals(const struct target_table *t, const char *name, int tpgt,
			 struct target_portal **ret, size_t *ret_n);

/* A number that is another one after the portals of the target have changed; 0: not known. */
uint64_t target_table_version(const struct target_table *t, const char *name);

/* ---- one instance ---- */

struct target_instance;

/* Calls @fn for each mechanism that knows the target, in the order learnt. -ENOENT: none does. */
int target_table_mechanisms(const struct target_table *t, const char *name,
			    int (*fn)(void *arg, const char *mechanism), void *arg);
/* 0; -ENOENT no such target; -ESRCH not known by that mechanism. Valid until the table changes. */
int target_table_instance(const struct target_table *t, const char *name, const char *mechanism,
			  const struct target_instance **ret);
const char *target_instance_alias(const struct target_instance *i);
/* NULL for discovered ones. */
const struct static_target *target_instance_static(const struct target_instance *i);
size_t target_instance_n_portals(const struct target_instance *i);
void target_instance_portal(const struct target_instance *i, size_t k, struct target_portal *ret);

#endif
