/* The log: one line to stderr or the journal, at four levels, and a limit for lines that strangers
 * can cause. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is written: the level asked for and all before it. */
enum cv_log_level {
	CV_LOG_SILENT, /* nothing; no message has this level */
	CV_LOG_ERR,    /* we cannot go on */
	CV_LOG_WARN,   /* we go on without something; ends in ", ignoring" */
	CV_LOG_INFO,   /* events of a tunnel's life */
	CV_LOG_DEBUG,
};

/* CV_LOG_INFO from the start. Any thread may change it. */
void cv_log_set_level(enum cv_log_level level);
bool cv_log_is_on(enum cv_log_level level);
/* Whose messages these are: the journal's field CONVOY_INTERFACE, "" as at first for none. Copied
 * and cut to 31 bytes. Call before threads exist. */
void cv_log_set_interface(const char *name);

/**
 * cv_log() - write a message as one line; cv_log_err() and its kin are what one calls
 *
 * One write(2) a line, so that lines of several threads never mix; a message is cut to fit
 * CV_LOG_LINE_MAX bytes. Control characters become '?': what a stranger sent cannot end our line
 * or speak to a terminal. errno is kept.
 *
 * The line starts with the level as a word. When stderr is the journal (JOURNAL_STREAM of
 * systemd.exec(5) names it) the message goes to the journal's own socket instead, with the fields
 * MESSAGE, PRIORITY, SYSLOG_IDENTIFIER and, when it is known, CONVOY_INTERFACE; where that cannot
 * be, to stderr, with the priority in front as "<3>".
 */
void cv_log(enum cv_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum { CV_LOG_LINE_MAX = 1024 };

/* Control characters, newlines as well, become '?': as cv_log() does it. */
void cv_log_disarm(char *text, size_t len);

#define CV_LOG_IF_ON(level, ...) (cv_log_is_on(level) ? cv_log(level, __VA_ARGS__) : (void)0)
#define cv_log_err(...)          CV_LOG_IF_ON(CV_LOG_ERR, __VA_ARGS__)
#define cv_log_warn(...)         CV_LOG_IF_ON(CV_LOG_WARN, __VA_ARGS__)
#define cv_log_info(...)         CV_LOG_IF_ON(CV_LOG_INFO, __VA_ARGS__)
#define cv_log_debug(...)        CV_LOG_IF_ON(CV_LOG_DEBUG, __VA_ARGS__)

enum {
	CV_LOG_LIMIT_BURST = 5,
	CV_LOG_LIMIT_INTERVAL_S = 5, /* one more line in this time */
};

/* A token bucket for one kind of line, full when zeroed. Threads may share it. */
struct cv_log_limit {
	_Atomic int64_t full_at_ns; /* when the bucket will be full again */
	_Atomic uint32_t suppressed;
};

/**
 * cv_log_limit_take() - take a token
 * @now_ns:	of any clock that does not go back
 *
 * Return: true with *ret_suppressed = lines refused since the last true; false: say nothing.
 */
bool cv_log_limit_take(struct cv_log_limit *limit, int64_t now_ns, uint32_t *ret_suppressed);

/* cv_log() under a limit, by CLOCK_MONOTONIC_COARSE; the line tells how many were suppressed. */
void cv_log_limited(struct cv_log_limit *limit, enum cv_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* For whatever a stranger can cause: each place in the source has its own bucket. */
#define CV_LOG_LIMITED(level, ...)                                              \
	do {                                                                    \
		static struct cv_log_limit cv_log_limit_here;                   \
                                                                                \
		if (cv_log_is_on(level))                                        \
			cv_log_limited(&cv_log_limit_here, level, __VA_ARGS__); \
	} while (0)
