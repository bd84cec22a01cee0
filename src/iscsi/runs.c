/* SPDX-License-Identifier: MIT */
/*
 * Which bytes of a transfer are there
 */
#include "iscsi/runs.h"

#include <string.h>

/* 64 bits: a transfer of 2^32 - 1 bytes ends where 32 bits do. */
static uint64_t end_of(const struct run *r)
{
	return (uint64_t)r->off + r->n;
}

bool runs_overlap(const struct runs *r, uint32_t off, uint32_t n)
{
	for (unsigned i = 0; n && i < r->n; i++)
		if (off < end_of(&r->run[i]) && r->run[i].off < (uint64_t)off + n)
			return true;
	return false;
}

bool runs_add(struct runs *r, uint32_t off, uint32_t n)
{
	struct run add = {off, n};
	unsigned at = 0, last;

	if (!n)
		return true;
	while (at < r->n && end_of(&r->run[at]) < off)
		at++;
	/* All that touch it become one with it. */
	for (last = at; last < r->n && r->run[last].off <= end_of(&add); last++) {
		uint64_t end = end_of(&add);

		if (end_of(&r->run[last]) > end)
			end = end_of(&r->run[last]);
		if (r->run[last].off < add.off)
			add.off = r->run[last].off;
		add.n = (uint32_t)(end - add.off);
	}
	if (last == at && r->n == RUNS_MAX)
		return false;
	memmove(&r->run[at + 1], &r->run[last], (r->n - last) * sizeof(add));
	r->run[at] = add;
	r->n = r->n + 1 - (last - at);
	return true;
}

uint32_t runs_first(const struct runs *r)
{
	return r->n && r->run[0].off == 0 ? r->run[0].n : 0;
}

uint32_t runs_bytes(const struct runs *r)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < r->n; i++)
		n += r->run[i].n;
	return n;
}
