/* SPDX-License-Identifier: MIT */
/*
 * Logical unit numbers
 *
 * The two uppermost bits choose the addressing method of the first level. Only
 * the forms that targets really use are turned into plain numbers; all others
 * are kept as the 64 bits they are.
 */
#include "scsi/lun.h"

#include <errno.h>
#include <stdio.h>

#include "base/cursor.h"

#define EXTENDED_WELL_KNOWN    0x1
#define EXTENDED_FLAT          0x2
#define EXTENDED_NOT_SPECIFIED 0xf

struct lun_parts lun_split(uint64_t lun)
{
	struct lun_parts l = {0};
	unsigned n_bits = 16; /* of the first level */

	l.method = (enum lun_method)(lun >> 62);
	switch (l.method) {
	case LUN_PERIPHERAL:
		l.bus = lun >> 56 & 0x3f;
		l.number = lun >> 48 & 0xff;
		break;
	case LUN_FLAT: l.number = lun >> 48 & 0x3fff; break;
	case LUN_LOGICAL:
		l.target = lun >> 56 & 0x3f;
		l.bus = lun >> 53 & 0x07;
		l.number = lun >> 48 & 0x1f;
		break;
	case LUN_EXTENDED:
		/* one byte of method, then 1, 3, 5 or 7 bytes of address */
		n_bits = 16 * ((unsigned)(lun >> 60 & 3) + 1);
		l.extended = lun >> 56 & 0x0f;
		l.number = (lun & UINT64_C(0x00ffffffffffffff)) >> (64 - n_bits);
		break;
	}
	l.single_level = n_bits == 64 || (lun & (UINT64_MAX >> n_bits)) == 0;
	return l;
}

uint64_t lun_from_number(uint32_t number)
{
	if (number < 0x100)
		return (uint64_t)number << 48;
	if (number < 0x4000)
		return UINT64_C(0x4000) << 48 | (uint64_t)number << 48;
	if (number < 0x1000000)
		return UINT64_C(0xd2) << 56 | (uint64_t)number << 32;
	return UINT64_MAX;
}

bool lun_to_number(uint64_t lun, uint32_t *ret_number)
{
	struct lun_parts l = lun_split(lun);

	if (!l.single_level || l.bus != 0 || l.method == LUN_LOGICAL)
		return false;
	if (l.method == LUN_EXTENDED && (l.extended != EXTENDED_FLAT || l.number > UINT32_MAX))
		return false;
	*ret_number = (uint32_t)l.number;
	return true;
}

uint64_t lun_from_argument(uint64_t value)
{
	return value < 0x100 ? value << 48 : value;
}

bool lun_is_well_known(uint64_t lun)
{
	struct lun_parts l = lun_split(lun);

	return l.method == LUN_EXTENDED &&
	       (l.extended == EXTENDED_WELL_KNOWN || l.extended == EXTENDED_NOT_SPECIFIED);
}

uint64_t lun_get(const uint8_t bytes[8])
{
	return get_be64(bytes);
}

void lun_put(uint8_t bytes[8], uint64_t lun)
{
	put_be64(bytes, lun);
}

static char *hex16(char *at, uint64_t v)
{
	static const char digit[16] = "0123456789abcdef";

	for (int shift = 60; shift >= 0; shift -= 4)
		*at++ = digit[v >> shift & 0xf];
	*at = '\0';
	return at;
}

void lun_text(uint64_t lun, char buf[LUN_TEXT_BYTES])
{
	hex16(buf, lun);
}

void lun_name(uint64_t lun, char buf[LUN_TEXT_BYTES])
{
	uint32_t number;

	if (lun_to_number(lun, &number)) {
		snprintf(buf, LUN_TEXT_BYTES, "%u", number);
		return;
	}
	buf[0] = '0';
	buf[1] = 'x';
	hex16(buf + 2, lun);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int lun_parse(const char *text, uint64_t *ret_lun)
{
	uint64_t v = 0;
	size_t n = 0;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	for (; text[n]; n++) {
		int digit = hex_value(text[n]);

		if (digit < 0 || n == 16)
			return -EINVAL;
		v = v << 4 | (uint64_t)digit;
	}
	if (n == 0)
		return -EINVAL;
	*ret_lun = lun_from_argument(v);
	return 0;
}

int report_luns_decode(uint64_t *v, size_t n_max, size_t *ret_n, uint32_t *ret_list_bytes,
		       const uint8_t *p, size_t n)
{
	uint32_t n_list;
	struct cursor c;
	size_t n_luns = 0;

	if (n < 8)
		return -EBADMSG;
	n_list = get_be32(p);
	c = cursor_of(p + 8, n_list < n - 8 ? n_list : n - 8);
	while (c.n_left >= 8 && n_luns < n_max)
		v[n_luns++] = cursor_be64(&c);
	*ret_n = n_luns;
	*ret_list_bytes = n_list;
	return 0;
}
