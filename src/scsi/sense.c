/* SPDX-License-Identifier: MIT */
/*
 * Sense data
 *
 * Decoding, words for people, and the verdict. The verdict is written as tables
 * where the standard is a table, so that a row can be checked against it.
 */
#include "scsi/sense.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "scsi/cdb.h"

#define ANY_ASCQ 0x100u

static void fixed_decode(struct scsi_sense *s, const uint8_t *p, size_t n)
{
	/* Byte 7 counts the bytes after it; what was not sent counts as zero. */
	size_t n_valid = n > 7 && n > 8u + p[7] ? 8u + p[7] : n;

	s->key = n > 2 ? p[2] & 0x0f : 0;
	if ((p[0] & 0x80) && n >= 7) {
		s->has_information = true;
		s->information = get_be32(p + 3);
	}
	s->asc = n_valid > 12 ? p[12] : 0;
	s->ascq = n_valid > 13 ? p[13] : 0;
}

static void descriptors_decode(struct scsi_sense *s, const uint8_t *p, size_t n)
{
	struct cursor c;

	s->key = n > 1 ? p[1] & 0x0f : 0;
	s->asc = n > 2 ? p[2] : 0;
	s->ascq = n > 3 ? p[3] : 0;
	if (n < 8)
		return;
	c = cursor_of(p + 8, p[7] < n - 8 ? p[7] : n - 8);
	while (c.n_left >= 2) {
		uint8_t type = cursor_u8(&c);
		uint8_t len = cursor_u8(&c);
		const uint8_t *d = cursor_bytes(&c, len);

		if (!d)
			return;
		/* information: VALID, reserved, eight bytes */
		if (type == 0x00 && len >= 10 && (d[0] & 0x80)) {
			s->has_information = true;
			s->information = get_be64(d + 2);
		}
	}
}

int sense_decode(struct scsi_sense *ret, const uint8_t *p, size_t n)
{
	struct scsi_sense s = {0};

	if (n == 0)
		return -ENODATA;
	switch (p[0] & 0x7f) {
	case 0x70:
	case 0x71: fixed_decode(&s, p, n); break;
	case 0x72:
	case 0x73: descriptors_decode(&s, p, n); break;
	case 0x00: return -ENODATA;
	default: return -EBADMSG;
	}
	s.deferred = p[0] & 1;
	*ret = s;
	return 0;
}

const char *sense_key_text(uint8_t key)
{
	static const char *const text[16] = {
		"no sense",       "recovered error", "not ready",      "medium error",
		"hardware error", "illegal request", "unit attention", "data protect",
		"blank check",    "vendor specific", "copy aborted",   "aborted command",
		"unknown",        "volume overflow", "miscompare",     "completed",
	};

	return key < ARRAY_SIZE(text) ? text[key] : "unknown";
}

const char *scsi_status_text(uint8_t status)
{
	switch (status) {
	case SCSI_GOOD: return "good";
	case SCSI_CHECK_CONDITION: return "check condition";
	case SCSI_CONDITION_MET: return "condition met";
	case SCSI_BUSY: return "busy";
	case SCSI_RESERVATION_CONFLICT: return "reservation conflict";
	case SCSI_TASK_SET_FULL: return "task set full";
	case SCSI_ACA_ACTIVE: return "ACA active";
	case SCSI_TASK_ABORTED: return "task aborted";
	default: return "unknown";
	}
}

