/* SPDX-License-Identifier: MIT */
/*
 * How logins end other than well: status classes, redirects, time, loss, and the
 * login after a loss.
 */
#include "iscsi/test-peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) (s), sizeof(s) - 1

static struct pdu response(const struct seen *u)
{
	struct pdu r = {
		.opcode = PDU_LOGIN_RSP, .itt = u->pdu.itt, .u.login = {.csg = u->pdu.u.login.csg}};

	memcpy(r.u.login.isid, u->pdu.u.login.isid, 6);
	return r;
}

static const struct seen *start(struct peer *p)
{
	peer_init(p);
	peer_open(p);
	peer_connect(p);
	return peer_expect(p, PDU_LOGIN_REQ);
}

static void expect_over(struct peer *p)
{
	struct iovec iov[4];

	peer_expect_no_event(p);
	assert_false(conn_alive(p->c));
	assert_int_equal(conn_tx_peek(p->c, iov, 4, p->now_ns), 0);
	assert_int_equal(conn_rx_want(p->c, iov, 4), 0);
	assert_int_equal(session_deadline_ns(p->s), ISCSI_NEVER);
	peer_close(p);
}

static void own_login_status_has_its_error(void **state)
{
	static const uint16_t status[] = {0x0200, 0x0201, 0x0202, 0x0203, 0x0204, 0x0205,
					  0x0206, 0x0207, 0x0208, 0x0209, 0x020a, 0x020b,
					  0x0300, 0x0301, 0x0302, 0x03ff, 0x0400, 0xffff};
	char texts[ARRAY_SIZE(status)][128];

	for (size_t i = 0; i < ARRAY_SIZE(status); i++) {
		struct peer p;
		const struct seen *u = start(&p);
		struct pdu r = response(u);
		const struct peer_event *e;

		r.u.login.status_class = (uint8_t)(status[i] >> 8);
		r.u.login.status_detail = (uint8_t)status[i];
		peer_send(&p, r, NULL, 0);
		e = peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
		assert_int_equal(e->ev.login_status, status[i]);
		assert_true(e->n_text > 0 && e->n_text < sizeof(texts[i]));
		memcpy(texts[i], e->text, e->n_text + 1);
		if (status[i] <= 0x0302)
			for (size_t k = 0; k < i; k++)
				assert_string_not_equal(texts[k], texts[i]);
		expect_over(&p);
	}
}

/* Also in the operational stage, with fields that a failure need not fill. */
static void own_login_status_late_and_sloppy(void **state)
{
	struct peer p;
	const struct seen *u = start(&p);
	struct pdu r = response(u);

	r.final = true;
	r.u.login.nsg = STAGE_OPERATIONAL;
	peer_send(&p, r, TEXT("AuthMethod=None\0"));
	u = peer_expect(&p, PDU_LOGIN_REQ);
	r = (struct pdu){.opcode = PDU_LOGIN_RSP,
			 .u.login = {.status_class = 2, .status_detail = 6, .csg = 3}};
	peer_put(&p, &r, TEXT("whatever"));
	peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
	assert_int_equal(p.event.ev.login_status, 0x0206);
	expect_over(&p);
}

static void redirect(const char *text, size_t n, uint8_t detail, const char *due)
{
	struct peer p;
	const struct seen *u = start(&p);
	struct pdu r = response(u);
	const struct peer_event *e;

	r.u.login.status_class = 1;
	r.u.login.status_detail = detail;
	peer_send(&p, r, text, n);
	e = peer_expect_event(&p, due ? ISCSI_EV_REDIRECT : ISCSI_EV_LOGIN_FAILED);
	assert_int_equal(e->ev.login_status, 0x0100 | detail);
	if (due)
		assert_string_equal(e->text, due);
	expect_over(&p);
}

static void own_login_redirect_0101_0102(void **state)
{
	for (uint8_t detail = 1; detail <= 2; detail++) {
		redirect(TEXT("TargetAddress=10.1.2.3:3261,2\0"), detail, "10.1.2.3:3261,2");
		redirect(TEXT("TargetAddress=10.1.2.3\0"), detail, "10.1.2.3");
		redirect(TEXT("TargetAddress=[fe80::1]:3260,1\0"), detail, "[fe80::1]:3260,1");
		redirect(TEXT("TargetAddress=fe80::1\0"), detail, "fe80::1");
		redirect(TEXT("TargetAlias=x\0TargetAddress=disk.example\0"), detail,
			 "disk.example");
	}
}

static void own_login_redirect_without_an_address(void **state)
{
	char text[700] = "TargetAddress=";

	redirect(NULL, 0, 1, NULL);
	redirect(TEXT("TargetAlias=x\0"), 2, NULL);
	redirect(TEXT("TargetAddress=10.1.2.3"), 1, NULL); /* no NUL */
	redirect(TEXT("nonsense\0TargetAddress=10.1.2.3\0"), 1, NULL);
	redirect(TEXT("\0\0\0"), 1, NULL);
	memset(text + 14, 'a', sizeof(text) - 15);
	redirect(text, sizeof(text), 1, NULL); /* no address is as long as that */
}

/* ---- bounds ------------------------------------------------------------ */

static void login_that_never_ends(void **state)
{
	struct peer p;
	const struct seen *u = start(&p);
	int rounds = 0;

	while (u) {
		peer_send(&p, response(u), NULL, 0);
		assert_true(++rounds < 1000);
		u = peer_recv(&p);
	}
	peer_expect_login_violation(&p, "come to an end");
	expect_over(&p);
}

