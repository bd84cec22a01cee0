/* SPDX-License-Identifier: MIT */
/*
 * The life of a session
 *
 * A login tries the addresses in order, each once, and follows redirects. The first
 * login ends in up() or failed(); each later one follows a loss and is repeated, with
 * growing pauses, until it succeeds or the owner closes the session. The engine's
 * session object stays the same all the time, and so do ISID and queued tasks.
 *
 * What is worth telling is told once per change, not once per attempt.
 */
#include "initiator/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/name.h"
#include "initiator/portal.h"

#define DEFAULT_NS(v, ns) ((v) ? (v) : (ns))
#define REDIRECT_FOREVER  0x0102
#define DRAIN_MAX_NS \
	(10 * NS_PER_S) /* for commands under way, before a logout the target asked for */

enum {
	RANK_NONE,
	RANK_CONNECT,
	RANK_LOGIN,
	RANK_STATUS
};

static uint64_t now_of(const struct initiator *i)
{
	return loop_now_ns(i->loop);
}

static void arm(struct initiator *i, struct loop_timer *t, uint64_t deadline_ns)
{
	/* Armed since the start: moving it cannot fail. */
	(void)loop_timer_set(i->loop, t, deadline_ns < TIMER_PARKED ? deadline_ns : TIMER_PARKED);
}

static void park(struct initiator *i, struct loop_timer *t)
{
	arm(i, t, TIMER_PARKED);
}

