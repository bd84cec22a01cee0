/* SPDX-License-Identifier: MIT */
/*
 * Everything a logical unit may send: INQUIRY, VPD, capacity, mode pages, sense
 *
 * The first byte chooses the decoder, the rest is what was received. Beside not
 * reading out of bounds, what comes out must be consistent.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/lun.h"
#include "scsi/sense.h"
#include "scsi/vpd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
	if (!holds)
		abort();
}

static void fuzz_sense(const uint8_t *p, size_t n)
{
	uint8_t opcode = n > 0 ? p[n - 1] : 0;
	struct scsi_sense s;
	char text[128];

	for (unsigned status = 0; status < 256; status++) {
		struct scsi_verdict v = scsi_judge((uint8_t)status, p, n, opcode);

		check(v.error <= 0 && v.lost_error <= 0);
		check((v.action == SCSI_ACT_OK) == (v.error == 0));
	}
	scsi_answer_text(text, sizeof(text), SCSI_CHECK_CONDITION, p, n);
	check(strlen(text) < sizeof(text));
	if (sense_decode(&s, p, n) == 0)
		check(s.key < 16);
}

static void fuzz_texts(const uint8_t *p, size_t n)
{
	struct scsi_inquiry q;
	char serial[256];

	if (inquiry_decode(&q, p, n) == 0) {
		check(strlen(q.vendor) < sizeof(q.vendor));
		check(strlen(q.product) < sizeof(q.product));
		check(strlen(q.revision) < sizeof(q.revision));
	}
	if (vpd_serial_decode(serial, sizeof(serial), p, n) == 0)
		check(strlen(serial) < sizeof(serial));
}

static void fuzz_ids(const uint8_t *p, size_t n)
{
	struct scsi_designator v[8];
	size_t n_ids;

	for (size_t n_max = 0; n_max <= 8; n_max++) {
		if (vpd_ids_decode(v, n_max, &n_ids, p, n) < 0)
			continue;
		check(n_ids <= n_max);
		for (size_t i = 0; i < n_ids; i++) {
			check(v[i].n_bytes > 0 && designator_rank(v[i].type) < 5);
			check(i == 0 ||
			      designator_rank(v[i - 1].type) <= designator_rank(v[i].type));
			for (size_t k = 0; k < i; k++)
				check(!designator_equal(&v[i], &v[k]));
		}
	}
}

static void fuzz_pages(const uint8_t *p, size_t n)
{
	struct scsi_vpd_pages pages;
	struct scsi_block_limits limits;
	struct scsi_block_device device;
	struct scsi_provisioning provisioning;
	struct scsi_capacity capacity;
	struct scsi_mode mode;
	bool has;

	if (vpd_pages_decode(&pages, p, n) == 0)
		check(vpd_has_page(&pages, 0x00));
	(void)vpd_block_limits_decode(&limits, p, n);
	(void)vpd_block_device_decode(&device, p, n);
	(void)vpd_provisioning_decode(&provisioning, p, n);
	(void)capacity10_decode(&capacity, p, n);
	(void)capacity16_decode(&capacity, p, n);
	(void)mode6_decode(&mode, p, n);
	(void)mode10_decode(&mode, p, n);
	(void)supported_op_decode(&has, p, n);
}

static void fuzz_luns(const uint8_t *p, size_t n)
{
	uint64_t v[16];
	uint32_t n_list, number;
	size_t n_luns;
	char text[LUN_TEXT_BYTES];

	if (report_luns_decode(v, 16, &n_luns, &n_list, p, n) < 0)
		return;
	check(n_luns <= 16 && n_luns * 8 + 8 <= n && n_luns * 8 <= n_list);
	for (size_t i = 0; i < n_luns; i++) {
		uint64_t back;

		lun_text(v[i], text);
		check(strlen(text) == 16);
		check(lun_parse(text, &back) == 0 && back == lun_from_argument(v[i]));
		lun_name(v[i], text);
		if (lun_to_number(v[i], &number) && number >= 0x4000 && number < 0x1000000 &&
		    v[i] >> 56 == 0xd2)
			check(lun_from_number(number) == v[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a copy of exactly that size: a sanitizer sees the first byte too far */
	uint8_t *p;
	size_t n;

	if (size == 0)
		return 0;
	n = size - 1;
	p = malloc(n ? n : 1);
	if (!p)
		return 0;
	memcpy(p, data + 1, n);
	switch (data[0] % 5) {
	case 0: fuzz_sense(p, n); break;
	case 1: fuzz_texts(p, n); break;
	case 2: fuzz_ids(p, n); break;
	case 3: fuzz_pages(p, n); break;
	case 4: fuzz_luns(p, n); break;
	}
	free(p);
	return 0;
}
