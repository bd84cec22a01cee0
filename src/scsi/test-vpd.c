/* SPDX-License-Identifier: MIT */
/* Decoders of what a unit says of itself, with true, short and lying data. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "scsi/vpd.h"

static const uint8_t inquiry[36] = {
	0x00, 0x80, 0x06, 0x02, 31,  0,   0,   0,   'A', 'C', 'M', 'E',
	' ',  ' ',  ' ',  ' ',  'D', 'I', 'S', 'K', ' ', 1,   '!', ' ',
	' ',  ' ',  ' ',  ' ',  ' ', ' ', ' ', ' ', '0', '0', '1', ' ',
};

/* Runs a decoder on exactly n bytes, for every n; the sanitizer watches. */
#define EVERY_LENGTH(bytes, n_bytes, p, n)                                             \
	for (size_t n = 0; n <= (n_bytes); n++)                                        \
		for (uint8_t *p = memcpy(malloc(n + !n), (bytes), n), *once = p; once; \
		     once = NULL, free(p))

static void standard_inquiry(void **state)
{
	struct scsi_inquiry q;
	uint8_t lie[36];

	assert_int_equal(inquiry_decode(&q, inquiry, sizeof(inquiry)), 0);
	assert_int_equal(q.qualifier, 0);
	assert_int_equal(q.device_type, SCSI_TYPE_DISK);
	assert_true(q.removable);
	assert_int_equal(q.version, 6);
	assert_string_equal(q.vendor, "ACME");
	assert_string_equal(q.product, "DISK ?!");
	assert_string_equal(q.revision, "001");

	EVERY_LENGTH(inquiry, sizeof(inquiry), p, n)
	{
		int r = inquiry_decode(&q, p, n);

		assert_int_equal(r, n < 5 ? -EBADMSG : 0);
		if (r == 0)
			assert_string_equal(q.revision, n < 33   ? ""
							: n < 34 ? "0"
							: n < 35 ? "00"
								 : "001");
	}

	memcpy(lie, inquiry, sizeof(lie));
	lie[0] = 0x7f;
	lie[4] = 8; /* ends within the vendor */
	assert_int_equal(inquiry_decode(&q, lie, sizeof(lie)), 0);
	assert_int_equal(q.qualifier, 3);
	assert_int_equal(q.device_type, SCSI_TYPE_UNKNOWN);
	assert_string_equal(q.vendor, "ACME");
	assert_string_equal(q.product, "");
}

static void page_list(void **state)
{
	static const uint8_t page[] = {0, 0, 0, 5, 0x00, 0x80, 0x83, 0xb0, 0xb2, 0xff};
	static const uint8_t lie[] = {0, 0, 0xff, 0xff, 0x00, 0x83};
	struct scsi_vpd_pages v;

	assert_int_equal(vpd_pages_decode(&v, page, sizeof(page)), 0);
	assert_true(vpd_has_page(&v, 0x00));
	assert_true(vpd_has_page(&v, 0x80));
	assert_true(vpd_has_page(&v, 0xb2));
	assert_false(vpd_has_page(&v, 0xb1));
	assert_false(vpd_has_page(&v, 0xff)); /* behind the page's end */
	EVERY_LENGTH(page, sizeof(page), p, n)
	{
		int r = vpd_pages_decode(&v, p, n);

		assert_int_equal(r, n < 5 ? -EBADMSG : 0);
		if (r == 0)
			assert_int_equal(vpd_has_page(&v, 0x83), n >= 7);
	}
	assert_int_equal(vpd_pages_decode(&v, lie, sizeof(lie)), 0);
	assert_true(vpd_has_page(&v, 0x83));
	/* standard INQUIRY data of a unit that does not look at EVPD */
	{
		uint8_t std[36];

		memcpy(std, inquiry, sizeof(std));
		std[1] = 0;
		assert_int_equal(vpd_pages_decode(&v, std, sizeof(std)), -EBADMSG);
	}
}

static void serial(void **state)
{
	static const uint8_t page[] = {0, 0x80, 0, 8, ' ', ' ', 'S', 'N', '-', 0x7f, '1', ' '};
	char buf[16], small[4];

	assert_int_equal(vpd_serial_decode(buf, sizeof(buf), page, sizeof(page)), 0);
	assert_string_equal(buf, "SN-?1");
	assert_int_equal(vpd_serial_decode(small, sizeof(small), page, sizeof(page)), 0);
	assert_string_equal(small, "SN-");
	EVERY_LENGTH(page, sizeof(page), p, n)
	{
		int r = vpd_serial_decode(buf, sizeof(buf), p, n);

		assert_int_equal(r, n < 4 ? -EBADMSG : 0);
	}
	assert_int_equal(vpd_serial_decode(buf, sizeof(buf), inquiry, 3), -EBADMSG);
	buf[0] = 'x';
	{
		static const uint8_t other[] = {0, 0x83, 0, 1, 'a'};

		assert_int_equal(vpd_serial_decode(buf, sizeof(buf), other, sizeof(other)),
				 -EBADMSG);
		assert_int_equal(buf[0], 'x');
	}
}

