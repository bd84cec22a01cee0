/* SPDX-License-Identifier: MIT */
#include "service/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/static_target.h"
#include "service/store_private.h"

const char store_target_schema[] =
	"CREATE TABLE target ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" name TEXT NOT NULL COLLATE NOCASE UNIQUE, alias TEXT NOT NULL,"
	" target_flags INTEGER NOT NULL, has_options INTEGER NOT NULL,"
	" specified INTEGER NOT NULL, flags INTEGER NOT NULL, auth_type INTEGER NOT NULL,"
	" header_digest INTEGER NOT NULL, data_digest INTEGER NOT NULL,"
	" max_connections INTEGER NOT NULL, time2wait INTEGER NOT NULL,"
	" time2retain INTEGER NOT NULL, username BLOB NOT NULL);"
	"CREATE TABLE target_portal ("
	" target INTEGER NOT NULL, place INTEGER NOT NULL, tag INTEGER NOT NULL,"
	" symbolic TEXT NOT NULL, address TEXT NOT NULL, socket INTEGER NOT NULL,"
	" PRIMARY KEY (target, place)) WITHOUT ROWID;"
	"CREATE TRIGGER target_gone AFTER DELETE ON target BEGIN"
	" DELETE FROM target_portal WHERE target = OLD.id;"
	" DELETE FROM mapping WHERE owner = 'target' AND owner_id = OLD.id;"
	" DELETE FROM secret WHERE owner = 'target' AND owner_id = OLD.id; END;";

#define TARGET_COLUMNS                                                                         \
	"name, alias, target_flags, has_options, specified, flags, auth_type, header_digest, " \
	"data_digest, max_connections, time2wait, time2retain, username"

static void bind_target(sqlite3_stmt *st, const struct static_target *t)
{
	sql_bind_text(st, 1, t->name);
	sql_bind_text(st, 2, t->alias);
	sqlite3_bind_int64(st, 3, t->flags);
	sqlite3_bind_int(st, 4, t->has_options);
	sql_bind_login_options(st, 5, &t->options);
}

static int target_upsert(struct store *s, const struct static_target *t, int64_t *ret_id)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	/* an upsert keeps the row and with it the place in the list */
	int r = sql_prepare(
		s, &st,
		"INSERT INTO target (" TARGET_COLUMNS ")"
		" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
		" ON CONFLICT (name) DO UPDATE SET name = excluded.name, alias = excluded.alias,"
		" target_flags = excluded.target_flags, has_options = excluded.has_options,"
		" specified = excluded.specified, flags = excluded.flags,"
		" auth_type = excluded.auth_type, header_digest = excluded.header_digest,"
		" data_digest = excluded.data_digest,"
		" max_connections = excluded.max_connections, time2wait = excluded.time2wait,"
		" time2retain = excluded.time2retain, username = excluded.username"
		" RETURNING id");

	if (r)
		return r;
	bind_target(st, t);
	r = sql_step(st);
	if (r < 1)
		return r ? r : -EIO;
	*ret_id = sqlite3_column_int64(st, 0);
	r = sql_step(st);
	return r < 0 ? r : 0;
}

/* The rows of @id in a table that is named in @sql. */
static int delete_of(struct store *s, const char *sql, int64_t id)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st, sql);

	if (r)
		return r;
	sqlite3_bind_int64(st, 1, id);
	return sql_step(st);
}

static int portals_put(struct store *s, int64_t id, const struct static_target *t)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = delete_of(s, "DELETE FROM target_portal WHERE target = ?", id);

	if (r == 0)
		r = sql_prepare(s, &st, "INSERT INTO target_portal VALUES (?, ?, ?, ?, ?, ?)");
	for (size_t i = 0; r == 0 && i < t->n_portals; i++) {
		const struct static_portal *p = &t->portals[i];

		sqlite3_reset(st);
		sqlite3_bind_int64(st, 1, id);
		sqlite3_bind_int64(st, 2, (int64_t)i);
		sqlite3_bind_int64(st, 3, p->tag);
		sql_bind_text(st, 4, p->portal.symbolic);
		sql_bind_text(st, 5, p->portal.address);
		sqlite3_bind_int64(st, 6, p->portal.socket);
		r = sql_step(st);
	}
	return r;
}

