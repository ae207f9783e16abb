/*
 * Changing a config file as text.
 *
 * A peer comes in at the end and goes out as one range of bytes; nothing else is ever touched, so
 * whatever people keep in their files (comments, CRLF, an unusual order) survives.
 *
 * To whom does a comment belong? People write it above the section it is about, and below the
 * setting that they tried and took back:
 *
 *	[Peer]                  section of Alice
 *	PublicKey = ...
 *	# Endpoint = old:51820  a setting, though a sleeping one: Alice's
 *	# moved in May          right behind a setting: Alice's
 *
 *	# --- phones ---        alone: nobody's, stays
 *
 *	# Bob, 2nd floor        right above a header: Bob's
 *	[Peer]
 *
 * A comment between a setting and a header, with no empty line on either side, is taken for the
 * header's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <convoy/config/edit.h>
#include <convoy/crypto/secret.h>

#include "internal.h"

enum kind {
	BLANK,
	COMMENT,
	SETTING, /* also one in a comment, and whatever else */
	HEADER,
};

/* A line of a text, and the range of comments that ends right before it (empty: none). */
struct line {
	struct cv_config_range at; /* with its newline */
	uint32_t number;
	enum kind kind;
	struct cv_config_range comments;
	struct cv_config_range before; /* the line before those comments; empty: none */
	bool blank_before;             /* it is blank */
};

static enum kind comment_kind(struct cv_span text)
{
	struct cv_span rest = cv_span_trim((struct cv_span){ text.at + 1, text.len - 1 });
	struct cv_config_line line = cv_config_line_split(rest);

	if (cv_config_comment_is_own(text, &rest) || (line.rule && line.has_equals) ||
	    cv_span_starts(rest, "friendly_name") || cv_span_starts(rest, "friendly_json"))
		return SETTING;
	return COMMENT;
}

static enum kind kind_of(struct cv_span text)
{
	text = cv_span_trim(text);
	if (text.len == 0)
		return BLANK;
	if (text.at[0] == '[')
		return HEADER;
	return text.at[0] == '#' ? comment_kind(text) : SETTING;
}

/* Go on to the next line; all zero is before the first. Return: false at the end. */
static bool next_line(const char *text, size_t len, struct line *line)
{
	static const char byte_order_mark[] = "\xef\xbb\xbf";
	size_t start = line->at.end, skip = 0;
	struct cv_span rest = { text + start, len - start };
	const char *newline;

	if (rest.len == 0)
		return false;
	if (line->number == 0) {
		line->comments = (struct cv_config_range){ 0 };
		skip = cv_span_starts(rest, byte_order_mark) ? strlen(byte_order_mark) : 0;
	} else if (line->kind == COMMENT) {
		line->comments.end = line->at.end;
	} else {
		line->comments = (struct cv_config_range){ start, start };
		line->before = line->at;
		line->blank_before = line->kind == BLANK;
	}
	newline = memchr(rest.at, '\n', rest.len);
	line->at.start = start;
	line->at.end = newline ? (size_t)(newline - text) + 1 : len;
	line->number++;
	line->kind = kind_of((struct cv_span){ rest.at + skip,
					       line->at.end - start - skip - (newline != NULL) });
	return true;
}

/* Where the section ends that begins on `line`: behind its last setting and the comments there. */
static size_t end_of_section(const char *text, size_t len, struct line line)
{
	size_t end = line.at.end;

	while (next_line(text, len, &line) && line.kind != HEADER) {
		if (line.kind == SETTING)
			end = line.at.end;
		else if (line.kind == BLANK && line.comments.start == end)
			end = line.comments.end;
	}
	/* At the end of the file the comments that were read last have no line behind them. */
	if (line.at.end == len && line.kind == COMMENT && line.comments.start == end)
		end = len;
	return end;
}

static size_t skip_blank(const char *text, size_t len, size_t from)
{
	struct line line = { .at = { from, from }, .number = 1, .kind = SETTING };

	while (next_line(text, len, &line) && line.kind == BLANK)
		from = line.at.end;
	return from;
}

int cv_config_edit_peer(const char *text, size_t len, uint32_t number,
			struct cv_config_range *ret_range)
{
	struct line line = { 0 };
	size_t start, end, behind;