static const uint8_t ids[] = {
	0,
	0x83,
	0,
	77,
	/* vendor specific */
	0x02,
	0x00,
	0,
	3,
	'a',
	'b',
	'c',
	/* T10 */
	0x02,
	0x01,
	0,
	9,
	'A',
	'C',
	'M',
	'E',
	' ',
	' ',
	' ',
	' ',
	'7',
	/* NAA of the target port: not the unit */
	0x01,
	0x93,
	0,
	8,
	0x50,
	0,
	0,
	0,
	0,
	0,
	0,
	1,
	/* EUI-64 */
	0x01,
	0x02,
	0,
	8,
	1,
	2,
	3,
	4,
	5,
	6,
	7,
	8,
	/* NAA */
	0x01,
	0x03,
	0,
	8,
	0x60,
	1,
	2,
	3,
	4,
	5,
	6,
	7,
	/* the same again */
	0x01,
	0x03,
	0,
	8,
	0x60,
	1,
	2,
	3,
	4,
	5,
	6,
	7,
	/* empty, and an unknown type */
	0x01,
	0x03,
	0,
	0,
	0x01,
	0x07,
	0,
	1,
	9,
};

static void designators(void **state)
{
	struct scsi_designator v[8], few[2];
	size_t n_ids;

	assert_int_equal(sizeof(ids), 4 + 77);
	assert_int_equal(vpd_ids_decode(v, 8, &n_ids, ids, sizeof(ids)), 0);
	assert_int_equal(n_ids, 4);
	assert_int_equal(v[0].type, SCSI_ID_NAA);
	assert_int_equal(v[0].n_bytes, 8);
	assert_int_equal(v[0].bytes[0], 0x60);
	assert_int_equal(v[0].code_set, 1);
	assert_int_equal(v[1].type, SCSI_ID_EUI64);
	assert_int_equal(v[2].type, SCSI_ID_T10);
	assert_int_equal(v[2].n_bytes, 9);
	assert_int_equal(v[3].type, SCSI_ID_VENDOR);

	/* the best stay when there is no room for all */
	assert_int_equal(vpd_ids_decode(few, 2, &n_ids, ids, sizeof(ids)), 0);
	assert_int_equal(n_ids, 2);
	assert_int_equal(few[0].type, SCSI_ID_NAA);
	assert_int_equal(few[1].type, SCSI_ID_EUI64);
	assert_int_equal(vpd_ids_decode(few, 0, &n_ids, ids, sizeof(ids)), 0);
	assert_int_equal(n_ids, 0);
}

static void designators_truncated(void **state)
{
	struct scsi_designator v[8];
	size_t n_ids;

	EVERY_LENGTH(ids, sizeof(ids), p, n)
	{
		int r = vpd_ids_decode(v, 8, &n_ids, p, n);
		size_t want = (n >= 11) + (n >= 24) + (n >= 48) + (n >= 60);

		assert_int_equal(r, n < 4 ? -EBADMSG : 0);
		if (r == 0)
			assert_int_equal(n_ids, want);
	}
	/* the page's length lies: bytes that came are looked at, no more; or fewer than came are */
	{
		uint8_t lie[sizeof(ids)];

		memcpy(lie, ids, sizeof(lie));
		put_be16(lie + 2, 0xffff);
		assert_int_equal(vpd_ids_decode(v, 8, &n_ids, lie, sizeof(lie)), 0);
		assert_int_equal(n_ids, 4);
		put_be16(lie + 2, 10);
		assert_int_equal(vpd_ids_decode(v, 8, &n_ids, lie, sizeof(lie)), 0);
		assert_int_equal(n_ids, 1);
	}
}

static void designator_of_largest_size(void **state)
{
	uint8_t page[4 + 4 + 255] = {0, 0x83, 1, 3, 0x03, 0x08, 0, 255};
	struct scsi_designator v[1];
	size_t n_ids;

	memset(page + 8, 'x', 255);
	assert_int_equal(vpd_ids_decode(v, 1, &n_ids, page, sizeof(page)), 0);
	assert_int_equal(n_ids, 1);
	assert_int_equal(v[0].n_bytes, 255);
	assert_int_equal(v[0].bytes[254], 'x');
}

