/* SPDX-License-Identifier: MIT */
/*
 * Task management functions that the owner asks for
 */
#include "iscsi/test-peer.h"

#include <errno.h>

#define LUN1 UINT64_C(0x0001000000000000)
#define LUN2 UINT64_C(0x0002000000000000)

struct two {
	struct peer p;
	struct io a, b;
	uint32_t itt_a, itt_b;
};

static void start(struct two *w)
{
	peer_init(&w->p);
	peer_up(&w->p);
	io_none(&w->a);
	io_none(&w->b);
	w->a.task.lun = LUN1;
	w->b.task.lun = LUN2;
	io_submit(&w->p, &w->a);
	io_submit(&w->p, &w->b);
	w->itt_a = peer_expect(&w->p, PDU_SCSI_CMD)->pdu.itt;
	w->itt_b = peer_expect(&w->p, PDU_SCSI_CMD)->pdu.itt;
}

static void end(struct two *w)
{
	peer_expect_no_event(&w->p);
	peer_close(&w->p);
	io_free(&w->a, 0);
	io_free(&w->b, 0);
}

static void answer(struct peer *p, uint32_t itt, uint8_t response)
{
	peer_send(p,
		  (struct pdu){.opcode = PDU_TMF_RSP,
			       .final = true,
			       .itt = itt,
			       .u.tmf_rsp = {.response = response}},
		  NULL, 0);
}

static void expect_done(struct peer *p, uint8_t function, uint64_t lun, int response)
{
	const struct peer_event *e = peer_expect_event(p, ISCSI_EV_TMF_DONE);

	assert_int_equal(e->ev.tmf_function, function);
	assert_int_equal(e->ev.tmf_response, response);
	assert_true(e->ev.lun == lun);
}

/* What each function ends, and that the owner is told. */
static void complete(uint8_t function, uint64_t wire_lun, bool ends_a, bool ends_b)
{
	struct two w;
	const struct seen *u;

	start(&w);
	assert_int_equal(session_tmf(w.p.s, function, LUN1, w.p.now_ns), 0);
	u = peer_expect(&w.p, PDU_TMF_REQ);
	assert_true(u->pdu.immediate && u->pdu.final);
	assert_int_equal(u->pdu.u.tmf_req.function, function);
	assert_true(u->pdu.lun == wire_lun);
	assert_int_equal(u->pdu.ttt, PDU_TAG_NONE);
	assert_int_equal(u->pdu.u.tmf_req.refcmdsn, 0);
	peer_expect_no_event(&w.p);
	answer(&w.p, u->pdu.itt, TMF_RSP_COMPLETE);
	expect_done(&w.p, function, wire_lun, TMF_RSP_COMPLETE);
	if (ends_a)
		io_expect(&w.p, &w.a, ISCSI_TASK_CANCELLED);
	if (ends_b)
		io_expect(&w.p, &w.b, ISCSI_TASK_CANCELLED);
	peer_expect_no_event(&w.p);
	if (!ends_a) {
		peer_status(&w.p, w.itt_a, 0);
		io_expect(&w.p, &w.a, ISCSI_TASK_OK);
	}
	if (!ends_b) {
		peer_status(&w.p, w.itt_b, 0);
		io_expect(&w.p, &w.b, ISCSI_TASK_OK);
	}
	end(&w);
}

static void unh_ffp_19_2_abort_task_set(void **state)
{
	complete(TMF_ABORT_TASK_SET, LUN1, true, false);
}

static void clear_task_set_and_aca(void **state)
{
	complete(TMF_CLEAR_TASK_SET, LUN1, true, false);
	complete(TMF_CLEAR_ACA, LUN1, false, false);
}

static void unh_ffp_19_3_lu_reset(void **state)
{
	complete(TMF_LOGICAL_UNIT_RESET, LUN1, true, false);
}

static void unh_ffp_19_4_target_resets(void **state)
{
	complete(TMF_TARGET_WARM_RESET, 0, true, true);
	complete(TMF_TARGET_COLD_RESET, 0, true, true);
}