static int target_put(struct store *s, const struct static_target *t)
{
	int64_t id = 0;
	int r = target_upsert(s, t, &id);

	if (r == 0)
		r = store_secret_put(s, "target", id, "password", &t->options.password);
	if (r == 0)
		r = portals_put(s, id, t);
	if (r == 0 && t->mapping)
		r = store_mapping_put(s, "target", id, t->mapping);
	else if (r == 0)
		r = delete_of(s, "DELETE FROM mapping WHERE owner = 'target' AND owner_id = ?", id);
	return r;
}

int store_put_target(struct store *s, const struct static_target *t)
{
	int r = store_begin(s);

	return r ? r : store_end(s, target_put(s, t));
}

static int target_delete(struct store *s, const char *name)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st, "DELETE FROM target WHERE name = ?");

	if (r)
		return r;
	sql_bind_text(st, 1, name);
	r = sql_step(st);
	return r == 0 && sqlite3_changes(s->db) == 0 ? -ENOENT : r;
}

int store_delete_target(struct store *s, const char *name)
{
	int r = store_begin(s);

	return r ? r : store_end(s, target_delete(s, name));
}

/* ---- loading ---------------------------------------------------------------------- */

static int portals_get(struct store *s, int64_t id, struct static_target *t)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st,
			    "SELECT tag, symbolic, address, socket FROM target_portal"
			    " WHERE target = ? ORDER BY place");

	if (r)
		return r;
	sqlite3_bind_int64(st, 1, id);
	while ((r = sql_step(st)) == 1) {
		struct static_portal *grown =
			store_array_grow(t->portals, t->n_portals, sizeof(*grown));
		struct static_portal *p;

		if (!grown)
			return -ENOMEM;
		t->portals = grown;
		p = &grown[t->n_portals++];
		p->tag = (uint16_t)sqlite3_column_int64(st, 0);
		sql_take_text(st, 1, p->portal.symbolic, sizeof(p->portal.symbolic));
		sql_take_text(st, 2, p->portal.address, sizeof(p->portal.address));
		p->portal.socket = (uint16_t)sqlite3_column_int64(st, 3);
	}
	return r;
}

static int mapping_get(struct store *s, int64_t id, struct static_target *t)
{
	bool there = false;
	int r;

	t->mapping = calloc(1, sizeof(*t->mapping));
	if (!t->mapping)
		return -ENOMEM;
	r = store_mapping_get(s, "target", id, t->mapping, &there);
	if (r || !there) {
		free(t->mapping);
		t->mapping = NULL;
	}
	return r;
}

static int target_take(struct store *s, sqlite3_stmt *st, struct static_target *t)
{
	int64_t id = sqlite3_column_int64(st, 0);
	int r;

	sql_take_text(st, 1, t->name, sizeof(t->name));
	sql_take_text(st, 2, t->alias, sizeof(t->alias));
	t->flags = sql_take_u32(st, 3);
	t->persist = true;
	t->has_options = sqlite3_column_int(st, 4);
	sql_take_login_options(st, 5, &t->options);
	r = store_secret_get(s, "target", id, "password", &t->options.password);
	if (r == 0)
		r = mapping_get(s, id, t);
	return r ? r : portals_get(s, id, t);
}

int store_load_targets(struct store *s, int (*fn)(void *arg, struct static_target *t), void *arg)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r;

	store_lock(s);
	r = sql_prepare(s, &st, "SELECT id, " TARGET_COLUMNS " FROM target ORDER BY id");
	while (r == 0 && (r = sql_step(st)) == 1) {
		CLEANUP(static_target_freep) struct static_target *t = calloc(1, sizeof(*t));

		r = t ? target_take(s, st, t) : -ENOMEM;
		if (r == 0)
			r = fn(arg, TAKE(t));
	}
	store_unlock(s);
	return r;
}
