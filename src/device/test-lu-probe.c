/* SPDX-License-Identifier: MIT */
/*
 * lu_probe() and lu_report_luns() against targets that are described by what they
 * answer; like tgt, istgt, LIO, and worse ones.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "device/lu.h"
#include "scsi/cdb.h"
#include "scsi/lun.h"

/* Time does not pass in these tests; pauses are added up. */
static uint64_t slept_ns;

int __wrap_nanosleep(const struct timespec *req, struct timespec *rem);
int __wrap_nanosleep(const struct timespec *req, struct timespec *rem)
{
	slept_ns += (uint64_t)req->tv_sec * 1000000000u + (uint64_t)req->tv_nsec;
	return 0;
}

/* ---- a target ---------------------------------------------------------- */

struct page {
	uint8_t bytes[256];
	uint16_t n; /* 0: refused */
};

/* What happens to the commands before they are answered at all. */
struct trouble {
	uint8_t opcode; /* only this one; 0xff: any */
	unsigned n;     /* so many times */
	int error;      /* transport error, or … */
	uint8_t status, key, asc, ascq;
	uint8_t page; /* of INQUIRY; 0: any */
};

struct target {
	struct page inquiry, vpd[256], mode6[64], mode10[64];
	struct page cap10, cap16, ops;
	bool has_sync10, has_sync16;
	uint8_t *luns;               /* whole answer of REPORT LUNS */
	uint32_t n_luns, n_luns_max; /* what is sent at most; 0: no bound */
	struct trouble trouble[4];
	unsigned n_cmds;
	uint8_t seen[256]; /* count of each opcode */
	uint64_t lun;
};

static struct target t;

static void answer_sense(struct scsi_cmd *c, uint8_t key, uint8_t asc, uint8_t ascq)
{
	const uint8_t sense[18] = {0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq};

	c->status = SCSI_CHECK_CONDITION;
	memcpy(c->sense, sense, sizeof(sense));
	c->n_sense = sizeof(sense);
}

static void answer_bytes(struct scsi_cmd *c, const uint8_t *p, size_t n, size_t n_alloc)
{
	assert_int_equal(c->dir, SCSI_DIR_READ);
	assert_int_equal(c->n_iov, 1);
	assert_int_equal(c->iov[0].iov_len, c->n_data);
	/* what the CDB allows must have room in the buffer, and the other way round */
	assert_int_equal(n_alloc, c->n_data);
	if (n > n_alloc)
		n = n_alloc;
	memcpy(c->iov[0].iov_base, p, n);
	c->n_transferred = (uint32_t)n;
}

static void answer_page(struct scsi_cmd *c, const struct page *p, size_t n_alloc)
{
	if (p->n == 0)
		answer_sense(c, 5, 0x24, 0);
	else
		answer_bytes(c, p->bytes, p->n, n_alloc);
}

static bool in_trouble(struct scsi_cmd *c, int *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(t.trouble); i++) {
		struct trouble *x = &t.trouble[i];

		if (x->n == 0 || (x->opcode != 0xff && x->opcode != c->cdb[0]) ||
		    (x->page && (c->cdb[0] != SCSI_INQUIRY || c->cdb[2] != x->page)))
			continue;
		x->n--;
		*ret = x->error;
		c->error = x->error;
		c->status = x->status;
		if (!x->error && !x->status)
			answer_sense(c, x->key, x->asc, x->ascq);
		return true;
	}
	return false;
}

