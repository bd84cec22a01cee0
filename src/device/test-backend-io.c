/* SPDX-License-Identifier: MIT */
/*
 * Backends: what is written is what is read, on a real kernel
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "device/test-rig.h"

#define FIO                                                                                     \
	"fio --name=v --filename=$P --size=32m --rw=randrw --rwmixread=30 --bsrange=4k-256k "   \
	"--blockalign=4k --verify=crc32c --verify_fatal=1 --verify_state_save=0 --do_verify=1 " \
	"--verify_backlog=64 "                                                                  \
	"--ioengine=libaio --iodepth=32 --numjobs=1 --minimal "

static struct rig rig;

static int teardown(void **state)
{
	/* Whatever a test did, the unit was only asked for what it may be asked for. */
	const unsigned n_bad = rig.loop ? atomic_load(&rig.unit.n_bad) : 0;

	rig_end(&rig);
	return n_bad ? -1 : 0;
}

/* Somebody may have forbidden discarding for this loop number, and that cannot be undone. */
static void skip_without_discard(void)
{
	if (rig_sh(&rig, "Q=/sys/block/${P#/dev/}/queue; test $(cat $Q/discard_max_bytes) != 0 || "
			 "test $(cat $Q/discard_max_hw_bytes) = 0 #!quiet") == 0)
		return;
	print_message("skipped: %s has a limit of 0 on discards\n", rig_path(&rig));
	skip();
}

/* ---- both backends ------------------------------------------------------------- */

static void verify_with(const struct blk_backend *backend, uint32_t block_bytes)
{
	rig_start(&rig, backend, block_bytes);
	atomic_store(&rig.unit.delay_us, 200);
	assert_int_equal(rig_sh(&rig, FIO "--direct=1"), 0);
	assert_true(atomic_load(&rig.unit.n_inflight_max) > 4);
	assert_int_equal(rig_sh(&rig, FIO "--direct=0 --fsync=16"), 0);
	assert_true(atomic_load(&rig.unit.n_flushes) > 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->stop(rig.dev, false, 5000), 0);
	assert_int_equal(rig_sh(&rig, "test ! -e $D/s1-lun0"), 0);
}

static void loop_verifies_512(void **state)
{
	verify_with(&blk_backend_loop, 512);
}

static void loop_verifies_4096(void **state)
{
	verify_with(&blk_backend_loop, 4096);
}

static void fuse_verifies_512(void **state)
{
	verify_with(&blk_backend_fuse, 512);
}

static void fuse_verifies_4096(void **state)
{
	verify_with(&blk_backend_fuse, 4096);
}

static void more_requests_than_buffers_wait(void **state)
{
	rig_start(&rig, &blk_backend_fuse, 4096);
	atomic_store(&rig.unit.delay_us, 2000);
	assert_int_equal(rig_sh(&rig, "fio --name=v --filename=$P --size=4m --rw=randwrite --bs=4k "
				      "--ioengine=libaio --iodepth=256 --direct=1 --verify=crc32c "
				      "--verify_fatal=1 --verify_state_save=0 --minimal"),
			 0);
	assert_true(atomic_load(&rig.unit.n_inflight_max) > 32);
	assert_true(atomic_load(&rig.unit.n_inflight_max) <= 64);
}

static bool is_submitted(void *arg)
{
	return atomic_load(&rig.unit.n_inflight) > 0;
}

static bool reader_has_ended(void *arg)
{
	return rig_sh(&rig, "! kill -0 $(cat $D/pid) #!quiet") == 0;
}

/* The kernel sends INTERRUPT; the request is answered when the unit has answered. */
static void killed_reader_does_no_harm(void **state)
{
	rig_start(&rig, &blk_backend_fuse, 4096);
	atomic_store(&rig.unit.is_stuck, true);
	assert_int_equal(rig_sh(&rig, "(dd if=$P of=/dev/null bs=64k count=1 iflag=direct & "
				      "echo $! >$D/pid) >/dev/null 2>&1"),
			 0);
	assert_true(wait_until(is_submitted, NULL));
	assert_int_equal(rig_sh(&rig, "kill -INT $(cat $D/pid); kill -9 $(cat $D/pid)"), 0);
	assert_true(atomic_load(&rig.unit.n_inflight) > 0);
	rig_unstick(&rig);
	assert_true(wait_until(reader_has_ended, NULL));
	assert_int_equal(rig_sh(&rig, "cmp -n 1048576 $P /dev/zero"), 0);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->stop(rig.dev, false, 5000), 0);
}

