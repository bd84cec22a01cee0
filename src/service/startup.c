/* SPDX-License-Identifier: MIT */
#include "service/startup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/log.h"
#include "service/portal.h"
#include "service/removal.h"

#define STOP_AGAIN_NS (NS_PER_S / 2)

/* ---- start ----------------------------------------------------------------------- */

struct start_login {
	struct manager *m;
	struct kept_login login;
};

uint64_t startup_delay_ns(const struct tuning *t, unsigned n)
{
	uint64_t delay = t->retry_min_ns;

	while (--n > 0 && delay < t->retry_max_ns)
		delay *= 2;
	return delay < t->retry_max_ns ? delay : t->retry_max_ns;
}

/* One kept login, until there is a session or the service stops. */
static void start_login(void *arg)
{
	struct start_login *sl = arg;
	struct tuning tuning;
	uint32_t last = 0;

	config_tuning(sl->m->config, sl->login.target, &tuning);
	for (unsigned n = 1; !manager_stopping(sl->m); n++) {
		CLEANUP(refusal_clear) struct refusal why = {0};
		struct session *s = NULL;
		uint32_t code = sess_open(&s, sl->m, &sl->login, true, &why);

		sess_put(s);
		if (code == 0 || code == ISDSC_TARGET_ALREADY_LOGGED_IN)
			break;
		/* each reason once, not each attempt */
		if (code != last)
			log_warning("stored login to %s: %s; it is tried again", sl->login.target,
				    why.text);
		last = code;
		if (code == ISDSC_REQUEST_NOT_SUPPORTED ||
		    code == ISDSC_IPSEC_NOT_SUPPORTED_ON_OS) {
			log_error("stored login to %s: cannot be carried out by this version",
				  sl->login.target);
			break;
		}
		if (!manager_sleep(sl->m, startup_delay_ns(&tuning, n)))
			break;
	}
	explicit_bzero(sl, sizeof(*sl));
	free(sl);
}

static void start_one(struct manager *m, const struct kept_login *login)
{
	struct start_login *sl = malloc(sizeof(*sl));

	if (sl) {
		*sl = (struct start_login){m, *login};
		if (manager_helper(m, start_login, sl) == 0)
			return;
		explicit_bzero(sl, sizeof(*sl));
		free(sl);
	}
	log_error("stored login to %s: no thread for it", login->target);
}

static void start_logins(struct manager *m)
{
	struct kept_login *v = NULL;
	size_t n = 0;
	int r = store_load_logins(m->store, &v, &n);

	if (r) {
		log_error("the stored logins cannot be read: %s", strerror(-r));
		return;
	}
	for (size_t i = 0; i < n; i++)
		start_one(m, &v[i]);
	if (v)
		explicit_bzero(v, n * sizeof(*v));
	free(v);
}

static void start_background(void *arg)
{
	struct manager *m = arg;

	portal_refresh_all(m);
}

void startup_begin(struct manager *m)
{
	int r = manager_helper(m, start_background, m);

	if (r)
		log_error("the portals are not asked: %s", strerror(-r));
	if (m->config->kept_logins)
		start_logins(m);
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
