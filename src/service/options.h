/* SPDX-License-Identifier: MIT */
/*
 * The daemon's command line
 */
#ifndef SERVICE_OPTIONS_H
#define SERVICE_OPTIONS_H

#include <stdbool.h>

#include "service/log.h"

#define EXIT_USAGE  2 /* command line or configuration */
#define EXIT_HELD   3 /* devices were in use when the service had to end */
#define EXIT_IN_USE 4 /* another service has the state, the devices or the socket */

struct options {
	bool user_mode;
	bool config_given;
	const char *config, *backend; /* NULL: not given */
	char socket[512], state_dir[512], devices_dir[512];
	bool has_log_level;
	enum log_level log_level;
	bool ends; /* --help or --version was served: exit 0 */
};

/* 0; -EINVAL after a message on stderr. */
int options_parse(struct options *o, int argc, char **argv);

#endif
