/* What is wrong with a config file, where, and what would be right. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CV_CONFIG_ERRORS_MAX = 1000,       /* more are counted, not kept */
	CV_CONFIG_ERROR_EXCERPT_MAX = 100, /* bytes of the line that are shown */
	CV_CONFIG_ERROR_MESSAGE_MAX = 120,
	CV_CONFIG_ERROR_HINT_MAX = 160,
};

/* One finding. Holds no secret: values of key lines and whatever looks like a key are starred. */
struct cv_config_error {
	bool warning;    /* the file is good nevertheless */
	uint32_t line;   /* from 1 */
	uint32_t column; /* from 1, in bytes */
	uint32_t caret;  /* columns of the terminal before the place, in the excerpt */
	char excerpt[CV_CONFIG_ERROR_EXCERPT_MAX + 1]; /* printable ASCII */
	char message[CV_CONFIG_ERROR_MESSAGE_MAX];
	char hint[CV_CONFIG_ERROR_HINT_MAX]; /* what would be right, or "" */
};

struct cv_config_errors {
	struct cv_config_error *list; /* error[n], errors and warnings by line */
	size_t n;
	size_t errors; /* all that were found, kept or not */
	size_t warnings;
};

/**
 * cv_config_error_print() - a finding as people read it
 * @file:	the file's name as the user gave it
 *
 *	FILE:LINE:COLUMN: error: message
 *	  the line
 *	      ^
 *	  hint: what would be right
 *
 * Return: bytes of the whole text without its end, as snprintf(3); it was cut when >= size.
 */
size_t cv_config_error_print(const struct cv_config_error *error, const char *file, char *ret_text,
			     size_t size);

void cv_config_errors_free(struct cv_config_errors *errors);
