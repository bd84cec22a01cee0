/* SPDX-License-Identifier: MIT */
/*
 * iscsi-target: the target that misbehaves, on TCP
 *
 * One thread, epoll. It prints "ready PORT" when it listens. With --control it takes
 * connections on a Unix socket; each line is a command, answered by one line:
 *
 *	rule OP NTH ACT [ARG [TEXT]]   see target.h
 *	clear                          no rules any more
 *	misbehave PERMILLE             at random
 *	async EVENT [P1 [P2 [P3]]]     an Asynchronous Message on each connection
 *	restart [lose-cache]           all sessions gone, connections closed
 *	cut                            all transports closed, as a network would
 *	refuse | accept                new connections
 * *	stats                          numbers
 *	quit
 *
 * Rules may also be given beforehand, one a line, by --rules FILE.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "target.h"

#define MS 1000000

enum kind {
	LISTENER,
	CONTROL_LISTENER,
	CONTROL,
	ISCSI,
};

struct end {
	struct list node;
	enum kind kind;
	int fd;
	uint32_t events;
	struct tconn *c;
	char line[512];
	size_t n_line;
	bool dead; /* freed at the end of the turn */
};

static struct tgt *t;
static struct tgt_cfg cfg;
static int poller;
static struct list ends = LIST_INIT(ends);
static bool refusing, verbose, quitting;
static volatile sig_atomic_t signalled;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "iscsi-target: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void on_signal(int sig)
{
	signalled = sig;
}

static void traced(void *user, const char *what)
{
	fprintf(stderr, "%s\n", what);
}

static void complained(void *user, const char *what)
{
	fprintf(stderr, "the initiator breaks the protocol: %s\n", what);
}

/* ---- ends -------------------------------------------------------------- */

static struct end *end_new(enum kind kind, int fd)
{
	struct end *e = calloc(1, sizeof(*e));
	struct epoll_event ev = {.events = EPOLLIN};

	if (!e)
		die("memory");
	e->kind = kind;
	e->fd = fd;
	e->events = EPOLLIN;
	ev.data.ptr = e;
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &ev))
		die("epoll_ctl");
	list_append(&ends, &e->node);
	return e;
}

static void end_close(struct end *e)
{
	if (e->dead)
		return;
	e->dead = true;
	if (e->c)
		tgt_closed(e->c, now_ns());
	e->c = NULL;
	close(e->fd);
	e->fd = -1;
}

static void bury(void)
{
	struct end *e, *tmp;

	list_for_each_safe (e, tmp, &ends, node) {
		if (!e->dead)
			continue;
		list_remove(&e->node);
		free(e);
	}
}

static void want(struct end *e, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = e};

	if (e->events == events)
		return;
	e->events = events;
	if (epoll_ctl(poller, EPOLL_CTL_MOD, e->fd, &ev))
		die("epoll_ctl");
}

static void flush(struct end *e)
{
	const uint8_t *bytes;
	size_t n;

	while ((n = tgt_output(e->c, &bytes))) {
		ssize_t k = send(e->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k < 0 && errno != EAGAIN && errno != EINTR) {
			end_close(e);
			return;
		}
		if (k < 0)
			break;
		tgt_sent(e->c, (size_t)k);
	}
	want(e, n ? EPOLLIN | EPOLLOUT : EPOLLIN);
	if (tgt_wants_close(e->c)) {
		shutdown(e->fd, SHUT_RDWR);
		end_close(e);
	}
}

static void flush_all(void)
{
	struct end *e;

	list_for_each (e, &ends, node)
		if (e->kind == ISCSI && !e->dead)
			flush(e);
}

