/* SPDX-License-Identifier: MIT */
/*
 * ErrorRecoveryLevel 1: what is lost inside a connection is asked for again
 */
#include "iscsi/test-peer.h"

#include <stdlib.h>
#include <string.h>

enum {
	SEG = 1000, /* bytes of a Data-In */
};

static void start_level(struct peer *p, uint32_t level)
{
	peer_init(p);
	p->cfg.offer.ErrorRecoveryLevel = level;
	p->answers[0] = "HeaderDigest=CRC32C";
	p->answers[1] = "DataDigest=CRC32C";
	peer_up(p);
	assert_int_equal(session_params(p->s)->ErrorRecoveryLevel, level);
}

static void start(struct peer *p)
{
	start_level(p, 1);
}

/* Like peer_send(), but a byte of the data arrives as another one. */
static void send_bad(struct peer *p, struct pdu u, const void *data, size_t n)
{
	uint8_t *room = malloc(BHS_LEN + 4 + n + 3 + 4);
	size_t n_all;

	assert_non_null(room);
	peer_number(p, &u);
	n_all = peer_encode(p, &u, data, n, room);
	room[BHS_LEN + 4 + n / 2] ^= 1;
	peer_feed(p, room, n_all);
	free(room);
}

static struct pdu data_pdu(uint32_t itt, uint32_t sn, uint32_t off, bool last)
{
	return (struct pdu){.opcode = PDU_DATA_IN,
			    .final = last,
			    .itt = itt,
			    .ttt = PDU_TAG_NONE,
			    .u.data_in = {.datasn = sn, .off = off, .has_status = last}};
}

/* Segment @sn of a read of @n_all bytes. */
static void segment(struct peer *p, uint32_t itt, uint32_t sn, uint32_t n_all, bool bad,
		    bool status)
{
	uint8_t bytes[SEG];
	uint32_t off = sn * SEG, n = n_all - off < SEG ? n_all - off : SEG;
	struct pdu u = data_pdu(itt, sn, off, status);

	io_fill(bytes, off, n);
	if (bad)
		send_bad(p, u, bytes, n);
	else
		peer_send(p, u, bytes, n);
}

static void expect_snack(struct peer *p, uint8_t type, uint32_t itt, uint32_t begrun,
			 uint32_t runlength)
{
	const struct seen *u = peer_expect(p, PDU_SNACK);

	assert_true(u->pdu.final);
	assert_int_equal(u->pdu.u.snack.type, type);
	assert_int_equal(u->pdu.itt, itt);
	assert_int_equal(u->pdu.ttt, PDU_TAG_NONE);
	assert_int_equal(u->pdu.lun, 0);
	assert_int_equal(u->pdu.u.snack.begrun, begrun);
	assert_int_equal(u->pdu.u.snack.runlength, runlength);
}

static uint32_t send_read(struct peer *p, struct io *io, uint32_t n)
{
	io_read(io, n);
	io_submit(p, io);
	return peer_expect(p, PDU_SCSI_CMD)->pdu.itt;
}

static void finish(struct peer *p, struct io *io, uint32_t n_good)
{
	peer_expect_no_event(p);
	assert_true(conn_alive(p->c));
	peer_close(p);
	io_free(io, n_good);
}

/* ---- data --------------------------------------------------------------- */

