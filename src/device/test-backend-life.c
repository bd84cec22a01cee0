/* SPDX-License-Identifier: MIT */
/*
 * Backends: coming, going, and what happens when something else goes first
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
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "device/test-rig.h"

#define MANY 50

static struct rig rig;
static struct user user;

static int teardown(void **state)
{
	const unsigned n_bad = rig.loop ? atomic_load(&rig.unit.n_bad) : 0;

	user_end(&user);
	rig_end(&rig);
	return n_bad ? -1 : 0;
}

static int stop(bool force, int timeout_ms)
{
	return rig.backend->stop(rig.dev, force, timeout_ms);
}

/* ---- start ------------------------------------------------------------------------- */

static void start_refuses_what_is_no_device(void **state)
{
	static const char *const names[] = {"", ".", "..", ".x", "a/b"};

	rig_init(&rig, &blk_backend_fuse, 512);
	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		snprintf(rig.name, sizeof(rig.name), "%s", names[k]);
		assert_int_equal(rig_present(&rig), -EINVAL);
	}
	snprintf(rig.name, sizeof(rig.name), "x");
	rig.unit.limits.block_bytes = 520;
	assert_int_equal(rig_present(&rig), -EINVAL);
	rig.unit.limits.block_bytes = 8192;
	assert_int_equal(rig_present(&rig), -EINVAL);
	rig.unit.limits.block_bytes = 512;
	rig.unit.limits.n_bytes = 0;
	assert_int_equal(rig_present(&rig), -EINVAL);
	assert_int_equal(rig_sh(&rig, "test -z \"$(ls $D | grep -v log)\""), 0);
}

static void start_does_not_take_what_is_there(void **state)
{
	rig_init(&rig, &blk_backend_fuse, 512);
	assert_int_equal(rig_sh(&rig, "mkdir $D/s1-lun0 && echo mine >$D/s1-lun0/file"), 0);
	assert_int_equal(rig_present(&rig), -EBUSY);
	assert_int_equal(
		rig_sh(&rig, "cat $D/s1-lun0/file && rm -r $D/s1-lun0 && ln -s / $D/s1-lun0"), 0);
	assert_int_equal(rig_present(&rig), -ENOTDIR);
	assert_int_equal(rig_sh(&rig, "rm $D/s1-lun0 && mkdir $D/s1-lun0"), 0);
	assert_int_equal(rig_present(&rig), 0);
}

static void mounts_can_be_recognised(void **state)
{
	rig_start(&rig, &blk_backend_fuse, 512);
	assert_int_equal(
		rig_sh(&rig,
		       "grep \" $D/s1-lun0 .* - fuse.iscsidsc s1-lun0 \" /proc/self/mountinfo"),
		0);
	assert_int_equal(rig.backend->devno(rig.dev), 0);
}

/* As a user without rights would have it; the helper serves root as well. */
static void fusermount_serves_user_mode(void **state)
{
	char why[256];

	if (blk_backend_fuse.probe(true, why, sizeof(why)) < 0) {
		print_message("skipped: %s\n", why);
		skip();
	}
	rig_init(&rig, &blk_backend_fuse, 512);
	rig.user_mode = true;
	snprintf(rig.name, sizeof(rig.name), "s1,lun\\0");
	assert_int_equal(rig_present(&rig), 0);
	assert_int_equal(
		rig_sh(&rig, "grep -F -- ' - fuse.iscsidsc s1,lun\\134' /proc/self/mountinfo"), 0);
	assert_int_equal(rig_sh(&rig, "printf hello | dd of=\"$P\" conv=notrunc,fsync"), 0);
	assert_memory_equal(rig.unit.mem, "hello", 5);
	user_start(&user, "open", rig_path(&rig));
	assert_int_equal(stop(false, 100), -EBUSY);
	user_end(&user);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(stop(false, 5000), 0);
	assert_int_equal(rig_sh(&rig, "! grep \" $D/\" /proc/self/mountinfo"), 0);
}

