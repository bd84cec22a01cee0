/* SPDX-License-Identifier: MIT */
/*
 * What a seed makes of the world
 *
 * Some worlds are quiet, so that the judge is at its strictest; in others things
 * break; in others the target does what it must not. Never are faults mixed in that
 * no initiator could tell from the truth.
 */
#include <string.h>

#include "world.h"

#define BIT(a) (UINT64_C(1) << (a))

/* The highest ErrorRecoveryLevel that is offered; above it nothing is to be proved yet. */
#define LEVEL_MAX 2u

/* Each of these is noticed, or does no harm to data. */
#define MISDEEDS                                                                                   \
	(BIT(TGT_DROP) | BIT(TGT_DELAY) | BIT(TGT_DUPLICATE) | BIT(TGT_STATSN) | BIT(TGT_DATASN) | \
	 BIT(TGT_OFFSET) | BIT(TGT_LENGTH) | BIT(TGT_ITT) | BIT(TGT_TTT) | BIT(TGT_OPCODE) |       \
	 BIT(TGT_STATUS) | BIT(TGT_RESPONSE) | BIT(TGT_RESIDUAL) | BIT(TGT_WINDOW) |               \
	 BIT(TGT_HALF) | BIT(TGT_CLOSE) | BIT(TGT_SILENCE) | BIT(TGT_REJECT) |                     \
	 BIT(TGT_EARLY_STATUS) | BIT(TGT_BUSY) | BIT(TGT_FORGET) | BIT(TGT_ASYNC) |                \
	 BIT(TGT_FLAGS))

static uint32_t one_of(struct world *w, const uint32_t *v, unsigned n)
{
	return v[rng_below(&w->rng, n)];
}

