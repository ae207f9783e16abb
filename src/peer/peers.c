/*
 * All peers of a device: a table by public key, and a list in order of addition.
 *
 * Chains under a power of two of heads, doubled when there are as many peers as heads. Only the
 * control thread comes here, for handshakes and for the user; packets find their peer by index or
 * by route.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/crypto/hash.h>
#include <convoy/crypto/secret.h>

#include "internal.h"

enum { FIRST_HEADS = 16 };

struct cv_peers {
	uint8_t hash_key[CV_SIPHASH_KEY_SIZE];
	size_t n, n_heads; /* n_heads is a power of two */
	uint64_t added;    /* ever: the serial number of the last one */
	struct cv_peer **heads;
	struct cds_list_head all;
	struct cds_list_head leaving; /* removed, but still in the queue of wishes */
	struct cv_vault handshakes;
};

static struct cv_peer **head_of(const struct cv_peers *peers, const uint8_t public_key[32])
{
	return &peers->heads[cv_siphash(peers->hash_key, public_key, 32) & (peers->n_heads - 1)];
}

static void chain(struct cv_peers *peers, struct cv_peer *peer)
{
	struct cv_peer **head = head_of(peers, peer->public_key);

	peer->key_next = *head;
	*head = peer;
}

/* Without memory the table stays as it is: chains grow, nothing breaks. */
static void grow(struct cv_peers *peers)
{
	struct cv_peer **heads = calloc(2 * peers->n_heads, sizeof(struct cv_peer *));
	struct cv_peer *peer;

	if (!heads)
		return;
	free(peers->heads);
	peers->heads = heads;
	peers->n_heads *= 2;
	for (peer = cv_peers_next(peers, NULL); peer; peer = cv_peers_next(peers, peer))
		chain(peers, peer);
}

struct cv_peers *cv_peers_new(const uint8_t hash_key[16])
{
	struct cv_peers *peers = calloc(1, sizeof(*peers));

	if (!peers)
		return NULL;
	peers->heads = calloc(FIRST_HEADS, sizeof(struct cv_peer *));
	if (!peers->heads) {
		free(peers);
		return NULL;
	}
	peers->n_heads = FIRST_HEADS;
	memcpy(peers->hash_key, hash_key, sizeof(peers->hash_key));
	CDS_INIT_LIST_HEAD(&peers->all);
	CDS_INIT_LIST_HEAD(&peers->leaving);
	cv_vault_init(&peers->handshakes, sizeof(struct cv_handshake));
	return peers;
}

void cv_peers_free(struct cv_peers *peers)
{
	if (!peers)
		return;
	while (!cds_list_empty(&peers->leaving)) {
		struct cv_peer *peer = container_of(peers->leaving.next, struct cv_peer, all);

		cds_list_del(&peer->all);
		peer->is_wishing = false;
		cv_peer_release(peer);
	}
	cv_vault_done(&peers->handshakes);
	free(peers->heads);
	free(peers);
}

static struct cv_peer *new_peer(struct cv_peers *peers, const uint8_t public_key[32])
{
	struct cv_peer *peer = aligned_alloc(alignof(struct cv_peer), sizeof(*peer));

	if (!peer)
		return NULL;
	memset(peer, 0, sizeof(*peer));
	peer->handshake = cv_vault_take(&peers->handshakes);
	if (!peer->handshake) {
		free(peer);
		return NULL;
	}
	memcpy(peer->public_key, public_key, sizeof(peer->public_key));
	pthread_spin_init(&peer->endpoint_lock, PTHREAD_PROCESS_PRIVATE);
	pthread_spin_init(&peer->keypairs_lock, PTHREAD_PROCESS_PRIVATE);
	cv_timers_init(&peer->timers);
	cv_stage_init(&peer->stage);
	cds_wfs_node_init(&peer->wish_node);
	return peer;
}

int cv_peers_add(struct cv_peers *peers, const uint8_t public_key[32], struct cv_peer **ret_peer)
{
	struct cv_peer *peer;

	if (cv_peers_find(peers, public_key))
		return -EEXIST;
	peer = new_peer(peers, public_key);
	if (!peer)
		return -ENOMEM;
	if (peers->n == peers->n_heads)
		grow(peers);
	chain(peers, peer);
	cds_list_add_tail(&peer->all, &peers->all);
	peers->n++;
	peer->serial = ++peers->added;
	*ret_peer = peer;
	return 0;
}

struct cv_peer *cv_peers_find(const struct cv_peers *peers, const uint8_t public_key[32])
{
	struct cv_peer *peer = *head_of(peers, public_key);

	while (peer && memcmp(peer->public_key, public_key, sizeof(peer->public_key)) != 0)
		peer = peer->key_next;
	return peer;
}

void cv_peers_remove(struct cv_peers *peers, struct cv_peer *peer)
{
	struct cv_peer **link = head_of(peers, peer->public_key);

	while (*link != peer)
		link = &(*link)->key_next;
	*link = peer->key_next;
	cds_list_del(&peer->all);
	peers->n--;
	peer->removed = true;
	peer->is_wishing = cv_wishes_forget(peer);
	if (peer->is_wishing)
		cds_list_add(&peer->all, &peers->leaving);
}

size_t cv_peers_count(const struct cv_peers *peers)
{
	return peers->n;
}

struct cv_peer *cv_peers_next(const struct cv_peers *peers, const struct cv_peer *peer)
{
	const struct cds_list_head *at = peer ? &peer->all : &peers->all;

	return at->next == &peers->all ? NULL : container_of(at->next, struct cv_peer, all);
}

bool cv_peers_is_locked(const struct cv_peers *peers)
{
	return cv_vault_is_locked(&peers->handshakes);
}
