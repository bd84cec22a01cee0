/* SPDX-License-Identifier: MIT */
/*
 * Sessions of the test target: the order of commands, connections that come and go
 *
 * What a connection leaves behind when it is lost depends on the level: below 2 its
 * commands end with it; at 2 they wait to be taken over, until Time2Wait and
 * Time2Retain are over (RFC 7143 §7.2.2, §7.5).
 */
#include "inside.h"

#include <string.h>

struct session *tsession_make(struct tgt *t)
{
	struct session *s = must(calloc(1, sizeof(*s)));

	s->t = t;
	s->max_connections = 1;
	s->max_r2t = 1;
	s->initial_r2t = true;
	s->pdu_in_order = s->sequence_in_order = true;
	s->immediate_data = true;
	s->max_burst = 262144;
	s->first_burst = 65536;
	s->time2wait_s = 2;
	s->time2retain_s = 20;
	s->until_ns = TGT_NEVER;
	list_init(&s->node);
	list_init(&s->conns);
	list_init(&s->cmds);
	list_init(&s->early);
	list_init(&s->lost);
	return s;
}

static void early_end(struct early *e)
{
	list_remove(&e->node);
	free(e->more);
	free(e);
}

static void lost_end(struct lost *l)
{
	list_remove(&l->node);
	free(l);
}

void tsession_end(struct session *s)
{
	struct cmd *k;
	struct early *e;
	struct lost *l;
	struct tconn *c;

	while ((c = list_first(&s->conns, struct tconn, session_node))) {
		list_remove(&c->session_node);
		c->session = NULL;
		hang_up(c);
	}
	while ((k = list_first(&s->cmds, struct cmd, node)))
		cmd_end(k);
	while ((e = list_first(&s->early, struct early, node)))
		early_end(e);
	while ((l = list_first(&s->lost, struct lost, node)))
		lost_end(l);
	for (unsigned i = 0; i < TGT_MAX_LUNS; i++) {
		if (s->told[i].what)
			s->attention[i] = s->told[i].what;
		if (s->attention[i])
			s->t->attention[i] = s->attention[i];
	}
	list_remove(&s->node);
	free(s);
}

uint32_t tsession_max_cmdsn(struct session *s)
{
	uint32_t max = s->expcmdsn + s->t->cfg.window - 1;

	/* What was granted stays so. */
	if (before(s->told_max, max))
		s->told_max = max;
	return s->told_max;
}

/* ---- connections ------------------------------------------------------- */

static void drop_cmds(struct session *s, const struct tconn *c, int cid)
{
	struct cmd *k, *tmp;

	list_for_each_safe (k, tmp, &s->cmds, node)
		if (c ? k->conn == c : !k->conn && k->cid == cid)
			cmd_end(k);
}

static void retain(struct session *s, const struct tconn *c)
{
	struct lost *l = must(calloc(1, sizeof(*l)));
	struct cmd *k;

	list_for_each (k, &s->cmds, node)
		if (k->conn == c)
			k->conn = NULL;
	l->cid = c->cid;
	l->until_ns = s->t->now_ns + (uint64_t)(s->time2wait_s + s->time2retain_s) * SEC;
	list_append(&s->lost, &l->node);
}

/* @c is no part of its session any more; its commands wait or end. */
void tsession_leave(struct tconn *c, bool keep_tasks)
{
	struct session *s = c->session;
	struct early *e, *tmp;

	list_for_each_safe (e, tmp, &s->early, node)
		if (e->conn == c)
			early_end(e);
	if (keep_tasks)
		retain(s, c);
	else
		drop_cmds(s, c, 0);
	for (unsigned i = 0; i < TGT_MAX_LUNS; i++) {
		if (!s->told[i].what || (s->told[i].conn && s->told[i].conn != c))
			continue;
		/* where tasks outlive their connection, another one may still tell it */
		s->told[i].conn = NULL;
		if (keep_tasks)
			continue;
		s->attention[i] = s->told[i].what;
		s->told[i].what = 0;
	}
	list_remove(&c->session_node);
	s->n_conns--;
	c->session = NULL;
	if (s->n_conns)
		return;
	if (!keep_tasks) {
		tsession_end(s);
		return;
	}
	s->until_ns = s->t->now_ns + (uint64_t)(s->time2wait_s + s->time2retain_s) * SEC;
}

/* The transport has gone, or is given up. */
void tsession_part(struct tconn *c)
{
	tsession_leave(c, c->session->erl == 2);
}

static struct tconn *conn_of(struct session *s, unsigned cid)
{
	struct tconn *c;

