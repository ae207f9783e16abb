/*
 * `convoy [-f] IFNAME`: in place of wireguard-go. wg-quick(8) starts us so, and wg(8) and ip(8)
 * then say what the tunnel is.
 *
 * How it works. The process forks before anything else. The child makes the interface and the
 * socket; its messages, and a zero byte when all is there, go through a pipe to the parent, which
 * passes them on and ends: with success at the zero byte, with failure at the end of the pipe. From
 * then on what the child says goes nowhere, for seccomp lets nobody move descriptors any more, and
 * a pipe that nobody reads does as well; unless LOG_LEVEL asks for messages, which then go where
 * they always went.
 *
 * Any word that does not begin with "-" may name an interface, a mistyped command as well. wg-quick
 * comes here only when WG_QUICK_USERSPACE_IMPLEMENTATION names us, which is in our environment
 * then, or under the name wireguard-go. Then, as with -f or a descriptor in the environment, only
 * the commands themselves are no names (under the name wireguard-go: everything is one); otherwise
 * a word that is near to a command is a mistake.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <convoy/control/control.h>
#include <convoy/crypto/init.h>
#include <convoy/log/log.h>

#include "internal.h"

static bool is_name(const char *word)
{
	static const char legal[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789_=+.-";
	size_t len = strlen(word);

	return len > 0 && len < IFNAMSIZ && word[0] != '-' && strspn(word, legal) == len &&
	       strcmp(word, ".") != 0 && strcmp(word, "..") != 0;
}

static bool is_foreground_option(const char *word)
{
	return strcmp(word, "-f") == 0 || strcmp(word, "--foreground") == 0;
}

static bool is_named_wireguard_go(const char *program)
{
	const char *slash = strrchr(program, '/');

	return strcmp(slash ? slash + 1 : program, "wireguard-go") == 0;
}

/* Whoever sets one of these means an interface. */
static bool is_meant_by_environment(void)
{
	static const char *const names[] = { "WG_QUICK_USERSPACE_IMPLEMENTATION",
					     "WG_PROCESS_FOREGROUND", "WG_TUN_FD", "WG_UAPI_FD" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (getenv(names[i]))
			return true;
	return false;
}

bool cv_bare_is_meant(int argc, char **argv, bool is_command, bool is_near)
{
	if (is_foreground_option(argv[1]))
		return true;
	if (argv[1][0] == '-')
		return false;
	if (is_named_wireguard_go(argv[0]))
		return true;
	if (argc != 2 || is_command || !is_name(argv[1]))
		return false;
	return !is_near || is_meant_by_environment();
}

/* A descriptor that somebody else made, by its number in the environment; -1 without. */
static int get_fd(const char *variable, int *ret_fd)
{
	const char *text = getenv(variable);
	char *end;
	long fd;

	*ret_fd = -1;
	if (!text || !*text)
		return 0;
	errno = 0;
	fd = strtol(text, &end, 10);
	if (errno || *end || fd < 0 || fd > INT_MAX || fcntl((int)fd, F_GETFD) < 0) {
		cv_complain("%s=%s: there is no such descriptor", variable, text);
		return -EBADF;
	}
	*ret_fd = (int)fd;
	return 0;
}

/* wireguard-go's words: anything else is "error". */
static enum cv_log_level get_log_level(void)
{
	const char *word = getenv("LOG_LEVEL");

	if (word && (strcmp(word, "verbose") == 0 || strcmp(word, "debug") == 0))
		return CV_LOG_DEBUG;
	return word && strcmp(word, "silent") == 0 ? CV_LOG_SILENT : CV_LOG_ERR;
}

static bool is_heard_in_background(void)
{
	const char *word = getenv("LOG_LEVEL");

	return word && *word && get_log_level() != CV_LOG_SILENT;
}

/* The child's end of the pipe; cv_control_options.started has no argument for it. */
static int to_parent = -1;

static void tell_parent(int result)
{
	int r = result == 0 ? cv_write_all(to_parent, "", 1) : 0;

	if (r < 0)
		cv_log_debug("nobody waits for us: %s", strerror(-r));
	close(to_parent);
}

/* What a TUN must be that somebody else makes, for who made another; the log says what failed. */
static void explain_tun(int result)
{
	if (result == -ENOTTY || result == -EBADFD || result == -EPROTOTYPE || result == -EPROTO)
		cv_complain("WG_TUN_FD must be a TUN made with IFF_TUN | IFF_NO_PI | IFF_VNET_HDR");
}

static int run(const char *name, bool foreground)
{
	struct cv_control_options options = {
		.restrict_self = cv_restrict_self,
		.started = foreground ? NULL : tell_parent,
		.bare = true,
	};
	struct cv_config config;
	int result = get_fd("WG_TUN_FD", &options.tun_fd);

	if (result == 0)
		result = get_fd("WG_UAPI_FD", &options.uapi_fd);
	if (result < 0)
		return CV_EXIT_FAILURE;
	result = cv_crypto_init();
	if (result < 0) {
		cv_complain("libsodium or libcrypto does not work: %s", strerror(-result));
		return CV_EXIT_FAILURE;
	}
	cv_config_init(&config);
	memcpy(config.name, name, strlen(name) + 1);
	config.table = CV_CONFIG_TABLE_OFF;
	cv_log_set_level(get_log_level());
	result = cv_control_run(&options, &config);
	if (options.tun_fd >= 0)
		explain_tun(result);
	return result < 0 ? CV_EXIT_FAILURE : CV_EXIT_OK;
}

/* In the child: a session of its own, nothing to read, and somebody to talk to for now. */
static int detach(int pipe_end)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	to_parent = pipe_end;
	setsid();
	signal(SIGPIPE, SIG_IGN);
	if (null < 0 || chdir("/") < 0 || dup2(null, STDIN_FILENO) < 0)
		return -errno;
	if (!is_heard_in_background() &&
	    (dup2(null, STDOUT_FILENO) < 0 || dup2(pipe_end, STDERR_FILENO) < 0))
		return -errno;
	return null > STDERR_FILENO ? close(null) : 0;
}

