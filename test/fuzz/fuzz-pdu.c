/* SPDX-License-Identifier: MIT */
/*
 * Any 48 bytes: what is decoded encodes to the same but for reserved bits, and
 * stays the same from then on.
 */
#include <assert.h>
#include <string.h>

#include "iscsi/pdu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t once[BHS_LEN], twice[BHS_LEN];
	struct pdu a, b;

	for (; size >= BHS_LEN; data += BHS_LEN, size -= BHS_LEN) {
		assert(pdu_name(data[0]));
		if (pdu_decode(&a, data)) {
			assert(strcmp(pdu_name(data[0] & 0x3f), "unknown PDU") == 0);
			continue;
		}
		pdu_encode(once, &a);
		for (int i = 0; i < BHS_LEN; i++)
			assert((once[i] & ~data[i]) == 0); /* no bit comes from nowhere */
		assert(pdu_decode(&b, once) == 0);
		assert(memcmp(&a, &b, sizeof(a)) == 0);
		pdu_encode(twice, &b);
		assert(memcmp(once, twice, BHS_LEN) == 0);
	}
	return 0;
}
