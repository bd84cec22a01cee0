/* SPDX-License-Identifier: MIT */
/*
 * One SCSI command
 *
 * Planning what data goes out, and checking what comes in. Nothing is believed:
 * Data-In must arrive in order, without gap or overlap, inside the buffer, and a
 * good status is good only when the bytes that make it so were really there
 * (reads) or were really asked for and sent (writes). Anything else ends the connection:
 * the command is then sent again, which is safe, where passing on old memory
 * as data is not.
 *
 * Bytes arrive and leave in order, unless DataPDUInOrder or DataSequenceInOrder was
 * asked for, and negotiated, as No: then t->runs says which are there.
 */
#include "iscsi/internal.h"

#include <errno.h>

/* Nothing is known, or what was said does not count. */
static void forget_answer(struct iscsi_task *t)
{
	t->response = 0;
	t->status = 0;
	t->n_sense = 0;
	t->n_transferred = 0;
	t->residual = 0;
	t->underflow = false;
	t->overflow = false;
}

void task_init(struct iscsi_task *t)
{
	list_init(&t->node);
	for (unsigned i = 0; i < ISCSI_MAX_BURSTS; i++) {
		list_init(&t->burst[i].node);
		t->burst[i].task = t;
	}
	t->state = TASK_IDLE;
	t->itt = PDU_TAG_NONE;
	t->conn = NULL;
	t->loss = LOSS_OF_ALL;
	t->n_refs = 0;
	t->n_losses = 0;
	t->gives_up = false;
	t->again = false;
	t->answered = false;
	t->deadline_ns = 0;
	forget_answer(t);
}

size_t iov_part(const struct iovec *iov, size_t n_iov, size_t off, size_t len, struct iovec *out,
		size_t n_out, size_t *ret_len)
{
	size_t n = 0, covered = 0;

	for (size_t i = 0; i < n_iov && len > 0 && n < n_out; i++) {
		size_t part = iov[i].iov_len;

		if (off >= part) {
			off -= part;
			continue;
		}
		part -= off;
		if (part > len)
			part = len;
		out[n++] = (struct iovec){(char *)iov[i].iov_base + off, part};
		covered += part;
		len -= part;
		off = 0;
	}
	*ret_len = covered;
	return n;
}

static void burst_open(struct iscsi_task *t, uint32_t ttt, uint32_t off, uint32_t n)
{
	for (unsigned i = 0; i < ISCSI_MAX_BURSTS; i++) {
		struct iscsi_burst *b = &t->burst[i];

		if (list_linked(&b->node))
			continue;
		b->ttt = ttt;
		b->off = off;
		b->n_left = n;
		b->datasn = 0;
		list_append(&t->conn->bursts, &b->node);
		return;
	}
}

static unsigned bursts_open(const struct iscsi_task *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ISCSI_MAX_BURSTS; i++)
		if (list_linked(&t->burst[i].node) && t->burst[i].ttt != PDU_TAG_NONE)
			n++;
	return n;
}

