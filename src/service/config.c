/* SPDX-License-Identifier: MIT */
/*
 * inih reads lines; everything that it would cut short (section names, long
 * lines) or take for something else (an indented line continues the one before)
 * is dealt with in the function that feeds it, which also counts.
 */
#include "service/config.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/name.h"
#include "device/lu.h"
#include "io/loop.h"
#include "service/preference.h"
#include "service/reactor.h"

#define SECTION_MAX 260
#define SECONDS     NS_PER_S

enum key_kind {
	KEY_TEXT,
	KEY_NUMBER,
	KEY_TIME,
	KEY_SIZE,
	KEY_BOOL,
	KEY_DIGEST,
	KEY_LEVEL,
	KEY_POLICY,
	KEY_PATH_POLICY,
	KEY_OCTAL,
	KEY_PORTALS, /* a list: the value is its number */
	KEY_WEIGHTS,
};

enum key_scope {
	SCOPE_SERVICE,
	SCOPE_STARTUP,
	SCOPE_ACCESS,
	SCOPE_SECURITY,
	SCOPE_SESSION, /* also of [target NAME] */
	N_SCOPES,
};

static const char *const scope_names[N_SCOPES] = {"service", "startup", "access", "security",
						  "session"};

struct key_row {
	const char *name;
	enum key_scope scope;
	enum key_kind kind;
	size_t offset;               /* in struct config, or in struct tuning for SCOPE_SESSION */
	uint64_t min, max, standard; /* KEY_TEXT: max is the room in bytes */
};

#define C(member) offsetof(struct config, member)
#define T(member) offsetof(struct tuning, member)

