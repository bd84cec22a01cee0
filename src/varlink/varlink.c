/* SPDX-License-Identifier: MIT */
/*
 * Varlink messages
 *
 * A connection owns its socket and one receive buffer that grows, by doubling,
 * up to the largest message. Bytes behind the first NUL stay in it for the next
 * call. Calls and replies may carry secrets, so every buffer of ours is wiped
 * before its memory goes, and a message that was sent is wiped with its text.
 *
 * The socket may be in either mode: each operation says MSG_DONTWAIT and waits
 * in poll() until its deadline. A message that was cut short on its way out, and
 * one that is too long on its way in, leave the stream without a known place to
 * go on; the connection is then broken and says so at every later operation.
 */
#include "varlink/varlink.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BUF_FIRST   4096u
#define BUF_KEEP    (64u << 10) /* an idle connection holds no more than this */
#define NO_DEADLINE INT64_MAX

struct varlink_conn {
	int fd;
	int broken; /* 0, or the -errno of every operation from now on */
	size_t msg_max;
	uint8_t *buf;
	size_t n_room;
	size_t n_have;
	size_t n_seen; /* of n_have: known to hold no NUL */
};

static void json_dropp(json_t **j)
{
	json_decref(*j);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int64_t deadline_after(int timeout_ms)
{
	if (timeout_ms < 0)
		return NO_DEADLINE;
	/* Part of the running millisecond is over: without one more the wait would end early. */
	return now_ms() + timeout_ms + (timeout_ms > 0);
}

/* Milliseconds that are left, 0 when the deadline has passed, -1 for no deadline. */
static int deadline_left(int64_t deadline_ms)
{
	int64_t left;

	if (deadline_ms == NO_DEADLINE)
		return -1;
	left = deadline_ms - now_ms();
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* Return: 0, -ETIMEDOUT or what poll() said. */
static int fd_wait(int fd, short events, int64_t deadline_ms)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = events};
		int left = deadline_left(deadline_ms);
		int r = poll(&p, 1, left);

		if (r > 0)
			return 0; /* an error or the end shows in the next operation */
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r == 0 && left >= 0 && deadline_left(deadline_ms) == 0)
			return -ETIMEDOUT;
	}
}

/* The peer's end has many names. */
static int error_of_stream(int e)
{
	switch (e) {
	case EPIPE:
	case ECONNRESET:
	case ENOTCONN:
	case ESHUTDOWN: return -EPIPE;
	default: return -e;
	}
}

int varlink_conn_new(struct varlink_conn **ret_conn, int fd)
{
	struct varlink_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->fd = fd;
	c->msg_max = VARLINK_MSG_MAX;
	*ret_conn = c;
	return 0;
}

struct varlink_conn *varlink_conn_free(struct varlink_conn *c)
{
	if (!c)
		return NULL;
	close(c->fd);
	if (c->buf) {
		explicit_bzero(c->buf, c->n_room);
		free(c->buf);
	}
	free(c);
	return NULL;
}

int varlink_conn_fd(const struct varlink_conn *c)
{
	return c->fd;
}

void varlink_conn_limit(struct varlink_conn *c, size_t msg_max_bytes)
{
	c->msg_max = msg_max_bytes < VARLINK_MSG_MAX ? msg_max_bytes : VARLINK_MSG_MAX;
}

int varlink_conn_peer(const struct varlink_conn *c, pid_t *ret_pid, uid_t *ret_uid, gid_t *ret_gid)
{
	struct ucred cred;
	socklen_t n = sizeof(cred);

	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0)
		return -errno;
	if (n != sizeof(cred))
		return -EPROTO;
	*ret_pid = cred.pid;
	*ret_uid = cred.uid;
	*ret_gid = cred.gid;
	return 0;
}

/*
 * A Unix socket connects at once or, while the listener's queue is full, waits;
 * that wait is bounded by the send timeout.
 */
static int fd_connect(int fd, const struct sockaddr_un *addr, int timeout_ms)
{
	int64_t deadline_ms = deadline_after(timeout_ms);

	for (;;) {
		int left = deadline_left(deadline_ms);
		struct timeval tv = {.tv_sec = left / 1000, .tv_usec = left % 1000 * 1000};

		if (left == 0)
			tv.tv_usec = 1; /* 0 would mean: for ever */
		if (left < 0)
			tv = (struct timeval){0};
		if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
			return -errno;
		if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
			return 0;
		if (errno == EAGAIN || (errno == EINTR && left == 0))
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int varlink_connect(struct varlink_conn **ret_conn, const char *path, int timeout_ms)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	CLEANUP(closep) int fd = -1;
	int r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, strlen(path));

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	r = fd_connect(fd, &addr, timeout_ms);
	if (r)
		return r;
	return varlink_conn_new(ret_conn, TAKE_FD(fd));
}

