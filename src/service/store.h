/* SPDX-License-Identifier: MIT */
/*
 * The store: what survives a restart
 *
 * One SQLite file, mode 0600, with portals, kept logins, the node name and the
 * ISIDs given out. Secrets are in a table of their own. Every change is one
 * transaction, synchronous to the disk before the function returns. A file that
 * is damaged, of somebody else or of a newer version is refused and left as it
 * is: it may be all that is left of somebody's configuration.
 *
 * Any control thread; calls wait for each other.
 */
#ifndef SERVICE_STORE_H
#define SERVICE_STORE_H

#include <stddef.h>

#include "service/types.h"

struct store;

/**
 * store_open() - open the file, or make it
 * @why:  a sentence for the log on failure
 *
 * Return: 0; -EBADMSG damaged; -EPROTO not ours; -EOVERFLOW of a newer version; else -errno.
 */
int store_open(struct store **ret, const char *path, char *why, size_t n_why);
struct store *store_close(struct store *s); /* NULL is fine; returns NULL */

/* ---- node name ---- */

/* @ret has ISCSI_NAME_MAX + 1 bytes. -ENOENT when none was set. */
int store_get_node_name(struct store *s, char *ret);
/* NULL: none any more. */
int store_set_node_name(struct store *s, const char *name);
/* The name that was made up once; @fresh is stored and returned when there is none yet. */
int store_default_node_name(struct store *s, const char *fresh, char *ret);

/* ---- SendTargets portals ---- */

/* Adds, or replaces the one with the same key. */
int store_put_portal(struct store *s, const struct send_target_portal *p);
/* -ENOENT when it is not there. */
int store_delete_portal(struct store *s, const char *instance, uint32_t port,
			const struct portal *key);
/* In the order they were added first; free() *ret after wiping (types.h). */
int store_load_portals(struct store *s, struct send_target_portal **ret, size_t *ret_n);

/* ---- kept logins ---- */

/* Replaces the one with the same key, unless MULTIPATH is in its flags: then each call adds one.
 * What replaces has the row of what it replaces. */
int store_put_login(struct store *s, const struct kept_login *l);
/*
 * Calls @each for every one, in the order added first, until it returns other than 0, which
 * is returned. The store waits meanwhile: @each must not call it.
 */
int store_each_login(struct store *s, int (*each)(void *arg, const struct kept_login *l),
		     void *arg);
/* @ret holds secrets afterwards. -ENOENT: not kept any more. */
int store_load_login(struct store *s, int64_t row, struct kept_login *ret);

/* Which logins: of the target; instance "", port ANY_PORT, no portal: whatever they have. */
struct login_match {
	char target[ISCSI_NAME_MAX + 1];
	char instance[INSTANCE_MAX + 1];
	uint32_t port;
	bool has_portal;
	struct portal portal;
};

/* Removes every one that matches; free() *ret_rows. -ENOENT: none does. */
int store_delete_logins(struct store *s, const struct login_match *match, int64_t **ret_rows,
			size_t *ret_n);

/* ---- security: store_security.c ---- */

/* An empty one removes it. */
int store_set_secret(struct store *s, enum node_secret which, const struct blob *value);
/* -ENOENT when there is none. */
int store_get_secret(struct store *s, enum node_secret which, struct blob *ret);

/* Adding what is there already is fine. */
int store_add_server(struct store *s, enum server_kind kind, const char *address);
/* -ENOENT when it is not there. */
int store_remove_server(struct store *s, enum server_kind kind, const char *address);
/* In the order they were added; @fn stops it by returning other than 0, which is returned. */
int store_each_server(struct store *s, enum server_kind kind,
		      int (*fn)(void *arg, const char *address), void *arg);

/* Adds, or replaces the one with the same key. */
int store_put_ike(struct store *s, const struct ike_info *i);
int store_delete_ike(struct store *s, const struct ike_info *key); /* not there: fine */
/* Without their keys; free() *ret. */
int store_load_ike(struct store *s, struct ike_info **ret, size_t *ret_n);

int store_put_tunnel(struct store *s, const struct tunnel_address *t);
/* ANY_PORT: of every port; "": every destination. None there: fine. */
int store_delete_tunnels(struct store *s, uint32_t port, const char *destination);
int store_load_tunnels(struct store *s, struct tunnel_address **ret, size_t *ret_n);

/* ---- static targets ---- */

/* Adds, or replaces the one of that name in its place. */
int store_put_target(struct store *s, const struct static_target *t);
/* -ENOENT when it is not there. */
int store_delete_target(struct store *s, const char *name);
/* Calls @fn with each, in the order they were added first; it is @fn's then. 0 or -errno. */
int store_load_targets(struct store *s, int (*fn)(void *arg, struct static_target *t), void *arg);

/* ---- bound devices (bound.h) ---- */

struct bound;

/* -EEXIST: the path or the key is there. */
int store_add_bound(struct store *s, const struct bound *b);
/* Replaces the list; what is there twice is there once. */
int store_set_bound(struct store *s, const struct bound *v, size_t n);
/* The one with the path or the key (NULL: none). -ENOENT. */
int store_delete_bound(struct store *s, const char *path, const char *key);
/* In the order added; bound_free_all(). */
int store_load_bound(struct store *s, struct bound **ret, size_t *ret_n);

/* ---- identifiers ---- */

struct isid_key {
	const char *node_name, *target; /* letter case does not count */
	const char *portal;             /* "ADDRESS:PORT", or "" for any */
	const char *kind;               /* "data", "info", "discovery" */
	unsigned ordinal;
};

/* The ISID for @key: always the same one, also after a restart. */
int store_isid(struct store *s, const struct isid_key *key, uint8_t ret[6]);
/* Numbers for ids that were never given out: [*ret_first, *ret_first + n). */
int store_take_ids(struct store *s, uint32_t n, uint32_t *ret_first);

#endif
