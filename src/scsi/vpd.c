/* SPDX-License-Identifier: MIT */
/*
 * Vital product data, INQUIRY, READ CAPACITY and MODE SENSE
 *
 * Every page has a length inside and a length that was received; the smaller
 * one counts. Pages grew over the versions of the standard, so a short page is
 * an old one: its missing fields are zero, which the standards chose to mean
 * "not reported".
 */
#include "scsi/vpd.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

#define VPD_HEADER_BYTES 4

/* Copies a padded text field; trailing and leading blanks and NULs go. */
static void text_copy(char *dst, size_t n_dst, const uint8_t *p, size_t n)
{
	size_t from = 0, at = 0;

	while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\0'))
		n--;
	while (from < n && (p[from] == ' ' || p[from] == '\0'))
		from++;
	for (; from < n && at + 1 < n_dst; from++)
		dst[at++] = p[from] >= 0x20 && p[from] < 0x7f ? (char)p[from] : '?';
	dst[at] = '\0';
}

int inquiry_decode(struct scsi_inquiry *ret, const uint8_t *p, size_t n)
{
	struct scsi_inquiry q = {0};

	if (n < 5)
		return -EBADMSG;
	/* the additional length counts from byte 5 on */
	if (n > 5u + p[4])
		n = 5u + p[4];
	q.qualifier = p[0] >> 5;
	q.device_type = p[0] & 0x1f;
	q.removable = p[1] & 0x80;
	q.version = p[2];
	if (n > 8)
		text_copy(q.vendor, sizeof(q.vendor), p + 8, n >= 16 ? 8 : n - 8);
	if (n > 16)
		text_copy(q.product, sizeof(q.product), p + 16, n >= 32 ? 16 : n - 16);
	if (n > 32)
		text_copy(q.revision, sizeof(q.revision), p + 32, n >= 36 ? 4 : n - 32);
	*ret = q;
	return 0;
}

/* The page's own bytes behind its header; 0 or -EBADMSG. */
static int vpd_body(struct cursor *ret, uint8_t page, const uint8_t *p, size_t n)
{
	size_t n_body;

	if (n < VPD_HEADER_BYTES || p[1] != page)
		return -EBADMSG;
	n_body = get_be16(p + 2);
	if (n_body > n - VPD_HEADER_BYTES)
		n_body = n - VPD_HEADER_BYTES;
	*ret = cursor_of(p + VPD_HEADER_BYTES, n_body);
	return 0;
}

/*
 * A field of @n bytes at @at of the body; 0 where the page ends before. A cursor
 * over a copy does the bounds, so that fields may be read in any order.
 */
static uint64_t body_field(const struct cursor *body, size_t at, size_t n)
{
	struct cursor c = *body;

	cursor_skip(&c, at);
	return cursor_be(&c, n);
}

int vpd_pages_decode(struct scsi_vpd_pages *ret, const uint8_t *p, size_t n)
{
	struct scsi_vpd_pages pages = {0};
	struct cursor c;
	int r = vpd_body(&c, SCSI_VPD_PAGES, p, n);

	if (r)
		return r;
	/*
	 * A unit that does not look at EVPD answers with standard INQUIRY data, which
	 * may pass for this page but for the list that begins with page 0 itself.
	 */
	if (c.n_left == 0 || c.p[0] != SCSI_VPD_PAGES)
		return -EBADMSG;
	while (c.n_left > 0) {
		uint8_t page = cursor_u8(&c);

		pages.bits[page / 64] |= UINT64_C(1) << page % 64;
	}
	*ret = pages;
	return 0;
}

bool vpd_has_page(const struct scsi_vpd_pages *pages, uint8_t page)
{
	return pages->bits[page / 64] >> page % 64 & 1;
}

int vpd_serial_decode(char *buf, size_t n_buf, const uint8_t *p, size_t n)
{
	struct cursor c;
	int r = vpd_body(&c, SCSI_VPD_SERIAL, p, n);

	if (r)
		return r;
	text_copy(buf, n_buf, c.p, c.n_left);
	return 0;
}

