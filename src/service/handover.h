/* SPDX-License-Identifier: MIT */
/*
 * From one service to the next: disks that stay in use meanwhile
 *
 * At a restart (SIGUSR1) a session whose devices are in use need not be waited for, and must not
 * be cut off, when the next service will have it again by itself: its login is stored, and the
 * backend leaves the devices to wait for the next service, which takes them over once it
 * knows their units again. For their users I/O pauses, as when the service had been killed.
 */
#ifndef SERVICE_HANDOVER_H
#define SERVICE_HANDOVER_H

#include "service/session.h"

/* Any control thread. */
bool handover_can_stay(struct session *s);

#endif
