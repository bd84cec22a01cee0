/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/cursor.h"
#include "device/nbd_proto.h"

#define OPTIONS_MAX   256u /* a client that asks for more will never begin */
#define OPTION_BYTES  16u
#define OPTION_INSANE (UINT32_C(16) << 20)
#define ALLOCATION    "base:allocation"
#define EXPORT_TEXT   255u

enum option {
	OPT_EXPORT_NAME = 1,
	OPT_ABORT = 2,
	OPT_LIST = 3,
	OPT_STARTTLS = 5,
	OPT_INFO = 6,
	OPT_GO = 7,
	OPT_STRUCTURED_REPLY = 8,
	OPT_LIST_META_CONTEXT = 9,
	OPT_SET_META_CONTEXT = 10,
};

enum reply {
	REP_ACK = 1,
	REP_SERVER = 2,
	REP_INFO = 3,
	REP_META_CONTEXT = 4,
	REP_ERR_UNSUP = 0x80000001,
	REP_ERR_INVALID = 0x80000003,
	REP_ERR_UNKNOWN = 0x80000006,
	REP_ERR_SHUTDOWN = 0x80000007,
	REP_ERR_TOO_BIG = 0x80000009,
};

enum info {
	INFO_EXPORT = 0,
	INFO_NAME = 1,
	INFO_DESCRIPTION = 2,
	INFO_BLOCK_SIZE = 3,
};

/* ---- out ---------------------------------------------------------------- */

static uint8_t *out_room(struct nbd_handshake *h, size_t n)
{
	uint8_t *p = h->out + h->n_out;

	h->n_out += n;
	return p;
}

static void out_be16(struct nbd_handshake *h, uint16_t v)
{
	put_be16(out_room(h, 2), v);
}

static void out_be32(struct nbd_handshake *h, uint32_t v)
{
	put_be32(out_room(h, 4), v);
}

static void out_be64(struct nbd_handshake *h, uint64_t v)
{
	put_be64(out_room(h, 8), v);
}

static void out_text(struct nbd_handshake *h, const char *text, size_t n)
{
	memcpy(out_room(h, n), text, n);
}

/* The head of a reply; @n bytes of its data follow. */
static void reply(struct nbd_handshake *h, uint32_t option, uint32_t type, uint32_t n)
{
	out_be64(h, NBD_REPLY_MAGIC);
	out_be32(h, option);
	out_be32(h, type);
	out_be32(h, n);
}

/* A refusal with words for a person. */
static void refuse(struct nbd_handshake *h, uint32_t option, uint32_t type, const char *why)
{
	const size_t n = strlen(why);

	reply(h, option, type, (uint32_t)n);
	out_text(h, why, n);
}

/* ---- options ------------------------------------------------------------- */

static size_t text_len(const char *text)
{
	return strnlen(text, EXPORT_TEXT);
}

static bool is_export(const struct nbd_export *e, const uint8_t *name, size_t n)
{
	return n == 0 || (n == text_len(e->name) && memcmp(name, e->name, n) == 0);
}

static void on_export_name(struct nbd_handshake *h, const struct nbd_export *e, struct cursor *data)
{
	const size_t n = data->n_left;

	/* There is no way to refuse but to hang up. */
	if (e->is_closing || !is_export(e, cursor_bytes(data, n), n)) {
		h->stage = NBD_STAGE_END;
		return;
	}
	out_be64(h, e->n_bytes);
	out_be16(h, e->flags);
	if (!h->no_zeroes)
		memset(out_room(h, 124), 0, 124);
	h->stage = NBD_STAGE_REQUESTS;
}

static void on_list(struct nbd_handshake *h, const struct nbd_export *e)
{
	const size_t n_name = text_len(e->name), n_text = text_len(e->description);

	reply(h, OPT_LIST, REP_SERVER, (uint32_t)(4 + n_name + n_text));
	out_be32(h, (uint32_t)n_name);
	out_text(h, e->name, n_name);
	out_text(h, e->description, n_text);
	reply(h, OPT_LIST, REP_ACK, 0);
}

