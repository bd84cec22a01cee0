/* SPDX-License-Identifier: MIT */
/*
 * Memory that secrets pass through without our doing
 *
 * JSON messages carry them in and SQLite keeps them. Neither wipes what it gives back,
 * nor copies that it makes on the way, so both are given an allocator that does. And
 * whoever calls leaves things on the stack: a compiler keeps values there, and the
 * dynamic linker the registers.
 */
#ifndef SERVICE_MEMORY_H
#define SERVICE_MEMORY_H

/* Before the first thread, and before either library is used. */
void memory_wipe_libraries(void);
/* What calls that have returned have left on this thread's stack, 96 KiB of it. */
void memory_wipe_stack(void);

#endif
