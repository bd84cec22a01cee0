/* SPDX-License-Identifier: MIT */
/*
 * Protocol data units
 *
 * All BHS share their first 24 bytes, and from byte 24 on requests have CmdSN and
 * ExpStatSN where responses have StatSN, ExpCmdSN and MaxCmdSN. What is left is
 * told apart by opcode. Decoder and encoder stand side by side, one case each.
 */
#include "iscsi/pdu.h"

#include <errno.h>
#include <string.h>

#include "base/cursor.h"

#define FLAG_FINAL 0x80
#define FLAG_MORE  0x40 /* C bit of text and login */

static bool is_request(uint8_t opcode)
{
	return opcode < PDU_NOP_IN;
}

/* SNACK and Data-Out carry no CmdSN: those bytes are reserved there. */
static bool has_cmdsn(uint8_t opcode)
{
	return is_request(opcode) && opcode != PDU_SNACK && opcode != PDU_DATA_OUT;
}

static bool has_lun(uint8_t opcode)
{
	switch (opcode) {
	case PDU_LOGIN_REQ:
	case PDU_LOGIN_RSP:
	case PDU_LOGOUT_REQ:
	case PDU_LOGOUT_RSP:
	case PDU_SCSI_RSP:
	case PDU_TMF_RSP:
	case PDU_REJECT: return false;
	default: return true;
	}
}

static bool has_ttt(uint8_t opcode)
{
	switch (opcode) {
	case PDU_NOP_OUT:
	case PDU_NOP_IN:
	case PDU_TMF_REQ:
	case PDU_TEXT_REQ:
	case PDU_TEXT_RSP:
	case PDU_DATA_OUT:
	case PDU_DATA_IN:
	case PDU_SCSI_RSP:
	case PDU_R2T:
	case PDU_SNACK: return true;
	default: return false;
	}
}

static bool is_known(uint8_t opcode)
{
	return opcode <= PDU_LOGOUT_REQ || opcode == PDU_SNACK ||
	       (opcode >= PDU_NOP_IN && opcode <= PDU_LOGOUT_RSP) || opcode == PDU_R2T ||
	       opcode == PDU_ASYNC || opcode == PDU_REJECT;
}

static void decode_login(struct pdu *p, const uint8_t *b)
{
	p->u.login.more = b[1] & FLAG_MORE;
	p->u.login.csg = b[1] >> 2 & 3;
	p->u.login.nsg = b[1] & 3;
	p->u.login.version_max = b[2];
	p->u.login.version_min = b[3];
	memcpy(p->u.login.isid, b + 8, 6);
	p->u.login.tsih = get_be16(b + 14);
	if (p->opcode == PDU_LOGIN_REQ) {
		p->u.login.cid = get_be16(b + 20);
	} else {
		p->u.login.status_class = b[36];
		p->u.login.status_detail = b[37];
	}
}

static void encode_login(uint8_t *b, const struct pdu *p)
{
	b[1] |= (uint8_t)((p->u.login.more ? FLAG_MORE : 0) | (p->u.login.csg & 3) << 2 |
			  (p->u.login.nsg & 3));
	b[2] = p->u.login.version_max;
	b[3] = p->u.login.version_min;
	memcpy(b + 8, p->u.login.isid, 6);
	put_be16(b + 14, p->u.login.tsih);
	if (p->opcode == PDU_LOGIN_REQ) {
		put_be16(b + 20, p->u.login.cid);
	} else {
		b[36] = p->u.login.status_class;
		b[37] = p->u.login.status_detail;
	}
}

