/*
 * Leases on the disk: /var/lib/convoy/NAME.leases.
 *
 * The text is written whole under another name, brought to the disk and renamed; then the directory
 * is. So a crash or a full disk leaves the old file or the new one, and what was written is there
 * after the next start. All of it is done with what the sandbox leaves (daemon/landlock.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <convoy/config/lease.h>
#include <convoy/control/lease_file.h>

#include "internal.h"

enum {
	PATH_MAX_BYTES = sizeof(CV_LEASE_DIR) + IFNAMSIZ + 16,
};

static void path_of(const char *name, const char *suffix, char ret_path[PATH_MAX_BYTES])
{
	snprintf(ret_path, PATH_MAX_BYTES, CV_LEASE_DIR "/%s.leases%s", name, suffix);
}

static int read_all(int fd, size_t len, char *text, size_t *ret_len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, text + done, len - done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	*ret_len = done;
	return 0;
}

static int read_file(int fd, char **ret_text, size_t *ret_len)
{
	struct stat status;
	char *text;
	int r;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -ENODEV;
	if (status.st_size > CV_LEASE_FILE_MAX)
		return -EFBIG;
	text = malloc((size_t)status.st_size + 1);
	if (!text)
		return -ENOMEM;
	r = read_all(fd, (size_t)status.st_size, text, ret_len);
	if (r < 0)
		free(text);
	else
		*ret_text = text;
	return r;
}

int cv_lease_file_read(const char *name, char **ret_text, size_t *ret_len)
{
	char path[PATH_MAX_BYTES];
	int fd, r;

	path_of(name, "", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = read_file(fd, ret_text, ret_len);
	close(fd);
	return r;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_beside(const char *path, const char *text, size_t len)
{
	int fd, r;

	unlink(path); /* of a crash */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, len);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	return r;
}

/* The renaming itself must outlive a crash, before anybody acts on it. */
static int sync_folder(void)
{
	int fd = open(CV_LEASE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

int cv_lease_file_write(const char *name, const char *text, size_t len)
{
	char path[PATH_MAX_BYTES], beside[PATH_MAX_BYTES];
	int r;

	path_of(name, "", path);
	path_of(name, ".new", beside);
	r = write_beside(beside, text, len);
	if (r == 0 && rename(beside, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(beside);
	return r < 0 ? r : sync_folder();
}
