/* SPDX-License-Identifier: MIT */
/*
 * The test target's inside
 *
 *	target.c   its life, time, restarts
 *	stream.c   bytes in and out: framing, digests, where rules bite
 *	rule.c     the rules
 *	login.c    login, text, SendTargets
 *	session.c  CmdSN order, logout, connections lost and taken up again, SNACK
 *	manage.c   task management
 *	command.c  one command's data: R2T, Data-Out, Data-In, status
 *	disk.c     what a command does
 */
#ifndef TARGET_INSIDE_H
#define TARGET_INSIDE_H

#include "base/cleanup.h"
#include "base/list.h"
#include "target.h"
#include "wire.h"

#define MAX_RULES 64
#define MS        UINT64_C(1000000)
#define SEC       UINT64_C(1000000000)

struct unit {
	uint8_t *bytes;   /* what reads see */
	uint8_t *durable; /* what a power cut leaves; NULL: the same */
};

struct tgt {
	struct tgt_cfg cfg;
	struct rng rng;
	uint64_t now_ns;
	struct unit unit[TGT_MAX_LUNS];
	void *own_memory;
	struct list sessions;
	struct list conns; /* all that have a transport */
	uint32_t next_tsih;
	uint32_t next_ttt;
	struct tgt_rule rule[MAX_RULES];
	unsigned n_rules;
	uint32_t misbehave_permille;
	uint64_t misbehave_acts;
	uint8_t attention[TGT_MAX_LUNS]; /* for the next session */
	struct tgt_stats stats;
};

/* A run of Data-In that may be asked for again. */
struct piece {
	uint32_t off, n;
	uint8_t flags;
};

struct r2t {
	bool open;
	uint32_t ttt, r2tsn, off, n, n_got, datasn;
};

enum cmd_state {
	CMD_COLLECT, /* waits for the write's data */
	CMD_RUN,     /* does it at due_ns */
	CMD_SEND,    /* Data-In goes out from due_ns on */
	CMD_STATUS,  /* all is sent; kept until the status is acknowledged (level >= 1) */
	CMD_STUCK,   /* never answered */
};

struct cmd {
	struct list node; /* in the session */
	struct session *session;
	struct tconn *conn; /* allegiance; NULL: its connection is lost */
	uint16_t cid;       /* also then */
	enum cmd_state state;
	uint32_t itt, cmdsn, expected;
	uint64_t lun;
	uint8_t cdb[16];
	bool reads, writes;
	uint8_t lose; /* TGT_LOSE_WRITE: 1 + its argument */
	bool done;    /* has been at the disk */
	uint64_t due_ns;

	uint8_t *data; /* of the write, or to be read */
	uint32_t n_data, n_room;

	/* writes */
	uint32_t n_got;       /* bytes */
	uint32_t n_asked;     /* bytes from 0 that were sent unasked or that an R2T asks for */
	uint32_t n_asked_end; /* likewise from the end */
	uint8_t *have;        /* level >= 1: which bytes have come */
	bool unsolicited;     /* Data-Out without R2T is still coming */
	uint32_t unsolicited_datasn;
	uint8_t refuse; /* status to end with once the unsolicited data is there */
	uint32_t r2tsn; /* next */
	struct r2t *r2t;
	unsigned n_r2ts, n_r2t_room, n_open, n_waits;

	/* reads */
	struct piece *piece;
	uint32_t n_pieces, n_piece_room;
	uint32_t n_sent; /* bytes */
	uint32_t n_end;  /* of them, from the end */
	uint32_t burst;  /* bytes of the sequence so far */
	uint32_t acked;  /* DataSN below this are not needed any more */

	/* how it ended */
	uint8_t response, status;
	uint8_t sense[20];
	uint8_t n_sense;
	bool underflow, overflow;
	uint32_t residual;
	bool answered;
	uint32_t statsn;
};

/* A PDU with status, until the initiator has acknowledged it. */
struct kept {
	struct list node;
	uint32_t statsn;
	uint8_t bhs[BHS];
	uint32_t n;
	uint8_t data[];
};

/* A command that came before its turn, or the news that one will not come. */
struct early {
	struct list node;
	struct tconn *conn; /* NULL: lost, or nothing to do */
	uint32_t cmdsn;
	bool nothing;
	bool immediate; /* task management that waits for what came before it */
	uint8_t *more;  /* its unsolicited Data-Out, PDU by PDU, without padding and digests */
	size_t n_more, n_more_room;
	uint8_t bhs[BHS];
	uint32_t n;
	uint8_t data[];
};

/* Goes out later. */
struct late {
	struct list node;
	uint64_t due_ns;
	size_t n;
	uint8_t bytes[];
};

enum conn_phase {
	PHASE_LOGIN,
	PHASE_FULL,
	PHASE_GONE, /* closes when all is sent */
};

/* A connection that was lost at level 2: until then its commands may be taken over. */
struct lost {
	struct list node;
	uint16_t cid;
	bool logged_out; /* for recovery: may be reassigned now */
	uint64_t until_ns;
};

struct session {
	struct list node; /* in the target */
	struct tgt *t;
	uint8_t isid[6];
	uint16_t tsih;
	char initiator[224];
	bool discovery;

