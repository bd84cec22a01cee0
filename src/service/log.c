/* SPDX-License-Identifier: MIT */
#include "service/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "io/loop.h"

#define LINE_MAX_BYTES 2048

static atomic_int log_max = LOG_LEVEL_INFO;
static atomic_bool log_prefix;

static const struct {
	const char *name;
	enum log_level level;
} levels[] = {
	{"error", LOG_LEVEL_ERROR},
	{"warning", LOG_LEVEL_WARNING},
	{"info", LOG_LEVEL_INFO},
	{"debug", LOG_LEVEL_DEBUG},
};

void log_setup(enum log_level max, bool syslog_prefix)
{
	atomic_store(&log_max, (int)max);
	atomic_store(&log_prefix, syslog_prefix);
}

bool log_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return text && sscanf(text, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

int log_level_parse(const char *text, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcmp(text, levels[i].name) == 0) {
			*ret = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_max, memory_order_relaxed);
}

static const char *level_name(enum log_level level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (levels[i].level == level)
			return levels[i].name;
	}
	return "?";
}

void log_vline(enum log_level level, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];
	int n, n_head;

	if (!log_wants(level))
		return;
	if (atomic_load_explicit(&log_prefix, memory_order_relaxed))
		n_head = snprintf(line, sizeof(line), "<%d>", (int)level);
	else
		n_head = snprintf(line, sizeof(line), "iscsidscd: %s: ", level_name(level));
	n = vsnprintf(line + n_head, sizeof(line) - (size_t)n_head - 1, fmt, ap);
	if (n < 0)
		return;
	n += n_head;
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	for (int i = n_head; i < n; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[n++] = '\n';
	/* a log that cannot be written has nobody to be told about it */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;
	int saved = errno;

	va_start(ap, fmt);
	log_vline(level, fmt, ap);
	va_end(ap);
	errno = saved;
}

bool log_limit_pass(struct log_limit *l, uint64_t now_ns, unsigned *ret_dropped)
{
	bool pass;

	pthread_mutex_lock(&l->lock);
	if (l->full_at_ns < now_ns)
		l->full_at_ns = now_ns;
	pass = l->full_at_ns - now_ns <= (LOG_BURST - 1) * LOG_REFILL_NS;
	if (pass) {
		l->full_at_ns += LOG_REFILL_NS;
		*ret_dropped = l->n_dropped;
		l->n_dropped = 0;
	} else {
		l->n_dropped++;
	}
	pthread_mutex_unlock(&l->lock);
	return pass;
}

void log_limited(struct log_limit *l, enum log_level level, const char *fmt, ...)
{
	unsigned n_dropped;
	va_list ap;

	if (!log_wants(level) || !log_limit_pass(l, clock_now_ns(), &n_dropped))
		return;
	if (n_dropped)
		log_line(level, "%u similar lines were left out", n_dropped);
	va_start(ap, fmt);
	log_vline(level, fmt, ap);
	va_end(ap);
}
