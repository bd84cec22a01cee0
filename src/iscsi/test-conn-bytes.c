/* SPDX-License-Identifier: MIT */
/*
 * Where the bytes of a command's data go and come from: the caller's own buffers,
 * without a copy in between.
 */
#include "iscsi/test-peer.h"

#include <string.h>

static void start(struct peer *p)
{
	peer_init(p);
	peer_up(p);
}

static void zero_copy_of_large_data_in(void **state)
{
	struct peer p;
	struct io io;
	uint32_t n = 300000;

	start(&p);
	io_read(&io, n);
	p.watch = io.bytes;
	p.n_watch = n;
	io_submit(&p, &io);
	peer_serve_read(&p, &io, 65536);
	/* The first segment's beginning may come with its header; the rest is direct. */
	assert_true(p.n_rx_direct >= n - 32768);
	io_free(&io, n);
	/* And once large data is coming, all of it. */
	io_read(&io, n);
	p.watch = io.bytes;
	p.n_rx_direct = 0;
	io_submit(&p, &io);
	peer_serve_read(&p, &io, 65536);
	assert_int_equal(p.n_rx_direct, n);
	io_free(&io, n);
	peer_close(&p);
}

static void zero_copy_of_data_out(void **state)
{
	struct peer p;
	struct io io;
	uint32_t n = 300000;

	start(&p);
	io_write(&io, n);
	p.watch = io.bytes;
	p.n_watch = n;
	io_submit(&p, &io);
	peer_serve_write(&p, &io);
	assert_int_equal(p.n_tx_direct, n);
	io_free(&io, n);
	peer_close(&p);
}

/* The counters are what has passed. */
static void stats_count(void **state)
{
	struct peer p;
	struct io io;
	struct iscsi_stats before;
	const struct iscsi_stats *st;

	start(&p);
	st = session_stats(p.s);
	before = *st;
	io_write(&io, 1000);
	io_submit(&p, &io);
	peer_serve_write(&p, &io);
	assert_int_equal(st->n_tasks - before.n_tasks, 1);
	assert_int_equal(st->tx_bytes - before.tx_bytes, BHS_LEN + 1000);
	assert_int_equal(st->rx_bytes - before.rx_bytes, BHS_LEN);
	assert_int_equal(st->n_tx_pdus - before.n_tx_pdus, 1);
	assert_int_equal(st->n_rx_pdus - before.n_rx_pdus, 1);
	assert_int_equal(
		st->n_timeouts + st->n_conn_lost + st->n_digest_errors + st->n_protocol_errors, 0);
	conn_lost(p.c, "gone", p.now_ns);
	assert_int_equal(st->n_conn_lost, 1);
	assert_int_equal(conn_cid(p.c), p.cid);
	io_free(&io, io.n);
	peer_close(&p);
}

/* A vector of many parts, more than the entries the owner has room for. */
static void data_in_many_small_parts(void **state)
{
	enum {
		N = 3000,
		STEP = 7
	};
	struct iovec iov[N / STEP + 1];
	struct peer p;
	struct io io;

	for (int write = 0; write <= 1; write++) {
		start(&p);
		if (write)
			io_write(&io, N);
		else
			io_read(&io, N);
		for (unsigned i = 0; i < ARRAY_SIZE(iov); i++)
			iov[i] = (struct iovec){io.bytes + STEP * i,
						i == N / STEP ? N % STEP : STEP};
		io.task.iov = iov;
		io.task.n_iov = ARRAY_SIZE(iov);
		io_submit(&p, &io);
		if (write)
			peer_serve_write(&p, &io);
		else
			peer_serve_read(&p, &io, 1000);
		io_free(&io, N);
		peer_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zero_copy_of_large_data_in),
		cmocka_unit_test(zero_copy_of_data_out),
		cmocka_unit_test(stats_count),
		cmocka_unit_test(data_in_many_small_parts),
	};

	return PEER_RUN("bytes", tests);
}
