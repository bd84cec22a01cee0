/* SPDX-License-Identifier: MIT */
/*
 * What happens to commands when the connection goes: nothing is lost, nothing is
 * answered twice, the order is kept, and what must not be sent twice is not.
 */
#include "iscsi/test-peer.h"

#include <stdlib.h>
#include <string.h>

static void start(struct peer *p)
{
	peer_init(p);
	peer_up(p);
}

/* Marks a command, so that the target's side can tell the order. */
static void submit_marked(struct peer *p, struct io *io, uint8_t mark)
{
	io->task.cdb[15] = mark;
	io_submit(p, io);
}

static void serve(struct peer *p)
{
	while (peer_serve_one(p))
		;
}

static void lose(struct peer *p)
{
	conn_lost(p->c, "gone", p->now_ns);
	peer_expect_event(p, ISCSI_EV_CONN_DOWN);
	assert_string_equal(p->event.text, "gone");
}

/* ---- the connection breaks at every byte -------------------------------- */

enum {
	N_IO = 5
};

static void make_some(struct peer *p, struct io *io)
{
	io_write(&io[0], 3000);
	io_read(&io[1], 2000);
	io_none(&io[2]);
	io_write(&io[3], 10);
	io_read(&io[4], 1);
	for (uint8_t i = 0; i < N_IO; i++)
		submit_marked(p, &io[i], i);
}

/* Tells the ends that have come; each comes once and is good. */
static unsigned reap(struct peer *p, struct io *io, bool *done)
{
	unsigned n = 0;
	const struct peer_event *e;

	while ((e = peer_event(p))) {
		struct io *one;

		if (e->ev.kind != ISCSI_EV_TASK_DONE)
			continue;
		one = e->ev.task->user;
		assert_false(done[one - io]);
		done[one - io] = true;
		assert_int_equal(one->task.result, ISCSI_TASK_OK);
		assert_int_equal(one->task.status, 0);
		assert_int_equal(one->task.n_transferred, one->n);
		n++;
	}
	return n;
}

static size_t broken_at(size_t fuse, bool digests)
{
	struct peer p;
	struct io io[N_IO];
	bool done[N_IO] = {false};
	unsigned n;
	size_t passed = SIZE_MAX;

	peer_init(&p);
	p.answers[2] = "MaxRecvDataSegmentLength=512";
	p.answers[3] = "FirstBurstLength=1024";
	if (digests) {
		p.answers[0] = "HeaderDigest=CRC32C";
		p.answers[1] = "DataDigest=CRC32C";
	}
	peer_up(&p);
	p.fuse = fuse;
	make_some(&p, io);
	serve(&p);
	n = reap(&p, io, done);
	if (!p.blown) {
		passed = fuse - p.fuse;
	} else {
		assert_int_equal(session_n_tasks(p.s), N_IO - n);
		assert_true(session_is_held(p.s));
		p.fuse = 0;
		peer_again(&p);
		peer_expect_nothing(&p); /* held */
		session_hold(p.s, false, p.now_ns);
		serve(&p);
		n += reap(&p, io, done);
		for (unsigned i = 1; i < p.n_order; i++)
			assert_true(p.order[i - 1] < p.order[i]);
	}
	assert_int_equal(n, N_IO);
	assert_int_equal(session_n_tasks(p.s), 0);
	assert_true(conn_alive(p.c));
	for (unsigned i = 0; i < N_IO; i++)
		io_free(&io[i], io[i].n);
	peer_close(&p);
	return passed;
}

static void loss_at_every_byte(void **state)
{
	for (int digests = 0; digests <= 1; digests++) {
		size_t n = broken_at(1000000, digests), step = peer_split ? 17 : 1;

		assert_true(n > 5000 && n < 20000);
		for (size_t fuse = 1; fuse < n; fuse += step)
			assert_int_equal(broken_at(fuse, digests), SIZE_MAX);
	}
}

