/* SPDX-License-Identifier: MIT */
/*
 * NBD: the handshake, option by option and byte by byte
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "device/nbd_proto.h"

static const struct nbd_export export = {
	.name = "s1-lun0",
	.description = "iqn.x lun 0",
	.n_bytes = UINT64_C(64) << 20,
	.flags = NBD_HAS_FLAGS | NBD_SEND_FLUSH,
	.min_block_bytes = 1,
	.best_block_bytes = 4096,
	.max_bytes = 32 << 20,
};

static struct nbd_handshake h;
static uint8_t in[32768];
static size_t n_in;
static struct cursor out;

static void put(const void *p, size_t n)
{
	memcpy(in + n_in, p, n);
	n_in += n;
}

static void put32(uint32_t v)
{
	uint8_t b[4];

	put_be32(b, v);
	put(b, sizeof(b));
}

static void put16(uint16_t v)
{
	uint8_t b[2];

	put_be16(b, v);
	put(b, sizeof(b));
}

static void option(uint32_t what, uint32_t n)
{
	uint8_t b[8];

	put_be64(b, NBD_OPTION_MAGIC);
	put(b, sizeof(b));
	put32(what);
	put32(n);
}

/* Past the greeting and the client's flags. */
static void begin(uint32_t flags)
{
	n_in = 0;
	nbd_handshake_init(&h);
	assert_int_equal(h.n_out, 18);
	assert_memory_equal(h.out, "NBDMAGICIHAVEOPT\0\3", 18);
	h.n_out = 0;
	put32(flags);
}

/* All that was put, in pieces of @n_piece bytes. */
static void feed_as(const struct nbd_export *e, size_t n_piece)
{
	size_t at = 0, n_seen = 0;

	while (n_seen < n_in && h.stage < NBD_STAGE_REQUESTS) {
		n_seen = n_seen + n_piece < n_in ? n_seen + n_piece : n_in;
		at += nbd_handshake_feed(&h, e, in + at, n_seen - at);
	}
	n_in = 0;
	out = cursor_of(h.out, h.n_out);
}

static void feed(void)
{
	feed_as(&export, n_in);
}

static uint32_t take_reply(uint32_t what, uint32_t type)
{
	assert_int_equal(cursor_be64(&out), NBD_REPLY_MAGIC);
	assert_int_equal(cursor_be32(&out), what);
	assert_int_equal(cursor_be32(&out), type);
	return cursor_be32(&out);
}

static void refused(uint32_t what, uint32_t type)
{
	const uint32_t n = take_reply(what, type);

	assert_true(n > 0); /* words for a person */
	cursor_skip(&out, n);
	assert_false(cursor_short(&out));
	assert_int_equal(out.n_left, 0);
}

static void put_go(uint32_t what, const char *name, const uint16_t *infos, uint16_t n)
{
	const uint32_t n_name = (uint32_t)strlen(name);

	option(what, 4 + n_name + 2 + 2u * n);
	put32(n_name);
	put(name, n_name);
	put16(n);
	for (uint16_t i = 0; i < n; i++)
		put16(infos[i]);
}

static void take_export(uint32_t what)
{
	assert_int_equal(take_reply(what, 3), 12);
	assert_int_equal(cursor_be16(&out), 0);
	assert_int_equal(cursor_be64(&out), export.n_bytes);
	assert_int_equal(cursor_be16(&out), export.flags);
}

static void take_block_size(uint32_t what)
{
	assert_int_equal(take_reply(what, 3), 14);
	assert_int_equal(cursor_be16(&out), 3);
	assert_int_equal(cursor_be32(&out), 1);
	assert_int_equal(cursor_be32(&out), 4096);
	assert_int_equal(cursor_be32(&out), 32 << 20);
}

