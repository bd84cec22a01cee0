/* SPDX-License-Identifier: MIT */
/*
 * What the service does by itself: at its start and at its end
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

/*
 * Logs out every session, by safe removal, until @timeout_ns have passed; what
 * holds it up is logged, and told to @said. @hurry(arg) true ends the waiting early.
 *
 * Return: sessions that are still there.
 */
size_t shutdown_sessions(struct manager *m, uint64_t timeout_ns, bool (*hurry)(void *arg),
			 void (*said)(void *arg, const char *text), void *arg);
/* What is still held is flushed, taken away and closed. False: not all of it could be. */
bool shutdown_force(struct manager *m);

#endif
