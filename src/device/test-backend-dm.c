/* SPDX-License-Identifier: MIT */
/*
 * Backends: a device mapper device on top, where the kernel has device mapper
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/test-rig.h"

static struct rig rig;

static int teardown(void **state)
{
	(void)rig_sh(&rig, "dmsetup remove --retry rig-on-top #!quiet");
	rig_end(&rig);
	return 0;
}

static void dm_on_top_is_found(void **state)
{
	struct holders found = {0};

	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig_sh(&rig, "dmsetup create rig-on-top --table \"0 8192 linear $P 0\""),
			 0);
	assert_int_equal(rig.backend->holders(rig.dev, &found), 0);
	assert_non_null(holder_find(&found, HOLDER_DM, "/dev/mapper/rig-on-top"));
	holders_clear(&found);
	assert_int_equal(rig.backend->close_gate(rig.dev), -EBUSY);
	assert_int_equal(rig_sh(&rig, "dmsetup remove --retry rig-on-top"), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->holders(rig.dev, &found), 0);
	assert_int_equal(found.n, 0);
	assert_int_equal(rig.backend->stop(rig.dev, false, 5000), 0);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {cmocka_unit_test_teardown(dm_on_top_is_found, teardown)};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
	const int fd = open("/dev/mapper/control", O_RDWR);

	if (fd < 0) {
		printf("skipped: no device mapper here\n");
		return 77;
	}
	close(fd);
	return rig_main(argc, argv, &blk_backend_loop, tests, NULL);
}
