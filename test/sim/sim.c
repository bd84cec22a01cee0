/* SPDX-License-Identifier: MIT */
/*
 * sim: thousands of worlds, each from its seed
 *
 *	sim --seed N [--trace]       one of them, step by step
 *	sim --seeds A-B [--jobs J]   all of these; says which fail, and how fast it was
 *	sim --breaks ACT …           the judge's own test: the target does ACT to every
 *	                             so many PDUs, and the judge must find it
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

#define MOST_STEPS    2000000
#define QUIET_MAX_NS  (600 * SEC) /* after the last fault everything has ended by then */
#define FAULTS_MAX_NS (120 * SEC)

static const char *broken_by; /* --breaks: a rule that is there all the time */

void say(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->trace)
		return;
	printf("%10.6f  ", (double)w->now_ns / 1e9);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void wrong(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->wrong[0])
		return;
	va_start(ap, fmt);
	vsnprintf(w->wrong, sizeof(w->wrong), fmt, ap);
	va_end(ap);
	say(w, "WRONG: %s", w->wrong);
}

static void complained(void *user, const char *what)
{
	wrong(user, "the target complains: %s", what);
}

static void traced(void *user, const char *what)
{
	say(user, "%s", what);
}

/* ---- one world --------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t due_ns(struct world *w)
{
	uint64_t due = net_due_ns(w);

	due = earlier(due, tgt_deadline_ns(w->t));
	due = earlier(due, session_deadline_ns(w->s));
	due = earlier(due, owner_due_ns(w));
	due = earlier(due, load_due_ns(w));
	return earlier(due, w->fault_ns);
}

static void settle(struct world *w)
{
	unsigned n = 0;

	while (!w->wrong[0]) {
		bool moved = net_pump(w);

		moved |= owner_events(w);
		if (!moved)
			return;
		if (++n > 100000)
			wrong(w, "bytes and events go on without end at one moment");
	}
}

/* A tick may make something due at once, but not without end. */
static void tick_engine(struct world *w)
{
	for (unsigned n = 0; session_deadline_ns(w->s) <= w->now_ns; n++) {
		session_tick(w->s, w->now_ns);
		if (n == 4)
			wrong(w, "after some ticks the engine's deadline is still over");
		if (n == 4)
			return;
	}
}

static void step(struct world *w)
{
	uint64_t due = due_ns(w);

	if (due == TGT_NEVER) {
		wrong(w, "nothing is due, and %u operations wait", w->n_live);
		return;
	}
	if (due > w->now_ns)
		w->now_ns = due;
	net_deliver(w);
	if (tgt_deadline_ns(w->t) <= w->now_ns)
		tgt_tick(w->t, w->now_ns);
	tick_engine(w);
	if (w->fault_ns <= w->now_ns)
		fault_do(w);
	owner_work(w);
	load_work(w);
	settle(w);
}

static bool load_over(const struct world *w)
{
	return w->next_op > w->n_ops && !w->n_live;
}

static void world_run(struct world *w)
{
	settle(w);
	while (!w->wrong[0] && w->state != OWNER_CLOSED) {
		step(w);
		if (w->now_ns > FAULTS_MAX_NS || load_over(w))
			faults_end(w);
		if (load_over(w) && w->state == OWNER_UP)
			owner_close(w);
		if (++w->n_steps > MOST_STEPS)
			wrong(w, "no end after %u steps", MOST_STEPS);
		if (w->quiet_since_ns && w->now_ns > w->quiet_since_ns + QUIET_MAX_NS)
			wrong(w,
			      "no end %u s after the last fault: state %d, %u operations, %u tasks",
			      (unsigned)(QUIET_MAX_NS / SEC), w->state, w->n_live,
			      session_n_tasks(w->s));
		settle(w);
	}
}

static void world_judge(struct world *w)
{
	const struct iscsi_stats *st = session_stats(w->s);
	const struct tgt_stats *tst = tgt_stats(w->t);

	if (w->wrong[0])
		return;
	if (session_n_tasks(w->s))
		wrong(w, "the session has %u tasks at its end", session_n_tasks(w->s));
	if (!tst->n_misdeeds && !tst->n_digest_errors && !st->n_digest_errors &&
	    st->n_protocol_errors)
		wrong(w, "the engine counts %u protocol errors of a target that has done none",
		      (unsigned)st->n_protocol_errors);
	model_finish(w);
}

static void world_free(struct world *w)
{
	net_end(w);
	for (unsigned i = 0; i < MAX_CONNS; i++)
		w->place[i].link = NULL;
	w->s = session_free(w->s);
	w->t = tgt_free(w->t);
}

static bool world_make(struct world *w, uint64_t seed, bool trace)
{
	/* not the memory of slots and links, which is large and needs no beginning */
	memset(w, 0, __builtin_offsetof(struct world, link));
	for (unsigned i = 0; i < MAX_LINKS; i++)
		w->link[i].used = false;
	memset(&w->refuse_until_ns, 0,
	       __builtin_offsetof(struct world, slot) -
		       __builtin_offsetof(struct world, refuse_until_ns));
	for (unsigned i = 0; i < MAX_DEPTH; i++)
		w->slot[i].busy = false;
	memset(&w->next_op, 0, sizeof(*w) - __builtin_offsetof(struct world, next_op));
	w->seed = seed;
	w->rng.state = seed * UINT64_C(0xd1342543de82ef95);
	w->trace = trace;
	w->now_ns = SEC;
	w->next_op = 1;
	model_start(w);
	plan_make(w);
	if (w->n_faults || w->misbehaves)
		w->fault_ns += w->now_ns;
	else
		w->fault_ns = TGT_NEVER;
	w->tgt_cfg.complain = complained;
	w->tgt_cfg.trace = trace ? traced : NULL;
	w->t = tgt_new(&w->tgt_cfg);
	return w->t && session_new(&w->s, &w->cfg) == 0;
}

