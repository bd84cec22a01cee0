/* SPDX-License-Identifier: MIT */
/*
 * Commands of a logical unit
 *
 * Chooses the path, judges the answer and repeats what is worth repeating. The
 * request above hears of the outcome once.
 *
 * Three reasons to repeat, each with its own bound: "at once" by count, unit
 * attentions by count (a unit may have several to tell), "later" by time. While
 * a unit says that it is busy, nothing new is sent either; a good answer shows
 * that it has room again and lets the oldest waiting command go at once.
 *
 * A path that does not work for now is passed over as long as another one works. One that
 * fails a command because it is gone is left for the next one, which then stays the unit's
 * path.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "device/lu_private.h"

#define MAX_NOW        5
#define MAX_ATTENTIONS 16
#define MAX_TIMEOUTS   2
#define LATER_MIN_NS   (20 * NS_PER_MS)
#define LATER_STEPS    6 /* doublings: 1.28 s at most */

enum outcome {
	OUTCOME_END,
	OUTCOME_AGAIN,
	OUTCOME_LATER,
};

static void slot_done(struct scsi_cmd *cmd);

struct lu_slot *slot_take(struct lu *lu, struct lu_work *w)
{
	struct lu_slot *s = list_first(&lu->free_slots, struct lu_slot, node);

	if (!s)
		return NULL;
	list_remove(&s->node);
	s->work = w;
	s->tried = 0;
	s->n_now = s->n_attentions = s->n_timeouts = s->n_later = 0;
	s->later_ns = 0;
	s->disowned = s->recalled = false;
	s->cmd.dir = SCSI_DIR_NONE;
	s->cmd.iov = NULL;
	s->cmd.n_iov = 0;
	s->cmd.n_data = 0;
	s->cmd.timeout_ns = 0;
	s->cmd.done = slot_done;
	w->n_cmds++;
	return s;
}

void slot_end(struct lu_slot *s, int error)
{
	struct lu *lu = s->lu;
	struct lu_work *w = s->work;

	s->work = NULL;
	/* the one used last is the warmest */
	list_prepend(&lu->free_slots, &s->node);
	work_cmd_done(lu, w, error);
}

/* ---- paths ------------------------------------------------------------- */

static bool path_serves(const struct lu *lu, unsigned i, const struct lu_slot *s)
{
	const struct lu_path *p = &lu->paths[i];

	return p->ops && !(s->tried >> i & 1) &&
	       s->cmd.n_data <= p->ops->max_transfer_bytes(p->path);
}

static bool path_works(const struct lu_path *p)
{
	return !p->ops->usable || p->ops->usable(p->path);
}

/* The policy's choice among those that work, or among all. */
static unsigned path_among(const struct lu *lu, const struct lu_slot *s, bool working)
{
	unsigned best = LU_MAX_PATHS;

	for (unsigned k = 0; k < LU_MAX_PATHS; k++) {
		unsigned i = (lu->current + k) % LU_MAX_PATHS;

		if (!path_serves(lu, i, s) || (working && !path_works(&lu->paths[i])))
			continue;
		if (lu->cfg.policy != LU_POLICY_LEAST_QUEUE)
			return i;
		if (best == LU_MAX_PATHS || lu->paths[i].n_wire < lu->paths[best].n_wire)
			best = i;
	}
	return best;
}

/* Index of the path to take, or LU_MAX_PATHS. */
static unsigned path_pick(const struct lu *lu, const struct lu_slot *s)
{
	unsigned i = lu->n_paths > 1 ? path_among(lu, s, true) : LU_MAX_PATHS;

	return i < LU_MAX_PATHS ? i : path_among(lu, s, false);
}

/*
 * The path that just failed @s does not serve; true when there is another one, which is the unit's
 * from now on.
 */
static bool path_leave(struct lu *lu, struct lu_slot *s)
{
	unsigned next;

	if (s->path < LU_MAX_PATHS)
		s->tried |= (uint8_t)(1u << s->path);
	next = path_pick(lu, s);
	if (next == LU_MAX_PATHS)
		return false;
	if (lu->current == s->path)
		lu->current = next;
	return true;
}

