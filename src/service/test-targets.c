/* SPDX-License-Identifier: MIT */
/*
 * The table of targets, and what is entered by hand
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "service/static_target.h"
#include "service/target.h"

struct told {
	struct discovered d;
	struct discovered_target t[4];
	struct discovered_portal p[4][4];
};

static void tell(struct told *d, const char *name, const char *address, uint16_t port,
		 uint16_t tpgt)
{
	struct discovered_target *t = NULL;

	d->d.targets = d->t;
	for (size_t i = 0; i < d->d.n_targets; i++) {
		if (strcmp(d->t[i].name, name) == 0)
			t = &d->t[i];
	}
	if (!t) {
		t = &d->t[d->d.n_targets];
		t->portals = d->p[d->d.n_targets++];
		snprintf(t->name, sizeof(t->name), "%s", name);
	}
	snprintf(t->portals[t->n_portals].address, sizeof(t->portals[0].address), "%s", address);
	t->portals[t->n_portals].port = port;
	t->portals[t->n_portals++].tpgt = tpgt;
}

/* A static entry with one portal, 203.0.113.1:3260. */
static void enter(struct target_table *t, const char *name, uint32_t flags)
{
	struct static_target *s = calloc(1, sizeof(*s));
	const struct portal p = {"a label", "203.0.113.1", 3260};

	assert_non_null(s);
	snprintf(s->name, sizeof(s->name), "%s", name);
	snprintf(s->alias, sizeof(s->alias), "entered");
	s->flags = flags;
	assert_int_equal(static_target_add_group(s, &p, 1), 0);
	assert_int_equal(target_table_put_static(t, s), 0);
}

static size_t learn(struct target_table *t, const char *mechanism, struct told *d)
{
	size_t n_bad = 0;

	assert_int_equal(target_table_learn(t, mechanism, &d->d, &n_bad), 0);
	return n_bad;
}

static void target_names_keep_their_spelling(void **state)
{
	struct told a = {0}, b = {0};
	struct target_table t;

	(void)state;
	target_table_init(&t);
	tell(&a, "iqn.2026-01.A:Disk", "192.0.2.1", 3260, 1);
	tell(&b, "iqn.2026-01.a:disk", "192.0.2.2", 3260, 2);
	learn(&t, "one", &a);
	learn(&t, "two", &b);
	assert_int_equal(target_table_count(&t), 1);
	assert_string_equal(target_table_find(&t, "IQN.2026-01.a:DISK"), "iqn.2026-01.A:Disk");
	assert_null(target_table_find(&t, "iqn.2026-01.a:disk2"));
	target_table_clear(&t);
}

static void target_portals_in_the_order_learnt(void **state)
{
	struct target_portal *v = NULL;
	struct told a = {0}, b = {0};
	struct target_table t;
	size_t n;

	(void)state;
	target_table_init(&t);
	tell(&a, "iqn.2026-01.a:x", "192.0.2.9", 3260, 2);
	tell(&a, "iqn.2026-01.a:x", "192.0.2.1", 3260, 1);
	tell(&b, "iqn.2026-01.a:x", "192.0.2.1", 3260, 1); /* known already */
	tell(&b, "iqn.2026-01.a:x", "192.0.2.5", 3261, 2);
	learn(&t, "one", &a);
	learn(&t, "two", &b);
	assert_int_equal(target_table_portals(&t, "iqn.2026-01.A:x", -1, &v, &n), 0);
	assert_int_equal(n, 3);
	assert_string_equal(v[0].address, "192.0.2.9");
	assert_string_equal(v[1].address, "192.0.2.1");
	assert_string_equal(v[2].address, "192.0.2.5");
	free(v);
	assert_int_equal(target_table_portals(&t, "iqn.2026-01.a:x", 2, &v, &n), 0);
	assert_int_equal(n, 2);
	free(v);
	assert_int_equal(target_table_portals(&t, "iqn.2026-01.a:x", 7, &v, &n), 0);
	assert_int_equal(n, 0);
	free(v);
	assert_int_equal(target_table_portals(&t, "iqn.2026-01.a:y", -1, &v, &n), -ENOENT);
	target_table_clear(&t);
}

