/* SPDX-License-Identifier: MIT */
/* Sense formats, their truncation at every length, and every row of the verdict. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "scsi/cdb.h"
#include "scsi/sense.h"

static const uint8_t fixed[18] = {0xf0, 0, 0x03, 0x00, 0x01, 0x02, 0x03, 10, 0,
				  0,    0, 0,    0x11, 0x04, 0,    0,    0,  0};
static const uint8_t descr[] = {0x72, 0x03, 0x11, 0x04, 0, 0, 0, 16, /* header */
				0x02, 0x02, 0xaa, 0xbb,              /* something else */
				0x00, 0x0a, 0x80, 0,    0, 0, 0, 1,  2, 3, 4, 5};

static void formats(void **state)
{
	uint8_t copy[sizeof(fixed)];
	struct scsi_sense s;

	assert_int_equal(sense_decode(&s, fixed, sizeof(fixed)), 0);
	assert_false(s.deferred);
	assert_int_equal(s.key, SENSE_MEDIUM_ERROR);
	assert_int_equal(s.asc, 0x11);
	assert_int_equal(s.ascq, 0x04);
	assert_true(s.has_information);
	assert_int_equal(s.information, 0x00010203);

	assert_int_equal(sense_decode(&s, descr, sizeof(descr)), 0);
	assert_false(s.deferred);
	assert_int_equal(s.key, SENSE_MEDIUM_ERROR);
	assert_int_equal(s.asc, 0x11);
	assert_int_equal(s.ascq, 0x04);
	assert_true(s.has_information);
	assert_int_equal(s.information, 0x0102030405);

	memcpy(copy, fixed, sizeof(copy));
	copy[0] = 0x71; /* deferred, no information */
	assert_int_equal(sense_decode(&s, copy, sizeof(copy)), 0);
	assert_true(s.deferred);
	assert_false(s.has_information);
	copy[0] = 0x73;
	assert_int_equal(sense_decode(&s, copy, sizeof(copy)), 0);
	assert_true(s.deferred);

	copy[0] = 0x70;
	copy[7] = 4; /* the unit says that ASC was not sent */
	assert_int_equal(sense_decode(&s, copy, sizeof(copy)), 0);
	assert_int_equal(s.asc, 0);
}

static void not_sense(void **state)
{
	static const uint8_t zero[18];
	static const uint8_t vendor[18] = {0x7f};
	struct scsi_sense s = {.key = 0x77};

	assert_int_equal(sense_decode(&s, NULL, 0), -ENODATA);
	assert_int_equal(sense_decode(&s, zero, sizeof(zero)), -ENODATA);
	assert_int_equal(sense_decode(&s, vendor, sizeof(vendor)), -EBADMSG);
	assert_int_equal(s.key, 0x77); /* untouched */
}

/* A buffer of exactly that size, so that a sanitizer sees the first byte too far. */
static void truncated(void **state)
{
	for (size_t n = 1; n <= sizeof(fixed); n++) {
		CLEANUP(freep) uint8_t *p = malloc(n);
		struct scsi_sense s;

		memcpy(p, fixed, n);
		assert_int_equal(sense_decode(&s, p, n), 0);
		assert_int_equal(s.key, n > 2 ? 3 : 0);
		assert_int_equal(s.has_information, n >= 7);
		assert_int_equal(s.asc, n > 12 ? 0x11 : 0);
		assert_int_equal(s.ascq, n > 13 ? 0x04 : 0);
	}
	for (size_t n = 1; n <= sizeof(descr); n++) {
		CLEANUP(freep) uint8_t *p = malloc(n);
		struct scsi_sense s;

		memcpy(p, descr, n);
		assert_int_equal(sense_decode(&s, p, n), 0);
		assert_int_equal(s.key, n > 1 ? 3 : 0);
		assert_int_equal(s.asc, n > 2 ? 0x11 : 0);
		assert_int_equal(s.has_information, n == sizeof(descr));
	}
}

