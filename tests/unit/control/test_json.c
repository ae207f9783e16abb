/* GET /show, as wg-json has it and we beside it. */
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

#include "control/internal.h"
#include "fake_device.h"

static struct cv_device device;
static struct cv_control control;
static json_t *root;

static int begin(void **state)
{
	device = (struct cv_device){ .name = "wg0" };
	control = (struct cv_control){ .device = &device };
	cv_config_init(&control.config);
	root = NULL;
	return 0;
}

static int end(void **state)
{
	cv_config_free(&control.config);
	json_decref(root);
	return 0;
}

/* What GET /show says of the tunnel; the text must be JSON, and hold no secret. */
static json_t *written(void)
{
	struct cv_key secret;
	char *text = NULL, base64[CV_KEY_BASE64_LEN + 1];
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	cv_json_write(&control, out);
	assert_int_equal(fclose(out), 0);
	memset(secret.b, 0x5e, sizeof(secret.b));
	assert_null(strstr(text, cv_key_to_base64(&secret, base64)));
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	assert_non_null(root);
	assert_int_equal(json_object_size(root), 1);
	return json_object_iter_value(json_object_iter(root));
}

static json_t *peer_of(const json_t *tunnel, size_t number)
{
	char base64[CV_KEY_BASE64_LEN + 1];
	struct cv_key key = fake_key(number);

	return json_object_get(json_object_get(tunnel, "peers"), cv_key_to_base64(&key, base64));
}

static void assert_text(const json_t *object, const char *name, const char *value)
{
	assert_non_null(json_object_get(object, name));
	assert_string_equal(json_string_value(json_object_get(object, name)), value);
}

static void assert_number(const json_t *object, const char *name, json_int_t value)
{
	assert_true(json_is_integer(json_object_get(object, name)));
	assert_true(json_integer_value(json_object_get(object, name)) == value);
}

static void tunnel_is_told_as_wg_json_does(void **state)
{
	json_t *tunnel = written();

	assert_string_equal(json_object_iter_key(json_object_iter(root)), "wg0");
	assert_text(tunnel, "privateKey", "(hidden)");
	assert_text(tunnel, "publicKey", "ERERERERERERERERERERERERERERERERERERERERERE=");
	assert_number(tunnel, "listenPort", 51820);
	assert_number(tunnel, "fwmark", 0xca6c);
	assert_true(json_is_object(json_object_get(tunnel, "peers")));
}

static void peer_is_told_as_wg_json_does(void **state)
{
	json_t *peer, *ips;

	device.n_peers = 1;
	peer = peer_of(written(), 0);
	assert_text(peer, "presharedKey", "(hidden)");
	assert_text(peer, "endpoint", "192.0.2.2:51820");
	assert_number(peer, "latestHandshake", FAKE_HANDSHAKE);
	assert_number(peer, "transferRx", INT64_C(1) << 40);
	assert_number(peer, "transferTx", 1000);
	assert_number(peer, "persistentKeepalive", 25);
	ips = json_object_get(peer, "allowedIps");
	assert_int_equal(json_array_size(ips), 4);
	assert_string_equal(json_string_value(json_array_get(ips, 0)), "10.77.0.0/16");
	assert_string_equal(json_string_value(json_array_get(ips, 3)), "fd77::2/128");
}

static void peer_that_has_nothing_has_no_fields(void **state)
{
	device.n_peers = 2;
	assert_int_equal(json_object_size(peer_of(written(), 1)), 1);
	assert_non_null(json_object_get(peer_of(json_object_get(root, "wg0"), 1), "allowedIps"));
}

static void ours_stand_beside_them(void **state)
{
	struct cv_config_peer *named = calloc(1, sizeof(*named));
	json_t *tunnel, *peer;

	assert_non_null(named);
	*named = (struct cv_config_peer){ fake_key(0), .friendly_name = strdup("Zo\xc3\xab\xff") };
	control.config.peers = named;
	control.config.n_peers = 1;
	device.n_peers = 1;
	tunnel = written();
	peer = peer_of(tunnel, 0);
	assert_text(peer, "friendlyName", "Zo\xc3\xab?");
	assert_text(peer, "source", "192.0.2.1");
	assert_true(json_is_real(json_object_get(peer, "sessionAge")));
	assert_true(json_is_true(json_object_get(tunnel, "up")));
	assert_number(tunnel, "mtu", 1420);
	assert_text(json_object_get(tunnel, "capabilities"), "aead", "ipsec-mb/openssl");
	assert_true(json_number_value(json_object_get(tunnel, "clock")) > 0);
}

static void assert_real(const json_t *object, const char *name, double value)
{
	double told = json_number_value(json_object_get(object, name));

	assert_true(told > value - 1e-12 && told < value + 1e-12);
}

static void path_is_told_in_seconds_both_ways(void **state)
{
	const json_t *path, *rx, *tx;

	device.n_peers = 1;
	path = json_object_get(peer_of(written(), 0), "path");
	rx = json_object_get(path, "rx");
	tx = json_object_get(path, "tx");
	assert_real(path, "rtt", 0.012345678);
	assert_real(path, "rttVariation", 0.00025);
	assert_number(path, "unanswered", 2);
	assert_number(path, "mtu", 1380);
	assert_real(rx, "jitter", 0.0015);
	assert_real(rx, "loss", 0.125);
	assert_number(rx, "expected", 800);
	assert_number(rx, "accepted", 700);
	assert_real(tx, "jitter", 0.00001);
	assert_real(tx, "loss", 0);
	assert_number(tx, "expected", 80);
	assert_number(tx, "accepted", 80);
}

static void count(void (*visit)(void *arg, const char *name, uint64_t value), void *arg)
{
	visit(arg, "udp.send_calls", 7);
	visit(arg, "drop.replay", 8);
	visit(arg, "peer.KEY.rx_bytes", 9);
}

static void counters_and_drops_are_told_by_name(void **state)
{
	json_t *tunnel;

	device.count = count;
	tunnel = written();
	assert_int_equal(json_object_size(json_object_get(tunnel, "counters")), 1);
	assert_number(json_object_get(tunnel, "counters"), "udp.send_calls", 7);
	assert_int_equal(json_object_size(json_object_get(tunnel, "drops")), 1);
	assert_number(json_object_get(tunnel, "drops"), "replay", 8);
}

static void odd_interface_names_are_still_json(void **state)
{
	device.name = "w\"\xff";
	written();
	assert_string_equal(json_object_iter_key(json_object_iter(root)), "w\"?");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(tunnel_is_told_as_wg_json_does),      CASE(peer_is_told_as_wg_json_does),
		CASE(peer_that_has_nothing_has_no_fields), CASE(ours_stand_beside_them),
		CASE(path_is_told_in_seconds_both_ways),   CASE(odd_interface_names_are_still_json),
		CASE(counters_and_drops_are_told_by_name), CASE(odd_interface_names_are_still_json),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
