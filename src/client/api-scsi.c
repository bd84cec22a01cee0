/* SPDX-License-Identifier: MIT */
/*
 * SCSI commands through the service
 *
 * The caller brings two buffers with sizes that go in and out. A call with no room
 * for the response asks for its size; the unit is then asked for the little that
 * tells it. What is stored never exceeds what was passed.
 */
#include "client/client.h"

#include <string.h>

#include "base/cursor.h"

#define STATUS_GOOD     0x00
#define SENSE_SIZE      18 /* what a sizing call is told to bring at least */
#define INQUIRY_FIRST   255
#define INQUIRY_MAX     0xffff
#define CAPACITY_10     8
#define CAPACITY_16     32
#define REPORT_LUNS_MIN 16 /* less is an error of the command */
#define REPORT_LUNS_MAX (1u << 20)

/* The caller's side. */
struct scsi_out {
	uint8_t *status;
	void *response_size, *sense_size;
	uint8_t *response, *sense;
	ULONG n_response, n_sense; /* room */
};

/* The unit's side. */
struct scsi_reply {
	json_t *reply;
	json_int_t status;
	const char *data, *sense;
};

static ULONG size_take(void *size, const void *buffer)
{
	ULONG n;

	if (!size)
		return 0;
	n = buffer ? ulong_get(size) : 0;
	ulong_put(size, 0);
	return n;
}

static void args_scsi(struct args *a, struct scsi_out *o)
{
	args_want(a, o->status, "ScsiStatus");
	args_want(a, o->response_size, "ResponseSize");
	args_want(a, o->sense_size, "SenseSize");
	if (o->status)
		*o->status = STATUS_GOOD;
	o->n_response = size_take(o->response_size, o->response);
	o->n_sense = size_take(o->sense_size, o->sense);
}

/* Below 256 the number of the unit, else its 8 bytes, the first one lowest. */
static void args_lun(struct args *a, ULONGLONG lun)
{
	uint8_t bytes[8] = {0};

	if (lun < 256)
		bytes[1] = (uint8_t)lun;
	else
		lun_bytes(lun, bytes);
	args_bytes(a, "lun", bytes, sizeof(bytes), sizeof(bytes));
}

static ISDSC_STATUS scsi_call(struct args *a, const char *method, struct scsi_reply *ret)
{
	ISDSC_STATUS status = args_call(a, method, QUERY_MS, &ret->reply);
	json_t *result;

	if (status)
		return status;
	result = json_object_get(ret->reply, "result");
	ret->status = json_integer_value(json_object_get(result, "status"));
	ret->data = json_string_value(json_object_get(result, "data"));
	ret->sense = json_string_value(json_object_get(result, "sense"));
	if (!json_is_integer(json_object_get(result, "status")) || ret->status < 0 ||
	    ret->status > UINT8_MAX || !ret->data || hex_parse(ret->data, NULL, 0) < 0 ||
	    !ret->sense || hex_parse(ret->sense, NULL, 0) < 0)
		return detail_fail_reply(method, "result");
	return ERROR_SUCCESS;
}

static void replyp(struct scsi_reply *r)
{
	json_decref(r->reply);
}

static void bytes_store(const char *hex, void *buffer, ULONG n_room, void *size)
{
	long n = hex_parse(hex, buffer, n_room);

	ulong_put(size, n < (long)n_room ? (ULONG)n : n_room);
}

static ISDSC_STATUS scsi_store(const struct scsi_out *o, const struct scsi_reply *r)
{
	*o->status = (uint8_t)r->status;
	bytes_store(r->data, o->response, o->n_response, o->response_size);
	bytes_store(r->sense, o->sense, o->n_sense, o->sense_size);
	if (r->status == STATUS_GOOD)
		return ERROR_SUCCESS;
	return detail_fail(ISDSC_SCSI_REQUEST_FAILED, "SCSI status 0x%02x, sense %s",
			   (unsigned)r->status, *r->sense ? r->sense : "none");
}

static ISDSC_STATUS scsi_need(const struct scsi_out *o, ULONG need)
{
	ulong_put(o->response_size, need);
	ulong_put(o->sense_size, SENSE_SIZE);
	return ERROR_INSUFFICIENT_BUFFER;
}

/* Bytes of the whole response, of which the first @n are there. */
static ULONG inquiry_need(const uint8_t *p, size_t n, UCHAR evpd_cmddt)
{
	if (evpd_cmddt & 1 && n >= 4)
		return get_be16(p + 2) + 4u;
	if (evpd_cmddt & 2 && n >= 6)
		return p[5] + 6u;
	if (!(evpd_cmddt & 3) && n >= 5)
		return p[4] + 5u;
	return INQUIRY_FIRST;
}

