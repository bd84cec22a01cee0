/* SPDX-License-Identifier: MIT */
/*
 * What the backends share: the device's directory and the sweep
 */
#ifndef DEVICE_BACKEND_PRIVATE_H
#define DEVICE_BACKEND_PRIVATE_H

#include <stddef.h>
#include <stdint.h>

#include "device/backend.h"
#include "device/fuse_file.h"
#include "device/holders.h"
#include "io/loop.h"

/*
 * The longest wait for the unit. It answers every request sooner than that; this
 * is for the day when it does not.
 */
#define BACKEND_FLUSH_NS   (180 * NS_PER_S)

#define BACKEND_NBD_SOCKET "nbd" /* in the device's directory */

/* Makes <devices_dir>/<name>. -EINVAL for a name that is no file name. */
int backend_make_dir(char **ret_dir, const struct blk_dev_cfg *cfg);

/* Makes it and serves the unit there. @for_loop: see struct fuse_file_cfg. */
int backend_serve(struct fuse_file **ret_file, char **ret_dir, const struct blk_dev_cfg *cfg,
		  bool for_loop);

/* Removes the directory; it may be gone. */
void backend_remove_dir(const char *dir);

/* The deadline for @timeout_ms from now; negative counts as 0. */
uint64_t backend_deadline_ns(int timeout_ms);

/* Writes a reason like "/dev/fuse: Permission denied"; returns -errno @r. */
int backend_why(char *why, size_t n, const char *what, int r);

/* Can FUSE be used at all? */
int backend_probe_fuse(bool user_mode, char *why, size_t n);

/* One sweep, for what is below @dir. */
struct sweep {
	const char *dir; /* canonical */
	void (*said)(void *arg, const char *what);
	void *arg;
	int result; /* the first failure */
};

__attribute__((format(printf, 2, 3))) void sweep_say(struct sweep *s, const char *format, ...);
/* 0 is none. */
void sweep_note(struct sweep *s, int r);
/* Users of a dead device: unmount what is in our namespace, name the others. */
void sweep_holders(struct sweep *s, struct holders *h);
/* ublk_sweep.c; where it is built in. The second removes what the first has let wait. */
void sweep_ublk(struct sweep *s);
void sweep_ublk_waiting(struct sweep *s);

/* Adds the process that uses the device at @path, with its name. 0 or -ENOMEM. */
int backend_add_user(struct holders *h, enum holder_kind kind, pid_t pid, const char *path);

/* Backends' sweep(): all remove whatever is there, as a service may be started with another. */
int backend_sweep(const char *devices_dir, void (*said)(void *arg, const char *what), void *arg);

#endif
