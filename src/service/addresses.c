/* SPDX-License-Identifier: MIT */
#include "service/addresses.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/log.h"
#include "service/session.h"

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

/* @home: where the session lives, NULL: nowhere yet. It and its group come first, while known. */
static uint32_t any_portal(struct login_addrs *a, const char *target, const struct target_portal *v,
			   size_t n, const struct portal *home, struct refusal *why)
{
	int group = home ? group_of(v, n, home) : -1;
	int r;

	if (n == 0)
		return refuse(why, ISDSC_NO_PORTAL_SPECIFIED,
			      "no portal was given, and none is known for %s", target);
	if (group >= 0)
		addrs_add(a, home->address, home->socket);
	r = add_portals(a, v, n, group);
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

static uint32_t find_from(struct login_addrs *ret, struct manager *m, const struct kept_login *l,
			  const struct portal *home, struct refusal *why)
{
	CLEANUP(freep) struct target_portal *v = NULL;
	size_t n = 0;
	int r = addrs_may_change(l) ? portals_of(m, l->target, &v, &n) : 0;

	*ret = (struct login_addrs){0};
	if (r)
		return refuse_errno(why, r, "the portals of the target could not be listed");
	return l->has_portal ? that_portal(ret, l, v, n, why)
			     : any_portal(ret, l->target, v, n, home, why);
}

uint32_t addrs_find(struct login_addrs *ret, struct manager *m, const struct kept_login *l,
		    struct refusal *why)
{
	return find_from(ret, m, l, NULL, why);
}

/* ---- sessions that are there already ---------------------------------------------- */

struct follow {
	struct session *s;
	const struct login_addrs *addrs;
	uint64_t version;
};

static void follow_on_loop(void *arg)
{
	struct follow *f = arg;
	struct session *s = f->s;

	/* another thread may have looked later and been here before us */
	if (s->gone || s->addrs_version > f->version)
		return;
	s->addrs_version = f->version;
	initiator_set_addrs(s->initiator, f->addrs->v, f->addrs->n);
}

static void follow(struct session *s, uint64_t version)
{
	CLEANUP(refusal_clear) struct refusal why = {0};
	struct kept_login *l = calloc(1, sizeof(*l));
	struct login_addrs addrs;

	if (!l)
		return;
	memcpy(l->target, s->target, sizeof(l->target));
	l->has_portal = s->isid_portal[0];
	l->portal = s->portal;
	l->options.flags = LOGIN_HOPPING;
	if (find_from(&addrs, s->m, l, &s->portal, &why) == 0) {
		log_debug("session %s: %u addresses are tried from now on", s->target, addrs.n);
		loop_call(s->loop, follow_on_loop, &(struct follow){s, &addrs, version});
	} else {
		log_warning("session %s: the portals of the target have changed: %s", s->target,
			    why.text);
	}
	free(l);
}

/* References to those whose targets have changed, with what they were before us; m->lock held. */
static size_t followers(struct manager *m, struct follow *v, size_t n_max)
{
	struct session *s;
	size_t n = 0;

	list_for_each (s, &m->sessions, node) {
		uint64_t version =
			s->open && s->hops ? target_table_version(&m->targets, s->target) : 0;

		/* one that nobody tells of any more is still where it was */
		if (version == 0 || version == s->portals_seen || n == n_max)
			continue;
		s->portals_seen = version;
		s->n_refs++;
		v[n++] = (struct follow){.s = s, .version = version};
	}
	return n;
}

void addrs_follow(struct manager *m)
{
	CLEANUP(freep) struct follow *v = NULL;
	size_t n = 0, n_sessions = 0;
	struct session *s;

	pthread_mutex_lock(&m->lock);
	if (m->portals_seen != m->targets.n_changes) {
		list_for_each (s, &m->sessions, node)
			n_sessions++;
		v = calloc(n_sessions + 1, sizeof(*v));
		if (v) {
			m->portals_seen = m->targets.n_changes;
			n = followers(m, v, n_sessions);
		}
	}
	pthread_mutex_unlock(&m->lock);
	for (size_t i = 0; i < n; i++) {
		log_info("session %s: the portals of the target have changed", v[i].s->target);
		follow(v[i].s, v[i].version);
		sess_put(v[i].s);
	}
}

/* The known portal that is the address of @peer. */
static bool portal_at(struct session *s, const struct tcp_addr *peer, struct portal *ret)
{
	CLEANUP(freep) struct target_portal *v = NULL;
	struct tcp_addr addr;
	size_t n = 0;

	if (portals_of(s->m, s->target, &v, &n))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (tcp_literal(v[i].address, v[i].socket, &addr) || !tcp_addr_equal(&addr, peer))
			continue;
		*ret = (struct portal){.socket = v[i].socket};
		memcpy(ret->address, v[i].address, sizeof(ret->address));
		memcpy(ret->symbolic, v[i].symbolic, sizeof(ret->symbolic));
		return true;
	}
	return false;
}

void addrs_settle(struct session *s, const struct tcp_addr *peer)
{
	if (s->hops && !s->isid_portal[0] && portal_at(s, peer, &s->portal))
		follow(s, s->portals_seen);
}