static const struct key_row keys[] = {
	{"backend", SCOPE_SERVICE, KEY_TEXT, C(backend), 1, 32, 0},
	{"reactors", SCOPE_SERVICE, KEY_NUMBER, C(n_reactors), 0, REACTORS_MAX, 0},
	{"socket_group", SCOPE_SERVICE, KEY_TEXT, C(socket_group), 1, 64, 0},
	{"socket_mode", SCOPE_SERVICE, KEY_OCTAL, C(socket_mode), 0, 0777, 0660},
	{"max_clients", SCOPE_SERVICE, KEY_NUMBER, C(max_clients), 1, 4096, 128},
	{"stop_timeout", SCOPE_SERVICE, KEY_TIME, C(stop_timeout_ns), 0, 3600 * SECONDS,
	 60 * SECONDS},
	{"refresh_timeout", SCOPE_SERVICE, KEY_TIME, C(refresh_timeout_ns), SECONDS, 3600 * SECONDS,
	 90 * SECONDS},
	{"log_level", SCOPE_SERVICE, KEY_LEVEL, C(log_level), 0, 0, LOG_LEVEL_INFO},
	{"kept_logins", SCOPE_SERVICE, KEY_BOOL, C(kept_logins), 0, 1, 1},

	{"bound_devices_timeout", SCOPE_STARTUP, KEY_TIME, C(bound_devices_timeout_ns), 0,
	 3600 * SECONDS, 120 * SECONDS},

	{"others_may_read", SCOPE_ACCESS, KEY_BOOL, C(others_may_read), 0, 1, 1},
	{"idle_timeout", SCOPE_ACCESS, KEY_TIME, C(idle_timeout_ns), 0, 86400 * SECONDS,
	 600 * SECONDS},
	{"listener_timeout", SCOPE_ACCESS, KEY_TIME, C(listener_timeout_ns), 0, 86400 * SECONDS,
	 60 * SECONDS},

	{"chap_md5", SCOPE_SECURITY, KEY_BOOL, C(chap_md5), 0, 1, 1},

	{"hold_time", SCOPE_SESSION, KEY_TIME, T(hold_ns), SECONDS, 86400 * SECONDS, 60 * SECONDS},
	{"login_timeout", SCOPE_SESSION, KEY_TIME, T(login_timeout_ns), SECONDS, 600 * SECONDS,
	 30 * SECONDS},
	{"connect_timeout", SCOPE_SESSION, KEY_TIME, T(connect_timeout_ns), NS_PER_MS,
	 600 * SECONDS, 5 * SECONDS},
	{"nop_interval", SCOPE_SESSION, KEY_TIME, T(nop_interval_ns), 100 * NS_PER_MS,
	 3600 * SECONDS, 5 * SECONDS},
	{"nop_timeout", SCOPE_SESSION, KEY_TIME, T(nop_timeout_ns), 100 * NS_PER_MS, 3600 * SECONDS,
	 5 * SECONDS},
	{"retry_min", SCOPE_SESSION, KEY_TIME, T(retry_min_ns), 10 * NS_PER_MS, 3600 * SECONDS,
	 SECONDS},
	{"retry_max", SCOPE_SESSION, KEY_TIME, T(retry_max_ns), 10 * NS_PER_MS, 3600 * SECONDS,
	 30 * SECONDS},
	{"command_timeout", SCOPE_SESSION, KEY_TIME, T(command_timeout_ns), 100 * NS_PER_MS,
	 3600 * SECONDS, 30 * SECONDS},
	{"queue_depth", SCOPE_SESSION, KEY_NUMBER, T(queue_depth), 1, 1024, 128},
	{"max_units", SCOPE_SESSION, KEY_NUMBER, T(max_units), 1, 16384, 1024},
	{"HeaderDigest", SCOPE_SESSION, KEY_DIGEST, T(header_digest), 0, 0,
	 ISCSI_OFFER_NONE_CRC32C},
	{"DataDigest", SCOPE_SESSION, KEY_DIGEST, T(data_digest), 0, 0, ISCSI_OFFER_NONE_CRC32C},
	{"connection_policy", SCOPE_SESSION, KEY_POLICY, T(connection_policy), 0, 0,
	 ISCSI_POLICY_ROUND_ROBIN},
	{"path_policy", SCOPE_SESSION, KEY_PATH_POLICY, T(path_policy), 0, 0, LU_POLICY_FAILOVER},
	{"preferred_portals", SCOPE_SESSION, KEY_PORTALS, T(preferred_portals), 0, 0, 0},
	{"portal_weights", SCOPE_SESSION, KEY_WEIGHTS, T(portal_weights), 0, 0, 0},
	{"InitialR2T", SCOPE_SESSION, KEY_BOOL, T(initial_r2t), 0, 1, 0},
	{"ImmediateData", SCOPE_SESSION, KEY_BOOL, T(immediate_data), 0, 1, 1},
	{"FirstBurstLength", SCOPE_SESSION, KEY_SIZE, T(first_burst), 512, 16777215, 262144},
	{"MaxBurstLength", SCOPE_SESSION, KEY_SIZE, T(max_burst), 512, 16777215, 1048576},
	{"MaxRecvDataSegmentLength", SCOPE_SESSION, KEY_SIZE, T(max_recv_segment), 512, 16777215,
	 262144},
	{"MaxOutstandingR2T", SCOPE_SESSION, KEY_NUMBER, T(max_outstanding_r2t), 1, 65535, 8},
	{"DataPDUInOrder", SCOPE_SESSION, KEY_BOOL, T(pdus_in_order), 0, 1, 1},
	{"DataSequenceInOrder", SCOPE_SESSION, KEY_BOOL, T(sequences_in_order), 0, 1, 1},
	{"MaxConnections", SCOPE_SESSION, KEY_NUMBER, T(max_connections), 1, 65535, 1},
	{"DefaultTime2Wait", SCOPE_SESSION, KEY_TIME, T(time2wait_ns), 0, 3600 * SECONDS,
	 2 * SECONDS},
	{"DefaultTime2Retain", SCOPE_SESSION, KEY_TIME, T(time2retain_ns), 0, 3600 * SECONDS,
	 20 * SECONDS},
	{"ErrorRecoveryLevel", SCOPE_SESSION, KEY_NUMBER, T(error_recovery_level), 0, 2, 0},
};

