/* SPDX-License-Identifier: MIT */
/*
 * Devices and their holders as the service tells them, beyond what the library has
 */
#ifndef CLI_OWN_H
#define CLI_OWN_H

#include "cli/cli.h"

/*
 * Who uses the devices of a session: lines, or "Holders" in JSON. Prints the lines
 * of @detail instead when the service does not say.
 */
void holders_show(struct cli *cli, const char *session_id, const char *detail);

/* The service's devices of a session; NULL when it does not say. */
json_t *devices_get(const char *session_id);
/* That of them whose open() name or stable name is given; borrowed, NULL: none. */
const json_t *devices_find(const json_t *devices, const char *legacy_name,
			   const char *interface_name);

#endif
