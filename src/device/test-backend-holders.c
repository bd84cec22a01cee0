/* SPDX-License-Identifier: MIT */
/*
 * Backends: whoever uses a device is found, named, and keeps it
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/blkpg.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "device/test-rig.h"

static struct rig rig;
static struct user user;
static struct holders found;

static int teardown(void **state)
{
	const unsigned n_bad = rig.loop ? atomic_load(&rig.unit.n_bad) : 0;

	user_end(&user);
	holders_clear(&found);
	rig_end(&rig);
	return n_bad ? -1 : 0;
}

static size_t look(void)
{
	holders_clear(&found);
	assert_int_equal(rig.backend->holders(rig.dev, &found), 0);
	return found.n;
}

static const struct holder *look_for(enum holder_kind kind, const char *where)
{
	(void)look();
	return holder_find(&found, kind, where);
}

/* Nobody is there: gate, stop, gone. */
static void leave(void)
{
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(look(), 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	assert_int_equal(rig.backend->stop(rig.dev, false, 5000), 0);
}

/* Somebody who claimed it is there: the gate does not close, nothing has changed. */
static void is_refused(void)
{
	assert_int_equal(rig.backend->close_gate(rig.dev), -EBUSY);
}

/* A partition of 16 MiB at 1 MiB, in the way of partprobe: not every kernel reads tables. */
static void add_partition(int number)
{
	struct blkpg_partition part = {
		.start = (1LL << 20) + (number - 1) * (16LL << 20),
		.length = 16LL << 20,
		.pno = number,
	};
	struct blkpg_ioctl_arg arg = {
		.op = BLKPG_ADD_PARTITION, .datalen = sizeof(part), .data = &part};
	int fd = open(rig_path(&rig), O_RDONLY);

	assert_return_code(fd, errno);
	assert_return_code(ioctl(fd, BLKPG, &arg), errno);
	close(fd);
}

static void nobody_is_found_on_an_idle_device(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(look(), 0);
	leave();
}

static void mount_is_found(void **state)
{
	const struct holder *h;
	char where[200];

	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $P && mkdir \"$D/a b\" && mount $P \"$D/a b\""),
			 0);
	snprintf(where, sizeof(where), "%s/a b", rig.dir);
	h = look_for(HOLDER_MOUNT, where);
	assert_non_null(h);
	assert_false(h->other_namespace);
	assert_string_equal(h->device, rig_path(&rig));
	is_refused();
	assert_int_equal(rig_sh(&rig, "echo still >\"$D/a b/f\" && sync && umount \"$D/a b\""), 0);
	leave();
}

static void mount_in_another_namespace_is_found(void **state)
{
	const struct holder *h;

	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $P && mkdir $D/m && mkfifo $D/stop && "
				      "(unshare -m --propagation private sh -c "
				      "'mount $P $D/m && touch $D/ready && read x <$D/stop' &) && "
				      "until test -e $D/ready; do sleep 0.05; done"),
			 0);
	h = look_for(HOLDER_MOUNT, "/m");
	assert_non_null(h);
	assert_true(h->other_namespace);
	assert_true(h->pid > 0);
	is_refused();
	assert_int_equal(
		rig_sh(&rig, "echo >$D/stop; while test -e /proc/%d; do sleep 0.05; done", h->pid),
		0);
	leave();
}

static void mount_of_a_partition_is_found(void **state)
{
	const struct holder *h;

	rig_start(&rig, &blk_backend_loop, 512);
	add_partition(1);
	add_partition(2);
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q ${P}p2 && mkdir $D/m && mount ${P}p2 $D/m"), 0);
	h = look_for(HOLDER_MOUNT, "/m");
	assert_non_null(h);
	assert_non_null(strstr(h->device, "p2"));
	is_refused();
	assert_int_equal(rig_sh(&rig, "echo x >$D/m/f && umount $D/m"), 0);
	/* With the gate closed nobody can claim a partition. */
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig_sh(&rig, "! mount ${P}p2 $D/m #!quiet"), 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	assert_int_equal(rig.backend->stop(rig.dev, false, 5000), 0);
	assert_int_equal(rig_sh(&rig, "! ls /sys/block/${P#/dev/} | grep -q p[0-9]$"), 0);
}

