/* SPDX-License-Identifier: MIT */
/*
 * CRC32C, the digest of RFC 7143 §13.1
 *
 * ISA-L does it with the processor's own instructions; where the package was built
 * without it, a table does. Both are checked against the vectors of the RFC.
 */
#include "iscsi/internal.h"

#ifdef HAVE_ISAL

#include <isa-l/crc.h>

uint32_t digest_crc32c(uint32_t crc, const void *bytes, size_t n)
{
	unsigned char *p = (unsigned char *)(uintptr_t)bytes; /* its prototype lacks the const */

	crc = ~crc;
	while (n > 0) {
		int part = n > 1 << 30 ? 1 << 30 : (int)n;

		crc = crc32_iscsi(p, part, crc);
		p += part;
		n -= (size_t)part;
	}
	return ~crc;
}

#else

/* The reflected Castagnoli polynomial, four bits at a time: small, and fast enough for a fallback.
 */
uint32_t digest_crc32c(uint32_t crc, const void *bytes, size_t n)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	const uint8_t *p = bytes;

	crc = ~crc;
	for (; n > 0; n--, p++) {
		crc = table[(crc ^ *p) & 15] ^ crc >> 4;
		crc = table[(crc ^ (uint32_t)*p >> 4) & 15] ^ crc >> 4;
	}
	return ~crc;
}

#endif
