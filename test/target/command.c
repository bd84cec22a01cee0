/* SPDX-License-Identifier: MIT */
/*
 * One command of the test target: its data in both directions, and its status
 */
#include "inside.h"

#include <string.h>

#define MOST_DATA (64u << 20)

struct cmd *cmd_end(struct cmd *k)
{
	list_remove(&k->node);
	k->session->n_cmds--;
	free(k->data);
	free(k->have);
	free(k->r2t);
	free(k->piece);
	free(k);
	return NULL;
}

struct cmd *cmd_find(struct session *s, uint32_t itt)
{
	struct cmd *k;

	list_for_each (k, &s->cmds, node)
		if (k->itt == itt)
			return k;
	return NULL;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* How long the next segment or R2T is, of at most @most bytes. */
static uint32_t some(struct tgt *t, uint32_t most)
{
	if (!t->cfg.random_sizes || most <= t->cfg.segment_min)
		return most;
	/* whole segments more often than not */
	if (rng_below(&t->rng, 4) == 0)
		return most;
	return rng_from(&t->rng, t->cfg.segment_min, most);
}

/* ---- status ------------------------------------------------------------ */

static void set_residual(struct cmd *k, uint32_t moved, uint32_t wanted)
{
	k->underflow = wanted < k->expected;
	k->overflow = wanted > k->expected;
	k->residual = k->underflow ? k->expected - moved : k->overflow ? wanted - k->expected : 0;
}

static void is_answered(struct cmd *k, uint32_t statsn)
{
	k->answered = true;
	k->statsn = statsn;
	k->state = CMD_STATUS;
	k->due_ns = TGT_NEVER;
	if (k->session->erl == 0)
		cmd_end(k);
}

/* The status of a unit attention goes out: once it is acknowledged, it was heard. */
static void attention_goes(const struct cmd *k, uint32_t statsn)
{
	int lun = lun_index(k->lun);
	struct session *s = k->session;

	if (k->n_sense < 14 || k->sense[12] != 0x29 || lun < 0 || !s->told[lun].what)
		return;
	s->told[lun].conn = k->conn;
	s->told[lun].statsn = statsn;
}

static uint8_t residual_flags(const struct cmd *k)
{
	return (uint8_t)((k->overflow ? 4 : 0) | (k->underflow ? 2 : 0));
}

void cmd_answer(struct cmd *k)
{
	struct tconn *c = k->conn;
	uint8_t b[BHS] = {OP_RESPONSE, FINAL, k->response, k->status}, sense[32];
	uint32_t statsn = c->statsn, n = 0;

	b[1] |= residual_flags(k);
	put32(b + AT_ITT, k->itt);
	put32(b + AT_DATASN, k->reads ? k->n_pieces : k->r2tsn);
	put32(b + AT_LAST, k->residual);
	if (k->n_sense) {
		put16(sense, k->n_sense);
		memcpy(sense + 2, k->sense, k->n_sense);
		n = k->n_sense + 2u;
		attention_goes(k, statsn);
	}
	send_pdu(c, b, sense, n, true);
	is_answered(k, statsn);
}

/* ---- reads ------------------------------------------------------------- */

static void send_piece(struct cmd *k, const struct piece *p, uint32_t datasn, bool again)
{
	struct tconn *c = k->conn;
	uint8_t b[BHS] = {OP_DATA_IN, p->flags};

	put32(b + AT_ITT, k->itt);
	put32(b + AT_TTT, TAG_NONE);
	if (p->flags & 0x40) {
		put64(b + AT_LUN, k->lun);
		put32(b + AT_TTT, k->itt ^ 0x5a5a5a5a);
	}
	put32(b + AT_DATASN, datasn);
	put32(b + AT_OFFSET, p->off);
	if (p->flags & 1) {
		b[3] = k->status;
		put32(b + AT_LAST, k->residual);
	}
	put24(b + AT_LENGTH, p->n);
	if (again)
		send_again(c, b, k->data + p->off, p->n);
	else
		send_pdu(c, b, k->data + p->off, p->n, p->flags & 1);
}

static struct piece *piece_add(struct cmd *k)
{
	if (k->n_pieces == k->n_piece_room) {
		k->n_piece_room = k->n_piece_room ? 2 * k->n_piece_room : 8;
		k->piece = must(realloc(k->piece, k->n_piece_room * sizeof(*k->piece)));
	}
	return &k->piece[k->n_pieces++];
}

/* Without order data is sent, and asked for, from both ends. */
static bool from_the_end(const struct session *s)
{
	return !s->pdu_in_order && !s->sequence_in_order && rng_below(&s->t->rng, 2);
}

/* One Data-In; true: it was the last thing to say. */
static bool send_some(struct cmd *k)
{
	struct session *s = k->session;
	struct tgt *t = s->t;
	uint32_t total = smaller(k->n_data, k->expected), left = total - k->n_sent;
	uint32_t most = smaller(k->conn->his_mrdsl, s->max_burst - k->burst);
	struct piece *p = piece_add(k);
	bool last, collapse;
	uint32_t statsn = k->conn->statsn;

	p->n = left <= most && !rng_below(&t->rng, 2) ? left : some(t, smaller(left, most));
	p->off = k->n_sent - k->n_end;
	if (from_the_end(s)) {
		k->n_end += p->n;
		p->off = total - k->n_end;
	}
	k->n_sent += p->n;
	k->burst += p->n;
	last = k->n_sent == total;
	collapse = last && !k->status && rng_below(&t->rng, 4);
	p->flags = last || k->burst == s->max_burst ? FINAL : 0;
	if (p->flags)
		k->burst = 0;
	if (s->erl >= 1 && !collapse && p->flags && rng_below(&t->rng, 2))
		p->flags |= 0x40;
	if (collapse)
		p->flags |= (uint8_t)(1 | residual_flags(k));
	send_piece(k, p, k->n_pieces - 1, false);
	if (collapse)
		is_answered(k, statsn);
	else if (last)
		cmd_answer(k);
	return last;
}

static void send_data(struct cmd *k)
{
	struct tgt *t = k->session->t;
	unsigned n = t->cfg.interleave ? rng_from(&t->rng, 1, 3) : UINT32_MAX;

	if (!smaller(k->n_data, k->expected) || k->n_sent == smaller(k->n_data, k->expected)) {
		cmd_answer(k);
		return;
	}
	while (n-- > 0)
		if (send_some(k))
			return;
	k->due_ns = t->now_ns + rng_below(&t->rng, 1000) * 1000 + 1;
}

/* A Data-In that carried the status: as it was, with its StatSN. */
static void status_again(struct cmd *k)
{
	struct kept *x;

	list_for_each (x, &k->conn->kept, node)
		if (x->statsn == k->statsn)
			send_again(k->conn, x->bhs, x->data, x->n);
}

void on_data_snack(struct tconn *c, const uint8_t *bhs)
{
	struct cmd *k = cmd_find(c->session, get32(bhs + AT_ITT));
	unsigned type = bhs[1] & 0x0f;
	uint32_t begin = get32(bhs + 40), run = get32(bhs + 44);

	if (type == 2) {
		/* a DataACK is about the Target Transfer Tag */
		k = cmd_find(c->session, get32(bhs + AT_TTT) ^ 0x5a5a5a5a);
		if (!k || k->conn != c)
			return; /* its status may have been acknowledged as well */
		if (begin > k->n_pieces || begin < k->acked)
			blame(c->t, "DataACK for %u, %u were sent", begin, k->n_pieces);
		else
			k->acked = begin;
		return;
	}
	if (!k || k->conn != c) {
		reject(c, bhs, 0x03);
		return;
	}
	if (k->writes) {
		for (unsigned i = 0; i < k->n_r2ts; i++) {
			struct r2t *r = &k->r2t[i];
			uint8_t b[BHS] = {OP_R2T, FINAL};

			if (before(r->r2tsn, begin) || (run && r->r2tsn - begin >= run))
				continue;
			put64(b + AT_LUN, k->lun);
			put32(b + AT_ITT, k->itt);
			put32(b + AT_TTT, r->ttt);
			put32(b + AT_STATSN, c->statsn);
			put32(b + AT_DATASN, r->r2tsn);
			put32(b + AT_OFFSET, r->off);
			put32(b + AT_LAST, r->n);
			send_again(c, b, NULL, 0);
		}
		return;
	}
	if (begin < k->acked || begin > k->n_pieces || (run && run > k->n_pieces - begin)) {
		blame(c->t, "SNACK for %u+%u, %u were sent, %u acknowledged", begin, run,
		      k->n_pieces, k->acked);
		reject(c, bhs, 0x03);
		return;
	}
	for (uint32_t i = begin; i < k->n_pieces && (!run || i - begin < run); i++) {
		struct piece p = k->piece[i];

		/* the status has its own way of being sent again */
		if (p.flags & 1)
			status_again(k);
		else
			send_piece(k, &p, i, true);
	}
}

/* ---- writes ------------------------------------------------------------ */

static void send_r2t(struct cmd *k, uint32_t off, uint32_t n)
{
	struct tconn *c = k->conn;
	uint8_t b[BHS] = {OP_R2T, FINAL};
	struct r2t *r;

	if (k->n_r2ts == k->n_r2t_room) {
		k->n_r2t_room = k->n_r2t_room ? 2 * k->n_r2t_room : 8;
		k->r2t = must(realloc(k->r2t, k->n_r2t_room * sizeof(*k->r2t)));
	}
	if (++c->t->next_ttt == TAG_NONE)
		c->t->next_ttt = 0;
	r = &k->r2t[k->n_r2ts++];
	*r = (struct r2t){
		.open = true, .ttt = c->t->next_ttt, .r2tsn = k->r2tsn++, .off = off, .n = n};
	k->n_open++;
	put64(b + AT_LUN, k->lun);
	put32(b + AT_ITT, k->itt);
	put32(b + AT_TTT, r->ttt);
	put32(b + AT_DATASN, r->r2tsn);
	put32(b + AT_OFFSET, off);
	put32(b + AT_LAST, n);
	send_pdu(c, b, NULL, 0, false);
}

static void run_soon(struct cmd *k)
{
	struct tgt *t = k->session->t;

	k->state = CMD_RUN;
	k->due_ns = t->now_ns;
	if (rng_permille(&t->rng, t->cfg.slow_permille))
		k->due_ns += t->cfg.slow_ns;
	else if (t->cfg.service_ns_max)
		k->due_ns += rng_next(&t->rng) % t->cfg.service_ns_max;
}

/* Longer each time it was in vain. */
static void wait_for_data(struct cmd *k)
{
	struct tgt *t = k->session->t;

	if (k->session->erl >= 1 && t->cfg.data_timeout_ns)
		k->due_ns = t->now_ns + (t->cfg.data_timeout_ns << k->n_waits);
}

/* First hole in [off, off + n): its place and length; false: there is none. */
static bool hole(const struct cmd *k, uint32_t off, uint32_t n, uint32_t *ret_off, uint32_t *ret_n)
{
	uint32_t end = off + n, at = off;

	while (at < end && k->have[at])
		at++;
	if (at == end)
		return false;
	*ret_off = at;
	while (at < end && !k->have[at])
		at++;
	*ret_n = at - *ret_off;
	return true;
}

static bool asked_for(const struct cmd *k, uint32_t off)
{
	for (unsigned i = 0; i < k->n_r2ts; i++)
		if (k->r2t[i].open && off >= k->r2t[i].off && off - k->r2t[i].off < k->r2t[i].n)
			return true;
	return false;
}

/*
 * What is missing of that which was to come already is asked for again (level >= 1).
 * False: something of it cannot be asked for yet, and what follows has to wait for it.
 */
static bool ask_again(struct cmd *k)
{
	uint32_t off = 0, n, at = 0, end = k->expected - k->n_asked_end;

	while (k->have && hole(k, at, k->expected - at, &off, &n)) {
		/* What nobody has been asked for yet is none. */
		if (off >= k->n_asked && off < end) {
			at = end;
			continue;
		}
		if (off < k->n_asked && n > k->n_asked - off)
			n = k->n_asked - off;
		n = smaller(n, k->session->max_burst);
		at = off + n;
		if (asked_for(k, off))
			continue;
		if (k->n_open == k->session->max_r2t)
			return false;
		send_r2t(k, off, n);
	}
	return true;
}

static void ask(struct cmd *k)
{
	struct session *s = k->session;

	if (k->unsolicited)
		return;
	if (ask_again(k)) {
		uint32_t left;

		while (k->n_open < s->max_r2t &&
		       (left = k->expected - k->n_asked - k->n_asked_end)) {
			uint32_t n = some(s->t, smaller(left, s->max_burst));

			if (from_the_end(s)) {
				k->n_asked_end += n;
				send_r2t(k, k->expected - k->n_asked_end, n);
			} else {
				send_r2t(k, k->n_asked, n);
				k->n_asked += n;
			}
		}
	}
	wait_for_data(k);
}

static void refuse(struct cmd *k)
{
	k->status = k->refuse;
	k->underflow = k->expected > 0;
	k->residual = k->expected;
	cmd_answer(k);
}

/* Data or its absence has made a difference. */
static void collect(struct cmd *k)
{
	if (k->unsolicited)
		return;
	if (k->refuse)
		refuse(k);
	else if (k->n_got == k->expected)
		run_soon(k);
	else
		ask(k);
}

static void take(struct cmd *k, uint32_t off, const uint8_t *data, uint32_t n)
{
	memcpy(k->data + off, data, n);
	if (!k->have) {
		k->n_got += n;
		return;
	}
	for (uint32_t i = off; i < off + n; i++) {
		k->n_got += !k->have[i];
		k->have[i] = 1;
	}
}

/* At level 0 nothing can be asked for again: the connection ends. */
static bool out_of_order(struct cmd *k, const uint8_t *bhs, uint32_t datasn)
{
	struct tconn *c = k->conn;

	if (get32(bhs + AT_DATASN) == datasn || k->session->erl)
		return false;
	blame(c->t, "Data-Out with DataSN %u, %u was due", get32(bhs + AT_DATASN), datasn);
	reject(c, bhs, 0x04);
	hang_up(c);
	return true;
}

static void unsolicited_data(struct cmd *k, const uint8_t *bhs, const uint8_t *data, uint32_t n)
{
	struct tgt *t = k->session->t;
	uint32_t off = get32(bhs + AT_OFFSET);
	bool final = bhs[1] & FINAL;

	if (!k->unsolicited) {
		/* a command that is sent again brings its data again */
		if (!k->session->erl)
			blame(t, "unsolicited data that was not announced");
		return;
	}
	if (out_of_order(k, bhs, k->unsolicited_datasn))
		return;
	if (get32(bhs + AT_DATASN) != k->unsolicited_datasn++ || (!k->have && off != k->n_got))
		blame(t, "unsolicited data: DataSN %u, offset %u", get32(bhs + AT_DATASN), off);
	if (off > k->n_asked || n > k->n_asked - off) {
		blame(t, "unsolicited data beyond FirstBurstLength: %u+%u", off, n);
		return;
	}
	take(k, off, data, n);
	if (final != (off + n == k->n_asked))
		blame(t, "unsolicited data: F bit %d at %u of %u", final, off + n, k->n_asked);
	if (!final)
		return;
	k->unsolicited = false;
	collect(k);
}

static struct r2t *r2t_find(struct cmd *k, uint32_t ttt)
{
	for (unsigned i = k->n_r2ts; i-- > 0;)
		if (k->r2t[i].ttt == ttt)
			return &k->r2t[i];
	return NULL;
}

static void solicited_data(struct cmd *k, struct r2t *r, const uint8_t *bhs, const uint8_t *data,
			   uint32_t n)
{
	struct tgt *t = k->session->t;
	uint32_t off = get32(bhs + AT_OFFSET);
	bool final = bhs[1] & FINAL;

	if (out_of_order(k, bhs, r->datasn))
		return;
	if (get32(bhs + AT_DATASN) != r->datasn++ || off != r->off + r->n_got)
		blame(t, "Data-Out: DataSN %u, offset %u, due were %u, %u", get32(bhs + AT_DATASN),
		      off, r->datasn - 1, r->off + r->n_got);
	for (unsigned i = 0; &k->r2t[i] != r; i++)
		if (k->r2t[i].open)
			blame(t, "Data-Out for an R2T before that of an earlier one");
	if (off < r->off || off - r->off > r->n || n > r->n - (off - r->off)) {
		blame(t, "Data-Out beyond the R2T: %u+%u of %u+%u", off, n, r->off, r->n);
		return;
	}
	r->n_got += n;
	take(k, off, data, n);
	if (final != (off + n == r->off + r->n))
		blame(t, "Data-Out: F bit %d at %u of %u", final, off + n - r->off, r->n);
	if (final && r->open) {
		r->open = false;
		k->n_open--;
	}
	collect(k);
}

void on_data_out(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n)
{
	struct cmd *k = cmd_find(c->session, get32(bhs + AT_ITT));
	uint32_t ttt = get32(bhs + AT_TTT);
	struct r2t *r;

	/* It may have been aborted, or ended early. */
	if (!k && tsession_stash(c, bhs, data, n))
		return;
	if (!k || k->conn != c || k->state != CMD_COLLECT)
		return;
	k->n_waits = 0;
	wait_for_data(k);
	if (ttt == TAG_NONE) {
		unsolicited_data(k, bhs, data, n);
		return;
	}
	if (get64(bhs + AT_LUN) != k->lun)
		blame(c->t, "Data-Out with another LUN");
	r = r2t_find(k, ttt);
	if (r)
		solicited_data(k, r, bhs, data, n);
	else
		blame(c->t, "Data-Out with Target Transfer Tag 0x%08x", ttt);
}

/* ---- life -------------------------------------------------------------- */

static void judge_flags(struct tconn *c, const uint8_t *bhs, uint32_t n, uint32_t expected)
{
	struct session *s = c->session;
	bool writes = bhs[1] & 0x20, final = bhs[1] & FINAL;
	uint32_t first = smaller(s->first_burst, expected);

	if (n && (!writes || !s->immediate_data || n > first))
		blame(c->t, "%u bytes of immediate data", n);
	if (!final && (!writes || s->initial_r2t || n >= first))
		blame(c->t, "Data-Out is announced where there may be none");
	if (final && writes && !s->initial_r2t && n < first)
		tell(c->t, "target: unsolicited data could have been sent");
	if (s->discovery)
		complain(c->t, "SCSI Command in a discovery session");
}

static void answer_at_once(struct tconn *c, const uint8_t *bhs, uint8_t status)
{
	uint8_t b[BHS] = {OP_RESPONSE, FINAL, 0, status};

	memcpy(b + AT_ITT, bhs + AT_ITT, 4);
	send_pdu(c, b, NULL, 0, true);
}

/* 0x100: GOOD, but only where the initiator can tell that it cannot be. */
static bool may_be_early(const uint8_t *bhs, uint32_t n, uint32_t expected, uint32_t status)
{
	return status != 0x100 || (bhs[1] & 0x40 && expected) || (bhs[1] & FINAL && n < expected);
}

static struct cmd *cmd_make(struct tconn *c, const uint8_t *bhs)
{
	struct session *s = c->session;
	struct cmd *k = must(calloc(1, sizeof(*k)));

