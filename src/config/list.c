/* Values that are lists or addresses: Address, DNS, AllowedIPs, Endpoint, Offload, hooks. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/base/addr.h>

#include "internal.h"

static void report_prefix(struct cv_config_parser *parser, struct cv_span item)
{
	const char *slash = memchr(item.at, '/', item.len);
	struct cv_span head = item;
	char text[CV_ADDR_TEXT_MAX];
	struct cv_addr addr;
	char hint[CV_CONFIG_ERROR_HINT_MAX];

	if (slash)
		head.len = (size_t)(slash - item.at);
	if (item.len == 0) {
		cv_config_error(parser, cv_config_at(parser, item.at), "remove the extra comma",
				"nothing between commas");
	} else if (memchr(item.at, ' ', item.len) || memchr(item.at, '\t', item.len)) {
		cv_config_error(parser, cv_config_at(parser, item.at), "separate them by commas",
				"blank inside an address");
	} else if (slash && cv_span_copy(head, text, sizeof(text)) && !cv_addr_parse(text, &addr)) {
		snprintf(hint, sizeof(hint), "a number from 0 to %u", cv_addr_bits(addr.family));
		cv_config_error(parser, cv_config_at(parser, slash + 1), hint,
				"prefix length is not in range");
	} else {
		cv_config_error(parser, cv_config_at(parser, item.at),
				"such as 10.77.0.0/24 or fd77::1/64", "not an IP address");
	}
}

bool cv_config_take_prefix(struct cv_config_parser *parser, struct cv_span item,
			   struct cv_prefix *ret_prefix)
{
	char text[CV_PREFIX_TEXT_MAX];

	if (cv_span_copy(item, text, sizeof(text)) && !cv_prefix_parse(text, ret_prefix))
		return true;
	report_prefix(parser, item);
	return false;
}

bool cv_config_take_network(struct cv_config_parser *parser, struct cv_span item,
			    struct cv_prefix *ret_network)
{
	if (!cv_config_take_prefix(parser, item, ret_network))
		return false;
	cv_prefix_mask(ret_network);
	return true;
}

/* wg-quick lets the shell split these two, so that blanks separate as commas do. */
static bool next_word(struct cv_span *rest, struct cv_span *ret_item)
{
	while (cv_span_next(rest, ", \t", ret_item))
		if (ret_item->len > 0)
			return true;
	return false;
}

CV_TAKE(address)
{
	struct cv_config *config = &parser->config;
	struct cv_prefix prefix;
	struct cv_span item;

	while (next_word(&value, &item)) {
		void *list = config->addresses;

		if (cv_span_is(item, "auto")) {
			config->auto_address = true;
			parser->auto_address_at = cv_config_at(parser, item.at);
			continue;
		}
		if (!cv_config_take_prefix(parser, item, &prefix))
			continue;
		if (!cv_config_grow(parser, &list, config->n_addresses, sizeof(prefix)))
			return;
		config->addresses = list;
		config->addresses[config->n_addresses++] = prefix;
	}
}

static bool is_domain(struct cv_span item)
{
	for (size_t i = 0; i < item.len; i++) {
		char c = item.at[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '-' || c == '_'))
			return false;
	}
	return item.len > 0 && item.len < 256;
}

/* The lists behind DNS or ClientDNS. */
struct dns {
	struct cv_addr **servers;
	size_t *n_servers;
	char ***search;
	size_t *n_search;
	bool *automatic; /* where "auto" is noted; NULL: it is a domain as any other */
};

static void add_server(struct cv_config_parser *parser, const struct cv_addr *addr,
		       const struct dns *dns)
{
	void *list = *dns->servers;

	if (!cv_config_grow(parser, &list, *dns->n_servers, sizeof(*addr)))
		return;
	*dns->servers = list;
	(*dns->servers)[(*dns->n_servers)++] = *addr;
}

static void add_domain(struct cv_config_parser *parser, struct cv_span item, const struct dns *dns)
{
	void *list = *dns->search;
	char *domain;

	if (!cv_config_grow(parser, &list, *dns->n_search, sizeof(char *)))
		return;
	*dns->search = list;
	domain = cv_span_dup(item);
	if (domain)
		(*dns->search)[(*dns->n_search)++] = domain;
	else
		parser->no_memory = true;
}

static void take_dns(struct cv_config_parser *parser, struct cv_span value, const struct dns *dns)
{
	struct cv_addr addr;
	struct cv_span item;
	char text[CV_ADDR_TEXT_MAX];

	while (next_word(&value, &item)) {
		/* As wg-quick tells them apart: digits and dots, or a colon, are a server. */
		bool server = memchr(item.at, ':', item.len) || cv_span_of(item, "0123456789.");

		if (dns->automatic && cv_span_is(item, "auto")) {
			*dns->automatic = true;
			parser->auto_dns_at = cv_config_at(parser, item.at);
			continue;
		}
		if (server && cv_span_copy(item, text, sizeof(text)) && !cv_addr_parse(text, &addr))
			add_server(parser, &addr, dns);
		else if (!server && is_domain(item))
			add_domain(parser, item, dns);
		else
			cv_config_error(parser, cv_config_at(parser, item.at),
					"such as 9.9.9.9, 2620:fe::fe or example.com",
					"neither an IP address nor a domain");
	}
}