struct target_override {
	struct list node;
	char pattern[ISCSI_NAME_MAX + 2]; /* a name, perhaps with a "*" behind */
	const struct key_row *key;
	uint64_t value;
};

/* ---- values ------------------------------------------------------------ */

static const struct {
	const char *name;
	uint64_t factor;
} time_units[] =
	{
		{"", NS_PER_S},         {"s", NS_PER_S},        {"ms", NS_PER_MS},
		{"min", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S},
},
  size_units[] = {{"", 1}, {"K", 1024}, {"KiB", 1024}, {"M", 1048576}, {"MiB", 1048576}};

/* Digits, then perhaps spaces; *ret_rest is what follows. */
static int number_parse(const char *text, int base, uint64_t *ret, const char **ret_rest)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, &end, base);
	if (errno)
		return -EINVAL;
	while (*end == ' ' || *end == '\t')
		end++;
	*ret_rest = end;
	return 0;
}

static int scaled_parse(enum key_kind kind, const char *text, uint64_t *ret)
{
	const char *rest;
	size_t n = kind == KEY_TIME ? ARRAY_SIZE(time_units) : ARRAY_SIZE(size_units);

	if (number_parse(text, 10, ret, &rest))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		const char *unit = kind == KEY_TIME ? time_units[i].name : size_units[i].name;
		uint64_t factor = kind == KEY_TIME ? time_units[i].factor : size_units[i].factor;

		if (strcmp(rest, unit) != 0)
			continue;
		return __builtin_mul_overflow(*ret, factor, ret) ? -EINVAL : 0;
	}
	return -EINVAL;
}

static int word_parse(const char *text, uint64_t *ret, const char *const words[],
		      const uint64_t values[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*ret = values[i];
			return 0;
		}
	}
	return -EINVAL;
}

static int value_parse(const struct key_row *k, const char *text, uint64_t *ret, char *why,
		       size_t n_why)
{
	static const char *const bools[] = {"yes", "no", "true", "false", "on", "off", "1", "0"};
	static const uint64_t bool_values[] = {1, 0, 1, 0, 1, 0, 1, 0};
	static const char *const policies[] = {"failover", "round_robin", "least_queue", "subset",
					       "weighted"};
	static const uint64_t policy_values[] = {
		ISCSI_POLICY_FAILOVER, ISCSI_POLICY_ROUND_ROBIN, ISCSI_POLICY_LEAST_QUEUE,
		ISCSI_POLICY_ROUND_ROBIN_SUBSET, ISCSI_POLICY_WEIGHTED};
	static const uint64_t path_policy_values[] = {LU_POLICY_FAILOVER, LU_POLICY_ROUND_ROBIN,
						      LU_POLICY_LEAST_QUEUE}; /* the first three */
	static const char *const digests[] = {"none", "crc32c", "none,crc32c", "crc32c,none"};
	static const uint64_t digest_values[] = {ISCSI_OFFER_NONE, ISCSI_OFFER_CRC32C,
						 ISCSI_OFFER_NONE_CRC32C, ISCSI_OFFER_CRC32C_NONE};
	const char *expect = "", *rest;
	enum log_level level;
	int r = -EINVAL;

	switch (k->kind) {
	case KEY_TEXT:
	case KEY_PORTALS:
	case KEY_WEIGHTS: return 0; /* elsewhere */
	case KEY_NUMBER:
		expect = "a number";
		r = number_parse(text, 10, ret, &rest);
		if (r == 0 && *rest)
			r = -EINVAL;
		break;
	case KEY_OCTAL:
		expect = "an octal number";
		r = number_parse(text, 8, ret, &rest);
		if (r == 0 && *rest)
			r = -EINVAL;
		break;
	case KEY_TIME:
		expect = "a time such as 30, 30s, 500ms or 2min";
		r = scaled_parse(KEY_TIME, text, ret);
		break;
	case KEY_SIZE:
		expect = "a number of bytes, perhaps with K or M";
		r = scaled_parse(KEY_SIZE, text, ret);
		break;
	case KEY_BOOL:
		expect = "yes or no";
		r = word_parse(text, ret, bools, bool_values, ARRAY_SIZE(bools));
		break;
	case KEY_DIGEST:
		expect = "None, CRC32C, \"None,CRC32C\" or \"CRC32C,None\"";
		r = word_parse(text, ret, digests, digest_values, ARRAY_SIZE(digests));
		break;
	case KEY_POLICY:
		expect = "round_robin, least_queue, failover, subset or weighted";
		r = word_parse(text, ret, policies, policy_values, ARRAY_SIZE(policies));
		break;
	case KEY_PATH_POLICY:
		expect = "failover, round_robin or least_queue";
		r = word_parse(text, ret, policies, path_policy_values,
			       ARRAY_SIZE(path_policy_values));
		break;
	case KEY_LEVEL:
		expect = "error, warning, info or debug";
		r = log_level_parse(text, &level);
		if (r == 0)
			*ret = level;
		break;
	}
	if (r) {
		snprintf(why, n_why, "%s must be %s, not \"%s\"", k->name, expect, text);
		return r;
	}
	if (k->kind == KEY_BOOL || k->kind == KEY_DIGEST || k->kind == KEY_LEVEL ||
	    k->kind == KEY_POLICY || k->kind == KEY_PATH_POLICY)
		return 0;
	if (*ret < k->min || *ret > k->max) {
		uint64_t unit = k->kind != KEY_TIME ? 1 : k->min % NS_PER_S ? NS_PER_MS : NS_PER_S;
		const char *name = k->kind != KEY_TIME ? "" : unit == NS_PER_S ? " s" : " ms";

		if (k->kind == KEY_OCTAL)
			snprintf(why, n_why, "%s must be between %" PRIo64 " and %" PRIo64, k->name,
				 k->min, k->max);
		else
			snprintf(why, n_why, "%s must be between %" PRIu64 "%s and %" PRIu64 "%s",
				 k->name, k->min / unit, name, k->max / unit, name);
		return -ERANGE;
	}
	return 0;
}

