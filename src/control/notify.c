/*
 * What systemd is told: sd_notify(3) by hand, and its watchdog.
 *
 * A state is one datagram of "KEY=value" lines to the socket that NOTIFY_SOCKET names; "@" stands
 * for the zero byte of an abstract name. Nobody answers, and a service manager that is gone is no
 * reason to stop.
 *
 * The watchdog is fed only when every thread was seen at work. Control, which runs this, turns its
 * own loop; workers sleep while there is nothing to carry, so each is poked, and the number of its
 * turns must have moved when we look again, a quarter of the watchdog's time later. A worker that
 * hangs thus starves the watchdog, and systemd starts the tunnel anew.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <convoy/log/log.h>

#include "internal.h"

enum { LOOKS = 4 }; /* in one time of the watchdog */

struct cv_notify {
	struct cv_control *control;
	int fd;
	struct sockaddr_un to;
	socklen_t to_size;

	cv_time interval; /* between two looks; 0: no watchdog */
	cv_time next;     /* look */
	size_t n_workers;
	uint64_t *pulses; /* pulse[n_workers] when they were poked last */
};

/* A path, or an abstract name. */
static int parse_address(const char *text, struct cv_notify *notify)
{
	size_t len = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || len >= sizeof(notify->to.sun_path))
		return -EINVAL;
	notify->to.sun_family = AF_UNIX;
	memcpy(notify->to.sun_path, text, len);
	if (text[0] == '@')
		notify->to.sun_path[0] = '\0';
	notify->to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	return 0;
}

static int meet(struct cv_notify *notify)
{
	return connect(notify->fd, (const struct sockaddr *)&notify->to, notify->to_size) < 0
		       ? -errno
		       : 0;
}

static bool send_once(struct cv_notify *notify, const char *state)
{
	return send(notify->fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

static void send_state(struct cv_notify *notify, const char *state)
{
	/* A service manager that was started anew has another socket of the same name. What is lost
	 * then is lost: STATUS is for people, and the watchdog is fed again. */
	if (!send_once(notify, state) && meet(notify) == 0)
		send_once(notify, state);
}

/* sd_watchdog_enabled(3). Return: 0 when it is off. */
static cv_time watchdog_time(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uintmax_t value;
	char *end;

	if (!usec || (pid && strtol(pid, NULL, 10) != getpid()))
		return 0;
	value = strtoumax(usec, &end, 10);
	if (*end || value > (uintmax_t)(INT64_MAX / 1000))
		return 0;
	return (cv_time)value * 1000;
}

static void poke(struct cv_notify *notify)
{
	struct cv_device *device = notify->control->device;

	for (size_t i = 0; i < notify->n_workers; i++)
		notify->pulses[i] = cv_device_pulse(device, i);
	cv_device_poke(device);
}

int cv_notify_watch(struct cv_notify *notify)
{
	cv_time interval = watchdog_time() / LOOKS;

	if (!notify || !interval)
		return 0;
	notify->n_workers = cv_device_workers(notify->control->device);
	notify->pulses = calloc(notify->n_workers, sizeof(*notify->pulses));
	if (!notify->pulses)
		return -ENOMEM;
	poke(notify);
	notify->interval = interval;
	notify->next = cv_clock_now() + interval;
	return 0;
}

int cv_notify_open(struct cv_control *control, struct cv_notify **ret_notify)
{
	const char *address = getenv("NOTIFY_SOCKET");
	struct cv_notify *notify;
	int r;

	if (!address)
		return 0;
	notify = calloc(1, sizeof(*notify));
	if (!notify)
		return -ENOMEM;
	notify->control = control;
	r = parse_address(address, notify);
	notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (r == 0 && notify->fd < 0)
		r = -errno;
	if (r == 0)
		r = meet(notify);
	if (r < 0) {
		cv_log_warn("%s: NOTIFY_SOCKET %s: %s, ignoring", control->config.name, address,
			    strerror(-r));
		cv_notify_close(notify);
		return 0;
	}
	*ret_notify = notify;
	return 0;
}

void cv_notify_ready(struct cv_notify *notify, const char *status)
{
	char state[256];

	if (!notify)
		return;
	snprintf(state, sizeof(state), "READY=1\nSTATUS=%s", status);
	send_state(notify, state);
}

void cv_notify_reloading(struct cv_notify *notify)
{
	char state[128];
	struct timespec now;

	if (!notify)
		return;
	/* By this time systemd tells this reload's READY from an earlier one. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%" PRIi64 "\nSTATUS=reloading",
		 (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	send_state(notify, state);
}

void cv_notify_stopping(struct cv_notify *notify)
{
	if (notify)
		send_state(notify, "STOPPING=1\nSTATUS=ending");
}

cv_time cv_notify_deadline(const struct cv_notify *notify)
{
	return notify && notify->interval ? notify->next : CV_TIME_NEVER;
}

/* The first that did not turn, n_workers: none. */
static size_t find_hanging(const struct cv_notify *notify)
{
	size_t i = 0;

	while (i < notify->n_workers &&
	       cv_device_pulse(notify->control->device, i) != notify->pulses[i])
		i++;
	return i;
}

void cv_notify_turn(struct cv_notify *notify, cv_time now)
{
	size_t hanging;

	if (now < cv_notify_deadline(notify))
		return;
	notify->next = now + notify->interval;
	hanging = find_hanging(notify);
	if (hanging < notify->n_workers) {
		CV_LOG_LIMITED(CV_LOG_WARN, "%s: worker %zu hangs, the watchdog is not fed",
			       notify->control->config.name, hanging);
		return;
	}
	send_state(notify, "WATCHDOG=1");
	poke(notify);
}

void cv_notify_close(struct cv_notify *notify)
{
	if (!notify)
		return;
	if (notify->fd >= 0)
		close(notify->fd);
	free(notify->pulses);
	free(notify);
}
