/* SPDX-License-Identifier: MIT */
/*
 * The initiator's inside
 *
 *	initiator.c       the session's life: up, lost, verified, ended
 *	initiator_link.c  one connection's: attempts to log in, loss, back-off
 *	initiator_conn.c  the socket and the engine's connection: bytes and time
 *	initiator_cmd.c   commands on their way to the engine and back
 *
 * Nothing that may call back into the owner runs inside a call of the owner:
 * such calls note what is wanted and queue work, which the loop runs at the end
 * of its turn. An owner's callback may therefore call anything.
 *
 * The timers are armed once in initiator_start() and from then on only moved,
 * to TIMER_PARKED when they are not wanted, because moving never needs memory.
 */
#ifndef INITIATOR_INTERNAL_H
#define INITIATOR_INTERNAL_H

#include "initiator/initiator.h"

#define TIMER_PARKED      (LOOP_NEVER - 1)
#define INITIATOR_HOPS    4  /* redirects followed in one login */
#define PROBE_SLOTS       16 /* so that probes never wait behind commands that are held */
#define MAX_TRANSFER      (UINT32_C(1) << 20)
#define LOGOUT_WAIT_MAX_S 5        /* of Time2Wait, after our own logout */
#define GUARD_NS          NS_PER_S /* what a guard waits beyond the bound that it guards */

struct slot {
	struct list node; /* free or busy */
	struct iscsi_task task;
	struct scsi_cmd *cmd;
	int error; /* replaces what the result would be; 0: does not */
	bool for_probes;
};

/* One connection: its way there, its socket, its way back. */
enum link_state {
	LINK_IDLE,    /* waits for the session to be up */
	LINK_WAITING, /* for its timer: the next attempt */
	LINK_CONNECTING,
	LINK_LOGGING_IN,
	LINK_UP,
	LINK_LEAVING, /* its Logout is on its way */
	LINK_GONE,    /* freed at the end of the turn */
};

struct link {
	struct list node; /* initiator->links, in the order made */
	struct initiator *i;
	unsigned number;
	enum link_state state;
	struct loop_timer timer; /* the bound of what this connection is waiting for */

	/* where to; of the leading one: what the owner gave, or a permanent redirect */
	struct tcp_addr addr[INITIATOR_MAX_ADDRS];
	unsigned n_addrs;
	bool has_header_digest, has_data_digest;
	enum iscsi_digest_offer header_digest, data_digest;

	/* the login under way */
	uint64_t give_up_ns; /* of the first one; 0: no bound of the whole */
	unsigned addr_at;
	unsigned n_hops;
	struct tcp_addr
		hop[INITIATOR_HOPS + 1]; /* addresses of this login; [n_hops] is tried now */
	bool permanent;                  /* every redirect so far was */
	unsigned moved_hop;              /* where it has moved to permanently; 0: nowhere */
	/* a redirect to a name */
	bool asked;     /* the owner has not answered yet */
	bool resolving; /* and the login waits for it */
	uint16_t redirect_status;
	char redirect_to[300];
	struct tcp_addr alt[INITIATOR_MAX_ADDRS]; /* its other addresses, [alt_at, n_alt) */
	unsigned n_alt, alt_at;
	struct initiator_failure failure;
	unsigned failure_rank;

	/* the connection */
	struct loop_fd sock;
	bool sock_open, sock_blocked;
	struct iscsi_conn *conn;
	int conn_error; /* -errno that the transport ended with; 0: it did not */
	struct tcp_addr local, peer;
	uint64_t n_bytes, up_since_ns; /* since it is up */

	/* while it is lost */
	uint64_t retry_ns;   /* next delay, before jitter */
	unsigned n_attempts; /* since the loss */
	int noted_error;
	uint16_t noted_status;

	/* the owner waits */
	struct initiator_change *adding, *removing;
	bool remove_due; /* begun at the end of the turn */
};

struct initiator {
	/* configuration */
	struct loop *loop;
	const struct initiator_ops *ops;
	void *user;
	uint64_t connect_timeout_ns, first_login_timeout_ns, login_timeout_ns, logout_timeout_ns;
	uint64_t task_timeout_ns, hold_ns, retry_min_ns, retry_max_ns;
	bool discovery;
	struct initiator_paths paths;

	struct iscsi_session *session;
	enum initiator_state state;
	bool was_up;       /* the first login has succeeded */
	bool start_failed; /* no memory for timers: to be told */
	struct loop_defer work;
	struct loop_timer engine_timer; /* the engine's next deadline, or earlier */
	struct loop_timer phase_timer;  /* the bound of an end, or of a logout asked for */
	struct loop_timer first_timer;  /* the first login as a whole */
	struct loop_timer hold_timer;   /* how long commands may wait */

	struct list links; /* struct link; the first is the leading one */
	struct link lead;
	unsigned n_links, last_number;
	uint16_t last_cid;
	bool ticking; /* what happens now is the clock's doing */

	uint64_t n_reconnects;
	bool expired; /* hold_ns are over */

	/* the end, or an end that the target asked for */
	bool leaving;    /* the target wants a logout; we come back */
	bool logout_due; /* do not wait for commands any longer */
	bool logout_sent;
	bool close_now;

