/* SPDX-License-Identifier: MIT */
/*
 * Bytes in
 *
 * Headers and small segments are read in large gulps into a stage and taken from
 * there. The data of a Data-In goes where the task wants it: what the stage
 * already holds is copied, the rest is read by the owner straight into the buffer,
 * together with the header behind it. When big Data-In segments are coming, the
 * stage asks for just a header, so that nothing of them is copied.
 *
 * A segment's length is judged by its header before a byte of it is taken.
 */
#include "iscsi/internal.h"

/* Bytes behind the data segment: padding, and the digest if there is data. */
static size_t tail_size(const struct iscsi_conn *c)
{
	return pdu_pad(c->rx.n_data) + (c->data_digest && c->rx.n_data ? 4u : 0u);
}

static size_t head_digest_size(const struct iscsi_conn *c)
{
	return c->header_digest ? 4 : 0;
}

static size_t staged(const struct iscsi_conn *c)
{
	return c->stage_end - c->stage_at;
}

/* What the data segment still lacks, as places in memory. */
static size_t data_places(struct iscsi_conn *c, struct iovec *iov, size_t n_iov, size_t *ret_len)
{
	size_t left = c->rx.n_data - c->rx_got;

	if (c->rx_task)
		return iov_part(c->rx_task->iov, c->rx_task->n_iov, c->rx.u.data_in.off + c->rx_got,
				left, iov, n_iov, ret_len);
	*iov = (struct iovec){c->rx_data + c->rx_got, left};
	*ret_len = left;
	return 1;
}

size_t conn_rx_want(struct iscsi_conn *c, struct iovec iov[], size_t n_iov)
{
	size_t n = 0, room;

	if (c->state == CONN_DEAD || c->state == CONN_XPT_WAIT)
		return 0;
	if (c->rx_state == RX_DATA && c->rx_got < c->rx.n_data) {
		size_t covered;

		/* The parser has emptied the stage into the segment already. */
		n = data_places(c, iov, n_iov - 1, &covered);
		if (covered < c->rx.n_data - c->rx_got)
			return n;
	}
	if (c->stage_at) {
		memmove(c->stage, c->stage + c->stage_at, staged(c));
		c->stage_end -= c->stage_at;
		c->stage_at = 0;
	}
	room = STAGE_BYTES - c->stage_end;
	if (c->rx_bulk) {
		size_t want = BHS_LEN + head_digest_size(c);

		if (n)
			want += tail_size(c);
		else
			want = c->stage_end < want ? want - c->stage_end : want;
		if (want < room)
			room = want;
	}
	iov[n++] = (struct iovec){c->stage + c->stage_end, room};
	return n;
}

static const uint8_t *stage_take(struct iscsi_conn *c, size_t n)
{
	const uint8_t *p = c->stage + c->stage_at;

	c->stage_at += n;
	return p;
}

static bool crc_matches(const uint8_t *wire, uint32_t crc)
{
	return (wire[0] | (uint32_t)wire[1] << 8 | (uint32_t)wire[2] << 16 |
		(uint32_t)wire[3] << 24) == crc;
}

static bool take_head(struct iscsi_conn *c)
{
	if (staged(c) < BHS_LEN)
		return false;
	memcpy(c->rx_bhs, stage_take(c, BHS_LEN), BHS_LEN);
	c->rx_state = RX_AHS;
	return true;
}

/* AHS and header digest; then the header can be believed. */
static bool take_ahs(struct iscsi_conn *c)
{
	size_t n_ahs = c->rx_bhs[4] * 4u, n = n_ahs + head_digest_size(c);
	const uint8_t *p;

	if (staged(c) < n)
		return false;
	p = stage_take(c, n);
	if (c->header_digest) {
		uint32_t crc = digest_crc32c(digest_crc32c(0, c->rx_bhs, BHS_LEN), p, n_ahs);

		if (!crc_matches(p + n_ahs, crc)) {
			c->session->stats.n_digest_errors++;
			c->garbled = true;
			conn_drop(c, "header digest error");
			return false;
		}
	}
	if (pdu_decode(&c->rx, c->rx_bhs)) {
		conn_violation(c, "unknown opcode 0x%02x", c->rx_bhs[0] & 0x3f);
		return false;
	}
	c->rx_got = 0;
	c->rx_task = NULL;
	if (conn_on_header(c))
		return false;
	if (c->rx.opcode == PDU_DATA_IN)
		c->rx_bulk = c->rx.n_data >= BULK_BYTES;
	c->rx_state = RX_DATA;
	return true;
}

static bool take_data(struct iscsi_conn *c)
{
	while (c->rx_got < c->rx.n_data) {
		struct iovec v;
		size_t n;

		if (!staged(c))
			return false;
		data_places(c, &v, 1, &n);
		if (n > staged(c))
			n = staged(c);
		memcpy(v.iov_base, stage_take(c, n), n);
		c->rx_got += n;
	}
	c->rx_state = RX_TAIL;
	return true;
}

static uint32_t data_crc(struct iscsi_conn *c)
{
	uint32_t crc = 0;

	if (!c->rx_task)
		return digest_crc32c(0, c->rx_data, c->rx.n_data);
	for (size_t at = 0; at < c->rx.n_data;) {
		struct iovec v[16];
		size_t covered;
		size_t n = iov_part(c->rx_task->iov, c->rx_task->n_iov, c->rx.u.data_in.off + at,
				    c->rx.n_data - at, v, 16, &covered);

		for (size_t i = 0; i < n; i++)
			crc = digest_crc32c(crc, v[i].iov_base, v[i].iov_len);
		at += covered;
	}
	return crc;
}

static bool take_tail(struct iscsi_conn *c)
{
	size_t n_pad = pdu_pad(c->rx.n_data), n = tail_size(c);
	const uint8_t *p;

	if (staged(c) < n)
		return false;
	p = stage_take(c, n);
	if (c->data_digest && c->rx.n_data &&
	    !crc_matches(p + n_pad, digest_crc32c(data_crc(c), p, n_pad))) {
		c->session->stats.n_digest_errors++;
		c->rx_state = RX_HEAD;
		if (snack_bad_data(c))
			return true;
		conn_drop(c, "data digest error in a %s", pdu_name(c->rx.opcode));
		return false;
	}
	c->rx_state = RX_HEAD;
	c->session->stats.n_rx_pdus++;
	if (c->rx.opcode == PDU_DATA_IN)
		conn_on_data_in(c);
	else
		conn_on_pdu(c);
	return c->state != CONN_DEAD;
}

void conn_rx_done(struct iscsi_conn *c, size_t n_bytes, uint64_t now_ns)
{
	bool more = true;

	if (c->state == CONN_DEAD || n_bytes == 0)
		return;
	c->now_ns = now_ns;
	c->last_rx_ns = now_ns;
	c->session->stats.rx_bytes += n_bytes;
	if (c->rx_state == RX_DATA) {
		size_t left = c->rx.n_data - c->rx_got;
		size_t direct = n_bytes < left ? n_bytes : left;

		c->rx_got += direct;
		n_bytes -= direct;
	}
	c->stage_end += n_bytes;
	while (more) {
		switch (c->rx_state) {
		case RX_HEAD: more = take_head(c); break;
		case RX_AHS: more = take_ahs(c); break;
		case RX_DATA: more = take_data(c); break;
		case RX_TAIL: more = take_tail(c); break;
		}
	}
}
