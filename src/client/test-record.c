/* SPDX-License-Identifier: MIT */
/*
 * Records: what is read from a structure and written again is the same, for every
 * kind of field that goes both ways
 */
#include "client/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "varlink/varlink.h"

struct all_kinds {
	char text[8];
	uint8_t low_byte;
	uint8_t low_first[2];
	uint8_t hex[3];
	uint8_t one;
	uint16_t two;
	uint32_t four;
	uint64_t eight;
	ISCSI_UNIQUE_SESSION_ID id;
	ISCSI_TARGET_PORTALA part;
	ISCSI_VERSION_INFO inlined;
};

#define KIND(member, k)                                                                         \
	{                                                                                       \
		.key = #member, .kind = (k),                                                    \
		.at = {offsetof(struct all_kinds, member), offsetof(struct all_kinds, member)}, \
		.n = sizeof(((struct all_kinds *)NULL)->member)                                 \
	}

static const struct field all_fields[] = {
	KIND(text, FIELD_TEXT),
	KIND(low_byte, FIELD_LOW_BYTE),
	KIND(low_first, FIELD_LOW_FIRST),
	KIND(hex, FIELD_HEX),
	KIND(one, FIELD_NUMBER),
	KIND(two, FIELD_NUMBER),
	KIND(four, FIELD_NUMBER),
	KIND(eight, FIELD_NUMBER),
	KIND(id, FIELD_ID),
	{.key = "part",
	 .kind = FIELD_PART,
	 .part = &record_portal,
	 .at = {offsetof(struct all_kinds, part)}},
	{.kind = FIELD_PART, .part = &record_version, .at = {offsetof(struct all_kinds, inlined)}},
};

static const struct record all_record = {
	.name = "all kinds",
	.size = {sizeof(struct all_kinds), sizeof(struct all_kinds)},
	.fields = all_fields,
	.n_fields = ARRAY_SIZE(all_fields),
};

static void round_trip(const struct all_kinds *before)
{
	/* on both ways at addresses that suit no type */
	uint8_t in[sizeof(*before) + 1], out[sizeof(*before) + 1];
	struct all_kinds after;
	json_t *object;

	memcpy(in + 1, before, sizeof(*before));
	assert_int_equal(record_read(FORM_A, &all_record, in + 1, &object), 0);
	assert_int_equal(record_write(FORM_A, &all_record, object, out + 1, NULL), 0);
	memcpy(&after, out + 1, sizeof(after));
	assert_string_equal(after.text, before->text);
	assert_int_equal(after.low_byte, before->low_byte);
	assert_memory_equal(after.low_first, before->low_first, 2);
	assert_memory_equal(after.hex, before->hex, 3);
	assert_true(after.one == before->one && after.two == before->two);
	assert_true(after.four == before->four && after.eight == before->eight);
	assert_memory_equal(&after.id, &before->id, sizeof(after.id));
	assert_string_equal(after.part.SymbolicName, before->part.SymbolicName);
	assert_string_equal(after.part.Address, before->part.Address);
	assert_int_equal(after.part.Socket, before->part.Socket);
	assert_memory_equal(&after.inlined, &before->inlined, sizeof(after.inlined));
	json_decref(object);
}

static void every_kind_goes_both_ways(void **state)
{
	round_trip(&(struct all_kinds){0});
	round_trip(&(struct all_kinds){
		.text = "t\xc3\xa9xt", /* é */
		.low_byte = 0xff,
		.low_first = {0x34, 0x12},
		.hex = {0x00, 0xab, 0xff},
		.one = UINT8_MAX,
		.two = UINT16_MAX,
		.four = UINT32_MAX,
		.eight = UINT64_MAX,
		.id = {UINT64_MAX, 1},
		.part = {.SymbolicName = "label", .Address = "::1", .Socket = 3260},
		.inlined = {1, 2, 3},
	});
}

static void numbers_beyond_their_field_are_refused(void **state)
{
	static const struct {
		const char *key;
		json_int_t value;
	} bad[] = {{"one", 256},           {"one", -1},  {"two", 65536},       {"two", -1},
		   {"four", 4294967296LL}, {"four", -2}, {"low_first", 65536}, {"low_first", -1}};
	struct all_kinds record = {0};
	struct all_kinds out;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *object;

		assert_int_equal(record_read(FORM_A, &all_record, &record, &object), 0);
		json_object_set_new(object, bad[i].key, json_integer(bad[i].value));
		assert_int_equal(record_write(FORM_A, &all_record, object, &out, NULL),
				 ISDSC_NON_SPECIFIC_ERROR);
		assert_non_null(strstr(detail_get(), bad[i].key));
		json_decref(object);
	}
}

static void text_without_an_end_is_refused(void **state)
{
	struct all_kinds record = {.text = {'1', '2', '3', '4', '5', '6', '7', '8'}};
	json_t *object;

	assert_int_equal(record_read(FORM_A, &all_record, &record, &object),
			 ERROR_INVALID_PARAMETER);
	memset(record.text, 0, sizeof(record.text));
	memset(record.part.Address, 'x', sizeof(record.part.Address));
	assert_int_equal(record_read(FORM_A, &all_record, &record, &object),
			 ERROR_INVALID_PARAMETER);
}

static void hex_of_either_case_but_of_one_length(void **state)
{
	uint8_t bytes[2] = {0};

	assert_int_equal(hex_parse("aBcD", bytes, 2), 2);
	assert_true(bytes[0] == 0xab && bytes[1] == 0xcd);
	assert_int_equal(hex_parse("012345", bytes, 2), 3);
	assert_true(bytes[0] == 0x01 && bytes[1] == 0x23);
	assert_int_equal(hex_parse("", bytes, 2), 0);
	assert_int_equal(hex_parse("1", bytes, 2), -1);
	assert_int_equal(hex_parse("1g", bytes, 2), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_goes_both_ways),
		cmocka_unit_test(numbers_beyond_their_field_are_refused),
		cmocka_unit_test(text_without_an_end_is_refused),
		cmocka_unit_test(hex_of_either_case_but_of_one_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