static void login_text_without_end(void **state)
{
	static uint8_t text[8192];
	struct peer p;
	const struct seen *u = start(&p);
	int rounds = 0;

	memset(text, 'x', sizeof(text));
	while (u) {
		struct pdu r = response(u);

		r.u.login.more = true;
		peer_send(&p, r, text, sizeof(text));
		assert_true(++rounds < 100);
		u = peer_recv(&p);
	}
	peer_expect_login_violation(&p, "64 KiB");
	expect_over(&p);
}

static void login_time_is_bounded(void **state)
{
	struct peer p;
	const struct seen *u;

	peer_init(&p);
	p.cfg.login_timeout_ns = 4 * PEER_S;
	peer_open(&p);
	peer_connect(&p);
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_int_equal(session_deadline_ns(p.s), p.now_ns + 4 * PEER_S);
	/* Answers do not extend it. */
	peer_tick(&p, 3 * PEER_S);
	peer_send(&p, response(u), NULL, 0);
	peer_expect(&p, PDU_LOGIN_REQ);
	peer_expect_no_event(&p);
	assert_int_equal(session_deadline_ns(p.s), p.now_ns + PEER_S);
	peer_tick(&p, PEER_S - 1);
	peer_expect_no_event(&p);
	peer_tick(&p, 1);
	peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
	assert_non_null(strstr(p.event.text, "4 s"));
	assert_int_equal(p.event.ev.login_status, 0);
	expect_over(&p);
}

static void login_transport_lost(void **state)
{
	struct peer p;

	start(&p);
	conn_lost(p.c, "connection reset", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_LOGIN_FAILED);
	assert_string_equal(p.event.text, "connection reset; the target may require CHAP");
	assert_int_equal(p.event.ev.login_status, 0);
	conn_lost(p.c, "again", p.now_ns);
	expect_over(&p);
}

static void login_freed_in_the_middle(void **state)
{
	struct peer p;

	start(&p);
	p.c = conn_free(p.c);
	peer_expect_no_event(&p);
	peer_connect(&p);
	peer_login(&p);
	peer_expect_event(&p, ISCSI_EV_UP);
	peer_close(&p);
}

static void login_second_connection_needs_room(void **state)
{
	struct peer p;
	struct iscsi_conn *c;

	peer_init(&p);
	peer_open(&p);
	peer_connect(&p);
	assert_int_equal(conn_new(&c, p.s, 2), -EBUSY);
	peer_login(&p);
	peer_expect_event(&p, ISCSI_EV_UP);
	assert_int_equal(conn_new(&c, p.s, 2), -EBUSY); /* MaxConnections=1 */
	peer_close(&p);
}

/* ---- again ------------------------------------------------------------- */

static void login_again_is_a_reinstatement(void **state)
{
	struct peer p;
	const struct seen *u;
	struct io io;

	peer_init(&p);
	peer_up(&p);
	io_none(&io);
	io_submit(&p, &io);
	u = peer_expect(&p, PDU_SCSI_CMD);
	peer_status(&p, u->pdu.itt, 0);
	io_expect(&p, &io, ISCSI_TASK_OK);
	conn_lost(p.c, "gone", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	assert_int_equal(session_tsih(p.s), 0);
	p.c = conn_free(p.c);
	p.statsn = 5;
	peer_connect(&p);
	u = peer_expect(&p, PDU_LOGIN_REQ);
	assert_int_equal(u->pdu.u.login.tsih, 0);
	assert_memory_equal(u->pdu.u.login.isid, p.cfg.isid, 6);
	assert_int_equal(u->pdu.cmdsn, p.cfg.first_cmdsn + 1); /* goes on */
	assert_int_equal(u->pdu.expstatsn, 0);
	peer_close(&p);
	io_free(&io, 0);
}

/* What was negotiated before does not leak into the next login. */
static void login_again_negotiates_anew(void **state)
{
	struct peer p;
	struct io io;

	peer_init(&p);
	p.answers[0] = "HeaderDigest=CRC32C";
	p.answers[1] = "DataDigest=CRC32C";
	p.answers[2] = "MaxRecvDataSegmentLength=512";
	p.answers[3] = "InitialR2T=Yes";
	p.extra = "TargetAlias=before";
	peer_up(&p);
	io_write(&io, 5000);
	io_submit(&p, &io);
	peer_serve_write(&p, &io);
	conn_lost(p.c, "gone", p.now_ns);
	peer_expect_event(&p, ISCSI_EV_CONN_DOWN);
	p.answers[0] = "HeaderDigest=None";
	p.answers[1] = "DataDigest=None";
	p.answers[2] = "-MaxRecvDataSegmentLength";
	p.answers[3] = "ImmediateData=No";
	p.extra = NULL;
	peer_again(&p);
	assert_int_equal(conn_params(p.c)->HeaderDigest, ISCSI_DIGEST_NONE);
	assert_int_equal(conn_params(p.c)->TargetMaxRecvDataSegmentLength, 8192);
	assert_int_equal(session_params(p.s)->InitialR2T, 0);
	assert_string_equal(session_params(p.s)->TargetAlias, "");
	session_hold(p.s, false, p.now_ns);
	io_submit(&p, &io);
	peer_serve_write(&p, &io);
	io_free(&io, io.n);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_login_status_has_its_error),
		cmocka_unit_test(own_login_status_late_and_sloppy),
		cmocka_unit_test(own_login_redirect_0101_0102),
		cmocka_unit_test(own_login_redirect_without_an_address),
		cmocka_unit_test(login_that_never_ends),
		cmocka_unit_test(login_text_without_end),
		cmocka_unit_test(login_time_is_bounded),
		cmocka_unit_test(login_transport_lost),
		cmocka_unit_test(login_freed_in_the_middle),
		cmocka_unit_test(login_second_connection_needs_room),
		cmocka_unit_test(login_again_is_a_reinstatement),
		cmocka_unit_test(login_again_negotiates_anew),
	};

	return PEER_RUN("end of login", tests);
}
