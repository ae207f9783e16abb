/* check and run: find the config file, read it, say all that is wrong with it, and run the tunnel.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <convoy/config/config.h>
#include <convoy/control/control.h>
#include <convoy/log/log.h>

#include "internal.h"

/* FILE as it is, NAME as the first of its two files that exists. NULL after saying why not. */
static const char *find(const char *argument, char candidates[2][CV_CONFIG_PATH_MAX])
{
	if (cv_config_path_candidates(argument, candidates) < 0)
		return argument;
	for (int i = 0; i < 2; i++)
		if (access(candidates[i], F_OK) == 0 || errno != ENOENT)
			return candidates[i];
	cv_complain("there is neither %s nor %s; another file is given by its path, as ./%s.conf",
		    candidates[0], candidates[1], argument);
	return NULL;
}

static void print_findings(const char *path, const struct cv_config_errors *findings)
{
	char text[PATH_MAX + 1024];
	size_t hidden = findings->errors + findings->warnings - findings->n;

	for (size_t i = 0; i < findings->n; i++) {
		cv_config_error_print(&findings->list[i], path, text, sizeof(text));
		fputs(text, stderr);
	}
	if (hidden > 0)
		fprintf(stderr, "%s: and %zu more\n", path, hidden);
	if (findings->errors > 0)
		fprintf(stderr, "%s: %zu error%s, %zu warning%s\n", path, findings->errors,
			findings->errors == 1 ? "" : "s", findings->warnings,
			findings->warnings == 1 ? "" : "s");
}

/* What stands under /dev/ (stdin, a pipe of the shell) has no name, and needs none to be checked.
 */
static bool is_named(const char *path)
{
	return strncmp(path, "/dev/", strlen("/dev/")) != 0;
}

/* The interface is named by the file. */
static int name_interface(const char *path, bool required, struct cv_config *config)
{
	if (cv_config_name_from_path(path, config->name) == 0 || !required)
		return 0;
	fprintf(stderr,
		"%s: error: the file's name does not name an interface\n"
		"  hint: 1 to 15 of the characters a-z A-Z 0-9 _ = + . - and then .conf\n",
		path);
	return -EINVAL;
}

static int read_config(const char *path, bool to_run, struct cv_config *ret_config)
{
	struct cv_config_errors findings;
	struct cv_file file;
	int result = cv_file_read(path, CV_CONFIG_FILE_MAX, &file);

	if (result) {
		cv_complain("cannot read %s: %s", path,
			    result == -ENODEV ? "it is neither a file nor a pipe"
					      : strerror(-result));
		return result;
	}
	if (file.world_readable)
		fprintf(stderr,
			"%s: warning: everyone may read this file, and it is the place for keys\n"
			"  hint: chmod 600 %s\n",
			path, path);
	result = cv_config_parse(file.text, file.len, ret_config, &findings);
	cv_file_done(&file);
	print_findings(path, &findings);
	cv_config_errors_free(&findings);
	if (result == -ENOMEM)
		cv_complain("not enough memory to read %s", path);
	if (result)
		return result;
	result = name_interface(path, to_run || is_named(path), ret_config);
	if (result)
		cv_config_free(ret_config);
	return result;
}

static int load(const char *argument, bool to_run, const char **ret_path,
		struct cv_config *ret_config)
{
	static char candidates[2][CV_CONFIG_PATH_MAX];

	*ret_path = find(argument, candidates);
	return *ret_path ? read_config(*ret_path, to_run, ret_config) : -ENOENT;
}

int cv_command_check(const char *argument)
{
	struct cv_config config;
	const char *path;

	if (load(argument, false, &path, &config) < 0)
		return CV_EXIT_FAILURE;
	cv_config_free(&config);
	if (printf("%s: ok\n", path) < 0 || fflush(stdout) == EOF) {
		cv_complain("cannot write to stdout: %s", strerror(errno));
		return CV_EXIT_FAILURE;
	}
	return CV_EXIT_OK;
}

static enum cv_log_level log_level(const struct cv_config *config)
{
	switch (config->log_level) {
	case CV_CONFIG_LOG_ERROR:
		return CV_LOG_ERR;
	case CV_CONFIG_LOG_WARNING:
		return CV_LOG_WARN;
	case CV_CONFIG_LOG_DEBUG:
		return CV_LOG_DEBUG;
	default:
		return CV_LOG_INFO;
	}
}

int cv_command_run(const char *argument)
{
	struct cv_config config;
	const char *path;
	int result;

	if (load(argument, true, &path, &config) < 0)
		return CV_EXIT_FAILURE;
	cv_log_set_level(log_level(&config));
	result = cv_control_run(&config);
	cv_config_free(&config);
	return result < 0 ? CV_EXIT_FAILURE : CV_EXIT_OK;
}
