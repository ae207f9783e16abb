/* DNS by each of its three means, with programs that write down how they were called. */
#include "world.h"

#define RESOLV "/etc/resolv.conf"
#define BACKUP RESOLV ".before-wg0"
#define BEFORE "# of the host\nnameserver 192.0.2.53\noptions edns0\n"

static struct cv_host_state dns;
static struct cv_config config;
static int alive;

static int setup(void **state)
{
	if (enter(state))
		return -1;
	if (cv_host_state_open("wg0", &dns, &alive) < 0)
		return -1;
	config_of(&config, "DNS = 10.77.0.1, fd77::1, corp.example, example.com\n", "");
	setenv("PATH", FAKES ":/usr/bin:/bin", 1);
	write_file(RESOLV, BEFORE, 0644);
	listen_to_log();
	return 0;
}

static int teardown(void **state)
{
	cv_host_state_close(&dns);
	close(alive);
	cv_config_free(&config);
	return 0;
}

static void set(void)
{
	assert_int_equal(cv_dns_set(&dns, &config), 0);
}

static void resolved_is_asked_where_it_runs(void **state)
{
	assert_int_equal(mkdir("/run/systemd", 0755), 0);
	assert_int_equal(mkdir("/run/systemd/resolve", 0755), 0);
	make_fake("resolvectl");
	make_fake("resolvconf");
	set();
	assert_string_equal(read_file(CALLS),
			    "resolvectl -- dns wg0 10.77.0.1 fd77::1\n"
			    "resolvectl -- domain wg0 corp.example example.com ~.\n"
			    "resolvectl -- default-route wg0 yes\n");
	assert_string_equal(read_file(RESOLV), BEFORE);
	/* The link is gone, so there is nothing that resolved would remember. */
	cv_dns_restore(&dns);
	assert_hides(read_file(CALLS), "revert");
	assert_true(cv_host_state_is_clean(&dns));
}

static void resolved_forgets_a_link_that_stays(void **state)
{
	strcpy(config.name, "lo");
	strcpy(dns.name, "lo");
	assert_int_equal(mkdir("/run/systemd", 0755), 0);
	assert_int_equal(mkdir("/run/systemd/resolve", 0755), 0);
	make_fake("resolvectl");
	set();
	cv_dns_restore(&dns);
	assert_shows(read_file(CALLS), "resolvectl -- revert lo\n");
}

static void resolvectl_alone_is_not_resolved(void **state)
{
	make_fake("resolvectl");
	set();
	assert_string_equal(read_file(CALLS), "");
	assert_int_equal(dns.dns, CV_HOST_DNS_FILE);
}

static void resolvconf_gets_the_text_on_stdin(void **state)
{
	make_fake("resolvconf");
	set();
	assert_string_equal(read_file(CALLS), "resolvconf -a wg0 -m 0 -x\n"
					      "< nameserver 10.77.0.1\n"
					      "< nameserver fd77::1\n"
					      "< search corp.example example.com\n");
	unlink(CALLS);
	cv_dns_restore(&dns);
	assert_string_equal(read_file(CALLS), "resolvconf -d wg0 -f\n");
	assert_string_equal(read_file(RESOLV), BEFORE);
}

static void resolvconf_of_debian_wants_a_prefix(void **state)
{
	make_fake("resolvconf");
	assert_int_equal(mkdir("/etc/resolvconf", 0755), 0);
	write_file("/etc/resolvconf/interface-order",
		   "lo.inet6\nlo.@(dnsmasq|pdnsd)\nlo\ntun*\ntap*\n", 0644);
	set();
	assert_shows(read_file(CALLS), "resolvconf -a tun.wg0 -m 0 -x\n");
}

static void failure_of_the_means_is_an_error(void **state)
{
	write_file(FAKES "/resolvconf", "#!/bin/sh\necho no room >&2\nexit 1\n", 0755);
	assert_int_equal(cv_dns_set(&dns, &config), -EIO);
	assert_shows(said(), "wg0: resolvconf: no room\n");
	assert_shows(said(), "wg0: resolvconf failed with exit status 1\n");
}

static void file_is_written_and_put_back(void **state)
{
	set();
	assert_string_equal(read_file(RESOLV),
			    "# convoy wrote this for wg0; what was here before is in " BACKUP "\n"
			    "nameserver 10.77.0.1\nnameserver fd77::1\n"
			    "search corp.example example.com\n");
	assert_string_equal(read_file(BACKUP), BEFORE);
	cv_dns_restore(&dns);
	assert_string_equal(read_file(RESOLV), BEFORE);
	assert_int_equal(access(BACKUP, F_OK), -1);
	assert_true(cv_host_state_is_clean(&dns));
}

static void other_servers_replace_ours_and_keep_what_was_before(void **state)
{
	set();
	cv_config_free(&config);
	config_of(&config, "DNS = 10.77.0.9\n", "");
	set();
	assert_shows(read_file(RESOLV), "\nnameserver 10.77.0.9\n");
	assert_string_equal(read_file(BACKUP), BEFORE);
	cv_config_free(&config);
	config_of(&config, "", ""); /* and no servers at all */
	set();
	assert_string_equal(read_file(RESOLV), BEFORE);
}

