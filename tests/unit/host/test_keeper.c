/* The keeper as a tunnel knows it: what is done at each step of its life, and at its death. */
#include <netinet/in.h>
#include <sys/prctl.h>

#include <convoy/netlink/netlink.h>

#include "world.h"

#define RESOLV "/etc/resolv.conf"
#define BEFORE "nameserver 192.0.2.53\n"
#define ORDER  "/run/order"
#define STATE  "/run/convoy/wg0.state"

enum { MARK = 0x77 };

static struct cv_config config;
static struct cv_host *host;

static int setup(void **state)
{
	if (enter(state))
		return -1;
	host = NULL;
	cv_config_init(&config);
	write_file(RESOLV, BEFORE, 0644);
	/* No resolvectl, no resolvconf: the file is what can be looked at. */
	setenv("PATH", FAKES ":/usr/sbin:/usr/bin:/sbin:/bin", 1);
	return access("/usr/sbin/resolvconf", F_OK) == 0 || access("/sbin/resolvconf", F_OK) == 0;
}

static int teardown(void **state)
{
	cv_host_free(host);
	cv_config_free(&config);
	return 0;
}

static const char *tables(void)
{
	return output("nft list tables");
}

static int start(const char *interface, const char *peer)
{
	cv_config_free(&config);
	config_of(&config, interface, peer);
	listen_to_log();
	return cv_host_start(&config, FILE_AT, &host);
}

static void end(void)
{
	cv_host_before_down(host);
	cv_host_after_down(host);
	cv_host_free(host);
	host = NULL;
}

static void add_rules(void)
{
	struct cv_netlink *nl;

	assert_int_equal(cv_netlink_open(&nl), 0);
	assert_int_equal(cv_rule_add_not_marked(nl, AF_INET, MARK, MARK), 0);
	assert_int_equal(cv_rule_add_main_specifics(nl, AF_INET), 0);
	cv_netlink_close(nl);
}

