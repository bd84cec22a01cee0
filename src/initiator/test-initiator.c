/* SPDX-License-Identifier: MIT */
/*
 * The life of a session, against a target that does what the test wants
 *
 * Initiator and target share one loop, so everything here is one thread; only the
 * last test has a reactor of its own.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "initiator/test-client.h"
#include "initiator/test-fake.h"
#include "iscsi/pdu.h"

#define TUR     0x00 /* TEST UNIT READY */
#define INQUIRY 0x12

struct world {
	struct loop *loop;
	struct fake fake;
	struct client client;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(loop_new(&w->loop), 0);
	fake_start(&w->fake, w->loop);
	client_init(&w->client, w->loop, &w->fake.addr);
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
	fake_stop(&w->fake);
	assert_null(loop_free(w->loop));
	free(w);
	return 0;
}

static void start_up(struct world *w)
{
	client_start(&w->client);
	WAIT_FOR(w->loop, w->client.n_up || w->client.n_failed);
	assert_int_equal(w->client.n_failed, 0);
	assert_int_equal(client_state(&w->client), INITIATOR_UP);
}

static void logout(struct world *w)
{
	initiator_logout(w->client.initiator);
	assert_false(w->client.closed);
	client_end(&w->client);
}

static void start_failing(struct world *w, int error)
{
	client_start(&w->client);
	WAIT_FOR(w->loop, w->client.n_up || w->client.n_failed);
	assert_int_equal(w->client.n_up, 0);
	assert_int_equal(w->client.failure.error, error);
	assert_true(w->client.failure.text[0]);
	client_end(&w->client);
	assert_int_equal(w->client.n_failed, 1);
}

static void pause_ns(struct loop *l, uint64_t ns)
{
	uint64_t end = clock_now_ns() + ns;

	while (clock_now_ns() < end)
		assert_int_equal(loop_turn(l, end), 0);
}

static const char *redirect_text(char *buf, size_t n, const struct tcp_addr *to)
{
	char addr[TCP_ADDR_TEXT];

	tcp_addr_text_port(to, addr, sizeof(addr));
	snprintf(buf, n, "TargetAddress=%s,1", addr);
	return buf;
}

/* ---- from login to logout ---------------------------------------------- */

static void login_and_logout(void **state)
{
	struct world *w = *state;
	struct initiator_status s;

	start_up(w);
	initiator_get_status(w->client.initiator, &s);
	assert_int_equal(s.n_connections, 1);
	assert_int_equal(s.tsih, 7);
	assert_int_equal(s.n_up, 1);
	assert_int_equal(s.connection[0].number, 1);
	assert_int_equal(s.connection[0].state, INITIATOR_CONN_UP);
	assert_int_equal(s.connection[0].cid, 1);
	assert_true(tcp_addr_equal(&s.connection[0].peer, &w->fake.addr));
	assert_false(tcp_addr_equal(&s.connection[0].local, &w->fake.addr));
	assert_int_equal(s.connection[0].max_recv_segment,
			 w->client.cfg.session.offer.MaxRecvDataSegmentLength);
	assert_int_equal(s.connection[0].max_send_segment, 8192); /* the default of RFC 7143 */
	assert_true(s.connection[0].mss > 0);
	assert_int_equal(s.n_reconnects, 0);
	assert_int_equal(w->fake.n_logins, 1);
	logout(w);
	assert_int_equal(w->fake.n_logouts, 1);
	assert_int_equal(w->client.n_down, 0);
	WAIT_FOR(w->loop, fake_n_conns(&w->fake) == 0);
}

static void results_of_commands(void **state)
{
	struct world *w = *state;
	struct command c;

	start_up(w);
	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(c.cmd.status, SCSI_GOOD);

	command_submit(&c, &w->client, INQUIRY, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(c.cmd.n_transferred, 0);

	w->fake.scsi_status = SCSI_BUSY;
	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(c.cmd.status, SCSI_BUSY);

	w->fake.scsi_response = 1; /* target failure */
	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, -EREMOTEIO);

	w->fake.reject_scsi = true;
	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, -EREMOTEIO);
	assert_true(initiator_path_ops.max_transfer_bytes(w->client.initiator) >= 4096);
	logout(w);
}

static void more_commands_than_tasks(void **state)
{
	static struct command c[500];
	struct world *w = *state;
	unsigned n = 0;

	w->client.cfg.n_commands = 4;
	start_up(w);
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++)
		command_submit(&c[k], &w->client, (uint8_t)k, k % 50 == 0);
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) {
		command_wait(&c[k]);
		assert_int_equal(c[k].cmd.error, 0);
		n += c[k].n_done;
	}
	assert_int_equal(n, ARRAY_SIZE(c));
	assert_int_equal(w->fake.n_scsi, ARRAY_SIZE(c));
	logout(w);
}

static void commands_before_the_login_wait_for_it(void **state)
{
	struct world *w = *state;
	struct command c;

	client_start(&w->client);
	command_submit(&c, &w->client, TUR, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, 0);
	assert_int_equal(w->client.n_up, 1);
	logout(w);
}

