/* SPDX-License-Identifier: MIT */
/*
 * Backend ublk, on a kernel that has the driver
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "device/privilege_ublk.h"
#include "device/test-rig.h"

#define FIO                                                                                     \
	"fio --name=v --filename=$P --size=8m --rw=randrw --rwmixread=30 --bsrange=4k-256k "    \
	"--blockalign=4k --verify=crc32c --verify_fatal=1 --verify_state_save=0 --do_verify=1 " \
	"--verify_backlog=64 --ioengine=libaio --iodepth=32 --numjobs=1 --minimal "
#define Q    "Q=/sys/block/${P#/dev/}/queue; "
#define MANY 10

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

static void start(void)
{
	rig_start(&rig, &blk_backend_ublk, 512);
}

static int stop(bool force, int timeout_ms)
{
	return rig.backend->stop(rig.dev, force, timeout_ms);
}

static void leave_as(const char *name)
{
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	assert_int_equal(stop(false, 10000), 0);
	assert_int_equal(rig_sh(&rig, "test ! -e $P && test ! -e $D/%s", name), 0);
}

static void leave(void)
{
	leave_as("s1-lun0");
}

static bool has_feature(uint64_t f)
{
	uint64_t features;

	assert_int_equal(priv_ublk_features(&features), 0);
	return features & f;
}

static bool is_submitted(void *arg)
{
	return atomic_load(&rig.unit.n_inflight) > 0;
}

/* ---- start ------------------------------------------------------------------------- */

static void start_refuses_what_is_no_device(void **state)
{
	rig_init(&rig, &blk_backend_ublk, 512);
	rig.user_mode = true;
	assert_int_equal(rig_present(&rig), -EPERM);
	rig.user_mode = false;
	rig.unit.limits.block_bytes = 520;
	assert_int_equal(rig_present(&rig), -EINVAL);
	rig.unit.limits.block_bytes = 512;
	rig.unit.limits.n_bytes = 0;
	assert_int_equal(rig_present(&rig), -EINVAL);
	assert_int_equal(rig_sh(&rig, "test -z \"$(ls $D | grep -v log)\" && "
				      "! ls /dev/ublkb* #!quiet"),
			 0);
}

static void auto_takes_it_first(void **state)
{
	char why[128];

	assert_ptr_equal(blk_backend_choose("auto", false, why, sizeof(why)), &blk_backend_ublk);
}

static void limits_follow_the_unit(void **state)
{
	rig_init(&rig, &blk_backend_ublk, 512);
	rig.unit.limits.max_transfer_bytes = 256 << 10;
	assert_int_equal(rig_present(&rig), 0);
	assert_int_equal(rig_sh(&rig, Q "cd $Q && test $(cat max_hw_sectors_kb) = 256 && "
					"test $(cat logical_block_size) = 512 && "
					"test $(cat physical_block_size) = 4096 && "
					"test $(cat minimum_io_size) = 4096 && "
					"test $(cat discard_granularity) = 4096 && "
					"test $(cat discard_max_bytes) = 2147483648 && "
					"test $(cat write_zeroes_max_bytes) = 2147483648 && "
					"test \"$(cat write_cache)\" = 'write back' && "
					"test $(cat fua) = 1 && test $(cat nr_requests) = 127"),
			 0);
	assert_int_equal(rig_sh(&rig, "test $(blockdev --getsize64 $P) = 67108864 && "
				      "test $(blockdev --getro $P) = 0"),
			 0);
	assert_int_equal(teardown(NULL), 0);

	rig_init(&rig, &blk_backend_ublk, 4096);
	rig.unit.limits.max_transfer_bytes = 0;
	rig.unit.limits.can_discard = rig.unit.limits.can_write_zeroes = false;
	rig.unit.limits.write_cache = false;
	assert_int_equal(rig_present(&rig), 0);
	assert_int_equal(rig_sh(&rig, Q "cd $Q && test $(cat max_hw_sectors_kb) = 1024 && "
					"test $(cat logical_block_size) = 4096 && "
					"test $(cat discard_max_bytes) = 0 && "
					"test $(cat write_zeroes_max_bytes) = 0 && "
					"test \"$(cat write_cache)\" = 'write through' && "
					"test $(cat fua) = 0"),
			 0);
}

/* ---- I/O --------------------------------------------------------------------------- */

