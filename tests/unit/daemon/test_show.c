/* What `convoy show` prints of what a tunnel said. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include "daemon/show.h"

#define PUBLIC "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define OTHER  "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="

static json_t *parsed(const char *text)
{
	json_error_t error;
	json_t *object = json_loads(text, 0, &error);

	if (!object)
		fail_msg("%s in %s", error.text, text);
	return object;
}

/* Prints as at 1000000 s of the epoch and compares. */
static void assert_shown(const char *now_text, const char *before_text, bool colours,
			 const char *expected)
{
	json_t *now = parsed(now_text), *before = before_text ? parsed(before_text) : NULL;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(cv_show_print(out, "wg0", now, before, 1000000, colours), 0);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, expected);
	free(text);
	json_decref(now);
	json_decref(before);
}

static void tunnel_is_told_in_the_words_of_wg(void **state)
{
	assert_shown("{\"privateKey\": \"(hidden)\", \"publicKey\": \"" PUBLIC "\","
		     "\"listenPort\": 51820, \"fwmark\": 51820, \"up\": true, \"mtu\": 1420,"
		     "\"capabilities\": {\"loop\": \"io_uring\", \"workers\": \"2\"},"
		     "\"drops\": {\"replay\": 0}, \"peers\": {}}",
		     NULL, false,
		     "interface: wg0\n"
		     "  public key: " PUBLIC "\n"
		     "  private key: (hidden)\n"
		     "  listening port: 51820\n"
		     "  fwmark: 0xca6c\n"
		     "  mtu: 1420\n"
		     "  capabilities: loop=io_uring workers=2\n");
}

static void peer_is_told_with_all_it_has(void **state)
{
	assert_shown("{\"up\": true, \"peers\": {\"" PUBLIC "\": {\"friendlyName\": \"Alice\","
		     "\"presharedKey\": \"(hidden)\", \"endpoint\": \"192.0.2.2:51820\","
		     "\"source\": \"192.0.2.1\", \"allowedIps\": [\"10.0.0.0/24\", \"::/0\"],"
		     "\"latestHandshake\": 999938, \"sessionAge\": 62.9, \"transferRx\": 1023,"
		     "\"transferTx\": 1181116006, \"persistentKeepalive\": 25}}}",
		     NULL, false,
		     "interface: wg0\n"
		     "  capabilities:\n"
		     "\n"
		     "peer: " PUBLIC "\n"
		     "  name: Alice\n"
		     "  preshared key: (hidden)\n"
		     "  endpoint: 192.0.2.2:51820\n"
		     "  our address: 192.0.2.1\n"
		     "  allowed ips: 10.0.0.0/24, ::/0\n"
		     "  latest handshake: 1 minute, 2 seconds ago\n"
		     "  session: 1 minute, 2 seconds old\n"
		     "  transfer: 1023 B received, 1.10 GiB sent\n"
		     "  persistent keepalive: every 25 seconds\n");
}

static void path_is_told_both_ways(void **state)
{
	assert_shown("{\"up\": true, \"peers\": {\"a\": {\"sessionAge\": 1, \"path\": {"
		     "\"rtt\": 0.0123456, \"rttVariation\": 0.001, \"unanswered\": 1,"
		     "\"mtu\": 1380,"
		     "\"rx\": {\"jitter\": 0.0015, \"loss\": 0.125},"
		     "\"tx\": {\"jitter\": 0.00001, \"loss\": 0}}},"
		     "\"b\": {\"path\": {\"rx\": {}}}}}",
		     NULL, false,
		     "interface: wg0\n"
		     "  capabilities:\n"
		     "\n"
		     "peer: a\n"
		     "  allowed ips: (none)\n"
		     "  session: 1 second old\n"
		     "  path mtu: 1380\n"
		     "  round trip: 12.35 ms\n"
		     "  jitter: 1.50 ms received, 0.01 ms sent\n"
		     "  lost lately: 12.50 % received, 0.00 % sent\n"
		     "  unanswered: 1 probe\n"
		     "\n"
		     "peer: b\n"
		     "  allowed ips: (none)\n"
		     "  jitter: 0.00 ms received, 0.00 ms sent\n"
		     "  lost lately: 0.00 % received, 0.00 % sent\n");
}

