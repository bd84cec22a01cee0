/* SPDX-License-Identifier: MIT */
#include "service/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "scsi/lun.h"

static bool bad(const struct args *a, const char *name, const char *what)
{
	refuse(a->why, WIN_INVALID_PARAMETER, "parameter \"%.64s\" %s", name, what);
	return false;
}

static json_t *member(const struct args *a, const char *name)
{
	json_t *j = json_object_get(a->obj, name);

	return json_is_null(j) ? NULL : j;
}

bool args_known(const struct args *a, const char *known)
{
	const char *name;
	json_t *value;

	json_object_foreach(a->obj, name, value)
	{
		size_t n = strlen(name);
		bool found = false;

		for (const char *at = known; *at && !found;) {
			size_t word = strcspn(at, " ");

			found = word == n && memcmp(at, name, n) == 0;
			at += word;
			at += *at == ' ';
		}
		if (!found)
			return bad(a, name, "is not known");
	}
	return true;
}

bool arg_bool(const struct args *a, const char *name, bool *ret)
{
	json_t *j = member(a, name);

	if (!json_is_boolean(j))
		return bad(a, name, j ? "must be true or false" : "is missing");
	*ret = json_is_true(j);
	return true;
}

bool arg_int(const struct args *a, const char *name, uint64_t min, uint64_t max, uint64_t *ret)
{
	json_t *j = member(a, name);
	char what[96];

	if (!json_is_integer(j))
		return bad(a, name, j ? "must be a whole number" : "is missing");
	if (json_integer_value(j) < 0 || (uint64_t)json_integer_value(j) < min ||
	    (uint64_t)json_integer_value(j) > max) {
		snprintf(what, sizeof(what), "must be between %llu and %llu",
			 (unsigned long long)min, (unsigned long long)max);
		return bad(a, name, what);
	}
	*ret = (uint64_t)json_integer_value(j);
	return true;
}

bool arg_flags(const struct args *a, const char *name, uint64_t *ret)
{
	json_t *j = member(a, name);

	if (!json_is_integer(j))
		return bad(a, name, j ? "must be a whole number" : "is missing");
	*ret = (uint64_t)json_integer_value(j);
	return true;
}

bool arg_u32(const struct args *a, const char *name, uint32_t *ret)
{
	uint64_t v;

	if (!arg_int(a, name, 0, UINT32_MAX, &v))
		return false;
	*ret = (uint32_t)v;
	return true;
}

bool arg_text(const struct args *a, const char *name, bool optional, size_t max, const char **ret)
{
	json_t *j = member(a, name);

	if (!j && optional) {
		*ret = NULL;
		return true;
	}
	if (!json_is_string(j))
		return bad(a, name, j ? "must be a string" : "is missing");
	if (strlen(json_string_value(j)) != json_string_length(j))
		return bad(a, name, "has a NUL in it");
	if (json_string_length(j) > max)
		return bad(a, name, "is too long");
	*ret = json_string_value(j);
	return true;
}

