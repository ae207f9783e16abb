/* What one end hands over to the other inside a session: it is asked, it grants.
 *
 * Control thread only. Source: conf/convoy-wire.md, "Handed-over configuration".
 */
#pragma once

#include <convoy/base/time.h>
#include <convoy/crypto/key.h>
#include <convoy/device/device.h>
#include <convoy/noise/frame.h>

/* A peer asks what it shall have: asked() is called from cv_device_turn(), at most twice a second
 * for each peer. It may grant at once, later, or never. NULL: every peer is told that there is
 * nothing. */
void cv_device_heed_requests(struct cv_device *device,
			     void (*asked)(void *arg, const struct cv_key *public_key), void *arg);
/* As if each peer that asked once and has a session did so again: the answer may be another one. */
void cv_device_repeat_requests(struct cv_device *device);
/* Tell a peer, in its present session. A peer that is gone or has none asks again. */
void cv_device_grant(struct cv_device *device, const struct cv_key *public_key,
		     const struct cv_grant *grant, cv_time now);
