/* SPDX-License-Identifier: MIT */
/*
 * Logical units: requests
 *
 * Checks a request once, cuts it into commands that the unit and every path can
 * carry, and puts their outcomes together again. Data is never copied: a command
 * points into the request's own iovec where its ends fall on entries, else at
 * the slice of it that the slot holds.
 *
 * Commands of one request run at the same time, but are sent in order; requests
 * are begun in the order they came. Nothing is promised about the order of
 * requests that are in flight together; whoever needs one waits, or flushes
 * after the write was done.
 */
#include "device/lu.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "device/lu_private.h"

#define DEFAULT_RETRY_NS   (30 * NS_PER_S)
#define DEFAULT_N_COMMANDS 128
#define MAX_N_COMMANDS     1024

/* Bounds of one command where the unit names none, or none that ends in reasonable time; blocks. */
#define UNMAP_CAP_BLOCKS 0x7fffff
#define ZERO_CAP_BLOCKS  0xffff
/*
 * How many commands of one discard or zeroing may run at once: they are slow, and others want slots
 * too.
 */
#define BULK_MAX_CMDS 4
/* These may empty a large cache or touch much of the medium. */
#define SLOW_TIMEOUT_NS (120 * NS_PER_S)

/* The one block that WRITE SAME repeats. */
static const uint8_t zero_block[LU_BLOCK_MAX];

/* ---- the end of a request ---------------------------------------------- */

static void stats_count(struct lu_stats *st, const struct blk_req *r)
{
	bool good = r->result == 0;

	switch (r->op) {
	case BLK_READ:
		st->n_reads++;
		st->read_bytes += good ? r->n_bytes : 0;
		break;
	case BLK_WRITE:
		st->n_writes++;
		st->write_bytes += good ? r->n_bytes : 0;
		break;
	case BLK_WRITE_ZEROES: st->n_writes++; break;
	case BLK_FLUSH: st->n_flushes++; break;
	case BLK_DISCARD: st->n_discards++; break;
	}
	if (!good)
		st->n_errors++;
}

static void request_end(struct lu *lu, struct blk_req *r, int error)
{
	/* The unit lost data of an earlier write: the next flush is where that must be heard, once.
	 */
	if (r->op == BLK_FLUSH && lu->lost_error) {
		if (!error)
			error = lu->lost_error;
		lu->lost_error = 0;
	}
	r->result = error;
	r->unit_private = NULL;
	lu->n_inflight--;
	stats_count(&lu->stats, r);
	r->done(r);
}

/* ---- works ------------------------------------------------------------- */

static void todo_add(struct lu *lu, struct lu_work *w)
{
	w->queued = true;
	list_append(&lu->todo, &w->node);
}

static void todo_remove(struct lu_work *w)
{
	if (w->queued)
		list_remove(&w->node);
	w->queued = false;
}

static void work_end(struct lu *lu, struct lu_work *w)
{
	struct blk_req *r = w->r;
	int error = w->error;

	w->r = NULL;
	list_append(&lu->free_works, &w->node);
	request_end(lu, r, error);
}

/* All commands are back and no more are wanted: the second step of a write with FUA, or the end. */
static void work_settle(struct lu *lu, struct lu_work *w)
{
	if (w->n_cmds > 0 || w->n_left > 0)
		return;
	todo_remove(w);
	if (w->error || !w->sync_after) {
		if (!w->error && w->how == LU_HOW_SYNC)
			w->error = lu->lost_error;
		work_end(lu, w);
		return;
	}
	w->sync_after = false;
	w->how = LU_HOW_SYNC;
	w->n_left = 1;
	/* older than whatever is in the list */
	w->queued = true;
	list_prepend(&lu->todo, &w->node);
}

static void work_fail(struct lu_work *w, int error)
{
	if (!w->error)
		w->error = error;
	w->n_left = 0;
	todo_remove(w);
}

void work_cmd_done(struct lu *lu, struct lu_work *w, int error)
{
	w->n_cmds--;
	if (error)
		work_fail(w, error);
	else if (w->n_left > 0 && !w->queued)
		todo_add(lu, w);
	work_settle(lu, w);
}

