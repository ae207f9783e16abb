/* Parse after print is the identity, and print never writes beyond its buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/config/config.h>
#include <convoy/crypto/init.h>

#define KEY_A "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define KEY_B "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_C "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="

static const char least[] = "[Interface]\nPrivateKey = " KEY_A "\n";
static const char most[] =
	"[Interface]\nPrivateKey = " KEY_A "\nListenPort = 51820\nFwMark = 51820\n"
	"Address = 10.77.0.1/24, fd77::1/64\nAddress = 10.78.0.1\n"
	"DNS = 9.9.9.9, 2620:fe::fe, example.com, corp.example\nMTU = 1420\nTable = 1234\n"
	"PreUp = echo 1 # one\nPostUp = a\nPostUp = b\nPreDown = c\nPostDown = d\n"
	"SaveConfig = true\nWorkers = 3\nLoop = epoll\nOffload = -tun-uso, -udp-gro\n"
	"KillSwitch = yes\nKillSwitchAllowLan = yes\n"
	"Pool = 10.77.0.0/25, fd77::/64\n"
	"PoolDNS = 10.77.0.1, fd77::1\n"
	"PoolRoutes = 10.0.0.0/8, ::/0\n"
	"PoolMTU = 1380\n"
	"ExcludeIPs = 192.168.0.0/16, 10.9.8.7/8, 2001:db8::/32, 192.168.3.0/24\n"
	"AeadProvider = libsodium\nExtensions = off\nCiphers = AES-256-GCM\nLogLevel = debug\nMetricsListen = [::1]:9586\n"
	"ClientDNS = 10.77.0.1, office.example\nClientEndpoint = vpn.example.com:443\n"
	"[Peer]\n# friendly_name = Zo\xc3\xab & friends = many\nPublicKey = " KEY_B "\n"
	"PresharedKey = " KEY_C "\nAllowedIPs = 10.192.124.1/24, ::/0\nAllowedIPs = 10.1.2.3\n"
	"Endpoint = [2001:db8::1]:51820\nPersistentKeepalive = 25\n"
	"[Peer]\nPublicKey = " KEY_C "\nEndpoint = [fe80::1%eth0]:1\n"
	"[Peer]\nPublicKey = " KEY_A "\nEndpoint = vpn.example.com:65535\n"
	"PresharedKeyFile = shared.key\nExtensions = off\n";

static void assert_text(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a)
		assert_string_equal(a, b);
}

static void assert_prefixes(const struct cv_prefix *a, const struct cv_prefix *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_true(cv_prefix_equal(&a[i], &b[i]));
}

static void assert_same_peer(const struct cv_config_peer *a, const struct cv_config_peer *b)
{
	assert_memory_equal(&a->public_key, &b->public_key, sizeof(a->public_key));
	assert_memory_equal(&a->psk, &b->psk, sizeof(a->psk));
	assert_int_equal(a->has_psk, b->has_psk);
	assert_int_equal(a->no_extensions, b->no_extensions);
	assert_int_equal(a->has_endpoint, b->has_endpoint);
	assert_int_equal(a->endpoint_is_name, b->endpoint_is_name);
	assert_true(cv_endpoint_equal(&a->endpoint, &b->endpoint));
	assert_text(a->host, b->host);
	assert_text(a->friendly_name, b->friendly_name);
	assert_text(a->psk_file.path, b->psk_file.path);
	assert_int_equal(a->persistent_keepalive_s, b->persistent_keepalive_s);
	assert_int_equal(a->n_allowed_ips, b->n_allowed_ips);
	assert_prefixes(a->allowed_ips, b->allowed_ips, a->n_allowed_ips);
}

static void assert_same_interface(const struct cv_config *a, const struct cv_config *b)
{
	assert_memory_equal(&a->private_key, &b->private_key, sizeof(a->private_key));
	assert_int_equal(a->has_private_key, b->has_private_key);
	assert_int_equal(a->listen_port, b->listen_port);
	assert_int_equal(a->has_fwmark, b->has_fwmark);
	assert_int_equal(a->fwmark, b->fwmark);
	assert_int_equal(a->auto_address, b->auto_address);
	assert_int_equal(a->auto_dns, b->auto_dns);
	assert_int_equal(a->auto_routes, b->auto_routes);
	assert_int_equal(a->n_addresses, b->n_addresses);
	assert_prefixes(a->addresses, b->addresses, a->n_addresses);
	assert_int_equal(a->n_dns, b->n_dns);
	for (size_t i = 0; i < a->n_dns; i++)
		assert_true(cv_addr_equal(&a->dns[i], &b->dns[i]));
	assert_int_equal(a->n_dns_search, b->n_dns_search);
	for (size_t i = 0; i < a->n_dns_search; i++)
		assert_string_equal(a->dns_search[i], b->dns_search[i]);
	assert_int_equal(a->n_client_dns, b->n_client_dns);
	for (size_t i = 0; i < a->n_client_dns; i++)
		assert_true(cv_addr_equal(&a->client_dns[i], &b->client_dns[i]));
	assert_int_equal(a->n_client_dns_search, b->n_client_dns_search);
	for (size_t i = 0; i < a->n_client_dns_search; i++)
		assert_string_equal(a->client_dns_search[i], b->client_dns_search[i]);
	assert_same_peer(&a->self, &b->self);
	assert_int_equal(a->mtu, b->mtu);
	assert_int_equal(a->table, b->table);
	assert_int_equal(a->table_number, b->table_number);
	assert_int_equal(a->save_config, b->save_config);
	assert_true(cv_endpoint_equal(&a->metrics_at, &b->metrics_at));
	for (size_t kind = 0; kind < CV_CONFIG_HOOK_KINDS; kind++) {
		assert_int_equal(a->hooks[kind].n, b->hooks[kind].n);
		for (size_t i = 0; i < a->hooks[kind].n; i++)
			assert_string_equal(a->hooks[kind].list[i].command,
					    b->hooks[kind].list[i].command);
	}
}

static void assert_same_own(const struct cv_config *a, const struct cv_config *b)
{
	assert_int_equal(a->workers, b->workers);
	assert_int_equal(a->loop, b->loop);
	assert_memory_equal(&a->offload, &b->offload, sizeof(a->offload));
	assert_string_equal(a->aead, b->aead);
	assert_int_equal(a->ciphers, b->ciphers);
	assert_int_equal(a->no_extensions, b->no_extensions);
	assert_text(a->private_key_file.path, b->private_key_file.path);
	assert_int_equal(a->log_level, b->log_level);
	assert_int_equal(a->kill_switch, b->kill_switch);
	assert_int_equal(a->kill_switch_allow_lan, b->kill_switch_allow_lan);
	assert_int_equal(a->n_exclude_ips, b->n_exclude_ips);
	assert_prefixes(a->exclude_ips, b->exclude_ips, a->n_exclude_ips);
	assert_prefixes(a->pool.prefixes, b->pool.prefixes, CV_FAMILIES);
	assert_int_equal(a->pool.n_dns, b->pool.n_dns);
	for (size_t i = 0; i < a->pool.n_dns; i++)
		assert_true(cv_addr_equal(&a->pool.dns[i], &b->pool.dns[i]));
	assert_int_equal(a->pool.n_routes, b->pool.n_routes);
	assert_prefixes(a->pool.routes, b->pool.routes, a->pool.n_routes);
	assert_int_equal(a->pool.mtu, b->pool.mtu);
}

static struct cv_config parse(const char *text)
{
	struct cv_config_errors errors;
	struct cv_config config;

	assert_int_equal(cv_config_parse(text, strlen(text), &config, &errors), 0);
	cv_config_errors_free(&errors);
	return config;
}

static void round_trip(const char *text)
{
	struct cv_config first = parse(text), second;
	char printed[4096], again[4096];

	assert_true(cv_config_print(&first, printed, sizeof(printed)) < sizeof(printed));
	second = parse(printed);
	assert_same_interface(&first, &second);
	assert_same_own(&first, &second);
	assert_int_equal(first.n_peers, second.n_peers);
	for (size_t i = 0; i < first.n_peers; i++)
		assert_same_peer(&first.peers[i], &second.peers[i]);
	cv_config_print(&second, again, sizeof(again));
	assert_string_equal(printed, again);
	cv_config_free(&first);
	cv_config_free(&second);
}

static void printed_config_parses_to_the_same(void **state)
{
	round_trip(least);
	round_trip(most);
	round_trip("[Interface]\nPrivateKey = " KEY_A "\nAddress = auto\nDNS = lan, auto\n"
		   "Routes = auto\n[Peer]\nPublicKey = " KEY_B "\nEndpoint = a.example:1\n");
	round_trip("[Interface]\nPrivateKey = " KEY_A "\nTable = off\nOffload = off\n"
		   "Loop = io_uring\nLogLevel = error\n");
	round_trip("[Interface]\nPrivateKey = " KEY_A "\nTable = auto\nFwMark = off\n"
		   "LogLevel = warning\n");
	round_trip("[Interface]\nPrivateKeyFile = /run/keys/a b\n");
}

static void own_keys_are_printed_as_comments(void **state)
{
	struct cv_config config = parse(most);
	char printed[4096];

	cv_config_print(&config, printed, sizeof(printed));
	assert_non_null(strstr(printed, "\n# convoy: Workers = 3\n"));
	assert_non_null(strstr(printed, "\n# convoy: Offload = auto -tun-uso -udp-gro\n"));
	assert_null(strstr(printed, "\nLogLevel"));
	cv_config_free(&config);
}

static void key_that_came_from_a_file_is_not_printed(void **state)
{
	struct cv_config config = parse("[Interface]\n# convoy: PrivateKeyFile = own.key\n[Peer]\n"
					"PublicKey = " KEY_B "\nPresharedKeyFile = shared.key\n");
	char printed[4096];

	cv_key_from_base64(KEY_A, CV_KEY_BASE64_LEN, &config.private_key);
	cv_key_from_base64(KEY_C, CV_KEY_BASE64_LEN, &config.peers[0].psk);
	config.has_private_key = config.peers[0].has_psk = true;
	cv_config_print(&config, printed, sizeof(printed));
	assert_non_null(strstr(printed, "\n# convoy: PrivateKeyFile = own.key\n"));
	assert_non_null(strstr(printed, "\n# convoy: PresharedKeyFile = shared.key\n"));
	assert_null(strstr(printed, KEY_A));
	assert_null(strstr(printed, KEY_C));
	cv_config_free(&config);
}

static void print_stays_inside_a_buffer_of_any_size(void **state)
{
	struct cv_config config = parse(most);
	size_t len = cv_config_print(&config, NULL, 0);
	char whole[4096];

	assert_int_equal(cv_config_print(&config, whole, sizeof(whole)), len);
	assert_int_equal(strlen(whole), len);
	for (size_t size = 1; size <= len; size++) {
		char *cut = malloc(size); /* exact, so that the sanitizer guards its end */

		assert_int_equal(cv_config_print(&config, cut, size), len);
		assert_int_equal(strlen(cut), size - 1);
		assert_memory_equal(cut, whole, size - 1);
		free(cut);
	}
	cv_config_free(&config);
}

static int setup(void **state)
{
	return cv_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(printed_config_parses_to_the_same),
		cmocka_unit_test(own_keys_are_printed_as_comments),
		cmocka_unit_test(key_that_came_from_a_file_is_not_printed),
		cmocka_unit_test(print_stays_inside_a_buffer_of_any_size),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
