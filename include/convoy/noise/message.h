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

/* The type of a data message of this suite, which stands in the first reserved byte: 0 is
 * WireGuard's own, others are between two Convoys (conf/convoy-wire.md). */
static inline uint32_t cv_message_data_type(unsigned suite)
{
	return CV_MESSAGE_DATA | (uint32_t)suite << 8;
}

/* The suite of a data message. */
static inline unsigned cv_message_suite(const struct cv_message_data *header)
{
	return cv_le32_get(header->type) >> 8;
}

/**
 * cv_message_type() - what a datagram is
 *
 * A handshake or cookie message has exactly its size, a data message at least CV_MESSAGE_DATA_MIN
 * bytes; reserved bytes are zero but for a data message's suite, cv_message_suite().
 *
 * Return: enum cv_message_kind, or -EBADMSG when it is no message at all.
 */
static inline int cv_message_type(const void *data, size_t len)
{
	cv_le32 type;

	if (len < CV_MESSAGE_DATA_MIN)
		return -EBADMSG;
	memcpy(&type, data, sizeof(type));
	if ((cv_le32_get(type) & ~UINT32_C(0xff00)) == CV_MESSAGE_DATA)
		return CV_MESSAGE_DATA;
	switch (cv_le32_get(type)) {
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
