/* SPDX-License-Identifier: MIT */
/*
 * Whether /proc tells of all processes
 */
#ifndef DEVICE_PROCFS_H
#define DEVICE_PROCFS_H

#include <stdbool.h>

/**
 * procfs_check() - look whether /proc is what scans of it take it for
 * @ret_hides: processes of others are left out: the mount says so (hidepid), and we
 *             have no right to see them
 *
 * Return: 0; -ENOTSUP: /proc is something else, that of another PID namespace, or one
 * without swaps and the like (subset=pid); or -errno.
 */
int procfs_check(bool *ret_hides);

#endif
