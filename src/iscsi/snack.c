/* SPDX-License-Identifier: MIT */
/*
 * Digest failure recovery (ErrorRecoveryLevel 1; RFC 7143 §7.1.4.2, §7.3, §7.8, §11.16)
 *
 * What is lost inside a connection is asked for again, and the connection goes on.
 *
 * Data-In: what came with a bad digest, or did not come at all, is a hole: a run of
 * DataSN and of bytes. What comes behind it lands as usual; a Data SNACK asks for the
 * run, which fills its hole from the front. Status waits until there is no hole any
 * more, and is not acknowledged before. What comes twice is read past the buffers, so
 * that a second copy cannot spoil the first.
 *
 * Status: a PDU that counts StatSN and is not the next one is not taken; a Status SNACK
 * asks for all from the next one on. So all is acted on in the target's order.
 *
 * A command that the target does not acknowledge is sent again as it was (§7.2.1).
 *
 * When data may come in any order it is not known which bytes a lost PDU had: its hole
 * has a DataSN only, and whatever comes with that number lands where nothing is yet.
 *
 * Everything is tried a bounded number of times. A task that cannot be helped is
 * aborted and queued anew; a connection that cannot be is dropped.
 */
#include "iscsi/internal.h"

#include <errno.h>

#define TASK_SNACKS   8    /* for one task */
#define STATUS_SNACKS 4    /* without any progress */
#define QUIET_SNACKS  3    /* for R2Ts that may not have been sent at all */
#define COMMAND_TRIES 3    /* retries of one command */
#define STATSN_FAR    8192 /* more than a target can have to say at once */

bool conn_recovers(const struct iscsi_conn *c)
{
	return c->was_up && c->session->active.ErrorRecoveryLevel >= 1;
}

static uint64_t patience_ns(const struct iscsi_conn *c)
{
	return c->session->cfg.nop_timeout_ns;
}

static void send_snack(struct iscsi_conn *c, uint8_t type, uint32_t itt, uint32_t begrun,
		       uint32_t runlength)
{
	struct pdu p = {.opcode = PDU_SNACK,
			.final = true,
			.itt = itt,
			.ttt = PDU_TAG_NONE,
			.u.snack = {.type = type, .begrun = begrun, .runlength = runlength}};

	c->session->stats.n_snacks++;
	conn_send(c, &p, NULL, 0);
}

/* ---- a task that cannot be helped --------------------------------------- */

void task_start_over(struct iscsi_task *t, const char *why)
{
	struct iscsi_session *s = t->session;

	t->spoilt = true;
	if (t->gives_up)
		return;
	session_note(s, t->conn, "command 0x%02x is aborted and sent again: %s", t->cdb[0], why);
	t->gives_up = true;
	t->again = !t->once;
	t->ends_as = ISCSI_TASK_LOST;
	tmf_sweep(s, t->conn->now_ns);
}

/* ---- holes in a read ---------------------------------------------------- */

static void ask_for(struct iscsi_task *t, uint32_t sn, uint32_t n_sn)
{
	if (++t->n_snacks > TASK_SNACKS) {
		task_start_over(t, "its data does not come");
		return;
	}
	t->snack_ns = t->conn->now_ns + patience_ns(t->conn);
	send_snack(t->conn, SNACK_DATA, t->itt, sn, n_sn);
}

/* The next @n_sn PDUs with @n bytes will have to be sent again. */
static void skip(struct iscsi_task *t, uint32_t n_sn, uint32_t n)
{
	struct iscsi_hole *last = t->n_holes ? &t->hole[t->n_holes - 1] : NULL;
	uint32_t sn = t->datasn, off = t->n_received;

	t->datasn += n_sn;
	if (t->runs) {
		off = n = 0;
	} else {
		t->n_received += n;
		if (!n)
			return; /* they were empty */
	}
	if (last && last->sn + last->n_sn == sn && last->off + last->n == off) {
		last->n_sn += n_sn;
		last->n += n;
	} else if (t->n_holes < ISCSI_MAX_HOLES) {
		t->hole[t->n_holes++] = (struct iscsi_hole){sn, n_sn, off, n};
	} else {
		task_start_over(t, "too much of its data is lost");
		return;
	}
	ask_for(t, sn, n_sn);
}

