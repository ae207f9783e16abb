/*
 * Replies, written by pieces of whole peers, each sent before the next is written: a reply of any
 * size takes no more memory than the peer with the most allowed-IPs needs as text.
 *
 * The text holds keys. It is wiped when it was sent, when it moves, and when nobody takes it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <convoy/crypto/secret.h>

#include "uapi.h"

enum {
	/* Written at a time, at least. Not tuned. */
	PIECE_SIZE = 16 << 10,
};

static void drop_text(struct cv_uapi_reply *reply)
{
	if (reply->text)
		cv_wipe(reply->text, reply->size);
	free(reply->text);
	reply->text = NULL;
	reply->len = reply->size = reply->sent = 0;
}

static bool reserve(struct cv_uapi_reply *reply, size_t more)
{
	size_t len = reply->len, size = reply->size ? 2 * reply->size : PIECE_SIZE;
	char *larger;

	if (reply->size - len >= more)
		return true;
	larger = malloc(size);
	if (!larger) {
		reply->no_memory = true;
		return false;
	}
	if (reply->text)
		memcpy(larger, reply->text, len);
	drop_text(reply);
	reply->text = larger;
	reply->len = len;
	reply->size = size;
	return true;
}

static void put(struct cv_uapi_reply *reply, const struct cv_uapi_line *line)
{
	if (reserve(reply, CV_UAPI_LINE_MAX))
		reply->len += cv_uapi_line_print(line, reply->text + reply->len);
}

static void put_number(struct cv_uapi_reply *reply, enum cv_uapi_key key, int64_t number)
{
	put(reply, &(struct cv_uapi_line){ .key = key, .number = number });
}

static void put_key(struct cv_uapi_reply *reply, enum cv_uapi_key key, const struct cv_key *value)
{
	struct cv_uapi_line line = { .key = key, .secret = *value };

	put(reply, &line);
	cv_wipe(&line, sizeof(line));
}

static void put_allowed_ip(void *arg, const struct cv_prefix *prefix)
{
	put(arg, &(struct cv_uapi_line){ .key = CV_UAPI_ALLOWED_IP, .prefix = *prefix });
}

static void put_device(struct cv_uapi_reply *reply, const struct cv_device *device)
{
	struct cv_device_show show;

	cv_device_show(device, true, &show);
	if (show.has_private_key)
		put_key(reply, CV_UAPI_PRIVATE_KEY, &show.private_key);
	if (show.listen_port)
		put_number(reply, CV_UAPI_LISTEN_PORT, show.listen_port);
	if (show.fwmark)
		put_number(reply, CV_UAPI_FWMARK, show.fwmark);
	cv_wipe(&show, sizeof(show));
}

static void put_peer(struct cv_uapi_reply *reply, const struct cv_device *device,
		     const struct cv_peer_show *show)
{
	put_key(reply, CV_UAPI_PUBLIC_KEY, &show->public_key);
	put_key(reply, CV_UAPI_PRESHARED_KEY, &show->psk);
	put_number(reply, CV_UAPI_PROTOCOL_VERSION, 1);
	if (show->has_endpoint)
		put(reply,
		    &(struct cv_uapi_line){ .key = CV_UAPI_ENDPOINT, .endpoint = show->endpoint });
	put_number(reply, CV_UAPI_LAST_HANDSHAKE_SEC, show->last_handshake_wall / CV_NS_PER_S);
	put_number(reply, CV_UAPI_LAST_HANDSHAKE_NSEC, show->last_handshake_wall % CV_NS_PER_S);
	put_number(reply, CV_UAPI_TX_BYTES, (int64_t)show->tx_bytes);
	put_number(reply, CV_UAPI_RX_BYTES, (int64_t)show->rx_bytes);
	put_number(reply, CV_UAPI_KEEPALIVE, show->keepalive_s);
	cv_device_each_allowed_ip(device, &show->public_key, put_allowed_ip, reply);
}

void cv_uapi_reply_begin(struct cv_uapi_reply *reply)
{
	reply->device_told = false;
	reply->cursor = (struct cv_peer_cursor){ 0 };
}

bool cv_uapi_reply_more(struct cv_uapi_reply *reply, const struct cv_device *device)
{
	struct cv_peer_show show;
	bool more = true;

	if (!reply->device_told)
		put_device(reply, device);
	reply->device_told = true;
	while (reply->len < PIECE_SIZE && more && !reply->no_memory) {
		more = cv_device_next_peer(device, &reply->cursor, true, &show);
		if (more)
			put_peer(reply, device, &show);
	}
	cv_wipe(&show, sizeof(show));
	return more;
}

void cv_uapi_reply_result(struct cv_uapi_reply *reply, int result)
{
	put_number(reply, CV_UAPI_ERRNO, result);
	if (reserve(reply, 1))
		reply->text[reply->len++] = '\n';
}

int cv_uapi_reply_send(struct cv_uapi_reply *reply, int fd)
{
	while (reply->sent < reply->len) {
		ssize_t n = send(fd, reply->text + reply->sent, reply->len - reply->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		reply->sent += (size_t)n;
	}
	drop_text(reply);
	return 0;
}

void cv_uapi_reply_done(struct cv_uapi_reply *reply)
{
	drop_text(reply);
}
