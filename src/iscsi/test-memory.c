/* SPDX-License-Identifier: MIT */
/*
 * Out of memory
 *
 * A session's whole life, with the first allocation of the engine failing, then
 * the second, and so on until none is left to fail. Whatever happens must end in
 * an error that is told; nothing may leak (the leak checker looks), no task may be
 * lost or end twice.
 *
 * The linker puts the functions below in the place of the allocator's.
 */
#include "iscsi/test-peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static unsigned n_allocations, fail_at; /* fail_at 0: none */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static bool fails(void)
{
	return !peer_allocates && ++n_allocations == fail_at;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

enum {
	N_IO = 3
};

/* Everything that is told, and every task's end. */
static void drain(struct peer *p, struct io *io, unsigned *ended, bool *down, bool *text)
{
	const struct peer_event *e;

	while ((e = peer_event(p))) {
		if (e->ev.kind == ISCSI_EV_TASK_DONE) {
			struct io *one = e->ev.task->user;

			ended[one - io]++;
		} else if (e->ev.kind == ISCSI_EV_CONN_DOWN ||
			   e->ev.kind == ISCSI_EV_LOGIN_FAILED ||
			   e->ev.kind == ISCSI_EV_LOGGED_OUT) {
			*down = true;
		} else if (e->ev.kind == ISCSI_EV_TEXT_DONE) {
			*text = true;
		}
	}
}

static void serve(struct peer *p)
{
	while (peer_serve_one(p))
		;
}

/* Returns true when nothing failed. */
static bool life(unsigned nth)
{
	struct peer p;
	struct io io[N_IO];
	unsigned ended[N_IO] = {0};
	bool down = false, text = false, asked = true;
	int r;

	peer_init(&p);
	p.answers[2] = "MaxRecvDataSegmentLength=512";
	p.cfg.initiator_alias = "alias";
	io_write(&io[0], 5000);
	io_read(&io[1], 5000);
	io_none(&io[2]);
	n_allocations = 0;
	fail_at = nth;

	r = session_new(&p.s, &p.cfg);
	if (r) {
		assert_int_equal(r, -ENOMEM);
		assert_null(p.s);
		goto out;
	}
	r = conn_new(&p.c, p.s, p.cid);
	if (r) {
		assert_int_equal(r, -ENOMEM);
		assert_null(p.c);
		assert_int_equal(conn_new(&p.c, p.s, p.cid), 0); /* the next try may succeed */
	}
	conn_start(p.c, p.now_ns);
	for (int i = 0; i < N_IO; i++)
		io_submit(&p, &io[i]);
	serve(&p);
	drain(&p, io, ended, &down, &text);
	if (conn_alive(p.c)) {
		assert_true(p.in_full_feature);
		r = session_text(p.s, "SendTargets=All", 16, p.now_ns);
		assert_true(r == 0 || r == -ENOTCONN || r == -ENOMEM);
		asked = r != -ENOMEM;
	}
	peer_ping(&p, 5, "ping", 4);
	peer_tick(&p, 6 * PEER_S); /* our ping */
	serve(&p);
	drain(&p, io, ended, &down, &text);
	assert_int_equal(text, asked && !down);
	if (conn_alive(p.c))
		session_logout(p.s, p.now_ns);
	serve(&p);
	drain(&p, io, ended, &down, &text);
	assert_true(down); /* whatever it was, it was told */
	assert_false(conn_alive(p.c));
	session_fail_all(p.s, true, p.now_ns);
	drain(&p, io, ended, &down, &text);
	for (int i = 0; i < N_IO; i++)
		assert_int_equal(ended[i], 1);
out:
	fail_at = 0;
	peer_close(&p);
	for (int i = 0; i < N_IO; i++)
		io_free(&io[i],
			i == 1 && io[i].task.result == ISCSI_TASK_OK && ended[i] ? io[i].n : 0);
	return n_allocations < nth;
}

static void memory_fails_at_every_allocation(void **state)
{
	unsigned nth = 1;

	while (!life(nth))
		assert_true(++nth < 10000);
	assert_true(nth > 10);
}

static void memory_text_add(void **state)
{
	for (unsigned nth = 1; nth <= 2; nth++) {
		struct text t = {0};

		n_allocations = 0;
		fail_at = nth;
		for (int i = 0; i < 100; i++)
			text_add(&t, "Key", "value");
		fail_at = 0;
		assert_true(t.failed);
		text_add(&t, "Key", "value"); /* stays failed, so that no pair is missing unseen */
		assert_true(t.failed);
		text_clear(&t);
		assert_false(t.failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_fails_at_every_allocation),
		cmocka_unit_test(memory_text_add),
	};

	return PEER_RUN("out of memory", tests);
}
