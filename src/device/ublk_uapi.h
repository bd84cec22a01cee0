/* SPDX-License-Identifier: MIT */
/*
 * ublk: what the kernel's driver is told, and tells
 *
 * Numbers and layouts of the kernel's interface that we use, newer ones included; the
 * header of the system that builds us may know less. The structures go to the kernel as
 * they are, in the machine's byte order.
 */
#ifndef DEVICE_UBLK_UAPI_H
#define DEVICE_UBLK_UAPI_H

#include <stdint.h>
#include <sys/ioctl.h>

/* Control commands: argument of an io_uring command on /dev/ublk-control. */
struct ublk_ctl_cmd {
	uint32_t dev_id;
	uint16_t queue_id; /* 0xffff: none */
	uint16_t n_bytes;  /* of what addr points to */
	uint64_t addr;
	uint64_t data;
	uint16_t path_bytes, pad;
	uint32_t reserved;
};
_Static_assert(sizeof(struct ublk_ctl_cmd) == 32, "the kernel's layout");

/*
 * The driver of Linux 6.0 to 6.3 takes the bare numbers, later ones may take only what
 * is encoded as for an ioctl.
 */
#define UBLK_CTL(number)        ((uint32_t)_IOWR('u', number, struct ublk_ctl_cmd))
#define UBLK_CTL_R(number)      ((uint32_t)_IOR('u', number, struct ublk_ctl_cmd))
#define UBLK_BARE(op)           ((op)&0xffu)

#define UBLK_CTL_GET_DEV_INFO   UBLK_CTL_R(0x02)
#define UBLK_CTL_ADD_DEV        UBLK_CTL(0x04)
#define UBLK_CTL_DEL_DEV        UBLK_CTL(0x05)
#define UBLK_CTL_START_DEV      UBLK_CTL(0x06) /* data: process id of the server */
#define UBLK_CTL_STOP_DEV       UBLK_CTL(0x07)
#define UBLK_CTL_SET_PARAMS     UBLK_CTL(0x08)
#define UBLK_CTL_GET_PARAMS     UBLK_CTL_R(0x09)
#define UBLK_CTL_START_RECOVERY UBLK_CTL(0x10)
#define UBLK_CTL_END_RECOVERY   UBLK_CTL(0x11)   /* data: process id of the server */
#define UBLK_CTL_GET_FEATURES   UBLK_CTL_R(0x13) /* 6.5 */
#define UBLK_CTL_DEL_DEV_ASYNC  UBLK_CTL_R(0x14) /* 6.9 */
#define UBLK_CTL_UPDATE_SIZE    UBLK_CTL(0x15)   /* 6.16; data: sectors */
#define UBLK_CTL_TRY_STOP_DEV   UBLK_CTL(0x17)   /* 7.0: -EBUSY while somebody has it open */

#define UBLK_F_COMP_IN_TASK     (UINT64_C(1) << 1)
#define UBLK_F_USER_RECOVERY    (UINT64_C(1) << 3) /* the device outlives its server */
#define UBLK_F_RECOVERY_REISSUE (UINT64_C(1) << 4) /* the next server gets its requests */
#define UBLK_F_IOCTL_ENCODE     (UINT64_C(1) << 6)
#define UBLK_F_UPDATE_SIZE      (UINT64_C(1) << 10)
#define UBLK_F_SAFE_STOP        (UINT64_C(1) << 17)

/* What a driver has that cannot be asked. */
#define UBLK_FEATURES_OLD   (UBLK_F_COMP_IN_TASK | UBLK_F_USER_RECOVERY | UBLK_F_RECOVERY_REISSUE)

#define UBLK_STATE_DEAD     0
#define UBLK_STATE_LIVE     1
#define UBLK_STATE_QUIESCED 2 /* the server is gone, requests wait for the next */

struct ublk_dev_info {
	uint16_t n_queues, queue_depth, state, pad0;
	uint32_t max_io_bytes, dev_id;
	int32_t server_pid;
	uint32_t pad1;
	uint64_t flags;
	uint64_t mark; /* the server's own */
	uint32_t owner_uid, owner_gid;
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct ublk_dev_info) == 64, "the kernel's layout");

#define UBLK_PARAM_BASIC      (1u << 0)
#define UBLK_PARAM_DISCARD    (1u << 1)

#define UBLK_ATTR_READ_ONLY   (1u << 0)
#define UBLK_ATTR_WRITE_CACHE (1u << 2)
#define UBLK_ATTR_FUA         (1u << 3)

struct ublk_params {
	uint32_t n_bytes; /* of this structure */
	uint32_t types;
	struct {
		uint32_t attrs;
		uint8_t logical_shift, physical_shift, io_opt_shift, io_min_shift;
		uint32_t max_sectors, chunk_sectors;
		uint64_t dev_sectors, virt_boundary_mask;
	} basic;
	struct {
		uint32_t alignment, granularity, max_sectors, max_write_zeroes_sectors;
		uint16_t max_segments, reserved;
	} discard;
	uint32_t pad;
};
_Static_assert(sizeof(struct ublk_params) == 64, "the kernel's layout, up to the first that we "
						 "do not use");

/* Commands of a queue: argument of an io_uring command on /dev/ublkcN. */
struct ublk_io_cmd {
	uint16_t queue_id, tag;
	int32_t result; /* bytes, or -errno */
	uint64_t addr;  /* where the data of the next request goes */
};
_Static_assert(sizeof(struct ublk_io_cmd) == 16, "the kernel's layout");

#define UBLK_IO_FETCH            ((uint32_t)_IOWR('u', 0x20, struct ublk_io_cmd))
#define UBLK_IO_COMMIT_AND_FETCH ((uint32_t)_IOWR('u', 0x21, struct ublk_io_cmd))

/* One request, in the table mapped from /dev/ublkcN at offset 0. */
struct ublk_io_desc {
	uint32_t op_flags;
	uint32_t n_sectors;
	uint64_t first_sector;
	uint64_t addr;
};
_Static_assert(sizeof(struct ublk_io_desc) == 24, "the kernel's layout");

#define UBLK_OP(op_flags)    ((op_flags)&0xffu)
#define UBLK_OP_READ         0u
#define UBLK_OP_WRITE        1u
#define UBLK_OP_FLUSH        2u
#define UBLK_OP_DISCARD      3u
#define UBLK_OP_WRITE_ZEROES 5u

#define UBLK_OP_F_FUA        (1u << 13)
#define UBLK_OP_F_NO_UNMAP   (1u << 15)

#define UBLK_SECTOR          512u

#endif