/* Its file systems have numbers of their own, and may have more members than they name. */
static void btrfs_is_found(void **state)
{
	rig_start(&rig, &blk_backend_loop, 4096);
	if (rig_sh(&rig, "grep -q btrfs /proc/filesystems && which mkfs.btrfs #!quiet") != 0) {
		print_message("skipped: no btrfs\n");
		skip();
	}
	assert_int_equal(
		rig_sh(&rig, "truncate -s 200M $D/img && losetup --show -f $D/img >$D/other && "
			     "mkfs.btrfs -q -f --mixed -d single -m single $(cat $D/other) $P && "
			     "mkdir $D/m && btrfs device scan $P $(cat $D/other) && timeout 20 "
			     "mount $(cat $D/other) $D/m"),
		0);
	assert_non_null(look_for(HOLDER_MOUNT, "/m"));
	is_refused();
	assert_int_equal(
		rig_sh(&rig,
		       "umount $D/m; btrfs device scan --forget $P; losetup -d $(cat $D/other)"),
		0);
	leave();
}

static bool gate_closes(void *arg)
{
	return rig.backend->close_gate(rig.dev) == 0;
}

static void lazily_unmounted_file_system_is_found(void **state)
{
	const struct holder *h;
	char path[200];

	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(
		rig_sh(&rig, "mkfs.ext4 -q $P && mkdir $D/m && mount $P $D/m && echo x >$D/m/f"),
		0);
	snprintf(path, sizeof(path), "%s/m/f", rig.dir);
	user_start(&user, "open", path);
	assert_string_equal(user.line, "ready");
	assert_int_equal(rig_sh(&rig, "umount -l $D/m"), 0);
	h = look_for(HOLDER_MOUNT, "lazily");
	assert_non_null(h);
	assert_int_equal(h->pid, user.pid);
	is_refused();
	user_end(&user);
	/* The kernel finishes that at its leisure. */
	assert_true(wait_until(gate_closes, NULL));
	leave();
}

static void swap_is_found(void **state)
{
	rig_start(&rig, &blk_backend_loop, 4096);
	assert_int_equal(rig_sh(&rig, "mkswap $P"), 0);
	if (rig_sh(&rig, "swapon $P #!quiet") != 0) {
		print_message("skipped: no swapon here\n");
		skip();
	}
	assert_non_null(look_for(HOLDER_SWAP, rig_path(&rig)));
	is_refused();
	assert_int_equal(rig_sh(&rig, "swapoff $P"), 0);
	leave();
}

static void loop_on_top_is_found(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig_sh(&rig, "losetup --show -f $P >$D/top"), 0);
	assert_non_null(look_for(HOLDER_LOOP, "/dev/loop"));
	/* It does not claim its file: it is a raw opener that no process has. */
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_non_null(look_for(HOLDER_LOOP, "/dev/loop"));
	assert_int_equal(rig.backend->stop(rig.dev, false, 1000), -EBUSY);
	assert_int_equal(rig_sh(&rig, "dd if=/dev/zero of=$(cat $D/top) count=8 conv=fsync && "
				      "losetup -d $(cat $D/top)"),
			 0);
	assert_int_equal(rig.backend->stop(rig.dev, false, 5000), 0);
}

static void raw_open_is_found(void **state)
{
	const struct holder *h;

	rig_start(&rig, &blk_backend_loop, 512);
	user_start(&user, "open", rig_path(&rig));
	h = look_for(HOLDER_OPEN, rig_path(&rig));
	assert_non_null(h);
	assert_int_equal(h->pid, user.pid);
	assert_true(h->comm[0] != '\0');
	user_end(&user);
	leave();
}

static void raw_open_of_a_partition_is_found(void **state)
{
	char path[64];
	const struct holder *h;

	rig_start(&rig, &blk_backend_loop, 512);
	add_partition(1);
	snprintf(path, sizeof(path), "%sp1", rig_path(&rig));
	user_start(&user, "write", path);
	h = look_for(HOLDER_OPEN, path);
	assert_non_null(h);
	assert_string_equal(h->device, path);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->stop(rig.dev, false, 100), -EBUSY);
	rig.backend->open_gate(rig.dev);
	user_end(&user);
	leave();
}

static void mapped_device_is_found(void **state)
{
	const struct holder *h;

	rig_start(&rig, &blk_backend_loop, 512);
	user_start(&user, "map", rig_path(&rig));
	assert_string_equal(user.line, "ready");
	h = look_for(HOLDER_OPEN, rig_path(&rig));
	assert_non_null(h);
	assert_int_equal(h->pid, user.pid);
	user_end(&user);
	leave();
	assert_string_equal((char *)rig.unit.mem, "mapped");
}

