/* SPDX-License-Identifier: MIT */
/*
 * What may be set, what is given back, and what a restart finds
 *
 * A restart is a new struct security on the store, opened again.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "service/security.h"

static char dir[64], path[96];
static struct store *store;
static struct security *sec;
static struct refusal why;

static void begin(void)
{
	char text[400];

	if (store_open(&store, path, text, sizeof(text)))
		fail_msg("%s", text);
	assert_int_equal(security_new(&sec, store), 0);
}

static void end(void)
{
	sec = security_free(sec);
	store = store_close(store);
}

static void restart(void)
{
	end();
	begin();
}

static int setup(void **state)
{
	strcpy(dir, "/tmp/test-security-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/state.db", dir);
	begin();
	return 0;
}

static int teardown(void **state)
{
	end();
	unlink(path);
	return rmdir(dir);
}

static struct blob bytes(const char *text)
{
	struct blob b = {.n = (uint16_t)strlen(text)};

	memcpy(b.bytes, text, b.n);
	return b;
}

static struct blob many(unsigned n)
{
	struct blob b = {.n = (uint16_t)n};

	memset(b.bytes, 'x', n);
	return b;
}

static void stored_is(enum node_secret which, const char *text)
{
	struct blob b = {0};
	int r = store_get_secret(store, which, &b);

	if (!text) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(b.n, strlen(text));
	assert_memory_equal(b.bytes, text, b.n);
}

/* ---- secrets --------------------------------------------------------------------- */

static void chap_secret_lengths(void **state)
{
	static const struct {
		unsigned n;
		uint32_t code;
	} rows[] = {
		{0, 0},
		{1, ISDSC_SHORT_CHAP_SECRET},
		{11, ISDSC_SHORT_CHAP_SECRET},
		{12, 0},
		{16, 0},
		{17, ISDSC_INVALID_INITIATOR_CHAP_SECRET},
		{255, ISDSC_INVALID_INITIATOR_CHAP_SECRET},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct blob b = many(rows[i].n);

		assert_int_equal(security_set_chap(sec, &b, &why), rows[i].code);
	}
	/* what was refused has changed nothing */
	restart();
	stored_is(NODE_CHAP, "xxxxxxxxxxxxxxxx");
}

static void chap_secret_goes(void **state)
{
	struct blob none = {0}, b = bytes("twelve bytes");

	assert_int_equal(security_set_chap(sec, &b, &why), 0);
	restart();
	stored_is(NODE_CHAP, "twelve bytes");
	assert_int_equal(security_set_chap(sec, &none, &why), 0);
	stored_is(NODE_CHAP, NULL);
	restart();
	stored_is(NODE_CHAP, NULL);
}

static void radius_secret_lengths(void **state)
{
	static const unsigned bad[] = {1, 21, 27, 255}, good[] = {22, 26, 0};
	struct blob b;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		b = many(bad[i]);
		assert_int_equal(security_set_radius(sec, &b, &why), WIN_INVALID_PARAMETER);
	}
	stored_is(NODE_RADIUS, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		b = many(good[i]);
		assert_int_equal(security_set_radius(sec, &b, &why), 0);
	}
	stored_is(NODE_RADIUS, NULL);
}

static void group_key_that_is_not_kept(void **state)
{
	struct blob none = {0}, kept = bytes("kept"), other = bytes("for now");

	assert_int_equal(security_set_group_key(sec, &kept, true, &why), 0);
	assert_int_equal(security_set_group_key(sec, &other, false, &why), 0);
	stored_is(NODE_GROUP_KEY, "kept");
	assert_int_equal(security_set_group_key(sec, &none, false, &why), 0);
	restart();
	stored_is(NODE_GROUP_KEY, "kept");
	assert_int_equal(security_set_group_key(sec, &none, true, &why), 0);
	stored_is(NODE_GROUP_KEY, NULL);
}

/* ---- IKE ------------------------------------------------------------------------- */

static struct ike_info of_name(const char *name, uint32_t port)
{
	return (struct ike_info){.port = port, .id_type = IKE_ID_NAME, .id = bytes(name)};
}

static uint32_t flags_of(const char *name, uint32_t port, uint64_t *ret)
{
	struct ike_info key = of_name(name, port);

	*ret = 99;
	return security_get_ike(sec, &key, ret, &why);
}

