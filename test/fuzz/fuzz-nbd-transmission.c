/* SPDX-License-Identifier: MIT */
/*
 * NBD requests of a hostile client
 *
 * The real server on a socket pair, with a unit that answers late, in an order of its
 * own, and sometimes with an error. The input is headers of requests; only their cookies
 * are made here, one for each, and the data of writes. Every request must be answered
 * once and as its kind is, until the server hangs up for a reason; and when the client
 * has gone, nothing may be left.
 *
 * The input's first three bytes: WAY_… below, the length of the pieces in which bytes
 * are sent, and how the unit behaves.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cursor.h"
#include "device/nbd_private.h"

#define UNIT_BYTES   (UINT64_C(3) << 20)
#define REQUESTS_MAX 100u

enum {
	WAY_STRUCTURED = 1,
	WAY_READ_ONLY = 2,
	WAY_BIG_BLOCKS = 4,
	WAY_CANNOT = 8, /* neither discard nor zero */
	WAY_READ_LATE = 16,
	WAY_NO_BUDGET = 64, /* others have all of it */
	WAY_DIE = 32,       /* without waiting for answers, in the middle of what finds no room */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the unit ---------------------------------------------------------------- */

struct lu {
	struct list waiting;
	const struct blk_limits *limits;
	unsigned n_asked;
	uint8_t way;
};

static void touch(const struct blk_req *r)
{
	for (unsigned k = 0; k < r->n_iov; k++) {
		volatile uint8_t *at = r->iov[k].iov_base;
		const size_t last = r->iov[k].iov_len - 1;

		at[0] = at[0];
		at[last] = at[last];
	}
}

/* Instead of the one of lu.c. */
void blk_submit(struct lu *lu, struct blk_req *r)
{
	const uint32_t block = lu->limits->block_bytes;
	size_t sum = 0;

	for (unsigned k = 0; k < r->n_iov; k++)
		sum += r->iov[k].iov_len;
	assert(r->op == BLK_FLUSH ||
	       (r->n_bytes > 0 && r->off_bytes % block == 0 && r->n_bytes % block == 0 &&
		r->off_bytes <= UNIT_BYTES && r->n_bytes <= UNIT_BYTES - r->off_bytes));
	assert(sum == (r->op == BLK_READ || r->op == BLK_WRITE ? r->n_bytes : 0));
	assert(r->op == BLK_READ || r->op == BLK_FLUSH || !lu->limits->read_only);
	touch(r);
	r->result = lu->way && ++lu->n_asked % 16 == lu->way % 16 ? -EIO : 0;
	if (lu->way & 64)
		r->done(r);
	else if (lu->way & 128)
		list_prepend(&lu->waiting, &r->node);
	else
		list_append(&lu->waiting, &r->node);
}

/* False: it has nothing to do. */
static bool unit_answers(struct lu *lu)
{
	struct blk_req *r = list_first(&lu->waiting, struct blk_req, node);

	if (!r)
		return false;
	list_remove(&r->node);
	touch(r);
	r->done(r);
	return true;
}

/* ---- the server --------------------------------------------------------------- */

struct bench {
	struct loop *loop;
	struct lu unit;
	struct nbd_server server;
	char name[5];
	size_t n_big; /* of the budget, that others have */
};

static void bench_init(struct bench *b, uint8_t way, uint8_t unit_way)
{
	struct nbd_server *s = &b->server;
	struct nbd_server_cfg cfg = {
		.lu = &b->unit,
		.limits =
			{
				.n_bytes = UNIT_BYTES,
				.block_bytes = way & WAY_BIG_BLOCKS ? 4096 : 512,
				.read_only = way & WAY_READ_ONLY,
				.can_discard = !(way & WAY_CANNOT),
				.can_write_zeroes = !(way & WAY_CANNOT),
			},
	};

	memset(b, 0, sizeof(*b));
	memcpy(b->name, "unit", 5);
	assert(loop_new(&b->loop) == 0);
	list_init(&b->unit.waiting);
	b->unit.limits = &s->limits;
	b->unit.way = unit_way;
	cfg.loop = b->loop;
	nbd_server_init(s, &cfg);
	s->name = s->description = b->name;
	b->n_big = way & WAY_NO_BUDGET ? NBD_BIG_BYTES : 0;
	s->n_big = b->n_big;
}