static void verify_with(uint32_t block_bytes)
{
	rig_start(&rig, &blk_backend_ublk, block_bytes);
	atomic_store(&rig.unit.delay_us, 200);
	assert_int_equal(rig_sh(&rig, FIO "--direct=1"), 0);
	assert_true(atomic_load(&rig.unit.n_inflight_max) > 4);
	assert_int_equal(rig_sh(&rig, FIO "--direct=0 --fsync=16"), 0);
	assert_true(atomic_load(&rig.unit.n_flushes) > 0);
	leave();
}

static void verifies_512(void **state)
{
	verify_with(512);
}

static void verifies_4096(void **state)
{
	verify_with(4096);
}

static void more_requests_than_tags_wait(void **state)
{
	rig_start(&rig, &blk_backend_ublk, 4096);
	atomic_store(&rig.unit.delay_us, 20000);
	assert_int_equal(rig_sh(&rig, "fio --name=v --filename=$P --size=2m --rw=randwrite --bs=4k "
				      "--ioengine=libaio --iodepth=256 --direct=1 --verify=crc32c "
				      "--verify_fatal=1 --verify_state_save=0 --minimal"),
			 0);
	assert_true(atomic_load(&rig.unit.n_inflight_max) > 64);
	assert_true(atomic_load(&rig.unit.n_inflight_max) <= 127);
}

static void file_system_lives_on_it(void **state)
{
	unsigned n_discards;

	rig_start(&rig, &blk_backend_ublk, 4096);
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $P && mkdir $D/m && mount $P $D/m"), 0);
	assert_int_equal(rig_sh(&rig,
				"dd if=/dev/urandom of=$D/m/a bs=1M count=8 && cp $D/m/a $D/m/b && "
				"sync && echo 3 >/proc/sys/vm/drop_caches && cmp $D/m/a $D/m/b && "
				"rm $D/m/a"),
			 0);
	n_discards = atomic_load(&rig.unit.n_discards);
	assert_int_equal(rig_sh(&rig, "sync; fstrim -v $D/m"), 0);
	assert_true(atomic_load(&rig.unit.n_discards) > n_discards);
	assert_int_equal(rig_sh(&rig, "umount $D/m && e2fsck -fn $P"), 0);
	leave();
}

static void partitions_are_there(void **state)
{
	start();
	assert_int_equal(rig_sh(&rig, "printf 'size=8M\\nsize=8M\\n' | sfdisk -q $P && "
				      "test -b ${P}p2 && mkfs.ext4 -q ${P}p2 && mkdir $D/m && "
				      "mount ${P}p2 $D/m"),
			 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), -EBUSY);
	assert_int_equal(rig.backend->holders(rig.dev, &found), 0);
	assert_non_null(holder_find(&found, HOLDER_MOUNT, "/m"));
	assert_int_equal(rig_sh(&rig, "umount $D/m"), 0);
	leave();
}

static void sync_reaches_the_unit(void **state)
{
	uint8_t *buf = aligned_alloc(4096, 4096);
	unsigned n_fua, n_flushes;
	int fd;

	memset(buf, 1, 4096);
	start();
	fd = open(rig_path(&rig), O_RDWR | O_DIRECT);
	assert_return_code(fd, errno);
	n_flushes = atomic_load(&rig.unit.n_flushes);
	assert_int_equal(pwrite(fd, buf, 4096, 0), 4096);
	assert_int_equal(atomic_load(&rig.unit.n_flushes), n_flushes);
	assert_int_equal(fdatasync(fd), 0);
	assert_int_equal(atomic_load(&rig.unit.n_flushes), n_flushes + 1);
	close(fd);
	n_fua = atomic_load(&rig.unit.n_fua);
	fd = open(rig_path(&rig), O_RDWR | O_DSYNC | O_DIRECT);
	assert_return_code(fd, errno);
	assert_int_equal(pwrite(fd, buf, 4096, 0), 4096);
	/* Linux flushes after it all the same. */
	assert_int_equal(atomic_load(&rig.unit.n_fua), n_fua + 1);
	close(fd);
	free(buf);
}