static void lying_lengths(void **state)
{
	uint8_t p[sizeof(descr)];
	struct scsi_sense s;

	memcpy(p, descr, sizeof(p));
	p[7] = 255;
	assert_int_equal(sense_decode(&s, p, sizeof(p)), 0);
	assert_true(s.has_information);
	p[9] = 255; /* first descriptor runs out of the data */
	assert_int_equal(sense_decode(&s, p, sizeof(p)), 0);
	assert_false(s.has_information);
	p[7] = 3; /* shorter than one descriptor */
	p[9] = 2;
	assert_int_equal(sense_decode(&s, p, sizeof(p)), 0);
	assert_false(s.has_information);
}

#define OK      SCSI_ACT_OK
#define NOW     SCSI_ACT_RETRY
#define LATER   SCSI_ACT_RETRY_LATER
#define FAIL    SCSI_ACT_FAIL

#define F_UA    1
#define F_UNSUP 2
#define F_PATH  4

struct verdict_row {
	uint8_t key, asc, ascq;
	uint8_t opcode;
	enum scsi_action action;
	int error;
	enum scsi_notice notice;
	unsigned flags;
};

#define READ  SCSI_READ_10
#define WRITE SCSI_WRITE_16

static const struct verdict_row rows[] = {
	{0x0, 0x00, 0x00, READ, OK, 0, 0, 0},
	{0x1, 0x17, 0x01, READ, OK, 0, 0, 0},
	{0x1, 0x5d, 0x00, READ, OK, 0, 0, 0},
	{0xf, 0x00, 0x00, READ, OK, 0, 0, 0},

	{0x2, 0x04, 0x00, READ, LATER, -EIO, 0, 0},
	{0x2, 0x04, 0x01, READ, LATER, -EIO, 0, 0},
	{0x2, 0x04, 0x02, READ, FAIL, -EIO, 0, 0},
	{0x2, 0x04, 0x03, READ, FAIL, -EIO, 0, 0},
	{0x2, 0x04, 0x04, READ, LATER, -EIO, 0, 0},
	{0x2, 0x04, 0x07, READ, LATER, -EIO, 0, 0},
	{0x2, 0x04, 0x09, READ, LATER, -EIO, 0, 0},
	{0x2, 0x04, 0x0a, READ, LATER, -EIO, 0, F_PATH},
	{0x2, 0x04, 0x0b, READ, FAIL, -EIO, 0, F_PATH},
	{0x2, 0x04, 0x0c, READ, FAIL, -EIO, 0, F_PATH},
	{0x2, 0x04, 0x12, READ, FAIL, -EIO, 0, 0},
	{0x2, 0x04, 0x14, WRITE, LATER, -EIO, 0, 0},
	{0x2, 0x04, 0x1b, WRITE, LATER, -EIO, 0, 0},
	{0x2, 0x08, 0x00, READ, LATER, -EIO, 0, 0},
	{0x2, 0x3e, 0x00, READ, LATER, -EIO, 0, 0},
	{0x2, 0x3a, 0x00, READ, FAIL, -ENOMEDIUM, 0, 0},
	{0x2, 0x3a, 0x02, READ, FAIL, -ENOMEDIUM, 0, 0},
	{0x2, 0x30, 0x00, READ, FAIL, -EIO, 0, 0},

	{0x3, 0x11, 0x00, READ, FAIL, -ENODATA, 0, 0},
	{0x3, 0x11, 0x04, READ, FAIL, -ENODATA, 0, 0},
	{0x3, 0x13, 0x00, READ, FAIL, -ENODATA, 0, 0},
	{0x3, 0x14, 0x01, READ, FAIL, -ENODATA, 0, 0},
	{0x3, 0x10, 0x00, READ, NOW, -EIO, 0, 0},
	{0x3, 0x0c, 0x02, WRITE, NOW, -EIO, 0, 0},
	{0x4, 0x44, 0x00, READ, NOW, -EREMOTEIO, 0, 0},

	{0x5, 0x10, 0x01, WRITE, FAIL, -EILSEQ, 0, 0},
	{0x5, 0x1a, 0x00, SCSI_UNMAP, FAIL, -EOPNOTSUPP, 0, F_UNSUP},
	{0x5, 0x20, 0x00, SCSI_UNMAP, FAIL, -EOPNOTSUPP, 0, F_UNSUP},
	{0x5, 0x20, 0x00, SCSI_WRITE_SAME_16, FAIL, -EOPNOTSUPP, 0, F_UNSUP},
	{0x5, 0x20, 0x00, SCSI_SYNC_CACHE_10, FAIL, -EOPNOTSUPP, 0, F_UNSUP},
	{0x5, 0x20, 0x00, READ, FAIL, -EREMOTEIO, 0, F_UNSUP},
	{0x5, 0x20, 0x02, WRITE, FAIL, -EACCES, 0, 0},
	{0x5, 0x21, 0x00, WRITE, FAIL, -EIO, SCSI_NOTICE_CAPACITY_CHANGED, 0},
	{0x5, 0x24, 0x00, SCSI_INQUIRY, FAIL, -EOPNOTSUPP, 0, F_UNSUP},
	{0x5, 0x24, 0x00, WRITE, FAIL, -EREMOTEIO, 0, F_UNSUP},
	{0x5, 0x25, 0x00, READ, FAIL, -ENODEV, SCSI_NOTICE_LUNS_CHANGED, 0},
	{0x5, 0x26, 0x00, SCSI_UNMAP, FAIL, -EOPNOTSUPP, 0, F_UNSUP},
	{0x5, 0x27, 0x00, WRITE, FAIL, -EROFS, SCSI_NOTICE_WRITE_PROTECTED, 0},
	{0x5, 0x2c, 0x00, WRITE, FAIL, -EREMOTEIO, 0, 0},

	{0x6, 0x27, 0x01, WRITE, NOW, -EIO, SCSI_NOTICE_WRITE_PROTECTED, F_UA},
	{0x6, 0x28, 0x00, READ, NOW, -EIO, SCSI_NOTICE_INQUIRY_CHANGED, F_UA},
	{0x6, 0x29, 0x00, READ, NOW, -EIO, SCSI_NOTICE_RESET, F_UA},
	{0x6, 0x29, 0x07, READ, NOW, -EIO, SCSI_NOTICE_RESET, F_UA},
	{0x6, 0x2a, 0x01, READ, NOW, -EIO, SCSI_NOTICE_MODE_CHANGED, F_UA},
	{0x6, 0x2a, 0x03, READ, NOW, -EIO, SCSI_NOTICE_NONE, F_UA},
	{0x6, 0x2a, 0x06, READ, NOW, -EIO, SCSI_NOTICE_NONE, F_UA},
	{0x6, 0x2a, 0x09, READ, NOW, -EIO, SCSI_NOTICE_CAPACITY_CHANGED, F_UA},
	{0x6, 0x2f, 0x00, READ, NOW, -EIO, SCSI_NOTICE_NONE, F_UA},
	{0x6, 0x38, 0x07, WRITE, NOW, -EIO, SCSI_NOTICE_NONE, F_UA},
	{0x6, 0x3f, 0x01, READ, NOW, -EIO, SCSI_NOTICE_INQUIRY_CHANGED, F_UA},
	{0x6, 0x3f, 0x03, READ, NOW, -EIO, SCSI_NOTICE_INQUIRY_CHANGED, F_UA},
	{0x6, 0x3f, 0x05, READ, NOW, -EIO, SCSI_NOTICE_INQUIRY_CHANGED, F_UA},
	{0x6, 0x3f, 0x0e, READ, NOW, -EIO, SCSI_NOTICE_LUNS_CHANGED, F_UA},
	{0x6, 0x5a, 0x02, WRITE, NOW, -EIO, SCSI_NOTICE_WRITE_PROTECTED, F_UA},
	{0x6, 0xff, 0xff, READ, NOW, -EIO, SCSI_NOTICE_NONE, F_UA},

	{0x7, 0x27, 0x00, WRITE, FAIL, -EROFS, SCSI_NOTICE_WRITE_PROTECTED, 0},
	{0x7, 0x27, 0x02, WRITE, FAIL, -EROFS, SCSI_NOTICE_WRITE_PROTECTED, 0},
	{0x7, 0x27, 0x07, WRITE, FAIL, -ENOSPC, 0, 0},
	{0x7, 0x00, 0x00, WRITE, FAIL, -EROFS, 0, 0},
	{0x7, 0x00, 0x00, READ, FAIL, -EACCES, 0, 0},
	{0x7, 0x74, 0x71, WRITE, FAIL, -EACCES, 0, 0},

	{0x8, 0x00, 0x00, READ, FAIL, -EREMOTEIO, 0, 0},
	{0x9, 0x80, 0x00, READ, FAIL, -EIO, 0, 0},
	{0xa, 0x0d, 0x00, READ, FAIL, -EREMOTEIO, 0, 0},
	{0xb, 0x10, 0x03, READ, FAIL, -EILSEQ, 0, 0},
	{0xb, 0x0c, 0x0d, WRITE, NOW, -EREMOTEIO, 0, 0},
	{0xb, 0x47, 0x05, READ, NOW, -EREMOTEIO, 0, 0},
	{0xc, 0x00, 0x00, READ, FAIL, -EIO, 0, 0},
	{0xd, 0x00, 0x00, WRITE, FAIL, -ENOSPC, 0, 0},
	{0xe, 0x1d, 0x00, SCSI_COMPARE_AND_WRITE, FAIL, -EILSEQ, 0, 0},
};

