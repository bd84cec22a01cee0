/* SPDX-License-Identifier: MIT */
/*
 * Identifiers: sessions, connections, ISIDs
 *
 * A session or connection id is a pair of 64-bit numbers, as text two lower-case
 * hexadecimal numbers without padding, joined by "-". The first half is the same
 * for everything of this service (it stands for the HBA). The second half is, for
 * a session, the first four bytes of its ISID above a counter; for a connection
 * the counter alone. The counter never repeats, over restarts too.
 *
 * The ISID is of the "random" format (RFC 7143 §11.12.5): 80h, three random bytes
 * that the store keeps for good, and a qualifier of two bytes that the store
 * gives to each (node name, target, portal, kind, ordinal). Two services that use
 * one node name therefore do not take each other's sessions away.
 */
#ifndef SERVICE_IDS_H
#define SERVICE_IDS_H

#include <stdint.h>

#define ID_ADAPTER UINT64_C(0x6973637369647363)

struct unique_id {
	uint64_t adapter, specific;
};

#define ID_TEXT_BYTES   34 /* "%x-%x" and the terminator */
#define ISID_TEXT_BYTES 13

void id_text(const struct unique_id *id, char buf[ID_TEXT_BYTES]);
/* Return: 0; -EINVAL for anything but two hexadecimal numbers of at most 64 bits. Upper case is
 * taken. */
int id_parse(const char *text, struct unique_id *ret);

struct unique_id id_of_session(const uint8_t isid[6], uint32_t counter);
struct unique_id id_of_connection(uint32_t counter);

void isid_make(uint8_t ret[6], uint32_t random24, uint16_t qualifier);
void isid_text(const uint8_t isid[6], char buf[ISID_TEXT_BYTES]);

#endif
