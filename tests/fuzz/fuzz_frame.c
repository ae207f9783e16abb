/*
 * fuzz frame: the plaintext of a data message that is no IP packet.
 *
 * Oracle: a slow reader of the tables in conf/convoy-wire.md says what it is and what is in it;
 * what was read is written, is read again and is the same; zeros behind it change nothing, and
 * neither does what is cut off behind the longest frame.
 */
#include <errno.h>

#include <convoy/noise/frame.h>

#include "fuzz.h"

enum {
	OPTIONS_MAX = CV_FRAME_MAX - 4,
	OPTION_SUITES = 1,
	OPTION_SUITE = 2,
	OFFERED_SIZE = 5,
};

/* The model ------------------------------------------------------------------------------- */

/* Return: false for a wrong length or number. */
static bool expect_option(uint8_t type, struct input value, struct cv_frame *frame)
{
	if (frame->kind == CV_FRAME_HELLO && type == OPTION_SUITES) {
		if (value.left % OFFERED_SIZE)
			return false;
		while (value.left) {
			uint8_t suite = read8(&value);
			uint32_t cost = read8(&value);

			cost |= (uint32_t)read8(&value) << 8;
			cost |= (uint32_t)read8(&value) << 16;
			cost |= (uint32_t)read8(&value) << 24;
			if (suite < CV_SUITES)
				frame->offer.cost_ns[suite] = cost;
		}
	}
	if (frame->kind == CV_FRAME_ANSWER && type == OPTION_SUITE) {
		if (value.left != 1 || *value.at >= CV_SUITES)
			return false;
		frame->suite = (enum cv_suite) * value.at;
	}
	return true;
}

static int expect(struct input text, struct cv_frame *ret_frame)
{
	struct input options = { 0 }, value = { 0 };
	uint8_t first, kind, len, type;

	*ret_frame = (struct cv_frame){ 0 };
	if (text.left < 4)
		return -EBADMSG;
	first = read8(&text);
	kind = read8(&text);
	if (first != 0xc1 || kind < CV_FRAME_HELLO || kind > CV_FRAME_GOODBYE)
		return -ENOTSUP;
	ret_frame->kind = (enum cv_frame_kind)kind;
	len = read8(&text);
	if (read8(&text) || len > OPTIONS_MAX || len > text.left)
		return -EBADMSG;
	options.left = read_piece(&text, len, &options.at);
	while (options.left) {
		if (options.left < 2)
			return -EBADMSG;
		type = read8(&options);
		len = read8(&options);
		value.left = read_piece(&options, len, &value.at);
		if (value.left < len || !expect_option(type, value, ret_frame))
			return -EBADMSG;
	}
	return 0;
}

/* The product ----------------------------------------------------------------------------- */

/* Of these bytes and no byte more. */
static int parse(const uint8_t *text, size_t len, struct cv_frame *ret_frame)
{
	uint8_t *copy = exact(text, len);
	int r = cv_frame_parse(copy, len, ret_frame);

	must(!memcmp(copy, text, len));
	free(copy);
	return r;
}

static void must_be_same(const struct cv_frame *a, const struct cv_frame *b)
{
	must(a->kind == b->kind && a->suite == b->suite);
	must(!memcmp(&a->offer, &b->offer, sizeof(a->offer)));
}

static void check_write(const struct cv_frame *frame)
{
	uint8_t *text = malloc(CV_FRAME_MAX), again[CV_FRAME_MAX];
	struct cv_frame read;
	size_t len;

	must(text);
	len = cv_frame_write(frame, text);
	must(len <= CV_FRAME_MAX && cv_frame_is(text, len));
	must(parse(text, len, &read) == 0);
	must_be_same(&read, frame);
	must(cv_frame_write(&read, again) == len && !memcmp(again, text, len));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_frame expected, frame;
	uint8_t padded[CV_FRAME_MAX] = { 0 };
	int r = expect((struct input){ data, size }, &expected);

	must(cv_frame_is(data, size) == (size > 0 && data[0] >= 0xc0 && data[0] < 0xd0));
	must(parse(data, size, &frame) == r);
	if (r < 0)
		return 0;
	must(cv_frame_is(data, size));
	must_be_same(&frame, &expected);
	check_write(&frame);
	memcpy(padded, data, size < sizeof(padded) ? size : sizeof(padded));
	must(parse(padded, sizeof(padded), &frame) == 0);
	must_be_same(&frame, &expected);
	return 0;
}