static void row_check(const struct verdict_row *r, const uint8_t *sense, size_t n)
{
	struct scsi_verdict v = scsi_judge(SCSI_CHECK_CONDITION, sense, n, r->opcode);

	if (v.action != r->action || v.error != r->error || v.notice != r->notice)
		print_error("%x/%02x/%02x op %02x: action %d error %d notice %d\n", r->key, r->asc,
			    r->ascq, r->opcode, v.action, v.error, v.notice);
	assert_int_equal(v.action, r->action);
	assert_int_equal(v.error, r->error);
	assert_int_equal(v.notice, r->notice);
	assert_int_equal(v.unit_attention, r->flags & F_UA ? 1 : 0);
	assert_int_equal(v.unsupported, r->flags & F_UNSUP ? 1 : 0);
	assert_int_equal(v.other_path, r->flags & F_PATH ? 1 : 0);
	assert_int_equal(v.lost_error, 0);
}

static void verdict_of_sense(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct verdict_row *r = &rows[i];
		uint8_t f[18] = {0x70, 0, r->key, 0, 0, 0, 0, 10, 0, 0, 0, 0, r->asc, r->ascq};
		uint8_t d[8] = {0x72, r->key, r->asc, r->ascq};

		row_check(r, f, sizeof(f));
		row_check(r, d, sizeof(d));
	}
}

