/*
 * Changing a config file: found, locked, read, and replaced whole.
 *
 * The new text is written beside the file under a name that is no tunnel's, brought to the disk,
 * and renamed over it: a reader, a crash and a full disk see the old file or the new one. Owner and
 * mode stay. A symbolic link stays too, what it points to is replaced.
 *
 * The lock is on the directory, not on the file, which another process may just have replaced: so
 * two commands at once work one after the other, and each reads what the one before it wrote.
 */
#include "edit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <convoy/log/log.h>

static int is_tunnel(const struct dirent *entry)
{
	char name[IFNAMSIZ];

	return cv_config_name_from_path(entry->d_name, name) == 0;
}

static void complain_choice(const char *folder, struct dirent **entries, int n)
{
	char names[256] = "";
	size_t len = 0;

	for (int i = 0; i < n && len < sizeof(names); i++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%.*s", i ? ", " : "",
					(int)(strlen(entries[i]->d_name) - strlen(".conf")),
					entries[i]->d_name);
	cv_complain("there are several tunnels in %s: say which by --tunnel (%s%s)", folder, names,
		    len < sizeof(names) ? "" : ", ...");
}

/* The only tunnel of the first folder that has any. Return: 0, or -errno after saying why not. */
static int find_only(char ret_path[PATH_MAX])
{
	static const char *const folders[] = { "/etc/convoy", "/etc/wireguard" };

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		struct dirent **entries = NULL;
		int n = scandir(folders[i], &entries, is_tunnel, alphasort), result;

		if (n < 0 && errno != ENOENT) {
			result = -errno;
			cv_complain("cannot list %s: %s%s", folders[i], strerror(-result),
				    cv_remedy(result));
			return result;
		}
		if (n == 1)
			snprintf(ret_path, PATH_MAX, "%s/%s", folders[i], entries[0]->d_name);
		else if (n > 1)
			complain_choice(folders[i], entries, n);
		for (int k = 0; k < n; k++)
			free(entries[k]);
		free(entries);
		if (n > 0)
			return n == 1 ? 0 : -EINVAL;
	}
	cv_complain("there is no tunnel in /etc/convoy; another file is given by its path: "
		    "--tunnel ./NAME.conf");
	return -ENOENT;
}

static int find(const char *argument, struct cv_edit *edit)
{
	char found[PATH_MAX], why[CV_WHY_MAX];
	int result = argument ? cv_tunnel_find(argument, found) : find_only(found);

	if (result < 0)
		return result;
	if (!realpath(found, edit->path)) {
		result = -errno;
		cv_tunnel_why(found, result, why);
		cv_complain("cannot find %s: %s", found, why);
		return result;
	}
	/* The tunnel is called after the name that was given, not after what a link points to. */
	if (cv_config_name_from_path(found, edit->name) < 0) {
		cv_complain("%s does not name a tunnel: 1 to 15 of the characters a-z A-Z 0-9 _ = "
			    "+ . - and then .conf do, but not . and ..",
			    found);
		return -EINVAL;
	}
	return 0;
}

static int lock(struct cv_edit *edit)
{
	char folder[PATH_MAX];
	int result;

	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(edit->path, '/') - edit->path),
		 edit->path);
	edit->folder = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (edit->folder < 0 || flock(edit->folder, LOCK_EX) < 0) {
		result = -errno;
		cv_complain("cannot lock %s: %s%s", folder, strerror(-result), cv_remedy(result));
		return result;
	}
	return 0;
}

static int read_text(struct cv_edit *edit)
{
	int fd = open(edit->path, O_RDONLY | O_CLOEXEC | O_NOCTTY), result;
	char why[CV_WHY_MAX];

	if (fd < 0 || fstat(fd, &edit->status) < 0)
		result = -errno;
	else if (!S_ISREG(edit->status.st_mode))
		result = -ENODEV;
	else
		result = cv_file_read_fd(fd, CV_CONFIG_FILE_MAX, &edit->file);
	if (fd >= 0)
		close(fd);
	if (result) {
		cv_tunnel_why(edit->path, result, why);
		cv_complain("cannot read %s: %s", edit->path,
			    result == -ENODEV ? "it is not a file" : why);
	}
	return result;
}

static void print_findings(const char *path, const struct cv_config_errors *findings)
{
	char shown[PATH_MAX];

	snprintf(shown, sizeof(shown), "%s", path);
	cv_log_disarm(shown, strlen(shown));
	cv_findings_print(shown, findings, stderr);
}

static int parse(struct cv_edit *edit)
{
	struct cv_config_errors findings;
	int result = cv_config_parse(edit->file.text, edit->file.len, &edit->config, &findings);

	if (result == -ENOMEM)
		cv_complain("not enough memory to read %s", edit->path);
	else if (result < 0)
		print_findings(edit->path, &findings);
	cv_config_errors_free(&findings);
	return result;
}

int cv_edit_begin(const char *argument, bool to_change, struct cv_edit *ret_edit)
{
	struct cv_edit edit = { .folder = -1 };
	int result;

	cv_config_init(&edit.config);
	result = find(argument, &edit);
	if (!result && to_change)
		result = lock(&edit);
	if (!result)
		result = read_text(&edit);
	if (!result)
		result = parse(&edit);
	if (result < 0)
		cv_edit_done(&edit);
	else
		*ret_edit = edit;
	return result;
}

/* All of it on the disk, with the owner and the mode of the file that it replaces. */
static int fill(int fd, const struct cv_edit *edit, const struct iovec *pieces, size_t n)
{
	int result = 0;

	if (fchown(fd, edit->status.st_uid, edit->status.st_gid) < 0 ||
	    fchmod(fd, edit->status.st_mode & 07777) < 0)
		return -errno;
	for (size_t i = 0; i < n && result == 0; i++)
		result = cv_write_all(fd, pieces[i].iov_base, pieces[i].iov_len);
	if (result == 0 && fsync(fd) < 0)
		result = -errno;
	return result;
}

static int replace(const struct cv_edit *edit, const char *beside, int fd,
		   const struct iovec *pieces, size_t n)
{
	int result = fill(fd, edit, pieces, n);

	if (close(fd) < 0 && result == 0)
		result = -errno;
	if (result == 0 && rename(beside, edit->path) < 0)
		result = -errno;
	if (result < 0)
		unlink(beside);
	else
		fsync(edit->folder); /* it is done, and the directory is written some day anyway */
	return result;
}

int cv_edit_commit(const struct cv_edit *edit, const struct iovec *pieces, size_t n)
{
	const char *slash = strrchr(edit->path, '/');
	char beside[PATH_MAX];
	int fd, result;

	if (snprintf(beside, sizeof(beside), "%.*s/.%s.XXXXXX", (int)(slash - edit->path),
		     edit->path, slash + 1) >= (int)sizeof(beside)) {
		result = -ENAMETOOLONG;
	} else {
		fd = mkostemp(beside, O_CLOEXEC);
		result = fd < 0 ? -errno : replace(edit, beside, fd, pieces, n);
	}
	if (result < 0)
		cv_complain("cannot write %s, it stays as it was: %s%s", edit->path,
			    strerror(-result), cv_remedy(result));
	return result;
}

void cv_edit_done(struct cv_edit *edit)
{
	if (edit->folder >= 0)
		close(edit->folder); /* and so unlocks it */
	cv_file_done(&edit->file);
	cv_config_free(&edit->config);
	edit->folder = -1;
}
