/* SPDX-License-Identifier: MIT */
/*
 * What the service does by itself at its start
 */
#ifndef SERVICE_STARTUP_H
#define SERVICE_STARTUP_H

#include "service/bound.h"

/*
 * Asks the portals of the list, and carries out the kept logins, each tried
 * again until it succeeds. All of it in the background.
 */
void startup_begin(struct manager *m);

/*
 * Waits for the bound devices as long as the configuration says. Words for the state of the
 * service go to @ops->say; @missing gets what is not there when it is over, or "".
 */
void startup_wait_bound(struct manager *m, const struct bound_wait_ops *ops, char *missing,
			size_t n_missing);

#endif
