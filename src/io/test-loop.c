/* SPDX-License-Identifier: MIT */
/*
 * Tests of the event loop
 *
 * Waits are for a condition and end with it; the only clocks looked at are those
 * whose behaviour is the thing under test.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "io/loop.h"

static int loop_set_up(void **state)
{
	struct loop *l;

	assert_int_equal(loop_new(&l), 0);
	*state = l;
	return 0;
}

static int loop_tear_down(void **state)
{
	assert_null(loop_free(*state));
	return 0;
}

/* ---- timers ------------------------------------------------------------ */

#define N_TIMERS 1000

struct test_timer {
	struct loop_timer t;
	struct loop *loop;
	unsigned *log, *n_log;
	unsigned id;
	struct test_timer *victim; /* cancelled when this one fires */
	struct test_timer *moved;  /* armed for now when this one fires */
};

static void timer_fired(struct loop_timer *t)
{
	struct test_timer *tt = CONTAINER_OF(t, struct test_timer, t);

	tt->log[(*tt->n_log)++] = tt->id;
	if (tt->victim)
		loop_timer_cancel(tt->loop, &tt->victim->t);
	if (tt->moved)
		assert_int_equal(loop_timer_set(tt->loop, &tt->moved->t, 0), 0);
}

static void timers_init(struct test_timer *tt, unsigned n, struct loop *l, unsigned *log,
			unsigned *n_log)
{
	memset(tt, 0, n * sizeof(*tt));
	for (unsigned k = 0; k < n; k++)
		tt[k] = (struct test_timer){
			.t.fire = timer_fired, .loop = l, .log = log, .n_log = n_log, .id = k};
}

static void timers_fire_in_order_of_deadline(void **state)
{
	static struct test_timer tt[N_TIMERS];
	static unsigned log[N_TIMERS];
	struct loop *l = *state;
	unsigned n_log = 0;
	uint64_t base = loop_now_ns(l) + 1000;
	uint64_t last = 0;

	timers_init(tt, N_TIMERS, l, log, &n_log);
	/* A full permutation in scattered order, more than the heap has room for at first. */
	for (unsigned k = 0; k < N_TIMERS; k++)
		assert_int_equal(loop_timer_set(l, &tt[k].t, base + k * 7919 % N_TIMERS), 0);
	/* Move a third, take away a third of the others. */
	for (unsigned k = 0; k < N_TIMERS; k += 3)
		assert_int_equal(loop_timer_set(l, &tt[k].t, base + k * 104729 % N_TIMERS), 0);
	for (unsigned k = 1; k < N_TIMERS; k += 3)
		loop_timer_cancel(l, &tt[k].t);
	while (n_log < N_TIMERS - N_TIMERS / 3)
		assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	for (unsigned k = 0; k < n_log; k++) {
		assert_int_not_equal(log[k] % 3, 1);
		assert_true(tt[log[k]].t.deadline_ns >= last);
		last = tt[log[k]].t.deadline_ns;
		assert_int_equal(tt[log[k]].t.heap_index_plus_1, 0);
	}
}

static void equal_deadlines_fire_in_order_of_arming(void **state)
{
	struct test_timer tt[50];
	unsigned log[50];
	unsigned n_log = 0;
	struct loop *l = *state;
	uint64_t when = loop_now_ns(l) + 1000;

	timers_init(tt, 50, l, log, &n_log);
	for (unsigned k = 0; k < 50; k++)
		assert_int_equal(loop_timer_set(l, &tt[k].t, when), 0);
	while (n_log < 50)
		assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	for (unsigned k = 0; k < 50; k++)
		assert_int_equal(log[k], k);
}

static void a_timer_cancels_another_of_the_same_turn(void **state)
{
	struct test_timer tt[3];
	unsigned log[3];
	unsigned n_log = 0;
	struct loop *l = *state;

	timers_init(tt, 3, l, log, &n_log);
	tt[0].victim = &tt[1];
	for (unsigned k = 0; k < 3; k++)
		assert_int_equal(loop_timer_set(l, &tt[k].t, 0), 0);
	assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	assert_int_equal(n_log, 2);
	assert_int_equal(log[0], 0);
	assert_int_equal(log[1], 2);
	loop_timer_cancel(l, &tt[1].t); /* twice is harmless */
}

static void a_timer_armed_for_the_past_waits_for_the_next_turn(void **state)
{
	struct test_timer tt[1];
	unsigned log[8];
	unsigned n_log = 0;
	struct loop *l = *state;

	timers_init(tt, 1, l, log, &n_log);
	tt[0].moved = &tt[0];
	assert_int_equal(loop_timer_set(l, &tt[0].t, 0), 0);
	for (unsigned turn = 1; turn <= 3; turn++) {
		assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
		assert_int_equal(n_log, turn);
	}
	assert_int_equal(loop_timer_set(l, &tt[0].t, LOOP_NEVER), 0);
	assert_int_equal(tt[0].t.heap_index_plus_1, 0);
	assert_int_equal(loop_turn(l, 0), 0);
	assert_int_equal(n_log, 3);
}

