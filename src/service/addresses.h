/* SPDX-License-Identifier: MIT */
/*
 * Where a session connects to
 *
 * The portal that was asked for, and with the flag that allows hopping the other
 * portals of the target after it; or all that are known. Those of the same portal
 * group come before the others: there a session is taken up again, elsewhere the
 * target begins a new one.
 */
#ifndef SERVICE_ADDRESSES_H
#define SERVICE_ADDRESSES_H

#include "initiator/initiator.h"
#include "service/manager.h"

struct session;

struct login_addrs {
	struct tcp_addr v[INITIATOR_MAX_ADDRS];
	unsigned n;
	unsigned n_left_out; /* for want of room */
	struct portal first; /* as asked for; where any would do, the first one that counts */
};

/* May it connect to other portals than the one that it was given? */
bool addrs_may_change(const struct kept_login *l);

/* Names are looked up: manager->lock not held. 0, or a code with @why. */
uint32_t addrs_find(struct login_addrs *ret, struct manager *m, const struct kept_login *l,
		    struct refusal *why);

/*
 * After a change of the table of targets: sessions that may hop hear of the portals that
 * their targets have now, for the next time that they connect. No lock held.
 */
void addrs_follow(struct manager *m);
/*
 * @s has logged in at @peer and nobody can see it yet. Where any portal would do, that is
 * its home now: it and its portal group are tried first whenever the connection is lost.
 */
void addrs_settle(struct session *s, const struct tcp_addr *peer);
/* What has changed while @s was logging in. */
void addrs_follow_one(struct session *s);

/*
 * The target redirects connection @number of a session to a name. Reactor thread; a helper looks
 * the name up and tells the initiator. 0; -EBUSY: enough are being looked up; -errno.
 */
int addrs_resolve(void *session, unsigned number, const char *host, uint16_t port);

/*
 * For one more connection of a session: @portal, or with NULL the portals of the session's
 * group, those that no connection uses yet before the others.
 */
uint32_t addrs_for_connection(struct login_addrs *ret, struct manager *m, const char *target,
			      const struct initiator_status *st, const struct portal *portal,
			      struct refusal *why);

#endif
