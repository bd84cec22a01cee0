/* SPDX-License-Identifier: MIT */
/*
 * Finding out about a unit
 *
 * A unit refuses what it does not have: that is an answer. A question that could
 * not be put (lost connection, busy for too long, broken data) is not an answer,
 * and the probe fails: a designator that is only missing for the moment would
 * make the unit look like another one.
 *
 * Pages are asked for as the unit lists them. Unit attentions, of which a new
 * session nearly always brings one, are taken note of by asking again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "device/lu_private.h"
#include "scsi/lun.h"

#define PROBE_TIMEOUT_NS   (10 * NS_PER_S)
#define SYNC_TIMEOUT_NS    (60 * NS_PER_S)
#define MAX_AT_ONCE        16 /* unit attentions and aborts, of one command */
#define MAX_WAITS          12 /* … and pauses, about 4.5 s in all */
#define WAIT_MIN_NS        (20 * NS_PER_MS)
#define WAIT_MAX_NS        (500 * NS_PER_MS)

#define PAGE_BYTES         1024
#define MODE_BYTES         192
#define TRANSFER_CAP_BYTES (4u << 20)
#define PHYS_BLOCK_CAP     (1u << 16)
#define MAX_LUNS           16384
#define FIRST_LIST_LUNS    512
#define LUN_HEADER_BYTES   8

/* Positive: the unit has understood and says no. */
#define REFUSED 1

struct probe {
	const struct scsi_exec *exec;
	uint64_t lun;
};

