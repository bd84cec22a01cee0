/* SPDX-License-Identifier: MIT */
/*
 * The memory of a device's requests
 *
 * Taken once, as addresses; pages come with use and are given back when nothing was
 * asked for a while. Loop thread, but for the first and the last.
 */
#ifndef DEVICE_IO_POOL_H
#define DEVICE_IO_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/loop.h"

struct io_pool {
	struct loop *loop;
	uint8_t *mem;
	size_t n_bytes;
	const atomic_uint *n_busy; /* requests that use it */
	bool is_trimmed;           /* it has given its memory back since it was last used */
	struct loop_timer trim;
};

/* 0 or -errno. Safe to free after a failure, and when all zero. */
int io_pool_new(struct io_pool *p, struct loop *loop, size_t n_bytes, const atomic_uint *n_busy);
void io_pool_free(struct io_pool *p);
/* A request begins to use it. */
void io_pool_use(struct io_pool *p);

#endif