/* The hole that this PDU is the next to fill, or NULL. */
static struct iscsi_hole *hole_of(struct iscsi_task *t, const struct pdu *p)
{
	for (unsigned i = 0; i < t->n_holes; i++) {
		struct iscsi_hole *h = &t->hole[i];

		if (h->sn != p->u.data_in.datasn)
			continue;
		if (t->runs || (h->off == p->u.data_in.off &&
				(h->n_sn == 1 ? p->n_data == h->n : p->n_data < h->n)))
			return h;
	}
	return NULL;
}

static void fill_hole(struct iscsi_task *t, struct iscsi_hole *h, uint32_t n)
{
	h->sn++;
	h->n_sn--;
	if (!t->runs) {
		h->off += n;
		h->n -= n;
	}
	if (h->n_sn)
		return;
	t->n_holes--;
	memmove(h, h + 1, (size_t)(&t->hole[t->n_holes] - h) * sizeof(*h));
}

/* Can @n_sn PDUs have gone before one at @off? Each has a byte of its own, but for one. */
static bool may_be_lost(const struct iscsi_task *t, uint32_t n_sn, uint32_t off)
{
	if (t->runs)
		return n_sn <= t->n_data - t->n_received;
	return off >= t->n_received && off <= t->n_data && n_sn - 1 <= off - t->n_received;
}

int snack_place(struct iscsi_task *t, const struct pdu *p, const char **why)
{
	uint32_t sn = p->u.data_in.datasn, off = p->u.data_in.off;

	if (t->spoilt)
		return SNACK_TWICE;
	if (serial_lt(sn, t->datasn))
		return hole_of(t, p) ? SNACK_LANDS : SNACK_TWICE;
	if (sn == t->datasn)
		return SNACK_LANDS; /* judged as ever */
	if (!may_be_lost(t, sn - t->datasn, off)) {
		*why = "DataSN out of order";
		return -EPROTO;
	}
	skip(t, sn - t->datasn, off - t->n_received);
	return t->spoilt ? SNACK_TWICE : SNACK_LANDS;
}

bool snack_landed(struct iscsi_task *t, const struct pdu *p)
{
	struct iscsi_hole *h;

	if (!serial_lt(p->u.data_in.datasn, t->datasn))
		return false;
	h = hole_of(t, p);
	if (h)
		fill_hole(t, h, p->n_data);
	return true;
}

void snack_ack(struct iscsi_task *t, const struct pdu *p)
{
	struct pdu ack = {.opcode = PDU_SNACK,
			  .final = true,
			  .itt = PDU_TAG_NONE,
			  .u.snack = {.type = SNACK_DATA_ACK, .begrun = t->datasn}};

	if (p && p->u.data_in.ack) {
		t->ack_due = true;
		t->ack_ttt = p->ttt;
		t->ack_lun = p->lun;
	}
	if (!t->ack_due || t->n_holes)
		return;
	t->ack_due = false;
	t->acked = true;
	ack.ttt = t->ack_ttt;
	ack.lun = t->ack_lun;
	conn_send(t->conn, &ack, NULL, 0);
}

void snack_tail(struct iscsi_task *t, uint32_t expdatasn, uint32_t expected)
{
	uint32_t n_sn = expdatasn - t->datasn;

	if (!t->spoilt && t->n_received < expected && serial_lt(t->datasn, expdatasn) &&
	    n_sn <= expected - t->n_received)
		skip(t, n_sn, expected - t->n_received);
}

bool task_waits_for_data(struct iscsi_task *t, uint32_t statsn)
{
	if (!t->n_holes)
		return false;
	if (!t->answered)
		t->conn->n_answered++;
	t->answered = true;
	t->statsn = statsn;
	return true;
}

uint32_t conn_ack_statsn(const struct iscsi_conn *c)
{
	const struct iscsi_session *s = c->session;
	uint32_t n = c->expstatsn;

	for (unsigned i = 0; c->n_answered && i < s->cfg.n_tasks; i++) {
		const struct iscsi_task *t = s->table[i];

		if (t && t->conn == c && t->answered && serial_lt(t->statsn, n))
			n = t->statsn;
	}
	return n;
}

/* What is lost cannot be had again by asking for all from some DataSN on. */
static void cannot_be_cut(struct iscsi_task *t)
{
	t->spoilt = true;
	if (t->gives_up)
		return;
	t->gives_up = true;
	t->again = !t->once;
	t->ends_as = ISCSI_TASK_LOST;
}

