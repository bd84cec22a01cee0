/* SPDX-License-Identifier: MIT */
/*
 * An initiator and what it has told, for tests
 */
#include "initiator/test-client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void on_up(void *user)
{
	struct client *c = user;

	assert_false(c->closed);
	c->n_up++;
}

static void on_failed(void *user, const struct initiator_failure *f)
{
	struct client *c = user;

	assert_false(c->closed);
	c->failure = *f;
	c->n_failed++;
}

static void on_down(void *user, const char *why)
{
	struct client *c = user;

	assert_false(c->closed);
	c->n_down++;
	c->down_ns = loop_now_ns(c->loop);
	snprintf(c->last_down, sizeof(c->last_down), "%s", why);
}

static void on_connection(void *user, unsigned number, bool up, const char *why)
{
	struct client *c = user;

	assert_false(c->closed);
	assert_true(number > 0);
	if (up) {
		c->n_conn_up++;
		return;
	}
	c->n_conn_down++;
	snprintf(c->last_conn_down, sizeof(c->last_conn_down), "%s", why);
}

static void on_verify(void *user)
{
	struct client *c = user;

	assert_false(c->closed);
	c->n_verify++;
	c->verify_ns = loop_now_ns(c->loop);
	if (!c->hold_verify)
		initiator_release(c->initiator);
}

static void on_expired(void *user)
{
	struct client *c = user;

	assert_false(c->closed);
	c->n_expired++;
}

static void on_note(void *user, const char *text)
{
	struct client *c = user;

	assert_false(c->closed);
	c->n_notes++;
	snprintf(c->last_note, sizeof(c->last_note), "%s", text);
}

static int on_resolve(void *user, unsigned number, const char *host, uint16_t port)
{
	struct client *c = user;

	assert_false(c->closed);
	c->n_asked++;
	c->asked_number = number;
	snprintf(c->asked_name, sizeof(c->asked_name), "%s", host);
	c->asked_port = port;
	return c->resolve_error;
}

static void on_closed(void *user)
{
	struct client *c = user;

	assert_false(c->closed);
	c->closed = true;
}

static const struct initiator_ops ops = {
	.up = on_up,
	.failed = on_failed,
	.down = on_down,
	.connection = on_connection,
	.verify = on_verify,
	.hold_expired = on_expired,
	.note = on_note,
	.closed = on_closed,
};
static struct initiator_ops ops_with_names;

void client_init(struct client *c, struct loop *loop, const struct tcp_addr *to)
{
	*c = (struct client){
		.loop = loop,
		.cfg =
			{
				.loop = loop,
				.session =
					{
						.initiator_name = "iqn.2026-01.test:initiator",
						.target_name = "iqn.2026-01.test.tgt:disk",
						.isid = {0x80, 1, 2, 3, 4, 5},
						.first_cmdsn = UINT32_MAX - 3, /* wraps soon */
						.login_timeout_ns = 5 * NS_PER_S,
						.logout_timeout_ns = 5 * NS_PER_S,
					},
				.n_addrs = 1,
				.connect_timeout_ns = 5 * NS_PER_S,
				.first_login_timeout_ns = 10 * NS_PER_S,
				.hold_ns = 60 * NS_PER_S,
				.retry_min_ns = 20 * NS_PER_MS,
				.retry_max_ns = 100 * NS_PER_MS,
				.n_commands = 32,
				.ops = &ops,
				.user = c,
			},
	};
	c->cfg.addr[0] = *to;
	iscsi_params_default_offer(&c->cfg.session.offer);
	c->cfg.session.offer.DefaultTime2Wait = 0;
}

void client_start(struct client *c)
{
	if (c->names) {
		ops_with_names = ops;
		ops_with_names.resolve = on_resolve;
		c->cfg.ops = &ops_with_names;
	}
	assert_int_equal(initiator_new(&c->initiator, &c->cfg), 0);
	initiator_start(c->initiator);
	assert_int_equal(c->n_up + c->n_failed, 0);
}

void client_end(struct client *c)
{
	struct initiator_status s;

	WAIT_FOR(c->loop, c->closed);
	initiator_get_status(c->initiator, &s);
	assert_int_equal(s.state, INITIATOR_CLOSED);
	assert_int_equal(s.n_up, 0);
	assert_int_equal(s.n_commands, 0);
	c->initiator = initiator_free(c->initiator);
}

enum initiator_state client_state(const struct client *c)
{
	struct initiator_status s;

	initiator_get_status(c->initiator, &s);
	return s.state;
}

struct initiator_connection client_conn(const struct client *c, unsigned number)
{
	struct initiator_status s;

	initiator_get_status(c->initiator, &s);
	for (unsigned k = 0; k < s.n_connections; k++)
		if (s.connection[k].number == number)
			return s.connection[k];
	return (struct initiator_connection){.state = INITIATOR_CONN_DOWN};
}

unsigned client_n_up(const struct client *c)
{
	struct initiator_status s;

	initiator_get_status(c->initiator, &s);
	return s.n_up;
}

static void on_text(void *user, int error, const char *text, size_t n)
{
	struct client *c = user;

	c->text_done = true;
	c->text_error = error;
	c->n_text = 0;
	if (error)
		return;
	assert_true(n <= sizeof(c->text));
	memcpy(c->text, text, n);
	c->n_text = n;
}

void client_text(struct client *c, const char *text)
{
	c->text_done = false;
	assert_int_equal(initiator_text(c->initiator, text, strlen(text) + 1, on_text), 0);
	assert_false(c->text_done);
}

static void command_done(struct scsi_cmd *cmd)
{
	struct command *c = cmd->user;

	assert_false(c->submitting);
	assert_false(c->client->closed);
	assert_true(loop_is_own_thread(c->client->loop));
	c->n_done++;
	assert_int_equal(c->n_done, 1);
}

void command_submit(struct command *c, struct client *client, uint8_t opcode, bool probe)
{
	*c = (struct command){.client = client};
	c->cmd.cdb[0] = opcode;
	c->cmd.n_cdb = 6;
	c->cmd.probe = probe;
	c->cmd.done = command_done;
	c->cmd.user = c;
	if (opcode == 0x12) {
		c->cmd.dir = SCSI_DIR_READ;
		c->cmd.cdb[4] = 36;
		c->cmd.n_data = 36;
		c->iov[0] = (struct iovec){c->data, 36};
		c->cmd.iov = c->iov;
		c->cmd.n_iov = 1;
	}
	c->submitting = true;
	initiator_path_ops.submit(client->initiator, &c->cmd);
	c->submitting = false;
}

void command_wait(struct command *c)
{
	WAIT_FOR(c->client->loop, c->n_done == 1);
}
