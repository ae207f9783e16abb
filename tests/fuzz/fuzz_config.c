/*
 * fuzz config: a config file; in the input the bytes 1 and 2 are secret keys, 3 to 5 public ones.
 *
 * Oracle: a file is taken, or there is an error that says why; findings stand in order, name a
 * place inside the text and show no secret; what was taken is printed, is read again without an
 * error, and is the same; lists hold what their struct says of them.
 */
#include <errno.h>

#include <convoy/base/remainder.h>
#include <convoy/config/config.h>
#include <convoy/crypto/init.h>

#include "fuzz_same.h"
#include "fuzz_text.h"

static const char *const fuzz_lines[] = {
	"[Interface]",
	"[Peer]",
	"PrivateKey = \1",
	"PublicKey = \3",
	"PublicKey = \4",
	"PublicKey = \5",
	"PresharedKey = \2",
	"AllowedIPs = 10.0.0.0/8, fd00::/8",
	"AllowedIPs = 0.0.0.0/0",
	"Endpoint = [fe80::1%eth0]:1",
	"Endpoint = vpn.example.com:51820",
	"Endpoint = 192.0.2.1:1",
	"PersistentKeepalive = off",
	"ListenPort = 51820",
	"FwMark = 0xca6c",
	"Address = 10.77.0.1/24 fd77::1/64",
	"DNS = 9.9.9.9, example.com",
	"MTU = 1420",
	"Table = off",
	"Table = main",
	"PreUp = a # b",
	"PostDown = ip link set %i up; echo \1",
	"SaveConfig = true",
	"# convoy: Workers = 2",
	"# convoy: Loop = epoll",
	"# convoy: Offload = -tun-uso off",
	"# convoy: AeadProvider = libsodium",
	"# convoy: Extensions = off",
	"# convoy: Ciphers = auto AES-256-GCM, ChaCha20-Poly1305",
	"# convoy: LogLevel = debug",
	"# convoy: MetricsListen = [::1]:9586",
	"# convoy: KillSwitch = yes",
	"# convoy: KillSwitchAllowLan = yes",
	"# convoy: ExcludeIPs = 10.1.0.0/16, 10.1.1.0/24",
	"# convoy: Pool = 10.77.0.0/25, fd77::/64",
	"# convoy: PoolDNS = 10.77.0.1, fd77::1",
	"# convoy: PoolRoutes = 10.0.0.0/8, ::/0",
	"# convoy: PoolMTU = 1280",
	"Address = auto",
	"DNS = auto, example.com",
	"# convoy: Routes = auto",
	"# convoy: ClientDNS = 10.77.0.1 lan",
	"# convoy: ClientEndpoint = gw.example.com:51820",
	"# convoy: PrivateKeyFile = /etc/convoy/key",
	"# convoy: PresharedKeyFile = psk",
	"# friendly_name = Alice",
	"PrivateKey \1",
	"PublicKey: \1",
	"\xef\xbb\xbf[Interface]",
	NULL,
};

/* Findings -------------------------------------------------------------------------------- */

/* Bytes of the n-th line, from 1, without its end; the text has it. */
static size_t line_len(const char *text, size_t len, uint32_t number)
{
	const char *end;
	size_t at = len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;

	for (; number > 1; number--) {
		end = memchr(text + at, '\n', len - at);
		must(end);
		at = (size_t)(end - text) + 1;
	}
	end = at < len ? memchr(text + at, '\n', len - at) : NULL;
	return end ? (size_t)(end - text) - at : len - at;
}

static void check_printed(const struct cv_config_error *error)
{
	char printed[1024], cut[64];
	size_t len = cv_config_error_print(error, "f", printed, sizeof(printed));

	must(len < sizeof(printed) && strlen(printed) == len);
	must(!text_shows_secret(printed, len, TEXT_SHOWN_MAX + 1));
	for (size_t i = 0; i < len; i++)
		must(printed[i] == '\n' || (printed[i] >= ' ' && printed[i] < 0x7f));
	must(cv_config_error_print(error, "f", cut, sizeof(cut)) == len);
	must(strlen(cut) < sizeof(cut));
}