int pdu_decode(struct pdu *ret, const uint8_t b[BHS_LEN])
{
	struct pdu *p = ret;
	uint8_t opcode = b[0] & 0x3f;

	if (!is_known(opcode))
		return -EBADMSG;
	memset(p, 0, sizeof(*p));
	p->opcode = opcode;
	p->immediate = has_cmdsn(opcode) && (b[0] & 0x40);
	p->final = b[1] & FLAG_FINAL;
	p->n_ahs = b[4];
	p->n_data = get_be32(b + 4) & PDU_DATA_MAX;
	p->itt = get_be32(b + 16);
	if (has_lun(opcode))
		p->lun = get_be64(b + 8);
	if (has_ttt(opcode))
		p->ttt = get_be32(b + 20);
	if (has_cmdsn(opcode))
		p->cmdsn = get_be32(b + 24);
	if (is_request(opcode)) {
		p->expstatsn = get_be32(b + 28);
	} else {
		p->statsn = get_be32(b + 24);
		p->expcmdsn = get_be32(b + 28);
		p->maxcmdsn = get_be32(b + 32);
	}

	switch ((enum pdu_opcode)opcode) {
	case PDU_SCSI_CMD:
		p->u.scsi_cmd.read = b[1] & 0x40;
		p->u.scsi_cmd.write = b[1] & 0x20;
		p->u.scsi_cmd.attr = b[1] & 7;
		p->u.scsi_cmd.expected_len = get_be32(b + 20);
		memcpy(p->u.scsi_cmd.cdb, b + 32, 16);
		break;
	case PDU_SCSI_RSP:
		p->u.scsi_rsp.bidi_overflow = b[1] & 0x10;
		p->u.scsi_rsp.bidi_underflow = b[1] & 0x08;
		p->u.scsi_rsp.overflow = b[1] & 0x04;
		p->u.scsi_rsp.underflow = b[1] & 0x02;
		p->u.scsi_rsp.response = b[2];
		p->u.scsi_rsp.status = b[3];
		p->u.scsi_rsp.expdatasn = get_be32(b + 36);
		p->u.scsi_rsp.bidi_residual = get_be32(b + 40);
		p->u.scsi_rsp.residual = get_be32(b + 44);
		break;
	case PDU_TMF_REQ:
		p->u.tmf_req.function = b[1] & 0x7f;
		p->u.tmf_req.refcmdsn = get_be32(b + 32);
		p->u.tmf_req.expdatasn = get_be32(b + 36);
		break;
	case PDU_TMF_RSP: p->u.tmf_rsp.response = b[2]; break;
	case PDU_DATA_OUT:
		p->u.data_out.datasn = get_be32(b + 36);
		p->u.data_out.off = get_be32(b + 40);
		break;
	case PDU_DATA_IN:
		p->u.data_in.ack = b[1] & 0x40;
		p->u.data_in.overflow = b[1] & 0x04;
		p->u.data_in.underflow = b[1] & 0x02;
		p->u.data_in.has_status = b[1] & 0x01;
		p->u.data_in.status = b[3];
		p->u.data_in.datasn = get_be32(b + 36);
		p->u.data_in.off = get_be32(b + 40);
		p->u.data_in.residual = get_be32(b + 44);
		break;
	case PDU_R2T:
		p->u.r2t.r2tsn = get_be32(b + 36);
		p->u.r2t.off = get_be32(b + 40);
		p->u.r2t.len = get_be32(b + 44);
		break;
	case PDU_ASYNC:
		p->u.async.event = b[36];
		p->u.async.vcode = b[37];
		p->u.async.param1 = get_be16(b + 38);
		p->u.async.param2 = get_be16(b + 40);
		p->u.async.param3 = get_be16(b + 42);
		break;
	case PDU_TEXT_REQ:
	case PDU_TEXT_RSP: p->u.text.more = b[1] & FLAG_MORE; break;
	case PDU_LOGIN_REQ:
	case PDU_LOGIN_RSP: decode_login(p, b); break;
	case PDU_LOGOUT_REQ:
		p->u.logout_req.reason = b[1] & 0x7f;
		p->u.logout_req.cid = get_be16(b + 20);
		break;
	case PDU_LOGOUT_RSP:
		p->u.logout_rsp.response = b[2];
		p->u.logout_rsp.time2wait = get_be16(b + 40);
		p->u.logout_rsp.time2retain = get_be16(b + 42);
		break;
	case PDU_SNACK:
		p->u.snack.type = b[1] & 0x0f;
		p->u.snack.begrun = get_be32(b + 40);
		p->u.snack.runlength = get_be32(b + 44);
		break;
	case PDU_REJECT:
		p->u.reject.reason = b[2];
		p->u.reject.datasn = get_be32(b + 36);
		break;
	case PDU_NOP_OUT:
	case PDU_NOP_IN: break;
	}
	return 0;
}

