/* What the files of crypto share. */
#pragma once

#include <convoy/crypto/aead.h>

/* Fetch the algorithms of hash.c. Return: 0 or -ENOSYS. */
int cv_hash_init(void);

extern const struct cv_aead_provider cv_aead_sodium;
