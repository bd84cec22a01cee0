/* SPDX-License-Identifier: MIT */
/*
 * One connection of a session: how it comes about and comes back
 *
 * A login tries the addresses in order, each once, and follows redirects. The leading
 * connection's first login is the session's: its failure ends the session. The first
 * one of a further connection is for whoever asked for it, and its failure ends that
 * connection. Whatever has been up once is tried again, with growing pauses, until it
 * is up or its owner has had enough.
 *
 * While the session is lost only the leading connection is worked on; the others
 * wait, because there is nothing that they could join.
 *
 * What is worth telling is told once per change, not once per attempt.
 */
#include "initiator/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "initiator/portal.h"

#define REDIRECT_FOREVER 0x0102

enum {
	RANK_NONE,
	RANK_CONNECT,
	RANK_LOGIN,
	RANK_STATUS
};

static bool is_lead(const struct link *l)
{
	return l == &l->i->lead;
}

static uint64_t now_of(const struct link *l)
{
	return loop_now_ns(l->i->loop);
}

/* As long as the session is not up, what the leading connection does is what the session does. */
static void link_set(struct link *l, enum link_state state)
{
	struct initiator *i = l->i;

	l->state = state;
	if (!is_lead(l) || session_is_up(i) || i->state == INITIATOR_CLOSING)
		return;
	if (state == LINK_CONNECTING)
		i->state = INITIATOR_CONNECTING;
	else if (state == LINK_LOGGING_IN)
		i->state = INITIATOR_LOGGING_IN;
	else if (state == LINK_WAITING)
		i->state = INITIATOR_DOWN;
}

void link_init(struct link *l, struct initiator *i)
{
	l->i = i;
	l->number = ++i->last_number;
	l->retry_ns = i->retry_min_ns;
	l->timer.fire = link_fire;
	l->sock.fd = -1;
	list_append(&i->links, &l->node);
	i->n_links++;
}

struct link *link_of(struct initiator *i, const struct iscsi_conn *c)
{
	struct link *l;

	list_for_each (l, &i->links, node)
		if (c && l->conn == c)
			return l;
	return NULL;
}

bool link_has_peer(const struct initiator *i, const struct link *l)
{
	const struct link *other;

	list_for_each (other, &i->links, node)
		if (other != l && other->state == LINK_UP && conn_alive(other->conn))
			return true;
	return false;
}

unsigned links_n_up(const struct initiator *i)
{
	const struct link *l;
	unsigned n = 0;

	list_for_each (l, &i->links, node)
		n += l->state == LINK_UP;
	return n;
}

/* ---- who waits is told -------------------------------------------------- */

void link_change_done(struct link *l, struct initiator_change **at, int error)
{
	struct initiator_change *c = *at;

	if (!c)
		return;
	*at = NULL;
	c->error = error;
	c->number = l->number;
	c->done(c);
}

/* The link is no more; its memory goes at the end of the turn. */
static void link_end(struct link *l, int error)
{
	sock_close(l);
	l->state = LINK_GONE;
	initiator_wake(l->i);
	link_change_done(l, &l->adding, error);
	link_change_done(l, &l->removing, 0);
}

/* ---- a login that fails ------------------------------------------------ */

static const struct tcp_addr *current_addr(const struct link *l)
{
	return &l->hop[l->n_hops];
}

static void arm_within(struct link *l, uint64_t ns)
{
	uint64_t deadline_ns = after(l->i, ns);

	if (l->give_up_ns && l->give_up_ns < deadline_ns)
		deadline_ns = l->give_up_ns;
	arm(l->i, &l->timer, deadline_ns);
}

static void begin_address(struct link *l)
{
	link_set(l, LINK_CONNECTING);
	l->n_hops = 0;
	l->moved_hop = 0;
	l->permanent = true;
	l->resolving = false;
	l->n_alt = l->alt_at = 0;
	l->hop[0] = l->addr[l->addr_at];
	park(l->i, &l->timer);
	initiator_wake(l->i);
}

void link_begin_attempt(struct link *l)
{
	l->addr_at = 0;
	l->failure = (struct initiator_failure){0};
	l->failure_rank = RANK_NONE;
	begin_address(l);
}

