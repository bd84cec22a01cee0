/* SPDX-License-Identifier: MIT */
/*
 * The engine's inside: session and connection as its own files see them
 *
 *	session.c   the command queue, CmdSN window, ITTs, events, what survives a connection
 *	task.c      one SCSI command: Data-Out planning, Data-In bookkeeping, completion
 *	runs.c      which bytes are there, when they may come in any order
 *	tmf.c       timeouts and task management, from ABORT TASK to dropping the connection
 *	policy.c    which connection takes the next command
 *	recovery.c  connections come and go: what becomes of their tasks
 *	snack.c     what is lost inside a connection is asked for again
 *	conn.c      state of a connection and the PDUs that concern it
 *	conn_rx.c   bytes in: framing, digests, where data lands
 *	conn_tx.c   bytes out: which PDU is next, digests
 *	login.c     the login phase
 *	chap.c      authentication in it
 *	text.c      text requests in full feature phase
 *
 * Session, connection and task are separate as in the RFC: CmdSN belongs to the
 * session, StatSN to the connection, DataSN to the task or the sequence. A task
 * knows the connection of its allegiance.
 */
#ifndef ISCSI_INTERNAL_H
#define ISCSI_INTERNAL_H

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/list.h"
#include "base/serial.h"
#include "iscsi/chap.h"
#include "iscsi/engine.h"
#include "iscsi/keys.h"
#include "iscsi/pdu.h"
#include "iscsi/runs.h"

/* ---- tasks ------------------------------------------------------------- */

enum task_state {
	TASK_IDLE,     /* the owner's */
	TASK_PENDING,  /* in the session's queue */
	TASK_READY,    /* in a connection's: sent there when it has room */
	TASK_SENT,     /* has an ITT, the target may be working on it */
	TASK_ORPHAN,   /* the same, but its connection is gone: see recovery.c */
	TASK_DRAINING, /* result known, PDUs still point into the buffers */
	TASK_DONE,     /* waits to be told to the owner */
};

void task_init(struct iscsi_task *t);
/* The command PDU and the unsolicited sequence; fills @p, returns the bytes of immediate data. */
uint32_t task_start(struct iscsi_task *t, struct iscsi_conn *c, struct pdu *p);
/* The result is known: no more PDUs of this task will be made. Told to the owner when none points
 * into its buffers. */
void task_finish(struct iscsi_task *t, enum iscsi_task_result result);
/* The connection is gone: back to the queue's front (the caller keeps the order), or lost. */
void task_unsend(struct iscsi_task *t);
/* The connection is gone, the command is not: it keeps ITT and CmdSN. */
void task_orphan(struct iscsi_task *t);
void task_hold(struct iscsi_task *t);    /* one PDU more points into the buffers */
void task_release(struct iscsi_task *t); /* one less */

/* 0, or -EPROTO with *why: the connection has to go. */
int task_check_data_in(struct iscsi_task *t, const struct pdu *p, const char **why);
int task_on_data_in(struct iscsi_task *t, const struct pdu *p, const char **why);
/* The status of a Data-In alone. */
int task_on_data_status(struct iscsi_task *t, const struct pdu *p, const char **why);
/* It gives up and does not come back. */
bool task_ends(const struct iscsi_task *t);
/* A Data-Out has been made of these bytes. */
void task_sent(struct iscsi_task *t, uint32_t off, uint32_t n);
int task_on_r2t(struct iscsi_task *t, const struct pdu *p, const char **why);
int task_on_response(struct iscsi_task *t, const struct pdu *p, const uint8_t *data, size_t n,
		     const char **why);

/* Part [off, off + len) of a vector. Return: entries written, at most @n_out; *ret_len gets the
 * bytes they cover. */
size_t iov_part(const struct iovec *iov, size_t n_iov, size_t off, size_t len, struct iovec *out,
		size_t n_out, size_t *ret_len);

/* ---- session ----------------------------------------------------------- */

#define EVENT_RING       32 /* and for each connection: */
#define EVENTS_OF_CONN   3  /* it is up, is to be logged out, has ended */
#define EVENT_NOTE_LIMIT 16 /* what a target can make in any number is dropped beyond this */
#define EVENT_TEXT       256