static void text_request(void **state)
{
	static const char answer[] =
		"TargetName=iqn.2026-01.test:a\0TargetAddress=192.0.2.1:3260,1";
	struct world *w = *state;

	w->fake.text = answer;
	w->fake.n_text = sizeof(answer);
	start_up(w);
	client_text(&w->client, "SendTargets=All");
	assert_int_equal(initiator_text(w->client.initiator, "x=y", 4, NULL), -EBUSY);
	WAIT_FOR(w->loop, w->client.text_done);
	assert_int_equal(w->client.text_error, 0);
	assert_int_equal(w->client.n_text, sizeof(answer));
	assert_memory_equal(w->client.text, answer, sizeof(answer));
	assert_string_equal(w->fake.asked, "SendTargets=All");

	/* Not answered: whoever asks is told when the connection goes, and at the end. */
	w->fake.text = NULL;
	client_text(&w->client, "SendTargets=All");
	pause_ns(w->loop, 5 * NS_PER_MS);
	fake_drop(&w->fake, true);
	WAIT_FOR(w->loop, w->client.text_done);
	assert_int_equal(w->client.text_error, -ECONNRESET);
	WAIT_FOR(w->loop, client_state(&w->client) == INITIATOR_UP);
	client_text(&w->client, "SendTargets=All");
	initiator_close(w->client.initiator);
	client_end(&w->client);
	assert_true(w->client.text_done);
	assert_int_equal(w->client.text_error, -ECANCELED);
}

/* ---- the first login fails --------------------------------------------- */

static void nothing_listens(void **state)
{
	struct world *w = *state;

	fake_deaf(&w->fake, true);
	start_failing(w, -ECONNREFUSED);
	assert_false(w->client.failure.connected);
}

static void login_fails_at_each_step(void **state)
{
	static const struct {
		enum fake_mode mode;
		int error;
	} step[] = {
		{FAKE_SILENT, -ETIMEDOUT},
		{FAKE_CLOSE, -ECONNRESET},
		{FAKE_RESET, -ECONNRESET},
		{FAKE_GARBAGE, -EPROTO},
		{FAKE_HUGE, -EPROTO},
		{FAKE_HALF_LOGIN, -ETIMEDOUT},
		{FAKE_CLOSE_LOGIN, -ECONNRESET},
	};
	struct world *w = *state;

	for (size_t k = 0; k < ARRAY_SIZE(step); k++) {
		client_init(&w->client, w->loop, &w->fake.addr);
		w->client.cfg.session.login_timeout_ns = 100 * NS_PER_MS;
		w->fake.mode = step[k].mode;
		client_start(&w->client);
		WAIT_FOR(w->loop, w->client.closed);
		if (w->client.failure.error != step[k].error &&
		    !(step[k].error == -ECONNRESET && w->client.failure.error == -EPIPE))
			fail_msg("mode %d: error %d: %s", step[k].mode, w->client.failure.error,
				 w->client.failure.text);
		/* A reset may come before we know that we are connected. */
		assert_true(w->client.failure.connected || step[k].mode == FAKE_RESET);
		client_end(&w->client);
	}
}

static void login_status_is_told(void **state)
{
	struct world *w = *state;

	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0203;
	start_failing(w, -EREMOTEIO);
	assert_int_equal(w->client.failure.login_status, 0x0203);
	assert_true(w->client.failure.connected);
}

static void the_first_login_is_bounded_as_a_whole(void **state)
{
	struct world *w = *state;

	w->client.cfg.first_login_timeout_ns = 100 * NS_PER_MS;
	w->fake.mode = FAKE_SILENT;
	start_failing(w, -ETIMEDOUT);
	assert_true(w->client.failure.connected);
}

/* A port whose queue of connections is full answers no more. */
struct full_port {
	struct tcp_addr addr;
	int server, client[8];
};

static void full_port_open(struct full_port *p)
{
	p->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(tcp_literal("127.0.0.1", 0, &p->addr), 0);
	assert_int_equal(bind(p->server, (struct sockaddr *)&p->addr.ss, p->addr.n_ss), 0);
	assert_int_equal(listen(p->server, 0), 0);
	assert_int_equal(tcp_local_addr(p->server, &p->addr), 0);
	for (size_t k = 0; k < ARRAY_SIZE(p->client); k++)
		assert_int_equal(tcp_connect(&p->addr, &p->client[k]), 0);
}

static void full_port_close(struct full_port *p)
{
	for (size_t k = 0; k < ARRAY_SIZE(p->client); k++)
		close(p->client[k]);
	close(p->server);
}

static void connecting_is_bounded(void **state)
{
	struct world *w = *state;
	struct full_port full;

	full_port_open(&full);
	w->client.cfg.addr[0] = full.addr;
	w->client.cfg.connect_timeout_ns = 50 * NS_PER_MS;
	start_failing(w, -ETIMEDOUT);
	assert_false(w->client.failure.connected);
	full_port_close(&full);
}

static void each_address_is_tried(void **state)
{
	struct world *w = *state;
	struct fake dead = {.mode = FAKE_GOOD};

	fake_start(&dead, w->loop);
	fake_deaf(&dead, true);
	w->client.cfg.addr[0] = dead.addr;
	w->client.cfg.addr[1] = dead.addr;
	w->client.cfg.addr[2] = w->fake.addr;
	w->client.cfg.n_addrs = 3;
	start_up(w);
	logout(w);
	fake_stop(&dead);
}

static void of_several_failures_the_furthest_is_told(void **state)
{
	struct world *w = *state;
	struct fake dead = {.mode = FAKE_GOOD};

	fake_start(&dead, w->loop);
	fake_deaf(&dead, true);
	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0202;
	w->client.cfg.addr[0] = dead.addr;
	w->client.cfg.addr[1] = w->fake.addr;
	w->client.cfg.addr[2] = dead.addr;
	w->client.cfg.n_addrs = 3;
	start_failing(w, -EREMOTEIO);
	assert_int_equal(w->client.failure.login_status, 0x0202);
	assert_int_equal(w->fake.n_accepts, 1);
	fake_stop(&dead);
}