	list_for_each (c, &s->conns, session_node)
		if (c->cid == cid)
			return c;
	return NULL;
}

static struct lost *lost_of(struct session *s, unsigned cid)
{
	struct lost *l;

	list_for_each (l, &s->lost, node)
		if (l->cid == cid)
			return l;
	return NULL;
}

/* ---- login ------------------------------------------------------------- */

static bool same_nexus(const struct session *a, const struct session *b)
{
	return memcmp(a->isid, b->isid, 6) == 0 && strcmp(a->initiator, b->initiator) == 0;
}

static void attach(struct tconn *c, struct session *s)
{
	c->session = s;
	list_append(&s->conns, &c->session_node);
	s->n_conns++;
	s->until_ns = TGT_NEVER;
	s->t->stats.n_logins++;
}

static void lead(struct tconn *c)
{
	struct session *s = TAKE(c->proposed), *old, *tmp;
	struct tgt *t = c->t;

	list_for_each_safe (old, tmp, &t->sessions, node) {
		if (!same_nexus(old, s))
			continue;
		t->stats.n_reinstated++;
		tell(t, "target: session %u is reinstated", old->tsih);
		tsession_end(old);
	}
	s->discovery = c->discovery;
	s->tsih = (uint16_t)(t->next_tsih = t->next_tsih % 65535 + 1);
	if (!s->discovery) {
		memcpy(s->attention, t->attention, sizeof(s->attention));
		memset(t->attention, 0, sizeof(t->attention));
	}
	if (c->discovery)
		s->erl = 0;
	list_append(&t->sessions, &s->node);
	attach(c, s);
}

unsigned tsession_join(struct tconn *c, const uint8_t *bhs)
{
	struct session *s = NULL, *p = c->proposed;
	struct tconn *old;
	struct lost *l;

	if (!p->tsih) {
		lead(c);
		return 0;
	}
	list_for_each (s, &c->t->sessions, node)
		if (s->tsih == p->tsih && same_nexus(s, p))
			break;
	if (&s->node == &c->t->sessions)
		return 0x020a;
	old = conn_of(s, c->cid);
	if (!old && s->n_conns >= s->max_connections)
		return 0x0206;
	/* attached first, so that a session does not end with its only connection */
	attach(c, s);
	if (old) {
		tell(c->t, "target: connection %u is reinstated", c->cid);
		tsession_part(old);
		hang_up(old);
	}
	list_for_each (l, &s->lost, node)
		if (l->cid == c->cid)
			l->logged_out = true;
	tsession_end(TAKE(c->proposed));
	return 0;
}

/* ---- the requests ------------------------------------------------------ */

static void on_nop(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n)
{
	uint8_t b[BHS] = {OP_NOP_IN, FINAL};

	if (get32(bhs + AT_ITT) == TAG_NONE)
		return; /* the answer to a ping of ours */
	if (get32(bhs + AT_TTT) != TAG_NONE)
		blame(c->t, "NOP-Out with both tags");
	memcpy(b + AT_ITT, bhs + AT_ITT, 4);
	put32(b + AT_TTT, TAG_NONE);
	send_pdu(c, b, data, n < c->his_mrdsl ? n : c->his_mrdsl, true);
}

static void logout_answer(struct tconn *c, const uint8_t *bhs, unsigned response)
{
	uint8_t b[BHS] = {OP_LOGOUT_RSP, FINAL, (uint8_t)response};
	struct session *s = c->session;

	memcpy(b + AT_ITT, bhs + AT_ITT, 4);
	if (s->erl == 2) {
		put16(b + 40, s->time2wait_s);
		put16(b + 42, s->time2retain_s);
	}
	send_pdu(c, b, NULL, 0, true);
}

static unsigned logout_other(struct session *s, unsigned cid, bool recovery)
{
	struct tconn *other = conn_of(s, cid);
	struct lost *l, *tmp;
	bool found = other;

	if (other) {
		tsession_leave(other, recovery);
		hang_up(other);
	}
	list_for_each_safe (l, tmp, &s->lost, node) {
		if (l->cid != cid)
			continue;
		found = true;
		l->logged_out = true;
		if (recovery)
			continue;
		drop_cmds(s, NULL, (int)cid);
		lost_end(l);
	}
	return found ? 0 : 1;
}

