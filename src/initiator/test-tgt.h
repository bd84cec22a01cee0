/* SPDX-License-Identifier: MIT */
/* A real target for tests: tgtd, started by test/lib/tgt.sh. */
#ifndef INITIATOR_TEST_TGT_H
#define INITIATOR_TEST_TGT_H

#include "io/tcp.h"

#define TGT_SKIPPED 77

struct tgt {
	char dir[64]; /* made by the test, which starts with mkdtemp() */
	struct tcp_addr addr;
	uint16_t port;
	char target[256];
};

/* Runs tgt.sh: start, restart, kill, stop. @env: more variables for it. Return: its exit status. */
int tgt_run(struct tgt *t, const char *what, const char *env);
/* tgtadm with these arguments; must succeed. */
void tgt_adm(struct tgt *t, const char *args);

#endif
