/* SPDX-License-Identifier: MIT */
#include "service/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/store_private.h"

static int login_delete_same(struct store *s, const struct kept_login *l)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st,
			    "DELETE FROM login WHERE target = ? AND instance = ? AND port = ? AND"
			    " has_portal = ? AND address = ? AND socket = ?");

	if (r)
		return r;
	sql_bind_text(st, 1, l->target);
	sql_bind_text(st, 2, l->instance);
	sqlite3_bind_int64(st, 3, l->port);
	sqlite3_bind_int(st, 4, l->has_portal);
	sql_bind_text(st, 5, l->portal.address);
	sqlite3_bind_int64(st, 6, l->portal.socket);
	return sql_step(st);
}

static int login_insert(struct store *s, const struct kept_login *l)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int64_t id;
	int r = sql_prepare(
		s, &st,
		"INSERT INTO login (target, informational, has_portal, has_options, " OPTION_COLUMNS
		") VALUES (?, ?, ?, ?, " OPTION_MARKS ")");

	if (r)
		return r;
	sql_bind_text(st, 1, l->target);
	sqlite3_bind_int(st, 2, l->informational);
	sqlite3_bind_int(st, 3, l->has_portal);
	sqlite3_bind_int(st, 4, l->has_options);
	sql_bind_options(st, 5, l->instance, l->port, &l->portal, l->security_flags, &l->options);
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
	int r = store_begin(s);

	if (r)
		return r;
	if (!(l->options.flags & LOGIN_MULTIPATH))
		r = login_delete_same(s, l);
	if (r == 0)
		r = login_insert(s, l);
	return store_end(s, r);
}

int store_load_logins(struct store *s, struct kept_login **ret, size_t *ret_n)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	struct kept_login *v = NULL, *grown;
	size_t n = 0;
	int r;

	pthread_mutex_lock(&s->lock);
	r = sql_prepare(s, &st,
			"SELECT id, target, informational, has_portal, has_options, " OPTION_COLUMNS
			" FROM login ORDER BY id");
	while (r == 0 && (r = sql_step(st)) == 1) {
		grown = store_array_grow(v, n, sizeof(*v));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		v = grown;
		v[n].row = sqlite3_column_int64(st, 0);
		sql_take_text(st, 1, v[n].target, sizeof(v[n].target));
		v[n].informational = sqlite3_column_int(st, 2);
		v[n].has_portal = sqlite3_column_int(st, 3);
		v[n].has_options = sqlite3_column_int(st, 4);
		sql_take_options(st, 5, v[n].instance, &v[n].port, &v[n].portal,
				 &v[n].security_flags, &v[n].options);
		r = store_secret_get(s, "login", v[n].row, "password", &v[n].options.password);
		if (r == 0)
			r = store_secret_get(s, "login", v[n].row, "key", &v[n].key);
		if (r == 0)
			r = store_mapping_get(s, "login", v[n].row, &v[n].mapping,
					      &v[n].has_mapping);
		n++;
	}
	pthread_mutex_unlock(&s->lock);
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
