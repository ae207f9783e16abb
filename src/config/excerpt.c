/*
 * The line of a finding, as far as it may be shown.
 *
 * A terminal, a log and a bug report must not learn a key, also when the line is broken just where
 * the key stands. So, in this order:
 *	PrivateKey, PresharedKey and words near to them: all of the value is starred
 *	another known key, or a word near to one:        the value is shown
 *	anything else:                                   only its first bytes are shown, since half
 *	                                                 a key may stand there
 * and everywhere a long run of base64 characters shows its head only, enough to tell which public
 * key it is. Stars stand for bytes, so that columns stay true. Bytes that are not printable ASCII
 * become one '?' a character, so that no file can steer a terminal.
 */
#include <string.h>

#include "internal.h"

enum {
	STRANGE_SHOWN = 12, /* bytes of a line we know nothing about: 72 of 256 bits */
	RUN_MIN = 32,       /* base64 characters that may be a key: 192 of 256 bits */
	RUN_SHOWN = 8,
	LEAD = 40, /* bytes shown before the column when the line is cut */
};

static size_t end_of(struct cv_span part, struct cv_span line)
{
	return (size_t)(part.at + part.len - line.at);
}

/* From which byte on nothing is shown; line.len when all may be. */
static size_t starred_from(struct cv_span line)
{
	struct cv_span text = cv_span_trim(line);
	struct cv_config_line parts;

	if (text.len == 0 || text.at[0] == '[')
		return line.len;
	if (text.at[0] == '#' && !cv_config_comment_is_own(text, &text))
		return line.len;
	parts = cv_config_line_split(text);
	if (parts.rule ? parts.rule->secret
		       : cv_config_rule_near(parts.key, CV_SECTION_NONE, true) != NULL)
		return end_of(parts.key, line);
	if (parts.rule || cv_config_rule_near(parts.key, CV_SECTION_NONE, false))
		return line.len;
	if (parts.key.len > STRANGE_SHOWN)
		parts.key.len = STRANGE_SHOWN;
	return end_of(parts.key, line);
}

/* Whether the run of base64 characters that starts at `from` may be a key. */
static bool run_is_key(struct cv_span line, size_t from, size_t *ret_end)
{
	bool path = true; /* lower case and slashes only, as in the commands of hooks */
	size_t end = from;

	for (; end < line.len && cv_is_base64(line.at[end]); end++)
		if (!((line.at[end] >= 'a' && line.at[end] <= 'z') || line.at[end] == '/'))
			path = false;
	*ret_end = end;
	return end - from >= RUN_MIN && !path;
}

static char shown(char c, bool starred)
{
	if (c == ' ' || c == '\t')
		return ' ';
	if (starred && c != '=' && c != ':') /* no characters of a key */
		return '*';
	return c > ' ' && c < 0x7f ? c : '?';
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

void cv_config_excerpt(struct cv_span line, size_t column, struct cv_config_error *ret_error)
{
	const size_t dots = strlen("...");
	size_t starred = starred_from(line), run_end = 0, key_from = line.len, from = 0, n = 0;

	while (line.len > 0 && line.at[line.len - 1] == '\r')
		line.len--;
	if (column > line.len)
		column = line.len;
	if (line.len > CV_CONFIG_ERROR_EXCERPT_MAX && column > LEAD)
		from = column - LEAD;
	if (from > 0) {
		memset(ret_error->excerpt, '.', dots);
		n = dots;
	}
	ret_error->caret = (uint32_t)n;
	/* A run that began before this is still longer than its head where the shown part starts.
	 */
	for (size_t i = from > 2 * RUN_MIN ? from - 2 * RUN_MIN : 0; i < line.len; i++) {
		if (i >= run_end && cv_is_base64(line.at[i]))
			key_from = run_is_key(line, i, &run_end) ? i + RUN_SHOWN : line.len;
		else if (i >= run_end)
			key_from = line.len;
		if (i < from || (is_continuation(line.at[i]) && i > from))
			continue;
		if (n + dots >= CV_CONFIG_ERROR_EXCERPT_MAX && line.len - i > dots) {
			memset(ret_error->excerpt + n, '.', dots);
			n += dots;
			break;
		}
		if (i < column)
			ret_error->caret++;
		ret_error->excerpt[n++] = shown(line.at[i], i >= starred || i >= key_from);
	}
	ret_error->excerpt[n] = '\0';
}
