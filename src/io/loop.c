/* SPDX-License-Identifier: MIT */
/*
 * Event loop
 *
 * epoll for descriptors, a binary heap for timers, an eventfd for other threads.
 *
 * Posted closures are a stack that producers push to with one compare-and-swap;
 * the loop takes the whole stack with one exchange and turns it round, so the
 * order of posting is kept and no producer ever waits. Only the push that finds
 * the stack empty writes to the eventfd.
 *
 * Nothing may run without end inside one turn: a timer that is armed for a time
 * already gone is moved just behind the turn's clock, a closure posted by a closure
 * waits for the next turn, and deferred work that queues itself does so too.
 */
#include "io/loop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BATCH        64
#define HEAP_FIRST   256
#define DEFER_ROUNDS 4 /* deferred work may queue other deferred work this deep in one turn */

struct heap_entry {
	uint64_t deadline_ns;
	uint64_t seq; /* equal deadlines fire in the order of arming */
	struct loop_timer *timer;
};

struct loop {
	int epoll_fd, event_fd;
	uint64_t now_ns;

	struct heap_entry *heap;
	size_t n_heap, n_heap_room;
	uint64_t seq;

	struct list deferred;
	struct list deferred_next; /* for the next turn */
	struct loop_defer *defer_running;

	/* the batch under way, so that a removal can reach into it */
	struct epoll_event batch[BATCH];
	int batch_at, n_batch;

	_Atomic(struct loop_post *) posted;
	atomic_bool stop;
	atomic_uint n_visitors; /* threads inside loop_post() or loop_stop() */
	_Atomic(const void *) owner;
};

/* Its address tells living threads apart. */
static _Thread_local char thread_mark;

uint64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t loop_now_ns(const struct loop *l)
{
	return l->now_ns;
}

bool loop_is_own_thread(const struct loop *l)
{
	return atomic_load_explicit(&l->owner, memory_order_relaxed) == &thread_mark;
}

int loop_new(struct loop **ret_loop)
{
	CLEANUP(freep) struct loop *l = calloc(1, sizeof(*l));
	CLEANUP(freep) struct heap_entry *heap = calloc(HEAP_FIRST, sizeof(*heap));
	CLEANUP(closep) int epoll_fd = -1;
	CLEANUP(closep) int event_fd = -1;
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};

	if (!l || !heap)
		return -ENOMEM;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return -errno;
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (event_fd < 0)
		return -errno;
	ev.data.ptr = l; /* no loop_fd has this address */
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &ev) < 0)
		return -errno;

	list_init(&l->deferred);
	list_init(&l->deferred_next);
	l->now_ns = clock_now_ns();
	l->n_heap_room = HEAP_FIRST;
	l->heap = TAKE(heap);
	l->epoll_fd = TAKE_FD(epoll_fd);
	l->event_fd = TAKE_FD(event_fd);
	*ret_loop = TAKE(l);
	return 0;
}

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	/* A thread whose closure has run already may still be on its way out. */
	while (atomic_load(&l->n_visitors) > 0)
		sched_yield();
	assert(l->n_heap == 0);
	assert(!atomic_load(&l->posted));
	close(l->event_fd);
	close(l->epoll_fd);
	free(l->heap);
	free(l);
	return NULL;
}

/* ---- timers ------------------------------------------------------------ */

static bool heap_before(const struct heap_entry *a, const struct heap_entry *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	return a->seq < b->seq;
}

static void heap_put(struct loop *l, size_t at, struct heap_entry e)
{
	l->heap[at] = e;
	e.timer->heap_index_plus_1 = (unsigned)at + 1;
}

/* Entry @e is to live at @at or wherever the order wants it from there. */
static void heap_settle(struct loop *l, size_t at, struct heap_entry e)
{
	while (at > 0 && heap_before(&e, &l->heap[(at - 1) / 2])) {
		heap_put(l, at, l->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= l->n_heap)
			break;
		if (child + 1 < l->n_heap && heap_before(&l->heap[child + 1], &l->heap[child]))
			child++;
		if (!heap_before(&l->heap[child], &e))
			break;
		heap_put(l, at, l->heap[child]);
		at = child;
	}
	heap_put(l, at, e);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	size_t at;
	struct heap_entry last;

	if (!t->heap_index_plus_1)
		return;
	at = t->heap_index_plus_1 - 1;
	t->heap_index_plus_1 = 0;
	last = l->heap[--l->n_heap];
	if (last.timer != t)
		heap_settle(l, at, last);
}

int loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t deadline_ns)
{
	struct heap_entry e;
	size_t at;

	if (deadline_ns == LOOP_NEVER) {
		loop_timer_cancel(l, t);
		return 0;
	}
	if (deadline_ns <= l->now_ns)
		deadline_ns = l->now_ns + 1;
	if (t->heap_index_plus_1 && t->deadline_ns == deadline_ns)
		return 0;
	if (!t->heap_index_plus_1 && l->n_heap == l->n_heap_room) {
		struct heap_entry *more =
			reallocarray(l->heap, l->n_heap_room, 2 * sizeof(*l->heap));

		if (!more)
			return -ENOMEM;
		l->heap = more;
		l->n_heap_room *= 2;
	}
	at = t->heap_index_plus_1 ? t->heap_index_plus_1 - 1 : l->n_heap++;
	t->deadline_ns = deadline_ns;
	e = (struct heap_entry){.deadline_ns = deadline_ns, .seq = l->seq++, .timer = t};
	heap_settle(l, at, e);
	return 0;
}

static void run_timers(struct loop *l)
{
	while (l->n_heap > 0 && l->heap[0].deadline_ns <= l->now_ns) {
		struct loop_timer *t = l->heap[0].timer;

		loop_timer_cancel(l, t);
		t->fire(t);
	}
}

/* ---- deferred work ----------------------------------------------------- */

void loop_defer(struct loop *l, struct loop_defer *d)
{
	if (list_linked(&d->node))
		return;
	list_append(d == l->defer_running ? &l->deferred_next : &l->deferred, &d->node);
}

void loop_defer_cancel(struct loop_defer *d)
{
	list_remove(&d->node);
}

static void run_deferred(struct loop *l)
{
	for (int round = 0; round < DEFER_ROUNDS && !list_empty(&l->deferred); round++) {
		struct list todo;

		list_init(&todo);
		list_splice(&todo, &l->deferred);
		while (!list_empty(&todo)) {
			struct loop_defer *d = list_first(&todo, struct loop_defer, node);

			list_remove(&d->node);
			l->defer_running = d;
			d->run(d); /* may be the last moment of *d */
			l->defer_running = NULL;
		}
	}
	list_splice(&l->deferred, &l->deferred_next);
}

/* ---- other threads ----------------------------------------------------- */

static void loop_wake(struct loop *l)
{
	const uint64_t one = 1;

	/* It can only fail because the counter is full, and then the loop is awake. */
	while (write(l->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void loop_post(struct loop *l, struct loop_post *p)
{
	struct loop_post *top;

	atomic_fetch_add(&l->n_visitors, 1);
	top = atomic_load_explicit(&l->posted, memory_order_relaxed);
	do {
		p->next = top;
	} while (!atomic_compare_exchange_weak_explicit(&l->posted, &top, p, memory_order_release,
							memory_order_relaxed));
	/* The loop's own thread looks at the stack before it goes to sleep. */
	if (!top && !loop_is_own_thread(l))
		loop_wake(l);
	atomic_fetch_sub(&l->n_visitors, 1);
}

static void run_posted(struct loop *l)
{
	struct loop_post *stack = atomic_exchange_explicit(&l->posted, NULL, memory_order_acquire);
	struct loop_post *queue = NULL;

	while (stack) {
		struct loop_post *next = stack->next;

		stack->next = queue;
		queue = stack;
		stack = next;
	}
	while (queue) {
		struct loop_post *p = queue;

		queue = p->next;
		p->run(p); /* may be the last moment of *p */
	}
}

void loop_stop(struct loop *l)
{
	atomic_fetch_add(&l->n_visitors, 1);
	atomic_store(&l->stop, true);
	loop_wake(l);
	atomic_fetch_sub(&l->n_visitors, 1);
}

struct loop_waiter {
	struct loop_post post;
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t done_cond;
	bool done;
};

static void waiter_run(struct loop_post *p)
{
	struct loop_waiter *w = CONTAINER_OF(p, struct loop_waiter, post);

	w->fn(w->arg);
	pthread_mutex_lock(&w->lock);
	w->done = true;
	pthread_cond_signal(&w->done_cond);
	pthread_mutex_unlock(&w->lock);
}

void loop_call(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct loop_waiter w = {
		.post.run = waiter_run,
		.fn = fn,
		.arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.done_cond = PTHREAD_COND_INITIALIZER,
	};

	if (loop_is_own_thread(l)) {
		fn(arg);
		return;
	}
	loop_post(l, &w.post);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.done_cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.done_cond);
	pthread_mutex_destroy(&w.lock);
}

/* ---- descriptors ------------------------------------------------------- */

int loop_fd_add(struct loop *l, struct loop_fd *f)
{
	struct epoll_event ev = {.events = f->events, .data.ptr = f};

	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, f->fd, &ev) < 0 ? -errno : 0;
}

int loop_fd_events(struct loop *l, struct loop_fd *f, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = f};

	if (f->events == events)
		return 0;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, f->fd, &ev) < 0)
		return -errno;
	f->events = events;
	return 0;
}

