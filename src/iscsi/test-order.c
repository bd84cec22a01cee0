/* SPDX-License-Identifier: MIT */
/*
 * DataPDUInOrder and DataSequenceInOrder No: data in any order, every byte once
 */
#include "iscsi/test-peer.h"

#include <stdlib.h>
#include <string.h>

enum {
	SEG = 1000,  /* bytes of a Data-In */
	BURST = 2000 /* MaxBurstLength */
};

static void start(struct peer *p, bool pdu_in_order, bool sequence_in_order, uint32_t level)
{
	peer_init(p);
	p->cfg.offer.DataPDUInOrder = pdu_in_order;
	p->cfg.offer.DataSequenceInOrder = sequence_in_order;
	p->cfg.offer.ErrorRecoveryLevel = level;
	p->answers[1] = "DataDigest=CRC32C";
	p->answers[2] = "InitialR2T=Yes";
	p->answers[3] = "ImmediateData=No";
	p->answers[4] = "MaxBurstLength=2000";
	p->answers[5] = "FirstBurstLength=512";
	peer_up(p);
	assert_int_equal(session_params(p->s)->DataPDUInOrder, pdu_in_order);
	assert_int_equal(session_params(p->s)->DataSequenceInOrder, sequence_in_order);
}

/* @at: which segment of the data; @f: the last of its sequence. */
static void segment(struct peer *p, uint32_t itt, uint32_t sn, uint32_t at, bool f, bool bad)
{
	uint8_t bytes[SEG], wire[BHS_LEN + 4 + SEG + 8];
	struct pdu u = {.opcode = PDU_DATA_IN,
			.final = f,
			.itt = itt,
			.ttt = PDU_TAG_NONE,
			.u.data_in = {.datasn = sn, .off = at * SEG}};
	size_t n;

	io_fill(bytes, at * SEG, SEG);
	peer_number(p, &u);
	n = peer_encode(p, &u, bytes, SEG, wire);
	if (bad)
		wire[BHS_LEN + 7] ^= 1;
	peer_feed(p, wire, n);
}

static uint32_t begin_read(struct peer *p, struct io *io, uint32_t n)
{
	io_read(io, n);
	io_submit(p, io);
	return peer_expect(p, PDU_SCSI_CMD)->pdu.itt;
}

static void end(struct peer *p, struct io *io, uint32_t itt)
{
	peer_expect_nothing(p);
	peer_expect_no_event(p);
	peer_status(p, itt, 0);
	io_expect(p, io, ISCSI_TASK_OK);
	assert_int_equal(io->task.n_transferred, io->n);
	peer_close(p);
	io_free(io, io->n);
}

static void violates(struct peer *p, struct io *io, const char *why)
{
	peer_expect_violation(p, why);
	peer_close(p);
	free(io->mem);
}

