/*
 * Sessions at the control thread: indices given out, keypairs made and taken apart.
 *
 * How it works. A handshake gets a random index, which becomes the keypair's when the session is
 * derived. The slots of the peer (peer/keypairs.c) decide which keypair lives; what falls out of
 * them is taken out of the index, and wiped after the last reader has gone by.
 *
 * Source: white paper, sections 5.4.5 and 6.2.
 */
#include <errno.h>
#include <stdlib.h>

#include <convoy/crypto/random.h>

#include "internal.h"

static void release_keypair(void *what)
{
	struct cv_keypair *keypair = what;

	pthread_spin_destroy(&keypair->replay_lock);
	cv_vault_return(keypair->suite);
	cv_vault_return(keypair);
}

struct cv_index_entry *cv_session_enter_index(struct cv_device *device, struct cv_peer *peer)
{
	struct cv_index_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->peer = peer;
	do
		entry->index = cv_random_u32();
	while (cv_index_insert(device->plane.index, entry) == -EEXIST);
	return entry;
}

void cv_session_leave_index(struct cv_device *device, struct cv_index_entry *entry)
{
	if (!entry)
		return;
	cv_index_remove(device->plane.index, entry);
	cv_graveyard_add(&device->graveyard, entry, free);
}

/* Out of the index, and to the graveyard. */
static void drop_keypair(struct cv_device *device, struct cv_peer *peer, struct cv_keypair *keypair)
{
	cv_peer_tally_ended(peer, keypair);
	cv_session_leave_index(device, cv_index_lookup(device->plane.index, keypair->local_index));
	cv_graveyard_add(&device->graveyard, keypair, release_keypair);
}

/* Already out of every slot. */
static void drop_keypairs(struct cv_device *device, struct cv_peer *peer,
			  struct cv_keypair **dropped, size_t n)
{
	for (size_t i = 0; i < n; i++)
		drop_keypair(device, peer, dropped[i]);
}

int cv_session_begin(struct cv_device *device, struct cv_peer *peer, struct cv_index_entry *entry,
		     cv_time now)
{
	struct cv_keypair *keypair = cv_vault_take(&device->keypairs);
	struct cv_keypair *dropped[CV_PEER_DROPPED_MAX];
	int r = keypair ? cv_noise_begin_session(peer->handshake, now, keypair) : -ENOMEM;

	if (r < 0) {
		cv_vault_return(keypair);
		cv_session_leave_index(device, entry);
		return r;
	}
	cv_rcu_publish(&entry->keypair, keypair);
	drop_keypairs(device, peer, dropped, cv_peer_install_keypair(peer, keypair, dropped));
	cv_timers_session_derived(&peer->timers, now);
	__atomic_store_n(&peer->loops, false,
			 __ATOMIC_RELAXED); /* a loop that is to come is news */
	device->counts.sessions++;
	return 0;
}

void cv_session_confirmed(struct cv_device *device, struct cv_peer *peer)
{
	struct cv_keypair *dropped = cv_peer_take_dropped(peer);

	if (dropped)
		drop_keypair(device, peer, dropped);
}

void cv_session_clear(struct cv_device *device, struct cv_peer *peer)
{
	struct cv_keypair *dropped[CV_PEER_DROPPED_MAX];

	drop_keypairs(device, peer, dropped, cv_peer_clear_keypairs(peer, dropped));
	cv_session_leave_index(device, peer->handshake_entry);
	peer->handshake_entry = NULL;
	cv_handshake_clear(peer->handshake);
}
