/* The tables as nft itself takes them: what they say, that they are replaced whole, and that they
 * go. What they let through is the business of tests/e2e/test_killswitch.py. */
#include "world.h"

#define SWITCH "nft list table inet convoy-killswitch-wg0"
#define GUARD  "nft list table inet convoy-guard-wg0"

#define SRC_VALID_MARK "/proc/sys/net/ipv4/conf/all/src_valid_mark"

static struct cv_host_state firewall;
static int alive;

static int setup(void **state)
{
	return enter(state) || cv_host_state_open("wg0", &firewall, &alive);
}

static int teardown(void **state)
{
	cv_host_state_close(&firewall);
	close(alive);
	return 0;
}

static void install(const char *interface, const char *peer, bool asking)
{
	struct cv_config config;

	config_of(&config, interface, peer);
	assert_int_equal(cv_killswitch_install(&firewall, &config, asking), 0);
	cv_config_free(&config);
}

static void set_src_valid_mark(const char *digit)
{
	int fd = open(SRC_VALID_MARK, O_WRONLY | O_CLOEXEC);

	assert_int_equal(write(fd, digit, 1), 1);
	close(fd);
}

static void mark_follows_from_name_or_file(void **state)
{
	struct cv_config config;
	uint32_t mark;

	config_of(&config, "KillSwitch = yes\n", "");
	mark = cv_host_mark(&config);
	assert_int_equal(mark & 0xffffc000, 0x43560000);
	assert_int_equal(cv_host_mark(&config), mark);
	strcpy(config.name, "wg1");
	assert_int_not_equal(cv_host_mark(&config), mark);
	cv_config_free(&config);
	config_of(&config, "KillSwitch = yes\nFwMark = 0x77\n", "");
	assert_int_equal(cv_host_mark(&config), 0x77);
	cv_config_free(&config);
	config_of(&config, "FwMark = 0x77\n", "");
	assert_int_equal(cv_host_mark(&config), 0);
	cv_config_free(&config);
}

static void least_switch_lets_out_tunnel_mark_and_network_itself(void **state)
{
	const char *table;

	install("KillSwitch = yes\nFwMark = 0x77\n", "", false);
	table = output(SWITCH);
	assert_shows(table, "type filter hook output priority 300; policy drop;");
	assert_shows(table, "type filter hook forward priority 300; policy drop;");
	assert_shows(table, "oifname \"wg0\" accept");
	assert_shows(table, "oifname \"lo\" accept");
	assert_shows(table, "meta mark 0x00000077 accept");
	assert_shows(table, "udp sport 68 udp dport 67 accept");
	assert_hides(table, "192.168.0.0/16");
	assert_hides(table, "dport 53");
	assert_true(firewall.kill_switch);
	assert_int_equal(cv_killswitch_remove(&firewall), 0);
	assert_string_equal(output("nft list ruleset"), "");
	assert_true(cv_host_state_is_clean(&firewall));
}

static void lan_is_what_is_private_and_not_the_tunnels(void **state)
{
	const char *table;

	install("KillSwitch = yes\nKillSwitchAllowLan = yes\nAddress = 10.77.0.1/24\n",
		"AllowedIPs = 0.0.0.0/0, ::/0, 10.77.0.0/16, 192.168.7.0/24, fd77::/64\n", false);
	table = output(SWITCH);
	assert_shows(table, "ip daddr { 10.77.0.0/16, 192.168.7.0/24 } drop");
	assert_shows(table, "ip6 daddr fd77::/64 drop"); /* as nft prints a set of one */
	assert_shows(table, "10.0.0.0/8");
	assert_shows(table, "fc00::/7");
	assert_hides(table, "0.0.0.0/0");
	assert_hides(table, "dport 53");
}

static void lan_gets_no_dns_when_the_tunnel_has_dns(void **state)
{
	install("KillSwitch = yes\nKillSwitchAllowLan = yes\nDNS = 9.9.9.9\n", "", false);
	assert_shows(output(SWITCH), " th dport 53 drop");
}

static void names_are_asked_for_at_the_servers_of_the_host(void **state)
{
	write_file("/etc/resolv.conf", "nameserver 192.0.2.53\nnameserver 127.0.0.1\n", 0644);
	install("KillSwitch = yes\n", "Endpoint = vpn.example.com:51820\n", true);
	assert_shows(output(SWITCH), "\t\tip daddr 192.0.2.53 meta l4proto ");
	assert_shows(output(SWITCH), " th dport 53 accept");
	install("KillSwitch = yes\n", "Endpoint = vpn.example.com:51820\n", false);
	assert_hides(output(SWITCH), "dport 53");
	/* Only a cache on this host is known: whom it asks nobody told us. */
	write_file("/etc/resolv.conf", "nameserver 127.0.0.1\n", 0644);
	install("KillSwitch = yes\n", "Endpoint = vpn.example.com:51820\n", true);
	assert_hides(output(SWITCH), "192.0.2.53");
	assert_shows(output(SWITCH), " th dport 53 accept");
}

static void excluded_prefixes_of_any_number_fit(void **state)
{
	char *interface = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&interface, &size);

	fputs("KillSwitch = yes\n", out);
	for (int i = 0; i < 8000; i++)
		fprintf(out, "ExcludeIPs = %d.%d.0.0/18, 2001:db8:%x::/48\n", 11 + i / 256, i % 256,
			2 * i);
	fputs("ExcludeIPs = 1.2.3.4/8, 1.0.0.0/9\n", out); /* one in the other */
	fclose(out);
	install(interface, "", false);
	assert_shows(output(SWITCH), "1.0.0.0/8");
	assert_shows(output(SWITCH), "2001:db8:3e7e::/48");
	free(interface);
}

