/* Two whole devices in one process and one namespace of their own, turned by the test. */
#pragma once

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* cmocka.h needs what stands above it. */
#include <cmocka.h>

#include <convoy/config/config.h>
#include <convoy/crypto/init.h>
#include <convoy/device/change.h>
#include <convoy/device/show.h>

#include "device/internal.h"

enum {
	GIVE_UP_S = 20, /* a test that waits so long has failed */
	LOOK_AGAIN_NS = 1000000,
};

struct side {
	struct cv_key private_key, public_key;
	struct cv_config config;
	struct cv_device *device;
};

struct pair {
	struct cv_loop *loop;
	struct side near, far;
};

/* The private key of 32 equal bytes, and its public one. */
static inline struct cv_key private_key(uint8_t byte)
{
	struct cv_key key;

	memset(key.b, byte, sizeof(key.b));
	return key;
}

static inline struct cv_key public_key(uint8_t byte)
{
	struct cv_key private = private_key(byte), key;

	cv_key_public(&private, &key);
	return key;
}

static inline struct cv_config config_of(const char *name, const char *text)
{
	struct cv_config_errors errors;
	struct cv_config config;

	assert_int_equal(cv_config_parse(text, strlen(text), &config, &errors), 0);
	cv_config_errors_free(&errors);
	snprintf(config.name, sizeof(config.name), "%s", name);
	return config;
}

static inline void side_open(struct side *side, struct cv_loop *loop, const char *name,
			     const char *text)
{
	static const struct cv_device_options options = { .tun_fd = -1 };

	side->config = config_of(name, text);
	side->config.workers = 2;
	assert_int_equal(cv_device_new(&side->config, &options, loop, &side->device), 0);
}

static inline void side_close(struct side *side)
{
	cv_device_free(side->device);
	cv_config_free(&side->config);
}

static inline void set_link(const char *name, bool up)
{
	struct ifreq ifr = { .ifr_flags = up ? IFF_UP : 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

/* The near side has key 1 and port 1001 and knows where the far side is: key 2, port 1002. No
 * handshake is made before somebody asks for one. */
static inline int pair_open(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	struct cv_key one = private_key(1), two = private_key(2);
	struct cv_key one_public = public_key(1), two_public = public_key(2);
	char text[1024], key[2][CV_KEY_BASE64_LEN + 1];

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	set_link("lo", true);
	assert_int_equal(cv_loop_new(CV_LOOP_AUTO, &pair->loop), 0);
	snprintf(text, sizeof(text),
		 "[Interface]\nPrivateKey = %s\nListenPort = 1001\nTable = off\n[Peer]\n"
		 "PublicKey = %s\nEndpoint = 127.0.0.1:1002\nAllowedIPs = 10.0.0.2/32\n",
		 cv_key_to_base64(&one, key[0]), cv_key_to_base64(&two_public, key[1]));
	side_open(&pair->near, pair->loop, "cvt0", text);
	snprintf(text, sizeof(text),
		 "[Interface]\nPrivateKey = %s\nListenPort = 1002\nTable = off\n[Peer]\n"
		 "PublicKey = %s\nAllowedIPs = 10.0.0.1/32\n",
		 cv_key_to_base64(&two, key[0]), cv_key_to_base64(&one_public, key[1]));
	side_open(&pair->far, pair->loop, "cvt1", text);
	*state = pair;
	return 0;
}

static inline int pair_close(void **state)
{
	struct pair *pair = *state;

	side_close(&pair->near);
	side_close(&pair->far);
	cv_loop_free(pair->loop);
	free(pair);
	return 0;
}

/* Does not wait long: what a worker counts wakes nobody. */
static inline void pair_turn(struct pair *pair, cv_time give_up)
{
	cv_time now = cv_clock_now();

	assert_true(now < give_up);
	cv_loop_turn(pair->loop, now + LOOK_AGAIN_NS, NULL, NULL);
	cv_device_turn(pair->near.device, cv_clock_now());
	cv_device_turn(pair->far.device, cv_clock_now());
}

/* Turn both until something is so. */
#define UNTIL(pair, what)                                                    \
	do {                                                                 \
		cv_time give_up_ = cv_clock_now() + GIVE_UP_S * CV_NS_PER_S; \
                                                                             \
		while (!(what))                                              \
			pair_turn(pair, give_up_);                           \
	} while (0)

/* What a device tells of the peer with this key; all zero when there is none. */
static inline struct cv_peer_show show_peer(const struct cv_device *device, struct cv_key key)
{
	struct cv_peer_cursor cursor = { 0 };
	struct cv_peer_show show;

	while (cv_device_next_peer(device, &cursor, true, &show))
		if (memcmp(&show.public_key, &key, sizeof(key)) == 0)
			return show;
	return (struct cv_peer_show){ 0 };
}

static inline struct cv_device_show show(const struct cv_device *device)
{
	struct cv_device_show show;

	cv_device_show(device, true, &show);
	return show;
}

struct counter {
	const char *name;
	uint64_t value;
};

static inline void find_counter(void *arg, const char *name, uint64_t value)
{
	struct counter *wanted = arg;

	if (strcmp(wanted->name, name) == 0)
		wanted->value = value;
}

static inline uint64_t count_of(struct cv_device *device, const char *name)
{
	struct counter wanted = { .name = name };

	cv_device_stats(device, find_counter, &wanted);
	return wanted.value;
}

static inline int change(struct cv_device *device, struct cv_peer_change change)
{
	return cv_device_change_peer(device, &change, cv_clock_now());
}

/* Near asks for a session and gets it; far knows that it has one when near's first data came. */
static inline void pair_connect(struct pair *pair)
{
	assert_int_equal(
		change(pair->near.device, (struct cv_peer_change){ .public_key = public_key(2),
								   .set_keepalive = true,
								   .keepalive_s = 25,
								   .set_extension = true,
								   .extension_off = true }),
		0);
	UNTIL(pair, show_peer(pair->near.device, public_key(2)).has_session &&
			    show_peer(pair->far.device, public_key(1)).has_session);
}
