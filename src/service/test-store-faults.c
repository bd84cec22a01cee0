/* SPDX-License-Identifier: MIT */
/*
 * Every kind of change of the store, ended at every write
 *
 * Each change runs in a child on a store that has something of everything, and the
 * child ends at the first, the second, … step that it does on the disk: killed, killed
 * within a write, without power. Whoever opens the file next must find all of the change
 * or nothing of it. On a full or a broken disk the change must be refused, with
 * nothing lost, and work once the disk does.
 *
 * A new kind of change belongs into the table below.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "service/bound.h"
#include "service/store_private.h"
#include "service/test-vfs.h"

/* A fork with a sanitizer takes long: some of the steps will do then. */
#ifdef __SANITIZE_ADDRESS__
#define STRIDE 9
#else
#define STRIDE 1
#endif

#define STEPS_MAX   400 /* more than any change needs */
#define STATUS_DONE 10  /* the change was over before the Nth step */
#define STATUS_BAD  11

static char dir[64], path[96];
static const char secret[] = "unmistakable-secret";

struct bytes {
	char *p;
	size_t n;
};

static struct bytes base; /* the store that every change begins with */

/* ---- samples ---------------------------------------------------------------------- */

static struct blob blob(const char *text)
{
	struct blob b = {.n = (uint16_t)strlen(text)};

	memcpy(b.bytes, text, b.n);
	return b;
}

static struct send_target_portal portal(const char *address)
{
	struct send_target_portal p = {
		.port = ANY_PORT,
		.portal = {.symbolic = "label", .socket = 3260},
		.options = {.specified = OPT_ALL,
			    .username = blob("user"),
			    .password = blob(secret)},
	};

	snprintf(p.portal.address, sizeof(p.portal.address), "%s", address);
	return p;
}

static struct kept_login *login(const char *target, bool multipath)
{
	static struct kept_login l; /* large: not on the stack */

	l = (struct kept_login){
		.port = ANY_PORT,
		.has_options = true,
		.options = {.specified = OPT_PASSWORD, .password = blob(secret)},
		.key = blob("key"),
		.has_mapping = true,
		.mapping = {.bus = 1, .n_luns = 300},
	};
	for (uint32_t i = 0; i < l.mapping.n_luns; i++)
		l.mapping.luns[i].os_lun = i;
	snprintf(l.target, sizeof(l.target), "%s", target);
	if (multipath)
		l.options.flags = LOGIN_MULTIPATH;
	return &l;
}

static struct ike_info ike(const char *name)
{
	return (struct ike_info){.port = ANY_PORT,
				 .id_type = IKE_ID_NAME,
				 .id = blob(name),
				 .security_flags = 3,
				 .key = blob(secret)};
}

static struct tunnel_address tunnel(const char *destination)
{
	struct tunnel_address t = {.port = ANY_PORT, .outer = "192.0.2.1"};

	snprintf(t.destination, sizeof(t.destination), "%s", destination);
	return t;
}

static int isid(struct store *s, const char *target)
{
	struct isid_key k = {"iqn.2026-01.n:1", target, "192.0.2.1:3260", "data", 0};
	uint8_t got[6];

	return store_isid(s, &k, got);
}

static struct static_target target(const char *name, struct static_portal *portals, size_t n)
{
	struct static_target t = {
		.alias = "alias",
		.persist = true,
		.has_options = true,
		.options = {.specified = OPT_PASSWORD, .password = blob(secret)},
		.portals = portals,
		.n_portals = n,
	};

	snprintf(t.name, sizeof(t.name), "%s", name);
	for (size_t i = 0; i < n; i++)
		portals[i] = (struct static_portal){.portal = {.address = "a", .socket = 3260}};
	return t;
}

static struct bound bound(const char *name)
{
	char *text = (char *)(uintptr_t)name;
	static struct bound_unit unit = {.target = "iqn.2026-01.t:here"};

	return (struct bound){
		.path = text, .key = text, .node = text + 1, .units = &unit, .n_units = 1};
}

/* ---- the kinds of change ------------------------------------------------------------- */

