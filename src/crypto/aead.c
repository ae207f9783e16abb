/*
 * The registry of AEAD providers.
 *
 * A provider is one const struct; the table lists those of this build, best first. A worker takes
 * one for life, so the indirect call is per burst and not per packet.
 */
#include <errno.h>
#include <string.h>

#include <convoy/crypto/aead.h>

#include "internal.h"

static const struct cv_aead_provider *const providers[] = {
	&cv_aead_sodium,
};

/* The same, by name. */
static const char *const names[] = {
	"libsodium",
	NULL,
};

enum { PROVIDERS = sizeof(providers) / sizeof(providers[0]) };

_Static_assert(sizeof(names) / sizeof(names[0]) == PROVIDERS + 1, "one name a provider");

int cv_aead_init(struct cv_aead *aead, const char *name)
{
	size_t i;

	for (i = 0; i < PROVIDERS; i++) {
		void *self = NULL;
		int error;

		if (name && strcmp(name, names[i]) != 0)
			continue;
		error = providers[i]->new (&self);
		if (error)
			return error;
		*aead = (struct cv_aead){ .provider = providers[i], .self = self };
		return 0;
	}
	return -ENOENT;
}

void cv_aead_done(struct cv_aead *aead)
{
	if (aead->provider)
		aead->provider->free(aead->self);
	*aead = (struct cv_aead){ 0 };
}

const char *const *cv_aead_names(void)
{
	return names;
}