static void everything_may_be_excluded(void **state)
{
	install("KillSwitch = yes\nExcludeIPs = 0.0.0.0/0, ::/0\n", "", false);
}

/* A table that nft refuses leaves the one before it as it is. */
static void failure_leaves_the_old_table(void **state)
{
	install("KillSwitch = yes\nFwMark = 0x77\n", "", false);
	listen_to_log();
	assert_int_equal(cv_nft_replace("killswitch", "wg0", "\tnonsense\n"), -EIO);
	assert_shows(said(), "wg0: nft: /dev/stdin:4:2-9: Error: ");
	assert_shows(output(SWITCH), "meta mark 0x00000077 accept");
}

static void every_name_of_an_interface_makes_a_name_of_a_table(void **state)
{
	static const char *const names[] = { "wg0", "a=b+c", "-", "_.x", "0", "killswitch-wg0" };
	char name[96];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(cv_nft_replace("guard", names[i], ""), 0);
		assert_int_equal(cv_nft_replace("killswitch", names[i], ""), 0);
	}
	cv_nft_name("guard", "a=b+c", name);
	assert_string_equal(name, "convoy-guard-a/3db/2bc");
	assert_string_equal(output("nft list tables | wc -l"), "12\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(cv_nft_replace("guard", names[i], NULL), 0);
		assert_int_equal(cv_nft_replace("killswitch", names[i], NULL), 0);
	}
	assert_string_equal(output("nft list tables"), "");
}

static void guard_keeps_addresses_and_mark(void **state)
{
	struct cv_config config;
	const char *table;

	config_of(&config, "Address = 10.77.0.1/24, fd77::1/64\n", "");
	set_src_valid_mark("0");
	cv_guard_install(&firewall, &config, 0xca6c);
	table = output(GUARD);
	assert_shows(table,
		     "iifname != \"wg0\" ip daddr 10.77.0.1 fib saddr type != local counter");
	assert_shows(table, "iifname != \"wg0\" ip6 daddr fd77::1 fib saddr type != local counter");
	assert_shows(table, " meta mark 0x0000ca6c ct mark set ");
	assert_shows(table, " ct mark 0x0000ca6c meta mark set ");
	assert_string_equal(read_file(SRC_VALID_MARK), "1\n");
	/* Again, as a reload does: what was before is still remembered. */
	cv_guard_install(&firewall, &config, 0xca6d);
	assert_shows(output(GUARD), "0x0000ca6d");
	cv_guard_remove(&firewall);
	assert_string_equal(read_file(SRC_VALID_MARK), "0\n");
	assert_string_equal(output("nft list ruleset"), "");
	assert_true(cv_host_state_is_clean(&firewall));
	cv_config_free(&config);
}

static void switch_that_was_on_stays_on(void **state)
{
	struct cv_config config;

	config_of(&config, "", "");
	set_src_valid_mark("1");
	cv_guard_install(&firewall, &config, 0xca6c);
	cv_guard_remove(&firewall);
	assert_string_equal(read_file(SRC_VALID_MARK), "1\n");
	cv_config_free(&config);
}

static void without_nft_there_is_no_guard_but_a_warning(void **state)
{
	struct cv_config config;

	config_of(&config, "", "");
	setenv("PATH", "/nowhere", 1);
	listen_to_log();
	cv_guard_install(&firewall, &config, 0xca6c);
	assert_shows(said(), "package nftables");
	assert_shows(said(), "warn: wg0: no guard for the addresses of the tunnel, ignoring\n");
	assert_false(firewall.guard);
	cv_guard_remove(&firewall);
	cv_config_free(&config);
}

static void without_nft_there_is_no_kill_switch_and_an_error(void **state)
{
	struct cv_config config;

	config_of(&config, "KillSwitch = yes\n", "");
	setenv("PATH", "/nowhere", 1);
	listen_to_log();
	assert_int_equal(cv_killswitch_install(&firewall, &config, false), -ENOENT);
	assert_shows(said(), "package nftables");
	assert_shows(said(), "err: wg0: the kill switch could not be set\n");
	assert_false(firewall.kill_switch);
	cv_config_free(&config);
}

#define FIREWALL(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIREWALL(mark_follows_from_name_or_file),
		FIREWALL(least_switch_lets_out_tunnel_mark_and_network_itself),
		FIREWALL(lan_is_what_is_private_and_not_the_tunnels),
		FIREWALL(lan_gets_no_dns_when_the_tunnel_has_dns),
		FIREWALL(names_are_asked_for_at_the_servers_of_the_host),
		FIREWALL(excluded_prefixes_of_any_number_fit),
		FIREWALL(everything_may_be_excluded),
		FIREWALL(failure_leaves_the_old_table),
		FIREWALL(every_name_of_an_interface_makes_a_name_of_a_table),
		FIREWALL(guard_keeps_addresses_and_mark),
		FIREWALL(switch_that_was_on_stays_on),
		FIREWALL(without_nft_there_is_no_guard_but_a_warning),
		FIREWALL(without_nft_there_is_no_kill_switch_and_an_error),
	};

	RUN(tests);
}
