/*
 * What of a grant the file allows.
 *
 * Each token is judged by itself, and by a list of what is wrong with it: the first that holds is
 * told. What is left is as good as if it stood in the file, and goes the same ways.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/base/remainder.h>
#include <convoy/config/grant.h>

enum {
	NETWORK4_MIN = 8,  /* bits: that of 10.0.0.0 (RFC 1918) is the largest private one */
	NETWORK6_MIN = 48, /* that of a site: RFC 6177, RFC 4193 */
	MTU6_MIN = 1280,   /* RFC 8200, section 5 */
};

/* Whom a judgement is told, and what it goes by. */
struct judge {
	const struct cv_config *config;
	struct cv_addr endpoint; /* family 0: not known */
	void (*refused)(void *arg, const char *what, const char *why);
	void *arg;
};

static void refuse(const struct judge *judge, const char *what, const struct cv_prefix *prefix,
		   const char *why)
{
	char text[CV_PREFIX_TEXT_MAX], all[CV_PREFIX_TEXT_MAX + 16];

	if (!judge->refused)
		return;
	snprintf(all, sizeof(all), "%s %s", what, cv_prefix_format(prefix, text));
	judge->refused(judge->arg, all, why);
}

/* What lies inside of these is no host's on a network. NULL: it does not. */
static const char *why_never(const struct cv_prefix *prefix)
{
	static const struct {
		const char *prefix, *why;
	} never[] = {
		{ "0.0.0.0/8", "it is nobody's address" },
		{ "127.0.0.0/8", "it is a loopback address" },
		{ "169.254.0.0/16", "it is link-local" },
		{ "224.0.0.0/4", "it is a multicast address" },
		{ "240.0.0.0/4", "it is reserved" },
		{ "::/128", "it is nobody's address" },
		{ "::1/128", "it is a loopback address" },
		{ "::ffff:0:0/96", "it is an IPv4 address" },
		{ "fe80::/10", "it is link-local" },
		{ "ff00::/8", "it is a multicast address" },
	};
	struct cv_prefix masked = *prefix, each;
	unsigned bits = cv_addr_bits(prefix->addr.family);

	if (!bits || prefix->bits > bits)
		return "it is no address";
	cv_prefix_mask(&masked);
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (cv_prefix_parse(never[i].prefix, &each) == 0 &&
		    cv_prefix_covers(&each, &masked))
			return never[i].why;
	return NULL;
}

static bool is_allowed(const struct judge *judge, const struct cv_prefix *masked)
{
	const struct cv_config *config = judge->config;

	for (size_t i = 0; i < config->n_peers; i++)
		for (size_t j = 0; j < config->peers[i].n_allowed_ips; j++)
			if (cv_prefix_covers(&config->peers[i].allowed_ips[j], masked))
				return true;
	return false;
}

/* The first address of a network is its own, the last of an IPv4 one is everybody's. Networks of
 * one or two addresses have neither: RFC 3021, RFC 6164. */
static bool is_host(const struct cv_prefix *prefix)
{
	unsigned bits = cv_addr_bits(prefix->addr.family), ones = 0, host = bits - prefix->bits;

	for (unsigned i = prefix->bits; i < bits; i++)
		ones += prefix->addr.b[i / 8] >> (7 - i % 8) & 1;
	return host < 2 || (ones > 0 && (prefix->addr.family != AF_INET || ones < host));
}

static const char *why_not_address(const struct judge *judge, const struct cv_prefix *prefix)
{
	const struct cv_prefix alone = cv_prefix_of_host(&prefix->addr);
	bool v4 = prefix->addr.family == AF_INET;
	const char *why = why_never(&alone);

	if (why)
		return why;
	if (prefix->bits > cv_addr_bits(prefix->addr.family) ||
	    prefix->bits < (v4 ? NETWORK4_MIN : NETWORK6_MIN))
		return v4 ? "a network has 8 to 32 bits" : "a network has 48 to 128 bits";
	if (!is_host(prefix))
		return "it is the network's address, not a host's";
	if (cv_addr_equal(&prefix->addr, &judge->endpoint))
		return "it is the peer's endpoint";
	return NULL;
}

/* Of an address, which is taken alone if there is a reason. */
static const char *why_not_network(const struct judge *judge, const struct cv_prefix *prefix)
{
	struct cv_prefix network = *prefix;

	cv_prefix_mask(&network);
	if (prefix->bits == cv_addr_bits(prefix->addr.family))
		return NULL;
	if (!is_allowed(judge, &network))
		return "AllowedIPs do not have it; the address is taken alone";
	if (cv_prefix_contains(&network, &judge->endpoint))
		return "the peer's endpoint is in it; the address is taken alone";
	return NULL;
}

static void admit_address(const struct judge *judge, const struct cv_prefix *prefix,
			  struct cv_prefix *ret_prefix)
{
	const char *why;

