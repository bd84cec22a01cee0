/* SPDX-License-Identifier: MIT */
#include "service/target.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/static_target.h"

struct mechanism {
	struct list node; /* table->mechanisms */
	struct list instances;
	size_t n_instances;
	bool keep;
	const char *text;
	char storage[];
};

struct target {
	struct list node;            /* table->targets */
	struct list instances;       /* the static one first, then in the order learnt */
	char *alias;                 /* learnt at a login; NULL: not known */
	struct target_instance *now; /* of the mechanism that target_table_learn() is about */
	unsigned n_pending;          /* additions that are not put yet */
	uint64_t version;            /* of its portals */
	char name[ISCSI_NAME_MAX + 1];
};

struct told_portal {
	char address[ADDRESS_MAX + 1];
	uint16_t socket;
	uint16_t tpgt;
};

struct target_instance {
	struct list in_target, in_mechanism;
	struct target *target;
	struct mechanism *mechanism;
	struct static_target *entry; /* static: has the portals too; else NULL */
	struct told_portal *portals;
	size_t n_portals;
	bool told; /* by the answer that is taken over */
};

void target_table_init(struct target_table *t)
{
	*t = (struct target_table){0};
	list_init(&t->targets);
	list_init(&t->mechanisms);
}

/* ---- finding -------------------------------------------------------------- */

static int target_order(const void *a, const void *b)
{
	return iscsi_name_order(((const struct target *)a)->name, ((const struct target *)b)->name);
}

static int mechanism_order(const void *a, const void *b)
{
	return strcmp(((const struct mechanism *)a)->text, ((const struct mechanism *)b)->text);
}

/* @key is compared by its text only. */
static struct target *target_lookup(const struct target_table *t, const char *name)
{
	struct target key;
	struct target **found;

	if (strlen(name) > ISCSI_NAME_MAX)
		return NULL;
	strcpy(key.name, name);
	found = tfind(&key, &t->by_name, target_order);
	return found ? *found : NULL;
}

static struct mechanism *mechanism_new(const char *text)
{
	size_t n = strlen(text) + 1;
	struct mechanism *m = calloc(1, sizeof(*m) + n);

	if (!m)
		return NULL;
	list_init(&m->node);
	list_init(&m->instances);
	memcpy(m->storage, text, n);
	m->text = m->storage;
	return m;
}

/* Found or made; NULL without memory. One without instances must be dropped again. */
static struct mechanism *mechanism_get(struct target_table *t, const char *text)
{
	struct mechanism *m = mechanism_new(text), **found;

	if (!m)
		return NULL;
	found = tsearch(m, &t->by_mechanism, mechanism_order);
	if (!found || *found != m) {
		free(m);
		return found ? *found : NULL;
	}
	list_append(&t->mechanisms, &m->node);
	return m;
}

static struct mechanism *mechanism_lookup(const struct target_table *t, const char *text)
{
	const struct mechanism key = {.text = text};
	struct mechanism **found = tfind(&key, &t->by_mechanism, mechanism_order);

	return found ? *found : NULL;
}

static struct target_instance *instance_lookup(const struct target *g, const char *mechanism)
{
	struct target_instance *i;

	list_for_each (i, &g->instances, in_target) {
		if (strcmp(i->mechanism->text, mechanism) == 0)
			return i;
	}
	return NULL;
}

/* ---- dropping --------------------------------------------------------------- */

static struct target_instance *instance_free(struct target_instance *i)
{
	if (i) {
		list_remove(&i->in_target);
		i->mechanism->n_instances -= list_linked(&i->in_mechanism);
		list_remove(&i->in_mechanism);
		static_target_free(i->entry);
		free(i->portals);
		free(i);
	}
	return NULL;
}

static void mechanism_drop_unused(struct target_table *t, struct mechanism *m)
{
	if (!list_empty(&m->instances))
		return;
	tdelete(m, &t->by_mechanism, mechanism_order);
	list_remove(&m->node);
	free(m);
}

static void target_drop_unused(struct target_table *t, struct target *g)
{
	if (!list_empty(&g->instances) || g->n_pending > 0)
		return;
	tdelete(g, &t->by_name, target_order);
	if (t->changed && list_linked(&g->node))
		t->changed(t->changed_arg, g->name, false);
	t->n_targets -= list_linked(&g->node);
	list_remove(&g->node);
	free(g->alias);
	free(g);
}

