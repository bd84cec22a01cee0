/* SPDX-License-Identifier: MIT */
/*
 * Waiting for the loop: a control thread waits until a number is zero, or for an
 * answer of the unit
 */
#ifndef DEVICE_IDLE_H
#define DEVICE_IDLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct loop;
struct lu;

struct idle {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	atomic_uint n_waiters;
};

void idle_init(struct idle *i);
void idle_destroy(struct idle *i);
/* Any thread: a number that somebody waits for may be zero now. */
void idle_signal(struct idle *i);
/* The same, at no cost while nobody waits. The number was changed atomically before. */
static inline void idle_changed(struct idle *i)
{
	if (atomic_load(&i->n_waiters) > 0)
		idle_signal(i);
}
/* Control: 0 or -ETIMEDOUT. */
int idle_wait_zero(struct idle *i, const atomic_uint *what, uint64_t deadline_ns);

/* Control: have the unit flush. 0, or -errno; -ETIMEDOUT: it has not answered. */
int idle_flush_unit(struct loop *loop, struct lu *lu, uint64_t deadline_ns);
/*
 * Control: have the unit read its first block of @block_bytes, to see whether it answers.
 * 0, its -errno, or -ETIMEDOUT.
 */
int idle_ask_unit(struct loop *loop, struct lu *lu, uint32_t block_bytes, uint64_t deadline_ns);

#endif
