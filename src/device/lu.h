/* SPDX-License-Identifier: MIT */
/*
 * Logical units
 *
 * A unit is what its designators say it is, however many paths lead to it. This
 * module finds out about a unit (lu_probe, blocking, from a control thread),
 * turns block requests into SCSI commands within the unit's limits, and lets
 * sense data decide between trying again, an error, and a change of the unit.
 *
 * Everything but lu_probe() and the functions marked "any thread" belongs to the
 * loop thread of the unit's reactor; all paths of a unit are on that one reactor.
 */
#ifndef DEVICE_LU_H
#define DEVICE_LU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/backend.h"
#include "scsi/cmd.h"
#include "scsi/vpd.h"

struct loop;
struct lu;

/* What a unit told about itself. Plain data, comparable and copyable. */
struct lu_info {
	uint64_t lun;        /* SAM form */
	uint8_t device_type; /* peripheral device type; 0 disk */
	bool removable;
	char vendor[9], product[17], revision[5], serial[256]; /* trimmed, printable ASCII */
	struct scsi_designator id[8]; /* of VPD 0x83 that name the unit itself, best first */
	unsigned n_id;
	struct blk_limits limits; /* n_bytes 0: no medium or not a disk */
	uint32_t max_unmap_blocks;
	uint32_t max_unmap_descriptors;
	uint64_t max_write_same_blocks;
	uint32_t unmap_granularity_blocks;
	bool can_unmap, can_write_same16, can_write_same16_unmap, reads_zero_after_unmap;
	bool dpo_fua;
};

/**
 * lu_probe() - ask one LUN who it is; control thread
 * @exec:   runs the commands (INQUIRY, VPD, READ CAPACITY, MODE SENSE), all marked probe
 *
 * Return: 0; -ENODEV no unit there (peripheral qualifier); -ENOMEDIUM; -EIO and
 * the like when the unit could not be asked.
 */
int lu_probe(struct lu_info *ret, const struct scsi_exec *exec, uint64_t lun);

/**
 * lu_report_luns() - the LUNs of a target; control thread
 * @ret_luns:  malloc'ed array of *ret_n LUNs in SAM form, ascending, no well-known units; free()
 *
 * Return: 0 or -errno; -E2BIG beyond 16384 units.
 */
int lu_report_luns(const struct scsi_exec *exec, uint64_t **ret_luns, size_t *ret_n);

/*
 * True when both speak of the same unit: they share a designator of the same
 * type, and none of those they both have differs; without designators, serial
 * number, vendor and product must all be equal and the serial not empty. "Similar"
 * is not the same. Size and write protection do not count.
 *
 * Of one type, one side may have fewer designators, but not each something that
 * the other has not. Where all that is shared is numbered locally (T10 vendor,
 * vendor specific, NAA 3, NAA 5 and 6 of company 0: they repeat from server to
 * server, and from disk to disk under one number), vendor and product must be
 * equal too, and the serial number where both have one.
 */
bool lu_info_same_unit(const struct lu_info *a, const struct lu_info *b);
/* Forgets the designators that the other has too: what is left, and lu_info_name() of it, tells
 * units apart of which the best names agree. */
void lu_info_drop_shared(struct lu_info *i, const struct lu_info *other);

#define LU_NAME_MAX 544 /* room for every name, with terminator */
/*
 * A stable name for links and reports: "naa.6001405…", "eui.…", "t10.…", the SCSI
 * name string itself, "serial.VENDOR_PRODUCT_NUMBER"; "" when there is none, or it
 * does not fit. ASCII letters, digits, '.', '-', ':' and '_' only.
 */
void lu_info_name(const struct lu_info *i, char *buf, size_t n);
/*
 * What others call it, in the same characters; "" when it has none or it does not fit.
 * scsi_id: the serial of scsi_id(8) and sg3-utils: a digit for the kind of designator and the
 * designator ("36001405…", "1IET_00010001"), or "SVENDOR_PRODUCT_NUMBER". wwn: "0x6001405…".
 */
void lu_info_scsi_id(const struct lu_info *i, char *buf, size_t n);
void lu_info_wwn(const struct lu_info *i, char *buf, size_t n);

enum lu_event {
	LU_EV_CAPACITY_CHANGED,
	LU_EV_LUNS_CHANGED,    /* REPORTED LUNS DATA HAS CHANGED: look at the whole target */
	LU_EV_INQUIRY_CHANGED, /* may be another unit now: probe again */
	LU_EV_MODE_CHANGED,
	LU_EV_WRITE_PROTECTED,
	LU_EV_RESET,
};