/* Of several failures the one that came furthest is told; of equals the first. */
void record_failure(struct link *l, int error, uint16_t login_status, bool connected,
		    const char *why)
{
	unsigned rank = login_status ? RANK_STATUS : connected ? RANK_LOGIN : RANK_CONNECT;
	char addr[TCP_ADDR_TEXT];

	if (rank <= l->failure_rank)
		return;
	l->failure_rank = rank;
	l->failure.error = error;
	l->failure.login_status = login_status;
	l->failure.connected = connected;
	tcp_addr_text_port(current_addr(l), addr, sizeof(addr));
	snprintf(l->failure.text, sizeof(l->failure.text), "%s: %s", addr, why);
}

/* A quarter more or less, so that many sessions do not come back in step. */
static uint64_t jitter(uint64_t ns)
{
	uint32_t r = UINT32_MAX / 2;

	(void)!getrandom(&r, sizeof(r), GRND_NONBLOCK);
	return ns - ns / 4 + (uint64_t)((double)(ns / 2) * r / UINT32_MAX);
}

static void schedule_retry(struct link *l, uint64_t at_least_ns)
{
	struct initiator *i = l->i;
	uint64_t delay_ns = jitter(l->retry_ns);

	if (delay_ns < at_least_ns)
		delay_ns = at_least_ns;
	l->retry_ns = l->retry_ns < i->retry_max_ns / 2 ? 2 * l->retry_ns : i->retry_max_ns;
	link_set(l, LINK_WAITING);
	arm(i, &l->timer, after(i, delay_ns));
}

static void attempt_over(struct link *l)
{
	struct initiator *i = l->i;
	const struct initiator_failure *f = &l->failure;

	if (!i->was_up) {
		give_up(i, f);
		return;
	}
	if (l->adding) {
		l->adding->failure = *f;
		link_end(l, f->error);
		return;
	}
	l->n_attempts++;
	schedule_retry(l, i->retry_min_ns);
	if (f->error == l->noted_error && f->login_status == l->noted_status)
		return;
	l->noted_error = f->error;
	l->noted_status = f->login_status;
	if (session_is_up(i))
		initiator_note(i, "connection %u: login failed, will be tried again: %s", l->number,
			       f->text);
	else
		initiator_note(i, "login failed, will be tried again: %s", f->text);
}

void attempt_failed(struct link *l, int error, uint16_t login_status, bool connected,
		    const char *why)
{
	bool in_time = !l->give_up_ns || now_of(l) < l->give_up_ns;

	record_failure(l, error, login_status, connected, why);
	l->resolving = false;
	if (l->alt_at < l->n_alt && in_time) {
		l->hop[l->n_hops] = l->alt[l->alt_at++];
		link_set(l, LINK_CONNECTING);
		park(l->i, &l->timer);
		initiator_wake(l->i);
	} else if (++l->addr_at < l->n_addrs && in_time) {
		begin_address(l);
	} else {
		attempt_over(l);
	}
}

void attempt_connected(struct link *l)
{
	link_set(l, LINK_LOGGING_IN);
	/* The engine has this bound itself; but a wait without end must not hang on one place. */
	arm_within(l, l->i->login_timeout_ns + GUARD_NS);
}

/* ---- redirects --------------------------------------------------------- */

static void redirect_failed(struct link *l, const char *why)
{
	char text[178];

	snprintf(text, sizeof(text), "redirected to \"%.100s\": %s", l->redirect_to, why);
	attempt_failed(l, -EREMOTEIO, l->redirect_status, true, text);
}

/* Has this login been there? */
static bool was_at(const struct link *l, const struct tcp_addr *addr)
{
	for (unsigned k = 0; k <= l->n_hops; k++)
		if (tcp_addr_equal(&l->hop[k], addr))
			return true;
	return false;
}

/* The target is at one of these, it says. */
static void link_move(struct link *l, const struct tcp_addr *v, unsigned n)
{
	bool forever = l->redirect_status == REDIRECT_FOREVER;

	l->n_alt = l->alt_at = 0;
	for (unsigned k = 0; k < n && l->n_alt < INITIATOR_MAX_ADDRS; k++)
		if (!was_at(l, &v[k]))
			l->alt[l->n_alt++] = v[k];
	if (l->n_alt == 0) {
		redirect_failed(l, "the redirects go in a circle");
		return;
	}
	l->hop[++l->n_hops] = l->alt[l->alt_at++];
	/* An unbroken line of permanent moves says where the target lives now. */
	l->permanent = l->permanent && forever;
	if (l->permanent)
		l->moved_hop = l->n_hops;
	link_set(l, LINK_CONNECTING);
	park(l->i, &l->timer);
	initiator_wake(l->i);
	initiator_note(l->i, "redirected %s to %s", forever ? "permanently" : "temporarily",
		       l->redirect_to);
}

