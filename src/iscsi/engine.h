/* SPDX-License-Identifier: MIT */
/*
 * The protocol engine's face
 *
 * An engine session is RFC 7143's session without its sockets: bytes, time and
 * tasks go in; bytes, events and the next deadline come out. It does no I/O,
 * reads no clock and writes no log, so the same code runs under an event loop,
 * a unit test, a fuzzer and a simulation.
 *
 * The owner drives it like this, all from one thread:
 *
 *	session_new, conn_new, conn_start     after TCP is connected
 *	conn_rx_want -> readv -> conn_rx_done  bytes in, straight into the task's buffers
 *	conn_tx_peek -> writev -> conn_tx_done bytes out, straight from the task's buffers
 *	session_deadline_ns / session_tick     time
 *	session_next_event                     after any of the above, until it returns false
 *
 * Further connections (MaxConnections) are made like the first while the session is
 * up. What one connection does may give another something to send: after any of the
 * above the owner asks all of them, round after round, until none has any more.
 *
 * No function calls back. Structures handed in stay where they are until the
 * event that gives them back.
 *
 * A target's mistake ends its connection: the functions never fail for it, they
 * queue ISCSI_EV_CONN_DOWN or ISCSI_EV_LOGIN_FAILED and the owner closes the
 * socket.
 */
#ifndef ISCSI_ENGINE_H
#define ISCSI_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "iscsi/keys.h"

struct iscsi_session;
struct iscsi_conn;
struct runs;

#define ISCSI_NEVER      UINT64_MAX
#define ISCSI_CDB_MAX    16 /* of a plain command */
#define ISCSI_CDB_LONG   32 /* of one with variable length (SPC: opcode 0x7f) */
#define ISCSI_SENSE_MAX  252
#define ISCSI_MAX_LOSSES 8
#define ISCSI_MAX_R2T    8                   /* MaxOutstandingR2T we make use of */
#define ISCSI_MAX_BURSTS (ISCSI_MAX_R2T + 1) /* and the unsolicited sequence */
#define ISCSI_MAX_HOLES  4                   /* runs of lost Data-In that a task waits for */

/* ---- tasks ------------------------------------------------------------- */

enum iscsi_dir {
	ISCSI_DIR_NONE,
	ISCSI_DIR_READ,
	ISCSI_DIR_WRITE,
};

enum iscsi_task_result {
	ISCSI_TASK_OK,       /* the target answered: response 0, status and sense are its words */
	ISCSI_TASK_FAILED,   /* the target answered with a response other than 0 (target failure) */
	ISCSI_TASK_REJECTED, /* the target rejected the command PDU */
	ISCSI_TASK_TIMEOUT,  /* no answer within timeout_ns; it was aborted */
	ISCSI_TASK_CANCELLED, /* session_cancel(), or a task management function took it along */
	/*
	 * session_fail_all(); or the connection went and the task is once-only; or
	 * ISCSI_MAX_LOSSES connections went with the task on the wire
	 */
	ISCSI_TASK_LOST,
};

/*
 * One SCSI command. The owner zero-initialises it, fills the first part, and may
 * reuse it after ISCSI_EV_TASK_DONE. The buffers must not change until then.
 */
struct iscsi_task {
	/* request */
	uint64_t lun; /* SAM form, big-endian number of the 8 wire bytes */
	uint8_t cdb[ISCSI_CDB_LONG];
	uint8_t n_cdb; /* needed above ISCSI_CDB_MAX: the rest goes in an AHS (RFC 7143 §11.2.2.3)
			*/
	enum iscsi_dir dir;
	const struct iovec *iov; /* n_data bytes in all */
	unsigned n_iov;
	uint32_t n_data;     /* ExpectedDataTransferLength */
	uint64_t timeout_ns; /* 0: cfg.task_timeout_ns */
	bool probe;          /* passes while the session is held */
	bool once;           /* never send again after it may have reached the target */
	void *user;

