/* SPDX-License-Identifier: MIT */
/* A unit on the fake loop with one or two fake paths, and requests to it. */
#ifndef DEVICE_TEST_LU_BENCH_H
#define DEVICE_TEST_LU_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "device/test-lu-fake.h"

#define BB       512u
#define N_BLOCKS 100000u
#define PENDING  1 /* result of a request that is not done */

/* What bench_setup() makes: a thin disk with everything, to be changed before bench_open(). */
extern struct loop loop;
extern struct fake_path path, path2;
extern struct lu_info info;
extern struct lu *lu;

/* Events seen, oldest first, and what else to do when one comes. */
extern enum lu_event events[64];
extern unsigned n_events;
extern void (*on_event)(enum lu_event ev);

struct req {
	struct blk_req r;
	struct iovec iov[64];
	unsigned order; /* in which it was done; 0: it is not */
};

extern uint8_t data[4u << 20];

int bench_setup(void **state);
int bench_teardown(void **state);
void bench_open(unsigned n_commands);

void req_done(struct blk_req *r);
/* Zeroes @q and submits it, with one iovec entry over the test's data. */
void submit_flags(struct req *q, enum blk_op op, unsigned flags, uint64_t off, uint64_t n);
void submit(struct req *q, enum blk_op op, uint64_t block, uint64_t n_blocks);
void assert_cdb(const struct fake_path *p, unsigned i, uint8_t op, uint64_t lba, uint32_t n);

#endif
