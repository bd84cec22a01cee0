/* SPDX-License-Identifier: MIT */
/*
 * A target's keys against CHAP. The first byte chooses how we are configured; the rest
 * are responses, each ended by a line feed, of key=value pairs ended by NUL.
 *
 * What we say must be text; a login that comes to its end must have been proved where
 * we require it, and of that no input can be capable: the target's answer depends on a
 * secret that is in no input.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/chap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void counting(void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)bytes)[i] = (uint8_t)(0xa0 + i);
}

static void check_said(const struct chap *c, const struct text *t, enum chap_state before)
{
	char *copy, *at;
	size_t n = t->n;
	const char *key, *value;
	int r;

	assert(!t->failed);
	if (!n)
		return;
	at = copy = malloc(n);
	assert(copy);
	memcpy(copy, t->bytes, n);
	while ((r = text_next(&at, &n, &key, &value)) > 0) {
		uint8_t bytes[CHAP_HASH_MAX];
		size_t n_bytes;

		assert(chap_is_key(key));
		if (strcmp(key, "CHAP_A") == 0)
			assert(before == CHAP_OFFERED);
		else
			assert(before == CHAP_HASHES);
		if (strcmp(key, "CHAP_R") && strcmp(key, "CHAP_C"))
			continue;
		assert(chap_decode(value, bytes, sizeof(bytes), &n_bytes) == 0);
		assert(n_bytes == chap_hash_size(c->hash));
	}
	assert(r == 0);
	free(copy);
}

/* One response. Return: 0; the login goes on. */
static int respond(struct chap *c, char *text, size_t n)
{
	enum chap_state before = c->state;
	struct text out = {0};
	const char *key, *value;
	int r = 0, more;

	while ((more = text_next(&text, &n, &key, &value)) > 0) {
		if (strcmp(key, "AuthMethod") == 0)
			r = chap_on_method(c, value);
		else if (chap_is_key(key))
			r = chap_on_key(c, key, value);
		if (r)
			break;
	}
	if (!r && more < 0)
		r = -EPROTO;
	else if (!r)
		r = chap_step(c, &out);
	if (!r) {
		check_said(c, &out, before);
		assert(c->state == before || c->state == before + 1 || c->waived);
	} else if (more >= 0) {
		assert(r == -EPROTO || r == -EACCES);
		assert(c->why[0] && strlen(c->why) < sizeof(c->why));
	}
	text_clear(&out);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct iscsi_auth auth = {
		.name = (const uint8_t *)"name",
		.n_name = 4,
		.secret = (const uint8_t *)"secret of ours",
		.n_secret = 14,
		.peer_secret = (const uint8_t *)"secret of the target",
		.n_peer_secret = 20,
		.random = counting,
	};
	struct chap_memory memory = {0};
	struct chap c;
	char *copy;
	int r = 0;

	if (size < 1)
		return 0;
	auth.required = data[0] & 1;
	auth.mutual = data[0] & 2;
	auth.allow_md5 = data[0] & 4;
	memory.no_sha256 = data[0] & 8;
	if (data[0] & 16) { /* our own challenge has been said before */
		counting(memory.challenge[3], CHAP_HASH_MAX);
		memory.n[3] = CHAP_HASH_MAX;
	}
	if (data[0] & 32)
		auth = (struct iscsi_auth){0};
	chap_init(&c, &auth, &memory);
	assert(chap_may_move(&c) == !auth.n_secret);
	copy = malloc(size);
	assert(copy);
	memcpy(copy, data + 1, size - 1);
	for (size_t at = 0; at < size - 1 && !r;) {
		char *end = memchr(copy + at, '\n', size - 1 - at);
		size_t n = end ? (size_t)(end - (copy + at)) : size - 1 - at;

		r = respond(&c, copy + at, n);
		at += n + 1;
	}
	if (!r && c.state == CHAP_OVER) {
		assert(!auth.mutual);
		assert(!(auth.required && c.waived));
	}
	assert(chap_refused_text(&c)[0]);
	chap_clear(&c);
	free(copy);
	return 0;
}