static void symbolic_link_stays_one(void **state)
{
	char target[64] = "";

	write_file("/run/real.conf", BEFORE, 0644);
	assert_int_equal(unlink(RESOLV), 0);
	assert_int_equal(symlink("../run/real.conf", RESOLV), 0);
	set();
	assert_shows(read_file("/run/real.conf"), "# convoy wrote this for wg0; ");
	cv_dns_restore(&dns);
	assert_true(readlink(RESOLV, target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "../run/real.conf");
	assert_string_equal(read_file("/run/real.conf"), BEFORE);
}

/* As in a container: the file cannot be replaced, only written to. */
static void mount_of_its_own_is_overwritten(void **state)
{
	write_file("/run/mounted.conf", BEFORE, 0644);
	assert_int_equal(mount("/run/mounted.conf", RESOLV, NULL, MS_BIND, NULL), 0);
	set();
	assert_shows(read_file("/run/mounted.conf"), "# convoy wrote this for wg0; ");
	cv_dns_restore(&dns);
	assert_string_equal(read_file("/run/mounted.conf"), BEFORE);
	assert_int_equal(access(RESOLV ".convoy-new", F_OK), -1);
}

static void file_that_was_not_there_goes_again(void **state)
{
	assert_int_equal(unlink(RESOLV), 0);
	set();
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.1\n");
	cv_dns_restore(&dns);
	assert_int_equal(access(RESOLV, F_OK), -1);
}

static void what_somebody_else_wrote_since_stays(void **state)
{
	set();
	write_file(RESOLV, "nameserver 198.51.100.1\n", 0644);
	cv_dns_restore(&dns);
	assert_string_equal(read_file(RESOLV), "nameserver 198.51.100.1\n");
	assert_int_equal(access(BACKUP, F_OK), -1);
}

static void file_of_another_tunnel_is_left_alone(void **state)
{
	write_file(RESOLV, "# convoy wrote this for wg; what was here before is in x\n", 0644);
	assert_int_equal(cv_dns_set(&dns, &config), -EBUSY);
	assert_shows(said(), "another tunnel of convoy wrote " RESOLV "; install openresolv");
	cv_dns_restore(&dns);
	assert_shows(read_file(RESOLV), "# convoy wrote this for wg; ");
}

/* After a power loss /run is empty, and only the file's first line tells that it is ours. */
static void file_is_put_back_when_the_state_is_lost(void **state)
{
	set();
	dns.dns = CV_HOST_DNS_NONE;
	assert_true(cv_host_undo(&dns, false));
	assert_string_equal(read_file(RESOLV), BEFORE);
	assert_false(cv_host_undo(&dns, false));
}

static void mode_does_not_depend_on_the_umask(void **state)
{
	struct stat status;

	umask(077);
	set();
	umask(022);
	assert_int_equal(stat(RESOLV, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0644);
}

static void search_domains_without_servers_are_of_no_effect(void **state)
{
	cv_config_free(&config);
	config_of(&config, "DNS = example.com\n", "");
	set();
	assert_string_equal(read_file(RESOLV), BEFORE);
}

static void servers_of_the_host_are_those_behind_local_caches(void **state)
{
	struct cv_addr servers[CV_DNS_SERVERS_MAX];
	char text[CV_ADDR_TEXT_MAX];

	assert_int_equal(mkdir("/run/systemd", 0755), 0);
	assert_int_equal(mkdir("/run/systemd/resolve", 0755), 0);
	write_file(RESOLV, "nameserver 127.0.0.53\n nameserver ::1\nnameserver 2001:db8::53\n",
		   0644);
	write_file("/run/systemd/resolve/resolv.conf", "#\nnameserver 192.0.2.53\nsearch x\n",
		   0644);
	assert_int_equal(cv_dns_servers(servers), 2);
	assert_string_equal(cv_addr_format(&servers[0], text), "2001:db8::53");
	assert_string_equal(cv_addr_format(&servers[1], text), "192.0.2.53");
}

#define DNS(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DNS(resolved_is_asked_where_it_runs),
		DNS(resolved_forgets_a_link_that_stays),
		DNS(resolvectl_alone_is_not_resolved),
		DNS(resolvconf_gets_the_text_on_stdin),
		DNS(resolvconf_of_debian_wants_a_prefix),
		DNS(failure_of_the_means_is_an_error),
		DNS(file_is_written_and_put_back),
		DNS(other_servers_replace_ours_and_keep_what_was_before),
		DNS(symbolic_link_stays_one),
		DNS(mount_of_its_own_is_overwritten),
		DNS(file_that_was_not_there_goes_again),
		DNS(what_somebody_else_wrote_since_stays),
		DNS(file_of_another_tunnel_is_left_alone),
		DNS(file_is_put_back_when_the_state_is_lost),
		DNS(mode_does_not_depend_on_the_umask),
		DNS(search_domains_without_servers_are_of_no_effect),
		DNS(servers_of_the_host_are_those_behind_local_caches),
	};

	RUN(tests);
}