static void user_without_rights_has_a_file(void **state)
{
	rig_init(&rig, &blk_backend_fuse, 512);
	if (rig_sh(&rig, "setpriv --reuid=65534 --regid=65534 --clear-groups test -w /dev/fuse "
			 "#!quiet") != 0) {
		print_message("skipped: /dev/fuse is not for everybody here\n");
		skip();
	}
	assert_int_equal(
		rig_sh(&rig,
		       "chmod 755 $RIG_DIR && mkdir $D/fuse && chown 65534:65534 $D/fuse && "
		       "cp /proc/%d/exe $D/server && cd $D && (setpriv --reuid=65534 "
		       "--regid=65534 --clear-groups $D/server --user serve $D/fuse >$D/path & "
		       "echo $! >$D/pid)",
		       (int)getpid()),
		0);
	assert_int_equal(rig_sh(&rig, "until test -s $D/path; do sleep 0.05; done; "
				      "setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "
				      "'printf hi | dd of=$(cat '$D/path') conv=notrunc,fsync && "
				      "test \"$(head -c 2 $(cat '$D/path'))\" = hi'"),
			 0);
	/* Not even root is let in by the kernel. */
	assert_int_equal(rig_sh(&rig, "! cat $(cat $D/path) #!quiet"), 0);
	assert_int_equal(
		rig_sh(&rig,
		       "kill -9 $(cat $D/pid); while kill -0 $(cat $D/pid); do sleep 0.05; done; "
		       "setpriv --reuid=65534 --regid=65534 --clear-groups "
		       "fusermount3 -uz $D/fuse/0/s1-lun0"),
		0);
}

static void loop_refuses_user_mode(void **state)
{
	rig_init(&rig, &blk_backend_loop, 512);
	rig.user_mode = true;
	assert_int_equal(rig_present(&rig), -EPERM);
}

static void auto_takes_loop_next_to_ublk(void **state)
{
	const struct blk_backend *ublk;
	char why[128];

	ublk = blk_backend_choose("ublk", false, why, sizeof(why));
	assert_ptr_equal(blk_backend_choose("auto", false, why, sizeof(why)),
			 ublk ? ublk : &blk_backend_loop);
	assert_ptr_equal(blk_backend_choose("fuse", false, why, sizeof(why)), &blk_backend_fuse);
}

/* ---- the gate ----------------------------------------------------------------------- */

static void gate_of_the_file(void **state)
{
	int fd;

	rig_start(&rig, &blk_backend_fuse, 512);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(open(rig_path(&rig), O_RDONLY), -1);
	assert_int_equal(errno, EBUSY);
	/* The flush, which is ours, passes. */
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	rig.backend->open_gate(rig.dev);
	fd = open(rig_path(&rig), O_RDONLY);
	assert_return_code(fd, errno);
	close(fd);
}

static void gate_of_the_block_device(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $P && mkdir $D/m"), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig_sh(&rig, "! mount $P $D/m #!quiet"), 0);
	user_start(&user, "excl", rig_path(&rig));
	assert_string_equal(user.line, strerror(EBUSY));
	user_end(&user);
	/* nor the hidden file, at any time */
	rig.backend->open_gate(rig.dev);
	assert_int_equal(rig_sh(&rig, "! cat $D/s1-lun0/disk #!quiet"), 0);
	assert_int_equal(rig_sh(&rig, "mount $P $D/m && umount $D/m"), 0);
}

/* ---- stop ---------------------------------------------------------------------------- */