const char *sense_asc_text(uint8_t asc, uint8_t ascq)
{
	static const struct {
		uint8_t asc;
		uint16_t ascq;
		const char *text;
	} row[] = {
		{0x00, 0x00, "no additional sense information"},
		{0x04, 0x00, "unit not ready, cause not reportable"},
		{0x04, 0x01, "unit is in process of becoming ready"},
		{0x04, 0x02, "unit not ready, start unit command required"},
		{0x04, 0x03, "unit not ready, manual intervention required"},
		{0x04, 0x04, "unit not ready, format in progress"},
		{0x04, 0x05, "unit not ready, rebuild in progress"},
		{0x04, 0x07, "unit not ready, operation in progress"},
		{0x04, 0x09, "unit not ready, self-test in progress"},
		{0x04, 0x0a, "unit not accessible, asymmetric access state transition"},
		{0x04, 0x0b, "unit not accessible, target port in standby state"},
		{0x04, 0x0c, "unit not accessible, target port in unavailable state"},
		{0x04, 0x12, "unit is offline"},
		{0x04, 0x14, "unit not ready, space allocation in progress"},
		{0x04, ANY_ASCQ, "unit not ready"},
		{0x08, 0x00, "unit communication failure"},
		{0x08, 0x01, "unit communication time-out"},
		{0x08, ANY_ASCQ, "unit communication error"},
		{0x0c, 0x00, "write error"},
		{0x0c, 0x02, "write error, reassignment failed"},
		{0x0c, 0x0c, "write error, unexpected unsolicited data"},
		{0x0c, 0x0d, "write error, not enough unsolicited data"},
		{0x0c, ANY_ASCQ, "write error"},
		{0x0e, ANY_ASCQ, "error in the information unit"},
		{0x10, 0x01, "logical block guard check failed"},
		{0x10, 0x02, "logical block application tag check failed"},
		{0x10, 0x03, "logical block reference tag check failed"},
		{0x10, ANY_ASCQ, "identifier, CRC or ECC error"},
		{0x11, ANY_ASCQ, "unrecovered read error"},
		{0x14, ANY_ASCQ, "recorded entity not found"},
		{0x17, ANY_ASCQ, "data recovered without error correction"},
		{0x18, ANY_ASCQ, "data recovered with error correction"},
		{0x1a, 0x00, "parameter list length error"},
		{0x1d, 0x00, "miscompare during verify"},
		{0x20, 0x00, "invalid command operation code"},
		{0x20, 0x02, "access denied, no access rights"},
		{0x21, 0x00, "logical block address out of range"},
		{0x21, ANY_ASCQ, "invalid address"},
		{0x24, ANY_ASCQ, "invalid field in CDB"},
		{0x25, 0x00, "logical unit not supported"},
		{0x26, ANY_ASCQ, "invalid field in parameter list"},
		{0x27, 0x07, "space allocation failed, write protected"},
		{0x27, ANY_ASCQ, "write protected"},
		{0x28, 0x00, "not ready to ready change, medium may have changed"},
		{0x29, 0x00, "power on, reset, or bus device reset occurred"},
		{0x29, 0x01, "power on occurred"},
		{0x29, 0x02, "bus reset occurred"},
		{0x29, 0x03, "device reset occurred"},
		{0x29, 0x04, "internal device reset"},
		{0x29, 0x07, "I_T nexus loss occurred"},
		{0x29, ANY_ASCQ, "reset occurred"},
		{0x2a, 0x01, "mode parameters changed"},
		{0x2a, 0x03, "reservations preempted"},
		{0x2a, 0x04, "reservations released"},
		{0x2a, 0x05, "registrations preempted"},
		{0x2a, 0x06, "asymmetric access state changed"},
		{0x2a, 0x09, "capacity data has changed"},
		{0x2a, ANY_ASCQ, "parameters changed"},
		{0x2c, 0x00, "command sequence error"},
		{0x2f, ANY_ASCQ, "commands cleared"},
		{0x31, ANY_ASCQ, "medium format corrupted"},
		{0x38, 0x07, "thin provisioning soft threshold reached"},
		{0x3a, ANY_ASCQ, "medium not present"},
		{0x3e, 0x00, "unit has not self-configured yet"},
		{0x3e, 0x01, "unit failure"},
		{0x3e, 0x02, "time-out on the unit"},
		{0x3f, 0x01, "microcode has been changed"},
		{0x3f, 0x03, "inquiry data has changed"},
		{0x3f, 0x05, "device identifier changed"},
		{0x3f, 0x0e, "reported LUNs data has changed"},
		{0x3f, ANY_ASCQ, "target operating conditions have changed"},
		{0x44, ANY_ASCQ, "internal target failure"},
		{0x47, 0x05, "protocol service CRC error"},
		{0x47, 0x7f, "some commands cleared by iSCSI protocol event"},
		{0x4b, ANY_ASCQ, "data phase error"},
		{0x4e, 0x00, "overlapped commands attempted"},
		{0x55, ANY_ASCQ, "system resource failure"},
		{0x5a, 0x02, "operator selected write protect"},
		{0x5a, 0x03, "operator selected write permit"},
		{0x5d, ANY_ASCQ, "failure prediction threshold exceeded"},
		{0x74, ANY_ASCQ, "security error"},
	};
	const char *fallback = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		if (row[i].asc != asc)
			continue;
		if (row[i].ascq == ascq)
			return row[i].text;
		if (row[i].ascq == ANY_ASCQ)
			fallback = row[i].text;
	}
	return fallback;
}

