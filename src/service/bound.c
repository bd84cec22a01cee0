/* SPDX-License-Identifier: MIT */
#include "service/bound.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "service/log.h"

static void changed(struct manager *m)
{
	pthread_mutex_lock(&m->lock);
	m->n_bound_changes++;
	pthread_mutex_unlock(&m->lock);
}

uint32_t bound_add(struct manager *m, const char *path, struct refusal *why)
{
	CLEANUP(bound_clear) struct bound b = {0};
	struct bound_finder *f;
	uint32_t code;
	int r;

	f = bound_finder_new(m, &r);
	if (!f)
		return refuse_errno(why, r, "the stored logins cannot be read");
	code = bound_find(f, path, &b, why);
	bound_finder_free(f);
	if (code)
		return code;
	r = store_add_bound(m->store, &b);
	if (r == -EEXIST)
		return refuse(why, ISDSC_DEVICE_ALREADY_PERSISTENTLY_BOUND,
			      "%s, or another name of what it is, is in the list", path);
	if (r)
		return refuse_errno(why, r, "the device could not be stored");
	changed(m);
	log_info("bound devices: %s added", path);
	return 0;
}

/* By the name that was given, else by what it is. */
static int remove_any(struct manager *m, const char *path)
{
	CLEANUP(bound_keys_clear) struct bound_keys keys = {{NULL}};
	CLEANUP(refusal_clear) struct refusal why = {0};
	CLEANUP(bound_clear) struct bound b = {0};
	struct bound_finder *f;
	int r = store_delete_bound(m->store, path, NULL);

	if (r != -ENOENT)
		return r;
	f = bound_finder_new(m, &r);
	if (!f)
		return r;
	r = bound_find(f, path, &b, &why) == 0 ? store_delete_bound(m->store, NULL, b.key)
					       : -ENOENT;
	bound_finder_free(f);
	if (r != -ENOENT)
		return r;
	r = bound_keys_of(path, &keys);
	for (size_t i = 0; r == 0 && keys.v[i]; i++) {
		r = store_delete_bound(m->store, NULL, keys.v[i]);
		if (r != -ENOENT)
			return r;
		r = 0;
	}
	return r ? r : -ENOENT;
}

uint32_t bound_remove(struct manager *m, const char *path, struct refusal *why)
{
	int r = remove_any(m, path);

	if (r == -ENOENT)
		return refuse(why, ISDSC_DEVICE_NOT_FOUND, "%s is not in the list", path);
	if (r)
		return refuse_errno(why, r, "the device could not be removed");
	changed(m);
	log_info("bound devices: %s removed", path);
	return 0;
}

uint32_t bound_remove_all(struct manager *m, struct refusal *why)
{
	int r = store_set_bound(m->store, NULL, 0);

	if (r)
		return refuse_errno(why, r, "the devices could not be removed");
	changed(m);
	log_info("bound devices: all removed");
	return 0;
}

uint32_t bound_scan(struct manager *m, struct refusal *why)
{
	struct bound_finder *f;
	struct bound *v = NULL;
	size_t n = 0;
	int r;

	f = bound_finder_new(m, &r);
	if (f)
		r = bound_find_all(f, &v, &n);
	bound_finder_free(f);
	if (r == 0)
		r = store_set_bound(m->store, v, n);
	bound_free_all(v, n);
	if (r)
		return refuse_errno(why, r, "the devices could not be bound");
	changed(m);
	log_info("bound devices: %zu found", n);
	return 0;
}
