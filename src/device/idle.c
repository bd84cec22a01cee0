/* SPDX-License-Identifier: MIT */
#include "device/idle.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "device/backend.h"
#include "io/loop.h"

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S),
				 .tv_nsec = (long)(ns % NS_PER_S)};
}

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

void idle_init(struct idle *i)
{
	pthread_mutex_init(&i->lock, NULL);
	cond_init(&i->cond);
	atomic_init(&i->n_waiters, 0);
}

void idle_destroy(struct idle *i)
{
	pthread_mutex_destroy(&i->lock);
	pthread_cond_destroy(&i->cond);
}

void idle_signal(struct idle *i)
{
	pthread_mutex_lock(&i->lock);
	pthread_cond_broadcast(&i->cond);
	pthread_mutex_unlock(&i->lock);
}

int idle_wait_zero(struct idle *i, const atomic_uint *what, uint64_t deadline_ns)
{
	const struct timespec until = timespec_of(deadline_ns);
	int r = 0;

	atomic_fetch_add(&i->n_waiters, 1);
	pthread_mutex_lock(&i->lock);
	while (atomic_load(what) > 0 && r == 0)
		r = pthread_cond_timedwait(&i->cond, &i->lock, &until);
	r = atomic_load(what) > 0 ? -ETIMEDOUT : 0;
	pthread_mutex_unlock(&i->lock);
	atomic_fetch_sub(&i->n_waiters, 1);
	return r;
}

/* ---- one request of our own -------------------------------------------------- */

/* Two have a hold on it: who waits, and the unit. */
struct own_call {
	struct lu *lu;
	struct blk_req blk;
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool is_done, is_alone;
	struct iovec iov;
	uint8_t block[]; /* BLK_READ */
};

static void own_call_free(struct own_call *c)
{
	pthread_cond_destroy(&c->done_cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void own_done(struct blk_req *r)
{
	struct own_call *c = r->user;
	bool is_alone;

	pthread_mutex_lock(&c->lock);
	c->is_done = true;
	is_alone = c->is_alone;
	pthread_cond_signal(&c->done_cond);
	pthread_mutex_unlock(&c->lock);
	if (is_alone)
		own_call_free(c);
}

static void on_loop_submit(void *arg)
{
	struct own_call *c = arg;

	blk_submit(c->lu, &c->blk);
}

/* @n_bytes from the beginning of the unit, or 0. */
static int ask(struct loop *loop, struct lu *lu, enum blk_op op, uint32_t n_bytes,
	       uint64_t deadline_ns)
{
	const struct timespec until = timespec_of(deadline_ns);
	struct own_call *c = calloc(1, sizeof(*c) + n_bytes);
	bool is_done;
	int r = 0;

	if (!c)
		return -ENOMEM;
	c->lu = lu;
	c->iov = (struct iovec){.iov_base = c->block, .iov_len = n_bytes};
	c->blk = (struct blk_req){
		.op = op,
		.n_bytes = n_bytes,
		.iov = n_bytes ? &c->iov : NULL,
		.n_iov = n_bytes ? 1 : 0,
		.done = own_done,
		.user = c,
	};
	list_init(&c->blk.node);
	pthread_mutex_init(&c->lock, NULL);
	cond_init(&c->done_cond);
	loop_call(loop, on_loop_submit, c);
	pthread_mutex_lock(&c->lock);
	while (!c->is_done && r == 0)
		r = pthread_cond_timedwait(&c->done_cond, &c->lock, &until);
	is_done = c->is_done;
	c->is_alone = !is_done;
	r = is_done ? c->blk.result : -ETIMEDOUT;
	pthread_mutex_unlock(&c->lock);
	if (is_done)
		own_call_free(c);
	return r;
}

int idle_flush_unit(struct loop *loop, struct lu *lu, uint64_t deadline_ns)
{
	return ask(loop, lu, BLK_FLUSH, 0, deadline_ns);
}

int idle_ask_unit(struct loop *loop, struct lu *lu, uint32_t block_bytes, uint64_t deadline_ns)
{
	return ask(loop, lu, BLK_READ, block_bytes, deadline_ns);
}
