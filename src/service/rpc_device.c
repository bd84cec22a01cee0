/* SPDX-License-Identifier: MIT */
/*
 * Methods about devices and their units
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "scsi/cdb.h"
#include "scsi/lun.h"
#include "scsi/sense.h"
#include "service/log.h"
#include "service/mapping.h"
#include "service/removal.h"
#include "service/rpc.h"
#include "service/unit.h"
#include "service/volumes.h"

#define DATA_MAX_BYTES (256u << 10)
#define ATTENTIONS_MAX 8

/* ---- ListDevices -------------------------------------------------------------------- */

/* manager->lock. A file system of a disk that is one of several is found later, by device number.
 */
json_t *json_of_path(const struct unit_path *p)
{
	const struct unit *u = p->unit;
	const struct session *s = p->session;
	char id[ID_TEXT_BYTES], lun[LUN_TEXT_BYTES], unit[320], link[2048] = "";
	json_t *j;

	id_text(&s->id, id);
	snprintf(lun, sizeof(lun), "%016llx", (unsigned long long)p->lun);
	lu_info_name(&u->info, unit, sizeof(unit));
	if (u->dev && p->link[0])
		snprintf(link, sizeof(link), "%s/by-path/%s", u->m->devices_dir, p->link);
	j = json_pack(
		"{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:i}", "initiatorInstance", HBA_INSTANCE,
		"targetName", s->target, "sessionId", id, "lun", lun, "scsiPort", PORT_NUMBER,
		"scsiBus", (json_int_t)s->os_bus, "scsiTarget", (json_int_t)s->os_target, "scsiLun",
		(json_int_t)mapping_lun(s->mapping, p->lun), "deviceType", u->info.device_type);
	json_object_set_new(j, "deviceNumber", json_integer(u->dev ? (int)u->number : -1));
	json_object_set_new(j, "legacyName", json_of_foreign(u->dev ? unit_name_for_open(u) : ""));
	json_object_set_new(j, "interfaceName", json_of_foreign(link));
	json_object_set_new(j, "backend", json_string(u->backend->name));
	json_object_set_new(j, "unitName", json_of_foreign(unit));
	json_object_set_new(j, "vendor", json_of_foreign(u->info.vendor));
	json_object_set_new(j, "product", json_of_foreign(u->info.product));
	json_object_set_new(j, "serial", json_of_foreign(u->info.serial));
	json_object_set_new(j, "sizeBytes", json_integer((json_int_t)u->info.limits.n_bytes));
	json_object_set_new(j, "blockBytes", json_integer(u->info.limits.block_bytes));
	json_object_set_new(j, "readOnly", json_boolean(u->info.limits.read_only));
	json_object_set_new(j, "writeCache", json_boolean(u->info.limits.write_cache));
	json_object_set_new(j, "state", json_string(unit_state_name(u->state)));
	json_object_set_new(j, "why", json_of_foreign(u->why));
	return j;
}

struct device_list {
	json_t *array;
	dev_t *disks; /* beside the array: whose mounts are to be found */
	size_t n, n_room;
};