static void a_turn_ends_at_its_deadline(void **state)
{
	struct loop *l = *state;
	uint64_t before = clock_now_ns();

	assert_int_equal(loop_turn(l, before + 20 * NS_PER_MS), 0);
	assert_true(clock_now_ns() >= before + 20 * NS_PER_MS);
	assert_true(loop_now_ns(l) >= before + 20 * NS_PER_MS);
	before = clock_now_ns();
	assert_int_equal(loop_turn(l, 0), 0);
	assert_true(clock_now_ns() < before + 10 * NS_PER_S);
}

static void a_turn_does_not_end_before_its_timer(void **state)
{
	struct test_timer tt[1];
	unsigned log[1];
	unsigned n_log = 0;
	struct loop *l = *state;
	uint64_t when = clock_now_ns() + 5 * NS_PER_MS;

	timers_init(tt, 1, l, log, &n_log);
	assert_int_equal(loop_timer_set(l, &tt[0].t, when), 0);
	while (n_log == 0)
		assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	assert_true(loop_now_ns(l) >= when);
}

/* ---- descriptors ------------------------------------------------------- */

struct test_fd {
	struct loop_fd f;
	struct loop *loop;
	struct test_fd *other; /* removed when this one is ready */
	bool readd;
	unsigned n_ready;
	uint32_t seen;
};

static void fd_ready(struct loop_fd *f, uint32_t events)
{
	struct test_fd *tf = CONTAINER_OF(f, struct test_fd, f);

	tf->n_ready++;
	tf->seen |= events;
	if (tf->other) {
		loop_fd_remove(tf->loop, &tf->other->f);
		if (tf->readd)
			assert_int_equal(loop_fd_add(tf->loop, &tf->other->f), 0);
		tf->other = NULL;
	}
}

static void fd_open(struct test_fd *tf, struct loop *l, unsigned count)
{
	*tf = (struct test_fd){
		.f = {.fd = eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK),
		      .events = EPOLLIN,
		      .ready = fd_ready},
		.loop = l,
	};
	assert_true(tf->f.fd >= 0);
	assert_int_equal(loop_fd_add(l, &tf->f), 0);
}

static void removal_reaches_events_of_the_same_turn(void **state)
{
	struct test_fd a, b;
	struct loop *l = *state;

	/* Each wants to remove the other: whoever comes first stays alone. */
	fd_open(&a, l, 1);
	fd_open(&b, l, 1);
	a.other = &b;
	b.other = &a;
	assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	assert_int_equal(a.n_ready + b.n_ready, 1);
	loop_fd_remove(l, &a.f);
	loop_fd_remove(l, &b.f); /* twice is harmless */
	close(a.f.fd);
	close(b.f.fd);
}

static void events_from_before_a_new_registration_are_dropped(void **state)
{
	struct test_fd a, b;
	struct loop *l = *state;

	fd_open(&a, l, 1);
	fd_open(&b, l, 1);
	a.other = &b;
	b.other = &a;
	a.readd = b.readd = true;
	assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	assert_int_equal(a.n_ready + b.n_ready, 1);
	assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	assert_true(a.n_ready >= 1 && b.n_ready >= 1);
	loop_fd_remove(l, &a.f);
	loop_fd_remove(l, &b.f);
	close(a.f.fd);
	close(b.f.fd);
}

static void only_wanted_events_come(void **state)
{
	struct test_fd a;
	struct loop *l = *state;

	fd_open(&a, l, 1); /* readable and writable */
	assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	assert_int_equal(a.seen, EPOLLIN);
	assert_int_equal(loop_fd_events(l, &a.f, EPOLLOUT), 0);
	a.seen = 0;
	assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	assert_int_equal(a.seen, EPOLLOUT);
	assert_int_equal(loop_fd_events(l, &a.f, 0), 0);
	a.seen = 0;
	assert_int_equal(loop_turn(l, 0), 0);
	assert_int_equal(a.seen, 0);
	loop_fd_remove(l, &a.f);
	close(a.f.fd);
}

static void a_bad_descriptor_is_an_error(void **state)
{
	struct loop_fd f = {.fd = -1, .events = EPOLLIN, .ready = fd_ready};

	assert_int_equal(loop_fd_add(*state, &f), -EBADF);
}

/* ---- deferred work ----------------------------------------------------- */

struct test_defer {
	struct loop_defer d;
	struct loop *loop;
	struct test_defer *then; /* queued when this one runs */
	struct test_defer *kill; /* cancelled when this one runs */
	unsigned n_runs;
};

