/* SPDX-License-Identifier: MIT */
/*
 * Serial number arithmetic (RFC 1982), as CmdSN, StatSN and DataSN need it
 *
 * Numbers wrap at 2^32; a is before b when b can be reached from a by adding
 * less than 2^31. The comparison of two numbers that are 2^31 apart is
 * undefined by the RFC; here neither is before the other's successor.
 */
#ifndef BASE_SERIAL_H
#define BASE_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

static inline bool serial_lt(uint32_t a, uint32_t b)
{
	return a != b && (uint32_t)(b - a) < UINT32_C(0x80000000);
}

static inline bool serial_le(uint32_t a, uint32_t b)
{
	return (uint32_t)(b - a) < UINT32_C(0x80000000);
}

#endif