static int run(void *ctx, struct scsi_cmd *c)
{
	const uint8_t *b = c->cdb;
	int r = 0;

	assert_ptr_equal(ctx, &t);
	assert_true(c->probe);
	assert_int_equal(c->lun, t.lun);
	assert_true(c->timeout_ns > 0);
	assert_int_equal(c->n_cdb, cdb_length(b[0]));
	assert_true(++t.n_cmds < 1000);
	t.seen[b[0]]++;
	if (in_trouble(c, &r))
		return r;
	switch (b[0]) {
	case SCSI_INQUIRY:
		answer_page(c, b[1] & 1 ? &t.vpd[b[2]] : &t.inquiry, get_be16(b + 3));
		break;
	case SCSI_READ_CAPACITY_10: answer_page(c, &t.cap10, 8); break;
	case SCSI_SERVICE_ACTION_IN_16:
		assert_int_equal(b[1], 0x10);
		if (t.cap16.n)
			answer_page(c, &t.cap16, get_be32(b + 10));
		else
			answer_sense(c, 5, 0x20, 0);
		break;
	case SCSI_MODE_SENSE_6: answer_page(c, &t.mode6[b[2] & 0x3f], b[4]); break;
	case SCSI_MODE_SENSE_10: answer_page(c, &t.mode10[b[2] & 0x3f], get_be16(b + 7)); break;
	case SCSI_MAINTENANCE_IN:
		assert_int_equal(b[3], SCSI_WRITE_SAME_16);
		answer_page(c, &t.ops, get_be32(b + 6));
		break;
	case SCSI_SYNC_CACHE_10:
		if (!t.has_sync10)
			answer_sense(c, 5, 0x20, 0);
		break;
	case SCSI_SYNC_CACHE_16:
		if (!t.has_sync16)
			answer_sense(c, 5, 0x20, 0);
		break;
	case SCSI_REPORT_LUNS:
		if (t.luns)
			answer_bytes(c, t.luns,
				     t.n_luns_max && t.n_luns_max < t.n_luns ? t.n_luns_max
									     : t.n_luns,
				     get_be32(b + 6));
		else
			answer_sense(c, 5, 0x20, 0);
		break;
	default: answer_sense(c, 5, 0x20, 0); break;
	}
	return 0;
}

static const struct scsi_exec exec = {.run = run, .ctx = &t};

#define PAGE(to, ...)                                          \
	do {                                                   \
		static const uint8_t bytes_[] = {__VA_ARGS__}; \
		memcpy((to).bytes, bytes_, sizeof(bytes_));    \
		(to).n = sizeof(bytes_);                       \
	} while (0)

static void cap16_set(uint64_t last_lba, uint32_t block_bytes, uint8_t exponent, uint8_t flags)
{
	t.cap16.n = 32;
	put_be64(t.cap16.bytes, last_lba);
	put_be32(t.cap16.bytes + 8, block_bytes);
	t.cap16.bytes[13] = exponent;
	t.cap16.bytes[14] = flags;
}

/* A thin disk that has everything. */
static int setup(void **state)
{
	memset(&t, 0, sizeof(t));
	slept_ns = 0;
	t.lun = lun_from_number(1);
	PAGE(t.inquiry, 0, 0, 6, 2, 31, 0, 0, 0, 'A', 'C', 'M', 'E', ' ', ' ', ' ', ' ', 'D', 'I',
	     'S', 'K', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', '1', '.', '0',
	     ' ');
	PAGE(t.vpd[0x00], 0, 0, 0, 6, 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2);
	PAGE(t.vpd[0x80], 0, 0x80, 0, 4, 'S', 'N', '7', ' ');
	PAGE(t.vpd[0x83], 0, 0x83, 0, 12, 1, 3, 0, 8, 0x60, 1, 2, 3, 4, 5, 6, 7);
	t.vpd[0xb0].n = 64;
	t.vpd[0xb0].bytes[1] = 0xb0;
	t.vpd[0xb0].bytes[3] = 60;
	put_be32(t.vpd[0xb0].bytes + 8, 0x100);
	put_be32(t.vpd[0xb0].bytes + 20, 0x2000);
	put_be32(t.vpd[0xb0].bytes + 24, 5);
	put_be32(t.vpd[0xb0].bytes + 28, 8);
	put_be64(t.vpd[0xb0].bytes + 36, 0x4000);
	PAGE(t.vpd[0xb1], 0, 0xb1, 0, 60, 0, 1);
	PAGE(t.vpd[0xb2], 0, 0xb2, 0, 4, 0, 0xc4, 2, 0);
	cap16_set(0x1fffff, 512, 3, 0xc0);
	PAGE(t.cap10, 0, 0x1f, 0xff, 0xff, 0, 0, 2, 0);
	PAGE(t.mode6[8], 23, 0, 0x10, 0, 0x08, 0x12, 0x04);
	t.mode6[8].n = 24;
	return 0;
}

