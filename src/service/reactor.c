/* SPDX-License-Identifier: MIT */
#include "service/reactor.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/log.h"

struct reactor {
	struct loop *loop;
	pthread_t thread;
};

struct reactors {
	unsigned n;
	struct reactor v[];
};

static void *reactor_main(void *arg)
{
	struct reactor *r = arg;
	int error = loop_run(r->loop);

	/* a loop that cannot wait cannot serve: better to be started anew than to hang */
	if (error) {
		log_error("reactor: the event loop failed: %s", strerror(-error));
		abort();
	}
	return NULL;
}

int reactors_start(struct reactors **ret, unsigned n)
{
	struct reactors *r;
	int error = 0;

	if (n < 1 || n > REACTORS_MAX)
		return -EINVAL;
	r = calloc(1, sizeof(*r) + n * sizeof(r->v[0]));
	if (!r)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		char name[16];

		error = loop_new(&r->v[i].loop);
		if (error)
			break;
		error = -pthread_create(&r->v[i].thread, NULL, reactor_main, &r->v[i]);
		if (error) {
			loop_free(r->v[i].loop);
			break;
		}
		snprintf(name, sizeof(name), "reactor-%u", i);
		pthread_setname_np(r->v[i].thread, name);
		r->n++;
	}
	if (error) {
		reactors_stop(r);
		return error;
	}
	*ret = r;
	return 0;
}

struct reactors *reactors_stop(struct reactors *r)
{
	if (!r)
		return NULL;
	for (unsigned i = 0; i < r->n; i++) {
		loop_stop(r->v[i].loop);
		pthread_join(r->v[i].thread, NULL);
		loop_free(r->v[i].loop);
	}
	free(r);
	return NULL;
}

struct loop *reactors_loop(const struct reactors *r, const char *target_name)
{
	uint32_t h = 2166136261u; /* FNV-1a: spreads, needs no key */

	for (const char *p = target_name; *p; p++) {
		unsigned char c = (unsigned char)*p;

		h = (h ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * 16777619u;
	}
	return r->v[h % r->n].loop;
}