static void raw_opener_that_slips_in_keeps_the_device(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	user_start(&user, "write", rig_path(&rig));
	assert_string_equal(user.line, "ready");
	assert_int_equal(stop(false, 300), -EBUSY);
	assert_int_equal(
		rig_sh(&rig,
		       "echo data | dd of=$P conv=fsync && test $(blockdev --getro $P) = 0 && "
		       "test $(cat /sys/block/${P#/dev/}/loop/autoclear) = 0"),
		0);
	assert_memory_equal(rig.unit.mem, "data", 4);
	user_end(&user);
	/* still there although its last user has gone: nothing was noted down for that moment */
	rig.backend->open_gate(rig.dev);
	assert_int_equal(rig_sh(&rig, "test \"$(head -c 4 $P)\" = data"), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(stop(false, 5000), 0);
}

/* What somebody wrote after the flush, and left to the cache, is written back first. */
static void late_write_is_not_lost(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	assert_int_equal(rig_sh(&rig, "echo late | dd of=$P seek=100 bs=4k"), 0);
	assert_int_equal(stop(false, 5000), 0);
	assert_memory_equal(rig.unit.mem + 409600, "late", 4);
}

static void late_write_that_fails_keeps_the_device(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig_sh(&rig, "echo late | dd of=$P"), 0);
	atomic_store(&rig.unit.write_result, -EIO);
	assert_int_equal(stop(false, 5000), -EIO);
	atomic_store(&rig.unit.write_result, 0);
	assert_int_equal(rig_sh(&rig, "echo again | dd of=$P conv=fsync"), 0);
	assert_int_equal(stop(false, 5000), 0);
}

/* The bound holds without force too, and what could not be written is not given up. */
static void stop_is_bounded_when_the_unit_hangs(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig_sh(&rig, "echo late | dd of=$P"), 0);
	atomic_store(&rig.unit.is_stuck, true);
	assert_int_equal(stop(false, 300), -ETIMEDOUT);
	rig_unstick(&rig);
	rig.backend->open_gate(rig.dev);
	assert_int_equal(
		rig_sh(&rig, "until echo again | dd of=$P conv=fsync; do sleep 0.05; done"), 0);
	assert_memory_equal(rig.unit.mem, "again", 5);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(stop(false, 5000), 0);
}

static void force_cuts_off_a_mounted_file_system(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $P && mkdir $D/m && mount $P $D/m"), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), -EBUSY);
	assert_int_equal(stop(true, 3000), 0);
	assert_int_equal(
		rig_sh(&rig, "! dd if=/dev/zero of=$D/m/f bs=1M count=1 conv=fsync #!quiet"), 0);
	assert_int_equal(
		rig_sh(&rig, "umount $D/m; test ! -e /sys/block/${P#/dev/}/loop/backing_file"), 0);
}

struct stopper {
	pthread_t thread;
	bool force;
	int timeout_ms, result;
	uint64_t took_ns;
};

static void *stopper_run(void *arg)
{
	struct stopper *s = arg;
	const uint64_t from_ns = clock_now_ns();

	s->result = stop(s->force, s->timeout_ms);
	s->took_ns = clock_now_ns() - from_ns;
	return NULL;
}

static bool is_submitted(void *arg)
{
	return atomic_load(&rig.unit.n_inflight) > 0;
}

/* The unit answers nothing; a process hangs in a read; the process shall go on, and we too. */
static void force_is_bounded_when_the_unit_hangs(const struct blk_backend *backend)
{
	struct stopper s = {.force = true, .timeout_ms = 500};

	rig_start(&rig, backend, 512);
	atomic_store(&rig.unit.is_stuck, true);
	assert_int_equal(
		rig_sh(&rig, "dd if=$P of=/dev/null bs=64k count=1 iflag=direct >/dev/null 2>&1 &"),
		0);
	assert_true(wait_until(is_submitted, NULL));
	assert_int_equal(pthread_create(&s.thread, NULL, stopper_run, &s), 0);
	pthread_join(s.thread, NULL);
	assert_int_equal(s.result, 0);
	assert_true(s.took_ns < 8 * NS_PER_S);
	/* The request is with the unit still: the device's memory outlives the device. */
	assert_true(atomic_load(&rig.unit.n_inflight) > 0);
	rig.dev = rig.backend->free(rig.dev);
	rig_unstick(&rig);
}

