/* A device of as many peers as a test wants, in place of the real one. Secrets are there, to be
 * looked for in answers. */
#pragma once

#include <string.h>
#include <sys/socket.h>

#include <convoy/base/drop.h>
#include <convoy/base/time.h>
#include <convoy/device/device.h>
#include <convoy/device/show.h>

struct cv_device {
	const char *name;
	size_t n_peers;
	void (*count)(void (*visit)(void *arg, const char *name, uint64_t value), void *arg);
	int counted; /* how often it was asked for its counters */
};

#define FAKE_BIRTH     (100 * CV_NS_PER_S)
#define FAKE_HANDSHAKE INT64_C(1700000000)

/* Peer 0, 1, 2, ... */
static inline struct cv_key fake_key(size_t number)
{
	struct cv_key key = { { 0xab, 0xcd } };

	for (int i = 0; i < 4; i++)
		key.b[28 + i] = (uint8_t)(number >> (24 - 8 * i));
	return key;
}

void cv_device_show(const struct cv_device *device, bool secrets, struct cv_device_show *ret_show)
{
	*ret_show = (struct cv_device_show){
		.name = device->name,
		.has_private_key = true,
		.listen_port = 51820,
		.fwmark = 0xca6c,
		.mtu = 1420,
		.up = true,
		.n_peers = device->n_peers,
	};
	memset(ret_show->public_key.b, 0x11, CV_KEY_SIZE);
	memset(ret_show->private_key.b, 0x5e, CV_KEY_SIZE);
}

/* Peer 0 has everything, peer 1 nothing, and so on in turns. */
bool cv_device_next_peer(const struct cv_device *device, struct cv_peer_cursor *cursor,
			 bool secrets, struct cv_peer_show *ret_show)
{
	uint64_t number = cursor->after;

	if (number >= device->n_peers)
		return false;
	cursor->after++;
	*ret_show = (struct cv_peer_show){ .public_key = fake_key(number) };
	if (number % 2)
		return true;
	ret_show->has_psk = true;
	memset(ret_show->psk.b, 0x5e, CV_KEY_SIZE);
	ret_show->has_endpoint = ret_show->has_source = ret_show->has_session = true;
	cv_endpoint_parse("192.0.2.2:51820", &ret_show->endpoint);
	cv_addr_parse("192.0.2.1", &ret_show->source.addr);
	ret_show->last_handshake_wall = FAKE_HANDSHAKE * CV_NS_PER_S + 999;
	ret_show->session_birth = FAKE_BIRTH;
	ret_show->tx_bytes = number + 1000;
	ret_show->rx_bytes = UINT64_C(1) << 40;
	ret_show->keepalive_s = 25;
	ret_show->has_path = true;
	ret_show->path = (struct cv_path_show){
		.rtt = 12345678,
		.rtt_variation = 250000,
		.unanswered = 2,
		.mtu = 1380,
		.way = { { 1500, 0.125, { 800, 700 } }, { 10, 0, { 80, 80 } } },
	};
	return true;
}

/* Not in the order of addresses, as a trie may have them. */
void cv_device_each_allowed_ip(const struct cv_device *device, const struct cv_key *public_key,
			       void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg)
{
	static const char *const texts[] = { "fd77::2/128", "10.77.0.3/32", "10.77.0.0/24",
					     "10.77.0.0/16" };
	struct cv_prefix prefix;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cv_prefix_parse(texts[i], &prefix);
		visit(arg, &prefix);
	}
}

const char *cv_device_capabilities(const struct cv_device *device,
				   char ret_text[CV_CAPABILITIES_TEXT_MAX])
{
	return strcpy(ret_text, "loop=epoll workers=1 aead=ipsec-mb/openssl");
}

void cv_device_stats(struct cv_device *device,
		     void (*visit)(void *arg, const char *name, uint64_t value), void *arg)
{
	device->counted++;
	if (device->count)
		device->count(visit, arg);
}
