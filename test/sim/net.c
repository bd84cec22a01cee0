/* SPDX-License-Identifier: MIT */
/*
 * The network of the simulation
 *
 * Each direction of a link is a queue of bytes cut into segments that arrive in order,
 * each at its own time. A link that is cut loses what had not arrived at some point;
 * each end learns of it when what did arrive has been taken, or later, or never.
 */
#include <string.h>

#include "world.h"

static void flow_reset(struct flow *f)
{
	f->head = f->n = 0;
	f->seg_head = f->n_segs = 0;
	f->last_ns = 0;
	f->ended = f->black = false;
	f->end_ns = TGT_NEVER;
}

static void flow_end(struct world *w, struct flow *f, uint64_t after_ns)
{
	if (f->ended)
		return;
	f->ended = true;
	f->end_ns = (f->n_segs && f->last_ns > w->now_ns ? f->last_ns : w->now_ns) + after_ns;
}

static struct seg *seg_at(struct flow *f, unsigned i)
{
	return &f->seg[(f->seg_head + i) % SEGS];
}

/* What arrives after the first @keep segments is lost. */
static void flow_truncate(struct flow *f, unsigned keep)
{
	f->n = 0;
	f->n_segs = keep < f->n_segs ? keep : f->n_segs;
	for (unsigned i = 0; i < f->n_segs; i++)
		f->n += seg_at(f, i)->n;
}

static uint32_t room_of(const struct flow *f)
{
	return f->n_segs < SEGS ? PIPE - f->n : 0;
}

static void flow_add(struct world *w, struct flow *f, uint32_t n)
{
	uint64_t at = w->now_ns + w->latency_ns + rng_below(&w->rng, w->jitter_ns + 1);

	if (at < f->last_ns)
		at = f->last_ns;
	f->last_ns = at;
	*seg_at(f, f->n_segs++) = (struct seg){at, n};
	f->n += n;
}

static void flow_copy_in(struct flow *f, const void *bytes, uint32_t n, uint32_t off)
{
	uint32_t at = (f->head + f->n + off) % PIPE, part = PIPE - at;

	if (part > n)
		part = n;
	memcpy(f->bytes + at, bytes, part);
	memcpy(f->bytes, (const uint8_t *)bytes + part, n - part);
}

static void flow_copy_out(const struct flow *f, void *bytes, uint32_t n)
{
	uint32_t part = PIPE - f->head;

	if (part > n)
		part = n;
	memcpy(bytes, f->bytes + f->head, part);
	memcpy((uint8_t *)bytes + part, f->bytes, n - part);
}

static void flow_take(struct flow *f, uint32_t n)
{
	struct seg *s = seg_at(f, 0);

	f->head = (f->head + n) % PIPE;
	f->n -= n;
	s->n -= n;
	if (s->n)
		return;
	f->seg_head = (f->seg_head + 1) % SEGS;
	f->n_segs--;
}

/* ---- links ------------------------------------------------------------- */

struct link *link_open(struct world *w, struct iscsi_conn *ic, unsigned slot)
{
	for (unsigned i = 0; i < MAX_LINKS; i++) {
		struct link *l = &w->link[i];

		if (l->used)
			continue;
		l->used = true;
		l->ic = ic;
		l->slot = slot;
		l->tc = tgt_accept(w->t, w->now_ns);
		flow_reset(&l->up);
		flow_reset(&l->down);
		return l;
	}
	wrong(w, "no link is free: connections pile up");
	return NULL;
}

static void maybe_free(struct link *l)
{
	if (!l->ic && !l->tc)
		l->used = false;
}

static uint64_t some_time(struct world *w)
{
	/* mostly soon, at times long after */
	return rng_below(&w->rng, 4) ? rng_below(&w->rng, 2000000)
				     : (uint64_t)rng_below(&w->rng, 4000) * MS;
}