	/* result */
	enum iscsi_task_result result;
	uint8_t response, status;
	uint8_t sense[ISCSI_SENSE_MAX];
	uint16_t n_sense;
	uint32_t n_transferred; /* data bytes moved: landed in the buffers, or sent */
	uint32_t residual;      /* with underflow or overflow */
	bool underflow, overflow;

	/* the engine's */
	struct list node;
	struct iscsi_session *session;
	uint8_t state;
	uint8_t loss;  /* without allegiance: which lost connection it had */
	uint32_t seq;  /* order of submission */
	bool gives_up; /* timed out or cancelled: ends so when the abort is confirmed */
	enum iscsi_task_result ends_as;
	uint32_t itt, cmdsn;
	uint32_t datasn;     /* next DataSN (reads) or R2TSN (writes) */
	uint32_t n_received; /* bytes of Data-In from 0 on; but for the holes, they are there */
	struct runs *runs;   /* bytes that are there, or were sent, in any order; NULL: in order */
	uint32_t next_off;   /* runs: where the sequence goes on */
	bool in_sequence;    /* runs: it does */
	uint32_t n_granted;  /* bytes of the write that may go: immediate, unsolicited, R2T */
	uint32_t n_sent;     /* bytes of Data-Out put into PDUs */
	uint8_t n_losses;    /* connections that went while it was on the wire */
	unsigned n_refs;     /* PDUs under way, in or out, that point into the buffers */
	bool again;          /* gives_up, and is then queued anew */
	bool answered;       /* its status is here and waits for data */
	bool reassigned;     /* has come to its connection from another one */
	bool spoilt;         /* not all of its data can be had: good status does not count */
	bool acked;          /* part of its data; the target need not have that any more */
	bool ack_due;        /* a DataACK is owed: ack_ttt, ack_lun */
	uint8_t n_holes, n_snacks, n_retries;
	uint8_t n_quiet; /* times that the next R2T was asked for */
	uint32_t statsn, ack_ttt;
	uint64_t ack_lun;
	uint64_t snack_ns, retry_ns; /* when to ask, or to send the command, again */
	struct iscsi_hole {
		uint32_t sn, n_sn; /* DataSNs */
		uint32_t off, n;   /* bytes; 0 with runs: they may be any */
	} hole[ISCSI_MAX_HOLES];
	uint64_t deadline_ns;
	struct iscsi_conn *conn;  /* allegiance */
	struct iscsi_burst {      /* one Data-Out sequence */
		struct list node; /* in the connection's line; linked to itself while unused */
		struct iscsi_task *task;
		uint32_t ttt, off, n_left, datasn;
	} burst[ISCSI_MAX_BURSTS];
};

/* ---- events ------------------------------------------------------------ */