static void zeroes_and_discards_arrive_as_such(void **state)
{
	start();
	assert_int_equal(rig_sh(&rig, "yes | head -c 1M | dd of=$P conv=fsync && "
				      "blkdiscard -z -l 1M $P && cmp -n 1048576 $P /dev/zero"),
			 0);
	assert_true(atomic_load(&rig.unit.n_zeroes) > 0);
	assert_int_equal(atomic_load(&rig.unit.n_zeroes_no_unmap), atomic_load(&rig.unit.n_zeroes));
	assert_int_equal(rig_sh(&rig, "blkdiscard $P"), 0);
	assert_true(atomic_load(&rig.unit.n_discards) > 0);
}

static void errors_reach_the_caller(void **state)
{
	static const struct {
		int result;
		const char *text;
	} row[] = {
		{-ENOSPC, "No space left on device"}, {-ENODATA, "No data available"},
		{-EBADE, "Invalid exchange"},         {-EREMOTEIO, "Remote I/O error"},
		{-EROFS, "Remote I/O error"},         {-EACCES, "Remote I/O error"},
		{-ETIMEDOUT, "Connection timed out"}, {-ENOLINK, "Link has been severed"},
		{-ENODEV, "No such device"},          {-EOPNOTSUPP, "Operation not supported"},
		{-EAGAIN, "Input/output error"},      {-ENOMEM, "Input/output error"},
		{-EBUSY, "Input/output error"},       {-ENOMEDIUM, "Input/output error"},
	};

	start();
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		atomic_store(&rig.unit.write_result, row[i].result);
		assert_int_equal(rig_sh(&rig,
					"LC_ALL=C dd if=/dev/zero of=$P bs=4k count=1 oflag=direct "
					"2>&1 | grep ': %s$'",
					row[i].text),
				 0);
	}
	atomic_store(&rig.unit.write_result, 0);
	atomic_store(&rig.unit.flush_result, -EIO);
	assert_int_equal(rig_sh(&rig, "! dd if=/dev/zero of=$P bs=4k count=1 conv=fsync #!quiet"),
			 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), -EIO);
	rig.backend->open_gate(rig.dev);
	atomic_store(&rig.unit.flush_result, 0);
	leave();
}

/* Memory is given back after a while; what the kernel has put there meanwhile is not. */
static void many_threads_verify(void **state)
{
	start();
	assert_int_equal(rig_sh(&rig, FIO "--direct=1 --offset_increment=8m --numjobs=4 "
					  "--group_reporting --thread"),
			 0);
}

/* ---- gate, holders --------------------------------------------------------------------- */

static void gate_keeps_others_out(void **state)
{
	start();
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $P && mkdir $D/m"), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig_sh(&rig, "! mount $P $D/m #!quiet"), 0);
	user_start(&user, "excl", rig_path(&rig));
	assert_string_equal(user.line, strerror(EBUSY));
	user_end(&user);
	rig.backend->open_gate(rig.dev);
	assert_int_equal(rig_sh(&rig, "mount $P $D/m"), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), -EBUSY);
	assert_int_equal(rig.backend->holders(rig.dev, &found), 0);
	assert_non_null(holder_find(&found, HOLDER_MOUNT, "/m"));
	assert_int_equal(rig_sh(&rig, "echo still >$D/m/f && sync && umount $D/m"), 0);
	leave();
}

static void reader_keeps_the_device(void **state)
{
	start();
	user_start(&user, "open", rig_path(&rig));
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->holders(rig.dev, &found), 0);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.v[0].pid, user.pid);
	rig.backend->open_gate(rig.dev);
	user_end(&user);
	leave();
}

static void opener_that_slips_in_keeps_the_device(void **state)
{
	start();
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	user_start(&user, "write", rig_path(&rig));
	assert_string_equal(user.line, "ready");
	assert_int_equal(stop(false, 300), -EBUSY);
	assert_int_equal(rig_sh(&rig, "echo data | dd of=$P conv=fsync && "
				      "test $(blockdev --getro $P) = 0"),
			 0);
	assert_memory_equal(rig.unit.mem, "data", 4);
	user_end(&user);
	rig.backend->open_gate(rig.dev);
	leave();
}

/* ---- stop ------------------------------------------------------------------------------ */

static void late_write_is_not_lost(void **state)
{
	start();
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	assert_int_equal(rig_sh(&rig, "echo late | dd of=$P seek=100 bs=4k"), 0);
	assert_int_equal(stop(false, 10000), 0);
	assert_memory_equal(rig.unit.mem + 409600, "late", 4);
}

