/* SPDX-License-Identifier: MIT */
/*
 * Where a disk's file systems are mounted
 */
#ifndef SERVICE_VOLUMES_H
#define SERVICE_VOLUMES_H

#include <jansson.h>
#include <sys/types.h>

#include "device/holders.h"

struct volumes;

/* The mount table as it is now; NULL when it cannot be read. */
struct volumes *volumes_read(void);
struct volumes *volumes_free(struct volumes *v);
/* Mount points of the disk and its partitions, in our mount namespace. New reference. */
json_t *volumes_of(struct volumes *v, dev_t disk);

/*
 * Writes back the file systems among the holders, also those of other mount
 * namespaces. What is between (device mapper, loop devices) hides which they are:
 * then everything is written back. May take as long as the devices take.
 */
void volumes_sync(const struct holders *h);

#endif