enum iscsi_event_kind {
	ISCSI_EV_UP,           /* the connection finished login and is in full feature phase */
	ISCSI_EV_LOGIN_FAILED, /* login_status (0 when it was not a status), text; the connection is
				  dead: close it, conn_free */
	ISCSI_EV_REDIRECT,     /* like LOGIN_FAILED with status 0101/0102; text is the TargetAddress
				  value */
	/*
	 * text says why; the connection is dead: close it, conn_free.
	 *
	 * last, recover_s 0: the session is gone. Tasks that may be sent again have gone
	 * back to the queue, which is held; wait time2wait_s before the next login.
	 * last, recover_s > 0 (ErrorRecoveryLevel 2): the session is still there, not held,
	 * and its tasks wait. The owner brings a connection, best with a cid of its own,
	 * not before time2wait_s and up within recover_s seconds from now; the tasks are then
	 * reassigned to it. The same cid says at once that the old one is gone, without a
	 * Logout; some targets do not survive that. When it cannot be done, the first form
	 * comes with conn NULL, and the next login is the session's reinstatement.
	 * Not last: the session goes on over its other connections, not held. The tasks
	 * wait until the target has confirmed that the connection is gone, then go on
	 * (reassigned with recover_s > 0, else sent again). A new connection is welcome.
	 */
	ISCSI_EV_CONN_DOWN,
	ISCSI_EV_TASK_DONE, /* task */
	ISCSI_EV_TEXT_DONE, /* text, n_text: the whole answer to session_text(), valid until the
			       next engine call */
	/*
	 * The target answered our Logout (or the time ran out: timed_out), and conn is
	 * dead. last: the session has ended and with it all its connections (none of the
	 * others says so itself); close and free all of them. Not last: only this one,
	 * which session_remove_conn() was asked to.
	 */
	ISCSI_EV_LOGGED_OUT,
	ISCSI_EV_LOGOUT_WANTED, /* the target asks us to log out conn within time2wait_s seconds:
				   session_remove_conn(), or session_logout() when it is the only
				   one */
	ISCSI_EV_TMF_DONE,      /* session_tmf() is over: tmf_function, lun, tmf_response (RFC 7143
				   §11.6.1; -1: the target did not answer) */
	ISCSI_EV_SCSI_ASYNC,    /* asynchronous SCSI event: lun, sense */
	ISCSI_EV_NOTE, /* text: worth a line in the log (async messages, task management, …) */
};

struct iscsi_event {
	enum iscsi_event_kind kind;
	struct iscsi_conn *conn;
	struct iscsi_task *task;
	uint16_t login_status; /* class << 8 | detail, RFC 7143 §11.13.5; 0201 also when it is we
				  who refuse a target that does not prove itself */
	uint16_t time2wait_s;
	uint16_t time2retain_s;
	uint16_t recover_s;
	bool last;
	bool timed_out;
	bool rejected; /* TEXT_DONE: the target refuses to answer, there is no text */
	bool again; /* LOGIN_FAILED: the next login says something else and is worth one at once */
	uint8_t tmf_function;
	int tmf_response;
	uint64_t lun;
	const char *text; /* valid until the next engine call */
	size_t n_text;
	const uint8_t *sense;
	size_t n_sense;
};

/* ---- session ----------------------------------------------------------- */

/*
 * CHAP (RFC 7143 §12.1.3). All zero: no authentication, and only None is offered. With
 * a secret only CHAP is offered, on every connection and at every login.
 */
struct iscsi_auth {
	const uint8_t *name; /* CHAP_N, 1 … 255 bytes without NUL */
	size_t n_name;
	const uint8_t *secret; /* answers the target's challenge; 1 … 255 bytes */
	size_t n_secret;
	const uint8_t *peer_secret; /* checks the target's answer to ours; not the same as secret */
	size_t n_peer_secret;
	bool required;  /* refuse a target that does without it; always so when mutual */
	bool mutual;    /* the target has to prove itself, too: with peer_secret */
	bool allow_md5; /* last of what is offered, for targets that know nothing better */
	void (*random)(void *bytes, size_t n); /* unpredictable bytes; needed when mutual */
};

/* Which connection takes the next command (MC/S policies of the Microsoft API). */
enum iscsi_policy {
	ISCSI_POLICY_FAILOVER,           /* one that is active, another only when it goes */
	ISCSI_POLICY_ROUND_ROBIN,        /* each in turn */
	ISCSI_POLICY_ROUND_ROBIN_SUBSET, /* the active ones in turn; others when none is left */
	ISCSI_POLICY_LEAST_QUEUE,        /* the one with the fewest commands under way */
	ISCSI_POLICY_WEIGHTED,           /* the one of the least weight */
};

