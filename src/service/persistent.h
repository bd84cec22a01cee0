/* SPDX-License-Identifier: MIT */
/*
 * Persistent logins: kept in the store, carried out at the start of the service
 *
 * Each is tried until there is a session, its entry is removed, or the service stops. What
 * stands in the way is logged when it changes, not at each attempt.
 */
#ifndef SERVICE_PERSISTENT_H
#define SERVICE_PERSISTENT_H

#include "service/manager.h"

/* Begins to carry out what is stored, in the background. Once. 0 or -errno. */
int persistent_start(struct manager *m);
/* The portals have been asked: what is not known by now will not be known soon. */
void persistent_discovered(struct manager *m);
/* No helper may be left. NULL is fine; returns NULL. */
struct persistent *persistent_free(struct persistent *p);

/* Removes every stored login that matches, and ends trying them. 0 or a code with @why. */
uint32_t persistent_remove(struct manager *m, const struct login_match *match, struct refusal *why);

/* The delay after the @n'th failure (from 1): it doubles, within the tuning's bounds. */
uint64_t persistent_delay_ns(const struct tuning *t, unsigned n);

#endif
