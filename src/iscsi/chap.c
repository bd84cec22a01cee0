/* SPDX-License-Identifier: MIT */
/*
 * CHAP in a login
 *
 * The target says which hash, and challenges; we answer, and when it has to prove
 * itself, too, challenge it in the same request. What it proves is checked against
 * the other secret, never against ours, and a challenge of ours that comes back as
 * the target's, on this connection or another of the session, is not answered.
 *
 * A key is taken in the one place where it belongs, once. Names are not compared
 * with anything: that the target knows the secret is what proves it.
 */
#include "iscsi/chap.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

enum chap_key {
	KEY_A,
	KEY_I,
	KEY_C,
	KEY_N,
	KEY_R,
	N_KEYS,
};

static const char *const key_names[] = {"CHAP_A", "CHAP_I", "CHAP_C", "CHAP_N", "CHAP_R"};

#define SEEN(key) (1u << (key))

/* ---- hashes ------------------------------------------------------------ */

struct hash {
	uint8_t number;
	uint8_t n;
	const EVP_MD *(*md)(void);
};

/* Strongest first: the order in which they are offered. */
static const struct hash hashes[] = {
	{CHAP_SHA3_256, 32, EVP_sha3_256},
	{CHAP_SHA256, 32, EVP_sha256},
	{CHAP_SHA1, 20, EVP_sha1},
	{CHAP_MD5, 16, EVP_md5},
};

static const struct hash *hash_of(uint32_t number)
{
	for (size_t i = 0; i < ARRAY_SIZE(hashes); i++)
		if (hashes[i].number == number)
			return &hashes[i];
	return NULL;
}

static void ctx_freep(EVP_MD_CTX **ctx)
{
	EVP_MD_CTX_free(*ctx); /* wipes what it holds */
}

int chap_response(uint8_t hash, uint8_t id, const uint8_t *secret, size_t n_secret,
		  const uint8_t *challenge, size_t n_challenge, uint8_t ret[CHAP_HASH_MAX])
{
	CLEANUP(ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const struct hash *h = hash_of(hash);

	if (!ctx || !h || !EVP_DigestInit_ex(ctx, h->md(), NULL) ||
	    !EVP_DigestUpdate(ctx, &id, 1) || !EVP_DigestUpdate(ctx, secret, n_secret) ||
	    !EVP_DigestUpdate(ctx, challenge, n_challenge) || !EVP_DigestFinal_ex(ctx, ret, NULL))
		return -ENOMEM;
	return 0;
}

size_t chap_hash_size(uint8_t hash)
{
	const struct hash *h = hash_of(hash);
	uint8_t result[CHAP_HASH_MAX] = {0};

	/* A system that is held to approved hashes has no MD5. */
	return h && chap_response(hash, 0, result, 0, result, 0, result) == 0 ? h->n : 0;
}

static bool is_offered(const struct chap *c, const struct hash *h)
{
	if (h->number == CHAP_MD5 && !c->auth->allow_md5)
		return false;
	if (h->number == CHAP_SHA256 && c->memory->no_sha256)
		return false;
	return chap_hash_size(h->number) != 0;
}

/* ---- binary values ----------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int hex_decode(const char *s, uint8_t *ret, size_t room, size_t *ret_n)
{
	size_t n = strlen(s);

	if (!n || n % 2)
		return -EBADMSG;
	if (n / 2 > room)
		return -EMSGSIZE;
	for (size_t i = 0; i < n; i += 2) {
		int high = hex_digit(s[i]), low = hex_digit(s[i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		ret[i / 2] = (uint8_t)(high << 4 | low);
	}
	*ret_n = n / 2;
	return 0;
}

static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int base64_decode(const char *s, uint8_t *ret, size_t room, size_t *ret_n)
{
	size_t n = strlen(s), n_digits = n, n_out = 0;
	uint32_t bits = 0;
	unsigned n_bits = 0;

	if (!n || n % 4)
		return -EBADMSG;
	while (n - n_digits < 2 && s[n_digits - 1] == '=')
		n_digits--;
	if (n_digits * 3 / 4 > room)
		return -EMSGSIZE;
	for (size_t i = 0; i < n_digits; i++) {
		int d = base64_digit(s[i]);

		if (d < 0)
			return -EBADMSG;
		bits = (bits << 6 | (uint32_t)d) & 0xfff;
		n_bits += 6;
		if (n_bits >= 8) {
			n_bits -= 8;
			ret[n_out++] = (uint8_t)(bits >> n_bits);
		}
	}
	/* One value has one form: the bits that are left over are zero. */
	if (bits & ((1u << n_bits) - 1))
		return -EBADMSG;
	*ret_n = n_out;
	return 0;
}