static void iscsi_in(struct end *e)
{
	static uint8_t bytes[1 << 18];
	ssize_t n = recv(e->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		tgt_input(e->c, bytes, (size_t)n, now_ns());
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		end_close(e);
}

static void iscsi_accept(struct end *l)
{
	int on = 1, fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct linger at_once = {1, 0};
	struct end *e;

	if (fd < 0)
		return;
	if (refusing) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	e = end_new(ISCSI, fd);
	e->c = tgt_accept(t, now_ns());
	if (!e->c)
		die("memory");
}

/* ---- control ----------------------------------------------------------- */

static void cut(void)
{
	struct linger at_once = {1, 0};
	struct end *e;

	list_for_each (e, &ends, node) {
		if (e->kind != ISCSI || e->dead)
			continue;
		setsockopt(e->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		end_close(e);
	}
}

static void print_stats(FILE *f)
{
	const struct tgt_stats *s = tgt_stats(t);

	fprintf(f,
		"{\"complaints\": %llu, \"commands\": %llu, \"writes\": %llu, \"misdeeds\": %llu, "
		"\"logins\": %llu, \"reinstated\": %llu, \"reassigned\": %llu, \"snacks\": %llu, "
		"\"resent\": %llu, \"sessions\": %u, \"tasks\": %u}\n",
		(unsigned long long)s->n_complaints, (unsigned long long)s->n_commands,
		(unsigned long long)s->n_writes, (unsigned long long)s->n_misdeeds,
		(unsigned long long)s->n_logins, (unsigned long long)s->n_reinstated,
		(unsigned long long)s->n_reassigned, (unsigned long long)s->n_snacks,
		(unsigned long long)s->n_resent, tgt_n_sessions(t), tgt_n_tasks(t));
}

static bool do_async(const char *args)
{
	unsigned event, p1 = 0, p2 = 0, p3 = 0;

	if (sscanf(args, "%u %u %u %u", &event, &p1, &p2, &p3) < 1)
		return false;
	tgt_async(t, event, p1, p2, p3);
	return true;
}

/* Everything that makes a difference, and can be noticed. */
#define ALL_BUT_LIES (~((UINT64_C(1) << TGT_LIE_DATA) | (UINT64_C(1) << TGT_LOSE_WRITE)))

static bool obey(const char *line, FILE *f)
{
	char word[32];
	int at = 0;
	const char *args;
	struct tgt_rule r;

	if (sscanf(line, "%31s %n", word, &at) < 1)
		return false;
	args = line + at;
	if (strcmp(word, "rule") == 0)
		return tgt_rule_parse(&r, args) && tgt_rule_add(t, &r);
	if (strcmp(word, "async") == 0)
		return do_async(args);
	if (strcmp(word, "clear") == 0)
		tgt_rules_clear(t);
	else if (strcmp(word, "misbehave") == 0)
		tgt_misbehave(t, (uint32_t)strtoul(args, NULL, 0), ALL_BUT_LIES);
	else if (strcmp(word, "restart") == 0)
		tgt_restart(t, strcmp(args, "lose-cache") == 0, now_ns());
	else if (strcmp(word, "cut") == 0)
		cut();
	else if (strcmp(word, "refuse") == 0 || strcmp(word, "accept") == 0)
		refusing = *word == 'r';
	else if (strcmp(word, "quit") == 0)
		quitting = true;
	else if (strcmp(word, "stats") != 0)
		return false;
	if (strcmp(word, "stats") == 0)
		print_stats(f);
	return true;
}

static void control_line(struct end *e, char *line)
{
	char answer[1024] = "";
	FILE *f = fmemopen(answer, sizeof(answer) - 1, "w");
	bool good;

	if (!f)
		die("fmemopen");
	good = obey(line, f);
	fclose(f);
	if (!answer[0])
		strcpy(answer, good ? "ok\n" : "what?\n");
	if (send(e->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
		end_close(e);
}

static void control_in(struct end *e)
{
	ssize_t n = recv(e->fd, e->line + e->n_line, sizeof(e->line) - 1 - e->n_line, 0);
	char *end;

	if (n <= 0) {
		end_close(e);
		return;
	}
	e->n_line += (size_t)n;
	e->line[e->n_line] = 0;
	while (!e->dead && (end = strchr(e->line, '\n'))) {
		*end = 0;
		control_line(e, e->line);
		e->n_line -= (size_t)(end + 1 - e->line);
		memmove(e->line, end + 1, e->n_line + 1);
	}
	if (e->n_line == sizeof(e->line) - 1)
		end_close(e);
}

/* ---- start ------------------------------------------------------------- */

static void listen_control(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	strcpy(a.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 4))
		die(path);
	end_new(CONTROL_LISTENER, fd);
}

static char address[64];

static void listen_iscsi(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)&a, &n))
		die("listen");
	end_new(LISTENER, fd);
	snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(a.sin_port));
	cfg.address = address;
}

