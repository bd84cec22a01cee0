/* SPDX-License-Identifier: MIT */
/* The same unit or only a similar one; names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "device/lu.h"

/* Units as text: "N:…" NAA, "5:…", "6:…" NAA of that format and no company, "E:…" EUI-64, "S:…"
 * name string, "T:…" T10, "V:…" vendor specific; blanks between. */
struct unit {
	const char *vendor, *product, *serial, *ids;
};

static struct lu_info info_of(const struct unit *u)
{
	struct lu_info i = {0};
	const char *p = u->ids;

	strcpy(i.vendor, u->vendor);
	strcpy(i.product, u->product);
	strcpy(i.serial, u->serial);
	while (*p) {
		struct scsi_designator *d = &i.id[i.n_id++];
		size_t n = strcspn(p, " ");

		d->type = *p == 'N' || *p == '5' || *p == '6' ? SCSI_ID_NAA
			  : *p == 'E'                         ? SCSI_ID_EUI64
			  : *p == 'S'                         ? SCSI_ID_NAME
			  : *p == 'T'                         ? SCSI_ID_T10
							      : SCSI_ID_VENDOR;
		d->n_bytes = (uint8_t)(n - 2);
		memcpy(d->bytes, p + 2, n - 2);
		if (*p == '5' || *p == '6') {
			d->n_bytes = 8;
			memset(d->bytes, 0, d->n_bytes);
			d->bytes[0] = (uint8_t)((*p - '0') << 4);
			memcpy(d->bytes + 4, p + 2, n - 2);
		}
		p += n + strspn(p + n, " ");
	}
	return i;
}

static void same_and_similar(void **state)
{
	/* "a…" as NAA begins with nibble 6, "3…" with 3: locally assigned */
	static const struct {
		struct unit a, b;
		bool same;
	} row[] = {
		/* identical */
		{{"A", "D", "1", "N:abc"}, {"A", "D", "1", "N:abc"}, true},
		/* another number */
		{{"A", "D", "1", "N:abc"}, {"A", "D", "1", "N:abd"}, false},
		/* one is the beginning of the other */
		{{"A", "D", "1", "N:abc"}, {"A", "D", "1", "N:abcd"}, false},
		/* same bytes, another type */
		{{"A", "D", "1", "N:abc"}, {"A", "D", "1", "E:abc"}, false},
		/* a registered number is enough: models are renamed by updates */
		{{"A", "D", "1", "N:abc"}, {"A", "D2", "2", "N:abc"}, true},
		/* one tells more than the other */
		{{"A", "D", "1", "N:abc T:xyz"}, {"A", "D", "1", "N:abc"}, true},
		{{"A", "D", "1", "N:abc N:abe"}, {"A", "D", "1", "N:abe"}, true},
		{{"A", "D", "1", "N:abc N:abe"}, {"A", "D", "1", "N:abe N:abc"}, true},
		/* share one, but each has one that the other has not */
		{{"A", "D", "1", "N:abc N:abe"}, {"A", "D", "1", "N:abc N:abf"}, false},
		/* the best agrees, a lesser one does not */
		{{"A", "D", "1", "N:abc T:xyz"}, {"A", "D", "1", "N:abc T:xyw"}, false},
		{{"A", "D", "1", "T:xyz N:abc"}, {"A", "D", "1", "T:xyz N:abd"}, false},
		/* nothing in common */
		{{"A", "D", "1", "N:abc"}, {"A", "D", "1", "T:xyz"}, false},
		/* one of them tells nothing: doubt */
		{{"A", "D", "1", "N:abc"}, {"A", "D", "1", ""}, false},
		{{"A", "D", "1", ""}, {"A", "D", "1", "N:abc"}, false},
		/* names, EUI */
		{{"A", "D", "1", "S:iqn.x"}, {"A", "D", "1", "S:iqn.x"}, true},
		{{"A", "D", "1", "S:iqn.x"}, {"A", "D", "1", "S:iqn.y"}, false},
		{{"A", "D", "", "E:12345678"}, {"B", "D", "", "E:12345678"}, true},
		/* numbered locally: the model and the serial number decide too */
		{{"A", "D", "1", "T:xyz"}, {"A", "D", "1", "T:xyz"}, true},
		{{"A", "D", "1", "T:xyz"}, {"A", "D", "2", "T:xyz"}, false},
		{{"A", "D", "1", "T:xyz"}, {"A", "D", "", "T:xyz"}, true},
		{{"A", "D", "1", "T:xyz"}, {"A", "E", "1", "T:xyz"}, false},
		{{"A", "D", "1", "V:xyz"}, {"B", "D", "1", "V:xyz"}, false},
		{{"A", "D", "1", "N:3bc"}, {"A", "D", "2", "N:3bc"}, false},
		{{"A", "D", "1", "N:3bc"}, {"A", "D", "1", "N:3bc"}, true},
		{{"A", "D", "1", "6:abc"}, {"A", "D", "1", "6:abc"}, true},
		{{"A", "D", "1", "6:abc"}, {"A", "D", "2", "6:abc"}, false},
		{{"A", "D", "1", "5:abc T:x"}, {"A", "D", "2", "5:abc T:x"}, false},
		{{"A", "D", "1", "6:abc N:abc"}, {"A", "D", "2", "6:abc N:abc"}, true},
		/* no designators at all */
		{{"A", "D", "1", ""}, {"A", "D", "1", ""}, true},
		{{"A", "D", "1", ""}, {"A", "D", "2", ""}, false},
		{{"A", "D", "", ""}, {"A", "D", "", ""}, false},
		{{"A", "D", "1", ""}, {"A", "E", "1", ""}, false},
		{{"A", "D", "1", ""}, {"B", "D", "1", ""}, false},
	};

	for (size_t k = 0; k < ARRAY_SIZE(row); k++) {
		struct lu_info a = info_of(&row[k].a), b = info_of(&row[k].b);

		if (lu_info_same_unit(&a, &b) != row[k].same ||
		    lu_info_same_unit(&b, &a) != row[k].same)
			fail_msg("row %zu", k);
		/* size and protection do not count */
		b.limits.n_bytes = 512;
		b.limits.read_only = true;
		b.lun = 77;
		assert_int_equal(lu_info_same_unit(&a, &b), row[k].same);
		/* a disk does not become a tape */
		b.device_type = 1;
		assert_false(lu_info_same_unit(&a, &b));
	}
}