static void loop_force_is_bounded(void **state)
{
	force_is_bounded_when_the_unit_hangs(&blk_backend_loop);
}

static void fuse_force_is_bounded(void **state)
{
	force_is_bounded_when_the_unit_hangs(&blk_backend_fuse);
}

/* ---- somebody else goes first ------------------------------------------------------------ */

static bool has_failed(void *arg)
{
	return rig.backend->failed(rig.dev);
}

static void unmounted_by_somebody(void **state)
{
	rig_start(&rig, &blk_backend_fuse, 512);
	assert_false(rig.backend->failed(rig.dev));
	assert_int_equal(rig_sh(&rig, "umount $D/s1-lun0"), 0);
	assert_true(wait_until(has_failed, NULL));
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	assert_int_equal(stop(false, 1000), 0);
}

static void aborted_by_somebody(void **state)
{
	rig_start(&rig, &blk_backend_fuse, 512);
	if (rig_sh(&rig, "mkdir $D/ctl && mount -t fusectl none $D/ctl #!quiet") != 0) {
		print_message("skipped: no fusectl\n");
		skip();
	}
	assert_int_equal(rig_sh(&rig,
				"echo 1 >$D/ctl/$(grep \" $D/s1-lun0 \" /proc/self/mountinfo | "
				"sed 's/^[^:]*:\\([0-9]*\\) .*/\\1/')/abort; umount $D/ctl"),
			 0);
	assert_true(wait_until(has_failed, NULL));
	assert_int_equal(stop(false, 1000), 0);
	assert_int_equal(rig_sh(&rig, "! grep \" $D/\" /proc/self/mountinfo"), 0);
}

static void detached_by_somebody(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig_sh(&rig, "losetup -d $P"), 0);
	assert_true(wait_until(has_failed, NULL));
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	assert_int_equal(stop(false, 1000), 0);
}

/* A copy of the mount in another namespace neither hinders nor lives on. */
static void copies_of_the_mount_end_too(void **state)
{
	rig_start(&rig, &blk_backend_fuse, 512);
	assert_int_equal(
		rig_sh(&rig,
		       "mkfifo $D/go && (unshare -m --propagation private sh -c "
		       "'touch $D/ready; read x <$D/go; timeout 5 cat $P >/dev/null 2>&1; "
		       "echo $? >$D/status' &) && until test -e $D/ready; do sleep 0.05; done"),
		0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(stop(false, 5000), 0);
	assert_int_equal(rig_sh(&rig, "echo >$D/go; until test -s $D/status; do sleep 0.05; done; "
				      "test $(cat $D/status) = 1"),
			 0);
}

/* ---- a dead service ------------------------------------------------------------------------ */

static int serve(const char *dir)
{
	const bool is_loop = strstr(dir, "loop") != NULL;

	setenv("RIG_DIR", dir, 1);
	rig_init(&rig, is_loop ? &blk_backend_loop : &blk_backend_fuse, 512);
	rig.user_mode = geteuid() != 0;
	/* Killed while a step of its own waits for the unit. */
	if (strstr(dir, "stuck-start"))
		atomic_store(&rig.unit.is_stuck, true);
	if (strstr(dir, "stuck")) {
		printf("/\n");
		fflush(stdout);
	}
	if (rig_present(&rig))
		return 1;
	if (strstr(dir, "stuck")) {
		atomic_store(&rig.unit.is_stuck, true);
		return rig.backend->flush(rig.dev) == 0;
	}
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

	rig_init(&rig, &blk_backend_loop, 512);
	snprintf(dir, sizeof(dir), "%s/%s", rig.dir, kind);
	assert_return_code(mkdir(dir, 0755), errno);
	user_start(&user, "serve", dir);
	assert_int_equal(user.line[0], '/');
	setenv("DEAD", user.line, 1);
}

static void sweep_removes_a_dead_loop_device(void **state)
{
	struct told t = {0};
	char dir[256], line[256];
	uint64_t from_ns;

	dead_server_start("loop");
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $DEAD && mkdir $D/m && mount $DEAD $D/m && "
				      "echo x >$D/m/f"),
			 0);
	snprintf(line, sizeof(line), "%s", user.line);
	user_end(&user); /* kill -9 */
	snprintf(dir, sizeof(dir), "%s/loop/0", rig.dir);
	from_ns = clock_now_ns();
	assert_int_equal(blk_backend_loop.sweep(dir, tell, &t), 0);
	assert_true(clock_now_ns() - from_ns < 10 * NS_PER_S);
	assert_int_equal(t.n_at_risk, 1);
	assert_non_null(strstr(t.all, "/m, and the service behind it died"));
	assert_non_null(strstr(t.all, "detached"));
	assert_non_null(strstr(t.all, "s1-lun0 unmounted"));
	assert_int_equal(t.n, 3);
	assert_int_equal(
		rig_sh(&rig,
		       "! grep \" $D/\" /proc/self/mountinfo && test -z \"$(ls $D/loop/0)\" && "
		       "! losetup -a | grep $D"),
		0);
	/* Nothing is left to say. */
	memset(&t, 0, sizeof(t));
	assert_int_equal(blk_backend_loop.sweep(dir, tell, &t), 0);
	assert_int_equal(t.n, 0);
}

