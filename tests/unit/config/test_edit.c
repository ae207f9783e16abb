/* A peer goes into a file and out of it, and nothing else changes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/config/config.h>
#include <convoy/config/edit.h>
#include <convoy/crypto/init.h>

#include "files.h"

#define HEAD    "[Interface]\nPrivateKey = " PRIVATE "\n"
#define ALICE   "[Peer]\nPublicKey = " KEY_B "\nAllowedIPs = 10.77.0.2/32\n"
#define BOB     "[Peer]\n# friendly_name = bob\nPublicKey = " KEY_D "\n"
#define BOB_CR  "[Peer]\r\n# friendly_name = bob\r\nPublicKey = " KEY_D "\r\n"
#define HEAD_CR "[Interface]\r\nPrivateKey = " PRIVATE "\r\n"

static struct cv_config parse(const char *text)
{
	struct cv_config_errors errors;
	struct cv_config config;

	assert_int_equal(cv_config_parse(text, strlen(text), &config, &errors), 0);
	cv_config_errors_free(&errors);
	return config;
}

/* The file with Bob appended. */
static char *with_bob(const char *text)
{
	static char joined[4096];
	char name[] = "bob";
	struct cv_config_peer bob = { .friendly_name = name };
	char *tail;

	assert_int_equal(cv_key_from_base64(KEY_D, CV_KEY_BASE64_LEN, &bob.public_key), 0);
	assert_int_equal(cv_config_edit_append(text, strlen(text), &bob, &tail), 0);
	snprintf(joined, sizeof(joined), "%s%s", text, tail);
	free(tail);
	return joined;
}

static void new_peer_comes_behind_an_empty_line(void **state)
{
	assert_string_equal(with_bob(HEAD), HEAD "\n" BOB);
	assert_string_equal(with_bob(HEAD "\n" ALICE), HEAD "\n" ALICE "\n" BOB);
	assert_string_equal(with_bob(HEAD "\n\n"), HEAD "\n\n\n" BOB);
	assert_string_equal(with_bob(HEAD "# the end\n"), HEAD "# the end\n\n" BOB);
}

static void new_peer_ends_the_last_line_of_a_file_that_does_not(void **state)
{
	assert_string_equal(with_bob(HEAD "ListenPort = 1"), HEAD "ListenPort = 1\n\n" BOB);
	assert_string_equal(with_bob(HEAD "# end"), HEAD "# end\n\n" BOB);
	assert_string_equal(with_bob(""), BOB);
}

static void new_peer_ends_lines_as_the_file_does(void **state)
{
	assert_string_equal(with_bob(HEAD_CR), HEAD_CR "\r\n" BOB_CR);
	assert_string_equal(with_bob(HEAD_CR "MTU = 1400"), HEAD_CR "MTU = 1400\r\n\r\n" BOB_CR);
	/* Of both kinds the last one counts. */
	assert_string_equal(with_bob(HEAD_CR "MTU = 1400\n"), HEAD_CR "MTU = 1400\n\n" BOB);
}

static void all_that_a_peer_has_is_written(void **state)
{
	struct cv_config config;
	struct cv_config_peer *peer;
	char *tail;

	config = parse(good);
	assert_int_equal(cv_config_edit_append(HEAD, strlen(HEAD), &config.peers[0], &tail), 0);
	cv_config_free(&config);
	assert_string_equal(tail, "\n[Peer]\n# friendly_name = Alice\nPublicKey = " KEY_B
				  "\nPresharedKey = " PSK
				  "\nAllowedIPs = 10.77.0.2/32\nAllowedIPs = fd77::2/128\n"
				  "Endpoint = [2001:db8::1]:51820\nPersistentKeepalive = 25\n");
	free(tail);
	config = parse(with_bob(good));
	assert_int_equal(config.n_peers, 3);
	peer = &config.peers[2];
	assert_string_equal(peer->friendly_name, "bob");
	cv_config_free(&config);
}

/* Cut the n-th peer out and compare what is left. */
static void assert_cut(const char *text, size_t n, const char *expected)
{
	struct cv_config config = parse(text);
	struct cv_config_range cut;
	char left[4096];

	assert_true(n < config.n_peers);
	assert_int_equal(cv_config_edit_peer(text, strlen(text), config.peers[n].line, &cut), 0);
	cv_config_free(&config);
	assert_true(cut.start < cut.end && cut.end <= strlen(text));
	snprintf(left, sizeof(left), "%.*s%s", (int)cut.start, text, text + cut.end);
	assert_string_equal(left, expected);
	config = parse(left);
	cv_config_free(&config);
}

