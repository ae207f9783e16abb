/*
 * The path MTU at the control thread: probes of the sizes that peer/pmtu.h asks for, sent whole,
 * and what came of them told to the path.
 *
 * How it works. The probe that looks at the path once a second is as large as what data may be, and
 * so tells of the MTU as well. Where it is not echoed others follow, by the deadline of probes that
 * are out. Data may be cut into pieces on the way, probes above the base may not.
 *
 * Source: RFC 8899; conf/convoy-wire.md, "Path MTU".
 */
#include <errno.h>
#include <string.h>

#include <convoy/log/log.h>

#include "internal.h"

/* A size is told when the search for it is over, and as all that was hoped for not at all. */
static void tell(struct cv_device *device, struct cv_peer *peer)
{
	struct cv_probing *probing = peer->probing;
	uint16_t size = (uint16_t)probing->pmtu.size;
	char key_text[CV_KEY_BASE64_LEN + 1];
	struct cv_key key;

	if (!cv_pmtu_is_found(&probing->pmtu) || size == probing->told_mtu)
		return;
	if (probing->told_mtu || size < probing->pmtu.most) {
		memcpy(key.b, peer->public_key, sizeof(key.b));
		CV_LOG_LIMITED(CV_LOG_INFO, "%s: peer %.8s...: the path carries %u bytes now",
			       device->iface.name, cv_key_to_base64(&key, key_text), size);
	}
	probing->told_mtu = size;
}

/* What UDP_SEGMENT was refused for may have been the size. A path that carries all that the TUN
 * does has no MTU of its own: if the TUN's becomes larger, data need not wait for the next probe.
 */
static void publish(struct cv_device *device, struct cv_peer *peer)
{
	const struct cv_pmtu *pmtu = &peer->probing->pmtu;
	uint32_t size = pmtu->size < pmtu->most ? pmtu->size : 0;

	if (size != cv_peer_mtu(peer, 0)) {
		cv_peer_set_mtu(peer, size);
		cv_peer_set_plain(peer, 0);
	}
	tell(device, peer);
}

/* Whether data takes another path than it did. */
static bool has_moved(struct cv_peer *peer, cv_time now)
{
	struct cv_endpoint remote;
	struct cv_source local;
	bool plain;

	return cv_peer_endpoint(peer, now, &remote, &local, &plain) &&
	       cv_probing_goes(peer->probing, &local.addr, &remote.addr);
}

void cv_device_search(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	struct cv_probing *probing = peer->probing;
	uint32_t size;

	while ((size = cv_pmtu_next(&probing->pmtu, device->plane.mtu, now, probing->quality.rtt)))
		if (cv_device_send_probe(device, peer, size, now) == -EMSGSIZE)
			cv_pmtu_refused(&probing->pmtu, size, now);
	publish(device, peer);
}

void cv_device_confirm_mtu(struct cv_device *device, struct cv_peer *peer, cv_time now)
{
	if (has_moved(peer, now))
		cv_pmtu_moved(&peer->probing->pmtu);
	cv_pmtu_flows(&peer->probing->pmtu, now);
	cv_device_search(device, peer, now);
}
