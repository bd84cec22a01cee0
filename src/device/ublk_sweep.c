/* SPDX-License-Identifier: MIT */
/*
 * ublk devices that a dead service left behind
 *
 * Their requests wait for a server. Where the unit can be recognised they go on waiting
 * until it comes back and start() takes the device over; the others are removed. Nothing
 * may touch what is mounted there before the device has been stopped, which fails the
 * requests; so one looks first, then stops, then unmounts.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/apart.h"
#include "device/backend_private.h"
#include "device/privilege_ublk.h"
#include "device/sysblock.h"
#include "device/ublk_record.h"

#define STEP_NS (30 * NS_PER_S)

static int stop_apart(void *arg)
{
	const uint32_t *dev_id = arg;

	return priv_ublk_stop(*dev_id, false);
}

static int delete_apart(void *arg)
{
	const uint32_t *dev_id = arg;

	return priv_ublk_delete(*dev_id);
}

static int run_step(uint32_t dev_id, int (*run)(void *arg))
{
	const struct apart a = {.run = run, .arg = &dev_id, .n_arg = sizeof(dev_id), .fd = -1};

	return apart_run(&a, clock_now_ns() + STEP_NS);
}

static void remove_device(struct sweep *s, uint32_t dev_id)
{
	CLEANUP(holders_clear) struct holders h = {0};
	struct ublk_dev_info info;
	char name[32];
	dev_t devno;
	int r;

	snprintf(name, sizeof(name), "ublkb%u", dev_id);
	devno = sys_block_devno(name);
	if (devno)
		sweep_note(s, holders_scan_block(&h, devno, getpid()));
	r = run_step(dev_id, stop_apart);
	if (r == 0 || r == -ENODEV) {
		sweep_holders(s, &h);
		r = run_step(dev_id, delete_apart);
	}
	if (r == -ENODEV)
		return;
	sweep_note(s, r);
	if (r)
		sweep_say(s, "/dev/%s cannot be removed: %s", name, strerror(-r));
	else if (priv_ublk_info(dev_id, &info) == 0)
		sweep_say(s, "/dev/%s goes with its last user", name);
	else
		sweep_say(s, "/dev/%s removed", name);
}

static bool can_wait(const struct ublk_record *r, const struct ublk_dev_info *info)
{
	return r->identity[0] && (info->flags & UBLK_F_USER_RECOVERY) &&
	       (info->state == UBLK_STATE_LIVE || info->state == UBLK_STATE_QUIESCED);
}

static int sweep_record(void *arg, const struct ublk_record *r)
{
	struct ublk_dev_info info;
	struct sweep *s = arg;

	if (!ublk_record_device(r->mark, &info)) {
		ublk_record_remove(r->dir);
		return 0;
	}
	if (can_wait(r, &info) && ublk_record_wait(r, s->dir) == 0) {
		sweep_say(s, "/dev/ublkb%u waits for its unit", info.dev_id);
		return 0;
	}
	remove_device(s, info.dev_id);
	ublk_record_remove(r->dir);
	return 0;
}

static int give_up_record(void *arg, const struct ublk_record *r)
{
	struct ublk_dev_info info;

	if (!r->is_waiting)
		return 0;
	if (ublk_record_device(r->mark, &info))
		remove_device(arg, info.dev_id);
	ublk_record_remove(r->dir);
	return 0;
}

void sweep_ublk(struct sweep *s)
{
	sweep_note(s, ublk_record_each(s->dir, sweep_record, s));
}

void sweep_ublk_waiting(struct sweep *s)
{
	sweep_note(s, ublk_record_each(s->dir, give_up_record, s));
}
