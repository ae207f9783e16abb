/*
 * mac1, mac2 and cookies: white paper, section 5.4.4 and 5.4.7.
 *
 * mac1 proves that the sender knows our public key; without it we are silent. mac2 proves that he
 * receives what is sent to his address: its key is a cookie, a MAC over that address under a
 * secret only we know, sent to him when a message without it comes in under load. We store nothing
 * for him; the secret is replaced every two minutes, and with it all cookies.
 *
 *   handshake message   | ................... | mac1 | mac2 |
 *   mac1 covers           ^------------------^
 *   mac2 covers           ^-------------------------^
 *
 * As a sender we believe a cookie reply only as the answer to a mac1 that we sent, and only once:
 * the reply is authenticated with that mac1 as additional data.
 */
#include <errno.h>
#include <string.h>

#include <convoy/base/wire.h>
#include <convoy/crypto/box.h>
#include <convoy/crypto/hash.h>
#include <convoy/crypto/secret.h>
#include <convoy/noise/cookie.h>

static const struct cv_message_macs *macs_of(const void *message, size_t len)
{
	return (const void *)((const uint8_t *)message + len - sizeof(struct cv_message_macs));
}

static void mac1_of(const uint8_t key[32], const void *message, size_t len, uint8_t ret_mac[16])
{
	const struct cv_piece piece = { message, len - sizeof(struct cv_message_macs) };

	cv_mac(key, 32, &piece, 1, ret_mac);
}

static void mac2_of(const uint8_t cookie[16], const void *message, size_t len, uint8_t ret_mac[16])
{
	const struct cv_piece piece = { message, len - sizeof(macs_of(message, len)->mac2) };

	cv_mac(cookie, 16, &piece, 1, ret_mac);
}

void cv_cookie_stamp(struct cv_handshake *handshake, void *message, size_t len, cv_time now)
{
	struct cv_message_macs *macs = (void *)((uint8_t *)message + len - sizeof(*macs));
	struct cv_cookie_jar *jar = &handshake->jar;

	mac1_of(handshake->remote_mac1_key, message, len, macs->mac1);
	memcpy(jar->last_mac1, macs->mac1, sizeof(jar->last_mac1));
	jar->mac1_unanswered = true;
	if (jar->has_cookie && now - jar->birth < CV_COOKIE_AGE_S * CV_NS_PER_S)
		mac2_of(jar->cookie, message, len, macs->mac2);
	else
		memset(macs->mac2, 0, sizeof(macs->mac2));
}

int cv_cookie_consume_reply(struct cv_handshake *handshake, const struct cv_message_cookie *message,
			    cv_time now)
{
	struct cv_cookie_jar *jar = &handshake->jar;
	uint8_t cookie[sizeof(jar->cookie)];

	if (!jar->mac1_unanswered)
		return -EPROTO;
	if (cv_xbox_open(handshake->remote_cookie_key, message->nonce, jar->last_mac1,
			 sizeof(jar->last_mac1), message->encrypted_cookie,
			 sizeof(message->encrypted_cookie), cookie))
		return -EBADMSG;
	memcpy(jar->cookie, cookie, sizeof(cookie));
	jar->birth = now;
	jar->has_cookie = true;
	jar->mac1_unanswered = false;
	cv_wipe(cookie, sizeof(cookie));
	return 0;
}

bool cv_cookie_mac1_ok(const struct cv_identity *self, const void *message, size_t len)
{
	uint8_t mac1[16];

	if (!self->has_key)
		return false;
	mac1_of(self->mac1_key, message, len, mac1);
	return cv_secret_equal(mac1, macs_of(message, len)->mac1, sizeof(mac1));
}

bool cv_cookie_secret_is_stale(const struct cv_cookie_checker *checker, cv_time now)
{
	return !checker->has_secret || now - checker->birth >= CV_COOKIE_SECRET_AGE_S * CV_NS_PER_S;
}

void cv_cookie_set_secret(struct cv_cookie_checker *checker, const uint8_t random[32], cv_time now)
{
	memcpy(checker->secret, random, sizeof(checker->secret));
	checker->birth = now;
	checker->has_secret = true;
}

/* MAC(secret, address ‖ port), the port in network order. */
static void make_cookie(const struct cv_cookie_checker *checker, const struct cv_endpoint *source,
			uint8_t ret_cookie[16])
{
	const cv_be16 port = cv_be16_of(source->port);
	const struct cv_piece pieces[] = {
		{ source->addr.b, cv_addr_size(source->addr.family) },
		{ &port, sizeof(port) },
	};

	cv_mac(checker->secret, sizeof(checker->secret), pieces, 2, ret_cookie);
}

bool cv_cookie_has_mac2(const void *message, size_t len)
{
	static const uint8_t none[16];

	return memcmp(macs_of(message, len)->mac2, none, sizeof(none)) != 0;
}

bool cv_cookie_mac2_ok(const struct cv_cookie_checker *checker, const void *message, size_t len,
		       const struct cv_endpoint *source)
{
	uint8_t cookie[16], mac2[16];
	bool ok;

	if (!checker->has_secret)
		return false;
	make_cookie(checker, source, cookie);
	mac2_of(cookie, message, len, mac2);
	ok = cv_secret_equal(mac2, macs_of(message, len)->mac2, sizeof(mac2));
	cv_wipe(cookie, sizeof(cookie));
	return ok;
}

void cv_cookie_create_reply(const struct cv_cookie_checker *checker, const struct cv_identity *self,
			    const void *message, size_t len, const struct cv_endpoint *source,
			    const uint8_t nonce[24], struct cv_message_cookie *ret_reply)
{
	const struct {
		cv_le32 type;
		cv_le32 sender_index;
	} *head = message; /* as messages 1 and 2 both begin */
	uint8_t cookie[16];

	make_cookie(checker, source, cookie);
	ret_reply->type = cv_le32_of(CV_MESSAGE_COOKIE);
	ret_reply->receiver_index = head->sender_index;
	memcpy(ret_reply->nonce, nonce, sizeof(ret_reply->nonce));
	cv_xbox_seal(self->cookie_key, nonce, macs_of(message, len)->mac1, 16, cookie,
		     sizeof(cookie), ret_reply->encrypted_cookie);
	cv_wipe(cookie, sizeof(cookie));
}
