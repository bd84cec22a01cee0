/* SPDX-License-Identifier: MIT */
/*
 * Reads, writes and flushes, as a device above would make them
 *
 * What a write puts into a block says which write it was and where it belongs, so
 * that whoever finds it knows. A command that the target puts off is tried again;
 * one that the engine could not finish fails, or is tried again, as the seed says.
 */
#include <string.h>

#include "world.h"

void block_fill(uint8_t *bytes, unsigned id, unsigned lun, uint32_t lba)
{
	uint64_t v = (uint64_t)id << 32 | lun << 16 | lba, step = v * 0x9e3779b97f4a7c15u | 1;

	if (!id) {
		memset(bytes, 0, BLOCK);
		return;
	}
	for (unsigned i = 0; i < BLOCK; i += 8, v += step)
		memcpy(bytes + i, &v, 8);
}

int block_id(const uint8_t *bytes, unsigned lun, uint32_t lba)
{
	uint8_t good[BLOCK];
	uint64_t v;

	memcpy(&v, bytes, 8);
	if (v >> 32 > MAX_OPS || (v && (uint32_t)v != (lun << 16 | lba)))
		return -1;
	block_fill(good, (unsigned)(v >> 32), lun, lba);
	return memcmp(good, bytes, BLOCK) == 0 ? (int)(v >> 32) : -1;
}

static void cdb_make(const struct op *o, uint8_t *cdb)
{
	bool sixteen = o->lba & 1; /* either form */

	memset(cdb, 0, 16);
	switch (o->kind) {
	case OP_READ: cdb[0] = sixteen ? 0x88 : 0x28; break;
	case OP_WRITE:
		cdb[0] = sixteen ? 0x8a : 0x2a;
		cdb[1] = o->fua ? 8 : 0;
		break;
	case OP_FLUSH: cdb[0] = sixteen ? 0x91 : 0x35; return;
	}
	if (sixteen) {
		put64(cdb + 2, o->lba);
		put32(cdb + 10, o->n);
	} else {
		put32(cdb + 2, o->lba);
		put16(cdb + 7, o->n);
	}
}

static void buffers(struct world *w, struct slot *s, uint32_t n)
{
	uint32_t a = rng_below(&w->rng, n + 1), b = rng_below(&w->rng, n - a + 1);
	uint8_t *at = s->mem + GUARD;

	s->iov[0] = (struct iovec){at, a};
	s->iov[1] = (struct iovec){at + a, b};
	s->iov[2] = (struct iovec){at + a + b, n - a - b};
	s->task.iov = s->iov;
	s->task.n_iov = 3;
}

static void submit(struct world *w, struct slot *s)
{
	struct op *o = &w->op[s->op];
	uint32_t n = o->kind == OP_FLUSH ? 0 : o->n * BLOCK;

	memset(&s->task, 0, sizeof(s->task));
	s->task.lun = (uint64_t)o->lun << 48;
	s->task.dir = o->kind == OP_READ    ? ISCSI_DIR_READ
		      : o->kind == OP_WRITE ? ISCSI_DIR_WRITE
					    : ISCSI_DIR_NONE;
	s->task.n_data = n;
	s->task.user = s;
	cdb_make(o, s->task.cdb);
	if (n)
		buffers(w, s, n);
	if (o->kind == OP_READ)
		memset(s->mem + GUARD, 0xdb, n);
	s->again_ns = TGT_NEVER;
	o->n_tries++;
	session_submit(w->s, &s->task, w->now_ns);
}

static void invent(struct world *w, struct slot *s)
{
	struct op *o = &w->op[w->next_op];
	uint32_t k = rng_below(&w->rng, 100);

	s->op = w->next_op++;
	s->busy = true;
	w->n_live++;
	o->kind = k < 45 ? OP_WRITE : k < 92 ? OP_READ : OP_FLUSH;
	o->lun = rng_below(&w->rng, w->n_units);
	o->n = rng_below(&w->rng, 3) ? rng_from(&w->rng, 1, 4) : rng_from(&w->rng, 1, OP_BLOCKS);
	/* few places, so that they meet */
	o->lba = rng_below(&w->rng, N_BLOCKS - o->n + 1);
	o->fua = o->kind == OP_WRITE && rng_below(&w->rng, 8) == 0;
	o->submit_seq = ++w->seq;
	o->submit_ns = w->now_ns;
	memset(s->mem, 0x5a, GUARD);
	memset(s->mem + GUARD + o->n * BLOCK, 0x5a, GUARD);
	if (o->kind == OP_WRITE)
		for (uint32_t i = 0; i < o->n; i++)
			block_fill(s->mem + GUARD + i * BLOCK, s->op, o->lun, o->lba + i);
	say(w, "load: %u %s unit %u, %u+%u%s", s->op,
	    o->kind == OP_READ    ? "read"
	    : o->kind == OP_WRITE ? "write"
				  : "flush",
	    o->lun, o->lba, o->n, o->fua ? " FUA" : "");
	submit(w, s);
}

