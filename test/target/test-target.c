/* SPDX-License-Identifier: MIT */
/*
 * The test target tested: that it keeps to the protocol, and breaks it as told
 *
 * The initiator here is written by hand, PDU by PDU; neither it nor what it talks to
 * knows anything of src/iscsi.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "target.h"
#include "wire.h"

#define MS  UINT64_C(1000000)
#define SEC UINT64_C(1000000000)

struct hand {
	struct tgt_cfg cfg;
	struct tgt *t;
	struct tconn *c[4];
	uint32_t cmdsn, expstatsn[4];
	uint16_t tsih;
	uint64_t now;
	char complaint[256];
	uint8_t bhs[BHS], data[65536];
	uint32_t n;
	char text[1024]; /* of the last login response, as key=value;… */
};

static void complained(void *user, const char *what)
{
	struct hand *h = user;

	snprintf(h->complaint, sizeof(h->complaint), "%s", what);
}

static void put(struct hand *h, unsigned cid, uint8_t *bhs, const void *data, uint32_t n)
{
	uint8_t bytes[BHS + 70000] = {0};

	put24(bhs + AT_LENGTH, n);
	if ((bhs[0] & OP_MASK) != OP_LOGIN || get32(bhs + AT_EXPSTATSN) == 0)
		put32(bhs + AT_EXPSTATSN, h->expstatsn[cid]);
	memcpy(bytes, bhs, BHS);
	if (n)
		memcpy(bytes + BHS, data, n);
	tgt_input(h->c[cid], bytes, BHS + n + padding(n), h->now);
}

/* The next PDU of the target; false: there is none. */
static bool get(struct hand *h, unsigned cid)
{
	const uint8_t *b;
	size_t n;
	unsigned op;

	if (tgt_deadline_ns(h->t) <= h->now)
		tgt_tick(h->t, h->now);
	n = tgt_output(h->c[cid], &b);
	if (n < BHS)
		return false;
	memcpy(h->bhs, b, BHS);
	h->n = get24(b + AT_LENGTH);
	op = b[0] & OP_MASK;
	if (n < BHS + h->n)
		return false; /* half of one */
	memcpy(h->data, b + BHS, h->n);
	tgt_sent(h->c[cid], BHS + h->n + padding(h->n));
	if ((op != OP_DATA_IN || h->bhs[1] & 1) && op != OP_R2T &&
	    !(op == OP_NOP_IN && get32(h->bhs + AT_ITT) == TAG_NONE))
		h->expstatsn[cid] = get32(h->bhs + AT_STATSN) + 1;
	return true;
}

static void expect(struct hand *h, unsigned cid, unsigned op)
{
	assert_true(get(h, cid));
	if ((h->bhs[0] & OP_MASK) != op)
		fail_msg("%s came, not %s", wire_name(h->bhs[0]), wire_name(op));
}

static void expect_nothing(struct hand *h, unsigned cid)
{
	if (get(h, cid))
		fail_msg("%s came", wire_name(h->bhs[0]));
}

#define KEYS                                                                                     \
	"HeaderDigest=None\0DataDigest=None\0MaxConnections=4\0InitialR2T=Yes\0"                 \
	"ImmediateData=Yes\0MaxRecvDataSegmentLength=1024\0MaxBurstLength=2048\0"                \
	"FirstBurstLength=512\0DefaultTime2Wait=1\0DefaultTime2Retain=10\0MaxOutstandingR2T=2\0" \
	"DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0ErrorRecoveryLevel=2\0X-org.test=1"
#define NAMES                                                                                   \
	"InitiatorName=iqn.2026-11.test:hand\0TargetName=iqn.2026-11.test:target\0SessionType=" \
	"Normal\0AuthMethod=None"

static uint8_t login_flags = 0x80;

static void ask_login(struct hand *h, unsigned cid, uint8_t csg, const void *keys, uint32_t n)
{
	uint8_t b[BHS] = {OP_LOGIN | IMMEDIATE, (uint8_t)(login_flags | csg << 2 | (csg ? 3 : 1))};

	memcpy(b + 8, "\x80hand!", 6);
	put16(b + 14, h->tsih);
	put32(b + AT_ITT, 77);
	put16(b + 20, cid);
	put32(b + AT_CMDSN, h->cmdsn);
	put(h, cid, b, keys, n);
}