static void full_disk(void **state)
{
	struct lu_info i;

	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_true(i.lun == t.lun);
	assert_int_equal(i.device_type, 0);
	assert_string_equal(i.vendor, "ACME");
	assert_string_equal(i.product, "DISK");
	assert_string_equal(i.revision, "1.0");
	assert_string_equal(i.serial, "SN7");
	assert_int_equal(i.n_id, 1);
	assert_int_equal(i.id[0].type, SCSI_ID_NAA);
	assert_true(i.limits.n_bytes == UINT64_C(0x200000) * 512);
	assert_int_equal(i.limits.block_bytes, 512);
	assert_int_equal(i.limits.phys_block_bytes, 4096);
	assert_int_equal(i.limits.max_transfer_bytes, 0x100 * 512);
	assert_false(i.limits.read_only);
	assert_true(i.limits.write_cache && i.dpo_fua);
	assert_true(i.can_unmap && i.can_write_same16 && i.can_write_same16_unmap);
	assert_true(i.reads_zero_after_unmap);
	assert_int_equal(i.max_unmap_blocks, 0x2000);
	assert_int_equal(i.max_unmap_descriptors, 5);
	assert_int_equal(i.unmap_granularity_blocks, 8);
	assert_true(i.max_write_same_blocks == 0x4000);
	assert_true(i.limits.can_discard && i.limits.can_write_zeroes && i.limits.discard_zeroes);
	assert_int_equal(slept_ns, 0);
	assert_int_equal(t.seen[SCSI_SYNC_CACHE_10], 0);
}

static void old_disk_that_refuses_everything_optional(void **state)
{
	struct lu_info i;

	for (unsigned p = 0; p < 256; p++)
		t.vpd[p].n = 0;
	t.cap16.n = 0;
	t.mode6[8].n = 0;
	t.has_sync10 = true;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_int_equal(i.n_id, 0);
	assert_string_equal(i.serial, "");
	assert_true(i.limits.n_bytes == UINT64_C(0x200000) * 512);
	assert_int_equal(i.limits.phys_block_bytes, 512);
	assert_true(i.limits.max_transfer_bytes >= 64 * 1024);
	assert_false(i.can_unmap || i.can_write_same16 || i.can_write_same16_unmap);
	assert_false(i.limits.can_discard || i.limits.can_write_zeroes || i.dpo_fua);
	/* nothing said, but it can empty a cache */
	assert_true(i.limits.write_cache);
	t.has_sync10 = false;
	t.has_sync16 = true;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_true(i.limits.write_cache);
	t.has_sync16 = false;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_false(i.limits.write_cache);
}

static void identity_without_a_list_of_pages(void **state)
{
	struct lu_info i;

	t.vpd[0x00].n = 0;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_int_equal(i.n_id, 1);
	assert_string_equal(i.serial, "SN7");
	/* the list is nonsense */
	t.vpd[0x00] = t.inquiry;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_int_equal(i.n_id, 1);
}

static void pages_not_listed_are_not_asked_for(void **state)
{
	struct lu_info i;

	t.vpd[0x00].bytes[3] = 2;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_string_equal(i.serial, "SN7");
	assert_int_equal(i.n_id, 0);
	assert_int_equal(t.seen[SCSI_INQUIRY], 3);
}

/* A listed page that is refused all the same, and one that is another page. */
static void pages_that_lie(void **state)
{
	struct lu_info i;

	t.vpd[0xb0].n = 0;
	t.vpd[0x80].bytes[1] = 0x83;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_string_equal(i.serial, "");
	assert_int_equal(i.max_unmap_blocks, 0);
	assert_true(i.can_unmap);
}

