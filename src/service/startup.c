/* SPDX-License-Identifier: MIT */
#include "service/startup.h"

#include <errno.h>
#include <string.h>

#include "base/status.h"
#include "service/log.h"
#include "service/persistent.h"
#include "service/portal.h"

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
