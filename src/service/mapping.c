/* SPDX-License-Identifier: MIT */
#include "service/mapping.h"

#include "scsi/lun.h"

static bool taken(const struct session *me, uint32_t bus, uint32_t target)
{
	const struct session *s;

	list_for_each (s, &me->m->sessions, node) {
		if (s != me && !s->informational && s->os_bus == bus && s->os_target == target)
			return true;
	}
	return false;
}

uint32_t mapping_take(struct session *s, struct refusal *why)
{
	const struct target_mapping *m = s->mapping;
	uint32_t bus = m ? m->bus : ANY_NUMBER, target = m ? m->os_target : ANY_NUMBER;
	bool any_bus = bus == ANY_NUMBER, any_target = target == ANY_NUMBER;

	bus = any_bus ? 0 : bus;
	target = any_target ? 0 : target;
	/* there are fewer sessions than numbers, so one of these is free */
	while (taken(s, bus, target)) {
		if (any_target)
			target++;
		else if (any_bus)
			bus++;
		else
			return refuse(why, ISDSC_TARGET_MAPPING_UNAVAILABLE,
				      "target %u on bus %u is another session's", target, bus);
	}
	s->os_bus = bus;
	s->os_target = target;
	return 0;
}

/* The same unit, also where its number is written in another form. */
static bool same_lun(uint64_t a, uint64_t b)
{
	uint32_t n, k;

	return a == b || (lun_to_number(a, &n) && lun_to_number(b, &k) && n == k);
}

static const struct lun_mapping *find(const struct target_mapping *m, uint64_t lun)
{
	for (uint32_t i = 0; m && i < m->n_luns; i++) {
		if (same_lun(m->luns[i].target_lun, lun))
			return &m->luns[i];
	}
	return NULL;
}

bool mapping_wants(const struct target_mapping *m, uint64_t lun)
{
	return !m || m->n_luns == 0 || find(m, lun);
}

uint32_t mapping_lun(const struct target_mapping *m, uint64_t lun)
{
	const struct lun_mapping *l = find(m, lun);
	uint32_t number;

	if (l)
		return l->os_lun;
	return lun_to_number(lun, &number) ? number : (uint32_t)(lun >> 48);
}
