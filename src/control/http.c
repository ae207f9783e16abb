/*
 * The doors of a tunnel: HTTP for operators on a Unix socket, and for their monitoring on TCP.
 *
 * libmicrohttpd runs inside the control thread: its epoll descriptor is one watch of our loop, and
 * its timeouts come from a timerfd, armed only while somebody is connected, so that an idle tunnel
 * wakes nobody. A reply is made whole when it is asked for and leaves as fast as its reader reads;
 * nobody is waited for. A connection carries one request.
 *
 * Who may open the Unix socket is root and may do everything. Whoever reaches the TCP door is a
 * stranger: GET /metrics is all there is, and the text is made at most once in COPY_AGE, however
 * many ask.
 */
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <convoy/log/log.h>

#include "internal.h"

enum {
	CONNECTIONS_MAX = 16, /* of each door */
	IDLE_S = 10,          /* a client that neither sends nor reads for so long is cut off */
	ROUNDS = 8,           /* of libmicrohttpd in a turn of our loop, which has other work */
	BREAK_MS = 10, /* after those rounds, when there is more to do: or nothing to do it with */
	FAREWELL_ROUNDS = 4, /* so that "202" to POST /down leaves */
};

#define COPY_AGE CV_NS_PER_S

struct door {
	struct cv_http *http; /* NULL: closed */
	bool stranger;        /* whoever comes through */
	struct MHD_Daemon *daemon;
	struct cv_watch ready;
	struct cv_watch timer;
};

struct cv_http {
	struct cv_control *control;
	struct cv_door_file file;
	struct door own;
	struct door metrics;
	struct cv_endpoint metrics_at; /* where that is; no family: nowhere */
	struct MHD_Response *copy;     /* the last /metrics that strangers got */
	cv_time copied;
	int statm;
};

static const char text_type[] = "text/plain; charset=utf-8";
static const char metrics_type[] = "text/plain; version=0.0.4; charset=utf-8";

/* A text that becomes a response. */
struct text {
	FILE *out;
	char *bytes;
	size_t len;
};

static bool begin(struct text *text)
{
	*text = (struct text){ 0 };
	text->out = open_memstream(&text->bytes, &text->len);
	return text->out != NULL;
}

/* NULL when there is no memory. */
static struct MHD_Response *finish(struct text *text, const char *type)
{
	struct MHD_Response *response = NULL;

	if (fclose(text->out) == 0)
		response = MHD_create_response_from_buffer(text->len, text->bytes,
							   MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(text->bytes);
		return NULL;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	return response;
}

/* Takes: response, which may be NULL: then the connection is closed. */
static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status,
			     struct MHD_Response *response)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result reply_text(struct MHD_Connection *connection, unsigned status,
				  const char *words)
{
	struct text text;

	if (!begin(&text))
		return MHD_NO;
	fprintf(text.out, "%s\n", words);
	return reply(connection, status, finish(&text, text_type));
}

/* NULL when there is no memory for all of it. */
static struct MHD_Response *written(struct cv_control *control, const char *type,
				    int (*write)(struct cv_control *control, FILE *out))
{
	struct MHD_Response *response;
	struct text text;
	bool whole;

	if (!begin(&text))
		return NULL;
	whole = write(control, text.out) == 0;
	response = finish(&text, type);
	if (whole || !response)
		return response;
	MHD_destroy_response(response);
	return NULL;
}

static enum MHD_Result get_metrics(struct door *door, struct MHD_Connection *connection)
{
	struct cv_http *http = door->http;
	cv_time now = cv_clock_now();

	if (!door->stranger)
		return reply(connection, MHD_HTTP_OK,
			     written(http->control, metrics_type, cv_metrics_write));
	if (!http->copy || now - http->copied >= COPY_AGE) {
		if (http->copy)
			MHD_destroy_response(http->copy);
		http->copy = written(http->control, metrics_type, cv_metrics_write);
		http->copied = now;
	}
	return http->copy ? MHD_queue_response(connection, MHD_HTTP_OK, http->copy) : MHD_NO;
}

