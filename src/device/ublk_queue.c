/* SPDX-License-Identifier: MIT */
/*
 * ublk queue
 *
 * Everything belongs to the loop thread unless it is atomic or says otherwise. Nothing
 * takes memory once it has started.
 *
 * The kernel copies data only while this thread is in io_uring_enter(), where the ring can
 * be told so (6.1); only then does the pool give memory back, since a request that nobody
 * has looked at yet may have its data there already.
 */
#include "device/ublk_queue.h"

#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/idle.h"
#include "device/io_pool.h"
#include "device/ublk_uapi.h"
#include "io/loop.h"

#define AGAIN_NS (10 * NS_PER_MS) /* the kernel was short of memory for a submission */

struct ublk_slot {
	struct ublk_queue *q;
	uint8_t *mem;
	bool is_live;   /* the kernel has a command of the tag, or we have its request */
	bool with_unit; /* blk is the unit's */
	bool is_moot;   /* the kernel has its answer already */
	uint16_t tag;
	struct iovec iov;
	struct blk_req blk;
};

struct ublk_queue {
	struct loop *loop;
	struct lu *lu;
	struct blk_limits limits;
	bool plain, is_lazy; /* is_lazy: copies in io_uring_enter() only */
	bool is_cut, is_watched, is_orphan;
	int fd;
	struct io_uring ring;
	bool has_ring;
	struct loop_fd watch; /* an eventfd: a lazy ring does not wake who polls it */
	struct loop_defer submit, reap;
	struct loop_timer again;
	const struct ublk_io_desc *descs;
	size_t n_desc_bytes;
	struct io_pool pool;
	uint8_t *scratch; /* what the kernel gets when cut off */
	unsigned depth;
	uint32_t max_io_bytes;
	struct ublk_slot *slots;
	atomic_uint n_live, n_busy;
	struct idle idle; /* for control threads that wait for n_live */
};

/* ---- the ring ------------------------------------------------------------------- */

static void push(struct ublk_slot *s, uint32_t op, int32_t result)
{
	struct ublk_queue *q = s->q;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&q->ring);
	const struct ublk_io_cmd cmd = {
		.tag = s->tag,
		.result = result,
		.addr = (uintptr_t)(q->is_cut ? q->scratch : s->mem),
	};

	/* There is an entry for each tag, and a tag has one command at most. */
	if (!sqe)
		return;
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = q->fd;
	sqe->cmd_op = q->plain ? UBLK_BARE(op) : op;
	sqe->user_data = s->tag;
	memcpy(sqe->cmd, &cmd, sizeof(cmd));
	loop_defer(q->loop, &q->submit);
}

int ublk_errno(int result)
{
	switch (-result) {
	case EROFS:
	case EACCES: return -EREMOTEIO; /* as of a SCSI disk: the unit's last word */
	case EOPNOTSUPP:
	case ETIMEDOUT:
	case ENOSPC:
	case ENOLINK:
	case EREMOTEIO:
	case EBADE:
	case ENODATA:
	case EILSEQ:
	case ENODEV: return result;
	default: return result < 0 ? -EIO : 0;
	}
}

static int32_t answer_of(const struct blk_req *r)
{
	if (r->result == 0 && (r->op == BLK_READ || r->op == BLK_WRITE))
		return (int32_t)r->n_bytes;
	return ublk_errno(r->result);
}

static void answer(struct ublk_slot *s, int32_t result)
{
	push(s, UBLK_IO_COMMIT_AND_FETCH, result);
}

/* ---- requests -------------------------------------------------------------------- */

static void on_done(struct blk_req *r)
{
	struct ublk_slot *s = r->user;
	struct ublk_queue *q = s->q;

	s->with_unit = false;
	atomic_fetch_sub_explicit(&q->n_busy, 1, memory_order_relaxed);
	if (s->is_moot) {
		s->is_moot = false;
		if (q->is_orphan && atomic_load(&q->n_busy) == 0)
			loop_defer(q->loop, &q->reap);
		return;
	}
	answer(s, answer_of(r));
}

