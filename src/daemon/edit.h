/* A config file that is being changed, and by nobody else meanwhile. */
#pragma once

#include <limits.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "internal.h"

struct cv_edit {
	char path[PATH_MAX]; /* real: without symbolic links */
	char name[IFNAMSIZ]; /* of the tunnel */
	int folder;          /* locked; -1: only looked at */
	struct stat status;
	struct cv_file file;
	struct cv_config config;
};

/**
 * cv_edit_begin() - find a tunnel's file, lock it when it is to be changed, read it
 * @argument:	FILE or NAME, or NULL for the only tunnel that there is
 *
 * Return: 0, or -errno after the reason was said.
 */
int cv_edit_begin(const char *argument, bool to_change, struct cv_edit *ret_edit);
/* Replace the file by these pieces, at once or not at all. Return: 0, or -errno after the reason
 * was said. */
int cv_edit_commit(const struct cv_edit *edit, const struct iovec *pieces, size_t n);
/* Unlock, wipe and free. */
void cv_edit_done(struct cv_edit *edit);
