/* SPDX-License-Identifier: MIT */
#include "service/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/store_private.h"

int store_put_portal(struct store *s, const struct send_target_portal *p)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = store_begin(s);

	if (r)
		return r;
	/* an upsert keeps the row and with it the place in the list */
	r = sql_prepare(
		s, &st,
		"INSERT INTO portal (" OPTION_COLUMNS ") VALUES (" OPTION_MARKS ")"
		" ON CONFLICT (instance, port, address, socket) DO UPDATE SET"
		" symbolic = excluded.symbolic, security_flags = excluded.security_flags,"
		" specified = excluded.specified, flags = excluded.flags,"
		" auth_type = excluded.auth_type, header_digest = excluded.header_digest,"
		" data_digest = excluded.data_digest,"
		" max_connections = excluded.max_connections, time2wait = excluded.time2wait,"
		" time2retain = excluded.time2retain, username = excluded.username"
		" RETURNING id");
	if (r == 0) {
		sql_bind_options(st, 1, p->instance, p->port, &p->portal, p->security_flags,
				 &p->options);
		r = sql_step(st);
	}
	if (r == 1) {
		int64_t id = sqlite3_column_int64(st, 0);

		sqlite3_reset(st);
		r = store_secret_put(s, "portal", id, "password", &p->options.password);
	} else if (r == 0) {
		r = -EIO;
	}
	return store_end(s, r);
}

int store_delete_portal(struct store *s, const char *instance, uint32_t port,
			const struct portal *key)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_prepare(s, &st,
			"DELETE FROM portal WHERE instance = ? AND port = ? AND address = ? AND"
			" socket = ?");
	if (r == 0) {
		sql_bind_text(st, 1, instance);
		sqlite3_bind_int64(st, 2, port);
		sql_bind_text(st, 3, key->address);
		sqlite3_bind_int64(st, 4, key->socket);
		r = sql_step(st);
	}
	if (r == 0 && sqlite3_changes(s->db) == 0)
		r = -ENOENT;
	return store_end(s, r);
}

int store_load_portals(struct store *s, struct send_target_portal **ret, size_t *ret_n)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	struct send_target_portal *v = NULL, *grown;
	size_t n = 0;
	int r;

	store_lock(s);
	r = sql_prepare(s, &st, "SELECT id, " OPTION_COLUMNS " FROM portal ORDER BY id");
	while (r == 0 && (r = sql_step(st)) == 1) {
		grown = store_array_grow(v, n, sizeof(*v));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		v = grown;
		sql_take_options(st, 1, v[n].instance, &v[n].port, &v[n].portal,
				 &v[n].security_flags, &v[n].options);
		r = store_secret_get(s, "portal", sqlite3_column_int64(st, 0), "password",
				     &v[n].options.password);
		n++;
	}
	store_unlock(s);
	if (r) {
		if (v)
			explicit_bzero(v, n * sizeof(*v));
		free(v);
		return r;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}
