/* What a running device tells of itself: settings and peers as plain values. Control thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/base/time.h>
#include <convoy/crypto/aead.h>
#include <convoy/crypto/key.h>
#include <convoy/device/device.h>
#include <convoy/peer/extension.h>
#include <convoy/peer/quality.h>

struct cv_device_show {
	const char *name; /* lives as long as the device; follows a renamed interface */
	bool has_private_key;
	struct cv_key private_key; /* wipe it */
	struct cv_key public_key;
	uint16_t listen_port; /* the one in use, or the one wished for while the link is down */
	uint32_t fwmark;
	uint32_t mtu;
	bool up;
	size_t n_peers;
};

/* The path to another Convoy. conf/convoy-wire.md, "Path". */
struct cv_path_show {
	cv_time rtt, rtt_variation; /* 0: not known yet */
	uint32_t unanswered;        /* probes in a row */
	uint16_t mtu;               /* the largest packet that it carries; 0: not known yet */
	struct {
		uint32_t jitter_us;
		double loss;                 /* lately, 0 to 1 */
		struct cv_messages messages; /* since it is known as a Convoy */
	} way[CV_QUALITY_WAYS];
};

struct cv_peer_show {
	struct cv_key public_key;
	bool has_psk;
	struct cv_key psk; /* wipe it */
	bool has_endpoint;
	struct cv_endpoint endpoint;
	bool has_source;
	struct cv_source source;     /* our address on the path to it */
	int64_t last_handshake_wall; /* ns since the epoch; 0: never */
	bool has_session;
	cv_time session_birth; /* CLOCK_BOOTTIME */
	bool wants_session;    /* handshakes are tried, and go unanswered so far */
	int last_send_error;   /* -errno of our last handshake message; 0: it went out */
	uint64_t tx_bytes, rx_bytes;
	uint16_t keepalive_s;
	uint32_t staged_pkts;
	enum cv_extension_state extension;
	bool extension_off;
	enum cv_suite suite; /* of the session, what we seal under */
	bool has_path;       /* it was measured */
	struct cv_path_show path;
};

/* Keys are copied only when `secrets`; else private_key is zero. */
void cv_device_show(const struct cv_device *device, bool secrets, struct cv_device_show *ret_show);

/* A place in the list of peers; zeroed: before the first. Stays good over changes of the device:
 * a removed peer's successor is found, a peer is never told twice. */
struct cv_peer_cursor {
	uint64_t after;     /* serial number of the peer told last */
	struct cv_key last; /* its key: where to go on in most cases */
};

/* The next peer in order of addition. Return: false behind the last. */
bool cv_device_next_peer(const struct cv_device *device, struct cv_peer_cursor *cursor,
			 bool secrets, struct cv_peer_show *ret_show);
/* The allowed-IPs of the peer that this key names, in no particular order. */
void cv_device_each_allowed_ip(const struct cv_device *device, const struct cv_key *public_key,
			       void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg);