static void a_peer_goes_with_its_empty_line(void **state)
{
	assert_cut(HEAD "\n" ALICE "\n" BOB, 0, HEAD "\n" BOB);
	assert_cut(HEAD "\n" ALICE "\n" BOB, 1, HEAD "\n" ALICE);
	assert_cut(HEAD "\n" ALICE "\n\n", 0, HEAD "\n");
	assert_cut(HEAD ALICE BOB, 0, HEAD BOB);
	assert_cut(HEAD ALICE BOB, 1, HEAD ALICE);
	assert_cut(ALICE "\n" HEAD, 0, HEAD);
}

static void a_last_line_may_lack_its_end(void **state)
{
	assert_cut(HEAD "\n[Peer]\nPublicKey = " KEY_B, 0, HEAD);
	assert_cut(HEAD "\n[Peer]\nPublicKey = " KEY_B "\n# end", 0, HEAD);
	assert_cut(HEAD "\n" ALICE "\n[Peer]\nPublicKey = " KEY_C, 0,
		   HEAD "\n[Peer]\nPublicKey = " KEY_C);
}

static void crlf_stays_crlf(void **state)
{
	assert_cut(HEAD_CR "\r\n" BOB_CR "\r\n" ALICE, 0, HEAD_CR "\r\n" ALICE);
	assert_cut(HEAD_CR "\r\n" BOB_CR, 0, HEAD_CR);
}

static void what_stands_in_a_section_goes_with_it(void **state)
{
	assert_cut(HEAD "\n[Peer]\n# note\n\n\nPublicKey = " KEY_B
			"\n\n# another\n\nAllowedIPs =\n\n" BOB,
		   0, HEAD "\n" BOB);
	assert_cut(HEAD "\n[Peer]\nPublicKey = " KEY_B
			"\n\n# convoy: PresharedKeyFile = a.psk\n\n" BOB,
		   0, HEAD "\n" BOB);
	assert_cut(HEAD "\n" ALICE "# moved in May\n\n" BOB, 0, HEAD "\n" BOB);
	assert_cut(HEAD "\n" ALICE "# moved in May\n", 0, HEAD);
	assert_cut(HEAD "\n" ALICE "\n# Endpoint = 192.0.2.1:1\n" BOB, 0, HEAD "\n" BOB);
}

static void a_comment_above_a_header_is_the_headers(void **state)
{
	assert_cut(HEAD "\n# one\n# two\n" ALICE "\n" BOB, 0, HEAD "\n" BOB);
	assert_cut(HEAD "\n" ALICE "\n# of bob\n" BOB, 0, HEAD "\n# of bob\n" BOB);
	assert_cut(HEAD "\n" ALICE "\n# of bob\n" BOB, 1, HEAD "\n" ALICE);
	assert_cut(HEAD "\n" ALICE "# of bob\n" BOB, 0, HEAD "\n# of bob\n" BOB);
	assert_cut(HEAD "\n" ALICE "# of bob\n" BOB, 1, HEAD "\n" ALICE);
}

static void settings_of_the_interface_stay_though_they_are_comments(void **state)
{
	assert_cut(HEAD "# convoy: Workers = 2\n" ALICE, 0, HEAD "# convoy: Workers = 2\n");
	assert_cut(HEAD "# PostUp = echo %i\n" ALICE, 0, HEAD "# PostUp = echo %i\n");
	assert_cut(HEAD "# convoy: Workers = 2\n# of alice\n" ALICE, 0,
		   HEAD "# convoy: Workers = 2\n");
}

static void comments_that_stand_alone_stay(void **state)
{
	assert_cut(HEAD "\n" ALICE "\n# --- phones ---\n\n" BOB, 0,
		   HEAD "\n# --- phones ---\n\n" BOB);
	assert_cut(HEAD "\n# --- phones ---\n\n" ALICE, 0, HEAD "\n# --- phones ---\n");
	assert_cut(HEAD "\n" ALICE "\n# the end\n", 0, HEAD "\n# the end\n");
}

static void a_line_without_a_header_is_no_section(void **state)
{
	const char *text = "\xef\xbb\xbf[Peer]\nPublicKey = " KEY_B "\n";
	struct cv_config_range cut = { 7, 7 };

	assert_int_equal(cv_config_edit_peer(HEAD ALICE, strlen(HEAD ALICE), 4, &cut), -ENOENT);
	assert_int_equal(cv_config_edit_peer(HEAD ALICE, strlen(HEAD ALICE), 6, &cut), -ENOENT);
	assert_int_equal(cv_config_edit_peer("", 0, 1, &cut), -ENOENT);
	assert_int_equal(cut.start, 7);
	assert_int_equal(cv_config_edit_peer(text, strlen(text), 1, &cut), 0);
}

