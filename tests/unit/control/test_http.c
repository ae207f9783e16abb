/* The doors, with a loop that turns and clients that read as they like. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include "control/internal.h"
#include "fake_device.h"

static struct cv_device device;
static struct cv_control control;
static struct cv_http *http;
static int reload_result;
static const char *reload_findings;

int cv_control_reload(struct cv_control *reloaded, FILE *findings)
{
	assert_ptr_equal(reloaded, &control);
	fputs(reload_findings, findings);
	return reload_result;
}

/* A port that nobody has: the kernel chose it a moment ago. */
static uint16_t free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	close(fd);
	return ntohs(at.sin_port);
}

static void listen_at(const char *address)
{
	control.config.metrics_at = (struct cv_endpoint){ .port = free_port() };
	assert_int_equal(cv_addr_parse(address, &control.config.metrics_at.addr), 0);
}

static int begin(void **state)
{
	device = (struct cv_device){ .name = "wg0" };
	control = (struct cv_control){ .device = &device };
	cv_config_init(&control.config);
	snprintf(control.config.name, sizeof(control.config.name), "cv%d-t", (int)getpid());
	listen_at("127.0.0.1");
	reload_result = 0;
	reload_findings = "";
	return cv_loop_new(*(enum cv_loop_kind *)*state, &control.loop) ||
	       cv_http_open(&control, &http);
}

static int end(void **state)
{
	cv_http_close(http);
	cv_loop_free(control.loop);
	cv_config_free(&control.config);
	return 0;
}

static int connect_to(const struct sockaddr *at, socklen_t len)
{
	int fd = socket(at->sa_family, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	if (connect(fd, at, len) == 0)
		return fd;
	close(fd);
	return -errno;
}

static int try_stranger(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(control.config.metrics_at.port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	return connect_to((struct sockaddr *)&at, sizeof(at));
}

static int stranger(void)
{
	int fd = try_stranger();

	assert_true(fd >= 0);
	return fd;
}

/* Needs root, as the door does. */
static int operator(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd;

	if (geteuid() != 0)
		skip();
	snprintf(at.sun_path, sizeof(at.sun_path), CV_DOOR_PATH, control.config.name);
	fd = connect_to((struct sockaddr *)&at, sizeof(at));
	assert_true(fd >= 0);
	return fd;
}

static void say(int fd, const char *request)
{
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
}

static void turn(void)
{
	assert_true(cv_loop_turn(control.loop, CV_TIME_NEVER, NULL, NULL) >= 0);
}

/* All that comes until the other side closes; the loop turns meanwhile. Closes fd. */
static char *heard(int fd)
{
	size_t size = 1 << 20, len = 0;
	char *text = malloc(size);
	ssize_t n;

	assert_non_null(text);
	while ((n = recv(fd, text + len, size - len - 1, MSG_DONTWAIT)) != 0) {
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			turn();
			continue;
		}
		len += (size_t)n;
		if (len > size / 2) {
			text = realloc(text, size *= 2);
			assert_non_null(text);
		}
	}
	text[len] = '\0';
	close(fd);
	return text;
}

static char *ask(int fd, const char *what)
{
	char request[256];

	snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		 what);
	say(fd, request);
	return heard(fd);
}

/* The reply's status is as told, its body whole and with these words. Frees the reply. */
static void assert_reply(char *reply, const char *status, const char *words)
{
	const char *body = strstr(reply, "\r\n\r\n"), *length = strstr(reply, "Content-Length: ");
	char line[64];

	snprintf(line, sizeof(line), "HTTP/1.1 %s ", status);
	if (strncmp(reply, line, strlen(line)) != 0)
		print_message("%.300s\n", reply);
	assert_memory_equal(reply, line, strlen(line));
	assert_non_null(body);
	assert_true(length && length < body);
	assert_int_equal(strtoul(length + strlen("Content-Length: "), NULL, 10), strlen(body + 4));
	assert_non_null(strstr(body, words));
	free(reply);
}