static void login(struct hand *h, unsigned cid)
{
	if (!h->c[cid])
		h->c[cid] = tgt_accept(h->t, h->now);
	h->expstatsn[cid] = 0;
	ask_login(h, cid, 0, NAMES, sizeof(NAMES));
	expect(h, cid, OP_LOGIN_RSP);
	assert_int_equal(get16(h->bhs + 36), 0);
	ask_login(h, cid, 1, KEYS, sizeof(KEYS));
	expect(h, cid, OP_LOGIN_RSP);
	assert_int_equal(get16(h->bhs + 36), 0);
	assert_int_equal(h->bhs[1], 0x87);
	h->tsih = (uint16_t)get16(h->bhs + 14);
	assert_int_not_equal(h->tsih, 0);
	for (uint32_t i = 0; i < h->n && i < sizeof(h->text) - 1; i++)
		h->text[i] = h->data[i] ? (char)h->data[i] : ';';
}

/* One connection, unit attention taken. */
static void command(struct hand *h, unsigned cid, uint32_t itt, uint8_t op, uint32_t lba,
		    uint32_t n, const void *immediate, uint32_t n_immediate);

static void start(struct hand *h)
{
	*h = (struct hand){.cmdsn = 0xfffffffe, .now = SEC};
	if (!h->cfg.name)
		tgt_cfg_default(&h->cfg);
	h->cfg.n_blocks = 64;
	h->cfg.user = h;
	h->cfg.complain = complained;
	h->cfg.seed = 5;
	h->t = tgt_new(&h->cfg);
	login(h, 0);
	command(h, 0, 1, 0x00, 0, 0, NULL, 0);
	expect(h, 0, OP_RESPONSE);
	assert_int_equal(h->bhs[3], 2);
	assert_int_equal(h->data[2 + 2], 6);
	assert_int_equal(h->data[2 + 12], 0x29);
}

static void end(struct hand *h)
{
	assert_string_equal(h->complaint, "");
	h->t = tgt_free(h->t);
}

static void command(struct hand *h, unsigned cid, uint32_t itt, uint8_t op, uint32_t lba,
		    uint32_t n, const void *immediate, uint32_t n_immediate)
{
	bool reads = op == 0x28, writes = op == 0x2a;
	uint8_t b[BHS] = {OP_COMMAND, (uint8_t)(FINAL | (reads ? 0x40 : 0) | (writes ? 0x20 : 0))};

	put32(b + AT_ITT, itt);
	put32(b + AT_TTT, reads || writes ? n * 512 : 0);
	put32(b + AT_CMDSN, h->cmdsn++);
	b[AT_CDB] = op;
	put32(b + AT_CDB + 2, lba);
	put16(b + AT_CDB + 7, n);
	put(h, cid, b, immediate, n_immediate);
}

static void data_out(struct hand *h, unsigned cid, uint32_t itt, uint32_t ttt, uint32_t sn,
		     uint32_t off, const void *data, uint32_t n, bool final)
{
	uint8_t b[BHS] = {OP_DATA_OUT, final ? FINAL : 0};

	put32(b + AT_ITT, itt);
	put32(b + AT_TTT, ttt);
	put32(b + AT_DATASN, sn);
	put32(b + AT_OFFSET, off);
	put(h, cid, b, data, n);
}

static void manage(struct hand *h, unsigned cid, uint8_t function, uint32_t rtt, uint32_t ref,
		   uint32_t expdatasn)
{
	uint8_t b[BHS] = {OP_TASK_MGMT | IMMEDIATE, (uint8_t)(FINAL | function)};

	put32(b + AT_ITT, 0x8000 + h->cmdsn % 1000);
	put32(b + AT_TTT, rtt);
	put32(b + AT_CMDSN, h->cmdsn);
	put32(b + AT_REFCMDSN, ref);
	put32(b + AT_DATASN, expdatasn);
	put(h, cid, b, NULL, 0);
	expect(h, cid, OP_TASK_MGMT_RSP);
}

static void logout(struct hand *h, unsigned cid, uint8_t reason, unsigned which)
{
	uint8_t b[BHS] = {OP_LOGOUT | IMMEDIATE, (uint8_t)(FINAL | reason)};

	put32(b + AT_ITT, 0x9999);
	put16(b + 20, which);
	put32(b + AT_CMDSN, h->cmdsn);
	put(h, cid, b, NULL, 0);
	expect(h, cid, OP_LOGOUT_RSP);
}

