/* SPDX-License-Identifier: MIT */
/*
 * A good target: the scripted peer's side where a test has nothing special to say
 */
#include "iscsi/test-peer.h"

#include <stdlib.h>
#include <string.h>

/* ---- login ------------------------------------------------------------- */

/* The answer to one key that the engine offered; "": none. */
static void answer_key(struct peer *p, const char *key, const char *value, struct text *out)
{
	static const char *const said[] = {"InitiatorName", "InitiatorAlias", "TargetName",
					   "SessionType"};
	size_t n_key = strlen(key);

	for (size_t i = 0; i < ARRAY_SIZE(said); i++)
		if (strcmp(key, said[i]) == 0)
			return;
	for (size_t i = 0; i < ARRAY_SIZE(p->answers) && p->answers[i]; i++) {
		const char *a = p->answers[i];

		if (a[0] == '-' && strcmp(a + 1, key) == 0)
			return;
		if (strncmp(a, key, n_key) == 0 && a[n_key] == '=')
			value = a + n_key + 1;
	}
	text_add(out, key, value);
	if (strcmp(key, "MaxRecvDataSegmentLength") == 0)
		p->declared = (uint32_t)strtoul(value, NULL, 0);
}

static void serve_login(struct peer *p, const struct seen *u)
{
	struct text out = {0};
	uint32_t takes;
	struct pdu a = {.opcode = PDU_LOGIN_RSP,
			.final = u->pdu.final,
			.itt = u->pdu.itt,
			.u.login = {.csg = u->pdu.u.login.csg,
				    .nsg = u->pdu.u.login.nsg,
				    .tsih = u->pdu.u.login.tsih}};
	char *at;
	size_t n;
	const char *key, *value;
	bool last = a.final && a.u.login.nsg == STAGE_FULL_FEATURE;

	memcpy(a.u.login.isid, u->pdu.u.login.isid, 6);
	peer_allocates = true;
	text_add_bytes(&p->login_text, u->data, u->pdu.n_data);
	if (!u->pdu.u.login.more) {
		at = p->login_text.bytes;
		n = p->login_text.n;
		while (text_next(&at, &n, &key, &value) > 0)
			answer_key(p, key, value, &out);
		text_clear(&p->login_text);
		if (a.u.login.csg == STAGE_OPERATIONAL && p->extra)
			text_add_bytes(&out, p->extra, strlen(p->extra) + 1);
	}
	peer_allocates = false;
	takes = p->declared ? p->declared : PEER_MRDSL;
	if (last)
		a.u.login.tsih = p->tsih;
	peer_send(p, a, out.bytes, out.n);
	text_clear(&out);
	if (!last)
		return;
	p->mrdsl = takes;
	for (size_t i = 0; i < ARRAY_SIZE(p->answers) && p->answers[i]; i++) {
		p->header_digest |= strcmp(p->answers[i], "HeaderDigest=CRC32C") == 0;
		p->data_digest |= strcmp(p->answers[i], "DataDigest=CRC32C") == 0;
	}
	p->in_full_feature = true;
}

void peer_login(struct peer *p)
{
	while (!p->in_full_feature) {
		assert_true(peer_serve_one(p));
		assert_true(conn_alive(p->c));
	}
}

/* ---- a good target ----------------------------------------------------- */

static struct served *served_find(struct peer *p, uint32_t itt, bool make)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->served); i++) {
		struct served *v = &p->served[i];

		if (make ? !v->busy : v->busy && v->itt == itt) {
			v->busy = true;
			return v;
		}
	}
	return NULL;
}

static void check_bytes(const struct seen *u, uint32_t off)
{
	for (uint32_t i = 0; i < u->pdu.n_data; i++)
		assert_int_equal(u->data[i], io_byte(off + i));
}

