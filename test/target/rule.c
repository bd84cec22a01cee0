/* SPDX-License-Identifier: MIT */
/*
 * The rules: which PDU, what to do
 */
#include "inside.h"

#include <stdio.h>
#include <string.h>

/* In the order of enum tgt_act. */
static const char *const act_names[N_TGT_ACTS] = {
	[TGT_DROP] = "drop",
	[TGT_DELAY] = "delay",
	[TGT_DUPLICATE] = "duplicate",
	[TGT_CORRUPT_HEADER] = "corrupt-header",
	[TGT_CORRUPT_DATA] = "corrupt-data",
	[TGT_LIE_DATA] = "lie-data",
	[TGT_STATSN] = "statsn",
	[TGT_DATASN] = "datasn",
	[TGT_OFFSET] = "offset",
	[TGT_LENGTH] = "length",
	[TGT_ITT] = "itt",
	[TGT_TTT] = "ttt",
	[TGT_OPCODE] = "opcode",
	[TGT_FLAGS] = "flags",
	[TGT_STATUS] = "status",
	[TGT_RESPONSE] = "response",
	[TGT_RESIDUAL] = "residual",
	[TGT_WINDOW] = "window",
	[TGT_HALF] = "half",
	[TGT_CLOSE] = "close",
	[TGT_SILENCE] = "silence",
	[TGT_REJECT] = "reject",
	[TGT_EARLY_STATUS] = "early-status",
	[TGT_BUSY] = "busy",
	[TGT_FORGET] = "forget",
	[TGT_ASYNC] = "async",
	[TGT_REDIRECT] = "redirect",
	[TGT_LOSE_WRITE] = "lose-write",
};

#define BIT(a) (UINT64_C(1) << (a))

/* What makes sense for a request; all the rest is for answers. */
#define REQUEST_ACTS                                                                \
	(BIT(TGT_DROP) | BIT(TGT_CLOSE) | BIT(TGT_SILENCE) | BIT(TGT_REJECT) |      \
	 BIT(TGT_EARLY_STATUS) | BIT(TGT_BUSY) | BIT(TGT_FORGET) | BIT(TGT_ASYNC) | \
	 BIT(TGT_REDIRECT) | BIT(TGT_LOSE_WRITE) | BIT(TGT_STATUS))
#define COMMAND_ACTS (BIT(TGT_EARLY_STATUS) | BIT(TGT_BUSY) | BIT(TGT_FORGET) | BIT(TGT_LOSE_WRITE))
#define ANSWER_ACTS                                                               \
	(~(BIT(TGT_REJECT) | COMMAND_ACTS | BIT(TGT_REDIRECT) | BIT(TGT_ASYNC)) & \
	 (BIT(N_TGT_ACTS) - 1))

static bool fits(unsigned op, bool request, enum tgt_act act)
{
	uint64_t may = request ? REQUEST_ACTS : ANSWER_ACTS;

	if (request && op != OP_COMMAND)
		may &= ~COMMAND_ACTS;
	if (request && op != OP_LOGIN)
		may &= ~(BIT(TGT_REDIRECT) | BIT(TGT_STATUS));
	if (op == OP_DATA_OUT)
		may &= ~BIT(TGT_ASYNC);
	return may & BIT(act);
}

bool tgt_rule_add(struct tgt *t, const struct tgt_rule *r)
{
	if (t->n_rules == MAX_RULES)
		return false;
	t->rule[t->n_rules++] = *r;
	return true;
}

void tgt_rules_clear(struct tgt *t)
{
	t->n_rules = 0;
	t->misbehave_permille = 0;
}

void tgt_misbehave(struct tgt *t, uint32_t permille, uint64_t acts)
{
	t->misbehave_permille = permille;
	t->misbehave_acts = acts;
}

