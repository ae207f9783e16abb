/*
 * The three keypair slots of a peer: previous, current, next.
 *
 * How it works. Only control writes the slots; workers read `current` to send, and reach any live
 * keypair by its index to receive. An initiator may send at once, so its new keypair becomes
 * current. A responder must not send before it has heard something under the new keypair, so there
 * it waits in next until a worker reports that (CV_WISH_CONFIRM). What falls out of the slots is
 * unpublished first and wiped after the last reader has gone by.
 *
 * Source: white paper, section 5.4.5 and 6.2; kernel noise.c, add_new_keypair().
 */
#include <errno.h>
#include <stdlib.h>

#include <convoy/crypto/random.h>

#include "internal.h"

static void release_keypair(void *what)
{
	struct cv_keypair *keypair = what;

	pthread_spin_destroy(&keypair->replay_lock);
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

/* Already out of every slot: out of the index as well, and to the graveyard. */
static void drop_keypair(struct cv_device *device, struct cv_keypair *keypair)
{
	if (!keypair)
		return;
	cv_session_leave_index(device, cv_index_lookup(device->plane.index, keypair->local_index));
	cv_graveyard_add(&device->graveyard, keypair, release_keypair);
}

static void install_as_initiator(struct cv_device *device, struct cv_peer *peer,
				 struct cv_keypair *keypair)
{
	struct cv_keypair *current = peer->current;

	drop_keypair(device, peer->previous);
	cv_rcu_publish(&peer->current, keypair);
	if (peer->next) {
		peer->previous = peer->next;
		peer->next = NULL;
		drop_keypair(device, current);
	} else {
		peer->previous = current;
	}
}

static void install_as_responder(struct cv_device *device, struct cv_peer *peer,
				 struct cv_keypair *keypair)
{
	drop_keypair(device, peer->next);
	drop_keypair(device, peer->previous);
	peer->next = keypair;
	peer->previous = NULL;
}

int cv_session_begin(struct cv_device *device, struct cv_peer *peer, struct cv_index_entry *entry,
		     cv_time now)
{
	struct cv_keypair *keypair = cv_vault_take(&device->keypairs);
	int r = keypair ? cv_noise_begin_session(peer->handshake, now, keypair) : -ENOMEM;

	if (r < 0) {
		cv_vault_return(keypair);
		cv_session_leave_index(device, entry);
		return r;
	}
	cv_rcu_publish(&entry->keypair, keypair);
	if (keypair->initiator)
		install_as_initiator(device, peer, keypair);
	else
		install_as_responder(device, peer, keypair);
	cv_timers_session_derived(&peer->timers, now);
	device->counts.sessions++;
	return 0;
}

bool cv_session_confirm(struct cv_device *device, struct cv_peer *peer)
{
	struct cv_keypair *keypair = peer->next;

	if (!keypair || !__atomic_load_n(&keypair->confirmed, __ATOMIC_RELAXED))
		return false;
	drop_keypair(device, peer->previous);
	peer->previous = peer->current;
	peer->next = NULL;
	cv_rcu_publish(&peer->current, keypair);
	return true;
}

void cv_session_clear(struct cv_device *device, struct cv_peer *peer)
{
	struct cv_keypair *current = peer->current;

	cv_rcu_publish(&peer->current, NULL);
	drop_keypair(device, current);
	drop_keypair(device, peer->next);
	drop_keypair(device, peer->previous);
	peer->next = peer->previous = NULL;
	cv_session_leave_index(device, peer->handshake_entry);
	peer->handshake_entry = NULL;
	cv_handshake_clear(peer->handshake);
}