	while (line.number < number)
		if (!next_line(text, len, &line))
			return -ENOENT;
	if (line.kind != HEADER)
		return -ENOENT;
	start = line.comments.end > line.comments.start ? line.comments.start : line.at.start;
	end = end_of_section(text, len, line);
	behind = skip_blank(text, len, end);
	if (behind == len && end == len && line.blank_before)
		start = line.before.start;
	*ret_range = (struct cv_config_range){ start, behind };
	return 0;
}

static bool ends_in_crlf(const char *text, size_t len)
{
	const char *newline = len > 0 ? memrchr(text, '\n', len) : NULL;

	return newline && newline > text && newline[-1] == '\r';
}

static void put_line_end(char **at, bool crlf)
{
	if (crlf)
		*(*at)++ = '\r';
	*(*at)++ = '\n';
}

int cv_config_edit_append(const char *text, size_t len, const struct cv_config_peer *peer,
			  char **ret_tail)
{
	bool crlf = ends_in_crlf(text, len), open_end = len > 0 && text[len - 1] != '\n';
	size_t size = cv_config_print_peer(peer, NULL, 0) + 1;
	char *section = malloc(size), *tail = malloc(2 * size + 2), *at = tail;

	if (!section || !tail) {
		free(section);
		free(tail);
		return -ENOMEM;
	}
	cv_config_print_peer(peer, section, size);
	if (open_end)
		put_line_end(&at, crlf);
	/* It begins with the empty line, which the first line of a file needs not. */
	for (const char *c = len > 0 ? section : section + 1; *c; c++)
		if (*c == '\n')
			put_line_end(&at, crlf);
		else
			*at++ = *c;
	*at = '\0';
	cv_wipe(section, size);
	free(section);
	*ret_tail = tail;
	return 0;
}

/* Decode one character of UTF-8 (RFC 3629); 0 when it is none, or one that is not printed. */
static size_t printable(const unsigned char *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *c < 0x80 ? 1 : *c < 0xc0 ? 0 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : 4;
	uint32_t code = len == 1 ? *c : *c & (0x7fu >> len);

	for (size_t i = 1; i < len; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (c[i] & 0x3f);
	}
	if (len == 0 || *c >= 0xf8 || code < least[len] || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return 0;
	/* C0, C1 and the two that end lines elsewhere, and those that turn the writing around. */
	if (code < ' ' || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
	    (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069))
		return 0;
	return len;
}

const char *cv_config_name_flaw(const char *name)
{
	size_t len = strlen(name);
	struct cv_span trimmed = cv_span_trim((struct cv_span){ name, len });
	struct cv_key key;

	if (len == 0)
		return "it is empty";
	if (len > CV_CONFIG_NAME_MAX)
		return "it has more than 64 bytes";
	if (trimmed.len != len)
		return "it has a blank at an end";
	if (name[0] == '-')
		return "it begins with a dash, as options do";
	if (cv_key_from_base64(name, len, &key) == 0)
		return "it is a key";
	for (const unsigned char *c = (const unsigned char *)name; *c; c += len) {
		len = printable(c);
		if (len == 0)
			return "it has a character that cannot be printed";
	}
	return NULL;
}

static const struct cv_config_rule *rule_called(const char *key)
{
	for (size_t i = 0; i < CV_KEYS; i++)
		if (strcmp(cv_config_rules[i].name, key) == 0)
			return &cv_config_rules[i];
	return NULL;
}

int cv_config_take_peer_value(const char *key, const char *value, struct cv_config_peer *peer,
			      struct cv_config_error *ret_error)
{
	const struct cv_config_rule *rule = rule_called(key);
	struct cv_span span = cv_span_trim((struct cv_span){ value, strlen(value) });
	/* A file of one line, inside a [Peer]. */
	struct cv_config_parser parser = {
		.text = value,
		.len = strlen(value),
		.section = CV_SECTION_PEER,
		.line = { .line = 1, .column = 1 },
		.config = { .peers = peer, .n_peers = 1 },
	};
	bool wrong;

	if (span.len > 0)
		rule->take(&parser, rule, span);
	else
		cv_config_error(&parser, parser.line, NULL, "%s has no value", rule->name);
	free(parser.allowed);
	*ret_error = parser.errors.n > 0 ? parser.errors.list[0] : (struct cv_config_error){ 0 };
	wrong = parser.errors.errors > 0;
	cv_config_errors_free(&parser.errors);
	if (parser.no_memory)
		return -ENOMEM;
	return wrong ? -EINVAL : 0;
}
