/* SPDX-License-Identifier: MIT */
#include "service/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "service/ids.h"

#define APPLICATION_ID 0x69534364 /* "iSCd" */
#define SCHEMA_VERSION 1
#define BUSY_MS        2000

struct store {
	pthread_mutex_t lock;
	sqlite3 *db;
};

/* Each entry brings the schema from its index to the next version. */
static const char *const migrations[SCHEMA_VERSION] = {
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
	"CREATE TABLE portal ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" instance TEXT NOT NULL COLLATE NOCASE, port INTEGER NOT NULL,"
	" address TEXT NOT NULL COLLATE NOCASE, socket INTEGER NOT NULL,"
	" symbolic TEXT NOT NULL, security_flags INTEGER NOT NULL,"
	" specified INTEGER NOT NULL, flags INTEGER NOT NULL, auth_type INTEGER NOT NULL,"
	" header_digest INTEGER NOT NULL, data_digest INTEGER NOT NULL,"
	" max_connections INTEGER NOT NULL, time2wait INTEGER NOT NULL,"
	" time2retain INTEGER NOT NULL, username BLOB NOT NULL,"
	" UNIQUE (instance, port, address, socket));"
	"CREATE TABLE login ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" target TEXT NOT NULL COLLATE NOCASE, informational INTEGER NOT NULL,"
	" has_portal INTEGER NOT NULL, has_options INTEGER NOT NULL,"
	" instance TEXT NOT NULL COLLATE NOCASE, port INTEGER NOT NULL,"
	" address TEXT NOT NULL COLLATE NOCASE, socket INTEGER NOT NULL,"
	" symbolic TEXT NOT NULL, security_flags INTEGER NOT NULL,"
	" specified INTEGER NOT NULL, flags INTEGER NOT NULL, auth_type INTEGER NOT NULL,"
	" header_digest INTEGER NOT NULL, data_digest INTEGER NOT NULL,"
	" max_connections INTEGER NOT NULL, time2wait INTEGER NOT NULL,"
	" time2retain INTEGER NOT NULL, username BLOB NOT NULL);"
	"CREATE INDEX login_target ON login (target);"
	"CREATE TABLE secret ("
	" owner TEXT NOT NULL, owner_id INTEGER NOT NULL, kind TEXT NOT NULL, value BLOB NOT NULL,"
	" PRIMARY KEY (owner, owner_id, kind)) WITHOUT ROWID;"
	"CREATE TRIGGER portal_gone AFTER DELETE ON portal BEGIN"
	" DELETE FROM secret WHERE owner = 'portal' AND owner_id = OLD.id; END;"
	"CREATE TRIGGER login_gone AFTER DELETE ON login BEGIN"
	" DELETE FROM secret WHERE owner = 'login' AND owner_id = OLD.id; END;"
	"CREATE TABLE isid ("
	" qualifier INTEGER PRIMARY KEY,"
	" node TEXT NOT NULL COLLATE NOCASE, target TEXT NOT NULL COLLATE NOCASE,"
	" portal TEXT NOT NULL COLLATE NOCASE, kind TEXT NOT NULL, ordinal INTEGER NOT NULL,"
	" used INTEGER NOT NULL,"
	" UNIQUE (node, target, portal, kind, ordinal));",
};

#define OPTION_COLUMNS                                                                             \
	"instance, port, address, socket, symbolic, security_flags, specified, flags, auth_type, " \
	"header_digest, data_digest, max_connections, time2wait, time2retain, username"
#define OPTION_MARKS "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"

/* ---- SQLite in our terms ------------------------------------------------ */

static int sql_errno(int r)
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

static int exec(struct store *s, const char *sql)
{
	return sql_errno(sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

static void finalizep(sqlite3_stmt **st)
{
	sqlite3_finalize(*st);
}

static int prepare(struct store *s, sqlite3_stmt **ret, const char *sql)
{
	return sql_errno(sqlite3_prepare_v2(s->db, sql, -1, ret, NULL));
}

/* 1: a row; 0: the end. */
static int step(sqlite3_stmt *st)
{
	int r = sqlite3_step(st);

	if (r == SQLITE_ROW)
		return 1;
	return r == SQLITE_DONE ? 0 : sql_errno(r) ?: -EIO;
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT);
}

static void bind_blob(sqlite3_stmt *st, int at, const struct blob *b)
{
	sqlite3_bind_blob(st, at, b->n ? b->bytes : (const uint8_t *)"", b->n, SQLITE_TRANSIENT);
}

static void take_text(sqlite3_stmt *st, int at, char *buf, size_t n)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	snprintf(buf, n, "%s", text ? text : "");
}

