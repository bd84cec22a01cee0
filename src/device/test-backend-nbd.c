/* SPDX-License-Identifier: MIT */
/*
 * Backend nbd: other people's clients, and one of our own that says what those do not
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "device/nbd_proto.h"
#include "device/nbd_server.h"
#include "device/test-rig.h"

#define MIB (1u << 20)

static struct rig rig;
static struct nbd_server *server; /* instead of a device, to look into it */
static char *server_path;

static int teardown(void **state)
{
	const unsigned n_bad = rig.loop ? atomic_load(&rig.unit.n_bad) : 0;

	if (server) {
		nbd_server_stop(server, clock_now_ns() + 2 * NS_PER_S);
		server = nbd_server_free(server);
		free(server_path);
	}
	rig_end(&rig);
	return n_bad ? -1 : 0;
}

static void stops_clean(void)
{
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->stop(rig.dev, false, 5000), 0);
	assert_int_equal(rig_sh(&rig, "test ! -e $D/s1-lun0"), 0);
}

/* ---- a client of our own --------------------------------------------------------- */

static int dial(void)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const struct timeval bound = {.tv_sec = 20};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_return_code(fd, errno);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", server ? server_path : rig_path(&rig));
	assert_return_code(connect(fd, (const struct sockaddr *)&sun, sizeof(sun)), errno);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &bound, sizeof(bound)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &bound, sizeof(bound)), 0);
	return fd;
}

static void say(int fd, const void *p, size_t n)
{
	assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), n);
}

static void hear(int fd, void *p, size_t n)
{
	assert_int_equal(recv(fd, p, n, MSG_WAITALL), n);
}

