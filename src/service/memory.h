/* SPDX-License-Identifier: MIT */
/*
 * Memory of libraries that secrets pass through
 *
 * JSON messages carry them in and SQLite keeps them. Neither wipes what it gives back,
 * nor copies that it makes on the way, so both are given an allocator that does.
 *
 * Before the first thread, and before either library is used.
 */
#ifndef SERVICE_MEMORY_H
#define SERVICE_MEMORY_H

void memory_wipe_libraries(void);

#endif