/* Six segments in three sequences; all orders of segments that the two keys allow. */
static void own_ffp_order_of_data_in(void **state)
{
	static const struct {
		bool pdu, sequence;
		uint8_t order[6];
		const char *why; /* NULL: allowed */
	} cases[] = {
		{false, false, {5, 4, 3, 2, 1, 0}, NULL},
		{false, false, {3, 2, 0, 1, 5, 4}, NULL},
		{false, true, {1, 0, 3, 2, 5, 4}, NULL},
		{false, true, {0, 1, 2, 3, 5, 4}, NULL},
		{false, true, {2, 3, 0, 1, 4, 5}, "a sequence of Data-In ends with a gap"},
		{true, false, {4, 5, 0, 1, 2, 3}, NULL},
		{true, false, {2, 3, 4, 5, 0, 1}, NULL},
		{true, false, {1, 0, 2, 3, 4, 5}, "a gap in its sequence"},
		{true, true, {0, 1, 2, 3, 4, 5}, NULL},
		{true, true, {2, 3, 0, 1, 4, 5}, "Data-In leaves a gap or overlaps"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer p;
		struct io io;
		uint32_t itt;

		start(&p, cases[i].pdu, cases[i].sequence, 0);
		itt = begin_read(&p, &io, 6 * SEG);
		for (uint32_t k = 0; k < 6 && conn_alive(p.c); k++)
			segment(&p, itt, k, cases[i].order[k], k & 1, false);
		if (cases[i].why)
			violates(&p, &io, cases[i].why);
		else
			end(&p, &io, itt);
	}
}

/* Every byte once: not twice, not never, and not outside. */
static void good_only_when_every_byte_came_once(void **state)
{
	for (int how = 0; how < 3; how++) {
		struct peer p;
		struct io io;
		uint32_t itt;

		start(&p, false, false, 0);
		itt = begin_read(&p, &io, 3 * SEG);
		segment(&p, itt, 0, 2, false, false);
		if (how == 0) {
			segment(&p, itt, 1, 2, true, false);
			violates(&p, &io, "overlaps");
		} else if (how == 1) {
			segment(&p, itt, 1, 3, true, false);
			violates(&p, &io, "beyond the buffer");
		} else {
			segment(&p, itt, 1, 0, true, false);
			peer_status(&p, itt, 0);
			violates(&p, &io, "data is missing");
		}
	}
}

/* A residual says how much there is: from the start, without a gap. */
static void residual_leaves_no_gap(void **state)
{
	for (uint32_t at = 0; at <= 1; at++) {
		struct peer p;
		struct io io;
		struct pdu u = {.opcode = PDU_SCSI_RSP,
				.final = true,
				.u.scsi_rsp = {.underflow = true, .residual = SEG}};

		start(&p, false, false, 0);
		u.itt = begin_read(&p, &io, 2 * SEG);
		segment(&p, u.itt, 0, at, true, false);
		peer_send(&p, u, NULL, 0);
		if (at) {
			violates(&p, &io, "data");
			continue;
		}
		io_expect(&p, &io, ISCSI_TASK_OK);
		assert_int_equal(io.task.n_transferred, SEG);
		peer_close(&p);
		io_free(&io, SEG);
	}
}

static void more_pieces_than_are_kept_track_of(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt, sn = 0;

	start(&p, false, false, 0);
	itt = begin_read(&p, &io, 200 * SEG);
	while (sn < RUNS_MAX) {
		segment(&p, itt, sn, 2 * sn, true, false);
		sn++;
	}
	assert_true(conn_alive(p.c));
	segment(&p, itt, sn, 2 * sn, true, false);
	violates(&p, &io, "more pieces");
}

/* ---- writes ------------------------------------------------------------ */

static void take_burst(struct peer *p, const struct io *io, uint32_t ttt, uint32_t off, uint32_t n)
{
	const struct seen *u = peer_expect(p, PDU_DATA_OUT);

	assert_true(u->pdu.final);
	assert_int_equal(u->pdu.ttt, ttt);
	assert_int_equal(u->pdu.u.data_out.off, off);
	assert_int_equal(u->pdu.n_data, n);
	assert_memory_equal(u->data, io->bytes + off, n);
}

static uint32_t begin_write(struct peer *p, struct io *io, uint32_t n)
{
	io_write(io, n);
	io_submit(p, io);
	return peer_expect(p, PDU_SCSI_CMD)->pdu.itt;
}

static void own_ffp_order_of_r2ts(void **state)
{
	static const uint32_t order[][3] = {{2, 1, 0}, {1, 2, 0}, {2, 0, 1}};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		for (int sequence = 0; sequence <= 1; sequence++) {
			struct peer p;
			struct io io;
			uint32_t itt;

			start(&p, false, sequence, 0);
			itt = begin_write(&p, &io, 3 * BURST);
			for (uint32_t k = 0; k < 3 && conn_alive(p.c); k++)
				peer_r2t(&p, itt, k, k, order[i][k] * BURST, BURST);
			if (sequence) {
				violates(&p, &io, "R2T leaves a gap");
				continue;
			}
			for (uint32_t k = 0; k < 3; k++)
				take_burst(&p, &io, k, order[i][k] * BURST, BURST);
			end(&p, &io, itt);
		}
	}
}

/* What was granted is not granted again: while it is open, and when it was sent. */
static void every_byte_is_granted_once(void **state)
{
	for (int sent = 0; sent <= 1; sent++) {
		struct peer p;
		struct io io;
		uint32_t itt;

		start(&p, false, false, 0);
		itt = begin_write(&p, &io, 3 * BURST);
		peer_r2t(&p, itt, 1, 0, BURST, BURST);
		if (sent)
			take_burst(&p, &io, 1, BURST, BURST);
		peer_r2t(&p, itt, 2, 1, 2 * BURST - 1, BURST);
		violates(&p, &io, "R2T leaves a gap or overlaps");
	}
}

