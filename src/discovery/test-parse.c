/* SPDX-License-Identifier: MIT */
/*
 * Tests of the parser of SendTargets answers
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "discovery/sendtargets.h"

/* A literal with its NULs, the last included. */
#define PARSE(d, text) sendtargets_parse(d, text, sizeof(text), "198.51.100.9", 3261)

static void targets_with_portals(void **state)
{
	struct discovered d;

	assert_int_equal(PARSE(&d, "TargetName=iqn.2026-01.a:one\0"
				   "TargetAddress=192.0.2.1:3260,1\0"
				   "TargetAddress=[2001:db8::1]:860,2\0"
				   "TargetName=iqn.2026-01.a:two\0"
				   "TargetAddress=nas.example.org,65535"),
			 0);
	assert_int_equal(d.n_targets, 2);
	assert_string_equal(d.targets[0].name, "iqn.2026-01.a:one");
	assert_int_equal(d.targets[0].n_portals, 2);
	assert_string_equal(d.targets[0].portals[0].address, "192.0.2.1");
	assert_int_equal(d.targets[0].portals[0].port, 3260);
	assert_int_equal(d.targets[0].portals[0].tpgt, 1);
	assert_string_equal(d.targets[0].portals[1].address, "2001:db8::1");
	assert_int_equal(d.targets[0].portals[1].port, 860);
	assert_int_equal(d.targets[0].portals[1].tpgt, 2);
	assert_string_equal(d.targets[1].name, "iqn.2026-01.a:two");
	assert_int_equal(d.targets[1].n_portals, 1);
	assert_string_equal(d.targets[1].portals[0].address, "nas.example.org");
	assert_int_equal(d.targets[1].portals[0].port, 3260);
	assert_int_equal(d.targets[1].portals[0].tpgt, 65535);
	discovered_clear(&d);
	assert_int_equal(d.n_targets, 0);
	discovered_clear(&d);
}

static void nothing_there(void **state)
{
	struct discovered d = {.n_targets = 9};

	assert_int_equal(sendtargets_parse(&d, NULL, 0, "h", 1), 0);
	assert_int_equal(d.n_targets, 0);
	assert_int_equal(sendtargets_parse(&d, "\0\0\0", 3, "h", 1), 0);
	assert_int_equal(d.n_targets, 0);
}

/* RFC 7143 Appendix C: without an address it is the one that was asked. */
static void without_address_it_is_who_was_asked(void **state)
{
	struct discovered d;
	static const char text[] = "TargetName=iqn.2026-01.a:one\0TargetName=eui.02004567a425678d";

	assert_int_equal(PARSE(&d, text), 0);
	assert_int_equal(d.n_targets, 2);
	for (size_t k = 0; k < 2; k++) {
		assert_int_equal(d.targets[k].n_portals, 1);
		assert_string_equal(d.targets[k].portals[0].address, "198.51.100.9");
		assert_int_equal(d.targets[k].portals[0].port, 3261);
	}
	discovered_clear(&d);
	assert_int_equal(sendtargets_parse(&d, text, sizeof(text), "[fe80::1%lo]", 3260), 0);
	assert_string_equal(d.targets[0].portals[0].address, "fe80::1%lo");
	discovered_clear(&d);
}

static void the_same_again_counts_once(void **state)
{
	struct discovered d;

	assert_int_equal(PARSE(&d, "TargetName=iqn.2026-01.a:One\0"
				   "TargetAddress=192.0.2.1:3260,1\0"
				   "TargetAddress=192.0.2.1:3260,1\0"
				   "TargetName=iqn.2026-01.a:two\0"
				   "TargetAddress=192.0.2.1:3260,1\0"
				   "TargetName=iqn.2026-01.a:onE\0"
				   "TargetAddress=192.0.2.2:3260,1\0"
				   "TargetAddress=192.0.2.1:3260,1"),
			 0);
	assert_int_equal(d.n_targets, 2);
	assert_string_equal(d.targets[0].name, "iqn.2026-01.a:One");
	assert_int_equal(d.targets[0].n_portals, 2);
	assert_string_equal(d.targets[0].portals[1].address, "192.0.2.2");
	assert_int_equal(d.targets[1].n_portals, 1);
	discovered_clear(&d);
}