struct iscsi_session_cfg {
	const char *initiator_name;  /* all strings and secrets are copied */
	const char *initiator_alias; /* NULL: none */
	const char *target_name;     /* NULL in a discovery session */
	bool discovery;
	uint8_t isid[6];
	uint32_t first_cmdsn;      /* any number; a random one is best */
	struct iscsi_params offer; /* what we ask for; start from iscsi_params_default_offer() */
	struct iscsi_auth auth;    /* the copies are wiped by session_free() */
	unsigned n_tasks;          /* tasks on the wire at most, 1 … 4096; 0: 128 */
	enum iscsi_policy policy;  /* of several connections */
	/* bounds; 0: the default in brackets */
	uint64_t login_timeout_ns;  /* [15 s] from conn_start to full feature phase */
	uint64_t nop_interval_ns;   /* [5 s] of silence before we ask */
	uint64_t nop_timeout_ns;    /* [5 s] for the answer; then the connection is lost */
	uint64_t task_timeout_ns;   /* [30 s] */
	uint64_t tmf_timeout_ns;    /* [15 s] for a task management answer; then the next harder
				       measure */
	uint64_t logout_timeout_ns; /* [10 s] */
};

/* Return: 0; -ENOMEM; -EINVAL for a configuration out of range. */
int session_new(struct iscsi_session **ret_session, const struct iscsi_session_cfg *cfg);
/* Tasks still held are forgotten, not completed: session_fail_all() first. Frees its connections.
 * Returns NULL. */
struct iscsi_session *session_free(struct iscsi_session *s);

/* Queues the task; it is sent as window and order allow. Completes with ISCSI_EV_TASK_DONE exactly
 * once. */
void session_submit(struct iscsi_session *s, struct iscsi_task *t, uint64_t now_ns);
/* Ends the task as ISCSI_TASK_CANCELLED: at once when not sent yet, else by ABORT TASK. */
void session_cancel(struct iscsi_session *s, struct iscsi_task *t, uint64_t now_ns);
/* A task that is not done: may the target have it, now or from a connection that was lost? */
bool task_was_sent(const struct iscsi_task *t);
/* Ends the task as ISCSI_TASK_CANCELLED if it waits to be sent; one on the wire goes on. */
void session_recall(struct iscsi_session *s, struct iscsi_task *t);
/* LOGICAL UNIT RESET; tasks of that unit complete as ISCSI_TASK_CANCELLED when the target confirms.
 */
void session_lu_reset(struct iscsi_session *s, uint64_t lun, uint64_t now_ns);
/*
 * Another task management function of RFC 7143 §11.5.1: 2 ABORT TASK SET, 3 CLEAR ACA,
 * 4 CLEAR TASK SET, 5 LOGICAL UNIT RESET, 6 TARGET WARM RESET, 7 TARGET COLD RESET. The tasks
 * that it ends complete as ISCSI_TASK_CANCELLED; then ISCSI_EV_TMF_DONE. One at a time, in
 * the order asked for. -EINVAL for other functions; -EBUSY when too many wait.
 */
int session_tmf(struct iscsi_session *s, uint8_t function, uint64_t lun, uint64_t now_ns);
/* Completes everything not on a live connection, as ISCSI_TASK_LOST; with @all also what is. */
void session_fail_all(struct iscsi_session *s, bool all, uint64_t now_ns);
/*
 * While held only probe tasks are sent. A session is held from the moment its
 * last connection is lost until the owner lets it go (false), which it does
 * after checking that the units are still the same.
 */
void session_hold(struct iscsi_session *s, bool hold, uint64_t now_ns);
bool session_is_held(const struct iscsi_session *s);

/*
 * One text request (key=value NUL … of @n bytes, copied) at a time. -EBUSY (also until the last
 * answer has been told), -ENOTCONN, -ENOMEM, -EMSGSIZE beyond 1 MiB.
 */
int session_text(struct iscsi_session *s, const char *text, size_t n, uint64_t now_ns);
/*
 * Logout, reason "close the session", on any of the connections; all others end with it.
 * -ENOTCONN when no connection is in full feature phase: then just close.
 */
