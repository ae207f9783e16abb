/*
 * What there is to undo, in a file that outlives us: /run/convoy/NAME.state.
 *
 * One line of text, always of the same length and written by one pwrite(2), so that there is no
 * half of it for a reader who comes after a crash. Two bytes of the file are locked, each through
 * an open file of its own, which dies with the last process that has it:
 *
 *	byte 0	the keeper: who may read and write the state
 *	byte 1	the tunnel: whether it is alive
 *
 * Whoever finds the tunnel dead and the keeper alive waits for the keeper, which is undoing things.
 * The file is removed under the lock when it has nothing to tell; who waited for a file that was
 * removed opens it anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define STATE_DIR  "/run/convoy"
#define STATE_PATH STATE_DIR "/%s.state"

enum {
	PATH_MAX_BYTES = 64,
	LINE_SIZE = 96,
	KEEPER_BYTE = 0,
	TUNNEL_BYTE = 1,
};

static int lock(int fd, int byte, int how)
{
	struct flock wanted = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};

	while (fcntl(fd, how, &wanted) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

/* Whether the path still leads to this file. */
static bool is_there(int fd, const char *path)
{
	struct stat ours, theirs;

	return fstat(fd, &ours) == 0 && stat(path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
	       ours.st_ino == theirs.st_ino;
}

/* Return: 1 locked, 0 the file was removed in between, -errno. */
static int open_locked(const char *name, const char *path, int *ret_fd, int *ret_alive)
{
	int alive = open_file(path), fd = -1, r;

	if (alive < 0)
		return alive;
	r = lock(alive, TUNNEL_BYTE, F_OFD_SETLK);
	if (r == -EAGAIN || r == -EACCES)
		r = -EBUSY;
	if (r == 0) {
		fd = open_file(path);
		r = fd < 0 ? fd : lock(fd, KEEPER_BYTE, F_OFD_SETLK);
	}
	if (fd >= 0 && (r == -EAGAIN || r == -EACCES)) {
		cv_log_info("%s: waiting until what an earlier tunnel left is undone", name);
		r = lock(fd, KEEPER_BYTE, F_OFD_SETLKW);
	}
	if (r == 0 && is_there(alive, path) && is_there(fd, path)) {
		*ret_fd = fd;
		*ret_alive = alive;
		return 1;
	}
	close(alive);
	if (fd >= 0)
		close(fd);
	return r;
}

/* A text that is not ours, or of another version, is an empty state. */
static void load(struct cv_host_state *state)
{
	char line[LINE_SIZE + 1] = "";
	unsigned dns, guard, kill_switch;

	if (pread(state->fd, line, LINE_SIZE, 0) != LINE_SIZE)
		return;
	if (sscanf(line, "convoy 1 dns %u guard %u killswitch %u src_valid_mark %d mark %" SCNu32,
		   &dns, &guard, &kill_switch, &state->src_valid_mark, &state->mark) != 5)
		return;
	state->dns = dns <= CV_HOST_DNS_FILE ? (enum cv_host_dns)dns : CV_HOST_DNS_NONE;
	state->guard = guard;
	state->kill_switch = kill_switch;
}

int cv_host_state_open(const char *name, struct cv_host_state *ret_state, int *ret_alive)
{
	struct cv_host_state state = { .src_valid_mark = -1 };
	char path[PATH_MAX_BYTES];
	int r = 0;

	if (mkdir(STATE_DIR, 0755) < 0 && errno != EEXIST)
		return -errno;
	snprintf(path, sizeof(path), STATE_PATH, name);
	while (r == 0)
		r = open_locked(name, path, &state.fd, ret_alive);
	if (r < 0)
		return r;
	snprintf(state.name, sizeof(state.name), "%s", name);
	load(&state);
	*ret_state = state;
	return 0;
}

int cv_host_state_save(const struct cv_host_state *state)
{
	char line[LINE_SIZE + 1];
	ssize_t n;

	snprintf(line, sizeof(line),
		 "convoy 1 dns %u guard %u killswitch %u src_valid_mark %d mark %" PRIu32,
		 state->dns, state->guard, state->kill_switch, state->src_valid_mark, state->mark);
	memset(line + strlen(line), ' ', LINE_SIZE - strlen(line));
	line[LINE_SIZE - 1] = '\n';
	n = pwrite(state->fd, line, LINE_SIZE, 0);
	if (n == LINE_SIZE)
		return 0;
	cv_log_err("%s: cannot write " STATE_PATH ": %s", state->name, state->name,
		   n < 0 ? strerror(errno) : "no space");
	return n < 0 ? -errno : -ENOSPC;
}

bool cv_host_state_is_clean(const struct cv_host_state *state)
{
	return state->dns == CV_HOST_DNS_NONE && !state->guard && !state->kill_switch &&
	       state->src_valid_mark < 0 && state->mark == 0;
}

void cv_host_state_close(struct cv_host_state *state)
{
	char path[PATH_MAX_BYTES];

	snprintf(path, sizeof(path), STATE_PATH, state->name);
	if (cv_host_state_is_clean(state))
		unlink(path);
	close(state->fd);
	state->fd = -1;
}
