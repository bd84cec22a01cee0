/* SPDX-License-Identifier: MIT */
#include "service/portal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "discovery/sendtargets.h"
#include "service/addresses.h"
#include "service/log.h"
#include "service/security.h"

#define ASK_AT_ONCE 8

uint32_t demands_check(uint64_t security_flags, const struct login_options *o, struct refusal *why)
{
	if ((o->flags & LOGIN_REQUIRE_IPSEC) ||
	    (security_flags & (SECURITY_VALID | SECURITY_IKE)) == (SECURITY_VALID | SECURITY_IKE))
		return refuse(why, ISDSC_IPSEC_NOT_SUPPORTED_ON_OS,
			      "IPsec was asked for, and this service cannot set it up; protect the "
			      "connection outside of it and leave the flag out");
	if (o->flags & LOGIN_RADIUS)
		return refuse(why, ISDSC_REQUEST_NOT_SUPPORTED,
			      "RADIUS was asked for (login flags 0x%x), and this version does not "
			      "speak it; give the CHAP secret with the login instead",
			      o->flags & LOGIN_RADIUS);
	return 0;
}

void options_apply(const struct login_options *o, struct iscsi_params *offer)
{
	if (o->specified & OPT_HEADER_DIGEST)
		offer->HeaderDigest = o->header_digest ? ISCSI_OFFER_CRC32C : ISCSI_OFFER_NONE;
	if (o->specified & OPT_DATA_DIGEST)
		offer->DataDigest = o->data_digest ? ISCSI_OFFER_CRC32C : ISCSI_OFFER_NONE;
	if (o->specified & OPT_MAX_CONNECTIONS)
		offer->MaxConnections = o->max_connections ? o->max_connections : 65535;
	if (o->specified & OPT_TIME2WAIT)
		offer->DefaultTime2Wait = o->time2wait;
	if (o->specified & OPT_TIME2RETAIN)
		offer->DefaultTime2Retain = o->time2retain;
}

/* ---- the list ------------------------------------------------------------- */

static struct known_portal *portal_lookup(struct manager *m, const struct send_target_portal *key)
{
	struct known_portal *k;

	list_for_each (k, &m->portals, node) {
		if (k->p.port == key->port && k->p.portal.socket == key->portal.socket &&
		    strcasecmp(k->p.instance, key->instance) == 0 &&
		    strcasecmp(k->p.portal.address, key->portal.address) == 0)
			return k;
	}
	return NULL;
}

static void mechanism_text(const struct send_target_portal *p, char *buf, size_t n)
{
	snprintf(buf, n, MECHANISM_SENDTARGETS "*%s %07u %s ", p->portal.address, p->portal.socket,
		 HBA_INSTANCE);
}

/* ---- asking ---------------------------------------------------------------- */

static uint32_t portal_take_over(struct manager *m, const struct send_target_portal *p,
				 const struct discovered *d, struct refusal *why)
{
	char mechanism[ADDRESS_MAX + 64];
	size_t n_bad = 0;
	int r;

	mechanism_text(p, mechanism, sizeof(mechanism));
	pthread_mutex_lock(&m->lock);
	r = target_table_learn(&m->targets, mechanism, d, &n_bad);
	pthread_mutex_unlock(&m->lock);
	if (r)
		return refuse_errno(why, r, "the targets found could not be kept");
	addrs_follow(m);
	if (n_bad)
		log_warning("portal %s:%u: %zu targets with malformed names were left out",
			    p->portal.address, p->portal.socket, n_bad);
	log_info("portal %s:%u: %zu targets", p->portal.address, p->portal.socket,
		 d->n_targets - n_bad);
	return 0;
}

static int discovery_isid(struct manager *m, const char *name, uint8_t ret[6])
{
	struct isid_key key = {.node_name = name, .target = "", .portal = "", .kind = "discovery"};
	struct discovery_isids *d = &m->discovery;
	bool there;
	int r;

	pthread_mutex_lock(&m->lock);
	if (!iscsi_name_equal(d->node_name, name)) {
		*d = (struct discovery_isids){.next = d->next};
		snprintf(d->node_name, sizeof(d->node_name), "%s", name);
	}
	key.ordinal = d->next++ % DISCOVERY_ORDINALS;
	there = d->there[key.ordinal];
	if (there)
		memcpy(ret, d->isid[key.ordinal], 6);
	pthread_mutex_unlock(&m->lock);
	if (there)
		return 0;
	r = store_isid(m->store, &key, ret);
	pthread_mutex_lock(&m->lock);
	if (r == 0 && iscsi_name_equal(d->node_name, name)) {
		memcpy(d->isid[key.ordinal], ret, 6);
		d->there[key.ordinal] = true;
	}
	pthread_mutex_unlock(&m->lock);
	return r;
}

