/* SPDX-License-Identifier: MIT */
/*
 * Inside the store: what its files share
 *
 * A file store_x.c keeps one kind of thing. Its tables come with a schema text of
 * its own, appended to the list in store.c: a file that was written before it gets
 * them when it is opened next. A text that was released is never changed again.
 *
 * A function that changes something is one transaction: store_begin(), statements,
 * store_end() with the outcome. A statement that is still open when store_end() is
 * called must be one that has come to its end, or was reset.
 */
#ifndef SERVICE_STORE_PRIVATE_H
#define SERVICE_STORE_PRIVATE_H

#include <pthread.h>
#include <sqlite3.h>

#include "service/store.h"

struct store {
	pthread_mutex_t lock;
	sqlite3 *db;
	char *path;
	bool secrets_passed; /* through this transaction */
};

/* store.c: each brings the schema from its index to the next version. */
extern const char *const store_schemas[];
extern const char store_mapping_schema[];
extern const char store_security_schema[];
extern const char store_target_schema[];
extern const char store_bound_schema[];

/* store.c: another connection in the place of the one there is, or the same one. */
void store_renew(struct store *s);

/* ---- SQLite in our terms: 0 or -errno ---- */

int sql_errno(int r);
int sql_exec(struct store *s, const char *sql);
int sql_prepare(struct store *s, sqlite3_stmt **ret, const char *sql);
void sql_finalizep(sqlite3_stmt **st);
/* 1: a row; 0: the end. */
int sql_step(sqlite3_stmt *st);
/* The first column of the first row; 0 when there is no row. */
int sql_number(struct store *s, const char *sql, int64_t *ret);

void sql_bind_text(sqlite3_stmt *st, int at, const char *text);
void sql_bind_blob(sqlite3_stmt *st, int at, const struct blob *b);
void sql_take_text(sqlite3_stmt *st, int at, char *buf, size_t n);
void sql_take_blob(sqlite3_stmt *st, int at, struct blob *b);
uint32_t sql_take_u32(sqlite3_stmt *st, int at);

/* ---- one transaction ---- */

/* For what only reads. store_unlock() drops SQLite's copies of pages: secrets may be in them. */
void store_lock(struct store *s);
void store_unlock(struct store *s);

/* Takes the lock, too; on failure nothing is held. */
int store_begin(struct store *s);
/* Ends what store_begin() began: commits when @r is 0. Returns @r, or why it could not. */
int store_end(struct store *s, int r);

/*
 * Room for one more element of @n_one bytes, zeroed. NULL when there is no memory, and
 * @array is as it was. No trace of secrets is left where it was before.
 */
void *store_array_grow(void *array, size_t n, size_t n_one);

/* ---- what several tables have in common ---- */

/* Columns of a portal with login options, and as many marks; see sql_bind_options(). */
#define OPTION_COLUMNS                                                                             \
	"instance, port, address, socket, symbolic, security_flags, specified, flags, auth_type, " \
	"header_digest, data_digest, max_connections, time2wait, time2retain, username"
#define OPTION_MARKS "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"

/* Binds OPTION_COLUMNS, from parameter @at on. */
void sql_bind_options(sqlite3_stmt *st, int at, const char *instance, uint32_t port,
		      const struct portal *p, uint64_t security_flags,
		      const struct login_options *o);
/* The other direction, from column @at on. */
void sql_take_options(sqlite3_stmt *st, int at, char *instance, uint32_t *port, struct portal *p,
		      uint64_t *security_flags, struct login_options *o);

/* The last columns of those, from "specified" on. */
void sql_bind_login_options(sqlite3_stmt *st, int at, const struct login_options *o);
void sql_take_login_options(sqlite3_stmt *st, int at, struct login_options *o);

/* Secrets are in a table of their own: (owner, id, kind). No value: none is kept. */
int store_secret_put(struct store *s, const char *owner, int64_t id, const char *kind,
		     const struct blob *value);
/* @ret is not touched when there is none. */
int store_secret_get(struct store *s, const char *owner, int64_t id, const char *kind,
		     struct blob *ret);

/* The mapping of (owner, id), of which there is one or none. */
int store_mapping_put(struct store *s, const char *owner, int64_t id,
		      const struct target_mapping *m);
int store_mapping_get(struct store *s, const char *owner, int64_t id, struct target_mapping *ret,
		      bool *ret_there);

#endif
