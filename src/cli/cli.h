/* SPDX-License-Identifier: MIT */
/*
 * iscsicli: what its commands share
 *
 * A command gets its arguments, calls the library, and prints what it found; the
 * banner, the text of the status and the exit status are not its business. With
 * --json it prints nothing and fills an object instead, which is printed once, at
 * the end. Everything goes to standard output, errors included, because scripts
 * written for the Windows program read them there.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "iscsidsc.h"

struct cli {
	json_t *json; /* the result of the running command; NULL: text is printed */
	bool refused; /* set with a complaint of our own: the library has nothing to add */
	bool usage;   /* set by a command: its arguments make no sense, show how they are given */
	bool show_status; /* --status: the number of the status on the last line */
	bool force;       /* --force: a logout takes devices away that are in use */
	unsigned wait_s;  /* --wait: how long a login may wait for its devices; 0: not */
	bool show_detail; /* what the library has to say beyond a status is printed */
};

struct command {
	const char *name;
	int n_min, n_max; /* arguments; n_max negative: any number from n_min */
	const char *args; /* as in the usage text */
	const char *help; /* lines of the usage text, each ended by a newline */
	ISDSC_STATUS (*run)(struct cli *cli, int argc, char **argv);
	bool (*fits)(int argc,
		     char **argv); /* optional: the number of arguments beyond min and max */
};

/* Letter case is ignored. NULL: there is no such command. */
const struct command *command_find(const char *name);
bool command_fits(const struct command *c, int argc, char **argv);
/* May be told to wait for devices. */
bool command_waits(const struct command *c);
/* How many arguments there were, where they do not fit: "" when they do. */
void command_given(const struct command *c, int argc, char **argv, char *buf, size_t n_buf);
/* @given: a line of it, or "". */
void command_print_usage(const struct command *c, const char *given);
/* Every command with its arguments. */
void command_print_help(void);

/**
 * cli_run() - one command with its final status line, or its JSON object
 * @argc, @argv: the command's name and its arguments; secrets in them are wiped
 *
 * Return: the status; 0 as well when there is no such command or its arguments
 * make no sense, after printing how they are given.
 */
ISDSC_STATUS cli_run(struct cli *cli, int argc, char **argv);
/* The end of a command: its status line, or the JSON object. */
void cli_end(struct cli *cli, ISDSC_STATUS status);
/* Reads commands until the end of standard input. Return: the status of the last one. */
ISDSC_STATUS cli_interactive(struct cli *cli);
/* Exit status of the process: 0, 1 for a status of iSCSI, 2 for one of the system. */
int cli_exit_status(ISDSC_STATUS status);
/* The text of a status and a blank, on a line of its own. */
void cli_print_status(const struct cli *cli, ISDSC_STATUS status, const char *detail);

/* Prints unless --json. */
__attribute__((format(printf, 2, 3))) void out(const struct cli *cli, const char *fmt, ...);
/* The complaint about an argument. Return: ERROR_INVALID_PARAMETER. */
__attribute__((format(printf, 2, 3))) ISDSC_STATUS out_refuse(struct cli *cli, const char *fmt,
							      ...);
/* With --json: a member of the result; @value is taken, NULL when memory ran out. */
void out_json(struct cli *cli, const char *key, json_t *value);
void json_dropp(json_t **p);

/* cmd_discovery.c, cmd_target.c */
ISDSC_STATUS cmd_add_target_portal(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_q_add_target_portal(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_remove_target_portal(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_refresh_target_portal(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_list_target_portals(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_list_targets(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_add_isns_server(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_remove_isns_server(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_refresh_isns_server(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_list_isns_servers(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_firewall_isns(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_add_target(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_q_add_target(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_remove_target(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_target_info(struct cli *cli, int argc, char **argv);

/* cmd_login.c */
ISDSC_STATUS cmd_login_target(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_persistent_login_target(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_q_login_target(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_logout_target(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_list_persistent_targets(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_remove_persistent_target(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_add_connection(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_q_add_connection(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_remove_connection(struct cli *cli, int argc, char **argv);

/* cmd_session.c */
ISDSC_STATUS cmd_session_list(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_report_target_mappings(struct cli *cli, int argc, char **argv);
/* Spelling of the listings: two hexadecimal numbers in lower case. */
#define ID_TEXT_BYTES 34
void id_format(const ISCSI_UNIQUE_SESSION_ID *id, char buf[ID_TEXT_BYTES]);

/* cmd_scsi.c */
ISDSC_STATUS cmd_scsi_inquiry(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_read_capacity(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_report_luns(struct cli *cli, int argc, char **argv);

/* cmd_node.c */
ISDSC_STATUS cmd_list_initiators(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_node_name(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_chap_secret(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_tunnel_addr(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_group_key(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_ps_key(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_get_ps_key(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_bind_persistent(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_report_persistent_devices(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_add_persistent_device(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_remove_persistent_device(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_clear_persistent_devices(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_ping(struct cli *cli, int argc, char **argv);

/* cmd_own.c */
ISDSC_STATUS cmd_devices(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_holders(struct cli *cli, int argc, char **argv);

/* cmd_upkeep.c, cmd_watch.c */
ISDSC_STATUS cmd_rescan(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_stats(struct cli *cli, int argc, char **argv);
ISDSC_STATUS cmd_watch(struct cli *cli, int argc, char **argv);

#endif
