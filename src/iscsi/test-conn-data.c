/* SPDX-License-Identifier: MIT */
/*
 * Conversations about the data of commands: what is sent of a write and when, what
 * is believed of a read, where the bytes are, digests. Numbers in the names are
 * those of the UNH-IOL full feature phase procedures for initiators.
 */
#include "iscsi/test-peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void start(struct peer *p)
{
	peer_init(p);
	peer_up(p);
}

/* ---- writes ------------------------------------------------------------ */

struct shape {
	const char *r2t, *immediate, *first, *max, *segment;
};

static void write_all(const struct shape *sh, uint32_t n)
{
	struct peer p;
	struct io io;

	peer_init(&p);
	p.answers[2] = sh->r2t;
	p.answers[3] = sh->immediate;
	p.answers[4] = sh->first;
	p.answers[5] = sh->max;
	p.answers[6] = sh->segment;
	peer_up(&p);
	io_write(&io, n);
	io_submit(&p, &io);
	peer_serve_write(&p,
			 &io); /* looks at F, TTT, DataSN, offset, LUN, length, and every byte */
	peer_expect_nothing(&p);
	io_free(&io, n);
	peer_close(&p);
}

static void unh_ffp_8_1_16_1_immediate_data_by_initial_r2t(void **state)
{
	static const char *const r2t[] = {"InitialR2T=Yes", "InitialR2T=No"};
	static const char *const immediate[] = {"ImmediateData=Yes", "ImmediateData=No"};
	static const struct {
		const char *first, *max, *segment;
	} sizes[] = {
		{"FirstBurstLength=512", "MaxBurstLength=512", "MaxRecvDataSegmentLength=512"},
		{"FirstBurstLength=1000", "MaxBurstLength=1500", "MaxRecvDataSegmentLength=512"},
		{"FirstBurstLength=1024", "MaxBurstLength=2048", "MaxRecvDataSegmentLength=8192"},
		{"FirstBurstLength=2048", "MaxBurstLength=4096", "MaxRecvDataSegmentLength=777"},
		{"FirstBurstLength=4096", "MaxBurstLength=4096", "MaxRecvDataSegmentLength=4096"},
	};
	static const uint32_t n[] = {1, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 10000};

	for (size_t k = 0; k < 4 * ARRAY_SIZE(sizes); k++) {
		const struct shape sh = {r2t[k & 1], immediate[k >> 1 & 1], sizes[k / 4].first,
					 sizes[k / 4].max, sizes[k / 4].segment};

		for (size_t i = 0; i < ARRAY_SIZE(n); i++)
			write_all(&sh, n[i]);
	}
}

static void ffp_write_of_no_bytes(void **state)
{
	static const struct shape sh = {"InitialR2T=No", "ImmediateData=Yes", NULL, NULL, NULL};

	write_all(&sh, 0);
}

/* Takes a SCSI command whose data is all to be asked for. */
static uint32_t begin_write(struct peer *p, struct io *io, uint32_t n)
{
	const struct seen *u;

	peer_init(p);
	p->answers[2] = "InitialR2T=Yes";
	p->answers[3] = "ImmediateData=No";
	p->answers[4] = "MaxBurstLength=4096";
	p->answers[5] = "FirstBurstLength=4096";
	p->answers[6] = "MaxRecvDataSegmentLength=1024";
	p->answers[7] = "MaxOutstandingR2T=3";
	peer_up(p);
	io_write(io, n);
	io_submit(p, io);
	u = peer_expect(p, PDU_SCSI_CMD);
	assert_true(u->pdu.final);
	assert_int_equal(u->pdu.n_data, 0);
	peer_expect_nothing(p);
	return u->pdu.itt;
}

static void expect_burst(struct peer *p, uint32_t ttt, uint32_t off, uint32_t n)
{
	for (uint32_t sn = 0; n > 0; sn++) {
		const struct seen *u = peer_expect(p, PDU_DATA_OUT);

		assert_int_equal(u->pdu.ttt, ttt);
		assert_int_equal(u->pdu.u.data_out.datasn, sn);
		assert_int_equal(u->pdu.u.data_out.off, off);
		assert_true(u->pdu.n_data <= 1024);
		assert_int_equal(u->pdu.final, u->pdu.n_data == n);
		off += u->pdu.n_data;
		n -= u->pdu.n_data;
	}
}