static int node_name_set(struct store *s)
{
	return store_set_node_name(s, "iqn.2026-01.other:name");
}

static int node_name_removed(struct store *s)
{
	return store_set_node_name(s, NULL);
}

static int default_name_made(struct store *s)
{
	char name[ISCSI_NAME_MAX + 1];

	return store_default_node_name(s, "iqn.2026-01.made:up", name);
}

static int portal_added(struct store *s)
{
	struct send_target_portal p = portal("new.example");

	return store_put_portal(s, &p);
}

static int portal_replaced(struct store *s)
{
	struct send_target_portal p = portal("here.example");

	p.options.password = blob("another one");
	return store_put_portal(s, &p);
}

static int portal_removed(struct store *s)
{
	struct send_target_portal p = portal("here.example");

	return store_delete_portal(s, "", ANY_PORT, &p.portal);
}

static int login_added(struct store *s)
{
	return store_put_login(s, login("iqn.2026-01.t:new", false));
}

static int login_added_beside(struct store *s)
{
	return store_put_login(s, login("iqn.2026-01.t:here", true));
}

static int login_replaced(struct store *s)
{
	struct kept_login *l = login("iqn.2026-01.t:here", false);

	l->options.password = blob("another one");
	l->has_mapping = false;
	return store_put_login(s, l);
}

static int isid_made(struct store *s)
{
	return isid(s, "iqn.2026-01.t:new");
}

static int isid_used(struct store *s)
{
	return isid(s, "iqn.2026-01.t:here");
}

static int ids_taken(struct store *s)
{
	uint32_t first;

	return store_take_ids(s, 100, &first);
}

static int secret_set(struct store *s)
{
	struct blob b = blob("another one!");

	return store_set_secret(s, NODE_CHAP, &b);
}

static int secret_removed(struct store *s)
{
	struct blob none = {0};

	return store_set_secret(s, NODE_CHAP, &none);
}

static int server_added(struct store *s)
{
	return store_add_server(s, SERVER_ISNS, "new.example");
}

static int server_removed(struct store *s)
{
	return store_remove_server(s, SERVER_RADIUS, "here.example");
}

static int ike_added(struct store *s)
{
	struct ike_info i = ike("new.example");

	return store_put_ike(s, &i);
}

static int ike_replaced(struct store *s)
{
	struct ike_info i = ike("here.example");

	i.key = blob("another one");
	i.security_flags = 0x43;
	return store_put_ike(s, &i);
}

static int ike_removed(struct store *s)
{
	struct ike_info i = ike("here.example");

	return store_delete_ike(s, &i);
}

static int tunnel_added(struct store *s)
{
	struct tunnel_address t = tunnel("new.example");

	return store_put_tunnel(s, &t);
}

static int tunnels_removed(struct store *s)
{
	return store_delete_tunnels(s, ANY_PORT, "");
}

static int target_added(struct store *s)
{
	struct static_portal portals[3];
	struct static_target t = target("iqn.2026-01.t:new", portals, 3);

	return store_put_target(s, &t);
}

static int target_replaced(struct store *s)
{
	struct static_portal portals[1];
	struct static_target t = target("iqn.2026-01.t:here", portals, 1);

	t.options.password = blob("another one");
	return store_put_target(s, &t);
}

static int target_removed(struct store *s)
{
	return store_delete_target(s, "iqn.2026-01.t:here");
}

static int logins_removed(struct store *s)
{
	struct login_match all = {.target = "iqn.2026-01.t:here", .port = ANY_PORT};
	CLEANUP(freep) int64_t *rows = NULL;
	size_t n;

	return store_delete_logins(s, &all, &rows, &n);
}

static int bound_added(struct store *s)
{
	struct bound b = bound("/new");

	return store_add_bound(s, &b);
}

static int bound_set(struct store *s)
{
	struct bound v[3] = {bound("/one"), bound("/two"), bound("/here")};

	return store_set_bound(s, v, 3);
}

static int bound_removed(struct store *s)
{
	return store_delete_bound(s, "/here", NULL);
}

