/* SPDX-License-Identifier: MIT */
/* iSCSI names and UTF: what is accepted, what is refused, and that nothing is cut. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/name.h"

static void name_usable(void **state)
{
	static const char *const good[] = {
		"iqn.2001-04.com.example:storage",
		"iqn.2001-04.com.example:a_b",
		"iqn.x:unknown",
		"IQN.2001-04.com.example:d\xc3\xa9j\xc3\xa0",
		"eui.1",
		"naa.62004567BA64678D",
	};
	static const char *const bad[] = {
		"",         "iqn.",     "disk1",      "iqn.a b",  "iqn.a/b",   "iqn.*",
		"iqn.a\nb", "iqn.a\\b", "iqn.a\"b\"", "iqn.\xc3", "iqn.a\x7f",
	};
	char longest[ISCSI_NAME_MAX + 2] = "iqn.";

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!iscsi_name_usable(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (iscsi_name_usable(bad[i]))
			fail_msg("accepted: %s", bad[i]);
	memset(longest + 4, 'x', ISCSI_NAME_MAX - 4);
	assert_true(iscsi_name_usable(longest));
	longest[ISCSI_NAME_MAX] = 'x';
	assert_false(iscsi_name_usable(longest));
}

static void name_valid(void **state)
{
	static const char *const good[] = {
		"iqn.2001-04.com.example",
		"iqn.2001-04.com.example:storage:diskarrays-sn-a8675309",
		"IQN.2001-04.Com.Example:Disk1",
		"iqn.2001-04.com.example:d\xc3\xa9j\xc3\xa0",
		"eui.02004567A425678D",
		"naa.52004567BA64678D",
		"naa.62004567BA64678D0123456789ABCDEF",
	};
	static const char *const bad[] = {
		"",
		"iqn.",
		"iqn.2001-04.",
		"iqn.2001-04",
		"iqn.2001-04.:x",
		"iqn.01-04.com.example",
		"iqn.2001-04.com.example:a b",
		"iqn.2001-04.com.example:a_b",
		"iqn.2001-04.com.example/x",
		"iqn.2001-04.com.example:\xc3",
		"eui.02004567A425678",
		"eui.02004567A425678DD",
		"eui.02004567A425678G",
		"naa.52004567BA64678D0",
		"disk1",
	};
	char longest[ISCSI_NAME_MAX + 2] = "iqn.2001-04.com.example:";

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!iscsi_name_valid(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (iscsi_name_valid(bad[i]))
			fail_msg("accepted: %s", bad[i]);
	memset(longest + strlen(longest), 'a', ISCSI_NAME_MAX - strlen(longest));
	assert_true(iscsi_name_valid(longest));
	longest[ISCSI_NAME_MAX] = 'a';
	assert_false(iscsi_name_valid(longest));
}

static void name_equal_ignores_ascii_case_only(void **state)
{
	assert_true(iscsi_name_equal("iqn.2001-04.com.EXAMPLE:A", "IQN.2001-04.com.example:a"));
	assert_false(iscsi_name_equal("iqn.a", "iqn.ab"));
	assert_false(iscsi_name_equal("iqn.ab", "iqn.a"));
	assert_false(iscsi_name_equal("iqn.\xc3\xa9", "iqn.\xc3\x89"));
}

static void utf8_refuses_what_is_not(void **state)
{
	static const char *const bad[] = {"\x80",
					  "\xc3",
					  "\xc0\xaf",
					  "\xe0\x80\xaf",
					  "\xed\xa0\x80",
					  "\xf4\x90\x80\x80",
					  "\xf8\x88\x80\x80\x80",
					  "a\xff"};

	assert_true(utf8_valid("", 0));
	assert_true(utf8_valid("\xf0\x9f\x92\xbe", 4));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(utf8_valid(bad[i], strlen(bad[i])));
}

static void utf_round_trip(void **state)
{
	static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xbe";
	uint16_t wide[8];
	char back[16];

	assert_int_equal(utf8_to_utf16(text, sizeof(text) - 1, NULL, 0), 5);
	assert_int_equal(utf8_to_utf16(text, sizeof(text) - 1, wide, 8), 5);
	assert_int_equal(wide[3], 0xd83d);
	assert_int_equal(wide[4], 0xdcbe);
	assert_int_equal(utf16_to_utf8(wide, 5, NULL, 0), sizeof(text) - 1);
	assert_int_equal(utf16_to_utf8(wide, 5, back, sizeof(back)), sizeof(text) - 1);
	assert_memory_equal(back, text, sizeof(text) - 1);
}

static void utf_writes_nothing_that_does_not_fit(void **state)
{
	uint16_t wide[2] = {7, 7};
	char narrow[2] = {7, 7};
	const uint16_t euro[] = {0x20ac};

	assert_int_equal(utf8_to_utf16("abc", 3, wide, 2), 3);
	assert_int_equal(wide[0], 7);
	assert_int_equal(utf16_to_utf8(euro, 1, narrow, 2), 3);
	assert_int_equal(narrow[0], 7);
}

static void utf16_refuses_lone_surrogates(void **state)
{
	const uint16_t high[] = {0xd83d}, low[] = {0xdcbe}, swapped[] = {0xdcbe, 0xd83d};

	assert_int_equal(utf16_to_utf8(high, 1, NULL, 0), -EILSEQ);
	assert_int_equal(utf16_to_utf8(low, 1, NULL, 0), -EILSEQ);
	assert_int_equal(utf16_to_utf8(swapped, 2, NULL, 0), -EILSEQ);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_valid),
		cmocka_unit_test(name_usable),
		cmocka_unit_test(name_equal_ignores_ascii_case_only),
		cmocka_unit_test(utf8_refuses_what_is_not),
		cmocka_unit_test(utf_round_trip),
		cmocka_unit_test(utf_writes_nothing_that_does_not_fit),
		cmocka_unit_test(utf16_refuses_lone_surrogates),
	};

	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
