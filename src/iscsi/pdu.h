/* SPDX-License-Identifier: MIT */
/*
 * Protocol data units (RFC 7143 §11)
 *
 * The 48 bytes of a basic header segment and their decoded form. Nothing behind
 * pdu_decode() sees wire bytes. Both directions of every PDU are here, because a
 * test and a fuzzer want to play the target, and because encode after decode
 * giving the same bytes is the proof that no field was forgotten.
 *
 * Reserved bits are ignored when received and zero when sent.
 */
#ifndef ISCSI_PDU_H
#define ISCSI_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BHS_LEN      48
#define PDU_TAG_NONE UINT32_C(0xffffffff) /* reserved value of ITT and TTT */
#define PDU_DATA_MAX UINT32_C(0xffffff)   /* DataSegmentLength has 24 bits */

enum pdu_opcode {
	PDU_NOP_OUT = 0x00,
	PDU_SCSI_CMD = 0x01,
	PDU_TMF_REQ = 0x02,
	PDU_LOGIN_REQ = 0x03,
	PDU_TEXT_REQ = 0x04,
	PDU_DATA_OUT = 0x05,
	PDU_LOGOUT_REQ = 0x06,
	PDU_SNACK = 0x10,
	PDU_NOP_IN = 0x20,
	PDU_SCSI_RSP = 0x21,
	PDU_TMF_RSP = 0x22,
	PDU_LOGIN_RSP = 0x23,
	PDU_TEXT_RSP = 0x24,
	PDU_DATA_IN = 0x25,
	PDU_LOGOUT_RSP = 0x26,
	PDU_R2T = 0x31,
	PDU_ASYNC = 0x32,
	PDU_REJECT = 0x3f,
};

/* Task attributes (§11.3.1) */
enum pdu_attr {
	PDU_ATTR_UNTAGGED = 0,
	PDU_ATTR_SIMPLE = 1,
	PDU_ATTR_ORDERED = 2,
	PDU_ATTR_HEAD_OF_QUEUE = 3,
};

/* Task management functions (§11.5.1) */
enum pdu_tmf {
	TMF_ABORT_TASK = 1,
	TMF_ABORT_TASK_SET = 2,
	TMF_CLEAR_ACA = 3,
	TMF_CLEAR_TASK_SET = 4,
	TMF_LOGICAL_UNIT_RESET = 5,
	TMF_TARGET_WARM_RESET = 6,
	TMF_TARGET_COLD_RESET = 7,
	TMF_TASK_REASSIGN = 8,
};

/* Task management responses (§11.6.1) */
enum pdu_tmf_response {
	TMF_RSP_COMPLETE = 0,
	TMF_RSP_NO_TASK = 1,
	TMF_RSP_NO_LUN = 2,
	TMF_RSP_STILL_ALLEGIANT = 3,
	TMF_RSP_NO_REASSIGN = 4,
	TMF_RSP_NOT_SUPPORTED = 5,
	TMF_RSP_NOT_AUTHORIZED = 6,
	TMF_RSP_REJECTED = 255,
};

/* Logout responses (§11.15.1) */
enum pdu_logout_response {
	LOGOUT_RSP_CLOSED = 0,
	LOGOUT_RSP_NO_CID = 1,
	LOGOUT_RSP_NO_RECOVERY = 2,
	LOGOUT_RSP_FAILED = 3,
};

enum pdu_logout_reason {
	LOGOUT_CLOSE_SESSION = 0,
	LOGOUT_CLOSE_CONNECTION = 1,
	LOGOUT_FOR_RECOVERY = 2,
};

/* Asynchronous events (§11.9.1) */
enum pdu_async_event {
	ASYNC_SCSI = 0,
	ASYNC_LOGOUT_REQUEST = 1,
	ASYNC_CONN_DROP = 2,
	ASYNC_SESSION_DROP = 3,
	ASYNC_NEGOTIATE = 4,
	ASYNC_TASKS_TERMINATED = 5,
	ASYNC_VENDOR = 255,
};