static void peers_heard_of_last_come_first(void **state)
{
	assert_shown("{\"up\": true, \"peers\": {\"a\": {}, \"b\": {\"latestHandshake\": 999999},"
		     "\"c\": {\"latestHandshake\": 1000000}, \"d\": {}}}",
		     NULL, false,
		     "interface: wg0\n"
		     "  capabilities:\n"
		     "\n"
		     "peer: c\n"
		     "  allowed ips: (none)\n"
		     "  latest handshake: now\n"
		     "\n"
		     "peer: b\n"
		     "  allowed ips: (none)\n"
		     "  latest handshake: 1 second ago\n"
		     "\n"
		     "peer: a\n"
		     "  allowed ips: (none)\n"
		     "\n"
		     "peer: d\n"
		     "  allowed ips: (none)\n");
}

static void rates_come_from_two_looks(void **state)
{
	assert_shown("{\"up\": true, \"clock\": 100.5, \"peers\": {\"a\": {\"transferRx\": 2097152,"
		     "\"transferTx\": 1048576}, \"new\": {\"transferRx\": 2048}}}",
		     "{\"up\": true, \"clock\": 100, \"peers\": {\"a\": {\"transferRx\": 1048576,"
		     "\"transferTx\": 1000000}}}",
		     false,
		     "interface: wg0\n"
		     "  capabilities:\n"
		     "\n"
		     "peer: a\n"
		     "  allowed ips: (none)\n"
		     "  transfer: 2.00 MiB received, 1.00 MiB sent\n"
		     "  rate: 16.78 Mbit/s received, 0.78 Mbit/s sent\n"
		     "\n"
		     "peer: new\n"
		     "  allowed ips: (none)\n"
		     "  transfer: 2.00 KiB received, 0 B sent\n");
}

static void what_stands_still_or_began_anew_has_no_rate(void **state)
{
	static const char now[] = "{\"up\": true, \"clock\": 100.5, \"peers\": {\"a\":"
				  "{\"transferRx\": 10, \"transferTx\": 10}}}";
	static const char shown[] = "interface: wg0\n"
				    "  capabilities:\n"
				    "\n"
				    "peer: a\n"
				    "  allowed ips: (none)\n"
				    "  transfer: 10 B received, 10 B sent\n";

	assert_shown(
		now,
		"{\"clock\": 100, \"peers\": {\"a\": {\"transferRx\": 10, \"transferTx\": 99}}}",
		false, shown);
	assert_shown(now, "{\"clock\": 200, \"peers\": {\"a\": {\"transferRx\": 1}}}", false,
		     shown);
	assert_shown(now, "{}", false, shown);
	assert_shown("{\"up\": true, \"clock\": 101, \"peers\": {\"a\": {\"transferRx\": 125000}}}",
		     "{\"clock\": 100, \"peers\": {\"a\": {\"transferTx\": 125000}}}", false,
		     "interface: wg0\n"
		     "  capabilities:\n"
		     "\n"
		     "peer: a\n"
		     "  allowed ips: (none)\n"
		     "  transfer: 122.07 KiB received, 0 B sent\n"
		     "  rate: 1.00 Mbit/s received, 0.00 Mbit/s sent\n");
}

static void drops_are_told_by_sentence_and_only_those_there_were(void **state)
{
	assert_shown(
		"{\"up\": true, \"drops\": {\"no_peer\": 12, \"replay\": 0, \"of_tomorrow\": 1}}",
		NULL, false,
		"interface: wg0\n"
		"  capabilities:\n"
		"  dropped: 12: destination is in no peer's AllowedIPs (no_peer)\n"
		"  dropped: 1: of_tomorrow (of_tomorrow)\n");
}