static enum MHD_Result get_show(struct door *door, struct MHD_Connection *connection)
{
	struct cv_control *control = door->http->control;
	struct MHD_Response *response = written(control, "application/json", cv_json_write);

	if (!response)
		cv_log_warn("%s: not enough memory to show it, ignoring", control->config.name);
	return reply(connection, MHD_HTTP_OK, response);
}

static enum MHD_Result post_reload(struct door *door, struct MHD_Connection *connection)
{
	struct text text;
	int r;

	if (!begin(&text))
		return MHD_NO;
	r = cv_control_reload(door->http->control, text.out);
	fflush(text.out);
	if (r < 0 && text.len == 0)
		fprintf(text.out, "%s\n", strerror(-r));
	return reply(connection, r < 0 ? MHD_HTTP_UNPROCESSABLE_CONTENT : MHD_HTTP_OK,
		     finish(&text, text_type));
}

static enum MHD_Result post_down(struct door *door, struct MHD_Connection *connection)
{
	door->http->control->stop = true;
	return reply_text(connection, MHD_HTTP_ACCEPTED, "ending");
}

static const struct {
	const char *path, *method;
	bool strangers; /* may ask for it */
	enum MHD_Result (*answer)(struct door *door, struct MHD_Connection *connection);
} pages[] = {
	{ "/metrics", MHD_HTTP_METHOD_GET, true, get_metrics },
	{ "/show", MHD_HTTP_METHOD_GET, false, get_show },
	{ "/reload", MHD_HTTP_METHOD_POST, false, post_reload },
	{ "/down", MHD_HTTP_METHOD_POST, false, post_down },
};

static enum MHD_Result refuse_method(struct MHD_Connection *connection, const char *allowed)
{
	struct text text;
	struct MHD_Response *response;

	if (!begin(&text))
		return MHD_NO;
	fprintf(text.out, "only %s\n", allowed);
	response = finish(&text, text_type);
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allowed);
	return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, response);
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_len, void **seen)
{
	struct door *door = arg;

	/* Called with the headers, with each piece of a body, and when all has come. Bodies mean
	 * nothing; a stranger's is not even read. */
	if (!door->stranger && (!*seen || *upload_len > 0)) {
		*seen = door;
		*upload_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
		method = MHD_HTTP_METHOD_GET;
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(url, pages[i].path) != 0 || (door->stranger && !pages[i].strangers))
			continue;
		if (strcmp(method, pages[i].method) != 0)
			return refuse_method(connection, pages[i].method);
		return pages[i].answer(door, connection);
	}
	return reply_text(connection, MHD_HTTP_NOT_FOUND,
			  door->stranger ? "there is /metrics"
					 : "there are /metrics, /show, /reload and /down");
}

/* When libmicrohttpd wants to run at the latest, in ms; 0: at once; -1: when something comes. */
static long long wait_ms(struct door *door)
{
	struct pollfd events = { .fd = door->ready.fd, .events = POLLIN };
	MHD_UNSIGNED_LONG_LONG ms;

	if (poll(&events, 1, 0) != 0) /* what is not known is looked at */
		return 0;
	return MHD_get_timeout(door->daemon, &ms) == MHD_YES ? (long long)ms : -1;
}

/* Until it has nothing to do twice in a row: what one run closed makes room that the next one sees,
 * to listen again. */
static void run(struct door *door)
{
	struct itimerspec at = { 0 };
	long long ms = 0, last;
	int i = 0;

	do {
		last = ms;
		MHD_run(door->daemon);
		ms = wait_ms(door);
	} while ((ms == 0 || last == 0) && ++i < ROUNDS);
	if (ms == 0)
		ms = BREAK_MS;
	if (ms > 0) {
		at.it_value.tv_sec = ms / 1000;
		at.it_value.tv_nsec = ms % 1000 * CV_NS_PER_MS;
	}
	timerfd_settime(door->timer.fd, 0, &at, NULL);
}

