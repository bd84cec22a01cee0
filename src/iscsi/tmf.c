/* SPDX-License-Identifier: MIT */
/*
 * Timeouts and task management (RFC 7143 §11.5, §11.6)
 *
 * A task that is not answered in time, or is cancelled, is ended by the mildest
 * measure that the target confirms: ABORT TASK, then LOGICAL UNIT RESET, then the
 * end of the connection. One function is under way at a time; each has a bound.
 * Tasks that a reset swept away without being its reason are sent again.
 *
 * What the owner asks for itself (session_tmf()) is not made harder when the target
 * refuses it: he is told. Without any answer the connection ends here, too.
 */
#include "iscsi/internal.h"

static bool due(const struct iscsi_task *t)
{
	return t && t->state == TASK_SENT && t->gives_up;
}

static void request(struct iscsi_session *s, struct iscsi_conn *c, uint8_t function, uint64_t lun,
		    struct iscsi_task *t, uint64_t now_ns)
{
	struct pdu p = {.opcode = PDU_TMF_REQ,
			.immediate = true,
			.final = true,
			.lun = lun,
			.ttt = t ? t->itt : PDU_TAG_NONE,
			.u.tmf_req = {.function = function}};

	s->tmf = (struct tmf){.active = true,
			      .function = function,
			      .lun = lun,
			      .itt = session_next_itt(s),
			      .cmdsn = s->cmdsn,
			      .task = t,
			      .conn = c,
			      .deadline_ns = now_ns + s->cfg.tmf_timeout_ns};
	p.itt = s->tmf.itt;
	if (t)
		p.u.tmf_req.refcmdsn = t->cmdsn; /* reserved in the other functions (§11.5.5) */
	conn_send(c, &p, NULL, 0);
}

static const char *function_name(uint8_t function)
{
	switch (function) {
	case TMF_ABORT_TASK: return "ABORT TASK";
	case TMF_ABORT_TASK_SET: return "ABORT TASK SET";
	case TMF_CLEAR_ACA: return "CLEAR ACA";
	case TMF_CLEAR_TASK_SET: return "CLEAR TASK SET";
	case TMF_LOGICAL_UNIT_RESET: return "LOGICAL UNIT RESET";
	case TMF_TARGET_WARM_RESET: return "TARGET WARM RESET";
	case TMF_TARGET_COLD_RESET: return "TARGET COLD RESET";
	}
	return "?";
}

/* Tells an owner who waits for it. */
static void tell(struct iscsi_session *s, const struct tmf *was, int response)
{
	struct queued_event *q;

	if (!was->asked)
		return;
	q = session_event(s, ISCSI_EV_TMF_DONE, was->conn);
	q->ev.tmf_function = was->function;
	q->ev.tmf_response = response;
	q->ev.lun = was->lun;
}

/* The function failed or was not answered: the next harder one. */
static void escalate(struct iscsi_session *s, const char *how, uint64_t now_ns)
{
	struct tmf was = s->tmf;

	s->tmf.active = false;
	if (was.function == TMF_ABORT_TASK) {
		if (!due(was.task))
			return; /* it has ended by itself meanwhile */
		session_note(s, was.conn, "ABORT TASK %s, resetting the unit", how);
		request(s, was.conn, TMF_LOGICAL_UNIT_RESET, was.lun, NULL, now_ns);
	} else {
		tell(s, &was, -1);
		was.conn->now_ns = now_ns;
		conn_drop(was.conn, "%s %s", function_name(was.function), how);
	}
}

static void start_next(struct iscsi_session *s, uint64_t now_ns)
{
	struct iscsi_conn *c;

	if (s->n_wanted && (c = session_working_conn(s))) {
		struct wanted w = s->wanted[0];

		s->n_wanted--;
		memmove(s->wanted, s->wanted + 1, s->n_wanted * sizeof(s->wanted[0]));
		request(s, c, w.function, w.function >= TMF_TARGET_WARM_RESET ? 0 : w.lun, NULL,
			now_ns);
		s->tmf.told = true;
		s->tmf.asked = w.asked;
		return;
	}
	for (unsigned i = 0; i < s->cfg.n_tasks; i++) {
		struct iscsi_task *t = s->table[i];

		if (!due(t) || !conn_in_full_feature(t->conn))
			continue;
		request(s, t->conn, TMF_ABORT_TASK, t->lun, t, now_ns);
		return;
	}
}

bool tmf_want(struct iscsi_session *s, uint8_t function, uint64_t lun, bool asked)
{
	for (unsigned i = 0; i < s->n_wanted; i++)
		if (!asked && s->wanted[i].function == function && s->wanted[i].lun == lun)
			return true;
	if (s->n_wanted == RESETS_MAX)
		return false;
	s->wanted[s->n_wanted++] = (struct wanted){function, asked, lun};
	return true;
}

