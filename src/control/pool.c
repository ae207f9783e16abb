/*
 * The server's half of handed-over configuration: who asks gets an address of the Pool.
 *
 * How it works. Leases (config/lease.h) are what the state file says. A peer's effective AllowedIPs
 * are those of the file and its lease, in the device only: the config, and what is written from it,
 * know nothing of leases. At a reload both are compared with what runs.
 *
 * Requests are gathered while the device turns. Who has its addresses already is answered at once.
 * For the others one look at what all peers have, wg(8)'s doings included, serves them all, and so
 * does one write of the file: first the disk, then the route, then the answer. The thread waits for
 * the disk; a client costs that once in its life.
 *
 * Source: conf/convoy-wire.md, "Handed-over configuration".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <convoy/base/remainder.h>
#include <convoy/config/lease.h>
#include <convoy/control/lease_file.h>
#include <convoy/device/change.h>
#include <convoy/device/handover.h>
#include <convoy/log/log.h>

#include "internal.h"

enum {
	FLAWS_MAX = 10, /* that are told one by one */
};

struct cv_pool {
	struct cv_control *control;
	struct cv_leases leases;
	bool is_lost;         /* the file is there and cannot be read: nothing new is given */
	bool told_full, told; /* that there is no address; that the file cannot be written */
	uint32_t flaws;
	struct cv_key *asking; /* key[n_asking], room for asking_size */
	size_t n_asking, asking_size;
};

/* What a peer has of the pool, by the device. */
struct share {
	const struct cv_config *config;
	const struct cv_lease *lease;
	struct cv_addr addrs[CV_FAMILIES]; /* to be granted; family 0: none */
	bool has_prefix[CV_FAMILIES];      /* some AllowedIPs in the pool */
};

static const char *name_of(const struct cv_pool *pool)
{
	return pool->control->config.name;
}

/* The file -------------------------------------------------------------------------------- */

static void tell_flaw(void *arg, uint32_t line, const char *why)
{
	struct cv_pool *pool = arg;

	if (pool->flaws++ < FLAWS_MAX)
		cv_log_warn("%s: " CV_LEASE_DIR "/%s.leases:%u: %s, ignoring", name_of(pool),
			    name_of(pool), line, why);
}

static int load(struct cv_pool *pool)
{
	const char *name = name_of(pool);
	char *text;
	size_t len;
	int r = cv_lease_file_read(name, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		cv_log_warn("%s: cannot read " CV_LEASE_DIR "/%s.leases: %s; no new address is "
			    "handed over until the next start, ignoring",
			    name, name, strerror(-r));
		pool->is_lost = true;
		return 0;
	}
	r = cv_leases_parse(text, len, &pool->leases, tell_flaw, pool);
	free(text);
	if (pool->flaws > FLAWS_MAX)
		cv_log_warn("%s: %u more such lines, ignoring", name, pool->flaws - FLAWS_MAX);
	return r;
}

static int save(struct cv_pool *pool)
{
	struct cv_leases *leases = &pool->leases;
	size_t len = cv_leases_print(leases, NULL, 0);
	char *text = malloc(len + 1);
	int r = -ENOMEM;

	if (text) {
		cv_leases_print(leases, text, len + 1);
		r = cv_lease_file_write(name_of(pool), text, len);
	}
	free(text);
	if (r < 0 && !pool->told)
		cv_log_warn("%s: cannot write " CV_LEASE_DIR "/%s.leases: %s; clients get no new "
			    "address, ignoring",
			    name_of(pool), name_of(pool), strerror(-r));
	pool->told = r < 0;
	if (r == 0)
		cv_leases_saved(leases);
	return r;
}

/* Who has what ---------------------------------------------------------------------------- */

/* Which leases hold beside the AllowedIPs of a config. */
static int settle_by_config(struct cv_pool *pool, const struct cv_config *config)
{
	struct cv_leases *leases = &pool->leases;

	cv_leases_begin(leases, config);
	for (size_t i = 0; i < config->n_peers; i++) {
		const struct cv_config_peer *peer = &config->peers[i];

		cv_leases_tell_peer(leases, &peer->public_key);
		for (size_t k = 0; k < peer->n_allowed_ips; k++)
			cv_leases_tell_prefix(leases, &peer->public_key, &peer->allowed_ips[k]);
	}
	return cv_leases_settle(leases);
}

struct telling {
	struct cv_leases *leases;
	struct cv_key public_key;
};

static void tell_prefix(void *arg, const struct cv_prefix *prefix)
{
	struct telling *telling = arg;

	cv_leases_tell_prefix(telling->leases, &telling->public_key, prefix);
}

