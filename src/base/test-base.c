/* SPDX-License-Identifier: MIT */
/* The small tools: cursors that remember a short read, serial numbers, lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "base/list.h"
#include "base/serial.h"

static void cursor_reads_big_endian(void **state)
{
	static const uint8_t bytes[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,
					10, 11, 12, 13, 14, 15, 16, 17, 18};
	struct cursor c = cursor_of(bytes, sizeof(bytes));

	assert_int_equal(cursor_u8(&c), 0x01);
	assert_int_equal(cursor_be16(&c), 0x0203);
	assert_int_equal(cursor_be24(&c), 0x040506);
	assert_int_equal(cursor_be32(&c), 0x0708090a);
	assert_true(cursor_be64(&c) == UINT64_C(0x0b0c0d0e0f101112));
	assert_false(cursor_short(&c));
	assert_int_equal(c.n_left, 0);
}

static void cursor_remembers_a_short_read(void **state)
{
	static const uint8_t bytes[] = {1, 2, 3};
	struct cursor c = cursor_of(bytes, sizeof(bytes));

	assert_int_equal(cursor_be32(&c), 0);
	assert_true(cursor_short(&c));
	assert_int_equal(cursor_u8(&c), 0); /* and stays short: no field is read at a wrong place */
	assert_null(cursor_bytes(&c, 1));
}

static void put_is_the_mirror_of_get(void **state)
{
	uint8_t b[8];

	put_be64(b, UINT64_C(0x0102030405060708));
	assert_int_equal(b[0], 1);
	assert_true(get_be64(b) == UINT64_C(0x0102030405060708));
	put_be32(b, 0xa1b2c3d4);
	assert_int_equal(get_be32(b), 0xa1b2c3d4);
	put_be24(b, 0x123456);
	assert_int_equal(b[2], 0x56);
	put_be16(b, 0xbeef);
	assert_int_equal(get_be16(b), 0xbeef);
}

static void serial_wraps(void **state)
{
	assert_true(serial_lt(0xffffffff, 0));
	assert_true(serial_lt(0xfffffff0, 0x10));
	assert_false(serial_lt(0x10, 0xfffffff0));
	assert_false(serial_lt(5, 5));
	assert_true(serial_le(5, 5));
	assert_false(serial_lt(
		0, 0x80000000)); /* 2^31 apart: undefined by RFC 1982, neither before the other */
	assert_false(serial_lt(0x80000000, 0));
}

struct item {
	int v;
	struct list node;
};

static void list_keeps_order(void **state)
{
	struct list head = LIST_INIT(head), other = LIST_INIT(other);
	struct item a = {1}, b = {2}, c = {3}, *i, *tmp;
	int seen = 0;

	list_append(&head, &b.node);
	list_append(&head, &c.node);
	list_prepend(&head, &a.node);
	list_for_each (i, &head, node)
		seen = seen * 10 + i->v;
	assert_int_equal(seen, 123);
	list_remove(&b.node);
	list_remove(&b.node); /* twice does no harm */
	assert_false(list_linked(&b.node));
	list_append(&other, &b.node);
	list_splice(&other, &head);
	assert_true(list_empty(&head));
	seen = 0;
	list_for_each_safe (i, tmp, &other, node) {
		seen = seen * 10 + i->v;
		list_remove(&i->node);
	}
	assert_int_equal(seen, 213);
	assert_null(list_first(&other, struct item, node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cursor_reads_big_endian),
		cmocka_unit_test(cursor_remembers_a_short_read),
		cmocka_unit_test(put_is_the_mirror_of_get),
		cmocka_unit_test(serial_wraps),
		cmocka_unit_test(list_keeps_order),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
