/* SPDX-License-Identifier: MIT */
/*
 * The judge
 *
 * It knows what every operation was told and when, counted in steps, and sees every
 * write arrive at the disk. So it can say of each byte that a read returned whether
 * any order of what overlapped in time explains it (from outside), and whether the
 * disk really had it then (from inside). A write that failed may have been done or
 * not, but not after one that was submitted later.
 */
#include <stdio.h>
#include <string.h>

#include "world.h"

static unsigned id_of(const struct world *w, const struct op *o)
{
	return (unsigned)(o - w->op);
}

static const char *reader(const struct world *w, const struct op *o)
{
	return o >= w->op && o <= w->op + MAX_OPS ? "read" : "whoever reads in the end, as";
}

static bool covers(const struct op *o, unsigned lun, uint32_t lba)
{
	return o->kind == OP_WRITE && o->lun == lun && lba >= o->lba && lba - o->lba < o->n;
}

/* What the disk has there now is said in the history. */
static void remember(struct world *w, unsigned lun, uint32_t lba, unsigned id)
{
	unsigned at = w->n_history[lun][lba]++ % HISTORY;

	w->history[lun][lba][at].seq = w->seq;
	w->history[lun][lba][at].id = (uint16_t)id;
}

static unsigned now_there(const struct world *w, unsigned lun, uint32_t lba)
{
	unsigned n = w->n_history[lun][lba];

	return n ? w->history[lun][lba][(n - 1) % HISTORY].id : 0;
}

void model_start(struct world *w)
{
	memset(w->history, 0, sizeof(w->history));
	memset(w->n_history, 0, sizeof(w->n_history));
	memset(w->durable, 0, sizeof(w->durable));
	memset(w->op, 0, sizeof(w->op));
	w->op[0].kind = OP_READ; /* covers nothing */
	w->seq = 1;
}

/* ---- what the disk sees ------------------------------------------------ */

void model_wrote(void *user, unsigned lun, uint64_t lba, uint32_t n, const uint8_t *bytes)
{
	struct world *w = user;
	int id = n ? block_id(bytes, lun, (uint32_t)lba) : -1;
	struct op *o;

	w->seq++;
	if (id <= 0 || id >= (int)w->next_op) {
		wrong(w, "the disk gets what nobody has written, unit %u block %u", lun,
		      (unsigned)lba);
		return;
	}
	o = &w->op[id];
	if (o->kind != OP_WRITE || o->lun != lun || o->lba != lba || o->n != n) {
		wrong(w, "write %d comes to the disk as %u+%u of unit %u", id, (unsigned)lba, n,
		      lun);
		return;
	}
	say(w, "disk: write %d, unit %u, %u+%u%s", id, lun, o->lba, n,
	    o->end ? " after its end" : "");
	if (w->state == OWNER_VERIFY && w->fresh)
		wrong(w, "write %d is done before the units were asked", id);
	if (o->end == OP_GOOD)
		wrong(w, "write %d is done after it was reported good", id);
	o->n_applied++;
	o->reverted = o->cut = false;
	for (uint32_t i = 0; i < n; i++) {
		unsigned was = now_there(w, lun, o->lba + i);

		if (block_id(bytes + i * BLOCK, lun, o->lba + i) != id)
			wrong(w, "write %d: block %u of it is wrong on the disk", id, i);
		if (o->end && was && w->op[was].submit_seq > o->end_seq)
			wrong(w,
			      "write %d was reported failed and overwrites write %u, which is "
			      "later",
			      id, was);
		remember(w, lun, o->lba + i, (unsigned)id);
		if (o->fua || !w->tgt_cfg.write_cache)
			w->durable[lun][o->lba + i] = (uint16_t)id;
	}
}

void model_flushed(void *user, unsigned lun)
{
	struct world *w = user;

	for (uint32_t i = 0; i < N_BLOCKS; i++)
		w->durable[lun][i] = (uint16_t)now_there(w, lun, i);
}

/* The cache is lost: what each block is now, and which good writes that undoes. */
void model_power_cut(struct world *w)
{
	if (!w->tgt_cfg.write_cache)
		return;
	w->seq++;
	for (unsigned i = 1; i < w->next_op; i++)
		if (w->op[i].kind == OP_WRITE && !w->op[i].durable)
			w->op[i].reverted = true;
	for (unsigned lun = 0; lun < w->n_units; lun++) {
		for (uint32_t b = 0; b < N_BLOCKS; b++) {
			unsigned was = now_there(w, lun, b);

			if (was == w->durable[lun][b])
				continue;
			w->op[was].cut = true;
			w->op[was].lost = w->op[was].lost || w->op[was].end == OP_GOOD;
			remember(w, lun, b, w->durable[lun][b]);
		}
	}
}