/* Beside those that run. */
static int settle_by_device(struct cv_pool *pool)
{
	const struct cv_device *device = pool->control->device;
	struct telling telling = { .leases = &pool->leases };
	struct cv_peer_cursor cursor = { 0 };
	struct cv_peer_show peer;

	cv_leases_begin(&pool->leases, &pool->control->config);
	while (cv_device_next_peer(device, &cursor, false, &peer)) {
		telling.public_key = peer.public_key;
		cv_leases_tell_peer(&pool->leases, &peer.public_key);
		cv_device_each_allowed_ip(device, &peer.public_key, tell_prefix, &telling);
	}
	return cv_leases_settle(&pool->leases);
}

static void look_at(void *arg, const struct cv_prefix *prefix)
{
	struct share *share = arg;
	int family = cv_family_of(&prefix->addr);
	const struct cv_prefix *pool = &share->config->pool.prefixes[family];
	bool is_lease = share->lease && cv_addr_equal(&prefix->addr, &share->lease->addrs[family]);

	if (!cv_prefix_covers(pool, prefix))
		return;
	share->has_prefix[family] = true;
	if (prefix->bits == cv_addr_bits(prefix->addr.family) &&
	    (is_lease || !share->addrs[family].family))
		share->addrs[family] = prefix->addr;
}

static struct share look(const struct cv_pool *pool, const struct cv_key *public_key)
{
	struct share share = { .config = &pool->control->config,
			       .lease = cv_leases_find(&pool->leases, public_key) };

	cv_device_each_allowed_ip(pool->control->device, public_key, look_at, &share);
	return share;
}

/* Return: whether it lacks an address of some family. */
static bool lacks(const struct share *share, bool ret_wants[CV_FAMILIES])
{
	for (int family = 0; family < CV_FAMILIES; family++)
		ret_wants[family] = share->config->pool.prefixes[family].addr.family &&
				    !share->has_prefix[family];
	return ret_wants[CV_IPV4] || ret_wants[CV_IPV6];
}

/* The answer ------------------------------------------------------------------------------ */

static struct cv_prefix in_network(const struct cv_config *config, int family,
				   const struct cv_addr *addr)
{
	struct cv_prefix network = { 0 };

	if (addr->family && cv_config_pool_network(config, (enum cv_family)family, &network))
		network.addr = *addr;
	return network;
}

static void grant(const struct cv_pool *pool, const struct cv_key *public_key, cv_time now)
{
	const struct cv_config *config = &pool->control->config;
	struct share share = look(pool, public_key);
	struct cv_grant grant = {
		.address4 = in_network(config, CV_IPV4, &share.addrs[CV_IPV4]),
		.address6 = in_network(config, CV_IPV6, &share.addrs[CV_IPV6]),
	};
	struct cv_device_show show;

	if (grant.address4.addr.family || grant.address6.addr.family) {
		cv_device_show(pool->control->device, false, &show);
		grant.mtu = (uint16_t)(config->pool.mtu ? config->pool.mtu : show.mtu);
		grant.dns_n = (uint8_t)config->pool.n_dns;
		memcpy(grant.dns, config->pool.dns, sizeof(grant.dns));
		grant.routes_n = (uint8_t)config->pool.n_routes;
		memcpy(grant.routes, config->pool.routes, sizeof(grant.routes));
	}
	cv_device_grant(pool->control->device, public_key, &grant, now);
}

/* The lease becomes part of the peer's AllowedIPs. */
static int add_route(const struct cv_pool *pool, const struct cv_lease *lease, cv_time now)
{
	struct cv_allowed_ip_change routes[CV_FAMILIES] = { 0 };
	struct cv_peer_change change = {
		.public_key = lease->public_key,
		.update_only = true,
		.allowed_ips = routes,
	};

	for (int family = 0; family < CV_FAMILIES; family++) {
		const struct cv_addr *addr = &lease->addrs[family];

		if (lease->holds[family])
			routes[change.n_allowed_ips++].prefix = cv_prefix_of_host(addr);
	}
	return cv_device_change_peer(pool->control->device, &change, now);
}

static void tell_lease(const struct cv_pool *pool, const struct cv_lease *lease)
{
	char key[CV_KEY_BASE64_LEN + 1], v4[CV_ADDR_TEXT_MAX], v6[CV_ADDR_TEXT_MAX];
	const bool *holds = lease->holds;

	cv_log_info("%s: peer %.8s...: gets %s%s%s", name_of(pool),
		    cv_key_to_base64(&lease->public_key, key),
		    holds[CV_IPV4] ? cv_addr_format(&lease->addrs[CV_IPV4], v4) : "",
		    holds[CV_IPV4] && holds[CV_IPV6] ? " and " : "",
		    holds[CV_IPV6] ? cv_addr_format(&lease->addrs[CV_IPV6], v6) : "");
}

