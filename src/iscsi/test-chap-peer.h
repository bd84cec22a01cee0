/* SPDX-License-Identifier: MIT */
/* The target's side of CHAP, for conversations with the engine. */
#ifndef ISCSI_TEST_CHAP_PEER_H
#define ISCSI_TEST_CHAP_PEER_H

#include "iscsi/test-login.h"

#define CHAP_NAME        "alice"
#define CHAP_SECRET      "alicesecret12"
#define CHAP_PEER_SECRET "targetsecret9"

/* The challenge that chap_challenge() sends when nothing else is said. */
#define CHAP_HIS_ID  39
#define CHAP_HIS_HEX "0x000102030405060708090a0b0c0d0e0f"

/* A peer whose initiator has secrets; the random bytes count up, over all logins. */
void chap_peer(struct peer *p, bool mutual);
extern uint8_t chap_random_next;

/* Answers @u with @text; moves on where it asks to when @moves. */
void chap_say(struct peer *p, const struct seen *u, bool moves, const char *text, size_t n);
#define CHAP_SAY(p, u, moves, text) chap_say(p, u, moves, text, sizeof(text) - 1)

/* A connection, up to the request with CHAP_A; to the one with CHAP_R. */
const struct seen *chap_begin(struct peer *p);
const struct seen *chap_begin_answer(struct peer *p, const char *hash);
/* The same on a connection that is started already. */
const struct seen *chap_to_hashes(struct peer *p);
const struct seen *chap_to_answer(struct peer *p, const char *hash);
/* Is the CHAP_R of @u right for this challenge? */
void chap_check(const struct seen *u, uint8_t hash, uint8_t id, const void *challenge, size_t n);
/* CHAP_N and CHAP_R of the target, right in all but what is told; returns the bytes. */
struct chap_proof {
	const char *secret; /* NULL: CHAP_PEER_SECRET */
	const char *name;   /* NULL: "target" */
	size_t n_cut;       /* bytes less */
	int flip;           /* this bit is wrong, -1: none */
};
size_t chap_prove(const struct seen *u, uint8_t hash, const struct chap_proof *how, char *text);
/* The rest, to full feature phase. */
void chap_finish(struct peer *p);

/* Authentication has failed: one event with status 0201, and @why in its text. */
void chap_expect_refused(struct peer *p, const char *why);
void chap_expect_violation(struct peer *p, const char *why);

#endif