void snack_distrust(struct iscsi_task *t)
{
	if (t->dir != ISCSI_DIR_READ || !t->datasn)
		return;
	if (t->acked) {
		cannot_be_cut(t);
		return;
	}
	t->datasn = 0;
	t->n_received = 0;
	t->n_holes = 0;
	if (t->runs)
		t->runs->n = 0;
}

void snack_cut(struct iscsi_task *t)
{
	t->in_sequence = false;
	if (t->n_holes && t->runs) {
		if (t->acked)
			cannot_be_cut(t);
		else
			snack_distrust(t);
	} else if (t->n_holes) {
		t->datasn = t->hole[0].sn;
		t->n_received = t->hole[0].off;
	}
	t->n_holes = 0;
	t->n_snacks = 0;
	t->ack_due = false;
}

int snack_r2t(struct iscsi_task *t, const struct pdu *p)
{
	/* One that is known has been answered; before one that is not, others are missing. */
	if (serial_lt(t->datasn, p->u.r2t.r2tsn) && !t->gives_up)
		ask_for(t, t->datasn, 0);
	return 0;
}

/* ---- status ------------------------------------------------------------- */

void snack_status(struct iscsi_conn *c)
{
	if (c->status_snack_ns)
		return; /* asked already */
	c->status_snack_ns = c->now_ns + patience_ns(c);
	send_snack(c, SNACK_STATUS, PDU_TAG_NONE, c->expstatsn, 0);
}

int snack_take_statsn(struct iscsi_conn *c)
{
	const struct pdu *p = &c->rx;

	if (p->statsn == c->expstatsn) {
		c->expstatsn++;
		c->status_snack_ns = 0;
		c->n_status_snacks = 0;
		return 0;
	}
	if (serial_lt(p->statsn, c->expstatsn))
		return 1;
	if (p->statsn - c->expstatsn > STATSN_FAR)
		return conn_violation(c, "StatSN %u in a %s where %u was due", p->statsn,
				      pdu_name(p->opcode), c->expstatsn);
	snack_status(c);
	return 1;
}

void snack_hint(struct iscsi_conn *c)
{
	uint32_t ahead = c->rx.statsn - c->expstatsn;

	if (ahead > 0 && ahead <= STATSN_FAR)
		snack_status(c);
}

bool snack_bad_data(struct iscsi_conn *c)
{
	const struct pdu *p = &c->rx;
	struct iscsi_task *t = c->rx_task;

	if (!conn_recovers(c))
		return false;
	c->rx_task = NULL;
	session_window(c->session, p);
	if (t && t->state == TASK_SENT && t->itt == p->itt && !t->spoilt) {
		struct iscsi_hole *h = hole_of(t, p);

		if (!serial_lt(p->u.data_in.datasn, t->datasn))
			skip(t, 1, p->n_data);
		else if (h)
			ask_for(t, h->sn, h->n_sn);
	}
	if (t)
		task_release(t);
	if (c->state != CONN_DEAD && conn_needs_statsn(p) && !serial_lt(p->statsn, c->expstatsn))
		snack_status(c);
	return c->state != CONN_DEAD;
}

/* ---- what the target rejects -------------------------------------------- */

static bool retry_command(struct iscsi_task *t)
{
	struct iscsi_conn *c = t->conn;

	if (++t->n_retries > COMMAND_TRIES)
		return false;
	session_note(t->session, c, "command 0x%02x is sent again with its CmdSN", t->cdb[0]);
	recovery_retry(t, c);
	return true;
}

bool snack_on_reject(struct iscsi_conn *c, const struct pdu *mine)
{
	struct iscsi_session *s = c->session;
	struct iscsi_task *t = session_find(s, c, mine->itt);

	if (!conn_recovers(c))
		return false;
	if (mine->opcode == PDU_SNACK) {
		if (mine->u.snack.type == SNACK_STATUS)
			return false;
		if (mine->u.snack.type == SNACK_DATA && t && !t->n_quiet)
			task_start_over(t, "the target rejects the SNACK");
		return true;
	}
	/* It has the command after all. */
	if (c->rx.u.reject.reason == REJECT_TASK_IN_PROGRESS && mine->opcode == PDU_SCSI_CMD && t &&
	    t->n_retries)
		return true;
	if (c->rx.u.reject.reason != REJECT_DATA_DIGEST)
		return false;
	/* The target asks for the data again by R2T, or ends the task. */
	if (mine->opcode == PDU_DATA_OUT)
		return true;
	if (mine->opcode != PDU_SCSI_CMD || !t)
		return mine->opcode == PDU_SCSI_CMD;
	/* One that is being aborted is not begun again: the abort takes its CmdSN (§11.5.1). */
	return serial_lt(t->cmdsn, s->expcmdsn) || list_linked(&t->node) || t->gives_up ||
	       retry_command(t);
}