/* Every one of five segments, bad on its way, and the last with or without status. */
static void unh_ffp_16_2_bad_data_is_asked_for(void **state)
{
	for (uint32_t bad = 0; bad < 5; bad++) {
		for (int in_data = 0; in_data <= 1; in_data++) {
			struct peer p;
			struct io io;
			uint32_t itt, statsn;

			start(&p);
			itt = send_read(&p, &io, 5 * SEG);
			for (uint32_t i = 0; i < 5; i++)
				segment(&p, itt, i, 5 * SEG, i == bad, in_data && i == 4);
			expect_snack(&p, SNACK_DATA, itt, bad, 1);
			statsn = p.statsn;
			if (in_data && bad == 4)
				expect_snack(&p, SNACK_STATUS, PDU_TAG_NONE, --statsn, 0);
			peer_expect_nothing(&p);
			peer_expect_no_event(&p);
			if (!in_data) {
				peer_status(&p, itt, 0);
				peer_expect_no_event(&p); /* waits for the data, */
				peer_ping(&p, 5, NULL, 0);
				/* and is not acknowledged */
				assert_int_equal(peer_expect(&p, PDU_NOP_OUT)->pdu.expstatsn,
						 statsn);
			}
			segment(&p, itt, bad, 5 * SEG, false, false);
			if (in_data && bad == 4) {
				p.statsn = statsn; /* the same status, now by itself */
				peer_status(&p, itt, 0);
			}
			io_expect(&p, &io, ISCSI_TASK_OK);
			assert_int_equal(io.task.n_transferred, 5 * SEG);
			peer_ping(&p, 6, NULL, 0);
			assert_int_equal(peer_expect(&p, PDU_NOP_OUT)->pdu.expstatsn, p.statsn);
			assert_int_equal(session_stats(p.s)->n_digest_errors, 1);
			finish(&p, &io, io.n);
		}
	}
}

/* Level 0: the connection ends. */
static void unh_ffp_16_2_bad_data_at_level_0(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start_level(&p, 0);
	itt = send_read(&p, &io, SEG);
	segment(&p, itt, 0, SEG, true, true);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	peer_close(&p);
	free(io.mem);
}

/* A header that cannot be believed: where the next one is, nobody knows. */
static void unh_ffp_16_2_bad_header_at_level_1(void **state)
{
	struct peer p;
	struct io io;
	struct pdu u;
	uint8_t wire[BHS_LEN + 4];

	start(&p);
	u = data_pdu(send_read(&p, &io, SEG), 0, 0, true);
	peer_number(&p, &u);
	peer_encode(&p, &u, NULL, 0, wire);
	wire[7] ^= 1;
	peer_feed(&p, wire, sizeof(wire));
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	assert_non_null(strstr(p.event.text, "header digest"));
	peer_close(&p);
	io_free(&io, 0);
}

/* Segments that never came. One run, two runs, the first, the last. */
static void unh_ffp_13_1_snack_for_a_gap_in_datasn(void **state)
{
	static const uint8_t lost[][3] = {{1, 2, 9}, {1, 9, 4}, {0, 9, 9}, {0, 1, 3}, {2, 4, 9}};

	for (size_t k = 0; k < ARRAY_SIZE(lost); k++) {
		struct peer p;
		struct io io;
		uint32_t itt;
		bool gone[6] = {false};

		start(&p);
		itt = send_read(&p, &io, 6 * SEG);
		for (int i = 0; i < 3; i++)
			if (lost[k][i] < 6)
				gone[lost[k][i]] = true;
		for (uint32_t i = 0; i < 6; i++)
			if (!gone[i])
				segment(&p, itt, i, 6 * SEG, false, i == 5);
		for (uint32_t i = 0, n; i < 6; i += n ? n : 1) {
			for (n = 0; i + n < 6 && gone[i + n];)
				n++;
			if (n)
				expect_snack(&p, SNACK_DATA, itt, i, n);
		}
		peer_expect_nothing(&p);
		peer_expect_no_event(&p);
		for (uint32_t i = 0; i < 6; i++)
			if (gone[i])
				segment(&p, itt, i, 6 * SEG, false, false);
		io_expect(&p, &io, ISCSI_TASK_OK);
		finish(&p, &io, io.n);
	}
}

