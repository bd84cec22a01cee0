/* SPDX-License-Identifier: MIT */
/*
 * The life of a session
 *
 * The first login ends in up() or failed(); each later one follows a loss and is
 * repeated until it succeeds or the owner closes the session. The engine's session
 * object stays the same all the time, and so do ISID and queued tasks.
 */
#include "initiator/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"

#define DEFAULT_NS(v, ns) ((v) ? (v) : (ns))
#define FLUSH_ROUNDS      8
#define DRAIN_MAX_NS \
	(10 * NS_PER_S) /* for commands under way, before a logout the target asked for */

static uint64_t now_of(const struct initiator *i)
{
	return loop_now_ns(i->loop);
}

void arm(struct initiator *i, struct loop_timer *t, uint64_t deadline_ns)
{
	/* Armed since the start: moving it cannot fail. */
	(void)loop_timer_set(i->loop, t, deadline_ns < TIMER_PARKED ? deadline_ns : TIMER_PARKED);
}

void park(struct initiator *i, struct loop_timer *t)
{
	arm(i, t, TIMER_PARKED);
}

uint64_t after(const struct initiator *i, uint64_t ns)
{
	uint64_t now_ns = now_of(i);

	return ns < TIMER_PARKED - now_ns ? now_ns + ns : TIMER_PARKED;
}

bool session_is_up(const struct initiator *i)
{
	return i->state == INITIATOR_UP || i->state == INITIATOR_VERIFYING;
}

void initiator_wake(struct initiator *i)
{
	if (i->state != INITIATOR_CLOSED)
		loop_defer(i->loop, &i->work);
}

void initiator_note(struct initiator *i, const char *fmt, ...)
{
	char text[512];
	size_t n;
	va_list ap;

	if (!i->ops->note)
		return;
	if (now_of(i) < i->next_note_ns) {
		i->n_notes_dropped++;
		return;
	}
	i->next_note_ns = now_of(i) + NS_PER_S;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = strlen(text);
	if (i->n_notes_dropped)
		snprintf(text + n, sizeof(text) - n, " (%u lines before this one were left out)",
			 i->n_notes_dropped);
	i->n_notes_dropped = 0;
	i->ops->note(i->user, text);
}

/* ---- the end ----------------------------------------------------------- */

static void close_soon(struct initiator *i)
{
	i->close_now = true;
	initiator_wake(i);
}

void text_finish(struct initiator *i, int error, const char *text, size_t n)
{
	void (*done)(void *user, int error, const char *text, size_t n) = i->text_done;

	i->text_done = NULL;
	if (done)
		done(i->user, error, text, n);
}

/* All callbacks are over when this returns; the owner may have freed @i then. */
static void finish(struct initiator *i)
{
	links_close_unless_up(i);
	links_close(i);
	events_drain(i);
	text_finish(i, -ECANCELED, NULL, 0);
	if (!cmds_run_failed(i)) {
		initiator_wake(i); /* done() has submitted more: they end next turn */
		return;
	}
	i->state = INITIATOR_CLOSED;
	loop_timer_cancel(i->loop, &i->engine_timer);
	loop_timer_cancel(i->loop, &i->phase_timer);
	loop_timer_cancel(i->loop, &i->first_timer);
	loop_timer_cancel(i->loop, &i->hold_timer);
	links_forget_timers(i);
	loop_defer_cancel(&i->work);
	i->ops->closed(i->user);
}

/* What one connection has sent or heard may give another one something to send. */
static void links_flush(struct initiator *i)
{
	struct link *l;
	bool more = true;

	for (int round = 0; more && round < FLUSH_ROUNDS; round++) {
		more = false;
		list_for_each (l, &i->links, node)
			more |= sock_flush(l);
	}
	if (more)
		initiator_wake(i);
}

static void closing_work(struct initiator *i)
{
	cmds_fail_all(i, -ECANCELED);
	links_close_unless_up(i);
	if (!i->close_now && !i->logout_sent) {
		if (links_n_up(i) > 0 && session_logout(i->session, now_of(i)) == 0) {
			i->logout_sent = true;
			arm(i, &i->phase_timer, after(i, i->logout_timeout_ns + GUARD_NS));
		} else {
			i->close_now = true;
		}
	}
	links_flush(i);
	if (i->close_now) {
		finish(i);
		return;
	}
	events_drain(i);
	cmds_run_failed(i);
	engine_rearm(i);
}

