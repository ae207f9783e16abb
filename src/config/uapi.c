/*
 * The lines of the UAPI.
 *
 * One table says of each key its name, what kind of value it has and where it may stand; parsing
 * and printing are its two readings. wireguard-go decides what is legal: upper-case hex is, and so
 * are zeros in front of a number; an allowed-IP without a length is not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <convoy/config/uapi.h>
#include <convoy/crypto/secret.h>

#include "internal.h"

enum kind {
	KIND_KEY,
	KIND_NUMBER, /* min..max */
	KIND_TRUE,
	KIND_ENDPOINT,
	KIND_ALLOWED_IP,
};

struct rule {
	const char *name;
	enum kind kind;
	uint32_t min, max;
	uint32_t places; /* bits of enum cv_uapi_place; none: in replies only */
};

enum {
	AT_START = 1 << CV_UAPI_AT_START,
	IN_DEVICE = 1 << CV_UAPI_IN_DEVICE,
	IN_PEER = 1 << CV_UAPI_IN_PEER,
};

static const struct rule rules[CV_UAPI_KEYS] = {
	[CV_UAPI_GET] = { "get", KIND_NUMBER, 1, 1, AT_START },
	[CV_UAPI_SET] = { "set", KIND_NUMBER, 1, 1, AT_START },
	[CV_UAPI_PRIVATE_KEY] = { "private_key", KIND_KEY, .places = IN_DEVICE },
	[CV_UAPI_LISTEN_PORT] = { "listen_port", KIND_NUMBER, 0, UINT16_MAX, IN_DEVICE },
	[CV_UAPI_FWMARK] = { "fwmark", KIND_NUMBER, 0, UINT32_MAX, IN_DEVICE },
	[CV_UAPI_REPLACE_PEERS] = { "replace_peers", KIND_TRUE, .places = IN_DEVICE },
	[CV_UAPI_PUBLIC_KEY] = { "public_key", KIND_KEY, .places = IN_DEVICE | IN_PEER },
	[CV_UAPI_UPDATE_ONLY] = { "update_only", KIND_TRUE, .places = IN_PEER },
	[CV_UAPI_REMOVE] = { "remove", KIND_TRUE, .places = IN_PEER },
	[CV_UAPI_PRESHARED_KEY] = { "preshared_key", KIND_KEY, .places = IN_PEER },
	[CV_UAPI_ENDPOINT] = { "endpoint", KIND_ENDPOINT, .places = IN_PEER },
	[CV_UAPI_KEEPALIVE] = { "persistent_keepalive_interval", KIND_NUMBER, 0, UINT16_MAX,
				IN_PEER },
	[CV_UAPI_REPLACE_ALLOWED_IPS] = { "replace_allowed_ips", KIND_TRUE, .places = IN_PEER },
	[CV_UAPI_ALLOWED_IP] = { "allowed_ip", KIND_ALLOWED_IP, .places = IN_PEER },
	[CV_UAPI_PROTOCOL_VERSION] = { "protocol_version", KIND_NUMBER, 1, 1, IN_PEER },
	[CV_UAPI_LAST_HANDSHAKE_SEC] = { "last_handshake_time_sec", KIND_NUMBER },
	[CV_UAPI_LAST_HANDSHAKE_NSEC] = { "last_handshake_time_nsec", KIND_NUMBER },
	[CV_UAPI_TX_BYTES] = { "tx_bytes", KIND_NUMBER },
	[CV_UAPI_RX_BYTES] = { "rx_bytes", KIND_NUMBER },
	[CV_UAPI_ERRNO] = { "errno", KIND_NUMBER },
};

/* "[v6%eth0]:1": the name is cut out, what stands around it is an endpoint. */
static int parse_scoped_by_name(char *text, struct cv_uapi_line *line)
{
	char *percent = strchr(text, '%'), *end = percent ? strchr(percent, ']') : NULL;
	size_t len = end ? (size_t)(end - percent - 1) : 0;

	if (len == 0 || len >= sizeof(line->scope_name))
		return -EINVAL;
	memcpy(line->scope_name, percent + 1, len);
	line->scope_name[len] = '\0';
	memmove(percent, end, strlen(end) + 1);
	return cv_endpoint_parse(text, &line->endpoint);
}

