/* SPDX-License-Identifier: MIT */
/*
 * What a command does: a disk in memory, as far as an initiator needs one
 */
#include "inside.h"

#include <stdio.h>
#include <string.h>

#define ILLEGAL_REQUEST 5
#define UNIT_ATTENTION  6

int lun_index(uint64_t lun)
{
	unsigned i = lun >> 48 & 0x3fff;

	return lun >> 62 <= 1 && !(lun & UINT64_C(0xffffffffffff)) && i < TGT_MAX_LUNS ? (int)i
										       : -1;
}

void check_condition(struct cmd *k, uint8_t key, uint8_t asc, uint8_t ascq)
{
	memset(k->sense, 0, sizeof(k->sense));
	k->sense[0] = 0x70;
	k->sense[2] = key;
	k->sense[7] = 10;
	k->sense[12] = asc;
	k->sense[13] = ascq;
	k->n_sense = 18;
	k->status = 2;
	k->n_data = 0;
}

static uint8_t *data_of(struct cmd *k, uint32_t n)
{
	if (n > k->n_room) {
		k->data = must(realloc(k->data, n));
		k->n_room = n;
	}
	memset(k->data, 0, n);
	k->n_data = n;
	return k->data;
}

static void shorten(struct cmd *k, uint32_t allocation)
{
	if (k->n_data > allocation)
		k->n_data = allocation;
}

/* ---- inquiry ----------------------------------------------------------- */

static void put_text(uint8_t *p, size_t n, const char *s)
{
	size_t k = strlen(s);

	memset(p, ' ', n);
	memcpy(p, s, k < n ? k : n);
}

static void serial_of(const struct cmd *k, char serial[17])
{
	uint32_t of_name = wire_crc(0, k->session->t->cfg.name, strlen(k->session->t->cfg.name));

	snprintf(serial, 17, "%08x%08x", of_name, (unsigned)lun_index(k->lun));
}

static void vpd(struct cmd *k, uint8_t page)
{
	const struct tgt_cfg *cfg = &k->session->t->cfg;
	char serial[17];
	uint8_t *p;

	serial_of(k, serial);
	switch (page) {
	case 0x00:
		p = data_of(k, 8);
		p[3] = 4;
		memcpy(p + 4, (const uint8_t[]){0x00, 0x80, 0x83, 0xb0}, 4);
		break;
	case 0x80:
		p = data_of(k, 20);
		p[1] = page;
		p[3] = 16;
		memcpy(p + 4, serial, 16);
		break;
	case 0x83:
		p = data_of(k, 4 + 12);
		p[1] = page;
		p[3] = 12;
		p[4] = 1; /* binary */
		p[5] = 3; /* NAA, of the unit */
		p[7] = 8;
		put32(p + 8, 0x30000000 | (wire_crc(0, cfg->name, strlen(cfg->name)) >> 4));
		put32(p + 12,
		      wire_crc(7, cfg->name, strlen(cfg->name)) + (unsigned)lun_index(k->lun));
		break;
	case 0xb0:
		p = data_of(k, 64);
		p[1] = page;
		p[3] = 60;
		put32(p + 8, 65535);
		break;
	default: check_condition(k, ILLEGAL_REQUEST, 0x24, 0);
	}
}

static void inquiry(struct cmd *k)
{
	uint8_t *p;

	if (k->cdb[1] & 1) {
		vpd(k, k->cdb[2]);
	} else if (k->cdb[2]) {
		check_condition(k, ILLEGAL_REQUEST, 0x24, 0);
	} else {
		p = data_of(k, 36);
		if (lun_index(k->lun) < 0 || lun_index(k->lun) >= (int)k->session->t->cfg.n_luns)
			p[0] = 0x7f;
		p[2] = 6;
		p[3] = 2;
		p[4] = 31;
		p[7] = 2;
		put_text(p + 8, 8, "TEST");
		put_text(p + 16, 16, "MISBEHAVING DISK");
		put_text(p + 32, 4, "1");
	}
	shorten(k, get16(k->cdb + 3));
}

static void report_luns(struct cmd *k)
{
	unsigned n = k->session->t->cfg.n_luns;
	uint8_t *p = data_of(k, 8 + 8 * n);

	put32(p, 8 * n);
	for (unsigned i = 0; i < n; i++)
		p[8 + 8 * i + 1] = (uint8_t)i;
	shorten(k, get32(k->cdb + 6));
}

static void mode_sense(struct cmd *k)
{
	bool ten = k->cdb[0] == 0x5a;
	uint8_t page = k->cdb[2] & 0x3f, *p;
	uint32_t head = ten ? 8 : 4;

	if (page != 0x08 && page != 0x3f) {
		check_condition(k, ILLEGAL_REQUEST, 0x24, 0);
		return;
	}
	p = data_of(k, head + 20);
	if (ten) {
		put16(p, head + 20 - 2);
		p[3] = 0x10; /* DPOFUA */
	} else {
		p[0] = (uint8_t)(head + 20 - 1);
		p[2] = 0x10;
	}
	p[head] = 0x08;
	p[head + 1] = 18;
	p[head + 2] = k->session->t->cfg.write_cache ? 4 : 0;
	shorten(k, ten ? get16(k->cdb + 7) : k->cdb[4]);
}

