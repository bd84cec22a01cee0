/* SPDX-License-Identifier: MIT */
/*
 * Holders: the list and its words; the choice of a backend by name
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "device/backend.h"
#include "device/holders.h"

/* Nobody is served here. */
void blk_submit(struct lu *lu, struct blk_req *r)
{
	fail();
}

static void list_keeps_one_of_equals(void **state)
{
	CLEANUP(holders_clear) struct holders h = {0};
	struct holder one = {.kind = HOLDER_MOUNT, .device = "/dev/loop0", .where = "/mnt"};

	assert_int_equal(holders_add(&h, &one), 0);
	assert_int_equal(holders_add(&h, &one), 0);
	assert_int_equal(h.n, 1);
	one.other_namespace = true;
	assert_int_equal(holders_add(&h, &one), 0);
	one.pid = 7;
	assert_int_equal(holders_add(&h, &one), 0);
	assert_int_equal(h.n, 3);
	assert_int_equal(h.v[0].pid, 0);
	assert_int_equal(h.v[2].pid, 7);
	holders_clear(&h);
	assert_int_equal(h.n, 0);
	assert_null(h.v);
}

static void kinds_have_names(void **state)
{
	assert_string_equal(holder_kind_name(HOLDER_MOUNT), "mount");
	assert_string_equal(holder_kind_name(HOLDER_SWAP), "swap");
	assert_string_equal(holder_kind_name(HOLDER_DM), "dm");
	assert_string_equal(holder_kind_name(HOLDER_LOOP), "loop");
	assert_string_equal(holder_kind_name(HOLDER_OPEN), "open");
	assert_string_equal(holder_kind_name(HOLDER_EXCLUSIVE), "exclusive");
	assert_string_equal(holder_kind_name(HOLDER_FUSE_OPEN), "fuse-open");
	assert_string_equal(holder_kind_name(HOLDER_NBD), "nbd");
	assert_string_equal(holder_kind_name((enum holder_kind)99), "unknown");
}

static void words_name_the_holder(void **state)
{
	static const struct {
		struct holder h;
		const char *text;
	} cases[] = {
		{{HOLDER_MOUNT, 0, "", "/dev/loop0p1", "/mnt/data", false},
		 "/dev/loop0p1 is mounted on /mnt/data"},
		{{HOLDER_MOUNT, 12, "nginx", "/dev/loop0", "/srv", true},
		 "/dev/loop0 is mounted on /srv in the mount namespace of process 12 (nginx)"},
		{{HOLDER_MOUNT, 12, "cat", "/dev/loop0", "(unmounted lazily)", false},
		 "a file system on /dev/loop0 is open by process 12 (cat) (unmounted lazily)"},
		{{HOLDER_SWAP, 0, "", "/dev/loop0", "/dev/loop0", false},
		 "/dev/loop0 is used as swap"},
		{{HOLDER_DM, 0, "", "/dev/loop0", "/dev/mapper/vg-lv", false},
		 "/dev/loop0 is a part of /dev/mapper/vg-lv"},
		{{HOLDER_LOOP, 0, "", "/dev/loop0", "/dev/loop1", false},
		 "/dev/loop0 is the file of /dev/loop1"},
		{{HOLDER_OPEN, 12, "fio", "/dev/loop0", "/dev/loop0", false},
		 "/dev/loop0 is open by process 12 (fio)"},
		{{HOLDER_OPEN, 12, "", "/dev/loop0", "/dev/loop0", false},
		 "/dev/loop0 is open by process 12"},
		{{HOLDER_EXCLUSIVE, 0, "", "/dev/loop0", "", false},
		 "/dev/loop0 is claimed exclusively by a user that could not be found"},
		{{HOLDER_FUSE_OPEN, 12, "qemu", "/x/disk", "/x/disk", false},
		 "/x/disk was opened by process 12 (qemu), and is open still"},
	};
	char text[256];

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++) {
		holder_text(&cases[k].h, text, sizeof(text));
		assert_string_equal(text, cases[k].text);
	}
}

static void words_are_cut_to_the_room(void **state)
{
	const struct holder h = {.kind = HOLDER_MOUNT, .device = "/dev/loop0", .where = "/mnt"};
	char text[8];

	memset(text, 'x', sizeof(text));
	holder_text(&h, text, sizeof(text));
	assert_string_equal(text, "/dev/lo");
}

static void unknown_backend_is_refused(void **state)
{
	char why[128];

	assert_null(blk_backend_choose("floppy", true, why, sizeof(why)));
	assert_string_equal(why, "there is no backend \"floppy\"");
}

static void loop_needs_root(void **state)
{
	char why[128];

	assert_null(blk_backend_choose("loop", true, why, sizeof(why)));
	assert_non_null(strstr(why, "loop: loop devices need root"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_keeps_one_of_equals),
		cmocka_unit_test(kinds_have_names),
		cmocka_unit_test(words_name_the_holder),
		cmocka_unit_test(words_are_cut_to_the_room),
		cmocka_unit_test(unknown_backend_is_refused),
		cmocka_unit_test(loop_needs_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