void scsi_answer_text(char *buf, size_t n, uint8_t status, const uint8_t *sense, size_t n_sense)
{
	struct scsi_sense s;
	const char *asc;

	if (status != SCSI_CHECK_CONDITION) {
		if (strcmp(scsi_status_text(status), "unknown") == 0)
			snprintf(buf, n, "unknown status %02x", status);
		else
			snprintf(buf, n, "%s", scsi_status_text(status));
		return;
	}
	if (sense_decode(&s, sense, n_sense) < 0) {
		snprintf(buf, n, "check condition without readable sense data");
		return;
	}
	asc = sense_asc_text(s.asc, s.ascq);
	snprintf(buf, n, "%s%s%s%s (%02x/%02x/%02x)", s.deferred ? "deferred " : "",
		 sense_key_text(s.key), asc ? ": " : "", asc ? asc : "", s.key, s.asc, s.ascq);
}

/* ---- the verdict ------------------------------------------------------- */

static bool op_writes(uint8_t opcode)
{
	switch (opcode) {
	case SCSI_WRITE_10:
	case SCSI_WRITE_16:
	case SCSI_WRITE_SAME_10:
	case SCSI_WRITE_SAME_16:
	case SCSI_UNMAP:
	case SCSI_COMPARE_AND_WRITE:
	case SCSI_SYNC_CACHE_10:
	case SCSI_SYNC_CACHE_16: return true;
	default: return false;
	}
}

/* A disk without READ or WRITE is broken; everything else it may do without. */
static bool op_optional(uint8_t opcode)
{
	switch (opcode) {
	case SCSI_TEST_UNIT_READY:
	case SCSI_READ_10:
	case SCSI_READ_16:
	case SCSI_WRITE_10:
	case SCSI_WRITE_16: return false;
	default: return true;
	}
}

static struct scsi_verdict verdict(enum scsi_action action, int error)
{
	return (struct scsi_verdict){.action = action, .error = error};
}

static struct scsi_verdict conclude(int error, enum scsi_notice notice)
{
	return (struct scsi_verdict){.action = SCSI_ACT_FAIL, .error = error, .notice = notice};
}

static struct scsi_verdict judge_not_ready(const struct scsi_sense *s)
{
	struct scsi_verdict v = verdict(SCSI_ACT_FAIL, -EIO);

