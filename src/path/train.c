/*
 * train: datagrams that lie one behind the other become one send.
 *
 * A train is a description, not a copy: outbound lays the sealed datagrams of a peer into the
 * arena without gaps, so a run of equal sizes with an optional shorter last one is what
 * UDP_SEGMENT wants (linux/udp.h, 4.18). A train ends where the size grows, after a short
 * datagram, where the outer TOS changes, at 64 segments and at the bytes GRO can give back.
 */
#include "stages.h"

static bool continues(const struct cv_train *train, const struct cv_destination *to,
		      const uint8_t *datagram, uint32_t size, uint8_t tos)
{
	return train->owner == to->peer && train->data + train->len == datagram &&
	       train->len == (uint32_t)train->segs * train->seg_size && size <= train->seg_size &&
	       train->segs < CV_TRAIN_SEGS_MAX && train->len + size <= CV_TRAIN_BYTES_MAX &&
	       train->tos == tos;
}

void cv_train_add(struct cv_outbound *out, const struct cv_destination *to, uint8_t *datagram,
		  uint32_t size, uint8_t tos)
{
	struct cv_train *train = out->trains_n ? &out->trains[out->trains_n - 1] : NULL;

	if (train && continues(train, to, datagram, size, tos)) {
		train->segs++;
		train->len += size;
		return;
	}
	out->trains[out->trains_n++] = (struct cv_train){
		.data = datagram,
		.len = size,
		.seg_size = (uint16_t)size,
		.segs = 1,
		.tos = tos,
		.plain = to->plain,
		.remote = to->remote,
		.local = to->local,
		.owner = to->peer,
	};
}
