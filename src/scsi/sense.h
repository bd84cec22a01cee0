/* SPDX-License-Identifier: MIT */
/*
 * Sense data, and what a command's answer means (SPC-4 §4.5, SAM-5 §5.3)
 *
 * scsi_judge() is the one place that decides whether an answer is success, is
 * worth another try, or is an error, and which errno that error is. Whoever runs
 * commands counts the tries and watches the time; the judgement is the same for
 * all.
 */
#ifndef SCSI_SENSE_H
#define SCSI_SENSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/cmd.h"

enum scsi_sense_key {
	SENSE_NO_SENSE = 0x0,
	SENSE_RECOVERED_ERROR = 0x1,
	SENSE_NOT_READY = 0x2,
	SENSE_MEDIUM_ERROR = 0x3,
	SENSE_HARDWARE_ERROR = 0x4,
	SENSE_ILLEGAL_REQUEST = 0x5,
	SENSE_UNIT_ATTENTION = 0x6,
	SENSE_DATA_PROTECT = 0x7,
	SENSE_BLANK_CHECK = 0x8,
	SENSE_VENDOR_SPECIFIC = 0x9,
	SENSE_COPY_ABORTED = 0xa,
	SENSE_ABORTED_COMMAND = 0xb,
	SENSE_VOLUME_OVERFLOW = 0xd,
	SENSE_MISCOMPARE = 0xe,
	SENSE_COMPLETED = 0xf,
};

struct scsi_sense {
	bool deferred; /* speaks of an earlier command that was already told to be good */
	uint8_t key;   /* enum scsi_sense_key */
	uint8_t asc, ascq;
	bool has_information;
	uint64_t information; /* for medium errors the first bad LBA */
};

/**
 * sense_decode() - fixed (70h, 71h) and descriptor (72h, 73h) format
 * @p, @n: as received; a length inside the data that says more is not believed
 *
 * Fields that lie beyond the end are 0, as the standard says of them.
 *
 * Return: 0; -ENODATA when there is no sense data; -EBADMSG for another format.
 */
int sense_decode(struct scsi_sense *ret, const uint8_t *p, size_t n);

/* The standard's words, lower case; "unknown" where it has none. */
const char *sense_key_text(uint8_t key);
const char *scsi_status_text(uint8_t status);
/*
 * Words for an additional sense code, or NULL. A row for the whole ASC serves where the qualifier
 * is unknown.
 */
const char *sense_asc_text(uint8_t asc, uint8_t ascq);

/**
 * scsi_answer_text() - one line for people about an answer
 *
 * "medium error: unrecovered read error (03/11/00)", "busy", … Always terminated,
 * cut when it does not fit.
 */
void scsi_answer_text(char *buf, size_t n, uint8_t status, const uint8_t *sense, size_t n_sense);

enum scsi_action {
	SCSI_ACT_OK,          /* done as asked (the length moved is still to be looked at) */
	SCSI_ACT_RETRY,       /* not done; send it again at once, a bounded number of times */
	SCSI_ACT_RETRY_LATER, /* not done; the unit needs time */
	SCSI_ACT_FAIL,
};

/* What an answer tells about the unit, beside the fate of the command. */
enum scsi_notice {
	SCSI_NOTICE_NONE,
	SCSI_NOTICE_CAPACITY_CHANGED,
	SCSI_NOTICE_LUNS_CHANGED,
	SCSI_NOTICE_INQUIRY_CHANGED,
	SCSI_NOTICE_MODE_CHANGED,
	SCSI_NOTICE_WRITE_PROTECTED,
	SCSI_NOTICE_RESET,
};

struct scsi_verdict {
	enum scsi_action action;
	int error; /* -errno: of the failure, or what it is once patience is at its end; 0 with OK
		    */
	enum scsi_notice notice;
	bool unit_attention; /* notice, if any, is the unit's own word; otherwise it is our
				conclusion */
	bool unsupported;    /* the unit does not know this command, or a field or value in it */
	bool other_path;     /* this way to the unit does not serve; another may */
	int lost_error; /* not 0: a deferred error; data of an earlier good write may be lost */
};

/**
 * scsi_judge() - the verdict over an answered command
 * @status:  SCSI status byte
 * @sense:   sense data as received, may be NULL when @n_sense is 0
 * @opcode:  of the command
 *
 * Errors, in meaning as the Linux block layer has them:
 *
 *	-ENODATA     medium error: the block cannot be read or found
 *	-EIO         another medium error, LBA out of range, unit will not become ready,
 *	             no or unreadable sense, busy for too long
 *	-EREMOTEIO   hardware error, command aborted, request refused as such
 *	-EROFS       write protected
 *	-EACCES      data protection of another kind
 *	-ENOSPC      a thin unit has no space left; volume overflow
 *	-EILSEQ      protection information or miscompare
 *	-EBADE       reservation conflict
 *	-EOPNOTSUPP  an optional command, or field in it, is not there
 *	-ENODEV      no such logical unit
 *	-ENOMEDIUM   no medium
 */
struct scsi_verdict scsi_judge(uint8_t status, const uint8_t *sense, size_t n_sense,
			       uint8_t opcode);

#endif