uint32_t lu_max_transfer(const struct lu *lu)
{
	uint32_t max = lu->info.limits.max_transfer_bytes;

	for (unsigned i = 0; i < LU_MAX_PATHS; i++) {
		const struct lu_path *p = &lu->paths[i];
		uint32_t path_max = p->ops ? p->ops->max_transfer_bytes(p->path) : UINT32_MAX;

		if (max == 0 || path_max < max)
			max = path_max;
	}
	return max;
}

static void cmd_recall(struct lu *lu, struct lu_slot *s)
{
	const struct lu_path *p;

	if (s->path == LU_MAX_PATHS)
		return;
	p = &lu->paths[s->path];
	if (p->ops->recall)
		p->ops->recall(p->path, &s->cmd);
}

void lu_recall_wire(struct lu *lu)
{
	struct lu_slot *s;

	list_for_each (s, &lu->wire, node) {
		s->recalled = true;
		cmd_recall(lu, s);
	}
}

/* Another path than @i that works and has not failed the command. */
static bool has_way_around(const struct lu *lu, const struct lu_slot *s, unsigned i)
{
	for (unsigned k = 0; k < LU_MAX_PATHS; k++) {
		if (k != i && path_serves(lu, k, s) && path_works(&lu->paths[k]))
			return true;
	}
	return false;
}

void lu_take_back(struct lu *lu, unsigned i)
{
	const struct lu_path *p = &lu->paths[i];
	struct lu_slot *s;

	list_for_each (s, &lu->wire, node) {
		/* harmless whenever the target comes to it */
		bool harmless = s->work->how == LU_HOW_READ || s->work->how == LU_HOW_SYNC;

		if (s->path != i || !has_way_around(lu, s, i))
			continue;
		if (harmless && p->ops->cancel) {
			s->recalled = true;
			p->ops->cancel(p->path, &s->cmd);
		} else if (!harmless && p->ops->take_back) {
			s->recalled = p->ops->take_back(p->path, &s->cmd);
		}
	}
}

void lu_disown_path(struct lu *lu, unsigned i)
{
	const struct lu_path *p = &lu->paths[i];
	struct lu_slot *s;

	list_for_each (s, &lu->wire, node) {
		if (s->path != i)
			continue;
		s->disowned = true;
		if (p->ops->cancel)
			p->ops->cancel(p->path, &s->cmd);
	}
}

static void forget_in(struct list *slots, unsigned i)
{
	struct lu_slot *s;

	list_for_each (s, slots, node) {
		s->tried &= (uint8_t) ~(1u << i);
		if (s->path == i)
			s->path = LU_MAX_PATHS;
	}
}

void lu_forget_path(struct lu *lu, unsigned i)
{
	forget_in(&lu->wire, i);
	forget_in(&lu->later, i);
	forget_in(&lu->parked, i);
}

void lu_cancel_wire(struct lu *lu)
{
	struct lu_slot *s;

	list_for_each (s, &lu->wire, node) {
		const struct lu_path *p;

		if (s->path == LU_MAX_PATHS)
			continue;
		p = &lu->paths[s->path];
		if (p->ops->cancel)
			p->ops->cancel(p->path, &s->cmd);
	}
}

void slot_send(struct lu_slot *s)
{
	struct lu *lu = s->lu;
	unsigned i;

	if (atomic_load_explicit(&lu->fenced, memory_order_relaxed) || lu->absent) {
		slot_end(s, -EIO);
		return;
	}
	if (lu->held) {
		list_append(&lu->parked, &s->node);
		return;
	}
	i = path_pick(lu, s);
	if (i == LU_MAX_PATHS) {
		slot_end(s, -EIO);
		return;
	}
	s->path = (uint8_t)i;
	lu->paths[i].n_wire++;
	if (lu->cfg.policy == LU_POLICY_ROUND_ROBIN)
		lu->current = (i + 1) % LU_MAX_PATHS;
	s->cmd.lun = lu->paths[i].lun;
	s->cmd.error = 0;
	s->cmd.status = 0;
	s->cmd.n_sense = 0;
	s->cmd.n_transferred = 0;
	s->cmd.overflow = false;
	s->disowned = s->recalled = false;
	list_append(&lu->wire, &s->node);
	lu->paths[i].ops->submit(lu->paths[i].path, &s->cmd);
}

