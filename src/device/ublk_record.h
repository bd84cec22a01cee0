/* SPDX-License-Identifier: MIT */
/*
 * What is remembered of a ublk device over the end of the service
 *
 * A file in the device's directory: the mark that the kernel keeps for us with the device,
 * and the identity of the unit that it shows. A number alone would not do, since the
 * kernel gives it to the next one. While the device waits for its unit the directory has
 * another name, so that units get theirs as ever.
 */
#ifndef DEVICE_UBLK_RECORD_H
#define DEVICE_UBLK_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "device/ublk_uapi.h"

#define UBLK_IDENTITY_MAX 1600

struct ublk_record {
	char dir[4096]; /* of the device */
	uint64_t mark;
	char identity[UBLK_IDENTITY_MAX]; /* "": the unit cannot be told from others */
	bool is_waiting;
};

/* -ENAMETOOLONG, or -errno. */
int ublk_record_write(const char *dir, uint64_t mark, const char *identity);
/* The file and the directory; they may be gone. */
void ublk_record_remove(const char *dir);

/* The device waits from now on; and no more, it is that of the empty directory @dir. 0 or -errno.
 */
int ublk_record_wait(const struct ublk_record *r, const char *devices_dir);
int ublk_record_take(const struct ublk_record *r, const char *dir);

/*
 * Calls @each for every record in a directory below @devices_dir until it returns other
 * than 0, which is returned.
 */
int ublk_record_each(const char *devices_dir, int (*each)(void *arg, const struct ublk_record *r),
		     void *arg);

/* The kernel's device of that mark; false: there is none (any more). */
bool ublk_record_device(uint64_t mark, struct ublk_dev_info *ret);

#endif
