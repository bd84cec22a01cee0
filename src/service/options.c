/* SPDX-License-Identifier: MIT */
#include "service/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/iscsidsc/iscsidscd.conf"

static const char usage[] =
	"Usage: iscsidscd [OPTION]...\n"
	"The iSCSI initiator service.\n"
	"\n"
	"      --foreground         stay in the foreground (it always does)\n"
	"      --user               run without root, in the user's own directories\n"
	"      --config FILE        configuration (" DEFAULT_CONFIG ")\n"
	"      --socket PATH        where clients connect\n"
	"      --state-dir DIR      what survives a restart\n"
	"      --devices-dir DIR    device files and links\n"
	"      --backend NAME       how disks are presented: auto, loop, fuse\n"
	"      --log-level LEVEL    error, warning, info or debug\n"
	"      --version            print the version\n"
	"      --help               print this\n"
	"\n"
	"Exit status: 0 stopped; 1 could not start or failed; 2 wrong option or\n"
	"configuration; 3 devices were in use at the end; 4 another service has one of\n"
	"these directories.\n";

static int path_set(char *buf, size_t n, const char *what, const char *a, const char *b)
{
	char cwd[512] = "";
	int k;

	/* the working directory is left, so everything is absolute */
	if (a[0] != '/' && (!getcwd(cwd, sizeof(cwd) - 1) || cwd[0] != '/')) {
		fprintf(stderr, "iscsidscd: the working directory cannot be told\n");
		return -EINVAL;
	}
	k = snprintf(buf, n, "%s%s%s%s", cwd, cwd[0] ? "/" : "", a, b);
	if (k < 0 || (size_t)k >= n || a[0] == '\0') {
		fprintf(stderr, "iscsidscd: --%s: the path is %s\n", what,
			a[0] ? "too long" : "empty");
		return -EINVAL;
	}
	return 0;
}

static int default_paths(struct options *o)
{
	const char *run = getenv("XDG_RUNTIME_DIR"), *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int r = 0;

	if (!o->user_mode) {
		run = "/run";
		state = "/var/lib";
	} else if ((!o->socket[0] || !o->devices_dir[0]) && (!run || run[0] != '/')) {
		fprintf(stderr, "iscsidscd: --user needs XDG_RUNTIME_DIR, or --socket and "
				"--devices-dir\n");
		return -EINVAL;
	}
	if (!o->socket[0])
		r = path_set(o->socket, sizeof(o->socket), "socket", run,
			     "/iscsidsc/iscsidsc.socket");
	if (r == 0 && !o->devices_dir[0])
		r = path_set(o->devices_dir, sizeof(o->devices_dir), "devices-dir", run,
			     "/iscsidsc/devices");
	if (r || o->state_dir[0])
		return r;
	if (state && state[0] == '/')
		return path_set(o->state_dir, sizeof(o->state_dir), "state-dir", state,
				"/iscsidsc");
	if (!home || home[0] != '/') {
		fprintf(stderr, "iscsidscd: --user needs HOME or --state-dir\n");
		return -EINVAL;
	}
	return path_set(o->state_dir, sizeof(o->state_dir), "state-dir", home,
			"/.local/state/iscsidsc");
}

int options_parse(struct options *o, int argc, char **argv)
{
	enum {
		OPT_FOREGROUND = 256,
		OPT_USER,
		OPT_CONFIG,
		OPT_SOCKET,
		OPT_STATE,
		OPT_DEVICES,
		OPT_BACKEND,
		OPT_LEVEL,
		OPT_VERSION,
		OPT_HELP,
	};
	static const struct option longs[] = {
		{"foreground", no_argument, NULL, OPT_FOREGROUND},
		{"user", no_argument, NULL, OPT_USER},
		{"config", required_argument, NULL, OPT_CONFIG},
		{"socket", required_argument, NULL, OPT_SOCKET},
		{"state-dir", required_argument, NULL, OPT_STATE},
		{"devices-dir", required_argument, NULL, OPT_DEVICES},
		{"backend", required_argument, NULL, OPT_BACKEND},
		{"log-level", required_argument, NULL, OPT_LEVEL},
		{"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, OPT_HELP},
		{0},
	};
	int c, r = 0;

	*o = (struct options){.config = DEFAULT_CONFIG};
	while (r == 0 && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case OPT_FOREGROUND: break;
		case OPT_USER: o->user_mode = true; break;
		case OPT_CONFIG:
			o->config = optarg;
			o->config_given = true;
			break;
		case OPT_SOCKET:
			r = path_set(o->socket, sizeof(o->socket), "socket", optarg, "");
			break;
		case OPT_STATE:
			r = path_set(o->state_dir, sizeof(o->state_dir), "state-dir", optarg, "");
			break;
		case OPT_DEVICES:
			r = path_set(o->devices_dir, sizeof(o->devices_dir), "devices-dir", optarg,
				     "");
			break;
		case OPT_BACKEND: o->backend = optarg; break;
		case OPT_LEVEL:
			o->has_log_level = true;
			r = log_level_parse(optarg, &o->log_level);
			if (r)
				fprintf(stderr,
					"iscsidscd: --log-level: \"%s\" is none of error, "
					"warning, info, debug\n",
					optarg);
			break;
		case OPT_VERSION:
			printf("iscsidscd %s\n", ISCSIDSC_VERSION);
			o->ends = true;
			return 0;
		case OPT_HELP:
			fputs(usage, stdout);
			o->ends = true;
			return 0;
		default: fprintf(stderr, "iscsidscd: --help lists the options\n"); return -EINVAL;
		}
	}
	if (r)
		return r;
	if (optind < argc) {
		fprintf(stderr, "iscsidscd: \"%s\": there are no arguments, only options\n",
			argv[optind]);
		return -EINVAL;
	}
	return default_paths(o);
}
