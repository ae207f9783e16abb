/*
 * The UAPI socket, /var/run/wireguard/NAME.sock: where wg(8) and all that is built on it find us.
 *
 * A socket file that nobody answers on was left by a daemon that was killed and is replaced; one
 * that is answered on is another daemon's and stays. Who deletes our file asks us to end: inotify
 * tells, and lstat(2) whether what lies there now is still ours. Ours is also what we delete at the
 * end, and nothing else.
 *
 * Conversations are uapi_client.c's. When there are too many the one that was silent for longest
 * goes, so that forgotten connections lock nobody out.
 */
#include "uapi.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <convoy/device/show.h>
#include <convoy/log/log.h>

#define FOLDER "/var/run/wireguard"

enum {
	/* Some 9 KiB each, and a reply's piece. Not tuned. */
	CLIENTS_MAX = 32,
	/* For the socket of a daemon that was killed: its ring goes on listening for a moment after
	 * the process is gone. 20 ms were seen. */
	PATIENCE_MS = 1000,
	INTERVAL_MS = 5,
	/* Whoever waits while there are no descriptors. Not tuned. */
	ACCEPT_AGAIN_MS = 250,
};

struct cv_uapi {
	struct cv_control *control;
	struct cv_watch listener, deletion;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1]; /* "": unknown */
	dev_t dev;
	ino_t ino;
	bool gone;
	cv_time accept_again;                        /* CV_TIME_NEVER: when somebody comes */
	struct cv_uapi_client *clients[CLIENTS_MAX]; /* NULL: free */
};

/* Connections ----------------------------------------------------------------------------- */

static void forget(void *owner, struct cv_uapi_client *client)
{
	struct cv_uapi *uapi = owner;

	for (int i = 0; i < CLIENTS_MAX; i++)
		if (uapi->clients[i] == client)
			uapi->clients[i] = NULL;
}

/* A free place, made free if need be. */
static struct cv_uapi_client **find_place(struct cv_uapi *uapi)
{
	struct cv_uapi_client **oldest = &uapi->clients[0];

	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct cv_uapi_client **place = &uapi->clients[i];

		if (!*place)
			return place;
		if (cv_uapi_client_active(*place) < cv_uapi_client_active(*oldest))
			oldest = place;
	}
	cv_uapi_client_free(*oldest);
	*oldest = NULL;
	return oldest;
}

/* Nobody tells when there are descriptors or memory again. */
static void accept_later(struct cv_uapi *uapi, int error)
{
	CV_LOG_LIMITED(CV_LOG_WARN, "%s: no connection of the UAPI: %s, trying again",
		       uapi->control->config.name, strerror(error));
	uapi->accept_again = cv_clock_now() + ACCEPT_AGAIN_MS * CV_NS_PER_MS;
}

static bool listener_ready(struct cv_watch *watch, uint32_t revents)
{
	struct cv_uapi *uapi = watch->owner;
	int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		*find_place(uapi) = cv_uapi_client_new(uapi->control, fd, forget, uapi);
		return true;
	}
	if (errno == EINTR || errno == ECONNABORTED)
		return true;
	if (errno != EAGAIN)
		accept_later(uapi, errno);
	return false;
}

cv_time cv_uapi_deadline(const struct cv_uapi *uapi)
{
	return uapi ? uapi->accept_again : CV_TIME_NEVER;
}

void cv_uapi_turn(struct cv_uapi *uapi, cv_time now)
{
	if (now < cv_uapi_deadline(uapi))
		return;
	uapi->accept_again = CV_TIME_NEVER;
	cv_loop_again(uapi->control->loop, &uapi->listener);
}

/* The socket file ------------------------------------------------------------------------- */

/* Whether our file lies where it was put. */
static bool is_in_place(const struct cv_uapi *uapi)
{
	struct stat status;

	return lstat(uapi->path, &status) == 0 && status.st_dev == uapi->dev &&
	       status.st_ino == uapi->ino;
}

static bool deletion_ready(struct cv_watch *watch, uint32_t revents)
{
	struct cv_uapi *uapi = watch->owner;
	char events[512];

	while (read(watch->fd, events, sizeof(events)) > 0)
		;
	uapi->gone = !is_in_place(uapi);
	return false;
}

/* Remember the file that lies there. */
static int know_file(struct cv_uapi *uapi, const char *path)
{
	struct stat status;

	if (lstat(path, &status) < 0)
		return -errno;
	uapi->dev = status.st_dev;
	uapi->ino = status.st_ino;
	memcpy(uapi->path, path, strlen(path) + 1);
	return 0;
}

/* Hear of its end. */
static void follow_file(struct cv_uapi *uapi)
{
	struct cv_watch *watch = &uapi->deletion;
	int r = 0;

	*watch = (struct cv_watch){ inotify_init1(IN_NONBLOCK | IN_CLOEXEC), deletion_ready, uapi };
	/* A socket that is open lives on without a name: its link count changes. */
	if (watch->fd < 0 ||
	    inotify_add_watch(watch->fd, uapi->path, IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF) < 0)
		r = -errno;
	if (r == 0)
		r = cv_loop_add(uapi->control->loop, watch);
	if (r < 0)
		cv_log_warn("%s: cannot watch %s: %s; deleting it will not end the tunnel, "
			    "ignoring",
			    uapi->control->config.name, uapi->path, strerror(-r));
}

