/* SPDX-License-Identifier: MIT */
/*
 * The text of a SendTargets answer
 *
 *	TargetName=name NUL TargetAddress=address NUL TargetAddress=… NUL TargetName=…
 *
 * Some targets write the same name again for each of their portals; those records
 * become one. Names are found again by a hash table, so that a long answer costs
 * no more than its length. Keys that we do not know are passed over.
 */
#include "discovery/sendtargets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "initiator/portal.h"

#define TARGETS_MAX 4096
#define PORTALS_MAX 64
#define TEXT_MAX    (1u << 20)
#define HASH_SIZE   8192 /* a power of two, twice TARGETS_MAX */

struct parser {
	struct discovered found;
	size_t n_room;
	uint16_t hash[HASH_SIZE];     /* index of the target + 1 */
	struct discovered_target *at; /* the record we are in */
};

static void parser_clear(struct parser *p)
{
	discovered_clear(&p->found);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Where the name is in the hash table, or where it belongs. */
static uint16_t *hash_place(struct parser *p, const char *name)
{
	uint32_t h = 2166136261u;

	for (const char *s = name; *s; s++)
		h = (h ^ (unsigned char)lower(*s)) * 16777619u;
	for (;; h++) {
		uint16_t *place = &p->hash[h % HASH_SIZE];

		if (!*place || iscsi_name_equal(p->found.targets[*place - 1].name, name))
			return place;
	}
}

/*
 * Generous about what a name is made of, since the target has to be called as it
 * calls itself; but it must be a printable word.
 */
static bool name_usable(const char *s, size_t n)
{
	if (n == 0 || n > ISCSI_NAME_MAX || !utf8_valid(s, n))
		return false;
	for (size_t k = 0; k < n; k++)
		if ((unsigned char)s[k] <= ' ' || s[k] == 0x7f)
			return false;
	return true;
}

static int take_name(struct parser *p, const char *s, size_t n)
{
	struct discovered_target *more;
	char name[ISCSI_NAME_MAX + 1];
	uint16_t *place;

	if (!name_usable(s, n))
		return -EBADMSG;
	memcpy(name, s, n);
	name[n] = '\0';
	place = hash_place(p, name);
	if (*place) {
		p->at = &p->found.targets[*place - 1];
		return 0;
	}
	if (p->found.n_targets == TARGETS_MAX)
		return -EBADMSG;
	if (p->found.n_targets == p->n_room) {
		size_t n_room = p->n_room ? 2 * p->n_room : 8;

		more = reallocarray(p->found.targets, n_room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		p->found.targets = more;
		p->n_room = n_room;
	}
	p->at = &p->found.targets[p->found.n_targets++];
	*p->at = (struct discovered_target){0};
	memcpy(p->at->name, name, n + 1);
	*place = (uint16_t)p->found.n_targets;
	return 0;
}

static int add_portal(struct discovered_target *t, const char *host, uint16_t port, uint16_t tpgt)
{
	struct discovered_portal *more;

	for (size_t k = 0; k < t->n_portals; k++)
		if (t->portals[k].port == port && t->portals[k].tpgt == tpgt &&
		    strcmp(t->portals[k].address, host) == 0)
			return 0;
	if (t->n_portals == PORTALS_MAX)
		return -EBADMSG;
	/* Room grows with the powers of two. */
	if ((t->n_portals & (t->n_portals - 1)) == 0) {
		more = reallocarray(t->portals, t->n_portals ? 2 * t->n_portals : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		t->portals = more;
	}
	more = &t->portals[t->n_portals];
	if (strlen(host) >= sizeof(more->address))
		return -EBADMSG;
	strcpy(more->address, host);
	more->port = port;
	more->tpgt = tpgt;
	t->n_portals++;
	return 0;
}

static int take_address(struct parser *p, const char *s, size_t n)
{
	struct portal portal;
	int r;

	if (!p->at)
		return -EBADMSG; /* of which target? */
	r = portal_parse(&portal, s, n);
	if (r)
		return r;
	return add_portal(p->at, portal.host, portal.port, portal.tpgt);
}

static bool is_key(const char *s, size_t n, const char *key)
{
	return strlen(key) == n && memcmp(s, key, n) == 0;
}

static int take_pair(struct parser *p, const char *s, size_t n)
{
	const char *equals = memchr(s, '=', n);
	size_t n_key;

	if (!equals || equals == s)
		return -EBADMSG;
	n_key = (size_t)(equals - s);
	if (is_key(s, n_key, "TargetName"))
		return take_name(p, equals + 1, n - n_key - 1);
	if (is_key(s, n_key, "TargetAddress"))
		return take_address(p, equals + 1, n - n_key - 1);
	return 0;
}

/* @host as an address of the result: IPv6 literals lose their brackets. */
static int asked_address(char *buf, size_t n_buf, const char *host)
{
	size_t n = strlen(host);

	if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
		host++;
		n -= 2;
	}
	if (n == 0 || n >= n_buf)
		return -EBADMSG;
	memcpy(buf, host, n);
	buf[n] = '\0';
	return 0;
}

static int fill_in_asked(struct parser *p, const char *host, uint16_t port)
{
	char address[sizeof(((struct discovered_portal *)NULL)->address)];
	int r;

	for (size_t k = 0; k < p->found.n_targets; k++) {
		if (p->found.targets[k].n_portals)
			continue;
		r = asked_address(address, sizeof(address), host);
		if (!r)
			r = add_portal(&p->found.targets[k], address, port, 0);
		if (r)
			return r;
	}
	return 0;
}

static int parse(struct parser *p, const char *text, size_t n)
{
	int r;

	if (n > TEXT_MAX)
		return -EBADMSG;
	while (n > 0) {
		const char *end = memchr(text, '\0', n);

		if (!end)
			return -EBADMSG;
		/* Padding that a target counts as data. */
		r = end > text ? take_pair(p, text, (size_t)(end - text)) : 0;
		if (r)
			return r;
		n -= (size_t)(end - text) + 1;
		text = end + 1;
	}
	return 0;
}

int sendtargets_parse(struct discovered *ret, const char *text, size_t n, const char *asked_host,
		      uint16_t asked_port)
{
	struct parser *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	r = parse(p, text, n);
	if (!r)
		r = fill_in_asked(p, asked_host, asked_port);
	if (r)
		parser_clear(p);
	else
		*ret = p->found;
	free(p);
	return r;
}

void discovered_clear(struct discovered *d)
{
	for (size_t k = 0; k < d->n_targets; k++)
		free(d->targets[k].portals);
	free(d->targets);
	*d = (struct discovered){0};
}
