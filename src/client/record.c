/* SPDX-License-Identifier: MIT */
/*
 * Structures by description
 *
 * Going in, fields become members of a JSON object; going out, members become
 * fields, and what pointers point to is laid out behind the records in the same
 * buffer. Laying out is done twice by the same code: once without a buffer, to
 * measure and to find every mistake, and once for good.
 */
#include "client/client.h"

#include <string.h>

#include "varlink/varlink.h"

#define ALIGN_RECORD 8

static bool field_counts(const struct record *rec, const struct field *f, const uint8_t *base)
{
	uint32_t mask;

	if (!f->bit)
		return true;
	memcpy(&mask, base + rec->mask_at, sizeof(mask));
	return (mask & f->bit) != 0;
}

static uint64_t number_get(const uint8_t *p, size_t n)
{
	uint8_t v8;
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (n) {
	case 1: memcpy(&v8, p, n); return v8;
	case 2: memcpy(&v16, p, n); return v16;
	case 4: memcpy(&v32, p, n); return v32;
	default: memcpy(&v64, p, n); return v64;
	}
}

static void number_put(uint8_t *p, size_t n, uint64_t value)
{
	uint8_t v8 = (uint8_t)value;
	uint16_t v16 = (uint16_t)value;
	uint32_t v32 = (uint32_t)value;

	switch (n) {
	case 1: memcpy(p, &v8, n); break;
	case 2: memcpy(p, &v16, n); break;
	case 4: memcpy(p, &v32, n); break;
	default: memcpy(p, &value, n); break;
	}
}

/* -- in -- */

static ISDSC_STATUS bytes_read(const struct field *f, enum form form, const uint8_t *base,
			       json_t **ret_value)
{
	const void *p;
	uint32_t n;

	memcpy(&p, base + f->at[form], sizeof(p));
	memcpy(&n, base + f->n_at[form], sizeof(n));
	if (n > 0 && !p)
		return detail_fail(ERROR_INVALID_PARAMETER, "%s: NULL", f->key);
	if (n > BYTES_IN_MAX)
		return detail_fail(ERROR_INVALID_PARAMETER, "%s: longer than %d bytes", f->key,
				   BYTES_IN_MAX);
	*ret_value = hex_text(p, n);
	return ERROR_SUCCESS;
}

static ISDSC_STATUS list_read(const struct field *f, enum form form, const uint8_t *base,
			      json_t **ret_list)
{
	json_t *list, *object;
	const uint8_t *p;
	uint32_t n;

	memcpy(&p, base + f->at[form], sizeof(p));
	memcpy(&n, base + f->n_at[form], sizeof(n));
	if (n > 0 && !p)
		return detail_fail(ERROR_INVALID_PARAMETER, "%s: NULL", f->key);
	if (n > ELEMENTS_IN_MAX)
		return detail_fail(ERROR_INVALID_PARAMETER, "%s: more than %d", f->key,
				   ELEMENTS_IN_MAX);
	list = json_array();
	for (uint32_t i = 0; i < n && list; i++) {
		ISDSC_STATUS status =
			record_read(form, f->part, p + (size_t)i * f->part->size[form], &object);

		if (status) {
			varlink_wipe(list);
			return status;
		}
		if (json_array_append_new(list, object) < 0) {
			varlink_wipe(list);
			list = NULL;
		}
	}
	*ret_list = list;
	return ERROR_SUCCESS;
}

static json_t *lun_read(const uint8_t *p)
{
	uint8_t bytes[8];

	lun_bytes(number_get(p, sizeof(bytes)), bytes);
	return hex_text(bytes, sizeof(bytes));
}

/* *ret_value: NULL when there was no memory for it. */
static ISDSC_STATUS field_read(const struct field *f, enum form form, const uint8_t *base,
			       json_t **ret_value)
{
	const uint8_t *p = base + f->at[form];
	char id[ID_TEXT_BYTES];

	if (f->in_as) {
		*ret_value = json_string(f->in_as);
		return ERROR_SUCCESS;
	}
	switch (f->kind) {
	case FIELD_TEXT: return text_read(form, p, f->n - 1u, f->key, ret_value);
	case FIELD_NUMBER:
		*ret_value = json_integer((json_int_t)number_get(p, f->n));
		return ERROR_SUCCESS;
	case FIELD_LOW_BYTE: *ret_value = json_integer(p[0]); return ERROR_SUCCESS;
	case FIELD_LOW_FIRST: *ret_value = json_integer(p[0] | p[1] << 8); return ERROR_SUCCESS;
	case FIELD_HEX: *ret_value = hex_text(p, f->n); return ERROR_SUCCESS;
	case FIELD_LUN: *ret_value = lun_read(p); return ERROR_SUCCESS;
	case FIELD_ID:
		id_text(p, id);
		*ret_value = json_string(id);
		return ERROR_SUCCESS;
	case FIELD_PART: return record_read(form, f->part, p, ret_value);
	case FIELD_TAIL_LIST: return list_read(f, form, base, ret_value);
	case FIELD_TAIL_BYTES:
	case FIELD_SECRET: return bytes_read(f, form, base, ret_value);
	case FIELD_TAIL_TEXT:
	case FIELD_TAIL_PART: break; /* no call takes one */
	}
	return ERROR_INVALID_PARAMETER;
}

