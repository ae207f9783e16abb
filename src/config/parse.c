/*
 * From the bytes of a file to a config, in one pass over the lines.
 *
 * A line is a section, a key with its value, a comment or nothing. Nothing stops the pass: what is
 * wrong is reported and skipped, so that one run shows all errors of the file; a line that belongs
 * to an error already reported (keys under an unknown section) is not judged again. What only the
 * whole file can tell (missing keys, duplicates) comes at the end, in check.c.
 *
 * Work per line is bounded by its length. Duplicates among all peers are found by sorting.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/config/suggest.h>
#include <convoy/crypto/secret.h>

#include "internal.h"

enum {
	FRIENDLY_NAME_MAX = 255,
	BARE_KEY_MIN = 24,
	HINT_MAX = CV_CONFIG_ERROR_HINT_MAX,
};

static const char *section_name(enum cv_config_section section)
{
	return section == CV_SECTION_PEER ? "[Peer]" : "[Interface]";
}

static void open_interface(struct cv_config_parser *parser, const char *at)
{
	char hint[HINT_MAX];

	if (parser->interface_at.line) {
		snprintf(hint, sizeof(hint), "the first one is in line %u; one file is one tunnel",
			 parser->interface_at.line);
		cv_config_error(parser, cv_config_at(parser, at), hint, "second [Interface]");
		parser->section = CV_SECTION_SKIP;
		return;
	}
	parser->interface_at = cv_config_at(parser, at);
	parser->section = CV_SECTION_INTERFACE;
}

static void open_peer(struct cv_config_parser *parser, const char *at)
{
	struct cv_config *config = &parser->config;
	void *peers = config->peers, *places = parser->public_key_at;

	parser->section = CV_SECTION_SKIP;
	if (config->n_peers == CV_CONFIG_PEERS_MAX) {
		cv_config_error(parser, cv_config_at(parser, at), NULL,
				"more than %d peers in one file", CV_CONFIG_PEERS_MAX);
		return;
	}
	if (!cv_config_grow(parser, &peers, config->n_peers, sizeof(*config->peers)))
		return;
	config->peers = peers;
	if (!cv_config_grow(parser, &places, config->n_peers, sizeof(*parser->public_key_at)))
		return;
	parser->public_key_at = places;
	config->peers[config->n_peers] = (struct cv_config_peer){ .line = parser->line.line };
	parser->public_key_at[config->n_peers] = (struct cv_config_place){ 0 };
	config->n_peers++;
	parser->public_key_given = false;
	parser->peer_at = cv_config_at(parser, at);
	parser->section = CV_SECTION_PEER;
}

static void open_section(struct cv_config_parser *parser, struct cv_span text)
{
	static const char *const names[] = { "[Interface]", "[Peer]" };
	const char *hash = memchr(text.at, '#', text.len);
	char hint[HINT_MAX];
	size_t which;

	if (hash)
		text = cv_span_trim((struct cv_span){ text.at, (size_t)(hash - text.at) });
	cv_config_check_peer(parser);
	memset(parser->seen, 0, sizeof(parser->seen));
	which = cv_suggest_nearest(text.at, text.len, names, 2);
	if (which < 2 && !cv_span_is(text, names[which])) {
		snprintf(hint, sizeof(hint), "did you mean %s?", names[which]);
		cv_config_error(parser, cv_config_at(parser, text.at), hint, "unknown section");
	}
	if (which == 0) {
		open_interface(parser, text.at);
	} else if (which == 1) {
		open_peer(parser, text.at);
	} else {
		cv_config_error(parser, cv_config_at(parser, text.at),
				"there are [Interface], once, and [Peer]", "unknown section");
		parser->section = CV_SECTION_SKIP;
	}
}

/* A key that is given badly is not missing. */
static void note_given(struct cv_config_parser *parser, const struct cv_config_rule *rule)
{
	if (rule == &cv_config_rules[CV_KEY_PRIVATE_KEY] ||
	    rule == &cv_config_rules[CV_KEY_PRIVATE_KEY_FILE])
		parser->private_key_given = true;
	else if (rule == &cv_config_rules[CV_KEY_PUBLIC_KEY])
		parser->public_key_given = true;
}

