/*
 * The command line: finds the command, answers --help and --version, and knows nothing of tunnels.
 *
 * Every command is a row of the table. Whatever it does with keys happens in a process that is not
 * dumpable: no core file, no ptrace by the same user.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include <convoy/config/suggest.h>
#include <convoy/crypto/init.h>

#include "internal.h"

static const struct cv_command commands[] = {
	{ "run", "FILE|NAME", 1, 1, "run a tunnel in the foreground",
	  "Makes the interface, moves packets until SIGTERM or SIGINT, and takes the interface\n"
	  "away again. FILE is a config file in the format of wg-quick; its name without .conf\n"
	  "is the name of the interface. NAME means /etc/convoy/NAME.conf or, where that does\n"
	  "not exist, /etc/wireguard/NAME.conf. Needs CAP_NET_ADMIN and /dev/net/tun.\n",
	  cv_command_run },
	{ "up", "FILE|NAME", 1, 1, "start a tunnel in the background",
	  "As `convoy run`, but returns when the tunnel works; when it does not, the reason is on\n"
	  "stderr and nothing is left behind. Afterwards the log goes to the journal where there\n"
	  "is one, to stderr where that is a file, else nowhere.\n",
	  cv_command_up },
	{ "down", "FILE|NAME", 1, 1, "end a tunnel and take back all that it changed",
	  "Waits until nothing is left of it. A tunnel that was killed is cleaned up after. Exits\n"
	  "with 1 when there is no such tunnel.\n",
	  cv_command_down },
	{ "reload", "FILE|NAME", 1, 1, "apply what changed in the config file",
	  "Sessions, counters and packets of peers that did not change go on. A file with an\n"
	  "error changes nothing. Hooks do not run.\n",
	  cv_command_reload },
	{ "check", "FILE|NAME", 1, 1, "say all that is wrong with a config file",
	  "Prints errors and warnings to stderr, each with its place and what would be right,\n"
	  "or \"FILE: ok\" to stdout. Exits with 1 when there is an error. FILE and NAME as for\n"
	  "`convoy run`; FILE may be /dev/stdin.\n",
	  cv_command_check },
	{ "show", "[NAME|all] [--json]", 0, 2, "tell how running tunnels are",
	  "Prints what `wg show` prints, and session ages, rates, capabilities and what was\n"
	  "dropped and why. --json prints all there is, in the names of wg-json and our own.\n"
	  "Without NAME every tunnel that runs. Needs root.\n",
	  cv_command_show },
	{ "top", "[NAME|all] [--once]", 0, 2, "watch running tunnels live",
	  "Shows each second, for each tunnel, Mbit/s, packets a second, sizes of batches and\n"
	  "drops, and its busiest peers; q quits. --once, or when this is no terminal, prints\n"
	  "one table. Needs root.\n",
	  cv_command_top },
	{ "peer", "add NAME|list|remove NAME [--OPTION...]", 0, 32,
	  "add, list or remove the peers of a server's file",
	  "  convoy peer add NAME [--endpoint HOST:PORT] [--allowed-ips LIST] [--psk]\n"
	  "                       [--qr] [--out FILE] [--tunnel FILE|NAME]\n"
	  "  convoy peer list [--tunnel FILE|NAME]\n"
	  "  convoy peer remove NAME|PUBLICKEY [--tunnel FILE|NAME]\n"
	  "\n"
	  "add takes the next free addresses of the tunnel, makes keys, puts the new peer into\n"
	  "the tunnel's file, has the running tunnel reload it, and prints the client's file, the\n"
	  "only place that has its private key. remove takes the peer out again.\n"
	  "\n"
	  "  --endpoint     where clients reach this host; else ClientEndpoint of the file, or\n"
	  "                 this host's own address and ListenPort\n"
	  "  --allowed-ips  what the client sends through the tunnel; else everything\n"
	  "  --psk          a preshared key as well\n"
	  "  --qr           print a QR code for the WireGuard apps of phones\n"
	  "  --out          put the client's file into FILE, mode 0600, which must not exist\n"
	  "  --tunnel       as for `convoy run`; may be left out when there is only one\n",
	  cv_command_peer },
	{ "genkey", "", 0, 0, "print a new private key",
	  "Prints 44 characters of base64 and a newline. Keep them secret:\n"
	  "  umask 077; convoy genkey > private.key\n",
	  cv_command_genkey },
	{ "pubkey", "", 0, 0, "print the public key of the private key on stdin",
	  "The public key is what the other side puts behind PublicKey:\n"
	  "  convoy pubkey < private.key\n",
	  cv_command_pubkey },
	{ "genpsk", "", 0, 0, "print a new preshared key",
	  "A preshared key is a secret of two peers beside their keys; both put it behind\n"
	  "PresharedKey. It keeps what was recorded today secret from a quantum computer.\n",
	  cv_command_genpsk },
};

enum {
	COMMANDS = sizeof(commands) / sizeof(commands[0]),
};

static const struct cv_command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Help was asked for, so failing to print it is a failure. */
static int printed(void)
{
	if (fflush(stdout) != EOF && !ferror(stdout))
		return CV_EXIT_OK;
	cv_complain("cannot write to stdout: %s", strerror(errno));
	return CV_EXIT_FAILURE;
}