void link_close(struct world *w, struct link *l)
{
	l->ic = NULL;
	l->down.n = l->down.n_segs = 0;
	if (rng_below(&w->rng, 2))
		flow_truncate(&l->up, rng_below(&w->rng, l->up.n_segs + 1));
	l->up.black = false;
	if (l->tc)
		flow_end(w, &l->up, some_time(w));
	maybe_free(l);
}

static void target_closes(struct world *w, struct link *l)
{
	tgt_closed(l->tc, w->now_ns);
	l->tc = NULL;
	l->up.n = l->up.n_segs = 0;
	if (l->ic)
		flow_end(w, &l->down, some_time(w) % (200 * MS));
	maybe_free(l);
}

void link_cut(struct world *w, struct link *l, bool silently)
{
	say(w, "network: connection %u is cut%s", l->slot, silently ? " and nobody told" : "");
	flow_truncate(&l->up, rng_below(&w->rng, l->up.n_segs + 1));
	flow_truncate(&l->down, rng_below(&w->rng, l->down.n_segs + 1));
	if (silently) {
		l->up.black = l->down.black = true;
		return;
	}
	flow_end(w, &l->up, some_time(w));
	flow_end(w, &l->down, some_time(w));
}

/* ---- time -------------------------------------------------------------- */

static uint64_t flow_due_ns(const struct flow *f)
{
	if (f->n_segs)
		return f->seg[f->seg_head].at_ns;
	return f->ended ? f->end_ns : TGT_NEVER;
}

uint64_t net_due_ns(struct world *w)
{
	uint64_t due = TGT_NEVER, d;

	for (unsigned i = 0; i < MAX_LINKS; i++) {
		struct link *l = &w->link[i];

		if (!l->used)
			continue;
		if (l->tc && (d = flow_due_ns(&l->up)) < due)
			due = d;
		if (l->ic && (d = flow_due_ns(&l->down)) < due)
			due = d;
	}
	return due;
}

static void spoil(struct world *w, struct flow *f, uint32_t n)
{
	uint32_t at = (f->head + rng_below(&w->rng, n)) % PIPE;

	f->bytes[at] ^= (uint8_t)(1 << rng_below(&w->rng, 8));
}

static void deliver_up(struct world *w, struct link *l)
{
	struct flow *f = &l->up;
	uint8_t bytes[PIPE];

	while (l->tc && f->n_segs && seg_at(f, 0)->at_ns <= w->now_ns) {
		uint32_t n = seg_at(f, 0)->n;

		flow_copy_out(f, bytes, n);
		flow_take(f, n);
		tgt_input(l->tc, bytes, n, w->now_ns);
	}
	if (l->tc && !f->n_segs && f->ended && f->end_ns <= w->now_ns)
		target_closes(w, l);
}

static void deliver_down(struct world *w, struct link *l)
{
	struct flow *f = &l->down;

	while (l->ic && f->n_segs && seg_at(f, 0)->at_ns <= w->now_ns) {
		struct iovec iov[8];
		size_t n_iov = conn_rx_want(l->ic, iov, 8);
		uint32_t left = seg_at(f, 0)->n, got = 0;

		if (!n_iov)
			return; /* dead; its owner will see to it */
		for (size_t i = 0; i < n_iov && left; i++) {
			uint32_t n = iov[i].iov_len < left ? (uint32_t)iov[i].iov_len : left;

			flow_copy_out(f, iov[i].iov_base, n);
			left -= n;
			got += n;
			flow_take(f, n);
		}
		conn_rx_done(l->ic, got, w->now_ns);
	}
	if (l->ic && !f->n_segs && f->ended && f->end_ns <= w->now_ns) {
		f->end_ns = TGT_NEVER;
		conn_lost(l->ic, "the peer has closed", w->now_ns);
	}
}

void net_deliver(struct world *w)
{
	for (unsigned i = 0; i < MAX_LINKS; i++) {
		if (!w->link[i].used)
			continue;
		deliver_up(w, &w->link[i]);
		deliver_down(w, &w->link[i]);
	}
}

