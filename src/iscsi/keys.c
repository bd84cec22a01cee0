/* SPDX-License-Identifier: MIT */
/*
 * Text keys and their negotiation
 *
 * Everything about a key stands in its row. The initiator originates all
 * operational keys, so the usual event is an answer, which must be a value that
 * our offer allows; targets do make offers of their own, and those are answered by
 * the same rules.
 */
#include "iscsi/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum kind {
	LIST_DIGEST, /* the first of a list that both want */
	AND,         /* Yes when both say Yes */
	OR,          /* Yes when one says Yes */
	MIN,         /* the smaller number */
	MAX,         /* the larger number */
	DECLARE,     /* each side states its own */
	TEXT,        /* the target's own words */
	OBSOLETE_NO, /* markers: answered No (RFC 7143 §13.25) */
	OBSOLETE_REJECT,
};

struct row {
	const char *name;
	enum kind kind;
	size_t member; /* in struct iscsi_params */
	uint32_t min, max, dflt;
	bool session_wide; /* leading login only */
	bool data_only;    /* irrelevant in a discovery session */
};

#define ROW(key, kind_, lo, hi, d, wide, data)                                                \
	{                                                                                     \
		.name = #key, .kind = kind_,                                                  \
		.member = __builtin_offsetof(struct iscsi_params, key), .min = lo, .max = hi, \
		.dflt = d, .session_wide = wide, .data_only = data                            \
	}

#define SEGMENT_MAX 0xffffff

/* RFC 7143 §13; the row's number is its bit in the masks. */
static const struct row rows[] = {
	/*  key                       kind         min  max          default session data */
	ROW(HeaderDigest, LIST_DIGEST, 0, 0, 0, false, false),
	ROW(DataDigest, LIST_DIGEST, 0, 0, 0, false, false),
	ROW(MaxConnections, MIN, 1, 65535, 1, true, true),
	ROW(InitialR2T, OR, 0, 1, 1, true, true),
	ROW(ImmediateData, AND, 0, 1, 1, true, true),
	ROW(MaxRecvDataSegmentLength, DECLARE, 512, SEGMENT_MAX, 8192, false, false),
	ROW(MaxBurstLength, MIN, 512, SEGMENT_MAX, 262144, true, true),
	ROW(FirstBurstLength, MIN, 512, SEGMENT_MAX, 65536, true, true),
	ROW(DefaultTime2Wait, MAX, 0, 3600, 2, true, false),
	ROW(DefaultTime2Retain, MIN, 0, 3600, 20, true, false),
	ROW(MaxOutstandingR2T, MIN, 1, 65535, 1, true, true),
	ROW(DataPDUInOrder, OR, 0, 1, 1, true, true),
	ROW(DataSequenceInOrder, OR, 0, 1, 1, true, true),
	ROW(ErrorRecoveryLevel, MIN, 0, 2, 0, true, false),
	ROW(TargetPortalGroupTag, DECLARE, 0, 65535, 0, false, false),
	ROW(TargetAlias, TEXT, 0, 255, 0, false, false),
	{.name = "IFMarker", .kind = OBSOLETE_NO},
	{.name = "OFMarker", .kind = OBSOLETE_NO},
	{.name = "IFMarkInt", .kind = OBSOLETE_REJECT},
	{.name = "OFMarkInt", .kind = OBSOLETE_REJECT},
};

static const char *const digest_offers[] = {
	[ISCSI_OFFER_NONE] = "None",
	[ISCSI_OFFER_CRC32C] = "CRC32C",
	[ISCSI_OFFER_NONE_CRC32C] = "None,CRC32C",
	[ISCSI_OFFER_CRC32C_NONE] = "CRC32C,None",
};

static uint32_t *member_of(struct iscsi_params *p, const struct row *r)
{
	return (uint32_t *)(void *)((char *)p + r->member);
}

static uint32_t value_of(const struct iscsi_params *p, const struct row *r)
{
	return *(const uint32_t *)(const void *)((const char *)p + r->member);
}

static uint32_t bit_of(const struct row *r)
{
	return UINT32_C(1) << (r - rows);
}

void iscsi_params_default_offer(struct iscsi_params *ret)
{
	*ret = (struct iscsi_params){
		.HeaderDigest = ISCSI_OFFER_NONE_CRC32C,
		.DataDigest = ISCSI_OFFER_NONE_CRC32C,
		.MaxConnections = 1,
		.InitialR2T = 0,
		.ImmediateData = 1,
		.MaxRecvDataSegmentLength = 262144,
		.MaxBurstLength = 1048576,
		.FirstBurstLength = 262144,
		.DefaultTime2Wait = 2,
		.DefaultTime2Retain = 20,
		.MaxOutstandingR2T = 8,
		.DataPDUInOrder = 1,
		.DataSequenceInOrder = 1,
		.ErrorRecoveryLevel = 0,
	};
}