static void ike_identities(void **state)
{
	static const struct {
		uint32_t type;
		unsigned n;
		uint32_t code;
	} rows[] = {
		{IKE_ID_IPV4, 4, 0},
		{IKE_ID_IPV4, 5, ISDSC_IKE_ID_PAYLOAD_INCORRECT_SIZE},
		{IKE_ID_IPV6, 16, 0},
		{IKE_ID_IPV6, 4, ISDSC_IKE_ID_PAYLOAD_INCORRECT_SIZE},
		{IKE_ID_NAME, 1, 0},
		{IKE_ID_NAME, 255, 0},
		{IKE_ID_NAME, 0, ISDSC_IKE_ID_PAYLOAD_INCORRECT_SIZE},
		{IKE_ID_USER_NAME, 9, 0},
		{0, 4, ISDSC_IKE_ID_PAYLOAD_TYPE_NOT_SUPPORTED},
		{4, 4, ISDSC_IKE_ID_PAYLOAD_TYPE_NOT_SUPPORTED},
		{6, 4, ISDSC_IKE_ID_PAYLOAD_TYPE_NOT_SUPPORTED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ike_info info = {.port = ANY_PORT,
					.id_type = rows[i].type,
					.id = many(rows[i].n),
					.security_flags = 3,
					.key = bytes("k")};
		uint64_t flags = 0;

		assert_int_equal(security_set_ike(sec, &info, true, &why), rows[i].code);
		assert_int_equal(security_get_ike(sec, &info, &flags, &why), rows[i].code);
		assert_int_equal(flags, rows[i].code ? 0 : 3);
	}
}

static void ike_of_a_port_before_all_ports(void **state)
{
	struct ike_info all = of_name("host", ANY_PORT), one = of_name("host", 2);
	uint64_t flags;

	assert_int_equal(flags_of("host", 2, &flags), ISDSC_NO_AUTH_INFO_AVAILABLE);
	assert_int_equal(flags, 99);
	all.security_flags = 0x23;
	one.security_flags = 0x43;
	assert_int_equal(security_set_ike(sec, &all, true, &why), 0);
	assert_int_equal(security_set_ike(sec, &one, true, &why), 0);
	restart();
	assert_int_equal(flags_of("host", 2, &flags), 0);
	assert_int_equal(flags, 0x43);
	assert_int_equal(flags_of("host", 3, &flags), 0);
	assert_int_equal(flags, 0x23);
	assert_int_equal(flags_of("other", 3, &flags), ISDSC_NO_AUTH_INFO_AVAILABLE);
	one.security_flags = 0;
	assert_int_equal(security_set_ike(sec, &one, true, &why), 0);
	assert_int_equal(flags_of("host", 2, &flags), 0);
	assert_int_equal(flags, 0x23);
}

static void ike_that_is_not_kept(void **state)
{
	struct ike_info kept = of_name("kept", ANY_PORT), now = of_name("now", ANY_PORT);
	uint64_t flags;

	kept.key = now.key = bytes("a key");
	kept.security_flags = 3;
	assert_int_equal(security_set_ike(sec, &kept, true, &why), 0);
	kept.security_flags = now.security_flags = 7;
	assert_int_equal(security_set_ike(sec, &kept, false, &why), 0);
	assert_int_equal(security_set_ike(sec, &now, false, &why), 0);
	assert_int_equal(flags_of("kept", ANY_PORT, &flags), 0);
	assert_int_equal(flags, 7);
	restart();
	assert_int_equal(flags_of("kept", ANY_PORT, &flags), 0);
	assert_int_equal(flags, 3);
	assert_int_equal(flags_of("now", ANY_PORT, &flags), ISDSC_NO_AUTH_INFO_AVAILABLE);
}

static void ike_modes_that_exclude_each_other(void **state)
{
	struct ike_info i = of_name("host", ANY_PORT);

	i.security_flags = 0x0d;
	assert_int_equal(security_set_ike(sec, &i, true, &why), WIN_INVALID_PARAMETER);
	i.security_flags = 0x61;
	assert_int_equal(security_set_ike(sec, &i, true, &why), WIN_INVALID_PARAMETER);
	/* not valid: kept, but not looked at */
	i.security_flags = 0x6c;
	assert_int_equal(security_set_ike(sec, &i, true, &why), 0);
}

static void ike_has_a_bound(void **state)
{
	struct ike_info i = of_name("", ANY_PORT);
	uint32_t code = 0;
	unsigned n;

	i.security_flags = 3;
	for (n = 0; n < 5000 && code == 0; n++) {
		char name[16];

		snprintf(name, sizeof(name), "host%u", n);
		i.id = bytes(name);
		code = security_set_ike(sec, &i, false, &why);
	}
	assert_int_equal(code, ISDSC_HBA_SECURITY_CACHE_FULL);
	/* one of those that are there can still be changed */
	i.id = bytes("host0");
	assert_int_equal(security_set_ike(sec, &i, false, &why), 0);
}

/* ---- tunnels and servers --------------------------------------------------------- */

static size_t n_tunnels(void)
{
	CLEANUP(freep) struct tunnel_address *v = NULL;
	size_t n = 0;

	assert_int_equal(store_load_tunnels(store, &v, &n), 0);
	return n;
}

static void tunnels(void **state)
{
	struct tunnel_address t = {.port = ANY_PORT, .outer = "192.0.2.1"}, *v = NULL;
	size_t n = 0;

	assert_int_equal(security_set_tunnel(sec, &t, true, &why), 0);
	strcpy(t.destination, "Gate.example");
	assert_int_equal(security_set_tunnel(sec, &t, true, &why), 0);
	t.port = 3;
	assert_int_equal(security_set_tunnel(sec, &t, true, &why), 0);
	strcpy(t.destination, "gate.EXAMPLE");
	strcpy(t.outer, "192.0.2.2");
	assert_int_equal(security_set_tunnel(sec, &t, true, &why), 0);
	strcpy(t.destination, "for.now");
	assert_int_equal(security_set_tunnel(sec, &t, false, &why), 0);
	restart();
	assert_int_equal(store_load_tunnels(store, &v, &n), 0);
	assert_int_equal(n, 3);
	assert_string_equal(v[0].destination, "");
	assert_string_equal(v[2].outer, "192.0.2.2");
	assert_int_equal(v[2].port, 3);
	free(v);

	t.outer[0] = '\0';
	assert_int_equal(security_set_tunnel(sec, &t, true, &why), 0); /* not there: fine */
	assert_int_equal(n_tunnels(), 3);
	strcpy(t.destination, "gate.example");
	assert_int_equal(security_set_tunnel(sec, &t, true, &why), 0);
	assert_int_equal(n_tunnels(), 2);
	t.port = ANY_PORT;
	t.destination[0] = '\0';
	assert_int_equal(security_set_tunnel(sec, &t, true, &why), 0);
	assert_int_equal(n_tunnels(), 0);
}

static void servers(void **state)
{
	static const enum server_kind kinds[] = {SERVER_RADIUS, SERVER_ISNS};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(security_add_server(sec, kinds[i], "one.example", &why), 0);
		assert_int_equal(security_add_server(sec, kinds[i], "ONE.example", &why), 0);
		restart();
		assert_int_equal(security_n_servers(sec, kinds[i]), 1);
		assert_true(security_has_server(sec, kinds[i], "one.EXAMPLE"));
		assert_false(security_has_server(sec, kinds[i], "two.example"));
	}
	assert_int_equal(security_remove_server(sec, SERVER_ISNS, "one.example", &why), 0);
	assert_int_equal(security_remove_server(sec, SERVER_ISNS, "one.example", &why),
			 ISDSC_ISNS_SERVER_NOT_FOUND);
	assert_int_equal(security_n_servers(sec, SERVER_RADIUS), 1);
	assert_int_equal(security_remove_server(sec, SERVER_RADIUS, "x", &why),
			 WIN_INVALID_PARAMETER);
}

static void servers_have_a_bound(void **state)
{
	uint32_t code = 0;

	for (unsigned n = 0; n < 300 && code == 0; n++) {
		char name[16];

		snprintf(name, sizeof(name), "h%u", n);
		code = security_add_server(sec, SERVER_RADIUS, name, &why);
	}
	assert_int_equal(code, ISDSC_OUT_OF_RESOURCES);
	assert_int_equal(security_add_server(sec, SERVER_RADIUS, "h0", &why), 0);
	assert_int_equal(security_add_server(sec, SERVER_ISNS, "h0", &why), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(chap_secret_lengths),
		TEST(chap_secret_goes),
		TEST(radius_secret_lengths),
		TEST(group_key_that_is_not_kept),
		TEST(ike_identities),
		TEST(ike_of_a_port_before_all_ports),
		TEST(ike_that_is_not_kept),
		TEST(ike_modes_that_exclude_each_other),
		TEST(ike_has_a_bound),
		TEST(tunnels),
		TEST(servers),
		TEST(servers_have_a_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
