/* SPDX-License-Identifier: MIT */
/*
 * SCSI queries: their size is asked first, then the response is shown
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/arguments.h"
#include "cli/list.h"
#include "cli/print.h"

#define SENSE_BYTES    255
#define CAPACITY_BYTES 32 /* room for READ CAPACITY(16), which large units are asked with */

struct query {
	ISCSI_UNIQUE_SESSION_ID session;
	ULONGLONG lun;
	UCHAR evpd_cmddt, page;
	ISDSC_STATUS (*send)(struct query *q, ULONG *size, void *buffer);
	UCHAR scsi_status;
	ULONG n_sense;
	UCHAR sense[SENSE_BYTES];
};

static ISDSC_STATUS send_inquiry(struct query *q, ULONG *size, void *buffer)
{
	return SendScsiInquiry(&q->session, q->lun, q->evpd_cmddt, q->page, &q->scsi_status, size,
			       buffer, &q->n_sense, q->sense);
}

static ISDSC_STATUS send_read_capacity(struct query *q, ULONG *size, void *buffer)
{
	return SendScsiReadCapacity(&q->session, q->lun, &q->scsi_status, size, buffer, &q->n_sense,
				    q->sense);
}

static ISDSC_STATUS send_report_luns(struct query *q, ULONG *size, void *buffer)
{
	return SendScsiReportLuns(&q->session, &q->scsi_status, size, buffer, &q->n_sense,
				  q->sense);
}

static ISDSC_STATUS query_call(const void *arg, ULONG *size, ULONG *count, void *buffer)
{
	struct query *q = *(struct query *const *)arg;
	ISDSC_STATUS status;

	q->n_sense = sizeof(q->sense);
	status = q->send(q, size, buffer);
	*count = *size;
	return status;
}

static ISDSC_STATUS query_show(struct cli *cli, struct query *q, ULONG n_first)
{
	CLEANUP(freep) void *response = NULL;
	ISDSC_STATUS status;
	ULONG n;

	status = list_get(query_call, &q, 1, n_first, &response, &n);
	if (status && status != ISDSC_SCSI_REQUEST_FAILED)
		return status;
	out(cli, "    %-23s: 0x%x\n", "ScsiStatus", q->scsi_status);
	out_json(cli, "ScsiStatus", json_integer(q->scsi_status));
	if (status) {
		out(cli, "    %-23s: 0x%x\n", "Sense Buffer Size", q->n_sense);
		print_bytes(cli, 4, q->sense, q->n_sense);
		out_json(cli, "SenseBuffer", json_bytes(q->sense, q->n_sense));
		return status;
	}
	out(cli, "    %-23s: 0x%x\n", "Response Buffer Size", n);
	print_bytes(cli, 8, response, n);
	out_json(cli, "ResponseBuffer", json_bytes(response, n));
	return ERROR_SUCCESS;
}

static ISDSC_STATUS lun_take(struct cli *cli, const char *arg, ULONGLONG *ret)
{
	if (!value_lun(arg, ret))
		return out_refuse(cli, "Invalid LUN: %s", arg);
	return ERROR_SUCCESS;
}

static ISDSC_STATUS byte_take(struct cli *cli, const char *what, const char *arg, UCHAR *ret)
{
	ULONG v = value_number(arg);

	if (v > UINT8_MAX)
		return out_refuse(cli, "%s must be from 0 to 255: %s", what, arg);
	*ret = (UCHAR)v;
	return ERROR_SUCCESS;
}

ISDSC_STATUS cmd_scsi_inquiry(struct cli *cli, int argc, char **argv)
{
	struct query q = {.send = send_inquiry};
	ISDSC_STATUS status;

	status = session_id_take(cli, argv[0], &q.session);
	if (!status)
		status = lun_take(cli, argv[1], &q.lun);
	if (!status)
		status = byte_take(cli, "EvpdCmddt", argv[2], &q.evpd_cmddt);
	if (!status)
		status = byte_take(cli, "PageCode", argv[3], &q.page);
	return status ? status : query_show(cli, &q, 0);
}

ISDSC_STATUS cmd_read_capacity(struct cli *cli, int argc, char **argv)
{
	struct query q = {.send = send_read_capacity};
	ISDSC_STATUS status;

	status = session_id_take(cli, argv[0], &q.session);
	if (!status)
		status = lun_take(cli, argv[1], &q.lun);
	return status ? status : query_show(cli, &q, CAPACITY_BYTES);
}

ISDSC_STATUS cmd_report_luns(struct cli *cli, int argc, char **argv)
{
	struct query q = {.send = send_report_luns};
	ISDSC_STATUS status = session_id_take(cli, argv[0], &q.session);

	return status ? status : query_show(cli, &q, 0);
}
