/*
 * The kill switch: nothing leaves this host but through the tunnel.
 *
 * How it works. One table judges every packet that this host sends or forwards, after everything
 * that may still change its way. What it lets out does not depend on routes, which a local network
 * can add to at will (a DHCP option; TunnelVision, CVE-2024-3661), nor on what that network says is
 * local, nor on where a name of the server led (TunnelCrack, CVE-2023-36672 and CVE-2023-36673):
 *
 *	- through the loopback and the tunnel's interface, by name
 *	- with our mark, which our sockets have, and else nobody without CAP_NET_ADMIN. So nothing
 *	  but our datagrams can reach a peer's address outside of the tunnel, wherever it roams to
 *	- DHCP and the neighbour discovery of IPv6, without which the host loses its network
 *	- to ExcludeIPs
 *	- with KillSwitchAllowLan, to addresses that are private by definition, whatever the routes
 *	  say; but not to those that the file gives to the tunnel, and no DNS if the file has any
 *
 * What is forwarded is judged the same, but what came out of the tunnel may go anywhere: it was not
 * sent here. ARP is no business of this table.
 *
 * A name of an Endpoint must be asked for before there is a tunnel to ask through. While the tunnel
 * comes up DNS may go to the configured name servers; or to any, when only a cache on this host is
 * configured, whose own servers nobody told us.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/base/remainder.h>

#include "internal.h"

#define KIND "killswitch"

enum {
	OWN_MARK = 0x43560000, /* "CV" */
	/* Without bits 14 and 15, which Kubernetes gives a meaning in all marks. */
	OWN_MARK_VARIES = 0x3fff,
	PRIVATE_MAX = 8,
};

/* Addresses that are private by definition, and never routed on the Internet. */
static const char *const private_prefixes[] = {
	"10.0.0.0/8",     "172.16.0.0/12", "192.168.0.0/16", /* RFC 1918 */
	"169.254.0.0/16", "fe80::/10",                       /* link-local: RFC 3927, 4291 */
	"fc00::/7",                                          /* unique local: RFC 4193 */
};

/* Groups that do not leave the site: RFC 5771, 2365, 4291. */
static const char multicast[] =
	"\t\tip daddr { 224.0.0.0/24, 239.0.0.0/8, 255.255.255.255 } accept\n"
	"\t\tip6 daddr { ff02::/16, ff05::/16 } accept\n";