/* Loss in the login at every byte, with commands waiting. */
static void loss_at_every_byte_of_the_login(void **state)
{
	size_t step = peer_split == 1 ? 7 : 1;

	for (size_t fuse = 1;; fuse += step) {
		struct peer p;
		struct io io[N_IO];
		bool done[N_IO] = {false};
		bool blown;

		peer_init(&p);
		peer_open(&p);
		make_some(&p, io);
		p.fuse = fuse;
		peer_connect(&p);
		while (!p.in_full_feature && peer_serve_one(&p))
			;
		blown = p.blown;
		p.fuse = 0;
		if (blown) {
			/* With its very last byte it is up, and then lost. */
			const struct peer_event *e = peer_event(&p);

			assert_true(e->ev.kind == ISCSI_EV_LOGIN_FAILED ||
				    e->ev.kind == ISCSI_EV_UP);
			if (e->ev.kind == ISCSI_EV_UP) {
				peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
				session_hold(p.s, false, p.now_ns);
			}
			assert_int_equal(session_n_tasks(p.s), N_IO);
			peer_again(&p);
		}
		serve(&p);
		assert_int_equal(reap(&p, io, done), N_IO);
		for (unsigned i = 0; i < N_IO; i++)
			io_free(&io[i], io[i].n);
		peer_close(&p);
		if (!blown)
			break;
		assert_true(fuse < 10000);
	}
}

/* ---- order ------------------------------------------------------------- */

static void tasks_go_again_in_cmdsn_order(void **state)
{
	enum {
		N = 12
	};
	struct peer p;
	struct io io[N + 2];
	uint32_t itt[N];

	peer_init(&p);
	p.window = N;
	p.cfg.first_cmdsn = 0xfffffffa; /* wraps among them */
	peer_up(&p);
	for (uint8_t i = 0; i < N + 2; i++) {
		io_none(&io[i]);
		submit_marked(&p, &io[i], i);
	}
	for (int i = 0; i < N; i++)
		itt[i] = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	/* The table's places are given back out of order, and used again. */
	p.window = 0;
	peer_status(&p, itt[7], 0);
	io_expect(&p, &io[7], ISCSI_TASK_OK);
	peer_status(&p, itt[2], 0);
	io_expect(&p, &io[2], ISCSI_TASK_OK);
	p.window = 2;
	peer_ping(&p, PDU_TAG_NONE, NULL, 0);
	peer_expect(&p, PDU_SCSI_CMD);
	peer_expect(&p, PDU_SCSI_CMD);
	submit_marked(&p, &io[2], 100);
	lose(&p);
	submit_marked(&p, &io[7], 101);
	p.window = 64;
	peer_again(&p);
	session_hold(p.s, false, p.now_ns);
	serve(&p);
	assert_int_equal(p.n_order, N + 2);
	for (unsigned i = 1; i < p.n_order; i++)
		assert_true(p.order[i - 1] < p.order[i]);
	assert_int_equal(p.order[N], 100);
	assert_int_equal(p.order[N + 1], 101);
	for (int i = 0; i < N + 2; i++) {
		peer_expect_event(&p, ISCSI_EV_TASK_DONE);
		assert_int_equal(p.event.ev.task->result, ISCSI_TASK_OK);
	}
	peer_expect_no_event(&p);
	peer_close(&p);
	for (int i = 0; i < N + 2; i++)
		io_free(&io[i], 0);
}

/* Lost over and over: the order stays, nothing is doubled. */
static void losses_again_and_again(void **state)
{
	enum {
		N = 6
	};
	struct peer p;
	struct io io[N];

	start(&p);
	for (uint8_t i = 0; i < N; i++) {
		io_write(&io[i], 600);
		submit_marked(&p, &io[i], i);
	}
	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < round; i++)
			if (!peer_recv(&p))
				break;
		lose(&p);
		peer_again(&p);
		session_hold(p.s, false, p.now_ns);
		assert_int_equal(session_n_tasks(p.s), N);
	}
	serve(&p);
	for (uint8_t i = 0; i < N; i++) {
		assert_int_equal(p.order[i], i);
		io_expect(&p, &io[i], ISCSI_TASK_OK);
		io_free(&io[i], io[i].n);
	}
	assert_int_equal(p.n_order, N);
	peer_close(&p);
}

/* A command that ends every connection it is sent on is given up; one beside it that was never sent
 * is not. */