static uint32_t portal_discover(struct manager *m, const struct send_target_portal *p,
				const char *name, const struct iscsi_auth *auth, uint64_t max_ns,
				struct refusal *why)
{
	struct initiator_failure fail = {0};
	struct discovered found = {0};
	struct sendtargets_cfg cfg = {
		.initiator_name = name,
		.host = p->portal.address,
		.port = p->portal.socket,
		.ask = "All",
		.auth = *auth,
	};
	struct iscsi_params offer;
	struct tuning t;
	uint32_t code;
	int r;

	config_tuning(m->config, "", &t);
	tuning_offer(&t, &offer);
	options_apply(&p->options, &offer);
	cfg.header_digest = offer.HeaderDigest;
	cfg.data_digest = offer.DataDigest;
	cfg.timeout_ns = t.login_timeout_ns < max_ns ? t.login_timeout_ns : max_ns;
	r = discovery_isid(m, name, cfg.isid);
	if (r)
		return refuse_errno(why, r, "no ISID could be stored");
	r = sendtargets_run(&found, &fail, &cfg);
	if (r)
		return refuse(why, status_of_failure(&fail), "discovery at %s:%u failed: %s",
			      p->portal.address, p->portal.socket,
			      fail.text[0] ? fail.text : strerror(-r));
	code = portal_take_over(m, p, &found, why);
	discovered_clear(&found);
	return code;
}

/* Takes as long as a login may take, but at most @max_ns. */
static uint32_t portal_ask(struct manager *m, const struct send_target_portal *p, uint64_t max_ns,
			   struct refusal *why)
{
	char name[ISCSI_NAME_MAX + 1];
	struct chap_login chap = {0};
	struct iscsi_auth auth;
	uint32_t code = demands_check(p->security_flags, &p->options, why);

	if (code)
		return code;
	manager_get_node_name(m, name);
	code = security_auth(m->security, &p->options, name, m->config->chap_md5, &chap, &auth,
			     why);
	if (code == 0)
		code = portal_discover(m, p, name, &auth, max_ns, why);
	explicit_bzero(&chap, sizeof(chap));
	return code;
}

static void portal_free(struct known_portal *k)
{
	if (k)
		explicit_bzero(&k->p, sizeof(k->p));
	free(k);
}

/* Stores @k and lists it, in the place of the one with the same key: that is *ret_old, or NULL. */
static int portal_put(struct manager *m, struct known_portal *k, struct known_portal **ret_old)
{
	struct known_portal *old;
	int r;

	pthread_mutex_lock(&m->kept_lock);
	r = store_put_portal(m->store, &k->p);
	if (r == 0) {
		pthread_mutex_lock(&m->lock);
		old = portal_lookup(m, &k->p);
		list_insert_before(old ? &old->node : &m->portals, &k->node);
		if (old)
			list_remove(&old->node);
		pthread_mutex_unlock(&m->lock);
		*ret_old = old;
	}
	pthread_mutex_unlock(&m->kept_lock);
	return r;
}

uint32_t portal_add(struct manager *m, const struct send_target_portal *p, struct refusal *why)
{
	struct known_portal *k = calloc(1, sizeof(*k)), *old = NULL;
	uint32_t code;
	int r;

	if (!k)
		return refuse_errno(why, -ENOMEM, "the portal could not be added");
	k->p = *p;
	r = portal_put(m, k, &old);
	if (r) {
		portal_free(k);
		return refuse_errno(why, r, "the portal could not be stored");
	}
	log_info("portal %s:%u: %s", p->portal.address, p->portal.socket,
		 old ? "changed" : "added");
	portal_free(old);
	code = portal_ask(m, p, UINT64_MAX, why);
	if (code)
		log_warning("portal %s:%u: %s", p->portal.address, p->portal.socket, why->text);
	return code;
}

static uint32_t portal_unknown(const struct send_target_portal *key, struct refusal *why)
{
	return refuse(why, ISDSC_PORTAL_NOT_FOUND, "portal %s:%u is not in the list",
		      key->portal.address, key->portal.socket);
}

uint32_t portal_remove(struct manager *m, const struct send_target_portal *key, struct refusal *why)
{
	struct known_portal *k = NULL;
	int r;

	pthread_mutex_lock(&m->kept_lock);
	r = store_delete_portal(m->store, key->instance, key->port, &key->portal);
	if (r == 0) {
		pthread_mutex_lock(&m->lock);
		k = portal_lookup(m, key);
		if (k)
			list_remove(&k->node);
		pthread_mutex_unlock(&m->lock);
	}
	pthread_mutex_unlock(&m->kept_lock);
	if (r == -ENOENT)
		return portal_unknown(key, why);
	if (r)
		return refuse_errno(why, r, "the portal could not be removed");
	portal_free(k);
	log_info("portal %s:%u: removed", key->portal.address, key->portal.socket);
	return 0;
}

uint32_t portal_refresh(struct manager *m, const struct send_target_portal *key,
			struct refusal *why)
{
	struct send_target_portal p;
	struct known_portal *k;
	uint32_t code;

