/* Changing a running device: keys, port, mark, peers and their allowed-IPs, the interface itself.
 *
 * All calls come from the control thread, between two turns of its loop. Sessions and counters of
 * what a call does not name live on. Words are those of the UAPI (wireguard.md section 2 of the
 * reference; https://www.wireguard.com/xplatform/).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/base/time.h>
#include <convoy/config/config.h>
#include <convoy/crypto/key.h>
#include <convoy/device/device.h>

/* One line `allowed_ip=` of a set, "-" in front of it as `remove`. */
struct cv_allowed_ip_change {
	struct cv_prefix prefix; /* host bits zero */
	bool remove;
};

/* What a set says about one peer. */
struct cv_peer_change {
	struct cv_key public_key;
	bool remove;              /* the peer goes; nothing else counts */
	bool update_only;         /* do nothing when there is no such peer */
	bool replace_allowed_ips; /* forget those that are there first */
	bool set_psk;
	struct cv_key psk; /* all zero: none */
	bool set_endpoint;
	struct cv_endpoint endpoint;
	bool set_keepalive;
	uint16_t keepalive_s; /* 0: off */
	bool set_extension;
	bool extension_off; /* nothing beyond WireGuard is said to the peer from now on */
	const struct cv_allowed_ip_change *allowed_ips; /* change[n_allowed_ips] */
	size_t n_allowed_ips;
};

/**
 * cv_device_set_private_key() - become somebody else; an all-zero key: nobody
 *
 * Sessions end, handshakes begin anew under the new key; a peer that has the new public key goes.
 * The key that is set already changes nothing.
 *
 * Return: 0 or -errno.
 */
int cv_device_set_private_key(struct cv_device *device, const struct cv_key *key, cv_time now);

/* 0: any port. The one wished for already changes nothing. Else sockets are opened anew; sessions
 * live on and the peers roam after us. While the link is down it is remembered for the next up. On
 * failure (-EADDRINUSE and its like, which is logged) the old port stays. */
int cv_device_set_listen_port(struct cv_device *device, uint16_t port);
/* Of all sockets, those to come too; 0: none. On failure (-EPERM) all keep the old one. */
int cv_device_set_fwmark(struct cv_device *device, uint32_t fwmark);
/* Remove all peers. */
void cv_device_clear_peers(struct cv_device *device);
/**
 * cv_device_change_peer() - make, change or remove a peer
 *
 * Our own public key is skipped, as the kernel does. A keepalive that goes from off to on sends one
 * at once when the device is up; a handshake that could not be sent starts at once when an endpoint
 * is set. An allowed-IP that another peer has moves to this one. Allowed-IPs that a replacement
 * keeps are there all the time.
 *
 * Return: 0 or -ENOMEM.
 */
int cv_device_change_peer(struct cv_device *device, const struct cv_peer_change *change,
			  cv_time now);

/**
 * cv_device_change_host() - addresses, MTU, routes, rules and mark from one config to another
 *
 * What both have stays untouched, what only one has is added or taken away. Peers' endpoints serve
 * to choose the MTU. The sockets' mark follows the config's, or the one chosen for a default route:
 * no cv_device_set_fwmark() is needed, and none may come after it. Nothing for a bare device.
 *
 * Return: 0, or -errno after the reason was logged. A failure ends its own kind (addresses, routes,
 * rules); the others were done.
 */
int cv_device_change_host(struct cv_device *device, const struct cv_config *from,
			  const struct cv_config *to);
/* A name of this config, the device's present one, turned out to be this address: an automatic MTU
 * follows the way to it. Nothing for a bare device. */
void cv_device_mind_path(struct cv_device *device, const struct cv_config *config,
			 const struct cv_addr *endpoint);
