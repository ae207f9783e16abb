/*
 * Pool, and what is handed over with its addresses.
 *
 * The pool is a part of one of the tunnel's networks, or all of it: with the length of that network
 * an address is given, so that the client knows its neighbours.
 */
#include <stdio.h>

#include <convoy/base/remainder.h>

#include "internal.h"

enum {
	HOST_BITS_MIN = 2, /* with less there is nothing left to give */
};

static void add_pool(struct cv_config_parser *parser, const struct cv_prefix *prefix,
		     struct cv_config_place at)
{
	enum cv_family family = cv_family_of(&prefix->addr);
	struct cv_prefix *pool = &parser->config.pool.prefixes[family];
	char hint[CV_CONFIG_ERROR_HINT_MAX];
	unsigned bits_max = cv_addr_bits(prefix->addr.family) - HOST_BITS_MIN;

	if (pool->addr.family) {
		snprintf(hint, sizeof(hint), "keep one; the first is in line %u",
			 parser->pool_at[family].line);
		cv_config_error(parser, at, hint, "second Pool of IPv%s",
				family == CV_IPV4 ? "4" : "6");
	} else if (prefix->bits > bits_max) {
		snprintf(hint, sizeof(hint), "a network of length %u or less", bits_max);
		cv_config_error(parser, at, hint, "Pool is too small to give an address away");
	} else {
		*pool = *prefix;
		parser->pool_at[family] = at;
	}
}

CV_TAKE(pool)
{
	struct cv_prefix prefix;
	struct cv_span item;

	while (cv_span_next(&value, ",", &item)) {
		if (cv_config_take_network(parser, item, &prefix))
			add_pool(parser, &prefix, cv_config_at(parser, item.at));
	}
}

/* Whether one more fits into a list that a grant has room for. */
static bool has_room(struct cv_config_parser *parser, const struct cv_config_rule *rule,
		     struct cv_span item, size_t n, size_t max)
{
	if (!parser->pool_more_at.line)
		parser->pool_more_at = cv_config_at(parser, item.at);
	if (n < max)
		return true;
	cv_config_error(parser, cv_config_at(parser, item.at),
			"what is handed over has no room for more", "more than %zu of %s", max,
			rule->name);
	return false;
}

CV_TAKE(pool_dns)
{
	struct cv_config_pool *pool = &parser->config.pool;
	char text[CV_ADDR_TEXT_MAX];
	struct cv_span item;

	while (cv_span_next(&value, ",", &item)) {
		if (!has_room(parser, rule, item, pool->n_dns, CV_GRANT_DNS_MAX))
			return;
		if (cv_span_copy(item, text, sizeof(text)) &&
		    !cv_addr_parse(text, &pool->dns[pool->n_dns]))
			pool->n_dns++;
		else
			cv_config_error(parser, cv_config_at(parser, item.at),
					"such as 9.9.9.9 or 2620:fe::fe", "not an IP address");
	}
}

CV_TAKE(pool_routes)
{
	struct cv_config_pool *pool = &parser->config.pool;
	struct cv_prefix prefix;
	struct cv_span item;

	while (cv_span_next(&value, ",", &item)) {
		if (!has_room(parser, rule, item, pool->n_routes, CV_GRANT_ROUTES_MAX))
			return;
		if (cv_config_take_network(parser, item, &prefix))
			pool->routes[pool->n_routes++] = prefix;
	}
}

bool cv_config_has_pool(const struct cv_config *config)
{
	const struct cv_prefix *prefixes = config->pool.prefixes;

	return prefixes[CV_IPV4].addr.family || prefixes[CV_IPV6].addr.family;
}

bool cv_config_pool_network(const struct cv_config *config, enum cv_family family,
			    struct cv_prefix *ret_network)
{
	const struct cv_prefix *pool = &config->pool.prefixes[family];
	bool found = false;

	for (size_t i = 0; i < config->n_addresses; i++) {
		struct cv_prefix network = config->addresses[i];

		cv_prefix_mask(&network);
		if (!cv_prefix_covers(&network, pool) ||
		    (found && network.bits < ret_network->bits))
			continue;
		*ret_network = network;
		found = true;
	}
	return found;
}

static void check_network(struct cv_config_parser *parser, enum cv_family family)
{
	const struct cv_config *config = &parser->config;
	struct cv_prefix ours = config->pool.prefixes[family], network;
	char hint[CV_CONFIG_ERROR_HINT_MAX], text[CV_PREFIX_TEXT_MAX];

	if (!ours.addr.family || cv_config_pool_network(config, family, &network))
		return;
	ours.addr.b[cv_addr_size(ours.addr.family) - 1] |= 1;
	snprintf(hint, sizeof(hint), "add our own address with the network's length: Address = %s",
		 cv_prefix_format(&ours, text));
	cv_config_error(parser, parser->pool_at[family], hint,
			"Pool lies in no network of Address");
}

void cv_config_check_pool(struct cv_config_parser *parser)
{
	const struct cv_config *config = &parser->config;
	const struct cv_config_pool *pool = &config->pool;
	enum cv_family first = parser->pool_at[CV_IPV4].line ? CV_IPV4 : CV_IPV6;

	for (int family = 0; family < CV_FAMILIES; family++)
		check_network(parser, (enum cv_family)family);
	if (parser->pool_more_at.line && !parser->pool_at[first].line)
		cv_config_warning(parser, parser->pool_more_at, "add Pool =, or leave it out",
				  "nothing is handed over without Pool, ignoring");
	if (config->no_extensions && parser->pool_at[first].line)
		cv_config_warning(parser, parser->pool_at[first], "leave out one of them",
				  "nobody can ask for an address with Extensions = off, ignoring");
	if (pool->mtu && pool->mtu < CV_IPV6_MTU_MIN && pool->prefixes[CV_IPV6].addr.family)
		cv_config_warning(parser, parser->pool_mtu_at,
				  "at least 1280, or leave PoolMTU out",
				  "IPv6 does not work with an MTU this small");
}
