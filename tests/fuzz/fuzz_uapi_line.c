/*
 * fuzz uapi_line: lines of the UAPI, each read at every place of a request.
 *
 * Oracle: a line is refused and nothing was written, with EPROTO where there is no "="; or it may
 * stand there, its value is in range, and it is printed, read again and the same.
 */
#include <errno.h>
#include <sys/socket.h>

#include <convoy/config/uapi.h>

#include "fuzz_text.h"

#define HEX_1 "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
#define HEX_2 "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static const char *const fuzz_lines[] = {
	"get=1",
	"set=1",
	"private_key=" HEX_1,
	"listen_port=51820",
	"fwmark=4294967295",
	"replace_peers=true",
	"public_key=" HEX_2,
	"update_only=true",
	"remove=true",
	"preshared_key=" HEX_1,
	"endpoint=192.0.2.1:51820",
	"endpoint=[2001:db8::1]:1",
	"endpoint=[fe80::1%eth0]:65535",
	"endpoint=[fe80::1%7]:1",
	"persistent_keepalive_interval=25",
	"replace_allowed_ips=true",
	"allowed_ip=10.0.0.0/8",
	"allowed_ip=-fd00::/8",
	"protocol_version=1",
	"errno=0",
	"rx_bytes=1",
	NULL,
};

static void check_value(const struct cv_uapi_line *line, enum cv_uapi_place place)
{
	struct cv_prefix masked = line->prefix;

	switch (line->key) {
	case CV_UAPI_GET:
	case CV_UAPI_SET:
		must(place == CV_UAPI_AT_START && line->number == 1);
		break;
	case CV_UAPI_PRIVATE_KEY:
		must(place == CV_UAPI_IN_DEVICE);
		break;
	case CV_UAPI_LISTEN_PORT:
	case CV_UAPI_KEEPALIVE:
		must(line->number >= 0 && line->number <= UINT16_MAX);
		break;
	case CV_UAPI_FWMARK:
		must(line->number >= 0 && line->number <= UINT32_MAX);
		break;
	case CV_UAPI_REPLACE_PEERS:
	case CV_UAPI_UPDATE_ONLY:
	case CV_UAPI_REMOVE:
	case CV_UAPI_REPLACE_ALLOWED_IPS:
	case CV_UAPI_PROTOCOL_VERSION:
		must(line->number == 1);
		break;
	case CV_UAPI_ENDPOINT:
		must(place == CV_UAPI_IN_PEER);
		must(line->endpoint.addr.family == AF_INET ||
		     line->endpoint.addr.family == AF_INET6);
		must(memchr(line->scope_name, '\0', sizeof(line->scope_name)));
		break;
	case CV_UAPI_ALLOWED_IP:
		must(place == CV_UAPI_IN_PEER);
		cv_prefix_mask(&masked);
		must(cv_prefix_equal(&masked, &line->prefix));
		must(line->prefix.bits <= cv_addr_bits(line->prefix.addr.family));
		break;
	case CV_UAPI_PUBLIC_KEY:
	case CV_UAPI_PRESHARED_KEY:
		must(place != CV_UAPI_AT_START);
		break;
	default:
		must(!"a line of replies");
	}
}

static bool is_same(const struct cv_uapi_line *a, const struct cv_uapi_line *b)
{
	if (a->key != b->key)
		return false;
	switch (a->key) {
	case CV_UAPI_PRIVATE_KEY:
	case CV_UAPI_PUBLIC_KEY:
	case CV_UAPI_PRESHARED_KEY:
		return cv_key_equal(&a->secret, &b->secret);
	case CV_UAPI_ENDPOINT:
		return cv_endpoint_equal(&a->endpoint, &b->endpoint);
	case CV_UAPI_ALLOWED_IP:
		return cv_prefix_equal(&a->prefix, &b->prefix) && a->remove == b->remove;
	default:
		return a->number == b->number;
	}
}

static void check_print(const struct cv_uapi_line *line, enum cv_uapi_place place)
{
	char *text = malloc(CV_UAPI_LINE_MAX);
	struct cv_uapi_line again;
	size_t len;

	must(text);
	len = cv_uapi_line_print(line, text);
	must(len < CV_UAPI_LINE_MAX && strlen(text) == len);
	must(strchr(text, '\n') == text + len - 1);
	must(cv_uapi_line_parse(text, len - 1, place, &again) == 0);
	must(is_same(line, &again) && !(again.key == CV_UAPI_ENDPOINT && again.scope_name[0]));
	free(text);
}

static void check_line(const char *text, size_t len, enum cv_uapi_place place)
{
	struct cv_uapi_line line, untouched;
	int r;

	memset(&line, 0xa5, sizeof(line));
	untouched = line;
	r = cv_uapi_line_parse(text, len, place, &line);
	must(r == 0 || r == -EINVAL || r == -EPROTO);
	must((r == -EPROTO) == (len == 0 || !memchr(text, '=', len)));
	if (r < 0) {
		must(!memcmp(&line, &untouched, sizeof(line)));
		return;
	}
	check_value(&line, place);
	check_print(&line, place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	const uint8_t *piece;

	while (input.left) {
		size_t len = read_until(&input, '\n', &piece);
		char *text = exact(piece, len);

		check_line(text, len, CV_UAPI_AT_START);
		check_line(text, len, CV_UAPI_IN_DEVICE);
		check_line(text, len, CV_UAPI_IN_PEER);
		free(text);
	}
	return 0;
}
