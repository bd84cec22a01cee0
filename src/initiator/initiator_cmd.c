/* SPDX-License-Identifier: MIT */
/*
 * Commands on their way to the engine and back
 *
 * A fixed pool of engine tasks, so that a command costs no memory; what does not
 * find a free one waits in order. While the session is not up, commands wait here
 * too, and the time that passes meanwhile does not count against their timeouts:
 * submitted_ns is read off a clock that stands still while commands are held.
 */
#include "initiator/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static_assert(SCSI_CDB_MAX == ISCSI_CDB_MAX, "CDBs are copied whole");
static_assert(SCSI_SENSE_MAX >= ISCSI_SENSE_MAX, "sense data is copied whole");

int cmds_init(struct initiator *i, unsigned n_commands)
{
	list_init(&i->slots_free);
	list_init(&i->slots_free_probe);
	list_init(&i->queue);
	list_init(&i->queue_probe);
	list_init(&i->failed);
	i->n_slots = n_commands + PROBE_SLOTS;
	i->slots = calloc(i->n_slots, sizeof(*i->slots));
	if (!i->slots)
		return -ENOMEM;
	for (unsigned k = 0; k < i->n_slots; k++) {
		struct slot *s = &i->slots[k];

		s->for_probes = k >= n_commands;
		s->task.user = s;
		list_append(s->for_probes ? &i->slots_free_probe : &i->slots_free, &s->node);
	}
	return 0;
}

void cmds_clear(struct initiator *i)
{
	free(i->slots);
	i->slots = NULL;
	i->n_slots = 0;
}

/* ---- time that counts -------------------------------------------------- */

static uint64_t command_clock_ns(const struct initiator *i)
{
	uint64_t now_ns = loop_now_ns(i->loop);

	return (i->held_since_ns ? i->held_since_ns : now_ns) - i->held_ns;
}

void cmds_clock_hold(struct initiator *i)
{
	if (!i->held_since_ns)
		i->held_since_ns = loop_now_ns(i->loop);
}

void cmds_clock_go(struct initiator *i)
{
	if (i->held_since_ns)
		i->held_ns += loop_now_ns(i->loop) - i->held_since_ns;
	i->held_since_ns = 0;
}

/* ---- in ---------------------------------------------------------------- */

static void fail_later(struct initiator *i, struct scsi_cmd *cmd, int error)
{
	cmd->error = error;
	list_append(&i->failed, &cmd->node);
	initiator_wake(i);
}

static void path_submit(void *path, struct scsi_cmd *cmd)
{
	struct initiator *i = path;

	i->n_commands++;
	cmd->error = 0;
	cmd->status = 0;
	cmd->n_sense = 0;
	cmd->n_transferred = 0;
	cmd->overflow = false;
	cmd->submitted_ns = command_clock_ns(i);
	cmd->transport = NULL;
	if (i->state == INITIATOR_CLOSING || i->state == INITIATOR_CLOSED) {
		fail_later(i, cmd, -ECANCELED);
	} else if (i->expired && !(cmd->probe && i->state == INITIATOR_VERIFYING)) {
		fail_later(i, cmd, -EIO);
	} else {
		list_append(cmd->probe ? &i->queue_probe : &i->queue, &cmd->node);
		initiator_wake(i);
	}
}

static enum iscsi_dir task_dir(enum scsi_dir dir)
{
	switch (dir) {
	case SCSI_DIR_NONE: return ISCSI_DIR_NONE;
	case SCSI_DIR_READ: return ISCSI_DIR_READ;
	case SCSI_DIR_WRITE: return ISCSI_DIR_WRITE;
	}
	return ISCSI_DIR_NONE;
}

static void hand_over(struct initiator *i, struct list *free_slots, struct scsi_cmd *cmd)
{
	uint64_t timeout_ns = cmd->timeout_ns ? cmd->timeout_ns : i->task_timeout_ns;
	uint64_t waited_ns = command_clock_ns(i) - cmd->submitted_ns;
	struct slot *s;
	struct iscsi_task *t;

	list_remove(&cmd->node);
	if (waited_ns >= timeout_ns) {
		fail_later(i, cmd, -ETIMEDOUT);
		return;
	}
	s = list_first(free_slots, struct slot, node);
	list_remove(&s->node);
	s->cmd = cmd;
	s->error = 0;
	cmd->transport = s;
	t = &s->task;
	t->lun = cmd->lun;
	memcpy(t->cdb, cmd->cdb, sizeof(cmd->cdb));
	t->dir = task_dir(cmd->dir);
	t->iov = cmd->iov;
	t->n_iov = cmd->n_iov;
	t->n_data = cmd->n_data;
	t->timeout_ns = timeout_ns - waited_ns;
	t->probe = cmd->probe;
	t->once = cmd->once;
	session_submit(i->session, t, loop_now_ns(i->loop));
}

