/* SPDX-License-Identifier: MIT */
#include "service/startup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/status.h"
#include "service/log.h"
#include "service/persistent.h"
#include "service/portal.h"
#include "service/removal.h"

#define STOP_AGAIN_NS (NS_PER_S / 2)

/* ---- start ----------------------------------------------------------------------- */

static void start_background(void *arg)
{
	struct manager *m = arg;

	portal_refresh_all(m, UINT64_MAX);
	persistent_discovered(m);
}

void startup_begin(struct manager *m)
{
	int r = manager_helper(m, start_background, m);

	if (r)
		log_error("the portals are not asked: %s", strerror(-r));
	r = m->config->kept_logins ? persistent_start(m) : 0;
	if (r)
		log_error("the stored logins are not carried out: %s", strerror(-r));
}

void startup_wait_bound(struct manager *m, const struct bound_wait_ops *ops, char *missing,
			size_t n_missing)
{
	uint64_t timeout_ns = m->config->bound_devices_timeout_ns;
	uint64_t begin_ns = clock_now_ns();

	missing[0] = '\0';
	if (!m->config->kept_logins) {
		log_info("bound devices are not waited for: kept_logins is off");
		return;
	}
	if (bound_wait(m, timeout_ns, ops, missing, n_missing)) {
		log_debug("bound devices: all there after %llu ms",
			  (unsigned long long)((clock_now_ns() - begin_ns) / NS_PER_MS));
		missing[0] = '\0';
	} else if (clock_now_ns() >= begin_ns + timeout_ns) {
		log_error("bound devices: missing after %llu s: %s: %s",
			  (unsigned long long)(timeout_ns / NS_PER_S), missing,
			  status_text(ISDSC_PERSISTENT_LOGIN_TIMEOUT));
	}
}

/* ---- end ---------------------------------------------------------------------------- */

struct held {
	size_t n;
	char text[600]; /* why the first one is still there */
};

/* Logins under way see that the service stops, and end by themselves. */
static size_t logins_under_way(struct manager *m)
{
	struct session *s;
	size_t n = 0;

	pthread_mutex_lock(&m->lock);
	list_for_each (s, &m->sessions, node)
		n += !s->open;
	pthread_mutex_unlock(&m->lock);
	return n;
}

static struct held logout_all(struct manager *m)
{
	struct held held = {logins_under_way(m), "a login is under way"};
	struct session **v;
	size_t n;

	if (sess_list_all(m, &v, &n))
		return (struct held){1, "out of memory"};
	for (size_t i = 0; i < n; i++) {
		CLEANUP(refusal_clear) struct refusal why = {0};
		uint32_t code = sess_logout(v[i], &why);

		if (code == 0 || code == ISDSC_INVALID_SESSION_ID)
			continue;
		if (held.n++ == 0)
			snprintf(held.text, sizeof(held.text), "%s", why.text);
	}
	sess_put_all(v, n);
	return held;
}

static void nap(uint64_t ns, bool (*hurry)(void *arg), void *arg)
{
	uint64_t until_ns = clock_now_ns() + ns;

	while (!hurry(arg) && clock_now_ns() < until_ns)
		usleep(20000);
}

size_t shutdown_sessions(struct manager *m, uint64_t timeout_ns, bool (*hurry)(void *arg),
			 void (*said)(void *arg, const char *text), void *arg)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;
	char last[600] = "";

	for (;;) {
		struct held held = logout_all(m);

		if (held.n == 0)
			return 0;
		if (strcmp(last, held.text) != 0) {
			log_warning("stopping: %zu sessions are held up: %s", held.n, held.text);
			snprintf(last, sizeof(last), "%s", held.text);
			said(arg, held.text);
		}
		if (hurry(arg) || clock_now_ns() + STOP_AGAIN_NS > deadline_ns)
			return held.n;
		nap(STOP_AGAIN_NS, hurry, arg);
	}
}

static void log_holders(struct manager *m)
{
	struct holders h = {0};

	sess_holders(m, NULL, NULL, &h);
	for (size_t i = 0; i < h.n; i++) {
		char text[400];

		holder_text(&h.v[i], text, sizeof(text));
		log_error("stopping: cut off although in use: %s", text);
	}
	holders_clear(&h);
}

bool shutdown_force(struct manager *m)
{
	struct session **v;
	bool ok = true;
	size_t n;

	log_holders(m);
	if (sess_list_all(m, &v, &n))
		return false;
	for (size_t i = 0; i < n; i++)
		ok = sess_force_out(v[i]) && ok;
	sess_put_all(v, n);
	return ok;
}
