/* SPDX-License-Identifier: MIT */
#include "service/preference.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "initiator/portal.h"

#define WEIGHT_MAX 65535

static int weight_parse(const char *s, unsigned *ret)
{
	unsigned v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		v = 10 * v + (unsigned)(*s - '0');
		if (v > WEIGHT_MAX)
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

static int item_parse(struct portal_list *l, const char *at, size_t n, bool weights)
{
	const char *equals = memchr(at, '=', n);
	size_t n_addr = equals ? (size_t)(equals - at) : n;
	struct portal portal;
	char weight[8] = "";

	if (l->n == INITIATOR_MAX_PATHS || (equals != NULL) != weights)
		return -EINVAL;
	if (portal_parse(&portal, at, n_addr) ||
	    tcp_literal(portal.host, portal.port, &l->addr[l->n]))
		return -EINVAL;
	for (unsigned k = 0; k < l->n; k++)
		if (tcp_addr_equal(&l->addr[k], &l->addr[l->n]))
			return -EINVAL;
	if (weights) {
		if (n - n_addr - 1 >= sizeof(weight))
			return -EINVAL;
		memcpy(weight, equals + 1, n - n_addr - 1);
		if (weight_parse(weight, &l->weight[l->n]))
			return -EINVAL;
	}
	l->n++;
	return 0;
}

int portal_list_parse(struct portal_list *ret, const char *text, bool weights)
{
	static const char between[] = " \t,";
	struct portal_list l = {0};

	for (text += strspn(text, between); *text; text += strspn(text, between)) {
		size_t n = strcspn(text, between);

		if (item_parse(&l, text, n, weights))
			return -EINVAL;
		text += n;
	}
	if (l.n == 0)
		return -EINVAL;
	*ret = l;
	return 0;
}

static struct initiator_path *path_at(struct initiator_paths *p, const struct tcp_addr *addr)
{
	for (unsigned k = 0; k < p->n; k++)
		if (tcp_addr_equal(&p->v[k].addr, addr))
			return &p->v[k];
	p->v[p->n] = p->others;
	p->v[p->n].addr = *addr;
	return &p->v[p->n++];
}

void portal_lists_apply(const struct portal_list *preferred, const struct portal_list *weights,
			struct initiator_paths *ret)
{
	*ret = (struct initiator_paths){
		.others = {.inactive = preferred != NULL, .weight = weights ? UINT_MAX : 0}};
	for (unsigned k = 0; preferred && k < preferred->n; k++)
		path_at(ret, &preferred->addr[k])->inactive = false;
	for (unsigned k = 0; weights && k < weights->n; k++)
		path_at(ret, &weights->addr[k])->weight = weights->weight[k];
}