static void capacity(void **state)
{
	static const struct {
		uint64_t last_lba;
		uint32_t block;
		uint8_t exponent;
		int r;
		uint64_t n_bytes;
		uint32_t phys;
	} row[] = {
		{0x1fffff, 4096, 0, 0, UINT64_C(0x200000) * 4096, 4096},
		{0, 512, 0, 0, 512, 512},
		{UINT64_C(0x1ffffffff), 512, 3, 0, UINT64_C(0x200000000) * 512, 4096},
		{0xffffffff, 512, 3, 0, UINT64_C(0x100000000) * 512, 4096},
		{0xff, 512, 15, 0, 0x100 * 512, 512}, /* physical blocks of 16 MiB: not believed */
		{0xff, 520, 0, 0, 0, 520},            /* not blocks a disk is made of here */
		{0xff, 2048, 0, 0, 0x100 * 2048, 2048},
		{0xff, 8192, 0, 0, 0, 8192},
		{0xff, 0, 0, -EIO, 0, 0},
		{UINT64_MAX, 512, 0, -EOVERFLOW, 0, 0},
		{INT64_MAX / 512, 512, 0, -EOVERFLOW, 0, 0},
		{INT64_MAX / 512 - 1, 512, 0, 0, (uint64_t)(INT64_MAX / 512) * 512, 512},
	};

	for (size_t k = 0; k < ARRAY_SIZE(row); k++) {
		struct lu_info i;

		cap16_set(row[k].last_lba, row[k].block, row[k].exponent, 0);
		assert_int_equal(lu_probe(&i, &exec, t.lun), row[k].r);
		if (row[k].r)
			continue;
		assert_true(i.limits.n_bytes == row[k].n_bytes);
		assert_int_equal(i.limits.block_bytes, row[k].block);
		assert_int_equal(i.limits.phys_block_bytes, row[k].phys);
		assert_false(i.can_unmap); /* not thin: whatever the pages say */
	}
	/* only the short command, and the unit is too large for it */
	t.cap16.n = 0;
	memset(t.cap10.bytes, 0xff, 4);
	assert_int_equal(lu_probe(&(struct lu_info){0}, &exec, t.lun), -EOVERFLOW);
}

static void write_protection_and_caching(void **state)
{
	struct lu_info i;

	t.mode6[8].bytes[2] = 0x80;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_true(i.limits.read_only && !i.dpo_fua);
	assert_false(i.limits.can_discard || i.limits.can_write_zeroes || i.limits.discard_zeroes);
	assert_true(i.can_unmap);

	/* no caching page: the header of all pages still tells; nothing is written to a protected
	 * unit */
	t.mode6[8].n = 0;
	PAGE(t.mode6[0x3f], 3, 0, 0x80, 0);
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_true(i.limits.read_only);
	assert_int_equal(t.seen[SCSI_SYNC_CACHE_10], 0);

	/* the ten byte command only */
	t.mode6[0x3f].n = 0;
	PAGE(t.mode10[8], 0, 26, 0, 0x10, 0, 0, 0, 0, 0x08, 0x12, 0x04, 0);
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_true(i.limits.write_cache && i.dpo_fua && !i.limits.read_only);

	/* cache off */
	t.mode10[8].bytes[10] = 0;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_false(i.limits.write_cache);
}

static void provisioning(void **state)
{
	struct lu_info i;

	/* before the page existed: by READ CAPACITY and the limits */
	t.vpd[0x00].bytes[3] = 5;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_true(i.can_unmap && !i.can_write_same16_unmap && i.can_write_same16);
	assert_true(i.reads_zero_after_unmap);
	assert_false(i.limits.discard_zeroes);
	/* zeros after unmap are promised nowhere */
	setup(NULL);
	t.vpd[0xb2].bytes[5] = 0xc0;
	t.cap16.bytes[14] = 0x80;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_false(i.reads_zero_after_unmap);
	assert_false(i.limits.discard_zeroes);
	assert_true(i.limits.can_discard && i.limits.can_write_zeroes);
	/* by the page alone */
	t.vpd[0xb2].bytes[5] = 0xc4;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_true(i.reads_zero_after_unmap);
}

static void write_same_is_asked_for(void **state)
{
	struct lu_info i;

	put_be64(t.vpd[0xb0].bytes + 36, 0);
	cap16_set(0xff, 512, 0, 0);
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_false(i.can_write_same16);
	PAGE(t.ops, 0, 3, 0, 16);
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_true(i.can_write_same16);
	t.ops.bytes[1] = 1;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_false(i.can_write_same16);
}