static uint64_t *tuning_member(struct tuning *t, const struct key_row *k)
{
	return (uint64_t *)((char *)t + k->offset);
}

/* ---- reading ----------------------------------------------------------- */

struct reader {
	struct config *c;
	FILE *f;
	unsigned line; /* of what inih has now */
	char section[SECTION_MAX];
	char *buf;
	size_t n_buf;
	int error;
	unsigned error_line;
	char error_text[400];
};

__attribute__((format(printf, 3, 4))) static void reader_error(struct reader *rd, int error,
							       const char *fmt, ...)
{
	va_list ap;

	if (rd->error)
		return;
	rd->error = error;
	rd->error_line = rd->line;
	va_start(ap, fmt);
	vsnprintf(rd->error_text, sizeof(rd->error_text), fmt, ap);
	va_end(ap);
}

static void reader_section(struct reader *rd, char *at)
{
	char *end = strchr(at, ']');

	if (!end || strspn(end + 1, " \t") != strcspn(end + 1, ";#")) {
		reader_error(rd, -EINVAL, "a section is written [name]");
		return;
	}
	*end = '\0';
	if (strlen(at) >= sizeof(rd->section)) {
		reader_error(rd, -EINVAL, "section name too long");
		return;
	}
	memcpy(rd->section, at, strlen(at) + 1);
}

/* inih's "fgets". */
static char *reader_line(char *str, int num, void *stream)
{
	struct reader *rd = stream;
	ssize_t n;
	char *at;

	if (rd->error)
		return NULL;
	n = getline(&rd->buf, &rd->n_buf, rd->f);
	if (n < 0) {
		if (ferror(rd->f))
			reader_error(rd, -EIO, "cannot be read");
		return NULL;
	}
	rd->line++;
	if (strlen(rd->buf) != (size_t)n || !utf8_valid(rd->buf, (size_t)n)) {
		reader_error(rd, -EINVAL, "not text");
		return NULL;
	}
	while (n > 0 && strchr(" \t\r\n", rd->buf[n - 1]))
		rd->buf[--n] = '\0';
	at = rd->buf + strspn(rd->buf, " \t");
	if (*at == '[') {
		reader_section(rd, at + 1);
		*at = '\0'; /* what inih would cut is kept here */
	} else if (*at == ';' || *at == '#') {
		*at = '\0'; /* a comment may be as long as it likes */
	}
	if (strlen(at) + 2 > (size_t)num) {
		reader_error(rd, -EINVAL, "line longer than %d bytes", num - 2);
		return NULL;
	}
	if (rd->error)
		return NULL;
	snprintf(str, (size_t)num, "%s\n", at);
	return str;
}

