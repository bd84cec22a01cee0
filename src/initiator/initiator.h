/* SPDX-License-Identifier: MIT */
/*
 * A session that lives
 *
 * The engine on a loop: connects, logs in, runs commands, notices that a
 * connection is lost, comes back, and at the end logs out. It belongs to the
 * loop's thread; every function but initiator_new() and initiator_free() must be
 * called there, and every callback comes from there.
 *
 *	NEW --start--> CONNECTING --> LOGGING_IN --> UP ---lost---> DOWN
 *	                   ^                          ^               |
 *	                   |                          | release       | back-off 1 s … 30 s
 *	                   +------ (again) ------ VERIFYING <---------+
 *	any --logout/close--> CLOSING --> CLOSED
 *
 * A session has a leading connection, with which it logs in, and further ones that the
 * owner adds. One that is lost comes back by itself while the others go on; the
 * session is DOWN when the last one is lost, and then the leading one logs in again
 * first. A connection that comes back has another CID.
 *
 * The first login is tried once (every address, redirects followed): its
 * failure is the caller's answer. Later logins are repeated without end.
 *
 * While the session is down, commands wait in order. After hold_ns they fail with
 * -EIO, and new ones fail at once, until the session is up again. After a re-login
 * commands stay held until the owner has compared the units (callback verify) and
 * calls initiator_release().
 */
#ifndef INITIATOR_INITIATOR_H
#define INITIATOR_INITIATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "io/loop.h"
#include "io/tcp.h"
#include "iscsi/engine.h"
#include "scsi/cmd.h"

struct initiator;

#define INITIATOR_MAX_ADDRS       16
#define INITIATOR_MAX_CONNECTIONS 32 /* of one session */
#define INITIATOR_MAX_PATHS       16 /* portals in a list of preferences */

enum initiator_state {
	INITIATOR_NEW,
	INITIATOR_CONNECTING,
	INITIATOR_LOGGING_IN,
	INITIATOR_VERIFYING, /* logged in again, only probe commands pass */
	INITIATOR_UP,
	INITIATOR_DOWN, /* waiting for the next attempt */
	INITIATOR_CLOSING,
	INITIATOR_CLOSED,
};

/* Why a login did not come about. */
struct initiator_failure {
	int error; /* -errno: -ECONNREFUSED, -ETIMEDOUT, …, -EPROTO the peer does not speak iSCSI as
		      it must, -EREMOTEIO a login status */
	uint16_t login_status; /* class << 8 | detail with -EREMOTEIO */
	bool connected;        /* TCP was up: the failure is one of login */
	char text[256];        /* for people: which address, what happened */
};

struct initiator_ops {
	/* The first login has succeeded. */
	void (*up)(void *user);
	/* The first login has failed; closed() follows. */
	void (*failed)(void *user, const struct initiator_failure *f);
	/* Connection lost; @why for the log. Once per loss, not per attempt. */
	void (*down)(void *user, const char *why);
	/*
	 * Logged in again after down(): compare the units, then initiator_release().
	 * When the connection is lost meanwhile, probes fail with -EIO, down() comes,
	 * and some time later verify() again. Who compares on another thread remembers
	 * n_reconnects of the status, read in this callback, and releases only while
	 * that is still the same: an answer of the login before is worth nothing.
	 */
	void (*verify)(void *user);
	/* hold_ns have passed while down: commands fail from now on until the next release. */
	void (*hold_expired)(void *user);
	/* One of the connections has come, or come back, or is lost; @why is for a loss. */
	void (*connection)(void *user, unsigned number, bool up, const char *why);
	/*
	 * Optional; without it no name is followed. The target redirects connection @number to
	 * @host: it is looked up on another thread, because that takes its time, and the answer is
	 * initiator_resolved(), once, on the loop and not from inside this call. Until then nothing
	 * else is asked for that connection. 0, or -errno: it cannot be looked up now.
	 */
	int (*resolve)(void *user, unsigned number, const char *host, uint16_t port);
	/* A line for the log (async message, abort, redirect, attempt failed). At most one a
	 * second. */
	void (*note)(void *user, const char *text);
	/* The end: no callback follows, initiator_free() may be called (not from inside this
	 * callback). */
	void (*closed)(void *user);
};

/* What session.policy is to think of connections, by the address that they lead to. */
struct initiator_path {
	struct tcp_addr addr;
	bool inactive; /* used when no other one is left */
	unsigned weight;
};

struct initiator_paths {
	struct initiator_path v[2 * INITIATOR_MAX_PATHS];
	unsigned n;
	struct initiator_path others; /* of all other addresses */
};

struct initiator_cfg {
	struct loop *loop;
	struct iscsi_session_cfg session;          /* copied with its strings */
	struct tcp_addr addr[INITIATOR_MAX_ADDRS]; /* tried in this order, each time */
	unsigned n_addrs;
	struct initiator_paths paths;        /* zero: all connections are alike */
	uint64_t connect_timeout_ns;         /* each address; 0: 5 s */
	uint64_t first_login_timeout_ns;     /* all of the first login; 0: 30 s */
	uint64_t hold_ns;                    /* 0: 60 s */
	uint64_t retry_min_ns, retry_max_ns; /* 0: 1 s, 30 s */
	unsigned n_commands; /* on the wire at once, at most 4096; 0: 128 (session.n_tasks is not
				looked at) */
	const struct initiator_ops *ops;
	void *user;
};

/* Any thread. 0, -ENOMEM, -EINVAL. */
int initiator_new(struct initiator **ret, const struct initiator_cfg *cfg);
/* Any thread, in state NEW or CLOSED. NULL is fine; returns NULL. */
struct initiator *initiator_free(struct initiator *i);

