/* SPDX-License-Identifier: MIT */
/*
 * Login and text: the test target's side of RFC 7143 §6, with a parser of its own
 */
#include "inside.h"

#include <stdio.h>
#include <string.h>

#define SEGMENT 8192

static void say(struct tconn *c, const char *key, const char *value)
{
	size_t k = strlen(key), v = strlen(value) + 1;
	uint8_t *to;

	c->text_out = must(realloc(c->text_out, c->n_text_out + k + 1 + v));
	to = c->text_out + c->n_text_out;
	memcpy(to, key, k);
	to[k] = '=';
	memcpy(to + k + 1, value, v);
	c->n_text_out += k + 1 + v;
}

static void say_number(struct tconn *c, const char *key, uint32_t v)
{
	char digits[16];
	char *p = digits + sizeof(digits) - 1;

	*p = 0;
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	say(c, key, p);
}

static bool listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (*list) {
		const char *end = strchrnul(list, ',');

		if ((size_t)(end - list) == n && strncmp(list, word, n) == 0)
			return true;
		list = *end ? end + 1 : end;
	}
	return false;
}

static void take_digest(struct tconn *c, const char *key, const char *list, bool may, bool *ret)
{
	bool crc = listed(list, "CRC32C"), none = listed(list, "None");

	if (crc && may && (!none || c->t->cfg.require_digests || strncmp(list, "CRC32C", 6) == 0)) {
		*ret = true;
		say(c, key, "CRC32C");
	} else {
		*ret = false;
		say(c, key, none ? "None" : "Reject");
	}
}

/* ---- keys -------------------------------------------------------------- */

enum merge {
	SMALLER,
	LARGER,
	BOTH,
	EITHER,
	EITHER_NOT, /* the same, and it is the other value that is its configuration's */
};

#define OFFSET(member) __builtin_offsetof(struct session, member)

static const struct key {
	const char *name;
	enum merge merge;
	size_t session_at; /* a uint32_t, or a bool for Yes and No */
	size_t cfg_at;
	bool data_only;
} keys[] = {
	{"MaxConnections", SMALLER, OFFSET(max_connections),
	 __builtin_offsetof(struct tgt_cfg, max_connections), true},
	{"InitialR2T", EITHER, OFFSET(initial_r2t), __builtin_offsetof(struct tgt_cfg, initial_r2t),
	 true},
	{"ImmediateData", BOTH, OFFSET(immediate_data),
	 __builtin_offsetof(struct tgt_cfg, immediate_data), true},
	{"MaxBurstLength", SMALLER, OFFSET(max_burst),
	 __builtin_offsetof(struct tgt_cfg, max_burst), true},
	{"FirstBurstLength", SMALLER, OFFSET(first_burst),
	 __builtin_offsetof(struct tgt_cfg, first_burst), true},
	{"DefaultTime2Wait", LARGER, OFFSET(time2wait_s),
	 __builtin_offsetof(struct tgt_cfg, time2wait_s), false},
	{"DefaultTime2Retain", SMALLER, OFFSET(time2retain_s),
	 __builtin_offsetof(struct tgt_cfg, time2retain_s), false},
	{"MaxOutstandingR2T", SMALLER, OFFSET(max_r2t), __builtin_offsetof(struct tgt_cfg, max_r2t),
	 true},
	{"ErrorRecoveryLevel", SMALLER, OFFSET(erl), __builtin_offsetof(struct tgt_cfg, erl),
	 false},
	{"DataPDUInOrder", EITHER_NOT, OFFSET(pdu_in_order),
	 __builtin_offsetof(struct tgt_cfg, any_order), true},
	{"DataSequenceInOrder", EITHER_NOT, OFFSET(sequence_in_order),
	 __builtin_offsetof(struct tgt_cfg, any_order), true},
};

static void take_boolean(struct tconn *c, const struct key *k, const char *value)
{
	bool *to = (bool *)((char *)c->proposed + k->session_at);
	bool mine =
		*(const bool *)((const char *)&c->t->cfg + k->cfg_at) != (k->merge == EITHER_NOT);
	bool his = strcmp(value, "Yes") == 0;

	if (!his && strcmp(value, "No") != 0)
		blame(c->t, "%s=%s", k->name, value);
	*to = k->merge == BOTH ? mine && his : mine || his;
	say(c, k->name, *to ? "Yes" : "No");
}

static void take_number(struct tconn *c, const struct key *k, const char *value)
{
	uint32_t *to = (uint32_t *)((char *)c->proposed + k->session_at);
	uint32_t mine = *(const uint32_t *)((const char *)&c->t->cfg + k->cfg_at);
	char *end;
	uint32_t his = (uint32_t)strtoul(value, &end, 0);

	if (*end || !*value)
		blame(c->t, "%s=%s", k->name, value);
	*to = (k->merge == SMALLER) == (his < mine) ? his : mine;
	say_number(c, k->name, *to);
}

