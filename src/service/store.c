/* SPDX-License-Identifier: MIT */
#include "service/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "service/ids.h"
#include "service/store_private.h"

#define APPLICATION_ID 0x69534364 /* "iSCd" */
#define BUSY_MS        2000

static const char first_schema[] =
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
	" UNIQUE (node, target, portal, kind, ordinal));";

/* Each entry brings the schema from its index to the next version: append, never change. */
const char *const store_schemas[] = {
	first_schema,        store_mapping_schema, store_security_schema,
	store_target_schema, store_bound_schema,
};

#define SCHEMA_VERSION ((int)ARRAY_SIZE(store_schemas))

/* ---- opening -------------------------------------------------------------- */

static int intact(struct store *s)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st, "PRAGMA quick_check(1)");

	if (r)
		return r;
	r = sql_step(st);
	if (r < 0)
		return r;
	return r == 1 && strcmp((const char *)sqlite3_column_text(st, 0) ?: "", "ok") == 0
		       ? 0
		       : -EBADMSG;
}

static int migrate(struct store *s, int64_t from)
{
	char sql[96];
	int r = store_begin(s);

	if (r)
		return r;
	for (int64_t v = from; r == 0 && v < SCHEMA_VERSION; v++)
		r = sql_exec(s, store_schemas[v]);
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 APPLICATION_ID, SCHEMA_VERSION);
	if (r == 0)
		r = sql_exec(s, sql);
	return store_end(s, r);
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
	r = store_begin(s);
	return r ? r : store_end(s, sql_exec(s, sql));
}

/*
 * A service that was killed may leave a journal with nothing to roll back, but with old
 * pages in it, secrets among them. The next change takes it away, so here is one.
 */
static int journal_drop(struct store *s, const char *path)
{
	CLEANUP(freep) char *journal = NULL;
	char sql[64];
	int r;

	if (asprintf(&journal, "%s-journal", path) < 0) {
		journal = NULL;
		return -ENOMEM;
	}
	if (access(journal, F_OK) < 0)
		return 0;
	/* written also when it is the same already, which a row would not be */
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", SCHEMA_VERSION);
	r = store_begin(s);
	return r ? r : store_end(s, sql_exec(s, sql));
}

static int check_and_migrate(struct store *s, bool empty, char *why, size_t n_why)
{
	int64_t app, version, tables;
	int r = sql_number(s, "PRAGMA application_id", &app);

	if (r == 0)
		r = sql_number(s, "PRAGMA user_version", &version);
	if (r == 0)
		r = sql_number(s, "SELECT count(*) FROM sqlite_schema", &tables);
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

static int db_open(sqlite3 **ret, const char *path)
{
	sqlite3 *db = NULL;
	int r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);

	if (r == SQLITE_OK) {
		sqlite3_busy_timeout(db, BUSY_MS);
		/* values outside the schema's own may not do anything but be read */
		sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
		sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
		/* EXTRA: the end of the journal, which is the change's, is on the disk as well */
		r = sqlite3_exec(db,
				 "PRAGMA journal_mode = DELETE; PRAGMA synchronous = EXTRA;"
				 "PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY",
				 NULL, NULL, NULL);
	}
	if (r != SQLITE_OK) {
		sqlite3_close(db);
		return sql_errno(r);
	}
	*ret = db;
	return 0;
}

/* SQLite builds rows in a buffer that it keeps with the connection: a secret stays in it. */
void store_renew(struct store *s)
{
	sqlite3 *db = NULL;

	if (db_open(&db, s->path))
		return;
	/* it goes with the last statement, which the caller still has to finalize */
	sqlite3_close_v2(s->db);
	s->db = db;
}

int store_open(struct store **ret, const char *path, char *why, size_t n_why)
{
	struct store *s = calloc(1, sizeof(*s));
	char detail[128] = "";
	bool empty = false;
	int r = -ENOMEM;

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->path = strdup(path);
	if (s->path)
		r = file_prepare(path, &empty);
	if (r == 0)
		r = db_open(&s->db, path);
	if (r == 0)
		r = check_and_migrate(s, empty, detail, sizeof(detail));
	if (r == 0)
		r = journal_drop(s, path);
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
	free(s->path);
	free(s);
	return NULL;
}

/* ---- meta ------------------------------------------------------------------- */

static int meta_get_text(struct store *s, const char *name, char *ret, size_t n)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st, "SELECT value FROM meta WHERE name = ?");

	if (r)
		return r;
	sql_bind_text(st, 1, name);
	r = sql_step(st);
	if (r < 1)
		return r ? r : -ENOENT;
	sql_take_text(st, 0, ret, n);
	return 0;
}

