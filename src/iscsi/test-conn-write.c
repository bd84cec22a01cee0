/* SPDX-License-Identifier: MIT */
/*
 * Data-Out field by field, as the numbered procedures have it
 */
#include "iscsi/test-peer.h"

enum {
	MRDSL = 512,
	BURST = 2048,
};

static uint32_t start(struct peer *p, struct io *io, uint32_t n)
{
	peer_init(p);
	p->answers[2] = "InitialR2T=Yes";
	p->answers[3] = "ImmediateData=No";
	p->answers[4] = "MaxRecvDataSegmentLength=512";
	p->answers[5] = "MaxBurstLength=2048";
	p->answers[6] = "FirstBurstLength=512";
	peer_up(p);
	io_write(io, n);
	io_submit(p, io);
	return peer_expect(p, PDU_SCSI_CMD)->pdu.itt;
}

static void end(struct peer *p, struct io *io, uint32_t itt)
{
	peer_expect_nothing(p);
	peer_status(p, itt, 0);
	io_expect(p, io, ISCSI_TASK_OK);
	assert_int_equal(io->task.n_transferred, io->n);
	peer_close(p);
	io_free(io, io->n);
}

/* One R2T for everything: one PDU, when it fits. */
static void unh_ffp_12_1_one_r2t_for_all(void **state)
{
	struct peer p;
	struct io io;
	uint32_t itt = start(&p, &io, MRDSL);
	const struct seen *u;

	peer_r2t(&p, itt, 0xdeadbeef, 0, 0, MRDSL);
	u = peer_expect(&p, PDU_DATA_OUT);
	assert_true(u->pdu.final);
	assert_int_equal(u->pdu.n_data, MRDSL);
	assert_int_equal(u->pdu.u.data_out.datasn, 0);
	end(&p, &io, itt);
}

/* Several PDUs for each R2T: LUN, tag, offset, number, final bit, and no byte more than asked for.
 */
static void unh_ffp_8_2_8_3_11_1_11_2_11_3_11_4_12_2_fields(void **state)
{
	struct peer p;
	struct io io;
	uint32_t n_all = 2 * BURST + 700, itt = start(&p, &io, n_all), r2tsn = 0;

	for (uint32_t off = 0; off < n_all; r2tsn++) {
		uint32_t n = n_all - off < BURST ? n_all - off : BURST, ttt = 0x80000000u + r2tsn;

		peer_r2t(&p, itt, ttt, r2tsn, off, n);
		for (uint32_t at = 0, datasn = 0; at < n; datasn++) {
			const struct seen *u = peer_expect(&p, PDU_DATA_OUT);

			assert_int_equal(u->pdu.lun, io.task.lun);
			assert_int_equal(u->pdu.itt, itt);
			assert_int_equal(u->pdu.ttt, ttt);
			assert_int_equal(u->pdu.u.data_out.datasn, datasn);
			assert_int_equal(u->pdu.u.data_out.off, off + at);
			assert_true(u->pdu.n_data <= MRDSL);
			assert_true(u->pdu.n_data <= n - at);
			assert_memory_equal(u->data, io.bytes + off + at, u->pdu.n_data);
			at += u->pdu.n_data;
			assert_int_equal(u->pdu.final, at == n);
		}
		peer_expect_nothing(&p);
		off += n;
	}
	end(&p, &io, itt);
}

/* An R2T for more than MaxBurstLength, or beyond the data, is refused before a byte goes. */
static void unh_ffp_8_2_r2t_for_too_much(void **state)
{
	for (int beyond = 0; beyond <= 1; beyond++) {
		struct peer p;
		struct io io;
		uint32_t itt = start(&p, &io, beyond ? 1000 : 2 * BURST);

		peer_r2t(&p, itt, 1, 0, 0, beyond ? 1001 : BURST + 1);
		peer_expect_violation(&p, beyond ? "beyond the expected" : "MaxBurstLength");
		peer_close(&p);
		io_free(&io, io.n);
	}
}

