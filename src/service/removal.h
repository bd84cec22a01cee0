/* SPDX-License-Identifier: MIT */
/*
 * Safe removal: the heart of a logout
 *
 * For every unit that would lose its last path: gate closed, holders looked for,
 * flushed, device taken away; then the session is logged out. Whatever refuses on
 * the way, everything is afterwards as it was before, and the caller is told what
 * it was. A unit that keeps another path is not touched.
 *
 * A unit whose target is gone, became another one, or cannot be reached now has
 * nothing that could be flushed: it may go when nobody holds it and no request
 * waits for it.
 */
#ifndef SERVICE_REMOVAL_H
#define SERVICE_REMOVAL_H

#include "service/session.h"

/* Control. 0: the session is gone. @s is the caller's reference and stays it. */
uint32_t sess_logout(struct session *s, struct refusal *why);
/*
 * At the end of the service, for what is still held: flushes every device, then
 * takes it away from whoever has it, and closes the session. False: something
 * could not be freed; the process must end without cleaning up.
 */
bool sess_force_out(struct session *s);
/*
 * As sess_logout(), and when that is refused because a device is in use, cannot be flushed or
 * is out of reach, the same by force: data is lost. Never takes swap away.
 */
uint32_t sess_force_logout(struct session *s, struct refusal *why);
/*
 * Stops waiting for what a logout under way still flushes: the session's devices are fenced and
 * its connections closed.
 */
void sess_hasten(struct session *s);

/* Who uses the devices of a session (only @device unless NULL); NULL: of all. 0 or -errno. */
int sess_holders(struct manager *m, struct session *s, const char *device, struct holders *h);

#endif
