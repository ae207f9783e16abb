/* Asking a peer for our addresses: conf/convoy-wire.md, "Handed-over configuration".
 *
 * The device asks, and tells what was answered; what of it is used is the caller's to decide
 * (config/grant.h). Control thread only.
 */
#pragma once

#include <stdbool.h>

#include <convoy/base/addr.h>
#include <convoy/base/grant.h>
#include <convoy/base/time.h>
#include <convoy/crypto/key.h>
#include <convoy/device/device.h>

/* Ask the peer with this key until it grants, and again in each new session; NULL: nobody. A
 * handshake is begun at once. Whoever is asked already is asked no more than before. */
void cv_device_ask(struct cv_device *device, const struct cv_key *whom, cv_time now);

/* What was granted last, and where the peer is (family 0: not known); one a second. Return: whether
 * something was since it was taken. */
bool cv_device_take_grant(struct cv_device *device, cv_time now, struct cv_grant *ret_grant,
			  struct cv_addr *ret_endpoint);
/* From when on there is something to take; CV_TIME_NEVER: there is nothing. */
cv_time cv_device_grant_deadline(const struct cv_device *device);
/* There was an address in it: only a new session is a reason to ask again. */
void cv_device_granted(struct cv_device *device);
/* Whether several requests in a row went unanswered, which was logged. */
bool cv_device_asks_in_vain(const struct cv_device *device);