ISDSC_STATUS record_read(enum form form, const struct record *rec, const void *src,
			 json_t **ret_object)
{
	json_t *object = json_object();
	ISDSC_STATUS status = object ? ERROR_SUCCESS : ERROR_NOT_ENOUGH_MEMORY;

	for (size_t i = 0; i < rec->n_fields && !status; i++) {
		const struct field *f = &rec->fields[i];
		json_t *value = NULL;

		if (!field_counts(rec, f, src))
			continue;
		status = field_read(f, form, src, &value);
		if (status)
			break;
		if (!f->key ? json_object_update(object, value) < 0
			    : json_object_set(object, f->key, value) < 0) {
			varlink_wipe(value);
			status = ERROR_NOT_ENOUGH_MEMORY;
		} else {
			json_decref(value);
		}
	}
	if (status)
		varlink_wipe(object);
	else
		*ret_object = object;
	return status;
}

/* -- out -- */

/* Room for @n bytes behind the rest. *ret_p: NULL while measuring. */
static void tail_take(struct tail *t, uint64_t n, size_t align, uint8_t **ret_p)
{
	t->n_used = (t->n_used + align - 1) / align * align;
	*ret_p = t->base ? t->base + t->n_used : NULL;
	t->n_used += n;
}

static ISDSC_STATUS text_fails(const struct record *rec, const struct field *f)
{
	return detail_fail(ERROR_INVALID_PARAMETER, "%s: %s does not fit", rec->name, f->key);
}

static ISDSC_STATUS tail_text_write(const struct record *rec, const struct field *f, enum form form,
				    json_t *value, uint8_t *base, struct tail *tail)
{
	const char *text = json_string_value(value);
	size_t unit = form_unit(form);
	uint8_t *p;
	long n;

	if (!text)
		return detail_fail_reply(rec->name, f->key);
	n = text_write(form, NULL, TAIL_TEXT_MAX, text);
	if (n < 0)
		return text_fails(rec, f);
	tail_take(tail, (uint64_t)n * unit, unit, &p);
	if (p)
		text_write(form, p, TAIL_TEXT_MAX, text);
	memcpy(base + f->at[form], &p, sizeof(p));
	return ERROR_SUCCESS;
}

static ISDSC_STATUS tail_bytes_write(const struct record *rec, const struct field *f,
				     enum form form, json_t *value, uint8_t *base,
				     struct tail *tail)
{
	const char *hex = json_string_value(value);
	long n = hex ? hex_parse(hex, NULL, 0) : -1;
	uint8_t *p;
	uint32_t count;

	if (n < 0 || n > UINT16_MAX)
		return detail_fail_reply(rec->name, f->key);
	if (n == 0)
		return ERROR_SUCCESS; /* 0 and NULL */
	count = (uint32_t)n;
	tail_take(tail, count, 1, &p);
	if (p)
		hex_parse(hex, p, count);
	memcpy(base + f->at[form], &p, sizeof(p));
	memcpy(base + f->n_at[form], &count, sizeof(count));
	return ERROR_SUCCESS;
}

static ISDSC_STATUS tail_part_write(const struct field *f, enum form form, json_t *value,
				    uint8_t *base, struct tail *tail)
{
	uint8_t element[RECORD_BYTES_MAX];
	size_t size = f->part->size[form];
	ISDSC_STATUS status;
	uint8_t *p;

	tail_take(tail, size, ALIGN_RECORD, &p);
	memcpy(base + f->at[form], &p, sizeof(p));
	status = record_write(form, f->part, value, element, tail);
	if (!status && p)
		memcpy(p, element, size);
	return status;
}

