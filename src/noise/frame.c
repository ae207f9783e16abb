/*
 * Frames: a header of four bytes, then options.
 *
 *	0xc1 | kind | length of what follows | 0 | option | option | ...
 *	option: type | length | value
 */
#include <errno.h>
#include <string.h>

#include <convoy/base/wire.h>
#include <convoy/noise/frame.h>

enum {
	MAGIC = 0xc1, /* no IP version; 1 is the version of frames */
	HEADER_SIZE = 4,
	OPTION_SIZE = 2,
};

enum option {
	OPTION_SUITES = 1, /* of a hello: what is offered */
	OPTION_SUITE = 2,  /* of an answer: what is chosen */
};

/* One suite of an offer. */
struct offered {
	uint8_t suite;
	cv_le32 cost_ns;
};

_Static_assert(sizeof(struct offered) == 5, "conf/convoy-wire.md, \"Hello\"");
_Static_assert(HEADER_SIZE + OPTION_SIZE + CV_SUITES * sizeof(struct offered) <= CV_FRAME_MAX,
	       "every frame of ours has room");

static uint8_t *write_offer(const struct cv_suite_offer *offer, uint8_t *at)
{
	uint8_t *value = at + OPTION_SIZE;

	for (unsigned suite = 0; suite < CV_SUITES; suite++) {
		struct offered offered = { (uint8_t)suite, cv_le32_of(offer->cost_ns[suite]) };

		if (!offer->cost_ns[suite])
			continue;
		memcpy(value, &offered, sizeof(offered));
		value += sizeof(offered);
	}
	at[0] = OPTION_SUITES;
	at[1] = (uint8_t)(value - at - OPTION_SIZE);
	return value;
}

static uint8_t *write_suite(enum cv_suite suite, uint8_t *at)
{
	const uint8_t option[] = { OPTION_SUITE, 1, (uint8_t)suite };

	memcpy(at, option, sizeof(option));
	return at + sizeof(option);
}

size_t cv_frame_write(const struct cv_frame *frame, uint8_t ret_text[CV_FRAME_MAX])
{
	const uint8_t header[HEADER_SIZE] = { MAGIC, (uint8_t)frame->kind, 0, 0 };
	uint8_t *at = ret_text + HEADER_SIZE;

	memcpy(ret_text, header, sizeof(header));
	if (frame->kind == CV_FRAME_HELLO)
		at = write_offer(&frame->offer, at);
	else if (frame->kind == CV_FRAME_ANSWER)
		at = write_suite(frame->suite, at);
	ret_text[2] = (uint8_t)(at - ret_text - HEADER_SIZE);
	return (size_t)(at - ret_text);
}

static int parse_offer(const uint8_t *value, size_t len, struct cv_suite_offer *offer)
{
	if (len % sizeof(struct offered))
		return -EBADMSG;
	for (size_t i = 0; i < len; i += sizeof(struct offered)) {
		struct offered offered;

		memcpy(&offered, value + i, sizeof(offered));
		if (offered.suite < CV_SUITES)
			offer->cost_ns[offered.suite] = cv_le32_get(offered.cost_ns);
	}
	return 0;
}

static int parse_suite(const uint8_t *value, size_t len, enum cv_suite *suite)
{
	if (len != 1 || value[0] >= CV_SUITES)
		return -EBADMSG;
	*suite = (enum cv_suite)value[0];
	return 0;
}

/* An option that does not belong into this kind of frame is one that we do not know. */
static int parse_option(unsigned type, const uint8_t *value, size_t len, struct cv_frame *frame)
{
	if (frame->kind == CV_FRAME_HELLO && type == OPTION_SUITES)
		return parse_offer(value, len, &frame->offer);
	if (frame->kind == CV_FRAME_ANSWER && type == OPTION_SUITE)
		return parse_suite(value, len, &frame->suite);
	return 0;
}

int cv_frame_parse(const uint8_t *text, size_t len, struct cv_frame *ret_frame)
{
	const uint8_t *at = text + HEADER_SIZE, *end;
	int r = 0;

	if (len < HEADER_SIZE)
		return -EBADMSG;
	if (text[0] != MAGIC || text[1] < CV_FRAME_HELLO || text[1] > CV_FRAME_GOODBYE)
		return -ENOTSUP;
	if (text[2] > CV_FRAME_MAX - HEADER_SIZE || text[2] > len - HEADER_SIZE || text[3] != 0)
		return -EBADMSG;
	*ret_frame = (struct cv_frame){ .kind = text[1] };
	end = at + text[2];
	for (; at < end && r == 0; at += OPTION_SIZE + at[1]) {
		if (end - at < OPTION_SIZE || end - at - OPTION_SIZE < at[1])
			return -EBADMSG;
		r = parse_option(at[0], at + OPTION_SIZE, at[1], ret_frame);
	}
	return r;
}
