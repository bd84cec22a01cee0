/* SPDX-License-Identifier: MIT */
/*
 * A scripted target for conversations with the engine
 */
#include "iscsi/test-peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const size_t peer_splits[] = {0, 1, 7, 48};
const size_t n_peer_splits = ARRAY_SIZE(peer_splits);
size_t peer_split;
volatile bool peer_allocates;

int peer_run_group(const char *name, const struct CMUnitTest *tests, size_t n_tests)
{
	int failed = 0;

	for (size_t i = 0; i < n_peer_splits; i++) {
		char group[128];

		peer_split = peer_splits[i];
		snprintf(group, sizeof(group), "%s, %zu bytes at a time", name, peer_split);
		failed += _cmocka_run_group_tests(group, tests, n_tests, NULL, NULL);
	}
	return failed;
}

/* ---- life -------------------------------------------------------------- */

void peer_init(struct peer *p)
{
	*p = (struct peer){
		.cfg = {.initiator_name = "iqn.2026-11.test:initiator",
			.target_name = "iqn.2026-11.test:target",
			.isid = {0x80, 1, 2, 3, 4, 5},
			.first_cmdsn = 0x100},
		.now_ns = 1000 * PEER_S,
		.split = peer_split,
		.cid = 1,
		.statsn = 0x7000,
		.window = 64,
		.mrdsl = PEER_MRDSL,
		.tsih = 0x4711,
	};
	iscsi_params_default_offer(&p->cfg.offer);
	p->answers[0] = "HeaderDigest=None";
	p->answers[1] = "DataDigest=None";
}

void peer_open(struct peer *p)
{
	assert_int_equal(session_new(&p->s, &p->cfg), 0);
}

void peer_connect(struct peer *p)
{
	assert_int_equal(conn_new(&p->c, p->s, p->cid), 0);
	p->n_wire = p->wire_at = 0;
	p->header_digest = p->data_digest = false;
	p->in_full_feature = false;
	p->cmdsn_known = false;
	p->mrdsl = PEER_MRDSL;
	p->declared = 0;
	p->blown = false;
	memset(p->served, 0, sizeof(p->served));
	p->n_order = 0;
	text_clear(&p->login_text);
	conn_start(p->c, p->now_ns);
}

void peer_up(struct peer *p)
{
	peer_open(p);
	peer_connect(p);
	peer_login(p);
	peer_expect_event(p, ISCSI_EV_UP);
}

void peer_again(struct peer *p)
{
	assert_false(conn_alive(p->c));
	p->c = conn_free(p->c);
	p->statsn += 0x1000;
	peer_connect(p);
	peer_login(p);
	peer_expect_event(p, ISCSI_EV_UP);
}

void peer_join_start(struct peer *p, struct peer *lead, uint16_t cid)
{
	peer_init(p);
	p->cfg = lead->cfg;
	memcpy(p->answers, lead->answers, sizeof(p->answers));
	p->s = lead->s;
	p->now_ns = lead->now_ns;
	p->tsih = lead->tsih;
	p->cid = cid;
	p->statsn = lead->statsn + 0x10000u * cid;
	p->lead = lead;
	lead->several = true;
	peer_connect(p);
	p->cmdsn_known = true;
}

void peer_join(struct peer *p, struct peer *lead, uint16_t cid)
{
	peer_join_start(p, lead, cid);
	peer_login(p);
	peer_expect_event(p, ISCSI_EV_UP);
	assert_ptr_equal(p->event.ev.conn, p->c);
}

void peer_leave(struct peer *p)
{
	free(p->wire);
	free(p->seen.data);
	text_clear(&p->login_text);
}

void peer_close(struct peer *p)
{
	p->s = session_free(p->s);
	p->c = NULL;
	free(p->wire);
	free(p->seen.data);
	text_clear(&p->login_text);
	p->wire = NULL;
	p->seen.data = NULL;
}

/* ---- engine to target -------------------------------------------------- */

/* So many bytes have passed. */
static void burn(struct peer *p, size_t n)
{
	if (!p->fuse || !n)
		return;
	p->fuse -= n;
	if (!p->fuse) {
		p->blown = true;
		conn_lost(p->c, "blown", p->now_ns);
	}
}

static bool same_iov(const struct iovec *a, const struct iovec *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].iov_base != b[i].iov_base || a[i].iov_len != b[i].iov_len)
			return false;
	return true;
}