unsigned designator_rank(uint8_t type)
{
	switch (type) {
	case SCSI_ID_NAA: return 0;
	case SCSI_ID_EUI64: return 1;
	case SCSI_ID_NAME: return 2;
	case SCSI_ID_T10: return 3;
	case SCSI_ID_VENDOR: return 4;
	default: return 5;
	}
}

bool designator_equal(const struct scsi_designator *a, const struct scsi_designator *b)
{
	return a->type == b->type && a->n_bytes == b->n_bytes &&
	       memcmp(a->bytes, b->bytes, a->n_bytes) == 0;
}

/* Keeps @v sorted by rank; the last one falls off when it is full. Return: new count. */
static size_t ids_insert(struct scsi_designator *v, size_t n_max, size_t n,
			 const struct scsi_designator *d)
{
	size_t at = n;

	for (size_t i = 0; i < n; i++)
		if (designator_equal(&v[i], d))
			return n;
	while (at > 0 && designator_rank(v[at - 1].type) > designator_rank(d->type))
		at--;
	if (at >= n_max)
		return n;
	if (n == n_max)
		n--;
	memmove(v + at + 1, v + at, (n - at) * sizeof(*v));
	v[at] = *d;
	return n + 1;
}

int vpd_ids_decode(struct scsi_designator *v, size_t n_max, size_t *ret_n, const uint8_t *p,
		   size_t n)
{
	struct cursor c;
	size_t n_ids = 0;
	int r = vpd_body(&c, SCSI_VPD_ID, p, n);

	if (r)
		return r;
	while (c.n_left >= 4) {
		struct scsi_designator d = {0};
		uint8_t code_set = cursor_u8(&c) & 0x0f;
		uint8_t kind = cursor_u8(&c);
		const uint8_t *bytes;

		cursor_skip(&c, 1);
		d.n_bytes = cursor_u8(&c);
		bytes = cursor_bytes(&c, d.n_bytes);
		if (!bytes)
			break;
		d.code_set = code_set;
		d.type = kind & 0x0f;
		/* bits 5 and 4: associated with the unit, not with a port or the target */
		if ((kind & 0x30) != 0 || designator_rank(d.type) > 4 || d.n_bytes == 0)
			continue;
		memcpy(d.bytes, bytes, d.n_bytes);
		n_ids = ids_insert(v, n_max, n_ids, &d);
	}
	*ret_n = n_ids;
	return 0;
}

int vpd_block_limits_decode(struct scsi_block_limits *ret, const uint8_t *p, size_t n)
{
	struct scsi_block_limits l = {0};
	uint32_t alignment;
	struct cursor c;
	int r = vpd_body(&c, SCSI_VPD_BLOCK_LIMITS, p, n);

	if (r)
		return r;
	l.wsnz = body_field(&c, 0, 1) & 1;
	l.optimal_granularity_blocks = (uint16_t)body_field(&c, 2, 2);
	l.max_transfer_blocks = (uint32_t)body_field(&c, 4, 4);
	l.optimal_transfer_blocks = (uint32_t)body_field(&c, 8, 4);
	l.max_unmap_blocks = (uint32_t)body_field(&c, 16, 4);
	l.max_unmap_descriptors = (uint32_t)body_field(&c, 20, 4);
	l.unmap_granularity_blocks = (uint32_t)body_field(&c, 24, 4);
	alignment = (uint32_t)body_field(&c, 28, 4);
	l.has_unmap_alignment = alignment >> 31;
	l.unmap_alignment_blocks = l.has_unmap_alignment ? alignment & 0x7fffffff : 0;
	l.max_write_same_blocks = body_field(&c, 32, 8);
	*ret = l;
	return 0;
}

int vpd_block_device_decode(struct scsi_block_device *ret, const uint8_t *p, size_t n)
{
	struct cursor c;
	int r = vpd_body(&c, SCSI_VPD_BLOCK_DEVICE, p, n);

	if (r)
		return r;
	ret->rotation_rpm = (uint16_t)body_field(&c, 0, 2);
	ret->form_factor = (uint8_t)(body_field(&c, 3, 1) & 0x0f);
	return 0;
}