int chap_decode(const char *value, uint8_t *ret, size_t room, size_t *ret_n)
{
	if (value[0] != '0')
		return -EBADMSG;
	switch (value[1]) {
	case 'x':
	case 'X': return hex_decode(value + 2, ret, room, ret_n);
	case 'b':
	case 'B': return base64_decode(value + 2, ret, room, ret_n);
	default: return -EBADMSG;
	}
}

static void add_hex(struct text *out, const char *key, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * CHAP_HASH_MAX + 3] = "0x";

	for (size_t i = 0; i < n; i++) {
		hex[2 + 2 * i] = digits[bytes[i] >> 4];
		hex[3 + 2 * i] = digits[bytes[i] & 15];
	}
	hex[2 + 2 * n] = '\0';
	text_add(out, key, hex);
	explicit_bzero(hex, sizeof(hex));
}

/* ---- failures ---------------------------------------------------------- */

static int fail(struct chap *c, int error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Never quotes a value: a challenge and its answer are worth a guess to who reads the log. */
static int fail(struct chap *c, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	return error;
}

const char *chap_refused_text(const struct chap *c)
{
	switch (c->state) {
	case CHAP_NONE:
		return "authentication is required: log in with the CHAP name and secret that the "
		       "target knows";
	case CHAP_OFFERED: return "authentication failed: the target does not take CHAP";
	case CHAP_HASHES:
		return c->auth->allow_md5
			       ? "authentication failed: the target takes none of our CHAP hashes"
			       : "authentication failed: the target takes none of our CHAP hashes; "
				 "it may know only MD5, which is not allowed";
	case CHAP_ANSWERED:
	case CHAP_OVER: break;
	}
	return c->auth->mutual ? "authentication failed: the target does not accept this CHAP name "
				 "and secret, "
				 "or is not set up for mutual CHAP"
			       : "authentication failed: the target does not accept this CHAP name "
				 "and secret";
}

bool chap_misread(struct chap *c)
{
	if (c->state != CHAP_ANSWERED || c->hash != CHAP_SHA256 || c->memory->no_sha256)
		return false;
	c->memory->no_sha256 = true;
	return true;
}

/* ---- states ------------------------------------------------------------ */

void chap_init(struct chap *c, const struct iscsi_auth *auth, struct chap_memory *memory)
{
	*c = (struct chap){
		.auth = auth,
		.memory = memory,
		.state = auth->n_secret ? CHAP_OFFERED : CHAP_NONE,
	};
}

void chap_clear(struct chap *c)
{
	explicit_bzero(c, sizeof(*c));
}

bool chap_may_move(const struct chap *c)
{
	return c->state == CHAP_NONE || c->state == CHAP_ANSWERED || c->state == CHAP_OVER;
}

static int key_of(const char *key)
{
	for (int i = 0; i < N_KEYS; i++)
		if (strcmp(key_names[i], key) == 0)
			return i;
	return -1;
}

bool chap_is_key(const char *key)
{
	return key_of(key) >= 0;
}

int chap_on_method(struct chap *c, const char *value)
{
	if (c->chosen || c->state == CHAP_OVER)
		return fail(c, -EPROTO, "AuthMethod=%.32s: negotiated a second time", value);
	c->chosen = true;
	if (strcmp(value, c->state == CHAP_NONE ? "None" : "CHAP") == 0)
		return 0;
	if (c->state == CHAP_NONE && strcmp(value, "Reject") == 0)
		return fail(c, -EACCES, "%s", chap_refused_text(c));
	if (c->state == CHAP_NONE)
		return fail(c, -EPROTO, "AuthMethod=%.32s: not one of the values offered", value);
	c->waived = strcmp(value, "None") == 0;
	if (c->waived && !c->auth->required && !c->auth->mutual)
		return 0;
	if (c->waived || strcmp(value, "Reject") == 0 || strcmp(value, "NotUnderstood") == 0)
		return fail(c, -EACCES,
			    "the target does without authentication (AuthMethod=%.16s), which we "
			    "require: set CHAP up there, or log in without it",
			    value);
	return fail(c, -EPROTO, "AuthMethod=%.32s: not one of the values offered", value);
}

static int take_hash(struct chap *c, const char *value)
{
	const struct hash *h;
	uint32_t number;

	if (strcmp(value, "Reject") == 0 || strcmp(value, "None") == 0)
		return fail(c, -EACCES, "%s", chap_refused_text(c));
	h = text_number(value, &number) ? hash_of(number) : NULL;
	if (!h || !is_offered(c, h))
		return fail(c, -EPROTO, "CHAP_A=%.32s: not one of the values offered", value);
	c->hash = h->number;
	return 0;
}

static int take_id(struct chap *c, const char *value)
{
	uint32_t id;

	if (!text_number(value, &id) || id > 255)
		return fail(c, -EPROTO, "CHAP_I=%.32s: not a number of one byte", value);
	c->id = (uint8_t)id;
	return 0;
}

static int take_challenge(struct chap *c, const char *value)
{
	int r = chap_decode(value, c->challenge, sizeof(c->challenge), &c->n_challenge);

	if (r == -EMSGSIZE)
		return fail(c, -EPROTO, "CHAP_C is longer than %d bytes", CHAP_CHALLENGE_MAX);
	if (r)
		return fail(c, -EPROTO, "CHAP_C is not a binary value");
	for (size_t i = 0; i < CHAP_REMEMBERED; i++)
		if (c->memory->n[i] == c->n_challenge &&
		    memcmp(c->memory->challenge[i], c->challenge, c->n_challenge) == 0)
			return fail(c, -EACCES,
				    "the target's challenge is one that we have sent: it does not "
				    "know the secret and wants us to tell it the answer");
	return 0;
}

/* Is the target's answer to our challenge right? */
static int take_response(struct chap *c, const char *value)
{
	uint8_t due[CHAP_HASH_MAX], got[CHAP_HASH_MAX];
	size_t n = hash_of(c->hash)->n, n_got;
	int r;

	if (!c->auth->mutual)
		return 0; /* proves nothing, for we have asked nothing */
	if (chap_decode(value, got, sizeof(got), &n_got))
		return fail(c, -EACCES, "CHAP_R of the target is not a hash's binary value");
	if (n_got != n)
		return fail(c, -EACCES, "CHAP_R of the target has %zu bytes instead of %zu", n_got,
			    n);
	r = chap_response(c->hash, c->my_id, c->auth->peer_secret, c->auth->n_peer_secret, c->mine,
			  c->n_mine, due);
	if (r)
		return r;
	r = CRYPTO_memcmp(due, got, n);
	explicit_bzero(due, sizeof(due));
	if (r)
		return fail(c, -EACCES,
			    "the target does not know the secret that it has to prove itself with: "
			    "it is another, or the secret of mutual CHAP is wrong here or there");
	return 0;
}

int chap_on_key(struct chap *c, const char *key, const char *value)
{
	static const enum chap_state place[] = {
		[KEY_A] = CHAP_HASHES,   [KEY_I] = CHAP_HASHES,   [KEY_C] = CHAP_HASHES,
		[KEY_N] = CHAP_ANSWERED, [KEY_R] = CHAP_ANSWERED,
	};
	int k = key_of(key);

	if (c->state != place[k])
		return fail(c, -EPROTO, "%s at a time when it has no meaning", key);
	if (c->seen & SEEN(k))
		return fail(c, -EPROTO, "%s twice", key);
	c->seen |= SEEN(k);
	switch (k) {
	case KEY_A: return take_hash(c, value);
	case KEY_I: return take_id(c, value);
	case KEY_C: return take_challenge(c, value);
	case KEY_N: return *value ? 0 : fail(c, -EPROTO, "CHAP_N of the target is empty");
	default: return take_response(c, value);
	}
}

static void offer_hashes(struct chap *c, struct text *out)
{
	char list[16] = "";
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(hashes); i++)
		if (is_offered(c, &hashes[i]))
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%u", n ? "," : "",
					      hashes[i].number);
	text_add(out, "CHAP_A", list);
}

