/* SPDX-License-Identifier: MIT */
/*
 * The value of TargetAddress (RFC 7143 §13.8)
 *
 *	host[:port][,portal group tag]
 *
 * host is a DNS name, an IPv4 address, or an IPv6 address in brackets. Used for
 * discovery and for redirects; pure text, nobody is asked.
 */
#ifndef INITIATOR_PORTAL_H
#define INITIATOR_PORTAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORTAL_HOST_MAX     255 /* bytes without the terminator */
#define PORTAL_DEFAULT_PORT 3260

struct portal {
	char host[PORTAL_HOST_MAX + 1]; /* IPv6 without brackets */
	uint16_t port;                  /* PORTAL_DEFAULT_PORT when none is given */
	uint16_t tpgt;                  /* 0 when none is given */
	bool has_tpgt;
};

/**
 * portal_parse() - take a TargetAddress value apart
 * @s, @n:  the value, without terminator; need not end in NUL
 *
 * An IPv6 address without brackets and without port is understood too, because
 * targets write it. Port 0 is refused.
 *
 * Return: 0 or -EBADMSG; *@ret is not touched on failure.
 */
int portal_parse(struct portal *ret, const char *s, size_t n);

#endif
