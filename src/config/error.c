/*
 * Findings: collected while parsing, sorted by line at the end, printed one by one.
 *
 * Messages are made of our own words, key names and numbers; what the user wrote is shown only by
 * the excerpt (excerpt.c), which is the one place that decides what may be shown.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct cv_config_place cv_config_at(const struct cv_config_parser *parser, const char *byte)
{
	struct cv_config_place at = parser->line;

	at.column = (uint32_t)(byte - (parser->text + at.offset)) + 1;
	return at;
}

static struct cv_span line_at(const struct cv_config_parser *parser, uint32_t offset)
{
	const char *start = parser->text + offset;
	size_t rest = parser->len - offset;
	const char *end = memchr(start, '\n', rest);

	return (struct cv_span){ start, end ? (size_t)(end - start) : rest };
}

__attribute__((format(printf, 5, 0))) static void report(struct cv_config_parser *parser,
							 struct cv_config_place at, bool warning,
							 const char *hint, const char *format,
							 va_list arguments)
{
	struct cv_config_errors *errors = &parser->errors;
	size_t *count = warning ? &errors->warnings : &errors->errors;
	struct cv_config_error *error;
	void *list = errors->list;

	if (++*count > CV_CONFIG_ERRORS_MAX ||
	    !cv_config_grow(parser, &list, errors->n, sizeof(*error)))
		return;
	errors->list = list;
	error = &errors->list[errors->n++];
	*error = (struct cv_config_error){
		.warning = warning,
		.line = at.line,
		.column = at.column,
	};
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	if (hint)
		snprintf(error->hint, sizeof(error->hint), "%s", hint);
	cv_config_excerpt(line_at(parser, at.offset), at.column - 1, error);
}

void cv_config_error(struct cv_config_parser *parser, struct cv_config_place at, const char *hint,
		     const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report(parser, at, false, hint, format, arguments);
	va_end(arguments);
}

void cv_config_warning(struct cv_config_parser *parser, struct cv_config_place at, const char *hint,
		       const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report(parser, at, true, hint, format, arguments);
	va_end(arguments);
}

static int by_place(const void *left, const void *right)
{
	const struct cv_config_error *a = left, *b = right;

	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	if (a->column != b->column)
		return a->column < b->column ? -1 : 1;
	return strcmp(a->message, b->message);
}

void cv_config_errors_sort(struct cv_config_errors *errors)
{
	if (errors->n > 1)
		qsort(errors->list, errors->n, sizeof(errors->list[0]), by_place);
}

size_t cv_config_error_print(const struct cv_config_error *error, const char *file, char *ret_text,
			     size_t size)
{
	int len =
		snprintf(ret_text, size, "%s:%u:%u: %s: %s\n  %s\n  %*s^\n%s%s%s", file,
			 error->line, error->column, error->warning ? "warning" : "error",
			 error->message, error->excerpt, (int)error->caret, "",
			 error->hint[0] ? "  hint: " : "", error->hint, error->hint[0] ? "\n" : "");

	return len < 0 ? 0 : (size_t)len;
}

void cv_config_errors_free(struct cv_config_errors *errors)
{
	free(errors->list);
	*errors = (struct cv_config_errors){ 0 };
}