/* Nothing but base64, too long for any key's name, and the "=" at its end: a key without its name.
 */
static bool is_bare_key(const struct cv_config_line *line)
{
	size_t n = 0;

	while (n < line->key.len && cv_is_base64(line->key.at[n]))
		n++;
	return n == line->key.len && n >= BARE_KEY_MIN && line->value.len == 0;
}

static void report_unknown(struct cv_config_parser *parser, const struct cv_config_line *line)
{
	const struct cv_config_rule *near;
	char hint[HINT_MAX];

	near = cv_config_rule_near(line->key, parser->section, false);
	if (!near)
		near = cv_config_rule_near(line->key, CV_SECTION_NONE, false);
	note_given(parser, near);
	if (near && cv_config_rule_fits(near, parser->section))
		snprintf(hint, sizeof(hint), "did you mean %s?", near->name);
	else if (near)
		snprintf(hint, sizeof(hint), "did you mean %s? It belongs in %s", near->name,
			 section_name(near->section));
	else if (!line->has_equals || is_bare_key(line))
		snprintf(hint, sizeof(hint), "a line is [Section], Key = value, or # comment");
	else
		snprintf(hint, sizeof(hint), "convoy.conf(5) lists the keys of %s",
			 section_name(parser->section));
	cv_config_error(parser, cv_config_at(parser, line->key.at), hint, "unknown key");
}

/* Whether the key may stand here; reports why not. */
static bool may_stand(struct cv_config_parser *parser, const struct cv_config_line *line)
{
	const struct cv_config_rule *rule = line->rule;
	struct cv_config_place *seen = &parser->seen[rule - cv_config_rules];
	struct cv_config_place at = cv_config_at(parser, line->key.at), first = *seen;
	char hint[HINT_MAX];

	if (!cv_config_rule_fits(rule, parser->section)) {
		snprintf(hint, sizeof(hint), "%s belongs in %s", rule->name,
			 section_name(rule->section));
		cv_config_error(parser, at, hint, "%s in %s", rule->name,
				section_name(parser->section));
		return false;
	}
	if (!first.line)
		*seen = at;
	if (!first.line || rule->times == CV_TIMES_MANY)
		return true;
	if (rule->times == CV_TIMES_ONCE) {
		snprintf(hint, sizeof(hint), "keep one; the first is in line %u", first.line);
		cv_config_error(parser, at, hint, "second %s", rule->name);
		return false;
	}
	snprintf(hint, sizeof(hint), "keep one; the first is in line %u", first.line);
	cv_config_warning(parser, at, hint, "second %s, the last one counts", rule->name);
	return true;
}

static void take_setting(struct cv_config_parser *parser, const struct cv_config_line *line)
{
	char hint[HINT_MAX];

	if (parser->section == CV_SECTION_SKIP)
		return;
	if (parser->section == CV_SECTION_NONE) {
		cv_config_error(parser, cv_config_at(parser, line->key.at),
				"begin the file with [Interface]", "key before any section");
		parser->section = CV_SECTION_SKIP;
		return;
	}
	if (!line->rule) {
		report_unknown(parser, line);
		return;
	}
	if (!may_stand(parser, line))
		return;
	note_given(parser, line->rule);
	if (line->has_equals && line->value.len > 0) {
		line->rule->take(parser, line->rule, line->value);
	} else if (!line->has_equals || !line->rule->empty) {
		snprintf(hint, sizeof(hint), "write %s = value", line->rule->name);
		cv_config_error(parser, cv_config_at(parser, line->key.at + line->key.len), hint,
				line->has_equals ? "%s has no value" : "no \"=\" after %s",
				line->rule->name);
	}
}