/* Our own challenge, which is remembered from now on. */
static int challenge_target(struct chap *c, struct text *out)
{
	struct chap_memory *m = c->memory;

	c->n_mine = hash_of(c->hash)->n;
	c->auth->random(&c->my_id, 1);
	c->auth->random(c->mine, c->n_mine);
	if (c->n_mine == c->n_challenge && memcmp(c->mine, c->challenge, c->n_mine) == 0)
		return fail(c, -EACCES, "the target's challenge is the same as ours");
	memcpy(m->challenge[m->next], c->mine, c->n_mine);
	m->n[m->next] = (uint8_t)c->n_mine;
	m->next = (m->next + 1) % CHAP_REMEMBERED;
	text_add_number(out, "CHAP_I", c->my_id);
	add_hex(out, "CHAP_C", c->mine, c->n_mine);
	return 0;
}

static int answer(struct chap *c, struct text *out)
{
	const unsigned due = SEEN(KEY_A) | SEEN(KEY_I) | SEEN(KEY_C);
	const struct iscsi_auth *a = c->auth;
	uint8_t response[CHAP_HASH_MAX];
	int r;

	if (c->seen != due)
		return fail(c, -EPROTO, "the target's challenge lacks %s",
			    !(c->seen & SEEN(KEY_A))   ? "CHAP_A"
			    : !(c->seen & SEEN(KEY_I)) ? "CHAP_I"
						       : "CHAP_C");
	r = chap_response(c->hash, c->id, a->secret, a->n_secret, c->challenge, c->n_challenge,
			  response);
	if (r)
		return r;
	text_add_bytes(out, "CHAP_N=", 7);
	text_add_bytes(out, a->name, a->n_name);
	text_add_bytes(out, "", 1);
	add_hex(out, "CHAP_R", response, hash_of(c->hash)->n);
	explicit_bzero(response, sizeof(response));
	return a->mutual ? challenge_target(c, out) : 0;
}

static int conclude(struct chap *c)
{
	if (!c->auth->mutual)
		return 0;
	if (!(c->seen & SEEN(KEY_R)))
		return fail(
			c, -EACCES,
			"the target does not prove itself (no CHAP_R): set up mutual CHAP there, "
			"too, or log in with one-way CHAP");
	if (!(c->seen & SEEN(KEY_N)))
		return fail(c, -EPROTO, "the target's answer lacks CHAP_N");
	return 0; /* it was right, or chap_on_key() would have said so */
}

int chap_step(struct chap *c, struct text *out)
{
	int r = 0;

	switch (c->state) {
	case CHAP_OFFERED:
		if (!c->chosen)
			return 0; /* has not made up its mind */
		c->state = c->waived ? CHAP_OVER : CHAP_HASHES;
		if (!c->waived)
			offer_hashes(c, out);
		break;
	case CHAP_HASHES:
		r = answer(c, out);
		c->state = CHAP_ANSWERED;
		break;
	case CHAP_ANSWERED:
		r = conclude(c);
		c->state = CHAP_OVER;
		break;
	case CHAP_NONE:
	case CHAP_OVER: break;
	}
	c->seen = 0;
	return r;
}
