/* The interface on the host from one config to another, seen with ip(8) beside a second link. */
#include "../netlink/ns.h"
#include "pair.h"

enum { ALL = 4096 };

/* The device under test; cva of ns.h is the LAN, 192.168.9.1/24. */
struct scene {
	struct cv_loop *loop;
	struct cv_config config;
	struct cv_device *device;
};

/* "Address = 10.0.0.1/24\n[Peer]..." behind what every config has. */
static struct cv_config config_with(const char *text)
{
	struct cv_key one = private_key(1);
	char all[2 * ALL], key[CV_KEY_BASE64_LEN + 1];

	snprintf(all, sizeof(all), "[Interface]\nPrivateKey = %s\n%s", cv_key_to_base64(&one, key),
		 text);
	return config_of("cvt0", all);
}

static void __attribute__((format(printf, 2, 3))) print(char text[ALL], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	assert_true(vsnprintf(text, ALL, format, args) < ALL);
	va_end(args);
}

/* "[Peer]" with the public key of this byte. */
static const char *peer(uint8_t byte)
{
	static char text[4][128];
	static int next;
	char base64[CV_KEY_BASE64_LEN + 1];
	struct cv_key key = public_key(byte);

	next = (next + 1) % 4;
	snprintf(text[next], sizeof(text[next]), "[Peer]\nPublicKey = %s\n",
		 cv_key_to_base64(&key, base64));
	return text[next];
}

static void start(struct scene *scene, const char *text)
{
	static const struct cv_device_options options = { .tun_fd = -1 };

	scene->config = config_with(text);
	assert_int_equal(cv_device_new(&scene->config, &options, scene->loop, &scene->device), 0);
}

static void change_to(struct scene *scene, const char *text)
{
	struct cv_config to = config_with(text);

	assert_int_equal(cv_device_change_host(scene->device, &scene->config, &to), 0);
	cv_config_free(&scene->config);
	scene->config = to;
}

static int scene_open(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct cv_prefix lan;

	if (enter(state) < 0)
		return -1;
	lan = prefix("192.168.9.1/24");
	assert_int_equal(cv_link_set_up(nl, tun_a, true), 0);
	assert_int_equal(cv_link_add_addr(nl, tun_a, &lan), 1);
	assert_int_equal(cv_loop_new(CV_LOOP_AUTO, &scene->loop), 0);
	*state = scene;
	return 0;
}

static int scene_close(void **state)
{
	struct scene *scene = *state;

	cv_device_free(scene->device);
	cv_config_free(&scene->config);
	cv_loop_free(scene->loop);
	free(scene);
	return leave(state);
}

/* Through which link a packet would go, 0 for nowhere. */
static uint32_t way_to(const char *address, uint32_t mark)
{
	struct cv_addr addr;
	struct cv_hop hop;

	assert_int_equal(cv_addr_parse(address, &addr), 0);
	return cv_fib_lookup(nl, &addr, mark, &hop) == 0 ? hop.ifindex : 0;
}

static void addresses_go_and_come_and_those_that_stay_stay(void **state)
{
	struct scene *scene = *state;

	/* .2 is secondary to .1, with which the kernel takes it away. */
	start(scene, "Address = 10.1.0.1/24, 10.1.0.2/24, fd01::1/64\n");
	assert_shows("ip addr show dev cvt0", "10.1.0.1/24");
	change_to(scene, "Address = 10.1.0.2/24, 10.2.0.1/24, fd01::1/56\n");
	assert_hides("ip addr show dev cvt0", "10.1.0.1/24");
	assert_shows("ip addr show dev cvt0", "10.1.0.2/24");
	assert_shows("ip addr show dev cvt0", "10.2.0.1/24");
	assert_hides("ip addr show dev cvt0", "fd01::1/64");
	assert_shows("ip addr show dev cvt0", "fd01::1/56");
	change_to(scene, "");
	assert_hides("ip addr show dev cvt0", "inet");
}

static void routes_follow_the_allowed_ips(void **state)
{
	struct scene *scene = *state;
	uint32_t ours;
	char text[ALL];

	print(text,
	      "Address = 10.0.0.1/32\n%sAllowedIPs = 10.2.0.0/16, fd02::/64\n"
	      "%sAllowedIPs = 10.3.0.0/16\n",
	      peer(2), peer(3));
	start(scene, text);
	ours = scene->device->iface.ifindex;
	assert_int_equal(way_to("10.2.0.1", 0), ours);
	assert_int_equal(way_to("10.3.0.1", 0), ours);
	assert_int_equal(way_to("fd02::1", 0), ours);
	print(text, "Address = 10.0.0.1/32\n%sAllowedIPs = 10.3.0.0/16, 10.4.0.0/16\n", peer(2));
	change_to(scene, text);
	assert_int_equal(way_to("10.2.0.1", 0), 0);
	assert_int_equal(way_to("10.3.0.1", 0), ours);
	assert_int_equal(way_to("10.4.0.1", 0), ours);
	assert_int_equal(way_to("fd02::1", 0), 0);
}