static void unh_ffp_12_4_6_1_9_1_r2ts_in_parallel(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = begin_write(&p, &io, 12000);

	/* Three at once; any tag, zero and one below the reserved too. */
	peer_r2t(&p, itt, 0, 0, 0, 4096);
	peer_r2t(&p, itt, 0xfffffffe, 1, 4096, 1);
	peer_r2t(&p, itt, 0x12345678, 2, 4097, 4096);
	expect_burst(&p, 0, 0, 4096);
	expect_burst(&p, 0xfffffffe, 4096, 1);
	expect_burst(&p, 0x12345678, 4097, 4096);
	peer_expect_nothing(&p);
	peer_r2t(&p, itt, 5, 3, 8193, 3807);
	expect_burst(&p, 5, 8193, 3807);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	io_free(&io, io.n);
	peer_close(&p);
}

static void ffp_8_bad_r2t(void **state)
{
	static const struct {
		uint32_t ttt, r2tsn, off, len;
		const char *why;
	} bad[] = {
		{1, 0, 0, 0, "length"},
		{1, 0, 0, 4097, "MaxBurstLength"},
		{1, 0, 0, 0xffffffff, "MaxBurstLength"},
		{1, 0, 12000, 1, "beyond"},
		{1, 0, 11000, 1001, "beyond"},
		{1, 0, 0xffffff00, 4096, "beyond"},
		{1, 0, 512, 512, "gap or overlaps"},
		{1, 1, 0, 512, "R2TSN"},
		{1, 0xffffffff, 0, 512, "R2TSN"},
		{PDU_TAG_NONE, 0, 0, 512, "Target Transfer Tag"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		struct io io;
		uint32_t itt = begin_write(&p, &io, 12000);

		peer_r2t(&p, itt, bad[i].ttt, bad[i].r2tsn, bad[i].off, bad[i].len);
		peer_expect_violation(&p, bad[i].why);
		peer_expect_no_event(&p);
		assert_int_equal(session_n_tasks(p.s), 1); /* waits for the next connection */
		peer_close(&p);
		io_free(&io, io.n);
	}
}

static void unh_ffp_12_3_r2t_twice_or_back(void **state)
{
	for (int back = 0; back <= 1; back++) {
		struct peer p;
		struct io io;
		uint32_t itt = begin_write(&p, &io, 12000);

		peer_r2t(&p, itt, 1, 0, 0, 1024);
		expect_burst(&p, 1, 0, 1024);
		if (back)
			peer_r2t(&p, itt, 2, 1, 0, 1024); /* the same bytes again */
		else
			peer_r2t(&p, itt, 2, 0, 1024, 1024); /* the same number again */
		peer_expect_violation(&p, back ? "overlaps" : "R2TSN");
		peer_close(&p);
		io_free(&io, io.n);
	}
}

static void ffp_19_more_r2ts_than_outstanding(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = begin_write(&p, &io, 12000);

	for (uint32_t i = 0; i < 4; i++)
		peer_r2t(&p, itt, i, i, i * 100, 100);
	peer_expect_violation(&p, "MaxOutstandingR2T");
	peer_close(&p);
	io_free(&io, io.n);
}

/* However many the owner allows, the offer is what there is room for. */
static void ffp_19_as_many_r2ts_as_were_negotiated(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt, n;

	peer_init(&p);
	p.cfg.offer.MaxOutstandingR2T = 65535;
	p.answers[2] = "InitialR2T=Yes";
	p.answers[3] = "ImmediateData=No";
	peer_up(&p);
	n = session_params(p.s)->MaxOutstandingR2T;
	assert_int_equal(n, ISCSI_MAX_R2T);
	io_write(&io, 100 * n);
	io_submit(&p, &io);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	for (uint32_t i = 0; i < n; i++)
		peer_r2t(&p, itt, i, i, i * 100, 100);
	for (uint32_t i = 0; i < n; i++)
		expect_burst(&p, i, i * 100, 100);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	io_free(&io, io.n);
	peer_close(&p);
}

static void ffp_r2t_for_what_takes_none(void **state)
{
	struct peer p;
	struct io io;
	const struct seen *u;

	start(&p);
	io_read(&io, 512);
	io_submit(&p, &io);
	u = peer_expect(&p, PDU_SCSI_CMD);
	peer_r2t(&p, u->pdu.itt, 1, 0, 0, 512);
	peer_expect_violation(&p, "writes nothing");
	peer_close(&p);
	io_free(&io, 0);

	start(&p);
	peer_r2t(&p, 77, 1, 0, 0, 512);
	peer_expect_violation(&p, "no command of ours");
	peer_close(&p);
}

static void ffp_good_status_for_data_not_asked_for(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = begin_write(&p, &io, 12000);

	peer_r2t(&p, itt, 1, 0, 0, 4096);
	expect_burst(&p, 1, 0, 4096);
	peer_status(&p, itt, 0);
	peer_expect_violation(&p, "not asked for");
	peer_close(&p);
	io_free(&io, io.n);
}

/* It asked, but did not wait for the bytes. */
static void ffp_good_status_for_data_not_sent(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = begin_write(&p, &io, 4096);

	peer_r2t(&p, itt, 1, 0, 0, 4096);
	peer_status(&p, itt, 0);
	peer_expect_violation(&p, "good status");
	peer_close(&p);
	io_free(&io, io.n);
}

/* Good, but the target says that it has not used all of the data. */
static void unh_ffp_16_6_residual_of_a_write(void **state)
{
	static const struct {
		uint32_t residual, due;
		bool underflow, overflow;
	} cases[] = {{400, 600, true, false}, {1000, 0, true, false}, {5, 1000, false, true}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer p;
		struct io io;
		struct pdu r = {.opcode = PDU_SCSI_RSP,
				.final = true,
				.u.scsi_rsp = {.underflow = cases[i].underflow,
					       .overflow = cases[i].overflow,
					       .residual = cases[i].residual}};

		r.itt = begin_write(&p, &io, 1000);
		peer_r2t(&p, r.itt, 1, 0, 0, 1000);
		expect_burst(&p, 1, 0, 1000);
		peer_send(&p, r, NULL, 0);
		io_expect(&p, &io, ISCSI_TASK_OK);
		assert_int_equal(io.task.n_transferred, cases[i].due);
		assert_int_equal(io.task.residual, cases[i].residual);
		assert_int_equal(io.task.underflow, cases[i].underflow);
		assert_int_equal(io.task.overflow, cases[i].overflow);
		io_free(&io, io.n);
		peer_close(&p);
	}
}

/* A bad status may come at any time; what is left of the data is not sent. */
static void unh_ffp_16_4_check_condition_stops_the_data(void **state)
{
	static const uint8_t sense[] = {0, 18, 0x70, 0, 5,    0, 0, 0, 0, 10,
					0, 0,  0,    0, 0x24, 0, 0, 0, 0, 0};
	struct peer p;
	struct io io;
	uint32_t itt = begin_write(&p, &io, 12000);
	struct pdu r = {.opcode = PDU_SCSI_RSP,
			.final = true,
			.itt = itt,
			.u.scsi_rsp = {.status = 2, .underflow = true, .residual = 12000}};

	peer_r2t(&p, itt, 1, 0, 0, 4096);
	peer_send(&p, r, sense, sizeof(sense));
	peer_expect_nothing(&p);
	io_expect(&p, &io, ISCSI_TASK_OK);
	assert_int_equal(io.task.status, 2);
	assert_int_equal(io.task.n_sense, 18);
	assert_memory_equal(io.task.sense, sense + 2, 18);
	assert_true(io.task.underflow);
	assert_int_equal(io.task.residual, 12000);
	io_free(&io, io.n);
	peer_close(&p);
}

/* Half a Data-Out is with the owner's socket: the buffer is not the owner's yet. */
static void ffp_response_while_data_is_half_sent(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = begin_write(&p, &io, 4096);
	size_t left = 4096 + 4 * BHS_LEN;
	size_t first = BHS_LEN + 500;

	peer_r2t(&p, itt, 1, 0, 0, 4096);
	while (first > 0)
		first -= peer_pull(&p, first);
	left -= BHS_LEN + 500;
	peer_status(&p, itt, 2);
	peer_expect_no_event(&p);
	assert_int_equal(session_n_tasks(p.s), 0);
	for (; left > 0; left -= peer_pull(&p, left < 100 ? left : 100))
		peer_expect_no_event(&p);
	io_expect(&p, &io, ISCSI_TASK_OK);
	/* All of it was in the engine's line already: the target gets whole PDUs. */
	expect_burst(&p, 1, 0, 4096);
	io_free(&io, io.n);
	peer_close(&p);
}

/* The same, and then the connection goes: the task ends all the same, once. */
static void ffp_response_while_data_is_half_sent_and_loss(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = begin_write(&p, &io, 4096);

	peer_r2t(&p, itt, 1, 0, 0, 4096);
	peer_pull(&p, 77);
	peer_status(&p, itt, 8);
	peer_expect_no_event(&p);
	conn_lost(p.c, "gone", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	io_expect(&p, &io, ISCSI_TASK_OK);
	assert_int_equal(io.task.status, 8);
	assert_int_equal(session_n_tasks(p.s), 0);
	peer_expect_no_event(&p);
	io_free(&io, io.n);
	peer_close(&p);
}

/* Unsolicited data of one command goes before the next command (4.2.2.3 of the RFC). */
static void ffp_unsolicited_data_in_order(void **state)
{
	struct peer p;
	struct io a, b;
	const struct seen *u;

	peer_init(&p);
	p.answers[2] = "ImmediateData=No";
	p.answers[3] = "MaxRecvDataSegmentLength=512";
	peer_up(&p);
	io_write(&a, 1024);
	io_write(&b, 512);
	io_submit(&p, &a);
	io_submit(&p, &b);
	u = peer_expect(&p, PDU_SCSI_CMD);
	assert_false(u->pdu.final);
	uint32_t itt_a = u->pdu.itt, itt_b;

	for (uint32_t sn = 0; sn < 2; sn++) {
		u = peer_expect(&p, PDU_DATA_OUT);
		assert_int_equal(u->pdu.itt, itt_a);
		assert_int_equal(u->pdu.ttt, PDU_TAG_NONE);
		assert_int_equal(u->pdu.u.data_out.datasn, sn);
		assert_int_equal(u->pdu.final, sn == 1);
	}
	itt_b = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	assert_int_equal(peer_expect(&p, PDU_DATA_OUT)->pdu.itt, itt_b);
	/* Answers in the other order. */
	peer_status(&p, itt_b, 0);
	io_expect(&p, &b, ISCSI_TASK_OK);
	peer_status(&p, itt_a, 0);
	io_expect(&p, &a, ISCSI_TASK_OK);
	io_free(&a, a.n);
	io_free(&b, b.n);
	peer_close(&p);
}

/* ---- reads ------------------------------------------------------------- */

static uint32_t begin_read(struct peer *p, struct io *io, uint32_t n)
{
	const struct seen *u;

	start(p);
	io_read(io, n);
	io_submit(p, io);
	u = peer_expect(p, PDU_SCSI_CMD);
	return u->pdu.itt;
}

static void unh_ffp_10_1_read_in_segments_of_any_size(void **state)
{
	static const uint32_t n[] = {1, 3, 4, 512, 8191, 8192, 8193, 20000, 70001};
	static const uint32_t segment[] = {1000, 4096, 8192, 16384, 262144};

	for (size_t i = 0; i < ARRAY_SIZE(n); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(segment); k++) {
			struct peer p;
			struct io io;

			start(&p);
			io_read(&io, n[i]);
			io_submit(&p, &io);
			peer_serve_read(&p, &io, segment[k]);
			io_free(&io, n[i]);
			peer_close(&p);
		}
	}
}

/* Status in a response of its own, with and without data before it. */
static void ffp_10_read_with_status_apart(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = begin_read(&p, &io, 1000);
	uint8_t bytes[1000];

	io_fill(bytes, 0, 1000);
	peer_data_in(&p, itt, 0, 0, bytes, 600, false);
	peer_data_in(&p, itt, 1, 600, bytes + 600, 400, false);
	peer_expect_no_event(&p);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	assert_int_equal(io.task.n_transferred, 1000);
	io_free(&io, 1000);
	peer_close(&p);
}

/* At level 0 a target must not want its data acknowledged; if it does, nothing is sent. */
static void unh_ffp_10_2_a_bit_at_level_0(void **state)
{
	struct peer p;
	struct io io;
	struct pdu u = {.opcode = PDU_DATA_IN, .final = true, .ttt = 7, .u.data_in = {.ack = true}};
	uint8_t bytes[16];

	u.itt = begin_read(&p, &io, 16);
	io_fill(bytes, 0, 16);
	peer_send(&p, u, bytes, 16);
	peer_expect_nothing(&p);
	peer_status(&p, u.itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	io_free(&io, 16);
	peer_close(&p);
}

/* Data-In that must not be believed; nothing outside the buffer is touched. */
static void own_ffp_datasn_and_other_data_in_that_is_wrong(void **state)
{
	static const struct {
		uint32_t datasn, off, n;
		bool has_status, final;
		const char *why;
	} bad[] = {
		{1, 0, 500, false, false, "DataSN"},
		{0xffffffff, 0, 500, false, false, "DataSN"},
		{0, 4, 500, false, false, "gap or overlaps"},
		{0, 0xfffffff0, 500, false, false, "gap or overlaps"},
		{0, 0, 1001, false, true, "beyond the buffer"},
		{0, 0, 100000, false, true, "beyond the buffer"},
		{0, 0, 262145, false, true, "more than we declared"},
		{0, 0, 500, true, false, "not the last"},
	};
	uint8_t *bytes = calloc(1, 262145);

	assert_non_null(bytes);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		struct io io;
		uint32_t itt = begin_read(&p, &io, 1000);
		struct pdu u = {.opcode = PDU_DATA_IN,
				.final = bad[i].final,
				.itt = itt,
				.ttt = PDU_TAG_NONE,
				.u.data_in = {.datasn = bad[i].datasn,
					      .off = bad[i].off,
					      .has_status = bad[i].has_status}};

		peer_send(&p, u, bytes, bad[i].n);
		peer_expect_violation(&p, bad[i].why);
		peer_expect_no_event(&p);
		peer_close(&p);
		io_free(&io, 0);
	}
	free(bytes);
}

static void ffp_second_data_in_that_is_wrong(void **state)
{
	static const struct {
		uint32_t datasn, off, n;
		const char *why;
	} bad[] = {
		{0, 600, 400, "DataSN"}, {2, 600, 400, "DataSN"}, {1, 599, 400, "overlaps"},
		{1, 0, 600, "overlaps"}, {1, 601, 399, "gap"},    {1, 600, 401, "beyond"},
	};
	uint8_t bytes[1000];

	io_fill(bytes, 0, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct peer p;
		struct io io;
		uint32_t itt = begin_read(&p, &io, 1000);

		peer_data_in(&p, itt, 0, 0, bytes, 600, false);
		peer_data_in(&p, itt, bad[i].datasn, bad[i].off, bytes, bad[i].n, false);
		peer_expect_violation(&p, bad[i].why);
		peer_close(&p);
		io_free(&io, 600);
	}
}

static void own_ffp_itt_data_in_for_no_task(void **state)
{
	struct peer p;
	struct io io;
	const struct seen *u;
	uint32_t itt = begin_read(&p, &io, 8);

	peer_data_in(&p, itt + 1, 0, 0, "12345678", 8, true);
	peer_expect_violation(&p, "no command of ours");
	peer_close(&p);
	io_free(&io, 0);

	start(&p);
	io_write(&io, 8);
	io_submit(&p, &io);
	u = peer_expect(&p, PDU_SCSI_CMD);
	peer_data_in(&p, u->pdu.itt, 0, 0, "12345678", 8, true);
	peer_expect_violation(&p, "reads nothing");
	peer_close(&p);
	io_free(&io, 8);
}

/* A finished task's tag: a late PDU finds nothing, though the place in the table is in use again.
 */
static void own_ffp_status_twice(void **state)
{
	for (int again = 0; again <= 1; again++) {
		struct peer p;
		struct io io;
		uint32_t itt;

		peer_init(&p);
		p.cfg.n_tasks = 1;
		peer_up(&p);
		io_none(&io);
		io_submit(&p, &io);
		itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
		peer_status(&p, itt, 0);
		io_expect(&p, &io, ISCSI_TASK_OK);
		if (again) {
			io_submit(&p, &io);
			assert_int_not_equal(peer_expect(&p, PDU_SCSI_CMD)->pdu.itt, itt);
		}
		peer_status(&p, itt, 0);
		peer_expect_violation(&p, "no command of ours");
		peer_close(&p);
		io_free(&io, 0);
	}
}

/* ---- how much: residuals ----------------------------------------------- */

static void unh_ffp_16_6_residuals(void **state)
{
	static const struct {
		uint32_t n_got;
		bool in_data, underflow, overflow;
		uint32_t residual;
		uint8_t status;
		const char *why; /* NULL: fine */
	} cases[] = {
		{1000, true, false, false, 0, 0, NULL},
		{1000, false, false, false, 0, 0, NULL},
		{1000, false, false, false, 77, 0,
		 NULL}, /* a number without its bit says nothing */
		{1000, true, false, true, 24, 0, NULL},
		{600, true, true, false, 400, 0, NULL},
		{600, false, true, false, 400, 0, NULL},
		{600, false, true, false, 400, 2, NULL},
		{600, false, false, false, 0, 2, NULL},
		{0, false, true, false, 1000, 0, NULL},
		{600, true, false, false, 0, 0, "data is missing"},
		{600, false, false, false, 0, 0, "data is missing"},
		{600, true, false, true, 400, 0, "data is missing"},
		{600, true, true, false, 399, 0, "data is missing"},
		{600, true, true, false, 401, 0, "more data than the residual allows"},
		{600, false, true, false, 1001, 0, "larger than the expected"},
		{600, false, true, false, 0xffffffff, 2, "larger than the expected"},
		{1000, true, true, true, 0, 0, "at once"},
	};
	uint8_t bytes[1000];

	io_fill(bytes, 0, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer p;
		struct io io;
		uint32_t itt = begin_read(&p, &io, 1000);

		if (cases[i].n_got) {
			struct pdu u = {.opcode = PDU_DATA_IN, .final = true, .itt = itt};

			u.u.data_in.has_status = cases[i].in_data;
			if (cases[i].in_data) {
				u.u.data_in.underflow = cases[i].underflow;
				u.u.data_in.overflow = cases[i].overflow;
				u.u.data_in.residual = cases[i].residual;
				u.u.data_in.status = cases[i].status;
			}
			peer_send(&p, u, bytes, cases[i].n_got);
		}
		if (!cases[i].in_data) {
			struct pdu u = {.opcode = PDU_SCSI_RSP, .final = true, .itt = itt};

			u.u.scsi_rsp.underflow = cases[i].underflow;
			u.u.scsi_rsp.overflow = cases[i].overflow;
			u.u.scsi_rsp.residual = cases[i].residual;
			u.u.scsi_rsp.status = cases[i].status;
			peer_send(&p, u, NULL, 0);
		}
		if (cases[i].why) {
			peer_expect_violation(&p, cases[i].why);
			peer_expect_no_event(&p);
		} else {
			bool told = cases[i].underflow || cases[i].overflow;

			io_expect(&p, &io, ISCSI_TASK_OK);
			assert_int_equal(io.task.status, cases[i].status);
			assert_int_equal(io.task.n_transferred, cases[i].n_got);
			assert_int_equal(io.task.underflow, cases[i].underflow);
			assert_int_equal(io.task.overflow, cases[i].overflow);
			assert_int_equal(io.task.residual, told ? cases[i].residual : 0);
		}
		peer_close(&p);
		io_free(&io, cases[i].n_got);
	}
}

static void unh_ffp_16_5_statuses_and_sense(void **state)
{
	static const uint8_t status[] = {0x02, 0x04, 0x08, 0x18, 0x28, 0x30, 0x40};
	uint8_t sense[400];

	memset(sense, 0x5a, sizeof(sense));
	for (size_t i = 0; i < ARRAY_SIZE(status); i++) {
		static const struct {
			uint16_t said, sent, due;
		} lengths[] = {{18, 18, 18}, {0, 0, 0},       {18, 10, 10},    {11, 10, 10},
			       {10, 18, 10}, {252, 252, 252}, {300, 300, 252}, {0xffff, 4, 4}};

		for (size_t k = 0; k < ARRAY_SIZE(lengths); k++) {
			struct peer p;
			struct io io;
			uint32_t itt = begin_read(&p, &io, 16);
			struct pdu u = {.opcode = PDU_SCSI_RSP,
					.final = true,
					.itt = itt,
					.u.scsi_rsp = {.status = status[i]}};

			put_be16(sense, lengths[k].said);
			peer_send(&p, u, sense, 2u + lengths[k].sent);
			io_expect(&p, &io, ISCSI_TASK_OK);
			assert_int_equal(io.task.status, status[i]);
			assert_int_equal(io.task.n_sense, lengths[k].due);
			for (unsigned b = 0; b < io.task.n_sense; b++)
				assert_int_equal(io.task.sense[b], 0x5a);
			/* The next use of the task starts clean. */
			io_submit(&p, &io);
			itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
			peer_data_in(&p, itt, 0, 0, "0123456789abcdef", 16, true);
			io_expect(&p, &io, ISCSI_TASK_OK);
			assert_int_equal(io.task.n_sense, 0);
			assert_int_equal(io.task.status, 0);
			peer_close(&p);
			free(io.mem);
		}
	}
}

/* One byte where SenseLength has two. */
static void ffp_sense_of_one_byte(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = begin_read(&p, &io, 16);
	struct pdu u = {
		.opcode = PDU_SCSI_RSP, .final = true, .itt = itt, .u.scsi_rsp = {.status = 2}};

	peer_send(&p, u, "x", 1);
	io_expect(&p, &io, ISCSI_TASK_OK);
	assert_int_equal(io.task.n_sense, 0);
	io_free(&io, 0);
	peer_close(&p);
}

static void ffp_response_other_than_completed(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = begin_read(&p, &io, 16);
	struct pdu u = {
		.opcode = PDU_SCSI_RSP, .final = true, .itt = itt, .u.scsi_rsp = {.response = 1}};

	peer_send(&p, u, NULL, 0);
	io_expect(&p, &io, ISCSI_TASK_FAILED);
	assert_int_equal(io.task.response, 1);
	assert_int_equal(io.task.n_transferred, 0);
	assert_true(conn_alive(p.c));
	io_free(&io, 0);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_ffp_8_1_16_1_immediate_data_by_initial_r2t),
		cmocka_unit_test(ffp_write_of_no_bytes),
		cmocka_unit_test(unh_ffp_12_4_6_1_9_1_r2ts_in_parallel),
		cmocka_unit_test(ffp_8_bad_r2t),
		cmocka_unit_test(unh_ffp_12_3_r2t_twice_or_back),
		cmocka_unit_test(ffp_19_more_r2ts_than_outstanding),
		cmocka_unit_test(ffp_19_as_many_r2ts_as_were_negotiated),
		cmocka_unit_test(ffp_r2t_for_what_takes_none),
		cmocka_unit_test(ffp_good_status_for_data_not_asked_for),
		cmocka_unit_test(ffp_good_status_for_data_not_sent),
		cmocka_unit_test(unh_ffp_16_6_residual_of_a_write),
		cmocka_unit_test(unh_ffp_16_4_check_condition_stops_the_data),
		cmocka_unit_test(ffp_response_while_data_is_half_sent),
		cmocka_unit_test(ffp_response_while_data_is_half_sent_and_loss),
		cmocka_unit_test(ffp_unsolicited_data_in_order),
		cmocka_unit_test(unh_ffp_10_1_read_in_segments_of_any_size),
		cmocka_unit_test(ffp_10_read_with_status_apart),
		cmocka_unit_test(unh_ffp_10_2_a_bit_at_level_0),
		cmocka_unit_test(own_ffp_datasn_and_other_data_in_that_is_wrong),
		cmocka_unit_test(ffp_second_data_in_that_is_wrong),
		cmocka_unit_test(own_ffp_itt_data_in_for_no_task),
		cmocka_unit_test(own_ffp_status_twice),
		cmocka_unit_test(unh_ffp_16_6_residuals),
		cmocka_unit_test(unh_ffp_16_5_statuses_and_sense),
		cmocka_unit_test(ffp_sense_of_one_byte),
		cmocka_unit_test(ffp_response_other_than_completed),
	};

	return PEER_RUN("data", tests);
}
