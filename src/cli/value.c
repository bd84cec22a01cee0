/* SPDX-License-Identifier: MIT */
#include "cli/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Locale and sign play no part, unlike with isxdigit(). */
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

static size_t hex_span(const char *s)
{
	size_t n = 0;

	while (hex_digit(s[n]) >= 0)
		n++;
	return n;
}

static bool has_0x(const char *s)
{
	return s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
}

static const char *skip_0x(const char *s)
{
	return has_0x(s) ? s + 2 : s;
}

bool value_is_any(const char *arg)
{
	return arg[0] == '*';
}

char *value_text(char *arg)
{
	return value_is_any(arg) ? NULL : arg;
}

ULONG value_number(const char *arg)
{
	long long v;

	if (has_0x(arg)) {
		unsigned long long u;

		arg += 2;
		if (hex_digit(*arg) < 0)
			return 0;
		errno = 0;
		u = strtoull(arg, NULL, 16);
		return errno || u > UINT32_MAX ? UINT32_MAX : (ULONG)u;
	}
	v = strtoll(arg, NULL, 10);
	if (v > UINT32_MAX)
		return UINT32_MAX;
	if (v < INT32_MIN)
		v = INT32_MIN;
	return (ULONG)v;
}

ULONG value_number_or(const char *arg, ULONG any)
{
	return value_is_any(arg) ? any : value_number(arg);
}

bool value_bool(const char *arg, bool standard)
{
	if (value_is_any(arg))
		return standard;
	return arg[0] == 'T' || arg[0] == 't';
}

/* The digits at *@s, which is moved behind them. */
static bool hex64_take(const char **s, ULONGLONG *ret)
{
	size_t n;

	*s = skip_0x(*s);
	n = hex_span(*s);
	if (n < 1 || n > 16)
		return false;
	*ret = 0;
	for (; n > 0; n--)
		*ret = *ret << 4 | (ULONGLONG)hex_digit(*(*s)++);
	return true;
}

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t\r\n");
}

bool value_id(const char *arg, ISCSI_UNIQUE_SESSION_ID *ret)
{
	ISCSI_UNIQUE_SESSION_ID id;

	arg = skip_blanks(arg);
	if (!hex64_take(&arg, &id.AdapterUnique) || *arg++ != '-' ||
	    !hex64_take(&arg, &id.AdapterSpecific) || *skip_blanks(arg))
		return false;
	*ret = id;
	return true;
}

bool value_lun(const char *arg, ULONGLONG *ret)
{
	ULONGLONG lun;

	if (!hex64_take(&arg, &lun) || *arg)
		return false;
	*ret = lun;
	return true;
}

bool value_mapping_lun(const char *arg, ULONGLONG *ret)
{
	return strlen(arg) == 18 && has_0x(arg) && value_lun(arg, ret);
}

bool value_socket(const char *arg, USHORT *ret)
{
	ULONG v = value_number(arg);

	if (v < 1 || v > UINT16_MAX)
		return false;
	*ret = (USHORT)v;
	return true;
}

static void hex_decode(const char *s, size_t n_bytes, UCHAR *dst)
{
	for (size_t i = 0; i < n_bytes; i++, s += 2)
		dst[i] = (UCHAR)(hex_digit(s[0]) << 4 | hex_digit(s[1]));
}

int value_secret(char *arg, struct secret *ret)
{
	size_t n_arg = strlen(arg);
	size_t n_digits = has_0x(arg) ? hex_span(arg + 2) : 0;
	bool is_hex = n_digits > 0 && arg[2 + n_digits] == '\0';
	size_t n = is_hex ? n_digits / 2 : n_arg;
	UCHAR *p = NULL;
	int r = 0;

	if ((is_hex && n_digits % 2) || n > UINT16_MAX) {
		r = -EINVAL;
	} else {
		p = malloc(n + 1);
		if (!p)
			r = -ENOMEM;
		else if (is_hex)
			hex_decode(arg + 2, n, p);
		else
			memcpy(p, arg, n);
	}
	explicit_bzero(arg, n_arg);
	if (r)
		return r;
	ret->p = p;
	ret->n = (ULONG)n;
	return 0;
}

void secret_clear(struct secret *s)
{
	if (s->p)
		explicit_bzero(s->p, s->n);
	free(s->p);
	s->p = NULL;
	s->n = 0;
}