static uint64_t after(const struct initiator *i, uint64_t ns)
{
	uint64_t now_ns = now_of(i);

	return ns < TIMER_PARKED - now_ns ? now_ns + ns : TIMER_PARKED;
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

static void text_finish(struct initiator *i, int error, const char *text, size_t n)
{
	void (*done)(void *user, int error, const char *text, size_t n) = i->text_done;

	i->text_done = NULL;
	if (done)
		done(i->user, error, text, n);
}

/* All callbacks are over when this returns; the owner may have freed @i then. */
static void finish(struct initiator *i)
{
	sock_close(i);
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
	loop_defer_cancel(&i->work);
	i->ops->closed(i->user);
}

static void closing_work(struct initiator *i)
{
	cmds_fail_all(i, -ECANCELED);
	if (!i->close_now && !i->logout_sent) {
		if (i->logged_in && session_logout(i->session, now_of(i)) == 0) {
			i->logout_sent = true;
			arm(i, &i->phase_timer, after(i, i->logout_timeout_ns + GUARD_NS));
		} else {
			i->close_now = true;
		}
	}
	sock_flush(i);
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

/* ---- a login that fails ------------------------------------------------ */

static const struct tcp_addr *current_addr(const struct initiator *i)
{
	return &i->hop[i->n_hops];
}

static void begin_address(struct initiator *i)
{
	i->state = INITIATOR_CONNECTING;
	i->n_hops = 0;
	i->moved = false;
	i->permanent = true;
	i->hop[0] = i->addr[i->addr_at];
	park(i, &i->phase_timer);
	initiator_wake(i);
}

static void begin_attempt(struct initiator *i)
{
	i->addr_at = 0;
	i->failure = (struct initiator_failure){0};
	i->failure_rank = RANK_NONE;
	begin_address(i);
}

/* Of several failures the one that came furthest is told; of equals the first. */
static void record_failure(struct initiator *i, int error, uint16_t login_status, bool connected,
			   const char *why)
{
	unsigned rank = login_status ? RANK_STATUS : connected ? RANK_LOGIN : RANK_CONNECT;
	char addr[TCP_ADDR_TEXT];

	if (rank <= i->failure_rank)
		return;
	i->failure_rank = rank;
	i->failure.error = error;
	i->failure.login_status = login_status;
	i->failure.connected = connected;
	tcp_addr_text_port(current_addr(i), addr, sizeof(addr));
	snprintf(i->failure.text, sizeof(i->failure.text), "%s: %s", addr, why);
}

static void give_up(struct initiator *i)
{
	const struct initiator_failure f = i->failure;

	begin_closing(i);
	close_soon(i);
	i->ops->failed(i->user, &f);
}

/* A quarter more or less, so that many sessions do not come back in step. */
static uint64_t jitter(uint64_t ns)
{
	uint32_t r = UINT32_MAX / 2;

	(void)!getrandom(&r, sizeof(r), GRND_NONBLOCK);
	return ns - ns / 4 + (uint64_t)((double)(ns / 2) * r / UINT32_MAX);
}

static void schedule_retry(struct initiator *i, uint64_t at_least_ns)
{
	uint64_t delay_ns = jitter(i->retry_ns);

	if (delay_ns < at_least_ns)
		delay_ns = at_least_ns;
	i->retry_ns = i->retry_ns < i->retry_max_ns / 2 ? 2 * i->retry_ns : i->retry_max_ns;
	arm(i, &i->phase_timer, after(i, delay_ns));
}

static void attempt_over(struct initiator *i)
{
	const struct initiator_failure *f = &i->failure;

	if (!i->was_up) {
		give_up(i);
		return;
	}
	i->state = INITIATOR_DOWN;
	i->n_attempts++;
	schedule_retry(i, i->retry_min_ns);
	if (f->error == i->noted_error && f->login_status == i->noted_status)
		return;
	i->noted_error = f->error;
	i->noted_status = f->login_status;
	initiator_note(i, "login failed, will be tried again: %s", f->text);
}

void attempt_failed(struct initiator *i, int error, uint16_t login_status, bool connected,
		    const char *why)
{
	record_failure(i, error, login_status, connected, why);
	if (++i->addr_at < i->n_addrs)
		begin_address(i);
	else
		attempt_over(i);
}

void attempt_connected(struct initiator *i)
{
	i->state = INITIATOR_LOGGING_IN;
	/* The engine has this bound itself; but a wait without end must not hang on one place. */
	arm(i, &i->phase_timer, after(i, i->login_timeout_ns + GUARD_NS));
}

static void redirect(struct initiator *i, uint16_t status, const char *to)
{
	bool forever = status == REDIRECT_FOREVER;
	const char *why = NULL;
	struct portal portal;
	struct tcp_addr addr;
	char text[400];

	if (portal_parse(&portal, to, strlen(to)))
		why = "the address cannot be understood";
	else if (tcp_literal(portal.host, portal.port, &addr))
		why = "the address is a name, and only numbers are followed";
	else if (i->n_hops == INITIATOR_HOPS)
		why = "too many redirects one after another";
	for (unsigned k = 0; !why && k <= i->n_hops; k++)
		if (tcp_addr_equal(&i->hop[k], &addr))
			why = "the redirects go in a circle";
	if (why) {
		snprintf(text, sizeof(text), "redirected to \"%s\": %s", to, why);
		attempt_failed(i, -EREMOTEIO, status, true, text);
		return;
	}
	/* An unbroken line of permanent moves says where the target lives now. */
	i->permanent = i->permanent && forever;
	if (i->permanent) {
		i->moved = true;
		i->moved_to = addr;
	}
	i->hop[++i->n_hops] = addr;
	i->state = INITIATOR_CONNECTING;
	park(i, &i->phase_timer);
	initiator_wake(i);
	initiator_note(i, "redirected %s to %s", forever ? "permanently" : "temporarily", to);
}

/* At the same address, at once; the engine says so once in a session. */
static void login_once_more(struct initiator *i, const char *why)
{
	i->state = INITIATOR_CONNECTING;
	park(i, &i->phase_timer);
	initiator_wake(i);
	initiator_note(i, "%s", why);
}

/* Why the connection has ended just now. */
static int transport_error(const struct initiator *i)
{
	if (i->conn_error)
		return i->conn_error;
	/* Else it was the engine that gave it up: for want of an answer, or for a bad one. */
	return i->ticking ? -ETIMEDOUT : -EPROTO;
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
	i->up_since_ns = now_of(i);
}

static void login_done(struct initiator *i)
{
	const struct iscsi_stats *stats = session_stats(i->session);

	i->logged_in = true;
	i->conn_up_since_ns = now_of(i);
	i->conn_bytes_before = stats->rx_bytes + stats->tx_bytes;
	park(i, &i->phase_timer);
	park(i, &i->first_timer);
	if (i->moved) {
		i->addr[0] = i->moved_to;
		i->n_addrs = 1;
	}
	if (!i->was_up) {
		i->was_up = true;
		i->state = INITIATOR_UP;
		end_hold(i);
		initiator_wake(i);
		i->ops->up(i->user);
		return;
	}
	i->n_reconnects++;
	i->noted_error = 0;
	i->noted_status = 0;
	i->state = INITIATOR_VERIFYING;
	initiator_wake(i);
	initiator_note(i, "logged in again after %u attempt%s", i->n_attempts + 1,
		       i->n_attempts ? "s" : "");
	i->n_attempts = 0;
	if (i->ops->verify)
		i->ops->verify(i->user);
	else
		initiator_release(i);
}

/* The session was logged in and is not any longer; it will be again. */
static void session_lost(struct initiator *i, const char *why, unsigned time2wait_s)
{
	/* What a key may say at most; an asynchronous message could ask for 18 hours. */
	uint64_t wait_ns = (time2wait_s < 3600 ? time2wait_s : 3600) * NS_PER_S;
	int error = transport_error(i);

	sock_close(i);
	begin_hold(i);
	i->state = INITIATOR_DOWN;
	i->leaving = false;
	i->logout_due = false;
	i->logout_sent = false;
	/* who asks something on another thread must not wait for the session to come back */
	cmds_fail_probes(i);
	/* A session that is lost again and again soon after login is not tried any faster. */
	if (i->up_since_ns && now_of(i) - i->up_since_ns >= i->retry_max_ns)
		i->retry_ns = i->retry_min_ns;
	i->up_since_ns = 0;
	schedule_retry(i, wait_ns > i->retry_min_ns ? wait_ns : i->retry_min_ns);
	if (i->ops->down)
		i->ops->down(i->user, why);
	text_finish(i, error, NULL, 0);
}

/* The target asks us to leave within some seconds: first let commands under way end. */
static void logout_wanted(struct initiator *i, unsigned within_s)
{
	uint64_t drain_ns = within_s * NS_PER_S / 2;

	if (i->leaving || !i->logged_in || i->state == INITIATOR_CLOSING)
		return;
	i->leaving = true;
	begin_hold(i);
	session_hold(i->session, true, now_of(i));
	arm(i, &i->phase_timer, after(i, drain_ns < DRAIN_MAX_NS ? drain_ns : DRAIN_MAX_NS));
	initiator_wake(i);
	initiator_note(i, "the target asks for a logout within %u s", within_s);
}

static void leaving_work(struct initiator *i)
{
	if (i->logout_sent || (!i->logout_due && session_n_sent(i->session) > 0))
		return;
	if (session_logout(i->session, now_of(i))) {
		session_lost(i, "the target asked for a logout", 0);
		return;
	}
	i->logout_sent = true;
	arm(i, &i->phase_timer, after(i, i->logout_timeout_ns + GUARD_NS));
}

/* ---- what the engine tells --------------------------------------------- */

static int login_error(const struct initiator *i, const struct iscsi_event *ev)
{
	return ev->login_status ? -EREMOTEIO : transport_error(i);
}

static void on_logged_out(struct initiator *i, const struct iscsi_event *ev)
{
	uint64_t wait_s = ev->time2wait_s;

	if (i->state != INITIATOR_CLOSING) {
		session_lost(i, "logged out, as the target asked", ev->time2wait_s);
		return;
	}
	sock_close(i);
	if (wait_s > LOGOUT_WAIT_MAX_S)
		wait_s = LOGOUT_WAIT_MAX_S;
	if (i->close_now || ev->timed_out || i->discovery || wait_s == 0)
		close_soon(i);
	else
		arm(i, &i->phase_timer, after(i, wait_s * NS_PER_S));
}

/* The connection is dead; @text is our own copy. */
static void on_conn_end(struct initiator *i, const struct iscsi_event *ev, const char *text)
{
	int error;

	switch (i->state) {
	case INITIATOR_LOGGING_IN:
		error = login_error(i, ev);
		sock_close(i);
		if (ev->again)
			login_once_more(i, text);
		else
			attempt_failed(i, error, ev->login_status, true, text);
		break;
	case INITIATOR_UP:
	case INITIATOR_VERIFYING: session_lost(i, text, ev->time2wait_s); break;
	case INITIATOR_CLOSING:
		sock_close(i);
		close_soon(i);
		break;
	case INITIATOR_NEW:
	case INITIATOR_CONNECTING:
	case INITIATOR_DOWN:
	case INITIATOR_CLOSED: break;
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

	if (ev->kind == ISCSI_EV_TASK_DONE) {
		cmds_task_done(i, ev->task);
		return;
	}
	/* What a connection said that is closed since does not count. */
	if (!i->conn || ev->conn != i->conn)
		return;
	if (ev->kind == ISCSI_EV_TEXT_DONE) {
		text_finish(i, 0, ev->text, ev->n_text);
		return;
	}
	text_copy(text, sizeof(text), ev->text ? ev->text : "");
	switch (ev->kind) {
	case ISCSI_EV_UP:
		if (i->state == INITIATOR_LOGGING_IN)
			login_done(i);
		break;
	case ISCSI_EV_REDIRECT:
		if (i->state == INITIATOR_LOGGING_IN) {
			sock_close(i);
			redirect(i, ev->login_status, text);
			break;
		}
		on_conn_end(i, ev, text);
		break;
	case ISCSI_EV_LOGIN_FAILED:
	case ISCSI_EV_CONN_DOWN: on_conn_end(i, ev, text); break;
	case ISCSI_EV_LOGGED_OUT: on_logged_out(i, ev); break;
	case ISCSI_EV_LOGOUT_WANTED: logout_wanted(i, ev->time2wait_s); break;
	case ISCSI_EV_SCSI_ASYNC:
		initiator_note(i, "asynchronous SCSI event of LUN 0x%016llx",
			       (unsigned long long)ev->lun);
		break;
	case ISCSI_EV_NOTE: initiator_note(i, "%s", text); break;
	case ISCSI_EV_TASK_DONE:
	case ISCSI_EV_TEXT_DONE: break;
	}
}

void events_drain(struct initiator *i)
{
	struct iscsi_event ev;

	while (session_next_event(i->session, &ev))
		event_act(i, &ev);
	/* A connection that has died must not be waited for, whatever was said of it. */
	if (i->conn && !conn_alive(i->conn)) {
		ev = (struct iscsi_event){.kind = ISCSI_EV_CONN_DOWN, .conn = i->conn};
		on_conn_end(i, &ev, "the connection has ended");
	}
}

/* ---- timers and deferred work ------------------------------------------ */

static void phase_fire(struct loop_timer *t)
{
	struct initiator *i = CONTAINER_OF(t, struct initiator, phase_timer);

	park(i, t);
	switch (i->state) {
	case INITIATOR_CONNECTING:
		sock_close(i);
		attempt_failed(i, -ETIMEDOUT, 0, false, "no connection in time");
		break;
	case INITIATOR_LOGGING_IN:
		sock_close(i);
		events_drain(i);
		attempt_failed(i, -ETIMEDOUT, 0, true, "no end of login in time");
		break;
	case INITIATOR_DOWN: begin_attempt(i); break;
	case INITIATOR_UP:
	case INITIATOR_VERIFYING:
		if (!i->leaving)
			break;
		if (i->logout_sent)
			session_lost(i, "no answer to the logout that the target asked for", 0);
		else
			i->logout_due = true;
		break;
	case INITIATOR_CLOSING: i->close_now = true; break;
	case INITIATOR_NEW:
	case INITIATOR_CLOSED: break;
	}
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
	sock_close(i);
	events_drain(i);
	record_failure(i, -ETIMEDOUT, 0, connected, why);
	give_up(i);
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
		give_up(i);
		return;
	}
	if (i->state == INITIATOR_CONNECTING && !i->sock_open) {
		arm(i, &i->phase_timer, after(i, i->connect_timeout_ns));
		sock_connect(i, current_addr(i));
	}
	if (i->leaving)
		leaving_work(i);
	cmds_pump(i);
	sock_flush(i);
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
	    cfg->n_addrs == 0 || cfg->n_addrs > INITIATOR_MAX_ADDRS || n_commands > 4096)
		return -EINVAL;
	i = calloc(1, sizeof(*i));
	if (!i)
		return -ENOMEM;
	i->loop = cfg->loop;
	i->ops = cfg->ops;
	i->user = cfg->user;
	memcpy(i->addr, cfg->addr, sizeof(i->addr));
	i->n_addrs = cfg->n_addrs;
	i->discovery = session.discovery;
	i->connect_timeout_ns = DEFAULT_NS(cfg->connect_timeout_ns, 5 * NS_PER_S);
	i->first_login_timeout_ns = DEFAULT_NS(cfg->first_login_timeout_ns, 30 * NS_PER_S);
	i->hold_ns = DEFAULT_NS(cfg->hold_ns, 60 * NS_PER_S);
	i->retry_min_ns = DEFAULT_NS(cfg->retry_min_ns, NS_PER_S);
	i->retry_max_ns = DEFAULT_NS(cfg->retry_max_ns, 30 * NS_PER_S);
	if (i->retry_max_ns < i->retry_min_ns)
		i->retry_max_ns = i->retry_min_ns;
	i->retry_ns = i->retry_min_ns;
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
	i->sock.fd = -1;
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
		r = loop_timer_set(i->loop, &i->hold_timer, TIMER_PARKED);
	if (!r)
		r = loop_timer_set(i->loop, &i->first_timer, after(i, i->first_login_timeout_ns));
	return r;
}

void initiator_start(struct initiator *i)
{
	int r;

	if (i->state != INITIATOR_NEW)
		return;
	cmds_clock_hold(i); /* until the session is up */
	r = take_timers(i);
	begin_attempt(i);
	if (r) {
		/* Told by the work at the end of the turn, not from in here. */
		i->failure = (struct initiator_failure){.error = r, .text = "out of memory"};
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
	if (!i->logged_in)
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

static void connection_status(const struct initiator *i, struct initiator_connection *ret)
{
	const struct iscsi_params *p = conn_params(i->conn);
	const struct iscsi_stats *stats = session_stats(i->session);
	uint64_t up_ns = now_of(i) - i->conn_up_since_ns;
	uint64_t n_bytes = stats->rx_bytes + stats->tx_bytes - i->conn_bytes_before;

	ret->state = i->state == INITIATOR_CLOSING ? INITIATOR_CONN_LOGOUT : INITIATOR_CONN_UP;
	ret->cid = conn_cid(i->conn);
	ret->local = i->local;
	ret->peer = i->peer;
	ret->header_digest = p->HeaderDigest;
	ret->data_digest = p->DataDigest;
	ret->max_recv_segment = p->MaxRecvDataSegmentLength;
	ret->max_send_segment = p->TargetMaxRecvDataSegmentLength;
	ret->mss = tcp_mss(i->sock.fd);
	ret->bytes_per_second = up_ns < NS_PER_S ? n_bytes : n_bytes / (up_ns / NS_PER_S);
}

void initiator_get_status(const struct initiator *i, struct initiator_status *ret)
{
	*ret = (struct initiator_status){
		.state = i->state,
		.tsih = session_tsih(i->session),
		.n_up = i->logged_in ? 1 : 0,
		.n_connections = 1,
		.connection[0].number = 1,
		.n_reconnects = i->n_reconnects,
		.n_commands = i->n_commands,
		.params = *session_params(i->session),
	};
	if (i->logged_in)
		connection_status(i, &ret->connection[0]);
}

const struct iscsi_stats *initiator_stats(const struct initiator *i)
{
	return session_stats(i->session);
}
