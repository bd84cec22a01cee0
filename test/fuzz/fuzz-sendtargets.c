/* SPDX-License-Identifier: MIT */
/*
 * The text of a SendTargets answer, which a target may have written with any intent
 *
 * Whatever is accepted must be within the limits, and must come out the same when it
 * is written down and parsed again.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "discovery/sendtargets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                  \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static char *write_down(const struct discovered *d, size_t *ret_n)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, ret_n);

	MUST(f);
	for (size_t k = 0; k < d->n_targets; k++) {
		const struct discovered_target *t = &d->targets[k];

		fprintf(f, "TargetName=%s%c", t->name, 0);
		for (size_t p = 0; p < t->n_portals; p++) {
			const struct discovered_portal *dp = &t->portals[p];
			bool ipv6 = strchr(dp->address, ':') != NULL;

			fputs("TargetAddress=", f);
			fprintf(f, ipv6 ? "[%s]" : "%s", dp->address);
			fprintf(f, ":%u,%u%c", dp->port, dp->tpgt, 0);
		}
	}
	MUST(fclose(f) == 0);
	return text;
}

static void must_be_same(const struct discovered *a, const struct discovered *b)
{
	MUST(a->n_targets == b->n_targets);
	for (size_t k = 0; k < a->n_targets; k++) {
		const struct discovered_target *s = &a->targets[k], *t = &b->targets[k];

		MUST(strcmp(s->name, t->name) == 0);
		MUST(s->n_portals == t->n_portals);
		for (size_t p = 0; p < s->n_portals; p++) {
			MUST(strcmp(s->portals[p].address, t->portals[p].address) == 0);
			MUST(s->portals[p].port == t->portals[p].port);
			MUST(s->portals[p].tpgt == t->portals[p].tpgt);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct discovered d, again;
	size_t n = 0;
	char *text;

	if (sendtargets_parse(&d, (const char *)data, size, "192.0.2.1", 3260))
		return 0;
	MUST(d.n_targets <= 4096);
	for (size_t k = 0; k < d.n_targets; k++)
		MUST(d.targets[k].n_portals >= 1 && d.targets[k].n_portals <= 64);
	text = write_down(&d, &n);
	/* The defaults filled in may make it longer than an answer may be. */
	if (n <= 1u << 20) {
		MUST(sendtargets_parse(&again, text, n, "192.0.2.1", 3260) == 0);
		must_be_same(&d, &again);
		discovered_clear(&again);
	}
	free(text);
	discovered_clear(&d);
	return 0;
}