/* The end of the data is lost: the response's ExpDataSN tells. */
static void unh_ffp_13_1_snack_for_the_tail(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start(&p);
	itt = send_read(&p, &io, 4 * SEG);
	segment(&p, itt, 0, 4 * SEG, false, false);
	peer_send(&p,
		  (struct pdu){.opcode = PDU_SCSI_RSP,
			       .final = true,
			       .itt = itt,
			       .u.scsi_rsp = {.expdatasn = 4}},
		  NULL, 0);
	expect_snack(&p, SNACK_DATA, itt, 1, 3);
	peer_expect_no_event(&p);
	for (uint32_t i = 1; i < 4; i++)
		segment(&p, itt, i, 4 * SEG, false, false);
	io_expect(&p, &io, ISCSI_TASK_OK);
	finish(&p, &io, io.n);
}

/* Twice is once; a second copy that is bad does not spoil the first. */
static void data_that_comes_twice(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start(&p);
	itt = send_read(&p, &io, 3 * SEG);
	segment(&p, itt, 0, 3 * SEG, false, false);
	segment(&p, itt, 0, 3 * SEG, false, false);
	segment(&p, itt, 0, 3 * SEG, true, false);
	segment(&p, itt, 1, 3 * SEG, true, false);
	expect_snack(&p, SNACK_DATA, itt, 1, 1);
	segment(&p, itt, 1, 3 * SEG, true, false); /* bad again */
	expect_snack(&p, SNACK_DATA, itt, 1, 1);
	segment(&p, itt, 2, 3 * SEG, false, true);
	segment(&p, itt, 1, 3 * SEG, false, false);
	io_expect(&p, &io, ISCSI_TASK_OK);
	segment(&p, itt, 1, 3 * SEG, false, false); /* late: of no task any more */
	finish(&p, &io, io.n);
}

/* Nothing comes: asked for again after a while, not for ever; then aborted and sent anew. */
static void unanswered_snack_ends_in_a_new_start(void **state)
{
	for (int once = 0; once <= 1; once++) {
		struct peer p;
		struct io io;
		uint32_t itt, tmf;
		unsigned n = 0;

		start(&p);
		io_read(&io, 2 * SEG);
		io.task.once = once;
		io.task.timeout_ns = 1000 * PEER_S;
		io_submit(&p, &io);
		itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
		segment(&p, itt, 0, 2 * SEG, true, false);
		segment(&p, itt, 1, 2 * SEG, false, true);
		while (peer_recv(&p) && p.seen.pdu.opcode == PDU_SNACK) {
			assert_int_equal(p.seen.pdu.u.snack.type, SNACK_DATA);
			assert_true(++n < 20);
			for (int i = 0; i < 24; i++) {
				peer_ping(&p, PDU_TAG_NONE, NULL, 0);
				peer_tick(&p, PEER_S / 4);
			}
		}
		assert_int_equal(n, 8);
		assert_int_equal(p.seen.pdu.opcode, PDU_TMF_REQ);
		assert_int_equal(p.seen.pdu.u.tmf_req.function, TMF_ABORT_TASK);
		assert_int_equal(p.seen.pdu.ttt, itt);
		tmf = p.seen.pdu.itt;
		segment(&p, itt, 0, 2 * SEG, false, false); /* too late: it was given up */
		peer_expect_no_event(&p);
		peer_send(&p,
			  (struct pdu){.opcode = PDU_TMF_RSP,
				       .final = true,
				       .itt = tmf,
				       .u.tmf_rsp = {.response = TMF_RSP_NO_TASK}},
			  NULL, 0);
		if (once) {
			io_expect(&p, &io, ISCSI_TASK_LOST);
			peer_expect_nothing(&p);
		} else {
			peer_serve_read(&p, &io, SEG);
		}
		peer_expect_no_event(&p);
		assert_true(conn_alive(p.c));
		peer_close(&p);
		if (once)
			free(io.mem);
		else
			io_free(&io, io.n);
	}
}

