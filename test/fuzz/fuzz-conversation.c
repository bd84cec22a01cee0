/* SPDX-License-Identifier: MIT */
/*
 * Whole conversations with a hostile target and a capricious owner
 *
 * The input is a program: each byte an operation, the next ones its operands. The
 * target's side can send any bytes, or PDUs that are right but for what the input
 * bends, so that deep states are reached. The owner submits, cancels, resets,
 * waits, sends in pieces, loses the connection and logs in again.
 *
 * What must hold is asserted all the time: a task ends exactly once, and from that
 * moment on its memory is freed, so that whatever still points at it is found; the
 * places offered for input lie inside a task's buffer or the engine's own; what is
 * sent is a sequence of whole PDUs within what was negotiated; after a tick the
 * next deadline is in the future.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_TASKS       16
#define GUARD         32
#define SIZE_MAX_TASK 70000
#define MS            UINT64_C(1000000)

struct slot {
	struct iscsi_task *task; /* NULL: free */
	struct iovec iov[3];
	uint8_t *mem;
	uint32_t n;
};

/* A connection, and what the engine has sent on it that was not looked at yet. */
struct side {
	struct iscsi_conn *c;
	uint8_t *out;
	size_t n_out, n_room;
	bool out_judged; /* false after the transport has lost count */
};

#define N_SIDES 3

struct world {
	const uint8_t *in;
	size_t n_in;
	struct iscsi_session *s;
	struct iscsi_conn *c;
	uint64_t now;
	struct slot slot[N_TASKS];
	unsigned n_submitted, n_ended;
	size_t split;
	/* the side that is in hand; the others rest in side[] */
	uint8_t *out;
	size_t n_out, n_room;
	bool out_judged;
	struct side side[N_SIDES];
	unsigned at;
	uint32_t last_itt;
	unsigned preset;
	unsigned window;
};

static uint8_t take(struct world *w)
{
	if (!w->n_in)
		return 0;
	w->n_in--;
	return *w->in++;
}

static uint32_t take16(struct world *w)
{
	uint32_t hi = take(w);

	return hi << 8 | take(w);
}

static uint32_t take32(struct world *w)
{
	uint32_t hi = take16(w);

	return hi << 16 | take16(w);
}

/* ---- tasks ------------------------------------------------------------- */

/* What a write's byte at this offset is, whichever write. */
static uint8_t pattern(uint32_t off)
{
	return (uint8_t)(off * 13 + (off >> 8) * 7);
}

static void check_guards(const struct slot *t)
{
	for (unsigned i = 0; i < GUARD; i++) {
		assert(t->mem[i] == 0x5a);
		assert(t->mem[GUARD + t->n + i] == 0x5a);
	}
}

static void submit(struct world *w)
{
	uint8_t kind = take(w);
	struct slot *t = &w->slot[kind % N_TASKS];
	uint32_t n = take16(w), a, b;
	struct iscsi_task *k;

	if (t->task)
		return;
	n = kind & 0x80 ? n : n % 2048;
	if (n > SIZE_MAX_TASK)
		n = SIZE_MAX_TASK;
	kind = take(w);
	k = calloc(1, sizeof(*k));
	t->mem = malloc(n + 2 * GUARD);
	assert(k && t->mem);
	memset(t->mem, 0x5a, GUARD);
	for (uint32_t i = 0; i < n; i++)
		t->mem[GUARD + i] = pattern(i);
	memset(t->mem + GUARD + n, 0x5a, GUARD);
	a = n / 3;
	b = n / 5;
	t->iov[0] = (struct iovec){t->mem + GUARD, a};
	t->iov[1] = (struct iovec){t->mem + GUARD + a, b};
	t->iov[2] = (struct iovec){t->mem + GUARD + a + b, n - a - b};
	t->task = k;
	t->n = n;
	k->dir = kind % 3;
	k->n_data = k->dir == ISCSI_DIR_NONE ? 0 : n;
	k->iov = t->iov;
	k->n_iov = 3;
	k->lun = kind & 4 ? 0 : 1;
	k->once = kind & 8;
	k->probe = kind & 16;
	k->timeout_ns = kind & 32 ? 700 * MS : 0;
	k->user = t;
	w->n_submitted++;
	session_submit(w->s, k, w->now);
}

