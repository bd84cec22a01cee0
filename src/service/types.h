/* SPDX-License-Identifier: MIT */
/*
 * Plain data of the service: portals, login options and mappings as clients give them
 *
 * Everything is kept as given, also what is not used for connecting, because
 * reports give it back unchanged. Copyable; whoever copies login options wipes
 * the copy (they may hold a secret).
 */
#ifndef SERVICE_TYPES_H
#define SERVICE_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/name.h"
#include "service/ids.h"

#define HBA_INSTANCE "Root\\ISCSIPRT\\0000_0"
#define ANY_PORT     UINT32_MAX
#define INSTANCE_MAX 255
#define ADDRESS_MAX  255 /* bytes, without terminator */
#define BLOB_MAX     255
#define LABEL_UNITS  255 /* of aliases and symbolic names, in UTF-16 as Windows counts them */
#define LABEL_MAX    (3 * LABEL_UNITS)
#define DEVICE_MAX   259 /* of a port's device name: MAX_PATH without terminator */
#define ANY_NUMBER   UINT32_MAX
#define LUNS_MAX     1024 /* that one mapping names */
#define PORTALS_MAX  1024 /* of one static target */

/* Bits of ISCSI_LOGIN_OPTIONS.InformationSpecified */
#define OPT_HEADER_DIGEST   0x01u
#define OPT_DATA_DIGEST     0x02u
#define OPT_MAX_CONNECTIONS 0x04u
#define OPT_TIME2WAIT       0x08u
#define OPT_TIME2RETAIN     0x10u
#define OPT_USERNAME        0x20u
#define OPT_PASSWORD        0x40u
#define OPT_AUTH_TYPE       0x80u
#define OPT_ALL             0xffu

/* ISCSI_LOGIN_OPTIONS.AuthType */
#define AUTH_NONE           0u
#define AUTH_CHAP           1u
#define AUTH_MUTUAL_CHAP    2u

#define LOGIN_REQUIRE_IPSEC 0x01u
#define LOGIN_MULTIPATH     0x02u
#define LOGIN_HOPPING       0x08u
#define LOGIN_RADIUS        0x30u /* either of the two RADIUS flags */

#define SECURITY_VALID      0x01u
#define SECURITY_IKE        0x02u

struct blob {
	uint16_t n;
	uint8_t bytes[BLOB_MAX];
};

struct portal {
	char symbolic[LABEL_MAX + 1];
	char address[ADDRESS_MAX + 1];
	uint16_t socket;
};

struct login_options {
	uint32_t specified; /* OPT_… */
	uint32_t flags;     /* LOGIN_… */
	uint32_t auth_type, header_digest, data_digest, max_connections, time2wait, time2retain;
	struct blob username, password;
};

struct lun_mapping {
	uint64_t target_lun; /* as in scsi/lun.h */
	uint32_t os_lun;
};

/* Which units are wanted and under which numbers. Names and session are kept, not looked at. */
struct target_mapping {
	char initiator[INSTANCE_MAX + 1];
	char target[ISCSI_NAME_MAX + 1];
	char device[DEVICE_MAX + 1];
	struct unique_id session;
	uint32_t bus, os_target; /* ANY_NUMBER: any */
	uint32_t n_luns;         /* 0: all units */
	struct lun_mapping luns[LUNS_MAX];
};

/* What AddIScsiSendTargetPortal stores. The key is (instance, port, address, socket). */
struct send_target_portal {
	char instance[INSTANCE_MAX + 1]; /* "": any */
	uint32_t port;
	struct portal portal;
	uint64_t security_flags;
	struct login_options options;
};

/* A login that is kept. The key is (target, instance, port, portal). */
struct kept_login {
	int64_t row; /* the store's number, 0 before it is there */
	char target[ISCSI_NAME_MAX + 1];
	bool informational;
	char instance[INSTANCE_MAX + 1];
	uint32_t port;
	bool has_portal;
	struct portal portal;
	uint64_t security_flags;
	bool has_options;
	struct login_options options;
	struct blob key;
	bool has_mapping;
	struct target_mapping mapping;
};

/* IKE identities, as RFC 2407 §4.6.2.1 numbers them */
#define IKE_ID_IPV4      1u
#define IKE_ID_NAME      2u
#define IKE_ID_USER_NAME 3u
#define IKE_ID_IPV6      5u

/* Policy and key of an IKE identity. The key is (port, id_type, id). */
struct ike_info {
	uint32_t port; /* ANY_PORT: all */
	uint32_t id_type;
	struct blob id;
	uint64_t security_flags;
	struct blob key; /* none: the group's */
};

/* The outer address of an IPsec tunnel. The key is (port, destination). */
struct tunnel_address {
	uint32_t port;                     /* ANY_PORT: all */
	char destination[ADDRESS_MAX + 1]; /* "": every one */
	char outer[ADDRESS_MAX + 1];
};

/* Of the node: each is there once, or not. */
enum node_secret {
	NODE_CHAP,      /* checks targets in mutual CHAP */
	NODE_RADIUS,    /* shared with the RADIUS servers */
	NODE_GROUP_KEY, /* IKE's, for identities without one */
};

enum server_kind {
	SERVER_RADIUS,
	SERVER_ISNS,
};

/* Bits of ISCSI_TARGET_FLAGS */
#define TARGET_HIDE  2u
#define TARGET_MERGE 4u

struct static_portal {
	struct portal portal;
	uint16_t tag; /* of its group: 1, 2, … in the order they were added */
};

/* What AddIScsiStaticTarget tells. Not copyable; static_target_free() it. */
struct static_target {
	char name[ISCSI_NAME_MAX + 1];
	char alias[LABEL_MAX + 1];
	uint32_t flags; /* TARGET_… */
	bool persist;
	bool has_options;
	struct login_options options;
	struct target_mapping *mapping; /* NULL: none */
	struct static_portal *portals;  /* by group */
	size_t n_portals;
};

#endif
