/* What is a message and what is not: type, reserved bytes, sizes. */
#include <errno.h>

#include <convoy/noise/message.h>

#include "hex.h"

static uint8_t datagram[2000];

static int type_of(uint32_t type, size_t len)
{
	const cv_le32 wire = cv_le32_of(type);

	memcpy(datagram, &wire, sizeof(wire));
	return cv_message_type(datagram, len);
}

static void handshake_messages_have_exactly_their_size(void **state)
{
	static const struct {
		int type;
		size_t size;
	} cases[] = {
		{ CV_MESSAGE_INITIATION, 148 },
		{ CV_MESSAGE_RESPONSE, 92 },
		{ CV_MESSAGE_COOKIE, 64 },
	};
	size_t i, len;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (len = 0; len < 300; len++) {
			int want = len == cases[i].size ? cases[i].type : -EBADMSG;

			assert_int_equal(type_of((uint32_t)cases[i].type, len), want);
		}
	}
}

static void data_messages_have_32_bytes_or_more(void **state)
{
	size_t len;

	for (len = 0; len < 32; len++)
		assert_int_equal(type_of(CV_MESSAGE_DATA, len), -EBADMSG);
	for (; len <= sizeof(datagram); len++)
		assert_int_equal(type_of(CV_MESSAGE_DATA, len), CV_MESSAGE_DATA);
}

static void reserved_bytes_are_zero_but_for_the_suite(void **state)
{
	static const size_t sizes[] = { 148, 92, 64, 32 };
	uint32_t type;
	unsigned bit;

	for (type = 1; type <= 4; type++) {
		assert_int_equal(type_of(type, sizes[type - 1]), type);
		for (bit = 8; bit < 32; bit++)
			assert_int_equal(type_of(type | 1u << bit, sizes[type - 1]),
					 type == CV_MESSAGE_DATA && bit < 16 ? CV_MESSAGE_DATA
									     : -EBADMSG);
	}
}

static void other_types_are_no_messages(void **state)
{
	static const size_t sizes[] = { 0, 1, 32, 64, 92, 148, 1400 };
	uint32_t type;
	size_t i;

	for (type = 0; type < 256; type++)
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			if (type < 1 || type > 4)
				assert_int_equal(type_of(type, sizes[i]), -EBADMSG);
}

static void fields_stand_where_the_protocol_puts_them(void **state)
{
	assert_int_equal(offsetof(struct cv_message_initiation, sender_index), 4);
	assert_int_equal(offsetof(struct cv_message_initiation, ephemeral), 8);
	assert_int_equal(offsetof(struct cv_message_initiation, encrypted_static), 40);
	assert_int_equal(offsetof(struct cv_message_initiation, encrypted_timestamp), 88);
	assert_int_equal(offsetof(struct cv_message_initiation, macs.mac1), 116);
	assert_int_equal(offsetof(struct cv_message_initiation, macs.mac2), 132);
	assert_int_equal(offsetof(struct cv_message_response, sender_index), 4);
	assert_int_equal(offsetof(struct cv_message_response, receiver_index), 8);
	assert_int_equal(offsetof(struct cv_message_response, ephemeral), 12);
	assert_int_equal(offsetof(struct cv_message_response, encrypted_nothing), 44);
	assert_int_equal(offsetof(struct cv_message_response, macs.mac1), 60);
	assert_int_equal(offsetof(struct cv_message_response, macs.mac2), 76);
	assert_int_equal(offsetof(struct cv_message_cookie, receiver_index), 4);
	assert_int_equal(offsetof(struct cv_message_cookie, nonce), 8);
	assert_int_equal(offsetof(struct cv_message_cookie, encrypted_cookie), 32);
	assert_int_equal(offsetof(struct cv_message_data, receiver_index), 4);
	assert_int_equal(offsetof(struct cv_message_data, counter), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_messages_have_exactly_their_size),
		cmocka_unit_test(data_messages_have_32_bytes_or_more),
		cmocka_unit_test(reserved_bytes_are_zero_but_for_the_suite),
		cmocka_unit_test(other_types_are_no_messages),
		cmocka_unit_test(fields_stand_where_the_protocol_puts_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
