/* SPDX-License-Identifier: MIT */
/*
 * Groups of arguments that several commands have
 *
 * Each function prints what is wrong and returns the status the command ends with.
 */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include "cli/cli.h"
#include "cli/value.h"

#define N_LOGIN_OPTIONS 9
#define DEFAULT_SOCKET  3260

struct login_options {
	ISCSI_LOGIN_OPTIONS options; /* its pointers lead to the next two */
	struct secret username;
	struct secret password;
};

/* For CLEANUP; wipes. */
void login_options_clear(struct login_options *o);
/* The nine arguments from @argv on, always in the same order. */
ISDSC_STATUS login_options_take(struct cli *cli, char **argv, struct login_options *ret);
/* The two of the quick commands, NULL when they were not given: one-way CHAP. */
ISDSC_STATUS login_options_quick(struct cli *cli, char *user, char *password,
				 struct login_options *ret);

/* @socket NULL: the default port. */
ISDSC_STATUS portal_take(struct cli *cli, const char *address, const char *socket,
			 ISCSI_TARGET_PORTALA *ret);
/* "*" for both: *ret_given is false and there is no portal. Only one of them is refused. */
ISDSC_STATUS portal_take_or_any(struct cli *cli, const char *address, const char *socket,
				ISCSI_TARGET_PORTALA *ret, bool *ret_given);

/* @argv: count, then that many groups of four. *ret is NULL when the count is 0; free it. */
ISDSC_STATUS mapping_take(struct cli *cli, char **argv, ISCSI_TARGET_MAPPINGA **ret);
/* The arguments are @n_before of which the last counts groups of four, and those. */
bool mapping_fits(int argc, char **argv, int n_before);

ISDSC_STATUS session_id_take(struct cli *cli, const char *arg, ISCSI_UNIQUE_SESSION_ID *ret);
/* value_secret() with its complaint. */
ISDSC_STATUS secret_take(struct cli *cli, char *arg, struct secret *ret);

#endif