/* The server hangs up, with or without having read all. */
static void hear_end(int fd)
{
	char byte;
	const ssize_t n = recv(fd, &byte, 1, 0);

	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

/* In transmission, with simple replies or structured ones. */
static int attach(bool structured)
{
	uint8_t b[64];
	int fd = dial();

	hear(fd, b, 18);
	put_be32(b, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	say(fd, b, 4);
	put_be64(b, NBD_OPTION_MAGIC);
	put_be32(b + 8, 8);
	put_be32(b + 12, 0);
	if (structured) {
		say(fd, b, 16);
		hear(fd, b + 32, 20);
	}
	put_be32(b + 8, 1);
	say(fd, b, 16);
	hear(fd, b, 10);
	return fd;
}

static void ask(int fd, uint16_t command, uint16_t flags, uint64_t off, uint32_t n)
{
	uint8_t b[NBD_REQUEST_BYTES];

	put_be32(b, NBD_REQUEST_MAGIC);
	put_be16(b + 4, flags);
	put_be16(b + 6, command);
	put_be64(b + 8, 0x1122334455667788 + command);
	put_be64(b + 16, off);
	put_be32(b + 24, n);
	say(fd, b, sizeof(b));
}

/* Return: the error. */
static uint32_t answer(int fd, uint16_t command)
{
	uint8_t b[NBD_SIMPLE_BYTES];

	hear(fd, b, sizeof(b));
	assert_int_equal(get_be32(b), NBD_SIMPLE_MAGIC);
	assert_int_equal(get_be64(b + 8), 0x1122334455667788 + command);
	return get_be32(b + 4);
}

static uint32_t do_one(int fd, uint16_t command, uint16_t flags, uint64_t off, uint32_t n)
{
	ask(fd, command, flags, off, n);
	return answer(fd, command);
}

/* ---- data ---------------------------------------------------------------------------- */

static void fio_verifies(uint32_t block_bytes)
{
	rig_start(&rig, &blk_backend_nbd, block_bytes);
	atomic_store(&rig.unit.delay_us, 200);
	assert_int_equal(
		rig_sh(&rig, "fio --name=v --ioengine=nbd --uri=\"$U\" --size=32m --rw=randrw "
			     "--rwmixread=30 --bsrange=512-256k --blockalign=512 --iodepth=64 "
			     "--verify=crc32c --verify_fatal=1 --verify_state_save=0 --do_verify=1 "
			     "--verify_backlog=64 --minimal"),
		0);
	stops_clean();
}

static void fio_verifies_512(void **state)
{
	fio_verifies(512);
}

static void fio_verifies_4096(void **state)
{
	fio_verifies(4096);
}

static void tools_copy_there_and_back(void **state)
{
	rig_start(&rig, &blk_backend_nbd, 4096);
	assert_int_equal(rig_sh(&rig, "head -c 64M /dev/urandom >$D/a && "
				      "nbdcopy --connections=4 --flush $D/a \"$U\" && "
				      "nbdcopy --connections=4 \"$U\" $D/b && cmp $D/a $D/b"),
			 0);
	assert_true(atomic_load(&rig.unit.n_flushes) > 0);
	assert_int_equal(rig_sh(&rig, "qemu-img compare -f raw -F raw $D/a \"$U\" && "
				      "qemu-img convert -n -f raw -O raw $D/b \"$U\" && "
				      "qemu-img compare -f raw -F raw $D/a \"$U\""),
			 0);
	stops_clean();
}

static void tools_see_what_it_can(void **state)
{
	rig_start(&rig, &blk_backend_nbd, 4096);
	assert_int_equal(rig_sh(&rig,
				"nbdinfo \"$U\" >$D/i && grep -q 'export-size: 67108864' $D/i && "
				"grep -q 'can_multi_conn: true' $D/i && "
				"grep -q 'can_fua: true' $D/i && grep -q 'can_trim: true' $D/i && "
				"grep -q 'can_zero: true' $D/i && grep -q 'can_df: true' $D/i && "
				"grep -q 'is_read_only: false' $D/i && "
				"grep -q 'base:allocation' $D/i"),
			 0);
	assert_int_equal(rig_sh(&rig, "nbdinfo --list \"$U\" | grep -q 's1-lun0'"), 0);
	assert_int_equal(rig_sh(&rig, "nbdinfo --map \"$U\" | grep -qE '0 +67108864 +0'"), 0);
	stops_clean();
}

static void any_range_of_bytes(void **state)
{
	rig_start(&rig, &blk_backend_nbd, 4096);
	assert_int_equal(rig_sh(&rig, "qemu-io -f raw \"$U\" -c 'write -P 5 1000 9000' "
				      "-c 'write -P 6 1 1' -c 'write -z 2000 5000' "
				      "-c 'read -P 5 1000 1000' -c 'read -P 0 2000 5000' "
				      "-c 'read -P 5 7000 3000' -c 'read -P 6 1 1' "
				      "-c 'read -P 0 2 998' >$D/o && ! grep -i fail $D/o"),
			 0);
	stops_clean();
}

static void longest_requests(void **state)
{
	uint8_t *there = malloc(32 * MIB), *back = malloc(32 * MIB);
	int fd;

	assert_true(there && back);
	for (size_t i = 0; i < 32 * MIB; i++)
		there[i] = (uint8_t)(i * 2654435761u >> 13);
	rig_start(&rig, &blk_backend_nbd, 512);
	fd = attach(false);
	ask(fd, NBD_CMD_WRITE, 0, 1 * MIB + 7, 32 * MIB);
	say(fd, there, 32 * MIB);
	assert_int_equal(answer(fd, NBD_CMD_WRITE), 0);
	assert_int_equal(do_one(fd, NBD_CMD_READ, 0, 1 * MIB + 7, 32 * MIB), 0);
	hear(fd, back, 32 * MIB);
	assert_memory_equal(there, back, 32 * MIB);
	assert_int_equal(do_one(fd, NBD_CMD_READ, 0, 0, 32 * MIB + 1), NBD_EINVAL);
	assert_int_equal(do_one(fd, NBD_CMD_CACHE, 0, 0, 40 * MIB), 0);
	close(fd);
	free(there);
	free(back);
	stops_clean();
}

/* ---- commands ------------------------------------------------------------------------- */

static void commands_reach_the_unit(void **state)
{
	uint8_t data[4096] = {1};
	int fd;

	rig_start(&rig, &blk_backend_nbd, 4096);
	fd = attach(false);
	ask(fd, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, 0, sizeof(data));
	say(fd, data, sizeof(data));
	assert_int_equal(answer(fd, NBD_CMD_WRITE), 0);
	assert_int_equal(atomic_load(&rig.unit.n_fua), 1);
	assert_int_equal(atomic_load(&rig.unit.n_flushes), 0);
	assert_int_equal(do_one(fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	assert_int_equal(atomic_load(&rig.unit.n_flushes), 1);
	assert_int_equal(do_one(fd, NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_NO_HOLE, 0, 8192), 0);
	assert_int_equal(atomic_load(&rig.unit.n_zeroes), 1);
	assert_int_equal(atomic_load(&rig.unit.n_zeroes_no_unmap), 1);
	assert_int_equal(do_one(fd, NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_FUA, 0, 8192), 0);
	assert_int_equal(atomic_load(&rig.unit.n_zeroes_no_unmap), 1);
	assert_int_equal(atomic_load(&rig.unit.n_flushes), 2);
	/* Only blocks that are covered whole are given back. */
	assert_int_equal(do_one(fd, NBD_CMD_TRIM, 0, 1, 8000), 0);
	assert_int_equal(atomic_load(&rig.unit.n_discards), 0);
	assert_int_equal(do_one(fd, NBD_CMD_TRIM, NBD_CMD_FLAG_FUA, 1, 8191), 0);
	assert_int_equal(atomic_load(&rig.unit.n_discards), 1);
	assert_int_equal(atomic_load(&rig.unit.n_flushes), 3);
	ask(fd, NBD_CMD_DISC, 0, 0, 0);
	hear_end(fd);
	close(fd);
	stops_clean();
}

static void what_is_wrong_is_refused(void **state)
{
	const uint64_t end = UNIT_BYTES;
	uint8_t data[1000] = {1};
	int fd;

	rig_start(&rig, &blk_backend_nbd, 512);
	fd = attach(false);
	assert_int_equal(do_one(fd, NBD_CMD_READ, 0, end, 1), NBD_EINVAL);
	assert_int_equal(do_one(fd, NBD_CMD_READ, 0, UINT64_MAX, 512), NBD_EINVAL);
	assert_int_equal(do_one(fd, NBD_CMD_READ, 0, 0, 0), NBD_EINVAL);
	assert_int_equal(do_one(fd, NBD_CMD_READ, 0x8000, 0, 512), NBD_EINVAL);
	assert_int_equal(do_one(fd, NBD_CMD_BLOCK_STATUS, 0, 0, 512), NBD_EINVAL);
	assert_int_equal(do_one(fd, NBD_CMD_TRIM, 0, end - 512, 1024), NBD_EINVAL);
	assert_int_equal(do_one(fd, NBD_CMD_CACHE, 0, end - 512, 1024), NBD_EINVAL);
	assert_int_equal(do_one(fd, NBD_CMD_WRITE_ZEROES, 0, end - 512, 1024), NBD_ENOSPC);
	assert_int_equal(do_one(fd, 77, 0, 0, 512), NBD_EINVAL);
	/* Its data is passed over, and what follows is understood. */
	ask(fd, NBD_CMD_WRITE, 0, end - 512, sizeof(data));
	say(fd, data, sizeof(data));
	assert_int_equal(answer(fd, NBD_CMD_WRITE), NBD_ENOSPC);
	assert_int_equal(do_one(fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	assert_int_equal(atomic_load(&rig.unit.n_writes), 0);
	memset(data, 0, sizeof(data));
	say(fd, data, NBD_REQUEST_BYTES); /* no magic */
	hear_end(fd);
	close(fd);
	stops_clean();
}

static void errors_of_the_unit_are_told(void **state)
{
	uint8_t b[NBD_CHUNK_BYTES + 6], data[512] = {0};
	int fd;

	rig_start(&rig, &blk_backend_nbd, 512);
	fd = attach(true);
	atomic_store(&rig.unit.write_result, -ENOSPC);
	ask(fd, NBD_CMD_WRITE, 0, 0, 512);
	say(fd, data, 512);
	hear(fd, b, sizeof(b));
	assert_int_equal(get_be32(b), NBD_STRUCTURED_MAGIC);
	assert_int_equal(get_be16(b + 4), NBD_CHUNK_DONE);
	assert_int_equal(get_be16(b + 6), NBD_CHUNK_ERROR);
	assert_int_equal(get_be32(b + 16), 6);
	assert_int_equal(get_be32(b + 20), NBD_ENOSPC);
	atomic_store(&rig.unit.flush_result, -EREMOTEIO);
	ask(fd, NBD_CMD_FLUSH, 0, 0, 0);
	hear(fd, b, sizeof(b));
	assert_int_equal(get_be32(b + 20), NBD_EIO);
	close(fd);
	stops_clean();
}

static void read_only_unit(void **state)
{
	uint8_t data[512] = {0};
	int fd;

	rig_init(&rig, &blk_backend_nbd, 512);
	rig.unit.limits.read_only = true;
	assert_int_equal(rig_present(&rig), 0);
	assert_int_equal(rig_sh(&rig, "nbdinfo \"$U\" | grep -q 'is_read_only: true'"), 0);
	fd = attach(false);
	ask(fd, NBD_CMD_WRITE, 0, 0, 512);
	say(fd, data, 512);
	assert_int_equal(answer(fd, NBD_CMD_WRITE), NBD_EPERM);
	assert_int_equal(do_one(fd, NBD_CMD_TRIM, 0, 0, 512), NBD_EPERM);
	assert_int_equal(atomic_load(&rig.unit.n_writes), 0);
	close(fd);
	stops_clean();
}

static void growth_is_seen_at_once(void **state)
{
	int fd;

	rig_start(&rig, &blk_backend_nbd, 512);
	fd = attach(false);
	assert_int_equal(do_one(fd, NBD_CMD_TRIM, 0, UNIT_BYTES, 512), NBD_EINVAL);
	assert_int_equal(rig_changed(&rig, UNIT_BYTES + MIB, false), 0);
	assert_int_equal(do_one(fd, NBD_CMD_TRIM, 0, UNIT_BYTES, 512), 0);
	assert_int_equal(rig_sh(&rig, "nbdinfo --size \"$U\" | grep -qx 68157440"), 0);
	close(fd);
	stops_clean();
}

/* ---- users ------------------------------------------------------------------------------- */

static void client_is_named_and_holds(void **state)
{
	struct holders h = {0};
	const struct holder *one;
	int fd, late;

	rig_start(&rig, &blk_backend_nbd, 512);
	fd = attach(false);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->holders(rig.dev, &h), 0);
	assert_int_equal(h.n, 1);
	one = holder_find(&h, HOLDER_NBD, rig_path(&rig));
	assert_non_null(one);
	assert_int_equal(one->pid, getpid());
	assert_true(strlen(one->comm) > 0);
	holders_clear(&h);
	assert_int_equal(rig.backend->stop(rig.dev, false, 5000), -EBUSY);
	/* Nobody new, and the one that is there goes on. */
	late = dial();
	hear_end(late);
	close(late);
	assert_int_equal(do_one(fd, NBD_CMD_FLUSH, 0, 0, 0), 0);
	rig.backend->open_gate(rig.dev);
	late = attach(true);
	close(late);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	ask(fd, NBD_CMD_DISC, 0, 0, 0);
	close(fd);
	assert_int_equal(rig.backend->holders(rig.dev, &h), 0);
	assert_int_equal(h.n, 0);
	stops_clean();
}

/* Who connected before the gate was closed but had not begun does not slip in. */
static void gate_stops_who_is_just_coming(void **state)
{
	uint8_t b[64];
	int fd;

	rig_start(&rig, &blk_backend_nbd, 512);
	fd = dial();
	hear(fd, b, 18);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	put_be32(b, NBD_FIXED_NEWSTYLE);
	put_be64(b + 4, NBD_OPTION_MAGIC);
	put_be32(b + 12, 1);
	put_be32(b + 16, 0);
	say(fd, b, 20);
	hear_end(fd);
	close(fd);
	stops_clean();
}

static void force_cuts_off(void **state)
{
	int fd;

	rig_start(&rig, &blk_backend_nbd, 512);
	fd = attach(false);
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->stop(rig.dev, true, 5000), 0);
	hear_end(fd);
	close(fd);
}

static bool is_submitted(void *arg)
{
	return atomic_load(&rig.unit.n_inflight) > 0;
}

/* What the unit does not answer keeps its memory until it does; nobody waits for ever. */
static void stop_with_a_stuck_unit(void **state)
{
	int fd;

	rig_start(&rig, &blk_backend_nbd, 512);
	fd = attach(false);
	atomic_store(&rig.unit.is_stuck, true);
	ask(fd, NBD_CMD_READ, 0, 0, MIB);
	assert_true(wait_until(is_submitted, NULL));
	assert_int_equal(rig.backend->close_gate(rig.dev), 0);
	assert_int_equal(rig.backend->stop(rig.dev, true, 0), 0);
	rig.dev = rig.backend->free(rig.dev);
	hear_end(fd);
	close(fd);
	rig_unstick(&rig);
}

/* One that asks for much and reads nothing is in nobody's way but its own. */
static void client_that_does_not_read(void **state)
{
	int greedy, other;

	rig_start(&rig, &blk_backend_nbd, 512);
	greedy = attach(false);
	for (int i = 0; i < 200; i++)
		ask(greedy, NBD_CMD_READ, 0, 0, MIB);
	other = attach(false);
	for (int i = 0; i < 20; i++) {
		static uint8_t data[MIB];

		assert_int_equal(do_one(other, NBD_CMD_READ, 0, 0, MIB), 0);
		hear(other, data, MIB);
	}
	/* And it gets all when it reads after all. */
	for (int i = 0; i < 200; i++) {
		static uint8_t data[MIB];

		assert_int_equal(answer(greedy, NBD_CMD_READ), 0);
		hear(greedy, data, MIB);
	}
	close(greedy);
	close(other);
	stops_clean();
}

static void start_server(uint32_t block_bytes)
{
	struct nbd_server_cfg cfg = {.name = "unit", .description = "a unit"};

	rig_init(&rig, &blk_backend_nbd, block_bytes);
	assert_true(asprintf(&server_path, "%s/nbd", rig.dir) > 0);
	cfg.loop = rig.loop;
	cfg.lu = &rig.unit;
	cfg.limits = rig.unit.limits;
	cfg.path = server_path;
	assert_int_equal(nbd_server_start(&server, &cfg), 0);
}

static bool have_three_read(void *arg)
{
	return atomic_load(&rig.unit.n_reads) >= 3;
}

#define N_GREEDY 3
#define N_ASKED  8

/*
 * Three fill the budget with answers that they do not read. The server takes no more
 * memory for it, another client is served all the same, and in the end so are they.
 */
static void memory_of_long_requests_is_bounded(void **state)
{
	const uint32_t n = 32 * MIB;
	uint8_t *data = malloc(n);
	int greedy[N_GREEDY], other;

	assert_non_null(data);
	start_server(512);
	for (int i = 0; i < N_GREEDY; i++) {
		greedy[i] = attach(false);
		for (int k = 0; k < N_ASKED; k++)
			ask(greedy[i], NBD_CMD_READ, 0, 0, n);
	}
	assert_true(wait_until(have_three_read, NULL));
	other = attach(false);
	for (int i = 1; i < 3; i++) {
		memset(data, i, n);
		ask(other, NBD_CMD_WRITE, 0, 7, n);
		say(other, data, n);
		assert_int_equal(answer(other, NBD_CMD_WRITE), 0);
		memset(data, 0, n);
		assert_int_equal(do_one(other, NBD_CMD_READ, 0, 7, n), 0);
		hear(other, data, n);
		assert_true(data[0] == i && memcmp(data, data + 1, n - 1) == 0);
	}
	/* Two by the budget and two by pools, and the other's: 2 blocks and all, twice. */
	assert_true(atomic_load(&rig.unit.n_reads) <= 4 + 2 * 3);
	close(greedy[0]);
	for (int i = 1; i < N_GREEDY; i++) {
		for (int k = 0; k < N_ASKED; k++) {
			assert_int_equal(answer(greedy[i], NBD_CMD_READ), 0);
			hear(greedy[i], data, n);
		}
		close(greedy[i]);
	}
	assert_true(nbd_server_big_max(server) >= n);
	assert_true(nbd_server_big_max(server) <= NBD_BIG_BYTES);
	close(other);
	free(data);
}

/* It waits only for its own requests, however many they are and of whatever kind. */
static void long_requests_of_one_client(void **state)
{
	const uint32_t n = 20 * MIB;
	uint8_t *data = malloc(n), b[NBD_SIMPLE_BYTES];

	assert_non_null(data);
	start_server(4096);
	atomic_store(&rig.unit.delay_us, 200);
	for (int round = 0; round < 3; round++) {
		const int fd = attach(false);

		memset(data, round + 1, n);
		for (int k = 0; k < 20; k++) {
			ask(fd, NBD_CMD_WRITE, 0, (uint64_t)k * MIB + 100, n);
			say(fd, data, n);
			ask(fd, NBD_CMD_FLUSH, 0, 0, 0);
		}
		for (int k = 0; k < 40; k++) {
			hear(fd, b, sizeof(b));
			assert_int_equal(get_be32(b + 4), 0);
		}
		assert_int_equal(do_one(fd, NBD_CMD_READ, 0, 19 * MIB + 100, n), 0);
		hear(fd, data, n);
		assert_true(data[0] == round + 1 && memcmp(data, data + 1, n - 1) == 0);
		close(fd);
	}
	assert_true(nbd_server_big_max(server) <= NBD_BIG_BYTES);
	free(data);
}

static bool is_unused(void *arg)
{
	return nbd_server_n_users(server) == 0;
}

/* Who leaves in the middle, served or in the line, leaves nothing behind. */
static void memory_of_who_dies_comes_back(void **state)
{
	static uint8_t data[MIB];
	int fd;

	start_server(512);
	for (int i = 0; i < 12; i++) {
		fd = attach(i % 2);
		for (int k = 0; k < i; k++)
			ask(fd, NBD_CMD_READ, 0, 0, 32 * MIB);
		ask(fd, NBD_CMD_WRITE, 0, 0, 32 * MIB);
		if (i < 2)
			say(fd, data, sizeof(data) / 2);
		close(fd);
	}
	assert_true(wait_until(is_unused, NULL));
	fd = attach(false);
	assert_int_equal(do_one(fd, NBD_CMD_READ, 0, 0, 2 * MIB), 0);
	hear(fd, data, MIB);
	hear(fd, data, MIB);
	close(fd);
	assert_int_equal(atomic_load(&rig.unit.n_writes), 0);
	assert_true(nbd_server_big_max(server) <= NBD_BIG_BYTES);
}

static void rubbish_ends_its_client(void **state)
{
	uint8_t b[1024];
	uint64_t seed = 7;
	int fd;

	rig_start(&rig, &blk_backend_nbd, 512);
	for (int i = 0; i < 40; i++) {
		fd = i % 2 ? attach(i % 4 == 1) : dial();
		for (size_t k = 0; k < sizeof(b); k++) {
			seed = seed * UINT64_C(6364136223846793005) + 1;
			b[k] = (uint8_t)(seed >> 56);
		}
		/* It may have hung up before all is said. */
		(void)!send(fd, b, sizeof(b), MSG_NOSIGNAL);
		while (recv(fd, b, sizeof(b), 0) > 0)
			;
		close(fd);
	}
	/* An option as long as can be said. */
	fd = dial();
	hear(fd, b, 18);
	put_be32(b, NBD_FIXED_NEWSTYLE);
	put_be64(b + 4, NBD_OPTION_MAGIC);
	put_be32(b + 12, 7);
	put_be32(b + 16, UINT32_MAX);
	say(fd, b, 1000);
	close(fd);
	assert_int_equal(atomic_load(&rig.unit.n_writes), 0);
	stops_clean();
}

static void lengths_beyond_all_bounds(void **state)
{
	static const uint16_t command[] = {NBD_CMD_READ, NBD_CMD_TRIM, NBD_CMD_CACHE,
					   NBD_CMD_WRITE_ZEROES, NBD_CMD_BLOCK_STATUS};
	static const uint64_t off[] = {UINT64_C(1) << 63, (UINT64_C(1) << 63) - 512,
				       UINT64_MAX - UINT32_MAX, UINT64_MAX};
	const uint8_t data[1000] = {0};
	int fd;

	rig_start(&rig, &blk_backend_nbd, 512);
	fd = attach(false);
	for (size_t i = 0; i < ARRAY_SIZE(command); i++) {
		assert_int_not_equal(do_one(fd, command[i], 0, 0, UINT32_MAX), 0);
		for (size_t k = 0; k < ARRAY_SIZE(off); k++) {
			assert_int_not_equal(do_one(fd, command[i], 0, off[k], 512), 0);
			assert_int_not_equal(do_one(fd, command[i], 0, off[k], UINT32_MAX), 0);
		}
	}
	for (size_t k = 0; k < ARRAY_SIZE(off); k++) {
		ask(fd, NBD_CMD_WRITE, 0, off[k], sizeof(data));
		say(fd, data, sizeof(data));
		assert_int_equal(answer(fd, NBD_CMD_WRITE), NBD_ENOSPC);
	}
	/* Refused at once; what comes after is its data, until the end. */
	ask(fd, NBD_CMD_WRITE, 0, UINT64_C(1) << 63, UINT32_MAX);
	say(fd, data, sizeof(data));
	assert_int_equal(answer(fd, NBD_CMD_WRITE), NBD_ENOSPC);
	close(fd);
	assert_int_equal(atomic_load(&rig.unit.n_reads), 0);
	assert_int_equal(atomic_load(&rig.unit.n_writes), 0);
	stops_clean();
}

static void clients_are_limited(void **state)
{
	int fd[NBD_CLIENTS_MAX], more;
	const unsigned n_fds = count_fds();

	rig_start(&rig, &blk_backend_nbd, 512);
	for (unsigned i = 0; i < NBD_CLIENTS_MAX; i++)
		fd[i] = attach(i % 2);
	more = dial();
	hear_end(more);
	close(more);
	for (unsigned i = 0; i < NBD_CLIENTS_MAX; i++)
		close(fd[i]);
	stops_clean();
	rig_end(&rig);
	assert_int_equal(count_fds(), n_fds);
}

static void client_that_dies_in_a_write(void **state)
{
	uint8_t data[1000] = {0};

	rig_start(&rig, &blk_backend_nbd, 512);
	for (int i = 0; i < 20; i++) {
		int fd = attach(false);

		ask(fd, NBD_CMD_WRITE, 0, 0, 4096);
		say(fd, data, (size_t)i * 50);
		close(fd);
	}
	stops_clean();
	assert_int_equal(atomic_load(&rig.unit.n_writes), 0);
}

/* ---- what is left -------------------------------------------------------------------------- */

static unsigned n_said;

static void on_said(void *arg, const char *what)
{
	n_said++;
}

static void sweep_takes_a_dead_socket(void **state)
{
	rig_init(&rig, &blk_backend_nbd, 512);
	assert_int_equal(rig_sh(&rig, "mkdir $D/s1-lun0 $D/other && echo x >$D/other/nbd && "
				      "python3 -c 'import socket, sys; "
				      "socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "
				      "$D/s1-lun0/nbd"),
			 0);
	n_said = 0;
	assert_int_equal(blk_backend_nbd.sweep(rig.dir, on_said, NULL), 0);
	assert_int_equal(n_said, 1);
	assert_int_equal(rig_sh(&rig, "test ! -e $D/s1-lun0 && test -f $D/other/nbd"), 0);
	assert_int_equal(rig_present(&rig), 0);
}

static void path_longer_than_an_address(void **state)
{
	char deep[256];
	struct blk_dev_cfg cfg = {.name = "u", .devices_dir = deep, .describe = "a unit"};
	struct stat st;

	rig_init(&rig, &blk_backend_nbd, 512);
	snprintf(deep, sizeof(deep), "%s/%0110d", rig.dir, 0);
	assert_return_code(mkdir(deep, 0755), errno);
	cfg.loop = rig.loop;
	cfg.lu = &rig.unit;
	cfg.limits = rig.unit.limits;
	assert_int_equal(blk_backend_nbd.start(&rig.dev, &cfg), 0);
	assert_int_equal(stat(rig_path(&rig), &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
}

static int tests(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test_teardown(fio_verifies_512, teardown),
		cmocka_unit_test_teardown(fio_verifies_4096, teardown),
		cmocka_unit_test_teardown(tools_copy_there_and_back, teardown),
		cmocka_unit_test_teardown(tools_see_what_it_can, teardown),
		cmocka_unit_test_teardown(any_range_of_bytes, teardown),
		cmocka_unit_test_teardown(longest_requests, teardown),
		cmocka_unit_test_teardown(commands_reach_the_unit, teardown),
		cmocka_unit_test_teardown(what_is_wrong_is_refused, teardown),
		cmocka_unit_test_teardown(errors_of_the_unit_are_told, teardown),
		cmocka_unit_test_teardown(read_only_unit, teardown),
		cmocka_unit_test_teardown(growth_is_seen_at_once, teardown),
		cmocka_unit_test_teardown(client_is_named_and_holds, teardown),
		cmocka_unit_test_teardown(gate_stops_who_is_just_coming, teardown),
		cmocka_unit_test_teardown(force_cuts_off, teardown),
		cmocka_unit_test_teardown(stop_with_a_stuck_unit, teardown),
		cmocka_unit_test_teardown(client_that_does_not_read, teardown),
		cmocka_unit_test_teardown(memory_of_long_requests_is_bounded, teardown),
		cmocka_unit_test_teardown(long_requests_of_one_client, teardown),
		cmocka_unit_test_teardown(memory_of_who_dies_comes_back, teardown),
		cmocka_unit_test_teardown(rubbish_ends_its_client, teardown),
		cmocka_unit_test_teardown(lengths_beyond_all_bounds, teardown),
		cmocka_unit_test_teardown(clients_are_limited, teardown),
		cmocka_unit_test_teardown(client_that_dies_in_a_write, teardown),
		cmocka_unit_test_teardown(sweep_takes_a_dead_socket, teardown),
		cmocka_unit_test_teardown(path_longer_than_an_address, teardown),
	};

	return cmocka_run_group_tests_name("device/backend-nbd", all, NULL, NULL);
}

int main(int argc, char **argv)
{
	return rig_main(argc, argv, &blk_backend_nbd, tests, NULL);
}
