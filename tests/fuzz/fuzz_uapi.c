/*
 * fuzz uapi: what comes in on the UAPI socket. A zero ends a piece: what stands before it arrives
 * at once, and what follows after the daemon had time to answer. A byte 1 is many letters.
 *
 * Oracle: however the bytes are cut, the same is done and answered as for a client that waits for
 * each reply; each request that is whole, and a set that the end of the conversation cuts, has one
 * reply of lines with "errno=" as the last; nothing more of a set is done behind what failed; the
 * conversation ends when its other end does.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <convoy/log/log.h>

#include "control/uapi.h"
#include "fuzz_text.h"

#define HEX_1 "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
#define HEX_2 "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define HEX_3 "0000000000000000000000000000000000000000000000000000000000000000"

static const char *const fuzz_lines[] = {
	"get=1\n",
	"set=1",
	"set=1\npublic_key=" HEX_1 "\nallowed_ip=10.0.0.0/8\n",
	"private_key=" HEX_1,
	"listen_port=1",
	"listen_port=2",
	"fwmark=1",
	"replace_peers=true",
	"public_key=" HEX_2,
	"public_key=" HEX_3,
	"update_only=true",
	"remove=true",
	"preshared_key=" HEX_1,
	"endpoint=192.0.2.1:51820",
	"endpoint=[fe80::1%lo]:65535",
	"persistent_keepalive_interval=25",
	"replace_allowed_ips=true",
	"allowed_ip=10.0.0.0/8",
	"allowed_ip=-fd00::/8",
	"protocol_version=1",
	"\1\1\1",
	"",
	NULL,
};

enum {
	PEERS_MAX = 2, /* so that it is full soon */
	TOLD = 50,     /* times each is told, so that a reply is long */
	ALLOWED_MAX = 40,
	LOG_MAX = 4 << 20,
	TURNS_MAX = 20000,
	MANY = 1, /* a byte of this is many letters, so that a line is long */
	MANY_LEN = 1500,
	MANY_MAX = 16,
	GETS_MAX = 40,
};

/* The device in the place of the real one: it has peers, and writes down what is done to it. */
struct cv_device {
	size_t n_peers;
	struct {
		struct cv_key key;
		size_t n_allowed;
		struct cv_prefix allowed[ALLOWED_MAX];
	} peers[PEERS_MAX];
	bool patient; /* its client sends nothing before the last reply came */
	bool failed;
	size_t failed_at; /* how much had been answered then */
	char done[LOG_MAX];
	size_t done_len;
};

__attribute__((format(printf, 2, 3))) static void note(struct cv_device *device, const char *format,
						       ...)
{
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vsnprintf(device->done + device->done_len, LOG_MAX - device->done_len, format,
			arguments);
	va_end(arguments);
	must(len >= 0 && (size_t)len < LOG_MAX - device->done_len);
	device->done_len += (size_t)len;
}

static void note_key(struct cv_device *device, const struct cv_key *key)
{
	char text[CV_KEY_BASE64_LEN + 1];

	note(device, " %s", cv_key_to_base64(key, text));
}

/* Bytes that were answered so far. */
static size_t answered(struct cv_device *device);

/* Behind a failure nothing is done before it was told: for a patient client, so that it is no other
 * set's doing. */
static int result(struct cv_device *device, int r)
{
	must(!device->failed || !device->patient || answered(device) > device->failed_at);
	device->failed = r < 0;
	device->failed_at = answered(device);
	return r;
}

int cv_device_set_private_key(struct cv_device *device, const struct cv_key *key, cv_time now)
{
	note(device, "private_key");
	note_key(device, key);
	return result(device, 0);
}

int cv_device_set_listen_port(struct cv_device *device, uint16_t port)
{
	note(device, "listen_port %u", port);
	return result(device, port == 1 ? -EADDRINUSE : 0);
}

int cv_device_set_fwmark(struct cv_device *device, uint32_t fwmark)
{
	note(device, "fwmark %u", fwmark);
	return result(device, fwmark == 1 ? -EPERM : 0);
}

void cv_device_clear_peers(struct cv_device *device)
{
	note(device, "clear");
	device->n_peers = 0;
	result(device, 0);
}

static size_t find(const struct cv_device *device, const struct cv_key *key)
{
	size_t i = 0;

	while (i < device->n_peers && !cv_key_equal(&device->peers[i].key, key))
		i++;
	return i;
}

static void note_change(struct cv_device *device, const struct cv_peer_change *change)
{
	char text[CV_ENDPOINT_TEXT_MAX];

	note(device, "peer");
	note_key(device, &change->public_key);
	note(device, "%s%s%s", change->remove ? " remove" : "",
	     change->update_only ? " update" : "", change->replace_allowed_ips ? " replace" : "");
	if (change->set_psk)
		note_key(device, &change->psk);
	if (change->set_endpoint)
		note(device, " at %s", cv_endpoint_format(&change->endpoint, text));
	if (change->set_keepalive)
		note(device, " every %u", change->keepalive_s);
	for (size_t i = 0; i < change->n_allowed_ips; i++)
		note(device, " %s%s", change->allowed_ips[i].remove ? "-" : "",
		     cv_prefix_format(&change->allowed_ips[i].prefix, text));
	note(device, "\n");
}

