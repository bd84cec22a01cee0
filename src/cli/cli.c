/* SPDX-License-Identifier: MIT */
/*
 * Running a command: what is printed around it
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/status.h"

#define LINE_MAX_BYTES 4096 /* of a line in interactive mode, without its end */
#define WORDS_MAX      4200 /* of such a line */

void json_dropp(json_t **p)
{
	json_decref(*p);
}

void out(const struct cli *cli, const char *fmt, ...)
{
	va_list ap;

	if (cli->json)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
}

ISDSC_STATUS out_refuse(struct cli *cli, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cli->refused = true;
	if (cli->json)
		out_json(cli, "Detail", json_string(text));
	else
		printf("%s\n", text);
	return ERROR_INVALID_PARAMETER;
}

void out_json(struct cli *cli, const char *key, json_t *value)
{
	if (!cli->json) {
		json_decref(value);
		return;
	}
	/* Text that is not UTF-8 has no place in JSON; what is left out is null. */
	if (!value)
		value = json_null();
	if (json_object_set_new(cli->json, key, value) < 0)
		fprintf(stdout, "%s\n", status_text(ERROR_NOT_ENOUGH_MEMORY));
}

int cli_exit_status(ISDSC_STATUS status)
{
	if (status == ERROR_SUCCESS)
		return 0;
	return status >> 16 == 0xEFFF || status >> 16 == 0xAFFF ? 1 : 2;
}

/* Further lines of a detail are the holders of devices, which the commands print. */
static void print_detail(const char *detail)
{
	int n = (int)strcspn(detail, "\n");

	if (n > 0)
		printf("    %.*s\n", n, detail);
}

void cli_print_status(const struct cli *cli, ISDSC_STATUS status, const char *detail)
{
	if (status && cli->show_detail)
		print_detail(detail);
	if (status_name(status))
		printf("%s \n", status_text(status));
	else
		printf("Status: 0x%x\n", status);
	if (cli->show_status && status_name(status))
		printf("Status: 0x%x\n", status);
}

static void json_finish(struct cli *cli, ISDSC_STATUS status, const char *detail)
{
	const char *name = status_name(status);

	out_json(cli, "Status", json_integer(status));
	out_json(cli, "StatusName", name ? json_string(name) : json_null());
	out_json(cli, "Message", json_string(status_text(status)));
	if (status && *detail && !json_object_get(cli->json, "Detail"))
		out_json(cli, "Detail", json_stringn(detail, strcspn(detail, "\n")));
	json_dumpf(cli->json, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	printf("\n");
}

/* How a command, or all of them, are used. */
static void usage_show(struct cli *cli, const struct command *c, int argc, char **argv)
{
	char given[128] = "";

	if (c)
		command_given(c, argc, argv, given, sizeof(given));
	if (cli->json) {
		out_json(cli, "Usage",
			 c ? json_sprintf("iscsicli %s %s", c->name, c->args) : json_null());
		if (*given)
			out_json(cli, "Detail", json_string(given));
	} else if (c) {
		command_print_usage(c, given);
	} else {
		command_print_help();
	}
}

static ISDSC_STATUS command_run(struct cli *cli, int argc, char **argv)
{
	const struct command *c = command_find(argv[0]);
	ISDSC_STATUS status;

	if (c)
		out_json(cli, "Command", json_string(c->name));
	if (!c || !command_fits(c, argc - 1, argv + 1)) {
		usage_show(cli, c, argc - 1, argv + 1);
		return ERROR_SUCCESS;
	}
	cli->usage = cli->refused = false;
	if (cli->wait_s && !command_waits(c))
		return out_refuse(cli, "--wait is for LoginTarget and QLoginTarget");
	if (cli->force && c->run != cmd_logout_target)
		return out_refuse(cli, "--force is for LogoutTarget");
	status = c->run(cli, argc - 1, argv + 1);
	if (cli->usage) {
		usage_show(cli, c, argc - 1, argv + 1);
		return ERROR_SUCCESS;
	}
	return status;
}

void cli_end(struct cli *cli, ISDSC_STATUS status)
{
	const char *detail = cli->refused ? "" : iscsidsc_last_detail();

	if (cli->json)
		json_finish(cli, status, detail);
	else
		cli_print_status(cli, status, detail);
}

ISDSC_STATUS cli_run(struct cli *cli, int argc, char **argv)
{
	ISDSC_STATUS status = command_run(cli, argc, argv);

	cli_end(cli, status);
	return status;
}

/* Splits in place at blanks; double quotes hold words together. Return: number of words. */
static int line_split(char *line, char *words[WORDS_MAX])
{
	int n = 0;
	char *to;

	for (;;) {
		bool quoted = false;

		line += strspn(line, " \t\r\n");
		if (!*line || n == WORDS_MAX)
			return n;
		words[n++] = to = line;
		for (; *line && (quoted || !strchr(" \t\r\n", *line)); line++) {
			if (*line == '"')
				quoted = !quoted;
			else
				*to++ = *line;
		}
		if (*line)
			line++;
		*to = '\0';
	}
}

static void line_run(struct cli *cli, char *line, ISDSC_STATUS *status)
{
	CLEANUP(freep) char **words = calloc(WORDS_MAX, sizeof(*words));
	int n;

	if (!words) {
		*status = ERROR_NOT_ENOUGH_MEMORY;
		return;
	}
	n = line_split(line, words);
	if (n == 0)
		return;
	if (strcasecmp(words[0], "iscsicli") == 0 && n > 1)
		*status = cli_run(cli, n - 1, words + 1);
	else
		*status = cli_run(cli, n, words);
}

/* False at the end of the input. A line that is too long is read to its end and given up. */
static bool line_read(char line[LINE_MAX_BYTES + 1], bool *ret_too_long)
{
	size_t n = 0;
	int c;

	*ret_too_long = false;
	while ((c = getchar()) != EOF && c != '\n') {
		if (n == LINE_MAX_BYTES)
			*ret_too_long = true;
		else
			line[n++] = c ? (char)c : ' ';
	}
	line[n] = '\0';
	return c != EOF || n > 0;
}

ISDSC_STATUS cli_interactive(struct cli *cli)
{
	char line[LINE_MAX_BYTES + 1];
	char name[MAX_ISCSI_NAME_LEN + 1];
	ISDSC_STATUS status = ERROR_SUCCESS, asked;
	bool too_long;

	for (;;) {
		asked = GetIScsiInitiatorNodeNameA(name);
		if (asked) {
			if (cli->json)
				json_finish(cli, asked, iscsidsc_last_detail());
			else if (status_name(asked))
				out(cli, "Error getting node name: %s \n", status_text(asked));
			else
				out(cli, "Error getting node name: Status: 0x%x\n", asked);
			return asked;
		}
		out(cli, "[%s] Enter command or ^C to exit\n", name);
		fflush(stdout);
		if (!line_read(line, &too_long))
			return status;
		if (too_long) {
			out(cli, "A command may have %d characters\n", LINE_MAX_BYTES);
			status = ERROR_INVALID_PARAMETER;
			if (cli->json)
				json_finish(cli, status, "");
			else
				cli_print_status(cli, status, "");
			continue;
		}
		if (cli->json) {
			json_decref(cli->json);
			cli->json = json_object();
			if (!cli->json)
				return ERROR_NOT_ENOUGH_MEMORY;
		}
		line_run(cli, line, &status);
		explicit_bzero(line, sizeof(line));
	}
}
