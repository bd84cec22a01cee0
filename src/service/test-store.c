/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/cleanup.h"
#include "service/bound.h"
#include "service/static_target.h"
#include "service/store.h"

static char dir[64], path[96], why[600];

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test-store-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/state.db", dir);
	why[0] = '\0';
	return 0;
}

static int drop_dir(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static struct store *opened(void)
{
	struct store *s = NULL;
	int r = store_open(&s, path, why, sizeof(why));

	if (r)
		fail_msg("store_open: %d: %s", r, why);
	return s;
}

static struct send_target_portal sample_portal(const char *address, uint16_t port)
{
	struct send_target_portal p = {
		.port = ANY_PORT,
		.portal = {.symbolic = "a label", .socket = port},
		.security_flags = 0x22,
		.options = {.specified = OPT_ALL,
			    .flags = 0x38,
			    .auth_type = 2,
			    .header_digest = 1,
			    .data_digest = 1,
			    .max_connections = 8,
			    .time2wait = 3,
			    .time2retain = 40,
			    .username = {3, {0, 1, 0xff}},
			    .password = {5, {'p', 0, 'w', 0xfe, '!'}}},
	};

	snprintf(p.portal.address, sizeof(p.portal.address), "%s", address);
	return p;
}

static void same_options(const struct login_options *a, const struct login_options *b)
{
	assert_int_equal(a->specified, b->specified);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->auth_type, b->auth_type);
	assert_int_equal(a->header_digest, b->header_digest);
	assert_int_equal(a->data_digest, b->data_digest);
	assert_int_equal(a->max_connections, b->max_connections);
	assert_int_equal(a->time2wait, b->time2wait);
	assert_int_equal(a->time2retain, b->time2retain);
	assert_int_equal(a->username.n, b->username.n);
	assert_memory_equal(a->username.bytes, b->username.bytes, a->username.n);
	assert_int_equal(a->password.n, b->password.n);
	assert_memory_equal(a->password.bytes, b->password.bytes, a->password.n);
}

