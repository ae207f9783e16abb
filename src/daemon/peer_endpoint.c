/*
 * Where a client finds its server: said on the command line, said in the file, or guessed.
 *
 * The guess is the address from which this host would speak to the world, as its routes have it. It
 * is wrong behind a NAT, and only the user can know, so it is told of.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

enum {
	SOME_PORT = 53,
};

/* The address that this host has on its way to `to`. No packet is sent. */
static bool own_address(const char *to, struct cv_addr *ret_addr)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at = { 0 };
	struct cv_addr addr;
	socklen_t len;
	void *bytes;
	bool found;
	int fd;

	if (cv_addr_parse(to, &addr) < 0)
		return false;
	fd = socket(addr.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	bytes = addr.family == AF_INET ? (void *)&at.v4.sin_addr : (void *)&at.v6.sin6_addr;
	len = addr.family == AF_INET ? sizeof(at.v4) : sizeof(at.v6);
	at.any.sa_family = addr.family;
	at.v4.sin_port = htons(SOME_PORT); /* it has the same place in v6 */
	memcpy(bytes, addr.b, cv_addr_size(addr.family));
	found = connect(fd, &at.any, len) == 0 && getsockname(fd, &at.any, &len) == 0;
	close(fd);
	if (!found)
		return false;
	memcpy(addr.b, bytes, cv_addr_size(addr.family));
	*ret_addr = addr;
	return true;
}

/* RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291. */
static bool is_private(const struct cv_addr *addr)
{
	static const char *const known[] = { "10.0.0.0/8",    "172.16.0.0/12",  "192.168.0.0/16",
					     "100.64.0.0/10", "169.254.0.0/16", "fc00::/7",
					     "fe80::/10" };
	struct cv_prefix prefix;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (cv_prefix_parse(known[i], &prefix) == 0 && cv_prefix_contains(&prefix, addr))
			return true;
	return false;
}

static int guess(const struct cv_edit *edit, struct cv_config_peer *server)
{
	/* a.root-servers.net: somewhere out there. */
	static const char *const world[] = { "198.41.0.4", "2001:503:ba3e::2:30" };
	struct cv_endpoint *endpoint = &server->endpoint;
	char text[CV_ENDPOINT_TEXT_MAX];

	if (!edit->config.listen_port) {
		cv_complain("%s has no ListenPort, so the port is another one at each start; add "
			    "ListenPort = 51820 to its [Interface]",
			    edit->path);
		return -EINVAL;
	}
	if (!own_address(world[0], &endpoint->addr) && !own_address(world[1], &endpoint->addr)) {
		cv_complain("this host has no address on a way to the world; say by --endpoint "
			    "HOST:PORT where clients reach it");
		return -ENETUNREACH;
	}
	endpoint->port = edit->config.listen_port;
	server->has_endpoint = true;
	cv_complain("the client's Endpoint is %s, %s; if it is to be another, say so by --endpoint "
		    "HOST:PORT or write \"# convoy: ClientEndpoint = HOST:PORT\" into the "
		    "[Interface] of %s",
		    cv_endpoint_format(endpoint, text),
		    is_private(&endpoint->addr)
			    ? "an address of this host that only its own network knows"
			    : "this host's own address",
		    edit->path);
	return 0;
}

int cv_peer_find_endpoint(const struct cv_edit *edit, struct cv_config_peer *server)
{
	const struct cv_config_peer *self = &edit->config.self;

	if (!server->has_endpoint && !self->has_endpoint)
		return guess(edit, server);
	if (!edit->config.listen_port)
		cv_complain("warning: %s has no ListenPort, so the port is another one at each "
			    "start",
			    edit->path);
	if (server->has_endpoint)
		return 0;
	server->has_endpoint = true;
	server->endpoint_is_name = self->endpoint_is_name;
	server->endpoint = self->endpoint;
	if (self->host && !(server->host = strdup(self->host))) {
		cv_complain("not enough memory");
		return -ENOMEM;
	}
	return 0;
}
