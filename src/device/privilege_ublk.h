/* SPDX-License-Identifier: MIT */
/*
 * What needs privilege: control of ublk devices
 *
 * As privilege.h: plain values in and out, for control threads and steps apart. Each call
 * opens the control device anew. 0 or a descriptor when it went well, -errno else.
 */
#ifndef DEVICE_PRIVILEGE_UBLK_H
#define DEVICE_PRIVILEGE_UBLK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "device/ublk_uapi.h"

/* UBLK_F_… that this kernel's driver has; why there is none. */
int priv_ublk_features(uint64_t *ret_features);

/* Makes a device that is not started yet; the kernel fills in the rest of @info. */
int priv_ublk_add(struct ublk_dev_info *info);
int priv_ublk_set_params(uint32_t dev_id, const struct ublk_params *params);
int priv_ublk_params(uint32_t dev_id, struct ublk_params *ret);
/* -ENODEV: there is no such device. */
int priv_ublk_info(uint32_t dev_id, struct ublk_dev_info *ret);

/*
 * In a step apart. The first returns when the disk is there and its partition table has
 * been read, for which the server @pid must answer.
 */
int priv_ublk_start(uint32_t dev_id, pid_t pid);
/* Takes the disk away, whoever uses it. @unused: only if nobody has it open, else -EBUSY. */
int priv_ublk_stop(uint32_t dev_id, bool unused);
/* After the stop; goes with its last user, for whom older drivers make one wait. */
int priv_ublk_delete(uint32_t dev_id);
int priv_ublk_resize(uint32_t dev_id, uint64_t n_sectors);

/* A device whose server died: -EBUSY while that is not over. Then open it, fetch, end. */
int priv_ublk_recover_begin(uint32_t dev_id);
int priv_ublk_recover_end(uint32_t dev_id, pid_t pid);

/* The device's queues: close-on-exec, one opener only. */
int priv_ublk_open(uint32_t dev_id);

#endif