int cv_device_change_peer(struct cv_device *device, const struct cv_peer_change *change,
			  cv_time now)
{
	size_t i = find(device, &change->public_key);

	must(change->n_allowed_ips <= CV_UAPI_ALLOWED_IPS);
	note_change(device, change);
	if (i == device->n_peers && (change->remove || change->update_only))
		return result(device, 0);
	if (i == PEERS_MAX)
		return result(device, -ENOMEM);
	if (change->remove) {
		device->peers[i] = device->peers[--device->n_peers];
		return result(device, 0);
	}
	if (i == device->n_peers)
		device->n_peers++, device->peers[i].n_allowed = 0;
	device->peers[i].key = change->public_key;
	if (change->replace_allowed_ips)
		device->peers[i].n_allowed = 0;
	for (size_t k = 0; k < change->n_allowed_ips; k++)
		if (!change->allowed_ips[k].remove && device->peers[i].n_allowed < ALLOWED_MAX)
			device->peers[i].allowed[device->peers[i].n_allowed++] =
				change->allowed_ips[k].prefix;
	return result(device, 0);
}

void cv_device_show(const struct cv_device *device, bool secrets, struct cv_device_show *ret_show)
{
	*ret_show = (struct cv_device_show){ .has_private_key = true, .listen_port = 51820 };
}

bool cv_device_next_peer(const struct cv_device *device, struct cv_peer_cursor *cursor,
			 bool secrets, struct cv_peer_show *ret_show)
{
	if (cursor->after >= TOLD * device->n_peers)
		return false;
	*ret_show = (struct cv_peer_show){
		.public_key = device->peers[cursor->after++ % device->n_peers].key,
		.has_endpoint = true,
		.endpoint = { .addr = { AF_INET6, { 0xfe, 0x80 } }, .port = 1, .scope = 7 },
		.rx_bytes = UINT64_MAX >> 1,
	};
	return true;
}

void cv_device_each_allowed_ip(const struct cv_device *device, const struct cv_key *public_key,
			       void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg)
{
	size_t i = find(device, public_key);

	for (size_t k = 0; k < device->peers[i].n_allowed; k++)
		visit(arg, &device->peers[i].allowed[k]);
}

/* Conversations --------------------------------------------------------------------------- */

/* One conversation: what was done, and what was answered. */
struct talk {
	struct cv_device device;
	struct cv_control control;
	int fd;
	bool over;
	char heard[LOG_MAX];
	size_t heard_len;
};

static void forget(void *owner, struct cv_uapi_client *client)
{
	struct talk *talk = owner;

	talk->over = true;
}

static void hear(struct talk *talk)
{
	ssize_t n;

	while ((n = recv(talk->fd, talk->heard + talk->heard_len, LOG_MAX - talk->heard_len,
			 MSG_DONTWAIT)) > 0)
		talk->heard_len += (size_t)n;
	must(talk->heard_len < LOG_MAX);
}

static size_t answered(struct cv_device *device)
{
	struct talk *talk = (struct talk *)device; /* its first member */

	hear(talk);
	return talk->heard_len;
}

/* Return: whether the daemon had something to do. */
static bool turn(struct talk *talk)
{
	int called = cv_loop_turn(talk->control.loop, 0, NULL, NULL);

	must(called >= 0);
	hear(talk);
	return called > 0;
}