static void unknown_keys_are_passed_over(void **state)
{
	struct discovered d;

	assert_int_equal(PARSE(&d, "X-org.example.Foo=bar\0"
				   "TargetName=iqn.2026-01.a:one\0"
				   "TargetAlias=the one = and only\0"
				   "targetaddress=nonsense\0"
				   "TargetAddress=192.0.2.1,1"),
			 0);
	assert_int_equal(d.n_targets, 1);
	assert_int_equal(d.targets[0].n_portals, 1);
	discovered_clear(&d);
}

static void what_cannot_be_understood(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} bad[] = {
#define BAD(s) {s, sizeof(s)}
		BAD("TargetAddress=192.0.2.1:3260,1"), /* of whom? */
		BAD("TargetName"),
		BAD("=iqn.2026-01.a:one"),
		BAD("TargetName="),
		BAD("TargetName=iqn.2026-01.a:one two"),
		BAD("TargetName=iqn.2026-01.a:\x1b[2J"),
		BAD("TargetName=iqn.2026-01.a:\xff"),
		BAD("TargetName=a\0TargetAddress="),
		BAD("TargetName=a\0TargetAddress=192.0.2.1:0,1"),
		BAD("TargetName=a\0TargetAddress=192.0.2.1:99999,1"),
		BAD("TargetName=a\0TargetAddress=[::1"),
		{"TargetName=a", 12}, /* no NUL at the end */
		{"TargetName=a\0x", 14},
#undef BAD
	};
	struct discovered d = {.n_targets = 9};
	char name[300];
	int n;

	for (size_t k = 0; k < ARRAY_SIZE(bad); k++)
		if (sendtargets_parse(&d, bad[k].text, bad[k].n, "h", 1) != -EBADMSG)
			fail_msg("number %zu was taken", k);
	n = snprintf(name, sizeof(name), "TargetName=%0224d", 1);
	assert_int_equal(sendtargets_parse(&d, name, (size_t)n + 1, "h", 1), -EBADMSG);
	assert_int_equal(d.n_targets, 9);
	n = snprintf(name, sizeof(name), "TargetName=%0223d", 1);
	assert_int_equal(sendtargets_parse(&d, name, (size_t)n + 1, "h", 1), 0);
	discovered_clear(&d);
}

static size_t add(char **at, const char *fmt, unsigned k)
{
	int n = sprintf(*at, fmt, k);

	*at += n + 1;
	return (size_t)n + 1;
}

static void limits(void **state)
{
	struct discovered d;
	char *text = calloc(1, 2u << 20), *at = text;
	size_t n = 0;

	assert_non_null(text);
	for (unsigned k = 0; k < 4096; k++)
		n += add(&at, "TargetName=iqn.2026-01.a:%u", k);
	assert_int_equal(sendtargets_parse(&d, text, n, "h", 1), 0);
	assert_int_equal(d.n_targets, 4096);
	assert_string_equal(d.targets[4095].name, "iqn.2026-01.a:4095");
	discovered_clear(&d);
	n += add(&at, "TargetName=iqn.2026-01.a:%u", 17); /* known */
	assert_int_equal(sendtargets_parse(&d, text, n, "h", 1), 0);
	discovered_clear(&d);
	n += add(&at, "TargetName=iqn.2026-01.a:%u", 4096);
	assert_int_equal(sendtargets_parse(&d, text, n, "h", 1), -EBADMSG);

	at = text;
	n = add(&at, "TargetName=iqn.2026-01.a:%u", 0);
	for (unsigned k = 0; k < 64; k++)
		n += add(&at, "TargetAddress=192.0.2.%u:3260,1", k);
	assert_int_equal(sendtargets_parse(&d, text, n, "h", 1), 0);
	assert_int_equal(d.targets[0].n_portals, 64);
	discovered_clear(&d);
	n += add(&at, "TargetAddress=192.0.2.%u:3260,1", 64);
	assert_int_equal(sendtargets_parse(&d, text, n, "h", 1), -EBADMSG);

	memset(text, 0, 2u << 20);
	assert_int_equal(sendtargets_parse(&d, text, 1u << 20, "h", 1), 0);
	assert_int_equal(sendtargets_parse(&d, text, (1u << 20) + 1, "h", 1), -EBADMSG);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_with_portals),
		cmocka_unit_test(nothing_there),
		cmocka_unit_test(without_address_it_is_who_was_asked),
		cmocka_unit_test(the_same_again_counts_once),
		cmocka_unit_test(unknown_keys_are_passed_over),
		cmocka_unit_test(what_cannot_be_understood),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
