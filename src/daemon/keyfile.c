/*
 * Keys that stand in files of their own: PrivateKeyFile and PresharedKeyFile.
 *
 * A config file may then be shown and copied, and the key stays with whoever keeps it: systemd's
 * LoadCredential=, a secret of a container, a file of a mode of its own. The parser, which opens
 * nothing, leaves the paths; here the files are read and each key is put where the line itself
 * would have put it.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <convoy/crypto/key.h>

#include "internal.h"

#define HOLDS "it is to hold the %d characters that `convoy %s` prints"

enum {
	KEY_FILE_MAX = 4096, /* a key, and blanks around it */
};

/* One key that is wanted: the words for it, and where it goes. */
struct wanted {
	const char *config_path;
	const char *name;    /* of the setting */
	const char *command; /* that makes such a key */
	const struct cv_config_key_file *file;
	FILE *findings;
};

__attribute__((format(printf, 4, 5))) static void tell(const struct wanted *wanted,
						       const char *kind, const char *hint,
						       const char *format, ...)
{
	va_list arguments;

	fprintf(wanted->findings, "%s:%u: %s: ", wanted->config_path, wanted->file->line, kind);
	va_start(arguments, format);
	vfprintf(wanted->findings, format, arguments);
	va_end(arguments);
	fprintf(wanted->findings, "\n  hint: %s\n", hint);
}

static bool is_credential(const char *key_path)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");

	return credentials && credentials[0] && !strchr(key_path, '/');
}

int cv_keys_path(const char *config_path, const char *key_path, char ret_path[PATH_MAX])
{
	const char *slash = strrchr(config_path, '/');
	int len;

	if (key_path[0] == '/')
		len = snprintf(ret_path, PATH_MAX, "%s", key_path);
	else if (is_credential(key_path))
		len = snprintf(ret_path, PATH_MAX, "%s/%s", getenv("CREDENTIALS_DIRECTORY"),
			       key_path);
	else
		len = snprintf(ret_path, PATH_MAX, "%.*s%s",
			       slash ? (int)(slash - config_path) + 1 : 0, config_path, key_path);
	return len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static const char *reason(int error)
{
	if (error == -ENODEV)
		return "it is neither a file nor a pipe";
	return error == -EFBIG ? "it holds more than a key" : strerror(-error);
}

/* What to do about it. A key that exists must not be made anew over it. */
static void tell_unread(const struct wanted *wanted, const char *path, bool credential, int error)
{
	char hint[PATH_MAX + 160], name[IFNAMSIZ] = "NAME";

	cv_config_name_from_path(wanted->config_path, name);
	if (error == -ENOENT && credential)
		snprintf(hint, sizeof(hint),
			 "pass it by LoadCredential=%s:PATH in systemctl edit convoy@%s",
			 wanted->file->path, name);
	else if (error == -ENOENT)
		snprintf(hint, sizeof(hint), "make it by: umask 077; convoy %s > %s",
			 wanted->command, path);
	else if (error == -EACCES && geteuid() != 0)
		snprintf(hint, sizeof(hint), "run it as root, or give the file to its user");
	else if (error == -EACCES) /* a tunnel that runs is confined */
		snprintf(hint, sizeof(hint),
			 "give the file to root; a tunnel that runs must be started anew for it");
	else
		snprintf(hint, sizeof(hint), HOLDS, CV_KEY_BASE64_LEN, wanted->command);
	tell(wanted, "error", hint, "%s: cannot read %s: %s", wanted->name, path, reason(error));
}

static int load(const struct wanted *wanted, struct cv_key *ret_key)
{
	char path[PATH_MAX], hint[PATH_MAX + 160];
	struct cv_file file;
	int r = cv_keys_path(wanted->config_path, wanted->file->path, path);

	if (r == 0)
		r = cv_file_read(path, KEY_FILE_MAX, &file);
	if (r < 0) {
		tell_unread(wanted, path, is_credential(wanted->file->path), r);
		return -EINVAL;
	}
	if (file.world_readable) {
		snprintf(hint, sizeof(hint), "chmod 600 %s", path);
		tell(wanted, "warning", hint, "%s: everyone may read %s", wanted->name, path);
	}
	r = cv_file_to_key(&file, ret_key);
	cv_file_done(&file);
	if (r < 0) {
		snprintf(hint, sizeof(hint), HOLDS, CV_KEY_BASE64_LEN, wanted->command);
		tell(wanted, "error", hint, "%s: %s holds no key", wanted->name, path);
	}
	return r;
}

int cv_keys_load(const char *path, struct cv_config *config, FILE *findings)
{
	struct wanted wanted = { path, "PrivateKeyFile", "genkey", &config->private_key_file,
				 findings };
	int result = 0;

	if (wanted.file->path) {
		result = load(&wanted, &config->private_key);
		config->has_private_key = result == 0;
	}
	wanted.name = "PresharedKeyFile";
	wanted.command = "genpsk";
	for (size_t i = 0; i < config->n_peers; i++) {
		struct cv_config_peer *peer = &config->peers[i];

		wanted.file = &peer->psk_file;
		if (!peer->psk_file.path)
			continue;
		peer->has_psk = load(&wanted, &peer->psk) == 0;
		if (!peer->has_psk)
			result = -EINVAL;
	}
	return result;
}