/* ---- the verdict acted upon -------------------------------------------- */

static enum lu_event event_of(enum scsi_notice notice)
{
	static const enum lu_event event[] = {
		[SCSI_NOTICE_CAPACITY_CHANGED] = LU_EV_CAPACITY_CHANGED,
		[SCSI_NOTICE_LUNS_CHANGED] = LU_EV_LUNS_CHANGED,
		[SCSI_NOTICE_INQUIRY_CHANGED] = LU_EV_INQUIRY_CHANGED,
		[SCSI_NOTICE_MODE_CHANGED] = LU_EV_MODE_CHANGED,
		[SCSI_NOTICE_WRITE_PROTECTED] = LU_EV_WRITE_PROTECTED,
		[SCSI_NOTICE_RESET] = LU_EV_RESET,
	};

	return event[notice];
}

bool lu_event_of_answer(const struct scsi_cmd *cmd, enum lu_event *ret)
{
	struct scsi_verdict v;

	if (cmd->error || cmd->status != SCSI_CHECK_CONDITION)
		return false;
	v = scsi_judge(cmd->status, cmd->sense, cmd->n_sense, cmd->cdb[0]);
	if (!v.unit_attention || v.notice == SCSI_NOTICE_NONE)
		return false;
	*ret = event_of(v.notice);
	return true;
}

static void lu_tell(struct lu *lu, enum scsi_notice notice, bool conclusion)
{
	enum lu_event event;

	if (notice == SCSI_NOTICE_NONE)
		return;
	event = event_of(notice);
	if (conclusion) {
		/* each failing request would say it again */
		if (lu->told >> event & 1)
			return;
		lu->told |= 1u << event;
	}
	if (lu->cfg.event)
		lu->cfg.event(lu->cfg.user, lu, event);
}

static bool again_within(uint8_t *count, uint8_t max)
{
	if (*count >= max)
		return false;
	++*count;
	return true;
}

static enum outcome judge_transport(struct lu *lu, struct lu_slot *s, int *ret_error)
{
	*ret_error = s->cmd.error;
	switch (s->cmd.error) {
	case -ETIMEDOUT:
		if (path_leave(lu, s))
			return OUTCOME_AGAIN;
		s->tried = 0;
		return again_within(&s->n_timeouts, MAX_TIMEOUTS) ? OUTCOME_AGAIN : OUTCOME_END;
	case -ECANCELED:
		if (s->recalled)
			return OUTCOME_AGAIN;
		/* taken along by a reset that was meant for another command */
		if (again_within(&s->n_now, MAX_NOW))
			return OUTCOME_AGAIN;
		*ret_error = -EIO;
		return path_leave(lu, s) ? OUTCOME_AGAIN : OUTCOME_END;
	case -EREMOTEIO: return again_within(&s->n_now, MAX_NOW) ? OUTCOME_AGAIN : OUTCOME_END;
	default: return path_leave(lu, s) ? OUTCOME_AGAIN : OUTCOME_END;
	}
}

/* The unit does not know a command it should know. True: another form of it was put into the slot.
 */