static struct lu_work *work_begin(struct lu *lu, struct blk_req *r)
{
	const struct lu_info *i = &lu->info;
	uint32_t bb = i->limits.block_bytes;
	struct lu_work *w = list_first(&lu->free_works, struct lu_work, node);
	uint64_t end_lba;

	list_remove(&w->node);
	*w = (struct lu_work){.r = r, .block_bytes = bb, .max_cmds = UINT32_MAX};
	list_init(&w->node);
	r->unit_private = w;
	switch (r->op) {
	case BLK_READ: w->how = LU_HOW_READ; break;
	case BLK_WRITE:
		w->how = LU_HOW_WRITE;
		if (r->flags & BLK_F_FUA && i->limits.write_cache) {
			w->fua = i->dpo_fua;
			w->sync_after = !i->dpo_fua;
		}
		break;
	case BLK_FLUSH:
		w->how = LU_HOW_SYNC;
		w->n_left = 1;
		return w;
	case BLK_DISCARD:
		w->how = i->can_unmap ? LU_HOW_UNMAP : LU_HOW_ZERO_UNMAP;
		w->max_cmds = BULK_MAX_CMDS;
		break;
	case BLK_WRITE_ZEROES:
		/* only where unmapped blocks are known to read as zero */
		w->how = !(r->flags & BLK_F_NO_UNMAP) && i->can_write_same16_unmap &&
					 i->reads_zero_after_unmap
				 ? LU_HOW_ZERO_UNMAP
				 : LU_HOW_ZERO;
		w->max_cmds = BULK_MAX_CMDS;
		break;
	}
	/* inward to whole blocks; only a discard may have parts of blocks at its ends */
	w->next_lba = r->off_bytes / bb + (r->off_bytes % bb != 0);
	end_lba = (r->off_bytes + r->n_bytes) / bb;
	w->n_left = end_lba > w->next_lba ? end_lba - w->next_lba : 0;
	return w;
}

/* ---- cutting ----------------------------------------------------------- */

/* Moves the place in the request's iovec on by @n bytes. */
static void work_iov_advance(struct lu_work *w, size_t n)
{
	const struct iovec *v = w->r->iov;

	while (n > 0) {
		size_t here = v[w->iov_at].iov_len - w->iov_off;

		if (here > n) {
			w->iov_off += n;
			return;
		}
		n -= here;
		w->iov_at++;
		w->iov_off = 0;
	}
}

/* Whole entries of the request's iovec that make up exactly @n bytes from here; 0: there are none.
 */
static unsigned work_iov_whole(const struct lu_work *w, size_t n)
{
	const struct iovec *v = w->r->iov + w->iov_at;
	unsigned k = 0;

	if (w->iov_off != 0)
		return 0;
	while (n > 0 && v[k].iov_len <= n)
		n -= v[k++].iov_len;
	return n == 0 ? k : 0;
}

/*
 * The next @n_bytes of the request as the slot's data, or fewer (whole blocks)
 * when the slice has more entries than the slot has room for. Return: bytes; 0
 * when not even one block fits.
 */
