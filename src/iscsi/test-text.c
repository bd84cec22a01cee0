/* SPDX-License-Identifier: MIT */
/*
 * key=value text: taken apart, and put together.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "iscsi/keys.h"

#define TEXT(s) (s), sizeof(s) - 1

static int count_pairs(const char *bytes, size_t n)
{
	char *copy = malloc(n ? n : 1), *at = copy;
	const char *key, *value;
	int r, count = 0;

	assert_non_null(copy);
	if (n)
		memcpy(copy, bytes, n);
	while ((r = text_next(&at, &n, &key, &value)) > 0) {
		assert_true(strlen(key) > 0 && strlen(key) <= TEXT_KEY_MAX);
		assert_true(strlen(value) <= TEXT_VALUE_MAX);
		count++;
	}
	free(copy);
	return r ? r : count;
}

static void text_pairs(void **state)
{
	assert_int_equal(count_pairs(TEXT("")), 0);
	assert_int_equal(count_pairs(TEXT("A=b\0")), 1);
	assert_int_equal(count_pairs(TEXT("A=b\0C=\0D=e=f\0")), 3);
}

static void text_without_nul(void **state)
{
	assert_int_equal(count_pairs(TEXT("A=b")), -EBADMSG);
	assert_int_equal(count_pairs(TEXT("A=b\0C=d")), -EBADMSG);
}

static void text_without_equals(void **state)
{
	assert_int_equal(count_pairs(TEXT("Ab\0")), -EBADMSG);
	assert_int_equal(count_pairs(TEXT("A=b\0C\0")), -EBADMSG);
	assert_int_equal(count_pairs(TEXT("=b\0")), -EBADMSG);
}

static void text_padded_with_nuls(void **state)
{
	assert_int_equal(count_pairs(TEXT("A=b\0\0\0\0")), 1);
	assert_int_equal(count_pairs(TEXT("\0\0")), 0);
	assert_int_equal(count_pairs(TEXT("A=b\0\0C=d\0")), -EBADMSG);
}

static void text_longest_key_and_value(void **state)
{
	for (int more = 0; more <= 1; more++) {
		size_t n_key = TEXT_KEY_MAX + (size_t)more, n_value = TEXT_VALUE_MAX + (size_t)more;
		char *text = malloc(n_key + 3 + n_value + 1);

		assert_non_null(text);
		memset(text, 'k', n_key);
		memcpy(text + n_key, "=v", 3);
		assert_int_equal(count_pairs(text, n_key + 3), more ? -EBADMSG : 1);
		memcpy(text, "k=", 2);
		memset(text + 2, 'v', n_value);
		text[2 + n_value] = '\0';
		assert_int_equal(count_pairs(text, n_value + 3), more ? -EBADMSG : 1);
		free(text);
	}
}

static void text_grows(void **state)
{
	struct text t = {0};

	for (int i = 0; i < 1000; i++)
		text_add_number(&t, "Key", (uint32_t)i);
	assert_false(t.failed);
	assert_int_equal(count_pairs(t.bytes, t.n), 1000);
	text_clear(&t);
	assert_null(t.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_pairs),
		cmocka_unit_test(text_without_nul),
		cmocka_unit_test(text_without_equals),
		cmocka_unit_test(text_padded_with_nuls),
		cmocka_unit_test(text_longest_key_and_value),
		cmocka_unit_test(text_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