static void file_system_lives_on_the_device(void **state)
{
	unsigned n_zeroes;

	rig_start(&rig, &blk_backend_loop, 4096);
	skip_without_discard();
	assert_int_equal(rig_sh(&rig, "mkfs.ext4 -q $P && mkdir $D/m && mount $P $D/m"), 0);
	assert_int_equal(rig_sh(&rig,
				"dd if=/dev/urandom of=$D/m/a bs=1M count=20 && "
				"cp $D/m/a $D/m/b && sync && echo 3 >/proc/sys/vm/drop_caches && "
				"cmp $D/m/a $D/m/b && rm $D/m/a"),
			 0);
	n_zeroes = atomic_load(&rig.unit.n_zeroes);
	assert_int_equal(rig_sh(&rig, "sync; fstrim -v $D/m"), 0);
	assert_true(atomic_load(&rig.unit.n_zeroes) > n_zeroes);
	assert_int_equal(rig_sh(&rig, "umount $D/m && e2fsck -fn $P"), 0);
	assert_int_equal(rig_sh(&rig, "blkdiscard -z $P && cmp -n 67108864 $P /dev/zero"), 0);
}

static void file_system_lives_on_the_file(void **state)
{
	rig_start(&rig, &blk_backend_fuse, 512);
	assert_int_equal(
		rig_sh(&rig,
		       "mkfs.ext4 -q -F $P && e2fsck -fn $P && fallocate -p -o 0 -l 64M $P && "
		       "cmp -n 67108864 $P /dev/zero"),
		0);
}

static void queue_limits_follow_the_unit(void **state)
{
	rig_start(&rig, &blk_backend_loop, 512);
	assert_int_equal(rig_sh(&rig, "Q=/sys/block/${P#/dev/}/queue; "
				      "test $(cat $Q/max_sectors_kb) = 1024 && "
				      "test $(cat $Q/logical_block_size) = 512 && "
				      "test $(cat $Q/../loop/dio) = 1"),
			 0);
}

/* A disk that would have to be written to be discarded is better left alone. */
static void loop_does_not_discard_by_writing(void **state)
{
	rig_init(&rig, &blk_backend_loop, 512);
	rig.unit.limits.can_discard = false;
	rig.unit.limits.discard_zeroes = false;
	assert_int_equal(rig_present(&rig), 0);
	/* A refused hint is no error to everybody. */
	assert_int_equal(rig_sh(&rig, "blkdiscard $P || true"), 0);
	assert_int_equal(atomic_load(&rig.unit.n_zeroes), 0);
	assert_int_equal(rig_sh(&rig,
				"printf x | dd of=$P conv=fsync && blkdiscard -z -l 4096 $P && "
				"cmp -n 4096 $P /dev/zero"),
			 0);
	assert_int_equal(teardown(NULL), 0);

	/* The next one on the number is not bound by that. */
	rig_start(&rig, &blk_backend_loop, 512);
	skip_without_discard();
	assert_int_equal(rig_sh(&rig, "blkdiscard $P"), 0);
	assert_true(atomic_load(&rig.unit.n_zeroes) > 0);
}

static void loop_falls_back_without_zeroing(void **state)
{
	rig_init(&rig, &blk_backend_loop, 512);
	rig.unit.limits.can_discard = false;
	rig.unit.limits.discard_zeroes = false;
	rig.unit.limits.can_write_zeroes = false;
	assert_int_equal(rig_present(&rig), 0);
	assert_int_equal(
		rig_sh(&rig, "yes | head -c 1M | dd of=$P conv=fsync && blkdiscard -z -l 1M $P && "
			     "cmp -n 1048576 $P /dev/zero"),
		0);
	assert_int_equal(atomic_load(&rig.unit.n_zeroes), 0);
}

/* ---- parts of blocks -------------------------------------------------------------- */

struct torture {
	int fd;
	uint8_t *image; /* what the file should be */
	unsigned part;
	pthread_t thread;
};

#define PARTS     8
#define AREA      8192 /* a few blocks, which all threads share */
#define STRIPE    7    /* thread n owns every byte whose offset / STRIPE is n modulo PARTS */
#define PER_ROUND 40