EXPORT ISDSC_STATUS WINAPI SendScsiInquiry(PISCSI_UNIQUE_SESSION_ID session_id, ULONGLONG lun,
					   UCHAR evpd_cmddt, UCHAR page, PUCHAR scsi_status,
					   PULONG response_size, PUCHAR response, PULONG sense_size,
					   PUCHAR sense)
{
	struct scsi_out o = {scsi_status, response_size, sense_size, response, sense, 0, 0};
	CLEANUP(replyp) struct scsi_reply r = {0};
	struct args a = args_begin();
	uint8_t head[INQUIRY_FIRST];
	ULONG n_ask = INQUIRY_FIRST;
	ISDSC_STATUS status;

	args_scsi(&a, &o);
	if (o.n_response > 0)
		n_ask = o.n_response < INQUIRY_MAX ? o.n_response : INQUIRY_MAX;
	args_id(&a, "sessionId", session_id);
	args_lun(&a, lun);
	args_number(&a, "evpdCmddt", evpd_cmddt & 3);
	args_number(&a, "pageCode", page);
	args_number(&a, "allocationLength", n_ask);
	status = scsi_call(&a, "ScsiInquiry", &r);
	if (status)
		return status;
	if (o.n_response == 0 && r.status == STATUS_GOOD) {
		long n = hex_parse(r.data, head, sizeof(head));

		return scsi_need(&o, inquiry_need(head,
						  n < (long)sizeof(head) ? (size_t)n : sizeof(head),
						  evpd_cmddt));
	}
	return scsi_store(&o, &r);
}

static ISDSC_STATUS capacity_call(const void *session_id, ULONGLONG lun, bool sixteen,
				  struct args *a, struct scsi_reply *ret)
{
	args_id(a, "sessionId", session_id);
	args_lun(a, lun);
	args_bool(a, "sixteen", sixteen);
	args_number(a, "allocationLength", sixteen ? CAPACITY_16 : CAPACITY_10);
	return scsi_call(a, "ScsiReadCapacity", ret);
}

/* The last block has a number that 32 bits do not hold. */
static bool capacity_is_larger(const struct scsi_reply *r)
{
	uint8_t last[4];

	return r->status == STATUS_GOOD &&
	       hex_parse(r->data, last, sizeof(last)) >= (long)sizeof(last) &&
	       get_be32(last) == UINT32_MAX;
}

EXPORT ISDSC_STATUS WINAPI SendScsiReadCapacity(PISCSI_UNIQUE_SESSION_ID session_id, ULONGLONG lun,
						PUCHAR scsi_status, PULONG response_size,
						PUCHAR response, PULONG sense_size, PUCHAR sense)
{
	struct scsi_out o = {scsi_status, response_size, sense_size, response, sense, 0, 0};
	CLEANUP(replyp) struct scsi_reply small = {0};
	CLEANUP(replyp) struct scsi_reply large = {0};
	struct args a = args_begin();
	ISDSC_STATUS status;

	args_scsi(&a, &o);
	args_want(&a, session_id, "UniqueSessionId");
	if (!a.status && o.n_response < CAPACITY_10)
		a.status = scsi_need(&o, CAPACITY_10);
	status = capacity_call(session_id, lun, false, &a, &small);
	if (status)
		return status;
	if (o.n_response < CAPACITY_16 || !capacity_is_larger(&small))
		return scsi_store(&o, &small);
	a = args_begin();
	status = capacity_call(session_id, lun, true, &a, &large);
	return status ? status : scsi_store(&o, &large);
}

static ULONG report_luns_need(const struct scsi_reply *r)
{
	uint8_t length[4];

	if (hex_parse(r->data, length, sizeof(length)) < (long)sizeof(length))
		return REPORT_LUNS_MIN;
	if (get_be32(length) > REPORT_LUNS_MAX - 8)
		return REPORT_LUNS_MAX;
	return get_be32(length) + 8;
}

EXPORT ISDSC_STATUS WINAPI SendScsiReportLuns(PISCSI_UNIQUE_SESSION_ID session_id,
					      PUCHAR scsi_status, PULONG response_size,
					      PUCHAR response, PULONG sense_size, PUCHAR sense)
{
	struct scsi_out o = {scsi_status, response_size, sense_size, response, sense, 0, 0};
	CLEANUP(replyp) struct scsi_reply r = {0};
	struct args a = args_begin();
	ULONG n_ask;
	ISDSC_STATUS status;

	args_scsi(&a, &o);
	n_ask = o.n_response < REPORT_LUNS_MIN ? REPORT_LUNS_MIN : o.n_response;
	args_id(&a, "sessionId", session_id);
	args_number(&a, "allocationLength", n_ask < REPORT_LUNS_MAX ? n_ask : REPORT_LUNS_MAX);
	status = scsi_call(&a, "ScsiReportLuns", &r);
	if (status)
		return status;
	if (o.n_response == 0 && r.status == STATUS_GOOD)
		return scsi_need(&o, report_luns_need(&r));
	return scsi_store(&o, &r);
}
