/* What the device knows of a peer: looked at before and after, so that nothing changes unseen. */
#pragma once

#include "fuzz_world.h"

/* What the device knows of a peer. */
struct knowledge {
	struct cv_handshake handshake;
	const struct cv_index_entry *entry;
	const struct cv_keypair *current, *next, *previous;
	uint64_t rx_bytes, tx_bytes;
	cv_time last_initiation;
	struct cv_timers timers;
	struct cv_endpoint remote;
	struct cv_source local;
	struct cv_extension extension;
	struct cv_probing probing;
	cv_time last_request;
	const struct cv_suite_keys *suite, *sealing; /* of current */
};

static inline void recall(struct cv_peer *of, struct knowledge *ret_knowledge)
{
	bool plain;

	memset(ret_knowledge, 0, sizeof(*ret_knowledge));
	memcpy(&ret_knowledge->handshake, of->handshake, sizeof(*of->handshake));
	ret_knowledge->entry = of->handshake_entry;
	ret_knowledge->current = of->current;
	ret_knowledge->next = of->next;
	ret_knowledge->previous = of->previous;
	ret_knowledge->rx_bytes = of->rx_bytes;
	ret_knowledge->tx_bytes = of->tx_bytes;
	ret_knowledge->last_initiation = of->last_initiation;
	memcpy(&ret_knowledge->timers, &of->timers, sizeof(of->timers));
	cv_peer_endpoint(of, world.now, &ret_knowledge->remote, &ret_knowledge->local, &plain);
	memcpy(&ret_knowledge->extension, &of->extension, sizeof(of->extension));
	if (of->probing)
		memcpy(&ret_knowledge->probing, of->probing, sizeof(*of->probing));
	ret_knowledge->last_request = of->last_request;
	ret_knowledge->suite = of->current ? of->current->suite : NULL;
	ret_knowledge->sealing = of->current ? of->current->sealing : NULL;
}

static inline void must_be_unchanged(struct cv_peer *of, const struct knowledge *before)
{
	struct knowledge now;

	recall(of, &now);
	must(!memcmp(&now.handshake, &before->handshake, sizeof(now.handshake)));
	must(now.entry == before->entry && now.current == before->current);
	must(now.next == before->next && now.previous == before->previous);
	must(now.rx_bytes == before->rx_bytes && now.tx_bytes == before->tx_bytes);
	must(now.last_initiation == before->last_initiation);
	must(!memcmp(&now.timers, &before->timers, sizeof(now.timers)));
	must(cv_endpoint_equal(&now.remote, &before->remote));
	must(cv_source_equal(&now.local, &before->local));
	must(!memcmp(&now.extension, &before->extension, sizeof(now.extension)));
	must(!memcmp(&now.probing, &before->probing, sizeof(now.probing)));
	must(now.last_request == before->last_request);
	must(now.suite == before->suite && now.sealing == before->sealing);
}