static void begin_closing(struct initiator *i)
{
	i->state = INITIATOR_CLOSING;
	i->leaving = false;
	park(i, &i->first_timer);
	park(i, &i->hold_timer);
	initiator_wake(i);
}

void give_up(struct initiator *i, const struct initiator_failure *f)
{
	const struct initiator_failure told = *f;

	begin_closing(i);
	close_soon(i);
	i->ops->failed(i->user, &told);
}

/* ---- up and down ------------------------------------------------------- */

static void begin_hold(struct initiator *i)
{
	if (i->held_since_ns)
		return;
	cmds_clock_hold(i);
	arm(i, &i->hold_timer, after(i, i->hold_ns));
}

static void end_hold(struct initiator *i)
{
	cmds_clock_go(i);
	park(i, &i->hold_timer);
	i->expired = false;
}

static void session_back(struct initiator *i, struct link *l)
{
	i->n_reconnects++;
	i->state = INITIATOR_VERIFYING;
	initiator_wake(i);
	initiator_note(i, "logged in again after %u attempt%s", l->n_attempts + 1,
		       l->n_attempts ? "s" : "");
	links_go(i);
	if (i->ops->verify)
		i->ops->verify(i->user);
	else
		initiator_release(i);
}

static void login_done(struct initiator *i, struct link *l)
{
	link_up(l);
	initiator_wake(i);
	if (session_is_up(i)) {
		link_change_done(l, &l->adding, 0);
		return;
	}
	park(i, &i->first_timer);
	if (i->was_up) {
		session_back(i, l);
		return;
	}
	i->was_up = true;
	i->state = INITIATOR_UP;
	end_hold(i);
	i->ops->up(i->user);
}

/*
 * The session was logged in and is not any longer; it will be again. @l is the last
 * of its connections.
 */
static void session_lost(struct initiator *i, struct link *l, const char *why, unsigned time2wait_s)
{
	int error = transport_error(l);

	begin_hold(i);
	i->state = INITIATOR_DOWN;
	i->leaving = false;
	i->logout_due = false;
	i->logout_sent = false;
	park(i, &i->phase_timer);
	links_stop(i, why);
	/* who asks something on another thread must not wait for the session to come back */
	cmds_fail_probes(i);
	link_retry(&i->lead, time2wait_s);
	if (i->ops->down)
		i->ops->down(i->user, why);
	text_finish(i, error, NULL, 0);
}

/* The target asks us to leave within some seconds: first let commands under way end. */
static void logout_wanted(struct initiator *i, struct link *l, unsigned within_s)
{
	uint64_t drain_ns = within_s * NS_PER_S / 2;

	if (i->leaving || l->state != LINK_UP || !session_is_up(i))
		return;
	initiator_note(i, "the target asks for a logout%s within %u s",
		       link_has_peer(i, l) ? " of one connection" : "", within_s);
	if (link_has_peer(i, l)) {
		link_leave(l);
		return;
	}
	i->leaving = true;
	begin_hold(i);
	session_hold(i->session, true, now_of(i));
	arm(i, &i->phase_timer, after(i, drain_ns < DRAIN_MAX_NS ? drain_ns : DRAIN_MAX_NS));
	initiator_wake(i);
}

static void leaving_work(struct initiator *i)
{
	if (i->logout_sent || (!i->logout_due && session_n_sent(i->session) > 0))
		return;
	if (session_logout(i->session, now_of(i))) {
		session_lost(i, &i->lead, "the target asked for a logout", 0);
		return;
	}
	i->logout_sent = true;
	arm(i, &i->phase_timer, after(i, i->logout_timeout_ns + GUARD_NS));
}

/* ---- what the engine tells --------------------------------------------- */

static int login_error(const struct link *l, const struct iscsi_event *ev)
{
	return ev->login_status ? -EREMOTEIO : transport_error(l);
}

static void on_logged_out(struct initiator *i, struct link *l, const struct iscsi_event *ev)
{
	uint64_t wait_s = ev->time2wait_s;

	if (!ev->last && i->state != INITIATOR_CLOSING) {
		link_left(l, ev->time2wait_s);
		return;
	}
	if (i->state != INITIATOR_CLOSING) {
		session_lost(i, l, "logged out, as the target asked", ev->time2wait_s);
		return;
	}
	links_close(i);
	if (wait_s > LOGOUT_WAIT_MAX_S)
		wait_s = LOGOUT_WAIT_MAX_S;
	if (i->close_now || ev->timed_out || i->discovery || wait_s == 0)
		close_soon(i);
	else
		arm(i, &i->phase_timer, after(i, wait_s * NS_PER_S));
}