static void snack(struct hand *h, uint8_t type, uint32_t itt, uint32_t ttt, uint32_t begin,
		  uint32_t run)
{
	uint8_t b[BHS] = {OP_SNACK, (uint8_t)(FINAL | type)};

	put32(b + AT_ITT, itt);
	put32(b + AT_TTT, ttt);
	put32(b + 40, begin);
	put32(b + 44, run);
	put(h, 0, b, NULL, 0);
}

static void good(struct hand *h, unsigned cid, uint32_t itt)
{
	expect(h, cid, OP_RESPONSE);
	assert_int_equal(get32(h->bhs + AT_ITT), itt);
	assert_int_equal(h->bhs[2], 0);
	assert_int_equal(h->bhs[3], 0);
}

static void rule(struct hand *h, const char *line)
{
	struct tgt_rule r;

	if (!tgt_rule_parse(&r, line) || !tgt_rule_add(h->t, &r))
		fail_msg("no rule: %s", line);
}

static uint8_t some[8192];

static void fill(void)
{
	for (unsigned i = 0; i < sizeof(some); i++)
		some[i] = (uint8_t)(i * 7 + (i >> 8));
}

static void write_blocks(struct hand *h, uint32_t itt, uint32_t lba, uint32_t n)
{
	command(h, 0, itt, 0x2a, lba, n, some, 512);
	for (uint32_t at = 512; at < n * 512;) {
		uint32_t ttt, len;

		expect(h, 0, OP_R2T);
		ttt = get32(h->bhs + AT_TTT);
		len = get32(h->bhs + AT_LAST);
		assert_int_equal(get32(h->bhs + AT_OFFSET), at);
		data_out(h, 0, itt, ttt, 0, at, some + at, len, true);
		at += len;
	}
	good(h, 0, itt);
}

/* To the end of a read; returns the number of Data-In PDUs. */
static unsigned take_read(struct hand *h, unsigned cid, uint32_t itt, uint32_t first_sn,
			  uint32_t off, uint32_t n, const uint8_t *want)
{
	unsigned sn = first_sn;

	for (;;) {
		if (off == n) {
			good(h, cid, itt);
			return sn - first_sn;
		}
		expect(h, cid, OP_DATA_IN);
		assert_int_equal(get32(h->bhs + AT_ITT), itt);
		assert_int_equal(get32(h->bhs + AT_DATASN), sn++);
		assert_int_equal(get32(h->bhs + AT_OFFSET), off);
		assert_memory_equal(h->data, want + off, h->n);
		off += h->n;
		if (h->bhs[1] & 1) {
			assert_int_equal(off, n);
			return sn - first_sn;
		}
	}
}

/* ---- as it should be --------------------------------------------------- */

static void digest_is_crc32c(void **state)
{
	uint8_t zeros[32] = {0}, ones[32];

	memset(ones, 0xff, sizeof(ones));
	/* RFC 7143 appendix A: bytes as sent */
	assert_int_equal(wire_crc(0, zeros, 32), 0x8a9136aa);
	assert_int_equal(wire_crc(0, ones, 32), 0x62a8ab43);
	assert_int_equal(wire_crc(wire_crc(0, ones, 13), ones + 13, 19), 0x62a8ab43);
	assert_int_equal(wire_crc(0, "123456789", 9), 0xe3069283);
}

static void login_answers_every_key(void **state)
{
	struct hand h;

	start(&h);
	assert_string_equal(h.text,
			    "HeaderDigest=None;DataDigest=None;MaxConnections=4;InitialR2T=Yes;"
			    "ImmediateData=Yes;MaxBurstLength=2048;FirstBurstLength=512;"
			    "DefaultTime2Wait=2;DefaultTime2Retain=10;MaxOutstandingR2T=2;"
			    "DataPDUInOrder=Yes;DataSequenceInOrder=Yes;ErrorRecoveryLevel=2;"
			    "X-org.test=NotUnderstood;MaxRecvDataSegmentLength=262144;");
	end(&h);
}

static void what_is_written_is_read(void **state)
{
	struct hand h;

	start(&h);
	write_blocks(&h, 2, 3, 10);
	command(&h, 0, 3, 0x28, 3, 10, NULL, 0);
	assert_int_equal(take_read(&h, 0, 3, 0, 0, 5120, some), 5);
	end(&h);
}