/* Any thread: does the answer to a command that was sent past the unit carry a unit attention it
 * must hear of? */
bool lu_event_of_answer(const struct scsi_cmd *cmd, enum lu_event *ret);

/* Which of the paths that work takes the next command. */
enum lu_policy {
	LU_POLICY_FAILOVER, /* always the same one */
	LU_POLICY_ROUND_ROBIN,
	LU_POLICY_LEAST_QUEUE, /* the one with the fewest commands under way */
};

struct lu_cfg {
	struct loop *loop;
	const struct lu_info *info;
	/*
	 * Optional, loop thread: a unit attention was seen, or an error that lets conclude
	 * the same (that one is told once until lu_update()). The command itself was
	 * already taken care of.
	 */
	void (*event)(void *user, struct lu *lu, enum lu_event ev);
	void *user;
	uint64_t retry_ns; /* how long one request may be repeated on BUSY and the like; 0: 30 s */
	/* commands to the unit at once, 1 … 1024; 0: 128. Further requests wait in order */
	unsigned n_commands;
	enum lu_policy policy;
};

/* Any thread, before the unit is used. 0 or -ENOMEM. */
int lu_new(struct lu **ret_lu, const struct lu_cfg *cfg);
/*
 * Loop thread; no request may be in flight; not from inside a request's done().
 * NULL is fine; returns NULL.
 */
struct lu *lu_free(struct lu *lu);

#define LU_MAX_PATHS 8
/*
 * Loop thread. @lun: as this path calls the unit. -EEXIST when @path is there
 * already, -ENOSPC when there are LU_MAX_PATHS.
 *
 * Commands take a path that works now, where there is one, as the policy says: with
 * fail-over the first added, until it fails a command or answers that the unit cannot
 * be reached through it; then the next one. A command that a path failed is repeated on
 * those that have not yet failed it.
 */
int lu_path_add(struct lu *lu, const struct scsi_path_ops *ops, void *path, uint64_t lun);
/*
 * Loop thread. No new command goes to the path; those under way end there.
 * Without any path requests fail with -EIO.
 */
void lu_path_remove(struct lu *lu, void *path);
/*
 * Loop thread. The same for a path that turned out to lead to another unit: what is
 * under way there is given up, an answer that comes all the same is not believed, and
 * the requests go on on another path.
 */
void lu_path_disown(struct lu *lu, void *path);
/*
 * Loop thread: the path has just stopped working and may come back. What it has goes on on
 * another one that works, but for a write that its target may have got: that waits for the
 * path, because nobody knows whether it will not be executed there after a later write.
 */
void lu_path_lost(struct lu *lu, void *path);
unsigned lu_n_paths(const struct lu *lu);

/* Loop thread: requests not done yet. */
unsigned lu_n_inflight(const struct lu *lu);
#define LU_MAX_DRAINS 8
/*
 * Loop thread: call @done(arg) once nothing is in flight (at once when so now).
 * At most LU_MAX_DRAINS may wait; @done may free the unit.
 */
void lu_drain(struct lu *lu, void (*done)(void *arg), void *arg);

/*
 * Loop thread. While held no command is sent, repeated ones neither; requests
 * wait in order. For the time between an event that makes the unit's identity
 * doubtful (hold may be called from inside the event callback) and the answer:
 * hold(false) after lu_update(), or lu_fence(). The owner bounds that time.
 */
void lu_hold(struct lu *lu, bool hold);
/*
 * Loop thread. No unit answers at the LUN: everything fails with -EIO, what is under way
 * included, until it has been recognised again (false).
 */
void lu_set_absent(struct lu *lu, bool absent);

/*
 * Loop thread. A fenced unit fails every request with -EIO, those waiting for a
 * retry included: the LUN turned out to be another unit. Commands that a path
 * still has are cancelled where the path can do that, and fail too when they
 * come back. There is no way back. @why is copied.
 */
void lu_fence(struct lu *lu, const char *why);
bool lu_is_fenced(const struct lu *lu, char *why, size_t n); /* any thread */

/*
 * Loop thread: the unit was probed again and is the same; take over size, limits,
 * protection. What the unit has refused stays off. Another block size fences it.
 */
void lu_update(struct lu *lu, const struct lu_info *info);
const struct lu_info *lu_get_info(const struct lu *lu); /* loop thread */

struct lu_stats {
	uint64_t n_reads, n_writes, n_flushes, n_discards, read_bytes, write_bytes, n_errors,
		n_retries;
};
void lu_get_stats(const struct lu *lu, struct lu_stats *ret); /* loop thread */

#endif
