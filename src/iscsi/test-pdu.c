/* SPDX-License-Identifier: MIT */
/*
 * PDUs on the wire: where every field stands (vectors written down by hand from
 * RFC 7143 §11), that no field is lost, and that reserved bits are dropped.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "iscsi/internal.h"

/*
 * One row a type. The mask has a bit for every bit of the header that means
 * something; the wire is what the PDU in the row looks like. Both in hexadecimal,
 * blanks for the eye.
 */
struct type {
	const char *mask, *wire;
	struct pdu pdu;
};

#define LUN UINT64_C(0x4001020304050607)

static const struct type types[] = {
	{"7f800000 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 0 0 0 0",
	 "40800000 00000004 40010203 04050607 11121314 21222324 31323334 41424344 0 0 0 0",
	 {.opcode = PDU_NOP_OUT,
	  .immediate = true,
	  .final = true,
	  .n_data = 4,
	  .lun = LUN,
	  .itt = 0x11121314,
	  .ttt = 0x21222324,
	  .cmdsn = 0x31323334,
	  .expstatsn = 0x41424344}},
	{"7fe70000 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff "
	 "ffffffff ffffffff ffffffff ffffffff",
	 "01c10000 01000000 40010203 04050607 11121314 00000400 31323334 41424344 "
	 "28000000 00050006 07000000 000000ee",
	 {.opcode = PDU_SCSI_CMD,
	  .final = true,
	  .n_ahs = 1,
	  .lun = LUN,
	  .itt = 0x11121314,
	  .cmdsn = 0x31323334,
	  .expstatsn = 0x41424344,
	  .u.scsi_cmd = {.read = true,
			 .attr = PDU_ATTR_SIMPLE,
			 .expected_len = 0x400,
			 .cdb = {0x28, 0, 0, 0, 0, 5, 0, 6, 7, 0, 0, 0, 0, 0, 0, 0xee}}}},
	{"7fff0000 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff "
	 "ffffffff ffffffff 0 0",
	 "42810000 00000000 40010203 04050607 11121314 21222324 31323334 41424344 "
	 "51525354 61626364 0 0",
	 {.opcode = PDU_TMF_REQ,
	  .immediate = true,
	  .final = true,
	  .lun = LUN,
	  .itt = 0x11121314,
	  .ttt = 0x21222324,
	  .cmdsn = 0x31323334,
	  .expstatsn = 0x41424344,
	  .u.tmf_req = {.function = TMF_ABORT_TASK,
			.refcmdsn = 0x51525354,
			.expdatasn = 0x61626364}}},
	{"7fcfffff ffffffff ffffffff ffffffff ffffffff ffff0000 ffffffff ffffffff 0 0 0 0",
	 "43870102 00000123 80010203 0405a0a1 11121314 b0b10000 31323334 41424344 0 0 0 0",
	 {.opcode = PDU_LOGIN_REQ,
	  .immediate = true,
	  .final = true,
	  .n_data = 0x123,
	  .itt = 0x11121314,
	  .cmdsn = 0x31323334,
	  .expstatsn = 0x41424344,
	  .u.login = {.csg = STAGE_OPERATIONAL,
		      .nsg = STAGE_FULL_FEATURE,
		      .version_max = 1,
		      .version_min = 2,
		      .isid = {0x80, 1, 2, 3, 4, 5},
		      .tsih = 0xa0a1,
		      .cid = 0xb0b1}}},
	{"7fc00000 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 0 0 0 0",
	 "44400000 00ffffff 40010203 04050607 11121314 21222324 31323334 41424344 0 0 0 0",
	 {.opcode = PDU_TEXT_REQ,
	  .immediate = true,
	  .n_data = PDU_DATA_MAX,
	  .lun = LUN,
	  .itt = 0x11121314,
	  .ttt = 0x21222324,
	  .cmdsn = 0x31323334,
	  .expstatsn = 0x41424344,
	  .u.text = {.more = true}}},
	{"3f800000 ffffffff ffffffff ffffffff ffffffff ffffffff 00000000 ffffffff 00000000 "
	 "ffffffff ffffffff 0",
	 "05800000 00000200 40010203 04050607 11121314 21222324 00000000 41424344 00000000 "
	 "00000007 00000e00 0",
	 {.opcode = PDU_DATA_OUT,
	  .final = true,
	  .n_data = 0x200,
	  .lun = LUN,
	  .itt = 0x11121314,
	  .ttt = 0x21222324,
	  .expstatsn = 0x41424344,
	  .u.data_out = {.datasn = 7, .off = 0xe00}}},
	{"7fff0000 ffffffff 0 0 ffffffff ffff0000 ffffffff ffffffff 0 0 0 0",
	 "46810000 00000000 0 0 11121314 b0b10000 31323334 41424344 0 0 0 0",
	 {.opcode = PDU_LOGOUT_REQ,
	  .immediate = true,
	  .final = true,
	  .itt = 0x11121314,
	  .cmdsn = 0x31323334,
	  .expstatsn = 0x41424344,
	  .u.logout_req = {.reason = LOGOUT_CLOSE_CONNECTION, .cid = 0xb0b1}}},
	{"3f8f0000 ffffffff ffffffff ffffffff ffffffff ffffffff 00000000 ffffffff 0 0 "
	 "ffffffff ffffffff",
	 "10810000 00000000 40010203 04050607 11121314 21222324 00000000 41424344 0 0 "
	 "00000009 0000000b",
	 {.opcode = PDU_SNACK,
	  .final = true,
	  .lun = LUN,
	  .itt = 0x11121314,
	  .ttt = 0x21222324,
	  .expstatsn = 0x41424344,
	  .u.snack = {.type = 1, .begrun = 9, .runlength = 11}}},
	{"3f800000 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 0 0 0",
	 "20800000 00000000 40010203 04050607 11121314 21222324 31323334 41424344 51525354 0 0 0",
	 {.opcode = PDU_NOP_IN,
	  .final = true,
	  .lun = LUN,
	  .itt = 0x11121314,
	  .ttt = 0x21222324,
	  .statsn = 0x31323334,
	  .expcmdsn = 0x41424344,
	  .maxcmdsn = 0x51525354}},
	{"3f9effff ffffffff 0 0 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff "
	 "ffffffff",
	 "21840102 00000014 0 0 11121314 21222324 31323334 41424344 51525354 61626364 71727374 "
	 "81828384",
	 {.opcode = PDU_SCSI_RSP,
	  .final = true,
	  .n_data = 0x14,
	  .itt = 0x11121314,
	  .ttt = 0x21222324,
	  .statsn = 0x31323334,
	  .expcmdsn = 0x41424344,
	  .maxcmdsn = 0x51525354,
	  .u.scsi_rsp = {.overflow = true,
			 .response = 1,
			 .status = 2,
			 .expdatasn = 0x61626364,
			 .bidi_residual = 0x71727374,
			 .residual = 0x81828384}}},
	{"3f80ff00 ffffffff 0 0 ffffffff 0 ffffffff ffffffff ffffffff 0 0 0",
	 "2280ff00 00000000 0 0 11121314 0 31323334 41424344 51525354 0 0 0",
	 {.opcode = PDU_TMF_RSP,
	  .final = true,
	  .itt = 0x11121314,
	  .statsn = 0x31323334,
	  .expcmdsn = 0x41424344,
	  .maxcmdsn = 0x51525354,
	  .u.tmf_rsp = {.response = TMF_RSP_REJECTED}}},
	{"3fcfffff ffffffff ffffffff ffffffff ffffffff 0 ffffffff ffffffff ffffffff ffff0000 0 0",
	 "23440102 00000010 80010203 0405a0a1 11121314 0 31323334 41424344 51525354 02070000 0 0",
	 {.opcode = PDU_LOGIN_RSP,
	  .n_data = 16,
	  .itt = 0x11121314,
	  .statsn = 0x31323334,
	  .expcmdsn = 0x41424344,
	  .maxcmdsn = 0x51525354,
	  .u.login = {.more = true,
		      .csg = STAGE_OPERATIONAL,
		      .version_max = 1,
		      .version_min = 2,
		      .isid = {0x80, 1, 2, 3, 4, 5},
		      .tsih = 0xa0a1,
		      .status_class = 2,
		      .status_detail = 7}}},
	{"3fc00000 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 0 0 0",
	 "24800000 00000000 40010203 04050607 11121314 21222324 31323334 41424344 51525354 0 0 0",
	 {.opcode = PDU_TEXT_RSP,
	  .final = true,
	  .lun = LUN,
	  .itt = 0x11121314,
	  .ttt = 0x21222324,
	  .statsn = 0x31323334,
	  .expcmdsn = 0x41424344,
	  .maxcmdsn = 0x51525354}},
	{"3fc700ff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff "
	 "ffffffff ffffffff ffffffff",
	 "25c30008 00001000 40010203 04050607 11121314 21222324 31323334 41424344 51525354 "
	 "00000007 00000e00 00000012",
	 {.opcode = PDU_DATA_IN,
	  .final = true,
	  .n_data = 0x1000,
	  .lun = LUN,
	  .itt = 0x11121314,
	  .ttt = 0x21222324,
	  .statsn = 0x31323334,
	  .expcmdsn = 0x41424344,
	  .maxcmdsn = 0x51525354,
	  .u.data_in = {.ack = true,
			.underflow = true,
			.has_status = true,
			.status = 8,
			.datasn = 7,
			.off = 0xe00,
			.residual = 0x12}}},
	{"3f80ff00 ffffffff 0 0 ffffffff 0 ffffffff ffffffff ffffffff 0 ffffffff 0",
	 "26800300 00000000 0 0 11121314 0 31323334 41424344 51525354 0 00020014 0",
	 {.opcode = PDU_LOGOUT_RSP,
	  .final = true,
	  .itt = 0x11121314,
	  .statsn = 0x31323334,
	  .expcmdsn = 0x41424344,
	  .maxcmdsn = 0x51525354,
	  .u.logout_rsp = {.response = 3, .time2wait = 2, .time2retain = 20}}},
	{"3f800000 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff "
	 "ffffffff ffffffff ffffffff",
	 "31800000 00000000 40010203 04050607 11121314 21222324 31323334 41424344 51525354 "
	 "00000003 00004000 00008000",
	 {.opcode = PDU_R2T,
	  .final = true,
	  .lun = LUN,
	  .itt = 0x11121314,
	  .ttt = 0x21222324,
	  .statsn = 0x31323334,
	  .expcmdsn = 0x41424344,
	  .maxcmdsn = 0x51525354,
	  .u.r2t = {.r2tsn = 3, .off = 0x4000, .len = 0x8000}}},
	{"3f800000 ffffffff ffffffff ffffffff ffffffff 0 ffffffff ffffffff ffffffff "
	 "ffffffff ffffffff 0",
	 "32800000 00000000 40010203 04050607 ffffffff 0 31323334 41424344 51525354 "
	 "02ff0001 00030004 0",
	 {.opcode = PDU_ASYNC,
	  .final = true,
	  .lun = LUN,
	  .itt = PDU_TAG_NONE,
	  .statsn = 0x31323334,
	  .expcmdsn = 0x41424344,
	  .maxcmdsn = 0x51525354,
	  .u.async = {.event = ASYNC_CONN_DROP,
		      .vcode = 0xff,
		      .param1 = 1,
		      .param2 = 3,
		      .param3 = 4}}},
	{"3f80ff00 ffffffff 0 0 ffffffff 0 ffffffff ffffffff ffffffff ffffffff 0 0",
	 "3f800900 00000030 0 0 ffffffff 0 31323334 41424344 51525354 00000005 0 0",
	 {.opcode = PDU_REJECT,
	  .final = true,
	  .n_data = 48,
	  .itt = PDU_TAG_NONE,
	  .statsn = 0x31323334,
	  .expcmdsn = 0x41424344,
	  .maxcmdsn = 0x51525354,
	  .u.reject = {.reason = REJECT_INVALID_FIELD, .datasn = 5}}},
};

