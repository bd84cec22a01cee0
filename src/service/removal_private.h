/* SPDX-License-Identifier: MIT */
/*
 * What safe removal and removal by force share; for removal.c and forced.c only
 */
#ifndef SERVICE_REMOVAL_PRIVATE_H
#define SERVICE_REMOVAL_PRIVATE_H

#include "service/removal.h"
#include "service/unit.h"

#define PAUSE_NS (15 * NS_PER_S)
#define STOP_MS  10000

/* One unit that is to go, and how far that has come. */
struct leaving {
	struct unit *u;
	bool shared; /* other sessions lead to it too, but none that could serve it now */
	bool gate_closed, stopped;
	bool unflushed; /* there was nothing to flush to; taking it away must not try again */
};

struct removal {
	struct session *s;
	struct leaving *v; /* free() */
	size_t n;
};

bool sess_is_up(struct session *s);
/* Family locked: the units that lose their last path with the session. 0 or -ENOMEM. */
int removal_list(struct removal *rm, struct session *s);
/* Can a flush of the unit come to anything? Not with the family locked by others only. */
bool removal_can_flush(const struct unit *u);
/* Writes back one device, and its unit's cache. @up: the session's connection works. */
uint32_t removal_flush(struct leaving *l, bool up, struct refusal *why);
/* Family locked, devices stopped: units and paths are forgotten. */
void removal_drop(struct removal *rm);

#endif