static size_t in_watch(const struct peer *p, const void *at, size_t n)
{
	const uint8_t *b = at;

	return p->watch && b >= p->watch && b + n <= p->watch + p->n_watch ? n : 0;
}

size_t peer_pull(struct peer *p, size_t n)
{
	struct iovec iov[8], again[8];
	size_t room = p->split == 7 ? 1 : 8; /* entries that the owner has */
	size_t n_iov = conn_tx_peek(p->c, iov, room, p->now_ns), taken = 0;

	if (p->fuse && n > p->fuse)
		n = p->fuse;
	if (p->blown)
		return 0;

	/* What is offered stays until it is taken. */
	assert_int_equal(conn_tx_peek(p->c, again, room, p->now_ns), n_iov);
	assert_true(same_iov(iov, again, n_iov));
	if (p->n_wire + n > p->n_room) {
		p->n_room = (p->n_wire + n) * 2;
		peer_allocates = true;
		p->wire = realloc(p->wire, p->n_room);
		peer_allocates = false;
		assert_non_null(p->wire);
	}
	for (size_t i = 0; i < n_iov && taken < n; i++) {
		size_t part = iov[i].iov_len < n - taken ? iov[i].iov_len : n - taken;

		assert_true(iov[i].iov_len > 0);
		memcpy(p->wire + p->n_wire, iov[i].iov_base, part);
		p->n_tx_direct += in_watch(p, iov[i].iov_base, part);
		p->n_wire += part;
		taken += part;
	}
	if (taken)
		conn_tx_done(p->c, taken, p->now_ns);
	burn(p, taken);
	return taken;
}

static bool wire_has(struct peer *p, size_t n)
{
	while (p->n_wire - p->wire_at < n)
		if (!peer_pull(p, p->split ? p->split : 65536))
			return false;
	return true;
}

