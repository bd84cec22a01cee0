/* SPDX-License-Identifier: MIT */
#include "service/security.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "service/log.h"

#define ENTRIES_MAX     1024 /* IKE identities, and as many tunnels */
#define SERVERS_MAX     256  /* of each kind */

#define FLAG_MAIN       0x04u
#define FLAG_AGGRESSIVE 0x08u
#define FLAG_TRANSPORT  0x20u
#define FLAG_TUNNEL     0x40u

struct ike_entry {
	struct list node;
	struct ike_info i; /* the key only when it is not in the store */
};

struct tunnel_entry {
	struct list node;
	struct tunnel_address t;
};

struct security {
	struct store *store;
	pthread_mutex_t lock; /* the lists and the store go together: held over a change of both */
	struct list ikes, tunnels;
	unsigned n_ikes, n_tunnels;
	struct blob group_key; /* the one that is not to be kept */
};

/* ---- entries ------------------------------------------------------------------ */

static struct ike_entry *ike_find(struct security *s, const struct ike_info *key)
{
	struct ike_entry *e;

	list_for_each (e, &s->ikes, node) {
		if (e->i.port == key->port && e->i.id_type == key->id_type &&
		    e->i.id.n == key->id.n && memcmp(e->i.id.bytes, key->id.bytes, key->id.n) == 0)
			return e;
	}
	return NULL;
}

static void ike_drop(struct security *s, struct ike_entry *e)
{
	list_remove(&e->node);
	s->n_ikes--;
	explicit_bzero(e, sizeof(*e));
	free(e);
}

static int ike_keep(struct security *s, const struct ike_info *i, bool with_key)
{
	struct ike_entry *e = ike_find(s, i);

	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return -ENOMEM;
		list_append(&s->ikes, &e->node);
		s->n_ikes++;
	}
	e->i = *i;
	if (!with_key)
		explicit_bzero(&e->i.key, sizeof(e->i.key));
	return 0;
}

static struct tunnel_entry *tunnel_find(struct security *s, const struct tunnel_address *key)
{
	struct tunnel_entry *e;

	list_for_each (e, &s->tunnels, node) {
		if (e->t.port == key->port && strcasecmp(e->t.destination, key->destination) == 0)
			return e;
	}
	return NULL;
}

static void tunnel_drop(struct security *s, struct tunnel_entry *e)
{
	list_remove(&e->node);
	s->n_tunnels--;
	free(e);
}

static int tunnel_keep(struct security *s, const struct tunnel_address *t)
{
	struct tunnel_entry *e = tunnel_find(s, t);

	if (!e) {
		e = calloc(1, sizeof(*e));
		if (!e)
			return -ENOMEM;
		list_append(&s->tunnels, &e->node);
		s->n_tunnels++;
	}
	e->t = *t;
	return 0;
}

static void tunnels_drop(struct security *s, const struct tunnel_address *key)
{
	struct tunnel_entry *e, *tmp;

	list_for_each_safe (e, tmp, &s->tunnels, node) {
		if ((key->port == ANY_PORT || key->port == e->t.port) &&
		    (!key->destination[0] || strcasecmp(key->destination, e->t.destination) == 0))
			tunnel_drop(s, e);
	}
}

/* ---- life ------------------------------------------------------------------------- */

static int ikes_load(struct security *s)
{
	CLEANUP(freep) struct ike_info *v = NULL;
	size_t n = 0;
	int r = store_load_ike(s->store, &v, &n);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = ike_keep(s, &v[i], false);
	return r;
}

static int tunnels_load(struct security *s)
{
	CLEANUP(freep) struct tunnel_address *v = NULL;
	size_t n = 0;
	int r = store_load_tunnels(s->store, &v, &n);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = tunnel_keep(s, &v[i]);
	return r;
}

