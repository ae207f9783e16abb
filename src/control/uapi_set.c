/*
 * A set, applied as it streams in.
 *
 * Lines of the device are applied at once. Those of a peer are gathered and applied when the next
 * peer begins, when the set ends, well or badly, and in between when it has more allowed-IPs than
 * are kept: what follows then changes the peer if it exists, and nothing otherwise. So a set may be
 * of any size, and lines before one that is wrong stay applied, as in wireguard-go.
 */
#include <errno.h>
#include <net/if.h>

#include <convoy/crypto/secret.h>

#include "uapi.h"

void cv_uapi_set_begin(struct cv_uapi_set *set)
{
	set->place = CV_UAPI_IN_DEVICE;
	set->is_open = false;
}

static void open_peer(struct cv_uapi_set *set, const struct cv_key *public_key)
{
	set->place = CV_UAPI_IN_PEER;
	set->is_open = true;
	set->change = (struct cv_peer_change){ .public_key = *public_key };
}

int cv_uapi_set_end(struct cv_uapi_set *set, struct cv_device *device)
{
	struct cv_peer_change *change = &set->change;
	int r = 0;

	if (set->is_open) {
		change->allowed_ips = set->allowed_ips;
		r = cv_device_change_peer(device, change, cv_clock_now());
	}
	set->is_open = false;
	cv_wipe(&change->psk, sizeof(change->psk));
	return r;
}

static int take_allowed_ip(struct cv_uapi_set *set, struct cv_device *device,
			   const struct cv_uapi_line *line)
{
	struct cv_peer_change *change = &set->change;

	if (change->n_allowed_ips == CV_UAPI_ALLOWED_IPS) {
		struct cv_key public_key = change->public_key;
		int r = cv_uapi_set_end(set, device);

		if (r < 0)
			return r;
		open_peer(set, &public_key);
		change->update_only = true;
	}
	set->allowed_ips[change->n_allowed_ips++] =
		(struct cv_allowed_ip_change){ line->prefix, line->remove };
	return 0;
}

static int take_endpoint(struct cv_peer_change *change, const struct cv_uapi_line *line)
{
	struct cv_endpoint endpoint = line->endpoint;

	if (line->scope_name[0]) {
		endpoint.scope = if_nametoindex(line->scope_name);
		if (!endpoint.scope)
			return -EINVAL;
	}
	change->endpoint = endpoint;
	change->set_endpoint = true;
	return 0;
}

static int take_peer_line(struct cv_uapi_set *set, struct cv_device *device,
			  const struct cv_uapi_line *line)
{
	struct cv_peer_change *change = &set->change;

	switch (line->key) {
	case CV_UAPI_UPDATE_ONLY:
		change->update_only = true;
		return 0;
	case CV_UAPI_REMOVE:
		change->remove = true;
		return 0;
	case CV_UAPI_PRESHARED_KEY:
		change->set_psk = true;
		change->psk = line->secret;
		return 0;
	case CV_UAPI_ENDPOINT:
		return take_endpoint(change, line);
	case CV_UAPI_KEEPALIVE:
		change->set_keepalive = true;
		change->keepalive_s = (uint16_t)line->number;
		return 0;
	case CV_UAPI_REPLACE_ALLOWED_IPS:
		/* Those of lines before this one as well. */
		change->replace_allowed_ips = true;
		change->n_allowed_ips = 0;
		return 0;
	case CV_UAPI_ALLOWED_IP:
		return take_allowed_ip(set, device, line);
	default: /* protocol_version: there is but one */
		return 0;
	}
}

static int take_line(struct cv_uapi_set *set, struct cv_device *device,
		     const struct cv_uapi_line *line)
{
	int r;

	switch (line->key) {
	case CV_UAPI_PRIVATE_KEY:
		return cv_device_set_private_key(device, &line->secret, cv_clock_now());
	case CV_UAPI_LISTEN_PORT:
		return cv_device_set_listen_port(device, (uint16_t)line->number);
	case CV_UAPI_FWMARK:
		return cv_device_set_fwmark(device, (uint32_t)line->number);
	case CV_UAPI_REPLACE_PEERS:
		cv_device_clear_peers(device);
		return 0;
	case CV_UAPI_PUBLIC_KEY:
		r = cv_uapi_set_end(set, device);
		if (r == 0)
			open_peer(set, &line->secret);
		return r;
	default:
		return take_peer_line(set, device, line);
	}
}

int cv_uapi_set_line(struct cv_uapi_set *set, struct cv_device *device, const char *text,
		     size_t len)
{
	struct cv_uapi_line line;
	int r = cv_uapi_line_parse(text, len, set->place, &line);

	if (r == 0) {
		r = take_line(set, device, &line);
		cv_wipe(&line, sizeof(line));
	}
	return r;
}