static void portals_changed(struct target_table *t, struct target *g)
{
	g->version = ++t->n_changes;
}

static void instance_drop(struct target_table *t, struct target_instance *i)
{
	struct target *g = i->target;

	instance_free(i);
	portals_changed(t, g);
	target_drop_unused(t, g);
}

/* Everything that @m told. The mechanism is gone then. */
static void mechanism_forget(struct target_table *t, struct mechanism *m)
{
	struct target_instance *i, *tmp;

	list_for_each_safe (i, tmp, &m->instances, in_mechanism)
		instance_drop(t, i);
	mechanism_drop_unused(t, m);
}

void target_table_clear(struct target_table *t)
{
	struct mechanism *m, *tmp;

	list_for_each_safe (m, tmp, &t->mechanisms, node)
		mechanism_forget(t, m);
}

/* ---- making -------------------------------------------------------------------- */

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

static struct target_instance *instance_new(struct target *g, struct mechanism *m)
{
	struct target_instance *i = calloc(1, sizeof(*i));

	if (i) {
		list_init(&i->in_target);
		list_init(&i->in_mechanism);
		i->target = g;
		i->mechanism = m;
	}
	return i;
}

/* Before @where, which is one of the target's or the end of its list. */
static void instance_link(struct target_instance *i, struct list *where)
{
	list_insert_before(where, &i->in_target);
	list_append(&i->mechanism->instances, &i->in_mechanism);
	i->mechanism->n_instances++;
}

static int instance_fill(struct target_instance *i, const struct discovered_target *d)
{
	i->portals = calloc(d->n_portals ? d->n_portals : 1, sizeof(*i->portals));
	if (!i->portals)
		return -ENOMEM;
	for (size_t k = 0; k < d->n_portals; k++) {
		struct told_portal *p = &i->portals[i->n_portals];

		if (!address_valid(d->portals[k].address))
			continue;
		snprintf(p->address, sizeof(p->address), "%s", d->portals[k].address);
		p->socket = d->portals[k].port;
		p->tpgt = d->portals[k].tpgt;
		i->n_portals++;
	}
	return 0;
}

/* Found or made, then in the tree but not yet in the list; NULL without memory. */
static struct target *target_get(struct target_table *t, const char *name)
{
	struct target *g = target_lookup(t, name);

	if (g)
		return g;
	g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	list_init(&g->node);
	list_init(&g->instances);
	snprintf(g->name, sizeof(g->name), "%s", name);
	if (!tsearch(g, &t->by_name, target_order)) {
		free(g);
		return NULL;
	}
	return g;
}

static void target_show(struct target_table *t, struct target *g)
{
	if (list_linked(&g->node))
		return;
	list_append(&t->targets, &g->node);
	t->n_targets++;
	if (t->changed)
		t->changed(t->changed_arg, g->name, true);
}

static struct target_instance *static_of(const struct target *g)
{
	struct target_instance *first;

	if (list_empty(&g->instances))
		return NULL;
	first = CONTAINER_OF(g->instances.next, struct target_instance, in_target);
	return first->entry ? first : NULL;
}

static bool only_static(const struct target *g)
{
	return static_of(g) && g->instances.next->next == &g->instances;
}

/* ---- what a mechanism tells ------------------------------------------------------ */

/* What is to be put into the table, made before what is there is touched. */
struct addition {
	struct target *target; /* in the tree already */
	struct target_instance *instance;
	const char *name;
};

static int addition_make(struct addition *a, struct target_table *t, struct mechanism *m,
			 const struct discovered_target *d)
{
	a->name = d->name;
	a->target = target_get(t, d->name);
	if (!a->target)
		return -ENOMEM;
	a->target->n_pending++;
	a->instance = instance_new(a->target, m);
	return a->instance ? instance_fill(a->instance, d) : -ENOMEM;
}

static void addition_drop(struct addition *a, struct target_table *t)
{
	instance_free(a->instance);
	if (a->target) {
		a->target->n_pending--;
		target_drop_unused(t, a->target);
	}
}

static bool same_portals(const struct target_instance *a, const struct target_instance *b)
{
	/* what is behind the addresses is zero in both */
	return a->n_portals == b->n_portals &&
	       (a->n_portals == 0 ||
		memcmp(a->portals, b->portals, a->n_portals * sizeof(*a->portals)) == 0);
}

