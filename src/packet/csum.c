/*
 * The Internet checksum, wide.
 *
 * A one's complement sum of 16-bit words does not care how wide the words are that one adds, as
 * long as they are folded in the end (RFC 1071, section 2). So the bytes are added as 32-bit words
 * into 64-bit sums, which cannot overflow before 16 GiB: no carry is looked at until the fold, and
 * that is also why a cv_csum may be added to another with a plain +. Each load of 64-bit lanes
 * gives two 32-bit words a lane, the low half masked and the high half shifted down.
 *
 * 1420 bytes on a cloud EPYC, gcc 12 -O2: 16 ns with AVX2, 34 ns with SSE2; 64-bit adds with
 * carry took 42 ns, 32-bit scalar adds 46 ns.
 */
#include <string.h>

#include <convoy/packet/csum.h>

typedef uint64_t vec128 __attribute__((vector_size(16)));
typedef uint64_t vec256 __attribute__((vector_size(32)));

enum { BLOCK = 64 };

#ifdef __x86_64__
__attribute__((target("avx2"))) static cv_csum add_blocks_avx2(const uint8_t *p, size_t blocks)
{
	const uint64_t low = UINT32_MAX;
	vec256 sum_a = { 0 }, sum_b = { 0 }, a, b;

	for (; blocks > 0; blocks--, p += BLOCK) {
		memcpy(&a, p, sizeof(a));
		memcpy(&b, p + sizeof(a), sizeof(b));
		sum_a += (a & low) + (a >> 32);
		sum_b += (b & low) + (b >> 32);
	}
	sum_a += sum_b;
	return sum_a[0] + sum_a[1] + sum_a[2] + sum_a[3];
}
#endif

/* Any machine: compilers have 128-bit vectors everywhere, if only as pairs of registers. */
static cv_csum add_blocks_any(const uint8_t *p, size_t blocks)
{
	const uint64_t low = UINT32_MAX;
	vec128 sum_a = { 0 }, sum_b = { 0 }, a, b;

	for (blocks *= BLOCK / (sizeof(a) + sizeof(b)); blocks > 0;
	     blocks--, p += sizeof(a) + sizeof(b)) {
		memcpy(&a, p, sizeof(a));
		memcpy(&b, p + sizeof(a), sizeof(b));
		sum_a += (a & low) + (a >> 32);
		sum_b += (b & low) + (b >> 32);
	}
	sum_a += sum_b;
	return sum_a[0] + sum_a[1];
}

static cv_csum add_blocks(const uint8_t *p, size_t blocks)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return add_blocks_avx2(p, blocks);
#endif
	return add_blocks_any(p, blocks);
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

static uint16_t load16(const uint8_t *p)
{
	uint16_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

cv_csum cv_csum_add(cv_csum sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	if (len >= BLOCK) {
		sum += add_blocks(p, len / BLOCK);
		p += len / BLOCK * BLOCK;
		len %= BLOCK;
	}
	for (; len >= 4; len -= 4, p += 4)
		sum += load32(p);
	if (len & 2) {
		sum += load16(p);
		p += 2;
	}
	/* A last odd byte is the first one of a word: RFC 1071 pads with a zero behind it. */
	if (len & 1)
		sum += load16((const uint8_t[2]){ *p, 0 });
	return sum;
}

uint16_t cv_csum_fold(cv_csum sum)
{
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 16) + (sum & UINT16_MAX);
	sum = (sum >> 16) + (sum & UINT16_MAX);
	return (uint16_t)sum;
}

/* Both pseudo headers hold the addresses, the length and the protocol, each at an even offset;
 * where exactly, and how many zeros stand between, does not change a sum. */
cv_csum cv_csum_pseudo(const uint8_t *packet, uint8_t family, uint8_t protocol, uint32_t l4_len)
{
	const struct {
		cv_be32 len;
		cv_be32 protocol;
	} rest = { cv_be32_of(l4_len), cv_be32_of(protocol) };
	size_t addrs = cv_addr_size(family) * 2;
	size_t at = addrs == 8 ? offsetof(struct cv_ip4, src) : offsetof(struct cv_ip6, src);

	return cv_csum_add(cv_csum_add(0, packet + at, addrs), &rest, sizeof(rest));
}

cv_be16 cv_csum_seed(cv_csum sum)
{
	uint16_t folded = cv_csum_fold(sum);
	cv_be16 field;

	memcpy(field.b, &folded, sizeof(field));
	return field;
}

cv_be16 cv_csum_field(cv_csum sum)
{
	uint16_t folded = (uint16_t)~cv_csum_fold(sum);
	cv_be16 field;

	memcpy(field.b, &folded, sizeof(field));
	return field;
}
