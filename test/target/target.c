/* SPDX-License-Identifier: MIT */
/*
 * The test target: its life, time and restarts
 */
#include "inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

bool grow(uint8_t **bytes, size_t *n_room, size_t n)
{
	if (n <= *n_room)
		return true;
	n = n < 4096 ? 4096 : 2 * n;
	*bytes = must(realloc(*bytes, n));
	*n_room = n;
	return true;
}

void complain(struct tgt *t, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	t->stats.n_complaints++;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (t->cfg.complain)
		t->cfg.complain(t->cfg.user, text);
}

void tell(struct tgt *t, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (!t->cfg.trace)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->cfg.trace(t->cfg.user, text);
}

void tgt_cfg_default(struct tgt_cfg *cfg)
{
	*cfg = (struct tgt_cfg){
		.name = "iqn.2026-11.test:target",
		.n_luns = 1,
		.n_blocks = 32768,
		.block_size = 512,
		.write_cache = true,
		.erl = 2,
		.max_connections = 8,
		.max_r2t = 8,
		.header_digest = true,
		.data_digest = true,
		.immediate_data = true,
		.mrdsl = 262144,
		.max_burst = 1048576,
		.first_burst = 262144,
		.time2wait_s = 2,
		.time2retain_s = 20,
		.window = 64,
		.segment_min = 512,
		.data_timeout_ns = 2 * SEC,
	};
}

static bool memory_make(struct tgt *t)
{
	size_t n = (size_t)t->cfg.n_blocks * t->cfg.block_size;
	unsigned n_copies = t->cfg.write_cache ? 2 : 1;
	uint8_t *at = t->cfg.memory;

	if (!at) {
		at = t->own_memory = calloc(t->cfg.n_luns, n);
		if (!at)
			return false;
	}
	for (unsigned i = 0; i < t->cfg.n_luns; i++) {
		t->unit[i].bytes = at + i * n;
		if (n_copies == 1)
			continue;
		t->unit[i].durable = malloc(n);
		if (!t->unit[i].durable)
			return false;
		memcpy(t->unit[i].durable, t->unit[i].bytes, n);
	}
	return true;
}

struct tgt *tgt_new(const struct tgt_cfg *cfg)
{
	struct tgt *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->cfg = *cfg;
	t->rng.state = cfg->seed;
	t->next_tsih = 1 + rng_below(&t->rng, 60000);
	t->next_ttt = (uint32_t)rng_next(&t->rng);
	list_init(&t->sessions);
	list_init(&t->conns);
	memset(t->attention, 0x80, sizeof(t->attention));
	if (!memory_make(t))
		return tgt_free(t);
	return t;
}

struct tgt *tgt_free(struct tgt *t)
{
	struct session *s;
	struct tconn *c;

	if (!t)
		return NULL;
	while ((c = list_first(&t->conns, struct tconn, node)))
		tgt_closed(c, t->now_ns);
	while ((s = list_first(&t->sessions, struct session, node)))
		tsession_end(s);
	for (unsigned i = 0; i < TGT_MAX_LUNS; i++)
		free(t->unit[i].durable);
	free(t->own_memory);
	free(t);
	return NULL;
}

struct tconn *tgt_accept(struct tgt *t, uint64_t now_ns)
{
	struct tconn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	t->now_ns = now_ns;
	c->t = t;
	c->his_mrdsl = 8192;
	c->statsn = (uint32_t)rng_next(&t->rng);
	c->next_ping_ns = TGT_NEVER;
	c->proposed = tsession_make(t);
	list_init(&c->session_node);
	list_init(&c->kept);
	list_init(&c->late);
	list_append(&t->conns, &c->node);
	return c;
}

static void free_list_of_late(struct tconn *c)
{
	struct late *l;
	struct kept *k;

	while ((l = list_first(&c->late, struct late, node))) {
		list_remove(&l->node);
		free(l);
	}
	while ((k = list_first(&c->kept, struct kept, node))) {
		list_remove(&k->node);
		free(k);
	}
}

void tgt_closed(struct tconn *c, uint64_t now_ns)
{
	c->t->now_ns = now_ns;
	tell(c->t, "target: connection %u has gone", c->cid);
	if (c->session)
		tsession_part(c);
	list_remove(&c->node);
	free_list_of_late(c);
	if (c->proposed)
		tsession_end(c->proposed);
	free(c->text_in);
	free(c->text_out);
	free(c->in);
	free(c->out);
	free(c);
}

uint64_t tgt_deadline_ns(const struct tgt *t)
{
	uint64_t due = TGT_NEVER;
	const struct session *s;
	const struct tconn *c;

	list_for_each (s, &t->sessions, node) {
		uint64_t d = tsession_due_ns(s);

		due = d < due ? d : due;
	}
	list_for_each (c, &t->conns, node) {
		const struct late *l = list_first(&c->late, struct late, node);

		if (l && l->due_ns < due)
			due = l->due_ns;
		if (c->phase == PHASE_FULL && c->next_ping_ns < due)
			due = c->next_ping_ns;
	}
	return due;
}

static void ping(struct tconn *c)
{
	uint8_t bhs[BHS] = {OP_NOP_IN, FINAL};

	put32(bhs + AT_ITT, TAG_NONE);
	put32(bhs + AT_TTT, c->t->next_ttt++ & 0x7fffffff);
	c->next_ping_ns = c->t->now_ns + c->t->cfg.ping_ns;
	send_pdu(c, bhs, NULL, 0, false);
}

void tgt_tick(struct tgt *t, uint64_t now_ns)
{
	struct session *s, *tmp;
	struct tconn *c;

	t->now_ns = now_ns;
	list_for_each_safe (s, tmp, &t->sessions, node)
		tsession_tick(s);
	list_for_each (c, &t->conns, node) {
		release_late(c);
		if (c->phase == PHASE_FULL && c->next_ping_ns <= now_ns)
			ping(c);
	}
}

void tgt_restart(struct tgt *t, bool lose_cache, uint64_t now_ns)
{
	struct session *s;
	struct tconn *c;

	t->now_ns = now_ns;
	tell(t, "target: restart%s", lose_cache ? ", the cache is lost" : "");
	list_for_each (c, &t->conns, node) {
		if (c->session)
			tsession_part(c);
		c->n_out = c->out_at = 0;
		hang_up(c);
	}
	while ((s = list_first(&t->sessions, struct session, node)))
		tsession_end(s);
	memset(t->attention, 0x80, sizeof(t->attention));
	if (lose_cache)
		disk_power_cut(t);
}

void tgt_async(struct tgt *t, unsigned event, unsigned p1, unsigned p2, unsigned p3)
{
	struct tconn *c;

	list_for_each (c, &t->conns, node)
		if (c->phase == PHASE_FULL)
			send_async(c, event, event == 2 && !p1 ? c->cid : p1, p2, p3);
}

const struct tgt_stats *tgt_stats(const struct tgt *t)
{
	return &t->stats;
}

unsigned tgt_n_sessions(const struct tgt *t)
{
	unsigned n = 0;
	const struct list *l;

	for (l = t->sessions.next; l != &t->sessions; l = l->next)
		n++;
	return n;
}

unsigned tgt_n_tasks(const struct tgt *t)
{
	unsigned n = 0;
	const struct session *s;

	list_for_each (s, &t->sessions, node)
		n += s->n_cmds;
	return n;
}

uint8_t *tgt_disk(struct tgt *t, unsigned lun)
{
	return t->unit[lun].bytes;
}