static void capacity(struct cmd *k)
{
	const struct tgt_cfg *cfg = &k->session->t->cfg;
	uint8_t *p;

	if (k->cdb[0] == 0x25) {
		p = data_of(k, 8);
		put32(p, cfg->n_blocks - 1);
		put32(p + 4, cfg->block_size);
		return;
	}
	if ((k->cdb[1] & 0x1f) != 0x10) {
		check_condition(k, ILLEGAL_REQUEST, 0x20, 0);
		return;
	}
	p = data_of(k, 32);
	put64(p, cfg->n_blocks - 1);
	put32(p + 8, cfg->block_size);
	shorten(k, get32(k->cdb + 10));
}

/* ---- blocks ------------------------------------------------------------ */

static bool range_of(struct cmd *k, uint64_t *ret_lba, uint32_t *ret_n)
{
	const struct tgt_cfg *cfg = &k->session->t->cfg;
	bool sixteen = k->cdb[0] >> 5 == 4;

	*ret_lba = sixteen ? get64(k->cdb + 2) : get32(k->cdb + 2);
	*ret_n = sixteen ? get32(k->cdb + 10) : get16(k->cdb + 7);
	if (k->cdb[1] & 0xe0) { /* protection information */
		check_condition(k, ILLEGAL_REQUEST, 0x24, 0);
		return false;
	}
	if (*ret_lba <= cfg->n_blocks && *ret_n <= cfg->n_blocks - *ret_lba)
		return true;
	check_condition(k, ILLEGAL_REQUEST, 0x21, 0);
	return false;
}

static void blocks_read(struct cmd *k, struct unit *u)
{
	uint32_t n, size = k->session->t->cfg.block_size;
	uint64_t lba;

	if (range_of(k, &lba, &n))
		memcpy(data_of(k, n * size), u->bytes + lba * size, (size_t)n * size);
}

static void persist(struct unit *u, uint64_t at, size_t n)
{
	if (u->durable)
		memcpy(u->durable + at, u->bytes + at, n);
}

static void blocks_write(struct cmd *k, struct unit *u)
{
	struct tgt *t = k->session->t;
	uint32_t n, size = t->cfg.block_size;
	uint64_t lba;

	if (!range_of(k, &lba, &n))
		return;
	k->n_data = n * size;
	if (n > k->n_got / size)
		n = k->n_got /
		    size; /* the initiator said that it has less than the command needs */
	if (k->lose == 1 || !n)
		return;
	if (!k->lose)
		memcpy(u->bytes + lba * size, k->data, (size_t)n * size);
	if (k->cdb[1] & 8)
		persist(u, lba * size, (size_t)n * size);
	t->stats.n_writes++;
	if (t->cfg.wrote)
		t->cfg.wrote(t->cfg.user, (unsigned)lun_index(k->lun), lba, n, k->data);
}

static void cache_flush(struct cmd *k, struct unit *u)
{
	struct tgt *t = k->session->t;

	persist(u, 0, (size_t)t->cfg.n_blocks * t->cfg.block_size);
	if (t->cfg.flushed)
		t->cfg.flushed(t->cfg.user, (unsigned)lun_index(k->lun));
}

void disk_power_cut(struct tgt *t)
{
	for (unsigned i = 0; i < t->cfg.n_luns; i++)
		if (t->unit[i].durable)
			memcpy(t->unit[i].bytes, t->unit[i].durable,
			       (size_t)t->cfg.n_blocks * t->cfg.block_size);
}

static void for_unit(struct cmd *k, struct unit *u)
{
	switch (k->cdb[0]) {
	case 0x00: break;
	case 0x1a:
	case 0x5a: mode_sense(k); break;
	case 0x25:
	case 0x9e: capacity(k); break;
	case 0x28:
	case 0x88: blocks_read(k, u); break;
	case 0x2a:
	case 0x8a: blocks_write(k, u); break;
	case 0x35:
	case 0x91: cache_flush(k, u); break;
	default: check_condition(k, ILLEGAL_REQUEST, 0x20, 0);
	}
}

void disk_do(struct cmd *k)
{
	struct session *s = k->session;
	int lun = lun_index(k->lun);
	bool unit = lun >= 0 && lun < (int)s->t->cfg.n_luns;

	k->n_data = 0;
	if (k->cdb[0] == 0x12) {
		inquiry(k);
	} else if (k->cdb[0] == 0xa0) {
		report_luns(k);
	} else if (!unit) {
		check_condition(k, ILLEGAL_REQUEST, 0x25, 0);
	} else if (k->cdb[0] == 0x03) {
		uint8_t *p = data_of(k, 18);

		p[0] = 0x70;
		p[7] = 10;
		shorten(k, k->cdb[4]);
	} else if (s->attention[lun]) {
		check_condition(k, UNIT_ATTENTION, 0x29, s->attention[lun] & 0x7f);
		s->told[lun].what = s->attention[lun];
		s->told[lun].conn = NULL;
		s->attention[lun] = 0;
	} else {
		for_unit(k, &s->t->unit[lun]);
	}
}
