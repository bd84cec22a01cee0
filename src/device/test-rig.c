/* SPDX-License-Identifier: MIT */
/*
 * A bench for backends
 */
#include "device/test-rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

extern char **environ;

#define TESTS_S 240 /* unless RIG_SECONDS says how long */

/* ---- the unit ------------------------------------------------------------------ */

static bool is_valid(const struct lu *lu, const struct blk_req *r)
{
	const uint32_t block = lu->limits.block_bytes;
	uint64_t sum = 0;

	if (r->op == BLK_FLUSH)
		return true;
	for (unsigned k = 0; k < r->n_iov; k++)
		sum += r->iov[k].iov_len;
	return r->n_bytes > 0 && r->off_bytes % block == 0 && r->n_bytes % block == 0 &&
	       r->off_bytes + r->n_bytes <= lu->limits.n_bytes &&
	       sum == (r->op == BLK_READ || r->op == BLK_WRITE ? r->n_bytes : 0);
}

static int perform(struct lu *lu, struct blk_req *r)
{
	uint8_t *at = lu->mem + r->off_bytes;

	switch (r->op) {
	case BLK_READ:
		atomic_fetch_add(&lu->n_reads, 1);
		for (unsigned k = 0; k < r->n_iov; at += r->iov[k++].iov_len)
			memcpy(r->iov[k].iov_base, at, r->iov[k].iov_len);
		return 0;
	case BLK_WRITE:
		atomic_fetch_add(&lu->n_writes, 1);
		if (r->flags & BLK_F_FUA)
			atomic_fetch_add(&lu->n_fua, 1);
		if (lu->limits.read_only || atomic_load(&lu->write_result))
			return lu->limits.read_only ? -EROFS : atomic_load(&lu->write_result);
		for (unsigned k = 0; k < r->n_iov; at += r->iov[k++].iov_len)
			memcpy(at, r->iov[k].iov_base, r->iov[k].iov_len);
		return 0;
	case BLK_FLUSH: atomic_fetch_add(&lu->n_flushes, 1); return atomic_load(&lu->flush_result);
	case BLK_DISCARD: atomic_fetch_add(&lu->n_discards, 1); return 0;
	case BLK_WRITE_ZEROES:
		atomic_fetch_add(&lu->n_zeroes, 1);
		if (r->flags & BLK_F_NO_UNMAP)
			atomic_fetch_add(&lu->n_zeroes_no_unmap, 1);
		memset(at, 0, r->n_bytes);
		return 0;
	}
	return -EINVAL;
}

static void answer(struct lu *lu, struct blk_req *r)
{
	atomic_fetch_sub(&lu->n_inflight, 1);
	r->result = perform(lu, r);
	r->done(r);
}

static uint64_t random_of(struct lu *lu)
{
	lu->seed = lu->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return lu->seed >> 33;
}

static void timer_fire(struct loop_timer *t)
{
	struct lu *lu = CONTAINER_OF(t, struct lu, timer);
	struct blk_req *r, *tmp;
	struct list now;

	list_init(&now);
	list_for_each_safe (r, tmp, &lu->waiting, node) {
		/* About half of them now, the others in a later round. */
		if (atomic_load(&lu->is_stuck) || random_of(lu) % 2)
			continue;
		list_remove(&r->node);
		list_append(&now, &r->node);
	}
	while ((r = list_first(&now, struct blk_req, node))) {
		list_remove(&r->node);
		answer(lu, r);
	}
	if (!list_empty(&lu->waiting) && !lu->timer.heap_index_plus_1)
		(void)loop_timer_set(
			lu->loop, t,
			loop_now_ns(lu->loop) +
				(atomic_load(&lu->is_stuck)
					 ? 5000
					 : random_of(lu) % (atomic_load(&lu->delay_us) + 1)) *
					1000);
}