static void late_write_that_fails_keeps_the_device(void **state)
{
	start();
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig_sh(&rig, "echo late | dd of=$P"), 0);
	atomic_store(&rig.unit.write_result, -EIO);
	assert_int_equal(stop(false, 10000), -EIO);
	atomic_store(&rig.unit.write_result, 0);
	assert_int_equal(rig_sh(&rig, "echo again | dd of=$P conv=fsync"), 0);
	assert_int_equal(stop(false, 10000), 0);
}

static void stop_is_bounded_when_the_unit_hangs(void **state)
{
	start();
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig_sh(&rig, "echo late | dd of=$P"), 0);
	atomic_store(&rig.unit.is_stuck, true);
	assert_int_equal(stop(false, 300), -ETIMEDOUT);
	rig_unstick(&rig);
	rig.backend->open_gate(rig.dev);
	assert_int_equal(
		rig_sh(&rig, "until echo again | dd of=$P conv=fsync; do sleep 0.05; done"), 0);
	assert_memory_equal(rig.unit.mem, "again", 5);
	leave();
}

static void start_is_undone_when_the_unit_fails(void **state)
{
	rig_init(&rig, &blk_backend_ublk, 512);
	assert_int_equal(rig_sh(&rig, "mkdir $D/s1-lun0 && echo mine >$D/s1-lun0/file"), 0);
	assert_int_equal(rig_present(&rig), -EBUSY);
	assert_int_equal(rig_sh(&rig, "rm -r $D/s1-lun0 && ! ls /dev/ublkc* #!quiet"), 0);
	assert_int_equal(rig_present(&rig), 0);
}

static void force_cuts_off_a_mounted_file_system(void **state)
{
	start();
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $P && mkdir $D/m && mount $P $D/m"), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), -EBUSY);
	assert_int_equal(stop(true, 3000), 0);
	assert_int_equal(
		rig_sh(&rig, "! dd if=/dev/zero of=$D/m/f bs=1M count=1 conv=fsync #!quiet"), 0);
	assert_int_equal(rig_sh(&rig, "umount $D/m; test ! -e $P && "
				      "until ! ls /dev/ublkc* 2>/dev/null; do sleep 0.05; done"),
			 0);
}

/* A process hangs in a read that the unit does not answer: it goes on, and we too. */
static void force_is_bounded_when_the_unit_hangs(void **state)
{
	const uint64_t from_ns = clock_now_ns();

	start();
	atomic_store(&rig.unit.is_stuck, true);
	assert_int_equal(rig_sh(&rig, "(dd if=$P of=/dev/null bs=64k count=1 iflag=direct; "
				      "echo $? >$D/status) >/dev/null 2>&1 &"),
			 0);
	assert_true(wait_until(is_submitted, NULL));
	assert_int_equal(stop(true, 500), 0);
	assert_true(clock_now_ns() - from_ns < 20 * NS_PER_S);
	assert_int_equal(rig_sh(&rig, "until test -s $D/status; do sleep 0.05; done; "
				      "test $(cat $D/status) = 1"),
			 0);
	/* The request is with the unit still: its memory outlives the device. */
	assert_true(atomic_load(&rig.unit.n_inflight) > 0);
	rig.dev = rig.backend->free(rig.dev);
	rig_unstick(&rig);
}

static bool has_failed(void *arg)
{
	return rig.backend->failed(rig.dev);
}

static void stopped_by_somebody(void **state)
{
	unsigned id = 0;

	start();
	assert_false(rig.backend->failed(rig.dev));
	assert_int_equal(sscanf(rig_path(&rig), "/dev/ublkb%u", &id), 1);
	assert_int_equal(priv_ublk_stop(id, false), 0);
	assert_true(wait_until(has_failed, NULL));
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	assert_int_equal(stop(false, 5000), 0);
	assert_int_equal(rig_sh(&rig, "! ls /dev/ublkc* #!quiet"), 0);
}

/* ---- changes ----------------------------------------------------------------------------- */

