/* SPDX-License-Identifier: MIT */
#include "service/ids.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void id_text(const struct unique_id *id, char buf[ID_TEXT_BYTES])
{
	snprintf(buf, ID_TEXT_BYTES, "%" PRIx64 "-%" PRIx64, id->adapter, id->specific);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One number up to @end or the terminator; NULL when it is not one. */
static const char *hex_number(const char *at, char end, uint64_t *ret)
{
	uint64_t v = 0;
	unsigned n = 0;

	for (; hex_digit(*at) >= 0; at++, n++) {
		if (v >> 60)
			return NULL;
		v = v << 4 | (uint64_t)hex_digit(*at);
	}
	if (n == 0 || *at != end)
		return NULL;
	*ret = v;
	return at;
}

int id_parse(const char *text, struct unique_id *ret)
{
	struct unique_id id;

	text = hex_number(text, '-', &id.adapter);
	if (!text || !hex_number(text + 1, '\0', &id.specific))
		return -EINVAL;
	*ret = id;
	return 0;
}

struct unique_id id_of_session(const uint8_t isid[6], uint32_t counter)
{
	uint32_t head = (uint32_t)isid[0] << 24 | (uint32_t)isid[1] << 16 | (uint32_t)isid[2] << 8 |
			isid[3];

	return (struct unique_id){ID_ADAPTER, (uint64_t)head << 32 | counter};
}

struct unique_id id_of_connection(uint32_t counter)
{
	return (struct unique_id){ID_ADAPTER, counter};
}

void isid_make(uint8_t ret[6], uint32_t random24, uint16_t qualifier)
{
	ret[0] = 0x80; /* T = 10b */
	ret[1] = (uint8_t)(random24 >> 16);
	ret[2] = (uint8_t)(random24 >> 8);
	ret[3] = (uint8_t)random24;
	ret[4] = (uint8_t)(qualifier >> 8);
	ret[5] = (uint8_t)qualifier;
}

void isid_text(const uint8_t isid[6], char buf[ISID_TEXT_BYTES])
{
	for (unsigned i = 0; i < 6; i++)
		snprintf(buf + 2 * i, 3, "%02x", isid[i]);
}
