/* SPDX-License-Identifier: MIT */
/*
 * Devices and their holders as the service tells them, beyond what the library has
 */
#ifndef CLI_OWN_H
#define CLI_OWN_H

#include "cli/cli.h"

#define WHY_BYTES      512
#define LUN_TEXT_BYTES 32

/**
 * own_call() - a call that the library has no function for
 * @params:    taken
 * @key:       of the list in the reply; NULL: the reply has nothing
 * @ret_list:  a new reference
 *
 * What went wrong is said, because the library cannot.
 */
ISDSC_STATUS own_call(struct cli *cli, const char *method, json_t *params, const char *key,
		      json_t **ret_list);
/* Says why a call of the service failed, where that is wanted; the library is not asked. */
void own_why(struct cli *cli, char *why);
/* A peripheral LUN as its number, all else as the 8 bytes that it is. */
void lun_text(const char *lun, char buf[LUN_TEXT_BYTES]);

/*
 * Who uses the devices of a session: lines, or "Holders" in JSON. Prints the lines
 * of @detail instead when the service does not say.
 */
void holders_show(struct cli *cli, const char *session_id, const char *detail);

/* --wait: until the devices of a session can be used; ISDSC_DEVICE_NOT_FOUND: not in time. */
ISDSC_STATUS devices_wait(struct cli *cli, const ISCSI_UNIQUE_SESSION_ID *id);

/* The service's devices of a session; NULL when it does not say. */
json_t *devices_get(const char *session_id);
/* That of them whose open() name or stable name is given; borrowed, NULL: none. */
const json_t *devices_find(const json_t *devices, const char *legacy_name,
			   const char *interface_name);

#endif
