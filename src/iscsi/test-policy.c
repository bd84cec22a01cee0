/* SPDX-License-Identifier: MIT */
/*
 * Which connection takes the next command
 */
#include "iscsi/test-peer.h"

enum {
	N_CONNS = 3,
	N_IO = 12,
};

struct bench {
	struct peer p[N_CONNS];
	struct io io[N_IO];
	unsigned n_got[N_CONNS];
};

static void start(struct bench *b, enum iscsi_policy policy)
{
	memset(b, 0, sizeof(*b));
	peer_init(&b->p[0]);
	b->p[0].cfg.policy = policy;
	b->p[0].cfg.offer.MaxConnections = N_CONNS;
	peer_up(&b->p[0]);
	for (uint16_t i = 1; i < N_CONNS; i++)
		peer_join(&b->p[i], &b->p[0], (uint16_t)(i + 1));
	for (int i = 0; i < N_IO; i++)
		io_none(&b->io[i]);
}

static void end(struct bench *b)
{
	for (int i = 1; i < N_CONNS; i++)
		peer_leave(&b->p[i]);
	peer_close(&b->p[0]);
	for (int i = 0; i < N_IO; i++)
		io_free(&b->io[i], 0);
}

static void submit(struct bench *b, int from, int n)
{
	for (int i = from; i < from + n; i++)
		io_submit(&b->p[0], &b->io[i]);
}

/* Takes what is on the wires, starting at @first, and counts. */
static void take(struct bench *b, int first)
{
	for (int i = 0; i < N_CONNS; i++) {
		struct peer *p = &b->p[(first + i) % N_CONNS];

		b->n_got[(first + i) % N_CONNS] = 0;
		while (conn_alive(p->c) && peer_recv(p))
			b->n_got[(first + i) % N_CONNS]++;
	}
}

static void expect(struct bench *b, unsigned x, unsigned y, unsigned z)
{
	assert_int_equal(b->n_got[0], x);
	assert_int_equal(b->n_got[1], y);
	assert_int_equal(b->n_got[2], z);
}

static void round_robin_whoever_asks_first(void **state)
{
	for (int first = 0; first < N_CONNS; first++) {
		struct bench b;

		start(&b, ISCSI_POLICY_ROUND_ROBIN);
		conn_set_path(b.p[1].c, false, 0); /* means nothing here */
		submit(&b, 0, 12);
		take(&b, first);
		expect(&b, 4, 4, 4);
		end(&b);
	}
}

static void failover_uses_one_and_then_another(void **state)
{
	struct bench b;

	start(&b, ISCSI_POLICY_FAILOVER);
	conn_set_path(b.p[0].c, false, 0);
	submit(&b, 0, 3);
	take(&b, 0);
	expect(&b, 0, 3, 0);
	conn_lost(b.p[1].c, "gone", b.p[0].now_ns);
	submit(&b, 3, 2);
	take(&b, 0);
	expect(&b, 0, 0, 2);
	conn_lost(b.p[2].c, "gone", b.p[0].now_ns);
	submit(&b, 5, 2);
	take(&b, 0);
	expect(&b, 2, 0, 0); /* not active, but there is no other */
	end(&b);
}

static void subset_in_turn_then_the_others(void **state)
{
	struct bench b;

	start(&b, ISCSI_POLICY_ROUND_ROBIN_SUBSET);
	conn_set_path(b.p[1].c, false, 0);
	submit(&b, 0, 6);
	take(&b, 1);
	expect(&b, 3, 0, 3);
	conn_lost(b.p[2].c, "gone", b.p[0].now_ns);
	submit(&b, 6, 2);
	take(&b, 1);
	expect(&b, 2, 0, 0);
	conn_set_path(b.p[0].c, false, 0);
	submit(&b, 8, 2);
	take(&b, 1);
	expect(&b, 1, 1, 0);
	end(&b);
}

static void least_queue_levels_out(void **state)
{
	struct bench b;

	start(&b, ISCSI_POLICY_LEAST_QUEUE);
	submit(&b, 0, 6);
	take(&b, 2);
	expect(&b, 2, 2, 2);
	/* The last connection's are answered: it is the idle one. */
	for (int i = 0; i < 6; i++)
		if (b.io[i].task.conn == b.p[2].c)
			peer_status(&b.p[2], b.io[i].task.itt, 0);
	while (peer_event(&b.p[0]))
		;
	submit(&b, 6, 2);
	take(&b, 0);
	expect(&b, 0, 0, 2);
	end(&b);
}

static void weighted_takes_the_least(void **state)
{
	struct bench b;

	start(&b, ISCSI_POLICY_WEIGHTED);
	conn_set_path(b.p[0].c, true, 30);
	conn_set_path(b.p[1].c, true, 20);
	conn_set_path(b.p[2].c, true, 10);
	submit(&b, 0, 3);
	take(&b, 0);
	expect(&b, 0, 0, 3);
	conn_lost(b.p[2].c, "gone", b.p[0].now_ns);
	submit(&b, 3, 3);
	take(&b, 0);
	expect(&b, 0, 3, 0);
	end(&b);
}

/* What was dealt to a connection that does not take it goes to the others when that one goes. */
static void dealt_and_not_sent(void **state)
{
	struct bench b;

	start(&b, ISCSI_POLICY_ROUND_ROBIN);
	submit(&b, 0, 6);
	assert_non_null(peer_recv(&b.p[0])); /* deals */
	assert_int_equal(session_n_tasks(b.p[0].s), 6);
	conn_lost(b.p[1].c, "gone", b.p[0].now_ns);
	session_recall(b.p[0].s, &b.io[2].task); /* waits at the third */
	take(&b, 0);
	assert_int_equal(1 + b.n_got[0] + b.n_got[2], 5);
	assert_int_equal(b.n_got[1], 0);
	assert_int_equal(session_n_sent(b.p[0].s), 5);
	end(&b);
}

/* Held: what was dealt stays here, and goes on in the old order. */
static void hold_takes_back_what_was_dealt(void **state)
{
	struct bench b;

	start(&b, ISCSI_POLICY_ROUND_ROBIN);
	submit(&b, 0, 6);
	assert_non_null(peer_recv(&b.p[0]));
	session_hold(b.p[0].s, true, b.p[0].now_ns);
	take(&b, 1);
	assert_int_equal(b.n_got[1] + b.n_got[2], 0);
	session_hold(b.p[0].s, false, b.p[0].now_ns);
	take(&b, 1);
	assert_int_equal(session_n_sent(b.p[0].s), 6);
	end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_robin_whoever_asks_first),
		cmocka_unit_test(failover_uses_one_and_then_another),
		cmocka_unit_test(subset_in_turn_then_the_others),
		cmocka_unit_test(least_queue_levels_out),
		cmocka_unit_test(weighted_takes_the_least),
		cmocka_unit_test(dealt_and_not_sent),
		cmocka_unit_test(hold_takes_back_what_was_dealt),
	};

	return PEER_RUN("policy", tests);
}
