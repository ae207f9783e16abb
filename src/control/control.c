/*
 * The life of one tunnel in the foreground: make it, turn its loop, end it.
 *
 * Signals come as a file descriptor, so that they are one more watch of the loop: SIGTERM and
 * SIGINT end the tunnel, SIGUSR2 prints the counters (as OpenVPN's does).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <convoy/config/config.h>
#include <convoy/control/control.h>
#include <convoy/device/device.h>
#include <convoy/log/log.h>
#include <convoy/loop/loop.h>

struct control {
	struct cv_loop *loop;
	struct cv_device *device;
	struct cv_watch signals;
	bool stop;
};

static void print_stat(void *arg, const char *name, uint64_t value)
{
	fprintf(arg, "stat %s %llu\n", name, (unsigned long long)value);
}

/* One write for the whole dump, so that it stays together whoever else writes to stderr. */
static void print_stats(struct control *control)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	fputs("stat begin\n", out);
	cv_device_stats(control->device, print_stat, out);
	fputs("stat end\n", out);
	if (fclose(out) == 0)
		fwrite(text, 1, size, stderr);
	free(text);
}

static bool signal_ready(struct cv_watch *watch, uint32_t revents)
{
	struct control *control = watch->owner;
	struct signalfd_siginfo info;

	while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR2)
			print_stats(control);
		else
			control->stop = true;
	}
	return false;
}

static int watch_signals(struct control *control)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR2);
	/* Before any thread exists, so that all inherit it. */
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	control->signals = (struct cv_watch){ fd, signal_ready, control };
	return cv_loop_add(control->loop, &control->signals);
}

static int open_control(struct control *control, const struct cv_config *config)
{
	int r = cv_loop_new(cv_device_loop_kind(config), &control->loop);

	if (r < 0) {
		cv_log_err("%s: no event loop: %s", config->name, strerror(-r));
		return r;
	}
	if (cv_loop_why(control->loop))
		cv_log_info("%s: %s", config->name, cv_loop_why(control->loop));
	r = watch_signals(control);
	if (r < 0) {
		cv_log_err("%s: cannot watch signals: %s", config->name, strerror(-r));
		return r;
	}
	return cv_device_new(config, control->loop, &control->device);
}

static int turn_until_stopped(struct control *control)
{
	while (!control->stop && !cv_device_is_gone(control->device)) {
		int r = cv_loop_turn(control->loop, cv_device_deadline(control->device), NULL,
				     NULL);

		if (r < 0)
			return r;
		cv_device_turn(control->device, cv_clock_now());
	}
	return 0;
}

int cv_control_run(const struct cv_config *config)
{
	struct control control = { .signals.fd = -1 };
	char text[CV_CAPABILITIES_TEXT_MAX];
	int r = open_control(&control, config);

	if (r == 0) {
		cv_log_info("%s: capabilities %s", config->name,
			    cv_device_capabilities(control.device, text));
		cv_log_info("%s: running", config->name);
		r = turn_until_stopped(&control);
		print_stats(&control);
		cv_log_info("%s: %s", config->name,
			    cv_device_is_gone(control.device) ? "the interface is gone, ending"
							      : "ending");
	}
	cv_device_free(control.device);
	if (control.signals.fd >= 0) {
		cv_loop_remove(control.loop, &control.signals);
		close(control.signals.fd);
	}
	cv_loop_free(control.loop);
	return r;
}