static uint32_t work_slice(struct lu_work *w, struct lu_slot *s, uint32_t n_bytes)
{
	const struct iovec *v = w->r->iov;
	unsigned whole = work_iov_whole(w, n_bytes);
	unsigned at = w->iov_at, k = 0;
	size_t off = w->iov_off;
	uint32_t took = 0, excess;

	if (whole > 0) {
		s->cmd.iov = v + w->iov_at;
		s->cmd.n_iov = whole;
		work_iov_advance(w, n_bytes);
		return n_bytes;
	}
	for (; k < LU_SLOT_IOV && took < n_bytes; at++, off = 0) {
		size_t n = v[at].iov_len - off;

		if (n > n_bytes - took)
			n = n_bytes - took;
		if (n > 0)
			s->iov[k++] = (struct iovec){(uint8_t *)v[at].iov_base + off, n};
		took += (uint32_t)n;
	}
	excess = took % w->block_bytes;
	took -= excess;
	while (excess > 0) {
		struct iovec *last = &s->iov[k - 1];
		size_t n = last->iov_len < excess ? last->iov_len : excess;

		last->iov_len -= n;
		excess -= (uint32_t)n;
		k -= last->iov_len == 0;
	}
	s->cmd.iov = s->iov;
	s->cmd.n_iov = k;
	work_iov_advance(w, took);
	return took;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint32_t rw_build(struct lu *lu, struct lu_work *w, struct lu_slot *s)
{
	uint32_t max = lu_max_transfer(lu) / w->block_bytes;
	uint32_t n = (uint32_t)min_u64(w->n_left, max > 0 ? max : 1);

	s->cmd.n_data = work_slice(w, s, n * w->block_bytes);
	n = s->cmd.n_data / w->block_bytes;
	if (w->how == LU_HOW_READ) {
		s->cmd.dir = SCSI_DIR_READ;
		s->cmd.n_cdb = cdb_read(s->cmd.cdb, w->next_lba, n, false);
	} else {
		s->cmd.dir = SCSI_DIR_WRITE;
		/* the unit may have refused the bit since this request began */
		s->cmd.n_cdb = cdb_write(s->cmd.cdb, w->next_lba, n, w->fua && lu->info.dpo_fua);
		if (w->fua && !lu->info.dpo_fua)
			w->sync_after = true;
	}
	return n;
}

static uint32_t sync_build(struct lu *lu, struct lu_slot *s)
{
	s->cmd.timeout_ns = SLOW_TIMEOUT_NS;
	s->cmd.n_cdb = cdb_sync_cache(s->cmd.cdb, 0, 0, lu->sync_long_form);
	return 1;
}

/* So many of @n_left blocks that the next command starts on a multiple of the granularity. */
static uint32_t bulk_step(const struct lu *lu, const struct lu_work *w, uint64_t cap)
{
	uint64_t n = min_u64(w->n_left, cap);
	uint32_t granularity = lu->info.unmap_granularity_blocks;
	uint64_t past;

	if (n == w->n_left || granularity < 2 || w->how == LU_HOW_ZERO)
		return (uint32_t)n;
	past = (w->next_lba + n) % granularity;
	return (uint32_t)(past < n ? n - past : n);
}

static uint32_t unmap_build(struct lu *lu, struct lu_work *w, struct lu_slot *s)
{
	uint32_t limit = lu->info.max_unmap_blocks;
	uint32_t n = bulk_step(lu, w, limit ? min_u64(limit, UNMAP_CAP_BLOCKS) : UNMAP_CAP_BLOCKS);
	struct scsi_extent e = {.lba = w->next_lba, .n_blocks = n};

	/*
	 * One descriptor says all there is to say: a request is one run of blocks, and
	 * the limit of blocks is for the whole list.
	 */
	s->cmd.n_data = (uint32_t)unmap_list_build(s->list, sizeof(s->list), &e, 1);
	s->iov[0] = (struct iovec){s->list, s->cmd.n_data};
	s->cmd.iov = s->iov;
	s->cmd.n_iov = 1;
	s->cmd.dir = SCSI_DIR_WRITE;
	s->cmd.timeout_ns = SLOW_TIMEOUT_NS;
	s->cmd.n_cdb = cdb_unmap(s->cmd.cdb, (uint16_t)s->cmd.n_data);
	return n;
}

static uint32_t zero_build(struct lu *lu, struct lu_work *w, struct lu_slot *s)
{
	bool unmap = w->how == LU_HOW_ZERO_UNMAP;
	uint64_t limit = lu->info.max_write_same_blocks;
	uint64_t cap = unmap && limit ? UNMAP_CAP_BLOCKS : ZERO_CAP_BLOCKS;
	uint32_t n = bulk_step(lu, w, limit ? min_u64(limit, cap) : cap);

	s->cmd.n_data = w->block_bytes;
	s->iov[0] = (struct iovec){(void *)zero_block, w->block_bytes};
	s->cmd.iov = s->iov;
	s->cmd.n_iov = 1;
	s->cmd.dir = SCSI_DIR_WRITE;
	s->cmd.timeout_ns = SLOW_TIMEOUT_NS;
	s->cmd.n_cdb = cdb_write_same_16(s->cmd.cdb, w->next_lba, n, unmap);
	return n;
}

/* Puts the next command of @w into a slot and sends it; false when no slot is free. */
static bool work_issue(struct lu *lu, struct lu_work *w)
{
	struct lu_slot *s = slot_take(lu, w);
	uint32_t n = 0;

	if (!s)
		return false;
	switch (w->how) {
	case LU_HOW_READ:
	case LU_HOW_WRITE: n = rw_build(lu, w, s); break;
	case LU_HOW_SYNC: n = sync_build(lu, s); break;
	case LU_HOW_UNMAP: n = unmap_build(lu, w, s); break;
	case LU_HOW_ZERO:
	case LU_HOW_ZERO_UNMAP: n = zero_build(lu, w, s); break;
	}
	w->next_lba += n;
	w->n_left -= n;
	if (w->n_left == 0 || w->n_cmds >= w->max_cmds)
		todo_remove(w);
	if (n > 0)
		slot_send(s);
	else
		slot_end(s, -EINVAL);
	return true;
}

/* ---- entry and exit ---------------------------------------------------- */

static void lu_pump(struct lu *lu)
{
	while (!lu->held && !lu_is_quiet(lu)) {
		struct lu_work *w = list_first(&lu->todo, struct lu_work, node);
		struct blk_req *r = list_first(&lu->waiting, struct blk_req, node);

		if (w) {
			if (!work_issue(lu, w))
				return;
		} else if (r && !list_empty(&lu->free_works)) {
			list_remove(&r->node);
			todo_add(lu, work_begin(lu, r));
			/* a discard of less than a block has nothing to send */
			work_settle(lu, r->unit_private);
		} else {
			return;
		}
	}
}

void lu_enter(struct lu *lu)
{
	lu->depth++;
}

static void lu_tell_drained(struct lu *lu)
{
	unsigned n = lu->n_drains;
	__typeof__(lu->drain[0]) drain[LU_MAX_DRAINS];

	/* The first of them may free the unit. */
	memcpy(drain, lu->drain, sizeof(drain));
	lu->n_drains = 0;
	for (unsigned i = 0; i < n; i++)
		drain[i].done(drain[i].arg);
}

void lu_leave(struct lu *lu)
{
	if (lu->depth > 1) {
		lu->depth--;
		return;
	}
	lu_pump(lu);
	if (lu_rearm(lu) < 0) {
		/* without a timer nobody would ever look at them again */
		lu->quiet_until_ns = 0;
		lu_fail_slots(lu, -EIO);
		lu_pump(lu);
	}
	lu->depth--;
	if (lu->n_inflight == 0 && lu->n_drains > 0)
		lu_tell_drained(lu);
}

void lu_fail_waiting(struct lu *lu, int error)
{
	struct lu_work *w;
	struct blk_req *r;

	lu_fail_slots(lu, error);
	while ((w = list_first(&lu->todo, struct lu_work, node))) {
		work_fail(w, error);
		work_settle(lu, w);
	}
	while ((r = list_first(&lu->waiting, struct blk_req, node))) {
		list_remove(&r->node);
		request_end(lu, r, error);
	}
}

/* ---- requests ---------------------------------------------------------- */

static bool iov_covers(const struct blk_req *r)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < r->n_iov && n < r->n_bytes; i++)
		n += r->iov[i].iov_len;
	return n >= r->n_bytes;
}