static void info_text(struct nbd_handshake *h, uint32_t option, enum info what, const char *text)
{
	const size_t n = text_len(text);

	reply(h, option, REP_INFO, (uint32_t)(2 + n));
	out_be16(h, (uint16_t)what);
	out_text(h, text, n);
}

static void info_export(struct nbd_handshake *h, uint32_t option, const struct nbd_export *e)
{
	reply(h, option, REP_INFO, 12);
	out_be16(h, INFO_EXPORT);
	out_be64(h, e->n_bytes);
	out_be16(h, e->flags);
}

static void info_block_size(struct nbd_handshake *h, uint32_t option, const struct nbd_export *e)
{
	reply(h, option, REP_INFO, 14);
	out_be16(h, INFO_BLOCK_SIZE);
	out_be32(h, e->min_block_bytes);
	out_be32(h, e->best_block_bytes);
	out_be32(h, e->max_bytes);
}

/* INFO and GO: name, then the kinds of information wanted; each is given once. */
static void on_go(struct nbd_handshake *h, const struct nbd_export *e, uint32_t option,
		  struct cursor *data)
{
	const uint32_t n_name = cursor_be32(data);
	const uint8_t *name = cursor_bytes(data, n_name);
	unsigned wanted = 0;

	for (uint16_t n = cursor_be16(data); n > 0 && !cursor_short(data); n--) {
		const uint16_t what = cursor_be16(data);

		if (what <= INFO_BLOCK_SIZE)
			wanted |= 1u << what;
	}
	if (cursor_short(data) || data->n_left) {
		refuse(h, option, REP_ERR_INVALID, "the option's data does not fit its lengths");
		return;
	}
	if (!is_export(e, name, n_name)) {
		refuse(h, option, REP_ERR_UNKNOWN, "there is no export of that name");
		return;
	}
	if (e->is_closing) {
		refuse(h, option, REP_ERR_SHUTDOWN, "the device is being removed");
		return;
	}
	info_export(h, option, e);
	if (wanted & 1u << INFO_NAME)
		info_text(h, option, INFO_NAME, e->name);
	if (wanted & 1u << INFO_DESCRIPTION)
		info_text(h, option, INFO_DESCRIPTION, e->description);
	/* Also unasked: it is a hint to those who did not know that they should ask. */
	info_block_size(h, option, e);
	reply(h, option, REP_ACK, 0);
	if (option == OPT_GO)
		h->stage = NBD_STAGE_REQUESTS;
}

/* Does a query mean our context? LIST also takes "" (all) and "base:". */
static bool is_allocation(const uint8_t *query, size_t n, bool list)
{
	const size_t n_all = strlen(ALLOCATION);

	if (n == n_all && memcmp(query, ALLOCATION, n) == 0)
		return true;
	return list && n == strlen("base:") && memcmp(query, "base:", n) == 0;
}

static void on_meta_context(struct nbd_handshake *h, const struct nbd_export *e, uint32_t option,
			    struct cursor *data)
{
	const bool list = option == OPT_LIST_META_CONTEXT;
	const uint32_t n_name = cursor_be32(data);
	const uint8_t *name = cursor_bytes(data, n_name);
	const uint32_t n_queries = cursor_be32(data);
	bool found = list && n_queries == 0;

	for (uint32_t i = 0; i < n_queries && !cursor_short(data); i++) {
		const uint32_t n = cursor_be32(data);
		const uint8_t *query = cursor_bytes(data, n);

		if (query && is_allocation(query, n, list))
			found = true;
	}
	if (cursor_short(data) || data->n_left) {
		refuse(h, option, REP_ERR_INVALID, "the option's data does not fit its lengths");
		return;
	}
	if (!list)
		h->allocation = false;
	if (!h->structured) {
		refuse(h, option, REP_ERR_INVALID, "structured replies come first");
		return;
	}
	if (!is_export(e, name, n_name)) {
		refuse(h, option, REP_ERR_UNKNOWN, "there is no export of that name");
		return;
	}
	if (found) {
		reply(h, option, REP_META_CONTEXT, 4 + (uint32_t)strlen(ALLOCATION));
		out_be32(h, list ? 0 : NBD_ALLOCATION_ID);
		out_text(h, ALLOCATION, strlen(ALLOCATION));
	}
	if (!list)
		h->allocation = found;
	reply(h, option, REP_ACK, 0);
}

