/* SPDX-License-Identifier: MIT */
/*
 * The vectors of RFC 7143 for CRC32C. Built twice: with ISA-L, and with the table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "iscsi/internal.h"

struct vector {
	const char *name;
	uint8_t bytes[48];
	size_t n;
	uint8_t wire[4]; /* as the digest is sent */
};

static struct vector vectors[] = {
	{.name = "32 bytes of zeroes", .n = 32, .wire = {0xaa, 0x36, 0x91, 0x8a}},
	{.name = "32 bytes of ones", .n = 32, .wire = {0x43, 0xab, 0xa8, 0x62}},
	{.name = "32 bytes counting up", .n = 32, .wire = {0x4e, 0x79, 0xdd, 0x46}},
	{.name = "32 bytes counting down", .n = 32, .wire = {0x5c, 0xdb, 0x3f, 0x11}},
	{.name = "a SCSI Read (10) command",
	 .bytes = {0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
		   0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00,
		   0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00, 0x00, 0x00,
		   0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
	 .n = 48,
	 .wire = {0x56, 0x3a, 0x96, 0xd9}},
};

static int fill(void **state)
{
	for (int i = 0; i < 32; i++) {
		vectors[1].bytes[i] = 0xff;
		vectors[2].bytes[i] = (uint8_t)i;
		vectors[3].bytes[i] = (uint8_t)(31 - i);
	}
	return 0;
}

static void digest_rfc_vectors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		uint32_t crc = digest_crc32c(0, v->bytes, v->n);
		uint8_t wire[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16),
				   (uint8_t)(crc >> 24)};

		assert_memory_equal(wire, v->wire, 4);
	}
}

/* A segment's digest goes on over any cut, also an empty one. */
static void digest_in_parts_is_the_same(void **state)
{
	const struct vector *v = &vectors[4];
	uint32_t whole = digest_crc32c(0, v->bytes, v->n);

	for (size_t a = 0; a <= v->n; a++) {
		for (size_t b = a; b <= v->n; b++) {
			uint32_t crc = digest_crc32c(0, v->bytes, a);

			crc = digest_crc32c(crc, v->bytes + a, b - a);
			crc = digest_crc32c(crc, v->bytes + b, v->n - b);
			assert_int_equal(crc, whole);
		}
	}
}

/* Bit by bit from the polynomial, at lengths and alignments that vector code may get wrong. */
static uint32_t by_the_book(const uint8_t *p, size_t n)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	return ~crc;
}

static void digest_any_length_and_alignment(void **state)
{
	static uint8_t bytes[2100];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 31 + (i >> 5));
	for (size_t at = 0; at < 16; at++) {
		for (size_t n = 0; n < 300; n++)
			assert_int_equal(digest_crc32c(0, bytes + at, n),
					 by_the_book(bytes + at, n));
		assert_int_equal(digest_crc32c(0, bytes + at, 2048), by_the_book(bytes + at, 2048));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digest_rfc_vectors),
		cmocka_unit_test(digest_in_parts_is_the_same),
		cmocka_unit_test(digest_any_length_and_alignment),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