static void poison_is_not_sent_for_ever(void **state)
{
	struct peer p;
	struct io poison, innocent;

	peer_init(&p);
	p.window = 1;
	peer_up(&p);
	io_none(&poison);
	io_none(&innocent);
	io_submit(&p, &poison);
	io_submit(&p, &innocent);
	for (int round = 1; round <= ISCSI_MAX_LOSSES; round++) {
		peer_expect(&p, PDU_SCSI_CMD);
		peer_expect_nothing(&p);
		lose(&p);
		if (round == ISCSI_MAX_LOSSES)
			io_expect(&p, &poison, ISCSI_TASK_LOST);
		peer_expect_no_event(&p);
		peer_again(&p);
		session_hold(p.s, false, p.now_ns);
	}
	serve(&p);
	io_expect(&p, &innocent, ISCSI_TASK_OK);
	peer_close(&p);
	io_free(&poison, 0);
	io_free(&innocent, 0);
}

/* ---- once, probe, hold ------------------------------------------------- */

static void once_is_not_sent_twice(void **state)
{
	struct peer p;
	struct io sent, waits;

	peer_init(&p);
	p.window = 1;
	peer_up(&p);
	io_none(&sent);
	sent.task.once = true;
	io_none(&waits);
	waits.task.once = true;
	io_submit(&p, &sent);
	io_submit(&p, &waits);
	peer_expect(&p, PDU_SCSI_CMD);
	peer_expect_nothing(&p);
	lose(&p);
	io_expect(&p, &sent, ISCSI_TASK_LOST);
	peer_expect_no_event(&p);
	/* The other was never sent: it may go. */
	peer_again(&p);
	session_hold(p.s, false, p.now_ns);
	serve(&p);
	io_expect(&p, &waits, ISCSI_TASK_OK);
	peer_close(&p);
	io_free(&sent, 0);
	io_free(&waits, 0);
}

/* What a target said before it broke the rules does not count as the answer. */
static void result_of_a_lost_task_is_clean(void **state)
{
	static const uint8_t sense[] = {0, 4, 0x70, 0, 6, 0};
	struct peer p;
	struct io io;
	struct pdu u = {.opcode = PDU_SCSI_RSP,
			.final = true,
			.u.scsi_rsp = {.status = 2, .underflow = true, .residual = 4000}};

	start(&p);
	io_read(&io, 100);
	io.task.once = true;
	io_submit(&p, &io);
	u.itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	peer_send(&p, u, sense, sizeof(sense));
	peer_expect_violation(&p, "larger than the expected");
	io_expect(&p, &io, ISCSI_TASK_LOST);
	assert_int_equal(io.task.status, 0);
	assert_int_equal(io.task.n_sense, 0);
	assert_int_equal(io.task.residual, 0);
	assert_false(io.task.underflow || io.task.overflow);
	assert_int_equal(io.task.n_transferred, 0);
	peer_close(&p);
	io_free(&io, 0);
}

static void held_session_sends_probes_only(void **state)
{
	struct peer p;
	struct io sent, queued, probe, later;

	start(&p);
	assert_false(session_is_held(p.s));
	io_none(&sent);
	submit_marked(&p, &sent, 1);
	peer_expect(&p, PDU_SCSI_CMD);
	io_none(&queued);
	submit_marked(&p, &queued, 2);
	lose(&p);
	assert_true(session_is_held(p.s));
	io_none(&probe);
	probe.task.probe = true;
	submit_marked(&p, &probe, 3);
	io_none(&later);
	submit_marked(&p, &later, 4);
	peer_again(&p);
	assert_true(session_is_held(p.s));
	serve(&p);
	io_expect(&p, &probe, ISCSI_TASK_OK);
	peer_expect_no_event(&p);
	assert_int_equal(p.n_order, 1);
	session_hold(p.s, false, p.now_ns);
	serve(&p);
	io_expect(&p, &sent, ISCSI_TASK_OK);
	io_expect(&p, &queued, ISCSI_TASK_OK);
	io_expect(&p, &later, ISCSI_TASK_OK);
	assert_memory_equal(p.order, ((const uint8_t[]){3, 1, 2, 4}), 4);
	/* The owner may hold a session by itself. */
	session_hold(p.s, true, p.now_ns);
	submit_marked(&p, &later, 5);
	peer_expect_nothing(&p);
	session_hold(p.s, false, p.now_ns);
	peer_expect(&p, PDU_SCSI_CMD);
	peer_close(&p);
	io_free(&sent, 0);
	io_free(&queued, 0);
	io_free(&probe, 0);
	io_free(&later, 0);
}