static void link_resolve(struct link *l, const struct portal *portal)
{
	struct initiator *i = l->i;

	if (!i->ops->resolve) {
		redirect_failed(l, "the address is a name, and only numbers are followed");
		return;
	}
	if (l->asked || i->ops->resolve(i->user, l->number, portal->host, portal->port)) {
		redirect_failed(l, l->asked ? "an earlier name is still being looked up"
					    : "the name cannot be looked up now");
		return;
	}
	l->asked = true;
	l->resolving = true;
	link_set(l, LINK_CONNECTING);
	arm_within(l, i->login_timeout_ns);
}

void link_redirect(struct link *l, uint16_t status, const char *to)
{
	struct portal portal;
	struct tcp_addr addr;

	l->redirect_status = status;
	snprintf(l->redirect_to, sizeof(l->redirect_to), "%s", to);
	if (portal_parse(&portal, to, strlen(to)))
		redirect_failed(l, "the address cannot be understood");
	else if (l->n_hops == INITIATOR_HOPS)
		redirect_failed(l, "too many redirects one after another");
	else if (tcp_literal(portal.host, portal.port, &addr) == 0)
		link_move(l, &addr, 1);
	else
		link_resolve(l, &portal);
}

void link_login_once_more(struct link *l, const char *why)
{
	link_set(l, LINK_CONNECTING);
	park(l->i, &l->timer);
	initiator_wake(l->i);
	initiator_note(l->i, "%s", why);
}

int transport_error(const struct link *l)
{
	if (l->conn_error)
		return l->conn_error;
	/* Else it was the engine that gave it up: for want of an answer, or for a bad one. */
	return l->i->ticking ? -ETIMEDOUT : -EPROTO;
}

/* ---- up and down ------------------------------------------------------- */

void link_up(struct link *l)
{
	struct initiator *i = l->i;

	l->state = LINK_UP;
	l->up_since_ns = now_of(l);
	l->n_bytes = 0;
	l->noted_error = 0;
	l->noted_status = 0;
	l->give_up_ns = 0;
	park(i, &l->timer);
	/* from that place only: the others are still worth a try when this one fails */
	if (l->moved_hop)
		l->addr[l->addr_at] = l->hop[l->moved_hop];
	if (i->ops->connection)
		i->ops->connection(i->user, l->number, true, NULL);
}

/* One that is lost again and again soon after login is not tried any faster. */
static void link_slow_down(struct link *l)
{
	if (l->up_since_ns && now_of(l) - l->up_since_ns >= l->i->retry_max_ns)
		l->retry_ns = l->i->retry_min_ns;
	l->up_since_ns = 0;
	l->n_attempts = 0;
}

static uint64_t wait_of(const struct link *l, unsigned time2wait_s)
{
	/* What a key may say at most; an asynchronous message could ask for 18 hours. */
	uint64_t wait_ns = (time2wait_s < 3600 ? time2wait_s : 3600) * NS_PER_S;

	return wait_ns > l->i->retry_min_ns ? wait_ns : l->i->retry_min_ns;
}

static void tell_down(struct link *l, const char *why)
{
	if (l->i->ops->connection)
		l->i->ops->connection(l->i->user, l->number, false, why);
}

void link_retry(struct link *l, unsigned time2wait_s)
{
	sock_close(l);
	link_slow_down(l);
	schedule_retry(l, wait_of(l, time2wait_s));
}

void link_lost(struct link *l, const char *why, const struct iscsi_event *ev)
{
	link_retry(l, ev->time2wait_s);
	/* with a bound that the target has set for it */
	if (ev->recover_s)
		arm(l->i, &l->timer, after(l->i, ev->time2wait_s * NS_PER_S));
	tell_down(l, why);
}

