/*
 * fuzz show: what the doors tell, of an interface and of peers with any names and numbers.
 *
 * Oracle: GET /show is JSON, GET /metrics is the text format of Prometheus; both tell each peer
 * once, under its name: as it is where it is printable UTF-8.
 */
#include <jansson.h>
#include <netinet/in.h>

#include <convoy/device/show.h>

#include "control/internal.h"
#include "fuzz.h"

enum {
	PEERS_MAX = 16,
	NAME_MAX = 260,
};

struct cv_device {
	char name[IFNAMSIZ];
	size_t n_peers;
	struct cv_peer_show peers[PEERS_MAX];
	uint8_t allowed[PEERS_MAX];
};

int cv_http_statm(const struct cv_http *http)
{
	return -1;
}

void cv_device_show(const struct cv_device *device, bool secrets, struct cv_device_show *ret_show)
{
	*ret_show = (struct cv_device_show){ .name = device->name,
					     .has_private_key = true,
					     .n_peers = device->n_peers };
}

bool cv_device_next_peer(const struct cv_device *device, struct cv_peer_cursor *cursor,
			 bool secrets, struct cv_peer_show *ret_show)
{
	if (cursor->after >= device->n_peers)
		return false;
	*ret_show = device->peers[cursor->after++];
	return true;
}

void cv_device_each_allowed_ip(const struct cv_device *device, const struct cv_key *public_key,
			       void (*visit)(void *arg, const struct cv_prefix *prefix), void *arg)
{
	struct cv_prefix prefix = { .addr.family = AF_INET };

	for (uint8_t i = 0; i < device->allowed[public_key->b[0]]; i++) {
		prefix.addr.family = i % 2 ? AF_INET6 : AF_INET;
		prefix.addr.b[0] = (uint8_t)(i * 89);
		prefix.bits = 8;
		visit(arg, &prefix);
	}
}

const char *cv_device_capabilities(const struct cv_device *device,
				   char ret_text[CV_CAPABILITIES_TEXT_MAX])
{
	return strcpy(ret_text, "loop=epoll workers=1");
}

void cv_device_stats(struct cv_device *device,
		     void (*visit)(void *arg, const char *name, uint64_t value), void *arg)
{
	visit(arg, "path.out_pkts", 1);
	visit(arg, "drop.replay", 2);
	visit(arg, "hist.udp.send.le_1", 3);
	visit(arg, "hist.udp.send.sum", 4);
	visit(arg, "hist.udp.send.count", 5);
}

/* Reading --------------------------------------------------------------------------------- */

static void read_path(struct input *input, struct cv_path_show *ret_path)
{
	*ret_path = (struct cv_path_show){
		.rtt = (cv_time)read16(input) << 20,
		.rtt_variation = read16(input),
		.unanswered = read8(input),
	};
	for (int way = 0; way < CV_QUALITY_WAYS; way++) {
		ret_path->way[way].jitter_us = read32(input);
		ret_path->way[way].loss = read8(input) / 255.0;
		ret_path->way[way].messages.expected = (uint64_t)read32(input) << 20;
		ret_path->way[way].messages.accepted = read32(input);
	}
}

static void read_peer(struct input *input, struct cv_peer_show *ret_peer)
{
	*ret_peer = (struct cv_peer_show){
		.has_endpoint = true,
		.endpoint.addr.family = AF_INET6,
		.has_source = true,
		.source.addr.family = AF_INET,
		.has_session = true,
		.last_send_error = -(read8(input) & 127),
		.tx_bytes = (uint64_t)read32(input) << 31,
		.rx_bytes = read32(input),
		.last_handshake_wall = (int64_t)read32(input) << 30,
		.session_birth = (cv_time)read32(input) << 31,
		.keepalive_s = read16(input),
	};
	read_bytes(input, ret_peer->endpoint.addr.b, 16);
	ret_peer->endpoint.scope = read8(input);
	ret_peer->endpoint.port = read16(input);
	ret_peer->has_path = ret_peer->endpoint.scope & 1;
	if (ret_peer->has_path)
		read_path(input, &ret_peer->path);
}

/* Names end with a zero. */
static char *read_name(struct input *input)
{
	const uint8_t *piece;
	size_t len = read_until(input, 0, &piece);
	char *name;

	len = len < NAME_MAX ? len : NAME_MAX;
	name = malloc(len + 1);
	must(name);
	if (len)
		memcpy(name, piece, len);
	name[len] = '\0';
	return name;
}

static void read_control(struct input *input, struct cv_control *control)
{
	struct cv_device *device = control->device;
	struct cv_config *config = &control->config;
	char *name = read_name(input);

	snprintf(device->name, sizeof(device->name), "%s", name);
	free(name);
	for (device->n_peers = 0; input->left && device->n_peers < PEERS_MAX; device->n_peers++) {
		size_t i = device->n_peers;

		config->peers[i] = (struct cv_config_peer){ .friendly_name = read_name(input) };
		device->allowed[i] = read8(input) % 20;
		read_peer(input, &device->peers[i]);
		device->peers[i].public_key.b[0] = (uint8_t)i;
		config->peers[i].public_key = device->peers[i].public_key;
	}
	config->n_peers = device->n_peers;
}

/* Judging --------------------------------------------------------------------------------- */

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* What a name must have become. */
static void check_name(const char *told, const char *name)
{
	char clean[CV_ROLL_NAME_MAX];

	cv_text_clean(name, clean, sizeof(clean));
	must(told && !strcmp(told, clean));
	if (is_plain(name))
		must(!strncmp(told, name, CV_ROLL_NAME_MAX - 1));
	must(!strpbrk(told, "\n\r\t\x1b\x7f"));
}