static void why_there_is_no_session_is_told(void **state)
{
	assert_shown("{\"up\": false, \"peers\": {"
		     "\"a\": {\"wantsSession\": true, \"endpoint\": \"192.0.2.2:1\","
		     "        \"queuedPackets\": 3},"
		     "\"b\": {\"wantsSession\": true, \"endpoint\": \"192.0.2.2:1\","
		     "        \"sendError\": \"Network is unreachable\", \"queuedPackets\": 1},"
		     "\"c\": {\"wantsSession\": true},"
		     "\"d\": {\"latestHandshake\": 1000001, \"persistentKeepalive\": 1}}}",
		     NULL, false,
		     "interface: wg0\n"
		     "  link: down; `ip link set wg0 up` brings it up\n"
		     "  capabilities:\n"
		     "\n"
		     "peer: d\n"
		     "  allowed ips: (none)\n"
		     "  latest handshake: in the future: the system's clock was set back\n"
		     "  persistent keepalive: every 1 second\n"
		     "\n"
		     "peer: a\n"
		     "  endpoint: 192.0.2.2:1\n"
		     "  allowed ips: (none)\n"
		     "  session: none: handshakes go unanswered\n"
		     "  waiting: 3 packets, for a session\n"
		     "\n"
		     "peer: b\n"
		     "  endpoint: 192.0.2.2:1\n"
		     "  allowed ips: (none)\n"
		     "  session: none: handshakes cannot be sent: Network is unreachable\n"
		     "  waiting: 1 packet, for a session\n"
		     "\n"
		     "peer: c\n"
		     "  allowed ips: (none)\n"
		     "  session: none: the peer has no endpoint yet and must speak first\n");
}

static void ages_name_each_part_that_is_not_zero(void **state)
{
	static const struct {
		int at;
		const char *text;
	} cases[] = {
		{ 1000000 - 60, "1 minute ago" },
		{ 1000000 - 3600 - 1, "1 hour, 1 second ago" },
		{ 1000000 - 2 * 86400 - 7200 - 180 - 4,
		  "2 days, 2 hours, 3 minutes, 4 seconds ago" },
	};
	char now[128], expected[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(now, sizeof(now),
			 "{\"up\": true, \"peers\": {\"a\": {\"latestHandshake\": %d}}}",
			 cases[i].at);
		snprintf(expected, sizeof(expected),
			 "interface: wg0\n  capabilities:\n\npeer: a\n  allowed ips: (none)\n"
			 "  latest handshake: %s\n",
			 cases[i].text);
		assert_shown(now, NULL, false, expected);
	}
}

static void colours_mark_titles_and_labels(void **state)
{
	assert_shown("{\"up\": true, \"mtu\": 1420, \"peers\": {\"a\": {}}}", NULL, true,
		     "\x1b[32m\x1b[1minterface\x1b[0m: \x1b[32mwg0\x1b[0m\n"
		     "  \x1b[1mmtu\x1b[0m: 1420\n"
		     "  \x1b[1mcapabilities\x1b[0m:\n"
		     "\n"
		     "\x1b[33m\x1b[1mpeer\x1b[0m: \x1b[33ma\x1b[0m\n"
		     "  \x1b[1mallowed ips\x1b[0m: (none)\n");
}

static void answer_of_another_shape_is_survived(void **state)
{
	assert_shown("[]", "[7]", false,
		     "interface: wg0\n"
		     "  link: down; `ip link set wg0 up` brings it up\n"
		     "  capabilities:\n");
	assert_shown(
		"{\"up\": true, \"mtu\": \"x\", \"peers\": {\"a\": {\"allowedIps\": [7]}, \"b\": 7},"
		"\"drops\": {\"replay\": \"x\"}, \"capabilities\": {\"loop\": 7}}",
		NULL, false,
		"interface: wg0\n"
		"  capabilities:\n"
		"\n"
		"peer: a\n"
		"  allowed ips: ?\n"
		"\n"
		"peer: b\n"
		"  allowed ips: (none)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tunnel_is_told_in_the_words_of_wg),
		cmocka_unit_test(peer_is_told_with_all_it_has),
		cmocka_unit_test(path_is_told_both_ways),
		cmocka_unit_test(peers_heard_of_last_come_first),
		cmocka_unit_test(rates_come_from_two_looks),
		cmocka_unit_test(what_stands_still_or_began_anew_has_no_rate),
		cmocka_unit_test(drops_are_told_by_sentence_and_only_those_there_were),
		cmocka_unit_test(why_there_is_no_session_is_told),
		cmocka_unit_test(ages_name_each_part_that_is_not_zero),
		cmocka_unit_test(colours_mark_titles_and_labels),
		cmocka_unit_test(answer_of_another_shape_is_survived),
	};

	return cmocka_run_group_tests_name("show", tests, NULL, NULL);
}