/* The next R2T of a write, or its status. */
static void serve_write(struct peer *p, struct served *v)
{
	uint32_t itt = v->itt, n = v->n - v->at;

	if (n == 0) {
		v->busy = false;
		peer_status(p, itt, 0);
		return;
	}
	if (n > 1500)
		n = 1500;
	peer_r2t(p, itt, 0x600 + v->r2tsn, v->r2tsn, v->at, n);
	v->r2tsn++;
}

static void serve_read(struct peer *p, uint32_t itt, uint32_t n_all)
{
	uint8_t bytes[700];
	uint32_t datasn = 0;

	for (uint32_t at = 0; at < n_all; datasn++) {
		uint32_t n = n_all - at < sizeof(bytes) ? n_all - at : sizeof(bytes);

		io_fill(bytes, at, n);
		peer_data_in(p, itt, datasn, at, bytes, n, at + n == n_all);
		at += n;
	}
}

static void serve_command(struct peer *p, const struct seen *u)
{
	uint32_t itt = u->pdu.itt, n = u->pdu.u.scsi_cmd.expected_len;
	struct served *v;

	p->order[p->n_order++ % ARRAY_SIZE(p->order)] = u->pdu.u.scsi_cmd.cdb[15];
	if (u->pdu.u.scsi_cmd.read && n) {
		serve_read(p, itt, n);
		return;
	}
	if (!u->pdu.u.scsi_cmd.write) {
		peer_status(p, itt, 0);
		return;
	}
	check_bytes(u, 0);
	v = served_find(p, itt, true);
	assert_non_null(v);
	*v = (struct served){.busy = true, .itt = itt, .n = n, .at = u->pdu.n_data};
	if (u->pdu.final)
		serve_write(p, v);
}

static void serve_data_out(struct peer *p, const struct seen *u)
{
	struct served *v = served_find(p, u->pdu.itt, false);

	if (!v)
		return; /* of a task that was aborted */
	assert_int_equal(u->pdu.u.data_out.off, v->at);
	check_bytes(u, v->at);
	v->at += u->pdu.n_data;
	if (u->pdu.final)
		serve_write(p, v);
}

bool peer_serve_one(struct peer *p)
{
	const struct seen *u = peer_recv(p);
	struct pdu a = {.final = true, .ttt = PDU_TAG_NONE};
	struct served *v;

	if (!u)
		return false;
	a.itt = u->pdu.itt;
	switch ((enum pdu_opcode)u->pdu.opcode) {
	case PDU_LOGIN_REQ: serve_login(p, u); break;
	case PDU_SCSI_CMD: serve_command(p, u); break;
	case PDU_DATA_OUT: serve_data_out(p, u); break;
	case PDU_NOP_OUT:
		a.opcode = PDU_NOP_IN;
		if (a.itt != PDU_TAG_NONE)
			peer_send(p, a, NULL, 0);
		break;
	case PDU_TEXT_REQ:
		a.opcode = PDU_TEXT_RSP;
		peer_send(p, a, u->data, u->pdu.n_data);
		break;
	case PDU_TMF_REQ:
		v = served_find(p, u->pdu.ttt, false);
		if (v)
			v->busy = false;
		a.opcode = PDU_TMF_RSP;
		peer_send(p, a, NULL, 0);
		break;
	case PDU_LOGOUT_REQ:
		a.opcode = PDU_LOGOUT_RSP;
		peer_send(p, a, NULL, 0);
		break;
	default: fail_msg("the target does not serve a %s", pdu_name(u->pdu.opcode));
	}
	return true;
}

void peer_tmf_response(struct peer *p, uint32_t itt, uint8_t response)
{
	peer_send(p,
		  (struct pdu){.opcode = PDU_TMF_RSP,
			       .final = true,
			       .itt = itt,
			       .u.tmf_rsp = {.response = response}},
		  NULL, 0);
}

void peer_logout_response(struct peer *p, uint32_t itt, uint8_t response)
{
	peer_send(p,
		  (struct pdu){.opcode = PDU_LOGOUT_RSP,
			       .final = true,
			       .itt = itt,
			       .u.logout_rsp = {.response = response}},
		  NULL, 0);
}
