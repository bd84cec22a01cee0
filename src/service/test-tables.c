/* SPDX-License-Identifier: MIT */
/*
 * Identifiers, codes, names, the limit of the log
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

#include "service/ids.h"
#include "service/keeper.h"
#include "service/log.h"
#include "service/nodename.h"
#include "service/persistent.h"
#include "service/refusal.h"
#include "service/undead.h"

/* ---- ids ------------------------------------------------------------------------- */

static void id_text_is_unpadded_lower_case(void **state)
{
	const struct unique_id id = {0xABCDEF, 0x1b};
	char text[ID_TEXT_BYTES];

	(void)state;
	id_text(&id, text);
	assert_string_equal(text, "abcdef-1b");
	id_text(&(struct unique_id){UINT64_MAX, UINT64_MAX}, text);
	assert_string_equal(text, "ffffffffffffffff-ffffffffffffffff");
}

static void id_parse_takes_what_is_printed(void **state)
{
	static const char *const bad[] = {"",
					  "-",
					  "1",
					  "1-",
					  "-1",
					  "1-2-3",
					  " 1-2",
					  "1-2 ",
					  "0x1-2",
					  "g-1",
					  "1--2",
					  "1-+2",
					  "10000000000000000-1",
					  "1-10000000000000000"};
	struct unique_id id = {7, 7};

	(void)state;
	assert_int_equal(id_parse("ffffffffffffffff-0", &id), 0);
	assert_true(id.adapter == UINT64_MAX && id.specific == 0);
	assert_int_equal(id_parse("ABC-00def", &id), 0);
	assert_true(id.adapter == 0xabc && id.specific == 0xdef);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(id_parse(bad[i], &id), -EINVAL);
	assert_true(id.adapter == 0xabc); /* untouched */
}

static void ids_of_sessions(void **state)
{
	uint8_t isid[6];
	char text[ISID_TEXT_BYTES];
	struct unique_id id;

	(void)state;
	isid_make(isid, 0x123456, 0x0a0b);
	isid_text(isid, text);
	assert_string_equal(text, "801234560a0b");
	id = id_of_session(isid, 5);
	assert_true(id.adapter != 0 && id.specific == UINT64_C(0x8012345600000005));
	assert_true(id_of_connection(6).specific == 6);
}

/* ---- codes ------------------------------------------------------------------------------ */

static void codes_of_login_status(void **state)
{
	static const struct {
		uint16_t login;
		uint32_t status;
	} rows[] = {
		{0x0101, 0xEFFF0006}, {0x0102, 0xEFFF0007}, {0x0200, 0xEFFF0008},
		{0x0201, 0xEFFF0009}, {0x0202, 0xEFFF000A}, {0x0203, 0xEFFF000B},
		{0x0204, 0xEFFF000C}, {0x0205, 0xEFFF000D}, {0x0206, 0xEFFF000E},
		{0x0207, 0xEFFF000F}, {0x0208, 0xEFFF0010}, {0x0209, 0xEFFF0011},
		{0x0300, 0xEFFF0012}, {0x0301, 0xEFFF0013}, {0x0302, 0xEFFF0014},
		{0x020a, 0xEFFF0008}, {0x03ff, 0xEFFF0012}, {0x0900, 0xEFFF0002},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct initiator_failure f = {-EREMOTEIO, rows[i].login, true, ""};

		assert_int_equal(status_of_login(rows[i].login), rows[i].status);
		assert_int_equal(status_of_failure(&f), rows[i].status);
	}
}

static void codes_of_failures(void **state)
{
	static const struct {
		int error;
		bool connected;
		uint32_t status;
	} rows[] = {
		{-ECONNREFUSED, false, 0xEFFF0003}, {-ETIMEDOUT, false, 0xEFFF0003},
		{-EHOSTUNREACH, false, 0xEFFF0003}, {-ETIMEDOUT, true, 0xEFFF0002},
		{-ECONNRESET, true, 0xEFFF0024},    {-EPROTO, true, 0xEFFF0002},
		{-ENOENT, false, 0xEFFF005F},       {-EBADMSG, true, 0xEFFF001B},
		{-EAFNOSUPPORT, false, 0xEFFF0021}, {-ENOMEM, false, 8},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct initiator_failure f = {rows[i].error, 0, rows[i].connected, ""};

		assert_int_equal(status_of_failure(&f), rows[i].status);
	}
}

