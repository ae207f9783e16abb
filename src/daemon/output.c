/* Words to the user on stderr, and bytes to a descriptor. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <convoy/config/suggest.h>
#include <convoy/log/log.h>

#include "internal.h"

enum {
	LINE_SIZE = 2 * PATH_MAX + 1024,
	OPTIONS_MAX = 16,
};

void cv_complain(const char *format, ...)
{
	char line[LINE_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	cv_log_disarm(line, strlen(line));
	fprintf(stderr, "convoy: %s\n", line);
}

void cv_put_lines(FILE *out, char *text, size_t len)
{
	char *line = text, *end = text + len;

	while (line < end) {
		char *stop = memchr(line, '\n', (size_t)(end - line));

		if (!stop)
			stop = end;
		cv_log_disarm(line, (size_t)(stop - line));
		line = stop + 1;
	}
	fwrite(text, 1, len, out);
}

void cv_complain_option(const char *command, const char *argument, const char *const *names,
			size_t n)
{
	const char *all[OPTIONS_MAX];
	int len = (int)strcspn(argument, "=");
	size_t near;

	for (size_t i = 0; i < n; i++)
		all[i] = names[i];
	all[n] = "--help";
	near = cv_suggest_nearest(argument, (size_t)len, all, n + 1);
	if (near > n)
		cv_complain("unknown option %.*s; convoy%s%s --help %s", len, argument,
			    *command ? " " : "", command,
			    *command && n > 0 ? "lists them" : "tells more");
	else if (strlen(all[near]) == (size_t)len && strncmp(all[near], argument, (size_t)len) == 0)
		cv_complain("%s takes no value", all[near]);
	else
		cv_complain("unknown option %.*s; did you mean %s?", len, argument, all[near]);
}

const char *cv_remedy(int error)
{
	return (error == -EACCES || error == -EPERM) && geteuid() != 0 ? "; try it with sudo" : "";
}

int cv_write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}