/* A tunnel in a process of its own that is killed when it is up, or where it waits for ever. */
static void kill_a_tunnel(const char *interface, const char *peer, uint32_t mark)
{
	int status, ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		if (start(interface, peer) || cv_host_before_up(host))
			_exit(1);
		if (mark)
			add_rules();
		if (cv_host_after_up(host, mark) || write(ready[1], "!", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
}

/* Until the keeper of a killed tunnel is through. */
static void await_keeper(void)
{
	struct cv_host_state theirs;
	int alive;

	assert_int_equal(cv_host_state_open("wg0", &theirs, &alive), 0);
	cv_host_state_close(&theirs);
	close(alive);
}

/* A life --------------------------------------------------------------------------------- */

static void hooks_run_in_order_with_their_environment(void **state)
{
	static const char interface[] =
		"PreUp = echo preup %i $INTERFACE $CONVOY_HOOK $CONVOY_CONFIG >> " ORDER "\n"
		"PostUp = echo postup | sed 's/$/ %i%i/' >> " ORDER "; echo second >> " ORDER "\n"
		"PostUp = echo \"$PEER_NAME $PEER_PUBLIC_KEY $PEER_ENDPOINT\" >> " ORDER "\n"
		"PreDown = echo predown # not a comment\n"
		"PreDown = echo predown $HOME$USER >> " ORDER "\n"
		"PostDown = echo postdown >> " ORDER "\n";

	setenv("HOME", "/root", 1);
	assert_int_equal(
		start(interface, "# friendly_name = Alice\nEndpoint = vpn.example.com:51820\n"), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_string_equal(read_file(ORDER), "preup wg0 wg0 PreUp " FILE_AT "\n");
	assert_int_equal(cv_host_after_up(host, 0), 0);
	cv_host_before_down(host);
	assert_string_equal(read_file(ORDER), "preup wg0 wg0 PreUp " FILE_AT "\n"
					      "postup wg0wg0\nsecond\n"
					      "Alice " PEER " vpn.example.com:51820\n"
					      "predown\n");
	cv_host_after_down(host);
	assert_shows(read_file(ORDER), "predown\npostdown\n");
	assert_shows(said(), "info: wg0: PreDown (line 6): predown\n");
}

static void all_is_there_while_it_is_up_and_gone_after(void **state)
{
	assert_int_equal(start("KillSwitch = yes\nDNS = 10.77.0.1\nAddress = 10.77.0.2/24\n", ""),
			 0);
	assert_string_equal(tables(), "");
	assert_int_equal(cv_host_before_up(host), 0);
	assert_string_equal(tables(), "table inet convoy-killswitch-wg0\n");
	assert_string_equal(read_file(RESOLV), BEFORE);
	assert_int_equal(cv_host_after_up(host, MARK), 0);
	assert_shows(tables(), "table inet convoy-guard-wg0\n");
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.1\n");
	cv_host_before_down(host);
	assert_string_equal(read_file(RESOLV), BEFORE);
	assert_shows(tables(), "convoy-killswitch-wg0");
	cv_host_after_down(host);
	assert_string_equal(tables(), "");
	cv_host_free(host);
	host = NULL;
	assert_int_equal(access(STATE, F_OK), -1);
}

static void names_are_let_out_until_it_is_up(void **state)
{
	assert_int_equal(start("KillSwitch = yes\n", "Endpoint = vpn.example.com:51820\n"), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_shows(output("nft list ruleset"), "ip daddr 192.0.2.53");
	assert_int_equal(cv_host_after_up(host, 0), 0);
	assert_hides(output("nft list ruleset"), "192.0.2.53");
}

static void guard_follows_the_mark(void **state)
{
	assert_int_equal(start("Address = 10.77.0.2/24\n", ""), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_int_equal(cv_host_after_up(host, 0), 0);
	assert_string_equal(tables(), "");
	assert_int_equal(cv_host_change_mark(host, MARK), 0);
	assert_shows(output("nft list ruleset"), "0x00000077");
	assert_int_equal(cv_host_change_mark(host, 0), 0);
	assert_string_equal(tables(), "");
}

static void no_file_no_keeper(void **state)
{
	config_of(&config, "KillSwitch = yes\n", "");
	assert_int_equal(cv_host_start(&config, NULL, &host), 0);
	assert_null(host);
	assert_int_equal(cv_host_before_up(NULL), 0);
	assert_int_equal(cv_host_after_up(NULL, MARK), 0);
	assert_int_equal(cv_host_change_mark(NULL, MARK), 0);
	end();
	assert_string_equal(tables(), "");
	listen_to_log();
	assert_int_equal(cv_host_change(NULL, &config), -EOPNOTSUPP);
	assert_shows(said(), "start it again\n");
}

static void without_a_place_for_notes_nothing_is_changed(void **state)
{
	write_file("/run/convoy", "in the way", 0600);
	assert_int_equal(start("", ""), 0);
	assert_null(host);
	assert_int_equal(start("DNS = 10.77.0.1\n", ""), -ENOTDIR);
	assert_shows(said(), "hooks, DNS and KillSwitch need a note under /run/convoy");
}

static void tunnel_runs_once(void **state)
{
	struct cv_host *second = NULL;
	int status;
	pid_t pid;

	assert_int_equal(start("DNS = 10.77.0.1\n", ""), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_int_equal(cv_host_after_up(host, 0), 0);
	pid = fork();
	if (pid == 0)
		_exit(-cv_host_start(&config, FILE_AT, &second));
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), EBUSY);
	pid = fork();
	if (pid == 0)
		_exit(-cv_host_restore("wg0"));
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), EBUSY);
	assert_shows(said(), "wg0: a tunnel of this name is running already\n");
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.1\n");
}

/* Failures ------------------------------------------------------------------------------- */

#define ALL_HOOKS "PreDown = echo predown >> " ORDER "\nPostDown = echo postdown >> " ORDER "\n"

static void failed_preup_stops_and_undoes(void **state)
{
	assert_int_equal(start("KillSwitch = yes\nPreUp = echo first; exit 7\n"
			       "PreUp = echo second >> " ORDER "\n" ALL_HOOKS,
			       ""),
			 0);
	assert_int_equal(cv_host_before_up(host), -EIO);
	assert_shows(said(), "err: wg0: PreUp (line 4) failed with exit status 7\n");
	end();
	assert_string_equal(read_file(ORDER), "");
	assert_string_equal(tables(), "");
	assert_int_equal(access(STATE, F_OK), -1);
}

static void failed_postup_undoes_what_was_done(void **state)
{
	assert_int_equal(start("DNS = 10.77.0.1\nPostUp = false\n" ALL_HOOKS, ""), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_int_equal(cv_host_after_up(host, MARK), -EIO);
	cv_host_after_down(host);
	assert_string_equal(read_file(RESOLV), BEFORE);
	assert_string_equal(read_file(ORDER), "");
	assert_string_equal(tables(), "");
}

static void failed_hook_of_the_end_does_not_stop_it(void **state)
{
	assert_int_equal(
		start("DNS = 10.77.0.1\nPreDown = false\nPostDown = false\n" ALL_HOOKS, ""), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_int_equal(cv_host_after_up(host, 0), 0);
	end();
	assert_string_equal(read_file(ORDER), "predown\npostdown\n");
	assert_string_equal(read_file(RESOLV), BEFORE);
}

static void hooks_of_a_file_that_others_may_write_are_refused(void **state)
{
	config_of(&config, "PostUp = true\n", "");
	assert_int_equal(chmod(FILE_AT, 0622), 0);
	listen_to_log();
	assert_int_equal(cv_host_start(&config, FILE_AT, &host), -EPERM);
	assert_shows(said(), "run chmod go-w " FILE_AT);
	assert_null(host);
	assert_int_equal(access(STATE, F_OK), -1);
	/* Without hooks it is none of our business. */
	cv_config_free(&config);
	config_of(&config, "", "");
	assert_int_equal(chmod(FILE_AT, 0622), 0);
	assert_int_equal(cv_host_start(&config, FILE_AT, &host), 0);
}

static void signal_ends_the_hook_that_runs(void **state)
{
	sigset_t set;
	char *interface;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	assert_true(asprintf(&interface, "PreUp = kill -TERM %d; sleep 1000\n", getpid()) > 0);
	assert_int_equal(start(interface, ""), 0);
	free(interface);
	assert_int_equal(cv_host_before_up(host), -EINTR);
	assert_shows(said(), "warn: wg0: PreUp (line 3) was ended\n");
	/* The signal is still there for whoever waits for it. */
	assert_int_equal(sigtimedwait(&set, NULL, &(struct timespec){ 0 }), SIGTERM);
	end();
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* What a turn of the tunnel's loop is here. */
static unsigned turns;
static int (*in_turn)(void);

static bool turn(void *arg)
{
	assert_ptr_equal(arg, &turns);
	if (turns++ == 0)
		assert_int_equal(in_turn(), 0);
	return in_turn != NULL;
}

static int let_the_hook_end(void)
{
	/* Not even a reload comes in between. */
	assert_int_equal(cv_host_change(host, &config), -EBUSY);
	close(open("/run/wait", O_WRONLY));
	return 0;
}

static int want_it_to_end(void)
{
	in_turn = NULL;
	return 0;
}

static void tunnel_works_while_a_hook_needs_it(void **state)
{
	assert_int_equal(mkfifo("/run/wait", 0600), 0);
	assert_int_equal(start("PostUp = cat /run/wait\nPreDown = cat /run/wait\n", ""), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	cv_host_set_turn(host, turn, &turns);
	turns = 0;
	in_turn = let_the_hook_end;
	assert_int_equal(cv_host_after_up(host, 0), 0);
	assert_true(turns > 0);
	turns = 0;
	cv_host_before_down(host);
	assert_true(turns > 0);
	cv_host_after_down(host);
}

static void turn_may_end_the_hook(void **state)
{
	assert_int_equal(start("PostUp = sleep 1000\n", ""), 0);
	assert_true(cv_host_fd(host) >= 0);
	assert_int_equal(cv_host_fd(NULL), -1);
	assert_int_equal(cv_host_before_up(host), 0);
	cv_host_set_turn(host, turn, &turns);
	turns = 0;
	in_turn = want_it_to_end;
	assert_int_equal(cv_host_after_up(host, 0), -EINTR);
	cv_host_after_down(host);
}

static void signals_of_the_group_leave_the_keeper_alone(void **state)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

	assert_true(getpgrp() == getpid() || setpgid(0, 0) == 0);
	assert_int_equal(start("DNS = 10.77.0.1\n", ""), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	for (size_t i = 0; i < 4; i++)
		sigaction(signals[i], &ignore, NULL);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(kill(0, signals[i]), 0);
	assert_int_equal(cv_host_after_up(host, 0), 0);
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.1\n");
	end();
	assert_string_equal(read_file(RESOLV), BEFORE);
	for (size_t i = 0; i < 4; i++)
		signal(signals[i], SIG_DFL);
}

/* Death ---------------------------------------------------------------------------------- */

static void killed_tunnel_is_undone_but_for_the_switch(void **state)
{
	const char *rules;

	kill_a_tunnel("KillSwitch = yes\nDNS = 10.77.0.1\nAddress = 10.77.0.2/24\n" ALL_HOOKS, "",
		      MARK);
	await_keeper();
	assert_string_equal(read_file(RESOLV), BEFORE);
	assert_string_equal(tables(), "table inet convoy-killswitch-wg0\n");
	assert_string_equal(read_file(ORDER), "predown\npostdown\n");
	rules = output("ip rule");
	assert_hides(rules, "0x77");
	assert_hides(rules, "suppress");
	assert_shows(said(), "warn: wg0: the tunnel ended unasked; undoing what it did to "
			     "the host, the kill switch stays\n");
	/* Until somebody says down. */
	assert_int_equal(cv_host_restore("wg0"), 0);
	assert_string_equal(tables(), "");
	assert_int_equal(cv_host_restore("wg0"), -ENOENT);
	assert_int_equal(access(STATE, F_OK), -1);
}

static void next_up_takes_the_switch_over(void **state)
{
	kill_a_tunnel("KillSwitch = yes\n", "", 0);
	assert_int_equal(start("KillSwitch = yes\nFwMark = 0x99\n", ""), 0);
	assert_string_equal(tables(), "table inet convoy-killswitch-wg0\n");
	assert_int_equal(cv_host_before_up(host), 0);
	assert_shows(output("nft list ruleset"), "meta mark 0x00000099 accept");
	assert_int_equal(cv_host_after_up(host, 0), 0);
	end();
	assert_string_equal(tables(), "");
}

static void next_up_that_fails_leaves_the_switch(void **state)
{
	kill_a_tunnel("KillSwitch = yes\n", "", 0);
	assert_int_equal(start("KillSwitch = yes\nPreUp = false\n", ""), 0);
	assert_int_equal(cv_host_before_up(host), -EIO);
	end();
	assert_string_equal(tables(), "table inet convoy-killswitch-wg0\n");
	assert_int_equal(cv_host_restore("wg0"), 0);
	assert_string_equal(tables(), "");
}

static void next_up_without_switch_removes_it(void **state)
{
	kill_a_tunnel("KillSwitch = yes\n", "", 0);
	assert_int_equal(start("", ""), 0);
	assert_string_equal(tables(), "");
}

static void what_nobody_could_undo_the_next_up_does(void **state)
{
	int status, ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		if (start("DNS = 10.77.0.1\nAddress = 10.77.0.2/24\n", "") ||
		    cv_host_before_up(host))
			_exit(1);
		add_rules();
		if (cv_host_after_up(host, MARK) || write(ready[1], "!", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(kill(-pid, SIGKILL), 0); /* keeper and all */
	waitpid(pid, &status, 0);
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.1\n");
	assert_int_equal(start("", ""), 0);
	assert_shows(said(), "info: wg0: undid what an earlier tunnel left behind\n");
	assert_string_equal(read_file(RESOLV), BEFORE);
	assert_string_equal(tables(), "");
	assert_hides(output("ip rule"), "0x77");
	close(ready[0]);
	close(ready[1]);
}

/* Nobody asked for its end, so it is not an end of what it is to prevent. */
static void letting_go_of_the_keeper_is_a_death(void **state)
{
	assert_int_equal(start("KillSwitch = yes\nDNS = 10.77.0.1\n", ""), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_int_equal(cv_host_after_up(host, 0), 0);
	cv_host_free(host);
	host = NULL;
	assert_string_equal(tables(), "table inet convoy-killswitch-wg0\n");
	assert_string_equal(read_file(RESOLV), BEFORE);
}

static void death_ends_the_hook_that_runs(void **state)
{
	int status;
	pid_t pid;

	assert_int_equal(mkfifo("/run/ready", 0600), 0);
	pid = fork();
	if (pid == 0) {
		if (start("PreUp = : > /run/ready; sleep 1000\n", "") == 0)
			cv_host_before_up(host);
		_exit(1);
	}
	close(open("/run/ready", O_RDONLY));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	await_keeper();
	assert_shows(said(), "warn: wg0: PreUp (line 3) was ended\n");
}

/* The keeper itself ------------------------------------------------------------------------ */

static pid_t keeper_pid(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", gettid());
	return atoi(read_file(path));
}

static bool holds(pid_t pid, const void *bytes, size_t len)
{
	static char memory[1 << 20];
	char path[64], line[256];
	bool found = false;
	FILE *maps;
	int mem;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(maps && mem >= 0);
	while (!found && fgets(line, sizeof(line), maps)) {
		unsigned long start, stop;

		/* Those of the program and its heap; sanitizers map terabytes. */
		assert_int_equal(sscanf(line, "%lx-%lx", &start, &stop), 2);
		for (; start < stop && stop - start < 1UL << 30 && !found;
		     start += sizeof(memory) / 2) {
			ssize_t n = pread(mem, memory, sizeof(memory), (off_t)start);

			found = n > 0 && memmem(memory, (size_t)n, bytes, len);
		}
	}
	fclose(maps);
	close(mem);
	return found;
}

static void keeper_has_no_keys(void **state)
{
	struct cv_key key;

	config_of(&config, "DNS = 10.77.0.1\n", "PresharedKey = " PRIVATE "\n");
	assert_int_equal(cv_host_start(&config, FILE_AT, &host), 0);
	assert_int_equal(cv_host_before_up(host), 0); /* so it has come to wiping them */
	key = config.private_key;
	assert_true(holds(getpid(), &key, sizeof(key)));
	assert_true(holds(keeper_pid(), &config.peers[0].public_key, sizeof(key)));
	assert_false(holds(keeper_pid(), &key, sizeof(key)));
	/* Nor after it read the file itself. */
	assert_int_equal(cv_host_change(host, &config), 0);
	assert_false(holds(keeper_pid(), &key, sizeof(key)));
}

/* How many of a process's descriptors lead to the file that this one of ours leads to. */
static size_t count_links(pid_t pid, int fd)
{
	char path[64], ours[64] = "", theirs[64];
	size_t n = 0;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_true(readlink(path, ours, sizeof(ours) - 1) > 0);
	for (int i = 0; i < 1024; i++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, i);
		len = readlink(path, theirs, sizeof(theirs) - 1);
		theirs[len > 0 ? len : 0] = '\0';
		n += strcmp(ours, theirs) == 0;
	}
	return n;
}

/* Whoever waits for one of them to close would wait for the keeper. */
static void keeper_keeps_nothing_open_of_the_tunnels(void **state)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0); /* not even what programs would get */
	assert_int_equal(start("DNS = 10.77.0.1\n", ""), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_int_equal(count_links(getpid(), ends[1]), 2);
	assert_int_equal(count_links(keeper_pid(), ends[1]), 0);
	assert_int_equal(count_links(keeper_pid(), STDERR_FILENO), 1);
	close(ends[0]);
	close(ends[1]);
}

/* A change --------------------------------------------------------------------------------- */

static void run_with(const char *interface)
{
	assert_int_equal(start(interface, ""), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_int_equal(cv_host_after_up(host, 0), 0);
}

static int change_to(const char *interface)
{
	cv_config_free(&config);
	config_of(&config, interface, "");
	listen_to_log();
	return cv_host_change(host, &config);
}

static void change_brings_dns_and_switch(void **state)
{
	run_with("DNS = 10.77.0.1\n");
	assert_int_equal(change_to("DNS = 10.77.0.9\nKillSwitch = yes\nFwMark = 0x99\n"), 0);
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.9\n");
	assert_shows(output("nft list ruleset"), "meta mark 0x00000099 accept");
	assert_int_equal(change_to(""), 0);
	assert_string_equal(read_file(RESOLV), BEFORE);
	assert_string_equal(tables(), "");
}

static void hooks_of_the_new_file_run_at_the_end(void **state)
{
	run_with("PostDown = echo old >> " ORDER "\n");
	assert_int_equal(change_to("PreUp = echo wrong >> " ORDER "\n"
				   "PostDown = echo new >> " ORDER "\n"),
			 0);
	assert_string_equal(read_file(ORDER), "");
	end();
	assert_string_equal(read_file(ORDER), "new\n");
}

static void file_with_an_error_changes_nothing(void **state)
{
	run_with("DNS = 10.77.0.1\n");
	write_file(FILE_AT, "[Interface]\nDNS = nonsense!\n", 0600);
	listen_to_log();
	assert_int_equal(cv_host_change(host, &config), -EINVAL);
	assert_shows(said(), "wg0: cannot take " FILE_AT);
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.1\n");
}

static void hooks_that_come_by_a_change_are_judged_too(void **state)
{
	run_with("DNS = 10.77.0.1\n");
	cv_config_free(&config);
	config_of(&config, "DNS = 10.77.0.9\nPostDown = echo bad >> " ORDER "\n", "");
	assert_int_equal(chmod(FILE_AT, 0622), 0);
	listen_to_log();
	assert_int_equal(cv_host_change(host, &config), -EPERM);
	assert_shows(said(), "run chmod go-w " FILE_AT);
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.1\n");
	end();
	assert_string_equal(read_file(ORDER), "");
}

/* Handed over ------------------------------------------------------------------------------ */

#define ASKED "Endpoint = 192.0.2.1:1\n"

static int change_asked_to(const char *interface)
{
	cv_config_free(&config);
	config_of(&config, interface, ASKED);
	return cv_host_change(host, &config);
}

/* A good name server and a bad one. */
static struct cv_grant grant_of(const char *server)
{
	struct cv_grant grant = { .dns_n = 2 };

	assert_int_equal(cv_addr_parse(server, &grant.dns[0]), 0);
	assert_int_equal(cv_addr_parse("127.0.0.1", &grant.dns[1]), 0);
	return grant;
}

static void what_is_handed_over_is_judged_by_the_keepers_own_file(void **state)
{
	struct cv_grant grant = grant_of("10.77.0.1");

	assert_int_equal(start("Address = auto\nDNS = auto\n", ASKED), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_int_equal(cv_host_hand_over(host, &config, &grant), 0);
	assert_string_equal(read_file(RESOLV), BEFORE);
	assert_int_equal(cv_host_after_up(host, 0), 0);
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.1\n");
	assert_null(strstr(read_file(RESOLV), "127.0.0.1"));
	grant = grant_of("10.77.0.2");
	assert_int_equal(cv_host_hand_over(host, &config, &grant), 0);
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.2\n");
	assert_int_equal(change_asked_to("Address = auto\n"), 0);
	grant = grant_of("10.77.0.3");
	assert_int_equal(cv_host_hand_over(host, &config, &grant), 0);
	assert_string_equal(read_file(RESOLV), BEFORE);
	assert_int_equal(change_asked_to("Address = 10.77.0.9\n"), 0);
	assert_int_equal(cv_host_hand_over(host, &config, &grant), -EINVAL);
}

static void what_was_handed_over_stays_while_the_same_peer_is_asked(void **state)
{
	const struct cv_grant grant = grant_of("10.77.0.1");

	assert_int_equal(start("Address = auto\nDNS = auto\n", ASKED), 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_int_equal(cv_host_after_up(host, 0), 0);
	assert_int_equal(cv_host_hand_over(host, &config, &grant), 0);
	assert_int_equal(change_asked_to("Address = auto\nDNS = auto, office.example\n"), 0);
	assert_shows(read_file(RESOLV), "nameserver 10.77.0.1\nsearch office.example\n");
	assert_int_equal(change_asked_to("Address = 10.77.0.9\n"), 0);
	assert_int_equal(change_asked_to("Address = auto\nDNS = auto\n"), 0);
	assert_string_equal(read_file(RESOLV), BEFORE);
}

static void the_kill_switch_knows_what_was_handed_over(void **state)
{
	struct cv_grant grant = { 0 };

	assert_int_equal(cv_prefix_parse("10.77.0.9/24", &grant.address4), 0);
	assert_int_equal(start("Address = auto\nKillSwitch = yes\nKillSwitchAllowLan = yes\n",
			       ASKED "AllowedIPs = 0.0.0.0/0\n"),
			 0);
	assert_int_equal(cv_host_before_up(host), 0);
	assert_int_equal(cv_host_after_up(host, 0), 0);
	assert_int_equal(cv_host_hand_over(host, &config, &grant), 0);
	assert_shows(output("nft list ruleset"), "ip daddr 10.77.0.0/24 drop");
}

#define KEEPER(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		KEEPER(hooks_run_in_order_with_their_environment),
		KEEPER(all_is_there_while_it_is_up_and_gone_after),
		KEEPER(names_are_let_out_until_it_is_up),
		KEEPER(guard_follows_the_mark),
		KEEPER(no_file_no_keeper),
		KEEPER(without_a_place_for_notes_nothing_is_changed),
		KEEPER(tunnel_runs_once),
		KEEPER(failed_preup_stops_and_undoes),
		KEEPER(failed_postup_undoes_what_was_done),
		KEEPER(failed_hook_of_the_end_does_not_stop_it),
		KEEPER(hooks_of_a_file_that_others_may_write_are_refused),
		KEEPER(signal_ends_the_hook_that_runs),
		KEEPER(tunnel_works_while_a_hook_needs_it),
		KEEPER(turn_may_end_the_hook),
		KEEPER(signals_of_the_group_leave_the_keeper_alone),
		KEEPER(killed_tunnel_is_undone_but_for_the_switch),
		KEEPER(next_up_takes_the_switch_over),
		KEEPER(next_up_that_fails_leaves_the_switch),
		KEEPER(next_up_without_switch_removes_it),
		KEEPER(what_nobody_could_undo_the_next_up_does),
		KEEPER(letting_go_of_the_keeper_is_a_death),
		KEEPER(death_ends_the_hook_that_runs),
		KEEPER(keeper_has_no_keys),
		KEEPER(keeper_keeps_nothing_open_of_the_tunnels),
		KEEPER(change_brings_dns_and_switch),
		KEEPER(hooks_of_the_new_file_run_at_the_end),
		KEEPER(file_with_an_error_changes_nothing),
		KEEPER(hooks_that_come_by_a_change_are_judged_too),
		KEEPER(what_is_handed_over_is_judged_by_the_keepers_own_file),
		KEEPER(what_was_handed_over_stays_while_the_same_peer_is_asked),
		KEEPER(the_kill_switch_knows_what_was_handed_over),
	};

	RUN(tests);
}