static uint32_t le32(const uint8_t *b)
{
	return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static struct peer *root(struct peer *p)
{
	return p->lead ? p->lead : p;
}

/* A number has come over one of several connections. */
static void take_cmdsn(struct peer *p, uint32_t cmdsn)
{
	struct peer *l = root(p);
	uint32_t at = cmdsn - l->expcmdsn;

	assert_true(serial_le(cmdsn, l->told_max));
	if (!l->several)
		assert_int_equal(at, 0);
	assert_true(at <= 64);
	if (at) {
		assert_false(l->ahead >> (at - 1) & 1);
		l->ahead |= UINT64_C(1) << (at - 1);
		return;
	}
	do {
		l->expcmdsn++;
		at = l->ahead & 1;
		l->ahead >>= 1;
	} while (at);
}

/* What holds for every PDU of an initiator. */
static void check_always(struct peer *p, const struct pdu *u, const uint8_t *bhs)
{
	uint8_t again[BHS_LEN];

	pdu_encode(again, u);
	assert_memory_equal(again, bhs, BHS_LEN);
	assert_true(u->opcode < PDU_NOP_IN);
	assert_true(u->n_data <= p->mrdsl);
	assert_int_equal(u->n_ahs, 0);
	if (p->loose)
		return;
	if (u->opcode == PDU_LOGIN_REQ) {
		if (!p->cmdsn_known)
			p->expcmdsn = u->cmdsn;
		if (p->lead)
			assert_int_equal(u->u.login.tsih, p->tsih);
		p->cmdsn_known = true;
		assert_memory_equal(u->u.login.isid, p->cfg.isid, 6);
		assert_int_equal(u->u.login.cid, p->cid);
		assert_int_equal(u->u.login.version_max, 0);
		assert_int_equal(u->u.login.version_min, 0);
	} else {
		assert_true(p->in_full_feature);
		assert_true(serial_le(u->expstatsn, p->statsn));
	}
	if (u->opcode == PDU_SCSI_CMD) {
		assert_false(u->immediate);
		take_cmdsn(p, u->cmdsn);
	} else if (u->opcode == PDU_NOP_OUT && root(p)->several && !u->immediate) {
		assert_int_not_equal(u->itt, PDU_TAG_NONE);
		take_cmdsn(p, u->cmdsn);
	} else if (u->opcode != PDU_DATA_OUT && u->opcode != PDU_SNACK) {
		assert_true(u->immediate);
		if (!root(p)->several)
			assert_int_equal(u->cmdsn, p->expcmdsn);
	} else {
		assert_false(u->immediate);
	}
}

const struct seen *peer_recv(struct peer *p)
{
	struct seen *u = &p->seen;
	size_t n_head = BHS_LEN + (p->header_digest ? 4 : 0), n_body;
	const uint8_t *at;

	if (!wire_has(p, n_head)) {
		/* No PDU stays half sent. */
		assert_true(p->n_wire == p->wire_at || !conn_alive(p->c));
		return NULL;
	}
	at = p->wire + p->wire_at;
	memcpy(u->bhs, at, BHS_LEN);
	assert_int_equal(pdu_decode(&u->pdu, u->bhs), 0);
	if (p->header_digest)
		assert_int_equal(le32(at + BHS_LEN), digest_crc32c(0, u->bhs, BHS_LEN));
	n_body = u->pdu.n_data + pdu_pad(u->pdu.n_data);
	if (p->data_digest && u->pdu.n_data)
		n_body += 4;
	if (!wire_has(p, n_head + n_body)) {
		assert_false(conn_alive(p->c));
		return NULL;
	}
	at = p->wire + p->wire_at + n_head;
	for (uint32_t i = 0; i < pdu_pad(u->pdu.n_data); i++)
		assert_int_equal(at[u->pdu.n_data + i], 0);
	if (p->data_digest && u->pdu.n_data)
		assert_int_equal(le32(at + n_body - 4), digest_crc32c(0, at, n_body - 4));
	if (u->pdu.n_data > p->n_seen_room) {
		peer_allocates = true;
		u->data = realloc(u->data, u->pdu.n_data);
		peer_allocates = false;
		assert_non_null(u->data);
		p->n_seen_room = u->pdu.n_data;
	}
	if (u->pdu.n_data)
		memcpy(u->data, at, u->pdu.n_data);
	p->wire_at += n_head + n_body;
	if (p->wire_at == p->n_wire)
		p->wire_at = p->n_wire = 0;
	check_always(p, &u->pdu, u->bhs);
	return u;
}

const struct seen *peer_expect(struct peer *p, enum pdu_opcode opcode)
{
	const struct seen *u = peer_recv(p);

	assert_non_null(u);
	if (u->pdu.opcode != opcode)
		fail_msg("%s where a %s was due", pdu_name(u->pdu.opcode), pdu_name(opcode));
	return u;
}

void peer_expect_nothing(struct peer *p)
{
	const struct seen *u = peer_recv(p);

	if (u)
		fail_msg("%s where nothing was due", pdu_name(u->pdu.opcode));
}

/* ---- target to engine -------------------------------------------------- */

void peer_feed(struct peer *p, const void *bytes, size_t n)
{
	const uint8_t *from = bytes;

	while (n > 0) {
		struct iovec iov[4];
		size_t n_iov = conn_rx_want(p->c, iov, 4);
		size_t left = p->split && p->split < n ? p->split : n, given = 0;

		if (!n_iov) {
			assert_false(conn_alive(p->c));
			return; /* dead: the rest of the bytes are nobody's */
		}
		if (p->fuse && left > p->fuse)
			left = p->fuse;
		assert_true(n_iov <= 4);
		for (size_t i = 0; i < n_iov && left > 0; i++) {
			size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;

			assert_true(iov[i].iov_len > 0);
			memcpy(iov[i].iov_base, from, part);
			p->n_rx_direct += in_watch(p, iov[i].iov_base, part);
			from += part;
			left -= part;
			given += part;
		}
		assert_true(given > 0);
		n -= given;
		conn_rx_done(p->c, given, p->now_ns);
		burn(p, given);
	}
}

static bool has_status(const struct pdu *u)
{
	switch (u->opcode) {
	case PDU_R2T: return false;
	case PDU_DATA_IN: return u->u.data_in.has_status;
	case PDU_NOP_IN: return u->itt != PDU_TAG_NONE;
	case PDU_LOGIN_RSP: return !u->u.login.status_class;
	default: return true;
	}
}

void peer_number(struct peer *p, struct pdu *u)
{
	struct peer *l;

	u->statsn = p->statsn;
	if (has_status(u))
		p->statsn++;
	l = root(p);
	u->expcmdsn = l->expcmdsn;
	u->maxcmdsn = l->expcmdsn + l->window - 1;
	if (!l->in_full_feature || serial_lt(l->told_max, u->maxcmdsn))
		l->told_max = u->maxcmdsn;
}

static void put_le32(uint8_t *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

size_t peer_encode(struct peer *p, struct pdu *u, const void *data, size_t n, uint8_t *room)
{
	size_t at = BHS_LEN, n_pad = pdu_pad((uint32_t)n);

	u->n_data = (uint32_t)n;
	pdu_encode(room, u);
	if (p->header_digest) {
		put_le32(room + at, digest_crc32c(0, room, BHS_LEN));
		at += 4;
	}
	if (n) {
		memcpy(room + at, data, n);
		memset(room + at + n, 0, n_pad);
		if (p->data_digest) {
			put_le32(room + at + n + n_pad, digest_crc32c(0, room + at, n + n_pad));
			at += 4;
		}
		at += n + n_pad;
	}
	return at;
}

void peer_put(struct peer *p, struct pdu *u, const void *data, size_t n)
{
	uint8_t *room;
	size_t n_all;

	peer_allocates = true;
	room = malloc(BHS_LEN + 4 + n + 3 + 4);
	peer_allocates = false;
	assert_non_null(room);
	n_all = peer_encode(p, u, data, n, room);
	peer_feed(p, room, n_all);
	free(room);
}

void peer_send(struct peer *p, struct pdu u, const void *data, size_t n)
{
	peer_number(p, &u);
	peer_put(p, &u, data, n);
}

void peer_status(struct peer *p, uint32_t itt, uint8_t status)
{
	peer_send(p,
		  (struct pdu){.opcode = PDU_SCSI_RSP,
			       .final = true,
			       .itt = itt,
			       .u.scsi_rsp = {.status = status}},
		  NULL, 0);
}

void peer_data_in(struct peer *p, uint32_t itt, uint32_t datasn, uint32_t off, const void *data,
		  uint32_t n, bool last_with_good)
{
	peer_send(
		p,
		(struct pdu){
			.opcode = PDU_DATA_IN,
			.final = last_with_good,
			.itt = itt,
			.ttt = PDU_TAG_NONE,
			.u.data_in = {.datasn = datasn, .off = off, .has_status = last_with_good}},
		data, n);
}

void peer_r2t(struct peer *p, uint32_t itt, uint32_t ttt, uint32_t r2tsn, uint32_t off,
	      uint32_t len)
{
	peer_send(p,
		  (struct pdu){.opcode = PDU_R2T,
			       .final = true,
			       .itt = itt,
			       .ttt = ttt,
			       .u.r2t = {.r2tsn = r2tsn, .off = off, .len = len}},
		  NULL, 0);
}

void peer_ping(struct peer *p, uint32_t ttt, const void *data, size_t n)
{
	peer_send(
		p,
		(struct pdu){.opcode = PDU_NOP_IN, .final = true, .itt = PDU_TAG_NONE, .ttt = ttt},
		data, n);
}

/* ---- events ------------------------------------------------------------ */

const struct peer_event *peer_event(struct peer *p)
{
	struct peer_event *e = &p->event;

	do {
		if (!session_next_event(p->s, &e->ev))
			return NULL;
		e->n_text = e->ev.n_text;
		assert_true(e->n_text < sizeof(e->text));
		if (e->ev.text)
			memcpy(e->text, e->ev.text, e->n_text);
		e->text[e->n_text] = '\0';
		if (e->ev.n_sense)
			memcpy(e->sense, e->ev.sense, e->ev.n_sense);
	} while (e->ev.kind == ISCSI_EV_NOTE);
	return e;
}

const struct peer_event *peer_expect_event(struct peer *p, enum iscsi_event_kind kind)
{
	const struct peer_event *e = peer_event(p);

	assert_non_null(e);
	if (e->ev.kind != kind)
		fail_msg("event %d (%s) where %d was due", e->ev.kind, e->text, kind);
	return e;
}

void peer_expect_no_event(struct peer *p)
{
	const struct peer_event *e = peer_event(p);

	if (e)
		fail_msg("event %d (%s) where none was due", e->ev.kind, e->text);
}

static void expect_end(struct peer *p, enum iscsi_event_kind kind, const char *why)
{
	const struct peer_event *e = peer_expect_event(p, kind);

	if (!strstr(e->text, why))
		fail_msg("ended with \"%s\", not for \"%s\"", e->text, why);
	assert_false(conn_alive(p->c));
	assert_true(session_stats(p->s)->n_protocol_errors > 0);
}

void peer_expect_violation(struct peer *p, const char *why)
{
	expect_end(p, ISCSI_EV_CONN_DOWN, why);
}

void peer_expect_login_violation(struct peer *p, const char *why)
{
	expect_end(p, ISCSI_EV_LOGIN_FAILED, why);
	assert_int_equal(p->event.ev.login_status, 0);
}

void peer_tick(struct peer *p, uint64_t ns)
{
	p->now_ns += ns;
	session_tick(p->s, p->now_ns);
}

/* ---- commands ---------------------------------------------------------- */

#define GUARD_BYTE 0xa5

uint8_t io_byte(uint32_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) * 13 + (at >> 16) + 3);
}