static void names_are_printable_and_bounded(void **state)
{
	static const char *const fine[] = { "a",          "Alice's phone",    "a = b # c",
					    "Zo\xc3\xab", "\xf0\x9f\x9a\x9a", "\xe2\x82\xac" };
	static const char *const bad[] = { "",
					   " a",
					   "a ",
					   "a\nb",
					   "a\tb",
					   "\x7f",
					   "-a",
					   KEY_B,
					   "\xff",
					   "\xc3",
					   "a\xc3",
					   "\xc2\x85",
					   "\xc0\xaf",
					   "\xe0\x80\xaf",
					   "\xed\xa0\x80",
					   "\xf4\x90\x80\x80",
					   "\x80",
					   "a\r",
					   "\xe2\x80\xa8",
					   "\xe2\x80\xae",
					   "\xf9\x88\x80\x80" };
	char name[CV_CONFIG_NAME_MAX + 2];

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		assert_null(cv_config_name_flaw(fine[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(cv_config_name_flaw(bad[i]));
	memset(name, 'a', sizeof(name));
	name[CV_CONFIG_NAME_MAX + 1] = '\0';
	assert_non_null(cv_config_name_flaw(name));
	name[CV_CONFIG_NAME_MAX] = '\0';
	assert_null(cv_config_name_flaw(name));
}

/* The free addresses of a file, as a list. */
static void assert_free(const char *address, const char *allowed, const char *expected)
{
	char text[1024], list[256] = "", printed[CV_PREFIX_TEXT_MAX];
	struct cv_prefix prefixes[4], full;
	struct cv_config config;
	int n;

	snprintf(text, sizeof(text),
		 HEAD "Address = %s\n[Peer]\nPublicKey = " KEY_B "\nAllowedIPs = %s\n", address,
		 allowed);
	config = parse(text);
	n = cv_config_free_addresses(&config, NULL, prefixes, 4, &full);
	cv_config_free(&config);
	if (n == -ENOSPC)
		snprintf(list, sizeof(list), "full %s", cv_prefix_format(&full, printed));
	else if (n < 0)
		snprintf(list, sizeof(list), "%d", n);
	for (int i = 0; i < n; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? " " : "",
			 cv_prefix_format(&prefixes[i], printed));
	assert_string_equal(list, expected);
}

static void lowest_free_address_of_each_network(void **state)
{
	assert_free("10.77.0.1/24, fd77::1/64", "", "10.77.0.2/24 fd77::2/64");
	assert_free("10.77.0.1/24, fd77::1/64", "10.77.0.2, fd77::2", "10.77.0.3/24 fd77::3/64");
	assert_free("10.77.0.9/24", "10.77.0.1, 10.77.0.3", "10.77.0.2/24");
	assert_free("10.77.0.1/24", "10.77.0.3, 10.77.0.2, 10.77.0.4, 10.77.0.2/31",
		    "10.77.0.5/24");
	assert_free("10.77.0.1/16", "10.77.0.0/24", "10.77.1.0/16");
	assert_free("fd77::1/64", "fd77::/112", "fd77::1:0/64");
	assert_free("10.77.0.1/24, 10.78.0.1/24", "10.77.0.2", "10.77.0.3/24 10.78.0.2/24");
	assert_free("0.0.0.1/0", "0.0.0.0/1", "128.0.0.0/0");
}

static void nested_prefixes_are_swept_once(void **state)
{
	assert_free("10.77.0.1/24", "10.77.0.0/26, 10.77.0.8/29, 10.77.0.2", "10.77.0.64/24");
	assert_free("10.77.0.1/24", "10.77.0.64/26, 10.77.0.0/26", "10.77.0.128/24");
}

static void routes_through_the_network_take_nothing(void **state)
{
	assert_free("10.77.0.1/24", "0.0.0.0/0, 10.0.0.0/8, 10.77.0.0/16", "10.77.0.2/24");
	assert_free("10.77.0.1/24", "10.78.0.0/24, fd77::/64", "10.77.0.2/24");
}

static void full_networks_are_named(void **state)
{
	assert_free("10.77.0.1/24", "10.77.0.0/24", "full 10.77.0.0/24");
	assert_free("10.77.0.1/30", "10.77.0.2", "full 10.77.0.0/30");
	assert_free("10.77.0.1/24, fd77::1/127", "fd77::", "full fd77::/127");
	assert_free("255.255.255.254/31", "255.255.255.255", "full 255.255.255.254/31");
	assert_free("0.0.0.1/0", "0.0.0.0/1, 128.0.0.0/1", "full 0.0.0.0/0");
	assert_free("ffff::1/16", "ffff::/16", "full ffff::/16");
}

static void small_networks_have_no_reserved_addresses(void **state)
{
	assert_free("10.77.0.1/31", "", "10.77.0.0/31");
	assert_free("fd77::/127", "", "fd77::1/127");
	assert_free("10.77.0.2/30", "", "10.77.0.1/30");
	assert_free("fd77::2/126", "fd77::1", "fd77::3/126");
}

static void host_addresses_are_no_networks(void **state)
{
	assert_free("10.77.0.1, fd77::1", "", "");
	assert_free("10.77.0.1/24, 10.77.0.2/24, 10.77.0.3", "", "10.77.0.4/24");
	assert_free("10.0.0.1/8, 10.0.0.2/24", "", "10.0.0.3/8 10.0.0.4/24");
	assert_free("1.0.0.1/24, 2.0.0.1/24, 3.0.0.1/24, 4.0.0.1/24, 5.0.0.1/24", "", "-7");
}

static void values_of_a_command_line_are_judged_as_those_of_a_file(void **state)
{
	struct cv_config_peer peer = { 0 };
	struct cv_config_error error;

	assert_int_equal(
		cv_config_take_peer_value("Endpoint", "vpn.example.com:51820", &peer, &error), 0);
	assert_string_equal(peer.host, "vpn.example.com");
	assert_int_equal(peer.endpoint.port, 51820);
	assert_string_equal(error.message, "");
	for (int i = 0; i < 3; i++)
		assert_int_equal(cv_config_take_peer_value("AllowedIPs", " 10.0.0.1/8 , ::/0",
							   &peer, &error),
				 0);
	assert_int_equal(peer.n_allowed_ips, 6);
	assert_int_equal(peer.allowed_ips[0].addr.b[3], 0);

	assert_int_equal(cv_config_take_peer_value("Endpoint", "vpn.example.com", &peer, &error),
			 -EINVAL);
	assert_string_equal(error.message, "Endpoint has no port");
	assert_int_equal(cv_config_take_peer_value("Endpoint", " ", &peer, &error), -EINVAL);
	assert_string_equal(error.message, "Endpoint has no value");
	assert_int_equal(
		cv_config_take_peer_value("AllowedIPs", "10.0.0.0/8\nPublicKey = x", &peer, &error),
		-EINVAL);
	assert_int_equal(cv_config_take_peer_value("Endpoint", "2001:db8::1:51820", &peer, &error),
			 0);
	assert_true(error.warning);
	free(peer.host);
	free(peer.allowed_ips);
}

static int setup(void **state)
{
	return cv_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_peer_comes_behind_an_empty_line),
		cmocka_unit_test(new_peer_ends_the_last_line_of_a_file_that_does_not),
		cmocka_unit_test(new_peer_ends_lines_as_the_file_does),
		cmocka_unit_test(all_that_a_peer_has_is_written),
		cmocka_unit_test(a_peer_goes_with_its_empty_line),
		cmocka_unit_test(a_last_line_may_lack_its_end),
		cmocka_unit_test(crlf_stays_crlf),
		cmocka_unit_test(what_stands_in_a_section_goes_with_it),
		cmocka_unit_test(a_comment_above_a_header_is_the_headers),
		cmocka_unit_test(settings_of_the_interface_stay_though_they_are_comments),
		cmocka_unit_test(comments_that_stand_alone_stay),
		cmocka_unit_test(a_line_without_a_header_is_no_section),
		cmocka_unit_test(names_are_printable_and_bounded),
		cmocka_unit_test(lowest_free_address_of_each_network),
		cmocka_unit_test(nested_prefixes_are_swept_once),
		cmocka_unit_test(routes_through_the_network_take_nothing),
		cmocka_unit_test(full_networks_are_named),
		cmocka_unit_test(small_networks_have_no_reserved_addresses),
		cmocka_unit_test(host_addresses_are_no_networks),
		cmocka_unit_test(values_of_a_command_line_are_judged_as_those_of_a_file),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
