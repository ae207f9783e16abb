/*
 * A peer: where it is, and its end.
 *
 * The endpoint is four values that belong together (where to, from where, whether in trains), so
 * they change and are read under a lock, a spin lock held for a copy of 56 bytes, once a burst.
 * Nothing is written when a peer is heard where it was heard before, which is nearly always.
 */
#include <stdlib.h>
#include <string.h>

#include <convoy/crypto/secret.h>
#include <convoy/peer/peer.h>

_Static_assert(offsetof(struct cv_peer, endpoint_lock) == 64, "what bursts read is one line");
_Static_assert(offsetof(struct cv_peer, tx_bytes) == 128, "the endpoint is one line");
_Static_assert(offsetof(struct cv_peer, timers.retransmit) == 192,
	       "what bursts count and re-arm is one line");

void cv_peer_release(void *arg)
{
	struct cv_peer *peer = arg;

	if (peer->is_wishing) {
		peer->is_released = true;
		return;
	}
	cv_vault_return(peer->handshake);
	free(peer->probing);
	pthread_spin_destroy(&peer->endpoint_lock);
	pthread_spin_destroy(&peer->keypairs_lock);
	pthread_spin_destroy(&peer->stage.lock);
	free(peer);
}

bool cv_peer_endpoint(struct cv_peer *peer, cv_time now, struct cv_endpoint *ret_remote,
		      struct cv_source *ret_local, bool *ret_plain)
{
	bool has_endpoint;

	pthread_spin_lock(&peer->endpoint_lock);
	has_endpoint = peer->has_endpoint;
	if (has_endpoint) {
		*ret_remote = peer->remote;
		*ret_local = peer->local;
		*ret_plain = now < peer->plain_until;
	}
	pthread_spin_unlock(&peer->endpoint_lock);
	return has_endpoint;
}

/* The lock is held. What was learnt about the way to the old endpoint is forgotten. */
static void set_remote(struct cv_peer *peer, const struct cv_endpoint *remote)
{
	if (peer->has_endpoint && cv_endpoint_equal(&peer->remote, remote))
		return;
	peer->has_endpoint = true;
	peer->remote = *remote;
	peer->plain_until = 0;
}

void cv_peer_roam(struct cv_peer *peer, const struct cv_endpoint *remote,
		  const struct cv_source *local)
{
	pthread_spin_lock(&peer->endpoint_lock);
	set_remote(peer, remote);
	if (!cv_source_equal(&peer->local, local))
		peer->local = *local;
	pthread_spin_unlock(&peer->endpoint_lock);
}

void cv_peer_set_endpoint(struct cv_peer *peer, const struct cv_endpoint *remote)
{
	pthread_spin_lock(&peer->endpoint_lock);
	set_remote(peer, remote);
	memset(&peer->local, 0, sizeof(peer->local));
	pthread_spin_unlock(&peer->endpoint_lock);
}

void cv_peer_clear_source(struct cv_peer *peer)
{
	pthread_spin_lock(&peer->endpoint_lock);
	memset(&peer->local, 0, sizeof(peer->local));
	pthread_spin_unlock(&peer->endpoint_lock);
}

void cv_peer_set_plain(struct cv_peer *peer, cv_time until)
{
	pthread_spin_lock(&peer->endpoint_lock);
	peer->plain_until = until;
	pthread_spin_unlock(&peer->endpoint_lock);
}
