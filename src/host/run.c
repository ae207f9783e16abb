/*
 * Programs by argv.
 *
 * No shell is between us and a program, and nothing that came from the network is among its
 * arguments. It gets a clean environment, its standard input from memory (so that nothing waits for
 * a reader), and one pipe for all that it prints, which we cut into lines of the log. Where the log
 * does not take them, the last ones are kept, and go there as errors if the program fails. It ends
 * when its process ends: a daemon that it leaves behind may keep the pipe.
 *
 * Whoever asked for it may want it to end: its process group then gets SIGTERM, and SIGKILL when
 * that did not help.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

enum {
	LINE_MAX_BYTES = 900, /* what fits one line of the log */
	GRACE_MS = 5000,      /* between SIGTERM and SIGKILL; as long as people wait */
	PATH_BYTES_MAX = 4096,
	ENV_MAX = 32,
	LAST_LINES = 5,
};

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *search_path(void)
{
	const char *path = getenv("PATH");

	return path && *path ? path : DEFAULT_PATH;
}

/* As execvp(3) looks for it. */
static bool find(const char *program, char ret_path[PATH_BYTES_MAX])
{
	const char *dir = search_path();
	size_t program_len = strlen(program);
	struct stat status;

	if (program_len >= PATH_BYTES_MAX)
		return false;
	if (strchr(program, '/')) {
		memcpy(ret_path, program, program_len + 1);
		return access(program, X_OK) == 0;
	}
	while (*dir) {
		size_t len = strcspn(dir, ":");

		if (len > 0 && len + program_len + 2 < PATH_BYTES_MAX) {
			snprintf(ret_path, PATH_BYTES_MAX, "%.*s/%s", (int)len, dir, program);
			if (access(ret_path, X_OK) == 0 && stat(ret_path, &status) == 0 &&
			    S_ISREG(status.st_mode))
				return true;
		}
		dir += len + (dir[len] == ':');
	}
	return false;
}

bool cv_run_exists(const char *program)
{
	char path[PATH_BYTES_MAX];

	return find(program, path);
}

/* Where a program comes from that is not there. */
static const char *package_of(const char *program)
{
	static const struct {
		const char *program, *package;
	} known[] = {
		{ "nft", "nftables" },
		{ "resolvconf", "openresolv" },
		{ "resolvectl", "systemd-resolved" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].program, program) == 0)
			return known[i].package;
	return NULL;
}

static int complain_missing(const struct cv_run *run)
{
	const char *package = package_of(run->argv[0]);

	cv_log_err("%s: there is no program %s%s%s", run->tunnel, run->argv[0],
		   package ? "; it is in the package " : "", package ? package : "");
	return -ENOENT;
}

/* A program that runs. */
struct process {
	const struct cv_run *run;
	pid_t pid;
	int pidfd;  /* -1 where the kernel has none: then the end of the output is its end */
	int output; /* of both stdout and stderr */
	char line[LINE_MAX_BYTES + 1];
	size_t len;
	char last[LAST_LINES][LINE_MAX_BYTES + 1]; /* those that were not logged, in turn */
	size_t n_last;
	bool cancelled;
};

static void put_line(const struct process *process, enum cv_log_level level, const char *line)
{
	cv_log(level, "%s: %s: %s", process->run->tunnel, process->run->what, line);
}

static void end_line(struct process *process)
{
	process->line[process->len] = '\0';
	if (process->len > 0 && cv_log_is_on(process->run->level))
		put_line(process, process->run->level, process->line);
	else if (process->len > 0)
		memcpy(process->last[process->n_last++ % LAST_LINES], process->line,
		       process->len + 1);
	process->len = 0;
}

