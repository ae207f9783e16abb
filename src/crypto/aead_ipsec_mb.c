/*
 * AEAD by intel-ipsec-mb: jobs through the multi-buffer manager of the thread.
 *
 * The library picks its code for the CPU when the manager is made (SSE to AVX-512). It does not
 * verify tags: on open it computes the one that should be there, and we compare in constant time
 * before anybody may look at the text.
 */
#include <errno.h>
#include <stdlib.h>

#include <intel-ipsec-mb.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/aead.h>
#include <convoy/crypto/secret.h>

#include "internal.h"

/* Messages submitted before their tags are looked at. The manager itself holds up to 256. */
enum { DEPTH = 32 };

struct manager {
	IMB_MGR *mgr;
	struct cv_aead_nonce nonces[DEPTH];
	uint8_t tags[DEPTH][CV_AEAD_TAG_SIZE];
};

static void ipsec_mb_free(void *self)
{
	struct manager *manager = self;

	free_mb_mgr(manager->mgr);
	free(manager);
}

static int ipsec_mb_new(void **ret_self)
{
	struct manager *manager = calloc(1, sizeof(*manager));
	IMB_ARCH arch = IMB_ARCH_NONE;

	if (!manager)
		return -ENOMEM;
	manager->mgr = alloc_mb_mgr(0);
	if (!manager->mgr) {
		free(manager);
		return -ENOMEM;
	}
	init_mb_mgr_auto(manager->mgr, &arch);
	if (imb_get_errno(manager->mgr) || arch == IMB_ARCH_NONE) {
		ipsec_mb_free(manager);
		return -ENOSYS;
	}
	*ret_self = manager;
	return 0;
}

/* `tag` is where the library writes the tag that it computes, on open too. */
static void job_fill(IMB_JOB *imb, const struct cv_aead_job *job, struct cv_aead_nonce *nonce,
		     uint8_t *tag, bool seal)
{
	nonce->counter = cv_le64_of(job->counter);
	imb->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	imb->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	imb->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	imb->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	imb->enc_keys = job->key->key;
	imb->dec_keys = job->key->key;
	imb->key_len_in_bytes = CV_AEAD_KEY_SIZE;
	imb->iv = (const uint8_t *)nonce;
	imb->iv_len_in_bytes = sizeof(*nonce);
	imb->u.CHACHA20_POLY1305.aad = nonce; /* not read, but must not be NULL */
	imb->u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
	imb->src = job->text;
	imb->dst = job->text;
	imb->cipher_start_src_offset_in_bytes = 0;
	imb->hash_start_src_offset_in_bytes = 0;
	imb->msg_len_to_cipher_in_bytes = job->len;
	imb->msg_len_to_hash_in_bytes = job->len;
	imb->auth_tag_output = tag;
	imb->auth_tag_output_len_in_bytes = CV_AEAD_TAG_SIZE;
}

/* At most DEPTH jobs, all done on return. */
static void run(struct manager *manager, struct cv_aead_job *jobs, size_t n, bool seal)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t *tag = seal ? jobs[i].text + jobs[i].len : manager->tags[i];

		job_fill(IMB_GET_NEXT_JOB(manager->mgr), &jobs[i], &manager->nonces[i], tag, seal);
		IMB_SUBMIT_JOB_NOCHECK(manager->mgr);
	}
	while (IMB_FLUSH_JOB(manager->mgr))
		;
}

static void ipsec_mb_seal(void *self, struct cv_aead_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i += DEPTH)
		run(self, jobs + i, n - i < DEPTH ? n - i : DEPTH, true);
}

static void ipsec_mb_open(void *self, struct cv_aead_job *jobs, size_t n)
{
	struct manager *manager = self;

	for (size_t i = 0; i < n; i += DEPTH) {
		size_t some = n - i < DEPTH ? n - i : DEPTH;

		run(manager, jobs + i, some, false);
		for (size_t j = 0; j < some; j++)
			jobs[i + j].ok = cv_secret_equal(manager->tags[j],
							 jobs[i + j].text + jobs[i + j].len,
							 CV_AEAD_TAG_SIZE);
	}
}

const struct cv_aead_provider cv_aead_ipsec_mb = {
	.name = "ipsec-mb",
	.new = ipsec_mb_new,
	.free = ipsec_mb_free,
	.seal = ipsec_mb_seal,
	.open = ipsec_mb_open,
};
