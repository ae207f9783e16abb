/* The log: a line is put together on the stack and leaves in one write. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <convoy/base/time.h>
#include <convoy/log/log.h>

/* Room for " (N more suppressed)" and the newline. */
enum { SUFFIX_SIZE = 40 };

static _Atomic(enum cv_log_level) level_max = CV_LOG_INFO;

/* As the journal and as people read them, syslog(3) numbers. */
static const struct {
	const char *journal, *plain;
} prefixes[] = {
	[CV_LOG_ERR] = { "<3>", "err: " },
	[CV_LOG_WARN] = { "<4>", "warn: " },
	[CV_LOG_INFO] = { "<6>", "info: " },
	[CV_LOG_DEBUG] = { "<7>", "debug: " },
};

void cv_log_set_level(enum cv_log_level level)
{
	atomic_store_explicit(&level_max, level, memory_order_relaxed);
}

bool cv_log_is_on(enum cv_log_level level)
{
	return level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

/* Asked anew for each line: stderr may be redirected (a daemon that detaches), lines are rare. */
static bool is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	if (!text || sscanf(text, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) != 2)
		return false;
	return !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

/* C0, DEL, and C1 in its UTF-8 form (C2 80 to C2 9F), which terminals obey too. */
static void disarm(char *text, size_t len)
{
	unsigned char last = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte < 0x20 || byte == 0x7f)
			text[i] = '?';
		else if (last == 0xc2 && byte < 0xa0)
			text[i - 1] = text[i] = '?';
		last = byte;
	}
}

static void write_line(const char *line, size_t len)
{
	ssize_t ret;

	/* What cannot be written is lost: there is nobody left to tell. */
	do {
		ret = write(STDERR_FILENO, line, len);
	} while (ret < 0 && errno == EINTR);
}

__attribute__((format(printf, 3, 0))) static void log_line(enum cv_log_level level,
							   uint32_t suppressed, const char *format,
							   va_list args)
{
	const char *prefix = is_journal() ? prefixes[level].journal : prefixes[level].plain;
	char line[CV_LOG_LINE_MAX];
	size_t start = strlen(prefix), room = sizeof(line) - SUFFIX_SIZE - start, len;
	int n;

	memcpy(line, prefix, start);
	n = vsnprintf(line + start, room, format, args);
	if (n < 0)
		return;
	len = (size_t)n < room ? (size_t)n : room - 1;
	disarm(line + start, len);
	len += start;
	if (suppressed)
		len += (size_t)sprintf(line + len, " (%" PRIu32 " more suppressed)", suppressed);
	line[len++] = '\n';
	write_line(line, len);
}

void cv_log(enum cv_log_level level, const char *format, ...)
{
	int saved = errno;
	va_list args;

	if (level == CV_LOG_SILENT || !cv_log_is_on(level))
		return;
	va_start(args, format);
	log_line(level, 0, format, args);
	va_end(args);
	errno = saved;
}

/*
 * The bucket as a time: each line moves the moment at which it will be full again by one
 * interval, and is refused if that moment would then lie more than a burst ahead.
 */
bool cv_log_limit_take(struct cv_log_limit *limit, int64_t now_ns, uint32_t *ret_suppressed)
{
	const int64_t interval_ns = CV_LOG_LIMIT_INTERVAL_S * CV_NS_PER_S;
	int64_t full_at_ns = atomic_load(&limit->full_at_ns), next_ns;

	do {
		next_ns = (full_at_ns > now_ns ? full_at_ns : now_ns) + interval_ns;
		if (next_ns - now_ns > CV_LOG_LIMIT_BURST * interval_ns) {
			atomic_fetch_add(&limit->suppressed, 1);
			return false;
		}
	} while (!atomic_compare_exchange_weak(&limit->full_at_ns, &full_at_ns, next_ns));
	*ret_suppressed = atomic_exchange(&limit->suppressed, 0);
	return true;
}

void cv_log_limited(struct cv_log_limit *limit, enum cv_log_level level, const char *format, ...)
{
	int saved = errno;
	struct timespec ts;
	uint32_t suppressed;
	va_list args;

	if (level == CV_LOG_SILENT || !cv_log_is_on(level))
		return;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	if (cv_log_limit_take(limit, ts.tv_sec * CV_NS_PER_S + ts.tv_nsec, &suppressed)) {
		va_start(args, format);
		log_line(level, suppressed, format, args);
		va_end(args);
	}
	errno = saved;
}
