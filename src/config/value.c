/* Values of one word: keys, numbers, switches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/config/suggest.h>
#include <convoy/crypto/aead.h>
#include <convoy/crypto/key.h>
#include <convoy/crypto/secret.h>

#include "internal.h"

/* Where each kind of key comes from. */
static const char *key_hint(const struct cv_config_rule *rule)
{
	switch (rule - cv_config_rules) {
	case CV_KEY_PRIVATE_KEY:
		return "a private key is the one line that `convoy genkey` prints";
	case CV_KEY_PRESHARED_KEY:
		return "a preshared key is the one line that `convoy genpsk` prints";
	default:
		return "the other side's public key, as `convoy pubkey` prints it there";
	}
}

static void report_key(struct cv_config_parser *parser, const struct cv_config_rule *rule,
		       struct cv_span value)
{
	size_t good = 0;

	while (good < value.len && good < CV_KEY_BASE64_LEN - 1 && cv_is_base64(value.at[good]))
		good++;
	if (value.len != CV_KEY_BASE64_LEN)
		cv_config_error(parser, cv_config_at(parser, value.at), key_hint(rule),
				"%s has %zu characters, a key has %d", rule->name, value.len,
				CV_KEY_BASE64_LEN);
	else if (good < CV_KEY_BASE64_LEN - 1)
		cv_config_error(parser, cv_config_at(parser, value.at + good), key_hint(rule),
				"%s has a character here that base64 does not have", rule->name);
	else
		cv_config_error(parser, cv_config_at(parser, value.at + good - 1), key_hint(rule),
				"%s does not end as the base64 of 32 bytes does", rule->name);
}

/* PrivateKey and PrivateKeyFile, PresharedKey and PresharedKeyFile: one of the two. */
static bool is_only(struct cv_config_parser *parser, const struct cv_config_rule *rule,
		    struct cv_span value, enum cv_config_key other)
{
	char hint[CV_CONFIG_ERROR_HINT_MAX];

	if (!parser->seen[other].line)
		return true;
	snprintf(hint, sizeof(hint), "keep one of them; the other is in line %u",
		 parser->seen[other].line);
	cv_config_error(parser, cv_config_at(parser, value.at), hint, "%s beside %s", rule->name,
			cv_config_rules[other].name);
	return false;
}

CV_TAKE(key)
{
	struct cv_config *config = &parser->config;
	struct cv_config_peer *peer = config->peers ? &config->peers[config->n_peers - 1] : NULL;
	enum cv_config_key file = rule == &cv_config_rules[CV_KEY_PRIVATE_KEY]
					  ? CV_KEY_PRIVATE_KEY_FILE
					  : CV_KEY_PRESHARED_KEY_FILE;
	struct cv_key key;

	if (rule->secret && !is_only(parser, rule, value, file))
		return;
	if (cv_key_from_base64(value.at, value.len, &key) < 0) {
		report_key(parser, rule, value);
		return;
	}
	if (rule == &cv_config_rules[CV_KEY_PRIVATE_KEY]) {
		config->private_key = key;
		config->has_private_key = true;
	} else if (rule == &cv_config_rules[CV_KEY_PRESHARED_KEY]) {
		peer->psk = key;
		peer->has_psk = true;
	} else {
		peer->public_key = key;
		parser->public_key_at[config->n_peers - 1] = cv_config_at(parser, value.at);
	}
	cv_wipe(&key, sizeof(key));
}

/* A key in the place of a path would end up in messages, so it is found out here. */
static bool looks_like_key(struct cv_span value)
{
	size_t n = 0;

	if (value.at[0] == '/')
		return false;
	while (n < value.len && cv_is_base64(value.at[n]))
		n++;
	return value.at[value.len - 1] == '=' || (n == value.len && n >= CV_KEY_BASE64_LEN - 4);
}

