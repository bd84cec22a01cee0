/* SPDX-License-Identifier: MIT */
/*
 * Refusals: why a call was not done
 *
 * Every function that serves a client returns an ISDSC_STATUS code, 0 for
 * success, and puts words for a person beside it. Conversions to such codes from
 * what the rooms below tell are here, one function for each border.
 */
#ifndef SERVICE_REFUSAL_H
#define SERVICE_REFUSAL_H

#include <stdint.h>

#include "device/holders.h"
#include "initiator/initiator.h"
#include "iscsierr.h"

#define WIN_SUCCESS           0u
#define WIN_ACCESS_DENIED     5u
#define WIN_NOT_ENOUGH_MEMORY 8u
#define WIN_NOT_SUPPORTED     50u
#define WIN_INVALID_PARAMETER 87u

struct refusal {
	uint32_t code;
	char text[600];
	struct holders holders; /* with ISDSC_DEVICE_BUSY_ON_SESSION */
};

/* Frees the holders. Zero-initialise; safe for CLEANUP. */
void refusal_clear(struct refusal *r);

/* Fills @r and returns @code, for "return refuse(…)". */
uint32_t refuse(struct refusal *r, uint32_t code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
uint32_t refuse_errno(struct refusal *r, int error, const char *what);

/* The code for a login status of RFC 7143 §11.13.5, class << 8 | detail. */
uint32_t status_of_login(uint16_t login_status);
/* The code for a login or a discovery that did not come about. */
uint32_t status_of_failure(const struct initiator_failure *f);
/* The code for a -errno of our own doing (memory, files, store). */
uint32_t status_of_errno(int error);

#endif
