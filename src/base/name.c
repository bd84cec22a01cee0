/* SPDX-License-Identifier: MIT */
/*
 * iSCSI names and text encodings
 *
 * Validity is checked here once, at every border where a name comes in: the
 * API, the store, the network.
 */
#include "base/name.h"

#include <errno.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool has_prefix(const char *s, const char *prefix)
{
	for (; *prefix; s++, prefix++)
		if (lower(*s) != *prefix)
			return false;
	return true;
}

static bool all_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_hex(s[i]))
			return false;
	return s[n] == '\0';
}

static bool chars_valid(const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c >= 0x80)
			continue;
		if (!is_digit(*s) && !(lower(*s) >= 'a' && lower(*s) <= 'z') && *s != '-' &&
		    *s != '.' && *s != ':')
			return false;
	}
	return true;
}

/* iqn.YYYY-MM.reversed.domain[:anything] */
static bool iqn_valid(const char *s)
{
	s += strlen("iqn.");
	for (int i = 0; i < 7; i++)
		if (i == 4 ? s[i] != '-' : !is_digit(s[i]))
			return false;
	return s[7] == '.' && s[8] && s[8] != ':' && s[8] != '.';
}

bool iscsi_name_valid(const char *name)
{
	size_t n = strnlen(name, ISCSI_NAME_MAX + 1);

	if (n > ISCSI_NAME_MAX || !utf8_valid(name, n))
		return false;
	if (has_prefix(name, "iqn."))
		return iqn_valid(name) && chars_valid(name);
	if (has_prefix(name, "eui."))
		return all_hex(name + 4, n - 4) && n - 4 == 16;
	if (has_prefix(name, "naa."))
		return all_hex(name + 4, n - 4) && (n - 4 == 16 || n - 4 == 32);
	return false;
}

bool iscsi_name_usable(const char *name)
{
	const size_t n = strnlen(name, ISCSI_NAME_MAX + 1);

	if (n > ISCSI_NAME_MAX || n <= strlen("iqn.") || !utf8_valid(name, n))
		return false;
	for (const char *at = name; *at; at++) {
		const unsigned char c = (unsigned char)*at;

		if (c <= ' ' || c == 0x7f || strchr("*/\\\"'", c))
			return false;
	}
	return has_prefix(name, "iqn.") || has_prefix(name, "eui.") || has_prefix(name, "naa.");
}

bool iscsi_name_equal(const char *a, const char *b)
{
	for (; lower(*a) == lower(*b); a++, b++)
		if (!*a)
			return true;
	return false;
}

int iscsi_name_order(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return (unsigned char)lower(*a) - (unsigned char)lower(*b);
}

/* Takes one code point; 0 bytes taken means malformed. */
static size_t utf8_next(const unsigned char *s, size_t n, uint32_t *ret_cp)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} form[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

	for (size_t i = 0; i < 4; i++) {
		uint32_t cp;

		if ((s[0] & form[i].mask) != form[i].lead)
			continue;
		if (i + 1 > n)
			return 0;
		cp = s[0] & (unsigned char)~form[i].mask;
		for (size_t k = 1; k <= i; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
			cp = cp << 6 | (s[k] & 0x3f);
		}
		if (cp < form[i].least || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
			return 0;
		*ret_cp = cp;
		return i + 1;
	}
	return 0;
}

bool utf8_valid(const char *s, size_t n)
{
	uint32_t cp;

	while (n > 0) {
		size_t took = utf8_next((const unsigned char *)s, n, &cp);

		if (!took)
			return false;
		s += took;
		n -= took;
	}
	return true;
}

long utf8_to_utf16(const char *src, size_t n_src, uint16_t *dst, size_t n_dst)
{
	const unsigned char *s = (const unsigned char *)src;
	size_t need = 0;
	uint32_t cp;

	for (size_t at = 0, took; at < n_src; at += took) {
		took = utf8_next(s + at, n_src - at, &cp);
		if (!took)
			return -EILSEQ;
		need += cp > 0xffff ? 2 : 1;
	}
	if (!dst || need > n_dst)
		return (long)need;
	for (size_t at = 0; at < n_src;) {
		at += utf8_next(s + at, n_src - at, &cp);
		if (cp > 0xffff) {
			*dst++ = (uint16_t)(0xd800 + ((cp - 0x10000) >> 10));
			*dst++ = (uint16_t)(0xdc00 + ((cp - 0x10000) & 0x3ff));
		} else {
			*dst++ = (uint16_t)cp;
		}
	}
	return (long)need;
}

static size_t utf8_put(char *dst, uint32_t cp)
{
	if (cp < 0x80) {
		dst[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		dst[0] = (char)(0xc0 | cp >> 6);
		dst[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		dst[0] = (char)(0xe0 | cp >> 12);
		dst[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		dst[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	dst[0] = (char)(0xf0 | cp >> 18);
	dst[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	dst[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	dst[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

long utf16_to_utf8(const uint16_t *src, size_t n_src, char *dst, size_t n_dst)
{
	size_t need = 0;

	for (int pass = 0; pass < 2; pass++) {
		size_t at = 0;

		for (size_t i = 0; i < n_src; i++) {
			uint32_t cp = src[i];
			char bytes[4];
			size_t n;

			if (cp >= 0xdc00 && cp <= 0xdfff)
				return -EILSEQ;
			if (cp >= 0xd800 && cp <= 0xdbff) {
				if (i + 1 == n_src || src[i + 1] < 0xdc00 || src[i + 1] > 0xdfff)
					return -EILSEQ;
				cp = 0x10000 + ((cp - 0xd800) << 10) + (src[++i] - 0xdc00u);
			}
			n = utf8_put(bytes, cp);
			if (pass == 1)
				memcpy(dst + at, bytes, n);
			at += n;
		}
		need = at;
		if (!dst || need > n_dst)
			break;
	}
	return (long)need;
}