static void time_stands_still_while_held(void **state)
{
	struct peer p;
	struct io io, probe;

	peer_init(&p);
	p.cfg.nop_interval_ns = 1000 * PEER_S;
	peer_up(&p);
	io_none(&io);
	io_submit(&p, &io);
	peer_expect(&p, PDU_SCSI_CMD);
	lose(&p);
	peer_tick(&p, 1000 * PEER_S);
	peer_expect_no_event(&p);
	io_none(&probe);
	probe.task.probe = true;
	io_submit(&p, &probe);
	peer_tick(&p, 30 * PEER_S); /* a probe's does not */
	io_expect(&p, &probe, ISCSI_TASK_TIMEOUT);
	peer_again(&p);
	peer_tick(&p, 4 * PEER_S);
	session_hold(p.s, false, p.now_ns);
	peer_expect(&p, PDU_SCSI_CMD);
	peer_tick(&p, 29 * PEER_S);
	peer_expect_nothing(&p); /* no abort: its 30 s have just begun */
	peer_tick(&p, 2 * PEER_S);
	peer_expect(&p, PDU_TMF_REQ);
	peer_close(&p);
	io_free(&io, 0);
	io_free(&probe, 0);
}

/* Not held, and yet not sent: the window is closed, or there is no connection. */
static void timeout_of_a_waiting_task(void **state)
{
	for (int connected = 0; connected <= 1; connected++) {
		struct peer p;
		struct io io;

		peer_init(&p);
		p.window = 0;
		p.cfg.nop_interval_ns = 1000 * PEER_S;
		if (connected)
			peer_up(&p);
		else
			peer_open(&p);
		io_none(&io);
		io_submit(&p, &io);
		assert_true(session_deadline_ns(p.s) <= p.now_ns + 30 * PEER_S);
		peer_tick(&p, 29 * PEER_S);
		peer_expect_no_event(&p);
		peer_tick(&p, 2 * PEER_S);
		io_expect(&p, &io, ISCSI_TASK_TIMEOUT);
		if (connected)
			peer_expect_nothing(&p);
		assert_int_equal(session_n_tasks(p.s), 0);
		peer_close(&p);
		io_free(&io, 0);
	}
}

/* ---- the owner gives up ------------------------------------------------ */

static void fail_all_of_a_held_session(void **state)
{
	struct peer p;
	struct io io, probe;

	start(&p);
	io_none(&io);
	io_submit(&p, &io);
	peer_expect(&p, PDU_SCSI_CMD);
	lose(&p);
	io_none(&probe);
	probe.task.probe = true;
	io_submit(&p, &probe);
	session_fail_all(p.s, false, p.now_ns);
	io_expect(&p, &io, ISCSI_TASK_LOST);
	peer_expect_no_event(&p);
	assert_int_equal(session_n_tasks(p.s), 1);
	session_fail_all(p.s, true, p.now_ns);
	io_expect(&p, &probe, ISCSI_TASK_LOST);
	peer_expect_no_event(&p);
	assert_int_equal(session_n_tasks(p.s), 0);
	peer_close(&p);
	io_free(&io, 0);
	io_free(&probe, 0);
}

