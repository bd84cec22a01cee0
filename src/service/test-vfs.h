/* SPDX-License-Identifier: MIT */
/*
 * A file system that fails, for tests of the store
 *
 * SQLite's default file system with a counter of what changes files: open to create,
 * write, truncate, sync, delete. At the Nth of them what was asked for happens. What
 * was written and not synced is remembered, so that a loss of power can take it back.
 * Syncing itself is only believed in: a process that ends is all that a test has.
 */
#ifndef SERVICE_TEST_VFS_H
#define SERVICE_TEST_VFS_H

enum vfs_fault {
	VFS_NONE,
	VFS_KILL,      /* the process ends before the Nth step */
	VFS_TORN,      /* the same, but half of a write is done */
	VFS_POWER,     /* as VFS_KILL, and nothing of what was not synced is on the disk */
	VFS_POWER_ANY, /* some of it is, some is not */
	VFS_FULL,      /* from the Nth step on the disk is full */
	VFS_BROKEN,    /* from the Nth step on it answers with errors */
	VFS_N_FAULTS,
};

#define VFS_KILLED_STATUS 99 /* what a process exits with that was ended here */

/* Becomes SQLite's default. Once in a process. */
void vfs_install(void);
/* Counts from now on; @n is 1 for the next step. */
void vfs_arm(enum vfs_fault fault, unsigned n);
/* Steps since then. */
unsigned vfs_steps(void);
void vfs_disarm(void);
/* As if the power was lost now: the process exits with @status. */
void vfs_lose_power(int status) __attribute__((noreturn));

#endif
