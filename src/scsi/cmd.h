/* SPDX-License-Identifier: MIT */
/*
 * One SCSI command on its way
 *
 * The owner fills the request half, hands the command to a transport and gets
 * it back through done() exactly once. Between the two the transport owns the
 * whole structure and everything it points at; nothing is copied.
 */
#ifndef SCSI_CMD_H
#define SCSI_CMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"

#define SCSI_CDB_MAX   16
#define SCSI_SENSE_MAX 252 /* SPC-4: 8 + 244 additional bytes */

enum scsi_dir {
	SCSI_DIR_NONE,
	SCSI_DIR_READ,  /* from the unit */
	SCSI_DIR_WRITE, /* to the unit */
};

/* SCSI status (SAM-5 §5.3.1) */
enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_CONDITION_MET = 0x04,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
	SCSI_TASK_SET_FULL = 0x28,
	SCSI_ACA_ACTIVE = 0x30,
	SCSI_TASK_ABORTED = 0x40,
};

struct scsi_cmd {
	/* request */
	uint64_t lun; /* the 8 wire bytes as a big-endian number (SAM form) */
	uint8_t cdb[SCSI_CDB_MAX];
	uint8_t n_cdb; /* 6, 10, 12 or 16 */
	enum scsi_dir dir;
	const struct iovec *iov; /* the data, n_data bytes in all; lent until done() */
	unsigned n_iov;
	uint32_t n_data;
	/* from submission; while the path is held, time stands still; 0: the path's default */
	uint64_t timeout_ns;
	/* part of finding out who the unit is: passes while other I/O is held */
	bool probe;
	/*
	 * not safe to send a second time (reservations, compare and write): fails when its
	 * fate is unknown instead of being repeated after a lost connection
	 */
	bool once;
	/* on the path's loop thread, never from inside submit */
	void (*done)(struct scsi_cmd *cmd);
	void *user;

	/*
	 * result
	 *
	 * error 0: the unit answered, status and sense are its words. Negative:
	 * -ETIMEDOUT no answer in time (the task was aborted), -EIO the path is
	 * gone or was held too long, -ECANCELED cancelled by scsi path users,
	 * -EREMOTEIO the transport could not deliver it (rejected).
	 */
	int error;
	uint8_t status; /* enum scsi_status */
	uint8_t sense[SCSI_SENSE_MAX];
	uint16_t n_sense;
	uint32_t n_transferred; /* data bytes really moved, at most n_data */
	bool overflow; /* the unit had more to move than n_data: it counts otherwise than we do */

	/* the transport's, while it owns the command */
	struct list node;
	uint64_t submitted_ns;
	void *transport;
};

/**
 * struct scsi_path_ops - what runs commands for a logical unit
 *
 * A path is one session's way to its target. submit() is called on the path's
 * own loop thread only, and always succeeds in taking the command: trouble is
 * told through done().
 */
struct scsi_path_ops {
	void (*submit)(void *path, struct scsi_cmd *cmd);
	/* bytes that one command may carry; at least 4096 */
	uint32_t (*max_transfer_bytes)(void *path);
	/*
	 * optional: give up a command that was submitted and is not done. It still comes
	 * back through done(), and not from inside this call: as -ECANCELED, or with its
	 * answer where that was faster. One that was not sent yet is never sent. Used when
	 * a unit turned out to be another one and held commands must not reach it.
	 */
	void (*cancel)(void *path, struct scsi_cmd *cmd);
	/* optional: the same, but a command that is on the wire goes on. */
	void (*recall)(void *path, struct scsi_cmd *cmd);
	/* optional: would a command that is submitted now go out now? It waits otherwise. */
	bool (*usable)(void *path);
	/*
	 * optional: cancel() for a command that the target has not got, for sure. False: it may
	 * have it, and could still execute it; the command stays.
	 */
	bool (*take_back)(void *path, struct scsi_cmd *cmd);
};

/**
 * struct scsi_exec - run a command and wait, from a thread that may block
 *
 * Return of @run: 0 when the unit answered (look at status), else the command's
 * error. Bounded by the command's timeout.
 */
struct scsi_exec {
	int (*run)(void *ctx, struct scsi_cmd *cmd);
	void *ctx;
};

#endif
