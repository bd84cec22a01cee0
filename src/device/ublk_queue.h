/* SPDX-License-Identifier: MIT */
/*
 * ublk queue: the requests of one ublk device, on the loop of its unit
 *
 * The kernel hands out requests as answers to commands on an io_uring, one command for
 * each of the queue's tags; the command that commits a request's result also fetches the
 * tag's next one. The ring hangs on the unit's loop like any descriptor, and what a turn
 * has to submit goes with one system call at its end.
 *
 * The kernel copies: a write's data is in the tag's memory when the request is told, a
 * read's is taken from there at the commit. Requests come in whole logical blocks.
 *
 * Life: start -> (cut) -> ended -> stop -> free. The queue has ended when the kernel has
 * given every command back, because the disk is gone; it lets go of the device then, which
 * others may wait for.
 */
#ifndef DEVICE_UBLK_QUEUE_H
#define DEVICE_UBLK_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "device/backend.h"

struct ublk_queue;

struct ublk_queue_cfg {
	int fd;     /* of /dev/ublkcN; the queue's, also after a failure */
	bool plain; /* the driver takes bare command numbers */
	unsigned depth;
	uint32_t max_io_bytes; /* of one request, whole pages */
	struct loop *loop;
	struct lu *lu;
	struct blk_limits limits;
};

/* Control: fetch. The device can be started then. */
int ublk_queue_start(struct ublk_queue **ret_queue, const struct ublk_queue_cfg *cfg);

/*
 * What the kernel is told of a request's result: those errors that it has a block status for.
 * Not those that mean to it that it is to try again (ENOMEM, EBUSY, EAGAIN), or that are none of
 * a disk's (EINVAL, of zones and of device mapper).
 */
int ublk_errno(int result);

/* Control: size and write protection are others now. */
void ublk_queue_changed(struct ublk_queue *q, const struct blk_limits *limits);

/*
 * Control: all requests fail from now on, those that the unit has too. What the unit still
 * does with their memory is its own matter: the kernel gets other.
 */
void ublk_queue_cut(struct ublk_queue *q);

/* Any thread: nothing comes any more. */
bool ublk_queue_has_ended(const struct ublk_queue *q);
/* Control: 0 or -ETIMEDOUT. */
int ublk_queue_wait_ended(struct ublk_queue *q, uint64_t deadline_ns);

/* Control: let go of the device, whether or not it has ended. */
void ublk_queue_stop(struct ublk_queue *q);

/*
 * Control, after stop: returns NULL. Requests that the unit has not answered keep their
 * memory until it has; the loop must run until then.
 */
struct ublk_queue *ublk_queue_free(struct ublk_queue *q);

#endif