static void what_both_configs_have_is_not_touched(void **state)
{
	struct scene *scene = *state;
	struct cv_prefix gone = prefix("10.2.0.0/16");
	char text[ALL];

	print(text, "Address = 10.0.0.1/32\n%sAllowedIPs = 10.2.0.0/16\n", peer(2));
	start(scene, text);
	assert_int_equal(cv_fib_delete(nl, &gone, scene->device->iface.ifindex, 254), 0);
	assert_int_equal(cv_link_set_mtu(nl, scene->device->iface.ifindex, 1300), 0);
	print(text, "Address = 10.0.0.1/32\n%sAllowedIPs = 10.2.0.0/16, 10.3.0.0/16\n", peer(2));
	change_to(scene, text);
	assert_int_equal(way_to("10.2.0.1", 0), 0);
	assert_int_equal(way_to("10.3.0.1", 0), scene->device->iface.ifindex);
	assert_shows("ip link show dev cvt0", "mtu 1300");
}

static void routes_survive_the_addresses_that_brought_them_along(void **state)
{
	struct scene *scene = *state;
	char text[ALL];

	print(text, "Address = 10.1.0.1/24\n%sAllowedIPs = 10.1.0.0/24, 10.3.0.0/16\n", peer(2));
	start(scene, text);
	/* Its last IPv4 address takes every IPv4 route of a link away. */
	print(text, "Address = fd01::1/64\n%sAllowedIPs = 10.1.0.0/24, 10.3.0.0/16\n", peer(2));
	change_to(scene, text);
	assert_int_equal(way_to("10.1.0.5", 0), scene->device->iface.ifindex);
	assert_int_equal(way_to("10.3.0.5", 0), scene->device->iface.ifindex);
}

static void routes_move_from_table_to_table(void **state)
{
	struct scene *scene = *state;
	char text[ALL];

	print(text, "Table = 100\n%sAllowedIPs = 10.3.0.0/16, 0.0.0.0/0\n", peer(2));
	start(scene, text);
	assert_shows("ip route show table 100", "10.3.0.0/16 dev cvt0");
	assert_shows("ip route show table 100", "default dev cvt0");
	print(text, "Table = 101\n%sAllowedIPs = 10.3.0.0/16, 0.0.0.0/0\n", peer(2));
	change_to(scene, text);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET, 100), 1);
	assert_shows("ip route show table 101", "10.3.0.0/16 dev cvt0");
	print(text, "Table = off\n%sAllowedIPs = 10.3.0.0/16, 0.0.0.0/0\n", peer(2));
	change_to(scene, text);
	assert_int_equal(cv_fib_is_empty(nl, AF_INET, 101), 1);
	assert_hides("ip rule", "51820");
}

static void a_default_route_comes_with_rules_and_goes_with_them(void **state)
{
	struct scene *scene = *state;
	uint32_t ours;
	char text[ALL], some[ALL];

	print(some, "Address = 10.0.0.1/32\n%sAllowedIPs = 10.3.0.0/16\n", peer(2));
	start(scene, some);
	ours = scene->device->iface.ifindex;
	assert_int_equal(way_to("198.51.100.1", 0), 0);
	print(text, "Address = 10.0.0.1/32\n%sAllowedIPs = 10.3.0.0/16, 0.0.0.0/0\n", peer(2));
	change_to(scene, text);
	assert_int_equal(way_to("198.51.100.1", 0), ours);
	assert_int_equal(way_to("198.51.100.1", 51820), 0); /* our own datagrams stay out */
	assert_int_equal(way_to("192.168.9.7", 0), tun_a);  /* the main table has its say */
	assert_int_equal(show(scene->device).fwmark, 51820);
	assert_hides("ip -6 rule", "51820");
	print(text, "Address = 10.0.0.1/32\n%sAllowedIPs = 10.3.0.0/16, ::/0\n", peer(2));
	change_to(scene, text);
	assert_hides("ip rule", "51820");
	assert_shows("ip -6 rule", "51820");
	assert_int_equal(show(scene->device).fwmark, 51820);
	change_to(scene, some);
	assert_hides("ip rule", "suppress");
	assert_hides("ip -6 rule", "51820");
	assert_int_equal(cv_fib_is_empty(nl, AF_INET, 51820), 1);
	assert_int_equal(show(scene->device).fwmark, 0);
	assert_int_equal(way_to("10.3.0.1", 0), ours);
}

static void a_mark_of_the_users_own_replaces_one_that_was_chosen(void **state)
{
	struct scene *scene = *state;
	uint32_t ours;
	char text[ALL], marked[ALL];

	print(text, "Address = 10.0.0.1/32\n%sAllowedIPs = 0.0.0.0/0\n", peer(2));
	start(scene, text);
	ours = scene->device->iface.ifindex;
	print(marked, "FwMark = 0x77\n%s", text);
	change_to(scene, marked);
	assert_int_equal(show(scene->device).fwmark, 0x77);
	assert_int_equal(way_to("198.51.100.1", 0), ours);
	assert_int_equal(way_to("198.51.100.1", 0x77), 0);
	assert_int_equal(way_to("192.168.9.7", 0), tun_a);
	assert_hides("ip rule", "51820");
	assert_int_equal(cv_fib_is_empty(nl, AF_INET, 51820), 1);
	change_to(scene, text);
	assert_int_equal(show(scene->device).fwmark, 51820);
	assert_hides("ip rule", "0x77");
	/* What is there at the end goes with us. */
	cv_device_free(scene->device);
	scene->device = NULL;
	assert_hides("ip rule", "51820");
	assert_hides("ip rule", "suppress");
}