static void ended(struct world *w, struct iscsi_task *k)
{
	struct slot *t = k->user;

	assert(t >= w->slot && t < w->slot + N_TASKS && t->task == k);
	assert(k->n_refs == 0);
	assert(k->result <= ISCSI_TASK_LOST);
	assert(k->n_transferred <= k->n_data);
	assert(k->n_sense <= ISCSI_SENSE_MAX);
	if (k->result == ISCSI_TASK_OK && k->status == 0 && k->dir != ISCSI_DIR_NONE)
		assert(k->n_transferred == k->n_data - (k->underflow ? k->residual : 0));
	if (k->result != ISCSI_TASK_OK)
		assert(k->n_transferred == 0 && k->n_sense == 0);
	check_guards(t);
	free(t->mem);
	memset(k, 0xee, sizeof(*k));
	free(k);
	memset(t, 0, sizeof(*t));
	w->n_ended++;
}

static bool is_ours(const struct world *w, const struct iscsi_conn *c)
{
	bool ours = c == w->c;

	for (unsigned i = 0; i < N_SIDES; i++)
		ours |= i != w->at && c == w->side[i].c;
	return ours;
}

static void drain(struct world *w)
{
	struct iscsi_event ev;
	unsigned n = 0;

	while (session_next_event(w->s, &ev)) {
		assert(++n < 1000);
		assert(!ev.conn || is_ours(w, ev.conn));
		if (ev.kind == ISCSI_EV_TASK_DONE) {
			ended(w, ev.task);
			continue;
		}
		assert(ev.text);
		for (size_t i = 0, sum = 0; i < ev.n_text; i++) /* is all of it there? */
			sum += (uint8_t)ev.text[i], assert(sum >= (uint8_t)ev.text[i]);
		assert(ev.n_sense <= ISCSI_SENSE_MAX);
		if (ev.kind == ISCSI_EV_CONN_DOWN || ev.kind == ISCSI_EV_LOGIN_FAILED ||
		    ev.kind == ISCSI_EV_REDIRECT || ev.kind == ISCSI_EV_LOGGED_OUT)
			assert(!ev.conn || !conn_alive(ev.conn));
	}
}

static struct iscsi_task *pick(struct world *w)
{
	return w->slot[take(w) % N_TASKS].task;
}

/* ---- engine to target -------------------------------------------------- */

/* Whole PDUs at the front of what was sent. */
static void judge_out(struct world *w)
{
	while (w->out_judged && w->n_out >= BHS_LEN) {
		const struct iscsi_params *k = conn_params(w->c);
		struct pdu p;
		size_t n = BHS_LEN;
		bool login;

		assert(pdu_decode(&p, w->out) == 0);
		assert(p.opcode < PDU_NOP_IN && p.n_ahs == 0);
		login = p.opcode == PDU_LOGIN_REQ;
		assert(p.n_data <= (login ? 8192 : k->TargetMaxRecvDataSegmentLength));
		if (!login && w->c->header_digest)
			n += 4;
		n += p.n_data + pdu_pad(p.n_data);
		if (!login && w->c->data_digest && p.n_data)
			n += 4;
		if (w->n_out < n)
			return;
		w->last_itt = p.itt;
		if (p.opcode == PDU_DATA_OUT)
			assert(p.n_data > 0);
		if (p.opcode == PDU_DATA_OUT || p.opcode == PDU_SCSI_CMD) {
			uint32_t off = p.opcode == PDU_DATA_OUT ? p.u.data_out.off : 0;
			const uint8_t *at = w->out + BHS_LEN + (w->c->header_digest ? 4 : 0);

			for (uint32_t i = 0; i < p.n_data; i++)
				assert(at[i] == pattern(off + i));
		}
		memmove(w->out, w->out + n, w->n_out - n);
		w->n_out -= n;
	}
	if (!w->out_judged)
		w->n_out = 0;
}

