/*
 * AllowedIPs: which peer owns an inner address, longest prefix first, over all peers.
 *
 * How it works. One path-compressed binary trie per family. A node stands for a prefix; its two
 * children stand for longer prefixes inside it that go on with a 0 or a 1. A node either belongs to
 * a peer or has two children ("fork"); so n prefixes need less than 2n nodes.
 *
 *	insert at an edge that leads to n	one store
 *	  to nothing				  edge = the new node
 *	  n is this very prefix			  n's owner
 *	  n lies inside				  edge = the new node, n below it
 *	  n lies elsewhere			  edge = a fork, n and the new node below it
 *	remove n				up to three
 *						  n's owner = nobody
 *	  n has at most one child		  edge = that child, or nothing
 *	  that left a fork with one child	  edge to the fork = that child
 *
 * Every store is of one pointer, what it publishes is complete, and the splices after a
 * removal change no answer. So a reader sees the table before a change or after it. A node that
 * was spliced out keeps its children until its grace period is over; a reader who stands on it
 * walks on into the tree.
 *
 * Addresses are two words in host order, IPv4 in the upper half of the first, so that one walk
 * serves both. A node is one cache line: that is what a lookup pays per level, of which IPv4 has
 * up to 33 and IPv6 up to 129. Nothing here recurses.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <stdlib.h>

#include <convoy/base/wire.h>
#include <convoy/peer/peer.h>
#include <convoy/peer/routes.h>

enum { CACHE_LINE = 64 };

struct key {
	uint64_t w[2];
};

struct cv_route {
	alignas(CACHE_LINE) struct key key; /* bits behind `bits` are zero */
	struct cv_route *child[2];
	struct cv_peer *peer; /* NULL: a fork */
	uint8_t bits;
	uint8_t family;
	uint32_t round; /* control only: the replacement in which it was inserted last */
	/* Control only: the peer's list in order of insertion. next also links what is freed. */
	struct cv_route *prev, *next;
};

_Static_assert(sizeof(struct cv_route) == CACHE_LINE, "a level of the trie costs one line");

struct cv_routes {
	struct cv_route *root4, *root6;
	struct cv_graveyard *graveyard;
	uint32_t round; /* counts cv_routes_replace_begin() */
};

static struct key key_of(const struct cv_addr *addr)
{
	struct key key = { { 0, 0 } };

	if (addr->family == AF_INET) {
		cv_be32 w;

		memcpy(&w, addr->b, sizeof(w));
		key.w[0] = (uint64_t)cv_be32_get(w) << 32;
	} else {
		cv_be64 w[2];

		memcpy(w, addr->b, sizeof(w));
		key.w[0] = cv_be64_get(w[0]);
		key.w[1] = cv_be64_get(w[1]);
	}
	return key;
}

static struct cv_prefix prefix_of(const struct cv_route *route)
{
	struct cv_prefix prefix = { .addr.family = route->family, .bits = route->bits };

	if (route->family == AF_INET) {
		cv_be32 w = cv_be32_of((uint32_t)(route->key.w[0] >> 32));

		memcpy(prefix.addr.b, &w, sizeof(w));
	} else {
		cv_be64 w[2] = { cv_be64_of(route->key.w[0]), cv_be64_of(route->key.w[1]) };

		memcpy(prefix.addr.b, w, sizeof(w));
	}
	return prefix;
}

/* A word whose first n bits are set, n in [0, 64]. */
static uint64_t leading_ones(unsigned n)
{
	return n ? UINT64_MAX << (64 - n) : 0;
}

static struct key masked(struct key key, unsigned bits)
{
	key.w[0] &= leading_ones(bits < 64 ? bits : 64);
	key.w[1] &= leading_ones(bits < 64 ? 0 : bits - 64);
	return key;
}

