/* SPDX-License-Identifier: MIT */
/*
 * The status table holds every code of the list of codes, under its symbol
 */
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *csv_path;

static void every_listed_code_has_its_symbol_and_a_text(void **state)
{
	FILE *f = fopen(csv_path, "r");
	char line[1024];
	unsigned n_rows = 0, n_isdsc = 0;

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f)); /* the names of the columns */
	while (fgets(line, sizeof(line), f)) {
		char *name = strtok(line, ",");
		char *hex = strtok(NULL, ",");
		uint32_t code;

		assert_non_null(hex);
		code = (uint32_t)strtoul(hex, NULL, 16);
		assert_non_null(status_name(code));
		assert_string_equal(status_name(code), name);
		assert_string_not_equal(status_text(code), status_text(UINT32_MAX));
		n_rows++;
		n_isdsc += strncmp(name, "ISDSC_", 6) == 0;
	}
	fclose(f);
	assert_int_equal(n_isdsc, 104);
	assert_true(n_rows > n_isdsc);
}

static void unknown_code_has_no_symbol(void **state)
{
	assert_null(status_name(0xefff0069));
	assert_null(status_name(0xefff0000));
	assert_null(status_name(1));
	assert_string_equal(status_text(1), "Unknown status.");
}

static void texts_that_scripts_look_for(void **state)
{
	assert_string_equal(status_text(0), "The operation completed successfully.");
	assert_string_equal(status_text(0xefff003f),
			    "The target has already been logged in via an iSCSI session.");
	assert_string_equal(status_text(0xefff0040),
			    "The session cannot be logged out since a device on that session is "
			    "currently being used.");
	assert_string_equal(status_name(120), "ERROR_CALL_NOT_IMPLEMENTED");
}

int main(int argc, char *argv[])
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_listed_code_has_its_symbol_and_a_text),
		cmocka_unit_test(unknown_code_has_no_symbol),
		cmocka_unit_test(texts_that_scripts_look_for),
	};

	if (argc != 2)
		return 2;
	csv_path = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