/* All, with a live connection: what is landing or leaving at this moment ends later, once. */
static void fail_all_with_data_under_way(void **state)
{
	struct peer p;
	struct io out, in;
	struct pdu u = {.opcode = PDU_DATA_IN, .final = true, .u.data_in = {.has_status = true}};
	uint8_t wire[BHS_LEN + 100], data[100];
	size_t n;

	start(&p);
	io_read(&in, 100);
	io_submit(&p, &in);
	u.itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	io_fill(data, 0, 100);
	peer_number(&p, &u);
	n = peer_encode(&p, &u, data, 100, wire);
	peer_feed(&p, wire, n - 30);
	io_write(&out, 100000);
	io_submit(&p, &out);
	peer_pull(&p, 100);
	session_fail_all(p.s, false, p.now_ns); /* both are on the wire */
	peer_expect_no_event(&p);
	session_fail_all(p.s, true, p.now_ns);
	session_fail_all(p.s, true, p.now_ns);
	peer_expect_no_event(&p);
	peer_feed(&p, wire + n - 30, 30);
	io_expect(&p, &in, ISCSI_TASK_LOST);
	while (peer_recv(&p))
		;
	io_expect(&p, &out, ISCSI_TASK_LOST);
	peer_expect_no_event(&p);
	peer_close(&p);
	io_free(&in, 100);
	io_free(&out, out.n);
}

static void session_freed_with_everything_under_way(void **state)
{
	struct peer p;
	struct io io[N_IO];

	start(&p);
	make_some(&p, io);
	peer_pull(&p, 60);
	session_lu_reset(p.s, 1, p.now_ns);
	session_text(p.s, "A=b", 4, p.now_ns);
	peer_close(&p);
	for (int i = 0; i < N_IO; i++)
		free(io[i].mem);
}

/* Task management is under way when the connection goes: who gave up, ends; the rest goes on. */
static void loss_while_aborting(void **state)
{
	struct peer p;
	struct io bad, good;

	start(&p);
	io_none(&bad);
	io_submit(&p, &bad);
	io_none(&good);
	io_submit(&p, &good);
	peer_expect(&p, PDU_SCSI_CMD);
	peer_expect(&p, PDU_SCSI_CMD);
	session_cancel(p.s, &bad.task, p.now_ns);
	peer_expect(&p, PDU_TMF_REQ);
	lose(&p);
	io_expect(&p, &bad, ISCSI_TASK_CANCELLED);
	peer_expect_no_event(&p);
	peer_again(&p);
	session_hold(p.s, false, p.now_ns);
	serve(&p);
	io_expect(&p, &good, ISCSI_TASK_OK);
	peer_tick(&p, 20 * PEER_S); /* the old function's time runs out: nobody minds */
	serve(&p);
	peer_expect_no_event(&p);
	peer_close(&p);
	io_free(&bad, 0);
	io_free(&good, 0);
}

/* Violation found in the PDU whose data has just landed. */
static void loss_by_the_data_that_landed(void **state)
{
	for (int once = 0; once <= 1; once++) {
		struct peer p;
		struct io io;
		uint8_t data[100];

		start(&p);
		io_read(&io, 100);
		io.task.once = once;
		io_submit(&p, &io);
		peer_expect(&p, PDU_SCSI_CMD);
		io_fill(data, 0, 100);
		peer_data_in(&p, p.seen.pdu.itt, 0, 0, data, 99, true); /* good, and short */
		peer_expect_violation(&p, "data is missing");
		if (once) {
			io_expect(&p, &io, ISCSI_TASK_LOST);
		} else {
			peer_again(&p);
			session_hold(p.s, false, p.now_ns);
			serve(&p);
			io_expect(&p, &io, ISCSI_TASK_OK);
		}
		peer_expect_no_event(&p);
		io_free(&io, once ? 99 : 100);
		peer_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_at_every_byte),
		cmocka_unit_test(loss_at_every_byte_of_the_login),
		cmocka_unit_test(tasks_go_again_in_cmdsn_order),
		cmocka_unit_test(losses_again_and_again),
		cmocka_unit_test(poison_is_not_sent_for_ever),
		cmocka_unit_test(once_is_not_sent_twice),
		cmocka_unit_test(result_of_a_lost_task_is_clean),
		cmocka_unit_test(held_session_sends_probes_only),
		cmocka_unit_test(time_stands_still_while_held),
		cmocka_unit_test(timeout_of_a_waiting_task),
		cmocka_unit_test(fail_all_of_a_held_session),
		cmocka_unit_test(fail_all_with_data_under_way),
		cmocka_unit_test(session_freed_with_everything_under_way),
		cmocka_unit_test(loss_while_aborting),
		cmocka_unit_test(loss_by_the_data_that_landed),
	};

	return PEER_RUN("recovery", tests);
}