static void check_interface(const char *told, const char *name)
{
	char clean[IFNAMSIZ];

	cv_text_clean(name, clean, sizeof(clean));
	must(!strcmp(told, clean));
}

static void check_json(const struct cv_control *control, const char *text, size_t len)
{
	json_error_t error;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error), *peers;
	char key[CV_KEY_BASE64_LEN + 1];

	must(root && json_object_size(root) == 1);
	peers = json_object_get(json_object_iter_value(json_object_iter(root)), "peers");
	must(json_object_size(peers) == control->device->n_peers);
	for (size_t i = 0; i < control->device->n_peers; i++) {
		const struct cv_config_peer *peer = &control->config.peers[i];
		json_t *told = json_object_get(peers, cv_key_to_base64(&peer->public_key, key));
		const char *name = json_string_value(json_object_get(told, "friendlyName"));

		must(told);
		check_name(name ? name : "", peer->friendly_name);
		must((uint64_t)json_integer_value(json_object_get(told, "transferTx")) ==
		     control->device->peers[i].tx_bytes);
		must(json_array_size(json_object_get(told, "allowedIps")) ==
		     control->device->allowed[i]);
	}
	json_decref(root);
}

/* A label's value and the quote behind it, unescaped. */
static const char *read_value(const char *at, const char *end, char *out, size_t size)
{
	size_t n = 0;

	for (; at < end && *at != '"'; at++) {
		must(n + 1 < size);
		if (*at == '\\') {
			must(++at < end && (*at == '\\' || *at == '"' || *at == 'n'));
			out[n++] = *at == 'n' ? '\n' : *at;
		} else {
			out[n++] = *at;
		}
	}
	must(at < end);
	out[n] = '\0';
	return at + 1;
}

static size_t word_len(const char *at, const char *end)
{
	const char *from = at;

	while (at < end && (*at == '_' || (*at >= 'a' && *at <= 'z') ||
			    (*at >= 'A' && *at <= 'Z') || (at > from && *at >= '0' && *at <= '9')))
		at++;
	return (size_t)(at - from);
}

/* Its name in the config, by its key. */
static const char *find_name(const struct cv_control *control, const char *base64)
{
	char key[CV_KEY_BASE64_LEN + 1];
	size_t i = 0;

	while (strcmp(base64, cv_key_to_base64(&control->config.peers[i].public_key, key)))
		must(++i < control->device->n_peers);
	return control->config.peers[i].friendly_name;
}

/* name{label="value",...} number. Return: whether it is of a peer. */
static bool check_sample(const struct cv_control *control, const char *at, const char *end)
{
	const char *name = NULL;
	char value[4096];
	bool of_peer = false;
	size_t len = word_len(at, end);

	must(len > 0);
	at += len;
	while (at < end && (*at == '{' || *at == ',')) {
		const char *label = ++at;

		len = word_len(at, end);
		at += len;
		must(len > 0 && at + 1 < end && at[0] == '=' && at[1] == '"');
		at = read_value(at + 2, end, value, sizeof(value));
		if (len == strlen("interface") && !memcmp(label, "interface", len))
			check_interface(value, control->device->name);
		if (len == strlen("public_key") && !memcmp(label, "public_key", len))
			name = find_name(control, value);
		if (len == strlen("friendly_name") && !memcmp(label, "friendly_name", len)) {
			check_name(value, name);
			of_peer = true;
		}
	}
	must(at == end || *at == '}' || *at == ' ');
	at += *at == '}';
	must(at + 1 < end && *at++ == ' ');
	for (; at < end; at++)
		must((*at >= '0' && *at <= '9') || *at == '.');
	return of_peer;
}

/* Three of each peer, one of its session, and those of its path. */
static size_t expected_samples(const struct cv_control *control)
{
	size_t n = 0;

	for (size_t i = 0; i < control->device->n_peers; i++) {
		const struct cv_peer_show *peer = &control->device->peers[i];

		n += 3 + peer->has_session;
		if (peer->has_path)
			n += (peer->path.rtt != 0) + (size_t)(3 * CV_QUALITY_WAYS);
	}
	return n;
}

static void check_metrics(const struct cv_control *control, const char *text, size_t len)
{
	const char *end = text + len, *line_end;
	size_t samples = 0;

	for (; text < end; text = line_end + 1) {
		line_end = memchr(text, '\n', (size_t)(end - text));
		must(line_end && line_end > text);
		if (!strncmp(text, "# HELP ", 7) || !strncmp(text, "# TYPE ", 7))
			continue;
		samples += check_sample(control, text, line_end);
	}
	must(samples == expected_samples(control));
}

static char *told_by(struct cv_control *control,
		     int (*write)(struct cv_control *control, FILE *out), size_t *ret_len)
{
	char *text;
	FILE *out = open_memstream(&text, ret_len);

	must(out);
	must(write(control, out) == 0);
	must(fclose(out) == 0);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_device device;
	static struct cv_config_peer peers[PEERS_MAX];
	struct cv_control control = { .device = &device, .config = { .peers = peers } };
	struct input input = { data, size };
	size_t len;
	char *text;

	read_control(&input, &control);
	text = told_by(&control, cv_json_write, &len);
	check_json(&control, text, len);
	free(text);
	text = told_by(&control, cv_metrics_write, &len);
	check_metrics(&control, text, len);
	free(text);
	for (size_t i = 0; i < device.n_peers; i++)
		free(peers[i].friendly_name);
	return 0;
}
