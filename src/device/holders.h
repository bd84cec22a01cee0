/* SPDX-License-Identifier: MIT */
/*
 * Holders: who uses a device
 *
 * A list of answers to "why can this disk not be taken away?", each with words
 * that help a person to find the user. Filled by backends and by the scans
 * below, which read /proc and /sys and never open the device.
 *
 * All functions are for control threads.
 */
#ifndef DEVICE_HOLDERS_H
#define DEVICE_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum holder_kind {
	HOLDER_MOUNT,     /* mounted file system; where = mount point */
	HOLDER_SWAP,      /* where = swap device */
	HOLDER_DM,        /* device mapper or md on top; where = its name */
	HOLDER_LOOP,      /* another loop device on top; where = /dev/loopN */
	HOLDER_OPEN,      /* an open descriptor of a process; where = path opened */
	HOLDER_EXCLUSIVE, /* claimed exclusively, by whom could not be found */
	HOLDER_FUSE_OPEN, /* open FUSE file of a process no longer to be found */
	HOLDER_NBD,       /* client of an NBD socket; where = the socket */
};

struct holder {
	enum holder_kind kind;
	pid_t pid;            /* 0: no process */
	char comm[32];        /* process name, or "" */
	char device[64];      /* which node is held: "/dev/loop0", "/dev/loop0p1", the file */
	char where[256];      /* see the kinds; cut with "…" when longer */
	bool other_namespace; /* HOLDER_MOUNT: not in our mount namespace (pid then is one process
				 inside) */
};

struct holders {
	struct holder *v;
	size_t n;
};

/* Zero-initialise; freed by this; safe for CLEANUP. */
void holders_clear(struct holders *h);
/* Adds a copy unless an equal one is there. 0 or -ENOMEM. */
int holders_add(struct holders *h, const struct holder *one);
/* The name of the kind for programs: "mount", "swap", "dm", "loop", "open", "exclusive",
 * "fuse-open", "nbd". */
const char *holder_kind_name(enum holder_kind kind);
/* One line for a person: "mounted on /mnt/data", "open by process 123 (fio)", … Always terminated.
 */
void holder_text(const struct holder *h, char *buf, size_t n);

/**
 * holders_scan_block() - users of a kernel block device and its partitions
 * @devno:      of the whole disk
 * @except_pid: this process' own descriptors are not counted (ours), 0: none
 *
 * Mounts in every mount namespace, swap, dm/md (sysfs holders), loop devices on
 * top, open descriptors of every process. That of a process that we may not look into
 * is an error, except for a loop device, whose driver counts its users.
 *
 * Return: 0 or -errno: it cannot be told, whatever was found.
 */
int holders_scan_block(struct holders *h, dev_t devno, pid_t except_pid);

/*
 * Users of a plain file: descriptors and memory maps of processes, loop devices
 * that sit on it, swap. The caller knows how often the file is open: processes that
 * we may not look into are passed over.
 */
int holders_scan_file(struct holders *h, const char *path, dev_t st_dev, ino_t st_ino,
		      pid_t except_pid);

#endif
