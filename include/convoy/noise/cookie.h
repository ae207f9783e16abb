/* mac1, mac2 and cookies: proof of knowing whom one talks to, and, under load, of being there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <convoy/base/addr.h>
#include <convoy/base/time.h>
#include <convoy/noise/handshake.h>
#include <convoy/noise/message.h>

/* White paper, section 5.4.7; the kernel stops using a cookie 5 s before its secret rotates. */
enum {
	CV_COOKIE_SECRET_AGE_S = 120,
	CV_COOKIE_AGE_S = 115,
};

/* The secret from which cookies are made. One a device, in locked memory. All zero at first. */
struct cv_cookie_checker {
	bool has_secret;
	cv_time birth;
	uint8_t secret[32];
};

/**
 * cv_cookie_stamp() - write mac1 and mac2 of a handshake message about to be sent
 * @message, @len:	a message 1 or 2 to the peer of handshake
 *
 * mac2 is zero unless a fresh cookie is at hand. The mac1 is remembered: one cookie reply may
 * answer it.
 * Source: white paper, section 5.4.4.
 */
void cv_cookie_stamp(struct cv_handshake *handshake, void *message, size_t len, cv_time now);

/**
 * cv_cookie_consume_reply() - take the cookie out of message 3
 * @handshake:	the one that owns message->receiver_index, as handshake or as keypair
 *
 * Nothing is to be sent: the next handshake message will carry a mac2.
 *
 * Return: 0; -EPROTO when we sent no mac1 that waits for an answer (HANDSHAKE_INDEX); -EBADMSG
 * when it does not decrypt (HANDSHAKE_INVALID).
 */
int cv_cookie_consume_reply(struct cv_handshake *handshake, const struct cv_message_cookie *message,
			    cv_time now);

/* Whether mac1 of a message 1 or 2 of len bytes is right: its sender knows our public key. Check it
 * before anything else. Constant time. */
bool cv_cookie_mac1_ok(const struct cv_identity *self, const void *message, size_t len);

/* Whether the secret is missing or 120 s old. Ask before the two functions below. */
bool cv_cookie_secret_is_stale(const struct cv_cookie_checker *checker, cv_time now);
/* Replace the secret by 32 random bytes. Cookies given out before are worth nothing now. */
void cv_cookie_set_secret(struct cv_cookie_checker *checker, const uint8_t random[32], cv_time now);

/* Whether a message 1 or 2 of len bytes has a mac2, right or wrong. */
bool cv_cookie_has_mac2(const void *message, size_t len);
/* Whether mac2 of a message 1 or 2 was made with the cookie that we gave to `source` (address and
 * port). Never without a secret. Constant time. */
bool cv_cookie_mac2_ok(const struct cv_cookie_checker *checker, const void *message, size_t len,
		       const struct cv_endpoint *source);

/**
 * cv_cookie_create_reply() - write message 3 for a message 1 or 2 without a good mac2
 * @message, @len:	the message that is answered; its mac1 is right
 * @source:		where it came from and where the reply goes
 * @nonce:		24 random bytes
 *
 * Source: white paper, section 5.4.7.
 */
void cv_cookie_create_reply(const struct cv_cookie_checker *checker, const struct cv_identity *self,
			    const void *message, size_t len, const struct cv_endpoint *source,
			    const uint8_t nonce[24], struct cv_message_cookie *ret_reply);