/* Take what there is. Return: false at the end. */
static bool take_output(struct process *process)
{
	char bytes[1024];
	ssize_t n;

	while ((n = read(process->output, bytes, sizeof(bytes))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (bytes[i] == '\n')
				end_line(process);
			else
				process->line[process->len++] = bytes[i];
			if (process->len == LINE_MAX_BYTES)
				end_line(process);
		}
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* The input lies in memory, from its beginning. */
static int open_input(const char *text)
{
	size_t len = text ? strlen(text) : 0;
	int fd;

	if (!text)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	fd = memfd_create("input", MFD_CLOEXEC);
	if (fd >= 0 && (write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		errno = EIO;
		return -1;
	}
	return fd;
}

/* PATH and what the caller adds. */
static void fill_env(const struct cv_run *run, char *path, size_t size, char *ret_env[ENV_MAX])
{
	size_t n = 0;

	snprintf(path, size, "PATH=%s", search_path());
	ret_env[n++] = path;
	for (const char *const *env = run->env; env && *env && n + 1 < ENV_MAX; env++)
		ret_env[n++] = (char *)(uintptr_t)*env; /* execve(2) does not write to it */
	ret_env[n] = NULL;
}

/* Signals as a program expects them: none blocked, none ignored. */
static void set_signals(posix_spawnattr_t *attr)
{
	sigset_t set;

	sigfillset(&set);
	posix_spawnattr_setsigdefault(attr, &set);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(attr, &set);
	posix_spawnattr_setpgroup(attr, 0);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
					       POSIX_SPAWN_SETPGROUP);
}

static int spawn(const struct cv_run *run, const char *path, int input, int output, pid_t *ret_pid)
{
	char path_variable[PATH_BYTES_MAX], *env[ENV_MAX];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r;

	fill_env(run, path_variable, sizeof(path_variable), env);
	if (posix_spawn_file_actions_init(&actions) || posix_spawnattr_init(&attr))
		return -ENOMEM;
	set_signals(&attr);
	r = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
	if (!r)
		r = posix_spawn(ret_pid, path, &actions, &attr, (char *const *)(uintptr_t)run->argv,
				env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -r;
}

static int begin(const struct cv_run *run, const char *path, struct process *process)
{
	int input = open_input(run->input), output[2] = { -1, -1 }, r;

	if (input < 0)
		return -errno;
	if (pipe2(output, O_CLOEXEC) < 0) {
		r = -errno;
		close(input);
		return r;
	}
	fcntl(output[0], F_SETFL, O_NONBLOCK);
	r = spawn(run, path, input, output[1], &process->pid);
	close(input);
	close(output[1]);
	if (r < 0) {
		close(output[0]);
		return r;
	}
	process->output = output[0];
	process->pidfd = pidfd_open(process->pid, 0);
	return 0;
}

/* Somebody wants it to end, or does not want it any more. */
static void cancel(struct process *process)
{
	char message[64];

	recv(process->run->cancel, message, sizeof(message), MSG_DONTWAIT);
	process->cancelled = true;
	kill(-process->pid, SIGTERM);
}

/* Return: its status as waitpid(2) tells it. */
static int follow(struct process *process)
{
	int status = 0, watched;

	for (;;) {
		struct pollfd each[] = {
			{ .fd = process->pidfd, .events = POLLIN },
			{ .fd = process->output, .events = POLLIN },
			{ .fd = process->cancelled ? -1 : process->run->cancel, .events = POLLIN },
		};

		watched = poll(each, 3, process->cancelled ? GRACE_MS : -1);
		if (watched == 0)
			kill(-process->pid, SIGKILL);
		if (watched <= 0)
			continue;
		if (each[2].revents)
			cancel(process);
		if (each[1].revents && !take_output(process)) {
			close(process->output);
			process->output = -1;
		}
		if (each[0].revents || (process->pidfd < 0 && process->output < 0))
			break;
	}
	while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static void finish(struct process *process)
{
	if (process->output >= 0) {
		take_output(process);
		close(process->output);
	}
	end_line(process);
	if (process->pidfd >= 0)
		close(process->pidfd);
}

static int judge(const struct process *process, int status)
{
	const struct cv_run *run = process->run;

	if (process->cancelled) {
		cv_log_warn("%s: %s was ended", run->tunnel, run->what);
		return -EINTR;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	for (size_t i = process->n_last > LAST_LINES ? process->n_last - LAST_LINES : 0;
	     i < process->n_last; i++)
		put_line(process, CV_LOG_ERR, process->last[i % LAST_LINES]);
	if (WIFEXITED(status))
		cv_log_err("%s: %s failed with exit status %d", run->tunnel, run->what,
			   WEXITSTATUS(status));
	else
		cv_log_err("%s: %s was killed: %s", run->tunnel, run->what,
			   strsignal(WTERMSIG(status)));
	return -EIO;
}

int cv_run(const struct cv_run *run)
{
	struct process process = { .run = run };
	char path[PATH_BYTES_MAX];
	int r, status;

	if (!find(run->argv[0], path))
		return complain_missing(run);
	r = begin(run, path, &process);
	if (r < 0) {
		cv_log_err("%s: cannot run %s: %s", run->tunnel, path, strerror(-r));
		return r;
	}
	status = follow(&process);
	finish(&process);
	return judge(&process, status);
}