struct queued_event {
	struct iscsi_event ev;
	char text[EVENT_TEXT];
	uint8_t sense[ISCSI_SENSE_MAX];
};

/* Task management: one function at a time. */
struct tmf {
	bool active;
	uint8_t function; /* enum pdu_tmf */
	bool told;        /* the owner asked for it, its tasks end as cancelled */
	bool asked;       /* and waits for ISCSI_EV_TMF_DONE */
	uint64_t lun;
	uint32_t itt;
	uint32_t cmdsn;          /* commands from here on came after it */
	struct iscsi_task *task; /* ABORT TASK; NULL when it has ended meanwhile */
	struct iscsi_conn *conn;
	uint64_t deadline_ns;
};

/* The one text exchange (text.c). */
struct exchange {
	bool busy;
	bool quiet; /* ours, not the owner's: no event */
	struct iscsi_conn *conn;
	uint32_t itt;
	uint64_t deadline_ns;
	unsigned resets; /* by the target */
	struct text out; /* the request, from its beginning */
	size_t out_off;
	bool sent_more; /* our last PDU had the C bit: an empty answer is due */
	struct text in;
	size_t in_at;       /* keys up to here have been looked at */
	uint32_t his_mrdsl; /* a new one; 0: none */
	bool waits;         /* an answer is whole, and the owner has not been told */
	struct text told;
};

#define RESETS_MAX 16

/* What the owner wants done, in order. */
struct wanted {
	uint8_t function;
	bool asked;
	uint64_t lun;
};

/*
 * A connection that went while its tasks were on the wire. Its CID is first logged out
 * at the target, over another connection; then it is known which commands the target has
 * taken (RFC 7143 §7.2, §11.14), and each goes on accordingly.
 */
enum loss_state {
	LOSS_NONE,
	LOSS_WAITS,    /* for Time2Wait to be over, and for a connection */
	LOSS_LOGOUT,   /* for the Logout Response */
	LOSS_REASSIGN, /* for the answers to TASK REASSIGN, one after the other */
};

struct loss {
	enum loss_state state;
	uint16_t cid;
	uint8_t reason;         /* of the Logout */
	struct iscsi_conn *via; /* where we asked */
	uint32_t itt;           /* of what we asked */
	struct iscsi_task *task;
	uint64_t at_ns;    /* LOSS_WAITS: not before */
	uint64_t until_ns; /* then the session is given up */
};

#define LOSSES_MAX  8
#define LOSS_OF_ALL LOSSES_MAX /* of a task: the session ends, and all go back to the queue */

struct iscsi_session {
	struct iscsi_session_cfg cfg; /* strings are ours */
	struct iscsi_params active;
	uint16_t tsih;
	bool up; /* a connection is or was in full feature phase since the last loss */
	bool held;
	bool logging_out;
	bool ending;        /* every connection is about to go: nothing is to be recovered */
	const char *doomed; /* why it is to be given up, once the loss under way has been told */
	bool forgiving;     /* late PDUs of ended tasks are no mistake: see session_is_stale() */
	unsigned n_up;      /* connections that are in full feature phase, or logging out */
	struct loss loss[LOSSES_MAX];
	struct iscsi_conn *turn; /* took the last command; NULL: it is gone */

	uint32_t cmdsn, expcmdsn, maxcmdsn;
	struct list pending;       /* in the order in which they get their CmdSN */
	struct iscsi_task **table; /* cfg.n_tasks entries, by ITT index */
	struct runs *runs;         /* likewise, if data may come in any order; else NULL */
	uint32_t *free_itt;        /* stack of ITTs, generation included */
	uint32_t *last_itt;        /* by ITT index: the last one in use */
	uint32_t next_seq;
	unsigned n_free_itt;
	unsigned n_pending, n_sent;
	uint32_t other_itt; /* for PDUs that are not tasks */

	struct list conns;

	struct tmf tmf;
	struct wanted wanted[RESETS_MAX];
	unsigned n_wanted;
	uint64_t next_sweep_ns; /* tasks are looked at for timeouts this often at most */

	struct chap_memory challenges;

	struct exchange exchange;