static bool range_inside(const struct lu *lu, const struct blk_req *r)
{
	uint64_t size = lu->info.limits.n_bytes;

	return r->off_bytes <= size && r->n_bytes <= size - r->off_bytes;
}

static bool blocks_whole(const struct lu *lu, const struct blk_req *r)
{
	uint32_t bb = lu->info.limits.block_bytes;

	return r->off_bytes % bb == 0 && r->n_bytes % bb == 0;
}

/* 0: to be done; 1: nothing to do, it is done; -errno. */
static int request_check(const struct lu *lu, const struct blk_req *r)
{
	const struct lu_info *i = &lu->info;

	if (lu_is_fenced(lu, NULL, 0) || lu->absent || lu->n_paths == 0)
		return -EIO;
	if (r->op == BLK_FLUSH)
		return i->limits.write_cache ? 0 : 1;
	if (i->limits.block_bytes < LU_BLOCK_MIN || i->limits.block_bytes > LU_BLOCK_MAX)
		return -EIO; /* not a disk, or without a medium */
	if (r->op != BLK_READ && i->limits.read_only)
		return -EROFS;
	if (r->op == BLK_DISCARD && !i->can_unmap && !i->can_write_same16_unmap)
		return -EOPNOTSUPP;
	if (r->op == BLK_WRITE_ZEROES && !i->can_write_same16 &&
	    (r->flags & BLK_F_NO_UNMAP || !i->can_write_same16_unmap || !i->reads_zero_after_unmap))
		return -EOPNOTSUPP;
	if (!range_inside(lu, r))
		return -EIO;
	if (r->op != BLK_DISCARD && !blocks_whole(lu, r))
		return -EINVAL;
	if ((r->op == BLK_READ || r->op == BLK_WRITE) && !iov_covers(r))
		return -EINVAL;
	return r->n_bytes == 0;
}

