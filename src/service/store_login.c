/* SPDX-License-Identifier: MIT */
#include "service/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/store_private.h"

/* The rows with the same key; *ret_row is the first of them, 0 when there is none. */
static int login_delete_same(struct store *s, const struct kept_login *l, int64_t *ret_row)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int64_t row = 0;
	int r = sql_prepare(s, &st,
			    "DELETE FROM login WHERE target = ? AND instance = ? AND port = ? AND"
			    " has_portal = ? AND address = ? AND socket = ? RETURNING id");

	if (r)
		return r;
	sql_bind_text(st, 1, l->target);
	sql_bind_text(st, 2, l->instance);
	sqlite3_bind_int64(st, 3, l->port);
	sqlite3_bind_int(st, 4, l->has_portal);
	sql_bind_text(st, 5, l->portal.address);
	sqlite3_bind_int64(st, 6, l->portal.socket);
	while ((r = sql_step(st)) == 1) {
		int64_t id = sqlite3_column_int64(st, 0);

		if (row == 0 || id < row)
			row = id;
	}
	*ret_row = row;
	return r;
}

/* @row 0: a new one, behind all others. */
static int login_insert(struct store *s, const struct kept_login *l, int64_t row)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int64_t id;
	int r = sql_prepare(s, &st,
			    "INSERT INTO login (id, target, informational, has_portal, "
			    "has_options, " OPTION_COLUMNS ") VALUES (?, ?, ?, ?, ?, " OPTION_MARKS
			    ")");

	if (r)
		return r;
	if (row)
		sqlite3_bind_int64(st, 1, row);
	sql_bind_text(st, 2, l->target);
	sqlite3_bind_int(st, 3, l->informational);
	sqlite3_bind_int(st, 4, l->has_portal);
	sqlite3_bind_int(st, 5, l->has_options);
	sql_bind_options(st, 6, l->instance, l->port, &l->portal, l->security_flags, &l->options);
	r = sql_step(st);
	if (r)
		return r;
	id = sqlite3_last_insert_rowid(s->db);
	r = store_secret_put(s, "login", id, "password", &l->options.password);
	if (r == 0)
		r = store_secret_put(s, "login", id, "key", &l->key);
	if (r == 0 && l->has_mapping)
		r = store_mapping_put(s, "login", id, &l->mapping);
	return r;
}

int store_put_login(struct store *s, const struct kept_login *l)
{
	int64_t row = 0;
	int r = store_begin(s);

	if (r)
		return r;
	if (!(l->options.flags & LOGIN_MULTIPATH))
		r = login_delete_same(s, l, &row);
	if (r == 0)
		r = login_insert(s, l, row);
	return store_end(s, r);
}

/* ---- reading ------------------------------------------------------------------------- */

#define LOGIN_SELECT \
	"SELECT id, target, informational, has_portal, has_options, " OPTION_COLUMNS " FROM login"

/* The row that @st stands on. */
static int login_take(struct store *s, sqlite3_stmt *st, struct kept_login *l)
{
	int r;

	*l = (struct kept_login){.row = sqlite3_column_int64(st, 0)};
	sql_take_text(st, 1, l->target, sizeof(l->target));
	l->informational = sqlite3_column_int(st, 2);
	l->has_portal = sqlite3_column_int(st, 3);
	l->has_options = sqlite3_column_int(st, 4);
	sql_take_options(st, 5, l->instance, &l->port, &l->portal, &l->security_flags, &l->options);
	r = store_secret_get(s, "login", l->row, "password", &l->options.password);
	if (r == 0)
		r = store_secret_get(s, "login", l->row, "key", &l->key);
	if (r == 0)
		r = store_mapping_get(s, "login", l->row, &l->mapping, &l->has_mapping);
	return r;
}

int store_each_login(struct store *s, int (*each)(void *arg, const struct kept_login *l), void *arg)
{
	struct kept_login *l = malloc(sizeof(*l));
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r;

	if (!l)
		return -ENOMEM;
	store_lock(s);
	r = sql_prepare(s, &st, LOGIN_SELECT " ORDER BY id");
	while (r == 0 && (r = sql_step(st)) == 1) {
		r = login_take(s, st, l);
		if (r == 0)
			r = each(arg, l);
	}
	store_unlock(s);
	explicit_bzero(l, sizeof(*l));
	free(l);
	return r;
}

int store_load_login(struct store *s, int64_t row, struct kept_login *ret)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r;

	store_lock(s);
	r = sql_prepare(s, &st, LOGIN_SELECT " WHERE id = ?");
	if (r == 0) {
		sqlite3_bind_int64(st, 1, row);
		r = sql_step(st);
		r = r == 1 ? login_take(s, st, ret) : r ?: -ENOENT;
	}
	store_unlock(s);
	return r;
}

/* ---- removing -------------------------------------------------------------------------- */

int store_delete_logins(struct store *s, const struct login_match *match, int64_t **ret_rows,
			size_t *ret_n)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	CLEANUP(freep) int64_t *rows = NULL;
	size_t n = 0;
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_prepare(s, &st,
			"DELETE FROM login WHERE target = ?1 AND (?2 = '' OR instance = ?2) AND"
			" (?3 = 4294967295 OR port = ?3) AND"
			" (?4 = 0 OR (has_portal = 1 AND address = ?5 AND socket = ?6))"
			" RETURNING id");
	if (r == 0) {
		sql_bind_text(st, 1, match->target);
		sql_bind_text(st, 2, match->instance);
		sqlite3_bind_int64(st, 3, match->port);
		sqlite3_bind_int(st, 4, match->has_portal);
		sql_bind_text(st, 5, match->portal.address);
		sqlite3_bind_int64(st, 6, match->portal.socket);
	}
	while (r == 0 && (r = sql_step(st)) == 1) {
		int64_t *grown = store_array_grow(rows, n, sizeof(*rows));

		r = grown ? 0 : -ENOMEM;
		if (grown) {
			rows = grown;
			rows[n++] = sqlite3_column_int64(st, 0);
		}
	}
	/* a statement that is not finished would be in the way of the end */
	sqlite3_finalize(TAKE(st));
	if (r == 0 && n == 0)
		r = -ENOENT;
	r = store_end(s, r);
	if (r)
		return r;
	*ret_rows = TAKE(rows);
	*ret_n = n;
	return 0;
}