bool iscsi_params_offer_valid(const struct iscsi_params *offer)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];

		if (r->kind >= TEXT ||
		    r->member == __builtin_offsetof(struct iscsi_params, TargetPortalGroupTag))
			continue;
		if (r->kind == LIST_DIGEST
			    ? value_of(offer, r) >= ARRAY_SIZE(digest_offers)
			    : value_of(offer, r) < r->min || value_of(offer, r) > r->max)
			return false;
	}
	return offer->FirstBurstLength <= offer->MaxBurstLength;
}

/* ---- text -------------------------------------------------------------- */

void text_add_bytes(struct text *t, const void *bytes, size_t n)
{
	if (t->failed || n == 0)
		return;
	if (t->n + n > t->n_room) {
		size_t n_room = (t->n + n) * 2;
		char *grown = malloc(n_room); /* realloc() would leave a copy of a secret's hash */

		if (!grown) {
			t->failed = true;
			return;
		}
		if (t->n)
			memcpy(grown, t->bytes, t->n);
		wipe_free(t->bytes, t->n_room);
		t->bytes = grown;
		t->n_room = n_room;
	}
	memcpy(t->bytes + t->n, bytes, n);
	t->n += n;
}

void text_add(struct text *t, const char *key, const char *value)
{
	text_add_bytes(t, key, strlen(key));
	text_add_bytes(t, "=", 1);
	text_add_bytes(t, value, strlen(value) + 1);
}

void text_add_number(struct text *t, const char *key, uint32_t value)
{
	char digits[16];

	snprintf(digits, sizeof(digits), "%u", value);
	text_add(t, key, digits);
}

void text_clear(struct text *t)
{
	wipe_free(t->bytes, t->n_room);
	*t = (struct text){0};
}

int text_next(char **at, size_t *n_left, const char **ret_key, const char **ret_value)
{
	char *end, *eq;

	if (*n_left == 0)
		return 0;
	end = memchr(*at, '\0', *n_left);
	if (!end)
		return -EBADMSG;
	/* Some targets pad the text with more NULs. */
	if (end == *at) {
		for (size_t i = 0; i < *n_left; i++)
			if ((*at)[i])
				return -EBADMSG;
		*n_left = 0;
		return 0;
	}
	eq = memchr(*at, '=', (size_t)(end - *at));
	if (!eq || eq == *at || eq - *at > TEXT_KEY_MAX || end - eq - 1 > TEXT_VALUE_MAX)
		return -EBADMSG;
	*eq = '\0';
	*ret_key = *at;
	*ret_value = eq + 1;
	*n_left -= (size_t)(end + 1 - *at);
	*at = end + 1;
	return 1;
}

bool text_number(const char *s, uint32_t *ret)
{
	bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	uint64_t v = 0;

	if (hex)
		s += 2;
	if (!*s)
		return false;
	for (; *s; s++) {
		uint32_t d;

		if (*s >= '0' && *s <= '9')
			d = (uint32_t)(*s - '0');
		else if (hex && (*s | 32) >= 'a' && (*s | 32) <= 'f')
			d = (uint32_t)((*s | 32) - 'a' + 10);
		else
			return false;
		v = v * (hex ? 16 : 10) + d;
		if (v > UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)v;
	return true;
}

/* ---- negotiation ------------------------------------------------------- */

void negotiation_init(struct negotiation *g, const struct iscsi_params *offer,
		      struct iscsi_params *result, bool discovery, bool leading)
{
	*g = (struct negotiation){
		.offer = offer, .result = result, .discovery = discovery, .leading = leading};
}

static int refuse(struct negotiation *g, const char *key, const char *value, const char *what)
{
	snprintf(g->why, sizeof(g->why), "%.64s=%.32s: %s", key, value, what);
	return -EPROTO;
}

static bool wanted(const struct negotiation *g, const struct row *r)
{
	if (r->kind >= TEXT ||
	    r->member == __builtin_offsetof(struct iscsi_params, TargetPortalGroupTag))
		return false;
	return !(r->session_wide && !g->leading) && !(r->data_only && g->discovery);
}

static void offer_one(const struct negotiation *g, const struct row *r, struct text *out)
{
	uint32_t v = value_of(g->offer, r);

	switch (r->kind) {
	case LIST_DIGEST: text_add(out, r->name, digest_offers[v]); break;
	case AND:
	case OR: text_add(out, r->name, v ? "Yes" : "No"); break;
	case MIN:
	case MAX:
	case DECLARE: text_add_number(out, r->name, v); break;
	case TEXT:
	case OBSOLETE_NO:
	case OBSOLETE_REJECT: break;
	}
}

void negotiation_offer(struct negotiation *g, struct text *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];

		if (!wanted(g, r) || (g->offered | g->settled) & bit_of(r))
			continue;
		offer_one(g, r, out);
		g->offered |= bit_of(r);
		if (r->kind == DECLARE)
			*member_of(g->result, r) = value_of(g->offer, r);
	}
}

