/* SPDX-License-Identifier: MIT */
/*
 * Parameters of calls: what is taken, and with which words the rest is refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "service/args.h"

static struct refusal why;
static struct args a = {.why = &why};

static void parse(const char *text)
{
	json_decref(a.obj);
	memset(&why, 0, sizeof(why));
	a.obj = json_loads(text, 0, NULL);
	assert_non_null(a.obj);
}

static int drop(void **state)
{
	(void)state;
	json_decref(a.obj);
	a.obj = NULL;
	return 0;
}

static void refused(uint32_t code, const char *words)
{
	assert_int_equal(why.code, code);
	if (!strstr(why.text, words))
		fail_msg("expected \"%s\" in: %s", words, why.text);
}

static void unknown_members(void **state)
{
	(void)state;
	parse("{\"one\":1,\"three\":null}");
	assert_true(args_known(&a, "one two three"));
	assert_false(args_known(&a, "one two"));
	refused(87, "three");
	parse("{\"tw\":1}");
	assert_false(args_known(&a, "one two"));
	parse("{}");
	assert_true(args_known(&a, ""));
}

static void numbers(void **state)
{
	uint64_t v = 9;
	uint32_t u;

	(void)state;
	parse("{\"n\":5,\"s\":\"5\",\"f\":5.0,\"m\":-1,\"b\":4294967296}");
	assert_true(arg_int(&a, "n", 5, 5, &v));
	assert_false(arg_int(&a, "n", 6, 9, &v));
	refused(87, "between 6 and 9");
	assert_false(arg_int(&a, "s", 0, 9, &v));
	assert_false(arg_int(&a, "f", 0, 9, &v));
	assert_false(arg_int(&a, "m", 0, 9, &v));
	assert_false(arg_int(&a, "x", 0, 9, &v));
	refused(87, "missing");
	assert_false(arg_u32(&a, "b", &u));
}

static void ports(void **state)
{
	uint32_t port;

	(void)state;
	parse("{\"initiatorPort\":0}");
	assert_false(arg_port(&a, &port));
	refused(87, "initiatorPort");
	parse("{\"initiatorPort\":4294967295}");
	assert_true(arg_port(&a, &port));
}

static void instances(void **state)
{
	char buf[INSTANCE_MAX + 1];

	(void)state;
	parse("{\"i\":null}");
	assert_true(arg_instance(&a, "i", buf));
	assert_string_equal(buf, "");
	parse("{\"i\":\"root\\\\iscsiprt\\\\0000_0\"}");
	assert_true(arg_instance(&a, "i", buf));
	assert_string_equal(buf, HBA_INSTANCE);
	parse("{\"i\":\"other\"}");
	assert_false(arg_instance(&a, "i", buf));
	refused(ISDSC_INITIATOR_INSTANCE_NOT_FOUND, "other");
}

static void portals(void **state)
{
	static const char *const bad[] = {
		"{\"p\":5}",
		"{\"p\":{\"address\":\"\",\"socket\":3260}}",
		"{\"p\":{\"address\":\"a b\",\"socket\":3260}}",
		"{\"p\":{\"address\":\"a/b\",\"socket\":3260}}",
		"{\"p\":{\"address\":\"a\",\"socket\":0}}",
		"{\"p\":{\"address\":\"a\",\"socket\":65536}}",
		"{\"p\":{\"socket\":3260}}",
		"{\"p\":{\"address\":\"a\",\"socket\":1,\"more\":1}}",
	};
	struct portal p;
	bool there;

	(void)state;
	parse("{\"p\":{\"symbolicName\":\"s\",\"address\":\"::1\",\"socket\":65535}}");
	assert_true(arg_portal(&a, "p", &p, &there));
	assert_true(there);
	assert_string_equal(p.address, "::1");
	assert_int_equal(p.socket, 65535);
	assert_true(arg_portal(&a, "q", &p, &there));
	assert_false(there);
	assert_false(arg_portal(&a, "q", &p, NULL));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		parse(bad[i]);
		assert_false(arg_portal(&a, "p", &p, &there));
		assert_int_equal(why.code, 87);
	}
}

static void options(void **state)
{
	struct login_options o;
	bool there;

	(void)state;
	parse("{\"o\":{\"informationSpecified\":225,\"loginFlags\":2,\"headerDigest\":1,"
	      "\"dataDigest\":77,\"authType\":1,\"username\":\"00ff\",\"password\":\"616263\"}}");
	assert_true(arg_options(&a, "o", &o, &there));
	assert_true(there);
	assert_int_equal(o.flags, 2);
	assert_int_equal(o.header_digest, 1);
	assert_int_equal(o.data_digest, 0); /* its bit is clear: not looked at */
	assert_int_equal(o.username.n, 2);
	assert_memory_equal(o.password.bytes, "abc", 3);
	parse("{}");
	assert_true(arg_options(&a, "o", &o, &there));
	assert_false(there);
	assert_int_equal(o.specified, 0);

	parse("{\"o\":{\"informationSpecified\":128,\"loginFlags\":0,\"authType\":3}}");
	assert_false(arg_options(&a, "o", &o, &there));
	refused(ISDSC_INVALID_LOGON_AUTH_TYPE, "3");
	parse("{\"o\":{\"informationSpecified\":2,\"loginFlags\":0,\"dataDigest\":2}}");
	assert_false(arg_options(&a, "o", &o, &there));
	refused(87, "dataDigest");
	parse("{\"o\":{\"informationSpecified\":8,\"loginFlags\":0,\"defaultTime2Wait\":3601}}");
	assert_false(arg_options(&a, "o", &o, &there));
	parse("{\"o\":{\"informationSpecified\":64,\"loginFlags\":0,\"password\":\"abc\"}}");
	assert_false(arg_options(&a, "o", &o, &there));
	parse("{\"o\":{\"informationSpecified\":64,\"loginFlags\":0,\"password\":\"zz\"}}");
	assert_false(arg_options(&a, "o", &o, &there));
	assert_null(strstr(why.text, "zz")); /* a secret is in no text */
	parse("{\"o\":{\"loginFlags\":0}}");
	assert_false(arg_options(&a, "o", &o, &there));
}

