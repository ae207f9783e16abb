/*
 * The life of one tunnel: make it, turn its loop, end it.
 *
 * How it works. begin() makes the parts in the order in which each needs the one before: the
 * keeper (a fork, so before any thread), signals, what must hold before there is an interface.
 * Then the process gives up what it does not need any more, which holds for the threads to come:
 * lookups of names, the device. Last come the doors for operators and what an interface that is up
 * makes possible, and whoever waits is told. end() takes the same parts away in the opposite order,
 * whichever of them exist.
 *
 * Signals come as a file descriptor, so that they are one more watch of the loop: SIGTERM and
 * SIGINT end the tunnel, SIGHUP reloads, SIGUSR2 prints the counters (as OpenVPN's does).
 */
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <convoy/device/asking.h>
#include <convoy/device/show.h>
#include <convoy/log/log.h>

#include "internal.h"

static void print_stat(void *arg, const char *name, uint64_t value)
{
	fprintf(arg, "stat %s %llu\n", name, (unsigned long long)value);
}

/* One write for the whole dump, so that it stays together whoever else writes to stderr. */
static void print_stats(struct cv_control *control)
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

/* Findings of a reload that nobody asked for by a socket go to the log, line by line. */
static void reload(struct cv_control *control)
{
	char *text = NULL, *rest, *line;
	size_t size = 0;
	FILE *findings = open_memstream(&text, &size);
	int r;

	if (!findings)
		return;
	r = cv_control_reload(control, findings);
	if (fclose(findings) == 0) {
		rest = text;
		while ((line = strsep(&rest, "\n")))
			if (*line)
				cv_log(r < 0 ? CV_LOG_ERR : CV_LOG_WARN, "%s", line);
	}
	free(text);
}

static bool signal_ready(struct cv_watch *watch, uint32_t revents)
{
	struct cv_control *control = watch->owner;
	struct signalfd_siginfo info;

	while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR2)
			print_stats(control);
		else if (info.ssi_signo == SIGHUP)
			reload(control);
		else
			control->stop = true;
	}
	return false;
}

static int watch_signals(struct cv_control *control)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
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

static int open_loop(struct cv_control *control)
{
	const char *name = control->config.name;
	int r = cv_loop_new(cv_device_loop_kind(&control->config), &control->loop);

	if (r < 0) {
		cv_log_err("%s: no event loop: %s", name, strerror(-r));
		return r;
	}
	if (cv_loop_why(control->loop))
		cv_log_info("%s: %s", name, cv_loop_why(control->loop));
	r = watch_signals(control);
	if (r < 0)
		cv_log_err("%s: cannot watch signals: %s", name, strerror(-r));
	return r;
}

static enum cv_log_level log_level(const struct cv_config *config)
{
	switch (config->log_level) {
	case CV_CONFIG_LOG_ERROR:
		return CV_LOG_ERR;
	case CV_CONFIG_LOG_WARNING:
		return CV_LOG_WARN;
	case CV_CONFIG_LOG_DEBUG:
		return CV_LOG_DEBUG;
	default:
		return CV_LOG_INFO;
	}
}

void cv_control_adopt(const struct cv_control *control, struct cv_config *config)
{
	uint32_t mark = cv_host_mark(config);

	if (mark) {
		config->fwmark = mark;
		config->has_fwmark = true;
	}
	if (control->options->path)
		cv_log_set_level(log_level(config));
}

static bool has_default_route(const struct cv_config *config)
{
	return cv_config_has_default(config, AF_INET) || cv_config_has_default(config, AF_INET6);
}

uint32_t cv_control_guard_mark(const struct cv_control *control)
{
	struct cv_device_show show;

	if (!has_default_route(&control->config))
		return 0;
	cv_device_show(control->device, false, &show);
	return show.fwmark;
}

/* What must be there before an interface is. */
static int begin_below(struct cv_control *control)
{
	const struct cv_control_options *options = control->options;
	const struct cv_config *config = &control->config;
	int r = cv_control_await_predecessor(control);

	if (r == 0)
		r = cv_host_start(config, options->path, &control->host);
	if (r == 0)
		r = open_loop(control);
	if (r == 0)
		r = cv_host_before_up(control->host);
	if (r == 0)
		r = cv_notify_open(control, &control->notify);
	if (r == 0)
		r = cv_pool_open(control, &control->pool);
	if (r == 0 && options->restrict_self)
		r = options->restrict_self(options, config);
	if (r == 0)
		r = cv_resolver_open(control, &control->resolver);
	/* Soon the way to the name servers leads into the tunnel, or is closed. */
	if (r == 0 && (has_default_route(config) || cv_host_mark(config)))
		cv_resolver_await(control->resolver);
	return r;
}

static int begin_device(struct cv_control *control)
{
	const struct cv_control_options *options = control->options;
	const struct cv_device_options device = { options->bare, options->tun_fd };
	char text[CV_CAPABILITIES_TEXT_MAX];
	int r = cv_device_new(&control->config, &device, control->loop, &control->device);

	if (r < 0)
		return r;
	cv_log_info("%s: capabilities %s", control->config.name,
		    cv_device_capabilities(control->device, text));
	cv_resolver_turn(control->resolver, cv_clock_now());
	cv_control_ask(control);
	return cv_pool_begin(control->pool);
}

