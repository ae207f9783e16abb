/* What of a grant a file allows: each token by itself, and what is left goes into the config. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After the headers that it needs. */
#include <cmocka.h>

#include <convoy/config/grant.h>
#include <convoy/crypto/init.h>

#define AUTO                                                                       \
	"[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n" \
	"Address = auto\nDNS = auto, office.example\nRoutes = auto\n"
#define PEER                                                                 \
	"[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n" \
	"Endpoint = 192.0.2.1:1\n"
#define INSIDE     PEER "AllowedIPs = 10.8.0.0/16, fd08::/32\n"
#define EVERYTHING PEER "AllowedIPs = 0.0.0.0/0, ::/0\n"

static struct cv_config parsed(const char *text)
{
	struct cv_config_errors errors;
	struct cv_config config;

	assert_int_equal(cv_config_parse(text, strlen(text), &config, &errors), 0);
	cv_config_errors_free(&errors);
	return config;
}

static struct cv_prefix prefix(const char *text)
{
	struct cv_prefix prefix;

	assert_int_equal(cv_prefix_parse(text, &prefix), 0);
	return prefix;
}

/* "ADDRESS4 ADDRESS6 MTU dns ... routes ..." as far as it is there, and each refusal in brackets.
 */
static char *said;
static size_t said_size;
static FILE *out;

static void put_prefix(const struct cv_prefix *prefix)
{
	char text[CV_PREFIX_TEXT_MAX];

	if (prefix->addr.family)
		fprintf(out, "%s ", cv_prefix_format(prefix, text));
}

static void refused(void *arg, const char *what, const char *why)
{
	assert_ptr_equal(arg, &said);
	fprintf(out, "[%s: %s] ", what, why);
}

static void assert_admitted(const char *file, const struct cv_grant *grant, const char *expected)
{
	const struct cv_addr endpoint = prefix("192.0.2.1").addr;
	struct cv_config config = parsed(file);
	struct cv_grant admitted;
	char text[CV_ADDR_TEXT_MAX];

	out = open_memstream(&said, &said_size);
	assert_non_null(out);
	cv_config_admit(&config, grant, &endpoint, refused, &said, &admitted);
	put_prefix(&admitted.address4);
	put_prefix(&admitted.address6);
	if (admitted.mtu)
		fprintf(out, "%u ", admitted.mtu);
	for (size_t i = 0; i < admitted.dns_n; i++)
		fprintf(out, "%s ", cv_addr_format(&admitted.dns[i], text));
	for (size_t i = 0; i < admitted.routes_n; i++)
		put_prefix(&admitted.routes[i]);
	fclose(out);
	if (said_size > 0)
		said[said_size - 1] = '\0';
	assert_string_equal(said, expected);
	free(said);
	cv_config_free(&config);
}

static void assert_address(const char *file, const char *address, const char *expected)
{
	struct cv_grant grant = { 0 };

	if (strchr(address, ':'))
		grant.address6 = prefix(address);
	else
		grant.address4 = prefix(address);
	assert_admitted(file, &grant, expected);
}

static void assert_route(const char *file, const char *route, const char *expected)
{
	struct cv_grant grant = { .routes_n = 1, .routes = { prefix(route) } };

	assert_admitted(file, &grant, expected);
}

static void assert_mtu(const char *address, uint16_t mtu, const char *expected)
{
	struct cv_grant grant = { .mtu = mtu };

	if (strchr(address, ':'))
		grant.address6 = prefix(address);
	else
		grant.address4 = prefix(address);
	assert_admitted(AUTO INSIDE, &grant, expected);
}

static void an_address_is_one_of_a_host(void **state)
{
	static const char file[] = AUTO EVERYTHING;

	(void)state;
	assert_address(file, "10.8.0.7/24", "10.8.0.7/24");
	assert_address(file, "10.8.0.7/32", "10.8.0.7/32");
	assert_address(file, "10.8.0.6/31", "10.8.0.6/31");
	assert_address(file, "fd08::7/64", "fd08::7/64");
	assert_address(file, "fd08::6/127", "fd08::6/127");
	assert_address(file, "0.0.0.0/32", "[address 0.0.0.0/32: it is nobody's address]");
	assert_address(file, "0.1.2.3/32", "[address 0.1.2.3/32: it is nobody's address]");
	assert_address(file, "127.0.0.1/8", "[address 127.0.0.1/8: it is a loopback address]");
	assert_address(file, "169.254.1.1/24", "[address 169.254.1.1/24: it is link-local]");
	assert_address(file, "224.0.0.1/24", "[address 224.0.0.1/24: it is a multicast address]");
	assert_address(file, "255.255.255.255/32", "[address 255.255.255.255/32: it is reserved]");
	assert_address(file, "::/64", "[address ::/64: it is nobody's address]");
	assert_address(file, "::1/64", "[address ::1/64: it is a loopback address]");
	assert_address(file, "::ffff:10.8.0.7/128",
		       "[address ::ffff:10.8.0.7/128: it is an IPv4 address]");
	assert_address(file, "fe80::1/64", "[address fe80::1/64: it is link-local]");
	assert_address(file, "ff02::1/64", "[address ff02::1/64: it is a multicast address]");
}