static void say(struct talk *talk, const uint8_t *piece, size_t len)
{
	int turns = 0;

	while (len && !talk->over) {
		ssize_t n = send(talk->fd, piece, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		must(n > 0 || errno == EAGAIN);
		piece += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
		turn(talk);
		must(turns++ < TURNS_MAX);
	}
}

/* Up to the next empty line, with it. */
static size_t read_request(struct input *input, const uint8_t **ret_piece)
{
	const uint8_t *end = memmem(input->at, input->left, "\n\n", 2);
	bool empty = input->at[0] == '\n'; /* the line before it ended the last request */

	if (empty || !end)
		return read_piece(input, empty ? 1 : input->left, ret_piece);
	return read_piece(input, (size_t)(end + 2 - input->at), ret_piece);
}

static void hold_talk(struct talk *talk, struct input input)
{
	bool patient = talk->device.patient;
	const uint8_t *piece;
	int fds[2], turns = 0;

	talk->device.n_peers = talk->device.done_len = talk->heard_len = 0;
	talk->device.failed = talk->over = false;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	talk->fd = fds[0];
	must(cv_uapi_client_new(&talk->control, fds[1], forget, talk));
	while (input.left) {
		size_t len = patient ? read_request(&input, &piece) : read_until(&input, 0, &piece);

		say(talk, piece, len);
		while (turn(talk) && patient)
			must(turns++ < TURNS_MAX);
	}
	shutdown(talk->fd, SHUT_WR);
	while (!talk->over) {
		turn(talk);
		must(turns++ < TURNS_MAX);
	}
	hear(talk);
	close(talk->fd);
}

static bool is_key(const char *line, size_t len, const char *key)
{
	return len > strlen(key) && !memcmp(line, key, strlen(key)) && line[strlen(key)] == '=';
}

/* Replies, each of lines and an empty one. Return: how many. */
static size_t count_replies(const struct talk *talk)
{
	static const char *const known[] = { "private_key",
					     "listen_port",
					     "public_key",
					     "preshared_key",
					     "protocol_version",
					     "endpoint",
					     "last_handshake_time_sec",
					     "last_handshake_time_nsec",
					     "tx_bytes",
					     "rx_bytes",
					     "persistent_keepalive_interval",
					     "allowed_ip",
					     "errno" };
	struct input rest = { (const uint8_t *)talk->heard, talk->heard_len };
	const uint8_t *line;
	bool ends = false;
	size_t n = 0;

	while (rest.left) {
		size_t len = read_until(&rest, '\n', &line), i = 0;

		if (len == 0) {
			must(ends);
			ends = false;
			n++;
			continue;
		}
		must(!ends);
		while (i < sizeof(known) / sizeof(known[0]) &&
		       !is_key((const char *)line, len, known[i]))
			i++;
		must(i < sizeof(known) / sizeof(known[0]));
		ends = is_key((const char *)line, len, "errno");
	}
	must(!ends);
	return n;
}

/* How many a reader of whole texts would send. Return: whether that is known: it is not when what
 * is no request ends the conversation, and with it the replies that were not sent yet. */
static bool expect_replies(struct input input, size_t *ret_n)
{
	enum cv_uapi_key request = CV_UAPI_KEYS;
	struct cv_uapi_line begin;
	const uint8_t *line;

	*ret_n = 0;
	while (input.left) {
		bool cut = input.at[input.left - 1] != '\n';
		size_t len = read_until(&input, '\n', &line);

		cut = cut && !input.left;
		if (request == CV_UAPI_KEYS) {
			if (cut || cv_uapi_line_parse((const char *)line, len, CV_UAPI_AT_START,
						      &begin) < 0)
				return false;
			request = begin.key;
		} else if (len == 0 && !cut) {
			request = CV_UAPI_KEYS;
			++*ret_n;
		}
	}
	*ret_n += request == CV_UAPI_SET;
	return true;
}

/* The text with all its letters, with or without the ends of its pieces. */
static struct input text_with(const uint8_t *data, size_t size, bool ends)
{
	uint8_t *text = malloc(size * MANY_LEN + 1);
	size_t len = 0;

	must(text);
	for (size_t i = 0; i < size; i++)
		if (data[i] == MANY) {
			memset(text + len, 'a', MANY_LEN);
			len += MANY_LEN;
		} else if (data[i] || ends) {
			text[len++] = data[i];
		}
	return (struct input){ text, len };
}

static size_t count(const uint8_t *data, size_t size, uint8_t byte)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += data[i] == byte;
	return n;
}

static struct talk *talk_new(bool patient)
{
	struct talk *talk = calloc(1, sizeof(*talk));

	must(talk);
	cv_log_set_level(CV_LOG_SILENT);
	talk->device.patient = patient;
	talk->control.device = &talk->device;
	must(cv_loop_new(CV_LOOP_EPOLL, &talk->control.loop) == 0);
	return talk;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct talk *patient, *cut;
	struct input joined, pieces;
	size_t expected;
	bool is_known;

	if (!patient) {
		patient = talk_new(true);
		cut = talk_new(false);
	}
	/* Each get is answered by some 50 KiB. */
	if (count(data, size, MANY) > MANY_MAX || count(data, size, 'g') > GETS_MAX)
		return 0;
	joined = text_with(data, size, false);
	pieces = text_with(data, size, true);
	hold_talk(patient, joined);
	hold_talk(cut, pieces);
	must(patient->device.done_len == cut->device.done_len &&
	     !memcmp(patient->device.done, cut->device.done, cut->device.done_len));
	is_known = expect_replies(joined, &expected);
	must(!is_known || count_replies(patient) == expected);
	must(!is_known || (patient->heard_len == cut->heard_len &&
			   !memcmp(patient->heard, cut->heard, cut->heard_len)));
	free((void *)(uintptr_t)joined.at);
	free((void *)(uintptr_t)pieces.at);
	return 0;
}
