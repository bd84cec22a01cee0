/* SPDX-License-Identifier: MIT */
/*
 * One simulated world: an engine session with its owner, a network, a target
 *
 *	plan.c   what a seed makes of it: parameters, faults, misbehaviour
 *	net.c    bytes under way, late, cut off or spoilt
 *	owner.c  what src/initiator does for an engine, in small
 *	load.c   reads, writes and flushes
 *	model.c  the judge
 *	sim.c    time, and the program
 *
 * There is no clock and no thread: time goes to the next moment at which anything is
 * due. Everything random comes from the seed, so a seed replays exactly.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "iscsi/engine.h"
#include "target/target.h"
#include "target/wire.h"

#define MS        UINT64_C(1000000)
#define SEC       UINT64_C(1000000000)

#define BLOCK     512u
#define N_BLOCKS  64u
#define MAX_UNITS 2
#define MAX_CONNS 4
#define MAX_LINKS 24
#define MAX_DEPTH 16
#define MAX_OPS   160
#define OP_BLOCKS 24u
#define GUARD     64
#define PIPE      32768u
#define SEGS      64
#define HISTORY   8

/* ---- network */
struct seg {
	uint64_t at_ns;
	uint32_t n;
};

struct flow {
	uint8_t bytes[PIPE];
	uint32_t head, n;
	struct seg seg[SEGS];
	unsigned seg_head, n_segs;
	uint64_t last_ns;
	bool ended; /* nothing more goes in; the other end learns it at end_ns */
	uint64_t end_ns;
	bool black; /* what goes in is lost, and nobody learns anything */
};

struct link {
	bool used;
	struct iscsi_conn *ic; /* NULL: closed by the owner */
	struct tconn *tc;      /* NULL: closed by the target */
	unsigned slot;         /* the owner's place */
	struct flow up, down;  /* to the target, from it */
};

/* ---- load */
enum op_kind {
	OP_READ,
	OP_WRITE,
	OP_FLUSH,
};

enum op_end {
	OP_LIVE,
	OP_GOOD,
	OP_FAILED, /* told so: a write may have been done or not */
};

struct op {
	enum op_kind kind;
	unsigned lun;
	uint32_t lba, n;
	bool fua;
	enum op_end end;
	uint32_t submit_seq, end_seq;
	uint64_t submit_ns;
	/* of a write */
	unsigned n_applied;
	bool durable;      /* a flush said so, or it was written through */
	bool reverted;     /* a power cut may have taken it */
	bool cut;          /* it has, before the end was known */
	bool lost;         /* it has, and the write was reported good … */
	uint32_t told_seq; /* … and a flush has failed since */
	unsigned n_tries;
	bool cancelled;
};

struct slot {
	bool busy;
	unsigned op;
	struct iscsi_task task;
	struct iovec iov[3];
	uint64_t again_ns; /* waits before it is submitted again; TGT_NEVER: it is the engine's */
	uint8_t mem[OP_BLOCKS * BLOCK + 2 * GUARD];
};

/* ---- owner */
enum owner_state {
	OWNER_DOWN, /* until retry_ns */
	OWNER_LOGIN,
	OWNER_VERIFY,
	OWNER_UP,
	OWNER_RECOVER, /* the session lives, and needs a connection in time */
	OWNER_LEAVING, /* the target asked for a logout */
	OWNER_CLOSING,
	OWNER_CLOSED,
};

struct place {
	struct link *link;
	uint16_t cid;
	uint64_t connect_ns; /* TGT_NEVER: not wanted now */
	bool up;
};

struct world {
	uint64_t seed;
	struct rng rng;
	uint64_t now_ns;
	bool trace;
	char wrong[300]; /* what the judge found; empty: nothing */
	uint64_t n_steps;

	/* plan */
	struct tgt_cfg tgt_cfg;
	struct iscsi_session_cfg cfg;
	unsigned n_units, n_conns, n_ops, depth, n_faults;
	uint32_t latency_ns, jitter_ns;
	uint32_t piece_max; /* bytes in a segment of the network */
	uint64_t fault_ns;
	bool spoils, cuts_power;
	uint32_t misbehaves; /* of a thousand PDUs */
	uint64_t misdeeds;   /* of these kinds */
	uint64_t hold_ns;

	struct tgt *t;
	struct iscsi_session *s;
	struct link link[MAX_LINKS];
	uint64_t refuse_until_ns; /* nobody listens */

	enum owner_state state;
	struct place place[MAX_CONNS];
	uint16_t next_cid;
	bool new_cids;       /* each connection has a number of its own */
	uint64_t recover_ns; /* not before */
	uint64_t retry_ns, leave_ns, hold_until_ns, close_ns;
	unsigned n_failures;
	bool was_up;
	bool fresh;         /* the session is a new one, not one that was recovered */
	uint32_t doubt_seq; /* a power cut was heard of: flushes submitted before fail */
	bool doubt;
	struct iscsi_task probe[MAX_UNITS];
	bool probing[MAX_UNITS];
	unsigned n_probes, n_probe_tries;

	struct slot slot[MAX_DEPTH];
	unsigned next_op, n_live;
	uint64_t next_submit_ns;

	/* model */
	uint32_t seq;
	struct op op[MAX_OPS + 1]; /* 0: what was there at first */
	struct {
		uint32_t seq;
		uint16_t id;
	} history[MAX_UNITS][N_BLOCKS][HISTORY];
	uint16_t n_history[MAX_UNITS][N_BLOCKS];
	uint16_t durable[MAX_UNITS][N_BLOCKS];
	uint64_t quiet_since_ns; /* no more faults */
	struct {
		uint64_t n_good, n_failed, n_reconnects, n_recoveries, n_faults, n_power_cuts;
	} count;
};

/* ---- sim.c */
void say(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The judge's word; the first one counts. */
void wrong(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- plan.c */
void plan_make(struct world *w);
void fault_do(struct world *w);
void faults_end(struct world *w);

/* ---- net.c */
struct link *link_open(struct world *w, struct iscsi_conn *ic, unsigned slot);
/* The owner closes its end. */
void link_close(struct world *w, struct link *l);
void link_cut(struct world *w, struct link *l, bool silently);
uint64_t net_due_ns(struct world *w);
void net_deliver(struct world *w);
/* True: bytes have moved. */
bool net_pump(struct world *w);
void net_spoil(struct world *w);
void net_stall(struct world *w, uint64_t ns);
void net_end(struct world *w);

/* ---- owner.c */
void owner_start(struct world *w);
uint64_t owner_due_ns(const struct world *w);
void owner_work(struct world *w);
/* True: there were events. */
bool owner_events(struct world *w);
void owner_close(struct world *w);
/* It does something nobody has asked for: takes a connection away, resets, cancels. */
void owner_whim(struct world *w);

/* ---- load.c */
void block_fill(uint8_t *bytes, unsigned id, unsigned lun, uint32_t lba);
/* -1: it is no block that was ever written to this place. */
int block_id(const uint8_t *bytes, unsigned lun, uint32_t lba);
uint64_t load_due_ns(const struct world *w);
void load_work(struct world *w);
void load_done(struct world *w, struct iscsi_task *t);

/* ---- model.c */
void model_start(struct world *w);
void model_wrote(void *user, unsigned lun, uint64_t lba, uint32_t n, const uint8_t *bytes);
void model_flushed(void *user, unsigned lun);
void model_power_cut(struct world *w);
void model_end(struct world *w, struct op *o, bool good, const uint8_t *bytes);
void model_finish(struct world *w);

#endif
