/*
 * Sockets that listen: the door's Unix socket and its file, and TCP.
 *
 * A file that a killed daemon left behind is told from that of a living one by connecting to it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"

enum { BACKLOG = 16 };

/* 0, also when it was there. */
static int make_folder(void)
{
	if (mkdir(CV_DOOR_DIR, 0755) == 0)
		return chmod(CV_DOOR_DIR, 0755) < 0 ? -errno : 0; /* whatever the umask is */
	return errno == EEXIST ? 0 : -errno;
}

/* Remove the socket of a dead process. Return: 0, -EADDRINUSE if it lives, or -errno. */
static int remove_stale(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	r = connect(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 ? -errno : 0;
	close(fd);
	if (r == -ENOENT)
		return 0;
	if (r != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(at->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_file(int fd, const struct sockaddr_un *at)
{
	int r;

	/* The mode of an unbound socket is that of its file to be: fchmod() of Linux's sockfs. */
	if (fchmod(fd, 0600) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	r = remove_stale(at);
	if (r < 0)
		return r;
	return bind(fd, (const struct sockaddr *)at, sizeof(*at)) < 0 ? -errno : 0;
}

int cv_door_listen(const char *name, struct cv_door_file *ret_file)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct stat status;
	int fd, r;

	*ret_file = (struct cv_door_file){ 0 };
	snprintf(ret_file->path, sizeof(ret_file->path), CV_DOOR_PATH, name);
	memcpy(at.sun_path, ret_file->path, sizeof(ret_file->path));
	r = make_folder();
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = bind_file(fd, &at);
	if (!r && (listen(fd, BACKLOG) < 0 || lstat(ret_file->path, &status) < 0)) {
		r = -errno;
		unlink(ret_file->path);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	ret_file->device = status.st_dev;
	ret_file->inode = status.st_ino;
	return fd;
}

void cv_door_unlink(const struct cv_door_file *file)
{
	struct stat status;

	if (file->inode && lstat(file->path, &status) == 0 && status.st_dev == file->device &&
	    status.st_ino == file->inode)
		unlink(file->path);
}

static socklen_t sockaddr_of(const struct cv_endpoint *at, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;

	*ret_address = (struct sockaddr_storage){ .ss_family = at->addr.family };
	if (at->addr.family == AF_INET) {
		v4->sin_port = htons(at->port);
		memcpy(&v4->sin_addr, at->addr.b, sizeof(v4->sin_addr));
		return sizeof(*v4);
	}
	v6->sin6_port = htons(at->port);
	v6->sin6_scope_id = at->scope;
	memcpy(&v6->sin6_addr, at->addr.b, sizeof(v6->sin6_addr));
	return sizeof(*v6);
}

int cv_door_listen_tcp(const struct cv_endpoint *at)
{
	struct sockaddr_storage address;
	socklen_t len = sockaddr_of(at, &address);
	bool v6 = at->addr.family == AF_INET6;
	const int on = 1;
	int fd = socket(at->addr.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	/* The address may come later: one of the tunnel's own that somebody else gives it. */
	setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on,
		   sizeof(on));
	if (bind(fd, (const struct sockaddr *)&address, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}
