/* SPDX-License-Identifier: MIT */
/*
 * iscsicli: the command line of the initiator
 *
 * Scripts written for the Windows program of this name run unchanged: arguments
 * are positional, output and status lines are laid out alike, and a command that
 * is given wrongly shows its usage and succeeds. Our own options stand before the
 * command or behind its last argument.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/hide.h"

static void print_banner(void)
{
	ISCSI_VERSION_INFO v;

	if (GetIScsiVersionInformation(&v) == ERROR_SUCCESS)
		printf("iscsidsc iSCSI Initiator Version %u.%u Build %u\n\n", v.MajorVersion,
		       v.MinorVersion, v.BuildNumber);
}

#define WAIT_STANDARD_S 60
#define WAIT_MAX_S      86400

struct options {
	bool json;
	const char *secret_file;
};

/* "--wait", "--wait=SECONDS" */
static bool wait_take(struct cli *cli, const char *arg)
{
	unsigned long long v;
	char *end;

	if (strcmp(arg, "--wait") == 0) {
		cli->wait_s = WAIT_STANDARD_S;
		return true;
	}
	if (strncmp(arg, "--wait=", 7) != 0 || arg[7] < '0' || arg[7] > '9')
		return false;
	v = strtoull(arg + 7, &end, 10);
	if (*end || v < 1 || v > WAIT_MAX_S)
		return false;
	cli->wait_s = (unsigned)v;
	return true;
}

static bool option_take(struct cli *cli, const char *arg, struct options *o)
{
	if (strcmp(arg, "--json") == 0)
		o->json = true;
	else if (strcmp(arg, "--force") == 0)
		cli->force = true;
	else if (strcmp(arg, "--status") == 0)
		cli->show_status = cli->show_detail = true;
	else
		return wait_take(cli, arg);
	return true;
}

/* Leaves the command and its arguments in argv[0] to argv[argc - 1]. */
static int options_take(struct cli *cli, int argc, char ***argv, struct options *o)
{
	for (; argc > 0; argc--, (*argv)++) {
		/* with a word of its own, so only here: at the end it might be an argument */
		if (argc > 1 && strcmp((*argv)[0], "--secret-file") == 0) {
			o->secret_file = (*argv)[1];
			argc--;
			(*argv)++;
		} else if (!option_take(cli, (*argv)[0], o)) {
			break;
		}
	}
	/* No argument of a command looks like this; a secret would be too short. */
	while (argc > 1 && option_take(cli, (*argv)[argc - 1], o))
		argc--;
	return argc;
}

/* A command that was given; without one they are read from standard input. */
static ISDSC_STATUS run(struct cli *cli, int argc, char **argv, const struct options *o)
{
	CLEANUP(freep) char *wrong = NULL;
	ISDSC_STATUS status;

	/* before the service is asked for the banner */
	if (argc > 0)
		wrong = secrets_hide(argc, argv, o->secret_file);
	else if (o->secret_file || cli->wait_s)
		wrong = strdup("--secret-file and --wait stand before a command");
	if (!cli->json)
		print_banner();
	if (wrong) {
		status = out_refuse(cli, "%s", wrong);
		cli_end(cli, status);
	} else if (argc > 0) {
		status = cli_run(cli, argc, argv);
	} else {
		status = cli_interactive(cli);
	}
	if (argc > 0)
		secrets_wipe(argc, argv);
	return status;
}

/* What was printed counts only when it has left. */
static int exit_status(ISDSC_STATUS status)
{
	int code = cli_exit_status(status);

	if (fflush(stdout) != 0 || ferror(stdout))
		return code ? code : 2;
	return code;
}

int main(int argc, char **argv)
{
	struct cli cli = {0};
	struct options options = {0};
	ISDSC_STATUS status;

	cli.show_detail = isatty(STDOUT_FILENO);
	argc--;
	argv++;
	argc = options_take(&cli, argc, &argv, &options);
	if (options.json) {
		cli.json = json_object();
		if (!cli.json)
			return 2;
	}
	status = run(&cli, argc, argv, &options);
	json_decref(cli.json);
	return exit_status(status);
}