static void bench_end(struct bench *b)
{
	for (int quiet = 0; quiet < 3;) {
		assert(loop_turn(b->loop, 0) == 0);
		quiet = unit_answers(&b->unit) ? 0 : quiet + 1;
	}
	assert(atomic_load(&b->server.n_clients) == 0);
	assert(atomic_load(&b->server.n_users) == 0);
	assert(b->server.n_big == b->n_big && b->server.n_big_max <= NBD_BIG_BYTES);
	assert(list_empty(&b->server.hungry) && list_empty(&b->server.ranges.writes));
	idle_destroy(&b->server.idle);
	loop_free(b->loop);
}

/* ---- the client ------------------------------------------------------------------ */

struct asked {
	uint16_t command;
	uint32_t n_bytes;
	bool is_answered;
};

struct client {
	struct bench *b;
	int fd;
	uint8_t way;
	size_t n_piece;
	bool is_over; /* the server has hung up */
	bool may_be_over;
	bool has_left; /* by DISC: all is answered before the end */
	struct asked asked[REQUESTS_MAX];
	unsigned n_asked, n_answered;
	/* what comes: a head, then so many bytes of data */
	uint8_t head[NBD_CHUNK_BYTES];
	size_t n_head, n_data;
};

static void step(struct client *c)
{
	assert(loop_turn(c->b->loop, 0) == 0);
	unit_answers(&c->b->unit);
}

static size_t head_bytes(const struct client *c)
{
	return c->way & WAY_STRUCTURED ? NBD_CHUNK_BYTES : NBD_SIMPLE_BYTES;
}

static struct asked *asked_of(struct client *c)
{
	const uint64_t cookie = get_be64(c->head + 8);
	struct asked *q = &c->asked[cookie];

	assert(cookie < c->n_asked && !q->is_answered);
	q->is_answered = true;
	c->n_answered++;
	return q;
}

static size_t chunk_data(struct client *c)
{
	const struct asked *q = asked_of(c);
	const uint32_t n = get_be32(c->head + 16);

	assert(get_be32(c->head) == NBD_STRUCTURED_MAGIC);
	assert(get_be16(c->head + 4) == NBD_CHUNK_DONE);
	switch (get_be16(c->head + 6)) {
	case NBD_CHUNK_NONE: assert(n == 0 && q->command != NBD_CMD_READ); break;
	case NBD_CHUNK_OFFSET_DATA:
		assert(q->command == NBD_CMD_READ && n == 8 + q->n_bytes);
		break;
	case NBD_CHUNK_BLOCK_STATUS: assert(q->command == NBD_CMD_BLOCK_STATUS && n == 12); break;
	case NBD_CHUNK_ERROR: assert(n == 6); break;
	default: assert(false);
	}
	return n;
}

static size_t simple_data(struct client *c)
{
	const struct asked *q = asked_of(c);

	assert(get_be32(c->head) == NBD_SIMPLE_MAGIC);
	return q->command == NBD_CMD_READ && get_be32(c->head + 4) == 0 ? q->n_bytes : 0;
}

static void take(struct client *c, const uint8_t *p, size_t n)
{
	while (n > 0) {
		size_t part = c->n_data < n ? c->n_data : n;

		if (!c->n_data) {
			part = head_bytes(c) - c->n_head;
			part = part < n ? part : n;
			memcpy(c->head + c->n_head, p, part);
			c->n_head += part;
		} else {
			c->n_data -= part;
		}
		p += part;
		n -= part;
		if (c->n_head == head_bytes(c)) {
			c->n_head = 0;
			c->n_data = c->way & WAY_STRUCTURED ? chunk_data(c) : simple_data(c);
		}
	}
}

/* False: there is nothing to read now. */
static bool hear(struct client *c)
{
	static uint8_t bytes[1 << 20];
	const ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0) {
		take(c, bytes, (size_t)n);
		return true;
	}
	if (n == 0 || errno != EAGAIN) {
		assert(c->may_be_over);
		c->is_over = true;
	}
	return false;
}

/* False: the server takes no more, and will not. */
static bool say(struct client *c, const uint8_t *p, size_t n)
{
	unsigned n_idle = 0;

	while (n > 0 && !c->is_over) {
		const size_t piece = n < c->n_piece ? n : c->n_piece;
		const ssize_t k = send(c->fd, p, piece, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k < 0 && errno != EAGAIN) {
			assert(c->may_be_over);
			c->is_over = true;
			return false;
		}
		n_idle = k > 0 ? 0 : n_idle + 1;
		if (k > 0) {
			p += k;
			n -= (size_t)k;
		}
		step(c);
		if (n_idle > 0 && c->way & WAY_DIE)
			return false;
		/* Late is when nothing else goes on. */
		if (!(c->way & WAY_READ_LATE) || n_idle > 2 * REQUESTS_MAX)
			hear(c);
		assert(n_idle < 8 * REQUESTS_MAX);
	}
	return !c->is_over;
}

