/* SPDX-License-Identifier: MIT */
/*
 * A loop whose clock the test moves, and a path whose answers the test gives
 *
 * Nothing happens by itself: a command that was submitted stays in fake_path.q
 * until the test answers it, a timer fires when fake_advance() passes it.
 */
#ifndef DEVICE_TEST_LU_FAKE_H
#define DEVICE_TEST_LU_FAKE_H

#include "device/lu.h"
#include "io/loop.h"

struct loop {
	uint64_t now_ns;
	struct loop_timer *timer; /* one is enough */
	int timer_error;          /* what the next loop_timer_set() returns instead */
};

/* Moves the clock to each deadline on the way, firing timers. */
void fake_advance(struct loop *l, uint64_t ns);

#define FAKE_MAX 2048

struct fake_path {
	uint32_t max_bytes;
	struct scsi_cmd *q[FAKE_MAX]; /* submitted, oldest first */
	unsigned n;
	unsigned n_submitted; /* ever */
	unsigned n_cancelled, n_recalled, n_taken_back;
	bool down;  /* not usable */
	bool keeps; /* its target may have what was submitted */
};

extern const struct scsi_path_ops fake_path_ops;
extern const struct scsi_path_ops fake_path_ops_no_cancel;

/* Takes command @i out of the queue and completes it. */
void fake_good(struct fake_path *p, unsigned i);     /* everything moved */
void fake_overflow(struct fake_path *p, unsigned i); /* good, but there was more to move */
void fake_short(struct fake_path *p, unsigned i, uint32_t n_transferred);
void fake_status(struct fake_path *p, unsigned i, uint8_t status);
void fake_sense(struct fake_path *p, unsigned i, uint8_t key, uint8_t asc, uint8_t ascq);
void fake_deferred(struct fake_path *p, unsigned i, uint8_t key, uint8_t asc, uint8_t ascq);
void fake_error(struct fake_path *p, unsigned i, int error);

/* What a READ, WRITE, SYNC, UNMAP (first descriptor) or WRITE SAME command is about. */
struct fake_cdb {
	uint8_t op;
	bool fua, unmap;
	uint64_t lba;
	uint32_t n_blocks;
};
struct fake_cdb fake_cdb_of(const struct scsi_cmd *cmd);

#endif