static void verdict_of_status(void **state)
{
	static const struct {
		uint8_t status;
		enum scsi_action action;
		int error;
	} row[] = {
		{SCSI_GOOD, OK, 0},
		{SCSI_CONDITION_MET, OK, 0},
		{SCSI_BUSY, LATER, -EIO},
		{SCSI_TASK_SET_FULL, LATER, -EIO},
		{SCSI_ACA_ACTIVE, LATER, -EIO},
		{SCSI_TASK_ABORTED, NOW, -EREMOTEIO},
		{SCSI_RESERVATION_CONFLICT, FAIL, -EBADE},
		{SCSI_CHECK_CONDITION, NOW, -EIO}, /* without sense */
		{0x22, FAIL, -EIO},
		{0xff, FAIL, -EIO},
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct scsi_verdict v = scsi_judge(row[i].status, NULL, 0, READ);

		assert_int_equal(v.action, row[i].action);
		assert_int_equal(v.error, row[i].error);
		assert_int_equal(v.notice, SCSI_NOTICE_NONE);
	}
}

/* Every answer has a verdict that is consistent in itself. */
static void verdict_is_total(void **state)
{
	for (unsigned key = 0; key < 16; key++)
		for (unsigned asc = 0; asc < 256; asc++)
			for (unsigned ascq = 0; ascq < 256; ascq++) {
				uint8_t d[8] = {0x72, (uint8_t)key, (uint8_t)asc, (uint8_t)ascq};
				struct scsi_verdict v =
					scsi_judge(SCSI_CHECK_CONDITION, d, sizeof(d), WRITE);

				if ((v.action == OK) != (v.error == 0) || v.error > 0)
					fail_msg("%x/%02x/%02x", key, asc, ascq);
			}
}

