/*
 * Whether root alone can have written a file.
 *
 * Hooks run as root, so whoever can change the file is root. That is its owner, everybody when it
 * may be written by others, and whoever may rename things in one of the folders on the way to it.
 * A sticky folder such as /tmp is none of these for what root put into it, but the folder of the
 * file itself may not be one: a name in there is too easily taken by somebody else first.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

/* Return: 0, or -EPERM after the remedy was logged. */
static int check(const char *tunnel, const char *what, const char *path, bool may_be_sticky)
{
	struct stat status;
	int r;

	if (stat(path, &status) < 0) {
		r = -errno;
		cv_log_err("%s: cannot look at %s: %s", tunnel, path, strerror(-r));
		return r;
	}
	if (status.st_uid != 0) {
		cv_log_err("%s: the commands of %s may not run: %s belongs to user %u; run "
			   "chown root %s",
			   tunnel, what, path, status.st_uid, path);
		return -EPERM;
	}
	if (status.st_mode & (S_IWGRP | S_IWOTH) && !(may_be_sticky && status.st_mode & S_ISVTX)) {
		cv_log_err("%s: the commands of %s may not run: others than root may write to %s; "
			   "run chmod go-w %s",
			   tunnel, what, path, path);
		return -EPERM;
	}
	return 0;
}

int cv_trust_file(const char *tunnel, const char *path)
{
	char real[PATH_MAX], *slash;
	int r;

	if (!realpath(path, real)) {
		r = -errno;
		cv_log_err("%s: cannot look at %s: %s", tunnel, path, strerror(-r));
		return r;
	}
	r = check(tunnel, path, real, false);
	for (int depth = 0; r == 0 && (slash = strrchr(real, '/')) && real[1]; depth++) {
		slash[slash == real] = '\0'; /* "/" stays */
		r = check(tunnel, path, real, depth > 0);
	}
	return r;
}