static cv_time first(cv_time a, cv_time b)
{
	return a < b ? a : b;
}

int cv_control_turn(struct cv_control *control, cv_time latest)
{
	cv_time ours = first(cv_uapi_deadline(control->uapi),
			     first(cv_notify_deadline(control->notify),
				   cv_resolver_deadline(control->resolver)));
	cv_time deadline = first(first(ours, latest), cv_device_deadline(control->device));
	int r = cv_loop_turn(control->loop, deadline, NULL, NULL);
	cv_time now = cv_clock_now();

	if (r < 0)
		return r;
	cv_device_turn(control->device, now);
	cv_pool_turn(control->pool, now);
	cv_resolver_turn(control->resolver, now);
	cv_notify_turn(control->notify, now);
	cv_uapi_turn(control->uapi, now);
	return 0;
}

/* A hook runs, which may want to ask wg(8), or to speak to somebody through the tunnel. */
static bool turn_for_hook(void *arg)
{
	struct cv_control *control = arg;

	return cv_control_turn(control, CV_TIME_NEVER) == 0 && !control->stop;
}

static bool keeper_ready(struct cv_watch *watch, uint32_t revents)
{
	return false;
}

static int work_while_hooks_run(struct cv_control *control)
{
	if (!control->host)
		return 0;
	control->keeper =
		(struct cv_watch){ .fd = cv_host_fd(control->host), .ready = keeper_ready };
	cv_host_set_turn(control->host, turn_for_hook, control);
	return cv_loop_add(control->loop, &control->keeper);
}

static int begin(struct cv_control *control)
{
	int r;

	cv_control_adopt(control, &control->config);
	r = begin_below(control);
	if (r == 0)
		r = begin_device(control);
	if (r == 0)
		r = cv_uapi_open(control, &control->uapi);
	if (r == 0)
		r = cv_http_open(control, &control->http);
	if (r == 0)
		r = cv_notify_watch(control->notify);
	if (r == 0)
		r = work_while_hooks_run(control);
	if (r == 0)
		r = cv_control_await_grant(control);
	if (r == 0)
		r = cv_host_after_up(control->host, cv_control_guard_mark(control));
	return r;
}

static bool is_over(const struct cv_control *control)
{
	return control->stop || cv_device_is_gone(control->device) ||
	       (control->uapi && cv_uapi_is_gone(control->uapi));
}

static int turn_until_over(struct cv_control *control)
{
	int r = 0;

	while (r == 0 && !is_over(control)) {
		if (cv_control_take_grant(control))
			cv_notify_ready(control->notify, cv_control_status(control));
		r = cv_control_turn(control, cv_device_grant_deadline(control->device));
	}
	return r;
}

static int live(struct cv_control *control)
{
	const char *name = control->config.name;
	int r;

	cv_log_info("%s: running", name);
	cv_notify_ready(control->notify, cv_control_status(control));
	r = turn_until_over(control);
	if (r < 0)
		cv_log_err("%s: the event loop failed: %s", name, strerror(-r));
	cv_notify_stopping(control->notify);
	if (cv_log_is_on(CV_LOG_INFO))
		print_stats(control);
	if (cv_device_is_gone(control->device))
		cv_log_info("%s: the interface is gone, ending", name);
	else if (!control->stop && r == 0)
		cv_log_info("%s: the socket file is gone, ending", name);
	else
		cv_log_info("%s: ending", name);
	return r;
}

/* An end that nobody asked for is a crash to the keeper: the kill switch stays. */
static void end(struct cv_control *control, bool asked)
{
	control->stop = false; /* another signal ends a hook */
	if (asked)
		cv_host_before_down(control->host);
	cv_notify_close(control->notify);
	if (control->http)
		cv_http_close(control->http);
	if (control->uapi)
		cv_uapi_close(control->uapi);
	cv_device_free(control->device);
	cv_pool_close(control->pool);
	cv_resolver_close(control->resolver);
	if (asked)
		cv_host_after_down(control->host);
	if (control->keeper.fd > 0)
		cv_loop_remove(control->loop, &control->keeper);
	cv_host_free(control->host);
	if (control->signals.fd >= 0) {
		cv_loop_remove(control->loop, &control->signals);
		close(control->signals.fd);
	}
	cv_loop_free(control->loop);
	cv_config_free(&control->config);
}

int cv_control_run(const struct cv_control_options *options, struct cv_config *config)
{
	struct cv_control control = { .options = options, .config = *config, .signals.fd = -1 };
	int r;

	cv_config_init(config);
	cv_log_set_interface(control.config.name);
	r = begin(&control);
	if (options->started)
		options->started(r);
	if (r < 0) {
		/* Each step says why it failed, but for what may fail anywhere. */
		if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
			cv_log_err("%s: cannot start: %s", control.config.name, strerror(-r));
		end(&control, true);
		return r;
	}
	r = live(&control);
	end(&control, control.stop);
	return r;
}
