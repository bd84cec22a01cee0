/* SPDX-License-Identifier: MIT */
/*
 * Mappings in force: bus and target of a session, numbers of its units
 *
 * Every session with devices is one target on a bus, with numbers that no other
 * session has; those that were asked for, else target 0, 1, … on bus 0. Its units have
 * the numbers of their LUNs, unless a list gives them others; then only those in the
 * list are presented.
 */
#ifndef SERVICE_MAPPING_H
#define SERVICE_MAPPING_H

#include "service/session.h"

/* On Windows the name of the port driver's device; our one port has number 0. */
#define PORT_NUMBER 0
#define PORT_DEVICE "\\\\.\\Scsi0:"

/* manager->lock: gives @s its numbers. 0; ISDSC_TARGET_MAPPING_UNAVAILABLE: others have them. */
uint32_t mapping_take(struct session *s, struct refusal *why);

/* Is the unit to be presented? */
bool mapping_wants(const struct target_mapping *m, uint64_t lun);
/* Its number for the system. @m NULL: nothing was asked for. */
uint32_t mapping_lun(const struct target_mapping *m, uint64_t lun);

#endif