/* Overlapping read-modify-write cycles: each thread writes its own bytes only. */
static void *torture_run(void *arg)
{
	struct torture *t = arg;
	uint8_t buf[STRIPE];

	for (unsigned round = 1; round <= PER_ROUND; round++) {
		for (size_t at = t->part * STRIPE; at + STRIPE <= AREA;
		     at += (size_t)PARTS * STRIPE) {
			if ((at / STRIPE + round) % 5 != 0 && round != PER_ROUND)
				continue;
			memset(buf, (int)(t->part * 31 + round), STRIPE);
			if (pwrite(t->fd, buf, STRIPE, (off_t)at) != STRIPE)
				return t;
			memcpy(t->image + at, buf, STRIPE);
		}
	}
	return NULL;
}

/*
 * Through two mounts' worth of paths: the page cache serialises in the kernel, so
 * O_DIRECT is what lets the writes meet in the server.
 */
static void partial_writes_do_not_lose_each_other(void **state)
{
	struct torture t[PARTS];
	static uint8_t image[AREA], got[AREA];

	rig_start(&rig, &blk_backend_fuse, 4096);
	atomic_store(&rig.unit.delay_us, 50);
	memset(image, 0, sizeof(image));
	for (unsigned k = 0; k < PARTS; k++) {
		t[k] = (struct torture){.image = image, .part = k};
		t[k].fd = open(rig_path(&rig), O_RDWR | O_DIRECT);
		assert_return_code(t[k].fd, errno);
		assert_int_equal(pthread_create(&t[k].thread, NULL, torture_run, &t[k]), 0);
	}
	for (unsigned k = 0; k < PARTS; k++) {
		void *failed;

		pthread_join(t[k].thread, &failed);
		assert_null(failed);
		close(t[k].fd);
	}
	memcpy(got, rig.unit.mem, AREA);
	assert_memory_equal(got, image, AREA);
}

/* Asynchronous, so that many partial writes of one process are under way at once. */
static void partial_async_writes_keep_all_bytes(void **state)
{
	rig_start(&rig, &blk_backend_fuse, 4096);
	atomic_store(&rig.unit.delay_us, 100);
	assert_int_equal(
		rig_sh(&rig, "fio --name=v --filename=$P --size=1m --rw=randwrite --bs=1000 "
			     "--ioengine=libaio --iodepth=64 --direct=1 --verify=crc32c --minimal "
			     "--verify_fatal=1 --verify_state_save=0"),
		0);
	assert_true(atomic_load(&rig.unit.n_inflight_max) > 4);
}

static void unaligned_io_is_widened(void **state)
{
	static const struct {
		off_t off;
		size_t n;
	} cases[] = {{0, 1},      {1, 1},       {511, 2},           {4095, 2},
		     {100, 5000}, {4096, 4096}, {4000, 200000},     {8192, 100},
		     {8000, 192}, {3, 1048576}, {UNIT_BYTES - 3, 3}};
	static uint8_t out[1 << 20], in[1 << 20], image[2 << 20];

	for (uint32_t block = 512; block <= 4096; block *= 8) {
		for (int direct = 0; direct < 2; direct++) {
			int fd;

			rig_start(&rig, &blk_backend_fuse, block);
			memset(image, 0, sizeof(image));
			fd = open(rig_path(&rig), O_RDWR | (direct ? O_DIRECT : 0));
			assert_return_code(fd, errno);
			for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
				const off_t off = cases[k].off;
				const size_t n = cases[k].n;

				for (size_t b = 0; b < n; b++)
					out[b] = (uint8_t)(b * 7 + k);
				assert_int_equal(pwrite(fd, out, n, off), n);
				assert_int_equal(pread(fd, in, n, off), n);
				assert_memory_equal(in, out, n);
				if ((size_t)off + n <= sizeof(image))
					memcpy(image + off, out, n);
			}
			assert_memory_equal(rig.unit.mem, image, sizeof(image));
			close(fd);
			assert_int_equal(teardown(NULL), 0);
		}
	}
}

