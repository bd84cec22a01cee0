/* SPDX-License-Identifier: MIT */
/*
 * A session with a real target: tgtd, started by test/lib/tgt.sh
 *
 * The disk's whole test area is written and read back with patterns that name the
 * slot, the block and the round, many commands at a time. A command that got an
 * error, data that is not what was written last, and a round that does not end
 * are failures, also while the target is being killed under it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "initiator/test-client.h"
#include "initiator/test-tgt.h"

#define LUN_1      (UINT64_C(1) << 48) /* peripheral addressing */
#define BLOCK      512
#define MAX_BLOCKS 128 /* of one command */
#define N_WORKERS  48

/* ---- the target -------------------------------------------------------- */

static struct tgt tgt;

/* tgt_run() while the loop goes on turning, as it would in a service. */
static void tgt_run_turning(struct loop *l, const char *what)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		const char *script = getenv("TGT_SH");
		char owner[32];
		int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

		snprintf(owner, sizeof(owner), "%d", (int)getppid());
		setenv("TGT_OWNER", owner, 1);
		dup2(null_fd, STDOUT_FILENO);
		execl(script ? script : "test/lib/tgt.sh", "tgt.sh", what, tgt.dir, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		assert_int_equal(loop_turn(l, clock_now_ns() + NS_PER_MS), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- load -------------------------------------------------------------- */

struct worker {
	struct scsi_cmd cmd;
	struct iovec iov[3];
	uint8_t data[MAX_BLOCKS * BLOCK];
	struct load *load;
	unsigned id, round, n_blocks;
	bool reading, busy;
};

struct load {
	struct client *client;
	struct worker worker[N_WORKERS];
	unsigned n_rounds; /* written and read back */
	unsigned n_busy;
	bool stop;
	int tolerated; /* an error that may come; the worker then rests */
	unsigned n_errors;
};

/* Every 8 bytes of the area have a value of their own in every round. */
static uint64_t pattern(const struct worker *w, size_t at)
{
	return (uint64_t)w->id << 56 | (uint64_t)(w->round & 0xffffff) << 32 | at;
}

static void worker_next(struct worker *w);

static void check_data(const struct worker *w, size_t n)
{
	for (size_t at = 0; at < n; at += 8)
		if (get_be64(w->data + at) != pattern(w, at))
			fail_msg("worker %u round %u byte %zu: %016llx instead of %016llx", w->id,
				 w->round, at, (unsigned long long)get_be64(w->data + at),
				 (unsigned long long)pattern(w, at));
}

static void worker_done(struct scsi_cmd *cmd)
{
	struct worker *w = cmd->user;
	struct load *l = w->load;

	w->busy = false;
	l->n_busy--;
	if (cmd->error && cmd->error == l->tolerated) {
		l->n_errors++;
		return;
	}
	if (cmd->error)
		fail_msg("worker %u round %u: error %d", w->id, w->round, cmd->error);
	/* A new I_T nexus begins with a unit attention; that command was not executed. */
	if (cmd->status == SCSI_CHECK_CONDITION && cmd->n_sense >= 3 && (cmd->sense[2] & 15) == 6) {
		w->reading = !w->reading;
	} else {
		assert_int_equal(cmd->status, SCSI_GOOD);
		assert_int_equal(cmd->n_transferred, w->n_blocks * BLOCK);
		if (w->reading) {
			check_data(w, (size_t)w->n_blocks * BLOCK);
			w->round++;
			l->n_rounds++;
		}
	}
	if (!l->stop)
		worker_next(w);
}

static void worker_next(struct worker *w)
{
	struct scsi_cmd *cmd = &w->cmd;
	size_t n, first;

	w->reading = !w->reading;
	if (!w->reading)
		w->n_blocks = 1 + (w->round * 37 + w->id * 11) % MAX_BLOCKS;
	n = (size_t)w->n_blocks * BLOCK;
	for (size_t at = 0; at < n; at += 8)
		put_be64(w->data + at, w->reading ? UINT64_MAX : pattern(w, at));
	/* Three uneven pieces, one of them perhaps empty. */
	first = n / 3 + w->id % 7;
	w->iov[0] = (struct iovec){w->data, first};
	w->iov[1] = (struct iovec){w->data + first, w->round % 5};
	w->iov[2] = (struct iovec){w->data + first + w->round % 5, n - first - w->round % 5};
	*cmd = (struct scsi_cmd){
		.lun = LUN_1,
		.cdb = {w->reading ? 0x28 : 0x2a},
		.n_cdb = 10,
		.dir = w->reading ? SCSI_DIR_READ : SCSI_DIR_WRITE,
		.iov = w->iov,
		.n_iov = 3,
		.n_data = (uint32_t)n,
		.done = worker_done,
		.user = w,
	};
	put_be32(cmd->cdb + 2, w->id * MAX_BLOCKS);
	put_be16(cmd->cdb + 7, (uint16_t)w->n_blocks);
	w->busy = true;
	w->load->n_busy++;
	initiator_path_ops.submit(w->load->client->initiator, cmd);
}

static void load_start(struct load *l, struct client *c)
{
	memset(l, 0, sizeof(*l));
	l->client = c;
	for (unsigned k = 0; k < N_WORKERS; k++) {
		l->worker[k].load = l;
		l->worker[k].id = k;
		l->worker[k].reading = true; /* the first is a write */
		worker_next(&l->worker[k]);
	}
}

static void load_go_on(struct load *l, unsigned n_rounds)
{
	unsigned until = l->n_rounds + n_rounds;

	WAIT_FOR(l->client->loop, l->n_rounds >= until);
}

static void load_stop(struct load *l)
{
	l->stop = true;
	WAIT_FOR(l->client->loop, l->n_busy == 0);
}

/* ---- tests ------------------------------------------------------------- */

static struct load load;

struct world {
	struct loop *loop;
	struct client client;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(tgt_run(&tgt, "restart", ""), 0);
	assert_int_equal(loop_new(&w->loop), 0);
	client_init(&w->client, w->loop, &tgt.addr);
	w->client.cfg.session.target_name = tgt.target;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	if (w->client.initiator) {
		initiator_close(w->client.initiator);
		client_end(&w->client);
	}
	assert_null(loop_free(w->loop));
	free(w);
	return 0;
}

static void start_up(struct world *w)
{
	client_start(&w->client);
	WAIT_FOR(w->loop, w->client.n_up || w->client.n_failed);
	if (w->client.n_failed)
		fail_msg("%s", w->client.failure.text);
}

static void logout(struct world *w)
{
	initiator_logout(w->client.initiator);
	client_end(&w->client);
	assert_int_equal(w->client.n_failed, 0);
}

static void inquiry(struct world *w, bool probe)
{
	struct command c;

	command_submit(&c, &w->client, 0x12, probe);
	c.cmd.lun = LUN_1;
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(c.cmd.status, SCSI_GOOD);
	assert_int_equal(c.cmd.n_transferred, 36);
	assert_int_equal(c.data[0], 0); /* a disk */
	assert_memory_equal(c.data + 8, "IET     ", 8);
}

static void login_commands_logout(void **state)
{
	struct world *w = *state;
	struct command c;

	start_up(w);
	inquiry(w, false);
	/* A unit that is not there answers with sense data. */
	command_submit(&c, &w->client, 0x00, false);
	c.cmd.lun = UINT64_C(7) << 48;
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(c.cmd.status, SCSI_CHECK_CONDITION);
	assert_true(c.cmd.n_sense >= 14);
	assert_int_equal(c.cmd.sense[2] & 15, 5); /* ILLEGAL REQUEST */
	logout(w);
	assert_int_equal(w->client.n_down, 0);
}

static void data_at_depth(void **state)
{
	struct world *w = *state;

	w->client.cfg.n_commands = 16; /* fewer than workers */
	start_up(w);
	load_start(&load, &w->client);
	load_go_on(&load, 2000);
	load_stop(&load);
	logout(w);
	assert_int_equal(w->client.n_down, 0);
}

static void data_with_digests(void **state)
{
	struct world *w = *state;
	struct initiator_status s;

	w->client.cfg.session.offer.HeaderDigest = ISCSI_OFFER_CRC32C;
	w->client.cfg.session.offer.DataDigest = ISCSI_OFFER_CRC32C;
	start_up(w);
	initiator_get_status(w->client.initiator, &s);
	assert_int_equal(s.params.HeaderDigest, ISCSI_DIGEST_CRC32C);
	assert_int_equal(s.params.DataDigest, ISCSI_DIGEST_CRC32C);
	load_start(&load, &w->client);
	load_go_on(&load, 500);
	load_stop(&load);
	logout(w);
	assert_int_equal(w->client.n_down, 0);
}

static void data_by_r2t_only(void **state)
{
	struct world *w = *state;

	w->client.cfg.session.offer.InitialR2T = 1;
	w->client.cfg.session.offer.ImmediateData = 0;
	w->client.cfg.session.offer.MaxBurstLength = 8192;
	w->client.cfg.session.offer.FirstBurstLength = 4096;
	w->client.cfg.session.offer.MaxRecvDataSegmentLength = 4096;
	start_up(w);
	load_start(&load, &w->client);
	load_go_on(&load, 500);
	load_stop(&load);
	logout(w);
	assert_int_equal(w->client.n_down, 0);
}

static void survives_the_target_under_load(void **state)
{
	struct world *w = *state;
	struct initiator_status s;

	w->client.hold_verify = true;
	start_up(w);
	load_start(&load, &w->client);
	for (unsigned k = 1; k <= 3; k++) {
		unsigned before;

		load_go_on(&load, 300);
		tgt_run_turning(w->loop, "kill");
		WAIT_FOR(w->loop, w->client.n_down == k);
		before = load.n_rounds;
		tgt_run_turning(w->loop, "restart");
		WAIT_FOR(w->loop, w->client.n_verify == k);
		inquiry(w, true);
		assert_int_equal(load.n_rounds, before);
		assert_int_equal(load.n_busy, N_WORKERS);
		initiator_release(w->client.initiator);
	}
	load_go_on(&load, 300);
	load_stop(&load);
	initiator_get_status(w->client.initiator, &s);
	assert_int_equal(s.n_reconnects, 3);
	assert_int_equal(w->client.n_expired, 0);
	logout(w);
}

static void hold_expires_then_all_is_well_again(void **state)
{
	struct world *w = *state;
	struct command late;

	w->client.hold_verify = true;
	w->client.cfg.hold_ns = 300 * NS_PER_MS;
	start_up(w);
	load_start(&load, &w->client);
	load_go_on(&load, 100);
	load.tolerated = -EIO;
	tgt_run_turning(w->loop, "kill");
	WAIT_FOR(w->loop, w->client.n_expired == 1);
	WAIT_FOR(w->loop, load.n_busy == 0);
	assert_int_equal(load.n_errors, N_WORKERS);
	command_submit(&late, &w->client, 0x00, false);
	command_wait(&late);
	assert_int_equal(late.cmd.error, -EIO);

	tgt_run_turning(w->loop, "restart");
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	inquiry(w, true);
	initiator_release(w->client.initiator);
	load_start(&load, &w->client);
	load_go_on(&load, 100);
	load_stop(&load);
	logout(w);
}

static void closing_under_load_cancels(void **state)
{
	struct world *w = *state;

	start_up(w);
	load_start(&load, &w->client);
	load_go_on(&load, 100);
	load.tolerated = -ECANCELED;
	load.stop = true;
	initiator_close(w->client.initiator);
	client_end(&w->client);
	assert_int_equal(load.n_busy, 0);
}

static void a_logout_from_a_dead_target_ends(void **state)
{
	struct world *w = *state;

	start_up(w);
	assert_int_equal(tgt_run(&tgt, "kill", ""), 0);
	logout(w);
}

static void an_unknown_target_is_a_login_status(void **state)
{
	struct world *w = *state;

	w->client.cfg.session.target_name = "iqn.2026-01.test.tgt:nothing";
	client_start(&w->client);
	client_end(&w->client);
	assert_int_equal(w->client.n_failed, 1);
	assert_int_equal(w->client.failure.error, -EREMOTEIO);
	assert_int_equal(w->client.failure.login_status, 0x0203);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(login_commands_logout),
		T(data_at_depth),
		T(data_with_digests),
		T(data_by_r2t_only),
		T(survives_the_target_under_load),
		T(hold_expires_then_all_is_well_again),
		T(closing_under_load_cancels),
		T(a_logout_from_a_dead_target_ends),
		T(an_unknown_target_is_a_login_status),
	};
	int r;

	snprintf(tgt.dir, sizeof(tgt.dir), "/tmp/test-initiator-XXXXXX");
	if (!mkdtemp(tgt.dir))
		return 1;
	r = tgt_run(&tgt, "start", "");
	if (r) {
		tgt_run(&tgt, "stop", "");
		return r == TGT_SKIPPED ? TGT_SKIPPED : 1;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	tgt_run(&tgt, "stop", "");
	return r;
}