/* How many leading bits are the same, 0 to 128. */
static inline unsigned common_bits(const struct key *a, const struct key *b)
{
	uint64_t differ = a->w[0] ^ b->w[0];

	if (differ)
		return (unsigned)__builtin_clzll(differ);
	differ = a->w[1] ^ b->w[1];
	return differ ? 64 + (unsigned)__builtin_clzll(differ) : 128;
}

/* Bit number `at`, 0 to 128; the word wraps at 128, where nodes have no children to choose from. */
static inline unsigned bit(const struct key *key, unsigned at)
{
	return key->w[(at >> 6) & 1] >> (63 - (at & 63)) & 1;
}

static struct cv_route **root_of(struct cv_routes *routes, uint8_t family)
{
	return family == AF_INET ? &routes->root4 : &routes->root6;
}

/*
 * The edge at which a prefix stands or would have to be put (bits of key behind it do not matter):
 * what hangs there is the prefix itself, or inside it, or elsewhere, or nothing. *ret_above is the
 * edge to the node above, or NULL.
 */
static struct cv_route **descend(struct cv_route **edge, const struct key *key, unsigned bits,
				 struct cv_route ***ret_above)
{
	*ret_above = NULL;
	for (struct cv_route *n; (n = *edge); edge = &n->child[bit(key, n->bits)]) {
		if (n->bits >= bits || common_bits(&n->key, key) < n->bits)
			break;
		*ret_above = edge;
	}
	return edge;
}

static bool is_same(const struct cv_route *n, const struct key *key, unsigned bits)
{
	return n && n->bits == bits && common_bits(&n->key, key) >= bits;
}

static void list_append(struct cv_route *route)
{
	struct cv_route_list *list = &route->peer->routes;

	route->prev = list->last;
	route->next = NULL;
	*(list->last ? &list->last->next : &list->first) = route;
	list->last = route;
}

static void list_remove(struct cv_route *route)
{
	struct cv_route_list *list = &route->peer->routes;

	*(route->prev ? &route->prev->next : &list->first) = route->next;
	*(route->next ? &route->next->prev : &list->last) = route->prev;
}

static struct cv_route *new_route(uint8_t family, struct key key, unsigned bits,
				  struct cv_peer *peer)
{
	struct cv_route *route = aligned_alloc(CACHE_LINE, sizeof(*route));

	if (route)
		*route = (struct cv_route){
			.key = masked(key, bits),
			.bits = (uint8_t)bits,
			.family = family,
			.peer = peer,
		};
	return route;
}

struct cv_routes *cv_routes_new(struct cv_graveyard *graveyard)
{
	struct cv_routes *routes = calloc(1, sizeof(*routes));

	if (routes)
		routes->graveyard = graveyard;
	return routes;
}

static void free_tree(struct cv_route *root)
{
	struct cv_route *todo = root;

	if (todo)
		todo->next = NULL;
	while (todo) {
		struct cv_route *n = todo;

		todo = n->next;
		for (int i = 0; i < 2; i++) {
			if (n->child[i]) {
				n->child[i]->next = todo;
				todo = n->child[i];
			}
		}
		free(n);
	}
}

void cv_routes_free(struct cv_routes *routes)
{
	if (!routes)
		return;
	free_tree(routes->root4);
	free_tree(routes->root6);
	free(routes);
}

/* Put a new node, and a fork above it when needed, at an edge that is not this prefix. */
static int grow(struct cv_route **edge, struct cv_route *leaf)
{
	struct cv_route *old = *edge;
	unsigned common = old ? common_bits(&old->key, &leaf->key) : 0;
	struct cv_route *top = leaf;

	if (old && common < leaf->bits) {
		top = new_route(leaf->family, leaf->key, common, NULL);
		if (!top)
			return -ENOMEM;
		top->child[bit(&leaf->key, common)] = leaf;
	}
	if (old)
		top->child[bit(&old->key, top->bits)] = old;
	cv_rcu_publish(edge, top);
	return 0;
}