static void end_of_the_unit_is_the_end(void **state)
{
	uint8_t buf[1024] = {0};
	int fd;

	rig_start(&rig, &blk_backend_fuse, 512);
	fd = open(rig_path(&rig), O_RDWR);
	assert_return_code(fd, errno);
	assert_int_equal(pread(fd, buf, sizeof(buf), UNIT_BYTES), 0);
	assert_int_equal(pread(fd, buf, sizeof(buf), UNIT_BYTES - 100), 100);
	assert_int_equal(pwrite(fd, buf, sizeof(buf), UNIT_BYTES), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(ftruncate(fd, 5), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ftruncate(fd, UNIT_BYTES), 0);
	assert_int_equal(fchmod(fd, 0644), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(lseek(fd, 0, SEEK_END), UNIT_BYTES);
	close(fd);
	assert_int_equal(rig_sh(&rig,
				"! touch $(dirname $P)/new && ! rm $P && ! mv $P $P.x && "
				"test \"$(ls -a $(dirname $P) | tr '\\n' ' ')\" = '. .. disk '"),
			 0);
}

static void fallocate_zeroes_what_it_says(void **state)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	static uint8_t image[32768], got[32768];
	int fd;

	rig_start(&rig, &blk_backend_fuse, 4096);
	fd = open(rig_path(&rig), O_RDWR);
	assert_return_code(fd, errno);
	memset(image, 0xa5, sizeof(image));
	assert_int_equal(pwrite(fd, image, sizeof(image), 0), sizeof(image));
	/* whole blocks; parts at both ends; inside one block; two parts and nothing between */
	assert_int_equal(fallocate(fd, punch, 4096, 4096), 0);
	memset(image + 4096, 0, 4096);
	assert_int_equal(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 10000, 10000),
			 0);
	memset(image + 10000, 0, 10000);
	assert_int_equal(fallocate(fd, punch, 21000, 50), 0);
	memset(image + 21000, 0, 50);
	assert_int_equal(fallocate(fd, punch, 28000, 1000), 0);
	memset(image + 28000, 0, 1000);
	assert_int_equal(pread(fd, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, image, sizeof(image));
	assert_memory_equal(rig.unit.mem, image, sizeof(image));
	assert_int_equal(atomic_load(&rig.unit.n_zeroes), 2);
	assert_int_equal(atomic_load(&rig.unit.n_zeroes_no_unmap), 1);

	assert_int_equal(fallocate(fd, 0, 0, UNIT_BYTES), 0);
	assert_int_equal(fallocate(fd, 0, 0, UNIT_BYTES + 1), -1);
	assert_int_equal(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -1);
	assert_int_equal(errno, EOPNOTSUPP);
	close(fd);
}

/* ---- durability ------------------------------------------------------------------- */

static void sync_reaches_the_unit(void **state)
{
	uint8_t *buf = aligned_alloc(4096, 4096);
	int fd;

	memset(buf, 1, 4096);
	rig_start(&rig, &blk_backend_fuse, 512);
	fd = open(rig_path(&rig), O_RDWR);
	assert_int_equal(pwrite(fd, buf, 4096, 0), 4096);
	assert_int_equal(atomic_load(&rig.unit.n_flushes), 0);
	assert_int_equal(atomic_load(&rig.unit.n_fua), 0);
	assert_int_equal(fdatasync(fd), 0);
	assert_int_equal(atomic_load(&rig.unit.n_flushes), 1);
	close(fd);
	fd = open(rig_path(&rig), O_RDWR | O_DSYNC | O_DIRECT);
	assert_int_equal(pwrite(fd, buf, 4096, 0), 4096);
	assert_int_equal(atomic_load(&rig.unit.n_fua), 1);
	close(fd);
	free(buf);
}

static void flush_error_reaches_the_caller(void **state)
{
	int fd;

	rig_start(&rig, &blk_backend_loop, 512);
	atomic_store(&rig.unit.flush_result, -EIO);
	fd = open(rig_path(&rig), O_RDWR);
	assert_return_code(fd, errno);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	assert_int_equal(fsync(fd), -1);
	assert_int_equal(errno, EIO);
	close(fd);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), -EIO);
	rig.backend->open_gate(rig.dev);
	atomic_store(&rig.unit.flush_result, 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
}

/* Nobody called fsync: the writes are in the cache, and the unit refuses them later. */
static void lost_write_back_is_not_silent(void **state)
{
	int fd;

	rig_start(&rig, &blk_backend_loop, 512);
	fd = open(rig_path(&rig), O_RDWR);
	assert_return_code(fd, errno);
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
	atomic_store(&rig.unit.write_result, -EIO);
	close(fd);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->flush(rig.dev), -EIO);
}