static void take_blob(sqlite3_stmt *st, int at, struct blob *b)
{
	const void *p = sqlite3_column_blob(st, at);
	int n = sqlite3_column_bytes(st, at);

	b->n = 0;
	if (p && n > 0 && n <= BLOB_MAX) {
		memcpy(b->bytes, p, (size_t)n);
		b->n = (uint16_t)n;
	}
}

static uint32_t take_u32(sqlite3_stmt *st, int at)
{
	return (uint32_t)sqlite3_column_int64(st, at);
}

static int begin(struct store *s)
{
	int r;

	pthread_mutex_lock(&s->lock);
	r = exec(s, "BEGIN IMMEDIATE");
	if (r)
		pthread_mutex_unlock(&s->lock);
	return r;
}

/* Ends what begin() began: commits when @r is 0. */
static int end(struct store *s, int r)
{
	if (r == 0)
		r = exec(s, "COMMIT");
	if (r)
		exec(s, "ROLLBACK");
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* ---- opening -------------------------------------------------------------- */

static int one_number(struct store *s, const char *sql, int64_t *ret)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int r = prepare(s, &st, sql);

	if (r)
		return r;
	r = step(st);
	if (r < 0)
		return r;
	*ret = r ? sqlite3_column_int64(st, 0) : 0;
	return 0;
}

static int intact(struct store *s)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int r = prepare(s, &st, "PRAGMA quick_check(1)");

	if (r)
		return r;
	r = step(st);
	if (r < 0)
		return r;
	return r == 1 && strcmp((const char *)sqlite3_column_text(st, 0) ?: "", "ok") == 0
		       ? 0
		       : -EBADMSG;
}

static int migrate(struct store *s, int64_t from)
{
	char sql[96];
	int r = begin(s);

	if (r)
		return r;
	for (int64_t v = from; r == 0 && v < SCHEMA_VERSION; v++)
		r = exec(s, migrations[v]);
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 APPLICATION_ID, SCHEMA_VERSION);
	if (r == 0)
		r = exec(s, sql);
	return end(s, r);
}

/* Makes the random part of our ISIDs, once. */
static int seed(struct store *s)
{
	uint32_t random24;
	char sql[128];
	int r;

	if (getrandom(&random24, sizeof(random24), 0) != sizeof(random24))
		return -EIO;
	snprintf(sql, sizeof(sql),
		 "INSERT OR IGNORE INTO meta VALUES ('isid_random', %" PRIu32 "), ('next_id', 1)",
		 random24 & 0xffffff);
	r = begin(s);
	return r ? r : end(s, exec(s, sql));
}

static int check_and_migrate(struct store *s, bool empty, char *why, size_t n_why)
{
	int64_t app, version, tables;
	int r = one_number(s, "PRAGMA application_id", &app);

	if (r == 0)
		r = one_number(s, "PRAGMA user_version", &version);
	if (r == 0)
		r = one_number(s, "SELECT count(*) FROM sqlite_schema", &tables);
	if (r)
		return r;
	if (!empty && app != APPLICATION_ID && (app != 0 || tables != 0)) {
		snprintf(why, n_why, "it is a database of another program");
		return -EPROTO;
	}
	if (app != APPLICATION_ID)
		version = 0;
	if (version < 0 || version > SCHEMA_VERSION) {
		snprintf(why, n_why, "it was written by a newer version of the service");
		return -EOVERFLOW;
	}
	r = intact(s);
	if (r == 0 && version < SCHEMA_VERSION)
		r = migrate(s, version);
	if (r == 0)
		r = seed(s);
	return r;
}