void link_leave(struct link *l)
{
	struct initiator *i = l->i;

	if (session_remove_conn(i->session, l->conn, now_of(l))) {
		link_left(l, 0);
		return;
	}
	l->state = LINK_LEAVING;
	/* once for what is under way, once for the answer */
	arm(i, &l->timer, after(i, 2 * i->logout_timeout_ns + GUARD_NS));
	initiator_wake(i);
}

void link_left(struct link *l, unsigned time2wait_s)
{
	bool removed = l->removing != NULL;

	tell_down(l, removed ? "removed" : "logged out, as the target asked");
	if (removed)
		link_end(l, 0);
	else
		link_retry(l, time2wait_s);
}

void links_stop(struct initiator *i, const char *why)
{
	struct link *l;

	list_for_each (l, &i->links, node) {
		bool was_up = l->state == LINK_UP || (l->state == LINK_LEAVING && l->conn);

		if (l->state == LINK_GONE)
			continue;
		sock_close(l);
		park(i, &l->timer);
		if (l->adding || l->removing)
			link_end(l, -ENOTCONN);
		else
			l->state = LINK_IDLE;
		if (was_up)
			tell_down(l, why);
	}
}

void links_go(struct initiator *i)
{
	struct link *l;

	list_for_each (l, &i->links, node)
		if (l->state == LINK_IDLE)
			link_begin_attempt(l);
}

void links_close_unless_up(struct initiator *i)
{
	struct link *l;

	list_for_each (l, &i->links, node) {
		if (l->state == LINK_UP || l->state == LINK_GONE)
			continue;
		sock_close(l);
		park(i, &l->timer);
		l->state = LINK_IDLE;
		link_change_done(l, &l->adding, -ECANCELED);
		link_change_done(l, &l->removing, -ECANCELED);
	}
}

void links_close(struct initiator *i)
{
	struct link *l;

	list_for_each (l, &i->links, node) {
		sock_close(l);
		if (l->state == LINK_UP)
			l->state = LINK_IDLE;
	}
}

static void link_free(struct link *l)
{
	struct initiator *i = l->i;

	loop_timer_cancel(i->loop, &l->timer);
	list_remove(&l->node);
	i->n_links--;
	free(l);
}

void links_work(struct initiator *i)
{
	struct link *l, *tmp;

	list_for_each_safe (l, tmp, &i->links, node) {
		if (l->remove_due && l->state == LINK_UP && link_has_peer(i, l))
			link_leave(l);
		else if (l->remove_due && l->state == LINK_UP)
			link_change_done(l, &l->removing, -EPERM); /* the last one by now */
		else if (l->removing && !l->conn)
			link_end(l, 0);
		l->remove_due = false;
		if (l->state == LINK_CONNECTING && !l->sock_open && !l->resolving) {
			arm_within(l, i->connect_timeout_ns);
			sock_connect(l, current_addr(l));
		}
		if (l->state == LINK_GONE)
			link_free(l);
	}
}

void links_free(struct initiator *i)
{
	struct link *l, *tmp;

	list_for_each_safe (l, tmp, &i->links, node) {
		list_remove(&l->node);
		if (!is_lead(l))
			free(l);
	}
}

void links_forget_timers(struct initiator *i)
{
	struct link *l;

	list_for_each (l, &i->links, node)
		loop_timer_cancel(i->loop, &l->timer);
}

void link_fire(struct loop_timer *t)
{
	struct link *l = CONTAINER_OF(t, struct link, timer);
	struct initiator *i = l->i;

	park(i, t);
	switch (l->state) {
	case LINK_CONNECTING:
		if (l->resolving) {
			redirect_failed(l, "the name was not looked up in time");
			break;
		}
		sock_close(l);
		attempt_failed(l, -ETIMEDOUT, 0, false, "no connection in time");
		break;
	case LINK_LOGGING_IN:
		sock_close(l);
		events_drain(i);
		attempt_failed(l, -ETIMEDOUT, 0, true, "no end of login in time");
		break;
	case LINK_WAITING: link_begin_attempt(l); break;
	case LINK_LEAVING: link_left(l, 0); break;
	case LINK_IDLE:
	case LINK_UP:
	case LINK_GONE: break;
	}
	initiator_wake(i);
}

/* ---- what the owner asks for ------------------------------------------- */

static unsigned links_count(const struct initiator *i)
{
	const struct link *l;
	unsigned n = 0;

	list_for_each (l, &i->links, node)
		n += l->state != LINK_GONE;
	return n;
}