void blk_submit(struct lu *lu, struct blk_req *r)
{
	int check;

	lu_enter(lu);
	lu->n_inflight++;
	r->unit_private = NULL;
	check = request_check(lu, r);
	if (check)
		request_end(lu, r, check < 0 ? check : 0);
	else
		list_append(&lu->waiting, &r->node);
	lu_leave(lu);
}

/* ---- the unit ---------------------------------------------------------- */

static void info_apply_refusals(struct lu *lu)
{
	struct lu_info *i = &lu->info;

	if (lu->refused & LU_REFUSED_UNMAP)
		i->can_unmap = false;
	if (lu->refused & LU_REFUSED_ZERO)
		i->can_write_same16 = false;
	if (lu->refused & LU_REFUSED_ZERO_UNMAP)
		i->can_write_same16_unmap = false;
	if (lu->refused & LU_REFUSED_FUA)
		i->dpo_fua = false;
	lu_info_derive(i);
}

void lu_refuse(struct lu *lu, unsigned what)
{
	lu->refused |= what;
	info_apply_refusals(lu);
}

int lu_new(struct lu **ret_lu, const struct lu_cfg *cfg)
{
	unsigned n = cfg->n_commands ? cfg->n_commands : DEFAULT_N_COMMANDS;
	CLEANUP(freep) struct lu_work *works = NULL;
	CLEANUP(freep) struct lu_slot *slots = NULL;
	struct lu *lu;

	if (n > MAX_N_COMMANDS)
		n = MAX_N_COMMANDS;
	works = calloc(n, sizeof(*works));
	slots = calloc(n, sizeof(*slots));
	lu = calloc(1, sizeof(*lu));
	if (!lu || !works || !slots) {
		free(lu);
		return -ENOMEM;
	}
	lu->cfg = *cfg;
	lu->cfg.info = NULL;
	if (lu->cfg.retry_ns == 0)
		lu->cfg.retry_ns = DEFAULT_RETRY_NS;
	lu->info = *cfg->info;
	lu->timer.fire = lu_timer_fire;
	list_init(&lu->waiting);
	list_init(&lu->todo);
	list_init(&lu->wire);
	list_init(&lu->later);
	list_init(&lu->parked);
	list_init(&lu->free_works);
	list_init(&lu->free_slots);
	for (unsigned k = 0; k < n; k++) {
		list_append(&lu->free_works, &works[k].node);
		slots[k].lu = lu;
		list_append(&lu->free_slots, &slots[k].node);
	}
	lu->works = TAKE(works);
	lu->slots = TAKE(slots);
	*ret_lu = lu;
	return 0;
}

struct lu *lu_free(struct lu *lu)
{
	if (!lu)
		return NULL;
	assert(lu->n_inflight == 0 && lu->depth == 0);
	loop_timer_cancel(lu->cfg.loop, &lu->timer);
	free(lu->works);
	free(lu->slots);
	free(lu);
	return NULL;
}