void blk_submit(struct lu *lu, struct blk_req *r)
{
	unsigned n = atomic_fetch_add(&lu->n_inflight, 1) + 1;

	if (n > atomic_load(&lu->n_inflight_max))
		atomic_store(&lu->n_inflight_max, n);
	if (!is_valid(lu, r)) {
		atomic_fetch_add(&lu->n_bad, 1);
		atomic_fetch_sub(&lu->n_inflight, 1);
		r->result = -EINVAL;
		r->done(r);
		return;
	}
	if (!atomic_load(&lu->is_stuck) && atomic_load(&lu->delay_us) == 0) {
		answer(lu, r);
		return;
	}
	list_append(&lu->waiting, &r->node);
	if (!lu->timer.heap_index_plus_1)
		(void)loop_timer_set(lu->loop, &lu->timer, loop_now_ns(lu->loop) + 1000);
}

static void unit_init(struct lu *lu, struct loop *loop, uint32_t block_bytes)
{
	lu->loop = loop;
	lu->limits = (struct blk_limits){
		.n_bytes = UNIT_BYTES,
		.block_bytes = block_bytes,
		.phys_block_bytes = 4096,
		.max_transfer_bytes = 1 << 20,
		.can_discard = true,
		.can_write_zeroes = true,
		.discard_zeroes = true,
		.write_cache = true,
	};
	/* Room to grow. */
	lu->mem = mmap(NULL, 2 * UNIT_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(lu->mem, MAP_FAILED);
	list_init(&lu->waiting);
	lu->timer.fire = timer_fire;
	lu->seed = 12345;
}

/* ---- the rig -------------------------------------------------------------------- */

static void *loop_thread(void *arg)
{
	(void)loop_run(arg);
	return NULL;
}

void rig_init(struct rig *g, const struct blk_backend *backend, uint32_t block_bytes)
{
	static unsigned count;
	const char *base = getenv("RIG_DIR");

	memset(g, 0, sizeof(*g));
	assert_non_null(base);
	g->backend = backend;
	snprintf(g->dir, sizeof(g->dir), "%s/%u", base, count++);
	snprintf(g->name, sizeof(g->name), "s1-lun0");
	assert_return_code(mkdir(g->dir, 0755), errno);
	assert_int_equal(loop_new(&g->loop), 0);
	unit_init(&g->unit, g->loop, block_bytes);
	assert_int_equal(pthread_create(&g->thread, NULL, loop_thread, g->loop), 0);
}

int rig_present(struct rig *g)
{
	const struct blk_dev_cfg cfg = {
		.name = g->name,
		.devices_dir = g->dir,
		.describe = "a unit in memory",
		.loop = g->loop,
		.lu = &g->unit,
		.limits = g->unit.limits,
		.user_mode = g->user_mode,
		.identity = g->identity,
	};

	return g->backend->start(&g->dev, &cfg);
}

void rig_start(struct rig *g, const struct blk_backend *backend, uint32_t block_bytes)
{
	rig_init(g, backend, block_bytes);
	assert_int_equal(rig_present(g), 0);
}

void rig_many(struct rig *g, const struct blk_backend *backend, unsigned n)
{
	struct blk_dev *devs[64] = {NULL};
	struct blk_dev_cfg cfg;
	char name[16];

	assert_true(n <= ARRAY_SIZE(devs));
	rig_init(g, backend, 512);
	cfg = (struct blk_dev_cfg){
		.name = name,
		.devices_dir = g->dir,
		.describe = "one of many",
		.loop = g->loop,
		.lu = &g->unit,
		.limits = g->unit.limits,
	};
	for (unsigned k = 0; k < n; k++) {
		snprintf(name, sizeof(name), "lun%u", k);
		assert_int_equal(backend->start(&devs[k], &cfg), 0);
	}
	for (unsigned k = 0; k < n; k++) {
		const int fd = open(backend->path(devs[k]), O_RDWR);

		assert_return_code(fd, errno);
		assert_int_equal(pwrite(fd, &k, sizeof(k), k * 4096), sizeof(k));
		assert_int_equal(fsync(fd), 0);
		close(fd);
		assert_int_equal(*(unsigned *)(void *)(g->unit.mem + k * 4096), k);
	}
	for (unsigned k = 0; k < n; k++) {
		assert_int_equal(backend->close_gate(devs[k]), 0);
		assert_int_equal(backend->flush(devs[k]), 0);
		assert_int_equal(backend->stop(devs[k], false, 10000), 0);
		assert_null(backend->free(devs[k]));
	}
}

static bool is_idle(void *arg)
{
	struct rig *g = arg;

	return atomic_load(&g->unit.n_inflight) == 0;
}

static void on_loop_timer_off(void *arg)
{
	struct rig *g = arg;

	loop_timer_cancel(g->loop, &g->unit.timer);
}

void rig_end(struct rig *g)
{
	if (!g->loop)
		return;
	if (g->dev) {
		(void)g->backend->stop(g->dev, true, 2000);
		g->dev = g->backend->free(g->dev);
	}
	rig_unstick(g);
	(void)wait_until(is_idle, g);
	loop_call(g->loop, on_loop_timer_off, g);
	loop_stop(g->loop);
	pthread_join(g->thread, NULL);
	/* An orphan's last rites. */
	(void)loop_turn(g->loop, 0);
	(void)loop_turn(g->loop, 0);
	g->loop = loop_free(g->loop);
	munmap(g->unit.mem, 2 * UNIT_BYTES);
}

const char *rig_path(const struct rig *g)
{
	return g->backend->path(g->dev);
}

struct limits_call {
	struct rig *g;
	uint64_t n_bytes;
	bool read_only;
};

static void on_loop_limits(void *arg)
{
	struct limits_call *c = arg;

	c->g->unit.limits.n_bytes = c->n_bytes;
	c->g->unit.limits.read_only = c->read_only;
}

int rig_changed(struct rig *g, uint64_t n_bytes, bool read_only)
{
	struct limits_call c = {.g = g, .n_bytes = n_bytes, .read_only = read_only};
	struct blk_limits limits;

	loop_call(g->loop, on_loop_limits, &c);
	limits = g->unit.limits;
	return g->backend->changed(g->dev, &limits);
}

static void on_loop_unstick(void *arg)
{
	struct rig *g = arg;

	atomic_store(&g->unit.is_stuck, false);
	if (!list_empty(&g->unit.waiting))
		timer_fire(&g->unit.timer);
}

void rig_unstick(struct rig *g)
{
	loop_call(g->loop, on_loop_unstick, g);
}

int rig_sh(const struct rig *g, const char *format, ...)
{
	char text[2048], line[2300];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	setenv("P", g->dev ? rig_path(g) : "", 1);
	setenv("U", g->dev && g->backend->uri ? g->backend->uri(g->dev) : "", 1);
	setenv("D", g->dir, 1);
	setenv("RIG_COMMAND", text, 1);
	snprintf(line, sizeof(line), "exec timeout -k 5 60 sh -c \"$RIG_COMMAND\" >%s/log 2>&1",
		 g->dir);
	status = system(line);
	if (status != 0 && !strstr(text, "!quiet")) {
		fprintf(stderr, "# status %d of: %s\n", WEXITSTATUS(status), text);
		snprintf(line, sizeof(line), "tail -5 %s/log | sed 's/^/#   /' >&2", g->dir);
		(void)!system(line);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* ---- users of a device ------------------------------------------------------------ */

void user_start(struct user *u, const char *what, const char *path)
{
	char *argv[] = {(char *)(uintptr_t) "rig", (char *)(uintptr_t) "--user",
			(char *)(uintptr_t)what, (char *)(uintptr_t)path, NULL};
	posix_spawn_file_actions_t actions;
	int to[2], from[2];
	ssize_t n;

	memset(u, 0, sizeof(*u));
	assert_return_code(pipe2(to, O_CLOEXEC), errno);
	assert_return_code(pipe2(from, O_CLOEXEC), errno);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, to[0], 0);
	posix_spawn_file_actions_adddup2(&actions, from[1], 1);
	assert_int_equal(posix_spawn(&u->pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(to[0]);
	close(from[1]);
	u->to_fd = to[1];
	u->from_fd = from[0];
	n = read(u->from_fd, u->line, sizeof(u->line) - 1);
	assert_true(n > 0);
	u->line[strcspn(u->line, "\n")] = '\0';
}

void user_end(struct user *u)
{
	if (u->pid <= 0)
		return;
	/* First the signal: it shall not come to an end of its own. */
	kill(u->pid, SIGKILL);
	(void)waitpid(u->pid, NULL, 0);
	close(u->to_fd);
	close(u->from_fd);
	u->pid = 0;
}

static int user_main(const char *what, const char *path)
{
	const int mode = strcmp(what, "open") == 0 ? O_RDONLY : O_RDWR;
	int fd = open(path, mode | (strcmp(what, "excl") == 0 ? O_EXCL : 0));
	char byte;

	if (fd < 0) {
		printf("%s\n", strerror(errno));
		return 1;
	}
	if (strcmp(what, "map") == 0) {
		char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		if (at == MAP_FAILED) {
			printf("%s\n", strerror(errno));
			return 1;
		}
		strcpy(at, "mapped");
		close(fd);
	}
	printf("ready\n");
	fflush(stdout);
	return read(0, &byte, 1) < 0;
}

/* ---- helpers ------------------------------------------------------------------------ */

const struct holder *holder_find(const struct holders *h, enum holder_kind kind, const char *where)
{
	for (size_t k = 0; k < h->n; k++)
		if (h->v[k].kind == kind && strstr(h->v[k].where, where))
			return &h->v[k];
	return NULL;
}

bool wait_until(bool (*is_true)(void *arg), void *arg)
{
	const uint64_t until_ns = clock_now_ns() + 10 * NS_PER_S;
	const struct timespec ts = {.tv_nsec = 1000000};

	while (!is_true(arg)) {
		if (clock_now_ns() > until_ns)
			return false;
		nanosleep(&ts, NULL);
	}
	return true;
}

unsigned count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* ---- the parent ----------------------------------------------------------------------- */

static void say_nothing(void *arg, const char *what)
{
}

/* Whatever is mounted below @dir, and what is attached to it. */
static void clean_up(const char *dir)
{
	char line[512];

	for (int k = 0; k < 4; k++) {
		snprintf(line, sizeof(line),
			 "awk '{print $5}' /proc/self/mountinfo | grep '^%s/' | grep -v /s1-lun | "
			 "tac | "
			 "xargs -r -n1 umount -l 2>/dev/null",
			 dir);
		(void)!system(line);
	}
	snprintf(line, sizeof(line), "%s", dir);
	for (unsigned k = 0; k < 64; k++) {
		snprintf(line, sizeof(line), "%s/%u", dir, k);
		(void)blk_backend_loop.sweep(line, say_nothing, NULL);
		(void)blk_backend_give_up(line, say_nothing, NULL);
	}
	snprintf(line, sizeof(line), "rm -rf --one-file-system %s", dir);
	(void)!system(line);
}

static int parent(const char *self)
{
	char dir[] = "/tmp/rig-XXXXXX";
	const struct timespec step = {.tv_nsec = 20000000};
	char *argv[] = {(char *)(uintptr_t)self, (char *)(uintptr_t) "--tests", NULL};
	const char *seconds = getenv("RIG_SECONDS");
	const unsigned limit_s = seconds ? (unsigned)strtoul(seconds, NULL, 10) : TESTS_S;
	int status = 0;
	pid_t pid;

	if (!mkdtemp(dir))
		return 1;
	setenv("RIG_DIR", dir, 1);
	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ))
		return 1;
	for (unsigned k = 0; waitpid(pid, &status, WNOHANG) == 0; k++) {
		if (k == limit_s * 50)
			kill(pid, SIGKILL);
		nanosleep(&step, NULL);
	}
	clean_up(dir);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int rig_main(int argc, char **argv, const struct blk_backend *needed, int (*tests)(void),
	     int (*serve)(const char *dir))
{
	char why[256];

	if (argc == 4 && strcmp(argv[1], "--user") == 0) {
		if (strcmp(argv[2], "serve") == 0)
			return serve ? serve(argv[3]) : 1;
		return user_main(argv[2], argv[3]);
	}
	if (argc == 2 && strcmp(argv[1], "--tests") == 0)
		return tests();
	if (needed->probe(false, why, sizeof(why)) < 0) {
		printf("skipped: %s\n", why);
		return 77;
	}
	return parent(argv[0]);
}