bool arg_label(const struct args *a, const char *name, unsigned max_units, const char **ret)
{
	char what[64];

	if (!arg_text(a, name, true, (size_t)3 * max_units, ret))
		return false;
	if (!*ret)
		*ret = "";
	if (utf8_to_utf16(*ret, strlen(*ret), NULL, 0) <= (long)max_units)
		return true;
	snprintf(what, sizeof(what), "has more than %u characters", max_units);
	return bad(a, name, what);
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool arg_blob(const struct args *a, const char *name, struct blob *ret)
{
	const char *text;
	size_t n;

	ret->n = 0;
	if (!arg_text(a, name, true, (size_t)2 * BLOB_MAX, &text))
		return false;
	n = text ? strlen(text) : 0;
	if (n % 2)
		return bad(a, name, "must be pairs of hexadecimal digits");
	for (size_t i = 0; i < n; i += 2) {
		int hi = nibble(text[i]), lo = nibble(text[i + 1]);

		if (hi < 0 || lo < 0)
			return bad(a, name, "must be pairs of hexadecimal digits");
		ret->bytes[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	ret->n = (uint16_t)(n / 2);
	return true;
}

bool arg_instance(const struct args *a, const char *name, char ret[INSTANCE_MAX + 1])
{
	const char *text;

	if (!arg_text(a, name, true, INSTANCE_MAX, &text))
		return false;
	if (!text || !text[0]) {
		ret[0] = '\0';
		return true;
	}
	if (strcasecmp(text, HBA_INSTANCE) != 0) {
		refuse(a->why, ISDSC_INITIATOR_INSTANCE_NOT_FOUND,
		       "there is no initiator \"%s\"; the only one is %s", text, HBA_INSTANCE);
		return false;
	}
	memcpy(ret, HBA_INSTANCE, sizeof(HBA_INSTANCE));
	return true;
}

bool arg_port(const struct args *a, uint32_t *ret)
{
	if (!arg_u32(a, "initiatorPort", ret))
		return false;
	if (*ret == 0)
		return bad(a, "initiatorPort", "must not be 0; 4294967295 means any port");
	return true;
}

static bool address_valid(const char *p)
{
	if (!*p)
		return false;
	for (; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c <= ' ' || c == '/' || c == 0x7f)
			return false;
	}
	return true;
}

bool arg_address(const struct args *a, const char *name, bool optional, size_t max,
		 const char **ret)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_:%";
	const char *text;

	if (!arg_text(a, name, optional, max, &text))
		return false;
	if (text && (!text[0] || text[strspn(text, allowed)]))
		return bad(a, name, "must be an IP address or a host name");
	*ret = text;
	return true;
}

static bool portal_of(const struct args *in, struct portal *ret)
{
	const char *symbolic, *address;
	uint64_t socket;

	if (!args_known(in, "symbolicName address socket") ||
	    !arg_label(in, "symbolicName", LABEL_UNITS, &symbolic) ||
	    !arg_text(in, "address", false, ADDRESS_MAX, &address) ||
	    !arg_int(in, "socket", 1, UINT16_MAX, &socket))
		return false;
	if (!address_valid(address))
		return bad(in, "address", "must be an address or a host name");
	*ret = (struct portal){.socket = (uint16_t)socket};
	snprintf(ret->symbolic, sizeof(ret->symbolic), "%s", symbolic);
	snprintf(ret->address, sizeof(ret->address), "%s", address);
	return true;
}

bool arg_portal(const struct args *a, const char *name, struct portal *ret, bool *ret_there)
{
	struct args in = {member(a, name), a->why};

	if (!in.obj && ret_there) {
		*ret_there = false;
		return true;
	}
	if (!json_is_object(in.obj))
		return bad(a, name, in.obj ? "must be an object" : "is missing");
	if (!portal_of(&in, ret))
		return false;
	if (ret_there)
		*ret_there = true;
	return true;
}

bool arg_portals(const struct args *a, const char *name, struct portal **ret, size_t *ret_n)
{
	CLEANUP(freep) struct portal *v = NULL;
	json_t *array = member(a, name), *one;
	size_t i;

	if (array && !json_is_array(array))
		return bad(a, name, "must be an array");
	if (json_array_size(array) > PORTALS_MAX)
		return bad(a, name, "has too many portals");
	v = calloc(json_array_size(array) + 1, sizeof(*v));
	if (!v) {
		refuse_errno(a->why, -ENOMEM, "the portals could not be read");
		return false;
	}
	json_array_foreach(array, i, one)
	{
		if (!json_is_object(one))
			return bad(a, name, "must be an array of objects");
		if (!portal_of(&(struct args){one, a->why}, &v[i]))
			return false;
	}
	*ret_n = json_array_size(array);
	*ret = TAKE(v);
	return true;
}

/* A number that only counts with its bit; without it, whatever is there is not looked at. */
static bool option(const struct args *a, const struct login_options *o, uint32_t bit,
		   const char *name, uint32_t max, uint32_t *ret)
{
	uint64_t v;

	if (!(o->specified & bit))
		return true;
	if (!arg_int(a, name, 0, max, &v))
		return false;
	*ret = (uint32_t)v;
	return true;
}

bool arg_options(const struct args *a, const char *name, struct login_options *ret, bool *ret_there)
{
	struct args in = {member(a, name), a->why};
	struct login_options o = {0};

	if (ret_there)
		*ret_there = in.obj != NULL;
	if (!in.obj) {
		*ret = o;
		return true;
	}
	if (!json_is_object(in.obj))
		return bad(a, name, "must be an object");
	if (!args_known(&in, "informationSpecified loginFlags authType headerDigest dataDigest "
			     "maximumConnections defaultTime2Wait defaultTime2Retain username "
			     "password") ||
	    !arg_u32(&in, "informationSpecified", &o.specified) ||
	    !arg_u32(&in, "loginFlags", &o.flags))
		return false;
	if ((o.specified & OPT_AUTH_TYPE)) {
		if (!arg_u32(&in, "authType", &o.auth_type))
			return false;
		if (o.auth_type > 2) {
			refuse(a->why, ISDSC_INVALID_LOGON_AUTH_TYPE,
			       "authentication type %u is none of 0 (none), 1 (CHAP), 2 (mutual "
			       "CHAP)",
			       o.auth_type);
			return false;
		}
	}
	if (!option(&in, &o, OPT_HEADER_DIGEST, "headerDigest", 1, &o.header_digest) ||
	    !option(&in, &o, OPT_DATA_DIGEST, "dataDigest", 1, &o.data_digest) ||
	    !option(&in, &o, OPT_MAX_CONNECTIONS, "maximumConnections", 65535,
		    &o.max_connections) ||
	    !option(&in, &o, OPT_TIME2WAIT, "defaultTime2Wait", 3600, &o.time2wait) ||
	    !option(&in, &o, OPT_TIME2RETAIN, "defaultTime2Retain", 3600, &o.time2retain))
		return false;
	if (((o.specified & OPT_USERNAME) && !arg_blob(&in, "username", &o.username)) ||
	    ((o.specified & OPT_PASSWORD) && !arg_blob(&in, "password", &o.password)))
		return false;
	*ret = o;
	explicit_bzero(&o, sizeof(o));
	return true;
}

bool arg_target(const struct args *a, const char *name, char ret[ISCSI_NAME_MAX + 1])
{
	const char *text;

	if (!arg_text(a, name, false, 4096, &text))
		return false;
	if (!iscsi_name_usable(text)) {
		refuse(a->why, ISDSC_INVALID_ISCSI_NAME, "\"%.240s\" is not an iSCSI name", text);
		return false;
	}
	snprintf(ret, ISCSI_NAME_MAX + 1, "%s", text);
	return true;
}

bool arg_lun(const struct args *a, const char *name, uint64_t *ret)
{
	const char *text;

	if (!arg_text(a, name, false, 16, &text))
		return false;
	if (strlen(text) != 16 || strspn(text, "0123456789abcdefABCDEF") != 16)
		return bad(a, name, "must be 16 hexadecimal digits");
	*ret = strtoull(text, NULL, 16);
	return true;
}

bool arg_session(const struct args *a, const char *name, struct unique_id *ret, bool *ret_there)
{
	const char *text;

	if (!arg_text(a, name, ret_there != NULL, 256, &text))
		return false;
	if (ret_there)
		*ret_there = text != NULL;
	if (text && id_parse(text, ret)) {
		refuse(a->why, ISDSC_INVALID_SESSION_ID, "\"%.64s\" is not a session's id", text);
		return false;
	}
	return true;
}

bool arg_connection(const struct args *a, const char *name, struct unique_id *ret)
{
	const char *text;

	if (!arg_text(a, name, false, 256, &text))
		return false;
	if (id_parse(text, ret)) {
		refuse(a->why, ISDSC_INVALID_CONNECTION_ID, "\"%.64s\" is not a connection's id",
		       text);
		return false;
	}
	return true;
}

/* ---- mappings ------------------------------------------------------------------------- */

static bool mapping_names(const struct args *a, struct target_mapping *m)
{
	const char *initiator, *target, *device;

	if (!arg_text(a, "initiatorName", true, INSTANCE_MAX, &initiator) ||
	    !arg_text(a, "targetName", true, ISCSI_NAME_MAX, &target) ||
	    !arg_text(a, "osDeviceName", true, DEVICE_MAX, &device))
		return false;
	snprintf(m->initiator, sizeof(m->initiator), "%s", initiator ? initiator : "");
	snprintf(m->target, sizeof(m->target), "%s", target ? target : "");
	snprintf(m->device, sizeof(m->device), "%s", device ? device : "");
	m->session = (struct unique_id){0};
	return !member(a, "sessionId") || arg_session(a, "sessionId", &m->session, NULL);
}

/* A unit under two numbers, or two under one, is nothing that can be presented. */
static bool lun_is_new(const struct args *a, const struct target_mapping *m,
		       const struct lun_mapping *l)
{
	for (uint32_t i = 0; i < m->n_luns; i++) {
		if (m->luns[i].target_lun == l->target_lun)
			return bad(a, "targetLun", "names a unit twice");
		if (m->luns[i].os_lun == l->os_lun)
			return bad(a, "osLun", "is asked for twice");
	}
	return true;
}

static bool mapping_luns(const struct args *a, struct target_mapping *m)
{
	json_t *v = member(a, "luns"), *one;
	size_t i;

	m->n_luns = 0;
	if (v && !json_is_array(v))
		return bad(a, "luns", "must be an array");
	if (json_array_size(v) > LUNS_MAX)
		return bad(a, "luns", "names too many units");
	json_array_foreach(v, i, one)
	{
		struct args in = {one, a->why};
		struct lun_mapping l = {0};

		if (!json_is_object(one))
			return bad(a, "luns", "must be an array of objects");
		if (!args_known(&in, "osLun targetLun") || !arg_u32(&in, "osLun", &l.os_lun) ||
		    !arg_lun(&in, "targetLun", &l.target_lun) || !lun_is_new(&in, m, &l))
			return false;
		m->luns[m->n_luns++] = l;
	}
	return true;
}

bool arg_mapping(const struct args *a, const char *name, struct target_mapping *ret,
		 bool *ret_there)
{
	struct args in = {member(a, name), a->why};

	*ret_there = in.obj != NULL;
	if (!in.obj)
		return true;
	if (!json_is_object(in.obj))
		return bad(a, name, "must be an object");
	return args_known(&in, "initiatorName targetName osDeviceName sessionId osBusNumber "
			       "osTargetNumber luns") &&
	       mapping_names(&in, ret) && arg_u32(&in, "osBusNumber", &ret->bus) &&
	       arg_u32(&in, "osTargetNumber", &ret->os_target) && mapping_luns(&in, ret);
}

/* ---- the other direction ------------------------------------------------------------ */

json_t *json_of_portal(const char *symbolic, const char *address, unsigned socket)
{
	return json_pack("{s:s, s:s, s:i}", "symbolicName", symbolic, "address", address, "socket",
			 (int)socket);
}

json_t *json_of_bytes(const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	CLEANUP(freep) char *text = malloc(2 * n + 1);

	if (!text)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[p[i] >> 4];
		text[2 * i + 1] = digits[p[i] & 15];
	}
	return json_stringn(text, 2 * n);
}