	/* notes */
	uint64_t next_note_ns;
	unsigned n_notes_dropped;

	/* the one text request */
	void (*text_done)(void *user, int error, const char *text, size_t n);

	/* commands */
	struct slot *slots;
	unsigned n_slots;
	struct list slots_free, slots_free_probe;
	struct list queue, queue_probe; /* not with the engine yet */
	struct list failed;             /* ->error is set; done() is due */
	unsigned n_commands;
	uint64_t held_ns;       /* time that commands have been held so far, in all */
	uint64_t held_since_ns; /* 0: not held */
};

/* ---- initiator.c ------------------------------------------------------- */

/* A login has come about: the session's, or one more connection's. */
void initiator_link_up(struct initiator *i, struct link *l);
/* A first login has failed for good. */
void give_up(struct initiator *i, const struct initiator_failure *f);
/* Is the session logged in? */
bool session_is_up(const struct initiator *i);
/* Whoever asked something gets no answer any more. */
void text_finish(struct initiator *i, int error, const char *text, size_t n);
/* Acts on everything the engine has to say. */
void events_drain(struct initiator *i);
void initiator_note(struct initiator *i, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void initiator_wake(struct initiator *i);
void arm(struct initiator *i, struct loop_timer *t, uint64_t deadline_ns);
void park(struct initiator *i, struct loop_timer *t);
uint64_t after(const struct initiator *i, uint64_t ns);

/* ---- initiator_link.c -------------------------------------------------- */

void link_init(struct link *l, struct initiator *i);
/* The memory of all but the leading one. */
void links_free(struct initiator *i);
/* NULL: of none that is still there. */
struct link *link_of(struct initiator *i, const struct iscsi_conn *c);
/* Is another connection than @l in full feature phase? */
bool link_has_peer(const struct initiator *i, const struct link *l);
unsigned links_n_up(const struct initiator *i);
void link_begin_attempt(struct link *l);
/* One address did not work. */
void attempt_failed(struct link *l, int error, uint16_t login_status, bool connected,
		    const char *why);
void record_failure(struct link *l, int error, uint16_t login_status, bool connected,
		    const char *why);
/* TCP is connected and login has begun. */
void attempt_connected(struct link *l);
void link_redirect(struct link *l, uint16_t status, const char *to);
/* At the same address, at once; the engine says so once in a session. */
void link_login_once_more(struct link *l, const char *why);
/* In full feature phase. */
void link_up(struct link *l);
/* Why the connection has ended just now: -errno. */
int transport_error(const struct link *l);
/* Lost with the session: the next attempt is the session's. */
void link_retry(struct link *l, unsigned time2wait_s);
/* Lost, and others go on. */
void link_lost(struct link *l, const char *why, const struct iscsi_event *ev);
/* The target wants this one of several to log out, or the owner does. */
void link_leave(struct link *l);
/* Its Logout was answered, or will not be. */
void link_left(struct link *l, unsigned time2wait_s);
/* The session is lost: its connections are closed, and the further ones wait for it. */
void links_stop(struct initiator *i, const char *why);
/* It is up again: they may log in. */
void links_go(struct initiator *i);
/* The session ends: who waits for a connection is told so. */
void links_close_unless_up(struct initiator *i);
void links_close(struct initiator *i);
void links_forget_timers(struct initiator *i);
/* What waited for the end of the turn. */
void links_work(struct initiator *i);
void link_fire(struct loop_timer *t);
void link_status(const struct link *l, struct initiator_connection *ret);
/* The owner no longer waits for it. */
void link_change_done(struct link *l, struct initiator_change **at, int error);

/* ---- initiator_conn.c -------------------------------------------------- */

void sock_connect(struct link *l, const struct tcp_addr *to);
/* Closes socket and connection; unfinished tasks go back to the engine's queue. */
void sock_close(struct link *l);
/* Sends what the engine has to send, once per turn. Was there something? */
bool sock_flush(struct link *l);
void engine_rearm(struct initiator *i);
void engine_fire(struct loop_timer *t);

/* ---- initiator_cmd.c --------------------------------------------------- */

int cmds_init(struct initiator *i, unsigned n_commands);
void cmds_clear(struct initiator *i);
/* Hands waiting commands to the engine as far as state and slots allow. */
void cmds_pump(struct initiator *i);
/* The engine has finished a task. */
void cmds_task_done(struct initiator *i, struct iscsi_task *t);
/* Calls done() of what has failed without the engine. False: more came meanwhile. */
bool cmds_run_failed(struct initiator *i);
/* Every command, with the engine or not, ends with @error. */
void cmds_fail_all(struct initiator *i, int error);
/* The commands that wait because the session is down end with -EIO; probes too, unless they can
 * run. */
void cmds_fail_held(struct initiator *i);
/* Probes end with -EIO: what they were asking for has to begin again. */
void cmds_fail_probes(struct initiator *i);
/* From here to there the commands' time stands still. */
void cmds_clock_hold(struct initiator *i);
void cmds_clock_go(struct initiator *i);

#endif