static bool slot_other_form(struct lu *lu, struct lu_slot *s)
{
	struct lu_work *w = s->work;

	switch (w->how) {
	case LU_HOW_UNMAP: lu_refuse(lu, LU_REFUSED_UNMAP); return false;
	case LU_HOW_ZERO: lu_refuse(lu, LU_REFUSED_ZERO); return false;
	case LU_HOW_ZERO_UNMAP: lu_refuse(lu, LU_REFUSED_ZERO_UNMAP); return false;
	case LU_HOW_SYNC:
		if (s->cmd.cdb[0] == SCSI_SYNC_CACHE_16)
			return false;
		lu->sync_long_form = true;
		s->cmd.n_cdb = cdb_sync_cache(s->cmd.cdb, 0, 0, true);
		return true;
	case LU_HOW_WRITE:
		if (!w->fua || !(s->cmd.cdb[1] & 0x08))
			return false;
		lu_refuse(lu, LU_REFUSED_FUA);
		s->cmd.cdb[1] &= (uint8_t)~0x08;
		w->sync_after = true;
		return true;
	case LU_HOW_READ: return false;
	}
	return false;
}

static bool is_sync(const struct lu_slot *s)
{
	return s->work->how == LU_HOW_SYNC;
}

static enum outcome judge_later(struct lu *lu, struct lu_slot *s)
{
	uint64_t now = loop_now_ns(lu->cfg.loop);
	uint64_t delay = LATER_MIN_NS << (s->n_later < LATER_STEPS ? s->n_later : LATER_STEPS);

	/* only our own waiting counts: the session may have been away in between */
	if (s->later_ns >= lu->cfg.retry_ns)
		return OUTCOME_END;
	if (delay > lu->cfg.retry_ns - s->later_ns)
		delay = lu->cfg.retry_ns - s->later_ns;
	s->later_ns += delay;
	if (s->n_later < UINT8_MAX)
		s->n_later++;
	s->due_ns = now + delay;
	s->busy = s->cmd.status != SCSI_CHECK_CONDITION;
	lu->quiet_until_ns = now + LATER_MIN_NS;
	return OUTCOME_LATER;
}

static enum outcome judge_answer(struct lu *lu, struct lu_slot *s, int *ret_error)
{
	struct scsi_verdict v =
		scsi_judge(s->cmd.status, s->cmd.sense, s->cmd.n_sense, s->cmd.cdb[0]);

	*ret_error = v.error;
	if (v.lost_error) {
		if (!lu->lost_error)
			lu->lost_error = v.lost_error;
		if (is_sync(s)) {
			*ret_error = v.lost_error;
			return OUTCOME_END;
		}
	}
	lu_tell(lu, v.notice, !v.unit_attention);
	switch (v.action) {
	case SCSI_ACT_OK:
		if (s->cmd.overflow &&
		    (s->work->how == LU_HOW_READ || s->work->how == LU_HOW_WRITE)) {
			/* its blocks are larger than we think: wrong data, wrong place */
			*ret_error = -EIO;
			lu_tell(lu, SCSI_NOTICE_CAPACITY_CHANGED, true);
			return OUTCOME_END;
		}
		/*
		 * Good, but not all of it: never success. Only the list of UNMAP does not
		 * count, because tgt has acted upon it and reports all the same that none
		 * of it was taken.
		 */
		if (s->cmd.n_transferred != s->cmd.n_data && s->work->how != LU_HOW_UNMAP)
			*ret_error = -EIO;
		return OUTCOME_END;
	case SCSI_ACT_RETRY:
		if (v.unit_attention)
			return again_within(&s->n_attentions, MAX_ATTENTIONS) ? OUTCOME_AGAIN
									      : OUTCOME_END;
		return again_within(&s->n_now, MAX_NOW) ? OUTCOME_AGAIN : OUTCOME_END;
	case SCSI_ACT_RETRY_LATER:
		if (v.other_path && path_leave(lu, s))
			return OUTCOME_AGAIN;
		s->tried = 0;
		return judge_later(lu, s);
	case SCSI_ACT_FAIL: break;
	}
	if (v.other_path && path_leave(lu, s))
		return OUTCOME_AGAIN;
	if (v.unsupported && slot_other_form(lu, s))
		return OUTCOME_AGAIN;
	return OUTCOME_END;
}