static bool boolean_of(const char *s, uint32_t *ret)
{
	*ret = strcmp(s, "Yes") == 0;
	return *ret || strcmp(s, "No") == 0;
}

/* Is @item one of the comma separated @list? */
static bool list_has(const char *list, const char *item)
{
	size_t n = strlen(item);

	for (;;) {
		size_t k = strcspn(list, ",");

		if (k == n && memcmp(list, item, n) == 0)
			return true;
		if (!list[k])
			return false;
		list += k + 1;
	}
}

static bool reserved_word(const char *v)
{
	return strcmp(v, "NotUnderstood") == 0 || strcmp(v, "Irrelevant") == 0;
}

/* What holds for a key that stayed without an answer. */
static uint32_t fallback(const struct negotiation *g, const struct row *r)
{
	uint32_t mine = value_of(g->offer, r);

	if (r->kind == MIN || r->kind == AND)
		return mine < r->dflt ? mine : r->dflt;
	if (r->kind == MAX || r->kind == OR)
		return mine > r->dflt ? mine : r->dflt;
	return r->dflt;
}

/* The answer to our offer of @r: a value that the offer allows. */
static int take_answer(struct negotiation *g, const struct row *r, const char *value)
{
	uint32_t mine = value_of(g->offer, r), v;

	if (reserved_word(value)) {
		if (r->kind == LIST_DIGEST && !list_has(digest_offers[mine], "None"))
			return refuse(g, r->name, value, "the digest we require is not supported");
		*member_of(g->result, r) = fallback(g, r);
		return 0;
	}
	switch (r->kind) {
	case LIST_DIGEST:
		if (!list_has(digest_offers[mine], value) || strchr(value, ','))
			return refuse(g, r->name, value, "not one of the values offered");
		*member_of(g->result, r) =
			strcmp(value, "None") == 0 ? ISCSI_DIGEST_NONE : ISCSI_DIGEST_CRC32C;
		return 0;
	case AND:
	case OR:
		if (!boolean_of(value, &v))
			return refuse(g, r->name, value, "neither Yes nor No");
		if (r->kind == AND ? v && !mine : !v && mine)
			return refuse(g, r->name, value, "not what our offer allows");
		break;
	case MIN:
	case MAX:
		if (!text_number(value, &v) || v < r->min || v > r->max)
			return refuse(g, r->name, value, "not a number in the key's range");
		if (r->kind == MIN ? v > mine : v < mine)
			return refuse(g, r->name, value, "not what our offer allows");
		break;
	default: return refuse(g, r->name, value, "unexpected");
	}
	*member_of(g->result, r) = v;
	return 0;
}

/* The target's own offer of a key that we have not offered. */
static int take_offer(struct negotiation *g, const struct row *r, const char *value,
		      struct text *reply)
{
	uint32_t mine, v;

	g->owes = true;
	if (!wanted(g, r)) {
		if (g->leading)
			*member_of(g->result, r) = fallback(g, r);
		text_add(reply, r->name, g->discovery && r->data_only ? "Irrelevant" : "Reject");
		return 0;
	}
	mine = value_of(g->offer, r);
	switch (r->kind) {
	case LIST_DIGEST: {
		static const char *const words[] = {"None", "CRC32C"};
		bool crc_first = mine == ISCSI_OFFER_CRC32C_NONE || mine == ISCSI_OFFER_CRC32C;

		for (int i = 0; i < 2; i++) {
			bool crc = crc_first ? i == 0 : i == 1;

			if (!list_has(digest_offers[mine], words[crc]) ||
			    !list_has(value, words[crc]))
				continue;
			*member_of(g->result, r) = crc;
			text_add(reply, r->name, words[crc]);
			return 0;
		}
		text_add(reply, r->name, "Reject");
		return refuse(g, r->name, value, "no value that both sides take");
	}
	case AND:
	case OR:
		if (!boolean_of(value, &v))
			return refuse(g, r->name, value, "neither Yes nor No");
		v = r->kind == AND ? v && mine : v || mine;
		text_add(reply, r->name, v ? "Yes" : "No");
		break;
	case MIN:
	case MAX:
		if (!text_number(value, &v) || v < r->min || v > r->max)
			return refuse(g, r->name, value, "not a number in the key's range");
		v = (r->kind == MIN) == (v < mine) ? v : mine;
		text_add_number(reply, r->name, v);
		break;
	default: return refuse(g, r->name, value, "unexpected");
	}
	*member_of(g->result, r) = v;
	return 0;
}