	if (s->asc == 0x3a)
		return verdict(SCSI_ACT_FAIL, -ENOMEDIUM);
	if (s->asc == 0x08 || s->asc == 0x3e)
		return verdict(SCSI_ACT_RETRY_LATER, -EIO);
	if (s->asc != 0x04)
		return v;
	switch (s->ascq) {
	case 0x00: /* cause not reportable */
	case 0x01: /* becoming ready */
	case 0x04: /* format */
	case 0x05: /* rebuild */
	case 0x06: /* recalculation */
	case 0x07: /* operation */
	case 0x08: /* long write */
	case 0x09: /* self-test */
	case 0x11: /* waits for a spin-up notification of its own transport */
	case 0x14: /* space allocation */
	case 0x1a: /* start or stop */
	case 0x1b: /* sanitize */
	case 0x1d: /* configuration */ v.action = SCSI_ACT_RETRY_LATER; break;
	case 0x0a: /* asymmetric access: transition */
		v.action = SCSI_ACT_RETRY_LATER;
		v.other_path = true;
		break;
	case 0x0b: /* asymmetric access: standby */
	case 0x0c: /* asymmetric access: unavailable */ v.other_path = true; break;
	default: break;
	}
	return v;
}

static struct scsi_verdict judge_illegal_request(const struct scsi_sense *s, uint8_t opcode)
{
	struct scsi_verdict v = verdict(SCSI_ACT_FAIL, -EREMOTEIO);

	switch (s->asc) {
	case 0x10: v.error = -EILSEQ; break;
	case 0x21: return conclude(-EIO, SCSI_NOTICE_CAPACITY_CHANGED);
	case 0x25: return conclude(-ENODEV, SCSI_NOTICE_LUNS_CHANGED);
	case 0x27: return conclude(-EROFS, SCSI_NOTICE_WRITE_PROTECTED);
	case 0x1a: /* parameter list length */
	case 0x20: /* operation code */
	case 0x24: /* field in CDB */
	case 0x26: /* field in parameter list */
		if (s->asc == 0x20 && s->ascq != 0x00) {
			v.error = -EACCES; /* 20/01 … 20/0B are access controls */
			break;
		}
		v.unsupported = true;
		if (op_optional(opcode))
			v.error = -EOPNOTSUPP;
		break;
	default: break;
	}
	return v;
}

static struct scsi_verdict judge_unit_attention(const struct scsi_sense *s)
{
	static const struct {
		uint8_t asc;
		uint16_t ascq;
		enum scsi_notice notice;
	} row[] = {
		{0x27, ANY_ASCQ, SCSI_NOTICE_WRITE_PROTECTED},
		{0x28, 0x00,
		 SCSI_NOTICE_INQUIRY_CHANGED}, /* another medium is another unit's data */
		{0x29, ANY_ASCQ, SCSI_NOTICE_RESET},
		{0x2a, 0x00, SCSI_NOTICE_MODE_CHANGED},
		{0x2a, 0x01, SCSI_NOTICE_MODE_CHANGED},
		{0x2a, 0x09, SCSI_NOTICE_CAPACITY_CHANGED},
		{0x3f, 0x00, SCSI_NOTICE_INQUIRY_CHANGED},
		{0x3f, 0x01, SCSI_NOTICE_INQUIRY_CHANGED},
		{0x3f, 0x02, SCSI_NOTICE_INQUIRY_CHANGED},
		{0x3f, 0x03, SCSI_NOTICE_INQUIRY_CHANGED},
		{0x3f, 0x05, SCSI_NOTICE_INQUIRY_CHANGED},
		{0x3f, 0x0e, SCSI_NOTICE_LUNS_CHANGED},
		{0x5a, 0x02, SCSI_NOTICE_WRITE_PROTECTED},
		{0x5a, 0x03, SCSI_NOTICE_WRITE_PROTECTED},
	};
	struct scsi_verdict v = verdict(SCSI_ACT_RETRY, -EIO);

	v.unit_attention = true;
	for (size_t i = 0; i < ARRAY_SIZE(row); i++)
		if (row[i].asc == s->asc && (row[i].ascq == ANY_ASCQ || row[i].ascq == s->ascq))
			v.notice = row[i].notice;
	return v;
}

