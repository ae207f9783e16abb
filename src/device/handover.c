/*
 * What is handed over to a peer that asks.
 *
 * Who has addresses to give decides outside of the device (control/pool.c). Here is what holds for
 * any of it: a peer is heard at most twice a second, so that it cannot make us write to a disk or
 * send more than it pays for, and what is granted goes out in the peer's present session.
 */
#include <errno.h>
#include <string.h>

#include <convoy/device/handover.h>
#include <convoy/peer/rcu.h>

#include "internal.h"

enum {
	INTERVAL_MS = 500, /* a client asks again after a second at the earliest */
};

static void say(struct cv_device *device, struct cv_peer *peer, const struct cv_grant *grant,
		cv_time now)
{
	const struct cv_frame frame = { .kind = CV_FRAME_GRANT, .grant = *grant };
	bool has_address = grant->address4.addr.family || grant->address6.addr.family;

	if (!cv_path_frame(&device->path, peer, cv_rcu_read(&peer->current), &frame, 0, now))
		return;
	cv_device_flush(device, now);
	*(has_address ? &device->counts.grants : &device->counts.grants_empty) += 1;
}

int cv_device_hear_request(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	struct cv_key public_key;

	if (peer->last_request && now - peer->last_request < INTERVAL_MS * CV_NS_PER_MS)
		return -EBUSY;
	peer->last_request = now;
	memcpy(public_key.b, peer->public_key, sizeof(public_key.b));
	if (device->asked)
		device->asked(device->asked_arg, &public_key);
	else
		say(device, peer, &(struct cv_grant){ 0 }, now);
	return 0;
}

void cv_device_heed_requests(struct cv_device *device,
			     void (*asked)(void *arg, const struct cv_key *public_key), void *arg)
{
	device->asked = asked;
	device->asked_arg = arg;
}

void cv_device_repeat_requests(struct cv_device *device)
{
	struct cv_peer *peer = NULL;
	struct cv_key public_key;

	while (device->asked && (peer = cv_peers_next(device->peers, peer))) {
		memcpy(public_key.b, peer->public_key, sizeof(public_key.b));
		if (peer->last_request && cv_rcu_read(&peer->current))
			device->asked(device->asked_arg, &public_key);
	}
}

void cv_device_grant(struct cv_device *device, const struct cv_key *public_key,
		     const struct cv_grant *grant, cv_time now)
{
	struct cv_peer *peer = cv_peers_find(device->peers, public_key->b);

	if (peer && device->up)
		say(device, peer, grant, now);
}