json_t *json_of_options(const struct login_options *o)
{
	const struct {
		uint32_t bit;
		const char *name;
		uint32_t value;
	} rows[] = {
		{OPT_AUTH_TYPE, "authType", o->auth_type},
		{OPT_HEADER_DIGEST, "headerDigest", o->header_digest},
		{OPT_DATA_DIGEST, "dataDigest", o->data_digest},
		{OPT_MAX_CONNECTIONS, "maximumConnections", o->max_connections},
		{OPT_TIME2WAIT, "defaultTime2Wait", o->time2wait},
		{OPT_TIME2RETAIN, "defaultTime2Retain", o->time2retain},
	};
	json_t *j = json_pack("{s:I, s:I}", "informationSpecified", (json_int_t)o->specified,
			      "loginFlags", (json_int_t)o->flags);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (o->specified & rows[i].bit)
			json_object_set_new(j, rows[i].name, json_integer(rows[i].value));
	}
	if (o->specified & OPT_USERNAME)
		json_object_set_new(j, "username", json_of_bytes(o->username.bytes, o->username.n));
	return j;
}

json_t *json_of_lun_mapping(const struct lun_mapping *l)
{
	char lun[LUN_TEXT_BYTES];

	lun_text(l->target_lun, lun);
	return json_pack("{s:I, s:s}", "osLun", (json_int_t)l->os_lun, "targetLun", lun);
}

