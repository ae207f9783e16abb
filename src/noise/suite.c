/*
 * Suites: beside the transport keys a session has an exporter, from which keys of other suites
 * come.
 *
 *	exporter = Kdf1(chaining key of the finished handshake, "Convoy v1 exporter")
 *	initiator's, responder's key of suite s = Kdf2(exporter, "Convoy v1 suite" ‖ s)
 *
 * WireGuard's own are Kdf2(chaining key, nothing): another input of the same pseudorandom function,
 * so that neither tells anything about the other.
 */
#include <string.h>

#include <convoy/crypto/hash.h>
#include <convoy/crypto/secret.h>
#include <convoy/noise/suite.h>

enum cv_suite cv_suite_choose(const struct cv_suite_offer *a, const struct cv_suite_offer *b)
{
	enum cv_suite best = CV_SUITE_CHACHA20_POLY1305;
	uint64_t least = UINT64_MAX;

	for (int suite = 0; suite < CV_SUITES; suite++) {
		uint64_t sum = (uint64_t)a->cost_ns[suite] + b->cost_ns[suite];

		if (a->cost_ns[suite] && b->cost_ns[suite] && sum < least) {
			best = (enum cv_suite)suite;
			least = sum;
		}
	}
	return best;
}

/* RFC 9001, appendix B.1: 2^28 messages of 2^11 bytes, 2^35 blocks, keep AES-GCM's confidentiality
 * at 2^-57; header and length are two blocks more. */
uint64_t cv_suite_messages_max(enum cv_suite suite, uint32_t mtu)
{
	const uint64_t blocks = UINT64_C(1) << 35;

	if (suite == CV_SUITE_AES256_GCM)
		return blocks / ((mtu + 15) / 16 + 2);
	return 0;
}

int cv_suite_derive(const struct cv_keypair *keypair, const struct cv_aead *aead,
		    enum cv_suite suite, struct cv_suite_keys *ret_keys)
{
	uint8_t label[] = "Convoy v1 suite?";
	uint8_t initiators[CV_AEAD_KEY_SIZE], responders[CV_AEAD_KEY_SIZE];
	struct cv_suite_key *first = keypair->initiator ? &ret_keys->send : &ret_keys->receive;
	struct cv_suite_key *second = keypair->initiator ? &ret_keys->receive : &ret_keys->send;
	int r;

	label[sizeof(label) - 2] = (uint8_t)suite;
	cv_kdf2(keypair->exporter, sizeof(keypair->exporter), label, sizeof(label) - 1, initiators,
		responders);
	r = cv_aead_key_prepare(aead, suite, initiators, first);
	if (r == 0)
		r = cv_aead_key_prepare(aead, suite, responders, second);
	cv_wipe(initiators, sizeof(initiators));
	cv_wipe(responders, sizeof(responders));
	return r;
}