	struct list done; /* tasks to tell */
	struct queued_event
		*ring; /* EVENT_RING, and room for all connections: session_ring_room() */
	unsigned ring_head, n_ring, n_ring_room;
	struct queued_event told;  /* what the last session_next_event() gave out */
	struct queued_event spare; /* what is dropped is written here */
	struct iscsi_stats stats;
};

/* Makes room for the events of one connection more: none of its own is ever left out. */
int session_ring_room(struct iscsi_session *s);
struct queued_event *session_event(struct iscsi_session *s, enum iscsi_event_kind kind,
				   struct iscsi_conn *c);
void session_note(struct iscsi_session *s, struct iscsi_conn *c, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
uint32_t session_next_itt(struct iscsi_session *s);
/* The task an ITT names on connection @c, or NULL. */
struct iscsi_task *session_find(struct iscsi_session *s, struct iscsi_conn *c, uint32_t itt);
void session_take_itt(struct iscsi_session *s, struct iscsi_task *t);
void session_give_itt(struct iscsi_session *s, struct iscsi_task *t);
void session_window(struct iscsi_session *s, const struct pdu *p);
/* The first of the queue, or of its probes while held; NULL when nothing may be sent. */
struct iscsi_task *session_first(struct iscsi_session *s);
/*
 * Has this ITT been a task's that has ended? Over one connection at ErrorRecoveryLevel 0 order
 * makes sure that nothing comes any more. With several, a reset's response may overtake what
 * another connection carries; with recovery, what was sent again may come twice.
 */
bool session_is_stale(const struct iscsi_session *s, uint32_t itt);
/* Has this ITT been one of session_next_itt()? */
bool session_is_other(const struct iscsi_session *s, uint32_t itt);
struct iscsi_conn *session_working_conn(const struct iscsi_session *s);
/* Its time begins now. */
void session_start_clock(struct iscsi_session *s, struct iscsi_task *t, uint64_t now_ns);
/* No event will name @c any more. */
void session_forget_conn(struct iscsi_session *s, const struct iscsi_conn *c);
/* Takes @t off the wire into @back, which stays in CmdSN order; then @back before all that waits.
 */
void session_requeue(struct iscsi_session *s, struct list *back, struct iscsi_task *t);
void session_queue_first(struct iscsi_session *s, struct list *back);

/* ---- policy.c ---------------------------------------------------------- */

/* The next task for @c that waits to be sent, or NULL. Stays queued. */
struct iscsi_task *policy_next(struct iscsi_session *s, struct iscsi_conn *c);
/* What waits to be sent on @c (NULL: on any) goes back to the queue, to its place. */
void policy_recall(struct iscsi_session *s, struct iscsi_conn *c);

/* ---- recovery.c -------------------------------------------------------- */

void session_conn_up(struct iscsi_session *s, struct iscsi_conn *c);
/* @c is dead. @clean: the target has logged it out. */
void session_conn_gone(struct iscsi_session *s, struct iscsi_conn *c, bool clean);
/* Drops every connection: session recovery (RFC 7143 §7.1.4.4), the last resort. */
void session_give_up(struct iscsi_session *s, uint64_t now_ns, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The session has been logged out: so are all its connections. */
void session_logged_out(struct iscsi_session *s);
/* Sends the Logout of a connection that is to leave, when its tasks have ended. */
void conn_leave(struct iscsi_conn *c);
void recovery_forget_task(struct iscsi_session *s, const struct iscsi_task *t);
/* A Logout of that CID is on its way: it would end whoever takes the number now. */
bool recovery_logs_out(const struct iscsi_session *s, uint16_t cid);
/* Was this the answer to one of ours? */
bool recovery_on_logout(struct iscsi_conn *c);
bool recovery_on_tmf(struct iscsi_conn *c);
void recovery_tick(struct iscsi_session *s, uint64_t now_ns);
/* Gives up a session that is doomed. */
void recovery_settle(struct iscsi_session *s, uint64_t now_ns);
uint64_t recovery_deadline_ns(const struct iscsi_session *s);
/* The command goes out again on @c, in its place among others like it. */
void recovery_retry(struct iscsi_task *t, struct iscsi_conn *c);

/* ---- snack.c ----------------------------------------------------------- */

/* ErrorRecoveryLevel 1 or 2, in full feature phase. */
bool conn_recovers(const struct iscsi_conn *c);

enum {
	SNACK_LANDS, /* in the task's buffers */
	SNACK_TWICE, /* is there already: past them */
};
/* A Data-In's header has come. SNACK_*, or -EPROTO. Before that, notes what has been left out. */
int snack_place(struct iscsi_task *t, const struct pdu *p, const char **why);
/* Its data has. False: it is the next one, and counts as ever. */
bool snack_landed(struct iscsi_task *t, const struct pdu *p);
/* Acknowledges data as far as asked for; @p: a PDU that may ask for it, or NULL. */
void snack_ack(struct iscsi_task *t, const struct pdu *p);
/* An R2T that is not the next one. */
int snack_r2t(struct iscsi_task *t, const struct pdu *p);
/* Status speaks of more PDUs than have come. */
void snack_tail(struct iscsi_task *t, uint32_t expdatasn, uint32_t expected);
/* Status is here: does it have to wait? */
bool task_waits_for_data(struct iscsi_task *t, uint32_t statsn);
/* What to send as ExpStatSN: no status that still waits for data. */
uint32_t conn_ack_statsn(const struct iscsi_conn *c);
/* Asks for all status from the next one on. */
void snack_status(struct iscsi_conn *c);
/* 0: it is the next one; 1: not to be acted on; -EPROTO. */
int snack_take_statsn(struct iscsi_conn *c);
/* A PDU that does not count StatSN tells what the next one will be. */
void snack_hint(struct iscsi_conn *c);
/* The PDU in c->rx has a bad data digest. False: nothing to be done here. */
bool snack_bad_data(struct iscsi_conn *c);
/* The same for what the target has rejected. */
bool snack_on_reject(struct iscsi_conn *c, const struct pdu *mine);
void snack_tick(struct iscsi_session *s, uint64_t now_ns);
uint64_t snack_deadline_ns(const struct iscsi_session *s);
/* Part of a read is there: what is to come begins where the first hole did. */
void snack_cut(struct iscsi_task *t);
/* Its connection has brought nonsense: what a read has got over it is not to be trusted. */
void snack_distrust(struct iscsi_task *t);
/* Aborts the task at the target and queues it anew. */
void task_start_over(struct iscsi_task *t, const char *why);

/* ---- tmf.c ------------------------------------------------------------- */

/* What the owner wants; goes out when its turn comes in tmf_sweep(). False: too many wait. */
bool tmf_want(struct iscsi_session *s, uint8_t function, uint64_t lun, bool asked);
void tmf_sweep(struct iscsi_session *s, uint64_t now_ns);
void tmf_on_response(struct iscsi_conn *c, const struct pdu *p);
void tmf_conn_gone(struct iscsi_session *s, struct iscsi_conn *c);
void tmf_forget_task(struct iscsi_session *s, const struct iscsi_task *t);

void text_on_response(struct iscsi_conn *c);
/* True: it was about the exchange, which is over or begun again. */
bool text_on_reject(struct iscsi_conn *c, uint32_t itt, uint8_t reason);
/* The target wants to make offers: an empty request opens an exchange for them (§11.9.1). */
void text_negotiate(struct iscsi_conn *c);
void text_fail(struct iscsi_session *s);
void text_conn_gone(struct iscsi_session *s, const struct iscsi_conn *c);
void text_tick(struct iscsi_session *s, uint64_t now_ns);

/* ---- connection -------------------------------------------------------- */

/* RFC 7143 §8.1.1, as far as an initiator has them after its transport is up */
enum conn_state {
	CONN_XPT_WAIT,         /* S2: made, not started */
	CONN_IN_LOGIN,         /* S4 */
	CONN_LOGGED_IN,        /* S5 */
	CONN_IN_LOGOUT,        /* S6 */
	CONN_LOGOUT_REQUESTED, /* S7 */
	CONN_DEAD,             /* S1 or S8: takes and gives no more bytes */
};

enum conn_input {
	CONN_TRANSPORT_UP,
	CONN_LOGIN_DONE,
	CONN_LOGIN_FAILED,
	CONN_LOST, /* transport, protocol error, the target's word */
	CONN_LOGOUT_SENT,
	CONN_LOGOUT_WANTED, /* asynchronous message */
	CONN_LOGOUT_DONE,
};

#define CONN_RULES(R)                                                            \
	R(T4, CONN_XPT_WAIT, CONN_TRANSPORT_UP, CONN_IN_LOGIN)                   \
	R(T2, CONN_XPT_WAIT, CONN_LOST, CONN_DEAD)                               \
	R(T5, CONN_IN_LOGIN, CONN_LOGIN_DONE, CONN_LOGGED_IN)                    \
	R(T7, CONN_IN_LOGIN, CONN_LOGIN_FAILED, CONN_DEAD)                       \
	R(T7, CONN_IN_LOGIN, CONN_LOST, CONN_DEAD)                               \
	R(T8, CONN_LOGGED_IN, CONN_LOGOUT_DONE, CONN_DEAD)                       \
	R(T9, CONN_LOGGED_IN, CONN_LOGOUT_SENT, CONN_IN_LOGOUT)                  \
	R(T11, CONN_LOGGED_IN, CONN_LOGOUT_WANTED, CONN_LOGOUT_REQUESTED)        \
	R(T15, CONN_LOGGED_IN, CONN_LOST, CONN_DEAD)                             \
	R(T13, CONN_IN_LOGOUT, CONN_LOGOUT_DONE, CONN_DEAD)                      \
	R(T14, CONN_IN_LOGOUT, CONN_LOGOUT_WANTED, CONN_IN_LOGOUT)               \
	R(T17, CONN_IN_LOGOUT, CONN_LOST, CONN_DEAD)                             \
	R(T10, CONN_LOGOUT_REQUESTED, CONN_LOGOUT_SENT, CONN_IN_LOGOUT)          \
	R(T12, CONN_LOGOUT_REQUESTED, CONN_LOGOUT_WANTED, CONN_LOGOUT_REQUESTED) \
	R(T16, CONN_LOGOUT_REQUESTED, CONN_LOST, CONN_DEAD)                      \
	R(T18, CONN_LOGOUT_REQUESTED, CONN_LOGOUT_DONE, CONN_DEAD)

#define AHS_HEAD   4 /* length, type, reserved */
#define AHS_MAX    (AHS_HEAD + ISCSI_CDB_LONG - ISCSI_CDB_MAX)
#define AHS_LONGER 1 /* AHSType: Extended CDB */

/* A PDU made ready to send. Its data is borrowed from a task, or its own. */
struct tx_slot {
	uint8_t head[BHS_LEN + AHS_MAX + 4]; /* and header digest */
	uint8_t tail[3 + 4];                 /* padding and data digest */
	uint8_t n_head, n_tail;
	uint32_t off, n_data;
	struct iscsi_task *task; /* data is [off, off + n_data) of its iov */
	uint8_t *bytes;          /* or this, freed when sent */
};

#define TX_SLOTS 64

/* A PDU that is not a SCSI command or its data, waiting for a slot. */
struct control_pdu {
	struct list node;
	struct pdu pdu;
	uint8_t *data; /* malloc'ed or NULL */
};

#define CONTROL_MAX 64 /* more waiting than this: the target pings and does not read */

#define STAGE_BYTES 32768
#define BULK_BYTES  8192 /* from this size on, Data-In is read past the stage */

enum rx_state {
	RX_HEAD, /* BHS and header digest */
	RX_AHS,
	RX_DATA,
	RX_TAIL, /* padding and data digest */
};

struct login {
	uint8_t csg;
	unsigned n_rounds;
	struct negotiation negotiation;
	struct chap chap;
	struct text out; /* what is still to be sent */
	size_t out_off;
	struct text in;    /* what came, until the C bit is clear */
	bool sent_more;    /* our last request had the C bit: an empty answer is due */
	bool sent_transit; /* and this one the T bit */
	uint32_t itt;
	uint64_t deadline_ns;
};

struct iscsi_conn {
	struct list node;
	struct iscsi_session *session;
	uint16_t cid;
	enum conn_state state;
	bool leading;
	bool was_up;      /* has been in full feature phase */
	bool active;      /* for the policy */
	unsigned weight;  /* for the policy */
	unsigned n_tasks; /* sent here or waiting in ready */
	bool garbled;     /* ended because what came makes no sense */
	bool leaving;     /* no new tasks: it is to be logged out */
	bool closes_all;  /* its Logout is the session's */
	uint64_t leave_ns;
	unsigned n_plugs;         /* CmdSNs given to it that no task answers for any more */
	unsigned n_answered;      /* tasks whose status waits for data */
	unsigned n_status_snacks; /* without an answer */
	uint64_t status_snack_ns; /* when to ask again; 0: not asked */
	bool statsn_known;
	uint32_t expstatsn;
	struct iscsi_params params;
	struct iscsi_params offer;
	struct iscsi_params negotiated; /* in the making */
	struct login login;
	uint64_t now_ns; /* of the call under way */

	bool header_digest, data_digest;

	/* in */
	enum rx_state rx_state;
	uint8_t *stage; /* STAGE_BYTES */
	size_t stage_at, stage_end;
	bool rx_bulk;
	struct pdu rx;
	uint8_t rx_bhs[BHS_LEN];
	struct iscsi_task *rx_task; /* Data-In: lands there */
	uint8_t *rx_data;           /* else here */
	size_t n_rx_data_room;
	size_t rx_got; /* bytes of the data segment so far */

	/* out */
	struct tx_slot slot[TX_SLOTS];
	unsigned slot_head, n_slots;
	size_t tx_off; /* bytes of the first slot that are gone */
	struct list control, control_free;
	struct control_pdu control_pool[CONTROL_MAX];
	struct list retries; /* tasks whose command goes out again, with the old CmdSN */
	struct list bursts;  /* Data-Out sequences in order */
	struct list ready;   /* tasks that are to go out here */
	unsigned n_ready;

	/* liveness */
	uint64_t last_rx_ns, last_tx_ns;
	uint32_t nop_itt; /* PDU_TAG_NONE: no ping out */
	uint64_t nop_deadline_ns;
	uint64_t logout_deadline_ns;
	uint32_t logout_itt;
};

/* Moves the state machine; false: no such rule (a protocol error of the peer or our own misuse). */
bool conn_move(struct iscsi_conn *c, enum conn_input input);
const char *conn_state_name(enum conn_state state);

/* Ends the connection. @fmt says why, for people. Fails a login, or drops a logged-in connection.
 */
void conn_drop(struct iscsi_conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for what the target did against the rules: counted. Returns -EPROTO. */
int conn_violation(struct iscsi_conn *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The parts of an ending that login.c needs apart. */
void conn_bury(struct iscsi_conn *c);
/* The end of a Logout; not @clean: the target has not said that it has put all away. */
void conn_logged_out(struct iscsi_conn *c, bool clean);

/* Queue a control PDU; @data is copied. */
void conn_send(struct iscsi_conn *c, const struct pdu *p, const void *data, size_t n);
void conn_send_nop(struct iscsi_conn *c);

/* A whole PDU other than Data-In has arrived; data is c->rx_data, c->rx.n_data bytes. */
void conn_on_pdu(struct iscsi_conn *c);
/* Its header has: is the data segment acceptable, and where does it go? 0 or -EPROTO. */
int conn_on_header(struct iscsi_conn *c);
/* A Data-In's data has landed. */
void conn_on_data_in(struct iscsi_conn *c);

bool conn_needs_statsn(const struct pdu *p);
/* Counts the StatSN of the PDU in c->rx. 0; 1: not to be acted on (ErrorRecoveryLevel 1);
 * -EPROTO after ending the connection. */
int conn_take_statsn(struct iscsi_conn *c);

bool conn_in_full_feature(const struct iscsi_conn *c);

void conn_tx_clear(struct iscsi_conn *c);

void login_start(struct iscsi_conn *c);
void login_on_response(struct iscsi_conn *c);
void login_clear(struct login *l);
/* What the end of the transport in a login may mean; "" when there is nothing to say. */
const char *login_lost_hint(const struct iscsi_conn *c);

/* CRC32C (RFC 7143 §13.1): start with 0; give the last result to go on. */
uint32_t digest_crc32c(uint32_t crc, const void *bytes, size_t n);

#endif