/* ---- an R2T that was the last to come ------------------------------------ */

/*
 * Nothing behind it shows that it was lost: only that the target, which has the command,
 * asks for no more of its data. It may be slow, too; then it rejects the SNACK of what it
 * has not sent (§11.16.1), or has nothing to say, and no harm is done.
 */
static bool waits_for_r2t(const struct iscsi_task *t)
{
	if (t->dir != ISCSI_DIR_WRITE || t->n_sent >= t->n_data ||
	    !serial_lt(t->cmdsn, t->session->expcmdsn) || list_linked(&t->node))
		return false;
	for (unsigned i = 0; i < ISCSI_MAX_BURSTS; i++)
		if (list_linked(&t->burst[i].node))
			return false;
	return !t->conn->n_slots && conn_in_full_feature(t->conn);
}

/* Well before the command's own time is over, so that there is some left for its data. */
static uint64_t quiet_ns(const struct iscsi_task *t)
{
	const struct iscsi_session_cfg *cfg = &t->session->cfg;
	uint64_t part = (t->timeout_ns ? t->timeout_ns : cfg->task_timeout_ns) / 4;

	return part < cfg->nop_timeout_ns ? part : cfg->nop_timeout_ns;
}

static void r2t_tick(struct iscsi_task *t, uint64_t now_ns)
{
	if (!waits_for_r2t(t) || t->n_quiet >= QUIET_SNACKS) {
		t->snack_ns = 0;
	} else if (!t->snack_ns) {
		t->snack_ns = now_ns + quiet_ns(t);
	} else if (now_ns >= t->snack_ns) {
		t->n_quiet++;
		t->snack_ns = now_ns + quiet_ns(t);
		send_snack(t->conn, SNACK_DATA, t->itt, t->datasn, 0);
	}
}

/* ---- time --------------------------------------------------------------- */

static void task_tick(struct iscsi_task *t, uint64_t now_ns)
{
	struct iscsi_conn *c = t->conn;

	c->now_ns = now_ns;
	if (t->n_holes && now_ns >= t->snack_ns) {
		for (unsigned i = 0; i < t->n_holes; i++)
			ask_for(t, t->hole[i].sn, t->hole[i].n_sn);
		return;
	}
	if (t->dir == ISCSI_DIR_WRITE)
		r2t_tick(t, now_ns);
	/* The first that is not acknowledged, and it has left long ago. */
	if (t->cmdsn != t->session->expcmdsn || t->datasn || now_ns < t->retry_ns ||
	    list_linked(&t->node) || c->n_slots || !list_empty(&c->bursts) ||
	    !conn_in_full_feature(c))
		return;
	t->retry_ns = now_ns + patience_ns(c);
	if (!retry_command(t))
		conn_drop(c, "the target does not acknowledge a command");
}

static void conn_tick(struct iscsi_conn *c, uint64_t now_ns)
{
	if (!c->status_snack_ns || now_ns < c->status_snack_ns || !conn_in_full_feature(c))
		return;
	c->now_ns = now_ns;
	c->status_snack_ns = 0;
	if (++c->n_status_snacks > STATUS_SNACKS)
		conn_drop(c, "StatSN %u does not come, however often asked for", c->expstatsn);
	else
		snack_status(c);
}

uint64_t snack_deadline_ns(const struct iscsi_session *s)
{
	uint64_t d = ISCSI_NEVER;
	const struct iscsi_conn *c;

	list_for_each (c, &s->conns, node)
		if (conn_in_full_feature(c) && c->status_snack_ns && c->status_snack_ns < d)
			d = c->status_snack_ns;
	return d > s->next_sweep_ns ? d : s->next_sweep_ns;
}

void snack_tick(struct iscsi_session *s, uint64_t now_ns)
{
	struct iscsi_conn *c;

	if (!s->up || s->active.ErrorRecoveryLevel < 1)
		return;
	list_for_each (c, &s->conns, node)
		conn_tick(c, now_ns);
	for (unsigned i = 0; i < s->cfg.n_tasks; i++) {
		struct iscsi_task *t = s->table[i];

		if (t && t->state == TASK_SENT && !t->gives_up)
			task_tick(t, now_ns);
	}
}