static void tell_full(struct cv_pool *pool)
{
	if (!pool->told_full)
		cv_log_warn("%s: no address is free in Pool for a peer that asks; enlarge Pool, "
			    "or remove peers, ignoring",
			    name_of(pool));
	pool->told_full = true;
}

/* New leases, for all who wait. Return: 0, or -errno when nobody can be given anything. */
static int give(struct cv_pool *pool)
{
	bool wants[CV_FAMILIES];
	int r = pool->is_lost ? -EIO : settle_by_device(pool);

	for (size_t i = 0; i < pool->n_asking && r == 0; i++) {
		struct share share = look(pool, &pool->asking[i]);

		if (!lacks(&share, wants))
			continue;
		r = cv_leases_take(&pool->leases, &pool->asking[i], wants);
		if (r == -ENOSPC) {
			tell_full(pool);
			r = 0;
		}
	}
	return r == 0 && pool->leases.changed ? save(pool) : r;
}

static void answer_new(struct cv_pool *pool, cv_time now)
{
	if (give(pool) < 0)
		return; /* they ask again */
	for (size_t i = 0; i < pool->n_asking; i++) {
		const struct cv_lease *lease = cv_leases_find(&pool->leases, &pool->asking[i]);
		bool holds = lease && (lease->holds[CV_IPV4] || lease->holds[CV_IPV6]);

		if (holds && add_route(pool, lease, now) == 0)
			tell_lease(pool, lease);
		grant(pool, &pool->asking[i], now);
	}
}

static void asked(void *arg, const struct cv_key *public_key)
{
	struct cv_pool *pool = arg;

	if (pool->n_asking == pool->asking_size) {
		size_t size = pool->asking_size ? 2 * pool->asking_size : 16;
		void *larger = reallocarray(pool->asking, size, sizeof(*pool->asking));

		if (!larger)
			return; /* it asks again */
		pool->asking = larger;
		pool->asking_size = size;
	}
	pool->asking[pool->n_asking++] = *public_key;
}

void cv_pool_turn(struct cv_pool *pool, cv_time now)
{
	bool wants[CV_FAMILIES];
	size_t n = 0;

	if (!pool || !pool->n_asking)
		return;
	for (size_t i = 0; i < pool->n_asking; i++) {
		struct share share = look(pool, &pool->asking[i]);

		if (lacks(&share, wants))
			pool->asking[n++] = pool->asking[i];
		else
			grant(pool, &pool->asking[i], now);
	}
	pool->n_asking = n;
	if (n > 0)
		answer_new(pool, now);
	pool->n_asking = 0;
}

/* The door -------------------------------------------------------------------------------- */

int cv_pool_open(struct cv_control *control, struct cv_pool **ret_pool)
{
	struct cv_pool *pool;
	int r;

	if (!cv_config_has_pool(&control->config))
		return 0;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->control = control;
	*ret_pool = pool;
	mkdir(CV_LEASE_DIR, 0700); /* a failure shows when something is written */
	r = load(pool);
	return r < 0 ? r : settle_by_config(pool, &control->config);
}

int cv_pool_begin(struct cv_pool *pool)
{
	cv_time now = cv_clock_now();
	int r = 0;

	if (!pool)
		return 0;
	for (size_t i = 0; i < pool->leases.n && r == 0; i++)
		if (pool->leases.list[i].is_peer)
			r = add_route(pool, &pool->leases.list[i], now);
	cv_device_heed_requests(pool->control->device, asked, pool);
	return r;
}

int cv_pool_change(struct cv_pool *pool, const struct cv_config *to)
{
	if (!pool)
		return 0;
	pool->told_full = false;
	return settle_by_config(pool, to);
}

void cv_pool_announce(struct cv_pool *pool)
{
	if (pool)
		cv_device_repeat_requests(pool->control->device);
}

void cv_pool_each(const struct cv_pool *pool, const struct cv_key *public_key,
		  void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg)
{
	const struct cv_lease *lease = pool ? cv_leases_find(&pool->leases, public_key) : NULL;

	for (int family = 0; lease && family < CV_FAMILIES; family++) {
		const struct cv_prefix host = cv_prefix_of_host(&lease->addrs[family]);

		if (lease->holds[family] && !lease->is_new)
			visit(arg, &host);
	}
}

void cv_pool_close(struct cv_pool *pool)
{
	if (!pool)
		return;
	cv_leases_free(&pool->leases);
	free(pool->asking);
	free(pool);
}