static void several_r2ts_at_once(void **state)
{
	struct hand h;
	uint32_t ttt[2];

	start(&h);
	command(&h, 0, 2, 0x2a, 0, 12, NULL, 0);
	for (uint32_t i = 0; i < 2; i++) {
		expect(&h, 0, OP_R2T);
		ttt[i] = get32(h.bhs + AT_TTT);
		assert_int_equal(get32(h.bhs + AT_DATASN), i);
		assert_int_equal(get32(h.bhs + AT_OFFSET), i * 2048);
	}
	expect_nothing(&h, 0);
	data_out(&h, 0, 2, ttt[0], 0, 0, some, 2048, true);
	expect(&h, 0, OP_R2T);
	data_out(&h, 0, 2, ttt[1], 0, 2048, some + 2048, 2048, true);
	data_out(&h, 0, 2, get32(h.bhs + AT_TTT), 0, 4096, some + 4096, 2048, true);
	good(&h, 0, 2);
	assert_memory_equal(tgt_disk(h.t, 0), some, 6144);
	end(&h);
}

static void initiators_mistakes_are_told(void **state)
{
	struct hand h;

	start(&h);
	command(&h, 0, 2, 0x2a, 0, 12, some, 1024);
	assert_string_equal(h.complaint, "1024 bytes of immediate data");
	h.complaint[0] = 0;
	expect(&h, 0, OP_R2T);
	data_out(&h, 0, 2, get32(h.bhs + AT_TTT), 0, 1024, some, 4096, true);
	assert_non_null(strstr(h.complaint, "beyond the R2T"));
	h.complaint[0] = 0;
	h.cmdsn += 100;
	command(&h, 0, 3, 0x00, 0, 0, NULL, 0);
	assert_non_null(strstr(h.complaint, "beyond MaxCmdSN"));
	h.complaint[0] = 0;
	end(&h);
}

static void commands_wait_for_their_turn(void **state)
{
	struct hand h;

	start(&h);
	login(&h, 1);
	h.cmdsn++;
	command(&h, 1, 3, 0x00, 0, 0, NULL, 0);
	expect_nothing(&h, 1);
	h.cmdsn -= 2;
	command(&h, 0, 2, 0x00, 0, 0, NULL, 0);
	good(&h, 0, 2);
	good(&h, 1, 3);
	end(&h);
}

static void an_abort_fills_the_gap(void **state)
{
	struct hand h;
	uint32_t lost;

	start(&h);
	lost = h.cmdsn++;
	command(&h, 0, 3, 0x00, 0, 0, NULL, 0);
	expect_nothing(&h, 0);
	manage(&h, 0, 1, 2, lost, 0);
	assert_int_equal(h.bhs[2], 0);
	good(&h, 0, 3);
	end(&h);
}

static void an_aborted_write_is_not_done(void **state)
{
	struct hand h;

	start(&h);
	command(&h, 0, 2, 0x2a, 0, 2, some, 512);
	expect(&h, 0, OP_R2T);
	manage(&h, 0, 1, 2, h.cmdsn - 1, 0);
	assert_int_equal(h.bhs[2], 0);
	data_out(&h, 0, 2, get32(h.bhs + AT_TTT), 0, 512, some, 512, true);
	expect_nothing(&h, 0);
	assert_int_equal(tgt_disk(h.t, 0)[1], 0);
	manage(&h, 0, 1, 2, h.cmdsn - 1, 0);
	assert_int_equal(h.bhs[2], 1);
	end(&h);
}

static void a_reset_waits_for_what_came_before(void **state)
{
	struct hand h;
	uint8_t b[BHS] = {OP_TASK_MGMT | IMMEDIATE, FINAL | 5};

	start(&h);
	login(&h, 1);
	h.cmdsn++;
	put32(b + AT_ITT, 9);
	put32(b + AT_TTT, TAG_NONE);
	put32(b + AT_CMDSN, h.cmdsn);
	put(&h, 1, b, NULL, 0);
	expect_nothing(&h, 1);
	h.cmdsn--;
	command(&h, 0, 2, 0x2a, 0, 2, some, 512);
	expect(&h, 0, OP_R2T);
	expect(&h, 1, OP_TASK_MGMT_RSP);
	assert_int_equal(h.bhs[2], 0);
	assert_int_equal(tgt_n_tasks(h.t), 0);
	end(&h);
}

static void a_power_cut_takes_the_cache(void **state)
{
	struct hand h;

	start(&h);
	write_blocks(&h, 2, 0, 2);
	command(&h, 0, 3, 0x35, 0, 0, NULL, 0);
	good(&h, 0, 3);
	write_blocks(&h, 4, 10, 2);
	tgt_restart(h.t, false, h.now);
	assert_memory_equal(tgt_disk(h.t, 0) + 5120, some, 1024);
	tgt_restart(h.t, true, h.now);
	assert_memory_equal(tgt_disk(h.t, 0), some, 1024);
	assert_int_equal(tgt_disk(h.t, 0)[5120 + 1], 0);
	assert_true(tgt_wants_close(h.c[0]));
	assert_int_equal(tgt_n_sessions(h.t), 0);
	end(&h);
}