static void no_unit_and_other_units(void **state)
{
	struct lu_info i = {.n_id = 77};

	t.inquiry.bytes[0] = 0x7f;
	assert_int_equal(lu_probe(&i, &exec, t.lun), -ENODEV);
	t.inquiry.bytes[0] = 0x20; /* could be connected, is not */
	assert_int_equal(lu_probe(&i, &exec, t.lun), -ENODEV);
	t.inquiry.bytes[0] = 0x1f;
	assert_int_equal(lu_probe(&i, &exec, t.lun), -ENODEV);
	assert_int_equal(i.n_id, 77); /* untouched */
	/* a controller, as LUN 0 of tgt */
	t.inquiry.bytes[0] = 0x0c;
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_int_equal(i.device_type, 0x0c);
	assert_true(i.limits.n_bytes == 0);
	assert_int_equal(i.n_id, 1);
	assert_int_equal(t.seen[SCSI_SERVICE_ACTION_IN_16], 0);
	t.inquiry.n = 4;
	assert_int_equal(lu_probe(&i, &exec, t.lun), -EIO);
}

static void unit_attentions_on_the_way(void **state)
{
	struct lu_info i;

	/* each command meets some */
	t.trouble[0] = (struct trouble){.opcode = SCSI_INQUIRY, .n = 3, .key = 6, .asc = 0x29};
	t.trouble[1] = (struct trouble){
		.opcode = SCSI_SERVICE_ACTION_IN_16, .n = 16, .key = 6, .asc = 0x3f, .ascq = 0x0e};
	t.trouble[2] = (struct trouble){.opcode = SCSI_MODE_SENSE_6, .n = 1, .key = 6, .asc = 0x2a};
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_true(i.limits.n_bytes > 0);
	assert_true(i.limits.write_cache);
	assert_int_equal(slept_ns, 0);
	/* without end */
	t.trouble[0] = (struct trouble){.opcode = 0xff, .n = 900, .key = 6, .asc = 0x29};
	t.n_cmds = 0;
	assert_int_equal(lu_probe(&i, &exec, t.lun), -EIO);
	assert_true(t.n_cmds < 30);
}

static void busy_on_the_way(void **state)
{
	struct lu_info i;

	t.trouble[0] = (struct trouble){.opcode = 0xff, .n = 3, .status = SCSI_BUSY};
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	assert_in_range(slept_ns / 1000000, 60, 1000);
	/* becoming ready */
	t.trouble[0] = (struct trouble){
		.opcode = SCSI_SERVICE_ACTION_IN_16, .n = 5, .key = 2, .asc = 4, .ascq = 1};
	assert_int_equal(lu_probe(&i, &exec, t.lun), 0);
	/* without end: a few seconds */
	slept_ns = 0;
	t.trouble[0] = (struct trouble){.opcode = 0xff, .n = 900, .status = SCSI_BUSY};
	assert_int_equal(lu_probe(&i, &exec, t.lun), -EIO);
	assert_in_range(slept_ns / 1000000, 2000, 10000);
}

/* What could not be asked is not "no": the probe fails at once, whichever command it is. */
static void transport_trouble_at_every_command(void **state)
{
	static const int errors[] = {-EIO, -ETIMEDOUT, -ECANCELED};

	for (size_t e = 0; e < ARRAY_SIZE(errors); e++) {
		static const uint8_t ops[] = {SCSI_INQUIRY, SCSI_SERVICE_ACTION_IN_16,
					      SCSI_MODE_SENSE_6};
		static const uint8_t pages[] = {0x80, 0x83, 0xb0, 0xb2};
		struct lu_info i;

		for (size_t k = 0; k < ARRAY_SIZE(ops); k++) {
			setup(NULL);
			t.trouble[0] =
				(struct trouble){.opcode = ops[k], .n = 1, .error = errors[e]};
			assert_int_equal(lu_probe(&i, &exec, t.lun), errors[e]);
		}
		for (size_t k = 0; k < ARRAY_SIZE(pages); k++) {
			setup(NULL);
			t.trouble[0] = (struct trouble){.opcode = SCSI_INQUIRY,
							.page = pages[k],
							.n = 1,
							.error = errors[e]};
			assert_int_equal(lu_probe(&i, &exec, t.lun), errors[e]);
		}
	}
}

static void no_medium(void **state)
{
	struct lu_info i;

	t.trouble[0] = (struct trouble){
		.opcode = SCSI_SERVICE_ACTION_IN_16, .n = 1, .key = 2, .asc = 0x3a};
	assert_int_equal(lu_probe(&i, &exec, t.lun), -ENOMEDIUM);
	t.trouble[0] = (struct trouble){.opcode = SCSI_INQUIRY, .n = 1, .key = 5, .asc = 0x25};
	assert_int_equal(lu_probe(&i, &exec, t.lun), -ENODEV);
	t.trouble[0] =
		(struct trouble){.opcode = 0xff, .n = 1, .status = SCSI_RESERVATION_CONFLICT};
	assert_int_equal(lu_probe(&i, &exec, t.lun), -EBADE);
}