static void what_tells_them_apart(void **state)
{
	struct unit one = {"A", "D", "1", "N:abc T:x V:v"}, two = {"A", "D", "1", "N:abc T:y V:v"};
	struct lu_info a = info_of(&one), b = info_of(&two), c = a;
	char name[LU_NAME_MAX];

	lu_info_drop_shared(&a, &b);
	lu_info_name(&a, name, sizeof(name));
	assert_int_equal(a.n_id, 1);
	assert_string_equal(name, "t10.x");
	lu_info_drop_shared(&b, &c);
	lu_info_name(&b, name, sizeof(name));
	assert_string_equal(name, "t10.y");
	lu_info_drop_shared(&c, &c);
	assert_int_equal(c.n_id, 0);
}

static void names(void **state)
{
	static const struct {
		struct unit u;
		const char *name;
	} row[] = {
		{{"A", "D", "1", "N:`1@"}, "naa.603140"},
		{{"A", "D", "1", "E:12345678 T:x"}, "eui.3132333435363738"},
		{{"A", "D", "1", "S:iqn.2001-04.com.example:a/b"}, "iqn.2001-04.com.example:a_b"},
		{{"A", "D", "1", "S:.."}, "name..."},
		{{"A", "D", "1", "T:ACME-1/2"}, "t10.ACME-1_2"},
		{{"A", "Big Disk", "S/1", ""}, "serial.A_Big_Disk_S_1"},
		{{"A", "D", "1", "V:x"}, "serial.A_D_1"},
		{{"A", "D", "", "V:x"}, ""},
		{{"A", "D", "", ""}, ""},
	};
	char buf[LU_NAME_MAX];

	for (size_t k = 0; k < ARRAY_SIZE(row); k++) {
		struct lu_info i = info_of(&row[k].u);
		size_t n = strlen(row[k].name);

		lu_info_name(&i, buf, sizeof(buf));
		assert_string_equal(buf, row[k].name);
		/* all or nothing */
		lu_info_name(&i, buf, n + 1);
		assert_string_equal(buf, row[k].name);
		if (n == 0)
			continue;
		lu_info_name(&i, buf, n);
		assert_string_equal(buf, "");
	}
	buf[0] = 'x';
	lu_info_name(&(struct lu_info){0}, buf, 0);
	assert_int_equal(buf[0], 'x');
}

static void longest_names_fit(void **state)
{
	struct lu_info i = {.n_id = 1, .id[0] = {.type = SCSI_ID_NAA, .n_bytes = 255}};
	char buf[LU_NAME_MAX];

	lu_info_name(&i, buf, sizeof(buf));
	assert_int_equal(strlen(buf), 4 + 510);
	i.id[0].type = SCSI_ID_NAME;
	memset(i.id[0].bytes, 'x', 255);
	lu_info_name(&i, buf, sizeof(buf));
	assert_int_equal(strlen(buf), 5 + 255);
}

/* As udev and sg3-utils name a disk of the kernel's initiator. */
static void names_of_others(void **state)
{
	static const struct {
		struct unit u;
		const char *scsi_id, *wwn;
	} row[] = {
		{{"A", "D", "1", "N:abc T:IET"}, "3616263", "0x616263"},
		{{"A", "D", "1", "N:3bc N:Rbc N:abc"}, "3616263", "0x616263"},
		{{"A", "D", "1", "N:3bc T:IET"}, "3336263", "0x336263"},
		{{"A", "D", "1", "E:abc"}, "2616263", ""},
		{{"A", "D", "1", "S:iqn.a:b/c"}, "8iqn.a:b_c", ""},
		{{"A", "D", "1", "T:IET"}, "1IET", ""},
		{{"A", "D", "1", "V:x"}, "SA_D_1", ""},
		{{"A C", "D  E", "1", ""}, "SA_C_D_E_1", ""},
		{{"A", "D", "", ""}, "", ""},
	};
	struct lu_info i = {.n_id = 1, .id[0] = {.type = SCSI_ID_T10, .n_bytes = 17}};
	char buf[LU_NAME_MAX];

	for (size_t k = 0; k < ARRAY_SIZE(row); k++) {
		const struct lu_info one = info_of(&row[k].u);

		lu_info_scsi_id(&one, buf, sizeof(buf));
		assert_string_equal(buf, row[k].scsi_id);
		lu_info_wwn(&one, buf, sizeof(buf));
		assert_string_equal(buf, row[k].wwn);
		lu_info_scsi_id(&one, buf, 2);
		assert_string_equal(buf, "");
	}
	memcpy(i.id[0].bytes, "IET     00010001 ", 17);
	lu_info_scsi_id(&i, buf, sizeof(buf));
	assert_string_equal(buf, "1IET_00010001");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_and_similar),
		cmocka_unit_test(what_tells_them_apart),
		cmocka_unit_test(names),
		cmocka_unit_test(longest_names_fit),
		cmocka_unit_test(names_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
