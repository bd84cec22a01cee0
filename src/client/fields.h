/* SPDX-License-Identifier: MIT */
/*
 * How records are written down
 *
 * A structure's name without A and W is the stem here: AT() takes the place of a
 * member in both forms. Structures that hold no text have one form; whoever
 * describes one gives it both names, so that all are written alike.
 */
#ifndef CLIENT_FIELDS_H
#define CLIENT_FIELDS_H

#include "client/client.h"

/* In iscsidsc.h these are the form that UNICODE chooses. */
#undef ISCSI_TARGET_MAPPING
#undef ISCSI_TARGET_PORTAL
#undef ISCSI_TARGET_PORTAL_INFO
#undef ISCSI_TARGET_PORTAL_INFO_EX
#undef ISCSI_CONNECTION_INFO
#undef ISCSI_SESSION_INFO
#undef ISCSI_DEVICE_ON_SESSION
#undef PERSISTENT_ISCSI_LOGIN_INFO

#define AT(type, member)                                             \
	{                                                            \
		offsetof(type##A, member), offsetof(type##W, member) \
	}
#define SIZE(type, member) sizeof(((type##A *)NULL)->member)

#define TEXT(type, member, k)                                                                   \
	{                                                                                       \
		.key = (k), .kind = FIELD_TEXT, .at = AT(type, member), .n = SIZE(type, member) \
	}
#define NUMBER(type, member, k)                                                                   \
	{                                                                                         \
		.key = (k), .kind = FIELD_NUMBER, .at = AT(type, member), .n = SIZE(type, member) \
	}
#define OPTION(type, member, k, b)                                                                 \
	{                                                                                          \
		.key = (k), .kind = FIELD_NUMBER, .at = AT(type, member), .n = SIZE(type, member), \
		.bit = (b)                                                                         \
	}
#define BYTES(type, member, count, k, b, kd)                                               \
	{                                                                                  \
		.key = (k), .kind = (kd), .at = AT(type, member), .n_at = AT(type, count), \
		.bit = (b)                                                                 \
	}
#define PART(type, member, k, rec)                                                     \
	{                                                                              \
		.key = (k), .kind = FIELD_PART, .at = AT(type, member), .part = &(rec) \
	}
#define PART_OR_NULL(type, member, k, rec, kd)                                                    \
	{                                                                                         \
		.key = (k), .kind = (kd), .at = AT(type, member), .part = &(rec), .or_null = true \
	}
#define OF_KIND(type, member, k, kd)                                                      \
	{                                                                                 \
		.key = (k), .kind = (kd), .at = AT(type, member), .n = SIZE(type, member) \
	}
/* Going in, not looked at: @text instead. */
#define IGNORED_TEXT(type, member, k, text)                                                      \
	{                                                                                        \
		.key = (k), .kind = FIELD_TEXT, .at = AT(type, member), .n = SIZE(type, member), \
		.in_as = (text)                                                                  \
	}
#define LIST(type, member, count, k, rec)                                    \
	{                                                                    \
		.key = (k), .kind = FIELD_TAIL_LIST, .at = AT(type, member), \
		.n_at = AT(type, count), .part = &(rec)                      \
	}

#define RECORD(type, f)                                                                   \
	{                                                                                 \
		.name = #type, .size = {sizeof(type##A), sizeof(type##W)}, .fields = (f), \
		.n_fields = ARRAY_SIZE(f)                                                 \
	}

#endif