static void sweep_names_those_it_cannot_remove(void **state)
{
	struct user reader;
	struct told t = {0};
	char dir[256];

	dead_server_start("loop");
	user_start(&reader, "open", user.line);
	user_end(&user);
	snprintf(dir, sizeof(dir), "%s/loop/0", rig.dir);
	assert_int_equal(blk_backend_fuse.sweep(dir, tell, &t), 0);
	assert_int_equal(t.n_at_risk, 1);
	assert_non_null(strstr(t.all, "is open by process"));
	assert_non_null(strstr(t.all, "goes with its last user"));
	user_end(&reader);
	assert_int_equal(rig_sh(&rig, "! losetup -a | grep $D/loop"), 0);
}

static void sweep_removes_a_dead_file(void **state)
{
	struct user reader;
	struct told t = {0};
	char dir[256];

	dead_server_start("fuse");
	user_start(&reader, "open", user.line);
	user_end(&user);
	snprintf(dir, sizeof(dir), "%s/fuse/0", rig.dir);
	assert_int_equal(blk_backend_fuse.sweep(dir, tell, &t), 0);
	assert_int_equal(t.n_at_risk, 1);
	assert_int_equal(t.n, 2);
	user_end(&reader);
	assert_int_equal(
		rig_sh(&rig, "! grep \" $D/\" /proc/self/mountinfo && test -z \"$(ls $D/fuse/0)\""),
		0);
}

static bool has_step(void *arg)
{
	return system("grep -qx iscsidsc-step /proc/[0-9]*/comm 2>/dev/null") == 0;
}

static bool has_ended(void *arg)
{
	return waitpid(user.pid, NULL, WNOHANG) != 0;
}

/* One that waits for its own device in the kernel would neither live nor die. */
static void service_can_be_killed_in_a_step(const char *kind)
{
	struct told t = {0};
	char dir[256];

	dead_server_start(kind);
	assert_true(wait_until(has_step, NULL));
	kill(user.pid, SIGKILL);
	assert_true(wait_until(has_ended, NULL));
	snprintf(dir, sizeof(dir), "%s/%s/0", rig.dir, kind);
	assert_int_equal(blk_backend_loop.sweep(dir, tell, &t), 0);
	assert_int_equal(
		rig_sh(&rig, "! grep \" $D/\" /proc/self/mountinfo && ! losetup -a | grep $D"), 0);
}

static void service_can_be_killed_in_a_flush(void **state)
{
	service_can_be_killed_in_a_step("loop-stuck");
	user.pid = 0;
	assert_int_equal(teardown(NULL), 0);
	service_can_be_killed_in_a_step("fuse-stuck");
	user.pid = 0;
}