static void block_limits(void **state)
{
	uint8_t page[64] = {0, 0xb0, 0, 60, 1};
	struct scsi_block_limits l;

	put_be16(page + 6, 8);
	put_be32(page + 8, 0x1000);
	put_be32(page + 12, 0x800);
	put_be32(page + 20, 0x2000);
	put_be32(page + 24, 3);
	put_be32(page + 28, 0x10);
	put_be32(page + 32, 0x80000004);
	put_be64(page + 36, 0x123456789a);
	assert_int_equal(vpd_block_limits_decode(&l, page, sizeof(page)), 0);
	assert_true(l.wsnz);
	assert_int_equal(l.optimal_granularity_blocks, 8);
	assert_int_equal(l.max_transfer_blocks, 0x1000);
	assert_int_equal(l.optimal_transfer_blocks, 0x800);
	assert_int_equal(l.max_unmap_blocks, 0x2000);
	assert_int_equal(l.max_unmap_descriptors, 3);
	assert_int_equal(l.unmap_granularity_blocks, 0x10);
	assert_true(l.has_unmap_alignment);
	assert_int_equal(l.unmap_alignment_blocks, 4);
	assert_true(l.max_write_same_blocks == 0x123456789a);

	EVERY_LENGTH(page, sizeof(page), p, n)
	{
		int r = vpd_block_limits_decode(&l, p, n);

		assert_int_equal(r, n < 4 ? -EBADMSG : 0);
		if (r)
			continue;
		assert_int_equal(l.max_transfer_blocks, n >= 12 ? 0x1000 : 0);
		assert_int_equal(l.max_unmap_blocks, n >= 24 ? 0x2000 : 0);
		assert_int_equal(l.max_unmap_descriptors, n >= 28 ? 3 : 0);
		assert_true(l.max_write_same_blocks == (n >= 44 ? 0x123456789a : 0));
	}

	/* the short page of SBC-2 */
	page[3] = 12;
	assert_int_equal(vpd_block_limits_decode(&l, page, sizeof(page)), 0);
	assert_int_equal(l.max_transfer_blocks, 0x1000);
	assert_int_equal(l.max_unmap_blocks, 0);
}

static void block_device_and_provisioning(void **state)
{
	static const uint8_t b1[] = {0, 0xb1, 0, 60, 0x1c, 0x20, 0, 0x02};
	static const uint8_t b2[] = {0, 0xb2, 0, 4, 0, 0xe6, 0x02, 0};
	static const uint8_t none[] = {0, 0xb2, 0, 4, 0, 0x18, 0x01, 0}; /* LBPRZ 110b */
	struct scsi_block_device d;
	struct scsi_provisioning v;

	assert_int_equal(vpd_block_device_decode(&d, b1, sizeof(b1)), 0);
	assert_int_equal(d.rotation_rpm, 7200);
	assert_int_equal(d.form_factor, 2);
	assert_int_equal(vpd_provisioning_decode(&v, b2, sizeof(b2)), 0);
	assert_true(v.unmap && v.write_same16_unmap && v.write_same10_unmap);
	assert_true(v.reads_zero && v.anchor);
	assert_int_equal(v.type, 2);
	assert_int_equal(vpd_provisioning_decode(&v, none, sizeof(none)), 0);
	assert_false(v.unmap || v.write_same16_unmap || v.reads_zero);
	EVERY_LENGTH(b1, sizeof(b1), p, n)
	assert_int_equal(vpd_block_device_decode(&d, p, n), n < 4 ? -EBADMSG : 0);
	EVERY_LENGTH(b2, sizeof(b2), p, n)
	{
		int r = vpd_provisioning_decode(&v, p, n);

		assert_int_equal(r, n < 4 ? -EBADMSG : 0);
		if (r == 0)
			assert_int_equal(v.unmap, n >= 6);
	}
}

static void capacity(void **state)
{
	static const uint8_t c10[] = {0, 0, 0x10, 0, 0, 0, 2, 0};
	uint8_t c16[32] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x10, 0, 0x01, 0x03, 0xc0, 0};
	struct scsi_capacity c;

	assert_int_equal(capacity10_decode(&c, c10, sizeof(c10)), 0);
	assert_int_equal(c.last_lba, 0x1000);
	assert_int_equal(c.block_bytes, 512);
	assert_false(c.provisioned);
	EVERY_LENGTH(c10, sizeof(c10), p, n)
	assert_int_equal(capacity10_decode(&c, p, n), n < 8 ? -EBADMSG : 0);

	assert_int_equal(capacity16_decode(&c, c16, sizeof(c16)), 0);
	assert_true(c.last_lba == 0x100000000);
	assert_int_equal(c.block_bytes, 4096);
	assert_int_equal(c.phys_exponent, 3);
	assert_true(c.provisioned && c.reads_zero && c.protection);
	EVERY_LENGTH(c16, sizeof(c16), p, n)
	{
		int r = capacity16_decode(&c, p, n);

		assert_int_equal(r, n < 12 ? -EBADMSG : 0);
		if (r)
			continue;
		assert_int_equal(c.phys_exponent, n > 13 ? 3 : 0);
		assert_int_equal(c.provisioned, n > 14);
	}
}

