/* SPDX-License-Identifier: MIT */
/*
 * Static targets: entered by hand instead of discovered
 *
 * Beside name and alias such an entry has what a login to the target uses where the
 * call says nothing: portals, login options, a mapping. One that is to persist is in
 * the store; the others are there until the service stops.
 */
#ifndef SERVICE_STATIC_TARGET_H
#define SERVICE_STATIC_TARGET_H

#include "service/refusal.h"
#include "service/types.h"

struct manager;

/* Wipes, too. NULL is fine; returns NULL. */
struct static_target *static_target_free(struct static_target *s);
void static_target_freep(struct static_target **s);

/* A new group of the @n portals, but for those that are in @s already. 0, -ENOMEM, -ENOSPC. */
int static_target_add_group(struct static_target *s, const struct portal *v, size_t n);

/**
 * static_target_merge() - what MERGE makes of an entry and a new one
 *
 * Of alias, login options and mapping the new one counts where it has them, else the old
 * one; portals come together, as groups; it persists when either did; flags are the new ones.
 *
 * Return: 0; -ENOMEM; -ENOSPC too many portals. *ret is to be freed.
 */
int static_target_merge(struct static_target **ret, const struct static_target *old,
			const struct static_target *new);

/* @s is taken over in every case. */
uint32_t static_target_add(struct manager *m, struct static_target *s, struct refusal *why);
uint32_t static_target_remove(struct manager *m, const char *name, struct refusal *why);
/**
 * static_target_complete() - what a login leaves open, as the static entry has it
 * @l:  login options and mapping are filled in where the login has none; the name is
 *      spelt as the table spells it
 *
 * Return: whether the target is known at all.
 */
bool static_target_complete(struct manager *m, struct kept_login *l);
/* Those of the store into the manager's table, at the start. 0 or -errno. */
int static_targets_load(struct manager *m);

#endif
