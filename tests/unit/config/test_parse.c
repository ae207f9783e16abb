/* Good files in every spelling. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/config/config.h>
#include <convoy/crypto/init.h>

#include "files.h"

static struct cv_config parse(const char *text)
{
	struct cv_config_errors errors;
	struct cv_config config;
	int result = cv_config_parse(text, strlen(text), &config, &errors);

	if (result && errors.n > 0)
		print_message("%u:%u %s\n", errors.list[0].line, errors.list[0].column,
			      errors.list[0].message);
	assert_int_equal(result, 0);
	cv_config_errors_free(&errors);
	return config;
}

static struct cv_config parse_interface(const char *lines)
{
	char text[1024];

	snprintf(text, sizeof(text), "[Interface]\nPrivateKey = " PRIVATE "\n%s", lines);
	return parse(text);
}

static struct cv_config parse_peer(const char *lines)
{
	char text[512];

	snprintf(text, sizeof(text), "[Peer]\nPublicKey = " KEY_B "\n%s", lines);
	return parse_interface(text);
}

static void assert_prefix(const struct cv_prefix *prefix, const char *text)
{
	char printed[CV_PREFIX_TEXT_MAX];

	assert_string_equal(cv_prefix_format(prefix, printed), text);
}

static void assert_endpoint(const struct cv_config_peer *peer, const char *text)
{
	char printed[CV_ENDPOINT_TEXT_MAX];

	assert_true(peer->has_endpoint);
	assert_false(peer->endpoint_is_name);
	assert_string_equal(cv_endpoint_format(&peer->endpoint, printed), text);
}

static void example_of_wg_is_read(void **state)
{
	struct cv_config config = parse("[Interface]\n"
					"PrivateKey = " PRIVATE "\n"
					"ListenPort = 51820\n\n"
					"[Peer]\n"
					"PublicKey = " KEY_B "\n"
					"Endpoint = 192.95.5.67:1234\n"
					"AllowedIPs = 10.192.122.3/32, 10.192.124.1/24\n\n"
					"[Peer]\n"
					"PublicKey = " KEY_C "\n"
					"Endpoint = [2607:5300:60:6b0::c05f:543]:2468\n"
					"AllowedIPs = 10.192.122.4/32, 192.168.0.0/16\n\n"
					"[Peer]\n"
					"PublicKey = " KEY_D "\n"
					"Endpoint = test.wireguard.com:18981\n"
					"AllowedIPs = 10.10.10.230/32\n");

	assert_true(config.has_private_key);
	assert_int_equal(config.private_key.b[0], 0xc8);
	assert_int_equal(config.listen_port, 51820);
	assert_int_equal(config.n_peers, 3);
	assert_endpoint(&config.peers[0], "192.95.5.67:1234");
	assert_prefix(&config.peers[0].allowed_ips[1], "10.192.124.0/24");
	assert_endpoint(&config.peers[1], "[2607:5300:60:6b0::c05f:543]:2468");
	assert_true(config.peers[2].endpoint_is_name);
	assert_string_equal(config.peers[2].host, "test.wireguard.com");
	assert_int_equal(config.peers[2].endpoint.port, 18981);
	assert_int_equal(config.peers[2].endpoint.addr.family, 0);
	assert_int_equal(config.peers[2].line, 15);
	cv_config_free(&config);
}

static void client_example_of_wg_quick_is_read(void **state)
{
	struct cv_config config =
		parse("    [Interface]\n"
		      "    Address = 10.200.100.8/24\n"
		      "    DNS = 10.200.100.1\n"
		      "    PrivateKey = oK56DE9Ue9zK76rAc8pBl6opph+1v36lm7cXXsQKrQM=\n\n"
		      "    [Peer]\n"
		      "    PublicKey = GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU=\n"
		      "    PresharedKey = /UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=\n"
		      "    AllowedIPs = 0.0.0.0/0\n"
		      "    Endpoint = demo.wireguard.com:51820\n");

	assert_int_equal(config.n_addresses, 1);
	assert_prefix(&config.addresses[0], "10.200.100.8/24");
	assert_int_equal(config.n_dns, 1);
	assert_true(config.peers[0].has_psk);
	assert_int_equal(config.peers[0].psk.b[0], 0xfd);
	assert_prefix(&config.peers[0].allowed_ips[0], "0.0.0.0/0");
	cv_config_free(&config);
}

static void routing_example_of_wg_quick_is_read(void **state)
{
	struct cv_config config =
		parse("[Interface]\n"
		      "Address = 10.192.122.1/24\n"
		      "Address = 10.10.0.1/16\n"
		      "SaveConfig = true\n"
		      "PrivateKey = " PRIVATE "\n"
		      "ListenPort = 51820\n"
		      "Table = 1234\n"
		      "PostUp = ip rule add ipproto tcp dport 22 table 1234\n"
		      "PreDown = ip rule delete ipproto tcp dport 22 table 1234\n\n"
		      "[Peer]\n"
		      "PublicKey = " KEY_B "\n"
		      "AllowedIPs = 0.0.0.0/0\n");

	assert_int_equal(config.n_addresses, 2);
	assert_true(config.save_config);
	assert_int_equal(config.table, CV_CONFIG_TABLE_NUMBER);
	assert_int_equal(config.table_number, 1234);
	assert_int_equal(config.hooks[CV_CONFIG_POST_UP].n, 1);
	assert_int_equal(config.hooks[CV_CONFIG_POST_UP].list[0].line, 8);
	assert_string_equal(config.hooks[CV_CONFIG_PRE_DOWN].list[0].command,
			    "ip rule delete ipproto tcp dport 22 table 1234");
	cv_config_free(&config);
}

static void empty_interface_means_everything_automatic(void **state)
{
	struct cv_config config = parse_interface("");

	assert_string_equal(config.name, "");
	assert_int_equal(config.listen_port, 0);
	assert_false(config.has_fwmark);
	assert_int_equal(config.mtu, 0);
	assert_int_equal(config.table, CV_CONFIG_TABLE_AUTO);
	assert_int_equal(config.workers, 0);
	assert_int_equal(config.loop, CV_CONFIG_LOOP_AUTO);
	assert_true(config.offload.tun_tso && config.offload.tun_uso && config.offload.udp_gso &&
		    config.offload.udp_gro);
	assert_string_equal(config.aead, "");
	assert_int_equal(config.log_level, CV_CONFIG_LOG_INFO);
	assert_int_equal(config.n_peers, 0);
	cv_config_free(&config);
}

static void case_blanks_and_line_ends_do_not_matter(void **state)
{
	struct cv_config config = parse("\xef\xbb\xbf# made elsewhere\r\n[INTERFACE] # us\r\n"
					"\tprivatekey=" PRIVATE "# secret\r\n"
					"LISTENPORT\t= 7\r\n\r\n[peer]\r\n"
					"publickey =" KEY_B "\r\n"
					"allowedips=10.0.0.1/32,10.0.0.2/32 ,\t10.0.0.3/32");

	assert_int_equal(config.listen_port, 7);
	assert_int_equal(config.n_peers, 1);
	assert_int_equal(config.peers[0].n_allowed_ips, 3);
	cv_config_free(&config);
}

static void lists_may_repeat_and_be_split_by_blanks(void **state)
{
	struct cv_config config = parse_interface("Address = 10.0.0.1/8 10.0.0.2\nAddress = ,::1\n"
						  "DNS = 9.9.9.9 a.example,b.example\nDNS = ::1\n");

	assert_int_equal(config.n_addresses, 3);
	assert_prefix(&config.addresses[0], "10.0.0.1/8");
	assert_prefix(&config.addresses[1], "10.0.0.2/32");
	assert_prefix(&config.addresses[2], "::1/128");
	assert_int_equal(config.n_dns, 2);
	assert_int_equal(config.n_dns_search, 2);
	assert_string_equal(config.dns_search[1], "b.example");
	cv_config_free(&config);
}

static void a_pool_lies_in_the_smallest_network_that_has_it(void **state)
{
	struct cv_config config = parse_interface(
		"Address = 10.0.0.1/8, 10.77.0.1/24, 10.78.0.1/30, fd77::1/48\n"
		"# convoy: Pool = 10.77.0.130/25\nPool = fd77:0:0:7::9/64\n"
		"PoolDNS = 9.9.9.9\nPoolDNS = fd77::1\nPoolRoutes = 192.168.7.9/24, ::/0\n"
		"PoolMTU = 1380\n");
	struct cv_prefix network;

	assert_true(cv_config_has_pool(&config));
	assert_prefix(&config.pool.prefixes[CV_IPV4], "10.77.0.128/25");
	assert_prefix(&config.pool.prefixes[CV_IPV6], "fd77:0:0:7::/64");
	assert_true(cv_config_pool_network(&config, CV_IPV4, &network));
	assert_prefix(&network, "10.77.0.0/24");
	assert_true(cv_config_pool_network(&config, CV_IPV6, &network));
	assert_prefix(&network, "fd77::/48");
	assert_int_equal(config.pool.n_dns, 2);
	assert_int_equal(config.pool.n_routes, 2);
	assert_prefix(&config.pool.routes[0], "192.168.7.0/24");
	assert_int_equal(config.pool.mtu, 1380);
	cv_config_free(&config);
}

static void excluded_ips_are_in_order_and_disjoint(void **state)
{
	struct cv_config config =
		parse_interface("ExcludeIPs = 2001:db8::/32, 192.168.3.0/24, 192.168.7.9/16\n"
				"# convoy: ExcludeIPs = 10.9.8.7/8, 10.9.8.7\nExcludeIPs =\n");

	assert_int_equal(config.n_exclude_ips, 3);
	assert_prefix(&config.exclude_ips[0], "10.0.0.0/8");
	assert_prefix(&config.exclude_ips[1], "192.168.0.0/16");
	assert_prefix(&config.exclude_ips[2], "2001:db8::/32");
	cv_config_free(&config);
}

/* What a peer may send and receive is what the file says; only routes are cut. */
static void excluded_ips_leave_allowed_ips_alone(void **state)
{
	struct cv_config config = parse_interface("ExcludeIPs = 192.168.0.0/16\n"
						  "[Peer]\nPublicKey = " KEY_B "\n"
						  "AllowedIPs = 0.0.0.0/0\n");

	assert_int_equal(config.peers[0].n_allowed_ips, 1);
	assert_prefix(&config.peers[0].allowed_ips[0], "0.0.0.0/0");
	cv_config_free(&config);
}

