/* The configuration of one tunnel as one plain struct, and its text form: wg-quick's file format.
 */
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <convoy/base/addr.h>
#include <convoy/base/grant.h>
#include <convoy/config/error.h>
#include <convoy/crypto/aead.h>
#include <convoy/crypto/key.h>

enum {
	CV_CONFIG_FILE_MAX = 128 << 20, /* bytes; 2^20 peers of two lines each fit */
	CV_CONFIG_LINE_MAX = 256 << 10, /* bytes without the line's end */
	CV_CONFIG_PEERS_MAX = 1 << 20,
	CV_CONFIG_WORKERS_MAX = 256, /* queues of a TUN: MAX_TAP_QUEUES of <linux/if_tap.h> */
	CV_CONFIG_MTU_MIN = 68,      /* RFC 791, section 3.2 */
	CV_CONFIG_MTU_MAX = 65456,   /* 65507 - 32 of one datagram, in whole 16-byte blocks */
	CV_CONFIG_AEAD_NAME_MAX = 32,
	CV_CONFIG_HOST_MAX = 255 + IFNAMSIZ, /* a host name, or an address and "%interface" */
	CV_CONFIG_PATH_MAX = 64,             /* a candidate of cv_config_path_candidates() */
	/* Of what is handed over. RFC 1122, section 3.3.2: what every host takes. */
	CV_CONFIG_POOL_MTU_MIN = 576,
};

/* Where the routes of AllowedIPs go. */
enum cv_config_table {
	CV_CONFIG_TABLE_AUTO,   /* main; a default route by rule and fwmark, as wg-quick does */
	CV_CONFIG_TABLE_OFF,    /* no routes */
	CV_CONFIG_TABLE_NUMBER, /* table_number */
};

enum cv_config_loop {
	CV_CONFIG_LOOP_AUTO,
	CV_CONFIG_LOOP_IO_URING,
	CV_CONFIG_LOOP_EPOLL,
};

enum cv_config_log {
	CV_CONFIG_LOG_ERROR,
	CV_CONFIG_LOG_WARNING,
	CV_CONFIG_LOG_INFO,
	CV_CONFIG_LOG_DEBUG,
};

enum cv_config_hook_kind {
	CV_CONFIG_PRE_UP,
	CV_CONFIG_POST_UP,
	CV_CONFIG_PRE_DOWN,
	CV_CONFIG_POST_DOWN,
	CV_CONFIG_HOOK_KINDS,
};

/* A shell command of the file, verbatim ("%i" not yet replaced), and the line it stands on. */
struct cv_config_hook {
	char *command;
	uint32_t line;
};

struct cv_config_hooks {
	struct cv_config_hook *list; /* hook[n] in the order of the file */
	size_t n;
};

/* Offloads that may be used where the kernel grants them. All true unless the file says so. */
struct cv_config_offload {
	bool tun_tso; /* TCP super-packets on the TUN */
	bool tun_uso; /* UDP super-packets on the TUN */
	bool udp_gso; /* UDP_SEGMENT */
	bool udp_gro; /* UDP_GRO */
};

/* Of arrays that have one for IPv4 and one for IPv6. */
enum cv_family {
	CV_IPV4,
	CV_IPV6,
	CV_FAMILIES,
};

static inline enum cv_family cv_family_of(const struct cv_addr *addr)
{
	return addr->family == AF_INET ? CV_IPV4 : CV_IPV6;
}

/* What a peer that asks is handed over: conf/convoy-wire.md, "Handed-over configuration". */
struct cv_config_pool {
	struct cv_prefix prefixes[CV_FAMILIES]; /* host bits zero; family 0: none */
	struct cv_addr dns[CV_GRANT_DNS_MAX];
	size_t n_dns;
	struct cv_prefix routes[CV_GRANT_ROUTES_MAX]; /* host bits zero */
	size_t n_routes;
	uint32_t mtu; /* 0: the tunnel's own */
};

/* A key that stands in a file of its own; the parser, which opens nothing, leaves the key zero. */
struct cv_config_key_file {
	char *path;    /* as the config has it; NULL: none */
	uint32_t line; /* on which it stands */
};

struct cv_config_peer {
	struct cv_key public_key;
	struct cv_key psk; /* zero when !has_psk */
	bool has_psk;
	struct cv_config_key_file psk_file; /* when set, psk comes from there */

	/*
	 * Where the peer is at first. Numeric: all of `endpoint`. A name to be resolved later
	 * (also an address with a %interface): host[] and endpoint.port; endpoint.addr is none.
	 */
	bool has_endpoint;
	bool endpoint_is_name;
	struct cv_endpoint endpoint;
	char *host; /* NULL unless endpoint_is_name */

	uint16_t persistent_keepalive_s; /* 0: off */
	struct cv_prefix *allowed_ips;   /* prefix[n_allowed_ips], host bits zero */
	size_t n_allowed_ips;
	bool no_extensions;  /* nothing beyond WireGuard is said to it */
	char *friendly_name; /* of "# friendly_name = X", or NULL */
	uint32_t line;       /* of its [Peer] */
};

struct cv_config {
	char name[IFNAMSIZ]; /* the interface; the caller sets it, the file does not know it */

	/* As wg(8) has them. */
	struct cv_key private_key;
	bool has_private_key; /* true for every file that parsed without error and names no file */
	/* When set, private_key comes from there. */
	struct cv_config_key_file private_key_file;
	uint16_t listen_port; /* 0: any */
	bool has_fwmark;      /* false: none, or given as 0 or off */
	uint32_t fwmark;

