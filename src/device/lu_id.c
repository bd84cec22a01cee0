/* SPDX-License-Identifier: MIT */
/*
 * Who a unit is: the same one as before, and what to call it
 *
 * Taking two units for one destroys data, so doubt means "not the same".
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "device/lu_private.h"

void lu_info_derive(struct lu_info *i)
{
	bool writable = !i->limits.read_only;
	bool zero_by_unmap = i->can_write_same16_unmap && i->reads_zero_after_unmap;

	i->limits.can_discard = writable && (i->can_unmap || i->can_write_same16_unmap);
	i->limits.can_write_zeroes = writable && (i->can_write_same16 || zero_by_unmap);
	i->limits.discard_zeroes = writable && zero_by_unmap;
}

static bool ids_has(const struct lu_info *i, const struct scsi_designator *d)
{
	for (unsigned k = 0; k < i->n_id; k++)
		if (designator_equal(&i->id[k], d))
			return true;
	return false;
}

/* How many designators of @type @i has, and how many of them @other has too. */
static unsigned ids_of_type(const struct lu_info *i, const struct lu_info *other, uint8_t type,
			    unsigned *ret_n_shared)
{
	unsigned n = 0;

	*ret_n_shared = 0;
	for (unsigned k = 0; k < i->n_id; k++) {
		if (i->id[k].type != type)
			continue;
		n++;
		*ret_n_shared += ids_has(other, &i->id[k]);
	}
	return n;
}

/*
 * NAA 3 is locally assigned by definition. Formats 5 and 6 carry the issuer's company ID; targets
 * that have none write 0 and number their LUNs (tgt: 6000…0e…00010001).
 */
static bool naa_is_strong(const uint8_t *b, size_t n)
{
	switch (b[0] >> 4) {
	case 3: return false;
	case 5:
	case 6: return n < 4 || (b[0] & 0x0f) || b[1] || b[2] || b[3] >> 4;
	default: return true;
	}
}

/* Worldwide unique by its issuer's registration, not merely by somebody's local numbering. */
static bool id_is_strong(const struct scsi_designator *d)
{
	switch (d->type) {
	case SCSI_ID_NAA: return naa_is_strong(d->bytes, d->n_bytes);
	case SCSI_ID_EUI64:
	case SCSI_ID_NAME: return true;
	default: return false;
	}
}

static bool ids_share_strong(const struct lu_info *a, const struct lu_info *b)
{
	for (unsigned k = 0; k < a->n_id; k++)
		if (id_is_strong(&a->id[k]) && ids_has(b, &a->id[k]))
			return true;
	return false;
}

static bool models_equal(const struct lu_info *a, const struct lu_info *b)
{
	return strcmp(a->vendor, b->vendor) == 0 && strcmp(a->product, b->product) == 0;
}

bool lu_info_same_unit(const struct lu_info *a, const struct lu_info *b)
{
	static const uint8_t types[] = {SCSI_ID_NAA, SCSI_ID_EUI64, SCSI_ID_NAME, SCSI_ID_T10,
					SCSI_ID_VENDOR};
	bool share = false;

	if (a->device_type != b->device_type)
		return false;
	if (a->n_id == 0 && b->n_id == 0)
		return models_equal(a, b) && a->serial[0] && strcmp(a->serial, b->serial) == 0;

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		unsigned n_a_shared, n_b_shared;
		unsigned n_a = ids_of_type(a, b, types[t], &n_a_shared);
		unsigned n_b = ids_of_type(b, a, types[t], &n_b_shared);

		if (n_a == 0 || n_b == 0)
			continue;
		/*
		 * one may tell less than the other, but each tells something the other does not:
		 * they differ
		 */
		if (n_a_shared < n_a && n_b_shared < n_b)
			return false;
		share = true;
	}
	if (!share)
		return false;
	if (ids_share_strong(a, b))
		return true;
	return models_equal(a, b) &&
	       (!a->serial[0] || !b->serial[0] || strcmp(a->serial, b->serial) == 0);
}

void lu_info_drop_shared(struct lu_info *i, const struct lu_info *other)
{
	unsigned n = 0;

	for (unsigned k = 0; k < i->n_id; k++)
		if (!ids_has(other, &i->id[k]))
			i->id[n++] = i->id[k];
	i->n_id = n;
}

/* ---- names ------------------------------------------------------------- */

struct text {
	char *p;
	size_t n_left; /* with the terminator */
	bool is_short;
};

static void text_put(struct text *t, char c)
{
	if (t->n_left < 2) {
		t->is_short = true;
		return;
	}
	*t->p++ = c;
	t->n_left--;
}

/* What is safe in the name of a link. */
static void text_put_safe(struct text *t, const char *s, size_t n)
{
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\0'))
		n--;
	for (size_t i = 0; i < n; i++) {
		char c = s[i];
		bool safe = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			    (c >= 'a' && c <= 'z') || c == '.' || c == '-' || c == ':';

		text_put(t, safe ? c : '_');
	}
}

