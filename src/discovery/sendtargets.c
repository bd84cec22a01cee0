/* SPDX-License-Identifier: MIT */
/*
 * SendTargets discovery
 *
 * The initiator with a discovery session, on a loop of its own that is run by the
 * calling thread: connecting, redirects and their bounds are the same as for a
 * data session. One more timer bounds the whole, the polite end included.
 */
#include "discovery/sendtargets.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/name.h"

#define TIMEOUT_NS         (30 * NS_PER_S)
#define CONNECT_TIMEOUT_NS (5 * NS_PER_S)
#define LOGOUT_TIMEOUT_NS  (2 * NS_PER_S)
#define ASK_MAX            1024

struct discovery {
	const struct sendtargets_cfg *cfg;
	struct loop *loop;
	struct initiator *initiator;
	struct loop_timer timer;
	uint64_t timeout_ns;
	bool answered, closed;
	struct discovered found;
	struct initiator_failure failure; /* error 0: none */
	char why[200];                    /* the session was lost */
	/* where it is redirected to; a name is looked up between two turns of the loop */
	bool asked;
	unsigned asked_number;
	uint16_t asked_port;
	char asked_name[256];
};

static void fail(struct discovery *d, int error, bool connected, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The first reason is the one that counts; what has been answered stays so. */
static void fail(struct discovery *d, int error, bool connected, const char *fmt, ...)
{
	va_list ap;

	if (d->failure.error || d->answered)
		return;
	d->failure.error = error;
	d->failure.connected = connected;
	va_start(ap, fmt);
	vsnprintf(d->failure.text, sizeof(d->failure.text), fmt, ap);
	va_end(ap);
}

static void on_answer(void *user, int error, const char *text, size_t n)
{
	struct discovery *d = user;
	int r;

	if (error) {
		/* Lost over what the target sent: too much text, or not what text is. */
		fail(d, error == -EPROTO ? -EBADMSG : error, true, "%s",
		     d->why[0] ? d->why : "the target refuses to answer SendTargets");
		initiator_close(d->initiator);
		return;
	}
	r = sendtargets_parse(&d->found, text, n, d->cfg->host, d->cfg->port);
	if (r == -EBADMSG)
		fail(d, r, true, "the answer to SendTargets cannot be understood");
	else if (r)
		fail(d, r, true, "%s", strerror(-r));
	else
		d->answered = true;
	initiator_logout(d->initiator);
}

static void on_up(void *user)
{
	struct discovery *d = user;
	char ask[ASK_MAX];
	int n = snprintf(ask, sizeof(ask), "SendTargets=%s", d->cfg->ask);
	int r = initiator_text(d->initiator, ask, (size_t)n + 1, on_answer);

	if (r) {
		fail(d, r, true, "SendTargets: %s", strerror(-r));
		initiator_logout(d->initiator);
	}
}

static void on_failed(void *user, const struct initiator_failure *f)
{
	struct discovery *d = user;

	if (!d->failure.error)
		d->failure = *f;
}

/* The question is still open then, and on_answer() comes next with the error. */
static void on_down(void *user, const char *why)
{
	struct discovery *d = user;

	snprintf(d->why, sizeof(d->why), "%s", why);
}

static int on_resolve(void *user, unsigned number, const char *host, uint16_t port)
{
	struct discovery *d = user;

	d->asked = true;
	d->asked_number = number;
	d->asked_port = port;
	snprintf(d->asked_name, sizeof(d->asked_name), "%s", host);
	return 0;
}

static void on_closed(void *user)
{
	struct discovery *d = user;

	d->closed = true;
}

static const struct initiator_ops discovery_ops = {
	.up = on_up,
	.failed = on_failed,
	.down = on_down,
	.resolve = on_resolve,
	.closed = on_closed,
};

static void on_timeout(struct loop_timer *t)
{
	struct discovery *d = CONTAINER_OF(t, struct discovery, timer);

	fail(d, -ETIMEDOUT, false, "no answer within %.0f s", (double)d->timeout_ns / NS_PER_S);
	initiator_close(d->initiator);
}

static int start(struct discovery *d, uint64_t end_ns)
{
	const struct sendtargets_cfg *cfg = d->cfg;
	struct initiator_cfg ic = {
		.loop = d->loop,
		.session.initiator_name = cfg->initiator_name,
		.session.discovery = true,
		.session.auth = cfg->auth,
		.session.logout_timeout_ns = LOGOUT_TIMEOUT_NS,
		.session.task_timeout_ns = d->timeout_ns,
		.connect_timeout_ns = CONNECT_TIMEOUT_NS,
		.n_commands = 1,
		.ops = &discovery_ops,
		.user = d,
	};
	uint64_t now_ns;
	int r;

	memcpy(ic.session.isid, cfg->isid, sizeof(cfg->isid));
	iscsi_params_default_offer(&ic.session.offer);
	ic.session.offer.HeaderDigest = cfg->header_digest;
	ic.session.offer.DataDigest = cfg->data_digest;
	(void)!getrandom(&ic.session.first_cmdsn, sizeof(ic.session.first_cmdsn), GRND_NONBLOCK);
	r = tcp_resolve(cfg->host, cfg->port, ic.addr, INITIATOR_MAX_ADDRS);
	if (r == -ENOENT || r == -EINVAL) {
		fail(d, -ENOENT, false, "%.200s: the name does not resolve", cfg->host);
		return -ENOENT;
	}
	if (r < 0) {
		fail(d, r, false, "%.160s: %s", cfg->host, strerror(-r));
		return r;
	}
	ic.n_addrs = (unsigned)r;
	now_ns = clock_now_ns();
	if (now_ns >= end_ns) {
		fail(d, -ETIMEDOUT, false, "%.160s: resolving the name took too long", cfg->host);
		return -ETIMEDOUT;
	}
	/* A little less than all the time: the login can say better what went wrong. */
	ic.first_login_timeout_ns = (end_ns - now_ns) / 16 * 15 + 1;
	r = initiator_new(&d->initiator, &ic);
	if (!r)
		r = loop_timer_set(d->loop, &d->timer, end_ns);
	if (r)
		fail(d, r, false, "%s", strerror(-r));
	return r;
}

/* Blocks, like the look-up of the first name; the timers are only late. */
static void resolve(struct discovery *d)
{
	struct tcp_addr v[INITIATOR_MAX_ADDRS];
	int n = tcp_resolve(d->asked_name, d->asked_port, v, INITIATOR_MAX_ADDRS);

	d->asked = false;
	initiator_resolved(d->initiator, d->asked_number, n < 0 ? n : 0, v,
			   n > 0 ? (unsigned)n : 0);
}

static void run(struct discovery *d)
{
	int r = loop_turn(d->loop, 0); /* its clock stood still while the name was resolved */

	if (r)
		fail(d, r, false, "%s", strerror(-r));
	initiator_start(d->initiator);
	while (!d->closed) {
		if (d->asked)
			resolve(d);
		r = loop_turn(d->loop, LOOP_NEVER);
		if (r) {
			/* It cannot wait any more: end without waiting. */
			fail(d, r, false, "%s", strerror(-r));
			initiator_close(d->initiator);
		}
	}
}

int sendtargets_run(struct discovered *ret, struct initiator_failure *ret_fail,
		    const struct sendtargets_cfg *cfg)
{
	struct discovery d = {
		.cfg = cfg,
		.timeout_ns = cfg->timeout_ns ? cfg->timeout_ns : TIMEOUT_NS,
		.timer.fire = on_timeout,
	};
	uint64_t end_ns = clock_now_ns() + d.timeout_ns;
	int r;

	*ret_fail = (struct initiator_failure){0};
	if (!cfg->ask || !*cfg->ask || strlen(cfg->ask) > ISCSI_NAME_MAX || !cfg->port) {
		fail(&d, -EINVAL, false, "no such question can be asked");
		*ret_fail = d.failure;
		return -EINVAL;
	}
	r = loop_new(&d.loop);
	if (r)
		fail(&d, r, false, "%s", strerror(-r));
	else if (start(&d, end_ns) == 0)
		run(&d);
	if (d.loop)
		loop_timer_cancel(d.loop, &d.timer);
	initiator_free(d.initiator);
	loop_free(d.loop);
	if (d.failure.error) {
		discovered_clear(&d.found);
		*ret_fail = d.failure;
		return d.failure.error;
	}
	*ret = d.found;
	return 0;
}
