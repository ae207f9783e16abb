/* The keys of the file: one row each, and how a line is taken apart. */
#include <string.h>

#include <convoy/config/suggest.h>

#include "internal.h"

/* Each row says what may be done with the key; the value is the business of its `take`. */
const struct cv_config_rule cv_config_rules[CV_KEYS] = {
#define INTERFACE .section = CV_SECTION_INTERFACE
#define PEER      .section = CV_SECTION_PEER
#define EITHER    .section = CV_SECTION_ANY
#define LAST      .times = CV_TIMES_LAST
#define ONCE      .times = CV_TIMES_ONCE
	[CV_KEY_PRIVATE_KEY] = { "PrivateKey", INTERFACE, ONCE, .secret = true,
				 .take = cv_config_take_key },
	[CV_KEY_LISTEN_PORT] = { "ListenPort", INTERFACE, LAST, .take = cv_config_take_port },
	[CV_KEY_FWMARK] = { "FwMark", INTERFACE, LAST, .take = cv_config_take_fwmark },
	[CV_KEY_ADDRESS] = { "Address", INTERFACE, .empty = true, .take = cv_config_take_address },
	[CV_KEY_DNS] = { "DNS", INTERFACE, .empty = true, .take = cv_config_take_dns },
	[CV_KEY_MTU] = { "MTU", INTERFACE, LAST, .take = cv_config_take_mtu },
	[CV_KEY_TABLE] = { "Table", INTERFACE, LAST, .take = cv_config_take_table },
	[CV_KEY_PRE_UP] = { "PreUp", INTERFACE, .hook = true, .empty = true,
			    .take = cv_config_take_hook },
	[CV_KEY_POST_UP] = { "PostUp", INTERFACE, .hook = true, .empty = true,
			     .take = cv_config_take_hook },
	[CV_KEY_PRE_DOWN] = { "PreDown", INTERFACE, .hook = true, .empty = true,
			      .take = cv_config_take_hook },
	[CV_KEY_POST_DOWN] = { "PostDown", INTERFACE, .hook = true, .empty = true,
			       .take = cv_config_take_hook },
	[CV_KEY_SAVE_CONFIG] = { "SaveConfig", INTERFACE, LAST,
				 .take = cv_config_take_save_config },
	[CV_KEY_WORKERS] = { "Workers", INTERFACE, LAST, .own = true,
			     .take = cv_config_take_workers },
	[CV_KEY_LOOP] = { "Loop", INTERFACE, LAST, .own = true, .take = cv_config_take_loop },
	[CV_KEY_OFFLOAD] = { "Offload", INTERFACE, LAST, .own = true,
			     .take = cv_config_take_offload },
	[CV_KEY_AEAD] = { "AeadProvider", INTERFACE, LAST, .own = true,
			  .take = cv_config_take_aead },
	[CV_KEY_EXTENSIONS] = { "Extensions", EITHER, LAST, .own = true,
				.take = cv_config_take_extensions },
	[CV_KEY_CIPHERS] = { "Ciphers", INTERFACE, LAST, .own = true,
			     .take = cv_config_take_ciphers },
	[CV_KEY_LOG_LEVEL] = { "LogLevel", INTERFACE, LAST, .own = true,
			       .take = cv_config_take_log_level },
	[CV_KEY_METRICS_LISTEN] = { "MetricsListen", INTERFACE, LAST, .own = true,
				    .take = cv_config_take_metrics_listen },
	[CV_KEY_KILL_SWITCH] = { "KillSwitch", INTERFACE, LAST, .own = true,
				 .take = cv_config_take_kill_switch },
	[CV_KEY_KILL_SWITCH_ALLOW_LAN] = { "KillSwitchAllowLan", INTERFACE, LAST, .own = true,
					   .take = cv_config_take_kill_switch },
	[CV_KEY_EXCLUDE_IPS] = { "ExcludeIPs", INTERFACE, .own = true, .empty = true,
				 .take = cv_config_take_exclude_ips },
	[CV_KEY_POOL] = { "Pool", INTERFACE, .own = true, .take = cv_config_take_pool },
	[CV_KEY_POOL_DNS] = { "PoolDNS", INTERFACE, .own = true, .take = cv_config_take_pool_dns },
	[CV_KEY_POOL_ROUTES] = { "PoolRoutes", INTERFACE, .own = true,
				 .take = cv_config_take_pool_routes },
	[CV_KEY_POOL_MTU] = { "PoolMTU", INTERFACE, LAST, .own = true,
			      .take = cv_config_take_pool_mtu },
	[CV_KEY_ROUTES] = { "Routes", INTERFACE, LAST, .own = true, .take = cv_config_take_routes },
	[CV_KEY_CLIENT_DNS] = { "ClientDNS", INTERFACE, .own = true,
				.take = cv_config_take_client_dns },
	[CV_KEY_CLIENT_ENDPOINT] = { "ClientEndpoint", INTERFACE, LAST, .own = true,
				     .take = cv_config_take_endpoint },
	[CV_KEY_PRIVATE_KEY_FILE] = { "PrivateKeyFile", INTERFACE, ONCE, .own = true,
				      .take = cv_config_take_key_file },
	[CV_KEY_PUBLIC_KEY] = { "PublicKey", PEER, ONCE, .take = cv_config_take_key },
	[CV_KEY_PRESHARED_KEY] = { "PresharedKey", PEER, ONCE, .secret = true,
				   .take = cv_config_take_key },
	[CV_KEY_PRESHARED_KEY_FILE] = { "PresharedKeyFile", PEER, ONCE, .own = true,
					.take = cv_config_take_key_file },
	[CV_KEY_ALLOWED_IPS] = { "AllowedIPs", PEER, .empty = true,
				 .take = cv_config_take_allowed_ips },
	[CV_KEY_ENDPOINT] = { "Endpoint", PEER, LAST, .take = cv_config_take_endpoint },
	[CV_KEY_KEEPALIVE] = { "PersistentKeepalive", PEER, LAST,
			       .take = cv_config_take_keepalive },
};