static void target_told_no_more_is_forgotten(void **state)
{
	struct told a = {0}, b = {0}, none = {0};
	struct target_table t;

	(void)state;
	target_table_init(&t);
	tell(&a, "iqn.2026-01.a:both", "192.0.2.1", 3260, 1);
	tell(&a, "iqn.2026-01.a:one", "192.0.2.1", 3260, 1);
	tell(&b, "iqn.2026-01.a:both", "192.0.2.2", 3260, 1);
	learn(&t, "one", &a);
	learn(&t, "two", &b);
	learn(&t, "one", &none);
	assert_int_equal(target_table_count(&t), 1);
	assert_non_null(target_table_find(&t, "iqn.2026-01.a:both"));
	learn(&t, "two", &none);
	assert_int_equal(target_table_count(&t), 0);
	target_table_clear(&t);
}

static void target_prune(void **state)
{
	struct told a = {0}, b = {0}, c = {0};
	struct target_table t;

	(void)state;
	target_table_init(&t);
	tell(&a, "iqn.2026-01.a:one", "192.0.2.1", 3260, 1);
	tell(&b, "iqn.2026-01.a:two", "192.0.2.2", 3260, 1);
	tell(&c, "iqn.2026-01.a:three", "192.0.2.3", 3260, 1);
	learn(&t, "Send:one", &a);
	learn(&t, "Send:two", &b);
	learn(&t, "Other:x", &c);
	enter(&t, "iqn.2026-01.a:four", 0);
	target_table_keep(&t, "Send:two");
	target_table_keep(&t, "Send:unknown");
	target_table_prune(&t, "Send:");
	assert_null(target_table_find(&t, "iqn.2026-01.a:one"));
	assert_non_null(target_table_find(&t, "iqn.2026-01.a:two"));
	assert_non_null(target_table_find(&t, "iqn.2026-01.a:three"));
	assert_non_null(target_table_find(&t, "iqn.2026-01.a:four"));
	/* what was kept once is not kept for ever */
	target_table_prune(&t, "Send:");
	assert_null(target_table_find(&t, "iqn.2026-01.a:two"));
	assert_int_equal(target_table_count(&t), 2);
	target_table_clear(&t);
}

static void target_rubbish_is_left_out(void **state)
{
	struct target_portal *v = NULL;
	struct target_table t;
	struct told a = {0};
	size_t n;

	(void)state;
	target_table_init(&t);
	tell(&a, "iqn.2026-01.a:good", "192.0.2.1", 3260, 1);
	tell(&a, "iqn.2026-01.a:good", "../../etc", 3260, 1);
	tell(&a, "not a name", "192.0.2.1", 3260, 1);
	tell(&a, "../../x", "192.0.2.1", 3260, 1);
	assert_int_equal(learn(&t, "one", &a), 2);
	assert_int_equal(target_table_count(&t), 1);
	assert_int_equal(target_table_portals(&t, "iqn.2026-01.a:good", -1, &v, &n), 0);
	assert_int_equal(n, 1);
	free(v);
	target_table_clear(&t);
}

/* ---- what changes between two answers ------------------------------------------------- */

static int name_add(void *arg, const char *name)
{
	char *text = arg;

	snprintf(text + strlen(text), 400 - strlen(text), "%s ", name);
	return 0;
}

static void listed(const struct target_table *t, const char *expect)
{
	char text[400] = "";

	assert_int_equal(target_table_each(t, name_add, text), 0);
	assert_string_equal(text, expect);
}

static void known_by(const struct target_table *t, const char *name, const char *expect)
{
	char text[400] = "";

	assert_int_equal(target_table_mechanisms(t, name, name_add, text), 0);
	assert_string_equal(text, expect);
}

/* "address:port,group …" */
static void reached_by(const struct target_table *t, const char *name, const char *expect)
{
	CLEANUP(freep) struct target_portal *v = NULL;
	char text[400] = "";
	size_t n = 0;

	assert_int_equal(target_table_portals(t, name, -1, &v, &n), 0);
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s:%u,%u ",
			 v[i].address, v[i].socket, v[i].tpgt);
	assert_string_equal(text, expect);
}