/* ---- redirects --------------------------------------------------------- */

static void redirected(struct world *w, uint16_t status)
{
	struct fake other = {.mode = FAKE_GOOD};
	char text[128];

	fake_start(&other, w->loop);
	w->fake.mode = FAKE_STATUS;
	w->fake.status = status;
	w->fake.status_text = redirect_text(text, sizeof(text), &other.addr);
	start_up(w);
	assert_int_equal(w->fake.n_accepts, 1);
	assert_int_equal(other.n_logins, 1);
	fake_drop(&other, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	/* Moved for now: ask at the old place again. Moved for good: do not. */
	assert_int_equal(w->fake.n_accepts, status == 0x0101 ? 2 : 1);
	assert_int_equal(other.n_logins, 2);
	logout(w);
	fake_stop(&other);
}

static void redirected_temporarily(void **state)
{
	redirected(*state, 0x0101);
}

static void redirected_permanently(void **state)
{
	redirected(*state, 0x0102);
}

/* For good to the second, from there for now and so on: the second is its home. */
static void redirected_permanently_then_temporarily(void **state)
{
	struct world *w = *state;
	struct fake home = {.mode = FAKE_STATUS, .status = 0x0101};
	struct fake inn = {.mode = FAKE_STATUS, .status = 0x0102};
	struct fake guest = {.mode = FAKE_GOOD};
	char to_home[128], to_inn[128], to_guest[128];

	fake_start(&home, w->loop);
	fake_start(&inn, w->loop);
	fake_start(&guest, w->loop);
	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0102;
	w->fake.status_text = redirect_text(to_home, sizeof(to_home), &home.addr);
	home.status_text = redirect_text(to_inn, sizeof(to_inn), &inn.addr);
	inn.status_text = redirect_text(to_guest, sizeof(to_guest), &guest.addr);
	start_up(w);
	fake_drop(&guest, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(w->fake.n_accepts, 1);
	assert_int_equal(home.n_accepts, 2);
	assert_int_equal(guest.n_logins, 2);
	logout(w);
	fake_stop(&home);
	fake_stop(&inn);
	fake_stop(&guest);
}

static void redirects_in_a_circle(void **state)
{
	struct world *w = *state;
	struct fake other = {.mode = FAKE_STATUS, .status = 0x0101};
	char there[128], back[128];

	fake_start(&other, w->loop);
	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0102;
	w->fake.status_text = redirect_text(there, sizeof(there), &other.addr);
	other.status_text = redirect_text(back, sizeof(back), &w->fake.addr);
	start_failing(w, -EREMOTEIO);
	assert_int_equal(w->client.failure.login_status, 0x0101);
	assert_non_null(strstr(w->client.failure.text, "circle"));
	assert_int_equal(w->fake.n_accepts, 1);
	assert_int_equal(other.n_accepts, 1);
	fake_stop(&other);
}

static void too_many_redirects(void **state)
{
	struct world *w = *state;
	struct fake hop[6];
	char text[6][128];

	memset(hop, 0, sizeof(hop));
	for (size_t k = 0; k < ARRAY_SIZE(hop); k++)
		fake_start(&hop[k], w->loop);
	for (size_t k = 0; k + 1 < ARRAY_SIZE(hop); k++) {
		hop[k].mode = FAKE_STATUS;
		hop[k].status = 0x0101;
		hop[k].status_text = redirect_text(text[k], sizeof(text[k]), &hop[k + 1].addr);
	}
	/* Four are followed, five are not. */
	w->client.cfg.addr[0] = hop[1].addr;
	start_up(w);
	logout(w);
	client_init(&w->client, w->loop, &hop[0].addr);
	start_failing(w, -EREMOTEIO);
	assert_int_equal(hop[5].n_accepts, 1);
	for (size_t k = 0; k < ARRAY_SIZE(hop); k++)
		fake_stop(&hop[k]);
}

static void redirects_that_cannot_be_followed(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"TargetAddress=storage.example.org:3260,1", "name"},
		{"TargetAddress=[::1:3260,1", "understood"},
		{"TargetAddress=127.0.0.1:0", "understood"},
		{"TargetAddress=\x1b[2J\xff", "understood"},
		{"TargetAlias=x", ""},
		{NULL, ""},
	};
	struct world *w = *state;

	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0101;
	for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
		client_init(&w->client, w->loop, &w->fake.addr);
		w->fake.status_text = bad[k].text;
		start_failing(w, -EREMOTEIO);
		assert_int_equal(w->client.failure.login_status, 0x0101);
		assert_non_null(strstr(w->client.failure.text, bad[k].says));
		assert_null(strchr(w->client.failure.text, '\x1b'));
		assert_null(strchr(w->client.failure.text, '\xff'));
	}
}

/* ---- loss and return --------------------------------------------------- */

