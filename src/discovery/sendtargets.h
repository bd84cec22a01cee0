/* SPDX-License-Identifier: MIT */
/*
 * SendTargets discovery (RFC 7143 Appendix C)
 *
 * One discovery session: connect, log in, ask for all targets, log out. Runs its
 * own loop on the calling control thread, which it blocks for a bounded time.
 */
#ifndef DISCOVERY_SENDTARGETS_H
#define DISCOVERY_SENDTARGETS_H

#include <stddef.h>
#include <stdint.h>

#include "initiator/initiator.h"

struct discovered_portal {
	char address[256]; /* as the target wrote it, IPv6 without brackets */
	uint16_t port;
	uint16_t tpgt; /* TargetPortalGroupTag */
};

struct discovered_target {
	char name[224];
	struct discovered_portal *portals;
	size_t n_portals; /* a record without TargetAddress gives the portal that was asked */
};

struct discovered {
	struct discovered_target *targets;
	size_t n_targets;
};

struct sendtargets_cfg {
	const char *initiator_name;
	uint8_t isid[6];
	const char *host; /* for resolving and for records without an address */
	uint16_t port;
	uint32_t header_digest, data_digest; /* enum iscsi_digest_offer */
	struct iscsi_auth auth;              /* all zero: none */
	const char *ask;                     /* "All", or a target's name */
	uint64_t timeout_ns;                 /* for everything; 0: 30 s */
};

/**
 * sendtargets_run() - what is there?
 * @ret:  filled on success; discovered_clear() it
 * @fail: filled on failure: error -ENOENT the name did not resolve, -EBADMSG the answer could not
 * be parsed, else as for a login
 *
 * At most 4096 targets with 64 portals each and 1 MiB of text are taken; more is -EBADMSG.
 * Return: 0 or fail->error.
 */
int sendtargets_run(struct discovered *ret, struct initiator_failure *fail,
		    const struct sendtargets_cfg *cfg);
void discovered_clear(struct discovered *d);

/* The parser alone (fuzzed): text of TargetName and TargetAddress pairs, each ended by NUL. 0 or
 * -EBADMSG, -ENOMEM. */
int sendtargets_parse(struct discovered *ret, const char *text, size_t n, const char *asked_host,
		      uint16_t asked_port);

#endif
