/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/bound.h"
#include "service/store_private.h"

const char store_bound_schema[] =
	"CREATE TABLE bound ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" path TEXT NOT NULL UNIQUE, key TEXT NOT NULL UNIQUE, node TEXT NOT NULL);"
	"CREATE TABLE bound_unit ("
	" bound INTEGER NOT NULL, place INTEGER NOT NULL,"
	" target TEXT NOT NULL, lun INTEGER NOT NULL, partition INTEGER NOT NULL,"
	" PRIMARY KEY (bound, place)) WITHOUT ROWID;"
	"CREATE TRIGGER bound_gone AFTER DELETE ON bound BEGIN"
	" DELETE FROM bound_unit WHERE bound = OLD.id; END;";

static int unit_insert(struct store *s, int64_t bound, size_t place, const struct bound_unit *u)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st, "INSERT INTO bound_unit VALUES (?, ?, ?, ?, ?)");

	if (r)
		return r;
	sqlite3_bind_int64(st, 1, bound);
	sqlite3_bind_int64(st, 2, (int64_t)place);
	sql_bind_text(st, 3, u->target);
	sqlite3_bind_int64(st, 4, (int64_t)u->lun);
	sqlite3_bind_int64(st, 5, u->partition);
	return sql_step(st);
}

/* -EEXIST: the path, or what it leads to, is there already. */
static int bound_insert(struct store *s, const struct bound *b)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int64_t id;
	int r = sql_prepare(s, &st,
			    "INSERT INTO bound (path, key, node) VALUES (?, ?, ?)"
			    " ON CONFLICT DO NOTHING RETURNING id");

	if (r)
		return r;
	sql_bind_text(st, 1, b->path);
	sql_bind_text(st, 2, b->key);
	sql_bind_text(st, 3, b->node);
	r = sql_step(st);
	if (r < 1)
		return r ? r : -EEXIST;
	id = sqlite3_column_int64(st, 0);
	r = sql_step(st);
	for (size_t i = 0; r == 0 && i < b->n_units; i++)
		r = unit_insert(s, id, i, &b->units[i]);
	return r;
}

int store_add_bound(struct store *s, const struct bound *b)
{
	int r = store_begin(s);

	return r ? r : store_end(s, bound_insert(s, b));
}

int store_set_bound(struct store *s, const struct bound *v, size_t n)
{
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_exec(s, "DELETE FROM bound");
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = bound_insert(s, &v[i]);
		if (r == -EEXIST)
			r = 0;
	}
	return store_end(s, r);
}

int store_delete_bound(struct store *s, const char *path, const char *key)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_prepare(s, &st, "DELETE FROM bound WHERE path = ?1 OR key = ?2");
	if (r == 0) {
		/* NULL is equal to nothing */
		sqlite3_bind_text(st, 1, path, -1, SQLITE_TRANSIENT);
		sqlite3_bind_text(st, 2, key, -1, SQLITE_TRANSIENT);
		r = sql_step(st);
	}
	if (r == 0 && sqlite3_changes(s->db) == 0)
		r = -ENOENT;
	return store_end(s, r);
}

/* ---- reading ------------------------------------------------------------------------- */

void bound_clear(struct bound *b)
{
	free(b->path);
	free(b->key);
	free(b->node);
	free(b->units);
	*b = (struct bound){0};
}

void bound_free_all(struct bound *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bound_clear(&v[i]);
	free(v);
}

static int units_load(struct store *s, int64_t id, struct bound *b)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st,
			    "SELECT target, lun, partition FROM bound_unit WHERE bound = ?"
			    " ORDER BY place");

	if (r)
		return r;
	sqlite3_bind_int64(st, 1, id);
	while ((r = sql_step(st)) == 1) {
		struct bound_unit *grown = store_array_grow(b->units, b->n_units, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		b->units = grown;
		sql_take_text(st, 0, grown[b->n_units].target, sizeof(grown->target));
		grown[b->n_units].lun = (uint64_t)sqlite3_column_int64(st, 1);
		grown[b->n_units++].partition = sql_take_u32(st, 2);
	}
	return r;
}

static char *text_copy(sqlite3_stmt *st, int at)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	return strdup(text ? text : "");
}

static int bound_take(struct store *s, sqlite3_stmt *st, struct bound *b)
{
	b->path = text_copy(st, 1);
	b->key = text_copy(st, 2);
	b->node = text_copy(st, 3);
	if (!b->path || !b->key || !b->node)
		return -ENOMEM;
	return units_load(s, sqlite3_column_int64(st, 0), b);
}

int store_load_bound(struct store *s, struct bound **ret, size_t *ret_n)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	struct bound *v = NULL, *grown;
	size_t n = 0;
	int r;

	pthread_mutex_lock(&s->lock);
	r = sql_prepare(s, &st, "SELECT id, path, key, node FROM bound ORDER BY id");
	while (r == 0 && (r = sql_step(st)) == 1) {
		grown = store_array_grow(v, n, sizeof(*v));
		r = grown ? 0 : -ENOMEM;
		if (grown) {
			v = grown;
			r = bound_take(s, st, &v[n++]);
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (r) {
		bound_free_all(v, n);
		return r;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}