uint32_t cv_host_mark(const struct cv_config *config)
{
	uint32_t hash = 0x811c9dc5; /* FNV-1a */

	if (!config->kill_switch)
		return 0;
	if (config->has_fwmark)
		return config->fwmark;
	for (const char *c = config->name; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 0x01000193;
	return OWN_MARK | ((hash ^ hash >> 16) & OWN_MARK_VARIES);
}

static size_t parse_private(struct cv_prefix ret_list[PRIVATE_MAX])
{
	size_t n = sizeof(private_prefixes) / sizeof(private_prefixes[0]);

	for (size_t i = 0; i < n; i++)
		cv_prefix_parse(private_prefixes[i], &ret_list[i]);
	return n;
}

/* What the file gives to the tunnel inside of the private ranges (0.0.0.0/0 is not inside). */
struct kept {
	struct cv_prefix *list;
	size_t n;
};

static void keep(struct kept *kept, struct cv_prefix prefix, const struct cv_prefix *private,
		 size_t n)
{
	cv_prefix_mask(&prefix);
	for (size_t i = 0; i < n; i++)
		if (cv_prefix_covers(&private[i], &prefix))
			kept->list[kept->n++] = prefix;
}

static int by_order(const void *left, const void *right)
{
	return cv_prefix_compare(left, right);
}

static bool keep_all(struct kept *kept, const struct cv_config *config,
		     const struct cv_prefix *private, size_t n)
{
	size_t most = config->n_addresses;

	for (size_t i = 0; i < config->n_peers; i++)
		most += config->peers[i].n_allowed_ips;
	kept->list = calloc(most + 1, sizeof(*kept->list));
	if (!kept->list)
		return false;
	for (size_t i = 0; i < config->n_addresses; i++)
		keep(kept, config->addresses[i], private, n);
	for (size_t i = 0; i < config->n_peers; i++)
		for (size_t j = 0; j < config->peers[i].n_allowed_ips; j++)
			keep(kept, config->peers[i].allowed_ips[j], private, n);
	qsort(kept->list, kept->n, sizeof(*kept->list), by_order);
	kept->n = cv_prefixes_disjoin(kept->list, kept->n);
	return true;
}

/* Without the memory to say what is the tunnel's nothing is let out. */
static void put_lan(FILE *out, const struct cv_config *config)
{
	struct cv_prefix private[PRIVATE_MAX];
	size_t n = parse_private(private);
	struct kept kept = { 0 };

	if (!keep_all(&kept, config, private, n))
		return;
	if (config->n_dns > 0)
		fputs("\t\tmeta l4proto { tcp, udp } th dport 53 drop\n", out);
	cv_nft_to_prefixes(out, kept.list, kept.n, "drop");
	cv_nft_to_prefixes(out, private, n, "accept");
	fputs(multicast, out);
	free(kept.list);
}

static void put_dns(FILE *out, const struct cv_addr *servers, size_t n)
{
	char text[CV_ADDR_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		fprintf(out, "\t\t%s daddr %s meta l4proto { tcp, udp } th dport 53 accept\n",
			servers[i].family == AF_INET ? "ip" : "ip6",
			cv_addr_format(&servers[i], text));
	if (n == 0)
		fputs("\t\tmeta l4proto { tcp, udp } th dport 53 accept\n", out);
}

/* RFC 2131, section 4.1; RFC 8415, sections 7.1 and 7.2; RFC 4861, section 7.1; RFC 3810. */
static const char network_itself[] =
	"\t\tmeta nfproto ipv4 udp sport 68 udp dport 67 accept\n"
	"\t\tip6 daddr { fe80::/10, ff02::1:2, ff05::1:3 } udp sport 546 udp dport 547 accept\n"
	"\t\ticmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } "
	"ip6 hoplimit 255 accept\n"
	"\t\tip6 daddr ff02::/16 icmpv6 type { mld-listener-report, mld-listener-done, "
	"mld2-listener-report } accept\n";

char *cv_killswitch_text(const struct cv_config *config, bool asking, const struct cv_addr *servers,
			 size_t n_servers)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out, "\tchain outside {\n\t\toifname \"%s\" accept\n", config->name);
	cv_nft_to_prefixes(out, config->exclude_ips, config->n_exclude_ips, "accept");
	if (config->kill_switch_allow_lan)
		put_lan(out, config);
	fprintf(out,
		"\t\tcounter drop\n\t}\n"
		"\tchain output {\n"
		"\t\ttype filter hook output priority 300; policy drop;\n"
		"\t\toifname \"lo\" accept\n"
		"\t\tmeta mark 0x%x accept\n%s",
		cv_host_mark(config), network_itself);
	if (asking)
		put_dns(out, servers, n_servers);
	fprintf(out,
		"\t\tjump outside\n\t}\n"
		"\tchain forward {\n"
		"\t\ttype filter hook forward priority 300; policy drop;\n"
		"\t\tiifname \"%s\" accept\n"
		"\t\tjump outside\n\t}\n",
		config->name);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}

int cv_killswitch_install(struct cv_host_state *state, const struct cv_config *config, bool asking)
{
	struct cv_addr servers[CV_DNS_SERVERS_MAX];
	char *text =
		cv_killswitch_text(config, asking, servers, asking ? cv_dns_servers(servers) : 0);
	bool before = state->kill_switch;
	int r = text ? 0 : -ENOMEM;

	state->kill_switch = true;
	if (r == 0)
		r = cv_host_state_save(state);
	if (r == 0)
		r = cv_nft_replace(KIND, config->name, text);
	free(text);
	if (r == 0)
		return 0;
	state->kill_switch = before;
	cv_host_state_save(state);
	cv_log_err("%s: the kill switch could not be set", state->name);
	return r;
}

int cv_killswitch_remove(struct cv_host_state *state)
{
	int r = state->kill_switch ? cv_nft_replace(KIND, state->name, NULL) : 0;

	if (r < 0)
		return r;
	state->kill_switch = false;
	return cv_host_state_save(state);
}
