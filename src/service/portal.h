/* SPDX-License-Identifier: MIT */
/*
 * SendTargets portals: adding, removing, asking
 *
 * A portal is stored before it is asked, and stays stored when asking fails.
 * Asking takes over what it told into the table of targets; a failure leaves
 * there what it had told before.
 *
 * Control threads; asking one portal is bounded by the login timeout.
 */
#ifndef SERVICE_PORTAL_H
#define SERVICE_PORTAL_H

#include "service/manager.h"

uint32_t portal_add(struct manager *m, const struct send_target_portal *p, struct refusal *why);
uint32_t portal_remove(struct manager *m, const struct send_target_portal *key,
		       struct refusal *why);
/* Asks a portal of the list, with the options stored for it. */
uint32_t portal_refresh(struct manager *m, const struct send_target_portal *key,
			struct refusal *why);
/*
 * Asks all, several at a time, until @timeout_ns have passed (UINT64_MAX: as long as it takes)
 * or the service stops. 0 or ISDSC_OPERATION_NOT_ALL_SUCCESS.
 */
uint32_t portal_refresh_all(struct manager *m, uint64_t timeout_ns);

/* What the security flags and options demand and we cannot do: a code other than 0 and words. */
uint32_t demands_check(uint64_t security_flags, const struct login_options *o, struct refusal *why);
/* Digests, connections and times of @o over @offer. */
void options_apply(const struct login_options *o, struct iscsi_params *offer);

#endif
