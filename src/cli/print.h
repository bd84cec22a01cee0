/* SPDX-License-Identifier: MIT */
/*
 * Blocks of output that several commands have, as text and for --json
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "cli/cli.h"

/* Lines of 16 bytes in hexadecimal and as characters. */
void print_bytes(const struct cli *cli, int n_indent, const UCHAR *p, size_t n);
void print_security_flags(const struct cli *cli, int n_indent, ISCSI_SECURITY_FLAGS flags);
void print_login_options(const struct cli *cli, const ISCSI_LOGIN_OPTIONS *o);
/* "<Any Port>" for the number that means it. */
void print_port_number(const struct cli *cli, int n_width, ULONG port);
/*
 * One that is only asked for has no session and no names yet: no line for them, as scripts count
 * those with "Session Id" and "Target Name".
 */
void print_mapping(const struct cli *cli, const ISCSI_TARGET_MAPPINGA *m);

json_t *json_login_options(const ISCSI_LOGIN_OPTIONS *o);
json_t *json_mapping(const ISCSI_TARGET_MAPPINGA *m);
json_t *json_id(const ISCSI_UNIQUE_SESSION_ID *id);
/* Bytes in hexadecimal, without blanks. */
json_t *json_bytes(const UCHAR *p, size_t n);
/* The words of the PowerShell module. */
const char *auth_word(ULONG auth);

/* What a target or a mount point is called may hold anything; one line stays one line. */
void text_clean(char *text);

#endif