	if (!prefix->addr.family)
		return;
	why = why_not_address(judge, prefix);
	if (why) {
		refuse(judge, "address", prefix, why);
		return;
	}
	*ret_prefix = *prefix;
	why = why_not_network(judge, prefix);
	if (!why)
		return;
	refuse(judge, "network of", prefix, why);
	ret_prefix->bits = (uint8_t)cv_addr_bits(prefix->addr.family);
}

static void admit_dns(const struct judge *judge, const struct cv_addr *server,
		      struct cv_grant *grant)
{
	const struct cv_prefix alone = cv_prefix_of_host(server);
	const char *why = why_never(&alone);

	if (why)
		refuse(judge, "name server", &alone, why);
	else
		grant->dns[grant->dns_n++] = *server;
}

static const char *why_not_route(const struct judge *judge, const struct cv_prefix *masked)
{
	bool apart = masked->bits == 0 && judge->config->table == CV_CONFIG_TABLE_AUTO;

	if (!is_allowed(judge, masked))
		return "AllowedIPs do not have it";
	if (!apart && cv_prefix_contains(masked, &judge->endpoint))
		return "the peer's endpoint is in it";
	return NULL;
}

static void admit_route(const struct judge *judge, struct cv_prefix route, struct cv_grant *grant)
{
	const char *why = why_never(&route);

	if (!why) {
		cv_prefix_mask(&route);
		why = why_not_route(judge, &route);
	}
	if (why)
		refuse(judge, "route", &route, why);
	else
		grant->routes[grant->routes_n++] = route;
}

static void admit_mtu(const struct judge *judge, uint16_t mtu, struct cv_grant *grant)
{
	bool v6 = grant->address6.addr.family != 0;
	char what[16];

	if (mtu >= (v6 ? MTU6_MIN : CV_CONFIG_POOL_MTU_MIN)) {
		grant->mtu = mtu;
		return;
	}
	snprintf(what, sizeof(what), "MTU %u", mtu);
	if (judge->refused && mtu)
		judge->refused(judge->arg, what,
			       v6 ? "with IPv6 it is at least 1280" : "it is at least 576");
}

void cv_config_admit(const struct cv_config *config, const struct cv_grant *grant,
		     const struct cv_addr *endpoint,
		     void (*refused)(void *arg, const char *what, const char *why), void *arg,
		     struct cv_grant *ret_grant)
{
	static const struct cv_addr nowhere;
	const struct judge judge = { config, endpoint ? *endpoint : nowhere, refused, arg };

	*ret_grant = (struct cv_grant){ 0 };
	admit_address(&judge, &grant->address4, &ret_grant->address4);
	admit_address(&judge, &grant->address6, &ret_grant->address6);
	if (!config->mtu)
		admit_mtu(&judge, grant->mtu, ret_grant);
	for (size_t i = 0; config->auto_dns && i < grant->dns_n && i < CV_GRANT_DNS_MAX; i++)
		admit_dns(&judge, &grant->dns[i], ret_grant);
	for (size_t i = 0; config->auto_routes && i < grant->routes_n && i < CV_GRANT_ROUTES_MAX;
	     i++)
		admit_route(&judge, grant->routes[i], ret_grant);
}

/* A config that has it --------------------------------------------------------------------- */

static void *copy(const void *list, size_t n, size_t size)
{
	void *own = calloc(n + 1, size);

	if (own)
		memcpy(own, list, n * size);
	return own;
}

int cv_config_hand_over(struct cv_config *config, const struct cv_grant *admitted)
{
	struct cv_prefix addresses[2];
	struct cv_prefix *own, *routes;
	struct cv_addr *dns;
	size_t n = 0;

	if (admitted->address4.addr.family)
		addresses[n++] = admitted->address4;
	if (admitted->address6.addr.family)
		addresses[n++] = admitted->address6;
	own = copy(addresses, n, sizeof(*own));
	routes = copy(admitted->routes, admitted->routes_n, sizeof(*routes));
	dns = copy(admitted->dns, admitted->dns_n, sizeof(*dns));
	if (!own || !routes || !dns) {
		free(own);
		free(routes);
		free(dns);
		return -ENOMEM;
	}
	config->addresses = own;
	config->n_addresses = n;
	config->routes = routes;
	config->n_routes = admitted->routes_n;
	if (config->auto_dns) {
		config->dns = dns;
		config->n_dns = admitted->dns_n;
	} else {
		free(dns);
	}
	config->mtu_most = admitted->mtu;
	return 0;
}

void cv_config_forget_grant(struct cv_config *config)
{
	free(config->addresses);
	free(config->routes);
	config->addresses = NULL;
	config->routes = NULL;
	config->n_addresses = config->n_routes = 0;
	if (config->auto_dns) {
		free(config->dns);
		config->dns = NULL;
		config->n_dns = 0;
	}
	config->mtu_most = 0;
}