int cv_routes_insert(struct cv_routes *routes, const struct cv_prefix *prefix, struct cv_peer *peer)
{
	uint8_t family = prefix->addr.family;
	struct key key = key_of(&prefix->addr);
	struct cv_route **above;
	struct cv_route **edge = descend(root_of(routes, family), &key, prefix->bits, &above);
	struct cv_route *n = *edge;

	assert(prefix->bits <= cv_addr_bits(family));
	if (is_same(n, &key, prefix->bits)) {
		if (n->peer)
			list_remove(n);
		cv_rcu_publish(&n->peer, peer);
	} else {
		n = new_route(family, key, prefix->bits, peer);
		if (!n)
			return -ENOMEM;
		if (grow(edge, n) < 0) {
			free(n);
			return -ENOMEM;
		}
	}
	n->round = routes->round;
	list_append(n);
	return 0;
}

static struct cv_route *only_child(const struct cv_route *n)
{
	return n->child[0] ? n->child[0] : n->child[1];
}

/* Splice out a node with at most one child. */
static void splice(struct cv_routes *routes, struct cv_route **edge)
{
	struct cv_route *n = *edge;

	cv_rcu_publish(edge, only_child(n));
	cv_graveyard_add(routes->graveyard, n, free);
}

static void disown(struct cv_routes *routes, struct cv_route **edge, struct cv_route **above)
{
	struct cv_route *n = *edge;

	list_remove(n);
	cv_rcu_publish(&n->peer, NULL);
	if (n->child[0] && n->child[1])
		return;
	splice(routes, edge);
	if (above && !(*above)->peer && !*edge)
		splice(routes, above);
}

bool cv_routes_remove(struct cv_routes *routes, const struct cv_prefix *prefix,
		      struct cv_peer *peer)
{
	struct key key = key_of(&prefix->addr);
	struct cv_route **above;
	struct cv_route **edge =
		descend(root_of(routes, prefix->addr.family), &key, prefix->bits, &above);
	struct cv_route *n = *edge;

	if (!is_same(n, &key, prefix->bits) || n->peer != peer)
		return false;
	disown(routes, edge, above);
	return true;
}

static void remove_first(struct cv_routes *routes, struct cv_peer *peer)
{
	struct cv_route *n = peer->routes.first;
	struct cv_route **above;
	struct cv_route **edge = descend(root_of(routes, n->family), &n->key, n->bits, &above);

	disown(routes, edge, above);
}

void cv_routes_remove_peer(struct cv_routes *routes, struct cv_peer *peer)
{
	while (peer->routes.first)
		remove_first(routes, peer);
}

void cv_routes_replace_begin(struct cv_routes *routes)
{
	routes->round++;
}

/* What was inserted since the begin stands behind all that was not. */
void cv_routes_replace_sweep(struct cv_routes *routes, struct cv_peer *peer)
{
	while (peer->routes.first && peer->routes.first->round != routes->round)
		remove_first(routes, peer);
}

static inline struct cv_peer *longest_match(struct cv_route *const *root, const struct key *key)
{
	const struct cv_route *n = cv_rcu_read(root);
	struct cv_peer *best = NULL;

	while (n && common_bits(&n->key, key) >= n->bits) {
		struct cv_peer *peer = cv_rcu_read(&n->peer);

		best = peer ? peer : best;
		n = cv_rcu_read(&n->child[bit(key, n->bits)]);
	}
	return best;
}

struct cv_peer *cv_routes_lookup(const struct cv_routes *routes, const struct cv_addr *addr)
{
	struct key key = key_of(addr);

	if (addr->family == AF_INET)
		return longest_match(&routes->root4, &key);
	if (addr->family == AF_INET6)
		return longest_match(&routes->root6, &key);
	return NULL;
}

void cv_routes_each(const struct cv_routes *routes, const struct cv_peer *peer,
		    void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg)
{
	(void)routes;
	for (const struct cv_route *n = peer->routes.first; n; n = n->next) {
		struct cv_prefix prefix = prefix_of(n);

		visit(arg, &prefix);
	}
}
