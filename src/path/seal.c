/*
 * seal: packets in the arena become data messages.
 *
 * Each packet already has 16 bytes before it (the data header goes there) and room behind it for
 * padding and tag. Adding fills the header and pads; the burst then encrypts everything that was
 * added, whoever it belongs to, in one call of the provider.
 */
#include <string.h>

#include <convoy/base/wire.h>
#include <convoy/noise/message.h>
#include <convoy/peer/rcu.h>

#include "stages.h"

/* Zeros to a multiple of 16, but never beyond the MTU (white paper, section 5.4.6; the kernel's
 * calculate_skb_padding()). A packet above the MTU is padded as its last MTU's worth would be. */
static uint32_t padded_len(uint32_t len, uint32_t mtu)
{
	uint32_t last = mtu && len > mtu ? len % mtu : len;
	uint32_t padded = (last + CV_PADDING_MULTIPLE - 1) & ~(uint32_t)(CV_PADDING_MULTIPLE - 1);

	if (mtu && padded > mtu)
		padded = mtu;
	return len + (padded > last ? padded - last : 0);
}

uint32_t cv_seal_room(uint32_t len)
{
	return CV_HEADROOM + len + CV_PADDING_MULTIPLE - 1 + CV_TAG_MAX;
}

uint32_t cv_seal_add(struct cv_outbound *out, const struct cv_keypair *keypair, uint64_t counter,
		     uint8_t *datagram, uint32_t len, uint32_t mtu)
{
	const struct cv_suite_keys *suite = cv_rcu_read(&keypair->sealing);
	const struct cv_aead_key *key = suite ? &suite->send.key : &keypair->send;
	struct cv_message_data header = {
		.type = cv_le32_of(cv_message_data_type(key->suite)),
		.receiver_index = cv_le32_of(keypair->remote_index),
		.counter = cv_le64_of(counter),
	};
	uint32_t padded = len ? padded_len(len, mtu) : 0;

	memcpy(datagram, &header, CV_DATA_HEADER_SIZE);
	memset(datagram + CV_HEADROOM + len, 0, padded - len);
	out->jobs[out->jobs_n++] = (struct cv_aead_job){
		.key = key,
		.counter = counter,
		.text = datagram + CV_HEADROOM,
		.len = padded,
	};
	return CV_HEADROOM + padded + cv_suite_tag_size(key->suite);
}

void cv_seal_burst(struct cv_path *path)
{
	cv_aead_seal(&path->aead, path->out->jobs, path->out->jobs_n);
	path->out->jobs_n = 0;
}