static void pause_ns(uint64_t ns)
{
	struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

static void cmd_renew(struct scsi_cmd *cmd)
{
	cmd->error = 0;
	cmd->status = 0;
	cmd->n_sense = 0;
	cmd->n_transferred = 0;
}

/*
 * Runs @cmd until there is an answer that counts. Return: 0; REFUSED; -errno. The
 * number of rounds is bounded, and each round by the command's timeout.
 */
static int cmd_ask(const struct probe *p, struct scsi_cmd *cmd)
{
	unsigned n_at_once = 0, n_waits = 0;
	uint64_t wait_ns = WAIT_MIN_NS;

	cmd->lun = p->lun;
	cmd->probe = true;
	if (!cmd->timeout_ns)
		cmd->timeout_ns = PROBE_TIMEOUT_NS;
	for (;;) {
		struct scsi_verdict v;
		int r;

		cmd_renew(cmd);
		r = p->exec->run(p->exec->ctx, cmd);
		if (r < 0)
			return r;
		v = scsi_judge(cmd->status, cmd->sense, cmd->n_sense, cmd->cdb[0]);
		switch (v.action) {
		case SCSI_ACT_OK: return 0;
		case SCSI_ACT_RETRY:
			if (n_at_once++ >= MAX_AT_ONCE)
				return v.error;
			break;
		case SCSI_ACT_RETRY_LATER:
			if (n_waits++ >= MAX_WAITS)
				return v.error;
			pause_ns(wait_ns);
			wait_ns = wait_ns * 2 < WAIT_MAX_NS ? wait_ns * 2 : WAIT_MAX_NS;
			break;
		case SCSI_ACT_FAIL: return v.unsupported ? REFUSED : v.error;
		}
	}
}

/* The same for a command whose CDB is in @cmd and whose answer goes to @buf. */
static int cmd_read(const struct probe *p, struct scsi_cmd *cmd, void *buf, uint32_t n_buf,
		    size_t *ret_n)
{
	struct iovec iov = {buf, n_buf};
	int r;

	cmd->dir = SCSI_DIR_READ;
	cmd->iov = &iov;
	cmd->n_iov = 1;
	cmd->n_data = n_buf;
	r = cmd_ask(p, cmd);
	cmd->iov = NULL;
	if (r == 0)
		*ret_n = cmd->n_transferred < n_buf ? cmd->n_transferred : n_buf;
	return r;
}

static int inquiry_ask(const struct probe *p, bool evpd, uint8_t page, uint8_t *buf, uint16_t n_buf,
		       size_t *ret_n)
{
	struct scsi_cmd cmd = {0};

	cmd.n_cdb = cdb_inquiry(cmd.cdb, evpd, page, n_buf);
	return cmd_read(p, &cmd, buf, n_buf, ret_n);
}

/* ---- who is it --------------------------------------------------------- */

static int probe_inquiry(const struct probe *p, struct lu_info *i)
{
	uint8_t buf[96];
	struct scsi_inquiry q;
	size_t n = 0;
	int r = inquiry_ask(p, false, 0, buf, sizeof(buf), &n);

	if (r)
		return r == REFUSED ? -EIO : r;
	if (inquiry_decode(&q, buf, n) < 0)
		return -EIO;
	if (q.qualifier != 0 || q.device_type == SCSI_TYPE_UNKNOWN)
		return -ENODEV;
	i->device_type = q.device_type;
	i->removable = q.removable;
	memcpy(i->vendor, q.vendor, sizeof(i->vendor));
	memcpy(i->product, q.product, sizeof(i->product));
	memcpy(i->revision, q.revision, sizeof(i->revision));
	return 0;
}

/* Two pages tell who the unit is; they are tried even where the list of pages could not be had. */
static int probe_pages(const struct probe *p, struct scsi_vpd_pages *ret)
{
	uint8_t buf[PAGE_BYTES];
	size_t n = 0;
	int r = inquiry_ask(p, true, SCSI_VPD_PAGES, buf, sizeof(buf), &n);

	if (r < 0)
		return r;
	if (r == REFUSED || vpd_pages_decode(ret, buf, n) < 0) {
		*ret = (struct scsi_vpd_pages){0};
		ret->bits[SCSI_VPD_SERIAL / 64] |= UINT64_C(1) << SCSI_VPD_SERIAL % 64;
		ret->bits[SCSI_VPD_ID / 64] |= UINT64_C(1) << SCSI_VPD_ID % 64;
	}
	return 0;
}

/* 0 with *ret_n bytes, none when the unit does not have the page. */
static int page_ask(const struct probe *p, const struct scsi_vpd_pages *pages, uint8_t page,
		    uint8_t buf[PAGE_BYTES], size_t *ret_n)
{
	int r;

	*ret_n = 0;
	if (!vpd_has_page(pages, page))
		return 0;
	r = inquiry_ask(p, true, page, buf, PAGE_BYTES, ret_n);
	return r == REFUSED ? 0 : r;
}

static int probe_identity(const struct probe *p, const struct scsi_vpd_pages *pages,
			  struct lu_info *i)
{
	uint8_t buf[PAGE_BYTES];
	size_t n = 0, n_id = 0;
	int r;

	r = page_ask(p, pages, SCSI_VPD_SERIAL, buf, &n);
	if (r)
		return r;
	if (n > 0)
		(void)vpd_serial_decode(i->serial, sizeof(i->serial), buf, n);

	r = page_ask(p, pages, SCSI_VPD_ID, buf, &n);
	if (r)
		return r;
	if (n > 0)
		(void)vpd_ids_decode(i->id, ARRAY_SIZE(i->id), &n_id, buf, n);
	i->n_id = (unsigned)n_id;
	return 0;
}

/* ---- what can it do ---------------------------------------------------- */

static int probe_capacity(const struct probe *p, struct scsi_capacity *ret)
{
	struct scsi_cmd cmd = {0};
	uint8_t buf[32];
	size_t n = 0;
	int r;

	cmd.n_cdb = cdb_read_capacity_16(cmd.cdb, sizeof(buf));
	r = cmd_read(p, &cmd, buf, sizeof(buf), &n);
	if (r < 0)
		return r;
	if (r == 0)
		return capacity16_decode(ret, buf, n) < 0 ? -EIO : 0;

	cmd = (struct scsi_cmd){0};
	cmd.n_cdb = cdb_read_capacity_10(cmd.cdb);
	r = cmd_read(p, &cmd, buf, 8, &n);
	if (r)
		return r < 0 ? r : -EIO;
	if (capacity10_decode(ret, buf, n) < 0)
		return -EIO;
	/* so large that only the command which it refused could tell */
	return ret->last_lba == SCSI_CAPACITY10_TOO_BIG ? -EOVERFLOW : 0;
}

static bool block_size_served(uint32_t bytes)
{
	return bytes >= LU_BLOCK_MIN && bytes <= LU_BLOCK_MAX && (bytes & (bytes - 1)) == 0;
}

static int capacity_take(struct lu_info *i, const struct scsi_capacity *c)
{
	uint64_t phys;

	if (c->block_bytes == 0)
		return -EIO;
	i->limits.block_bytes = c->block_bytes;
	i->limits.phys_block_bytes = c->block_bytes;
	/* known, but nothing we could show as a disk: the size stays 0 */
	if (!block_size_served(c->block_bytes))
		return 0;
	if (c->last_lba >= (uint64_t)INT64_MAX / c->block_bytes)
		return -EOVERFLOW;
	i->limits.n_bytes = (c->last_lba + 1) * c->block_bytes;
	phys = (uint64_t)c->block_bytes << c->phys_exponent;
	if (phys <= PHYS_BLOCK_CAP)
		i->limits.phys_block_bytes = (uint32_t)phys;
	return 0;
}

/*
 * WRITE SAME without the UNMAP bit is announced nowhere; the unit is asked, if it lets itself be
 * asked.
 */
static void probe_write_same(const struct probe *p, struct lu_info *i)
{
	struct scsi_cmd cmd = {0};
	uint8_t buf[32];
	bool has = false;
	size_t n = 0;
	int r;

	if (i->max_write_same_blocks > 0 || i->can_write_same16_unmap) {
		i->can_write_same16 = true;
		return;
	}
	cmd.n_cdb = cdb_report_supported_op(cmd.cdb, SCSI_WRITE_SAME_16, sizeof(buf));
	r = cmd_read(p, &cmd, buf, sizeof(buf), &n);
	/* no data depends on it, so no failure does either; a lost path shows with the next command
	 */
	i->can_write_same16 = r == 0 && supported_op_decode(&has, buf, n) == 0 && has;
}

static int probe_limits(const struct probe *p, const struct scsi_vpd_pages *pages,
			const struct scsi_capacity *c, struct lu_info *i)
{
	struct scsi_block_limits l = {0};
	struct scsi_provisioning v = {0};
	bool has_provisioning;
	uint8_t buf[PAGE_BYTES];
	uint64_t max;
	size_t n = 0;
	int r;

	r = page_ask(p, pages, SCSI_VPD_BLOCK_LIMITS, buf, &n);
	if (r)
		return r;
	if (n > 0)
		(void)vpd_block_limits_decode(&l, buf, n);
	r = page_ask(p, pages, SCSI_VPD_PROVISIONING, buf, &n);
	if (r)
		return r;
	has_provisioning = n > 0 && vpd_provisioning_decode(&v, buf, n) == 0;

	max = (uint64_t)l.max_transfer_blocks * i->limits.block_bytes;
	i->limits.max_transfer_bytes =
		max > 0 && max < TRANSFER_CAP_BYTES ? (uint32_t)max : TRANSFER_CAP_BYTES;
	i->max_unmap_blocks = l.max_unmap_blocks;
	i->max_unmap_descriptors = l.max_unmap_descriptors;
	i->max_write_same_blocks = l.max_write_same_blocks;
	i->unmap_granularity_blocks = l.unmap_granularity_blocks;
	/* before SBC-3 had its page, a limit for UNMAP was the sign that it exists */
	i->can_unmap = c->provisioned &&
		       (has_provisioning ? v.unmap
					 : l.max_unmap_blocks > 0 && l.max_unmap_descriptors > 0);
	i->can_write_same16_unmap = c->provisioned && v.write_same16_unmap;
	i->reads_zero_after_unmap = c->provisioned && (c->reads_zero || v.reads_zero);
	probe_write_same(p, i);
	return 0;
}

static int mode_ask(const struct probe *p, bool ten, uint8_t page, struct scsi_mode *ret)
{
	struct scsi_cmd cmd = {0};
	uint8_t buf[MODE_BYTES];
	size_t n = 0;
	int r;

	cmd.n_cdb = ten ? cdb_mode_sense_10(cmd.cdb, page, sizeof(buf))
			: cdb_mode_sense_6(cmd.cdb, page, sizeof(buf));
	r = cmd_read(p, &cmd, buf, sizeof(buf), &n);
	if (r)
		return r;
	r = ten ? mode10_decode(ret, buf, n) : mode6_decode(ret, buf, n);
	return r < 0 ? REFUSED : 0;
}

/*
 * Nothing tells whether writes are cached: a unit that knows the command to empty a cache is taken
 * to have one.
 */
static int probe_sync(const struct probe *p, bool *ret_has)
{
	int r = 0;

	for (int long_form = 0; long_form <= 1; long_form++) {
		struct scsi_cmd cmd = {.timeout_ns = SYNC_TIMEOUT_NS};

		cmd.n_cdb = cdb_sync_cache(cmd.cdb, 0, 0, long_form);
		r = cmd_ask(p, &cmd);
		if (r != REFUSED)
			break;
	}
	*ret_has = r == 0;
	return r < 0 ? r : 0;
}

static int probe_mode(const struct probe *p, struct lu_info *i)
{
	static const struct {
		bool ten;
		uint8_t page;
	} tries[] = {
		{false, SCSI_MODE_PAGE_CACHING},
		{true, SCSI_MODE_PAGE_CACHING},
		{false, SCSI_MODE_PAGE_ALL}, /* for the write protection in the header */
		{true, SCSI_MODE_PAGE_ALL},
	};
	struct scsi_mode m = {0};
	int r = REFUSED;

	for (size_t k = 0; k < ARRAY_SIZE(tries) && r == REFUSED; k++)
		r = mode_ask(p, tries[k].ten, tries[k].page, &m);
	if (r < 0)
		return r;
	i->limits.read_only = m.write_protected;
	i->dpo_fua = m.dpo_fua;
	i->limits.write_cache = m.has_caching && m.write_cache;
	if (m.has_caching || m.write_protected)
		return 0;
	return probe_sync(p, &i->limits.write_cache);
}

static int probe_disk(const struct probe *p, const struct scsi_vpd_pages *pages, struct lu_info *i)
{
	struct scsi_capacity c;
	int r;

	r = probe_capacity(p, &c);
	if (r)
		return r;
	r = capacity_take(i, &c);
	if (r)
		return r;
	r = probe_limits(p, pages, &c, i);
	if (r)
		return r;
	return probe_mode(p, i);
}

int lu_probe(struct lu_info *ret, const struct scsi_exec *exec, uint64_t lun)
{
	struct probe p = {.exec = exec, .lun = lun};
	struct scsi_vpd_pages pages;
	struct lu_info i;
	int r;

	/* padding too: the result may be compared as a whole */
	memset(&i, 0, sizeof(i));
	i.lun = lun;
	r = probe_inquiry(&p, &i);
	if (r)
		return r;
	r = probe_pages(&p, &pages);
	if (r)
		return r;
	r = probe_identity(&p, &pages, &i);
	if (r)
		return r;
	if (i.device_type == SCSI_TYPE_DISK) {
		r = probe_disk(&p, &pages, &i);
		if (r)
			return r;
	}
	lu_info_derive(&i);
	*ret = i;
	return 0;
}

/* ---- which units are there --------------------------------------------- */

static int lun_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* In place: ascending, each once, without well-known units. Return: how many are left. */
static size_t luns_tidy(uint64_t *v, size_t n)
{
	size_t at = 0;

	qsort(v, n, sizeof(*v), lun_compare);
	for (size_t i = 0; i < n; i++)
		if (!lun_is_well_known(v[i]) && (at == 0 || v[at - 1] != v[i]))
			v[at++] = v[i];
	return at;
}

/* One REPORT LUNS with room for @n_room. *ret_n_all: how many the target says there are. */
static int luns_ask(const struct probe *p, uint64_t *v, size_t n_room, size_t *ret_n,
		    size_t *ret_n_all)
{
	uint32_t n_buf = (uint32_t)(LUN_HEADER_BYTES + n_room * sizeof(*v));
	CLEANUP(freep) uint8_t *buf = malloc(n_buf);
	struct scsi_cmd cmd = {0};
	uint32_t n_list;
	size_t n = 0;
	int r;

	if (!buf)
		return -ENOMEM;
	cmd.n_cdb = cdb_report_luns(cmd.cdb, n_buf);
	r = cmd_read(p, &cmd, buf, n_buf, &n);
	if (r)
		return r;
	if (report_luns_decode(v, n_room, ret_n, &n_list, buf, n) < 0)
		return -EIO;
	*ret_n_all = n_list / sizeof(*v);
	/* what was promised must be there: a list cut short would make units vanish */
	if (*ret_n < *ret_n_all && *ret_n < n_room)
		return -EIO;
	return 0;
}

int lu_report_luns(const struct scsi_exec *exec, uint64_t **ret_luns, size_t *ret_n)
{
	struct probe p = {.exec = exec, .lun = 0};
	size_t n_room = FIRST_LIST_LUNS;

	/* units may be added while we ask: each round at least doubles the room */
	for (;;) {
		CLEANUP(freep) uint64_t *v = calloc(n_room, sizeof(*v));
		size_t n = 0, n_all = 0;
		int r;

		if (!v)
			return -ENOMEM;
		r = luns_ask(&p, v, n_room, &n, &n_all);
		if (r < 0)
			return r;
		if (r == REFUSED) {
			/* a target that cannot list its units has one */
			v[0] = 0;
			n = n_all = 1;
		}
		if (n_all > MAX_LUNS)
			return -E2BIG;
		if (n_all <= n_room) {
			*ret_n = luns_tidy(v, n);
			*ret_luns = TAKE(v);
			return 0;
		}
		n_room = n_all > 2 * n_room ? n_all : 2 * n_room;
		if (n_room > MAX_LUNS)
			n_room = MAX_LUNS;
	}
}
