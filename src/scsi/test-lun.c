/* SPDX-License-Identifier: MIT */
/* The forms of a LUN, there and back. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "scsi/lun.h"

static void numbers_and_back(void **state)
{
	static const struct {
		uint32_t number;
		uint64_t lun;
	} row[] = {
		{0, 0x0000000000000000},        {1, 0x0001000000000000},
		{255, 0x00ff000000000000},      {256, 0x4100000000000000},
		{16383, 0x7fff000000000000},    {16384, 0xd200400000000000},
		{0xffffff, 0xd2ffffff00000000},
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		uint32_t number = 0;

		assert_true(lun_from_number(row[i].number) == row[i].lun);
		assert_true(lun_to_number(row[i].lun, &number));
		assert_int_equal(number, row[i].number);
	}
	assert_true(lun_from_number(0x1000000) == UINT64_MAX);
	for (uint32_t n = 0; n < 0x5000; n++) {
		uint32_t back;

		assert_true(lun_to_number(lun_from_number(n), &back));
		assert_int_equal(back, n);
	}
}

static void forms(void **state)
{
	struct lun_parts l;
	uint32_t number;

	l = lun_split(0x0305000000000000); /* peripheral, bus 3 */
	assert_int_equal(l.method, LUN_PERIPHERAL);
	assert_int_equal(l.bus, 3);
	assert_int_equal(l.number, 5);
	assert_true(l.single_level);
	assert_false(lun_to_number(0x0305000000000000, &number));

	l = lun_split(0x4005000000000000); /* flat below 256: another LUN than peripheral 5 */
	assert_int_equal(l.method, LUN_FLAT);
	assert_int_equal(l.number, 5);
	assert_true(lun_to_number(0x4005000000000000, &number));

	l = lun_split(0x8a65000000000000); /* target 10, bus 3, number 5 */
	assert_int_equal(l.method, LUN_LOGICAL);
	assert_int_equal(l.target, 10);
	assert_int_equal(l.bus, 3);
	assert_int_equal(l.number, 5);
	assert_false(lun_to_number(0x8a65000000000000, &number));

	l = lun_split(0xe212345678900000); /* five bytes */
	assert_int_equal(l.method, LUN_EXTENDED);
	assert_int_equal(l.extended, 2);
	assert_true(l.number == 0x1234567890);
	assert_true(l.single_level);
	assert_false(lun_to_number(0xe212345678900000, &number));
	l = lun_split(0xf2123456789abcde); /* seven bytes fill everything */
	assert_true(l.number == 0x123456789abcde);
	assert_true(l.single_level);

	assert_false(lun_split(0x0001000100000000).single_level);
	assert_false(lun_to_number(0x0001000100000000, &number));
	assert_false(lun_to_number(0xd200000100000001, &number));

	assert_true(lun_is_well_known(0xc101000000000000));
	assert_true(lun_is_well_known(UINT64_MAX));
	assert_false(lun_is_well_known(0xd200400000000000));
	assert_false(lun_is_well_known(0x00c1000000000000));
}

static void texts(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t lun;
	} row[] = {
		{"0", 0, 0},
		{"1", 0, 0x0001000000000000},
		{"ff", 0, 0x00ff000000000000},
		{"0xFF", 0, 0x00ff000000000000},
		{"100", 0, 0x100},
		{"0001000000000000", 0, 0x0001000000000000},
		{"0x4100000000000000", 0, 0x4100000000000000},
		{"fedcba9876543210", 0, 0xfedcba9876543210},
		{"", -EINVAL, 0},
		{"0x", -EINVAL, 0},
		{"12g", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"00000000000000001", -EINVAL, 0},
	};
	char buf[LUN_TEXT_BYTES];

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		uint64_t lun = 0;

		assert_int_equal(lun_parse(row[i].text, &lun), row[i].r);
		assert_true(lun == row[i].lun);
	}
	lun_text(0x0001000000000000, buf);
	assert_string_equal(buf, "0001000000000000");
	lun_text(0xfedcba9876543210, buf);
	assert_string_equal(buf, "fedcba9876543210");
	lun_name(0x0001000000000000, buf);
	assert_string_equal(buf, "1");
	lun_name(0xd2ffffff00000000, buf);
	assert_string_equal(buf, "16777215");
	lun_name(0x0001000100000000, buf);
	assert_string_equal(buf, "0x0001000100000000");
	assert_true(lun_from_argument(255) == 0x00ff000000000000);
	assert_true(lun_from_argument(256) == 256);
}

static void wire(void **state)
{
	uint8_t bytes[8];

	lun_put(bytes, 0x0102030405060708);
	assert_int_equal(bytes[0], 1);
	assert_int_equal(bytes[7], 8);
	assert_true(lun_get(bytes) == 0x0102030405060708);
}

static void report_luns(void **state)
{
	uint8_t page[8 + 3 * 8] = {0, 0, 0, 24};
	uint64_t v[3];
	uint32_t n_list;
	size_t n_luns;

	lun_put(page + 16, lun_from_number(1));
	lun_put(page + 24, lun_from_number(300));
	for (size_t n = 0; n <= sizeof(page); n++) {
		CLEANUP(freep) uint8_t *p = malloc(n + 1);
		int r;

		memcpy(p, page, n);
		r = report_luns_decode(v, 3, &n_luns, &n_list, p, n);
		assert_int_equal(r, n < 8 ? -EBADMSG : 0);
		if (r)
			continue;
		assert_int_equal(n_list, 24);
		assert_int_equal(n_luns, (n - 8) / 8);
	}
	assert_true(v[0] == 0 && v[1] == lun_from_number(1) && v[2] == lun_from_number(300));
	assert_int_equal(report_luns_decode(v, 2, &n_luns, &n_list, page, sizeof(page)), 0);
	assert_int_equal(n_luns, 2);
	put_be32(page, 0xffffffff);
	assert_int_equal(report_luns_decode(v, 3, &n_luns, &n_list, page, sizeof(page)), 0);
	assert_int_equal(n_luns, 3);
	put_be32(page, 15); /* one and a half */
	assert_int_equal(report_luns_decode(v, 3, &n_luns, &n_list, page, sizeof(page)), 0);
	assert_int_equal(n_luns, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_and_back),
		cmocka_unit_test(forms),
		cmocka_unit_test(texts),
		cmocka_unit_test(wire),
		cmocka_unit_test(report_luns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
