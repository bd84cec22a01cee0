/* SPDX-License-Identifier: MIT */
/*
 * Command descriptor blocks
 *
 * Which bytes ask for what. The CONTROL byte stays zero everywhere: no NACA, no
 * linked commands.
 */
#include "scsi/cdb.h"

#include <string.h>

#include "base/cursor.h"

#define CDB_FUA             0x08
#define WRITE_SAME_UNMAP    0x08
#define SA_READ_CAPACITY_16 0x10
#define SA_REPORT_OPS       0x0c
#define REPORT_OPS_ONE      0x01

static uint8_t cdb_start(uint8_t cdb[SCSI_CDB_MAX], uint8_t opcode)
{
	memset(cdb, 0, SCSI_CDB_MAX);
	cdb[0] = opcode;
	return cdb_length(opcode);
}

uint8_t cdb_length(uint8_t opcode)
{
	static const uint8_t of_group[8] = {6, 10, 10, 0, 16, 12, 0, 0};

	return of_group[opcode >> 5];
}

uint8_t cdb_test_unit_ready(uint8_t cdb[SCSI_CDB_MAX])
{
	return cdb_start(cdb, SCSI_TEST_UNIT_READY);
}

uint8_t cdb_inquiry(uint8_t cdb[SCSI_CDB_MAX], bool evpd, uint8_t page, uint16_t n_alloc)
{
	uint8_t n = cdb_start(cdb, SCSI_INQUIRY);

	cdb[1] = evpd ? 1 : 0;
	cdb[2] = evpd ? page : 0;
	put_be16(cdb + 3, n_alloc);
	return n;
}

uint8_t cdb_report_luns(uint8_t cdb[SCSI_CDB_MAX], uint32_t n_alloc)
{
	uint8_t n = cdb_start(cdb, SCSI_REPORT_LUNS);

	put_be32(cdb + 6, n_alloc);
	return n;
}

uint8_t cdb_mode_sense_6(uint8_t cdb[SCSI_CDB_MAX], uint8_t page, uint8_t n_alloc)
{
	uint8_t n = cdb_start(cdb, SCSI_MODE_SENSE_6);

	cdb[2] = page & 0x3f;
	cdb[4] = n_alloc;
	return n;
}

uint8_t cdb_mode_sense_10(uint8_t cdb[SCSI_CDB_MAX], uint8_t page, uint16_t n_alloc)
{
	uint8_t n = cdb_start(cdb, SCSI_MODE_SENSE_10);

	cdb[2] = page & 0x3f;
	put_be16(cdb + 7, n_alloc);
	return n;
}

uint8_t cdb_read_capacity_10(uint8_t cdb[SCSI_CDB_MAX])
{
	return cdb_start(cdb, SCSI_READ_CAPACITY_10);
}

uint8_t cdb_read_capacity_16(uint8_t cdb[SCSI_CDB_MAX], uint32_t n_alloc)
{
	uint8_t n = cdb_start(cdb, SCSI_SERVICE_ACTION_IN_16);

	cdb[1] = SA_READ_CAPACITY_16;
	put_be32(cdb + 10, n_alloc);
	return n;
}

uint8_t cdb_report_supported_op(uint8_t cdb[SCSI_CDB_MAX], uint8_t opcode, uint32_t n_alloc)
{
	uint8_t n = cdb_start(cdb, SCSI_MAINTENANCE_IN);

	cdb[1] = SA_REPORT_OPS;
	cdb[2] = REPORT_OPS_ONE;
	cdb[3] = opcode;
	put_be32(cdb + 6, n_alloc);
	return n;
}

/* LBA at byte 2 and length at the end are laid out alike in all the commands that name blocks. */
static uint8_t cdb_blocks(uint8_t cdb[SCSI_CDB_MAX], uint8_t op10, uint8_t op16, uint64_t lba,
			  uint32_t n_blocks, bool long_form)
{
	const uint64_t end10 = UINT64_C(1) << 32;
	uint8_t n;

	if (!long_form && n_blocks <= UINT16_MAX && lba < end10 && n_blocks <= end10 - lba) {
		n = cdb_start(cdb, op10);
		put_be32(cdb + 2, (uint32_t)lba);
		put_be16(cdb + 7, (uint16_t)n_blocks);
	} else {
		n = cdb_start(cdb, op16);
		put_be64(cdb + 2, lba);
		put_be32(cdb + 10, n_blocks);
	}
	return n;
}

uint8_t cdb_read(uint8_t cdb[SCSI_CDB_MAX], uint64_t lba, uint32_t n_blocks, bool fua)
{
	uint8_t n = cdb_blocks(cdb, SCSI_READ_10, SCSI_READ_16, lba, n_blocks, false);

	cdb[1] = fua ? CDB_FUA : 0;
	return n;
}

uint8_t cdb_write(uint8_t cdb[SCSI_CDB_MAX], uint64_t lba, uint32_t n_blocks, bool fua)
{
	uint8_t n = cdb_blocks(cdb, SCSI_WRITE_10, SCSI_WRITE_16, lba, n_blocks, false);

	cdb[1] = fua ? CDB_FUA : 0;
	return n;
}

uint8_t cdb_sync_cache(uint8_t cdb[SCSI_CDB_MAX], uint64_t lba, uint32_t n_blocks, bool long_form)
{
	return cdb_blocks(cdb, SCSI_SYNC_CACHE_10, SCSI_SYNC_CACHE_16, lba, n_blocks, long_form);
}

uint8_t cdb_unmap(uint8_t cdb[SCSI_CDB_MAX], uint16_t n_list)
{
	uint8_t n = cdb_start(cdb, SCSI_UNMAP);

	put_be16(cdb + 7, n_list);
	return n;
}

uint8_t cdb_write_same_16(uint8_t cdb[SCSI_CDB_MAX], uint64_t lba, uint32_t n_blocks, bool unmap)
{
	uint8_t n = cdb_start(cdb, SCSI_WRITE_SAME_16);

	cdb[1] = unmap ? WRITE_SAME_UNMAP : 0;
	put_be64(cdb + 2, lba);
	put_be32(cdb + 10, n_blocks);
	return n;
}

size_t unmap_list_build(uint8_t *buf, size_t n_buf, const struct scsi_extent *v, size_t n)
{
	size_t n_list;

	if (n > (UINT16_MAX - SCSI_UNMAP_HEADER_BYTES) / SCSI_UNMAP_DESCRIPTOR_BYTES)
		return 0;
	n_list = SCSI_UNMAP_HEADER_BYTES + n * SCSI_UNMAP_DESCRIPTOR_BYTES;
	if (n_list > n_buf)
		return 0;

	memset(buf, 0, n_list);
	/* both lengths count what follows them */
	put_be16(buf, (uint16_t)(n_list - 2));
	put_be16(buf + 2, (uint16_t)(n * SCSI_UNMAP_DESCRIPTOR_BYTES));
	for (size_t i = 0; i < n; i++) {
		uint8_t *d = buf + SCSI_UNMAP_HEADER_BYTES + i * SCSI_UNMAP_DESCRIPTOR_BYTES;

		put_be64(d, v[i].lba);
		put_be32(d + 8, v[i].n_blocks);
	}
	return n_list;
}
