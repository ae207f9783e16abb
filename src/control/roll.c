/*
 * The roll of peers, as both answers of GET tell it: what the device says of each, its name from
 * the config, and its allowed-IPs in an order that does not change from one answer to the next.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static int compare_keys(const void *a, const void *b)
{
	const struct cv_config_peer *const *left = a, *const *right = b;

	return memcmp((*left)->public_key.b, (*right)->public_key.b, CV_KEY_SIZE);
}

static int compare_prefixes(const void *a, const void *b)
{
	const struct cv_prefix *left = a, *right = b;
	int by_address;

	if (left->addr.family != right->addr.family)
		return left->addr.family < right->addr.family ? -1 : 1;
	by_address = memcmp(left->addr.b, right->addr.b, sizeof(left->addr.b));
	return by_address ? by_address : (int)left->bits - (int)right->bits;
}

void cv_roll_begin(struct cv_roll *roll, const struct cv_control *control)
{
	const struct cv_config *config = &control->config;

	*roll = (struct cv_roll){ .device = control->device };
	roll->named = calloc(config->n_peers + 1, sizeof(*roll->named));
	roll->lacks = !roll->named;
	for (size_t i = 0; roll->named && i < config->n_peers; i++)
		if (config->peers[i].friendly_name)
			roll->named[roll->n_named++] = &config->peers[i];
	if (roll->n_named > 0)
		qsort(roll->named, roll->n_named, sizeof(*roll->named), compare_keys);
}

/* Bytes of the UTF-8 sequence at this place, 0 when it is none: RFC 3629, section 4. */
static size_t sequence_len(const unsigned char *at)
{
	static const struct {
		unsigned char first, last, second_min, second_max;
		size_t len;
	} kinds[] = {
		{ 0x20, 0x7e, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (at[0] < kinds[k].first || at[0] > kinds[k].last)
			continue;
		if (kinds[k].len > 1 &&
		    (at[1] < kinds[k].second_min || at[1] > kinds[k].second_max))
			return 0;
		for (size_t i = 2; i < kinds[k].len; i++)
			if (at[i] < 0x80 || at[i] > 0xbf)
				return 0;
		return kinds[k].len;
	}
	return 0;
}

void cv_text_clean(const char *text, char *ret_text, size_t size)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t len = 0;

	while (*at) {
		size_t n = sequence_len(at);

		if (len + (n ? n : 1) >= size)
			break;
		if (n)
			memcpy(ret_text + len, at, n);
		else
			ret_text[len] = '?';
		at += n ? n : 1;
		len += n ? n : 1;
	}
	ret_text[len] = '\0';
}

static void find_name(struct cv_roll *roll)
{
	const struct cv_config_peer wanted = { .public_key = roll->peer.public_key };
	const struct cv_config_peer *key = &wanted, **found = NULL;

	roll->name[0] = '\0';
	if (roll->n_named > 0)
		found = bsearch(&key, roll->named, roll->n_named, sizeof(*roll->named),
				compare_keys);
	if (found)
		cv_text_clean((*found)->friendly_name, roll->name, sizeof(roll->name));
}

static void add_allowed_ip(void *arg, const struct cv_prefix *prefix)
{
	struct cv_roll *roll = arg;

	if (roll->n_allowed_ips == roll->allowed_ips_size) {
		size_t size = roll->allowed_ips_size ? 2 * roll->allowed_ips_size : 16;
		void *larger = reallocarray(roll->allowed_ips, size, sizeof(*prefix));

		if (!larger) {
			roll->lacks = true;
			return;
		}
		roll->allowed_ips = larger;
		roll->allowed_ips_size = size;
	}
	roll->allowed_ips[roll->n_allowed_ips++] = *prefix;
}

bool cv_roll_next(struct cv_roll *roll)
{
	if (!cv_device_next_peer(roll->device, &roll->cursor, false, &roll->peer))
		return false;
	find_name(roll);
	roll->n_allowed_ips = 0;
	cv_device_each_allowed_ip(roll->device, &roll->peer.public_key, add_allowed_ip, roll);
	if (roll->n_allowed_ips > 1)
		qsort(roll->allowed_ips, roll->n_allowed_ips, sizeof(*roll->allowed_ips),
		      compare_prefixes);
	return true;
}

int cv_roll_end(struct cv_roll *roll)
{
	free(roll->allowed_ips);
	free(roll->named);
	return roll->lacks ? -ENOMEM : 0;
}