static void on_conn_lost(struct initiator *i, struct link *l, const struct iscsi_event *ev,
			 const char *text)
{
	int error = transport_error(l);

	if (i->state == INITIATOR_CLOSING) {
		sock_close(l);
		l->state = LINK_IDLE;
		if (links_n_up(i) == 0)
			close_soon(i);
	} else if (l->state == LINK_LEAVING && !ev->last) {
		link_left(l, ev->time2wait_s);
	} else if (ev->last && !ev->recover_s) {
		session_lost(i, l, text, ev->time2wait_s);
	} else {
		link_lost(l, text, ev);
		text_finish(i, error, NULL, 0);
	}
}

/* The connection is dead; @text is our own copy. */
static void on_conn_end(struct initiator *i, struct link *l, const struct iscsi_event *ev,
			const char *text)
{
	int error;

	switch (l->state) {
	case LINK_LOGGING_IN:
		error = login_error(l, ev);
		sock_close(l);
		if (ev->again)
			link_login_once_more(l, text);
		else
			attempt_failed(l, error, ev->login_status, true, text);
		break;
	case LINK_UP:
	case LINK_LEAVING: on_conn_lost(i, l, ev, text); break;
	case LINK_IDLE:
	case LINK_WAITING:
	case LINK_CONNECTING:
	case LINK_GONE: break;
	}
}

/* Texts may quote the target; what goes on to logs and replies is printable UTF-8. */
static void text_copy(char *to, size_t n_to, const char *from)
{
	bool is_utf8;

	snprintf(to, n_to, "%s", from);
	is_utf8 = utf8_valid(to, strlen(to));
	for (char *p = to; *p; p++) {
		unsigned char c = (unsigned char)*p;

		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8))
			*p = '?';
	}
}

static void event_act(struct initiator *i, const struct iscsi_event *ev)
{
	char text[300];
	struct link *l;

	if (ev->kind == ISCSI_EV_TASK_DONE) {
		cmds_task_done(i, ev->task);
		return;
	}
	if (ev->kind == ISCSI_EV_CONN_DOWN && !ev->conn && session_is_up(i)) {
		/* none came in time that its tasks could go on over */
		session_lost(i, &i->lead, "no connection in time to recover", ev->time2wait_s);
		return;
	}
	/* What a connection said that is closed since does not count. */
	l = link_of(i, ev->conn);
	if (!l)
		return;
	if (ev->kind == ISCSI_EV_TEXT_DONE) {
		text_finish(i, ev->rejected ? -EOPNOTSUPP : 0, ev->text, ev->n_text);
		return;
	}
	text_copy(text, sizeof(text), ev->text ? ev->text : "");
	switch (ev->kind) {
	case ISCSI_EV_UP:
		if (l->state == LINK_LOGGING_IN)
			login_done(i, l);
		break;
	case ISCSI_EV_REDIRECT:
		if (l->state == LINK_LOGGING_IN) {
			sock_close(l);
			link_redirect(l, ev->login_status, text);
			break;
		}
		on_conn_end(i, l, ev, text);
		break;
	case ISCSI_EV_LOGIN_FAILED:
	case ISCSI_EV_CONN_DOWN: on_conn_end(i, l, ev, text); break;
	case ISCSI_EV_LOGGED_OUT: on_logged_out(i, l, ev); break;
	case ISCSI_EV_LOGOUT_WANTED: logout_wanted(i, l, ev->time2wait_s); break;
	case ISCSI_EV_SCSI_ASYNC:
		initiator_note(i, "asynchronous SCSI event of LUN 0x%016llx",
			       (unsigned long long)ev->lun);
		break;
	case ISCSI_EV_NOTE: initiator_note(i, "%s", text); break;
	case ISCSI_EV_TMF_DONE:
	case ISCSI_EV_TASK_DONE:
	case ISCSI_EV_TEXT_DONE: break;
	}
}

void events_drain(struct initiator *i)
{
	struct iscsi_event ev;
	struct link *l;

	while (session_next_event(i->session, &ev))
		event_act(i, &ev);
	/* A connection that has died must not be waited for, whatever was said of it. */
	list_for_each (l, &i->links, node) {
		if (!l->conn || conn_alive(l->conn))
			continue;
		ev = (struct iscsi_event){
			.kind = ISCSI_EV_CONN_DOWN, .conn = l->conn, .last = !link_has_peer(i, l)};
		on_conn_end(i, l, &ev, "the connection has ended");
	}
}