static int bound_cleared(struct store *s)
{
	return store_set_bound(s, NULL, 0);
}

static const struct change {
	const char *name;
	int (*run)(struct store *s);
} changes[] = {
	{"node name set", node_name_set},
	{"node name removed", node_name_removed},
	{"default name made", default_name_made},
	{"portal added", portal_added},
	{"portal replaced", portal_replaced},
	{"portal removed", portal_removed},
	{"login added", login_added},
	{"login added beside", login_added_beside},
	{"login replaced", login_replaced},
	{"ISID made", isid_made},
	{"ISID used", isid_used},
	{"ids taken", ids_taken},
	{"secret set", secret_set},
	{"secret removed", secret_removed},
	{"server added", server_added},
	{"server removed", server_removed},
	{"IKE identity added", ike_added},
	{"IKE identity replaced", ike_replaced},
	{"IKE identity removed", ike_removed},
	{"tunnel added", tunnel_added},
	{"tunnels removed", tunnels_removed},
	{"logins removed", logins_removed},
	{"bound device added", bound_added},
	{"bound devices set", bound_set},
	{"bound device removed", bound_removed},
	{"bound devices cleared", bound_cleared},
	{"target added", target_added},
	{"target replaced", target_replaced},
	{"target removed", target_removed},
};

/* ---- files ----------------------------------------------------------------------------- */

static struct bytes slurp(void)
{
	struct bytes b = {0};
	FILE *f = fopen(path, "r");
	struct stat st;

	if (!f || fstat(fileno(f), &st) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	b.n = (size_t)st.st_size;
	b.p = malloc(b.n + 1);
	assert_int_equal(fread(b.p, 1, b.n, f), b.n);
	b.p[b.n] = '\0';
	fclose(f);
	return b;
}

static void clean(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char name[400];

	while ((e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", dir, e->d_name);
		if (e->d_name[0] != '.')
			unlink(name);
	}
	closedir(d);
}

static void put(const struct bytes *b)
{
	FILE *f;

	clean();
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	assert_int_equal(fwrite(b->p, 1, b->n, f), b->n);
	fclose(f);
}

/* The store as it was made once. */
static void base_restore(void)
{
	put(&base);
}

/* Nobody else can read what is there: the store, and what SQLite has beside it. */
static void nobody_else_reads(const char *what)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while ((e = readdir(d))) {
		char name[400];
		struct stat st;

		snprintf(name, sizeof(name), "%s/%s", dir, e->d_name);
		if (stat(name, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0777) != 0600)
			fail_msg("%s: %s has mode %o", what, e->d_name, st.st_mode & 0777);
	}
	closedir(d);
}

static void store_is_alone(const char *what)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while ((e = readdir(d))) {
		if (e->d_name[0] != '.' && strcmp(e->d_name, "state.db") != 0)
			fail_msg("%s: %s was left", what, e->d_name);
	}
	closedir(d);
}

/* ---- all that a store holds, as text --------------------------------------------------- */

static void dump_rows(FILE *to, sqlite3 *db, const char *sql, bool tables)
{
	sqlite3_stmt *st;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	while (sqlite3_step(st) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(st); i++) {
			const uint8_t *p = sqlite3_column_blob(st, i);

			for (int k = 0; k < sqlite3_column_bytes(st, i); k++)
				fprintf(to, p[k] >= ' ' && p[k] < 0x7f ? "%c" : "\\%02x", p[k]);
			fputc('|', to);
		}
		fputc('\n', to);
		if (tables) {
			char rows[200];

			snprintf(rows, sizeof(rows), "SELECT * FROM \"%s\" ORDER BY 1, 2",
				 (const char *)sqlite3_column_text(st, 0));
			dump_rows(to, db, rows, false);
		}
	}
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
}

static char *dump_some(bool rows)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	sqlite3 *db;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	dump_rows(to, db, "PRAGMA application_id", false);
	dump_rows(to, db, "PRAGMA user_version", false);
	dump_rows(to, db, "SELECT type, name, sql FROM sqlite_schema ORDER BY name", false);
	if (rows)
		dump_rows(to, db,
			  "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
			  true);
	sqlite3_close(db);
	fclose(to);
	return text;
}