static void kill_switch_is_off_unless_asked_for(void **state)
{
	struct cv_config config = parse_interface("");

	assert_false(config.kill_switch || config.kill_switch_allow_lan);
	cv_config_free(&config);
	config = parse_interface("KillSwitch = no\n# convoy: KillSwitch = Yes\n"
				 "# convoy: KillSwitchAllowLan = yes\n");
	assert_true(config.kill_switch && config.kill_switch_allow_lan);
	cv_config_free(&config);
}

static void hooks_keep_hashes_and_order(void **state)
{
	struct cv_config config = parse_interface("PostUp = echo '#1' # one\nPostUp=b=c\n"
						  "# PostUp = not this\nPreUp = %i\n");
	const struct cv_config_hooks *post_up = &config.hooks[CV_CONFIG_POST_UP];

	assert_int_equal(post_up->n, 2);
	assert_string_equal(post_up->list[0].command, "echo '#1' # one");
	assert_string_equal(post_up->list[1].command, "b=c");
	assert_string_equal(config.hooks[CV_CONFIG_PRE_UP].list[0].command, "%i");
	cv_config_free(&config);
}

static void marks_and_tables_have_several_spellings(void **state)
{
	static const struct {
		const char *line;
		bool has_fwmark;
		uint32_t fwmark;
		enum cv_config_table table;
		uint32_t number;
	} cases[] = {
		{ "FwMark = off\nTable = off\n", false, 0, CV_CONFIG_TABLE_OFF, 0 },
		{ "FwMark = 0\nTable = auto\n", false, 0, CV_CONFIG_TABLE_AUTO, 0 },
		{ "FwMark = 0xCA6c\nTable = main\n", true, 51820, CV_CONFIG_TABLE_NUMBER, 254 },
		{ "FwMark = 4294967295\nTable = 0x10\n", true, UINT32_MAX, CV_CONFIG_TABLE_NUMBER,
		  16 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cv_config config = parse_interface(cases[i].line);

		assert_int_equal(config.has_fwmark, cases[i].has_fwmark);
		assert_int_equal(config.fwmark, cases[i].fwmark);
		assert_int_equal(config.table, cases[i].table);
		assert_int_equal(config.table_number, cases[i].number);
		cv_config_free(&config);
	}
}

static void own_keys_count_plain_and_as_comments(void **state)
{
	static const char *const spellings[] = {
		"Workers = 4\nLoop = io_uring\nOffload = -tun-tso, -udp-gso\n"
		"AeadProvider = libsodium\nLogLevel = debug\nMetricsListen = 127.0.0.1:9586\n"
		"ClientDNS = 10.77.0.1, a.example\nClientEndpoint = b.example:443\n",
		"# convoy: Workers = 4\n#Convoy:loop=io_uring # why not\n"
		"  # convoy:  Offload = auto -tun-tso -udp-gso\n"
		"# convoy: AeadProvider = libsodium\n# convoy: LogLevel = DEBUG\n"
		"# convoy: MetricsListen = 127.0.0.1:9586\n"
		"# convoy: ClientDNS = 10.77.0.1\n# convoy: ClientDNS = a.example\n"
		"# convoy: ClientEndpoint = b.example:443\n",
	};

	for (size_t i = 0; i < 2; i++) {
		struct cv_config config = parse_interface(spellings[i]);

		assert_int_equal(config.workers, 4);
		assert_int_equal(config.loop, CV_CONFIG_LOOP_IO_URING);
		assert_false(config.offload.tun_tso);
		assert_true(config.offload.tun_uso);
		assert_false(config.offload.udp_gso);
		assert_true(config.offload.udp_gro);
		assert_string_equal(config.aead, "libsodium");
		assert_int_equal(config.log_level, CV_CONFIG_LOG_DEBUG);
		assert_int_equal(config.metrics_at.port, 9586);
		assert_int_equal(config.n_client_dns, 1);
		assert_int_equal(config.n_client_dns_search, 1);
		assert_string_equal(config.client_dns_search[0], "a.example");
		assert_int_equal(config.n_dns + config.n_dns_search, 0);
		assert_string_equal(config.self.host, "b.example");
		assert_int_equal(config.self.endpoint.port, 443);
		cv_config_free(&config);
	}
}

static void offload_off_switches_all_off(void **state)
{
	struct cv_config config = parse_interface("Offload = off\nWorkers = auto\nAeadProvider = "
						  "auto\n");

	assert_false(config.offload.tun_tso || config.offload.tun_uso || config.offload.udp_gso ||
		     config.offload.udp_gro);
	assert_int_equal(config.workers, 0);
	assert_string_equal(config.aead, "");
	cv_config_free(&config);
}

static void extensions_are_switched_off_for_all_or_for_one(void **state)
{
	static const char text[] =
		"[Interface]\nPrivateKey = " PRIVATE "\n# convoy: Extensions = %s\n"
		"[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n# convoy: Extensions = %s\n";

	for (int i = 0; i < 4; i++) {
		struct cv_config_errors errors;
		struct cv_config config;
		char filled[sizeof(text) + 8];

		snprintf(filled, sizeof(filled), text, i & 1 ? "off" : "on", i & 2 ? "off" : "on");
		assert_int_equal(cv_config_parse(filled, strlen(filled), &config, &errors), 0);
		assert_int_equal(config.no_extensions, i & 1);
		assert_int_equal(config.peers[0].no_extensions, (i & 2) != 0);
		cv_config_errors_free(&errors);
		cv_config_free(&config);
	}
}

static void unknown_provider_is_refused(void **state)
{
	static const char text[] = "[Interface]\nPrivateKey = " PRIVATE "\nAeadProvider = rot13\n";
	struct cv_config_errors errors;
	struct cv_config config;

	assert_int_equal(cv_config_parse(text, strlen(text), &config, &errors), -EINVAL);
	assert_int_equal(errors.n, 1);
	assert_int_equal(errors.list[0].line, 3);
	assert_non_null(strstr(errors.list[0].hint, "libsodium"));
	cv_config_errors_free(&errors);
}

static void metrics_listen_is_an_address_and_a_port(void **state)
{
	static const char *const wrong[] = { "9586",        "127.0.0.1", "localhost:9586",
					     "127.0.0.1:0", "::1:9586",  "[::1]:65536",
					     "*:9586" };
	char text[256];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct cv_config_errors errors;
		struct cv_config config;

		snprintf(text, sizeof(text),
			 "[Interface]\nPrivateKey = " PRIVATE "\nMetricsListen = %s\n", wrong[i]);
		assert_int_equal(cv_config_parse(text, strlen(text), &config, &errors), -EINVAL);
		assert_int_equal(errors.n, 1);
		assert_int_equal(errors.list[0].line, 3);
		assert_non_null(strstr(errors.list[0].hint, "127.0.0.1:9586"));
		cv_config_errors_free(&errors);
	}
}