bool cv_config_rule_fits(const struct cv_config_rule *rule, enum cv_config_section section)
{
	return rule->section == CV_SECTION_ANY || rule->section == section;
}

static const struct cv_config_rule *rule_of(struct cv_span key)
{
	for (size_t i = 0; i < CV_KEYS; i++)
		if (cv_span_is(key, cv_config_rules[i].name))
			return &cv_config_rules[i];
	return NULL;
}

const struct cv_config_rule *cv_config_rule_near(struct cv_span key, enum cv_config_section where,
						 bool secret_only)
{
	const struct cv_config_rule *rules[CV_KEYS];
	const char *names[CV_KEYS];
	size_t n = 0, nearest;

	for (size_t i = 0; i < CV_KEYS; i++) {
		const struct cv_config_rule *rule = &cv_config_rules[i];

		if ((where != CV_SECTION_NONE && !cv_config_rule_fits(rule, where)) ||
		    (secret_only && !rule->secret))
			continue;
		rules[n] = rule;
		names[n++] = rule->name;
	}
	nearest = cv_suggest_nearest(key.at, key.len, names, n);
	return nearest < n ? rules[nearest] : NULL;
}

/* The part of the text before a comment. */
static struct cv_span uncommented(struct cv_span text)
{
	const char *hash = memchr(text.at, '#', text.len);

	if (hash)
		text.len = (size_t)(hash - text.at);
	return cv_span_trim(text);
}

/* What stands behind a part of the text, up to the end of the text. */
static struct cv_span behind(struct cv_span text, struct cv_span part)
{
	const char *at = part.at + part.len;

	return (struct cv_span){ at, (size_t)(text.at + text.len - at) };
}

/* "ListenPort 51820", "PrivateKey: yAnz...=": the "=" was forgotten. */
static void split_at_blank(struct cv_span text, struct cv_config_line *line)
{
	struct cv_span rest = text, word;

	cv_span_next(&rest, " \t:", &word);
	line->rule = rule_of(word);
	if (!line->rule)
		return;
	line->key = word;
	line->value = cv_span_trim(behind(text, word));
	line->has_equals = false;
}

struct cv_config_line cv_config_line_split(struct cv_span text)
{
	struct cv_span head = uncommented(text);
	const char *equals = memchr(head.at, '=', head.len);
	struct cv_config_line line = { .key = head, .has_equals = equals != NULL };

	if (equals)
		line.key = cv_span_trim((struct cv_span){ head.at, (size_t)(equals - head.at) });
	line.rule = rule_of(line.key);
	line.value = behind(head, equals ? (struct cv_span){ equals, 1 } : head);
	if (line.rule && line.rule->hook)
		line.value = behind(text, (struct cv_span){ line.value.at, 0 });
	line.value = cv_span_trim(line.value);
	if (!line.rule)
		split_at_blank(head, &line);
	return line;
}

bool cv_config_comment_is_own(struct cv_span text, struct cv_span *ret_rest)
{
	struct cv_span rest = cv_span_trim((struct cv_span){ text.at + 1, text.len - 1 });
	size_t len = strlen("convoy:");

	if (!cv_span_starts(rest, "convoy:"))
		return false;
	*ret_rest = cv_span_trim((struct cv_span){ rest.at + len, rest.len - len });
	return true;
}