#define ONE_OF(w, ...)                             \
	one_of(w, (const uint32_t[]){__VA_ARGS__}, \
	       sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void bursts(struct world *w, uint32_t *max, uint32_t *first, uint32_t *mrdsl)
{
	*max = ONE_OF(w, 512, 1024, 4096, 16384, 262144);
	*first = ONE_OF(w, 512, 1024, 2048, 8192, 65536);
	if (*first > *max)
		*first = *max;
	*mrdsl = ONE_OF(w, 512, 512, 1024, 3000, 8192, 65536);
}

static void plan_target(struct world *w)
{
	struct tgt_cfg *c = &w->tgt_cfg;
	struct rng *r = &w->rng;

	tgt_cfg_default(c);
	c->seed = rng_next(r);
	c->n_luns = w->n_units;
	c->n_blocks = N_BLOCKS;
	c->block_size = BLOCK;
	c->write_cache = rng_below(r, 4);
	c->erl = rng_below(r, 2) ? 2 : rng_below(r, 3);
	c->data_timeout_ns = 15 * SEC; /* longer than the network ever stands still */
	c->max_connections = rng_below(r, 4) ? 8 : rng_from(r, 1, MAX_CONNS);
	c->max_r2t = rng_from(r, 1, 8);
	c->header_digest = rng_below(r, 2);
	c->data_digest = rng_below(r, 2);
	c->require_digests = true;
	c->initial_r2t = rng_below(r, 2);
	c->any_order = !rng_below(r, 3);
	c->immediate_data = rng_below(r, 2);
	bursts(w, &c->max_burst, &c->first_burst, &c->mrdsl);
	c->time2wait_s = rng_below(r, 4);
	c->time2retain_s = rng_below(r, 4) ? rng_from(r, 3, 30) : 0;
	c->window = rng_below(r, 3) ? rng_from(r, 1, 32) : 64;
	c->service_ns_max = ONE_OF(w, 0, 100000, 3000000, 50000000);
	c->slow_permille = rng_below(r, 4) ? 0 : rng_below(r, 60);
	c->slow_ns = (uint64_t)rng_from(r, 1, 20) * SEC;
	c->segment_min = rng_from(r, 1, 512);
	c->random_sizes = rng_below(r, 2);
	c->interleave = rng_below(r, 2);
	c->login_more_rounds = rng_below(r, 4) == 0;
	c->login_chunk = rng_below(r, 4) ? 0 : rng_from(r, 12, 60);
	c->ping_ns = rng_below(r, 3) ? 0 : (uint64_t)rng_from(r, 400, 3000) * MS;
	c->user = w;
	c->wrote = model_wrote;
	c->flushed = model_flushed;
}

static void plan_session(struct world *w)
{
	struct iscsi_session_cfg *c = &w->cfg;
	struct iscsi_params *o = &c->offer;
	struct rng *r = &w->rng;

	memset(c, 0, sizeof(*c));
	c->initiator_name = "iqn.2026-11.test:sim";
	c->target_name = w->tgt_cfg.name;
	memcpy(c->isid, "\x80\x01\x02\x03\x04\x05", 6);
	c->first_cmdsn = rng_below(r, 2) ? (uint32_t)rng_next(r) : 0xffffffff - rng_below(r, 40);
	c->n_tasks = rng_below(r, 3) ? 0 : rng_from(r, 1, 8);
	c->task_timeout_ns = (uint64_t)rng_from(r, 3, 30) * SEC;
	c->tmf_timeout_ns = (uint64_t)rng_from(r, 1, 15) * SEC;
	c->policy = (enum iscsi_policy)rng_below(r, ISCSI_POLICY_WEIGHTED + 1);
	iscsi_params_default_offer(o);
	o->MaxConnections = w->n_conns;
	o->ErrorRecoveryLevel = rng_below(r, 2) ? LEVEL_MAX : rng_below(r, LEVEL_MAX + 1);
	o->HeaderDigest = rng_below(r, 4) ? ISCSI_OFFER_NONE_CRC32C : ISCSI_OFFER_NONE;
	o->DataDigest = rng_below(r, 4) ? ISCSI_OFFER_NONE_CRC32C : ISCSI_OFFER_NONE;
	o->InitialR2T = rng_below(r, 2);
	o->ImmediateData = rng_below(r, 4) != 0;
	bursts(w, &o->MaxBurstLength, &o->FirstBurstLength, &o->MaxRecvDataSegmentLength);
	o->MaxOutstandingR2T = rng_from(r, 1, 8);
	o->DataPDUInOrder = o->DataSequenceInOrder = rng_below(r, 2);
	o->DefaultTime2Wait = rng_below(r, 3);
	o->DefaultTime2Retain = rng_below(r, 4) ? rng_from(r, 3, 30) : 0;
}

static void both_digests(struct world *w)
{
	w->tgt_cfg.header_digest = w->tgt_cfg.data_digest = true;
	w->cfg.offer.HeaderDigest = w->cfg.offer.DataDigest = ISCSI_OFFER_CRC32C_NONE;
}

void plan_make(struct world *w)
{
	struct rng *r = &w->rng;
	unsigned kind = rng_below(r, LEVEL_MAX ? 5 : 4);

	w->n_units = rng_from(r, 1, MAX_UNITS);
	w->n_conns = rng_below(r, 2) ? 1 : rng_from(r, 2, MAX_CONNS);
	w->new_cids = rng_below(r, 2);
	w->n_ops = rng_from(r, 5, 60);
	w->depth = rng_from(r, 1, MAX_DEPTH);
	w->latency_ns = ONE_OF(w, 0, 20000, 500000, 20000000);
	w->jitter_ns = ONE_OF(w, 0, 10000, 1000000, 30000000);
	w->piece_max = ONE_OF(w, 40, 512, 1460, 1460, 8192, 8192);
	w->hold_ns = (uint64_t)rng_from(r, 5, 60) * SEC;
	plan_target(w);
	plan_session(w);
	if (kind == 0)
		return; /* nothing happens */
	if (kind == 4) {
		/* PDUs are lost on the way, as digest errors lose them */
		w->tgt_cfg.erl = rng_from(r, 1, 2);
		w->tgt_cfg.data_timeout_ns = (uint64_t)rng_from(r, 500, 3000) * MS;
		w->cfg.offer.ErrorRecoveryLevel = LEVEL_MAX > 1 ? rng_from(r, 1, 2) : 1;
		w->misbehaves = rng_from(r, 2, 60);
		w->misdeeds = BIT(TGT_DROP);
		w->n_faults = rng_below(r, 4);
	} else if (kind == 3) {
		w->misbehaves = rng_from(r, 2, 40);
		w->misdeeds = MISDEEDS;
		/* Without order a wrong number and a wrong place can make up for each other. */
		if (w->tgt_cfg.any_order)
			w->misdeeds &= ~BIT(TGT_DATASN);
		if (rng_below(r, 3) == 0) {
			both_digests(w);
			w->misdeeds |= BIT(TGT_CORRUPT_HEADER) | BIT(TGT_CORRUPT_DATA);
		}
	} else {
		w->n_faults = rng_from(r, 1, 6);
		w->cuts_power = rng_below(r, 2);
		w->spoils = rng_below(r, 3) == 0;
		if (w->spoils)
			both_digests(w);
	}
	w->fault_ns = (uint64_t)rng_below(r, 1000) * MS;
}

static struct link *some_link(struct world *w)
{
	for (unsigned tries = 0; tries < 8; tries++) {
		struct place *p = &w->place[rng_below(&w->rng, w->n_conns)];

		if (p->link)
			return p->link;
	}
	return NULL;
}

static void restart(struct world *w)
{
	bool cut = w->cuts_power && rng_below(&w->rng, 2);

	tgt_restart(w->t, cut, w->now_ns);
	say(w, "fault: the target restarts%s", cut ? " without its cache" : "");
	if (cut) {
		model_power_cut(w);
		w->count.n_power_cuts++;
	}
	w->refuse_until_ns = w->now_ns + (uint64_t)rng_below(&w->rng, 8000) * MS;
}

static void fault_one(struct world *w)
{
	struct link *l = some_link(w);

	switch (rng_below(&w->rng, 10)) {
	case 0:
	case 1:
	case 2:
		if (l)
			link_cut(w, l, rng_below(&w->rng, 4) == 0);
		break;
	case 3:
	case 4: restart(w); break;
	case 5:
		/* the target's patience with data is less than that */
		if (!w->misbehaves)
			net_stall(w, (uint64_t)rng_below(&w->rng, 12000) * MS);
		break;
	case 6:
		if (w->spoils)
			net_spoil(w);
		break;
	case 7:
	case 8: owner_whim(w); break;
	case 9: tgt_async(w->t, rng_from(&w->rng, 1, 3), 0, rng_below(&w->rng, 3), 5); break;
	}
	w->count.n_faults++;
}

void fault_do(struct world *w)
{
	/* begins at some time, and goes on until the end is near */
	if (w->misbehaves)
		tgt_misbehave(w->t, w->misbehaves, w->misdeeds);
	if (w->n_faults && (w->was_up || rng_below(&w->rng, 4) == 0)) {
		fault_one(w);
		w->n_faults--;
	}
	w->fault_ns = w->n_faults ? w->now_ns + (uint64_t)rng_below(&w->rng, 3000) * MS : TGT_NEVER;
}

void faults_end(struct world *w)
{
	if (w->quiet_since_ns)
		return;
	w->quiet_since_ns = w->now_ns;
	w->fault_ns = TGT_NEVER;
	tgt_rules_clear(w->t);
	say(w, "fault: no more of them");
}