static void exclusive_open_is_found(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	user_start(&user, "excl", rig_path(&rig));
	assert_string_equal(user.line, "ready");
	is_refused();
	assert_non_null(look_for(HOLDER_OPEN, rig_path(&rig)));
	user_end(&user);
	leave();
}

/*
 * Our own process stands for one that cannot be found. Its claim shows when the gate
 * runs into it and not before: a look alone must not try, as others would run into that.
 */
static void unknown_claim_is_reported(void **state)
{
	int fd;

	rig_start(&rig, &blk_backend_loop, 512);
	fd = open(rig_path(&rig), O_RDONLY | O_EXCL);
	assert_return_code(fd, errno);
	assert_int_equal(look(), 0);
	is_refused();
	assert_non_null(look_for(HOLDER_EXCLUSIVE, ""));
	assert_int_equal(found.n, 1);
	/* it may have gone since */
	assert_int_equal(look(), 0);
	is_refused();
	close(fd);
	leave();
}

static void fuse_open_is_found(void **state)
{
	const struct holder *h;

	rig_start(&rig, &blk_backend_fuse, 512);
	user_start(&user, "open", rig_path(&rig));
	assert_string_equal(user.line, "ready");
	h = look_for(HOLDER_OPEN, rig_path(&rig));
	assert_non_null(h);
	assert_int_equal(h->pid, user.pid);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->stop(rig.dev, false, 100), -EBUSY);
	rig.backend->open_gate(rig.dev);
	user_end(&user);
	leave();
}

static void fuse_map_is_found(void **state)
{
	const struct holder *h;

	rig_start(&rig, &blk_backend_fuse, 512);
	user_start(&user, "map", rig_path(&rig));
	assert_string_equal(user.line, "ready");
	h = look_for(HOLDER_OPEN, rig_path(&rig));
	assert_non_null(h);
	assert_int_equal(h->pid, user.pid);
	user_end(&user);
	leave();
	assert_string_equal((char *)rig.unit.mem, "mapped");
}

static void fuse_loop_on_top_is_found(void **state)
{
	rig_start(&rig, &blk_backend_fuse, 512);
	assert_int_equal(rig_sh(&rig, "losetup --show -f $P >$D/top"), 0);
	assert_non_null(look_for(HOLDER_LOOP, "/dev/loop"));
	assert_int_equal(rig.backend->stop(rig.dev, false, 100), -EBUSY);
	assert_int_equal(rig_sh(&rig, "losetup -d $(cat $D/top)"), 0);
	leave();
}

static void fuse_bind_mount_is_found(void **state)
{
	rig_start(&rig, &blk_backend_fuse, 512);
	assert_int_equal(rig_sh(&rig, "touch $D/bound && mount --bind $P $D/bound"), 0);
	assert_non_null(look_for(HOLDER_MOUNT, "/bound"));
	assert_int_equal(rig_sh(&rig, "umount $D/bound"), 0);
	leave();
}

/* A descriptor in our own process is no one else's: only the server's count knows it. */
static void fuse_open_that_no_process_has_is_reported(void **state)
{
	const struct holder *h;
	int fd;

	rig_start(&rig, &blk_backend_fuse, 512);
	fd = open(rig_path(&rig), O_RDONLY);
	assert_return_code(fd, errno);
	h = look_for(HOLDER_FUSE_OPEN, rig_path(&rig));
	assert_non_null(h);
	assert_int_equal(h->pid, getpid());
	close(fd);
	leave();
}

static void processes_may_vanish_while_we_look(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(
		rig_sh(&rig, "(for i in $(seq 300); do /bin/true & done; wait) >/dev/null 2>&1 &"),
		0);
	for (int k = 0; k < 20; k++)
		assert_int_equal(look(), 0);
	leave();
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		T(nobody_is_found_on_an_idle_device),
		T(mount_is_found),
		T(mount_in_another_namespace_is_found),
		T(mount_of_a_partition_is_found),
		T(btrfs_is_found),
		T(lazily_unmounted_file_system_is_found),
		T(swap_is_found),
		T(loop_on_top_is_found),
		T(raw_open_is_found),
		T(raw_open_of_a_partition_is_found),
		T(mapped_device_is_found),
		T(exclusive_open_is_found),
		T(unknown_claim_is_reported),
		T(fuse_open_is_found),
		T(fuse_map_is_found),
		T(fuse_loop_on_top_is_found),
		T(fuse_bind_mount_is_found),
		T(fuse_open_that_no_process_has_is_reported),
		T(processes_may_vanish_while_we_look),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
	return rig_main(argc, argv, &blk_backend_loop, tests, NULL);
}