void tmf_sweep(struct iscsi_session *s, uint64_t now_ns)
{
	for (unsigned i = 0; i < s->cfg.n_tasks; i++) {
		struct iscsi_task *t = s->table[i];

		if (!t || t->state != TASK_SENT || t->gives_up || now_ns < t->deadline_ns)
			continue;
		t->gives_up = true;
		t->ends_as = ISCSI_TASK_TIMEOUT;
		s->stats.n_timeouts++;
		session_note(s, t->conn, "command 0x%02x not answered in time, aborting it",
			     t->cdb[0]);
	}
	if (s->tmf.active && now_ns >= s->tmf.deadline_ns)
		escalate(s, "was not answered", now_ns);
	if (!s->tmf.active)
		start_next(s, now_ns);
}

static bool ends_task(const struct tmf *was, const struct iscsi_task *t)
{
	switch (was->function) {
	case TMF_ABORT_TASK_SET:
	case TMF_CLEAR_TASK_SET:
	case TMF_LOGICAL_UNIT_RESET: return t->lun == was->lun;
	case TMF_TARGET_WARM_RESET:
	case TMF_TARGET_COLD_RESET: return true;
	default: return false;
	}
}

/*
 * A command that the target has never had: its connection has gone, or it waits to be
 * sent again. No reset can have ended it, and its CmdSN has yet to arrive.
 */
static bool never_arrived(const struct iscsi_session *s, const struct iscsi_task *t)
{
	return !serial_lt(t->cmdsn, s->expcmdsn) &&
	       (t->state == TASK_ORPHAN || list_linked(&t->node));
}

static void end_later(struct iscsi_task *t)
{
	if (task_ends(t))
		return;
	t->gives_up = true;
	t->again = false;
	t->ends_as = ISCSI_TASK_CANCELLED;
}

/*
 * Data of the old command is on its way into buffers that the new one would fill over
 * another connection: what came last would count, be it damaged.
 */
static struct iscsi_conn *landing_elsewhere(const struct iscsi_session *s,
					    const struct iscsi_task *t)
{
	return s->n_up > 1 && t->conn && t->conn->rx_task == t ? t->conn : NULL;
}

/*
 * The unit was reset: none of the tasks it had then exists any more at the target.
 * Commands that were sent behind the request (CmdSN from its own on) are not affected.
 */
static void after_reset(struct iscsi_session *s, const struct tmf *was)
{
	struct list back = LIST_INIT(back);
	struct iscsi_conn *landing = NULL;

	for (unsigned i = 0; i < s->cfg.n_tasks; i++) {
		struct iscsi_task *t = s->table[i];

		if (!t || !ends_task(was, t) || !serial_lt(t->cmdsn, was->cmdsn))
			continue;
		if (never_arrived(s, t)) {
			if (was->told || t->once)
				end_later(t);
		} else if (task_ends(t)) {
			task_finish(t, t->ends_as);
		} else if (was->told || t->once) {
			task_finish(t, ISCSI_TASK_CANCELLED);
		} else if (!landing && (landing = landing_elsewhere(s, t))) {
			continue; /* there is one segment on its way for each connection */
		} else {
			session_requeue(s, &back, t);
		}
	}
	session_queue_first(s, &back);
	if (landing) {
		landing->now_ns = was->conn->now_ns;
		conn_drop(landing, "a reset has ended the command whose data is coming in");
	}
}

static void after_abort(struct iscsi_session *s, struct iscsi_task *t)
{
	struct list back = LIST_INIT(back);

	if (task_ends(t) || t->once || ++t->n_losses >= ISCSI_MAX_LOSSES) {
		task_finish(t, t->ends_as);
		return;
	}
	session_requeue(s, &back, t);
	session_queue_first(s, &back);
}

void tmf_on_response(struct iscsi_conn *c, const struct pdu *p)
{
	struct iscsi_session *s = c->session;
	struct tmf was = s->tmf;
	uint64_t now_ns = c->now_ns;
	uint8_t rsp = p->u.tmf_rsp.response;

	if (!was.active || was.conn != c || p->itt != was.itt)
		return; /* the late answer to a function that was given up */
	if (was.function == TMF_ABORT_TASK && (rsp == TMF_RSP_COMPLETE || rsp == TMF_RSP_NO_TASK)) {
		s->tmf.active = false;
		if (due(was.task))
			after_abort(s, was.task);
	} else if (was.function != TMF_ABORT_TASK && (rsp == TMF_RSP_COMPLETE || was.asked)) {
		s->tmf.active = false;
		if (rsp == TMF_RSP_COMPLETE)
			after_reset(s, &was);
		tell(s, &was, rsp);
	} else {
		escalate(s, "was refused by the target", now_ns);
	}
	if (!s->tmf.active)
		start_next(s, now_ns);
}

void tmf_conn_gone(struct iscsi_session *s, struct iscsi_conn *c)
{
	if (!s->tmf.active || s->tmf.conn != c)
		return;
	s->tmf.active = false;
	tell(s, &s->tmf, -1);
}

void tmf_forget_task(struct iscsi_session *s, const struct iscsi_task *t)
{
	if (s->tmf.task == t)
		s->tmf.task = NULL;
}
