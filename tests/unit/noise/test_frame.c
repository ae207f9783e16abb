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
	for (unsigned kind = CV_FRAME_HELLO; kind <= CV_FRAME_GRANT; kind++) {
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

/* A vector of conf/convoy-wire.md. */
static void probes_and_echoes_carry_what_was_received(void **state)
{
	static const char probe[] = "\xc1\4\x20\0\3\10\7\0\0\0\x40\x42\xf\0"
				    "\4\x14\5\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0\x64\0\0\0";
	struct cv_frame frame = { .kind = CV_FRAME_PROBE,
				  .mark = { 7, 1000000 },
				  .received = { 5, 6, 100 } };
	uint8_t text[CV_FRAME_MAX];
	struct cv_frame again;

	(void)state;
	assert_int_equal(cv_frame_write(&frame, text), sizeof(probe) - 1);
	assert_memory_equal(text, probe, sizeof(probe) - 1);
	frame.kind = CV_FRAME_ECHO;
	frame.probed = 1420;
	assert_int_equal(cv_frame_parse(text, cv_frame_write(&frame, text), &again), 0);
	assert_int_equal(again.mark.number, 7);
	assert_int_equal(again.mark.clock_us, 1000000);
	assert_int_equal(again.received.accepted, 5);
	assert_int_equal(again.received.expected, 6);
	assert_int_equal(again.received.jitter_us, 100);
	assert_int_equal(again.probed, 1420);
}

/* As much as a grant can hold; one more of anything is refused. */
static void a_full_grant_has_room(void **state)
{
	struct cv_frame frame = { .kind = CV_FRAME_GRANT, .grant = { .mtu = 1380 } }, again;
	struct cv_grant *grant = &frame.grant;
	uint8_t text[CV_FRAME_MAX];
	size_t len;

	(void)state;
	cv_prefix_parse("10.8.0.2/24", &grant->address4);
	cv_prefix_parse("fd08::2/64", &grant->address6);
	for (; grant->dns_n < CV_GRANT_DNS_MAX; grant->dns_n++)
		cv_addr_parse("fd08::53", &grant->dns[grant->dns_n]);
	for (; grant->routes_n < CV_GRANT_ROUTES_MAX; grant->routes_n++)
		cv_prefix_parse("fd09::/64", &grant->routes[grant->routes_n]);
	len = cv_frame_write(&frame, text);
	assert_in_range(len, CV_FRAME_MAX - 19, CV_FRAME_MAX);
	assert_int_equal(cv_frame_parse(text, len, &again), 0);
	assert_true(cv_prefix_equal(&again.grant.address4, &grant->address4));
	assert_true(cv_prefix_equal(&again.grant.address6, &grant->address6));
	assert_int_equal(again.grant.mtu, 1380);
	assert_int_equal(again.grant.dns_n, CV_GRANT_DNS_MAX);
	assert_true(cv_addr_equal(&again.grant.dns[2], &grant->dns[2]));
	assert_int_equal(again.grant.routes_n, CV_GRANT_ROUTES_MAX);
	assert_true(cv_prefix_equal(&again.grant.routes[7], &grant->routes[7]));
}

static void a_grant_that_makes_no_sense_is_refused(void **state)
{
	struct cv_frame frame;

	(void)state;
	assert_int_equal(parse("\xc1\7\7\0\6\5\x20\12\0\0\1", 11, &frame), 0);
	assert_int_equal(parse("\xc1\7\7\0\6\5\x21\12\0\0\1", 11, &frame), -EBADMSG);
	assert_int_equal(parse("\xc1\7\6\0\6\4\12\0\0\1", 10, &frame), -EBADMSG);
	assert_int_equal(parse("\xc1\7\16\0\6\5\x20\12\0\0\1\6\5\x20\12\0\0\2", 18, &frame),
			 -EBADMSG); /* two of a family */
	assert_int_equal(parse("\xc1\7\x18\0\10\4\1\1\1\1\10\4\1\1\1\1\10\4\1\1\1\1"
			       "\10\4\1\1\1\1",
			       28, &frame),
			 -EBADMSG); /* four name servers */
	assert_int_equal(parse("\xc1\7\3\0\7\1\1", 7, &frame), -EBADMSG);
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
	assert_int_equal(parse("\xc1\10\0\0", 4, &frame), -ENOTSUP);
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
	uint8_t text[CV_FRAME_MAX + 1] = { 0xc1, CV_FRAME_HELLO, 252, 0, 99, 250 };
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
		cmocka_unit_test(probes_and_echoes_carry_what_was_received),
		cmocka_unit_test(a_full_grant_has_room),
		cmocka_unit_test(a_grant_that_makes_no_sense_is_refused),
		cmocka_unit_test(packets_are_no_frames),
		cmocka_unit_test(what_a_later_convoy_adds_is_skipped),
		cmocka_unit_test(what_is_cut_short_is_refused),
		cmocka_unit_test(what_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