static void pull(struct world *w, size_t n)
{
	struct iovec iov[5], again[5];
	size_t n_iov, taken = 0;

	if (!w->c)
		return;
	n_iov = conn_tx_peek(w->c, iov, 5, w->now);
	assert(n_iov <= 5);
	assert(conn_tx_peek(w->c, again, 5, w->now) == n_iov);
	for (size_t i = 0; i < n_iov; i++)
		assert(iov[i].iov_base == again[i].iov_base && iov[i].iov_len == again[i].iov_len);
	if (w->n_out + n > w->n_room) {
		w->n_room = (w->n_out + n) * 2;
		w->out = realloc(w->out, w->n_room);
		assert(w->out);
	}
	for (size_t i = 0; i < n_iov && taken < n; i++) {
		size_t part = iov[i].iov_len < n - taken ? iov[i].iov_len : n - taken;

		assert(part > 0);
		memcpy(w->out + w->n_out, iov[i].iov_base, part);
		w->n_out += part;
		taken += part;
	}
	conn_tx_done(w->c, taken, w->now);
	judge_out(w);
}

/* ---- target to engine -------------------------------------------------- */

static bool inside_a_task(const struct world *w, const struct iovec *v)
{
	const uint8_t *at = v->iov_base;

	for (int i = 0; i < N_TASKS; i++) {
		const struct slot *t = &w->slot[i];

		if (t->task && at >= t->mem + GUARD && at + v->iov_len <= t->mem + GUARD + t->n)
			return true;
	}
	return false;
}

static void feed(struct world *w, const uint8_t *bytes, size_t n)
{
	while (n > 0 && w->c) {
		struct iovec iov[4];
		size_t n_iov = conn_rx_want(w->c, iov, 4), given = 0;
		size_t left = w->split && w->split < n ? w->split : n;

		assert((n_iov > 0) == conn_alive(w->c) || w->c->state == CONN_XPT_WAIT);
		assert(n_iov <= 4);
		if (!n_iov)
			return;
		for (size_t i = 0; i < n_iov && left > 0; i++) {
			size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;
			const uint8_t *at = iov[i].iov_base;
			bool own = (at >= w->c->stage && at + part <= w->c->stage + STAGE_BYTES) ||
				   (w->c->rx_data && at >= w->c->rx_data &&
				    at + part <= w->c->rx_data + w->c->n_rx_data_room);

			assert(iov[i].iov_len > 0);
			assert(own || inside_a_task(w, &iov[i]));
			memcpy(iov[i].iov_base, bytes, part);
			bytes += part;
			left -= part;
			given += part;
		}
		assert(given > 0);
		n -= given;
		conn_rx_done(w->c, given, w->now);
		if (take(w) & 1)
			drain(w);
	}
}