static int meta_set_text(struct store *s, const char *name, const char *value)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st,
			    value ? "INSERT OR REPLACE INTO meta VALUES (?1, ?2)"
				  : "DELETE FROM meta WHERE name = ?1");

	if (r)
		return r;
	sql_bind_text(st, 1, name);
	if (value)
		sql_bind_text(st, 2, value);
	return sql_step(st);
}

int store_get_node_name(struct store *s, char *ret)
{
	int r;

	store_lock(s);
	r = meta_get_text(s, "node_name", ret, ISCSI_NAME_MAX + 1);
	store_unlock(s);
	return r;
}

int store_set_node_name(struct store *s, const char *name)
{
	int r = store_begin(s);

	return r ? r : store_end(s, meta_set_text(s, "node_name", name));
}

int store_default_node_name(struct store *s, const char *fresh, char *ret)
{
	int r = store_begin(s);

	if (r)
		return r;
	r = meta_get_text(s, "default_node_name", ret, ISCSI_NAME_MAX + 1);
	if (r == -ENOENT) {
		r = meta_set_text(s, "default_node_name", fresh);
		snprintf(ret, ISCSI_NAME_MAX + 1, "%s", fresh);
	}
	return store_end(s, r);
}

/* ---- identifiers ---------------------------------------------------------------- */

static void bind_isid_key(sqlite3_stmt *st, const struct isid_key *key)
{
	sql_bind_text(st, 1, key->node_name);
	sql_bind_text(st, 2, key->target);
	sql_bind_text(st, 3, key->portal);
	sql_bind_text(st, 4, key->kind);
	sqlite3_bind_int64(st, 5, key->ordinal);
}

static int isid_touch(struct store *s, const struct isid_key *key, int64_t *ret_qualifier)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(
		s, &st,
		"UPDATE isid SET used = (SELECT coalesce(max(used), 0) + 1 FROM isid) WHERE"
		" node = ?1 AND target = ?2 AND portal = ?3 AND kind = ?4 AND ordinal = ?5"
		" RETURNING qualifier");

	if (r)
		return r;
	bind_isid_key(st, key);
	r = sql_step(st);
	if (r < 1)
		return r ? r : -ENOENT;
	*ret_qualifier = sqlite3_column_int64(st, 0);
	return sql_step(st) < 0 ? -EIO : 0;
}

static int isid_new(struct store *s, const struct isid_key *key, int64_t *ret_qualifier)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int64_t q = 0;
	int r = sql_number(s, "SELECT coalesce(max(qualifier), 0) + 1 FROM isid", &q);

	if (r)
		return r;
	if (q > UINT16_MAX) {
		/* all were given out: the one that was not used for longest starts anew */
		r = sql_number(s, "SELECT qualifier FROM isid ORDER BY used LIMIT 1", &q);
		if (r)
			return r;
	}
	r = sql_prepare(
		s, &st,
		"INSERT OR REPLACE INTO isid (node, target, portal, kind, ordinal, qualifier, used)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, (SELECT coalesce(max(used), 0) + 1 FROM isid))");
	if (r)
		return r;
	bind_isid_key(st, key);
	sqlite3_bind_int64(st, 6, q);
	r = sql_step(st);
	if (r == 0)
		*ret_qualifier = q;
	return r;
}

int store_isid(struct store *s, const struct isid_key *key, uint8_t ret[6])
{
	int64_t q = 0, random24 = 0;
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_number(s, "SELECT value FROM meta WHERE name = 'isid_random'", &random24);
	if (r == 0)
		r = isid_touch(s, key, &q);
	if (r == -ENOENT)
		r = isid_new(s, key, &q);
	r = store_end(s, r);
	if (r == 0)
		isid_make(ret, (uint32_t)random24, (uint16_t)q);
	return r;
}

int store_take_ids(struct store *s, uint32_t n, uint32_t *ret_first)
{
	char sql[96];
	int64_t first = 0;
	int r = store_begin(s);

	if (r)
		return r;
	r = sql_number(s, "SELECT value FROM meta WHERE name = 'next_id'", &first);
	/* 32 bits last for four thousand million logins; then they begin again */
	if (first < 1 || first + n > UINT32_MAX)
		first = 1;
	snprintf(sql, sizeof(sql), "UPDATE meta SET value = %" PRId64 " WHERE name = 'next_id'",
		 first + n);
	if (r == 0)
		r = sql_exec(s, sql);
	r = store_end(s, r);
	if (r == 0)
		*ret_first = (uint32_t)first;
	return r;
}
