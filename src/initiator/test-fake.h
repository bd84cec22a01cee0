/* SPDX-License-Identifier: MIT */
/*
 * A target that behaves as a test wants it to
 *
 * Runs on a loop, its own or that of the initiator under test. It can log in
 * sessions and answer commands without data; what it refuses, garbles or never
 * answers is set by the fields below, at any time.
 */
#ifndef INITIATOR_TEST_FAKE_H
#define INITIATOR_TEST_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/loop.h"
#include "io/tcp.h"

enum fake_mode {
	FAKE_GOOD,
	FAKE_SILENT,      /* takes the connection, says nothing */
	FAKE_CLOSE,       /* takes it and closes it */
	FAKE_RESET,       /* closes it with a reset */
	FAKE_GARBAGE,     /* sends what is no PDU */
	FAKE_HUGE,        /* sends a header that announces 16 MiB */
	FAKE_STATUS,      /* answers the login with ->status and ->status_text */
	FAKE_HALF_LOGIN,  /* answers the security stage, then says nothing */
	FAKE_CLOSE_LOGIN, /* answers the security stage, then closes */
};

struct fake {
	struct loop *loop;
	struct loop_fd listener;
	struct list conns;
	struct tcp_addr addr;

	enum fake_mode mode;
	uint16_t status;
	const char *status_text; /* "key=value", NULL: none */
	bool no_logout_answer, no_nop_answer;
	bool no_scsi_answer; /* until fake_answer() */
	unsigned window;     /* commands it takes at a time; 0: 64 */
	uint16_t logout_time2wait;
	const char *text; /* answer to a Text request; NULL: none */
	size_t n_text;
	uint8_t scsi_response, scsi_status;
	bool reject_scsi;
	unsigned max_connections; /* of a session; 0: 1 */
	uint16_t join_status;     /* answer to the login of a further connection; 0: it may */
	bool no_join_answer;
	uint16_t no_nop_cid; /* no answer to a ping on that connection */

	/* what happened */
	unsigned n_accepts, n_logins, n_logouts, n_scsi, n_ends;
	uint8_t last_opcode[64]; /* CDB byte 0 of the commands, in order, modulo 64 */
	uint64_t last_login_ns;
	char asked[256]; /* text of the last Text request */
	uint8_t last_isid[6];
	uint16_t last_tsih;
	uint16_t last_cid, last_logout_cid;
	uint8_t last_logout_reason;
	uint32_t expcmdsn; /* of the session; there is one at a time */
};

void fake_start(struct fake *f, struct loop *loop);
void fake_stop(struct fake *f);
/* Ends all connections, politely or with a reset. */
void fake_drop(struct fake *f, bool reset);
/* The same for one of a session. */
void fake_drop_cid(struct fake *f, uint16_t cid, bool reset);
bool fake_has_cid(const struct fake *f, uint16_t cid);
/* Commands that have come on it. */
unsigned fake_n_scsi(const struct fake *f, uint16_t cid);
/* Listens no longer, or again on the same port. */
void fake_deaf(struct fake *f, bool deaf);
/* An asynchronous message on every connection that is logged in, or on one. */
void fake_async(struct fake *f, uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3);
void fake_async_cid(struct fake *f, uint16_t cid, uint8_t event, uint16_t p3);
/* Answers at most @n of the commands that have been left without an answer, the oldest first. */
void fake_answer(struct fake *f, unsigned n);
unsigned fake_n_conns(const struct fake *f);

#endif
