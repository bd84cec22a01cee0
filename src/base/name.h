/* SPDX-License-Identifier: MIT */
/*
 * iSCSI names (RFC 7143 §4.2.7, RFC 3722) and text encodings
 *
 * Names are compared without regard to ASCII letter case and keep their
 * spelling. UTF-16 is what the W forms of the public API carry.
 */
#ifndef BASE_NAME_H
#define BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ISCSI_NAME_MAX 223 /* bytes, without the terminator */

/**
 * iscsi_name_valid() - is this a well-formed iSCSI name?
 *
 * Accepts iqn. (date, reversed domain, optional :suffix), eui. (16 hex digits)
 * and naa. (16 or 32 hex digits), at most ISCSI_NAME_MAX bytes. ASCII letters
 * of either case, digits, '-', '.', ':' and UTF-8 beyond ASCII are allowed.
 */
bool iscsi_name_valid(const char *name);

/**
 * iscsi_name_usable() - may a target be called that?
 *
 * Targets in the field have names that no standard allows (underscores, no date, short
 * numbers), and their users want to reach them. Accepts what begins with iqn., eui. or
 * naa. and is at most ISCSI_NAME_MAX bytes of UTF-8 without blanks, control characters
 * and any of * / \ and quotes. Our own name is always a well-formed one.
 */
bool iscsi_name_usable(const char *name);

/* Equal as iSCSI names: ASCII letter case is ignored. */
bool iscsi_name_equal(const char *a, const char *b);

/* An order in which names that are equal are 0: for trees, not for people. */
int iscsi_name_order(const char *a, const char *b);

/* True when the @n bytes are well-formed UTF-8 (no surrogates, no overlongs). */
bool utf8_valid(const char *s, size_t n);

/**
 * utf8_to_utf16() - convert a whole string
 * @src, @n_src:  UTF-8 bytes, without terminator
 * @dst, @n_dst:  room in 16-bit units; NULL/0 only measures
 *
 * Writes no terminator.
 *
 * Return: units needed, or -EILSEQ when @src is not UTF-8. Nothing is written
 * when the result does not fit.
 */
long utf8_to_utf16(const char *src, size_t n_src, uint16_t *dst, size_t n_dst);

/* The other way; counts are bytes of UTF-8 and units of UTF-16. */
long utf16_to_utf8(const uint16_t *src, size_t n_src, char *dst, size_t n_dst);

#endif