static void take_operational(struct tconn *c, const struct key *k, const char *value)
{
	if (c->discovery && k->data_only)
		say(c, k->name, "Irrelevant");
	else if (k->merge == BOTH || k->merge == EITHER || k->merge == EITHER_NOT)
		take_boolean(c, k, value);
	else
		take_number(c, k, value);
}

/* 0, or a login status */
static unsigned take_key(struct tconn *c, const char *key, const char *value)
{
	const struct tgt_cfg *cfg = &c->t->cfg;

	if (strcmp(key, "InitiatorName") == 0) {
		snprintf(c->proposed->initiator, sizeof(c->proposed->initiator), "%s", value);
		return 0;
	}
	if (strcmp(key, "TargetName") == 0) {
		c->named = true;
		return strcmp(value, cfg->name) == 0 ? 0 : 0x0203;
	}
	if (strcmp(key, "SessionType") == 0) {
		c->discovery = strcmp(value, "Discovery") == 0;
		return 0;
	}
	if (strcmp(key, "InitiatorAlias") == 0)
		return 0;
	if (strcmp(key, "AuthMethod") == 0) {
		if (!listed(value, "None"))
			return 0x0201;
		say(c, key, "None");
		return 0;
	}
	if (strcmp(key, "HeaderDigest") == 0) {
		c->answered_digest[0] = true;
		take_digest(c, key, value, cfg->header_digest, &c->header_digest);
	} else if (strcmp(key, "DataDigest") == 0) {
		c->answered_digest[1] = true;
		take_digest(c, key, value, cfg->data_digest, &c->data_digest);
	} else if (strcmp(key, "MaxRecvDataSegmentLength") == 0) {
		c->his_mrdsl = (uint32_t)strtoul(value, NULL, 0);
	} else {
		for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
			if (strcmp(keys[i].name, key) == 0) {
				take_operational(c, &keys[i], value);
				return 0;
			}
		}
		say(c, key, "NotUnderstood");
	}
	return 0;
}

static unsigned take_text(struct tconn *c)
{
	char *at = (char *)c->text_in, *end = at + c->n_text_in;
	unsigned status = 0;

	while (at < end && !status) {
		size_t n = strnlen(at, (size_t)(end - at));
		char *eq = memchr(at, '=', n);

		if (at + n == end || !eq) {
			blame(c->t, "text that is not key=value");
			return 0x0200;
		}
		*eq = 0;
		status = take_key(c, at, eq + 1);
		at += n + 1;
	}
	c->n_text_in = 0;
	return status;
}

/* ---- login ------------------------------------------------------------- */

static void answer_base(struct tconn *c, const uint8_t *bhs, uint8_t *b)
{
	memset(b, 0, BHS);
	b[0] = OP_LOGIN_RSP;
	b[1] = bhs[1] & 0x0c; /* CSG */
	memcpy(b + 8, bhs + 8, 8);
	memcpy(b + AT_ITT, bhs + AT_ITT, 4);
}

static void refuse(struct tconn *c, const uint8_t *bhs, unsigned status, const char *address)
{
	uint8_t b[BHS];

	answer_base(c, bhs, b);
	put16(b + 36, status);
	c->n_text_out = 0;
	if (address)
		say(c, "TargetAddress", address);
	send_pdu(c, b, c->text_out, (uint32_t)c->n_text_out, true);
	hang_up(c);
}

/* What the target says unasked. */
static void declare(struct tconn *c)
{
	const struct tgt_cfg *cfg = &c->t->cfg;

	if (!c->told_group && c->named) {
		say(c, "TargetPortalGroupTag", "1");
		if (cfg->alias)
			say(c, "TargetAlias", cfg->alias);
		c->told_group = true;
	}
	if (c->csg == 1 && !c->declared) {
		say_number(c, "MaxRecvDataSegmentLength", cfg->mrdsl);
		c->declared = true;
	}
}

static void enter_full_feature(struct tconn *c)
{
	c->phase = PHASE_FULL;
	if (c->t->cfg.ping_ns)
		c->next_ping_ns = c->t->now_ns + c->t->cfg.ping_ns;
	tell(c->t, "target: connection %u of session %u is up, level %u", c->cid, c->session->tsih,
	     c->session->erl);
}

/* A piece of the answer; the last one moves on. */
static void answer(struct tconn *c, const uint8_t *bhs)
{
	uint32_t most = c->t->cfg.login_chunk ? c->t->cfg.login_chunk : SEGMENT;
	size_t left = c->n_text_out - c->text_out_at;
	uint32_t n = left < most ? (uint32_t)left : most;
	bool more = n < left, transit, last;
	uint8_t b[BHS];
	unsigned status;

	answer_base(c, bhs, b);
	transit = !more && bhs[1] & 0x80 && !c->asked_more;
	last = transit && (bhs[1] & 3) == 3;
	if (last) {
		status = tsession_join(c, bhs);
		if (status) {
			refuse(c, bhs, status, NULL);
			return;
		}
		put16(b + 14, c->session->tsih);
	}
	if (transit)
		b[1] |= 0x80 | (bhs[1] & 3);
	else if (more)
		b[1] |= 0x40;
	send_pdu(c, b, c->text_out + c->text_out_at, n, true);
	c->text_out_at += n;
	if (!more)
		c->n_text_out = c->text_out_at = 0;
	if (transit)
		c->csg = bhs[1] & 3;
	if (last)
		enter_full_feature(c);
}

