/* SPDX-License-Identifier: MIT */
/*
 * Event loop
 *
 * One loop is run by one thread, and everything that hangs on it is touched by
 * that thread only; loop_post() and loop_call() are the two ways in from
 * elsewhere. A turn is: wait, read the clock once, descriptors, posted closures,
 * timers, and last the deferred work, which is where a session flushes what the
 * turn has queued with one system call.
 *
 * All structures are the caller's, embedded in what they serve; the loop takes
 * no memory on any path but loop_new().
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct loop;

#define LOOP_NEVER UINT64_MAX
#define NS_PER_MS  UINT64_C(1000000)
#define NS_PER_S   UINT64_C(1000000000)

/* A watched descriptor. @events: EPOLLIN | EPOLLOUT | … */
struct loop_fd {
	int fd;
	uint32_t events;
	void (*ready)(struct loop_fd *f, uint32_t events);
};

/* A one-shot timer; zero-initialise, set ->fire once. */
struct loop_timer {
	uint64_t deadline_ns;
	unsigned heap_index_plus_1; /* 0: not armed */
	void (*fire)(struct loop_timer *t);
};

/* Work for the end of this turn; queueing it twice runs it once. list_init() ->node first. */
struct loop_defer {
	struct list node;
	void (*run)(struct loop_defer *d);
};

/* A closure from another thread. Owned by the loop from post until run. */
struct loop_post {
	struct loop_post *next;
	void (*run)(struct loop_post *p);
};

/* Return: 0 or -errno. */
int loop_new(struct loop **ret_loop);
struct loop *loop_free(
	struct loop *l); /* no fd, timer or post may be left; NULL is fine; returns NULL */

/* Runs until loop_stop(). Return: 0 or -errno of the wait itself. */
int loop_run(struct loop *l);
/**
 * loop_turn() - one turn, waiting at most until @deadline_ns (LOOP_NEVER: no own bound)
 * Return: 0, or -errno of the wait; everything but descriptors has had its turn even then.
 */
int loop_turn(struct loop *l, uint64_t deadline_ns);
/* From any thread. A stopped loop can be run again. */
void loop_stop(struct loop *l);

/* CLOCK_MONOTONIC as read at the start of this turn. */
uint64_t loop_now_ns(const struct loop *l);
/* CLOCK_MONOTONIC, read now; for threads without a loop. */
uint64_t clock_now_ns(void);
bool loop_is_own_thread(const struct loop *l);

int loop_fd_add(struct loop *l, struct loop_fd *f);
int loop_fd_events(struct loop *l, struct loop_fd *f,
		   uint32_t events); /* no system call when unchanged */
/* After this no ready() comes, also not for events of this very turn. Does not close. */
void loop_fd_remove(struct loop *l, struct loop_fd *f);

/*
 * Arms or moves; LOOP_NEVER disarms. A deadline that has passed fires in the next turn. Return: 0
 * or -ENOMEM, which moving an armed timer never gives; nor does arming one again, first thing in
 * its own fire().
 */
int loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t deadline_ns);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

void loop_defer(struct loop *l, struct loop_defer *d);
void loop_defer_cancel(struct loop_defer *d);

/* From any thread: run @p->run on the loop thread, in order of posting. Never blocks. */
void loop_post(struct loop *l, struct loop_post *p);
/* From any thread but the loop's: run @fn there and wait for it. (On the loop's own thread it is
 * called at once.) Somebody must be running the loop, or be about to. */
void loop_call(struct loop *l, void (*fn)(void *arg), void *arg);

#endif
