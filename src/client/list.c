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

ISDSC_STATUS list_fits(struct list *l, uint64_t need, size_t count)
{
	if (need > UINT32_MAX)
		return detail_fail(ERROR_NOT_ENOUGH_MEMORY, "The list is too long");
	ulong_put(l->size, (ULONG)need);
	if (l->count)
		ulong_put(l->count, (ULONG)count);
	return need > l->n_room ? ERROR_INSUFFICIENT_BUFFER : ERROR_SUCCESS;
}

json_t *list_of(json_t *reply, const char *key)
{
	json_t *list = json_object_get(reply, key);

	if (!json_is_array(list))
		detail_fail_reply("list", key);
	return json_is_array(list) ? list : NULL;
}

/* Characters of all the names, each with its terminator. */
static ISDSC_STATUS names_measure(struct list *l, json_t *names, const char *key, size_t n_max,
				  uint64_t *ret_n)
{
	uint64_t n_all = 0;
	json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
	{
		const char *text = json_string_value(name);
		long n;

		/* an empty name would look like the end of the list */
		if (!text || !*text)
			return detail_fail_reply("list", key);
		n = text_write(l->form, NULL, n_max, text);
		if (n < 0)
			return detail_fail(ERROR_INVALID_PARAMETER, "%s: a name does not fit", key);
		n_all += (uint64_t)n;
	}
	*ret_n = n_all;
	return ERROR_SUCCESS;
}

ISDSC_STATUS list_names(struct list *l, json_t *reply, const char *key, size_t n_max)
{
	json_t *names = list_of(reply, key);
	size_t unit = form_unit(l->form);
	uint8_t *p = l->buffer;
	ISDSC_STATUS status;
	size_t n_end, i;
	json_t *name;
	uint64_t n = 0;

	if (!names)
		return ISDSC_NON_SPECIFIC_ERROR;
	status = names_measure(l, names, key, n_max, &n);
	if (status)
		return status;
	n_end = json_array_size(names) == 0 ? 2 : 1;
	status = list_fits(l, (n + n_end) * (l->in_bytes ? unit : 1), 0);
	if (status)
		return status;
	json_array_foreach(names, i, name) p +=
		(size_t)text_write(l->form, p, n_max, json_string_value(name)) * unit;
	memset(p, 0, n_end * unit);
	return ERROR_SUCCESS;
}

ISDSC_STATUS list_names_if_any(struct list *l, json_t *reply, const char *key, size_t n_max)
{
	ULONG n_end = l->n_room < 2 ? l->n_room : 2;
	json_t *names = list_of(reply, key);

	if (!names || json_array_size(names) > 0)
		return list_names(l, reply, key, n_max);
	if (n_end > 0)
		memset(l->buffer, 0, n_end * form_unit(l->form));
	return list_fits(l, n_end, 0);
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

static ISDSC_STATUS list_records(struct list *l, const struct record *rec, json_t *list,
				 bool in_bytes)
{
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
	return list_records(l, rec, list_of(reply, key), false);
}

ISDSC_STATUS list_bytes(struct list *l, const struct record *rec, json_t *reply, const char *key)
{
	return list_records(l, rec, list_of(reply, key), true);
}

ISDSC_STATUS list_one_record(struct list *l, const struct record *rec, json_t *object)
{
	CLEANUP(json_dropp) json_t *list = json_array();

	if (!list || json_array_append(list, object) < 0)
		return detail_fail(ERROR_NOT_ENOUGH_MEMORY, "No memory for %s", rec->name);
	return list_records(l, rec, list, true);
}

ISDSC_STATUS list_one_text(struct list *l, json_t *reply, const char *key)
{
	const char *text = json_string_value(json_object_get(reply, key));
	ISDSC_STATUS status;
	long n;

	if (!text)
		return detail_fail_reply("text", key);
	n = text_write(l->form, NULL, TEXT_MAX, text);
	if (n < 0)
		return detail_fail(ERROR_INVALID_PARAMETER, "%s: does not fit", key);
	status = list_fits(l, (uint64_t)n * form_unit(l->form), 0);
	if (!status)
		text_write(l->form, l->buffer, TEXT_MAX, text);
	return status;
}

ISDSC_STATUS list_one_number(struct list *l, json_t *reply, const char *key)
{
	json_t *number = json_object_get(reply, key);
	json_int_t v = json_integer_value(number);
	ISDSC_STATUS status;

	if (!json_is_integer(number) || v < 0 || v > UINT32_MAX)
		return detail_fail_reply("number", key);
	status = list_fits(l, sizeof(ULONG), 0);
	if (!status)
		ulong_put(l->buffer, (ULONG)v);
	return status;
}