static void reject(struct peer *p, const struct seen *what, uint8_t reason)
{
	uint8_t bhs[BHS_LEN];

	memcpy(bhs, what->bhs, BHS_LEN);
	peer_send(p,
		  (struct pdu){.opcode = PDU_REJECT,
			       .final = true,
			       .itt = PDU_TAG_NONE,
			       .u.reject = {.reason = reason}},
		  bhs, BHS_LEN);
}

/* The target does not have the data any more: aborted and sent anew, or it says so by status. */
static void unh_ffp_16_3_snack_for_data_rejected(void **state)
{
	for (int check = 0; check <= 1; check++) {
		struct peer p;
		struct io io;
		uint32_t itt;

		start(&p);
		itt = send_read(&p, &io, 2 * SEG);
		segment(&p, itt, 0, 2 * SEG, true, false);
		segment(&p, itt, 1, 2 * SEG, false, false);
		peer_expect(&p, PDU_SNACK);
		reject(&p, &p.seen, REJECT_SNACK);
		peer_expect(&p, PDU_TMF_REQ);
		if (check) {
			peer_status(&p, itt, 2);
			io_expect(&p, &io, ISCSI_TASK_OK);
			assert_int_equal(io.task.status, 2);
			assert_int_equal(io.task.n_transferred, 0);
			peer_expect_nothing(&p);
			peer_close(&p);
			free(io.mem);
			continue;
		}
		peer_status(&p, itt, 0); /* good, they say; the data is not here */
		peer_expect_no_event(&p);
		peer_send(&p,
			  (struct pdu){.opcode = PDU_TMF_RSP, .final = true, .itt = p.seen.pdu.itt},
			  NULL, 0);
		peer_serve_read(&p, &io, SEG);
		finish(&p, &io, io.n);
	}
}

/* More holes than are kept track of. */
static void too_many_holes(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start(&p);
	itt = send_read(&p, &io, 20 * SEG);
	for (uint32_t i = 1; i < 12; i += 2)
		segment(&p, itt, i, 20 * SEG, false, false);
	for (uint32_t i = 0; i < 2 * ISCSI_MAX_HOLES; i += 2)
		expect_snack(&p, SNACK_DATA, itt, i, 1);
	peer_expect(&p, PDU_TMF_REQ);
	peer_send(&p, (struct pdu){.opcode = PDU_TMF_RSP, .final = true, .itt = p.seen.pdu.itt},
		  NULL, 0);
	peer_serve_read(&p, &io, SEG);
	finish(&p, &io, io.n);
}

/* ---- acknowledged data -------------------------------------------------- */

static void unh_ffp_10_2_data_ack(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;
	uint8_t bytes[SEG];
	struct pdu u;

	start(&p);
	itt = send_read(&p, &io, 4 * SEG);
	for (uint32_t i = 0; i < 4; i++) {
		bool bad = i == 2;

		u = data_pdu(itt, i, i * SEG, false);
		u.u.data_in.ack = i & 1;
		u.ttt = i & 1 ? 0x77 + i : PDU_TAG_NONE;
		u.lun = i & 1 ? io.task.lun : 0;
		io_fill(bytes, i * SEG, SEG);
		if (bad)
			send_bad(&p, u, bytes, SEG);
		else
			peer_send(&p, u, bytes, SEG);
		if (i == 1) {
			peer_expect(&p, PDU_SNACK);
			assert_int_equal(p.seen.pdu.u.snack.type, SNACK_DATA_ACK);
			assert_int_equal(p.seen.pdu.itt, PDU_TAG_NONE);
			assert_int_equal(p.seen.pdu.ttt, 0x78);
			assert_int_equal(p.seen.pdu.lun, io.task.lun);
			assert_int_equal(p.seen.pdu.u.snack.begrun, 2);
			assert_int_equal(p.seen.pdu.u.snack.runlength, 0);
		}
	}
	/* With a hole before it, the second one has to wait. */
	expect_snack(&p, SNACK_DATA, itt, 2, 1);
	peer_expect_nothing(&p);
	segment(&p, itt, 2, 4 * SEG, false, false);
	peer_expect(&p, PDU_SNACK);
	assert_int_equal(p.seen.pdu.u.snack.type, SNACK_DATA_ACK);
	assert_int_equal(p.seen.pdu.ttt, 0x7a);
	assert_int_equal(p.seen.pdu.u.snack.begrun, 4);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	finish(&p, &io, io.n);
}

