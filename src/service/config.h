/* SPDX-License-Identifier: MIT */
/*
 * Configuration: iscsidscd.conf and its drop-ins
 *
 * One table says of every key which section it belongs to, its kind, range and
 * default; reading, refusing and the manual page follow it. Sections:
 *
 *	[service]       the daemon itself
 *	[access]        its clients
 *	[security]      how targets are logged in to
 *	[startup]       what it waits for before it is ready
 *	[session]       every session
 *	[target NAME]   sessions to this target, over [session]; NAME may end in "*"
 *
 * Files are read in order and the last word counts. An unknown key or a bad value
 * is an error that names file and line, and the service does not start: half a
 * configuration is worse than none.
 */
#ifndef SERVICE_CONFIG_H
#define SERVICE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/list.h"
#include "initiator/initiator.h"
#include "iscsi/engine.h"
#include "iscsi/keys.h"
#include "service/log.h"

/* What a session is set up with. Times in ns. */
struct tuning {
	uint64_t hold_ns;
	uint64_t login_timeout_ns;   /* all of the first login */
	uint64_t connect_timeout_ns; /* each address */
	uint64_t nop_interval_ns, nop_timeout_ns;
	uint64_t retry_min_ns, retry_max_ns;
	uint64_t command_timeout_ns;
	uint64_t queue_depth;
	uint64_t max_units;                  /* the LUNs after that many disks are left out */
	uint64_t header_digest, data_digest; /* enum iscsi_digest_offer */
	uint64_t initial_r2t, immediate_data;
	uint64_t first_burst, max_burst, max_recv_segment;
	uint64_t max_outstanding_r2t;
	uint64_t max_connections;
	uint64_t time2wait_ns, time2retain_ns; /* whole seconds */
	uint64_t error_recovery_level;
	uint64_t pdus_in_order, sequences_in_order;
	uint64_t connection_policy; /* enum iscsi_policy */
	uint64_t path_policy;       /* enum lu_policy */
	/* lists of the configuration by number; 0: none */
	uint64_t preferred_portals, portal_weights;
};

struct config {
	char backend[32];
	uint64_t n_reactors; /* 0: as the machine has processors, at most 4 */
	char socket_group[64];
	uint64_t socket_mode;
	uint64_t max_clients;
	uint64_t stop_timeout_ns;
	uint64_t refresh_timeout_ns; /* of asking all portals again */
	uint64_t log_level;          /* enum log_level */
	bool log_level_set;
	uint64_t bound_devices_timeout_ns;
	uint64_t kept_logins;         /* boolean: carry out stored logins at start */
	uint64_t others_may_read;     /* boolean: who may not change anything */
	uint64_t idle_timeout_ns;     /* of a connection between two calls; 0: none */
	uint64_t listener_timeout_ns; /* of one that takes no events; 0: none */
	uint64_t chap_md5;            /* boolean: offered, after what is better */
	struct tuning session;
	struct list overrides; /* of targets, in the order read */
	uint64_t n_portal_lists;
	struct list portal_lists; /* struct portal_list; the n-th is number n */
};

/* Sets the defaults. */
void config_init(struct config *c);
void config_clear(struct config *c);

/**
 * config_load() - read a file, and FILE.d/ *.conf in the order of their names
 * @must_exist: its absence is an error (the user named it)
 * @why:        gets "FILE:LINE: what is wrong" or "FILE: reason"
 *
 * Return: 0; -ENOENT; -EINVAL for content; else -errno.
 */
int config_load(struct config *c, const char *file, bool must_exist, char *why, size_t n_why);
/* After the last file: values that must fit each other. 0 or -EINVAL. */
int config_check(const struct config *c, char *why, size_t n_why);

/* What holds for sessions to @target. */
void config_tuning(const struct config *c, const char *target, struct tuning *ret);
/* Which connections of its sessions are preferred. */
void config_paths(const struct config *c, const struct tuning *t, struct initiator_paths *ret);
/* The offer for a data session; digests as configured. */
void tuning_offer(const struct tuning *t, struct iscsi_params *ret);

#endif
