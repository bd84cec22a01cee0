/* SPDX-License-Identifier: MIT */
#include "device/privilege_ublk.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/sysblock.h"

#define CONTROL    "/dev/ublk-control"
#define SQE_BYTES  128
#define SQE_CMD_AT 48

/* How the driver wants its commands numbered; the answer does not change while we live. */
enum {
	STYLE_UNKNOWN,
	STYLE_ENCODED,
	STYLE_BARE
};
static atomic_int style;
static _Atomic uint64_t features;

static int ring_command(struct io_uring *ring, int fd, uint32_t op, const struct ublk_ctl_cmd *cmd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	uint8_t bytes[SQE_BYTES] = {0};
	struct io_uring_sqe head = {.opcode = IORING_OP_URING_CMD, .fd = fd, .cmd_op = op};
	struct io_uring_cqe *cqe;
	int r;

	if (!sqe)
		return -EBUSY;
	memcpy(bytes, &head, SQE_CMD_AT);
	memcpy(bytes + SQE_CMD_AT, cmd, sizeof(*cmd));
	/* Such a ring has entries of twice the size of the type. */
	for (size_t k = 0; k < SQE_BYTES; k++)
		((volatile uint8_t *)sqe)[k] = bytes[k];
	r = io_uring_submit(ring);
	if (r < 0)
		return r;
	while ((r = io_uring_wait_cqe(ring, &cqe)) == -EINTR)
		;
	if (r < 0)
		return r;
	r = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return r;
}

static int find_style(struct io_uring *ring, int fd)
{
	uint64_t found = 0;
	const struct ublk_ctl_cmd cmd = {.dev_id = UINT32_MAX,
					 .queue_id = UINT16_MAX,
					 .addr = (uintptr_t)&found,
					 .n_bytes = sizeof(found)};
	const int r = ring_command(ring, fd, UBLK_CTL_GET_FEATURES, &cmd);

	if (r == -EPERM || r == -EACCES)
		return r;
	atomic_store(&features, r < 0 ? UBLK_FEATURES_OLD : found);
	atomic_store(&style, r < 0 ? STYLE_BARE : STYLE_ENCODED);
	return 0;
}

/* @op 0: only find out how to speak. */
static int control(uint32_t op, struct ublk_ctl_cmd cmd)
{
	CLEANUP(closep) int fd = open(CONTROL, O_RDWR | O_CLOEXEC);
	struct io_uring ring;
	int r;

	if (fd < 0)
		return -errno;
	r = io_uring_queue_init(2, &ring, IORING_SETUP_SQE128);
	if (r < 0)
		return r;
	cmd.queue_id = UINT16_MAX;
	if (atomic_load(&style) == STYLE_UNKNOWN)
		r = find_style(&ring, fd);
	if (r == 0 && op)
		r = ring_command(&ring, fd, atomic_load(&style) == STYLE_BARE ? UBLK_BARE(op) : op,
				 &cmd);
	io_uring_queue_exit(&ring);
	return r;
}

int priv_ublk_features(uint64_t *ret_features)
{
	const int r = control(0, (struct ublk_ctl_cmd){0});

	if (r)
		return r;
	*ret_features = atomic_load(&features);
	return 0;
}

int priv_ublk_add(struct ublk_dev_info *info)
{
	info->dev_id = UINT32_MAX;
	return control(UBLK_CTL_ADD_DEV, (struct ublk_ctl_cmd){.dev_id = UINT32_MAX,
							       .addr = (uintptr_t)info,
							       .n_bytes = sizeof(*info)});
}

int priv_ublk_set_params(uint32_t dev_id, const struct ublk_params *params)
{
	return control(UBLK_CTL_SET_PARAMS, (struct ublk_ctl_cmd){.dev_id = dev_id,
								  .addr = (uintptr_t)params,
								  .n_bytes = sizeof(*params)});
}

int priv_ublk_info(uint32_t dev_id, struct ublk_dev_info *ret)
{
	struct ublk_dev_info info = {0};
	const int r =
		control(UBLK_CTL_GET_DEV_INFO, (struct ublk_ctl_cmd){.dev_id = dev_id,
								     .addr = (uintptr_t)&info,
								     .n_bytes = sizeof(info)});

	if (r == 0)
		*ret = info;
	return r;
}

int priv_ublk_params(uint32_t dev_id, struct ublk_params *ret)
{
	struct ublk_params p = {.n_bytes = sizeof(p)};
	const int r = control(UBLK_CTL_GET_PARAMS, (struct ublk_ctl_cmd){.dev_id = dev_id,
									 .addr = (uintptr_t)&p,
									 .n_bytes = sizeof(p)});

	if (r == 0)
		*ret = p;
	return r;
}

int priv_ublk_start(uint32_t dev_id, pid_t pid)
{
	return control(UBLK_CTL_START_DEV,
		       (struct ublk_ctl_cmd){.dev_id = dev_id, .data = (uint64_t)pid});
}

int priv_ublk_stop(uint32_t dev_id, bool unused)
{
	return control(unused ? UBLK_CTL_TRY_STOP_DEV : UBLK_CTL_STOP_DEV,
		       (struct ublk_ctl_cmd){.dev_id = dev_id});
}

int priv_ublk_delete(uint32_t dev_id)
{
	const struct ublk_ctl_cmd cmd = {.dev_id = dev_id};
	int r = -EOPNOTSUPP;

	if (atomic_load(&style) != STYLE_BARE)
		r = control(UBLK_CTL_DEL_DEV_ASYNC, cmd);
	if (r == -EOPNOTSUPP || r == -EINVAL)
		r = control(UBLK_CTL_DEL_DEV, cmd);
	return r;
}

int priv_ublk_resize(uint32_t dev_id, uint64_t n_sectors)
{
	return control(UBLK_CTL_UPDATE_SIZE,
		       (struct ublk_ctl_cmd){.dev_id = dev_id, .data = n_sectors});
}

int priv_ublk_recover_begin(uint32_t dev_id)
{
	return control(UBLK_CTL_START_RECOVERY, (struct ublk_ctl_cmd){.dev_id = dev_id});
}

int priv_ublk_recover_end(uint32_t dev_id, pid_t pid)
{
	return control(UBLK_CTL_END_RECOVERY,
		       (struct ublk_ctl_cmd){.dev_id = dev_id, .data = (uint64_t)pid});
}

int priv_ublk_open(uint32_t dev_id)
{
	CLEANUP(closep) int fd = -1;
	char path[64], line[32];
	unsigned maj, min;
	struct stat st;

	snprintf(path, sizeof(path), "/sys/class/ublk-char/ublkc%u/dev", dev_id);
	if (sys_read_line(path, line, sizeof(line)) < 0 || sscanf(line, "%u:%u", &maj, &min) != 2)
		return -ENODEV;
	snprintf(path, sizeof(path), "/dev/ublkc%u", dev_id);
	/* Where /dev is not kept by the kernel somebody has to make the node. */
	if (mknod(path, S_IFCHR | 0600, makedev(maj, min)) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(maj, min))
		return -ENXIO;
	return TAKE_FD(fd);
}
