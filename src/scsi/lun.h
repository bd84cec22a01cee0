/* SPDX-License-Identifier: MIT */
/*
 * Logical unit numbers (SAM-5 §4.7)
 *
 * A LUN is eight bytes with an inner structure. Here it is the 64-bit number that
 * these bytes are in big-endian order; its text is 16 hex digits.
 */
#ifndef SCSI_LUN_H
#define SCSI_LUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LUN_TEXT_BYTES 19 /* "0x", 16 digits, terminator */

enum lun_method {
	LUN_PERIPHERAL, /* bus and 8-bit number (or target) */
	LUN_FLAT,       /* 14-bit number */
	LUN_LOGICAL,    /* bus, target and 5-bit number */
	LUN_EXTENDED,   /* length and extended method; flat space, well-known, not specified */
};

struct lun_parts {
	enum lun_method method;
	uint8_t bus;       /* peripheral, logical */
	uint8_t target;    /* logical */
	uint8_t extended;  /* extended: the extended address method */
	uint64_t number;   /* at this level */
	bool single_level; /* nothing follows in the bytes behind */
};

/* Takes the first level apart. Every 64-bit number is a LUN of some form. */
struct lun_parts lun_split(uint64_t lun);

/*
 * Peripheral below 256, flat below 16384, extended flat below 2^24; larger ones have no form:
 * UINT64_MAX.
 */
uint64_t lun_from_number(uint32_t number);
/* The mirror image, true when @lun is one of those forms on one level (bus 0). */
bool lun_to_number(uint64_t lun, uint32_t *ret_number);

/*
 * What people pass: below 256 it means the peripheral-addressed unit of that number, else it is the
 * eight bytes.
 */
uint64_t lun_from_argument(uint64_t value);

/* REPORT LUNS, TARGET LOG PAGES and their like, and "not specified": no unit with data. */
bool lun_is_well_known(uint64_t lun);

uint64_t lun_get(const uint8_t bytes[8]);
void lun_put(uint8_t bytes[8], uint64_t lun);

/* 16 hex digits, lower case. */
void lun_text(uint64_t lun, char buf[LUN_TEXT_BYTES]);
/* For names of links: the plain number where there is one, else 0x and 16 hex digits. */
void lun_name(uint64_t lun, char buf[LUN_TEXT_BYTES]);
/* 1 … 16 hex digits, 0x allowed, then as lun_from_argument(). 0 or -EINVAL. */
int lun_parse(const char *text, uint64_t *ret_lun);

/**
 * report_luns_decode() - the answer of REPORT LUNS
 * @v, @n_max:       where the LUNs go, in the order sent, well-known ones too
 * @ret_n:           how many were received, at most @n_max
 * @ret_list_bytes:  length of the whole list as the target counts it, without its 8 bytes of header
 *
 * Return: 0; -EBADMSG without a header.
 */
int report_luns_decode(uint64_t *v, size_t n_max, size_t *ret_n, uint32_t *ret_list_bytes,
		       const uint8_t *p, size_t n);

#endif
