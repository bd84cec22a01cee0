/* SPDX-License-Identifier: MIT */
/*
 * A target that misbehaves on request
 *
 * Bytes and time go in, bytes come out; no sockets, no clock. Left alone it is a
 * correct target: RFC 7143 with ErrorRecoveryLevel 0, 1 and 2, several connections
 * in a session, digests, any order and size of R2Ts, and disks in memory with a
 * write cache that a power cut loses. Rules make it break, once or again and again,
 * what a rule says (see tgt_rule_add()).
 *
 * It watches the initiator as well: what that does against the protocol is counted
 * and told (cfg.complain).
 */
#ifndef TARGET_TARGET_H
#define TARGET_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TGT_NEVER    UINT64_MAX
#define TGT_MAX_LUNS 8
#define TGT_MAX_R2T  8

struct tgt;
struct tconn;

struct tgt_cfg {
	const char *name;    /* kept by reference, as are all the others */
	const char *alias;   /* NULL: none */
	const char *address; /* what SendTargets tells: "127.0.0.1:3260"; NULL: none */
	uint64_t seed;       /* of everything that is random in it */

	unsigned n_luns; /* 1 … TGT_MAX_LUNS, numbered from 0 */
	uint32_t n_blocks, block_size;
	bool write_cache;
	void *memory; /* n_luns * n_blocks * block_size bytes that are the disks; NULL: its own */

	/* what it agrees to */
	uint32_t erl, max_connections, max_r2t;
	bool header_digest, data_digest; /* taken when offered; else None */
	bool require_digests;            /* prefers CRC32C whatever the order of the offer */
	bool initial_r2t, immediate_data;
	bool any_order; /* DataPDUInOrder and DataSequenceInOrder No, when both are asked for */
	uint32_t mrdsl; /* MaxRecvDataSegmentLength that it declares */
	uint32_t max_burst, first_burst;
	uint32_t time2wait_s, time2retain_s;
	uint32_t window; /* commands that it lets come */

	/* how it works */
	uint64_t service_ns_max; /* a command takes up to this long, so that order is lost */
	uint32_t slow_permille;  /* and so many of them slow_ns */
	uint64_t slow_ns;
	uint32_t segment_min;     /* Data-In segments and R2Ts are this long at least … */
	bool random_sizes;        /* … and random above it, else as long as may be */
	bool interleave;          /* Data-In of several commands takes turns */
	bool login_more_rounds;   /* asks for one more empty round in each stage */
	uint32_t login_chunk;     /* login text is sent in pieces of this size (C bit); 0: whole */
	uint64_t ping_ns;         /* a NOP-In that asks, this often; 0: none */
	uint64_t data_timeout_ns; /* Data-Out that does not come is asked for again (level 1) */

	/* who looks on; each may be NULL */
	void *user;
	void (*wrote)(void *user, unsigned lun, uint64_t lba, uint32_t n, const uint8_t *bytes);
	void (*flushed)(void *user, unsigned lun);
	void (*complain)(void *user, const char *what);
	void (*trace)(void *user, const char *what);
};

void tgt_cfg_default(struct tgt_cfg *cfg);

/* NULL: out of memory */
struct tgt *tgt_new(const struct tgt_cfg *cfg);
struct tgt *tgt_free(struct tgt *t);

/* TCP has been accepted. NULL: out of memory */
struct tconn *tgt_accept(struct tgt *t, uint64_t now_ns);
void tgt_input(struct tconn *c, const void *bytes, size_t n, uint64_t now_ns);
/* What is to be sent; 0: nothing. */
size_t tgt_output(const struct tconn *c, const uint8_t **ret_bytes);
void tgt_sent(struct tconn *c, size_t n);
/* It has sent all it will: close the transport, tgt_closed(). */
bool tgt_wants_close(const struct tconn *c);
/* The transport is gone: the handle too. */
void tgt_closed(struct tconn *c, uint64_t now_ns);

uint64_t tgt_deadline_ns(const struct tgt *t);
void tgt_tick(struct tgt *t, uint64_t now_ns);

