/* SPDX-License-Identifier: MIT */
/*
 * fusermount3: mounting without root
 *
 * The set-uid helper of libfuse is run as a child; the descriptor of the
 * connection comes back through a socket. Every wait ends with the deadline, the
 * child then too. Control threads only.
 */
#ifndef DEVICE_FUSERMOUNT_H
#define DEVICE_FUSERMOUNT_H

#include <stdbool.h>
#include <stdint.h>

/* True when the helper can be found in PATH. */
bool fusermount_exists(void);

/*
 * Mounts on @dir with the comma separated @options. The descriptor, close-on-exec;
 * -EPERM when the helper refused, -ETIMEDOUT, or -errno.
 */
int fusermount_mount(const char *dir, const char *options, uint64_t deadline_ns);

/* 0, -EBUSY when the helper would not, -ETIMEDOUT, or -errno. */
int fusermount_umount(const char *dir, bool lazy, uint64_t deadline_ns);

#endif
