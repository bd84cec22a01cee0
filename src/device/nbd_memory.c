/* SPDX-License-Identifier: MIT */
/*
 * NBD server: memory for requests that are longer than a slot
 *
 * There is a budget of it for all clients together. A request that finds none left waits
 * in its client's stage, and its client is not read meanwhile; the clients that wait are
 * served in the order in which they came.
 *
 * Who reads no answers may keep its part of the budget for ever, so nobody depends on it:
 * once a client has no other request, the half of its own pool that the slot is not in
 * does as well. It is then alone until that request is done. So a request waits for
 * memory only behind earlier ones of its own client, which have all they need, and how
 * much a server takes does not depend on what its clients do.
 */
#include <sys/mman.h>

#include "device/nbd_private.h"

/* The longest request, widened at both ends, fits into half of the slots. */
_Static_assert((size_t)NBD_N_SLOTS / 2 * NBD_SLOT_BYTES >= NBD_MAX_IO + 2 * RANGE_BLOCK_MAX,
	       "half of a pool takes any request");

void nbd_memory_leave(struct nbd_client *c)
{
	struct nbd_server *s = c->server;

	if (!list_linked(&c->hungry))
		return;
	list_remove(&c->hungry);
	if (!list_empty(&s->hungry))
		loop_defer(s->loop, &s->feed);
}

static bool is_in_turn(const struct nbd_client *c)
{
	const struct list *line = &c->server->hungry;

	return list_empty(line) || line->next == &c->hungry;
}

static bool get_shared(struct nbd_slot *slot, size_t n)
{
	struct nbd_server *s = slot->client->server;
	void *p;

	if (n > NBD_BIG_BYTES - s->n_big || !is_in_turn(slot->client))
		return false;
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	slot->big = p;
	slot->n_big = n;
	s->n_big += n;
	if (s->n_big > atomic_load(&s->n_big_max))
		atomic_store(&s->n_big_max, s->n_big);
	return true;
}

static bool get_own(struct nbd_slot *slot)
{
	struct nbd_client *c = slot->client;
	const bool is_low = slot - c->slots < (ptrdiff_t)(NBD_N_SLOTS / 2);

	if (atomic_load(&c->n_busy) != 1)
		return false;
	c->alone = slot;
	slot->big = c->pool.mem + (is_low ? (size_t)NBD_N_SLOTS / 2 * NBD_SLOT_BYTES : 0);
	slot->n_big = 0;
	return true;
}

bool nbd_memory_get(struct nbd_slot *slot, size_t n)
{
	struct nbd_client *c = slot->client;

	if (!get_shared(slot, n) && !get_own(slot)) {
		if (!list_linked(&c->hungry))
			list_append(&c->server->hungry, &c->hungry);
		return false;
	}
	nbd_memory_leave(c);
	return true;
}

void nbd_memory_put(struct nbd_slot *slot)
{
	struct nbd_client *c = slot->client;
	struct nbd_server *s = c->server;

	if (!slot->big)
		return;
	if (c->alone == slot) {
		c->alone = NULL;
	} else {
		munmap(slot->big, slot->n_big);
		s->n_big -= slot->n_big;
		if (!list_empty(&s->hungry))
			loop_defer(s->loop, &s->feed);
	}
	slot->big = NULL;
}

void nbd_memory_feed(struct loop_defer *d)
{
	struct nbd_server *s = CONTAINER_OF(d, struct nbd_server, feed);
	struct nbd_client *c;

	while ((c = list_first(&s->hungry, struct nbd_client, hungry))) {
		nbd_client_resume(c);
		/* It got nothing, so there is nothing for those behind it. */
		if (list_first(&s->hungry, struct nbd_client, hungry) == c)
			return;
	}
}