/* Sessions are gone, connections are to be closed; a cache that is lost takes what was not flushed.
 */
void tgt_restart(struct tgt *t, bool lose_cache, uint64_t now_ns);

/*
 * A rule: on the @nth (1: the next; 0: every) PDU of kind @op, do it. Requests are
 * met as they come in, answers as they go out.
 */
enum tgt_act {
	TGT_DROP,      /* request: as if never come; answer: not sent, its numbers are spent */
	TGT_DELAY,     /* the answer goes out arg ms later, and overtakes nothing of its task */
	TGT_DUPLICATE, /* sent twice */
	TGT_CORRUPT_HEADER, /* a bit of the header, after the digest was made */
	TGT_CORRUPT_DATA,   /* a bit of the data, after the digest was made */
	TGT_LIE_DATA,       /* a bit of the data, before */
	TGT_STATSN,         /* added to: arg */
	TGT_DATASN,         /* DataSN or R2TSN likewise */
	TGT_OFFSET,         /* Buffer Offset likewise */
	TGT_LENGTH,         /* R2T's desired length, or a DataSegmentLength, without bytes to it */
	TGT_ITT,            /* replaced */
	TGT_TTT,            /* replaced */
	TGT_OPCODE,         /* replaced */
	TGT_FLAGS,          /* byte 1 xor arg */
	TGT_STATUS,         /* SCSI status; login status class << 8 | detail */
	TGT_RESPONSE,       /* response code of a SCSI, task management or logout response */
	TGT_RESIDUAL,       /* underflow by arg */
	TGT_WINDOW,         /* MaxCmdSN = ExpCmdSN - 1 + arg */
	TGT_HALF,           /* half of the PDU, then it closes */
	TGT_CLOSE,          /* it closes instead */
	TGT_SILENCE,        /* the connection says nothing more, and stays open */
	TGT_REJECT,         /* request: Reject with reason arg */
	TGT_EARLY_STATUS, /* command: status arg at once (0x100: GOOD where that can be noticed) */
	TGT_BUSY,         /* command: status arg at once (0x08 BUSY, 0x28 TASK SET FULL) */
	TGT_FORGET,       /* command: taken and never answered */
	TGT_ASYNC,    /* on a request: before its answer, an Asynchronous Message with event arg */
	TGT_REDIRECT, /* login: status arg (0x0101, 0x0102), TargetAddress text */
	TGT_LOSE_WRITE, /* command: GOOD, not written (arg 1: and who looks on is told it was);
				  only to prove a judge */
	N_TGT_ACTS
};

struct tgt_rule {
	int op;       /* enum opcode; -1: any */
	unsigned nth; /* counts down; 0: every */
	enum tgt_act act;
	uint32_t arg;
	char text[128];
};

/* False: too many. */
bool tgt_rule_add(struct tgt *t, const struct tgt_rule *r);
/*
 * The same as a line: "OP NTH ACT [ARG [TEXT]]", as in "data-in 3 drop", "r2t 1 offset 512",
 * "login 1 redirect 0x0101 127.0.0.1:3261". False: not understood.
 */
bool tgt_rule_parse(struct tgt_rule *ret, const char *line);
void tgt_rules_clear(struct tgt *t);
/* So many of a thousand PDUs get a random act out of the mask (1 << enum tgt_act). */
void tgt_misbehave(struct tgt *t, uint32_t permille, uint64_t acts);

/* An Asynchronous Message on each connection (§11.9). */
void tgt_async(struct tgt *t, unsigned event, unsigned p1, unsigned p2, unsigned p3);

struct tgt_stats {
	uint64_t n_complaints, n_commands, n_writes, n_misdeeds, n_logins, n_reinstated,
		n_reassigned, n_snacks, n_resent, n_digest_errors;
};
const struct tgt_stats *tgt_stats(const struct tgt *t);
unsigned tgt_n_sessions(const struct tgt *t);
unsigned tgt_n_tasks(const struct tgt *t);
uint8_t *tgt_disk(struct tgt *t, unsigned lun);

#endif
