/*
 * A conversation on the UAPI socket: requests in, replies out, as much at a time as the other end
 * takes.
 *
 * How it works. step() does the most urgent thing there is: send what is written, write more of the
 * reply that is asked for, take the lines that are there, read. It is called a few times a turn of
 * the loop, so that neither a long request nor a long reply keeps the control thread from its
 * handshakes; and nothing is read while a reply waits, so that a client that does not listen costs
 * its buffers and no more.
 *
 * After an error the rest of a request is read and dropped: the client writes it all before it
 * reads, and shall live to see the answer. What is no request at all ends the conversation.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <convoy/crypto/secret.h>
#include <convoy/log/log.h>

#include "uapi.h"

enum {
	/* Read at a time, and the longest line. */
	IN_SIZE = 4096,
	/* Of a turn: 8 KiB read, some 40 peers. Not tuned. */
	STEPS = 4,
};

enum request {
	REQUEST_NONE,
	REQUEST_GET,
	REQUEST_SET,
	REQUEST_ANSWERED, /* a get that was read whole; the reply is not written whole */
};

struct cv_uapi_client {
	struct cv_control *control;
	struct cv_watch watch;
	void (*forget)(void *owner, struct cv_uapi_client *client);
	void *owner;
	cv_time active;

	char in[IN_SIZE];
	size_t in_len;
	bool skip;  /* the rest of a line that was too long */
	bool ended; /* nothing more will come */

	enum request request;
	uint64_t lines; /* of the request */
	int error;      /* what was wrong first */
	struct cv_uapi_set set;
	struct cv_uapi_reply reply;
};

/* The request is wrong from here on. */
static void fail(struct cv_uapi_client *client, int error)
{
	int r = cv_uapi_set_end(&client->set, client->control->device);

	client->error = r < 0 ? r : error;
	cv_log_warn("%s: line %llu of a UAPI request: %s, ignoring the rest",
		    client->control->config.name, (unsigned long long)client->lines,
		    strerror(-client->error));
}

/* The first line of a request. */
static int begin_request(struct cv_uapi_client *client, const char *text, size_t len)
{
	struct cv_uapi_line line;
	int r = cv_uapi_line_parse(text, len, CV_UAPI_AT_START, &line);

	if (r < 0)
		return r;
	client->request = line.key == CV_UAPI_GET ? REQUEST_GET : REQUEST_SET;
	client->lines = 1;
	client->error = 0;
	cv_uapi_set_begin(&client->set);
	return 0;
}

static void end_request(struct cv_uapi_client *client)
{
	int r = cv_uapi_set_end(&client->set, client->control->device);

	if (r < 0)
		fail(client, r);
	if (client->request == REQUEST_GET && !client->error) {
		client->request = REQUEST_ANSWERED;
		cv_uapi_reply_begin(&client->reply);
	} else {
		client->request = REQUEST_NONE;
		cv_uapi_reply_result(&client->reply, client->error);
	}
}

static int take_line(struct cv_uapi_client *client, const char *text, size_t len)
{
	int r = -EINVAL; /* a get has no lines */

	if (client->request == REQUEST_NONE)
		return begin_request(client, text, len);
	client->lines++;
	if (len == 0) {
		end_request(client);
	} else if (!client->error) {
		if (client->request == REQUEST_SET)
			r = cv_uapi_set_line(&client->set, client->control->device, text, len);
		if (r < 0)
			fail(client, r);
	}
	return 0;
}

/* The buffer is full, and no line ends in it. */
static int take_long_line(struct cv_uapi_client *client)
{
	if (client->request == REQUEST_NONE)
		return -EPROTO;
	client->lines += !client->skip;
	if (!client->error)
		fail(client, memchr(client->in, '=', client->in_len) ? -EINVAL : -EPROTO);
	client->skip = true;
	client->in_len = 0;
	cv_wipe(client->in, IN_SIZE);
	return 1;
}

