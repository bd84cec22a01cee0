/* SPDX-License-Identifier: MIT */
/*
 * A target that behaves as a test wants it to
 */
#include "initiator/test-fake.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "iscsi/pdu.h"

#define IN_MAX (1u << 20)

struct fake_conn {
	struct list node;
	struct loop_fd f;
	struct fake *fake;
	uint8_t *in;
	size_t n_in;
	uint32_t statsn;
	uint16_t cid;
	unsigned n_scsi;
	bool full_feature;
	uint32_t unanswered[64]; /* ITTs */
	unsigned n_unanswered;
};

static void end(struct fake_conn *c, bool reset)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (reset)
		setsockopt(c->f.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	loop_fd_remove(c->fake->loop, &c->f);
	close(c->f.fd);
	list_remove(&c->node);
	c->fake->n_ends++;
	free(c->in);
	free(c);
}

/* The peer may be gone already: nobody minds. */
static void put(struct fake_conn *c, const void *bytes, size_t n)
{
	(void)!send(c->f.fd, bytes, n, MSG_NOSIGNAL);
}

static unsigned n_unanswered(const struct fake *f)
{
	const struct fake_conn *c;
	unsigned n = 0;

	list_for_each (c, &f->conns, node)
		n += c->n_unanswered;
	return n;
}

static void answer(struct fake_conn *c, struct pdu *p, const void *data, size_t n)
{
	static const uint8_t zero[4];
	uint8_t bhs[BHS_LEN];

	p->n_data = (uint32_t)n;
	p->statsn = c->statsn++;
	p->expcmdsn = c->fake->expcmdsn;
	p->maxcmdsn = c->fake->expcmdsn + (c->fake->window ? c->fake->window : 64) - 1 -
		      n_unanswered(c->fake);
	pdu_encode(bhs, p);
	put(c, bhs, sizeof(bhs));
	if (n)
		put(c, data, n);
	put(c, zero, pdu_pad((uint32_t)n));
}

/* What the text of a login request wants an answer to. */
static size_t negotiate(const struct fake *f, const struct pdu *req, const uint8_t *data,
			char *text, size_t n_text)
{
	size_t n = 0;

	if (req->u.login.csg == STAGE_SECURITY)
		return (size_t)snprintf(text, n_text, "AuthMethod=None") + 1;
	/* The larger of both offers holds, and unanswered it is 2. */
	if (memmem(data, req->n_data, "Time2Wait=0", 11))
		n += (size_t)snprintf(text, n_text, "DefaultTime2Wait=0") + 1;
	if (f->max_connections && memmem(data, req->n_data, "MaxConnections=", 15))
		n += (size_t)snprintf(text + n, n_text - n, "MaxConnections=%u",
				      f->max_connections) +
		     1;
	if (memmem(data, req->n_data, "HeaderDigest=CRC32C", 20))
		n += (size_t)snprintf(text + n, n_text - n, "HeaderDigest=CRC32C") + 1;
	return n;
}

static void refuse(struct fake_conn *c, const struct pdu *req, uint16_t status, const char *why)
{
	struct pdu p = {.opcode = PDU_LOGIN_RSP, .itt = req->itt};

	memcpy(p.u.login.isid, req->u.login.isid, 6);
	p.u.login.csg = req->u.login.csg;
	p.u.login.status_class = (uint8_t)(status >> 8);
	p.u.login.status_detail = (uint8_t)status;
	answer(c, &p, why, why ? strlen(why) + 1 : 0);
}

static void now_in_full_feature(struct fake_conn *c)
{
	struct fake *f = c->fake;

	c->full_feature = true;
	f->n_logins++;
	f->last_login_ns = loop_now_ns(f->loop);
}

static bool on_login(struct fake_conn *c, const struct pdu *req, const uint8_t *data)
{
	struct fake *f = c->fake;
	struct pdu p = {.opcode = PDU_LOGIN_RSP, .itt = req->itt, .final = req->final};
	char text[300];
	size_t n;

	if (req->u.login.tsih == 0)
		f->expcmdsn = req->cmdsn;
	c->cid = f->last_cid = req->u.login.cid;
	memcpy(f->last_isid, req->u.login.isid, 6);
	f->last_tsih = req->u.login.tsih;
	if (f->mode == FAKE_STATUS || (f->join_status && req->u.login.tsih)) {
		refuse(c, req, f->mode == FAKE_STATUS ? f->status : f->join_status,
		       f->mode == FAKE_STATUS ? f->status_text : NULL);
		return true;
	}
	if ((f->mode == FAKE_HALF_LOGIN && req->u.login.csg != STAGE_SECURITY) ||
	    (f->no_join_answer && req->u.login.tsih))
		return true;
	memcpy(p.u.login.isid, req->u.login.isid, 6);
	p.u.login.csg = req->u.login.csg;
	p.u.login.nsg = req->u.login.nsg;
	n = negotiate(f, req, data, text, sizeof(text));
	if (req->u.login.csg == STAGE_OPERATIONAL && req->final) {
		p.u.login.tsih = 7;
		now_in_full_feature(c);
	}
	answer(c, &p, text, n);
	if (f->mode == FAKE_CLOSE_LOGIN) {
		end(c, false);
		return false;
	}
	return true;
}

