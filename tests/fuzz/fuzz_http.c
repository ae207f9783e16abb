/*
 * fuzz http: what comes in by the doors of HTTP. The first byte: odd, by the one for strangers. A
 * byte 255 ends a piece: what follows it arrives after the daemon had time to answer.
 *
 * Oracle: an answer is one, is HTTP, and holds no secret; strangers get the metrics and change
 * nothing; nothing is reloaded or ended but by a POST; whatever one client did, the next one is
 * served.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <convoy/log/log.h>

#include "../unit/control/fake_device.h"
#include "control/internal.h"
#include "fuzz.h"

enum {
	ANSWER_MAX = 1 << 16,
	TURNS_MAX = 200,
	PIECE_TURNS = 3,
	PIECE_END = 255,
};

static struct cv_device device = { .name = "wg0", .n_peers = 3 };
static struct cv_control control = { .device = &device };
static struct cv_http *http;
static int doors[2] = { -1, -1 }; /* own, strangers' */
static int reloads;

int cv_control_reload(struct cv_control *reloaded, FILE *findings)
{
	reloads++;
	fputs("a finding\n", findings);
	return 0;
}

/* Doors without a name in the file system. */
static int open_door(int which)
{
	struct sockaddr_un nowhere = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	must(fd >= 0 && bind(fd, (struct sockaddr *)&nowhere, sizeof(sa_family_t)) == 0);
	must(listen(fd, 8) == 0);
	doors[which] = fd;
	return fd;
}

int cv_door_listen(const char *name, struct cv_door_file *ret_file)
{
	return open_door(0);
}

int cv_door_listen_tcp(const struct cv_endpoint *at)
{
	return open_door(1);
}

void cv_door_unlink(const struct cv_door_file *file)
{
}

static void turn(void)
{
	must(cv_loop_turn(control.loop, 0, NULL, NULL) >= 0);
}

struct client {
	int fd;
	char answer[ANSWER_MAX];
	size_t len;
	bool over; /* the daemon has closed */
};

static void client_open(struct client *client, int which)
{
	struct sockaddr_un at;
	socklen_t size = sizeof(at);

	client->len = 0;
	client->over = false;
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	must(client->fd >= 0 && getsockname(doors[which], (struct sockaddr *)&at, &size) == 0);
	must(connect(client->fd, (struct sockaddr *)&at, size) == 0);
}

static void hear(struct client *client)
{
	ssize_t n;

	turn();
	while ((n = recv(client->fd, client->answer + client->len, ANSWER_MAX - client->len,
			 MSG_DONTWAIT)) > 0)
		client->len += (size_t)n;
	must(client->len < ANSWER_MAX);
	client->over |= n == 0 || errno == ECONNRESET;
}

static void say(struct client *client, const void *piece, size_t len)
{
	const uint8_t *at = piece;

	for (int turns = 0; len && !client->over && turns < TURNS_MAX; turns++) {
		ssize_t n = send(client->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
		hear(client);
	}
}

static void client_close(struct client *client)
{
	close(client->fd);
	turn();
	turn();
}

static bool has(const void *text, size_t len, const char *word)
{
	return memmem(text, len, word, strlen(word)) != NULL;
}

/* The bytes of a secret of the fake device, in base64. */
static const char secret[] = "Xl5eXl5eXl5e";

static void check_answer(const struct client *client, bool stranger)
{
	static const char *const statuses[] = { "100", "200", "202", "400", "404", "405", "411",
						"413", "414", "417", "431", "500", "501", "505" };
	size_t answers = 0, known = 0;
	const char *at = client->answer, *end = at + client->len;

	if (!client->len)
		return;
	must(client->len > 13 && !memcmp(at, "HTTP/1.", 7) && at[8] == ' ');
	/* libmicrohttpd 0.9.75 sends the head of some of its own refusals twice. */
	for (; (at = memmem(at, (size_t)(end - at), "HTTP/1.1 2", 10)); at += 10)
		answers++;
	must(answers <= 1);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
		known += !memcmp(client->answer + 9, statuses[i], 3);
	must(known == 1);
	must(!has(client->answer, client->len, secret));
	must(!stranger || !has(client->answer, client->len, "application/json"));
}

/* However it is cut into pieces. */
static bool says_post(struct input input)
{
	char *text = malloc(input.left + 1);
	size_t len = 0;
	bool says;

	must(text);
	for (size_t i = 0; i < input.left; i++)
		if (input.at[i] != PIECE_END)
			text[len++] = (char)input.at[i];
	says = has(text, len, "POST");
	free(text);
	return says;
}

static void next_one_is_served(void)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
	static struct client client;

	for (int which = 0; which < 2; which++) {
		client_open(&client, which);
		say(&client, request, strlen(request));
		for (int turns = 0; !client.over; turns++) {
			must(turns < TURNS_MAX);
			hear(&client);
		}
		must(has(client.answer, client.len, "HTTP/1.1 200 ") &&
		     has(client.answer, client.len, "convoy_up{interface=\"wg0\"} 1\n"));
		client_close(&client);
	}
}

static void begin(void)
{
	cv_log_set_level(CV_LOG_SILENT);
	cv_config_init(&control.config);
	strcpy(control.config.name, "wg0");
	must(cv_endpoint_parse("127.0.0.1:1", &control.config.metrics_at) == 0);
	must(cv_loop_new(CV_LOOP_EPOLL, &control.loop) == 0);
	must(cv_http_open(&control, &http) == 0);
	must(doors[0] >= 0 && doors[1] >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct client client;
	struct input input = { data, size };
	bool stranger = read8(&input) & 1, post = says_post(input);
	const uint8_t *piece;

	if (!http)
		begin();
	reloads = 0;
	control.stop = false;
	client_open(&client, stranger);
	while (input.left && !client.over) {
		size_t len = read_until(&input, PIECE_END, &piece);

		say(&client, piece, len);
		hear(&client);
	}
	shutdown(client.fd, SHUT_WR);
	for (int turns = 0; turns < PIECE_TURNS && !client.over; turns++)
		hear(&client);
	client_close(&client);
	check_answer(&client, stranger);
	must(post && !stranger ? reloads <= 1 : !reloads && !control.stop);
	next_one_is_served();
	return 0;
}
