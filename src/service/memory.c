/* SPDX-License-Identifier: MIT */
#include "service/memory.h"

#include <jansson.h>
#include <malloc.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define ROUND       8
#define STACK_BYTES (96u << 10)

static void wiping_free(void *p)
{
	if (!p)
		return;
	explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

/* ---- SQLite's table of functions ------------------------------------------------ */

static void *sql_malloc(int n)
{
	return malloc((size_t)n);
}

static int sql_size(void *p)
{
	return p ? (int)malloc_usable_size(p) : 0;
}

static void *sql_realloc(void *p, int n)
{
	void *to = malloc((size_t)n);
	int n_old = sql_size(p);

	if (!to)
		return NULL;
	memcpy(to, p, (size_t)(n_old < n ? n_old : n));
	wiping_free(p);
	return to;
}

static int sql_roundup(int n)
{
	return (n + ROUND - 1) & -ROUND;
}

static int sql_init(void *arg)
{
	(void)arg;
	return SQLITE_OK;
}

static void sql_shutdown(void *arg)
{
	(void)arg;
}

__attribute__((noinline)) void memory_wipe_stack(void)
{
	char below[STACK_BYTES];

	explicit_bzero(below, sizeof(below));
}

void memory_wipe_libraries(void)
{
	static const sqlite3_mem_methods methods = {
		.xMalloc = sql_malloc,
		.xFree = wiping_free,
		.xRealloc = sql_realloc,
		.xSize = sql_size,
		.xRoundup = sql_roundup,
		.xInit = sql_init,
		.xShutdown = sql_shutdown,
	};

	json_set_alloc_funcs(malloc, wiping_free);
	sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
	/* pages and small pieces one by one, not out of stocks that are never wiped */
	sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
	sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
}