void io_fill(uint8_t *bytes, uint32_t off, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		bytes[i] = io_byte(off + i);
}

static void io_init(struct io *io, enum iscsi_dir dir, uint32_t n)
{
	size_t cut = 0, n_iov = ARRAY_SIZE(io->iov);

	memset(io, 0, sizeof(*io));
	io->n = n;
	peer_allocates = true;
	io->mem = malloc(n + 2 * PEER_GUARD);
	peer_allocates = false;
	assert_non_null(io->mem);
	memset(io->mem, GUARD_BYTE, n + 2 * PEER_GUARD);
	io->bytes = io->mem + PEER_GUARD;
	/* Parts of odd sizes; in between an empty one. */
	for (size_t i = 0; i < n_iov; i++) {
		size_t part = i == 1 ? 0 : i == n_iov - 1 ? n - cut : (n - cut) / 3;

		io->iov[i] = (struct iovec){io->bytes + cut, part};
		cut += part;
	}
	io->task.dir = dir;
	io->task.iov = io->iov;
	io->task.n_iov = (unsigned)n_iov;
	io->task.n_data = n;
	io->task.lun = UINT64_C(0x0001000000000000);
	for (unsigned i = 0; i < ISCSI_CDB_MAX; i++)
		io->task.cdb[i] = (uint8_t)(0x20 + i);
	io->task.user = io;
}

