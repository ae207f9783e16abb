/* A frame of `convoy top`. */
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

#include "daemon/top.h"

static char *text;

static int forget(void **state)
{
	free(text);
	text = NULL;
	return 0;
}

static const char *drawn(json_t *now, const json_t *before, size_t rows)
{
	size_t len;
	FILE *out;

	forget(NULL);
	out = open_memstream(&text, &len);
	assert_non_null(out);
	assert_int_equal(cv_top_draw(out, now, before, rows), 0);
	assert_int_equal(fclose(out), 0);
	return text;
}

static size_t lines(void)
{
	size_t n = 0;

	for (const char *at = text; (at = strchr(at, '\n')); at++)
		n++;
	return n;
}

/* Two looks, two seconds apart, at two peers. */
static const char before_text[] =
	"{\"wg0\": {\"clock\": 50, \"counters\": {}, \"drops\": {\"replay\": 1, \"no_peer\": 3},"
	"\"peers\": {\"AAAA\": {}, \"BBBB\": {\"transferRx\": 1}}}}";
static const char now_text[] =
	"{\"wg0\": {\"up\": true, \"mtu\": 1420, \"clock\": 52,"
	"\"capabilities\": {\"loop\": \"io_uring\", \"workers\": \"2\", \"aead\": \"ipsec-mb\"},"
	"\"counters\": {\"path.in_bytes\": 250000000, \"path.in_pkts\": 200000,"
	"  \"path.in_supers\": 10000, \"udp.receive_datagrams\": 200000,"
	"  \"udp.receive_trains\": 8000, \"udp.receive_calls\": 4000, \"path.out_bytes\": 250000,"
	"  \"path.out_pkts\": 3000, \"path.out_supers\": 3000, \"udp.send_datagrams\": 3000,"
	"  \"udp.send_trains\": 3000, \"udp.send_calls\": 1000},"
	"\"drops\": {\"replay\": 1, \"no_peer\": 13, \"malformed\": 4},"
	"\"peers\": {\"AAAA\": {\"friendlyName\": \"Zo\xc3\xab\", \"transferTx\": 250000},"
	"  \"BBBB\": {\"endpoint\": \"[2001:db8:1234:5678::1]:51820\", \"sessionAge\": 119,"
	"  \"transferRx\": 250000001, \"cipher\": \"ChaCha20-Poly1305\","
	"  \"path\": {\"rtt\": 1.2345, \"rx\": {\"jitter\": 0.1001, \"loss\": 0.125},"
	"    \"tx\": {\"jitter\": 0.2002, \"loss\": 0.25}}}}}}";

static void traffic_batches_drops_and_peers_are_told(void **state)
{
	json_t *now = json_loads(now_text, 0, NULL), *before = json_loads(before_text, 0, NULL);

	drawn(now, before, 0);
	assert_string_equal(
		text,
		"wg0: up, mtu 1420, 2 peers, 2 workers, io_uring, ipsec-mb\n"
		"         Mbit/s  packets/s packets/TUN call  datagrams/train datagrams/UDP call\n"
		"in      1000.00     100000             20.0             25.0               50.0\n"
		"out        1.00       1500              1.0              1.0                3.0\n"
		"drops/s: no_peer 5 malformed 2\n"
		"PEER                     ENDPOINT               SESSION   IN Mbit/s  OUT Mbit/s\n"
		"BBBB                     [2001:db8:1234:5678::~      1m     1000.00        0.00\n"
		"  ChaCha20-Poly1305, rtt 1234.5 ms, jitter 100.1/200.2 ms, "
		"lost 12.5/25.0 %\n"
		"Zo\xc3\xab                      -                            -        0.00        1.00\n");
	json_decref(now);
	json_decref(before);
}

static void first_frame_has_no_rates_yet(void **state)
{
	json_t *now = json_loads(now_text, 0, NULL);

	drawn(now, NULL, 0);
	assert_non_null(strstr(text, "in         0.00          0              0.0"));
	assert_non_null(strstr(text, "\ndrops/s: none\n"));
	json_decref(now);
}

