/* SPDX-License-Identifier: MIT */
#include "service/target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct target_instance {
	struct list node;
	char *mechanism;
	struct target_portal *portals;
	size_t n_portals;
};

struct target {
	struct list node;
	struct list instances; /* in the order learnt */
	char name[ISCSI_NAME_MAX + 1];
};

void target_table_init(struct target_table *t)
{
	list_init(&t->targets);
}

static struct target_instance *instance_free(struct target_instance *i)
{
	if (i) {
		list_remove(&i->node);
		free(i->mechanism);
		free(i->portals);
		free(i);
	}
	return NULL;
}

static struct target *target_free(struct target *g)
{
	struct target_instance *i, *tmp;

	list_for_each_safe (i, tmp, &g->instances, node)
		instance_free(i);
	list_remove(&g->node);
	free(g);
	return NULL;
}

void target_table_clear(struct target_table *t)
{
	struct target *g, *tmp;

	list_for_each_safe (g, tmp, &t->targets, node)
		target_free(g);
}

static struct target *target_lookup(const struct target_table *t, const char *name)
{
	struct target *g;

	list_for_each (g, &t->targets, node) {
		if (iscsi_name_equal(g->name, name))
			return g;
	}
	return NULL;
}

static struct target_instance *instance_lookup(struct target *g, const char *mechanism)
{
	struct target_instance *i;

	list_for_each (i, &g->instances, node) {
		if (strcmp(i->mechanism, mechanism) == 0)
			return i;
	}
	return NULL;
}

static bool address_valid(const char *a)
{
	size_t n = strlen(a);

	if (n == 0 || n > ADDRESS_MAX || !utf8_valid(a, n))
		return false;
	for (; *a; a++) {
		if ((unsigned char)*a <= ' ' || *a == '/' || *a == 0x7f)
			return false;
	}
	return true;
}

static struct target_instance *instance_new(const char *mechanism,
					    const struct discovered_target *d)
{
	struct target_instance *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	list_init(&i->node);
	i->mechanism = strdup(mechanism);
	i->portals = calloc(d->n_portals ? d->n_portals : 1, sizeof(*i->portals));
	if (!i->mechanism || !i->portals)
		return instance_free(i);
	for (size_t k = 0; k < d->n_portals; k++) {
		struct target_portal *p = &i->portals[i->n_portals];

		if (!address_valid(d->portals[k].address))
			continue;
		snprintf(p->address, sizeof(p->address), "%s", d->portals[k].address);
		p->socket = d->portals[k].port;
		p->tpgt = d->portals[k].tpgt;
		i->n_portals++;
	}
	return i;
}

static struct target *target_new(const char *name)
{
	struct target *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	list_init(&g->node);
	list_init(&g->instances);
	snprintf(g->name, sizeof(g->name), "%s", name);
	return g;
}

/* What is to be put into the table, made before the table is touched. */
struct addition {
	struct target *target; /* new, or NULL */
	struct target_instance *instance;
	const char *name;
};

static int addition_make(struct addition *a, const struct target_table *t, const char *mechanism,
			 const struct discovered_target *d)
{
	a->name = d->name;
	a->instance = instance_new(mechanism, d);
	if (!a->instance)
		return -ENOMEM;
	if (target_lookup(t, d->name))
		return 0;
	a->target = target_new(d->name);
	return a->target ? 0 : -ENOMEM;
}

static void addition_drop(struct addition *a)
{
	instance_free(a->instance);
	if (a->target)
		target_free(a->target);
}

static void addition_put(struct addition *a, struct target_table *t, const char *mechanism)
{
	struct target *g = target_lookup(t, a->name);

	if (!g) {
		g = TAKE(a->target);
		list_append(&t->targets, &g->node);
	} else if (a->target) {
		/* the answer named it twice */
		a->target = target_free(a->target);
	}
	instance_free(instance_lookup(g, mechanism));
	list_append(&g->instances, &a->instance->node);
	a->instance = NULL;
}

struct forget {
	const char *mechanism;
	const struct addition *now;
	size_t n_now;
};

static bool told_now(const struct forget *f, const char *name)
{
	for (size_t i = 0; i < f->n_now; i++) {
		if (iscsi_name_equal(f->now[i].name, name))
			return true;
	}
	return false;
}

/* Takes away what @f->mechanism told earlier of targets that it does not tell of now. */
static void forget_missing(struct target_table *t, const struct forget *f)
{
	struct target *g, *tmp;

	list_for_each_safe (g, tmp, &t->targets, node) {
		if (told_now(f, g->name))
			continue;
		instance_free(instance_lookup(g, f->mechanism));
		if (list_empty(&g->instances))
			target_free(g);
	}
}

int target_table_learn(struct target_table *t, const char *mechanism, const struct discovered *d,
		       size_t *ret_n_bad)
{
	struct addition *v = calloc(d->n_targets ? d->n_targets : 1, sizeof(*v));
	size_t n = 0, n_bad = 0;
	int r = 0;

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < d->n_targets; i++) {
		if (!iscsi_name_valid(d->targets[i].name))
			n_bad++;
		else
			r = addition_make(&v[n++], t, mechanism, &d->targets[i]);
	}
	if (r == 0) {
		forget_missing(t, &(struct forget){mechanism, v, n});
		for (size_t i = 0; i < n; i++)
			addition_put(&v[i], t, mechanism);
		*ret_n_bad = n_bad;
	} else {
		for (size_t i = 0; i < n; i++)
			addition_drop(&v[i]);
	}
	free(v);
	return r;
}

void target_table_prune(struct target_table *t, bool (*keep)(void *arg, const char *mechanism),
			void *arg)
{
	struct target *g, *gtmp;
	struct target_instance *i, *itmp;

	list_for_each_safe (g, gtmp, &t->targets, node) {
		list_for_each_safe (i, itmp, &g->instances, node) {
			if (!keep(arg, i->mechanism))
				instance_free(i);
		}
		if (list_empty(&g->instances))
			target_free(g);
	}
}

const char *target_table_find(const struct target_table *t, const char *name)
{
	const struct target *g = target_lookup(t, name);

	return g ? g->name : NULL;
}

size_t target_table_count(const struct target_table *t)
{
	const struct target *g;
	size_t n = 0;

	list_for_each (g, &t->targets, node)
		n++;
	return n;
}

int target_table_each(const struct target_table *t, int (*fn)(void *arg, const char *name),
		      void *arg)
{
	const struct target *g;
	int r = 0;

	list_for_each (g, &t->targets, node) {
		r = fn(arg, g->name);
		if (r)
			break;
	}
	return r;
}

static bool portal_known(const struct target_portal *v, size_t n, const struct target_portal *p)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].socket == p->socket && v[i].tpgt == p->tpgt &&
		    strcasecmp(v[i].address, p->address) == 0)
			return true;
	}
	return false;
}

int target_table_portals(const struct target_table *t, const char *name, int tpgt,
			 struct target_portal **ret, size_t *ret_n)
{
	const struct target *g = target_lookup(t, name);
	const struct target_instance *i;
	struct target_portal *v;
	size_t n = 0, n_max = 0;

	if (!g)
		return -ENOENT;
	list_for_each (i, &g->instances, node)
		n_max += i->n_portals;
	v = calloc(n_max ? n_max : 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	list_for_each (i, &g->instances, node) {
		for (size_t k = 0; k < i->n_portals; k++) {
			const struct target_portal *p = &i->portals[k];

			if ((tpgt < 0 || p->tpgt == tpgt) && !portal_known(v, n, p))
				v[n++] = *p;
		}
	}
	*ret = v;
	*ret_n = n;
	return 0;
}
