/* SPDX-License-Identifier: MIT */
#include "service/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/store_private.h"

const char store_security_schema[] =
	"CREATE TABLE server ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
	" address TEXT NOT NULL COLLATE NOCASE, UNIQUE (kind, address));"
	"CREATE TABLE ike ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, port INTEGER NOT NULL, id_type INTEGER NOT NULL,"
	" identity BLOB NOT NULL, security_flags INTEGER NOT NULL,"
	" UNIQUE (port, id_type, identity));"
	"CREATE TRIGGER ike_gone AFTER DELETE ON ike BEGIN"
	" DELETE FROM secret WHERE owner = 'ike' AND owner_id = OLD.id; END;"
	"CREATE TABLE tunnel ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT, port INTEGER NOT NULL,"
	" destination TEXT NOT NULL COLLATE NOCASE, outer_address TEXT NOT NULL,"
	" UNIQUE (port, destination));";

/* ---- secrets of the node ------------------------------------------------------ */

static const char *secret_name(enum node_secret which)
{
	switch (which) {
	case NODE_CHAP: return "chap";
	case NODE_RADIUS: return "radius";
	case NODE_GROUP_KEY: return "group-key";
	}
	return "";
}

int store_set_secret(struct store *s, enum node_secret which, const struct blob *value)
{
	int r = store_begin(s);

	return r ? r : store_end(s, store_secret_put(s, "node", 0, secret_name(which), value));
}

int store_get_secret(struct store *s, enum node_secret which, struct blob *ret)
{
	struct blob b = {0};
	int r;

	store_lock(s);
	r = store_secret_get(s, "node", 0, secret_name(which), &b);
	store_unlock(s);
	if (r == 0 && b.n == 0)
		r = -ENOENT;
	if (r == 0)
		*ret = b;
	explicit_bzero(&b, sizeof(b));
	return r;
}

/* ---- servers --------------------------------------------------------------------- */

static const char *server_name(enum server_kind kind)
{
	return kind == SERVER_RADIUS ? "radius" : "isns";
}

/* One statement about one server. */
static int server_change(struct store *s, const char *sql, enum server_kind kind,
			 const char *address, bool must_exist)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_prepare(s, &st, sql);
	if (r == 0) {
		sql_bind_text(st, 1, server_name(kind));
		sql_bind_text(st, 2, address);
		r = sql_step(st);
	}
	if (r == 0 && must_exist && sqlite3_changes(s->db) == 0)
		r = -ENOENT;
	return store_end(s, r);
}

int store_add_server(struct store *s, enum server_kind kind, const char *address)
{
	return server_change(s, "INSERT OR IGNORE INTO server (kind, address) VALUES (?, ?)", kind,
			     address, false);
}

int store_remove_server(struct store *s, enum server_kind kind, const char *address)
{
	return server_change(s, "DELETE FROM server WHERE kind = ? AND address = ?", kind, address,
			     true);
}

int store_each_server(struct store *s, enum server_kind kind,
		      int (*fn)(void *arg, const char *address), void *arg)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	char address[ADDRESS_MAX + 1];
	int r;

	store_lock(s);
	r = sql_prepare(s, &st, "SELECT address FROM server WHERE kind = ? ORDER BY id");
	if (r == 0)
		sql_bind_text(st, 1, server_name(kind));
	while (r == 0 && (r = sql_step(st)) == 1) {
		sql_take_text(st, 0, address, sizeof(address));
		r = fn(arg, address);
	}
	store_unlock(s);
	return r;
}

/* ---- IKE ----------------------------------------------------------------------------- */

static void bind_ike_key(sqlite3_stmt *st, const struct ike_info *i)
{
	sqlite3_bind_int64(st, 1, i->port);
	sqlite3_bind_int64(st, 2, i->id_type);
	sql_bind_blob(st, 3, &i->id);
}