/* The file must exist with the right mode before SQLite writes a byte to it. */
static int file_prepare(const char *path, bool *ret_empty)
{
	CLEANUP(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((st.st_mode & 0777) != 0600 && fchmod(fd, 0600) < 0)
		return -errno;
	*ret_empty = st.st_size == 0;
	return 0;
}

int store_open(struct store **ret, const char *path, char *why, size_t n_why)
{
	struct store *s = calloc(1, sizeof(*s));
	char detail[128] = "";
	bool empty = false;
	int r;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	r = file_prepare(path, &empty);
	if (r == 0)
		r = sql_errno(sqlite3_open_v2(path, &s->db,
					      SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL));
	if (r == 0) {
		sqlite3_busy_timeout(s->db, BUSY_MS);
		/* values outside the schema's own may not do anything but be read */
		sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		r = exec(s, "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;"
			    "PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY");
	}
	if (r == 0)
		r = check_and_migrate(s, empty, detail, sizeof(detail));
	if (r) {
		snprintf(why, n_why, "%s: %s; it was left as it is", path,
			 detail[0]       ? detail
			 : r == -EBADMSG ? "it is damaged or not a database"
					 : strerror(-r));
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	sqlite3_close(s->db);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

/* ---- meta ------------------------------------------------------------------- */

static int meta_get_text(struct store *s, const char *name, char *ret, size_t n)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int r = prepare(s, &st, "SELECT value FROM meta WHERE name = ?");

	if (r)
		return r;
	bind_text(st, 1, name);
	r = step(st);
	if (r < 1)
		return r ? r : -ENOENT;
	take_text(st, 0, ret, n);
	return 0;
}

static int meta_set_text(struct store *s, const char *name, const char *value)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int r = prepare(s, &st,
			value ? "INSERT OR REPLACE INTO meta VALUES (?1, ?2)"
			      : "DELETE FROM meta WHERE name = ?1");

	if (r)
		return r;
	bind_text(st, 1, name);
	if (value)
		bind_text(st, 2, value);
	return step(st);
}

int store_get_node_name(struct store *s, char *ret)
{
	int r;

	pthread_mutex_lock(&s->lock);
	r = meta_get_text(s, "node_name", ret, ISCSI_NAME_MAX + 1);
	pthread_mutex_unlock(&s->lock);
	return r;
}

int store_set_node_name(struct store *s, const char *name)
{
	int r = begin(s);

	return r ? r : end(s, meta_set_text(s, "node_name", name));
}

int store_default_node_name(struct store *s, const char *fresh, char *ret)
{
	int r = begin(s);

	if (r)
		return r;
	r = meta_get_text(s, "default_node_name", ret, ISCSI_NAME_MAX + 1);
	if (r == -ENOENT) {
		r = meta_set_text(s, "default_node_name", fresh);
		snprintf(ret, ISCSI_NAME_MAX + 1, "%s", fresh);
	}
	return end(s, r);
}

/* ---- portals and logins ------------------------------------------------------ */

/* Binds what portals and logins have in common, OPTION_COLUMNS, from parameter @at on. */
static void bind_options(sqlite3_stmt *st, int at, const char *instance, uint32_t port,
			 const struct portal *p, uint64_t security_flags,
			 const struct login_options *o)
{
	bind_text(st, at++, instance);
	sqlite3_bind_int64(st, at++, port);
	bind_text(st, at++, p->address);
	sqlite3_bind_int64(st, at++, p->socket);
	bind_text(st, at++, p->symbolic);
	sqlite3_bind_int64(st, at++, (int64_t)security_flags);
	sqlite3_bind_int64(st, at++, o->specified);
	sqlite3_bind_int64(st, at++, o->flags);
	sqlite3_bind_int64(st, at++, o->auth_type);
	sqlite3_bind_int64(st, at++, o->header_digest);
	sqlite3_bind_int64(st, at++, o->data_digest);
	sqlite3_bind_int64(st, at++, o->max_connections);
	sqlite3_bind_int64(st, at++, o->time2wait);
	sqlite3_bind_int64(st, at++, o->time2retain);
	bind_blob(st, at, &o->username);
}

static void take_options(sqlite3_stmt *st, int at, char *instance, uint32_t *port, struct portal *p,
			 uint64_t *security_flags, struct login_options *o)
{
	take_text(st, at++, instance, INSTANCE_MAX + 1);
	*port = take_u32(st, at++);
	take_text(st, at++, p->address, sizeof(p->address));
	p->socket = (uint16_t)sqlite3_column_int64(st, at++);
	take_text(st, at++, p->symbolic, sizeof(p->symbolic));
	*security_flags = (uint64_t)sqlite3_column_int64(st, at++);
	o->specified = take_u32(st, at++);
	o->flags = take_u32(st, at++);
	o->auth_type = take_u32(st, at++);
	o->header_digest = take_u32(st, at++);
	o->data_digest = take_u32(st, at++);
	o->max_connections = take_u32(st, at++);
	o->time2wait = take_u32(st, at++);
	o->time2retain = take_u32(st, at++);
	take_blob(st, at, &o->username);
}

/* No value: none is kept. */
static int secret_put(struct store *s, const char *owner, int64_t id, const char *kind,
		      const struct blob *value)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int r = prepare(
		s, &st,
		value->n ? "INSERT OR REPLACE INTO secret VALUES (?1, ?2, ?3, ?4)"
			 : "DELETE FROM secret WHERE owner = ?1 AND owner_id = ?2 AND kind = ?3");

	if (r)
		return r;
	bind_text(st, 1, owner);
	sqlite3_bind_int64(st, 2, id);
	bind_text(st, 3, kind);
	if (value->n)
		bind_blob(st, 4, value);
	return step(st);
}

