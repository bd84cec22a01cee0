/* SPDX-License-Identifier: MIT */
/*
 * Ownership by attribute
 *
 * CLEANUP(f) runs f on the variable when it leaves scope; TAKE(p) hands the
 * value over and leaves the variable empty, so that the clean-up does nothing.
 * One function uses either this or goto, never both.
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLEANUP(f) __attribute__((cleanup(f)))

#define TAKE(p)                            \
	({                                 \
		__typeof__(p) take_ = (p); \
		(p) = NULL;                \
		take_;                     \
	})

/* The same for a descriptor, whose empty value is -1. */
#define TAKE_FD(fd)               \
	({                        \
		int take_ = (fd); \
		(fd) = -1;        \
		take_;            \
	})

/* freep() - free() for CLEANUP: takes the address of a pointer of any type. */
static inline void freep(void *p)
{
	free(*(void **)p);
}

/* wipe_free() - free() for what must not be found in memory afterwards. NULL is fine. */
static inline void wipe_free(void *p, size_t n)
{
	if (p)
		explicit_bzero(p, n);
	free(p);
}

/* closep() - close() for CLEANUP: a negative descriptor is left alone. */
static inline void closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define ARRAY_SIZE(a)                 (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, type, member) ((type *)((char *)(p) - __builtin_offsetof(type, member)))

#endif