static const struct key_row *key_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

static bool scope_find(const char *section, enum key_scope *ret)
{
	for (enum key_scope s = 0; s < N_SCOPES; s++) {
		if (strcmp(scope_names[s], section) == 0) {
			*ret = s;
			return true;
		}
	}
	return false;
}

static int pattern_valid(const char *p)
{
	size_t n = strlen(p);

	return n > 0 && n <= ISCSI_NAME_MAX + 1 && (p[n - 1] == '*' || iscsi_name_usable(p)) &&
	       !memchr(p, '*', n - 1);
}

static int override_add(struct config *c, const char *pattern, const struct key_row *k,
			uint64_t value)
{
	struct target_override *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	snprintf(o->pattern, sizeof(o->pattern), "%s", pattern);
	o->key = k;
	o->value = value;
	list_append(&c->overrides, &o->node);
	return 0;
}

/* Keeps the list; *@ret gets its number. */
static int portals_add(struct reader *rd, const struct key_row *k, const char *text, uint64_t *ret)
{
	struct config *c = rd->c;
	struct portal_list *l = malloc(sizeof(*l));
	bool weights = k->kind == KEY_WEIGHTS;

	if (!l) {
		reader_error(rd, -ENOMEM, "out of memory");
		return -ENOMEM;
	}
	if (portal_list_parse(l, text, weights)) {
		free(l);
		reader_error(rd, -EINVAL, "%s must be a list of 1 to %d %s, not \"%s\"", k->name,
			     INITIATOR_MAX_PATHS,
			     weights ? "different ADDRESS:PORT=WEIGHT"
				     : "different numeric ADDRESS:PORT",
			     text);
		return -EINVAL;
	}
	l->number = *ret = ++c->n_portal_lists;
	list_append(&c->portal_lists, &l->node);
	return 0;
}

/* inih's handler: 1 is good. The first error is kept in the reader. */
static int reader_key(void *user, const char *section, const char *name, const char *value)
{
	struct reader *rd = user;
	struct config *c = rd->c;
	const struct key_row *k = key_find(name);
	const char *target = NULL;
	enum key_scope scope = SCOPE_SESSION;
	uint64_t v = 0;
	char why[300];
	int r;

	(void)section;
	if (rd->error)
		return 0;
	if (scope_find(rd->section, &scope)) {
		/* a section of that name alone */
	} else if (strncmp(rd->section, "target ", 7) == 0) {
		target = rd->section + 7 + strspn(rd->section + 7, " \t");
		if (!pattern_valid(target)) {
			reader_error(rd, -EINVAL, "\"%s\" is not an iSCSI name", target);
			return 0;
		}
	} else {
		if (rd->section[0])
			reader_error(rd, -EINVAL, "unknown section [%s]", rd->section);
		else
			reader_error(rd, -EINVAL, "\"%s\" stands before the first section", name);
		return 0;
	}
	if (!k || k->scope != scope) {
		reader_error(rd, -EINVAL, "unknown key \"%s\" in [%s]", name, rd->section);
		return 0;
	}
	r = value_parse(k, value, &v, why, sizeof(why));
	if (r) {
		reader_error(rd, -EINVAL, "%s", why);
		return 0;
	}
	if ((k->kind == KEY_PORTALS || k->kind == KEY_WEIGHTS) && portals_add(rd, k, value, &v))
		return 0;
	if (k->kind == KEY_TEXT) {
		if (strlen(value) < k->min || strlen(value) >= k->max) {
			reader_error(rd, -EINVAL, "%s must have 1 to %d bytes", k->name,
				     (int)k->max - 1);
			return 0;
		}
		snprintf((char *)c + k->offset, k->max, "%s", value);
	} else if (target) {
		r = override_add(c, target, k, v);
		if (r)
			reader_error(rd, r, "out of memory");
	} else if (scope == SCOPE_SESSION) {
		*tuning_member(&c->session, k) = v;
	} else {
		*(uint64_t *)((char *)c + k->offset) = v;
		if (k->kind == KEY_LEVEL)
			c->log_level_set = true;
	}
	return r == 0;
}

