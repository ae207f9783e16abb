/*
 * up, down and reload: a tunnel in the background.
 *
 * How it works. `up` forks; the child leaves the terminal and becomes the tunnel, the parent waits
 * for its verdict on a socket. Until then the child's stderr is a pipe that the parent copies to
 * its own: errors, and what hooks print. Afterwards the parent is gone and the tunnel's lines go
 * to their place for good: the journal where there is one, the given stderr where that is a file,
 * else nowhere (a terminal or a pipe would be held open for as long as the tunnel lives). The
 * keeper and its hooks hold the pipe until the end; a thread copies it from then on.
 *
 * `down` and `reload` ask the running tunnel at its door, and `down` waits for its process to end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <convoy/control/door.h>
#include <convoy/host/host.h>

#include "internal.h"

#define JOURNAL_PATH "/run/systemd/journal/stdout"
#define UAPI_PATH    "/var/run/wireguard/%s.sock"

enum {
	LINGER_MS = 1000, /* 20 ms were the most that was seen on two busy cores */
	INTERVAL_MS = 5,
};

/* The child's, for cv_control_options.started(), which knows nothing but a result. */
static struct {
	int verdict;  /* to the parent, which closes its end when it has read all */
	int words[2]; /* the pipe that is stderr of all until then */
	int log;      /* stderr from then on */
} start;

/* Where the log goes ---------------------------------------------------------------------- */

/* A stream of the journal, as systemd gives one to its services; sd_journal_stream_fd(3). */
static int open_journal(void)
{
	static const char header[] = "convoy\n"   /* identifier */
				     "\n"         /* unit: ours to say only for a service manager */
				     "6\n"        /* priority of lines without a prefix: info */
				     "1\n"        /* lines may have one */
				     "0\n0\n0\n"; /* not to syslog, kernel or console */
	const struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = JOURNAL_PATH };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
	    cv_write_all(fd, header, strlen(header)) == 0)
		return fd;
	close(fd);
	return -ENOENT;
}

/* By this the log knows that its stderr is the journal; sd-daemon(3). */
static void announce_journal(int fd)
{
	char text[64];
	struct stat status;

	if (fstat(fd, &status) < 0)
		return;
	snprintf(text, sizeof(text), "%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino);
	setenv("JOURNAL_STREAM", text, 1);
}

static int open_log(void)
{
	struct stat status;
	int fd = open_journal();

	if (fd >= 0) {
		announce_journal(fd);
		return fd;
	}
	if (fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode))
		return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

/* What can be read now, of a descriptor that does not block. Return: false at its end. */
static bool copy(int from, int to)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(from, bytes, sizeof(bytes))) != 0) {
		if (n > 0)
			cv_write_all(to, bytes, (size_t)n);
		else if (errno != EINTR)
			return errno == EAGAIN;
	}
	return false;
}

static void *copy_on(void *arg)
{
	struct pollfd words = { start.words[0], POLLIN, 0 };

	while (poll(&words, 1, -1) < 0 || copy(words.fd, STDERR_FILENO))
		;
	return NULL;
}

/* The child ------------------------------------------------------------------------------- */

static void tell(int result)
{
	pthread_t thread;
	char none;

	if (cv_write_all(start.verdict, (const char *)&result, sizeof(result)) < 0) {
		close(start.verdict); /* if there is a parent, it sees that, and ends us */
		return;
	}
	if (result < 0)
		return; /* the parent waits for our end */
	while (read(start.verdict, &none, 1) < 0 && errno == EINTR)
		;
	close(start.verdict);
	dup2(start.log, STDERR_FILENO);
	close(start.words[1]);
	if (pthread_create(&thread, NULL, copy_on, NULL) == 0)
		pthread_detach(thread);
}

static int become_tunnel(const char *path, struct cv_config *config)
{
	const struct cv_control_options options = {
		.path = path,
		.read = cv_tunnel_read,
		.restrict_self = cv_restrict_self,
		.started = tell,
		.tun_fd = -1,
		.uapi_fd = -1,
	};
	int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

	start.log = open_log();
	if (nowhere < 0 || start.log < 0 || setsid() < 0 || chdir("/") < 0 ||
	    dup2(nowhere, STDIN_FILENO) < 0 || dup2(nowhere, STDOUT_FILENO) < 0 ||
	    dup2(start.words[1], STDERR_FILENO) < 0) {
		cv_complain("cannot go to the background: %s", strerror(errno));
		return CV_EXIT_FAILURE;
	}
	close(nowhere);
	return cv_control_run(&options, config) < 0 ? CV_EXIT_FAILURE : CV_EXIT_OK;
}

/* The parent ------------------------------------------------------------------------------ */

static volatile sig_atomic_t child;

static void pass_on(int signal)
{
	kill(child, SIGTERM);
}

