/*
 * check and run: find the config file, read it, say all that is wrong with it, and run the tunnel.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <convoy/log/log.h>

#include "internal.h"

static void complain_length(void)
{
	cv_complain("the path of the file is longer than %d bytes", PATH_MAX - 1);
}

int cv_tunnel_find(const char *argument, char ret_path[PATH_MAX])
{
	char candidates[2][CV_CONFIG_PATH_MAX];

	if (cv_config_path_candidates(argument, candidates) < 0) {
		if (strlen(argument) < PATH_MAX) {
			strcpy(ret_path, argument);
			return 0;
		}
		complain_length();
		return -ENAMETOOLONG;
	}
	for (int i = 0; i < 2; i++)
		if (access(candidates[i], F_OK) == 0 || errno != ENOENT) {
			strcpy(ret_path, candidates[i]);
			return 0;
		}
	cv_complain("there is neither %s nor %s; another file is given by its path, as ./%s.conf",
		    candidates[0], candidates[1], argument);
	return -ENOENT;
}

void cv_tunnel_why(const char *path, int error, char ret_why[CV_WHY_MAX])
{
	size_t len = strlen(path), suffix = strlen(".conf");

	if (error == -ENODEV)
		snprintf(ret_why, CV_WHY_MAX, "it is neither a file nor a pipe");
	else if (error == -EFBIG)
		snprintf(ret_why, CV_WHY_MAX, "it has more than %d MiB", CV_CONFIG_FILE_MAX >> 20);
	else if (error == -ENOENT && len > suffix && len < IFNAMSIZ + suffix &&
		 !strchr(path, '/') && strcmp(path + len - suffix, ".conf") == 0)
		snprintf(ret_why, CV_WHY_MAX,
			 "%s; NAME has no .conf: %.*s stands for /etc/convoy/%s", strerror(ENOENT),
			 (int)(len - suffix), path, path);
	else
		snprintf(ret_why, CV_WHY_MAX, "%s%s", strerror(-error), cv_remedy(error));
}

void cv_findings_print(const char *path, const struct cv_config_errors *findings, FILE *out)
{
	char text[PATH_MAX + 1024];
	size_t hidden = findings->errors + findings->warnings - findings->n;

	for (size_t i = 0; i < findings->n; i++) {
		cv_config_error_print(&findings->list[i], path, text, sizeof(text));
		fputs(text, out);
	}
	if (hidden > 0)
		fprintf(out, "%s: and %zu more\n", path, hidden);
	if (findings->errors > 0)
		fprintf(out, "%s: %zu error%s, %zu warning%s\n", path, findings->errors,
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
static int name_interface(const char *path, struct cv_config *config, FILE *findings)
{
	if (cv_config_name_from_path(path, config->name) == 0)
		return 0;
	fprintf(findings,
		"%s: error: the file's name does not name an interface\n"
		"  hint: 1 to 15 of the characters a-z A-Z 0-9 _ = + . - and then .conf; . and .. "
		"are no names\n",
		path);
	return -EINVAL;
}

static int parse(const char *path, struct cv_config *ret_config, FILE *findings)
{
	struct cv_config_errors errors;
	struct cv_file file;
	char why[CV_WHY_MAX];
	int result = cv_file_read(path, CV_CONFIG_FILE_MAX, &file);

	if (result) {
		cv_tunnel_why(path, result, why);
		fprintf(findings, "convoy: cannot read %s: %s\n", path, why);
		return result;
	}
	if (file.world_readable)
		fprintf(findings,
			"%s: warning: everyone may read this file, and it is the place for keys\n"
			"  hint: chmod 600 %s\n",
			path, path);
	result = cv_config_parse(file.text, file.len, ret_config, &errors);
	cv_file_done(&file);
	cv_findings_print(path, &errors, findings);
	cv_config_errors_free(&errors);
	if (result == -ENOMEM)
		fprintf(findings, "convoy: not enough memory to read %s\n", path);
	return result;
}

static int read_config(const char *path, bool named, struct cv_config *ret_config, FILE *findings)
{
	int result = parse(path, ret_config, findings);

	if (result)
		return result;
	result = cv_keys_load(path, ret_config, findings);
	if (!result && named)
		result = name_interface(path, ret_config, findings);
	if (result)
		cv_config_free(ret_config);
	return result;
}

int cv_tunnel_read(const char *path, struct cv_config *ret_config, FILE *findings)
{
	return read_config(path, true, ret_config, findings);
}

/* The findings to stderr; their paths may have been given by anybody. */
static int read_loudly(const char *path, bool named, struct cv_config *ret_config)
{
	char *text = NULL;
	size_t len = 0;
	FILE *findings = open_memstream(&text, &len);
	int result;

	if (!findings) {
		cv_complain("not enough memory");
		return -ENOMEM;
	}
	result = read_config(path, named, ret_config, findings);
	if (fclose(findings) == 0)
		cv_put_lines(stderr, text, len);
	free(text);
	return result;
}

int cv_tunnel_load(const char *argument, char ret_path[PATH_MAX], struct cv_config *ret_config)
{
	char found[PATH_MAX], *path = found;
	size_t len = 0;
	int r = cv_tunnel_find(argument, found);

	if (r == 0)
		r = read_loudly(path, true, ret_config);
	if (r < 0)
		return r;
	/* Absolute, and not resolved: a reload follows symbolic links anew. */
	if (path[0] != '/' && getcwd(ret_path, PATH_MAX - 1)) {
		len = strlen(ret_path);
		ret_path[len++] = '/';
		while (strncmp(path, "./", 2) == 0)
			path += 2;
	}
	if (snprintf(ret_path + len, PATH_MAX - len, "%s", path) < (int)(PATH_MAX - len))
		return 0;
	complain_length();
	cv_config_free(ret_config);
	return -ENAMETOOLONG;
}

int cv_command_check(int n, char **arguments)
{
	struct cv_config config;
	char path[PATH_MAX];

	if (cv_tunnel_find(arguments[0], path) < 0 ||
	    read_loudly(path, is_named(path), &config) < 0)
		return CV_EXIT_FAILURE;
	cv_config_free(&config);
	cv_log_disarm(path, strlen(path));
	if (printf("%s: ok\n", path) < 0 || fflush(stdout) == EOF) {
		cv_complain("cannot write to stdout: %s", strerror(errno));
		return CV_EXIT_FAILURE;
	}
	return CV_EXIT_OK;
}

int cv_command_run(int n, char **arguments)
{
	struct cv_control_options options = {
		.read = cv_tunnel_read,
		.restrict_self = cv_restrict_self,
		.tun_fd = -1,
		.uapi_fd = -1,
	};
	struct cv_config config;
	char path[PATH_MAX];

	if (cv_tunnel_load(arguments[0], path, &config) < 0)
		return CV_EXIT_FAILURE;
	options.path = path;
	return cv_control_run(&options, &config) < 0 ? CV_EXIT_FAILURE : CV_EXIT_OK;
}