/* SNACK types (§11.16.1) */
enum pdu_snack {
	SNACK_DATA = 0, /* Data-In or R2T */
	SNACK_STATUS = 1,
	SNACK_DATA_ACK = 2,
	SNACK_R_DATA = 3,
};

/* Reject reasons (§11.17.1) */
enum pdu_reject_reason {
	REJECT_DATA_DIGEST = 0x02,
	REJECT_SNACK = 0x03,
	REJECT_PROTOCOL = 0x04,
	REJECT_UNSUPPORTED = 0x05,
	REJECT_IMMEDIATE = 0x06,
	REJECT_TASK_IN_PROGRESS = 0x07,
	REJECT_INVALID_DATA_ACK = 0x08,
	REJECT_INVALID_FIELD = 0x09,
	REJECT_LONG_OPERATION = 0x0a,
	REJECT_NEGOTIATION_RESET = 0x0b,
	REJECT_WAITING_LOGOUT = 0x0c,
};

/* Login stages (§11.12.3) */
enum pdu_stage {
	STAGE_SECURITY = 0,
	STAGE_OPERATIONAL = 1,
	STAGE_FULL_FEATURE = 3,
};

struct pdu {
	uint8_t opcode;
	bool immediate;  /* I bit; requests only */
	bool final;      /* F; T in login PDUs */
	uint8_t n_ahs;   /* TotalAHSLength in 4-byte words */
	uint32_t n_data; /* DataSegmentLength */
	uint64_t lun;    /* SAM form; 0 where the PDU has none */
	uint32_t itt;
	uint32_t ttt; /* also: ReferencedTaskTag, SNACK tag; where the PDU has one */

	/* requests */
	uint32_t cmdsn, expstatsn;
	/* responses */
	uint32_t statsn, expcmdsn, maxcmdsn;

	union {
		struct {
			bool read, write;
			uint8_t attr;
			uint32_t expected_len;
			uint8_t cdb[16];
		} scsi_cmd;
		struct {
			bool bidi_overflow, bidi_underflow, overflow, underflow;
			uint8_t response, status;
			uint32_t expdatasn, bidi_residual, residual;
		} scsi_rsp;
		struct {
			uint8_t function;
			uint32_t refcmdsn, expdatasn;
		} tmf_req;
		struct {
			uint8_t response;
		} tmf_rsp;
		struct {
			uint32_t datasn, off;
		} data_out;
		struct {
			bool ack, overflow, underflow, has_status;
			uint8_t status;
			uint32_t datasn, off, residual;
		} data_in;
		struct {
			uint32_t r2tsn, off, len;
		} r2t;
		struct {
			uint8_t event, vcode;
			uint16_t param1, param2, param3;
		} async;
		struct {
			bool more; /* C bit */
		} text;
		struct {
			bool more; /* C bit */
			uint8_t csg, nsg, version_max,
				version_min; /* version_min: VersionActive in a response */
			uint8_t isid[6];
			uint16_t tsih, cid;
			uint8_t status_class, status_detail;
		} login;
		struct {
			uint8_t reason;
			uint16_t cid;
		} logout_req;
		struct {
			uint8_t response;
			uint16_t time2wait, time2retain;
		} logout_rsp;
		struct {
			uint8_t type;
			uint32_t begrun, runlength;
		} snack;
		struct {
			uint8_t reason;
			uint32_t datasn;
		} reject;
	} u;
};

/**
 * pdu_decode() - wire to host
 *
 * Return: 0, or -EBADMSG for an opcode that RFC 7143 does not define. The fields
 * are not judged.
 */
int pdu_decode(struct pdu *ret, const uint8_t bhs[BHS_LEN]);

/* Host to wire; all 48 bytes are written. The opcode must be one of enum pdu_opcode. */
void pdu_encode(uint8_t bhs[BHS_LEN], const struct pdu *p);

/* The PDU's name for messages: "SCSI Response". */
const char *pdu_name(uint8_t opcode);

/* Bytes that follow to the next multiple of four. */
static inline uint32_t pdu_pad(uint32_t n)
{
	return -n & 3u;
}

#endif