static void size_follows(void **state)
{
	start();
	if (!has_feature(UBLK_F_UPDATE_SIZE)) {
		assert_int_equal(rig_changed(&rig, 2 * UNIT_BYTES, false), -EOPNOTSUPP);
		/* A unit that has become smaller is not asked for what it has not. */
		assert_int_equal(rig_changed(&rig, UNIT_BYTES / 2, false), -EOPNOTSUPP);
		assert_int_equal(rig_sh(&rig, "! dd if=$P of=/dev/null bs=4k skip=9000 count=1 "
					      "iflag=direct #!quiet"),
				 0);
		print_message("skipped: this driver cannot change sizes\n");
		skip();
	}
	assert_int_equal(rig_changed(&rig, 2 * UNIT_BYTES, false), 0);
	assert_int_equal(rig_sh(&rig,
				"test $(blockdev --getsize64 $P) = 134217728 && "
				"printf end | dd of=$P bs=1 seek=134217725 conv=notrunc,fsync && "
				"test \"$(tail -c 3 $P)\" = end"),
			 0);
	assert_int_equal(rig_changed(&rig, UNIT_BYTES, false), 0);
	assert_int_equal(rig_sh(&rig, "test $(blockdev --getsize64 $P) = 67108864"), 0);
}

static void protection_follows(void **state)
{
	start();
	assert_int_equal(rig_changed(&rig, UNIT_BYTES, true), 0);
	assert_int_equal(rig_sh(&rig, "test $(blockdev --getro $P) = 1 && "
				      "! dd if=/dev/zero of=$P count=1 conv=notrunc"),
			 0);
	assert_int_equal(rig_changed(&rig, UNIT_BYTES, false), 0);
	assert_int_equal(rig_sh(&rig, "dd if=/dev/zero of=$P count=1 conv=notrunc,fsync"), 0);
	leave();
	assert_int_equal(teardown(NULL), 0);

	rig_init(&rig, &blk_backend_ublk, 512);
	rig.unit.limits.read_only = true;
	assert_int_equal(rig_present(&rig), 0);
	assert_int_equal(rig_sh(&rig,
				"test $(blockdev --getro $P) = 1 && cmp -n 1048576 $P /dev/zero && "
				"! dd if=/dev/zero of=$P count=1 oflag=direct"),
			 0);
	assert_int_equal(atomic_load(&rig.unit.n_writes), 0);
	assert_int_equal(rig_changed(&rig, UNIT_BYTES, false), -EOPNOTSUPP);
	leave();
}

/* ---- a dead service ------------------------------------------------------------------------ */

static int serve(const char *dir)
{
	setenv("RIG_DIR", dir, 1);
	rig_init(&rig, &blk_backend_ublk, 512);
	rig.identity = strstr(dir, "known") ? "target naa.1" : NULL;
	if (strstr(dir, "mute")) {
		atomic_store(&rig.unit.is_stuck, true);
		printf("/\n");
		fflush(stdout);
	}
	if (rig_present(&rig))
		return 1;
	if (strstr(dir, "stuck"))
		atomic_store(&rig.unit.is_stuck, true);
	printf("%s\n", rig_path(&rig));
	fflush(stdout);
	pause();
	return 0;
}

struct told {
	unsigned n, n_at_risk;
	char all[4096];
};

static void tell(void *arg, const char *what)
{
	struct told *t = arg;
	size_t at = strlen(t->all);

	t->n++;
	t->n_at_risk += strncmp(what, "data at risk: ", 14) == 0;
	snprintf(t->all + at, sizeof(t->all) - at, "%s\n", what);
}

static void dead_server_start(const char *kind)
{
	char dir[256];

	rig_init(&rig, &blk_backend_ublk, 512);
	snprintf(dir, sizeof(dir), "%s/%s", rig.dir, kind);
	assert_return_code(mkdir(dir, 0755), errno);
	user_start(&user, "serve", dir);
	assert_int_equal(user.line[0], '/');
	setenv("DEAD", user.line, 1);
}

static struct told sweep(const char *kind)
{
	struct told t = {0};
	char dir[256];

	snprintf(dir, sizeof(dir), "%s/%s/0", rig.dir, kind);
	assert_int_equal(rig.backend->sweep(dir, tell, &t), 0);
	return t;
}

