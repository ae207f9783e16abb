/* The four messages of the protocol as wire structs, and the test that tells them apart. */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <convoy/base/wire.h>

/* White paper, section 5.4. The type is one byte and three reserved zero bytes: a 32-bit number. */
enum cv_message_kind {
	CV_MESSAGE_INITIATION = 1,
	CV_MESSAGE_RESPONSE = 2,
	CV_MESSAGE_COOKIE = 3,
	CV_MESSAGE_DATA = 4,
};

/* Closes messages 1 and 2; section 5.4.4. */
struct cv_message_macs {
	uint8_t mac1[16];
	uint8_t mac2[16]; /* zero without a fresh cookie */
};

/* Section 5.4.2. */
struct cv_message_initiation {
	cv_le32 type;
	cv_le32 sender_index;
	uint8_t ephemeral[32];
	uint8_t encrypted_static[32 + 16];
	uint8_t encrypted_timestamp[12 + 16];
	struct cv_message_macs macs;
};

/* Section 5.4.3. */
struct cv_message_response {
	cv_le32 type;
	cv_le32 sender_index;
	cv_le32 receiver_index;
	uint8_t ephemeral[32];
	uint8_t encrypted_nothing[0 + 16];
	struct cv_message_macs macs;
};

/* Section 5.4.7. */
struct cv_message_cookie {
	cv_le32 type;
	cv_le32 receiver_index;
	uint8_t nonce[24];
	uint8_t encrypted_cookie[16 + 16];
};

/* Section 5.4.6: the header before ciphertext and tag. */
struct cv_message_data {
	cv_le32 type;
	cv_le32 receiver_index;
	cv_le64 counter;
};

enum {
	CV_MESSAGE_DATA_MIN = 16 + 16, /* a keepalive: header and tag */
	CV_MESSAGE_HANDSHAKE_MAX = 148,
};

_Static_assert(sizeof(struct cv_message_initiation) == 148, "section 5.4.2");
_Static_assert(sizeof(struct cv_message_response) == 92, "section 5.4.3");
_Static_assert(sizeof(struct cv_message_cookie) == 64, "section 5.4.7");
_Static_assert(sizeof(struct cv_message_data) == 16, "section 5.4.6");

/**
 * cv_message_type() - what a datagram is
 *
 * A handshake or cookie message has exactly its size, a data message at least CV_MESSAGE_DATA_MIN
 * bytes; reserved bytes are zero.
 *
 * Return: enum cv_message_kind, or -EBADMSG when it is no message at all.
 */
static inline int cv_message_type(const void *data, size_t len)
{
	cv_le32 type;

	if (len < CV_MESSAGE_DATA_MIN)
		return -EBADMSG;
	memcpy(&type, data, sizeof(type));
	switch (cv_le32_get(type)) {
	case CV_MESSAGE_DATA:
		return CV_MESSAGE_DATA;
	case CV_MESSAGE_INITIATION:
		return len == sizeof(struct cv_message_initiation) ? CV_MESSAGE_INITIATION
								   : -EBADMSG;
	case CV_MESSAGE_RESPONSE:
		return len == sizeof(struct cv_message_response) ? CV_MESSAGE_RESPONSE : -EBADMSG;
	case CV_MESSAGE_COOKIE:
		return len == sizeof(struct cv_message_cookie) ? CV_MESSAGE_COOKIE : -EBADMSG;
	default:
		return -EBADMSG;
	}
}
