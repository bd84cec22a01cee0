/* SPDX-License-Identifier: MIT */
#include "service/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "service/addresses.h"
#include "service/connections.h"
#include "service/events.h"
#include "service/log.h"
#include "service/mapping.h"
#include "service/portal.h"
#include "service/security.h"
#include "service/static_target.h"

#define KEEPER_STACK   (512u << 10)
#define LOGIN_GUARD_NS (15 * NS_PER_S) /* beyond what the initiator itself promises */
#define CLOSE_GUARD_NS (30 * NS_PER_S)
#define STOP_LOOK_NS   (NS_PER_S / 5) /* how often a login looks whether the service stops */
#define SESSIONS_MAX   1024

/* ---- what the initiator tells; reactor thread ---------------------------------- */

static void on_up(void *user)
{
	struct session *s = user;

	pthread_mutex_lock(&s->lock);
	s->up = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void on_failed(void *user, const struct initiator_failure *f)
{
	struct session *s = user;

	pthread_mutex_lock(&s->lock);
	s->failed = true;
	s->failure = *f;
	pthread_mutex_unlock(&s->lock);
}

static void on_down(void *user, const char *why)
{
	struct session *s = user;

	units_path_lost(s);
	log_limited(&s->log, LOG_LEVEL_WARNING, "session %s: connection lost: %s", s->target, why);
	events_session(s->m->events, EVENT_SESSION_DOWN, s, NULL, why);
}

/* What becomes of the only one is told of the session. */
static void on_connection(void *user, unsigned number, bool up, const char *why)
{
	struct session *s = user;
	struct unique_id id;
	struct portal portal;
	char text[ID_TEXT_BYTES];

	if (!sess_connection(s, number, &id, &portal))
		return;
	id_text(&id, text);
	if (atomic_load(&s->shown))
		events_session(s->m->events, up ? EVENT_CONNECTION_UP : EVENT_CONNECTION_DOWN, s,
			       &id, why);
	if (up)
		log_debug("session %s: connection %s is up", s->target, text);
	else
		log_limited(&s->log, LOG_LEVEL_INFO, "session %s: connection %s ended: %s",
			    s->target, text, why);
}

static void on_verify(void *user)
{
	struct session *s = user;

	s->login++;
	sess_want(s, WANT_VERIFY);
}

static void on_hold_expired(void *user)
{
	struct session *s = user;

	log_error("session %s: not back after %llu s; its I/O fails from now on until it is",
		  s->target, (unsigned long long)(s->tuning.hold_ns / NS_PER_S));
}

static void on_note(void *user, const char *text)
{
	struct session *s = user;

	log_limited(&s->log, LOG_LEVEL_INFO, "session %s: %s", s->target, text);
}

static void on_closed(void *user)
{
	struct session *s = user;

	s->gone = true;
	pthread_mutex_lock(&s->lock);
	s->closed = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static const struct initiator_ops ops = {
	.up = on_up,
	.failed = on_failed,
	.down = on_down,
	.connection = on_connection,
	.verify = on_verify,
	.hold_expired = on_hold_expired,
	.resolve = addrs_resolve,
	.note = on_note,
	.closed = on_closed,
};

/* ---- the end --------------------------------------------------------------------------------- */

static void start_on_loop(void *arg)
{
	struct session *s = arg;

	initiator_start(s->initiator);
}

static void logout_on_loop(void *arg)
{
	struct session *s = arg;

	if (!s->gone)
		initiator_logout(s->initiator);
}

static void close_on_loop(void *arg)
{
	struct session *s = arg;

	if (!s->gone)
		initiator_close(s->initiator);
}

static bool wait_closed(struct session *s, uint64_t timeout_ns)
{
	uint64_t deadline_ns = clock_now_ns() + timeout_ns;
	bool closed;

	pthread_mutex_lock(&s->lock);
	while (!s->closed && cond_wait_until(&s->changed, &s->lock, deadline_ns) != -ETIMEDOUT)
		;
	closed = s->closed;
	pthread_mutex_unlock(&s->lock);
	return closed;
}

/* Closed, whatever it takes: afterwards the initiator calls nobody any more. */
static void close_surely(struct session *s)
{
	while (!wait_closed(s, CLOSE_GUARD_NS)) {
		log_error("session %s: does not close; trying again", s->target);
		loop_call(s->loop, close_on_loop, s);
	}
}

static void keeper_stop(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	s->quit = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (s->has_keeper)
		pthread_join(s->keeper, NULL);
	s->has_keeper = false;
}

/* Takes it out of the table and ends the table's reference. */
static void unlist(struct session *s)
{
	struct manager *m = s->m;

	pthread_mutex_lock(&m->lock);
	list_remove(&s->node);
	if (s->open)
		events_session(m->events, EVENT_SESSION_CLOSED, s, NULL, NULL);
	s->open = false;
	s->claimed = false;
	pthread_cond_broadcast(&m->changed);
	pthread_mutex_unlock(&m->lock);
	sess_put(s);
}

void sess_end(struct session *s)
{
	char text[ID_TEXT_BYTES];

	keeper_stop(s);
	loop_call(s->loop, logout_on_loop, s);
	close_surely(s);
	id_text(&s->id, text);
	log_info("session %s: logged out (%s)", s->target, text);
	unlist(s);
}

/* ---- logging in
 * ---------------------------------------------------------------------------------- */

static struct session *sess_new(struct manager *m, const struct kept_login *l,
				struct family *family)
{
	CLEANUP(freep) struct target_mapping *mapping = NULL;
	struct session *s;

	if (l->has_mapping && !l->informational) {
		mapping = malloc(sizeof(*mapping));
		if (!mapping)
			return NULL;
		*mapping = l->mapping;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->m = m;
	s->mapping = TAKE(mapping);
	s->n_refs = 1;
	list_init(&s->node);
	list_init(&s->paths);
	list_init(&s->connections);
	pthread_mutex_init(&s->lock, NULL);
	cond_init(&s->changed);
	s->log = (struct log_limit)LOG_LIMIT_INIT;
	s->again_ns = LOOP_NEVER;
	s->family = family;
	s->loop = reactors_loop(m->reactors, l->target);
	s->informational = l->informational;
	s->multipath = l->options.flags & LOGIN_MULTIPATH;
	s->auth_type = l->options.specified & OPT_AUTH_TYPE ? l->options.auth_type : 0;
	config_tuning(m->config, l->target, &s->tuning);
	return s;
}

/* The lowest ordinal that no session of the same kind to the same portal has; manager->lock. */
static unsigned ordinal_free(const struct manager *m, const struct session *me)
{
	bool taken[SESSIONS_MAX + 1] = {false};
	const struct session *s;
	unsigned n = 0;

	list_for_each (s, &m->sessions, node) {
		if (s != me && s->ordinal < ARRAY_SIZE(taken) &&
		    s->informational == me->informational &&
		    iscsi_name_equal(s->target, me->target) &&
		    iscsi_name_equal(s->node_name, me->node_name) &&
		    strcasecmp(s->isid_portal, me->isid_portal) == 0)
			taken[s->ordinal] = true;
	}
	/* there are fewer sessions than places */
	while (taken[n])
		n++;
	return n;
}

/* May this login begin? Enters the session into the table when so. */
static uint32_t sess_enter(struct session *s, struct refusal *why)
{
	struct manager *m = s->m;
	struct family *f = s->family;
	uint64_t deadline_ns =
		clock_now_ns() + s->tuning.login_timeout_ns + LOGIN_GUARD_NS + DEVICES_WAIT_NS;
	struct session *other;
	uint32_t code = 0;
	unsigned n = 0;

	pthread_mutex_lock(&m->lock);
	while (!s->multipath && f->logging_in && !m->stopping && code == 0) {
		if (cond_wait_until(&m->changed, &m->lock, deadline_ns) == -ETIMEDOUT)
			code = refuse(why, ISDSC_SESSION_BUSY, "another login to %s is under way",
				      s->target);
	}
	list_for_each (other, &m->sessions, node) {
		n++;
		if (code == 0 && !s->multipath && other->open && !other->informational &&
		    other->family == f)
			code = refuse(why, ISDSC_TARGET_ALREADY_LOGGED_IN,
				      "there is a session to %s already; further ones need the "
				      "multipath flag",
				      s->target);
	}
	if (code == 0 && m->stopping)
		code = refuse(why, ISDSC_SERVICE_UNAVAILABLE, "the service is stopping");
	if (code == 0 && n >= SESSIONS_MAX)
		code = refuse(why, ISDSC_TOO_MANY_SESSIONS, "there are %u sessions already", n);
	if (code == 0) {
		snprintf(s->node_name, sizeof(s->node_name), "%s", m->node_name);
		s->ordinal = ordinal_free(m, s);
		if (!s->informational)
			code = mapping_take(s, why);
	}
	if (code == 0) {
		list_append(&m->sessions, &s->node);
		s->n_refs++; /* the table's */
		if (!s->multipath && !s->informational)
			f->logging_in = true;
	}
	pthread_mutex_unlock(&m->lock);
	return code;
}

static void sess_entered(struct session *s)
{
	pthread_mutex_lock(&s->m->lock);
	if (!s->multipath && !s->informational)
		s->family->logging_in = false;
	pthread_cond_broadcast(&s->m->changed);
	pthread_mutex_unlock(&s->m->lock);
}

static int sess_identify(struct session *s)
{
	struct isid_key key = {
		.node_name = s->node_name,
		.target = s->target,
		.portal = s->isid_portal,
		.kind = s->informational ? "info" : "data",
		.ordinal = s->ordinal,
	};
	uint32_t a, b;
	int r = store_isid(s->m->store, &key, s->isid);

	if (r == 0)
		r = manager_take_id(s->m, &a);
	if (r == 0)
		r = manager_take_id(s->m, &b);
	if (r)
		return r;
	s->id = id_of_session(s->isid, a);
	s->connection_id = id_of_connection(b);
	return 0;
}

/* How long one address may take, so that each of them is tried before the first login is late. */
static uint64_t connect_timeout_ns(const struct tuning *t, unsigned n_addrs)
{
	uint64_t share_ns = t->login_timeout_ns / n_addrs;

	return t->connect_timeout_ns < share_ns ? t->connect_timeout_ns : share_ns;
}

static int sess_make_initiator(struct session *s, const struct kept_login *l,
			       const struct login_addrs *addrs, const struct iscsi_auth *auth)
{
	struct initiator_cfg cfg = {
		.loop = s->loop,
		.session =
			{
				.initiator_name = s->node_name,
				.target_name = s->target,
				.auth = *auth,
				.login_timeout_ns = s->tuning.login_timeout_ns,
				.nop_interval_ns = s->tuning.nop_interval_ns,
				.nop_timeout_ns = s->tuning.nop_timeout_ns,
				.task_timeout_ns = s->tuning.command_timeout_ns,
				.n_tasks = (unsigned)s->tuning.queue_depth,
				.policy = (enum iscsi_policy)s->tuning.connection_policy,
			},
		.n_addrs = addrs->n,
		.connect_timeout_ns = connect_timeout_ns(&s->tuning, addrs->n),
		.first_login_timeout_ns = s->tuning.login_timeout_ns,
		.hold_ns = s->tuning.hold_ns,
		.retry_min_ns = s->tuning.retry_min_ns,
		.retry_max_ns = s->tuning.retry_max_ns,
		.n_commands = (unsigned)s->tuning.queue_depth,
		.ops = &ops,
		.user = s,
	};

	memcpy(cfg.session.isid, s->isid, sizeof(s->isid));
	memcpy(cfg.addr, addrs->v, sizeof(cfg.addr));
	config_paths(s->m->config, &s->tuning, &cfg.paths);
	tuning_offer(&s->tuning, &cfg.session.offer);
	options_apply(&l->options, &cfg.session.offer);
	if (getrandom(&cfg.session.first_cmdsn, sizeof(cfg.session.first_cmdsn), 0) < 0)
		return -errno;
	return initiator_new(&s->initiator, &cfg);
}

/* Waits for what becomes of the first login. True: up. */
static bool wait_first_login(struct session *s, bool *ret_stopping)
{
	uint64_t deadline_ns = clock_now_ns() + s->tuning.login_timeout_ns + LOGIN_GUARD_NS;
	bool up;

	pthread_mutex_lock(&s->lock);
	while (!s->up && !s->closed && clock_now_ns() < deadline_ns) {
		cond_wait_until(&s->changed, &s->lock, clock_now_ns() + STOP_LOOK_NS);
		/* the manager's lock comes before ours */
		pthread_mutex_unlock(&s->lock);
		*ret_stopping = manager_stopping(s->m);
		pthread_mutex_lock(&s->lock);
		if (*ret_stopping)
			break;
	}
	up = s->up && !s->closed;
	pthread_mutex_unlock(&s->lock);
	return up && !*ret_stopping;
}

static uint32_t sess_first_login(struct session *s, struct refusal *why)
{
	bool stopping = false;

	loop_call(s->loop, start_on_loop, s);
	if (wait_first_login(s, &stopping))
		return 0;
	loop_call(s->loop, s->up ? logout_on_loop : close_on_loop, s);
	close_surely(s);
	if (stopping)
		return refuse(why, ISDSC_SERVICE_UNAVAILABLE, "the service is stopping");
	if (!s->failed)
		return refuse(why, ISDSC_LOGIN_FAILED, "the login to %s did not end in time",
			      s->target);
	return refuse(why, status_of_failure(&s->failure), "login to %s failed: %s", s->target,
		      s->failure.text[0] ? s->failure.text : strerror(-s->failure.error));
}

/* Lets everybody see it. False: not any more, because the service stops. */
static bool sess_show(struct session *s)
{
	bool stopping;

	pthread_mutex_lock(&s->m->lock);
	stopping = s->m->stopping;
	s->open = !stopping;
	if (s->open) {
		atomic_store(&s->shown, true);
		events_session(s->m->events, EVENT_SESSION_UP, s, NULL, NULL);
		events_session(s->m->events, EVENT_CONNECTION_UP, s, &s->connection_id, NULL);
	}
	pthread_mutex_unlock(&s->m->lock);
	return !stopping;
}

static int keeper_start(struct session *s)
{
	pthread_attr_t attr;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, KEEPER_STACK);
	r = -pthread_create(&s->keeper, &attr, sess_keeper, s);
	pthread_attr_destroy(&attr);
	s->has_keeper = r == 0;
	return r;
}

/* Where it is, and what the target calls itself: that is told at a login only. */
static void learn_of_login(struct session *s)
{
	struct initiator_status st;

	sess_status(s, &st);
	if (st.n_up > 0)
		addrs_settle(s, &st.connection[0].peer);
	if (!st.params.TargetAlias[0])
		return;
	pthread_mutex_lock(&s->m->lock);
	target_table_set_alias(&s->m->targets, s->target, st.params.TargetAlias);
	pthread_mutex_unlock(&s->m->lock);
}

static uint32_t sess_prepare(struct session *s, const struct kept_login *l,
			     const struct login_addrs *addrs, struct refusal *why)
{
	struct chap_login chap = {0};
	struct iscsi_auth auth;
	uint32_t code = security_auth(s->m->security, &l->options, s->node_name,
				      s->m->config->chap_md5, &chap, &auth, why);
	int r = code ? 0 : sess_identify(s);

	if (code == 0 && r == 0)
		r = sess_make_initiator(s, l, addrs, &auth);
	explicit_bzero(&chap, sizeof(chap));
	return r ? refuse_errno(why, r, "the session could not be prepared") : code;
}

static uint32_t sess_login(struct session *s, const struct kept_login *l,
			   const struct login_addrs *addrs, struct refusal *why)
{
	char text[ID_TEXT_BYTES], isid[ISID_TEXT_BYTES];
	uint32_t code = sess_prepare(s, l, addrs, why);
	int r;

	if (code == 0)
		code = sess_first_login(s, why);
	if (code)
		return code;
	learn_of_login(s);
	s->wants |= s->informational ? 0 : WANT_SCAN;
	s->scanned = s->informational;
	s->paused = true; /* no device before the session can be seen */
	r = keeper_start(s);
	if (r || !sess_show(s)) {
		keeper_stop(s);
		loop_call(s->loop, logout_on_loop, s);
		close_surely(s);
		return r ? refuse_errno(why, r, "no thread for the session")
			 : refuse(why, ISDSC_SERVICE_UNAVAILABLE, "the service is stopping");
	}
	sess_resume(s);
	id_text(&s->id, text);
	isid_text(s->isid, isid);
	log_info("session %s: logged in at %s:%u, isid=%s (%s)%s", s->target, s->portal.address,
		 s->portal.socket, isid, text, s->informational ? ", for information only" : "");
	return 0;
}

static void wait_devices(struct session *s)
{
	uint64_t deadline_ns = clock_now_ns() + DEVICES_WAIT_NS;

	pthread_mutex_lock(&s->lock);
	while (!s->scanned && !s->quit && !s->closed &&
	       cond_wait_until(&s->changed, &s->lock, deadline_ns) != -ETIMEDOUT)
		;
	pthread_mutex_unlock(&s->lock);
}

/* As sess_open(), with all that is known about how. */
static uint32_t sess_open_as(struct session **ret, struct manager *m, const struct kept_login *l,
			     struct refusal *why)
{
	struct login_addrs addrs;
	struct family *family = family_get(m, l->target);
	struct session *s = family ? sess_new(m, l, family) : NULL;
	uint32_t code;

	if (!s) {
		if (family)
			family_put(m, family);
		return refuse_errno(why, -ENOMEM, "the session could not be made");
	}
	snprintf(s->target, sizeof(s->target), "%s", l->target);
	if (l->has_portal)
		snprintf(s->isid_portal, sizeof(s->isid_portal), "%s:%u", l->portal.address,
			 l->portal.socket);
	code = sess_enter(s, why);
	if (code) {
		sess_put(s);
		return code;
	}
	s->hops = addrs_may_change(l);
	pthread_mutex_lock(&m->lock);
	s->portals_seen = target_table_version(&m->targets, s->target);
	pthread_mutex_unlock(&m->lock);
	code = addrs_find(&addrs, m, l, why);
	if (code == 0) {
		if (addrs.n_left_out > 0)
			log_warning("session %s: %u addresses of its portals are left out: %u are "
				    "tried",
				    s->target, addrs.n_left_out, addrs.n);
		s->portal = addrs.first;
		code = sess_login(s, l, &addrs, why);
	}
	sess_entered(s);
	if (code) {
		unlist(s);
		sess_put(s);
		return code;
	}
	addrs_follow_one(s);
	wait_devices(s);
	*ret = s;
	return 0;
}

uint32_t sess_open(struct session **ret, struct manager *m, const struct kept_login *login,
		   bool from_store, struct refusal *why)
{
	struct kept_login *l = malloc(sizeof(*l));
	uint32_t code = 0;

	if (!l)
		return refuse_errno(why, -ENOMEM, "the session could not be made");
	*l = *login;
	if (!static_target_complete(m, l) && !from_store)
		code = refuse(why, ISDSC_TARGET_NOT_FOUND,
			      "target %s is not known; add a portal that tells of it, or the "
			      "target itself",
			      l->target);
	if (code == 0)
		code = demands_check(l->security_flags, &l->options, why);
	if (code == 0)
		code = sess_open_as(ret, m, l, why);
	explicit_bzero(l, sizeof(*l));
	free(l);
	return code;
}
