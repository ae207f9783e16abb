/*
 * Whether a tunnel of this name runs already, and a moment for one that was killed.
 *
 * The kernel lets go of a killed daemon's interface and port some ten milliseconds after the
 * process is gone: its rings die in a worker of the kernel. Who starts it again at once would be
 * told that name and port are taken. So they are waited for; whoever else may have them keeps them,
 * and we say so a second later.
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <convoy/control/door.h>
#include <convoy/log/log.h>

#include "internal.h"

enum {
	PATIENCE_MS = 1000, /* 20 ms were the most that was seen on two busy cores */
	INTERVAL_MS = 5,
};

static bool somebody_listens(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool found;

	if (fd < 0)
		return false;
	snprintf(at.sun_path, sizeof(at.sun_path), CV_DOOR_PATH, name);
	found = connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
	close(fd);
	return found;
}

static bool port_is_taken(uint16_t port)
{
	const struct sockaddr_in at4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	const struct sockaddr_in6 at6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	const struct {
		const void *at;
		socklen_t size;
		int family;
	} each[] = { { &at4, sizeof(at4), AF_INET }, { &at6, sizeof(at6), AF_INET6 } };
	bool taken = false;

	for (int i = 0; i < 2; i++) {
		int fd = socket(each[i].family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		taken |= bind(fd, each[i].at, each[i].size) < 0 && errno == EADDRINUSE;
		close(fd);
	}
	return taken;
}

/* A TUN that somebody made to stay is there before us, and in nobody's way. (In a namespace whose
 * sysfs is not mounted this is not seen, and costs a second.) */
static bool is_persistent(const char *name)
{
	char path[64];
	unsigned flags = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/net/%s/tun_flags", name);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%x", &flags) != 1)
		flags = 0;
	fclose(file);
	return flags & IFF_PERSIST;
}

static bool is_in_the_way(const struct cv_control_options *options, const struct cv_config *config)
{
	if (options->tun_fd < 0 && if_nametoindex(config->name) && !is_persistent(config->name))
		return true;
	return config->listen_port && port_is_taken(config->listen_port);
}

int cv_control_await_predecessor(const struct cv_control *control)
{
	const struct cv_config *config = &control->config;

	if (somebody_listens(config->name)) {
		cv_log_err("%s: a tunnel of this name is running already", config->name);
		return -EBUSY;
	}
	for (int ms = 0; ms < PATIENCE_MS && is_in_the_way(control->options, config);
	     ms += INTERVAL_MS)
		poll(NULL, 0, INTERVAL_MS);
	return 0;
}
