/* SPDX-License-Identifier: MIT */
/*
 * Status codes of the public API: their symbols and texts
 *
 * One table for the library, the service and the command line. A code is an
 * ISDSC_STATUS: 0, a Win32 or Winsock code, or an ISDSC code of iscsierr.h.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdint.h>

/* The symbol, such as "ISDSC_LOGIN_FAILED"; NULL when the code is not known. */
const char *status_name(uint32_t status);

/* One sentence for a person, never NULL; it says so when the code is not known. */
const char *status_text(uint32_t status);

#endif
