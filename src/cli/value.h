/* SPDX-License-Identifier: MIT */
/*
 * The values that arguments may have
 *
 * The grammar is that of the Windows program, odd corners included, because
 * scripts lean on them: a number that is none is 0, a boolean that is not "T..." is
 * false, and "*" means "not specified" where a command says so. What would be cut
 * or misread by the call behind it is refused, never changed.
 */
#ifndef CLI_VALUE_H
#define CLI_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "iscsidsc.h"

/* The argument starts with "*". */
bool value_is_any(const char *arg);

/* NULL for "*", else the argument itself. */
char *value_text(char *arg);

/*
 * Decimal, perhaps with a sign, or hexadecimal after 0x; what follows the digits is
 * not looked at and no digits are 0, so "*" is 0 too and -1 is 0xffffffff. A value
 * beyond 32 bits is the nearest that fits.
 */
ULONG value_number(const char *arg);
/* The same where "*" has a meaning of its own. */
ULONG value_number_or(const char *arg, ULONG any);

/* "T" or "t" first: true; "*": @standard; all else is false. */
bool value_bool(const char *arg, bool standard);

/*
 * A session or connection id: two hexadecimal numbers of at most 16 digits joined by
 * "-", each perhaps after 0x, blanks around it. False: not an id.
 */
bool value_id(const char *arg, ISCSI_UNIQUE_SESSION_ID *ret);

/* At most 16 hexadecimal digits, perhaps after 0x. */
bool value_lun(const char *arg, ULONGLONG *ret);

/* The LUN of a mapping: 0x and 16 hexadecimal digits, nothing else. */
bool value_mapping_lun(const char *arg, ULONGLONG *ret);

/* A TCP port. False: not within 1 to 65535. */
bool value_socket(const char *arg, USHORT *ret);

/* A secret or user name, in memory of its own. */
struct secret {
	UCHAR *p;
	ULONG n;
};

/**
 * value_secret() - take a secret from the command line
 *
 * 0x and an even number of hexadecimal digits are bytes, all else is the text
 * itself. The argument is overwritten, so that it is no longer to be seen in the
 * list of processes.
 *
 * Return: 0; -EINVAL for an odd number of digits; -ENOMEM.
 */
int value_secret(char *arg, struct secret *ret);
/* Wipes and frees; the secret is empty afterwards. */
void secret_clear(struct secret *s);

#endif