static void strangers_get_metrics_and_nothing_else(void **state)
{
	char *reply = ask(stranger(), "GET /metrics");

	assert_non_null(
		strstr(reply, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_reply(reply, "200", "convoy_up{");
	assert_reply(ask(stranger(), "GET /show"), "404", "there is /metrics\n");
	assert_reply(ask(stranger(), "POST /reload"), "404", "");
	assert_reply(ask(stranger(), "POST /down"), "404", "");
	assert_reply(ask(stranger(), "GET /"), "404", "");
	assert_reply(ask(stranger(), "GET /metrics/"), "404", "");
	reply = ask(stranger(), "POST /metrics");
	assert_non_null(strstr(reply, "\r\nAllow: GET\r\n"));
	assert_reply(reply, "405", "only GET\n");
	assert_false(control.stop);
}

/* How often the text was made for two strangers, one right behind the other. */
static int made_for_two(void)
{
	int before = device.counted;

	assert_reply(ask(stranger(), "GET /metrics"), "200", "convoy_up{");
	assert_reply(ask(stranger(), "GET /metrics"), "200", "convoy_up{");
	return device.counted - before;
}

static void strangers_share_one_copy_for_a_while(void **state)
{
	int pairs = 0;

	/* On a slow day a second may pass between the two, but not each time. */
	while (made_for_two() > 1)
		assert_true(++pairs < 20);
	while (made_for_two() == 0)
		;
}

static void operators_get_what_is_new(void **state)
{
	assert_reply(ask(operator(), "GET /metrics"), "200", "convoy_up{");
	assert_reply(ask(operator(), "GET /show"), "200", "\"publicKey\":");
	assert_int_equal(device.counted, 2);
	assert_reply(ask(operator(), "GET /down"), "405", "only POST\n");
	assert_reply(ask(operator(), "GET /nothing"), "404", "/metrics, /show, /reload and /down");
	assert_false(control.stop);
}

static void reload_answers_with_the_findings(void **state)
{
	reload_findings = "x.conf: warning\n";
	assert_reply(ask(operator(), "POST /reload"), "200", "x.conf: warning\n");
	reload_result = -EINVAL;
	reload_findings = "x.conf: error\n";
	assert_reply(ask(operator(), "POST /reload"), "422", "x.conf: error\n");
	reload_findings = "";
	assert_reply(ask(operator(), "POST /reload"), "422", "Invalid argument\n");
}

static void down_is_accepted_and_ends_the_tunnel(void **state)
{
	assert_false(control.stop);
	assert_reply(ask(operator(), "POST /down"), "202", "ending\n");
	assert_true(control.stop);
}

static void reply_of_10000_peers_is_whole(void **state)
{
	static const char sample[] = "\nwireguard_received_bytes_total{";
	char *reply;
	size_t n = 0;

	device.n_peers = 10000;
	reply = ask(stranger(), "GET /metrics");
	for (const char *at = reply; (at = strchr(at, '\n')); at++)
		n += strncmp(at, sample, strlen(sample)) == 0;
	assert_int_equal(n, 10000);
	assert_reply(reply, "200", "convoy_up{");
}

static void show_of_10000_peers_is_whole(void **state)
{
	device.n_peers = 10000;
	assert_reply(ask(operator(), "GET /show"), "200", "\"peers\":");
}

static void reader_that_does_not_read_holds_nobody(void **state)
{
	int lazy = stranger();

	device.n_peers = 10000;
	say(lazy, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_reply(ask(stranger(), "GET /metrics"), "200", "convoy_up{");
	assert_reply(heard(lazy), "200", "convoy_up{");
}

static void clients_beyond_the_bound_wait_until_others_leave(void **state)
{
	enum { CLIENTS = 28 };
	int fds[CLIENTS];

	/* The first 16 come in; the backlog has room for 12. They say half of a request. */
	for (int i = 0; i < CLIENTS; i++) {
		fds[i] = stranger();
		say(fds[i], "GET /metrics HTTP/1.1\r\n");
		if (i < 16)
			turn();
	}
	for (int i = 0; i < CLIENTS - 1; i++)
		close(fds[i]);
	say(fds[CLIENTS - 1], "Host: x\r\n\r\n");
	assert_reply(heard(fds[CLIENTS - 1]), "200", "convoy_up{");
}

static void idle_door_wakes_nobody(void **state)
{
	int calls;

	assert_reply(ask(stranger(), "GET /metrics"), "200", "convoy_up{");
	/* What is left to do for the connection that closed. */
	do {
		calls = cv_loop_turn(control.loop, cv_clock_now() + 20 * CV_NS_PER_MS, NULL, NULL);
		assert_true(calls >= 0);
	} while (calls > 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(
			cv_loop_turn(control.loop, cv_clock_now() + 5 * CV_NS_PER_MS, NULL, NULL),
			0);
}

static void garbage_is_answered_or_cut_off(void **state)
{
	static const char *const requests[] = {
		"\r\n\r\n\r\n\r\n",
		"GET /metrics\r\n\r\n",
		"GET /metrics HTTP/9.9\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	};

	enum { N = sizeof(requests) / sizeof(requests[0]) };
	int fds[N];

	/* All at once: some are waited for until the door has no more patience. */
	for (size_t i = 0; i < N; i++) {
		fds[i] = stranger();
		say(fds[i], requests[i]);
		shutdown(fds[i], SHUT_WR);
	}
	for (size_t i = 0; i < N; i++)
		free(heard(fds[i]));
	assert_reply(ask(stranger(), "GET /metrics"), "200", "convoy_up{");
}

static void tcp_door_follows_the_config(void **state)
{
	struct cv_endpoint before = control.config.metrics_at;

	listen_at("127.0.0.1");
	cv_http_change(http);
	assert_reply(ask(stranger(), "GET /metrics"), "200", "convoy_up{");
	control.config.metrics_at.port = before.port;
	assert_int_equal(try_stranger(), -ECONNREFUSED);
	control.config.metrics_at = (struct cv_endpoint){ 0 };
	cv_http_change(http);
	control.config.metrics_at = before;
	assert_int_equal(try_stranger(), -ECONNREFUSED);
	cv_http_change(http);
	assert_reply(ask(stranger(), "GET /metrics"), "200", "convoy_up{");
}

static void tcp_door_may_be_ipv6_and_at_an_address_to_come(void **state)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd;

	listen_at("::1");
	at.sin6_port = htons(control.config.metrics_at.port);
	cv_http_change(http);
	fd = connect_to((struct sockaddr *)&at, sizeof(at));
	if (fd == -EADDRNOTAVAIL)
		skip();
	assert_true(fd >= 0);
	assert_reply(ask(fd, "GET /metrics"), "200", "convoy_up{");
	fd = cv_door_listen_tcp(&(struct cv_endpoint){ { AF_INET, { 203, 0, 113, 7 } }, 9586 });
	assert_true(fd >= 0);
	close(fd);
	fd = cv_door_listen_tcp(
		&(struct cv_endpoint){ { AF_INET6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 7 } }, 9586 });
	assert_true(fd >= 0);
	close(fd);
}

static void socket_is_roots_alone_and_gone_at_the_end(void **state)
{
	struct cv_door_file file, second;
	struct stat status;
	char name[IFNAMSIZ];
	int fd;

	if (geteuid() != 0)
		skip();
	snprintf(name, sizeof(name), "cv%d-f", (int)getpid());
	fd = cv_door_listen(name, &file);
	assert_true(fd >= 0);
	assert_int_equal(stat(file.path, &status), 0);
	assert_int_equal(status.st_mode, S_IFSOCK | 0600);
	assert_int_equal(stat("/run/convoy", &status), 0);
	assert_int_equal(status.st_mode, S_IFDIR | 0755);
	assert_int_equal(cv_door_listen(name, &second), -EADDRINUSE);
	cv_door_unlink(&second);
	assert_int_equal(access(file.path, F_OK), 0);
	/* As after kill -9: the file is there and nobody listens. */
	close(fd);
	fd = cv_door_listen(name, &second);
	assert_true(fd >= 0);
	cv_door_unlink(&second);
	assert_int_equal(access(file.path, F_OK), -1);
	close(fd);
}

#define CASE(name)                                                               \
	{ #name " (io_uring)", name, begin, end, (void *)(uintptr_t)&kinds[0] }, \
	{                                                                        \
#name " (epoll)", name, begin, end, (void *)(uintptr_t)&kinds[1] \
	}

int main(void)
{
	static const enum cv_loop_kind kinds[] = { CV_LOOP_AUTO, CV_LOOP_EPOLL };
	const struct CMUnitTest tests[] = {
		CASE(strangers_get_metrics_and_nothing_else),
		CASE(strangers_share_one_copy_for_a_while),
		CASE(operators_get_what_is_new),
		CASE(reload_answers_with_the_findings),
		CASE(down_is_accepted_and_ends_the_tunnel),
		CASE(reply_of_10000_peers_is_whole),
		CASE(show_of_10000_peers_is_whole),
		CASE(reader_that_does_not_read_holds_nobody),
		CASE(clients_beyond_the_bound_wait_until_others_leave),
		CASE(idle_door_wakes_nobody),
		CASE(garbage_is_answered_or_cut_off),
		CASE(tcp_door_follows_the_config),
		CASE(tcp_door_may_be_ipv6_and_at_an_address_to_come),
		CASE(socket_is_roots_alone_and_gone_at_the_end),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