static void options_come_back_without_the_password(void **state)
{
	struct login_options o = {.specified = OPT_USERNAME | OPT_PASSWORD | OPT_HEADER_DIGEST,
				  .flags = 2,
				  .header_digest = 1,
				  .username = {2, {0xab, 0}},
				  .password = {3, {1, 2, 3}}};
	json_t *j = json_of_options(&o);

	(void)state;
	assert_non_null(j);
	assert_null(json_object_get(j, "password"));
	assert_null(json_object_get(j, "dataDigest"));
	assert_string_equal(json_string_value(json_object_get(j, "username")), "ab00");
	assert_int_equal(json_integer_value(json_object_get(j, "informationSpecified")),
			 o.specified);
	json_decref(j);
}

static void targets_and_luns(void **state)
{
	char name[ISCSI_NAME_MAX + 1];
	struct unique_id id;
	uint64_t lun;
	bool there;

	(void)state;
	parse("{\"t\":\"iqn.2026-01.a:b\",\"l\":\"0001000000000000\",\"s\":\"1-2\",\"n\":null}");
	assert_true(arg_target(&a, "t", name));
	assert_true(arg_lun(&a, "l", &lun));
	assert_true(lun == UINT64_C(1) << 48);
	assert_true(arg_session(&a, "s", &id, NULL));
	assert_true(arg_session(&a, "n", &id, &there));
	assert_false(there);
	assert_false(arg_session(&a, "n", &id, NULL));
	parse("{\"t\":\"nonsense\",\"l\":\"1\",\"s\":\"12\"}");
	assert_false(arg_target(&a, "t", name));
	refused(ISDSC_INVALID_ISCSI_NAME, "nonsense");
	assert_false(arg_lun(&a, "l", &lun));
	refused(87, "16 hexadecimal");
	assert_false(arg_session(&a, "s", &id, NULL));
	refused(ISDSC_INVALID_SESSION_ID, "12");
}