int session_logout(struct iscsi_session *s, uint64_t now_ns);
/*
 * Logout, reason "close the connection": no new task goes over @c; when those under way have
 * ended (or cfg.logout_timeout_ns are over) it is logged out, and what is left of them goes
 * over another connection. Ends with ISCSI_EV_LOGGED_OUT of @c (or its CONN_DOWN). -ENOTCONN
 * when it is not in full feature phase; -EBUSY when it is the only one.
 */
int session_remove_conn(struct iscsi_session *s, struct iscsi_conn *c, uint64_t now_ns);

bool session_next_event(struct iscsi_session *s, struct iscsi_event *ret_event);
uint64_t session_deadline_ns(const struct iscsi_session *s); /* ISCSI_NEVER: none */
void session_tick(struct iscsi_session *s, uint64_t now_ns);

const struct iscsi_params *session_params(
	const struct iscsi_session *s); /* negotiated; valid after ISCSI_EV_UP */
/* Does it answer with that name and secret? NULL is as good as the same; takes as long either way.
 */
bool session_auth_is(const struct iscsi_session *s, const void *name, size_t n_name,
		     const void *secret, size_t n_secret);
const char *session_target_alias(const struct iscsi_session *s); /* "": none; as params */
uint16_t session_tsih(const struct iscsi_session *s);
unsigned session_n_tasks(const struct iscsi_session *s); /* queued and on the wire */
unsigned session_n_sent(const struct iscsi_session *s);  /* of these, on the wire */

struct iscsi_stats {
	uint64_t n_tasks, rx_bytes, tx_bytes, n_rx_pdus, n_tx_pdus, n_conn_lost, n_digest_errors,
		n_protocol_errors, n_timeouts, n_snacks, n_retries, n_reassigned;
};
const struct iscsi_stats *session_stats(const struct iscsi_session *s);

/* ---- connection -------------------------------------------------------- */

/*
 * The first connection of a session (or of its reinstatement) is the leading one. While the
 * session is up, it is a further one: another @cid than any that is alive. -EBUSY when
 * MaxConnections are alive (a dead one that is not freed yet does not count), when @cid is in use,
 * or when the session is logging out.
 */
int conn_new(struct iscsi_conn **ret_conn, struct iscsi_session *s, uint16_t cid);
/* Returns NULL. A connection that is alive is dropped first (its tasks go back to the queue). */
struct iscsi_conn *conn_free(struct iscsi_conn *c);
/* Before conn_start(): offered on this connection instead of the session's; enum
 * iscsi_digest_offer, or -1: the session's. */
void conn_set_digests(struct iscsi_conn *c, int header, int data);
/* TCP is connected: begin login. */
void conn_start(struct iscsi_conn *c, uint64_t now_ns);
/* The transport failed; @why is for the event's text. */
void conn_lost(struct iscsi_conn *c, const char *why, uint64_t now_ns);
uint16_t conn_cid(const struct iscsi_conn *c);
/* For cfg.policy; a new connection is active and of weight 0. */
void conn_set_path(struct iscsi_conn *c, bool active, unsigned weight);
const struct iscsi_params *conn_params(
	const struct iscsi_conn *c); /* digests and MaxRecvDataSegmentLength of this connection */
bool conn_alive(const struct iscsi_conn *c); /* false: takes and gives no more bytes */

/* Where the next received bytes go. Return: entries filled, at most @n_iov (at least 4); 0: dead.
 */
size_t conn_rx_want(struct iscsi_conn *c, struct iovec iov[], size_t n_iov);
void conn_rx_done(struct iscsi_conn *c, size_t n_bytes, uint64_t now_ns);

/* What to send next: entries filled; 0: nothing. Stays the same until conn_tx_done(). */
size_t conn_tx_peek(struct iscsi_conn *c, struct iovec iov[], size_t n_iov, uint64_t now_ns);
void conn_tx_done(struct iscsi_conn *c, size_t n_bytes, uint64_t now_ns);

#endif