static void defer_run(struct loop_defer *d)
{
	struct test_defer *td = CONTAINER_OF(d, struct test_defer, d);

	td->n_runs++;
	if (td->then)
		loop_defer(td->loop, &td->then->d);
	if (td->kill)
		loop_defer_cancel(&td->kill->d);
}

static void deferred_work_runs_once_at_the_end_of_the_turn(void **state)
{
	struct test_defer a = {.d.run = defer_run, .loop = *state};
	struct test_defer b = {.d.run = defer_run, .loop = *state};
	struct test_defer c = {.d.run = defer_run, .loop = *state};
	struct loop *l = *state;

	list_init(&a.d.node);
	list_init(&b.d.node);
	list_init(&c.d.node);
	a.then = &b; /* within the same turn */
	a.kill = &c;
	loop_defer(l, &a.d);
	loop_defer(l, &a.d);
	loop_defer(l, &c.d);
	assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	assert_int_equal(a.n_runs, 1);
	assert_int_equal(b.n_runs, 1);
	assert_int_equal(c.n_runs, 0);
	loop_defer_cancel(&a.d);
	assert_int_equal(loop_turn(l, 0), 0);
	assert_int_equal(a.n_runs, 1);
}

static void deferred_work_that_queues_itself_waits_a_turn(void **state)
{
	struct test_defer a = {.d.run = defer_run, .loop = *state};
	struct loop *l = *state;

	list_init(&a.d.node);
	a.then = &a;
	loop_defer(l, &a.d);
	for (unsigned turn = 1; turn <= 3; turn++) {
		assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
		assert_int_equal(a.n_runs, turn);
	}
	loop_defer_cancel(&a.d);
}

/* Two that queue each other must not keep the turn from ending. */
static void deferred_ping_pong_lets_the_turn_end(void **state)
{
	struct test_defer a = {.d.run = defer_run, .loop = *state};
	struct test_defer b = {.d.run = defer_run, .loop = *state};
	struct loop *l = *state;

	list_init(&a.d.node);
	list_init(&b.d.node);
	a.then = &b;
	b.then = &a;
	loop_defer(l, &a.d);
	assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	assert_true(a.n_runs + b.n_runs < 100);
	loop_defer_cancel(&a.d);
	loop_defer_cancel(&b.d);
}

/* ---- threads ----------------------------------------------------------- */

#define N_THREADS 8
#define N_POSTS   2000

struct numbered_post {
	struct loop_post p;
	unsigned thread, number;
};

static unsigned posts_next[N_THREADS];
static unsigned posts_seen;

static void numbered_run(struct loop_post *p)
{
	struct numbered_post *np = CONTAINER_OF(p, struct numbered_post, p);

	assert_int_equal(posts_next[np->thread], np->number);
	posts_next[np->thread]++;
	posts_seen++;
	free(np);
}

struct poster {
	pthread_t thread;
	struct loop *loop;
	unsigned id;
};

static void *poster_main(void *arg)
{
	struct poster *po = arg;

	for (unsigned k = 0; k < N_POSTS; k++) {
		struct numbered_post *np = calloc(1, sizeof(*np));

		if (!np)
			abort();
		*np = (struct numbered_post){.p.run = numbered_run, .thread = po->id, .number = k};
		loop_post(po->loop, &np->p);
	}
	return NULL;
}

static void posts_of_many_threads_keep_their_order(void **state)
{
	struct poster po[N_THREADS];
	struct loop *l = *state;

	memset(posts_next, 0, sizeof(posts_next));
	posts_seen = 0;
	for (unsigned k = 0; k < N_THREADS; k++) {
		po[k] = (struct poster){.loop = l, .id = k};
		assert_int_equal(pthread_create(&po[k].thread, NULL, poster_main, &po[k]), 0);
	}
	while (posts_seen < N_THREADS * N_POSTS)
		assert_int_equal(loop_turn(l, LOOP_NEVER), 0);
	for (unsigned k = 0; k < N_THREADS; k++)
		pthread_join(po[k].thread, NULL);
}

struct self_post {
	struct loop_post p;
	struct loop *loop;
	unsigned n_left, n_runs;
};

static void self_post_run(struct loop_post *p)
{
	struct self_post *sp = CONTAINER_OF(p, struct self_post, p);

	sp->n_runs++;
	if (sp->n_left-- > 0)
		loop_post(sp->loop, p);
}

static void a_closure_posted_by_a_closure_runs_next_turn(void **state)
{
	struct self_post sp = {.p.run = self_post_run, .loop = *state, .n_left = 2};

	loop_post(*state, &sp.p);
	for (unsigned turn = 1; turn <= 3; turn++) {
		assert_int_equal(loop_turn(*state, LOOP_NEVER), 0);
		assert_int_equal(sp.n_runs, turn);
	}
}

