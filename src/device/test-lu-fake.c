/* SPDX-License-Identifier: MIT */
/* The fake loop keeps one timer, the fake path a queue; nothing more. */
#include "device/test-lu-fake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "scsi/cdb.h"

uint64_t loop_now_ns(const struct loop *l)
{
	return l->now_ns;
}

int loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t deadline_ns)
{
	if (l->timer_error)
		return l->timer_error;
	assert_true(!l->timer || l->timer == t);
	l->timer = deadline_ns == LOOP_NEVER ? NULL : t;
	t->deadline_ns = deadline_ns;
	t->heap_index_plus_1 = l->timer ? 1 : 0;
	return 0;
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	if (l->timer == t)
		l->timer = NULL;
	t->heap_index_plus_1 = 0;
}

void fake_advance(struct loop *l, uint64_t ns)
{
	uint64_t until = l->now_ns + ns;

	while (l->timer && l->timer->deadline_ns <= until) {
		struct loop_timer *t = l->timer;

		if (t->deadline_ns > l->now_ns)
			l->now_ns = t->deadline_ns;
		l->timer = NULL;
		t->heap_index_plus_1 = 0;
		t->fire(t);
	}
	l->now_ns = until;
}

static void fake_submit(void *path, struct scsi_cmd *cmd)
{
	struct fake_path *p = path;

	assert_true(p->n < FAKE_MAX);
	p->q[p->n++] = cmd;
	p->n_submitted++;
}

static uint32_t fake_max_transfer(void *path)
{
	const struct fake_path *p = path;

	return p->max_bytes ? p->max_bytes : UINT32_MAX;
}

static void fake_cancel(void *path, struct scsi_cmd *cmd)
{
	struct fake_path *p = path;
	bool found = false;

	for (unsigned i = 0; i < p->n; i++)
		found |= p->q[i] == cmd;
	assert_true(found);
	p->n_cancelled++;
}

static void fake_recall(void *path, struct scsi_cmd *cmd)
{
	struct fake_path *p = path;

	p->n_recalled++;
}

static bool fake_usable(void *path)
{
	const struct fake_path *p = path;

	return !p->down;
}

static bool fake_take_back(void *path, struct scsi_cmd *cmd)
{
	struct fake_path *p = path;

	if (p->keeps)
		return false;
	p->n_taken_back++;
	return true;
}

const struct scsi_path_ops fake_path_ops = {
	.submit = fake_submit,
	.max_transfer_bytes = fake_max_transfer,
	.cancel = fake_cancel,
	.recall = fake_recall,
	.usable = fake_usable,
	.take_back = fake_take_back,
};

const struct scsi_path_ops fake_path_ops_no_cancel = {
	.submit = fake_submit,
	.max_transfer_bytes = fake_max_transfer,
};

static struct scsi_cmd *fake_take(struct fake_path *p, unsigned i)
{
	struct scsi_cmd *cmd;

	assert_true(i < p->n);
	cmd = p->q[i];
	p->n--;
	memmove(p->q + i, p->q + i + 1, (p->n - i) * sizeof(p->q[0]));
	return cmd;
}

void fake_short(struct fake_path *p, unsigned i, uint32_t n_transferred)
{
	struct scsi_cmd *cmd = fake_take(p, i);

	cmd->status = SCSI_GOOD;
	cmd->n_transferred = n_transferred;
	cmd->done(cmd);
}

void fake_overflow(struct fake_path *p, unsigned i)
{
	p->q[i]->overflow = true;
	fake_good(p, i);
}

void fake_good(struct fake_path *p, unsigned i)
{
	fake_short(p, i, p->q[i]->n_data);
}

void fake_status(struct fake_path *p, unsigned i, uint8_t status)
{
	struct scsi_cmd *cmd = fake_take(p, i);

	cmd->status = status;
	cmd->done(cmd);
}

static void fake_check(struct fake_path *p, unsigned i, uint8_t response, uint8_t key, uint8_t asc,
		       uint8_t ascq)
{
	struct scsi_cmd *cmd = fake_take(p, i);
	const uint8_t sense[8] = {response, key, asc, ascq};

	cmd->status = SCSI_CHECK_CONDITION;
	memcpy(cmd->sense, sense, sizeof(sense));
	cmd->n_sense = sizeof(sense);
	/* what was moved before the error was found tells nothing; with a recovered error it is all
	 */
	cmd->n_transferred = key == 1 ? cmd->n_data : cmd->n_data / 2;
	cmd->done(cmd);
}

void fake_sense(struct fake_path *p, unsigned i, uint8_t key, uint8_t asc, uint8_t ascq)
{
	fake_check(p, i, 0x72, key, asc, ascq);
}

void fake_deferred(struct fake_path *p, unsigned i, uint8_t key, uint8_t asc, uint8_t ascq)
{
	fake_check(p, i, 0x73, key, asc, ascq);
}

void fake_error(struct fake_path *p, unsigned i, int error)
{
	struct scsi_cmd *cmd = fake_take(p, i);

	cmd->error = error;
	cmd->done(cmd);
}

struct fake_cdb fake_cdb_of(const struct scsi_cmd *cmd)
{
	const uint8_t *c = cmd->cdb;
	struct fake_cdb v = {.op = c[0]};

	switch (c[0]) {
	case SCSI_READ_10:
	case SCSI_WRITE_10:
		v.fua = c[1] & 8;
		v.lba = get_be32(c + 2);
		v.n_blocks = get_be16(c + 7);
		break;
	case SCSI_READ_16:
	case SCSI_WRITE_16:
		v.fua = c[1] & 8;
		v.lba = get_be64(c + 2);
		v.n_blocks = get_be32(c + 10);
		break;
	case SCSI_WRITE_SAME_16:
		v.unmap = c[1] & 8;
		v.lba = get_be64(c + 2);
		v.n_blocks = get_be32(c + 10);
		break;
	case SCSI_UNMAP: {
		const uint8_t *list = cmd->iov[0].iov_base;

		v.lba = get_be64(list + 8);
		v.n_blocks = get_be32(list + 16);
		break;
	}
	default: break;
	}
	return v;
}