static void endpoints_are_numeric_or_names_for_later(void **state)
{
	static const struct {
		const char *line, *numeric, *host;
		uint16_t port;
	} cases[] = {
		{ "Endpoint = 192.0.2.1:1", "192.0.2.1:1", NULL, 1 },
		{ "Endpoint = [2001:db8::1]:65535", "[2001:db8::1]:65535", NULL, 65535 },
		{ "Endpoint = [fe80::1%3]:2", "[fe80::1%3]:2", NULL, 2 },
		{ "Endpoint = 2001:db8::1:3", "[2001:db8::1]:3", NULL, 3 },
		{ "Endpoint = [fe80::1%eth0]:4", NULL, "fe80::1%eth0", 4 },
		{ "Endpoint = vpn-1.example.com:5 # home", NULL, "vpn-1.example.com", 5 },
		{ "Endpoint = localhost:6", NULL, "localhost", 6 },
		{ "Endpoint = a.example:7\nEndpoint = b.example:8", NULL, "b.example", 8 },
		{ "Endpoint = a.example:7\nEndpoint = 192.0.2.1:9", "192.0.2.1:9", NULL, 9 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cv_config config = parse_peer(cases[i].line);
		const struct cv_config_peer *peer = &config.peers[0];

		assert_int_equal(peer->endpoint.port, cases[i].port);
		if (cases[i].numeric) {
			assert_endpoint(peer, cases[i].numeric);
			assert_null(peer->host);
		} else {
			assert_true(peer->has_endpoint && peer->endpoint_is_name);
			assert_string_equal(peer->host, cases[i].host);
		}
		cv_config_free(&config);
	}
}

static void peers_have_names_in_comments(void **state)
{
	struct cv_config config =
		parse_peer("#friendly_name=Old\n  #  friendly_name = Zo\xc3\xab \x1b[31m = 2 \n"
			   "# friendly_names = no\n# friendly_name =\n");

	assert_string_equal(config.peers[0].friendly_name, "Zo\xc3\xab ?[31m = 2");
	cv_config_free(&config);
	config = parse_interface("# friendly_name = nobody\n[Peer]\nPublicKey = " KEY_B);
	assert_null(config.peers[0].friendly_name);
	cv_config_free(&config);
}

static void keepalive_may_be_off(void **state)
{
	struct cv_config config = parse_peer("PersistentKeepalive = OFF\n");

	assert_int_equal(config.peers[0].persistent_keepalive_s, 0);
	cv_config_free(&config);
	config = parse_peer("PersistentKeepalive = 65535\nAllowedIPs =\n");
	assert_int_equal(config.peers[0].persistent_keepalive_s, 65535);
	assert_int_equal(config.peers[0].n_allowed_ips, 0);
	cv_config_free(&config);
}

static void failure_leaves_the_config_untouched(void **state)
{
	struct cv_config config, before;
	struct cv_config_errors errors;

	memset(&config, 0x5a, sizeof(config));
	before = config;
	assert_int_equal(cv_config_parse("x", 1, &config, &errors), -EINVAL);
	assert_memory_equal(&config, &before, sizeof(config));
	cv_config_errors_free(&errors);
}

static void freed_config_is_as_new_and_may_be_freed_again(void **state)
{
	struct cv_config config = parse(good), fresh;

	cv_config_free(&config);
	cv_config_init(&fresh);
	assert_memory_equal(&config, &fresh, sizeof(config));
	cv_config_free(&config);
}

static int setup(void **state)
{
	return cv_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(example_of_wg_is_read),
		cmocka_unit_test(client_example_of_wg_quick_is_read),
		cmocka_unit_test(routing_example_of_wg_quick_is_read),
		cmocka_unit_test(empty_interface_means_everything_automatic),
		cmocka_unit_test(case_blanks_and_line_ends_do_not_matter),
		cmocka_unit_test(lists_may_repeat_and_be_split_by_blanks),
		cmocka_unit_test(hooks_keep_hashes_and_order),
		cmocka_unit_test(a_pool_lies_in_the_smallest_network_that_has_it),
		cmocka_unit_test(excluded_ips_are_in_order_and_disjoint),
		cmocka_unit_test(excluded_ips_leave_allowed_ips_alone),
		cmocka_unit_test(kill_switch_is_off_unless_asked_for),
		cmocka_unit_test(marks_and_tables_have_several_spellings),
		cmocka_unit_test(own_keys_count_plain_and_as_comments),
		cmocka_unit_test(offload_off_switches_all_off),
		cmocka_unit_test(extensions_are_switched_off_for_all_or_for_one),
		cmocka_unit_test(unknown_provider_is_refused),
		cmocka_unit_test(metrics_listen_is_an_address_and_a_port),
		cmocka_unit_test(endpoints_are_numeric_or_names_for_later),
		cmocka_unit_test(peers_have_names_in_comments),
		cmocka_unit_test(keepalive_may_be_off),
		cmocka_unit_test(failure_leaves_the_config_untouched),
		cmocka_unit_test(freed_config_is_as_new_and_may_be_freed_again),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