uint64_t load_due_ns(const struct world *w)
{
	uint64_t due = TGT_NEVER;

	if (w->next_op <= w->n_ops && w->n_live < w->depth && w->was_up)
		due = w->next_submit_ns;
	for (unsigned i = 0; i < MAX_DEPTH; i++)
		if (w->slot[i].busy && w->slot[i].again_ns < due)
			due = w->slot[i].again_ns;
	return due;
}

void load_work(struct world *w)
{
	for (unsigned i = 0; i < MAX_DEPTH; i++)
		if (w->slot[i].busy && w->slot[i].again_ns <= w->now_ns)
			submit(w, &w->slot[i]);
	while (w->was_up && w->next_op <= w->n_ops && w->n_live < w->depth &&
	       w->next_submit_ns <= w->now_ns) {
		unsigned i = 0;

		while (w->slot[i].busy)
			i++;
		invent(w, &w->slot[i]);
		if (rng_below(&w->rng, 3) == 0)
			w->next_submit_ns = w->now_ns + rng_below(&w->rng, 50000000);
		else if (rng_below(&w->rng, 60) == 0)
			w->next_submit_ns = w->now_ns + rng_below(&w->rng, 12) * SEC;
	}
}

static bool guards_whole(const struct slot *s, uint32_t n)
{
	for (unsigned i = 0; i < GUARD; i++)
		if (s->mem[i] != 0x5a || s->mem[GUARD + n + i] != 0x5a)
			return false;
	return true;
}

static bool is_attention(const struct iscsi_task *t)
{
	return t->status == 2 && t->n_sense >= 14 && (t->sense[2] & 15) == 6;
}

/* A power cut takes the cache along: who flushes must hear of it. */
static void hear(struct world *w, const struct iscsi_task *t)
{
	if (t->sense[12] == 0x29 && t->sense[13] == 0)
		w->doubt = true;
}

static bool worth_again(struct world *w, struct slot *s)
{
	struct iscsi_task *t = &s->task;
	struct op *o = &w->op[s->op];

	if (o->n_tries >= 40 || o->cancelled)
		return false;
	switch (t->result) {
	case ISCSI_TASK_OK:
		return t->status == 0x08 || t->status == 0x28 || t->status == 0x18 ||
		       is_attention(t);
	case ISCSI_TASK_LOST:
	case ISCSI_TASK_CANCELLED: return o->n_tries < 3;
	case ISCSI_TASK_REJECTED:
	case ISCSI_TASK_FAILED: return o->n_tries < 2;
	case ISCSI_TASK_TIMEOUT: break;
	}
	return false;
}

/* A flush that was under way when the cache went must not be good. */
static bool flush_holds(struct world *w, const struct op *o)
{
	if (w->doubt) {
		w->doubt = false;
		w->doubt_seq = w->seq + 1;
	}
	return o->submit_seq >= w->doubt_seq;
}

void load_done(struct world *w, struct iscsi_task *t)
{
	struct slot *s = t->user;
	struct op *o = &w->op[s->op];
	uint32_t n = o->kind == OP_FLUSH ? 0 : o->n * BLOCK;
	bool good = t->result == ISCSI_TASK_OK && t->status == 0 && t->n_transferred == n &&
		    !t->underflow && !t->overflow;

	if (!s->busy || s->again_ns != TGT_NEVER) {
		wrong(w, "operation %u has ended twice", s->op);
		return;
	}
	if (t->n_refs)
		wrong(w, "operation %u is told with %u references to its memory", s->op, t->n_refs);
	if (t->result == ISCSI_TASK_OK && t->status == 0 && !t->underflow && t->n_transferred != n)
		wrong(w, "operation %u is good with %u of %u bytes", s->op, t->n_transferred, n);
	if (!guards_whole(s, o->n * BLOCK))
		wrong(w, "operation %u: bytes beside its buffers", s->op);
	if (t->result == ISCSI_TASK_OK && is_attention(t))
		hear(w, t);
	say(w, "load: %u ends: result %d status %02x sense %x/%02x/%02x", s->op, t->result,
	    t->status, t->n_sense > 13 ? t->sense[2] : 0, t->n_sense > 13 ? t->sense[12] : 0,
	    t->n_sense > 13 ? t->sense[13] : 0);
	if (!good && worth_again(w, s) && w->state < OWNER_CLOSING) {
		s->again_ns = w->now_ns + 1 + rng_below(&w->rng, 100000000);
		return;
	}
	if (o->kind == OP_FLUSH && good)
		good = flush_holds(w, o);
	else if (o->kind == OP_FLUSH)
		flush_holds(w, o);
	s->busy = false;
	w->n_live--;
	model_end(w, o, good, s->mem + GUARD);
}
