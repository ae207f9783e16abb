/*
 * What only a whole section or the whole file can tell: missing keys, duplicates among peers, an
 * MTU that IPv6 does not bear.
 *
 * Duplicates are found by sorting and looking at neighbours, so that no choice of keys or
 * addresses makes a file of 100 000 peers slow.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/base/remainder.h>

#include "internal.h"

/* Something that must be unique: the bytes that say what, and where it stands. */
struct claim {
	uint8_t bytes[CV_KEY_SIZE];
	struct cv_config_place at;
	uint32_t peer;
};

static int by_bytes(const void *left, const void *right)
{
	const struct claim *a = left, *b = right;
	int order = memcmp(a->bytes, b->bytes, sizeof(a->bytes));

	if (order)
		return order;
	if (a->at.line != b->at.line)
		return a->at.line < b->at.line ? -1 : 1;
	return a->at.column < b->at.column ? -1 : a->at.column > b->at.column;
}

void cv_config_check_peer(struct cv_config_parser *parser)
{
	if (parser->section == CV_SECTION_PEER && !parser->public_key_given)
		cv_config_error(
			parser, parser->peer_at,
			"put in PublicKey = and what `convoy pubkey` prints on the other side",
			"[Peer] without PublicKey");
}

static struct claim *claims_new(struct cv_config_parser *parser, size_t n)
{
	struct claim *claims = calloc(n ? n : 1, sizeof(*claims));

	if (!claims)
		parser->no_memory = true;
	return claims;
}

/* Visit each claim that was made before, with the one before it in the file. */
static void each_duplicate(struct cv_config_parser *parser, struct claim *claims, size_t n,
			   void (*visit)(struct cv_config_parser *parser, const struct claim *claim,
					 const struct claim *before))
{
	if (n > 1)
		qsort(claims, n, sizeof(*claims), by_bytes);
	for (size_t i = 1; i < n; i++)
		if (memcmp(claims[i].bytes, claims[i - 1].bytes, sizeof(claims[i].bytes)) == 0)
			visit(parser, &claims[i], &claims[i - 1]);
}

static void report_peer_twice(struct cv_config_parser *parser, const struct claim *claim,
			      const struct claim *before)
{
	char hint[CV_CONFIG_ERROR_HINT_MAX];

	snprintf(hint, sizeof(hint), "make one peer of it and the one of line %u", before->at.line);
	cv_config_error(parser, claim->at, hint, "two peers with the same PublicKey");
}

static void report_route_twice(struct cv_config_parser *parser, const struct claim *claim,
			       const struct claim *before)
{
	char hint[CV_CONFIG_ERROR_HINT_MAX];

	if (claim->peer == before->peer)
		return;
	snprintf(hint, sizeof(hint), "an address leads to one peer; line %u loses it",
		 before->at.line);
	cv_config_warning(parser, claim->at, hint,
			  "AllowedIPs of two peers are the same, the last one has it");
}

static void check_public_keys(struct cv_config_parser *parser)
{
	const struct cv_config *config = &parser->config;
	struct claim *claims = claims_new(parser, config->n_peers);
	struct cv_key own;
	size_t n = 0;

	if (!claims)
		return;
	cv_key_public(&config->private_key, &own);
	for (size_t i = 0; i < config->n_peers; i++) {
		struct claim *claim = &claims[n];

		if (!parser->public_key_at[i].line)
			continue;
		memcpy(claim->bytes, config->peers[i].public_key.b, sizeof(claim->bytes));
		claim->at = parser->public_key_at[i];
		if (config->has_private_key && cv_key_equal(&own, &config->peers[i].public_key))
			cv_config_warning(parser, claim->at,
					  "it belongs to the PrivateKey of this file; put the "
					  "other side's here",
					  "this peer is we ourselves, ignoring");
		n++;
	}
	each_duplicate(parser, claims, n, report_peer_twice);
	free(claims);
}

static void check_allowed_ips(struct cv_config_parser *parser)
{
	struct claim *claims = claims_new(parser, parser->n_allowed);

	if (!claims)
		return;
	for (size_t i = 0; i < parser->n_allowed; i++) {
		const struct cv_config_allowed *allowed = &parser->allowed[i];
		const struct cv_config_peer *peer = &parser->config.peers[allowed->peer];
		const struct cv_prefix *prefix = &peer->allowed_ips[allowed->index];

		claims[i].bytes[0] = prefix->addr.family;
		claims[i].bytes[1] = prefix->bits;
		memcpy(&claims[i].bytes[2], prefix->addr.b, sizeof(prefix->addr.b));
		claims[i].at = allowed->at;
		claims[i].peer = allowed->peer;
	}
	each_duplicate(parser, claims, parser->n_allowed, report_route_twice);
	free(claims);
}