static void on_logout(struct tconn *c, const uint8_t *bhs)
{
	struct session *s = c->session;
	unsigned reason = bhs[1] & 0x7f, cid = get16(bhs + 20);
	struct lost *l;

	if (reason == 0) {
		logout_answer(c, bhs, 0);
		tsession_end(s);
		return;
	}
	if (reason == 2 && s->erl < 2) {
		logout_answer(c, bhs, 2);
		return;
	}
	if (cid != c->cid) {
		logout_answer(c, bhs, logout_other(s, cid, reason == 2));
		return;
	}
	logout_answer(c, bhs, 0);
	tsession_leave(c, reason == 2);
	if (reason == 2 && (l = lost_of(s, cid)))
		l->logged_out = true;
	hang_up(c);
}

static void status_snack(struct tconn *c, const uint8_t *bhs)
{
	uint32_t begin = get32(bhs + 40), run = get32(bhs + 44);
	struct kept *k;

	list_for_each (k, &c->kept, node)
		if (!before(k->statsn, begin) && (!run || k->statsn - begin < run))
			send_again(c, k->bhs, k->data, k->n);
}

static void on_snack(struct tconn *c, const uint8_t *bhs)
{
	unsigned type = bhs[1] & 0x0f;

	c->t->stats.n_snacks++;
	if (c->session->erl < 1) {
		blame(c->t, "SNACK at level 0");
		reject(c, bhs, 0x03);
	} else if (type == 1) {
		status_snack(c, bhs);
	} else if (type == 0 || type == 2) {
		on_data_snack(c, bhs);
	} else {
		reject(c, bhs, 0x03);
	}
}

static void dispatch(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n,
		     const struct tgt_rule *rule)
{
	switch (bhs[0] & OP_MASK) {
	case OP_NOP_OUT: on_nop(c, bhs, data, n); break;
	case OP_COMMAND: cmd_begin(c, bhs, data, n, rule); break;
	case OP_TASK_MGMT: on_task_mgmt(c, bhs); break;
	case OP_TEXT: on_text(c, bhs, data, n); break;
	case OP_LOGOUT: on_logout(c, bhs); break;
	default: break;
	}
}

/* ---- order ------------------------------------------------------------- */

static struct early *early_make(struct tconn *c, uint32_t cmdsn, const uint8_t *bhs,
				const uint8_t *data, uint32_t n)
{
	struct early *e = must(calloc(1, sizeof(*e) + n));

	list_init(&e->node);
	e->conn = c;
	e->cmdsn = cmdsn;
	e->nothing = !bhs;
	e->n = n;
	if (bhs)
		memcpy(e->bhs, bhs, BHS);
	if (n)
		memcpy(e->data, data, n);
	return e;
}

static void early_add(struct session *s, struct early *e)
{
	struct early *at;

	list_for_each (at, &s->early, node) {
		if (before(e->cmdsn, at->cmdsn) || (at->cmdsn == e->cmdsn && e->immediate))
			break;
		if (at->cmdsn == e->cmdsn && !at->immediate) {
			at->nothing = at->nothing || e->nothing;
			free(e);
			return;
		}
	}
	list_insert_before(&at->node, &e->node);
}

bool tsession_stash(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n)
{
	struct early *e;

	list_for_each (e, &c->session->early, node) {
		if (e->conn != c || e->nothing || (e->bhs[0] & OP_MASK) != OP_COMMAND ||
		    get32(e->bhs + AT_ITT) != get32(bhs + AT_ITT))
			continue;
		grow(&e->more, &e->n_more_room, e->n_more + BHS + n);
		memcpy(e->more + e->n_more, bhs, BHS);
		memcpy(e->more + e->n_more + BHS, data, n);
		e->n_more += BHS + n;
		return true;
	}
	return false;
}

static void unstash(struct early *e)
{
	const uint8_t *at = e->more, *end = at + e->n_more;

	for (; at < end && e->conn->session; at += BHS + get24(at + AT_LENGTH))
		on_data_out(e->conn, at, at + BHS, get24(at + AT_LENGTH));
}

/* What has waited for its turn. The session may end meanwhile. */
static void early_go(struct tgt *t, uint16_t tsih)
{
	for (;;) {
		struct session *s = NULL;
		struct early *e = NULL;

		list_for_each (s, &t->sessions, node)
			if (s->tsih == tsih)
				break;
		if (&s->node == &t->sessions)
			return;
		e = list_first(&s->early, struct early, node);
		if (!e || before(s->expcmdsn, e->cmdsn))
			return;
		list_remove(&e->node);
		if (e->cmdsn == s->expcmdsn && !e->immediate)
			s->expcmdsn++;
		if (!e->nothing && e->conn->phase == PHASE_FULL) {
			dispatch(e->conn, e->bhs, e->data, e->n, NULL);
			unstash(e);
		}
		early_end(e);
	}
}