CV_TAKE(key_file)
{
	bool own = rule == &cv_config_rules[CV_KEY_PRIVATE_KEY_FILE];
	struct cv_config_key_file *file =
		own ? &parser->config.private_key_file
		    : &parser->config.peers[parser->config.n_peers - 1].psk_file;

	if (!is_only(parser, rule, value, own ? CV_KEY_PRIVATE_KEY : CV_KEY_PRESHARED_KEY))
		return;
	if (looks_like_key(value)) {
		cv_config_error(parser, cv_config_at(parser, value.at),
				own ? "the key itself goes behind PrivateKey ="
				    : "the key itself goes behind PresharedKey =",
				"%s is a path, and this looks like a key", rule->name);
		return;
	}
	file->line = parser->line.line;
	file->path = cv_span_dup(value);
	if (!file->path)
		parser->no_memory = true;
}

static bool take_number(struct cv_config_parser *parser, const struct cv_config_rule *rule,
			struct cv_span value, uint32_t min, uint32_t max, const char *or_word,
			uint32_t *ret_number)
{
	char hint[CV_CONFIG_ERROR_HINT_MAX];
	uint32_t number;

	if (or_word && cv_span_is(value, or_word)) {
		*ret_number = 0;
		return true;
	}
	if (cv_span_number(value, false, max, &number) && number >= min) {
		*ret_number = number;
		return true;
	}
	snprintf(hint, sizeof(hint), "a number from %u to %u%s%s", min, max, or_word ? ", or " : "",
		 or_word ? or_word : "");
	cv_config_error(parser, cv_config_at(parser, value.at), hint, "%s is not a number in range",
			rule->name);
	return false;
}

CV_TAKE(port)
{
	uint32_t port;

	if (take_number(parser, rule, value, 0, UINT16_MAX, NULL, &port))
		parser->config.listen_port = (uint16_t)port;
}

CV_TAKE(keepalive)
{
	uint32_t seconds;

	if (take_number(parser, rule, value, 0, UINT16_MAX, "off", &seconds))
		parser->config.peers[parser->config.n_peers - 1].persistent_keepalive_s =
			(uint16_t)seconds;
}

CV_TAKE(mtu)
{
	if (take_number(parser, rule, value, CV_CONFIG_MTU_MIN, CV_CONFIG_MTU_MAX, NULL,
			&parser->config.mtu))
		parser->mtu_at = cv_config_at(parser, value.at);
}

CV_TAKE(pool_mtu)
{
	if (!take_number(parser, rule, value, CV_CONFIG_POOL_MTU_MIN, CV_CONFIG_MTU_MAX, NULL,
			 &parser->config.pool.mtu))
		return;
	parser->pool_mtu_at = cv_config_at(parser, value.at);
	if (!parser->pool_more_at.line)
		parser->pool_more_at = parser->pool_mtu_at;
}

CV_TAKE(workers)
{
	take_number(parser, rule, value, 1, CV_CONFIG_WORKERS_MAX, "auto", &parser->config.workers);
}

CV_TAKE(fwmark)
{
	uint32_t mark = 0;

	if (!cv_span_is(value, "off") && !cv_span_number(value, true, UINT32_MAX, &mark)) {
		cv_config_error(parser, cv_config_at(parser, value.at),
				"a number of 32 bits such as 51820 or 0xca6c, or off",
				"%s is not a number in range", rule->name);
		return;
	}
	parser->config.fwmark = mark;
	parser->config.has_fwmark = mark != 0;
}

CV_TAKE(table)
{
	/* Names and numbers of /etc/iproute2/rt_tables that every system has: rtnetlink(7). */
	static const struct {
		const char *name;
		uint32_t number;
	} known[] = { { "main", 254 }, { "default", 253 }, { "local", 255 } };
	struct cv_config *config = &parser->config;
	uint32_t number = 0;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (cv_span_is(value, known[i].name))
			number = known[i].number;
	if (cv_span_is(value, "off")) {
		config->table = CV_CONFIG_TABLE_OFF;
	} else if (cv_span_is(value, "auto")) {
		config->table = CV_CONFIG_TABLE_AUTO;
	} else if (number || (cv_span_number(value, true, UINT32_MAX, &number) && number)) {
		config->table = CV_CONFIG_TABLE_NUMBER;
		config->table_number = number;
	} else {
		cv_config_error(parser, cv_config_at(parser, value.at),
				"auto, off, main, or the number of a routing table from 1 on",
				"%s names no routing table", rule->name);
	}
}