static void portal_survives_reopen(void **state)
{
	struct send_target_portal p = sample_portal("192.0.2.1", 3260), *v = NULL;
	struct store *s = opened();
	size_t n = 0;

	(void)state;
	assert_int_equal(store_put_portal(s, &p), 0);
	store_close(s);
	s = opened();
	assert_int_equal(store_load_portals(s, &v, &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(v[0].portal.address, "192.0.2.1");
	assert_string_equal(v[0].portal.symbolic, "a label");
	assert_int_equal(v[0].port, ANY_PORT);
	assert_int_equal(v[0].security_flags, 0x22);
	same_options(&v[0].options, &p.options);
	free(v);
	store_close(s);
}

static void portal_again_replaces_in_place(void **state)
{
	struct send_target_portal a = sample_portal("one.example", 3260);
	struct send_target_portal b = sample_portal("two.example", 3260), *v = NULL;
	struct store *s = opened();
	size_t n = 0;

	(void)state;
	assert_int_equal(store_put_portal(s, &a), 0);
	assert_int_equal(store_put_portal(s, &b), 0);
	strcpy(a.portal.address, "ONE.example");
	a.options = (struct login_options){.flags = 2};
	assert_int_equal(store_put_portal(s, &a), 0);
	assert_int_equal(store_load_portals(s, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(v[0].options.flags, 2);
	assert_int_equal(v[0].options.password.n, 0); /* the old secret is gone with it */
	assert_int_equal(v[1].options.password.n, 5);
	free(v);
	store_close(s);
}

static void portal_delete(void **state)
{
	struct send_target_portal p = sample_portal("192.0.2.1", 3260), *v = NULL;
	struct portal other = p.portal;
	struct store *s = opened();
	size_t n = 9;

	(void)state;
	other.socket = 3261;
	assert_int_equal(store_put_portal(s, &p), 0);
	assert_int_equal(store_delete_portal(s, "", ANY_PORT, &other), -ENOENT);
	assert_int_equal(store_delete_portal(s, "", 1, &p.portal), -ENOENT);
	assert_int_equal(store_delete_portal(s, "", ANY_PORT, &p.portal), 0);
	assert_int_equal(store_delete_portal(s, "", ANY_PORT, &p.portal), -ENOENT);
	assert_int_equal(store_load_portals(s, &v, &n), 0);
	assert_int_equal(n, 0);
	free(v);
	store_close(s);
}

static void no_trace_of_a_deleted_secret(void **state)
{
	struct send_target_portal p = sample_portal("192.0.2.1", 3260);
	static const char secret[] = "unmistakable-secret";
	struct store *s = opened();
	char buf[65536];
	size_t n;
	FILE *f;

	(void)state;
	p.options.password.n = sizeof(secret) - 1;
	memcpy(p.options.password.bytes, secret, sizeof(secret) - 1);
	assert_int_equal(store_put_portal(s, &p), 0);
	assert_int_equal(store_delete_portal(s, "", ANY_PORT, &p.portal), 0);
	store_close(s);
	f = fopen(path, "r");
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	assert_true(n > 1000);
	assert_null(memmem(buf, n, secret, sizeof(secret) - 1));
}

struct logins {
	struct kept_login *v;
	size_t n;
};

static int login_copy(void *arg, const struct kept_login *l)
{
	struct logins *all = arg;

	all->v = realloc(all->v, (all->n + 1) * sizeof(*l));
	assert_non_null(all->v);
	all->v[all->n++] = *l;
	return 0;
}

static int load_logins(struct store *s, struct kept_login **ret, size_t *ret_n)
{
	struct logins all = {0};
	int r = store_each_login(s, login_copy, &all);

	*ret = all.v;
	*ret_n = all.n;
	return r;
}

static void login_again_replaces_unless_multipath(void **state)
{
	struct kept_login l = {.target = "iqn.2026-01.a:x", .port = ANY_PORT}, *v = NULL;
	struct store *s = opened();
	size_t n = 0;

	(void)state;
	l.key = (struct blob){2, {1, 2}};
	assert_int_equal(store_put_login(s, &l), 0);
	strcpy(l.target, "iqn.2026-01.A:X");
	l.informational = true;
	assert_int_equal(store_put_login(s, &l), 0);
	assert_int_equal(load_logins(s, &v, &n), 0);
	assert_int_equal(n, 1);
	assert_true(v[0].informational);
	assert_false(v[0].has_portal);
	assert_int_equal(v[0].key.n, 2);
	free(v);

	l.has_options = true;
	l.options.flags = LOGIN_MULTIPATH;
	assert_int_equal(store_put_login(s, &l), 0);
	assert_int_equal(store_put_login(s, &l), 0);
	assert_int_equal(load_logins(s, &v, &n), 0);
	assert_int_equal(n, 3);
	assert_true(v[2].has_options);
	free(v);
	store_close(s);
}

static void login_keeps_its_mapping(void **state)
{
	/* static: what lies between the members is 0, too */
	static struct kept_login l = {
		.target = "iqn.2026-01.a:x",
		.port = ANY_PORT,
		.has_mapping = true,
		.mapping = {.initiator = "an HBA",
			    .target = "IQN.2026-01.a:X",
			    .device = "\\\\.\\Scsi7:",
			    .session = {UINT64_MAX, 5},
			    .bus = ANY_NUMBER,
			    .os_target = 3,
			    .n_luns = 2,
			    .luns = {{UINT64_C(0x0001000000000000), UINT32_MAX},
				     {UINT64_C(0xffffffffffffffff), 0}}},
	};
	struct kept_login *v = NULL, plain = {.target = "iqn.2026-01.a:y", .port = ANY_PORT};
	struct store *s = opened();
	size_t n = 0;

	(void)state;
	assert_int_equal(store_put_login(s, &l), 0);
	assert_int_equal(store_put_login(s, &plain), 0);
	store_close(s);
	s = opened();
	assert_int_equal(load_logins(s, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_true(v[0].has_mapping);
	assert_memory_equal(&v[0].mapping, &l.mapping, sizeof(l.mapping));
	assert_false(v[1].has_mapping);
	free(v);
	/* the one that replaces it has none */
	l.has_mapping = false;
	assert_int_equal(store_put_login(s, &l), 0);
	assert_int_equal(load_logins(s, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_false(v[0].has_mapping || v[1].has_mapping);
	free(v);
	store_close(s);
}

/* ---- static targets ---- */

static struct static_target *sample_target(const char *name)
{
	static const struct portal v[] = {{"a label", "192.0.2.1", 3260},
					  {"", "target.example", 65535}};
	struct static_target *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	snprintf(t->name, sizeof(t->name), "%s", name);
	strcpy(t->alias, "an alias");
	t->flags = TARGET_HIDE | TARGET_MERGE;
	t->has_options = true;
	t->options = sample_portal("x", 1).options;
	t->mapping = calloc(1, sizeof(*t->mapping));
	assert_non_null(t->mapping);
	t->mapping->os_target = 7;
	t->mapping->n_luns = 1;
	t->mapping->luns[0] = (struct lun_mapping){UINT64_C(1) << 48, 9};
	assert_int_equal(static_target_add_group(t, &v[0], 1), 0);
	assert_int_equal(static_target_add_group(t, &v[1], 1), 0);
	return t;
}

struct loaded {
	struct static_target *v[4];
	size_t n;
};

static int load_target(void *arg, struct static_target *t)
{
	struct loaded *l = arg;

	assert_true(l->n < 4);
	l->v[l->n++] = t;
	return 0;
}

static void drop_loaded(struct loaded *l)
{
	while (l->n > 0)
		static_target_free(l->v[--l->n]);
}

static void target_survives_reopen(void **state)
{
	CLEANUP(static_target_freep) struct static_target *t = sample_target("iqn.2026-01.a:x");
	struct store *s = opened();
	struct loaded l = {0};

	(void)state;
	assert_int_equal(store_put_target(s, t), 0);
	store_close(s);
	s = opened();
	assert_int_equal(store_load_targets(s, load_target, &l), 0);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.v[0]->name, t->name);
	assert_string_equal(l.v[0]->alias, t->alias);
	assert_int_equal(l.v[0]->flags, t->flags);
	assert_true(l.v[0]->persist && l.v[0]->has_options);
	same_options(&l.v[0]->options, &t->options);
	assert_int_equal(l.v[0]->mapping->os_target, 7);
	assert_true(l.v[0]->mapping->luns[0].target_lun == UINT64_C(1) << 48);
	assert_int_equal(l.v[0]->n_portals, 2);
	assert_memory_equal(&l.v[0]->portals[0].portal.symbolic, "a label", 8);
	assert_string_equal(l.v[0]->portals[1].portal.address, "target.example");
	assert_int_equal(l.v[0]->portals[1].portal.socket, 65535);
	assert_int_equal(l.v[0]->portals[1].tag, 2);
	drop_loaded(&l);
	store_close(s);
}

static void target_again_replaces_in_place(void **state)
{
	CLEANUP(static_target_freep) struct static_target *a = sample_target("iqn.2026-01.a:a");
	CLEANUP(static_target_freep) struct static_target *b = sample_target("iqn.2026-01.a:b");
	struct static_target plain = {.name = "IQN.2026-01.a:A", .persist = true};
	struct store *s = opened();
	struct loaded l = {0};

	(void)state;
	assert_int_equal(store_put_target(s, a), 0);
	assert_int_equal(store_put_target(s, b), 0);
	assert_int_equal(store_put_target(s, &plain), 0);
	assert_int_equal(store_load_targets(s, load_target, &l), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.v[0]->name, "IQN.2026-01.a:A");
	assert_false(l.v[0]->has_options);
	assert_int_equal(l.v[0]->options.password.n, 0);
	assert_int_equal(l.v[0]->n_portals, 0);
	assert_null(l.v[0]->mapping);
	assert_int_equal(l.v[1]->options.password.n, 5);
	drop_loaded(&l);
	assert_int_equal(store_delete_target(s, "iqn.2026-01.A:b"), 0);
	assert_int_equal(store_delete_target(s, "iqn.2026-01.A:b"), -ENOENT);
	assert_int_equal(store_load_targets(s, load_target, &l), 0);
	assert_int_equal(l.n, 1);
	drop_loaded(&l);
	store_close(s);
}

/* ---- identifiers ---- */

static void login_keeps_its_place_and_row(void **state)
{
	struct kept_login l = {.target = "iqn.2026-01.a:x", .port = ANY_PORT}, *v = NULL, one;
	struct store *s = opened();
	int64_t row;
	size_t n = 0;

	(void)state;
	assert_int_equal(store_put_login(s, &l), 0);
	strcpy(l.target, "iqn.2026-01.a:y");
	assert_int_equal(store_put_login(s, &l), 0);
	assert_int_equal(load_logins(s, &v, &n), 0);
	row = v[0].row;
	free(v);
	/* with another secret, as somebody does whose login was refused */
	strcpy(l.target, "iqn.2026-01.a:x");
	l.options.password = (struct blob){3, {1, 2, 3}};
	assert_int_equal(store_put_login(s, &l), 0);
	assert_int_equal(load_logins(s, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(v[0].row, row);
	assert_string_equal(v[0].target, "iqn.2026-01.a:x");
	free(v);
	assert_int_equal(store_load_login(s, row, &one), 0);
	assert_int_equal(one.options.password.n, 3);
	assert_int_equal(store_load_login(s, row + 100, &one), -ENOENT);
	store_close(s);
}

static void put_at(struct store *s, const char *instance, uint32_t port, const char *address)
{
	struct kept_login l = {.target = "iqn.2026-01.a:x", .port = port};

	strcpy(l.instance, instance);
	l.has_portal = address[0];
	strcpy(l.portal.address, address);
	l.portal.socket = address[0] ? 3260 : 0;
	assert_int_equal(store_put_login(s, &l), 0);
}

/* What the five logins of the next test lose to a match. */
static size_t removed_by(const struct login_match *match)
{
	struct store *s = opened();
	struct kept_login other = {.target = "iqn.2026-01.a:xx", .port = 1}, *v = NULL;
	int64_t *rows = NULL;
	size_t n = 0, n_left = 0;
	int r;

	put_at(s, "", ANY_PORT, "");
	put_at(s, "", ANY_PORT, "one.example");
	put_at(s, "", 1, "one.example");
	put_at(s, "hba", 1, "");
	put_at(s, "hba", 2, "two.example");
	assert_int_equal(store_put_login(s, &other), 0);
	r = store_delete_logins(s, match, &rows, &n);
	assert_true(r == 0 || (r == -ENOENT && n == 0 && !rows));
	assert_int_equal(load_logins(s, &v, &n_left), 0);
	assert_int_equal(n_left, 6 - n);
	free(v);
	free(rows);
	store_close(s);
	unlink(path);
	return n;
}

static void login_removal_matches(void **state)
{
	struct login_match m = {.target = "IQN.2026-01.A:x", .port = ANY_PORT};
	struct login_match none = {.target = "iqn.2026-01.a:y", .port = ANY_PORT};

	(void)state;
	assert_int_equal(removed_by(&none), 0);
	assert_int_equal(removed_by(&m), 5);
	m.port = 1;
	assert_int_equal(removed_by(&m), 2);
	strcpy(m.instance, "HBA");
	assert_int_equal(removed_by(&m), 1);
	m.port = ANY_PORT;
	assert_int_equal(removed_by(&m), 2);
	m.has_portal = true;
	m.portal = (struct portal){.address = "TWO.example", .socket = 3260};
	assert_int_equal(removed_by(&m), 1);
	m.portal.socket = 3261;
	assert_int_equal(removed_by(&m), 0);
	strcpy(m.instance, "");
	m.portal = (struct portal){.address = "one.example", .socket = 3260};
	assert_int_equal(removed_by(&m), 2);
}

/* ---- bound devices ---- */

static struct bound bound_of(const char *name, const char *key, struct bound_unit *units, size_t n)
{
	return (struct bound){(char *)name, (char *)key, (char *)"", units, n};
}

static void bound_survives_reopen(void **state)
{
	struct bound_unit units[] = {{"iqn.2026-01.a:x", UINT64_C(0xffff000000000000), 0},
				     {"iqn.2026-01.a:y", 1, 7}};
	struct bound a = bound_of("/dev/loop3", "unit:x", units, 2), *v = NULL;
	struct bound b = bound_of("/mnt/a b\n", "mount:/mnt", units + 1, 1);
	struct store *s = opened();
	size_t n = 0;

	(void)state;
	b.node = (char *)"/dev/mapper/top";
	assert_int_equal(store_add_bound(s, &a), 0);
	assert_int_equal(store_add_bound(s, &b), 0);
	store_close(s);
	s = opened();
	assert_int_equal(store_load_bound(s, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(v[0].path, "/dev/loop3");
	assert_string_equal(v[0].node, "");
	assert_int_equal(v[0].n_units, 2);
	assert_string_equal(v[0].units[0].target, units[0].target);
	assert_int_equal(v[0].units[0].lun, units[0].lun);
	assert_int_equal(v[0].units[1].partition, 7);
	assert_string_equal(v[1].path, b.path);
	assert_string_equal(v[1].key, b.key);
	assert_string_equal(v[1].node, b.node);
	assert_int_equal(v[1].n_units, 1);
	bound_free_all(v, n);
	store_close(s);
}

static void bound_is_there_once(void **state)
{
	struct bound_unit u = {.target = "iqn.2026-01.a:x"};
	struct bound a = bound_of("/a", "key a", &u, 1), *v = NULL;
	struct bound same_path = bound_of("/a", "other", &u, 1);
	struct bound same_key = bound_of("/other", "key a", &u, 1);
	struct bound b = bound_of("/b", "key b", &u, 1);
	struct bound all[] = {b, a, same_key, same_path};
	struct store *s = opened();
	size_t n = 0;

	(void)state;
	assert_int_equal(store_add_bound(s, &a), 0);
	assert_int_equal(store_add_bound(s, &same_path), -EEXIST);
	assert_int_equal(store_add_bound(s, &same_key), -EEXIST);
	assert_int_equal(store_delete_bound(s, "/other", NULL), -ENOENT);
	assert_int_equal(store_delete_bound(s, NULL, "key a"), 0);
	assert_int_equal(store_add_bound(s, &same_path), 0);
	assert_int_equal(store_set_bound(s, all, 4), 0);
	assert_int_equal(store_load_bound(s, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(v[0].path, "/b");
	assert_string_equal(v[1].path, "/a");
	bound_free_all(v, n);
	assert_int_equal(store_set_bound(s, NULL, 0), 0);
	assert_int_equal(store_load_bound(s, &v, &n), 0);
	assert_int_equal(n, 0);
	bound_free_all(v, n);
	store_close(s);
}

static void isid_is_stable(void **state)
{
	struct isid_key k = {"iqn.2026-01.n:1", "iqn.2026-01.t:1", "192.0.2.1:3260", "data", 0};
	struct isid_key up = {"iqn.2026-01.N:1", "iqn.2026-01.T:1", "192.0.2.1:3260", "data", 0};
	uint8_t a[6], b[6], c[6];
	struct store *s = opened();

	(void)state;
	assert_int_equal(store_isid(s, &k, a), 0);
	assert_int_equal(a[0], 0x80);
	k.ordinal = 1;
	assert_int_equal(store_isid(s, &k, b), 0);
	assert_memory_not_equal(a, b, 6);
	store_close(s);
	s = opened();
	k.ordinal = 0;
	assert_int_equal(store_isid(s, &k, c), 0);
	assert_memory_equal(a, c, 6);
	assert_int_equal(store_isid(s, &up, c), 0);
	assert_memory_equal(a, c, 6);
	store_close(s);
}

static void ids_never_repeat(void **state)
{
	struct store *s = opened();
	uint32_t a, b;

	(void)state;
	assert_int_equal(store_take_ids(s, 10, &a), 0);
	store_close(s);
	s = opened();
	assert_int_equal(store_take_ids(s, 10, &b), 0);
	assert_int_equal(b, a + 10);
	store_close(s);
}

static void node_name(void **state)
{
	char name[ISCSI_NAME_MAX + 1];
	struct store *s = opened();

	(void)state;
	assert_int_equal(store_get_node_name(s, name), -ENOENT);
	assert_int_equal(store_default_node_name(s, "iqn.2026-11.local.a:1", name), 0);
	assert_string_equal(name, "iqn.2026-11.local.a:1");
	assert_int_equal(store_set_node_name(s, "iqn.2026-01.x:y"), 0);
	store_close(s);
	s = opened();
	assert_int_equal(store_get_node_name(s, name), 0);
	assert_string_equal(name, "iqn.2026-01.x:y");
	/* made once: another host name later changes nothing */
	assert_int_equal(store_default_node_name(s, "iqn.2026-11.local.b:2", name), 0);
	assert_string_equal(name, "iqn.2026-11.local.a:1");
	assert_int_equal(store_set_node_name(s, NULL), 0);
	assert_int_equal(store_get_node_name(s, name), -ENOENT);
	store_close(s);
}

/* What was answered with success is there after the writer was killed. */
static void kill_keeps_what_was_done(void **state)
{
	struct send_target_portal *v = NULL;
	int done[2], status;
	size_t n = 0;
	struct store *s;
	uint8_t count = 0, last = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(done), 0);
	pid = fork();
	if (pid == 0) {
		struct store *w = NULL;

		if (store_open(&w, path, why, sizeof(why)))
			_exit(1);
		for (unsigned i = 1;; i++) {
			struct send_target_portal p = sample_portal("192.0.2.1", (uint16_t)i);

			if (store_put_portal(w, &p))
				_exit(1);
			count = (uint8_t)i;
			if (write(done[1], &count, 1) != 1)
				_exit(1);
		}
	}
	close(done[1]);
	while (last < 20 && read(done[0], &last, 1) == 1)
		;
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	while (read(done[0], &count, 1) == 1)
		last = count;
	close(done[0]);
	assert_true(last >= 20);
	s = opened();
	assert_int_equal(store_load_portals(s, &v, &n), 0);
	/* the one under way at the end may be there or not, but whole */
	assert_true(n == last || n == (size_t)last + 1);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(v[i].options.password.n, 5);
	free(v);
	store_close(s);
}

static void refuses(int expected)
{
	struct stat before, after;
	struct store *s = NULL;
	char *a, *b;
	FILE *f;

	assert_int_equal(stat(path, &before), 0);
	a = malloc((size_t)before.st_size + 1);
	b = malloc((size_t)before.st_size + 1);
	f = fopen(path, "r");
	assert_int_equal(fread(a, 1, (size_t)before.st_size, f), before.st_size);
	fclose(f);
	assert_int_equal(store_open(&s, path, why, sizeof(why)), expected);
	assert_null(s);
	assert_non_null(strstr(why, path));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	f = fopen(path, "r");
	assert_int_equal(fread(b, 1, (size_t)before.st_size, f), before.st_size);
	fclose(f);
	assert_memory_equal(a, b, (size_t)before.st_size);
	free(a);
	free(b);
}

static void rubbish_is_refused_and_kept(void **state)
{
	FILE *f = fopen(path, "w");

	(void)state;
	for (int i = 0; i < 5000; i++)
		fputs("not a database ", f);
	fclose(f);
	refuses(-EBADMSG);
}

static void damage_is_refused_and_kept(void **state)
{
	struct store *s = opened();
	FILE *f;

	(void)state;
	for (uint16_t i = 1; i < 200; i++) {
		struct send_target_portal p = sample_portal("192.0.2.1", i);

		assert_int_equal(store_put_portal(s, &p), 0);
	}
	store_close(s);
	f = fopen(path, "r+");
	fseek(f, 4096, SEEK_SET);
	for (int i = 0; i < 12 * 1024; i++)
		fputc(0x5a, f);
	fclose(f);
	refuses(-EBADMSG);
}

static void foreign_database_is_refused(void **state)
{
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE x (y)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(chmod(path, 0600), 0);
	refuses(-EPROTO);
}

static void newer_version_is_refused(void **state)
{
	sqlite3 *db;

	(void)state;
	store_close(opened());
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	refuses(-EOVERFLOW);
}

static void file_is_private(void **state)
{
	struct stat st;

	(void)state;
	umask(0);
	store_close(opened());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(chmod(path, 0644), 0);
	store_close(opened());
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, drop_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(portal_survives_reopen),
		TEST(portal_again_replaces_in_place),
		TEST(portal_delete),
		TEST(no_trace_of_a_deleted_secret),
		TEST(login_again_replaces_unless_multipath),
		TEST(login_keeps_its_mapping),
		TEST(login_keeps_its_place_and_row),
		TEST(login_removal_matches),
		TEST(target_survives_reopen),
		TEST(target_again_replaces_in_place),
		TEST(bound_survives_reopen),
		TEST(bound_is_there_once),
		TEST(isid_is_stable),
		TEST(ids_never_repeat),
		TEST(node_name),
		TEST(kill_keeps_what_was_done),
		TEST(rubbish_is_refused_and_kept),
		TEST(damage_is_refused_and_kept),
		TEST(foreign_database_is_refused),
		TEST(newer_version_is_refused),
		TEST(file_is_private),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
