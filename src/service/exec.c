/* SPDX-License-Identifier: MIT */
/*
 * Commands from threads that may wait
 *
 * The command is posted to the session's reactor and comes back through its
 * done(). A session that is gone answers -EIO, so no command is left behind.
 */
#include <errno.h>
#include <semaphore.h>

#include "service/unit.h"

struct run {
	struct loop_post post;
	struct session *s;
	struct scsi_cmd *cmd;
	sem_t done;
};

static void run_done(struct scsi_cmd *cmd)
{
	struct run *r = cmd->user;

	unit_notice(r->s, cmd);
	sem_post(&r->done);
}

static void run_start(struct loop_post *p)
{
	struct run *r = CONTAINER_OF(p, struct run, post);

	if (r->s->gone) {
		r->cmd->error = -EIO;
		sem_post(&r->done);
		return;
	}
	initiator_path_ops.submit(r->s->initiator, r->cmd);
}

int sess_run(void *session, struct scsi_cmd *cmd)
{
	struct run r = {.s = session, .cmd = cmd, .post.run = run_start};

	cmd->done = run_done;
	cmd->user = &r;
	sem_init(&r.done, 0, 0);
	loop_post(r.s->loop, &r.post);
	while (sem_wait(&r.done) < 0)
		; /* EINTR */
	sem_destroy(&r.done);
	return cmd->error;
}

struct scsi_exec sess_exec(struct session *s)
{
	return (struct scsi_exec){sess_run, s};
}
