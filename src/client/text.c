/* SPDX-License-Identifier: MIT */
/*
 * Text of both forms, ids and bytes, as the service has them
 */
#include "client/client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/name.h"

/* Units before the terminator, at most @n_max; more than that: -1. */
static long units_read(enum form form, const uint8_t *p, size_t n_max, uint16_t units[TEXT_MAX])
{
	if (form == FORM_A) {
		size_t n = strnlen((const char *)p, n_max + 1);

		return n > n_max ? -1 : (long)n;
	}
	for (size_t i = 0; i <= n_max; i++) {
		uint16_t unit;

		memcpy(&unit, p + i * sizeof(unit), sizeof(unit));
		if (unit == 0)
			return (long)i;
		if (i < n_max)
			units[i] = unit;
	}
	return -1;
}

ISDSC_STATUS text_read(enum form form, const void *p, size_t n_max, const char *what,
		       json_t **ret_text)
{
	uint16_t units[TEXT_MAX];
	char utf8[3 * TEXT_MAX];
	const char *src = p;
	long n = units_read(form, p, n_max, units);
	json_t *text;

	if (n < 0)
		return detail_fail(ERROR_INVALID_PARAMETER,
				   "%s: longer than %zu characters, or without its end", what,
				   n_max);
	if (form == FORM_W) {
		n = utf16_to_utf8(units, (size_t)n, utf8, sizeof(utf8));
		src = utf8;
	} else if (!utf8_valid(src, (size_t)n)) {
		n = -EILSEQ;
	}
	if (n < 0)
		return detail_fail(ERROR_INVALID_PARAMETER, "%s: not %s", what,
				   form == FORM_W ? "UTF-16" : "UTF-8");
	text = json_stringn(src, (size_t)n);
	if (!text)
		return detail_fail(ERROR_NOT_ENOUGH_MEMORY, "No memory for %s", what);
	*ret_text = text;
	return ERROR_SUCCESS;
}

long text_write(enum form form, void *dst, size_t n_room, const char *utf8)
{
	size_t n = strlen(utf8);
	uint16_t units[TEXT_MAX];
	long n_units = (long)n;

	if (form == FORM_W)
		n_units = utf8_to_utf16(utf8, n, units, TEXT_MAX);
	else if (!utf8_valid(utf8, n))
		return -1;
	if (n_units < 0 || n_units >= TEXT_MAX || (size_t)n_units >= n_room)
		return -1;
	if (!dst)
		return n_units + 1;
	if (form == FORM_W) {
		units[n_units] = 0;
		memcpy(dst, units, (size_t)(n_units + 1) * sizeof(units[0]));
	} else {
		memcpy(dst, utf8, n + 1);
	}
	return n_units + 1;
}

void id_text(const void *id, char buf[ID_TEXT_BYTES])
{
	uint64_t half[2];

	memcpy(half, id, sizeof(half));
	snprintf(buf, ID_TEXT_BYTES, "%llx-%llx", (unsigned long long)half[0],
		 (unsigned long long)half[1]);
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* 1 to 16 digits; moves @text behind them. */
static bool half_parse(const char **text, uint64_t *ret_half)
{
	const char *start = *text;
	uint64_t half = 0;

	for (; digit_of(**text) >= 0; ++*text)
		half = half << 4 | (uint64_t)digit_of(**text);
	*ret_half = half;
	return *text > start && *text - start <= 16;
}

bool id_parse(const char *text, ISCSI_UNIQUE_SESSION_ID *ret_id)
{
	uint64_t half[2];

	if (!half_parse(&text, &half[0]) || *text++ != '-' || !half_parse(&text, &half[1]) || *text)
		return false;
	ret_id->AdapterUnique = half[0];
	ret_id->AdapterSpecific = half[1];
	return true;
}

uint64_t lun_number(const uint8_t bytes[8])
{
	uint64_t lun = 0;

	for (size_t i = 0; i < 8; i++)
		lun |= (uint64_t)bytes[i] << 8 * i;
	return lun;
}

void lun_bytes(uint64_t lun, uint8_t ret_bytes[8])
{
	for (size_t i = 0; i < 8; i++)
		ret_bytes[i] = (uint8_t)(lun >> 8 * i);
}

json_t *hex_text(const void *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = bytes;
	json_t *text;
	char *hex = malloc(2 * n + 1);

	if (!hex)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		hex[2 * i] = digits[p[i] >> 4];
		hex[2 * i + 1] = digits[p[i] & 0xf];
	}
	/* so the parser's library makes one copy, which it either keeps or does not make */
	text = json_string("");
	if (text && json_string_setn(text, hex, 2 * n) < 0) {
		json_decref(text);
		text = NULL;
	}
	explicit_bzero(hex, 2 * n);
	free(hex);
	return text;
}

long hex_parse(const char *text, void *dst, size_t n_room)
{
	size_t n_digits = strlen(text);
	uint8_t *p = dst;

	if (n_digits % 2)
		return -1;
	for (size_t i = 0; i < n_digits / 2; i++) {
		int high = digit_of(text[2 * i]);
		int low = digit_of(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		if (i < n_room)
			p[i] = (uint8_t)(high << 4 | low);
	}
	return (long)(n_digits / 2);
}