static struct scsi_verdict judge_data_protect(const struct scsi_sense *s, uint8_t opcode)
{
	if (s->asc == 0x27 && s->ascq == 0x07)
		return verdict(SCSI_ACT_FAIL, -ENOSPC);
	if (s->asc == 0x27)
		return conclude(-EROFS, SCSI_NOTICE_WRITE_PROTECTED);
	if (s->asc == 0x00 && op_writes(opcode))
		return verdict(SCSI_ACT_FAIL, -EROFS);
	return verdict(SCSI_ACT_FAIL, -EACCES);
}

static struct scsi_verdict judge_sense(const struct scsi_sense *s, uint8_t opcode)
{
	switch (s->key) {
	case SENSE_NO_SENSE:
	case SENSE_RECOVERED_ERROR:
	case SENSE_COMPLETED: return verdict(SCSI_ACT_OK, 0);
	case SENSE_NOT_READY: return judge_not_ready(s);
	case SENSE_MEDIUM_ERROR:
		/*
		 * The unit has tried hard already where it says that the block cannot be read or
		 * found. Only these are "medium" to Linux, too: no other path has the data.
		 */
		if (s->asc == 0x11 || s->asc == 0x13 || s->asc == 0x14)
			return verdict(SCSI_ACT_FAIL, -ENODATA);
		return verdict(SCSI_ACT_RETRY, -EIO);
	case SENSE_HARDWARE_ERROR: return verdict(SCSI_ACT_RETRY, -EREMOTEIO);
	case SENSE_ILLEGAL_REQUEST: return judge_illegal_request(s, opcode);
	case SENSE_UNIT_ATTENTION: return judge_unit_attention(s);
	case SENSE_DATA_PROTECT: return judge_data_protect(s, opcode);
	case SENSE_ABORTED_COMMAND:
		if (s->asc == 0x10)
			return verdict(SCSI_ACT_FAIL, -EILSEQ);
		return verdict(SCSI_ACT_RETRY, -EREMOTEIO);
	case SENSE_BLANK_CHECK:
	case SENSE_COPY_ABORTED: return verdict(SCSI_ACT_FAIL, -EREMOTEIO);
	case SENSE_VOLUME_OVERFLOW: return verdict(SCSI_ACT_FAIL, -ENOSPC);
	case SENSE_MISCOMPARE: return verdict(SCSI_ACT_FAIL, -EILSEQ);
	default: return verdict(SCSI_ACT_FAIL, -EIO);
	}
}

/* The command that carries the news was not executed; the news is about another one. */
static struct scsi_verdict judge_deferred(const struct scsi_sense *s)
{
	struct scsi_verdict v = verdict(SCSI_ACT_RETRY, -EIO);

	v.lost_error = judge_sense(s, SCSI_WRITE_16).error;
	return v;
}

struct scsi_verdict scsi_judge(uint8_t status, const uint8_t *sense, size_t n_sense, uint8_t opcode)
{
	struct scsi_sense s;

	switch (status) {
	case SCSI_GOOD:
	case SCSI_CONDITION_MET: return verdict(SCSI_ACT_OK, 0);
	case SCSI_CHECK_CONDITION: break;
	case SCSI_BUSY:
	case SCSI_TASK_SET_FULL:
	case SCSI_ACA_ACTIVE: return verdict(SCSI_ACT_RETRY_LATER, -EIO);
	case SCSI_TASK_ABORTED: return verdict(SCSI_ACT_RETRY, -EREMOTEIO);
	case SCSI_RESERVATION_CONFLICT: return verdict(SCSI_ACT_FAIL, -EBADE);
	default: return verdict(SCSI_ACT_FAIL, -EIO);
	}
	if (sense_decode(&s, sense, n_sense) < 0)
		return verdict(SCSI_ACT_RETRY, -EIO);
	return s.deferred ? judge_deferred(&s) : judge_sense(&s, opcode);
}
