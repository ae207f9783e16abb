/* Static keys and what is computed from them once: ours, and a peer's as we see it. */
#include <string.h>

#include <convoy/crypto/dh.h>
#include <convoy/crypto/hash.h>
#include <convoy/crypto/secret.h>
#include <convoy/noise/handshake.h>

/* H(label ‖ public key), labels of 8 bytes; white paper, section 5.4.4 and 5.4.7. */
static void label_key(const char label[8], const uint8_t public_key[CV_NOISE_KEY_SIZE],
		      uint8_t ret_key[CV_NOISE_KEY_SIZE])
{
	const struct cv_piece pieces[] = { { label, 8 }, { public_key, CV_NOISE_KEY_SIZE } };

	cv_hash(pieces, 2, ret_key);
}

static void mac_keys(const uint8_t public_key[CV_NOISE_KEY_SIZE],
		     uint8_t ret_mac1_key[CV_NOISE_KEY_SIZE],
		     uint8_t ret_cookie_key[CV_NOISE_KEY_SIZE])
{
	label_key("mac1----", public_key, ret_mac1_key);
	label_key("cookie--", public_key, ret_cookie_key);
}

void cv_identity_init(struct cv_identity *self, const uint8_t private_key[CV_NOISE_KEY_SIZE])
{
	cv_wipe(self, sizeof(*self));
	if (cv_secret_is_zero(private_key, CV_NOISE_KEY_SIZE))
		return;
	self->has_key = true;
	memcpy(self->private_key, private_key, CV_NOISE_KEY_SIZE);
	cv_dh_clamp(self->private_key);
	cv_dh_public(self->private_key, self->public_key);
	mac_keys(self->public_key, self->mac1_key, self->cookie_key);
}

void cv_handshake_init(struct cv_handshake *handshake, const struct cv_identity *self,
		       const uint8_t remote_static[CV_NOISE_KEY_SIZE])
{
	memset(handshake, 0, sizeof(*handshake));
	memcpy(handshake->remote_static, remote_static, CV_NOISE_KEY_SIZE);
	mac_keys(remote_static, handshake->remote_mac1_key, handshake->remote_cookie_key);
	cv_handshake_rekey_identity(handshake, self);
}

void cv_handshake_set_psk(struct cv_handshake *handshake,
			  const uint8_t preshared[CV_NOISE_KEY_SIZE])
{
	memcpy(handshake->preshared, preshared, CV_NOISE_KEY_SIZE);
}

void cv_handshake_rekey_identity(struct cv_handshake *handshake, const struct cv_identity *self)
{
	cv_handshake_clear(handshake);
	cv_wipe(handshake->static_static, sizeof(handshake->static_static));
	handshake->has_static_static =
		self->has_key &&
		cv_dh(self->private_key, handshake->remote_static, handshake->static_static) == 0;
}

void cv_handshake_clear(struct cv_handshake *handshake)
{
	cv_wipe(&handshake->under_way, sizeof(handshake->under_way));
}