/* After a cold reset the target drops all connections: the session comes back as ever. */
static void unh_ffp_19_4_cold_reset_drops_the_session(void **state)
{
	struct two w;

	start(&w);
	assert_int_equal(session_tmf(w.p.s, TMF_TARGET_COLD_RESET, 0, w.p.now_ns), 0);
	peer_expect(&w.p, PDU_TMF_REQ);
	conn_lost(w.p.c, "gone", w.p.now_ns); /* before it could answer */
	peer_expect_event(&w.p, ISCSI_EV_CONN_DOWN);
	expect_done(&w.p, TMF_TARGET_COLD_RESET, 0, -1);
	assert_int_equal(session_n_tasks(w.p.s), 2);
	end(&w);
}

/* Refused: the owner is told, and nothing else happens. */
static void unh_ffp_19_2_19_3_19_4_every_refusal(void **state)
{
	static const uint8_t responses[] = {1, 2, 3, 4, 5, 6, 255};

	for (uint8_t f = TMF_ABORT_TASK_SET; f <= TMF_TARGET_COLD_RESET; f++) {
		for (size_t k = 0; k < ARRAY_SIZE(responses); k++) {
			struct two w;
			uint64_t lun = f >= TMF_TARGET_WARM_RESET ? 0 : LUN1;

			start(&w);
			assert_int_equal(session_tmf(w.p.s, f, LUN1, w.p.now_ns), 0);
			answer(&w.p, peer_expect(&w.p, PDU_TMF_REQ)->pdu.itt, responses[k]);
			expect_done(&w.p, f, lun, responses[k]);
			peer_expect_nothing(&w.p);
			assert_true(conn_alive(w.p.c));
			assert_int_equal(session_n_sent(w.p.s), 2);
			end(&w);
		}
	}
}

/* No answer: the fate of the tasks is not known; the connection ends, and the owner is told. */
static void no_answer(void **state)
{
	struct two w;

	start(&w);
	assert_int_equal(session_tmf(w.p.s, TMF_ABORT_TASK_SET, LUN1, w.p.now_ns), 0);
	peer_expect(&w.p, PDU_TMF_REQ);
	for (int i = 0; i < 16; i++) {
		peer_ping(&w.p, PDU_TAG_NONE, NULL, 0);
		peer_tick(&w.p, PEER_S);
	}
	expect_done(&w.p, TMF_ABORT_TASK_SET, LUN1, -1);
	peer_expect_event(&w.p, ISCSI_EV_CONN_DOWN);
	end(&w);
}

static void what_is_no_function(void **state)
{
	struct peer p;

	peer_init(&p);
	peer_up(&p);
	assert_int_equal(session_tmf(p.s, TMF_ABORT_TASK, LUN1, p.now_ns), -EINVAL);
	assert_int_equal(session_tmf(p.s, TMF_TASK_REASSIGN, LUN1, p.now_ns), -EINVAL);
	assert_int_equal(session_tmf(p.s, 0, LUN1, p.now_ns), -EINVAL);
	for (int i = 0; i < 1 + RESETS_MAX; i++)
		assert_int_equal(session_tmf(p.s, TMF_ABORT_TASK_SET, LUN1, p.now_ns), 0);
	assert_int_equal(session_tmf(p.s, TMF_ABORT_TASK_SET, LUN1, p.now_ns), -EBUSY);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unh_ffp_19_2_abort_task_set),
		cmocka_unit_test(clear_task_set_and_aca),
		cmocka_unit_test(unh_ffp_19_3_lu_reset),
		cmocka_unit_test(unh_ffp_19_4_target_resets),
		cmocka_unit_test(unh_ffp_19_4_cold_reset_drops_the_session),
		cmocka_unit_test(unh_ffp_19_2_19_3_19_4_every_refusal),
		cmocka_unit_test(no_answer),
		cmocka_unit_test(what_is_no_function),
	};

	return PEER_RUN("the owner's task management", tests);
}