int vpd_provisioning_decode(struct scsi_provisioning *ret, const uint8_t *p, size_t n)
{
	struct scsi_provisioning v = {0};
	uint8_t flags;
	struct cursor c;
	int r = vpd_body(&c, SCSI_VPD_PROVISIONING, p, n);

	if (r)
		return r;
	flags = (uint8_t)body_field(&c, 1, 1);
	v.unmap = flags & 0x80;
	v.write_same16_unmap = flags & 0x40;
	v.write_same10_unmap = flags & 0x20;
	/* three bits since SBC-4; whatever the upper two say, the lowest promises zeros */
	v.reads_zero = flags & 0x04;
	v.anchor = flags & 0x02;
	v.type = (uint8_t)(body_field(&c, 2, 1) & 0x07);
	*ret = v;
	return 0;
}

int capacity10_decode(struct scsi_capacity *ret, const uint8_t *p, size_t n)
{
	if (n < 8)
		return -EBADMSG;
	*ret = (struct scsi_capacity){.last_lba = get_be32(p), .block_bytes = get_be32(p + 4)};
	return 0;
}

int capacity16_decode(struct scsi_capacity *ret, const uint8_t *p, size_t n)
{
	struct scsi_capacity v = {0};

	if (n < 12)
		return -EBADMSG;
	v.last_lba = get_be64(p);
	v.block_bytes = get_be32(p + 8);
	v.protection = n > 12 && (p[12] & 1);
	v.phys_exponent = n > 13 ? p[13] & 0x0f : 0;
	v.provisioned = n > 14 && (p[14] & 0x80);
	v.reads_zero = n > 14 && (p[14] & 0x40);
	*ret = v;
	return 0;
}

static void mode_pages_decode(struct scsi_mode *m, struct cursor *c)
{
	while (c->n_left >= 2) {
		uint8_t code = cursor_u8(c);
		bool has_subpage = code & 0x40;
		size_t len;
		struct cursor page;

		if (has_subpage)
			cursor_skip(c, 1);
		len = has_subpage ? cursor_be16(c) : cursor_u8(c);
		if (cursor_short(c))
			return;
		page = cursor_of(c->p, len < c->n_left ? len : c->n_left);
		if ((code & 0x3f) == 0x08 && !has_subpage && page.n_left > 0) {
			uint8_t flags = cursor_u8(&page);

			m->has_caching = true;
			m->write_cache = flags & 0x04;
			m->read_cache_off = flags & 0x01;
		}
		cursor_skip(c, len);
	}
}

static void mode_flags_decode(struct scsi_mode *m, uint8_t device_specific)
{
	m->write_protected = device_specific & 0x80;
	m->dpo_fua = device_specific & 0x10;
}

int mode6_decode(struct scsi_mode *ret, const uint8_t *p, size_t n)
{
	struct scsi_mode m = {0};
	struct cursor c;

	if (n < 4)
		return -EBADMSG;
	if (n > 1u + p[0])
		n = 1u + p[0];
	if (n < 4)
		return -EBADMSG;
	mode_flags_decode(&m, p[2]);
	c = cursor_of(p + 4, n - 4);
	cursor_skip(&c, p[3]);
	mode_pages_decode(&m, &c);
	*ret = m;
	return 0;
}

int mode10_decode(struct scsi_mode *ret, const uint8_t *p, size_t n)
{
	struct scsi_mode m = {0};
	struct cursor c;

	if (n < 8)
		return -EBADMSG;
	if (n > 2u + get_be16(p))
		n = 2u + get_be16(p);
	if (n < 8)
		return -EBADMSG;
	mode_flags_decode(&m, p[3]);
	c = cursor_of(p + 8, n - 8);
	cursor_skip(&c, get_be16(p + 6));
	mode_pages_decode(&m, &c);
	*ret = m;
	return 0;
}

int supported_op_decode(bool *ret, const uint8_t *p, size_t n)
{
	if (n < 4)
		return -EBADMSG;
	*ret = (p[1] & 0x07) == 0x03;
	return 0;
}