	pthread_mutex_lock(&m->lock);
	k = portal_lookup(m, key);
	if (k)
		p = k->p;
	pthread_mutex_unlock(&m->lock);
	if (!k)
		return portal_unknown(key, why);
	code = portal_ask(m, &p, UINT64_MAX, why);
	explicit_bzero(&p, sizeof(p));
	return code;
}

/* ---- all of them --------------------------------------------------------------- */

struct round {
	struct manager *m;
	struct send_target_portal *v;
	uint64_t deadline_ns;
	size_t n, next, n_failed, n_left_out; /* lock */
	unsigned n_running;
	pthread_mutex_t lock;
	pthread_cond_t done;
};

/* The next one to be asked; rd->n: there is none, or no time for it. */
static size_t round_next(struct round *rd)
{
	bool late = clock_now_ns() >= rd->deadline_ns || manager_stopping(rd->m);
	size_t i;

	pthread_mutex_lock(&rd->lock);
	if (late) {
		rd->n_left_out += rd->n - rd->next;
		rd->next = rd->n;
	}
	i = rd->next;
	rd->next += i < rd->n;
	pthread_mutex_unlock(&rd->lock);
	return i;
}

/* Asks what is left, one after the other; several threads do so side by side. */
static void round_work(struct round *rd)
{
	size_t i;

	while ((i = round_next(rd)) < rd->n) {
		CLEANUP(refusal_clear) struct refusal why = {0};
		uint64_t now_ns = clock_now_ns();
		uint64_t left_ns = now_ns < rd->deadline_ns ? rd->deadline_ns - now_ns : 1;

		if (portal_ask(rd->m, &rd->v[i], left_ns, &why) == 0)
			continue;
		log_warning("portal %s:%u: %s", rd->v[i].portal.address, rd->v[i].portal.socket,
			    why.text);
		pthread_mutex_lock(&rd->lock);
		rd->n_failed++;
		pthread_mutex_unlock(&rd->lock);
	}
}

static void round_helper(void *arg)
{
	struct round *rd = arg;

	round_work(rd);
	pthread_mutex_lock(&rd->lock);
	rd->n_running--;
	pthread_cond_signal(&rd->done);
	pthread_mutex_unlock(&rd->lock);
}

static int portals_copy(struct manager *m, struct send_target_portal **ret, size_t *ret_n)
{
	struct known_portal *k;
	size_t n = 0;

	pthread_mutex_lock(&m->lock);
	list_for_each (k, &m->portals, node)
		n++;
	*ret = calloc(n ? n : 1, sizeof(**ret));
	n = 0;
	if (*ret) {
		list_for_each (k, &m->portals, node)
			(*ret)[n++] = k->p;
	}
	pthread_mutex_unlock(&m->lock);
	*ret_n = n;
	return *ret ? 0 : -ENOMEM;
}

/* What removed portals had told ends with a full refresh. */
static void forget_removed(struct manager *m)
{
	struct known_portal *k;

	pthread_mutex_lock(&m->lock);
	list_for_each (k, &m->portals, node) {
		char text[ADDRESS_MAX + 64];

		mechanism_text(&k->p, text, sizeof(text));
		target_table_keep(&m->targets, text);
	}
	target_table_prune(&m->targets, MECHANISM_SENDTARGETS);
	pthread_mutex_unlock(&m->lock);
	addrs_follow(m);
}

uint32_t portal_refresh_all(struct manager *m, uint64_t timeout_ns)
{
	uint64_t now_ns = clock_now_ns();
	struct round rd = {.m = m, .deadline_ns = UINT64_MAX};

	if (timeout_ns < UINT64_MAX - now_ns)
		rd.deadline_ns = now_ns + timeout_ns;
	if (portals_copy(m, &rd.v, &rd.n))
		return ISDSC_OPERATION_NOT_ALL_SUCCESS;
	pthread_mutex_init(&rd.lock, NULL);
	pthread_cond_init(&rd.done, NULL);
	for (size_t i = 1; i < rd.n && i < ASK_AT_ONCE; i++) {
		pthread_mutex_lock(&rd.lock);
		rd.n_running++;
		pthread_mutex_unlock(&rd.lock);
		if (manager_helper(m, round_helper, &rd)) {
			/* fewer at a time, then */
			pthread_mutex_lock(&rd.lock);
			rd.n_running--;
			pthread_mutex_unlock(&rd.lock);
			break;
		}
	}
	round_work(&rd);
	pthread_mutex_lock(&rd.lock);
	while (rd.n_running > 0)
		pthread_cond_wait(&rd.done, &rd.lock);
	pthread_mutex_unlock(&rd.lock);
	pthread_mutex_destroy(&rd.lock);
	pthread_cond_destroy(&rd.done);
	explicit_bzero(rd.v, rd.n * sizeof(*rd.v));
	free(rd.v);

	if (rd.n_left_out && !manager_stopping(m))
		log_warning("%zu of %zu portals were not asked: there was no time for them",
			    rd.n_left_out, rd.n);
	forget_removed(m);
	return rd.n_failed + rd.n_left_out ? ISDSC_OPERATION_NOT_ALL_SUCCESS : 0;
}
