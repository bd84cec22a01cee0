/* SPDX-License-Identifier: MIT */
/*
 * The locks on our directories, and services that cannot die
 *
 * Two services must never share a state, nor devices, of which one would sweep away
 * the other's: each holds a lock on a file in both directories, in which its pid and
 * its devices directory are written.
 *
 * A service that is killed while a thread of it waits for I/O on a device of its
 * own cannot end: the kernel waits for an answer that only it could give. Such a
 * process still holds the lock. It is known by the SIGKILL that is pending, or by
 * its dead first thread, and is set free by cutting off its FUSE mounts.
 */
#ifndef SERVICE_UNDEAD_H
#define SERVICE_UNDEAD_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Takes the lock on @file, and writes our pid and @devices_dir into it. It logs.
 * Return: 0 and the descriptor that holds it; -EBUSY another service lives; else -errno.
 */
int dir_lock(const char *file, const char *devices_dir, int *ret_fd);

/* Was @pid killed, and is it still there? @status: the text of /proc/PID/status. */
bool status_is_undead(const char *status);

#endif