static int secret_get(struct store *s, const char *owner, int64_t id, const char *kind,
		      struct blob *ret)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int r = prepare(s, &st,
			"SELECT value FROM secret WHERE owner = ? AND owner_id = ? AND kind = ?");

	if (r)
		return r;
	bind_text(st, 1, owner);
	sqlite3_bind_int64(st, 2, id);
	bind_text(st, 3, kind);
	r = step(st);
	if (r == 1)
		take_blob(st, 0, ret);
	return r < 0 ? r : 0;
}

int store_put_portal(struct store *s, const struct send_target_portal *p)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int r = begin(s);

	if (r)
		return r;
	/* an upsert keeps the row and with it the place in the list */
	r = prepare(s, &st,
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
		bind_options(st, 1, p->instance, p->port, &p->portal, p->security_flags,
			     &p->options);
		r = step(st);
	}
	if (r == 1) {
		int64_t id = sqlite3_column_int64(st, 0);

		sqlite3_reset(st);
		r = secret_put(s, "portal", id, "password", &p->options.password);
	} else if (r == 0) {
		r = -EIO;
	}
	return end(s, r);
}

int store_delete_portal(struct store *s, const char *instance, uint32_t port,
			const struct portal *key)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int r = begin(s);

	if (r)
		return r;
	r = prepare(s, &st,
		    "DELETE FROM portal WHERE instance = ? AND port = ? AND address = ? AND"
		    " socket = ?");
	if (r == 0) {
		bind_text(st, 1, instance);
		sqlite3_bind_int64(st, 2, port);
		bind_text(st, 3, key->address);
		sqlite3_bind_int64(st, 4, key->socket);
		r = step(st);
	}
	if (r == 0 && sqlite3_changes(s->db) == 0)
		r = -ENOENT;
	return end(s, r);
}

/* Room for one more element of @n_one bytes, zeroed; NULL when there is no memory. */
static void *array_grow(void *array, size_t n, size_t n_one)
{
	char *p = realloc(array, (n + 1) * n_one);

	if (p)
		memset(p + n * n_one, 0, n_one);
	return p;
}

int store_load_portals(struct store *s, struct send_target_portal **ret, size_t *ret_n)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	struct send_target_portal *v = NULL, *grown;
	size_t n = 0;
	int r;

	pthread_mutex_lock(&s->lock);
	r = prepare(s, &st, "SELECT id, " OPTION_COLUMNS " FROM portal ORDER BY id");
	while (r == 0 && (r = step(st)) == 1) {
		grown = array_grow(v, n, sizeof(*v));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		v = grown;
		take_options(st, 1, v[n].instance, &v[n].port, &v[n].portal, &v[n].security_flags,
			     &v[n].options);
		r = secret_get(s, "portal", sqlite3_column_int64(st, 0), "password",
			       &v[n].options.password);
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

static int login_delete_same(struct store *s, const struct kept_login *l)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int r = prepare(s, &st,
			"DELETE FROM login WHERE target = ? AND instance = ? AND port = ? AND"
			" has_portal = ? AND address = ? AND socket = ?");

	if (r)
		return r;
	bind_text(st, 1, l->target);
	bind_text(st, 2, l->instance);
	sqlite3_bind_int64(st, 3, l->port);
	sqlite3_bind_int(st, 4, l->has_portal);
	bind_text(st, 5, l->portal.address);
	sqlite3_bind_int64(st, 6, l->portal.socket);
	return step(st);
}

static int login_insert(struct store *s, const struct kept_login *l)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int64_t id;
	int r = prepare(
		s, &st,
		"INSERT INTO login (target, informational, has_portal, has_options, " OPTION_COLUMNS
		") VALUES (?, ?, ?, ?, " OPTION_MARKS ")");

	if (r)
		return r;
	bind_text(st, 1, l->target);
	sqlite3_bind_int(st, 2, l->informational);
	sqlite3_bind_int(st, 3, l->has_portal);
	sqlite3_bind_int(st, 4, l->has_options);
	bind_options(st, 5, l->instance, l->port, &l->portal, l->security_flags, &l->options);
	r = step(st);
	if (r)
		return r;
	id = sqlite3_last_insert_rowid(s->db);
	r = secret_put(s, "login", id, "password", &l->options.password);
	return r ? r : secret_put(s, "login", id, "key", &l->key);
}

int store_put_login(struct store *s, const struct kept_login *l)
{
	int r = begin(s);

	if (r)
		return r;
	if (!(l->options.flags & LOGIN_MULTIPATH))
		r = login_delete_same(s, l);
	if (r == 0)
		r = login_insert(s, l);
	return end(s, r);
}