size_t cv_config_take_word(struct cv_config_parser *parser, const struct cv_config_rule *rule,
			   struct cv_span value, const char *const *words, size_t n)
{
	char hint[CV_CONFIG_ERROR_HINT_MAX];
	size_t near, len = 0;

	for (size_t i = 0; i < n; i++)
		if (cv_span_is(value, words[i]))
			return i;
	near = cv_suggest_nearest(value.at, value.len, words, n);
	if (near < n) {
		snprintf(hint, sizeof(hint), "did you mean %s?", words[near]);
	} else {
		len = (size_t)snprintf(hint, sizeof(hint), "one of");
		for (size_t i = 0; i < n && len < sizeof(hint); i++)
			len += (size_t)snprintf(hint + len, sizeof(hint) - len, "%s %s",
						i ? "," : "", words[i]);
	}
	cv_config_error(parser, cv_config_at(parser, value.at), hint, "unknown word for %s",
			rule->name);
	return n;
}

CV_TAKE(save_config)
{
	static const char *const words[] = { "false", "true" };
	size_t which = cv_config_take_word(parser, rule, value, words, 2);

	if (which < 2)
		parser->config.save_config = which;
	if (which == 1)
		cv_config_warning(parser, cv_config_at(parser, value.at),
				  "leave it out; change the file and run convoy reload",
				  "this version does not write the file back, ignoring");
}

CV_TAKE(routes)
{
	static const char *const words[] = { "auto" };

	if (cv_config_take_word(parser, rule, value, words, 1) == 1)
		return;
	parser->config.auto_routes = true;
	parser->auto_routes_at = cv_config_at(parser, value.at);
}

CV_TAKE(kill_switch)
{
	static const char *const words[] = { "no", "yes" };
	size_t which = cv_config_take_word(parser, rule, value, words, 2);

	if (which == 2)
		return;
	if (rule == &cv_config_rules[CV_KEY_KILL_SWITCH]) {
		parser->config.kill_switch = which;
		parser->kill_switch_at = cv_config_at(parser, value.at);
	} else {
		parser->config.kill_switch_allow_lan = which;
		parser->kill_switch_allow_lan_at = cv_config_at(parser, value.at);
	}
}

CV_TAKE(loop)
{
	static const char *const words[] = {
		[CV_CONFIG_LOOP_AUTO] = "auto",
		[CV_CONFIG_LOOP_IO_URING] = "io_uring",
		[CV_CONFIG_LOOP_EPOLL] = "epoll",
	};
	size_t which = cv_config_take_word(parser, rule, value, words, 3);

	if (which < 3)
		parser->config.loop = (enum cv_config_loop)which;
}

CV_TAKE(log_level)
{
	static const char *const words[] = {
		[CV_CONFIG_LOG_ERROR] = "error",
		[CV_CONFIG_LOG_WARNING] = "warning",
		[CV_CONFIG_LOG_INFO] = "info",
		[CV_CONFIG_LOG_DEBUG] = "debug",
	};
	size_t which = cv_config_take_word(parser, rule, value, words, 4);

	if (which < 4)
		parser->config.log_level = (enum cv_config_log)which;
}

CV_TAKE(extensions)
{
	static const char *const words[] = { "on", "off" };
	size_t which = cv_config_take_word(parser, rule, value, words, 2);

	if (which == 2)
		return;
	if (parser->section == CV_SECTION_PEER)
		parser->config.peers[parser->config.n_peers - 1].no_extensions = which;
	else
		parser->config.no_extensions = which;
}

CV_TAKE(aead)
{
	const char *words[16] = { "auto" };
	const char *const *names = cv_aead_names();
	size_t n = 1, which;

	while (n < 16 && names[n - 1]) {
		words[n] = names[n - 1];
		n++;
	}
	which = cv_config_take_word(parser, rule, value, words, n);
	if (which < n)
		snprintf(parser->config.aead, sizeof(parser->config.aead), "%s",
			 which ? words[which] : "");
}
