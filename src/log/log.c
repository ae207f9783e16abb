/*
 * The log: a line is put together on the stack and leaves in one write.
 *
 * For the journal it is one datagram of its native protocol, a line "FIELD=value" each; no value
 * of ours has a newline in it. Source: systemd.io, "Native Journal Protocol".
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <convoy/base/time.h>
#include <convoy/log/log.h>

enum {
	SUFFIX_SIZE = 40, /* " (N more suppressed)" and the newline */
	FIELDS_SIZE = 128,
};

static _Atomic(enum cv_log_level) level_max = CV_LOG_INFO;
static char interface[32];       /* "": nobody's */
static _Atomic int journal = -1; /* socket, made for the first line that needs it */

/* As the journal (syslog(3) numbers) and as people read them. */
static const struct {
	const char *journal, *plain;
	int priority;
} prefixes[] = {
	[CV_LOG_ERR] = { "<3>", "err: ", 3 },
	[CV_LOG_WARN] = { "<4>", "warn: ", 4 },
	[CV_LOG_INFO] = { "<6>", "info: ", 6 },
	[CV_LOG_DEBUG] = { "<7>", "debug: ", 7 },
};

void cv_log_set_level(enum cv_log_level level)
{
	atomic_store_explicit(&level_max, level, memory_order_relaxed);
}

bool cv_log_is_on(enum cv_log_level level)
{
	return level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

void cv_log_set_interface(const char *name)
{
	snprintf(interface, sizeof(interface), "%s", name);
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
void cv_log_disarm(char *text, size_t len)
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

/* Several threads may have their first line at once: one socket stays. */
static int journal_socket(void)
{
	int fd = atomic_load(&journal), none = -1;

	if (fd >= 0)
		return fd;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || atomic_compare_exchange_strong(&journal, &none, fd))
		return fd;
	close(fd);
	return none;
}

/* Sent to the path each time, so that a journal that was started anew gets it too. False: it is
 * not there, or too busy to take it at once. */
static bool send_to_journal(enum cv_log_level level, const char *message, size_t len)
{
	static const struct sockaddr_un at = { AF_UNIX, "/run/systemd/journal/socket" };
	char text[FIELDS_SIZE + CV_LOG_LINE_MAX];
	int fd = journal_socket();
	size_t n;

	if (fd < 0)
		return false;
	n = (size_t)snprintf(
		text, FIELDS_SIZE,
		"PRIORITY=%d\nSYSLOG_IDENTIFIER=convoy\n%s%s%sMESSAGE=", prefixes[level].priority,
		interface[0] ? "CONVOY_INTERFACE=" : "", interface, interface[0] ? "\n" : "");
	memcpy(text + n, message, len);
	n += len;
	text[n++] = '\n';
	return sendto(fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&at,
		      sizeof(at)) == (ssize_t)n;
}

__attribute__((format(printf, 3, 0))) static void log_line(enum cv_log_level level,
							   uint32_t suppressed, const char *format,
							   va_list args)
{
	bool to_journal = is_journal();
	const char *prefix = to_journal ? prefixes[level].journal : prefixes[level].plain;
	char line[CV_LOG_LINE_MAX];
	size_t start = strlen(prefix), room = sizeof(line) - SUFFIX_SIZE - start, len;
	int n;

	memcpy(line, prefix, start);
	n = vsnprintf(line + start, room, format, args);
	if (n < 0)
		return;
	len = (size_t)n < room ? (size_t)n : room - 1;
	cv_log_disarm(line + start, len);
	len += start;
	if (suppressed)
		len += (size_t)sprintf(line + len, " (%" PRIu32 " more suppressed)", suppressed);
	if (to_journal && send_to_journal(level, line + start, len - start))
		return;
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