static void an_attention_that_was_not_heard_is_told_again(void **state)
{
	struct hand h;

	start(&h); /* it was told, and never acknowledged */
	tgt_closed(TAKE(h.c[0]), h.now);
	h.tsih = 0;
	login(&h, 0);
	for (int again = 0; again < 2; again++) {
		command(&h, 0, 2, 0x00, 0, 0, NULL, 0);
		expect(&h, 0, OP_RESPONSE);
		assert_int_equal(h.bhs[3], again ? 0 : 2);
	}
	end(&h);
}

/* ---- recovery ---------------------------------------------------------- */

static void status_and_data_are_sent_again(void **state)
{
	struct hand h;
	uint32_t statsn;

	start(&h);
	write_blocks(&h, 2, 0, 4);
	command(&h, 0, 3, 0x28, 0, 4, NULL, 0);
	statsn = h.expstatsn[0];
	take_read(&h, 0, 3, 0, 0, 2048, some);
	assert_int_equal(h.expstatsn[0], statsn + 1);
	h.expstatsn[0] = statsn;
	snack(&h, 0, 3, TAG_NONE, 0, 1);
	expect(&h, 0, OP_DATA_IN);
	assert_int_equal(get32(h.bhs + AT_DATASN), 0);
	assert_memory_equal(h.data, some, h.n);
	expect_nothing(&h, 0);
	snack(&h, 1, TAG_NONE, TAG_NONE, statsn, 1);
	assert_true(get(&h, 0));
	assert_int_equal(get32(h.bhs + AT_STATSN), statsn);
	assert_int_equal(get32(h.bhs + AT_ITT), 3);
	/* acknowledged now, and forgotten */
	snack(&h, 1, TAG_NONE, TAG_NONE, statsn, 1);
	expect_nothing(&h, 0);
	assert_int_equal(tgt_n_tasks(h.t), 0);
	end(&h);
}

static void data_that_does_not_come_is_asked_for_again(void **state)
{
	struct hand h;
	uint32_t ttt;

	start(&h);
	command(&h, 0, 2, 0x2a, 0, 4, NULL, 0);
	expect(&h, 0, OP_R2T);
	ttt = get32(h.bhs + AT_TTT);
	data_out(&h, 0, 2, ttt, 0, 0, some, 512, false);
	data_out(&h, 0, 2, ttt, 1, 512, some + 512, 512, false);
	h.now += 3 * SEC;
	expect(&h, 0, OP_R2T);
	assert_int_equal(get32(h.bhs + AT_DATASN), 1);
	assert_int_equal(get32(h.bhs + AT_OFFSET), 1024);
	assert_int_equal(get32(h.bhs + AT_LAST), 1024);
	assert_int_not_equal(get32(h.bhs + AT_TTT), ttt);
	data_out(&h, 0, 2, get32(h.bhs + AT_TTT), 0, 1024, some + 1024, 1024, true);
	good(&h, 0, 2);
	assert_memory_equal(tgt_disk(h.t, 0), some, 2048);
	end(&h);
}

static void an_r2t_is_sent_again(void **state)
{
	struct hand h;
	uint8_t first[BHS];

	start(&h);
	command(&h, 0, 2, 0x2a, 0, 4, NULL, 0);
	expect(&h, 0, OP_R2T);
	memcpy(first, h.bhs, BHS);
	snack(&h, 0, 2, TAG_NONE, 0, 1);
	expect(&h, 0, OP_R2T);
	assert_memory_equal(first + 16, h.bhs + 16, 8);
	assert_memory_equal(first + 36, h.bhs + 36, 12);
	end(&h);
}

static void lose(struct hand *h, unsigned cid)
{
	tgt_closed(TAKE(h->c[cid]), h->now);
}

