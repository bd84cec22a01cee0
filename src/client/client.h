/* SPDX-License-Identifier: MIT */
/*
 * The library from inside
 *
 * A call of the API is turned into one call of the service and its reply into
 * what the caller's buffer takes:
 *
 *   args    collect parameters of either form, refusing what is wrong
 *   service carries them over and brings back the reply, or a status
 *   record  describes each structure once, for both forms and both directions
 *   list    the three ways in which lists are sized
 *
 * Nothing is kept between calls but the detail of this thread's last failure.
 * Pointers of callers are never dereferenced as anything but bytes, so they may be
 * aligned in any way.
 */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "iscsidsc.h"

#include "base/cleanup.h"

#define EXPORT __attribute__((visibility("default")))

/* How long one call may take, connecting included. A test shortens them. */
#ifndef QUERY_MS
#define QUERY_MS    30000
#define DISCOVER_MS 120000
#define LOGIN_MS    120000
#define LOGOUT_MS   600000 /* the service writes back all that is cached */
#endif

#define BYTES_IN_MAX    255  /* of a user name, password or key; the service takes no longer ones */
#define ELEMENTS_IN_MAX 2048 /* of a list of units */
#define PORTALS_IN_MAX  64 /* of a portal group; a call has to stay below what the service reads */

/* Numbers of the caller, wherever they lie. */
static inline ULONG ulong_get(const void *p)
{
	ULONG v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void ulong_put(void *p, ULONG v)
{
	memcpy(p, &v, sizeof(v));
}

/* Characters with the terminator: of the longest text there is, a path; of one in a structure. */
#define TEXT_MAX      4096
#define TAIL_TEXT_MAX 260

/* The two forms of text; also the index of what a description gives for each. */
enum form {
	FORM_A, /* UTF-8 */
	FORM_W, /* UTF-16 in the machine's byte order */
};

static inline size_t form_unit(enum form form)
{
	return form == FORM_W ? sizeof(uint16_t) : sizeof(char);
}

static inline void json_dropp(json_t **j)
{
	json_decref(*j);
}

/* -- detail: what this thread's last failure had to say beyond its status -- */

void detail_clear(void);
const char *detail_get(void);
/* Both return @status, so that a failure is one line. */
ISDSC_STATUS detail_fail(ISDSC_STATUS status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
ISDSC_STATUS detail_fail_reply(const char *method, const char *member);

/* -- text -- */

/**
 * text_read() - a caller's text as JSON
 * @p:     bytes of the form; read up to the terminator and no further
 * @n_max: characters it may have without the terminator, below TEXT_MAX
 * @what:  for the detail
 *
 * Return: 0; ERROR_INVALID_PARAMETER no terminator in time, or not well-formed;
 * ERROR_NOT_ENOUGH_MEMORY.
 */
ISDSC_STATUS text_read(enum form form, const void *p, size_t n_max, const char *what,
		       json_t **ret_text);

/**
 * text_write() - text for a caller, with its terminator
 * @dst:    NULL only measures
 * @n_room: characters that @dst has room for
 *
 * Return: characters with the terminator, or -1 when it does not fit or is not
 * well-formed; then nothing is written.
 */
long text_write(enum form form, void *dst, size_t n_room, const char *utf8);

/* -- ids and bytes as text -- */

#define ID_TEXT_BYTES 34 /* two numbers of 16 digits, "-", terminator */

void id_text(const void *id, char buf[ID_TEXT_BYTES]);
bool id_parse(const char *text, ISCSI_UNIQUE_SESSION_ID *ret_id);
uint64_t lun_number(const uint8_t bytes[8]);
void lun_bytes(uint64_t lun, uint8_t ret_bytes[8]);
/* The new string is to be dropped with varlink_wipe(), as all parameters are. NULL: no memory. */
json_t *hex_text(const void *bytes, size_t n);
/* Stores at most @n_room bytes. Return: bytes that @text holds, or -1 when it is not such text. */
long hex_parse(const char *text, void *dst, size_t n_room);

/* -- records -- */

enum field_kind {
	FIELD_TEXT,      /* array of characters */
	FIELD_TAIL_TEXT, /* out only: pointer to characters behind the records */
	FIELD_NUMBER,    /* 1, 2, 4 or 8 bytes */
	FIELD_LOW_BYTE,  /* one byte of a number that may be larger */
	FIELD_LOW_FIRST, /* two bytes of a number, the low one first */
	FIELD_HEX,       /* array of bytes */
	FIELD_LUN,       /* 8 bytes of a LUN as a number, the first one lowest */
	FIELD_ID,
	FIELD_PART,       /* another record; without a key its members are in the same object */
	FIELD_TAIL_PART,  /* out only: pointer to another record behind, NULL for null */
	FIELD_TAIL_LIST,  /* pointer to records, and their count; going out they lie behind */
	FIELD_TAIL_BYTES, /* pointer to bytes, and their count; going out they lie behind */
	FIELD_SECRET,     /* in only: the same; going out it is empty */
};

struct field {
	const char *key;
	enum field_kind kind;
	uint32_t bit; /* not 0: counts only where the record's mask has this bit */
	const struct record *part;
	const char *in_as; /* not NULL: going in, this instead of what is there */
	bool or_null;      /* a part that is null leaves its place 0 */
	uint16_t at[2];    /* offset in the A and in the W structure */
	uint16_t n_at[2];  /* offset of the count that belongs to a pointer */
	uint16_t n;        /* characters or bytes at @at */
};

struct record {
	const char *name;
	uint16_t size[2];
	uint16_t mask_at; /* of the mask that the fields' bits mean; only where they have any */
	const struct field *fields; /* a part that shares its place with others comes first */
	size_t n_fields;
	/* Adds what is not a member of the object; may be NULL. */
	ISDSC_STATUS (*finish)(enum form form, json_t *object, uint8_t *base);
};

#define RECORD_BYTES_MAX 2080

extern const struct record record_login_options;
extern const struct record record_portal;     /* with its label */
extern const struct record record_portal_key; /* address and port alone */
extern const struct record record_send_target_portal;
extern const struct record record_send_target_portal_ex;
extern const struct record record_target_portal;
extern const struct record record_session;
extern const struct record record_session_ex;
extern const struct record record_device;
extern const struct record record_mapping; /* going in, only what may be asked for */
extern const struct record record_persistent_login;
extern const struct record record_ike_identity;
extern const struct record record_version;

/* What is laid out behind the records of a list. */
struct tail {
	uint8_t *base;   /* the caller's buffer, or NULL while measuring */
	uint64_t n_used; /* bytes from @base on */
};

/**
 * record_read() - a caller's structure as a JSON object
 *
 * Return: 0, ERROR_INVALID_PARAMETER with a detail, ERROR_NOT_ENOUGH_MEMORY.
 */
ISDSC_STATUS record_read(enum form form, const struct record *rec, const void *src,
			 json_t **ret_object);

/**
 * record_write() - a JSON object as a structure
 * @dst:  room for the structure; all of it is written
 * @tail: where its pointers point to; NULL for records without pointers
 *
 * Return: 0, or with a detail ISDSC_NON_SPECIFIC_ERROR when the object is not what
 * the interface says, ERROR_INVALID_PARAMETER when a text does not fit.
 */
ISDSC_STATUS record_write(enum form form, const struct record *rec, json_t *object, void *dst,
			  struct tail *tail);

/* -- arguments of a call -- */

/* Parameters so far; after the first failure the rest is ignored and the call is not made. */
struct args {
	json_t *params;
	ISDSC_STATUS status;
};

struct args args_begin(void);
void args_text(struct args *a, const char *key, enum form form, const void *p, size_t n_max);
/* NULL and, if @empty_too, "" become null. */
void args_text_or_null(struct args *a, const char *key, enum form form, const void *p, size_t n_max,
		       bool empty_too);
void args_number(struct args *a, const char *key, int64_t value);
void args_bool(struct args *a, const char *key, bool value);
void args_null(struct args *a, const char *key);
void args_record(struct args *a, const char *key, enum form form, const struct record *rec,
		 const void *src);
void args_id(struct args *a, const char *key, const void *id);
/* @p NULL with @n 0 becomes null. */
void args_bytes(struct args *a, const char *key, const void *p, size_t n, size_t n_max);
/* ISCSI_LOGIN_OPTIONS as "loginOptions"; NULL becomes null. */
void args_options(struct args *a, const void *options);
/* ISCSI_TARGET_MAPPING as "mapping". */
void args_mapping(struct args *a, enum form form, const void *mapping);
/* Instance and port of the initiator, as most calls have them. */
void args_initiator(struct args *a, enum form form, const void *instance, ULONG port);
/**
 * args_portal() - a portal
 * @rec:         record_portal, or record_portal_key: its label is then not looked at
 * @or_null:     NULL, and one without address and port, become null
 */
void args_portal(struct args *a, const char *key, enum form form, const struct record *rec,
		 const void *portal, bool or_null);
/* ISCSI_TARGET_PORTAL_GROUP as a list of portals; NULL becomes null. */
void args_portal_group(struct args *a, const char *key, enum form form, const void *group);
/* A pointer that may not be NULL. */
void args_want(struct args *a, const void *p, const char *what);
/* Makes the call; @ret_reply may be NULL. */
ISDSC_STATUS args_call(struct args *a, const char *method, int timeout_ms, json_t **ret_reply);

/* -- lists -- */

/* A caller's buffer and the numbers that describe it. */
struct list {
	enum form form;
	void *buffer;
	void *size;    /* ULONG in the unit of the list */
	void *count;   /* ULONG, NULL when there is none */
	ULONG n_room;  /* as it came in; 0 without a buffer */
	bool in_bytes; /* text is counted in bytes, too */
};

/* Take the sizes and leave 0 in them. Only a list in bytes has a count beside its size. */
void args_list(struct args *a, struct list *l, enum form form, void *buffer, void *size);
void args_list_counted(struct args *a, struct list *l, enum form form, void *buffer, void *size,
		       void *count);
/*
 * Each returns 0, ERROR_INSUFFICIENT_BUFFER, or what record_write() does. @n_max:
 * characters that a name may have, with its terminator.
 */
ISDSC_STATUS list_names(struct list *l, json_t *reply, const char *key, size_t n_max);
/* The same, but that there are none is no reason to bring a larger buffer. */
ISDSC_STATUS list_names_if_any(struct list *l, json_t *reply, const char *key, size_t n_max);
ISDSC_STATUS list_elements(struct list *l, const struct record *rec, json_t *reply,
			   const char *key);
ISDSC_STATUS list_bytes(struct list *l, const struct record *rec, json_t *reply, const char *key);

/* One thing instead of a list, in bytes. */
ISDSC_STATUS list_one_record(struct list *l, const struct record *rec, json_t *object);
ISDSC_STATUS list_one_text(struct list *l, json_t *reply, const char *key);
ISDSC_STATUS list_one_number(struct list *l, json_t *reply, const char *key);
/* Writes the sizes back. Return: 0 or ERROR_INSUFFICIENT_BUFFER. */
ISDSC_STATUS list_fits(struct list *l, uint64_t need, size_t count);
json_t *list_of(json_t *reply, const char *key); /* NULL: not there, with a detail */

/* -- the service -- */

/**
 * service_call() - one call on a connection of its own
 * @params:    stolen and wiped; may be NULL
 * @ret_reply: new reference; may be NULL
 *
 * Return: 0; the service's own status; ISDSC_SERVICE_NOT_RUNNING when there is no
 * answer; ERROR_ACCESS_DENIED when its socket may not be used. Each failure has a
 * detail.
 */
ISDSC_STATUS service_call(const char *method, json_t *params, int timeout_ms, json_t **ret_reply);

#endif