static void a_network_is_of_a_sane_size_and_has_hosts(void **state)
{
	static const char file[] = AUTO EVERYTHING;

	(void)state;
	assert_address(file, "10.8.0.7/8", "10.8.0.7/8");
	assert_address(file, "10.8.0.7/7", "[address 10.8.0.7/7: a network has 8 to 32 bits]");
	assert_address(file, "10.8.0.7/0", "[address 10.8.0.7/0: a network has 8 to 32 bits]");
	assert_address(file, "fd08::7/48", "fd08::7/48");
	assert_address(file, "fd08::7/47", "[address fd08::7/47: a network has 48 to 128 bits]");
	assert_address(file, "10.8.0.0/24",
		       "[address 10.8.0.0/24: it is the network's address, not a host's]");
	assert_address(file, "10.8.0.255/24",
		       "[address 10.8.0.255/24: it is the network's address, not a host's]");
	assert_address(file, "fd08::/64",
		       "[address fd08::/64: it is the network's address, not a host's]");
	assert_address(file, "fd08::ffff:ffff:ffff:ffff/64", "fd08::ffff:ffff:ffff:ffff/64");
}

static void an_address_leads_no_network_in_that_the_file_does_not(void **state)
{
	(void)state;
	assert_address(AUTO INSIDE, "10.8.0.7/24", "10.8.0.7/24");
	assert_address(AUTO INSIDE, "10.8.0.7/15",
		       "[network of 10.8.0.7/15: AllowedIPs do not have it; the address is taken "
		       "alone] 10.8.0.7/32");
	assert_address(AUTO INSIDE, "192.168.1.7/24",
		       "[network of 192.168.1.7/24: AllowedIPs do not have it; the address is "
		       "taken alone] 192.168.1.7/32");
	assert_address(AUTO INSIDE, "fd09::7/64",
		       "[network of fd09::7/64: AllowedIPs do not have it; the address is taken "
		       "alone] fd09::7/128");
	assert_address(AUTO INSIDE, "192.168.1.7/32", "192.168.1.7/32");
}

static void the_way_to_the_peer_does_not_lead_into_the_tunnel(void **state)
{
	(void)state;
	assert_address(AUTO EVERYTHING, "192.0.2.1/32",
		       "[address 192.0.2.1/32: it is the peer's endpoint]");
	assert_address(AUTO EVERYTHING, "192.0.2.7/24",
		       "[network of 192.0.2.7/24: the peer's endpoint is in it; the address is "
		       "taken alone] 192.0.2.7/32");
	assert_route(AUTO EVERYTHING, "192.0.0.0/8",
		     "[route 192.0.0.0/8: the peer's endpoint is in it]");
	assert_route(AUTO EVERYTHING, "128.0.0.0/1",
		     "[route 128.0.0.0/1: the peer's endpoint is in it]");
	assert_route(AUTO EVERYTHING, "0.0.0.0/0", "0.0.0.0/0");
	assert_route(AUTO "Table = 7\n" EVERYTHING, "0.0.0.0/0",
		     "[route 0.0.0.0/0: the peer's endpoint is in it]");
}

static void a_route_lies_within_allowed_ips(void **state)
{
	(void)state;
	assert_route(AUTO INSIDE, "10.8.0.0/16", "10.8.0.0/16");
	assert_route(AUTO INSIDE, "10.8.3.4/24", "10.8.3.0/24");
	assert_route(AUTO INSIDE, "fd08:0:7::/48", "fd08:0:7::/48");
	assert_route(AUTO INSIDE, "10.8.0.0/15", "[route 10.8.0.0/15: AllowedIPs do not have it]");
	assert_route(AUTO INSIDE, "0.0.0.0/0", "[route 0.0.0.0/0: AllowedIPs do not have it]");
	assert_route(AUTO INSIDE, "::/0", "[route ::/0: AllowedIPs do not have it]");
	assert_route(AUTO EVERYTHING, "::/0", "::/0");
	assert_route(AUTO EVERYTHING, "224.0.0.0/8",
		     "[route 224.0.0.0/8: it is a multicast address]");
	assert_route(AUTO EVERYTHING, "fe80::/64", "[route fe80::/64: it is link-local]");
}

static void name_servers_are_hosts(void **state)
{
	const struct cv_grant grant = {
		.dns_n = 3,
		.dns = { prefix("127.0.0.53").addr, prefix("10.8.0.1").addr,
			 prefix("ff02::1").addr },
	};

	(void)state;
	assert_admitted(AUTO INSIDE, &grant,
			"[name server 127.0.0.53/32: it is a loopback address] "
			"[name server ff02::1/128: it is a multicast address] 10.8.0.1");
}