static void commands_under_way_are_sent_again_in_order(void **state)
{
	struct world *w = *state;
	struct command c[5];
	struct initiator_status s;

	start_up(w);
	w->fake.no_scsi_answer = true;
	for (unsigned k = 0; k < 3; k++)
		command_submit(&c[k], &w->client, (uint8_t)(0xc0 + k), false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 3);
	w->fake.no_scsi_answer = false;
	w->fake.n_scsi = 0;
	fake_drop(&w->fake, true);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	assert_true(w->client.last_down[0]);
	assert_int_equal(client_state(&w->client), INITIATOR_DOWN);
	for (unsigned k = 3; k < 5; k++)
		command_submit(&c[k], &w->client, (uint8_t)(0xc0 + k), false);
	for (unsigned k = 0; k < 5; k++) {
		command_wait(&c[k]);
		assert_int_equal(c[k].cmd.error, 0);
		assert_int_equal(w->fake.last_opcode[k], 0xc0 + k);
	}
	assert_int_equal(w->fake.n_scsi, 5);
	assert_int_equal(w->client.n_verify, 1);
	initiator_get_status(w->client.initiator, &s);
	assert_int_equal(s.state, INITIATOR_UP);
	assert_int_equal(s.n_reconnects, 1);
	/* Reinstatement: the same ISID, and no TSIH. */
	assert_memory_equal(w->fake.last_isid, w->client.cfg.session.isid, 6);
	assert_int_equal(w->fake.last_tsih, 0);
	logout(w);
}

static void only_probes_pass_until_the_release(void **state)
{
	struct world *w = *state;
	struct command c, waiting, probe;

	w->client.hold_verify = true;
	start_up(w);
	w->fake.no_scsi_answer = true;
	command_submit(&c, &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	w->fake.no_scsi_answer = false;
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(client_state(&w->client), INITIATOR_VERIFYING);
	command_submit(&waiting, &w->client, TUR, false);
	command_submit(&probe, &w->client, INQUIRY, true);
	command_wait(&probe);
	assert_int_equal(probe.cmd.error, 0);
	assert_int_equal(c.n_done + waiting.n_done, 0);
	assert_int_equal(w->fake.n_scsi, 2);
	initiator_release(w->client.initiator);
	assert_int_equal(client_state(&w->client), INITIATOR_UP);
	command_wait(&c);
	command_wait(&waiting);
	assert_int_equal(c.cmd.error + waiting.cmd.error, 0);
	initiator_release(w->client.initiator); /* no effect */
	logout(w);
}

/*
 * The session is back, and the unit turned out to be another one: what was meant for
 * the old one must not be sent when the others go on, wherever it waits.
 */
static void cancelled_while_held_is_never_sent(void **state)
{
	struct world *w = *state;
	struct command c[12], kept;
	unsigned n_before;

	w->client.cfg.n_commands = 8;
	w->client.hold_verify = true;
	start_up(w);
	w->fake.no_scsi_answer = true;
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) /* 8 on the wire, 4 in the queue */
		command_submit(&c[k], &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 8);
	fake_drop(&w->fake, true);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	n_before = w->fake.n_scsi;
	w->fake.no_scsi_answer = false;
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++)
		initiator_path_ops.cancel(w->client.initiator, &c[k].cmd);
	assert_int_equal(c[0].n_done, 0); /* never from inside */
	command_submit(&kept, &w->client, TUR, false);
	initiator_release(w->client.initiator);
	command_wait(&kept);
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) {
		assert_int_equal(c[k].n_done, 1);
		assert_int_equal(c[k].cmd.error, -ECANCELED);
	}
	assert_int_equal(kept.cmd.error, 0);
	assert_int_equal(w->fake.n_scsi, n_before + 1);
	initiator_logout(w->client.initiator);
	client_end(&w->client);
}

static void lost_again_while_verifying(void **state)
{
	struct world *w = *state;
	struct command held, probe, queued;

	w->client.hold_verify = true;
	start_up(w);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	command_submit(&held, &w->client, TUR, false);
	w->fake.no_scsi_answer = true;
	command_submit(&probe, &w->client, INQUIRY, true);
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_down == 2);
	command_wait(&probe);
	assert_int_equal(probe.cmd.error, -EIO);
	assert_int_equal(held.n_done, 0);
	initiator_release(w->client.initiator); /* too late: that login is gone */
	assert_int_equal(client_state(&w->client), INITIATOR_DOWN);
	command_submit(&queued, &w->client, INQUIRY, true); /* for the next login */
	w->fake.no_scsi_answer = false;
	WAIT_FOR(w->loop, w->client.n_verify == 2);
	command_wait(&queued);
	assert_int_equal(queued.cmd.error, 0);
	initiator_release(w->client.initiator);
	command_wait(&held);
	assert_int_equal(held.cmd.error, 0);
	logout(w);
}

