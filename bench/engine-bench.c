/* SPDX-License-Identifier: MIT */
/*
 * engine-bench: the protocol engine at a target, and nothing else
 *
 * One connection, one thread, no device: what the engine and two system calls a
 * batch can do. Prints IOPS, MB/s, latency percentiles and CPU time per command,
 * so that it can stand beside another initiator's figures for the same target
 * in the same run (bench/compare).
 *
 * Writing destroys the unit's contents and has to be asked for by --rw.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "iscsi/engine.h"

#define MAX_IOV 512
#define MAX_QD  1024

struct options {
	const char *portal, *target, *initiator, *rw;
	unsigned lun, qd;
	uint32_t block;
	double seconds;
	bool header_digest, data_digest, json;
};

struct slot {
	struct iscsi_task task;
	struct iovec iov;
	uint64_t started_ns;
};

struct bench {
	struct options o;
	int fd;
	struct iscsi_session *session;
	struct iscsi_conn *conn;
	bool up, over, logged_out;
	uint64_t n_blocks;
	uint32_t block_bytes;
	struct slot slot[MAX_QD];
	uint64_t next_off, random;
	uint64_t *latency;
	size_t n_done, n_latency;
	uint64_t n_errors;
	bool stopping;
	unsigned n_flying;
};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "engine-bench: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	exit(1);
}

static int dial(const char *portal)
{
	char host[256];
	const char *colon = strrchr(portal, ':');
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	int one = 1, fd, r;

	if (!colon || (size_t)(colon - portal) >= sizeof(host))
		die("--portal takes HOST:PORT, not %s", portal);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - portal), portal);
	r = getaddrinfo(host, colon + 1, &hints, &list);
	if (r)
		die("%s: %s", portal, gai_strerror(r));
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, list->ai_addr, list->ai_addrlen))
		die("%s: %s", portal, strerror(errno));
	freeaddrinfo(list);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static bool is_write(const struct bench *b)
{
	return strstr(b->o.rw, "write");
}

static void issue(struct bench *b, struct slot *s, uint64_t now_ns)
{
	uint32_t n = b->o.block / b->block_bytes;
	uint64_t room = b->n_blocks / n, lba;

	if (strncmp(b->o.rw, "rand", 4) == 0) {
		b->random = b->random * 6364136223846793005u + 1442695040888963407u;
		lba = (b->random >> 11) % room * n;
	} else {
		lba = b->next_off % room * n;
		b->next_off++;
	}
	memset(&s->task, 0, sizeof(s->task));
	s->task.lun = (uint64_t)b->o.lun << 48;
	s->task.cdb[0] = is_write(b) ? 0x8a : 0x88;
	put_be64(s->task.cdb + 2, lba);
	put_be32(s->task.cdb + 10, n);
	s->task.dir = is_write(b) ? ISCSI_DIR_WRITE : ISCSI_DIR_READ;
	s->task.iov = &s->iov;
	s->task.n_iov = 1;
	s->task.n_data = b->o.block;
	s->task.user = s;
	s->started_ns = now_ns;
	b->n_flying++;
	session_submit(b->session, &s->task, now_ns);
}

static void on_done(struct bench *b, struct iscsi_task *t, uint64_t now_ns)
{
	struct slot *s = t->user;

	b->n_flying--;
	if (!s)
		return; /* one of the questions before the run: polled by its result */
	if (t->result != ISCSI_TASK_OK || t->status)
		b->n_errors++;
	if (b->n_done < b->n_latency)
		b->latency[b->n_done] = now_ns - s->started_ns;
	b->n_done++;
	if (!b->stopping)
		issue(b, s, now_ns);
}

static void drain(struct bench *b, uint64_t now_ns)
{
	struct iscsi_event ev;

	while (session_next_event(b->session, &ev)) {
		switch (ev.kind) {
		case ISCSI_EV_UP: b->up = true; break;
		case ISCSI_EV_TASK_DONE: on_done(b, ev.task, now_ns); break;
		case ISCSI_EV_LOGGED_OUT: b->logged_out = true; break;
		case ISCSI_EV_NOTE: fprintf(stderr, "engine-bench: %s\n", ev.text); break;
		case ISCSI_EV_LOGIN_FAILED:
		case ISCSI_EV_REDIRECT:
			die("login failed: %s (status 0x%04x)", ev.text, ev.login_status);
		case ISCSI_EV_CONN_DOWN: die("connection lost: %s", ev.text);
		case ISCSI_EV_TMF_DONE:
		case ISCSI_EV_TEXT_DONE:
		case ISCSI_EV_LOGOUT_WANTED:
		case ISCSI_EV_SCSI_ASYNC: break;
		}
	}
}