void tsession_plug(struct session *s, uint32_t cmdsn)
{
	if (before(cmdsn, s->expcmdsn) || before(tsession_max_cmdsn(s), cmdsn))
		return;
	early_add(s, early_make(NULL, cmdsn, NULL, NULL, 0));
	early_go(s->t, s->tsih);
}

bool tsession_wait(struct tconn *c, const uint8_t *bhs)
{
	struct session *s = c->session;
	uint32_t cmdsn = get32(bhs + AT_CMDSN);
	struct early *e;

	if (!before(s->expcmdsn, cmdsn) || before(tsession_max_cmdsn(s) + 1, cmdsn))
		return false;
	e = early_make(c, cmdsn, bhs, NULL, 0);
	e->immediate = true;
	early_add(s, e);
	return true;
}

static void in_order(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n,
		     const struct tgt_rule *rule)
{
	struct session *s = c->session;
	uint32_t cmdsn = get32(bhs + AT_CMDSN);
	uint16_t tsih = s->tsih;

	if (before(cmdsn, s->expcmdsn)) {
		if (s->erl == 0 && s->n_conns == 1)
			blame(c->t, "CmdSN %u a second time", cmdsn);
		return;
	}
	if (before(tsession_max_cmdsn(s), cmdsn)) {
		blame(c->t, "CmdSN %u is beyond MaxCmdSN %u", cmdsn, s->told_max);
		return;
	}
	if (cmdsn != s->expcmdsn) {
		if (s->erl == 0 && s->max_connections == 1)
			blame(c->t, "CmdSN %u, %u was due", cmdsn, s->expcmdsn);
		early_add(s, early_make(c, cmdsn, bhs, data, n));
		return;
	}
	s->expcmdsn++;
	dispatch(c, bhs, data, n, rule);
	early_go(c->t, tsih);
}

/* What the initiator has seen need not be kept. */
static void acknowledge(struct tconn *c, uint32_t expstatsn)
{
	struct kept *k;
	struct cmd *d, *tmp;

	if (before(c->statsn, expstatsn)) {
		blame(c->t, "ExpStatSN %u, only %u were sent", expstatsn, c->statsn);
		return;
	}
	for (unsigned i = 0; i < TGT_MAX_LUNS; i++)
		if (c->session->told[i].conn == c && before(c->session->told[i].statsn, expstatsn))
			c->session->told[i].what = 0;
	if (c->session->erl < 1)
		return;
	while ((k = list_first(&c->kept, struct kept, node)) && before(k->statsn, expstatsn)) {
		list_remove(&k->node);
		free(k);
	}
	list_for_each_safe (d, tmp, &c->session->cmds, node)
		if (d->conn == c && d->state == CMD_STATUS && before(d->statsn, expstatsn))
			cmd_end(d);
}

void on_request(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n,
		const struct tgt_rule *rule)
{
	unsigned op = bhs[0] & OP_MASK;

	acknowledge(c, get32(bhs + AT_EXPSTATSN));
	switch (op) {
	case OP_DATA_OUT: on_data_out(c, bhs, data, n); break;
	case OP_SNACK: on_snack(c, bhs); break;
	case OP_NOP_OUT:
	case OP_COMMAND:
	case OP_TASK_MGMT:
	case OP_TEXT:
	case OP_LOGOUT:
		if (bhs[0] & IMMEDIATE)
			dispatch(c, bhs, data, n, rule);
		else
			in_order(c, bhs, data, n, rule);
		break;
	default: blame(c->t, "opcode 0x%02x", op); reject(c, bhs, 0x05);
	}
}

/* ---- time -------------------------------------------------------------- */

uint64_t tsession_due_ns(const struct session *s)
{
	uint64_t due = s->until_ns;
	const struct cmd *k;
	const struct lost *l;

	list_for_each (k, &s->cmds, node)
		if (k->due_ns < due)
			due = k->due_ns;
	list_for_each (l, &s->lost, node)
		if (l->until_ns < due)
			due = l->until_ns;
	return due;
}

void tsession_tick(struct session *s)
{
	uint64_t now_ns = s->t->now_ns;
	struct cmd *k, *tmp;
	struct lost *l, *ltmp;

	if (s->until_ns <= now_ns) {
		tsession_end(s);
		return;
	}
	list_for_each_safe (l, ltmp, &s->lost, node) {
		if (l->until_ns > now_ns)
			continue;
		drop_cmds(s, NULL, l->cid);
		lost_end(l);
	}
	list_for_each_safe (k, tmp, &s->cmds, node)
		if (k->due_ns <= now_ns)
			cmd_step(k);
}