static int parse_endpoint(struct cv_span value, struct cv_uapi_line *line)
{
	char text[CV_UAPI_LINE_MAX];

	if (!cv_span_copy(value, text, sizeof(text)))
		return -EINVAL;
	line->scope_name[0] = '\0';
	return cv_endpoint_parse(text, &line->endpoint) == 0 ? 0 : parse_scoped_by_name(text, line);
}

static int parse_allowed_ip(struct cv_span value, struct cv_uapi_line *line)
{
	char text[CV_PREFIX_TEXT_MAX];

	line->remove = value.len > 0 && value.at[0] == '-';
	if (line->remove)
		value = (struct cv_span){ value.at + 1, value.len - 1 };
	if (!cv_span_copy(value, text, sizeof(text)) || !strchr(text, '/') ||
	    cv_prefix_parse(text, &line->prefix) < 0)
		return -EINVAL;
	cv_prefix_mask(&line->prefix);
	return 0;
}

static int parse_value(const struct rule *rule, struct cv_span value, struct cv_uapi_line *line)
{
	uint32_t number;

	switch (rule->kind) {
	case KIND_KEY:
		return cv_key_from_hex(value.at, value.len, &line->secret);
	case KIND_NUMBER:
		if (!cv_span_number(value, false, rule->max, &number) || number < rule->min)
			return -EINVAL;
		line->number = number;
		return 0;
	case KIND_TRUE:
		line->number = 1;
		return value.len == 4 && memcmp(value.at, "true", 4) == 0 ? 0 : -EINVAL;
	case KIND_ENDPOINT:
		return parse_endpoint(value, line);
	case KIND_ALLOWED_IP:
		return parse_allowed_ip(value, line);
	}
	return -EINVAL;
}

static bool is_named(const struct rule *rule, struct cv_span name)
{
	return strlen(rule->name) == name.len && memcmp(rule->name, name.at, name.len) == 0;
}

int cv_uapi_line_parse(const char *text, size_t len, enum cv_uapi_place place,
		       struct cv_uapi_line *ret_line)
{
	const char *equals = memchr(text, '=', len);
	struct cv_span name, value;
	struct cv_uapi_line line;
	int key = 0, r;

	if (!equals)
		return -EPROTO;
	name = (struct cv_span){ text, (size_t)(equals - text) };
	value = (struct cv_span){ equals + 1, len - name.len - 1 };
	while (key < CV_UAPI_KEYS && !is_named(&rules[key], name))
		key++;
	if (key == CV_UAPI_KEYS || !(rules[key].places & 1U << place))
		return -EINVAL;
	memset(&line, 0, sizeof(line));
	line.key = (enum cv_uapi_key)key;
	r = parse_value(&rules[key], value, &line);
	if (r == 0)
		*ret_line = line;
	cv_wipe(&line, sizeof(line));
	return r;
}

size_t cv_uapi_line_print(const struct cv_uapi_line *line, char ret_text[CV_UAPI_LINE_MAX])
{
	const struct rule *rule = &rules[line->key];
	size_t len = (size_t)snprintf(ret_text, CV_UAPI_LINE_MAX, "%s=", rule->name);
	size_t room = CV_UAPI_LINE_MAX - len;
	char *value = ret_text + len;

	switch (rule->kind) {
	case KIND_KEY:
		cv_key_to_hex(&line->secret, value);
		break;
	case KIND_NUMBER:
		snprintf(value, room, "%lld", (long long)line->number);
		break;
	case KIND_TRUE:
		memcpy(value, "true", sizeof("true"));
		break;
	case KIND_ENDPOINT:
		cv_endpoint_format(&line->endpoint, value);
		break;
	case KIND_ALLOWED_IP:
		*value = '-';
		cv_prefix_format(&line->prefix, value + line->remove);
		break;
	}
	len += strlen(value);
	memcpy(ret_text + len, "\n", 2);
	return len + 1;
}
