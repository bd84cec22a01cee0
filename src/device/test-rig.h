/* SPDX-License-Identifier: MIT */
/*
 * A bench for backends: a unit in memory, a loop in its own thread, and the users
 * that a device may have
 *
 * The test program runs as a child of itself, in a directory of its own; whatever
 * way the child ends, the parent takes away what it left.
 */
#ifndef DEVICE_TEST_RIG_H
#define DEVICE_TEST_RIG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "device/backend.h"
#include "device/holders.h"
#include "io/loop.h"

#define UNIT_BYTES (UINT64_C(64) << 20)

/* The unit behind blk_submit(). What the test sets and reads while it runs is atomic. */
struct lu {
	struct loop *loop;
	struct blk_limits limits;
	uint8_t *mem;
	atomic_bool is_stuck;                  /* nothing is answered */
	atomic_int write_result, flush_result; /* -errno to fail with */
	atomic_uint delay_us; /* at most; random, so that requests overtake each other */
	atomic_uint n_reads, n_writes, n_flushes, n_zeroes, n_discards, n_fua;
	atomic_uint n_zeroes_no_unmap;
	atomic_uint n_bad; /* requests that broke the rules of blk_submit() */
	atomic_uint n_inflight, n_inflight_max;
	struct list waiting;
	struct loop_timer timer;
	uint64_t seed;
};

struct rig {
	struct loop *loop;
	pthread_t thread;
	struct lu unit;
	const struct blk_backend *backend;
	struct blk_dev *dev;
	char dir[128]; /* of this rig */
	char name[32];
	const char *identity; /* of the unit; NULL: it has none */
	bool user_mode;
};

/* Starts the loop and a device on a unit of UNIT_BYTES; asserts that it works. */
void rig_start(struct rig *g, const struct blk_backend *backend, uint32_t block_bytes);
/* The same with the unit as the test wants it: between the two calls. */
void rig_init(struct rig *g, const struct blk_backend *backend, uint32_t block_bytes);
int rig_present(struct rig *g);
/* @n devices, at most 64, on one unit and one loop, each written to and stopped. */
void rig_many(struct rig *g, const struct blk_backend *backend, unsigned n);
/* Takes all away by force; safe at any time, twice too. */
void rig_end(struct rig *g);

const char *rig_path(const struct rig *g);
/* A device of the unit changes: what changed() is told. */
int rig_changed(struct rig *g, uint64_t n_bytes, bool read_only);

/* Unsticks the unit: what waited is answered. */
void rig_unstick(struct rig *g);

/*
 * Runs a shell command line with P = the device's path, U = its URI and D = a
 * directory for the test in the environment, at most 60 s. Return: its exit status.
 */
__attribute__((format(printf, 2, 3))) int rig_sh(const struct rig *g, const char *format, ...);

/* A process that uses something: "open", "excl", "map", "write" (keeps it open for writing). */
struct user {
	pid_t pid;
	int to_fd, from_fd;
	char line[256]; /* its first line, which says it is ready */
};
void user_start(struct user *u, const char *what, const char *path);
void user_end(struct user *u);

/* True when one of @h is of @kind and has @where in its where. */
const struct holder *holder_find(const struct holders *h, enum holder_kind kind, const char *where);
/* Waits for at most 10 s until @is_true(arg). */
bool wait_until(bool (*is_true)(void *arg), void *arg);
unsigned count_fds(void);

/*
 * main() of a kernel test: @tests runs the groups, unless backend @needed cannot work
 * here. @serve, optional: the role of a service that will be killed.
 */
int rig_main(int argc, char **argv, const struct blk_backend *needed, int (*tests)(void),
	     int (*serve)(const char *dir));

#endif