void addrs_follow_one(struct session *s)
{
	uint64_t version;
	bool changed;

	pthread_mutex_lock(&s->m->lock);
	version = target_table_version(&s->m->targets, s->target);
	changed = s->hops && version != 0 && version != s->portals_seen;
	s->portals_seen = version;
	pthread_mutex_unlock(&s->m->lock);
	if (changed)
		follow(s, version);
}

/* ---- a redirect to a name ----------------------------------------------------------- */

/* Names that targets redirect to, at one time: a resolver that does not answer holds a thread each.
 */
#define LOOKUPS_MAX 32

struct lookup {
	struct session *s;
	unsigned number;
	uint16_t port;
	char host[ADDRESS_MAX + 1];
	struct tcp_addr v[INITIATOR_MAX_ADDRS];
	int n;
};

static void lookup_on_loop(void *arg)
{
	struct lookup *q = arg;

	/* one that has ended is still there, because of our reference */
	initiator_resolved(q->s->initiator, q->number, q->n < 0 ? q->n : 0, q->v,
			   q->n > 0 ? (unsigned)q->n : 0);
}

static void lookup_end(struct lookup *q)
{
	struct manager *m = q->s->m;

	pthread_mutex_lock(&m->lock);
	m->n_lookups--;
	pthread_mutex_unlock(&m->lock);
	sess_put(q->s);
	free(q);
}

static void lookup_run(void *arg)
{
	struct lookup *q = arg;

	q->n = tcp_resolve(q->host, q->port, q->v, INITIATOR_MAX_ADDRS);
	log_debug("session %s: redirected to %s: %s", q->s->target, q->host,
		  q->n < 0 ? "it does not resolve" : "looked up");
	loop_call(q->s->loop, lookup_on_loop, q);
	lookup_end(q);
}

int addrs_resolve(void *session, unsigned number, const char *host, uint16_t port)
{
	struct lookup *q = calloc(1, sizeof(*q));
	struct session *s = session;
	struct manager *m = s->m;
	int r;

	if (!q)
		return -ENOMEM;
	*q = (struct lookup){.s = s, .number = number, .port = port};
	snprintf(q->host, sizeof(q->host), "%s", host);
	pthread_mutex_lock(&m->lock);
	r = m->n_lookups >= LOOKUPS_MAX || m->stopping ? -EBUSY : 0;
	if (r == 0) {
		m->n_lookups++;
		s->n_refs++;
	}
	pthread_mutex_unlock(&m->lock);
	if (r) {
		free(q);
		return r;
	}
	r = manager_helper(m, lookup_run, q);
	if (r)
		lookup_end(q); /* not the last reference: the session is not closed */
	return r;
}

/* ---- one more connection ------------------------------------------------------------- */

static bool is_used(const struct initiator_status *st, const struct tcp_addr *addr)
{
	for (unsigned k = 0; k < st->n_connections; k++) {
		if (st->connection[k].state != INITIATOR_CONN_DOWN &&
		    tcp_addr_equal(&st->connection[k].peer, addr))
			return true;
	}
	return false;
}

/* In order, but those in use last. */
static void unused_first(struct login_addrs *a, const struct initiator_status *st)
{
	const struct login_addrs all = *a;

	a->n = 0;
	for (int used = 0; used <= 1; used++) {
		for (unsigned i = 0; i < all.n; i++) {
			if (is_used(st, &all.v[i]) == used)
				a->v[a->n++] = all.v[i];
		}
	}
}

/* What is not known of any discovery is at least where the session is. */
static void add_peers(struct login_addrs *a, const struct initiator_status *st)
{
	for (unsigned k = 0; k < st->n_connections; k++) {
		if (st->connection[k].state != INITIATOR_CONN_DOWN && a->n < INITIATOR_MAX_ADDRS &&
		    !addrs_have(a, &st->connection[k].peer))
			a->v[a->n++] = st->connection[k].peer;
	}
}

static uint32_t portals_of_group(struct login_addrs *a, struct manager *m, const char *target,
				 const struct initiator_status *st, struct refusal *why)
{
	CLEANUP(freep) struct target_portal *v = NULL;
	size_t n = 0;
	int r = portals_of(m, target, &v, &n);

	if (r)
		return refuse_errno(why, r, "the portals of the target could not be listed");
	for (size_t i = 0; i < n; i++) {
		if (v[i].tpgt == st->params.TargetPortalGroupTag)
			addrs_add(a, v[i].address, v[i].socket);
	}
	unused_first(a, st);
	add_peers(a, st);
	if (a->n == 0)
		return refuse(why, ISDSC_NO_CONNECTION_AVAILABLE,
			      "the session has no connection at the moment");
	return 0;
}

uint32_t addrs_for_connection(struct login_addrs *ret, struct manager *m, const char *target,
			      const struct initiator_status *st, const struct portal *portal,
			      struct refusal *why)
{
	int r;

	*ret = (struct login_addrs){0};
	if (!portal)
		return portals_of_group(ret, m, target, st, why);
	r = addrs_add(ret, portal->address, portal->socket);
	ret->first = *portal;
	if (r == 0)
		return 0;
	return refuse(why, r == -ENOMEM ? WIN_NOT_ENOUGH_MEMORY : ISDSC_DNS_NAME_UNRESOLVED,
		      "\"%s\" cannot be resolved: %s", portal->address,
		      r == -ENOENT ? "no such host" : strerror(-r));
}