/* Overwrites every string of the tree; whoever else holds a part of it loses that too. */
static void json_wipe(json_t *j)
{
	const char *key;
	json_t *value;
	size_t i;

	switch (json_typeof(j)) {
	case JSON_OBJECT: json_object_foreach(j, key, value) json_wipe(value); break;
	case JSON_ARRAY: json_array_foreach(j, i, value) json_wipe(value); break;
	case JSON_STRING:
		/* jansson lends its own copy, which is ours to spoil with the value */
		explicit_bzero((char *)(uintptr_t)json_string_value(j), json_string_length(j));
		break;
	case JSON_INTEGER:
	case JSON_REAL:
	case JSON_TRUE:
	case JSON_FALSE:
	case JSON_NULL: break;
	}
}

void varlink_wipe(json_t *msg)
{
	if (msg)
		json_wipe(msg);
	json_decref(msg);
}

static int bytes_send(struct varlink_conn *c, const char *p, size_t n, int64_t deadline_ms)
{
	size_t n_sent = 0;

	while (n_sent < n) {
		ssize_t k = send(c->fd, p + n_sent, n - n_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		int r;

		if (k >= 0) {
			n_sent += (size_t)k;
			continue;
		}
		if (errno == EINTR)
			continue;
		r = errno == EAGAIN ? fd_wait(c->fd, POLLOUT, deadline_ms) : error_of_stream(errno);
		if (r) {
			if (n_sent > 0 || r != -ETIMEDOUT)
				c->broken = -EPIPE;
			return r;
		}
	}
	return 0;
}

int varlink_send(struct varlink_conn *c, json_t *msg, int timeout_ms)
{
	int64_t deadline_ms = deadline_after(timeout_ms);
	size_t n;
	char *text;
	int r;

	if (c->broken)
		return c->broken;
	if (!json_is_object(msg))
		return -EBADMSG;
	/* Measured first, so that no buffer with a secret in it is ever grown and left behind. */
	n = json_dumpb(msg, NULL, 0, JSON_COMPACT);
	if (n == 0)
		return -ENOMEM;
	if (n > VARLINK_MSG_MAX)
		return -EMSGSIZE;
	text = malloc(n + 1);
	if (!text)
		return -ENOMEM;
	if (json_dumpb(msg, text, n, JSON_COMPACT) == n) {
		text[n] = '\0';
		r = bytes_send(c, text, n + 1, deadline_ms);
	} else {
		r = -ENOMEM;
	}
	explicit_bzero(text, n);
	free(text);
	return r;
}

static int buf_grow(struct varlink_conn *c)
{
	size_t n_room = c->n_room ? c->n_room * 2 : BUF_FIRST;
	uint8_t *buf;

	if (n_room > c->msg_max + 1)
		n_room = c->msg_max + 1;
	buf = malloc(n_room);
	if (!buf)
		return -ENOMEM;
	if (c->buf) {
		memcpy(buf, c->buf, c->n_have);
		explicit_bzero(c->buf, c->n_room);
		free(c->buf);
	}
	c->buf = buf;
	c->n_room = n_room;
	return 0;
}

/* Waits until the buffer holds a NUL. *ret_n: bytes before it. */
static int buf_fill(struct varlink_conn *c, size_t *ret_n, int64_t deadline_ms)
{
	for (;;) {
		const uint8_t *nul = NULL;
		ssize_t k;
		int r;

		if (c->n_have > c->n_seen)
			nul = memchr(c->buf + c->n_seen, 0, c->n_have - c->n_seen);
		if (nul) {
			*ret_n = (size_t)(nul - c->buf);
			return *ret_n > c->msg_max ? -EMSGSIZE : 0;
		}
		c->n_seen = c->n_have;
		if (c->n_have > c->msg_max)
			return -EMSGSIZE;
		if (c->n_have == c->n_room) {
			r = buf_grow(c);
			if (r)
				return r;
		}
		k = recv(c->fd, c->buf + c->n_have, c->n_room - c->n_have, MSG_DONTWAIT);
		if (k > 0) {
			c->n_have += (size_t)k;
			continue;
		}
		if (k == 0)
			return -EPIPE;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return error_of_stream(errno);
		r = fd_wait(c->fd, POLLIN, deadline_ms);
		if (r)
			return r;
	}
}

/* The first @n bytes have been used. */
static void buf_take(struct varlink_conn *c, size_t n)
{
	memmove(c->buf, c->buf + n, c->n_have - n);
	explicit_bzero(c->buf + c->n_have - n, n);
	c->n_have -= n;
	c->n_seen = 0;
	if (c->n_have == 0 && c->n_room > BUF_KEEP) {
		free(c->buf);
		c->buf = NULL;
		c->n_room = 0;
	}
}

int varlink_wait(struct varlink_conn *c, int timeout_ms)
{
	if (c->broken || c->n_have > 0)
		return 0; /* varlink_recv() has something to say */
	return fd_wait(c->fd, POLLIN, deadline_after(timeout_ms));
}

int varlink_recv(struct varlink_conn *c, json_t **ret_msg, int timeout_ms)
{
	json_error_t error = {0};
	json_t *msg;
	size_t n = 0;
	int r;

	if (c->broken)
		return c->broken;
	r = buf_fill(c, &n, deadline_after(timeout_ms));
	if (r) {
		if (r == -EMSGSIZE || r == -EPIPE)
			c->broken = r;
		return r;
	}
	msg = json_loadb((const char *)c->buf, n, JSON_REJECT_DUPLICATES, &error);
	buf_take(c, n + 1);
	if (!msg) /* without a word about the text: there was no memory for what it says */
		return error.text[0] ? -EBADMSG : -ENOMEM;
	if (!json_is_object(msg)) {
		varlink_wipe(msg);
		return -EBADMSG;
	}
	*ret_msg = msg;
	return 0;
}

/*
 * Sends @msg, whose only reference it takes. The parameters in it are wiped
 * unless the caller has kept a reference of its own.
 */
static int msg_send(struct varlink_conn *c, json_t *msg, int timeout_ms)
{
	json_t *params = json_object_get(msg, "parameters");
	int r = varlink_send(c, msg, timeout_ms);

	/* several threads may send the same parameters: the last one to be done is alone with them
	 */
	if (params && __atomic_load_n(&params->refcount, __ATOMIC_ACQUIRE) == 1)
		json_wipe(params);
	json_decref(msg);
	return r;
}

/* The reply to a call without "more": taken apart. */
static int reply_split(json_t *reply, json_t **ret_params, char **ret_error)
{
	json_t *error = json_object_get(reply, "error");
	json_t *params = json_object_get(reply, "parameters");
	char *name = NULL;

	if (json_is_true(json_object_get(reply, "continues")))
		return -EBADMSG;
	if (error && !json_is_null(error)) {
		if (!json_is_string(error))
			return -EBADMSG;
		name = strdup(json_string_value(error));
		if (!name)
			return -ENOMEM;
	}
	if (!params || json_is_null(params)) {
		params = json_object();
		if (!params) {
			free(name);
			return -ENOMEM;
		}
	} else if (json_is_object(params)) {
		json_incref(params);
	} else {
		free(name);
		return -EBADMSG;
	}
	*ret_params = params;
	*ret_error = name;
	return 0;
}

int varlink_call(struct varlink_conn *c, const char *method, json_t *params, json_t **ret_params,
		 char **ret_error, int timeout_ms)
{
	int64_t deadline_ms = deadline_after(timeout_ms);
	CLEANUP(json_dropp) json_t *reply = NULL;
	json_t *call;
	int r;

	if (!params)
		params = json_object();
	call = params ? json_pack("{s:s, s:O}", "method", method, "parameters", params) : NULL;
	if (!call) {
		varlink_wipe(params);
		return -ENOMEM;
	}
	json_decref(params);
	r = msg_send(c, call, timeout_ms);
	if (r)
		return r;
	r = varlink_recv(c, &reply, deadline_left(deadline_ms));
	if (r)
		return r;
	return reply_split(reply, ret_params, ret_error);
}

/* An optional member that is true or false. */
static int flag_of(json_t *msg, const char *key, bool *ret_flag)
{
	json_t *flag = json_object_get(msg, key);

	if (flag && !json_is_boolean(flag) && !json_is_null(flag))
		return -EBADMSG;
	*ret_flag = json_is_true(flag);
	return 0;
}

int varlink_request_of(struct varlink_request *ret, json_t *msg)
{
	struct varlink_request req = {.msg = msg};

	req.method = json_string_value(json_object_get(msg, "method"));
	if (!req.method)
		return -EBADMSG;
	req.params = json_object_get(msg, "parameters");
	if (!req.params || json_is_null(req.params)) {
		req.params = json_object();
		if (json_object_set_new(msg, "parameters", req.params) < 0)
			return -ENOMEM;
	}
	if (!json_is_object(req.params) || flag_of(msg, "more", &req.more) ||
	    flag_of(msg, "oneway", &req.oneway) || flag_of(msg, "upgrade", &req.upgrade))
		return -EBADMSG;
	*ret = req;
	return 0;
}

int varlink_reply(struct varlink_conn *c, json_t *params, bool continues, int timeout_ms)
{
	json_t *msg = json_pack("{s:o}", "parameters", params ? params : json_object());

	if (!msg)
		return -ENOMEM;
	if (continues && json_object_set_new(msg, "continues", json_true()) < 0) {
		json_decref(msg);
		return -ENOMEM;
	}
	return msg_send(c, msg, timeout_ms);
}

int varlink_error(struct varlink_conn *c, const char *error, json_t *params, int timeout_ms)
{
	json_t *msg = json_pack("{s:s, s:o}", "error", error, "parameters",
				params ? params : json_object());

	if (!msg)
		return -ENOMEM;
	return msg_send(c, msg, timeout_ms);
}