void pdu_encode(uint8_t b[BHS_LEN], const struct pdu *p)
{
	memset(b, 0, BHS_LEN);
	b[0] = (uint8_t)(p->opcode | (p->immediate ? 0x40 : 0));
	b[1] = p->final ? FLAG_FINAL : 0;
	put_be32(b + 4, p->n_data & PDU_DATA_MAX);
	b[4] = p->n_ahs;
	put_be32(b + 16, p->itt);
	if (has_lun(p->opcode))
		put_be64(b + 8, p->lun);
	if (has_ttt(p->opcode))
		put_be32(b + 20, p->ttt);
	if (has_cmdsn(p->opcode))
		put_be32(b + 24, p->cmdsn);
	if (is_request(p->opcode)) {
		put_be32(b + 28, p->expstatsn);
	} else {
		put_be32(b + 24, p->statsn);
		put_be32(b + 28, p->expcmdsn);
		put_be32(b + 32, p->maxcmdsn);
	}

	switch ((enum pdu_opcode)p->opcode) {
	case PDU_SCSI_CMD:
		b[1] |= (uint8_t)((p->u.scsi_cmd.read ? 0x40 : 0) |
				  (p->u.scsi_cmd.write ? 0x20 : 0) | (p->u.scsi_cmd.attr & 7));
		put_be32(b + 20, p->u.scsi_cmd.expected_len);
		memcpy(b + 32, p->u.scsi_cmd.cdb, 16);
		break;
	case PDU_SCSI_RSP:
		b[1] |= (uint8_t)((p->u.scsi_rsp.bidi_overflow ? 0x10 : 0) |
				  (p->u.scsi_rsp.bidi_underflow ? 0x08 : 0) |
				  (p->u.scsi_rsp.overflow ? 0x04 : 0) |
				  (p->u.scsi_rsp.underflow ? 0x02 : 0));
		b[2] = p->u.scsi_rsp.response;
		b[3] = p->u.scsi_rsp.status;
		put_be32(b + 36, p->u.scsi_rsp.expdatasn);
		put_be32(b + 40, p->u.scsi_rsp.bidi_residual);
		put_be32(b + 44, p->u.scsi_rsp.residual);
		break;
	case PDU_TMF_REQ:
		b[1] |= p->u.tmf_req.function & 0x7f;
		put_be32(b + 32, p->u.tmf_req.refcmdsn);
		put_be32(b + 36, p->u.tmf_req.expdatasn);
		break;
	case PDU_TMF_RSP: b[2] = p->u.tmf_rsp.response; break;
	case PDU_DATA_OUT:
		put_be32(b + 36, p->u.data_out.datasn);
		put_be32(b + 40, p->u.data_out.off);
		break;
	case PDU_DATA_IN:
		b[1] |= (uint8_t)((p->u.data_in.ack ? 0x40 : 0) |
				  (p->u.data_in.overflow ? 0x04 : 0) |
				  (p->u.data_in.underflow ? 0x02 : 0) |
				  (p->u.data_in.has_status ? 0x01 : 0));
		b[3] = p->u.data_in.status;
		put_be32(b + 36, p->u.data_in.datasn);
		put_be32(b + 40, p->u.data_in.off);
		put_be32(b + 44, p->u.data_in.residual);
		break;
	case PDU_R2T:
		put_be32(b + 36, p->u.r2t.r2tsn);
		put_be32(b + 40, p->u.r2t.off);
		put_be32(b + 44, p->u.r2t.len);
		break;
	case PDU_ASYNC:
		b[36] = p->u.async.event;
		b[37] = p->u.async.vcode;
		put_be16(b + 38, p->u.async.param1);
		put_be16(b + 40, p->u.async.param2);
		put_be16(b + 42, p->u.async.param3);
		break;
	case PDU_TEXT_REQ:
	case PDU_TEXT_RSP: b[1] |= p->u.text.more ? FLAG_MORE : 0; break;
	case PDU_LOGIN_REQ:
	case PDU_LOGIN_RSP: encode_login(b, p); break;
	case PDU_LOGOUT_REQ:
		b[1] |= p->u.logout_req.reason & 0x7f;
		put_be16(b + 20, p->u.logout_req.cid);
		break;
	case PDU_LOGOUT_RSP:
		b[2] = p->u.logout_rsp.response;
		put_be16(b + 40, p->u.logout_rsp.time2wait);
		put_be16(b + 42, p->u.logout_rsp.time2retain);
		break;
	case PDU_SNACK:
		b[1] |= p->u.snack.type & 0x0f;
		put_be32(b + 40, p->u.snack.begrun);
		put_be32(b + 44, p->u.snack.runlength);
		break;
	case PDU_REJECT:
		b[2] = p->u.reject.reason;
		put_be32(b + 36, p->u.reject.datasn);
		break;
	case PDU_NOP_OUT:
	case PDU_NOP_IN: break;
	}
}

const char *pdu_name(uint8_t opcode)
{
	switch ((enum pdu_opcode)opcode) {
	case PDU_NOP_OUT: return "NOP-Out";
	case PDU_SCSI_CMD: return "SCSI Command";
	case PDU_TMF_REQ: return "Task Management Request";
	case PDU_LOGIN_REQ: return "Login Request";
	case PDU_TEXT_REQ: return "Text Request";
	case PDU_DATA_OUT: return "Data-Out";
	case PDU_LOGOUT_REQ: return "Logout Request";
	case PDU_SNACK: return "SNACK";
	case PDU_NOP_IN: return "NOP-In";
	case PDU_SCSI_RSP: return "SCSI Response";
	case PDU_TMF_RSP: return "Task Management Response";
	case PDU_LOGIN_RSP: return "Login Response";
	case PDU_TEXT_RSP: return "Text Response";
	case PDU_DATA_IN: return "Data-In";
	case PDU_LOGOUT_RSP: return "Logout Response";
	case PDU_R2T: return "R2T";
	case PDU_ASYNC: return "Asynchronous Message";
	case PDU_REJECT: return "Reject";
	}
	return "unknown PDU";
}