/* One turn: send what there is, wait, receive what there is. */
static void turn(struct bench *b)
{
	struct iovec iov[MAX_IOV];
	struct pollfd p = {.fd = b->fd, .events = POLLIN};
	uint64_t t = now(), deadline;
	size_t n;
	int wait;

	while ((n = conn_tx_peek(b->conn, iov, MAX_IOV, t)) > 0) {
		struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
		ssize_t w = sendmsg(b->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (w < 0 && errno == EAGAIN) {
			p.events |= POLLOUT;
			break;
		}
		if (w < 0)
			die("send: %s", strerror(errno));
		conn_tx_done(b->conn, (size_t)w, t);
	}
	drain(b, t);
	deadline = session_deadline_ns(b->session);
	wait = deadline == ISCSI_NEVER ? 1000
	       : deadline <= t         ? 0
				       : (int)((deadline - t) / 1000000 + 1);
	if (poll(&p, 1, wait > 1000 ? 1000 : wait) < 0 && errno != EINTR)
		die("poll: %s", strerror(errno));
	t = now();
	for (int i = 0; p.revents & POLLIN && i < 16; i++) {
		struct msghdr m = {.msg_iov = iov};
		size_t wanted = 0;
		ssize_t r;

		m.msg_iovlen = conn_rx_want(b->conn, iov, MAX_IOV);
		if (!m.msg_iovlen)
			break;
		for (n = 0; n < m.msg_iovlen; n++)
			wanted += iov[n].iov_len;
		r = recvmsg(b->fd, &m, MSG_DONTWAIT);
		if (r < 0 && errno == EAGAIN)
			break;
		if (r <= 0) {
			conn_lost(b->conn, r ? strerror(errno) : "closed by the target", t);
			break;
		}
		conn_rx_done(b->conn, (size_t)r, t);
		drain(b, t);
		if ((size_t)r < wanted)
			break; /* the socket is empty: no need to ask it */
	}
	session_tick(b->session, t);
	drain(b, t);
}

static void until(struct bench *b, const bool *flag, const char *what)
{
	uint64_t end = now() + 20 * UINT64_C(1000000000);

	while (!*flag) {
		turn(b);
		if (now() > end)
			die("no %s within 20 s", what);
	}
}

/* A question before the run, once more when the target only wanted to say "unit attention". */
static void ask(struct bench *b, const uint8_t cdb[16], void *buf, uint32_t n)
{
	struct iovec iov = {buf, n};

	for (int i = 0; i < 5; i++) {
		struct iscsi_task t = {.lun = (uint64_t)b->o.lun << 48,
				       .dir = ISCSI_DIR_READ,
				       .iov = &iov,
				       .n_iov = 1,
				       .n_data = n};

		memcpy(t.cdb, cdb, 16);
		b->n_flying++;
		session_submit(b->session, &t, now());
		while (b->n_flying)
			turn(b);
		if (t.result == ISCSI_TASK_OK && t.status == 0)
			return;
	}
	die("the target does not answer command 0x%02x for LUN %u", cdb[0], b->o.lun);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile(const struct bench *b, size_t n, double p)
{
	return n ? (double)b->latency[(size_t)((double)(n - 1) * p)] / 1000 : 0;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(struct bench *b, double seconds, double cpu)
{
	size_t n = b->n_done < b->n_latency ? b->n_done : b->n_latency;
	double iops = (double)b->n_done / seconds, mb = iops * b->o.block / 1e6;
	double cpu_us = b->n_done ? cpu * 1e6 / (double)b->n_done : 0;

	qsort(b->latency, n, sizeof(*b->latency), by_value);
	if (b->o.json) {
		printf("{\"rw\":\"%s\",\"block\":%u,\"qd\":%u,\"seconds\":%.2f,\"ios\":%zu,"
		       "\"errors\":%" PRIu64 ",\"iops\":%.0f,\"mb_per_s\":%.1f,\"lat_us\":{\"p50\":"
		       "%.1f,\"p99\":%.1f,\"p999\":%.1f,"
		       "\"max\":%.1f},\"cpu_us_per_io\":%.2f}\n",
		       b->o.rw, b->o.block, b->o.qd, seconds, b->n_done, b->n_errors, iops, mb,
		       percentile(b, n, 0.5), percentile(b, n, 0.99), percentile(b, n, 0.999),
		       percentile(b, n, 1), cpu_us);
		return;
	}
	printf("%s %u bytes, queue depth %u, %.1f s: %zu commands, %" PRIu64 " errors\n", b->o.rw,
	       b->o.block, b->o.qd, seconds, b->n_done, b->n_errors);
	printf("  %.0f IOPS, %.1f MB/s, CPU %.2f us a command\n", iops, mb, cpu_us);
	printf("  latency us: p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n", percentile(b, n, 0.5),
	       percentile(b, n, 0.99), percentile(b, n, 0.999), percentile(b, n, 1));
}

static void usage(void)
{
	puts("usage: engine-bench --portal HOST:PORT --target NAME [options]\n"
	     "  --lun N             unit to use (0)\n"
	     "  --rw KIND           read, randread, write, randwrite (randread); writing destroys "
	     "its data\n"
	     "  --block BYTES       bytes of one command (4096)\n"
	     "  --qd N              commands at once (32)\n"
	     "  --seconds S         how long (5)\n"
	     "  --header-digest, --data-digest\n"
	     "  --initiator NAME    our node name\n"
	     "  --json              one line for programs");
}

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {{"portal", 1, NULL, 'p'},
					      {"target", 1, NULL, 't'},
					      {"lun", 1, NULL, 'l'},
					      {"rw", 1, NULL, 'w'},
					      {"block", 1, NULL, 'b'},
					      {"qd", 1, NULL, 'q'},
					      {"seconds", 1, NULL, 's'},
					      {"header-digest", 0, NULL, 'H'},
					      {"data-digest", 0, NULL, 'D'},
					      {"initiator", 1, NULL, 'i'},
					      {"json", 0, NULL, 'j'},
					      {"help", 0, NULL, 'h'},
					      {0}};
	int c;

	*o = (struct options){.initiator = "iqn.2026-11.local.bench:engine",
			      .rw = "randread",
			      .block = 4096,
			      .qd = 32,
			      .seconds = 5};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'p': o->portal = optarg; break;
		case 't': o->target = optarg; break;
		case 'l': o->lun = (unsigned)atoi(optarg); break;
		case 'w': o->rw = optarg; break;
		case 'b': o->block = (uint32_t)atoi(optarg); break;
		case 'q': o->qd = (unsigned)atoi(optarg); break;
		case 's': o->seconds = atof(optarg); break;
		case 'H': o->header_digest = true; break;
		case 'D': o->data_digest = true; break;
		case 'i': o->initiator = optarg; break;
		case 'j': o->json = true; break;
		case 'h': usage(); exit(0);
		default: usage(); exit(2);
		}
	}
	if (!o->portal || !o->target || optind < argc || o->qd < 1 || o->qd > MAX_QD ||
	    o->block < 512 || o->block % 512 || o->lun > 255) {
		usage();
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct iscsi_session_cfg cfg = {.isid = {0x80, 0xbe, 0x4c, 0, 0, 1}};
	uint8_t cap[32] = {0}, cdb[16] = {0x9e, 0x10, [13] = 32};
	uint64_t start;
	double cpu, took;

	parse(&b.o, argc, argv);
	cfg.initiator_name = b.o.initiator;
	cfg.target_name = b.o.target;
	cfg.n_tasks = b.o.qd < 16 ? 16 : b.o.qd;
	iscsi_params_default_offer(&cfg.offer);
	cfg.offer.HeaderDigest = b.o.header_digest ? ISCSI_OFFER_CRC32C : ISCSI_OFFER_NONE;
	cfg.offer.DataDigest = b.o.data_digest ? ISCSI_OFFER_CRC32C : ISCSI_OFFER_NONE;
	b.fd = dial(b.o.portal);
	b.n_latency = 4u << 20;
	b.latency = calloc(b.n_latency, sizeof(*b.latency));
	if (!b.latency || session_new(&b.session, &cfg) || conn_new(&b.conn, b.session, 0))
		die("out of memory");
	conn_start(b.conn, now());
	until(&b, &b.up, "login");

	ask(&b, cdb, cap, sizeof(cap));
	b.n_blocks = get_be64(cap) + 1;
	b.block_bytes = get_be32(cap + 8);
	if (!b.block_bytes || b.o.block % b.block_bytes || b.n_blocks < b.o.block / b.block_bytes)
		die("the unit has %" PRIu64 " blocks of %u bytes: --block does not fit", b.n_blocks,
		    b.block_bytes);
	for (unsigned i = 0; i < b.o.qd; i++) {
		b.slot[i].iov = (struct iovec){aligned_alloc(4096, (b.o.block + 4095u) & ~4095u),
					       b.o.block};
		if (!b.slot[i].iov.iov_base)
			die("out of memory");
		memset(b.slot[i].iov.iov_base, 0x5a, b.o.block);
	}

	start = now();
	cpu = cpu_seconds();
	for (unsigned i = 0; i < b.o.qd; i++)
		issue(&b, &b.slot[i], start);
	while (now() - start < (uint64_t)(b.o.seconds * 1e9))
		turn(&b);
	took = (double)(now() - start) / 1e9;
	cpu = cpu_seconds() - cpu;
	report(&b, took, cpu);

	b.stopping = true;
	while (b.n_flying)
		turn(&b);
	if (session_logout(b.session, now()) == 0)
		until(&b, &b.logged_out, "answer to the logout");
	session_free(b.session);
	for (unsigned i = 0; i < b.o.qd; i++)
		free(b.slot[i].iov.iov_base);
	free(b.latency);
	close(b.fd);
	return b.n_errors ? 1 : 0;
}
