/* The life of a config: defaults, growing lists, names from paths, wiping. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/crypto/secret.h>

#include "internal.h"

void cv_config_init(struct cv_config *ret_config)
{
	*ret_config = (struct cv_config){
		.offload = { .tun_tso = true, .tun_uso = true, .udp_gso = true, .udp_gro = true },
		.log_level = CV_CONFIG_LOG_INFO,
	};
}

static void peer_free(struct cv_config_peer *peer)
{
	free(peer->host);
	free(peer->allowed_ips);
	free(peer->friendly_name);
	free(peer->psk_file.path);
	cv_wipe(peer, sizeof(*peer));
}

static void words_free(char **words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(words[i]);
	free(words);
}

void cv_config_free(struct cv_config *config)
{
	for (size_t i = 0; i < config->n_peers; i++)
		peer_free(&config->peers[i]);
	free(config->peers);
	for (size_t kind = 0; kind < CV_CONFIG_HOOK_KINDS; kind++) {
		struct cv_config_hooks *hooks = &config->hooks[kind];

		for (size_t i = 0; i < hooks->n; i++) {
			cv_wipe(hooks->list[i].command, strlen(hooks->list[i].command));
			free(hooks->list[i].command);
		}
		free(hooks->list);
	}
	words_free(config->dns_search, config->n_dns_search);
	free(config->dns);
	words_free(config->client_dns_search, config->n_client_dns_search);
	free(config->client_dns);
	peer_free(&config->self);
	free(config->addresses);
	free(config->routes);
	free(config->exclude_ips);
	free(config->private_key_file.path);
	cv_wipe(config, sizeof(*config));
	cv_config_init(config);
}

void cv_config_each_route(const struct cv_config *config,
			  void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg)
{
	if (config->table == CV_CONFIG_TABLE_OFF)
		return;
	if (config->auto_routes) {
		for (size_t i = 0; i < config->n_routes; i++)
			visit(arg, &config->routes[i]);
		return;
	}
	for (size_t i = 0; i < config->n_peers; i++)
		for (size_t j = 0; j < config->peers[i].n_allowed_ips; j++)
			visit(arg, &config->peers[i].allowed_ips[j]);
}

struct find_default {
	uint8_t family;
	bool found;
};

static void find_default(void *arg, const struct cv_prefix *prefix)
{
	struct find_default *find = arg;

	find->found |= prefix->bits == 0 && prefix->addr.family == find->family;
}

bool cv_config_has_default(const struct cv_config *config, uint8_t family)
{
	struct find_default find = { .family = family };

	if (config->table == CV_CONFIG_TABLE_AUTO)
		cv_config_each_route(config, find_default, &find);
	return find.found;
}

bool cv_config_grow(struct cv_config_parser *parser, void **list, size_t n, size_t size)
{
	void *larger;

	if (n & (n - 1)) /* room is left up to the next power of two */
		return true;
	larger = calloc(n ? 2 * n : 1, size);
	if (!larger) {
		parser->no_memory = true;
		return false;
	}
	if (n > 0) {
		memcpy(larger, *list, n * size);
		cv_wipe(*list, n * size); /* peers hold preshared keys */
	}
	free(*list);
	*list = larger;
	return true;
}

static bool is_name(struct cv_span name)
{
	if (name.len == 0 || name.len >= IFNAMSIZ || cv_span_is(name, ".") ||
	    cv_span_is(name, ".."))
		return false; /* dots alone: dev_valid_name() of the kernel refuses them */
	for (size_t i = 0; i < name.len; i++) {
		char c = name.at[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      (c != '\0' && strchr("_=+.-", c))))
			return false;
	}
	return true;
}

int cv_config_name_from_path(const char *path, char ret_name[IFNAMSIZ])
{
	const char *slash = strrchr(path, '/');
	const char *file = slash ? slash + 1 : path;
	size_t len = strlen(file), suffix = strlen(".conf");

	if (len <= suffix || strcmp(file + len - suffix, ".conf") != 0 ||
	    !is_name((struct cv_span){ file, len - suffix }))
		return -EINVAL;
	cv_span_copy((struct cv_span){ file, len - suffix }, ret_name, IFNAMSIZ);
	return 0;
}

int cv_config_path_candidates(const char *name, char ret_paths[2][CV_CONFIG_PATH_MAX])
{
	size_t len = strlen(name), suffix = strlen(".conf");

	if (!is_name((struct cv_span){ name, len }) ||
	    (len > suffix && strcmp(name + len - suffix, ".conf") == 0))
		return -EINVAL;
	snprintf(ret_paths[0], CV_CONFIG_PATH_MAX, "/etc/convoy/%s.conf", name);
	snprintf(ret_paths[1], CV_CONFIG_PATH_MAX, "/etc/wireguard/%s.conf", name);
	return 0;
}
