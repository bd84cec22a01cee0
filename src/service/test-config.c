/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/name.h"
#include "device/lu.h"
#include "io/loop.h"
#include "service/config.h"

static char dir[64], path[96], why[600];
static struct config c;

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test-config-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/x.conf", dir);
	why[0] = '\0';
	config_init(&c);
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	config_clear(&c);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd);
}

static void put(const char *name, const char *text)
{
	char file[200];
	FILE *f;

	snprintf(file, sizeof(file), "%s/%s", dir, name);
	f = fopen(file, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int load(const char *text)
{
	put("x.conf", text);
	return config_load(&c, path, true, why, sizeof(why));
}

/* Refused, and the message has @line and @words. */
static void refused(const char *text, unsigned line, const char *words)
{
	char where[128];

	assert_int_equal(load(text), -EINVAL);
	snprintf(where, sizeof(where), "x.conf:%u: ", line);
	if (!strstr(why, where) || !strstr(why, words))
		fail_msg("expected line %u and \"%s\" in: %s", line, words, why);
}

static void defaults(void **state)
{
	(void)state;
	assert_string_equal(c.backend, "auto");
	assert_int_equal(c.session.hold_ns, 60 * NS_PER_S);
	assert_int_equal(c.stop_timeout_ns, 60 * NS_PER_S);
	assert_int_equal(c.refresh_timeout_ns, 90 * NS_PER_S);
	assert_int_equal(c.bound_devices_timeout_ns, 120 * NS_PER_S);
	assert_int_equal(c.socket_mode, 0660);
	assert_int_equal(c.session.max_units, 1024);
	assert_int_equal(c.others_may_read, 1);
	assert_int_equal(c.idle_timeout_ns, 600 * NS_PER_S);
	assert_int_equal(c.listener_timeout_ns, 60 * NS_PER_S);
	assert_int_equal(c.session.pdus_in_order, 1);
	assert_int_equal(c.session.sequences_in_order, 1);
	assert_int_equal(c.chap_md5, 1);
	/* no target but our own survives level 2, and few know level 1 */
	assert_int_equal(c.session.error_recovery_level, 0);
	assert_int_equal(c.session.max_connections, 1);
	assert_int_equal(config_check(&c, why, sizeof(why)), 0);
}

static void missing_file(void **state)
{
	(void)state;
	assert_int_equal(config_load(&c, path, false, why, sizeof(why)), 0);
	assert_int_equal(config_load(&c, path, true, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, path));
}

static void values(void **state)
{
	struct iscsi_params offer;
	struct tuning t;

	(void)state;
	assert_int_equal(load("# comment\n"
			      "[service]\n"
			      "backend = fuse\n"
			      "  socket_group = disk\n" /* indented is not continued */
			      "socket_mode=0666\n"
			      "stop_timeout = 2min\n"
			      "refresh_timeout = 5\n"
			      "[startup]\n"
			      "bound_devices_timeout = 0\n"
			      "[service]\n"
			      "log_level = debug\n"
			      "kept_logins = no\n"
			      "[access]\n"
			      "others_may_read = no\n"
			      "idle_timeout = 0\n"
			      "listener_timeout = 1s\n"
			      "[security]\n"
			      "chap_md5 = no\n"
			      "\n"
			      "[session]\n"
			      "hold_time = 90\n"
			      "nop_interval = 500ms\n"
			      "MaxBurstLength = 1M\n"
			      "FirstBurstLength = 64K\n"
			      "HeaderDigest = CRC32C\n"
			      "connection_policy = least_queue\n"
			      "path_policy = round_robin\n"
			      "InitialR2T = yes\n"
			      "ImmediateData = no\n"
			      "MaxRecvDataSegmentLength = 8K\n"
			      "MaxOutstandingR2T = 3\n"
			      "DataPDUInOrder = no\n"
			      "DataSequenceInOrder = no\n"
			      "MaxConnections = 4\n"
			      "DefaultTime2Wait = 0\n"
			      "DefaultTime2Retain = 1min\n"
			      "ErrorRecoveryLevel = 2\n"),
			 0);
	assert_string_equal(c.backend, "fuse");
	assert_string_equal(c.socket_group, "disk");
	assert_int_equal(c.socket_mode, 0666);
	assert_int_equal(c.stop_timeout_ns, 120 * NS_PER_S);
	assert_int_equal(c.refresh_timeout_ns, 5 * NS_PER_S);
	assert_int_equal(c.bound_devices_timeout_ns, 0);
	assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.kept_logins, 0);
	assert_int_equal(c.others_may_read, 0);
	assert_int_equal(c.idle_timeout_ns, 0);
	assert_int_equal(c.listener_timeout_ns, NS_PER_S);
	assert_int_equal(c.chap_md5, 0);
	assert_int_equal(config_check(&c, why, sizeof(why)), 0);
	config_tuning(&c, "iqn.2026-01.a:b", &t);
	assert_int_equal(t.hold_ns, 90 * NS_PER_S);
	assert_int_equal(t.nop_interval_ns, 500 * NS_PER_MS);
	tuning_offer(&t, &offer);
	assert_int_equal(offer.MaxBurstLength, 1048576);
	assert_int_equal(offer.FirstBurstLength, 65536);
	assert_int_equal(offer.HeaderDigest, ISCSI_OFFER_CRC32C);
	assert_int_equal(t.connection_policy, ISCSI_POLICY_LEAST_QUEUE);
	assert_int_equal(t.path_policy, LU_POLICY_ROUND_ROBIN);
	assert_int_equal(offer.InitialR2T, 1);
	assert_int_equal(offer.ImmediateData, 0);
	assert_int_equal(offer.MaxRecvDataSegmentLength, 8192);
	assert_int_equal(offer.MaxOutstandingR2T, 3);
	assert_int_equal(offer.DataPDUInOrder, 0);
	assert_int_equal(offer.DataSequenceInOrder, 0);
	assert_int_equal(offer.MaxConnections, 4);
	assert_int_equal(offer.DefaultTime2Wait, 0);
	assert_int_equal(offer.DefaultTime2Retain, 60);
	assert_int_equal(offer.ErrorRecoveryLevel, 2);
}

static void drop_ins_in_order(void **state)
{
	char d[128];

	(void)state;
	snprintf(d, sizeof(d), "%s.d", path);
	assert_int_equal(mkdir(d, 0700), 0);
	put("x.conf.d/20-b.conf", "[session]\nhold_time = 2\n");
	put("x.conf.d/10-a.conf", "[session]\nhold_time = 1\nqueue_depth = 7\n");
	put("x.conf.d/ignored.txt", "rubbish\n");
	assert_int_equal(load("[session]\nhold_time = 9\n"), 0);
	assert_int_equal(c.session.hold_ns, 2 * NS_PER_S);
	assert_int_equal(c.session.queue_depth, 7);
	put("x.conf.d/30-c.conf", "\nhold_time = 3\n");
	assert_int_equal(load(""), -EINVAL);
	assert_non_null(strstr(why, "30-c.conf:2: "));
}

static void targets_override(void **state)
{
	char name[260], text[700];
	struct tuning t;

	(void)state;
	/* as long as a name can be: nothing may be cut */
	snprintf(name, sizeof(name), "iqn.2026-01.a:");
	memset(name + strlen(name), 'x', ISCSI_NAME_MAX - strlen(name));
	name[ISCSI_NAME_MAX] = '\0';
	snprintf(text, sizeof(text),
		 "[target %s]\nhold_time = 7\n"
		 "[target iqn.2026-01.b:*]\nhold_time = 8\n"
		 "[target iqn.2026-01.B:two]\nqueue_depth = 3\nmax_units = 16384\n"
		 "[session]\nhold_time = 5\n",
		 name);
	assert_int_equal(load(text), 0);
	config_tuning(&c, name, &t);
	assert_int_equal(t.hold_ns, 7 * NS_PER_S);
	name[ISCSI_NAME_MAX - 1] = 'y';
	config_tuning(&c, name, &t);
	assert_int_equal(t.hold_ns, 5 * NS_PER_S);
	config_tuning(&c, "iqn.2026-01.B:TWO", &t);
	assert_int_equal(t.hold_ns, 8 * NS_PER_S);
	assert_int_equal(t.queue_depth, 3);
	assert_int_equal(t.max_units, 16384);
	config_tuning(&c, "iqn.2026-01.b:one", &t);
	assert_int_equal(t.queue_depth, 128);
}

static void mistakes(void **state)
{
	char long_line[400];

	(void)state;
	refused("[service]\nbackand = loop\n", 2, "backand");
	refused("\n[session]\nbackend = loop\n", 3, "backend");
	refused("[service]\nhold_time = 3\n", 2, "hold_time");
	refused("[servce]\nbackend = loop\n", 2, "servce");
	refused("backend = loop\n", 1, "before the first section");
	refused("[session]\n\nhold_time = soon\n", 3, "soon");
	refused("[session]\nhold_time = 0\n", 2, "between 1 s and 86400 s");
	refused("[session]\nhold_time = 99999999999999999999\n", 2, "hold_time");
	refused("[session]\nhold_time = 18446744073709551615h\n", 2, "hold_time");
	refused("[session]\nqueue_depth = -1\n", 2, "queue_depth");
	refused("[session]\nqueue_depth = 12x\n", 2, "queue_depth");
	refused("[session]\nmax_units = 0\n", 2, "between 1 and 16384");
	refused("[session]\nmax_units = 16385\n", 2, "between 1 and 16384");
	refused("[session]\nHeaderDigest = md5\n", 2, "HeaderDigest");
	refused("[session]\nconnection_policy = some\n", 2, "connection_policy");
	refused("[session]\npath_policy = weighted\n", 2, "path_policy");
	refused("[session]\nInitialR2T = maybe\n", 2, "InitialR2T");
	refused("[session]\nErrorRecoveryLevel = 3\n", 2, "between 0 and 2");
	refused("[session]\nMaxConnections = 0\n", 2, "between 1 and 65535");
	refused("[session]\nDefaultTime2Retain = 2h\n", 2, "between 0 s and 3600 s");
	refused("[service]\nsocket_mode = 9\n", 2, "socket_mode");
	refused("[service]\nidle_timeout = 9\n", 2, "idle_timeout");
	refused("[access]\nsocket_mode = 0666\n", 2, "socket_mode");
	refused("[security]\nchap_md5 = maybe\n", 2, "yes or no");
	refused("[service]\nsocket_mode = 1777\n", 2, "between 0 and 777");
	refused("[service]\nlog_level = loud\n", 2, "log_level");
	refused("[service]\nbackend =\n", 2, "backend");
	refused("[target nonsense name]\nhold_time = 3\n", 2, "not an iSCSI name");
	refused("[target *x*]\nhold_time = 3\n", 2, "not an iSCSI name");
	refused("[session\nhold_time = 3\n", 1, "[name]");
	refused("[session] more\nhold_time = 3\n", 1, "[name]");
	refused("[session]\nonly a word\n", 2, "key = value");
	snprintf(long_line, sizeof(long_line), "[service]\nbackend = ");
	memset(long_line + strlen(long_line), 'x', 300);
	long_line[320] = '\0';
	refused(long_line, 2, "longer");
	refused("[session]\nhold_time = \xff\xfe\n", 2, "not text");
}

static void values_that_do_not_fit(void **state)
{
	(void)state;
	assert_int_equal(load("[target iqn.2026-01.a:b]\nMaxBurstLength = 4096\n"), 0);
	assert_int_equal(config_check(&c, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "target iqn.2026-01.a:b"));
}

static void whole_seconds(void **state)
{
	(void)state;
	assert_int_equal(load("[session]\nDefaultTime2Wait = 1500ms\n"), 0);
	assert_int_equal(config_check(&c, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "whole seconds"));
}

static void recovery_level_of_one_target(void **state)
{
	struct iscsi_params offer;
	struct tuning t;

	(void)state;
	assert_int_equal(load("[target iqn.2026-01.a:*]\nErrorRecoveryLevel = 1\n"), 0);
	config_tuning(&c, "iqn.2026-01.a:b", &t);
	tuning_offer(&t, &offer);
	assert_int_equal(offer.ErrorRecoveryLevel, 1);
	config_tuning(&c, "iqn.2026-01.b:b", &t);
	tuning_offer(&t, &offer);
	assert_int_equal(offer.ErrorRecoveryLevel, 0);
}

static void paths_of(const char *target, struct initiator_paths *ret)
{
	struct tuning t;

	config_tuning(&c, target, &t);
	config_paths(&c, &t, ret);
}

static void portals_preferred(void **state)
{
	struct initiator_paths p;
	char text[TCP_ADDR_TEXT];

	(void)state;
	assert_int_equal(load("[session]\n"
			      "connection_policy = subset\n"
			      "preferred_portals = 192.0.2.1, [2001:db8::1]:4711\n"
			      "portal_weights = 192.0.2.1=7 192.0.2.9:3261=65535\n"
			      "[target iqn.2026-01.a:b]\n"
			      "connection_policy = weighted\n"
			      "preferred_portals = 192.0.2.2:1\n"),
			 0);
	assert_int_equal(config_check(&c, why, sizeof(why)), 0);
	paths_of("iqn.2026-01.x:y", &p);
	assert_int_equal(p.n, 3);
	tcp_addr_text_port(&p.v[1].addr, text, sizeof(text));
	assert_string_equal(text, "[2001:db8::1]:4711");
	assert_false(p.v[0].inactive);
	assert_int_equal(p.v[0].weight, 7);
	assert_int_equal(tcp_addr_port(&p.v[0].addr), 3260);
	assert_false(p.v[1].inactive);
	assert_int_equal(p.v[1].weight, UINT_MAX);
	assert_true(p.v[2].inactive);
	assert_int_equal(p.v[2].weight, 65535);
	assert_true(p.others.inactive);
	assert_int_equal(p.others.weight, UINT_MAX);
	paths_of("iqn.2026-01.a:b", &p);
	assert_int_equal(p.n, 3);
	assert_int_equal(tcp_addr_port(&p.v[0].addr), 1);
	assert_int_equal(p.v[1].weight, 7);
}

static void portals_not_preferred(void **state)
{
	struct initiator_paths p;

	(void)state;
	paths_of("iqn.2026-01.a:b", &p);
	assert_int_equal(p.n, 0);
	assert_false(p.others.inactive);
	assert_int_equal(p.others.weight, 0);
	refused("[session]\npreferred_portals = host.example.org\n", 2, "numeric");
	refused("[session]\npreferred_portals = 192.0.2.1=1\n", 2, "numeric");
	refused("[session]\npreferred_portals = 192.0.2.1 192.0.2.1:3260\n", 2, "different");
	refused("[session]\npreferred_portals = 192.0.2.1:0\n", 2, "192.0.2.1:0");
	refused("[session]\npreferred_portals =\n", 2, "1 to 16");
	refused("[session]\nportal_weights = 192.0.2.1\n", 2, "WEIGHT");
	refused("[session]\nportal_weights = 192.0.2.1=65536\n", 2, "WEIGHT");
	refused("[session]\nportal_weights = 192.0.2.1=-1\n", 2, "WEIGHT");
	refused("[session]\nportal_weights = 192.0.2.1=\n", 2, "WEIGHT");
	refused("[session]\nportal_weights = 192.0.2.1=1=2\n", 2, "WEIGHT");
	refused("[session]\npreferred_portals = 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 "
		"1.1.1.7 1.1.1.8 1.1.1.9 1.1.2.1 1.1.2.2 1.1.2.3 1.1.2.4 1.1.2.5 1.1.2.6 1.1.2.7 "
		"1.1.2.8\n",
		2, "1 to 16");
	assert_int_equal(load("[session]\nconnection_policy = subset\n"), 0);
	assert_int_equal(config_check(&c, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "needs preferred_portals"));
	assert_int_equal(load("[session]\nconnection_policy = weighted\n"), 0);
	assert_int_equal(config_check(&c, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "needs portal_weights"));
}

static void retry_order(void **state)
{
	(void)state;
	assert_int_equal(load("[session]\nretry_min = 10\nretry_max = 5\n"), 0);
	assert_int_equal(config_check(&c, why, sizeof(why)), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults),
		TEST(missing_file),
		TEST(values),
		TEST(drop_ins_in_order),
		TEST(targets_override),
		TEST(mistakes),
		TEST(values_that_do_not_fit),
		TEST(whole_seconds),
		TEST(recovery_level_of_one_target),
		TEST(portals_preferred),
		TEST(portals_not_preferred),
		TEST(retry_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
