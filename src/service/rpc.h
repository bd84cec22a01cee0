/* SPDX-License-Identifier: MIT */
/*
 * The varlink server
 *
 * One listening socket, one thread for each connection, within a limit that is shared
 * fairly between users. Who may connect may read, unless the configuration says
 * otherwise; to change something one must be root, the service's own user, or in the
 * group of the socket. The interface is doc/io.iscsidsc.Initiator.varlink,
 * which is built in and given to whoever asks for it.
 */
#ifndef SERVICE_RPC_H
#define SERVICE_RPC_H

#include "service/args.h"
#include "service/manager.h"
#include "varlink/varlink.h"

struct rpc_server;

struct rpc_cfg {
	struct manager *m;
	const char *socket_path;
	mode_t mode;
	const char *group; /* "": the service's own */
	unsigned max_clients;
	bool others_may_read;
	uint64_t idle_timeout_ns; /* between two calls of a client; 0: no bound */
};

enum rpc_rights {
	RPC_MAY_NOTHING, /* but ask what we are */
	RPC_MAY_READ,
	RPC_MAY_CHANGE,
};

/* A socket of a dead service at that path is replaced. 0; -EADDRINUSE another service listens
 * there; else -errno. */
int rpc_start(struct rpc_server **ret, const struct rpc_cfg *cfg, char *why, size_t n_why);
/*
 * Ends listening, cuts every connection, and waits for the calls under way.
 * False: some were not over within @timeout_ns; nothing was freed then.
 */
bool rpc_stop(struct rpc_server *s, uint64_t timeout_ns);
/* Calls under way, those that listen for events among them. */
unsigned rpc_n_busy(struct rpc_server *s);

/* One call on its way. */
struct rpc {
	struct manager *m;
	bool may_change;
	struct args args;
	struct refusal why;
	json_t *reply; /* the method's; NULL: {} */
};

struct rpc_method {
	const char *name; /* without the interface */
	bool changes;
	const char *params; /* names, separated by blanks */
	/* 0 and ->reply, or a code and ->why. */
	uint32_t (*run)(struct rpc *c);
};

/* Ended by a NULL name. */
extern const struct rpc_method rpc_node_methods[];
extern const struct rpc_method rpc_session_methods[];
extern const struct rpc_method rpc_connection_methods[];
extern const struct rpc_method rpc_device_methods[];
extern const struct rpc_method rpc_security_methods[];
extern const struct rpc_method rpc_server_methods[];
extern const struct rpc_method rpc_target_methods[];
extern const struct rpc_method rpc_persistent_methods[];
extern const struct rpc_method rpc_upkeep_methods[];

/* rpc_call.c: answers one call. 0; -errno: the connection is to be closed. */
int rpc_answer(struct manager *m, struct varlink_conn *conn, enum rpc_rights rights,
	       const struct varlink_request *req);

/* Is it the call for events, as it must be? Then it is not answered but served (events.h). */
bool rpc_wants_events(const struct varlink_request *req);
int rpc_refuse(struct varlink_conn *conn, uint32_t code, const char *text);

struct session;
/* The argument "sessionId" as a reference; NULL, when it may be null, and is. 0 or ->why's code. */
uint32_t rpc_session_arg(struct rpc *c, struct session **ret, bool optional);
/* "up", "down", "verifying" */
const char *rpc_state_name(enum initiator_state state);

struct unit_path;
/* A Device of the interface, but for its volumePaths. manager->lock held. */
json_t *json_of_path(const struct unit_path *p);

/* Takes over a finished reply; NULL is a lack of memory. */
uint32_t rpc_reply(struct rpc *c, json_t *reply);

/* Generated from doc/. */
extern const char interface_description[];

#endif