int lu_path_add(struct lu *lu, const struct scsi_path_ops *ops, void *path, uint64_t lun)
{
	unsigned at = LU_MAX_PATHS;

	for (unsigned i = LU_MAX_PATHS; i-- > 0;) {
		if (lu->paths[i].ops && lu->paths[i].path == path)
			return -EEXIST;
		if (!lu->paths[i].ops)
			at = i;
	}
	if (at == LU_MAX_PATHS)
		return -ENOSPC;
	lu->paths[at] = (struct lu_path){.ops = ops, .path = path, .lun = lun};
	lu->n_paths++;
	return 0;
}

static void path_remove(struct lu *lu, void *path, bool disown)
{
	for (unsigned i = 0; i < LU_MAX_PATHS; i++) {
		if (!lu->paths[i].ops || lu->paths[i].path != path)
			continue;
		lu_enter(lu);
		if (disown)
			lu_disown_path(lu, i);
		lu->paths[i] = (struct lu_path){0};
		lu->n_paths--;
		lu_forget_path(lu, i);
		if (lu->n_paths == 0)
			lu_fail_waiting(lu, -EIO);
		lu_leave(lu);
		return;
	}
}

void lu_path_remove(struct lu *lu, void *path)
{
	path_remove(lu, path, false);
}

void lu_path_disown(struct lu *lu, void *path)
{
	path_remove(lu, path, true);
}

void lu_path_lost(struct lu *lu, void *path)
{
	for (unsigned i = 0; i < LU_MAX_PATHS && lu->n_paths > 1; i++) {
		if (!lu->paths[i].ops || lu->paths[i].path != path)
			continue;
		lu_enter(lu);
		lu_take_back(lu, i);
		lu_leave(lu);
		return;
	}
}

unsigned lu_n_paths(const struct lu *lu)
{
	return lu->n_paths;
}

unsigned lu_n_inflight(const struct lu *lu)
{
	return lu->n_inflight;
}

void lu_drain(struct lu *lu, void (*done)(void *arg), void *arg)
{
	if (lu->n_inflight == 0 && lu->depth == 0) {
		done(arg);
		return;
	}
	/* our own mistake; a callback that never comes would be a hang, which is worse */
	if (lu->n_drains == LU_MAX_DRAINS)
		abort();
	lu->drain[lu->n_drains].done = done;
	lu->drain[lu->n_drains++].arg = arg;
}

void lu_hold(struct lu *lu, bool hold)
{
	lu_enter(lu);
	if (hold && !lu->held)
		lu_recall_wire(lu);
	lu->held = hold;
	if (!hold)
		lu_send_parked(lu);
	lu_leave(lu);
}

void lu_set_absent(struct lu *lu, bool absent)
{
	lu_enter(lu);
	lu->absent = absent;
	if (absent) {
		lu_cancel_wire(lu);
		lu_fail_waiting(lu, -EIO);
	}
	lu_leave(lu);
}

void lu_fence(struct lu *lu, const char *why)
{
	if (lu_is_fenced(lu, NULL, 0))
		return;
	lu_enter(lu);
	snprintf(lu->fence_why, sizeof(lu->fence_why), "%s", why);
	atomic_store_explicit(&lu->fenced, true, memory_order_release);
	lu_cancel_wire(lu);
	lu_fail_waiting(lu, -EIO);
	lu_leave(lu);
}

bool lu_is_fenced(const struct lu *lu, char *why, size_t n)
{
	/* why is written once, before the flag */
	if (!atomic_load_explicit(&lu->fenced, memory_order_acquire))
		return false;
	if (n > 0)
		snprintf(why, n, "%s", lu->fence_why);
	return true;
}

void lu_update(struct lu *lu, const struct lu_info *info)
{
	if (info->limits.block_bytes != lu->info.limits.block_bytes) {
		/* requests under way, and whoever made them, count in the old blocks */
		lu_fence(lu, "the logical block size has changed");
		return;
	}
	lu->info = *info;
	lu->told = 0;
	info_apply_refusals(lu);
}

const struct lu_info *lu_get_info(const struct lu *lu)
{
	return &lu->info;
}

void lu_get_stats(const struct lu *lu, struct lu_stats *ret)
{
	*ret = lu->stats;
}
