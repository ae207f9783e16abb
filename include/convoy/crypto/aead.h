/* AEADs in bursts: arrays of jobs of several suites, worked on by exchangeable providers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/time.h>

enum {
	CV_AEAD_KEY_SIZE = 32,
	CV_AEAD_TAG_SIZE = 16, /* of WireGuard's own suite */
	CV_AEAD_TAG_MAX = 32,
	CV_AEAD_HEADER_SIZE = 16,
	CV_AEAD_SCHEDULE_SIZE = 1024,
};

/* The numbers stand on the wire. */
enum cv_suite {
	CV_SUITE_CHACHA20_POLY1305 = 0, /* RFC 8439: WireGuard's own */
	CV_SUITE_AES256_GCM = 1,        /* NIST SP 800-38D */
	CV_SUITE_AEGIS_128L = 2,        /* draft-irtf-cfrg-aegis-aead, as the next one */
	CV_SUITE_AEGIS_256 = 3,
	CV_SUITES,
};

/* Bytes of the tag behind a message's text. */
static inline uint32_t cv_suite_tag_size(enum cv_suite suite)
{
	return suite >= CV_SUITE_AEGIS_128L ? CV_AEAD_TAG_MAX : CV_AEAD_TAG_SIZE;
}

/* "ChaCha20-Poly1305", "AES-256-GCM", "AEGIS-128L", "AEGIS-256". */
const char *cv_suite_name(enum cv_suite suite);
/* Return: 0, or -ENOENT when no suite has this very name. */
int cv_suite_by_name(const char *name, enum cv_suite *ret_suite);

/* A transport key. Lives in locked memory inside its keypair; wiped by who holds the keypair. */
struct cv_aead_key {
	uint8_t key[CV_AEAD_KEY_SIZE];
	enum cv_suite suite; /* other than ChaCha20-Poly1305: this is the key of a cv_suite_key */
};

/*
 * A transport key of any suite, with what its provider works out beforehand. Made by
 * cv_aead_key_prepare(); wiped whole by who holds it, as a vault does with what comes back.
 */
struct cv_suite_key {
	struct cv_aead_key key;
	_Alignas(64) uint8_t schedule[CV_AEAD_SCHEDULE_SIZE];
};

/*
 * One message, worked on in place: `len` bytes of text at `text`, the tag behind them.
 * Nonce = zero bytes (4; AEGIS-128L 8, AEGIS-256 24), then the counter in little endian (white
 * paper, section 5.4.6). AEGIS-128L has the first half of the key.
 * ChaCha20-Poly1305 has no additional data, as WireGuard's data messages have none; every other
 * suite has the CV_AEAD_HEADER_SIZE bytes directly before `text`: the message's header.
 */
struct cv_aead_job {
	const struct cv_aead_key *key; /* for other suites &suite_key->key */
	uint64_t counter;
	uint8_t *text;
	uint32_t len; /* plaintext bytes; seal writes, open reads the tag behind */
	bool ok;      /* open: set to whether the tag verified */
};

/* A provider of one suite, one const struct each. `self` is what `new` made, one per thread. */
struct cv_aead_provider {
	const char *name;            /* "libsodium" */
	int (*new)(void **ret_self); /* -ENOSYS: this CPU or library cannot */
	void (*free)(void *self);
	/* Work out what a key needs, CV_AEAD_SCHEDULE_SIZE bytes at most; NULL: nothing. */
	void (*prepare)(void *self, const uint8_t key[CV_AEAD_KEY_SIZE], void *ret_schedule);
	void (*seal)(void *self, struct cv_aead_job *jobs, size_t n);
	void (*open)(void *self, struct cv_aead_job *jobs, size_t n);
};

/* Messages are of two classes, as what is best for one may not be for the other. */
enum cv_aead_class {
	CV_AEAD_SMALL,
	CV_AEAD_LARGE,
	CV_AEAD_CLASSES,
};

enum { CV_AEAD_SMALL_MAX = 512 }; /* bytes of text of the largest small message. Not tuned. */

/*
 * Who does which class of which suite, for all threads of a device. A key has room for one
 * schedule: of the two providers of a suite at most one needs one, or they are the same.
 */
struct cv_aead_choice {
	/* NULL, for both classes: this machine does not have the suite. */
	const struct cv_aead_provider *provider[CV_SUITES][CV_AEAD_CLASSES];
	/* To seal and open a message of 1420 bytes; 0: this machine does not have the suite. */
	uint32_t cost_ns[CV_SUITES];
};

/**
 * cv_aead_choose() - find the fastest provider for each class of each suite, by measuring
 * @name:	the one provider to take, by name, or NULL for all there are
 * @clock:	monotonic, ns
 *
 * Takes a few milliseconds a provider and suite: messages of 64 and of 1420 bytes, sealed and
 * opened. A named provider that lacks a suite leaves the machine without it; all of them have
 * ChaCha20-Poly1305.
 *
 * Return: 0; -ENOENT when there is no provider of this name; what its `new` says; -ENOMEM.
 */
int cv_aead_choose(const char *name, cv_time (*clock)(void), struct cv_aead_choice *ret_choice);

/* Who does one class of one suite in one thread. */
struct cv_aead_lane {
	const struct cv_aead_provider *provider;
	void *self;
};

/* The AEADs of one thread: never shared between threads. */
struct cv_aead {
	struct cv_aead_lane lanes[CV_SUITES][CV_AEAD_CLASSES];
};

/* Make this thread's AEADs. choice NULL: libsodium's ChaCha20-Poly1305 and OpenSSL's AES-256-GCM,
 * which are always there. Return: 0 or -errno. */
int cv_aead_init(struct cv_aead *aead, const struct cv_aead_choice *choice);
void cv_aead_done(struct cv_aead *aead);

/**
 * cv_aead_key_prepare() - make a key of a suite
 * @aead:	of the calling thread
 * @key:	CV_AEAD_KEY_SIZE bytes
 *
 * The key may be used with any cv_aead of the same choice, by several threads at once.
 *
 * Return: 0, or -ENOTSUP when this machine does not have the suite.
 */
int cv_aead_key_prepare(const struct cv_aead *aead, enum cv_suite suite,
			const uint8_t key[CV_AEAD_KEY_SIZE], struct cv_suite_key *ret_key);

/* Names of the providers of this build, best first, NULL-terminated. */
const char *const *cv_aead_names(void);

/**
 * cv_aead_seal() - encrypt n messages in place and write their tags
 *
 * Never fails: keys and lengths are the caller's promise. Jobs may carry different keys, and keys
 * of different suites.
 */
void cv_aead_seal(struct cv_aead *aead, struct cv_aead_job *jobs, size_t n);

/**
 * cv_aead_open() - verify and decrypt n messages in place; job->ok tells each one's fate
 *
 * The text of a message that is not ok is undefined and must not be used.
 */
void cv_aead_open(struct cv_aead *aead, struct cv_aead_job *jobs, size_t n);
