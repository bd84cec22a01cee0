/* SPDX-License-Identifier: MIT */
/*
 * Bytes in and out of the test target, and where rules bite
 */
#include "inside.h"

#include <stdio.h>
#include <string.h>

static void trace_pdu(struct tgt *t, const char *way, const struct tconn *c, const uint8_t *b)
{
	if (t->cfg.trace)
		tell(t, "%s %u %-18s %02x itt %08x ttt %08x sn %08x %08x %08x %08x %08x %08x n %u",
		     way, c->cid, wire_name(b[0]), b[1], get32(b + 16), get32(b + 20),
		     get32(b + 24), get32(b + 28), get32(b + 32), get32(b + 36), get32(b + 40),
		     get32(b + 44), get24(b + AT_LENGTH));
}

/* ---- out --------------------------------------------------------------- */

void hang_up(struct tconn *c)
{
	c->phase = PHASE_GONE;
}

static void put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* The wire form, at most BHS + n + 11 bytes; returns how many. */
static size_t assemble(const struct tconn *c, const uint8_t *bhs, const void *data, uint32_t n,
		       uint8_t *to)
{
	bool digests = (bhs[0] & OP_MASK) != OP_LOGIN_RSP;
	size_t at = BHS;

	memcpy(to, bhs, BHS);
	if (digests && c->header_digest) {
		put_le32(to + at, wire_crc(0, to, BHS));
		at += 4;
	}
	if (!n)
		return at;
	memcpy(to + at, data, n);
	memset(to + at + n, 0, padding(n));
	n += padding(n);
	if (digests && c->data_digest) {
		put_le32(to + at + n, wire_crc(0, to + at, n));
		n += 4;
	}
	return at + n;
}

static uint8_t *room_out(struct tconn *c, size_t n)
{
	if (c->out_at == c->n_out)
		c->out_at = c->n_out = 0;
	if (c->n_out + n > c->n_out_room && c->out_at) {
		memmove(c->out, c->out + c->out_at, c->n_out - c->out_at);
		c->n_out -= c->out_at;
		c->out_at = 0;
	}
	grow(&c->out, &c->n_out_room, c->n_out + n);
	return c->out + c->n_out;
}

static void add_out(struct tconn *c, const uint8_t *bytes, size_t n)
{
	memcpy(room_out(c, n), bytes, n);
	c->n_out += n;
}

void release_late(struct tconn *c)
{
	struct late *l;

	while ((l = list_first(&c->late, struct late, node)) && l->due_ns <= c->t->now_ns) {
		add_out(c, l->bytes, l->n);
		list_remove(&l->node);
		free(l);
	}
}

static void add_late(struct tconn *c, const uint8_t *bhs, const void *data, uint32_t n,
		     uint64_t due_ns)
{
	struct late *l = must(malloc(sizeof(*l) + BHS + n + 16)), *last;

	if (!list_empty(&c->late)) {
		last = CONTAINER_OF(c->late.prev, struct late, node);
		if (due_ns < last->due_ns)
			due_ns = last->due_ns;
	}
	l->due_ns = due_ns;
	l->n = assemble(c, bhs, data, n, l->bytes);
	list_append(&c->late, &l->node);
}

static void late_drop(struct tconn *c)
{
	struct late *l;

	while ((l = list_first(&c->late, struct late, node))) {
		list_remove(&l->node);
		free(l);
	}
}

