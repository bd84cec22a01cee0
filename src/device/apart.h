/* SPDX-License-Identifier: MIT */
/*
 * Steps apart: in a process of their own
 *
 * A thread of ours that waits in the kernel for I/O which another thread of ours
 * serves cannot be killed: the kernel would wait for an answer that cannot come any
 * more, because the connection is closed only when the last thread has ended. So
 * whatever may do I/O on a device of ours is done by a child. When the service is
 * killed its connections close, the child's I/O fails, and it ends too. And the wait
 * for a child can be given a bound, which a wait in the kernel cannot.
 */
#ifndef DEVICE_APART_H
#define DEVICE_APART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define APART_FD 3 /* the descriptor that a child was given */

struct apart {
	/*
	 * Runs in the child, on a copy of the process of which only this thread is left
	 * and no descriptor but APART_FD (and the standard ones); may change *arg. Returns
	 * 0 or -errno.
	 */
	int (*run)(void *arg);
	void *arg; /* of @n_arg bytes; no pointers to what it changes */
	size_t n_arg;
	int fd;    /* -1: none */
	bool give; /* @fd is closed here in any case, before the child runs: it has the last of it
		    */
};

/**
 * apart_run() - run a step in a child and wait for it; control threads
 *
 * Return: what the step returned, with *arg as it left it; -ETIMEDOUT: it goes on by
 * itself, *arg is untouched; or -errno when there could be no child.
 */
int apart_run(const struct apart *a, uint64_t deadline_ns);

/*
 * In the child: from here on there is no way back. False when nobody waits any more:
 * then the step must leave things as they were.
 */
bool apart_commit(void);

/* True for a child of ours; its descriptors are ours. */
bool apart_is_child(pid_t pid);

#endif
