/* SPDX-License-Identifier: MIT */
/*
 * The keeper's work: finding units, and making sure that they are what they were
 *
 * Runs in the session's keeper thread. Units are asked without any lock; what the
 * answers mean for units is decided under the family's.
 */
#ifndef SERVICE_KEEPER_H
#define SERVICE_KEEPER_H

#include "service/unit.h"

/* Time between tries of what did not work. */
#define KEEPER_AGAIN_NS     NS_PER_S
#define KEEPER_AGAIN_MAX_NS (8 * NS_PER_S)

/* scan.c: adds units that are new, marks those that are gone. False: to be tried again. */
bool sess_scan(struct session *s);
/*
 * verify.c: every unit of the session, after a re-login (@relogin), or those with
 * attention to what they told. False: to be tried again; the rest was done.
 */
bool sess_verify(struct session *s, bool relogin);

/* An answer of lu_probe() for a path; what is to be thought of it. */
enum probe_verdict {
	PROBE_SAME,
	PROBE_OTHER,  /* another unit now */
	PROBE_ABSENT, /* no unit there */
	PROBE_UNSURE, /* could not be asked */
};
enum probe_verdict probe_judge(const struct lu_info *before, int result, const struct lu_info *now);

#endif
