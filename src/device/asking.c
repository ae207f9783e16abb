/*
 * Asking a peer for our addresses.
 *
 * How it works. A tunnel without addresses has no traffic that would begin a session, so control
 * begins one, and says a request in it as soon as it is there; peer/asking.h says when again. A
 * request goes to whoever stands in the file, whether it answered a hello or not: who has no
 * address has nothing else to say. It is no data, so that a peer which does not understand it drops
 * it, and no timer waits.
 *
 * Only the last grant is kept, and one a second taken: a peer cannot make us change the host
 * without end.
 *
 * Source: conf/convoy-wire.md, "Handed-over configuration".
 */
#include <errno.h>
#include <string.h>

#include <convoy/device/asking.h>
#include <convoy/log/log.h>
#include <convoy/peer/rcu.h>

#include "internal.h"

static bool is_asked(const struct cv_device *device, const struct cv_peer *peer)
{
	return device->asking.when.on &&
	       memcmp(peer->public_key, device->asking.whom.b, CV_KEY_SIZE) == 0;
}

void cv_device_ask(struct cv_device *device, const struct cv_key *whom, cv_time now)
{
	struct cv_device_asking *asking = &device->asking;

	if (!whom) {
		*asking = (struct cv_device_asking){ 0 };
		return;
	}
	if (asking->when.on && cv_key_equal(&asking->whom, whom))
		return;
	*asking = (struct cv_device_asking){ .whom = *whom };
	cv_asking_begin(&asking->when, now);
}

cv_time cv_device_asking_deadline(const struct cv_device *device)
{
	return device->up ? cv_asking_deadline(&device->asking.when) : CV_TIME_NEVER;
}

/* Return: whether it went out; else a handshake is under way, or there is nobody to say it to. */
static bool say_request(struct cv_device *device, cv_time now)
{
	const struct cv_frame request = { .kind = CV_FRAME_REQUEST };
	struct cv_peer *peer = cv_peers_find(device->peers, device->asking.whom.b);
	bool sent;

	if (!peer || peer->extension.off)
		return false;
	sent = cv_device_say(device, peer, cv_rcu_read(&peer->current), &request, 0, now);
	if (!sent && !cv_timers_is_trying(&peer->timers))
		cv_device_initiate(device, peer, false, now);
	cv_device_plan(device, peer);
	return sent;
}

void cv_device_go_on_asking(struct cv_device *device, cv_time now)
{
	struct cv_asking *when = &device->asking.when;
	bool sent;

	if (cv_device_asking_deadline(device) > now)
		return;
	sent = say_request(device, now);
	cv_asking_asked(when, sent, now);
	if (sent && cv_asking_is_in_vain(when))
		cv_log_warn("%s: the peer does not say which addresses we have; if it does not "
			    "hand out any, put Address = into the file as its owner gave it to "
			    "you, asking on",
			    device->iface.name);
}

void cv_device_ask_anew(struct cv_device *device, const struct cv_peer *peer)
{
	if (is_asked(device, peer))
		cv_asking_session(&device->asking.when);
}

int cv_device_heed_grant(struct cv_device *device, const struct cv_peer *peer,
			 const struct cv_grant *grant, cv_time now)
{
	if (!is_asked(device, peer) || !cv_asking_answered(&device->asking.when, now))
		return -ENOTSUP;
	device->asking.grant = *grant;
	device->asking.has_grant = true;
	return 0;
}

cv_time cv_device_grant_deadline(const struct cv_device *device)
{
	return device->asking.has_grant ? device->asking.when.take_from : CV_TIME_NEVER;
}

bool cv_device_take_grant(struct cv_device *device, cv_time now, struct cv_grant *ret_grant,
			  struct cv_addr *ret_endpoint)
{
	struct cv_device_asking *asking = &device->asking;
	struct cv_peer *peer = cv_peers_find(device->peers, asking->whom.b);
	struct cv_endpoint remote = { 0 };
	struct cv_source local;
	bool plain;

	if (!asking->has_grant || !cv_asking_takes(&asking->when, now))
		return false;
	asking->has_grant = false;
	if (peer)
		cv_peer_endpoint(peer, 0, &remote, &local, &plain);
	*ret_grant = asking->grant;
	*ret_endpoint = remote.addr;
	return true;
}

void cv_device_granted(struct cv_device *device)
{
	cv_asking_granted(&device->asking.when);
}

bool cv_device_asks_in_vain(const struct cv_device *device)
{
	return device->asking.when.unanswered >= CV_ASKING_IN_VAIN;
}