/* ---- status ------------------------------------------------------------- */

/* Three answers, the first of them lost or bad; all are taken in order when they come again. */
static void unh_ffp_13_2_snack_for_status(void **state)
{
	static const uint8_t sense[] = {0, 4, 0x70, 0, 6, 0};

	for (int bad = 0; bad <= 1; bad++) {
		struct peer p;
		struct io io[3];
		uint32_t itt[3], statsn;
		struct pdu u = {.opcode = PDU_SCSI_RSP, .final = true, .u.scsi_rsp = {.status = 2}};

		start(&p);
		for (int i = 0; i < 3; i++) {
			io_none(&io[i]);
			io_submit(&p, &io[i]);
			itt[i] = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
		}
		statsn = p.statsn;
		u.itt = itt[0];
		if (bad)
			send_bad(&p, u, sense, sizeof(sense));
		else
			p.statsn++;
		peer_status(&p, itt[1], 0);
		peer_status(&p, itt[2], 0);
		expect_snack(&p, SNACK_STATUS, PDU_TAG_NONE, statsn, 0);
		peer_expect_nothing(&p);
		peer_expect_no_event(&p);
		p.statsn = statsn;
		peer_send(&p, u, sense, sizeof(sense));
		io_expect(&p, &io[0], ISCSI_TASK_OK);
		assert_int_equal(io[0].task.status, 2);
		assert_int_equal(io[0].task.n_sense, 4);
		peer_status(&p, itt[1], 0);
		peer_status(&p, itt[2], 0);
		io_expect(&p, &io[1], ISCSI_TASK_OK);
		io_expect(&p, &io[2], ISCSI_TASK_OK);
		/* Once more: they are known. */
		p.statsn = statsn;
		peer_send(&p, u, sense, sizeof(sense));
		peer_status(&p, itt[1], 0);
		peer_status(&p, itt[2], 0);
		peer_expect_nothing(&p);
		peer_expect_no_event(&p);
		assert_true(conn_alive(p.c));
		peer_close(&p);
		for (int i = 0; i < 3; i++)
			io_free(&io[i], 0);
	}
}

/* The last answer is lost, and nothing comes behind it: the target's ping has the number. */
static void unh_ffp_5_1_lost_status_and_silence(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt, statsn;

	start(&p);
	io_none(&io);
	io_submit(&p, &io);
	itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
	statsn = p.statsn++;
	peer_ping(&p, PDU_TAG_NONE, NULL, 0);
	expect_snack(&p, SNACK_STATUS, PDU_TAG_NONE, statsn, 0);
	p.statsn = statsn;
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	finish(&p, &io, 0);
}

static void status_that_never_comes(void **state)
{
	struct peer p;
	unsigned n = 0;

	start(&p);
	p.statsn++;
	peer_ping(&p, PDU_TAG_NONE, NULL, 0);
	while (conn_alive(p.c) && n < 20) {
		while (peer_recv(&p))
			n += p.seen.pdu.opcode == PDU_SNACK;
		assert_true(session_deadline_ns(p.s) <= p.now_ns + 5 * PEER_S);
		for (int i = 0; i < 6; i++) {
			peer_ping(&p, PDU_TAG_NONE, NULL, 0);
			peer_tick(&p, PEER_S);
		}
	}
	assert_int_equal(n, 5);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	assert_non_null(strstr(p.event.text, "does not come"));
	peer_close(&p);
}

