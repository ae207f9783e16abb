/* Frames: what two Convoys say to each other inside a session, in place of an IP packet. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/grant.h>
#include <convoy/noise/suite.h>

enum {
	CV_FRAME_MAX = 256, /* bytes of the longest frame, without the zeros behind it */
};

/* conf/convoy-wire.md, "Frames". */
enum cv_frame_kind {
	CV_FRAME_HELLO = 1,   /* initiator: I am a Convoy */
	CV_FRAME_ANSWER = 2,  /* responder: so am I */
	CV_FRAME_GOODBYE = 3, /* either: I stop, forget this session */
	CV_FRAME_PROBE = 4,   /* either: does a message of this size arrive? */
	CV_FRAME_ECHO = 5,    /* it did */
	CV_FRAME_REQUEST = 6, /* either: which addresses shall I have? */
	CV_FRAME_GRANT = 7,   /* these */
};

/* Of a probe, and of its echo: which one, and the clock of who says it. */
struct cv_mark {
	uint32_t number;
	uint32_t clock_us; /* begins anywhere, wraps */
};

/* What the one who says it received in this session. */
struct cv_received {
	uint64_t accepted; /* messages, authentic and new */
	uint64_t expected; /* highest counter + 1 */
	uint32_t jitter_us;
};

struct cv_frame {
	enum cv_frame_kind kind;
	struct cv_suite_offer offer; /* of a hello */
	enum cv_suite suite;         /* of an answer: the one chosen, 0 for none but WireGuard's */
	struct cv_mark mark;         /* of a probe or an echo */
	struct cv_received received; /* of a probe or an echo */
	uint16_t probed;             /* of an echo: bytes of the probe's plaintext */
	struct cv_grant grant;
};

/* Whether the plaintext of a data message is a frame, of whatever version: its first nibble is 12,
 * where an IP packet has 4 or 6. */
static inline bool cv_frame_is(const uint8_t *text, size_t len)
{
	return len > 0 && text[0] >> 4 == 12;
}

/* Return: bytes of the frame, at most CV_FRAME_MAX. */
size_t cv_frame_write(const struct cv_frame *frame, uint8_t ret_text[CV_FRAME_MAX]);

/**
 * cv_frame_parse() - read a frame, and check all of it
 * @text:	plaintext of an authentic message; zeros may follow the frame
 *
 * Options and suites that we do not know are skipped: they are from a later Convoy. An answer
 * never chooses one of them, as we did not offer it: that is -EBADMSG. So is a prefix longer than
 * its address, and more name servers or routes than a grant has.
 *
 * Return: 0; -ENOTSUP for a version or kind that we do not know; -EBADMSG.
 */
int cv_frame_parse(const uint8_t *text, size_t len, struct cv_frame *ret_frame);
