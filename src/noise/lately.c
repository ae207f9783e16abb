/*
 * Eight Bloom filters, one of each of the last generations, lying in one another: bit i of a place
 * is that of generation i modulo 8. An endpoint has two places, chosen by its keyed hash, and was
 * added when both have the bit of one and the same generation.
 *
 * Only who adds moves on to the next generation, and takes the bits of those that are over from all
 * places. Who looks meanwhile may see somebody who is just being forgotten.
 */
#include <string.h>

#include <convoy/crypto/hash.h>
#include <convoy/noise/lately.h>

struct pair {
	uint32_t place[2];
};

static struct pair places_of(const struct cv_lately *lately, const struct cv_endpoint *endpoint)
{
	struct {
		uint8_t addr[16];
		uint16_t port;
	} key = { .port = endpoint->port };
	uint64_t hash;

	memcpy(key.addr, endpoint->addr.b, sizeof(key.addr));
	hash = cv_siphash(lately->hash_key, &key, sizeof(key));
	return (struct pair){ { (uint32_t)hash % CV_LATELY_PLACES,
				(uint32_t)(hash >> 32) % CV_LATELY_PLACES } };
}

/* The bits of generations that are over `now`, when the youngest is `youngest`. */
static uint8_t bits_over(int64_t youngest, int64_t now)
{
	uint8_t bits = 0;

	if (now - youngest >= CV_LATELY_GENERATIONS)
		return UINT8_MAX;
	for (int64_t i = youngest + 1; i <= now; i++)
		bits |= (uint8_t)(1 << i % CV_LATELY_GENERATIONS);
	return bits;
}

static int64_t generation_of(cv_time now)
{
	return now / (CV_LATELY_GENERATION_MS * CV_NS_PER_MS);
}

bool cv_lately_has(const struct cv_lately *lately, const struct cv_endpoint *endpoint, cv_time now)
{
	const struct pair at = places_of(lately, endpoint);
	const int64_t youngest = __atomic_load_n(&lately->generation, __ATOMIC_RELAXED);
	const uint8_t both = __atomic_load_n(&lately->places[at.place[0]], __ATOMIC_RELAXED) &
			     __atomic_load_n(&lately->places[at.place[1]], __ATOMIC_RELAXED);

	return both & ~bits_over(youngest, generation_of(now));
}

static void forget(struct cv_lately *lately, uint8_t bits)
{
	const uint32_t kept = ~(bits * UINT32_C(0x01010101));
	uint32_t *words = (uint32_t *)(void *)lately->places;

	for (size_t i = 0; i < CV_LATELY_PLACES / sizeof(*words); i++)
		if (words[i] & ~kept)
			__atomic_store_n(&words[i], words[i] & kept, __ATOMIC_RELAXED);
}

void cv_lately_add(struct cv_lately *lately, const struct cv_endpoint *endpoint, cv_time now)
{
	const struct pair at = places_of(lately, endpoint);
	const int64_t generation = generation_of(now);

	if (generation > lately->generation) {
		forget(lately, bits_over(lately->generation, generation));
		__atomic_store_n(&lately->generation, generation, __ATOMIC_RELAXED);
	}
	for (int i = 0; i < 2; i++)
		__atomic_fetch_or(&lately->places[at.place[i]],
				  (uint8_t)(1 << lately->generation % CV_LATELY_GENERATIONS),
				  __ATOMIC_RELAXED);
}