int store_load_logins(struct store *s, struct kept_login **ret, size_t *ret_n)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	struct kept_login *v = NULL, *grown;
	size_t n = 0;
	int r;

	pthread_mutex_lock(&s->lock);
	r = prepare(s, &st,
		    "SELECT id, target, informational, has_portal, has_options, " OPTION_COLUMNS
		    " FROM login ORDER BY id");
	while (r == 0 && (r = step(st)) == 1) {
		grown = array_grow(v, n, sizeof(*v));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		v = grown;
		v[n].row = sqlite3_column_int64(st, 0);
		take_text(st, 1, v[n].target, sizeof(v[n].target));
		v[n].informational = sqlite3_column_int(st, 2);
		v[n].has_portal = sqlite3_column_int(st, 3);
		v[n].has_options = sqlite3_column_int(st, 4);
		take_options(st, 5, v[n].instance, &v[n].port, &v[n].portal, &v[n].security_flags,
			     &v[n].options);
		r = secret_get(s, "login", v[n].row, "password", &v[n].options.password);
		if (r == 0)
			r = secret_get(s, "login", v[n].row, "key", &v[n].key);
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

/* ---- identifiers ---------------------------------------------------------------- */

static void bind_isid_key(sqlite3_stmt *st, const struct isid_key *key)
{
	bind_text(st, 1, key->node_name);
	bind_text(st, 2, key->target);
	bind_text(st, 3, key->portal);
	bind_text(st, 4, key->kind);
	sqlite3_bind_int64(st, 5, key->ordinal);
}

static int isid_touch(struct store *s, const struct isid_key *key, int64_t *ret_qualifier)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int r = prepare(s, &st,
			"UPDATE isid SET used = (SELECT coalesce(max(used), 0) + 1 FROM isid) WHERE"
			" node = ?1 AND target = ?2 AND portal = ?3 AND kind = ?4 AND ordinal = ?5"
			" RETURNING qualifier");

	if (r)
		return r;
	bind_isid_key(st, key);
	r = step(st);
	if (r < 1)
		return r ? r : -ENOENT;
	*ret_qualifier = sqlite3_column_int64(st, 0);
	return step(st) < 0 ? -EIO : 0;
}

static int isid_new(struct store *s, const struct isid_key *key, int64_t *ret_qualifier)
{
	CLEANUP(finalizep) sqlite3_stmt *st = NULL;
	int64_t q = 0;
	int r = one_number(s, "SELECT coalesce(max(qualifier), 0) + 1 FROM isid", &q);

	if (r)
		return r;
	if (q > UINT16_MAX) {
		/* all were given out: the one that was not used for longest starts anew */
		r = one_number(s, "SELECT qualifier FROM isid ORDER BY used LIMIT 1", &q);
		if (r)
			return r;
	}
	r = prepare(
		s, &st,
		"INSERT OR REPLACE INTO isid (node, target, portal, kind, ordinal, qualifier, used)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT coalesce(max(used), 0) + 1 FROM isid))");
	if (r)
		return r;
	bind_isid_key(st, key);
	sqlite3_bind_int64(st, 6, q);
	r = step(st);
	if (r == 0)
		*ret_qualifier = q;
	return r;
}

int store_isid(struct store *s, const struct isid_key *key, uint8_t ret[6])
{
	int64_t q = 0, random24 = 0;
	int r = begin(s);

	if (r)
		return r;
	r = one_number(s, "SELECT value FROM meta WHERE name = 'isid_random'", &random24);
	if (r == 0)
		r = isid_touch(s, key, &q);
	if (r == -ENOENT)
		r = isid_new(s, key, &q);
	r = end(s, r);
	if (r == 0)
		isid_make(ret, (uint32_t)random24, (uint16_t)q);
	return r;
}

int store_take_ids(struct store *s, uint32_t n, uint32_t *ret_first)
{
	char sql[96];
	int64_t first = 0;
	int r = begin(s);

	if (r)
		return r;
	r = one_number(s, "SELECT value FROM meta WHERE name = 'next_id'", &first);
	/* 32 bits last for four thousand million logins; then they begin again */
	if (first < 1 || first + n > UINT32_MAX)
		first = 1;
	snprintf(sql, sizeof(sql), "UPDATE meta SET value = %" PRId64 " WHERE name = 'next_id'",
		 first + n);
	if (r == 0)
		r = exec(s, sql);
	r = end(s, r);
	if (r == 0)
		*ret_first = (uint32_t)first;
	return r;
}