void io_none(struct io *io)
{
	io_init(io, ISCSI_DIR_NONE, 0);
}

void io_read(struct io *io, uint32_t n)
{
	io_init(io, ISCSI_DIR_READ, n);
}

void io_write(struct io *io, uint32_t n)
{
	io_init(io, ISCSI_DIR_WRITE, n);
	io_fill(io->bytes, 0, n);
}

void io_submit(struct peer *p, struct io *io)
{
	session_submit(p->s, &io->task, p->now_ns);
}

void io_expect(struct peer *p, struct io *io, enum iscsi_task_result result)
{
	const struct peer_event *e = peer_expect_event(p, ISCSI_EV_TASK_DONE);

	assert_ptr_equal(e->ev.task, &io->task);
	assert_int_equal(io->task.result, result);
	assert_int_equal(io->task.n_refs, 0);
}

void io_free(struct io *io, uint32_t n_good)
{
	for (int i = 0; i < PEER_GUARD; i++) {
		assert_int_equal(io->mem[i], GUARD_BYTE);
		assert_int_equal(io->bytes[io->n + (uint32_t)i], GUARD_BYTE);
	}
	for (uint32_t i = 0; i < n_good; i++)
		assert_int_equal(io->bytes[i], io_byte(i));
	if (io->task.dir == ISCSI_DIR_READ)
		for (uint32_t i = n_good; i < io->n; i++)
			assert_int_equal(io->bytes[i], GUARD_BYTE);
	free(io->mem);
	io->mem = NULL;
}