static char *dump(void)
{
	return dump_some(true);
}

static char *dump_schema(void)
{
	return dump_some(false);
}

/* ---- children ---------------------------------------------------------------------------- */

static struct store *opened(void)
{
	struct store *s = NULL;
	char why[400] = "";

	if (store_open(&s, path, why, sizeof(why)))
		fail_msg("%s", why);
	return s;
}

/* In the child: the change, or the opening when there is none. */
static void child_run(const struct change *c, enum vfs_fault fault, unsigned n)
{
	struct store *s = NULL;
	char why[400];
	int r;

	if (c && store_open(&s, path, why, sizeof(why)))
		_exit(STATUS_BAD);
	vfs_arm(fault, n);
	r = c ? c->run(s) : store_open(&s, path, why, sizeof(why));
	if (vfs_steps() < n) {
		if (r == 0 && (fault == VFS_POWER || fault == VFS_POWER_ANY))
			vfs_lose_power(STATUS_DONE); /* it was answered: it must be on the disk */
		_exit(r ? STATUS_BAD : STATUS_DONE);
	}
	/* we are still here: the disk is what fails */
	vfs_disarm();
	if (r == 0)
		_exit(0);
	if (fault == VFS_FULL && r != -ENOSPC)
		_exit(STATUS_BAD);
	r = c ? c->run(s) : store_open(&s, path, why, sizeof(why));
	_exit(r ? STATUS_BAD : 0);
}

