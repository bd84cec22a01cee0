/* SPDX-License-Identifier: MIT */
#include "service/handover.h"

#include <strings.h>

#include "service/unit.h"

/* manager->lock. Units without a device lose nothing. */
static bool path_can_stay(const struct unit_path *p)
{
	const struct unit *u = p->unit;
	char name[LU_NAME_MAX];

	if (!u->dev)
		return true;
	/* without a name the next service could not know that it is the same unit */
	lu_info_name(&u->info, name, sizeof(name));
	return u->backend->takes_over && u->state == UNIT_READY && name[0];
}

static bool paths_can_stay(struct session *s)
{
	const struct unit_path *p;
	bool can = true;

	pthread_mutex_lock(&s->m->lock);
	list_for_each (p, &s->paths, in_session)
		can = can && path_can_stay(p);
	pthread_mutex_unlock(&s->m->lock);
	return can;
}

static int login_is_of(void *arg, const struct kept_login *l)
{
	const struct session *s = arg;

	return !l->informational && iscsi_name_equal(l->target, s->target) &&
	       (!l->has_portal || (l->portal.socket == s->portal.socket &&
				   strcasecmp(l->portal.address, s->portal.address) == 0));
}

bool handover_can_stay(struct session *s)
{
	return s->m->config->kept_logins && !s->informational && paths_can_stay(s) &&
	       store_each_login(s->m->store, login_is_of, s) == 1;
}
