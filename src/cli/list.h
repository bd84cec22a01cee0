/* SPDX-License-Identifier: MIT */
/*
 * Lists of the library: asked for their size, then for themselves, and again when
 * they have grown in between
 */
#ifndef CLI_LIST_H
#define CLI_LIST_H

#include <stddef.h>

#include "iscsidsc.h"

/* One call of the library. Without a count of its own it sets *@count to *@size. */
typedef ISDSC_STATUS (*list_fn)(const void *arg, ULONG *size, ULONG *count, void *buffer);

/**
 * list_get() - the whole list
 * @unit_bytes:  what the size counts: 1, or the size of an element
 * @n_first:     units to begin with; 0 asks for the size first
 * @ret_buffer:  NULL when the list is empty; free it
 *
 * Return: what the last call said. The list is there with 0, and with
 * ISDSC_OPERATION_NOT_ALL_SUCCESS.
 */
ISDSC_STATUS list_get(list_fn call, const void *arg, size_t unit_bytes, ULONG n_first,
		      void **ret_buffer, ULONG *ret_count);

/* The names of a list of names, one after the other; NULL begins, NULL ends. */
const char *name_next(const char *names, const char *name);

ISDSC_STATUS session_list_get(ISCSI_SESSION_INFOA **ret, ULONG *ret_n);

#endif
