/* SPDX-License-Identifier: MIT */
#include "cli/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/cleanup.h"

static void number_decimal_hex_and_rubbish(void **state)
{
	static const struct {
		const char *text;
		ULONG value;
	} rows[] = {
		{"0", 0},
		{"10", 10},
		{"010", 10},
		{"0x10", 16},
		{"0XfF", 255},
		{"0x00000002", 2},
		{"-1", 0xffffffff},
		{"+7", 7},
		{"*", 0},
		{"", 0},
		{"abc", 0},
		{"12abc", 12},
		{"0x", 0},
		{"0x-1", 0},
		{"4294967295", 0xffffffff},
		{"4294967296", 0xffffffff},
		{"99999999999999999999", 0xffffffff},
		{"0x1ffffffff", 0xffffffff},
		{"0xffffffffffffffffffff", 0xffffffff},
		{"-99999999999999999999", 0x80000000},
		{"<Any Port>", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(value_number(rows[i].text), rows[i].value);
	assert_int_equal(value_number_or("*", 5), 5);
	assert_int_equal(value_number_or("**", 5), 5);
	assert_int_equal(value_number_or("3", 5), 3);
}

static void bool_looks_at_the_first_character(void **state)
{
	(void)state;
	assert_true(value_bool("T", false));
	assert_true(value_bool("t", false));
	assert_true(value_bool("true", false));
	assert_true(value_bool("*", true));
	assert_false(value_bool("*", false));
	assert_false(value_bool("F", true));
	assert_false(value_bool("1", true));
	assert_false(value_bool("yes", true));
	assert_false(value_bool("dummy", true));
	assert_false(value_bool("", true));
}

static void id_forms_that_scripts_use(void **state)
{
	static const char *const good[] = {
		"ffffa00112233440-4000013700000002",   "0xffffa00112233440-0x4000013700000002",
		"FFFFA00112233440-4000013700000002",   "0XFFFFA00112233440-4000013700000002",
		" ffffa00112233440-4000013700000002 ", "\tffffa00112233440-0x4000013700000002\r\n",
	};
	static const char *const bad[] = {
		"",
		"-",
		"1",
		"1-",
		"-1",
		"1-g",
		"1 - 2",
		"1-2-3",
		"1-2x",
		"0x-0x",
		"x1-2",
		"11111111111111111-1",
		"1-11111111111111111",
		"*",
	};
	ISCSI_UNIQUE_SESSION_ID id;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		memset(&id, 0, sizeof(id));
		assert_true(value_id(good[i], &id));
		assert_int_equal(id.AdapterUnique, 0xffffa00112233440);
		assert_int_equal(id.AdapterSpecific, 0x4000013700000002);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(&id, 0x55, sizeof(id));
		assert_false(value_id(bad[i], &id));
		assert_int_equal(id.AdapterUnique, 0x5555555555555555);
	}
}

static void luns(void **state)
{
	ULONGLONG lun = 9;

	(void)state;
	assert_true(value_lun("0", &lun) && lun == 0);
	assert_true(value_lun("100", &lun) && lun == 0x100);
	assert_true(value_lun("0x100", &lun) && lun == 0x100);
	assert_true(value_lun("ffffFFFFffffFFFF", &lun) && lun == UINT64_MAX);
	assert_false(value_lun("", &lun));
	assert_false(value_lun("0x", &lun));
	assert_false(value_lun("1g", &lun));
	assert_false(value_lun("-1", &lun));
	assert_false(value_lun("00000000000000000", &lun));

	assert_true(value_mapping_lun("0x0000000000000100", &lun) && lun == 0x100);
	assert_false(value_mapping_lun("0x100", &lun));
	assert_false(value_mapping_lun("0000000000000100", &lun));
	assert_false(value_mapping_lun("000000000000000100", &lun));
	assert_false(value_mapping_lun("0x000000000000010g", &lun));
}

static void sockets(void **state)
{
	USHORT port = 0;

	(void)state;
	assert_true(value_socket("3260", &port) && port == 3260);
	assert_true(value_socket("0xCBC", &port) && port == 3260);
	assert_true(value_socket("65535", &port) && port == 65535);
	assert_false(value_socket("0", &port));
	assert_false(value_socket("65536", &port));
	assert_false(value_socket("-1", &port));
	assert_false(value_socket("host.example", &port));
	assert_false(value_socket("*", &port));
}

static void assert_secret(const char *text, const void *bytes, size_t n)
{
	char *arg = strdup(text);
	struct secret s = {0};

	assert_int_equal(value_secret(arg, &s), 0);
	assert_int_equal(s.n, n);
	assert_memory_equal(s.p, bytes, n);
	for (size_t i = 0; i < strlen(text); i++)
		assert_int_equal(arg[i], 0);
	secret_clear(&s);
	assert_null(s.p);
	free(arg);
}

static void secret_is_text_or_bytes_and_leaves_the_command_line(void **state)
{
	char odd[] = "0x123";
	struct secret s = {0};

	(void)state;
	assert_secret("alicesecret12", "alicesecret12", 13);
	assert_secret("0x00fF10", "\x00\xff\x10", 3);
	assert_secret("0X0a", "\x0a", 1);
	assert_secret("0x", "0x", 2);
	assert_secret("0xhello", "0xhello", 7);
	assert_secret("0x12zz", "0x12zz", 6);
	assert_secret("", "", 0);
	assert_int_equal(value_secret(odd, &s), -EINVAL);
	assert_null(s.p);
	assert_int_equal(odd[2], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(number_decimal_hex_and_rubbish),
		cmocka_unit_test(bool_looks_at_the_first_character),
		cmocka_unit_test(id_forms_that_scripts_use),
		cmocka_unit_test(luns),
		cmocka_unit_test(sockets),
		cmocka_unit_test(secret_is_text_or_bytes_and_leaves_the_command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