int store_put_ike(struct store *s, const struct ike_info *i)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_prepare(s, &st,
			"INSERT INTO ike (port, id_type, identity, security_flags)"
			" VALUES (?, ?, ?, ?)"
			" ON CONFLICT (port, id_type, identity) DO UPDATE SET"
			" security_flags = excluded.security_flags RETURNING id");
	if (r == 0) {
		bind_ike_key(st, i);
		sqlite3_bind_int64(st, 4, (int64_t)i->security_flags);
		r = sql_step(st);
	}
	if (r == 1) {
		int64_t id = sqlite3_column_int64(st, 0);

		sqlite3_reset(st);
		r = store_secret_put(s, "ike", id, "key", &i->key);
	} else if (r == 0) {
		r = -EIO;
	}
	return store_end(s, r);
}

int store_delete_ike(struct store *s, const struct ike_info *key)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_prepare(s, &st, "DELETE FROM ike WHERE port = ? AND id_type = ? AND identity = ?");
	if (r == 0) {
		bind_ike_key(st, key);
		r = sql_step(st);
	}
	return store_end(s, r);
}

int store_load_ike(struct store *s, struct ike_info **ret, size_t *ret_n)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	CLEANUP(freep) struct ike_info *v = NULL;
	struct ike_info *grown;
	size_t n = 0;
	int r;

	store_lock(s);
	r = sql_prepare(s, &st,
			"SELECT port, id_type, identity, security_flags FROM ike ORDER BY id");
	while (r == 0 && (r = sql_step(st)) == 1) {
		grown = store_array_grow(v, n, sizeof(*v));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		v = grown;
		v[n].port = sql_take_u32(st, 0);
		v[n].id_type = sql_take_u32(st, 1);
		sql_take_blob(st, 2, &v[n].id);
		v[n].security_flags = (uint64_t)sqlite3_column_int64(st, 3);
		n++;
		r = 0;
	}
	store_unlock(s);
	if (r)
		return r;
	*ret = TAKE(v);
	*ret_n = n;
	return 0;
}

/* ---- tunnels ------------------------------------------------------------------------- */

int store_put_tunnel(struct store *s, const struct tunnel_address *t)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_prepare(s, &st,
			"INSERT INTO tunnel (port, destination, outer_address) VALUES (?, ?, ?)"
			" ON CONFLICT (port, destination) DO UPDATE SET"
			" outer_address = excluded.outer_address");
	if (r == 0) {
		sqlite3_bind_int64(st, 1, t->port);
		sql_bind_text(st, 2, t->destination);
		sql_bind_text(st, 3, t->outer);
		r = sql_step(st);
	}
	return store_end(s, r);
}

int store_delete_tunnels(struct store *s, uint32_t port, const char *destination)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_prepare(s, &st,
			"DELETE FROM tunnel WHERE (?1 = ?3 OR port = ?1)"
			" AND (?2 = '' OR destination = ?2)");
	if (r == 0) {
		sqlite3_bind_int64(st, 1, port);
		sql_bind_text(st, 2, destination);
		sqlite3_bind_int64(st, 3, ANY_PORT);
		r = sql_step(st);
	}
	return store_end(s, r);
}

int store_load_tunnels(struct store *s, struct tunnel_address **ret, size_t *ret_n)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	CLEANUP(freep) struct tunnel_address *v = NULL;
	struct tunnel_address *grown;
	size_t n = 0;
	int r;

	store_lock(s);
	r = sql_prepare(s, &st, "SELECT port, destination, outer_address FROM tunnel ORDER BY id");
	while (r == 0 && (r = sql_step(st)) == 1) {
		grown = store_array_grow(v, n, sizeof(*v));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		v = grown;
		v[n].port = sql_take_u32(st, 0);
		sql_take_text(st, 1, v[n].destination, sizeof(v[n].destination));
		sql_take_text(st, 2, v[n].outer, sizeof(v[n].outer));
		n++;
		r = 0;
	}
	store_unlock(s);
	if (r)
		return r;
	*ret = TAKE(v);
	*ret_n = n;
	return 0;
}