/* ---- timers and deferred work ------------------------------------------ */

static void phase_fire(struct loop_timer *t)
{
	struct initiator *i = CONTAINER_OF(t, struct initiator, phase_timer);

	park(i, t);
	if (i->state == INITIATOR_CLOSING)
		i->close_now = true;
	else if (i->leaving && i->logout_sent)
		session_lost(i, &i->lead, "no answer to the logout that the target asked for", 0);
	else if (i->leaving)
		i->logout_due = true;
	initiator_wake(i);
}

static void first_fire(struct loop_timer *t)
{
	struct initiator *i = CONTAINER_OF(t, struct initiator, first_timer);
	bool connected = i->state == INITIATOR_LOGGING_IN;
	char why[64];

	park(i, t);
	if (i->was_up || (i->state != INITIATOR_CONNECTING && !connected))
		return;
	snprintf(why, sizeof(why), "no login within %.0f s",
		 (double)i->first_login_timeout_ns / NS_PER_S);
	sock_close(&i->lead);
	events_drain(i);
	record_failure(&i->lead, -ETIMEDOUT, 0, connected, why);
	give_up(i, &i->lead.failure);
}

static void hold_fire(struct loop_timer *t)
{
	struct initiator *i = CONTAINER_OF(t, struct initiator, hold_timer);

	park(i, t);
	if (i->expired || i->state == INITIATOR_CLOSING)
		return;
	i->expired = true;
	cmds_fail_held(i);
	if (i->ops->hold_expired)
		i->ops->hold_expired(i->user);
}

static void work_run(struct loop_defer *d)
{
	struct initiator *i = CONTAINER_OF(d, struct initiator, work);

	if (i->state == INITIATOR_CLOSING) {
		closing_work(i);
		return; /* @i may be gone */
	}
	if (i->start_failed) {
		i->start_failed = false;
		give_up(i, &i->lead.failure);
		return;
	}
	links_work(i);
	if (i->leaving)
		leaving_work(i);
	cmds_pump(i);
	links_flush(i);
	events_drain(i);
	if (!cmds_run_failed(i))
		initiator_wake(i);
	if (i->state != INITIATOR_CLOSED)
		engine_rearm(i);
}

/* ---- what the owner asks for ------------------------------------------- */

int initiator_new(struct initiator **ret, const struct initiator_cfg *cfg)
{
	struct iscsi_session_cfg session = cfg->session;
	unsigned n_commands = cfg->n_commands ? cfg->n_commands : 128;
	struct initiator *i;
	int r;

	if (!cfg->loop || !cfg->ops || !cfg->ops->up || !cfg->ops->failed || !cfg->ops->closed ||
	    cfg->n_addrs == 0 || cfg->n_addrs > INITIATOR_MAX_ADDRS || n_commands > 4096 ||
	    cfg->paths.n > ARRAY_SIZE(cfg->paths.v))
		return -EINVAL;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->loop = cfg->loop;
	i->ops = cfg->ops;
	i->user = cfg->user;
	i->discovery = session.discovery;
	i->paths = cfg->paths;
	i->connect_timeout_ns = DEFAULT_NS(cfg->connect_timeout_ns, 5 * NS_PER_S);
	i->first_login_timeout_ns = DEFAULT_NS(cfg->first_login_timeout_ns, 30 * NS_PER_S);
	i->hold_ns = DEFAULT_NS(cfg->hold_ns, 60 * NS_PER_S);
	i->retry_min_ns = DEFAULT_NS(cfg->retry_min_ns, NS_PER_S);
	i->retry_max_ns = DEFAULT_NS(cfg->retry_max_ns, 30 * NS_PER_S);
	if (i->retry_max_ns < i->retry_min_ns)
		i->retry_max_ns = i->retry_min_ns;
	list_init(&i->links);
	link_init(&i->lead, i);
	memcpy(i->lead.addr, cfg->addr, sizeof(cfg->addr));
	i->lead.n_addrs = cfg->n_addrs;
	/* Here too, because guards stand on them. */
	i->login_timeout_ns = DEFAULT_NS(session.login_timeout_ns, 15 * NS_PER_S);
	i->logout_timeout_ns = DEFAULT_NS(session.logout_timeout_ns, 10 * NS_PER_S);
	i->task_timeout_ns = DEFAULT_NS(session.task_timeout_ns, 30 * NS_PER_S);
	session.login_timeout_ns = i->login_timeout_ns;
	session.logout_timeout_ns = i->logout_timeout_ns;
	session.task_timeout_ns = i->task_timeout_ns;
	session.n_tasks = n_commands;
	list_init(&i->work.node);
	i->work.run = work_run;
	i->engine_timer.fire = engine_fire;
	i->phase_timer.fire = phase_fire;
	i->first_timer.fire = first_fire;
	i->hold_timer.fire = hold_fire;
	r = cmds_init(i, n_commands);
	if (!r)
		r = session_new(&i->session, &session);
	if (r) {
		initiator_free(i);
		return r;
	}
	*ret = i;
	return 0;
}