static void portals_change_between_answers(void **state)
{
	struct told a = {0}, b = {0}, again = {0};
	struct target_table t;

	(void)state;
	target_table_init(&t);
	tell(&a, "iqn.2026-01.a:x", "192.0.2.1", 3260, 1);
	tell(&a, "iqn.2026-01.a:x", "192.0.2.2", 3260, 1);
	tell(&b, "iqn.2026-01.a:x", "192.0.2.9", 3260, 2);
	learn(&t, "one", &a);
	learn(&t, "two", &b);
	tell(&again, "iqn.2026-01.a:x", "192.0.2.2", 3260, 1);
	tell(&again, "iqn.2026-01.a:x", "192.0.2.3", 3260, 1);
	learn(&t, "one", &again);
	/* in the place of what that mechanism had told before */
	reached_by(&t, "iqn.2026-01.a:x", "192.0.2.2:3260,1 192.0.2.3:3260,1 192.0.2.9:3260,2 ");
	known_by(&t, "iqn.2026-01.a:x", "one two ");
	target_table_clear(&t);
}

static void version_changes_with_the_portals(void **state)
{
	struct told a = {0}, b = {0}, none = {0};
	struct target_table t;
	uint64_t before;

	(void)state;
	target_table_init(&t);
	tell(&a, "iqn.2026-01.a:x", "192.0.2.1", 3260, 1);
	tell(&b, "iqn.2026-01.a:x", "192.0.2.2", 3260, 1);
	assert_int_equal(target_table_version(&t, "iqn.2026-01.a:x"), 0);
	learn(&t, "one", &a);
	before = target_table_version(&t, "iqn.2026-01.a:x");
	assert_true(before > 0);
	learn(&t, "one", &a);
	assert_int_equal(target_table_version(&t, "iqn.2026-01.a:x"), before);
	assert_int_equal(t.n_changes, before);
	learn(&t, "one", &b);
	assert_true(target_table_version(&t, "iqn.2026-01.a:x") > before);
	before = t.n_changes;
	enter(&t, "iqn.2026-01.a:x", 0);
	assert_true(target_table_version(&t, "iqn.2026-01.a:x") > before);
	before = t.n_changes;
	learn(&t, "one", &none);
	assert_true(target_table_version(&t, "iqn.2026-01.a:x") > before);
	target_table_clear(&t);
}

static void target_named_twice_in_an_answer(void **state)
{
	struct discovered_portal p = {"192.0.2.1", 3260, 1}, q = {"192.0.2.2", 3260, 1};
	struct discovered_target v[2] = {{"iqn.2026-01.a:x", &p, 1}, {"iqn.2026-01.A:X", &q, 1}};
	const struct discovered d = {v, 2}, none = {v, 0};
	struct target_table t;
	size_t n_bad;

	(void)state;
	target_table_init(&t);
	assert_int_equal(target_table_learn(&t, "one", &d, &n_bad), 0);
	assert_int_equal(target_table_count(&t), 1);
	known_by(&t, "iqn.2026-01.a:x", "one ");
	assert_int_equal(target_table_told(&t, "one"), 1);
	assert_int_equal(target_table_learn(&t, "one", &d, &n_bad), 0);
	assert_int_equal(target_table_told(&t, "one"), 1);
	assert_int_equal(target_table_learn(&t, "one", &none, &n_bad), 0);
	assert_int_equal(target_table_count(&t), 0);
	target_table_clear(&t);
}

/* ---- static ones ----------------------------------------------------------------------- */

static void static_beside_discovered(void **state)
{
	const struct target_instance *i = NULL;
	struct told a = {0}, none = {0};
	struct target_table t;

	(void)state;
	target_table_init(&t);
	tell(&a, "iqn.2026-01.a:Disk", "192.0.2.1", 3260, 1);
	enter(&t, "IQN.2026-01.A:DISK", 0);
	learn(&t, "one", &a);
	/* the target's own spelling counts; the static portals come first */
	listed(&t, "iqn.2026-01.a:Disk ");
	known_by(&t, "iqn.2026-01.a:disk", MECHANISM_STATIC " one ");
	reached_by(&t, "iqn.2026-01.a:disk", "203.0.113.1:3260,1 192.0.2.1:3260,1 ");
	assert_int_equal(target_table_instance(&t, "iqn.2026-01.a:disk", MECHANISM_STATIC, &i), 0);
	assert_string_equal(target_instance_alias(i), "entered");
	assert_int_equal(target_table_instance(&t, "iqn.2026-01.a:disk", "one", &i), 0);
	assert_string_equal(target_instance_alias(i), "");
	assert_null(target_instance_static(i));
	assert_int_equal(target_table_instance(&t, "iqn.2026-01.a:disk", "on", &i), -ESRCH);
	assert_int_equal(target_table_instance(&t, "iqn.2026-01.a:disc", "one", &i), -ENOENT);

	assert_int_equal(target_table_drop_static(&t, "iqn.2026-01.a:disk"), 0);
	assert_int_equal(target_table_drop_static(&t, "iqn.2026-01.a:disk"), -ENOENT);
	known_by(&t, "iqn.2026-01.a:disk", "one ");
	enter(&t, "iqn.2026-01.a:disk", 0);
	known_by(&t, "iqn.2026-01.a:disk", MECHANISM_STATIC " one ");
	learn(&t, "one", &none);
	listed(&t, "iqn.2026-01.a:Disk ");
	assert_int_equal(target_table_drop_static(&t, "iqn.2026-01.a:disk"), 0);
	assert_int_equal(target_table_count(&t), 0);
	target_table_clear(&t);
}

