/* Whether two configs say the same; where they stand in their files does not count. */
#pragma once

#include <convoy/config/config.h>

#include "fuzz.h"

static inline bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static inline void must_be_same_words(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
	must(n_a == n_b);
	for (size_t i = 0; i < n_a; i++)
		must(same_text(a[i], b[i]));
}

static inline void must_be_same_addrs(const struct cv_addr *a, size_t n_a, const struct cv_addr *b,
				      size_t n_b)
{
	must(n_a == n_b);
	for (size_t i = 0; i < n_a; i++)
		must(cv_addr_equal(&a[i], &b[i]));
}

static inline void must_be_same_prefixes(const struct cv_prefix *a, size_t n_a,
					 const struct cv_prefix *b, size_t n_b)
{
	must(n_a == n_b);
	for (size_t i = 0; i < n_a; i++)
		must(cv_prefix_equal(&a[i], &b[i]));
}

static inline void must_be_same_peer(const struct cv_config_peer *a, const struct cv_config_peer *b)
{
	must(cv_key_equal(&a->public_key, &b->public_key));
	must(a->has_psk == b->has_psk && cv_key_equal(&a->psk, &b->psk));
	must(same_text(a->psk_file.path, b->psk_file.path));
	must(a->has_endpoint == b->has_endpoint && a->endpoint_is_name == b->endpoint_is_name);
	must(cv_endpoint_equal(&a->endpoint, &b->endpoint) && same_text(a->host, b->host));
	must(a->persistent_keepalive_s == b->persistent_keepalive_s);
	must_be_same_prefixes(a->allowed_ips, a->n_allowed_ips, b->allowed_ips, b->n_allowed_ips);
	must(same_text(a->friendly_name, b->friendly_name));
	must(a->no_extensions == b->no_extensions);
}

static inline void must_be_same(const struct cv_config *a, const struct cv_config *b)
{
	must(a->has_private_key == b->has_private_key);
	must(cv_key_equal(&a->private_key, &b->private_key));
	must(same_text(a->private_key_file.path, b->private_key_file.path));
	must(a->listen_port == b->listen_port && a->mtu == b->mtu);
	must(a->has_fwmark == b->has_fwmark && a->fwmark == b->fwmark);
	must_be_same_prefixes(a->addresses, a->n_addresses, b->addresses, b->n_addresses);
	must_be_same_addrs(a->dns, a->n_dns, b->dns, b->n_dns);
	must_be_same_words(a->dns_search, a->n_dns_search, b->dns_search, b->n_dns_search);
	must(a->auto_address == b->auto_address && a->auto_dns == b->auto_dns);
	must(a->auto_routes == b->auto_routes);
	must(a->table == b->table);
	must(a->table != CV_CONFIG_TABLE_NUMBER || a->table_number == b->table_number);
	for (size_t kind = 0; kind < CV_CONFIG_HOOK_KINDS; kind++) {
		must(a->hooks[kind].n == b->hooks[kind].n);
		for (size_t i = 0; i < a->hooks[kind].n; i++)
			must(same_text(a->hooks[kind].list[i].command,
				       b->hooks[kind].list[i].command));
	}
	must(a->save_config == b->save_config && a->workers == b->workers && a->loop == b->loop);
	must(!memcmp(&a->offload, &b->offload, sizeof(a->offload)));
	must(same_text(a->aead, b->aead) && a->log_level == b->log_level);
	must(a->no_extensions == b->no_extensions && a->ciphers == b->ciphers);
	must(cv_endpoint_equal(&a->metrics_at, &b->metrics_at));
	must(a->kill_switch == b->kill_switch);
	must(a->kill_switch_allow_lan == b->kill_switch_allow_lan);
	must_be_same_prefixes(a->exclude_ips, a->n_exclude_ips, b->exclude_ips, b->n_exclude_ips);
	must_be_same_prefixes(a->pool.prefixes, CV_FAMILIES, b->pool.prefixes, CV_FAMILIES);
	must_be_same_addrs(a->pool.dns, a->pool.n_dns, b->pool.dns, b->pool.n_dns);
	must_be_same_prefixes(a->pool.routes, a->pool.n_routes, b->pool.routes, b->pool.n_routes);
	must(a->pool.mtu == b->pool.mtu);
	must_be_same_addrs(a->client_dns, a->n_client_dns, b->client_dns, b->n_client_dns);
	must_be_same_words(a->client_dns_search, a->n_client_dns_search, b->client_dns_search,
			   b->n_client_dns_search);
	must_be_same_peer(&a->self, &b->self);
	must(a->n_peers == b->n_peers);
	for (size_t i = 0; i < a->n_peers; i++)
		must_be_same_peer(&a->peers[i], &b->peers[i]);
}
