/*
 * A config as text, in the order in which people write these files.
 *
 * Everything goes through one growing-or-counting sink, so that the caller may ask for the length
 * with size 0 and this module needs no heap here.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <convoy/crypto/secret.h>

#include "internal.h"

struct sink {
	char *text;
	size_t size;
	size_t len; /* of the whole text, also where it did not fit */
};

__attribute__((format(printf, 2, 3))) static void put(struct sink *sink, const char *format, ...)
{
	size_t room = sink->len < sink->size ? sink->size - sink->len : 0;
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vsnprintf(room ? sink->text + sink->len : NULL, room, format, arguments);
	va_end(arguments);
	if (len > 0)
		sink->len += (size_t)len;
}

static void put_key(struct sink *sink, const char *name, const struct cv_key *key)
{
	char text[CV_KEY_BASE64_LEN + 1];

	put(sink, "%s = %s\n", name, cv_key_to_base64(key, text));
	cv_wipe(text, sizeof(text));
}

static void put_prefixes(struct sink *sink, const char *name, const struct cv_prefix *prefixes,
			 size_t n)
{
	char text[CV_PREFIX_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		put(sink, "%s = %s\n", name, cv_prefix_format(&prefixes[i], text));
}

static void put_dns(struct sink *sink, const char *name, const struct cv_addr *servers,
		    size_t n_servers, char *const *search, size_t n_search)
{
	char text[CV_ADDR_TEXT_MAX];

	for (size_t i = 0; i < n_servers; i++)
		put(sink, "%s = %s\n", name, cv_addr_format(&servers[i], text));
	for (size_t i = 0; i < n_search; i++)
		put(sink, "%s = %s\n", name, search[i]);
}

static void put_endpoint(struct sink *sink, const char *name, const struct cv_config_peer *peer)
{
	char text[CV_ENDPOINT_TEXT_MAX];

	if (peer->endpoint_is_name)
		put(sink, strchr(peer->host, ':') ? "%s = [%s]:%u\n" : "%s = %s:%u\n", name,
		    peer->host, peer->endpoint.port);
	else if (peer->has_endpoint)
		put(sink, "%s = %s\n", name, cv_endpoint_format(&peer->endpoint, text));
}

static void put_hooks(struct sink *sink, const struct cv_config *config)
{
	for (size_t kind = 0; kind < CV_CONFIG_HOOK_KINDS; kind++)
		for (size_t i = 0; i < config->hooks[kind].n; i++)
			put(sink, "%s = %s\n", cv_config_rules[CV_KEY_PRE_UP + kind].name,
			    config->hooks[kind].list[i].command);
}

/* As wg-quick(8) knows them. */
static void put_interface(struct sink *sink, const struct cv_config *config)
{
	put(sink, "[Interface]\n");
	if (config->has_private_key && !config->private_key_file.path)
		put_key(sink, "PrivateKey", &config->private_key);
	if (config->listen_port)
		put(sink, "ListenPort = %u\n", config->listen_port);
	if (config->has_fwmark)
		put(sink, "FwMark = 0x%x\n", config->fwmark);
	if (config->auto_address)
		put(sink, "Address = auto\n");
	else
		put_prefixes(sink, "Address", config->addresses, config->n_addresses);
	if (config->auto_dns)
		put(sink, "DNS = auto\n");
	put_dns(sink, "DNS", config->dns, config->auto_dns ? 0 : config->n_dns, config->dns_search,
		config->n_dns_search);
	if (config->mtu)
		put(sink, "MTU = %u\n", config->mtu);
	if (config->table == CV_CONFIG_TABLE_OFF)
		put(sink, "Table = off\n");
	else if (config->table == CV_CONFIG_TABLE_NUMBER)
		put(sink, "Table = %u\n", config->table_number);
	put_hooks(sink, config);
	if (config->save_config)
		put(sink, "SaveConfig = true\n");
}

static void put_ciphers(struct sink *sink, uint32_t ciphers)
{
	const char *before = "# convoy: Ciphers = ";

	for (unsigned suite = 0; suite < CV_SUITES; suite++) {
		if (!(ciphers & 1u << suite))
			continue;
		put(sink, "%s%s", before, cv_suite_name((enum cv_suite)suite));
		before = ", ";
	}
	if (ciphers)
		put(sink, "\n");
}

static void put_pool(struct sink *sink, const struct cv_config_pool *pool)
{
	for (size_t i = 0; i < CV_FAMILIES; i++)
		if (pool->prefixes[i].addr.family)
			put_prefixes(sink, "# convoy: Pool", &pool->prefixes[i], 1);
	put_dns(sink, "# convoy: PoolDNS", pool->dns, pool->n_dns, NULL, 0);
	put_prefixes(sink, "# convoy: PoolRoutes", pool->routes, pool->n_routes);
	if (pool->mtu)
		put(sink, "# convoy: PoolMTU = %u\n", pool->mtu);
}

static void put_own(struct sink *sink, const struct cv_config *config)
{
	static const char *const loops[] = { "auto", "io_uring", "epoll" };
	static const char *const levels[] = { "error", "warning", "info", "debug" };
	const struct cv_config_offload *offload = &config->offload;
	char text[CV_ENDPOINT_TEXT_MAX];

	if (config->workers)
		put(sink, "# convoy: Workers = %u\n", config->workers);
	if (config->loop != CV_CONFIG_LOOP_AUTO)
		put(sink, "# convoy: Loop = %s\n", loops[config->loop]);
	if (!offload->tun_tso || !offload->tun_uso || !offload->udp_gso || !offload->udp_gro)
		put(sink, "# convoy: Offload = auto%s%s%s%s\n", offload->tun_tso ? "" : " -tun-tso",
		    offload->tun_uso ? "" : " -tun-uso", offload->udp_gso ? "" : " -udp-gso",
		    offload->udp_gro ? "" : " -udp-gro");
	if (config->aead[0])
		put(sink, "# convoy: AeadProvider = %s\n", config->aead);
	if (config->no_extensions)
		put(sink, "# convoy: Extensions = off\n");
	put_ciphers(sink, config->ciphers);
	if (config->log_level != CV_CONFIG_LOG_INFO)
		put(sink, "# convoy: LogLevel = %s\n", levels[config->log_level]);
	if (config->metrics_at.addr.family)
		put(sink, "# convoy: MetricsListen = %s\n",
		    cv_endpoint_format(&config->metrics_at, text));
	if (config->kill_switch)
		put(sink, "# convoy: KillSwitch = yes\n");
	if (config->kill_switch_allow_lan)
		put(sink, "# convoy: KillSwitchAllowLan = yes\n");
	put_prefixes(sink, "# convoy: ExcludeIPs", config->exclude_ips, config->n_exclude_ips);
	put_pool(sink, &config->pool);
	if (config->auto_routes)
		put(sink, "# convoy: Routes = auto\n");
	put_dns(sink, "# convoy: ClientDNS", config->client_dns, config->n_client_dns,
		config->client_dns_search, config->n_client_dns_search);
	put_endpoint(sink, "# convoy: ClientEndpoint", &config->self);
	if (config->private_key_file.path)
		put(sink, "# convoy: PrivateKeyFile = %s\n", config->private_key_file.path);
}

static void put_peer(struct sink *sink, const struct cv_config_peer *peer)
{
	put(sink, "\n[Peer]\n");
	if (peer->friendly_name)
		put(sink, "# friendly_name = %s\n", peer->friendly_name);
	put_key(sink, "PublicKey", &peer->public_key);
	if (peer->psk_file.path)
		put(sink, "# convoy: PresharedKeyFile = %s\n", peer->psk_file.path);
	else if (peer->has_psk)
		put_key(sink, "PresharedKey", &peer->psk);
	put_prefixes(sink, "AllowedIPs", peer->allowed_ips, peer->n_allowed_ips);
	put_endpoint(sink, "Endpoint", peer);
	if (peer->persistent_keepalive_s)
		put(sink, "PersistentKeepalive = %u\n", peer->persistent_keepalive_s);
	if (peer->no_extensions)
		put(sink, "# convoy: Extensions = off\n");
}

size_t cv_config_print_peer(const struct cv_config_peer *peer, char *ret_text, size_t size)
{
	struct sink sink = { .text = ret_text, .size = size };

	if (size > 0)
		ret_text[0] = '\0';
	put_peer(&sink, peer);
	return sink.len;
}

size_t cv_config_print(const struct cv_config *config, char *ret_text, size_t size)
{
	struct sink sink = { .text = ret_text, .size = size };

	if (size > 0)
		ret_text[0] = '\0';
	put_interface(&sink, config);
	put_own(&sink, config);
	for (size_t i = 0; i < config->n_peers; i++)
		put_peer(&sink, &config->peers[i]);
	return sink.len;
}