/* One sequence of Data-Out, all checked. */
static void take_sequence(struct peer *p, const struct io *io, uint32_t itt, uint32_t ttt,
			  uint32_t off, uint32_t n)
{
	for (uint32_t datasn = 0; n > 0; datasn++) {
		const struct seen *u = peer_expect(p, PDU_DATA_OUT);
		uint32_t due = n < p->mrdsl ? n : p->mrdsl;

		assert_int_equal(u->pdu.itt, itt);
		assert_int_equal(u->pdu.ttt, ttt);
		assert_int_equal(u->pdu.lun, io->task.lun);
		assert_int_equal(u->pdu.u.data_out.datasn, datasn);
		assert_int_equal(u->pdu.u.data_out.off, off);
		assert_int_equal(u->pdu.n_data, due);
		assert_int_equal(u->pdu.final, due == n);
		assert_memory_equal(u->data, io->bytes + off, due);
		off += due;
		n -= due;
	}
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void peer_serve_write(struct peer *p, struct io *io)
{
	const struct iscsi_params *k = session_params(p->s);
	const struct seen *u = peer_expect(p, PDU_SCSI_CMD);
	uint32_t first = least(io->n, k->FirstBurstLength), at, itt = u->pdu.itt, r2tsn = 0;
	uint32_t immediate = k->ImmediateData ? least(first, p->mrdsl) : 0;

	assert_true(u->pdu.u.scsi_cmd.write);
	assert_false(u->pdu.u.scsi_cmd.read);
	assert_int_equal(u->pdu.u.scsi_cmd.attr, PDU_ATTR_SIMPLE);
	assert_int_equal(u->pdu.u.scsi_cmd.expected_len, io->n);
	assert_memory_equal(u->pdu.u.scsi_cmd.cdb, io->task.cdb, ISCSI_CDB_MAX);
	assert_int_equal(u->pdu.lun, io->task.lun);
	assert_int_equal(u->pdu.n_data, immediate);
	if (immediate)
		assert_memory_equal(u->data, io->bytes, immediate);
	at = immediate;
	if (!k->InitialR2T && first > at) {
		assert_false(u->pdu.final);
		take_sequence(p, io, itt, PDU_TAG_NONE, at, first - at);
		at = first;
	} else {
		assert_true(u->pdu.final);
	}
	peer_expect_nothing(p);
	while (at < io->n) {
		uint32_t n = least(io->n - at, k->MaxBurstLength);

		peer_r2t(p, itt, 0x5000 + r2tsn, r2tsn, at, n);
		take_sequence(p, io, itt, 0x5000 + r2tsn, at, n);
		peer_expect_nothing(p);
		at += n;
		r2tsn++;
	}
	peer_status(p, itt, 0);
	io_expect(p, io, ISCSI_TASK_OK);
	assert_int_equal(io->task.n_transferred, io->n);
}

void peer_serve_read(struct peer *p, struct io *io, uint32_t n_segment)
{
	const struct seen *u = peer_expect(p, PDU_SCSI_CMD);
	uint8_t *bytes = malloc(io->n + 1);
	uint32_t itt = u->pdu.itt, datasn = 0;

	assert_non_null(bytes);
	assert_true(u->pdu.u.scsi_cmd.read);
	assert_false(u->pdu.u.scsi_cmd.write);
	assert_true(u->pdu.final);
	assert_int_equal(u->pdu.n_data, 0);
	assert_int_equal(u->pdu.u.scsi_cmd.expected_len, io->n);
	assert_memory_equal(u->pdu.u.scsi_cmd.cdb, io->task.cdb, ISCSI_CDB_MAX);
	io_fill(bytes, 0, io->n);
	for (uint32_t at = 0; at < io->n; datasn++) {
		uint32_t n = least(io->n - at, n_segment);

		peer_data_in(p, itt, datasn, at, bytes + at, n, at + n == io->n);
		at += n;
	}
	if (!io->n)
		peer_status(p, itt, 0);
	free(bytes);
	io_expect(p, io, ISCSI_TASK_OK);
	assert_int_equal(io->task.n_transferred, io->n);
}

uint32_t peer_expect_logout(struct peer *p, uint8_t reason, uint16_t cid)
{
	const struct seen *u = peer_expect(p, PDU_LOGOUT_REQ);

	assert_int_equal(u->pdu.u.logout_req.reason, reason);
	assert_int_equal(u->pdu.u.logout_req.cid, cid);
	return u->pdu.itt;
}

void peer_answer_logout(struct peer *p, uint32_t itt, uint8_t response)
{
	peer_send(p,
		  (struct pdu){.opcode = PDU_LOGOUT_RSP,
			       .final = true,
			       .itt = itt,
			       .u.logout_rsp = {.response = response}},
		  NULL, 0);
}