void cmds_pump(struct initiator *i)
{
	bool up = i->state == INITIATOR_UP && !i->leaving;
	struct list *free_slots;

	while ((up || (i->state == INITIATOR_VERIFYING && !i->leaving)) &&
	       !list_empty(&i->queue_probe)) {
		free_slots = &i->slots_free_probe;
		if (up && list_empty(free_slots))
			free_slots = &i->slots_free;
		if (list_empty(free_slots))
			break;
		hand_over(i, free_slots, list_first(&i->queue_probe, struct scsi_cmd, node));
	}
	while (up && !list_empty(&i->queue) && !list_empty(&i->slots_free))
		hand_over(i, &i->slots_free, list_first(&i->queue, struct scsi_cmd, node));
}

/* ---- out --------------------------------------------------------------- */

static int result_error(const struct iscsi_task *t)
{
	switch (t->result) {
	case ISCSI_TASK_OK: return 0;
	case ISCSI_TASK_FAILED:
	case ISCSI_TASK_REJECTED: return -EREMOTEIO;
	case ISCSI_TASK_TIMEOUT: return -ETIMEDOUT;
	case ISCSI_TASK_CANCELLED: return -ECANCELED;
	case ISCSI_TASK_LOST: return -EIO;
	}
	return -EIO;
}

void cmds_task_done(struct initiator *i, struct iscsi_task *t)
{
	struct slot *s = t->user;
	struct scsi_cmd *cmd = s->cmd;

	cmd->error = result_error(t);
	if (cmd->error == 0) {
		cmd->status = t->status;
		cmd->n_transferred = t->n_transferred;
		cmd->overflow = t->overflow;
		cmd->n_sense = t->n_sense;
		memcpy(cmd->sense, t->sense, t->n_sense);
	} else if (s->error) {
		cmd->error = s->error;
	}
	s->cmd = NULL;
	list_append(s->for_probes ? &i->slots_free_probe : &i->slots_free, &s->node);
	i->n_commands--;
	if (!list_empty(&i->queue) || !list_empty(&i->queue_probe))
		initiator_wake(i);
	cmd->done(cmd);
}

bool cmds_run_failed(struct initiator *i)
{
	struct list todo;

	list_init(&todo);
	list_splice(&todo, &i->failed);
	while (!list_empty(&todo)) {
		struct scsi_cmd *cmd = list_first(&todo, struct scsi_cmd, node);

		list_remove(&cmd->node);
		i->n_commands--;
		cmd->done(cmd);
	}
	return list_empty(&i->failed);
}

static void fail_queue(struct initiator *i, struct list *queue, int error)
{
	while (!list_empty(queue)) {
		struct scsi_cmd *cmd = list_first(queue, struct scsi_cmd, node);

		list_remove(&cmd->node);
		fail_later(i, cmd, error);
	}
}

void cmds_fail_all(struct initiator *i, int error)
{
	fail_queue(i, &i->queue, error);
	fail_queue(i, &i->queue_probe, error);
	for (unsigned k = 0; k < i->n_slots; k++)
		if (i->slots[k].cmd)
			i->slots[k].error = error;
	session_fail_all(i->session, true, loop_now_ns(i->loop));
	initiator_wake(i);
}

void cmds_fail_probes(struct initiator *i)
{
	fail_queue(i, &i->queue_probe, -EIO);
	for (unsigned k = 0; k < i->n_slots; k++) {
		struct slot *s = &i->slots[k];

		if (!s->cmd || !s->cmd->probe)
			continue;
		s->error = -EIO;
		session_cancel(i->session, &s->task, loop_now_ns(i->loop));
	}
	initiator_wake(i);
}

void cmds_fail_held(struct initiator *i)
{
	fail_queue(i, &i->queue, -EIO);
	session_fail_all(i->session, false, loop_now_ns(i->loop));
	if (i->state != INITIATOR_VERIFYING)
		cmds_fail_probes(i);
	initiator_wake(i);
}

/* At once while it waits; on the wire by ABORT TASK. */
static void path_cancel(void *path, struct scsi_cmd *cmd)
{
	struct initiator *i = path;
	struct slot *s = cmd->transport;

	if (s) {
		s->error = -ECANCELED;
		session_cancel(i->session, &s->task, loop_now_ns(i->loop));
		initiator_wake(i);
	} else if (!cmd->error) {
		list_remove(&cmd->node);
		fail_later(i, cmd, -ECANCELED);
	}
}

/* One that the engine has sent keeps its place: only its own end frees the slot. */
static void path_recall(void *path, struct scsi_cmd *cmd)
{
	struct initiator *i = path;
	struct slot *s = cmd->transport;

	if (!s) {
		path_cancel(path, cmd);
		return;
	}
	session_recall(i->session, &s->task);
	initiator_wake(i);
}

static bool path_usable(void *path)
{
	const struct initiator *i = path;

	return i->state == INITIATOR_UP && !i->leaving;
}

static bool path_take_back(void *path, struct scsi_cmd *cmd)
{
	struct slot *s = cmd->transport;

	if (s && task_was_sent(&s->task))
		return false;
	path_cancel(path, cmd);
	return true;
}

static uint32_t path_max_transfer_bytes(void *path)
{
	return MAX_TRANSFER;
}

const struct scsi_path_ops initiator_path_ops = {
	.submit = path_submit,
	.cancel = path_cancel,
	.recall = path_recall,
	.usable = path_usable,
	.take_back = path_take_back,
	.max_transfer_bytes = path_max_transfer_bytes,
};