/* Twelve groups of up to eight digits. */
static void bytes_of(const char *hex, uint8_t ret[BHS_LEN])
{
	for (int i = 0; i < 12; i++) {
		unsigned v;
		int n;

		assert_int_equal(sscanf(hex, "%x%n", &v, &n), 1);
		hex += n;
		put_be32(ret + 4 * i, v);
	}
	assert_int_equal(*hex, '\0');
}

static void pdu_every_field_has_its_place(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		uint8_t wire[BHS_LEN], due[BHS_LEN];
		struct pdu back;

		bytes_of(types[i].wire, due);
		memset(wire, 0xee, sizeof(wire));
		pdu_encode(wire, &types[i].pdu);
		assert_memory_equal(wire, due, BHS_LEN);
		assert_int_equal(pdu_decode(&back, due), 0);
		assert_int_equal(back.opcode, types[i].pdu.opcode);
		pdu_encode(wire, &back);
		assert_memory_equal(wire, due, BHS_LEN);
	}
}

static uint32_t random_state = 12345;

static uint8_t random_byte(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (uint8_t)(random_state >> 24);
}

/* decode, encode, decode: only reserved bits go, and only in the first round. */
static void pdu_reencodes_the_same_but_reserved_bits(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		uint8_t mask[BHS_LEN];

		bytes_of(types[i].mask, mask);
		for (int round = 0; round < 2000; round++) {
			uint8_t wire[BHS_LEN], due[BHS_LEN], again[BHS_LEN];
			struct pdu a, b;

			for (int k = 0; k < BHS_LEN; k++)
				wire[k] = round == 0 ? 0xff : random_byte();
			wire[0] = (uint8_t)((wire[0] & 0xc0) | types[i].pdu.opcode);
			for (int k = 0; k < BHS_LEN; k++)
				due[k] = wire[k] & mask[k];
			assert_int_equal(pdu_decode(&a, wire), 0);
			pdu_encode(again, &a);
			assert_memory_equal(again, due, BHS_LEN);
			assert_int_equal(pdu_decode(&b, again), 0);
			assert_memory_equal(&a, &b, sizeof(a));
		}
	}
}

