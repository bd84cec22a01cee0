/* SPDX-License-Identifier: MIT */
/*
 * Lists of portals in the configuration
 *
 *	preferred_portals = ADDRESS[:PORT] …
 *	portal_weights = ADDRESS[:PORT]=WEIGHT …
 *
 * Which connections the policy of a session prefers is said by where they lead. Numbers
 * only: the address that a connection has is compared, and no name is looked up for it.
 */
#ifndef SERVICE_PREFERENCE_H
#define SERVICE_PREFERENCE_H

#include "initiator/initiator.h"

struct portal_list {
	struct list node; /* config->portal_lists */
	uint64_t number;  /* names it; 1 … */
	unsigned n;
	struct tcp_addr addr[INITIATOR_MAX_PATHS];
	unsigned weight[INITIATOR_MAX_PATHS];
};

/*
 * Separated by spaces or commas. 0; -EINVAL for what is no address, too many of them, one of them
 * twice, or (with @weights, where each has one, 0 … 65535) no weight.
 */
int portal_list_parse(struct portal_list *ret, const char *text, bool weights);
/* Either may be NULL. What is not in a list that there is comes last. */
void portal_lists_apply(const struct portal_list *preferred, const struct portal_list *weights,
			struct initiator_paths *ret);

#endif