/* Take the lines that are there, up to the end of a get. Return: bytes taken, or -errno. */
static int take_lines(struct cv_uapi_client *client)
{
	size_t taken = 0, left;
	const char *end;
	int r = 0;

	while (r == 0 && client->request != REQUEST_ANSWERED) {
		const char *text = client->in + taken;

		end = memchr(text, '\n', client->in_len - taken);
		if (!end)
			break;
		if (!client->skip)
			r = take_line(client, text, (size_t)(end - text));
		client->skip = false;
		taken = (size_t)(end + 1 - client->in);
	}
	left = client->in_len - taken;
	memmove(client->in, client->in + taken, left);
	cv_wipe(client->in + left, client->in_len - left);
	client->in_len = left;
	return r < 0 ? r : (int)taken;
}

/* The other end writes no more: as wireguard-go, take what came as a whole set. A line that was cut
 * is none. */
static int take_end(struct cv_uapi_client *client)
{
	client->ended = true;
	if (client->request != REQUEST_SET)
		return -ECONNRESET;
	if (client->in_len > 0 && !client->error)
		fail(client, -EPROTO);
	end_request(client);
	return 1;
}

static int receive(struct cv_uapi_client *client)
{
	ssize_t n = recv(client->watch.fd, client->in + client->in_len, IN_SIZE - client->in_len,
			 MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	if (n == 0)
		return take_end(client);
	client->active = cv_clock_now();
	client->in_len += (size_t)n;
	return 1;
}

static int reply(struct cv_uapi_client *client)
{
	int r = cv_uapi_reply_send(&client->reply, client->watch.fd);

	if (r == -EAGAIN)
		return cv_loop_want_write(client->control->loop, &client->watch);
	client->active = cv_clock_now();
	return r < 0 ? r : 1;
}

/* Return: 1 something was done; 0 it is the other end's turn; -errno the conversation is over. */
static int step(struct cv_uapi_client *client)
{
	int r;

	if (client->reply.no_memory)
		return -ENOMEM;
	if (client->reply.text)
		return reply(client);
	if (client->request == REQUEST_ANSWERED) {
		if (!cv_uapi_reply_more(&client->reply, client->control->device)) {
			client->request = REQUEST_NONE;
			cv_uapi_reply_result(&client->reply, 0);
		}
		return 1;
	}
	if (client->ended)
		return -ECONNRESET;
	r = take_lines(client);
	if (r != 0)
		return r < 0 ? r : 1;
	return client->in_len == IN_SIZE ? take_long_line(client) : receive(client);
}

static bool client_ready(struct cv_watch *watch, uint32_t revents)
{
	struct cv_uapi_client *client = watch->owner;
	int r = 1;

	for (int i = 0; i < STEPS && r > 0; i++)
		r = step(client);
	if (r < 0) {
		client->forget(client->owner, client);
		cv_uapi_client_free(client);
	}
	return r > 0;
}

struct cv_uapi_client *cv_uapi_client_new(struct cv_control *control, int fd,
					  void (*forget)(void *owner,
							 struct cv_uapi_client *client),
					  void *owner)
{
	struct cv_uapi_client *client = calloc(1, sizeof(*client));

	if (!client) {
		close(fd);
		return NULL;
	}
	client->control = control;
	client->watch = (struct cv_watch){ fd, client_ready, client };
	client->forget = forget;
	client->owner = owner;
	client->active = cv_clock_now();
	if (cv_loop_add(control->loop, &client->watch) < 0) {
		cv_uapi_client_free(client);
		return NULL;
	}
	return client;
}

void cv_uapi_client_free(struct cv_uapi_client *client)
{
	cv_loop_remove(client->control->loop, &client->watch);
	close(client->watch.fd);
	cv_uapi_reply_done(&client->reply);
	cv_wipe(client, sizeof(*client));
	free(client);
}

cv_time cv_uapi_client_active(const struct cv_uapi_client *client)
{
	return client->active;
}