static void good_without_all_data_asked_for(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start(&p, false, false, 0);
	itt = begin_write(&p, &io, 3 * BURST);
	for (uint32_t k = 1; k <= 2; k++) { /* the end, but not the start */
		peer_r2t(&p, itt, k, k - 1, k * BURST, BURST);
		take_burst(&p, &io, k, k * BURST, BURST);
	}
	peer_status(&p, itt, 0);
	violates(&p, &io, "was not asked for");
}

/* ---- with things lost --------------------------------------------------- */

static void expect_snack(struct peer *p, uint32_t itt, uint32_t begrun, uint32_t runlength)
{
	const struct seen *u = peer_expect(p, PDU_SNACK);

	assert_int_equal(u->pdu.u.snack.type, SNACK_DATA);
	assert_int_equal(u->pdu.itt, itt);
	assert_int_equal(u->pdu.u.snack.begrun, begrun);
	assert_int_equal(u->pdu.u.snack.runlength, runlength);
}

/* Which bytes a lost PDU had is not known; its DataSN is. */
static void snack_by_datasn(void **state)
{
	static const uint8_t at[] = {4, 1, 5, 0, 3, 2};

	for (int bad = 0; bad <= 1; bad++) {
		struct peer p;
		struct io io;
		uint32_t itt;

		start(&p, false, false, 1);
		itt = begin_read(&p, &io, 6 * SEG);
		segment(&p, itt, 0, at[0], false, false);
		if (bad) {
			segment(&p, itt, 1, at[1], true, true);
			expect_snack(&p, itt, 1, 1);
			segment(&p, itt, 2, at[2], true, true);
			expect_snack(&p, itt, 2, 1);
		}
		segment(&p, itt, 3, at[3], true, false);
		if (!bad)
			expect_snack(&p, itt, 1, 2);
		segment(&p, itt, 4, at[4], false, false);
		peer_send(&p,
			  (struct pdu){.opcode = PDU_SCSI_RSP,
				       .final = true,
				       .itt = itt,
				       .u.scsi_rsp = {.expdatasn = 6}},
			  NULL, 0);
		expect_snack(&p, itt, 5, 1);
		segment(&p, itt, 1, at[1], true, false);
		segment(&p, itt, 1, at[1], true, false); /* twice is once */
		segment(&p, itt, 2, at[2], true, false);
		peer_expect_no_event(&p);
		segment(&p, itt, 5, at[5], true, false);
		io_expect(&p, &io, ISCSI_TASK_OK);
		assert_int_equal(io.task.n_transferred, 6 * SEG);
		assert_true(conn_alive(p.c));
		peer_close(&p);
		io_free(&io, io.n);
	}
}

/* What fills a hole must not cover what is there. */
static void hole_filled_from_elsewhere(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start(&p, false, false, 1);
	itt = begin_read(&p, &io, 3 * SEG);
	segment(&p, itt, 0, 2, false, false);
	segment(&p, itt, 2, 0, false, false);
	expect_snack(&p, itt, 1, 1);
	segment(&p, itt, 1, 2, false, false);
	violates(&p, &io, "overlaps");
}

/* It asks again for what it was sent, wherever that is. */
static void recovery_r2t(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start(&p, false, false, 1);
	itt = begin_write(&p, &io, 2 * BURST);
	peer_r2t(&p, itt, 1, 0, BURST, BURST);
	take_burst(&p, &io, 1, BURST, BURST);
	peer_r2t(&p, itt, 2, 1, BURST + 500, 500);
	take_burst(&p, &io, 2, BURST + 500, 500);
	peer_r2t(&p, itt, 3, 2, 0, BURST);
	take_burst(&p, &io, 3, 0, BURST);
	end(&p, &io, itt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_ffp_order_of_data_in),
		cmocka_unit_test(good_only_when_every_byte_came_once),
		cmocka_unit_test(residual_leaves_no_gap),
		cmocka_unit_test(more_pieces_than_are_kept_track_of),
		cmocka_unit_test(own_ffp_order_of_r2ts),
		cmocka_unit_test(every_byte_is_granted_once),
		cmocka_unit_test(good_without_all_data_asked_for),
		cmocka_unit_test(snack_by_datasn),
		cmocka_unit_test(hole_filled_from_elsewhere),
		cmocka_unit_test(recovery_r2t),
	};

	return PEER_RUN("any order", tests);
}
