/*
 * GET /show: one tunnel as JSON.
 *
 *	{ NAME: { "publicKey", "listenPort", "fwmark", "peers": { PUBLIC KEY: { "endpoint",
 *	  "latestHandshake", "transferRx", "transferTx", "persistentKeepalive", "allowedIps" }}}}
 *
 * are those of the script wg-json of wireguard-tools, and as there what is zero or not set is left
 * out. Secrets are "(hidden)", as `wg show` has them. Ours beside them, for the tunnel: "up",
 * "mtu", "version", "capabilities", "drops" by reason, "counters", and "clock", seconds of a clock
 * that only counts on, so that a reader of two answers can make rates, and with Address = auto
 * "handedOver": "by" whom, "addresses", "mtu", "dns" and "routes"; for a peer: "friendlyName",
 * "source" (the address of ours that it is spoken to from), "sessionAge" in seconds,
 * "wantsSession", "queuedPackets", "sendError", "extensions" ("convoy",
 * "foreign" or "off"), "cipher" of a session that has not WireGuard's, and "path" to another
 * Convoy: "mtu", the largest packet that it carries, "rtt" and "rttVariation" in seconds,
 * "unanswered" probes in a row, and for "rx" and "tx" "jitter" in seconds, "loss" lately (0 to 1),
 * "expected" and "accepted" messages of all sessions.
 */
#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <string.h>

#include <convoy/base/time.h>

#include "internal.h"

/* Takes: value. Where there is no memory for something there is no object, and so none for what it
 * should become a part of: an answer is whole, or none. */
static void set(json_t **object, const char *name, json_t *value)
{
	if (json_object_set_new(*object, name, value) == 0)
		return;
	json_decref(*object);
	*object = NULL;
}

static void set_text(json_t **object, const char *name, const char *value)
{
	set(object, name, json_string(value));
}

static void set_number(json_t **object, const char *name, uint64_t value)
{
	if (value)
		set(object, name, json_integer((json_int_t)value));
}

static void set_real(json_t **object, const char *name, double value)
{
	set(object, name, json_real(value));
}

static double seconds(cv_time ns)
{
	return (double)(ns / CV_NS_PER_MS) / 1000;
}

