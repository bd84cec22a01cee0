/* SPDX-License-Identifier: MIT */
#include "service/keeper.h"

#include <errno.h>

#include "service/log.h"

/* Whatever each unit may have to tell is asked for. Its paths: as in sess_scan(). */
static void units_ask(struct session *s)
{
	struct unit_path *p;

	list_for_each (p, &s->paths, in_session)
		atomic_fetch_or(&p->unit->attention, 1u << LU_EV_CAPACITY_CHANGED);
}

/* Does what is wanted. Return: what has to be tried again. */
static unsigned keeper_work(struct session *s, unsigned wants)
{
	unsigned again = 0;

	if (wants & WANT_RESCAN)
		units_ask(s);
	if (wants & WANT_VERIFY) {
		if (!sess_verify(s, true))
			again |= WANT_VERIFY;
		/* units may have come while we were away */
		else if (!s->informational)
			sess_want(s, WANT_SCAN);
	}
	if ((wants & WANT_UNITS) && !(again & WANT_VERIFY) && !sess_verify(s, false))
		again |= WANT_UNITS;
	if ((wants & WANT_SCAN) && !(again & WANT_VERIFY) && !sess_scan(s))
		again |= WANT_SCAN;
	return again;
}

/* What may be done now; session->lock held. */
static unsigned keeper_may(const struct session *s)
{
	if (s->paused)
		return 0;
	return s->no_scan ? s->wants & ~(WANT_SCAN | WANT_RESCAN) : s->wants;
}

/* Waits for work; 0: the end. session->lock held. */
static unsigned keeper_next(struct session *s)
{
	while (!s->quit) {
		unsigned wants = keeper_may(s);

		if (wants && (s->again_ns == LOOP_NEVER || clock_now_ns() >= s->again_ns)) {
			s->wants &= ~wants;
			s->again_ns = LOOP_NEVER;
			if (wants & WANT_RESCAN)
				wants |= WANT_UNITS | (s->informational ? 0 : WANT_SCAN);
			return wants;
		}
		cond_wait_until(&s->changed, &s->lock, wants ? s->again_ns : LOOP_NEVER);
	}
	return 0;
}

/* session->lock held. Interrupted, fallen into a re-login, or overtaken by news: done anew. */
static unsigned rescan_ended(struct session *s, unsigned number, unsigned again)
{
	if (s->paused || (again & WANT_VERIFY) || s->wants)
		return again | WANT_RESCAN;
	s->rescans_done = number;
	s->rescan_ok = !(again & (WANT_UNITS | WANT_SCAN));
	return again;
}

void *sess_keeper(void *session)
{
	struct session *s = session;
	unsigned wants;

	pthread_setname_np(pthread_self(), "keeper");
	pthread_mutex_lock(&s->lock);
	while ((wants = keeper_next(s))) {
		unsigned again, rescan = s->rescans_wanted;

		s->working = true;
		pthread_mutex_unlock(&s->lock);
		again = keeper_work(s, wants);
		pthread_mutex_lock(&s->lock);
		s->working = false;
		if (wants & WANT_RESCAN)
			again = rescan_ended(s, rescan, again);
		s->scanned = s->scanned || ((wants & WANT_SCAN) && !(again & WANT_SCAN));
		s->again_after_ns = again ? s->again_after_ns * 2 : 0;
		if (again && s->again_after_ns < KEEPER_AGAIN_NS)
			s->again_after_ns = KEEPER_AGAIN_NS;
		if (s->again_after_ns > KEEPER_AGAIN_MAX_NS)
			s->again_after_ns = KEEPER_AGAIN_MAX_NS;
		/* what came meanwhile is not kept waiting by what did not work */
		if (again && !s->wants)
			s->again_ns = clock_now_ns() + s->again_after_ns;
		s->wants |= again;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}
