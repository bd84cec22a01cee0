/* SPDX-License-Identifier: MIT */
#include "cli/list.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define TRIES_MAX 8 /* of a list that grows each time */

static bool has_list(ISDSC_STATUS status)
{
	return status == ERROR_SUCCESS || status == ISDSC_OPERATION_NOT_ALL_SUCCESS;
}

ISDSC_STATUS list_get(list_fn call, const void *arg, size_t unit_bytes, ULONG n_first,
		      void **ret_buffer, ULONG *ret_count)
{
	CLEANUP(freep) void *buffer = NULL;
	ISDSC_STATUS status = ERROR_INSUFFICIENT_BUFFER;
	ULONG n_room = n_first;
	ULONG count = 0;

	*ret_buffer = NULL;
	*ret_count = 0;
	for (int i = 0; i < TRIES_MAX && status == ERROR_INSUFFICIENT_BUFFER; i++) {
		ULONG size = n_room;

		free(buffer);
		/* NULs behind it: a list of names ends whatever was written. */
		buffer = n_room ? calloc(1, n_room * unit_bytes + 2) : NULL;
		if (n_room && !buffer)
			return ERROR_NOT_ENOUGH_MEMORY;
		count = 0;
		status = call(arg, &size, &count, buffer);
		if (status == ERROR_INSUFFICIENT_BUFFER && size <= n_room)
			return ISDSC_NON_SPECIFIC_ERROR;
		n_room = size;
	}
	if (has_list(status) && buffer && count > 0) {
		*ret_buffer = TAKE(buffer);
		*ret_count = count;
	}
	return status;
}

const char *name_next(const char *names, const char *name)
{
	const char *next = name ? name + strlen(name) + 1 : names;

	return next && *next ? next : NULL;
}

static ISDSC_STATUS sessions_call(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	(void)arg;
	return GetIScsiSessionListA(size, count, buffer);
}

ISDSC_STATUS session_list_get(ISCSI_SESSION_INFOA **ret, ULONG *ret_n)
{
	void *buffer;
	ISDSC_STATUS status = list_get(sessions_call, NULL, 1, 0, &buffer, ret_n);

	*ret = buffer;
	return status;
}
