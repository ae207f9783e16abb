/* Suites between two Convoys: which one, its keys, and how long they last. */
#pragma once

#include <stdint.h>

#include <convoy/crypto/aead.h>
#include <convoy/noise/keypair.h>

/* What one end holds: the cost of a message by suite, 0 for one that it does not have. */
struct cv_suite_offer {
	uint32_t cost_ns[CV_SUITES];
};

/**
 * cv_suite_choose() - the suite of the lowest cost in sum that both have
 *
 * Both ends come to the same. Of equal ones the lower number.
 *
 * Return: CV_SUITE_CHACHA20_POLY1305 when there is no other.
 */
enum cv_suite cv_suite_choose(const struct cv_suite_offer *a, const struct cv_suite_offer *b);

/* Messages of up to `mtu` bytes that a key of this suite may seal, for cv_keypair_bound()
 * (conf/convoy-wire.md, "Limits"). */
uint64_t cv_suite_messages_max(enum cv_suite suite, uint32_t mtu);

/**
 * cv_suite_derive() - make both keys of a suite from the exporter of a session
 * @aead:	of the calling thread
 *
 * Return: 0, or -ENOTSUP when this machine does not have the suite.
 * Source: conf/convoy-wire.md, "Keys".
 */
int cv_suite_derive(const struct cv_keypair *keypair, const struct cv_aead *aead,
		    enum cv_suite suite, struct cv_suite_keys *ret_keys);
