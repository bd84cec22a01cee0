/* SPDX-License-Identifier: MIT */
/*
 * Varlink messages from a hostile peer
 *
 * The bytes arrive in pieces whose length the first byte chooses. Whatever is
 * taken for a message is read as a request and sent back; what we send must be
 * what we would take.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "varlink/varlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A message that came in goes out and comes in again as the same. */
static void message_survives(json_t *msg)
{
	struct varlink_conn *a, *b;
	json_t *back;
	int fd[2];

	assert(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
	assert(varlink_conn_new(&a, fd[0]) == 0);
	assert(varlink_conn_new(&b, fd[1]) == 0);
	if (varlink_send(a, msg, 0) == 0) {
		assert(varlink_recv(b, &back, 0) == 0);
		assert(json_equal(msg, back));
		json_decref(back);
	}
	varlink_conn_free(a);
	varlink_conn_free(b);
}

/* Everything that is complete; false when the connection is done with. */
static bool messages_take(struct varlink_conn *c)
{
	for (;;) {
		struct varlink_request req;
		json_t *msg;
		int r = varlink_recv(c, &msg, 0);

		if (r == -EBADMSG)
			continue;
		if (r)
			return r == -ETIMEDOUT;
		message_survives(msg);
		if (varlink_request_of(&req, msg) == 0)
			assert(req.method && json_is_object(req.params));
		varlink_wipe(msg);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct varlink_conn *c;
	size_t n_piece;
	int fd[2];

	if (size == 0)
		return 0;
	n_piece = data[0] ? data[0] : size;
	data++;
	size--;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0)
		return 0;
	if (varlink_conn_new(&c, fd[0]) < 0) {
		close(fd[1]);
		return 0;
	}
	varlink_conn_limit(c, 4096);
	while (size > 0) {
		size_t n = n_piece < size ? n_piece : size;
		ssize_t k = send(fd[1], data, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k <= 0 || !messages_take(c))
			break;
		data += k;
		size -= (size_t)k;
	}
	close(fd[1]);
	messages_take(c);
	varlink_conn_free(c);
	return 0;
}
