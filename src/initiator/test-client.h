/* SPDX-License-Identifier: MIT */
/*
 * An initiator and what it has told, for tests
 *
 * WAIT_FOR turns the loop until a condition holds; the test fails when that takes
 * longer than anything here may.
 */
#ifndef INITIATOR_TEST_CLIENT_H
#define INITIATOR_TEST_CLIENT_H

#include "initiator/initiator.h"

#define PATIENCE_NS (20 * NS_PER_S)

#define WAIT_FOR(loop, condition)                                            \
	do {                                                                 \
		uint64_t end_ = clock_now_ns() + PATIENCE_NS;                \
		while (!(condition)) {                                       \
			if (clock_now_ns() > end_)                           \
				fail_msg("never came true: %s", #condition); \
			assert_int_equal(loop_turn(loop, end_), 0);          \
		}                                                            \
	} while (0)

struct client {
	struct loop *loop;
	struct initiator *initiator;
	struct initiator_cfg cfg;

	bool hold_verify;  /* verify() does not release by itself */
	bool names;        /* may be asked for; the test answers */
	int resolve_error; /* what resolve() returns */
	unsigned n_asked, asked_number;
	char asked_name[256];
	uint16_t asked_port;

	unsigned n_conn_up, n_conn_down;
	char last_conn_down[256];
	unsigned n_up, n_failed, n_down, n_verify, n_expired, n_notes;
	bool closed;
	struct initiator_failure failure;
	char last_down[256], last_note[512];
	uint64_t down_ns, verify_ns;

	/* of the last text request */
	bool text_done;
	int text_error;
	char text[1024];
	size_t n_text;
};

/* Configuration with short times; the caller changes what it likes before client_start(). */
void client_init(struct client *c, struct loop *loop, const struct tcp_addr *to);
void client_start(struct client *c);
/* Waits for closed() and frees. */
void client_end(struct client *c);
enum initiator_state client_state(const struct client *c);
/* A connection by its number; one that is DOWN when there is none. */
struct initiator_connection client_conn(const struct client *c, unsigned number);
unsigned client_n_up(const struct client *c);
void client_text(struct client *c, const char *text);

/* One command with room for its data. */
struct command {
	struct scsi_cmd cmd;
	struct iovec iov[1];
	uint8_t data[512];
	unsigned n_done;
	bool submitting;
	struct client *client;
};

void command_submit(struct command *c, struct client *client, uint8_t opcode, bool probe);
void command_wait(struct command *c);

#endif