static ISDSC_STATUS tail_list_write(const struct record *rec, const struct field *f, enum form form,
				    json_t *value, uint8_t *base, struct tail *tail)
{
	uint8_t element[RECORD_BYTES_MAX];
	size_t size = f->part->size[form];
	uint32_t count;
	uint8_t *p;

	if (!json_is_array(value))
		return detail_fail_reply(rec->name, f->key);
	count = (uint32_t)json_array_size(value);
	if (count == 0)
		return ERROR_SUCCESS;
	tail_take(tail, (uint64_t)count * size, ALIGN_RECORD, &p);
	memcpy(base + f->at[form], &p, sizeof(p));
	memcpy(base + f->n_at[form], &count, sizeof(count));
	for (uint32_t i = 0; i < count; i++) {
		ISDSC_STATUS status;

		status = record_write(form, f->part, json_array_get(value, i), element, tail);
		if (status)
			return status;
		if (p)
			memcpy(p + i * size, element, size);
	}
	return ERROR_SUCCESS;
}

/* A ULONG of -1 is the largest one, as in the API; 8 bytes take any number. */
static bool number_fits(json_int_t v, size_t n)
{
	return n == 8 || (n == 4 && v == -1) || (v >= 0 && v < (json_int_t)1 << (8 * n));
}

static ISDSC_STATUS number_write(const struct record *rec, const struct field *f, enum form form,
				 json_t *value, uint8_t *base)
{
	uint8_t *p = base + f->at[form];
	json_int_t v =
		json_is_boolean(value) ? json_boolean_value(value) : json_integer_value(value);

	if (!json_is_integer(value) && !json_is_boolean(value))
		return detail_fail_reply(rec->name, f->key);
	if (f->kind == FIELD_LOW_BYTE) {
		p[0] = (uint8_t)v;
		return ERROR_SUCCESS;
	}
	if (!number_fits(v, f->n))
		return detail_fail_reply(rec->name, f->key);
	if (f->kind == FIELD_LOW_FIRST) {
		p[0] = (uint8_t)v;
		p[1] = (uint8_t)(v >> 8);
	} else {
		number_put(p, f->n, (uint64_t)v);
	}
	return ERROR_SUCCESS;
}

static ISDSC_STATUS field_write(const struct record *rec, const struct field *f, enum form form,
				json_t *value, uint8_t *base, struct tail *tail)
{
	uint8_t *p = base + f->at[form];
	const char *text = json_string_value(value);

	switch (f->kind) {
	case FIELD_TEXT:
		if (!text)
			return detail_fail_reply(rec->name, f->key);
		return text_write(form, p, f->n, text) < 0 ? text_fails(rec, f) : ERROR_SUCCESS;
	case FIELD_NUMBER:
	case FIELD_LOW_BYTE:
	case FIELD_LOW_FIRST: return number_write(rec, f, form, value, base);
	case FIELD_HEX:
		if (!text || hex_parse(text, p, f->n) != f->n)
			return detail_fail_reply(rec->name, f->key);
		return ERROR_SUCCESS;
	case FIELD_LUN: {
		uint8_t bytes[8];

		if (!text || hex_parse(text, bytes, sizeof(bytes)) != sizeof(bytes))
			return detail_fail_reply(rec->name, f->key);
		number_put(p, sizeof(bytes), lun_number(bytes));
		return ERROR_SUCCESS;
	}
	case FIELD_ID: {
		ISCSI_UNIQUE_SESSION_ID id;

		if (!text || !id_parse(text, &id))
			return detail_fail_reply(rec->name, f->key);
		memcpy(p, &id, sizeof(id));
		return ERROR_SUCCESS;
	}
	case FIELD_PART: return record_write(form, f->part, value, p, tail);
	case FIELD_TAIL_TEXT: return tail_text_write(rec, f, form, value, base, tail);
	case FIELD_TAIL_PART: return tail_part_write(f, form, value, base, tail);
	case FIELD_TAIL_LIST: return tail_list_write(rec, f, form, value, base, tail);
	case FIELD_TAIL_BYTES: return tail_bytes_write(rec, f, form, value, base, tail);
	case FIELD_SECRET: return ERROR_SUCCESS;
	}
	return ISDSC_NON_SPECIFIC_ERROR;
}

ISDSC_STATUS record_write(enum form form, const struct record *rec, json_t *object, void *dst,
			  struct tail *tail)
{
	memset(dst, 0, rec->size[form]);
	if (!json_is_object(object))
		return detail_fail_reply(rec->name, "not an object");
	for (size_t i = 0; i < rec->n_fields; i++) {
		const struct field *f = &rec->fields[i];
		json_t *value = f->key ? json_object_get(object, f->key) : object;
		ISDSC_STATUS status;

		if (f->or_null && json_is_null(value))
			continue;
		/* what an option's bit does not vouch for may be missing */
		if (f->bit && (!value || json_is_null(value) || !field_counts(rec, f, dst)))
			continue;
		status = field_write(rec, f, form, value, dst, tail);
		if (status)
			return status;
	}
	return rec->finish ? rec->finish(form, object, dst) : ERROR_SUCCESS;
}
