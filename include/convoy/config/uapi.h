/* The UAPI, the text protocol of wg(8), line by line: text to value and value to text.
 *
 * A request is "get=1" or "set=1", lines, and an empty line; a reply is lines, "errno=N" and an
 * empty line. In a set the lines of the device come first; each public_key begins a peer.
 * Source: https://www.wireguard.com/xplatform/; wireguard-go, device/uapi.go.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/crypto/key.h>

enum {
	CV_UAPI_LINE_MAX = 128, /* bytes with the line's end; no line of sense is longer */
};

enum cv_uapi_key {
	/* How a request begins. */
	CV_UAPI_GET,
	CV_UAPI_SET,
	/* Of the device. */
	CV_UAPI_PRIVATE_KEY,
	CV_UAPI_LISTEN_PORT,
	CV_UAPI_FWMARK,
	CV_UAPI_REPLACE_PEERS,
	/* Of a peer. */
	CV_UAPI_PUBLIC_KEY,
	CV_UAPI_UPDATE_ONLY,
	CV_UAPI_REMOVE,
	CV_UAPI_PRESHARED_KEY,
	CV_UAPI_ENDPOINT,
	CV_UAPI_KEEPALIVE,
	CV_UAPI_REPLACE_ALLOWED_IPS,
	CV_UAPI_ALLOWED_IP,
	CV_UAPI_PROTOCOL_VERSION,
	/* Of replies only. */
	CV_UAPI_LAST_HANDSHAKE_SEC,
	CV_UAPI_LAST_HANDSHAKE_NSEC,
	CV_UAPI_TX_BYTES,
	CV_UAPI_RX_BYTES,
	CV_UAPI_ERRNO,
	CV_UAPI_KEYS,
};

/* Where in a request a line stands. */
enum cv_uapi_place {
	CV_UAPI_AT_START,
	CV_UAPI_IN_DEVICE, /* of a set, no public_key yet */
	CV_UAPI_IN_PEER,
};

struct cv_uapi_line {
	enum cv_uapi_key key;
	union {
		struct cv_key secret; /* and public_key; wipe the line */
		int64_t number;       /* 1 for "true" */
		struct {
			struct cv_endpoint endpoint;
			/* "eth0" of "[fe80::1%eth0]:1", to become endpoint.scope; or "" */
			char scope_name[IFNAMSIZ];
		};
		struct {
			struct cv_prefix prefix; /* host bits zero */
			bool remove;             /* "-" before it */
		};
	};
};

/**
 * cv_uapi_line_parse() - read a line of a request
 * @text, @len:	without the line's end; any bytes
 *
 * Return: 0; -EPROTO without "="; -EINVAL for a key that is unknown or does not stand here, or a
 * value that is none.
 */
int cv_uapi_line_parse(const char *text, size_t len, enum cv_uapi_place place,
		       struct cv_uapi_line *ret_line);

/* Write a line with its end, terminated. Return: its length. */
size_t cv_uapi_line_print(const struct cv_uapi_line *line, char ret_text[CV_UAPI_LINE_MAX]);