static void *runner_main(void *arg)
{
	return (void *)(intptr_t)loop_run(arg);
}

static void stop_posted(struct loop_post *p)
{
	struct self_post *sp = CONTAINER_OF(p, struct self_post, p);

	sp->n_runs++;
	loop_stop(sp->loop);
}

static void a_stopped_loop_runs_again(void **state)
{
	struct loop *l = *state;
	struct self_post sp = {.p.run = stop_posted, .loop = l};
	pthread_t thread;
	void *ret;

	for (unsigned k = 1; k <= 3; k++) {
		loop_post(l, &sp.p);
		assert_int_equal(loop_run(l), 0);
		assert_int_equal(sp.n_runs, k);
	}
	/* Stopped before it runs: returns at once. */
	loop_stop(l);
	assert_int_equal(loop_run(l), 0);
	/* Stopped from elsewhere, while it waits without a bound of its own. */
	assert_int_equal(pthread_create(&thread, NULL, runner_main, l), 0);
	loop_stop(l);
	assert_int_equal(pthread_join(thread, &ret), 0);
	assert_int_equal((intptr_t)ret, 0);
}

static void posts_before_a_stop_are_run(void **state)
{
	struct loop *l = *state;
	struct self_post a = {.p.run = self_post_run, .loop = l};
	struct self_post b = {.p.run = self_post_run, .loop = l};

	loop_post(l, &a.p);
	loop_stop(l);
	loop_post(l, &b.p);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(a.n_runs, 1);
	assert_int_equal(b.n_runs, 1);
}

struct counter {
	struct loop *loop;
	unsigned count; /* touched on the loop thread only */
	bool nested;
};

static void count_up(void *arg)
{
	struct counter *c = arg;

	assert_true(loop_is_own_thread(c->loop));
	c->count++;
	if (!c->nested) {
		c->nested = true;
		loop_call(c->loop, count_up, c); /* at once: would wait for ever otherwise */
		c->nested = false;
	}
}

static void *caller_main(void *arg)
{
	struct counter *c = arg;

	assert_false(loop_is_own_thread(c->loop));
	for (unsigned k = 0; k < 500; k++)
		loop_call(c->loop, count_up, c);
	return NULL;
}

static void calls_from_other_threads_and_its_own(void **state)
{
	struct counter c = {.loop = *state};
	pthread_t runner, caller[4];
	void *ret;

	assert_int_equal(pthread_create(&runner, NULL, runner_main, c.loop), 0);
	for (unsigned k = 0; k < ARRAY_SIZE(caller); k++)
		assert_int_equal(pthread_create(&caller[k], NULL, caller_main, &c), 0);
	for (unsigned k = 0; k < ARRAY_SIZE(caller); k++)
		pthread_join(caller[k], NULL);
	loop_stop(c.loop);
	assert_int_equal(pthread_join(runner, &ret), 0);
	assert_int_equal((intptr_t)ret, 0);
	assert_int_equal(c.count, ARRAY_SIZE(caller) * 500 * 2);
}

/* The loop may be freed by its runner as soon as the last closure has run. */
static void *stopper_main(void *arg)
{
	struct self_post *sp = arg;

	loop_post(sp->loop, &sp->p);
	return NULL;
}

static void a_loop_is_freed_while_a_poster_leaves(void **state)
{
	for (unsigned k = 0; k < 200; k++) {
		struct self_post sp = {.p.run = stop_posted};
		pthread_t thread;

		assert_int_equal(loop_new(&sp.loop), 0);
		assert_int_equal(pthread_create(&thread, NULL, stopper_main, &sp), 0);
		assert_int_equal(loop_run(sp.loop), 0);
		assert_null(loop_free(sp.loop));
		pthread_join(thread, NULL);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, loop_set_up, loop_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(timers_fire_in_order_of_deadline),
		T(equal_deadlines_fire_in_order_of_arming),
		T(a_timer_cancels_another_of_the_same_turn),
		T(a_timer_armed_for_the_past_waits_for_the_next_turn),
		T(a_turn_ends_at_its_deadline),
		T(a_turn_does_not_end_before_its_timer),
		T(removal_reaches_events_of_the_same_turn),
		T(events_from_before_a_new_registration_are_dropped),
		T(only_wanted_events_come),
		T(a_bad_descriptor_is_an_error),
		T(deferred_work_runs_once_at_the_end_of_the_turn),
		T(deferred_work_that_queues_itself_waits_a_turn),
		T(deferred_ping_pong_lets_the_turn_end),
		T(posts_of_many_threads_keep_their_order),
		T(a_closure_posted_by_a_closure_runs_next_turn),
		T(a_stopped_loop_runs_again),
		T(posts_before_a_stop_are_run),
		T(calls_from_other_threads_and_its_own),
		cmocka_unit_test(a_loop_is_freed_while_a_poster_leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