static struct link *link_make(struct initiator *i, const struct initiator_connection_cfg *cfg)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	/* Armed from here on: moving it cannot fail. */
	if (loop_timer_set(i->loop, &l->timer, TIMER_PARKED)) {
		free(l);
		return NULL;
	}
	link_init(l, i);
	memcpy(l->addr, cfg->addr, sizeof(l->addr));
	l->n_addrs = cfg->n_addrs;
	l->has_header_digest = cfg->has_header_digest;
	l->has_data_digest = cfg->has_data_digest;
	l->header_digest = cfg->header_digest;
	l->data_digest = cfg->data_digest;
	return l;
}

int initiator_add_connection(struct initiator *i, const struct initiator_connection_cfg *cfg,
			     struct initiator_change *c)
{
	unsigned n = links_count(i);
	struct link *l;

	if (cfg->n_addrs == 0 || cfg->n_addrs > INITIATOR_MAX_ADDRS)
		return -EINVAL;
	if (!session_is_up(i) || i->leaving)
		return -ENOTCONN;
	if (n >= INITIATOR_MAX_CONNECTIONS || n >= session_params(i->session)->MaxConnections)
		return -EBUSY;
	l = link_make(i, cfg);
	if (!l)
		return -ENOMEM;
	l->adding = c;
	c->error = 0;
	c->number = l->number;
	c->failure = (struct initiator_failure){0};
	l->give_up_ns = after(i, i->first_login_timeout_ns);
	link_begin_attempt(l);
	return 0;
}

static struct link *link_numbered(struct initiator *i, unsigned number)
{
	struct link *l;

	list_for_each (l, &i->links, node)
		if (l->number == number && l->state != LINK_GONE)
			return l;
	return NULL;
}

void initiator_resolved(struct initiator *i, unsigned number, int error, const struct tcp_addr *v,
			unsigned n)
{
	struct link *l = link_numbered(i, number);

	if (!l)
		return;
	l->asked = false;
	if (!l->resolving || l->state != LINK_CONNECTING || i->state == INITIATOR_CLOSING)
		return;
	l->resolving = false;
	if (n > 0)
		link_move(l, v, n);
	else
		redirect_failed(l, error == -ENOENT ? "there is no such name" : strerror(-error));
	initiator_wake(i);
}

int initiator_remove_connection(struct initiator *i, unsigned number, struct initiator_change *c)
{
	struct link *l = link_numbered(i, number);

	if (i->state == INITIATOR_CLOSING || i->state == INITIATOR_CLOSED)
		return -ENOTCONN;
	if (!l)
		return -ENOENT;
	if (is_lead(l))
		return -EPERM;
	if (l->adding || l->removing)
		return -EBUSY;
	if (l->state == LINK_UP && !link_has_peer(i, l))
		return -EPERM;
	c->error = 0;
	c->number = number;
	l->removing = c;
	if (l->state == LINK_UP) {
		l->remove_due = true;
	} else if (l->state != LINK_LEAVING) {
		sock_close(l);
		park(i, &l->timer);
		l->state = LINK_LEAVING;
	}
	initiator_wake(i);
	return 0;
}

/* ---- what it tells ------------------------------------------------------ */

void link_status(const struct link *l, struct initiator_connection *ret)
{
	const struct iscsi_params *p;
	uint64_t up_ns = now_of(l) - l->up_since_ns;

	*ret = (struct initiator_connection){.number = l->number};
	if (l->state != LINK_UP && (l->state != LINK_LEAVING || !l->conn))
		return;
	p = conn_params(l->conn);
	ret->state = l->state == LINK_UP && l->i->state != INITIATOR_CLOSING
			     ? INITIATOR_CONN_UP
			     : INITIATOR_CONN_LOGOUT;
	ret->cid = conn_cid(l->conn);
	ret->local = l->local;
	ret->peer = l->peer;
	ret->header_digest = p->HeaderDigest;
	ret->data_digest = p->DataDigest;
	ret->max_recv_segment = p->MaxRecvDataSegmentLength;
	ret->max_send_segment = p->TargetMaxRecvDataSegmentLength;
	ret->mss = tcp_mss(l->sock.fd);
	ret->bytes_per_second = up_ns < NS_PER_S ? l->n_bytes : l->n_bytes / (up_ns / NS_PER_S);
}
