/* Handshake AEADs from libsodium. */
#include <errno.h>

#include <sodium.h>

#include <convoy/crypto/box.h>

static const uint8_t nonce_zero[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

void cv_box_seal(const uint8_t key[CV_BOX_KEY_SIZE], const void *ad, size_t ad_len,
		 const void *text, size_t len, uint8_t *ret_box)
{
	crypto_aead_chacha20poly1305_ietf_encrypt(ret_box, NULL, text, len, ad, ad_len, NULL,
						  nonce_zero, key);
}

int cv_box_open(const uint8_t key[CV_BOX_KEY_SIZE], const void *ad, size_t ad_len,
		const uint8_t *box, size_t box_len, void *ret_text)
{
	if (crypto_aead_chacha20poly1305_ietf_decrypt(ret_text, NULL, NULL, box, box_len, ad,
						      ad_len, nonce_zero, key))
		return -EBADMSG;
	return 0;
}

void cv_xbox_seal(const uint8_t key[CV_BOX_KEY_SIZE], const uint8_t nonce[CV_XBOX_NONCE_SIZE],
		  const void *ad, size_t ad_len, const void *text, size_t len, uint8_t *ret_box)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(ret_box, NULL, text, len, ad, ad_len, NULL,
						   nonce, key);
}

int cv_xbox_open(const uint8_t key[CV_BOX_KEY_SIZE], const uint8_t nonce[CV_XBOX_NONCE_SIZE],
		 const void *ad, size_t ad_len, const uint8_t *box, size_t box_len, void *ret_text)
{
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(ret_text, NULL, NULL, box, box_len, ad,
						       ad_len, nonce, key))
		return -EBADMSG;
	return 0;
}