static void sweep_removes_a_dead_device(void **state)
{
	const uint64_t from_ns = clock_now_ns();
	struct told t;

	dead_server_start("ublk");
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $DEAD && mkdir $D/m && mount $DEAD $D/m && "
				      "echo x >$D/m/f"),
			 0);
	user_end(&user); /* kill -9 */
	t = sweep("ublk");
	assert_true(clock_now_ns() - from_ns < 30 * NS_PER_S);
	assert_int_equal(t.n_at_risk, 1);
	assert_non_null(strstr(t.all, "/m, and the service behind it died"));
	assert_non_null(strstr(t.all, " removed\n"));
	assert_int_equal(t.n, 2);
	assert_int_equal(rig_sh(&rig, "! grep \" $D/\" /proc/self/mountinfo && test ! -e $DEAD && "
				      "test -z \"$(ls $D/ublk/0)\""),
			 0);
	t = sweep("ublk");
	assert_int_equal(t.n, 0);
}

/* Killed with requests at the unit, as many as there can be. */
static void sweep_ends_what_hangs(void **state)
{
	struct told t;

	dead_server_start("stuck");
	assert_int_equal(rig_sh(&rig,
				"(fio --name=v --filename=$DEAD --size=32m --rw=randread --bs=4k "
				"--ioengine=libaio --iodepth=256 --direct=1 --minimal; "
				"echo $? >$D/status) >/dev/null 2>&1 &"),
			 0);
	assert_int_equal(rig_sh(&rig, "until test \"$(awk '{print $1 + $2}' "
				      "/sys/block/${DEAD#/dev/}/inflight)\" -ge 127; "
				      "do sleep 0.05; done"),
			 0);
	user_end(&user);
	t = sweep("stuck");
	assert_int_equal(t.n_at_risk, 1);
	assert_int_equal(rig_sh(&rig, "until test -s $D/status; do sleep 0.05; done; "
				      "test $(cat $D/status) != 0 && test ! -e $DEAD"),
			 0);
}

/* One whose partition table was being read could not be removed any more. */
static void service_can_be_killed_in_a_start(void **state)
{
	struct told t;

	dead_server_start("mute");
	assert_int_equal(rig_sh(&rig, "until ls /dev/ublkc*; do sleep 0.05; done"), 0);
	user_end(&user);
	t = sweep("mute");
	assert_int_equal(t.n_at_risk, 0);
	assert_int_equal(rig_sh(&rig, "! ls /dev/ublkc* #!quiet"), 0);
	assert_int_equal(rig_sh(&rig, "test -z \"$(ls $D/mute/0)\""), 0);
}

/* A write was under way when the service was killed; nobody notices but for the time. */
static void another_service_takes_it_over(void **state)
{
	struct told t;

	dead_server_start("known-stuck");
	assert_int_equal(rig_sh(&rig, "(yes | head -c 256k | dd of=$DEAD bs=64k iflag=fullblock "
				      "oflag=direct; echo $? >$D/status) >$D/dd 2>&1 & "
				      "until test \"$(awk '{print $2}' "
				      "/sys/block/${DEAD#/dev/}/inflight)\" -ge 1; "
				      "do sleep 0.05; done"),
			 0);
	user_end(&user);
	t = sweep("known-stuck");
	assert_int_equal(t.n, 1);
	assert_non_null(strstr(t.all, " waits for its unit"));
	assert_int_equal(rig_sh(&rig, "test -b $DEAD && test ! -e $D/status"), 0);

	/* The same directory, another process, the unit under another name. */
	strncat(rig.dir, "/known-stuck/0", sizeof(rig.dir) - strlen(rig.dir) - 1);
	snprintf(rig.name, sizeof(rig.name), "disk7");
	rig.identity = "target naa.2";
	assert_int_equal(rig_present(&rig), 0);
	assert_string_not_equal(rig_path(&rig), getenv("DEAD"));
	leave_as("disk7");
	rig.dev = rig.backend->free(rig.dev);
	rig.identity = "target naa.1";
	assert_int_equal(rig_present(&rig), 0);
	assert_string_equal(rig_path(&rig), getenv("DEAD"));
	assert_int_equal(rig_sh(&rig, "until test -s $D/../../status; do sleep 0.05; done; "
				      "test $(cat $D/../../status) = 0 && "
				      "test \"$(ls $D)\" = \"$(printf 'disk7\nlog')\""),
			 0);
	assert_memory_equal(rig.unit.mem, "y\ny\n", 4);
	assert_memory_equal(rig.unit.mem + (256 << 10) - 2, "y\n", 2);
	assert_int_equal(rig_sh(&rig, FIO "--direct=1"), 0);
	leave_as("disk7");
	t = (struct told){0};
	assert_int_equal(rig.backend->sweep(rig.dir, tell, &t), 0);
	assert_int_equal(t.n, 0);
}