static bool header_makes_sense(struct tconn *c, const uint8_t *bhs)
{
	unsigned csg = bhs[1] >> 2 & 3, nsg = bhs[1] & 3;
	bool transit = bhs[1] & 0x80;

	if (!c->n_rounds)
		c->csg = (uint8_t)csg;
	return bhs[0] & IMMEDIATE && csg == c->csg && csg <= 1 && bhs[3] == 0 &&
	       !(transit && bhs[1] & 0x40) && (!transit || (nsg > csg && nsg != 2)) &&
	       ++c->n_rounds < 64;
}

static void first_request(struct tconn *c, const uint8_t *bhs)
{
	struct session *p = c->proposed;

	memcpy(p->isid, bhs + 8, 6);
	p->tsih = (uint16_t)get16(bhs + 14);
	c->cid = (uint16_t)get16(bhs + 20);
	p->expcmdsn = get32(bhs + AT_CMDSN);
	p->told_max = p->expcmdsn - 1;
}

void on_login(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n,
	      const struct tgt_rule *rule)
{
	unsigned status = 0;
	bool first = !c->n_rounds;

	if (first)
		first_request(c, bhs);
	else if (get32(bhs + AT_EXPSTATSN) != c->statsn)
		blame(c->t, "ExpStatSN %u in a Login Request, not %u", get32(bhs + AT_EXPSTATSN),
		      c->statsn);
	if (!header_makes_sense(c, bhs)) {
		blame(c->t, "Login Request with flags %02x in stage %u", bhs[1], c->csg);
		refuse(c, bhs, 0x020b, NULL);
		return;
	}
	if (rule && (rule->act == TGT_REDIRECT || rule->act == TGT_STATUS)) {
		refuse(c, bhs, rule->arg, rule->act == TGT_REDIRECT ? rule->text : NULL);
		return;
	}
	c->text_in = must(realloc(c->text_in, c->n_text_in + n + 1));
	memcpy(c->text_in + c->n_text_in, data, n);
	c->n_text_in += n;
	if (!(bhs[1] & 0x40)) {
		status = take_text(c);
		if (!status && first && !c->discovery && !c->named)
			status = 0x0207;
		if (!status && !c->proposed->initiator[0])
			status = 0x0207;
		if (status) {
			refuse(c, bhs, status, NULL);
			return;
		}
		declare(c);
	}
	c->asked_more = c->t->cfg.login_more_rounds && !c->asked_more && bhs[1] & 0x80;
	answer(c, bhs);
}

/* ---- text -------------------------------------------------------------- */

static bool asks_for(const uint8_t *data, uint32_t n, const char *what)
{
	size_t k = strlen(what) + 1;

	return n >= k && memcmp(data, what, k) == 0;
}

void on_text(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n)
{
	const struct tgt_cfg *cfg = &c->t->cfg;
	uint8_t b[BHS] = {OP_TEXT_RSP, FINAL};
	char all[300];

	memcpy(b + AT_ITT, bhs + AT_ITT, 4);
	put32(b + AT_TTT, TAG_NONE);
	if (get32(bhs + AT_TTT) == TAG_NONE) {
		c->n_text_out = c->text_out_at = 0;
		snprintf(all, sizeof(all), "SendTargets=%s", cfg->name);
		if ((c->discovery && asks_for(data, n, "SendTargets=All")) ||
		    asks_for(data, n, "SendTargets=") || asks_for(data, n, all)) {
			say(c, "TargetName", cfg->name);
			snprintf(all, sizeof(all), "%s,1", cfg->address ? cfg->address : "");
			if (cfg->address)
				say(c, "TargetAddress", all);
		} else if (n) {
			const uint8_t *eq = memchr(data, '=', n);

			snprintf(all, sizeof(all), "%.*s", (int)(eq ? (uint32_t)(eq - data) : n),
				 (const char *)data);
			say(c, all, "NotUnderstood");
		}
	}
	if (cfg->login_chunk && c->n_text_out - c->text_out_at > cfg->login_chunk) {
		b[1] = 0x40; /* C */
		put32(b + AT_TTT, 0x7e57);
		send_pdu(c, b, c->text_out + c->text_out_at, cfg->login_chunk, true);
		c->text_out_at += cfg->login_chunk;
		return;
	}
	send_pdu(c, b, c->text_out ? c->text_out + c->text_out_at : NULL,
		 (uint32_t)(c->n_text_out - c->text_out_at), true);
	c->n_text_out = c->text_out_at = 0;
}