static void map_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		die(path);
	cfg.n_blocks = (uint32_t)((uint64_t)st.st_size / cfg.n_luns / cfg.block_size);
	cfg.memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cfg.memory == MAP_FAILED)
		die(path);
	close(fd);
}

static void read_rules(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[256];
	struct tgt_rule r;

	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#' || line[strspn(line, " \n")] == 0)
			continue;
		if (!tgt_rule_parse(&r, line) || !tgt_rule_add(t, &r)) {
			fprintf(stderr, "iscsi-target: %s: no rule: %s", path, line);
			exit(2);
		}
	}
	fclose(f);
}

static const char *const usage =
	"usage: iscsi-target [--name IQN] [--port N] [--luns N] [--mb N] [--block BYTES]\n"
	"	[--file FILE] [--erl 0-2] [--maxconn N] [--max-r2t N] [--mrdsl N] [--burst N]\n"
	"	[--first-burst N] [--initial-r2t] [--no-immediate] [--digests none|allow|require]\n"
	"	[--time2wait S] [--time2retain S] [--window N] [--random-sizes] [--service-ms N]\n"
	"	[--login-chunk N] [--login-rounds] [--ping-ms N] [--no-cache] [--seed N]\n"
	"	[--control SOCKET] [--rules FILE] [--verbose]\n";

enum option_id {
	O_NAME = 256,
	O_PORT,
	O_LUNS,
	O_MB,
	O_BLOCK,
	O_FILE,
	O_ERL,
	O_MAXCONN,
	O_MAX_R2T,
	O_MRDSL,
	O_BURST,
	O_FIRST,
	O_INITIAL_R2T,
	O_NO_IMMEDIATE,
	O_DIGESTS,
	O_WAIT,
	O_RETAIN,
	O_WINDOW,
	O_RANDOM,
	O_SERVICE,
	O_CHUNK,
	O_ROUNDS,
	O_PING,
	O_NO_CACHE,
	O_SEED,
	O_CONTROL,
	O_RULES,
	O_VERBOSE,
};

static const struct option options[] = {
	{"name", 1, NULL, O_NAME},
	{"port", 1, NULL, O_PORT},
	{"luns", 1, NULL, O_LUNS},
	{"mb", 1, NULL, O_MB},
	{"block", 1, NULL, O_BLOCK},
	{"file", 1, NULL, O_FILE},
	{"erl", 1, NULL, O_ERL},
	{"maxconn", 1, NULL, O_MAXCONN},
	{"max-r2t", 1, NULL, O_MAX_R2T},
	{"mrdsl", 1, NULL, O_MRDSL},
	{"burst", 1, NULL, O_BURST},
	{"first-burst", 1, NULL, O_FIRST},
	{"initial-r2t", 0, NULL, O_INITIAL_R2T},
	{"no-immediate", 0, NULL, O_NO_IMMEDIATE},
	{"digests", 1, NULL, O_DIGESTS},
	{"time2wait", 1, NULL, O_WAIT},
	{"time2retain", 1, NULL, O_RETAIN},
	{"window", 1, NULL, O_WINDOW},
	{"random-sizes", 0, NULL, O_RANDOM},
	{"service-ms", 1, NULL, O_SERVICE},
	{"login-chunk", 1, NULL, O_CHUNK},
	{"login-rounds", 0, NULL, O_ROUNDS},
	{"ping-ms", 1, NULL, O_PING},
	{"no-cache", 0, NULL, O_NO_CACHE},
	{"seed", 1, NULL, O_SEED},
	{"control", 1, NULL, O_CONTROL},
	{"rules", 1, NULL, O_RULES},
	{"verbose", 0, NULL, O_VERBOSE},
	{0},
};

static struct {
	unsigned port, mb;
	const char *file, *control, *rules;
} opt;

static void digests(const char *word)
{
	cfg.header_digest = cfg.data_digest = strcmp(word, "none") != 0;
	cfg.require_digests = strcmp(word, "require") == 0;
}

