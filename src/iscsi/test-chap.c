/* SPDX-License-Identifier: MIT */
/*
 * CHAP's arithmetic: hashes against vectors that another implementation made, and
 * binary values in both encodings.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "iscsi/chap.h"

/* ---- hashes ------------------------------------------------------------ */

static uint8_t secret2[255], challenge2[1024];

/* By Python's hashlib: hash(bytes([id]) + secret + challenge). */
static const struct {
	uint8_t id;
	const void *secret;
	size_t n_secret;
	const void *challenge;
	size_t n_challenge;
	uint8_t hash;
	const char *due;
} vectors[] = {
#define V0 0x27, "alicesecret12", 13, "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17", 16
	{V0, CHAP_MD5, "0xbe3ccbf9a90615ea569e21a562d0031f"},
	{V0, CHAP_SHA1, "0x298fd2daa2dc2651ba86050ab547d23352123588"},
	{V0, CHAP_SHA256, "0x580d0cf8cb0d799d716ab53a767e32598f4bf80e7e5c37d01a9a7a3316750f66"},
	{V0, CHAP_SHA3_256, "0x848298ed91aefdf2d93d956152c36980b3aa917df5d6acd501c3a499d11c5f24"},
#define V1 0, "x", 1, "\377", 1
	{V1, CHAP_MD5, "0xa12fc9da38ab147b1f0b73031bf62747"},
	{V1, CHAP_SHA1, "0x9cfddc924105e9dabac2677e236afb680cfe2e2f"},
	{V1, CHAP_SHA256, "0x7ecca68a3c86161f541ac27c1c7461a4357d480053d0d30f210ec7d5cee38e3c"},
	{V1, CHAP_SHA3_256, "0xd391a7a8850ce5a1aac9a6ff899de0c75d2890e7f071a8c5bf9a49787b44ba74"},
#define V2 255, secret2, sizeof(secret2), challenge2, sizeof(challenge2)
	{V2, CHAP_MD5, "0xcac8a3429e743c16b4fa1bcc92ec0986"},
	{V2, CHAP_SHA1, "0xb7036c78b55931b7b56e2015250ff2c8e70ac7ce"},
	{V2, CHAP_SHA256, "0x0caf4c557d83dd8b0a09cef570248ecde34ea7724290d0cff63ddbd89acd4faa"},
	{V2, CHAP_SHA3_256, "0x4181316f8368d60b76e5be0b1d978aab7aae8c731cba4fde759a0ee89d28a38d"},
#define V3 1, "\200\0\1 secret", 10, "challenge", 9
	{V3, CHAP_MD5, "0x22ac3f3d1ee16478eae30494e0f91009"},
	{V3, CHAP_SHA1, "0xd4de1cb442452a8d8bf5336c262567630cab4df8"},
	{V3, CHAP_SHA256, "0x47cb7023a65b5fd5e59ab006a8b2a01731e982d1ccdc0c04b5b5a6a1b6af03c0"},
	{V3, CHAP_SHA3_256, "0xe040eff14308281d5770c314c216ba176238f7ff484dc9145035232a8a3b0d02"},
};

static void hash_vectors(void **state)
{
	for (size_t i = 0; i < sizeof(secret2); i++)
		secret2[i] = (uint8_t)(i + 1);
	for (size_t i = 0; i < sizeof(challenge2); i++)
		challenge2[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		uint8_t due[CHAP_HASH_MAX], got[CHAP_HASH_MAX];
		size_t n;

		assert_int_equal(chap_decode(vectors[i].due, due, sizeof(due), &n), 0);
		assert_int_equal(chap_hash_size(vectors[i].hash), n);
		assert_int_equal(chap_response(vectors[i].hash, vectors[i].id, vectors[i].secret,
					       vectors[i].n_secret, vectors[i].challenge,
					       vectors[i].n_challenge, got),
				 0);
		assert_memory_equal(got, due, n);
	}
}

static void hash_numbers(void **state)
{
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(chap_hash_size((uint8_t)i) != 0, i >= 5 && i <= 8);
}

/* ---- binary values ----------------------------------------------------- */

static void decode_good(void **state)
{
	static const struct {
		const char *value;
		size_t n;
		const char *due;
	} good[] = {
		{"0x00", 1, "\0"},
		{"0xff", 1, "\377"},
		{"0XfFeE0a", 3, "\377\356\12"},
		{"0b/w==", 1, "\377"},
		{"0bAA==", 1, "\0"},
		{"0B+/A=", 2, "\373\360"},
		{"0bZm9v", 3, "foo"},
		{"0bZm9vYg==", 4, "foob"},
		{"0bZm9vYmE=", 5, "fooba"},
		{"0bZm9vYmFy", 6, "foobar"},
		{"0x000102030405060708090a0b0c0d0e0f10", 17,
		 "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint8_t got[32];
		size_t n;

		assert_int_equal(chap_decode(good[i].value, got, good[i].n, &n), 0);
		assert_int_equal(n, good[i].n);
		assert_memory_equal(got, good[i].due, n);
		/* To the byte. */
		assert_int_equal(chap_decode(good[i].value, got, good[i].n - 1, &n), -EMSGSIZE);
	}
}

static void decode_bad(void **state)
{
	static const char *const bad[] = {
		"",       "0",        "0x",     "0b",         "x00",
		"b/w==",  "1x00",     "00",     "12",         "0x0",
		"0x123",  "0x0g",     "0x 1",   "0x00 ",      "-0x00",
		"0y00",   "0b=",      "0b==",   "0b===",      "0b====",
		"0bA",    "0bAA",     "0bAA=",  "0bAAA",      "0bAB==",
		"0bAAB=", "0bA===",   "0bAA=A", "0bAA==AA==", "0bAAA=A",
		"0bAA-_", "0bZm9v\n", "0bZm 9", "0x\xff\xff", "0b\xff\xff\xff\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint8_t got[32];
		size_t n = 77;

		if (chap_decode(bad[i], got, sizeof(got), &n) != -EBADMSG)
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(n, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_vectors),
		cmocka_unit_test(hash_numbers),
		cmocka_unit_test(decode_good),
		cmocka_unit_test(decode_bad),
	};

	return cmocka_run_group_tests_name("chap", tests, NULL, NULL);
}