static bool is_within(const struct ublk_queue *q, const struct ublk_io_desc *d)
{
	const uint64_t n_sectors = q->limits.n_bytes / UBLK_SECTOR;

	return d->first_sector <= n_sectors && d->n_sectors <= n_sectors - d->first_sector &&
	       d->n_sectors > 0;
}

/* 0, or the -errno that it is refused with. */
static int translate(struct ublk_slot *s, const struct ublk_io_desc *d)
{
	const struct ublk_queue *q = s->q;
	struct blk_req *r = &s->blk;

	*r = (struct blk_req){
		.off_bytes = d->first_sector * UBLK_SECTOR,
		.n_bytes = (uint64_t)d->n_sectors * UBLK_SECTOR,
		.done = on_done,
		.user = s,
	};
	list_init(&r->node);
	switch (UBLK_OP(d->op_flags)) {
	case UBLK_OP_READ: r->op = BLK_READ; break;
	case UBLK_OP_WRITE:
		r->op = BLK_WRITE;
		r->flags = d->op_flags & UBLK_OP_F_FUA ? BLK_F_FUA : 0;
		break;
	case UBLK_OP_FLUSH:
		r->op = BLK_FLUSH;
		r->off_bytes = r->n_bytes = 0;
		return 0;
	case UBLK_OP_DISCARD: r->op = BLK_DISCARD; break;
	case UBLK_OP_WRITE_ZEROES:
		r->op = BLK_WRITE_ZEROES;
		r->flags = d->op_flags & UBLK_OP_F_NO_UNMAP ? BLK_F_NO_UNMAP : 0;
		break;
	default: return -EOPNOTSUPP; /* zones are for those who said that they have some */
	}
	/* The unit may have become smaller, or write-protected, without the kernel knowing yet. */
	if (!is_within(q, d))
		return -EIO;
	if (r->op != BLK_READ && q->limits.read_only)
		return -EIO;
	if (r->op == BLK_READ || r->op == BLK_WRITE) {
		if (r->n_bytes > q->max_io_bytes)
			return -EIO;
		s->iov = (struct iovec){.iov_base = s->mem, .iov_len = r->n_bytes};
		r->iov = &s->iov;
		r->n_iov = 1;
	}
	return 0;
}

static void begin(struct ublk_slot *s)
{
	struct ublk_queue *q = s->q;
	const struct ublk_io_desc d = q->descs[s->tag];
	int r;

	/* Cut off, the slot may still be the unit's. */
	r = q->is_cut ? -EIO : translate(s, &d);
	if (r) {
		answer(s, r);
		return;
	}
	s->with_unit = true;
	atomic_fetch_add_explicit(&q->n_busy, 1, memory_order_relaxed);
	if (q->is_lazy)
		io_pool_use(&q->pool);
	blk_submit(q->lu, &s->blk);
}

/* ---- what the kernel says ---------------------------------------------------------- */

/* Let go of the device. Requests of the unit keep the pool. */
static void release(struct ublk_queue *q)
{
	if (q->is_watched)
		loop_fd_remove(q->loop, &q->watch);
	q->is_watched = false;
	loop_defer_cancel(&q->submit);
	loop_timer_cancel(q->loop, &q->again);
	if (q->descs)
		munmap((void *)(uintptr_t)q->descs, q->n_desc_bytes);
	q->descs = NULL;
	if (q->has_ring)
		io_uring_queue_exit(&q->ring);
	q->has_ring = false;
	closep(&q->watch.fd);
	q->watch.fd = -1;
	closep(&q->fd);
	q->fd = -1;
	for (unsigned k = 0; q->slots && k < q->depth; k++)
		q->slots[k].is_moot = q->slots[k].with_unit;
}