CV_TAKE(dns)
{
	struct cv_config *config = &parser->config;

	take_dns(parser, value,
		 &(struct dns){ &config->dns, &config->n_dns, &config->dns_search,
				&config->n_dns_search, &config->auto_dns });
}

CV_TAKE(client_dns)
{
	struct cv_config *config = &parser->config;

	take_dns(parser, value,
		 &(struct dns){ &config->client_dns, &config->n_client_dns,
				&config->client_dns_search, &config->n_client_dns_search, NULL });
}

CV_TAKE(exclude_ips)
{
	struct cv_config *config = &parser->config;
	struct cv_prefix prefix;
	struct cv_span item;

	while (cv_span_next(&value, ",", &item)) {
		void *list = config->exclude_ips;

		if (!cv_config_take_network(parser, item, &prefix))
			continue;
		if (!cv_config_grow(parser, &list, config->n_exclude_ips, sizeof(prefix)))
			return;
		config->exclude_ips = list;
		config->exclude_ips[config->n_exclude_ips++] = prefix;
	}
}

static void add_allowed(struct cv_config_parser *parser, const struct cv_prefix *prefix,
			struct cv_config_place at)
{
	struct cv_config *config = &parser->config;
	struct cv_config_peer *peer = &config->peers[config->n_peers - 1];
	void *list = peer->allowed_ips, *places = parser->allowed;

	if (!cv_config_grow(parser, &list, peer->n_allowed_ips, sizeof(*prefix)))
		return;
	peer->allowed_ips = list;
	if (!cv_config_grow(parser, &places, parser->n_allowed, sizeof(*parser->allowed)))
		return;
	parser->allowed = places;
	parser->allowed[parser->n_allowed++] = (struct cv_config_allowed){
		.at = at,
		.peer = (uint32_t)(config->n_peers - 1),
		.index = (uint32_t)peer->n_allowed_ips,
	};
	peer->allowed_ips[peer->n_allowed_ips++] = *prefix;
}

CV_TAKE(allowed_ips)
{
	struct cv_prefix prefix;
	struct cv_span item;

	while (cv_span_next(&value, ",", &item)) {
		if (cv_config_take_network(parser, item, &prefix))
			add_allowed(parser, &prefix, cv_config_at(parser, item.at));
	}
}

/* Cut "host:port" at the last colon, as wg does; brackets around an IPv6 host stay, and a colon
 * inside them is the host's. */
static bool split_endpoint(struct cv_span value, struct cv_span *ret_host, struct cv_span *ret_port)
{
	const char *colon = memrchr(value.at, ':', value.len);

	if (!colon || colon == value.at ||
	    memchr(colon, ']', (size_t)(value.at + value.len - colon)))
		return false;
	ret_host->at = value.at;
	ret_host->len = (size_t)(colon - value.at);
	ret_port->at = colon + 1;
	ret_port->len = value.len - ret_host->len - 1;
	return true;
}

/* Whether the host is a name to resolve, or an address with "%interface". Brackets are off. */
static bool is_host(struct cv_span host)
{
	const char *percent = memchr(host.at, '%', host.len);
	struct cv_addr addr;
	char text[CV_ADDR_TEXT_MAX];

	if (!percent) /* digits and dots are an address gone wrong */
		return is_domain(host) && !cv_span_of(host, "0123456789.");
	return cv_span_copy((struct cv_span){ host.at, (size_t)(percent - host.at) }, text,
			    sizeof(text)) &&
	       !cv_addr_parse(text, &addr) && addr.family == AF_INET6 &&
	       is_domain((struct cv_span){ percent + 1,
					   (size_t)(host.at + host.len - percent - 1) }) &&
	       host.len < CV_CONFIG_HOST_MAX;
}

static const char endpoint_form[] =
	"such as 192.0.2.1:51820, [2001:db8::1]:51820 or vpn.example.com:51820";

static void set_endpoint(struct cv_config_parser *parser, const struct cv_config_rule *rule,
			 const struct cv_endpoint *endpoint, struct cv_span name)
{
	struct cv_config *config = &parser->config;
	struct cv_config_peer *peer = rule->section == CV_SECTION_PEER
					      ? &config->peers[config->n_peers - 1]
					      : &config->self;

	free(peer->host);
	peer->host = NULL;
	peer->has_endpoint = true;
	peer->endpoint = *endpoint;
	peer->endpoint_is_name = name.at != NULL;
	if (!name.at)
		return;
	peer->host = cv_span_dup(name);
	if (!peer->host)
		parser->no_memory = true;
}

