/* Lines of the UAPI: what wireguard-go takes we take, what it refuses we refuse with its errno. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/config/uapi.h>

#define HEX   "a8dac1d8a70a751f0f699fb14ba1cff7b79cf4fbd8f09f44c6e6a90d0369604f"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

#define START  CV_UAPI_AT_START
#define DEVICE CV_UAPI_IN_DEVICE
#define PEER   CV_UAPI_IN_PEER

static int parse(const char *text, enum cv_uapi_place place, struct cv_uapi_line *ret_line)
{
	return cv_uapi_line_parse(text, strlen(text), place, ret_line);
}

static struct cv_uapi_line parsed(const char *text, enum cv_uapi_place place)
{
	struct cv_uapi_line line;

	if (parse(text, place, &line) != 0)
		fail_msg("refused: %s", text);
	return line;
}

static const char *printed(const struct cv_uapi_line *line)
{
	static char text[CV_UAPI_LINE_MAX];
	size_t len = cv_uapi_line_print(line, text);

	assert_int_equal(len, strlen(text));
	return text;
}

static void every_line_of_a_request_is_printed_as_it_was_read(void **state)
{
	static const struct {
		enum cv_uapi_place place;
		const char *text;
	} lines[] = {
		{ START, "get=1\n" },
		{ START, "set=1\n" },
		{ DEVICE, "private_key=" HEX "\n" },
		{ DEVICE, "private_key=" ZEROS "\n" },
		{ DEVICE, "listen_port=0\n" },
		{ DEVICE, "listen_port=65535\n" },
		{ DEVICE, "fwmark=4294967295\n" },
		{ DEVICE, "replace_peers=true\n" },
		{ DEVICE, "public_key=" HEX "\n" },
		{ PEER, "public_key=" HEX "\n" },
		{ PEER, "update_only=true\n" },
		{ PEER, "remove=true\n" },
		{ PEER, "preshared_key=" HEX "\n" },
		{ PEER, "endpoint=1.2.3.4:5\n" },
		{ PEER, "endpoint=[2001:db8::1]:51820\n" },
		{ PEER, "endpoint=[fe80::1%7]:51820\n" },
		{ PEER, "persistent_keepalive_interval=65535\n" },
		{ PEER, "replace_allowed_ips=true\n" },
		{ PEER, "allowed_ip=0.0.0.0/0\n" },
		{ PEER, "allowed_ip=10.0.0.0/8\n" },
		{ PEER, "allowed_ip=-10.0.0.0/8\n" },
		{ PEER, "allowed_ip=::/0\n" },
		{ PEER, "allowed_ip=-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128\n" },
		{ PEER, "protocol_version=1\n" },
	};
	bool seen[CV_UAPI_KEYS] = { false };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct cv_uapi_line line;

		assert_int_equal(cv_uapi_line_parse(lines[i].text, strlen(lines[i].text) - 1,
						    lines[i].place, &line),
				 0);
		assert_string_equal(printed(&line), lines[i].text);
		seen[line.key] = true;
	}
	for (int key = 0; key < CV_UAPI_LAST_HANDSHAKE_SEC; key++)
		assert_true(seen[key]);
}

static void values_are_what_the_text_says(void **state)
{
	struct cv_uapi_line line = parsed("private_key=" HEX, DEVICE);
	struct cv_addr addr;

	assert_int_equal(line.key, CV_UAPI_PRIVATE_KEY);
	assert_int_equal(line.secret.b[0], 0xa8);
	assert_int_equal(line.secret.b[31], 0x4f);
	assert_int_equal(parsed("listen_port=51820", DEVICE).number, 51820);
	line = parsed("endpoint=[2001:db8::1]:7", PEER);
	assert_int_equal(cv_addr_parse("2001:db8::1", &addr), 0);
	assert_true(cv_addr_equal(&line.endpoint.addr, &addr));
	assert_int_equal(line.endpoint.port, 7);
	assert_string_equal(line.scope_name, "");
	line = parsed("allowed_ip=-10.1.2.3/8", PEER);
	assert_true(line.remove);
	assert_int_equal(line.prefix.bits, 8);
	assert_int_equal(cv_addr_parse("10.0.0.0", &addr), 0);
	assert_true(cv_addr_equal(&line.prefix.addr, &addr));
}

static void what_wireguard_go_takes_is_taken(void **state)
{
	struct cv_uapi_line line = parsed("public_key=A8DAC1D8A70A751F0F699FB14BA1CFF7"
					  "B79CF4FBD8F09F44C6E6A90D0369604F",
					  DEVICE);

	assert_string_equal(printed(&line), "public_key=" HEX "\n");
	assert_int_equal(parsed("listen_port=0051820", DEVICE).number, 51820);
	assert_int_equal(parsed("endpoint=1.2.3.4:0", PEER).endpoint.port, 0);
}

static void a_scope_may_be_named(void **state)
{
	struct cv_uapi_line line = parsed("endpoint=[fe80::1%fifteen-letters]:51820", PEER);

	assert_string_equal(line.scope_name, "fifteen-letters");
	assert_string_equal(printed(&line), "endpoint=[fe80::1]:51820\n");
	line = parsed("endpoint=[fe80::1%7]:51820", PEER);
	assert_string_equal(line.scope_name, "");
	assert_int_equal(line.endpoint.scope, 7);
	assert_int_equal(parse("endpoint=[fe80::1%sixteen-letters!]:1", PEER, &line), -EINVAL);
	assert_int_equal(parse("endpoint=[fe80::1%]:1", PEER, &line), -EINVAL);
	assert_int_equal(parse("endpoint=[fe80::1%eth0:1", PEER, &line), -EINVAL);
	assert_int_equal(parse("endpoint=1.2.3.4%eth0]:1", PEER, &line), -EINVAL);
}

static void a_line_without_equals_sign_is_a_protocol_error(void **state)
{
	struct cv_uapi_line line;

	assert_int_equal(parse("listen_port", DEVICE, &line), -EPROTO);
	assert_int_equal(parse("get", START, &line), -EPROTO);
	assert_int_equal(parse("", PEER, &line), -EPROTO);
}

static void bad_values_are_invalid_and_write_nothing(void **state)
{
	static const char *const device[] = {
		"private_key=",
		"private_key=" HEX "0",
		"private_key=" HEX " ",
		"private_key=a8",
		"private_key=g8dac1d8a70a751f0f699fb14ba1cff7b79cf4fbd8f09f44c6e6a90d0369604f",
		"listen_port=",
		"listen_port=-1",
		"listen_port=+1",
		"listen_port= 1",
		"listen_port=65536",
		"listen_port=0x10",
		"listen_port=4294967296",
		"fwmark=4294967296",
		"fwmark=0xca6c",
		"fwmark=off",
		"replace_peers=false",
		"replace_peers=1",
		"replace_peers=True",
		"replace_peers=",
	};
	static const char *const peer[] = {
		"public_key=" HEX "00",
		"update_only=false",
		"remove=yes",
		"preshared_key=",
		"endpoint=",
		"endpoint=1.2.3.4",
		"endpoint=1.2.3.4:65536",
		"endpoint=1.2.3.4:",
		"endpoint=example.org:1",
		"endpoint=2001:db8::1:1",
		"endpoint=[1.2.3.4]:1",
		"persistent_keepalive_interval=65536",
		"persistent_keepalive_interval=off",
		"replace_allowed_ips=false",
		"allowed_ip=",
		"allowed_ip=-",
		"allowed_ip=10.0.0.0",
		"allowed_ip=10.0.0.0/33",
		"allowed_ip=10.0.0.0/",
		"allowed_ip=--10.0.0.0/8",
		"allowed_ip=::/129",
		"allowed_ip=10.0.0/8",
		"allowed_ip=10.0.0.0/8,11.0.0.0/8",
		"protocol_version=0",
		"protocol_version=2",
	};
	struct cv_uapi_line line = { .key = CV_UAPI_KEYS };

	for (size_t i = 0; i < sizeof(device) / sizeof(device[0]); i++)
		if (parse(device[i], DEVICE, &line) != -EINVAL)
			fail_msg("not refused: %s", device[i]);
	for (size_t i = 0; i < sizeof(peer) / sizeof(peer[0]); i++)
		if (parse(peer[i], PEER, &line) != -EINVAL)
			fail_msg("not refused: %s", peer[i]);
	assert_int_equal(line.key, CV_UAPI_KEYS);
}

static void keys_are_refused_where_they_do_not_stand(void **state)
{
	static const struct {
		enum cv_uapi_place place;
		const char *text;
	} lines[] = {
		{ START, "private_key=" HEX },
		{ START, "get=2" },
		{ START, "set=0" },
		{ DEVICE, "get=1" },
		{ DEVICE, "set=1" },
		{ DEVICE, "endpoint=1.2.3.4:5" },
		{ DEVICE, "allowed_ip=10.0.0.0/8" },
		{ DEVICE, "protocol_version=1" },
		{ PEER, "private_key=" HEX },
		{ PEER, "listen_port=1" },
		{ PEER, "replace_peers=true" },
		{ PEER, "rx_bytes=1" },
		{ PEER, "last_handshake_time_sec=1" },
		{ DEVICE, "errno=0" },
		{ DEVICE, "Listen_port=1" },
		{ DEVICE, " listen_port=1" },
		{ DEVICE, "listen_por=1" },
		{ DEVICE, "listen_portt=1" },
		{ DEVICE, "=1" },
		{ DEVICE, "=" },
	};
	struct cv_uapi_line line;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (parse(lines[i].text, lines[i].place, &line) != -EINVAL)
			fail_msg("not refused: %s", lines[i].text);
}

static void bytes_of_any_kind_are_only_refused(void **state)
{
	static const char zero[] = "allowed_ip=10.0.0.0/8\0", name[] = "listen\0port=1";
	struct cv_uapi_line line;
	char text[4096];

	assert_int_equal(cv_uapi_line_parse(zero, sizeof(zero) - 1, PEER, &line), -EINVAL);
	assert_int_equal(cv_uapi_line_parse(name, sizeof(name) - 1, DEVICE, &line), -EINVAL);
	memset(text, '1', sizeof(text));
	assert_int_equal(cv_uapi_line_parse(text, sizeof(text), DEVICE, &line), -EPROTO);
	memcpy(text, "endpoint=", 9);
	assert_int_equal(cv_uapi_line_parse(text, sizeof(text), PEER, &line), -EINVAL);
	memcpy(text, "allowed_ip=", 11);
	assert_int_equal(cv_uapi_line_parse(text, sizeof(text), PEER, &line), -EINVAL);
	memcpy(text, "listen_port=", 12);
	assert_int_equal(cv_uapi_line_parse(text, sizeof(text), DEVICE, &line), -EINVAL);
}

static void lines_of_replies_are_printed(void **state)
{
	struct cv_uapi_line line = { .key = CV_UAPI_ERRNO, .number = -EADDRINUSE };

	assert_string_equal(printed(&line), "errno=-98\n");
	line = (struct cv_uapi_line){ .key = CV_UAPI_LAST_HANDSHAKE_SEC, .number = 1700000000 };
	assert_string_equal(printed(&line), "last_handshake_time_sec=1700000000\n");
	line = (struct cv_uapi_line){ .key = CV_UAPI_LAST_HANDSHAKE_NSEC, .number = 999999999 };
	assert_string_equal(printed(&line), "last_handshake_time_nsec=999999999\n");
	line = (struct cv_uapi_line){ .key = CV_UAPI_TX_BYTES, .number = INT64_MAX };
	assert_string_equal(printed(&line), "tx_bytes=9223372036854775807\n");
	line = (struct cv_uapi_line){ .key = CV_UAPI_RX_BYTES, .number = 0 };
	assert_string_equal(printed(&line), "rx_bytes=0\n");
}

static void the_longest_lines_fit(void **state)
{
	struct cv_uapi_line line = { .key = CV_UAPI_ENDPOINT };

	line.endpoint.addr.family = AF_INET6;
	memset(line.endpoint.addr.b, 0xff, 16);
	line.endpoint.scope = UINT32_MAX;
	line.endpoint.port = UINT16_MAX;
	assert_string_equal(printed(&line), "endpoint=[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
					    "%4294967295]:65535\n");
	line = parsed("preshared_key=" HEX, PEER);
	assert_string_equal(printed(&line), "preshared_key=" HEX "\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_of_a_request_is_printed_as_it_was_read),
		cmocka_unit_test(values_are_what_the_text_says),
		cmocka_unit_test(what_wireguard_go_takes_is_taken),
		cmocka_unit_test(a_scope_may_be_named),
		cmocka_unit_test(a_line_without_equals_sign_is_a_protocol_error),
		cmocka_unit_test(bad_values_are_invalid_and_write_nothing),
		cmocka_unit_test(keys_are_refused_where_they_do_not_stand),
		cmocka_unit_test(bytes_of_any_kind_are_only_refused),
		cmocka_unit_test(lines_of_replies_are_printed),
		cmocka_unit_test(the_longest_lines_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
