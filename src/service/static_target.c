/* SPDX-License-Identifier: MIT */
#include "service/static_target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/addresses.h"
#include "service/log.h"
#include "service/manager.h"

#define STATIC_TARGETS_MAX 16384

struct static_target *static_target_free(struct static_target *s)
{
	if (s) {
		explicit_bzero(&s->options, sizeof(s->options));
		free(s->mapping);
		free(s->portals);
		free(s);
	}
	return NULL;
}

void static_target_freep(struct static_target **s)
{
	*s = static_target_free(*s);
}

static bool has_portal(const struct static_target *s, const struct portal *p)
{
	for (size_t i = 0; i < s->n_portals; i++) {
		if (s->portals[i].portal.socket == p->socket &&
		    strcasecmp(s->portals[i].portal.address, p->address) == 0)
			return true;
	}
	return false;
}

int static_target_add_group(struct static_target *s, const struct portal *v, size_t n)
{
	uint16_t tag = s->n_portals ? s->portals[s->n_portals - 1].tag + 1 : 1;
	struct static_portal *grown;

	if (n == 0)
		return 0;
	if (n > PORTALS_MAX - s->n_portals)
		return -ENOSPC;
	grown = realloc(s->portals, (s->n_portals + n) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->portals = grown;
	for (size_t i = 0; i < n; i++) {
		if (!has_portal(s, &v[i]))
			s->portals[s->n_portals++] = (struct static_portal){v[i], tag};
	}
	return 0;
}

/* ---- merging ------------------------------------------------------------------ */

static int merge_portals(struct static_target *to, const struct static_target *old,
			 const struct static_target *new)
{
	CLEANUP(freep) struct portal *v = calloc(new->n_portals + 1, sizeof(*v));

	to->portals = calloc(old->n_portals + 1, sizeof(*to->portals));
	if (!v || !to->portals)
		return -ENOMEM;
	if (old->n_portals > 0)
		memcpy(to->portals, old->portals, old->n_portals * sizeof(*to->portals));
	to->n_portals = old->n_portals;
	for (size_t i = 0; i < new->n_portals; i++)
		v[i] = new->portals[i].portal;
	return static_target_add_group(to, v, new->n_portals);
}

static int merge_mapping(struct static_target *to, const struct static_target *old,
			 const struct static_target *new)
{
	const struct target_mapping *from = new->mapping ? new->mapping : old->mapping;

	if (!from)
		return 0;
	to->mapping = malloc(sizeof(*from));
	if (!to->mapping)
		return -ENOMEM;
	*to->mapping = *from;
	return 0;
}

int static_target_merge(struct static_target **ret, const struct static_target *old,
			const struct static_target *new)
{
	CLEANUP(static_target_freep) struct static_target *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	memcpy(s->name, old->name, sizeof(s->name));
	memcpy(s->alias, new->alias[0] ? new->alias : old->alias, sizeof(s->alias));
	s->flags = new->flags;
	s->persist = old->persist || new->persist;
	s->has_options = old->has_options || new->has_options;
	s->options = new->has_options ? new->options : old->options;
	r = merge_mapping(s, old, new);
	if (r == 0)
		r = merge_portals(s, old, new);
	if (r == 0)
		*ret = TAKE(s);
	return r;
}

/* ---- the list -------------------------------------------------------------------- */

/* What is to be entered, as the flags want it: *@s becomes that. kept_lock held. */
static uint32_t combine(struct manager *m, struct static_target **s, struct refusal *why)
{
	const struct static_target *old;
	struct static_target *merged = NULL;
	size_t n;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	n = target_table_told(&m->targets, MECHANISM_STATIC);
	old = target_table_static(&m->targets, (*s)->name);
	if (old && ((*s)->flags & TARGET_MERGE))
		r = static_target_merge(&merged, old, *s);
	pthread_mutex_unlock(&m->lock);
	if (r == -ENOSPC)
		return refuse(why, WIN_INVALID_PARAMETER, "%s would have more than %d portals",
			      (*s)->name, PORTALS_MAX);
	if (r)
		return refuse_errno(why, r, "the target could not be entered");
	if (!old && n >= STATIC_TARGETS_MAX)
		return refuse(why, WIN_NOT_ENOUGH_MEMORY, "there are %zu static targets already",
			      n);
	if (merged) {
		static_target_free(*s);
		*s = merged;
	}
	return 0;
}

static int store_it(struct manager *m, const struct static_target *s)
{
	int r;

	if (s->persist)
		return store_put_target(m->store, s);
	r = store_delete_target(m->store, s->name);
	return r == -ENOENT ? 0 : r;
}

uint32_t static_target_add(struct manager *m, struct static_target *s, struct refusal *why)
{
	CLEANUP(static_target_freep) struct static_target *mine = s;
	char name[ISCSI_NAME_MAX + 1];
	bool persist;
	uint32_t code;
	int r;

	pthread_mutex_lock(&m->kept_lock);
	code = combine(m, &mine, why);
	r = code ? 0 : store_it(m, mine);
	if (code == 0 && r == 0) {
		memcpy(name, mine->name, sizeof(name));
		persist = mine->persist;
		pthread_mutex_lock(&m->lock);
		r = target_table_put_static(&m->targets, mine);
		pthread_mutex_unlock(&m->lock);
		if (r == 0)
			mine = NULL; /* the table's */
	}
	pthread_mutex_unlock(&m->kept_lock);
	if (code)
		return code;
	if (r)
		return refuse_errno(why, r, "the target could not be stored");
	addrs_follow(m);
	log_info("static target %s: entered%s", name, persist ? "" : ", until the service stops");
	return 0;
}

uint32_t static_target_remove(struct manager *m, const char *name, struct refusal *why)
{
	bool there;
	int r;

	pthread_mutex_lock(&m->kept_lock);
	r = store_delete_target(m->store, name);
	if (r == 0 || r == -ENOENT) {
		pthread_mutex_lock(&m->lock);
		there = target_table_drop_static(&m->targets, name) == 0;
		pthread_mutex_unlock(&m->lock);
		r = there ? 0 : -ENOENT;
	}
	pthread_mutex_unlock(&m->kept_lock);
	if (r == -ENOENT)
		return refuse(why, ISDSC_TARGET_NOT_FOUND, "%s is not a static target", name);
	if (r)
		return refuse_errno(why, r, "the target could not be removed");
	addrs_follow(m);
	log_info("static target %s: removed", name);
	return 0;
}

/* Options of nothing but zeroes say as little as none. */
static bool says_nothing(const struct kept_login *l)
{
	return !l->has_options || (l->options.specified == 0 && l->options.flags == 0);
}

bool static_target_complete(struct manager *m, struct kept_login *l)
{
	const struct static_target *s;
	const char *known;

	pthread_mutex_lock(&m->lock);
	known = target_table_find(&m->targets, l->target);
	s = target_table_static(&m->targets, l->target);
	if (known)
		snprintf(l->target, sizeof(l->target), "%s", known);
	if (s && s->has_options && says_nothing(l)) {
		l->has_options = true;
		l->options = s->options;
	}
	if (s && s->mapping && !l->has_mapping) {
		l->has_mapping = true;
		l->mapping = *s->mapping;
	}
	pthread_mutex_unlock(&m->lock);
	return known != NULL;
}

static int load_one(void *arg, struct static_target *s)
{
	struct manager *m = arg;
	int r;

	pthread_mutex_lock(&m->lock);
	r = target_table_put_static(&m->targets, s);
	pthread_mutex_unlock(&m->lock);
	if (r)
		static_target_free(s);
	return r;
}

int static_targets_load(struct manager *m)
{
	return store_load_targets(m->store, load_one, m);
}