static void pass_signals_on(void)
{
	const struct sigaction action = { .sa_handler = pass_on };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* Copy what the child says until it is told how it went, and close `verdict`. Return: 0, or -errno
 * with the child, its keeper and all that they made gone. */
static int await_verdict(int verdict, int words)
{
	struct pollfd polls[] = { { verdict, POLLIN, 0 }, { words, POLLIN, 0 } };
	int result = -ECHILD;
	ssize_t n;

	while (result != 0) {
		int said;

		if (poll(polls, 2, -1) < 0)
			continue; /* a signal was passed on */
		if (polls[1].revents && !copy(words, STDERR_FILENO))
			polls[1].fd = -1;
		if (!polls[0].revents)
			continue;
		n = read(verdict, &said, sizeof(said));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			cv_complain("cannot hear how it goes: %s", strerror(errno));
		if (n != sizeof(said))
			break;
		result = said;
	}
	copy(words, STDERR_FILENO);
	close(verdict); /* from here on the words are the child's */
	if (result < 0)
		kill(child, SIGTERM); /* it ends, has ended, or nobody would ever know of it */
	return result;
}

static int be_parent(const char *name, int verdict)
{
	int result, status;

	pass_signals_on();
	close(start.words[1]);
	fcntl(start.words[0], F_SETFL, O_NONBLOCK);
	result = await_verdict(verdict, start.words[0]);
	if (result == 0)
		return CV_EXIT_OK;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		cv_complain("the process of %s was ended by signal %d", name, WTERMSIG(status));
	return CV_EXIT_FAILURE;
}

int cv_command_up(int n, char **arguments)
{
	struct cv_config config;
	char path[PATH_MAX], name[IFNAMSIZ];
	int ends[2], result;

	if (cv_tunnel_load(arguments[0], path, &config) < 0)
		return CV_EXIT_FAILURE;
	memcpy(name, config.name, sizeof(name));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ||
	    pipe2(start.words, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		cv_complain("cannot go to the background: %s", strerror(errno));
		result = CV_EXIT_FAILURE;
	} else if (child == 0) {
		start.verdict = ends[1];
		close(ends[0]);
		result = become_tunnel(path, &config);
	} else {
		close(ends[1]);
		result = be_parent(name, ends[0]);
	}
	cv_config_free(&config);
	return result;
}

/* A running tunnel ------------------------------------------------------------------------ */

/* Its config file may be gone by now, so a bare name is taken as it is. */
static int name_of(const char *argument, char ret_name[IFNAMSIZ])
{
	char candidates[2][CV_CONFIG_PATH_MAX];

	if (cv_config_path_candidates(argument, candidates) == 0) {
		snprintf(ret_name, IFNAMSIZ, "%s", argument);
		return 0;
	}
	if (cv_config_name_from_path(argument, ret_name) == 0)
		return 0;
	cv_complain("%s is neither a tunnel's name nor its config file; `convoy show` lists those "
		    "that run",
		    argument);
	return -EINVAL;
}

static int await_end(const char *name, pid_t pid)
{
	struct pollfd ended = { .fd = pidfd_open(pid, 0), .events = POLLIN };

	if (ended.fd < 0 && errno == ESRCH)
		return CV_EXIT_OK;
	if (ended.fd < 0) {
		cv_complain("%s is ending; cannot wait for it: %s", name, strerror(errno));
		return CV_EXIT_FAILURE;
	}
	while (poll(&ended, 1, -1) < 0 && errno == EINTR)
		;
	close(ended.fd);
	return CV_EXIT_OK;
}

/* The kernel takes a killed tunnel's interface away some ten milliseconds after its process. One
 * that somebody made to stay is not waited for longer than that. */
static void await_kernel(const char *name)
{
	for (int ms = 0; ms < LINGER_MS && if_nametoindex(name); ms += INTERVAL_MS)
		poll(NULL, 0, INTERVAL_MS);
}

/* Nobody listens: take back what a killed one left. */
static int clean_up(const char *name, const char *argument, bool was_killed)
{
	char path[sizeof(UAPI_PATH) + IFNAMSIZ];
	int r = cv_host_restore(name);

	if (r < 0 && r != -ENOENT)
		return CV_EXIT_FAILURE;
	if (r == -ENOENT && !was_killed) {
		cv_client_complain(name, argument, true, r);
		return CV_EXIT_FAILURE;
	}
	snprintf(path, sizeof(path), CV_DOOR_PATH, name);
	unlink(path);
	snprintf(path, sizeof(path), UAPI_PATH, name);
	unlink(path);
	await_kernel(name);
	cv_complain("%s was killed; what it left behind was taken back", name);
	return CV_EXIT_OK;
}

int cv_command_down(int n, char **arguments)
{
	struct cv_reply reply = { 0 };
	char name[IFNAMSIZ];
	int result;

	if (name_of(arguments[0], name) < 0)
		return CV_EXIT_FAILURE;
	result = cv_client_try(name, "POST", "/down", &reply);
	if (result == -ENOENT || result == -ECONNREFUSED)
		return clean_up(name, arguments[0], result == -ECONNREFUSED);
	if (result < 0) {
		cv_client_complain(name, arguments[0], true, result);
		return CV_EXIT_FAILURE;
	}
	result = await_end(name, reply.daemon);
	cv_reply_done(&reply);
	return result;
}

int cv_command_reload(int n, char **arguments)
{
	struct cv_reply reply = { 0 };
	char name[IFNAMSIZ];
	int result;

	if (name_of(arguments[0], name) < 0)
		return CV_EXIT_FAILURE;
	result = cv_client_try(name, "POST", "/reload", &reply);
	if (result < 0) {
		cv_client_complain(name, arguments[0], false, result);
		return CV_EXIT_FAILURE;
	}
	cv_put_lines(stderr, reply.body, reply.len);
	result = reply.status == 200 ? CV_EXIT_OK : CV_EXIT_FAILURE;
	cv_reply_done(&reply);
	return result;
}