static void command_back(struct ublk_slot *s, int result)
{
	struct ublk_queue *q = s->q;

	if (result == 0) {
		begin(s);
		return;
	}
	/* The disk is gone, or its end has begun. */
	if (!s->is_live)
		return;
	s->is_live = false;
	if (atomic_fetch_sub(&q->n_live, 1) == 1)
		loop_defer(q->loop, &q->submit);
}

static void take(struct ublk_queue *q)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;

	io_uring_for_each_cqe(&q->ring, head, cqe)
	{
		n++;
		if (cqe->user_data < q->depth)
			command_back(&q->slots[cqe->user_data], cqe->res);
	}
	io_uring_cq_advance(&q->ring, n);
}

static void enter(struct ublk_queue *q)
{
	/* Interrupted, or short of memory: what is left is submitted later. */
	(void)io_uring_submit_and_get_events(&q->ring);
	if (io_uring_sq_ready(&q->ring) > 0)
		(void)loop_timer_set(q->loop, &q->again, loop_now_ns(q->loop) + AGAIN_NS);
	take(q);
}

/* False: it is only told of what enter() has dealt with already. */
static bool has_work(struct ublk_queue *q)
{
	return io_uring_cq_ready(&q->ring) > 0 ||
	       (q->is_lazy && IO_URING_READ_ONCE(*q->ring.sq.kflags) & IORING_SQ_TASKRUN);
}

static void ring_ready(struct loop_fd *f, uint32_t events)
{
	struct ublk_queue *q = CONTAINER_OF(f, struct ublk_queue, watch);

	if (has_work(q))
		enter(q);
}

static void submit_run(struct loop_defer *d)
{
	struct ublk_queue *q = CONTAINER_OF(d, struct ublk_queue, submit);

	if (atomic_load(&q->n_live) > 0) {
		enter(q);
		return;
	}
	release(q);
	idle_signal(&q->idle);
}

static void again_fire(struct loop_timer *t)
{
	struct ublk_queue *q = CONTAINER_OF(t, struct ublk_queue, again);

	loop_defer(q->loop, &q->submit);
}

/* ---- life -------------------------------------------------------------------------- */

static void destroy(struct ublk_queue *q)
{
	release(q);
	io_pool_free(&q->pool);
	idle_destroy(&q->idle);
	free(q->slots);
	free(q);
}

static void reap_run(struct loop_defer *d)
{
	destroy(CONTAINER_OF(d, struct ublk_queue, reap));
}

static void on_loop_free(void *arg)
{
	struct ublk_queue *q = arg;

	release(q);
	q->is_orphan = true;
	if (atomic_load(&q->n_busy) == 0)
		destroy(q);
}

static int make_ring(struct ublk_queue *q)
{
	static const unsigned lazy = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
				     IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
	int r = io_uring_queue_init(q->depth, &q->ring, lazy);

	q->is_lazy = r == 0;
	if (r < 0)
		r = io_uring_queue_init(q->depth, &q->ring, IORING_SETUP_R_DISABLED);
	if (r < 0)
		return r;
	q->has_ring = true;
	/* A child that has it would keep the device. */
	(void)io_uring_ring_dontfork(&q->ring);
	q->watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->watch.fd < 0)
		return -errno;
	return io_uring_register_eventfd(&q->ring, q->watch.fd);
}

static int map_descs(struct ublk_queue *q)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at;

	q->n_desc_bytes = (q->depth * sizeof(*q->descs) + page - 1) / page * page;
	at = mmap(NULL, q->n_desc_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, q->fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	q->descs = at;
	(void)madvise(at, q->n_desc_bytes, MADV_DONTFORK);
	return 0;
}

static int make_slots(struct ublk_queue *q)
{
	int r;

	q->slots = calloc(q->depth, sizeof(*q->slots));
	if (!q->slots)
		return -ENOMEM;
	r = io_pool_new(&q->pool, q->loop, (size_t)(q->depth + 1) * q->max_io_bytes, &q->n_busy);
	if (r)
		return r;
	for (unsigned k = 0; k < q->depth; k++)
		q->slots[k] = (struct ublk_slot){.q = q,
						 .tag = (uint16_t)k,
						 .mem = q->pool.mem + (size_t)k * q->max_io_bytes};
	q->scratch = q->pool.mem + (size_t)q->depth * q->max_io_bytes;
	return 0;
}

