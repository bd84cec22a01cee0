/* SPDX-License-Identifier: MIT */
/*
 * Security: secrets, IKE, and the servers that go with them
 *
 * What the Windows API lets a client set, kept and given back as far as it may be
 * given back. Secrets are in the store's table of secrets and nowhere else; they are
 * fetched when a login needs them and wiped behind it.
 *
 * A change with persist false holds until the service stops, a removal too: the next
 * start finds what was stored before. Keys of such changes are the only ones that
 * stay in memory.
 *
 * RADIUS, IPsec and iSNS themselves are not built. Whoever asks for what would need
 * them is refused, with the code that the API has for it, at that moment.
 *
 * Control threads only.
 */
#ifndef SERVICE_SECURITY_H
#define SERVICE_SECURITY_H

#include "iscsi/engine.h"
#include "service/refusal.h"
#include "service/store.h"

#define CHAP_SECRET_MIN   12 /* bytes, without IPsec */
#define CHAP_SECRET_MAX   16
#define RADIUS_SECRET_MIN 22
#define RADIUS_SECRET_MAX 26

struct security;

/* Reads what is stored. 0 or -errno. */
int security_new(struct security **ret, struct store *store);
/* Wipes what it knows. NULL is fine; returns NULL. */
struct security *security_free(struct security *s);

/* Each returns 0 or a code with @why. An empty secret removes it. */

/* One that is too short for use without IPsec is stored, and ISDSC_SHORT_CHAP_SECRET says so. */
uint32_t security_set_chap(struct security *s, const struct blob *secret, struct refusal *why);
uint32_t security_set_radius(struct security *s, const struct blob *secret, struct refusal *why);
uint32_t security_set_group_key(struct security *s, const struct blob *key, bool persist,
				struct refusal *why);
/* No key and no flags: removes it. */
uint32_t security_set_ike(struct security *s, const struct ike_info *i, bool persist,
			  struct refusal *why);
/* Of the identity in @key: what is set for the port, else what is set for all ports. */
uint32_t security_get_ike(struct security *s, const struct ike_info *key, uint64_t *ret_flags,
			  struct refusal *why);
/* No outer address: removes what fits port and destination. */
uint32_t security_set_tunnel(struct security *s, const struct tunnel_address *t, bool persist,
			     struct refusal *why);

/* Where security_auth() puts what its result points at. */
struct chap_login {
	struct blob name, secret, peer_secret;
};

/**
 * security_auth() - what a login has to prove itself with
 * @o:      as the client gave them
 * @node:   the name for CHAP when the client gave none
 * @buf:    wipe it once the result was used, also after a failure
 * @ret:    all zero when no authentication is asked for
 *
 * Secrets of a wrong length, and mutual CHAP with the same secret both ways, are refused
 * here, before the target is asked.
 */
uint32_t security_auth(struct security *s, const struct login_options *o, const char *node,
		       bool allow_md5, struct chap_login *buf, struct iscsi_auth *ret,
		       struct refusal *why);

uint32_t security_add_server(struct security *s, enum server_kind kind, const char *address,
			     struct refusal *why);
uint32_t security_remove_server(struct security *s, enum server_kind kind, const char *address,
				struct refusal *why);
/* True: it is in the list. */
bool security_has_server(struct security *s, enum server_kind kind, const char *address);
unsigned security_n_servers(struct security *s, enum server_kind kind);

#endif
