/* SPDX-License-Identifier: MIT */
/*
 * The value of TargetAddress
 */
#include "initiator/portal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* All of the @n bytes are one decimal number of at most 16 bits. */
static bool parse_u16(const char *s, size_t n, uint16_t *ret)
{
	uint32_t v = 0;

	if (n == 0 || n > 5)
		return false;
	for (size_t k = 0; k < n; k++) {
		if (!is_digit(s[k]))
			return false;
		v = v * 10 + (uint32_t)(s[k] - '0');
	}
	if (v > UINT16_MAX)
		return false;
	*ret = (uint16_t)v;
	return true;
}

/* IPv6 in text, with or without %scope. */
static bool is_ipv6(const char *s, size_t n)
{
	const char *percent = memchr(s, '%', n);
	size_t n_addr = percent ? (size_t)(percent - s) : n;
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (n_addr >= sizeof(text))
		return false;
	memcpy(text, s, n_addr);
	text[n_addr] = '\0';
	if (strlen(text) != n_addr || inet_pton(AF_INET6, text, &addr) != 1)
		return false;
	if (!percent)
		return true;
	if (n - n_addr < 2)
		return false;
	for (size_t k = n_addr + 1; k < n; k++)
		if (!is_alnum(s[k]) && !strchr("._-", s[k]))
			return false;
	return true;
}

/* A DNS name or an IPv4 address: letters, digits, and what stands between them. */
static bool is_host(const char *s, size_t n)
{
	if (n == 0 || !is_alnum(s[0]))
		return false;
	for (size_t k = 0; k < n; k++)
		if (!is_alnum(s[k]) && s[k] != '.' && s[k] != '-' && s[k] != '_')
			return false;
	return true;
}

static bool split_host(const char *s, size_t n, const char **ret_host, size_t *ret_n,
		       const char **ret_rest)
{
	const char *end = s + n, *close, *colon;

	if (n > 0 && s[0] == '[') {
		close = memchr(s, ']', n);
		if (!close || !is_ipv6(s + 1, (size_t)(close - s - 1)))
			return false;
		*ret_host = s + 1;
		*ret_n = (size_t)(close - s - 1);
		*ret_rest = close + 1;
		return true;
	}
	*ret_host = s;
	if (is_ipv6(s, n)) {
		*ret_n = n;
		*ret_rest = end;
		return true;
	}
	/* Written out in full without brackets, what comes behind it can only be the port. */
	colon = memrchr(s, ':', n);
	if (colon && is_ipv6(s, (size_t)(colon - s))) {
		*ret_n = (size_t)(colon - s);
		*ret_rest = colon;
		return true;
	}
	colon = memchr(s, ':', n);
	*ret_rest = colon ? colon : end;
	*ret_n = (size_t)(*ret_rest - s);
	return is_host(s, *ret_n);
}

int portal_parse(struct portal *ret, const char *s, size_t n)
{
	struct portal p = {.port = PORTAL_DEFAULT_PORT};
	const char *comma = n > 0 ? memchr(s, ',', n) : NULL;
	const char *end = comma ? comma : s + n;
	const char *host, *rest;
	size_t n_host;

	if (comma) {
		if (!parse_u16(comma + 1, (size_t)(s + n - comma - 1), &p.tpgt))
			return -EBADMSG;
		p.has_tpgt = true;
	}
	if (!split_host(s, (size_t)(end - s), &host, &n_host, &rest) || n_host > PORTAL_HOST_MAX)
		return -EBADMSG;
	if (rest < end && (*rest != ':' || !parse_u16(rest + 1, (size_t)(end - rest - 1), &p.port)))
		return -EBADMSG;
	if (p.port == 0)
		return -EBADMSG;
	memcpy(p.host, host, n_host);
	*ret = p;
	return 0;
}
