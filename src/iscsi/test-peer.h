/* SPDX-License-Identifier: MIT */
/*
 * A scripted target for conversations with the engine
 *
 * The peer holds both ends: the engine's session and connection as their owner
 * would, and the target's side of the wire as bytes in memory. Bytes pass in
 * pieces of a size that the test chooses, so the same conversation proves that no
 * boundary matters. Everything the engine sends is held against the rules that
 * always hold: reserved bits zero, padding zero, digests right, CmdSN in order and
 * inside the window, ExpStatSN no further than what was sent, no segment larger
 * than the target takes. A test then only asserts what is special about it.
 */
#ifndef ISCSI_TEST_PEER_H
#define ISCSI_TEST_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "iscsi/internal.h"

#define PEER_S     UINT64_C(1000000000)
#define PEER_GUARD 64
#define PEER_MRDSL 8192 /* MaxRecvDataSegmentLength that holds until it is negotiated */

/* A PDU that the engine sent; valid until the next one is taken. */
struct seen {
	struct pdu pdu;
	uint8_t bhs[BHS_LEN];
	uint8_t *data;
};

struct peer_event {
	struct iscsi_event ev; /* its pointers are not to be used: */
	char text[4096];
	size_t n_text;
	uint8_t sense[ISCSI_SENSE_MAX];
};

struct peer {
	struct peer *lead; /* the session's first connection, which has the numbers; NULL: this */
	bool several;      /* of lead: commands come in the order of the wires, not of CmdSN */
	uint64_t ahead;    /* then: bit i for expcmdsn + 1 + i that has come */

	/* the owner's end */
	struct iscsi_session_cfg cfg;
	struct iscsi_session *s;
	struct iscsi_conn *c;
	uint64_t now_ns;
	size_t split; /* bytes at a time, both ways; 0: as many as there are */
	uint16_t cid;

	/* the target's end */
	uint32_t statsn;   /* of the next PDU with status */
	uint32_t expcmdsn; /* of the next command */
	uint32_t window;   /* MaxCmdSN is expcmdsn + window - 1 */
	uint32_t told_max; /* the largest MaxCmdSN told */
	uint32_t mrdsl;    /* what the target takes now */
	uint32_t declared; /* what it takes after login; 0: nothing declared */
	uint16_t tsih;
	bool header_digest, data_digest;
	bool in_full_feature;
	bool cmdsn_known; /* from the first login request on */
	bool loose;       /* do not check what always holds: the test breaks it itself */

	/* answers that are not the value offered: "Key=Value", or "-Key" for none; NULL at the end
	 */
	const char *answers[16];
	const char *extra; /* one more "Key=Value" in the operational stage, or NULL */

	/* the wire, engine to target */
	uint8_t *wire;
	size_t n_wire, wire_at, n_room;
	struct seen seen;
	size_t n_seen_room;

	/* a place whose traffic is counted */
	const uint8_t *watch;
	size_t n_watch, n_rx_direct, n_tx_direct;

	/* bytes, in both directions together, until the connection breaks; 0: it does not */
	size_t fuse;
	bool blown;

	/* of peer_serve_one() */
	struct text login_text;
	struct served {
		bool busy;
		uint32_t itt, n, at, r2tsn;
	} served[64];
	uint8_t order[64]; /* last byte of the CDBs, as the commands came */
	unsigned n_order;

	struct peer_event event;
};

/* True while the peer takes memory for itself; for tests that make allocations fail. */
extern volatile bool peer_allocates;

/* Sizes that every group of conversations is run with; 0: all at once. */
extern const size_t peer_splits[];
extern const size_t n_peer_splits;
extern size_t peer_split; /* the one in use, taken by peer_init() */

/* Runs the group once for every size. Returns the number of failures. */
int peer_run_group(const char *name, const struct CMUnitTest *tests, size_t n_tests);
#define PEER_RUN(name, tests) peer_run_group(name, tests, ARRAY_SIZE(tests))