static bool door_ready(struct cv_watch *watch, uint32_t revents)
{
	run(watch->owner);
	return false;
}

static bool timer_ready(struct cv_watch *watch, uint32_t revents)
{
	uint64_t expirations;

	if (read(watch->fd, &expirations, sizeof(expirations)) > 0)
		run(watch->owner);
	return false;
}

static void close_door(struct door *door)
{
	struct cv_loop *loop;

	if (!door->http)
		return;
	loop = door->http->control->loop;
	cv_loop_remove(loop, &door->ready);
	cv_loop_remove(loop, &door->timer);
	for (int i = 0; i < FAREWELL_ROUNDS; i++)
		MHD_run(door->daemon);
	MHD_stop_daemon(door->daemon);
	close(door->timer.fd);
	door->http = NULL;
}

static int watch_door(struct door *door)
{
	struct cv_loop *loop = door->http->control->loop;
	const union MHD_DaemonInfo *info =
		MHD_get_daemon_info(door->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), r;

	door->timer = (struct cv_watch){ timer, timer_ready, door };
	if (timer < 0)
		return -errno;
	door->ready = (struct cv_watch){ info->epoll_fd, door_ready, door };
	r = cv_loop_add(loop, &door->ready);
	if (!r)
		r = cv_loop_add(loop, &door->timer);
	if (r < 0) {
		cv_loop_remove(loop, &door->ready);
		close(timer);
	}
	return r;
}

/* Takes: fd, which listens. */
static int open_door(struct cv_http *http, struct door *door, int fd, bool stranger)
{
	int r;

	*door = (struct door){ .http = http, .stranger = stranger };
	door->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, door,
					MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
					(unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
					(unsigned)IDLE_S, MHD_OPTION_END);
	if (!door->daemon) {
		close(fd);
		door->http = NULL;
		return -ENOMEM;
	}
	r = watch_door(door);
	if (r < 0) {
		MHD_stop_daemon(door->daemon);
		door->http = NULL;
	}
	return r;
}

void cv_http_change(struct cv_http *http)
{
	const struct cv_config *config = &http->control->config;
	char text[CV_ENDPOINT_TEXT_MAX];
	int r;

	if (cv_endpoint_equal(&config->metrics_at, &http->metrics_at))
		return;
	close_door(&http->metrics);
	http->metrics_at = config->metrics_at;
	if (!http->metrics_at.addr.family)
		return;
	r = cv_door_listen_tcp(&http->metrics_at);
	if (r >= 0)
		r = open_door(http, &http->metrics, r, true);
	if (r < 0)
		cv_log_warn("%s: no metrics at %s: %s, ignoring", config->name,
			    cv_endpoint_format(&http->metrics_at, text), strerror(-r));
}

int cv_http_open(struct cv_control *control, struct cv_http **ret_http)
{
	struct cv_http *http = calloc(1, sizeof(*http));
	int r;

	if (!http)
		return -ENOMEM;
	http->control = control;
	http->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	r = cv_door_listen(control->config.name, &http->file);
	if (r >= 0)
		r = open_door(http, &http->own, r, false);
	if (r < 0) {
		cv_log_warn("%s: no %s: %s, ignoring", control->config.name, http->file.path,
			    r == -EADDRINUSE ? "another tunnel of this name has it" : strerror(-r));
		cv_door_unlink(&http->file);
	}
	cv_http_change(http);
	*ret_http = http;
	return 0;
}

int cv_http_statm(const struct cv_http *http)
{
	return http ? http->statm : -1;
}

void cv_http_close(struct cv_http *http)
{
	cv_door_unlink(&http->file);
	close_door(&http->own);
	close_door(&http->metrics);
	if (http->copy)
		MHD_destroy_response(http->copy);
	if (http->statm >= 0)
		close(http->statm);
	free(http);
}