static void bursts_close(struct iscsi_task *t)
{
	for (unsigned i = 0; i < ISCSI_MAX_BURSTS; i++)
		list_remove(&t->burst[i].node);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Do bytes of this task come, or are they asked for, in any order? */
static bool any_order(const struct iscsi_task *t, const struct iscsi_params *k)
{
	return !k->DataSequenceInOrder || (!k->DataPDUInOrder && t->dir == ISCSI_DIR_READ);
}

void task_sent(struct iscsi_task *t, uint32_t off, uint32_t n)
{
	/* What a recovery R2T asks for has been sent once before. */
	if (t->runs) {
		(void)runs_add(t->runs, off, n); /* has room: task_on_r2t() */
		t->n_sent = runs_bytes(t->runs);
	} else if (off + n > t->n_sent) {
		t->n_sent = off + n;
	}
}

uint32_t task_start(struct iscsi_task *t, struct iscsi_conn *c, struct pdu *p)
{
	const struct iscsi_params *k = &c->params;
	uint32_t immediate = 0, unsolicited = 0;

	bursts_close(t);
	t->conn = c;
	t->state = TASK_SENT;
	t->datasn = 0;
	t->n_received = 0;
	t->n_sent = 0;
	t->n_holes = 0;
	t->n_snacks = 0;
	t->n_quiet = 0;
	t->snack_ns = 0;
	t->spoilt = false;
	t->acked = false;
	t->ack_due = false;
	t->in_sequence = false;
	t->reassigned = false;
	if (t->runs && any_order(t, k))
		t->runs->n = 0;
	else
		t->runs = NULL;
	t->retry_ns = c->now_ns + c->session->cfg.nop_timeout_ns;

	if (t->dir == ISCSI_DIR_WRITE) {
		/* RFC 7143 §11.3.4, §13.10 to 13.14 */
		if (k->ImmediateData)
			immediate = smaller(smaller(t->n_data, k->FirstBurstLength),
					    k->TargetMaxRecvDataSegmentLength);
		if (!k->InitialR2T)
			unsolicited = smaller(t->n_data, k->FirstBurstLength) - immediate;
	}
	t->n_granted = immediate + unsolicited;
	if (unsolicited)
		burst_open(t, PDU_TAG_NONE, immediate, unsolicited);

	*p = (struct pdu){
		.opcode = PDU_SCSI_CMD,
		.final = !unsolicited,
		.n_data = immediate,
		.lun = t->lun,
		.itt = t->itt,
		.cmdsn = t->cmdsn,
		.u.scsi_cmd = {.read = t->dir == ISCSI_DIR_READ,
			       .write = t->dir == ISCSI_DIR_WRITE,
			       .attr = PDU_ATTR_SIMPLE,
			       .expected_len = t->dir == ISCSI_DIR_NONE ? 0 : t->n_data},
	};
	memcpy(p->u.scsi_cmd.cdb, t->cdb, ISCSI_CDB_MAX);
	if (t->n_cdb > ISCSI_CDB_MAX)
		p->n_ahs = (uint8_t)((AHS_HEAD + 3u + t->n_cdb - ISCSI_CDB_MAX) / 4);
	task_sent(t, 0, immediate);
	return immediate;
}

static void task_tell(struct iscsi_task *t)
{
	t->state = TASK_DONE;
	list_append(&t->session->done, &t->node);
}

/* The bytes that are there without a gap. */
static uint32_t read_bytes(const struct iscsi_task *t)
{
	uint32_t n = t->n_received;

	if (t->runs)
		return runs_first(t->runs);
	for (unsigned i = 0; i < t->n_holes; i++)
		n = smaller(n, t->hole[i].off);
	return n;
}

bool task_ends(const struct iscsi_task *t)
{
	return t->gives_up && !t->again;
}

void task_finish(struct iscsi_task *t, enum iscsi_task_result result)
{
	struct iscsi_session *s = t->session;
	struct iscsi_conn *c = t->conn;

	t->result = result;
	t->n_transferred = t->dir == ISCSI_DIR_READ ? read_bytes(t) : t->n_sent;
	if (result == ISCSI_TASK_FAILED)
		t->n_transferred = 0;
	else if (result != ISCSI_TASK_OK)
		forget_answer(t);
	else if (t->underflow && t->n_transferred > t->n_data - t->residual)
		t->n_transferred = t->n_data - t->residual; /* sent, but not taken */
	bursts_close(t);
	list_remove(&t->node); /* of a connection's retries */
	tmf_forget_task(s, t);
	recovery_forget_task(s, t);
	session_give_itt(s, t);
	if (t->n_refs)
		t->state = TASK_DRAINING;
	else
		task_tell(t);
	if (c && c->leaving)
		conn_leave(c);
}

void task_hold(struct iscsi_task *t)
{
	t->n_refs++;
}

void task_release(struct iscsi_task *t)
{
	if (--t->n_refs == 0 && t->state == TASK_DRAINING)
		task_tell(t);
}

void task_unsend(struct iscsi_task *t)
{
	bursts_close(t);
	list_remove(&t->node);
	/* What was asked about it was asked about what it is no more. */
	tmf_forget_task(t->session, t);
	recovery_forget_task(t->session, t);
	session_give_itt(t->session, t);
	forget_answer(t);
	t->gives_up = false;
	t->again = false;
	t->n_retries = 0;
	t->state = TASK_PENDING;
}

void task_orphan(struct iscsi_task *t)
{
	bursts_close(t);
	list_remove(&t->node);
	t->conn->n_tasks--;
	t->conn = NULL;
	t->answered = false;
	forget_answer(t);
	t->state = TASK_ORPHAN;
}

/* ---- reads ------------------------------------------------------------- */

/*
 * Any place that nothing has come for yet, as far as the two keys allow (§13.18, §13.19).
 * When PDUs may be missing, so may those that say where a sequence ends.
 */
static const char *check_place(const struct iscsi_task *t, const struct pdu *p)
{
	uint32_t off = p->u.data_in.off;

	if (off > t->n_data || p->n_data > t->n_data - off)
		return "Data-In beyond the buffer";
	if (runs_overlap(t->runs, off, p->n_data))
		return "Data-In overlaps what has come";
	if (t->conn->params.DataPDUInOrder && t->in_sequence && off != t->next_off &&
	    !conn_recovers(t->conn))
		return "Data-In leaves a gap in its sequence";
	return NULL;
}

static const char *take_place(struct iscsi_task *t, const struct pdu *p)
{
	if (!runs_add(t->runs, p->u.data_in.off, p->n_data))
		return "Data-In in more pieces than are kept track of";
	t->n_received += p->n_data;
	t->next_off = p->u.data_in.off + p->n_data;
	t->in_sequence = !p->final;
	if (t->conn->params.DataSequenceInOrder && p->final && !conn_recovers(t->conn) &&
	    runs_first(t->runs) != t->n_received)
		return "a sequence of Data-In ends with a gap";
	return NULL;
}

/* The next bytes. */
static const char *check_next(const struct iscsi_task *t, const struct pdu *p)
{
	if (p->u.data_in.off != t->n_received)
		return "Data-In leaves a gap or overlaps";
	if (p->n_data > t->n_data - t->n_received)
		return "Data-In beyond the buffer";
	return NULL;
}

int task_check_data_in(struct iscsi_task *t, const struct pdu *p, const char **why)
{
	/* What fills a hole: snack_place() has judged it, as far as it is known where it is. */
	bool fills = conn_recovers(t->conn) && serial_lt(p->u.data_in.datasn, t->datasn);

	*why = NULL;
	if (t->dir != ISCSI_DIR_READ)
		*why = "Data-In for a command that reads nothing";
	else if (!fills && p->u.data_in.datasn != t->datasn)
		*why = "DataSN out of order";
	else if (t->runs)
		*why = check_place(t, p);
	else if (!fills)
		*why = check_next(t, p);
	if (!*why && p->u.data_in.has_status && !p->final)
		*why = "status in a Data-In that is not the last";
	return *why ? -EPROTO : 0;
}

/*
 * Status has come. With GOOD the amount of data must be what residual and expected
 * length say; with other statuses the target may have stopped anywhere.
 */
static int check_amount(const struct iscsi_task *t, const char **why)
{
	uint32_t expected = t->dir == ISCSI_DIR_NONE ? 0 : t->n_data;

	if (t->underflow && t->overflow) {
		*why = "residual underflow and overflow at once";
		return -EPROTO;
	}
	if (t->underflow) {
		if (t->residual > expected) {
			*why = "residual larger than the expected length";
			return -EPROTO;
		}
		expected -= t->residual;
	}
	if (t->response || t->status)
		return 0;
	if (t->dir == ISCSI_DIR_READ && (t->n_received != expected || read_bytes(t) != expected)) {
		*why = t->n_received < expected
			       ? "good status, but data is missing"
			       : "good status, but more data than the residual allows";
		return -EPROTO;
	}
	if (t->dir == ISCSI_DIR_WRITE && (t->runs ? runs_first(t->runs) : t->n_sent) < expected) {
		*why = t->n_granted < expected
			       ? "good status for a write whose data was not asked for"
			       : "good status for a write whose data was not sent yet";
		return -EPROTO;
	}
	return 0;
}

/* The answer is known; it counts when all data is there. */
static int conclude(struct iscsi_task *t, uint32_t statsn, const char **why)
{
	int r;

	if (!t->response && !t->status && (t->spoilt || task_waits_for_data(t, statsn)))
		return 0;
	r = check_amount(t, why);
	if (!r)
		task_finish(t, ISCSI_TASK_OK);
	return r;
}

int task_on_data_in(struct iscsi_task *t, const struct pdu *p, const char **why)
{
	bool next = !conn_recovers(t->conn) || !snack_landed(t, p);

	t->datasn += next;
	if (t->runs && (*why = take_place(t, p)))
		return -EPROTO;
	if (next && !t->runs)
		t->n_received += p->n_data;
	if (p->u.data_in.has_status)
		return task_on_data_status(t, p, why);
	if (conn_recovers(t->conn))
		snack_ack(t, p);
	if (t->answered && !t->n_holes)
		return conclude(t, t->statsn, why);
	return 0;
}

int task_on_data_status(struct iscsi_task *t, const struct pdu *p, const char **why)
{
	t->response = 0;
	t->status = p->u.data_in.status;
	t->underflow = p->u.data_in.underflow;
	t->overflow = p->u.data_in.overflow;
	t->residual = t->underflow || t->overflow ? p->u.data_in.residual : 0;
	return conclude(t, p->statsn, why);
}

/* ---- writes ------------------------------------------------------------ */

static bool burst_overlaps(const struct iscsi_burst *b, uint32_t off, uint32_t n)
{
	return list_linked(&b->node) && off < (uint64_t)b->off + b->n_left &&
	       b->off < (uint64_t)off + n;
}

/* Does the R2T ask for what no other has asked for? */
static bool asks_for_more(const struct iscsi_task *t, uint32_t off, uint32_t n)
{
	if (!t->runs)
		return off == t->n_granted;
	for (unsigned i = 0; i < ISCSI_MAX_BURSTS; i++)
		if (burst_overlaps(&t->burst[i], off, n))
			return false;
	return !runs_overlap(t->runs, off, n);
}

/* Or, when things may be lost, for what it may ask for again? */
static bool asks_again(const struct iscsi_task *t, uint32_t off, uint32_t n)
{
	if (!conn_recovers(t->conn))
		return false;
	/* After a reassignment the target may cut what it still lacks in another way. */
	return t->runs || (off < t->n_granted && (t->reassigned || n <= t->n_granted - off));
}

/* The target no longer waits for what it asks for anew (§13.17): it would be too many open. */
static void bursts_replace(struct iscsi_task *t, uint32_t off, uint32_t n)
{
	for (unsigned i = 0; i < ISCSI_MAX_BURSTS; i++)
		if (t->burst[i].ttt != PDU_TAG_NONE && burst_overlaps(&t->burst[i], off, n))
			list_remove(&t->burst[i].node);
}

/* Each sequence that is sent is one run more, at the most. */
static bool has_runs_left(const struct iscsi_task *t)
{
	return !t->runs || t->runs->n + bursts_open(t) + 1 < RUNS_MAX;
}

int task_on_r2t(struct iscsi_task *t, const struct pdu *p, const char **why)
{
	const struct iscsi_params *k = &t->conn->params;
	uint32_t off = p->u.r2t.off, n = p->u.r2t.len;
	bool recovers = conn_recovers(t->conn), more = asks_for_more(t, off, n);

	if (recovers && t->dir == ISCSI_DIR_WRITE && p->u.r2t.r2tsn != t->datasn &&
	    !(t->reassigned && serial_lt(p->u.r2t.r2tsn, t->datasn)))
		return snack_r2t(t, p);

	*why = NULL;
	if (t->dir != ISCSI_DIR_WRITE)
		*why = "R2T for a command that writes nothing";
	else if (p->ttt == PDU_TAG_NONE)
		*why = "R2T with the reserved Target Transfer Tag";
	else if (p->u.r2t.r2tsn != t->datasn && !recovers)
		*why = "R2TSN out of order";
	else if (n == 0 || n > k->MaxBurstLength)
		*why = "R2T length is 0 or above MaxBurstLength";
	else if (off > t->n_data || n > t->n_data - off)
		*why = "R2T beyond the expected transfer";
	else if (!more && !asks_again(t, off, n))
		*why = "R2T leaves a gap or overlaps";
	else if (!has_runs_left(t))
		*why = "R2Ts for more pieces than are kept track of";
	if (*why)
		return -EPROTO;
	if (!more)
		bursts_replace(t, off, n);
	if (bursts_open(t) >=
	    (more ? smaller(k->MaxOutstandingR2T, ISCSI_MAX_R2T) : ISCSI_MAX_R2T)) {
		*why = "more R2Ts open than MaxOutstandingR2T";
		return -EPROTO;
	}
	if (p->u.r2t.r2tsn == t->datasn)
		t->datasn++;
	t->snack_ns = 0;
	t->n_quiet = 0;
	if (t->runs)
		t->n_granted += more ? n : 0;
	else if (off + n > t->n_granted)
		t->n_granted = off + n;
	burst_open(t, p->ttt, off, n);
	return 0;
}

/* ---- status ------------------------------------------------------------ */

int task_on_response(struct iscsi_task *t, const struct pdu *p, const uint8_t *data, size_t n,
		     const char **why)
{
	t->response = p->u.scsi_rsp.response;
	t->status = p->u.scsi_rsp.status;
	t->underflow = p->u.scsi_rsp.underflow;
	t->overflow = p->u.scsi_rsp.overflow;
	t->residual = t->underflow || t->overflow ? p->u.scsi_rsp.residual : 0;
	if (t->response != 0) {
		task_finish(t, ISCSI_TASK_FAILED);
		return 0;
	}
	/* SenseLength, then sense; the target may send less than it says (§11.4.7.2). */
	if (n >= 2) {
		size_t n_sense = get_be16(data);

		if (n_sense > n - 2)
			n_sense = n - 2;
		if (n_sense > ISCSI_SENSE_MAX)
			n_sense = ISCSI_SENSE_MAX;
		memcpy(t->sense, data + 2, n_sense);
		t->n_sense = (uint16_t)n_sense;
	}
	if (conn_recovers(t->conn) && t->dir == ISCSI_DIR_READ && !t->status &&
	    (!t->underflow || t->residual <= t->n_data))
		snack_tail(t, p->u.scsi_rsp.expdatasn,
			   t->n_data - (t->underflow ? t->residual : 0));
	return conclude(t, p->statsn, why);
}
