/* SPDX-License-Identifier: MIT */
#include "device/io_pool.h"

#include <errno.h>
#include <sys/mman.h>

#define TRIM_AFTER_NS (30 * NS_PER_S)

static void trim_fire(struct loop_timer *t)
{
	struct io_pool *p = CONTAINER_OF(t, struct io_pool, trim);

	/* Fails for locked memory, which then simply stays. */
	if (atomic_load(p->n_busy) == 0)
		(void)madvise(p->mem, p->n_bytes, MADV_DONTNEED);
	p->is_trimmed = true;
}

int io_pool_new(struct io_pool *p, struct loop *loop, size_t n_bytes, const atomic_uint *n_busy)
{
	void *mem = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*p = (struct io_pool){
		.loop = loop, .n_bytes = n_bytes, .n_busy = n_busy, .is_trimmed = true};
	p->trim.fire = trim_fire;
	if (mem == MAP_FAILED)
		return -errno;
	p->mem = mem;
	/* Children have no use for it, and would make us copy it. */
	(void)madvise(mem, n_bytes, MADV_DONTFORK);
	return 0;
}

void io_pool_free(struct io_pool *p)
{
	if (!p->mem)
		return;
	loop_timer_cancel(p->loop, &p->trim);
	munmap(p->mem, p->n_bytes);
	p->mem = NULL;
}

void io_pool_use(struct io_pool *p)
{
	if (p->is_trimmed &&
	    loop_timer_set(p->loop, &p->trim, loop_now_ns(p->loop) + TRIM_AFTER_NS) == 0)
		p->is_trimmed = false;
}
