/* SPDX-License-Identifier: MIT */
/*
 * Which bytes of a transfer are there
 *
 * Data that may come in any order (DataPDUInOrder or DataSequenceInOrder No) is kept
 * track of as runs of bytes, apart from each other and in order. In the usual case
 * that is one run, which grows.
 */
#ifndef ISCSI_RUNS_H
#define ISCSI_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#define RUNS_MAX 64 /* apart from each other at one time */

struct runs {
	unsigned n;
	struct run {
		uint32_t off, n;
	} run[RUNS_MAX];
};

/* Is any of [off, off + n) there? */
bool runs_overlap(const struct runs *r, uint32_t off, uint32_t n);
/* From now on [off, off + n) is there. False: in more pieces than there is room for. */
bool runs_add(struct runs *r, uint32_t off, uint32_t n);
/* The bytes that are there without a gap from 0 on. */
uint32_t runs_first(const struct runs *r);
uint32_t runs_bytes(const struct runs *r);

#endif