static json_t *list_prefixes(const struct cv_prefix *prefixes, size_t n)
{
	json_t *list = json_array();
	char text[CV_PREFIX_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		const char *prefix = cv_prefix_format(&prefixes[i], text);

		if (json_array_append_new(list, json_string(prefix)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *list_addresses(const struct cv_addr *addresses, size_t n)
{
	json_t *list = json_array();
	char text[CV_ADDR_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_string(cv_addr_format(&addresses[i], text))) <
		    0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* What the peer said, as far as it is in use. */
static json_t *describe_handed_over(const struct cv_control *control)
{
	const struct cv_config *config = &control->config;
	json_t *object = json_object();
	char key[CV_KEY_BASE64_LEN + 1];

	set_text(&object, "by", cv_key_to_base64(&control->handed.by, key));
	set(&object, "addresses", list_prefixes(config->addresses, config->n_addresses));
	set_number(&object, "mtu", config->mtu_most);
	if (config->auto_dns)
		set(&object, "dns", list_addresses(config->dns, config->n_dns));
	if (config->auto_routes)
		set(&object, "routes", list_prefixes(config->routes, config->n_routes));
	return object;
}

/* NULL: not known yet. */
static const char *extensions(const struct cv_peer_show *peer)
{
	static const char *const names[] = {
		[CV_EXTENSION_CONVOY] = "convoy",
		[CV_EXTENSION_FOREIGN] = "foreign",
	};

	return peer->extension_off ? "off" : names[peer->extension];
}

static json_t *describe_way(const struct cv_path_show *path, int way)
{
	const struct cv_messages *messages = &path->way[way].messages;
	json_t *object = json_object();

	set_real(&object, "jitter", path->way[way].jitter_us * 1e-6);
	set_real(&object, "loss", path->way[way].loss);
	set_number(&object, "expected", messages->expected);
	set_number(&object, "accepted", messages->accepted);
	return object;
}

static json_t *describe_path(const struct cv_path_show *path)
{
	json_t *object = json_object();

	if (path->rtt) {
		set_real(&object, "rtt", (double)path->rtt * 1e-9);
		set_real(&object, "rttVariation", (double)path->rtt_variation * 1e-9);
	}
	set_number(&object, "mtu", path->mtu);
	set_number(&object, "unanswered", path->unanswered);
	set(&object, "rx", describe_way(path, CV_QUALITY_IN));
	set(&object, "tx", describe_way(path, CV_QUALITY_OUT));
	return object;
}

static json_t *describe_peer(const struct cv_roll *roll, cv_time now)
{
	const struct cv_peer_show *peer = &roll->peer;
	json_t *object = json_object();
	char text[CV_ENDPOINT_TEXT_MAX];

	if (roll->name[0])
		set_text(&object, "friendlyName", roll->name);
	if (peer->has_psk)
		set_text(&object, "presharedKey", "(hidden)");
	if (peer->has_endpoint)
		set_text(&object, "endpoint", cv_endpoint_format(&peer->endpoint, text));
	if (peer->has_source)
		set_text(&object, "source", cv_addr_format(&peer->source.addr, text));
	set_number(&object, "latestHandshake", (uint64_t)(peer->last_handshake_wall / CV_NS_PER_S));
	if (peer->has_session)
		set_real(&object, "sessionAge", seconds(now - peer->session_birth));
	if (peer->has_session && peer->suite != CV_SUITE_CHACHA20_POLY1305)
		set_text(&object, "cipher", cv_suite_name(peer->suite));
	if (peer->wants_session)
		set(&object, "wantsSession", json_true());
	if (peer->last_send_error)
		set_text(&object, "sendError", strerror(-peer->last_send_error));
	if (extensions(peer))
		set_text(&object, "extensions", extensions(peer));
	if (peer->has_path)
		set(&object, "path", describe_path(&peer->path));
	set_number(&object, "queuedPackets", peer->staged_pkts);
	set_number(&object, "transferRx", peer->rx_bytes);
	set_number(&object, "transferTx", peer->tx_bytes);
	set_number(&object, "persistentKeepalive", peer->keepalive_s);
	set(&object, "allowedIps", list_prefixes(roll->allowed_ips, roll->n_allowed_ips));
	return object;
}

static json_t *describe_peers(const struct cv_control *control, cv_time now)
{
	json_t *peers = json_object();
	char key[CV_KEY_BASE64_LEN + 1];
	struct cv_roll roll;

	cv_roll_begin(&roll, control);
	while (cv_roll_next(&roll))
		set(&peers, cv_key_to_base64(&roll.peer.public_key, key),
		    describe_peer(&roll, now));
	if (cv_roll_end(&roll) == 0)
		return peers;
	json_decref(peers);
	return NULL;
}

/* "what=how what=how ..." */
static json_t *describe_capabilities(const struct cv_device *device)
{
	char text[CV_CAPABILITIES_TEXT_MAX], *rest = text, *word;
	json_t *object = json_object();

	cv_device_capabilities(device, text);
	while ((word = strsep(&rest, " "))) {
		const char *what = strsep(&word, "=");

		if (word)
			set_text(&object, what, word);
	}
	return object;
}

struct counters {
	json_t *drops, *others;
};

static void visit(void *arg, const char *name, uint64_t value)
{
	struct counters *counters = arg;

	if (strncmp(name, "peer.", 5) == 0)
		return;
	if (strncmp(name, "drop.", 5) == 0)
		set(&counters->drops, name + 5, json_integer((json_int_t)value));
	else
		set(&counters->others, name, json_integer((json_int_t)value));
}

static json_t *describe(struct cv_control *control, const struct cv_device_show *show)
{
	struct counters counters = { json_object(), json_object() };
	json_t *object = json_object();
	char key[CV_KEY_BASE64_LEN + 1];
	cv_time now;

	if (show->has_private_key) {
		set_text(&object, "privateKey", "(hidden)");
		set_text(&object, "publicKey", cv_key_to_base64(&show->public_key, key));
	}
	set_number(&object, "listenPort", show->listen_port);
	set_number(&object, "fwmark", show->fwmark);
	set(&object, "up", json_boolean(show->up));
	set_number(&object, "mtu", show->mtu);
	if (control->config.auto_address)
		set(&object, "handedOver", describe_handed_over(control));
	set_text(&object, "version", CV_VERSION);
	set(&object, "capabilities", describe_capabilities(control->device));
	cv_device_stats(control->device, visit, &counters);
	set(&object, "drops", counters.drops);
	set(&object, "counters", counters.others);
	now = cv_clock_now();
	set_real(&object, "clock", seconds(now));
	set(&object, "peers", describe_peers(control, now));
	return object;
}

int cv_json_write(struct cv_control *control, FILE *out)
{
	json_t *root = json_object();
	struct cv_device_show show;
	char name[IFNAMSIZ];
	int r;

	cv_device_show(control->device, false, &show);
	cv_text_clean(show.name, name, sizeof(name));
	set(&root, name, describe(control, &show));
	r = json_dumpf(root, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
	json_decref(root);
	/* With many peers these were many objects. */
	malloc_trim(0);
	return r < 0 ? -ENOMEM : 0;
}
