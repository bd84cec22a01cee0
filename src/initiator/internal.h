/* SPDX-License-Identifier: MIT */
/*
 * The initiator's inside
 *
 *	initiator.c       life: attempts to log in, loss, back-off, the end
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

struct initiator {
	/* configuration */
	struct loop *loop;
	const struct initiator_ops *ops;
	void *user;
	struct tcp_addr addr[INITIATOR_MAX_ADDRS];
	unsigned n_addrs;
	uint64_t connect_timeout_ns, first_login_timeout_ns, login_timeout_ns, logout_timeout_ns;
	uint64_t task_timeout_ns, hold_ns, retry_min_ns, retry_max_ns;
	bool discovery;

	struct iscsi_session *session;
	enum initiator_state state;
	bool was_up;       /* the first login has succeeded */
	bool start_failed; /* no memory for timers: to be told */
	struct loop_defer work;
	struct loop_timer engine_timer; /* the engine's next deadline, or earlier */
	struct loop_timer phase_timer;  /* the bound of what we are waiting for now */
	struct loop_timer first_timer;  /* the first login as a whole */
	struct loop_timer hold_timer;   /* how long commands may wait */

	/* the login under way */
	unsigned addr_at;
	unsigned n_hops;
	struct tcp_addr
		hop[INITIATOR_HOPS + 1]; /* addresses of this login; [n_hops] is tried now */
	bool permanent;                  /* every redirect so far was */
	bool moved;                      /* permanently, to: */
	struct tcp_addr moved_to;
	struct initiator_failure failure;
	unsigned failure_rank;

	/* the connection */
	struct loop_fd sock;
	bool sock_open, sock_blocked;
	struct iscsi_conn *conn;
	bool logged_in; /* in full feature phase */
	bool ticking;   /* what happens now is the clock's doing */
	int conn_error; /* -errno that the transport ended with; 0: it did not */
	struct tcp_addr local, peer;
	uint64_t conn_up_since_ns, conn_bytes_before;

	/* while down */
	uint64_t retry_ns;    /* next delay, before jitter */
	uint64_t up_since_ns; /* 0: not up since the last loss */
	unsigned n_attempts;  /* since the loss */
	int noted_error;
	uint16_t noted_status;
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

/* What the connection tells: one address did not work. */
void attempt_failed(struct initiator *i, int error, uint16_t login_status, bool connected,
		    const char *why);
/* TCP is connected and login has begun. */
void attempt_connected(struct initiator *i);
/* Acts on everything the engine has to say. */
void events_drain(struct initiator *i);
void initiator_note(struct initiator *i, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void initiator_wake(struct initiator *i);

/* ---- initiator_conn.c -------------------------------------------------- */

void sock_connect(struct initiator *i, const struct tcp_addr *to);
/* Closes socket and connection; unfinished tasks go back to the engine's queue. */
void sock_close(struct initiator *i);
/* Sends what the engine has to send, once per turn. */
void sock_flush(struct initiator *i);
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