static void what_waits_in_vain_is_given_up(void **state)
{
	struct told t;
	char dir[256];

	dead_server_start("known");
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $DEAD && mkdir $D/m && mount $DEAD $D/m"), 0);
	user_end(&user);
	t = sweep("known");
	assert_int_equal(t.n, 1);
	assert_int_equal(t.n_at_risk, 0);
	/* It goes on to wait after a further death. */
	t = sweep("known");
	assert_int_equal(t.n, 1);
	assert_int_equal(rig_sh(&rig, "test -b $DEAD && grep \" $D/m \" /proc/self/mountinfo"), 0);
	t = (struct told){0};
	snprintf(dir, sizeof(dir), "%s/known/0", rig.dir);
	assert_int_equal(blk_backend_give_up(dir, tell, &t), 0);
	assert_int_equal(t.n_at_risk, 1);
	assert_non_null(strstr(t.all, " removed\n"));
	assert_int_equal(rig_sh(&rig, "! grep \" $D/\" /proc/self/mountinfo && test ! -e $DEAD && "
				      "test -z \"$(ls $D/known/0)\""),
			 0);
}

static void sweep_leaves_others_alone(void **state)
{
	struct told t = {0};
	char dir[256];

	start();
	assert_int_equal(rig_sh(&rig, "mkdir $D/s1"), 0);
	snprintf(dir, sizeof(dir), "%s/s1", rig.dir);
	assert_int_equal(rig.backend->sweep(dir, tell, &t), 0);
	assert_int_equal(t.n, 0);
	assert_int_equal(rig_sh(&rig, "cmp -n 4096 $P /dev/zero"), 0);
	leave();
}

/* ---- many ------------------------------------------------------------------------------------ */

static void many_devices_on_one_loop(void **state)
{
	rig_many(&rig, &blk_backend_ublk, MANY);
	assert_int_equal(rig_sh(&rig, "! ls /dev/ublkc* #!quiet"), 0);
}

static void nothing_is_left_behind(void **state)
{
	unsigned n_fds = 0;
	size_t n_bytes = 0;

	for (unsigned k = 0; k < 5; k++) {
		start();
		assert_int_equal(
			rig_sh(&rig, "dd if=/dev/zero of=$P bs=1M count=1 conv=notrunc,fsync"), 0);
		leave();
		assert_int_equal(teardown(NULL), 0);
		if (k == 1) {
			n_fds = count_fds();
			n_bytes = mallinfo2().uordblks;
		}
	}
	assert_int_equal(count_fds(), n_fds);
	assert_true(mallinfo2().uordblks <= n_bytes + 4096);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		T(start_refuses_what_is_no_device),
		T(auto_takes_it_first),
		T(limits_follow_the_unit),
		T(verifies_512),
		T(verifies_4096),
		T(more_requests_than_tags_wait),
		T(file_system_lives_on_it),
		T(partitions_are_there),
		T(sync_reaches_the_unit),
		T(zeroes_and_discards_arrive_as_such),
		T(errors_reach_the_caller),
		T(many_threads_verify),
		T(gate_keeps_others_out),
		T(reader_keeps_the_device),
		T(opener_that_slips_in_keeps_the_device),
		T(late_write_is_not_lost),
		T(late_write_that_fails_keeps_the_device),
		T(stop_is_bounded_when_the_unit_hangs),
		T(start_is_undone_when_the_unit_fails),
		T(force_cuts_off_a_mounted_file_system),
		T(force_is_bounded_when_the_unit_hangs),
		T(stopped_by_somebody),
		T(size_follows),
		T(protection_follows),
		T(sweep_removes_a_dead_device),
		T(sweep_ends_what_hangs),
		T(service_can_be_killed_in_a_start),
		T(another_service_takes_it_over),
		T(what_waits_in_vain_is_given_up),
		T(sweep_leaves_others_alone),
		T(many_devices_on_one_loop),
		T(nothing_is_left_behind),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
	return rig_main(argc, argv, &blk_backend_ublk, tests, serve);
}