static int take_declaration(struct negotiation *g, const struct row *r, const char *value)
{
	uint32_t v;

	if (!text_number(value, &v) || v < r->min || v > r->max)
		return refuse(g, r->name, value, "not a number in the key's range");
	if (r->member == __builtin_offsetof(struct iscsi_params, MaxRecvDataSegmentLength))
		g->result->TargetMaxRecvDataSegmentLength = v;
	else
		*member_of(g->result, r) = v;
	return 0;
}

static int take_text(struct negotiation *g, const struct row *r, const char *value)
{
	if (strlen(value) > r->max)
		return refuse(g, r->name, "…", "longer than 255 bytes");
	strcpy((char *)g->result + r->member, value);
	return 0;
}

static const struct row *row_of(const char *key)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].name, key) == 0)
			return &rows[i];
	return NULL;
}

int params_take_change(struct iscsi_params *params, const char *key, const char *value,
		       uint32_t *ret_mrdsl, struct text *reply)
{
	const struct row *r = row_of(key);
	uint32_t v;

	if (!r) {
		/* What it says of itself is no offer, and an answer to no question is none either.
		 */
		if (strncmp(key, "Target", 6) != 0 && !reserved_word(value) &&
		    strcmp(value, "Reject") != 0)
			text_add(reply, key, "NotUnderstood");
		return 0;
	}
	if (r->kind == TEXT) {
		if (strlen(value) > r->max)
			return -EPROTO;
		strcpy((char *)params + r->member, value);
		return 0;
	}
	if (r->member == __builtin_offsetof(struct iscsi_params, MaxRecvDataSegmentLength)) {
		if (*ret_mrdsl || !text_number(value, &v) || v < r->min || v > r->max)
			return -EPROTO;
		*ret_mrdsl = v;
		return 0;
	}
	/* All others are settled in the login (§13). */
	if (r->kind != DECLARE)
		text_add(reply, key, "Reject");
	return 0;
}

int negotiation_take(struct negotiation *g, const char *key, const char *value, struct text *reply)
{
	const struct row *r = row_of(key);

	if (!r) {
		/* An answer to nothing we asked would ring back and forth for ever. */
		if (!reserved_word(value) && strcmp(value, "Reject") != 0)
			text_add(reply, key, "NotUnderstood");
		return 0;
	}
	/*
	 * Targets offer what is the session's on further connections too, and reject that we
	 * reject it.
	 */
	if (r->session_wide && !g->leading && strcmp(value, "Reject") == 0)
		return 0;
	if (g->settled & bit_of(r) && r->kind != TEXT)
		return refuse(g, key, value, "negotiated a second time");
	g->settled |= bit_of(r);

	switch (r->kind) {
	case OBSOLETE_NO: text_add(reply, key, "No"); return 0;
	case OBSOLETE_REJECT: text_add(reply, key, "Reject"); return 0;
	case TEXT: return take_text(g, r, value);
	case DECLARE: return take_declaration(g, r, value);
	default: break;
	}
	if (strcmp(value, "Reject") == 0)
		return refuse(g, key, value, "the target refuses our offer");
	return g->offered & bit_of(r) ? take_answer(g, r, value) : take_offer(g, r, value, reply);
}

int negotiation_finish(struct negotiation *g)
{
	struct iscsi_params *p = g->result;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];

		if (g->settled & bit_of(r) || r->kind >= TEXT || r->kind == DECLARE)
			continue;
		if (r->session_wide && !g->leading)
			continue;
		if (r->kind == LIST_DIGEST &&
		    !list_has(digest_offers[value_of(g->offer, r)], "None"))
			return refuse(g, r->name, "",
				      "the target did not answer for the digest we require");
		*member_of(p, r) = fallback(g, r);
		/* The default may be more than the MaxBurstLength that was agreed on. */
		if (r->member == __builtin_offsetof(struct iscsi_params, FirstBurstLength) &&
		    p->FirstBurstLength > p->MaxBurstLength)
			p->FirstBurstLength = p->MaxBurstLength;
	}
	if (!p->TargetMaxRecvDataSegmentLength)
		p->TargetMaxRecvDataSegmentLength = 8192;
	if (g->owes)
		return refuse(g, "offer", "",
			      "made in the target's last word, which cannot be answered");
	if (!g->discovery && p->FirstBurstLength > p->MaxBurstLength &&
	    !(p->InitialR2T && !p->ImmediateData))
		return refuse(g, "FirstBurstLength", "", "larger than MaxBurstLength");
	return 0;
}