static void refusal_text_is_cut_not_overrun(void **state)
{
	struct refusal why = {0};
	char text[2000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(refuse(&why, 7, "%s", text), 7);
	assert_int_equal(strlen(why.text), sizeof(why.text) - 1);
	refusal_clear(&why);
}

/* ---- what an answer says about a unit ------------------------------------------------------- */

static void verdicts(void **state)
{
	struct lu_info a = {.n_id = 1}, b;

	(void)state;
	a.id[0] = (struct scsi_designator){SCSI_ID_NAA, 1, 8, {0x60, 1}};
	b = a;
	assert_int_equal(probe_judge(&a, 0, &b), PROBE_SAME);
	b.limits.n_bytes = 4096; /* grown is not another */
	assert_int_equal(probe_judge(&a, 0, &b), PROBE_SAME);
	b.id[0].bytes[1] = 2;
	assert_int_equal(probe_judge(&a, 0, &b), PROBE_OTHER);
	assert_int_equal(probe_judge(&a, -ENODEV, &b), PROBE_ABSENT);
	assert_int_equal(probe_judge(&a, -EIO, &b), PROBE_UNSURE);
	assert_int_equal(probe_judge(&a, -ETIMEDOUT, &b), PROBE_UNSURE);
}

/* ---- the rest ----------------------------------------------------------------------------------
 */

static void node_name_is_made_fit(void **state)
{
	char name[ISCSI_NAME_MAX + 1], again[ISCSI_NAME_MAX + 1];

	(void)state;
	nodename_make("My_Host.Example.", "0123456789abcdef", name, sizeof(name));
	assert_int_equal(strncmp(name, "iqn.2026-11.local.my-host.example:", 34), 0);
	assert_int_equal(strlen(name), 34 + 8);
	assert_true(iscsi_name_valid(name));
	nodename_make("My_Host.Example.", "0123456789abcdef", again, sizeof(again));
	assert_string_equal(name, again);
	nodename_make("..---", "x", name, sizeof(name));
	assert_true(iscsi_name_valid(name));
}

static void node_name_of_file(void **state)
{
	char file[] = "/tmp/test-name-XXXXXX", name[ISCSI_NAME_MAX + 1] = "";
	int fd = mkstemp(file);
	static const char text[] = "## comment\n#InitiatorName=iqn.2026-01.no:no\n"
				   "InitiatorName=iqn.1993-08.org.debian:01:abc \n";

	(void)state;
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(nodename_from_file(file, name, sizeof(name)), 0);
	assert_string_equal(name, "iqn.1993-08.org.debian:01:abc");
	assert_int_equal(ftruncate(fd, 12), 0);
	assert_int_equal(nodename_from_file(file, name, sizeof(name)), -ENOENT);
	assert_int_equal(pwrite(fd, "InitiatorName=what\n", 19, 0), 19);
	assert_int_equal(nodename_from_file(file, name, sizeof(name)), -EINVAL);
	close(fd);
	unlink(file);
	assert_int_equal(nodename_from_file(file, name, sizeof(name)), -ENOENT);
}

static void log_limit(void **state)
{
	struct log_limit l = LOG_LIMIT_INIT;
	uint64_t now = 1000 * LOG_REFILL_NS;
	unsigned n_passed = 0, dropped = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		n_passed += log_limit_pass(&l, now, &dropped);
	assert_int_equal(n_passed, LOG_BURST);
	assert_true(log_limit_pass(&l, now + LOG_REFILL_NS, &dropped));
	assert_int_equal(dropped, 100 - LOG_BURST);
	assert_false(log_limit_pass(&l, now + LOG_REFILL_NS, &dropped));
	n_passed = 0;
	for (unsigned i = 0; i < 100; i++)
		n_passed += log_limit_pass(&l, now * 2, &dropped);
	assert_int_equal(n_passed, LOG_BURST);
}

static void undead_services(void **state)
{
	(void)state;
	assert_true(status_is_undead("Name:\tx\nState:\tZ (zombie)\nSigPnd:\t0000000000000000\n"));
	assert_true(
		status_is_undead("Name:\tx\nState:\tD (disk sleep)\nSigPnd:\t0000000000000100\n"));
	assert_true(status_is_undead("Name:\tx\nState:\tS (sleeping)\nSigPnd:\t0000000000000000\n"
				     "ShdPnd:\t0000000000000102\n"));
	assert_false(status_is_undead("Name:\tx\nState:\tS (sleeping)\nSigPnd:\t0000000000000000\n"
				      "ShdPnd:\t0000000000004002\nSigBlk:\tffffffffffffffff\n"));
	assert_false(status_is_undead(""));
}

static void start_delays_grow_to_the_limit(void **state)
{
	const struct tuning t = {.retry_min_ns = NS_PER_S, .retry_max_ns = 30 * NS_PER_S};

	(void)state;
	assert_int_equal(persistent_delay_ns(&t, 1), NS_PER_S);
	assert_int_equal(persistent_delay_ns(&t, 2), 2 * NS_PER_S);
	assert_int_equal(persistent_delay_ns(&t, 5), 16 * NS_PER_S);
	assert_int_equal(persistent_delay_ns(&t, 6), 30 * NS_PER_S);
	assert_int_equal(persistent_delay_ns(&t, 1000000), 30 * NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(id_text_is_unpadded_lower_case),
		cmocka_unit_test(id_parse_takes_what_is_printed),
		cmocka_unit_test(ids_of_sessions),
		cmocka_unit_test(codes_of_login_status),
		cmocka_unit_test(codes_of_failures),
		cmocka_unit_test(refusal_text_is_cut_not_overrun),
		cmocka_unit_test(verdicts),
		cmocka_unit_test(node_name_is_made_fit),
		cmocka_unit_test(node_name_of_file),
		cmocka_unit_test(log_limit),
		cmocka_unit_test(undead_services),
		cmocka_unit_test(start_delays_grow_to_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