static void excluded_networks_have_no_route_until_they_are_not(void **state)
{
	struct scene *scene = *state;
	char text[ALL], without[ALL];
	uint32_t ours;

	print(text, "Address = 10.0.0.1/32\n%sAllowedIPs = 0.0.0.0/0, 10.3.0.0/16\n", peer(2));
	print(without, "# convoy: ExcludeIPs = 10.3.7.0/24, 198.51.100.0/24\n%s", text);
	start(scene, without);
	ours = scene->device->iface.ifindex;
	assert_int_equal(way_to("10.3.7.1", 0), 0);
	assert_int_equal(way_to("10.3.8.1", 0), ours);
	assert_int_equal(way_to("198.51.100.1", 0), 0);
	assert_int_equal(way_to("198.51.101.1", 0), ours);
	change_to(scene, text);
	assert_int_equal(way_to("10.3.7.1", 0), ours);
	assert_int_equal(way_to("198.51.100.1", 0), ours);
	assert_shows("ip route show table 51820", "default dev cvt0");
	assert_hides("ip route show table 51820", "/");
}

static void an_automatic_mtu_follows_the_paths_to_the_endpoints(void **state)
{
	struct scene *scene = *state;
	char none[ALL], some[ALL], fixed[ALL], more[ALL];

	assert_int_equal(cv_link_set_mtu(nl, tun_a, 1300), 0);
	set_link("lo", true);
	print(none, "Address = 10.0.0.1/32\n%s", peer(2));
	print(some, "%sEndpoint = 192.168.9.7:1\n", none);
	print(fixed, "MTU = 1400\n%s", some);
	start(scene, none);
	assert_int_equal(show(scene->device).mtu, 1420);
	change_to(scene, some);
	assert_int_equal(show(scene->device).mtu, 1220);
	assert_shows("ip link show dev cvt0", "mtu 1220");
	assert_int_equal(scene->device->plane.mtu, 1220);
	change_to(scene, fixed);
	assert_int_equal(show(scene->device).mtu, 1400);
	change_to(scene, some);
	assert_int_equal(show(scene->device).mtu, 1220);
	/* The narrow path counts as long as one endpoint is behind it. */
	print(more,
	      "%sEndpoint = 192.168.9.7:1\n%sEndpoint = 192.168.9.8:1\n%sEndpoint = 127.0.0.1:1\n",
	      none, peer(3), peer(4));
	change_to(scene, more);
	assert_int_equal(show(scene->device).mtu, 1220);
	print(more, "%sEndpoint = 127.0.0.1:1\n%sEndpoint = 192.168.9.8:1\n", none, peer(3));
	change_to(scene, more);
	assert_int_equal(show(scene->device).mtu, 1220);
	change_to(scene, none);
	assert_int_equal(show(scene->device).mtu, 1420);
}

static void a_bare_interface_is_left_alone(void **state)
{
	static const struct cv_device_options options = { .bare = true, .tun_fd = -1 };
	struct scene *scene = *state;
	char text[ALL];

	print(text, "Address = 10.0.0.1/32\n%sAllowedIPs = 0.0.0.0/0\n", peer(2));
	scene->config = config_with(text);
	assert_int_equal(cv_device_new(&scene->config, &options, scene->loop, &scene->device), 0);
	assert_hides("ip addr show dev cvt0", "inet");
	assert_hides("ip rule", "51820");
	assert_hides("ip link show dev cvt0", "UP");
	change_to(scene, "Address = 10.0.0.2/32\n");
	assert_hides("ip addr show dev cvt0", "inet");
}

#undef CASE
#define CASE(name) cmocka_unit_test_setup_teardown(name, scene_open, scene_close)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(addresses_go_and_come_and_those_that_stay_stay),
		CASE(routes_follow_the_allowed_ips),
		CASE(what_both_configs_have_is_not_touched),
		CASE(routes_survive_the_addresses_that_brought_them_along),
		CASE(routes_move_from_table_to_table),
		CASE(a_default_route_comes_with_rules_and_goes_with_them),
		CASE(a_mark_of_the_users_own_replaces_one_that_was_chosen),
		CASE(excluded_networks_have_no_route_until_they_are_not),
		CASE(an_automatic_mtu_follows_the_paths_to_the_endpoints),
		CASE(a_bare_interface_is_left_alone),
	};

	if (geteuid() != 0 || !is_able())
		return SKIPPED;
	if (cv_crypto_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