void loop_fd_remove(struct loop *l, struct loop_fd *f)
{
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, f->fd, NULL);
	for (int k = l->batch_at; k < l->n_batch; k++)
		if (l->batch[k].data.ptr == f)
			l->batch[k].data.ptr = NULL;
}

static void run_ready(struct loop *l, int n)
{
	l->n_batch = n;
	for (l->batch_at = 0; l->batch_at < l->n_batch;) {
		const struct epoll_event ev = l->batch[l->batch_at++];
		struct loop_fd *f = ev.data.ptr;
		uint32_t events;
		uint64_t count;

		if (!f)
			continue;
		if (ev.data.ptr == (void *)l) {
			(void)!read(l->event_fd, &count, sizeof(count));
			continue;
		}
		/* It may have asked for less since. */
		events = ev.events & (f->events | EPOLLERR | EPOLLHUP);
		if (events)
			f->ready(f, events);
	}
	l->batch_at = 0;
	l->n_batch = 0;
}

/* Return: events, 0 also when interrupted; or -errno. */
static int loop_wait(struct loop *l, uint64_t deadline_ns)
{
	uint64_t left_ns = 0;
	int n;

	if (deadline_ns != LOOP_NEVER && deadline_ns > 0) {
		uint64_t now_ns = clock_now_ns();

		left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
	}
#ifdef HAVE_EPOLL_PWAIT2
	struct timespec ts = {.tv_sec = (time_t)(left_ns / NS_PER_S),
			      .tv_nsec = (long)(left_ns % NS_PER_S)};

	n = epoll_pwait2(l->epoll_fd, l->batch, BATCH, deadline_ns == LOOP_NEVER ? NULL : &ts,
			 NULL);
	if (n < 0 && (errno == ENOSYS || errno == EPERM))
#endif
	{
		/* Rounded up: too late by a part of a millisecond beats turning idly. */
		uint64_t left_ms = left_ns / NS_PER_MS + (left_ns % NS_PER_MS != 0);

		n = epoll_wait(l->epoll_fd, l->batch, BATCH,
			       deadline_ns == LOOP_NEVER ? -1
			       : left_ms > 1000000       ? 1000000
							 : (int)left_ms);
	}
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n;
}

int loop_turn(struct loop *l, uint64_t deadline_ns)
{
	int n, r;

	atomic_store_explicit(&l->owner, &thread_mark, memory_order_relaxed);
	if (l->n_heap > 0 && l->heap[0].deadline_ns < deadline_ns)
		deadline_ns = l->heap[0].deadline_ns;
	if (!list_empty(&l->deferred) ||
	    atomic_load_explicit(&l->posted, memory_order_relaxed) != NULL)
		deadline_ns = 0;

	n = loop_wait(l, deadline_ns);
	r = n < 0 ? n : 0;
	l->now_ns = clock_now_ns();
	run_ready(l, r ? 0 : n);
	run_posted(l);
	run_timers(l);
	run_deferred(l);
	return r;
}

int loop_run(struct loop *l)
{
	int r = 0;

	atomic_store_explicit(&l->owner, &thread_mark, memory_order_relaxed);
	while (r == 0 && !atomic_exchange(&l->stop, false))
		r = loop_turn(l, LOOP_NEVER);
	/* What was posted before the stop is not left behind. */
	run_posted(l);
	run_deferred(l);
	return r;
}
