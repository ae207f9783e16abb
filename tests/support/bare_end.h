/* One end of a tunnel without its device: a plane with one peer, a path, a session made by hand. */
#pragma once

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/path/path.h>

enum { END_MTU = 1420 };

struct end {
	struct cv_plane plane;
	struct cv_path path;
	struct cv_graveyard graveyard;
	struct cv_peers *peers;
	struct cv_peer *peer;
	struct cv_index_entry entry;
	struct cv_keypair keypair;
};

/* Not an assertion of a test, since bench makes ends too. */
static inline void end_must(int r)
{
	if (r) {
		fprintf(stderr, "an end could not be made: %s\n", strerror(-r));
		abort();
	}
}

/* who is 1 or 2: the two know each other. Keys are the caller's. */
static inline void end_open(struct end *end, unsigned who, const uint8_t send[32],
			    const uint8_t receive[32], cv_time now)
{
	struct cv_prefix all4 = { .addr.family = AF_INET }, all6 = { .addr.family = AF_INET6 };
	struct cv_endpoint remote = { .addr = { AF_INET, { 192, 0, 2, (uint8_t)who } }, .port = 1 };
	uint8_t key[32] = { (uint8_t)who }, hash_key[16] = { 1 };

	end->plane.routes = cv_routes_new(&end->graveyard);
	end->plane.index = cv_index_new(16);
	end->plane.pool = cv_stage_pool_new();
	end->plane.mtu = END_MTU;
	cv_wishes_init(&end->plane.wishes);
	end->peers = cv_peers_new(hash_key);
	end_must(cv_peers_add(end->peers, key, &end->peer));
	cv_peer_set_endpoint(end->peer, &remote);
	end_must(cv_routes_insert(end->plane.routes, &all4, end->peer));
	end_must(cv_routes_insert(end->plane.routes, &all6, end->peer));
	end_must(cv_path_init(&end->path, &end->plane, NULL));

	memcpy(end->keypair.send.key, send, 32);
	memcpy(end->keypair.receive.key, receive, 32);
	end->keypair.birth = now;
	end->keypair.local_index = 100 + who;
	end->keypair.remote_index = 100 + (3 - who);
	pthread_spin_init(&end->keypair.replay_lock, PTHREAD_PROCESS_PRIVATE);
	end->entry = (struct cv_index_entry){
		.index = 100 + who,
		.peer = end->peer,
		.keypair = &end->keypair,
	};
	end_must(cv_index_insert(end->plane.index, &end->entry));
}

static inline void end_close(struct end *end)
{
	uint32_t bits;

	cv_rcu_publish(&end->peer->current, NULL);
	cv_index_remove(end->plane.index, &end->entry);
	while (cv_wishes_take(&end->plane.wishes, &bits))
		;
	cv_stage_purge(&end->peer->stage, end->plane.pool, &end->path.drops, CV_DROP_STAGE_PURGED);
	cv_routes_remove_peer(end->plane.routes, end->peer);
	cv_peers_remove(end->peers, end->peer);
	cv_peer_release(end->peer);
	cv_path_done(&end->path);
	cv_graveyard_done(&end->graveyard);
	cv_peers_free(end->peers);
	cv_routes_free(end->plane.routes);
	cv_index_free(end->plane.index);
	cv_stage_pool_free(end->plane.pool);
}

/* Publish the session for sending; receiving works from the start. */
static inline void end_connect(struct end *end)
{
	cv_rcu_publish(&end->peer->current, &end->keypair);
}
