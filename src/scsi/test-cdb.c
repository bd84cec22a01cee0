/* SPDX-License-Identifier: MIT */
/* Each CDB against its bytes as the standard lays them out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "scsi/cdb.h"

static uint8_t cdb[SCSI_CDB_MAX];

/* The builders must also clear what is behind the CDB. */
static void expect(uint8_t n, const char *hex)
{
	uint8_t want[SCSI_CDB_MAX] = {0};
	uint8_t n_want = 0;

	for (const char *p = hex; *p; p += p[2] == ' ' ? 3 : 2) {
		unsigned byte;

		assert_int_equal(sscanf(p, "%2x", &byte), 1);
		want[n_want++] = (uint8_t)byte;
	}
	assert_int_equal(n, n_want);
	assert_memory_equal(cdb, want, SCSI_CDB_MAX);
}

static void dirty(void)
{
	memset(cdb, 0xee, sizeof(cdb));
}

static void simple_commands(void **state)
{
	dirty();
	expect(cdb_test_unit_ready(cdb), "00 00 00 00 00 00");
	dirty();
	expect(cdb_inquiry(cdb, false, 0x83, 0x0123), "12 00 00 01 23 00");
	dirty();
	expect(cdb_inquiry(cdb, true, 0x83, 255), "12 01 83 00 ff 00");
	dirty();
	expect(cdb_report_luns(cdb, 0x01020304), "a0 00 00 00 00 00 01 02 03 04 00 00");
	dirty();
	expect(cdb_mode_sense_6(cdb, 0x08, 192), "1a 00 08 00 c0 00");
	dirty();
	expect(cdb_mode_sense_10(cdb, 0x3f, 0x0203), "5a 00 3f 00 00 00 00 02 03 00");
	dirty();
	expect(cdb_read_capacity_10(cdb), "25 00 00 00 00 00 00 00 00 00");
	dirty();
	expect(cdb_read_capacity_16(cdb, 32), "9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00");
	dirty();
	expect(cdb_report_supported_op(cdb, 0x93, 32), "a3 0c 01 93 00 00 00 00 00 20 00 00");
	dirty();
	expect(cdb_unmap(cdb, 24), "42 00 00 00 00 00 00 00 18 00");
}

static void read_write_form_by_address_and_length(void **state)
{
	static const struct {
		uint64_t lba;
		uint32_t n;
		bool fua, write;
		const char *hex;
	} row[] = {
		{0, 1, false, false, "28 00 00 00 00 00 00 00 01 00"},
		{0x01020304, 0xffff, false, true, "2a 00 01 02 03 04 00 ff ff 00"},
		{7, 1, true, true, "2a 08 00 00 00 07 00 00 01 00"},
		{7, 1, true, false, "28 08 00 00 00 07 00 00 01 00"},
		/* one block too many for 16 bits */
		{0, 0x10000, false, false, "88 00 00 00 00 00 00 00 00 00 00 01 00 00 00 00"},
		/* the last block below 2^32, and the first run that leaves it */
		{0xffffffff, 1, false, false, "28 00 ff ff ff ff 00 00 01 00"},
		{0xffffffff, 2, false, false, "88 00 00 00 00 00 ff ff ff ff 00 00 00 02 00 00"},
		{0x100000000, 1, true, true, "8a 08 00 00 00 01 00 00 00 00 00 00 00 01 00 00"},
		{0xfffffffffffffffe, 1, false, true,
		 "8a 00 ff ff ff ff ff ff ff fe 00 00 00 01 00 00"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		uint8_t n;

		dirty();
		n = row[i].write ? cdb_write(cdb, row[i].lba, row[i].n, row[i].fua)
				 : cdb_read(cdb, row[i].lba, row[i].n, row[i].fua);
		expect(n, row[i].hex);
	}
}

static void sync_and_write_same(void **state)
{
	dirty();
	expect(cdb_sync_cache(cdb, 0, 0, false), "35 00 00 00 00 00 00 00 00 00");
	dirty();
	expect(cdb_sync_cache(cdb, 0, 0, true), "91 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
	dirty();
	expect(cdb_sync_cache(cdb, 0x123456789, 1, false),
	       "91 00 00 00 00 01 23 45 67 89 00 00 00 01 00 00");
	dirty();
	expect(cdb_write_same_16(cdb, 0x10, 0x20, false),
	       "93 00 00 00 00 00 00 00 00 10 00 00 00 20 00 00");
	dirty();
	expect(cdb_write_same_16(cdb, 0x10, 0x20, true),
	       "93 08 00 00 00 00 00 00 00 10 00 00 00 20 00 00");
}

static void length_by_group_code(void **state)
{
	static const struct {
		uint8_t opcode, n;
	} row[] = {{0x00, 6},  {0x1f, 6},  {0x20, 10}, {0x3f, 10}, {0x40, 10},
		   {0x5f, 10}, {0x60, 0},  {0x7e, 0},  {0x7f, 0},  {0x80, 16},
		   {0x9f, 16}, {0xa0, 12}, {0xbf, 12}, {0xc0, 0},  {0xff, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++)
		assert_int_equal(cdb_length(row[i].opcode), row[i].n);
}

static void unmap_list(void **state)
{
	static const struct scsi_extent v[] = {{0x0102030405060708, 0x11121314}, {1, 2}};
	static const uint8_t want[] = {0x00, 0x26, 0x00, 0x20, 0,    0,    0, 0, 1, 2, 3, 4, 5, 6,
				       7,    8,    0x11, 0x12, 0x13, 0x14, 0, 0, 0, 0, 0, 0, 0, 0,
				       0,    0,    0,    1,    0,    0,    0, 2, 0, 0, 0, 0};
	static uint8_t big[0x20000];
	static struct scsi_extent many[5000];
	uint8_t buf[40];

	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(unmap_list_build(buf, sizeof(buf), v, 2), sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
	/* no room: nothing written */
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(unmap_list_build(buf, 39, v, 2), 0);
	assert_int_equal(buf[0], 0xee);
	/* empty list */
	assert_int_equal(unmap_list_build(buf, sizeof(buf), NULL, 0), 8);
	assert_int_equal(buf[1], 6);
	/* 16-bit lengths: 4095 descriptors at most */
	assert_int_equal(unmap_list_build(big, sizeof(big), many, 4095), 8 + 4095 * 16);
	assert_int_equal(unmap_list_build(big, sizeof(big), many, 4096), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(simple_commands),
		cmocka_unit_test(read_write_form_by_address_and_length),
		cmocka_unit_test(sync_and_write_same),
		cmocka_unit_test(length_by_group_code),
		cmocka_unit_test(unmap_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
