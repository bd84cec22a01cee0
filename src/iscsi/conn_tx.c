/* SPDX-License-Identifier: MIT */
/*
 * Bytes out
 *
 * PDUs are made ready in a ring of slots, as many as fit, so that one system call
 * takes a batch. A slot holds the header and the padding; the data stays where it
 * is, in the task's buffers. What comes first: answers and management, then data
 * that the target waits for, then new commands. Data-Out sequences leave in the
 * order in which their commands or R2Ts came, as RFC 7143 §4.2.2.3 wants of
 * unsolicited data.
 */
#include "iscsi/internal.h"

static struct tx_slot *slot_at(struct iscsi_conn *c, unsigned i)
{
	return &c->slot[(c->slot_head + i) % TX_SLOTS];
}

static size_t slot_size(const struct tx_slot *t)
{
	return t->n_head + (size_t)t->n_data + t->n_tail;
}

static uint32_t data_crc(const struct tx_slot *t)
{
	uint32_t crc = 0;

	if (t->bytes)
		return digest_crc32c(0, t->bytes, t->n_data);
	for (uint32_t at = 0; at < t->n_data;) {
		struct iovec v[16];
		size_t covered;
		size_t n = iov_part(t->task->iov, t->task->n_iov, t->off + at, t->n_data - at, v,
				    16, &covered);

		for (size_t i = 0; i < n; i++)
			crc = digest_crc32c(crc, v[i].iov_base, v[i].iov_len);
		at += (uint32_t)covered;
	}
	return crc;
}

/* The digests are sent as the reflected register's bytes, low byte first. */
static void put_crc(uint8_t *to, uint32_t crc)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(crc >> 8 * i);
}

/* The end of a CDB that is longer than the header has room for. */
static void add_ahs(struct tx_slot *t, const struct iscsi_task *task, const struct pdu *p)
{
	uint8_t *ahs = t->head + BHS_LEN;
	uint8_t n = (uint8_t)(task->n_cdb - ISCSI_CDB_MAX);

	t->n_head = (uint8_t)(BHS_LEN + p->n_ahs * 4);
	memset(ahs, 0, AHS_MAX);
	put_be16(ahs, n + 1); /* all but itself and the type */
	ahs[2] = AHS_LONGER;
	memcpy(ahs + AHS_HEAD, task->cdb + ISCSI_CDB_MAX, n);
}

/* Puts @p with n_data bytes (of @task at @off, or @bytes, which become the slot's) at the ring's
 * end. */
static void slot_add(struct iscsi_conn *c, struct pdu *p, struct iscsi_task *task, uint32_t off,
		     uint8_t *bytes)
{
	struct tx_slot *t = slot_at(c, c->n_slots++);

	p->expstatsn = c->n_answered ? conn_ack_statsn(c) : c->expstatsn;
	pdu_encode(t->head, p);
	t->n_head = BHS_LEN;
	t->n_tail = 0;
	t->off = off;
	t->n_data = p->n_data;
	t->task = task;
	t->bytes = bytes;
	if (p->n_ahs)
		add_ahs(t, task, p);
	if (c->header_digest) {
		put_crc(t->head + t->n_head, digest_crc32c(0, t->head, t->n_head));
		t->n_head += 4;
	}
	if (p->n_data) {
		t->n_tail = (uint8_t)pdu_pad(p->n_data);
		memset(t->tail, 0, sizeof(t->tail));
		if (c->data_digest) {
			uint32_t crc = data_crc(t);

			put_crc(t->tail + t->n_tail, digest_crc32c(crc, t->tail, t->n_tail));
			t->n_tail += 4;
		}
	}
	if (task)
		task_hold(task);
	c->session->stats.n_tx_pdus++;
}

static void add_control(struct iscsi_conn *c)
{
	struct control_pdu *q = list_first(&c->control, struct control_pdu, node);

	list_remove(&q->node);
	if (q->pdu.immediate)
		q->pdu.cmdsn = c->session->cmdsn;
	/* Others may have sent commands since it was asked for. */
	if (q->pdu.opcode == PDU_TMF_REQ && q->pdu.itt == c->session->tmf.itt)
		c->session->tmf.cmdsn = c->session->cmdsn;
	slot_add(c, &q->pdu, NULL, 0, q->data);
	list_append(&c->control_free, &q->node);
}

static void add_data_out(struct iscsi_conn *c)
{
	struct iscsi_burst *b = list_first(&c->bursts, struct iscsi_burst, node);
	struct iscsi_task *t = b->task;
	uint32_t n = b->n_left < c->params.TargetMaxRecvDataSegmentLength
			     ? b->n_left
			     : c->params.TargetMaxRecvDataSegmentLength;
	struct pdu p = {.opcode = PDU_DATA_OUT,
			.final = n == b->n_left,
			.n_data = n,
			.lun = t->lun,
			.itt = t->itt,
			.ttt = b->ttt,
			.u.data_out = {.datasn = b->datasn, .off = b->off}};

	slot_add(c, &p, t, b->off, NULL);
	task_sent(t, b->off, n);
	b->datasn++;
	b->off += n;
	b->n_left -= n;
	if (!b->n_left)
		list_remove(&b->node);
}