static void print_usage(FILE *to)
{
	fputs("usage: convoy COMMAND [ARGUMENT]\n\n", to);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(to, "  %-6s %-9s  %s\n", commands[i].name, commands[i].arguments,
			commands[i].summary);
	fputs("\nconvoy COMMAND --help tells more; so do convoy(8) and convoy.conf(5).\n"
	      "convoy [-f] INTERFACE makes an interface for wg(8), as wireguard-go does.\n",
	      to);
}

static int print_help(const struct cv_command *command)
{
	printf("usage: convoy %s%s%s\n\n%c%s.\n%s", command->name, command->arguments[0] ? " " : "",
	       command->arguments, command->summary[0] - 'a' + 'A', command->summary + 1,
	       command->help);
	return printed();
}

static const struct cv_command *find_near(const char *name)
{
	const char *names[COMMANDS];
	size_t near;

	for (size_t i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	near = cv_suggest_nearest(name, strlen(name), names, COMMANDS);
	return near < COMMANDS ? &commands[near] : NULL;
}

static int refuse_unknown(const char *name)
{
	const struct cv_command *near = find_near(name);

	if (near)
		cv_complain("unknown command %s; did you mean %s?", name, near->name);
	else
		cv_complain("unknown command %s; convoy --help lists the commands", name);
	return CV_EXIT_USAGE;
}

static int refuse_option(const char *argument)
{
	static const char *const names[] = { "--version", "--foreground" };

	cv_complain_option("", argument, names, 2);
	return CV_EXIT_USAGE;
}

static bool is_help(const char *argument)
{
	return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

static int refuse_use(const struct cv_command *command)
{
	cv_complain("usage: convoy %s%s%s", command->name, command->arguments[0] ? " " : "",
		    command->arguments);
	return CV_EXIT_USAGE;
}

static int run(const struct cv_command *command, int n, char **arguments)
{
	bool has_options = strstr(command->arguments, "--");
	int result;

	for (int i = 0; i < n; i++)
		if (is_help(arguments[i]))
			return print_help(command);
	for (int i = 0; i < n; i++)
		if (arguments[i][0] == '-' && !has_options) {
			cv_complain_option(command->name, arguments[i], NULL, 0);
			return refuse_use(command);
		}
	if (n < command->least || n > command->most)
		return refuse_use(command);
	result = cv_crypto_init();
	if (result < 0) {
		cv_complain("cannot set up the crypto libraries: %s", strerror(-result));
		return CV_EXIT_FAILURE;
	}
	result = command->run(n, arguments);
	return result == CV_EXIT_USAGE ? refuse_use(command) : result;
}

int main(int argc, char **argv)
{
	const struct cv_command *command;

	prctl(PR_SET_DUMPABLE, 0);
	if (argc < 2) {
		print_usage(stderr);
		return CV_EXIT_USAGE;
	}
	if (is_help(argv[1])) {
		print_usage(stdout);
		return printed();
	}
	if (strcmp(argv[1], "--version") == 0) {
		if (argc > 2) {
			cv_complain("usage: convoy --version");
			return CV_EXIT_USAGE;
		}
		puts("convoy " CV_VERSION);
		return printed();
	}
	command = find(argv[1]);
	if (cv_bare_is_meant(argc, argv, command != NULL, find_near(argv[1]) != NULL))
		return cv_bare_run(argc, argv);
	if (!command)
		return argv[1][0] == '-' ? refuse_option(argv[1]) : refuse_unknown(argv[1]);
	return run(command, argc - 2, argv + 2);
}