static void later_insert(struct lu *lu, struct lu_slot *s)
{
	struct list *after = lu->later.prev;

	while (after != &lu->later && CONTAINER_OF(after, struct lu_slot, node)->due_ns > s->due_ns)
		after = after->prev;
	list_insert_before(after->next, &s->node);
}

static void later_send_first(struct lu *lu)
{
	struct lu_slot *s = list_first(&lu->later, struct lu_slot, node);

	list_remove(&s->node);
	lu->stats.n_retries++;
	slot_send(s);
}

/*
 * A command came back good. One that met a full queue takes its place; those that
 * wait for another reason keep their time. Nobody waits: no need to be quiet.
 */
static void unit_has_room(struct lu *lu)
{
	const struct lu_slot *s = list_first(&lu->later, struct lu_slot, node);

	if (!s)
		lu->quiet_until_ns = 0;
	else if (s->busy)
		later_send_first(lu);
}

static void slot_done(struct scsi_cmd *cmd)
{
	struct lu_slot *s = CONTAINER_OF(cmd, struct lu_slot, cmd);
	struct lu *lu = s->lu;
	enum outcome outcome;
	int error = 0;

	lu_enter(lu);
	list_remove(&s->node);
	if (s->path < LU_MAX_PATHS)
		lu->paths[s->path].n_wire--;
	if (s->disowned && !cmd->error)
		cmd->error = -EIO; /* another unit's word */
	outcome = cmd->error ? judge_transport(lu, s, &error) : judge_answer(lu, s, &error);
	/* asked last, because the event callback may have fenced the unit */
	if (lu_is_fenced(lu, NULL, 0)) {
		outcome = OUTCOME_END;
		error = -EIO;
	}
	switch (outcome) {
	case OUTCOME_AGAIN:
		lu->stats.n_retries++;
		slot_send(s);
		break;
	case OUTCOME_LATER: later_insert(lu, s); break;
	case OUTCOME_END:
		slot_end(s, error);
		if (!error)
			unit_has_room(lu);
		break;
	}
	lu_leave(lu);
}

/* ---- waiting commands -------------------------------------------------- */

bool lu_is_quiet(const struct lu *lu)
{
	return lu->quiet_until_ns > loop_now_ns(lu->cfg.loop);
}

void lu_send_due(struct lu *lu)
{
	uint64_t now = loop_now_ns(lu->cfg.loop);
	const struct lu_slot *s;

	while ((s = list_first(&lu->later, struct lu_slot, node)) && s->due_ns <= now)
		later_send_first(lu);
}

void lu_send_parked(struct lu *lu)
{
	struct list parked;
	struct lu_slot *s;

	/* what is parked again while we send goes to the unit's own list */
	list_init(&parked);
	list_splice(&parked, &lu->parked);
	while ((s = list_first(&parked, struct lu_slot, node))) {
		list_remove(&s->node);
		slot_send(s);
	}
}

void lu_fail_slots(struct lu *lu, int error)
{
	struct lu_slot *s;

	while ((s = list_first(&lu->parked, struct lu_slot, node)) ||
	       (s = list_first(&lu->later, struct lu_slot, node))) {
		list_remove(&s->node);
		slot_end(s, error);
	}
}

int lu_rearm(struct lu *lu)
{
	const struct lu_slot *s = list_first(&lu->later, struct lu_slot, node);
	uint64_t deadline = s ? s->due_ns : LOOP_NEVER;
	bool more = !list_empty(&lu->todo) || !list_empty(&lu->waiting);

	if (more && lu_is_quiet(lu) && lu->quiet_until_ns < deadline)
		deadline = lu->quiet_until_ns;
	if (deadline == LOOP_NEVER) {
		loop_timer_cancel(lu->cfg.loop, &lu->timer);
		return 0;
	}
	return loop_timer_set(lu->cfg.loop, &lu->timer, deadline);
}

void lu_timer_fire(struct loop_timer *t)
{
	struct lu *lu = CONTAINER_OF(t, struct lu, timer);

	lu_enter(lu);
	lu_send_due(lu);
	lu_leave(lu);
}