static uint32_t piece(struct world *w)
{
	return rng_below(&w->rng, 3) ? w->piece_max : rng_from(&w->rng, 1, w->piece_max);
}

static bool pump_up(struct world *w, struct link *l)
{
	struct flow *f = &l->up;
	uint32_t room = room_of(f), n = 0, want = piece(w);
	struct iovec iov[16];
	size_t n_iov;

	if (want > room)
		want = room;
	if (!want || !(n_iov = conn_tx_peek(l->ic, iov, 16, w->now_ns)))
		return false;
	for (size_t i = 0; i < n_iov && n < want; i++) {
		uint32_t part = iov[i].iov_len < want - n ? (uint32_t)iov[i].iov_len : want - n;

		if (!f->ended && !f->black)
			flow_copy_in(f, iov[i].iov_base, part, n);
		n += part;
	}
	if (!f->ended && !f->black)
		flow_add(w, f, n);
	conn_tx_done(l->ic, n, w->now_ns);
	return true;
}

static bool pump_down(struct world *w, struct link *l)
{
	struct flow *f = &l->down;
	const uint8_t *bytes;
	size_t have = tgt_output(l->tc, &bytes);
	uint32_t n = piece(w);

	if (n > have)
		n = (uint32_t)have;
	if (n > room_of(f))
		n = room_of(f);
	if (n) {
		if (!f->ended && !f->black && l->ic) {
			flow_copy_in(f, bytes, n, 0);
			flow_add(w, f, n);
		}
		tgt_sent(l->tc, n);
		return true;
	}
	if (!tgt_wants_close(l->tc))
		return false;
	target_closes(w, l);
	return true;
}

bool net_pump(struct world *w)
{
	bool moved = false;

	for (unsigned i = 0; i < MAX_LINKS; i++) {
		struct link *l = &w->link[i];

		if (l->used && l->ic)
			moved |= pump_up(w, l);
		if (l->used && l->tc)
			moved |= pump_down(w, l);
	}
	return moved;
}

/* A bit of what is under way, in one direction of one link. */
void net_spoil(struct world *w)
{
	struct link *l = &w->link[rng_below(&w->rng, MAX_LINKS)];

	for (unsigned i = 0; i < MAX_LINKS;
	     i++, l = &w->link[(size_t)(l - w->link + 1) % MAX_LINKS]) {
		struct flow *f = rng_below(&w->rng, 2) ? &l->up : &l->down;

		/* a login has no digests */
		if (!l->used || !l->ic || !l->tc || !f->n || !w->place[l->slot].up)
			continue;
		say(w, "network: a bit of connection %u is spoilt on its way %s", l->slot,
		    f == &l->up ? "up" : "down");
		spoil(w, f, f->n);
		return;
	}
}

void net_stall(struct world *w, uint64_t ns)
{
	for (unsigned i = 0; i < MAX_LINKS; i++) {
		struct link *l = &w->link[i];
		struct flow *f = rng_below(&w->rng, 2) ? &l->up : &l->down;

		if (!l->used || rng_below(&w->rng, 2))
			continue;
		say(w, "network: connection %u stalls for %u ms", l->slot, (unsigned)(ns / MS));
		for (unsigned k = 0; k < f->n_segs; k++)
			if (seg_at(f, k)->at_ns < w->now_ns + ns)
				seg_at(f, k)->at_ns = w->now_ns + ns;
		if (f->last_ns < w->now_ns + ns)
			f->last_ns = w->now_ns + ns;
	}
}

void net_end(struct world *w)
{
	for (unsigned i = 0; i < MAX_LINKS; i++) {
		struct link *l = &w->link[i];

		if (l->used && l->tc)
			tgt_closed(l->tc, w->now_ns);
		l->used = false;
	}
}
