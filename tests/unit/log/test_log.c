/* The log, read back from a stderr that is a pipe or a file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/base/time.h>
#include <convoy/log/log.h>

static int kept, file; /* the real stderr; a nameless file in its place */

/* What came to the journal's socket, in place of libc's sendto(2). */
static struct {
	bool there;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char text[2 * CV_LOG_LINE_MAX];
	int calls;
} journal;

ssize_t sendto(int fd, const void *data, size_t len, int flags, __CONST_SOCKADDR_ARG to,
	       socklen_t to_len)
{
	const struct sockaddr_un *at = to.__sockaddr_un__;

	journal.calls++;
	if (!journal.there) {
		errno = ENOENT;
		return -1;
	}
	assert_true(fd >= 0 && len < sizeof(journal.text));
	assert_int_equal(at->sun_family, AF_UNIX);
	strcpy(journal.path, at->sun_path);
	memcpy(journal.text, data, len);
	journal.text[len] = 0;
	return (ssize_t)len;
}

static int redirect(void **state)
{
	kept = dup(STDERR_FILENO);
	file = memfd_create("stderr", MFD_CLOEXEC);
	/* The kernel guards the offset of a file that was opened, but not of a memfd. */
	fcntl(file, F_SETFL, O_APPEND);
	unsetenv("JOURNAL_STREAM");
	cv_log_set_level(CV_LOG_INFO);
	cv_log_set_interface("");
	memset(&journal, 0, sizeof(journal));
	return kept < 0 || file < 0 || dup2(file, STDERR_FILENO) < 0;
}

static int restore(void **state)
{
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(file);
	return 0;
}

