/* Suites by name. */
#include <errno.h>
#include <string.h>

#include <convoy/crypto/aead.h>

static const char *const names[CV_SUITES] = {
	[CV_SUITE_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
	[CV_SUITE_AES256_GCM] = "AES-256-GCM",
	[CV_SUITE_AEGIS_128L] = "AEGIS-128L",
	[CV_SUITE_AEGIS_256] = "AEGIS-256",
};

const char *cv_suite_name(enum cv_suite suite)
{
	return names[suite];
}

int cv_suite_by_name(const char *name, enum cv_suite *ret_suite)
{
	for (int suite = 0; suite < CV_SUITES; suite++) {
		if (strcmp(name, names[suite]) == 0) {
			*ret_suite = (enum cv_suite)suite;
			return 0;
		}
	}
	return -ENOENT;
}
