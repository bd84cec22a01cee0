/* SPDX-License-Identifier: MIT */
/*
 * Reactors: the threads that move data
 *
 * Each runs one event loop. Everything of one target, whatever session it came
 * through, is on one of them, so that all paths of a unit are touched by one
 * thread.
 */
#ifndef SERVICE_REACTOR_H
#define SERVICE_REACTOR_H

#include "io/loop.h"

struct reactors;

#define REACTORS_MAX 64

/* 0 or -errno. */
int reactors_start(struct reactors **ret, unsigned n);
/* Nothing may be left on the loops. NULL is fine; returns NULL. */
struct reactors *reactors_stop(struct reactors *r);
/* The loop for a target; letter case of the name does not count. */
struct loop *reactors_loop(const struct reactors *r, const char *target_name);

#endif
