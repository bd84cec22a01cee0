/* SPDX-License-Identifier: MIT */
#include "service/keeper.h"

#include <errno.h>

#include "service/log.h"

/* Does what is wanted. Return: what has to be tried again. */
static unsigned keeper_work(struct session *s, unsigned wants)
{
	unsigned again = 0;

	if (wants & WANT_VERIFY) {
		if (!sess_verify(s, true))
			again |= WANT_VERIFY;
		/* units may have come while we were away */
		if (!s->informational && !(again & WANT_VERIFY))
			wants |= WANT_SCAN;
	}
	if ((wants & WANT_UNITS) && !(again & WANT_VERIFY) && !sess_verify(s, false))
		again |= WANT_UNITS;
	if ((wants & WANT_SCAN) && !(again & WANT_VERIFY) && !sess_scan(s))
		again |= WANT_SCAN;
	return again;
}

/* Waits for work; 0: the end. session->lock held. */
static unsigned keeper_next(struct session *s)
{
	while (!s->quit) {
		bool due = s->wants && (s->again_ns == LOOP_NEVER || clock_now_ns() >= s->again_ns);

		if (due && !s->paused) {
			unsigned wants = s->wants;

			s->wants = 0;
			s->again_ns = LOOP_NEVER;
			return wants;
		}
		cond_wait_until(&s->changed, &s->lock,
				s->wants && !s->paused ? s->again_ns : LOOP_NEVER);
	}
	return 0;
}

void *sess_keeper(void *session)
{
	struct session *s = session;
	unsigned wants;

	pthread_setname_np(pthread_self(), "keeper");
	pthread_mutex_lock(&s->lock);
	while ((wants = keeper_next(s))) {
		unsigned again;

		s->working = true;
		pthread_mutex_unlock(&s->lock);
		again = keeper_work(s, wants);
		pthread_mutex_lock(&s->lock);
		s->working = false;
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
