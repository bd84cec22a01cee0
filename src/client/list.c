/* SPDX-License-Identifier: MIT */
/*
 * Lists in the caller's buffer
 *
 * All three kinds measure first, which also finds every mistake in the reply, and
 * touch the buffer only when everything fits. A need is therefore always larger
 * than the room that was too small.
 */
#include "client/client.h"

#include <string.h>

static void size_take(struct args *a, void *size, const char *what, ULONG *ret_room)
{
	args_want(a, size, what);
	if (!size)
		return;
	*ret_room = ulong_get(size);
	ulong_put(size, 0);
}

void args_list(struct args *a, struct list *l, enum form form, void *buffer, void *size)
{
	*l = (struct list){.form = form, .buffer = buffer, .size = size};
	size_take(a, size, "size", &l->n_room);
	if (!buffer)
		l->n_room = 0;
}

void args_list_counted(struct args *a, struct list *l, enum form form, void *buffer, void *size,
		       void *count)
{
	ULONG ignored;

	args_list(a, l, form, buffer, size);
	size_take(a, count, "count", &ignored);
	l->count = count;
}

/* Writes the numbers back. */
static ISDSC_STATUS list_fits(struct list *l, uint64_t need, size_t count)
{
	if (need > UINT32_MAX)
		return detail_fail(ERROR_NOT_ENOUGH_MEMORY, "The list is too long");
	ulong_put(l->size, (ULONG)need);
	if (l->count)
		ulong_put(l->count, (ULONG)count);
	return need > l->n_room ? ERROR_INSUFFICIENT_BUFFER : ERROR_SUCCESS;
}

static json_t *list_of(json_t *reply, const char *key)
{
	json_t *list = json_object_get(reply, key);

	if (!json_is_array(list))
		detail_fail_reply("list", key);
	return json_is_array(list) ? list : NULL;
}

ISDSC_STATUS list_names(struct list *l, json_t *reply, const char *key)
{
	json_t *names = list_of(reply, key);
	size_t unit = form_unit(l->form);
	uint8_t *p = l->buffer;
	uint64_t need = 1;
	ISDSC_STATUS status;
	json_t *name;
	size_t i;

	if (!names)
		return ISDSC_NON_SPECIFIC_ERROR;
	json_array_foreach(names, i, name)
	{
		const char *text = json_string_value(name);
		long n;

		/* an empty name would look like the end of the list */
		if (!text || !*text)
			return detail_fail_reply("list", key);
		n = text_write(l->form, NULL, TEXT_MAX, text);
		if (n < 0)
			return detail_fail(ERROR_INVALID_PARAMETER, "%s: a name does not fit", key);
		need += (uint64_t)n;
	}
	if (json_array_size(names) == 0)
		need = 2;
	status = list_fits(l, need, 0);
	if (status)
		return status;
	json_array_foreach(names, i, name) p +=
		(size_t)text_write(l->form, p, TEXT_MAX, json_string_value(name)) * unit;
	memset(p, 0, json_array_size(names) == 0 ? 2 * unit : unit);
	return ERROR_SUCCESS;
}

/* Both passes over the records; with @tail->base they are stored. */
static ISDSC_STATUS records_write(struct list *l, const struct record *rec, json_t *list,
				  struct tail *tail)
{
	size_t size = rec->size[l->form];
	uint8_t scratch[RECORD_BYTES_MAX];
	json_t *object;
	size_t i;

	tail->n_used = (uint64_t)json_array_size(list) * size;
	json_array_foreach(list, i, object)
	{
		ISDSC_STATUS status = record_write(l->form, rec, object, scratch, tail);

		if (status)
			return status;
		if (tail->base)
			memcpy(tail->base + i * size, scratch, size);
	}
	return ERROR_SUCCESS;
}

static ISDSC_STATUS list_records(struct list *l, const struct record *rec, json_t *reply,
				 const char *key, bool in_bytes)
{
	json_t *list = list_of(reply, key);
	struct tail tail = {0};
	ISDSC_STATUS status;

	if (!list)
		return ISDSC_NON_SPECIFIC_ERROR;
	status = records_write(l, rec, list, &tail);
	if (status)
		return status;
	status =
		list_fits(l, in_bytes ? tail.n_used : json_array_size(list), json_array_size(list));
	if (status || json_array_size(list) == 0)
		return status;
	tail.base = l->buffer;
	return records_write(l, rec, list, &tail);
}

ISDSC_STATUS list_elements(struct list *l, const struct record *rec, json_t *reply, const char *key)
{
	return list_records(l, rec, reply, key, false);
}

ISDSC_STATUS list_bytes(struct list *l, const struct record *rec, json_t *reply, const char *key)
{
	return list_records(l, rec, reply, key, true);
}
