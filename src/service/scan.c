/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scsi/lun.h"
#include "service/keeper.h"
#include "service/log.h"
#include "service/mapping.h"

#define FAMILY_WAIT_NS (30 * NS_PER_S)

/* The keeper changes the session's paths itself, or is paused while another thread does. */
static bool has_path(struct session *s, uint64_t lun)
{
	return unit_path_find(s, lun) != NULL;
}

static size_t count_paths(struct session *s)
{
	const struct unit_path *p;
	size_t n = 0;

	list_for_each (p, &s->paths, in_session)
		n++;
	return n;
}

static bool attach(struct session *s, const struct lu_info *info)
{
	bool ok;
	int r;

	if (family_lock(s->family, FAMILY_WAIT_NS))
		return false;
	/* whoever takes the session away has paused us before it took the lock */
	ok = !sess_interrupted(s);
	r = ok ? unit_attach(s, info) : 0;
	family_unlock(s->family);
	if (r == -ENOMEM)
		log_error("session %s: out of memory for a unit", s->target);
	return ok && r != -ENOMEM;
}

static bool scan_lun(struct session *s, const struct scsi_exec *exec, uint64_t lun)
{
	char text[LUN_TEXT_BYTES];
	struct lu_info info;
	int r = lu_probe(&info, exec, lun);

	lun_name(lun, text);
	if (r == -ENODEV)
		return true;
	if (r == -ENOMEDIUM) {
		log_info("session %s: lun %s has no medium", s->target, text);
		return true;
	}
	if (r) {
		log_limited(&s->log, LOG_LEVEL_WARNING, "session %s: lun %s cannot be asked: %s",
			    s->target, text, strerror(-r));
		return false;
	}
	if (info.device_type != SCSI_TYPE_DISK) {
		log_debug("session %s: lun %s is no disk (type %u)", s->target, text,
			  info.device_type);
		return true;
	}
	if (info.n_id == 0 && !info.serial[0])
		log_warning("session %s: lun %s tells nothing that identifies it; after a lost "
			    "connection it cannot be recognised and will be fenced",
			    s->target, text);
	return attach(s, &info);
}

bool sess_scan(struct session *s)
{
	struct scsi_exec exec = sess_exec(s);
	uint64_t *luns = NULL;
	size_t n = 0, n_left_out = 0, n_paths;
	bool ok = true;
	int r = lu_report_luns(&exec, &luns, &n);

	if (r) {
		log_limited(&s->log, LOG_LEVEL_WARNING,
			    "session %s: the list of units cannot be had: %s", s->target,
			    strerror(-r));
		return false;
	}
	n_paths = count_paths(s);
	for (size_t i = 0; i < n; i++) {
		if (sess_interrupted(s)) {
			ok = false;
			break;
		}
		if (has_path(s, luns[i]) || !mapping_wants(s->mapping, luns[i]))
			continue;
		if (n_paths >= s->tuning.max_units) {
			n_left_out++;
			continue;
		}
		ok = scan_lun(s, &exec, luns[i]) && ok;
		n_paths += has_path(s, luns[i]);
	}
	if (n_left_out > 0)
		log_limited(
			&s->log, LOG_LEVEL_WARNING,
			"session %s: %zu of %zu luns are left out: there are %zu disks, which is "
			"all that max_units allows",
			s->target, n_left_out, n, n_paths);
	free(luns);
	return ok;
}
