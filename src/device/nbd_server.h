/* SPDX-License-Identifier: MIT */
/*
 * A unit as an NBD export on a Unix socket
 *
 * The server of backend nbd. All clients are served by the unit's loop; each has its
 * own slots, so that one that does not read its answers holds up nobody but itself.
 * A flush is the unit's own, so what one client has been told is written is in it
 * whoever asks: several connections may be used as one.
 *
 * Nothing here waits on the loop thread. What I/O needs is taken when a client
 * comes; only a request longer than a slot takes memory, from a budget that all clients
 * share, and waits unread while there is none.
 *
 * Life: start -> (gate …)* -> stop -> free, all by a control thread.
 */
#ifndef DEVICE_NBD_SERVER_H
#define DEVICE_NBD_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "device/backend.h"

struct nbd_server;

#define NBD_CLIENTS_MAX 16u
#define NBD_BIG_BYTES   ((size_t)64 << 20) /* the budget */

struct nbd_server_cfg {
	const char *name; /* of the export */
	const char *description;
	const char *path; /* of the socket; what is there is replaced */
	struct loop *loop;
	struct lu *lu;
	struct blk_limits limits;
};

int nbd_server_start(struct nbd_server **ret_server, const struct nbd_server_cfg *cfg);

/* While closed nobody becomes a user; true on return also for who was just about to. */
void nbd_server_gate(struct nbd_server *s, bool closed);

/* Any thread: clients that may send requests. */
unsigned nbd_server_n_users(const struct nbd_server *s);
/* Any thread: the most of the budget that was ever taken. */
size_t nbd_server_big_max(const struct nbd_server *s);
/* The processes of up to @n users; their number. 0: of another process namespace. */
size_t nbd_server_users(struct nbd_server *s, pid_t *pids, size_t n);
/* Waits until there are no users. 0 or -ETIMEDOUT. */
int nbd_server_wait_unused(struct nbd_server *s, uint64_t deadline_ns);

/* Size and write protection from now on. -EINVAL: the block size cannot change. */
int nbd_server_changed(struct nbd_server *s, const struct blk_limits *limits);

/*
 * Removes the socket and cuts off every client; what the unit has not answered yet
 * is waited for until @deadline_ns.
 */
void nbd_server_stop(struct nbd_server *s, uint64_t deadline_ns);

/*
 * After stop: returns NULL. Requests that the unit has not answered keep their
 * memory until it has; the loop must run until then.
 */
struct nbd_server *nbd_server_free(struct nbd_server *s);

#endif