static void on_scsi(struct fake_conn *c, const struct pdu *req, const uint8_t *bhs)
{
	struct fake *f = c->fake;
	struct pdu p = {.opcode = PDU_SCSI_RSP, .itt = req->itt, .final = true};
	struct pdu r = {.opcode = PDU_REJECT,
			.itt = PDU_TAG_NONE,
			.final = true,
			.u.reject.reason = REJECT_INVALID_FIELD};

	c->n_scsi++;
	f->last_opcode[f->n_scsi++ % 64] = req->u.scsi_cmd.cdb[0];
	if (f->no_scsi_answer) {
		if (c->n_unanswered < 64)
			c->unanswered[c->n_unanswered++] = req->itt;
		return;
	}
	if (f->reject_scsi) {
		answer(c, &r, bhs, BHS_LEN);
		return;
	}
	p.u.scsi_rsp.response = f->scsi_response;
	p.u.scsi_rsp.status = f->scsi_status;
	if (req->u.scsi_cmd.read) {
		p.u.scsi_rsp.underflow = req->u.scsi_cmd.expected_len > 0;
		p.u.scsi_rsp.residual = req->u.scsi_cmd.expected_len;
	}
	answer(c, &p, NULL, 0);
}

/* False: the connection is gone. */
static bool on_pdu(struct fake_conn *c, const uint8_t *bhs, const uint8_t *data)
{
	struct fake *f = c->fake;
	struct pdu req;
	struct pdu p = {.final = true};

	assert_int_equal(pdu_decode(&req, bhs), 0);
	if (!req.immediate && req.opcode != PDU_DATA_OUT)
		f->expcmdsn++;
	p.itt = req.itt;
	switch (req.opcode) {
	case PDU_LOGIN_REQ: return on_login(c, &req, data);
	case PDU_SCSI_CMD: on_scsi(c, &req, bhs); break;
	case PDU_NOP_OUT:
		if (f->no_nop_answer || c->cid == f->no_nop_cid || req.itt == PDU_TAG_NONE)
			break;
		p.opcode = PDU_NOP_IN;
		p.ttt = PDU_TAG_NONE;
		answer(c, &p, NULL, 0);
		break;
	case PDU_TEXT_REQ:
		snprintf(f->asked, sizeof(f->asked), "%.*s", (int)req.n_data, (const char *)data);
		if (!f->text)
			break;
		p.opcode = PDU_TEXT_RSP;
		p.ttt = PDU_TAG_NONE;
		answer(c, &p, f->text, f->n_text);
		break;
	case PDU_TMF_REQ:
		p.opcode = PDU_TMF_RSP;
		answer(c, &p, NULL, 0);
		break;
	case PDU_LOGOUT_REQ:
		f->n_logouts++;
		f->last_logout_cid = req.u.logout_req.cid;
		f->last_logout_reason = req.u.logout_req.reason;
		if (f->no_logout_answer)
			break;
		p.opcode = PDU_LOGOUT_RSP;
		p.u.logout_rsp.time2wait = f->logout_time2wait;
		answer(c, &p, NULL, 0);
		break;
	default: break;
	}
	return true;
}

static void conn_ready(struct loop_fd *lf, uint32_t events)
{
	struct fake_conn *c = CONTAINER_OF(lf, struct fake_conn, f);
	size_t at = 0;
	ssize_t n = recv(lf->fd, c->in + c->n_in, IN_MAX - c->n_in, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		end(c, false);
		return;
	}
	c->n_in += (size_t)n;
	if (c->fake->mode == FAKE_SILENT) {
		c->n_in = 0;
		return;
	}
	while (c->n_in - at >= BHS_LEN) {
		uint32_t n_data = get_be32(c->in + at + 4) & PDU_DATA_MAX;
		size_t whole = BHS_LEN + n_data + pdu_pad(n_data);

		if (c->n_in - at < whole)
			break;
		if (!on_pdu(c, c->in + at, c->in + at + BHS_LEN))
			return;
		at += whole;
	}
	memmove(c->in, c->in + at, c->n_in - at);
	c->n_in -= at;
}