static void a_write_is_taken_over(void **state)
{
	struct hand h;

	start(&h);
	login(&h, 1);
	command(&h, 0, 2, 0x2a, 0, 4, some, 512);
	expect(&h, 0, OP_R2T);
	manage(&h, 1, 8, 2, h.cmdsn - 1, 0);
	assert_int_equal(h.bhs[2], 3); /* still allegiant */
	lose(&h, 0);
	manage(&h, 1, 8, 2, h.cmdsn - 1, 0);
	assert_int_equal(h.bhs[2], 3); /* not logged out */
	logout(&h, 1, 2, 0);
	assert_int_equal(h.bhs[2], 0);
	manage(&h, 1, 8, 2, h.cmdsn - 1, 1);
	assert_int_equal(h.bhs[2], 0);
	expect(&h, 1, OP_R2T);
	assert_int_equal(get32(h.bhs + AT_DATASN), 1);
	assert_int_equal(get32(h.bhs + AT_OFFSET), 512);
	assert_int_equal(get32(h.bhs + AT_LAST), 1536);
	data_out(&h, 1, 2, get32(h.bhs + AT_TTT), 0, 512, some + 512, 1536, true);
	good(&h, 1, 2);
	assert_memory_equal(tgt_disk(h.t, 0), some, 2048);
	manage(&h, 1, 8, 99, 0, 0);
	assert_int_equal(h.bhs[2], 1);
	end(&h);
}

static void a_read_is_taken_over_where_it_was(void **state)
{
	struct hand h;

	start(&h);
	write_blocks(&h, 2, 0, 8);
	command(&h, 0, 3, 0x28, 0, 8, NULL, 0);
	expect(&h, 0, OP_DATA_IN);
	lose(&h, 0);
	login(&h, 0); /* the same CID: an implicit logout */
	manage(&h, 0, 8, 3, h.cmdsn - 1, 1);
	assert_int_equal(h.bhs[2], 0);
	take_read(&h, 0, 3, 1, 1024, 4096, some);
	end(&h);
}

static void a_status_that_was_lost_is_told_on_the_other_connection(void **state)
{
	struct hand h;

	start(&h);
	login(&h, 1);
	write_blocks(&h, 2, 0, 1);
	lose(&h, 0);
	logout(&h, 1, 2, 0);
	manage(&h, 1, 8, 2, h.cmdsn - 1, 0);
	good(&h, 1, 2);
	assert_int_equal(tgt_stats(h.t)->n_writes, 1);
	end(&h);
}

static void what_is_not_taken_over_in_time_is_gone(void **state)
{
	struct hand h;

	start(&h);
	login(&h, 1);
	command(&h, 0, 2, 0x2a, 0, 4, some, 512);
	lose(&h, 0);
	logout(&h, 1, 2, 0);
	h.now += 13 * SEC;
	manage(&h, 1, 8, 2, h.cmdsn - 1, 0);
	assert_int_equal(h.bhs[2], 0); /* time has not been told yet */
	tgt_closed(TAKE(h.c[1]), h.now);
	h.now += 11 * SEC;
	tgt_tick(h.t, h.now);
	assert_int_equal(tgt_n_sessions(h.t), 1);
	h.now += 2 * SEC;
	tgt_tick(h.t, h.now);
	assert_int_equal(tgt_n_sessions(h.t), 0);
	end(&h);
}

static void reinstatement_ends_the_old_session(void **state)
{
	struct hand h;
	struct tconn *old;

	start(&h);
	command(&h, 0, 2, 0x2a, 0, 4, some, 512);
	old = h.c[0];
	h.c[0] = NULL;
	h.tsih = 0;
	login(&h, 0);
	assert_int_equal(tgt_n_sessions(h.t), 1);
	assert_int_equal(tgt_n_tasks(h.t), 0);
	tgt_sent(old, BHS);
	assert_true(tgt_wants_close(old));
	end(&h);
}

/* ---- as it should not be ----------------------------------------------- */