static int file_load(struct config *c, const char *file, char *why, size_t n_why)
{
	struct reader rd = {.c = c};
	int r;

	rd.f = fopen(file, "re");
	if (!rd.f) {
		r = -errno;
		snprintf(why, n_why, "%s: %s", file, strerror(-r));
		return r;
	}
	r = ini_parse_stream(reader_line, &rd, reader_key, &rd);
	fclose(rd.f);
	free(rd.buf);
	if (rd.error) {
		snprintf(why, n_why, "%s:%u: %s", file, rd.error_line, rd.error_text);
		return rd.error;
	}
	if (r) {
		if (r > 0)
			snprintf(why, n_why, "%s:%d: not \"key = value\"", file, r);
		else
			snprintf(why, n_why, "%s: cannot be read", file);
		return -EINVAL;
	}
	return 0;
}

static int is_drop_in(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return d->d_name[0] != '.' && n > 5 && strcmp(d->d_name + n - 5, ".conf") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int config_load(struct config *c, const char *file, bool must_exist, char *why, size_t n_why)
{
	CLEANUP(freep) char *dir = NULL;
	struct dirent **v = NULL;
	int n, r;

	r = file_load(c, file, why, n_why);
	if (r == -ENOENT && !must_exist)
		r = 0;
	if (r)
		return r;
	if (asprintf(&dir, "%s.d", file) < 0) {
		dir = NULL;
		return -ENOMEM;
	}
	n = scandir(dir, &v, is_drop_in, by_bytes);
	if (n < 0) {
		if (errno == ENOENT)
			return 0;
		r = -errno;
		snprintf(why, n_why, "%s: %s", dir, strerror(-r));
		return r;
	}
	for (int i = 0; i < n; i++) {
		CLEANUP(freep) char *path = NULL;

		if (r == 0 && asprintf(&path, "%s/%s", dir, v[i]->d_name) < 0) {
			path = NULL;
			r = -ENOMEM;
		}
		if (r == 0)
			r = file_load(c, path, why, n_why);
		free(v[i]);
	}
	free(v);
	return r;
}

/* ---- use --------------------------------------------------------------- */

void config_init(struct config *c)
{
	*c = (struct config){.backend = "auto"};
	list_init(&c->overrides);
	list_init(&c->portal_lists);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct key_row *k = &keys[i];

		if (k->kind == KEY_TEXT)
			continue;
		if (k->scope == SCOPE_SESSION)
			*tuning_member(&c->session, k) = k->standard;
		else
			*(uint64_t *)((char *)c + k->offset) = k->standard;
	}
}

void config_clear(struct config *c)
{
	struct target_override *o, *tmp;
	struct portal_list *l, *tmp_list;

	list_for_each_safe (o, tmp, &c->overrides, node) {
		list_remove(&o->node);
		free(o);
	}
	list_for_each_safe (l, tmp_list, &c->portal_lists, node) {
		list_remove(&l->node);
		free(l);
	}
}

static bool pattern_matches(const char *pattern, const char *target)
{
	size_t n = strlen(pattern);

	if (pattern[n - 1] == '*')
		return strncasecmp(pattern, target, n - 1) == 0;
	return iscsi_name_equal(pattern, target);
}

void config_tuning(const struct config *c, const char *target, struct tuning *ret)
{
	const struct target_override *o;

	*ret = c->session;
	list_for_each (o, &c->overrides, node) {
		if (pattern_matches(o->pattern, target))
			*tuning_member(ret, o->key) = o->value;
	}
}

