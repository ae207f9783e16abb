/*
 * A client of running tunnels: one HTTP request a connection, over the door's Unix socket.
 *
 * The server closes the connection behind its reply, so a reply is all that comes until the end;
 * Content-Length tells whether it is whole.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <convoy/config/suggest.h>
#include <convoy/control/door.h>

#include "internal.h"

enum {
	PATIENCE_S = 30, /* a reload of a large file takes a while */
	FIRST_SIZE = 64 << 10,
};

static int is_door(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name), suffix = strlen(".sock");

	return len > suffix && len - suffix < IFNAMSIZ && entry->d_name[0] != '.' &&
	       strcmp(entry->d_name + len - suffix, ".sock") == 0;
}

int cv_client_list(struct cv_tunnels *ret_tunnels)
{
	struct cv_tunnels tunnels = { 0 };
	struct dirent **entries;
	int n = scandir(CV_DOOR_DIR, &entries, is_door, alphasort);

	if (n < 0 && errno == ENOENT)
		n = 0, entries = NULL;
	if (n < 0) {
		cv_complain("cannot list %s: %s", CV_DOOR_DIR, strerror(errno));
		return -errno;
	}
	tunnels.name = calloc((size_t)n + 1, sizeof(*tunnels.name));
	for (int i = 0; i < n; i++) {
		if (tunnels.name)
			snprintf(tunnels.name[i], IFNAMSIZ, "%.*s",
				 (int)(strlen(entries[i]->d_name) - strlen(".sock")),
				 entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	if (!tunnels.name) {
		cv_complain("not enough memory");
		return -ENOMEM;
	}
	tunnels.n = (size_t)n;
	*ret_tunnels = tunnels;
	return 0;
}

void cv_tunnels_done(struct cv_tunnels *tunnels)
{
	free(tunnels->name);
	*tunnels = (struct cv_tunnels){ 0 };
}

/* There is no such door: perhaps another name was meant. */
static void complain_absent(const char *name, const char *argument, bool to_end)
{
	struct cv_tunnels tunnels;
	const char **names;
	size_t near;

	if (cv_client_list(&tunnels) < 0)
		return;
	near = tunnels.n;
	names = calloc(tunnels.n + 1, sizeof(*names));
	if (names) {
		for (size_t i = 0; i < tunnels.n; i++)
			names[i] = tunnels.name[i];
		near = cv_suggest_nearest(name, strlen(name), names, tunnels.n);
	}
	if (near < tunnels.n)
		cv_complain("no tunnel %s is running; did you mean %s?", name, tunnels.name[near]);
	else if (!to_end)
		cv_complain("no tunnel %s is running; `convoy up %s` starts it", name, argument);
	else if (strcmp(name, argument) == 0)
		cv_complain("no tunnel %s is running; there is nothing to take back", name);
	else
		cv_complain("no tunnel %s is running; there is nothing of %s to take back", name,
			    argument);
	free(names);
	cv_tunnels_done(&tunnels);
}

void cv_client_complain(const char *name, const char *argument, bool to_end, int error)
{
	switch (error) {
	case -ENOENT:
		complain_absent(name, argument, to_end);
		break;
	case -EINVAL:
		cv_complain("%s is not the name of a tunnel: that has 1 to 15 characters and no "
			    "slash, as `convoy show` lists it",
			    name);
		break;
	case -ECONNREFUSED:
		cv_complain("the daemon of %s was killed; `convoy up %s` starts it again", name,
			    argument);
		break;
	case -EACCES:
	case -EPERM:
		cv_complain("only root may speak to %s; try it with sudo", name);
		break;
	case -EAGAIN:
		cv_complain("the daemon of %s does not answer; its log may tell why", name);
		break;
	case -EPROTO:
		cv_complain("the daemon of %s broke off its answer; its log may tell why", name);
		break;
	default:
		cv_complain("cannot speak to the daemon of %s: %s", name, strerror(-error));
	}
}

static int open_door(const char *name)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd;

	snprintf(at.sun_path, sizeof(at.sun_path), CV_DOOR_PATH, name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

static int send_request(int fd, const char *method, const char *path)
{
	char text[256];
	int len = snprintf(text, sizeof(text),
			   "%s %s HTTP/1.1\r\n"
			   "Host: localhost\r\n"
			   "Connection: close\r\n"
			   "Content-Length: 0\r\n"
			   "\r\n",
			   method, path);

	ssize_t n = send(fd, text, (size_t)len, MSG_NOSIGNAL);

	return n == len ? 0 : n < 0 ? -errno : -EPROTO;
}

/* All that comes until the end, terminated. */
static int receive(int fd, char **ret_text, size_t *ret_len)
{
	size_t size = FIRST_SIZE, len = 0;
	char *text = malloc(size);

	while (text) {
		ssize_t n = recv(fd, text + len, size - len - 1, 0);

		if (n == 0) {
			text[len] = '\0';
			*ret_text = text;
			*ret_len = len;
			return 0;
		}
		if (n < 0 && errno != EINTR) {
			int error = -errno;

			free(text);
			return error;
		}
		len += n > 0 ? (size_t)n : 0;
		if (len == size - 1) {
			char *larger = realloc(text, size *= 2);

			if (!larger)
				free(text);
			text = larger;
		}
	}
	return -ENOMEM;
}

/* Takes: text. */
static int parse(char *text, size_t len, struct cv_reply *reply)
{
	char *body = strstr(text, "\r\n\r\n");
	const char *length = strcasestr(text, "\r\nContent-Length:");
	int status;

	if (!body || sscanf(text, "HTTP/1.%*d %d", &status) != 1 || !length || length > body)
		return -EPROTO;
	body += strlen("\r\n\r\n");
	length += strlen("\r\nContent-Length:");
	reply->len = len - (size_t)(body - text);
	if (strtoull(length, NULL, 10) != reply->len)
		return -EPROTO;
	reply->status = status;
	reply->body = body;
	return 0;
}

static int talk(int fd, const char *method, const char *path, struct cv_reply *reply)
{
	struct ucred daemon;
	socklen_t size = sizeof(daemon);
	size_t len = 0;
	int r = send_request(fd, method, path);

	if (!r)
		r = receive(fd, &reply->text, &len);
	if (!r)
		r = parse(reply->text, len, reply);
	if (!r && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &daemon, &size) == 0)
		reply->daemon = daemon.pid;
	return r;
}

int cv_client_try(const char *name, const char *method, const char *path,
		  struct cv_reply *ret_reply)
{
	struct cv_reply reply = { 0 };
	int fd, r;

	if (!name[0] || strchr(name, '/') || strlen(name) >= IFNAMSIZ)
		return -EINVAL;
	fd = open_door(name);
	if (fd < 0)
		return fd;
	r = talk(fd, method, path, &reply);
	close(fd);
	if (r < 0)
		cv_reply_done(&reply);
	else
		*ret_reply = reply;
	return r;
}

int cv_client_ask(const char *name, const char *method, const char *path,
		  struct cv_reply *ret_reply)
{
	int r = cv_client_try(name, method, path, ret_reply);

	if (r < 0)
		cv_client_complain(name, name, false, r);
	return r;
}

void cv_reply_done(struct cv_reply *reply)
{
	free(reply->text);
	*reply = (struct cv_reply){ 0 };
}
