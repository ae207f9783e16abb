/*
 * Reading a file that holds keys.
 *
 * The size that fstat(2) tells is a hint only: a pipe has none, and a file may grow while it is
 * read. The bound holds for the bytes that come. Memory that held text is wiped before it is freed.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <convoy/crypto/key.h>
#include <convoy/crypto/secret.h>

#include "internal.h"

enum {
	FIRST_SIZE = 64 << 10,
};

static int check_kind(int fd, const struct stat *status)
{
	if (S_ISREG(status->st_mode) || S_ISFIFO(status->st_mode) || S_ISSOCK(status->st_mode))
		return 0;
	if (S_ISCHR(status->st_mode) && isatty(fd))
		return 0;
	return S_ISDIR(status->st_mode) ? -EISDIR : -ENODEV;
}

/* Room for more text; the old memory is wiped. */
static int grow(struct cv_file *file, size_t size)
{
	char *larger = malloc(size);

	if (!larger)
		return -ENOMEM;
	if (file->len > 0)
		memcpy(larger, file->text, file->len);
	cv_file_done(&(struct cv_file){ .text = file->text, .len = file->len });
	file->text = larger;
	return 0;
}

static int read_all(int fd, size_t max, size_t size, struct cv_file *file)
{
	int result = grow(file, size);

	while (!result) {
		ssize_t n = read(fd, file->text + file->len, size - file->len);

		if (n == 0)
			return 0;
		if (n > 0)
			file->len += (size_t)n;
		else if (errno != EINTR)
			return -errno;
		if (file->len > max)
			return -EFBIG;
		if (file->len == size) {
			size *= 2;
			result = grow(file, size);
		}
	}
	return result;
}

int cv_file_read_fd(int fd, size_t max, struct cv_file *ret_file)
{
	struct cv_file file = { 0 };
	size_t size = FIRST_SIZE;
	struct stat status;
	int result;

	if (fstat(fd, &status) < 0)
		return -errno;
	result = check_kind(fd, &status);
	if (result)
		return result;
	file.world_readable = S_ISREG(status.st_mode) && (status.st_mode & S_IROTH);
	if (S_ISREG(status.st_mode) && status.st_size > 0 && (size_t)status.st_size < max)
		size = (size_t)status.st_size + 1; /* and the end of file is seen at once */
	result = read_all(fd, max, size, &file);
	if (result)
		cv_file_done(&file);
	else
		*ret_file = file;
	return result;
}

int cv_file_read(const char *path, size_t max, struct cv_file *ret_file)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), result;

	if (fd < 0)
		return -errno;
	result = cv_file_read_fd(fd, max, ret_file);
	close(fd);
	return result;
}

int cv_file_to_key(const struct cv_file *file, struct cv_key *ret_key)
{
	size_t len = file->len;

	while (len > 0 && isspace((unsigned char)file->text[len - 1]))
		len--;
	return cv_key_from_base64(file->text, len, ret_key);
}

void cv_file_done(struct cv_file *file)
{
	if (file->text)
		cv_wipe(file->text, file->len);
	free(file->text);
	*file = (struct cv_file){ 0 };
}
