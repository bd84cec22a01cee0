/* SPDX-License-Identifier: MIT */
/*
 * The service's log: lines on stderr
 *
 * Under systemd each line carries its syslog level. Text that came from a peer is
 * made harmless here (control characters become '?'), so callers pass it as it is.
 * Any thread may log; a line is written with one call and never torn.
 */
#ifndef SERVICE_LOG_H
#define SERVICE_LOG_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR = 3, /* numbers of syslog */
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* What is above @max is dropped. @syslog_prefix: "<3>" and the like before each line. */
void log_setup(enum log_level max, bool syslog_prefix);
/* Does stderr go to the journal (JOURNAL_STREAM names it)? */
bool log_is_journal(void);
/* "error", "warning", "info", "debug". 0 or -EINVAL. */
int log_level_parse(const char *text, enum log_level *ret);
bool log_wants(enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_vline(enum log_level level, const char *fmt, va_list ap);

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * For what a peer can bring about as often as it likes: a burst of LOG_BURST
 * lines, then one each LOG_REFILL_NS. The next line that passes tells how many
 * did not.
 */
#define LOG_BURST     10
#define LOG_REFILL_NS UINT64_C(2000000000)

struct log_limit {
	pthread_mutex_t lock;
	uint64_t full_at_ns; /* when the burst is whole again */
	unsigned n_dropped;
};

#define LOG_LIMIT_INIT                            \
	{                                         \
		.lock = PTHREAD_MUTEX_INITIALIZER \
	}

/* May a line pass at @now_ns? *ret_dropped: how many did not since the last that did. */
bool log_limit_pass(struct log_limit *l, uint64_t now_ns, unsigned *ret_dropped);
void log_limited(struct log_limit *l, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