/* { "wg0": ... } with so many tunnels and peers. */
static json_t *crowd(int tunnels, int peers)
{
	json_t *all = json_object();
	char name[32];

	for (int i = 0; i < tunnels; i++) {
		json_t *list = json_object();

		for (int j = 0; j < peers; j++) {
			snprintf(name, sizeof(name), "peer%d", j);
			json_object_set_new(list, name, json_object());
		}
		snprintf(name, sizeof(name), "wg%d", i);
		json_object_set_new(all, name, json_pack("{s:o}", "peers", list));
	}
	return all;
}

static void frame_fits_the_rows_and_counts_who_does_not(void **state)
{
	json_t *one = crowd(1, 100), *two = crowd(2, 100), *few = crowd(1, 17);

	drawn(one, NULL, 23);
	assert_true(lines() <= 23);
	assert_non_null(strstr(text, "\npeer14 "));
	assert_null(strstr(text, "\npeer15 "));
	assert_non_null(strstr(text, "\nand 85 more\n"));
	drawn(two, NULL, 23);
	assert_true(lines() <= 23);
	assert_non_null(strstr(text, "wg1:"));
	drawn(few, NULL, 23);
	assert_true(lines() <= 23);
	assert_non_null(strstr(text, "\npeer14 "));
	drawn(one, NULL, 0);
	assert_non_null(strstr(text, "\npeer99 "));
	assert_null(strstr(text, "more"));
	json_decref(one);
	json_decref(two);
	json_decref(few);
}

static void peers_of_two_lines_are_shown_whole(void **state)
{
	json_t *all = crowd(1, 20), *peer;
	const char *key;

	json_object_foreach(json_object_get(json_object_get(all, "wg0"), "peers"), key, peer)
		json_object_set_new(peer, "cipher", json_string("AES-256-GCM"));
	drawn(all, NULL, 23);
	assert_int_equal(lines(), 21);
	assert_non_null(strstr(text, "\npeer6 "));
	assert_null(strstr(text, "\npeer7 "));
	assert_non_null(strstr(text, "\n  AES-256-GCM\nand 13 more\n"));
	json_decref(all);
}

static void lines_have_at_most_80_columns(void **state)
{
	json_t *now = json_loads(now_text, 0, NULL), *drops,
	       *before = json_loads(before_text, 0, NULL);
	char name[32];

	drops = json_object_get(json_object_get(now, "wg0"), "drops");
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "some_reason_%d", i);
		json_object_set_new(drops, name, json_integer(1000000000000));
	}
	drawn(now, before, 0);
	for (const char *at = text; *at; at = strchr(at, '\n') + 1) {
		size_t columns = 0;

		for (const char *c = at; *c != '\n'; c++)
			columns += (*c & 0xc0) != 0x80;
		assert_true(columns <= 80);
	}
	json_decref(now);
	json_decref(before);
}

static void answer_of_another_shape_is_survived(void **state)
{
	json_t *odd =
		json_loads("{\"a\": 7, \"b\": {\"peers\": [], \"counters\": 1, \"drops\": \"\"},"
			   "\"c\": {\"peers\": {\"x\": null}}}",
			   0, NULL);

	drawn(odd, odd, 10);
	assert_non_null(strstr(text, "c: link down"));
	json_decref(odd);
}

#define CASE(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(traffic_batches_drops_and_peers_are_told),
		CASE(first_frame_has_no_rates_yet),
		CASE(frame_fits_the_rows_and_counts_who_does_not),
		CASE(peers_of_two_lines_are_shown_whole),
		CASE(lines_have_at_most_80_columns),
		CASE(answer_of_another_shape_is_survived),
	};

	return cmocka_run_group_tests_name("draw", tests, NULL, NULL);
}