void initiator_start(struct initiator *i);
/*
 * The addresses to try from now on, in that order, in the place of those that were given or moved
 * to; at most INITIATOR_MAX_ADDRS. What is connected stays so; an attempt under way goes on at the
 * same place in the new list. None: no effect.
 */
void initiator_set_addrs(struct initiator *i, const struct tcp_addr *v, unsigned n);
/*
 * The answer to resolve(): @n addresses in the order to be tried, of which the first 16 count, or
 * none and why (-errno; -ENOENT: there is no such name). No effect when it is not waited for any
 * more; any state.
 */
void initiator_resolved(struct initiator *i, unsigned number, int error, const struct tcp_addr *v,
			unsigned n);
/* Other commands may go on again. No effect unless VERIFYING. */
void initiator_release(struct initiator *i);
/*
 * Logout "close the session", wait for the answer and Time2Wait, close. The caller
 * has drained its commands; what is left fails with -ECANCELED. Bounded by the
 * session's logout_timeout_ns + time2wait (at most 5 s of it). When no connection
 * is up the session is closed at once. closed() follows in every case.
 */
void initiator_logout(struct initiator *i);
/* Closes without a word to the target. closed() follows. */
void initiator_close(struct initiator *i);

/**
 * initiator_text() - ask the target something in a Text request; state UP only
 * @text, @n:  key=value pairs, each ended by NUL; copied
 * @done:      called once, with the owner's user pointer: error 0 and the whole
 *             answer, which is valid during the callback; or after down() what
 *             the connection ended with (-ECONNRESET, -ETIMEDOUT, …, -EPROTO
 *             for what the target sent), -EOPNOTSUPP when the target rejects it, -ECANCELED when
 * the session is closed
 *
 * Return: 0; -ENOTCONN, -EBUSY (one at a time), -EMSGSIZE, -ENOMEM: @done is not called.
 */
int initiator_text(struct initiator *i, const char *text, size_t n,
		   void (*done)(void *user, int error, const char *text, size_t n));

/*
 * A connection to be added or removed. The owner's; it stays where it is until done(),
 * which is called once, and not from inside the call that began it.
 */
struct initiator_change {
	void (*done)(struct initiator_change *c);
	/* result */
	int error; /* 0; -ECANCELED: the session ended; adding: as in ->failure, or -ENOTCONN */
	unsigned number;
	struct initiator_failure failure;
};

struct initiator_connection_cfg {
	struct tcp_addr addr[INITIATOR_MAX_ADDRS]; /* tried in this order, each time */
	unsigned n_addrs;
	/* offered instead of what the session offers */
	bool has_header_digest, has_data_digest;
	enum iscsi_digest_offer header_digest, data_digest;
};

/**
 * initiator_add_connection() - one more connection for a session that is UP or VERIFYING
 *
 * Tried once, bounded by first_login_timeout_ns; once it has been up it is brought back
 * whenever it is lost. c->number names it, also if the session is lost meanwhile.
 *
 * Return: 0; -ENOTCONN; -EBUSY as many as were agreed on; -EINVAL; -ENOMEM.
 */
int initiator_add_connection(struct initiator *i, const struct initiator_connection_cfg *cfg,
			     struct initiator_change *c);
/**
 * initiator_remove_connection() - log a connection out that is not the leading one
 *
 * Commands under way there end first or go to the others. The target's answer is waited
 * for at most logout_timeout_ns; the connection is removed in every case.
 *
 * Return: 0; -ENOENT; -EPERM it is the leading one, or the last that is up (which may come
 * out later, as c->error); -ENOTCONN the session ends; -EBUSY it
 * is being added or removed already.
 */
int initiator_remove_connection(struct initiator *i, unsigned number, struct initiator_change *c);

/* session_auth_is() */
bool initiator_auth_is(const struct initiator *i, const void *name, size_t n_name,
		       const void *secret, size_t n_secret);

/* The path of every unit of this session; `path` is the struct initiator. */
extern const struct scsi_path_ops initiator_path_ops;

enum initiator_connection_state {
	INITIATOR_CONN_DOWN, /* lost or never there; it is being (re)established */
	INITIATOR_CONN_UP,   /* in full feature phase */
	INITIATOR_CONN_LOGOUT,
};

/* A connection as its owner knows it: it stays the same when it is lost and comes back. */
struct initiator_connection {
	unsigned number; /* names it in the session; 1 is the leading one */
	enum initiator_connection_state state;
	/* valid unless DOWN */
	uint16_t cid;
	struct tcp_addr local, peer;
	uint32_t header_digest, data_digest; /* enum iscsi_digest */
	uint32_t max_recv_segment, max_send_segment;
	uint32_t mss;              /* TCP's; 0: not known */
	uint64_t bytes_per_second; /* both directions, since it is up */
};

struct initiator_status {
	enum initiator_state state;
	uint16_t tsih;
	struct iscsi_params params; /* negotiated */
	uint64_t n_reconnects;      /* logins after a loss; counted before verify() */
	unsigned n_commands;        /* waiting and on the wire */
	unsigned n_up;              /* connections in full feature phase */
	unsigned n_connections;     /* all of them: in the order in which they were asked for */
	struct initiator_connection connection[INITIATOR_MAX_CONNECTIONS];
};
void initiator_get_status(const struct initiator *i, struct initiator_status *ret);
/* The engine's counters, over all logins; valid until initiator_free(). */
const struct iscsi_stats *initiator_stats(const struct initiator *i);

#endif