/* Sets defaults; the test may change cfg, answers and the rest before the next step. */
void peer_init(struct peer *p);
void peer_open(struct peer *p);    /* the session */
void peer_connect(struct peer *p); /* a new connection, started */
void peer_login(struct peer *p);   /* the target's side of a login, to full feature phase */
/* Takes one PDU and answers as a good target would, in any phase. False: there is none. */
bool peer_serve_one(struct peer *p);
void peer_up(struct peer *p);    /* init'ed peer: all of it, and ISCSI_EV_UP taken */
void peer_again(struct peer *p); /* free the dead connection, connect, log in, take ISCSI_EV_UP */
void peer_close(struct peer *p);
/* A further connection of @lead's session: a peer of its own, up, its ISCSI_EV_UP taken. */
void peer_join(struct peer *p, struct peer *lead, uint16_t cid);
/* The same up to the first Login Request. */
void peer_join_start(struct peer *p, struct peer *lead, uint16_t cid);
void peer_leave(struct peer *p);

/* ---- wire, engine to target -------------------------------------------- */

/* Moves bytes until there is a whole PDU. NULL: the engine has no more to say. */
const struct seen *peer_recv(struct peer *p);
const struct seen *peer_expect(struct peer *p, enum pdu_opcode opcode);
void peer_expect_nothing(struct peer *p);
/* Takes at most @n bytes off the engine; returns how many. */
size_t peer_pull(struct peer *p, size_t n);

/* ---- wire, target to engine -------------------------------------------- */

void peer_feed(struct peer *p, const void *bytes, size_t n);
/* Puts in the target's numbers: StatSN (advanced where the PDU has status), ExpCmdSN, MaxCmdSN. */
void peer_number(struct peer *p, struct pdu *pdu);
/* As it is, with length, digests and padding. */
void peer_put(struct peer *p, struct pdu *pdu, const void *data, size_t n);
/* Both. */
void peer_send(struct peer *p, struct pdu pdu, const void *data, size_t n);
/* The bytes that peer_put() would send; returns their number. @room is large enough. */
size_t peer_encode(struct peer *p, struct pdu *pdu, const void *data, size_t n, uint8_t *room);

void peer_status(struct peer *p, uint32_t itt, uint8_t status);
void peer_data_in(struct peer *p, uint32_t itt, uint32_t datasn, uint32_t off, const void *data,
		  uint32_t n, bool last_with_good);
void peer_r2t(struct peer *p, uint32_t itt, uint32_t ttt, uint32_t r2tsn, uint32_t off,
	      uint32_t len);
void peer_ping(struct peer *p, uint32_t ttt, const void *data, size_t n);

void peer_tmf_response(struct peer *p, uint32_t itt, uint8_t response);
void peer_logout_response(struct peer *p, uint32_t itt, uint8_t response);

/* ---- events ------------------------------------------------------------ */

/* The next event other than a note, or NULL. */
const struct peer_event *peer_event(struct peer *p);
const struct peer_event *peer_expect_event(struct peer *p, enum iscsi_event_kind kind);

/* A Logout of a connection is due; its ITT, for the answer. */
uint32_t peer_expect_logout(struct peer *p, uint8_t reason, uint16_t cid);
void peer_answer_logout(struct peer *p, uint32_t itt, uint8_t response);
void peer_expect_no_event(struct peer *p);
/* The connection ended for what the target did, and the text has @why in it. */
void peer_expect_violation(struct peer *p, const char *why);
void peer_expect_login_violation(struct peer *p, const char *why);
void peer_tick(struct peer *p, uint64_t ns);

/* ---- commands ---------------------------------------------------------- */

/* A task with memory of its own between guards. */
struct io {
	struct iscsi_task task;
	struct iovec iov[5];
	uint8_t *mem, *bytes;
	uint32_t n;
};

void io_none(struct io *io);
void io_read(struct io *io, uint32_t n);
void io_write(struct io *io, uint32_t n); /* filled with io_byte() */
uint8_t io_byte(uint32_t at);
void io_fill(uint8_t *bytes, uint32_t off, uint32_t n);
void io_submit(struct peer *p, struct io *io);
/* The next event is this one's end, and so it ended. */
void io_expect(struct peer *p, struct io *io, enum iscsi_task_result result);
/* Guards whole, data right when @n_good bytes of a read must be there; frees. */
void io_free(struct io *io, uint32_t n_good);
/* Takes the whole of a write off the wire, giving R2Ts as needed, and answers GOOD. */
void peer_serve_write(struct peer *p, struct io *io);
/* Takes the command and answers it with all the data in segments of @n_segment, and GOOD. */
void peer_serve_read(struct peer *p, struct io *io, uint32_t n_segment);

#endif