static void commands_fail_when_the_hold_is_over(void **state)
{
	struct world *w = *state;
	struct command under_way, waiting, late, probe, after;

	w->client.hold_verify = true;
	w->client.cfg.hold_ns = 200 * NS_PER_MS;
	start_up(w);
	w->fake.no_scsi_answer = true;
	command_submit(&under_way, &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	fake_deaf(&w->fake, true);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	command_submit(&waiting, &w->client, TUR, false);
	command_submit(&probe, &w->client, INQUIRY, true);
	pause_ns(w->loop, 20 * NS_PER_MS);
	assert_int_equal(under_way.n_done + waiting.n_done + probe.n_done, 0);
	WAIT_FOR(w->loop, w->client.n_expired == 1);
	command_wait(&under_way);
	command_wait(&waiting);
	command_wait(&probe);
	assert_int_equal(under_way.cmd.error, -EIO);
	assert_int_equal(waiting.cmd.error, -EIO);
	assert_int_equal(probe.cmd.error, -EIO);
	command_submit(&late, &w->client, TUR, false);
	assert_int_equal(loop_turn(w->loop, 0), 0);
	assert_int_equal(late.n_done, 1);
	assert_int_equal(late.cmd.error, -EIO);

	/* Back: probes pass, the rest fails until the release. */
	w->fake.no_scsi_answer = false;
	fake_deaf(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	command_submit(&probe, &w->client, INQUIRY, true);
	command_submit(&late, &w->client, TUR, false);
	command_wait(&probe);
	command_wait(&late);
	assert_int_equal(probe.cmd.error, 0);
	assert_int_equal(late.cmd.error, -EIO);
	initiator_release(w->client.initiator);
	command_submit(&after, &w->client, TUR, false);
	command_wait(&after);
	assert_int_equal(after.cmd.error, 0);
	assert_int_equal(w->client.n_expired, 1);
	logout(w);
}

static void the_hold_ends_during_verification_too(void **state)
{
	struct world *w = *state;
	struct command waiting, probe;

	w->client.hold_verify = true;
	w->client.cfg.hold_ns = 150 * NS_PER_MS;
	start_up(w);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	command_submit(&waiting, &w->client, TUR, false);
	w->fake.no_scsi_answer = true;
	command_submit(&probe, &w->client, INQUIRY, true);
	command_wait(&waiting);
	assert_int_equal(waiting.cmd.error, -EIO);
	assert_int_equal(probe.n_done, 0);
	initiator_close(w->client.initiator);
	client_end(&w->client);
	assert_int_equal(probe.cmd.error, -ECANCELED);
}

static void time_stands_still_while_commands_are_held(void **state)
{
	struct world *w = *state;
	struct command under_way, waiting, lazy;

	start_up(w);
	fake_deaf(&w->fake, true);
	w->fake.no_scsi_answer = true;
	command_submit(&under_way, &w->client, TUR, false);
	under_way.cmd.timeout_ns = 150 * NS_PER_MS;
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	fake_drop(&w->fake, false);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	command_submit(&waiting, &w->client, TUR, false);
	waiting.cmd.timeout_ns = 150 * NS_PER_MS;
	pause_ns(w->loop, 500 * NS_PER_MS);
	assert_int_equal(under_way.n_done + waiting.n_done, 0);
	w->fake.no_scsi_answer = false;
	fake_deaf(&w->fake, false);
	command_wait(&under_way);
	command_wait(&waiting);
	assert_int_equal(under_way.cmd.error, 0);
	assert_int_equal(waiting.cmd.error, 0);

	/* And it goes on afterwards. */
	w->fake.no_scsi_answer = true;
	command_submit(&lazy, &w->client, TUR, false);
	lazy.cmd.timeout_ns = 50 * NS_PER_MS;
	command_wait(&lazy);
	assert_int_equal(lazy.cmd.error, -ETIMEDOUT);
	assert_int_equal(w->client.n_down, 1); /* ABORT TASK was enough */
	logout(w);
}

/* What waits for a free task is not sent when its time is over. */
static void a_command_that_waited_too_long_is_not_sent(void **state)
{
	struct world *w = *state;
	struct command first, second;

	w->client.cfg.n_commands = 1;
	start_up(w);
	w->fake.no_scsi_answer = true;
	command_submit(&first, &w->client, 0xc0, false);
	first.cmd.timeout_ns = 100 * NS_PER_MS;
	command_submit(&second, &w->client, 0xc1, false);
	second.cmd.timeout_ns = 50 * NS_PER_MS;
	command_wait(&first);
	command_wait(&second);
	assert_int_equal(first.cmd.error, -ETIMEDOUT);
	assert_int_equal(second.cmd.error, -ETIMEDOUT);
	assert_int_equal(w->fake.n_scsi, 1);
	logout(w);
}

static void once_means_once(void **state)
{
	struct world *w = *state;
	struct command c;

	start_up(w);
	w->fake.no_scsi_answer = true;
	command_submit(&c, &w->client, TUR, false);
	c.cmd.once = true;
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	fake_drop(&w->fake, false);
	command_wait(&c);
	assert_int_equal(c.cmd.error, -EIO);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	pause_ns(w->loop, 20 * NS_PER_MS);
	assert_int_equal(w->fake.n_scsi, 1);
	logout(w);
}

static void silence_is_noticed(void **state)
{
	struct world *w = *state;

	w->client.cfg.session.nop_interval_ns = 50 * NS_PER_MS;
	w->client.cfg.session.nop_timeout_ns = 50 * NS_PER_MS;
	start_up(w);
	pause_ns(w->loop, 250 * NS_PER_MS);
	assert_int_equal(w->client.n_down, 0);
	w->fake.no_nop_answer = true;
	WAIT_FOR(w->loop, w->client.n_down == 1);
	w->fake.no_nop_answer = false;
	WAIT_FOR(w->loop, client_state(&w->client) == INITIATOR_UP);
	logout(w);
}

static void attempts_are_told_once_per_change(void **state)
{
	struct world *w = *state;
	unsigned n_accepts;

	start_up(w);
	/* Refused by TCP, many times. */
	fake_deaf(&w->fake, true);
	fake_drop(&w->fake, false);
	pause_ns(w->loop, 1200 * NS_PER_MS);
	assert_int_equal(w->client.n_down, 1);
	assert_int_equal(w->client.n_notes, 1);
	/* Another reason is news, once. */
	w->fake.mode = FAKE_STATUS;
	w->fake.status = 0x0301;
	fake_deaf(&w->fake, false);
	n_accepts = w->fake.n_accepts;
	WAIT_FOR(w->loop, w->fake.n_accepts == n_accepts + 13);
	assert_int_equal(w->client.n_notes, 2);
	assert_int_equal(w->client.n_down, 1);
	w->fake.mode = FAKE_GOOD;
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	logout(w);
}

static void pauses_grow_up_to_a_bound(void **state)
{
	struct world *w = *state;
	unsigned n_accepts;

	start_up(w);
	w->fake.mode = FAKE_CLOSE;
	n_accepts = w->fake.n_accepts;
	fake_drop(&w->fake, false);
	pause_ns(w->loop, 1000 * NS_PER_MS);
	/* 20, 40, 80, 100, 100, … ms, each a quarter more or less: 11 of them, not 50. */
	assert_in_range(w->fake.n_accepts - n_accepts, 4, 16);
	w->fake.mode = FAKE_GOOD;
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	logout(w);
}

static void time2wait_is_kept(void **state)
{
	struct world *w = *state;

	start_up(w);
	fake_async(&w->fake, ASYNC_SESSION_DROP, 0, 1, 0);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_true(w->client.verify_ns - w->client.down_ns >= NS_PER_S);
	logout(w);
}

/* ---- the target wants us to leave -------------------------------------- */

static void logout_on_request_lets_commands_end(void **state)
{
	struct world *w = *state;
	struct command first, second, queued, later;

	w->fake.window = 2;
	start_up(w);
	w->client.hold_verify = true;
	w->fake.no_scsi_answer = true;
	command_submit(&first, &w->client, 0xc0, false);
	command_submit(&second, &w->client, 0xc1, false);
	second.cmd.once = true;                           /* would fail if it were cut off */
	command_submit(&queued, &w->client, 0xc2, false); /* with the engine, for want of window */
	WAIT_FOR(w->loop, w->fake.n_scsi == 2);
	fake_async(&w->fake, ASYNC_LOGOUT_REQUEST, 0, 0, 10);
	pause_ns(w->loop, 50 * NS_PER_MS);
	command_submit(&later, &w->client, 0xc3, false);
	fake_answer(&w->fake, 1); /* opens the window, but nothing new may go */
	command_wait(&first);
	pause_ns(w->loop, 50 * NS_PER_MS);
	assert_int_equal(w->fake.n_logouts, 0);
	assert_int_equal(w->fake.n_scsi, 2);
	w->fake.no_scsi_answer = false;
	fake_answer(&w->fake, 1);
	WAIT_FOR(w->loop, w->client.n_down == 1);
	assert_int_equal(w->fake.n_logouts, 1);
	assert_int_equal(second.n_done, 1);
	assert_int_equal(second.cmd.error, 0);
	assert_int_equal(w->fake.n_scsi, 2);
	WAIT_FOR(w->loop, w->client.n_verify == 1);
	assert_int_equal(queued.n_done + later.n_done, 0);
	initiator_release(w->client.initiator);
	command_wait(&queued);
	command_wait(&later);
	assert_int_equal(queued.cmd.error, 0);
	assert_int_equal(later.cmd.error, 0);
	logout(w);
	assert_int_equal(w->fake.n_logouts, 2);
}

static void logout_on_request_does_not_wait_for_ever(void **state)
{
	struct world *w = *state;
	struct command stuck;

	start_up(w);
	w->fake.no_scsi_answer = true;
	w->fake.no_logout_answer = true;
	w->client.cfg.session.logout_timeout_ns = NS_PER_S;
	command_submit(&stuck, &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 1);
	fake_async(&w->fake, ASYNC_LOGOUT_REQUEST, 0, 0, 1);
	WAIT_FOR(w->loop, w->fake.n_logouts == 1);
	assert_int_equal(stuck.n_done, 0);
	/* The target goes without an answer; we come back, and the command with us. */
	w->fake.no_scsi_answer = false;
	fake_drop(&w->fake, false);
	command_wait(&stuck);
	assert_int_equal(stuck.cmd.error, 0);
	w->fake.no_logout_answer = false;
	logout(w);
}

/* ---- the end ----------------------------------------------------------- */

static void a_logout_without_answer_ends(void **state)
{
	struct world *w = *state;

	w->client.cfg.session.logout_timeout_ns = 100 * NS_PER_MS;
	start_up(w);
	w->fake.no_logout_answer = true;
	logout(w);
	assert_int_equal(w->fake.n_logouts, 1);
}

static void after_a_logout_time2wait_is_kept(void **state)
{
	struct world *w = *state;
	uint64_t before;

	start_up(w);
	w->fake.logout_time2wait = 1;
	before = clock_now_ns();
	logout(w);
	assert_true(clock_now_ns() - before >= NS_PER_S);
}

static void logout_cancels_what_is_left(void **state)
{
	struct world *w = *state;
	struct command c[40];

	w->client.cfg.n_commands = 8;
	start_up(w);
	w->fake.no_scsi_answer = true;
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++)
		command_submit(&c[k], &w->client, TUR, false);
	WAIT_FOR(w->loop, w->fake.n_scsi == 8);
	initiator_logout(w->client.initiator);
	client_end(&w->client);
	for (unsigned k = 0; k < ARRAY_SIZE(c); k++) {
		assert_int_equal(c[k].n_done, 1);
		assert_int_equal(c[k].cmd.error, -ECANCELED);
	}
	assert_int_equal(w->fake.n_logouts, 1);
}

enum end_state {
	END_NEW,
	END_CONNECTING,
	END_LOGGING_IN,
	END_UP,
	END_LOGGING_OUT,
	END_DOWN,
	END_RECONNECTING,
	END_VERIFYING,
	END_N,
};

static void reach(struct world *w, enum end_state s, struct full_port *full)
{
	struct client *c = &w->client;

	c->hold_verify = true;
	if (s == END_CONNECTING)
		c->cfg.addr[0] = full->addr;
	if (s == END_LOGGING_IN)
		w->fake.mode = FAKE_SILENT;
	switch (s) {
	case END_NEW: assert_int_equal(initiator_new(&c->initiator, &c->cfg), 0); break;
	case END_CONNECTING:
		client_start(c);
		pause_ns(w->loop, 10 * NS_PER_MS);
		assert_int_equal(client_state(c), INITIATOR_CONNECTING);
		break;
	case END_LOGGING_IN:
		client_start(c);
		WAIT_FOR(w->loop, client_state(c) == INITIATOR_LOGGING_IN);
		break;
	case END_UP: start_up(w); break;
	case END_LOGGING_OUT:
		start_up(w);
		w->fake.no_logout_answer = true;
		break;
	case END_DOWN:
		start_up(w);
		fake_deaf(&w->fake, true);
		fake_drop(&w->fake, false);
		WAIT_FOR(w->loop, client_state(c) == INITIATOR_DOWN);
		break;
	case END_RECONNECTING:
		start_up(w);
		w->fake.mode = FAKE_SILENT;
		fake_drop(&w->fake, false);
		WAIT_FOR(w->loop, client_state(c) == INITIATOR_LOGGING_IN);
		break;
	case END_VERIFYING:
		start_up(w);
		fake_drop(&w->fake, false);
		WAIT_FOR(w->loop, client_state(c) == INITIATOR_VERIFYING);
		break;
	case END_N: break;
	}
}

static void ended_in_every_state(struct world *w, bool logout_first)
{
	struct full_port full;
	struct command c, probe, late;

	full_port_open(&full);
	for (enum end_state s = END_NEW; s < END_N; s++) {
		w->fake.mode = FAKE_GOOD;
		w->fake.no_scsi_answer = true;
		w->fake.no_logout_answer = false;
		fake_deaf(&w->fake, false);
		client_init(&w->client, w->loop, &w->fake.addr);
		reach(w, s, &full);
		command_submit(&c, &w->client, TUR, false);
		command_submit(&probe, &w->client, TUR, true);
		if (s == END_LOGGING_OUT) {
			initiator_logout(w->client.initiator);
			pause_ns(w->loop, 10 * NS_PER_MS);
			assert_false(w->client.closed);
		}
		if (logout_first && s != END_LOGGING_OUT)
			initiator_logout(w->client.initiator);
		else
			initiator_close(w->client.initiator);
		assert_false(w->client.closed);
		assert_int_equal(client_state(&w->client), INITIATOR_CLOSING);
		command_submit(&late, &w->client, TUR, false);
		client_end(&w->client);
		assert_int_equal(c.cmd.error, -ECANCELED);
		assert_int_equal(probe.cmd.error, -ECANCELED);
		assert_int_equal(late.cmd.error, -ECANCELED);
		assert_int_equal(c.n_done + probe.n_done + late.n_done, 3);
		assert_int_equal(w->client.n_failed, 0);
		fake_drop(&w->fake, false);
	}
	full_port_close(&full);
}

static void closed_in_every_state(void **state)
{
	ended_in_every_state(*state, false);
}

static void logged_out_in_every_state(void **state)
{
	ended_in_every_state(*state, true);
}

/* The close comes when the socket is ready already, and the loop has not told us yet. */
static void closed_at_the_moment_of_connecting(void **state)
{
	struct world *w = *state;

	client_start(&w->client);
	assert_int_equal(loop_turn(w->loop, 0), 0);
	assert_int_equal(client_state(&w->client), INITIATOR_CONNECTING);
	initiator_close(w->client.initiator);
	client_end(&w->client);
	assert_int_equal(w->client.n_up + w->client.n_failed, 0);
	WAIT_FOR(w->loop, w->fake.n_ends == 1);
	assert_int_equal(w->fake.n_logins, 0);
}

/* An owner that answers each failed command with a new one does not keep the session. */
static unsigned n_stubborn;

static void stubborn_done(struct scsi_cmd *cmd)
{
	struct command *c = cmd->user;

	assert_int_equal(cmd->error, n_stubborn < 3 && cmd->error == 0 ? 0 : -ECANCELED);
	if (n_stubborn++ < 10)
		initiator_path_ops.submit(c->client->initiator, cmd);
	else
		c->n_done = 1;
	if (n_stubborn == 3)
		initiator_close(c->client->initiator);
}

static void commands_submitted_by_done_during_the_end(void **state)
{
	struct world *w = *state;
	struct command c;

	n_stubborn = 0;
	start_up(w);
	command_submit(&c, &w->client, TUR, false);
	c.cmd.done = stubborn_done;
	client_end(&w->client);
	assert_int_equal(c.n_done, 1);
	assert_int_equal(n_stubborn, 11);
}

static void bad_configurations(void **state)
{
	struct world *w = *state;
	struct initiator *i = NULL;
	struct initiator_cfg cfg = w->client.cfg;

	cfg.n_addrs = 0;
	assert_int_equal(initiator_new(&i, &cfg), -EINVAL);
	cfg.n_addrs = INITIATOR_MAX_ADDRS + 1;
	assert_int_equal(initiator_new(&i, &cfg), -EINVAL);
	cfg = w->client.cfg;
	cfg.n_commands = 4097;
	assert_int_equal(initiator_new(&i, &cfg), -EINVAL);
	cfg = w->client.cfg;
	cfg.session.target_name = NULL;
	assert_int_equal(initiator_new(&i, &cfg), -EINVAL);
	cfg = w->client.cfg;
	cfg.ops = NULL;
	assert_int_equal(initiator_new(&i, &cfg), -EINVAL);
	assert_null(i);
	assert_null(initiator_free(NULL));
}

/* ---- with a reactor ---------------------------------------------------- */

struct reactor {
	struct loop *loop;
	struct fake fake;
	struct initiator *initiator;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned n_up;
	bool closed;
};

static void reactor_up(void *user)
{
	struct reactor *r = user;

	pthread_mutex_lock(&r->lock);
	r->n_up++;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void reactor_failed(void *user, const struct initiator_failure *f)
{
	fail_msg("%s", f->text);
}

static void reactor_closed(void *user)
{
	struct reactor *r = user;

	pthread_mutex_lock(&r->lock);
	r->closed = true;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static const struct initiator_ops reactor_ops = {
	.up = reactor_up,
	.failed = reactor_failed,
	.closed = reactor_closed,
};

static void *reactor_main(void *arg)
{
	struct reactor *r = arg;

	assert_int_equal(loop_run(r->loop), 0);
	return NULL;
}

static void call_start(void *arg)
{
	initiator_start(((struct reactor *)arg)->initiator);
}

static void call_logout(void *arg)
{
	initiator_logout(((struct reactor *)arg)->initiator);
}

static void call_fake_start(void *arg)
{
	struct reactor *r = arg;

	fake_start(&r->fake, r->loop);
}

static void call_fake_stop(void *arg)
{
	fake_stop(&((struct reactor *)arg)->fake);
}

/* Freed by another thread the moment closed() has come. */
static void freed_by_another_thread(void **state)
{
	struct world *w = *state;
	struct reactor r = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	struct initiator_cfg cfg = w->client.cfg;

	assert_int_equal(loop_new(&r.loop), 0);
	assert_int_equal(pthread_create(&r.thread, NULL, reactor_main, &r), 0);
	loop_call(r.loop, call_fake_start, &r);
	cfg.loop = r.loop;
	cfg.ops = &reactor_ops;
	cfg.user = &r;
	cfg.addr[0] = r.fake.addr;
	for (unsigned k = 1; k <= 20; k++) {
		r.closed = false;
		assert_int_equal(initiator_new(&r.initiator, &cfg), 0);
		loop_call(r.loop, call_start, &r);
		pthread_mutex_lock(&r.lock);
		while (r.n_up < k)
			pthread_cond_wait(&r.changed, &r.lock);
		pthread_mutex_unlock(&r.lock);
		loop_call(r.loop, call_logout, &r);
		pthread_mutex_lock(&r.lock);
		while (!r.closed)
			pthread_cond_wait(&r.changed, &r.lock);
		pthread_mutex_unlock(&r.lock);
		assert_null(initiator_free(r.initiator));
	}
	loop_call(r.loop, call_fake_stop, &r);
	loop_stop(r.loop);
	pthread_join(r.thread, NULL);
	assert_null(loop_free(r.loop));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(login_and_logout),
		T(results_of_commands),
		T(more_commands_than_tasks),
		T(commands_before_the_login_wait_for_it),
		T(text_request),
		T(nothing_listens),
		T(login_fails_at_each_step),
		T(login_status_is_told),
		T(the_first_login_is_bounded_as_a_whole),
		T(connecting_is_bounded),
		T(each_address_is_tried),
		T(of_several_failures_the_furthest_is_told),
		T(redirected_temporarily),
		T(redirected_permanently),
		T(redirected_permanently_then_temporarily),
		T(redirects_in_a_circle),
		T(too_many_redirects),
		T(redirects_that_cannot_be_followed),
		T(commands_under_way_are_sent_again_in_order),
		T(only_probes_pass_until_the_release),
		T(cancelled_while_held_is_never_sent),
		T(lost_again_while_verifying),
		T(commands_fail_when_the_hold_is_over),
		T(the_hold_ends_during_verification_too),
		T(time_stands_still_while_commands_are_held),
		T(a_command_that_waited_too_long_is_not_sent),
		T(once_means_once),
		T(silence_is_noticed),
		T(attempts_are_told_once_per_change),
		T(pauses_grow_up_to_a_bound),
		T(time2wait_is_kept),
		T(logout_on_request_lets_commands_end),
		T(logout_on_request_does_not_wait_for_ever),
		T(a_logout_without_answer_ends),
		T(after_a_logout_time2wait_is_kept),
		T(logout_cancels_what_is_left),
		T(closed_in_every_state),
		T(logged_out_in_every_state),
		T(closed_at_the_moment_of_connecting),
		T(commands_submitted_by_done_during_the_end),
		T(bad_configurations),
		T(freed_by_another_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