static void name_peer(struct cv_config_parser *parser, struct cv_span name)
{
	struct cv_config_peer *peer = &parser->config.peers[parser->config.n_peers - 1];

	if (name.len > FRIENDLY_NAME_MAX)
		name.len = FRIENDLY_NAME_MAX;
	free(peer->friendly_name);
	peer->friendly_name = cv_span_dup(name);
	if (!peer->friendly_name) {
		parser->no_memory = true;
		return;
	}
	for (char *c = peer->friendly_name; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

/* Comments that speak: our own keys, which wg-quick must not see, and the names of peers. */
static void read_comment(struct cv_config_parser *parser, struct cv_span text)
{
	struct cv_span rest = cv_span_trim((struct cv_span){ text.at + 1, text.len - 1 }), key;
	struct cv_config_line line;

	if (cv_config_comment_is_own(text, &rest)) {
		line = cv_config_line_split(rest);
		if (!line.has_equals)
			cv_config_warning(parser, cv_config_at(parser, rest.at),
					  "a setting is written # convoy: Key = value",
					  "comment for convoy that sets nothing, ignoring");
		else if (line.rule && !line.rule->own)
			cv_config_error(parser, cv_config_at(parser, rest.at),
					"write it without \"# convoy:\"",
					"%s is not one of our own keys", line.rule->name);
		else
			take_setting(parser, &line);
		return;
	}
	if (parser->section != CV_SECTION_PEER || !cv_span_starts(rest, "friendly_name") ||
	    !memchr(rest.at, '=', rest.len))
		return;
	cv_span_next(&rest, "=", &key);
	rest = cv_span_trim(rest);
	if (cv_span_is(key, "friendly_name") && rest.len > 0)
		name_peer(parser, rest);
}

static void read_line(struct cv_config_parser *parser, struct cv_span text)
{
	const char *nul = memchr(text.at, '\0', text.len);
	struct cv_config_line line;

	if (nul) {
		if (!parser->nul_reported)
			cv_config_error(parser, cv_config_at(parser, nul),
					"save the file as plain text in UTF-8", "NUL byte");
		parser->nul_reported = true;
		return;
	}
	if (text.len > CV_CONFIG_LINE_MAX) {
		cv_config_error(parser, cv_config_at(parser, text.at + CV_CONFIG_LINE_MAX),
				"lists may go on in another line with the same key",
				"line longer than %d bytes", CV_CONFIG_LINE_MAX);
		return;
	}
	text = cv_span_trim(text);
	if (text.len == 0)
		return;
	if (text.at[0] == '#') {
		read_comment(parser, text);
	} else if (text.at[0] == '[') {
		open_section(parser, text);
	} else {
		line = cv_config_line_split(text);
		take_setting(parser, &line);
	}
}

static void read_lines(struct cv_config_parser *parser)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	struct cv_span rest = { parser->text, parser->len };

	if (cv_span_starts(rest, byte_order_mark))
		rest = (struct cv_span){ rest.at + 3, rest.len - 3 };
	while (rest.len > 0) {
		const char *end = memchr(rest.at, '\n', rest.len);
		size_t len = end ? (size_t)(end - rest.at) : rest.len;

		parser->line.line++;
		parser->line.offset = (uint32_t)(rest.at - parser->text);
		read_line(parser, (struct cv_span){ rest.at, len });
		if (parser->no_memory)
			return;
		len += end != NULL;
		rest = (struct cv_span){ rest.at + len, rest.len - len };
	}
	cv_config_check_peer(parser);
	cv_config_check(parser);
}

int cv_config_parse(const char *text, size_t len, struct cv_config *ret_config,
		    struct cv_config_errors *ret_errors)
{
	struct cv_config_parser parser = { .text = text, .len = len };
	int result = 0;

	cv_config_init(&parser.config);
	if (len > CV_CONFIG_FILE_MAX) {
		parser.len = 0;
		cv_config_error(&parser, (struct cv_config_place){ .line = 1, .column = 1 }, NULL,
				"file larger than %d bytes", CV_CONFIG_FILE_MAX);
	} else {
		read_lines(&parser);
	}
	cv_config_errors_sort(&parser.errors);
	free(parser.public_key_at);
	free(parser.allowed);
	if (parser.no_memory)
		result = -ENOMEM;
	else if (parser.errors.errors > 0)
		result = -EINVAL;
	if (result)
		cv_config_free(&parser.config);
	else
		*ret_config = parser.config;
	cv_wipe(&parser.config, sizeof(parser.config));
	*ret_errors = parser.errors;
	return result;
}