json_t *json_of_mapping(const struct target_mapping *m)
{
	char id[ID_TEXT_BYTES];
	json_t *v = json_array();

	id_text(&m->session, id);
	for (uint32_t i = 0; i < m->n_luns; i++)
		json_array_append_new(v, json_of_lun_mapping(&m->luns[i]));
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:o}", "initiatorName", m->initiator,
			 "targetName", m->target, "osDeviceName", m->device, "sessionId", id,
			 "osBusNumber", (json_int_t)m->bus, "osTargetNumber",
			 (json_int_t)m->os_target, "luns", v);
}

json_t *json_of_foreign(const char *text)
{
	json_t *j = json_string(text);
	CLEANUP(freep) char *copy = NULL;

	if (j)
		return j;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *p = copy; *p; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	return json_string(copy);
}

json_t *json_of_holders(const struct holders *h)
{
	json_t *v = json_array();

	for (size_t i = 0; i < h->n; i++) {
		const struct holder *one = &h->v[i];
		char text[400];

		holder_text(one, text, sizeof(text));
		/* names of processes and mount points need not be UTF-8 */
		json_array_append_new(
			v, json_pack("{s:s, s:i, s:o, s:o, s:o, s:b, s:o}", "kind",
				     holder_kind_name(one->kind), "pid", (int)one->pid, "process",
				     json_of_foreign(one->comm), "device",
				     json_of_foreign(one->device), "place",
				     json_of_foreign(one->where), "otherNamespace",
				     one->other_namespace, "text", json_of_foreign(text)));
	}
	return v;
}