static void unh_ffp_16_3_snack_for_status_rejected(void **state)
{
	struct peer p;
	struct io io;
	uint32_t statsn;

	start(&p);
	io_none(&io);
	io_submit(&p, &io);
	peer_expect(&p, PDU_SCSI_CMD);
	statsn = p.statsn++;
	peer_ping(&p, PDU_TAG_NONE, NULL, 0);
	peer_expect(&p, PDU_SNACK);
	p.statsn = statsn; /* the Reject itself is in order */
	reject(&p, &p.seen, REJECT_SNACK);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	peer_close(&p);
	io_free(&io, 0);
}

static void statsn_far_off_is_no_gap(void **state)
{
	struct peer p;

	start(&p);
	p.statsn += 100000;
	peer_send(&p,
		  (struct pdu){.opcode = PDU_ASYNC,
			       .final = true,
			       .itt = PDU_TAG_NONE,
			       .u.async = {.event = ASYNC_VENDOR}},
		  NULL, 0);
	peer_expect_violation(&p, "StatSN");
	peer_close(&p);
}

/* ---- writes ------------------------------------------------------------- */

static void start_write(struct peer *p, struct io *io, uint32_t n)
{
	peer_init(p);
	p->cfg.offer.ErrorRecoveryLevel = 1;
	p->answers[2] = "InitialR2T=Yes";
	p->answers[3] = "ImmediateData=No";
	peer_up(p);
	io_write(io, n);
	io_submit(p, io);
	peer_expect(p, PDU_SCSI_CMD);
}

static void take(struct peer *p, const struct io *io, uint32_t ttt, uint32_t off, uint32_t n)
{
	const struct seen *u = peer_expect(p, PDU_DATA_OUT);

	assert_int_equal(u->pdu.ttt, ttt);
	assert_int_equal(u->pdu.u.data_out.off, off);
	assert_int_equal(u->pdu.u.data_out.datasn, 0);
	assert_int_equal(u->pdu.n_data, n);
	assert_true(u->pdu.final);
	assert_memory_equal(u->data, io->bytes + off, n);
}

/* The target has found our data bad: it rejects and asks again, with a new R2T. */
static void unh_ffp_16_4_recovery_r2t(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start_write(&p, &io, 3000);
	itt = p.seen.pdu.itt;
	peer_r2t(&p, itt, 1, 0, 0, 1500);
	take(&p, &io, 1, 0, 1500);
	reject(&p, &p.seen, REJECT_DATA_DIGEST);
	peer_expect_nothing(&p);
	peer_r2t(&p, itt, 2, 1, 500, 700);
	take(&p, &io, 2, 500, 700);
	peer_r2t(&p, itt, 3, 2, 1500, 1500);
	take(&p, &io, 3, 1500, 1500);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	assert_int_equal(io.task.n_transferred, 3000);
	finish(&p, &io, io.n);
}

/* Beyond what was granted in order there is nothing to recover. */
static void recovery_r2t_out_of_range(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start_write(&p, &io, 3000);
	itt = p.seen.pdu.itt;
	peer_r2t(&p, itt, 1, 0, 0, 1500);
	take(&p, &io, 1, 0, 1500);
	peer_r2t(&p, itt, 2, 1, 1000, 600);
	peer_expect_violation(&p, "gap or overlaps");
	peer_close(&p);
	io_free(&io, io.n);
}