static void static_again_replaces(void **state)
{
	struct target_table t;

	(void)state;
	target_table_init(&t);
	enter(&t, "iqn.2026-01.a:one", 0);
	enter(&t, "iqn.2026-01.a:two", 0);
	enter(&t, "iqn.2026-01.a:ONE", TARGET_HIDE);
	assert_int_equal(target_table_told(&t, MECHANISM_STATIC), 2);
	assert_int_equal(target_table_static(&t, "iqn.2026-01.a:one")->flags, TARGET_HIDE);
	assert_null(target_table_static(&t, "iqn.2026-01.a:three"));
	target_table_clear(&t);
}

static void hidden_until_discovered(void **state)
{
	struct told a = {0}, none = {0};
	struct target_table t;

	(void)state;
	target_table_init(&t);
	tell(&a, "iqn.2026-01.a:hidden", "192.0.2.1", 3260, 1);
	enter(&t, "iqn.2026-01.a:hidden", TARGET_HIDE);
	enter(&t, "iqn.2026-01.a:seen", 0);
	listed(&t, "iqn.2026-01.a:seen ");
	assert_non_null(target_table_static(&t, "iqn.2026-01.a:hidden"));
	learn(&t, "one", &a);
	listed(&t, "iqn.2026-01.a:hidden iqn.2026-01.a:seen ");
	learn(&t, "one", &none);
	listed(&t, "iqn.2026-01.a:seen ");
	target_table_clear(&t);
}

static void alias_of_a_login(void **state)
{
	const struct target_instance *i = NULL;
	struct target_table t;
	struct told a = {0};

	(void)state;
	target_table_init(&t);
	tell(&a, "iqn.2026-01.a:x", "192.0.2.1", 3260, 1);
	learn(&t, "one", &a);
	target_table_set_alias(&t, "iqn.2026-01.A:x", "big disk");
	target_table_set_alias(&t, "iqn.2026-01.a:unknown", "nothing");
	learn(&t, "one", &a);
	assert_int_equal(target_table_instance(&t, "iqn.2026-01.a:x", "one", &i), 0);
	assert_string_equal(target_instance_alias(i), "big disk");
	target_table_clear(&t);
}

/* ---- merging ------------------------------------------------------------------------- */

static void merge_takes_what_is_given(void **state)
{
	static const struct portal v[] = {{"", "192.0.2.1", 3260}, {"", "192.0.2.2", 3260}},
				   w[] = {{"x", "192.0.2.2", 3260}, {"y", "192.0.2.3", 3260}};
	CLEANUP(static_target_freep) struct static_target *m = NULL;
	struct static_target old = {.name = "iqn.2026-01.a:x", .alias = "old", .persist = true},
			     new = {.name = "IQN.2026-01.a:X", .flags = TARGET_MERGE};
	struct target_mapping mapping = {.bus = 3};

	(void)state;
	old.has_options = true;
	old.options.flags = LOGIN_MULTIPATH;
	old.mapping = &mapping;
	assert_int_equal(static_target_add_group(&old, v, 2), 0);
	assert_int_equal(static_target_add_group(&new, w, 2), 0);
	assert_int_equal(static_target_merge(&m, &old, &new), 0);
	assert_string_equal(m->name, "iqn.2026-01.a:x");
	assert_string_equal(m->alias, "old");
	assert_true(m->persist);
	assert_int_equal(m->flags, TARGET_MERGE);
	assert_int_equal(m->options.flags, LOGIN_MULTIPATH);
	assert_int_equal(m->mapping->bus, 3);
	/* the portal that is there already is not there twice, and is the old one */
	assert_int_equal(m->n_portals, 3);
	assert_string_equal(m->portals[1].portal.symbolic, "");
	assert_int_equal(m->portals[1].tag, 1);
	assert_string_equal(m->portals[2].portal.symbolic, "y");
	assert_int_equal(m->portals[2].tag, 2);
	m = static_target_free(m);

	strcpy(new.alias, "new");
	new.has_options = true;
	assert_int_equal(static_target_merge(&m, &old, &new), 0);
	assert_string_equal(m->alias, "new");
	assert_int_equal(m->options.flags, 0);
	free(old.portals);
	free(new.portals);
}

