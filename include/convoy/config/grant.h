/* Handed-over configuration: what of a peer's grant the file allows, and a config that has it.
 *
 * A peer that grants is trusted with packets, not with this host: conf/convoy-wire.md,
 * "Handed-over configuration", and conf/SECURITY.md.
 */
#pragma once

#include <stdbool.h>

#include <convoy/base/addr.h>
#include <convoy/base/grant.h>
#include <convoy/config/config.h>

/**
 * cv_config_admit() - take what the file allows of a grant, token by token
 * @config:	one with auto_address
 * @endpoint:	where the peer is, which must not be led into the tunnel; NULL: not known
 * @refused:	called with each thing that is not taken ("route 10.0.0.0/8") and why, in words that
 *		hold nothing from outside but numbers; NULL: nobody listens
 * @ret_grant:	routes and networks are masked, duplicates left as they are
 *
 * Addresses are those of a host, not multicast, loopback, link-local, reserved or the endpoint's
 * own, in a network of /8 to /32 or /48 to /128. A network that the peer's AllowedIPs do not have,
 * or that has the endpoint in it, is left out: the address is taken alone. Name servers are
 * addresses of a host. A route lies within one of the AllowedIPs; it does not lead to the endpoint,
 * but for a default route that is kept apart (Table = auto). An MTU is 576 or more, with an IPv6
 * address 1280. What the file did not ask for is left out in silence.
 */
void cv_config_admit(const struct cv_config *config, const struct cv_grant *grant,
		     const struct cv_addr *endpoint,
		     void (*refused)(void *arg, const char *what, const char *why), void *arg,
		     struct cv_grant *ret_grant);

/**
 * cv_config_hand_over() - put what was admitted into the place of "auto"
 *
 * Lists that a former grant made are not freed: they are the caller's, who may have copied the
 * config to compare. cv_config_forget_grant() frees them.
 *
 * Return: 0, or -ENOMEM and nothing was changed.
 */
int cv_config_hand_over(struct cv_config *config, const struct cv_grant *admitted);
/* The file's own words again. */
void cv_config_forget_grant(struct cv_config *config);

/* Whether there is an address in it. */
static inline bool cv_grant_has_address(const struct cv_grant *grant)
{
	return grant->address4.addr.family || grant->address6.addr.family;
}