static void rules_bend_an_answer(void **state)
{
	static const struct {
		const char *rule;
		unsigned at, n;
		uint32_t add;
	} bends[] = {
		{"response 1 statsn 5", AT_STATSN, 4, 5}, {"response 1 datasn 3", AT_DATASN, 4, 3},
		{"response 1 status 0x28", 3, 1, 0x28},   {"response 1 response 1", 2, 1, 1},
		{"any 1 status 0x08", 3, 1, 8},           {"response 1 ttt 0x10", AT_TTT, 4, 0x10},
		{"response 1 residual 9", AT_LAST, 4, 9}, {"response 1 flags 4", 1, 1, 4},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bends); i++) {
		struct hand h;
		uint8_t plain[BHS];
		uint32_t was, is;

		start(&h);
		command(&h, 0, 2, 0x00, 0, 0, NULL, 0);
		good(&h, 0, 2);
		memcpy(plain, h.bhs, BHS);
		rule(&h, bends[i].rule);
		command(&h, 0, 2, 0x00, 0, 0, NULL, 0);
		expect(&h, 0, OP_RESPONSE);
		if (bends[i].at == AT_STATSN)
			h.expstatsn[0] -= 5;
		was = bends[i].n == 4 ? get32(plain + bends[i].at) : plain[bends[i].at];
		is = bends[i].n == 4 ? get32(h.bhs + bends[i].at) : h.bhs[bends[i].at];
		if (bends[i].at == AT_STATSN)
			was++;
		assert_int_equal(is - was, bends[i].add);
		/* once only */
		command(&h, 0, 2, 0x00, 0, 0, NULL, 0);
		good(&h, 0, 2);
		end(&h);
	}
}

static void rules_count(void **state)
{
	struct hand h;

	start(&h);
	rule(&h, "response 2 drop");
	rule(&h, "nop-in 0 itt");
	command(&h, 0, 2, 0x00, 0, 0, NULL, 0);
	good(&h, 0, 2);
	command(&h, 0, 3, 0x00, 0, 0, NULL, 0);
	expect_nothing(&h, 0);
	command(&h, 0, 4, 0x00, 0, 0, NULL, 0);
	good(&h, 0, 4);
	assert_int_equal(tgt_stats(h.t)->n_misdeeds, 1);
	end(&h);
}

static void rules_for_data(void **state)
{
	struct hand h;

	start(&h);
	write_blocks(&h, 2, 0, 2);
	rule(&h, "data-in 1 lie-data");
	command(&h, 0, 3, 0x28, 0, 2, NULL, 0);
	expect(&h, 0, OP_DATA_IN);
	assert_int_not_equal(memcmp(h.data, some, h.n), 0);
	if (!(h.bhs[1] & 1))
		good(&h, 0, 3);
	rule(&h, "data-in 1 offset 512");
	command(&h, 0, 3, 0x28, 0, 2, NULL, 0);
	expect(&h, 0, OP_DATA_IN);
	assert_int_equal(get32(h.bhs + AT_OFFSET), 512);
	if (!(h.bhs[1] & 1))
		good(&h, 0, 3);
	rule(&h, "r2t 1 length 65536");
	command(&h, 0, 4, 0x2a, 0, 2, NULL, 0);
	expect(&h, 0, OP_R2T);
	assert_int_equal(get32(h.bhs + AT_LAST), 1024 + 65536);
	rule(&h, "command 1 lose-write");
	command(&h, 0, 5, 0x2a, 20, 1, some, 512);
	good(&h, 0, 5);
	assert_int_equal(tgt_disk(h.t, 0)[20 * 512 + 1], 0);
	end(&h);
}

static void rules_for_a_command(void **state)
{
	struct hand h;

	start(&h);
	rule(&h, "command 1 busy 0x08");
	command(&h, 0, 2, 0x2a, 0, 1, some, 512);
	expect(&h, 0, OP_RESPONSE);
	assert_int_equal(h.bhs[3], 8);
	rule(&h, "command 1 early-status 0");
	command(&h, 0, 3, 0x2a, 0, 4, some, 512);
	good(&h, 0, 3);
	rule(&h, "command 1 forget");
	command(&h, 0, 4, 0x2a, 0, 1, some, 512);
	expect_nothing(&h, 0);
	rule(&h, "command 1 reject 0x09");
	command(&h, 0, 5, 0x2a, 0, 1, some, 512);
	expect(&h, 0, OP_REJECT);
	assert_int_equal(h.bhs[2], 9);
	assert_int_equal(get32(h.data + AT_ITT), 5);
	rule(&h, "command 1 drop");
	command(&h, 0, 6, 0x00, 0, 0, NULL, 0);
	expect_nothing(&h, 0);
	command(&h, 0, 7, 0x00, 0, 0, NULL, 0);
	expect_nothing(&h, 0); /* a gap */
	assert_int_equal(tgt_disk(h.t, 0)[1], 0);
	end(&h);
}

