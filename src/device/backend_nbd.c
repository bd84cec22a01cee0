/* SPDX-License-Identifier: MIT */
/*
 * Backend nbd: the unit as an NBD export on a Unix socket
 *
 * For containers, virtual machines and tests: needs neither root nor anything of the
 * kernel. Its users are its clients; what they have been told is written is at the
 * unit, there is no cache in between.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "device/backend_private.h"
#include "device/idle.h"
#include "device/nbd_server.h"
#include "io/loop.h"

#define GONE_NS   (250 * NS_PER_MS) /* from a client's close until we are told */
#define LET_GO_NS (2 * NS_PER_S)

struct blk_dev {
	struct nbd_server *server;
	struct loop *loop;
	struct lu *lu;
	char *dir, *path, *uri;
};

static int nbd_probe(bool user_mode, char *why, size_t n)
{
	return 0;
}

/* nbd+unix:///?socket=PATH, with what has a meaning there percent-encoded. */
static char *uri_of(const char *path)
{
	static const char begin[] = "nbd+unix:///?socket=";
	char *uri = malloc(sizeof(begin) + 3 * strlen(path)), *at;

	if (!uri)
		return NULL;
	at = stpcpy(uri, begin);
	for (; *path; path++) {
		const unsigned char c = (unsigned char)*path;

		if (isalnum(c) || strchr("/-._~:", c))
			*at++ = (char)c;
		else
			at += sprintf(at, "%%%02X", c);
	}
	*at = '\0';
	return uri;
}

static struct blk_dev *nbd_free(struct blk_dev *d)
{
	if (!d)
		return NULL;
	nbd_server_free(d->server);
	free(d->dir);
	free(d->path);
	free(d->uri);
	free(d);
	return NULL;
}

static void nbd_freep(struct blk_dev **d)
{
	nbd_free(*d);
}

static int nbd_start(struct blk_dev **ret_dev, const struct blk_dev_cfg *cfg)
{
	CLEANUP(nbd_freep) struct blk_dev *d = calloc(1, sizeof(*d));
	struct nbd_server_cfg server = {
		.name = cfg->name,
		.description = cfg->describe ? cfg->describe : "",
		.loop = cfg->loop,
		.lu = cfg->lu,
		.limits = cfg->limits,
	};
	int r;

	if (!d)
		return -ENOMEM;
	d->loop = cfg->loop;
	d->lu = cfg->lu;
	r = backend_make_dir(&d->dir, cfg);
	if (r)
		return r;
	if (asprintf(&d->path, "%s/%s", d->dir, BACKEND_NBD_SOCKET) < 0)
		d->path = NULL;
	d->uri = d->path ? uri_of(d->path) : NULL;
	server.path = d->path;
	r = d->uri ? nbd_server_start(&d->server, &server) : -ENOMEM;
	if (r) {
		backend_remove_dir(d->dir);
		return r;
	}
	*ret_dev = TAKE(d);
	return 0;
}

static const char *nbd_path(const struct blk_dev *d)
{
	return d->path;
}

static const char *nbd_uri(const struct blk_dev *d)
{
	return d->uri;
}

static dev_t nbd_devno(const struct blk_dev *d)
{
	return 0;
}

static int nbd_close_gate(struct blk_dev *d)
{
	nbd_server_gate(d->server, true);
	return 0;
}

static void nbd_open_gate(struct blk_dev *d)
{
	nbd_server_gate(d->server, false);
}

static int nbd_holders(struct blk_dev *d, struct holders *h)
{
	pid_t pids[NBD_CLIENTS_MAX];
	size_t n;
	int r = 0;

	(void)nbd_server_wait_unused(d->server, clock_now_ns() + GONE_NS);
	n = nbd_server_users(d->server, pids, NBD_CLIENTS_MAX);
	for (size_t k = 0; k < n && r == 0; k++)
		r = backend_add_user(h, HOLDER_NBD, pids[k], d->path);
	return r;
}

static int nbd_flush(struct blk_dev *d)
{
	return idle_flush_unit(d->loop, d->lu, clock_now_ns() + BACKEND_FLUSH_NS);
}

static int nbd_stop(struct blk_dev *d, bool force, int timeout_ms)
{
	const uint64_t least_ns = clock_now_ns() + LET_GO_NS;
	uint64_t deadline_ns = backend_deadline_ns(timeout_ms);

	if (!force) {
		const uint64_t soon_ns = clock_now_ns() + GONE_NS;

		(void)nbd_server_wait_unused(d->server,
					     soon_ns < deadline_ns ? soon_ns : deadline_ns);
		if (nbd_server_n_users(d->server) > 0)
			return -EBUSY;
	}
	if (deadline_ns < least_ns)
		deadline_ns = least_ns;
	nbd_server_stop(d->server, deadline_ns);
	backend_remove_dir(d->dir);
	return 0;
}

static int nbd_changed(struct blk_dev *d, const struct blk_limits *limits)
{
	return nbd_server_changed(d->server, limits);
}

const struct blk_backend blk_backend_nbd = {
	.name = "nbd",
	.probe = nbd_probe,
	.start = nbd_start,
	.path = nbd_path,
	.uri = nbd_uri,
	.devno = nbd_devno,
	.close_gate = nbd_close_gate,
	.open_gate = nbd_open_gate,
	.holders = nbd_holders,
	.flush = nbd_flush,
	.stop = nbd_stop,
	.free = nbd_free,
	.changed = nbd_changed,
	.sweep = backend_sweep,
};
