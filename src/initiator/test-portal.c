/* SPDX-License-Identifier: MIT */
/*
 * Tests of the TargetAddress parser
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "initiator/portal.h"

static void addresses_that_are_understood(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port, tpgt;
		bool has_tpgt;
	} good[] = {
		{"192.0.2.1", "192.0.2.1", 3260, 0, false},
		{"192.0.2.1:860", "192.0.2.1", 860, 0, false},
		{"192.0.2.1:3261,7", "192.0.2.1", 3261, 7, true},
		{"192.0.2.1,65535", "192.0.2.1", 3260, 65535, true},
		{"[2001:db8::1]", "2001:db8::1", 3260, 0, false},
		{"[2001:db8::1]:3261", "2001:db8::1", 3261, 0, false},
		{"[2001:db8::1]:3261,2", "2001:db8::1", 3261, 2, true},
		{"[2001:db8::1],2", "2001:db8::1", 3260, 2, true},
		{"[fe80::1%eth0]:3260,1", "fe80::1%eth0", 3260, 1, true},
		{"[::ffff:192.0.2.1]:3260,1", "::ffff:192.0.2.1", 3260, 1, true},
		{"2001:db8::1,1", "2001:db8::1", 3260, 1, true},
		{"2001:db8::1:3261,1", "2001:db8::1:3261", 3260, 1, true}, /* no port */
		{"2001:db8:0:0:0:0:0:1:3261,1", "2001:db8:0:0:0:0:0:1", 3261, 1, true},
		{"::ffff:192.0.2.1:3261", "::ffff:192.0.2.1", 3261, 0, false},
		{"storage-1.example.org:3260,1", "storage-1.example.org", 3260, 1, true},
		{"nas_2:65535", "nas_2", 65535, 0, false},
		{"a", "a", 3260, 0, false},
		{"192.0.2.1:00860", "192.0.2.1", 860, 0, false},
	};
	struct portal p;

	for (size_t k = 0; k < ARRAY_SIZE(good); k++) {
		assert_int_equal(portal_parse(&p, good[k].text, strlen(good[k].text)), 0);
		assert_string_equal(p.host, good[k].host);
		assert_int_equal(p.port, good[k].port);
		assert_int_equal(p.tpgt, good[k].tpgt);
		assert_int_equal(p.has_tpgt, good[k].has_tpgt);
	}
}

static void addresses_that_are_not(void **state)
{
	static const char *const bad[] = {
		"",
		":",
		",",
		":3260",
		",1",
		"192.0.2.1:",
		"192.0.2.1:0",
		"192.0.2.1:65536",
		"192.0.2.1:-1",
		"192.0.2.1: 860",
		"a:1:2",
		"2001:db8:0:0:0:0:0:1:2:3",
		"2001:db8:0:0:0:0:0:1:",
		"a:860,",
		"a:860,65536",
		"a:860,1,2",
		"a:860,x",
		"[::1",
		"::1]",
		"[]",
		"[]:3260",
		"[192.0.2.1]",
		"[::1]3260",
		"[::1]:",
		"[::1%]:3260",
		"[::1%e h]:3260",
		"[::g]",
		" a",
		"a b",
		"a\n",
		"-a",
		"a/b",
		"a\x80",
		"[::1]x:3260,1",
	};
	struct portal p = {.port = 1};
	char long_host[400];

	for (size_t k = 0; k < ARRAY_SIZE(bad); k++)
		if (portal_parse(&p, bad[k], strlen(bad[k])) != -EBADMSG)
			fail_msg("\"%s\" was taken", bad[k]);
	assert_int_equal(portal_parse(&p, "a\0b", 3), -EBADMSG);
	assert_int_equal(portal_parse(&p, "[::1\0]", 6), -EBADMSG);
	memset(long_host, 'a', sizeof(long_host));
	assert_int_equal(portal_parse(&p, long_host, PORTAL_HOST_MAX + 1), -EBADMSG);
	assert_int_equal(p.port, 1); /* not touched */
	assert_int_equal(portal_parse(&p, long_host, PORTAL_HOST_MAX), 0);
}

/* The bytes end where they are said to end, whatever comes after. */
static void the_length_is_kept(void **state)
{
	struct portal p;

	assert_int_equal(portal_parse(&p, "192.0.2.1:3261,77", 13), 0);
	assert_int_equal(p.port, 326);
	assert_false(p.has_tpgt);
	assert_int_equal(portal_parse(&p, "[2001:db8::1]:3261", 12), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_that_are_understood),
		cmocka_unit_test(addresses_that_are_not),
		cmocka_unit_test(the_length_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
