/* SPDX-License-Identifier: MIT */
#include "service/store_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

int sql_errno(int r)
{
	switch (r & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE: return 0;
	case SQLITE_NOMEM: return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return -EBUSY;
	case SQLITE_FULL: return -ENOSPC;
	case SQLITE_READONLY: return -EROFS;
	case SQLITE_PERM:
	case SQLITE_CANTOPEN: return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return -EBADMSG;
	default: return -EIO;
	}
}

int sql_exec(struct store *s, const char *sql)
{
	return sql_errno(sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

void sql_finalizep(sqlite3_stmt **st)
{
	sqlite3_finalize(*st);
}

int sql_prepare(struct store *s, sqlite3_stmt **ret, const char *sql)
{
	return sql_errno(sqlite3_prepare_v2(s->db, sql, -1, ret, NULL));
}

int sql_step(sqlite3_stmt *st)
{
	int r = sqlite3_step(st);

	if (r == SQLITE_ROW)
		return 1;
	return r == SQLITE_DONE ? 0 : sql_errno(r) ?: -EIO;
}

void sql_bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT);
}

void sql_bind_blob(sqlite3_stmt *st, int at, const struct blob *b)
{
	sqlite3_bind_blob(st, at, b->n ? b->bytes : (const uint8_t *)"", b->n, SQLITE_TRANSIENT);
}

void sql_take_text(sqlite3_stmt *st, int at, char *buf, size_t n)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	snprintf(buf, n, "%s", text ? text : "");
}

void sql_take_blob(sqlite3_stmt *st, int at, struct blob *b)
{
	const void *p = sqlite3_column_blob(st, at);
	int n = sqlite3_column_bytes(st, at);

	b->n = 0;
	if (p && n > 0 && n <= BLOB_MAX) {
		memcpy(b->bytes, p, (size_t)n);
		b->n = (uint16_t)n;
	}
}

uint32_t sql_take_u32(sqlite3_stmt *st, int at)
{
	return (uint32_t)sqlite3_column_int64(st, at);
}

void store_lock(struct store *s)
{
	pthread_mutex_lock(&s->lock);
}

void store_unlock(struct store *s)
{
	sqlite3_db_release_memory(s->db);
	pthread_mutex_unlock(&s->lock);
}

int store_begin(struct store *s)
{
	int r;

	store_lock(s);
	r = sql_exec(s, "BEGIN IMMEDIATE");
	if (r)
		store_unlock(s);
	return r;
}

int store_end(struct store *s, int r)
{
	if (r == 0)
		r = sql_exec(s, "COMMIT");
	if (r)
		sql_exec(s, "ROLLBACK");
	if (s->secrets_passed)
		store_renew(s);
	s->secrets_passed = false;
	store_unlock(s);
	return r;
}

int sql_number(struct store *s, const char *sql, int64_t *ret)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st, sql);

	if (r)
		return r;
	r = sql_step(st);
	if (r < 0)
		return r;
	*ret = r ? sqlite3_column_int64(st, 0) : 0;
	return 0;
}

void *store_array_grow(void *array, size_t n, size_t n_one)
{
	char *p = calloc(n + 1, n_one);

	if (!p)
		return NULL;
	if (n) {
		memcpy(p, array, n * n_one);
		explicit_bzero(array, n * n_one);
	}
	free(array);
	return p;
}

/* ---- what several tables have in common ---- */

void sql_bind_login_options(sqlite3_stmt *st, int at, const struct login_options *o)
{
	sqlite3_bind_int64(st, at++, o->specified);
	sqlite3_bind_int64(st, at++, o->flags);
	sqlite3_bind_int64(st, at++, o->auth_type);
	sqlite3_bind_int64(st, at++, o->header_digest);
	sqlite3_bind_int64(st, at++, o->data_digest);
	sqlite3_bind_int64(st, at++, o->max_connections);
	sqlite3_bind_int64(st, at++, o->time2wait);
	sqlite3_bind_int64(st, at++, o->time2retain);
	sql_bind_blob(st, at, &o->username);
}

void sql_take_login_options(sqlite3_stmt *st, int at, struct login_options *o)
{
	o->specified = sql_take_u32(st, at++);
	o->flags = sql_take_u32(st, at++);
	o->auth_type = sql_take_u32(st, at++);
	o->header_digest = sql_take_u32(st, at++);
	o->data_digest = sql_take_u32(st, at++);
	o->max_connections = sql_take_u32(st, at++);
	o->time2wait = sql_take_u32(st, at++);
	o->time2retain = sql_take_u32(st, at++);
	sql_take_blob(st, at, &o->username);
}

void sql_bind_options(sqlite3_stmt *st, int at, const char *instance, uint32_t port,
		      const struct portal *p, uint64_t security_flags,
		      const struct login_options *o)
{
	sql_bind_text(st, at++, instance);
	sqlite3_bind_int64(st, at++, port);
	sql_bind_text(st, at++, p->address);
	sqlite3_bind_int64(st, at++, p->socket);
	sql_bind_text(st, at++, p->symbolic);
	sqlite3_bind_int64(st, at++, (int64_t)security_flags);
	sql_bind_login_options(st, at, o);
}

void sql_take_options(sqlite3_stmt *st, int at, char *instance, uint32_t *port, struct portal *p,
		      uint64_t *security_flags, struct login_options *o)
{
	sql_take_text(st, at++, instance, INSTANCE_MAX + 1);
	*port = sql_take_u32(st, at++);
	sql_take_text(st, at++, p->address, sizeof(p->address));
	p->socket = (uint16_t)sqlite3_column_int64(st, at++);
	sql_take_text(st, at++, p->symbolic, sizeof(p->symbolic));
	*security_flags = (uint64_t)sqlite3_column_int64(st, at++);
	sql_take_login_options(st, at, o);
}

int store_secret_put(struct store *s, const char *owner, int64_t id, const char *kind,
		     const struct blob *value)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(
		s, &st,
		value->n ? "INSERT OR REPLACE INTO secret VALUES (?1, ?2, ?3, ?4)"
			 : "DELETE FROM secret WHERE owner = ?1 AND owner_id = ?2 AND kind = ?3");

	if (r)
		return r;
	s->secrets_passed = true;
	sql_bind_text(st, 1, owner);
	sqlite3_bind_int64(st, 2, id);
	sql_bind_text(st, 3, kind);
	if (value->n)
		sql_bind_blob(st, 4, value);
	return sql_step(st);
}

int store_secret_get(struct store *s, const char *owner, int64_t id, const char *kind,
		     struct blob *ret)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(
		s, &st, "SELECT value FROM secret WHERE owner = ? AND owner_id = ? AND kind = ?");

	if (r)
		return r;
	sql_bind_text(st, 1, owner);
	sqlite3_bind_int64(st, 2, id);
	sql_bind_text(st, 3, kind);
	r = sql_step(st);
	if (r == 1)
		sql_take_blob(st, 0, ret);
	return r < 0 ? r : 0;
}
