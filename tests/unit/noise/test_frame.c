/* Frames: what is written is read, and what is not a frame is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/noise/frame.h>

static int parse(const char *bytes, size_t len, struct cv_frame *ret_frame)
{
	return cv_frame_parse((const uint8_t *)bytes, len, ret_frame);
}

static void every_kind_is_read_as_it_was_written(void **state)
{
	(void)state;
	for (unsigned kind = CV_FRAME_HELLO; kind <= CV_FRAME_GOODBYE; kind++) {
		const struct cv_frame frame = { .kind = (enum cv_frame_kind)kind };
		struct cv_frame again;
		uint8_t text[CV_FRAME_MAX] = { 0 };
		size_t len = cv_frame_write(&frame, text);

		assert_true(cv_frame_is(text, len));
		for (size_t padded = len; padded <= sizeof(text); padded++) {
			assert_int_equal(cv_frame_parse(text, padded, &again), 0);
			assert_int_equal(again.kind, frame.kind);
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(cv_frame_parse(text, cut, &again), -EBADMSG);
	}
}

static void packets_are_no_frames(void **state)
{
	(void)state;
	assert_false(cv_frame_is((const uint8_t *)"", 0));
	for (unsigned first = 0; first < 256; first++) {
		const uint8_t byte = (uint8_t)first;

		assert_int_equal(cv_frame_is(&byte, 1), first >> 4 == 12);
	}
}

static void what_a_later_convoy_adds_is_skipped(void **state)
{
	struct cv_frame frame;

	(void)state;
	assert_int_equal(parse("\xc1\1\7\0\x63\1x\x64\2yz", 11, &frame), 0);
	assert_int_equal(frame.kind, CV_FRAME_HELLO);
	assert_int_equal(parse("\xc2\1\0\0", 4, &frame), -ENOTSUP);
	assert_int_equal(parse("\xc1\0\0\0", 4, &frame), -ENOTSUP);
	assert_int_equal(parse("\xc1\4\0\0", 4, &frame), -ENOTSUP);
}

static void what_is_cut_short_is_refused(void **state)
{
	struct cv_frame frame;

	(void)state;
	assert_int_equal(parse("\xc1\1\1\0", 4, &frame), -EBADMSG);        /* no body */
	assert_int_equal(parse("\xc1\1\1\0\x63", 5, &frame), -EBADMSG);    /* half a header */
	assert_int_equal(parse("\xc1\1\3\0\x63\2x", 7, &frame), -EBADMSG); /* half a value */
	assert_int_equal(parse("\xc1\1\0\1", 4, &frame), -EBADMSG);        /* not reserved */
}

/* As many bytes of options as a frame has room for, and one more. */
static void what_is_too_long_is_refused(void **state)
{
	uint8_t text[CV_FRAME_MAX + 1] = { 0xc1, CV_FRAME_HELLO, 124, 0, 99, 122 };
	struct cv_frame frame;

	(void)state;
	assert_int_equal(cv_frame_parse(text, sizeof(text), &frame), 0);
	text[2]++;
	text[5]++;
	assert_int_equal(cv_frame_parse(text, sizeof(text), &frame), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_is_read_as_it_was_written),
		cmocka_unit_test(packets_are_no_frames),
		cmocka_unit_test(what_a_later_convoy_adds_is_skipped),
		cmocka_unit_test(what_is_cut_short_is_refused),
		cmocka_unit_test(what_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