/* Not a byte lands outside, at whatever level. */
static void own_ffp_buffer_data_in_beyond_it(void **state)
{
	for (uint32_t level = 0; level <= 2; level++) {
		for (int how = 0; how < 3; how++) {
			static const uint8_t data[200];
			struct peer p;
			struct io io;
			uint32_t itt;

			peer_init(&p);
			p.cfg.offer.ErrorRecoveryLevel = level;
			peer_up(&p);
			io_read(&io, 100);
			io_submit(&p, &io);
			itt = peer_expect(&p, PDU_SCSI_CMD)->pdu.itt;
			if (how == 0)
				peer_data_in(&p, itt, 0, 0, data, 101, true);
			else if (how == 1)
				peer_data_in(&p, itt, 0, 0xffffff00, data, 200, true);
			else
				peer_data_in(&p, itt, 1, 50, data, 51, true);
			peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
			assert_int_equal(session_stats(p.s)->n_protocol_errors, 1);
			peer_close(&p);
			io_free(&io, 0);
		}
	}
}

/* What of a CDB the header has no room for goes in an AHS, under the header digest. */
static void own_ffp_ahs_for_a_long_cdb(void **state)
{
	for (uint8_t n_cdb = 16; n_cdb <= ISCSI_CDB_LONG; n_cdb++) {
		for (int digest = 0; digest <= 1; digest++) {
			struct peer p;
			struct io io;
			struct iovec iov[4];
			uint8_t n_more = n_cdb - 16;
			size_t n = BHS_LEN + (n_more ? 4u + n_more + pdu_pad(n_more) : 0);
			const uint8_t *h;
			struct pdu u;

			peer_init(&p);
			if (digest)
				p.answers[0] = "HeaderDigest=CRC32C";
			peer_up(&p);
			io_none(&io);
			io.task.n_cdb = n_cdb;
			for (uint8_t i = 0; i < ISCSI_CDB_LONG; i++)
				io.task.cdb[i] = (uint8_t)(0x7f - i);
			io_submit(&p, &io);
			assert_int_equal(conn_tx_peek(p.c, iov, 4, p.now_ns), 1);
			h = iov[0].iov_base;
			assert_int_equal(iov[0].iov_len, n + (digest ? 4 : 0));
			assert_int_equal(pdu_decode(&u, h), 0);
			assert_int_equal(u.n_ahs * 4u, n - BHS_LEN);
			assert_memory_equal(u.u.scsi_cmd.cdb, io.task.cdb, 16);
			if (n_more) {
				assert_int_equal(h[48] << 8 | h[49], n_cdb - 15);
				assert_int_equal(h[50], 1);
				assert_int_equal(h[51], 0);
				assert_memory_equal(h + 52, io.task.cdb + 16, n_more);
				for (size_t i = 52u + n_more; i < n; i++)
					assert_int_equal(h[i], 0);
			}
			if (digest) {
				uint32_t crc = digest_crc32c(0, h, n);

				for (int i = 0; i < 4; i++)
					assert_int_equal(h[n + (size_t)i], crc >> 8 * i & 0xff);
			}
			conn_tx_done(p.c, iov[0].iov_len, p.now_ns);
			p.expcmdsn++;
			peer_status(&p, u.itt, 0);
			io_expect(&p, &io, ISCSI_TASK_OK);
			peer_close(&p);
			io_free(&io, 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_ffp_12_1_one_r2t_for_all),
		cmocka_unit_test(unh_ffp_8_2_8_3_11_1_11_2_11_3_11_4_12_2_fields),
		cmocka_unit_test(unh_ffp_8_2_r2t_for_too_much),
		cmocka_unit_test(own_ffp_ahs_for_a_long_cdb),
		cmocka_unit_test(own_ffp_buffer_data_in_beyond_it),
	};

	return PEER_RUN("Data-Out", tests);
}
