/* SPDX-License-Identifier: MIT */
#include "service/nodename.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/name.h"

static void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

int nodename_from_file(const char *file, char *ret, size_t n)
{
	static const char key[] = "InitiatorName=";
	CLEANUP(fclosep) FILE *f = fopen(file, "re");
	CLEANUP(freep) char *line = NULL;
	size_t room = 0;

	if (!f)
		return -errno;
	while (getline(&line, &room, f) >= 0) {
		char *at = line + strspn(line, " \t");

		if (strncmp(at, key, sizeof(key) - 1) != 0)
			continue;
		at += sizeof(key) - 1;
		at[strcspn(at, " \t\r\n")] = '\0';
		if (!iscsi_name_valid(at) || strlen(at) >= n)
			return -EINVAL;
		memcpy(ret, at, strlen(at) + 1);
		return 0;
	}
	return -ENOENT;
}

void nodename_make(const char *host, const char *machine_id, char *ret, size_t n)
{
	char fit[128];
	size_t k = 0;
	uint32_t h = 2166136261u;

	for (; *host && k < sizeof(fit) - 1; host++) {
		unsigned char c = (unsigned char)*host;
		bool dot = k == 0 || fit[k - 1] == '.';

		if (isalnum(c))
			fit[k++] = (char)tolower(c);
		else if ((c == '-' || c == '_') && !dot)
			fit[k++] = '-';
		else if (c == '.' && !dot)
			fit[k++] = '.';
	}
	while (k > 0 && (fit[k - 1] == '.' || fit[k - 1] == '-'))
		k--;
	fit[k] = '\0';
	for (; *machine_id; machine_id++)
		h = (h ^ (unsigned char)*machine_id) * 16777619u;
	snprintf(ret, n, "iqn.2026-11.local.%s:%08" PRIx32, k ? fit : "host", h);
}

void nodename_of_machine(char *ret, size_t n)
{
	char host[HOST_NAME_MAX + 1] = "", id[64] = "";
	CLEANUP(fclosep) FILE *f = fopen("/etc/machine-id", "re");

	if (gethostname(host, sizeof(host)) < 0)
		host[0] = '\0';
	host[sizeof(host) - 1] = '\0';
	if (!f || !fgets(id, sizeof(id), f) || id[0] == '\n') {
		uint64_t r = 0;

		/* no machine id: any number serves, because the name is made once and stored */
		if (getrandom(&r, sizeof(r), 0) < 0)
			r = (uint64_t)getpid();
		snprintf(id, sizeof(id), "%" PRIx64, r);
	}
	id[strcspn(id, "\n")] = '\0';
	nodename_make(host, id, ret, n);
}
