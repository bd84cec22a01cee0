/* SPDX-License-Identifier: MIT */
#include "initiator/test-tgt.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *script(void)
{
	const char *path = getenv("TGT_SH");

	return path ? path : "test/lib/tgt.sh";
}

/* It may print lines NAME=value. */
int tgt_run(struct tgt *t, const char *what, const char *env)
{
	char cmd[PATH_MAX + 200], line[512];
	unsigned port = 0;
	FILE *f;
	int status;

	snprintf(cmd, sizeof(cmd), "%s TGT_OWNER=%d %s %s %s", env, (int)getpid(), script(), what,
		 t->dir);
	f = popen(cmd, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		(void)sscanf(line, "TGT_PORT=%u", &port);
		(void)sscanf(line, "TGT_TARGET=%255s", t->target);
	}
	status = pclose(f);
	assert_true(WIFEXITED(status));
	if (port) {
		t->port = (uint16_t)port;
		assert_int_equal(tcp_literal("127.0.0.1", t->port, &t->addr), 0);
	}
	return WEXITSTATUS(status);
}

void tgt_adm(struct tgt *t, const char *args)
{
	char cmd[PATH_MAX + 400];

	snprintf(cmd, sizeof(cmd), "%s adm %s %s", script(), t->dir, args);
	assert_int_equal(system(cmd), 0);
}
