/* What systemd is told, and when its watchdog is fed. The device is a row of counters. */
#include <control/internal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <convoy/log/log.h>

enum { WORKERS = 3 };

struct cv_device {
	uint64_t pulses[WORKERS];
	bool hangs[WORKERS];
	int pokes;
};

size_t cv_device_workers(const struct cv_device *device)
{
	return WORKERS;
}

void cv_device_poke(struct cv_device *device)
{
	device->pokes++;
	for (int i = 0; i < WORKERS; i++)
		device->pulses[i] += !device->hangs[i];
}

uint64_t cv_device_pulse(const struct cv_device *device, size_t worker)
{
	return device->pulses[worker];
}

struct story {
	struct cv_device device;
	struct cv_control control;
	struct cv_notify *notify;
	int fd; /* the service manager's */
	char folder[32], path[64];
};

static void listen_at(struct story *story, const char *address, size_t len)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	memcpy(at.sun_path, address, len);
	story->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_true(story->fd >= 0);
	assert_int_equal(bind(story->fd, (const struct sockaddr *)&at,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
}

static int set_up(void **state)
{
	struct story *story = calloc(1, sizeof(*story));

	strcpy(story->folder, "/tmp/cv-notify-XXXXXX");
	assert_non_null(mkdtemp(story->folder));
	snprintf(story->path, sizeof(story->path), "%s/socket", story->folder);
	story->control.device = &story->device;
	strcpy(story->control.config.name, "wg0");
	story->fd = -1;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	cv_log_set_level(CV_LOG_SILENT);
	*state = story;
	return 0;
}

static int tear_down(void **state)
{
	struct story *story = *state;

	cv_notify_close(story->notify);
	close(story->fd);
	unlink(story->path);
	rmdir(story->folder);
	free(story);
	return 0;
}

static void open_at_path(struct story *story)
{
	listen_at(story, story->path, strlen(story->path));
	setenv("NOTIFY_SOCKET", story->path, 1);
	assert_int_equal(cv_notify_open(&story->control, &story->notify), 0);
	assert_non_null(story->notify);
}

/* The next datagram, "" when there is none. */
static const char *said(struct story *story)
{
	static char text[256];
	ssize_t n = recv(story->fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void without_a_socket_there_is_none_and_all_is_silent(void **state)
{
	struct story *story = *state;

	assert_int_equal(cv_notify_open(&story->control, &story->notify), 0);
	assert_null(story->notify);
	assert_int_equal(cv_notify_watch(NULL), 0);
	cv_notify_ready(NULL, "running");
	cv_notify_reloading(NULL);
	cv_notify_stopping(NULL);
	cv_notify_turn(NULL, 5);
	assert_true(cv_notify_deadline(NULL) == CV_TIME_NEVER);
}

static void an_address_that_is_none_is_ignored(void **state)
{
	struct story *story = *state;
	char longest[200];

	memset(longest, '/', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < 3; i++) {
		setenv("NOTIFY_SOCKET", ((const char *[]){ "", "vsock:2:1", longest })[i], 1);
		assert_int_equal(cv_notify_open(&story->control, &story->notify), 0);
		assert_null(story->notify);
	}
}

static void states_go_to_a_socket_in_the_file_system(void **state)
{
	struct story *story = *state;

	open_at_path(story);
	cv_notify_ready(story->notify, "running");
	assert_string_equal(said(story), "READY=1\nSTATUS=running");
	cv_notify_stopping(story->notify);
	assert_string_equal(said(story), "STOPPING=1\nSTATUS=ending");
}

static void states_go_to_an_abstract_socket(void **state)
{
	struct story *story = *state;
	char name[64];
	int len = snprintf(name, sizeof(name), "@cv-notify-%d", getpid());

	setenv("NOTIFY_SOCKET", name, 1);
	name[0] = '\0';
	listen_at(story, name, (size_t)len);
	assert_int_equal(cv_notify_open(&story->control, &story->notify), 0);
	cv_notify_ready(story->notify, "running");
	assert_string_equal(said(story), "READY=1\nSTATUS=running");
}

static long long monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void a_reload_tells_when_it_began(void **state)
{
	struct story *story = *state;
	long long before = monotonic_us(), at;

	open_at_path(story);
	cv_notify_reloading(story->notify);
	assert_int_equal(sscanf(said(story), "RELOADING=1\nMONOTONIC_USEC=%lld\n", &at), 1);
	assert_true(at >= before && at <= monotonic_us());
}

static void a_manager_that_is_gone_is_no_trouble_and_met_again(void **state)
{
	struct story *story = *state;

	open_at_path(story);
	close(story->fd);
	unlink(story->path);
	cv_notify_ready(story->notify, "lost");
	listen_at(story, story->path, strlen(story->path));
	cv_notify_ready(story->notify, "running");
	assert_string_equal(said(story), "READY=1\nSTATUS=running");
}

static void open_watchdog(struct story *story, const char *usec)
{
	setenv("WATCHDOG_USEC", usec, 1);
	open_at_path(story);
	assert_int_equal(cv_notify_watch(story->notify), 0);
}

static void without_a_watchdog_nobody_is_poked(void **state)
{
	struct story *story = *state;

	open_at_path(story);
	assert_int_equal(cv_notify_watch(story->notify), 0);
	assert_true(cv_notify_deadline(story->notify) == CV_TIME_NEVER);
	cv_notify_turn(story->notify, cv_clock_now());
	assert_int_equal(story->device.pokes, 0);
	assert_string_equal(said(story), "");
}

static void the_watchdog_is_fed_several_times_in_its_time(void **state)
{
	struct story *story = *state;
	cv_time now;

	open_watchdog(story, "8000000");
	now = cv_notify_deadline(story->notify);
	cv_notify_turn(story->notify, now - 1);
	assert_string_equal(said(story), "");
	for (int i = 0; i < 3; i++) {
		cv_notify_turn(story->notify, now);
		assert_string_equal(said(story), "WATCHDOG=1");
		assert_true(cv_notify_deadline(story->notify) == now + 2 * CV_NS_PER_S);
		now = cv_notify_deadline(story->notify);
	}
}

static void any_worker_that_hangs_starves_the_watchdog_until_it_turns_again(void **state)
{
	struct story *story = *state;

	open_watchdog(story, "8000000");
	for (int i = 0; i < WORKERS; i++) {
		cv_notify_turn(story->notify, cv_notify_deadline(story->notify));
		assert_string_equal(said(story), "WATCHDOG=1");
		/* It still answers the poke that it had, not the next. */
		story->device.hangs[i] = true;
		cv_notify_turn(story->notify, cv_notify_deadline(story->notify));
		assert_string_equal(said(story), "WATCHDOG=1");
		for (int looks = 0; looks < 3; looks++) {
			cv_notify_turn(story->notify, cv_notify_deadline(story->notify));
			assert_string_equal(said(story), "");
		}
		story->device.hangs[i] = false;
		story->device.pulses[i]++;
	}
	cv_notify_turn(story->notify, cv_notify_deadline(story->notify));
	assert_string_equal(said(story), "WATCHDOG=1");
}

static void a_watchdog_of_another_process_is_not_ours(void **state)
{
	struct story *story = *state;
	char pid[16];

	setenv("WATCHDOG_PID", "1", 1);
	open_watchdog(story, "8000000");
	assert_true(cv_notify_deadline(story->notify) == CV_TIME_NEVER);
	cv_notify_close(story->notify);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(cv_notify_open(&story->control, &story->notify), 0);
	assert_int_equal(cv_notify_watch(story->notify), 0);
	assert_true(cv_notify_deadline(story->notify) != CV_TIME_NEVER);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(without_a_socket_there_is_none_and_all_is_silent),
		STORY(an_address_that_is_none_is_ignored),
		STORY(states_go_to_a_socket_in_the_file_system),
		STORY(states_go_to_an_abstract_socket),
		STORY(a_reload_tells_when_it_began),
		STORY(a_manager_that_is_gone_is_no_trouble_and_met_again),
		STORY(without_a_watchdog_nobody_is_poked),
		STORY(the_watchdog_is_fed_several_times_in_its_time),
		STORY(any_worker_that_hangs_starves_the_watchdog_until_it_turns_again),
		STORY(a_watchdog_of_another_process_is_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