/* In the place of what the mechanism told of the target before. */
static void addition_put(struct addition *a, struct target_table *t)
{
	struct target *g = a->target;
	struct target_instance *i = TAKE(a->instance);

	g->n_pending--;
	if (only_static(g))
		snprintf(g->name, sizeof(g->name), "%s", a->name);
	if (!g->now || !same_portals(g->now, i))
		portals_changed(t, g);
	instance_link(i, g->now ? &g->now->in_target : &g->instances);
	instance_free(g->now);
	i->told = true;
	g->now = i;
	target_show(t, g);
}

static void additions_commit(struct target_table *t, struct mechanism *m, struct addition *v,
			     size_t n)
{
	struct target_instance *i, *tmp;

	list_for_each (i, &m->instances, in_mechanism)
		i->target->now = i;
	for (size_t k = 0; k < n; k++)
		addition_put(&v[k], t);
	list_for_each_safe (i, tmp, &m->instances, in_mechanism) {
		i->target->now = NULL;
		if (!i->told)
			instance_drop(t, i);
		else
			i->told = false;
	}
}

int target_table_learn(struct target_table *t, const char *mechanism, const struct discovered *d,
		       size_t *ret_n_bad)
{
	CLEANUP(freep) struct addition *v = calloc(d->n_targets ? d->n_targets : 1, sizeof(*v));
	struct mechanism *m = v ? mechanism_get(t, mechanism) : NULL;
	size_t n = 0, n_bad = 0;
	int r = 0;

	if (!m)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < d->n_targets; i++) {
		if (!iscsi_name_usable(d->targets[i].name))
			n_bad++;
		else
			r = addition_make(&v[n++], t, m, &d->targets[i]);
	}
	if (r == 0) {
		additions_commit(t, m, v, n);
		*ret_n_bad = n_bad;
	} else {
		for (size_t i = 0; i < n; i++)
			addition_drop(&v[i], t);
	}
	mechanism_drop_unused(t, m);
	return r;
}

void target_table_keep(struct target_table *t, const char *mechanism)
{
	struct mechanism *m = mechanism_lookup(t, mechanism);

	if (m)
		m->keep = true;
}

void target_table_prune(struct target_table *t, const char *kind)
{
	struct mechanism *m, *tmp;

	list_for_each_safe (m, tmp, &t->mechanisms, node) {
		if (m->keep)
			m->keep = false;
		else if (strncmp(m->text, kind, strlen(kind)) == 0)
			mechanism_forget(t, m);
	}
}

size_t target_table_told(const struct target_table *t, const char *mechanism)
{
	const struct mechanism *m = mechanism_lookup(t, mechanism);

	return m ? m->n_instances : 0;
}

/* ---- static ones -------------------------------------------------------------------- */

int target_table_put_static(struct target_table *t, struct static_target *s)
{
	struct mechanism *m = mechanism_get(t, MECHANISM_STATIC);
	struct target *g = m ? target_get(t, s->name) : NULL;
	struct target_instance *old = g ? static_of(g) : NULL;
	struct target_instance *i = g && !old ? instance_new(g, m) : old;

	if (!i) {
		if (g)
			target_drop_unused(t, g);
		if (m)
			mechanism_drop_unused(t, m);
		return -ENOMEM;
	}
	if (old)
		static_target_free(old->entry);
	else
		instance_link(i, g->instances.next);
	i->entry = s;
	portals_changed(t, g);
	if (only_static(g))
		snprintf(g->name, sizeof(g->name), "%s", s->name);
	target_show(t, g);
	return 0;
}

int target_table_drop_static(struct target_table *t, const char *name)
{
	struct target *g = target_lookup(t, name);
	struct target_instance *i = g ? static_of(g) : NULL;
	struct mechanism *m;

	if (!i)
		return -ENOENT;
	m = i->mechanism;
	instance_drop(t, i);
	mechanism_drop_unused(t, m);
	return 0;
}

const struct static_target *target_table_static(const struct target_table *t, const char *name)
{
	const struct target *g = target_lookup(t, name);
	const struct target_instance *i = g ? static_of(g) : NULL;

	return i ? i->entry : NULL;
}

void target_table_set_alias(struct target_table *t, const char *name, const char *alias)
{
	struct target *g = target_lookup(t, name);

	if (!g || (g->alias && strcmp(g->alias, alias) == 0))
		return;
	free(g->alias);
	g->alias = strdup(alias);
}