static void on_option(struct nbd_handshake *h, const struct nbd_export *e, uint32_t option,
		      struct cursor *data)
{
	switch (option) {
	case OPT_EXPORT_NAME: on_export_name(h, e, data); break;
	case OPT_ABORT:
		reply(h, option, REP_ACK, 0);
		h->stage = NBD_STAGE_END;
		break;
	case OPT_INFO:
	case OPT_GO: on_go(h, e, option, data); break;
	case OPT_LIST_META_CONTEXT:
	case OPT_SET_META_CONTEXT: on_meta_context(h, e, option, data); break;
	case OPT_LIST:
	case OPT_STRUCTURED_REPLY:
		if (data->n_left) {
			refuse(h, option, REP_ERR_INVALID, "the option takes no data");
		} else if (option == OPT_LIST) {
			on_list(h, e);
		} else {
			h->structured = true;
			reply(h, option, REP_ACK, 0);
		}
		break;
	case OPT_STARTTLS: refuse(h, option, REP_ERR_UNSUP, "a local socket needs no TLS"); break;
	default: refuse(h, option, REP_ERR_UNSUP, "this option is not known here");
	}
}

/* ---- in ------------------------------------------------------------------- */

static size_t take_flags(struct nbd_handshake *h, struct cursor *in)
{
	const uint32_t flags = cursor_be32(in);

	if (cursor_short(in))
		return 0;
	h->no_zeroes = flags & NBD_NO_ZEROES;
	/* Without the first flag errors cannot be told; with others we cannot know. */
	h->stage = flags & NBD_FIXED_NEWSTYLE && !(flags & ~(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES))
			   ? NBD_STAGE_OPTIONS
			   : NBD_STAGE_END;
	return 4;
}

static size_t take_option(struct nbd_handshake *h, const struct nbd_export *e, struct cursor *in)
{
	const uint64_t magic = cursor_be64(in);
	const uint32_t option = cursor_be32(in), n = cursor_be32(in);
	struct cursor data;

	if (cursor_short(in))
		return 0;
	if (magic != NBD_OPTION_MAGIC || n > OPTION_INSANE || ++h->n_options > OPTIONS_MAX) {
		h->stage = NBD_STAGE_END;
		return OPTION_BYTES;
	}
	if (n > NBD_OPTION_DATA_MAX) {
		refuse(h, option, REP_ERR_TOO_BIG, "the option's data is too long");
		h->n_skip = n;
		return OPTION_BYTES;
	}
	data = cursor_of(cursor_bytes(in, n), n);
	if (cursor_short(in)) {
		h->n_options--;
		return 0;
	}
	on_option(h, e, option, &data);
	return OPTION_BYTES + n;
}

static size_t take_skipped(struct nbd_handshake *h, size_t n)
{
	if (n > h->n_skip)
		n = h->n_skip;
	h->n_skip -= (uint32_t)n;
	return n;
}

size_t nbd_handshake_feed(struct nbd_handshake *h, const struct nbd_export *e, const uint8_t *in,
			  size_t n)
{
	size_t n_all = 0;

	while (h->stage < NBD_STAGE_REQUESTS && n_all < n &&
	       NBD_OUT_ROOM - h->n_out >= NBD_OUT_ONE) {
		struct cursor cur = cursor_of(in + n_all, n - n_all);
		size_t n_one;

		if (h->n_skip)
			n_one = take_skipped(h, n - n_all);
		else if (h->stage == NBD_STAGE_FLAGS)
			n_one = take_flags(h, &cur);
		else
			n_one = take_option(h, e, &cur);
		if (!n_one)
			break;
		n_all += n_one;
	}
	return n_all;
}

void nbd_handshake_init(struct nbd_handshake *h)
{
	*h = (struct nbd_handshake){.stage = NBD_STAGE_FLAGS};
	out_be64(h, NBD_MAGIC);
	out_be64(h, NBD_OPTION_MAGIC);
	out_be16(h, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
}