struct start_call {
	struct ublk_queue *q;
	int result;
};

static void on_loop_start(void *arg)
{
	struct start_call *c = arg;
	struct ublk_queue *q = c->q;

	/* From here the ring is this thread's. (The library's own function is not in 2.3.) */
	if (syscall(SYS_io_uring_register, q->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) <
	    0)
		c->result = -errno;
	else
		c->result = loop_fd_add(q->loop, &q->watch);
	if (c->result)
		return;
	q->is_watched = true;
	for (unsigned k = 0; k < q->depth; k++) {
		q->slots[k].is_live = true;
		push(&q->slots[k], UBLK_IO_FETCH, 0);
	}
}

int ublk_queue_start(struct ublk_queue **ret_queue, const struct ublk_queue_cfg *cfg)
{
	struct start_call c = {.q = calloc(1, sizeof(*c.q))};
	struct ublk_queue *q = c.q;
	int r;

	if (!q) {
		close(cfg->fd);
		return -ENOMEM;
	}
	q->fd = cfg->fd;
	q->loop = cfg->loop;
	q->lu = cfg->lu;
	q->limits = cfg->limits;
	q->plain = cfg->plain;
	q->max_io_bytes = cfg->max_io_bytes;
	idle_init(&q->idle);
	list_init(&q->submit.node);
	list_init(&q->reap.node);
	q->submit.run = submit_run;
	q->reap.run = reap_run;
	q->again.fire = again_fire;
	/* Each signal counts; the number need not be read. */
	q->watch = (struct loop_fd){.fd = -1, .events = EPOLLIN | EPOLLET, .ready = ring_ready};
	q->depth = cfg->depth;
	r = make_slots(q);
	if (r == 0)
		r = map_descs(q);
	if (r == 0)
		r = make_ring(q);
	if (r == 0) {
		atomic_store(&q->n_live, q->depth);
		loop_call(q->loop, on_loop_start, &c);
		r = c.result;
	}
	if (r) {
		ublk_queue_free(q);
		return r;
	}
	*ret_queue = q;
	return 0;
}

struct limits_call {
	struct ublk_queue *q;
	const struct blk_limits *limits;
};

static void on_loop_limits(void *arg)
{
	const struct limits_call *c = arg;

	c->q->limits = *c->limits;
}

void ublk_queue_changed(struct ublk_queue *q, const struct blk_limits *limits)
{
	struct limits_call c = {.q = q, .limits = limits};

	loop_call(q->loop, on_loop_limits, &c);
}

static void on_loop_cut(void *arg)
{
	struct ublk_queue *q = arg;

	if (q->is_cut)
		return;
	q->is_cut = true;
	if (!q->has_ring)
		return;
	for (unsigned k = 0; k < q->depth; k++) {
		struct ublk_slot *s = &q->slots[k];

		if (!s->with_unit || s->is_moot)
			continue;
		s->is_moot = true;
		answer(s, -EIO);
	}
}

void ublk_queue_cut(struct ublk_queue *q)
{
	loop_call(q->loop, on_loop_cut, q);
}

bool ublk_queue_has_ended(const struct ublk_queue *q)
{
	return atomic_load(&q->n_live) == 0;
}

int ublk_queue_wait_ended(struct ublk_queue *q, uint64_t deadline_ns)
{
	return idle_wait_zero(&q->idle, &q->n_live, deadline_ns);
}

static void on_loop_stop(void *arg)
{
	release(arg);
}

void ublk_queue_stop(struct ublk_queue *q)
{
	loop_call(q->loop, on_loop_stop, q);
}

struct ublk_queue *ublk_queue_free(struct ublk_queue *q)
{
	if (q)
		loop_call(q->loop, on_loop_free, q);
	return NULL;
}
