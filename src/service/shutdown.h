/* SPDX-License-Identifier: MIT */
/*
 * The end of the service: its sessions
 *
 * All are logged out by safe removal, each by a thread of its own, so that one that is stuck
 * keeps none of the others, and what is in use is tried again and again. That has a bound, after
 * which what is left is taken away by force. The whole takes at most the timeout, and not much
 * more than a minute besides.
 */
#ifndef SERVICE_SHUTDOWN_H
#define SERVICE_SHUTDOWN_H

#include "service/manager.h"

/*
 * Logs out every session, by safe removal, until @timeout_ns have passed; what
 * holds it up is logged, and told to @said. @hurry(arg) true ends the waiting early. One that
 * cannot be logged out and @may_stay (optional, control thread) is left as it is.
 *
 * Return: sessions that are still there and may not stay.
 */
size_t shutdown_sessions(struct manager *m, uint64_t timeout_ns,
			 bool (*may_stay)(struct session *s), bool (*hurry)(void *arg),
			 void (*said)(void *arg, const char *text), void *arg);
/*
 * What is still held and may not stay is flushed, taken away and closed. False: not all of it
 * could be.
 */
bool shutdown_force(struct manager *m, bool (*may_stay)(struct session *s));

#endif