/* Making and adopting --------------------------------------------------------------------- */

static void make_folder(void)
{
	char path[] = FOLDER;

	/* Where it fails bind() will say so. */
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	mkdir(path, 0755);
}

/* Connect to what lies there. Return: 0 somebody listens, or -errno. */
static int probe(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		r = -errno;
	close(fd);
	return r == -EAGAIN ? 0 : r; /* a full queue is somebody's */
}

/* Make way for our file. Return: -EADDRINUSE when somebody listens. */
static int remove_stale(const struct sockaddr_un *address)
{
	int r = probe(address);

	for (int ms = 0; ms < PATIENCE_MS && r == 0; ms += INTERVAL_MS) {
		poll(NULL, 0, INTERVAL_MS);
		r = probe(address);
	}
	if (r == -ECONNREFUSED)
		return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
	return r == 0 ? -EADDRINUSE : 0; /* other errors bind() will meet as well */
}

/* Who runs without privileges may have no folder for it; a bare tunnel is nothing without. */
static bool is_bearable(const struct cv_control *control, int error)
{
	return !control->options->bare && (error == -EACCES || error == -ENOENT || error == -EROFS);
}

/* The mode of a socket becomes that of its file: no moment in which others may connect. */
static int bind_file(struct cv_uapi *uapi, const struct sockaddr_un *address)
{
	int fd = uapi->listener.fd, r = 0;

	if (fchmod(fd, 0600) < 0 ||
	    bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -errno;
	if (listen(fd, SOMAXCONN) < 0)
		r = -errno;
	if (r == 0)
		r = know_file(uapi, address->sun_path);
	if (r < 0)
		unlink(address->sun_path);
	return r;
}

static int make_socket(struct cv_uapi *uapi)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct cv_device_show show;
	int r;

	cv_device_show(uapi->control->device, false, &show);
	snprintf(address.sun_path, sizeof(address.sun_path), FOLDER "/%s.sock", show.name);
	make_folder();
	r = remove_stale(&address);
	if (r == 0)
		r = bind_file(uapi, &address);
	if (is_bearable(uapi->control, r)) {
		cv_log_warn("%s: no %s: %s, so wg(8) does not see the tunnel, ignoring",
			    uapi->control->config.name, address.sun_path, strerror(-r));
		return r;
	}
	if (r < 0) {
		cv_log_err("%s: cannot make the socket %s: %s", uapi->control->config.name,
			   address.sun_path,
			   r == -EADDRINUSE ? "another daemon answers on it" : strerror(-r));
		return r;
	}
	follow_file(uapi);
	return 0;
}

static int open_socket(struct cv_uapi *uapi)
{
	uapi->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return uapi->listener.fd < 0 ? -errno : make_socket(uapi);
}

/* A listening socket that somebody else made; where its file lies it tells itself. */
static int adopt_socket(struct cv_uapi *uapi, int fd)
{
	struct sockaddr_un address = { 0 };
	socklen_t size = sizeof(address), int_size = sizeof(int);
	int listening = 0, flags = fcntl(fd, F_GETFL);

	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0 || !listening ||
	    address.sun_family != AF_UNIX) {
		cv_log_err("%s: descriptor %d is no listening Unix socket",
			   uapi->control->config.name, fd);
		return -ENOTSOCK;
	}
	uapi->listener.fd = fd;
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	/* The kernel terminates a path; an abstract name begins with a zero and has no file. */
	if (address.sun_path[0] && know_file(uapi, address.sun_path) == 0)
		follow_file(uapi);
	return 0;
}

/* The door -------------------------------------------------------------------------------- */

int cv_uapi_open(struct cv_control *control, struct cv_uapi **ret_uapi)
{
	struct cv_uapi *uapi = calloc(1, sizeof(*uapi));
	int r;

	if (!uapi)
		return -ENOMEM;
	uapi->control = control;
	uapi->listener = (struct cv_watch){ -1, listener_ready, uapi };
	uapi->deletion.fd = -1;
	uapi->accept_again = CV_TIME_NEVER;
	r = control->options->uapi_fd >= 0 ? adopt_socket(uapi, control->options->uapi_fd)
					   : open_socket(uapi);
	if (r == 0)
		r = cv_loop_add(control->loop, &uapi->listener);
	if (r < 0)
		cv_uapi_close(uapi);
	else
		*ret_uapi = uapi;
	return is_bearable(control, r) ? 0 : r;
}

bool cv_uapi_is_gone(const struct cv_uapi *uapi)
{
	return uapi->gone;
}

static void close_watch(struct cv_loop *loop, struct cv_watch *watch)
{
	cv_loop_remove(loop, watch);
	if (watch->fd >= 0)
		close(watch->fd);
}

void cv_uapi_close(struct cv_uapi *uapi)
{
	if (!uapi)
		return;
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (uapi->clients[i])
			cv_uapi_client_free(uapi->clients[i]);
	if (uapi->path[0] && is_in_place(uapi))
		unlink(uapi->path);
	close_watch(uapi->control->loop, &uapi->deletion);
	close_watch(uapi->control->loop, &uapi->listener);
	free(uapi);
}
