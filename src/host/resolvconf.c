/*
 * /etc/resolv.conf itself, for hosts where nobody manages it.
 *
 * The first line says whose the file is. What stood there before is kept beside it, on disk, since
 * after a power loss /etc is all that is left: the next up or down of the tunnel finds its own line
 * and puts the old text back. A file without our line was written by somebody else since, and is
 * left as it is.
 *
 * A new text gets there by rename(2), so that no reader ever sees half of it. That does not work
 * when the file is a mount of its own, as in a container: then it is overwritten in one write, with
 * the old text safe on disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define OURS        "# convoy wrote this for "
#define OURS_REST   "; what was here before is in "

enum {
	TEXT_MAX = 64 << 10, /* a resolv.conf is a screen at most */
};

static void backup_path(const char *tunnel, char ret_path[64])
{
	snprintf(ret_path, 64, RESOLV_CONF ".before-%s", tunnel);
}

/* Return: its length, or -errno. */
static ssize_t read_text(const char *path, char ret_text[TEXT_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, ret_text, TEXT_MAX - 1);
	if (n < 0)
		n = -errno;
	else if (n == TEXT_MAX - 1)
		n = -EFBIG;
	else
		ret_text[n] = '\0';
	close(fd);
	return n;
}

static int fill(int fd, const char *text, size_t len)
{
	if (pwrite(fd, text, len, 0) != (ssize_t)len)
		return errno ? -errno : -ENOSPC;
	return ftruncate(fd, (off_t)len) < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int overwrite(const char *path, const char *text, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644), r;

	if (fd < 0)
		return -errno;
	r = fill(fd, text, len);
	close(fd);
	return r;
}

/* Make the file say this, whole or not at all where the file system lets us. */
static int write_text(const char *path, const char *text, size_t len)
{
	char new_path[PATH_MAX];
	int fd, r;

	if (snprintf(new_path, sizeof(new_path), "%s.convoy-new", path) >= (int)sizeof(new_path))
		return -ENAMETOOLONG;
	fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return overwrite(path, text, len);
	r = fchmod(fd, 0644) < 0 ? -errno : fill(fd, text, len); /* whatever the umask is */
	close(fd);
	if (r == 0 && rename(new_path, path) == 0)
		return 0;
	unlink(new_path);
	return r < 0 ? r : overwrite(path, text, len);
}

/* The name in our line is the tunnel's; or, with tunnel NULL, there is such a line at all. */
static bool is_ours(const char *text, const char *tunnel)
{
	size_t len = strlen(OURS), name_len = tunnel ? strlen(tunnel) : 0;

	return strncmp(text, OURS, len) == 0 &&
	       (!tunnel || (strncmp(text + len, tunnel, name_len) == 0 &&
			    strncmp(text + len + name_len, OURS_REST, strlen(OURS_REST)) == 0));
}

/* What the path leads to; a file that is not there yet is itself. */
static int real_path(char ret_path[PATH_MAX])
{
	if (realpath(RESOLV_CONF, ret_path))
		return 0;
	if (errno != ENOENT)
		return -errno;
	strcpy(ret_path, RESOLV_CONF);
	return 0;
}

/* Keep what stands there now. Nothing is to be kept when that is ours, from before a reload. */
static int back_up(const char *tunnel, const char *path, const char *backup)
{
	static char text[TEXT_MAX];
	ssize_t len = read_text(path, text);

	if (len == -ENOENT) {
		unlink(backup);
		return 0;
	}
	if (len < 0)
		return (int)len;
	if (is_ours(text, tunnel))
		return 0;
	if (is_ours(text, NULL)) {
		cv_log_err("%s: another tunnel of convoy wrote " RESOLV_CONF "; install openresolv "
			   "to have several tunnels with DNS",
			   tunnel);
		return -EBUSY;
	}
	return write_text(backup, text, (size_t)len);
}

int cv_resolvconf_write(const char *tunnel, const char *text)
{
	char path[PATH_MAX], backup[64], *whole;
	int r = real_path(path), len;

	backup_path(tunnel, backup);
	if (r == 0)
		r = back_up(tunnel, path, backup);
	if (r == 0) {
		len = asprintf(&whole, OURS "%s" OURS_REST "%s\n%s", tunnel, backup, text);
		r = len < 0 ? -ENOMEM : write_text(path, whole, (size_t)len);
		if (len >= 0)
			free(whole);
	}
	if (r < 0 && r != -EBUSY) /* back_up() said that */
		cv_log_err("%s: cannot write " RESOLV_CONF ": %s", tunnel, strerror(-r));
	return r;
}

bool cv_resolvconf_restore(const char *tunnel)
{
	static char text[TEXT_MAX];
	char path[PATH_MAX], backup[64];
	ssize_t len;
	int r;

	backup_path(tunnel, backup);
	if (real_path(path) < 0 || read_text(path, text) < 0)
		return false;
	if (!is_ours(text, tunnel)) {
		unlink(backup);
		return false;
	}
	len = read_text(backup, text);
	if (len >= 0)
		r = write_text(path, text, (size_t)len);
	else
		r = len == -ENOENT && unlink(path) == 0 ? 0 : (int)len;
	if (r < 0) {
		cv_log_err("%s: cannot put back " RESOLV_CONF " from %s: %s", tunnel, backup,
			   strerror(-r));
		return false;
	}
	unlink(backup);
	return true;
}