static void rules_for_a_connection(void **state)
{
	struct hand h;
	const uint8_t *b;

	start(&h);
	rule(&h, "response 1 half");
	command(&h, 0, 2, 0x00, 0, 0, NULL, 0);
	tgt_tick(h.t, h.now);
	assert_int_equal(tgt_output(h.c[0], &b), BHS / 2);
	tgt_sent(h.c[0], BHS / 2);
	assert_true(tgt_wants_close(h.c[0]));
	lose(&h, 0);
	h.tsih = 0;
	login(&h, 0);
	rule(&h, "command 1 close");
	command(&h, 0, 3, 0x00, 0, 0, NULL, 0);
	assert_true(tgt_wants_close(h.c[0]));
	lose(&h, 0);
	h.tsih = 0;
	login(&h, 0);
	rule(&h, "command 1 silence");
	command(&h, 0, 4, 0x00, 0, 0, NULL, 0);
	expect_nothing(&h, 0);
	assert_false(tgt_wants_close(h.c[0]));
	end(&h);
}

static void rules_for_time_and_more(void **state)
{
	struct hand h;

	start(&h);
	rule(&h, "response 1 delay 300");
	command(&h, 0, 2, 0x00, 0, 0, NULL, 0);
	command(&h, 0, 3, 0x00, 0, 0, NULL, 0);
	expect_nothing(&h, 0);
	h.now += 299 * MS;
	expect_nothing(&h, 0);
	h.now += MS;
	good(&h, 0, 2);
	good(&h, 0, 3);
	rule(&h, "response 1 duplicate");
	command(&h, 0, 4, 0x00, 0, 0, NULL, 0);
	good(&h, 0, 4);
	good(&h, 0, 4);
	rule(&h, "command 1 async 1");
	command(&h, 0, 5, 0x00, 0, 0, NULL, 0);
	expect(&h, 0, OP_ASYNC);
	assert_int_equal(h.bhs[36], 1);
	good(&h, 0, 5);
	rule(&h, "response 1 window 0");
	command(&h, 0, 6, 0x00, 0, 0, NULL, 0);
	good(&h, 0, 6);
	assert_int_equal(get32(h.bhs + AT_MAXCMDSN), h.cmdsn - 1);
	end(&h);
}

static void rules_for_a_login(void **state)
{
	struct hand h;

	start(&h);
	h.c[1] = tgt_accept(h.t, h.now);
	rule(&h, "login 1 redirect 0x0101 127.0.0.1:3261");
	ask_login(&h, 1, 0, NAMES, sizeof(NAMES));
	expect(&h, 1, OP_LOGIN_RSP);
	assert_int_equal(get16(h.bhs + 36), 0x0101);
	assert_string_equal(h.data, "TargetAddress=127.0.0.1:3261");
	assert_true(tgt_wants_close(h.c[1]));
	end(&h);
}

static void nonsense_is_no_rule(void **state)
{
	static const char *const lines[] = {
		"",           "response",        "response 1",     "response 1 explode",
		"pdu 1 drop", "response x drop", "data-in 1 busy", "command 1 statsn 1",
	};
	struct tgt_rule r;

	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++)
		assert_false(tgt_rule_parse(&r, lines[i]));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(digest_is_crc32c),
		cmocka_unit_test(login_answers_every_key),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(several_r2ts_at_once),
		cmocka_unit_test(initiators_mistakes_are_told),
		cmocka_unit_test(commands_wait_for_their_turn),
		cmocka_unit_test(an_abort_fills_the_gap),
		cmocka_unit_test(an_aborted_write_is_not_done),
		cmocka_unit_test(a_reset_waits_for_what_came_before),
		cmocka_unit_test(a_power_cut_takes_the_cache),
		cmocka_unit_test(an_attention_that_was_not_heard_is_told_again),
		cmocka_unit_test(status_and_data_are_sent_again),
		cmocka_unit_test(data_that_does_not_come_is_asked_for_again),
		cmocka_unit_test(an_r2t_is_sent_again),
		cmocka_unit_test(a_write_is_taken_over),
		cmocka_unit_test(a_read_is_taken_over_where_it_was),
		cmocka_unit_test(a_status_that_was_lost_is_told_on_the_other_connection),
		cmocka_unit_test(what_is_not_taken_over_in_time_is_gone),
		cmocka_unit_test(reinstatement_ends_the_old_session),
		cmocka_unit_test(rules_bend_an_answer),
		cmocka_unit_test(rules_count),
		cmocka_unit_test(rules_for_data),
		cmocka_unit_test(rules_for_a_command),
		cmocka_unit_test(rules_for_a_connection),
		cmocka_unit_test(rules_for_time_and_more),
		cmocka_unit_test(rules_for_a_login),
		cmocka_unit_test(nonsense_is_no_rule),
	};

	fill();
	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
