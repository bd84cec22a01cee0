/* SPDX-License-Identifier: MIT */
/*
 * Task management of the test target (RFC 7143 §11.5, §11.6)
 */
#include "inside.h"

#include <string.h>

enum {
	ABORT_TASK = 1,
	ABORT_TASK_SET,
	CLEAR_ACA,
	CLEAR_TASK_SET,
	LOGICAL_UNIT_RESET,
	WARM_RESET,
	COLD_RESET,
	TASK_REASSIGN,
};

enum {
	COMPLETE = 0,
	NO_TASK = 1,
	NO_LUN = 2,
	STILL_ALLEGIANT = 3,
	NO_REASSIGN = 4,
	NOT_SUPPORTED = 5,
};

static void answer(struct tconn *c, const uint8_t *bhs, unsigned response)
{
	uint8_t b[BHS] = {OP_TASK_MGMT_RSP, FINAL, (uint8_t)response};

	memcpy(b + AT_ITT, bhs + AT_ITT, 4);
	send_pdu(c, b, NULL, 0, true);
}

static unsigned abort_task(struct session *s, const uint8_t *bhs)
{
	struct cmd *k = cmd_find(s, get32(bhs + AT_TTT));
	uint32_t ref = get32(bhs + AT_REFCMDSN);

	if (k && k->state != CMD_STATUS) {
		if (k->cmdsn != ref)
			blame(s->t, "ABORT TASK with RefCmdSN %u, the command's is %u", ref,
			      k->cmdsn);
		cmd_end(k);
		return COMPLETE;
	}
	if (k)
		return NO_TASK;
	/* Not come yet: then it counts as come, and will be ignored (§11.6.1). */
	if (!before(ref, s->expcmdsn) && before(ref, get32(bhs + AT_CMDSN))) {
		tsession_plug(s, ref);
		return COMPLETE;
	}
	return NO_TASK;
}

static bool concerned(const struct cmd *k, const uint8_t *bhs, bool unit)
{
	return k->state != CMD_STATUS && before(k->cmdsn, get32(bhs + AT_CMDSN)) &&
	       (!unit || k->lun == get64(bhs + AT_LUN));
}

static void abort_many(struct session *s, const uint8_t *bhs, bool unit)
{
	struct cmd *k, *tmp;

	list_for_each_safe (k, tmp, &s->cmds, node)
		if (concerned(k, bhs, unit))
			cmd_end(k);
}

static unsigned reset_unit(struct session *s, const uint8_t *bhs)
{
	int lun = lun_index(get64(bhs + AT_LUN));
	struct session *other;

	if (lun < 0 || lun >= (int)s->t->cfg.n_luns)
		return NO_LUN;
	abort_many(s, bhs, true);
	list_for_each (other, &s->t->sessions, node) {
		struct cmd *k, *tmp;

		if (other == s)
			continue;
		list_for_each_safe (k, tmp, &other->cmds, node)
			if (k->lun == get64(bhs + AT_LUN))
				cmd_end(k);
		other->attention[lun] = 0x82;
	}
	s->attention[lun] = 0x83;
	return COMPLETE;
}

static unsigned reassign(struct tconn *c, const uint8_t *bhs)
{
	struct session *s = c->session;
	struct cmd *k = cmd_find(s, get32(bhs + AT_TTT));
	struct lost *l;

	if (s->erl < 2)
		return NO_REASSIGN;
	if (!k)
		return NO_TASK;
	if (k->conn)
		return STILL_ALLEGIANT;
	list_for_each (l, &s->lost, node)
		if (l->cid == k->cid && !l->logged_out)
			return STILL_ALLEGIANT;
	return COMPLETE;
}

void on_task_mgmt(struct tconn *c, const uint8_t *bhs)
{
	struct session *s = c->session;
	unsigned function = bhs[1] & 0x7f, response;

	if (function != ABORT_TASK && function != TASK_REASSIGN && tsession_wait(c, bhs))
		return;
	switch (function) {
	case ABORT_TASK: response = abort_task(s, bhs); break;
	case ABORT_TASK_SET:
	case CLEAR_TASK_SET:
		abort_many(s, bhs, true);
		response = COMPLETE;
		break;
	case LOGICAL_UNIT_RESET: response = reset_unit(s, bhs); break;
	case WARM_RESET:
	case COLD_RESET:
		abort_many(s, bhs, false);
		memset(s->attention, 0x80, sizeof(s->attention));
		response = COMPLETE;
		break;
	case TASK_REASSIGN: response = reassign(c, bhs); break;
	case CLEAR_ACA: response = COMPLETE; break;
	default: response = NOT_SUPPORTED;
	}
	answer(c, bhs, response);
	if (function == TASK_REASSIGN && response == COMPLETE) {
		s->t->stats.n_reassigned++;
		cmd_take_over(cmd_find(s, get32(bhs + AT_TTT)), c, get32(bhs + AT_DATASN));
	}
	if (function == COLD_RESET && response == COMPLETE)
		tsession_end(s);
}