/* ---- many of them ------------------------------------------------------------------------ */

#define MANY_PORTALS 1000
#define MANY_TARGETS 100

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* @spread: each portal tells of targets of its own, else all tell of the same ones. */
static void learn_many(struct target_table *t, bool spread)
{
	static struct discovered_target v[MANY_TARGETS];
	struct discovered_portal p = {.port = 3260, .tpgt = 1};
	struct discovered d = {v, MANY_TARGETS};
	size_t n_bad;

	for (int k = 0; k < MANY_PORTALS; k++) {
		char mechanism[ADDRESS_MAX + 64];

		snprintf(p.address, sizeof(p.address), "198.18.%d.%d", k / 250, k % 250);
		snprintf(mechanism, sizeof(mechanism), MECHANISM_SENDTARGETS "*%s", p.address);
		for (int i = 0; i < MANY_TARGETS; i++) {
			snprintf(v[i].name, sizeof(v[i].name), "iqn.2026-01.a:t%d",
				 spread ? k * MANY_TARGETS + i : i);
			v[i].portals = &p;
			v[i].n_portals = 1;
		}
		assert_int_equal(target_table_learn(t, mechanism, &d, &n_bad), 0);
	}
}

static int count_one(void *arg, const char *name)
{
	(void)name;
	++*(size_t *)arg;
	return 0;
}

/* Twice what is there, an answer for every target, and the end: some tenths of a second. */
static void many(bool spread)
{
	const size_t n_targets = spread ? (size_t)MANY_PORTALS * MANY_TARGETS : MANY_TARGETS;
	double begin = now_s();
	struct target_table t;
	size_t n = 0;

	target_table_init(&t);
	learn_many(&t, spread);
	learn_many(&t, spread);
	assert_int_equal(target_table_count(&t), n_targets);
	target_table_each(&t, count_one, &n);
	assert_int_equal(n, n_targets);
	for (int i = 0; i < MANY_TARGETS; i++) {
		CLEANUP(freep) struct target_portal *v = NULL;
		char name[64];

		snprintf(name, sizeof(name), "iqn.2026-01.A:t%d", i);
		assert_int_equal(target_table_portals(&t, name, -1, &v, &n), 0);
		assert_int_equal(n, spread ? 1 : MANY_PORTALS);
	}
	target_table_prune(&t, MECHANISM_SENDTARGETS);
	assert_int_equal(target_table_count(&t), 0);
	target_table_clear(&t);
	/* generous, because of sanitizers; a loop in a loop would take minutes */
	assert_true(now_s() - begin < 20);
}

static void many_portals_of_the_same_targets(void **state)
{
	(void)state;
	many(false);
}

static void many_targets(void **state)
{
	(void)state;
	many(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(target_names_keep_their_spelling),
		cmocka_unit_test(target_portals_in_the_order_learnt),
		cmocka_unit_test(target_told_no_more_is_forgotten),
		cmocka_unit_test(target_prune),
		cmocka_unit_test(target_rubbish_is_left_out),
		cmocka_unit_test(portals_change_between_answers),
		cmocka_unit_test(version_changes_with_the_portals),
		cmocka_unit_test(target_named_twice_in_an_answer),
		cmocka_unit_test(static_beside_discovered),
		cmocka_unit_test(static_again_replaces),
		cmocka_unit_test(hidden_until_discovered),
		cmocka_unit_test(alias_of_a_login),
		cmocka_unit_test(merge_takes_what_is_given),
		cmocka_unit_test(many_portals_of_the_same_targets),
		cmocka_unit_test(many_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
