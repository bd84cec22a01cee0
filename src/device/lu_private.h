/* SPDX-License-Identifier: MIT */
/*
 * Inside a logical unit: requests (lu.c) and commands (lu_cmd.c)
 *
 * A *request* is what a backend wants: any length. It waits in order until a
 * *work* is free, which cuts it into commands and remembers how far it got. A
 * *slot* holds one command; it is on a path, waits to be repeated, or is free.
 * Works and slots are made once, with the unit, so nothing is allocated later.
 *
 *	blk_submit -> waiting -> todo --slot_send--> wire --> work_cmd_done -> done()
 *	                          ^                  |  ^
 *	                          | more to send     v  |
 *	                          +---------------  later, parked
 *
 * A slot's outcome is reported to lu.c through work_cmd_done(), once, after all
 * repetitions.
 */
#ifndef DEVICE_LU_PRIVATE_H
#define DEVICE_LU_PRIVATE_H

#include <stdatomic.h>

#include "device/lu.h"
#include "io/loop.h"
#include "scsi/cdb.h"
#include "scsi/sense.h"

#define LU_SLOT_IOV      32 /* entries of a slice that cannot point into the request's own iovec */
#define LU_BLOCK_MIN     512
#define LU_BLOCK_MAX     4096
#define LU_FENCE_WHY_MAX 256

enum lu_how {
	LU_HOW_READ,
	LU_HOW_WRITE,
	LU_HOW_SYNC,
	LU_HOW_UNMAP,
	LU_HOW_ZERO,       /* WRITE SAME */
	LU_HOW_ZERO_UNMAP, /* WRITE SAME with the UNMAP bit */
};

/* What the unit refused although it had promised it; stays so over lu_update(). */
#define LU_REFUSED_UNMAP      1u
#define LU_REFUSED_ZERO       2u
#define LU_REFUSED_ZERO_UNMAP 4u
#define LU_REFUSED_FUA        8u

struct lu_work {
	struct list node; /* free_works, or todo when queued */
	bool queued;
	struct blk_req *r;
	enum lu_how how;
	bool fua;        /* with the FUA bit */
	bool sync_after; /* a cache flush is still to follow */
	uint32_t block_bytes;
	uint64_t next_lba, n_left; /* blocks not yet given to a command */
	unsigned iov_at;           /* the next byte of the request's iovec */
	size_t iov_off;
	unsigned n_cmds, max_cmds;
	int error; /* the first one */
};

struct lu_slot {
	struct list node; /* free_slots, wire, later or parked */
	struct lu *lu;
	struct lu_work *work;
	struct scsi_cmd cmd;
	uint8_t path;  /* index, while on the wire; LU_MAX_PATHS: it was removed meanwhile */
	uint8_t tried; /* a bit for each path that failed it */
	uint8_t n_now, n_attentions, n_timeouts, n_later;
	bool disowned; /* its path does not lead to the unit: whatever it answers is not ours */
	bool recalled; /* taken back by a hold */
	bool busy;     /* waits because the unit had no room */
	uint64_t later_ns, due_ns; /* time spent waiting; when to try again */
	struct iovec iov[LU_SLOT_IOV];
	uint8_t list[SCSI_UNMAP_HEADER_BYTES + SCSI_UNMAP_DESCRIPTOR_BYTES];
};

struct lu_path {
	const struct scsi_path_ops *ops; /* NULL: empty place */
	void *path;
	uint64_t lun;
	unsigned n_wire; /* commands it has */
};

struct lu {
	struct lu_cfg cfg;
	struct lu_info info;
	struct lu_path paths[LU_MAX_PATHS];
	unsigned n_paths;
	unsigned current; /* index of the path new commands take; of round robin: the next one */

	struct list waiting;             /* struct blk_req */
	struct list todo;                /* struct lu_work */
	struct list wire, later, parked; /* struct lu_slot; later by due time */
	struct list free_works, free_slots;
	struct lu_work *works;
	struct lu_slot *slots;

	unsigned n_inflight;
	unsigned depth; /* of entry: callbacks may come back in */
	bool held;
	bool absent; /* no unit at its LUN: everything fails until it is back */
	bool sync_long_form;
	unsigned refused;        /* LU_REFUSED_… */
	unsigned told;           /* conclusions already reported, a bit for each enum lu_event */
	int lost_error;          /* a deferred error nobody has been told of yet */
	uint64_t quiet_until_ns; /* the unit is busy: nothing new until then */
	struct loop_timer timer;

	struct {
		void (*done)(void *arg);
		void *arg;
	} drain[LU_MAX_DRAINS];
	unsigned n_drains;

	atomic_bool fenced;
	char fence_why[LU_FENCE_WHY_MAX];
	struct lu_stats stats;
};

/* Every entry from outside is between these two; the outermost leave sends what can be sent. */
void lu_enter(struct lu *lu);
void lu_leave(struct lu *lu);

/* lu_cmd.c: takes a free slot for @w, or NULL. */
struct lu_slot *slot_take(struct lu *lu, struct lu_work *w);
void slot_send(struct lu_slot *s);
/* Frees the slot and tells work_cmd_done(). */
void slot_end(struct lu_slot *s, int error);
/* Largest data of one command that every path takes, bytes. */
uint32_t lu_max_transfer(const struct lu *lu);
/* All slots that wait for being sent again end with @error. */
void lu_fail_slots(struct lu *lu, int error);
void lu_send_due(struct lu *lu);
void lu_send_parked(struct lu *lu);
/* Asks the paths to give up all commands they have. */
void lu_cancel_wire(struct lu *lu);
/* Held: commands that are not on the wire yet come back and are parked. */
void lu_recall_wire(struct lu *lu);
/* The path @i does not work for now: its commands go on elsewhere, where they may. */
void lu_take_back(struct lu *lu, unsigned i);
/* The path @i leads to something else: its commands are given up there. */
void lu_disown_path(struct lu *lu, unsigned i);
/* The place @i is empty now and may be another path's next. */
void lu_forget_path(struct lu *lu, unsigned i);
/* Arms the timer for what waits; 0 or its error. */
int lu_rearm(struct lu *lu);
bool lu_is_quiet(const struct lu *lu);
void lu_timer_fire(struct loop_timer *t);

/* lu.c: the command of @w has ended for good; its slot is free again. */
void work_cmd_done(struct lu *lu, struct lu_work *w, int error);
/* lu.c: the unit refused one of LU_REFUSED_…: do not ask again. */
void lu_refuse(struct lu *lu, unsigned what);
/* lu.c: everything that waits ends with @error. */
void lu_fail_waiting(struct lu *lu, int error);

/* lu_id.c: what a backend may use follows from what the unit can do. */
void lu_info_derive(struct lu_info *i);

#endif
