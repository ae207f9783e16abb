/* Pieces of text: trimming, comparing, cutting lists, reading numbers. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

bool cv_is_base64(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

struct cv_span cv_span_trim(struct cv_span span)
{
	while (span.len > 0 && is_blank(span.at[0])) {
		span.at++;
		span.len--;
	}
	while (span.len > 0 && is_blank(span.at[span.len - 1]))
		span.len--;
	return span;
}

bool cv_span_starts(struct cv_span span, const char *word)
{
	size_t len = strlen(word);

	return span.len >= len && strncasecmp(span.at, word, len) == 0;
}

bool cv_span_is(struct cv_span span, const char *word)
{
	return span.len == strlen(word) && cv_span_starts(span, word);
}

bool cv_span_of(struct cv_span span, const char *characters)
{
	size_t n = strlen(characters);

	for (size_t i = 0; i < span.len; i++)
		if (!memchr(characters, span.at[i], n))
			return false;
	return true;
}

bool cv_span_next(struct cv_span *rest, const char *separators, struct cv_span *ret_item)
{
	size_t len = 0;

	if (!rest->at)
		return false;
	while (len < rest->len && !memchr(separators, rest->at[len], strlen(separators)))
		len++;
	*ret_item = cv_span_trim((struct cv_span){ rest->at, len });
	if (len == rest->len)
		*rest = (struct cv_span){ NULL, 0 };
	else
		*rest = (struct cv_span){ rest->at + len + 1, rest->len - len - 1 };
	return true;
}

bool cv_span_copy(struct cv_span span, char *ret_text, size_t size)
{
	if (span.len >= size || memchr(span.at, '\0', span.len))
		return false;
	memcpy(ret_text, span.at, span.len);
	ret_text[span.len] = '\0';
	return true;
}

static unsigned digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A' + 10);
	return 16;
}

bool cv_span_number(struct cv_span span, bool hex, uint32_t max, uint32_t *ret_number)
{
	uint64_t number = 0;
	unsigned base = 10;

	if (hex && cv_span_starts(span, "0x")) {
		span = (struct cv_span){ span.at + 2, span.len - 2 };
		base = 16;
	}
	if (span.len == 0)
		return false;
	for (size_t i = 0; i < span.len; i++) {
		unsigned value = digit(span.at[i]);

		if (value >= base)
			return false;
		number = number * base + value;
		if (number > max)
			return false;
	}
	*ret_number = (uint32_t)number;
	return true;
}

char *cv_span_dup(struct cv_span span)
{
	return strndup(span.at, span.len);
}