struct initiator *initiator_free(struct initiator *i)
{
	if (!i)
		return NULL;
	session_free(i->session);
	links_free(i);
	cmds_clear(i);
	free(i);
	return NULL;
}

/* Takes the timers' places in the loop once and for all. */
static int take_timers(struct initiator *i)
{
	int r = loop_timer_set(i->loop, &i->engine_timer, TIMER_PARKED);

	if (!r)
		r = loop_timer_set(i->loop, &i->phase_timer, TIMER_PARKED);
	if (!r)
		r = loop_timer_set(i->loop, &i->lead.timer, TIMER_PARKED);
	if (!r)
		r = loop_timer_set(i->loop, &i->hold_timer, TIMER_PARKED);
	if (!r)
		r = loop_timer_set(i->loop, &i->first_timer, after(i, i->first_login_timeout_ns));
	return r;
}

void initiator_set_addrs(struct initiator *i, const struct tcp_addr *v, unsigned n)
{
	if (n == 0)
		return;
	i->lead.n_addrs = n < INITIATOR_MAX_ADDRS ? n : INITIATOR_MAX_ADDRS;
	memcpy(i->lead.addr, v, i->lead.n_addrs * sizeof(*v));
	/* what a login under way was told was about a place of the old list */
	i->lead.permanent = false;
	i->lead.moved_hop = 0;
}

void initiator_start(struct initiator *i)
{
	int r;

	if (i->state != INITIATOR_NEW)
		return;
	cmds_clock_hold(i); /* until the session is up */
	r = take_timers(i);
	link_begin_attempt(&i->lead);
	if (r) {
		/* Told by the work at the end of the turn, not from in here. */
		i->lead.failure = (struct initiator_failure){.error = r, .text = "out of memory"};
		i->start_failed = true;
	}
}

void initiator_release(struct initiator *i)
{
	if (i->state != INITIATOR_VERIFYING || i->leaving)
		return;
	i->state = INITIATOR_UP;
	end_hold(i);
	session_hold(i->session, false, now_of(i));
	initiator_wake(i);
}

void initiator_logout(struct initiator *i)
{
	if (i->state == INITIATOR_CLOSING || i->state == INITIATOR_CLOSED)
		return;
	if (links_n_up(i) == 0)
		i->close_now = true;
	begin_closing(i);
}

void initiator_close(struct initiator *i)
{
	if (i->state == INITIATOR_CLOSED)
		return;
	i->close_now = true;
	begin_closing(i);
}

int initiator_text(struct initiator *i, const char *text, size_t n,
		   void (*done)(void *user, int error, const char *text, size_t n))
{
	int r;

	if (i->state != INITIATOR_UP || i->leaving)
		return -ENOTCONN;
	if (i->text_done)
		return -EBUSY;
	r = session_text(i->session, text, n, now_of(i));
	if (r)
		return r;
	i->text_done = done;
	initiator_wake(i);
	return 0;
}

bool initiator_auth_is(const struct initiator *i, const void *name, size_t n_name,
		       const void *secret, size_t n_secret)
{
	return session_auth_is(i->session, name, n_name, secret, n_secret);
}

void initiator_get_status(const struct initiator *i, struct initiator_status *ret)
{
	const struct link *l;

	*ret = (struct initiator_status){
		.state = i->state,
		.tsih = session_tsih(i->session),
		.n_reconnects = i->n_reconnects,
		.n_commands = i->n_commands,
		.n_up = links_n_up(i),
		.params = *session_params(i->session),
	};
	list_for_each (l, &i->links, node)
		if (l->state != LINK_GONE)
			link_status(l, &ret->connection[ret->n_connections++]);
}

const struct iscsi_stats *initiator_stats(const struct initiator *i)
{
	return session_stats(i->session);
}