static void flip(struct tconn *c, uint8_t *bytes, size_t n)
{
	uint32_t bit;

	if (!n)
		return;
	bit = rng_below(&c->t->rng, (uint32_t)n * 8);
	bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

static void add32(uint8_t *at, uint32_t v)
{
	put32(at, get32(at) + v);
}

/* What lies in a header. */
static void bend(struct tconn *c, const struct tgt_rule *r, uint8_t *b)
{
	bool login = (b[0] & OP_MASK) == OP_LOGIN_RSP;

	switch (r->act) {
	case TGT_STATSN: add32(b + AT_STATSN, r->arg); break;
	case TGT_DATASN: add32(b + AT_DATASN, r->arg); break;
	case TGT_OFFSET: add32(b + AT_OFFSET, r->arg); break;
	case TGT_LENGTH:
		if ((b[0] & OP_MASK) == OP_R2T)
			add32(b + AT_LAST, r->arg);
		else
			put24(b + AT_LENGTH, get24(b + AT_LENGTH) + r->arg);
		break;
	case TGT_ITT: put32(b + AT_ITT, 0x13570000 ^ (uint32_t)rng_next(&c->t->rng)); break;
	case TGT_TTT: put32(b + AT_TTT, r->arg); break;
	case TGT_OPCODE: b[0] = (uint8_t)(r->arg & OP_MASK); break;
	case TGT_FLAGS: b[1] ^= (uint8_t)r->arg; break;
	case TGT_STATUS:
		if (login)
			put16(b + 36, r->arg);
		else
			b[3] = (uint8_t)r->arg;
		break;
	case TGT_RESPONSE: b[2] = (uint8_t)r->arg; break;
	case TGT_RESIDUAL:
		b[1] |= 2;
		put32(b + AT_LAST, r->arg);
		break;
	case TGT_WINDOW: put32(b + AT_MAXCMDSN, get32(b + AT_EXPCMDSN) - 1 + r->arg); break;
	default: break;
	}
}

static void emit_bent(struct tconn *c, const struct tgt_rule *r, uint8_t *bhs, const void *data,
		      uint32_t n)
{
	uint8_t *to, *lie = NULL;
	size_t k, head = BHS + (c->header_digest ? 4 : 0);

	if (r->act == TGT_DROP)
		return;
	if (r->act == TGT_SILENCE) {
		c->silent = true;
		return;
	}
	if (r->act == TGT_CLOSE) {
		hang_up(c);
		return;
	}
	if (r->act == TGT_DELAY) {
		add_late(c, bhs, data, n, c->t->now_ns + r->arg * MS);
		return;
	}
	bend(c, r, bhs);
	if (r->act == TGT_LIE_DATA && n) {
		lie = must(malloc(n));
		memcpy(lie, data, n);
		flip(c, lie, n);
	}
	to = room_out(c, 2 * (BHS + (size_t)n + 16));
	k = assemble(c, bhs, lie ? lie : data, n, to);
	free(lie);
	if (r->act == TGT_CORRUPT_HEADER)
		flip(c, to, BHS);
	if (r->act == TGT_CORRUPT_DATA)
		flip(c, to + head, k > head ? n : 0);
	if (r->act == TGT_HALF) {
		/* nothing may follow: without a data digest it would be taken for the other half */
		k /= 2;
		late_drop(c);
		hang_up(c);
	}
	c->n_out += k;
	if (r->act != TGT_DUPLICATE)
		return;
	memcpy(to + k, to, k);
	c->n_out += k;
}

static void emit(struct tconn *c, uint8_t *bhs, const void *data, uint32_t n)
{
	struct tgt_rule room;
	const struct tgt_rule *r;

	if (c->silent || c->phase == PHASE_GONE)
		return;
	r = rule_for(c->t, bhs[0] & OP_MASK, false, &room);
	trace_pdu(c->t, "  <-", c, bhs);
	if (r)
		emit_bent(c, r, bhs, data, n);
	else if (!list_empty(&c->late))
		add_late(c, bhs, data, n, 0);
	else
		c->n_out += assemble(c, bhs, data, n, room_out(c, BHS + n + 16));
}

static void keep(struct tconn *c, const uint8_t *bhs, const void *data, uint32_t n)
{
	struct kept *k = must(malloc(sizeof(*k) + n));

	k->statsn = get32(bhs + AT_STATSN);
	memcpy(k->bhs, bhs, BHS);
	k->n = n;
	if (n)
		memcpy(k->data, data, n);
	list_append(&c->kept, &k->node);
}

static void put_window(struct tconn *c, uint8_t *bhs)
{
	struct session *s = c->session ? c->session : c->proposed;

	if (!s)
		return;
	put32(bhs + AT_EXPCMDSN, s->expcmdsn);
	put32(bhs + AT_MAXCMDSN, tsession_max_cmdsn(s));
}

void send_pdu(struct tconn *c, uint8_t bhs[BHS], const void *data, uint32_t n, bool statsn)
{
	unsigned op = bhs[0] & OP_MASK;

	if (c->phase == PHASE_GONE)
		return;
	put24(bhs + AT_LENGTH, n);
	put_window(c, bhs);
	if (op != OP_DATA_IN || statsn)
		put32(bhs + AT_STATSN, c->statsn);
	if (statsn) {
		c->statsn++;
		if (c->session && c->session->erl >= 1 && op != OP_LOGIN_RSP)
			keep(c, bhs, data, n);
	}
	emit(c, bhs, data, n);
}

void send_again(struct tconn *c, const uint8_t bhs[BHS], const void *data, uint32_t n)
{
	uint8_t b[BHS];

	memcpy(b, bhs, BHS);
	put_window(c, b);
	c->t->stats.n_resent++;
	emit(c, b, data, n);
}

void reject(struct tconn *c, const uint8_t bhs[BHS], unsigned reason)
{
	uint8_t b[BHS] = {OP_REJECT, FINAL, (uint8_t)reason};

	put32(b + AT_ITT, TAG_NONE);
	send_pdu(c, b, bhs, BHS, true);
}

void send_async(struct tconn *c, unsigned event, unsigned p1, unsigned p2, unsigned p3)
{
	uint8_t b[BHS] = {OP_ASYNC, FINAL};
	uint8_t sense[20] = {0, 18, 0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3f, 0x0e};

	put32(b + AT_ITT, TAG_NONE);
	b[36] = (uint8_t)event;
	put16(b + 38, p1);
	put16(b + 40, p2);
	put16(b + 42, p3);
	if (event == 0)
		send_pdu(c, b, sense, sizeof(sense), true);
	else
		send_pdu(c, b, NULL, 0, true);
	if ((event == 2 && p1 == c->cid) || event == 3)
		hang_up(c);
}

size_t tgt_output(const struct tconn *c, const uint8_t **ret_bytes)
{
	*ret_bytes = c->out + c->out_at;
	return c->n_out - c->out_at;
}

void tgt_sent(struct tconn *c, size_t n)
{
	c->out_at += n;
	if (c->out_at == c->n_out)
		c->out_at = c->n_out = 0;
}

bool tgt_wants_close(const struct tconn *c)
{
	return c->phase == PHASE_GONE && c->out_at == c->n_out && list_empty(&c->late);
}

/* ---- in ---------------------------------------------------------------- */

static bool digest_ok(const uint8_t *at, uint32_t crc)
{
	return (at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24) ==
	       crc;
}

/* A request's rule that is not about a command; true: the request has been dealt with. */
static bool meet(struct tconn *c, const struct tgt_rule *r, const uint8_t *bhs)
{
	switch (r->act) {
	case TGT_DROP: return true;
	case TGT_CLOSE: hang_up(c); return true;
	case TGT_SILENCE: c->silent = true; return false;
	case TGT_REJECT:
		if (c->phase != PHASE_FULL)
			return false;
		/* The number of a rejected command counts as come (§4.2.2.1). */
		if ((bhs[0] & OP_MASK) == OP_COMMAND && !(bhs[0] & IMMEDIATE))
			tsession_plug(c->session, get32(bhs + AT_CMDSN));
		reject(c, bhs, r->arg);
		return true;
	case TGT_ASYNC:
		if (c->phase == PHASE_FULL)
			send_async(c, r->arg, r->arg == 2 ? c->cid : 0, 1, 2);
		return false;
	default: return false;
	}
}

static void bad_data_digest(struct tconn *c, const uint8_t *bhs)
{
	c->t->stats.n_digest_errors++;
	tell(c->t, "target: data digest error in a %s", wire_name(bhs[0]));
	if (!c->session || c->session->erl < 1) {
		hang_up(c);
		return;
	}
	reject(c, bhs, 0x02);
}

static void on_pdu(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n)
{
	unsigned op = bhs[0] & OP_MASK;
	struct tgt_rule room;
	const struct tgt_rule *r = rule_for(c->t, op, true, &room);

	trace_pdu(c->t, "->  ", c, bhs);
	if (r && meet(c, r, bhs))
		return;
	if (c->phase == PHASE_GONE)
		return;
	if (c->phase == PHASE_LOGIN) {
		if (op == OP_LOGIN) {
			on_login(c, bhs, data, n, r);
			return;
		}
		blame(c->t, "%s before the login's end", wire_name(op));
		hang_up(c);
		return;
	}
	on_request(c, bhs, data, n, r);
}

/* Bytes of a PDU that begins with @bhs. */
static size_t pdu_size(const struct tconn *c, const uint8_t *bhs)
{
	uint32_t n = get24(bhs + AT_LENGTH);
	bool full = c->phase == PHASE_FULL;

	return BHS + bhs[AT_AHS] * 4u + (full && c->header_digest ? 4u : 0u) + n + padding(n) +
	       (full && c->data_digest && n ? 4u : 0u);
}

static bool header_good(struct tconn *c, const uint8_t *b)
{
	uint32_t most = c->phase == PHASE_FULL ? c->t->cfg.mrdsl : 8192;

	if (get24(b + AT_LENGTH) <= most && !b[AT_AHS])
		return true;
	blame(c->t, "%s with %u bytes of data and %u words of AHS", wire_name(b[0]),
	      get24(b + AT_LENGTH), b[AT_AHS]);
	hang_up(c);
	return false;
}

static void take_pdu(struct tconn *c, const uint8_t *b)
{
	uint32_t n = get24(b + AT_LENGTH);
	const uint8_t *data = b + BHS;

	if (c->phase == PHASE_FULL && c->header_digest)
		data += 4;
	if (c->phase == PHASE_FULL && c->data_digest && n &&
	    !digest_ok(data + n + padding(n), wire_crc(0, data, n + padding(n)))) {
		bad_data_digest(c, b);
		return;
	}
	on_pdu(c, b, data, n);
}

void tgt_input(struct tconn *c, const void *bytes, size_t n, uint64_t now_ns)
{
	size_t at = 0;

	c->t->now_ns = now_ns;
	if (c->phase == PHASE_GONE)
		return;
	grow(&c->in, &c->n_in_room, c->n_in + n);
	memcpy(c->in + c->n_in, bytes, n);
	c->n_in += n;
	while (c->phase != PHASE_GONE) {
		const uint8_t *b = c->in + at;
		size_t left = c->n_in - at, whole, head;

		head = BHS + (c->phase == PHASE_FULL && c->header_digest ? 4 : 0);
		if (left < head)
			break;
		if (head > BHS && !digest_ok(b + BHS, wire_crc(0, b, BHS))) {
			c->t->stats.n_digest_errors++;
			tell(c->t, "target: header digest error");
			hang_up(c);
			break;
		}
		if (!header_good(c, b))
			break;
		whole = pdu_size(c, b);
		if (left < whole)
			break;
		at += whole;
		take_pdu(c, b);
	}
	memmove(c->in, c->in + at, c->n_in - at);
	c->n_in -= at;
}