static bool take_option(int o)
{
	uint32_t n = optarg ? (uint32_t)strtoul(optarg, NULL, 0) : 0;

	switch (o) {
	case O_NAME: cfg.name = optarg; break;
	case O_PORT: opt.port = n; break;
	case O_LUNS: cfg.n_luns = n; break;
	case O_MB: opt.mb = n; break;
	case O_BLOCK: cfg.block_size = n; break;
	case O_FILE: opt.file = optarg; break;
	case O_ERL: cfg.erl = n; break;
	case O_MAXCONN: cfg.max_connections = n; break;
	case O_MAX_R2T: cfg.max_r2t = n; break;
	case O_MRDSL: cfg.mrdsl = n; break;
	case O_BURST: cfg.max_burst = n; break;
	case O_FIRST: cfg.first_burst = n; break;
	case O_INITIAL_R2T: cfg.initial_r2t = true; break;
	case O_NO_IMMEDIATE: cfg.immediate_data = false; break;
	case O_DIGESTS: digests(optarg); break;
	case O_WAIT: cfg.time2wait_s = n; break;
	case O_RETAIN: cfg.time2retain_s = n; break;
	case O_WINDOW: cfg.window = n; break;
	case O_RANDOM: cfg.random_sizes = cfg.interleave = true; break;
	case O_SERVICE: cfg.service_ns_max = (uint64_t)n * MS; break;
	case O_CHUNK: cfg.login_chunk = n; break;
	case O_ROUNDS: cfg.login_more_rounds = true; break;
	case O_PING: cfg.ping_ns = (uint64_t)n * MS; break;
	case O_NO_CACHE: cfg.write_cache = false; break;
	case O_SEED: cfg.seed = n; break;
	case O_CONTROL: opt.control = optarg; break;
	case O_RULES: opt.rules = optarg; break;
	case O_VERBOSE: verbose = true; break;
	default: return false;
	}
	return true;
}

static int wait_ms(void)
{
	uint64_t due = tgt_deadline_ns(t), now = now_ns();

	if (due == TGT_NEVER)
		return -1;
	return due <= now
		       ? 0
		       : (int)((due - now + MS - 1) / MS < 1000 ? (due - now + MS - 1) / MS : 1000);
}

static void turn(void)
{
	struct epoll_event ev[64];
	int n = epoll_wait(poller, ev, 64, wait_ms());

	for (int i = 0; i < n; i++) {
		struct end *e = ev[i].data.ptr;
		int fd;

		if (e->dead)
			continue;
		switch (e->kind) {
		case LISTENER: iscsi_accept(e); break;
		case CONTROL_LISTENER:
			fd = accept4(e->fd, NULL, NULL, SOCK_CLOEXEC);
			if (fd >= 0)
				end_new(CONTROL, fd);
			break;
		case CONTROL: control_in(e); break;
		case ISCSI: iscsi_in(e); break;
		}
	}
	if (tgt_deadline_ns(t) <= now_ns())
		tgt_tick(t, now_ns());
	flush_all();
	bury();
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct end *e;
	int o;

	tgt_cfg_default(&cfg);
	cfg.complain = complained;
	opt.mb = 16;
	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (!take_option(o)) {
			fputs(usage, stderr);
			return 2;
		}
	}
	if (!cfg.n_luns || cfg.n_luns > TGT_MAX_LUNS || !cfg.block_size || !cfg.window) {
		fputs(usage, stderr);
		return 2;
	}
	cfg.trace = verbose ? traced : NULL;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	cfg.n_blocks = (uint32_t)(((uint64_t)opt.mb << 20) / cfg.block_size);
	if (opt.file)
		map_file(opt.file);
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		die("epoll");
	listen_iscsi(opt.port);
	if (opt.control)
		listen_control(opt.control);
	t = tgt_new(&cfg);
	if (!t)
		die("memory");
	if (opt.rules)
		read_rules(opt.rules);
	printf("ready %s\n", strrchr(address, ':') + 1);
	fflush(stdout);
	while (!signalled && !quitting)
		turn();
	list_for_each (e, &ends, node)
		end_close(e);
	bury();
	t = tgt_free(t);
	close(poller);
	return 0;
}
