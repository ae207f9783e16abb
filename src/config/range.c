/*
 * Ranges of addresses that are taken, and the first one that is not.
 *
 * Ranges stand for prefixes, of which two are apart or one lies in the other. So when they are in
 * order and those inside others are dropped, a place is found by halving, and a /64 costs no more
 * than a /24.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static int compare(const struct cv_addr *a, const struct cv_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

/* What another one may lie in comes first. */
static int by_first(const void *left, const void *right)
{
	const struct cv_range *a = left, *b = right;
	int order = compare(&a->first, &b->first);

	return order ? order : compare(&b->last, &a->last);
}

struct cv_range cv_range_of(const struct cv_prefix *prefix)
{
	struct cv_prefix first = *prefix;
	struct cv_range range;

	cv_prefix_mask(&first);
	range.first = range.last = first.addr;
	for (unsigned bit = prefix->bits; bit < cv_addr_bits(prefix->addr.family); bit++)
		range.last.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return range;
}

void cv_ranges_add(struct cv_ranges *ranges, const struct cv_prefix *prefix)
{
	if (ranges->n == ranges->size) {
		size_t size = ranges->size ? 2 * ranges->size : 64;
		struct cv_range *list = reallocarray(ranges->list, size, sizeof(*list));

		if (!list) {
			ranges->lacks = true;
			return;
		}
		ranges->list = list;
		ranges->size = size;
	}
	ranges->list[ranges->n++] = cv_range_of(prefix);
}

int cv_ranges_order(struct cv_ranges *ranges)
{
	size_t n = 0;

	if (ranges->n > 1)
		qsort(ranges->list, ranges->n, sizeof(ranges->list[0]), by_first);
	for (size_t i = 0; i < ranges->n; i++)
		if (n == 0 || compare(&ranges->list[i].last, &ranges->list[n - 1].last) > 0)
			ranges->list[n++] = ranges->list[i];
	ranges->n = n;
	return ranges->lacks ? -ENOMEM : 0;
}

/* How many ranges begin at the address or before it. */
static size_t count_before(const struct cv_ranges *ranges, const struct cv_addr *addr)
{
	size_t low = 0, high = ranges->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&ranges->list[middle].first, addr) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool cv_ranges_contain(const struct cv_ranges *ranges, const struct cv_addr *addr)
{
	size_t n = count_before(ranges, addr);

	return n > 0 && compare(&ranges->list[n - 1].last, addr) >= 0;
}

int cv_ranges_insert(struct cv_ranges *ranges, const struct cv_addr *addr)
{
	const struct cv_prefix host = cv_prefix_of_host(addr);
	size_t at = count_before(ranges, addr);

	cv_ranges_add(ranges, &host);
	if (ranges->lacks)
		return -ENOMEM;
	memmove(&ranges->list[at + 1], &ranges->list[at],
		(ranges->n - 1 - at) * sizeof(ranges->list[0]));
	ranges->list[at] = (struct cv_range){ *addr, *addr };
	return 0;
}

/* Return: false behind the highest of all addresses. */
static bool increment(struct cv_addr *addr)
{
	for (unsigned i = cv_addr_size(addr->family); i-- > 0;)
		if (++addr->b[i])
			return true;
	return false;
}

bool cv_ranges_gap(const struct cv_ranges *ranges, const struct cv_prefix *network,
		   const struct cv_addr *from, struct cv_addr *ret_addr)
{
	struct cv_addr gap = *from;
	size_t at = count_before(ranges, from);

	for (at -= at > 0; at < ranges->n; at++) {
		const struct cv_range *range = &ranges->list[at];

		if (compare(&range->first, &gap) > 0)
			break;
		if (compare(&range->last, &gap) < 0)
			continue;
		gap = range->last;
		if (!increment(&gap))
			return false;
	}
	if (!cv_prefix_contains(network, &gap))
		return false;
	*ret_addr = gap;
	return true;
}

void cv_ranges_free(struct cv_ranges *ranges)
{
	free(ranges->list);
	*ranges = (struct cv_ranges){ 0 };
}