static void unh_ffp_12_3_gap_in_r2tsn(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt;

	start_write(&p, &io, 3000);
	itt = p.seen.pdu.itt;
	peer_r2t(&p, itt, 2, 1, 1500, 1500);
	expect_snack(&p, SNACK_DATA, itt, 0, 0);
	peer_expect_nothing(&p);
	peer_r2t(&p, itt, 1, 0, 0, 1500);
	take(&p, &io, 1, 0, 1500);
	peer_r2t(&p, itt, 1, 0, 0, 1500); /* twice is once */
	peer_expect_nothing(&p);
	peer_r2t(&p, itt, 2, 1, 1500, 1500);
	take(&p, &io, 2, 1500, 1500);
	peer_status(&p, itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	finish(&p, &io, io.n);
}

/* ---- commands ----------------------------------------------------------- */

/* ExpCmdSN does not move: the command was lost, and goes again as it was. */
static void unh_ffp_4_1_command_without_acknowledgement(void **state)
{
	for (int rejected = 0; rejected <= 1; rejected++) {
		struct peer p;
		struct io io;
		uint32_t itt, cmdsn;

		start(&p);
		io_write(&io, 100);
		io_submit(&p, &io);
		itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
		cmdsn = p.seen.pdu.cmdsn;
		p.expcmdsn = cmdsn; /* never seen */
		if (rejected) {
			reject(&p, &p.seen, REJECT_DATA_DIGEST);
		} else {
			for (int i = 0; i < 20; i++) {
				peer_expect_nothing(&p);
				peer_ping(&p, PDU_TAG_NONE, NULL, 0);
				peer_tick(&p, PEER_S / 4);
			}
		}
		peer_expect(&p, PDU_SCSI_CMD);
		assert_int_equal(p.seen.pdu.itt, itt);
		assert_int_equal(p.seen.pdu.cmdsn, cmdsn);
		assert_int_equal(p.seen.pdu.n_data, 100);
		assert_memory_equal(p.seen.data, io.bytes, 100);
		peer_status(&p, itt, 0);
		io_expect(&p, &io, ISCSI_TASK_OK);
		assert_int_equal(session_stats(p.s)->n_retries, 1);
		finish(&p, &io, io.n);
	}
}

static void command_that_is_never_taken(void **state)
{
	struct peer p;
	struct io io;
	unsigned n = 0;

	start(&p);
	io_none(&io);
	io_submit(&p, &io);
	for (int i = 0; i < 100 && conn_alive(p.c); i++) {
		while (peer_recv(&p)) {
			p.expcmdsn = p.cfg.first_cmdsn;
			n++;
		}
		peer_ping(&p, PDU_TAG_NONE, NULL, 0);
		peer_tick(&p, PEER_S / 4);
	}
	assert_int_equal(n, 4);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	assert_non_null(strstr(p.event.text, "acknowledge"));
	peer_close(&p);
	io_free(&io, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_ffp_16_2_bad_data_is_asked_for),
		cmocka_unit_test(unh_ffp_16_2_bad_data_at_level_0),
		cmocka_unit_test(unh_ffp_16_2_bad_header_at_level_1),
		cmocka_unit_test(unh_ffp_13_1_snack_for_a_gap_in_datasn),
		cmocka_unit_test(unh_ffp_13_1_snack_for_the_tail),
		cmocka_unit_test(data_that_comes_twice),
		cmocka_unit_test(unanswered_snack_ends_in_a_new_start),
		cmocka_unit_test(unh_ffp_16_3_snack_for_data_rejected),
		cmocka_unit_test(too_many_holes),
		cmocka_unit_test(unh_ffp_10_2_data_ack),
		cmocka_unit_test(unh_ffp_13_2_snack_for_status),
		cmocka_unit_test(unh_ffp_5_1_lost_status_and_silence),
		cmocka_unit_test(status_that_never_comes),
		cmocka_unit_test(unh_ffp_16_3_snack_for_status_rejected),
		cmocka_unit_test(statsn_far_off_is_no_gap),
		cmocka_unit_test(unh_ffp_16_4_recovery_r2t),
		cmocka_unit_test(recovery_r2t_out_of_range),
		cmocka_unit_test(unh_ffp_12_3_gap_in_r2tsn),
		cmocka_unit_test(unh_ffp_4_1_command_without_acknowledgement),
		cmocka_unit_test(command_that_is_never_taken),
	};

	return PEER_RUN("level 1", tests);
}