	k->session = s;
	k->conn = c;
	k->cid = c->cid;
	k->itt = get32(bhs + AT_ITT);
	k->cmdsn = get32(bhs + AT_CMDSN);
	k->lun = get64(bhs + AT_LUN);
	k->reads = bhs[1] & 0x40;
	k->writes = bhs[1] & 0x20;
	k->expected = k->reads || k->writes ? get32(bhs + AT_TTT) : 0;
	memcpy(k->cdb, bhs + AT_CDB, 16);
	k->due_ns = TGT_NEVER;
	list_append(&s->cmds, &k->node);
	s->n_cmds++;
	return k;
}

static void begin_write(struct cmd *k, const uint8_t *bhs, const uint8_t *data, uint32_t n)
{
	k->state = CMD_COLLECT;
	k->data = must(malloc(k->expected));
	k->n_room = k->expected;
	if (k->session->erl >= 1)
		k->have = must(calloc(1, k->expected));
	k->n_asked = n;
	take(k, 0, data, n);
	if (!(bhs[1] & FINAL)) {
		k->unsolicited = true;
		k->n_asked = smaller(k->session->first_burst, k->expected);
		wait_for_data(k);
	}
	collect(k);
}

void cmd_begin(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n,
	       const struct tgt_rule *rule)
{
	struct session *s = c->session;
	uint32_t expected = bhs[1] & 0x60 ? get32(bhs + AT_TTT) : 0;
	struct cmd *k;

	s->t->stats.n_commands++;
	judge_flags(c, bhs, n, expected);
	if (cmd_find(s, get32(bhs + AT_ITT))) {
		blame(c->t, "the ITT 0x%08x is in use", get32(bhs + AT_ITT));
		reject(c, bhs, 0x07);
		return;
	}
	if (expected > MOST_DATA || n > expected) {
		reject(c, bhs, 0x09);
		return;
	}
	if (rule && rule->act == TGT_EARLY_STATUS && may_be_early(bhs, n, expected, rule->arg)) {
		answer_at_once(c, bhs, (uint8_t)rule->arg);
		return;
	}
	k = cmd_make(c, bhs);
	if (rule && rule->act == TGT_FORGET) {
		k->state = CMD_STUCK;
		return;
	}
	if (rule && rule->act == TGT_BUSY)
		k->refuse = (uint8_t)rule->arg;
	if (rule && rule->act == TGT_LOSE_WRITE)
		k->lose = (uint8_t)(1 + rule->arg);
	if (k->writes && k->expected)
		begin_write(k, bhs, data, n);
	else if (k->refuse)
		refuse(k);
	else
		run_soon(k);
}

static void run(struct cmd *k)
{
	if (!k->done)
		disk_do(k);
	k->done = true;
	set_residual(k, smaller(k->n_data, k->expected), k->n_data);
	if (k->reads && k->status == 0) {
		k->state = CMD_SEND;
		send_data(k);
		return;
	}
	cmd_answer(k);
}

/* Its time has come. */
void cmd_step(struct cmd *k)
{
	k->due_ns = TGT_NEVER;
	if (k->state == CMD_RUN && (!k->conn || k->conn->phase == PHASE_GONE)) {
		/* nobody to tell; it is done all the same */
		if (!k->done && k->session->erl == 2) {
			disk_do(k);
			k->done = true;
		}
		return;
	}
	if (!k->conn)
		return;
	switch (k->state) {
	case CMD_COLLECT:
		/* what is open has not come */
		k->n_waits += k->n_waits < 6;
		k->unsolicited = false;
		for (unsigned i = 0; i < k->n_r2ts; i++)
			k->r2t[i].open = false;
		k->n_open = 0;
		collect(k);
		break;
	case CMD_RUN: run(k); break;
	case CMD_SEND: send_data(k); break;
	case CMD_STATUS:
	case CMD_STUCK: break;
	}
}

static void resume_read(struct cmd *k, uint32_t datasn)
{
	if (datasn < k->acked)
		datasn = k->acked;
	if (datasn < k->n_pieces)
		k->n_pieces = datasn;
	k->n_sent = k->n_end = 0;
	for (uint32_t i = 0; i < k->n_pieces; i++) {
		if (k->piece[i].off != k->n_sent - k->n_end)
			k->n_end += k->piece[i].n;
		k->n_sent += k->piece[i].n;
	}
	k->burst = 0;
	k->state = CMD_SEND;
	k->due_ns = k->session->t->now_ns;
}

static void resume_write(struct cmd *k, uint32_t r2tsn)
{
	for (unsigned i = 0; i < k->n_r2ts; i++)
		k->r2t[i].open = false;
	k->n_open = 0;
	k->n_r2ts = 0;
	k->unsolicited = false;
	k->r2tsn = r2tsn;
	collect(k);
}

void cmd_take_over(struct cmd *k, struct tconn *c, uint32_t expdatasn)
{
	tell(c->t, "target: itt %08x goes on at connection %u", k->itt, c->cid);
	k->conn = c;
	k->cid = c->cid;
	switch (k->state) {
	case CMD_COLLECT: resume_write(k, expdatasn); break;
	case CMD_RUN:
		if (k->due_ns == TGT_NEVER)
			k->due_ns = c->t->now_ns;
		break;
	case CMD_SEND: resume_read(k, expdatasn); break;
	case CMD_STATUS:
		if (k->reads && !k->status) {
			resume_read(k, expdatasn);
			break;
		}
		cmd_answer(k);
		break;
	case CMD_STUCK: break;
	}
}