static void an_mtu_is_one_that_the_addresses_bear(void **state)
{
	(void)state;
	assert_mtu("10.8.0.7/24", 576, "10.8.0.7/24 576");
	assert_mtu("10.8.0.7/24", 575, "[MTU 575: it is at least 576] 10.8.0.7/24");
	assert_mtu("10.8.0.7/24", 0, "10.8.0.7/24");
	assert_mtu("10.8.0.7/24", 65535, "10.8.0.7/24 65535");
	assert_mtu("fd08::7/64", 1280, "fd08::7/64 1280");
	assert_mtu("fd08::7/64", 1279, "[MTU 1279: with IPv6 it is at least 1280] fd08::7/64");
}

/* As of a tunnel's process that somebody took over: the keeper judges such. */
static void what_no_frame_could_hold_is_refused(void **state)
{
	struct cv_config config = parsed(AUTO EVERYTHING);
	struct cv_grant grant, admitted;

	(void)state;
	memset(&grant, 0xff, sizeof(grant));
	cv_config_admit(&config, &grant, NULL, NULL, NULL, &admitted);
	assert_false(cv_grant_has_address(&admitted));
	assert_int_equal(admitted.dns_n, 0);
	assert_int_equal(admitted.routes_n, 0);
	cv_config_free(&config);
}

static const struct cv_grant *whole(void)
{
	static struct cv_grant grant;

	grant = (struct cv_grant){ .address4 = prefix("10.8.0.7/24"),
				   .address6 = prefix("fd08::7/64"),
				   .mtu = 1300,
				   .dns_n = 1,
				   .dns = { prefix("10.8.0.1").addr },
				   .routes_n = 1,
				   .routes = { prefix("10.8.3.0/24") } };
	return &grant;
}

static void what_the_file_does_not_ask_for_is_left_out(void **state)
{
	static const char file[] =
		"[Interface]\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n"
		"Address = auto\nDNS = 9.9.9.9\nMTU = 1400\n" INSIDE;
	struct cv_config config = parsed(file);

	(void)state;
	assert_admitted(file, whole(), "10.8.0.7/24 fd08::7/64");
	assert_int_equal(cv_config_hand_over(&config, whole()), 0);
	assert_int_equal(config.n_dns, 1);
	assert_true(cv_addr_equal(config.dns, &(struct cv_addr){ 2, { 9, 9, 9, 9 } }));
	cv_config_forget_grant(&config);
	assert_int_equal(config.n_dns, 1);
	cv_config_free(&config);
}

static void count(void *arg, const struct cv_prefix *prefix)
{
	++*(size_t *)arg;
}

static size_t routes_of(const struct cv_config *config)
{
	size_t n = 0;

	cv_config_each_route(config, count, &n);
	return n;
}

static void a_grant_stands_in_the_place_of_auto_until_it_is_forgotten(void **state)
{
	struct cv_config config = parsed(AUTO INSIDE);

	(void)state;
	assert_int_equal(routes_of(&config), 0);
	assert_int_equal(cv_config_hand_over(&config, whole()), 0);
	assert_int_equal(config.n_addresses, 2);
	assert_true(cv_prefix_equal(&config.addresses[1], &whole()->address6));
	assert_int_equal(config.n_dns, 1);
	assert_int_equal(config.n_dns_search, 1);
	assert_int_equal(routes_of(&config), 1);
	assert_int_equal(config.mtu_most, 1300);
	assert_int_equal(config.mtu, 0);
	cv_config_forget_grant(&config);
	assert_int_equal(config.n_addresses + config.n_dns + routes_of(&config), 0);
	assert_int_equal(config.mtu_most, 0);
	cv_config_free(&config);
}

static void a_grant_is_not_printed(void **state)
{
	static char before[4096], after[4096];
	struct cv_config config = parsed(AUTO INSIDE);

	(void)state;
	assert_true(cv_config_print(&config, before, sizeof(before)) < sizeof(before));
	assert_non_null(strstr(before, "Address = auto\nDNS = auto\nDNS = office.example\n"));
	assert_non_null(strstr(before, "# convoy: Routes = auto\n"));
	assert_int_equal(cv_config_hand_over(&config, whole()), 0);
	cv_config_print(&config, after, sizeof(after));
	assert_string_equal(after, before);
	cv_config_free(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_one_of_a_host),
		cmocka_unit_test(a_network_is_of_a_sane_size_and_has_hosts),
		cmocka_unit_test(an_address_leads_no_network_in_that_the_file_does_not),
		cmocka_unit_test(the_way_to_the_peer_does_not_lead_into_the_tunnel),
		cmocka_unit_test(a_route_lies_within_allowed_ips),
		cmocka_unit_test(name_servers_are_hosts),
		cmocka_unit_test(an_mtu_is_one_that_the_addresses_bear),
		cmocka_unit_test(what_no_frame_could_hold_is_refused),
		cmocka_unit_test(what_the_file_does_not_ask_for_is_left_out),
		cmocka_unit_test(a_grant_stands_in_the_place_of_auto_until_it_is_forgotten),
		cmocka_unit_test(a_grant_is_not_printed),
	};

	if (cv_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