static void foreign_text(void **state)
{
	json_t *j = json_of_foreign("caf\xe9");

	(void)state;
	assert_string_equal(json_string_value(j), "caf?");
	json_decref(j);
}

static void mappings(void **state)
{
	static const char full[] =
		"{\"m\":{\"initiatorName\":\"h\",\"targetName\":\"t\",\"osDeviceName\":\"d\","
		"\"sessionId\":\"1-2\",\"osBusNumber\":4294967295,\"osTargetNumber\":7,"
		"\"luns\":[{\"osLun\":4294967295,\"targetLun\":\"0001000000000000\"},"
		"{\"osLun\":0,\"targetLun\":\"ffffffffffffffff\"}]}}";
	static const struct {
		const char *text, *words;
	} bad[] = {
		{"{\"m\":[]}", "an object"},
		{"{\"m\":{\"osBusNumber\":0}}", "osTargetNumber"},
		{"{\"m\":{\"osBusNumber\":0,\"osTargetNumber\":0,\"luns\":{}}}", "an array"},
		{"{\"m\":{\"osBusNumber\":0,\"osTargetNumber\":0,\"luns\":[1]}}", "of objects"},
		{"{\"m\":{\"osBusNumber\":0,\"osTargetNumber\":0,\"luns\":[{\"osLun\":0,"
		 "\"targetLun\":\"0\"}]}}",
		 "16 hexadecimal digits"},
		{"{\"m\":{\"osBusNumber\":0,\"osTargetNumber\":0,\"luns\":["
		 "{\"osLun\":0,\"targetLun\":\"0000000000000000\"},"
		 "{\"osLun\":1,\"targetLun\":\"0000000000000000\"}]}}",
		 "names a unit twice"},
		{"{\"m\":{\"osBusNumber\":0,\"osTargetNumber\":0,\"luns\":["
		 "{\"osLun\":0,\"targetLun\":\"0000000000000000\"},"
		 "{\"osLun\":0,\"targetLun\":\"0001000000000000\"}]}}",
		 "asked for twice"},
		{"{\"m\":{\"osBusNumber\":0,\"osTargetNumber\":0,\"x\":1}}", "not known"},
	};
	struct target_mapping m = {0};
	json_t *back;
	bool there;

	(void)state;
	parse(full);
	assert_true(arg_mapping(&a, "m", &m, &there) && there);
	assert_int_equal(m.bus, ANY_NUMBER);
	assert_int_equal(m.n_luns, 2);
	assert_true(m.luns[0].target_lun == UINT64_C(1) << 48);
	back = json_of_mapping(&m);
	assert_true(json_equal(back, json_object_get(a.obj, "m")));
	json_decref(back);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		parse(bad[i].text);
		assert_false(arg_mapping(&a, "m", &m, &there));
		refused(87, bad[i].words);
	}
	parse("{\"m\":null}");
	assert_true(arg_mapping(&a, "m", &m, &there) && !there);
	/* the least one */
	parse("{\"m\":{\"osBusNumber\":1,\"osTargetNumber\":2}}");
	assert_true(arg_mapping(&a, "m", &m, &there) && there);
	assert_int_equal(m.n_luns, 0);
	assert_string_equal(m.target, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_members),
		cmocka_unit_test(numbers),
		cmocka_unit_test(ports),
		cmocka_unit_test(instances),
		cmocka_unit_test(portals),
		cmocka_unit_test(options),
		cmocka_unit_test(options_come_back_without_the_password),
		cmocka_unit_test(mappings),
		cmocka_unit_test(targets_and_luns),
		cmocka_unit_test(foreign_text),
	};

	return cmocka_run_group_tests(tests, NULL, drop);
}
