/* SPDX-License-Identifier: MIT */
/*
 * CRC32C by tables of its own (eight bytes at a step), and names of PDUs
 */
#include "wire.h"

#include <pthread.h>
#include <string.h>

static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_fill(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint32_t v = i;

		for (int bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? 0x82f63b78u : 0);
		table[0][i] = v;
	}
	for (unsigned i = 0; i < 256; i++)
		for (unsigned k = 1; k < 8; k++)
			table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
}

uint32_t wire_crc(uint32_t crc, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	pthread_once(&table_once, table_fill);
	crc = ~crc;
	for (; n >= 8; n -= 8, p += 8) {
		crc ^= p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
		crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^ table[5][crc >> 16 & 255] ^
		      table[4][crc >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
		      table[0][p[7]];
	}
	for (; n > 0; n--, p++)
		crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
	return ~crc;
}

static const struct {
	unsigned op;
	const char *name;
} names[] = {
	{OP_NOP_OUT, "nop-out"},
	{OP_COMMAND, "command"},
	{OP_TASK_MGMT, "task-mgmt"},
	{OP_LOGIN, "login"},
	{OP_TEXT, "text"},
	{OP_DATA_OUT, "data-out"},
	{OP_LOGOUT, "logout"},
	{OP_SNACK, "snack"},
	{OP_NOP_IN, "nop-in"},
	{OP_RESPONSE, "response"},
	{OP_TASK_MGMT_RSP, "task-mgmt-response"},
	{OP_LOGIN_RSP, "login-response"},
	{OP_TEXT_RSP, "text-response"},
	{OP_DATA_IN, "data-in"},
	{OP_LOGOUT_RSP, "logout-response"},
	{OP_R2T, "r2t"},
	{OP_ASYNC, "async"},
	{OP_REJECT, "reject"},
};

const char *wire_name(unsigned op)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].op == (op & OP_MASK))
			return names[i].name;
	return "unknown";
}

int wire_op(const char *name)
{
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, name) == 0)
			return (int)names[i].op;
	return -1;
}
