/* SPDX-License-Identifier: MIT */
#include "service/addresses.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

bool addrs_may_change(const struct kept_login *l)
{
	return !l->has_portal || (l->options.flags & LOGIN_HOPPING);
}

static bool addrs_have(const struct login_addrs *a, const struct tcp_addr *addr)
{
	for (unsigned i = 0; i < a->n; i++) {
		if (tcp_addr_equal(&a->v[i], addr))
			return true;
	}
	return false;
}

static int addrs_add(struct login_addrs *a, const char *host, uint16_t port)
{
	struct tcp_addr v[INITIATOR_MAX_ADDRS];
	int n;

	if (a->n >= INITIATOR_MAX_ADDRS) {
		a->n_left_out++;
		return 0;
	}
	n = tcp_resolve(host, port, v, INITIATOR_MAX_ADDRS);
	for (int i = 0; i < n; i++) {
		if (addrs_have(a, &v[i]))
			continue;
		if (a->n < INITIATOR_MAX_ADDRS)
			a->v[a->n++] = v[i];
		else
			a->n_left_out++;
	}
	return n < 0 ? n : 0;
}

static bool portal_is(const struct target_portal *t, const struct portal *p)
{
	return t->socket == p->socket && strcasecmp(t->address, p->address) == 0;
}

/* The group of the portal that was asked for, as far as it is known; -1. */
static int group_of(const struct target_portal *v, size_t n, const struct portal *p)
{
	for (size_t i = n; i-- > 0;) {
		/* static portals come first and have no tag of the target's */
		if (portal_is(&v[i], p))
			return v[i].tpgt;
	}
	return -1;
}

/* Those of @v in order; the last error, when none could be used. */
static int add_portals(struct login_addrs *a, const struct target_portal *v, size_t n, int group)
{
	int r, error = 0;

	for (int same = 1; same >= 0; same--) {
		for (size_t i = 0; i < n; i++) {
			if ((group < 0 || v[i].tpgt == group) != same)
				continue;
			r = addrs_add(a, v[i].address, v[i].socket);
			if (r) {
				error = r;
			} else if (!a->first.address[0]) {
				memcpy(a->first.address, v[i].address, sizeof(a->first.address));
				memcpy(a->first.symbolic, v[i].symbolic, sizeof(a->first.symbolic));
				a->first.socket = v[i].socket;
			}
		}
	}
	return a->n > 0 ? 0 : error;
}

static int portals_of(struct manager *m, const char *target, struct target_portal **ret,
		      size_t *ret_n)
{
	int r;

	pthread_mutex_lock(&m->lock);
	r = target_table_portals(&m->targets, target, -1, ret, ret_n);
	pthread_mutex_unlock(&m->lock);
	return r == -ENOENT ? 0 : r;
}

static uint32_t any_portal(struct login_addrs *a, const char *target, const struct target_portal *v,
			   size_t n, struct refusal *why)
{
	int r;

	if (n == 0)
		return refuse(why, ISDSC_NO_PORTAL_SPECIFIED,
			      "no portal was given, and none is known for %s", target);
	r = add_portals(a, v, n, -1);
	if (r)
		return refuse(why, ISDSC_DNS_NAME_UNRESOLVED,
			      "no portal of %s has an address that can be resolved: %s", target,
			      strerror(-r));
	return 0;
}

static uint32_t that_portal(struct login_addrs *a, const struct kept_login *l,
			    const struct target_portal *v, size_t n, struct refusal *why)
{
	int r = addrs_add(a, l->portal.address, l->portal.socket);

	a->first = l->portal;
	if (n > 0)
		add_portals(a, v, n, group_of(v, n, &l->portal));
	if (a->n > 0)
		return 0;
	return refuse(why, r == -ENOMEM ? WIN_NOT_ENOUGH_MEMORY : ISDSC_DNS_NAME_UNRESOLVED,
		      "\"%s\" cannot be resolved: %s", l->portal.address,
		      r == -ENOENT ? "no such host" : strerror(-r));
}

uint32_t addrs_find(struct login_addrs *ret, struct manager *m, const struct kept_login *l,
		    struct refusal *why)
{
	CLEANUP(freep) struct target_portal *v = NULL;
	size_t n = 0;
	int r = addrs_may_change(l) ? portals_of(m, l->target, &v, &n) : 0;

	*ret = (struct login_addrs){0};
	if (r)
		return refuse_errno(why, r, "the portals of the target could not be listed");
	return l->has_portal ? that_portal(ret, l, v, n, why)
			     : any_portal(ret, l->target, v, n, why);
}
