/* SPDX-License-Identifier: MIT */
/*
 * Vital product data: who a unit is and what it can do (SPC-4 §7.8, SBC-3 §6.6)
 *
 * Pure decoders: bytes of a response in, plain structures out. Lengths inside
 * the data are checked against what was really received; what does not fit is
 * left out, never read beyond.
 */
#ifndef SCSI_VPD_H
#define SCSI_VPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCSI_DESIGNATOR_MAX 256

/*
 * Designator types (SPC-4 table 553), best first: NAA, EUI-64, name string, T10 vendor, vendor
 * specific.
 */
enum scsi_designator_type {
	SCSI_ID_VENDOR = 0,
	SCSI_ID_T10 = 1,
	SCSI_ID_EUI64 = 2,
	SCSI_ID_NAA = 3,
	SCSI_ID_NAME = 8,
};

struct scsi_designator {
	uint8_t type;     /* enum scsi_designator_type */
	uint8_t code_set; /* 1 binary, 2 ASCII, 3 UTF-8 */
	uint8_t n_bytes;
	uint8_t bytes[SCSI_DESIGNATOR_MAX - 1];
};

#define SCSI_VPD_PAGES        0x00
#define SCSI_VPD_SERIAL       0x80
#define SCSI_VPD_ID           0x83
#define SCSI_VPD_BLOCK_LIMITS 0xb0
#define SCSI_VPD_BLOCK_DEVICE 0xb1
#define SCSI_VPD_PROVISIONING 0xb2

#define SCSI_TYPE_DISK        0x00
#define SCSI_TYPE_UNKNOWN     0x1f

/* Standard INQUIRY data. Texts are without padding; bytes that are not printable ASCII are '?'. */
struct scsi_inquiry {
	uint8_t qualifier;   /* 0: a unit is there; 1: could be; 3: cannot be */
	uint8_t device_type; /* SCSI_TYPE_… */
	bool removable;
	uint8_t version; /* 5 SPC-3, 6 SPC-4, … */
	char vendor[9], product[17], revision[5];
};

/* Supported pages, one bit each. */
struct scsi_vpd_pages {
	uint64_t bits[4];
};

/* Counts are logical blocks; 0: the unit does not say (or has no limit). */
struct scsi_block_limits {
	bool wsnz; /* WRITE SAME of 0 blocks is refused */
	uint16_t optimal_granularity_blocks;
	uint32_t max_transfer_blocks, optimal_transfer_blocks;
	uint32_t max_unmap_blocks, max_unmap_descriptors;
	uint32_t unmap_granularity_blocks;
	bool has_unmap_alignment;
	uint32_t unmap_alignment_blocks;
	uint64_t max_write_same_blocks;
};

struct scsi_block_device {
	uint16_t rotation_rpm; /* 0 unknown, 1 does not rotate */
	uint8_t form_factor;
};

struct scsi_provisioning {
	bool unmap;              /* LBPU: UNMAP is there */
	bool write_same16_unmap; /* LBPWS */
	bool write_same10_unmap; /* LBPWS10 */
	bool reads_zero;         /* LBPRZ: unmapped blocks read as zero */
	bool anchor;
	uint8_t type; /* 0 unknown, 1 resource, 2 thin */
};

struct scsi_capacity {
	uint64_t last_lba;
	uint32_t block_bytes;
	uint8_t phys_exponent; /* physical block = logical block << this */
	bool provisioned;      /* LBPME: thin or resource provisioned */
	bool reads_zero;       /* LBPRZ */
	bool protection;
};

/* MODE SENSE, as far as a disk's driver cares. */
struct scsi_mode {
	bool write_protected;
	bool dpo_fua;
	bool has_caching;    /* page 8 was there; the two below are valid */
	bool write_cache;    /* WCE */
	bool read_cache_off; /* RCD */
};

/*
 * The decoders: @p, @n are the bytes that were received. Optional fields that
 * were not sent are 0.
 *
 * Return: 0; -EBADMSG when the part that must be there is not, or (VPD) when it
 * is another page than the one asked for. *ret is then untouched.
 */
int inquiry_decode(struct scsi_inquiry *ret, const uint8_t *p, size_t n);
int vpd_pages_decode(struct scsi_vpd_pages *ret, const uint8_t *p, size_t n);
int vpd_block_limits_decode(struct scsi_block_limits *ret, const uint8_t *p, size_t n);
int vpd_block_device_decode(struct scsi_block_device *ret, const uint8_t *p, size_t n);
int vpd_provisioning_decode(struct scsi_provisioning *ret, const uint8_t *p, size_t n);
int capacity10_decode(struct scsi_capacity *ret, const uint8_t *p, size_t n);
int capacity16_decode(struct scsi_capacity *ret, const uint8_t *p, size_t n);
int mode6_decode(struct scsi_mode *ret, const uint8_t *p, size_t n);
int mode10_decode(struct scsi_mode *ret, const uint8_t *p, size_t n);
/*
 * REPORT SUPPORTED OPERATION CODES for one command: *ret true when it is supported as the standard
 * says.
 */
int supported_op_decode(bool *ret, const uint8_t *p, size_t n);

bool vpd_has_page(const struct scsi_vpd_pages *pages, uint8_t page);

/* READ CAPACITY(10) says "ask READ CAPACITY(16)". */
#define SCSI_CAPACITY10_TOO_BIG UINT32_C(0xffffffff)

/**
 * vpd_serial_decode() - unit serial number, without the padding
 * @buf, @n_buf:  text, '?' for what is not printable ASCII; cut to @n_buf - 1 bytes
 */
int vpd_serial_decode(char *buf, size_t n_buf, const uint8_t *p, size_t n);

/**
 * vpd_ids_decode() - designators that name the unit itself (association 0)
 * @v, @n_max:  where they go, best type first, otherwise in the order sent
 * @ret_n:      how many
 *
 * Types other than those of enum scsi_designator_type, empty ones and exact
 * repetitions are left out; so are the worst when there are more than @n_max.
 * Decoding ends at the first designator that does not fit.
 */
int vpd_ids_decode(struct scsi_designator *v, size_t n_max, size_t *ret_n, const uint8_t *p,
		   size_t n);

/* 0 best … 4 worst; 5 for a type that is not in the enum. */
unsigned designator_rank(uint8_t type);
/* Same type and the same bytes. The code set does not count: it is a hint for printing. */
bool designator_equal(const struct scsi_designator *a, const struct scsi_designator *b);

#endif