static int device_add(struct device_list *l, const struct unit_path *p)
{
	const struct unit *u = p->unit;

	if (l->n == l->n_room) {
		size_t room = l->n_room ? l->n_room * 2 : 16;
		dev_t *grown = realloc(l->disks, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->disks = grown;
		l->n_room = room;
	}
	l->disks[l->n++] = u->dev ? u->backend->devno(u->dev) : 0;
	return json_array_append_new(l->array, json_of_path(p)) ? -ENOMEM : 0;
}

static int devices_of(struct device_list *l, struct session *s)
{
	struct unit_path *p;
	int r = 0;

	pthread_mutex_lock(&s->m->lock);
	list_for_each (p, &s->paths, in_session) {
		if (r == 0)
			r = device_add(l, p);
	}
	pthread_mutex_unlock(&s->m->lock);
	return r;
}

static int devices_of_all(struct device_list *l, struct manager *m)
{
	struct session **v;
	size_t n;
	int r = sess_list_all(m, &v, &n);

	if (r)
		return r;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = devices_of(l, v[i]);
	sess_put_all(v, n);
	return r;
}

uint32_t rpc_session_arg(struct rpc *c, struct session **ret, bool optional)
{
	struct unique_id id;
	bool there = true;

	if (!arg_session(&c->args, "sessionId", &id, optional ? &there : NULL))
		return c->why.code;
	if (!there)
		return 0;
	*ret = sess_find(c->m, &id);
	if (!*ret)
		return refuse(&c->why, ISDSC_INVALID_SESSION_ID, "there is no such session");
	return 0;
}

static uint32_t list_devices(struct rpc *c)
{
	CLEANUP(sess_putp) struct session *s = NULL;
	struct device_list l = {.array = NULL};
	struct volumes *volumes;
	uint32_t code = rpc_session_arg(c, &s, true);
	int r;

	if (code)
		return code;
	l.array = json_array();
	r = s ? devices_of(&l, s) : devices_of_all(&l, c->m);
	volumes = r == 0 && l.n ? volumes_read() : NULL;
	for (size_t i = 0; r == 0 && i < l.n; i++)
		json_object_set_new(json_array_get(l.array, i), "volumePaths",
				    volumes_of(volumes, l.disks[i]));
	volumes_free(volumes);
	free(l.disks);
	if (r) {
		json_decref(l.array);
		return refuse_errno(&c->why, r, "the devices could not be listed");
	}
	return rpc_reply(c, json_pack("{s:o}", "devices", l.array));
}

/* ---- ListHolders ----------------------------------------------------------------------- */

/* The session that has the device, as a reference. */
static struct session *sess_of_device(struct manager *m, const char *device)
{
	struct session *s, *found = NULL;
	struct unit_path *p;

	pthread_mutex_lock(&m->lock);
	list_for_each (s, &m->sessions, node) {
		list_for_each (p, &s->paths, in_session) {
			if (!found && s->open && unit_path_is_device(p, device)) {
				found = s;
				found->n_refs++;
			}
		}
	}
	pthread_mutex_unlock(&m->lock);
	return found;
}

static uint32_t list_holders(struct rpc *c)
{
	CLEANUP(sess_putp) struct session *s = NULL;
	CLEANUP(sess_putp) struct session *of_device = NULL;
	struct holders h = {0};
	const char *device;
	json_t *v;
	uint32_t code = rpc_session_arg(c, &s, true);
	int r;

	if (code)
		return code;
	if (!arg_text(&c->args, "device", true, 4096, &device))
		return c->why.code;
	if (device) {
		of_device = sess_of_device(c->m, device);
		if (!of_device || (s && s != of_device))
			return refuse(&c->why, ISDSC_DEVICE_NOT_FOUND, "%s is no device of %s",
				      device, s ? "this session" : "a session");
	}
	r = sess_holders(c->m, device ? of_device : s, device, &h);
	if (r) {
		holders_clear(&h);
		return refuse_errno(&c->why, r, "it cannot be told who uses the devices");
	}
	v = json_of_holders(&h);
	holders_clear(&h);
	return rpc_reply(c, json_pack("{s:o}", "holders", v));
}

/* ---- SCSI commands ------------------------------------------------------------------------- */

static bool is_attention(const struct scsi_cmd *cmd)
{
	struct scsi_sense sense;

	return cmd->status == SCSI_CHECK_CONDITION &&
	       sense_decode(&sense, cmd->sense, cmd->n_sense) == 0 &&
	       sense.key == SENSE_UNIT_ATTENTION;
}

/* Runs the command and answers with what the unit said, good or not; at most @n_reply bytes of it.
 */
static uint32_t scsi_answer(struct rpc *c, struct session *s, struct scsi_cmd *cmd, uint32_t n_data,
			    uint32_t n_reply)
{
	CLEANUP(freep) uint8_t *data = calloc(1, n_data ? n_data : 1);
	struct iovec iov = {data, n_data};
	struct initiator_status st;
	int r;

	if (!data)
		return refuse_errno(&c->why, -ENOMEM, "no room for the answer");
	sess_status(s, &st);
	if (st.state != INITIATOR_UP && st.state != INITIATOR_VERIFYING)
		return refuse(&c->why, ISDSC_NO_CONNECTION_AVAILABLE,
			      "the session has no connection at the moment");
	cmd->dir = n_data ? SCSI_DIR_READ : SCSI_DIR_NONE;
	cmd->iov = &iov;
	cmd->n_iov = n_data ? 1 : 0;
	cmd->n_data = n_data;
	cmd->probe = true; /* it only asks, so it need not wait for the units to be compared */
	/* a new session's first answer is often only that it is new */
	for (unsigned i = 0; i < ATTENTIONS_MAX; i++) {
		r = sess_run(s, cmd);
		if (r || !is_attention(cmd))
			break;
	}
	if (r)
		return refuse(&c->why,
			      r == -ETIMEDOUT ? ISDSC_SCSI_REQUEST_FAILED
					      : ISDSC_NO_CONNECTION_AVAILABLE,
			      "the command was not answered: %s", strerror(-r));
	/* what came with an error is not an answer */
	if (cmd->status != SCSI_GOOD)
		n_reply = 0;
	if (n_reply > cmd->n_transferred)
		n_reply = cmd->n_transferred;
	return rpc_reply(c, json_pack("{s:{s:i, s:o, s:o}}", "result", "status", cmd->status,
				      "data", json_of_bytes(data, n_reply), "sense",
				      json_of_bytes(cmd->sense, cmd->n_sense)));
}

static uint32_t length_arg(struct rpc *c, uint32_t max, uint32_t *ret)
{
	if (!arg_u32(&c->args, "allocationLength", ret))
		return c->why.code;
	if (*ret > max)
		*ret = max;
	return 0;
}

static uint32_t scsi_inquiry(struct rpc *c)
{
	CLEANUP(sess_putp) struct session *s = NULL;
	struct scsi_cmd cmd = {0};
	uint64_t evpd, page;
	uint32_t n, code;

	if (!arg_lun(&c->args, "lun", &cmd.lun) || !arg_int(&c->args, "evpdCmddt", 0, 255, &evpd) ||
	    !arg_int(&c->args, "pageCode", 0, 255, &page))
		return c->why.code;
	code = length_arg(c, UINT16_MAX, &n);
	if (code == 0)
		code = rpc_session_arg(c, &s, false);
	if (code)
		return code;
	cmd.n_cdb = cdb_inquiry(cmd.cdb, evpd & 1, 0, (uint16_t)n);
	/* as the caller wants it, also where the standard has no sense for it */
	cmd.cdb[1] = (uint8_t)(evpd & 3);
	cmd.cdb[2] = (uint8_t)page;
	return scsi_answer(c, s, &cmd, n, n);
}

static uint32_t scsi_read_capacity(struct rpc *c)
{
	CLEANUP(sess_putp) struct session *s = NULL;
	struct scsi_cmd cmd = {0};
	uint32_t n, code;
	bool sixteen;

	if (!arg_lun(&c->args, "lun", &cmd.lun) || !arg_bool(&c->args, "sixteen", &sixteen))
		return c->why.code;
	code = length_arg(c, sixteen ? 32 : 8, &n);
	if (code == 0)
		code = rpc_session_arg(c, &s, false);
	if (code)
		return code;
	if (sixteen)
		cmd.n_cdb = cdb_read_capacity_16(cmd.cdb, n);
	else
		cmd.n_cdb = cdb_read_capacity_10(cmd.cdb);
	return scsi_answer(c, s, &cmd, n, n);
}

static uint32_t scsi_report_luns(struct rpc *c)
{
	CLEANUP(sess_putp) struct session *s = NULL;
	struct scsi_cmd cmd = {0};
	uint32_t n, code = length_arg(c, DATA_MAX_BYTES, &n);

	if (code == 0)
		code = rpc_session_arg(c, &s, false);
	if (code)
		return code;
	/* the standard asks for room for at least one unit */
	cmd.n_cdb = cdb_report_luns(cmd.cdb, n < 16 ? 16 : n);
	return scsi_answer(c, s, &cmd, n < 16 ? 16 : n, n);
}

const struct rpc_method rpc_device_methods[] = {
	{"ListDevices", false, "sessionId", list_devices},
	{"ListHolders", false, "sessionId device", list_holders},
	{"ScsiInquiry", false, "sessionId lun evpdCmddt pageCode allocationLength", scsi_inquiry},
	{"ScsiReadCapacity", false, "sessionId lun sixteen allocationLength", scsi_read_capacity},
	{"ScsiReportLuns", false, "sessionId allocationLength", scsi_report_luns},
	{0},
};