static void handshake(struct client *c)
{
	static const uint8_t structured[] = "\0\0\0\3IHAVEOPT\0\0\0\10\0\0\0";
	static const uint8_t simple[] = "\0\0\0\3";
	static const uint8_t begin[] = "IHAVEOPT\0\0\0\1\0\0\0";
	const bool is_structured = c->way & WAY_STRUCTURED;
	const uint8_t *first = is_structured ? structured : simple;
	uint8_t bytes[64];
	size_t n_want = is_structured ? 18 + 20 + 10 : 18 + 10, n = 0;

	assert(send(c->fd, first, is_structured ? 20 : 4, MSG_NOSIGNAL) > 0);
	assert(send(c->fd, begin, 16, MSG_NOSIGNAL) > 0);
	for (int i = 0; i < 20 && n < n_want; i++) {
		const ssize_t k = recv(c->fd, bytes, n_want - n, MSG_DONTWAIT);

		if (k > 0)
			n += (size_t)k;
		step(c);
	}
	list_first(&c->b->server.clients, struct nbd_client, node)->handshake.allocation =
		is_structured;
	assert(n == n_want && atomic_load(&c->b->server.n_users) == 1);
}

/* False: nothing follows. */
static bool say_request(struct client *c, const uint8_t *header)
{
	static const uint8_t data[UNIT_BYTES + 8192];
	struct asked *q = &c->asked[c->n_asked];
	uint8_t bytes[NBD_REQUEST_BYTES];
	size_t n;

	memcpy(bytes, header, sizeof(bytes));
	put_be64(bytes + 8, c->n_asked);
	*q = (struct asked){.command = get_be16(bytes + 6), .n_bytes = get_be32(bytes + 24)};
	if (get_be32(bytes) != NBD_REQUEST_MAGIC || q->command == NBD_CMD_DISC) {
		c->may_be_over = true;
		c->has_left = get_be32(bytes) == NBD_REQUEST_MAGIC;
		(void)say(c, bytes, sizeof(bytes));
		return false;
	}
	c->n_asked++;
	if (!say(c, bytes, sizeof(bytes)))
		return false;
	if (q->command != NBD_CMD_WRITE)
		return true;
	n = q->n_bytes < sizeof(data) ? q->n_bytes : sizeof(data);
	/* A piece must not be so small that it takes for ever. */
	c->n_piece = c->n_piece < 4099 ? 4099 : c->n_piece;
	return say(c, data, n) && n == q->n_bytes;
}

static bool is_all_heard(const struct client *c)
{
	return c->n_answered == c->n_asked && !c->n_data && !c->n_head && !c->may_be_over;
}

static void hear_all(struct client *c)
{
	for (unsigned i = 0; i < 4096 && !c->is_over && !is_all_heard(c); i++) {
		step(c);
		while (hear(c))
			i = 0;
	}
}

static void run_client(struct client *c, const uint8_t *data, size_t size)
{
	bool is_whole = true;

	handshake(c);
	while (is_whole && size >= NBD_REQUEST_BYTES && c->n_asked < REQUESTS_MAX) {
		is_whole = say_request(c, data);
		data += NBD_REQUEST_BYTES;
		size -= NBD_REQUEST_BYTES;
	}
	if (c->way & WAY_DIE)
		return;
	hear_all(c);
	assert(c->is_over == c->may_be_over);
	if (!c->may_be_over || c->has_left)
		assert(c->n_answered == c->n_asked && !c->n_data && !c->n_head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct client c;
	struct bench b;
	int fd[2];

	if (size < 3)
		return 0;
	bench_init(&b, data[0], data[2]);
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
	c = (struct client){.b = &b, .fd = fd[0], .way = data[0], .n_piece = data[1] + 1u};
	nbd_client_new(&b.server, fd[1]);
	assert(atomic_load(&b.server.n_clients) == 1);
	run_client(&c, data + 3, size - 3);
	close(c.fd);
	bench_end(&b);
	return 0;
}