static void break_it(struct world *w)
{
	struct tgt_rule r;

	if (!broken_by)
		return;
	if (!tgt_rule_parse(&r, broken_by)) {
		fprintf(stderr, "sim: \"%s\" is no rule\n", broken_by);
		exit(2);
	}
	tgt_rule_add(w->t, &r);
}

/* False: the judge has found something. */
static bool world_go(struct world *w, uint64_t seed, bool trace)
{
	if (!world_make(w, seed, trace)) {
		fprintf(stderr, "sim: seed %llu: no such configuration\n",
			(unsigned long long)seed);
		exit(2);
	}
	break_it(w);
	owner_start(w);
	world_run(w);
	world_judge(w);
	world_free(w);
	return !w->wrong[0];
}

/* ---- many -------------------------------------------------------------- */

struct tally {
	uint64_t n, n_bad, n_good_ops, n_failed_ops, n_reconnects, n_recoveries, n_faults,
		n_power_cuts;
};

static void go_through(uint64_t from, uint64_t to, uint64_t by, unsigned most, struct tally *t)
{
	static struct world w;

	for (uint64_t seed = from; seed <= to; seed += by) {
		bool good = world_go(&w, seed, false);

		t->n++;
		t->n_good_ops += w.count.n_good;
		t->n_failed_ops += w.count.n_failed;
		t->n_reconnects += w.count.n_reconnects;
		t->n_recoveries += w.count.n_recoveries;
		t->n_faults += w.count.n_faults;
		t->n_power_cuts += w.count.n_power_cuts;
		if (good)
			continue;
		printf("seed %llu: %s\n", (unsigned long long)seed, w.wrong);
		fflush(stdout);
		if (++t->n_bad >= most)
			return;
	}
}

static int in_parts(uint64_t from, uint64_t to, unsigned n_jobs, unsigned most, struct tally *sum)
{
	int fd[2];
	int bad = 0, status;
	struct tally t;

	if (n_jobs == 1) {
		go_through(from, to, 1, most, sum);
		return 0;
	}
	if (pipe(fd))
		return -1;
	for (unsigned j = 0; j < n_jobs; j++) {
		fflush(stdout);
		if (fork())
			continue;
		memset(&t, 0, sizeof(t));
		go_through(from + j, to, n_jobs, most, &t);
		_exit(write(fd[1], &t, sizeof(t)) != sizeof(t));
	}
	close(fd[1]);
	while (read(fd[0], &t, sizeof(t)) == sizeof(t)) {
		uint64_t *into = (uint64_t *)sum, *of = (uint64_t *)&t;

		for (size_t i = 0; i < sizeof(t) / sizeof(*of); i++)
			into[i] += of[i];
	}
	close(fd[0]);
	while (wait(&status) > 0)
		bad |= status;
	return bad ? -1 : 0;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int many(uint64_t from, uint64_t to, unsigned n_jobs, unsigned most)
{
	struct tally t = {0};
	double begin = seconds();
	int r = in_parts(from, to, n_jobs, most, &t);
	double took = seconds() - begin;

	printf("%llu seeds, %llu wrong; %.0f seeds/s; %llu operations good, %llu failed; "
	       "%llu faults, %llu reconnects, %llu recoveries, %llu power cuts\n",
	       (unsigned long long)t.n, (unsigned long long)t.n_bad, (double)t.n / took,
	       (unsigned long long)t.n_good_ops, (unsigned long long)t.n_failed_ops,
	       (unsigned long long)t.n_faults, (unsigned long long)t.n_reconnects,
	       (unsigned long long)t.n_recoveries, (unsigned long long)t.n_power_cuts);
	if (r)
		printf("a part of it has crashed\n");
	if (broken_by) {
		/* the judge must have found some of it */
		if (!t.n_bad)
			printf("\"%s\" is not found by the judge\n", broken_by);
		return r || !t.n_bad;
	}
	return r || t.n_bad;
}

static int usage(void)
{
	fprintf(stderr, "usage: sim --seed N [--trace] | --seeds A-B [--jobs J] [--most N] "
			"[--breaks \"OP NTH ACT [ARG]\"]\n");
	return 2;
}

int main(int argc, char **argv)
{
	unsigned long long from = 0, to = 0;
	unsigned n_jobs = 1, most = 20;
	bool trace = false, any = false;
	static struct world w;

	for (int i = 1; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--trace") == 0) {
			trace = true;
			continue;
		}
		if (strcmp(argv[i], "--seed") == 0) {
			from = to = strtoull(next, NULL, 0);
			any = true;
		} else if (strcmp(argv[i], "--seeds") == 0) {
			any = sscanf(next, "%llu-%llu", &from, &to) == 2;
		} else if (strcmp(argv[i], "--jobs") == 0) {
			n_jobs = (unsigned)strtoul(next, NULL, 0);
		} else if (strcmp(argv[i], "--most") == 0) {
			most = (unsigned)strtoul(next, NULL, 0);
		} else if (strcmp(argv[i], "--breaks") == 0) {
			broken_by = next;
		} else {
			return usage();
		}
		i++;
	}
	if (!any || !n_jobs || n_jobs > 256)
		return usage();
	if (!trace)
		return many(from, to, n_jobs, most);
	any = world_go(&w, from, true);
	printf("seed %llu: %s\n", from, any ? "right" : w.wrong);
	return !any;
}
