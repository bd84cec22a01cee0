/* SPDX-License-Identifier: MIT */
/*
 * Command descriptor blocks (SPC-4 §6, SBC-3 §5)
 *
 * Each builder fills all SCSI_CDB_MAX bytes, unused ones with zero, and returns
 * how many of them are the CDB. The forms with 10 bytes are preferred where the
 * address and the length fit, because every target knows them.
 */
#ifndef SCSI_CDB_H
#define SCSI_CDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scsi/cmd.h"

enum scsi_opcode {
	SCSI_TEST_UNIT_READY = 0x00,
	SCSI_REQUEST_SENSE = 0x03,
	SCSI_INQUIRY = 0x12,
	SCSI_MODE_SENSE_6 = 0x1a,
	SCSI_START_STOP_UNIT = 0x1b,
	SCSI_READ_CAPACITY_10 = 0x25,
	SCSI_READ_10 = 0x28,
	SCSI_WRITE_10 = 0x2a,
	SCSI_SYNC_CACHE_10 = 0x35,
	SCSI_WRITE_SAME_10 = 0x41,
	SCSI_UNMAP = 0x42,
	SCSI_MODE_SENSE_10 = 0x5a,
	SCSI_READ_16 = 0x88,
	SCSI_COMPARE_AND_WRITE = 0x89,
	SCSI_WRITE_16 = 0x8a,
	SCSI_SYNC_CACHE_16 = 0x91,
	SCSI_WRITE_SAME_16 = 0x93,
	SCSI_SERVICE_ACTION_IN_16 = 0x9e, /* READ CAPACITY(16) is its service action 10h */
	SCSI_REPORT_LUNS = 0xa0,
	SCSI_MAINTENANCE_IN = 0xa3, /* REPORT SUPPORTED OPERATION CODES is its service action 0Ch */
};

#define SCSI_MODE_PAGE_CACHING      0x08
#define SCSI_MODE_PAGE_ALL          0x3f

#define SCSI_UNMAP_HEADER_BYTES     8
#define SCSI_UNMAP_DESCRIPTOR_BYTES 16

/* A run of logical blocks. */
struct scsi_extent {
	uint64_t lba;
	uint32_t n_blocks;
};

/*
 * The CDB's length in bytes as its group code tells: 6, 10, 12, 16; 0: variable, reserved or vendor
 * specific.
 */
uint8_t cdb_length(uint8_t opcode);

uint8_t cdb_test_unit_ready(uint8_t cdb[SCSI_CDB_MAX]);
/* Standard INQUIRY data when @evpd is false; @page is then 0. */
uint8_t cdb_inquiry(uint8_t cdb[SCSI_CDB_MAX], bool evpd, uint8_t page, uint16_t n_alloc);
uint8_t cdb_report_luns(uint8_t cdb[SCSI_CDB_MAX], uint32_t n_alloc);
uint8_t cdb_mode_sense_6(uint8_t cdb[SCSI_CDB_MAX], uint8_t page, uint8_t n_alloc);
uint8_t cdb_mode_sense_10(uint8_t cdb[SCSI_CDB_MAX], uint8_t page, uint16_t n_alloc);
uint8_t cdb_read_capacity_10(uint8_t cdb[SCSI_CDB_MAX]);
uint8_t cdb_read_capacity_16(uint8_t cdb[SCSI_CDB_MAX], uint32_t n_alloc);
/* Whether the unit knows @opcode (one without service actions). */
uint8_t cdb_report_supported_op(uint8_t cdb[SCSI_CDB_MAX], uint8_t opcode, uint32_t n_alloc);

/**
 * cdb_read(), cdb_write() - move blocks
 * @lba:      first logical block
 * @n_blocks: 0 moves nothing
 * @fua:      from, or on, the medium itself, not a volatile cache
 *
 * The 10-byte form when all blocks lie below 2^32 and at most 65535 are asked for.
 */
uint8_t cdb_read(uint8_t cdb[SCSI_CDB_MAX], uint64_t lba, uint32_t n_blocks, bool fua);
uint8_t cdb_write(uint8_t cdb[SCSI_CDB_MAX], uint64_t lba, uint32_t n_blocks, bool fua);

/* @n_blocks 0: from @lba to the end. The 10-byte form where both fit; @long_form: never that one.
 */
uint8_t cdb_sync_cache(uint8_t cdb[SCSI_CDB_MAX], uint64_t lba, uint32_t n_blocks, bool long_form);

/* The parameter list of @n_list bytes is the command's data; see unmap_list_build(). */
uint8_t cdb_unmap(uint8_t cdb[SCSI_CDB_MAX], uint16_t n_list);

/* One block of data goes with it. @n_blocks 0 means "to the end" to some units: never ask for that.
 */
uint8_t cdb_write_same_16(uint8_t cdb[SCSI_CDB_MAX], uint64_t lba, uint32_t n_blocks, bool unmap);

/**
 * unmap_list_build() - the parameter list of UNMAP
 * @buf, @n_buf:  where it goes
 * @v, @n:        extents
 *
 * Return: bytes written, SCSI_UNMAP_HEADER_BYTES + @n * SCSI_UNMAP_DESCRIPTOR_BYTES;
 * 0 when that is more than @n_buf or than the 16-bit lengths of the list can say.
 */
size_t unmap_list_build(uint8_t *buf, size_t n_buf, const struct scsi_extent *v, size_t n);

#endif