/* Pass on what the child says. Return: whether it said that all is there. */
static bool await(int pipe_end)
{
	char text[512];
	ssize_t n;

	while ((n = read(pipe_end, text, sizeof(text))) != 0) {
		size_t len = n > 0 ? strnlen(text, (size_t)n) : 0;

		if (n < 0 && errno != EINTR) {
			cv_complain("cannot hear how it goes: %s", strerror(errno));
			break;
		}
		cv_write_all(STDERR_FILENO, text, len); /* if nobody hears, we still wait */
		if (n > 0 && len < (size_t)n)
			return true;
	}
	return false;
}

static int run_in_background(const char *name)
{
	int ends[2];
	bool works;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		cv_complain("cannot go to the background: %s", strerror(errno));
		return CV_EXIT_FAILURE;
	}
	if (child == 0) {
		close(ends[0]);
		if (detach(ends[1]) < 0) {
			cv_complain("cannot go to the background: %s", strerror(errno));
			exit(CV_EXIT_FAILURE);
		}
		exit(run(name, false));
	}
	close(ends[1]);
	works = await(ends[0]);
	if (!works) {
		kill(child, SIGTERM);    /* unless it has ended, which is the rule */
		waitpid(child, NULL, 0); /* nothing is left of it when we return */
	}
	return works ? CV_EXIT_OK : CV_EXIT_FAILURE;
}

int cv_bare_run(int argc, char **argv)
{
	bool option = is_foreground_option(argv[1]);
	const char *variable = getenv("WG_PROCESS_FOREGROUND");
	bool foreground = option || (variable && strcmp(variable, "1") == 0);
	const char *name = argv[argc - 1];
	int result;

	if (argc != 2 + option) {
		cv_complain("usage: convoy [-f|--foreground] INTERFACE");
		return CV_EXIT_USAGE;
	}
	if (!is_name(name)) {
		cv_complain("%s cannot name an interface: 1 to 15 of the characters "
			    "a-z A-Z 0-9 _ = + . -, with no - in front, and neither . nor ..",
			    name);
		return CV_EXIT_FAILURE;
	}
	result = foreground ? run(name, true) : run_in_background(name);
	if (result != CV_EXIT_OK && !option && !is_meant_by_environment())
		cv_complain("%s is no command and was taken for an interface to make; "
			    "convoy --help lists the commands",
			    name);
	return result;
}