/* ---- reading ------------------------------------------------------------------------- */

const char *target_table_find(const struct target_table *t, const char *name)
{
	const struct target *g = target_lookup(t, name);

	return g ? g->name : NULL;
}

size_t target_table_count(const struct target_table *t)
{
	return t->n_targets;
}

int target_table_each(const struct target_table *t, int (*fn)(void *arg, const char *name),
		      void *arg)
{
	const struct target *g;
	int r = 0;

	list_for_each (g, &t->targets, node) {
		if (only_static(g) && (static_of(g)->entry->flags & TARGET_HIDE))
			continue;
		r = fn(arg, g->name);
		if (r)
			break;
	}
	return r;
}

size_t target_instance_n_portals(const struct target_instance *i)
{
	return i->entry ? i->entry->n_portals : i->n_portals;
}

void target_instance_portal(const struct target_instance *i, size_t k, struct target_portal *ret)
{
	const struct static_portal *s = i->entry ? &i->entry->portals[k] : NULL;

	if (s) {
		ret->socket = s->portal.socket;
		ret->tpgt = s->tag;
		memcpy(ret->address, s->portal.address, sizeof(ret->address));
		memcpy(ret->symbolic, s->portal.symbolic, sizeof(ret->symbolic));
		return;
	}
	ret->socket = i->portals[k].socket;
	ret->tpgt = i->portals[k].tpgt;
	memcpy(ret->address, i->portals[k].address, sizeof(ret->address));
	ret->symbolic[0] = '\0';
}

static int portal_order(const void *a, const void *b)
{
	const struct target_portal *p = a, *q = b;
	int r = strcasecmp(p->address, q->address);

	if (r == 0)
		r = p->socket - q->socket;
	return r ? r : p->tpgt - q->tpgt;
}

static void keep_it(void *p)
{
	(void)p;
}

/* Room for all of them is there. */
static int portals_add(struct target_portal *v, size_t *n, void **seen,
		       const struct target_instance *i, int tpgt)
{
	for (size_t k = 0; k < target_instance_n_portals(i); k++) {
		struct target_portal **found;

		target_instance_portal(i, k, &v[*n]);
		if (tpgt >= 0 && v[*n].tpgt != tpgt)
			continue;
		found = tsearch(&v[*n], seen, portal_order);
		if (!found)
			return -ENOMEM;
		if (*found == &v[*n])
			(*n)++;
	}
	return 0;
}

int target_table_portals(const struct target_table *t, const char *name, int tpgt,
			 struct target_portal **ret, size_t *ret_n)
{
	const struct target *g = target_lookup(t, name);
	const struct target_instance *i;
	struct target_portal *v;
	size_t n = 0, n_max = 0;
	void *seen = NULL;
	int r = 0;

	if (!g)
		return -ENOENT;
	list_for_each (i, &g->instances, in_target)
		n_max += target_instance_n_portals(i);
	v = calloc(n_max ? n_max : 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	list_for_each (i, &g->instances, in_target) {
		if (r == 0)
			r = portals_add(v, &n, &seen, i, tpgt);
	}
	tdestroy(seen, keep_it);
	if (r) {
		free(v);
		return r;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

uint64_t target_table_version(const struct target_table *t, const char *name)
{
	const struct target *g = target_lookup(t, name);

	return g ? g->version : 0;
}

int target_table_mechanisms(const struct target_table *t, const char *name,
			    int (*fn)(void *arg, const char *mechanism), void *arg)
{
	const struct target *g = target_lookup(t, name);
	const struct target_instance *i;
	int r = 0;

	if (!g)
		return -ENOENT;
	list_for_each (i, &g->instances, in_target) {
		if (r == 0)
			r = fn(arg, i->mechanism->text);
	}
	return r;
}

int target_table_instance(const struct target_table *t, const char *name, const char *mechanism,
			  const struct target_instance **ret)
{
	const struct target *g = target_lookup(t, name);
	const struct target_instance *i = g ? instance_lookup(g, mechanism) : NULL;

	if (!i)
		return g ? -ESRCH : -ENOENT;
	*ret = i;
	return 0;
}

const char *target_instance_alias(const struct target_instance *i)
{
	if (i->entry)
		return i->entry->alias;
	return i->target->alias ? i->target->alias : "";
}

const struct static_target *target_instance_static(const struct target_instance *i)
{
	return i->entry;
}