/* The value without its port: an address or a name. */
static void take_host(struct cv_config_parser *parser, const struct cv_config_rule *rule,
		      struct cv_span value, struct cv_span host, uint16_t port)
{
	const struct cv_span none = { NULL, 0 };
	struct cv_endpoint endpoint = { 0 };
	char text[CV_ENDPOINT_TEXT_MAX];
	bool bare = host.at[0] != '[';

	if (cv_span_copy(value, text, sizeof(text)) && !cv_endpoint_parse(text, &endpoint)) {
		set_endpoint(parser, rule, &endpoint, none);
		return;
	}
	endpoint.port = port;
	if (!bare && host.len > 2 && host.at[host.len - 1] == ']')
		host = (struct cv_span){ host.at + 1, host.len - 2 };
	if (cv_span_copy(host, text, sizeof(text)) && !cv_addr_parse(text, &endpoint.addr)) {
		if (bare)
			cv_config_warning(
				parser, cv_config_at(parser, value.at), "write [address]:port",
				"IPv6 address without brackets, its last part is the port");
		set_endpoint(parser, rule, &endpoint, none);
	} else if (is_host(host)) {
		set_endpoint(parser, rule, &endpoint, host);
	} else {
		cv_config_error(parser, cv_config_at(parser, value.at), endpoint_form,
				"%s is neither an address nor a host name", rule->name);
	}
}

CV_TAKE(endpoint)
{
	struct cv_span host, port;
	uint32_t number;

	if (!split_endpoint(value, &host, &port))
		cv_config_error(parser, cv_config_at(parser, value.at + value.len), endpoint_form,
				"%s has no port", rule->name);
	else if (!cv_span_number(port, false, UINT16_MAX, &number) || number == 0)
		cv_config_error(parser, cv_config_at(parser, port.at), "a number from 1 to 65535",
				"port of %s is not a number in range", rule->name);
	else
		take_host(parser, rule, value, host, (uint16_t)number);
}

CV_TAKE(metrics_listen)
{
	char text[CV_ENDPOINT_TEXT_MAX];
	struct cv_endpoint at;

	if (cv_span_copy(value, text, sizeof(text)) && !cv_endpoint_parse(text, &at) && at.port)
		parser->config.metrics_at = at;
	else
		cv_config_error(parser, cv_config_at(parser, value.at),
				"such as 127.0.0.1:9586 or [::1]:9586",
				"%s is not an address and a port", rule->name);
}

/* "-tun-tso": a word that switches one off. */
static bool switch_off(struct cv_config_offload *offload, struct cv_span item)
{
	const struct {
		const char *word;
		bool *on;
	} switches[] = {
		{ "-tun-tso", &offload->tun_tso },
		{ "-tun-uso", &offload->tun_uso },
		{ "-udp-gso", &offload->udp_gso },
		{ "-udp-gro", &offload->udp_gro },
	};

	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++) {
		if (!cv_span_is(item, switches[i].word))
			continue;
		*switches[i].on = false;
		return true;
	}
	return false;
}

CV_TAKE(offload)
{
	struct cv_config_offload offload = { true, true, true, true };
	struct cv_span item;

	while (next_word(&value, &item)) {
		if (cv_span_is(item, "off"))
			offload = (struct cv_config_offload){ 0 };
		else if (!cv_span_is(item, "auto") && !switch_off(&offload, item))
			cv_config_error(parser, cv_config_at(parser, item.at),
					"auto, off, or some of -tun-tso -tun-uso -udp-gso -udp-gro",
					"unknown word for %s", rule->name);
	}
	parser->config.offload = offload;
}

/* The suites by name, and "auto" for any. */
CV_TAKE(ciphers)
{
	const char *words[CV_SUITES + 1];
	struct cv_span item;
	uint32_t ciphers = 0;

	for (unsigned suite = 0; suite < CV_SUITES; suite++)
		words[suite] = cv_suite_name((enum cv_suite)suite);
	words[CV_SUITES] = "auto";
	while (next_word(&value, &item)) {
		size_t which = cv_config_take_word(parser, rule, item, words, CV_SUITES + 1);

		if (which > CV_SUITES)
			return;
		ciphers |= which < CV_SUITES ? 1u << which : 0;
	}
	parser->config.ciphers = ciphers;
}

CV_TAKE(hook)
{
	enum cv_config_hook_kind kind =
		(enum cv_config_hook_kind)(rule - &cv_config_rules[CV_KEY_PRE_UP]);
	struct cv_config_hooks *hooks = &parser->config.hooks[kind];
	void *list = hooks->list;

	if (!cv_config_grow(parser, &list, hooks->n, sizeof(*hooks->list)))
		return;
	hooks->list = list;
	hooks->list[hooks->n] = (struct cv_config_hook){
		.command = cv_span_dup(value),
		.line = parser->line.line,
	};
	if (!hooks->list[hooks->n].command) {
		parser->no_memory = true;
		return;
	}
	hooks->n++;
}