int security_new(struct security **ret, struct store *store)
{
	struct security *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->store = store;
	pthread_mutex_init(&s->lock, NULL);
	list_init(&s->ikes);
	list_init(&s->tunnels);
	r = ikes_load(s);
	if (r == 0)
		r = tunnels_load(s);
	if (r) {
		security_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct security *security_free(struct security *s)
{
	struct tunnel_entry *t, *t_next;
	struct ike_entry *i, *i_next;

	if (!s)
		return NULL;
	list_for_each_safe (i, i_next, &s->ikes, node)
		ike_drop(s, i);
	list_for_each_safe (t, t_next, &s->tunnels, node)
		tunnel_drop(s, t);
	pthread_mutex_destroy(&s->lock);
	explicit_bzero(s, sizeof(*s));
	free(s);
	return NULL;
}

/* ---- secrets of the node ------------------------------------------------------------- */

static uint32_t not_stored(struct refusal *why, int r, const char *what)
{
	char text[64];

	snprintf(text, sizeof(text), "the %s could not be stored", what);
	return refuse_errno(why, r, text);
}

static uint32_t secret_store(struct security *s, enum node_secret which, const struct blob *value,
			     const char *what, struct refusal *why)
{
	int r = store_set_secret(s->store, which, value);

	if (r)
		return not_stored(why, r, what);
	log_info("%s: %s", what, value->n ? "set" : "removed");
	return 0;
}

uint32_t security_set_chap(struct security *s, const struct blob *secret, struct refusal *why)
{
	uint32_t code;

	if (secret->n > CHAP_SECRET_MAX)
		return refuse(why, ISDSC_INVALID_INITIATOR_CHAP_SECRET,
			      "the initiator's CHAP secret must have %d to %d bytes",
			      CHAP_SECRET_MIN, CHAP_SECRET_MAX);
	code = secret_store(s, NODE_CHAP, secret, "initiator CHAP secret", why);
	if (code || secret->n == 0 || secret->n >= CHAP_SECRET_MIN)
		return code;
	return refuse(why, ISDSC_SHORT_CHAP_SECRET,
		      "the secret was stored, but one of less than %d bytes cannot be used without "
		      "IPsec",
		      CHAP_SECRET_MIN);
}

uint32_t security_set_radius(struct security *s, const struct blob *secret, struct refusal *why)
{
	if (secret->n && (secret->n < RADIUS_SECRET_MIN || secret->n > RADIUS_SECRET_MAX))
		return refuse(why, WIN_INVALID_PARAMETER,
			      "the RADIUS secret must have %d to %d bytes", RADIUS_SECRET_MIN,
			      RADIUS_SECRET_MAX);
	return secret_store(s, NODE_RADIUS, secret, "RADIUS secret", why);
}

uint32_t security_set_group_key(struct security *s, const struct blob *key, bool persist,
				struct refusal *why)
{
	uint32_t code = 0;

	pthread_mutex_lock(&s->lock);
	if (persist)
		code = secret_store(s, NODE_GROUP_KEY, key, "group key", why);
	if (code == 0)
		explicit_bzero(&s->group_key, sizeof(s->group_key));
	if (!persist) {
		s->group_key = *key;
		log_info("group key: %s until the service stops", key->n ? "set" : "removed");
	}
	pthread_mutex_unlock(&s->lock);
	return code;
}

/* ---- CHAP ------------------------------------------------------------------------------ */

static void random_bytes(void *bytes, size_t n)
{
	uint8_t *at = bytes;

	while (n > 0) {
		ssize_t k = getrandom(at, n, 0);

		if (k > 0) {
			at += k;
			n -= (size_t)k;
		}
	}
}

static bool length_is_good(const struct blob *secret)
{
	return secret->n >= CHAP_SECRET_MIN && secret->n <= CHAP_SECRET_MAX;
}

static uint32_t name_take(struct blob *ret, const struct login_options *o, const char *node,
			  struct refusal *why)
{
	if ((o->specified & OPT_USERNAME) && o->username.n) {
		*ret = o->username;
	} else {
		ret->n = (uint16_t)strlen(node);
		memcpy(ret->bytes, node, ret->n);
	}
	if (memchr(ret->bytes, 0, ret->n))
		return refuse(why, ISDSC_INVALID_CHAP_USER_NAME,
			      "a CHAP user name must not have a NUL in it");
	return 0;
}

static uint32_t secret_take(struct blob *ret, const struct login_options *o, struct refusal *why)
{
	if (!(o->specified & OPT_PASSWORD) || o->password.n == 0)
		return refuse(why, ISDSC_AUTHENTICATION_FAILURE,
			      "CHAP was asked for, but there is no password to answer the target "
			      "with");
	if (!length_is_good(&o->password))
		return refuse(why, ISDSC_INVALID_TARGET_CHAP_SECRET,
			      "a CHAP password must have %d to %d bytes", CHAP_SECRET_MIN,
			      CHAP_SECRET_MAX);
	*ret = o->password;
	return 0;
}

static uint32_t peer_secret_take(struct security *s, struct blob *ret, const struct blob *secret,
				 struct refusal *why)
{
	int r = store_get_secret(s->store, NODE_CHAP, ret);

	if (r == -ENOENT)
		return refuse(why, ISDSC_INVALID_INITIATOR_CHAP_SECRET,
			      "mutual CHAP needs a secret to check the target with; set it with "
			      "SetIScsiInitiatorCHAPSharedSecret or \"iscsicli CHAPSecret\"");
	if (r)
		return refuse_errno(why, r, "the initiator's CHAP secret could not be read");
	if (!length_is_good(ret))
		return refuse(why, ISDSC_INVALID_INITIATOR_CHAP_SECRET,
			      "the initiator's CHAP secret must have %d to %d bytes",
			      CHAP_SECRET_MIN, CHAP_SECRET_MAX);
	if (ret->n == secret->n && memcmp(ret->bytes, secret->bytes, secret->n) == 0)
		return refuse(why, ISDSC_INVALID_CHAP_SECRET,
			      "mutual CHAP with the same secret for both directions proves nothing "
			      "(RFC 7143 section 9.2.1)");
	return 0;
}

uint32_t security_auth(struct security *s, const struct login_options *o, const char *node,
		       bool allow_md5, struct chap_login *buf, struct iscsi_auth *ret,
		       struct refusal *why)
{
	bool mutual = o->auth_type == AUTH_MUTUAL_CHAP;
	uint32_t code;

	*buf = (struct chap_login){0};
	*ret = (struct iscsi_auth){0};
	if (!(o->specified & OPT_AUTH_TYPE) || o->auth_type == AUTH_NONE)
		return 0;
	code = name_take(&buf->name, o, node, why);
	if (code == 0)
		code = secret_take(&buf->secret, o, why);
	if (code == 0 && mutual)
		code = peer_secret_take(s, &buf->peer_secret, &buf->secret, why);
	if (code)
		return code;
	*ret = (struct iscsi_auth){
		.name = buf->name.bytes,
		.n_name = buf->name.n,
		.secret = buf->secret.bytes,
		.n_secret = buf->secret.n,
		.peer_secret = buf->peer_secret.bytes,
		.n_peer_secret = buf->peer_secret.n,
		.required = true,
		.mutual = mutual,
		.allow_md5 = allow_md5,
		.random = random_bytes,
	};
	return 0;
}

/* ---- IKE -------------------------------------------------------------------------------- */

static uint32_t ike_key_check(const struct ike_info *i, struct refusal *why)
{
	size_t wanted = 0;

	switch (i->id_type) {
	case IKE_ID_IPV4: wanted = 4; break;
	case IKE_ID_IPV6: wanted = 16; break;
	case IKE_ID_NAME:
	case IKE_ID_USER_NAME: break;
	default:
		return refuse(why, ISDSC_IKE_ID_PAYLOAD_TYPE_NOT_SUPPORTED,
			      "IKE identity type %u is none of 1 (IPv4 address), 2 (name), 3 (user "
			      "name), 5 (IPv6 address)",
			      i->id_type);
	}
	if (i->id.n == 0 || (wanted && i->id.n != wanted))
		return refuse(why, ISDSC_IKE_ID_PAYLOAD_INCORRECT_SIZE,
			      "an IKE identity of type %u with %u bytes", i->id_type, i->id.n);
	if (!wanted && memchr(i->id.bytes, 0, i->id.n))
		return refuse(why, WIN_INVALID_PARAMETER, "an IKE identity with a NUL in its name");
	return 0;
}

static uint32_t flags_check(uint64_t flags, struct refusal *why)
{
	if (!(flags & SECURITY_VALID))
		return 0;
	if ((flags & FLAG_MAIN) && (flags & FLAG_AGGRESSIVE))
		return refuse(why, WIN_INVALID_PARAMETER,
			      "main mode and aggressive mode exclude each other");
	if ((flags & FLAG_TRANSPORT) && (flags & FLAG_TUNNEL))
		return refuse(why, WIN_INVALID_PARAMETER,
			      "transport mode and tunnel mode exclude each other");
	return 0;
}

static uint32_t full(struct refusal *why)
{
	return refuse(why, ISDSC_HBA_SECURITY_CACHE_FULL, "there are %d entries already",
		      ENTRIES_MAX);
}

uint32_t security_set_ike(struct security *s, const struct ike_info *i, bool persist,
			  struct refusal *why)
{
	bool removes = i->key.n == 0 && i->security_flags == 0;
	uint32_t code = ike_key_check(i, why);
	struct ike_entry *e;
	int r = 0;

	if (code == 0)
		code = flags_check(i->security_flags, why);
	if (code)
		return code;
	pthread_mutex_lock(&s->lock);
	e = ike_find(s, i);
	if (!removes && !e && s->n_ikes >= ENTRIES_MAX) {
		pthread_mutex_unlock(&s->lock);
		return full(why);
	}
	if (persist)
		r = removes ? store_delete_ike(s->store, i) : store_put_ike(s->store, i);
	if (r == 0 && removes && e)
		ike_drop(s, e);
	else if (r == 0 && !removes)
		r = ike_keep(s, i, !persist);
	pthread_mutex_unlock(&s->lock);
	return r ? not_stored(why, r, "IKE information") : 0;
}

uint32_t security_get_ike(struct security *s, const struct ike_info *key, uint64_t *ret_flags,
			  struct refusal *why)
{
	struct ike_info all = *key;
	uint32_t code = ike_key_check(key, why);
	const struct ike_entry *e;

	if (code)
		return code;
	all.port = ANY_PORT;
	pthread_mutex_lock(&s->lock);
	e = ike_find(s, key);
	if (!e)
		e = ike_find(s, &all);
	if (e)
		*ret_flags = e->i.security_flags;
	pthread_mutex_unlock(&s->lock);
	return e ? 0
		 : refuse(why, ISDSC_NO_AUTH_INFO_AVAILABLE, "nothing is set for that identity");
}

uint32_t security_set_tunnel(struct security *s, const struct tunnel_address *t, bool persist,
			     struct refusal *why)
{
	bool removes = !t->outer[0];
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (!removes && s->n_tunnels >= ENTRIES_MAX && !tunnel_find(s, t)) {
		pthread_mutex_unlock(&s->lock);
		return full(why);
	}
	if (persist)
		r = removes ? store_delete_tunnels(s->store, t->port, t->destination)
			    : store_put_tunnel(s->store, t);
	if (r == 0 && removes)
		tunnels_drop(s, t);
	else if (r == 0)
		r = tunnel_keep(s, t);
	pthread_mutex_unlock(&s->lock);
	return r ? not_stored(why, r, "tunnel address") : 0;
}

/* ---- servers ------------------------------------------------------------------------------ */

static const char *kind_name(enum server_kind kind)
{
	return kind == SERVER_RADIUS ? "RADIUS server" : "iSNS server";
}

uint32_t security_add_server(struct security *s, enum server_kind kind, const char *address,
			     struct refusal *why)
{
	int r;

	if (security_n_servers(s, kind) >= SERVERS_MAX && !security_has_server(s, kind, address))
		return refuse(why, ISDSC_OUT_OF_RESOURCES, "there are %d of them already",
			      SERVERS_MAX);
	r = store_add_server(s->store, kind, address);
	if (r)
		return not_stored(why, r, kind_name(kind));
	log_info("%s %s: added", kind_name(kind), address);
	return 0;
}

uint32_t security_remove_server(struct security *s, enum server_kind kind, const char *address,
				struct refusal *why)
{
	int r = store_remove_server(s->store, kind, address);

	if (r == -ENOENT)
		return refuse(why,
			      kind == SERVER_ISNS ? ISDSC_ISNS_SERVER_NOT_FOUND
						  : WIN_INVALID_PARAMETER,
			      "%s %s is not in the list", kind_name(kind), address);
	if (r)
		return not_stored(why, r, kind_name(kind));
	log_info("%s %s: removed", kind_name(kind), address);
	return 0;
}

static int count(void *arg, const char *address)
{
	(void)address;
	++*(unsigned *)arg;
	return 0;
}

unsigned security_n_servers(struct security *s, enum server_kind kind)
{
	unsigned n = 0;

	return store_each_server(s->store, kind, count, &n) ? 0 : n;
}

static int is_it(void *arg, const char *address)
{
	return strcasecmp(arg, address) == 0;
}

bool security_has_server(struct security *s, enum server_kind kind, const char *address)
{
	return store_each_server(s->store, kind, is_it, (void *)(uintptr_t)address) == 1;
}
