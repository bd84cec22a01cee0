/* SPDX-License-Identifier: MIT */
/*
 * The test target's own view of the wire
 *
 * Written apart from src/iscsi on purpose: a mistake in one of the two is found by
 * the other. A PDU is its 48 bytes, and offsets are those of RFC 7143 §11.
 */
#ifndef TARGET_WIRE_H
#define TARGET_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BHS       48
#define TAG_NONE  0xffffffffu
#define OP_MASK   0x3f
#define IMMEDIATE 0x40
#define FINAL     0x80

enum opcode {
	OP_NOP_OUT = 0x00,
	OP_COMMAND = 0x01,
	OP_TASK_MGMT = 0x02,
	OP_LOGIN = 0x03,
	OP_TEXT = 0x04,
	OP_DATA_OUT = 0x05,
	OP_LOGOUT = 0x06,
	OP_SNACK = 0x10,
	OP_NOP_IN = 0x20,
	OP_RESPONSE = 0x21,
	OP_TASK_MGMT_RSP = 0x22,
	OP_LOGIN_RSP = 0x23,
	OP_TEXT_RSP = 0x24,
	OP_DATA_IN = 0x25,
	OP_LOGOUT_RSP = 0x26,
	OP_R2T = 0x31,
	OP_ASYNC = 0x32,
	OP_REJECT = 0x3f,
};

/* Offsets that several PDUs share. */
enum {
	AT_FLAGS = 1,
	AT_AHS = 4,
	AT_LENGTH = 5,
	AT_LUN = 8,
	AT_ITT = 16,
	AT_TTT = 20, /* also ExpectedDataTransferLength, Referenced Task Tag, SNACK tag */
	AT_CMDSN = 24,
	AT_STATSN = 24,
	AT_EXPSTATSN = 28,
	AT_EXPCMDSN = 28,
	AT_MAXCMDSN = 32,
	AT_REFCMDSN = 32,
	AT_CDB = 32,
	AT_DATASN = 36, /* also R2TSN, ExpDataSN */
	AT_OFFSET = 40, /* also BegRun, Time2Wait */
	AT_LAST = 44,   /* residual; desired length; RunLength */
};

static inline uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t get24(const uint8_t *p)
{
	return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | get24(p + 1);
}

static inline uint64_t get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put24(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 16);
	put16(p + 1, v);
}

static inline void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	put24(p + 1, v);
}

static inline void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

/* Serial numbers: is @a before @b? */
static inline bool before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline uint32_t padding(uint32_t n)
{
	return (4 - n % 4) % 4;
}

/* Of @n bytes; @crc is the result so far, at first 0. */
uint32_t wire_crc(uint32_t crc, const void *bytes, size_t n);

const char *wire_name(unsigned op);
/* "data-in" and the like; -1: no such PDU. */
int wire_op(const char *name);

/* A generator whose numbers depend on its seed alone. */
struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* 0 … n-1; 0 of n == 0 */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

/* lo … hi */
static inline uint32_t rng_from(struct rng *r, uint32_t lo, uint32_t hi)
{
	return lo + rng_below(r, hi - lo + 1);
}

/* True @n times of 1000. */
static inline bool rng_permille(struct rng *r, uint32_t n)
{
	return n && rng_below(r, 1000) < n;
}

#endif