static bool add_command(struct iscsi_conn *c)
{
	struct iscsi_session *s = c->session;
	struct iscsi_task *t;
	struct pdu p;

	if (c->state != CONN_LOGGED_IN)
		return false;
	t = policy_next(s, c);
	if (!t)
		return false;
	list_remove(&t->node);
	s->n_pending--;
	if (t->state == TASK_READY)
		c->n_ready--;
	else
		c->n_tasks++;
	session_take_itt(s, t);
	t->cmdsn = s->cmdsn++;
	task_start(t, c, &p);
	slot_add(c, &p, t, 0, NULL);
	return true;
}

/* A command that the target has not taken: as it was, with its old CmdSN (RFC 7143 §7.2.1). */
static void add_retry(struct iscsi_conn *c)
{
	struct iscsi_task *t = list_first(&c->retries, struct iscsi_task, node);
	struct pdu p;

	list_remove(&t->node);
	task_start(t, c, &p);
	slot_add(c, &p, t, 0, NULL);
	c->session->stats.n_retries++;
}

static void fill(struct iscsi_conn *c)
{
	while (c->n_slots < TX_SLOTS) {
		if (!list_empty(&c->control))
			add_control(c);
		else if (!list_empty(&c->retries))
			add_retry(c);
		else if (!list_empty(&c->bursts))
			add_data_out(c);
		else if (!add_command(c))
			break;
	}
}

/* Entries for the slot's bytes from @skip on. Sets *ret_whole when they all found room. */
static size_t slot_iov(struct tx_slot *t, size_t skip, struct iovec *iov, size_t room,
		       bool *ret_whole)
{
	size_t n = 0, covered = 0;

	*ret_whole = false;
	if (skip < t->n_head) {
		if (n == room)
			return n;
		iov[n++] = (struct iovec){t->head + skip, t->n_head - skip};
		skip = 0;
	} else {
		skip -= t->n_head;
	}
	if (skip < t->n_data) {
		if (t->bytes && n < room) {
			iov[n++] = (struct iovec){t->bytes + skip, t->n_data - skip};
			covered = t->n_data - skip;
		} else if (!t->bytes) {
			n += iov_part(t->task->iov, t->task->n_iov, t->off + skip, t->n_data - skip,
				      iov + n, room - n, &covered);
		}
		if (covered < t->n_data - skip)
			return n;
		skip = 0;
	} else {
		skip -= t->n_data;
	}
	if (skip < t->n_tail) {
		if (n == room)
			return n;
		iov[n++] = (struct iovec){t->tail + skip, t->n_tail - skip};
	}
	*ret_whole = true;
	return n;
}

size_t conn_tx_peek(struct iscsi_conn *c, struct iovec iov[], size_t n_iov, uint64_t now_ns)
{
	size_t n = 0, skip = c->tx_off;

	if (c->state == CONN_DEAD || c->state == CONN_XPT_WAIT)
		return 0;
	c->now_ns = now_ns;
	fill(c);
	for (unsigned i = 0; i < c->n_slots && n < n_iov; i++, skip = 0) {
		bool whole;

		n += slot_iov(slot_at(c, i), skip, iov + n, n_iov - n, &whole);
		if (!whole)
			break;
	}
	return n;
}

static void slot_drop(struct iscsi_conn *c)
{
	struct tx_slot *t = slot_at(c, 0);

	c->slot_head = (c->slot_head + 1) % TX_SLOTS;
	c->n_slots--;
	c->tx_off = 0;
	wipe_free(t->bytes, t->n_data); /* a login's may answer a challenge */
	t->bytes = NULL;
	if (t->task)
		task_release(t->task);
}

void conn_tx_done(struct iscsi_conn *c, size_t n_bytes, uint64_t now_ns)
{
	c->now_ns = now_ns;
	if (n_bytes)
		c->last_tx_ns = now_ns;
	c->session->stats.tx_bytes += n_bytes;
	while (n_bytes > 0 && c->n_slots > 0) {
		size_t left = slot_size(slot_at(c, 0)) - c->tx_off;

		if (n_bytes < left) {
			c->tx_off += n_bytes;
			return;
		}
		n_bytes -= left;
		slot_drop(c);
	}
}

void conn_tx_clear(struct iscsi_conn *c)
{
	struct control_pdu *q;

	while (c->n_slots)
		slot_drop(c);
	while ((q = list_first(&c->control, struct control_pdu, node))) {
		list_remove(&q->node);
		wipe_free(q->data, q->pdu.n_data);
		list_append(&c->control_free, &q->node);
	}
}

void conn_send(struct iscsi_conn *c, const struct pdu *p, const void *data, size_t n)
{
	struct control_pdu *q = list_first(&c->control_free, struct control_pdu, node);
	uint8_t *copy = NULL;

	if (c->state == CONN_DEAD)
		return;
	if (!q) {
		conn_violation(c, "the target makes us answer more than it reads");
		return;
	}
	if (n) {
		copy = malloc(n);
		if (!copy) {
			conn_drop(c, "out of memory");
			return;
		}
		memcpy(copy, data, n);
	}
	q->pdu = *p;
	q->pdu.n_data = (uint32_t)n;
	q->data = copy;
	list_remove(&q->node);
	list_append(&c->control, &q->node);
}
