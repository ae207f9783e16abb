/* AllowedIPs: which peer owns an inner address, longest prefix first, over all peers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/peer/rcu.h>

struct cv_peer;
struct cv_routes;
struct cv_route;

/* The prefixes of one peer, in order of insertion; embedded in it. All zero is an empty one. */
struct cv_route_list {
	struct cv_route *first, *last;
};

/* Control thread. Memory removed by a change is given to the graveyard. Return: NULL when there is
 * no memory. */
struct cv_routes *cv_routes_new(struct cv_graveyard *graveyard);
/* No reader may be left. Does not touch the peers, which may be gone; their lists are dead. */
void cv_routes_free(struct cv_routes *routes);

/**
 * cv_routes_insert() - give a prefix to a peer
 *
 * Host bits are masked. A prefix belongs to exactly one peer: inserting it again moves it, and puts
 * it behind the others of its peer (as the kernel does, also when the peer stays the same).
 * Readers see the table before or after, never between.
 *
 * Return: 0 or -ENOMEM (nothing changed).
 * Source: white paper, section 2; kernel allowedips.c for the corner cases.
 */
int cv_routes_insert(struct cv_routes *routes, const struct cv_prefix *prefix,
		     struct cv_peer *peer);
/* Remove one prefix if this peer has it (true), or all prefixes of a peer. */
bool cv_routes_remove(struct cv_routes *routes, const struct cv_prefix *prefix,
		      struct cv_peer *peer);
void cv_routes_remove_peer(struct cv_routes *routes, struct cv_peer *peer);

/*
 * To replace the prefixes of a peer so that readers always find those that stay: begin, insert the
 * new ones, and sweep, which removes all that this peer had and was not inserted since the begin.
 */
void cv_routes_replace_begin(struct cv_routes *routes);
void cv_routes_replace_sweep(struct cv_routes *routes, struct cv_peer *peer);

/* Owner of the longest prefix that contains addr, or NULL. Any thread, under RCU. */
struct cv_peer *cv_routes_lookup(const struct cv_routes *routes, const struct cv_addr *addr);

/* Visit the prefixes of one peer in order of insertion; visit() changes nothing. Control thread. */
void cv_routes_each(const struct cv_routes *routes, const struct cv_peer *peer,
		    void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg);
