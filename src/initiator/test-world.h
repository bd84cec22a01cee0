/* SPDX-License-Identifier: MIT */
/*
 * An initiator and a target that does what the test wants, on one loop: all is one thread
 */
#ifndef INITIATOR_TEST_WORLD_H
#define INITIATOR_TEST_WORLD_H

#include "initiator/test-client.h"
#include "initiator/test-fake.h"

#define TUR     0x00 /* TEST UNIT READY */
#define INQUIRY 0x12

struct world {
	struct loop *loop;
	struct fake fake;
	struct client client;
};

int world_set_up(void **state);
int world_tear_down(void **state);
/* Logs in. */
void world_up(struct world *w);
/* The first login fails with @error. */
void world_failing(struct world *w, int error);
void world_logout(struct world *w);
/* Turns the loop for so long. */
void pause_ns(struct loop *l, uint64_t ns);

#define T(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)

#endif