static void text_put_string(struct text *t, const char *s)
{
	text_put_safe(t, s, strlen(s));
}

static void text_put_hex(struct text *t, const uint8_t *p, size_t n)
{
	static const char digit[16] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		text_put(t, digit[p[i] >> 4]);
		text_put(t, digit[p[i] & 0xf]);
	}
}

/* Half a name could be another unit's. */
static void text_end(struct text *t, char *buf)
{
	if (t->is_short)
		t->p = buf;
	*t->p = '\0';
}

static bool name_has_authority(const struct scsi_designator *d)
{
	static const char *const authority[] = {"iqn.", "eui.", "naa."};

	for (size_t i = 0; i < ARRAY_SIZE(authority); i++)
		if (d->n_bytes > 4 && memcmp(d->bytes, authority[i], 4) == 0)
			return true;
	return false;
}

static bool id_put_name(struct text *t, const struct scsi_designator *d)
{
	switch (d->type) {
	case SCSI_ID_NAA:
		text_put_string(t, "naa.");
		text_put_hex(t, d->bytes, d->n_bytes);
		return true;
	case SCSI_ID_EUI64:
		text_put_string(t, "eui.");
		text_put_hex(t, d->bytes, d->n_bytes);
		return true;
	case SCSI_ID_NAME:
		/*
		 * it should begin with iqn., eui. or naa. itself; what does not is no name of a
		 * file alone
		 */
		if (!name_has_authority(d))
			text_put_string(t, "name.");
		text_put_safe(t, (const char *)d->bytes, d->n_bytes);
		return true;
	case SCSI_ID_T10:
		text_put_string(t, "t10.");
		text_put_safe(t, (const char *)d->bytes, d->n_bytes);
		return true;
	default: return false;
	}
}

void lu_info_name(const struct lu_info *i, char *buf, size_t n)
{
	struct text t = {.p = buf, .n_left = n};

	if (n == 0)
		return;
	if (!(i->n_id > 0 && id_put_name(&t, &i->id[0])) && i->serial[0]) {
		text_put_string(&t, "serial.");
		text_put_string(&t, i->vendor);
		text_put(&t, '_');
		text_put_string(&t, i->product);
		text_put(&t, '_');
		text_put_string(&t, i->serial);
	}
	text_end(&t, buf);
}

/* ---- names as udev's scsi_id(8) and sg3-utils make them -------------------- */

/* What separates words becomes one underscore. */
static void text_put_words(struct text *t, const char *s, size_t n)
{
	size_t at = 0;

	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\0'))
		n--;
	while (at < n) {
		text_put_safe(t, s[at] == ' ' ? "_" : s + at, 1);
		while (at + 1 < n && s[at] == ' ' && s[at + 1] == ' ')
			at++;
		at++;
	}
}

/* Of several numbers of the unit the one that they take. */
static const struct scsi_designator *id_best_naa(const struct lu_info *i)
{
	static const uint8_t formats[] = {6, 5, 2, 3};

	for (size_t f = 0; f < ARRAY_SIZE(formats); f++)
		for (unsigned k = 0; k < i->n_id; k++)
			if (i->id[k].type == SCSI_ID_NAA && i->id[k].bytes[0] >> 4 == formats[f])
				return &i->id[k];
	return NULL;
}

static bool id_put_serial(struct text *t, const struct scsi_designator *d)
{
	switch (d->type) {
	case SCSI_ID_NAA:
	case SCSI_ID_EUI64:
		text_put(t, (char)('0' + d->type));
		text_put_hex(t, d->bytes, d->n_bytes);
		return true;
	case SCSI_ID_NAME:
	case SCSI_ID_T10:
		text_put(t, (char)('0' + d->type));
		text_put_words(t, (const char *)d->bytes, d->n_bytes);
		return true;
	default: return false;
	}
}

void lu_info_scsi_id(const struct lu_info *i, char *buf, size_t n)
{
	const struct scsi_designator *d = id_best_naa(i);
	struct text t = {.p = buf, .n_left = n};

	if (n == 0)
		return;
	if (!d && i->n_id > 0)
		d = &i->id[0];
	if (!(d && id_put_serial(&t, d)) && i->serial[0]) {
		text_put(&t, 'S');
		text_put_words(&t, i->vendor, strlen(i->vendor));
		text_put(&t, '_');
		text_put_words(&t, i->product, strlen(i->product));
		text_put(&t, '_');
		text_put_words(&t, i->serial, strlen(i->serial));
	}
	text_end(&t, buf);
}

void lu_info_wwn(const struct lu_info *i, char *buf, size_t n)
{
	const struct scsi_designator *d = id_best_naa(i);
	struct text t = {.p = buf, .n_left = n};

	if (n == 0)
		return;
	if (d) {
		text_put_string(&t, "0x");
		text_put_hex(&t, d->bytes, d->n_bytes);
	}
	text_end(&t, buf);
}
