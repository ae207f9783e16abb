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
	{ "run", "FILE|NAME", "run a tunnel in the foreground",
	  "Makes the interface, moves packets until SIGTERM or SIGINT, and takes the interface\n"
	  "away again. FILE is a config file in the format of wg-quick; its name without .conf\n"
	  "is the name of the interface. NAME means /etc/convoy/NAME.conf or, where that does\n"
	  "not exist, /etc/wireguard/NAME.conf. Needs CAP_NET_ADMIN and /dev/net/tun.\n",
	  cv_command_run },
	{ "check", "FILE|NAME", "say all that is wrong with a config file",
	  "Prints errors and warnings to stderr, each with its place and what would be right,\n"
	  "or \"FILE: ok\" to stdout. Exits with 1 when there is an error. FILE and NAME as for\n"
	  "`convoy run`; FILE may be /dev/stdin.\n",
	  cv_command_check },
	{ "genkey", "", "print a new private key",
	  "Prints 44 characters of base64 and a newline. Keep them secret:\n"
	  "  umask 077; convoy genkey > private.key\n",
	  cv_command_genkey },
	{ "pubkey", "", "print the public key of the private key on stdin",
	  "The public key is what the other side puts behind PublicKey:\n"
	  "  convoy pubkey < private.key\n",
	  cv_command_pubkey },
	{ "genpsk", "", "print a new preshared key",
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
	fputs("\nconvoy COMMAND --help tells more; so do convoy(8) and convoy.conf(5).\n", to);
}

static int print_help(const struct cv_command *command)
{
	printf("usage: convoy %s%s%s\n\n%c%s.\n%s", command->name, command->arguments[0] ? " " : "",
	       command->arguments, command->summary[0] - 'a' + 'A', command->summary + 1,
	       command->help);
	return printed();
}

static int refuse_unknown(const char *name)
{
	const char *names[COMMANDS];
	size_t near;

	for (size_t i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	near = cv_suggest_nearest(name, strlen(name), names, COMMANDS);
	if (near < COMMANDS)
		cv_complain("unknown command %s; did you mean %s?", name, names[near]);
	else
		cv_complain("unknown command %s; convoy --help lists the commands", name);
	return CV_EXIT_USAGE;
}

static bool is_help(const char *argument)
{
	return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
}

static int run(const struct cv_command *command, int n, char **arguments)
{
	int wanted = command->arguments[0] ? 1 : 0, result;

	if (n > 0 && is_help(arguments[0]))
		return print_help(command);
	if (n != wanted || (n > 0 && arguments[0][0] == '-')) {
		cv_complain("usage: convoy %s%s%s", command->name, wanted ? " " : "",
			    command->arguments);
		return CV_EXIT_USAGE;
	}
	result = cv_crypto_init();
	if (result < 0) {
		cv_complain("cannot set up the crypto libraries: %s", strerror(-result));
		return CV_EXIT_FAILURE;
	}
	return command->run(wanted ? arguments[0] : NULL);
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
		puts("convoy " CV_VERSION);
		return printed();
	}
	command = find(argv[1]);
	if (!command)
		return refuse_unknown(argv[1]);
	return run(command, argc - 2, argv + 2);
}