/* What was logged so far; the file is empty again. */
static const char *logged(void)
{
	static char text[4096];
	ssize_t n = pread(file, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = 0;
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	return text;
}

static void line_is_level_and_message(void **state)
{
	cv_log_err("peer %d: %s", 7, "gone");
	assert_string_equal(logged(), "err: peer 7: gone\n");
	cv_log_warn("no IPv6, ignoring");
	assert_string_equal(logged(), "warn: no IPv6, ignoring\n");
	cv_log_info("up");
	assert_string_equal(logged(), "info: up\n");
}

static void only_levels_asked_for_are_written(void **state)
{
	int evaluated = 0;

	cv_log_debug("%d", ++evaluated);
	assert_string_equal(logged(), "");
	assert_int_equal(evaluated, 0);
	cv_log_set_level(CV_LOG_DEBUG);
	cv_log_debug("%d", ++evaluated);
	assert_string_equal(logged(), "debug: 1\n");
	cv_log_set_level(CV_LOG_SILENT);
	cv_log_err("x");
	cv_log(CV_LOG_SILENT, "x");
	CV_LOG_LIMITED(CV_LOG_ERR, "x");
	assert_string_equal(logged(), "");
}

static void control_characters_become_question_marks(void **state)
{
	cv_log_err("a\nb\x1b[31mc\x7f\xc2\x9b"
		   "d\ttail\r");
	assert_string_equal(logged(), "err: a?b?[31mc???d?tail?\n");
	/* UTF-8 that is text stays: n with tilde, euro sign. */
	cv_log_err("\xc3\xb1 \xe2\x82\xac \xc2\xa0");
	assert_string_equal(logged(), "err: \xc3\xb1 \xe2\x82\xac \xc2\xa0\n");
}

static void long_message_is_cut_and_still_one_line(void **state)
{
	char text[3000];
	const char *line;
	struct cv_log_limit limit = { .suppressed = UINT32_MAX };

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	cv_log_err("%s", text);
	line = logged();
	assert_true(strlen(line) <= CV_LOG_LINE_MAX && strlen(line) > 900);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	cv_log_limited(&limit, CV_LOG_ERR, "%s", text);
	line = logged();
	assert_true(strlen(line) <= CV_LOG_LINE_MAX);
	assert_non_null(strstr(line, "x (4294967295 more suppressed)\n"));
}

static void errno_is_kept(void **state)
{
	errno = ENOENT;
	cv_log_err("%s", strerror(errno));
	assert_int_equal(errno, ENOENT);
	CV_LOG_LIMITED(CV_LOG_ERR, "x");
	assert_int_equal(errno, ENOENT);
	close(STDERR_FILENO);
	cv_log_err("nobody hears this");
	assert_int_equal(errno, ENOENT);
}

/* As systemd does for a service whose stderr is the journal. */
static void stderr_is_the_journal(void)
{
	struct stat st;
	char text[64];

	assert_int_equal(fstat(file, &st), 0);
	snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", text, 1);
}

static void journal_gets_fields(void **state)
{
	struct cv_log_limit limit = { .suppressed = 3 };

	stderr_is_the_journal();
	journal.there = true;
	cv_log_warn("no %s, ignoring", "IPv6");
	assert_string_equal(journal.path, "/run/systemd/journal/socket");
	assert_string_equal(journal.text, "PRIORITY=4\nSYSLOG_IDENTIFIER=convoy\n"
					  "MESSAGE=no IPv6, ignoring\n");
	cv_log_set_interface("wg0");
	cv_log_limited(&limit, CV_LOG_ERR, "what a stranger\nMESSAGE=sent");
	assert_string_equal(journal.text,
			    "PRIORITY=3\nSYSLOG_IDENTIFIER=convoy\nCONVOY_INTERFACE=wg0\n"
			    "MESSAGE=what a stranger?MESSAGE=sent (3 more suppressed)\n");
	assert_string_equal(logged(), "");
}

static void stderr_that_is_no_journal_sends_it_nothing(void **state)
{
	journal.there = true;
	cv_log_err("a");
	assert_int_equal(journal.calls, 0);
	assert_string_equal(logged(), "err: a\n");
}

static void journal_that_takes_nothing_leaves_its_priority_on_stderr(void **state)
{
	stderr_is_the_journal();
	cv_log_set_level(CV_LOG_DEBUG);
	cv_log_err("a");
	cv_log_warn("b");
	cv_log_info("c");
	cv_log_debug("d");
	assert_string_equal(logged(), "<3>a\n<4>b\n<6>c\n<7>d\n");
	assert_int_equal(journal.calls, 4);
}

static void journal_of_another_stream_is_not_ours(void **state)
{
	struct stat st;
	char text[64];

	assert_int_equal(fstat(file, &st), 0);
	snprintf(text, sizeof(text), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	setenv("JOURNAL_STREAM", text, 1);
	cv_log_err("a");
	assert_string_equal(logged(), "err: a\n");
	setenv("JOURNAL_STREAM", "nonsense", 1);
	cv_log_err("a");
	assert_string_equal(logged(), "err: a\n");
}

enum { THREADS = 4, LINES = 2000 };

static void *log_many(void *arg)
{
	for (int i = 0; i < LINES; i++)
		cv_log_err("%s %d.", (const char *)arg, i);
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	static char names[THREADS][80];
	pthread_t threads[THREADS];
	int seen = 0, n;
	char line[256];
	FILE *stream;

	for (int i = 0; i < THREADS; i++) {
		memset(names[i], 'a' + i, sizeof(names[i]) - 1);
		assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	stream = fdopen(dup(file), "r");
	assert_non_null(stream);
	while (fgets(line, sizeof(line), stream)) {
		char name[100];
		char dot;

		assert_int_equal(sscanf(line, "err: %99[a-d] %d%c\n", name, &n, &dot), 3);
		assert_string_equal(name, names[name[0] - 'a']);
		assert_int_equal(dot, '.');
		seen++;
	}
	fclose(stream);
	assert_int_equal(seen, THREADS * LINES);
}

static void limit_lets_a_burst_through_then_one_an_interval(void **state)
{
	const int64_t second = CV_NS_PER_S, interval = CV_LOG_LIMIT_INTERVAL_S * second;
	struct cv_log_limit limit = { 0 };
	int64_t now = 1000 * second;
	uint32_t suppressed = 99;

	for (int i = 0; i < CV_LOG_LIMIT_BURST; i++) {
		assert_true(cv_log_limit_take(&limit, now, &suppressed));
		assert_int_equal(suppressed, 0);
	}
	suppressed = 99;
	for (int i = 0; i < 7; i++)
		assert_false(cv_log_limit_take(&limit, now + interval - 1, &suppressed));
	assert_int_equal(suppressed, 99);
	assert_true(cv_log_limit_take(&limit, now + interval, &suppressed));
	assert_int_equal(suppressed, 7);
	assert_false(cv_log_limit_take(&limit, now + interval, &suppressed));
	/* A long silence fills the bucket, but no further than full. */
	now += 1000 * interval;
	for (int i = 0; i < CV_LOG_LIMIT_BURST; i++)
		assert_true(cv_log_limit_take(&limit, now, &suppressed));
	assert_int_equal(suppressed, 0);
	assert_false(cv_log_limit_take(&limit, now, &suppressed));
}

static void limit_belongs_to_the_place_in_the_source(void **state)
{
	for (int i = 0; i < 100; i++)
		CV_LOG_LIMITED(CV_LOG_WARN, "here");
	CV_LOG_LIMITED(CV_LOG_WARN, "there");
	assert_string_equal(logged(), "warn: here\nwarn: here\nwarn: here\nwarn: here\nwarn: here\n"
				      "warn: there\n");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, redirect, restore)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(line_is_level_and_message),
		CASE(only_levels_asked_for_are_written),
		CASE(control_characters_become_question_marks),
		CASE(long_message_is_cut_and_still_one_line),
		CASE(errno_is_kept),
		CASE(journal_gets_fields),
		CASE(stderr_that_is_no_journal_sends_it_nothing),
		CASE(journal_that_takes_nothing_leaves_its_priority_on_stderr),
		CASE(journal_of_another_stream_is_not_ours),
		CASE(lines_of_threads_do_not_mix),
		CASE(limit_lets_a_burst_through_then_one_an_interval),
		CASE(limit_belongs_to_the_place_in_the_source),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