static const struct portal_list *portals_numbered(const struct config *c, uint64_t number)
{
	const struct portal_list *l;

	list_for_each (l, &c->portal_lists, node) {
		if (l->number == number)
			return l;
	}
	return NULL;
}

void config_paths(const struct config *c, const struct tuning *t, struct initiator_paths *ret)
{
	portal_lists_apply(portals_numbered(c, t->preferred_portals),
			   portals_numbered(c, t->portal_weights), ret);
}

void tuning_offer(const struct tuning *t, struct iscsi_params *ret)
{
	iscsi_params_default_offer(ret);
	ret->HeaderDigest = (uint32_t)t->header_digest;
	ret->DataDigest = (uint32_t)t->data_digest;
	ret->InitialR2T = (uint32_t)t->initial_r2t;
	ret->ImmediateData = (uint32_t)t->immediate_data;
	ret->FirstBurstLength = (uint32_t)t->first_burst;
	ret->MaxBurstLength = (uint32_t)t->max_burst;
	ret->MaxRecvDataSegmentLength = (uint32_t)t->max_recv_segment;
	ret->MaxOutstandingR2T = (uint32_t)t->max_outstanding_r2t;
	ret->DataPDUInOrder = (uint32_t)t->pdus_in_order;
	ret->DataSequenceInOrder = (uint32_t)t->sequences_in_order;
	ret->MaxConnections = (uint32_t)t->max_connections;
	ret->DefaultTime2Wait = (uint32_t)(t->time2wait_ns / NS_PER_S);
	ret->DefaultTime2Retain = (uint32_t)(t->time2retain_ns / NS_PER_S);
	ret->ErrorRecoveryLevel = (uint32_t)t->error_recovery_level;
}

static int tuning_check(const struct tuning *t, const char *where, char *why, size_t n_why)
{
	struct iscsi_params offer;

	if (t->first_burst > t->max_burst) {
		snprintf(why, n_why, "[%s]: FirstBurstLength must not exceed MaxBurstLength",
			 where);
		return -EINVAL;
	}
	if (t->retry_min_ns > t->retry_max_ns) {
		snprintf(why, n_why, "[%s]: retry_min must not exceed retry_max", where);
		return -EINVAL;
	}
	if (t->connection_policy == ISCSI_POLICY_ROUND_ROBIN_SUBSET && !t->preferred_portals) {
		snprintf(why, n_why, "[%s]: connection_policy subset needs preferred_portals",
			 where);
		return -EINVAL;
	}
	if (t->connection_policy == ISCSI_POLICY_WEIGHTED && !t->portal_weights) {
		snprintf(why, n_why, "[%s]: connection_policy weighted needs portal_weights",
			 where);
		return -EINVAL;
	}
	if (t->time2wait_ns % NS_PER_S || t->time2retain_ns % NS_PER_S) {
		snprintf(why, n_why,
			 "[%s]: DefaultTime2Wait and DefaultTime2Retain are whole seconds", where);
		return -EINVAL;
	}
	tuning_offer(t, &offer);
	if (!iscsi_params_offer_valid(&offer)) {
		snprintf(why, n_why, "[%s]: the protocol's values do not fit together", where);
		return -EINVAL;
	}
	return 0;
}

int config_check(const struct config *c, char *why, size_t n_why)
{
	const struct target_override *o;
	int r = tuning_check(&c->session, "session", why, n_why);

	list_for_each (o, &c->overrides, node) {
		char where[sizeof(o->pattern) + 8], target[sizeof(o->pattern)];
		size_t n = strlen(o->pattern);
		struct tuning t;

		if (r)
			break;
		snprintf(target, sizeof(target), "%s", o->pattern);
		if (target[n - 1] == '*')
			target[n - 1] = '\0';
		snprintf(where, sizeof(where), "target %s", o->pattern);
		config_tuning(c, target, &t);
		r = tuning_check(&t, where, why, n_why);
	}
	return r;
}