static void check_findings(const char *text, size_t len, const struct cv_config_errors *errors)
{
	size_t counted[2] = { 0 };

	for (size_t i = 0; i < errors->n; i++) {
		const struct cv_config_error *error = &errors->list[i], *before = error - 1;

		must(error->line >= 1 && error->column >= 1);
		must(error->column <= line_len(text, len, error->line) + 1);
		must(error->caret <= strlen(error->excerpt));
		must(strlen(error->excerpt) <= CV_CONFIG_ERROR_EXCERPT_MAX);
		must(error->message[0] && strlen(error->message) < CV_CONFIG_ERROR_MESSAGE_MAX - 1);
		must(strlen(error->hint) < CV_CONFIG_ERROR_HINT_MAX - 1);
		must(i == 0 || before->line < error->line ||
		     (before->line == error->line && before->column <= error->column));
		check_printed(error);
		counted[error->warning]++;
	}
	must(counted[0] ==
	     (errors->errors < CV_CONFIG_ERRORS_MAX ? errors->errors : CV_CONFIG_ERRORS_MAX));
	must(counted[1] ==
	     (errors->warnings < CV_CONFIG_ERRORS_MAX ? errors->warnings : CV_CONFIG_ERRORS_MAX));
}

/* Configs --------------------------------------------------------------------------------- */

static void check_pool(const struct cv_config *config)
{
	const struct cv_config_pool *pool = &config->pool;
	struct cv_prefix network;

	must(pool->n_dns <= CV_GRANT_DNS_MAX && pool->n_routes <= CV_GRANT_ROUTES_MAX);
	must(!pool->mtu || (pool->mtu >= CV_CONFIG_POOL_MTU_MIN && pool->mtu <= CV_CONFIG_MTU_MAX));
	for (int family = 0; family < CV_FAMILIES; family++) {
		const struct cv_prefix *prefix = &pool->prefixes[family];

		if (!prefix->addr.family)
			continue;
		must(prefix->bits + 2U <= cv_addr_bits(prefix->addr.family));
		must(cv_config_pool_network(config, (enum cv_family)family, &network));
		must(cv_prefix_covers(&network, prefix));
	}
}

static void check_config(const struct cv_config *config)
{
	must(config->has_private_key || config->private_key_file.path);
	must(!config->name[0]);
	must(!config->mtu ||
	     (config->mtu >= CV_CONFIG_MTU_MIN && config->mtu <= CV_CONFIG_MTU_MAX));
	must(config->workers <= CV_CONFIG_WORKERS_MAX);
	check_pool(config);
	for (size_t i = 1; i < config->n_exclude_ips; i++) {
		const struct cv_prefix *one = &config->exclude_ips[i - 1], *next = one + 1;

		must(cv_prefix_compare(one, next) < 0 && !cv_prefix_covers(one, next));
	}
	for (size_t i = 0; i < config->n_peers; i++) {
		const struct cv_config_peer *peer = &config->peers[i];

		must(peer->endpoint_is_name == (peer->host != NULL));
		must(!peer->host || strlen(peer->host) < CV_CONFIG_HOST_MAX);
		must(!peer->has_endpoint || peer->endpoint.port);
		must(i == 0 || peer->line > config->peers[i - 1].line);
		for (size_t k = 0; k < peer->n_allowed_ips; k++) {
			struct cv_prefix masked = peer->allowed_ips[k];

			cv_prefix_mask(&masked);
			must(cv_prefix_equal(&masked, &peer->allowed_ips[k]));
		}
	}
}

static void check_print(const struct cv_config *config)
{
	size_t len = cv_config_print(config, NULL, 0);
	char *text = malloc(len + 1), cut[40];
	struct cv_config_errors errors;
	struct cv_config again;

	must(text && cv_config_print(config, text, len + 1) == len && strlen(text) == len);
	must(cv_config_print(config, cut, sizeof(cut)) == len && strlen(cut) < sizeof(cut));
	must(cv_config_parse(text, len, &again, &errors) == 0);
	must_be_same(config, &again);
	cv_config_free(&again);
	cv_config_errors_free(&errors);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct cv_config_errors errors;
	struct cv_config config;
	size_t len;
	char *text, *before;
	int r;

	if (!ready)
		must(cv_crypto_init() == 0);
	ready = true;
	if (text_shows_secret((const char *)data, size, 4))
		return 0; /* who knows it already */
	text = text_of(data, size, &len);
	before = exact(text, len);
	r = cv_config_parse(text, len, &config, &errors);
	must(!memcmp(text, before, len));
	must(r == 0 || r == -EINVAL);
	must((r == -EINVAL) == (errors.errors > 0));
	check_findings(text, len, &errors);
	if (r == 0) {
		check_config(&config);
		check_print(&config);
		cv_config_free(&config);
	}
	cv_config_errors_free(&errors);
	free(text);
	free(before);
	return 0;
}