static bool has_ipv6(const struct cv_config_parser *parser)
{
	const struct cv_config *config = &parser->config;

	for (size_t i = 0; i < config->n_addresses; i++)
		if (config->addresses[i].addr.family == AF_INET6)
			return true;
	for (size_t i = 0; i < parser->n_allowed; i++) {
		const struct cv_config_allowed *allowed = &parser->allowed[i];

		if (config->peers[allowed->peer].allowed_ips[allowed->index].addr.family ==
		    AF_INET6)
			return true;
	}
	return false;
}

static int by_order(const void *left, const void *right)
{
	return cv_prefix_compare(left, right);
}

static void order_excluded(struct cv_config *config)
{
	if (config->n_exclude_ips == 0)
		return;
	qsort(config->exclude_ips, config->n_exclude_ips, sizeof(*config->exclude_ips), by_order);
	config->n_exclude_ips = cv_prefixes_disjoin(config->exclude_ips, config->n_exclude_ips);
}

/* A kill switch lets packets into the tunnel only; something must lead them there. Whether hooks
 * do, we cannot know. */
static void check_kill_switch(struct cv_config_parser *parser)
{
	const struct cv_config *config = &parser->config;
	bool hooks =
		config->hooks[CV_CONFIG_PRE_UP].n > 0 || config->hooks[CV_CONFIG_POST_UP].n > 0;

	if (config->kill_switch && config->n_peers == 0)
		cv_config_warning(parser, parser->kill_switch_at,
				  "add a [Peer] with AllowedIPs, or leave KillSwitch out",
				  "KillSwitch without a [Peer] cuts this host off");
	else if (config->kill_switch && config->table == CV_CONFIG_TABLE_OFF && !hooks)
		cv_config_warning(parser, parser->kill_switch_at,
				  "leave out one of them, or add the routes by PostUp",
				  "KillSwitch with Table = off cuts this host off");
	if (config->kill_switch_allow_lan && !config->kill_switch)
		cv_config_warning(parser, parser->kill_switch_allow_lan_at,
				  "add KillSwitch = yes, or leave it out",
				  "KillSwitchAllowLan without KillSwitch, ignoring");
}

/* DNS or Routes = auto: what Address = auto does not ask for nobody hands over. */
static void check_beside_auto(struct cv_config_parser *parser, bool is_auto, const char *key,
			      struct cv_config_place at, const char *hint)
{
	if (is_auto && !parser->config.auto_address)
		cv_config_error(parser, at, hint, "%s = auto without Address = auto", key);
}

/* Whom to ask must be clear, and it must be possible. */
static void check_auto_address(struct cv_config_parser *parser)
{
	const struct cv_config *config = &parser->config;
	const struct cv_config_place at = parser->auto_address_at;

	if (config->n_addresses > 0)
		cv_config_error(parser, at, "keep auto, or the addresses",
				"Address = auto beside an address");
	if (config->n_peers == 0)
		cv_config_error(parser, at, "add the [Peer] that hands out addresses",
				"Address = auto without a [Peer]");
	else if (config->n_peers > 1)
		cv_config_error(parser, at, "keep one [Peer]: the one that hands out addresses",
				"Address = auto with %zu peers", config->n_peers);
	else if (!config->peers[0].has_endpoint)
		cv_config_error(parser, at, "add Endpoint = to the [Peer]: it is asked there",
				"Address = auto, and the [Peer] has no Endpoint");
	if (config->no_extensions || (config->n_peers == 1 && config->peers[0].no_extensions))
		cv_config_error(parser, at, "leave out Extensions: they are how the peer is asked",
				"Address = auto with Extensions = off");
}

static void check_auto(struct cv_config_parser *parser)
{
	const struct cv_config *config = &parser->config;

	check_beside_auto(parser, config->auto_dns, "DNS", parser->auto_dns_at,
			  "add Address = auto; a domain of this name is written with a dot: auto.");
	check_beside_auto(parser, config->auto_routes, "Routes", parser->auto_routes_at,
			  "add Address = auto, or leave Routes out");
	if (config->auto_dns && config->n_dns > 0)
		cv_config_error(parser, parser->auto_dns_at, "keep auto, or the name servers",
				"DNS = auto beside a name server");
	if (config->auto_address)
		check_auto_address(parser);
}

void cv_config_check(struct cv_config_parser *parser)
{
	const struct cv_config_place top = { .line = 1, .column = 1 };

	if (!parser->interface_at.line)
		cv_config_error(parser, top, "it holds the PrivateKey and what the tunnel is like",
				"no [Interface] section");
	else if (!parser->private_key_given)
		cv_config_error(parser, parser->interface_at,
				"put in PrivateKey = and the one line that `convoy genkey` prints",
				"[Interface] without PrivateKey");
	if (parser->config.mtu && parser->config.mtu < CV_IPV6_MTU_MIN && has_ipv6(parser))
		cv_config_warning(parser, parser->mtu_at, "at least 1280, or leave MTU out",
				  "IPv6 does not work with an MTU this small");
	check_kill_switch(parser);
	cv_config_check_pool(parser);
	check_auto(parser);
	check_public_keys(parser);
	check_allowed_ips(parser);
	order_excluded(&parser->config);
}
