/* X25519 from libsodium. */
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include <convoy/crypto/dh.h>
#include <convoy/crypto/secret.h>

void cv_dh_clamp(uint8_t private_key[CV_DH_SIZE])
{
	private_key[0] &= 248;
	private_key[31] = (private_key[31] & 127) | 64;
}

void cv_dh_public(const uint8_t private_key[CV_DH_SIZE], uint8_t ret_public_key[CV_DH_SIZE])
{
	crypto_scalarmult_base(ret_public_key, private_key);
}

int cv_dh(const uint8_t private_key[CV_DH_SIZE], const uint8_t public_key[CV_DH_SIZE],
	  uint8_t ret_shared[CV_DH_SIZE])
{
	uint8_t shared[CV_DH_SIZE];
	int failed = crypto_scalarmult(shared, private_key, public_key);

	if (failed || cv_secret_is_zero(shared, sizeof(shared))) {
		cv_wipe(shared, sizeof(shared));
		return -EINVAL;
	}
	memcpy(ret_shared, shared, sizeof(shared));
	cv_wipe(shared, sizeof(shared));
	return 0;
}