	/* As wg-quick(8) has them. */
	struct cv_prefix *addresses; /* prefix[n_addresses], host bits kept */
	size_t n_addresses;
	struct cv_addr *dns; /* addr[n_dns] */
	size_t n_dns;
	char **dns_search; /* domain[n_dns_search] */
	size_t n_dns_search;
	uint32_t mtu; /* of the TUN; 0: automatic */
	enum cv_config_table table;
	uint32_t table_number; /* with CV_CONFIG_TABLE_NUMBER */
	struct cv_config_hooks hooks[CV_CONFIG_HOOK_KINDS];
	bool save_config;

	/*
	 * Address, DNS and Routes = auto: the file has none, the peer is asked (grant.h), and what
	 * it hands over stands in addresses, dns and routes. Without auto_routes the routes are
	 * those of allowed_ips. Then there is one peer, and it has an endpoint.
	 */
	bool auto_address, auto_dns, auto_routes;
	struct cv_prefix *routes; /* prefix[n_routes], host bits zero */
	size_t n_routes;
	uint32_t mtu_most; /* handed over: an automatic MTU is at most this; 0: not said */

	/* Our own. */
	uint32_t workers; /* 0: automatic */
	enum cv_config_loop loop;
	struct cv_config_offload offload;
	char aead[CV_CONFIG_AEAD_NAME_MAX]; /* provider's name; "": the best one */
	bool no_extensions;                 /* with no peer */
	uint32_t ciphers;                   /* bits 1 << enum cv_suite that may be used; 0: all */
	enum cv_config_log log_level;
	struct cv_endpoint metrics_at; /* TCP address for GET /metrics; no family: none */
	/* Nothing leaves the host but through the tunnel, and what carries our mark. */
	bool kill_switch;
	bool kill_switch_allow_lan; /* and to private addresses that are not the tunnel's */
	/*
	 * What stays outside of the tunnel: no routes lead there. Masked, in order and disjoint as
	 * cv_prefix_each_left() wants them. Peers' allowed_ips are as the file has them.
	 */
	struct cv_prefix *exclude_ips; /* prefix[n_exclude_ips] */
	size_t n_exclude_ips;

	struct cv_config_pool pool;

	/* What `convoy peer add` writes into the files of clients. */
	struct cv_addr *client_dns; /* addr[n_client_dns] */
	size_t n_client_dns;
	char **client_dns_search; /* domain[n_client_dns_search] */
	size_t n_client_dns_search;
	struct cv_config_peer self; /* this side as a peer of theirs; only its endpoint is set */

	struct cv_config_peer *peers; /* peer[n_peers] in the order of the file */
	size_t n_peers;
};

/* What an empty file means: everything automatic, every offload on, level info, no key. */
void cv_config_init(struct cv_config *ret_config);
/* Free all that the config owns and wipe it, keys first. Once initialised, any number of times. */
void cv_config_free(struct cv_config *config);

/**
 * cv_config_parse() - read a config file
 * @text:	its bytes, any bytes; not written to, not kept
 * @ret_errors:	all errors and warnings in the order of the lines; also on success (warnings).
 *		Always set; free with cv_config_errors_free()
 *
 * Linear in len but for the sorting that finds duplicates. ret_config->name is left empty. The
 * caller wipes `text`, which holds keys. cv_crypto_init() was called.
 *
 * Return: 0; -EINVAL when ret_errors holds an error; -ENOMEM.
 * Source: wg(8), "CONFIGURATION FILE FORMAT"; wg-quick(8), "CONFIGURATION"; convoy.conf(5).
 */
int cv_config_parse(const char *text, size_t len, struct cv_config *ret_config,
		    struct cv_config_errors *ret_errors);

/* Whether there is anything to hand over addresses from. */
bool cv_config_has_pool(const struct cv_config *config);
/* The network that the pool of a family lies in: of those in Address the smallest, host bits zero.
 * Return: false when there is none, so when there is no pool. */
bool cv_config_pool_network(const struct cv_config *config, enum cv_family family,
			    struct cv_prefix *ret_network);
/* Visit the prefixes that routes shall lead into the tunnel, ExcludeIPs not yet cut out. */
void cv_config_each_route(const struct cv_config *config,
			  void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg);
/* Whether routes that go by Table = auto have a default route of this family among them. */
bool cv_config_has_default(const struct cv_config *config, uint8_t family);

/**
 * cv_config_print() - write a config as a file that cv_config_parse() and wg-quick both read
 * @size:	of ret_text; 0 to learn the length
 *
 * Our own keys are written as "# convoy:" comments. What a peer handed over is not: "auto" is,
 * which wg-quick does not know for an address. The text holds the keys: wipe it.
 *
 * Return: bytes of the whole text without its end, as snprintf(3); it was cut when >= size.
 */
size_t cv_config_print(const struct cv_config *config, char *ret_text, size_t size);

/**
 * cv_config_name_from_path() - the interface that a config file describes
 *
 * The last part of the path must be a name of 1 to 15 of [a-zA-Z0-9_=+.-] and ".conf".
 *
 * Return: 0, or -EINVAL and nothing is written.
 */
int cv_config_name_from_path(const char *path, char ret_name[IFNAMSIZ]);

/**
 * cv_config_path_candidates() - where the file of a bare interface name may be
 * @ret_paths:	/etc/convoy/NAME.conf, then /etc/wireguard/NAME.conf: the first that exists is it
 *
 * Return: 0, or -EINVAL when the text is no bare name but a path: it has a slash, or ends
 * in .conf.
 */
int cv_config_path_candidates(const char *name, char ret_paths[2][CV_CONFIG_PATH_MAX]);
