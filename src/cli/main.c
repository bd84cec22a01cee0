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

static void print_banner(void)
{
	ISCSI_VERSION_INFO v;

	if (GetIScsiVersionInformation(&v) == ERROR_SUCCESS)
		printf("iscsidsc iSCSI Initiator Version %u.%u Build %u\n\n", v.MajorVersion,
		       v.MinorVersion, v.BuildNumber);
}

static bool option_take(struct cli *cli, const char *arg, bool *json)
{
	if (strcmp(arg, "--json") == 0)
		*json = true;
	else if (strcmp(arg, "--status") == 0)
		cli->show_status = cli->show_detail = true;
	else
		return false;
	return true;
}

/* Leaves the command and its arguments in argv[0] to argv[argc - 1]. */
static int options_take(struct cli *cli, int argc, char ***argv, bool *json)
{
	while (argc > 0 && option_take(cli, (*argv)[0], json)) {
		(*argv)++;
		argc--;
	}
	/* No argument of a command looks like this; a secret would be too short. */
	while (argc > 1 && option_take(cli, (*argv)[argc - 1], json))
		argc--;
	return argc;
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
	bool json = false;
	ISDSC_STATUS status;

	cli.show_detail = isatty(STDOUT_FILENO);
	argc--;
	argv++;
	argc = options_take(&cli, argc, &argv, &json);
	if (json) {
		cli.json = json_object();
		if (!cli.json)
			return 2;
	} else {
		print_banner();
	}
	if (argc > 0)
		status = cli_run(&cli, argc, argv);
	else
		status = cli_interactive(&cli);
	json_decref(cli.json);
	return exit_status(status);
}