static void test_go_in_any_pieces(void **state)
{
	const uint16_t infos[] = {1, 2, 3, 3, 77};

	for (size_t n_piece = 1; n_piece < 60; n_piece++) {
		begin(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
		option(8, 0);
		put_go(7, "s1-lun0", infos, ARRAY_SIZE(infos));
		feed_as(&export, n_piece);
		assert_int_equal(h.stage, NBD_STAGE_REQUESTS);
		assert_true(h.structured);
		assert_int_equal(take_reply(8, 1), 0);
		take_export(7);
		assert_int_equal(take_reply(7, 3), 2 + 7);
		assert_int_equal(cursor_be16(&out), 1);
		assert_memory_equal(cursor_bytes(&out, 7), "s1-lun0", 7);
		assert_int_equal(take_reply(7, 3), 2 + 11);
		assert_int_equal(cursor_be16(&out), 2);
		assert_memory_equal(cursor_bytes(&out, 11), "iqn.x lun 0", 11);
		take_block_size(7);
		assert_int_equal(take_reply(7, 1), 0);
		assert_int_equal(out.n_left, 0);
	}
}

static void test_info_does_not_begin(void **state)
{
	begin(NBD_FIXED_NEWSTYLE);
	put_go(6, "", NULL, 0);
	feed();
	assert_int_equal(h.stage, NBD_STAGE_OPTIONS);
	take_export(6);
	take_block_size(6);
	assert_int_equal(take_reply(6, 1), 0);
}

static void test_export_name(void **state)
{
	for (int no_zeroes = 0; no_zeroes < 2; no_zeroes++) {
		begin(NBD_FIXED_NEWSTYLE | (no_zeroes ? NBD_NO_ZEROES : 0));
		option(1, 7);
		put("s1-lun0", 7);
		feed();
		assert_int_equal(h.stage, NBD_STAGE_REQUESTS);
		assert_int_equal(cursor_be64(&out), export.n_bytes);
		assert_int_equal(cursor_be16(&out), export.flags);
		assert_int_equal(out.n_left, no_zeroes ? 0 : 124);
	}
	begin(NBD_FIXED_NEWSTYLE);
	option(1, 5);
	put("other", 5);
	feed();
	assert_int_equal(h.stage, NBD_STAGE_END);
	assert_int_equal(h.n_out, 0);
}

static void test_list(void **state)
{
	begin(NBD_FIXED_NEWSTYLE);
	option(3, 0);
	feed();
	assert_int_equal(take_reply(3, 2), 4 + 7 + 11);
	assert_int_equal(cursor_be32(&out), 7);
	assert_memory_equal(cursor_bytes(&out, 18), "s1-lun0iqn.x lun 0", 18);
	assert_int_equal(take_reply(3, 1), 0);
	assert_int_equal(out.n_left, 0);
}

static void put_context(uint32_t what, const char *query)
{
	const uint32_t n = (uint32_t)strlen(query);

	option(what, 4 + 4 + 4 + n);
	put32(0);
	put32(1);
	put32(n);
	put(query, n);
}

static void test_contexts(void **state)
{
	begin(NBD_FIXED_NEWSTYLE);
	put_context(10, "base:allocation");
	feed();
	refused(10, 0x80000003); /* before structured replies */
	h.n_out = 0;
	option(8, 0);
	put_context(10, "base:allocation");
	feed();
	assert_int_equal(take_reply(8, 1), 0);
	assert_int_equal(take_reply(10, 4), 4 + 15);
	assert_int_equal(cursor_be32(&out), NBD_ALLOCATION_ID);
	assert_memory_equal(cursor_bytes(&out, 15), "base:allocation", 15);
	assert_int_equal(take_reply(10, 1), 0);
	assert_true(h.allocation);
	/* A later choice replaces the one before; a wildcard chooses nothing. */
	h.n_out = 0;
	put_context(10, "base:");
	feed();
	assert_int_equal(take_reply(10, 1), 0);
	assert_false(h.allocation);
	h.n_out = 0;
	put_context(9, "base:");
	feed();
	assert_int_equal(take_reply(9, 4), 4 + 15);
	cursor_skip(&out, 19);
	assert_int_equal(take_reply(9, 1), 0);
	assert_false(h.allocation);
}

static void test_refusals(void **state)
{
	const struct nbd_export closing = {
		.name = "s1-lun0", .description = "", .is_closing = true};

	begin(NBD_FIXED_NEWSTYLE);
	put_go(7, "other", NULL, 0);
	feed();
	refused(7, 0x80000006);
	h.n_out = 0;
	put_go(7, "", NULL, 0);
	feed_as(&closing, n_in);
	refused(7, 0x80000007);
	h.n_out = 0;
	option(5, 0);
	feed();
	refused(5, 0x80000001);
	h.n_out = 0;
	option(99, 3);
	put("abc", 3);
	feed();
	refused(99, 0x80000001);
	h.n_out = 0;
	option(7, 4); /* a name that is longer than the option */
	put32(1000);
	feed();
	refused(7, 0x80000003);
	h.n_out = 0;
	option(8, 1);
	put("x", 1);
	feed();
	refused(8, 0x80000003);
	assert_int_equal(h.stage, NBD_STAGE_OPTIONS);
}

/* Its data is passed over, and the next option is understood. */
static void test_option_too_long(void **state)
{
	begin(NBD_FIXED_NEWSTYLE);
	option(7, NBD_OPTION_DATA_MAX + 1);
	memset(in + n_in, 'x', NBD_OPTION_DATA_MAX + 1);
	n_in += NBD_OPTION_DATA_MAX + 1;
	option(2, 0);
	feed_as(&export, 1000);
	cursor_skip(&out, 0);
	cursor_skip(&out, take_reply(7, 0x80000009));
	assert_int_equal(take_reply(2, 1), 0);
	assert_int_equal(h.stage, NBD_STAGE_END);
}

static void test_ends(void **state)
{
	static const uint32_t bad_flags[] = {0, NBD_NO_ZEROES, NBD_FIXED_NEWSTYLE | 4};

	for (size_t i = 0; i < ARRAY_SIZE(bad_flags); i++) {
		begin(bad_flags[i]);
		feed();
		assert_int_equal(h.stage, NBD_STAGE_END);
	}
	begin(NBD_FIXED_NEWSTYLE);
	put("no magic, but long", 16);
	feed();
	assert_int_equal(h.stage, NBD_STAGE_END);
	begin(NBD_FIXED_NEWSTYLE);
	option(7, UINT32_MAX);
	feed();
	assert_int_equal(h.stage, NBD_STAGE_END);
}

/* A client that asks and does not read is not answered beyond the room there is. */
static void test_full_out(void **state)
{
	size_t n;

	begin(NBD_FIXED_NEWSTYLE);
	for (int i = 0; i < 300; i++)
		option(3, 0);
	n = nbd_handshake_feed(&h, &export, in, n_in);
	assert_true(n < n_in);
	assert_true(h.n_out <= NBD_OUT_ROOM);
	while (h.stage < NBD_STAGE_REQUESTS) { /* nor for ever */
		h.n_out = 0;
		n += nbd_handshake_feed(&h, &export, in + n, n_in - n);
	}
	assert_int_equal(h.stage, NBD_STAGE_END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_go_in_any_pieces), cmocka_unit_test(test_info_does_not_begin),
		cmocka_unit_test(test_export_name),      cmocka_unit_test(test_list),
		cmocka_unit_test(test_contexts),         cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_option_too_long),  cmocka_unit_test(test_ends),
		cmocka_unit_test(test_full_out),
	};

	return cmocka_run_group_tests_name("device/nbd-handshake", tests, NULL, NULL);
}