	uint32_t erl, max_connections, max_r2t;
	bool initial_r2t, immediate_data;
	bool pdu_in_order, sequence_in_order;
	uint32_t max_burst, first_burst, time2wait_s, time2retain_s;

	uint32_t expcmdsn, told_max;
	struct list conns, cmds, early, lost;
	unsigned n_conns, n_cmds;
	uint64_t until_ns;               /* without a connection it ends then */
	uint8_t attention[TGT_MAX_LUNS]; /* 0: none; else the ASCQ of 29h, 0x80 set */
	/* told, but it is not known yet whether it was heard */
	struct {
		uint8_t what;
		const struct tconn *conn; /* NULL: the answer is still to be sent */
		uint32_t statsn;
	} told[TGT_MAX_LUNS];
};

struct tconn {
	struct list node;         /* in the target */
	struct list session_node; /* in the session */
	struct tgt *t;
	struct session *session;
	enum conn_phase phase;
	uint16_t cid;
	bool silent;
	bool header_digest, data_digest;
	uint32_t his_mrdsl;
	uint32_t statsn;
	uint32_t acked; /* ExpStatSN of the initiator */
	struct list kept, late;

	/* login */
	uint8_t csg;
	unsigned n_rounds;
	bool discovery, named, asked_more, answered_digest[2], declared, told_group;
	struct session *proposed; /* parameters in the making */
	uint8_t *text_in, *text_out;
	size_t n_text_in, n_text_out, text_out_at;
	uint8_t want_nsg;
	bool want_transit;

	uint8_t *text_rest; /* of a text response */
	uint64_t next_ping_ns;

	uint8_t *in;
	size_t n_in, n_in_room;
	uint8_t *out;
	size_t out_at, n_out, n_out_room;
};

/* ---- target.c */
void complain(struct tgt *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* After a misdeed of ours, or bytes that were spoilt on the way, it may be our own fault. */
#define blame(t, ...)                                                      \
	do {                                                               \
		if (!(t)->stats.n_misdeeds && !(t)->stats.n_digest_errors) \
			complain(t, __VA_ARGS__);                          \
	} while (0)
void tell(struct tgt *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Memory that a test target cannot do without. */
void *must(void *p);
bool grow(uint8_t **bytes, size_t *n_room, size_t n);

/* ---- stream.c */
/*
 * Sends a PDU. What its numbers are is filled in: with @statsn, a new StatSN (kept for
 * a SNACK at level 1), and always ExpCmdSN and MaxCmdSN.
 */
void send_pdu(struct tconn *c, uint8_t bhs[BHS], const void *data, uint32_t n, bool statsn);
/* A second time, as it was, with its old StatSN. */
void send_again(struct tconn *c, const uint8_t bhs[BHS], const void *data, uint32_t n);
void reject(struct tconn *c, const uint8_t bhs[BHS], unsigned reason);
void send_async(struct tconn *c, unsigned event, unsigned p1, unsigned p2, unsigned p3);
/* No more is taken or sent, but for what waits. */
void hang_up(struct tconn *c);
void release_late(struct tconn *c);

/* ---- rule.c */
/* The rule that this PDU meets, or NULL; it is spent by that. */
const struct tgt_rule *rule_for(struct tgt *t, unsigned op, bool request, struct tgt_rule *room);

/* ---- login.c */
void on_login(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n,
	      const struct tgt_rule *rule);
void on_text(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n);

/* ---- session.c */
struct session *tsession_make(struct tgt *t);
void tsession_end(struct session *s);
/* The login is over: finds or makes the session. 0, or a login status. */
unsigned tsession_join(struct tconn *c, const uint8_t *bhs);
void tsession_part(struct tconn *c);
void tsession_leave(struct tconn *c, bool keep_tasks);
void on_request(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n,
		const struct tgt_rule *rule);
void tsession_tick(struct session *s);
uint64_t tsession_due_ns(const struct session *s);
uint32_t tsession_max_cmdsn(struct session *s);
/* It counts as come. */
void tsession_plug(struct session *s, uint32_t cmdsn);
/* Data-Out of a command that waits. False: there is no such command. */
bool tsession_stash(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n);
/* An immediate request is kept until all before it have come. False: they have. */
bool tsession_wait(struct tconn *c, const uint8_t *bhs);

/* ---- manage.c */
void on_task_mgmt(struct tconn *c, const uint8_t *bhs);

/* ---- command.c */
void cmd_begin(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n,
	       const struct tgt_rule *rule);
struct cmd *cmd_end(struct cmd *k);
struct cmd *cmd_find(struct session *s, uint32_t itt);
void cmd_step(struct cmd *k);
void cmd_answer(struct cmd *k);
void cmd_take_over(struct cmd *k, struct tconn *c, uint32_t expdatasn);
void on_data_out(struct tconn *c, const uint8_t *bhs, const uint8_t *data, uint32_t n);
void on_data_snack(struct tconn *c, const uint8_t *bhs);

/* ---- disk.c */
int lun_index(uint64_t lun);
/* Sets the result and, for a read, the data. */
void disk_do(struct cmd *k);
void check_condition(struct cmd *k, uint8_t key, uint8_t asc, uint8_t ascq);
void disk_power_cut(struct tgt *t);

#endif