static int child(const struct change *c, enum vfs_fault fault, unsigned n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		child_run(c, fault, n);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *const fault_names[VFS_N_FAULTS] = {
	[VFS_KILL] = "killed",         [VFS_TORN] = "killed within a write",
	[VFS_POWER] = "without power", [VFS_POWER_ANY] = "without power, some of it written",
	[VFS_FULL] = "disk full",      [VFS_BROKEN] = "disk broken",
};

/*
 * One fault at every step. Afterwards all is as it was @before or @after. @before NULL:
 * opening finishes what was begun.
 */
static void at_every_step(const struct change *c, enum vfs_fault fault, const char *before,
			  const char *after, char *(*dump_it)(void), void (*restore)(void))
{
	unsigned n = 0;
	int status;

	do {
		CLEANUP(freep) char *now = NULL;
		char what[160];

		snprintf(what, sizeof(what), "%s, %s at step %u", c ? c->name : "opening",
			 fault_names[fault], n += STRIDE);
		restore();
		status = child(c, fault, n);
		if (status != VFS_KILLED_STATUS && status != STATUS_DONE && status != 0)
			fail_msg("%s: the child ended with %d", what, status);
		nobody_else_reads(what);
		store_close(opened());
		store_is_alone(what);
		nobody_else_reads(what);
		now = dump_it();
		if (strcmp(now, after) != 0 &&
		    !(before && status == VFS_KILLED_STATUS && strcmp(now, before) == 0))
			fail_msg("%s: neither before nor after:\n%s\nafter:\n%s", what, now, after);
		if (n > STEPS_MAX)
			fail_msg("%s: has no end", what);
	} while (status != STATUS_DONE);
	assert_true(n > 2); /* else nothing was counted */
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void every_change(enum vfs_fault fault)
{
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		const struct change *c = &changes[i];
		CLEANUP(freep) char *before = NULL, *after = NULL;
		struct store *s;

		base_restore();
		before = dump();
		s = opened();
		assert_int_equal(c->run(s), 0);
		store_close(s);
		after = dump();
		assert_string_not_equal(before, after);
		at_every_step(c, fault, before, after, dump, base_restore);
	}
}

/* The first start: there is no file yet. */
static void first_opening(enum vfs_fault fault)
{
	CLEANUP(freep) char *after = NULL;

	clean();
	store_close(opened());
	after = dump_schema();
	at_every_step(NULL, fault, NULL, after, dump_schema, clean);
}

static struct bytes old;

static void old_restore(void)
{
	put(&old);
}

/* A file of the first version, with something in it. */
static void migration(enum vfs_fault fault)
{
	CLEANUP(freep) char *after = NULL;
	sqlite3 *db;
	char sql[200];

	clean();
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	snprintf(sql, sizeof(sql),
		 "PRAGMA application_id = %d; PRAGMA user_version = 1;"
		 "INSERT INTO meta VALUES ('node_name', 'iqn.2026-01.n:old'), ('isid_random', 7),"
		 " ('next_id', 5)",
		 0x69534364);
	assert_int_equal(sqlite3_exec(db, store_schemas[0], NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	old = slurp();
	old_restore();
	store_close(opened());
	after = dump();
	assert_non_null(strstr(after, "iqn.2026-01.n:old"));
	at_every_step(NULL, fault, NULL, after, dump, old_restore);
	free(old.p);
}

static void all_of_it(enum vfs_fault fault)
{
	every_change(fault);
	first_opening(fault);
	migration(fault);
}

static void killed(void **state)
{
	all_of_it(VFS_KILL);
}

static void killed_within_a_write(void **state)
{
	all_of_it(VFS_TORN);
}

static void without_power(void **state)
{
	all_of_it(VFS_POWER);
}

static void without_power_some_written(void **state)
{
	all_of_it(VFS_POWER_ANY);
}

static void disk_full(void **state)
{
	all_of_it(VFS_FULL);
}

static void disk_broken(void **state)
{
	all_of_it(VFS_BROKEN);
}

/* What was removed or replaced is in no file any more, whenever it was interrupted later. */
static void secrets_that_are_gone(void **state)
{
	struct bytes now;
	struct store *s;

	base_restore();
	assert_non_null(memmem(base.p, base.n, secret, sizeof(secret) - 1));
	s = opened();
	assert_int_equal(portal_removed(s), 0);
	assert_int_equal(login_replaced(s), 0);
	assert_int_equal(ike_removed(s), 0);
	assert_int_equal(target_removed(s), 0);
	assert_int_equal(secret_removed(s), 0);
	store_close(s);
	store_is_alone("removed");
	now = slurp();
	assert_null(memmem(now.p, now.n, secret, sizeof(secret) - 1));
	free(now.p);
}

/* ---- something of everything ----------------------------------------------------------- */

static int make(void **state)
{
	struct send_target_portal p = portal("here.example");
	struct tunnel_address t = tunnel("here.example");
	struct ike_info i = ike("here.example");
	struct static_portal portals[2];
	struct static_target tgt = target("iqn.2026-01.t:here", portals, 2);
	struct bound b_here = bound("/here");
	struct blob b = blob(secret);
	struct store *s;

	(void)state;
	vfs_install();
	/* in memory: what a disk does is made up here */
	strcpy(dir, "/dev/shm/test-faults-XXXXXX");
	if (!mkdtemp(dir)) {
		strcpy(dir, "/tmp/test-faults-XXXXXX");
		if (!mkdtemp(dir))
			return -1;
	}
	snprintf(path, sizeof(path), "%s/state.db", dir);
	s = opened();
	if (store_set_node_name(s, "iqn.2026-01.n:1") || store_put_portal(s, &p) ||
	    store_put_login(s, login("iqn.2026-01.t:here", false)) ||
	    isid(s, "iqn.2026-01.t:here") || store_set_secret(s, NODE_CHAP, &b) ||
	    store_add_server(s, SERVER_RADIUS, "here.example") || store_put_ike(s, &i) ||
	    store_put_tunnel(s, &t) || store_put_target(s, &tgt) || store_add_bound(s, &b_here))
		return -1;
	store_close(s);
	base = slurp();
	return 0;
}

static int drop(void **state)
{
	(void)state;
	free(base.p);
	clean();
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed),
		cmocka_unit_test(killed_within_a_write),
		cmocka_unit_test(without_power),
		cmocka_unit_test(without_power_some_written),
		cmocka_unit_test(disk_full),
		cmocka_unit_test(disk_broken),
		cmocka_unit_test(secrets_that_are_gone),
	};

	return cmocka_run_group_tests(tests, make, drop);
}