/* ---- lists ------------------------------------------------------------- */

static void luns_set(const uint64_t *v, uint32_t n)
{
	t.lun = 0;
	t.n_luns = 8 + 8 * n;
	t.luns = realloc(t.luns, t.n_luns);
	memset(t.luns, 0, 8);
	put_be32(t.luns, 8 * n);
	for (uint32_t i = 0; i < n; i++)
		lun_put(t.luns + 8 + 8 * i, v[i]);
}

static int teardown(void **state)
{
	free(t.luns);
	t.luns = NULL;
	return 0;
}

static void luns_ascending_and_once(void **state)
{
	const uint64_t v[] = {lun_from_number(300), UINT64_C(0xc101000000000000),
			      lun_from_number(2),   0,
			      lun_from_number(2),   UINT64_MAX};
	uint64_t *luns;
	size_t n;

	luns_set(v, ARRAY_SIZE(v));
	t.trouble[0] = (struct trouble){.opcode = 0xff, .n = 2, .key = 6, .asc = 0x29};
	assert_int_equal(lu_report_luns(&exec, &luns, &n), 0);
	assert_int_equal(n, 3);
	assert_true(luns[0] == 0 && luns[1] == lun_from_number(2) &&
		    luns[2] == lun_from_number(300));
	free(luns);

	luns_set(v, 0);
	assert_int_equal(lu_report_luns(&exec, &luns, &n), 0);
	assert_int_equal(n, 0);
	free(luns);
}

static void luns_of_large_targets(void **state)
{
	static uint64_t v[16385];
	uint64_t *luns;
	size_t n;

	for (uint32_t i = 0; i < ARRAY_SIZE(v); i++)
		v[i] = lun_from_number((uint32_t)ARRAY_SIZE(v) - 1 - i);
	luns_set(v, 600);
	assert_int_equal(lu_report_luns(&exec, &luns, &n), 0);
	assert_int_equal(n, 600);
	assert_true(luns[0] == v[599]);
	free(luns);
	luns_set(v, 16384);
	assert_int_equal(lu_report_luns(&exec, &luns, &n), 0);
	assert_int_equal(n, 16384);
	free(luns);
	luns_set(v, 16385);
	luns = NULL;
	assert_int_equal(lu_report_luns(&exec, &luns, &n), -E2BIG);
	assert_null(luns);
}

static void luns_refused_or_broken(void **state)
{
	const uint64_t v[] = {0, lun_from_number(1), lun_from_number(2)};
	uint64_t *luns;
	size_t n;

	t.lun = 0;
	assert_int_equal(lu_report_luns(&exec, &luns, &n), 0);
	assert_int_equal(n, 1);
	assert_true(luns[0] == 0);
	free(luns);

	/* less sent than promised: not a shorter list */
	luns_set(v, 3);
	t.n_luns_max = 8 + 16;
	assert_int_equal(lu_report_luns(&exec, &luns, &n), -EIO);
	t.n_luns_max = 7;
	assert_int_equal(lu_report_luns(&exec, &luns, &n), -EIO);
	t.n_luns_max = 0;
	t.trouble[0] = (struct trouble){.opcode = 0xff, .n = 1, .error = -ETIMEDOUT};
	assert_int_equal(lu_report_luns(&exec, &luns, &n), -ETIMEDOUT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(full_disk),
		T(old_disk_that_refuses_everything_optional),
		T(identity_without_a_list_of_pages),
		T(pages_not_listed_are_not_asked_for),
		T(pages_that_lie),
		T(capacity),
		T(write_protection_and_caching),
		T(provisioning),
		T(write_same_is_asked_for),
		T(no_unit_and_other_units),
		T(unit_attentions_on_the_way),
		T(busy_on_the_way),
		T(transport_trouble_at_every_command),
		T(no_medium),
		T(luns_ascending_and_once),
		T(luns_of_large_targets),
		T(luns_refused_or_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