static void put_le32(uint8_t *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

/* Numbers, digests and padding right, unless the input bends them. */
static void send_pdu(struct world *w, struct pdu *p, const uint8_t *data, uint32_t n)
{
	uint8_t bend = take(w), *wire;
	size_t at = BHS_LEN, n_pad = pdu_pad(n);

	if (!w->c)
		return;
	wire = malloc(BHS_LEN + 4 + n + 3 + 4);
	assert(wire);
	p->statsn = w->c->expstatsn;
	p->expcmdsn = w->s->cmdsn;
	p->maxcmdsn = w->s->cmdsn + w->window - 1;
	p->n_data = n;
	if (bend == 0xff)
		p->statsn += take(w);
	if (bend == 0xfe)
		p->maxcmdsn = take32(w);
	if (bend == 0xfd)
		p->n_data = take32(w) & PDU_DATA_MAX;
	pdu_encode(wire, p);
	if (bend == 0xfc)
		wire[take(w) % BHS_LEN] ^= take(w);
	if (w->c->header_digest) {
		put_le32(wire + at, digest_crc32c(0, wire, BHS_LEN));
		at += 4;
	}
	if (n) {
		memcpy(wire + at, data, n);
		memset(wire + at + n, 0, n_pad);
		if (w->c->data_digest) {
			put_le32(wire + at + n + n_pad, digest_crc32c(0, wire + at, n + n_pad));
			at += 4;
		}
		at += n + n_pad;
	}
	if (bend == 0xfb)
		wire[take16(w) % at] ^= 1;
	if (bend == 0xfa)
		at = take16(w) % (at + 1); /* only a part */
	feed(w, wire, at);
	free(wire);
}

static const struct {
	const char *text;
	size_t n;
} presets[] = {
#define P(s)                 \
	{                    \
		s, sizeof(s) \
	}
	P("MaxRecvDataSegmentLength=512\0InitialR2T=Yes\0ImmediateData=No\0MaxBurstLength=1024\0"
	  "FirstBurstLength=512\0MaxOutstandingR2T=8"),
	P("HeaderDigest=CRC32C\0DataDigest=CRC32C\0InitialR2T=No\0ImmediateData=Yes\0"
	  "FirstBurstLength=4096\0MaxBurstLength=8192"),
	P("HeaderDigest=CRC32C\0MaxRecvDataSegmentLength=8192\0InitialR2T=Yes"),
	P("DataDigest=CRC32C\0ImmediateData=No\0InitialR2T=No\0FirstBurstLength=1000\0"
	  "DataPDUInOrder=No\0DataSequenceInOrder=No"),
	P("TargetAlias=x\0TargetPortalGroupTag=1\0MaxBurstLength=262144\0MaxOutstandingR2T=2"),
	P("MaxConnections=1"),
	P("MaxConnections=3\0ErrorRecoveryLevel=1\0DataDigest=CRC32C\0InitialR2T=Yes\0"
	  "DefaultTime2Wait=0\0MaxOutstandingR2T=4"),
	P("MaxConnections=3\0ErrorRecoveryLevel=2\0DataDigest=CRC32C\0DefaultTime2Wait=1\0"
	  "DefaultTime2Retain=3\0DataPDUInOrder=No\0DataSequenceInOrder=No"),
#undef P
};

static void send_login(struct world *w, bool good)
{
	struct login *l;
	struct pdu p = {.opcode = PDU_LOGIN_RSP};
	const char *text = NULL;
	size_t n = 0;

	if (!w->c || w->c->state != CONN_IN_LOGIN)
		return;
	l = &w->c->login;
	p.itt = l->itt;
	p.final = l->sent_transit;
	p.u.login.csg = l->csg;
	p.u.login.nsg = p.final ? (l->csg ? STAGE_FULL_FEATURE : STAGE_OPERATIONAL) : 0;
	p.u.login.tsih = 7;
	memcpy(p.u.login.isid, w->s->cfg.isid, 6);
	if (good) {
		if (l->csg == STAGE_SECURITY) {
			text = "AuthMethod=None";
			n = sizeof("AuthMethod=None");
		} else if (!w->c->leading) {
			text = "DataDigest=CRC32C";
			n = sizeof("DataDigest=CRC32C");
		} else {
			text = presets[w->preset % ARRAY_SIZE(presets)].text;
			n = presets[w->preset % ARRAY_SIZE(presets)].n;
		}
		send_pdu(w, &p, (const uint8_t *)text, (uint32_t)n);
		return;
	}
	p.final ^= take(w) & 1;
	p.u.login.more = take(w) & 1;
	p.u.login.csg = (p.u.login.csg + take(w) % 2) & 3;
	p.u.login.status_class = take(w) & 0x0f;
	p.u.login.status_detail = p.u.login.status_class ? take(w) : 0;
	n = take(w);
	if (n > w->n_in)
		n = w->n_in;
	text = (const char *)w->in;
	w->in += n;
	w->n_in -= n;
	send_pdu(w, &p, (const uint8_t *)text, (uint32_t)n);
}

static void log_in(struct world *w)
{
	for (int i = 0; i < 5 && w->c && w->c->state == CONN_IN_LOGIN; i++) {
		pull(w, 20000);
		send_login(w, true);
	}
}

/* What fills a hole, or something else that has been there. */
static void refer_back(const struct iscsi_task *k, struct pdu *p, uint8_t how)
{
	const struct iscsi_hole *h = &k->hole[0];

	if (k->n_holes && how & 1) {
		p->u.data_in.datasn = h->sn;
		p->u.data_in.off = h->off;
		p->n_data = h->n_sn == 1 ? h->n : h->n / h->n_sn;
	} else {
		p->u.data_in.datasn -= how >> 1 & 3;
		p->u.data_in.off = how & 8 ? 0 : p->u.data_in.off;
	}
	if (p->n_data > 65536)
		p->n_data = 0;
}

static void send_data_in(struct world *w)
{
	static uint8_t bytes[65536];
	struct iscsi_task *k = pick(w);
	uint32_t n = take16(w);
	uint8_t how = take(w);
	struct pdu p = {.opcode = PDU_DATA_IN, .ttt = PDU_TAG_NONE};

	if (!k)
		return;
	if (n > k->n_data - k->n_received && k->n_received <= k->n_data && !(how & 0x80))
		n = k->n_data - k->n_received;
	p.itt = k->itt;
	p.u.data_in.datasn = k->datasn;
	p.u.data_in.off = k->n_received;
	if (k->n_received + n == k->n_data) {
		p.final = true;
		p.u.data_in.has_status = how & 1;
	}
	if (how & 2) {
		p.final = p.u.data_in.has_status = true;
		p.u.data_in.underflow = how & 4;
		p.u.data_in.residual = k->n_data - k->n_received - n;
		p.u.data_in.status = how & 8 ? 2 : 0;
	}
	if ((how & 0x30) == 0x30)
		p.u.data_in.off += take(w);
	if ((how & 0x70) == 0x40) { /* others have been left out */
		p.u.data_in.datasn += 1 + take(w) % 3;
		p.u.data_in.off += take16(w);
	}
	if ((how & 0x50) == 0x50)
		p.u.data_in.ack = true;
	if ((how & 0x70) == 0x60)
		refer_back(k, &p, take(w));
	send_pdu(w, &p, bytes, p.n_data ? p.n_data : n);
}

static void send_r2t(struct world *w)
{
	struct iscsi_task *k = pick(w);
	uint8_t how = take(w);
	struct pdu p = {.opcode = PDU_R2T, .final = true, .ttt = 1u + how};

	if (!k)
		return;
	p.itt = k->itt;
	p.u.r2t.r2tsn = k->datasn + (how & 4 ? 1u : 0u) - (how & 8 ? 1u : 0u);
	p.u.r2t.off = k->n_granted;
	p.u.r2t.len = k->n_data - k->n_granted;
	if (p.u.r2t.len > w->s->active.MaxBurstLength)
		p.u.r2t.len = w->s->active.MaxBurstLength;
	if (how & 1)
		p.u.r2t.len = take16(w);
	if (how & 2)
		p.u.r2t.off += take16(w);
	send_pdu(w, &p, NULL, 0);
}

static void send_response(struct world *w)
{
	struct iscsi_task *k = pick(w);
	uint8_t how = take(w);
	uint8_t sense[40] = {0, 18, 0x70, 0, 5};
	struct pdu p = {.opcode = PDU_SCSI_RSP, .final = true};

	if (!k)
		return;
	p.itt = k->itt;
	p.u.scsi_rsp.response = how & 0x40 ? 1 : 0;
	p.u.scsi_rsp.status = how & 1 ? 2 : 0;
	p.u.scsi_rsp.underflow = how & 2;
	p.u.scsi_rsp.overflow = how & 4;
	p.u.scsi_rsp.expdatasn = k->datasn + (how >> 5 & 1);
	if (how & 2)
		p.u.scsi_rsp.residual =
			k->dir == ISCSI_DIR_READ ? k->n_data - k->n_received : take16(w);
	send_pdu(w, &p, sense, how & 8 ? 20u : how & 16 ? 1u : 0u);
}

/* The answer to the last control PDU, or one that nobody asked for. */
static void send_other(struct world *w)
{
	static const uint8_t opcodes[] = {PDU_NOP_IN, PDU_TMF_RSP,    PDU_TEXT_RSP,
					  PDU_ASYNC,  PDU_LOGOUT_RSP, PDU_REJECT};
	struct pdu p = {.opcode = opcodes[take(w) % ARRAY_SIZE(opcodes)],
			.final = true,
			.ttt = PDU_TAG_NONE};
	uint8_t how = take(w), data[64];
	uint32_t n = 0;

	memset(data, 'a', sizeof(data));
	p.itt = how & 1 ? w->last_itt : PDU_TAG_NONE;
	switch (p.opcode) {
	case PDU_NOP_IN:
		p.ttt = how & 2 ? 5 : PDU_TAG_NONE;
		n = how >> 3;
		break;
	case PDU_TMF_RSP:
		p.itt = how & 1 ? w->s->tmf.itt : w->last_itt;
		if (how & 0x40)
			p.itt = w->s->loss[how >> 5 & 1].itt;
		p.u.tmf_rsp.response = how >> 1 & 7;
		break;
	case PDU_TEXT_RSP:
		p.itt = how & 1 ? w->s->exchange.itt : 3;
		p.final = how & 2;
		p.ttt = how & 2 ? PDU_TAG_NONE : 9;
		p.u.text.more = how & 4;
		n = how >> 3;
		break;
	case PDU_ASYNC:
		p.u.async.event = how & 0x80 ? 255 : how & 7;
		p.u.async.param1 = 1 + (how >> 5 & 1);
		p.u.async.param2 = take(w);
		n = how >> 3 & 15;
		break;
	case PDU_LOGOUT_RSP:
		p.itt = how & 1 ? w->c ? w->c->logout_itt : 0 : 4;
		if (how & 8)
			p.itt = w->s->loss[how >> 4 & 1].itt;
		p.u.logout_rsp.response = how >> 1 & 3;
		break;
	default: { /* reject one of ours */
		struct iscsi_task *k = pick(w);
		struct pdu mine = {.opcode = how & 3   ? (uint8_t)PDU_SCSI_CMD
					     : how & 4 ? (uint8_t)PDU_TMF_REQ
						       : take(w) & 0x3f,
				   .itt = k ? k->itt : 0};

		if (mine.opcode == PDU_TMF_REQ)
			mine.itt = w->s->tmf.itt;
		pdu_encode(data, &mine);
		p.u.reject.reason = take(w) % 14;
		n = BHS_LEN;
	}
	}
	send_pdu(w, &p, data, n);
}

/* The right answer to what recovery asks over this connection. */
static void answer_recovery(struct world *w, uint8_t how)
{
	struct pdu p = {.final = true};

	pull(w, 20000);
	for (unsigned i = 0; i < LOSSES_MAX && w->c; i++) {
		const struct loss *l = &w->s->loss[i];

		if (l->via != w->c)
			continue;
		p.itt = l->itt;
		p.opcode = l->state == LOSS_LOGOUT ? PDU_LOGOUT_RSP : PDU_TMF_RSP;
		if (p.opcode == PDU_TMF_RSP)
			p.u.tmf_rsp.response = how & 0x80 ? how & 7 : 0;
		send_pdu(w, &p, NULL, 0);
		return;
	}
}

static void send_raw(struct world *w)
{
	size_t n = take(w);
	const uint8_t *bytes = w->in;

	if (n > w->n_in)
		n = w->n_in;
	w->in += n;
	w->n_in -= n;
	feed(w, bytes, n);
}

/* ---- the owner --------------------------------------------------------- */

static void connect_again(struct world *w)
{
	if (w->c) {
		w->c = conn_free(w->c);
		drain(w);
	}
	if (conn_new(&w->c, w->s, (uint16_t)(w->at + 1))) {
		assert(w->preset >= 6); /* with one connection there is always room for it */
		return;
	}
	w->n_out = 0;
	w->out_judged = true;
	conn_start(w->c, w->now);
}

/* Takes another connection in hand. */
static void turn(struct world *w, unsigned to)
{
	w->side[w->at] = (struct side){w->c, w->out, w->n_out, w->n_room, w->out_judged};
	w->at = to;
	w->c = w->side[to].c;
	w->out = w->side[to].out;
	w->n_out = w->side[to].n_out;
	w->n_room = w->side[to].n_room;
	w->out_judged = w->side[to].out_judged;
}

static void tick(struct world *w)
{
	uint64_t deadline;

	w->now += take(w) * 50 * MS;
	session_tick(w->s, w->now);
	deadline = session_deadline_ns(w->s);
	assert(deadline > w->now);
}

static void step(struct world *w)
{
	struct iscsi_task *k;

	switch (take(w) % (w->preset >= 6 ? 32 : 24)) {
	case 0:
	case 1: submit(w); break;
	case 2: pull(w, take(w)); break;
	case 3: pull(w, 65536); break;
	case 4: send_raw(w); break;
	case 5:
	case 6: send_data_in(w); break;
	case 7: send_r2t(w); break;
	case 8: send_response(w); break;
	case 9:
	case 10: send_other(w); break;
	case 11: send_login(w, false); break;
	case 12: log_in(w); break;
	case 13: tick(w); break;
	case 14:
		if ((k = pick(w)))
			session_cancel(w->s, k, w->now);
		break;
	case 15: session_lu_reset(w->s, take(w) & 1, w->now); break;
	case 16: session_hold(w->s, take(w) & 1, w->now); break;
	case 17: session_fail_all(w->s, take(w) & 1, w->now); break;
	case 18: (void)session_text(w->s, "SendTargets=All", 16, w->now); break;
	case 19: (void)session_logout(w->s, w->now); break;
	case 20:
		if (w->c)
			conn_lost(w->c, "lost", w->now);
		break;
	case 21: connect_again(w); break;
	case 22: w->split = take(w); break;
	case 23: drain(w); break;
	case 24:
	case 25:
	case 26: turn(w, take(w) % N_SIDES); break;
	case 27:
		turn(w, take(w) % N_SIDES);
		if (!w->c || !conn_alive(w->c))
			connect_again(w);
		log_in(w);
		break;
	case 28:
		if (w->c)
			(void)session_remove_conn(w->s, w->c, w->now);
		break;
	case 29: (void)session_tmf(w->s, take(w) & 7, take(w) & 1, w->now); break;
	case 30:
		if (w->c)
			conn_set_path(w->c, take(w) & 1, take(w) & 3);
		break;
	case 31: answer_recovery(w, take(w)); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.in = data, .n_in = size, .now = 1000 * MS, .out_judged = true};
	struct iscsi_session_cfg cfg = {
		.initiator_name = "iqn.2026-11.test:i",
		.target_name = "iqn.2026-11.test:t",
		.nop_interval_ns = 2000 * MS,
		.nop_timeout_ns = 1000 * MS,
		.task_timeout_ns = 3000 * MS,
		.tmf_timeout_ns = 1500 * MS,
		.logout_timeout_ns = 1000 * MS,
		.login_timeout_ns = 5000 * MS,
	};
	uint8_t first;

	if (size > 4096)
		return 0;
	iscsi_params_default_offer(&cfg.offer);
	first = take(&w);
	w.preset = first & 7;
	if (w.preset == 3 || w.preset == 7) {
		cfg.offer.DataPDUInOrder = 0;
		cfg.offer.DataSequenceInOrder = 0;
	}
	if (w.preset >= 6) {
		cfg.offer.MaxConnections = N_SIDES;
		cfg.offer.ErrorRecoveryLevel = 2;
		cfg.offer.DefaultTime2Wait = 0;
		cfg.policy = first >> 4 & 3;
	}
	cfg.n_tasks = first & 8 ? 3 : N_TASKS;
	cfg.first_cmdsn = first & 16 ? 0xfffffffd : 1;
	w.window = first & 32 ? 2 : 100;
	w.split = take(&w);
	assert(session_new(&w.s, &cfg) == 0);
	connect_again(&w);
	if (first & 64)
		log_in(&w);
	while (w.n_in > 0) {
		step(&w);
		assert(session_n_tasks(w.s) <= w.n_submitted - w.n_ended);
		if (first & 128)
			drain(&w);
	}
	/* The owner leaves: every task it has handed in comes back. */
	session_fail_all(w.s, true, w.now);
	for (unsigned i = 0; i < N_SIDES; i++) {
		turn(&w, i);
		w.c = conn_free(w.c);
	}
	session_fail_all(w.s, true, w.now); /* what went back to the queue */
	drain(&w);
	assert(w.n_ended == w.n_submitted);
	assert(session_n_tasks(w.s) == 0);
	w.s = session_free(w.s);
	for (unsigned i = 0; i < N_SIDES; i++) {
		turn(&w, i);
		free(w.out);
	}
	return 0;
}
