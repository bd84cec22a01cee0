/* SPDX-License-Identifier: MIT */
/*
 * CHAP in a login (RFC 7143 §12.1.3, RFC 1994)
 *
 *	us                                      the target
 *	AuthMethod=CHAP                     ->
 *	                                    <-  AuthMethod=CHAP
 *	CHAP_A=8,7,6                        ->
 *	                                    <-  CHAP_A=7 CHAP_I=… CHAP_C=…
 *	CHAP_N=… CHAP_R=… [CHAP_I=… CHAP_C=…] ->    asks to move on
 *	                                    <-  [CHAP_N=… CHAP_R=…]
 *
 * One struct chap is one login's authentication: login.c hands it the keys of each
 * response and asks it for the next step when the response is whole. It holds a
 * challenge and the secrets' owner, and is wiped when the login is over.
 */
#ifndef ISCSI_CHAP_H
#define ISCSI_CHAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "iscsi/engine.h"
#include "iscsi/keys.h"

/* PPP authentication algorithms as IANA numbers them */
enum chap_hash {
	CHAP_MD5 = 5,
	CHAP_SHA1 = 6,
	CHAP_SHA256 = 7,
	CHAP_SHA3_256 = 8,
};

#define CHAP_HASH_MAX      32
#define CHAP_CHALLENGE_MAX 1024
#define CHAP_REMEMBERED    8

/*
 * What a session remembers. The challenges are ours, of every connection: none may come
 * back as the target's. An older generation of targets (tgt, IET, SCST) knows SHA-1 by the
 * number 7, which is SHA-256's, and finds our answer too long; then 7 is left out.
 */
struct chap_memory {
	bool no_sha256;
	uint8_t challenge[CHAP_REMEMBERED][CHAP_HASH_MAX];
	uint8_t n[CHAP_REMEMBERED];
	unsigned next;
};

enum chap_state {
	CHAP_NONE,     /* not configured */
	CHAP_OFFERED,  /* AuthMethod=CHAP has been said */
	CHAP_HASHES,   /* CHAP_A has */
	CHAP_ANSWERED, /* CHAP_N and CHAP_R have, and our challenge when mutual */
	CHAP_OVER,     /* proved, or not asked for by the target */
};

struct chap {
	const struct iscsi_auth *auth;
	struct chap_memory *memory;
	enum chap_state state;
	unsigned seen; /* keys of this response, a bit each */
	bool waived;   /* the target wants no authentication */
	bool chosen;   /* AuthMethod has been answered */
	uint8_t hash;  /* enum chap_hash */
	uint8_t id, my_id;
	uint8_t challenge[CHAP_CHALLENGE_MAX], mine[CHAP_HASH_MAX];
	size_t n_challenge, n_mine;
	char why[160]; /* after a failure */
};

void chap_init(struct chap *c, const struct iscsi_auth *auth, struct chap_memory *memory);
void chap_clear(struct chap *c); /* wipes */

bool chap_is_key(const char *key);
/* May the login leave the security stage after our next request? */
bool chap_may_move(const struct chap *c);
/*
 * The target's choice of a method; one of its CHAP keys; the end of a response, for
 * which @out gets what we say next.
 *
 * Return: 0; -EPROTO the target breaks the rules; -EACCES authentication failed
 * (c->why in both); -ENOMEM.
 */
int chap_on_method(struct chap *c, const char *value);
int chap_on_key(struct chap *c, const char *key, const char *value);
int chap_step(struct chap *c, struct text *out);

/* What a refusal of the target means now and what to do about it. */
const char *chap_refused_text(const struct chap *c);
/*
 * The target calls our request a mistake (status 0200). True: it may have meant another hash,
 * and the next login, which will leave that out, is worth trying; once in a session.
 */
bool chap_misread(struct chap *c);

/* Size of the hash's result; 0: not one of ours, or switched off in this system. */
size_t chap_hash_size(uint8_t hash);
/* hash(id, secret, challenge); as many bytes as chap_hash_size(). 0, -ENOMEM. */
int chap_response(uint8_t hash, uint8_t id, const uint8_t *secret, size_t n_secret,
		  const uint8_t *challenge, size_t n_challenge, uint8_t ret[CHAP_HASH_MAX]);
/*
 * A binary value: 0x and two digits a byte, or 0b and base64 (RFC 7143 §6.1). At least one
 * byte. 0; -EBADMSG not such a value; -EMSGSIZE longer than @room.
 */
int chap_decode(const char *value, uint8_t *ret, size_t room, size_t *ret_n);

#endif