static void service_can_be_killed_in_a_start(void **state)
{
	service_can_be_killed_in_a_step("loop-stuck-start");
	user.pid = 0;
}

/* As somebody may do who cleans up by hand. */
static void sweep_finds_what_was_unmounted_lazily(void **state)
{
	struct told t = {0};
	char dir[256];

	dead_server_start("loop");
	user_end(&user);
	assert_int_equal(rig_sh(&rig, "umount -l $D/loop/0/s1-lun0"), 0);
	snprintf(dir, sizeof(dir), "%s/loop/0", rig.dir);
	assert_int_equal(blk_backend_loop.sweep(dir, tell, &t), 0);
	assert_int_equal(t.n, 1);
	assert_non_null(strstr(t.all, "detached"));
	assert_int_equal(rig_sh(&rig, "test ! -e /sys/block/${DEAD#/dev/}/loop"), 0);
}

static void sweep_leaves_others_alone(void **state)
{
	struct told t = {0};
	char dir[256];

	rig_start(&rig, &blk_backend_loop, 512);
	/* A name that begins alike is not below. */
	assert_int_equal(rig_sh(&rig, "mkdir $D/s1"), 0);
	snprintf(dir, sizeof(dir), "%s/s1", rig.dir);
	assert_int_equal(blk_backend_loop.sweep(dir, tell, &t), 0);
	snprintf(dir, sizeof(dir), "%s/none", rig.dir);
	assert_int_equal(blk_backend_loop.sweep(dir, tell, &t), 0);
	assert_int_equal(t.n, 0);
	assert_int_equal(rig_sh(&rig, "cmp -n 4096 $P /dev/zero"), 0);
}

/* ---- many ------------------------------------------------------------------------------------ */

static void many_devices_on_one_loop(void **state)
{
	rig_many(&rig, &blk_backend_loop, MANY);
	assert_int_equal(rig_sh(&rig, "! losetup -a | grep $D"), 0);
}

static void cycle(const struct blk_backend *backend)
{
	rig_start(&rig, backend, 512);
	assert_int_equal(rig_sh(&rig, "dd if=/dev/zero of=$P bs=1M count=4 conv=notrunc,fsync"), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(stop(false, 5000), 0);
	assert_int_equal(teardown(NULL), 0);
}

static void nothing_is_left_behind(void **state)
{
	unsigned n_fds = 0;
	size_t n_bytes = 0;

	for (unsigned k = 0; k < 12; k++) {
		cycle(k % 2 ? &blk_backend_loop : &blk_backend_fuse);
		if (k == 3) {
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
		T(start_does_not_take_what_is_there),
		T(mounts_can_be_recognised),
		T(fusermount_serves_user_mode),
		T(user_without_rights_has_a_file),
		T(loop_refuses_user_mode),
		T(auto_takes_loop_next_to_ublk),
		T(gate_of_the_file),
		T(gate_of_the_block_device),
		T(raw_opener_that_slips_in_keeps_the_device),
		T(late_write_is_not_lost),
		T(late_write_that_fails_keeps_the_device),
		T(stop_is_bounded_when_the_unit_hangs),
		T(force_cuts_off_a_mounted_file_system),
		T(loop_force_is_bounded),
		T(fuse_force_is_bounded),
		T(unmounted_by_somebody),
		T(aborted_by_somebody),
		T(detached_by_somebody),
		T(copies_of_the_mount_end_too),
		T(sweep_removes_a_dead_loop_device),
		T(sweep_names_those_it_cannot_remove),
		T(sweep_removes_a_dead_file),
		T(service_can_be_killed_in_a_flush),
		T(service_can_be_killed_in_a_start),
		T(sweep_finds_what_was_unmounted_lazily),
		T(sweep_leaves_others_alone),
		T(many_devices_on_one_loop),
		T(nothing_is_left_behind),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
	return rig_main(argc, argv, &blk_backend_loop, tests, serve);
}