/* ---- what is reported -------------------------------------------------- */

/* Did the disk have @id there at some time since the read was submitted? */
static bool was_there(const struct world *w, const struct op *r, uint32_t lba, unsigned id)
{
	unsigned n = w->n_history[r->lun][lba];

	for (unsigned k = 0; k < HISTORY; k++) {
		unsigned at = (n - 1 - k) % HISTORY;

		if (k == n)
			return id == 0;
		if (w->history[r->lun][lba][at].id == id)
			return true;
		if (w->history[r->lun][lba][at].seq < r->submit_seq)
			return false;
	}
	return true; /* too long ago to tell */
}

/* A write that is known to be done, and began after @id had ended? */
static const struct op *overtaken(const struct world *w, const struct op *r, uint32_t lba,
				  unsigned id)
{
	for (unsigned i = 1; i < w->next_op; i++) {
		const struct op *x = &w->op[i];

		if (x->end != OP_GOOD || x->reverted || !covers(x, r->lun, lba) ||
		    x->end_seq > r->submit_seq || i == id)
			continue;
		if (id == 0 || (w->op[id].end && w->op[id].end_seq < x->submit_seq))
			return x;
	}
	return NULL;
}

static void judge_read(struct world *w, const struct op *o, const uint8_t *bytes)
{
	for (uint32_t i = 0; i < o->n; i++) {
		int id = block_id(bytes + i * BLOCK, o->lun, o->lba + i);
		const struct op *x;

		if (id < 0 || id >= (int)w->next_op ||
		    (id && !covers(&w->op[id], o->lun, o->lba + i))) {
			wrong(w, "read %u: block %u of it is nothing that was ever written there",
			      id_of(w, o), i);
			return;
		}
		x = overtaken(w, o, o->lba + i, (unsigned)id);
		if (x)
			wrong(w, "%s %u sees write %d at block %u, but %u is later and was good",
			      reader(w, o), id_of(w, o), id, o->lba + i, id_of(w, x));
		if (!was_there(w, o, o->lba + i, (unsigned)id))
			wrong(w,
			      "read %u sees write %d at block %u, which the disk did not have then",
			      id_of(w, o), id, o->lba + i);
	}
}

static void judge_flush(struct world *w, const struct op *o, bool good)
{
	for (unsigned i = 1; i < w->next_op; i++) {
		struct op *x = &w->op[i];

		if (x->kind != OP_WRITE || x->end != OP_GOOD || x->lun != o->lun ||
		    x->end_seq > o->submit_seq)
			continue;
		if (good && x->lost && !(x->told_seq && x->told_seq <= o->submit_seq))
			wrong(w, "flush %u is good, but write %u was good and is lost", id_of(w, o),
			      i);
		if (good)
			x->durable = true;
	}
	if (good)
		return;
	for (unsigned i = 1; i < w->next_op; i++)
		if (w->op[i].lost && !w->op[i].told_seq)
			w->op[i].told_seq = w->seq;
}

void model_end(struct world *w, struct op *o, bool good, const uint8_t *bytes)
{
	o->end_seq = ++w->seq;
	o->end = good ? OP_GOOD : OP_FAILED;
	if (good)
		w->count.n_good++;
	else
		w->count.n_failed++;
	say(w, "load: %u is reported %s", id_of(w, o), good ? "good" : "failed");
	if (o->kind == OP_WRITE && good) {
		if (!o->n_applied)
			wrong(w, "write %u is reported good and never came to the disk",
			      id_of(w, o));
		o->durable = o->fua && !o->reverted;
		o->lost = o->cut; /* done before the power cut, told after it */
	} else if (o->kind == OP_READ && good) {
		judge_read(w, o, bytes);
	} else if (o->kind == OP_FLUSH) {
		judge_flush(w, o, good);
	}
}

/* All is over: is the disk what the last good writes say? */
void model_finish(struct world *w)
{
	struct op all = {.kind = OP_READ};

	for (unsigned i = 1; i < w->next_op; i++)
		if (!w->op[i].end)
			wrong(w, "operation %u has never ended", i);
	for (unsigned lun = 0; lun < w->n_units; lun++) {
		all.lun = lun;
		all.n = N_BLOCKS;
		all.submit_seq = ++w->seq;
		judge_read(w, &all, tgt_disk(w->t, lun));
	}
}
