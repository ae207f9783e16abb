/* The leases of a tunnel's Pool on the disk, as text: /var/lib/convoy/NAME.leases. */
#pragma once

#include <stddef.h>

#define CV_LEASE_DIR "/var/lib/convoy"

/* Return: 0 with text to be freed; -ENOENT there is none yet; or another -errno. */
int cv_lease_file_read(const char *name, char **ret_text, size_t *ret_len);
/* Replace the file, all or nothing. Return: 0 when it is on the disk for good, or -errno. */
int cv_lease_file_write(const char *name, const char *text, size_t len);