static void deferred_errors_are_about_earlier_writes(void **state)
{
	static const struct {
		uint8_t key, asc, ascq;
		int lost;
	} row[] = {
		{0x3, 0x0c, 0x02, -EIO}, {0x4, 0x44, 0x00, -EREMOTEIO}, {0x7, 0x27, 0x07, -ENOSPC},
		{0x2, 0x04, 0x12, -EIO}, {0x1, 0x17, 0x00, 0},          {0x0, 0x00, 0x00, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		uint8_t d[8] = {0x73, row[i].key, row[i].asc, row[i].ascq};
		struct scsi_verdict v = scsi_judge(SCSI_CHECK_CONDITION, d, sizeof(d), READ);

		assert_int_equal(v.action, NOW);
		assert_int_equal(v.lost_error, row[i].lost);
	}
}

static void words(void **state)
{
	char buf[128];
	static const uint8_t odd[8] = {0x73, 0x4, 0xee, 0xee};

	scsi_answer_text(buf, sizeof(buf), SCSI_CHECK_CONDITION, descr, sizeof(descr));
	assert_string_equal(buf, "medium error: unrecovered read error (03/11/04)");
	scsi_answer_text(buf, sizeof(buf), SCSI_CHECK_CONDITION, odd, sizeof(odd));
	assert_string_equal(buf, "deferred hardware error (04/ee/ee)");
	scsi_answer_text(buf, sizeof(buf), SCSI_CHECK_CONDITION, NULL, 0);
	assert_string_equal(buf, "check condition without readable sense data");
	scsi_answer_text(buf, sizeof(buf), SCSI_TASK_SET_FULL, NULL, 0);
	assert_string_equal(buf, "task set full");
	scsi_answer_text(buf, sizeof(buf), 0x99, NULL, 0);
	assert_string_equal(buf, "unknown status 99");
	scsi_answer_text(buf, 8, SCSI_TASK_SET_FULL, NULL, 0);
	assert_string_equal(buf, "task se");

	/* the exact row before the row for all qualifiers */
	assert_string_equal(sense_asc_text(0x27, 0x07), "space allocation failed, write protected");
	assert_string_equal(sense_asc_text(0x27, 0x55), "write protected");
	assert_null(sense_asc_text(0xee, 0));
	assert_string_equal(sense_key_text(0x06), "unit attention");
	assert_string_equal(sense_key_text(0x60), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats),
		cmocka_unit_test(not_sense),
		cmocka_unit_test(truncated),
		cmocka_unit_test(lying_lengths),
		cmocka_unit_test(verdict_of_sense),
		cmocka_unit_test(verdict_of_status),
		cmocka_unit_test(verdict_is_total),
		cmocka_unit_test(deferred_errors_are_about_earlier_writes),
		cmocka_unit_test(words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