static void mode_pages(void **state)
{
	/* block descriptor, a page with subpage, page 8 */
	static const uint8_t m6[] = {0,    0, 0x90, 8,    0,    0,    0,    0,    0, 0, 2, 0, 0x5c,
				     0x01, 0, 2,    0xff, 0xff, 0x08, 0x12, 0x05, 0, 0, 0, 0, 0,
				     0,    0, 0,    0,    0,    0,    0,    0,    0, 0, 0, 0};
	uint8_t p6[sizeof(m6)], p10[8 + sizeof(m6) - 4] = {0};
	struct scsi_mode m;

	memcpy(p6, m6, sizeof(p6));
	p6[0] = sizeof(p6) - 1;
	assert_int_equal(mode6_decode(&m, p6, sizeof(p6)), 0);
	assert_true(m.write_protected && m.dpo_fua);
	assert_true(m.has_caching && m.write_cache && m.read_cache_off);
	EVERY_LENGTH(p6, sizeof(p6), p, n)
	{
		int r = mode6_decode(&m, p, n);

		assert_int_equal(r, n < 4 ? -EBADMSG : 0);
		if (r == 0)
			assert_int_equal(m.has_caching, n >= 21);
	}

	put_be16(p10, sizeof(p10) - 2);
	p10[3] = 0x80;
	put_be16(p10 + 6, 8);
	memcpy(p10 + 8, m6 + 4, sizeof(m6) - 4);
	assert_int_equal(mode10_decode(&m, p10, sizeof(p10)), 0);
	assert_true(m.write_protected && !m.dpo_fua);
	assert_true(m.has_caching && m.write_cache);
	EVERY_LENGTH(p10, sizeof(p10), p, n)
	{
		int r = mode10_decode(&m, p, n);

		assert_int_equal(r, n < 8 ? -EBADMSG : 0);
		if (r == 0)
			assert_int_equal(m.has_caching, n >= 25);
	}

	/* a subpage of page 8 is another page */
	{
		static const uint8_t sub[] = {9, 0, 0, 0, 0x48, 0x01, 0, 2, 0x04, 0};

		assert_int_equal(mode6_decode(&m, sub, sizeof(sub)), 0);
		assert_false(m.has_caching);
	}

	/* lies: descriptors longer than the data, a page longer than the data, mode data length 0
	 */
	p6[3] = 255;
	assert_int_equal(mode6_decode(&m, p6, sizeof(p6)), 0);
	assert_false(m.has_caching);
	p6[3] = 8;
	p6[19] = 255;
	assert_int_equal(mode6_decode(&m, p6, sizeof(p6)), 0);
	assert_true(m.has_caching);
	p6[0] = 0;
	assert_int_equal(mode6_decode(&m, p6, sizeof(p6)), -EBADMSG);
	put_be16(p10 + 6, 0xffff);
	assert_int_equal(mode10_decode(&m, p10, sizeof(p10)), 0);
	assert_false(m.has_caching);
	put_be16(p10, 2);
	assert_int_equal(mode10_decode(&m, p10, sizeof(p10)), -EBADMSG);
}

static void supported_op(void **state)
{
	static const uint8_t yes[] = {0, 0x03, 0, 16}, no[] = {0, 0x01, 0, 0},
			     odd[] = {0, 0x05, 0, 16};
	bool has = false;

	assert_int_equal(supported_op_decode(&has, yes, 3), -EBADMSG);
	assert_false(has);
	assert_int_equal(supported_op_decode(&has, yes, 4), 0);
	assert_true(has);
	assert_int_equal(supported_op_decode(&has, no, 4), 0);
	assert_false(has);
	assert_int_equal(supported_op_decode(&has, odd, 4), 0);
	assert_false(has); /* supported in the vendor's own way */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(standard_inquiry),
		cmocka_unit_test(page_list),
		cmocka_unit_test(serial),
		cmocka_unit_test(designators),
		cmocka_unit_test(designators_truncated),
		cmocka_unit_test(designator_of_largest_size),
		cmocka_unit_test(block_limits),
		cmocka_unit_test(block_device_and_provisioning),
		cmocka_unit_test(capacity),
		cmocka_unit_test(mode_pages),
		cmocka_unit_test(supported_op),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
