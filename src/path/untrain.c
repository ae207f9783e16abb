/*
 * untrain: one GRO receive becomes datagrams again, each sorted by its type.
 *
 * Data messages find their keypair by the receiver index and join the batch, in order of arrival;
 * the index is looked up once per run, since a train nearly always speaks to one session.
 * Handshake messages are set aside for the control thread. What is neither dies here.
 */
#include <string.h>

#include <convoy/noise/message.h>
#include <convoy/peer/rcu.h>

#include "stages.h"

/* The lookup of the last datagram, good for the next one of the same index. */
struct last {
	uint32_t index;
	struct cv_keypair *keypair;
	struct cv_peer *peer;
};

static void find(struct cv_path *path, uint32_t index, struct last *last)
{
	struct cv_index_entry *entry;

	if (last->keypair && last->index == index)
		return;
	entry = cv_index_lookup(path->plane->index, index);
	last->index = index;
	last->keypair = entry ? cv_rcu_read(&entry->keypair) : NULL;
	last->peer = entry ? entry->peer : NULL;
}

/* What opens a message of this suite; NULL: there is no such key. */
static const struct cv_aead_key *opening_key(const struct cv_keypair *keypair, unsigned number)
{
	const struct cv_suite_keys *suite;

	if (number == CV_SUITE_CHACHA20_POLY1305)
		return &keypair->receive;
	suite = cv_rcu_read(&keypair->suite);
	return suite && suite->receive.key.suite == number ? &suite->receive.key : NULL;
}

static void add_data(struct cv_path *path, uint8_t *datagram, uint32_t len,
		     const struct cv_train *train, struct last *last, cv_time now)
{
	struct cv_inbound *in = path->in;
	const struct cv_message_data *header = (const void *)datagram;
	uint64_t counter = cv_le64_get(header->counter);
	const struct cv_aead_key *key;
	size_t i = in->batch.n;

	find(path, cv_le32_get(header->receiver_index), last);
	if (!last->keypair) {
		cv_drops_add(&path->drops, CV_DROP_UNKNOWN_INDEX, 1);
		return;
	}
	if (!cv_keypair_can_receive(last->keypair, counter, now)) {
		cv_drops_add(&path->drops, CV_DROP_KEY_EXPIRED, 1);
		return;
	}
	key = opening_key(last->keypair, cv_message_suite(header));
	if (!key || len < CV_DATA_HEADER_SIZE + cv_suite_tag_size(key->suite)) {
		cv_drops_add(&path->drops, CV_DROP_MALFORMED, 1);
		return;
	}
	in->batch.n++;
	in->batch.pkt[i] = (struct cv_pkt){
		.data = datagram + CV_HEADROOM,
		.len = len - CV_DATA_HEADER_SIZE - cv_suite_tag_size(key->suite),
		.tos = train->tos,
	};
	in->jobs[i] = (struct cv_aead_job){
		.key = key,
		.counter = counter,
		.text = datagram + CV_HEADROOM,
		.len = in->batch.pkt[i].len,
	};
	in->arrivals[i] = (struct cv_arrival){
		.keypair = last->keypair,
		.peer = last->peer,
		.train = train,
	};
}

static void add_handshake(struct cv_path *path, const uint8_t *datagram, uint32_t len,
			  const struct cv_train *train)
{
	struct cv_inbound *in = path->in;

	path->counts.in_handshakes++;
	in->handshakes[in->handshakes_n++] = (struct cv_arrived_handshake){
		.data = datagram,
		.len = len,
		.train = train,
	};
}

/* Datagrams after which a step ends, though never within a train: what came first is on its way to
 * the TUN before what came last is opened. */
enum { STEP_PKTS = 128 };

void cv_untrain(struct cv_path *path, cv_time now)
{
	struct cv_inbound *in = path->in;
	struct last last = { 0 };

	in->batch.n = in->handshakes_n = 0;
	while (in->train < in->trains_n && in->batch.n < CV_BATCH_MAX &&
	       (in->offset > 0 || in->batch.n < STEP_PKTS) && in->handshakes_n < CV_BATCH_MAX) {
		const struct cv_train *train = &in->trains[in->train];
		uint8_t *datagram = train->data + in->offset;
		uint32_t left = train->len - in->offset;
		uint32_t len = left < train->seg_size ? left : train->seg_size;
		int type = cv_message_type(datagram, len);

		path->counts.in_datagrams++;
		if (type == CV_MESSAGE_DATA)
			add_data(path, datagram, len, train, &last, now);
		else if (type > 0)
			add_handshake(path, datagram, len, train);
		else
			cv_drops_add(&path->drops, CV_DROP_MALFORMED, 1);

		in->offset += len;
		if (in->offset >= train->len) {
			in->train++;
			in->offset = 0;
		}
	}
}