static void listener_ready(struct loop_fd *lf, uint32_t events)
{
	static const char line[] = "HTTP/1.0 400 Bad Request\r\n";
	const int one = 1;
	char garbage[1024];
	static const uint8_t huge[BHS_LEN] = {0x23, 0x80, 0, 0, 0, 0xff, 0xff, 0xff};
	struct fake *f = CONTAINER_OF(lf, struct fake, listener);
	struct fake_conn *c = calloc(1, sizeof(*c));
	int fd = accept4(lf->fd, NULL, NULL, SOCK_CLOEXEC);

	assert_non_null(c);
	assert_true(fd >= 0);
	/* else what it sends may wait for an acknowledgement that is delayed */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	f->n_accepts++;
	c->fake = f;
	c->in = malloc(IN_MAX);
	assert_non_null(c->in);
	c->statsn = 1000;
	c->f = (struct loop_fd){.fd = fd, .events = EPOLLIN, .ready = conn_ready};
	list_append(&f->conns, &c->node);
	assert_int_equal(loop_fd_add(f->loop, &c->f), 0);
	if (f->mode == FAKE_CLOSE || f->mode == FAKE_RESET)
		end(c, f->mode == FAKE_RESET);
	for (size_t k = 0; k < sizeof(garbage); k++)
		garbage[k] = line[k % (sizeof(line) - 1)];
	if (f->mode == FAKE_GARBAGE)
		put(c, garbage, sizeof(garbage));
	else if (f->mode == FAKE_HUGE)
		put(c, huge, sizeof(huge));
}

static void listen_here(struct fake *f)
{
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&f->addr.ss, f->addr.n_ss), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(tcp_local_addr(fd, &f->addr), 0);
	f->listener = (struct loop_fd){.fd = fd, .events = EPOLLIN, .ready = listener_ready};
	assert_int_equal(loop_fd_add(f->loop, &f->listener), 0);
}

void fake_start(struct fake *f, struct loop *loop)
{
	f->loop = loop;
	list_init(&f->conns);
	assert_int_equal(tcp_literal("127.0.0.1", 0, &f->addr), 0);
	listen_here(f);
}

void fake_deaf(struct fake *f, bool deaf)
{
	if (deaf && f->listener.fd >= 0) {
		loop_fd_remove(f->loop, &f->listener);
		close(f->listener.fd);
		f->listener.fd = -1;
	} else if (!deaf && f->listener.fd < 0) {
		listen_here(f);
	}
}

void fake_drop(struct fake *f, bool reset)
{
	struct fake_conn *c, *tmp;

	list_for_each_safe (c, tmp, &f->conns, node)
		end(c, reset);
}

void fake_stop(struct fake *f)
{
	fake_deaf(f, true);
	fake_drop(f, false);
}

void fake_async(struct fake *f, uint8_t event, uint16_t p1, uint16_t p2, uint16_t p3)
{
	struct fake_conn *c;

	list_for_each (c, &f->conns, node) {
		struct pdu p = {
			.opcode = PDU_ASYNC,
			.final = true,
			.itt = PDU_TAG_NONE,
			.u.async = {.event = event, .param1 = p1, .param2 = p2, .param3 = p3}};

		if (c->full_feature)
			answer(c, &p, NULL, 0);
	}
}

static struct fake_conn *with_cid(const struct fake *f, uint16_t cid)
{
	struct fake_conn *c;

	list_for_each (c, &f->conns, node)
		if (c->full_feature && c->cid == cid)
			return c;
	return NULL;
}

bool fake_has_cid(const struct fake *f, uint16_t cid)
{
	return with_cid(f, cid) != NULL;
}

void fake_drop_cid(struct fake *f, uint16_t cid, bool reset)
{
	struct fake_conn *c = with_cid(f, cid);

	assert_non_null(c);
	end(c, reset);
}

unsigned fake_n_scsi(const struct fake *f, uint16_t cid)
{
	const struct fake_conn *c = with_cid(f, cid);

	assert_non_null(c);
	return c->n_scsi;
}

void fake_async_cid(struct fake *f, uint16_t cid, uint8_t event, uint16_t p3)
{
	struct fake_conn *c = with_cid(f, cid);
	struct pdu p = {.opcode = PDU_ASYNC,
			.final = true,
			.itt = PDU_TAG_NONE,
			.u.async = {.event = event, .param3 = p3}};

	assert_non_null(c);
	answer(c, &p, NULL, 0);
}

void fake_answer(struct fake *f, unsigned n)
{
	struct fake_conn *c;

	list_for_each (c, &f->conns, node) {
		for (; c->n_unanswered > 0 && n > 0; n--) {
			struct pdu p = {
				.opcode = PDU_SCSI_RSP, .itt = c->unanswered[0], .final = true};

			c->n_unanswered--;
			memmove(c->unanswered, c->unanswered + 1,
				c->n_unanswered * sizeof(c->unanswered[0]));
			answer(c, &p, NULL, 0);
		}
	}
}

unsigned fake_n_conns(const struct fake *f)
{
	const struct fake_conn *c;
	unsigned n = 0;

	list_for_each (c, &f->conns, node)
		n++;
	return n;
}
