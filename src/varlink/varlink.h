/* SPDX-License-Identifier: MIT */
/*
 * Varlink: JSON messages over a Unix stream socket, each ended by a NUL
 *
 * Framing and the three message shapes (call, reply, error), for both ends. The
 * socket is used blocking, with a deadline for every operation; one thread uses
 * one connection. Message sizes are checked before memory is taken for them.
 * What the methods mean is not known here.
 *
 * varlink.org; doc/io.iscsidsc.Initiator.varlink is the interface we speak.
 */
#ifndef VARLINK_VARLINK_H
#define VARLINK_VARLINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Bytes of one message, without its NUL: 100000 targets with the longest names are half of it. */
#define VARLINK_MSG_MAX   (64u << 20)
#define VARLINK_INTERFACE "io.iscsidsc.Initiator"

struct varlink_conn;

/* Takes over a connected stream socket. Return: 0 or -ENOMEM (the fd is then closed). */
int varlink_conn_new(struct varlink_conn **ret_conn, int fd);
struct varlink_conn *varlink_conn_free(struct varlink_conn *c); /* closes; wipes its buffers */
int varlink_conn_fd(const struct varlink_conn *c);
/* The other end, as the kernel knows it (SO_PEERCRED). Return: 0 or -errno. */
int varlink_conn_peer(const struct varlink_conn *c, pid_t *ret_pid, uid_t *ret_uid, gid_t *ret_gid);
/* Messages that come in may be at most this long from now on; never above VARLINK_MSG_MAX. */
void varlink_conn_limit(struct varlink_conn *c, size_t msg_max_bytes);

/* Client: connect to a socket path. -ENOENT, -ECONNREFUSED, -EACCES, … */
int varlink_connect(struct varlink_conn **ret_conn, const char *path, int timeout_ms);

/**
 * varlink_send() / varlink_recv() - one message
 * @timeout_ms: for the whole message; negative waits without bound (a server
 *              waiting for the next call of a client that is idle)
 *
 * Return: 0; -ETIMEDOUT; -EPIPE the other end has gone; -EMSGSIZE; -EBADMSG not a
 * JSON object. *ret_msg is a new reference.
 */
int varlink_send(struct varlink_conn *c, json_t *msg, int timeout_ms);
int varlink_recv(struct varlink_conn *c, json_t **ret_msg, int timeout_ms);

/*
 * Waits until a message has begun, which a part of one that is there already has; the end
 * of the connection counts too. So a server can wait for long, and then not long for the
 * rest. 0, -ETIMEDOUT or -errno.
 */
int varlink_wait(struct varlink_conn *c, int timeout_ms);

/* Drops a message that may hold secrets: its strings are overwritten first. NULL is fine. */
void varlink_wipe(json_t *msg);

/**
 * varlink_call() - client: call @method and wait for its one reply
 * @params:       stolen; NULL means {}
 * @ret_params:   new reference, {} when the reply had none; of an error: its parameters
 * @ret_error:    NULL on success, else the error's qualified name (free it)
 *
 * Return: 0 also when the service answered with an error; negative when it did
 * not answer.
 */
int varlink_call(struct varlink_conn *c, const char *method, json_t *params, json_t **ret_params,
		 char **ret_error, int timeout_ms);

/* Server: a received call, decoded. Strings live as long as @msg. */
struct varlink_request {
	json_t *msg;
	const char *method;
	json_t *params; /* borrowed, an object, never NULL */
	bool more, oneway, upgrade;
};

/* Return: 0, -EBADMSG or -ENOMEM. @msg is borrowed by @ret. */
int varlink_request_of(struct varlink_request *ret, json_t *msg);
/* Both steal @params (NULL: {}). @continues: more replies follow. */
int varlink_reply(struct varlink_conn *c, json_t *params, bool continues, int timeout_ms);
int varlink_error(struct varlink_conn *c, const char *error, json_t *params, int timeout_ms);

#endif