/* Single flags, so that two of them cannot have changed places. */
static void pdu_flags(void **state)
{
	struct pdu p;
	uint8_t b[BHS_LEN] = {PDU_SCSI_CMD};

	b[1] = 0x40;
	assert_int_equal(pdu_decode(&p, b), 0);
	assert_true(p.u.scsi_cmd.read && !p.u.scsi_cmd.write && !p.final);
	b[1] = 0x20;
	assert_int_equal(pdu_decode(&p, b), 0);
	assert_true(!p.u.scsi_cmd.read && p.u.scsi_cmd.write);
	b[0] = PDU_SCSI_RSP;
	b[1] = 0x10;
	assert_int_equal(pdu_decode(&p, b), 0);
	assert_true(p.u.scsi_rsp.bidi_overflow && !p.u.scsi_rsp.bidi_underflow);
	b[1] = 0x08;
	assert_int_equal(pdu_decode(&p, b), 0);
	assert_true(!p.u.scsi_rsp.bidi_overflow && p.u.scsi_rsp.bidi_underflow);
	b[1] = 0x02;
	assert_int_equal(pdu_decode(&p, b), 0);
	assert_true(!p.u.scsi_rsp.overflow && p.u.scsi_rsp.underflow);
	b[0] = PDU_DATA_IN;
	b[1] = 0x04;
	assert_int_equal(pdu_decode(&p, b), 0);
	assert_true(p.u.data_in.overflow && !p.u.data_in.underflow && !p.u.data_in.has_status);
	b[1] = 0x01;
	assert_int_equal(pdu_decode(&p, b), 0);
	assert_true(!p.u.data_in.overflow && !p.u.data_in.underflow && p.u.data_in.has_status);
	b[0] = PDU_LOGIN_RSP;
	b[1] = 0x80 | 0x04;
	assert_int_equal(pdu_decode(&p, b), 0);
	assert_true(p.final && !p.u.login.more && p.u.login.csg == 1 && p.u.login.nsg == 0);
}

static void pdu_unknown_opcodes(void **state)
{
	unsigned n_known = 0;

	for (unsigned op = 0; op < 0x40; op++) {
		uint8_t b[BHS_LEN] = {(uint8_t)op};
		struct pdu p;
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(types); i++)
			known |= types[i].pdu.opcode == op;
		n_known += known;
		assert_int_equal(pdu_decode(&p, b), known ? 0 : -EBADMSG);
		assert_int_equal(strcmp(pdu_name((uint8_t)op), "unknown PDU") != 0, known);
	}
	assert_int_equal(n_known, ARRAY_SIZE(types));
}

static void pdu_padding(void **state)
{
	assert_int_equal(pdu_pad(0), 0);
	assert_int_equal(pdu_pad(1), 3);
	assert_int_equal(pdu_pad(2), 2);
	assert_int_equal(pdu_pad(3), 1);
	assert_int_equal(pdu_pad(4), 0);
	assert_int_equal(pdu_pad(PDU_DATA_MAX), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pdu_every_field_has_its_place),
		cmocka_unit_test(pdu_reencodes_the_same_but_reserved_bits),
		cmocka_unit_test(pdu_flags),
		cmocka_unit_test(pdu_unknown_opcodes),
		cmocka_unit_test(pdu_padding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
