/* Why a packet died: every loss has one name, one sentence and one counter. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * X(NAME, "name", "sentence"). A packet (one IP packet inside, one datagram outside) that is not
 * passed on is counted exactly once under one of these; in = out + sum of drops is a law that
 * the tests check. The text name is the statistic's name and never changes once released.
 */
#define CV_DROP_REASONS(X)                                                                        \
	/* outbound: tun -> udp */                                                                \
	X(VNET_HEADER, "vnet_header", "TUN read with a vnet header that does not fit its packet") \
	X(NOT_IP, "not_ip", "TUN read that is neither IPv4 nor IPv6, or is cut short")            \
	X(NO_PEER, "no_peer", "destination is in no peer's AllowedIPs")                           \
	X(TOO_BIG, "too_big", "larger than what the path to its peer carries")                    \
	X(NO_ENDPOINT, "no_endpoint", "peer has no endpoint yet")                                 \
	X(STAGE_FULL, "stage_full", "no session yet and more packets waiting than may wait")      \
	X(STAGE_PURGED, "stage_purged", "no session came up before the handshake was given up")   \
	X(NONCE_LIMIT, "nonce_limit", "session has used all its message numbers")                 \
	X(LOOP, "loop", "own datagram that a route led back into the tunnel")                     \
	X(SEND_REFUSED, "send_refused", "the kernel refused to send the datagram")                \
	X(SEND_NOBUFS, "send_nobufs", "the kernel had no buffer for the datagram")                \
	/* inbound: udp -> tun */                                                                 \
	X(MALFORMED, "malformed", "datagram is no WireGuard message (type or length)")            \
	X(RECV_OVERFLOW, "recv_overflow", "receive buffer of the socket was full (in trains)")    \
	X(RECV_TRUNCATED, "recv_truncated", "datagram was larger than the receive buffer")        \
	X(UNKNOWN_INDEX, "unknown_index", "data message for a session we do not have")            \
	X(KEY_EXPIRED, "key_expired", "data message under a session past its time or count")      \
	X(AUTH_FAILED, "auth_failed", "data message whose tag does not verify")                   \
	X(REPLAY, "replay", "counter already seen or behind the window (RFC 6479)")               \
	X(INNER_NOT_IP, "inner_not_ip", "authentic message without a whole IP packet inside")     \
	X(SOURCE_NOT_ALLOWED, "source_not_allowed",                                               \
	  "inner source is not in this peer's AllowedIPs")                                        \
	X(ECN_INVALID, "ecn_invalid", "outer CE on a packet that does not speak ECN (RFC 6040)")  \
	X(TUN_WRITE, "tun_write", "the kernel refused the packet at the TUN")                     \
	/* handshakes */                                                                          \
	X(HANDSHAKE_QUEUE, "handshake_queue", "queue of handshake messages and frames was full")  \
	X(HANDSHAKE_MAC, "handshake_mac", "handshake message with a wrong mac1")                  \
	X(HANDSHAKE_COOKIE, "handshake_cookie",                                                   \
	  "no proof of its source (mac2), cookie sent just now or lately")                        \
	X(HANDSHAKE_RATE, "handshake_rate", "under load: source above its handshake rate")        \
	X(HANDSHAKE_INVALID, "handshake_invalid", "handshake message that does not decrypt")      \
	X(HANDSHAKE_PEER, "handshake_peer", "handshake from a key that is no peer")               \
	X(HANDSHAKE_REPLAY, "handshake_replay", "initiation with an old timestamp")               \
	X(HANDSHAKE_FLOOD, "handshake_flood", "initiation too soon after the last of this peer")  \
	X(HANDSHAKE_INDEX, "handshake_index", "response or cookie that answers nothing we sent")  \
	X(HANDSHAKE_SEND, "handshake_send", "the kernel refused to send a handshake message")     \
	/* frames of another Convoy */                                                            \
	X(FRAME_INVALID, "frame_invalid", "frame that is cut short or says nothing sensible")     \
	X(FRAME_UNWANTED, "frame_unwanted",                                                       \
	  "frame of a later version, or while extensions are off")                                \
	X(FRAME_RATE, "frame_rate", "request of a peer so soon behind another")

enum cv_drop {
#define X(name, text, sentence) CV_DROP_##name,
	CV_DROP_REASONS(X)
#undef X
		CV_DROP_COUNT,
};

/* Drops by reason. One thread owns it; others ask that thread. */
struct cv_drops {
	uint64_t count[CV_DROP_COUNT];
};

/* Count n packets. */
static inline void cv_drops_add(struct cv_drops *drops, enum cv_drop reason, uint64_t n)
{
	drops->count[reason] += n;
}

/* The statistic's name, "replay". */
const char *cv_drop_name(enum cv_drop reason);
/* One sentence for people. */
const char *cv_drop_sentence(enum cv_drop reason);
