/* SPDX-License-Identifier: MIT */
/*
 * Mappings of logins and static targets, in a table of their own: (owner, id). The list of
 * units is one value of LUN_BYTES for each: the number of the system, then the LUN.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "service/store_private.h"

#define LUN_BYTES 12

const char store_mapping_schema[] =
	"CREATE TABLE mapping ("
	" owner TEXT NOT NULL, owner_id INTEGER NOT NULL,"
	" initiator TEXT NOT NULL, target TEXT NOT NULL, device TEXT NOT NULL,"
	" adapter INTEGER NOT NULL, specific INTEGER NOT NULL,"
	" bus INTEGER NOT NULL, os_target INTEGER NOT NULL, luns BLOB NOT NULL,"
	" PRIMARY KEY (owner, owner_id)) WITHOUT ROWID;"
	"CREATE TRIGGER login_mapping_gone AFTER DELETE ON login BEGIN"
	" DELETE FROM mapping WHERE owner = 'login' AND owner_id = OLD.id; END;";

static void bind_luns(sqlite3_stmt *st, int at, const struct target_mapping *m, uint8_t *bytes)
{
	for (uint32_t i = 0; i < m->n_luns; i++) {
		put_be32(bytes + (size_t)i * LUN_BYTES, m->luns[i].os_lun);
		put_be64(bytes + (size_t)i * LUN_BYTES + 4, m->luns[i].target_lun);
	}
	sqlite3_bind_blob(st, at, bytes, (int)(m->n_luns * LUN_BYTES), SQLITE_STATIC);
}

static int take_luns(sqlite3_stmt *st, int at, struct target_mapping *m)
{
	const uint8_t *bytes = sqlite3_column_blob(st, at);
	size_t n = (size_t)sqlite3_column_bytes(st, at);

	if (n % LUN_BYTES || n / LUN_BYTES > LUNS_MAX)
		return -EBADMSG;
	m->n_luns = (uint32_t)(n / LUN_BYTES);
	for (uint32_t i = 0; i < m->n_luns; i++) {
		m->luns[i].os_lun = get_be32(bytes + (size_t)i * LUN_BYTES);
		m->luns[i].target_lun = get_be64(bytes + (size_t)i * LUN_BYTES + 4);
	}
	return 0;
}

int store_mapping_put(struct store *s, const char *owner, int64_t id,
		      const struct target_mapping *m)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	CLEANUP(freep) uint8_t *bytes = malloc((size_t)LUNS_MAX * LUN_BYTES);
	int r = bytes ? 0 : -ENOMEM;

	if (r == 0)
		r = sql_prepare(
			s, &st,
			"INSERT OR REPLACE INTO mapping VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	if (r)
		return r;
	sql_bind_text(st, 1, owner);
	sqlite3_bind_int64(st, 2, id);
	sql_bind_text(st, 3, m->initiator);
	sql_bind_text(st, 4, m->target);
	sql_bind_text(st, 5, m->device);
	sqlite3_bind_int64(st, 6, (int64_t)m->session.adapter);
	sqlite3_bind_int64(st, 7, (int64_t)m->session.specific);
	sqlite3_bind_int64(st, 8, m->bus);
	sqlite3_bind_int64(st, 9, m->os_target);
	bind_luns(st, 10, m, bytes);
	r = sql_step(st);
	sqlite3_clear_bindings(st);
	return r;
}

int store_mapping_get(struct store *s, const char *owner, int64_t id, struct target_mapping *ret,
		      bool *ret_there)
{
	CLEANUP(sql_finalizep) sqlite3_stmt *st = NULL;
	int r = sql_prepare(s, &st,
			    "SELECT initiator, target, device, adapter, specific, bus, os_target,"
			    " luns FROM mapping WHERE owner = ? AND owner_id = ?");

	if (r)
		return r;
	sql_bind_text(st, 1, owner);
	sqlite3_bind_int64(st, 2, id);
	r = sql_step(st);
	if (r < 0)
		return r;
	*ret_there = r == 1;
	if (r == 0)
		return 0;
	sql_take_text(st, 0, ret->initiator, sizeof(ret->initiator));
	sql_take_text(st, 1, ret->target, sizeof(ret->target));
	sql_take_text(st, 2, ret->device, sizeof(ret->device));
	ret->session.adapter = (uint64_t)sqlite3_column_int64(st, 3);
	ret->session.specific = (uint64_t)sqlite3_column_int64(st, 4);
	ret->bus = sql_take_u32(st, 5);
	ret->os_target = sql_take_u32(st, 6);
	return take_luns(st, 7, ret);
}