bool tgt_rule_parse(struct tgt_rule *ret, const char *line)
{
	struct tgt_rule r = {0};
	char op[32], act[32], arg[32] = "0";
	int n = sscanf(line, "%31s %u %31s %31s %127s", op, &r.nth, act, arg, r.text);

	if (n < 3)
		return false;
	r.op = strcmp(op, "any") == 0 ? -1 : wire_op(op);
	if (r.op < 0 && strcmp(op, "any") != 0)
		return false;
	r.arg = (uint32_t)strtol(arg, NULL, 0);
	for (int i = 0; i < N_TGT_ACTS; i++) {
		if (strcmp(act_names[i], act) != 0)
			continue;
		r.act = (enum tgt_act)i;
		*ret = r;
		return r.op < 0 || fits((unsigned)r.op, r.op < OP_NOP_IN, r.act);
	}
	return false;
}

/* An argument that makes a difference, and no good news of what was not done. */
static uint32_t random_arg(struct tgt *t, unsigned op, enum tgt_act act)
{
	static const uint8_t reasons[] = {0x02, 0x03, 0x04, 0x05, 0x06,
					  0x07, 0x08, 0x09, 0x0a, 0x0c};
	static const uint32_t offs[] = {1, 512, 0x10000, 0xfffffe00, 0xffffffff};
	static const uint8_t bad[] = {0x08, 0x18, 0x28, 0x40};
	static const uint16_t logins[] = {0x0200, 0x0203, 0x0206, 0x020a, 0x0300, 0x0301, 0x0302};
	struct rng *r = &t->rng;
	uint32_t v;

	switch (act) {
	case TGT_REJECT: return reasons[rng_below(r, sizeof(reasons))];
	case TGT_BUSY: return rng_below(r, 2) ? 0x08 : 0x28;
	case TGT_DELAY: return rng_from(r, 1, 300);
	case TGT_STATUS:
		return op == OP_LOGIN || op == OP_LOGIN_RSP
			       ? logins[rng_below(r, ARRAY_SIZE(logins))]
			       : bad[rng_below(r, sizeof(bad))];
	case TGT_EARLY_STATUS: return rng_below(r, 2) ? 0x100 : bad[rng_below(r, sizeof(bad))];
	case TGT_RESPONSE:
		/* "no such task" or unit, where there is one, would be believed */
		return rng_from(r, op == OP_TASK_MGMT_RSP ? 3 : 1, 6);
	case TGT_WINDOW: return rng_below(r, 3);
	case TGT_ASYNC: return rng_below(r, 7) == 6 ? 255 : rng_below(r, 6);
	case TGT_OPCODE:
		/* an R2T that became a Response would say that all has been written */
		v = rng_below(r, 64);
		return v == OP_RESPONSE ? 0x3f : v;
	case TGT_FLAGS: return 1u << rng_below(r, 8);
	default: return offs[rng_below(r, ARRAY_SIZE(offs))];
	}
}

static const struct tgt_rule *random_rule(struct tgt *t, unsigned op, bool request,
					  struct tgt_rule *room)
{
	enum tgt_act act;

	if (!rng_permille(&t->rng, t->misbehave_permille))
		return NULL;
	for (unsigned tries = 0; tries < 20; tries++) {
		act = (enum tgt_act)rng_below(&t->rng, N_TGT_ACTS);
		if (!(t->misbehave_acts & BIT(act)) || !fits(op, request, act))
			continue;
		*room = (struct tgt_rule){.op = (int)op, .act = act, .arg = random_arg(t, op, act)};
		return room;
	}
	return NULL;
}

static void told(struct tgt *t, unsigned op, const struct tgt_rule *r)
{
	t->stats.n_misdeeds++;
	tell(t, "target: misdeed: %s %s 0x%x", wire_name(op), act_names[r->act], r->arg);
}

const struct tgt_rule *rule_for(struct tgt *t, unsigned op, bool request, struct tgt_rule *room)
{
	for (unsigned i = 0; i < t->n_rules; i++) {
		struct tgt_rule *r = &t->rule[i];

		if ((r->op >= 0 && r->op != (int)op) || !fits(op, request, r->act))
			continue;
		if (r->nth > 1) {
			r->nth--;
			continue;
		}
		*room = *r;
		if (r->nth == 1) {
			t->n_rules--;
			memmove(r, r + 1, (t->n_rules - i) * sizeof(*r));
		}
		told(t, op, room);
		return room;
	}
	if (t->misbehave_permille && random_rule(t, op, request, room)) {
		told(t, op, room);
		return room;
	}
	return NULL;
}