static void mapped_pages_are_flushed(void **state)
{
	char *at;
	int fd;

	rig_start(&rig, &blk_backend_fuse, 4096);
	fd = open(rig_path(&rig), O_RDWR);
	at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
	assert_ptr_not_equal(at, MAP_FAILED);
	strcpy(at + 10, "by map");
	assert_int_equal(rig.unit.mem[4096 + 10], 0);
	assert_int_equal(rig.backend->flush(rig.dev), 0);
	assert_string_equal((char *)rig.unit.mem + 4096 + 10, "by map");
	strcpy(at + 10, "lost");
	atomic_store(&rig.unit.write_result, -EIO);
	assert_int_equal(rig.backend->flush(rig.dev), -EIO);
	munmap(at, 8192);
	close(fd);
}

/* ---- changes of the unit ------------------------------------------------------------ */

static void size_and_protection_follow(const struct blk_backend *backend)
{
	const char *size =
		backend == &blk_backend_loop ? "blockdev --getsize64 $P" : "stat -c %s $P";

	rig_start(&rig, backend, 512);
	assert_int_equal(rig_sh(&rig, "test $(%s) = 67108864", size), 0);
	assert_int_equal(rig_changed(&rig, 2 * UNIT_BYTES, false), 0);
	assert_int_equal(rig_sh(&rig, "test $(%s) = 134217728", size), 0);
	assert_int_equal(rig_sh(&rig,
				"printf end | dd of=$P bs=1 seek=134217725 conv=notrunc,fsync && "
				"test \"$(tail -c 3 $P)\" = end"),
			 0);
	assert_int_equal(rig_changed(&rig, UNIT_BYTES, true), 0);
	assert_int_equal(
		rig_sh(&rig,
		       "test $(%s) = 67108864 && ! dd if=/dev/zero of=$P count=1 conv=notrunc",
		       size),
		0);
	assert_int_equal(rig_changed(&rig, UNIT_BYTES, false), 0);
	assert_int_equal(rig_sh(&rig, "dd if=/dev/zero of=$P count=1 conv=notrunc,fsync"), 0);
}

static void loop_changes_size_and_protection(void **state)
{
	size_and_protection_follow(&blk_backend_loop);
}

static void fuse_changes_size_and_protection(void **state)
{
	size_and_protection_follow(&blk_backend_fuse);
}

static void read_only_unit_is_not_opened_for_writing(void **state)
{
	rig_init(&rig, &blk_backend_fuse, 512);
	rig.unit.limits.read_only = true;
	assert_int_equal(rig_present(&rig), 0);
	assert_int_equal(open(rig_path(&rig), O_RDWR), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(rig_sh(&rig, "cmp -n 1048576 $P /dev/zero"), 0);
	assert_int_equal(teardown(NULL), 0);

	rig_init(&rig, &blk_backend_loop, 512);
	rig.unit.limits.read_only = true;
	assert_int_equal(rig_present(&rig), 0);
	assert_int_equal(rig_sh(&rig,
				"test $(blockdev --getro $P) = 1 && cmp -n 1048576 $P /dev/zero && "
				"! dd if=/dev/zero of=$P count=1 oflag=direct"),
			 0);
	assert_int_equal(atomic_load(&rig.unit.n_writes), 0);
}

#define T(f) cmocka_unit_test_teardown(f, teardown)

static int tests(void)
{
	const struct CMUnitTest all[] = {
		T(loop_verifies_512),
		T(loop_verifies_4096),
		T(fuse_verifies_512),
		T(fuse_verifies_4096),
		T(more_requests_than_buffers_wait),
		T(killed_reader_does_no_harm),
		T(file_system_lives_on_the_device),
		T(file_system_lives_on_the_file),
		T(queue_limits_follow_the_unit),
		T(loop_does_not_discard_by_writing),
		T(loop_falls_back_without_zeroing),
		T(partial_writes_do_not_lose_each_other),
		T(partial_async_writes_keep_all_bytes),
		T(unaligned_io_is_widened),
		T(end_of_the_unit_is_the_end),
		T(fallocate_zeroes_what_it_says),
		T(sync_reaches_the_unit),
		T(flush_error_reaches_the_caller),
		T(lost_write_back_is_not_silent),
		T(mapped_pages_are_flushed),
		T(loop_changes_size_and_protection),
		T(fuse_changes_size_and_protection),
		T(read_only_unit_is_not_opened_for_writing),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}

int main(int argc, char **argv)
{
	return rig_main(argc, argv, &blk_backend_loop, tests, NULL);
}
